//! What the status page, `/metrics` and the `pipeline` measurement show of the runtime.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use serde::Serialize;

use crate::sink::SinkStatus;

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
    /// Conservation.
    pub totals: Totals,
    /// Rejected and late and duplicate counts by reason.
    pub by_reason: BTreeMap<String, u64>,
    /// Events counted in windows but behind the watermark, so not used for facts.
    pub behind_watermark: u64,
    /// Records per second over the last seconds.
    pub rate: f64,
    /// Stage 1.
    pub tasks: Vec<TaskStatus>,
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
    /// Broker timestamp to confirmed in the sink, recent, milliseconds.
    pub freshness_p50_ms: f64,
    /// The same, 99th percentile.
    pub freshness_p99_ms: f64,
    /// Routes known.
    pub routes: u64,
    /// Routes, URLs or campaigns that went to `__other__` since start.
    pub overflowed: u64,
    /// The sink.
    pub sink: SinkStatus,
    /// Resident memory.
    pub rss_bytes: u64,
    /// CPU time used.
    pub cpu_seconds: f64,
    /// The latest problems, newest last.
    pub errors: VecDeque<ErrorLine>,
}

/// A problem a person should see.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorLine {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// One line.
    pub text: String,
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

    /// Notes a problem for the page; the log has it already.
    pub fn error(&self, at_ms: i64, text: String) {
        self.update(|status| {
            if status.errors.len() == RECENT_ERRORS_MAX {
                status.errors.pop_front();
            }
            status.errors.push_back(ErrorLine { at_ms, text });
        });
    }
}
