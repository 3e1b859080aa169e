//! A worker's merges and their epochs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use events::Timestamp;
use processor_core::{Freshness, Merge, MergeOutputs};

use super::RunError;
use super::shared::Shared;
use crate::kafka::{Commit, Consumer, Outbox as _, Run};
use crate::sink::Ack;
use crate::status::MergeStatus;

/// Batches of points that may wait for the sinks. Beyond it no partials are read, and so, a little later, no records.
const EPOCHS_IN_FLIGHT_MAX: usize = 8;

/// The longest a rebalance waits for a sink.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
const SETTLE_STEP: Duration = Duration::from_millis(5);

pub(super) struct MergeSlot {
    partition: i32,
    merge: Merge,
}

impl MergeSlot {
    pub(super) fn new(partition: i32, merge: Merge) -> Self {
        Self { partition, merge }
    }
}

struct Epoch {
    durable: Arc<AtomicBool>,
    commits: Vec<Commit>,
    fresh: Vec<Freshness>,
}

/// The merges of a worker.
pub(super) struct Stage2 {
    shared: Arc<Shared>,
    consumer: Consumer,
    merges: BTreeMap<i32, MergeSlot>,
    epochs: VecDeque<Epoch>,
    sealed_at: Instant,
    committed: BTreeMap<i32, Commit>,
}

impl Stage2 {
    pub(super) fn new(shared: Arc<Shared>, consumer: Consumer) -> Self {
        Self {
            shared,
            consumer,
            merges: BTreeMap::new(),
            epochs: VecDeque::new(),
            sealed_at: Instant::now(),
            committed: BTreeMap::new(),
        }
    }

    pub(super) fn assign(&mut self, slot: MergeSlot) {
        self.merges.insert(slot.partition, slot);
    }

    pub(super) fn revoke(&mut self, partitions: &[i32]) {
        self.settle();
        let mut reports = self.shared.reports();
        for partition in partitions {
            self.merges.remove(partition);
            self.committed.remove(partition);
            reports.merges.remove(partition);
            for epoch in &mut self.epochs {
                epoch.commits.retain(|commit| commit.partition != *partition);
            }
        }
    }

    /// Waits until what was submitted is durable, so that an older value of ours does not land after a newer one of
    /// the next owner. Bounded: a sink that is away must not keep the group waiting.
    fn settle(&mut self) {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        self.complete();
        while !self.epochs.is_empty() && Instant::now() < deadline {
            std::thread::sleep(SETTLE_STEP);
            self.complete();
        }
    }

    pub(super) fn may_read(&self) -> bool {
        self.epochs.len() < EPOCHS_IN_FLIGHT_MAX
    }

    pub(super) fn in_flight(&self) -> usize {
        self.epochs.len()
    }

    /// Takes successive messages of one partition of the partials topic.
    pub(super) fn messages(&mut self, run: &Run<'_>) -> Result<(), RunError> {
        let Some(slot) = self.merges.get_mut(&run.partition()) else { return Ok(()) };
        for message in run.iter() {
            slot.merge.message(message.offset(), message.payload().unwrap_or_default()).map_err(|error| {
                RunError::Output(format!(
                    "{} [{}] at offset {}: {error}",
                    self.shared.partials_topic,
                    slot.partition,
                    message.offset()
                ))
            })?;
        }
        Ok(())
    }

    /// Seals an epoch when it is time, and commits those that are durable.
    pub(super) fn turn(&mut self) {
        self.complete();
        if self.sealed_at.elapsed() < self.shared.merge_interval || !self.may_read() {
            return;
        }
        self.sealed_at = Instant::now();
        let mut out = MergeOutputs::default();
        let mut commits = Vec::new();
        for slot in self.merges.values_mut() {
            if slot.merge.is_replaying() {
                let end = self.consumer.end_offset(&self.shared.partials_topic, slot.partition);
                if end.is_some_and(|end| slot.merge.next_offset() >= end) {
                    slot.merge.end_replay();
                }
            }
            slot.merge.emit(&mut out);
            let checkpoint = slot.merge.checkpoint();
            self.shared
                .frontier
                .fetch_max(slot.merge.frontier().map_or(i64::MIN, Timestamp::micros), Ordering::AcqRel);
            let commit = Commit {
                topic: self.shared.partials_topic.clone(),
                partition: slot.partition,
                next_offset: checkpoint.next_offset,
                metadata: checkpoint.metadata(),
            };
            let unconfirmed =
                !self.shared.merges_passed(&BTreeMap::from([(slot.partition, commit.next_offset - 1)]));
            let changed = self.committed.get(&slot.partition) != Some(&commit);
            if !slot.merge.is_replaying() && commit.next_offset > 0 && (changed || unconfirmed) {
                self.committed.insert(slot.partition, commit.clone());
                commits.push(commit);
            }
        }
        self.publish();
        if out.points.is_empty() && commits.is_empty() && out.fresh.is_empty() {
            return;
        }
        let durable = Arc::new(AtomicBool::new(out.points.is_empty()));
        if !out.points.is_empty() {
            let flag = Arc::clone(&durable);
            self.shared.submit(out.points, Ack::new(move || flag.store(true, Ordering::Release)));
        }
        self.shared.epochs.fetch_add(1, Ordering::Relaxed);
        self.epochs.push_back(Epoch { durable, commits, fresh: out.fresh });
        self.complete();
    }

    fn complete(&mut self) {
        while self.epochs.front().is_some_and(|epoch| epoch.durable.load(Ordering::Acquire)) {
            let epoch = self.epochs.pop_front().expect("it is at the front");
            self.shared.confirm_fresh(&epoch.fresh);
            if let Err(error) = self.shared.outbox.commit(&self.consumer, &epoch.commits) {
                self.shared.problem(error.to_string());
            }
        }
    }

    fn publish(&self) {
        let mut reports = self.shared.reports();
        for slot in self.merges.values() {
            let report = slot.merge.report();
            let end = self.consumer.end_offset(&self.shared.partials_topic, slot.partition);
            reports.merges.insert(
                slot.partition,
                MergeStatus {
                    partition: slot.partition,
                    open_windows: report.open_windows as u64,
                    oldest_open_ms: report.oldest_open.map(Timestamp::millis),
                    waits_for: report
                        .waits_for
                        .map(|(task, watermark)| (task as i32, watermark.map(Timestamp::millis))),
                    watermark_ms: report.watermark.map(Timestamp::millis),
                    lag: end.map_or(0, |end| (end - slot.merge.next_offset()).max(0)),
                },
            );
        }
    }
}
