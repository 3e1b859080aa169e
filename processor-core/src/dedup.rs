use std::collections::VecDeque;

/// The ids counted lately: answers whether an id was counted at an event time within a span of this one.
///
/// Ids are kept in generations of half the span. Nearly every id is new, and to see that it is, one word per
/// generation is looked at: a Bloom filter of 10 bits an id or more, whose loads depend on nothing and overlap. Only
/// where one says "maybe" is the id looked up. When the watermark has left a generation behind, it is dropped whole, so
/// nothing is swept. About 14 bytes an id.
///
/// Ids are told apart by 64-bit fingerprints: an event is dropped wrongly with a chance of (live ids) / 2^64. At 6
/// million live ids and 10,000 events/s that is once in ten years.
#[derive(Debug)]
pub(crate) struct Dedup {
    window_s: i64,
    span_s: i64,
    /// Those with ids, the earliest first.
    generations: VecDeque<Generation>,
    /// Kept for reuse, emptied.
    spare: Option<Generation>,
}

/// Generations per span.
const GENERATIONS: i64 = 2;

impl Dedup {
    /// `window` in microseconds.
    pub(crate) fn new(window: i64) -> Self {
        let window_s = window / 1_000_000;
        let span_s = (window_s / GENERATIONS).max(1);
        Self { window_s, span_s, generations: VecDeque::new(), spare: None }
    }

    /// Whether `fingerprint` was counted within the window of `time` (microseconds, compared in whole seconds);
    /// where it was not, it is now.
    #[inline]
    pub(crate) fn is_repeat(&mut self, fingerprint: u64, time: i64) -> bool {
        let second = time.div_euclid(1_000_000);
        let number = second.div_euclid(self.span_s);
        let bits = Bits::of(fingerprint);
        // No early exit: nearly always all answer no, and then their loads overlap.
        let mut maybe = false;
        for generation in &self.generations {
            maybe |= generation.may_hold(&bits);
        }
        if maybe && self.find(fingerprint, &bits, second) {
            return true;
        }
        let within = (second - number * self.span_s) as u16;
        self.generation(number).insert(fingerprint, &bits, within);
        false
    }

    /// Tells that no event earlier than `time` will be asked about any more.
    pub(crate) fn expire_before(&mut self, time: i64) {
        let floor_s = time.div_euclid(1_000_000) - self.window_s;
        let span_s = self.span_s;
        while self.generations.front().is_some_and(|of| (of.number + 1) * span_s <= floor_s) {
            let mut gone = self.generations.pop_front().expect("it has a front");
            gone.clear();
            self.spare = Some(gone);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.len).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        let bucket = |of: &Bucket| of.fingerprints.capacity() * 10 + size_of::<Bucket>();
        let of = |of: &Generation| of.filter.capacity() * 8 + of.buckets.iter().map(bucket).sum::<usize>();
        self.generations.iter().map(of).sum()
    }

    #[cold]
    fn find(&self, fingerprint: u64, bits: &Bits, second: i64) -> bool {
        self.generations.iter().filter(|generation| generation.may_hold(bits)).any(|generation| {
            let start = generation.number * self.span_s;
            let mut seconds = generation.seconds_of(fingerprint);
            seconds.any(|within| (start + i64::from(within) - second).abs() <= self.window_s)
        })
    }

    /// The generation of this number, made if need be: nearly always the last.
    #[inline]
    fn generation(&mut self, number: i64) -> &mut Generation {
        let last = self.generations.len().wrapping_sub(1);
        let at = match self.generations.get(last) {
            Some(of) if of.number == number => last,
            _ => self.open(number),
        };
        &mut self.generations[at]
    }

    #[cold]
    fn open(&mut self, number: i64) -> usize {
        let at = self.generations.partition_point(|of| of.number < number);
        if self.generations.get(at).is_none_or(|of| of.number != number) {
            let made = self.spare.take().unwrap_or_default();
            self.generations.insert(at, Generation { number, ..made });
        }
        at
    }
}

/// Four bits in one word of a filter.
struct Bits {
    word: u64,
    mask: u64,
}

impl Bits {
    #[inline]
    fn of(fingerprint: u64) -> Self {
        let bit = |shift: u32| 1_u64 << ((fingerprint >> shift) & 63);
        Self { word: fingerprint >> 32, mask: bit(8) | bit(14) | bit(20) | bit(26) }
    }
}

/// The ids of one stretch of event time.
#[derive(Debug, Default)]
struct Generation {
    /// Its first second over the span.
    number: i64,
    filter: Vec<u64>,
    /// By the high bits of the fingerprint. Appending touches the end of one bucket and decides nothing, so it never
    /// waits for memory as probing a table would.
    buckets: Vec<Bucket>,
    len: usize,
}

#[derive(Debug, Default)]
struct Bucket {
    fingerprints: Vec<u64>,
    /// The second within the generation at which each was counted.
    seconds: Vec<u16>,
}

impl Bucket {
    /// By a half, not twofold: these are most of the memory.
    #[cold]
    fn grow(&mut self) {
        let more = (self.fingerprints.len() / 2).max(8);
        self.fingerprints.reserve_exact(more);
        self.seconds.reserve_exact(more);
    }
}

const FILTER_MIN: usize = 64;
const BUCKET_BITS: u32 = 11;

impl Generation {
    #[inline]
    fn may_hold(&self, bits: &Bits) -> bool {
        // Filter lengths are powers of two; an empty one has no word, so nothing.
        match self.filter.get(bits.word as usize & self.filter.len().wrapping_sub(1)) {
            Some(word) => word & bits.mask == bits.mask,
            None => false,
        }
    }

    /// The seconds, within this generation, at which the id was counted.
    fn seconds_of(&self, fingerprint: u64) -> impl Iterator<Item = u16> + '_ {
        let bucket = &self.buckets[bucket_of(fingerprint)]; // there are buckets where the filter may hold it
        let found = bucket.fingerprints.iter().zip(&bucket.seconds);
        found.filter(move |(found, _)| **found == fingerprint).map(|(_, second)| *second)
    }

    #[inline]
    fn insert(&mut self, fingerprint: u64, bits: &Bits, second: u16) {
        // Six ids to a word at most: 10 bits an id.
        if self.len >= self.filter.len() * 6 {
            self.grow();
        }
        let word = bits.word as usize & (self.filter.len() - 1);
        self.filter[word] |= bits.mask;
        let bucket = &mut self.buckets[bucket_of(fingerprint)];
        if bucket.fingerprints.len() == bucket.fingerprints.capacity() {
            bucket.grow();
        }
        bucket.fingerprints.push(fingerprint);
        bucket.seconds.push(second);
        self.len += 1;
    }

    #[cold]
    fn grow(&mut self) {
        self.buckets.resize_with(1 << BUCKET_BITS, Bucket::default);
        let words = (self.filter.len() * 2).max(FILTER_MIN);
        self.filter.clear();
        self.filter.resize(words, 0);
        for fingerprint in self.buckets.iter().flat_map(|bucket| &bucket.fingerprints) {
            let bits = Bits::of(*fingerprint);
            self.filter[bits.word as usize & (words - 1)] |= bits.mask;
        }
    }

    fn clear(&mut self) {
        self.filter.fill(0);
        for bucket in &mut self.buckets {
            bucket.fingerprints.clear();
            bucket.seconds.clear();
        }
        self.len = 0;
    }
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
