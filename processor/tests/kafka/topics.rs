//! Topics are made where they are missing and checked where they exist.

use std::time::Duration;

use processor::kafka::KafkaError;
use processor::kafka::admin::{Admin, MissingTopics, TopicSpec};

use crate::support::{Cluster, WAIT, unique};

#[test]
fn waiting_for_brokers_tells_the_address_and_ends_when_told() {
    let cluster = Cluster::mock();
    let mut client = cluster.client();
    // Nothing listens on the discard port.
    client.brokers = "127.0.0.1:9".to_owned();
    let mut attempts = 0;
    let error = Admin::new(&client)
        .unwrap()
        .wait_for_brokers(|_| {
            attempts += 1;
            attempts < 2
        })
        .unwrap_err();
    assert_eq!(attempts, 2);
    assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
    Admin::new(&cluster.client()).unwrap().wait_for_brokers(|_| false).unwrap();
}

#[test]
fn a_topic_with_another_number_of_partitions_is_refused() {
    let cluster = Cluster::mock();
    cluster.create_topic("clickpulse.partials", 3);
    let admin = Admin::new(&cluster.client()).unwrap();
    assert_eq!(admin.partition_count("clickpulse.partials", WAIT).unwrap(), 3);
    let ensure = |partitions| {
        let topics = [TopicSpec::partials("clickpulse.partials", partitions)];
        admin.ensure_topics(&topics, MissingTopics::LeaveToBroker, WAIT)
    };
    ensure(3).unwrap();
    let error = ensure(4).unwrap_err();
    assert!(
        matches!(&error, KafkaError::UnsuitableTopic { topic, .. } if topic == "clickpulse.partials"),
        "{error}"
    );
}

#[test]
#[ignore = "needs a real Kafka: CLICKPULSE_TEST_KAFKA"]
fn topics_are_made_once_with_their_settings_on_a_real_kafka() {
    let cluster = Cluster::real();
    let input = unique("clicks");
    let admin = Admin::new(&cluster.client()).unwrap();
    let missing = admin.partition_count(&input, Duration::from_secs(5)).unwrap_err();
    assert!(matches!(missing, KafkaError::UnknownTopic { .. }), "{missing:?}");
    let topics = [
        TopicSpec::partials(&format!("{input}.partials"), 5),
        TopicSpec::incidents(&format!("{input}.incidents")),
        TopicSpec::dead_letters(&input),
        TopicSpec::late(&input),
    ];
    for _ in 0..2 {
        admin.ensure_topics(&topics, MissingTopics::Create, WAIT).unwrap();
    }
    assert_eq!(admin.partition_count(&topics[0].name, WAIT).unwrap(), 5);
    assert_eq!(admin.partition_count(&topics[1].name, WAIT).unwrap(), 1);
    // A record of nearly 8 MiB fits.
    let large = vec![b'x'; 8_300_000];
    crate::outbox::send_one(&cluster, &topics[0].name, &large).unwrap();
}
