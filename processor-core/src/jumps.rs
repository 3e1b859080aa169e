//! What the wall clock decided, kept so that a replay decides it again.
//!
//! A watermark follows from its log, but for one thing: while an input is idle, the wall clock and the frontier move
//! it on. When the input wakes up, that is noted as a *jump*: from the record at this offset on, events are judged by
//! a watermark of at least so much. With the jumps of a span, what was decided in it is a function of the log again.

use std::collections::VecDeque;

use crate::clock::{NOT_BEGUN, ReplayPoint};
use crate::options::SECOND;

/// Before the record at `offset`, the watermark moves to `watermark` if it is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// The first record that is judged by it.
    pub offset: i64,
    /// Microseconds.
    pub watermark: i64,
}

/// Bytes that an input's jumps may take when encoded: 3,000 characters of the 4,096 bytes that Kafka grants to the
/// metadata of a commit. A jump takes two bytes where silences are shorter than a minute and the records between two
/// of them fewer than 128, so this is for a thousand silences of one replay span that each decided something.
pub(crate) const JUMPS_BYTES_MAX: usize = 2_250;

/// The jumps of one input's replay span, in order of offset and watermark.
#[derive(Debug, Default)]
pub(crate) struct Jumps {
    list: VecDeque<Jump>,
    /// How many of them are applied; the others lie ahead in a replay.
    applied: usize,
    /// Whether a record was judged otherwise for the last one applied.
    mattered: bool,
    /// Dropped as there was no room: a replay will not know of them.
    forgotten: u64,
}

impl Jumps {
    /// With these ahead, as committed.
    pub(crate) fn ahead(jumps: &[Jump]) -> Self {
        Self { list: jumps.iter().copied().collect(), ..Self::default() }
    }

    /// With these applied, the last of which mattered or not, and then these ahead.
    pub(crate) fn resumed(applied: Vec<Jump>, mattered: bool, ahead: impl Iterator<Item = Jump>) -> Self {
        let count = applied.len();
        let list = applied.into_iter().chain(ahead).collect();
        Self { list, applied: count, mattered, forgotten: 0 }
    }

    /// Whether the last jump applied decided something.
    pub(crate) fn mattered(&self) -> bool {
        self.applied > 0 && self.mattered
    }

    /// The offset at which the next jump is due; `i64::MAX` where none lies ahead.
    pub(crate) fn next_offset(&self) -> i64 {
        self.list.get(self.applied).map_or(i64::MAX, |jump| jump.offset)
    }

    /// Applies what is due before the record at `offset`: the watermark it leads to, if any was.
    pub(crate) fn apply(&mut self, offset: i64) -> Option<i64> {
        let mut reached = None;
        while let Some(jump) = self.list.get(self.applied).copied().filter(|jump| jump.offset <= offset) {
            self.drop_if_vain();
            reached = Some(jump.watermark);
            self.applied += 1;
            self.mattered = false;
        }
        reached
    }

    /// The watermark of the last jump applied.
    pub(crate) fn reached(&self) -> i64 {
        self.applied.checked_sub(1).map_or(NOT_BEGUN, |last| self.list[last].watermark)
    }

    /// The watermark of the one before.
    pub(crate) fn before_last(&self) -> i64 {
        self.applied.checked_sub(2).map_or(NOT_BEGUN, |before| self.list[before].watermark)
    }

    /// Notes a jump that is made now. None may lie ahead.
    pub(crate) fn note(&mut self, jump: Jump) {
        debug_assert_eq!(self.applied, self.list.len(), "new jumps follow those of the replay");
        self.drop_if_vain();
        self.list.push_back(jump);
        self.mattered = false;
        // The oldest goes first: it is the first that no replay would ask for.
        while encode(self.list.iter().copied(), jump.offset).len() + VARINT_MAX > JUMPS_BYTES_MAX {
            self.list.pop_front();
            self.forgotten += 1;
        }
        self.applied = self.list.len();
    }

    /// A record was judged otherwise than without the last jump.
    pub(crate) fn matters(&mut self) {
        self.mattered = true;
    }

    /// The log itself has reached `watermark`. A jump that it overtook before any record was judged by it decided
    /// nothing, and is not worth keeping: most silences end with events of the present.
    pub(crate) fn overtaken(&mut self, watermark: i64) {
        if self.applied > 0 && self.reached() <= watermark {
            self.drop_if_vain();
        }
    }

    /// Forgets what a replay from `from` does not need: jumps before it that are not in force there.
    pub(crate) fn trim(&mut self, from: ReplayPoint) {
        let needless = |list: &VecDeque<Jump>| {
            let next_too = list.get(1).is_some_and(|next| next.offset <= from.offset);
            list.front().is_some_and(|jump| {
                jump.offset <= from.offset && (next_too || jump.watermark <= from.watermark)
            })
        };
        while self.applied > 0 && needless(&self.list) {
            self.list.pop_front();
            self.applied -= 1;
        }
    }

    /// As [`Jumps::since`], without what [`Jumps::trim`] would forget.
    pub(crate) fn needed(&self, from: ReplayPoint) -> Vec<Jump> {
        let mut needed = Self { list: self.list.clone(), applied: self.applied, ..Self::default() };
        needed.trim(from);
        needed.since(from)
    }

    /// All that are kept, as a replay from `from` has to apply them.
    pub(crate) fn since(&self, from: ReplayPoint) -> Vec<Jump> {
        let at_first = |jump: &Jump| Jump { offset: jump.offset.max(from.offset), ..*jump };
        self.list.iter().map(at_first).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn drop_if_vain(&mut self) {
        if self.applied > 0 && !self.mattered {
            self.applied -= 1;
            self.list.remove(self.applied);
            self.mattered = true; // those before were kept as they had mattered
        }
    }
}

/// Jumps as the text of a commit's metadata: offsets from `from` on and watermarks as differences, most in two bytes,
/// as base64 (RFC 4648, URL-safe, without padding).
pub(crate) fn to_text(jumps: &[Jump], from: i64) -> String {
    let bytes = encode(jumps.iter().copied(), from);
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

/// Reads what [`to_text`] wrote; `None` for anything else.
pub(crate) fn from_text(text: &str, from: i64) -> Option<Vec<Jump>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        if chunk.len() == 1 {
            return None;
        }
        let mut bits = 0;
        for digit in chunk {
            bits = bits << 6 | ALPHABET.iter().position(|of| of == digit)? as u32;
        }
        bits <<= 6 * (4 - chunk.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    let mut bytes = &bytes[..];
    let mut jumps = Vec::new();
    let mut last = Jump { offset: from, watermark: FIRST_S * SECOND };
    while !bytes.is_empty() {
        let offset = last.offset.checked_add_unsigned(take(&mut bytes)?)?;
        let seconds = take(&mut bytes)?;
        let micros = if seconds & 1 == 0 { 0 } else { take(&mut bytes).filter(|of| *of < SECOND as u64)? };
        let second = last.watermark.div_euclid(SECOND).checked_add_unsigned(seconds >> 1)?;
        let watermark = second.checked_mul(SECOND)?.checked_add_unsigned(micros)?;
        last = Jump { offset, watermark };
        jumps.push(last);
    }
    Some(jumps)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The longest LEB128 of a `u64`: what the first offset may take more than was reckoned with.
const VARINT_MAX: usize = 10;

/// Seconds before every watermark, so that differences are never negative.
const FIRST_S: i64 = i64::MIN / SECOND;

fn encode(jumps: impl Iterator<Item = Jump>, from: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // `from` may be later than the first where only the length is asked for: as long as any.
    let mut last = Jump { offset: from, watermark: FIRST_S * SECOND };
    for jump in jumps {
        put(&mut bytes, jump.offset.saturating_sub(last.offset).max(0) as u64);
        let seconds = jump.watermark.div_euclid(SECOND) - last.watermark.div_euclid(SECOND);
        let micros = jump.watermark.rem_euclid(SECOND) as u64;
        put(&mut bytes, (seconds as u64) << 1 | u64::from(micros > 0));
        if micros > 0 {
            put(&mut bytes, micros);
        }
        last = jump;
    }
    bytes
}

/// LEB128.
fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
