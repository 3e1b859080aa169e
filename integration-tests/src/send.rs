//! Records written with all that can be said of one.

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::kafka::Kafka;
use crate::wire;

/// A record to write, in all that can be said of one.
#[derive(Debug, Clone, Default)]
pub struct Send {
    /// Partition it goes to.
    pub partition: i32,
    /// Key, if any.
    pub key: Option<String>,
    /// Value; a tombstone where there is none.
    pub value: Option<Vec<u8>>,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// Its timestamp as it is, milliseconds or not; now where there is none.
    pub timestamp_ms: Option<i64>,
    /// Codec of its batch.
    pub compress: Option<String>,
}

impl Kafka {
    /// Writes records in this order within each partition, and waits for their acknowledgement.
    ///
    /// # Panics
    /// If one is not acknowledged.
    pub fn send(&self, topic: &str, records: &[Send]) {
        let acknowledged = |producer: &BaseProducer| {
            producer.flush(Duration::from_secs(30)).expect("every record is acknowledged");
        };
        let mut last: Option<(&str, BaseProducer)> = None;
        for record in records {
            let (key, value) = (record.key.as_deref().map(str::as_bytes), record.value.as_deref());
            if let Some(timestamp_ms) = record.timestamp_ms {
                last.iter().for_each(|(_, producer)| acknowledged(producer));
                assert!(record.headers.is_empty() && record.compress.is_none(), "a stamped record is plain");
                wire::produce(self.bootstrap(), topic, record.partition, timestamp_ms, (key, value));
                continue;
            }
            let codec = record.compress.as_deref().unwrap_or("none");
            if last.as_ref().is_none_or(|(of, _)| *of != codec) {
                last.iter().for_each(|(_, producer)| acknowledged(producer));
                let mut config = self.client();
                config.set("enable.idempotence", "true").set("compression.type", codec);
                config.set("message.max.bytes", "100000000"); // before compression; what the topic takes is after it
                last = Some((codec, config.create().expect("a producer")));
            }
            let (_, producer) = last.as_ref().expect("just made");
            let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value.as_bytes()) })
            });
            let mut one: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(topic).partition(record.partition).headers(headers);
            (one.key, one.payload) = (key, value);
            producer.send(one).map_err(|(error, _)| error).expect("room in the queue");
        }
        last.iter().for_each(|(_, producer)| acknowledged(producer));
    }
}
