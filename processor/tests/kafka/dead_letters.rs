//! Dead letters are counted, shown and sent back as they were.

use std::sync::mpsc;
use std::time::Duration;

use processor::kafka::dlq::Replayed;
use processor::kafka::tail::{From, Record, TopicReader};
use processor::kafka::{EpochAcks, Header, KafkaOutbox, OutboxRecord, ProducerSettings};

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

type Pair<'a> = (&'a str, &'a str);

fn count_show_and_replay(cluster: &Cluster) {
    let input: &'static str = unique("clicks").leak();
    cluster.create_topic(input, 3);
    cluster.create_topic(&format!("{input}.dlq"), 3);
    cluster.create_topic(&format!("{input}.replayed"), 1);
    let letter = |reason, partition, offset| -> Vec<Pair<'static>> {
        vec![("reason", reason), ("topic", input), ("partition", partition), ("offset", offset)]
    };
    let marked = |theirs: &[Pair<'static>], of: &[Pair<'static>]| -> Vec<Pair<'static>> {
        [theirs, &[("clickpulse", "letter")], of].concat()
    };
    let theirs = [("trace", "t1"), ("reason", "mine"), ("trace", "t2")];
    let cut = [letter("not_json", "0", "8"), vec![("size", "9000000"), ("truncated", "value")]].concat();
    let of_another = [("reason", "not_json"), ("topic", "accounts"), ("partition", "0"), ("offset", "1")];
    let letters = [
        marked(&theirs, &letter("not_json", "2", "7")),
        letter("not_json", "1", "9"), // of an earlier version, which set no mark
        letter("bad_timestamp", "1", "3"),
        vec![("reason", "not_json")],
        marked(&[], &cut),
        marked(&[], &letter("not_json", "7", "1")),
        marked(&[], &of_another),
    ];
    let payloads: [Option<&[u8]>; 7] =
        [Some(b"{\xff"), None, Some(b"{}"), Some(b"?"), Some(b"{"), Some(b"7"), Some(b"!")];
    write(cluster, &format!("{input}.dlq"), &letters, &payloads);

    let dead = cluster.dead_letters(input);
    let counts = dead.list(WAIT).unwrap();
    let counted = |reason: &str, partition: Option<i32>| {
        let found = counts.iter().find(|count| count.reason == reason && count.partition == partition);
        found.map(|of| (of.count, of.sent, of.left, of.again, of.in_part))
    };
    assert_eq!(
        counted("not_json", Some(0)),
        Some((2, 0, 1, 0, 1)),
        "one of them in part, one of another topic"
    );
    assert_eq!(counted("not_json", Some(2)), Some((1, 0, 1, 0, 0)));
    assert_eq!(counted("not_json", None), Some((1, 0, 1, 0, 0)));
    assert_eq!(counted("bad_timestamp", Some(1)), Some((1, 0, 1, 0, 0)));
    assert!(counts.iter().all(|of| (of.oldest_ms, of.newest_ms) == (Some(1_000), Some(1_000))));
    assert_eq!(dead.show(Some("not_json"), 2, WAIT).unwrap().len(), 2);
    assert_eq!(dead.show(Some("bad_timestamp"), 2, WAIT).unwrap()[0].payload.as_deref(), Some(&b"{}"[..]));

    let replayed = dead.replay(Some("not_json"), None, WAIT).unwrap();
    let expected = Replayed {
        replayed: 2,
        other_reason: 1,
        no_origin: 2,
        in_part: 1,
        no_partition: 1,
        ..Replayed::default()
    };
    assert_eq!(replayed, expected);
    let back = read_all(cluster, input);
    assert_eq!(back.len(), 2);
    let of_partition = |partition| back.iter().find(|record| record.partition == partition).unwrap();
    let first = of_partition(2);
    assert_eq!((first.payload.as_deref(), first.key.as_deref()), (Some(&b"{\xff"[..]), Some(&b"user"[..])));
    let names: Vec<_> = first.headers.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
    let ours = ["clickpulse", "replayed-from", "first_partition", "first_offset", "replays"];
    assert_eq!(
        names,
        [&["trace", "reason", "trace"][..], &ours].concat(),
        "theirs stay, and ours lead to the letter"
    );
    assert_eq!(first.header("reason"), Some("mine"));
    assert_eq!((first.header("first_partition"), first.header("first_offset")), (Some("2"), Some("7")));
    assert!(first.header("replayed-from").unwrap().starts_with(&format!("{input}.dlq/")));
    assert!(first.timestamp_ms.unwrap() > 1_000_000_000_000, "the time of now");
    assert_eq!(of_partition(1).payload, None, "a tombstone stays one");

    // What was sent is not sent again; what could not be is tried again.
    let again = dead.replay(None, None, WAIT).unwrap();
    let expected = Replayed { replayed: 1, sent_before: 2, other_reason: 0, ..expected };
    assert_eq!(again, expected);
    assert_eq!(read_all(cluster, input).len(), 3);
    let counts = dead.list(WAIT).unwrap();
    assert_eq!(counts.iter().map(|of| of.sent).sum::<u64>(), 3);
}

#[test]
fn a_limited_replay_is_gone_on_with() {
    let cluster = Cluster::mock();
    cluster.create_topic("clicks", 1);
    cluster.create_topic("clicks.dlq", 1);
    cluster.create_topic("clicks.replayed", 1);
    let letters: Vec<Vec<Pair<'_>>> = ["0", "1", "2", "3", "4"]
        .map(|offset| {
            let reason = if offset == "1" { "not_json" } else { "missing_field" };
            vec![("reason", reason), ("topic", "clicks"), ("partition", "0"), ("offset", offset)]
        })
        .to_vec();
    let payloads: [Option<&[u8]>; 5] = [Some(b"0"), Some(b"1"), Some(b"2"), Some(b"3"), Some(b"4")];
    write(&cluster, "clicks.dlq", &letters, &payloads);
    let dead = cluster.dead_letters("clicks");
    let sent = |reason, limit| {
        dead.replay(reason, limit, WAIT).unwrap();
        let payloads = read_all(&cluster, "clicks").into_iter().filter_map(|record| record.payload);
        String::from_utf8(payloads.flatten().collect()).unwrap()
    };
    assert_eq!(sent(Some("missing_field"), Some(2)), "02");
    assert_eq!(sent(None, Some(1)), "021", "the first that was not sent");
    assert_eq!(sent(Some("missing_field"), Some(10)), "02134");
    assert_eq!(sent(None, None), "02134");
}

fn write(cluster: &Cluster, topic: &str, letters: &[Vec<Pair<'_>>], payloads: &[Option<&[u8]>]) {
    let outbox = KafkaOutbox::new(&ProducerSettings::new(cluster.client()), |_| {}).unwrap();
    let (done, acknowledged) = mpsc::channel();
    let epoch = EpochAcks::new(move |_| done.send(()).unwrap());
    for (headers, payload) in letters.iter().zip(payloads) {
        let headers: Vec<Header<'_>> =
            headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_bytes()))).collect();
        let record = OutboxRecord {
            topic,
            partition: None,
            key: Some(b"user"),
            payload: *payload,
            headers: &headers,
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
