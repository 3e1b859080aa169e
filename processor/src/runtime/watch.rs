//! When what was seen of tasks and merges: the core reads no clock, so what stands and since when is noted here.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use events::Timestamp;
use processor_core::{Merge, OpenWindow};

use crate::status::{HeardTask, MergeFacts, Window};

/// Open windows looked at per merge: a replay of hours after a long stop has as many, and then their number is what
/// matters, not the reason of each.
const WINDOWS_MAX: usize = 1_000;

/// What was seen of one merge.
#[derive(Default)]
pub(super) struct MergeWatch {
    tasks: BTreeMap<u32, Heard>,
    opened: BTreeMap<OpenWindow, i64>,
}

struct Heard {
    said_at: i64,
    heard_ms: i64,
    watermark: Option<Timestamp>,
    stands_since_ms: i64,
}

impl MergeWatch {
    /// Looks at the merge and says what is known of it, but for its lag and the sink.
    pub(super) fn look(&mut self, merge: &Merge, now_ms: i64) -> MergeFacts {
        let heard = merge.tasks().map(|task| {
            let Heard { said_at, heard_ms, watermark, stands_since_ms } =
                self.tasks.entry(task.task).or_insert(Heard {
                    said_at: task.said_at,
                    heard_ms: now_ms,
                    watermark: task.watermark,
                    stands_since_ms: now_ms,
                });
            if *said_at != task.said_at {
                (*said_at, *heard_ms) = (task.said_at, now_ms);
            }
            if *watermark != task.watermark {
                (*watermark, *stands_since_ms) = (task.watermark, now_ms);
            }
            HeardTask {
                partition: task.task as i32,
                watermark_ms: task.watermark.map(Timestamp::millis),
                stands_since_ms: *stands_since_ms,
                heard_ms: Some(*heard_ms),
                idle: task.idle,
            }
        });
        let mut tasks: Vec<HeardTask> = heard.collect();
        tasks.extend(merge.unheard().map(|task| HeardTask {
            partition: task as i32,
            stands_since_ms: now_ms,
            ..HeardTask::default()
        }));
        let open: Vec<OpenWindow> = merge.open_windows().take(WINDOWS_MAX).collect();
        let opened = |window| (window, *self.opened.get(&window).unwrap_or(&now_ms));
        self.opened = open.into_iter().map(opened).collect();
        let windows = self.opened.iter().map(|(window, opened_ms)| Window {
            start_ms: window.start.millis(),
            end_ms: window.end.millis(),
            closes_ms: window.closes_at.millis(),
            opened_ms: *opened_ms,
        });
        MergeFacts { tasks, windows: windows.collect(), ..MergeFacts::default() }
    }
}

/// How fast something moves.
#[derive(Default)]
pub(super) struct Pace {
    /// The oldest first; at most [`PACE_SPAN`] / [`PACE_STEP`] and two.
    seen: VecDeque<(Instant, i64)>,
}

/// What the pace is taken over.
const PACE_SPAN: Duration = Duration::from_secs(5);
/// Looks closer together than this are one.
const PACE_STEP: Duration = Duration::from_millis(400);

impl Pace {
    /// Notes where it is and says how much it moves per second; 0 before it was seen twice.
    pub(super) fn per_second(&mut self, at: Instant, position: i64) -> f64 {
        if self.seen.back().is_none_or(|(last, _)| at.duration_since(*last) >= PACE_STEP) {
            self.seen.push_back((at, position));
        }
        while self.seen.get(1).is_some_and(|(seen, _)| at.duration_since(*seen) >= PACE_SPAN) {
            self.seen.pop_front();
        }
        let (since, from) = self.seen[0];
        let seconds = at.duration_since(since).as_secs_f64();
        if seconds < PACE_STEP.as_secs_f64() { 0.0 } else { (position - from).max(0) as f64 / seconds }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use processor_core::{Checkpoint, MergeCheckpoint, Options, Record, Task, TaskIdentity, TaskOutputs};

    use super::*;

    #[test]
    fn a_merge_is_watched_for_what_stands_and_what_is_heard() {
        let options = Arc::new(Options::default());
        let identity = TaskIdentity { partition: 0, tasks: 2, merge_partitions: 1, origin: 7 };
        let second = |at: i64| Timestamp::from_secs(1_755_727_800 + at);
        let mut task =
            Task::new(Arc::clone(&options), identity, &[Checkpoint::beginning()], second(0)).unwrap();
        let mut merge = Merge::new(options, 7, &MergeCheckpoint::parse(0, ""));
        let mut offset = 0;
        let mut emit = |task: &mut Task, merge: &mut Merge, at: i64| {
            let mut out = TaskOutputs::default();
            task.emit(second(at), &mut out);
            for partial in out.partials {
                merge.message(offset, &partial.value).unwrap();
                offset += 1;
            }
        };
        let mut watch = MergeWatch::default();
        assert_eq!(watch.look(&merge, 0), MergeFacts::default(), "nobody has said how many tasks there are");

        let event = br#"{"event_id":"a","user_id":"u","timestamp":"2025-08-20T22:10:03Z","method":"GET","url":"/","status":200,"event_type":"page_view","latency_ms":5}"#;
        let record = Record { offset: 0, timestamp_ms: second(3).millis(), key: None, value: Some(event) };
        task.records(0, second(3), [record], &mut TaskOutputs::default());
        assert_eq!(task.totals().counted, 1);
        emit(&mut task, &mut merge, 4);
        let facts = watch.look(&merge, 4_000);
        let (heard, unheard) = (facts.tasks[0], facts.tasks[1]);
        assert_eq!((heard.partition, heard.heard_ms, heard.stands_since_ms), (0, Some(4_000), 4_000));
        assert_eq!((unheard.partition, unheard.heard_ms), (1, None));
        let first = facts.windows[0];
        assert_eq!((first.start_ms, first.opened_ms), (second(0).millis(), 4_000));
        assert_eq!(first.closes_ms - first.end_ms, 60_000);
        assert!(facts.windows.is_sorted_by_key(|window| window.closes_ms));

        emit(&mut task, &mut merge, 6);
        let facts = watch.look(&merge, 6_000);
        assert_eq!((facts.tasks[0].heard_ms, facts.tasks[0].stands_since_ms), (Some(6_000), 4_000));
        assert_eq!(facts.windows[0].opened_ms, 4_000);
        let facts = watch.look(&merge, 9_000);
        assert_eq!(facts.tasks[0].heard_ms, Some(6_000), "nothing new was heard");
    }

    #[test]
    fn a_pace_is_of_the_last_seconds() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(pace.per_second(at(0), 1_000), 0.0);
        assert_eq!(pace.per_second(at(100), 2_000), 0.0, "too short to say");
        assert_eq!(pace.per_second(at(1_000), 2_000), 1_000.0);
        for millis in (1_500..20_000).step_by(500) {
            pace.per_second(at(millis), 2_000);
        }
        assert_eq!(pace.per_second(at(20_000), 2_000), 0.0);
        assert!(pace.seen.len() <= 16);
    }
}
