use hashbrown::HashTable;

use crate::hash::identity;

/// Small integers for texts, with a value each: what state is keyed by instead of strings.
///
/// A slot is reused once its text has not been seen for a retention span that exceeds the life of every window, so
/// no open window refers to a text that is gone. Slot 0 may be reserved for what does not fit (`with_other`).
#[derive(Debug)]
pub(crate) struct Interner<V> {
    table: HashTable<u32>,
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    max: usize,
    cursor: usize,
}

#[derive(Debug)]
struct Slot<V> {
    identity: u128,
    text: Box<str>,
    /// Event time of the latest use, microseconds.
    last_seen: i64,
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
        match self.find(identity) {
            Some(slot) => {
                self.touch(slot, time);
                Some(slot)
            }
            None => self.insert(identity, text, time),
        }
    }

    #[inline]
    pub(crate) fn touch(&mut self, slot: u32, time: i64) {
        let entry = &mut self.slots[slot as usize];
        entry.last_seen = entry.last_seen.max(time);
    }

    #[inline]
    fn find(&self, identity: u128) -> Option<u32> {
        self.table.find(identity as u64, |&slot| self.slots[slot as usize].identity == identity).copied()
    }

    #[cold]
    fn insert(&mut self, identity: u128, text: &str, time: i64) -> Option<u32> {
        if self.table.len() >= self.max {
            return None;
        }
        Some(self.push(identity, text, time, SlotState::Used))
    }

    fn push(&mut self, identity: u128, text: &str, last_seen: i64, state: SlotState) -> u32 {
        let entry = Slot { identity, text: text.into(), last_seen, state, value: V::default() };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.table.insert_unique(identity as u64, slot, |&slot| slots[slot as usize].identity as u64);
        slot
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
        for _ in 0..slots.min(self.slots.len()) {
            if self.cursor >= self.slots.len() {
                self.cursor = 0;
            }
            let at = self.cursor;
            self.cursor += 1;
            let entry = &mut self.slots[at];
            if entry.state != SlotState::Used {
                continue;
            }
            visit(&mut entry.value);
            if entry.last_seen < horizon {
                entry.state = SlotState::Free;
                entry.text = Box::default();
                entry.value = V::default();
                let identity = entry.identity;
                if let Ok(found) = self.table.find_entry(identity as u64, |&slot| slot as usize == at) {
                    found.remove();
                }
                self.free.push(at as u32);
            }
        }
    }

    /// Estimated bytes held, without what the values own.
    pub(crate) fn bytes(&self) -> usize {
        // A text of 24 bytes on average, 5 bytes of table at a load of 7/8.
        self.slots.capacity() * (size_of::<Slot<V>>() + 24) + self.table.capacity() * 6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_slot_and_later_ones_find_no_room() {
        let mut interner: Interner<()> = Interner::with_other(3, "__other__");
        let a = interner.intern("a", 1);
        assert_eq!(interner.intern("a", 2), a);
        assert!(interner.intern("b", 2).is_some());
        assert_eq!(interner.intern("c", 2), None);
        assert_eq!(interner.text(a.expect("a has a slot")), "a");
    }

    #[test]
    fn a_forgotten_text_frees_its_slot_and_the_reserved_one_stays() {
        let mut interner: Interner<u32> = Interner::with_other(2, "__other__");
        let a = interner.intern("a", 10).expect("there is room");
        *interner.value_mut(a) = 7;
        interner.sweep(10, 11, |_| ());
        let b = interner.intern("b", 20).expect("a's slot is free");
        assert_eq!((b, *interner.value(b), interner.text(OTHER_SLOT)), (a, 0, "__other__"));
    }
}
