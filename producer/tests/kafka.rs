//! Runs against librdkafka's own mock of a cluster.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use events::Timestamp;
use producer::{
    Disorder, Incident, IncidentKind, Incidents, KafkaSettings, Options, Output, Route, Shutdown, Summary,
    announce, run,
};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

const TOPIC: &str = "clickstream_events";
const PARTITIONS: i32 = 4;

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic(TOPIC, PARTITIONS, 1).expect("the topic");
    cluster.create_topic("clickpulse.incidents", 1, 1).expect("the incidents' topic");
    cluster
}

fn options(cluster: &MockCluster<'_, DefaultProducerContext>, rate: f64, count: Option<u64>) -> Options {
    let kafka = KafkaSettings { create_partitions: None, ..KafkaSettings::new(cluster.bootstrap_servers()) };
    Options { count, ..Options::new(rate, Output::Kafka(kafka)) }
}

/// Everything in the topic, partition by partition: key and value.
fn contents(cluster: &MockCluster<'_, DefaultProducerContext>) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_range(TOPIC, 0, PARTITIONS - 1);
    assignment.set_all_offsets(rdkafka::Offset::Beginning).expect("offsets");
    consumer.assign(&assignment).expect("an assignment");
    let timeout = Duration::from_secs(30);
    let mut ends = (0..PARTITIONS).map(|partition| {
        consumer.fetch_watermarks(TOPIC, partition, timeout).expect("end offsets").1 as usize
    });
    let ends: Vec<usize> = ends.by_ref().collect();
    let mut records = vec![Vec::new(); PARTITIONS as usize];
    while records.iter().zip(&ends).any(|(records, end)| records.len() < *end) {
        let message = consumer.poll(timeout).expect("a record in time").expect("no error");
        let (key, value) = (message.key().expect("a key"), message.payload().unwrap_or_default());
        records[message.partition() as usize].push((key.to_vec(), value.to_vec()));
    }
    records
}

#[test]
fn exactly_count_records_arrive_each_user_in_one_partition() {
    let cluster = cluster();
    let disorder = Disorder { out_of_order: 0.1, duplicates: 0.1, invalid: 0.1, ..Disorder::default() };
    let options = Options { disorder, paced: false, ..options(&cluster, 1_000.0, Some(10_007)) };
    let summary = run(&options, &Shutdown::new(), &Incidents::new(), |_| {}).expect("a run");
    assert_eq!((summary.deliveries.delivered(), summary.deliveries.failed), (10_007, 0));
    assert_eq!(summary.tally.total(), 10_007);
    let partitions = contents(&cluster);
    assert_eq!(partitions.iter().map(Vec::len).sum::<usize>(), 10_007);
    assert!(partitions.iter().all(|records| records.len() > 1_000));
    let mut homes = std::collections::HashMap::new();
    for (partition, records) in partitions.iter().enumerate() {
        for (key, _) in records {
            assert_eq!(*homes.entry(key.clone()).or_insert(partition), partition);
        }
    }
}

#[test]
fn a_run_ends_when_told_to_and_what_was_sent_has_arrived() {
    let cluster = cluster();
    let shutdown = Shutdown::new();
    let summary = run(&options(&cluster, 5_000.0, None), &shutdown, &Incidents::new(), |progress| {
        assert!(progress.deliveries.sent > 0);
        shutdown.request();
    })
    .expect("a run");
    let arrived: usize = contents(&cluster).iter().map(Vec::len).sum();
    assert_eq!(summary.deliveries.sent, arrived as u64);
    assert_eq!((summary.deliveries.in_flight, summary.deliveries.failed), (0, 0));
}

#[test]
fn an_announced_incident_reaches_a_running_producer() {
    let cluster = cluster();
    let (shutdown, incidents) = (Shutdown::new(), Incidents::new());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let start = Timestamp::from_millis(now.as_millis() as i64);
    let incident =
        Incident::new(IncidentKind::ErrorSpike, Some(Route::Checkout), start, Duration::from_secs(600));
    announce(&cluster.bootstrap_servers(), &Default::default(), &incident, Duration::from_secs(30))
        .expect("it is delivered");
    let mut seen = Vec::new();
    run(&options(&cluster, 100.0, None), &shutdown, &incidents, |_| {
        seen = incidents.active(start);
        if !seen.is_empty() {
            shutdown.request();
        }
    })
    .expect("a run");
    assert_eq!(seen, [incident]);
}

#[test]
fn refused_records_are_counted_and_the_exit_code_is_1() {
    let cluster = cluster();
    cluster
        .topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        .expect("an error");
    let output = Command::new(env!("CARGO_BIN_EXE_producer"))
        .args(["run", "--count", "100", "--unpaced", "--brokers", &cluster.bootstrap_servers()])
        .output()
        .expect("the producer runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("0 delivered, 100 failed"), "{said}");
}

#[test]
fn a_signal_flushes_and_says_what_was_sent() {
    let cluster = cluster();
    let child = Command::new(env!("CARGO_BIN_EXE_producer"))
        .args(["run", "--rate", "2000", "--brokers", &cluster.bootstrap_servers()])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the producer runs");
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    while contents(&cluster).iter().map(Vec::len).sum::<usize>() == 0 {
        std::thread::yield_now();
    }
    let killed = Command::new("kill").args(["-INT", &pid.to_string()]).status().expect("kill");
    assert!(killed.success());
    let output = receiver.recv_timeout(Duration::from_secs(60)).expect("it ends").expect("its output");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let arrived: usize = contents(&cluster).iter().map(Vec::len).sum();
    assert!(said.contains(&format!("{arrived} delivered, 0 failed")), "{arrived} arrived: {said}");
}

#[test]
fn settings_that_make_no_sense_send_nothing() {
    type Change = fn(&mut Options);
    let cluster = cluster();
    let check = |change: Change| -> Result<Summary, producer::Error> {
        let mut options = options(&cluster, 100.0, Some(1));
        change(&mut options);
        run(&options, &Shutdown::new(), &Incidents::new(), |_| {})
    };
    let changes: [(&str, Change); 4] = [
        ("--users", |options| options.shoppers.users = 0),
        ("--late", |options| options.disorder.late = 0.95),
        ("--unpaced", |options| (options.paced, options.count) = (false, None)),
        ("--start-time", |options| options.start_time = Some(Timestamp::from_secs(5))),
    ];
    for (setting, change) in changes {
        let error = check(change).expect_err(setting);
        assert!(error.is_usage() && error.to_string().contains(setting), "{error}");
    }
}
