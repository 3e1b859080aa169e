//! What Kafka deletes of topics by itself.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use super::{ClientSettings, KafkaError, settings};

/// How long a topic keeps records, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanup {
    /// `cleanup.policy` has `compact`: of the records of a key the last is kept, the others vanish.
    pub compacts: bool,
    /// `min.compaction.lag.ms`: younger records are left alone by it.
    pub lag: Duration,
    /// `retention.ms`, where `cleanup.policy` has `delete`; `None`: for ever.
    pub retention: Option<Duration>,
}

const DOING: &str = "reading topic settings";

/// Of each of these topics, in their order.
///
/// # Errors
/// [`KafkaError::Failed`], also where one of them may not be asked about; [`KafkaError::Other`].
pub fn cleanup(
    client: &ClientSettings,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<Cleanup>, KafkaError> {
    let admin: AdminClient<DefaultClientContext> =
        settings::create(&client.to_admin_config()?, DefaultClientContext)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| KafkaError::Other { doing: DOING, reason: error.to_string() })?;
    let options = AdminOptions::new().request_timeout(Some(timeout));
    let wanted: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let described = runtime
        .block_on(admin.describe_configs(&wanted, &options))
        .map_err(|error| KafkaError::from_client(DOING, &error))?;
    described
        .into_iter()
        .map(|of| Ok(read(&of.map_err(|code| KafkaError::Failed { doing: DOING, code })?)))
        .collect()
}

fn read(config: &ConfigResource) -> Cleanup {
    let text = |name: &str| config.get(name).and_then(|entry| entry.value.as_deref());
    // -1, for ever, is no u64.
    let time = |name: &str| text(name).and_then(|value| value.parse().ok()).map(Duration::from_millis);
    let policy = text("cleanup.policy").unwrap_or("delete");
    let has = |wanted: &str| policy.split(',').any(|one| one.trim() == wanted);
    Cleanup {
        compacts: has("compact"),
        lag: time("min.compaction.lag.ms").unwrap_or_default(),
        retention: time("retention.ms").filter(|_| has("delete")),
    }
}
