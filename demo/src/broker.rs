//! The embedded Kafka: librdkafka's mock cluster.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

/// What the mock cluster keeps of a partition; older records are dropped without a word.
const PARTITION_BYTES: f64 = 5.0 * 1024.0 * 1024.0;
/// Bytes of an event with its share of Kafka's own, uncompressed.
const EVENT_BYTES: f64 = 220.0;
/// How far the processor may fall behind before it would miss records.
const KEPT_SECONDS: f64 = 15.0;
/// At least as many as a small real topic has; at most what 160 MiB hold.
const PARTITIONS: std::ops::RangeInclusive<f64> = 4.0..=32.0;
/// The mock's default is 3 s, for members that join together; here is only one.
const FIRST_REBALANCE_DELAY_MS: i32 = 100;

/// A broker in this process; it ends, with all its records, when this is dropped.
pub(crate) struct EmbeddedKafka {
    /// Owns the mock cluster.
    owner: BaseProducer,
}

impl EmbeddedKafka {
    /// Starts a cluster of one broker on a free loopback port.
    pub(crate) fn start() -> Result<Self, KafkaError> {
        let owner: BaseProducer = ClientConfig::new().set("test.mock.num.brokers", "1").create()?;
        let kafka = Self { owner };
        kafka.start_groups_at_once();
        Ok(kafka)
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        let cluster = self.owner.client().mock_cluster().expect("the owner was made with a mock cluster");
        cluster.bootstrap_servers()
    }

    /// Makes a topic. The mock cluster knows no admin requests, so topics are made here.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32) -> Result<(), KafkaError> {
        let cluster = self.owner.client().mock_cluster().expect("the owner was made with a mock cluster");
        cluster.create_topic(name, partitions, 1)
    }

    #[allow(unsafe_code)] // `rdkafka` has no safe wrapper for it
    fn start_groups_at_once(&self) {
        // SAFETY: `owner` keeps its handle alive for the whole call. The mock cluster found through it belongs to that
        // handle, so it lives as long; it is not null, as the handle was made with `test.mock.num.brokers`, which is
        // checked nevertheless. Setting the delay takes the cluster's own lock.
        unsafe {
            let cluster = rdkafka_sys::rd_kafka_handle_mock_cluster(self.owner.client().native_ptr());
            if !cluster.is_null() {
                rdkafka_sys::rd_kafka_mock_group_initial_rebalance_delay_ms(
                    cluster,
                    FIRST_REBALANCE_DELAY_MS,
                );
            }
        }
    }
}

/// How many partitions keep [`KEPT_SECONDS`] of events at this rate.
pub(crate) fn partitions_for(rate: f64) -> i32 {
    let wanted = rate * EVENT_BYTES * KEPT_SECONDS / PARTITION_BYTES;
    wanted.ceil().clamp(*PARTITIONS.start(), *PARTITIONS.end()) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faster_streams_get_more_partitions() {
        assert_eq!(partitions_for(1.0), 4);
        assert_eq!(partitions_for(2_000.0), 4);
        assert_eq!(partitions_for(20_000.0), 13);
        assert_eq!(partitions_for(1_000_000.0), 32);
    }

    #[test]
    fn a_topic_is_there_with_its_partitions() {
        let kafka = EmbeddedKafka::start().unwrap();
        kafka.create_topic("clicks", 7).unwrap();
        let client: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", kafka.address()).create().unwrap();
        let timeout = std::time::Duration::from_secs(10);
        let metadata = client.client().fetch_metadata(Some("clicks"), timeout).unwrap();
        assert_eq!(metadata.topics()[0].partitions().len(), 7);
    }
}
