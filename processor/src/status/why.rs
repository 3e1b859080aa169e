//! Why a window is still open, in words.
//!
//! A window closes when every task's watermark has reached its end and the lateness allowed after it. So the task with
//! the least watermark holds all windows of a merge; what holds that task is known where this process runs it, and
//! guessed from its messages where another instance does.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use super::TaskStatus;

/// Windows explained per merge: those that are due to close first. An hour is open for an hour, and no news.
const WINDOWS_EXPLAINED_MAX: usize = 3;
/// A task that is read without a pause has had a record within this.
const QUIET_MS: i64 = 2_000;
/// Tasks report every second, in epochs of half a second: one that was not heard for so long is slow, or not run.
const SILENT_MS: i64 = 10_000;
/// More unread records than come in this time are a backlog, and not what is on its way.
const BACKLOG_S: f64 = 2.0;
/// As many are on their way whatever the rate.
const BACKLOG_RECORDS_MIN: f64 = 100.0;

/// What a merge knows, with the wall clock of when it learned it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MergeFacts {
    /// Every task that there is; empty before one has said how many.
    pub(crate) tasks: Vec<HeardTask>,
    /// Windows that can still change, with when they were first seen; the first to close first.
    pub(crate) windows: Vec<Window>,
    /// Messages that it has not read.
    pub(crate) lag: i64,
    /// Epochs whose points the sinks have not confirmed; 0 unless it waits for that before it closes anything.
    pub(crate) waits_for_sink: u64,
}

/// A task as a merge knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HeardTask {
    /// Its partition number.
    pub(crate) partition: i32,
    /// The watermark it reported, milliseconds; `None` where it has no event yet.
    pub(crate) watermark_ms: Option<i64>,
    /// Since when that is so.
    pub(crate) stands_since_ms: i64,
    /// When it was heard last; `None`: not since the merge was assigned here.
    pub(crate) heard_ms: Option<i64>,
    /// Whether it said that it is idle.
    pub(crate) idle: bool,
}

/// A merged window that can still change. Milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Inclusive.
    pub(crate) start_ms: i64,
    /// Exclusive.
    pub(crate) end_ms: i64,
    /// The watermark that closes it.
    pub(crate) closes_ms: i64,
    /// Wall clock of when this instance saw it first.
    pub(crate) opened_ms: i64,
}

/// What this process knows besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// The wall clock.
    pub(crate) now_ms: i64,
    /// `windows.idle_after`.
    pub(crate) idle_after_ms: i64,
    /// The tasks that run here.
    pub(crate) own: &'a BTreeMap<i32, TaskStatus>,
    /// What is wrong with the sink.
    pub(crate) sink_problem: Option<&'a str>,
}

/// A window with what it waits for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenWindow {
    /// Inclusive, milliseconds since the epoch.
    pub start_ms: i64,
    /// Exclusive.
    pub end_ms: i64,
    /// The watermark that closes it: its end and the allowed lateness.
    pub closes_ms: i64,
    /// Wall clock of when this instance saw it first.
    pub opened_ms: i64,
    /// The partition with the least watermark; absent where no partition holds it.
    pub waits_for: Option<i32>,
    /// How many others have not reached the end either.
    pub others: u64,
    /// That partition's watermark.
    pub watermark_ms: Option<i64>,
    /// Since when it stands there; absent where it moves.
    pub stands_since_ms: Option<i64>,
    /// The kind of reason, in a word: the same as the label of `processor_open_windows`.
    pub reason: &'static str,
    /// The reason in words; times are UTC as in RFC 3339.
    pub why: String,
}

/// Why a window is open.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Why {
    /// No task has reported anything.
    NobodyReported,
    /// One has not.
    NotReported { here: bool },
    /// Points of earlier epochs have to be confirmed first.
    Sink { epochs: u64, problem: Option<String> },
    /// Every task has passed it.
    Closing,
    /// The task has passed it; the merge reads on.
    MergeBehind { messages: i64 },
    /// The task has passed it; its epoch is not in Kafka yet.
    Unpublished { since_ms: Option<i64> },
    /// State is being rebuilt.
    Replaying { left: i64, per_s: f64 },
    /// Nothing is read.
    Paused { why: String, since_ms: i64 },
    /// There are records to read first.
    Behind { records: i64, per_s: f64, of: Option<String> },
    /// There are records, and its worker reads those of other partitions.
    Queued { records: i64, per_s: f64, of: Option<String> },
    /// There are records, and they do not come.
    Stuck { records: i64, since_ms: i64, of: Option<String> },
    /// No record comes, and the wall clock does not count yet.
    Quiet { since_ms: i64, idle_ms: i64, of: Option<String> },
    /// The wall clock moves it on.
    Idle { since_ms: i64, closes_at_ms: Option<i64> },
    /// Its time is not over.
    Filling { until_ms: i64 },
    /// Its time is over, late events still count.
    Lateness { until_ms: i64 },
    /// Another instance's task.
    Elsewhere { heard_ms: i64, idle: bool },
    /// Another instance's, or nobody's.
    Silent { heard_ms: i64 },
}

impl Why {
    /// Every reason's name: the values of a label.
    pub(crate) const REASONS: [&'static str; 17] = [
        "nobody_reported",
        "not_reported",
        "sink",
        "closing",
        "merge_behind",
        "unpublished",
        "replaying",
        "paused",
        "behind",
        "stuck",
        "quiet",
        "idle",
        "filling",
        "lateness",
        "elsewhere",
        "silent",
        "queued",
    ];

    /// Which of [`Why::REASONS`] it is.
    pub(crate) const fn reason(&self) -> &'static str {
        Self::REASONS[match self {
            Self::NobodyReported => 0,
            Self::NotReported { .. } => 1,
            Self::Sink { .. } => 2,
            Self::Closing => 3,
            Self::MergeBehind { .. } => 4,
            Self::Unpublished { .. } => 5,
            Self::Replaying { .. } => 6,
            Self::Paused { .. } => 7,
            Self::Behind { .. } => 8,
            Self::Stuck { .. } => 9,
            Self::Quiet { .. } => 10,
            Self::Idle { .. } => 11,
            Self::Filling { .. } => 12,
            Self::Lateness { .. } => 13,
            Self::Elsewhere { .. } => 14,
            Self::Silent { .. } => 15,
            Self::Queued { .. } => 16,
        }]
    }

    /// Of a window, held by the task with the least watermark.
    pub(crate) fn of(window: &Window, facts: &MergeFacts, known: &Known<'_>) -> Self {
        let Some(holder) = facts.holder() else { return Self::NobodyReported };
        if facts.waits_for_sink > 0 {
            let problem = known.sink_problem.map(str::to_owned);
            return Self::Sink { epochs: facts.waits_for_sink, problem };
        }
        if holder.has_reached(window) {
            return Self::Closing;
        }
        match known.own.get(&holder.partition) {
            Some(task) => Self::here(window, holder, task, facts, known),
            None => Self::elsewhere(window, holder, known),
        }
    }

    fn here(
        window: &Window,
        holder: &HeardTask,
        task: &TaskStatus,
        facts: &MergeFacts,
        known: &Known<'_>,
    ) -> Self {
        let quiet_ms = known.now_ms - task.active_ms;
        let of = task.holder.clone();
        if let Some(replay) = &task.replay {
            return Self::Replaying { left: replay.left, per_s: task.records_per_s };
        }
        if let Some(why) = &task.paused {
            return Self::Paused { why: why.clone(), since_ms: task.since_ms };
        }
        if task.watermark_ms.is_some_and(|watermark| watermark >= window.closes_ms) {
            return if facts.lag > 0 {
                Self::MergeBehind { messages: facts.lag }
            } else {
                Self::Unpublished { since_ms: task.epoch_since_ms }
            };
        }
        if let Some(since_ms) = task.idle_since_ms {
            let left = task.watermark_ms.map(|watermark| window.closes_ms - watermark);
            return Self::Idle { since_ms, closes_at_ms: left.map(|left| known.now_ms + left) };
        }
        if task.lag > 0 && !task.caught_up {
            let backlog = BACKLOG_S * task.records_per_s + BACKLOG_RECORDS_MIN;
            if task.records_per_s == 0.0 {
                // A worker that has caught up with its other partitions is not what this one waits for.
                let busy = |other: &&TaskStatus| {
                    other.worker == task.worker && other.lag as f64 > BACKLOG_RECORDS_MIN
                };
                let per_s: f64 = known.own.values().filter(busy).map(|other| other.records_per_s).sum();
                if per_s > 0.0 {
                    return Self::Queued { records: task.lag, per_s, of };
                }
                return Self::Stuck { records: task.lag, since_ms: holder.stands_since_ms, of };
            }
            if task.lag as f64 > backlog {
                return Self::Behind { records: task.lag, per_s: task.records_per_s, of };
            }
        } else if quiet_ms >= QUIET_MS {
            return Self::Quiet {
                since_ms: task.active_ms,
                idle_ms: task.active_ms + known.idle_after_ms,
                of,
            };
        }
        if holder.heard_ms.is_none() {
            return Self::NotReported { here: true };
        }
        Self::by_time(window, holder)
    }

    fn elsewhere(window: &Window, holder: &HeardTask, known: &Known<'_>) -> Self {
        let Some(heard_ms) = holder.heard_ms else { return Self::NotReported { here: false } };
        if known.now_ms - heard_ms >= SILENT_MS {
            return Self::Silent { heard_ms };
        }
        if known.now_ms - holder.stands_since_ms >= QUIET_MS || holder.idle {
            return Self::Elsewhere { heard_ms, idle: holder.idle };
        }
        Self::by_time(window, holder)
    }

    fn by_time(window: &Window, holder: &HeardTask) -> Self {
        match holder.watermark_ms {
            Some(watermark) if watermark >= window.end_ms => Self::Lateness { until_ms: window.closes_ms },
            _ => Self::Filling { until_ms: window.end_ms },
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyReported => write!(f, "no partition has reported how far it is yet"),
            Self::NotReported { here: true } => {
                write!(f, "it has not reported yet: its first epoch is under way")
            }
            Self::NotReported { here: false } => {
                write!(
                    f,
                    "it has not reported yet, and no task here has it: is the instance running that has?"
                )
            }
            Self::Sink { epochs, problem } => {
                write!(f, "the sink has not confirmed the points of {epochs} earlier epochs")?;
                problem.as_ref().map_or(Ok(()), |problem| write!(f, ": {problem}"))
            }
            Self::Closing => {
                write!(f, "every partition has passed it; it closes with the next epoch of the merge")
            }
            Self::MergeBehind { messages } => {
                write!(
                    f,
                    "the partition has passed it; the merge has {} before it",
                    count(*messages, "message")
                )
            }
            Self::Unpublished { since_ms: Some(since) } => {
                write!(
                    f,
                    "the partition has passed it; its epoch, sealed at {}, is not in Kafka yet",
                    time(*since)
                )
            }
            Self::Unpublished { since_ms: None } => {
                write!(f, "the partition has passed it; its epoch says so within a second or two")
            }
            Self::Replaying { left, per_s } => {
                write!(f, "it is replaying: {} left", count(*left, "record"))?;
                if *per_s > 0.0 { write!(f, ", about {}", span(*left as f64 / per_s)) } else { Ok(()) }
            }
            Self::Paused { why, since_ms } => write!(f, "it is paused since {}: {why}", time(*since_ms)),
            Self::Behind { records, per_s, of } => {
                write!(f, "it is behind{}: {} to read at {per_s:.0}/s", Of(of), count(*records, "record"))
            }
            Self::Queued { records, per_s, of } => write!(
                f,
                "{}{} to read; its worker reads other partitions before, at {per_s:.0}/s",
                count(*records, "record"),
                Of(of)
            ),
            Self::Stuck { records, since_ms, of } => write!(
                f,
                "{}{} to read, and none has come since {}: Kafka is slow, or a producer left a transaction open",
                count(*records, "record"),
                Of(of),
                time(*since_ms)
            ),
            Self::Quiet { since_ms, idle_ms, of } => write!(
                f,
                "no event{} since {}; it counts as idle at {} (windows.idle_after)",
                Of(of),
                time(*since_ms),
                time(*idle_ms)
            ),
            Self::Idle { since_ms, closes_at_ms: Some(closes) } => write!(
                f,
                "it is idle since {} and follows the wall clock, which closes the window at {}",
                time(*since_ms),
                time(*closes)
            ),
            Self::Idle { since_ms, closes_at_ms: None } => {
                write!(f, "it is idle since {}, and no partition has had an event yet", time(*since_ms))
            }
            Self::Filling { until_ms } => {
                write!(f, "its events are still coming: it ends at {}", time(*until_ms))
            }
            Self::Lateness { until_ms } => {
                write!(f, "late events count until the watermark is at {}", time(*until_ms))
            }
            Self::Elsewhere { heard_ms, idle } => write!(
                f,
                "another instance has it{}, heard at {}: see that instance's page",
                if *idle { ", and says it is idle" } else { "" },
                time(*heard_ms)
            ),
            Self::Silent { heard_ms } => write!(
                f,
                "nothing was heard of it since {}: its instance is gone, stopped or cannot publish",
                time(*heard_ms)
            ),
        }
    }
}

impl MergeFacts {
    /// The task with the least watermark; one that has not reported has none.
    fn holder(&self) -> Option<&HeardTask> {
        self.tasks.iter().min_by_key(|task| (task.heard_ms.is_some(), task.watermark_ms, task.partition))
    }

    /// The windows that close first, each with its reason.
    pub(crate) fn explain(&self, known: &Known<'_>) -> Vec<OpenWindow> {
        self.windows
            .iter()
            .take(WINDOWS_EXPLAINED_MAX)
            .map(|window| self.explain_one(window, known))
            .collect()
    }

    fn explain_one(&self, window: &Window, known: &Known<'_>) -> OpenWindow {
        let why = Why::of(window, self, known);
        let holder = self.holder().filter(|holder| !holder.has_reached(window));
        let behind = self.tasks.iter().filter(|task| !task.has_reached(window)).count() as u64;
        let stands = |holder: &HeardTask| {
            (known.now_ms - holder.stands_since_ms >= QUIET_MS).then_some(holder.stands_since_ms)
        };
        OpenWindow {
            start_ms: window.start_ms,
            end_ms: window.end_ms,
            closes_ms: window.closes_ms,
            opened_ms: window.opened_ms,
            waits_for: holder.map(|holder| holder.partition),
            others: behind.saturating_sub(1),
            watermark_ms: holder.and_then(|holder| holder.watermark_ms),
            stands_since_ms: holder.and_then(stands),
            reason: why.reason(),
            why: why.to_string(),
        }
    }

    /// How many windows are open for which reason.
    pub(crate) fn by_reason(&self, known: &Known<'_>) -> BTreeMap<&'static str, u64> {
        let mut reasons = BTreeMap::new();
        for window in &self.windows {
            *reasons.entry(Why::of(window, self, known).reason()).or_default() += 1;
        }
        reasons
    }
}

impl HeardTask {
    fn has_reached(&self, window: &Window) -> bool {
        self.heard_ms.is_some() && self.watermark_ms.is_some_and(|watermark| watermark >= window.closes_ms)
    }
}

/// The input that holds a task back, where it has several.
struct Of<'a>(&'a Option<String>);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |topic| write!(f, " of `{topic}`"))
    }
}

fn time(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn count(number: i64, what: &str) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    format!("{} {what}{}", groups.join(","), if number == 1 { "" } else { "s" })
}

fn span(seconds: f64) -> String {
    if seconds < 100.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests;
