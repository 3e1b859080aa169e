//! A partition to which records come and of which nothing counts: time goes on, what is refused counts where it came,
//! and a restart repeats it.

use std::collections::BTreeMap;
use std::sync::Arc;

use events::Timestamp;
use processor_core::{
    Checkpoint, FieldValue, Merge, MergeCheckpoint, MergeOutputs, Options, Record, Task, TaskIdentity,
    TaskOutputs,
};

const IDENTITY: TaskIdentity = TaskIdentity { partition: 0, tasks: 1, merge_partitions: 1, origin: 7 };
const START_MS: i64 = 1_755_720_000_000;
const KINDS: [&str; 7] =
    ["broken", "heartbeat", "tombstone", "late", "repeat", "future", "without a timestamp"];

fn view(id: &str, at_ms: i64) -> Vec<u8> {
    let time = START_MS + at_ms;
    format!(r#"{{"event_id":"{id}","user_id":"u","timestamp":{time},"url":"/","http_status":200}}"#)
        .into_bytes()
}

fn value(kind: &str, at_ms: i64) -> Option<Vec<u8>> {
    Some(match kind {
        "heartbeat" => br#"{"type":"heartbeat"}"#.to_vec(),
        "tombstone" => return None,
        "late" => view(&format!("late-{at_ms}"), -600_000),
        "repeat" => view("first", 0),
        "future" => view(&format!("future-{at_ms}"), at_ms + 90_000),
        _ => br#"{"broken":"#.to_vec(),
    })
}

struct Run {
    task: Task,
    out: TaskOutputs,
    offset: i64,
}

impl Run {
    fn new(start: &Checkpoint, at_ms: i64) -> Self {
        let (options, starts) = (Arc::new(Options::default()), std::slice::from_ref(start));
        let task = Task::new(options, IDENTITY, starts, now(at_ms)).unwrap();
        let offset = task.next_offset(0);
        Self { task, out: TaskOutputs::default(), offset }
    }

    fn record(&mut self, at_ms: i64, timestamp_ms: i64, value: Option<&[u8]>) {
        let record = Record { offset: self.offset, timestamp_ms, key: None, value };
        self.offset += 1;
        self.task.records(0, now(at_ms), [record], &mut self.out);
    }

    /// The record of a second of `kind`; the first of all is an event.
    fn second(&mut self, kind: &str, second: i64) {
        let at_ms = second * 1_000;
        let timestamp_ms = if kind == "without a timestamp" { -1 } else { START_MS + at_ms };
        let value = if second == 0 { Some(view("first", 0)) } else { value(kind, at_ms) };
        self.record(at_ms, timestamp_ms, value.as_deref());
    }

    fn tick(&mut self, at_ms: i64) {
        self.task.tick(now(at_ms), &[true], None, &mut self.out);
    }

    fn watermark_ms(&self) -> i64 {
        self.task.report().watermark.map_or(i64::MIN, Timestamp::millis)
    }

    fn checkpoint(&mut self) -> Checkpoint {
        let checkpoint = self.task.checkpoints().remove(0);
        Checkpoint::parse(checkpoint.next_offset, &checkpoint.metadata())
    }

    fn partials(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.out.partials).into_iter().map(|partial| partial.value).collect()
    }
}

fn now(at_ms: i64) -> Timestamp {
    Timestamp::from_millis(START_MS + at_ms)
}

/// Counts by resolution, window (seconds after the start) and reason.
type Quality = BTreeMap<(u8, i64, String), i64>;

/// Of a resolution, by window.
fn by_window(quality: &Quality, resolution: u8) -> BTreeMap<i64, i64> {
    let mut windows = BTreeMap::new();
    for ((_, window, _), count) in quality.iter().filter(|((of, ..), _)| *of == resolution) {
        *windows.entry(*window).or_default() += count;
    }
    windows
}

/// What is counted under `quality`.
fn quality(partials: &[Vec<u8>]) -> Quality {
    let mut merge = Merge::new(Arc::new(Options::default()), IDENTITY.origin, &MergeCheckpoint::parse(0, ""));
    let mut out = MergeOutputs::default();
    for (offset, value) in (0..).zip(partials) {
        merge.message(offset, value).unwrap();
        merge.emit(&mut out).unwrap();
    }
    let points = out.points.iter().filter(|point| point.measurement.name == "quality");
    let count = |field: &FieldValue| match field {
        FieldValue::Integer(count) => *count,
        _ => 0,
    };
    points
        .map(|of| {
            let window = of.time.secs() - START_MS / 1_000;
            ((of.resolution as u8, window, of.tags[0].to_string()), count(&of.fields[0]))
        })
        .collect()
}

#[test]
fn windows_close_and_neither_jumps_nor_replays_grow_with_the_records() {
    const HOURS: i64 = 5;
    for kind in KINDS {
        let mut run = Run::new(&Checkpoint::beginning(), 0);
        for second in 0..HOURS * 3_600 {
            run.second(kind, second);
            run.tick(second * 1_000 + 500);
            let lag_ms = START_MS + second * 1_000 - run.watermark_ms();
            assert!(second < 20 || lag_ms < 20_000, "{kind}: {lag_ms} ms behind at {second} s");
            if second % 600 == 0 {
                drop(run.checkpoint());
            }
        }
        let checkpoint = run.task.checkpoints().remove(0);
        assert!(checkpoint.metadata().len() < 3_300, "{kind}: {} bytes", checkpoint.metadata().len());
        // A late record counts in the present, which the clock alone moves: a jump for each window of the replay. What
        // is refused may be an hour ahead of it: a jump for each hour.
        let jumps_max = if matches!(kind, "late" | "repeat" | "without a timestamp") { 3 * 360 } else { 5 };
        assert!(checkpoint.jumps.len() <= jumps_max, "{kind}: {} jumps", checkpoint.jumps.len());
        assert_eq!(run.task.report().jumps_forgotten, 0, "{kind}");
        let replayed = checkpoint.next_offset - checkpoint.replay.offset;
        // A repeat counts in its own window, so that nothing moves what a replay point reaches.
        assert!(replayed < 3 * 3_600 || kind == "repeat", "{kind}: {replayed} records are read again");
        assert!(run.task.report().open_windows < 20, "{kind}: {} windows", run.task.report().open_windows);
    }
}

#[test]
fn what_is_refused_counts_in_the_window_in_which_it_came() {
    for kind in ["broken", "heartbeat", "tombstone", "future"] {
        let mut run = Run::new(&Checkpoint::beginning(), 0);
        for second in 0..450 {
            run.second(kind, second);
            run.tick(second * 1_000 + 500);
        }
        run.task.drain(&mut run.out);
        let counted = quality(&run.partials());
        let raw = by_window(&counted, 0);
        for window in 0..45 {
            assert_eq!(raw[&(window * 10)], if window == 0 { 9 } else { 10 }, "{kind}: at {window}0 s");
        }
        assert_eq!(by_window(&counted, 2)[&0], 449, "{kind}");
    }
}

#[test]
fn a_restart_makes_no_count_smaller() {
    for kind in KINDS {
        for restart in [5, 40, 95, 300, 3_700] {
            let mut straight = Run::new(&Checkpoint::beginning(), 0);
            let mut restarted = Run::new(&Checkpoint::beginning(), 0);
            let mut partials = Vec::new();
            for second in 0..restart + 200 {
                if second == restart {
                    let start = restarted.checkpoint();
                    partials.extend(restarted.partials());
                    let until = restarted.offset;
                    restarted = Run::new(&start, second * 1_000);
                    // The replay.
                    for second in restarted.offset..until {
                        let offset = restarted.offset;
                        assert_eq!(offset, second, "a record a second");
                        restarted.second(kind, second);
                    }
                }
                for run in [&mut straight, &mut restarted] {
                    run.second(kind, second);
                    run.tick(second * 1_000 + 500);
                    run.task.emit(now(second * 1_000 + 500), &mut run.out);
                }
            }
            for run in [&mut straight, &mut restarted] {
                run.task.drain(&mut run.out);
            }
            partials.extend(restarted.partials());
            let (expected, got) = (quality(&straight.partials()), quality(&partials));
            // In which window a late record counts, the clock decides: here that of either run.
            let windows = |of: &Quality, resolution| {
                let by_the_clock = matches!(kind, "late" | "repeat" | "without a timestamp");
                let windows = by_window(of, resolution);
                if by_the_clock { BTreeMap::from([(0, windows.values().sum())]) } else { windows }
            };
            for resolution in 0..3 {
                let (expected, got) = (windows(&expected, resolution), windows(&got, resolution));
                assert_eq!(got, expected, "{kind}, restarted at {restart} s, resolution {resolution}");
            }
        }
    }
}

#[test]
fn a_timestamp_far_from_the_streams_present_opens_no_window() {
    let broken = Some(&b"{"[..]);
    let mut run = Run::new(&Checkpoint::beginning(), 0);
    run.record(0, START_MS, Some(&view("first", 0)));
    let before = run.task.report().open_windows;
    for at_ms in (3_700_000..400_000_000).step_by(10_000) {
        run.record(0, START_MS + at_ms, broken); // a backfill: Kafka's time is of now, the events are not
        run.record(0, START_MS - at_ms, broken); // and one of which the clock stood still
    }
    assert_eq!(run.task.report().open_windows, before);
    run.task.drain(&mut run.out);
    let counted = quality(&run.partials());
    assert_eq!(by_window(&counted, 0), BTreeMap::from([(0, 2 * 39_630)]), "in the present");

    // Before there is a present there is nothing to be far from, but only so many windows are opened.
    let mut run = Run::new(&Checkpoint::beginning(), 0);
    for at_ms in (0..200_000_000).step_by(10_000) {
        run.record(0, START_MS + at_ms, broken);
    }
    assert!(run.task.report().open_windows <= 8_640, "{}", run.task.report().open_windows);
    assert_eq!(run.task.totals().rejected, 20_000);
}

#[test]
fn an_input_is_not_idle_as_it_is_behind_nor_while_events_count() {
    let mut run = Run::new(&Checkpoint::beginning(), 0);
    run.record(0, START_MS, Some(&view("first", 0)));
    // Unread records: whatever they are, nobody knows yet.
    for second in 1..60 {
        run.task.tick(now(second * 1_000), &[false], Some(now(600_000)), &mut run.out);
    }
    assert_eq!(run.watermark_ms(), START_MS - 5_000);
    // Events that count, though behind the watermark, among others that do not.
    for second in 60..120 {
        run.second("broken", second);
        run.record(second * 1_000, START_MS + second * 1_000, Some(&view(&second.to_string(), -10_000)));
        run.tick(second * 1_000);
    }
    assert_eq!(run.watermark_ms(), START_MS - 5_000);
}

#[test]
fn without_a_guard_an_event_of_any_time_counts() {
    for (max_future_skew, counted) in [(None, [1, 1, 1]), (Some(90_000_000), [1, 1, 0])] {
        let options = Arc::new(Options { max_future_skew, ..Options::default() });
        for (ahead_ms, counted) in [0, 90_000, 90_001].into_iter().zip(counted) {
            let task = Task::new(Arc::clone(&options), IDENTITY, &[Checkpoint::beginning()], now(0)).unwrap();
            let mut run = Run { task, out: TaskOutputs::default(), offset: 0 };
            run.record(0, START_MS, Some(&view("ahead", ahead_ms)));
            let totals = run.task.totals();
            assert_eq!(
                (totals.counted, totals.rejected),
                (counted, 1 - counted),
                "{max_future_skew:?} {ahead_ms}"
            );
        }
    }
}
