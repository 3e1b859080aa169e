//! Reads topics in bulk from offset to offset, and asks what a group has committed, without being a member of it.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::Offset;

use super::offsets::{self, Committed};
use super::tail::Record;
use super::{ClientSettings, KafkaError, admin, error, log, settings};

/// A reader of some partitions of one topic, `read_committed`.
pub struct Scan {
    client: BaseConsumer<ScanContext>,
    brokers: String,
    topic: String,
    /// By partition: where it ends; gone once it was met.
    ends: HashMap<i32, i64>,
}

/// What comes next.
pub enum Scanned<'s> {
    /// A record before its partition's end.
    Record(ScannedRecord<'s>),
    /// A partition has no more records before its end.
    Ended(i32),
    /// Nothing for now.
    Nothing,
}

/// A record, borrowed from librdkafka.
pub struct ScannedRecord<'s>(BorrowedMessage<'s>);

impl ScannedRecord<'_> {
    /// A copy of everything.
    #[must_use]
    pub fn to_record(&self) -> Record {
        Record::of(&self.0)
    }

    /// Its partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// Its offset.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }
}

/// Time for one answer of a broker.
const ANSWER: Duration = Duration::from_secs(15);
/// Time for the committed offsets: none are told while a transaction that changes them is being committed.
const COMMITTED_ANSWER: Duration = Duration::from_secs(30);

impl Scan {
    /// Connects; reads nothing yet.
    ///
    /// # Errors
    /// Those of the settings.
    pub fn new(client: &ClientSettings, topic: &str) -> Result<Self, KafkaError> {
        Ok(Self {
            client: settings::create(&client.to_scan_config(None)?, ScanContext)?,
            brokers: client.brokers.clone(),
            topic: topic.to_owned(),
            ends: HashMap::new(),
        })
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Number of partitions.
    ///
    /// # Errors
    /// [`KafkaError::UnknownTopic`], [`KafkaError::Unreachable`], [`KafkaError::Failed`].
    pub fn partitions(&self) -> Result<i32, KafkaError> {
        admin::partition_count(self.client.client(), &self.brokers, &self.topic, ANSWER)
    }

    /// The first offset kept of a partition, and the end of its log.
    ///
    /// # Errors
    /// [`KafkaError::Failed`].
    pub fn bounds(&self, partition: i32) -> Result<(i64, i64), KafkaError> {
        let bounds = self.client.fetch_watermarks(&self.topic, partition, ANSWER);
        bounds.map_err(|error| KafkaError::from_client("asking for the bounds of a topic", &error))
    }

    /// The first offset of a partition with a timestamp of `time_ms` or later; `None` where there is none.
    ///
    /// # Errors
    /// [`KafkaError::Failed`].
    pub fn offset_at(&self, partition: i32, time_ms: i64) -> Result<Option<i64>, KafkaError> {
        let failed = |error| KafkaError::from_client("asking for an offset by its time", &error);
        let mut question = TopicPartitionList::new();
        question.add_partition_offset(&self.topic, partition, Offset::Offset(time_ms)).map_err(failed)?;
        let answer = self.client.offsets_for_times(question, ANSWER).map_err(failed)?;
        let found = answer.elements().first().map(|element| element.offset());
        Ok(found.and_then(Offset::to_raw).filter(|raw| *raw >= 0))
    }

    /// Begins to read partitions: `(partition, first offset, end)`.
    ///
    /// # Errors
    /// [`KafkaError::Failed`].
    pub fn start(&mut self, spans: &[(i32, i64, i64)]) -> Result<(), KafkaError> {
        let failed = |error| KafkaError::from_client("assigning a topic", &error);
        let mut list = TopicPartitionList::new();
        for (partition, first, end) in spans {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*first)).map_err(failed)?;
            self.ends.insert(*partition, *end);
        }
        self.client.assign(&list).map_err(failed)
    }

    /// Whether every partition has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ends.is_empty()
    }

    /// Waits up to `timeout` for what comes next.
    ///
    /// # Errors
    /// [`KafkaError::Failed`] for what does not pass by itself.
    pub fn next(&mut self, timeout: Duration) -> Result<Scanned<'_>, KafkaError> {
        let Self { client, ends, topic, .. } = self;
        match client.poll(timeout) {
            None => Ok(Scanned::Nothing),
            Some(Ok(message)) => match ends.get(&message.partition()) {
                Some(end) if message.offset() < *end => Ok(Scanned::Record(ScannedRecord(message))),
                Some(_) => {
                    let partition = message.partition();
                    ends.remove(&partition);
                    pause(client, topic, partition)?;
                    Ok(Scanned::Ended(partition))
                }
                None => Ok(Scanned::Nothing), // fetched before it was paused
            },
            // What is left before its end are marks of transactions, or is gone.
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                let ended = ends.remove(&partition).is_some();
                Ok(if ended { Scanned::Ended(partition) } else { Scanned::Nothing })
            }
            Some(Err(failure)) => match failure.rdkafka_error_code() {
                Some(code) if error::is_transient(code) => Ok(Scanned::Nothing),
                _ => Err(KafkaError::from_client("reading a topic", &failure)),
            },
        }
    }

    /// Reads no more of a partition until [`Scan::resume`].
    ///
    /// # Errors
    /// [`KafkaError::Failed`].
    pub fn pause(&self, partition: i32) -> Result<(), KafkaError> {
        pause(&self.client, &self.topic, partition)
    }

    /// Ends a partition early.
    ///
    /// # Errors
    /// [`KafkaError::Failed`].
    pub fn stop(&mut self, partition: i32) -> Result<(), KafkaError> {
        self.ends.remove(&partition);
        self.pause(partition)
    }

    /// Goes on with a paused partition.
    ///
    /// # Errors
    /// [`KafkaError::Failed`].
    pub fn resume(&self, partition: i32) -> Result<(), KafkaError> {
        let resumed = self.client.resume(&one(&self.topic, partition));
        resumed.map_err(|error| KafkaError::from_client("resuming a partition", &error))
    }
}

/// What a group has committed for the partitions of a topic, in their order. Does not join the group.
///
/// # Errors
/// [`KafkaError::Failed`].
pub fn committed(
    client: &ClientSettings,
    group: &str,
    topic: &str,
    partitions: i32,
) -> Result<Vec<Option<Committed>>, KafkaError> {
    let client: BaseConsumer<ScanContext> =
        settings::create(&client.to_scan_config(Some(group))?, ScanContext)?;
    let wanted: Vec<(String, i32)> = (0..partitions).map(|partition| (topic.to_owned(), partition)).collect();
    offsets::committed(&client, &wanted, COMMITTED_ANSWER)
        .map_err(|error| KafkaError::from_client("reading committed offsets", &error))
}

fn pause(client: &BaseConsumer<ScanContext>, topic: &str, partition: i32) -> Result<(), KafkaError> {
    let paused = client.pause(&one(topic, partition));
    paused.map_err(|error| KafkaError::from_client("pausing a partition", &error))
}

fn one(topic: &str, partition: i32) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    list
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("topic", &self.topic).field("ends", &self.ends).finish_non_exhaustive()
    }
}

struct ScanContext;

impl ClientContext for ScanContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log::line(level, facility, text);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(%error, "kafka: {reason}");
        }
    }
}

impl ConsumerContext for ScanContext {}
