//! Where the slot of a text is, by the text's identity.

use crate::near;

/// Open addressing with linear probing, a quarter of the places empty at least: 16 bytes a place, so that what a
/// look-up touches is one cache line that can be asked for ahead.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// None at first, then a power of two.
    places: Vec<Place>,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    identity: u64,
    /// [`EMPTY`] for none.
    slot: u32,
}

const EMPTY: u32 = u32::MAX;
const PLACES_MIN: usize = 16;

impl Index {
    /// How many slots are in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The slot of this identity.
    #[inline]
    pub(super) fn find(&self, identity: u64) -> Option<u32> {
        let mut at = self.home(identity);
        loop {
            let place = self.places.get(at)?; // there are none at all
            if place.identity == identity && place.slot != EMPTY {
                return Some(place.slot);
            }
            if place.slot == EMPTY {
                return None;
            }
            at = self.after(at);
        }
    }

    /// Asks for the place where a slot would be looked for first.
    #[inline]
    pub(super) fn ask_for(&self, identity: u64) {
        if let Some(place) = self.places.get(self.home(identity)) {
            near::ask_for(place);
        }
    }

    /// Puts in a slot whose identity is not in it.
    pub(super) fn insert(&mut self, identity: u64, slot: u32) {
        debug_assert_ne!(slot, EMPTY, "slots stay below u32::MAX");
        if (self.len + 1) * 4 > self.places.len() * 3 {
            let empty = Place { identity: 0, slot: EMPTY };
            let places = vec![empty; (self.places.len() * 2).max(PLACES_MIN)];
            let old = std::mem::replace(&mut self.places, places);
            old.into_iter().filter(|place| place.slot != EMPTY).for_each(|place| self.put(place));
        }
        self.put(Place { identity, slot });
        self.len += 1;
    }

    fn put(&mut self, place: Place) {
        let mut at = self.home(place.identity);
        while self.places[at].slot != EMPTY {
            at = self.after(at);
        }
        self.places[at] = place;
    }

    /// Takes out this slot, which must be in it.
    pub(super) fn remove(&mut self, identity: u64, slot: u32) {
        let mut hole = self.home(identity);
        while self.places[hole].slot != slot {
            hole = self.after(hole);
        }
        // What comes after and was put there only as the hole was taken moves up.
        let mut at = self.after(hole);
        while self.places[at].slot != EMPTY {
            let home = self.home(self.places[at].identity);
            if self.distance(home, at) >= self.distance(hole, at) {
                self.places[hole] = self.places[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.places[hole].slot = EMPTY;
        self.len -= 1;
    }

    #[inline]
    fn home(&self, identity: u64) -> usize {
        identity as usize & self.places.len().wrapping_sub(1)
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    /// How far it is from one place on to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.places.len() - 1)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Three identities to a home, so that places are taken by others.
    fn of_few_homes(number: u64) -> u64 {
        (number / 3) | ((number % 3) << 40)
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_map_holds(steps in prop::collection::vec((0_u64..60, any::<bool>()), 0..400)) {
            let mut index = Index::default();
            let mut plain = BTreeMap::new();
            for (number, puts) in steps {
                let identity = of_few_homes(number);
                if puts {
                    let slot = plain.len() as u32 * 100 + number as u32;
                    plain.entry(identity).or_insert_with(|| {
                        index.insert(identity, slot);
                        slot
                    });
                } else if let Some(slot) = plain.remove(&identity) {
                    index.remove(identity, slot);
                }
            }
            prop_assert_eq!(index.len(), plain.len());
            for number in 0..60 {
                let identity = of_few_homes(number);
                prop_assert_eq!(index.find(identity), plain.get(&identity).copied());
            }
        }
    }
}
