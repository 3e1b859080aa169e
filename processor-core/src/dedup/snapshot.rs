use super::{Dedup, Packing, SEGMENT_BITS};
use crate::snapshot::codec::{Reader, Writer};

/// The ids as they were.
#[derive(Debug)]
pub(crate) struct FrozenDedup {
    /// The first second of each, and its ids by segment.
    generations: Vec<(i64, Vec<Vec<u64>>)>,
    packing: Packing,
    /// Ids counted before this second answer no question any more.
    floor_s: i64,
}

impl Dedup {
    /// Copies the ids; none earlier than `time` will be asked about any more.
    pub(crate) fn freeze(&self, time: i64) -> FrozenDedup {
        let generations = self.generations.iter().map(|of| (of.start_s, of.ids.clone()));
        let floor_s = time.div_euclid(1_000_000).saturating_sub(self.window_s);
        FrozenDedup { generations: generations.collect(), packing: self.packing, floor_s }
    }

    /// Reads what [`FrozenDedup::save`] wrote into this one, which has the same window and no ids.
    pub(crate) fn load(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let mut second = 0_i64;
        for _ in 0..reader.count()? {
            second = second.checked_add(reader.signed()?)?;
            let fingerprint = reader.fixed()?;
            // Beyond any event time: not something that was written.
            if second.unsigned_abs() > u64::MAX / 4_000_000 {
                return None;
            }
            self.insert(fingerprint, second);
        }
        Some(())
    }
}

impl FrozenDedup {
    /// Writes the ids that can still be asked about, by second and fingerprint.
    pub(crate) fn save(&self, writer: &mut Writer) {
        let mut ids: Vec<(i64, u64)> = Vec::new();
        for (start_s, segments) in &self.generations {
            for (segment, words) in (0..).zip(segments) {
                let ids_of = words
                    .iter()
                    .map(|word| (start_s + self.packing.second(*word), self.packing.unpack(*word, segment)));
                ids.extend(ids_of.filter(|(second, _)| *second >= self.floor_s));
            }
        }
        ids.sort_unstable();
        writer.count(ids.len());
        let mut last = 0;
        for (second, fingerprint) in ids {
            writer.signed(second - last);
            writer.fixed(fingerprint);
            last = second;
        }
    }
}

impl Packing {
    /// The fingerprint of a word in this segment; bits that are not kept are zero.
    fn unpack(self, word: u64, segment: u64) -> u64 {
        segment << (64 - SEGMENT_BITS) | self.fingerprint(word)
    }
}
