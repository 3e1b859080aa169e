//! The spellings other tools have: what RFC 3339 does not cover and yet can be read in one way only.
//!
//! A date in which day and month could be taken for each other (`01/12/2026`) is not read, and neither is a zone whose
//! abbreviation means several.

use super::civil::{Civil, TimeOfDay};
use super::{from_number, in_range};
use crate::Timestamp;

/// A moment as it was written, with the offset it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Microseconds since the epoch if the offset is nothing.
    pub(crate) micros: i64,
    /// Seconds east of UTC, if it says so.
    pub(crate) offset: Option<i64>,
}

impl Written {
    /// The moment, where `offset` (seconds east of UTC) holds if none was written.
    pub(crate) fn at(self, offset: i64) -> Option<Timestamp> {
        in_range(self.micros - self.offset.unwrap_or(offset) * 1_000_000)
    }

    /// Any of the spellings, with blanks, brackets or quotes around it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = bare(text);
        if let Some(millis) = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")) {
            return dot_net(millis);
        }
        if is_number(text) {
            return number(text);
        }
        let mut cursor = Cursor(text.as_bytes());
        match cursor.count_digits() {
            0..=2 => month_by_name(&mut cursor),
            4 => year_first(&mut cursor),
            _ => basic(&mut cursor),
        }
    }
}

/// Without blanks around it, then without one pair of brackets or quotes.
pub(crate) fn bare(text: &str) -> &str {
    let text = text.trim();
    let within = |open, close| text.strip_prefix(open)?.strip_suffix(close).map(str::trim);
    within('[', ']').or_else(|| within('"', '"')).unwrap_or(text)
}

/// `/Date(1755010801000+0200)/`: always milliseconds, and the offset is only how it was shown.
fn dot_net(text: &str) -> Option<Written> {
    let mut cursor = Cursor(text.as_bytes());
    let millis = cursor.number(cursor.count_digits(), 15)?;
    if !cursor.is_empty() {
        cursor.numeric_offset(2)?;
    }
    cursor.is_empty().then_some(Written { micros: millis as i64 * 1_000, offset: Some(0) })
}

/// Digits that are a date or a date and time, else the seconds or parts of seconds that a number would be.
///
/// The two can be confused with eight digits only (the year 1970 in seconds): 14 and 17 digits of the years 1970 to
/// 2199 are no seconds, milliseconds or microseconds of them.
fn number(text: &str) -> Option<Written> {
    let mut cursor = Cursor(text.as_bytes());
    let date = match cursor.count_digits() {
        8 if text.len() == 8 => basic(&mut cursor),
        14 | 17 => basic(&mut cursor),
        _ => None,
    };
    date.filter(|written| written.at(0).is_some()).or_else(|| {
        let moment = from_number(text)?;
        Some(Written { micros: moment.micros(), offset: Some(0) })
    })
}

/// `20250812`, `20250812T150001.5Z`, `20250812150001`, `20250812150001863`.
fn basic(cursor: &mut Cursor<'_>) -> Option<Written> {
    let digits = cursor.count_digits();
    let (year, month, day) = (cursor.digits(4)?, cursor.digits(2)?, cursor.digits(2)?);
    let time = match digits {
        8 => return time_after_date(cursor, year, month, day),
        12 => TimeOfDay { hour: cursor.digits(2)?, minute: cursor.digits(2)?, ..TimeOfDay::default() },
        14 | 17 => {
            let (hour, minute, second) = (cursor.digits(2)?, cursor.digits(2)?, cursor.digits(2)?);
            let micros = if digits == 17 { cursor.digits(3)? * 1_000 } else { cursor.fraction()? };
            TimeOfDay { hour, minute, second, micros }
        }
        _ => return None,
    };
    cursor.finish(Civil { year, month, day, time })
}

/// `2025-08-12`, `2025-08-12T15:00Z`, `2025/08/12 15:00:01,863 +02`: ISO 8601 and what is as clear.
fn year_first(cursor: &mut Cursor<'_>) -> Option<Written> {
    let year = cursor.digits(4)?;
    let separator = cursor.any_of(b"-/")?;
    let month = cursor.one_or_two_digits()?;
    cursor.eat(separator)?;
    let day = cursor.one_or_two_digits()?;
    time_after_date(cursor, year, month, day)
}

/// What follows a date of numbers: nothing, a `Z`, or a time of day.
fn time_after_date(cursor: &mut Cursor<'_>, year: u32, month: u32, day: u32) -> Option<Written> {
    let time = if cursor.any_of(b"Tt").is_some() || cursor.blanks() && cursor.count_digits() > 0 {
        cursor.time_of_day()?
    } else if matches!(cursor.0, [] | [b'Z' | b'z', ..] | [b'U' | b'u' | b'G' | b'g', ..]) {
        TimeOfDay::default()
    } else {
        return None; // `2025-08-12-15` and `2025-08-12+02` could be an hour as well as an offset.
    };
    cursor.finish(Civil { year, month, day, time })
}

/// RFC 2822 and 850, the common log format, and what C, Java and JavaScript write: all that has the month's name.
fn month_by_name(cursor: &mut Cursor<'_>) -> Option<Written> {
    if cursor.count_digits() == 0 {
        let mut ahead = *cursor;
        // Whether it is the right one does not matter: the date says which day is meant.
        if is_weekday(ahead.word()) {
            let _ = ahead.any_of(b",.");
            ahead.blanks();
            *cursor = ahead;
        }
    }
    if cursor.count_digits() > 0 { day_first(cursor) } else { month_first(cursor) }
}

/// `12/Aug/2025:15:00:01 +0000`, `12 Aug 2025 15:00:01 GMT`, `12-Aug-25 15:00:01`.
fn day_first(cursor: &mut Cursor<'_>) -> Option<Written> {
    let day = cursor.one_or_two_digits()?;
    let separator = cursor.any_of(b"/-");
    if separator.is_none() && !cursor.blanks() {
        return None;
    }
    let month = month(cursor.word())?;
    match separator {
        Some(separator) => cursor.eat(separator)?,
        None => {
            let _ = cursor.any_of(b".,");
            cursor.blanks().then_some(())?;
        }
    }
    let year = match cursor.count_digits() {
        4 => cursor.digits(4)?,
        2 => two_digit_year(cursor.digits(2)?),
        _ => return None,
    };
    let time = if cursor.is_empty() { TimeOfDay::default() } else { cursor.separated_time()? };
    cursor.finish_with(Civil { year, month, day, time }, RFC_2822_ZONES)
}

/// `Aug 12, 2025, 3:00:01 PM`, `Aug 12 2025 17:00:01 GMT+0200 (CEST)`, `Aug 12 15:00:01 UTC 2025`.
fn month_first(cursor: &mut Cursor<'_>) -> Option<Written> {
    let month = month(cursor.word())?;
    let _ = cursor.any_of(b".");
    cursor.blanks().then_some(())?;
    let day = cursor.one_or_two_digits()?;
    let _ = cursor.any_of(b",");
    cursor.blanks().then_some(())?;
    if cursor.count_digits() == 4 {
        let year = cursor.digits(4)?;
        let time = if cursor.is_empty() { TimeOfDay::default() } else { cursor.separated_time()? };
        return cursor.finish(Civil { year, month, day, time });
    }
    let time = cursor.time_of_day()?;
    let blank = cursor.blanks();
    let offset = cursor.offset(&[])?;
    (cursor.blanks() || offset.is_none() && blank).then_some(())?;
    let year = cursor.digits(4)?;
    let micros = Civil { year, month, day, time }.micros()?;
    cursor.is_empty().then_some(Written { micros, offset })
}

/// As POSIX has it, but for 1969, which is out of range.
fn two_digit_year(year: u32) -> u32 {
    if year < 70 { 2000 + year } else { 1900 + year }
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The month of that name, in full or as its first three letters (`Sept` too).
fn month(word: &[u8]) -> Option<u32> {
    let at = MONTHS.iter().position(|name| {
        is_short_for(word, name) || word.eq_ignore_ascii_case(b"sept") && *name == "september"
    })?;
    Some(at as u32 + 1)
}

fn is_weekday(word: &[u8]) -> bool {
    WEEKDAYS.iter().any(|name| is_short_for(word, name))
}

fn is_short_for(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes()) || word.eq_ignore_ascii_case(&name.as_bytes()[..3])
}

/// Whether JSON would take the text for a number that is not negative.
pub(crate) fn is_number(text: &str) -> bool {
    let mut cursor = Cursor(text.as_bytes());
    let integer = cursor.count_digits();
    if integer == 0 || integer > 1 && text.starts_with('0') {
        return false;
    }
    cursor.skip(integer);
    if cursor.any_of(b".").is_some() && !cursor.some_digits() {
        return false;
    }
    if cursor.any_of(b"eE").is_some() {
        let _ = cursor.any_of(b"+-");
        if !cursor.some_digits() {
            return false;
        }
    }
    cursor.is_empty()
}

/// The zones that RFC 2822 gives a meaning, in hours. Elsewhere `CST` is as likely to be China's.
const RFC_2822_ZONES: &[(&str, i64)] =
    &[("EST", -5), ("EDT", -4), ("CST", -6), ("CDT", -5), ("MST", -7), ("MDT", -6), ("PST", -8), ("PDT", -7)];

/// What is left to be read.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn skip(&mut self, length: usize) {
        self.0 = &self.0[length..];
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.any_of(&[byte]).map(|_| ())
    }

    fn any_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Goes past blanks, the unbreakable ones that Java writes before `PM` among them; whether there were any.
    fn blanks(&mut self) -> bool {
        let before = self.0.len();
        while let [b' ' | b'\t', rest @ ..] | [0xc2, 0xa0, rest @ ..] | [0xe2, 0x80, 0xaf, rest @ ..] = self.0
        {
            self.0 = rest;
        }
        self.0.len() < before
    }

    fn count_digits(&self) -> usize {
        self.0.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    fn some_digits(&mut self) -> bool {
        let count = self.count_digits();
        self.skip(count);
        count > 0
    }

    /// The number of exactly that many digits, of which there may be more.
    fn digits(&mut self, count: usize) -> Option<u32> {
        self.number(count, 4).map(|number| number as u32)
    }

    fn one_or_two_digits(&mut self) -> Option<u32> {
        match self.count_digits() {
            count @ (1 | 2) => self.digits(count),
            _ => None,
        }
    }

    fn number(&mut self, count: usize, most: usize) -> Option<u64> {
        if count == 0 || count > most || self.count_digits() < count {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
    }

    fn word(&mut self) -> &'a [u8] {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (word, rest) = self.0.split_at(length);
        self.0 = rest;
        word
    }

    /// A time of day after a year: past a colon, a comma, a `T`, an `at` or just blanks.
    fn separated_time(&mut self) -> Option<TimeOfDay> {
        let separated = self.any_of(b":,Tt").is_some();
        if !self.blanks() && !separated {
            return None;
        }
        let mut ahead = *self;
        if ahead.word() == b"at" && ahead.blanks() {
            *self = ahead;
        }
        self.time_of_day()
    }

    /// `15:00`, `15:00:01,863`, `150001.5`, `3:00:01 PM`.
    fn time_of_day(&mut self) -> Option<TimeOfDay> {
        let mut time = TimeOfDay::default();
        if self.count_digits() <= 2 {
            time.hour = self.one_or_two_digits()?;
            self.eat(b':')?;
            time.minute = self.digits(2)?;
            if self.any_of(b":").is_some() {
                (time.second, time.micros) = (self.digits(2)?, self.fraction()?);
            }
        } else {
            (time.hour, time.minute) = (self.digits(2)?, self.digits(2)?);
            if self.count_digits() > 0 {
                (time.second, time.micros) = (self.digits(2)?, self.fraction()?);
            }
        }
        if self.count_digits() > 0 {
            return None;
        }
        let mut ahead = *self;
        ahead.blanks();
        let word = ahead.word();
        let afternoon = word.eq_ignore_ascii_case(b"pm");
        if afternoon || word.eq_ignore_ascii_case(b"am") {
            if !(1..=12).contains(&time.hour) {
                return None;
            }
            time.hour = time.hour % 12 + if afternoon { 12 } else { 0 };
            *self = ahead;
        }
        Some(time)
    }

    /// The microseconds of `.digits` or `,digits`, if that comes next; what is below them is cut.
    fn fraction(&mut self) -> Option<u32> {
        if self.any_of(b".,").is_none() {
            return Some(0);
        }
        let count = self.count_digits();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        let micros = (0..6).fold(0, |micros, index| {
            micros * 10 + digits.get(index).map_or(0, |digit| u32::from(digit - b'0'))
        });
        (count > 0).then_some(micros)
    }

    /// An offset to the end, after blanks or not: none at all, `Z`, `UTC`, `+02`, `+0200`, `+02:00`, `UTC+2`.
    fn finish(&mut self, civil: Civil) -> Option<Written> {
        self.finish_with(civil, &[])
    }

    fn finish_with(&mut self, civil: Civil, zones: &[(&str, i64)]) -> Option<Written> {
        let micros = civil.micros()?;
        self.blanks();
        let offset = match self.0 {
            [b'[', ..] => None,
            _ => self.offset(zones)?,
        };
        if offset.is_none() {
            // Java's zone without an offset: one that has just one meaning.
            return match self.0 {
                [] => Some(Written { micros, offset }),
                b"[UTC]" | b"[GMT]" | b"[Z]" | b"[Etc/UTC]" => Some(Written { micros, offset: Some(0) }),
                _ => None,
            };
        }
        self.remarks()?;
        Some(Written { micros, offset })
    }

    /// The offset in seconds, if there is one; `None` if something else is there.
    fn offset(&mut self, zones: &[(&str, i64)]) -> Option<Option<i64>> {
        match self.0.first() {
            Some(b'+' | b'-') => self.numeric_offset(2).map(Some),
            Some(byte) if byte.is_ascii_alphabetic() => {
                let word = self.word();
                let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
                if is("Z") {
                    Some(Some(0))
                } else if is("UTC") || is("GMT") || is("UT") {
                    match self.0.first() {
                        Some(b'+' | b'-') => self.numeric_offset(1).map(Some),
                        _ => Some(Some(0)),
                    }
                } else {
                    let (_, hours) = zones.iter().find(|(name, _)| is(name))?;
                    Some(Some(hours * 3_600))
                }
            }
            _ => Some(None),
        }
    }

    /// `+02`, `+0200`, `+02:00`, `+02:00:00`; with `least` 1 also `+2` and `+2:00`.
    fn numeric_offset(&mut self, least: usize) -> Option<i64> {
        let sign = self.any_of(b"+-")?;
        let (hours, minutes) = match self.count_digits() {
            4 => (self.digits(2)?, self.digits(2)?),
            count @ (1 | 2) if count >= least => {
                let hours = self.digits(count)?;
                (hours, if self.any_of(b":").is_some() { self.digits(2)? } else { 0 })
            }
            _ => return None,
        };
        let seconds = if self.any_of(b":").is_some() { self.digits(2)? } else { 0 };
        if hours > 23 || minutes > 59 || seconds > 59 || self.count_digits() > 0 {
            return None;
        }
        let offset = i64::from(hours * 3_600 + minutes * 60 + seconds);
        Some(if sign == b'-' { -offset } else { offset })
    }

    /// What tools put after an offset for people to read: `[Europe/Berlin]`, `(CEST)`, Go's `CEST m=+0.01`.
    fn remarks(&mut self) -> Option<()> {
        let rest = self.0.trim_ascii_start();
        let blank = rest.len() < self.0.len();
        match rest {
            [] | [b'[', .., b']'] | [b'(', .., b')'] => Some(()),
            _ if blank => {
                let mut go = Cursor(rest);
                let name = go.word();
                let clock = go.0.trim_ascii_start();
                let ends = go.is_empty() || clock.starts_with(b"m=");
                (name.len() >= 3 && name.iter().all(u8::is_ascii_uppercase) && ends).then_some(())
            }
            _ => None,
        }
    }
}
