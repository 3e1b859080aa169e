//! Names made fit for line protocol: before they are counted, so that no two names become one point.
//!
//! A control character becomes a blank, a backslash [`WIDE_BACKSLASH`], and an empty name [`EMPTY`]. What is fit stays as
//! it is.

use std::borrow::Cow;

/// What stands for a backslash, which line protocol cannot escape at the end of a tag: `U+FF3C`, which looks alike.
const WIDE_BACKSLASH: char = '\u{ff3c}';
/// What an empty name becomes, as a tag cannot be empty.
const EMPTY: &str = "none";

/// The name as it is counted.
pub(crate) fn name(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed(EMPTY);
    }
    if is_fit(text) {
        return Cow::Borrowed(text);
    }
    let mut fit = String::with_capacity(text.len() + 8);
    write(text, &mut fit);
    Cow::Owned(fit)
}

/// Whether nothing in it has to be replaced.
pub(crate) fn is_fit(text: &str) -> bool {
    text.chars().all(|c| replaced(c) == c)
}

/// Writes what each character becomes.
pub(crate) fn write(text: &str, to: &mut String) {
    to.extend(text.chars().map(replaced));
}

fn replaced(c: char) -> char {
    match c {
        '\\' => WIDE_BACKSLASH,
        c if c.is_control() => ' ', // up to U+001F, DEL, and U+0080 to U+009F
        c => c,
    }
}

/// Whether bytes of a plain record may need replacing: its texts have no escapes, so neither backslashes nor the control
/// characters that JSON escapes. What is left is DEL, and what begins with a byte above it.
#[inline]
pub(crate) fn is_odd(plain: &[u8]) -> bool {
    let high = |word: u64| word | word.wrapping_add(0x0101_0101_0101_0101);
    let high = match (plain.as_chunks::<8>().0, plain.last_chunk::<8>()) {
        // The last eight bytes, too, be it that most were among the chunks.
        (words, Some(last)) => {
            let words = words.iter().map(|word| high(u64::from_le_bytes(*word)));
            words.fold(high(u64::from_le_bytes(*last)), |all, of| all | of)
        }
        (_, None) => plain.iter().fold(0, |all, byte| all | high(u64::from(*byte))),
    };
    high & 0x8080_8080_8080_8080 != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_line_protocol_cannot_write_is_replaced() {
        for (text, expected) in [
            ("spring", "spring"),
            ("", "none"),
            (" ", " "),
            ("a\nb\tc\r\n", "a b c  "),
            ("\u{7f}\u{80}\u{85}\u{9f}\u{a0}", "    \u{a0}"),
            ("a\\", "a\u{ff3c}"),
            ("a\u{ff3c}", "a\u{ff3c}"),
            ("größe,=\"", "größe,=\""),
        ] {
            assert_eq!(name(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_fit_stays_and_what_is_not_odd_is_fit(text in "[ -~\u{7f}-\u{a5}\u{ff3c}\\\\\n]{0,20}") {
            let fit = name(&text);
            prop_assert_eq!(name(&fit), &*fit);
            prop_assert!(text.is_empty() || is_fit(&text) == (fit == text));
            let plain = text.replace(['\\', '\n'], "");
            prop_assert!(is_odd(plain.as_bytes()) || is_fit(&plain));
            prop_assert_eq!(is_odd(plain.as_bytes()), plain.bytes().any(|byte| byte >= 0x7f));
        }
    }
}
