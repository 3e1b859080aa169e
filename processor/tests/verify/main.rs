//! `processor verify` beside the pipeline: two implementations of the contract that share the event decoder, on seeded
//! logs of disorder, repeats, nonsense, wrong clocks and pauses.

mod pipeline;
mod random;
mod tidy;

use std::convert::Infallible;

use pipeline::{Key, Pipeline, Points};
use processor::settings::Settings;
use processor::verify::{
    Aside, Bounds, Comparison, Copied, Field, Kind, LogOptions, Model, Record, Report, Rules, Store, Stored,
    bytes_of,
};
use processor_core::schema::Measurement;
use random::{Log, Random};

/// The seeds to run: `CLICKPULSE_SEEDS=1000` runs so many, `CLICKPULSE_SEED=17` just that one.
fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("CLICKPULSE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CLICKPULSE_SEEDS").unwrap_or(12),
    }
}

/// The year 2200.
const END: i64 = 7_258_118_400 * 1_000_000;

#[test]
fn a_drained_backfill_is_what_verify_computes() {
    let (mut skipped, mut compared) = (0, 0);
    for seed in seeds() {
        let mut random = Random::new(seed);
        let logs = random::logs(&mut random);
        let pipeline = Pipeline::backfill(&logs, &mut random);
        let report = verified(&logs, &pipeline, &pipeline.points, END);
        assert_eq!(report.differences(), 0, "seed {seed}: {:#?}", report.examples);
        for ((_, what), row) in &report.rows {
            assert!(row.skipped == 0 || is_by_the_clock(what), "seed {seed}: {what} {row:?}");
        }
        assert_eq!(report.records.late_by_the_wall_clock, 0);
        let by_the_clock = || report.rows.iter().filter(|((_, what), _)| is_by_the_clock(what));
        skipped += by_the_clock().map(|(_, row)| row.skipped).sum::<u64>();
        compared += by_the_clock().map(|(_, row)| row.compared).sum::<u64>();
    }
    if seeds().end - seeds().start > 1 {
        assert!(skipped * 50 < compared, "{skipped} of {compared} could not be compared");
    }
}

#[test]
fn what_the_wall_clock_decided_on_a_live_system_is_no_difference() {
    let (mut late, mut skipped, mut compared) = (0, 0, 0);
    for seed in seeds() {
        let mut random = Random::new(seed);
        let logs = random::logs(&mut random);
        let pipeline = Pipeline::live(&logs, seed % 2 == 0);
        let report = verified(&logs, &pipeline, &pipeline.points, pipeline.closed_through());
        assert_eq!(report.differences(), 0, "seed {seed}: {:#?}", report.examples);
        late += report.records.late_by_the_wall_clock;
        skipped += report.rows.values().map(|row| row.skipped).sum::<u64>();
        compared += report.compared();
    }
    if seeds().end - seeds().start > 1 {
        assert!(late > 0, "the clock decided nothing in any of these logs");
        assert!(skipped * 20 < compared, "{skipped} of {compared} could not be compared");
    }
}

#[test]
fn whatever_is_changed_among_the_points_is_found() {
    let (mut tried, mut left_out) = (0, 0);
    for seed in seeds() {
        let mut random = Random::new(seed);
        let logs = random::logs(&mut random);
        let pipeline = Pipeline::backfill(&logs, &mut random);
        let mut points = pipeline.points.clone();
        let Some((kind, key)) = change(&mut points, &mut random) else { continue };
        tried += 1;
        let report = verified(&logs, &pipeline, &points, END);
        if report.examples.iter().any(|example| example.kind == kind) {
            continue;
        }
        // Only where the clock may have decided about a checkout is its window left out, and then as a whole.
        assert!(is_left_out(&logs, &pipeline, &key), "seed {seed}: {kind:?} {key:?}: {:#?}", report.examples);
        left_out += 1;
    }
    assert!(left_out <= 1 + tried / 20, "{left_out} of {tried} are in windows that are left out");
}

/// Whether nothing of what a measurement says of a window is looked at, and the report says that some is not.
fn is_left_out(logs: &[Log], pipeline: &Pipeline, (place, what, start, _): &Key) -> bool {
    let mut points = pipeline.points.clone();
    points.retain(|(of, name, at, _), _| (of, name, at) != (place, what, start));
    let report = verified(logs, pipeline, &points, END);
    let row = report.rows.get(&(*place, *what));
    is_by_the_clock(what) && report.differences() == 0 && row.is_some_and(|row| row.skipped > 0)
}

/// What the wall clock may have decided about, so that some of it cannot be compared.
fn is_by_the_clock(what: &str) -> bool {
    matches!(what, "first_click" | "attribution")
}

#[test]
fn a_copy_that_is_lost_or_repeated_is_found() {
    let mut tried = 0;
    for seed in seeds() {
        let mut random = Random::new(seed);
        let logs = random::logs(&mut random);
        let mut pipeline = Pipeline::backfill(&logs, &mut random);
        let kind = if random.chance(50) { Kind::Missing } else { Kind::Doubled };
        let copies = if random.chance(50) { &mut pipeline.rejected } else { &mut pipeline.late };
        if copies.is_empty() {
            continue;
        }
        let at = random.below(copies.len() as u64) as usize;
        let copy = if kind == Kind::Missing { copies.remove(at) } else { copies[at].clone() };
        if kind == Kind::Doubled {
            copies.push(copy.clone());
        }
        let report = verified(&logs, &pipeline, &pipeline.points, END);
        let found = report.examples.iter().any(|example| example.kind == kind);
        assert!(found, "seed {seed}: {copy:?} is not found: {:#?}", report.examples);
        tried += 1;
    }
    assert!(tried > 0);
}

/// Changes one thing; its kind, and where.
fn change(points: &mut Points, random: &mut Random) -> Option<(Kind, Key)> {
    let says_something = |of: &str, stored: &Stored| {
        // The requests of a status are zero where only other statuses have any.
        let counts = of != "http_status" || stored.fields[0] != Some(Field::Integer(0));
        counts
            && stored
                .fields
                .iter()
                .flatten()
                .any(|field| !matches!(field, Field::Integer(0)) && *field != Field::Float(0.0))
    };
    let candidates: Vec<_> = points
        .iter()
        .filter(|(key, stored)| says_something(key.1, stored))
        .map(|(key, _)| key.clone())
        .collect();
    if candidates.is_empty() {
        return None;
    }
    let key = candidates[random.below(candidates.len() as u64) as usize].clone();
    Some(match random.below(3) {
        0 => {
            points.remove(&key);
            (Kind::Missing, key)
        }
        1 => {
            let stored = points.get_mut(&key).unwrap();
            let at = random.below(stored.fields.len() as u64) as usize;
            stored.fields[at] = match stored.fields[at].take() {
                Some(Field::Integer(value)) => Some(Field::Integer(value + 1)),
                Some(Field::Float(value)) => Some(Field::Float(value * 1.1 + 1.0)),
                _ => Some(Field::Text("changed".to_owned())),
            };
            (Kind::Different, key)
        }
        _ => {
            let mut stored = points[&key].clone();
            let Some(tag) = stored.tags.first_mut() else {
                return change(points, random);
            };
            tag.push('x');
            points.insert((key.0, key.1, key.2, stored.tags.clone()), stored);
            (Kind::Unexpected, key)
        }
    })
}

/// The comparison of what a pipeline left behind with its logs, for windows closed by `closed`.
fn verified(logs: &[Log], pipeline: &Pipeline, points: &Points, closed: i64) -> Report {
    let rules = Rules::of(&settings(logs));
    let topics: Vec<String> = rules.inputs.iter().zip(0..).map(|(_, at)| random::topic(at)).collect();
    let mut places: Vec<String> = ["raw", "minute", "hour"].map(str::to_owned).to_vec();
    places.extend(topics.iter().flat_map(|topic| [format!("{topic}.dlq"), format!("{topic}.late")]));
    let mut report = Report::new(places, 10);
    let options = logs.iter().zip(&pipeline.committed).map(|(log, committed)| LogOptions {
        input: log.input,
        topic: random::topic(log.input),
        partition: log.partition,
        rekeyed: log.rekeyed.then_some(pipeline.tasks()),
        began_below: None,
        recorded: committed.clone(),
    });
    let aside = |copies: &[pipeline::Copy]| {
        let mut aside = Aside::default();
        for copy in copies {
            let copied = Copied {
                reason: copy.reason.as_str().into(),
                detail: copy.detail.as_str().into(),
                bytes: bytes_of(None, copy.value.as_deref()),
                in_part: false,
                written: copy.written_ms * 1_000,
            };
            aside.add(copy.position, copied);
        }
        aside
    };
    let (rejected, late) = (aside(&pipeline.rejected), aside(&pipeline.late));
    let mut model = Model::new(rules.clone(), options.collect(), rejected, late, true).unwrap();
    let lateness = rules.lateness;
    let sizes = [rules.window, 60_000_000, 3_600_000_000];
    let until = sizes.map(|size| {
        if closed == END { END } else { closed.saturating_sub(lateness).div_euclid(size).max(0) * size }
    });
    let mut comparison = Comparison::new(rules, topics, Bounds { from: [0; 3], until }, Kept(points));
    for (at, log) in logs.iter().enumerate() {
        for (offset, logged) in (0..).zip(&log.records) {
            let record =
                Record { offset, timestamp_ms: logged.timestamp_ms, key: None, value: Some(&logged.value) };
            model.record(at, &record, &mut report);
            if offset % 50 == 0 {
                comparison.advance(&mut model, &mut report).unwrap();
            }
        }
        model.end(at);
    }
    comparison.finish(&mut model, &mut report).unwrap();
    model.finish(|_| true, &mut report);
    report
}

/// One input or two, each keyed or not.
fn settings(logs: &[Log]) -> Settings {
    let mut settings = Settings::default();
    for input in 1..=logs.iter().map(|log| log.input).max().unwrap_or(0) {
        let mut more = settings.inputs[0].clone();
        more.topic = random::topic(input);
        settings.inputs.push(more);
    }
    settings.inputs[0].topic = random::topic(0);
    for log in logs.iter().filter(|log| log.rekeyed) {
        settings.inputs[usize::from(log.input)].keyed = false;
    }
    settings
}

struct Kept<'a>(&'a Points);

impl Store for Kept<'_> {
    type Error = Infallible;

    fn read(
        &mut self,
        resolution: usize,
        of: &'static Measurement,
        from: i64,
        until: i64,
    ) -> Result<Vec<Stored>, Infallible> {
        let first = (resolution, of.name, from, Vec::new());
        let range = self.0.range(first..(resolution, of.name, until, Vec::new()));
        Ok(range.map(|(_, stored)| stored.clone()).collect())
    }
}
