use hashbrown::HashTable;

use crate::hash::identity;

/// Small integers for texts, with a value each: what state is keyed by instead of strings.
///
/// A slot is reused once its text has not been seen for a retention span that exceeds the life of every window, so
/// no open window refers to a text that is gone. Slot 0 may be reserved for what does not fit (`with_other`).
#[derive(Debug)]
pub(crate) struct Interner<V> {
    table: HashTable<Entry>,
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    max: usize,
    cursor: usize,
}

/// What a look-up touches, in one place: 16 bytes.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The high half of the identity; the low half has found the place.
    check: u64,
    slot: u32,
    /// Event time of the latest use, whole seconds since 1970 (good until 2106).
    last_seen_s: u32,
}

#[derive(Debug)]
struct Slot<V> {
    identity: u128,
    text: Box<str>,
    state: SlotState,
    value: V,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlotState {
    Free,
    Used,
    Reserved,
}

/// The reserved slot of an interner made by [`Interner::with_other`].
pub(crate) const OTHER_SLOT: u32 = 0;

impl<V: Default> Interner<V> {
    /// At most `max` texts at a time.
    pub(crate) fn new(max: usize) -> Self {
        Self { table: HashTable::new(), slots: Vec::new(), free: Vec::new(), max, cursor: 0 }
    }

    /// At most `max` texts, and [`OTHER_SLOT`] for the rest.
    pub(crate) fn with_other(max: usize, other: &str) -> Self {
        let mut interner = Self::new(max);
        interner.push(identity(other), other, i64::MAX, SlotState::Reserved);
        interner
    }

    /// The text's slot, made if need be; `None` where there is no room. Marks it as used at `time`.
    #[inline]
    pub(crate) fn intern(&mut self, text: &str, time: i64) -> Option<u32> {
        let identity = identity(text);
        let check = (identity >> 64) as u64;
        match self.table.find_mut(identity as u64, |entry| entry.check == check) {
            Some(entry) => {
                entry.last_seen_s = entry.last_seen_s.max(seconds(time));
                Some(entry.slot)
            }
            None => self.insert(identity, text, time),
        }
    }

    #[cold]
    fn insert(&mut self, identity: u128, text: &str, time: i64) -> Option<u32> {
        if self.table.len() >= self.max {
            return None;
        }
        Some(self.push(identity, text, time, SlotState::Used))
    }

    fn push(&mut self, identity: u128, text: &str, time: i64, state: SlotState) -> u32 {
        let made = Slot { identity, text: text.into(), state, value: V::default() };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = made;
                slot
            }
            None => {
                self.slots.push(made);
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        let entry = Entry { check: (identity >> 64) as u64, slot, last_seen_s: seconds(time) };
        self.table.insert_unique(identity as u64, entry, |entry| slots[entry.slot as usize].identity as u64);
        slot
    }

    /// Marks a slot as used at `time`.
    pub(crate) fn touch(&mut self, slot: u32, time: i64) {
        let identity = self.slots[slot as usize].identity;
        if let Some(entry) = self.table.find_mut(identity as u64, |entry| entry.slot == slot) {
            entry.last_seen_s = entry.last_seen_s.max(seconds(time));
        }
    }

    /// The values in use.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> + '_ {
        self.slots.iter().filter(|slot| slot.state == SlotState::Used).map(|slot| &slot.value)
    }

    #[inline]
    pub(crate) fn text(&self, slot: u32) -> &str {
        &self.slots[slot as usize].text
    }

    #[inline]
    pub(crate) fn value(&self, slot: u32) -> &V {
        &self.slots[slot as usize].value
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, slot: u32) -> &mut V {
        &mut self.slots[slot as usize].value
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Looks at the next `slots` slots, lets `visit` trim each value, and frees those last used before `horizon`.
    pub(crate) fn sweep(&mut self, slots: usize, horizon: i64, mut visit: impl FnMut(&mut V)) {
        let horizon_s = seconds(horizon);
        for _ in 0..slots.min(self.slots.len()) {
            if self.cursor >= self.slots.len() {
                self.cursor = 0;
            }
            let at = self.cursor;
            self.cursor += 1;
            let slot = &mut self.slots[at];
            if slot.state != SlotState::Used {
                continue;
            }
            visit(&mut slot.value);
            let found = self.table.find_entry(slot.identity as u64, |entry| entry.slot as usize == at);
            let found = found.expect("every used slot is in the table");
            if found.get().last_seen_s < horizon_s {
                found.remove();
                slot.state = SlotState::Free;
                slot.text = Box::default();
                slot.value = V::default();
                self.free.push(at as u32);
            }
        }
    }

    /// Estimated bytes held, without what the values own.
    pub(crate) fn bytes(&self) -> usize {
        // A text of 24 bytes on average, 17 bytes of table at a load of 7/8.
        self.slots.capacity() * (size_of::<Slot<V>>() + 24) + self.table.capacity() * 20
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

    #[test]
    fn texts_keep_their_slot_and_later_ones_find_no_room() {
        let mut interner: Interner<()> = Interner::with_other(3, "__other__");
        let a = interner.intern("a", 1);
        assert_eq!(interner.intern("a", 2_000_000), a);
        assert!(interner.intern("b", 2).is_some());
        assert_eq!(interner.intern("c", 2), None);
        assert_eq!(interner.text(a.expect("a has a slot")), "a");
    }

    #[test]
    fn a_forgotten_text_frees_its_slot_and_the_reserved_one_stays() {
        let mut interner: Interner<u32> = Interner::with_other(2, "__other__");
        let a = interner.intern("a", 10_000_000).expect("there is room");
        *interner.value_mut(a) = 7;
        interner.sweep(10, 11_000_000, |_| ());
        let b = interner.intern("b", 20_000_000).expect("a's slot is free");
        assert_eq!((b, *interner.value(b), interner.text(OTHER_SLOT)), (a, 0, "__other__"));
    }
}
