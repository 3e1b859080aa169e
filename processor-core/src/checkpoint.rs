//! What is committed with an offset, so that a restart repeats what was decided.

use std::collections::BTreeMap;
use std::fmt;

use crate::clock::{NOT_BEGUN, ReplayPoint};
use crate::jumps::{self, Jump};
use crate::parts::Part;

/// An input partition's commit: its next offset, and in the metadata where a replay begins, the watermark, and the
/// jumps it made in between.
///
/// Those are there because the wall clock may have moved it, which the log does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The next offset to read.
    pub next_offset: i64,
    /// The watermark by which the next record will be judged at least, microseconds; `i64::MIN` where it had not begun.
    pub watermark: i64,
    /// Where to begin reading to rebuild the state.
    pub replay: ReplayPoint,
    /// Where, from there on, the watermark moved without the log, in order.
    pub jumps: Vec<Jump>,
    /// Which log the offset is of, and which part of it the state covers.
    pub part: Part,
    /// Windows that start before this are incomplete in this part, microseconds; `i64::MIN` where all are whole,
    /// `i64::MAX` until an event has decided it.
    pub whole_from: i64,
}

/// A partials partition's commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeCheckpoint {
    /// The next offset to read.
    pub next_offset: i64,
    /// Where to begin reading to rebuild the open windows.
    pub replay_offset: i64,
    /// Windows are closed as far as this watermark allows, microseconds.
    pub closed_through: i64,
    /// The minimum watermark over the tasks that are not idle, microseconds: what idle inputs take over.
    pub frontier: i64,
    /// Windows that start no later than this are left as they were written, as partials of them were skipped;
    /// microseconds, `i64::MIN` where none were.
    pub withheld_to: i64,
}

const TASK: &str = "task2";
/// As before jumps were noted; `from_wm` then was the watermark with what the wall clock had added.
const TASK_1: &str = "task1";
const MERGE: &str = "merge1";

impl Checkpoint {
    /// Of a partition without a commit: it is read from its beginning.
    #[must_use]
    pub fn beginning() -> Self {
        Self::plain(0)
    }

    pub(crate) fn plain(next_offset: i64) -> Self {
        let replay = ReplayPoint { offset: next_offset, watermark: NOT_BEGUN };
        let (jumps, part) = (Vec::new(), Part::default());
        Self { next_offset, watermark: NOT_BEGUN, replay, jumps, part, whole_from: NOT_BEGUN }
    }

    /// The commit's metadata: text of at most 3,300 characters, usually about 150; Kafka takes 4,096.
    #[must_use]
    pub fn metadata(&self) -> String {
        let Part { topic, log, number } = self.part;
        // What is not there is what versions before it meant; they read past what they do not know.
        let all = [
            ("wm", Some(self.watermark)),
            ("from", Some(self.replay.offset)),
            ("from_wm", Some(self.replay.watermark)),
            ("topic", (topic != 0).then_some(topic.cast_signed())),
            ("log", (log != 0).then_some(log.cast_signed())),
            ("part", (number != 0).then_some(number.into())),
            ("whole", (self.whole_from != NOT_BEGUN).then_some(self.whole_from)),
        ];
        let fields: Vec<_> = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let mut text = Fields(TASK, &fields).to_string();
        if !self.jumps.is_empty() {
            text.push_str(JUMPS);
            text.push_str(&jumps::to_text(&self.jumps, self.replay.offset));
        }
        text
    }

    /// Reads a commit; without readable metadata (another tool moved the offset), it starts from the offset alone.
    #[must_use]
    pub fn parse(next_offset: i64, metadata: &str) -> Self {
        Self::read(next_offset, metadata).unwrap_or_else(|| Self::plain(next_offset))
    }

    /// The same; `None` without readable metadata.
    pub(crate) fn read(next_offset: i64, metadata: &str) -> Option<Self> {
        let (numbers, text) = metadata.split_once(JUMPS).unwrap_or((metadata, ""));
        let fields = parse(TASK, numbers).or_else(|| parse(TASK_1, numbers))?;
        let (offset, watermark) = (*fields.get("from")?, *fields.get("from_wm")?);
        if offset > next_offset {
            return None;
        }
        let mut jumps = jumps::from_text(text, offset)?;
        jumps.retain(|jump| jump.offset < next_offset);
        let replay = ReplayPoint { offset, watermark };
        let get = |name, otherwise| fields.get(name).copied().unwrap_or(otherwise);
        let part = Part {
            topic: get("topic", 0).cast_unsigned(),
            log: get("log", 0).cast_unsigned(),
            number: u32::try_from(get("part", 0)).ok()?,
        };
        let whole_from = get("whole", NOT_BEGUN);
        Some(Self { next_offset, watermark: *fields.get("wm")?, replay, jumps, part, whole_from })
    }
}

/// Between the numbers of a task's commit and its jumps.
const JUMPS: &str = " jumps=";

impl MergeCheckpoint {
    /// The commit's metadata.
    #[must_use]
    pub fn metadata(&self) -> String {
        let mut fields =
            vec![("from", self.replay_offset), ("closed", self.closed_through), ("frontier", self.frontier)];
        if self.withheld_to != NOT_BEGUN {
            fields.push(("withheld", self.withheld_to));
        }
        Fields(MERGE, &fields).to_string()
    }

    /// Whether a commit's metadata was written by a merge: otherwise another tool moved the offset.
    #[must_use]
    pub fn is_ours(metadata: &str) -> bool {
        parse(MERGE, metadata).is_some()
    }

    /// Reads a commit, as [`Checkpoint::parse`] does.
    #[must_use]
    pub fn parse(next_offset: i64, metadata: &str) -> Self {
        let fields = parse(MERGE, metadata).unwrap_or_default();
        let get = |name, otherwise| fields.get(name).copied().unwrap_or(otherwise);
        Self {
            next_offset,
            replay_offset: get("from", next_offset).min(next_offset),
            closed_through: get("closed", NOT_BEGUN),
            frontier: get("frontier", NOT_BEGUN),
            withheld_to: get("withheld", NOT_BEGUN),
        }
    }
}

struct Fields<'a>(&'a str, &'a [(&'a str, i64)]);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        self.1.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

fn parse<'a>(kind: &str, metadata: &'a str) -> Option<BTreeMap<&'a str, i64>> {
    let mut words = metadata.split(' ');
    if words.next() != Some(kind) {
        return None;
    }
    words
        .map(|word| word.split_once('=').and_then(|(name, value)| Some((name, value.parse().ok()?))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_reads_back() {
        let replay = ReplayPoint { offset: 12, watermark: NOT_BEGUN };
        let jumps = vec![
            Jump { offset: 12, watermark: 1_755_720_000_000_000 },
            Jump { offset: 39, watermark: i64::MAX },
        ];
        let part = Part { topic: u64::MAX, log: 1 << 63, number: 3 };
        for (jumps, part, whole_from) in
            [(vec![], Part::default(), NOT_BEGUN), (jumps.clone(), part, 17), (jumps, part, i64::MAX)]
        {
            let watermark = 1_755_720_654_483_182;
            let checkpoint = Checkpoint { next_offset: 40, watermark, replay, jumps, part, whole_from };
            assert_eq!(Checkpoint::parse(40, &checkpoint.metadata()), checkpoint);
        }
        for withheld_to in [NOT_BEGUN, 8] {
            let merge = MergeCheckpoint {
                next_offset: 9,
                replay_offset: 3,
                closed_through: 7,
                frontier: -1,
                withheld_to,
            };
            assert_eq!(MergeCheckpoint::parse(9, &merge.metadata()), merge);
        }
    }

    #[test]
    fn metadata_from_before_jumps_were_noted_is_read() {
        let read = Checkpoint::parse(40, "task1 wm=7 from=12 from_wm=5");
        let replay = ReplayPoint { offset: 12, watermark: 5 };
        assert_eq!(read, Checkpoint { watermark: 7, replay, ..Checkpoint::plain(40) });
    }

    #[test]
    fn what_an_earlier_version_does_not_know_it_reads_past() {
        let part = Part { topic: 5, log: 6, number: 1 };
        let text = Checkpoint { part, whole_from: 9, ..Checkpoint::plain(40) }.metadata();
        let fields = parse(TASK, &text).unwrap();
        assert_eq!((fields["wm"], fields["from"], fields["from_wm"]), (NOT_BEGUN, 40, NOT_BEGUN));
        assert!(text.starts_with(&Checkpoint::plain(40).metadata()), "{text}");
    }

    #[test]
    fn foreign_metadata_starts_from_the_offset() {
        for metadata in [
            "",
            "moved by hand",
            "task1 wm=x",
            "task2 wm=1 from=99 from_wm=1",
            "task2 wm=1 from=9 from_wm=1 jumps=!",
        ] {
            assert_eq!(Checkpoint::parse(40, metadata).replay.offset, 40, "{metadata}");
        }
    }
}
