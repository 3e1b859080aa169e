//! What the status page, `/metrics` and the `pipeline` measurement show of the runtime.

mod notes;
mod why;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use serde::Serialize;

use crate::sink::SinkStatus;
pub use notes::{Incomplete, NoteStatus, Unusable};
pub use why::OpenWindow;
pub(crate) use why::{HeardTask, Known, MergeFacts, Why, Window};

/// Kafka is asked something every few seconds. Without an answer for this long, what its clients say of it is shown,
/// milliseconds.
pub const KAFKA_SILENT_MS: i64 = 6_000;
/// How many recent problems are kept for the page.
pub const RECENT_ERRORS_MAX: usize = 50;

/// The conservation law's terms: `consumed = counted + duplicates + late + rejected` at every moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Records taken from Kafka since start, replayed ones not included.
    pub consumed: u64,
    /// Counted in a window.
    pub counted: u64,
    /// Dropped as repeats.
    pub duplicates: u64,
    /// Too late for their window; in the late topic.
    pub late: u64,
    /// Not events; in the dead-letter topic.
    pub rejected: u64,
}

impl Totals {
    /// Whether nothing was lost on the way.
    #[must_use]
    pub const fn conserved(&self) -> bool {
        self.unaccounted() == 0
    }

    /// Consumed records that are in no other term: more than 0 is a loss, less a double count.
    #[must_use]
    pub const fn unaccounted(&self) -> i64 {
        self.consumed.wrapping_sub(self.counted + self.duplicates + self.late + self.rejected).cast_signed()
    }
}

/// One stage 1 task: a partition number of the inputs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TaskStatus {
    /// The partition number.
    pub partition: i32,
    /// `replaying`, `running`, `idle` or `paused`.
    pub state: String,
    /// Next offset to read, summed over the inputs.
    pub position: i64,
    /// End offset, summed over the inputs.
    pub end: i64,
    /// Committed offset, summed over the inputs.
    pub committed: i64,
    /// Records behind the end.
    pub lag: i64,
    /// Milliseconds since the epoch; absent before the first event.
    pub watermark_ms: Option<i64>,
    /// Open windows over all resolutions.
    pub open_windows: u64,
    /// Users with state.
    pub users: u64,
    /// Clicks kept for attribution.
    pub clicks: u64,
    /// Ids kept for deduplication.
    pub dedup_ids: u64,
    /// Estimated bytes of state.
    pub state_bytes: u64,
    /// Records still to replay before new ones are read.
    pub replay_left: i64,
    /// The worker thread that has it.
    pub worker: usize,
    /// Wall clock since when it is in this state, milliseconds since the epoch.
    pub since_ms: i64,
    /// Why nothing is read, where it is paused.
    pub paused: Option<String>,
    /// Number of its worker's open epoch since the start of the process.
    pub epoch: u64,
    /// Its worker's sealed epochs that are not done with.
    pub epochs_in_flight: u64,
    /// How far the oldest of those is: `open` where there is none, `sealed`, `publishing`, `merging` (its partials wait
    /// for a merge), `sink` (and that for a sink).
    pub epoch_stage: String,
    /// Wall clock of when that one was sealed.
    pub epoch_since_ms: Option<i64>,
    /// Milliseconds since offsets of this partition were committed; absent before that.
    pub commit_age_ms: Option<i64>,
    /// By how much the watermark is behind the wall clock, milliseconds.
    pub watermark_lag_ms: Option<i64>,
    /// How far the replay is, while it lasts.
    pub replay: Option<ReplayStatus>,
    /// Records read per second over the last seconds, replayed ones included.
    pub records_per_s: f64,
    /// Whether everything of the partition was read.
    pub caught_up: bool,
    /// Wall clock of the last record, or of when it was last behind.
    pub active_ms: i64,
    /// Wall clock since when it is idle.
    pub idle_since_ms: Option<i64>,
    /// With several inputs, the topic whose watermark is the least.
    pub holder: Option<String>,
    /// Records too late for their window, since the assignment.
    pub late: u64,
    /// Moves of the watermark by the wall clock that a replay repeats.
    pub jumps: u64,
    /// Such moves for which a commit had no room.
    pub jumps_forgotten: u64,
}

/// A replay's way, in offsets summed over the inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReplayStatus {
    /// Where it began.
    pub from: i64,
    /// Where it is.
    pub at: i64,
    /// Where it ends.
    pub to: i64,
    /// Offsets in between.
    pub left: i64,
}

/// Transactions since the start. All 0 where delivery is at least once.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TransactionStatus {
    /// Visible.
    pub committed: u64,
    /// Left no trace; their epochs were tried again, or given to another member.
    pub aborted: u64,
    /// Why, the last time.
    pub last_abort: Option<ErrorLine>,
    /// Median duration of the last minute's commits, milliseconds.
    pub p50_ms: Option<f64>,
    /// The same, 99th percentile.
    pub p99_ms: Option<f64>,
    /// All durations together.
    pub seconds: f64,
    /// Committed ones by duration, for each of [`TRANSACTION_BUCKETS_S`].
    pub buckets: [u64; TRANSACTION_BUCKETS_S.len()],
}

/// The greatest duration of each bucket, inclusive: an epoch is half a second, the shortest deadline a second.
pub const TRANSACTION_BUCKETS_S: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, f64::INFINITY];

/// What memory is used for, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryStatus {
    /// `memory.budget`.
    pub budget: u64,
    /// Records fetched ahead of the workers.
    pub prefetch: u64,
    /// The most that is fetched ahead.
    pub prefetch_max: u64,
    /// State of the tasks, estimated.
    pub state: u64,
    /// Line protocol that waits for a sink.
    pub sink_queue: u64,
}

/// One relay: a partition of an input that is not keyed by user.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RelayStatus {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Caught up and silent.
    pub idle: bool,
    /// Next offset to read.
    pub position: i64,
    /// End offset.
    pub end: i64,
    /// Committed offset.
    pub committed: i64,
    /// Records behind the end.
    pub lag: i64,
    /// Milliseconds since the epoch; absent before the first event.
    pub watermark_ms: Option<i64>,
}

/// One merge task: a partition of the partials topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MergeStatus {
    /// Partition of the partials topic.
    pub partition: i32,
    /// Windows not yet closed.
    pub open_windows: u64,
    /// The oldest of them, milliseconds since the epoch.
    pub oldest_open_ms: Option<i64>,
    /// The stage 1 partition whose watermark holds it open, and that watermark.
    pub waits_for: Option<(i32, Option<i64>)>,
    /// The minimum watermark over the tasks, milliseconds.
    pub watermark_ms: Option<i64>,
    /// Records behind the end of the partials topic.
    pub lag: i64,
    /// The windows that are due to close first, with what they wait for; at most three.
    pub waiting: Vec<OpenWindow>,
    /// Open windows by the kind of reason, few.
    pub open_by_reason: BTreeMap<&'static str, u64>,
}

/// Snapshots of the state.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SnapshotStatus {
    /// Where they are kept.
    pub target: String,
    /// Time between two of a task.
    pub interval_ms: i64,
    /// Whether the last one was written.
    pub healthy: bool,
    /// What was wrong last; `None` once one is written.
    pub problem: Option<String>,
    /// Waiting to be written or under way.
    pub waiting: u64,
    /// Written since start.
    pub written: u64,
    /// Given up after several tries.
    pub failed: u64,
    /// Not written, as a newer one of the same task came.
    pub replaced: u64,
    /// Bytes written since start.
    pub bytes_written: u64,
    /// Tasks that began from one.
    pub restored: u64,
    /// Tasks that began without one as the store was away.
    pub restores_failed: u64,
    /// Snapshots seen at an assignment and not used, by reason.
    pub unusable: BTreeMap<String, u64>,
    /// By task.
    pub tasks: Vec<TaskSnapshotStatus>,
}

/// The newest snapshot of a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TaskSnapshotStatus {
    /// Partition number.
    pub partition: i32,
    /// How long ago the state was as the snapshot holds it; `None` where there is none.
    pub age_ms: Option<i64>,
    /// Its size.
    pub bytes: u64,
    /// How long encoding and writing it took, or reading it where this instance only read it.
    pub seconds: f64,
}

/// Where reading went on elsewhere than where it had been, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PositionStatus {
    /// Records that were deleted before they were read.
    pub skipped_records: u64,
    /// Partitions that began anew as their topic was made again.
    pub made_again: u64,
    /// Partitions whose offset was set by another tool.
    pub moved: u64,
    /// Partitions that went on without a replay, as its records are deleted.
    pub replays_gone: u64,
    /// Partitions that ended before what was counted of them.
    pub shortened: u64,
    /// Windows that were not written, as reading began in the middle of them.
    pub withheld_windows: u64,
}

/// Everything the runtime reports.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PipelineStatus {
    /// This instance's name.
    pub instance: String,
    /// Version of the program.
    pub version: String,
    /// Milliseconds since the epoch.
    pub started_ms: i64,
    /// Brokers and topics, for the page's head.
    pub source: String,
    /// Whether Kafka answered and partitions were assigned.
    pub kafka_ready: bool,
    /// Why not.
    pub kafka_problem: Option<String>,
    /// How long ago a request was sent that Kafka answered, milliseconds; `None` before the first answer.
    pub kafka_silent_ms: Option<i64>,
    /// Ready without a partition: there are more instances than partitions.
    pub standby: bool,
    /// Where reading went on elsewhere than where it had been.
    pub positions: PositionStatus,
    /// Conservation.
    pub totals: Totals,
    /// Rejected and late and duplicate counts by reason.
    pub by_reason: BTreeMap<String, u64>,
    /// What events lacked that count, and what of them was of no use.
    pub notes: NoteStatus,
    /// Events counted in windows but behind the watermark, so not used for facts.
    pub behind_watermark: u64,
    /// Records per second over the last seconds.
    pub rate: f64,
    /// Stage 1.
    pub tasks: Vec<TaskStatus>,
    /// Re-keying, where inputs are not keyed by user.
    pub relays: Vec<RelayStatus>,
    /// Records re-keyed since start; they count as consumed where a task takes them.
    pub relayed: u64,
    /// Records set aside in part since start, as they were too large for their topic.
    pub cut: u64,
    /// Stage 2.
    pub merges: Vec<MergeStatus>,
    /// Epochs sealed.
    pub epochs: u64,
    /// Sealed, not yet committed.
    pub epochs_in_flight: u64,
    /// Milliseconds since the last commit.
    pub commit_age_ms: Option<i64>,
    /// Why reading is paused.
    pub paused: Option<String>,
    /// `exactly_once` or `at_least_once`.
    pub delivery: &'static str,
    /// Transactions.
    pub transactions: TransactionStatus,
    /// For how long the group's last answer still vouches for the membership, milliseconds; at 0 nothing is written to
    /// InfluxDB.
    pub lease_left_ms: i64,
    /// For how long such an answer vouches.
    pub lease_ms: i64,
    /// Broker timestamp to confirmed in the sink, recent, milliseconds.
    pub freshness_p50_ms: f64,
    /// The same, 99th percentile.
    pub freshness_p99_ms: f64,
    /// Routes known.
    pub routes: u64,
    /// Routes, URLs, campaigns or currencies that went to `__other__` since start.
    pub overflowed: u64,
    /// Events counted with less than they had, as a limit was reached, by the limit.
    pub beyond_limits: BTreeMap<String, u64>,
    /// The sink.
    pub sink: SinkStatus,
    /// What memory is used for.
    pub memory: MemoryStatus,
    /// Snapshots of the state; `None` where they are off.
    pub snapshots: Option<SnapshotStatus>,
    /// Resident memory.
    pub rss_bytes: u64,
    /// CPU time used.
    pub cpu_seconds: f64,
    /// The latest problems, newest last.
    pub errors: VecDeque<ErrorLine>,
}

impl PipelineStatus {
    /// What is wrong with a Kafka that answered once and has not for longer than this, in milliseconds. An instance that
    /// stands by asks nothing.
    #[must_use]
    pub fn kafka_silence(&self, longer_than_ms: i64) -> Option<String> {
        if self.standby {
            return None;
        }
        let silent_ms = self.kafka_silent_ms.filter(|silent| *silent > longer_than_ms)?;
        let problem = self.kafka_problem.as_ref()?;
        Some(format!("no answer for {} s: {problem}", silent_ms / 1_000))
    }
}

/// A problem a person should see.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorLine {
    /// Milliseconds since the epoch, of the last time.
    pub at_ms: i64,
    /// One line.
    pub text: String,
    /// How often it came, with less than [`AGAIN_MS`] in between.
    pub times: u64,
    /// What makes it the same problem as an earlier one.
    #[serde(skip)]
    key: String,
    /// When the log had it last.
    #[serde(skip)]
    logged_at_ms: i64,
}

/// A problem that comes again within this is the same one still, milliseconds.
const AGAIN_MS: i64 = 60_000;
/// The log has a problem that goes on once in this, milliseconds.
const LOG_EVERY_MS: i64 = 30_000;

impl ErrorLine {
    /// A problem of its own.
    #[must_use]
    pub fn new(at_ms: i64, text: String) -> Self {
        Self { at_ms, key: text.clone(), text, times: 1, logged_at_ms: at_ms }
    }
}

/// The latest status; written by the runtime twice a second, read by the web server.
#[derive(Debug, Default)]
pub struct StatusBoard(Mutex<PipelineStatus>);

impl StatusBoard {
    /// Changes the status.
    pub fn update(&self, change: impl FnOnce(&mut PipelineStatus)) {
        change(&mut self.0.lock().expect("no holder of the status panics"));
    }

    /// A copy of the status.
    #[must_use]
    pub fn get(&self) -> PipelineStatus {
        self.0.lock().expect("no holder of the status panics").clone()
    }

    /// Notes a problem for the page. Whether the log is to have it as well: one that goes on is said once in a while.
    #[must_use]
    pub fn error(&self, at_ms: i64, text: String) -> bool {
        self.note(ErrorLine::new(at_ms, text))
    }

    /// The same for what a Kafka client says by itself, several times a second while no broker can be reached: its numbers
    /// (of brokers, milliseconds, errors left out) make no other problem of it.
    #[must_use]
    pub fn client_problem(&self, at_ms: i64, text: String) -> bool {
        let key = text.chars().filter(|of| !of.is_ascii_digit()).collect();
        self.note(ErrorLine { key, ..ErrorLine::new(at_ms, text) })
    }

    fn note(&self, mut line: ErrorLine) -> bool {
        let mut is_to_be_logged = true;
        self.update(|status| {
            let goes_on = |before: &ErrorLine| before.key == line.key && line.at_ms - before.at_ms < AGAIN_MS;
            let before = status.errors.iter().position(goes_on).and_then(|at| status.errors.remove(at));
            if let Some(before) = before {
                line.times = before.times + 1;
                is_to_be_logged = line.at_ms - before.logged_at_ms >= LOG_EVERY_MS;
                if !is_to_be_logged {
                    line.logged_at_ms = before.logged_at_ms;
                }
            }
            if status.errors.len() == RECENT_ERRORS_MAX {
                status.errors.pop_front();
            }
            status.errors.push_back(line);
        });
        is_to_be_logged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_that_goes_on_is_one_line_and_is_logged_once_in_a_while() {
        let board = StatusBoard::default();
        let mut logged = Vec::new();
        for second in 0..90 {
            let text = format!("{}/2 brokers are down", 1 + second % 2);
            if board.client_problem(second * 1_000, text) {
                logged.push(second);
            }
        }
        assert_eq!(logged, [0, 30, 60]);
        let errors = board.get().errors;
        assert_eq!((errors.len(), errors[0].times, errors[0].at_ms), (1, 90, 89_000));
        assert_eq!(errors[0].text, "2/2 brokers are down", "as it was last");
        assert!(board.client_problem(300_000, "1/2 brokers are down".to_owned()), "a new one, later");
        assert_eq!(board.get().errors.len(), 2);
    }

    #[test]
    fn numbers_tell_other_problems_apart() {
        let board = StatusBoard::default();
        assert!(board.error(0, "300 records were deleted".to_owned()));
        assert!(board.error(1, "301 records were deleted".to_owned()));
        assert!(!board.error(2, "300 records were deleted".to_owned()));
        let texts: Vec<_> = board.get().errors.into_iter().map(|line| (line.text, line.times)).collect();
        assert_eq!(
            texts,
            [("301 records were deleted".to_owned(), 1), ("300 records were deleted".to_owned(), 2)]
        );
    }
}
