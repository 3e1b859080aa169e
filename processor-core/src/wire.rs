//! What tasks send to the merge through the partials topic: versioned, self-contained messages.

use serde::{Deserialize, Serialize};

use crate::analytics::Partial;
use crate::point::Resolution;

/// The first byte of every message; changed with the format.
const VERSION: u8 = 5;

/// One message of the partials topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Which part of its log the task speaks of, see [`Part::key`](crate::Part::key). What was counted in another part
    /// was not counted in this one.
    pub(crate) part: u64,
    /// Tells apart the results of different groups and settings that share a topic.
    pub(crate) origin: u64,
    /// The task's partition number.
    pub(crate) task: u32,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// The task's full values of a window as of a position; they follow, as [`encode_partial`] writes them. Replaces what
    /// it sent before, unless that was of a later one: a restarted task begins again at an earlier one.
    Window { resolution: Resolution, start: i64, position: Position },
    /// Sent to every partition of the topic, after the windows it speaks of.
    Progress(Progress),
}

/// How far a task was when it said something: it grows with every record, and with what the wall clock decides while
/// there is none. The same position means the same state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The sum of its inputs' next offsets.
    pub(crate) offsets: i64,
    pub(crate) watermark: i64,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// How many tasks there are.
    pub(crate) tasks: u32,
    pub(crate) watermark: i64,
    pub(crate) idle: bool,
    pub(crate) fresh: Freshness,
}

/// The records that went into what was sent since the last progress, by Kafka's timestamp in milliseconds; without
/// those that have none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// How many.
    pub records: u64,
    /// The oldest one's timestamp.
    pub oldest_ms: i64,
    /// The sum of all, for the mean.
    pub sum_ms: i128,
}

impl Freshness {
    /// Adds a record of this time, microseconds.
    pub(crate) fn add(&mut self, time: Option<i64>) {
        let Some(timestamp_ms) = time.map(|time| time / 1_000) else { return };
        self.oldest_ms = if self.records == 0 { timestamp_ms } else { self.oldest_ms.min(timestamp_ms) };
        self.records += 1;
        self.sum_ms += i128::from(timestamp_ms);
    }

    /// The mean timestamp, milliseconds.
    #[must_use]
    pub fn mean_ms(&self) -> i64 {
        if self.records == 0 { 0 } else { (self.sum_ms / i128::from(self.records)) as i64 }
    }
}

/// A message that this build cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Written by another version of Clickpulse.
    #[error(
        "the message has format version {0}, this build reads version {VERSION}: let the version that wrote it end \
         its windows, then name another kafka.partials_topic"
    )]
    Version(u8),
    /// Empty or damaged.
    #[error("the message is damaged")]
    Damaged,
}

impl Message {
    /// `partial` is that of a window, and empty otherwise.
    pub(crate) fn encode(&self, partial: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + partial.len());
        bytes.push(VERSION);
        let mut bytes = postcard::to_extend(self, bytes).expect("plain data in memory always encodes");
        bytes.extend_from_slice(partial);
        bytes
    }

    /// The message, and the partial of a window, not yet looked at.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), WireError> {
        match bytes {
            [VERSION, body @ ..] => postcard::take_from_bytes(body).map_err(|_| WireError::Damaged),
            [version, ..] => Err(WireError::Version(*version)),
            [] => Err(WireError::Damaged),
        }
    }
}

/// More than a message has without its partial.
const HEAD_BYTES: usize = 90;

/// A partial as it travels and waits: made anew each second and seldom looked at, so it is kept in as few bytes.
pub(crate) fn encode_partial(partial: &Partial<'_>) -> Vec<u8> {
    postcard::to_extend(partial, Vec::new()).expect("plain data in memory always encodes")
}

/// The partial in what [`encode_partial`] wrote, with the names in it.
pub(crate) fn decode_partial(bytes: &[u8]) -> Result<Partial<'_>, WireError> {
    postcard::from_bytes(bytes).map_err(|_| WireError::Damaged)
}

/// The partition of the partials topic that a window's partials go to, of `partitions`.
pub(crate) fn merge_partition(resolution: Resolution, start: i64, partitions: u32) -> u32 {
    let mixed = (start / 1_000_000).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) as u64;
    ((mixed >> 33) as u32).wrapping_add(resolution as u32) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_another_version_is_refused() {
        let progress = Progress { tasks: 4, watermark: -1, idle: true, fresh: Freshness::default() };
        let message = Message { part: 0, origin: 7, task: 3, body: Body::Progress(progress) };
        let bytes = message.encode(b"values");
        assert_eq!(Message::decode(&bytes), Ok((message, &b"values"[..])));
        for other in [VERSION - 1, VERSION + 1] {
            assert_eq!(Message::decode(&[&[other], &bytes[1..]].concat()), Err(WireError::Version(other)));
        }
    }
}
