//! Inputs that Kafka compacts: what of them is gone, no restart takes from the numbers.

use std::time::Duration;

use integration_tests::{Influx, Kafka, Names, Processor, ProcessorConfig, eventually};
use serde_json::json;

/// 2026-01-15T09:00:00Z, milliseconds.
const HOUR: i64 = 1_768_467_600_000;
const USERS: i64 = 10;

/// Old segments are compacted as soon as Kafka looks at them.
const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact,delete"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.01")];

#[test]
fn a_restart_over_a_compacted_log_makes_no_window_smaller() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("compacted"));
    let config = ProcessorConfig::new(&kafka, &influx, &names).windows("idle_after", "\"1s\"");
    kafka.create_topic_with(&names.topic, 1, &COMPACTED);

    let mut check = Processor::spawn("check", &config.to_toml(), config.http_port, &[]);
    assert_eq!(check.process.wait(Duration::from_secs(60)), 0);
    let said = check.process.log();
    let verdict = said.lines().find(|line| line.contains("cleanup.policy: is compact")).unwrap_or_default();
    assert!(verdict.starts_with("warn") && verdict.contains("min.compaction.lag.ms"), "{said}");

    let processor = counted_over_a_compaction(&kafka, &influx, &names, &config);
    processor.await_said("the topic is compacted");
    assert!(processor.process.log().contains("the topic is compacted"), "{}", processor.process.log());
}

#[test]
fn a_snapshot_keeps_of_a_compacted_log_what_cannot_be_read_again() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("compacted-state"));
    let state = tempfile::tempdir().expect("a temporary folder");
    let config = ProcessorConfig::new(&kafka, &influx, &names)
        .windows("idle_after", "\"1s\"")
        .extra(&format!("[state]\nurl = {:?}\n", state.path()));
    kafka.create_topic_with(&names.topic, 1, &COMPACTED);
    counted_over_a_compaction(&kafka, &influx, &names, &config);
    let users: Vec<_> = hour(&influx, "users");
    assert_eq!(users, [USERS], "each is known to have been there before");
}

#[test]
fn what_is_younger_than_the_lag_is_read_again() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("compacted-lag"));
    let config = ProcessorConfig::new(&kafka, &influx, &names).windows("idle_after", "\"1s\"");
    let lag = [&COMPACTED[..], &[("min.compaction.lag.ms", "10800000")]].concat();
    kafka.create_topic_with(&names.topic, 1, &lag);
    let mut first = Processor::run(&config, &[]);
    views(&kafka, &names.topic, 0, 30);
    await_requests(&influx, 30 * USERS);
    assert_eq!(first.terminate(), 0, "{}", first.process.log());
    views(&kafka, &names.topic, 5, 2);
    let mut second = Processor::run(&config, &[]);
    await_requests(&influx, 32 * USERS);
    assert_eq!(second.terminate(), 0, "{}", second.process.log());
    assert_eq!((hour(&influx, "requests"), hour(&influx, "users")), (vec![32 * USERS], vec![USERS]));
}

/// Counts, lets Kafka compact what was counted while nothing runs, and counts on.
fn counted_over_a_compaction(
    kafka: &Kafka,
    influx: &Influx,
    names: &Names,
    config: &ProcessorConfig,
) -> Processor {
    let mut first = Processor::run(config, &[]);
    views(kafka, &names.topic, 0, 30);
    await_requests(influx, 30 * USERS);
    assert_eq!(first.terminate(), 0, "{}", first.process.log());

    let written = kafka.end_offsets(&names.topic)[0];
    // Another segment begins with this; the one before can be compacted.
    views(kafka, &names.topic, 5, 2);
    eventually("Kafka has compacted what was counted", || {
        let left = kafka.read_all(&names.topic).into_iter().filter(|record| record.offset < written).count();
        if left as i64 <= 2 * USERS { Ok(()) } else { Err(format!("{left} of {written} records are left")) }
    });
    let unread = kafka.read_all(&names.topic).into_iter().filter(|record| record.offset >= written).count();

    let second = Processor::run(config, &[]);
    await_requests(influx, 30 * USERS + unread as i64);
    // The hour is rewritten with the next values of its windows.
    eventually("the hour has them all", || {
        let requests = hour(influx, "requests");
        if requests == [30 * USERS + unread as i64] { Ok(()) } else { Err(format!("{requests:?}")) }
    });
    second
}

/// `rounds` page views of each user within a second of event time.
fn views(kafka: &Kafka, topic: &str, from_s: i64, rounds: i64) {
    let view = |at: i64| {
        let (user, time_ms) = (format!("user-{}", at % USERS), HOUR + from_s * 1_000 + at % 10 * 100);
        let event = json!({
            "user_id": user, "event_timestamp": time_ms, "event_type": "page_view", "url": "/home", "http_status": 200,
        });
        (user, event.to_string())
    };
    let all: Vec<_> = (0..rounds * USERS).map(view).collect();
    kafka.produce(topic, all.iter().map(|(user, event)| (user.as_str(), event.as_bytes())));
}

/// A field of `http_all` in the bucket of hours.
fn hour(influx: &Influx, field: &str) -> Vec<i64> {
    let rows = influx.points(&influx.buckets().hour, "http_all");
    rows.iter().map(|row| row[field].as_i64().expect("an integer")).filter(|value| *value > 0).collect()
}

fn await_requests(influx: &Influx, wanted: i64) {
    eventually(&format!("{wanted} requests are written"), || {
        let rows = influx.points(&influx.buckets().raw, "http_all");
        let found: i64 = rows.iter().map(|row| row["requests"].as_i64().expect("an integer")).sum();
        if found == wanted { Ok(()) } else { Err(format!("{found} are")) }
    });
}
