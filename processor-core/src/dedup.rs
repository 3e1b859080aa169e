mod snapshot;

use std::collections::VecDeque;

pub(crate) use snapshot::FrozenDedup;

/// The ids counted lately: answers whether an id was counted at an event time within a span of this one.
///
/// Ids are kept in generations of half the span. Nearly every id is new, and to see that it is, one word per
/// generation is looked at: a Bloom filter of 10 bits an id or more, whose loads depend on nothing and overlap. Only
/// where one says "maybe" is the id looked up. When the watermark has left a generation behind, it is dropped whole, so
/// nothing is swept. About 11 bytes an id.
///
/// An id is told by its 64-bit fingerprint: an event is dropped wrongly with a chance of (live ids) / 2^64. At 6 million
/// live ids and 10,000 events/s that is once in ten years. With windows beyond two hours a bit of the fingerprint is
/// given up for each doubling (four at most), as a fingerprint shares a word with the second it was counted at.
#[derive(Debug)]
pub(crate) struct Dedup {
    window_s: i64,
    span_s: i64,
    /// Those with ids, the earliest first.
    generations: VecDeque<Generation>,
    /// Kept for reuse, emptied.
    spare: Option<Generation>,
    /// How an id is kept.
    packing: Packing,
}

/// Generations per span.
const GENERATIONS: i64 = 2;

impl Dedup {
    /// `window` in microseconds.
    pub(crate) fn new(window: i64) -> Self {
        let window_s = window / 1_000_000;
        let span_s = (window_s / GENERATIONS).clamp(1, SPAN_MAX_S);
        let packing = Packing { second_bits: (span_s as u64).next_power_of_two().trailing_zeros() };
        Self { window_s, span_s, generations: VecDeque::new(), spare: None, packing }
    }

    /// Whether `fingerprint` was counted within the window of `time` (microseconds, compared in whole seconds);
    /// where it was not, it is now.
    #[inline]
    pub(crate) fn is_repeat(&mut self, fingerprint: u64, time: i64) -> bool {
        let second = time.div_euclid(1_000_000);
        let bits = Bits::of(fingerprint);
        // No early exit: nearly always all answer no, and then their loads overlap.
        let mut maybe = false;
        for generation in &self.generations {
            maybe |= generation.may_hold(&bits);
        }
        if maybe && self.find(fingerprint, &bits, second) {
            return true;
        }
        let packing = self.packing;
        let generation = self.generation(second);
        let within = (second - generation.start_s) as u64;
        generation.insert(fingerprint, &bits, packing.pack(fingerprint, within), packing);
        false
    }

    /// Loads what [`Dedup::is_repeat`] will look at.
    #[inline]
    pub(crate) fn touch(&self, fingerprint: u64) -> u64 {
        let bits = Bits::of(fingerprint);
        self.generations.iter().fold(0, |seen, generation| seen ^ generation.word(&bits))
    }

    /// Tells that no event earlier than `time` will be asked about any more.
    pub(crate) fn expire_before(&mut self, time: i64) {
        let floor_s = time.div_euclid(1_000_000) - self.window_s;
        let span_s = self.span_s;
        while self.generations.front().is_some_and(|of| of.start_s + span_s <= floor_s) {
            let mut gone = self.generations.pop_front().expect("it has a front");
            gone.clear();
            self.spare = Some(gone);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.len).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        let bucket = |of: &Vec<u64>| of.capacity() * 8 + size_of::<Vec<u64>>();
        let of = |of: &Generation| of.filter.capacity() * 8 + of.buckets.iter().map(bucket).sum::<usize>();
        self.generations.iter().map(of).sum()
    }

    #[cold]
    fn find(&self, fingerprint: u64, bits: &Bits, second: i64) -> bool {
        let packing = self.packing;
        self.generations.iter().filter(|generation| generation.may_hold(bits)).any(|generation| {
            let mut seconds = generation.seconds_of(fingerprint, packing);
            seconds.any(|within| (generation.start_s + within - second).abs() <= self.window_s)
        })
    }

    /// The generation of this second, made if need be: nearly always the last.
    #[inline]
    fn generation(&mut self, second: i64) -> &mut Generation {
        let last = self.generations.len().wrapping_sub(1);
        let at = match self.generations.get(last) {
            Some(of) if (0..self.span_s).contains(&(second - of.start_s)) => last,
            _ => self.open(second),
        };
        &mut self.generations[at]
    }

    #[cold]
    fn open(&mut self, second: i64) -> usize {
        let start_s = second - second.rem_euclid(self.span_s);
        let at = self.generations.partition_point(|of| of.start_s < start_s);
        if self.generations.get(at).is_none_or(|of| of.start_s != start_s) {
            let made = self.spare.take().unwrap_or_default();
            self.generations.insert(at, Generation { start_s, ..made });
        }
        at
    }
}

/// How an id is kept in one word: its fingerprint, without the high bits that its bucket stands for, above the second
/// within the generation.
#[derive(Debug, Clone, Copy)]
struct Packing {
    second_bits: u32,
}

/// So that the second leaves at least 48 bits to the fingerprint.
const SPAN_MAX_S: i64 = 1 << 16;

impl Packing {
    #[inline]
    fn pack(self, fingerprint: u64, second: u64) -> u64 {
        fingerprint << self.second_bits | second
    }

    fn second(self, word: u64) -> i64 {
        (word & ((1 << self.second_bits) - 1)) as i64
    }

    /// The fingerprint's low 48 bits or more.
    fn fingerprint(self, word: u64) -> u64 {
        word >> self.second_bits
    }
}

/// Four bits in one word of a filter, told by the low 48 bits of a fingerprint.
struct Bits {
    word: u64,
    mask: u64,
}

impl Bits {
    #[inline]
    fn of(fingerprint: u64) -> Self {
        let bit = |shift: u32| 1_u64 << ((fingerprint >> shift) & 63);
        Self { word: (fingerprint >> 24) & 0xff_ffff, mask: bit(0) | bit(6) | bit(12) | bit(18) }
    }
}

/// The ids of one stretch of event time.
#[derive(Debug, Default)]
struct Generation {
    /// Its first second.
    start_s: i64,
    filter: Vec<u64>,
    /// Packed ids by the high bits of the fingerprint. Appending touches the end of one bucket and decides nothing, so
    /// it never waits for memory as probing a table would.
    buckets: Vec<Vec<u64>>,
    len: usize,
    /// How many ids the filter is good for: six to a word, 10 bits an id.
    room: usize,
}

const FILTER_MIN: usize = 64;
/// The most a filter's words are told apart by: 100 million ids in a generation, beyond which it answers "maybe" more.
const FILTER_MAX: usize = 1 << 24;
const BUCKET_BITS: u32 = 12;

impl Generation {
    #[inline]
    fn may_hold(&self, bits: &Bits) -> bool {
        self.word(bits) & bits.mask == bits.mask
    }

    #[inline]
    fn word(&self, bits: &Bits) -> u64 {
        // Filter lengths are powers of two; an empty one has no word, so nothing.
        self.filter.get(bits.word as usize & self.filter.len().wrapping_sub(1)).copied().unwrap_or(0)
    }

    /// The seconds, within this generation, at which the id was counted.
    fn seconds_of(&self, fingerprint: u64, packing: Packing) -> impl Iterator<Item = i64> + '_ {
        let bucket = &self.buckets[bucket_of(fingerprint)]; // there are buckets where the filter may hold it
        let wanted = packing.fingerprint(packing.pack(fingerprint, 0));
        bucket
            .iter()
            .filter(move |word| packing.fingerprint(**word) == wanted)
            .map(move |word| packing.second(*word))
    }

    #[inline]
    fn insert(&mut self, fingerprint: u64, bits: &Bits, packed: u64, packing: Packing) {
        if self.len >= self.room {
            self.grow(packing);
        }
        let word = bits.word as usize & (self.filter.len() - 1);
        self.filter[word] |= bits.mask;
        let bucket = &mut self.buckets[bucket_of(fingerprint)];
        if bucket.len() == bucket.capacity() {
            grow_bucket(bucket);
        }
        bucket.push(packed);
        self.len += 1;
    }

    #[cold]
    fn grow(&mut self, packing: Packing) {
        self.buckets.resize_with(1 << BUCKET_BITS, Vec::new);
        let words = (self.filter.len() * 2).clamp(FILTER_MIN, FILTER_MAX);
        self.room = if words == FILTER_MAX { usize::MAX } else { words * 6 };
        self.filter.clear();
        self.filter.resize(words, 0);
        for word in self.buckets.iter().flatten() {
            let bits = Bits::of(packing.fingerprint(*word));
            self.filter[bits.word as usize & (words - 1)] |= bits.mask;
        }
    }

    fn clear(&mut self) {
        self.filter.fill(0);
        self.buckets.iter_mut().for_each(Vec::clear);
        self.len = 0;
    }
}

/// By a quarter, not twofold: these are most of the memory.
#[cold]
fn grow_bucket(bucket: &mut Vec<u64>) {
    bucket.reserve_exact((bucket.len() / 4).max(4));
}

#[inline]
fn bucket_of(fingerprint: u64) -> usize {
    (fingerprint >> (64 - BUCKET_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const S: i64 = 1_000_000;

    fn mixed(id: u64) -> u64 {
        id.wrapping_add(1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29)
            .wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }

    #[test]
    fn a_repeat_counts_within_the_window_only() {
        let mut dedup = Dedup::new(600 * S);
        let start = 1_755_720_654 * S;
        assert!(!dedup.is_repeat(mixed(9), start));
        assert!(dedup.is_repeat(mixed(9), start + 600 * S));
        assert!(dedup.is_repeat(mixed(9), start - 600 * S));
        assert!(!dedup.is_repeat(mixed(9), start + 601 * S));
        assert!(dedup.is_repeat(mixed(9), start + 601 * S));
    }

    #[test]
    fn memory_is_bounded_by_the_ids_of_the_window() {
        let mut dedup = Dedup::new(60 * S);
        for i in 0..2_000_000 {
            let time = 1_700_000_000 * S + i * S / 1_000; // a thousand ids a second
            dedup.is_repeat(mixed(i as u64), time);
            if i % 1_000 == 0 {
                dedup.expire_before(time - 5 * S);
            }
        }
        assert!(dedup.len() < 80_000, "{} ids kept for 65,000 live ones", dedup.len());
        assert!(dedup.bytes() < 3_000_000, "{} bytes", dedup.bytes());
    }

    #[test]
    fn a_gap_of_years_costs_nothing_and_repeats_are_still_found() {
        let mut dedup = Dedup::new(600 * S);
        let start = 1_755_720_654 * S;
        let later = start + 3 * 365 * 86_400 * S;
        assert!(!dedup.is_repeat(mixed(5), start));
        assert!(!dedup.is_repeat(mixed(5), later));
        assert!(dedup.is_repeat(mixed(5), later + S));
        assert!(dedup.generations.len() <= 2);
        dedup.expire_before(later);
        assert_eq!(dedup.len(), 1);
    }

    proptest! {
        #[test]
        fn answers_equal_a_plain_map(ids in prop::collection::vec((1u64..300, 0i64..4_000), 1..3_000)) {
            let mut dedup = Dedup::new(60 * S);
            let mut plain: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
            let mut newest = 0;
            for (id, step) in ids {
                newest = newest.max(step);
                let second = 1_700_000_000 + newest - step.min(5);
                dedup.expire_before((1_700_000_000 + newest - 10) * S);
                let counted = plain.entry(id).or_default();
                let expected = counted.iter().any(|at| (second - at).abs() <= 60);
                if !expected {
                    counted.push(second);
                }
                prop_assert_eq!(dedup.is_repeat(mixed(id), second * S), expected);
            }
        }
    }
}
