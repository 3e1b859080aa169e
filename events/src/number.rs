//! Decimal text to integers, exactly: no binary fraction lies between `19.90` and 1990 cents.

/// The greatest amount in cents, of either sign: ten trillion units, beyond any order and exact in a double.
pub(crate) const CENTS_MAX: i64 = 1_000_000_000_000_000;

/// The value of a JSON number times 10^`shift`, the rest cut off (towards zero).
///
/// `None` if it lies beyond ±`max`, which must be below `i128::MAX / 10 - 1`.
pub(crate) fn scaled(number: &str, shift: i64, max: i128) -> Option<i128> {
    let (negative, unsigned) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, saturating_exponent(exponent)),
        None => (unsigned, 0),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = integer.bytes().chain(fraction.bytes()).map(|byte| i128::from(byte - b'0'));
    // Zeros after the last digit stand in for what a positive exponent asks for.
    let wanted = (integer.len() as i64).saturating_add(exponent).saturating_add(shift);
    let mut value = 0_i128;
    for digit in digits.take(usize::try_from(wanted).unwrap_or(0)) {
        value = value * 10 + digit;
        if value > max {
            return None;
        }
    }
    if value != 0 {
        for _ in (integer.len() + fraction.len()) as i64..wanted {
            value *= 10;
            if value > max {
                return None;
            }
        }
    }
    Some(if negative { -value } else { value })
}

/// An amount in cents, rounded half away from zero by its third decimal; `None` beyond ±[`CENTS_MAX`].
pub(crate) fn cents(number: &str) -> Option<i64> {
    let mills = scaled(number, 3, i128::from(CENTS_MAX) * 10 + 9)?;
    let cents = (mills + 5 * mills.signum()) / 10;
    i64::try_from(cents).ok().filter(|cents| cents.abs() <= CENTS_MAX)
}

/// The integer that a number is, be it written as `200.0` or `2e2`, if it lies within 0 to `max`.
pub(crate) fn integer(number: &str, max: i128) -> Option<i128> {
    let thousandths = scaled(number, 3, max * 1_000 + 999).filter(|value| *value >= 0)?;
    let whole = thousandths % 1_000 == 0 && !has_digits_below(number, 3);
    whole.then_some(thousandths / 1_000).filter(|value| *value <= max)
}

/// Whether anything but zeros stands after that many decimals.
fn has_digits_below(number: &str, decimals: i64) -> bool {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, saturating_exponent(exponent)),
        None => (number, 0),
    };
    let mantissa = mantissa.trim_start_matches('-');
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let kept = (integer.len() as i64).saturating_add(exponent).saturating_add(decimals);
    integer
        .bytes()
        .chain(fraction.bytes())
        .skip(usize::try_from(kept).unwrap_or(0))
        .any(|digit| digit != b'0')
}

/// The digits of a number that is an integer: of `7` and `7.0` the `7`. `None` of any other, and of one with an exponent.
pub(crate) fn digits(number: &str) -> Option<&str> {
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = fraction.bytes().all(|digit| digit == b'0') && !integer.contains(['e', 'E']);
    whole.then_some(integer)
}

/// The number in a text, blanks around it and a plus before it cut off, if it is written as JSON writes numbers or with
/// zeros or nothing before its point.
pub(crate) fn in_text(text: &str) -> Option<&str> {
    let number = text.trim_matches([' ', '\t']);
    let (number, unsigned) = match number.strip_prefix('+') {
        Some(unsigned) => (unsigned, unsigned),
        None => (number, number.strip_prefix('-').unwrap_or(number)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = all_digits(integer)
        && all_digits(fraction)
        && integer.len() + fraction.len() > 0
        && exponent.is_none_or(|digits| !digits.is_empty() && all_digits(digits));
    is_number.then_some(number)
}

/// Far beyond any length of digits at either end, and far from overflow when lengths are added.
const EXPONENT_MAX: i64 = 1 << 40;

fn saturating_exponent(text: &str) -> i64 {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let value = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(EXPONENT_MAX)
    });
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded_to_cents_without_binary_error() {
        let cases = [
            ("19.90", 1990),
            ("0.29", 29),
            ("1.15", 115),
            ("4.35", 435),
            ("19.999", 2000),
            ("19.994", 1999),
            ("19.9949999", 1999),
            ("59.699999999999996", 5970),
            ("1707.9999999999998e-2", 1708),
            ("0.005", 1),
            ("-0.005", -1),
            ("-19.999", -2000),
            ("-0.001", 0),
            ("7", 700),
            ("0", 0),
            ("1.5e3", 150_000),
            ("1.5E+3", 150_000),
            ("1999e-2", 1999),
            ("1999e-3", 200),
            ("1e-9999999999999999999999", 0),
            ("0e9999999999999999999999", 0),
            ("0.000e400", 0),
            ("12345678901234567890e-15", 1_234_568),
            ("10000000000000.00", CENTS_MAX),
        ];
        for (number, expected) in cases {
            assert_eq!(cents(number), Some(expected), "{number}");
        }
        for number in ["10000000000000.01", "-1e14", "1e9999999999999999999999", "9223372036854775807"] {
            assert_eq!(cents(number), None, "{number}");
        }
    }

    #[test]
    fn an_integer_is_one_however_it_is_written() {
        for (number, expected) in [
            ("200", 200),
            ("200.0", 200),
            ("2e2", 200),
            ("2000E-1", 200),
            ("0", 0),
            ("-0", 0),
            ("999.000000", 999),
        ] {
            assert_eq!(integer(number, 999), Some(expected), "{number}");
        }
        for number in ["200.5", "200.0001", "-1", "1000", "2e-1", "1e400", "200.00000000001"] {
            assert_eq!(integer(number, 999), None, "{number}");
        }
        assert_eq!(
            (digits("7.0"), digits("-7"), digits("7.5"), digits("7e0")),
            (Some("7"), Some("-7"), None, None)
        );
    }

    #[test]
    fn a_number_in_a_text_may_have_blanks_a_plus_and_zeros_before_it() {
        for (text, number) in [
            ("14.50", "14.50"),
            (" 7 ", "7"),
            ("+7", "7"),
            ("-1", "-1"),
            ("007", "007"),
            (".5", ".5"),
            ("1e3", "1e3"),
        ] {
            assert_eq!(in_text(text), Some(number), "{text}");
        }
        for text in ["", " ", "-", ".", "1e", "12,50", "1.2.3", "0x1f", "NaN", "1_000", "€7", "--1", "+-1"]
        {
            assert_eq!(in_text(text), None, "{text}");
        }
    }
}
