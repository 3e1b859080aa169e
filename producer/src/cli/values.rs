//! Reads the values of flags; each error says what would be right.

use std::time::Duration;

use events::Timestamp;

use crate::Route;

/// `500ms`, `90s`, `10m`, `1h`.
///
/// # Errors
/// What would be right, for anything else or zero.
pub fn duration(text: &str) -> Result<Duration, String> {
    let hint = || format!("{text:?} is no duration; write it like 500ms, 90s, 10m or 1h");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(hint)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| hint())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(hint()),
    };
    let milliseconds = number.checked_mul(unit_ms).filter(|ms| *ms > 0).ok_or_else(hint)?;
    Ok(Duration::from_millis(milliseconds))
}

/// `1000`, `20_000`, `20k`, `1.5m`.
///
/// # Errors
/// What would be right, for anything else or zero.
pub fn rate(text: &str) -> Result<f64, String> {
    let hint = || format!("{text:?} is no rate; write records per second, like 1000, 20_000, 20k or 1.5m");
    let plain = text.replace('_', "");
    let (digits, factor) = match plain.as_bytes().last() {
        Some(b'k' | b'K') => (&plain[..plain.len() - 1], 1e3),
        Some(b'm' | b'M') => (&plain[..plain.len() - 1], 1e6),
        _ => (plain.as_str(), 1.0),
    };
    let rate = digits.parse::<f64>().map_err(|_| hint())? * factor;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err(hint()) }
}

/// A share between 0 and 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is no share; write a number between 0 and 1, like 0.02"))
}

/// `NAME=VALUE`.
pub(super) fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// One of the shop's routes.
pub(super) fn route(text: &str) -> Result<Route, String> {
    Route::from_name(text).ok_or_else(|| {
        let known: Vec<&str> = Route::ALL.iter().map(|route| route.name()).collect();
        format!("the shop has no route {text:?}; it has {}", known.join(", "))
    })
}

/// `2026-01-31T12:00:00Z` (the fraction and the `Z` may be left out; always UTC), or seconds since 1970.
pub(super) fn start_time(text: &str) -> Result<Timestamp, String> {
    let hint = || format!("{text:?} is no time; write it like 2026-01-31T12:00:00Z or 1769860800");
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(Timestamp::from_secs(seconds));
    }
    let (date, time) = text.trim_end_matches('Z').split_once(['T', ' ']).ok_or_else(hint)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let numbers = |text: &str, separator: char| -> Option<[i64; 3]> {
        let parts: Vec<i64> = text
            .split(separator)
            .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?)
            .collect::<Option<_>>()?;
        parts.try_into().ok()
    };
    let [year, month, day] = numbers(date, '-').ok_or_else(hint)?;
    let [hour, minute, second] = numbers(time, ':').ok_or_else(hint)?;
    let ok = (1970..2286).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day);
    if !ok || hour > 23 || minute > 59 || second > 59 || fraction.len() > 6 {
        return Err(hint());
    }
    let micros: i64 = format!("{fraction:0<6}").parse().map_err(|_| hint())?;
    let days: i64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum::<i64>()
        + (1..month).map(|month| days_in(year, month)).sum::<i64>()
        + day
        - 1;
    Ok(Timestamp::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second).plus_micros(micros))
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        for wrong in ["", "90", "s", "-1s", "0s", "1.5h", "3d", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_may_be_abbreviated() {
        assert_eq!(rate("20_000"), Ok(20_000.0));
        assert_eq!(rate("20k"), Ok(20_000.0));
        assert_eq!(rate("1.5m"), Ok(1_500_000.0));
        for wrong in ["", "0", "-5", "fast", "inf", "NaN", "k"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_start_time_is_a_date_or_seconds() {
        let expected = Ok(Timestamp::from_secs(1_769_860_800));
        assert_eq!(start_time("2026-01-31T12:00:00Z"), expected);
        assert_eq!(start_time("2026-01-31 12:00:00"), expected);
        assert_eq!(start_time("1769860800"), expected);
        assert_eq!(start_time("2024-02-29T00:00:00.5Z"), Ok(Timestamp::from_millis(1_709_164_800_500)));
        for wrong in
            ["", "now", "2026-02-29T00:00:00Z", "2026-1-1", "2026-01-31T24:00:00Z", "2026-01-31T12:00"]
        {
            assert!(start_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_route_is_answered_with_the_known_ones() {
        assert!(route("/chekout").unwrap_err().contains("/checkout"));
    }
}
