//! Dead letters: counted, shown, and sent back to where they came from.

mod opened;
mod replay;
mod sent;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::admin::{Admin, MissingTopics};
use super::tail::{From, Record, TopicReader};
use super::{ClientSettings, KafkaError};

pub use super::letter::header;
use opened::Opened;
pub use replay::ReplayError;

/// The dead letters of one input.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    settings: ClientSettings,
    input: String,
    topic: String,
    missing: MissingTopics,
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
    /// Of these, how many were sent back.
    pub sent: u64,
    /// Of these, how many a replay would try to send.
    pub left: u64,
    /// Of these, how many had been sent back before, and were refused again.
    pub again: u64,
    /// Of these, how many are there in part only.
    pub in_part: u64,
    /// Broker timestamp of the oldest and the newest, in milliseconds since the epoch.
    pub oldest_ms: Option<i64>,
    /// See `oldest_ms`.
    pub newest_ms: Option<i64>,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records sent to their topic, for good.
    pub replayed: u64,
    /// Letters that an earlier replay has sent.
    pub sent_before: u64,
    /// Letters of another reason.
    pub other_reason: u64,
    /// Letters that do not say that they came from this input, and where from, and so cannot go back.
    pub no_origin: u64,
    /// Letters that are not the whole record.
    pub in_part: u64,
    /// Letters of a partition that the input does not have any more.
    pub no_partition: u64,
    /// Letters larger than the input takes records now.
    pub too_large: u64,
}

impl Replayed {
    fn no_origin(&mut self) -> &mut u64 {
        &mut self.no_origin
    }

    fn in_part(&mut self) -> &mut u64 {
        &mut self.in_part
    }

    fn no_partition(&mut self) -> &mut u64 {
        &mut self.no_partition
    }

    fn too_large(&mut self) -> &mut u64 {
        &mut self.too_large
    }
}

impl DeadLetters {
    /// The dead letters of `input`, in `<input>.dlq`.
    pub fn of_input(settings: &ClientSettings, input: &str) -> Self {
        Self {
            settings: settings.clone(),
            input: input.to_owned(),
            topic: format!("{input}.dlq"),
            missing: MissingTopics::Create,
        }
    }

    /// For a broker that makes topics by itself and knows no questions about them.
    #[must_use]
    pub fn leave_topics_to_broker(self) -> Self {
        Self { missing: MissingTopics::LeaveToBroker, ..self }
    }

    fn can_be_asked(&self) -> bool {
        self.missing == MissingTopics::Create
    }

    /// Counts all letters by reason and input partition.
    ///
    /// # Errors
    /// Those of [`DeadLetters::for_each`].
    pub fn list(&self, timeout: Duration) -> Result<Vec<LetterCount>, KafkaError> {
        let sent = self.sent(&Admin::new(&self.settings)?, timeout)?;
        let mut counts: BTreeMap<(String, Option<i32>), LetterCount> = BTreeMap::new();
        self.for_each(timeout, |record| {
            let opened = Opened::of(record);
            let (reason, partition) = (opened.reason().to_owned(), opened.partition());
            let entry = counts.entry((reason.clone(), partition)).or_insert_with(|| LetterCount {
                reason,
                partition,
                count: 0,
                sent: 0,
                left: 0,
                again: 0,
                in_part: 0,
                oldest_ms: None,
                newest_ms: None,
            });
            entry.count += 1;
            let was_sent = sent.has(record.partition, record.offset, opened.reason());
            entry.sent += u64::from(was_sent);
            entry.left += u64::from(!was_sent && !opened.is_in_part());
            entry.again += u64::from(opened.was_replayed());
            entry.in_part += u64::from(opened.is_in_part());
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
                return Err(self.unreachable(timeout));
            }
        }
        Ok(())
    }

    fn unreachable(&self, waited: Duration) -> KafkaError {
        KafkaError::Unreachable {
            brokers: self.settings.brokers.clone(),
            doing: "reading dead letters",
            waited,
        }
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
        let _ = writeln!(text, "  {}: {}", printable(name), printable(value.as_deref().unwrap_or_default()));
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

/// Whether a letter, or a late record, is not the whole record.
pub(crate) fn is_in_part(record: &Record) -> bool {
    Opened::of(record).is_in_part()
}

fn is_wanted(record: &Record, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| wanted == Opened::of(record).reason())
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
            headers: vec![(b"reason".to_vec(), Some(b"not_json".to_vec()))],
        };
        let expected = "partition 1 offset 7 timestamp 5\n  reason: not_json\n  key: null\n  value: oops\n";
        assert_eq!(describe(&record), expected);
    }
}
