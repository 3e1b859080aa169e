//! Where a task begins, and with which part of its log, when topics or offsets are not what was committed.
//!
//! A task's state is a function of a **part** of its log: usually all of it. A new part begins where that cannot be
//! gone on with: a topic was made again, records that a replay needs are deleted, the end lies before the offset. What
//! a part counts was not counted in another one, so a merge adds the parts of a task up; within a part the later value
//! replaces the earlier. Where nobody knows what was counted, as an offset was set or deleted by another tool, the parts
//! of that log are counted anew from the first on: it takes the place of those after it.

use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::Checkpoint;
use crate::clock::{NOT_BEGUN, ReplayPoint};

/// A part of a task's log, with the topic it was committed for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// The id of the input's topic; 0: not known.
    pub topic: u64,
    /// All topics of the task together; 0: not known.
    pub log: u64,
    /// Counted within the log.
    pub number: u32,
}

impl Part {
    /// What tells parts of a task apart on the wire: the log, and in the low 16 bits the number.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.log & !NUMBERS | u64::from(self.number).min(NUMBERS)
    }
}

/// Of a [`Part::key`]; more parts of one log than this are not told apart.
const NUMBERS: u64 = 0xFFFF;

/// The greatest key that a part of the same log can have: those between came after this one.
pub(crate) fn last_of_log(key: u64) -> u64 {
    key | NUMBERS
}

/// The key that the part had while Kafka did not tell which log it is of; `None` where it still does not.
pub(crate) fn of_unknown_log(key: u64) -> Option<u64> {
    (key > NUMBERS).then_some(key & NUMBERS)
}

/// What is found of an input's partition at an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundInput {
    /// What the group has committed: the offset and its metadata.
    pub committed: Option<(i64, String)>,
    /// The topic's id; 0 where Kafka does not tell.
    pub topic: u64,
    /// The first offset that is kept.
    pub first: i64,
    /// From here on the log is as it was written: [`FoundInput::first`], but for a compacted topic, of which records may
    /// be gone between those that are left.
    pub intact_from: i64,
    /// The offset after the last record.
    pub end: i64,
}

/// Where the inputs of a task begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// One per input.
    pub starts: Vec<Checkpoint>,
    /// What has to be said, by input.
    pub notices: Vec<(usize, Notice)>,
}

/// Something about an input that a person should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// The topic has another id, or is shorter than what was read of it.
    #[error(
        "the topic was deleted and made again: its records count from offset {first} on, beside what was counted before"
    )]
    MadeAgain {
        /// Where reading goes on.
        first: i64,
    },
    /// Retention has passed the committed offset.
    #[error(
        "{records} records were deleted before they were read (retention passed the committed offset {committed}): \
         reading goes on at {first}; keep the topic for longer, or add instances"
    )]
    Skipped {
        /// How many offsets.
        records: u64,
        /// What was committed.
        committed: i64,
        /// Where reading goes on.
        first: i64,
    },
    /// Retention has passed what a replay would read.
    #[error(
        "records that rebuild the state are deleted (they begin at {first}, {from} is needed): counting goes on without \
         a replay, and earlier clicks and ids of this partition are forgotten; keep the topic for longer"
    )]
    ReplayGone {
        /// Where the replay would begin.
        from: i64,
        /// The first offset kept.
        first: i64,
    },
    /// Compaction may have taken records that a replay would read.
    #[error(
        "the topic is compacted, and records that rebuild the state (from {from} to {committed}) may be gone by now: \
         counting goes on without a replay, and earlier clicks, ids and users of this partition are forgotten; set its \
         min.compaction.lag.ms above what a restart reads again, or use [state]"
    )]
    Compacted {
        /// Where the replay would begin.
        from: i64,
        /// Where it would end.
        committed: i64,
    },
    /// The partition ends before the committed offset, in the same topic.
    #[error(
        "the partition ends at {end}, before the committed offset {committed}: Kafka has lost records that were counted; \
         reading goes on at the end"
    )]
    Shortened {
        /// Where reading goes on.
        end: i64,
        /// What was committed.
        committed: i64,
    },
    /// The offset was committed by another tool.
    #[error(
        "the offset was set to {to} by another tool: reading goes on there, and windows that began before the first \
         event read keep what they had; to count everything again, use another kafka.group_id"
    )]
    Moved {
        /// Where reading goes on.
        to: i64,
    },
}

/// How an input stands to the part that goes on.
enum Standing {
    /// It is of it and can be rebuilt.
    Whole,
    /// It is of it, or was before; what comes from this offset on is not counted yet.
    From(i64),
    /// Nothing of it is counted.
    New,
    /// Nobody knows what is counted.
    Unknown(i64),
}

/// Decides where the inputs of a task begin. `closed_through`: windows are closed as far as this watermark allows
/// (microseconds), so that what is older comes too late for a part that has just begun.
#[must_use]
pub fn begin(found: &[FoundInput], closed_through: i64) -> Beginning {
    let commits: Vec<Option<Checkpoint>> = found.iter().map(read).collect();
    let topics: Vec<u64> = found.iter().zip(&commits).map(|(found, commit)| topic(found, commit)).collect();
    let log = log_of(&topics);
    let same_log = |part: &Part| log == 0 || part.log == 0 || part.log == log;
    let of_log = commits.iter().flatten().map(|commit| commit.part).filter(same_log);
    let mut number = of_log.map(|part| part.number).max().unwrap_or(0);
    let mut notices = Vec::new();
    let mut anew = false;
    let mut standings = Vec::with_capacity(found.len());
    for (input, (found, commit)) in found.iter().zip(&commits).enumerate() {
        let Some(commit) = commit else {
            standings.push(match &found.committed {
                Some((offset, _)) if (found.first..=found.end).contains(offset) => Standing::Unknown(*offset),
                Some(_) => Standing::Unknown(found.first),
                None => Standing::New,
            });
            if found.committed.is_some() {
                let Some(Standing::Unknown(to)) = standings.last() else { unreachable!("just pushed") };
                notices.push((input, Notice::Moved { to: *to }));
            }
            continue;
        };
        let FoundInput { first, end, .. } = *found;
        let (committed, from) = (commit.next_offset, commit.replay.offset);
        let ids_known = found.topic != 0 && commit.part.topic != 0;
        let other_topic = ids_known && found.topic != commit.part.topic;
        let belongs = same_log(&commit.part) && commit.part.number == number;
        standings.push(if other_topic || (!ids_known && committed > end) {
            notices.push((input, Notice::MadeAgain { first }));
            anew |= !other_topic; // without ids, nothing else tells the parts apart
            Standing::New
        } else if committed > end {
            notices.push((input, Notice::Shortened { end, committed }));
            anew = true;
            Standing::From(end)
        } else if committed < first {
            notices.push((input, Notice::Skipped { records: first.abs_diff(committed), committed, first }));
            anew |= belongs;
            Standing::From(first)
        } else if !belongs {
            Standing::From(committed)
        } else if from < first {
            notices.push((input, Notice::ReplayGone { from, first }));
            anew = true;
            Standing::From(committed)
        } else if from < found.intact_from.min(committed) {
            notices.push((input, Notice::Compacted { from, committed }));
            anew = true;
            Standing::From(committed)
        } else {
            Standing::Whole
        });
    }
    number += u32::from(anew);
    let start =
        |((found, commit), (standing, topic)): ((&FoundInput, Option<Checkpoint>), (Standing, u64))| {
            let part = Part { topic, log, number };
            let at = |offset| Checkpoint { part, ..Checkpoint::plain(offset) };
            let watermark = commit.as_ref().map_or(NOT_BEGUN, |commit| commit.watermark).max(closed_through);
            // What was withheld of the log stays so.
            let withheld = commit.as_ref().map_or(NOT_BEGUN, |commit| commit.whole_from);
            let on = |offset| Checkpoint { watermark, whole_from: withheld, ..at(offset) };
            match (standing, commit) {
                (Standing::Whole, Some(commit)) if !anew => Checkpoint { part, ..commit },
                (Standing::Whole, Some(commit)) => on(commit.next_offset),
                (Standing::From(offset), _) => on(offset),
                (Standing::Unknown(offset), _) => Checkpoint { whole_from: whole_from(offset), ..at(offset) },
                // Without a commit it may be all of the log's end that was counted before.
                (Standing::New, None) => {
                    Checkpoint { watermark, whole_from: whole_from(found.first), ..at(found.first) }
                }
                (Standing::New | Standing::Whole, _) => Checkpoint { watermark, ..at(found.first) },
            }
        };
    let all = found.iter().zip(commits).zip(standings.into_iter().zip(topics));
    Beginning { starts: all.map(start).collect(), notices }
}

/// Decides where a relay begins. It never replays, so that only the offset matters.
#[must_use]
pub fn begin_relay(found: &FoundInput) -> (Checkpoint, Option<Notice>) {
    let mut begun = begin(std::slice::from_ref(found), NOT_BEGUN);
    let start = begun.starts.remove(0);
    let replay_gone =
        |notice: &Notice| matches!(notice, Notice::ReplayGone { .. } | Notice::Compacted { .. });
    let notice = begun.notices.pop().map(|(_, notice)| notice).filter(|notice| !replay_gone(notice));
    let read = read(found);
    // The log's own watermark where it goes on.
    let own =
        read.filter(|commit| commit.next_offset == start.next_offset).map(|commit| commit.replay.watermark);
    let replay = ReplayPoint { watermark: own.unwrap_or(NOT_BEGUN), ..start.replay };
    (Checkpoint { replay, ..start }, notice)
}

fn read(found: &FoundInput) -> Option<Checkpoint> {
    let (offset, metadata) = found.committed.as_ref()?;
    Checkpoint::read(*offset, metadata)
}

fn topic(found: &FoundInput, commit: &Option<Checkpoint>) -> u64 {
    match (found.topic, commit) {
        (0, Some(commit)) => commit.part.topic,
        (id, _) => id,
    }
}

fn log_of(topics: &[u64]) -> u64 {
    if topics.contains(&0) {
        return 0;
    }
    let bytes: Vec<u8> = topics.iter().flat_map(|topic| topic.to_le_bytes()).collect();
    xxh3_64(&bytes).max(NUMBERS + 1)
}

/// At the very beginning of a log every window is whole.
fn whole_from(offset: i64) -> i64 {
    if offset == 0 { NOT_BEGUN } else { i64::MAX }
}

#[cfg(test)]
mod tests;
