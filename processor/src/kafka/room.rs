//! How large a record may be, by the topic that it is for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ClientSettings;
use super::admin::Admin;

/// What topics take, as far as it is known, and the producers.
#[derive(Debug)]
pub(crate) struct Room {
    /// Of the producers.
    record_max: usize,
    topics: Mutex<BTreeMap<String, usize>>,
    /// Whom to ask; nobody where brokers know no such questions.
    client: Option<ClientSettings>,
    /// How many topics were asked about.
    asked: usize,
}

/// A batch of all that an epoch has for a partition: while more requests wait than Kafka may be sent at once (five, by an
/// idempotent producer), librdkafka asks without a pause whether one may go.
const BATCH_MAX: usize = 4 << 20;
/// Where a topic may take less than is known: librdkafka's default, which is Kafka's for topics.
const BATCH_OF_UNKNOWN: usize = 1_000_000;

/// How long one question may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// No topic is taken to have less room: nothing of ours would fit.
const LEAST: usize = 256;

impl Room {
    /// What `topics` take, if Kafka tells; others are taken to have room for whatever the producers take.
    pub(crate) fn new(record_max: usize, client: Option<ClientSettings>, topics: &[String]) -> Self {
        let room = Self { record_max, topics: Mutex::default(), client, asked: topics.len() };
        *room.topics() = room.ask(topics);
        room
    }

    fn ask(&self, topics: &[String]) -> BTreeMap<String, usize> {
        let Some(client) = &self.client else { return BTreeMap::new() };
        let limits = Admin::new(client).and_then(|admin| admin.record_limits(topics, ATTEMPT));
        limits.unwrap_or_else(|error| {
            tracing::debug!(%error, "how large records may be could not be found out");
            BTreeMap::new()
        })
    }

    /// Bytes of the largest record for a topic, with its batch around it.
    pub(crate) fn of(&self, topic: &str) -> usize {
        self.topics().get(topic).map_or(self.record_max, |max| self.record_max.min(*max))
    }

    /// Bytes that a batch may have for any of the topics.
    pub(crate) fn batch(&self) -> usize {
        let topics = self.topics();
        let most = if topics.len() < self.asked { BATCH_OF_UNKNOWN } else { BATCH_MAX };
        topics.values().copied().min().unwrap_or(most).clamp(LEAST, most)
    }

    /// The topic has refused a record: it has less room than was thought. Returns what is thought now.
    pub(crate) fn refused(&self, topic: &str) -> usize {
        let asked = self.ask(&[topic.to_owned()]).remove(topic);
        self.lower(topic, asked)
    }

    /// To what it says, if that is less; else to half.
    fn lower(&self, topic: &str, asked: Option<usize>) -> usize {
        let thought = self.of(topic);
        let now = asked.filter(|asked| *asked < thought).unwrap_or(thought / 2).max(LEAST);
        self.topics().insert(topic.to_owned(), now);
        now
    }

    fn topics(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        // A panic aborts the process, so what a lock guards is whole.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_refuses_has_less_room_each_time() {
        let room = Room::new(8_000_000, None, &[]);
        room.topics().insert("small".to_owned(), 50_000);
        assert_eq!((room.of("small"), room.of("other"), room.batch()), (50_000, 8_000_000, 50_000));
        assert_eq!(room.lower("other", Some(9_000)), 9_000);
        assert_eq!((room.of("other"), room.batch()), (9_000, 9_000));
        // What it says does not explain the refusal.
        assert_eq!(room.lower("small", Some(60_000)), 25_000);
        for _ in 0..20 {
            room.refused("small");
        }
        assert_eq!(room.of("small"), LEAST);
    }

    #[test]
    fn batches_are_small_where_not_every_topic_is_known() {
        assert_eq!(Room::new(8_000_000, None, &[]).batch(), BATCH_MAX);
        let unknown = Room::new(8_000_000, None, &["letters".to_owned()]);
        assert_eq!(unknown.batch(), BATCH_OF_UNKNOWN);
        unknown.topics().insert("letters".to_owned(), 5_000_000);
        assert_eq!(unknown.batch(), BATCH_MAX);
    }
}
