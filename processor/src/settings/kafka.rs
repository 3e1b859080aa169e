//! `[kafka]`: the connection, the group and the internal topics.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use super::inputs::check_topic;
use super::reader::Reader;

/// The connection, the group and the internal topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port`, at least one.
    pub brokers: Vec<String>,
    /// Consumer group.
    pub group_id: String,
    /// What is promised about repeats.
    pub delivery: Delivery,
    /// Passed to librdkafka as they are; none of those that other settings decide.
    pub properties: KafkaProperties,
    /// Internal topic between the two stages.
    pub partials_topic: String,
    /// Topic of incidents.
    pub incidents_topic: String,
    /// Static group membership.
    pub instance_id: Option<String>,
}

/// What is promised about repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing is lost; a repeat rewrites the same points.
    AtLeastOnce,
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
        const SECRET: [&str; 5] = ["password", "secret", "pem", "token", "oauthbearer.config"];
        let shown = self.iter().map(|(name, value)| {
            let secret = SECRET.iter().any(|part| name.contains(part));
            (name, if secret { "***" } else { value.as_str() })
        });
        f.debug_map().entries(shown).finish()
    }
}

/// Properties that clickpulse decides, and the key that is meant instead.
const DECIDED: [(&str, &str); 8] = [
    ("bootstrap.servers", "use kafka.brokers"),
    ("metadata.broker.list", "use kafka.brokers"),
    ("group.id", "use kafka.group_id"),
    ("group.instance.id", "use kafka.instance_id"),
    ("enable.auto.commit", "offsets are committed once results are durable"),
    ("enable.auto.offset.store", "offsets are committed once results are durable"),
    ("enable.partition.eof", "reading to the end is asked for by --until-end"),
    ("transactional.id", "this version does not use transactions"),
];

impl KafkaSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        if reader.text("kafka.delivery") == "exactly_once" {
            let text = r#"= "exactly_once" is not in this version; it comes with the next release. Use "at_least_once", with which a repeat rewrites the same points"#;
            reader.problem("kafka.delivery", text);
        }
        let partials_topic = reader.text("kafka.partials_topic");
        check_topic(reader, "kafka.partials_topic", &partials_topic);
        let incidents_topic = reader.text("kafka.incidents_topic");
        check_topic(reader, "kafka.incidents_topic", &incidents_topic);
        Self {
            brokers: read_brokers(reader),
            group_id: reader.text("kafka.group_id"),
            delivery: Delivery::AtLeastOnce,
            properties: read_properties(reader),
            partials_topic,
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

fn read_properties(reader: &mut Reader<'_>) -> KafkaProperties {
    let properties = reader.map("kafka.properties");
    for (name, instead) in DECIDED {
        if properties.contains_key(name) {
            reader.problem(&format!("kafka.properties.{name}"), format!("cannot be set here: {instead}"));
        }
    }
    KafkaProperties(properties)
}
