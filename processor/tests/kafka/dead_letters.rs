//! Dead letters are counted, shown and sent back as they were.

use std::sync::mpsc;
use std::time::Duration;

use processor::kafka::dlq::{DeadLetters, Replayed};
use processor::kafka::tail::{From, Record, TopicReader};
use processor::kafka::{EpochAcks, KafkaOutbox, OutboxRecord, ProducerSettings};

use crate::support::{Cluster, WAIT, unique};

#[test]
fn letters_are_counted_shown_and_replayed() {
    count_show_and_replay(&Cluster::mock());
}

#[test]
#[ignore = "needs a real Kafka: CLICKPULSE_TEST_KAFKA"]
fn letters_are_counted_shown_and_replayed_on_a_real_kafka() {
    count_show_and_replay(&Cluster::real());
}

fn count_show_and_replay(cluster: &Cluster) {
    let input = unique("clicks");
    cluster.create_topic(&input, 2);
    cluster.create_topic(&format!("{input}.dlq"), 3);
    let origin = input.as_bytes();
    let letters: [&[(&str, &[u8])]; 4] = [
        &[
            ("reason", b"not_json"),
            ("topic", origin),
            ("partition", b"0"),
            ("offset", b"7"),
            ("trace", b"t1"),
        ],
        &[("reason", b"not_json"), ("topic", origin), ("partition", b"1"), ("offset", b"9")],
        &[("reason", b"bad_timestamp"), ("topic", origin), ("partition", b"1"), ("offset", b"3")],
        &[("reason", b"not_json")],
    ];
    let payloads: [Option<&[u8]>; 4] = [Some(b"{\xff"), None, Some(b"{}"), Some(b"?")];
    write(cluster, &format!("{input}.dlq"), &letters, &payloads);

    let dead = DeadLetters::of_input(&cluster.client(), &input);
    let counts: Vec<_> = dead
        .list(WAIT)
        .unwrap()
        .into_iter()
        .map(|count| {
            assert_eq!((count.oldest_ms, count.newest_ms), (Some(1_000), Some(1_000)));
            (count.reason, count.partition, count.count)
        })
        .collect();
    let expected = [
        ("bad_timestamp", Some(1), 1),
        ("not_json", None, 1),
        ("not_json", Some(0), 1),
        ("not_json", Some(1), 1),
    ]
    .map(|(reason, partition, count)| (reason.to_owned(), partition, count));
    assert_eq!(counts, expected);
    assert_eq!(dead.show(Some("not_json"), 2, WAIT).unwrap().len(), 2);
    assert_eq!(dead.show(Some("bad_timestamp"), 2, WAIT).unwrap()[0].payload.as_deref(), Some(&b"{}"[..]));

    let replayed = dead.replay(Some("not_json"), WAIT).unwrap();
    assert_eq!(replayed, Replayed { replayed: 2, other_reason: 1, no_origin: 1 });
    let mut back = read_all(cluster, &input);
    back.sort_by_key(|record| record.payload.is_none());
    assert_eq!(back.len(), 2);
    assert_eq!(back[0].payload.as_deref(), Some(&b"{\xff"[..]));
    assert_eq!(back[0].key.as_deref(), Some(&b"user"[..]));
    assert_eq!(back[0].header("trace"), Some("t1"), "headers of the sender stay");
    assert_eq!(back[0].header("reason"), None, "ours do not");
    assert!(back[0].header("replayed-from").unwrap().starts_with(&format!("{input}.dlq/")));
    assert_eq!(back[1].payload, None, "a tombstone stays one");
}

fn write(cluster: &Cluster, topic: &str, letters: &[&[(&str, &[u8])]], payloads: &[Option<&[u8]>]) {
    let outbox = KafkaOutbox::new(&ProducerSettings::new(cluster.client()), |_| {}).unwrap();
    let (done, acknowledged) = mpsc::channel();
    let epoch = EpochAcks::new(move |_| done.send(()).unwrap());
    for (headers, payload) in letters.iter().zip(payloads) {
        let record = OutboxRecord {
            topic,
            partition: None,
            key: Some(b"user"),
            payload: *payload,
            headers,
            timestamp_ms: Some(1_000),
        };
        outbox.send(&epoch, &record).unwrap();
    }
    epoch.seal();
    acknowledged.recv_timeout(WAIT).unwrap();
    epoch.result().unwrap();
}

fn read_all(cluster: &Cluster, topic: &str) -> Vec<Record> {
    let mut reader = TopicReader::open(&cluster.client(), topic, From::Beginning, WAIT).unwrap();
    let mut records = Vec::new();
    while !reader.caught_up() {
        records.extend(reader.next(Duration::from_millis(50)).unwrap());
    }
    records
}
