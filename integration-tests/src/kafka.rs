use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tempfile::TempDir;

use crate::names::free_port;
use crate::process::{Running, installed};
use crate::proxy::Proxy;
use crate::wait::{eventually, eventually_within};

/// How long one request to the broker may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a million records may take on a machine that does something else besides.
const CROWD_TIMEOUT: Duration = Duration::from_secs(300);

/// Version of the broker; `install/kafka.sh` names the same.
const VERSION: &str = "4.3.1";

/// A one-node Kafka.
#[derive(Debug)]
pub struct Kafka {
    bootstrap: String,
    own: Option<Own>,
}

/// A broker that the harness started, or will.
#[derive(Debug)]
struct Own {
    server: Option<Running>,
    dir: TempDir,
}

/// A record as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Partition it was in.
    pub partition: i32,
    /// Offset it was at.
    pub offset: i64,
    /// Key, if any.
    pub key: Option<Vec<u8>>,
    /// Value; empty where there is none.
    pub value: Vec<u8>,
    /// Headers, as text.
    pub headers: BTreeMap<String, String>,
    /// Its timestamp, milliseconds since the epoch; −1 where it has none.
    pub timestamp_ms: i64,
}

impl Kafka {
    /// The broker of `CLICKPULSE_TEST_KAFKA`, or a new one.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start() -> Self {
        match std::env::var("CLICKPULSE_TEST_KAFKA") {
            Ok(bootstrap) if !bootstrap.is_empty() => {
                let kafka = Self { bootstrap, own: None };
                kafka.await_ready();
                kafka
            }
            _ => Self::start_own(),
        }
    }

    /// A new broker even where one is given: for tests that stop it.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start_own() -> Self {
        let mut kafka = Self::prepare();
        kafka.launch();
        kafka
    }

    /// A broker with an address and a formatted disk that does not run yet: for tests in which it comes late.
    ///
    /// # Panics
    /// If Kafka is not installed or does not format its disk.
    #[must_use]
    pub fn prepare() -> Self {
        Self::prepare_with("", "", "", &[])
    }

    /// The same, with a second address that leads through a proxy: who uses it is told that the broker is there.
    ///
    /// # Panics
    /// As [`Kafka::prepare`].
    #[must_use]
    pub fn prepare_with_proxy() -> (Self, Proxy) {
        let proxied = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let proxy = Proxy::start(proxied);
        let kafka = Self::prepare_with(
            &format!(",PROXIED://{proxied}"),
            &format!(",PROXIED://{}", proxy.address()),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
            &[],
        );
        (kafka, proxy)
    }

    /// One with further listeners, further lines of `server.properties`, and further arguments of `format`.
    pub(crate) fn prepare_with(listener: &str, advertised: &str, more: &str, format_args: &[String]) -> Self {
        let dir = tempfile::Builder::new().prefix("clickpulse-kafka").tempdir().expect("a temporary folder");
        let (port, controller) = (free_port(), free_port());
        let bootstrap = format!("127.0.0.1:{port}");
        let data = dir.path().join("data");
        // Event times lie in the past, and Kafka deletes by record timestamp: so it keeps everything here.
        let properties = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://{bootstrap}{listener},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://{bootstrap}{advertised}\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={}\n\
             log.retention.ms=-1\n\
             num.partitions=4\n\
             offsets.topic.num.partitions=4\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.num.partitions=4\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.num.partitions=1\n\
             share.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             {more}",
            data.display(),
        );
        fs::write(dir.path().join("server.properties"), properties).expect("a temporary file");

        let mut format = java(dir.path(), "kafka.tools.StorageTool");
        let cluster_id = "Y2xpY2twdWxzZS10ZXN0cw"; // any 16 bytes in URL-safe base64
        format
            .args(["format", "--standalone", "-t", cluster_id, "-c", "server.properties"])
            .args(format_args);
        let output = format.output().expect("java starts");
        assert!(
            output.status.success(),
            "Kafka formats its disk: {}",
            String::from_utf8_lossy(&output.stderr)
        );

        Self { bootstrap, own: Some(Own { server: None, dir }) }
    }

    /// Starts it, or starts it again, on its address and with its data; returns when it answers.
    ///
    /// # Panics
    /// If it runs already or does not come up.
    pub fn launch(&mut self) {
        let own = self.own.as_mut().expect("only a broker of our own can be launched");
        assert!(own.server.is_none(), "Kafka runs already");
        let mut command = java(own.dir.path(), "kafka.Kafka");
        command.arg("server.properties");
        own.server = Some(Running::spawn("kafka", command, &own.dir.path().join("kafka.log")));
        self.await_ready();
    }

    /// Ends it in order, data kept.
    ///
    /// # Panics
    /// If it was not started here.
    pub fn stop(&mut self) {
        let mut server = self.take_server();
        server.signal("TERM");
        server.wait(Duration::from_secs(60));
    }

    /// `kill -9`, data kept.
    ///
    /// # Panics
    /// If it was not started here.
    pub fn kill(&mut self) {
        self.take_server().kill();
    }

    fn take_server(&mut self) -> Running {
        let own = self.own.as_mut().expect("only a broker of our own can be stopped");
        own.server.take().expect("Kafka runs")
    }

    /// `host:port`.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Makes a topic that keeps records whatever their timestamp; one that exists is left as it is.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn create_topic(&self, topic: &str, partitions: i32) {
        self.create_topic_with(topic, partitions, &[]);
    }

    /// The same with further settings.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn create_topic_with(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin client");
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
        let results = runtime.block_on(admin.create_topics([&new], &options)).expect("the broker answers");
        match &results[0] {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => panic!("topic {topic} is not created: {code}"),
        }
        // The controller has it; wait until the broker serves it too, or the first producer is told otherwise.
        eventually("the new topic has leaders", || {
            let found = self.partitions(topic);
            if found == partitions as usize { Ok(()) } else { Err(format!("{found} partitions")) }
        });
    }

    /// Names of all topics.
    ///
    /// # Panics
    /// If the broker does not answer.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        let metadata = self.consumer().fetch_metadata(None, REQUEST_TIMEOUT).expect("metadata");
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
    }

    /// Writes records in order, by `(key, value)`, and waits for their acknowledgement.
    ///
    /// # Panics
    /// If one is not acknowledged.
    pub fn produce<'a>(&self, topic: &str, records: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        let producer: BaseProducer =
            self.client().set("enable.idempotence", "true").create().expect("a producer");
        for (key, value) in records {
            producer.send(BaseRecord::to(topic).key(key).payload(value)).expect("room in the queue");
        }
        producer.flush(Duration::from_secs(30)).expect("every record is acknowledged");
    }

    /// Writes any number of records, `(key, value)`, and waits for their acknowledgement.
    ///
    /// # Panics
    /// If one is not acknowledged.
    pub fn produce_crowd(&self, topic: &str, records: impl IntoIterator<Item = (String, String)>) {
        let mut config = self.client();
        config.set("enable.idempotence", "true").set("linger.ms", "50").set("compression.type", "lz4");
        let producer: BaseProducer = config.create().expect("a producer");
        let deadline = Instant::now() + CROWD_TIMEOUT;
        for (key, value) in records {
            let mut record = BaseRecord::to(topic).key(&key).payload(&value);
            while let Err((error, again)) = producer.send(record) {
                let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                assert!(full && Instant::now() < deadline, "a record is queued: {error}");
                producer.poll(Duration::from_millis(10));
                record = again;
            }
        }
        producer.flush(CROWD_TIMEOUT).expect("every record is acknowledged");
    }

    /// Writes records again as they are, with key, headers and timestamp, each to its partition.
    ///
    /// # Panics
    /// If one is not acknowledged.
    pub fn produce_again<'a>(&self, topic: &str, records: impl IntoIterator<Item = &'a Record>) {
        let producer: BaseProducer =
            self.client().set("enable.idempotence", "true").create().expect("a producer");
        for record in records {
            let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value.as_bytes()) })
            });
            let mut again: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
                .partition(record.partition)
                .payload(record.value.as_slice())
                .headers(headers)
                .timestamp(record.timestamp_ms);
            again.key = record.key.as_deref();
            producer.send(again).map_err(|(error, _)| error).expect("room in the queue");
        }
        producer.flush(Duration::from_secs(30)).expect("every record is acknowledged");
    }

    /// Deletes a topic and waits until it is gone.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn delete_topic(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin client");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let results =
            runtime.block_on(admin.delete_topics(&[topic], &AdminOptions::new())).expect("an answer");
        assert!(results[0].is_ok(), "topic {topic} is deleted: {results:?}");
        eventually("the topic is gone", || {
            if self.topics().iter().any(|name| name == topic) {
                Err("it is there".to_owned())
            } else {
                Ok(())
            }
        });
    }

    /// End offset of each partition.
    ///
    /// # Panics
    /// If the broker does not answer.
    #[must_use]
    pub fn end_offsets(&self, topic: &str) -> Vec<i64> {
        let consumer = self.consumer();
        (0..self.partitions(topic) as i32)
            .map(|partition| {
                // A broker that has just come back does not know at once what it leads.
                eventually("the broker gives offsets", || {
                    let offsets = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
                    offsets.map(|(_, end)| end).map_err(|error| error.to_string())
                })
            })
            .collect()
    }

    /// Committed offset of each partition; `None` where the group has committed nothing.
    ///
    /// # Panics
    /// If the broker does not answer.
    #[must_use]
    pub fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().expect("a consumer");
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_range(topic, 0, self.partitions(topic) as i32 - 1);
        let offsets = eventually("the broker gives committed offsets", || {
            let offsets = consumer.committed_offsets(wanted.clone(), REQUEST_TIMEOUT);
            offsets.map_err(|error| error.to_string())
        });
        offsets.elements().iter().map(|element| element.offset().to_raw().filter(|raw| *raw >= 0)).collect()
    }

    /// Every committed record a topic holds now, by partition and offset; nothing where it does not exist.
    ///
    /// # Panics
    /// If the broker does not answer.
    #[must_use]
    pub fn read_all(&self, topic: &str) -> Vec<Record> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "clickpulse-harness")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .expect("a consumer");
        let mut open = self.partitions(topic);
        let mut from = TopicPartitionList::new();
        for partition in 0..open as i32 {
            from.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
        }
        consumer.assign(&from).expect("the partitions exist");
        let mut records = Vec::new();
        while open > 0 {
            match consumer.poll(REQUEST_TIMEOUT) {
                Some(Ok(message)) => records.push(record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(error)) => panic!("{topic}: {error}"),
                None => panic!("{topic} is read to the end of its partitions, {open} of which are not"),
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    fn partitions(&self, topic: &str) -> usize {
        let metadata = eventually("the broker gives metadata", || {
            self.consumer().fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(|error| error.to_string())
        });
        metadata.topics().iter().flat_map(|topic| topic.partitions()).filter(|it| it.leader() >= 0).count()
    }

    fn consumer(&self) -> BaseConsumer {
        self.client()
            .set("group.id", "clickpulse-harness")
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "false")
            .create()
            .expect("a consumer")
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("log_level", "0");
        config
    }

    fn await_ready(&self) {
        let consumer = self.consumer();
        eventually_within(Duration::from_secs(90), "Kafka answers", || {
            match consumer.fetch_metadata(None, Duration::from_secs(1)) {
                Ok(metadata) if !metadata.brokers().is_empty() => Ok(()),
                Ok(_) => Err("no broker in the metadata".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        });
    }
}

fn record(message: &impl Message) -> Record {
    let headers = message.headers().map_or_else(BTreeMap::new, |headers| {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().unwrap_or_default().to_vec(),
        headers,
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
    }
}

/// A Java program of Kafka's, run in `dir`.
fn java(dir: &Path, class: &str) -> Command {
    let libs = installed(&format!("kafka-{VERSION}/libs"), "kafka.sh");
    let mut command = Command::new("java");
    command
        .current_dir(dir)
        .args(["-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-XX:TieredStopAtLevel=4", "-cp"])
        .arg(libs.join("*"))
        .arg(class);
    command
}
