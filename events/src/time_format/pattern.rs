//! Times by a pattern of `strftime`, parsed once.

use std::fmt::Write as _;

use chrono::format::{Item, Parsed, StrftimeItems, parse_and_remainder};
use chrono::{DateTime, NaiveTime, Timelike};

use super::NAMED;
use crate::moment::Written;

/// A pattern that says a moment, up to the offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    items: Vec<Item<'static>>,
    /// What follows a `%f`, if there is one.
    after_fraction: Option<Vec<Item<'static>>>,
    /// Whether it has no time of day, which then is midnight.
    date_only: bool,
}

impl Pattern {
    /// What is wrong with a pattern is said as the end of a sentence that begins with it.
    pub(super) fn new(format: &str, zone_is_set: bool) -> Result<Self, String> {
        if !format.contains('%') {
            return Err(no_pattern(format));
        }
        // `%f` is the fraction in Python's sense: digits as they stand, the first a tenth. After a dot it may be absent,
        // as Python's own `isoformat` leaves it out where it is zero.
        let format = replace_specifier(format, ".%f", "%.f");
        let (before, after) = split_at_fraction(&format);
        let mut pattern =
            Self { items: items(before)?, after_fraction: after.map(items).transpose()?, date_only: false };
        pattern.date_only = pattern.says(&format, zone_is_set)?;
        Ok(pattern)
    }

    pub(super) fn read(&self, text: &str) -> Option<Written> {
        let parsed = self.parse(text)?;
        let local = if parsed.timestamp().is_some() {
            parsed.to_naive_datetime_with_offset(0).ok()?
        } else if self.date_only {
            parsed.to_naive_date().ok()?.and_time(NaiveTime::MIN)
        } else {
            parsed.to_naive_date().ok()?.and_time(parsed.to_naive_time().ok()?)
        };
        let offset = if parsed.timestamp().is_some() { Some(0) } else { parsed.offset().map(i64::from) };
        Some(Written { micros: local.and_utc().timestamp_micros(), offset })
    }

    fn parse(&self, text: &str) -> Option<Parsed> {
        let mut parsed = Parsed::new();
        let mut rest = parse_and_remainder(&mut parsed, text, self.items.iter()).ok()?;
        if let Some(after) = &self.after_fraction {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let nanos = (0..9).fold(0, |nanos, index| {
                nanos * 10 + rest.as_bytes()[..digits].get(index).map_or(0, |digit| i64::from(digit - b'0'))
            });
            parsed.set_nanosecond((digits > 0).then_some(nanos)?).ok()?;
            rest = parse_and_remainder(&mut parsed, &rest[digits..], after.iter()).ok()?;
        }
        rest.is_empty().then_some(parsed)
    }

    /// Checks that the pattern says a moment, by what it makes of one; whether it has no time of day.
    fn says(&self, format: &str, zone_is_set: bool) -> Result<bool, String> {
        let probe = DateTime::parse_from_rfc3339("2025-11-22T15:04:05.678901+02:00").expect("a moment");
        let mut text = String::new();
        let written = write!(text, "{}", probe.format_with_items(self.items.iter())).and_then(|()| {
            let Some(after) = &self.after_fraction else { return Ok(()) };
            write!(text, "{:09}{}", probe.nanosecond(), probe.format_with_items(after.iter()))
        });
        let Some(parsed) = written.ok().and_then(|()| self.parse(&text)) else {
            return Err(format!("cannot be read back: it makes {text:?}, which it does not accept"));
        };
        if parsed.timestamp().is_some() {
            return Ok(false);
        }
        if parsed.to_naive_date().is_err() {
            let year = (parsed.year(), parsed.year_mod_100(), parsed.isoyear());
            return Err(if year == (None, None, None) {
                "has no year: add %Y, or %y for two digits".to_owned()
            } else {
                "does not say which day: it needs year, month and day, as in %Y-%m-%d".to_owned()
            });
        }
        if format.contains("%Z") && parsed.offset().is_none() && !zone_is_set {
            return Err("has a %Z, whose text is read over: say the zone with `zone`".to_owned());
        }
        let hour = (parsed.hour_div_12(), parsed.hour_mod_12());
        if hour == (None, None) && parsed.minute().is_none() {
            return Ok(true);
        }
        match parsed.to_naive_time() {
            Ok(_) => Ok(false),
            Err(_) if hour.0.is_none() && hour.1.is_some() => {
                Err("has hours of a half day: add %p, or write %H for those of a whole one".to_owned())
            }
            Err(_) => Err("does not say the time of day: it needs hours and minutes, as in %H:%M".to_owned()),
        }
    }
}

fn items(format: &str) -> Result<Vec<Item<'static>>, String> {
    StrftimeItems::new(format).parse_to_owned().map_err(|_| {
        let at = specifiers(format).find(|at| StrftimeItems::new(&format[*at..]).next() == Some(Item::Error));
        let unknown: String = at.map_or("%", |at| &format[at..]).chars().take(2).collect();
        let cure = match unknown.as_str() {
            "%L" => "write %3f for milliseconds",
            "%N" => "write %f for a fraction of a second",
            "%" => "write %% for a percent sign",
            _ => "it takes what chrono's strftime takes, as in %Y-%m-%d %H:%M:%S",
        };
        format!("has a `{unknown}`, which is no specifier: {cure}")
    })
}

/// The positions of the percent signs that begin a specifier.
fn specifiers(format: &str) -> impl Iterator<Item = usize> {
    let mut end = 0;
    format.match_indices('%').filter_map(move |(at, _)| {
        if at < end {
            return None; // The second of `%%`.
        }
        end = at + 2;
        Some(at)
    })
}

fn replace_specifier(format: &str, from: &str, to: &str) -> String {
    let percent = from.find('%').expect("it has a specifier");
    let mut replaced = String::with_capacity(format.len());
    let mut copied = 0;
    for at in
        specifiers(format).filter_map(|at| at.checked_sub(percent)).filter(|at| format.is_char_boundary(*at))
    {
        if at >= copied && format[at..].starts_with(from) {
            replaced.push_str(&format[copied..at]);
            replaced.push_str(to);
            copied = at + from.len();
        }
    }
    replaced + &format[copied..]
}

fn split_at_fraction(format: &str) -> (&str, Option<&str>) {
    match specifiers(format).find(|at| format[*at..].starts_with("%f")) {
        Some(at) => (&format[..at], Some(&format[at + 2..])),
        None => (format, None),
    }
}

/// What is wrong with a format that has no percent sign: it is Java's, or a misspelled name.
fn no_pattern(format: &str) -> String {
    if let Some(pattern) = from_java(format) {
        return format!("is no strftime pattern: write \"{pattern}\"");
    }
    let names = NAMED.iter().map(|(name, _)| *name);
    let likeness = |name: &&str| strsim::jaro_winkler(name, format);
    let nearest = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).expect("there are names");
    format!("is neither a name nor a strftime pattern; the nearest name is \"{nearest}\"")
}

/// What a pattern of Java's `DateTimeFormatter` is to `strftime`, if it is one.
fn from_java(format: &str) -> Option<String> {
    let mut pattern = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (literal, after) = quoted.split_once('\'')?;
            pattern.push_str(literal);
            rest = after;
            continue;
        }
        let after = rest.trim_start_matches(first);
        let length = (rest.len() - after.len()) / first.len_utf8();
        match (first, length) {
            ('y' | 'u', 2) => pattern.push_str("%y"),
            ('y' | 'u', _) => pattern.push_str("%Y"),
            ('M', 1 | 2) => pattern.push_str("%m"),
            ('M', 3) => pattern.push_str("%b"),
            ('M', _) => pattern.push_str("%B"),
            ('d', _) => pattern.push_str("%d"),
            ('H', _) => pattern.push_str("%H"),
            ('h', _) => pattern.push_str("%I"),
            ('m', _) => pattern.push_str("%M"),
            ('s', _) => pattern.push_str("%S"),
            ('S', _) => pattern.push_str("%f"),
            ('a', _) => pattern.push_str("%p"),
            ('E', _) => pattern.push_str("%a"),
            ('Z' | 'X' | 'x', _) => pattern.push_str("%z"),
            (letter, _) if letter.is_ascii_alphabetic() => return None,
            _ => pattern.push_str(&rest[..rest.len() - after.len()]),
        }
        rest = after;
    }
    (pattern.contains("%Y") || pattern.contains("%y")).then_some(pattern)
}
