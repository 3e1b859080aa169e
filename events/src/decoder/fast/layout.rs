//! Which name follows which, and how it is written.

use wide::u8x16;

use super::found::bit;
use super::{FREE, IDENTITIES};
use crate::EventType;
use crate::decoder::check::TypeName;
use crate::field::Field;
use crate::names::{NAMES_MAX, Names, TYPE, Unit};
use crate::tree::{ROOT, Scope, Tree};

/// As many as a byte tells apart, so that an id needs no bounds check.
const IDS: usize = 1 << u8::BITS;
/// The event types, `click`, and none: more than there are, and a power of two.
const CONTEXTS: usize = 16;

/// For each name how it was written last, and which two followed it last.
///
/// What followed is kept for each event type apart: where layouts differ by type, as they do in a topic of many
/// types, they do not disturb each other. Two, as a field that some records have and others lack is common. Names that
/// mean nothing get numbers, too, as long as there are some: records are full of them.
#[derive(Debug)]
pub(crate) struct Layout {
    joints: Box<[Joint; IDS]>,
    /// By name and context the one that followed last, and the one before that was another.
    followers: Box<[[Followers; CONTEXTS]; IDS]>,
    /// The input's names, and those that were met and mean nothing.
    pub(super) tree: Tree,
    /// Places up to here may hold what is of interest.
    scopes: Scope,
    next_id: u8,
}

#[derive(Debug, Clone, Copy)]
struct Followers {
    last: u8,
    other: u8,
}

/// What stands before a value, from the end of the value before: `,"name":` with or without its blanks, with the braces
/// of objects that end and begin there, and with the quote if a string follows. Ready to be compared; a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Joint {
    /// The first 16 bytes, filled up with zeros.
    first: [u8; 16],
    /// The 16 before the last 16, if there are more than 32.
    middle: [u8; 16],
    /// The last 16 bytes, if there are more than 16.
    last: [u8; 16],
    /// The field's own bit; none for names that mean nothing, so that they may be repeated.
    pub(super) bit: u32,
    /// Which of the first 16 bytes count, a bit each.
    needed: u16,
    length: u8,
    pub(super) field: Field,
    pub(super) unit: Unit,
    /// Where the value before it lies, and where its own does.
    from: Scope,
    pub(super) to: Scope,
    flags: u8,
}

const _: () = assert!(size_of::<Joint>() == 64);

/// It ends in the quote that begins a string.
const OPENS_TEXT: u8 = 1;
/// See `Word::Everyday`.
const EVERYDAY: u8 = 2;
/// Members of its own are of interest, so that it matters whether it is an object.
const HAS_MEMBERS: u8 = 4;
/// It is the member `type`.
const IS_TYPE: u8 = 8;
/// Text is all that it can be, and taken as it is: an identity, or one that may be empty.
const AS_IT_IS: u8 = 16;

impl Joint {
    const BYTES_MAX: usize = 48;

    /// A name not seen yet: no record has a zero byte where a name begins.
    const fn new(field: Field, unit: Unit, flags: u8) -> Self {
        let bit = if matches!(field, Field::Ignored) { 0 } else { 1 << field as u32 };
        let (first, middle, last) = ([0; 16], [0; 16], [0; 16]);
        Self {
            first,
            middle,
            last,
            bit,
            needed: u16::MAX,
            length: 0,
            field,
            unit,
            from: ROOT,
            to: ROOT,
            flags,
        }
    }

    fn learn(&mut self, text: &[u8], from: Scope, to: Scope) {
        *self = Self::new(self.field, self.unit, self.flags & !OPENS_TEXT);
        (self.from, self.to) = (from, to);
        if text.ends_with(b"\"") {
            self.flags |= OPENS_TEXT;
        }
        if text.len() <= Self::BYTES_MAX {
            let length = text.len().min(16);
            self.first[..length].copy_from_slice(&text[..length]);
            self.needed = u16::MAX >> (16 - length);
            self.last = text.last_chunk().copied().unwrap_or_default();
            let before = text.split_last_chunk::<16>().map_or(&[][..], |(before, _)| before);
            self.middle = before.last_chunk().copied().unwrap_or_default();
            self.length = text.len() as u8;
        }
    }

    /// How long it is, as far as that is known: see [`Joint::is_at`].
    #[inline(always)]
    pub(super) fn length(&self) -> usize {
        usize::from(self.length)
    }

    #[inline(always)]
    pub(super) fn opens_text(&self) -> bool {
        self.flags & OPENS_TEXT != 0
    }

    #[inline(always)]
    pub(super) fn is_everyday(&self) -> bool {
        self.flags & EVERYDAY != 0
    }

    #[inline(always)]
    pub(super) fn has_members(&self) -> bool {
        self.flags & HAS_MEMBERS != 0
    }

    #[inline(always)]
    pub(super) fn is_taken_as_it_is(&self) -> bool {
        self.flags & AS_IT_IS != 0
    }

    #[inline(always)]
    pub(super) fn is_type(&self) -> bool {
        self.flags & IS_TYPE != 0
    }

    /// Whether this is what begins at `at`, after a value that lies in `from`.
    #[inline(always)]
    pub(super) fn is_at(&self, bytes: &[u8], at: usize, from: Scope) -> bool {
        let Some(first) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) else { return false };
        if equal_bytes(first, &self.first) & self.needed != self.needed || self.from != from {
            return false;
        }
        let length = self.length();
        let end = at + length;
        if length > 16 && bytes.get(end - 16..).and_then(|rest| rest.first_chunk()) != Some(&self.last) {
            return false;
        }
        if length > 32 && bytes.get(end - 32..).and_then(|rest| rest.first_chunk()) != Some(&self.middle) {
            return false;
        }
        // A blank or a quote here means that the value is written in another way than the last time.
        self.opens_text() || bytes.get(end).is_some_and(|byte| *byte > b'"')
    }
}

/// A bit for each byte in which the two agree.
#[inline(always)]
fn equal_bytes(a: &[u8; 16], b: &[u8; 16]) -> u16 {
    u8x16::new(*a).cmp_eq(u8x16::new(*b)).move_mask() as u16
}

impl Layout {
    /// Ids from here on mean nothing.
    pub(super) const LEARNED: u8 = NAMES_MAX as u8;
    /// Stands for the end of the record.
    pub(super) const END: u8 = 253;
    /// The id of a name that means nothing and found no number.
    pub(super) const UNKNOWN: u8 = 254;
    /// Stands for the beginning of the record.
    pub(super) const START: u8 = 255;
    /// Where a record has not begun.
    pub(super) const OUTSIDE: Scope = Scope::MAX;
    /// The context before the event type has been read.
    pub(super) const NO_TYPE: u8 = EventType::ALL.len() as u8 + 1;

    pub(crate) fn new(names: &Names) -> Self {
        const { assert!(NAMES_MAX < Self::END as usize && (Self::NO_TYPE as usize) < CONTEXTS) };
        let mut joints = Box::new([const { Joint::new(Field::Ignored, Unit::Millis, 0) }; IDS]);
        let tree = names.tree().clone();
        for (joint, name) in joints.iter_mut().zip(names.all()) {
            let is_type = name.everyday && name.field == Field::ConversionType && &*name.path == TYPE;
            let as_it_is = !is_type && bit(name.field) & (FREE | IDENTITIES) != 0;
            let flags = if name.everyday { EVERYDAY } else { 0 }
                | if is_type { IS_TYPE } else { 0 }
                | if as_it_is { AS_IT_IS } else { 0 };
            *joint = Joint::new(name.field, name.unit, flags);
        }
        for id in tree.names_with_members() {
            joints[usize::from(id)].flags |= HAS_MEMBERS;
        }
        let unknown = Followers { last: Self::UNKNOWN, other: Self::UNKNOWN };
        let scopes = tree.scopes();
        Self { joints, followers: Box::new([[unknown; CONTEXTS]; IDS]), tree, scopes, next_id: Self::LEARNED }
    }

    /// The number of a name that means nothing, given if need be.
    pub(super) fn number(&mut self, scope: Scope, key: &str) -> u8 {
        let id = self.next_id;
        if id >= Self::END || !self.tree.member(scope, key, id) {
            return Self::UNKNOWN;
        }
        self.next_id += 1;
        if self
            .tree
            .find(scope, key)
            .and_then(|member| member.inside())
            .is_some_and(|at| self.is_of_interest(at))
        {
            self.joints[usize::from(id)].flags |= HAS_MEMBERS;
        }
        id
    }

    /// Whether members of this place may mean something.
    pub(super) fn is_of_interest(&self, scope: Scope) -> bool {
        scope < self.scopes
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

    /// Notes how a name is written, between a value that lies in `from` and its own in `to`.
    pub(super) fn learn(&mut self, id: u8, text: &[u8], from: Scope, to: Scope) {
        let joint = &mut self.joints[usize::from(id)];
        joint.learn(text, from, to);
        if id == Self::UNKNOWN {
            joint.length = 0; // what it stands for differs each time
            joint.first = [0; 16];
            joint.needed = u16::MAX;
        }
    }
}
