//! What is committed with an offset, so that a restart repeats what was decided.

use std::collections::BTreeMap;
use std::fmt;

use crate::clock::{NOT_BEGUN, ReplayPoint};

/// An input partition's commit: its next offset, and in the metadata where a replay begins and the watermark.
///
/// The watermark is there because the wall clock may have moved it, which the log does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The next offset to read.
    pub next_offset: i64,
    /// The watermark after the record before it, microseconds; `i64::MIN` where it had not begun.
    pub watermark: i64,
    /// Where to begin reading to rebuild the state.
    pub replay: ReplayPoint,
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
}

const TASK: &str = "task1";
const MERGE: &str = "merge1";

impl Checkpoint {
    /// The commit's metadata: short text, well below Kafka's limit of 4096 bytes.
    #[must_use]
    pub fn metadata(&self) -> String {
        Fields(
            TASK,
            &[("wm", self.watermark), ("from", self.replay.offset), ("from_wm", self.replay.watermark)],
        )
        .to_string()
    }

    /// Reads a commit; without readable metadata (another tool moved the offset), it starts from the offset alone.
    #[must_use]
    pub fn parse(next_offset: i64, metadata: &str) -> Self {
        let plain = ReplayPoint { offset: next_offset, watermark: NOT_BEGUN };
        let Some(fields) = parse(TASK, metadata) else {
            return Self { next_offset, watermark: NOT_BEGUN, replay: plain };
        };
        let get = |name| fields.get(name).copied();
        let replay = match (get("from"), get("from_wm")) {
            (Some(offset), Some(watermark)) if offset <= next_offset => ReplayPoint { offset, watermark },
            _ => plain,
        };
        Self { next_offset, watermark: get("wm").unwrap_or(NOT_BEGUN), replay }
    }
}

impl MergeCheckpoint {
    /// The commit's metadata.
    #[must_use]
    pub fn metadata(&self) -> String {
        Fields(
            MERGE,
            &[("from", self.replay_offset), ("closed", self.closed_through), ("frontier", self.frontier)],
        )
        .to_string()
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
        let checkpoint = Checkpoint { next_offset: 40, watermark: 1_755_720_654_483_182, replay };
        assert_eq!(Checkpoint::parse(40, &checkpoint.metadata()), checkpoint);
        let merge = MergeCheckpoint { next_offset: 9, replay_offset: 3, closed_through: 7, frontier: -1 };
        assert_eq!(MergeCheckpoint::parse(9, &merge.metadata()), merge);
    }

    #[test]
    fn foreign_metadata_starts_from_the_offset() {
        for metadata in ["", "moved by hand", "task1 wm=x", "task1 from=99 from_wm=1"] {
            assert_eq!(Checkpoint::parse(40, metadata).replay.offset, 40, "{metadata}");
        }
    }
}
