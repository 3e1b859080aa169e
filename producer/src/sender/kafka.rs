//! The Kafka side: settings, the topic's creation, delivery failures, and the end of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext, PurgeConfig};

use super::Deliveries;
use super::raw::Topic;
use crate::batch::Batch;
use crate::error::Error;

/// Where the records go, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port`, several with commas.
    pub brokers: String,
    /// The topic the events go to.
    pub topic: String,
    /// How many partitions the topic gets if it does not exist; `None` leaves its creation to the broker.
    pub create_partitions: Option<i32>,
    /// Passed to librdkafka as they are: TLS, SASL, compression and all the rest.
    pub properties: BTreeMap<String, String>,
    /// Whether incidents announced in the topic `clickpulse.incidents` change this run.
    pub follow_incidents: bool,
    /// How long the end of the run waits for what is still on its way.
    pub flush_timeout: Duration,
}

impl KafkaSettings {
    /// The default settings for these brokers.
    #[must_use]
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topic: "clickstream_events".to_owned(),
            create_partitions: Some(4),
            properties: BTreeMap::new(),
            follow_incidents: true,
            flush_timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("create_partitions", &self.create_partitions)
            .field("properties", &kafka_properties::shown(&self.properties))
            .field("follow_incidents", &self.follow_incidents)
            .field("flush_timeout", &self.flush_timeout)
            .finish()
    }
}

/// What every client of this program has in common.
pub(crate) fn client(brokers: &str, properties: &BTreeMap<String, String>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "clickpulse-producer");
    config.set("reconnect.backoff.max.ms", "2000").set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in properties {
        config.set(name, value);
    }
    config
}

/// librdkafka's settings of `producer run`; `properties` overrides each.
pub const TUNING: [(&str, &str); 9] = [
    // No loss and no repeat by retries, and the order kept: what the truth file says stays true.
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "10000"),
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "262144"),
    // The partition a Java producer would choose for the same key.
    ("partitioner", "murmur2_random"),
    // One report per record would cost more than the record; what arrived is what was sent and did not fail.
    ("delivery.report.only.error", "true"),
];

/// Counts delivery failures and passes on what the client has to say.
#[derive(Debug, Default)]
struct Reports {
    brokers: String,
    failed: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// When the last warning was, and which cure it named.
    warned: Mutex<Option<(Instant, Option<&'static str>)>>,
}

/// Between two warnings about the same trouble.
const WARN_EVERY: Duration = Duration::from_secs(5);

impl Reports {
    fn warn(&self, reason: &str, away: bool) {
        let cure = kafka_properties::cure(reason);
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = |said| cure.is_some() && cure != said;
        if warned.is_some_and(|(at, said)| at.elapsed() < WARN_EVERY && !is_news(said)) {
            return;
        }
        *warned = Some((Instant::now(), cure));
        match cure {
            Some(cure) => tracing::warn!("Kafka at {}: {reason}; {cure} (--property)", self.brokers),
            None if away => {
                tracing::warn!("no Kafka broker at {} (--brokers), still trying: {reason}", self.brokers);
            }
            None => tracing::warn!("Kafka at {}: {reason}", self.brokers),
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, text: &str) {
        // What may be another kind of listener is a disconnect to librdkafka: a line of the log, and no error. The rest
        // comes as errors.
        if facility == "FAIL" && kafka_properties::cure(text).is_some() {
            self.warn(text.split_once("]: ").map_or(text, |(_, reason)| reason), false);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let away = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure)
        );
        self.warn(reason, away);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failed.fetch_add(1, Ordering::Relaxed);
            let text = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        }
    }
}

/// A producer for one topic.
pub(crate) struct KafkaSender {
    producer: BaseProducer<Reports>,
    topic: String,
    sent: u64,
    refused: u64,
    flush_timeout: Duration,
}

impl KafkaSender {
    /// A producer; that there is a broker is not needed yet.
    pub(crate) fn new(settings: &KafkaSettings) -> Result<Self, Error> {
        let mut config = client(&settings.brokers, &BTreeMap::new());
        for (name, value) in TUNING {
            config.set(name, value);
        }
        for (name, value) in &settings.properties {
            config.set(name, value);
        }
        let reports = Reports { brokers: settings.brokers.clone(), ..Reports::default() };
        let producer = config.create_with_context(reports).map_err(Error::Kafka)?;
        Ok(Self {
            producer,
            topic: settings.topic.clone(),
            sent: 0,
            refused: 0,
            flush_timeout: settings.flush_timeout,
        })
    }

    /// Sees to it that the topics are there, once a broker answers; `stop` ends the wait.
    ///
    /// A broker that cannot create topics on request (librdkafka's mock) may still do so on first use, so a refusal
    /// is a warning and not an error.
    pub(crate) fn create_topics(
        &self,
        settings: &KafkaSettings,
        topics: &[(&str, i32)],
        stop: impl Fn() -> bool,
    ) {
        let existing = loop {
            if stop() {
                return;
            }
            // A poll that does not wait takes one event: after a log line its error would be left in the queue.
            self.producer.poll(Duration::from_millis(20));
            match self.producer.client().fetch_metadata(None, Duration::from_secs(1)) {
                Ok(metadata) => {
                    break metadata.topics().iter().map(|t| t.name().to_owned()).collect::<Vec<_>>();
                }
                Err(error) => tracing::debug!("no metadata yet: {error}"),
            }
        };
        let missing: Vec<NewTopic<'_>> = topics
            .iter()
            .filter(|(name, _)| !existing.iter().any(|other| other == name))
            .map(|(name, partitions)| NewTopic::new(name, *partitions, TopicReplication::Fixed(-1)))
            .collect();
        if missing.is_empty() {
            return;
        }
        match create(&client(&settings.brokers, &settings.properties), &missing) {
            Ok(()) => tracing::info!("created {}", names(&missing)),
            Err(reason) => tracing::warn!("could not create {}: {reason}", names(&missing)),
        }
    }

    /// Hands over the batch. While the queue is full it waits; `keep_waiting` is asked again and again whether to.
    pub(crate) fn send(
        &mut self,
        batch: &Batch,
        mut keep_waiting: impl FnMut(Deliveries) -> bool,
    ) -> Result<(), Error> {
        let mut topic =
            Topic::new(&self.producer, &self.topic).ok_or_else(|| Error::Topic(self.topic.clone()))?;
        let (sent, refused) = (self.sent, self.refused);
        let result = topic.enqueue(batch, |producer| {
            producer.poll(Duration::from_millis(10));
            keep_waiting(deliveries(producer, sent, refused))
        });
        if let Some(error) = result.refusal {
            let text = Some(error.to_string());
            *self.producer.context().last_error.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
        let never = result.refused + result.abandoned;
        self.refused += never;
        self.sent += result.accepted + never;
        Ok(())
    }

    /// Takes note of failures.
    pub(crate) fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    pub(crate) fn deliveries(&self) -> Deliveries {
        deliveries(&self.producer, self.sent, self.refused)
    }

    /// Why the last record failed.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.producer.context().last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until everything has arrived or failed. What is still on its way after the flush timeout is given up
    /// and has failed.
    pub(crate) fn finish(&self, mut progress: impl FnMut(Deliveries)) {
        let begun = Instant::now();
        while self.producer.in_flight_count() > 0 && begun.elapsed() < self.flush_timeout {
            self.producer.poll(Duration::from_millis(5));
            progress(self.deliveries());
        }
        if self.producer.in_flight_count() > 0 {
            self.producer.purge(PurgeConfig::default().queue().inflight());
            while self.producer.in_flight_count() > 0 {
                self.producer.poll(Duration::from_millis(5));
            }
        }
    }
}

fn deliveries(producer: &BaseProducer<Reports>, sent: u64, refused: u64) -> Deliveries {
    // Read in this order, a record that fails in between is counted as failed and not twice.
    let in_flight = u64::try_from(producer.in_flight_count()).unwrap_or(0);
    let failed = producer.context().failed.load(Ordering::Relaxed) + refused;
    Deliveries { sent, in_flight, failed }
}

fn create(config: &ClientConfig, topics: &[NewTopic<'_>]) -> Result<(), String> {
    /// A broker that does not know the request never answers it.
    const PATIENCE: Duration = Duration::from_secs(5);
    let admin: AdminClient<DefaultClientContext> = config.create().map_err(|error| error.to_string())?;
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| error.to_string())?;
    let results = runtime
        .block_on(async { tokio::time::timeout(PATIENCE * 2, admin.create_topics(topics, &options)).await })
        .map_err(|_| "no answer".to_owned())?
        .map_err(|error| error.to_string())?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(format!("{topic}: {code}")),
        }
    }
    Ok(())
}

fn names(topics: &[NewTopic<'_>]) -> String {
    topics
        .iter()
        .map(|topic| format!("{} ({} partitions)", topic.name, topic.num_partitions))
        .collect::<Vec<_>>()
        .join(", ")
}
