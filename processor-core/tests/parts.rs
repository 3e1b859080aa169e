//! Topics that are made again, records that are gone and offsets that were set: what a window adds up to.

use std::collections::BTreeMap;
use std::sync::Arc;

use events::Timestamp;
use processor_core::{
    Checkpoint, FieldValue, FoundInput, Merge, MergeCheckpoint, MergeOutputs, Options, PartialRecord, Record,
    Resolution, Task, TaskIdentity, TaskOutputs, begin,
};

/// 2025-08-20 20:00:00 UTC.
const HOUR: i64 = 1_755_720_000;
const ORIGIN: u64 = 7;

#[test]
fn what_a_topic_counted_before_it_was_made_again_stays_in_its_windows() {
    let mut world = World::new(1);
    let mut task = world.task(&[found(None, 7, 0, 9)]);
    world.read(&mut task, 0, &[1, 2, 3]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Hour), [(0, 3)]);

    // The offsets begin at 0 again: less than before, and counted all the same.
    let commit = committed(&mut task);
    let mut task = world.task(&[found(Some(commit), 8, 0, 2)]);
    world.read(&mut task, 0, &[4, 5]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Hour), [(0, 5)]);

    // A restart rebuilds what the new one said, and says it once.
    let commit = committed(&mut task);
    let mut task = world.task(&[found(Some(commit), 8, 0, 3)]);
    world.read(&mut task, 0, &[4, 5, 6]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Hour), [(0, 6)]);
}

#[test]
fn records_that_a_replay_needs_and_that_are_gone_stay_counted() {
    let mut world = World::new(1);
    let mut task = world.task(&[found(None, 7, 0, 9)]);
    world.read(&mut task, 0, &[1, 2, 3]);
    // Deleted up to the second, of which the state would be rebuilt; then up to beyond what was read.
    for (first, next, times) in [(1, 3, &[4][..]), (6, 6, &[5, 6])] {
        let commit = committed(&mut task);
        task = world.task(&[found(Some(commit), 7, first, 9)]);
        assert_eq!(task.read_from(0), next);
        world.read(&mut task, next, times);
        world.merge_to_the_end();
    }
    assert_eq!(world.requests(Resolution::Hour), [(0, 6)]);
}

#[test]
fn a_window_in_whose_middle_an_offset_was_set_keeps_what_it_had() {
    for to in [1, 9] {
        let mut world = World::new(1);
        let mut task = world.task(&[found(None, 7, 0, 9)]);
        world.read(&mut task, 0, &[1, 2, 3, 65]);
        world.merge_to_the_end();
        let before = world.requests(Resolution::Hour);
        // By hand: without our metadata. The hour and the minute that are open have begun before.
        let mut task = world.task(&[found(Some((to, String::new())), 7, 0, 20)]);
        world.read(&mut task, to, &[66, 130, 131]);
        world.merge_to_the_end();
        assert_eq!(world.requests(Resolution::Hour), before, "set to {to}");
        assert_eq!(world.requests(Resolution::Minute), [(0, 3), (60, 1), (120, 2)], "set to {to}");
        // It is remembered over a restart, which reads from there again.
        let commit = committed(&mut task);
        let mut task = world.task(&[found(Some(commit), 7, 0, 20)]);
        assert_eq!(task.read_from(0), to);
        world.read(&mut task, to, &[66, 130, 131, 3_700]);
        world.merge_to_the_end();
        assert_eq!(world.requests(Resolution::Hour)[0], before[0], "set to {to}");
        assert!(task.report().withheld > 0, "windows that are left out are counted");
    }
}

#[test]
fn what_is_withheld_stays_so_where_records_are_gone_as_well() {
    let mut world = World::new(1);
    let mut task = world.task(&[found(None, 7, 0, 9)]);
    world.read(&mut task, 0, &[1, 2, 3]);
    world.merge_to_the_end();
    let mut task = world.task(&[found(Some((1, String::new())), 7, 0, 20)]);
    world.read(&mut task, 1, &[2, 3, 65]);
    let commit = committed(&mut task);
    let mut task = world.task(&[found(Some(commit), 7, 3, 20)]);
    assert_eq!(task.read_from(0), 4);
    world.read(&mut task, 4, &[66]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Hour), [(0, 3)], "as it was before the offset was set");
    assert_eq!(world.requests(Resolution::Minute), [(0, 3), (60, 2)]);
}

#[test]
fn a_log_that_is_counted_anew_from_an_earlier_part_on_takes_the_place_of_the_later_ones() {
    let mut world = World::new(1);
    let mut task = world.task(&[found(None, 7, 0, 9)]);
    world.read(&mut task, 0, &[1, 2, 3]);
    let commit = committed(&mut task);
    let mut task = world.task(&[found(Some(commit), 7, 1, 9)]);
    world.read(&mut task, 3, &[65, 66]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Minute), [(0, 3), (60, 2)]);
    // By hand: nothing tells any more that there was a second part, and the minute is counted whole.
    let mut task = world.task(&[found(Some((2, String::new())), 7, 1, 9)]);
    world.read(&mut task, 2, &[3, 65]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Minute), [(0, 3), (60, 2)], "not smaller before it has caught up");
    world.read(&mut task, 4, &[66, 67]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Minute), [(0, 3), (60, 3)]);
}

#[test]
fn a_log_that_kafka_did_not_name_yet_is_the_one_it_names_later() {
    let mut world = World::new(1);
    let mut task = world.task(&[found(None, 0, 0, 9)]);
    world.read(&mut task, 0, &[1, 2, 3]);
    let commit = committed(&mut task);
    let mut task = world.task(&[found(Some(commit), 7, 0, 9)]);
    world.read(&mut task, 0, &[1, 2, 3, 4]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Minute), [(0, 4)]);
    // Without names, a topic made again is another part.
    let mut world = World::new(1);
    let mut task = world.task(&[found(None, 0, 0, 9)]);
    world.read(&mut task, 0, &[1, 2, 3]);
    let commit = committed(&mut task);
    let mut task = world.task(&[found(Some(commit), 0, 0, 2)]);
    world.read(&mut task, 0, &[4, 5]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Minute), [(0, 5)]);
}

#[test]
fn no_window_closes_before_every_task_of_the_new_count_has_spoken() {
    let mut world = World::new(1);
    let mut first = world.task(&[found(None, 7, 0, 9)]);
    world.read(&mut first, 0, &[1]);
    world.merge_to_the_end();
    let closed = world.merge.checkpoint().closed_through;

    // A second partition was added: the assignment says so before anyone has heard of it.
    world.tasks = 2;
    world.assign_merge();
    world.read(&mut first, 1, &[300]);
    world.merge_to_the_end();
    assert_eq!(world.merge.checkpoint().closed_through, closed, "the second task has not spoken");
    let mut second = world.task_of(1, &[found(None, 7, 0, 9)]);
    world.read(&mut second, 0, &[2, 290]);
    world.merge_to_the_end();
    assert!(world.merge.checkpoint().closed_through > closed);
    assert_eq!(world.requests(Resolution::Raw), [(0, 2), (290, 1), (300, 1)]);
}

#[test]
fn what_tasks_said_before_an_assignment_closes_nothing_after_it() {
    let mut world = World::new(1);
    let mut task = world.task(&[found(None, 7, 0, 9)]);
    world.read(&mut task, 0, &[1]);
    world.merge_to_the_end();
    let closed = world.merge.checkpoint().closed_through;
    // Written by the task that was, and read by a merge that is assigned together with its successor, whose topic was made
    // again: what that one counts must not find its window closed.
    world.read(&mut task, 1, &[300]);
    world.assign_merge();
    world.merge_to_the_end();
    assert_eq!(world.merge.checkpoint().closed_through, closed);
    let mut task = world.task(&[found(None, 8, 0, 9)]);
    assert_eq!(world.read(&mut task, 0, &[2]), 0, "in time");
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Raw), [(0, 2), (300, 1)]);
    // Nor does it once the new one has spoken: how far the other part was is not how far this one is.
    let now = world.merge.checkpoint().closed_through;
    assert!(now < (HOUR + 10) * 1_000_000, "the new part has come to its third second, not {now}");
}

#[test]
fn what_has_closed_is_late_for_a_partition_that_has_just_come() {
    let mut world = World::new(1);
    let mut first = world.task(&[found(None, 7, 0, 9)]);
    world.read(&mut first, 0, &[1, 300]);
    world.merge_to_the_end();
    world.tasks = 2;
    let mut second = world.task_of(1, &[found(None, 7, 0, 9)]);
    let out = world.read(&mut second, 0, &[2, 299]);
    assert_eq!(out, 1, "a window that is closed takes nothing more, so the event is set aside");
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Raw), [(0, 1), (290, 1), (300, 1)]);
}

#[test]
fn what_a_task_has_closed_itself_is_not_late_where_its_beginning_was_committed() {
    let mut world = World::new(1);
    let mut task = world.task(&[found(None, 7, 0, 9)]);
    let beginning = committed(&mut task);
    world.read(&mut task, 0, &[1, 2, 300]);
    world.merge_to_the_end();
    // At least once, it may die now: all of it is read again.
    let mut task = world.task(&[found(Some(beginning), 7, 0, 9)]);
    assert_eq!(world.read(&mut task, 0, &[1, 2, 300]), 0, "in time");
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Hour), [(0, 3)]);
}

#[test]
fn a_topic_made_again_with_fewer_partitions_holds_no_window_open() {
    let mut world = World::new(2);
    for partition in 0..2 {
        let mut task = world.task_of(partition, &[found(None, 7, 0, 9)]);
        world.read(&mut task, 0, &[1]);
    }
    world.merge_to_the_end();
    world.tasks = 1;
    world.assign_merge();
    let mut task = world.task(&[found(None, 8, 0, 9)]);
    world.read(&mut task, 0, &[2, 300]);
    world.merge_to_the_end();
    assert!(world.merge.checkpoint().closed_through > HOUR * 1_000_000 + 200_000_000);
    assert_eq!(world.requests(Resolution::Raw), [(0, 3), (300, 1)]);
}

#[test]
fn partials_that_are_gone_make_no_window_smaller() {
    let mut world = World::new(2);
    let mut tasks = [0, 1].map(|partition| world.task_of(partition, &[found(None, 7, 0, 9)]));
    // One task has ended the first window, and its last word of it is skipped below; so is all that the other one
    // counted of a topic that was made again.
    world.read(&mut tasks[0], 0, &[1, 2, 300]);
    world.read(&mut tasks[1], 0, &[1, 290]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Raw), [(0, 3), (290, 1), (300, 1)]);
    let commit = committed(&mut tasks[1]);
    tasks[1] = world.task_of(1, &[found(Some(commit), 8, 0, 9)]);
    let from = world.log.len() as i64;
    world.say(&mut tasks[0]);
    world.read(&mut tasks[1], 0, &[291, 311]);
    let start = MergeCheckpoint::parse(from, "set by hand");
    let greatest = (HOUR + 300) * 1_000_000;
    let merge = Merge::new(Arc::clone(&world.options), ORIGIN, &start).among(2, from);
    world.merge = merge.withholding(greatest);
    world.read_from = from;
    world.merge_to_the_end();
    assert_eq!(
        world.requests(Resolution::Raw),
        [(0, 3), (290, 1), (300, 1), (310, 1)],
        "as they were written"
    );
    assert_eq!(world.requests(Resolution::Hour), [(0, 5)]);

    // And after a restart.
    world.assign_merge();
    world.read(&mut tasks[1], 2, &[292, 312]);
    world.merge_to_the_end();
    assert_eq!(world.requests(Resolution::Raw), [(0, 3), (290, 1), (300, 1), (310, 2)]);
    assert_eq!(world.requests(Resolution::Hour), [(0, 5)]);
}

/// A partition of the partials topic, its merge, and what was written of it.
struct World {
    options: Arc<Options>,
    tasks: u32,
    log: Vec<PartialRecord>,
    read_from: i64,
    merge: Merge,
    written: BTreeMap<(u8, i64), i64>,
    now: i64,
}

impl World {
    fn new(tasks: u32) -> Self {
        let options = Arc::new(Options::default());
        let merge = Merge::new(Arc::clone(&options), ORIGIN, &MergeCheckpoint::parse(0, ""));
        Self { options, tasks, log: Vec::new(), read_from: 0, merge, written: BTreeMap::new(), now: HOUR }
    }

    fn task(&self, found: &[FoundInput]) -> Task {
        self.task_of(0, found)
    }

    fn task_of(&self, partition: u32, found: &[FoundInput]) -> Task {
        let begun = begin(found, self.merge.checkpoint().closed_through);
        let identity = TaskIdentity { partition, tasks: self.tasks, merge_partitions: 1, origin: ORIGIN };
        Task::new(Arc::clone(&self.options), identity, &begun.starts, time(self.now)).expect("valid options")
    }

    /// Gives a task requests at these seconds of the hour, and publishes what it says. Returns how many came too late.
    fn read(&mut self, task: &mut Task, from: i64, seconds: &[i64]) -> usize {
        let mut out = TaskOutputs::default();
        for (offset, second) in (from..).zip(seconds) {
            let timestamp_ms = (HOUR + second) * 1_000;
            let value = format!(
                "{{\"user_id\":\"u\",\"timestamp\":{timestamp_ms},\"http_status\":200,\"url\":\"/\"}}"
            );
            let record = Record { offset, timestamp_ms, key: None, value: Some(value.as_bytes()) };
            task.records(0, time(self.now), [record], &mut out);
        }
        let late = out.late.len();
        self.log.append(&mut out.partials);
        // Live values wait once while windows close.
        self.say(task);
        self.say(task);
        late
    }

    fn say(&mut self, task: &mut Task) {
        self.now += 3_600; // everything is due
        let mut out = TaskOutputs::default();
        task.emit(time(self.now), &mut out);
        self.log.append(&mut out.partials);
    }

    /// As a rebalance does.
    fn assign_merge(&mut self) {
        let checkpoint = self.merge.checkpoint();
        let merge = Merge::new(Arc::clone(&self.options), ORIGIN, &checkpoint);
        self.merge = merge.among(self.tasks, self.log.len() as i64);
        self.read_from = checkpoint.replay_offset;
    }

    fn merge_to_the_end(&mut self) {
        let mut out = MergeOutputs::default();
        for offset in self.read_from..self.log.len() as i64 {
            let value = &self.log[offset as usize].value;
            self.merge.message(offset, value).expect("this build wrote it");
        }
        self.read_from = self.log.len() as i64;
        self.merge.emit(&mut out).expect("this build wrote it");
        for point in out.points.iter().filter(|point| point.measurement.name == "http_all") {
            let Some(FieldValue::Integer(requests)) = point.field("requests") else { panic!("an integer") };
            let key = (point.resolution as u8, point.time.millis() / 1_000 - HOUR);
            self.written.insert(key, *requests);
        }
    }

    /// The windows of a resolution that have requests, by start.
    fn requests(&self, resolution: Resolution) -> Vec<(i64, i64)> {
        let of = self.written.iter().filter(|((of, _), requests)| *of == resolution as u8 && **requests > 0);
        of.map(|((_, start), requests)| (*start, *requests)).collect()
    }
}

fn found(committed: Option<(i64, String)>, topic: u64, first: i64, end: i64) -> FoundInput {
    FoundInput { committed, topic, first, intact_from: first, end }
}

fn committed(task: &mut Task) -> (i64, String) {
    let checkpoint: Checkpoint = task.checkpoints().remove(0);
    (checkpoint.next_offset, checkpoint.metadata())
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}
