use super::{Dedup, Packing, SEGMENT_BITS};
use crate::snapshot::codec::{Reader, Writer};

/// The ids as they were.
#[derive(Debug)]
pub(crate) struct FrozenDedup {
    generations: Vec<FrozenGeneration>,
    packing: Packing,
    /// Ids counted before this second answer no question any more.
    floor_s: i64,
}

#[derive(Debug)]
struct FrozenGeneration {
    start_s: i64,
    /// By segment.
    ids: Vec<Vec<u64>>,
    len: usize,
}

impl Dedup {
    /// Copies the ids; none earlier than `time` will be asked about any more.
    pub(crate) fn freeze(&self, time: i64) -> FrozenDedup {
        let floor_s = time.div_euclid(1_000_000).saturating_sub(self.window_s);
        let reached = self.generations.iter().filter(|of| of.start_s + self.span_s > floor_s);
        let generations =
            reached.map(|of| FrozenGeneration { start_s: of.start_s, ids: of.ids.clone(), len: of.len });
        FrozenDedup { generations: generations.collect(), packing: self.packing, floor_s }
    }

    /// Reads what [`FrozenDedup::save`] wrote into this one, which has the same window and limit and no ids.
    pub(crate) fn load(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        for _ in 0..reader.count()? {
            let start_s = reader.signed()?;
            // Beyond any event time, or not in order: not something that was written.
            let last = self.generations.back().map_or(i64::MIN, |last| last.start_s);
            if start_s.unsigned_abs() > u64::MAX / 4_000_000 || start_s < last {
                return None;
            }
            let len = reader.small()?;
            let made = self.make(start_s);
            self.generations.push_back(made);
            let mut within = 0_i64;
            for _ in 0..reader.count()? {
                within = within.checked_add(reader.small()?)?;
                let fingerprint = reader.fixed()?;
                if within >= self.span_s {
                    return None;
                }
                self.keep(self.generations.len() - 1, fingerprint, within);
            }
            // Those that were left out count, too: the limit is reached where it would have been.
            self.generations.back_mut()?.len = len;
        }
        self.len = self.generations.iter().map(|of| of.len).sum();
        Some(())
    }
}

impl FrozenDedup {
    /// Writes the generations, and of each the ids that can still be asked about, by second and fingerprint.
    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.count(self.generations.len());
        for FrozenGeneration { start_s, ids: segments, len } in &self.generations {
            let mut ids: Vec<(i64, u64)> = Vec::new();
            for (segment, words) in (0..).zip(segments) {
                let ids_of = words
                    .iter()
                    .map(|word| (self.packing.second(*word), self.packing.unpack(*word, segment)));
                ids.extend(ids_of.filter(|(within, _)| start_s + within >= self.floor_s));
            }
            ids.sort_unstable();
            writer.signed(*start_s);
            writer.number(*len as u64);
            writer.count(ids.len());
            let mut last = 0;
            for (within, fingerprint) in ids {
                writer.number((within - last) as u64);
                writer.fixed(fingerprint);
                last = within;
            }
        }
    }
}

impl Packing {
    /// The fingerprint of a word in this segment; bits that are not kept are zero.
    fn unpack(self, word: u64, segment: u64) -> u64 {
        segment << (64 - SEGMENT_BITS) | self.fingerprint(word)
    }
}
