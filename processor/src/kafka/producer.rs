//! The way out: records of an epoch, counted until all of them are acknowledged.

pub(super) mod native;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::{KafkaError, KafkaProblem, ProducerSettings, log, settings};

/// Name and value; `None` is a null value.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// A record to produce.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutboxRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None` leaves it to the hash of the key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub payload: Option<&'a [u8]>,
    /// Headers in their order.
    pub headers: &'a [Header<'a>],
    /// Milliseconds since the epoch; `None` is now.
    pub timestamp_ms: Option<i64>,
}

/// Counts the deliveries of one epoch.
///
/// Made with a waker, which is called exactly once: when the epoch is [sealed](EpochAcks::seal) and its last record
/// is answered, delivered or failed. [`EpochAcks::result`] then says which.
pub struct EpochAcks {
    /// Records under way, plus one until sealed.
    outstanding: AtomicUsize,
    produced: Mutex<Vec<Produced>>,
    failure: OnceLock<DeliveryError>,
    waker: Mutex<Option<Waker>>,
}

type Waker = Box<dyn FnOnce(&EpochAcks) + Send>;

/// What an epoch added to one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The highest offset written.
    pub offset: i64,
    /// How many records.
    pub records: u64,
}

/// A record was not delivered, and librdkafka has stopped trying. The epoch must not be committed, and as its
/// records may have been delivered in part, the process ends and the epoch is replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record for kafka topic `{topic}` was not delivered: {code}")]
pub struct DeliveryError {
    /// The topic.
    pub topic: String,
    /// Why.
    pub code: RDKafkaErrorCode,
}

impl DeliveryError {
    /// The topic, where it takes no record, or no batch, as large as this.
    #[must_use]
    pub fn too_large(&self) -> Option<&str> {
        use RDKafkaErrorCode as Code;
        matches!(self.code, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge).then_some(&*self.topic)
    }
}

impl EpochAcks {
    /// An open epoch. The waker runs on the thread that takes the last answer: it should only send a message.
    pub fn new(waker: impl FnOnce(&Self) + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            outstanding: AtomicUsize::new(1),
            produced: Mutex::default(),
            failure: OnceLock::new(),
            waker: Mutex::new(Some(Box::new(waker))),
        })
    }

    /// Nothing more will be sent for this epoch. To be called once.
    pub fn seal(&self) {
        self.answered();
    }

    /// Records that are not answered yet (one more while the epoch is open).
    pub fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Acquire)
    }

    /// What the epoch wrote, by topic and partition, or its first failure. Final once the waker has been called.
    ///
    /// # Errors
    /// The first [`DeliveryError`].
    pub fn result(&self) -> Result<Vec<Produced>, DeliveryError> {
        match self.failure.get() {
            Some(failure) => Err(failure.clone()),
            None => Ok(self.produced().clone()),
        }
    }

    fn delivered(&self, topic: &str, partition: i32, offset: i64) {
        let mut produced = self.produced();
        // Answers come in runs of one partition, so look at the last one first.
        match produced.iter_mut().rev().find(|entry| entry.partition == partition && entry.topic == topic) {
            Some(entry) => {
                entry.offset = entry.offset.max(offset);
                entry.records += 1;
            }
            None => produced.push(Produced { topic: topic.to_owned(), partition, offset, records: 1 }),
        }
    }

    fn answered(&self) {
        if self.outstanding.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker(self);
            }
        }
    }

    fn produced(&self) -> MutexGuard<'_, Vec<Produced>> {
        self.produced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EpochAcks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochAcks")
            .field("outstanding", &self.outstanding())
            .field("failure", &self.failure.get())
            .finish_non_exhaustive()
    }
}

/// The at-least-once outbox: an idempotent producer and a thread that takes its answers.
///
/// Dropping it fails what is still under way; [`KafkaOutbox::flush`] first.
pub struct KafkaOutbox {
    producer: Arc<BaseProducer<Context>>,
    queue_wait: Duration,
    batch_bytes: usize,
    stopping: Arc<AtomicBool>,
    answers: Option<JoinHandle<()>>,
}

/// How often a full queue is tried again.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(1);

impl KafkaOutbox {
    /// Starts the producer. Kafka may be away; `problems` is told so, from the outbox's thread.
    ///
    /// # Errors
    /// [`KafkaError::ReservedProperty`], [`KafkaError::Settings`], [`KafkaError::Other`] where no thread can start.
    pub fn new(
        settings: &ProducerSettings,
        problems: impl Fn(KafkaProblem) + Send + Sync + 'static,
    ) -> Result<Self, KafkaError> {
        let context = Context::new(problems, &settings.client.brokers);
        let producer: Arc<BaseProducer<Context>> =
            Arc::new(settings::create(&settings.to_config()?, context)?);
        let stopping = Arc::new(AtomicBool::new(false));
        let answers = thread::Builder::new()
            .name("kafka-outbox".to_owned())
            .spawn({
                let (producer, stopping) = (Arc::clone(&producer), Arc::clone(&stopping));
                move || {
                    while !stopping.load(Ordering::Relaxed) {
                        serve(&producer, Duration::from_millis(50));
                    }
                }
            })
            .map_err(|error| KafkaError::Other {
                doing: "starting the producer's thread",
                reason: error.to_string(),
            })?;
        let &ProducerSettings { queue_wait, batch_bytes, .. } = settings;
        Ok(Self { producer, queue_wait, batch_bytes, stopping, answers: Some(answers) })
    }

    /// Bytes of its largest batch of several records.
    pub(crate) fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    /// Queues one record of an epoch, copying its bytes. Waits for room while the queue is full.
    ///
    /// # Errors
    /// [`KafkaError::Backpressure`] after a bounded wait: the record is not queued, the same call may be made again.
    /// [`KafkaError::Failed`]: the record can never be queued (too large, unknown partition, a fatal client).
    pub fn send(&self, epoch: &Arc<EpochAcks>, record: &OutboxRecord<'_>) -> Result<(), KafkaError> {
        let started = Instant::now();
        loop {
            match queue(&self.producer, epoch, record) {
                Err(KafkaError::Backpressure { .. }) if started.elapsed() < self.queue_wait => {
                    thread::sleep(FULL_QUEUE_PAUSE);
                }
                Err(KafkaError::Backpressure { .. }) => {
                    return Err(KafkaError::Backpressure { waited: self.queue_wait });
                }
                other => return other,
            }
        }
    }

    /// Waits until everything sent is answered.
    ///
    /// # Errors
    /// [`KafkaError::Failed`] with a time-out where it takes longer.
    pub fn flush(&self, timeout: Duration) -> Result<(), KafkaError> {
        self.producer.flush(timeout).map_err(|error| KafkaError::from_client("flushing the producer", &error))
    }
}

/// Takes answers and events for as long as this, and a little longer.
///
/// The crate waits in whole milliseconds, less being none, and asks again until the time is over: of whole milliseconds
/// the last would be spent asking without a pause, a fiftieth of a core in the thread above.
pub(super) fn serve(producer: &BaseProducer<Context>, time: Duration) {
    const ON_TOP: Duration = Duration::from_micros(100);
    producer.poll(time + ON_TOP);
}

/// Queues one record, without waiting.
///
/// # Errors
/// [`KafkaError::Backpressure`] where the queue is full; [`KafkaError::Failed`].
pub(super) fn queue(
    producer: &BaseProducer<Context>,
    epoch: &Arc<EpochAcks>,
    record: &OutboxRecord<'_>,
) -> Result<(), KafkaError> {
    // Counted before it is queued, as the answer may come before the call returns.
    epoch.outstanding.fetch_add(1, Ordering::AcqRel);
    let Err(code) = native::produce(producer, Arc::clone(epoch), record) else { return Ok(()) };
    epoch.answered();
    match code {
        RDKafkaErrorCode::QueueFull => Err(KafkaError::Backpressure { waited: Duration::ZERO }),
        RDKafkaErrorCode::MessageSizeTooLarge => {
            Err(KafkaError::RecordTooLarge { topic: record.topic.to_owned() })
        }
        code => Err(KafkaError::Failed { doing: "queueing a record", code }),
    }
}

impl Drop for KafkaOutbox {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(answers) = self.answers.take()
            && answers.join().is_err()
        {
            tracing::error!("the kafka producer's thread panicked");
        }
    }
}

impl fmt::Debug for KafkaOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaOutbox")
            .field("in_flight", &self.producer.in_flight_count())
            .finish_non_exhaustive()
    }
}

/// What producers of this program do with answers and events.
pub(super) struct Context {
    problems: Box<dyn Fn(KafkaProblem) + Send + Sync>,
    brokers: String,
}

impl Context {
    pub(super) fn new(problems: impl Fn(KafkaProblem) + Send + Sync + 'static, brokers: &str) -> Self {
        Self { problems: Box::new(problems), brokers: brokers.to_owned() }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log::line(level, facility, text);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        (self.problems)(KafkaProblem::classify(code, reason, &self.brokers));
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<EpochAcks>;

    fn delivery(&self, result: &DeliveryResult<'_>, epoch: Arc<EpochAcks>) {
        match result {
            Ok(message) => epoch.delivered(message.topic(), message.partition(), message.offset()),
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                // Only the first counts; what follows is usually its consequence.
                let _ = epoch.failure.set(DeliveryError { topic: message.topic().to_owned(), code });
            }
        }
        epoch.answered();
    }
}
