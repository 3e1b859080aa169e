//! Which letters were sent back: so that none is sent twice.
//!
//! Kept in a compacted topic of its own, a record per partition of the dead-letter topic, written in the transaction that
//! sends. A group's offsets would do, but Kafka forgets those of a group without members after a week, which letters may
//! outlive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use events::Reason;
use serde::{Deserialize, Serialize};

use crate::kafka::tail::{From, TopicReader};
use crate::kafka::{ClientSettings, KafkaError};

/// How far letters of each reason have been sent, by partition of the dead-letter topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SentLetters {
    partitions: BTreeMap<i32, Progress>,
    /// Of the dead-letter topic as it is now; 0: not known.
    topic_id: u64,
}

/// Of one partition: the record's value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Of the dead-letter topic: offsets of one that was made again are others.
    topic_id: u64,
    /// By reason: letters before this offset were sent, but for those that are left.
    sent_before: BTreeMap<String, i64>,
    /// Letters that could not be sent, and may be later: the input may take larger records then, or have more partitions.
    left: BTreeSet<i64>,
}

/// Beyond it a letter that cannot be sent is passed over for good, as all of them have to fit into one record.
const LEFT_MAX: usize = 10_000;

/// Reasons that are none of ours count as one, so that there are not more than so many.
const OTHER: &str = "other";

impl SentLetters {
    /// Reads what was sent of a dead-letter topic; nothing where `topic` does not exist.
    pub(super) fn read(
        client: &ClientSettings,
        topic: &str,
        topic_id: u64,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        let mut sent = Self { topic_id, ..Self::default() };
        let mut reader = match TopicReader::open(client, topic, From::Beginning, timeout) {
            Err(KafkaError::UnknownTopic { .. }) => return Ok(sent),
            opened => opened?,
        };
        let mut last = Instant::now();
        while !reader.caught_up() {
            if let Some(record) = reader.next(Duration::from_millis(100))? {
                last = Instant::now();
                sent.take(record.key.as_deref(), record.payload.as_deref(), topic)?;
            } else if last.elapsed() > timeout {
                return Err(KafkaError::Unreachable {
                    brokers: client.brokers.clone(),
                    doing: "reading which letters were sent",
                    waited: timeout,
                });
            }
        }
        Ok(sent)
    }

    fn take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, topic: &str) -> Result<(), KafkaError> {
        let partition = key.and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
        let progress = value.and_then(|value| serde_json::from_slice::<Progress>(value).ok());
        // To pass over it would be to send everything again.
        let damaged = || {
            KafkaError::UnsuitableTopic {
            topic: topic.to_owned(),
            problem: "has a record that `dlq replay` did not write: delete the topic only if letters may be sent again"
                .to_owned(),
        }
        };
        let (partition, progress) = partition.zip(progress).ok_or_else(damaged)?;
        if self.topic_id == 0 || progress.topic_id == 0 || progress.topic_id == self.topic_id {
            self.partitions.insert(partition, progress);
        } else {
            self.partitions.remove(&partition);
        }
        Ok(())
    }

    /// Whether a letter was sent.
    pub(super) fn has(&self, partition: i32, offset: i64, reason: &str) -> bool {
        let Some(progress) = self.partitions.get(&partition) else { return false };
        let before = progress.sent_before.get(known(reason));
        before.is_some_and(|before| offset < *before) && !progress.left.contains(&offset)
    }

    /// Forgets what was left and is gone from the log, given its partitions with their bounds.
    pub(super) fn since(mut self, spans: &[(i32, i64, i64)]) -> Self {
        for (partition, first, _) in spans {
            if let Some(progress) = self.partitions.get_mut(partition) {
                progress.left = progress.left.split_off(first);
            }
        }
        self
    }

    /// Notes a letter as sent, with those before it.
    pub(super) fn note(&mut self, partition: i32, offset: i64, reason: &str) {
        let progress = self.partitions.entry(partition).or_default();
        progress.topic_id = self.topic_id;
        let before = progress.sent_before.entry(known(reason).to_owned()).or_default();
        *before = (*before).max(offset + 1);
        progress.left.remove(&offset);
    }

    /// Notes that a letter could not be sent: a later replay tries it again.
    pub(super) fn leave(&mut self, partition: i32, offset: i64, reason: &str) {
        self.note(partition, offset, reason);
        let progress = self.partitions.entry(partition).or_default();
        if progress.left.len() < LEFT_MAX {
            progress.left.insert(offset);
        }
    }

    /// The record of a partition: key and value.
    pub(super) fn record(&self, partition: i32) -> (String, Vec<u8>) {
        let progress = self.partitions.get(&partition).cloned().unwrap_or_default();
        (partition.to_string(), serde_json::to_vec(&progress).expect("texts and numbers are JSON"))
    }
}

fn known(reason: &str) -> &str {
    Reason::ALL.iter().map(|known| known.name()).find(|known| *known == reason).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_known_by_reason_and_partition() {
        let mut sent = SentLetters { topic_id: 7, ..SentLetters::default() };
        sent.note(2, 40, "not_json");
        sent.note(2, 30, "whatever");
        for (partition, offset, reason, was_sent) in [
            (2, 40, "not_json", true),
            (2, 3, "not_json", true),
            (2, 41, "not_json", false),
            (1, 40, "not_json", false),
            (2, 40, "missing_field", false),
            (2, 30, "another", true),
        ] {
            assert_eq!(sent.has(partition, offset, reason), was_sent, "{partition} {offset} {reason}");
        }
        let (key, value) = sent.record(2);
        let read = |topic_id| {
            let mut read = SentLetters { topic_id, ..SentLetters::default() };
            read.take(Some(key.as_bytes()), Some(&value), "clicks.replayed").unwrap();
            read
        };
        assert_eq!(read(7), sent);
        assert!(!read(8).has(2, 3, "not_json"), "the topic was made again: its letters are others");
        assert!(read(0).has(2, 3, "not_json"), "a broker that tells no ids");
    }

    #[test]
    fn what_could_not_be_sent_is_tried_again() {
        let mut sent = SentLetters::default();
        (5..8).for_each(|offset| sent.note(0, offset, "too_large"));
        sent.leave(0, 8, "too_large");
        sent.note(0, 9, "too_large");
        assert_eq!([7, 8, 9].map(|offset| sent.has(0, offset, "too_large")), [true, false, true]);
        let later = sent.clone().since(&[(0, 9, 10)]);
        assert!(later.partitions[&0].left.is_empty(), "it is gone from the log");
        sent.note(0, 8, "too_large");
        assert!(sent.has(0, 8, "too_large"));
    }

    #[test]
    fn a_damaged_record_is_no_leave_to_send_everything_again() {
        for (key, value) in [(Some(&b"2"[..]), Some(&b"?"[..])), (None, Some(b"{}")), (Some(b"2"), None)] {
            let error = SentLetters::default().take(key, value, "clicks.replayed").unwrap_err();
            assert!(error.to_string().contains("clicks.replayed"), "{error}");
        }
    }
}
