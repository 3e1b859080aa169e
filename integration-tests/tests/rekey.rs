//! Inputs that are not keyed by user, or have another number of partitions than the others, give the numbers of those
//! that are and have.

use std::collections::BTreeMap;

use integration_tests::{
    Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer, Record, Verdict,
};
use serde_json::{Value, json};

const COUNT: u64 = 60_000;

#[test]
fn an_untidy_unkeyed_topic_gives_the_numbers_of_the_truth_file() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("rekey"));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let truth = dir.path().join("truth.json");
    kafka.create_topic(&names.topic, 5);
    let start = ["--unpaced", "--start-time", "2026-01-15T08:56:30Z", "--late", "0.01", "--truth"];
    let mut args = untidy(&kafka, &names.topic, "500", "42", &COUNT.to_string(), true);
    args.extend(start.map(str::to_owned));
    args.push(truth.to_str().expect("a plain path").to_owned());
    Producer::run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let config = ProcessorConfig::new(&kafka, &influx, &names).unkeyed();
    let said = Processor::run_until_end(&config);
    assert!(said.contains(&COUNT.to_string()), "it says how much it consumed:\n{said}");

    let told: Value =
        serde_json::from_str(&std::fs::read_to_string(&truth).expect("the truth file is written"))
            .expect("the truth file is JSON");
    let buckets = influx.buckets();
    assert_eq!(found(&influx, &buckets.raw, true), expected(&told, 10, true));
    assert_eq!(found(&influx, &buckets.minute, false), expected(&told, 60, false));
    assert_eq!(found(&influx, &buckets.hour, false), expected(&told, 3_600, false));

    let mut quality: BTreeMap<String, i64> = BTreeMap::new();
    for row in influx.points(&buckets.hour, "quality") {
        let reason = row["reason"].as_str().expect("a text").to_owned();
        *quality.entry(reason).or_default() += row["count"].as_i64().expect("an integer");
    }
    let (duplicates, late) = (quality.remove("duplicate"), quality.remove("late"));
    assert_eq!(duplicates, told["records"]["duplicates"].as_i64(), "duplicates");
    assert_eq!(late, told["records"]["late"].as_i64(), "late events");
    assert_eq!(json!(quality), told["records"]["invalid"], "rejections");

    // What is set aside names the place it came from, and is there once.
    let originals = kafka.read_all(&names.topic);
    let rejected = set_aside(&originals, &kafka.read_all(&names.dead_letters()), &names.topic);
    assert_eq!(rejected as i64, quality.values().sum::<i64>());
    let late_records = set_aside(&originals, &kafka.read_all(&names.late()), &names.topic);
    assert_eq!(Some(late_records as i64), late);

    // As `verify` sees it, and what it says where a window lacks its users.
    Verdict::of(&config, &influx, &["--open"]).assert_equal();
    let whole = influx.points(&buckets.raw, "http_all");
    let row = whole.iter().max_by_key(|row| row["users"].as_i64()).expect("there are windows");
    influx.write(&buckets.raw, &format!("http_all users=1i {}", row["time"]));
    let verdict = Verdict::of(&config, &influx, &["--open"]);
    assert_eq!((verdict.code, verdict.count("different", "http_all")), (1, 1), "{}", verdict.log);
}

#[test]
fn killed_while_it_re_keys_it_goes_on_to_the_same_numbers() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("rekey-crash"));
    let keyed = format!("{}.keyed", names.topic);
    kafka.create_topic(&names.topic, 5);
    kafka.create_topic(&keyed, 3);
    let second = format!("[[inputs]]\ntopic = {keyed:?}\n");
    let config = ProcessorConfig::new(&kafka, &influx, &names).unkeyed().extra(&second);
    let spawn = |topic: &str, seed: String, unkeyed: bool| {
        let args = untidy(&kafka, topic, "1500", &seed, "15000", unkeyed);
        Producer::spawn(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for life in 1..=3 {
        let mut processor = Processor::run(&config, &[]);
        processor.await_ready();
        // Each life has records of its own, however long Kafka takes to give up the one before.
        let producers =
            [spawn(&names.topic, format!("1{life}"), true), spawn(&keyed, format!("2{life}"), false)];
        processor.await_consumed(15_000);
        processor.process.kill();
        for mut producer in producers {
            producer.finish();
        }
    }
    Processor::run_until_end(&config);
    let numbers = Numbers::of(&influx);
    // Before another group sets the same records aside once more.
    Verdict::of(&config, &influx, &["--open"]).assert_equal();

    let (undisturbed, others) = (Influx::start_own(), Names::unique("undisturbed"));
    let others = Names { topic: names.topic, ..others };
    Processor::run_until_end(&ProcessorConfig::new(&kafka, &undisturbed, &others).unkeyed().extra(&second));
    assert!(numbers.sum("raw_10s", "http_all", "requests") > 40_000, "most events are requests");
    numbers.assert_equal(&Numbers::of(&undisturbed));
}

fn untidy(kafka: &Kafka, topic: &str, rate: &str, seed: &str, count: &str, unkeyed: bool) -> Vec<String> {
    let mut args = vec![
        "run",
        "--brokers",
        kafka.bootstrap(),
        "--topic",
        topic,
        "--rate",
        rate,
        "--count",
        count,
        "--seed",
        seed,
        "--users",
        "2000",
        "--out-of-order",
        "0.1",
        "--duplicates",
        "0.02",
        "--invalid",
        "0.01",
    ];
    if unkeyed {
        args.extend(["--property", "partitioner=random"]);
    }
    args.into_iter().map(str::to_owned).collect()
}

/// What, window start in milliseconds.
type Key = (String, i64);

fn expected(told: &Value, size_s: i64, with_users: bool) -> BTreeMap<Key, i64> {
    let window = |start_ms: i64| start_ms - start_ms.rem_euclid(size_s * 1_000);
    let int = |value: &Value| value.as_i64().expect("an integer");
    let mut numbers = BTreeMap::new();
    let mut add = |what: String, at: i64, of: i64| *numbers.entry((what, at)).or_default() += of;
    for part in told["windows"].as_array().expect("a list of windows") {
        let at = window(int(&part["start_ms"]));
        for http in part["http"].as_array().expect("a list of requests") {
            add(
                format!("{} {} {}", http["method"], http["route"], http["status"]),
                at,
                int(&http["requests"]),
            );
        }
        for (event_type, count) in part["events"].as_object().expect("counts by type") {
            add(event_type.clone(), at, int(count));
        }
        if with_users {
            add("users".to_owned(), at, int(&part["users"]));
        }
    }
    for checkout in told["checkouts"].as_array().expect("a list of checkouts") {
        let at = window(int(&checkout["time_us"]).div_euclid(1_000));
        add("checkouts".to_owned(), at, 1);
        add("attributed".to_owned(), at, i64::from(checkout["attributed"] == true));
        add("revenue_cents".to_owned(), at, int(&checkout["amount_cents"]));
    }
    numbers.retain(|_, number| *number != 0);
    numbers
}

fn found(influx: &Influx, bucket: &str, with_users: bool) -> BTreeMap<Key, i64> {
    let mut numbers = BTreeMap::new();
    let mut put = |what: String, row: &integration_tests::Row, field: &str| {
        let number = row[field].as_i64().expect("an integer");
        if number != 0 {
            numbers.insert((what, row["time"].as_i64().expect("a time")), number);
        }
    };
    for row in influx.points(bucket, "http") {
        let status: u64 = row["status"].as_str().and_then(|text| text.parse().ok()).expect("a status");
        put(format!("{} {} {status}", row["method"], row["route"]), &row, "requests");
    }
    for row in influx.points(bucket, "events") {
        put(row["event_type"].as_str().expect("a text").to_owned(), &row, "count");
    }
    for row in influx.points(bucket, "http_all").iter().filter(|_| with_users) {
        put("users".to_owned(), row, "users");
    }
    for row in influx.points(bucket, "first_click") {
        for field in ["checkouts", "attributed", "revenue_cents"] {
            put(field.to_owned(), &row, field);
        }
    }
    numbers
}

/// How many different records were set aside, each checked against the original.
fn set_aside(originals: &[Record], aside: &[Record], topic: &str) -> usize {
    let by_position: BTreeMap<_, _> = originals.iter().map(|of| ((of.partition, of.offset), of)).collect();
    let mut positions = std::collections::BTreeSet::new();
    for record in aside {
        let number = |name: &str| record.headers[name].parse::<i64>().expect("a number");
        let position = (number("partition") as i32, number("offset"));
        let original = by_position[&position];
        assert_eq!(record.headers["topic"], topic);
        assert_eq!((&record.key, &record.value), (&original.key, &original.value), "the original bytes");
        assert!(positions.insert(position), "{position:?} is there once");
    }
    positions.len()
}
