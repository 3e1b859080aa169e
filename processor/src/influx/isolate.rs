//! Which lines of a refused request are the bad ones.

use std::collections::HashMap;

/// The lines that InfluxDB's answer to a malformed request quotes, with its reason for each:
/// `unable to parse 'LINE': REASON`, one after the other.
///
/// A hint, to be matched against the lines that were sent: another server may word it otherwise, and a line may quote
/// such a message itself.
#[must_use]
pub(super) fn named_lines(message: &str) -> HashMap<&[u8], &str> {
    message
        .split("unable to parse '")
        .skip(1)
        .filter_map(|quoted| quoted.trim_end_matches('\n').rsplit_once("': "))
        .map(|(line, reason)| (line.as_bytes(), reason))
        .collect()
}

#[cfg(test)]
mod tests;
