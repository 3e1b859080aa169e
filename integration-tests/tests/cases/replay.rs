//! Dead letters sent again once their cause is gone.

use std::time::Duration;

use integration_tests::{Processor, ProcessorConfig, Send, eventually};
use serde_json::json;

use crate::support::{Case, Services, counts, int, now_ms, tests};

tests!["replay": a_letter_of_the_future_is_counted_once_in_its_own_partition_once_its_time_has_come,
    a_letter_that_lacked_a_field_is_counted_where_it_belongs_once_its_name_is_known];

/// Of u0, by the Java client's hash of keys; librdkafka's would be another.
const PARTITION: i32 = 2;
const PARTITIONS: i32 = 4;

fn a_letter_of_the_future_is_counted_once_in_its_own_partition_once_its_time_has_come(services: &Services) {
    let mut case = Case::new(services, "06-future", PARTITIONS);
    case.config = case.config.windows("max_future_skew", "\"2s\"").windows("idle_after", "\"2s\"");
    let mut processor = Processor::run(&case.config, &[]);
    processor.await_ready();
    let due = now_ms() / 1_000 + 6;
    case.send(&[
        of_u0(&json!({"event_id": "e1", "user_id": "u0", "url": "/a", "http_status": 200, "event_timestamp": due})),
        of_u0(&json!({"user_id": "u0", "url": "/b", "http_status": 200, "event_timestamp": due})),
    ]);
    eventually("both are dead letters", || match case.letters().len() {
        2 => Ok(()),
        found => Err(format!("{found} are")),
    });
    eventually("their time has come", || match now_ms() - (due + 1) * 1_000 {
        past if past > 0 => Ok(()),
        left => Err(format!("{left} ms")),
    });
    for _ in 0..3 {
        replay(&case.config, "future_timestamp");
    }
    eventually("both are counted", || match raw_requests(&case) {
        found if found >= 2 => Ok(()),
        found => Err(format!("{found} are")),
    });
    assert_eq!(case.kafka.read_all(&case.names.topic).len(), 4, "each was sent once more");
    // The end of a transaction takes an offset, too.
    let ends = case.kafka.end_offsets(&case.names.topic);
    assert!(
        ends.iter().enumerate().all(|(at, end)| (at == PARTITION as usize) == (*end > 0)),
        "{ends:?}: where it was"
    );
    eventually("the replays are read to their end", || {
        let committed = case.kafka.committed(&case.names.group, &case.names.topic);
        if committed[PARTITION as usize] >= Some(4) { Ok(()) } else { Err(format!("{committed:?}")) }
    });
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
    assert_eq!(raw_requests(&case), 2);
    assert_eq!(case.letters().len(), 2, "none was refused again");
}

fn a_letter_that_lacked_a_field_is_counted_where_it_belongs_once_its_name_is_known(services: &Services) {
    let mut case = Case::new(services, "06-field", PARTITIONS);
    let at = |second: i64| 1_755_010_800 + second;
    case.send(&[
        of_u0(&json!({"event_id": "a", "visitor": "u0", "url": "/", "http_status": 200, "event_timestamp": at(1)})),
        of_u0(&json!({"event_id": "b", "event_type": "product_click", "visitor": "u0", "product_id": "p1",
            "campaign_id": "spring", "event_timestamp": at(2)})),
        of_u0(&json!({"event_id": "c", "user_id": "u0", "url": "/", "http_status": 200, "event_timestamp": at(3)})),
    ]);
    Processor::run_until_end(&case.config);
    case.config = case.config.extra("[inputs.fields]\nvisitor = \"user_id\"");
    replay(&case.config, "missing_field");
    case.send(&[of_u0(
        &json!({"event_id": "d", "event_type": "checkout", "user_id": "u0", "product_id": "p1",
        "checkout_id": "o1", "amount": 10, "event_timestamp": at(5)}),
    )]);
    Processor::run_until_end(&case.config);

    assert_eq!(case.sum("http_all", "requests"), 2);
    assert_eq!(case.users(), [1]);
    assert_eq!(case.sum("first_click", "attributed"), 1);
    let credited = case.by("attribution", "campaign", "conversions");
    assert_eq!(credited, counts([("spring", 1)]));
}

fn of_u0(event: &serde_json::Value) -> Send {
    let value = Some(event.to_string().into_bytes());
    Send { partition: PARTITION, key: Some("u0".to_owned()), value, ..Send::default() }
}

fn replay(config: &ProcessorConfig, reason: &str) {
    let args = ["--reason", reason, "--yes"];
    let mut replay = Processor::spawn("dlq replay", &config.to_toml(), config.http_port, &args);
    assert_eq!(replay.process.wait(Duration::from_secs(60)), 0, "{}", replay.process.log());
}

fn raw_requests(case: &Case<'_>) -> i64 {
    let points = case.influx.read(&case.influx.buckets().raw, "http_all");
    points.iter().map(|point| int(point, "requests")).sum()
}
