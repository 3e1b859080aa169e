//! Minutes and hours follow from raw windows, whenever each is sent on.

use std::sync::Arc;

use events::Timestamp;
use processor_core::{
    Checkpoint, FieldValue, Merge, MergeCheckpoint, MergeOutputs, Options, Record, Resolution, Task,
    TaskIdentity, TaskOutputs,
};

/// 2025-08-20 20:00:00 UTC.
const HOUR_START_MS: i64 = 1_755_720_000_000;

#[test]
fn an_hour_hears_of_an_event_whose_raw_window_closed_before_it_was_sent_on() {
    let options = Arc::new(Options::default());
    let identity = TaskIdentity { partition: 0, tasks: 1, merge_partitions: 1, origin: 1 };
    let start = Checkpoint::beginning();
    let now = |seconds: i64| Timestamp::from_micros((HOUR_START_MS + seconds * 1_000) * 1_000);
    let mut task =
        Task::new(Arc::clone(&options), identity, &[start], now(0)).expect("the options are valid");
    let mut out = TaskOutputs::default();
    let read = |task: &mut Task, offset: i64, after_ms: i64, out: &mut TaskOutputs| {
        let timestamp_ms = HOUR_START_MS + after_ms;
        let value =
            format!("{{\"user_id\":\"u\",\"timestamp\":{timestamp_ms},\"http_status\":200,\"url\":\"/\"}}");
        let record =
            Record { offset, timestamp_ms: HOUR_START_MS + 30_000, key: None, value: Some(value.as_bytes()) };
        task.records(0, now(0), [record], out);
    };
    read(&mut task, 0, 6_000, &mut out);
    // Late for the hour before, yet not too late; its raw window closes with the next event.
    read(&mut task, 1, -55_000, &mut out);
    read(&mut task, 2, 16_000, &mut out);
    task.emit(now(20), &mut out);
    task.drain(&mut out);

    let mut merge = Merge::new(Arc::clone(&options), 1, &MergeCheckpoint::parse(0, ""));
    for (offset, partial) in (0..).zip(&out.partials) {
        merge.message(offset, &partial.value).expect("this build wrote it");
    }
    let mut points = MergeOutputs::default();
    merge.emit(&mut points).unwrap();
    let hour_before = points.points.iter().find(|point| {
        point.measurement.name == "http_all"
            && point.resolution == Resolution::Hour
            && point.time.millis() < HOUR_START_MS
    });
    assert_eq!(hour_before.and_then(|point| point.field("requests")), Some(&FieldValue::Integer(1)));
}

#[test]
fn live_values_wait_while_windows_close_faster_than_they_are_sent_and_one_gap_is_no_reason() {
    let identity = TaskIdentity { partition: 0, tasks: 1, merge_partitions: 1, origin: 1 };
    let now = |seconds: i64| Timestamp::from_micros((HOUR_START_MS + seconds * 1_000) * 1_000);
    let options = Arc::new(Options::default());
    let mut task = Task::new(options, identity, &[Checkpoint::beginning()], now(0)).unwrap();
    // A second of wall clock in which the stream moves to `event_s`: whether a live window was sent on.
    let (mut offset, mut wall_s) = (0, 0);
    let mut sends_on = |event_s: i64, task: &mut Task| {
        let timestamp_ms = HOUR_START_MS + event_s * 1_000;
        let value =
            format!("{{\"user_id\":\"u\",\"timestamp\":{timestamp_ms},\"http_status\":200,\"url\":\"/\"}}");
        let record = Record { offset, timestamp_ms, key: None, value: Some(value.as_bytes()) };
        task.records(0, now(wall_s), [record], &mut TaskOutputs::default());
        (offset, wall_s) = (offset + 1, wall_s + 1);
        let mut out = TaskOutputs::default();
        task.emit(now(wall_s), &mut out);
        out.partials.len() > 1 // besides how far it is
    };
    assert!(sends_on(0, &mut task) && sends_on(1, &mut task) && sends_on(2, &mut task));
    assert!(sends_on(40, &mut task), "a gap");
    assert!(sends_on(41, &mut task) && sends_on(42, &mut task));
    assert!(sends_on(100, &mut task));
    assert!(
        !sends_on(160, &mut task) && !sends_on(220, &mut task) && !sends_on(280, &mut task),
        "catching up"
    );
    let mut out = TaskOutputs::default();
    task.emit_all(&mut out);
    assert!(out.partials.len() > 3, "all that is open, and how far it is, where nothing more will be read");
    assert!(sends_on(281, &mut task) && sends_on(282, &mut task), "caught up");
}
