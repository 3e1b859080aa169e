//! Which name follows which.

use crate::EventType;
use crate::decoder::check::TypeName;
use crate::names::{Field, NAMES_MAX, Names};

/// A power of two, so that a masked id needs no bounds check.
const IDS: usize = 128;
const CONTEXTS: usize = 16;

/// The names as they stand in records, and for each the one that followed it last.
///
/// What followed is kept for each event type apart: where layouts differ by type, as they do in a topic of many
/// types, they do not disturb each other.
#[derive(Debug)]
pub(crate) struct Layout {
    patterns: Box<[Pattern; IDS]>,
    next: Box<[[u8; IDS]; CONTEXTS]>,
}

/// `"name":`, ready to be compared with 16 or 32 bytes of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pattern {
    pub(super) id: u8,
    pub(super) field: Option<Field>,
    /// The first 16 bytes, filled up with zeros, and which of them count.
    first: u128,
    mask: u128,
    /// The last 16 bytes, if there are more than 16.
    last: u128,
    length: u8,
}

impl Pattern {
    const BYTES_MAX: usize = 32;
    /// No record has a zero byte where a name begins.
    const NEVER: Self =
        Self { id: Layout::UNKNOWN, field: None, first: 0, mask: u128::MAX, last: 0, length: 0 };

    fn new(id: u8, name: &str, field: Field) -> Self {
        let text = format!("\"{name}\":");
        // A name that records write with escapes, or a longer one, is looked up each time.
        if text.len() > Self::BYTES_MAX || name.contains(|char| matches!(char, '"' | '\\' | '\0'..' ')) {
            return Self { id, field: Some(field), ..Self::NEVER };
        }
        let length = text.len().min(16);
        let (mut first, mut mask) = ([0; 16], [0; 16]);
        first[..length].copy_from_slice(&text.as_bytes()[..length]);
        mask[..length].fill(0xff);
        Self {
            id,
            field: Some(field),
            first: u128::from_le_bytes(first),
            mask: u128::from_le_bytes(mask),
            last: text.as_bytes().last_chunk().map_or(0, |last| u128::from_le_bytes(*last)),
            length: text.len() as u8,
        }
    }

    /// The position after the name and its colon, if this name is what begins at `at`.
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
        Some(at + end)
    }
}

impl Layout {
    /// The id of a name that means nothing.
    pub(crate) const UNKNOWN: u8 = 126;
    /// Stands for the beginning of the record.
    pub(crate) const START: u8 = 127;
    /// The context before the event type has been read.
    pub(crate) const NO_TYPE: u8 = 15;

    pub(crate) fn new(names: &Names) -> Self {
        const { assert!(NAMES_MAX <= Self::UNKNOWN as usize) };
        let mut patterns = Box::new([Pattern::NEVER; IDS]);
        for (id, (pattern, name)) in (0..).zip(patterns.iter_mut().zip(names.all())) {
            *pattern = Pattern::new(id, &name.text, name.field);
        }
        Self { patterns, next: Box::new([[Self::UNKNOWN; IDS]; CONTEXTS]) }
    }

    pub(crate) fn context(named: TypeName<'_>) -> u8 {
        match named {
            TypeName::Known(kind) => kind as u8,
            TypeName::Click => EventType::ALL.len() as u8,
            TypeName::Unknown(_) => EventType::Other as u8,
            TypeName::Absent => Self::NO_TYPE,
        }
    }

    #[inline(always)]
    pub(crate) fn next(&self, context: u8, previous: u8) -> u8 {
        self.next[usize::from(context) % CONTEXTS][usize::from(previous) % IDS]
    }

    pub(crate) fn learn(&mut self, context: u8, previous: u8, id: u8) {
        self.next[usize::from(context) % CONTEXTS][usize::from(previous) % IDS] = id;
    }

    #[inline(always)]
    pub(super) fn pattern(&self, id: u8) -> &Pattern {
        &self.patterns[usize::from(id) % IDS]
    }
}
