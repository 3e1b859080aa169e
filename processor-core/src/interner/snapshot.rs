use super::{Interner, Key, Slot, SlotState};
use crate::chunks::Chunks;
use crate::snapshot::codec::{Reader, Writer};

/// An interner's texts and values as they were.
#[derive(Debug)]
pub(crate) struct FrozenInterner<V> {
    slots: Chunks<Slot>,
    values: Chunks<V>,
    last_seen_s: Vec<u32>,
}

impl<V: Default + Clone> Interner<V> {
    /// Copies only what every use changes; the rest is shared, and copied where it changes afterwards.
    pub(crate) fn freeze(&self) -> FrozenInterner<V> {
        let (slots, values) = (self.slots.clone(), self.values.clone());
        FrozenInterner { slots, values, last_seen_s: self.last_seen_s.clone() }
    }

    /// Reads names back, with what `value` reads of each: the slots by rank, reserved ones first.
    pub(crate) fn load<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        mut value: impl FnMut(&mut Reader<'a>) -> Option<V>,
    ) -> Option<Vec<u32>> {
        let count = reader.count()?;
        let mut slots: Vec<u32> = (0..self.slots.len() as u32).collect();
        for _ in 0..count {
            let text = reader.text()?;
            let seen = i64::from(reader.small::<u32>()?) * 1_000_000;
            let known = self.len();
            let slot = self.intern(&Key::exact(text.as_bytes()), seen)?;
            if self.len() == known {
                return None; // twice the same
            }
            *self.value_mut(slot) = value(reader)?;
            slots.push(slot);
        }
        Some(slots)
    }
}

/// What [`Ranks`] say of a slot that is not in use.
const UNUSED: u32 = u32::MAX;

/// The places of slots among the names of a snapshot, which are sorted; reserved slots come first.
#[derive(Debug)]
pub(crate) struct Ranks(Vec<u32>);

impl Ranks {
    /// # Panics
    /// If the slot is not in use.
    pub(crate) fn of(&self, slot: u32) -> u32 {
        let rank = self.0[slot as usize];
        assert_ne!(rank, UNUSED, "what is referred to is in use");
        rank
    }
}

impl<V: Default + Clone> FrozenInterner<V> {
    pub(crate) fn value(&self, slot: u32) -> &V {
        self.values.get(slot as usize)
    }

    fn used(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(self.slots.iter()).filter(|(_, slot)| slot.state == SlotState::Used).map(|(at, _)| at)
    }

    /// The slots in use, by text, and their ranks.
    pub(crate) fn sorted(&self) -> (Vec<u32>, Ranks) {
        let mut sorted: Vec<u32> = self.used().collect();
        sorted.sort_unstable_by(|a, b| self.text(*a).cmp(self.text(*b)));
        let mut ranks = vec![UNUSED; self.slots.len()];
        let reserved = self.slots.iter().take_while(|slot| slot.state == SlotState::Reserved).count();
        let in_order = (0..reserved as u32).chain(sorted.iter().copied());
        for (rank, slot) in (0..).zip(in_order) {
            ranks[slot as usize] = rank;
        }
        (sorted, Ranks(ranks))
    }

    /// Writes the names of these slots, with what `value` writes of each.
    pub(crate) fn save(&self, sorted: &[u32], writer: &mut Writer, mut value: impl FnMut(&V, &mut Writer)) {
        writer.count(sorted.len());
        for &slot in sorted {
            writer.text(self.text(slot));
            writer.number(self.last_seen_s[slot as usize].into());
            value(self.value(slot), writer);
        }
    }

    fn text(&self, slot: u32) -> &str {
        &self.slots.get(slot as usize).text
    }
}
