//! What a worker keeps beside a task.

use std::sync::Arc;
use std::time::Instant;

use processor_core::{Checkpoint, NoteTotals, Task, TaskTotals};

use super::super::reading::Reading;
use super::super::watch::Pace;
use crate::kafka::Consumer;

/// A task with what the shell knows of it.
pub(in super::super) struct TaskSlot {
    pub(super) partition: i32,
    pub(super) task: Task,
    /// Where a bounded run ends, per input; empty otherwise.
    pub(super) ends: Vec<i64>,
    /// The same per input that is re-keyed and its partitions.
    pub(super) source_ends: Arc<Vec<Vec<i64>>>,
    pub(super) ended: bool,
    pub(super) starts: Vec<Checkpoint>,
    /// Per input, how far its partition is read.
    pub(super) readings: Vec<Reading>,
    pub(super) published: TaskTotals,
    pub(super) published_notes: NoteTotals,
    /// Windows withheld that are published.
    pub(super) withheld: u64,
    pub(super) pace: Pace,
    /// What it was last seen doing, and since when.
    pub(super) state: (&'static str, i64),
}

impl TaskSlot {
    pub(in super::super) fn new(
        partition: i32,
        task: Task,
        starts: Vec<Checkpoint>,
        ends: Vec<i64>,
        source_ends: Arc<Vec<Vec<i64>>>,
    ) -> Self {
        let readings = starts.iter().map(|_| Reading::default()).collect();
        Self {
            partition,
            task,
            ends,
            source_ends,
            ended: false,
            starts,
            readings,
            published: TaskTotals::default(),
            published_notes: NoteTotals::default(),
            withheld: 0,
            pace: Pace::default(),
            state: ("", 0),
        }
    }

    /// For a bounded run: whether everything up to its end has been read of an input.
    pub(super) fn has_reached_end(&self, input: usize) -> bool {
        match self.ends[input] {
            NO_END => self.task.has_heard_of(&self.source_ends),
            end => end == 0 || self.task.next_offset(input) >= end,
        }
    }

    /// Looks whether every record of an input's partition has been read.
    pub(super) fn look(&mut self, consumer: &Consumer, topic: &str, input: usize, now: Instant) {
        let latest = consumer.end_offset(topic, self.partition);
        self.readings[input].look(self.task.next_offset(input), latest, now);
    }

    /// Whether it had been, at the last look.
    pub(super) fn is_caught_up(&self, input: usize) -> bool {
        self.readings[input].is_caught_up()
    }
}

/// The by-user topic has no end offset of the start: it ends where what relays have sent on does.
pub(in super::super) const NO_END: i64 = i64::MAX;
