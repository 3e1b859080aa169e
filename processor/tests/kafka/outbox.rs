//! Epochs are acknowledged once, with the offsets they reached or their first failure.

use std::sync::mpsc;
use std::time::Duration;

use processor::kafka::tail::{From, TopicReader};
use processor::kafka::{DeliveryError, EpochAcks, KafkaError, KafkaOutbox, OutboxRecord, ProducerSettings};
use rdkafka::types::RDKafkaErrorCode;

use crate::support::{Cluster, WAIT, eventually};

#[test]
fn an_epoch_is_acknowledged_once_sealed_and_answered() {
    let cluster = Cluster::mock();
    cluster.create_topic("partials", 2);
    let outbox = outbox(&cluster);
    let (done, acknowledged) = mpsc::channel();
    let epoch = EpochAcks::new(move |_| done.send(()).unwrap());
    for number in 0..10_u8 {
        let record = OutboxRecord {
            topic: "partials",
            partition: Some(i32::from(number % 2)),
            payload: Some(&[number]),
            ..OutboxRecord::default()
        };
        outbox.send(&epoch, &record).unwrap();
    }
    eventually("every record is answered", || epoch.outstanding() == 1);
    assert!(acknowledged.try_recv().is_err(), "an open epoch is not acknowledged");
    epoch.seal();
    acknowledged.recv_timeout(WAIT).unwrap();

    let mut produced = epoch.result().unwrap();
    produced.sort_by_key(|entry| entry.partition);
    let seen: Vec<_> = produced.iter().map(|entry| (entry.partition, entry.offset, entry.records)).collect();
    assert_eq!(seen, [(0, 4, 5), (1, 4, 5)]);
    assert!(acknowledged.try_recv().is_err(), "an epoch is acknowledged only once");
}

#[test]
fn an_empty_epoch_is_acknowledged_at_its_seal() {
    let (done, acknowledged) = mpsc::channel();
    let epoch = EpochAcks::new(move |_| done.send(()).unwrap());
    epoch.seal();
    acknowledged.try_recv().unwrap();
    assert_eq!(epoch.result().unwrap(), []);
}

#[test]
fn a_record_that_cannot_be_delivered_fails_its_epoch_only() {
    let cluster = Cluster::mock();
    cluster.create_topic("good", 1);
    let Cluster::Mock(mock) = &cluster else { unreachable!("a mock was asked for") };
    mock.create_topic("bad", 1, 1).unwrap();
    mock.topic_error("bad", rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        .unwrap();
    let outbox = outbox(&cluster);
    let (done, acknowledged) = mpsc::channel();
    let send = |topic: &str| {
        let done = done.clone();
        let epoch = EpochAcks::new(move |_| done.send(()).unwrap());
        let record = OutboxRecord { topic, payload: Some(b"x"), ..OutboxRecord::default() };
        // Refused at once where the producer knows already, else by the answer.
        let refused = outbox.send(&epoch, &record).err();
        epoch.seal();
        acknowledged.recv_timeout(WAIT).unwrap();
        (refused, epoch.result())
    };
    let (refused, bad) = send("bad");
    match (refused, bad) {
        (None, Err(error)) => {
            assert_eq!(error.topic, "bad");
            assert_eq!(error.code, RDKafkaErrorCode::TopicAuthorizationFailed);
        }
        (Some(KafkaError::Failed { code, .. }), _) => {
            assert_eq!(code, RDKafkaErrorCode::TopicAuthorizationFailed);
        }
        other => panic!("delivered: {other:?}"),
    }
    let (refused, good) = send("good");
    assert!(refused.is_none());
    assert_eq!(good.unwrap()[0].records, 1);
}

#[test]
fn a_full_queue_is_backpressure_and_loses_nothing() {
    let cluster = Cluster::mock();
    cluster.create_topic("slow", 1);
    let Cluster::Mock(mock) = &cluster else { unreachable!("a mock was asked for") };
    mock.broker_down(1).unwrap();
    let mut settings = ProducerSettings::new(cluster.client());
    settings.queue_wait = Duration::from_millis(20);
    settings.client.properties.insert("queue.buffering.max.messages".to_owned(), "5".to_owned());
    let outbox = KafkaOutbox::new(&settings, |_| {}).unwrap();
    let (done, acknowledged) = mpsc::channel();
    let epoch = EpochAcks::new(move |_| done.send(()).unwrap());
    let send = |number: u8| {
        let record = OutboxRecord {
            topic: "slow",
            partition: Some(0),
            payload: Some(&[number]),
            ..OutboxRecord::default()
        };
        outbox.send(&epoch, &record)
    };
    for number in 0..5 {
        send(number).unwrap();
    }
    let error = send(5).unwrap_err();
    assert!(matches!(error, KafkaError::Backpressure { .. }), "{error:?}");
    assert!(error.is_retryable());
    mock.broker_up(1).unwrap();
    eventually("the queue drains", || send(5).is_ok());
    epoch.seal();
    acknowledged.recv_timeout(WAIT).unwrap();
    assert_eq!(epoch.result().unwrap()[0].records, 6);

    let mut reader = TopicReader::open(&cluster.client(), "slow", From::Beginning, WAIT).unwrap();
    let mut payloads = Vec::new();
    while !reader.caught_up() {
        payloads.extend(reader.next(Duration::from_millis(50)).unwrap().and_then(|record| record.payload));
    }
    assert_eq!(payloads, [[0], [1], [2], [3], [4], [5]]);
}

#[test]
fn dropping_the_outbox_fails_what_is_under_way() {
    let cluster = Cluster::mock();
    cluster.create_topic("gone", 1);
    let Cluster::Mock(mock) = &cluster else { unreachable!("a mock was asked for") };
    mock.broker_down(1).unwrap();
    let outbox = outbox(&cluster);
    let (done, acknowledged) = mpsc::channel();
    let epoch = EpochAcks::new(move |_| done.send(()).unwrap());
    let record = OutboxRecord { topic: "gone", partition: Some(0), ..OutboxRecord::default() };
    outbox.send(&epoch, &record).unwrap();
    epoch.seal();
    drop(outbox);
    acknowledged.recv_timeout(WAIT).unwrap();
    let code = epoch.result().unwrap_err().code;
    assert!(matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight), "{code:?}");
}

fn outbox(cluster: &Cluster) -> KafkaOutbox {
    KafkaOutbox::new(&ProducerSettings::new(cluster.client()), |_| {}).unwrap()
}

/// Sends one record and waits for its answer.
pub(crate) fn send_one(cluster: &Cluster, topic: &str, payload: &[u8]) -> Result<(), DeliveryError> {
    let outbox = outbox(cluster);
    let (done, acknowledged) = mpsc::channel();
    let epoch = EpochAcks::new(move |_| done.send(()).unwrap());
    let record = OutboxRecord { topic, payload: Some(payload), ..OutboxRecord::default() };
    outbox.send(&epoch, &record).unwrap();
    epoch.seal();
    acknowledged.recv_timeout(WAIT).unwrap();
    epoch.result().map(drop)
}
