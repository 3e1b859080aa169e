//! What can go wrong with Kafka, by what the caller can do about it.

use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode;

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// A property of `[kafka.properties]` that this program relies on.
    #[error("kafka property `{name}` cannot be set in [kafka.properties]: {cure}")]
    ReservedProperty {
        /// The property.
        name: String,
        /// What to do instead.
        cure: &'static str,
    },
    /// librdkafka does not accept the settings; the text names the property, never the value of a secret.
    #[error("librdkafka refuses the kafka settings: {reason}")]
    Settings {
        /// librdkafka's reason.
        reason: String,
    },
    /// No broker answered in time.
    #[error("kafka at {brokers} does not answer: {doing} took longer than {waited:?}")]
    Unreachable {
        /// The configured addresses.
        brokers: String,
        /// What was tried.
        doing: &'static str,
        /// How long.
        waited: Duration,
    },
    /// A topic that should exist does not.
    #[error("kafka topic `{topic}` does not exist")]
    UnknownTopic {
        /// Its name.
        topic: String,
    },
    /// A topic exists, but not as this program needs it.
    #[error("kafka topic `{topic}` {problem}")]
    UnsuitableTopic {
        /// Its name.
        topic: String,
        /// What is wrong with it and how to change it.
        problem: String,
    },
    /// The outbox is full and did not drain in time: Kafka takes less than is produced, or nothing.
    #[error("the kafka producer's queue stayed full for {waited:?}")]
    Backpressure {
        /// How long the call waited for room.
        waited: Duration,
    },
    /// The topic, or the producer itself, takes no record of this size.
    #[error("a record is larger than kafka topic `{topic}` takes (its max.message.bytes)")]
    RecordTooLarge {
        /// Its name.
        topic: String,
    },
    /// The broker or librdkafka refused; `doing` says what was asked.
    #[error("kafka failed while {doing}")]
    Failed {
        /// What was asked.
        doing: &'static str,
        /// librdkafka's code.
        #[source]
        code: RDKafkaErrorCode,
    },
    /// Like [`KafkaError::Failed`], where librdkafka gives words instead of a code.
    #[error("kafka failed while {doing}: {reason}")]
    Other {
        /// What was asked.
        doing: &'static str,
        /// librdkafka's words.
        reason: String,
    },
}

impl KafkaError {
    /// Whether the same call can succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Backpressure { .. } => true,
            Self::Failed { code, .. } => is_transient(*code),
            Self::ReservedProperty { .. }
            | Self::Settings { .. }
            | Self::UnknownTopic { .. }
            | Self::UnsuitableTopic { .. }
            | Self::RecordTooLarge { .. }
            | Self::Other { .. } => false,
        }
    }

    /// Wraps an error of the crate beneath.
    pub(crate) fn from_client(doing: &'static str, error: &rdkafka::error::KafkaError) -> Self {
        match error {
            rdkafka::error::KafkaError::AdminOp(code) => Self::Failed { doing, code: *code },
            other => match other.rdkafka_error_code() {
                Some(code) => Self::Failed { doing, code },
                None => Self::Other { doing, reason: other.to_string() },
            },
        }
    }
}

/// Codes that pass by themselves: brokers away, elections, rebalances, timeouts.
pub(crate) fn is_transient(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::TimedOutQueue
            | Code::WaitingForCoordinator
            | Code::InProgress
            | Code::PreviousInProgress
            | Code::Resolve
            | Code::QueueFull
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::RequestTimedOut
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::RebalanceInProgress
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::UnstableOffsetCommit
    )
}

/// What a client reports by itself, outside any call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaProblem {
    /// No broker of the list is connected; librdkafka keeps trying and goes on by itself.
    #[error("no kafka broker of {brokers} is reachable: {reason}")]
    AllBrokersDown {
        /// The configured addresses.
        brokers: String,
        /// The last attempt's reason.
        reason: String,
    },
    /// One broker connection failed; librdkafka reconnects.
    #[error("a kafka connection failed: {reason}")]
    Connection {
        /// librdkafka's reason, with the address.
        reason: String,
    },
    /// Credentials or certificates are refused; nothing works until a setting is changed.
    #[error("the connection to kafka is refused: {reason}")]
    Authentication {
        /// librdkafka's reason.
        reason: String,
    },
    /// The principal may not do this; nothing works until an ACL is changed.
    #[error("kafka does not authorize this: {reason}")]
    NotAuthorized {
        /// librdkafka's reason.
        reason: String,
    },
    /// A subscribed topic does not exist (yet); it is read once it does.
    #[error("a kafka topic is missing: {reason}")]
    UnknownTopic {
        /// librdkafka's reason, with the topic.
        reason: String,
    },
    /// Nobody polled for `max.poll.interval.ms`: this member is out of the group until the next poll.
    #[error("the kafka consumer was not polled in time and left its group: {reason}")]
    PollIntervalExceeded {
        /// librdkafka's reason.
        reason: String,
    },
    /// An offset is gone (retention) or was never there.
    #[error("an offset does not exist: {reason}")]
    OffsetReset {
        /// librdkafka's words: topic, partition, both offsets.
        reason: String,
    },
    /// What an assignment begins with could not be found out, so it was given back; the member joins again.
    #[error("where an assignment begins could not be found out, joining again: {reason}")]
    AssignmentNotStarted {
        /// The last error.
        reason: String,
    },
    /// A commit did not reach the group. Nothing is lost: the records are read again, or a later commit covers it.
    #[error("a commit of {partitions} partition(s) failed: {code}")]
    CommitFailed {
        /// Why.
        code: RDKafkaErrorCode,
        /// How many partitions it was for.
        partitions: usize,
    },
    /// The client cannot go on: fenced by another member with the same instance id, or an idempotence violation.
    #[error("the kafka client cannot go on: {reason}")]
    Fatal {
        /// librdkafka's underlying code.
        code: RDKafkaErrorCode,
        /// librdkafka's reason.
        reason: String,
    },
    /// Anything else librdkafka reports.
    #[error("kafka reports {code}: {reason}")]
    Other {
        /// Its code.
        code: RDKafkaErrorCode,
        /// Its reason.
        reason: String,
    },
}

impl KafkaProblem {
    /// Whether the process has to end: no retry of this client can succeed.
    pub fn is_fatal(&self) -> bool {
        // A refused commit is not: a member that lost its session joins again, and what it had sent before is answered
        // with every kind of refusal, also of its own static name. Where another process has the name, librdkafka says
        // so by itself, as a fatal error.
        matches!(self, Self::Fatal { .. })
    }

    /// Whether a client made anew may do what this one cannot any more: its group or its broker has forgotten or fenced
    /// it. What else is fatal is a mistake of this program.
    pub fn is_fatal_to_its_client_only(&self) -> bool {
        matches!(self, Self::Fatal { code, .. } if *code != RDKafkaErrorCode::Inconsistent)
    }

    /// Sorts what a client reports by itself.
    pub(crate) fn classify(code: RDKafkaErrorCode, reason: &str, brokers: &str) -> Self {
        use RDKafkaErrorCode as Code;
        let reason = with_cure(reason);
        match code {
            Code::AllBrokersDown => Self::AllBrokersDown { brokers: brokers.to_owned(), reason },
            Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut => {
                Self::Connection { reason }
            }
            Code::Authentication | Code::SSL | Code::SaslAuthenticationFailed => {
                Self::Authentication { reason }
            }
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed => Self::NotAuthorized { reason },
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                Self::UnknownTopic { reason }
            }
            Code::PollExceeded => Self::PollIntervalExceeded { reason },
            Code::AutoOffsetReset | Code::OffsetOutOfRange => Self::OffsetReset { reason },
            Code::Fatal => Self::Fatal { code, reason },
            code if is_fencing(code) => Self::Fatal { code, reason },
            code => Self::Other { code, reason },
        }
    }
}

/// What librdkafka says about a connection, with what to change where that is known.
pub(crate) fn with_cure(reason: &str) -> String {
    // What follows is librdkafka's own: its state, and how many such errors it left out.
    let said = reason.split_once(" (after ").map_or(reason, |(what, _)| what);
    match kafka_properties::cure(reason) {
        Some(cure) => {
            // Its own advice on certificates is a part of ours.
            let said = said.split_once(": broker certificate could").map_or(said, |(what, _)| what);
            format!("{said}; {cure} {IN_PROPERTIES}")
        }
        None => said.to_owned(),
    }
}

/// Where the properties that a cure names are set.
pub(crate) const IN_PROPERTIES: &str = "(in [kafka.properties])";

/// Another client has taken this one's place.
fn is_fencing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Fenced | Code::FencedInstanceId | Code::InvalidProducerEpoch | Code::ProducerFenced)
}

/// An error in the place of a record: one partition cannot be read for now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kafka cannot read {topic} [{partition}]: {reason}")]
pub struct PartitionProblem {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// librdkafka's code.
    pub code: RDKafkaErrorCode,
    /// librdkafka's reason.
    pub reason: String,
}

impl PartitionProblem {
    /// Whether the offset to be read does not exist (any more): nothing is read before another assignment decides.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
    }
}
