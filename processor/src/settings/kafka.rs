//! `[kafka]`: the connection, the group and the internal topics.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use kafka_properties::Fault;
use processor_core::Delivery;

use super::inputs::check_topic;
use super::problem::Origin;
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
        f.debug_map().entries(kafka_properties::shown(&self.0)).finish()
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
        if let Some((protocol, address)) = broker.split_once("://") {
            let text = format!(
                r#"holds {broker:?}; write {address:?}, and the protocol as "security.protocol" = "{}" in [kafka.properties]"#,
                protocol.to_uppercase()
            );
            reader.problem("kafka.brokers", text);
            continue;
        }
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

/// What librdkafka gets, secrets from their files included; everything that cannot work is named.
fn read_properties(reader: &mut Reader<'_>) -> KafkaProperties {
    let mut properties = reader.map(PROPERTIES);
    for (key, name) in SECRET_FILES {
        if let Some(secret) = read_secret(reader, key, name, properties.contains_key(name)) {
            properties.insert(name.to_owned(), secret);
        }
    }
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
        if let Err(KafkaError::ReservedProperty { cure, .. }) = alone.to_admin_config() {
            reader.problem(&format!("{PROPERTIES}.{name}"), format!("cannot be set here: {cure}"));
        }
    }
    for Fault { property, text } in kafka_properties::faults(&properties) {
        // Of a file that says nothing usable, the file is what is wrong.
        let from_file = SECRET_FILES.iter().any(|(key, name)| *name == property && reader.has(key));
        if !from_file || properties.contains_key(&property) {
            reader.problem(&format!("{PROPERTIES}.{property}"), text);
        }
    }
    KafkaProperties(properties)
}

const PROPERTIES: &str = "kafka.properties";

/// Settings that name a file with the value of a property.
const SECRET_FILES: [(&str, &str); 2] =
    [("kafka.sasl_password_file", "sasl.password"), ("kafka.ssl_key_password_file", "ssl.key.password")];

/// The secret of a file, unless a higher layer says the property itself.
fn read_secret(reader: &mut Reader<'_>, key: &str, name: &str, is_set: bool) -> Option<String> {
    let file = reader.optional_text(key)?;
    if is_set {
        let in_file = Origin::File(String::new()).layer();
        // A name in quotes has no origin of its own; it stands in the file then.
        let said = reader.origin(&format!("{PROPERTIES}.{name}")).layer().max(in_file);
        match said.cmp(&reader.origin(key).layer()) {
            std::cmp::Ordering::Greater => return None,
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => {
                let text = format!("and \"{name}\" in [{PROPERTIES}] are both set; leave one of them out");
                reader.problem(key, text);
                return None;
            }
        }
    }
    match kafka_properties::secret::read(Path::new(&file)) {
        Ok(secret) => Some(secret),
        Err(text) => {
            reader.problem(key, format!("= {file:?} {text}"));
            None
        }
    }
}
