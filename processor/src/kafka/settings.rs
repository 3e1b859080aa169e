//! librdkafka settings: what this program needs, what users may change, what they may not.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::KafkaError;

/// How to reach Kafka; common to every client.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// Name of this process in the brokers' logs and quotas.
    pub client_id: String,
    /// `[kafka.properties]`: passed to librdkafka (TLS, SASL, tuning), over our defaults.
    pub properties: BTreeMap<String, String>,
}

/// What a group member needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// How to reach Kafka.
    pub client: ClientSettings,
    /// The consumer group.
    pub group_id: String,
    /// Static membership: one id per replica, or `None`.
    pub group_instance_id: Option<String>,
    /// Number of worker queues that will be made (queues, not threads); the prefetch budget is divided among them.
    pub workers: usize,
    /// Records fetched ahead by all workers together, in payload bytes (librdkafka adds about 300 bytes per record).
    pub prefetch_bytes: usize,
}

impl ConsumerSettings {
    /// [`ConsumerSettings::prefetch_bytes`] where memory is not short: more reads no faster.
    pub const PREFETCH_BYTES: usize = 16 << 20;
}

/// What the producing side needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSettings {
    /// How to reach Kafka.
    pub client: ClientSettings,
    /// Exactly once: the name under which Kafka fences an earlier producer that did not end in order. One per worker
    /// of an instance; two running at once end each other. `None`: without transactions.
    pub transactional_id: Option<String>,
    /// After this a record that cannot be delivered fails its epoch, which is fatal: librdkafka's own retries are over.
    pub delivery_timeout: Duration,
    /// Bytes waiting for delivery at most; beyond it [`super::Outbox::send`] waits.
    pub queue_bytes: usize,
    /// Bytes of the largest record, at least 8 MiB.
    pub record_bytes: usize,
    /// Bytes of a batch at most, but for one with a single record: Kafka holds the batch against a topic's
    /// `max.message.bytes`.
    pub batch_bytes: usize,
    /// How long [`super::Outbox::send`] waits for room before it says [`KafkaError::Backpressure`].
    pub queue_wait: Duration,
}

impl ProducerSettings {
    /// Defaults for a client: a day for delivery, so that Kafka may be away and come back; 64 MiB of queue; 30 s of
    /// waiting for room.
    pub fn new(client: ClientSettings) -> Self {
        Self {
            client,
            transactional_id: None,
            delivery_timeout: Duration::from_secs(86_400),
            queue_bytes: 64 << 20,
            record_bytes: RECORD_BYTES_MAX,
            batch_bytes: BATCH_BYTES,
            queue_wait: Duration::from_secs(30),
        }
    }
}

/// How long the group goes without a sign of a member before it gives its partitions to others.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(45);

/// The least session timeout: [`super::Membership`]'s margin, InfluxDB's limit for a write, and time to write in.
pub(crate) const SESSION_TIMEOUT_MIN: Duration = Duration::from_secs(25);

/// How long Kafka keeps a transaction open of which it hears nothing. What a killed process left open holds back the
/// readers of its topics for so long, unless it comes back under the same name before.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Kafka answers with a larger batch all the same, if it is the first.
const FETCH_BYTES_MIN: usize = 1 << 20;

/// Largest record of `clickpulse.partials`, and of the producer where no input has larger ones: 8 MiB.
pub(crate) const RECORD_BYTES_MAX: usize = 8 << 20;

/// librdkafka's default for a batch.
const BATCH_BYTES: usize = 1_000_000;

/// Largest answer that is read, and largest batch once it is decompressed. librdkafka's default of 100 MB is less than a
/// batch may have that a broker takes with its defaults, and what is larger is asked for again and again.
const ANSWER_BYTES_MAX: &str = "1000000000";

/// What the producer adds to a record of an input that it copies: our headers, and what says where it came from.
const COPY_MARGIN: usize = 1 << 20;

/// Bytes of the largest copy of a record of `record_bytes`, with what comes with it.
pub(crate) fn copy_bytes(record_bytes: usize) -> usize {
    (record_bytes + COPY_MARGIN).max(RECORD_BYTES_MAX)
}

impl ConsumerSettings {
    /// The librdkafka settings of a group member.
    ///
    /// # Errors
    /// [`KafkaError::ReservedProperty`].
    pub(crate) fn to_config(&self) -> Result<ClientConfig, KafkaError> {
        let queue_kbytes = (self.prefetch_bytes / self.workers.max(1) / 1024).clamp(256, 2_097_151);
        let mut config = self.client.base(Role::Consumer);
        config
            // An answer of many partitions comes on top of what is queued, and decompressed.
            .set("fetch.max.bytes", (self.prefetch_bytes / 4).max(FETCH_BYTES_MIN).to_string())
            .set("group.id", &self.group_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Where an offset is gone, the assignment decides anew what is read, and says so; librdkafka would go back.
            .set("auto.offset.reset", "error")
            // Range gives the same partition number of every input to the same member, which joins need.
            .set("partition.assignment.strategy", "range")
            .set("isolation.level", "read_committed")
            // How a caught-up partition is known: its end offset lies past the markers of transactions.
            .set("enable.partition.eof", "true")
            // What is fetched ahead, for the status.
            .set("statistics.interval.ms", "2000")
            .set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string())
            .set("queued.max.messages.kbytes", queue_kbytes.to_string());
        if let Some(id) = &self.group_instance_id {
            config.set("group.instance.id", id);
        }
        self.client.apply_properties(&mut config, Role::Consumer)?;
        Ok(config)
    }
}

impl ProducerSettings {
    /// The librdkafka settings of the producer.
    ///
    /// # Errors
    /// [`KafkaError::ReservedProperty`].
    pub(crate) fn to_config(&self) -> Result<ClientConfig, KafkaError> {
        let mut config = self.client.base(Role::Producer);
        config
            .set("enable.idempotence", "true")
            .set("message.max.bytes", self.record_bytes.to_string())
            .set("message.timeout.ms", self.delivery_timeout.as_millis().to_string())
            // One record has to fit, or it is waited for in vain.
            .set(
                "queue.buffering.max.kbytes",
                (self.queue_bytes.max(self.record_bytes + COPY_MARGIN) / 1024).to_string(),
            );
        if let Some(id) = &self.transactional_id {
            config
                .set("transactional.id", id)
                // A transaction's records are hurried on when all of them are queued. Before, a batch that is due early only
                // makes more requests, and while more wait than may be sent at once librdkafka asks without a pause.
                .set("linger.ms", "50")
                .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string())
                // librdkafka wants it within the transaction's; what is not delivered by then is aborted and sent again.
                .set("message.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string());
        }
        self.client.apply_properties(&mut config, Role::Producer)?;
        let theirs = config.get("batch.size").and_then(|bytes| bytes.parse().ok());
        config.set("batch.size", self.batch_bytes.min(theirs.unwrap_or(usize::MAX)).to_string());
        Ok(config)
    }
}

impl ClientSettings {
    /// How long the group goes without a sign of a member of this client before its partitions go to others.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        let set = self.properties.get("session.timeout.ms").and_then(|value| value.parse().ok());
        set.map_or(SESSION_TIMEOUT, Duration::from_millis)
    }

    /// The librdkafka settings of a client that only asks (metadata, offsets, admin).
    ///
    /// # Errors
    /// [`KafkaError::ReservedProperty`].
    pub(crate) fn to_admin_config(&self) -> Result<ClientConfig, KafkaError> {
        let mut config = self.base(Role::Admin);
        self.apply_properties(&mut config, Role::Admin)?;
        Ok(config)
    }

    /// The librdkafka settings of a reader without a group.
    ///
    /// # Errors
    /// [`KafkaError::ReservedProperty`].
    pub(crate) fn to_reader_config(&self) -> Result<ClientConfig, KafkaError> {
        let mut config = self.base(Role::Consumer);
        config
            // librdkafka wants a name; nothing is ever joined or committed under it.
            .set("group.id", format!("{}-reader", self.client_id))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("queued.max.messages.kbytes", "8192");
        self.apply_properties(&mut config, Role::Consumer)?;
        Ok(config)
    }

    /// The librdkafka settings of a reader in bulk; with a group's name it can ask for that group's offsets. It joins
    /// nothing and commits nothing.
    ///
    /// # Errors
    /// [`KafkaError::ReservedProperty`].
    pub(crate) fn to_scan_config(&self, group: Option<&str>) -> Result<ClientConfig, KafkaError> {
        let mut config = self.to_reader_config()?;
        config.set("queued.max.messages.kbytes", "32768");
        if let Some(group) = group {
            config.set("group.id", group);
        }
        Ok(config)
    }

    fn base(&self, role: Role) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("socket.keepalive.enable", "true")
            .set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in role.defaults() {
            config.set(*name, *value);
        }
        config
    }

    fn apply_properties(&self, config: &mut ClientConfig, role: Role) -> Result<(), KafkaError> {
        for (name, value) in &self.properties {
            if let Some((_, cure)) = RESERVED.iter().find(|(reserved, _)| reserved == name) {
                return Err(KafkaError::ReservedProperty { name: name.clone(), cure });
            }
            if role.takes(name) {
                config.set(name, value);
            }
        }
        Ok(())
    }
}

/// Creates a client, with an error that shows no secret.
pub(crate) fn create<T, C>(config: &ClientConfig, context: C) -> Result<T, KafkaError>
where
    T: rdkafka::config::FromClientConfigAndContext<C>,
    C: rdkafka::ClientContext,
{
    config.create_with_context(context).map_err(|error| match error {
        rdkafka::error::KafkaError::ClientConfig(_, reason, name, _)
            if kafka_properties::is_secret(&name) =>
        {
            // librdkafka's reason may quote the value.
            let _ = reason;
            KafkaError::Settings { reason: format!("the value of `{name}` is not valid") }
        }
        rdkafka::error::KafkaError::ClientConfig(_, reason, name, _) => {
            KafkaError::Settings { reason: format!("`{name}`: {reason}") }
        }
        rdkafka::error::KafkaError::ClientCreation(reason) => KafkaError::Settings { reason },
        other => KafkaError::from_client("creating a client", &other),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Consumer,
    Producer,
    Admin,
}

impl Role {
    /// Our defaults, which `[kafka.properties]` may override.
    fn defaults(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Consumer => &[
                // The default of 1000 stops fetching for a second whenever the queue is full.
                ("fetch.queue.backoff.ms", "5"),
                // Enough to keep both sides busy: with 4000, reading takes twice as long. The default of 100000 reads no
                // faster and holds far more memory when a worker waits: 300 bytes of librdkafka come with every record.
                ("queued.min.messages", "20000"),
                ("fetch.wait.max.ms", "100"),
                ("receive.message.max.bytes", ANSWER_BYTES_MAX),
            ],
            Self::Producer => &[
                ("compression.type", "lz4"),
                ("linger.ms", "5"),
                // What a batch may have is said in bytes.
                ("batch.num.messages", "100000"),
            ],
            // Who is asked first: a listener that wants TLS says nothing to a client without it, and this ends the wait.
            Self::Admin => &[("api.version.request.timeout.ms", "5000")],
        }
    }

    /// Whether a property means something for this kind of client; librdkafka would warn about the others.
    fn takes(self, name: &str) -> bool {
        let starts_with_any = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let wanted_by = if starts_with_any(CONSUMER_ONLY) {
            Self::Consumer
        } else if starts_with_any(PRODUCER_ONLY) {
            Self::Producer
        } else {
            return true;
        };
        self == wanted_by
    }
}

const CONSUMER_ONLY: &[&str] = &[
    "check.crcs",
    "consume.",
    "coordinator.query.interval.ms",
    "fetch.",
    "group.",
    "heartbeat.interval.ms",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "queued.",
    "session.timeout.ms",
];

const PRODUCER_ONLY: &[&str] = &[
    "batch.",
    "compression.",
    "delivery.timeout.ms",
    "linger.ms",
    "message.send.max.retries",
    "message.timeout.ms",
    "partitioner",
    "queue.buffering.",
    "request.timeout.ms",
    "retries",
    "retry.backoff",
    "sticky.partitioning.linger.ms",
];

/// What correctness rests on, each with what to do instead.
const RESERVED: &[(&str, &str)] = &[
    ("acks", OURS_DELIVERY),
    ("auto.commit.enable", OURS_COMMIT),
    ("auto.commit.interval.ms", OURS_COMMIT),
    ("auto.offset.reset", "reading always starts at the committed offset, or at the beginning"),
    ("bootstrap.servers", "set kafka.brokers"),
    ("delivery.report.only.error", OURS_DELIVERY),
    ("enable.auto.commit", OURS_COMMIT),
    ("enable.auto.offset.store", OURS_COMMIT),
    ("enable.idempotence", OURS_DELIVERY),
    ("enable.partition.eof", "ends of partitions tell when one is caught up"),
    ("group.id", "set kafka.group_id"),
    ("group.instance.id", "set kafka.instance_id"),
    ("group.protocol", "co-partitioned inputs need the classic protocol with range assignment"),
    ("group.remote.assignor", "co-partitioned inputs need the classic protocol with range assignment"),
    ("isolation.level", "aborted transactions are never counted"),
    ("log.queue", "librdkafka's log goes through the program's own"),
    ("max.in.flight", OURS_DELIVERY),
    ("max.in.flight.requests.per.connection", OURS_DELIVERY),
    ("message.max.bytes", "it follows inputs.max_record_bytes, and is 8 MiB at least"),
    ("metadata.broker.list", "set kafka.brokers"),
    ("partition.assignment.strategy", "co-partitioned inputs need range assignment"),
    ("queued.max.messages.kbytes", "set memory.budget"),
    ("queue.buffering.max.kbytes", "set memory.budget"),
    ("request.required.acks", OURS_DELIVERY),
    ("transactional.id", OURS_DELIVERY),
];

const OURS_DELIVERY: &str = "delivery guarantees follow kafka.delivery";
const OURS_COMMIT: &str = "offsets are committed once everything derived from them is durable";

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = kafka_properties::shown(&self.properties);
        f.debug_struct("ClientSettings")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("properties", &shown)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_the_program_relies_on_is_refused_by_name() {
        let error = member(&[("enable.auto.commit", "true")]).to_config().unwrap_err();
        assert!(matches!(&error, KafkaError::ReservedProperty { name, .. } if name == "enable.auto.commit"));
        assert!(error.to_string().contains("`enable.auto.commit`"), "{error}");
    }

    #[test]
    fn a_property_overrides_a_default() {
        let config = member(&[("fetch.queue.backoff.ms", "50")]).to_config().unwrap();
        assert_eq!(config.get("fetch.queue.backoff.ms"), Some("50"));
    }

    #[test]
    fn the_prefetch_budget_is_divided_among_the_workers() {
        let mut settings = member(&[]);
        settings.prefetch_bytes = 32 << 20;
        settings.workers = 4;
        assert_eq!(settings.to_config().unwrap().get("queued.max.messages.kbytes"), Some("8192"));
    }

    #[test]
    fn a_consumer_property_does_not_reach_the_producer() {
        let settings = ProducerSettings::new(client(&[("session.timeout.ms", "9000"), ("linger.ms", "7")]));
        let config = settings.to_config().unwrap();
        assert_eq!(config.get("session.timeout.ms"), None);
        assert_eq!(config.get("linger.ms"), Some("7"));
    }

    #[test]
    fn every_setting_of_ours_is_known_to_librdkafka() {
        member(&[]).to_config().unwrap().create_native_config().unwrap();
        ProducerSettings::new(client(&[])).to_config().unwrap().create_native_config().unwrap();
        client(&[]).to_reader_config().unwrap().create_native_config().unwrap();
        for (name, _) in RESERVED {
            assert!(
                ClientConfig::new()
                    .set(*name, "")
                    .create_native_config()
                    .is_err_and(|error| { !error.to_string().contains("No such configuration property") })
                    || ClientConfig::new().set(*name, "x").create_native_config().is_ok(),
                "librdkafka does not know `{name}`"
            );
        }
    }

    #[test]
    fn a_batch_is_no_larger_than_the_least_topic_takes() {
        let batch = |ours, theirs: &[(&str, &str)]| {
            let settings = ProducerSettings { batch_bytes: ours, ..ProducerSettings::new(client(theirs)) };
            settings.to_config().unwrap().get("batch.size").unwrap().to_owned()
        };
        assert_eq!(batch(BATCH_BYTES, &[]), "1000000");
        assert_eq!(batch(50_000, &[("batch.size", "2000000")]), "50000");
        assert_eq!(batch(BATCH_BYTES, &[("batch.size", "30000")]), "30000");
    }

    #[test]
    fn the_largest_record_fits_into_the_queue() {
        let settings = ProducerSettings { record_bytes: 65 << 20, ..ProducerSettings::new(client(&[])) };
        let config = settings.to_config().unwrap();
        let number = |name| config.get(name).unwrap().parse::<usize>().unwrap();
        assert!(number("queue.buffering.max.kbytes") * 1024 > number("message.max.bytes"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = client(&[("sasl.password", "hunter2"), ("sasl.mechanism", "PLAIN")]);
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("PLAIN"), "{shown}");
    }

    fn client(properties: &[(&str, &str)]) -> ClientSettings {
        ClientSettings {
            brokers: "127.0.0.1:9092".into(),
            client_id: "test".into(),
            properties: properties
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn member(properties: &[(&str, &str)]) -> ConsumerSettings {
        ConsumerSettings {
            client: client(properties),
            group_id: "group".into(),
            group_instance_id: None,
            workers: 2,
            prefetch_bytes: ConsumerSettings::PREFETCH_BYTES,
        }
    }
}
