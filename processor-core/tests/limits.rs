//! Whatever comes, a task keeps no more than its limits, and what must stay exact does.

use std::collections::BTreeMap;
use std::sync::Arc;

use events::Timestamp;
use processor_core::{
    Beyond, Checkpoint, FieldValue, Limits, Merge, MergeCheckpoint, MergeOutputs, Options, Record, Task,
    TaskIdentity, TaskOutputs,
};

const START_MS: i64 = 1_755_720_000_000;
const IDENTITY: TaskIdentity = TaskIdentity { partition: 0, tasks: 1, merge_partitions: 1, origin: 1 };

const FEW: Limits =
    Limits { users: 40, products: 25, event_ids: 400, checkout_ids: 40, clicks: 25, waiting_facts: 6 };

/// What limits may take from: everything else is exact.
const INEXACT: [(&str, &[&str]); 6] = [
    ("http_all", &["users"]),
    ("url_top", &["url", "requests", "errors"]),
    ("user_top", &["user_id", "requests", "errors"]),
    ("attribution", &["conversions", "credit", "revenue_cents"]),
    ("first_click", &["attributed", "unattributed", "attributed_revenue_cents", "lag_p50_s", "lag_p95_s"]),
    ("quality", &[]),
];

type Points = BTreeMap<(&'static str, String, i64), BTreeMap<&'static str, FieldValue>>;

fn options(limits: Limits, urls_max: usize) -> Arc<Options> {
    Arc::new(Options { limits, urls_max, ..Options::default() })
}

/// An event of one of many users, URLs, products and ids, and sometimes the last one again.
fn log(seed: u64, events: u64) -> Vec<Vec<u8>> {
    let mut x = seed | 1;
    let mut below = move |n: u64| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 33) % n
    };
    let mut log: Vec<String> = Vec::new();
    for number in 0..events {
        if number > 0 && below(30) == 0 {
            log.push(log[log.len() - 1].clone());
            continue;
        }
        // Two bursts: while the second comes, the names of the first are forgotten.
        let gap = if number < events / 2 { 0 } else { 57 * 60_000 };
        let time = START_MS + gap + (number * 300) as i64 - below(4_000) as i64;
        let (user, product) = (below(60) + number / 10, below(30) + number / 20);
        let head = format!("{{\"user_id\":\"u{user}\",\"event_id\":\"e{number}\",\"timestamp\":{time}");
        log.push(match below(8) {
            0..=3 => {
                let (status, ms) = ([200, 404, 500][below(3) as usize], below(1_000));
                format!("{head},\"url\":\"/a{}/{number}\",\"http_status\":{status},\"latency_ms\":{ms}}}", below(9))
            }
            4..=6 => format!("{head},\"event_type\":\"product_click\",\"product_id\":\"p{product}\"}}"),
            _ => format!(
                "{head},\"event_type\":\"checkout\",\"product_id\":\"p{product}\",\"checkout_id\":\"o{number}\",\"amount\":{}}}",
                below(90)
            ),
        });
    }
    log.into_iter().map(String::into_bytes).collect()
}

/// The points of a log, its batches of this length; `look` is shown the task after each.
fn run(
    options: &Arc<Options>,
    log: &[Vec<u8>],
    batch: usize,
    mut look: impl FnMut(&Task),
) -> (Points, Vec<u8>, Beyond) {
    let start = Checkpoint::beginning();
    let now = Timestamp::from_micros(0);
    let mut task = Task::new(Arc::clone(options), IDENTITY, &[start], now).expect("valid options");
    let mut merge = Merge::new(Arc::clone(options), IDENTITY.origin, &MergeCheckpoint::parse(0, ""));
    let mut points = MergeOutputs::default();
    let mut offset = 0;
    let mut take = |task: &mut Task, out: &mut TaskOutputs| {
        for partial in out.partials.drain(..) {
            merge.message(offset, &partial.value).expect("this build wrote it");
            offset += 1;
        }
        merge.emit(&mut points).unwrap();
        look(task);
    };
    let mut out = TaskOutputs::default();
    for (at, values) in log.chunks(batch).enumerate() {
        let records = (at * batch..).zip(values).map(|(offset, value)| Record {
            offset: offset as i64,
            timestamp_ms: START_MS + 1_000_000_000,
            key: None,
            value: Some(value),
        });
        task.records(0, now, records, &mut out);
        take(&mut task, &mut out);
    }
    let bytes = task.snapshot().expect("nothing is replayed").encode();
    let beyond = task.totals().beyond;
    task.drain(&mut out);
    take(&mut task, &mut out);
    let of = |point: &processor_core::Point| {
        let fields = point.measurement.fields.iter().map(|(name, _)| *name);
        let fields = fields.filter_map(|name| Some((name, point.field(name)?.clone()))).collect();
        let key = format!("{:?} {:?}", point.resolution, point.tags);
        ((point.measurement.name, key, point.time.millis()), fields)
    };
    (points.points.iter().map(of).collect(), bytes, beyond)
}

/// The same without what limits may take from.
fn exact(mut points: Points) -> Points {
    for ((measurement, ..), fields) in &mut points {
        let inexact = INEXACT.iter().find(|(of, _)| of == measurement).map_or(&[][..], |(_, names)| names);
        fields.retain(|name, _| !inexact.contains(name));
    }
    points.retain(|_, fields| !fields.is_empty());
    points
}

#[test]
fn limits_hold_and_take_nothing_from_requests_errors_and_revenue() {
    for seed in 0..8 {
        let log = log(seed, 2_000);
        let (few, all) = (options(FEW, 30), options(Limits::default(), 50_000));
        let (plenty, _, nothing) = run(&all, &log, 100, |_| ());
        assert_eq!(nothing, Beyond::default());
        let mut totals = None;
        let (limited, bytes, beyond) = run(&few, &log, 1 + 50 * seed as usize, |task| {
            let report = task.report();
            assert!(report.users <= FEW.users + 1 && report.clicks <= FEW.clicks, "{report:?}");
            assert!(report.reordering <= FEW.waiting_facts, "{report:?}");
            assert!(report.dedup_ids <= FEW.event_ids, "{report:?}");
            totals = Some(task.totals());
        });
        let by_limit = beyond.by_limit();
        let missed: Vec<_> = by_limit.iter().filter(|(_, events)| *events == 0).map(|of| of.0).collect();
        assert_eq!(missed, ["series", "routes", "campaigns", "currencies"], "these have room: {beyond:?}");
        let totals = totals.expect("the task was looked at");
        assert_eq!(totals.consumed, totals.counted + totals.duplicates + totals.late + totals.rejected);
        assert_eq!(totals.duplicates, duplicates(&log), "repeats that follow at once are noticed");
        // Where fewer users and clicks are known, there are no more of either.
        for (key, fields) in &limited {
            for name in ["users", "attributed", "attributed_revenue_cents"] {
                let number = |of: &BTreeMap<&str, FieldValue>| match of.get(name) {
                    Some(FieldValue::Integer(number)) => *number,
                    _ => 0,
                };
                let of_all = plenty.get(key).map_or(0, number);
                assert!(number(fields) <= of_all, "{key:?}: {name} of {fields:?}, {:?}", plenty.get(key));
            }
        }
        assert_eq!(exact(limited), exact(plenty));
        // What is forgotten follows from the log, not from how it was read.
        assert!(run(&few, &log, 7, |_| ()).1 == bytes, "other batches, another state");
    }
}

#[test]
fn a_task_that_goes_on_from_a_snapshot_gives_up_what_it_would_have_given_up() {
    let now = Timestamp::from_micros(0);
    let options = options(FEW, 30);
    for seed in 0..4 {
        let log = log(seed, 2_000);
        let mut task = Task::new(Arc::clone(&options), IDENTITY, &[Checkpoint::beginning()], now)
            .expect("valid options");
        let mut restored: Vec<Task> = Vec::new();
        for (at, values) in log.chunks(90).enumerate() {
            let records: Vec<_> = (at * 90..)
                .zip(values)
                .map(|(offset, value)| Record {
                    offset: offset as i64,
                    timestamp_ms: START_MS + 1_000_000_000,
                    key: None,
                    value: Some(value),
                })
                .collect();
            for task in restored.iter_mut().chain([&mut task]) {
                task.records(0, now, records.iter().copied(), &mut TaskOutputs::default());
            }
            let bytes = task.snapshot().expect("nothing is replayed").encode();
            for other in &mut restored {
                assert!(other.snapshot().expect("nothing is replayed").encode() == bytes, "seed {seed}");
            }
            let start = task.checkpoints();
            let made = Task::restore(Arc::clone(&options), IDENTITY, &bytes, &start, now);
            let made = made.expect("it was just made");
            // It counts the clicks that are there.
            assert!(made.report().clicks <= FEW.clicks, "{:?}", made.report());
            restored.push(made);
        }
        assert!(task.totals().beyond.users > 0 && task.totals().beyond.event_ids > 0);
    }
}

/// Records that are the one before them again.
fn duplicates(log: &[Vec<u8>]) -> u64 {
    log.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64
}

#[test]
fn statuses_stay_exact_where_a_route_answers_in_more_ways_than_are_kept() {
    let mut few = Options { routes_max: 1, ..Options::default() };
    few.inputs[0].topic = "t".to_owned();
    let log: Vec<Vec<u8>> = (0..400)
        .map(|n| {
            let (time, status) = (START_MS + n, 200 + n % 100);
            format!("{{\"user_id\":\"u\",\"timestamp\":{time},\"url\":\"/a\",\"http_status\":{status}}}")
                .into_bytes()
        })
        .collect();
    let (points, _, beyond) = run(&Arc::new(few), &log, 50, |_| ());
    assert_eq!(beyond, Beyond { series: 4 * 80, ..Beyond::default() }, "twenty are kept for each route");
    let raw = |measurement: &str| {
        let of =
            points.iter().filter(move |((of, tags, _), _)| *of == measurement && tags.starts_with("Raw"));
        of.map(|(_, fields)| fields["requests"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(raw("http_status"), vec![FieldValue::Integer(4); 100]);
    assert_eq!(raw("http"), vec![FieldValue::Integer(4); 100]);
    assert_eq!(raw("http_all"), [FieldValue::Integer(400)]);
}
