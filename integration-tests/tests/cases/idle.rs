//! Time goes on where records come but none of them counts. Live, with short times: what takes minutes with the defaults
//! takes seconds here. Each look at what has become of it sends one record more to every partition.

use std::collections::BTreeMap;
use std::time::Duration;

use dashboards::{Slo, alert_rules};
use integration_tests::{Processor, Send, eventually, eventually_within};
use serde_json::json;

use crate::rules::alerts;
use crate::support::{Case, Services, int, now_ms, tests};

tests!["idle": windows_close_beside_partitions_of_refused_late_and_repeated_records,
    windows_close_beside_partitions_that_never_had_an_event,
    facts_are_decided_beside_a_relay_whose_partition_has_no_events];

/// How long windows may take to close on a machine with other things to do; they close some 10 s after their end.
const PATIENCE: Duration = Duration::from_secs(60);

fn windows_close_beside_partitions_of_refused_late_and_repeated_records(services: &Services) {
    let case = live(services, "28", 4);
    let start = now_ms();
    let repeat =
        json!({"event_id": "same", "user_id": "d", "url": "/", "http_status": 200, "event_timestamp": start});
    case.send(&[record(1, &view("b", start)), record(2, &view("c", start)), record(3, &repeat)]);
    let late = view("c", start - 600_000);
    let mut processor = Processor::run(&case.config, &[]);
    processor.await_ready();
    let mut rounds = 0;
    await_closed(&processor, start, || {
        rounds += 1;
        let broken = Send { partition: 1, value: Some(b"{\"broken\":".to_vec()), ..Send::default() };
        case.send(&[record(0, &view("a", now_ms())), broken, record(2, &late), record(3, &repeat)]);
    });

    let quality = || by_window_and_reason(&case);
    let of =
        |reason: &str| -> i64 { quality().iter().filter(|((_, r), _)| r == reason).map(|(_, n)| n).sum() };
    eventually("everything is accounted for", || {
        let [refused, late, repeated] = ["not_json", "late", "duplicate"].map(of);
        // A repeat is late, too, once the window of what it repeats has closed.
        let all_there = refused == rounds && late >= rounds && late + repeated == 2 * rounds;
        if all_there { Ok(()) } else { Err(format!("{refused}, {late}, {repeated} of {rounds} each")) }
    });
    let mut expected: BTreeMap<(i64, String), i64> = BTreeMap::new();
    for record in case.kafka.read_all(&case.names.topic) {
        if record.value == b"{\"broken\":" {
            let window = record.timestamp_ms / 10_000 * 10;
            *expected.entry((window, "not_json".to_owned())).or_default() += 1;
        }
    }
    let mut refused = quality();
    refused.retain(|(_, reason), _| reason == "not_json");
    assert_eq!(refused, expected, "refused records count when they came");
    let rule = alert_rules(&Slo::default()).into_iter().find(|rule| rule.uid == "cs-rejected");
    assert!(alerts(&case.influx, &rule.expect("there is such a rule"), now_ms() + 45_000), "{refused:?}");
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
}

fn windows_close_beside_partitions_that_never_had_an_event(services: &Services) {
    let case = live(services, "28-never", 4);
    let start = now_ms();
    let mut processor = Processor::run(&case.config, &[]);
    processor.await_ready();
    await_closed(&processor, start, || {
        let now = now_ms();
        let tombstone = Send { partition: 2, key: Some("gone".to_owned()), ..Send::default() };
        case.send(&[
            record(0, &view("a", now)),
            record(1, &json!({"type": "heartbeat"})),
            tombstone,
            record(3, &view("d", now + 600_000)),
        ]);
    });
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
}

fn facts_are_decided_beside_a_relay_whose_partition_has_no_events(services: &Services) {
    let mut case = live(services, "28-unkeyed", 2);
    case.config = case.config.unkeyed();
    case.send(&[record(1, &view("b", now_ms()))]);
    let mut processor = Processor::run(&case.config, &[]);
    processor.await_ready();
    let mut order = 0;
    eventually_within(PATIENCE, "first clicks follow the events", || {
        let now = now_ms();
        order += 1;
        let click =
            json!({"event_type": "product_click", "user_id": "a", "product_id": "p", "event_timestamp": now});
        let checkout = json!({"event_type": "checkout", "user_id": "a", "product_id": "p", "amount": 1,
            "checkout_id": format!("o{order}"), "event_timestamp": now + 1});
        let broken = Send { partition: 1, value: Some(b"{\"broken\":".to_vec()), ..Send::default() };
        case.send(&[record(0, &click), record(0, &checkout), broken]);
        let points = case.influx.read(&case.influx.buckets().raw, "first_click");
        let attributed: i64 = points.iter().map(|point| int(point, "attributed")).sum();
        if attributed >= 3 { Ok(()) } else { Err(format!("{attributed} of {order} are attributed")) }
    });
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
}

/// Settings with which a window closes 6 s after its end.
fn live<'a>(services: &'a Services, name: &str, partitions: i32) -> Case<'a> {
    let mut case = Case::new(services, name, partitions);
    for (key, value) in
        [("idle_after", "\"2s\""), ("allowed_lateness", "\"5s\""), ("out_of_orderness", "\"1s\"")]
    {
        case.config = case.config.windows(key, value);
    }
    case
}

/// Sends until every window that began in the first ten seconds is closed.
fn await_closed(processor: &Processor, start: i64, mut send: impl FnMut()) {
    let wanted = start / 10_000 * 10_000 + 20_000;
    eventually_within(PATIENCE, "the windows of the beginning are closed", || {
        send();
        let status = processor.status()?;
        let open: Vec<i64> = status["merges"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|merge| merge["oldest_open_ms"].as_i64())
            .collect();
        let oldest = open.iter().min().ok_or("no window is open")?;
        if *oldest >= wanted { Ok(()) } else { Err(format!("{} s to go", (wanted - oldest) / 1_000)) }
    });
}

fn view(user: &str, time_ms: i64) -> serde_json::Value {
    json!({"user_id": user, "url": "/", "http_status": 200, "event_timestamp": time_ms})
}

fn record(partition: i32, event: &serde_json::Value) -> Send {
    Send { partition, value: Some(event.to_string().into_bytes()), ..Send::default() }
}

/// What `quality` has in the finest windows, by their starts in seconds.
fn by_window_and_reason(case: &Case<'_>) -> BTreeMap<(i64, String), i64> {
    let points = case.influx.read(&case.influx.buckets().raw, "quality");
    let counted = points.iter().filter(|point| int(point, "count") != 0);
    counted
        .map(|point| ((point.time_ms / 1_000, point.tags["reason"].clone()), int(point, "count")))
        .collect()
}
