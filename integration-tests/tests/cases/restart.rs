//! A processor killed amid records that lack a user, name currencies, or are lines of orders.

use std::collections::{BTreeMap, BTreeSet};

use integration_tests::{Names, Numbers, Processor, ProcessorConfig, Producer, Record, Verdict, eventually};
use serde_json::json;

use crate::support::{Case, Services, lines, now_ms, plain, tests};

tests!["restart": killed_amid_these_cases_it_goes_on_to_the_same_numbers];

/// 2025-08-12T15:00:00Z, when the files of cases begin.
const T: i64 = 1_755_010_800;
/// So many seconds of a produced stream come before that, and there are so many in all.
const BEFORE: usize = 200;
const SECONDS: usize = 300;
const PARTITIONS: i32 = 4;
/// Those whose every line is of about that time.
const FILES: [&str; 12] = [
    "04-amount-float-noise.ndjson",
    "05-anonymous-user.ndjson",
    "08-order-status.ndjson",
    "09-jsessionid.ndjson",
    "11-order-lines.ndjson",
    "12-currencies.ndjson",
    "15-proxy-status.ndjson",
    "19-control-characters.ndjson",
    "20-device-object.ndjson",
    "21-no-url.ndjson",
    "24-numeric-ids.ndjson",
    "27-event-types.ndjson",
];

fn killed_amid_these_cases_it_goes_on_to_the_same_numbers(services: &Services) {
    let mut case = Case::new(services, "restart", PARTITIONS);
    // Pauses here are those of the test, which the wall clock should not take for the stream's.
    case.config = case.config.windows("idle_after", "\"1h\"");
    let stream = stream(&case);
    let send = |from: usize, to: usize| {
        let part = stream.iter().filter(|(second, _)| (from..to).contains(second));
        case.kafka.produce_again(&case.names.topic, part.map(|(_, record)| record));
        stream.iter().filter(|(second, _)| *second < to).count() as u64
    };

    let mut processor = Processor::run(&case.config, &[]);
    processor.await_ready();
    send(0, BEFORE / 2);
    eventually("it goes on from a commit", || {
        let committed = case.kafka.committed(&case.names.group, &case.names.topic);
        if committed.iter().all(|offset| *offset > Some(0)) { Ok(()) } else { Err(format!("{committed:?}")) }
    });
    // Five lines of each file are read when it dies, and the others are not.
    processor.await_consumed(send(BEFORE / 2, BEFORE + 5));
    let status = processor.status().expect("it answers");
    let tasks = status["tasks"].as_array().into_iter().flatten();
    let open: u64 = tasks.filter_map(|task| task["open_windows"].as_u64()).sum();
    assert!(open > 0, "it dies in the middle of windows: {status}");
    processor.process.kill();
    send(BEFORE + 5, SECONDS);
    case.run();

    // What this is about is there.
    let quality = case.by("quality", "reason", "count");
    for reason in ["incomplete", "unusable", "repeated_checkout", "duplicate", "late", "not_json"] {
        assert!(quality.contains_key(reason), "{reason}: {quality:?}");
    }
    let currencies = case.by("first_click", "currency", "revenue_cents");
    let currencies: BTreeSet<&str> = currencies.keys().map(String::as_str).collect();
    assert_eq!(currencies, ["EUR", "JPY", "USD", "none"].into());
    assert!(
        case.sum("first_click", "checkouts") > case.sum("first_click", "orders"),
        "orders of several lines"
    );

    let verdict = Verdict::of(&case.config, &case.influx, &["--open"]);
    verdict.assert_equal();
    assert_eq!(verdict.json["records"]["read"].as_u64(), Some(stream.len() as u64), "{}", verdict.log);

    let influx = services.influx.beside("case-restart-undisturbed");
    let names = Names { topic: case.names.topic.clone(), ..Names::unique("case-restart-undisturbed") };
    let undisturbed = ProcessorConfig::new(case.kafka, &influx, &names).windows("idle_after", "\"1h\"");
    Processor::run_until_end(&undisturbed);
    Numbers::of(&case.influx).assert_equal(&Numbers::of(&influx));
}

/// Records of our producer, with all its disorder, and the cases among them, each with the second in which it comes.
fn stream(case: &Case<'_>) -> Vec<(usize, Record)> {
    let produced = Names::unique("case-restart-produced");
    case.kafka.create_topic(&produced.topic, PARTITIONS);
    let (rate, start) = (100, T - BEFORE as i64);
    let count = rate * SECONDS;
    let disorder = "--out-of-order 0.05 --invalid 0.05 --late 0.02 --duplicates 0.02";
    let pace = format!("--rate {rate} --count {count} --unpaced --start-time {start}");
    Producer::run_to(case.kafka, &produced, &format!("{pace} --users 500 --seed 16 {disorder}"));
    let mut stream = Vec::new();
    let records = case.kafka.read_all(&produced.topic);
    assert_eq!(records.len(), count);
    for partition in records.chunk_by(|left, right| left.partition == right.partition) {
        let second = |number: usize| number * SECONDS / partition.len();
        stream.extend((0..).zip(partition.iter().cloned()).map(|(number, record)| (second(number), record)));
    }
    let files = FILES.map(|file| of_its_own(file, lines(file)));
    for (number, lines) in (0..).zip([&nobodys()].into_iter().chain(&files)) {
        let record = |line: &String| record(number % PARTITIONS, line);
        stream.extend((BEFORE..).zip(lines.iter().map(record)));
    }
    // Stable, so that each partition and each file stays in order.
    stream.sort_by_key(|(second, _)| *second);
    stream
}

/// The users and orders of a file, unlike those of any other, as each file has a u1 and an o1.
fn of_its_own(file: &str, lines: Vec<String>) -> Vec<String> {
    let number = &file[..2];
    let own = |line: String| {
        let line = line.replace("\"user_id\":\"u", &format!("\"user_id\":\"{number}-u"));
        line.replace("\"checkout_id\":\"o", &format!("\"checkout_id\":\"{number}-o"))
    };
    lines.into_iter().map(own).collect()
}

/// What comes without a user: health checks, and orders of several lines.
fn nobodys() -> Vec<String> {
    let line = |second: i64| {
        let at = T + second;
        let event = match second % 4 {
            0 => json!({"url": "/health", "http_status": 200, "event_timestamp": at}),
            1 => json!({"user_id": "", "url": "/health", "http_status": 503, "event_timestamp": at}),
            2 => {
                json!({"event_type": "checkout", "product_id": format!("p{second}"), "checkout_id": "o-1", "amount": 1,
                "currency": "EUR", "event_timestamp": at})
            }
            // One more line of the order of the line before, of somebody, and then the same line again.
            _ => {
                json!({"event_type": "checkout", "user_id": "several", "product_id": format!("p{}", second / 8),
                "checkout_id": "several-1", "amount": "2.50", "currency": " eur", "event_timestamp": at})
            }
        };
        event.to_string()
    };
    (0..16).map(line).collect()
}

fn record(partition: i32, line: &str) -> Record {
    let sent = plain(partition, line);
    Record {
        partition: sent.partition,
        offset: 0,
        key: sent.key.map(String::into_bytes),
        value: sent.value.unwrap_or_default(),
        headers: BTreeMap::new(),
        timestamp_ms: now_ms(),
    }
}
