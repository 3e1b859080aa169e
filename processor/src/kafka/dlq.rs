//! Dead letters: counted, shown, and sent back to where they came from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::tail::{From, Record, TopicReader};
use super::{ClientSettings, EpochAcks, KafkaError, KafkaOutbox, OutboxRecord, ProducerSettings};

/// Header names of a dead letter.
pub mod header {
    /// The typed reason, as in the contract: `not_json`, `missing_field`, …
    pub const REASON: &str = "reason";
    /// What exactly was wrong.
    pub const DETAIL: &str = "detail";
    /// The topic the record was read from.
    pub const TOPIC: &str = "topic";
    /// Its partition there.
    pub const PARTITION: &str = "partition";
    /// Its offset there.
    pub const OFFSET: &str = "offset";
    /// On a replayed record: `topic/partition/offset` of the dead letter, unique per letter.
    pub const REPLAYED_FROM: &str = "replayed-from";
}

/// The dead letters of one input.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    settings: ClientSettings,
    topic: String,
}

/// Dead letters of one reason from one partition of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterCount {
    /// The reason; `unknown` where a record has none.
    pub reason: String,
    /// Partition of the input, `None` where a record does not say.
    pub partition: Option<i32>,
    /// How many.
    pub count: u64,
    /// Broker timestamp of the oldest and the newest, in milliseconds since the epoch.
    pub oldest_ms: Option<i64>,
    /// See `oldest_ms`.
    pub newest_ms: Option<i64>,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records acknowledged in their original topic.
    pub replayed: u64,
    /// Records of another reason.
    pub other_reason: u64,
    /// Records that do not say where they came from, and so cannot go back.
    pub no_origin: u64,
}

/// A replay stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Reading or producing failed.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// A record was not acknowledged; `replayed` before it were sent, so a second replay repeats some.
    #[error("a replayed record was not delivered")]
    NotDelivered(#[from] super::DeliveryError),
    /// Kafka answers too slowly.
    #[error("kafka did not acknowledge the replayed records within {waited:?}")]
    NotAcknowledged {
        /// How long was waited.
        waited: Duration,
    },
}

impl DeadLetters {
    /// The dead letters of `input`, in `<input>.dlq`.
    pub fn of_input(settings: &ClientSettings, input: &str) -> Self {
        Self { settings: settings.clone(), topic: format!("{input}.dlq") }
    }

    /// Counts all letters by reason and input partition.
    ///
    /// # Errors
    /// Those of [`DeadLetters::for_each`].
    pub fn list(&self, timeout: Duration) -> Result<Vec<LetterCount>, KafkaError> {
        let mut counts: BTreeMap<(String, Option<i32>), LetterCount> = BTreeMap::new();
        self.for_each(timeout, |record| {
            let reason = reason(record).to_owned();
            let partition = record.header(header::PARTITION).and_then(|number| number.parse().ok());
            let entry = counts.entry((reason.clone(), partition)).or_insert_with(|| LetterCount {
                reason,
                partition,
                count: 0,
                oldest_ms: None,
                newest_ms: None,
            });
            entry.count += 1;
            entry.oldest_ms = entry.oldest_ms.into_iter().chain(record.timestamp_ms).min();
            entry.newest_ms = entry.newest_ms.max(record.timestamp_ms);
            Ok(true)
        })?;
        Ok(counts.into_values().collect())
    }

    /// The first `limit` letters of a reason (or of any), for [`describe`].
    ///
    /// # Errors
    /// Those of [`DeadLetters::for_each`].
    pub fn show(
        &self,
        wanted: Option<&str>,
        limit: usize,
        timeout: Duration,
    ) -> Result<Vec<Record>, KafkaError> {
        let mut found = Vec::new();
        self.for_each(timeout, |record| {
            if found.len() < limit && is_wanted(record, wanted) {
                found.push(record.clone());
            }
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }

    /// Sends letters of a reason (or all) back to the topic they came from, with their key, bytes and own headers,
    /// and waits for the acknowledgements. The partition is chosen by the key, as the first producer did.
    ///
    /// A letter replayed twice is counted twice unless its event has an `event_id`.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn replay(&self, wanted: Option<&str>, timeout: Duration) -> Result<Replayed, ReplayError> {
        let producer = ProducerSettings::new(self.settings.clone());
        let outbox =
            KafkaOutbox::new(&producer, |problem| tracing::warn!(%problem, "replaying dead letters"))?;
        let (done, acknowledged) = mpsc::channel();
        let epoch = EpochAcks::new(move |_| {
            // The receiver is gone only if the replay has failed already.
            let _ = done.send(());
        });
        let mut outcome = Replayed::default();
        self.for_each(timeout, |record| {
            if !is_wanted(record, wanted) {
                outcome.other_reason += 1;
            } else if let Some(origin) = record.header(header::TOPIC) {
                self.send_back(&outbox, &epoch, record, origin)?;
                outcome.replayed += 1;
            } else {
                outcome.no_origin += 1;
            }
            Ok(true)
        })?;
        epoch.seal();
        acknowledged.recv_timeout(timeout).map_err(|_| ReplayError::NotAcknowledged { waited: timeout })?;
        epoch.result()?;
        Ok(outcome)
    }

    fn send_back(
        &self,
        outbox: &KafkaOutbox,
        epoch: &Arc<EpochAcks>,
        record: &Record,
        origin: &str,
    ) -> Result<(), KafkaError> {
        let source = format!("{}/{}/{}", self.topic, record.partition, record.offset);
        let mut headers: Vec<(&str, &[u8])> = record
            .headers
            .iter()
            .filter(|(name, _)| !ours(name))
            .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default()))
            .collect();
        headers.push((header::REPLAYED_FROM, source.as_bytes()));
        outbox.send(
            epoch,
            &OutboxRecord {
                topic: origin,
                partition: None,
                key: record.key.as_deref(),
                payload: record.payload.as_deref(),
                headers: &headers,
                // The broker's time of now would pass for a delay; that of the letter is the time it was refused.
                timestamp_ms: record.timestamp_ms,
            },
        )
    }

    /// Calls `visit` for every letter that is there now, until it returns false.
    ///
    /// # Errors
    /// [`KafkaError::UnknownTopic`], [`KafkaError::Unreachable`] when nothing comes for `timeout` before the end,
    /// and what `visit` returns.
    pub fn for_each(
        &self,
        timeout: Duration,
        mut visit: impl FnMut(&Record) -> Result<bool, KafkaError>,
    ) -> Result<(), KafkaError> {
        let mut reader = TopicReader::open(&self.settings, &self.topic, From::Beginning, timeout)?;
        let mut last = Instant::now();
        while !reader.caught_up() {
            if let Some(record) = reader.next(Duration::from_millis(100))? {
                last = Instant::now();
                if !visit(&record)? {
                    break;
                }
            } else if last.elapsed() > timeout {
                return Err(KafkaError::Unreachable {
                    brokers: self.settings.brokers.clone(),
                    doing: "reading dead letters",
                    waited: timeout,
                });
            }
        }
        Ok(())
    }
}

/// A letter as text for a terminal: headers, then the value, with everything unprintable escaped.
pub fn describe(record: &Record) -> String {
    let mut text = format!("partition {} offset {}", record.partition, record.offset);
    if let Some(timestamp) = record.timestamp_ms {
        let _ = write!(text, " timestamp {timestamp}");
    }
    text.push('\n');
    for (name, value) in &record.headers {
        let _ = writeln!(
            text,
            "  {}: {}",
            printable(name.as_bytes()),
            printable(value.as_deref().unwrap_or_default())
        );
    }
    let or_null = |bytes: &Option<Vec<u8>>| bytes.as_deref().map_or_else(|| "null".to_owned(), printable);
    let _ = writeln!(text, "  key: {}", or_null(&record.key));
    let _ = writeln!(text, "  value: {}", or_null(&record.payload));
    text
}

/// Bytes with control characters and what is not UTF-8 escaped: a dead letter must not drive the terminal.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || is_invisible(character) {
                text.extend(character.escape_unicode());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Characters that reorder or hide the text around them.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn reason(record: &Record) -> &str {
    record.header(header::REASON).unwrap_or("unknown")
}

fn is_wanted(record: &Record, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| wanted == reason(record))
}

fn ours(name: &str) -> bool {
    let names = [
        header::REASON,
        header::DETAIL,
        header::TOPIC,
        header::PARTITION,
        header::OFFSET,
        header::REPLAYED_FROM,
    ];
    names.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_escaped() {
        assert_eq!(printable(b"{\"a\":1}"), "{\"a\":1}");
        assert_eq!(printable("gr\u{fc}n".as_bytes()), "grün");
        assert_eq!(printable(b"\x1b[2J\r"), "\\u{1b}[2J\\u{d}");
        assert_eq!(printable(b"a\xff\xfeb"), "a\\xff\\xfeb");
        assert_eq!(printable("\u{202e}evil".as_bytes()), "\\u{202e}evil");
    }

    #[test]
    fn a_letter_is_described_with_its_headers_key_and_value() {
        let record = Record {
            partition: 1,
            offset: 7,
            timestamp_ms: Some(5),
            key: None,
            payload: Some(b"oops".to_vec()),
            headers: vec![("reason".to_owned(), Some(b"not_json".to_vec()))],
        };
        let expected = "partition 1 offset 7 timestamp 5\n  reason: not_json\n  key: null\n  value: oops\n";
        assert_eq!(describe(&record), expected);
    }
}
