use super::*;
use crate::status::ReplayStatus;

/// 2025-08-20T22:10:30Z.
const NOW: i64 = 1_755_727_830_000;
/// 22:10:00.
const START: i64 = NOW - 30_000;

#[test]
fn nobody_has_reported() {
    assert_eq!(why(&MergeFacts::default(), None), "no partition has reported how far it is yet");
}

#[test]
fn a_partition_that_has_not_reported_holds_before_one_that_is_behind() {
    let mut facts = heard(Some(START - 19_000));
    facts.tasks.push(HeardTask { partition: 5, ..HeardTask::default() });
    assert_eq!(
        why(&facts, None),
        "it has not reported yet, and no task here has it: is the instance running that has?"
    );
    assert_eq!(facts.explain(&known(&BTreeMap::new()))[0].waits_for, Some(5));
    facts.tasks.remove(0);
    let task = TaskStatus { partition: 5, ..reading() };
    assert_eq!(why(&facts, Some(task)), "it has not reported yet: its first epoch is under way");
}

#[test]
fn a_replay_says_what_is_left_and_for_how_long() {
    let replay = ReplayStatus { from: 0, at: 1, to: 12_346, left: 12_345 };
    let task = TaskStatus { replay: Some(replay), records_per_s: 1_000.0, lag: 99_999, ..reading() };
    assert_eq!(why(&heard(Some(START)), Some(task)), "it is replaying: 12,345 records left, about 12 s");
}

#[test]
fn a_pause_says_why_and_since_when() {
    let task = TaskStatus {
        paused: Some("waiting until the sink confirms what was read".to_owned()),
        since_ms: NOW - 5_000,
        lag: 99_999,
        ..reading()
    };
    assert_eq!(
        why(&heard(Some(START)), Some(task)),
        "it is paused since 2025-08-20T22:10:25Z: waiting until the sink confirms what was read"
    );
}

#[test]
fn a_backlog_is_told_from_what_is_on_its_way() {
    let of = |lag| TaskStatus { lag, caught_up: false, records_per_s: 500.0, ..reading() };
    assert_eq!(why(&heard(Some(START)), Some(of(12_345))), "it is behind: 12,345 records to read at 500/s");
    assert_eq!(
        why(&heard(Some(START)), Some(of(400))),
        "its events are still coming: it ends at 2025-08-20T22:10:10Z"
    );
}

#[test]
fn records_that_do_not_come_are_not_a_backlog_that_is_read() {
    let task = TaskStatus {
        lag: 1,
        caught_up: false,
        holder: Some("orders".to_owned()),
        records_per_s: 0.0,
        ..reading()
    };
    assert_eq!(
        why(&heard(Some(START)), Some(task)),
        "1 record of `orders` to read, and none has come since 2025-08-20T22:10:29Z: Kafka is slow, or a producer left \
         a transaction open"
    );
}

#[test]
fn a_partition_whose_worker_reads_others_is_not_stuck() {
    let task = TaskStatus { lag: 9, caught_up: false, records_per_s: 0.0, ..reading() };
    let why = |worker, lag| {
        let other = TaskStatus { partition: 4, worker, lag, ..reading() };
        let own = BTreeMap::from([(3, task.clone()), (4, other)]);
        let facts = heard(Some(START));
        Why::of(&facts.windows[0], &facts, &known(&own))
    };
    assert_eq!(
        why(0, 5_000).to_string(),
        "9 records to read; its worker reads other partitions before, at 500/s"
    );
    assert_eq!(why(1, 5_000).reason(), "stuck", "another worker's reading says nothing");
    assert_eq!(why(0, 3).reason(), "stuck", "its worker has the time");
}

#[test]
fn a_quiet_partition_says_when_it_counts_as_idle() {
    let task = TaskStatus { active_ms: NOW - 4_000, records_per_s: 0.0, ..reading() };
    assert_eq!(
        why(&heard(Some(START - 19_000)), Some(task)),
        "no event since 2025-08-20T22:10:26Z; it counts as idle at 2025-08-20T22:10:36Z (windows.idle_after)"
    );
}

#[test]
fn an_idle_partition_says_when_the_wall_clock_closes_the_window() {
    let task = TaskStatus {
        active_ms: NOW - 14_000,
        idle_since_ms: Some(NOW - 4_000),
        watermark_ms: Some(START),
        ..reading()
    };
    assert_eq!(
        why(&heard(Some(START)), Some(task.clone())),
        "it is idle since 2025-08-20T22:10:26Z and follows the wall clock, which closes the window at \
         2025-08-20T22:11:40Z"
    );
    let task = TaskStatus { watermark_ms: None, ..task };
    assert_eq!(
        why(&heard(None), Some(task)),
        "it is idle since 2025-08-20T22:10:26Z, and no partition has had an event yet"
    );
}

#[test]
fn a_window_of_the_present_is_filling_and_then_waits_for_late_events() {
    assert_eq!(
        why(&heard(Some(START + 9_999)), Some(reading())),
        "its events are still coming: it ends at 2025-08-20T22:10:10Z"
    );
    assert_eq!(
        why(&heard(Some(START + 10_000)), Some(reading())),
        "late events count until the watermark is at 2025-08-20T22:11:10Z"
    );
}

#[test]
fn a_task_that_has_passed_the_window_has_to_say_so() {
    let task =
        TaskStatus { watermark_ms: Some(START + 70_000), epoch_since_ms: Some(NOW - 3_000), ..reading() };
    let mut facts = heard(Some(START));
    assert_eq!(
        why(&facts, Some(task.clone())),
        "the partition has passed it; its epoch, sealed at 2025-08-20T22:10:27Z, is not in Kafka yet"
    );
    let sealed = TaskStatus { epoch_since_ms: None, ..task.clone() };
    assert_eq!(
        why(&facts, Some(sealed)),
        "the partition has passed it; its epoch says so within a second or two"
    );
    facts.lag = 7;
    assert_eq!(why(&facts, Some(task)), "the partition has passed it; the merge has 7 messages before it");
}

#[test]
fn what_every_partition_has_passed_waits_for_nobody() {
    let facts = heard(Some(START + 70_000));
    assert_eq!(
        why(&facts, None),
        "every partition has passed it; it closes with the next epoch of the merge"
    );
    let window = &facts.explain(&known(&BTreeMap::new()))[0];
    assert_eq!((window.waits_for, window.others, window.reason), (None, 0, "closing"));
}

#[test]
fn a_sink_that_is_away_comes_before_everything_else() {
    let facts = MergeFacts { waits_for_sink: 8, ..heard(Some(START)) };
    let own = BTreeMap::new();
    let known = Known { sink_problem: Some("influxdb at 127.0.0.1:8086 does not answer"), ..known(&own) };
    assert_eq!(
        Why::of(&facts.windows[0], &facts, &known).to_string(),
        "the sink has not confirmed the points of 8 earlier epochs: influxdb at 127.0.0.1:8086 does not answer"
    );
}

#[test]
fn of_a_foreign_partition_it_is_told_when_it_was_heard() {
    let mut facts = heard(Some(START));
    facts.tasks[0].stands_since_ms = NOW - 8_000;
    assert_eq!(
        why(&facts, None),
        "another instance has it, heard at 2025-08-20T22:10:29Z: see that instance's page"
    );
    facts.tasks[0].idle = true;
    assert_eq!(
        why(&facts, None),
        "another instance has it, and says it is idle, heard at 2025-08-20T22:10:29Z: see that instance's page"
    );
    facts.tasks[0].heard_ms = Some(NOW - 12_000);
    assert_eq!(
        why(&facts, None),
        "nothing was heard of it since 2025-08-20T22:10:18Z: its instance is gone, stopped or cannot publish"
    );
    assert_eq!(
        why(&heard(Some(START)), None),
        "its events are still coming: it ends at 2025-08-20T22:10:10Z",
        "it moves, whoever has it"
    );
}

#[test]
fn a_window_names_its_holder_and_counts_the_others() {
    let mut facts = heard(Some(START - 19_000));
    facts.tasks[0].stands_since_ms = NOW - 3_000;
    facts.tasks.push(HeardTask { partition: 4, watermark_ms: Some(START + 1), ..facts.tasks[0] });
    facts.tasks.push(HeardTask { partition: 5, watermark_ms: Some(START + 70_000), ..facts.tasks[0] });
    let own = BTreeMap::from([(3, reading())]);
    let window = &facts.explain(&known(&own))[0];
    assert_eq!((window.waits_for, window.others), (Some(3), 1));
    assert_eq!((window.watermark_ms, window.stands_since_ms), (Some(START - 19_000), Some(NOW - 3_000)));
}

#[test]
fn explanations_are_few_however_many_windows_are_open() {
    let mut facts = heard(Some(START));
    facts.windows = vec![facts.windows[0]; 500];
    let own = BTreeMap::from([(3, reading())]);
    assert_eq!(facts.explain(&known(&own)).len(), WINDOWS_EXPLAINED_MAX);
    assert_eq!(facts.by_reason(&known(&own)), BTreeMap::from([("filling", 500)]));
}

fn why(facts: &MergeFacts, own: Option<TaskStatus>) -> String {
    let window = heard(None).windows[0];
    let own: BTreeMap<i32, TaskStatus> = own.into_iter().map(|task| (task.partition, task)).collect();
    Why::of(&window, facts, &known(&own)).to_string()
}

fn known(own: &BTreeMap<i32, TaskStatus>) -> Known<'_> {
    Known { now_ms: NOW, idle_after_ms: 10_000, own, sink_problem: None }
}

/// Partition 3 was heard a second ago at this watermark, and the window from 22:10:00 is open, with a minute's lateness.
fn heard(watermark_ms: Option<i64>) -> MergeFacts {
    let task = HeardTask {
        partition: 3,
        watermark_ms,
        stands_since_ms: NOW - 1_000,
        heard_ms: Some(NOW - 1_000),
        idle: false,
    };
    let window =
        Window { start_ms: START, end_ms: START + 10_000, closes_ms: START + 70_000, opened_ms: START + 500 };
    MergeFacts { tasks: vec![task], windows: vec![window], ..MergeFacts::default() }
}

/// A task that is read without a pause.
fn reading() -> TaskStatus {
    TaskStatus {
        partition: 3,
        active_ms: NOW - 100,
        caught_up: true,
        records_per_s: 500.0,
        watermark_ms: Some(START + 9_000),
        ..TaskStatus::default()
    }
}
