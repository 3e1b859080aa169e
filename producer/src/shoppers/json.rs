//! Writes events as JSON, straight into the buffer they are sent from.
//!
//! Every record begins with the same three fields in places that never move, so most of it is one copy of a
//! template; the user's id, which is also the Kafka key, is found there without a search.

use std::ops::Range;

use events::Timestamp;

use super::catalog::USER_ID_LEN;

const HEAD: &[u8; 115] =
    b"{\"event_id\":\"................\",\"user_id\":\"....................................\",\
\"event_timestamp\":.................";
const EVENT_ID_AT: usize = 13;
const SECONDS_AT: usize = 98;
const MICROS_AT: usize = 109;

/// Where in every record the user's id lies.
pub(crate) const USER_ID: Range<usize> = 42..42 + USER_ID_LEN;

/// The event times that can be written: those whose seconds have ten digits, 2001-09-09 to 2286-11-20.
pub(crate) const TIMES: Range<i64> = 1_000_000_000_000_000..10_000_000_000_000_000;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The fields every record begins with.
#[derive(Debug)]
pub(crate) struct Head {
    bytes: [u8; HEAD.len()],
    second: i64,
}

impl Head {
    pub(crate) fn new() -> Self {
        Self { bytes: *HEAD, second: -1 }
    }

    /// Writes `{"event_id":…,"user_id":…,"event_timestamp":…`; the caller goes on with a comma.
    pub(crate) fn write(
        &mut self,
        out: &mut Vec<u8>,
        event_id: u64,
        user_id: &[u8; USER_ID_LEN],
        time: Timestamp,
    ) {
        debug_assert!(TIMES.contains(&time.micros()), "the start time was checked");
        let second = time.secs();
        if second != self.second {
            self.second = second;
            let text = &mut self.bytes[SECONDS_AT..MICROS_AT];
            text[10] = b'.';
            write_padded(&mut text[..10], second as u64);
        }
        write_padded(&mut self.bytes[MICROS_AT..], (time.micros() - second * 1_000_000) as u64);
        let id: &mut [u8; 16] =
            (&mut self.bytes[EVENT_ID_AT..EVENT_ID_AT + 16]).try_into().expect("16 bytes");
        *id = hex(event_id);
        self.bytes[USER_ID].copy_from_slice(user_id);
        out.extend_from_slice(&self.bytes);
    }
}

/// 16 hexadecimal digits.
pub(crate) fn hex(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (byte, digits) in number.to_be_bytes().iter().zip(text.chunks_exact_mut(2)) {
        digits[0] = HEX[usize::from(byte >> 4)];
        digits[1] = HEX[usize::from(byte & 0xf)];
    }
    text
}

/// `number` with its last digits at the end of `text` and zeros before it.
fn write_padded(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// An integer.
pub(crate) fn integer(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A number with one decimal, given in tenths.
pub(crate) fn tenths(out: &mut Vec<u8>, number: u32) {
    integer(out, u64::from(number / 10));
    out.extend_from_slice(&[b'.', b'0' + (number % 10) as u8]);
}

/// A number with two decimals, given in hundredths.
pub(crate) fn hundredths(out: &mut Vec<u8>, number: u64) {
    integer(out, number / 100);
    let rest = (number % 100) as u8;
    out.extend_from_slice(&[b'.', b'0' + rest / 10, b'0' + rest % 10]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_has_its_fields_in_their_places() {
        let mut head = Head::new();
        let mut out = Vec::new();
        let user = b"5d529ba5-063a-45dc-a405-04dc2eebd26b";
        head.write(&mut out, 0x0123_4567_89ab_cdef, user, Timestamp::from_micros(1_755_720_654_000_182));
        assert_eq!(
            str::from_utf8(&out).unwrap(),
            "{\"event_id\":\"0123456789abcdef\",\"user_id\":\"5d529ba5-063a-45dc-a405-04dc2eebd26b\",\
             \"event_timestamp\":1755720654.000182"
        );
        assert_eq!(&out[USER_ID], user);
        out.clear();
        head.write(&mut out, 0, user, Timestamp::from_micros(1_755_720_653_999_999));
        assert!(out.ends_with(b"1755720653.999999"), "a second that goes back is written too");
    }

    #[test]
    fn decimals_keep_their_zeros() {
        let mut out = Vec::new();
        tenths(&mut out, 314);
        out.push(b' ');
        tenths(&mut out, 5);
        out.push(b' ');
        hundredths(&mut out, 1_990);
        out.push(b' ');
        hundredths(&mut out, 7);
        assert_eq!(str::from_utf8(&out).unwrap(), "31.4 0.5 19.90 0.07");
    }
}
