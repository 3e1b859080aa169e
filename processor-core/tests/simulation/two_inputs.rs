//! A task with two inputs, one of which sleeps: what was decided by the other's progress is decided again by a replay.

use std::collections::BTreeMap;
use std::sync::Arc;

use events::Timestamp;
use processor_core::{
    Checkpoint, FieldValue, InputOptions, Merge, MergeCheckpoint, MergeOutputs, Options, Record, Task,
    TaskIdentity, TaskOutputs,
};

const START_S: i64 = 1_755_720_000;
const IDENTITY: TaskIdentity = TaskIdentity { partition: 0, tasks: 1, merge_partitions: 1, origin: 7 };

fn options() -> Arc<Options> {
    let input = &Options::default().inputs[0];
    let named = |topic: &str| InputOptions { topic: topic.to_owned(), ..input.clone() };
    Arc::new(Options { inputs: vec![named("a"), named("b")], ..Options::default() })
}

/// A log of page views at these seconds after the start.
fn log(seconds: impl IntoIterator<Item = i64>) -> Vec<String> {
    let event = |at: i64| {
        format!(r#"{{"user_id":"u{at}","timestamp":{},"url":"/x","http_status":200}}"#, START_S + at)
    };
    seconds.into_iter().map(event).collect()
}

fn read(task: &mut Task, input: usize, log: &[String], now: i64, out: &mut TaskOutputs) {
    let from = task.next_offset(input);
    let records = (from..).zip(&log[from as usize..]).map(|(offset, value)| Record {
        offset,
        timestamp_ms: (START_S + 10_000) * 1_000,
        key: None,
        value: Some(value.as_bytes()),
    });
    task.records(input, at(now), records, out);
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(START_S + second)
}

/// Requests by resolution and window.
fn requests(partials: &[Vec<u8>]) -> BTreeMap<(u8, i64), FieldValue> {
    let mut merge = Merge::new(options(), IDENTITY.origin, &MergeCheckpoint::parse(0, ""));
    let mut out = MergeOutputs::default();
    for (offset, value) in (0..).zip(partials) {
        merge.message(offset, value).expect("this build wrote it");
        merge.emit(&mut out).unwrap();
    }
    let points = out.points.iter().filter(|point| point.measurement.name == "http_all");
    points.map(|point| ((point.resolution as u8, point.time.secs()), point.fields[0].clone())).collect()
}

fn take(out: &mut TaskOutputs) -> Vec<Vec<u8>> {
    std::mem::take(&mut out.partials).into_iter().map(|partial| partial.value).collect()
}

#[test]
fn an_event_that_was_late_for_the_other_inputs_progress_stays_late_in_a_replay() {
    // `a` wakes up with two events of its sleep: one of a closed window, one of a window that is still open.
    let (a, b) = (log([0, 1, 100, 280]), log(0..300));
    let mut out = TaskOutputs::default();
    let beginnings = [Checkpoint::beginning(), Checkpoint::beginning()];
    let mut task = Task::new(options(), IDENTITY, &beginnings, at(0)).expect("valid options");
    read(&mut task, 0, &a[..2], 0, &mut out);
    read(&mut task, 1, &b[..10], 10, &mut out);
    task.tick(at(10), &[true, false], None, &mut out);
    read(&mut task, 1, &b, 11, &mut out);
    read(&mut task, 0, &a, 11, &mut out);
    let late: Vec<_> = std::mem::take(&mut out.late).iter().map(|late| (late.input, late.offset)).collect();
    assert_eq!(late, [(0, 2)]);
    task.emit(at(100), &mut out);
    let starts: Vec<Checkpoint> = task.checkpoints();
    let starts: Vec<Checkpoint> =
        starts.iter().map(|start| Checkpoint::parse(start.next_offset, &start.metadata())).collect();
    let before = take(&mut out);

    task.drain(&mut out);
    let undisturbed = requests(&[before.clone(), take(&mut out)].concat());
    assert_eq!(undisturbed[&(2, START_S)], FieldValue::Integer(303));
    for first in [0, 1] {
        let mut task = Task::new(options(), IDENTITY, &starts, at(200)).expect("valid options");
        for input in [first, 1 - first] {
            // The frontier that a restarted task is told, and its wall clock, change nothing that was decided.
            task.tick(at(300), &[false, false], Some(at(5_000)), &mut out);
            read(&mut task, input, if input == 0 { &a } else { &b }, 400, &mut out);
        }
        task.tick(at(401), &[true, true], None, &mut out);
        assert!(out.late.is_empty() && task.totals().consumed == 0, "nothing is new");
        task.drain(&mut out);
        let restarted = requests(&[before.clone(), take(&mut out)].concat());
        assert_eq!(restarted, undisturbed, "input {first} replayed first");
    }
}
