mod index;
mod snapshot;

use std::borrow::Cow;

use crate::chunks::Chunks;
use crate::fit;
use crate::hash::identity;
use crate::near;
use crate::route::{self, Path};

use index::Index;

pub(crate) use snapshot::{FrozenInterner, Ranks};

/// Small integers for texts, with a value each: what state is keyed by instead of strings.
///
/// A slot is reused once its text has not been seen for a retention span that exceeds the life of every window, so
/// no open window refers to a text that is gone. The first slots may be reserved (`with_reserved`).
#[derive(Debug)]
pub(crate) struct Interner<V> {
    kept: Kept,
    index: Index,
    slots: Chunks<Slot>,
    /// By slot, apart from the rest, as these are what every use of a text touches.
    values: Chunks<V>,
    /// Event time of the latest use by slot, whole seconds since 1970 (good until 2106).
    last_seen_s: Vec<u32>,
    free: Vec<u32>,
    max: usize,
    /// Bytes of the texts, the reserved one's left out, and how many there may be.
    text_bytes: usize,
    text_bytes_max: usize,
    cursor: usize,
    /// Counts the texts forgotten, from 0 again after 2^32: a slot found by `find` is good until it changes.
    forgotten: u32,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    identity: u64,
    text: Box<str>,
    state: SlotState,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum SlotState {
    #[default]
    Free,
    Used,
    Reserved,
}

/// What an interner keeps of its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All: they are written nowhere, or are made by us.
    Exact,
    /// The [`fit::name`].
    Name,
    /// What is [`route::counted`] of a path.
    Path,
}

impl Kept {
    fn of(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Exact => Cow::Borrowed(text),
            Self::Name => fit::name(text),
            Self::Path => route::counted(text),
        }
    }
}

/// A text and what it is found by, which is what is [`Kept`] of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    identity: u64,
    /// Valid UTF-8, as it came.
    text: &'a [u8],
}

impl<'a> Key<'a> {
    /// For a text that is kept as it is; it must be valid UTF-8, as every text of an event is.
    #[inline]
    pub(crate) fn exact(text: &'a [u8]) -> Self {
        Self { identity: identity(text), text }
    }

    /// For a name in a plain record, where it is never empty.
    #[inline]
    pub(crate) fn plain_name(text: &'a [u8]) -> Self {
        if fit::is_odd(text) { Self::odd(text, Kept::Name) } else { Self::exact(text) }
    }

    /// For any name.
    pub(crate) fn name(text: &'a str) -> Self {
        Self::odd(text.as_bytes(), Kept::Name)
    }

    /// For a path.
    #[inline]
    pub(crate) fn path(path: Path<'a>) -> Self {
        if path.is_counted { Self::exact(path.text) } else { Self::odd(path.text, Kept::Path) }
    }

    #[cold]
    #[inline(never)]
    fn odd(text: &'a [u8], kept: Kept) -> Self {
        let of = std::str::from_utf8(text).expect("texts of events are valid UTF-8");
        Self { identity: identity(kept.of(of).as_bytes()), text }
    }

    /// A hash of what is kept of the text.
    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    /// # Panics
    /// If the text was not valid UTF-8.
    pub(crate) fn text(&self) -> &'a str {
        std::str::from_utf8(self.text).expect("texts of events are valid UTF-8")
    }
}

/// Where a text was found, and until when that is true.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hint {
    /// [`Hint::NONE`] has one that no interner comes to.
    slot: u32,
    forgotten: u32,
}

impl Hint {
    /// It was not looked for, or not found.
    pub(crate) const NONE: Self = Self { slot: u32::MAX, forgotten: 0 };
}

/// Longer texts find no room: a window's partial names a thousand, and is one record.
const TEXT_BYTES_MAX: usize = 2_048;

/// The first reserved slot of an interner made by [`Interner::with_reserved`], for what finds no room.
pub(crate) const OTHER_SLOT: u32 = 0;

impl<V: Default + Clone> Interner<V> {
    /// At most `max` texts at a time, of `text_bytes_max` bytes in all.
    pub(crate) fn new(max: usize, text_bytes_max: usize, kept: Kept) -> Self {
        Self {
            kept,
            index: Index::default(),
            slots: Chunks::default(),
            values: Chunks::default(),
            last_seen_s: Vec::new(),
            free: Vec::new(),
            max,
            text_bytes: 0,
            text_bytes_max,
            cursor: 0,
            forgotten: 0,
        }
    }

    /// The same, and in the first slots texts that are always there.
    pub(crate) fn with_reserved(max: usize, text_bytes_max: usize, kept: Kept, reserved: &[&str]) -> Self {
        let mut interner = Self::new(max + reserved.len(), text_bytes_max, kept);
        for text in reserved {
            interner.push(identity(text.as_bytes()), (*text).into(), i64::MAX, SlotState::Reserved);
        }
        interner.text_bytes = 0;
        interner
    }

    /// Looks a text up ahead of its use, which then need not wait for memory.
    #[inline]
    pub(crate) fn find(&self, key: &Key<'_>) -> Hint {
        let Some(slot) = self.index.find(key.identity) else { return Hint::NONE };
        near::ask_for(&self.last_seen_s[slot as usize]);
        Hint { slot, forgotten: self.forgotten }
    }

    /// Asks for what [`Interner::find`] looks at.
    #[inline]
    pub(crate) fn ask_for(&self, key: &Key<'_>) {
        self.index.ask_for(key.identity);
    }

    /// The slot a hint names, if it is still good: for touching what is kept by slot.
    #[inline]
    pub(crate) fn hinted(&self, hint: Hint) -> Option<u32> {
        (hint.forgotten == self.forgotten && hint.slot != Hint::NONE.slot).then_some(hint.slot)
    }

    /// As [`Interner::intern`], for a text that was looked up before.
    #[inline]
    pub(crate) fn intern_found(&mut self, key: &Key<'_>, hint: Hint, time: i64) -> Option<u32> {
        match self.hinted(hint) {
            Some(slot) => {
                self.mark(slot, time);
                Some(slot)
            }
            None => self.intern(key, time),
        }
    }

    /// The text's slot, made if need be; `None` where there is no room. Marks it as used at `time`.
    #[inline]
    pub(crate) fn intern(&mut self, key: &Key<'_>, time: i64) -> Option<u32> {
        match self.index.find(key.identity) {
            Some(slot) => {
                self.mark(slot, time);
                Some(slot)
            }
            None => self.insert(key, time),
        }
    }

    #[inline]
    fn mark(&mut self, slot: u32, time: i64) {
        let last_seen_s = &mut self.last_seen_s[slot as usize];
        *last_seen_s = seconds(time).max(*last_seen_s);
    }

    #[cold]
    fn insert(&mut self, key: &Key<'_>, time: i64) -> Option<u32> {
        let text = self.kept.of(key.text());
        let len = text.len();
        if self.len() >= self.max || len > TEXT_BYTES_MAX || self.text_bytes + len > self.text_bytes_max {
            return None;
        }
        Some(self.push(key.identity, text.into(), time, SlotState::Used))
    }

    fn push(&mut self, identity: u64, text: Box<str>, time: i64, state: SlotState) -> u32 {
        let made = Slot { identity, text, state };
        self.text_bytes += made.text.len();
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.slots.get_mut(slot as usize) = made;
                self.last_seen_s[slot as usize] = seconds(time);
                slot
            }
            None => {
                self.slots.push(made);
                self.values.push(V::default());
                self.last_seen_s.push(seconds(time));
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(identity, slot);
        slot
    }

    /// Marks a slot as used at `time`.
    pub(crate) fn touch(&mut self, slot: u32, time: i64) {
        self.mark(slot, time);
    }

    /// The values in use.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> + '_ {
        let used =
            self.slots.iter().zip(self.values.iter()).filter(|(slot, _)| slot.state == SlotState::Used);
        used.map(|(_, value)| value)
    }

    /// Every text's slot and value, reserved ones included.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &V)> + '_ {
        let all = (0..).zip(self.slots.iter()).zip(self.values.iter());
        all.filter(|((_, slot), _)| slot.state != SlotState::Free).map(|((at, _), value)| (at, value))
    }

    #[inline]
    pub(crate) fn text(&self, slot: u32) -> &str {
        &self.slots.get(slot as usize).text
    }

    #[inline]
    pub(crate) fn value(&self, slot: u32) -> &V {
        self.values.get(slot as usize)
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, slot: u32) -> &mut V {
        self.values.get_mut(slot as usize)
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Visits the values of the next `slots` slots in use, of which those are changed that `is_due`.
    pub(crate) fn trim(&mut self, slots: usize, is_due: impl Fn(&V) -> bool, mut visit: impl FnMut(&mut V)) {
        for _ in 0..slots.min(self.slots.len()) {
            if self.cursor >= self.slots.len() {
                self.cursor = 0;
            }
            let at = self.cursor;
            self.cursor += 1;
            // Looked at first: changing it may copy what a frozen copy shares.
            if is_due(self.values.get(at)) {
                visit(self.values.get_mut(at));
            }
        }
    }

    /// Frees the slots last used before `horizon`; `visit` is given each value before it goes. All at once, so that
    /// how many there are is a function of when this is called.
    pub(crate) fn sweep(&mut self, horizon: i64, mut visit: impl FnMut(&V)) {
        let horizon_s = seconds(horizon);
        for at in 0..self.slots.len() {
            if self.last_seen_s[at] < horizon_s {
                let Slot { identity, state, text } = self.slots.get(at);
                if *state != SlotState::Used {
                    continue;
                }
                self.index.remove(*identity, at as u32);
                self.text_bytes -= text.len();
                visit(self.values.get(at));
                *self.slots.get_mut(at) = Slot::default();
                *self.values.get_mut(at) = V::default();
                self.free.push(at as u32);
                self.forgotten = self.forgotten.wrapping_add(1);
            }
        }
    }

    /// Estimated bytes held, without what the values own.
    pub(crate) fn bytes(&self) -> usize {
        // What the allocator adds to a text: 8 bytes on average.
        let texts = self.text_bytes + self.len() * 8 + self.last_seen_s.capacity() * 4;
        self.slots.bytes() + self.values.bytes() + texts + self.index.bytes()
    }
}

/// Whole seconds, within what an entry holds.
#[inline]
fn seconds(time: i64) -> u32 {
    u32::try_from(time.div_euclid(1_000_000).max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key<'_> {
        Key::exact(text.as_bytes())
    }

    #[test]
    fn texts_keep_their_slot_and_later_ones_find_no_room() {
        let mut interner: Interner<()> = Interner::with_reserved(2, 99, Kept::Name, &["__other__"]);
        let a = interner.intern(&key("a"), 1);
        assert_eq!(interner.intern(&key("a"), 2_000_000), a);
        assert!(interner.intern(&key("b"), 2).is_some());
        assert_eq!(interner.intern(&key("c"), 2), None);
        assert_eq!(interner.text(a.expect("a has a slot")), "a");
    }

    #[test]
    fn a_forgotten_text_frees_its_slot_and_the_reserved_one_stays() {
        let mut interner: Interner<u32> = Interner::with_reserved(1, 99, Kept::Name, &["__other__"]);
        let a = interner.intern(&key("a"), 10_000_000).expect("there is room");
        *interner.value_mut(a) = 7;
        interner.sweep(11_000_000, |_| ());
        let b = interner.intern(&key("b"), 20_000_000).expect("a's slot is free");
        assert_eq!((b, *interner.value(b), interner.text(OTHER_SLOT)), (a, 0, "__other__"));
    }

    #[test]
    fn texts_have_room_by_their_bytes_and_give_it_back() {
        let mut interner: Interner<()> = Interner::with_reserved(9, 5, Kept::Name, &["__other__"]);
        assert!(interner.intern(&key("abcd"), 10_000_000).is_some());
        assert_eq!(interner.intern(&key("ef"), 10_000_000), None);
        assert!(interner.intern(&key("g"), 20_000_000).is_some());
        interner.sweep(11_000_000, |()| ());
        assert!(interner.intern(&key("hijk"), 20_000_000).is_some());
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let mut interner: Interner<()> = Interner::new(9, usize::MAX, Kept::Exact);
        assert_eq!(interner.intern(&key(&long), 1), None, "too long for a partial that names a thousand");
        assert!(interner.intern(&key(&long[1..]), 1).is_some());
    }

    #[test]
    fn a_slot_found_ahead_is_not_used_once_any_text_was_forgotten() {
        let mut interner: Interner<()> = Interner::new(9, 99, Kept::Exact);
        interner.intern(&key("a"), 10_000_000);
        let hint = interner.find(&key("a"));
        assert_eq!(interner.intern_found(&key("a"), hint, 10_000_000), Some(0));
        interner.sweep(11_000_000, |()| ());
        interner.intern(&key("b"), 20_000_000);
        let a = interner.intern_found(&key("a"), hint, 20_000_000).expect("there is room");
        assert_eq!((interner.text(0), interner.text(a)), ("b", "a"));
    }

    #[test]
    fn texts_are_found_by_what_is_kept_of_them() {
        let mut names: Interner<()> = Interner::with_reserved(9, 99, Kept::Name, &["__other__"]);
        let slot = names.intern(&Key::plain_name("a\u{7f}".as_bytes()), 1).expect("there is room");
        assert_eq!(names.text(slot), "a ");
        for same in [Key::name("a\n"), Key::name("a "), Key::plain_name(b"a "), Key::exact(b"a ")] {
            assert_eq!(names.intern(&same, 1), Some(slot));
        }
        let mut paths: Interner<()> = Interner::new(9, 4, Kept::Path);
        let key = |url: &'static str| Key::path(Path::plain(url.as_bytes()).expect("it is not blank"));
        let slot = paths.intern(&key("/a//b;jsessionid=0123"), 1).expect("what is kept has room");
        assert_eq!(paths.intern(&key("/a/b"), 1), Some(slot));
        assert_eq!(paths.text(slot), "a/b");
    }
}
