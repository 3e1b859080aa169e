//! Finding ends and reading numbers, eight or sixteen bytes at a time.

use wide::u8x16;

use crate::Timestamp;
use crate::moment::{MICROS_LIMIT, MILLIS_END, SECONDS_END, in_range};
use crate::number::CENTS_MAX;

/// Past a single blank, if there is one.
#[inline(always)]
pub(super) fn blank(bytes: &[u8], at: usize) -> usize {
    at + usize::from(bytes.get(at) == Some(&b' '))
}

/// The position after the value here, if that is neither an object nor an array.
#[inline(never)]
pub(super) fn scalar_end(bytes: &[u8], at: usize, quotes: &Quotes) -> Option<usize> {
    let rest = bytes.get(at..)?;
    match rest.first()? {
        b'"' => quotes.next(at + 1).map(|end| end + 1),
        b'n' => rest.starts_with(b"null").then_some(at + 4),
        b't' => rest.starts_with(b"true").then_some(at + 4),
        b'f' => rest.starts_with(b"false").then_some(at + 5),
        b'-' => decimal(bytes, at + 1).map(|(_, end)| end),
        _ => decimal(bytes, at).map(|(_, end)| end),
    }
}

/// The position after the object or array that begins here, if all of it is plain.
#[inline(never)]
pub(super) fn container_end(bytes: &[u8], mut at: usize, quotes: &Quotes) -> Option<usize> {
    /// As many as there are bits for.
    const DEPTH_MAX: u32 = 64;
    // The innermost is the lowest bit: 1 is an object.
    let (mut open, mut depth) = (0_u64, 0);
    loop {
        let is_object = match *bytes.get(at)? {
            b'{' => Some(true),
            b'[' => Some(false),
            _ => None,
        };
        let mut is_empty = false;
        match is_object {
            Some(is_object) => {
                if depth == DEPTH_MAX {
                    return None;
                }
                (open, depth) = (open << 1 | u64::from(is_object), depth + 1);
                at = blank(bytes, at + 1);
                is_empty = matches!(*bytes.get(at)?, b'}' | b']');
                if !is_empty {
                    if is_object {
                        at = value_of_name(bytes, at, quotes)?;
                    }
                    continue;
                }
            }
            None => at = scalar_end(bytes, at, quotes)?,
        }
        loop {
            let is_object = open & 1 == 1;
            match *bytes.get(at)? {
                b',' if !is_empty => {
                    at = blank(bytes, at + 1);
                    if is_object {
                        at = value_of_name(bytes, at, quotes)?;
                    }
                    break;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            (open, depth, at, is_empty) = (open >> 1, depth - 1, at + 1, false);
            if depth == 0 {
                return Some(at);
            }
        }
    }
}

/// The position of the value of the name at this position.
fn value_of_name(bytes: &[u8], at: usize, quotes: &Quotes) -> Option<usize> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let end = quotes.next(at + 1)?;
    (*bytes.get(end + 1)? == b':').then(|| blank(bytes, end + 2))
}

/// Where the quotes of a record are: found in one pass, sixteen bytes at a time, and then asked for one by one.
#[derive(Debug)]
pub(super) struct Quotes {
    /// A bit per byte. What lies past the record is of an earlier one.
    words: Vec<u64>,
    ascii: bool,
}

/// What was seen in a record, lane by lane.
struct Seen {
    /// The least byte: below 0x20 JSON forbids it in a string.
    least: u8x16,
    /// Zero where there was a backslash.
    unlike_backslash: u8x16,
    /// Bytes above 0x7f in their highest bit.
    high: u8x16,
}

impl Quotes {
    pub(super) fn new() -> Self {
        Self { words: vec![0; 64], ascii: true } // enough for 4 KiB of record
    }

    /// Looks through a record. `None` if it has a backslash or a control character.
    #[inline(always)]
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<()> {
        let (blocks, tail) = bytes.as_chunks::<64>();
        if self.words.len() <= blocks.len() {
            self.words.resize(blocks.len() + 1, 0);
        }
        let full = u8x16::splat(u8::MAX);
        let mut seen = Seen { least: full, unlike_backslash: full, high: u8x16::splat(0) };
        for (word, block) in self.words.iter_mut().zip(blocks) {
            *word = quotes_of_block(block, &mut seen);
        }
        if !tail.is_empty() {
            self.words[blocks.len()] = match bytes.last_chunk::<64>() {
                Some(last) => quotes_of_block(last, &mut seen) >> (64 - tail.len()),
                None => {
                    let mut padded = [b' '; 64];
                    padded[..tail.len()].copy_from_slice(tail);
                    quotes_of_block(&padded, &mut seen)
                }
            };
        }
        self.ascii = seen.high.move_mask() == 0;
        let forbidden = seen.least.cmp_eq(seen.least.min(u8x16::splat(0x1f)));
        let odd = forbidden | seen.unlike_backslash.cmp_eq(u8x16::splat(0));
        (odd.move_mask() == 0).then_some(())
    }

    /// Whether the record is all ASCII.
    #[inline(always)]
    pub(super) fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// The position of the first quote at or after `at`; one past the record's end may be of an earlier record.
    #[inline(always)]
    pub(super) fn next(&self, at: usize) -> Option<usize> {
        let mut word = at / 64;
        let mut bits = *self.words.get(word)? & (u64::MAX << (at % 64));
        while bits == 0 {
            word += 1;
            bits = *self.words.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }
}

#[inline(always)]
fn quotes_of_block(block: &[u8; 64], seen: &mut Seen) -> u64 {
    let (lanes, _) = block.as_chunks::<16>();
    let mut quotes = 0;
    for (at, lanes) in lanes.iter().enumerate() {
        let lanes = u8x16::new(*lanes);
        let mask = lanes.cmp_eq(u8x16::splat(b'"')).move_mask();
        quotes |= u64::from(mask as u32) << (16 * at);
        seen.least = seen.least.min(lanes);
        seen.unlike_backslash = seen.unlike_backslash.min(lanes ^ u8x16::splat(b'\\'));
        seen.high |= lanes;
    }
    quotes
}

/// An unsigned number without exponent, of at most 19 digits together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    integer: u64,
    /// The digits after the point as an integer, and how many they are.
    fraction: u64,
    fraction_digits: usize,
    digits: usize,
}

const DIGITS_MAX: usize = 19;

const POWERS: [u64; DIGITS_MAX + 1] = {
    let mut powers = [1; DIGITS_MAX + 1];
    let mut exponent = 1;
    while exponent <= DIGITS_MAX {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// The time written as ten digits of seconds and six of microseconds, and the position after it.
#[inline(always)]
pub(super) fn seconds_with_micros(bytes: &[u8], at: usize) -> Option<(Timestamp, usize)> {
    const LENGTH: usize = 17;
    let text: &[u8; LENGTH + 1] = bytes.get(at..)?.first_chunk()?;
    let [first, .., last, next] = *text;
    let high = u64::from_le_bytes(*text.first_chunk()?);
    let low = u64::from_le_bytes(*text[8..].first_chunk()?);
    // Ten digits, then the point, then six: without the point they are the microseconds.
    let point = (low >> 16) as u8;
    let low = low & 0xffff | low >> 24 << 16 | u64::from(last) << 56;
    if first == b'0' || point != b'.' || next.is_ascii_digit() || !all_digits(high) || !all_digits(low) {
        return None;
    }
    let micros = joined(high) * 100_000_000 + joined(low);
    Some((in_range(micros as i64)?, at + LENGTH))
}

/// A number of at most seven characters in all, as most are, and the position after it; `None` if it is any other.
#[inline(always)]
pub(super) fn short_decimal(bytes: &[u8], at: usize) -> Option<(Decimal, usize)> {
    let word = word(bytes, at);
    let (integer, digits) = eight_digits(word);
    if digits == 0 || digits == 8 || digits > 1 && word as u8 == b'0' {
        return None;
    }
    let rest = word >> (8 * digits);
    if rest as u8 != b'.' {
        return Some((Decimal { integer, fraction: 0, fraction_digits: 0, digits }, at + digits));
    }
    let (fraction, fraction_digits) = eight_digits(rest >> 8);
    let length = digits + 1 + fraction_digits;
    let whole = fraction_digits > 0 && length < 8;
    whole.then_some((
        Decimal { integer, fraction, fraction_digits, digits: digits + fraction_digits },
        at + length,
    ))
}

/// The number that begins at `at` and the position after it.
///
/// What follows is for the caller to judge: an exponent, for one, is no separator.
#[inline(always)]
pub(super) fn decimal(bytes: &[u8], at: usize) -> Option<(Decimal, usize)> {
    let (integer, end) = integer(bytes, at)?;
    let digits = end - at;
    if bytes.get(end) != Some(&b'.') {
        return Some((Decimal { integer, fraction: 0, fraction_digits: 0, digits }, end));
    }
    let (fraction, fraction_digits) = digits_at(bytes, end + 1);
    let digits = digits + fraction_digits;
    if fraction_digits == 0 || digits > DIGITS_MAX {
        return None;
    }
    Some((Decimal { integer, fraction, fraction_digits, digits }, end + 1 + fraction_digits))
}

/// The digits that begin at `at` and the position after them; neither a sign nor a leading zero before another digit.
#[inline(always)]
fn integer(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let (integer, digits) = digits_at(bytes, at);
    let plain = digits == 1 || digits <= DIGITS_MAX && bytes.get(at) != Some(&b'0');
    (digits > 0 && plain).then_some((integer, at + digits))
}

/// The value of the digits that begin at `at` and how many they are; the value is right for at most 19.
#[inline(always)]
fn digits_at(bytes: &[u8], at: usize) -> (u64, usize) {
    let (mut value, mut count) = eight_digits(word(bytes, at));
    if count == 8 {
        loop {
            let (more, digits) = eight_digits(word(bytes, at + count));
            value = value.wrapping_mul(POWERS[digits]).wrapping_add(more);
            count += digits;
            if digits < 8 {
                break;
            }
        }
    }
    (value, count)
}

/// The eight bytes at `at`, the first lowest; zeros stand for what lies past the end.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    if let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        return u64::from_le_bytes(*chunk);
    }
    match (bytes.last_chunk(), bytes.len().saturating_sub(at)) {
        (Some(chunk), remaining @ 1..8) => u64::from_le_bytes(*chunk) >> (64 - 8 * remaining),
        _ => 0,
    }
}

/// The value of the digits the word begins with and how many they are.
#[inline(always)]
fn eight_digits(word: u64) -> (u64, usize) {
    let digits = word ^ 0x3030_3030_3030_3030;
    // A carry can only disturb the bytes after the first that is no digit.
    let others = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() as usize / 8;
    if count == 0 {
        return (0, 0);
    }
    // Moved up, so that zeros lead.
    (joined(digits << (64 - 8 * count)), count)
}

/// Whether all eight bytes are digits.
#[inline(always)]
fn all_digits(word: u64) -> bool {
    let digits = word ^ 0x3030_3030_3030_3030;
    (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080 == 0
}

/// Eight digits, the first lowest, to their value: neighbours to pairs, pairs to fours, fours to eight.
#[inline(always)]
fn joined(digits: u64) -> u64 {
    let digits = digits & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (digits.wrapping_mul(10).wrapping_add(digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xffff_ffff
}

impl Decimal {
    /// The time this is, told by magnitude.
    #[inline(always)]
    pub(super) fn time(self) -> Option<Timestamp> {
        let micros = match self.integer {
            0..SECONDS_END => self.integer * 1_000_000 + self.fraction_cut_to(6),
            SECONDS_END..MILLIS_END => self.integer * 1_000 + self.fraction_cut_to(3),
            MILLIS_END..MICROS_LIMIT => self.integer,
            nanos => nanos / 1_000, // of at most 19 digits
        };
        in_range(micros as i64)
    }

    pub(super) fn is_integer(self) -> bool {
        self.fraction_digits == 0
    }

    /// The integer this is, if written as one and below `end`.
    #[inline(always)]
    pub(super) fn whole_below(self, end: u64) -> Option<u16> {
        (self.is_integer() && self.integer < end).then_some(self.integer as u16)
    }

    #[inline(always)]
    pub(super) fn cents(self) -> Option<i64> {
        let units = i64::try_from(self.integer).ok().filter(|units| *units < CENTS_MAX / 100)?;
        // Rounded half up by the third decimal.
        Some(units * 100 + (self.fraction_cut_to(3) as i64 + 5) / 10)
    }

    #[inline(always)]
    fn fraction_cut_to(self, digits: usize) -> u64 {
        if self.fraction_digits <= digits {
            self.fraction * POWERS[digits - self.fraction_digits]
        } else {
            self.fraction / POWERS[self.fraction_digits - digits]
        }
    }

    /// The nearest double, if a single division finds it.
    #[inline(always)]
    pub(super) fn float(self) -> Option<f64> {
        if self.digits > 15 {
            return None;
        }
        // Both are integers below 2^53, so the quotient is rounded once. As signed they are converted faster.
        let mantissa = self.integer * POWERS[self.fraction_digits] + self.fraction;
        Some(mantissa as i64 as f64 / POWERS[self.fraction_digits] as i64 as f64)
    }
}
