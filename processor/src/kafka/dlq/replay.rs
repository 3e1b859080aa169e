//! Sends letters back to where they came from, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::opened::{Opened, Origin};
use super::sent::SentLetters;
use super::{DeadLetters, Replayed, header};
use crate::kafka::admin::{Admin, TopicSpec};
use crate::kafka::letter::{HEADER_OVERHEAD, RECORD_OVERHEAD};
use crate::kafka::scan::{Scan, Scanned};
use crate::kafka::tail::Record;
use crate::kafka::{
    Header, KafkaError, OutboxRecord, ProducerSettings, Transaction, TransactionEnd, TransactionError,
    Transactor,
};

/// A replay stopped; what it had sent stays, and is not sent again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Reading or producing failed.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Another replay of the same topic began meanwhile.
    #[error("another replay of the same dead letters has begun, and goes on instead of this one")]
    Overtaken,
    /// Kafka does not do transactions as it should.
    #[error(transparent)]
    Transaction(TransactionError),
    /// Kafka does not take what is sent.
    #[error("kafka has refused the letters {times} times, the last as {reason}")]
    Refused {
        /// How often.
        times: u32,
        /// Why.
        reason: String,
    },
    /// Kafka does not answer.
    #[error("kafka did not start transactions within {waited:?}: {reason}")]
    NotStarted {
        /// How long was waited.
        waited: Duration,
        /// Why.
        reason: String,
    },
}

impl From<TransactionError> for ReplayError {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Fenced { .. } => Self::Overtaken,
            error => Self::Transaction(error),
        }
    }
}

/// Letters and bytes of one transaction, of which the last letter may be more: small enough for Kafka's patience with
/// a transaction, large enough that its cost does not show.
const LETTERS_MAX: usize = 1_000;
const BYTES_MAX: usize = 4 << 20;
/// Aborts in a row after which it ends.
const ABORTS_MAX: u32 = 5;
const ABORT_PAUSE: Duration = Duration::from_millis(200);

impl DeadLetters {
    /// Sends letters of a reason (or all) that were not sent yet back to the topic and the partition they came from, with
    /// their key, bytes and own headers, and a timestamp of now: those that are there when it begins, `limit` at most.
    ///
    /// What was sent is noted in `<input>.replayed` in the same transaction, so that each letter is sent once, however
    /// often this runs or is killed.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn replay(
        &self,
        wanted: Option<&str>,
        limit: Option<u64>,
        timeout: Duration,
    ) -> Result<Replayed, ReplayError> {
        let admin = Admin::new(&self.settings)?;
        let partitions = admin.partition_count(&self.input, timeout)?;
        let mut scan = Scan::new(&self.settings, &self.topic)?;
        let letters_in = scan.partitions()?; // before anything is made for a topic that does not exist
        admin.ensure_topics(&[TopicSpec::replayed(&self.input)], self.missing, timeout)?;
        let room = self.room(&admin, timeout);
        let transactor = self.transactor(room, timeout)?;
        // From here on nobody else sends letters of this topic, and what one was sending is decided.
        let sent = self.sent(&admin, timeout)?;
        let spans: Vec<(i32, i64, i64)> = (0..letters_in)
            .map(|partition| scan.bounds(partition).map(|(first, end)| (partition, first, end)))
            .collect::<Result<_, _>>()?;
        let spans: Vec<_> = spans.into_iter().filter(|(_, first, end)| first < end).collect();
        scan.start(&spans)?;
        let mut work = Work {
            letters: self,
            transactor,
            timeout,
            room,
            partitions,
            sent: sent.since(&spans),
            outcome: Replayed::default(),
            chunk: Chunk::default(),
        };
        let mut silent = Duration::ZERO;
        while !scan.is_done() && limit.is_none_or(|limit| work.outcome.replayed + work.chunk.len() < limit) {
            match scan.next(STEP)? {
                Scanned::Record(record) => {
                    silent = Duration::ZERO;
                    work.take(&record.to_record(), wanted)?;
                }
                Scanned::Ended(_) => silent = Duration::ZERO,
                Scanned::Nothing if silent > timeout => return Err(self.unreachable(timeout).into()),
                Scanned::Nothing => silent += STEP,
            }
        }
        work.send()?;
        Ok(work.outcome)
    }

    /// What was sent back before.
    pub(super) fn sent(&self, admin: &Admin, timeout: Duration) -> Result<SentLetters, KafkaError> {
        let now = admin.describe(std::slice::from_ref(&self.topic), self.missing, timeout)?;
        let id = now.first().copied().flatten().map_or(0, |topic| topic.id);
        SentLetters::read(&self.settings, &TopicSpec::replayed(&self.input).name, id, timeout)
    }

    /// Bytes of the largest record that the input takes.
    fn room(&self, admin: &Admin, timeout: Duration) -> usize {
        let asked =
            self.can_be_asked().then(|| admin.record_limits(std::slice::from_ref(&self.input), timeout));
        let limits: BTreeMap<String, usize> = asked.and_then(Result::ok).unwrap_or_default();
        limits.get(&self.input).copied().unwrap_or(usize::MAX)
    }

    fn transactor(&self, room: usize, timeout: Duration) -> Result<Transactor, ReplayError> {
        let mut producer = ProducerSettings::new(self.settings.clone());
        producer.record_bytes = room.clamp(producer.record_bytes, RECORD_BYTES_MAX);
        producer.batch_bytes = producer.batch_bytes.min(room);
        producer.transactional_id = Some(TopicSpec::replayed(&self.input).name);
        let transactor =
            Transactor::new(&producer, |problem| tracing::warn!(%problem, "replaying dead letters"))?;
        let (started, mut reason) = (std::time::Instant::now(), String::new());
        let ready = transactor.init(|error| {
            error.clone_into(&mut reason);
            started.elapsed() < timeout
        })?;
        if ready { Ok(transactor) } else { Err(ReplayError::NotStarted { waited: timeout, reason }) }
    }
}

/// The longest wait for a record at once.
const STEP: Duration = Duration::from_millis(100);
/// Of a letter, whatever its topic says: what a broker takes in one request by default.
const RECORD_BYTES_MAX: usize = 100 << 20;

/// A replay under way.
struct Work<'a> {
    letters: &'a DeadLetters,
    transactor: Transactor,
    timeout: Duration,
    room: usize,
    /// Of the input.
    partitions: i32,
    sent: SentLetters,
    outcome: Replayed,
    chunk: Chunk,
}

/// What goes into one transaction.
#[derive(Default)]
struct Chunk {
    letters: Vec<(Record, Origin)>,
    /// Of the dead-letter topic: those of which something was dealt with.
    partitions: BTreeSet<i32>,
    bytes: usize,
}

impl Chunk {
    fn len(&self) -> u64 {
        self.letters.len() as u64
    }
}

impl Work<'_> {
    fn take(&mut self, record: &Record, wanted: Option<&str>) -> Result<(), ReplayError> {
        let opened = Opened::of(record);
        let reason = opened.reason();
        if wanted.is_some_and(|wanted| wanted != reason) {
            self.outcome.other_reason += 1;
            return Ok(());
        }
        if self.sent.has(record.partition, record.offset, reason) {
            self.outcome.sent_before += 1;
            return Ok(());
        }
        self.chunk.partitions.insert(record.partition);
        match self.destination(record, &opened) {
            Ok(origin) => {
                self.sent.note(record.partition, record.offset, reason);
                self.chunk.bytes += record.payload.as_ref().map_or(0, Vec::len);
                self.chunk.letters.push((record.clone(), origin));
            }
            Err(why_not) => {
                self.sent.leave(record.partition, record.offset, reason);
                *why_not(&mut self.outcome) += 1;
            }
        }
        if self.chunk.letters.len() >= LETTERS_MAX || self.chunk.bytes >= BYTES_MAX {
            self.send()?;
        }
        Ok(())
    }

    /// Where it goes, or which number has the letters that are not sent for the same reason.
    fn destination(
        &self,
        record: &Record,
        opened: &Opened<'_>,
    ) -> Result<Origin, fn(&mut Replayed) -> &mut u64> {
        // Who can write letters must not be able to have them sent anywhere.
        let origin = opened.origin().filter(|_| opened.topic() == Some(&self.letters.input));
        let origin = origin.ok_or(Replayed::no_origin as fn(&mut Replayed) -> &mut u64)?;
        if opened.is_in_part() {
            return Err(Replayed::in_part);
        }
        if origin.partition >= self.partitions {
            return Err(Replayed::no_partition);
        }
        if size(record, &opened.theirs) > self.room {
            return Err(Replayed::too_large);
        }
        Ok(origin)
    }

    /// Sends what has come together.
    fn send(&mut self) -> Result<(), ReplayError> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.partitions.is_empty() {
            return Ok(());
        }
        let (letters, room) = (self.letters, self.room);
        let content = Content { letters, room, chunk: &chunk, sent: &self.sent };
        for times in 1.. {
            match self.transactor.execute_records(&content, self.timeout)? {
                TransactionEnd::Committed(_) => break,
                TransactionEnd::Aborted { reason, .. } if times == ABORTS_MAX => {
                    return Err(ReplayError::Refused { times, reason });
                }
                TransactionEnd::Aborted { .. } => std::thread::sleep(ABORT_PAUSE * times),
            }
        }
        self.outcome.replayed += chunk.len();
        Ok(())
    }
}

fn size(record: &Record, headers: &[Header<'_>]) -> usize {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers =
        headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len) + HEADER_OVERHEAD);
    RECORD_OVERHEAD + length(&record.key) + length(&record.payload) + headers.sum::<usize>()
}

struct Content<'a> {
    letters: &'a DeadLetters,
    room: usize,
    chunk: &'a Chunk,
    sent: &'a SentLetters,
}

impl Transaction for Content<'_> {
    fn records(
        &self,
        send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        for (record, origin) in &self.chunk.letters {
            self.send_back(record, *origin, send)?;
        }
        let topic = TopicSpec::replayed(&self.letters.input).name;
        for partition in &self.chunk.partitions {
            let (key, value) = self.sent.record(*partition);
            send(&OutboxRecord {
                topic: &topic,
                partition: Some(0),
                key: Some(key.as_bytes()),
                payload: Some(&value),
                ..OutboxRecord::default()
            })?;
        }
        Ok(())
    }

    fn offsets(&self) -> &[crate::kafka::Commit] {
        &[]
    }
}

impl Content<'_> {
    fn send_back(
        &self,
        record: &Record,
        origin: Origin,
        send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        let source = format!("{}/{}/{}", self.letters.topic, record.partition, record.offset);
        let (partition, offset) = (origin.first.0.to_string(), origin.first.1.to_string());
        let replays = origin.replays.saturating_add(1).to_string();
        let ours: [(&str, &str); 5] = [
            (header::MARK, header::REPLAY),
            (header::REPLAYED_FROM, &source),
            (header::FIRST_PARTITION, &partition),
            (header::FIRST_OFFSET, &offset),
            (header::REPLAYS, &replays),
        ];
        let mut headers = Opened::of(record).theirs;
        let theirs = headers.len();
        headers.extend(ours.map(|(name, value)| (name.as_bytes(), Some(value.as_bytes()))));
        if size(record, &headers) > self.room {
            headers.truncate(theirs); // it came without ours, and has to fit
        }
        send(&OutboxRecord {
            topic: &self.letters.input,
            partition: Some(origin.partition),
            key: record.key.as_deref(),
            payload: record.payload.as_deref(),
            headers: &headers,
            // Of now: by that of the letter, or of the record, it would be of the future again.
            timestamp_ms: None,
        })
    }
}
