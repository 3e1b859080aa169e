//! Values and moments as text for people.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use events::Timestamp;

/// Longest value that is shown.
const SHOWN_MAX: usize = 40;

/// A value fit for a terminal: no control characters, and the beginning only of a long one.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (at, character) in text.chars().enumerate() {
        if at == SHOWN_MAX {
            out.push('…');
            break;
        }
        if character.is_control() {
            write!(out, "{}", character.escape_default()).expect("a string can be written to");
        } else {
            out.push(character);
        }
    }
    out
}

pub(super) fn moment(time: Timestamp) -> String {
    let moment = DateTime::from_timestamp_micros(time.micros());
    moment.map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// Hundredths as `19.90`.
pub(super) fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

/// `1 record`, `2 records`.
pub(super) fn records(count: u64) -> String {
    format!("{count} record{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_does_a_terminal_no_harm() {
        assert_eq!(shown("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(shown(&"é".repeat(50)), format!("{}…", "é".repeat(40)));
        assert_eq!(money(-5), "-0.05");
        assert_eq!(moment(Timestamp::from_millis(1_755_010_800_500)), "2025-08-12T15:00:00.500Z");
    }
}
