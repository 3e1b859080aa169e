//! Incidents by way of Kafka: `producer incident` writes them, a running producer and the processor read them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{Message, Offset};

use super::{INCIDENTS_MAX, Incident, Incidents};
use crate::error::Error;
use crate::sender::client;

/// The topic, of one partition.
pub const TOPIC: &str = "clickpulse.incidents";

/// Writes `incident` to the topic and waits until it has arrived, for `timeout` at most.
///
/// # Errors
/// [`Error::Kafka`] if the settings are not valid or the record did not arrive.
pub fn announce(
    brokers: &str,
    properties: &BTreeMap<String, String>,
    incident: &Incident,
    timeout: Duration,
) -> Result<(), Error> {
    let mut config = client(brokers, properties);
    config.set("message.timeout.ms", timeout.as_millis().max(1).to_string());
    let producer: BaseProducer = config.create().map_err(Error::Kafka)?;
    let value = serde_json::to_vec(incident).expect("an incident has no map keys that are not text");
    let record = BaseRecord::to(TOPIC).key(&incident.id).payload(&value);
    producer.send(record).map_err(|(error, _)| Error::Kafka(error))?;
    producer.flush(timeout).map_err(Error::Kafka)
}

/// Reads the topic's end and then every new record into `incidents` until `stop` says so.
///
/// Without a broker or the topic it keeps trying; records that are no incidents are skipped.
pub(crate) fn follow(
    brokers: &str,
    properties: &BTreeMap<String, String>,
    incidents: &Incidents,
    stop: impl Fn() -> bool,
) -> Result<(), Error> {
    const PAUSE: Duration = Duration::from_millis(200);
    let mut config = client(brokers, properties);
    // No group is joined and nothing is committed; librdkafka wants the name nevertheless.
    config.set("group.id", "clickpulse-producer").set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "earliest");
    config.set("allow.auto.create.topics", "true");
    let consumer: BaseConsumer = config.create().map_err(Error::Kafka)?;
    let mut assignment = TopicPartitionList::new();
    // As many as are kept; those that are over already have no effect.
    assignment
        .add_partition_offset(TOPIC, 0, Offset::OffsetTail(INCIDENTS_MAX as i64))
        .and_then(|()| consumer.assign(&assignment))
        .map_err(Error::Kafka)?;
    while !stop() {
        match consumer.poll(PAUSE) {
            Some(Ok(message)) => {
                let payload = message.payload().unwrap_or_default();
                match serde_json::from_slice::<Incident>(payload) {
                    Ok(incident) => {
                        tracing::info!("incident {}: {}", incident.id, incident.effect());
                        incidents.start(incident);
                    }
                    Err(error) => tracing::warn!("a record of {TOPIC} is no incident: {error}"),
                }
            }
            Some(Err(error)) => tracing::debug!("{TOPIC}: {error}"),
            None => {}
        }
    }
    Ok(())
}
