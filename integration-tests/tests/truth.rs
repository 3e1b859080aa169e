//! What InfluxDB, the dead-letter topic and the late topic hold of an untidy stream is exactly what they should.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use integration_tests::{Influx, Kafka, Naive, Names, Processor, ProcessorConfig, Producer, Record, Row};
use serde_json::{Value, json};

/// How many records the producer sends.
const COUNT: i64 = 200_000;

/// A moment before a full hour, so that every resolution has several windows.
const START: &str = "2026-01-15T08:56:30Z";

#[test]
fn an_untidy_stream_gives_the_numbers_of_the_contract() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("truth"));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let truth = dir.path().join("truth.json");
    kafka.create_topic(&names.topic, 4);
    Producer::run_to(
        &kafka,
        &names,
        &format!(
            "--count {COUNT} --rate 500 --unpaced --start-time {START} --seed 42 --users 3000 \
         --out-of-order 0.1 --late 0.01 --duplicates 0.02 --invalid 0.01 --truth {}",
            truth.to_str().expect("a plain path")
        ),
    );
    let said = Processor::run_until_end(&ProcessorConfig::new(&kafka, &influx, &names));

    let records = kafka.read_all(&names.topic);
    assert_eq!(records.len() as i64, COUNT);
    let naive = Naive::of(&records);
    assert!(
        naive.late.len() > 1_000 && naive.rejected.len() > 1_000 && naive.duplicates > 1_000,
        "the stream is untidy"
    );

    let told: Value =
        serde_json::from_str(&std::fs::read_to_string(&truth).expect("the truth file is written"))
            .expect("the truth file is JSON");
    let buckets = influx.buckets();
    for (bucket, size_s) in [(&buckets.raw, 10), (&buckets.minute, 60), (&buckets.hour, 3_600)] {
        for expected in
            [Expected::by_the_truth_file(&told, size_s), Expected::by_the_naive_model(&naive, size_s)]
        {
            counts_are_right(&influx, bucket, &expected);
        }
        latencies_are_right(&influx.points(bucket, "latency"), &naive, size_s);
        top_users_are_right(&influx.points(bucket, "user_top"), &naive, size_s);
        let mut quality: BTreeMap<String, i64> = BTreeMap::new();
        for row in influx.points(bucket, "quality") {
            *quality.entry(text(&row, "reason")).or_default() += int(&row, "count");
        }
        let (duplicates, late) = (quality.remove("duplicate"), quality.remove("late"));
        assert_eq!(duplicates, told["records"]["duplicates"].as_i64(), "duplicates in {bucket}");
        assert_eq!(late, told["records"]["late"].as_i64(), "late events in {bucket}");
        assert_eq!(json!(quality), told["records"]["invalid"], "rejections in {bucket}");
    }
    let dead_letters = kafka.read_all(&names.dead_letters());
    assert_eq!(json!(by_reason(&dead_letters)), told["records"]["invalid"]);

    let rejected = set_aside(&records, &dead_letters, &names.topic);
    assert_eq!(rejected, naive.rejected, "the dead-letter topic holds the rejected records");
    let late = set_aside(&records, &kafka.read_all(&names.late()), &names.topic);
    assert_eq!(late, naive.late, "the late topic holds the late events");

    let counted = naive.counted.len() as i64;
    assert_eq!(
        counted + naive.duplicates as i64 + naive.late.len() as i64 + naive.rejected.len() as i64,
        COUNT
    );
    for (number, what) in [(COUNT, "consumed"), (counted, "counted")] {
        assert!(said.contains(&number.to_string()), "it says that {number} records were {what}:\n{said}");
    }
}

#[test]
fn the_producer_sends_the_disorder_that_it_reports() {
    let (kafka, names) = (Kafka::start(), Names::unique("disorder"));
    kafka.create_topic(&names.topic, 4);
    let said = Producer::run_to(
        &kafka,
        &names,
        &format!(
            "--count 50000 --rate 500 --unpaced --start-time {START} --seed 7 --out-of-order 0.1 \
         --late 0.01 --duplicates 0.02 --invalid 0.01"
        ),
    );
    let naive = Naive::of(&kafka.read_all(&names.topic));
    let (late, duplicates, rejected) = (naive.late.len(), naive.duplicates, naive.rejected.len());
    let expected = format!("{late} too late, {duplicates} duplicates, {rejected} invalid");
    assert!(said.contains(&expected), "it reports {expected}:\n{said}");
}

/// What the windows of one length have to hold, by their starts in milliseconds.
struct Expected {
    source: String,
    /// By route, method and status too.
    requests: BTreeMap<(i64, String, String, u64), i64>,
    /// Distinct ones; absent where the source does not know.
    users: Option<BTreeMap<i64, i64>>,
    events: BTreeMap<(i64, String), i64>,
    /// By currency too: checkouts, orders, attributed checkouts, revenue and attributed revenue.
    first_clicks: BTreeMap<(i64, String), [i64; 5]>,
}

impl Expected {
    fn by_the_naive_model(naive: &Naive, size_s: i64) -> Self {
        Self {
            source: format!("the naive model, {size_s} s"),
            requests: naive.requests(size_s),
            users: Some(naive.users(size_s)),
            events: naive.events(size_s),
            first_clicks: naive.first_clicks(size_s),
        }
    }

    /// The producer's windows of 10 s, added up to windows of `size_s`.
    fn by_the_truth_file(truth: &Value, size_s: i64) -> Self {
        let window = |start_ms: i64| start_ms - start_ms.rem_euclid(size_s * 1_000);
        let int = |value: &Value| value.as_i64().expect("an integer");
        let word = |value: &Value| value.as_str().expect("a text").to_owned();
        let mut expected = Self {
            source: format!("the truth file, {size_s} s"),
            requests: BTreeMap::new(),
            users: (size_s == 10).then(BTreeMap::new),
            events: BTreeMap::new(),
            first_clicks: BTreeMap::new(),
        };
        for part in truth["windows"].as_array().expect("a list of windows") {
            let start = window(int(&part["start_ms"]));
            if let Some(users) = &mut expected.users {
                users.insert(start, int(&part["users"]));
            }
            for http in part["http"].as_array().expect("a list of requests") {
                let status = http["status"].as_u64().expect("a status");
                let key = (start, word(&http["route"]), word(&http["method"]), status);
                *expected.requests.entry(key).or_default() += int(&http["requests"]);
            }
            for (event_type, count) in part["events"].as_object().expect("counts by type") {
                *expected.events.entry((start, event_type.clone())).or_default() += int(count);
            }
        }
        for checkout in truth["checkouts"].as_array().expect("a list of checkouts") {
            let cents = int(&checkout["amount_cents"]);
            let start = window(int(&checkout["time_us"]).div_euclid(1_000));
            // Our producer names no currency, and its orders have one line.
            let [checkouts, orders, attributed, revenue, attributed_revenue] =
                expected.first_clicks.entry((start, "none".to_owned())).or_default();
            *checkouts += 1;
            *orders += 1;
            *revenue += cents;
            if checkout["attributed"] == true {
                *attributed += 1;
                *attributed_revenue += cents;
            }
        }
        expected
    }
}

fn counts_are_right(influx: &Influx, bucket: &str, expected: &Expected) {
    let source = &expected.source;
    let http = influx.points(bucket, "http");
    let key = |row: &Row| (time(row), text(row, "route"), text(row, "method"), status(row));
    assert_same(
        &format!("requests per route, method and status ({source})"),
        &nonzero(http.iter().map(|row| (key(row), int(row, "requests")))),
        &expected.requests,
    );
    for row in &http {
        let share = |holds: bool| if holds { int(row, "requests") } else { 0 };
        assert_eq!(int(row, "errors"), share((500..600).contains(&status(row))), "{row:?}");
        assert_eq!(int(row, "client_errors"), share((400..500).contains(&status(row))), "{row:?}");
    }

    let mut per_status = BTreeMap::new();
    let mut totals: BTreeMap<i64, [i64; 3]> = BTreeMap::new();
    for ((window, _, _, status), requests) in &expected.requests {
        *per_status.entry((*window, *status)).or_default() += requests;
        let [all, errors, client_errors] = totals.entry(*window).or_default();
        *all += requests;
        *errors += if (500..600).contains(status) { *requests } else { 0 };
        *client_errors += if (400..500).contains(status) { *requests } else { 0 };
    }
    let http_status = influx.points(bucket, "http_status");
    assert_same(
        &format!("requests per status ({source})"),
        &nonzero(http_status.iter().map(|row| ((time(row), status(row)), int(row, "requests")))),
        &per_status,
    );
    for row in &http_status {
        assert_eq!(Some(int(row, "total")), totals.get(&time(row)).map(|[all, ..]| *all), "{row:?}");
    }

    let http_all = influx.points(bucket, "http_all");
    let fields = ["requests", "errors", "client_errors"];
    assert_same(
        &format!("all requests ({source})"),
        &http_all
            .iter()
            .map(|row| (time(row), fields.map(|field| int(row, field))))
            .filter(|it| it.1 != [0; 3])
            .collect(),
        &totals,
    );
    for row in http_all.iter().filter(|row| int(row, "requests") > 0) {
        let ratio = int(row, "errors") as f64 / int(row, "requests") as f64;
        assert!((float(row, "error_ratio") - ratio).abs() < 1e-9, "{row:?}");
    }
    if let Some(users) = &expected.users {
        let found = nonzero(http_all.iter().map(|row| (time(row), int(row, "users"))));
        assert_same(&format!("distinct users ({source})"), &found, users);
    }

    let events = influx.points(bucket, "events");
    assert_same(
        &format!("events ({source})"),
        &nonzero(events.iter().map(|row| ((time(row), text(row, "event_type")), int(row, "count")))),
        &expected.events,
    );

    let first_click = influx.points(bucket, "first_click");
    let fields = ["checkouts", "orders", "attributed", "revenue_cents", "attributed_revenue_cents"];
    assert_same(
        &format!("first clicks ({source})"),
        &first_click
            .iter()
            .map(|row| ((time(row), text(row, "currency")), fields.map(|field| int(row, field))))
            .filter(|it| it.1 != [0; 5])
            .collect(),
        &expected.first_clicks,
    );
    for row in &first_click {
        assert_eq!(int(row, "attributed") + int(row, "unattributed"), int(row, "checkouts"), "{row:?}");
    }
}

/// Counts and maxima exactly, percentiles within the sketch's stated error of 1/128.
fn latencies_are_right(rows: &[Row], naive: &Naive, size_s: i64) {
    let expected = naive.latencies(size_s);
    let mut seen = 0;
    for row in rows.iter().filter(|row| int(row, "count") > 0) {
        let values =
            expected.get(&(time(row), text(row, "route"))).unwrap_or_else(|| panic!("unexpected {row:?}"));
        seen += 1;
        assert_eq!(int(row, "count"), values.len() as i64, "{row:?}");
        let close = |field: &str, exact: f64, neighbours: &[f64]| {
            let found = float(row, field);
            let near = |value: f64| (found - value).abs() <= value / 128.0 + 1e-3;
            assert!(
                near(exact) || neighbours.iter().any(|value| near(*value)),
                "{field} near {exact}: {row:?}"
            );
        };
        close("max_ms", values[values.len() - 1], &[]);
        for (field, share) in [("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)] {
            // Definitions of a percentile differ by one rank; either neighbour is right.
            let rank = (share * values.len() as f64) as usize;
            let around = &values[rank.saturating_sub(1)..(rank + 1).min(values.len())];
            close(field, around[around.len() - 1], around);
        }
    }
    assert_eq!(seen, expected.len(), "every route with requests has its latency ({size_s} s)");
}

fn top_users_are_right(rows: &[Row], naive: &Naive, size_s: i64) {
    const RANKS: usize = 20;
    let mut counts: BTreeMap<i64, BTreeMap<&str, i64>> = BTreeMap::new();
    for event in naive.counted.iter().filter(|event| event.request.is_some()) {
        let Some(user) = event.user.as_deref() else { continue };
        let window = event.time.div_euclid(size_s * 1_000_000) * size_s * 1_000;
        *counts.entry(window).or_default().entry(user).or_default() += 1;
    }
    let mut found: BTreeMap<i64, BTreeMap<String, i64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| int(row, "requests") > 0) {
        assert_eq!(
            counts[&time(row)].get(text(row, "user_id").as_str()),
            Some(&int(row, "requests")),
            "{row:?}"
        );
        found.entry(time(row)).or_default().insert(text(row, "rank"), int(row, "requests"));
    }
    for (window, counts) in counts {
        let mut best: Vec<i64> = counts.into_values().collect();
        best.sort_unstable_by(|left, right| right.cmp(left));
        best.truncate(RANKS);
        let ranked: Vec<i64> = found.remove(&window).unwrap_or_default().into_values().collect();
        assert_eq!(ranked, best, "top users of the window at {window} ({size_s} s)");
    }
}

/// Positions of the records in a topic of records set aside, each checked against the original.
fn set_aside(originals: &[Record], aside: &[Record], topic: &str) -> BTreeSet<(i32, i64)> {
    let by_position: BTreeMap<_, _> = originals.iter().map(|it| ((it.partition, it.offset), it)).collect();
    let mut positions = BTreeSet::new();
    for record in aside {
        let header =
            |name: &str| record.headers.get(name).unwrap_or_else(|| panic!("a header {name}: {record:?}"));
        let number = |name: &str| header(name).parse::<i64>().expect("a number");
        let position = (i32::try_from(number("partition")).expect("a partition"), number("offset"));
        let original = by_position[&position];
        assert_eq!(header("topic"), topic);
        assert_eq!(
            (&record.key, &record.value),
            (&original.key, &original.value),
            "the original bytes: {record:?}"
        );
        assert!(!header("reason").is_empty() && !header("detail").is_empty(), "{record:?}");
        assert!(positions.insert(position), "{position:?} is there once");
    }
    positions
}

fn by_reason(dead_letters: &[Record]) -> BTreeMap<String, i64> {
    let mut reasons = BTreeMap::new();
    dead_letters.iter().for_each(|record| *reasons.entry(record.headers["reason"].clone()).or_default() += 1);
    reasons
}

fn assert_same<K: Ord + Debug, V: PartialEq + Debug>(
    what: &str,
    found: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) {
    assert!(!expected.is_empty(), "{what}: there is something to compare with");
    let keys: BTreeSet<&K> = found.keys().chain(expected.keys()).collect();
    let differ = |key: &&K| found.get(key) != expected.get(key);
    let show = |key: &K| format!("{key:?}: expected {:?}, found {:?}", expected.get(key), found.get(key));
    let different: Vec<String> = keys.into_iter().filter(differ).map(show).collect();
    let shown = different.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(different.is_empty(), "{what}: {} of {} differ\n{shown}", different.len(), expected.len());
}

fn nonzero<K: Ord>(points: impl Iterator<Item = (K, i64)>) -> BTreeMap<K, i64> {
    points.filter(|(_, count)| *count != 0).collect()
}

fn time(row: &Row) -> i64 {
    int(row, "time")
}

fn status(row: &Row) -> u64 {
    text(row, "status").parse().expect("a status is a number")
}

fn int(row: &Row, key: &str) -> i64 {
    row.get(key).and_then(serde_json::Value::as_i64).unwrap_or_else(|| panic!("an integer {key} in {row:?}"))
}

fn float(row: &Row, key: &str) -> f64 {
    row.get(key).and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("a number {key} in {row:?}"))
}

fn text(row: &Row, key: &str) -> String {
    row.get(key)
        .and_then(serde_json::Value::as_str)
        .unwrap_or_else(|| panic!("a text {key} in {row:?}"))
        .to_owned()
}
