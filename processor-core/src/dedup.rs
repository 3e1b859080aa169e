mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::near::{CACHE_LINE, ask_for};

pub(crate) use snapshot::FrozenDedup;

/// The ids counted lately: answers whether an id was counted at an event time within a span of this one.
///
/// Nearly every id is new. To see that it is, one cache line of 16-bit tags is looked at, which [`Dedup::ask_for`] can
/// have asked for before; only where its tag is there is the id itself looked for. Ids are kept in the order they came,
/// so keeping one is a write to the end of a list, in generations of an eighth of the span. When the watermark has left a
/// generation behind, it is dropped whole; its tags go when a table of them is full and made anew from the ids. About
/// 12 bytes an id.
///
/// Where there are more ids than room, a generation has another one of the same time after it, and the first one is
/// dropped before its time: of ids that come in the order of their events, at most the oldest quarter.
///
/// An id is told by its 64-bit fingerprint: an event is dropped wrongly with a chance of (live ids) / 2^64. At 6 million
/// live ids and 10,000 events/s that is once in ten years. With windows beyond 17 minutes a bit of the fingerprint is
/// given up for each doubling (seven at most), as a fingerprint shares a word with the second it was counted at.
#[derive(Debug)]
pub(crate) struct Dedup {
    window_s: i64,
    span_s: i64,
    /// The tags of all generations, by the high bits of the fingerprint: they are made anew one by one, so that none
    /// takes long and little memory is held twice.
    segments: Vec<Segment>,
    /// Those with ids, the earliest first.
    generations: VecDeque<Generation>,
    /// Kept for reuse, emptied.
    spare: Option<Generation>,
    packing: Packing,
    /// Over all generations.
    len: usize,
    max: usize,
    /// Of a generation.
    generation_max: usize,
    /// Ids dropped while a repeat of them could still come.
    forgotten: u64,
}

/// Generations per span.
const GENERATIONS: i64 = 8;
/// The share of all ids that a generation holds at most, and so that is forgotten at once.
const GENERATION_SHARE: usize = 4;

impl Dedup {
    /// `window` in microseconds; `max`: ids kept at most.
    pub(crate) fn new(window: i64, max: usize) -> Self {
        let window_s = window / 1_000_000;
        let span_s = (window_s / GENERATIONS).clamp(1, SPAN_MAX_S);
        let packing = Packing { second_bits: (span_s as u64 + 1).next_power_of_two().trailing_zeros() };
        let segments = std::iter::repeat_with(Segment::default).take(1 << SEGMENT_BITS).collect();
        Self {
            window_s,
            span_s,
            segments,
            generations: VecDeque::new(),
            spare: None,
            packing,
            len: 0,
            max,
            generation_max: (max / GENERATION_SHARE).max(1),
            forgotten: 0,
        }
    }

    /// Whether `fingerprint` was counted within the window of `time` (microseconds, compared in whole seconds);
    /// where it was not, it is now. No event earlier than `asked_from` will be asked about any more.
    #[inline]
    pub(crate) fn is_repeat(
        &mut self,
        fingerprint: u64,
        time: i64,
        asked_from: impl FnOnce() -> i64,
    ) -> bool {
        let second = time.div_euclid(1_000_000);
        if self.segments[segment_of(fingerprint)].may_hold(fingerprint) && self.find(fingerprint, second) {
            return true;
        }
        if self.len >= self.max {
            self.make_room(asked_from());
        }
        self.insert(fingerprint, second);
        false
    }

    /// Asks for what [`Dedup::is_repeat`] will look at first.
    #[inline]
    pub(crate) fn ask_for(&self, fingerprint: u64) {
        self.segments[segment_of(fingerprint)].ask_for(fingerprint);
    }

    /// Tells that no event earlier than `time` will be asked about any more.
    pub(crate) fn expire_before(&mut self, time: i64) {
        let floor_s = time.div_euclid(1_000_000) - self.window_s;
        let span_s = self.span_s;
        while self.generations.front().is_some_and(|of| of.start_s + span_s <= floor_s) {
            self.drop_first();
        }
    }

    /// Drops what nothing asks for any more, and where that is not enough, the first generation: so what is forgotten
    /// early does not depend on when the rest is.
    #[cold]
    fn make_room(&mut self, asked_from: i64) {
        self.expire_before(asked_from);
        while self.len >= self.max {
            self.forgotten += self.drop_first() as u64;
        }
    }

    /// Returns how many ids are gone with it.
    fn drop_first(&mut self) -> usize {
        let Some(mut gone) = self.generations.pop_front() else { return 0 };
        let ids = std::mem::take(&mut gone.len);
        self.len -= ids;
        gone.clear();
        self.spare = Some(gone);
        ids
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn bytes(&self) -> usize {
        let tags = |of: &Segment| of.lines.capacity() * size_of::<Line>() + size_of::<Segment>();
        let ids = |of: &Vec<u64>| of.capacity() * size_of::<u64>() + size_of::<Vec<u64>>();
        let generations = self.generations.iter().chain(&self.spare);
        self.segments.iter().map(tags).sum::<usize>()
            + generations.flat_map(|generation| &generation.ids).map(ids).sum::<usize>()
    }

    #[cold]
    fn find(&self, fingerprint: u64, second: i64) -> bool {
        let (packing, segment) = (self.packing, segment_of(fingerprint));
        let wanted = packing.kept(fingerprint);
        let holds = |of: &Generation, ids: &[u64]| {
            ids.iter().any(|word| {
                let within = || of.start_s + packing.second(*word) - second;
                packing.fingerprint(*word) == wanted && within().abs() <= self.window_s
            })
        };
        // A repeat mostly has the time of what it repeats, and ids come nearly in the order of time.
        if let Some(of) = self.generations.iter().find(|of| (0..self.span_s).contains(&(second - of.start_s)))
        {
            let ids = &of.ids[segment];
            let about = ids.partition_point(|word| packing.second(*word) < second - of.start_s);
            if holds(of, &ids[about.saturating_sub(NEAR)..(about + NEAR).min(ids.len())]) {
                return true;
            }
        }
        self.generations.iter().any(|of| holds(of, &of.ids[segment]))
    }

    #[inline]
    fn insert(&mut self, fingerprint: u64, second: i64) {
        let at = self.generation(second);
        let within = second - self.generations[at].start_s;
        self.keep(at, fingerprint, within);
    }

    /// Keeps an id that was counted at this second within a generation.
    #[inline]
    fn keep(&mut self, generation: usize, fingerprint: u64, within: i64) {
        let packed = self.packing.pack(fingerprint, within);
        self.generations[generation].push(segment_of(fingerprint), packed);
        self.len += 1;
        let segment = &mut self.segments[segment_of(fingerprint)];
        if segment.held < segment.room {
            segment.put(fingerprint);
        } else {
            self.make_anew(segment_of(fingerprint));
        }
    }

    /// Makes a segment's tags from the ids there are.
    #[cold]
    fn make_anew(&mut self, at: usize) {
        let packing = self.packing;
        let ids = || self.generations.iter().flat_map(|generation| &generation.ids[at]);
        let mut segment = Segment::with_room_beyond(ids().count());
        ids().for_each(|word| segment.put(packing.fingerprint(*word)));
        self.segments[at] = segment;
    }

    /// The place of the generation of this second, made if need be: nearly always the last.
    #[inline]
    fn generation(&mut self, second: i64) -> usize {
        let last = self.generations.len().wrapping_sub(1);
        match self.generations.get(last) {
            Some(of) if (0..self.span_s).contains(&(second - of.start_s)) && of.len < self.generation_max => {
                last
            }
            _ => self.open(second),
        }
    }

    #[cold]
    fn open(&mut self, second: i64) -> usize {
        let start_s = second - second.rem_euclid(self.span_s);
        let after = self.generations.partition_point(|of| of.start_s <= start_s);
        let last = after.checked_sub(1).filter(|last| {
            let of = &self.generations[*last];
            of.start_s == start_s && of.len < self.generation_max
        });
        let at = last.unwrap_or(after);
        if last.is_none() {
            let made = self.make(start_s);
            self.generations.insert(at, made);
        }
        at
    }

    fn make(&mut self, start_s: i64) -> Generation {
        let mut made = self.spare.take().unwrap_or_default();
        made.ids.resize_with(1 << SEGMENT_BITS, Vec::new);
        Generation { start_s, ..made }
    }
}

/// How many ids before and after the place of its second a repeat is looked for first: with a hundred ids a second in a
/// segment, several seconds of disorder.
const NEAR: usize = 512;

/// How an id is kept in one word: its fingerprint, without the high bits that its segment stands for, above one more than
/// the second within the generation. So no word is zero.
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
    /// Packed, by segment, in the order they came.
    ids: Vec<Vec<u64>>,
    len: usize,
}

/// Few enough for what is kept of each to stay in the first-level cache, and many enough for one to be made anew in a
/// fraction of a millisecond.
const SEGMENT_BITS: u32 = 7;

#[inline]
fn segment_of(fingerprint: u64) -> usize {
    (fingerprint >> (64 - SEGMENT_BITS)) as usize
}

impl Generation {
    #[inline]
    fn push(&mut self, segment: usize, packed: u64) {
        let ids = &mut self.ids[segment];
        if ids.len() == ids.capacity() {
            // Not twofold, as these are most of the memory.
            ids.reserve_exact(ids.len() / 4 + 8);
        }
        ids.push(packed);
        // Each segment's list ends elsewhere, and new memory is not near.
        if let Some(next_line) = ids.spare_capacity_mut().get(CACHE_LINE / size_of::<u64>()) {
            ask_for(next_line);
        }
        self.len += 1;
    }

    fn clear(&mut self) {
        self.ids.iter_mut().for_each(Vec::clear);
        self.len = 0;
    }
}

/// Tags of ids, in the order they came, then zeros, and how many they are: a cache line.
type Line = [u16; TAGS + 1];
const TAGS: usize = CACHE_LINE / size_of::<u16>() - 1;

/// A hash table of lines of tags. A tag is in its id's home line, or where that is full in one after it.
///
/// Also of ids that are gone, until it is made anew: they cost a search among the ids, one time in thousands.
#[derive(Debug, Default)]
struct Segment {
    lines: Vec<Line>,
    held: usize,
    /// How many tags it is good for: 7 tenths of its places, so that few lines are full.
    room: usize,
}

impl Segment {
    /// With room for half as many again, so that it is not made anew soon.
    fn with_room_beyond(ids: usize) -> Self {
        let room = ids + ids / 2 + 8;
        Self { lines: vec![[0; TAGS + 1]; (room * 10).div_ceil(7 * TAGS)], held: 0, room }
    }

    /// The line an id is looked for first; told by bits of the fingerprint that every packing keeps.
    #[inline]
    fn home(&self, fingerprint: u64) -> usize {
        ((((fingerprint >> 10) & 0xffff_ffff) * self.lines.len() as u64) >> 32) as usize
    }

    /// Other bits than choose the line; more than there are tags, so that their number is taken for none.
    #[inline]
    fn tag(fingerprint: u64) -> u16 {
        (fingerprint as u16).max(TAGS as u16 + 1)
    }

    #[inline]
    fn ask_for(&self, fingerprint: u64) {
        if let Some(line) = self.lines.get(self.home(fingerprint)) {
            ask_for(line);
        }
    }

    /// Whether it may hold the id: no means no.
    #[inline]
    fn may_hold(&self, fingerprint: u64) -> bool {
        let tag = Self::tag(fingerprint);
        let holds = |line: &Line| line.iter().fold(false, |any, of| any | (*of == tag));
        let home = self.home(fingerprint);
        match self.lines.get(home) {
            Some(line) => holds(line) || is_full(line) && self.beyond(home, holds),
            None => false,
        }
    }

    /// Whether one of the lines after a full one holds it, up to the first that is not full.
    #[cold]
    fn beyond(&self, home: usize, holds: impl Fn(&Line) -> bool) -> bool {
        let (before, after) = self.lines.split_at(home + 1);
        for line in after.iter().chain(before) {
            if holds(line) {
                return true;
            }
            if !is_full(line) {
                return false;
            }
        }
        false
    }

    /// Puts a tag where it belongs; there must be room.
    #[inline]
    fn put(&mut self, fingerprint: u64) {
        let mut at = self.home(fingerprint);
        while is_full(&self.lines[at]) {
            at += 1;
            if at == self.lines.len() {
                at = 0;
            }
        }
        let line = &mut self.lines[at];
        line[usize::from(line[TAGS]) % TAGS] = Self::tag(fingerprint);
        line[TAGS] += 1;
        self.held += 1;
    }
}

#[inline]
fn is_full(line: &Line) -> bool {
    usize::from(line[TAGS]) == TAGS
}
