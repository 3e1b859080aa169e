use rdkafka::error::KafkaError;

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting makes no sense; nothing was sent.
    #[error("{setting}: {problem}")]
    Setting {
        /// The setting's name on the command line.
        setting: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The name is not one Kafka can have.
    #[error("--topic: {0:?} is not a topic name")]
    Topic(String),
    /// librdkafka refused the settings, or the incident could not be delivered.
    #[error("Kafka")]
    Kafka(#[source] KafkaError),
    /// Standard output or the truth file cannot be written.
    #[error("cannot write {what}")]
    Write {
        /// Which of the two.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the settings are at fault, so that trying again is no use: exit code 2, not 1.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Setting { .. } | Self::Topic(_))
    }
}
