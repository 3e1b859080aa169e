mod snapshot;

use std::collections::VecDeque;

pub(crate) use snapshot::FrozenDedup;

/// The ids counted lately: answers whether an id was counted at an event time within a span of this one.
///
/// Ids are kept in generations of half the span, each a hash table whose buckets are cache lines. Nearly every id is
/// new, and to see that it is, one line per generation is looked at, which [`Dedup::touch`] can have brought near
/// before. When the watermark has left a generation behind, it is dropped whole, so nothing is swept. About 11 bytes an
/// id.
///
/// An id is told by its 64-bit fingerprint: an event is dropped wrongly with a chance of (live ids) / 2^64. At 6 million
/// live ids and 10,000 events/s that is once in ten years. With windows beyond 17 minutes a bit of the fingerprint is
/// given up for each doubling (seven at most), as a fingerprint shares a word with the second it was counted at.
#[derive(Debug)]
pub(crate) struct Dedup {
    window_s: i64,
    span_s: i64,
    /// Those with ids, the earliest first.
    generations: VecDeque<Generation>,
    /// Kept for reuse, emptied.
    spare: Option<Generation>,
    packing: Packing,
}

/// Generations per span.
const GENERATIONS: i64 = 2;

impl Dedup {
    /// `window` in microseconds.
    pub(crate) fn new(window: i64) -> Self {
        let window_s = window / 1_000_000;
        let span_s = (window_s / GENERATIONS).clamp(1, SPAN_MAX_S);
        let packing = Packing { second_bits: (span_s as u64 + 1).next_power_of_two().trailing_zeros() };
        Self { window_s, span_s, generations: VecDeque::new(), spare: None, packing }
    }

    /// Whether `fingerprint` was counted within the window of `time` (microseconds, compared in whole seconds);
    /// where it was not, it is now.
    #[inline]
    pub(crate) fn is_repeat(&mut self, fingerprint: u64, time: i64) -> bool {
        let second = time.div_euclid(1_000_000);
        // No early exit: nearly always all answer no.
        let mut maybe = false;
        for generation in &self.generations {
            maybe |= generation.segment(fingerprint).may_hold(fingerprint, self.packing);
        }
        if maybe && self.find(fingerprint, second) {
            return true;
        }
        let packing = self.packing;
        self.generation(second).insert(fingerprint, second, packing);
        false
    }

    /// Loads what [`Dedup::is_repeat`] will look at first.
    #[inline]
    pub(crate) fn touch(&self, fingerprint: u64) -> u64 {
        self.generations.iter().fold(0, |seen, of| seen ^ of.segment(fingerprint).touch(fingerprint))
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
        let of = |of: &Segment| of.lines.capacity() * size_of::<Line>() + size_of::<Segment>();
        self.generations.iter().flat_map(|generation| &generation.segments).map(of).sum()
    }

    #[cold]
    fn find(&self, fingerprint: u64, second: i64) -> bool {
        let packing = self.packing;
        self.generations.iter().any(|generation| {
            let mut seconds = generation.segment(fingerprint).seconds_of(fingerprint, packing);
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
            let mut made = self.spare.take().unwrap_or_default();
            made.segments.resize_with(1 << SEGMENT_BITS, Segment::default);
            self.generations.insert(at, Generation { start_s, ..made });
        }
        at
    }
}

/// How an id is kept in one word: its fingerprint, without the high bits that its segment stands for, above one more than
/// the second within the generation. So no word is zero, which stands for no id.
#[derive(Debug, Clone, Copy)]
struct Packing {
    second_bits: u32,
}

/// So that the second leaves at least 48 bits to the fingerprint.
const SPAN_MAX_S: i64 = (1 << 16) - 1;

impl Packing {
    #[inline]
    fn pack(self, fingerprint: u64, second: i64) -> u64 {
        fingerprint << self.second_bits | (second + 1) as u64
    }

    fn second(self, word: u64) -> i64 {
        (word & ((1 << self.second_bits) - 1)) as i64 - 1
    }

    /// The fingerprint's low 48 bits or more.
    #[inline]
    fn fingerprint(self, word: u64) -> u64 {
        word >> self.second_bits
    }

    /// What [`Packing::fingerprint`] gives for this fingerprint.
    #[inline]
    fn kept(self, fingerprint: u64) -> u64 {
        fingerprint << self.second_bits >> self.second_bits
    }
}

/// The ids of one stretch of event time.
#[derive(Debug, Default)]
struct Generation {
    /// Its first second.
    start_s: i64,
    /// By the high bits of the fingerprint. They grow one by one, so that none takes long and little memory is held twice.
    segments: Vec<Segment>,
    len: usize,
}

const SEGMENT_BITS: u32 = 9;

#[inline]
fn segment_of(fingerprint: u64) -> usize {
    (fingerprint >> (64 - SEGMENT_BITS)) as usize
}

impl Generation {
    #[inline]
    fn segment(&self, fingerprint: u64) -> &Segment {
        &self.segments[segment_of(fingerprint)]
    }

    /// Adds an id counted at a second of this generation.
    #[inline]
    fn insert(&mut self, fingerprint: u64, second: i64, packing: Packing) {
        let packed = packing.pack(fingerprint, second - self.start_s);
        self.segments[segment_of(fingerprint)].insert(packed, packing);
        self.len += 1;
    }

    fn clear(&mut self) {
        self.segments.iter_mut().for_each(Segment::clear);
        self.len = 0;
    }
}

/// Packed ids, in the order they came, then zeros.
type Line = [u64; 8];

/// A part of a generation: a hash table of lines. An id is in its home line, or where that is full in one after it.
#[derive(Debug, Default)]
struct Segment {
    lines: Vec<Line>,
    len: usize,
    /// How many ids it is good for: four fifths of its words.
    room: usize,
}

impl Segment {
    /// The line an id is looked for first; told by bits of the fingerprint that every packing keeps.
    #[inline]
    fn home(&self, fingerprint: u64) -> usize {
        ((((fingerprint >> 10) & 0xffff_ffff) * self.lines.len() as u64) >> 32) as usize
    }

    #[inline]
    fn touch(&self, fingerprint: u64) -> u64 {
        self.lines.get(self.home(fingerprint)).map_or(0, |line| line[0])
    }

    /// The lines an id may be in, the first being its home: all up to the first that is not full.
    #[inline]
    fn lines_of(&self, fingerprint: u64) -> impl Iterator<Item = &Line> + '_ {
        let (before, after) = self.lines.split_at(self.home(fingerprint));
        let mut ended = false;
        after.iter().chain(before).take_while(move |line| !std::mem::replace(&mut ended, line[7] == 0))
    }

    /// Whether it may hold the id: no means no.
    #[inline]
    fn may_hold(&self, fingerprint: u64, packing: Packing) -> bool {
        let wanted = packing.kept(fingerprint);
        let holds =
            |line: &Line| line.iter().fold(false, |any, word| any | (packing.fingerprint(*word) == wanted));
        match self.lines.get(self.home(fingerprint)) {
            Some(line) => holds(line) || line[7] != 0 && self.lines_of(fingerprint).skip(1).any(holds),
            None => false,
        }
    }

    /// The seconds, within its generation, at which the id was counted.
    fn seconds_of(&self, fingerprint: u64, packing: Packing) -> impl Iterator<Item = i64> + '_ {
        let wanted = packing.kept(fingerprint);
        let words = self.lines_of(fingerprint).flatten().filter(|word| **word != 0);
        words.filter(move |word| packing.fingerprint(**word) == wanted).map(move |word| packing.second(*word))
    }

    #[inline]
    fn insert(&mut self, packed: u64, packing: Packing) {
        if self.len >= self.room {
            self.grow(packing);
        }
        self.len += 1;
        self.put(packed, packing);
    }

    /// Puts an id where it belongs; there must be room.
    #[inline]
    fn put(&mut self, packed: u64, packing: Packing) {
        let mut at = self.home(packing.fingerprint(packed));
        while self.lines[at][7] != 0 {
            at += 1;
            if at == self.lines.len() {
                at = 0;
            }
        }
        let line = &mut self.lines[at];
        let used = line.iter().filter(|word| **word != 0).count();
        line[used % line.len()] = packed;
    }

    /// Not twofold, as these are most of the memory: by a half at first, then by a quarter.
    #[cold]
    fn grow(&mut self, packing: Packing) {
        let share = if self.lines.len() < 64 { 2 } else { 4 };
        let lines = self.lines.len() + (self.lines.len() / share).max(4);
        let old = std::mem::replace(&mut self.lines, vec![[0; 8]; lines]);
        self.room = lines * 8 * 4 / 5;
        for word in old.into_iter().flatten().filter(|word| *word != 0) {
            self.put(word, packing);
        }
    }

    fn clear(&mut self) {
        self.lines.fill([0; 8]);
        self.len = 0;
    }
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

    #[test]
    fn ids_that_crowd_into_one_line_are_all_found_again() {
        let mut dedup = Dedup::new(600 * S);
        let start = 1_755_720_600 * S;
        // They differ in bits that choose neither the segment nor the line, and the first is all zeros.
        let ids = || (0..200_u64).map(|id| id & 1 | (id >> 1) << 42);
        assert!(ids().all(|id| !dedup.is_repeat(id, start)));
        assert!(ids().all(|id| dedup.is_repeat(id, start + 200 * S)));
        assert!(!dedup.is_repeat(1 << 9, start));
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
