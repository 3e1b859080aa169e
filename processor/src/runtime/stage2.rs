//! A worker's merges and their epochs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use events::Timestamp;
use processor_core::{EpochId, EpochPayload, Freshness, Merge, MergeCheckpoint, MergeEpochs, MergeOutputs};

use super::RunError;
use super::shared::{Shared, now};
use super::watch::MergeWatch;
use crate::kafka::{Commit, Consumer, PartitionEnd, Run};
use crate::sink::Ack;
use crate::status::{MergeFacts, MergeStatus};

/// Batches of points that may wait for the sinks. Beyond it no partials are read, and so, a little later, no records.
const EPOCHS_IN_FLIGHT_MAX: usize = 8;

/// Partials that an epoch's points are made of; beyond it the epoch is sealed at once. As points they take some ten
/// times as much.
const EPOCH_BYTES_MAX: usize = 1 << 20;

/// The longest a rebalance waits for a sink.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
const SETTLE_STEP: Duration = Duration::from_millis(50);

pub(super) struct MergeSlot {
    partition: i32,
    merge: Merge,
    /// What the group had committed at the assignment.
    start: Option<Commit>,
    watch: MergeWatch,
}

impl MergeSlot {
    pub(super) fn new(partition: i32, merge: Merge, start: Option<Commit>) -> Self {
        Self { partition, merge, start, watch: MergeWatch::default() }
    }

    pub(super) fn next_offset(&self) -> i64 {
        self.merge.next_offset()
    }
}

/// The offsets that may be committed once an epoch's points are durable.
#[derive(Debug, Default)]
struct MergeCommits {
    commits: Vec<Commit>,
    fresh: Vec<Freshness>,
}

impl EpochPayload for MergeCommits {
    fn forget(&mut self, partition: u32) {
        self.commits.retain(|commit| commit.partition != partition as i32);
    }

    fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }
}

/// The merges of a worker.
pub(super) struct Stage2 {
    shared: Arc<Shared>,
    consumer: Consumer,
    merges: BTreeMap<i32, MergeSlot>,
    epochs: MergeEpochs<MergeCommits>,
    /// Which epochs' points are durable, told by the sinks' threads.
    durable: Receiver<EpochId>,
    tell_durable: Sender<EpochId>,
    sealed_at: Instant,
    /// Of the partials read since.
    unsealed_bytes: usize,
    /// What was handed to an epoch last.
    sealed: BTreeMap<i32, Commit>,
    /// What was committed last: true at any time, so it can be said again to renew the membership.
    committed: BTreeMap<i32, Commit>,
    renewed_at: Instant,
}

/// How often a membership that wants to be renewed is renewed, while no answer comes.
const RENEW_EVERY: Duration = Duration::from_secs(1);

impl Stage2 {
    pub(super) fn new(shared: Arc<Shared>, consumer: Consumer) -> Self {
        let (tell_durable, durable) = mpsc::channel();
        Self {
            shared,
            consumer,
            merges: BTreeMap::new(),
            epochs: MergeEpochs::default(),
            durable,
            tell_durable,
            sealed_at: Instant::now(),
            unsealed_bytes: 0,
            sealed: BTreeMap::new(),
            committed: BTreeMap::new(),
            renewed_at: Instant::now(),
        }
    }

    pub(super) fn assign(&mut self, mut slot: MergeSlot) {
        self.committed.extend(slot.start.take().map(|start| (slot.partition, start)));
        self.merges.insert(slot.partition, slot);
    }

    /// Forgets merges. What was submitted is waited for, unless the partitions are `lost` already, so that an older
    /// value of ours does not land after a newer one of the next owner; what the sink does not take in time is dropped.
    pub(super) fn revoke(&mut self, partitions: &[i32], lost: bool) {
        if !lost {
            self.settle();
        }
        let mut reports = self.shared.reports();
        for partition in partitions {
            self.merges.remove(partition);
            self.sealed.remove(partition);
            self.committed.remove(partition);
            reports.merges.remove(partition);
            reports.merge_facts.remove(partition);
            self.epochs.forget(*partition as u32);
        }
    }

    /// Bounded: a sink that is away must not keep the group waiting.
    fn settle(&mut self) {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        self.complete();
        while self.epochs.in_flight() > 0 && Instant::now() < deadline {
            if let Ok(id) = self.durable.recv_timeout(SETTLE_STEP) {
                self.epochs.durable(id);
            }
            self.complete();
        }
    }

    /// Whether partials may be read and points be made of them: not while too much waits for the sinks.
    pub(super) fn may_read(&self) -> bool {
        let has_room = || self.shared.sink.bytes_waiting() < self.shared.memory.sink_queue;
        self.epochs.in_flight() < EPOCHS_IN_FLIGHT_MAX && (self.epochs.in_flight() == 0 || has_room())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.epochs.in_flight()
    }

    /// Takes successive messages of one partition of the partials topic.
    pub(super) fn messages(&mut self, run: &Run<'_>) -> Result<(), RunError> {
        let Some(slot) = self.merges.get_mut(&run.partition()) else { return Ok(()) };
        if let Some(first) = run.iter().next() {
            begin(&mut self.committed, &self.shared.partials_topic, run.partition(), first.offset());
        }
        for message in run.iter() {
            self.unsealed_bytes += message.payload().map_or(0, <[u8]>::len);
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

    /// Notes that everything of a partition has been read.
    pub(super) fn end(&mut self, end: &PartitionEnd<'_>) {
        if let Some(slot) = self.merges.get_mut(&end.partition) {
            begin(&mut self.committed, &self.shared.partials_topic, end.partition, end.offset);
            slot.merge.read_to(end.offset);
        }
    }

    /// Seals an epoch when it is time, and commits those that are durable.
    pub(super) fn turn(&mut self) -> Result<(), RunError> {
        self.complete();
        self.renew_membership();
        let is_due = self.sealed_at.elapsed() >= self.shared.merge_interval;
        if !(is_due || self.unsealed_bytes > EPOCH_BYTES_MAX) || !self.may_read() {
            return Ok(());
        }
        self.unsealed_bytes = 0;
        self.sealed_at = Instant::now();
        let mut out = MergeOutputs::default();
        let mut commits = Vec::new();
        let merged = self.shared.merged();
        for slot in self.merges.values_mut() {
            slot.merge.emit(&mut out).map_err(|error| {
                RunError::Output(format!(
                    "{} [{}] before offset {}: {error}",
                    self.shared.partials_topic,
                    slot.partition,
                    slot.merge.next_offset()
                ))
            })?;
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
            let unconfirmed = merged.get(&slot.partition).is_none_or(|next| *next < commit.next_offset);
            let changed = self.sealed.get(&slot.partition) != Some(&commit);
            if !slot.merge.is_replaying() && commit.next_offset > 0 && (changed || unconfirmed) {
                self.sealed.insert(slot.partition, commit.clone());
                commits.push(commit);
            }
        }
        if out.points.is_empty() && commits.is_empty() && out.fresh.is_empty() {
            return Ok(());
        }
        self.shared.epochs.fetch_add(1, Ordering::Relaxed);
        let id = self.epochs.seal(MergeCommits { commits, fresh: out.fresh });
        if out.points.is_empty() {
            self.epochs.durable(id);
        } else {
            let tell = self.tell_durable.clone();
            let ack = Ack::new(move || {
                let _ = tell.send(id); // nobody listens any more at the end of the run
            });
            self.shared.submit(out.points, ack);
        }
        self.complete();
        Ok(())
    }

    fn complete(&mut self) {
        for id in self.durable.try_iter() {
            self.epochs.durable(id);
        }
        while let Some(MergeCommits { commits, fresh }) = self.epochs.next() {
            self.shared.confirm_fresh(&fresh);
            if let Err(error) = self.consumer.commit(&commits) {
                self.shared.error(&error);
            }
            self.committed.extend(commits.into_iter().map(|commit| (commit.partition, commit)));
        }
    }

    /// Says again what is committed when the membership has to be confirmed: nothing may be written to InfluxDB
    /// otherwise, and while nothing is written, nothing new is committed.
    fn renew_membership(&mut self) {
        if !self.shared.membership.wants_renewal() || self.renewed_at.elapsed() < RENEW_EVERY {
            return;
        }
        self.renewed_at = Instant::now();
        let commits: Vec<Commit> = self.committed.values().cloned().collect();
        if let Err(error) = self.consumer.commit(&commits) {
            self.shared.error(&error);
        }
    }

    /// Tells the status how far the merges are.
    pub(super) fn publish_status(&mut self) {
        let now_ms = now().millis();
        let waits_for_sink = if self.may_read() { 0 } else { self.epochs.in_flight() as u64 };
        let mut reports = self.shared.reports();
        for slot in self.merges.values_mut() {
            let report = slot.merge.report();
            let end = self.consumer.end_offset(&self.shared.partials_topic, slot.partition);
            let lag = end.map_or(0, |end| (end - slot.merge.next_offset()).max(0));
            let facts = slot.watch.look(&slot.merge, now_ms);
            reports.merge_facts.insert(slot.partition, MergeFacts { lag, waits_for_sink, ..facts });
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
                    lag,
                    ..MergeStatus::default()
                },
            );
        }
    }
}

/// A partition without a commit: nothing before the first message kept is needed.
fn begin(committed: &mut BTreeMap<i32, Commit>, topic: &str, partition: i32, first: i64) {
    committed.entry(partition).or_insert_with(|| Commit {
        topic: topic.to_owned(),
        partition,
        next_offset: first,
        metadata: MergeCheckpoint::parse(first, "").metadata(),
    });
}
