/// The ids seen lately: answers whether an id was seen at an event time within a span of this one.
///
/// Open addressing with linear probing, 10 bytes a slot: a 64-bit fingerprint and the event time in whole seconds,
/// modulo 2^16. Ids are dropped as the watermark leaves them behind: each insertion inspects a few slots, so no
/// pause grows with the table. An id is dropped wrongly as a repeat with a chance of about (live ids) / 2^64 per
/// event: at 6 million live ids and 10,000 events/s, once in ten years.
#[derive(Debug)]
pub(crate) struct Dedup {
    window_s: i64,
    fingerprints: Vec<u64>,
    seconds: Vec<u16>,
    len: usize,
    cursor: usize,
    /// Ids seen before this second are of no use; moves with the watermark. Unset before the first id.
    floor_s: i64,
}

const MIN_SLOTS: usize = 1024;
/// Slots looked at per insertion to drop expired ids: a whole pass every `slots / 8` insertions.
const SWEEP_SLOTS: usize = 8;
/// Beyond this jump of the watermark every id is expired and 16-bit seconds would become ambiguous.
const JUMP_S: i64 = 1 << 14;
const UNSET: i64 = i64::MIN;

impl Dedup {
    /// `window` in microseconds, at most 2^13 s (checked by `Options::validate`).
    pub(crate) fn new(window: i64) -> Self {
        Self {
            window_s: window / 1_000_000,
            fingerprints: vec![0; MIN_SLOTS],
            seconds: vec![0; MIN_SLOTS],
            len: 0,
            cursor: 0,
            floor_s: UNSET,
        }
    }

    /// Whether `fingerprint` was seen within the window of `time` (microseconds, compared in whole seconds);
    /// where it was not, it is now.
    #[inline]
    pub(crate) fn is_repeat(&mut self, fingerprint: u64, time: i64) -> bool {
        let fingerprint = fingerprint.max(1); // 0 marks a free slot
        let second = time.div_euclid(1_000_000);
        if self.floor_s == UNSET {
            self.floor_s = second - self.window_s;
        }
        let mut at = self.home(fingerprint);
        loop {
            let found = self.fingerprints[at];
            if found == 0 {
                break;
            }
            if found == fingerprint {
                if (self.full_second(at) - second).abs() <= self.window_s {
                    return true;
                }
                // The same id much earlier or later: it starts anew.
                self.seconds[at] = second as u16;
                return false;
            }
            at += 1;
            if at == self.fingerprints.len() {
                at = 0;
            }
        }
        self.fingerprints[at] = fingerprint;
        self.seconds[at] = second as u16;
        self.len += 1;
        self.sweep(SWEEP_SLOTS);
        if self.len * 5 >= self.fingerprints.len() * 4 {
            self.resize(self.fingerprints.len() / 4 * 5);
        }
        false
    }

    /// Tells that no event earlier than `time` will be asked about any more.
    pub(crate) fn expire_before(&mut self, time: i64) {
        let floor_s = time.div_euclid(1_000_000) - self.window_s;
        if floor_s <= self.floor_s {
            return;
        }
        if self.floor_s != UNSET && floor_s - self.floor_s > JUMP_S {
            *self = Self { floor_s, ..Self::new(self.window_s * 1_000_000) };
            return;
        }
        self.floor_s = floor_s;
        if self.len * 8 < self.fingerprints.len() && self.fingerprints.len() > MIN_SLOTS {
            self.resize((self.len * 2).max(MIN_SLOTS));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> usize {
        self.fingerprints.capacity() * 10
    }

    #[inline]
    fn home(&self, fingerprint: u64) -> usize {
        // The high half of the product: even over any table length, and no division.
        ((u128::from(fingerprint) * self.fingerprints.len() as u128) >> 64) as usize
    }

    /// The whole second of a slot: the one nearest to the floor that has these low 16 bits.
    #[inline]
    fn full_second(&self, at: usize) -> i64 {
        self.floor_s + i64::from(self.seconds[at].wrapping_sub(self.floor_s as u16) as i16)
    }

    fn sweep(&mut self, slots: usize) {
        for _ in 0..slots {
            if self.cursor >= self.fingerprints.len() {
                self.cursor = 0;
            }
            if self.fingerprints[self.cursor] != 0 && self.full_second(self.cursor) < self.floor_s {
                self.remove(self.cursor); // what moves up is looked at next
            } else {
                self.cursor += 1;
            }
        }
    }

    /// Frees a slot and moves later entries of the same run up, so that probing needs no tombstones.
    fn remove(&mut self, mut hole: usize) {
        let slots = self.fingerprints.len();
        let mut at = hole;
        loop {
            at = (at + 1) % slots;
            let found = self.fingerprints[at];
            if found == 0 {
                break;
            }
            let distance = (at + slots - self.home(found)) % slots;
            if distance >= (at + slots - hole) % slots {
                self.fingerprints[hole] = found;
                self.seconds[hole] = self.seconds[at];
                hole = at;
            }
        }
        self.fingerprints[hole] = 0;
        self.len -= 1;
    }

    #[cold]
    fn resize(&mut self, slots: usize) {
        let fingerprints = std::mem::replace(&mut self.fingerprints, vec![0; slots]);
        let seconds = std::mem::replace(&mut self.seconds, vec![0; slots]);
        self.cursor = 0;
        for (fingerprint, second) in fingerprints.into_iter().zip(seconds) {
            if fingerprint != 0 {
                let mut at = self.home(fingerprint);
                while self.fingerprints[at] != 0 {
                    at = (at + 1) % slots;
                }
                self.fingerprints[at] = fingerprint;
                self.seconds[at] = second;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const S: i64 = 1_000_000;

    #[test]
    fn a_repeat_counts_within_the_window_only() {
        let mut dedup = Dedup::new(600 * S);
        let start = 1_755_720_654 * S;
        assert!(!dedup.is_repeat(9, start));
        assert!(dedup.is_repeat(9, start + 600 * S));
        assert!(dedup.is_repeat(9, start - 600 * S));
        assert!(!dedup.is_repeat(9, start + 601 * S));
        assert!(dedup.is_repeat(9, start + 601 * S));
    }

    #[test]
    fn the_table_stays_bounded_as_time_passes() {
        let mut dedup = Dedup::new(60 * S);
        let mut x = 1u64;
        for i in 0..2_000_000i64 {
            let time = 1_700_000_000 * S + i * S / 1_000; // a thousand ids a second
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            dedup.is_repeat(x, time);
            if i % 1_000 == 0 {
                dedup.expire_before(time - 5 * S);
            }
        }
        assert!(dedup.len() < 100_000, "{} ids kept for 65,000 live ones", dedup.len());
        assert!(dedup.bytes() < 2_000_000, "{} bytes", dedup.bytes());
    }

    #[test]
    fn a_jump_of_days_forgets_everything_and_still_finds_repeats() {
        let mut dedup = Dedup::new(600 * S);
        let start = 1_755_720_654 * S;
        dedup.expire_before(start);
        assert!(!dedup.is_repeat(5, start));
        let later = start + 40 * 86_400 * S;
        dedup.expire_before(later);
        assert!(!dedup.is_repeat(5, later));
        assert!(dedup.is_repeat(5, later + S));
    }

    proptest! {
        #[test]
        fn answers_equal_a_plain_map(ids in prop::collection::vec((1u64..300, 0i64..4_000), 1..3_000)) {
            let mut dedup = Dedup::new(60 * S);
            let mut plain: BTreeMap<u64, i64> = BTreeMap::new();
            let mut newest = 0;
            for (id, step) in ids {
                newest = newest.max(step);
                let second = 1_700_000_000 + newest - step.min(5);
                dedup.expire_before((1_700_000_000 + newest - 10) * S);
                let fingerprint = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let expected = plain.get(&id).is_some_and(|&first| (second - first).abs() <= 60);
                if !expected {
                    plain.insert(id, second);
                }
                prop_assert_eq!(dedup.is_repeat(fingerprint, second * S), expected);
            }
        }
    }
}
