//! The last records of a topic, for `explain` and `suggest`.

use std::time::Duration;

use processor::explain::from_topic;
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
    assert_eq!(heard, 6);
    assert_eq!(from_topic(&cluster.client(), &topic, 100, |_| {}).unwrap().len(), 12);

    let empty = unique("empty");
    cluster.create_topic(&empty, 1);
    assert_eq!(from_topic(&cluster.client(), &empty, 5, |_| {}).unwrap(), []);
}
