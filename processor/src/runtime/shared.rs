//! What the threads of a run share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use events::Timestamp;
use processor_core::{Delivery, Freshness, InputOptions, NoteTotals, Options, Point, TaskTotals};

use super::RunError;
use super::layout::Layout;
use super::ledger::Ledger;
use super::sinks::Sinks;
use super::stage0::SourceId;
use crate::kafka::{Commit, KafkaOutbox, KafkaProblem, Membership, Room};
use crate::live::Live;
use crate::settings::{MemoryPlan, Settings};
use crate::state::Snapshots;
use crate::status::{MergeFacts, MergeStatus, PositionStatus, RelayStatus, StatusBoard, TaskStatus};

/// How many freshness samples are kept: at two epochs a second, ten minutes.
const FRESHNESS_SAMPLES: usize = 1_200;

pub(super) struct Shared {
    pub(super) core: Arc<Options>,
    pub(super) memory: MemoryPlan,
    /// What a task reads, in the order of its inputs.
    pub(super) task_topics: Vec<String>,
    /// Those among them that are compacted, with how long that leaves a record alone.
    pub(super) compacted: BTreeMap<String, Duration>,
    pub(super) origin: u64,
    pub(super) partials_topic: String,
    pub(super) epoch_interval: Duration,
    pub(super) merge_interval: Duration,
    pub(super) delivery: Delivery,
    pub(super) transaction_deadline: Duration,
    pub(super) outbox: Arc<KafkaOutbox>,
    pub(super) room: Room,
    /// Records that were set aside in part.
    pub(super) cut: AtomicU64,
    pub(super) membership: Arc<Membership>,
    pub(super) sink: Sinks,
    /// `None` where they are off.
    pub(super) snapshots: Option<Snapshots>,
    pub(super) board: Arc<StatusBoard>,
    pub(super) live: Arc<Live>,
    pub(super) instance: String,
    /// Set once: workers read nothing new, write what they have, and commit it.
    pub(super) draining: AtomicBool,
    /// Nobody waits any more for a Kafka that is away.
    pub(super) gives_up: Arc<AtomicBool>,
    pub(super) epochs: AtomicU64,
    pub(super) transactions: Ledger,
    /// Partitions that topics were last seen to have, 0 where one was deleted.
    partitions: Mutex<BTreeMap<String, i32>>,
    /// The topics as the last assignment found them.
    layout: Mutex<Arc<Layout>>,
    /// Bytes of records that librdkafka holds for the workers.
    pub(super) prefetched: AtomicU64,
    /// Wall clock of the last confirmed commit, milliseconds.
    pub(super) committed_at_ms: AtomicI64,
    /// The frontier of the merges, microseconds; `i64::MIN` before there is one.
    pub(super) frontier: AtomicI64,
    reports: Mutex<Reports>,
    confirmed: Mutex<BTreeMap<i32, i64>>,
    freshness: Mutex<VecDeque<Sample>>,
    failure: Mutex<Option<RunError>>,
    /// Limits of which it was said that they are reached.
    pub(super) said: Mutex<BTreeSet<&'static str>>,
}

/// What a run consists of besides its threads.
pub(super) struct Parts {
    pub(super) outbox: Arc<KafkaOutbox>,
    pub(super) room: Room,
    pub(super) membership: Arc<Membership>,
    pub(super) sink: Sinks,
    pub(super) snapshots: Option<Snapshots>,
    pub(super) board: Arc<StatusBoard>,
    pub(super) live: Arc<Live>,
    pub(super) compacted: BTreeMap<String, Duration>,
}

/// What workers last said about their parts.
#[derive(Default)]
pub(super) struct Reports {
    pub(super) totals: TaskTotals,
    pub(super) noted: NoteTotals,
    pub(super) tasks: BTreeMap<i32, TaskStatus>,
    pub(super) relays: BTreeMap<SourceId, RelayStatus>,
    pub(super) relayed: u64,
    pub(super) merges: BTreeMap<i32, MergeStatus>,
    /// Epochs under way per worker, both stages.
    pub(super) in_flight: BTreeMap<usize, u64>,
    /// Merge epochs under way per worker: their points wait for the sinks.
    pub(super) merges_in_flight: BTreeMap<usize, u64>,
    /// What is known of why windows are open.
    pub(super) merge_facts: BTreeMap<i32, MergeFacts>,
    /// Why a worker does not read, and since when.
    pub(super) paused: BTreeMap<usize, (&'static str, i64)>,
    pub(super) routes: u64,
    pub(super) positions: PositionStatus,
    pub(super) committed: BTreeMap<(String, i32), i64>,
    /// Wall clock of a task's last commit, milliseconds.
    pub(super) task_committed_at: BTreeMap<i32, i64>,
}

#[derive(Clone, Copy)]
struct Sample {
    at_ms: i64,
    oldest_ms: i64,
    mean_ms: i64,
}

impl Shared {
    pub(super) fn new(layout: Layout, memory: MemoryPlan, parts: Parts, settings: &Settings) -> Self {
        let core = Arc::clone(&layout.core);
        let Parts { outbox, room, membership, sink, snapshots, board, live, compacted } = parts;
        Self {
            origin: core.origin(&settings.kafka.group_id),
            task_topics: core.task_topics().map(str::to_owned).collect(),
            compacted,
            core,
            memory,
            partitions: Mutex::default(),
            layout: Mutex::new(Arc::new(layout)),
            partials_topic: settings.kafka.partials_topic.clone(),
            epoch_interval: settings.epoch_interval,
            merge_interval: settings.merge_interval,
            delivery: settings.kafka.delivery,
            transaction_deadline: settings.kafka.transaction_deadline,
            outbox,
            room,
            cut: AtomicU64::new(0),
            membership,
            sink,
            snapshots,
            board,
            live,
            instance: super::report::instance_name(settings, settings.http.listen.port()),
            draining: AtomicBool::new(false),
            gives_up: Arc::default(),
            epochs: AtomicU64::new(0),
            transactions: Ledger::default(),
            prefetched: AtomicU64::new(0),
            committed_at_ms: AtomicI64::new(0),
            frontier: AtomicI64::new(i64::MIN),
            reports: Mutex::default(),
            confirmed: Mutex::default(),
            freshness: Mutex::default(),
            failure: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// The topics as the last assignment found them.
    pub(super) fn layout(&self) -> Arc<Layout> {
        Arc::clone(&lock(&self.layout))
    }

    pub(super) fn set_layout(&self, layout: Layout) {
        let before = std::mem::replace(&mut *lock(&self.layout), Arc::new(layout));
        if before.topic_id(&self.partials_topic) != self.layout().topic_id(&self.partials_topic) {
            lock(&self.confirmed).clear(); // its offsets begin anew
        }
    }

    pub(super) fn set_partitions(&self, partitions: BTreeMap<String, i32>) {
        *lock(&self.partitions) = partitions;
    }

    /// The commits of partitions that are there. Kafka takes none of a topic that was deleted, and refuses what comes
    /// with it; and nothing of such a topic can be read again.
    pub(super) fn without_missing(&self, mut commits: Vec<Commit>) -> Vec<Commit> {
        let partitions = lock(&self.partitions);
        commits.retain(|commit| partitions.get(&commit.topic).is_none_or(|count| commit.partition < *count));
        commits
    }

    /// The inputs that are not keyed by user.
    pub(super) fn unkeyed(&self) -> &[InputOptions] {
        self.core.rekeyed.as_ref().map_or(&[], |rekeyed| &rekeyed.inputs)
    }

    /// The place of a topic among the inputs that are not keyed by user, if it is one.
    pub(super) fn unkeyed_input(&self, topic: &str) -> Option<usize> {
        self.unkeyed().iter().position(|input| input.topic == topic)
    }

    /// Whether a topic is read by tasks.
    pub(super) fn is_of_tasks(&self, topic: &str) -> bool {
        self.task_topics.iter().any(|of| of == topic)
    }

    /// Ends the run with the first error told.
    pub(super) fn fail(&self, error: RunError) {
        lock(&self.failure).get_or_insert(error);
    }

    pub(super) fn failure(&self) -> Option<RunError> {
        lock(&self.failure).take()
    }

    /// A problem for the log and the page.
    pub(super) fn problem(&self, text: String) {
        let line = text.clone();
        if self.board.error(now().millis(), text) {
            tracing::warn!("{line}");
        }
    }

    /// A topic has refused a record for its size: what goes there is cut to what it takes now.
    pub(super) fn topic_refused(&self, topic: &str) {
        let room = self.room.refused(topic);
        if topic == self.partials_topic {
            // Nothing of it can be left out; batches are smaller from now on, which may be all that it takes.
            return self.problem(format!(
                "kafka topic `{topic}` takes no records as large as the values of a window: raise its max.message.bytes"
            ));
        }
        self.problem(format!(
            "kafka topic `{topic}` takes no records as large as before: larger ones than {room} bytes are set aside in \
             part; raise its max.message.bytes"
        ));
    }

    /// What a Kafka client says by itself, for the log and the page.
    pub(super) fn client_problem(&self, problem: &KafkaProblem) {
        if self.board.client_problem(now().millis(), problem.to_string()) {
            tracing::warn!("{problem}");
        }
    }

    /// An error with its causes, for the log and the page.
    pub(super) fn error(&self, error: &dyn std::error::Error) {
        let causes = std::iter::successors(error.source(), |error| error.source());
        self.problem(causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")));
    }

    pub(super) fn reports(&self) -> MutexGuard<'_, Reports> {
        lock(&self.reports)
    }

    /// A merge partition's commit arrived: everything before `next_offset` is in every sink.
    pub(super) fn confirm_merge(&self, partition: i32, next_offset: i64) {
        let mut confirmed = lock(&self.confirmed);
        let entry = confirmed.entry(partition).or_insert(next_offset);
        *entry = (*entry).max(next_offset);
    }

    /// How far the merges have committed: partition of the partials topic to its next offset.
    pub(super) fn merged(&self) -> BTreeMap<i32, i64> {
        lock(&self.confirmed).clone()
    }

    /// A transaction has committed these input offsets.
    pub(super) fn committed_in_transaction(&self, commits: &[Commit]) {
        if commits.is_empty() {
            return;
        }
        let now_ms = now().millis();
        self.committed_at_ms.store(now_ms, Ordering::Release);
        let mut reports = self.reports();
        for commit in commits {
            reports.task_committed_at.insert(commit.partition, now_ms);
            reports.committed.insert((commit.topic.clone(), commit.partition), commit.next_offset);
        }
    }

    /// Points are durable that bring these records up to date.
    pub(super) fn confirm_fresh(&self, fresh: &[Freshness]) {
        let at_ms = now().millis();
        let mut samples = lock(&self.freshness);
        for fresh in fresh {
            if samples.len() == FRESHNESS_SAMPLES {
                samples.pop_front();
            }
            samples.push_back(Sample {
                at_ms,
                oldest_ms: at_ms - fresh.oldest_ms,
                mean_ms: at_ms - fresh.mean_ms(),
            });
        }
    }

    /// Median of the epochs' mean age and 99th percentile of their greatest, over the last minute, milliseconds.
    pub(super) fn freshness(&self) -> (f64, f64) {
        let since = now().millis() - 60_000;
        let samples = lock(&self.freshness);
        let recent = || samples.iter().filter(move |sample| sample.at_ms >= since);
        let rank = |mut ages: Vec<i64>, q: f64| {
            ages.sort_unstable();
            let at = (q * ages.len() as f64).ceil() as usize;
            ages.get(at.saturating_sub(1)).copied().unwrap_or(0).max(0) as f64
        };
        let median = rank(recent().map(|sample| sample.mean_ms).collect(), 0.50);
        (median, rank(recent().map(|sample| sample.oldest_ms).collect(), 0.99))
    }

    /// Shows points on the page and writes them.
    pub(super) fn submit(&self, points: Vec<Point>, ack: crate::sink::Ack) {
        use crate::sink::PointSink as _;
        self.live.observe(&points);
        self.sink.submit(crate::sink::PointBatch { points, ack });
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic aborts the process, so what a lock guards is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wall clock: the one place that reads it for the core.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
