//! Topics: made at the start where they are missing, checked where they exist.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::describe::{TopicNow, describe};
use super::members::static_member;
use super::settings::{RECORD_BYTES_MAX, copy_bytes};
use super::{ClientSettings, KafkaError, log, settings};

/// A topic this program needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Its partitions; `None`: the broker's default when it is made, any number when it exists.
    pub partitions: Option<i32>,
    /// Topic settings when it is made.
    pub config: Vec<(&'static str, String)>,
}

impl TopicSpec {
    /// The internal topic of partial windows: large records, which nobody needs for longer than a day.
    pub fn partials(name: &str, partitions: i32) -> Self {
        let retention_ms = Duration::from_secs(24 * 60 * 60).as_millis();
        Self {
            name: name.to_owned(),
            partitions: Some(partitions),
            config: vec![
                (MAX_MESSAGE_BYTES, RECORD_BYTES_MAX.to_string()),
                ("retention.ms", retention_ms.to_string()),
            ],
        }
    }

    /// The internal topic of re-keyed records: a partition per task.
    ///
    /// Kept a week, whatever the broker's default: what is re-keyed and not yet counted is nowhere else to be had, and
    /// a restart reads back as far as its state reaches.
    pub fn by_user(name: &str, partitions: i32) -> Self {
        let retention_ms = Duration::from_secs(7 * 24 * 60 * 60).as_millis();
        Self {
            name: name.to_owned(),
            partitions: Some(partitions),
            config: vec![
                (MAX_MESSAGE_BYTES, RECORD_BYTES_MAX.to_string()),
                ("retention.ms", retention_ms.to_string()),
            ],
        }
    }

    /// The topic of announced incidents: one partition, as their order matters.
    pub fn incidents(name: &str) -> Self {
        Self { name: name.to_owned(), partitions: Some(1), config: Vec::new() }
    }

    /// Where records of `input` go that cannot be used.
    pub fn dead_letters(input: &str) -> Self {
        Self::copies(format!("{input}.dlq"))
    }

    /// Where points go that InfluxDB refuses for good.
    pub fn dead_points(name: &str) -> Self {
        Self::copies(name.to_owned())
    }

    /// Where records of `input` go that come too late.
    pub fn late(input: &str) -> Self {
        Self::copies(format!("{input}.late"))
    }

    /// Where `dlq replay` notes which letters of `input` it has sent: the last record of each key counts.
    pub fn replayed(input: &str) -> Self {
        Self {
            name: format!("{input}.replayed"),
            partitions: Some(1),
            config: vec![("cleanup.policy", "compact".to_owned())],
        }
    }

    /// For copies of records of `bytes`: with our headers a record is larger than it was.
    #[must_use]
    pub fn for_records(mut self, bytes: usize) -> Self {
        let of_records = self.config.iter_mut().find(|(name, _)| *name == MAX_MESSAGE_BYTES);
        if let Some((_, value)) = of_records {
            *value = copy_bytes(bytes).to_string();
        }
        self
    }

    fn copies(name: String) -> Self {
        Self { name, partitions: None, config: vec![(MAX_MESSAGE_BYTES, RECORD_BYTES_MAX.to_string())] }
    }
}

/// The topic's setting for the largest record, with its batch around it.
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

/// Who makes missing topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingTopics {
    /// This program, by an admin request.
    Create,
    /// The broker, when a topic is first used: librdkafka's mock cluster knows no admin requests.
    LeaveToBroker,
}

/// A connection for questions about the cluster.
pub struct Admin {
    settings: ClientSettings,
    probe: BaseConsumer<ProbeContext>,
}

/// One attempt to reach a broker.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long no event has to come until all there were are read.
const DRAIN: Duration = Duration::from_millis(20);
/// How often waiting says so.
const REMINDER: Duration = Duration::from_secs(10);

impl Admin {
    /// Prepares the connection; Kafka may be away.
    ///
    /// # Errors
    /// [`KafkaError::ReservedProperty`], [`KafkaError::Settings`].
    pub fn new(settings: &ClientSettings) -> Result<Self, KafkaError> {
        let probe = settings::create(&settings.to_admin_config()?, ProbeContext::default())?;
        Ok(Self { settings: settings.clone(), probe })
    }

    /// Waits until a broker answers. After every failed attempt `keep_trying` decides, given the reason.
    ///
    /// # Errors
    /// The reason of the last attempt, once `keep_trying` says no.
    pub fn wait_for_brokers(
        &self,
        mut keep_trying: impl FnMut(&KafkaError) -> bool,
    ) -> Result<(), KafkaError> {
        let started = Instant::now();
        let mut reminded: Option<Instant> = None;
        loop {
            let attempt = self.probe.fetch_metadata(None, ATTEMPT);
            // A log line ends a poll that does not wait, with the error behind it left in the queue.
            while self.probe.poll(DRAIN).is_some() {}
            let Err(error) = attempt else {
                return Ok(());
            };
            let error = match self.probe.context().take_reason() {
                Some(reason) => {
                    KafkaError::Other { doing: "connecting", reason: super::error::with_cure(&reason) }
                }
                None if error.rdkafka_error_code().is_some_and(super::error::is_transient) => {
                    KafkaError::Unreachable {
                        brokers: self.settings.brokers.clone(),
                        doing: "connecting",
                        waited: started.elapsed(),
                    }
                }
                None => KafkaError::from_client("connecting", &error),
            };
            if reminded.is_none_or(|at| at.elapsed() >= REMINDER) {
                tracing::warn!(brokers = %self.settings.brokers, %error, "waiting for kafka");
                reminded = Some(Instant::now());
            }
            if !keep_trying(&error) {
                return Err(error);
            }
        }
    }

    /// Number of partitions of a topic.
    ///
    /// # Errors
    /// [`KafkaError::UnknownTopic`], [`KafkaError::Unreachable`], [`KafkaError::Failed`].
    pub fn partition_count(&self, topic: &str, timeout: Duration) -> Result<i32, KafkaError> {
        partition_count(self.probe.client(), &self.settings.brokers, topic, timeout)
    }

    /// Topics as they are now, in the order asked for; `None`: there is none of this name. A broker that makes topics by
    /// itself tells no ids: librdkafka's mock cluster knows no admin requests.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`], [`KafkaError::Failed`].
    pub fn describe(
        &self,
        topics: &[String],
        missing: MissingTopics,
        timeout: Duration,
    ) -> Result<Vec<Option<TopicNow>>, KafkaError> {
        if missing == MissingTopics::Create {
            return describe(self.probe.client(), &self.settings.brokers, topics, timeout);
        }
        let now = |topic: &String| match self.partition_count(topic, timeout) {
            Ok(partitions) => Ok(Some(TopicNow { id: 0, partitions })),
            Err(KafkaError::UnknownTopic { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        topics.iter().map(now).collect()
    }

    /// Where the member of `group` is whose static name (`group.instance.id`) is `instance`: client id and host. `None`:
    /// nobody has that name.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`], [`KafkaError::Failed`].
    pub fn static_member(
        &self,
        group: &str,
        instance: &str,
        timeout: Duration,
    ) -> Result<Option<String>, KafkaError> {
        static_member(self.probe.client(), &self.settings.brokers, (group, instance), timeout)
    }

    /// Makes the topics that are missing and checks the partitions of those that exist.
    ///
    /// # Errors
    /// [`KafkaError::UnsuitableTopic`] where an existing topic has another number of partitions or the cluster does
    /// not allow the topic; [`KafkaError::Unreachable`], [`KafkaError::Failed`].
    pub fn ensure_topics(
        &self,
        topics: &[TopicSpec],
        missing: MissingTopics,
        timeout: Duration,
    ) -> Result<(), KafkaError> {
        let deadline = Instant::now() + timeout;
        if missing == MissingTopics::Create {
            self.create_topics(topics, timeout)?;
        }
        for topic in topics {
            // A new topic shows in the metadata a moment after it was made.
            let count = loop {
                match self.partition_count(&topic.name, ATTEMPT) {
                    Err(KafkaError::UnknownTopic { .. } | KafkaError::Unreachable { .. })
                        if Instant::now() < deadline =>
                    {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    outcome => break outcome?,
                }
            };
            if let Some(wanted) = topic.partitions.filter(|&wanted| wanted != count) {
                return Err(KafkaError::UnsuitableTopic {
                    topic: topic.name.clone(),
                    problem: format!(
                        "has {count} partition(s) and must have {wanted}: stop every instance and delete the \
                         topic, or name another one in the settings"
                    ),
                });
            }
        }
        Ok(())
    }

    /// Bytes of the largest record that topics take (`max.message.bytes`). Those of which Kafka does not tell, as it may be
    /// for want of the right to describe their settings, are left out.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`], [`KafkaError::Failed`].
    pub fn record_limits(
        &self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<BTreeMap<String, usize>, KafkaError> {
        let doing = "reading the settings of topics";
        let client: AdminClient<DefaultClientContext> =
            settings::create(&self.settings.to_admin_config()?, DefaultClientContext)?;
        let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let options = AdminOptions::new().request_timeout(Some(timeout));
        let answers = runtime(doing)?
            .block_on(client.describe_configs(&asked, &options))
            .map_err(|error| self.unreachable_or(doing, timeout, &error))?;
        let limit = |config: ConfigResource| {
            let value = config.get(MAX_MESSAGE_BYTES)?.value.as_ref()?.parse().ok()?;
            match config.specifier {
                OwnedResourceSpecifier::Topic(topic) => Some((topic, value)),
                _ => None,
            }
        };
        Ok(answers.into_iter().filter_map(|answer| limit(answer.ok()?)).collect())
    }

    fn create_topics(&self, topics: &[TopicSpec], timeout: Duration) -> Result<(), KafkaError> {
        let doing = "creating topics";
        let client: AdminClient<DefaultClientContext> =
            settings::create(&self.settings.to_admin_config()?, DefaultClientContext)?;
        let wanted: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|topic| {
                // -1 is the broker's default.
                let new =
                    NewTopic::new(&topic.name, topic.partitions.unwrap_or(-1), TopicReplication::Fixed(-1));
                topic.config.iter().fold(new, |new, (name, value)| new.set(name, value))
            })
            .collect();
        let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
        let results = runtime(doing)?
            .block_on(client.create_topics(&wanted, &options))
            .map_err(|error| self.unreachable_or(doing, timeout, &error))?;
        for result in results {
            match result {
                Ok(name) => tracing::info!(topic = %name, "created a kafka topic"),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    return Err(KafkaError::UnsuitableTopic {
                        topic,
                        problem: format!("cannot be created: {code}"),
                    });
                }
            }
        }
        Ok(())
    }

    fn unreachable_or(
        &self,
        doing: &'static str,
        waited: Duration,
        error: &rdkafka::error::KafkaError,
    ) -> KafkaError {
        unreachable_or(&self.settings.brokers, doing, waited, error)
    }
}

fn runtime(doing: &'static str) -> Result<tokio::runtime::Runtime, KafkaError> {
    let built = tokio::runtime::Builder::new_current_thread().build();
    built.map_err(|error| KafkaError::Other { doing, reason: error.to_string() })
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Number of partitions of a topic, by a metadata request.
pub(super) fn partition_count<C: ClientContext>(
    client: &Client<C>,
    brokers: &str,
    topic: &str,
    timeout: Duration,
) -> Result<i32, KafkaError> {
    let doing = "reading topic metadata";
    let unknown = || KafkaError::UnknownTopic { topic: topic.to_owned() };
    let metadata = client
        .fetch_metadata(Some(topic), timeout)
        .map_err(|error| unreachable_or(brokers, doing, timeout, &error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic).ok_or_else(unknown)?;
    match found.error().map(RDKafkaErrorCode::from) {
        None if !found.partitions().is_empty() => {
            Ok(i32::try_from(found.partitions().len()).expect("kafka counts partitions in an i32"))
        }
        None | Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Err(unknown())
        }
        // Being created.
        Some(RDKafkaErrorCode::LeaderNotAvailable) => Err(unknown()),
        Some(code) => Err(KafkaError::Failed { doing, code }),
    }
}

fn unreachable_or(
    brokers: &str,
    doing: &'static str,
    waited: Duration,
    error: &rdkafka::error::KafkaError,
) -> KafkaError {
    use RDKafkaErrorCode as Code;
    let error = KafkaError::from_client(doing, error);
    match error {
        KafkaError::Failed {
            code: Code::BrokerTransportFailure | Code::OperationTimedOut | Code::AllBrokersDown,
            ..
        } => KafkaError::Unreachable { brokers: brokers.to_owned(), doing, waited },
        other => other,
    }
}

/// Keeps the reason of the last failed connection.
#[derive(Default)]
struct ProbeContext {
    reason: Mutex<Option<String>>,
}

impl ProbeContext {
    fn take_reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for ProbeContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // The reason is kept and told by whoever waits, once instead of per attempt.
        if facility != "FAIL" && facility != "ERROR" {
            log::line(level, facility, text);
        } else if kafka_properties::cure(text).is_some() {
            // What may be another kind of listener is a disconnect to librdkafka: a line of the log, and no error.
            let reason = text.split_once("]: ").map_or(text, |(_, reason)| reason);
            *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        // "all brokers down" only sums up what the connections said before.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for ProbeContext {}
