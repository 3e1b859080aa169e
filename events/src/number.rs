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

/// An amount in cents, further decimals cut off; `None` beyond ±[`CENTS_MAX`].
pub(crate) fn cents(number: &str) -> Option<i64> {
    scaled(number, 2, CENTS_MAX.into()).and_then(|cents| i64::try_from(cents).ok())
}

/// Whether the number is written as an integer: `200`, but neither `200.0` nor `2e2`.
pub(crate) fn is_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
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
    fn amounts_are_cut_to_cents_without_binary_error() {
        let cases = [
            ("19.90", 1990),
            ("0.29", 29),
            ("1.15", 115),
            ("4.35", 435),
            ("19.999", 1999),
            ("-19.999", -1999),
            ("-0.001", 0),
            ("7", 700),
            ("0", 0),
            ("1.5e3", 150_000),
            ("1.5E+3", 150_000),
            ("1999e-2", 1999),
            ("1999e-3", 199),
            ("1e-9999999999999999999999", 0),
            ("0e9999999999999999999999", 0),
            ("0.000e400", 0),
            ("12345678901234567890e-15", 1_234_567),
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
    fn an_integer_is_told_by_how_it_is_written() {
        assert!(is_integer("200") && is_integer("-1"));
        assert!(!is_integer("200.0") && !is_integer("2e2") && !is_integer("2E2"));
    }
}
