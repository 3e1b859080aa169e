//! Which name follows which, and how it is written.

use wide::u8x16;

use super::found::bit;
use crate::EventType;
use crate::decoder::check::TypeName;
use crate::field::Field;
use crate::names::{NAMES_MAX, Names};

/// As many as a byte tells apart, so that an id needs no bounds check.
const IDS: usize = 1 << u8::BITS;
/// The event types, `click`, and none: more than there are, and a power of two.
const CONTEXTS: usize = 16;

/// For each name how it was written last, and which two followed it last.
///
/// What followed is kept for each event type apart: where layouts differ by type, as they do in a topic of many
/// types, they do not disturb each other. Two, as a field that some records have and others lack is common.
#[derive(Debug)]
pub(crate) struct Layout {
    joints: Box<[Joint; IDS]>,
    /// By name and context the one that followed last, and the one before that was another.
    followers: Box<[[Followers; CONTEXTS]; IDS]>,
}

#[derive(Debug, Clone, Copy)]
struct Followers {
    last: u8,
    other: u8,
}

/// What stands before a value, from the comma on (or the record's brace): `,"name":"` with or without its blanks, and
/// with the quote if a string follows. Ready to be compared with 16 or 32 bytes of a record; a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Joint {
    /// The first 16 bytes, filled up with zeros.
    first: [u8; 16],
    /// The last 16 bytes, if there are more than 16.
    last: [u8; 16],
    /// The field's own bit; none for names that mean nothing, so that they may be repeated.
    pub(super) bit: u32,
    /// Which of the first bytes count, a bit each.
    needed: u16,
    length: u8,
    pub(super) field: Field,
    /// Whether it ends in the quote that begins a string.
    pub(super) opens_text: bool,
}

const _: () = assert!(size_of::<Joint>() == 64);

impl Joint {
    const BYTES_MAX: usize = 32;

    /// A name not seen yet: no record has a zero byte where a name begins.
    const fn new(field: Field) -> Self {
        let bit = bit(field) & !bit(Field::Ignored);
        let (first, last, needed) = ([0; 16], [0; 16], u16::MAX);
        Self { first, last, bit, needed, length: 0, field, opens_text: false }
    }

    fn learn(&mut self, text: &[u8]) {
        *self = Self::new(self.field);
        if text.len() > Self::BYTES_MAX {
            return;
        }
        let length = text.len().min(16);
        self.first[..length].copy_from_slice(&text[..length]);
        self.needed = u16::MAX >> (16 - length);
        self.last = text.last_chunk().copied().unwrap_or_default();
        self.length = text.len() as u8;
        self.opens_text = text.ends_with(b"\"");
    }

    /// How long it is, as far as that is known: see [`Joint::is_at`].
    #[inline(always)]
    pub(super) fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// Whether this is what begins at `at`.
    #[inline(always)]
    pub(super) fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let Some(first) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { return false };
        if equal_bytes(first, &self.first) & self.needed != self.needed {
            return false;
        }
        let end = at + usize::from(self.length);
        if self.length > 16 && bytes.get(end - 16..).and_then(|rest| rest.first_chunk()) != Some(&self.last) {
            return false;
        }
        // A blank or a quote here means that the value is written in another way than the last time.
        self.opens_text || bytes.get(end).is_some_and(|byte| *byte > b'"')
    }
}

/// A bit for each byte in which the two agree.
#[inline(always)]
fn equal_bytes(a: &[u8; 16], b: &[u8; 16]) -> u16 {
    u8x16::new(*a).cmp_eq(u8x16::new(*b)).move_mask() as u16
}

impl Layout {
    /// Stands for the end of the record.
    pub(super) const END: u8 = 125;
    /// The id of a name that means nothing.
    pub(super) const UNKNOWN: u8 = 126;
    /// Stands for the beginning of the record.
    pub(super) const START: u8 = 127;
    /// The context before the event type has been read.
    pub(super) const NO_TYPE: u8 = EventType::ALL.len() as u8 + 1;

    pub(crate) fn new(names: &Names) -> Self {
        const { assert!(NAMES_MAX <= Self::END as usize && (Self::NO_TYPE as usize) < CONTEXTS) };
        let mut joints = Box::new([const { Joint::new(Field::Ignored) }; IDS]);
        for (joint, name) in joints.iter_mut().zip(names.all()) {
            *joint = Joint::new(name.field);
        }
        let unknown = Followers { last: Self::UNKNOWN, other: Self::UNKNOWN };
        Self { joints, followers: Box::new([[unknown; CONTEXTS]; IDS]) }
    }

    pub(super) fn context(named: TypeName<'_>) -> u8 {
        match named {
            TypeName::Known(kind) => kind as u8,
            TypeName::Click => EventType::ALL.len() as u8,
            TypeName::Unknown(_) => EventType::Other as u8,
            TypeName::Absent => Self::NO_TYPE,
        }
    }

    /// How the name is written.
    #[inline(always)]
    pub(super) fn joint(&self, id: u8) -> &Joint {
        &self.joints[usize::from(id)]
    }

    /// The name that is likely to follow.
    #[inline(always)]
    pub(super) fn next(&self, context: u8, id: u8) -> u8 {
        self.followers[usize::from(id)][usize::from(context) % CONTEXTS].last
    }

    /// The second guess.
    #[inline(always)]
    pub(super) fn other(&self, context: u8, id: u8) -> u8 {
        self.followers[usize::from(id)][usize::from(context) % CONTEXTS].other
    }

    /// Notes that this name followed.
    #[inline]
    pub(super) fn follow(&mut self, context: u8, previous: u8, id: u8) {
        let followers = &mut self.followers[usize::from(previous)][usize::from(context) % CONTEXTS];
        if followers.last != id {
            *followers = Followers { last: id, other: followers.last };
        }
    }

    /// Notes how a name is written.
    pub(super) fn learn(&mut self, id: u8, text: &[u8]) {
        let joint = &mut self.joints[usize::from(id)];
        if id == Self::UNKNOWN {
            joint.opens_text = text.ends_with(b"\"");
        } else {
            joint.learn(text);
        }
    }
}
