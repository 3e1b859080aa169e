//! Durations and sizes as people write them: `10s`, `1m30s`, `512MB`, `64 MiB`.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads `500ms`, `10s`, `1m`, `1h30m`, `7d`. A number without a unit is refused, as nobody can tell which was meant;
/// so are fractions.
///
/// # Errors
/// What is wrong and how to write it, for the end of a sentence.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(r#"is empty; write a number and a unit, such as "10s""#.into());
    }
    let mut total_ms = 0_u64;
    while !rest.is_empty() {
        let (number, unit, tail) = split_number_and_unit(rest);
        if unit.is_empty() && !number.is_empty() {
            return Err(format!(
                r#"has no unit; write "{number}s" for seconds or "{number}ms" for milliseconds"#
            ));
        }
        let factor = DURATION_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let (Ok(number), Some(factor)) = (number.parse::<u64>(), factor) else {
            return Err(
                r#"is not a duration; use whole numbers with ms, s, m, h or d, such as "10s" or "1m30s""#
                    .into(),
            );
        };
        total_ms = number
            .checked_mul(factor)
            .and_then(|ms| total_ms.checked_add(ms))
            .ok_or("is too long to count in milliseconds")?;
        rest = tail;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Reads `512MB` (powers of ten), `64 MiB` (powers of two) or plain bytes. Case does not matter.
///
/// # Errors
/// What is wrong and how to write it, for the end of a sentence.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit, tail) = split_number_and_unit(text.trim());
    let factor = match unit {
        "" => Some(1),
        _ => SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor),
    };
    match (number.parse::<u64>(), factor) {
        (Ok(number), Some(factor)) if tail.is_empty() => {
            number.checked_mul(factor).ok_or_else(|| "is too large to count in bytes".into())
        }
        _ => Err(r#"is not a size; use a whole number with B, kB, MB, GB, KiB, MiB or GiB, such as "512MB""#
            .into()),
    }
}

/// The shortest exact text: `1m30s`, `500ms`, `0s`.
pub(crate) fn format_duration(duration: Duration) -> String {
    let mut left_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left_ms == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, factor) in DURATION_UNITS.iter().rev() {
        if left_ms >= *factor {
            text.push_str(&format!("{}{unit}", left_ms / factor));
            left_ms %= factor;
        }
    }
    text
}

/// The largest unit that divides the size: `512MB`, `1MiB`, `1500B`.
pub(crate) fn format_size(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
    let (unit, factor) =
        SIZE_UNITS.iter().filter(fits).max_by_key(|(_, factor)| *factor).unwrap_or(&SIZE_UNITS[0]);
    format!("{}{unit}", bytes / factor)
}

/// `1m30s` → (`1`, `m`, `30s`); spaces between number and unit are allowed.
fn split_number_and_unit(text: &str) -> (&str, &str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(letters);
    if number.is_empty() && unit.is_empty() {
        return (number, text, ""); // neither: one unreadable piece, so that a caller's loop ends
    }
    (number, unit, tail.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_units() {
        let ms = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms(" 10 s "), Ok(10_000));
        assert_eq!(ms("1m30s"), Ok(90_000));
        assert_eq!(ms("1h 30m"), Ok(5_400_000));
        assert_eq!(ms("7d"), Ok(604_800_000));
        assert_eq!(ms("0s"), Ok(0));
    }

    #[test]
    fn durations_that_could_mean_two_things_are_refused() {
        assert!(parse_duration("10").unwrap_err().contains(r#""10s" for seconds"#));
        assert!(parse_duration("1m30").unwrap_err().contains("has no unit"));
        for text in ["", "s", "1.5s", "-1s", "10 parsecs", "1M", "…", "1s…"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
        assert!(parse_duration("99999999999999999d").unwrap_err().contains("too long"));
    }

    #[test]
    fn sizes_know_powers_of_ten_and_of_two() {
        assert_eq!(parse_size("512MB"), Ok(512_000_000));
        assert_eq!(parse_size("64 MiB"), Ok(64 << 20));
        assert_eq!(parse_size("1gib"), Ok(1 << 30));
        assert_eq!(parse_size("1024"), Ok(1024));
        for text in ["", "MB", "1.5GB", "10 MBit", "-1", "1MB2", "…"] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
        assert!(parse_size("99999999999GB").unwrap_err().contains("too large"));
    }

    #[test]
    fn what_is_formatted_reads_back() {
        for text in ["0s", "500ms", "10s", "1m", "1m30s", "1h", "1d2h"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["0B", "1500B", "10kB", "512MB", "64MiB", "1GiB"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
    }
}
