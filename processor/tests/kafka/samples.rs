//! The last records of a topic, for `explain` and `suggest`.

use std::time::Duration;

use clap::Parser as _;
use processor::cli::{Cli, Command, explain, suggest};
use processor::explain::from_topic;
use processor::settings::Settings;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::support::{Cluster, WAIT, unique};

#[test]
fn the_last_records_of_all_partitions_are_read_in_their_order() {
    last_records(&Cluster::mock());
}

#[test]
#[ignore = "needs a real Kafka: CLICKPULSE_TEST_KAFKA"]
fn the_last_records_of_all_partitions_are_read_in_their_order_on_a_real_kafka() {
    last_records(&Cluster::real());
}

fn last_records(cluster: &Cluster) {
    let topic = unique("samples");
    cluster.create_topic(&topic, 3);
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", cluster.brokers()).create().unwrap();
    // Ten in partition 0, two in partition 1, none in partition 2.
    for (partition, count) in [(0, 10), (1, 2)] {
        for number in 0..count {
            let (key, value) = (format!("k{number}"), format!("{partition}/{number}"));
            let record = BaseRecord::to(&topic).partition(partition).key(&key).payload(&value);
            producer.send(record).unwrap();
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(WAIT).unwrap();

    let mut heard = 0;
    let samples = from_topic(&cluster.client(), &topic, 6, |read| heard = read).unwrap();
    let places: Vec<&str> = samples.iter().map(|sample| &*sample.place).collect();
    assert_eq!(places, ["0:6", "0:7", "0:8", "0:9", "1:0", "1:1"]);
    assert_eq!(
        (samples[0].key.as_deref(), samples[0].value.as_deref()),
        (Some(&b"k6"[..]), Some(&b"0/6"[..]))
    );
    assert_eq!(heard, 12, "more are read than wanted, for offsets that hold no record");
    assert_eq!(from_topic(&cluster.client(), &topic, 100, |_| {}).unwrap().len(), 12);

    let empty = unique("empty");
    cluster.create_topic(&empty, 1);
    assert_eq!(from_topic(&cluster.client(), &empty, 5, |_| {}).unwrap(), []);
}

#[test]
fn a_topic_is_suggested_for_and_explained_by_its_keys_too() {
    let cluster = Cluster::mock();
    let topic = unique("theirs");
    cluster.create_topic(&topic, 2);
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", cluster.brokers()).create().unwrap();
    for number in 0..6 {
        let value = format!("{{\"member\":\"m{number}\",\"ts\":175501080{number},\"path\":\"/a\"}}");
        let record = BaseRecord::to(&topic).partition(number % 2).key("session-1").payload(&value);
        producer.send(record).unwrap();
    }
    producer.flush(WAIT).unwrap();

    let (brokers, dir) = (cluster.brokers(), tempfile::TempDir::new().unwrap());
    let cli = Cli::parse_from(["processor", "suggest", "--brokers", &brokers, "--topic", &topic]);
    let settings = Settings::load(&cli.sources()).unwrap();
    let Command::Suggest(args) = &cli.command else { panic!("it is suggest") };
    let mut out = Vec::new();
    suggest::run(&settings, args, &mut out).unwrap();
    let section = String::from_utf8(out).unwrap();
    assert!(section.contains("keyed = false  # Kafka's key is not the user"), "{section}");

    let file = dir.path().join("clickpulse.toml");
    std::fs::write(&file, format!("{section}\n[kafka]\nbrokers = [{brokers:?}]\n")).unwrap();
    let cli = Cli::parse_from(["processor", "explain", "--last", "4", "--config", file.to_str().unwrap()]);
    let settings = Settings::load(&cli.sources()).unwrap();
    let Command::Explain(args) = &cli.command else { panic!("it is explain") };
    let mut out = Vec::new();
    explain::run(&settings, args, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("0:1  page_view  2025-08-12T15:00:02Z  user m2"), "{text}");
    assert!(text.contains("4 records: 4 counted, 0 refused") && !text.contains("hint:"), "{text}");
}
