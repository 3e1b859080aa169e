//! The hashes that state is keyed by. They are part of no format, only of a running process' state.

use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU64;

use xxhash_rust::xxh3::xxh3_64;

/// Identity of a text: equal hashes are taken as equal texts. Among a million live texts a new one is taken for another
/// with a chance of 10^6 / 2^64, below 10^-13.
#[inline]
pub(crate) fn identity(text: &[u8]) -> u64 {
    xxh3_64(text)
}

/// 64 bits for deduplication, where a collision drops one event; see `dedup` for the odds.
#[inline]
pub(crate) fn fingerprint(text: &[u8]) -> u64 {
    xxh3_64(text)
}

/// The same of an event's or order's id, in no more room where there is none.
#[inline]
pub(crate) fn id(text: &[u8]) -> NonZeroU64 {
    NonZeroU64::new(fingerprint(text)).unwrap_or(NonZeroU64::MIN)
}

/// A hasher for keys we make ourselves, which no sender can choose to collide.
pub(crate) type FastHash = BuildHasherDefault<Mix>;

/// One multiplication, its halves folded.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(value ^ self.0) * 0x9E37_79B9_7F4A_7C15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}
