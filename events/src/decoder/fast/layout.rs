//! Which name follows which, and how it is written.

use crate::EventType;
use crate::decoder::check::TypeName;
use crate::names::{Field, NAMES_MAX, Names};

/// A power of two, so that a masked id needs no bounds check.
const IDS: usize = 128;
const CONTEXTS: usize = 16;

/// For each name how it was written last, and which one followed it last.
///
/// What followed is kept for each event type apart: where layouts differ by type, as they do in a topic of many
/// types, they do not disturb each other.
#[derive(Debug)]
pub(crate) struct Layout {
    joints: Box<[Joint; IDS]>,
}

/// What stands between a separator and a value: ` "name": "` with or without its blanks, and with the quote if a
/// string follows. Ready to be compared with 16 or 32 bytes of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joint {
    pub(super) id: u8,
    pub(super) field: Field,
    /// Whether it ends in the quote that begins a string.
    pub(super) opens_text: bool,
    /// The field's own bit; none for names that mean nothing, so that they may be repeated.
    pub(super) bit: u32,
    /// The names that followed last, by context.
    next: [u8; CONTEXTS],
    length: u8,
    /// The first 16 bytes, filled up with zeros, and which of them count.
    first: u128,
    mask: u128,
    /// The last 16 bytes, if there are more than 16.
    last: u128,
}

impl Joint {
    const BYTES_MAX: usize = 32;

    /// A name not seen yet: no record has a zero byte where a name begins.
    const fn new(id: u8, field: Field) -> Self {
        let bit = if matches!(field, Field::Ignored) { 0 } else { 1 << field as u32 };
        let next = [Layout::UNKNOWN; CONTEXTS];
        Self { id, field, opens_text: false, bit, next, length: 0, first: 0, mask: u128::MAX, last: 0 }
    }

    fn learn(&mut self, text: &[u8]) {
        *self = Self { next: self.next, ..Self::new(self.id, self.field) };
        if text.len() > Self::BYTES_MAX {
            return;
        }
        let length = text.len().min(16);
        let (mut first, mut mask) = ([0; 16], [0; 16]);
        first[..length].copy_from_slice(&text[..length]);
        mask[..length].fill(0xff);
        self.first = u128::from_le_bytes(first);
        self.mask = u128::from_le_bytes(mask);
        self.last = text.last_chunk().map_or(0, |last| u128::from_le_bytes(*last));
        self.length = text.len() as u8;
        self.opens_text = text.ends_with(b"\"");
    }

    /// The name that is likely to follow.
    #[inline(always)]
    pub(super) fn next(&self, context: u8) -> u8 {
        self.next[usize::from(context) % CONTEXTS]
    }

    /// The position after this, if this is what begins at `at`.
    #[inline(always)]
    pub(super) fn match_at(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let rest = bytes.get(at..)?;
        let end = usize::from(self.length);
        if (u128::from_le_bytes(*rest.first_chunk()?) ^ self.first) & self.mask != 0 {
            return None;
        }
        if end > 16 && u128::from_le_bytes(*rest.get(..end)?.last_chunk()?) != self.last {
            return None;
        }
        // A blank or a quote here means that the value is written in another way than the last time.
        (self.opens_text || *rest.get(end)? > b'"').then_some(at + end)
    }
}

impl Layout {
    /// The id of a name that means nothing.
    pub(super) const UNKNOWN: u8 = 126;
    /// Stands for the beginning of the record.
    pub(super) const START: u8 = 127;
    /// The context before the event type has been read.
    pub(super) const NO_TYPE: u8 = 15;

    pub(crate) fn new(names: &Names) -> Self {
        const { assert!(NAMES_MAX <= Self::UNKNOWN as usize) };
        let mut joints = Box::new([const { Joint::new(Self::UNKNOWN, Field::Ignored) }; IDS]);
        for (id, (joint, name)) in (0..).zip(joints.iter_mut().zip(names.all())) {
            *joint = Joint::new(id, name.field);
        }
        Self { joints }
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
        &self.joints[usize::from(id) % IDS]
    }

    /// Notes that this name followed, written so.
    pub(super) fn learn(&mut self, context: u8, previous: u8, id: u8, text: &[u8]) -> &Joint {
        self.joints[usize::from(previous) % IDS].next[usize::from(context) % CONTEXTS] = id;
        let joint = &mut self.joints[usize::from(id) % IDS];
        if id == Self::UNKNOWN {
            joint.opens_text = text.ends_with(b"\"");
        } else {
            joint.learn(text);
        }
        joint
    }
}
