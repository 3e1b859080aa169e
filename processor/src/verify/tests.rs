//! The model beside cases worked out by hand, and the comparison beside points that are wrong on purpose.

use std::collections::BTreeMap;
use std::convert::Infallible;

use processor_core::schema::Measurement;

use super::expected::{Value, Window, windows};
use super::hour::Hour;
use super::rules::{HOUR, SECOND};
use super::*;
use crate::settings::Settings;

/// The defaults.
pub(super) fn rules() -> Rules {
    Rules::of(&Settings::default())
}

/// A full hour, in milliseconds.
const START: i64 = 1_755_720_000_000;
const BUCKETS: [&str; 3] = ["raw", "minute", "hour"];

/// A log of one partition: seconds after [`START`] and JSON without its time.
type Line<'a> = (f64, &'a str);

struct Run {
    model: Model,
    report: Report,
}

fn report() -> Report {
    let places = BUCKETS.iter().chain(&["clicks.dlq", "clicks.late"]).map(|name| (*name).to_owned());
    Report::new(places.collect(), 10)
}

fn model(rules: &Rules, rejected: Aside, late: Aside) -> Model {
    let log = LogOptions {
        rekeyed: None,
        input: 0,
        topic: "clicks".to_owned(),
        partition: 0,
        began_below: None,
        recorded: Recorded::default(),
    };
    Model::new(rules.clone(), vec![log], rejected, late, true).unwrap()
}

/// Kafka's timestamp is the event's time, or `at` seconds where a line begins with `@at `.
fn run(rules: &Rules, lines: &[Line<'_>], rejected: Aside, late: Aside) -> Run {
    let mut run = Run { model: model(rules, rejected, late), report: report() };
    for (offset, (time, json)) in (0..).zip(lines) {
        let (arrived, json) = match json.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
            Some((at, json)) => (at.parse().unwrap(), json),
            None => (*time, *json),
        };
        let ms = |seconds: f64| START + (seconds * 1_000.0) as i64;
        let value = format!("{{\"timestamp\":{},\"user_id\":{json}}}", ms(*time));
        let record = Record { offset, timestamp_ms: ms(arrived), key: None, value: Some(value.as_bytes()) };
        run.model.record(0, &record, &mut run.report);
    }
    run.model.end(0);
    run
}

fn plain(lines: &[Line<'_>]) -> Run {
    run(&rules(), lines, Aside::default(), Aside::default())
}

fn hours(run: &mut Run) -> Vec<(i64, Hour)> {
    run.model.finished_hours()
}

/// A window's points as text, without `events` and the tops.
fn points(window: &Window) -> Vec<String> {
    let number = |value: &Value| match value {
        Value::Integer(value) => value.to_string(),
        Value::Float(value) | Value::Percentile(value) => value.to_string(),
        Value::Text(value) => value.clone(),
    };
    let text = |point: &super::expected::Point| {
        let fields: Vec<String> = point.fields.iter().map(number).collect();
        format!("{} {} = {}", point.of.name, point.tags.join(","), fields.join(" "))
    };
    let mut all: Vec<String> = window.points.iter().map(text).collect();
    all.sort();
    all
}

const VIEW: &str = r#""u1","url":"/p/7?x=1","http_status":200,"latency_ms":12.5"#;
const ERROR: &str = r#""u2","url":"/p/9","http_status":503,"latency_ms":80"#;
const CLICK: &str = r#""u1","event_type":"product_click","product_id":"p","campaign_id":"spring""#;
const CHECKOUT: &str = r#""u1","event_type":"checkout","product_id":"p","checkout_id":"c1","amount":19.90"#;

#[test]
fn a_window_holds_what_one_counts_by_hand() {
    let mut run = plain(&[(1.0, VIEW), (2.0, ERROR), (3.0, CLICK), (9.0, CHECKOUT), (12.0, VIEW)]);
    let (start, hour) = hours(&mut run).remove(0);
    let windows = windows(start, &hour, &rules());
    let raw = &windows[0];
    assert_eq!((raw.resolution, raw.start), (0, START * 1_000));
    assert_eq!(
        points(raw),
        [
            "attribution spring,none,first_click = 1 1 1990",
            "events checkout = 1",
            "events page_view = 2",
            "events product_click = 1",
            "first_click none = 1 1 1 0 1990 1990 6 6",
            "http GET,/p/:id,200 = 1 0 0",
            "http GET,/p/:id,503 = 1 1 0",
            "http_all  = 2 1 0 0.5 2",
            "http_status 200 = 1 2",
            "http_status 503 = 1 2",
            "latency /p/:id = 2 12.5 80 80 80",
            "url_top 01 = /p/7 1 0",
            "url_top 02 = /p/9 1 1",
            "user_top 01 = u1 1 0",
            "user_top 02 = u2 1 1",
        ]
    );
    let of = |resolution| windows.iter().filter(move |window| window.resolution == resolution);
    assert_eq!((of(0).count(), of(1).count(), of(2).count()), (2, 1, 1));
    assert!(points(of(2).next().unwrap()).contains(&"http_all  = 3 1 0 0.3333333333333333 2".to_owned()));
}

#[test]
fn without_a_guard_an_event_of_any_time_counts() {
    for (future_skew, counted) in [(Some(60 * SECOND), 1), (None, 2)] {
        let rules = Rules { future_skew, ..rules() };
        let ahead = format!("@2 {ERROR}");
        let run = run(&rules, &[(1.0, VIEW), (7_200.0, &ahead)], Aside::default(), Aside::default());
        let records = run.report.records;
        assert_eq!((records.counted, records.rejected), (counted, 2 - counted), "{future_skew:?}");
    }
}

#[test]
fn late_rejected_and_repeated_records_are_told_apart_and_counted_where_the_stream_is() {
    let id = r#""u1","event_id":"e","url":"/","http_status":200"#;
    let mut run =
        plain(&[(1.0, id), (2.0, id), (75.5, VIEW), (1.0, VIEW), (76.0, r#""u1","event_type":"telepathy""#)]);
    let report = run.report.clone();
    let records = report.records;
    assert_eq!((records.read, records.counted, records.duplicates), (5, 2, 1));
    assert_eq!((records.late, records.rejected), (1, 1));
    let (start, hour) = hours(&mut run).remove(0);
    let quality: Vec<_> =
        windows(start, &hour, &rules()).into_iter().map(|window| (window.start, window.quality)).collect();
    let at = |seconds: i64| START * 1_000 + seconds * SECOND;
    assert_eq!(quality[0], (at(0), BTreeMap::from([("duplicate", 1)])));
    assert_eq!(quality[1], (at(70), BTreeMap::from([("late", 1), ("unknown_event_type", 1)])));
    // Neither has a copy.
    assert_eq!(report.differences(), 2);
    assert!(report.examples.iter().all(|example| example.kind == Kind::Missing), "{:?}", report.examples);
}

#[test]
fn an_event_in_time_for_its_window_but_behind_the_watermark_makes_no_fact() {
    let mut run =
        plain(&[(50.0, VIEW), (40.0, CLICK), (41.0, CHECKOUT), (49.0, &CHECKOUT.replace("c1", "c2"))]);
    let (start, hour) = hours(&mut run).remove(0);
    let hour = windows(start, &hour, &rules()).pop().unwrap();
    assert!(
        points(&hour).contains(&"first_click none = 1 1 0 1 1990 0 0 0".to_owned()),
        "{:?}",
        points(&hour)
    );
    assert!(points(&hour).contains(&"events checkout = 2".to_owned()));
}

fn copies(entries: &[(i64, &str, &str, &str)]) -> Aside {
    let mut aside = Aside::default();
    for (offset, reason, detail, value) in entries {
        let bytes = bytes_of(None, Some(value.as_bytes()));
        let copied =
            Copied { reason: (*reason).into(), detail: (*detail).into(), bytes, in_part: false, written: 0 };
        aside.add((0, 0, *offset), copied);
    }
    aside
}

#[test]
fn a_record_that_is_late_only_by_the_wall_clock_is_taken_as_such_after_a_pause_and_not_otherwise() {
    // 200 s of silence; the clock moved the watermark to 150 s, and the record is dated 10 s.
    let late_value = format!("{{\"timestamp\":{},\"user_id\":{VIEW}}}", START + 10_000);
    let late = || copies(&[(1, "late", "70.000 s after its window closed", &late_value)]);
    let pause = [(1.0, VIEW), (10.0, &*format!("@201 {VIEW}")), (202.0, VIEW)];
    let run_ = run(&rules(), &pause, Aside::default(), late());
    assert_eq!((run_.report.differences(), run_.report.records.late_by_the_wall_clock), (0, 1));

    let no_pause = [(1.0, VIEW), (10.0, &*format!("@6 {VIEW}")), (12.0, VIEW)];
    let run_ = run(&rules(), &no_pause, Aside::default(), late());
    assert_eq!(run_.report.examples[0].kind, Kind::Unexpected, "{:?}", run_.report.examples);
    assert_eq!(run_.report.records.counted, 3);

    // What comes after it is judged by the same watermark: this one has no copy.
    let after = [pause[0], pause[1], (20.0, &*format!("@203 {VIEW}"))];
    let run_ = run(&rules(), &after, Aside::default(), late());
    assert_eq!(run_.report.examples[0].kind, Kind::Missing, "{:?}", run_.report.examples);
}

#[test]
fn a_copy_is_compared_by_reason_and_bytes_and_a_stray_or_second_one_is_found() {
    let bad = r#""u1","event_type":"telepathy""#;
    let value = format!("{{\"timestamp\":{},\"user_id\":{bad}}}", START + 2_000);
    let finish = |rejected: Aside| {
        let mut done = run(&rules(), &[(1.0, VIEW), (2.0, bad)], rejected, Aside::default());
        done.model.finish(|position| position.2 < 2, &mut done.report);
        done.report
    };
    assert_eq!(finish(copies(&[(1, "unknown_event_type", "", &value)])).differences(), 0);
    let kinds = |rejected| finish(rejected).examples.iter().map(|example| example.kind).collect::<Vec<_>>();
    assert_eq!(kinds(copies(&[(1, "not_json", "", &value)])), [Kind::Different]);
    assert_eq!(kinds(copies(&[(1, "unknown_event_type", "", "other")])), [Kind::Different]);
    assert_eq!(
        kinds(copies(&[(1, "unknown_event_type", "", &value), (0, "not_json", "", "x")])),
        [Kind::Unexpected]
    );
    assert_eq!(
        kinds(copies(&[(1, "unknown_event_type", "", &value), (1, "unknown_event_type", "", &value)])),
        [Kind::Doubled]
    );
    // What was not read yet may be there already.
    assert_eq!(kinds(copies(&[(1, "unknown_event_type", "", &value), (2, "not_json", "", "x")])), []);
}

/// Points by resolution and measurement.
#[derive(Clone, Default)]
struct Kept(BTreeMap<(usize, &'static str), Vec<Stored>>);

impl Store for Kept {
    type Error = Infallible;

    fn read(
        &mut self,
        resolution: usize,
        of: &'static Measurement,
        from: i64,
        until: i64,
    ) -> Result<Vec<Stored>, Infallible> {
        let all = self.0.get(&(resolution, of.name)).cloned().unwrap_or_default();
        Ok(all.into_iter().filter(|stored| (from..until).contains(&stored.time)).collect())
    }
}

impl Kept {
    fn point(&mut self, resolution: usize, of: &'static str, at: usize) -> &mut Stored {
        &mut self.0.get_mut(&(resolution, of)).unwrap()[at]
    }
}

fn field(value: &Value) -> Field {
    match value {
        Value::Integer(value) => Field::Integer(*value),
        Value::Float(value) | Value::Percentile(value) => Field::Float(*value),
        Value::Text(value) => Field::Text(value.clone()),
    }
}

/// What is right to be stored, by the model itself.
fn right(rules: &Rules, lines: &[Line<'_>]) -> Kept {
    let mut kept = Kept::default();
    let mut done = run(rules, lines, Aside::default(), Aside::default());
    for (start, hour) in hours(&mut done) {
        for window in windows(start, &hour, rules) {
            let mut put = |of, tags: &[String], fields| {
                let stored = Stored { time: window.start, tags: tags.to_vec(), fields };
                kept.0.entry((window.resolution, of)).or_default().push(stored);
            };
            for point in &window.points {
                put(
                    point.of.name,
                    &point.tags,
                    point.fields.iter().map(|value| Some(field(value))).collect(),
                );
            }
            for (reason, count) in &window.quality {
                put("quality", &[(*reason).to_owned()], vec![Some(Field::Integer(*count as i64))]);
            }
        }
    }
    kept
}

fn compared(rules: &Rules, lines: &[Line<'_>], store: Kept) -> Report {
    let mut done = run(rules, lines, Aside::default(), Aside::default());
    let bounds = Bounds { from: [0; 3], until: [(START + 3_600_000) * 1_000; 3] };
    let mut comparison = Comparison::new(rules.clone(), vec!["clicks".to_owned()], bounds, store);
    comparison.finish(&mut done.model, &mut done.report).unwrap();
    done.report
}

const STREAM: [Line<'_>; 6] =
    [(1.0, VIEW), (2.0, ERROR), (3.0, CLICK), (9.0, CHECKOUT), (12.0, VIEW), (130.0, VIEW)];

#[test]
fn what_is_right_is_equal_and_each_wrong_point_is_named() {
    let right = right(&rules(), &STREAM);
    let report = compared(&rules(), &STREAM, right.clone());
    assert_eq!(report.differences(), 0, "{:?}", report.examples);
    assert!(report.compared() > 40);

    let one = |change: &dyn Fn(&mut Kept)| {
        let mut wrong = right.clone();
        change(&mut wrong);
        let report = compared(&rules(), &STREAM, wrong);
        assert_eq!(report.examples.len(), 1, "{:?}", report.examples);
        report.examples[0].clone()
    };
    let missing = one(&|kept| drop(kept.0.get_mut(&(1, "http")).unwrap().remove(0)));
    assert_eq!((missing.kind, missing.place.as_str()), (Kind::Missing, "minute"));
    assert_eq!(missing.records.as_deref(), Some("clicks[0]@0..4"));
    let different = one(&|kept| kept.point(0, "http_status", 0).fields[0] = Some(Field::Integer(7)));
    assert_eq!(different.kind, Kind::Different);
    assert_eq!(different.found.as_deref(), Some("requests=7 total=2"));
    assert_eq!(
        one(&|kept| kept.point(2, "latency", 0).fields[1] = Some(Field::Float(13.0))).kind,
        Kind::Different
    );
    assert_eq!(one(&|kept| kept.point(2, "user_top", 0).fields[1] = None).kind, Kind::Different);
    let unexpected = one(&|kept| {
        let stray = Stored { tags: vec!["search".to_owned()], ..kept.point(0, "events", 0).clone() };
        kept.0.get_mut(&(0, "events")).unwrap().push(stray);
    });
    assert_eq!(unexpected.kind, Kind::Unexpected);
    let doubled = one(&|kept| {
        let again = kept.point(0, "http_all", 0).clone();
        kept.0.get_mut(&(0, "http_all")).unwrap().push(again);
    });
    assert_eq!(doubled.kind, Kind::Doubled);
    // Long before the first record.
    let early = one(&|kept| {
        let stray = Stored { time: HOUR, ..kept.point(0, "events", 0).clone() };
        kept.0.get_mut(&(0, "events")).unwrap().push(stray);
    });
    assert_eq!(early.kind, Kind::Unexpected);
}

#[test]
fn percentiles_may_be_off_by_one_part_in_128_and_no_more() {
    let mut store = right(&rules(), &STREAM);
    store.point(0, "latency", 0).fields[1] = Some(Field::Float(12.5 * (1.0 + 1.0 / 129.0)));
    assert_eq!(compared(&rules(), &STREAM, store.clone()).differences(), 0);
    store.point(0, "latency", 0).fields[1] = Some(Field::Float(12.5 * (1.0 + 1.0 / 126.0)));
    assert_eq!(compared(&rules(), &STREAM, store).differences(), 1);
}

#[test]
fn zeros_are_right_for_series_of_the_last_hour_only() {
    let zero = |seconds: i64, status: &str| {
        let mut store = right(&rules(), &STREAM);
        let time = START * 1_000 + seconds * SECOND;
        let tags = ["GET", "/p/:id", status].map(str::to_owned).to_vec();
        let fields = vec![Some(Field::Integer(0)); 3];
        store.0.get_mut(&(0, "http")).unwrap().push(Stored { time, tags, fields });
        compared(&rules(), &STREAM, store).differences()
    };
    assert_eq!(zero(60, "200"), 0);
    assert_eq!(zero(60, "404"), 1, "never seen");
    assert_eq!(zero(-60, "200"), 1, "not seen yet");
}

#[test]
fn beyond_a_limit_of_names_sums_are_compared() {
    let mut rules = rules();
    rules.routes_max = 1;
    let other = r#""u3","url":"/q","http_status":200,"latency_ms":3"#;
    let stream = [(1.0, VIEW), (2.0, other), (12.0, other)];
    let mut store = right(&rules, &stream);
    assert_eq!(compared(&rules, &stream, store.clone()).differences(), 0);
    // The processor may have had room for it.
    let tags = &mut store.point(0, "http", 1).tags;
    "/q".clone_into(&mut tags[1]);
    assert_eq!(compared(&rules, &stream, store.clone()).differences(), 0);
    store.point(0, "http", 1).fields[0] = Some(Field::Integer(5));
    assert_eq!(compared(&rules, &stream, store).differences(), 1);
}

#[test]
fn a_rejected_record_after_a_pause_may_count_in_any_window_that_the_clock_allowed() {
    // The second's window was closed, if the clock had moved on before the first.
    let stream = [(1.0, VIEW), (200.0, "]"), (60.0, "]"), (201.0, VIEW)];
    let mut store = right(&rules(), &stream);
    for (resolution, time) in [(0, 100), (1, 60)] {
        let time = START * 1_000 + time * SECOND;
        let fields = vec![Some(Field::Integer(1))];
        let stored = Stored { time, tags: vec!["not_json".to_owned()], fields };
        store.0.entry((resolution, "quality")).or_default().push(stored);
    }
    store.point(2, "quality", 0).fields[0] = Some(Field::Integer(2));
    // The dead letters themselves are missing here, which is all that differs.
    assert_eq!(compared(&rules(), &stream, store.clone()).differences(), 2);
    store.point(0, "quality", 1).fields[0] = Some(Field::Integer(2));
    assert_eq!(compared(&rules(), &stream, store.clone()).differences(), 3);
    store.0.get_mut(&(0, "quality")).unwrap().remove(1);
    assert_eq!(compared(&rules(), &stream, store).differences(), 3);
}

#[test]
fn events_without_a_user_count_but_for_users_and_what_was_missed_is_in_quality() {
    let mut run = plain(&[
        (1.0, VIEW),
        (2.0, r#"null,"url":"/p/7;a=b","http_status":503"#),
        (3.0, r#""","url":" ","http_status":600,"device":{}"#),
        (4.0, r#"null,"event_type":"checkout","product_id":"p","checkout_id":"c9","amount":5"#),
    ]);
    let (start, hour) = hours(&mut run).remove(0);
    let raw = windows(start, &hour, &rules()).remove(0);
    let points = points(&raw);
    let has = |point: &str| assert!(points.iter().any(|of| of == point), "{point}: {points:#?}");
    has("http_all  = 3 1 0 0.3333333333333333 1");
    has("http GET,/p/:id,503 = 1 1 0");
    has("http GET,__none__,600 = 1 0 0");
    has("events checkout = 1");
    assert!(
        !points.iter().any(|of| of.starts_with("first_click") || of.contains("url_top 02")),
        "{points:#?}"
    );
    assert_eq!(raw.quality, BTreeMap::from([("incomplete", 2), ("unusable", 1)]));
}

#[test]
fn another_product_of_an_order_is_a_line_and_currencies_stay_apart() {
    let line = |product: &str, order: &str, rest: &str| {
        format!(
            r#""u1","event_type":"checkout","product_id":"{product}","checkout_id":"{order}","amount":{rest}"#
        )
    };
    let lines = [
        line("a", "c1", r#"10,"currency":"EUR""#),
        line("b", "c1", r#"5,"currency":"eur ""#),
        line("a", "c1", r#"10,"currency":"EUR""#),
        line("a", "c2", r#"15000,"currency":"JPY""#),
        line("a", "c3", "1"),
    ];
    let all: Vec<Line<'_>> = (1..).zip(&lines).map(|(at, line)| (f64::from(at), line.as_str())).collect();
    let mut run = plain(&all);
    let (start, hour) = hours(&mut run).remove(0);
    let raw = windows(start, &hour, &rules()).remove(0);
    let points = points(&raw);
    let found: Vec<_> = points.iter().filter(|of| of.starts_with("first_click")).collect();
    assert_eq!(
        found,
        [
            "first_click EUR = 2 1 0 2 1500 0 0 0",
            "first_click JPY = 1 1 0 1 1500000 0 0 0",
            "first_click none = 1 1 0 1 100 0 0 0"
        ]
    );
    assert_eq!(raw.quality, BTreeMap::from([("repeated_checkout", 1)]));
}
