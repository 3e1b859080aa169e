use crate::near::ask_for;

/// Requests and errors per small integer key: open addressing, 12 bytes a slot, never shrinks.
///
/// Keys are slots of an `Interner`, dense and small, so a multiplicative hash spreads them well.
#[derive(Debug, Clone, Default)]
pub(crate) struct CountMap {
    slots: Vec<Slot>,
    len: usize,
    /// How many keys fit before it has to grow: three quarters of the slots.
    room: usize,
    shift: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    key: u32,
    requests: u32,
    errors: u32,
}

const EMPTY: u32 = u32::MAX;
const FREE: Slot = Slot { key: EMPTY, requests: 0, errors: 0 };
const MIN_SLOTS: usize = 64;

impl CountMap {
    /// Adds to the key's counts, creating it with zeros first; counts stop at `u32::MAX`.
    #[inline]
    pub(crate) fn add(&mut self, key: u32, requests: u32, errors: u32) {
        debug_assert_ne!(key, EMPTY, "interner slots stay below u32::MAX");
        if self.len >= self.room {
            self.grow();
        }
        let slot = self.find(key);
        let entry = &mut self.slots[slot];
        if entry.key == EMPTY {
            *entry = Slot { key, requests, errors };
            self.len += 1;
        } else {
            entry.requests = entry.requests.saturating_add(requests);
            entry.errors = entry.errors.saturating_add(errors);
        }
    }

    /// Asks for the place where a key is or would be looked for first.
    #[inline]
    pub(crate) fn ask_for(&self, key: u32) {
        if let Some(slot) = self.slots.get(self.home(key)) {
            ask_for(slot);
        }
    }

    /// Adds all of `other`.
    pub(crate) fn fold(&mut self, other: &Self) {
        // Keys come in the order of their hash, which would pile up in the first half of a table too small for them.
        while self.len + other.len >= self.room {
            self.grow();
        }
        for (key, requests, errors) in other.iter() {
            self.add(key, requests, errors);
        }
    }

    /// Whether the key is present.
    pub(crate) fn contains(&self, key: u32) -> bool {
        self.len > 0 && self.slots[self.find(key)].key == key
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// `(key, requests, errors)` in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        self.slots.iter().filter(|slot| slot.key != EMPTY).map(|slot| (slot.key, slot.requests, slot.errors))
    }

    /// Forgets every key and keeps the memory.
    pub(crate) fn clear(&mut self) {
        if self.len > 0 {
            self.slots.fill(FREE);
            self.len = 0;
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    #[inline]
    fn find(&self, key: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.home(key);
        while self.slots[at].key != key && self.slots[at].key != EMPTY {
            at = (at + 1) & mask;
        }
        at
    }

    /// Where a key is looked for first; within the slots, of which there must be some.
    #[inline]
    fn home(&self, key: u32) -> usize {
        (key.wrapping_mul(0x9E37_79B9) >> self.shift) as usize
    }

    #[cold]
    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(MIN_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![FREE; slots]);
        self.shift = 32 - slots.trailing_zeros();
        self.room = slots / 4 * 3;
        for entry in old {
            if entry.key != EMPTY {
                let at = self.find(entry.key);
                self.slots[at] = entry;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn counts_equal_a_plain_map_over_growth() {
        let mut map = CountMap::default();
        let mut plain = BTreeMap::new();
        let mut x = 1u32;
        for _ in 0..20_000 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = (x >> 16) % 3_000;
            map.add(key, 1, x & 1);
            let entry = plain.entry(key).or_insert((0, 0));
            entry.0 += 1;
            entry.1 += x & 1;
        }
        let got: BTreeMap<_, _> = map.iter().map(|(k, r, e)| (k, (r, e))).collect();
        assert_eq!(got, plain);
        assert_eq!(map.len(), plain.len());
    }

    #[test]
    fn a_key_added_with_nothing_is_present() {
        let mut map = CountMap::default();
        map.add(7, 0, 0);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(7, 0, 0)]);
    }
}
