//! `[kafka]`: the connection, the group and the internal topics.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use processor_core::Delivery;

use super::inputs::check_topic;
use super::reader::Reader;
use crate::kafka::{ClientSettings, KafkaError, SESSION_TIMEOUT, SESSION_TIMEOUT_MIN};

/// The connection, the group and the internal topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port`, at least one.
    pub brokers: Vec<String>,
    /// Consumer group.
    pub group_id: String,
    /// What is promised about repeats.
    pub delivery: Delivery,
    /// How long a transaction may hang while Kafka answers, before the process ends.
    pub transaction_deadline: Duration,
    /// Passed to librdkafka as they are; none of those that other settings decide.
    pub properties: KafkaProperties,
    /// Internal topic between the two stages.
    pub partials_topic: String,
    /// Internal topic that inputs with `keyed = false` go through.
    pub by_user_topic: String,
    /// Topic of incidents.
    pub incidents_topic: String,
    /// Static group membership.
    pub instance_id: Option<String>,
}

/// Properties of librdkafka. Prints passwords and keys as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaProperties(BTreeMap<String, String>);

impl KafkaProperties {
    /// Wraps properties as librdkafka names them.
    #[must_use]
    pub const fn new(properties: BTreeMap<String, String>) -> Self {
        Self(properties)
    }
}

impl Deref for KafkaProperties {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for KafkaProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            self.iter().map(|(name, value)| (name, if is_secret(name) { "***" } else { value.as_str() }));
        f.debug_map().entries(shown).finish()
    }
}

impl KafkaSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let delivery = match reader.text("kafka.delivery").as_str() {
            "at_least_once" => Delivery::AtLeastOnce,
            _ => Delivery::ExactlyOnce,
        };
        let partials_topic = reader.text("kafka.partials_topic");
        check_topic(reader, "kafka.partials_topic", &partials_topic);
        let by_user_topic = reader.text("kafka.by_user_topic");
        check_topic(reader, "kafka.by_user_topic", &by_user_topic);
        let incidents_topic = reader.text("kafka.incidents_topic");
        check_topic(reader, "kafka.incidents_topic", &incidents_topic);
        Self {
            brokers: read_brokers(reader),
            group_id: reader.text("kafka.group_id"),
            delivery,
            transaction_deadline: reader.duration("kafka.transaction_deadline"),
            properties: read_properties(reader),
            partials_topic,
            by_user_topic,
            incidents_topic,
            instance_id: reader.optional_text("kafka.instance_id"),
        }
    }
}

fn read_brokers(reader: &mut Reader<'_>) -> Vec<String> {
    let brokers = reader.list("kafka.brokers");
    if brokers.is_empty() {
        reader.problem("kafka.brokers", r#"is empty; name at least one broker, such as "127.0.0.1:9092""#);
    }
    for broker in &brokers {
        let valid = broker.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty()
                && !host.contains(char::is_whitespace)
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !valid {
            let text =
                format!(r#"holds {broker:?}, which is not host:port; write for example "kafka-1:9092""#);
            reader.problem("kafka.brokers", text);
        }
    }
    brokers
}

/// Every property is tried alone, so that each wrong one is named. librdkafka itself knows which there are.
fn read_properties(reader: &mut Reader<'_>) -> KafkaProperties {
    let properties = reader.map("kafka.properties");
    for (name, value) in &properties {
        let alone = ClientSettings {
            brokers: String::new(),
            client_id: String::new(),
            properties: BTreeMap::from([(name.clone(), value.clone())]),
        };
        let short = |ms: u64| Duration::from_millis(ms) < SESSION_TIMEOUT_MIN;
        if name == "session.timeout.ms" && value.parse().is_ok_and(short) {
            let text = format!(
                "= {value} is below {}: a write to InfluxDB takes up to 10 s, and has to be over before others may \
                 write; leave it out for {}",
                SESSION_TIMEOUT_MIN.as_millis(),
                SESSION_TIMEOUT.as_millis(),
            );
            reader.problem("kafka.properties.session.timeout.ms", text);
        }
        if let Err(text) = try_property(&alone, name) {
            reader.problem(&format!("kafka.properties.{name}"), text);
        }
    }
    KafkaProperties(properties)
}

fn try_property(alone: &ClientSettings, name: &str) -> Result<(), String> {
    if let Err(KafkaError::ReservedProperty { cure, .. }) = alone.to_admin_config() {
        return Err(format!("cannot be set here: {cure}"));
    }
    // Not the configuration above: a client of that role may have no use for the property and leave it out.
    let mut bare = rdkafka::ClientConfig::new();
    bare.set(name, &alone.properties[name]);
    match bare.create_native_config() {
        Ok(_) => Ok(()),
        Err(rdkafka::error::KafkaError::ClientConfig(_, reason, ..)) if reason.starts_with("No such") => {
            Err("is not a property of librdkafka; its names are in librdkafka's CONFIGURATION.md".into())
        }
        Err(_) if is_secret(name) => Err("has a value that librdkafka refuses".into()),
        Err(rdkafka::error::KafkaError::ClientConfig(_, reason, ..)) => {
            Err(format!("is refused by librdkafka: {reason}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a property's value must not be shown.
fn is_secret(name: &str) -> bool {
    const PARTS: [&str; 6] = ["password", "secret", "token", ".pem", "oauthbearer.config", "username"];
    PARTS.iter().any(|part| name.contains(part))
}
