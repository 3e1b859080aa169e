//! Every form in which a record may state its event time.

mod civil;
mod spelling;

pub(crate) use self::spelling::{Written, bare, is_number};

use self::civil::{days_in, days_since_epoch};
use crate::Timestamp;
use crate::number::scaled;

/// The first microsecond that is out of range: 2200-01-01T00:00:00Z.
pub(crate) const MICROS_END: i64 = 7_258_118_400_000_000;

/// Below this a number is seconds; of 1970 to 2199 all seconds are.
pub(crate) const SECONDS_END: u64 = 100_000_000_000;
/// Below this a number is milliseconds; of 1973-03-03 to 2199 all milliseconds are.
pub(crate) const MILLIS_END: u64 = 100_000_000_000_000;
/// Below this a number is microseconds; of 1973-03-03 to 2199 all microseconds are. From it on they are nanoseconds.
pub(crate) const MICROS_LIMIT: u64 = 100_000_000_000_000_000;

/// Seconds, milliseconds, microseconds or nanoseconds since the epoch, told by magnitude; digits below the microsecond
/// are cut.
pub(crate) fn from_number(number: &str) -> Option<Timestamp> {
    const MILLION: i128 = 1_000_000;
    let millionths = scaled(number, 6, i128::from(u64::MAX) * MILLION)?;
    let micros = match u64::try_from(millionths / MILLION).ok()? {
        0..SECONDS_END => millionths,
        SECONDS_END..MILLIS_END => millionths / 1_000,
        MILLIS_END..MICROS_LIMIT => millionths / MILLION,
        _ => millionths / (1_000 * MILLION),
    };
    in_range(i64::try_from(micros).ok()?)
}

/// A moment in any of the spellings that need no configuration; without an offset it is UTC.
///
/// Digits below the microsecond are cut; a leap second is the first second of the next minute, 24:00:00 the first of
/// the next day.
#[inline]
pub(crate) fn from_text(text: &str) -> Option<Timestamp> {
    match rfc_3339(text.as_bytes()) {
        None => otherwise(text),
        moment => moment,
    }
}

#[cold]
#[inline(never)]
fn otherwise(text: &str) -> Option<Timestamp> {
    Written::read(text)?.at(0)
}

/// RFC 3339, or the same with a blank for the `T` or without an offset: what nearly every record has, so its path is
/// the straight one.
#[inline(always)]
fn rfc_3339(bytes: &[u8]) -> Option<Timestamp> {
    let (moment, rest) = bytes.split_first_chunk::<19>()?;
    let [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't' | b' ', _, _, b':', _, _, b':', _, _] = moment
    else {
        return None;
    };
    let year = i64::from(two_digits(moment, 0)? * 100 + two_digits(moment, 2)?);
    let (month, day) = (two_digits(moment, 5)?, two_digits(moment, 8)?);
    let (hour, minute, second) = (two_digits(moment, 11)?, two_digits(moment, 14)?, two_digits(moment, 17)?);
    if !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, rest) = fraction_micros(rest)?;
    let offset_minutes = offset_minutes(rest)?;
    let seconds = days_since_epoch(year, month, day) * 86_400
        + i64::from(hour) * 3_600
        + (i64::from(minute) - offset_minutes) * 60
        + i64::from(second);
    in_range(seconds * 1_000_000 + fraction)
}

/// The moment, if it lies in the years 1970 to 2199.
pub(crate) fn in_range(micros: i64) -> Option<Timestamp> {
    (0..MICROS_END).contains(&micros).then(|| Timestamp::from_micros(micros))
}

fn two_digits(bytes: &[u8], at: usize) -> Option<u32> {
    let (tens, ones) = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// The microseconds of `.digits`, if that comes next, and what follows it.
fn fraction_micros(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', rest @ ..] = bytes else {
        return Some((0, bytes));
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let micros = (0..6).fold(0, |micros, index| {
        micros * 10 + rest[..digits].get(index).map_or(0, |digit| i64::from(digit - b'0'))
    });
    (digits > 0).then_some((micros, &rest[digits..]))
}

fn offset_minutes(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [] | [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two_digits(bytes, 1)?, two_digits(bytes, 4)?);
            let offset = i64::from(hours * 60 + minutes);
            (hours <= 23 && minutes <= 59).then_some(if *sign == b'-' { -offset } else { offset })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
