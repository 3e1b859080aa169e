//! Reads a topic without a group: from a point on, all partitions, for as long as it is asked.

use std::fmt;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::Offset;

use super::{ClientSettings, KafkaError, admin, batch, error, log, settings};

/// A reader of every partition of one topic: incidents, dead letters. Not for volume.
pub struct TopicReader {
    client: BaseConsumer<ReaderContext>,
    topic: String,
    /// By partition: whether its end was met.
    ended: Vec<bool>,
}

/// Where a [`TopicReader`] starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The earliest records kept.
    Beginning,
    /// Only records that come from now on.
    End,
}

/// A record with its own copy of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub payload: Option<Vec<u8>>,
    /// Headers in their order, names as bytes.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Record {
    /// The last header of a name, as text: ours come behind those of others.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(header, _)| header == name.as_bytes())?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        let owned = |(name, value): (&[u8], Option<&[u8]>)| (name.to_vec(), value.map(<[u8]>::to_vec));
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: batch::headers_of(message).map(owned).collect(),
        }
    }
}

impl TopicReader {
    /// Opens a topic. Partitions added later are not followed.
    ///
    /// # Errors
    /// [`KafkaError::UnknownTopic`], [`KafkaError::Unreachable`], and those of the settings.
    pub fn open(
        settings: &ClientSettings,
        topic: &str,
        from: From,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        let client: BaseConsumer<ReaderContext> =
            settings::create(&settings.to_reader_config()?, ReaderContext)?;
        let partitions = admin::partition_count(client.client(), &settings.brokers, topic, timeout)?;
        let start = match from {
            From::Beginning => Offset::Beginning,
            From::End => Offset::End,
        };
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, start)
                .map_err(|error| KafkaError::from_client("assigning a topic", &error))?;
        }
        client.assign(&list).map_err(|error| KafkaError::from_client("assigning a topic", &error))?;
        let ended = (0..partitions).map(|_| false).collect();
        Ok(Self { client, topic: topic.to_owned(), ended })
    }

    /// The next record of any partition, in offset order within each; `None` if none comes within `timeout`, or
    /// when a partition's end is met (see [`TopicReader::caught_up`]).
    ///
    /// Connections that fail are made again by librdkafka and are no error here.
    ///
    /// # Errors
    /// [`KafkaError::Failed`] for what does not pass by itself.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Record>, KafkaError> {
        match self.client.poll(timeout) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(Record::of(&message))),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                let ended =
                    usize::try_from(partition).ok().and_then(|partition| self.ended.get_mut(partition));
                *ended.expect("only partitions of the assignment are read") = true;
                Ok(None)
            }
            Some(Err(failure)) => match failure.rdkafka_error_code() {
                Some(code) if error::is_transient(code) => Ok(None),
                _ => Err(KafkaError::from_client("reading a topic", &failure)),
            },
        }
    }

    /// Whether every partition has been read to an end: all records that were there when the reader was opened have
    /// come, and perhaps some more.
    pub fn caught_up(&self) -> bool {
        self.ended.iter().all(|&ended| ended)
    }
}

impl fmt::Debug for TopicReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicReader")
            .field("topic", &self.topic)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

struct ReaderContext;

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log::line(level, facility, text);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        // An end that is met is told here as well, and is what this reader asked for. That brokers are away is said several
        // times a second, and by the clients that matter more.
        use rdkafka::types::RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::PartitionEOF) => {}
            Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve) => {
                tracing::debug!(%error, "kafka: {reason}");
            }
            _ => tracing::warn!(%error, "kafka: {reason}"),
        }
    }
}

impl ConsumerContext for ReaderContext {}
