//! Records that are set aside: whole, or as much of them as their topic takes; seen with `dlq list` and `dlq show`, and
//! counted, once, after `dlq replay`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration_tests::{Influx, Kafka, Names, Processor, ProcessorConfig, eventually};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const WAIT: Duration = Duration::from_secs(60);

#[test]
fn a_record_replayed_after_its_cause_is_gone_is_counted() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("dead-letters"));
    kafka.create_topic(&names.topic, 2);
    // Somebody else's name for the product; the processor has not been told of it yet. An id, as a restart with other
    // settings reads the original once more, beside its replay.
    let theirs = |user: &str| {
        format!(
            r#"{{"event_id":"e-{user}","event_type":"product_click","user_id":"{user}","event_timestamp":1768464000.5,"article":"p1"}}"#
        )
    };
    let records = [theirs("u1"), theirs("u2"), theirs("u3"), "nonsense".to_owned()];
    kafka.produce(&names.topic, records.iter().map(|value| ("key", value.as_bytes())));
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    Processor::run_until_end(&config);
    assert_eq!(count(&influx, "events", "count"), 0);
    assert_eq!(kafka.read_all(&names.dead_letters()).len(), 4);

    let list = dlq(&config, "list", &[]);
    for (reason, count) in [("missing_field", "3"), ("not_json", "1")] {
        let counted = |line: &str| line.contains(reason) && line.split_whitespace().any(|word| word == count);
        assert!(list.lines().any(counted), "{count} records with {reason} are listed:\n{list}");
    }
    let shown = dlq(&config, "show", &["--reason", "not_json"]);
    assert!(shown.contains("nonsense") && !shown.contains("article"), "{shown}");

    dlq(&config, "replay", &["--reason", "missing_field"]);
    let sent = || kafka.read_all(&names.topic).len();
    assert_eq!(sent(), 4, "without --yes nothing is sent");
    dlq(&config, "replay", &["--reason", "missing_field", "--yes"]);
    assert_eq!(sent(), 7);
    let again = dlq(&config, "replay", &["--reason", "missing_field", "--yes"]);
    assert_eq!(sent(), 7, "none twice: {again}");
    assert!(again.contains("3 sent before"), "{again}");

    Processor::run_until_end(&config.extra("[inputs.fields]\narticle = \"product_id\""));
    assert_eq!(count(&influx, "events", "count"), 3);
    assert_eq!(kafka.read_all(&names.dead_letters()).len(), 4, "nothing was rejected again");
}

/// A record dated in the future is accepted once its time has come, in its own partition, once, without an id.
#[test]
fn an_event_of_the_future_is_counted_once_when_its_time_has_come() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("future"));
    // librdkafka would put this key into partition 0, and Java's client into 2.
    kafka.create_topic(&names.topic, 4);
    let mut processor = Processor::run(
        &ProcessorConfig::new(&kafka, &influx, &names).windows("max_future_skew", "\"1s\""),
        &[],
    );
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    processor.await_ready();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
    let moment = now + 8;
    let value = format!(r#"{{"user_id":"u0","url":"/a","http_status":200,"event_timestamp":{moment}}}"#);
    produce(
        &kafka,
        &names.topic,
        &[Sent { partition: Some(2), headers: &[("trace", Some("t1"))], ..Sent::of(&value) }],
    );
    eventually("it is refused", || match kafka.read_all(&names.dead_letters()).len() {
        1 => Ok(()),
        count => Err(format!("{count} letters")),
    });
    // Refused again before its time, as one letter more, which leads to the first.
    dlq(&config, "replay", &["--reason", "future_timestamp", "--yes"]);
    let letters = eventually("it is refused again", || match read(&kafka, &names.dead_letters()) {
        letters if letters.len() == 2 => Ok(letters),
        letters => Err(format!("{} letters", letters.len())),
    });
    let second =
        letters.iter().find(|letter| letter.ours("replays").is_some()).expect("it says that it was replayed");
    assert_eq!((second.ours("first_partition"), second.ours("first_offset")), (Some("2"), Some("0")));
    assert_eq!((second.ours("partition"), second.ours("replays")), (Some("2"), Some("1")));
    let list = dlq(&config, "list", &[]);
    assert!(list.contains("AGAIN") && list.contains("future_timestamp"), "{list}");
    eventually("its time has come", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
        if now > moment { Ok(()) } else { Err(format!("{} s to go", moment - now)) }
    });
    for _ in 0..3 {
        dlq(&config, "replay", &["--reason", "future_timestamp", "--yes"]);
    }
    eventually("it is counted", || match count(&influx, "http_all", "requests") {
        1 => Ok(()),
        count => Err(format!("{count} requests")),
    });
    let records = read(&kafka, &names.topic);
    let places: Vec<i32> = records.iter().map(|record| record.partition).collect();
    assert_eq!(places, [2, 2, 2], "the original and two replays, in its own partition");
    let last = records.last().expect("it is there");
    assert_eq!(last.header_values("trace"), [Some("t1")], "its own headers, once");
    assert_eq!((last.ours("replays"), last.ours("first_offset")), (Some("2"), Some("0")));
    assert_eq!(
        last.headers.iter().filter(|(name, _)| name == "clickpulse").count(),
        1,
        "ours do not pile up"
    );
    assert_eq!(kafka.read_all(&names.dead_letters()).len(), 2, "nothing was refused after that");
    processor.process.signal("TERM");
    assert_eq!(processor.process.wait(WAIT), 0);
    assert_eq!(count(&influx, "http_all", "requests"), 1);
}

/// The documented cure of `missing_field`: a mapping, then a replay of what was rejected without it.
#[test]
fn letters_sent_back_after_a_mapping_are_counted_as_if_they_had_been_read_then() {
    const T: i64 = 1_755_010_800;
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("mapped"));
    kafka.create_topic(&names.topic, 4);
    let event = |json: &str, second: i64| json.replace("SECOND", &(T + second).to_string());
    let first = [
        event(r#"{"event_id":"a","visitor":"u0","url":"/","http_status":200,"event_timestamp":SECOND}"#, 1),
        event(
            r#"{"event_id":"b","event_type":"product_click","visitor":"u0","article":"p1","campaign_id":"spring","event_timestamp":SECOND}"#,
            2,
        ),
        event(r#"{"event_id":"c","user_id":"u0","url":"/","http_status":200,"event_timestamp":SECOND}"#, 3),
    ];
    let of = |value| Sent { partition: Some(2), key: Some("u0"), ..Sent::of(value) };
    produce(&kafka, &names.topic, &first.iter().map(|value| of(value)).collect::<Vec<_>>());
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    Processor::run_until_end(&config);
    let config = config.extra("[inputs.fields]\nvisitor = \"user_id\"\narticle = \"product_id\"");
    dlq(&config, "replay", &["--reason", "missing_field", "--yes"]);
    let last = event(
        r#"{"event_id":"d","event_type":"checkout","user_id":"u0","product_id":"p1","checkout_id":"o1","amount":10,"event_timestamp":SECOND}"#,
        5,
    );
    produce(&kafka, &names.topic, &[of(&last)]);
    Processor::run_until_end(&config);
    assert_eq!((count(&influx, "http_all", "requests"), count(&influx, "http_all", "users")), (2, 1));
    assert_eq!(count(&influx, "first_click", "attributed"), 1);
}

/// A replay that is killed again and again sends every letter once.
#[test]
fn a_replay_that_is_killed_sends_no_letter_twice_and_leaves_none_out() {
    const LETTERS: usize = 12_000;
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("killed-replay"));
    kafka.create_topic(&names.topic, 4);
    kafka.produce_crowd(
        &names.topic,
        (0..LETTERS).map(|number| (format!("k{number}"), format!("no event {number}"))),
    );
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    Processor::run_until_end(&config);
    assert_eq!(kafka.read_all(&names.dead_letters()).len(), LETTERS);
    for attempt in 1..=4 {
        let mut replay = spawn_dlq(&config, "replay", &["--yes"]);
        let before = kafka.end_offsets(&names.topic).iter().sum::<i64>();
        eventually("something is sent, or it is over", || {
            let sent = kafka.end_offsets(&names.topic).iter().sum::<i64>() - before;
            if sent > 500 * attempt || !replay.process.is_running() {
                Ok(())
            } else {
                Err(format!("{sent} records"))
            }
        });
        replay.process.kill();
    }
    dlq(&config, "replay", &["--yes"]);
    let mut sent: Vec<Vec<u8>> =
        kafka.read_all(&names.topic).into_iter().map(|record| record.value).collect();
    assert_eq!(sent.len(), 2 * LETTERS);
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent.len(), LETTERS, "each twice: as it came, and as it was sent back");
}

/// 9 MB, compressed to little: more than `max_record_bytes`, and than the topics beside the input take.
#[test]
fn a_record_larger_than_what_is_copied_is_set_aside_in_part() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("too-large"));
    create_topic(&kafka, &names.topic, 1, "20000000");
    let large = huge(9_000_000);
    let headers = [("trace", Some("t1")), ("reason", Some("theirs")), ("reason", None)];
    let values = [view("u1", 1), large.clone(), view("u3", 3)];
    let records: Vec<_> = values.iter().map(|value| Sent { headers: &headers, ..Sent::of(value) }).collect();
    produce(&kafka, &names.topic, &records);
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    let said = Processor::run_until_end(&config);
    assert_eq!(count(&influx, "http_all", "requests"), 2);
    let place = format!("{} [0] at offset 1", names.topic);
    assert!(said.contains(&place) && said.contains("9000000 bytes"), "the log names it:\n{said}");

    let letters = read(&kafka, &names.dead_letters());
    let [letter] = &letters[..] else { panic!("{} letters", letters.len()) };
    assert_eq!((letter.ours("reason"), letter.ours("size")), (Some("too_large"), Some("9000000")));
    assert_eq!(letter.ours("truncated"), Some("value"));
    assert!(letter.value.len() > 8_000_000 && large.as_bytes().starts_with(&letter.value), "as many as fit");
    assert_eq!(letter.key.as_deref(), Some(&b"user"[..]));
    assert_eq!(letter.header_values("reason"), [Some("theirs"), None, Some("too_large")]);
    let replayed = dlq(&config, "replay", &["--yes"]);
    assert!(replayed.contains("1 that are there in part only"), "{replayed}");
    // Every number and every copy is as it should be; the first run has committed everything.
    integration_tests::Verdict::of(&config, &influx, &["--open"]).assert_equal();
}

/// What `max_record_bytes` allows can be copied as a whole: the topics are made for it.
#[test]
fn a_topic_of_large_records_has_topics_beside_it_that_take_them() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("large"));
    create_topic(&kafka, &names.topic, 1, "30000000");
    let no_event = format!("[{}]", huge(12_000_000));
    let values = [no_event.clone(), view("u2", 2)];
    produce(&kafka, &names.topic, &values.iter().map(|value| Sent::of(value)).collect::<Vec<_>>());
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    let toml = config.to_toml().replace("[[inputs]]\n", "[[inputs]]\nmax_record_bytes = \"16MiB\"\n");
    until_end(&config, &toml);
    let letters = read(&kafka, &names.dead_letters());
    assert_eq!((letters[0].value.len(), letters[0].ours("truncated")), (no_event.len(), None));
    assert_eq!(count(&influx, "http_all", "requests"), 1);
}

/// A topic that an operator made for small records: small letters come by many in a batch, which Kafka measures as well.
#[test]
fn a_dead_letter_topic_for_small_records_loses_none() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("small-dlq"));
    create_topic(&kafka, &names.topic, 2, "1000000");
    create_topic(&kafka, &names.dead_letters(), 2, "2000");
    let values: Vec<String> = (0..3_000)
        .map(|number| match number % 100 {
            // Digits, so that compression does not make them fit.
            7 => format!("{number}: {}", noise(number, 5_000)),
            8 => view("u", number as i64 % 50),
            _ => format!("no event {number} {}", noise(number, 40)),
        })
        .collect();
    produce(&kafka, &names.topic, &values.iter().map(|value| Sent::of(value)).collect::<Vec<_>>());
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    let checked = spawn("check", &config, &[]);
    assert!(checked.contains(&names.dead_letters()) && checked.contains("kafka-configs.sh"), "{checked}");
    let said = Processor::run_until_end(&config);
    assert!(said.contains("max.message.bytes"), "{said}");
    assert_eq!(count(&influx, "http_all", "requests"), 30);
    let letters = read(&kafka, &names.dead_letters());
    assert_eq!(letters.len(), 2_970);
    let cut = letters.iter().filter(|letter| letter.ours("truncated") == Some("value")).count();
    assert_eq!(cut, 30);
}

/// Somebody makes the topic smaller while the processor runs.
#[test]
fn a_dead_letter_topic_that_shrinks_is_noticed() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("shrinking-dlq"));
    create_topic(&kafka, &names.topic, 1, "1000000");
    create_topic(&kafka, &names.dead_letters(), 1, "1000000");
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    let mut processor = Processor::run(&config, &[]);
    processor.await_ready();
    set_max_message_bytes(&kafka, &names.dead_letters(), "2000");
    let values: Vec<String> = (0..200).map(|number| noise(number, 5_000)).collect();
    produce(&kafka, &names.topic, &values.iter().map(|value| Sent::of(value)).collect::<Vec<_>>());
    eventually("all are set aside", || match kafka.read_all(&names.dead_letters()).len() {
        200 => Ok(()),
        count => Err(format!("{count} letters")),
    });
    processor.process.signal("TERM");
    assert_eq!(processor.process.wait(WAIT), 0);
}

/// Through the by-user topic: headers arrive where a record is set aside, and a record that is too large for it does, too.
#[test]
fn records_that_are_re_keyed_are_set_aside_as_they_were() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("re-keyed-letters"));
    create_topic(&kafka, &names.topic, 1, "20000000");
    create_topic(&kafka, &names.by_user, 2, "100000");
    let headers = [("reason", Some("theirs")), ("trace", None), ("trace", Some("t"))];
    let large = huge(9_000_000);
    // Smaller than max_record_bytes, and larger than what the by-user topic takes.
    let medium = format!(
        r#"{{"user_id":"u1","event_timestamp":1755010801,"url":"/","http_status":200,"note":"{}"}}"#,
        noise(1, 300_000)
    );
    let values = ["oops".to_owned(), large, medium, view("u1", 600), view("u1", 1), view("u2", 601)];
    let records: Vec<_> = values.iter().map(|value| Sent { headers: &headers, ..Sent::of(value) }).collect();
    produce(&kafka, &names.topic, &records);
    let config = ProcessorConfig::new(&kafka, &influx, &names).unkeyed();
    Processor::run_until_end(&config);
    assert_eq!(count(&influx, "http_all", "requests"), 2);
    let letters = read(&kafka, &names.dead_letters());
    let of = |offset: &str| {
        letters.iter().find(|letter| letter.ours("offset") == Some(offset)).expect("it is there")
    };
    assert_eq!(letters.len(), 3);
    for (offset, reason, size) in [
        ("0", "not_json", None),
        ("1", "too_large", Some("9000000")),
        ("2", "too_large", Some(&*values[2].len().to_string())),
    ] {
        let letter = of(offset);
        assert_eq!((letter.ours("reason"), letter.ours("size")), (Some(reason), size), "offset {offset}");
        assert_eq!(letter.header_values("reason"), [Some("theirs"), Some(reason)], "offset {offset}");
        assert_eq!(letter.header_values("trace"), [None, Some("t")], "offset {offset}");
    }
    let late = read(&kafka, &names.late());
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].header_values("reason"), [Some("theirs"), Some("late")]);
}

/// Keys and headers may be as large as values.
#[test]
fn large_keys_and_headers_end_no_run() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("large-keys"));
    create_topic(&kafka, &names.topic, 1, "20000000");
    let (large, many) = (noise(1, 9_000_000), vec![("h", Some("v")); 5_000]);
    let (header, event) = ([("trace", Some(&*large))], view("u1", 1));
    let records = [
        Sent { key: Some(&large), ..Sent::of("not an event") },
        Sent { headers: &header, ..Sent::of("not an event, too") },
        Sent { headers: &many, ..Sent::of("nor this") },
        Sent { key: Some(&large), headers: &header[..0], ..Sent::of(&event) },
    ];
    produce(&kafka, &names.topic, &records);
    Processor::run_until_end(&ProcessorConfig::new(&kafka, &influx, &names));
    assert_eq!(count(&influx, "http_all", "requests"), 1);
    let letters = read(&kafka, &names.dead_letters());
    let truncated: Vec<_> = letters.iter().map(|letter| letter.ours("truncated")).collect();
    let mut sorted = truncated.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [None, Some("headers"), Some("key")]);
    let whole = letters.iter().find(|letter| letter.ours("truncated").is_none()).expect("one is whole");
    assert_eq!(whole.header_values("h").len(), 5_000);
    assert!(letters.iter().all(|letter| letter.value.starts_with(b"no")), "values are whole");
}

fn dlq(config: &ProcessorConfig, command: &str, args: &[&str]) -> String {
    spawn(&format!("dlq {command}"), config, args)
}

fn spawn_dlq(config: &ProcessorConfig, command: &str, args: &[&str]) -> Processor {
    Processor::spawn(&format!("dlq {command}"), &config.to_toml(), config.http_port, args)
}

fn spawn(command: &str, config: &ProcessorConfig, args: &[&str]) -> String {
    let mut processor = Processor::spawn(command, &config.to_toml(), config.http_port, args);
    let code = processor.process.wait(WAIT);
    let said = processor.process.log();
    assert_eq!(code, 0, "{command} succeeds; it said:\n{said}");
    said
}

fn until_end(config: &ProcessorConfig, toml: &str) {
    let mut processor = Processor::spawn("run", toml, config.http_port, &["--until-end"]);
    let code = processor.process.wait(Duration::from_secs(180));
    assert_eq!(code, 0, "it succeeds; it said:\n{}", processor.process.log());
}

fn count(influx: &Influx, measurement: &str, field: &str) -> i64 {
    let points = influx.points(&influx.buckets().raw, measurement);
    points.iter().filter_map(|point| point[field].as_i64()).sum()
}

fn view(user: &str, second: i64) -> String {
    let time = 1_755_010_800 + second;
    format!(r#"{{"user_id":"{user}","event_timestamp":{time},"url":"/","http_status":200}}"#)
}

/// An event of so many bytes.
fn huge(bytes: usize) -> String {
    let (start, end) =
        (r#"{"user_id":"u2","event_timestamp":1755010802,"url":"/","http_status":200,"note":""#, r#""}"#);
    format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
}

/// Text that does not compress to much less.
fn noise(seed: usize, bytes: usize) -> String {
    let mut state = seed as u64 + 1;
    let letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (state >> 33) as u8 % 90)
    };
    std::iter::repeat_with(letter).take(bytes).collect()
}

/// A record to send.
#[derive(Clone, Copy)]
struct Sent<'a> {
    partition: Option<i32>,
    key: Option<&'a str>,
    value: &'a str,
    headers: &'a [(&'a str, Option<&'a str>)],
}

impl<'a> Sent<'a> {
    fn of(value: &'a str) -> Self {
        Self { partition: None, key: Some("user"), value, headers: &[] }
    }
}

/// Writes records in order, compressed.
fn produce(kafka: &Kafka, topic: &str, records: &[Sent<'_>]) {
    let producer: BaseProducer = client(kafka)
        .set("compression.type", "gzip")
        .set("message.max.bytes", "30000000")
        .set("enable.idempotence", "true")
        .create()
        .expect("a producer");
    for Sent { partition, key, value, headers } in records {
        let all = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: *value }));
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(topic).payload(*value);
        record.key = *key;
        record.partition = *partition;
        if !headers.is_empty() {
            record = record.headers(all);
        }
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
    }
    producer.flush(WAIT).expect("every record is acknowledged");
}

/// A record as it is, with every header.
struct Found {
    partition: i32,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: Vec<(String, Option<String>)>,
}

impl Found {
    /// The last header of a name.
    fn ours(&self, name: &str) -> Option<&str> {
        self.headers.iter().rev().find(|(found, _)| found == name)?.1.as_deref()
    }

    fn header_values(&self, name: &str) -> Vec<Option<&str>> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_deref()).collect()
    }
}

/// Every committed record of a topic, with all its headers.
fn read(kafka: &Kafka, topic: &str) -> Vec<Found> {
    let partitions = kafka.end_offsets(topic).len();
    let consumer: BaseConsumer = client(kafka)
        .set("group.id", "clickpulse-dead-letters")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let mut from = TopicPartitionList::new();
    for partition in 0..partitions as i32 {
        from.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
    }
    consumer.assign(&from).expect("the partitions exist");
    let (mut open, mut found) = (partitions, Vec::new());
    while open > 0 {
        let message = match consumer.poll(WAIT) {
            Some(Ok(message)) => message,
            Some(Err(KafkaError::PartitionEOF(_))) => {
                open -= 1;
                continue;
            }
            other => panic!("{topic} is read to its end: {:?}", other.map(|read| read.map(drop))),
        };
        let text = |value: Option<&[u8]>| value.map(|value| String::from_utf8_lossy(value).into_owned());
        let headers = message.headers();
        let headers = headers.iter().flat_map(|headers| headers.iter());
        found.push(Found {
            partition: message.partition(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
        });
    }
    found
}

fn create_topic(kafka: &Kafka, topic: &str, partitions: i32, max_message_bytes: &str) {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
        .set("retention.ms", "-1")
        .set("max.message.bytes", max_message_bytes);
    let results = block_on(admin(kafka).create_topics([&new], &AdminOptions::new())).expect("an answer");
    assert!(results[0].is_ok(), "{topic} is made: {results:?}");
    kafka.create_topic(topic, partitions); // waits until it is there
}

fn set_max_message_bytes(kafka: &Kafka, topic: &str, bytes: &str) {
    use rdkafka::admin::{AlterConfig, ResourceSpecifier};
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", bytes);
    let results = block_on(admin(kafka).alter_configs([&change], &AdminOptions::new())).expect("an answer");
    assert!(results[0].is_ok(), "{topic} is changed: {results:?}");
}

fn admin(kafka: &Kafka) -> AdminClient<DefaultClientContext> {
    client(kafka).create().expect("an admin client")
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn client(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap()).set("log_level", "0");
    config
}
