//! Clusters, topics and waiting.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use processor::kafka::admin::{Admin, MissingTopics, TopicSpec};
use processor::kafka::dlq::DeadLetters;
use processor::kafka::{ClientSettings, ConsumerSettings};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// A cluster to test against.
pub(crate) enum Cluster {
    Mock(MockCluster<'static, DefaultProducerContext>),
    Real(String),
}

impl Cluster {
    pub(crate) fn mock() -> Self {
        Self::Mock(MockCluster::new(1).expect("a mock cluster starts"))
    }

    /// The Kafka named by the environment; only tests that are ignored by default may ask.
    pub(crate) fn real() -> Self {
        Self::Real(std::env::var("CLICKPULSE_TEST_KAFKA").expect("CLICKPULSE_TEST_KAFKA=host:port is set"))
    }

    pub(crate) fn brokers(&self) -> String {
        match self {
            Self::Mock(cluster) => cluster.bootstrap_servers(),
            Self::Real(address) => address.clone(),
        }
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32) {
        match self {
            Self::Mock(cluster) => cluster.create_topic(name, partitions, 1).expect("the mock makes a topic"),
            Self::Real(_) => {
                let topic =
                    TopicSpec { name: name.to_owned(), partitions: Some(partitions), config: Vec::new() };
                Admin::new(&self.client())
                    .unwrap()
                    .ensure_topics(&[topic], MissingTopics::Create, Duration::from_secs(20))
                    .unwrap();
            }
        }
    }

    pub(crate) fn client(&self) -> ClientSettings {
        ClientSettings { brokers: self.brokers(), client_id: "test".to_owned(), properties: BTreeMap::new() }
    }

    pub(crate) fn dead_letters(&self, input: &str) -> DeadLetters {
        let letters = DeadLetters::of_input(&self.client(), input);
        match self {
            Self::Mock(_) => letters.leave_topics_to_broker(),
            Self::Real(_) => letters,
        }
    }

    pub(crate) fn member(&self, group: &str, properties: &[(&str, &str)]) -> ConsumerSettings {
        let mut client = self.client();
        // Members notice a rebalance at a heartbeat.
        client.properties.insert("heartbeat.interval.ms".to_owned(), "200".to_owned());
        if matches!(self, Self::Mock(_)) {
            // The mock waits for members to join for a second less than this.
            client.properties.insert("session.timeout.ms".to_owned(), "3000".to_owned());
        }
        for (name, value) in properties {
            client.properties.insert((*name).to_owned(), (*value).to_owned());
        }
        ConsumerSettings {
            client,
            group_id: group.to_owned(),
            group_instance_id: None,
            workers: 2,
            prefetch_bytes: 4 << 20,
        }
    }
}

/// More than anything here takes; only a broken program waits that long.
pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// A name that no earlier run has used.
pub(crate) fn unique(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    format!("{name}-{}-{}", std::process::id(), now.as_nanos())
}

/// Waits for a condition that other threads bring about; the limit is for a broken program only.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
