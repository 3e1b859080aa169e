//! A worker's relays: partitions of inputs that are not keyed by user, on their way to the by-user topic.
//!
//! What they send on and their offsets are part of the epochs of stage 1, see [`super::stage1::Stage1`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use events::Timestamp;
use processor_core::{Checkpoint, Record, Relay, RelayOutputs, RelayProgress};

use super::reading::Reading;
use super::shared::{Shared, now};
use crate::kafka::{Commit, Consumer, PartitionEnd, Run};
use crate::status::RelayStatus;

/// What relays send on in one epoch; beyond it the epoch is sealed at once. Large enough that a transaction's fixed cost
/// does not show.
const EPOCH_BYTES_MAX: usize = 8 << 20;
/// What waits for its transaction; beyond it nothing is read.
const WAITING_BYTES_MAX: usize = 32 << 20;
/// How often every relay is told of, changed or not: a replay of the by-user topic begins so much earlier.
const TELL_ALL: Duration = Duration::from_secs(5);

/// A partition of an input that is not keyed: the input's index among those, and the partition.
pub(super) type SourceId = (usize, i32);

pub(super) struct RelaySlot {
    pub(super) id: SourceId,
    relay: Relay,
    /// Where a bounded run ends.
    end: Option<i64>,
    ended: bool,
    reading: Reading,
    start: Checkpoint,
    relayed: u64,
}

impl RelaySlot {
    pub(super) fn new(id: SourceId, relay: Relay, start: Checkpoint, end: Option<i64>) -> Self {
        Self { id, relay, end, ended: false, reading: Reading::default(), start, relayed: 0 }
    }

    pub(super) fn next_offset(&self) -> i64 {
        self.relay.progress().next_offset
    }

    fn progress(&self) -> RelayProgress {
        let mut progress = self.relay.progress();
        // An empty partition of a bounded run holds back nobody: what has a record decides.
        progress.idle |= self.ended && progress.watermark == i64::MIN;
        progress
    }

    fn is_caught_up(&mut self, consumer: &Consumer, topic: &str) -> bool {
        let latest = consumer.end_offset(topic, self.id.1);
        self.reading.look(self.next_offset(), latest, Instant::now());
        self.reading.is_caught_up()
    }
}

/// What relays add to an epoch.
#[derive(Debug, Clone)]
pub(super) struct Relayed {
    pub(super) records: Arc<RelayOutputs>,
    pub(super) commits: Vec<Commit>,
}

pub(super) struct Stage0 {
    shared: Arc<Shared>,
    consumer: Consumer,
    relays: BTreeMap<SourceId, RelaySlot>,
    /// Filled until the epoch is sealed.
    out: RelayOutputs,
    /// What was told last, per relay.
    told: BTreeMap<SourceId, RelayProgress>,
    told_all_at: Instant,
    /// What was handed to an epoch last.
    committed: BTreeMap<SourceId, Commit>,
    /// Bytes of sealed epochs that are not published.
    waiting_bytes: usize,
}

impl Stage0 {
    pub(super) fn new(shared: Arc<Shared>, consumer: Consumer) -> Self {
        Self {
            shared,
            consumer,
            relays: BTreeMap::new(),
            out: RelayOutputs::default(),
            told: BTreeMap::new(),
            told_all_at: Instant::now(),
            committed: BTreeMap::new(),
            waiting_bytes: 0,
        }
    }

    pub(super) fn assign(&mut self, slot: RelaySlot) {
        self.relays.insert(slot.id, slot);
    }

    /// Lets go of every relay: range assignment takes all partitions of a member or none.
    pub(super) fn revoke(&mut self) {
        self.relays.clear();
        self.out = RelayOutputs::default();
        self.told.clear();
        self.committed.clear();
        self.waiting_bytes = 0;
    }

    pub(super) fn may_read(&self) -> bool {
        self.waiting_bytes < WAITING_BYTES_MAX
    }

    /// Whether the epoch has to be sealed.
    pub(super) fn is_full(&self) -> bool {
        self.out.bytes() > EPOCH_BYTES_MAX
    }

    /// What an epoch carried is in Kafka.
    pub(super) fn published(&mut self, relayed: &Relayed) {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(relayed.records.bytes());
    }

    /// For a bounded run: how many relays have reached their end.
    pub(super) fn ended(&self) -> usize {
        self.relays.values().filter(|slot| slot.ended).count()
    }

    /// Takes successive records of one partition of the input.
    pub(super) fn records(&mut self, input: usize, run: &Run<'_>) {
        let Some(slot) = self.relays.get_mut(&(input, run.partition())) else { return };
        let end = slot.end.unwrap_or(i64::MAX);
        let records = run.iter().take_while(|message| message.offset() < end).map(|message| {
            let record = Record {
                offset: message.offset(),
                timestamp_ms: message.timestamp_ms().unwrap_or(0),
                key: message.key(),
                value: message.payload(),
            };
            (record, message.headers())
        });
        slot.relay.records_with_headers(now(), records, &mut self.out);
        if run.iter().last().is_some_and(|last| last.offset() >= end) {
            slot.relay.read_to(end); // markers of transactions may lie before it
        }
    }

    /// Notes that everything of a partition has been read.
    pub(super) fn end(&mut self, input: usize, end: &PartitionEnd<'_>) {
        if let Some(slot) = self.relays.get_mut(&(input, end.partition)) {
            slot.reading.ended(end.offset);
            slot.relay.read_to(end.offset.min(slot.end.unwrap_or(i64::MAX)));
        }
    }

    /// Tells relays the wall clock; `reads`: records are being read. Returns whether one has come to the end of a bounded
    /// run.
    pub(super) fn tick(&mut self, now: Timestamp, reads: bool) -> bool {
        let mut ended = false;
        for slot in self.relays.values_mut() {
            let topic = &self.shared.unkeyed()[slot.id.0].topic;
            match slot.end {
                // A bounded run is about the log alone.
                Some(end) if !slot.ended && slot.next_offset() >= end => {
                    tracing::info!(
                        topic,
                        partition = slot.id.1,
                        "re-keyed up to the end offset of the start"
                    );
                    slot.ended = true;
                    ended = true;
                }
                Some(_) => {}
                None => {
                    let caught_up = slot.is_caught_up(&self.consumer, topic);
                    slot.relay.tick(now, reads && caught_up);
                }
            }
        }
        ended
    }

    /// Ends the relays' share of an epoch: what was sent on, how far they are, and their offsets.
    pub(super) fn seal(&mut self) -> Option<Relayed> {
        self.tell();
        let commits = self.commits();
        if self.out.is_empty() && commits.is_empty() {
            return None;
        }
        let records = Arc::new(std::mem::take(&mut self.out));
        self.waiting_bytes += records.bytes();
        Some(Relayed { records, commits })
    }

    /// Offsets are committed with the next epoch even if they are the same.
    pub(super) fn say_again(&mut self) {
        self.committed.clear();
    }

    fn tell(&mut self) {
        let Some(rekeyed) = &self.shared.core.rekeyed else { return };
        let all = self.told_all_at.elapsed() >= TELL_ALL;
        if all {
            self.told_all_at = Instant::now();
        }
        let mut news = Vec::new();
        for (id, slot) in &self.relays {
            let progress = slot.progress();
            if all || self.told.get(id) != Some(&progress) {
                self.told.insert(*id, progress);
                news.push(progress);
            }
        }
        if !news.is_empty() {
            self.out.tell(rekeyed, self.shared.layout().tasks, &news);
        }
    }

    /// The checkpoints that differ from what was handed to an epoch last.
    fn commits(&mut self) -> Vec<Commit> {
        let mut commits = Vec::new();
        for (id, slot) in &self.relays {
            let checkpoint = slot.relay.checkpoint();
            let commit = Commit {
                topic: self.shared.unkeyed()[id.0].topic.clone(),
                partition: id.1,
                next_offset: checkpoint.next_offset,
                metadata: checkpoint.metadata(),
            };
            if commit.next_offset > 0 && self.committed.get(id) != Some(&commit) {
                self.committed.insert(*id, commit.clone());
                commits.push(commit);
            }
        }
        commits
    }

    /// Tells the status how far the relays are.
    pub(super) fn publish_status(&mut self) {
        let mut reports = self.shared.reports();
        for (id, slot) in &mut self.relays {
            let RelayProgress { next_offset, watermark, idle, .. } = slot.relay.progress();
            let topic = &self.shared.unkeyed()[id.0].topic;
            let end = self.consumer.end_offset(topic, id.1).unwrap_or(next_offset);
            let committed = reports.committed.get(&(topic.clone(), id.1)).copied();
            reports.relayed += slot.relay.relayed() - slot.relayed;
            slot.relayed = slot.relay.relayed();
            let status = RelayStatus {
                topic: topic.clone(),
                partition: id.1,
                idle,
                position: next_offset,
                end,
                committed: committed.unwrap_or(slot.start.next_offset),
                lag: (end - next_offset).max(0),
                watermark_ms: (watermark != i64::MIN).then(|| watermark.div_euclid(1_000)),
            };
            reports.relays.insert(*id, status);
        }
    }
}
