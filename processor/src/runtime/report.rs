//! The status: composed from what the workers said, shown on the page, written as the measurement `pipeline`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use events::{Reason, Timestamp};
use processor_core::{Beyond, Delivery, FieldValue, MergeCheckpoint, Point, Resolution, TaskTotals, schema};

use super::assign::Coordinator;
use super::limits;
use super::process;
use super::shared::{Reports, Shared, now};
use crate::kafka::{Consumer, KafkaProblem};
use crate::settings::Settings;
use crate::sink::{Ack, PointSink as _};
use crate::state::Snapshots;
use crate::status::{
    KAFKA_SILENT_MS, Known, MemoryStatus, MergeStatus, NoteStatus, PipelineStatus, StatusBoard, TaskStatus,
    Totals,
};

const STATUS_EVERY: Duration = Duration::from_millis(500);
/// How often commits of merges elsewhere are asked for.
const FOREIGN_EVERY: Duration = Duration::from_secs(1);
const FOREIGN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the measurement `pipeline` gets a point, traffic or not: once in each such interval of the wall clock, at its
/// beginning, so that none of a dashboard's intervals is without.
const PIPELINE_EVERY: Duration = Duration::from_secs(10);
/// The rate shown is of this long.
const RATE_SPAN: Duration = Duration::from_secs(5);

/// The coordinator's periodic work.
pub(super) struct Reporter {
    shared: Arc<Shared>,
    started: Instant,
    status_at: Instant,
    foreign_at: Instant,
    /// The interval of the last point.
    pipeline_at: Option<Timestamp>,
    /// Records consumed at the moments of the last seconds, the oldest first.
    consumed: VecDeque<(Instant, u64)>,
}

impl Reporter {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            shared: Arc::clone(shared),
            started: now,
            status_at: now,
            foreign_at: now,
            pipeline_at: None,
            consumed: VecDeque::from([(now, 0)]),
        }
    }

    pub(super) fn turn(&mut self, consumer: &Consumer, handler: &Coordinator) {
        // While the group is joined, Kafka answers nothing else on that connection, and asking would keep the poll waiting.
        let is_member = self.shared.membership.generation().is_some();
        if is_member && self.foreign_at.elapsed() >= FOREIGN_EVERY {
            self.foreign_at = Instant::now();
            self.ask_for_foreign_merges(consumer, &handler.foreign_merges());
        }
        if self.status_at.elapsed() >= STATUS_EVERY {
            self.status_at = Instant::now();
            publish(&self.shared);
            self.rate();
        }
        let interval = interval_of(now());
        if self.pipeline_at != Some(interval) {
            self.pipeline_at = Some(interval);
            let point = pipeline_point(&self.shared, interval, self.started.elapsed());
            self.shared.submit(vec![point], Ack::new(|| ()));
        }
    }

    /// Merges of other instances tell by their commits how far they are, and the frontier.
    fn ask_for_foreign_merges(&self, consumer: &Consumer, foreign: &[i32]) {
        if foreign.is_empty() {
            return;
        }
        let of: Vec<_> = foreign.iter().map(|at| (self.shared.partials_topic.clone(), *at)).collect();
        let committed = match consumer.committed(&of, FOREIGN_TIMEOUT) {
            Ok(committed) => committed,
            Err(error) => return self.shared.error(&error),
        };
        for (partition, committed) in foreign.iter().zip(committed) {
            let Some(committed) = committed else { continue };
            self.shared.confirm_merge(*partition, committed.offset);
            let checkpoint = MergeCheckpoint::parse(committed.offset, &committed.metadata);
            self.shared.frontier.fetch_max(checkpoint.frontier, Ordering::AcqRel);
        }
    }

    fn rate(&mut self) {
        let consumed = self.shared.reports().totals.consumed;
        self.consumed.push_back((Instant::now(), consumed));
        while self.consumed.get(1).is_some_and(|(at, _)| at.elapsed() >= RATE_SPAN) {
            self.consumed.pop_front();
        }
        let (since, before) = self.consumed[0];
        let rate = consumed.saturating_sub(before) as f64 / since.elapsed().as_secs_f64().max(0.001);
        self.shared.board.update(|status| status.rate = rate);
    }
}

/// Puts what is known before anything runs on the page.
pub(super) fn introduce(board: &StatusBoard, settings: &Settings) {
    let topics: Vec<&str> = settings.inputs.iter().map(|input| input.topic.as_str()).collect();
    board.update(|status| {
        *status = PipelineStatus {
            instance: instance_name(settings, settings.http.listen.port()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: now().millis(),
            source: format!("{} at {}", topics.join(", "), settings.kafka.brokers.join(", ")),
            kafka_problem: Some("connecting".to_owned()),
            delivery: match settings.kafka.delivery {
                Delivery::ExactlyOnce => "exactly_once",
                Delivery::AtLeastOnce => "at_least_once",
            },
            memory: MemoryStatus {
                budget: settings.memory.budget,
                prefetch_max: settings.prefetch_bytes(),
                ..MemoryStatus::default()
            },
            ..PipelineStatus::default()
        };
    });
}

/// What tells instances apart in metrics: the configured id, or the host and the page's port.
pub(super) fn instance_name(settings: &Settings, port: u16) -> String {
    settings.kafka.instance_id.clone().unwrap_or_else(|| format!("{}:{}", process::host_name(), port))
}

/// Shows the producing client's problems on the page.
pub(super) fn producer_problems(board: &Arc<StatusBoard>) -> impl Fn(KafkaProblem) + Send + Sync + 'static {
    let board = Arc::clone(board);
    move |problem| {
        if board.client_problem(now().millis(), problem.to_string()) {
            tracing::warn!("{problem}");
        }
    }
}

/// Composes the status from the workers' reports.
pub(super) fn publish(shared: &Shared) {
    let (freshness_p50_ms, freshness_p99_ms) = shared.freshness();
    let now_ms = now().millis();
    let committed_at = shared.committed_at_ms.load(Ordering::Acquire);
    let sink = shared.sink.status();
    let reports = shared.reports();
    // Asked last: a task that is shown was restored before, and is among those restored.
    let snapshots = shared.snapshots.as_ref().map(Snapshots::status);
    shared.board.update(|status| {
        status.totals = totals(&reports.totals);
        status.by_reason = by_reason(&reports.totals);
        status.notes = NoteStatus::from(&reports.noted);
        status.behind_watermark = reports.totals.behind_watermark;
        let tasks = tasks(&reports, sink.problem.as_deref(), now_ms);
        let known = Known {
            now_ms,
            idle_after_ms: shared.core.idle_after / 1_000,
            own: &tasks,
            sink_problem: sink.problem.as_deref(),
        };
        status.merges = merges(&reports, &known);
        status.tasks = tasks.into_values().collect();
        status.relays = reports.relays.values().cloned().collect();
        status.relayed = reports.relayed;
        status.cut = shared.cut.load(Ordering::Relaxed);
        status.epochs = shared.epochs.load(Ordering::Relaxed);
        status.epochs_in_flight = reports.in_flight.values().sum();
        status.commit_age_ms = (committed_at > 0).then(|| (now_ms - committed_at).max(0));
        status.paused = reports.paused.values().next().map(|(why, _)| pause(why, sink.problem.as_deref()));
        status.transactions = shared.transactions.status();
        status.kafka_silent_ms = shared.membership.silent_for().map(millis);
        if status.kafka_ready && status.kafka_silent_ms.is_some_and(|silent| silent < KAFKA_SILENT_MS) {
            // What a client said while no broker was there.
            if status.kafka_problem.take().is_some() {
                tracing::info!("kafka answers again");
            }
        }
        status.lease_left_ms = millis(shared.membership.time_left());
        status.lease_ms = millis(shared.membership.lease());
        status.memory.prefetch = shared.prefetched.load(Ordering::Relaxed);
        status.memory.state = status.tasks.iter().map(|task| task.state_bytes).sum();
        status.memory.sink_queue = sink.bytes_waiting;
        status.freshness_p50_ms = freshness_p50_ms;
        status.freshness_p99_ms = freshness_p99_ms;
        status.routes = reports.routes;
        let Beyond { urls, routes, campaigns, currencies, .. } = reports.totals.beyond;
        status.overflowed = urls + routes + campaigns + currencies;
        let beyond = reports.totals.beyond.by_limit().into_iter();
        status.beyond_limits = beyond.map(|(limit, events)| (limit.to_owned(), events)).collect();
        status.positions = reports.positions;
        status.rss_bytes = process::rss_bytes();
        status.cpu_seconds = process::cpu_seconds();
        status.sink = sink;
        status.snapshots = snapshots;
    });
    let beyond = reports.totals.beyond;
    drop(reports);
    limits::warn(shared, &beyond);
}

/// The tasks as they were told, with what else is known of them.
fn tasks(reports: &Reports, sink_problem: Option<&str>, now_ms: i64) -> BTreeMap<i32, TaskStatus> {
    let mut tasks = reports.tasks.clone();
    let sink_is_waited_for = reports.merges_in_flight.values().any(|epochs| *epochs > 0);
    for task in tasks.values_mut() {
        let committed_at = reports.task_committed_at.get(&task.partition);
        task.commit_age_ms = committed_at.map(|at| (now_ms - at).max(0));
        task.watermark_lag_ms = task.watermark_ms.map(|watermark| (now_ms - watermark).max(0));
        if sink_is_waited_for && task.epoch_stage == "merging" {
            "sink".clone_into(&mut task.epoch_stage);
        }
        if let Some((why, since_ms)) = reports.paused.get(&task.worker) {
            task.paused = Some(pause(why, sink_problem));
            if task.state == "running" {
                "paused".clone_into(&mut task.state);
                task.since_ms = *since_ms;
            }
        }
    }
    tasks
}

fn merges(reports: &Reports, known: &Known<'_>) -> Vec<MergeStatus> {
    let with_reasons = reports.merges.iter().map(|(partition, merge)| {
        let facts = reports.merge_facts.get(partition);
        MergeStatus {
            waiting: facts.map(|facts| facts.explain(known)).unwrap_or_default(),
            open_by_reason: facts.map(|facts| facts.by_reason(known)).unwrap_or_default(),
            ..merge.clone()
        }
    });
    with_reasons.collect()
}

fn pause(why: &str, sink_problem: Option<&str>) -> String {
    sink_problem.map_or_else(|| why.to_owned(), |problem| format!("{why}: {problem}"))
}

fn millis(of: Duration) -> i64 {
    i64::try_from(of.as_millis()).unwrap_or(i64::MAX)
}

fn totals(of: &TaskTotals) -> Totals {
    Totals {
        consumed: of.consumed,
        counted: of.counted,
        duplicates: of.duplicates,
        late: of.late,
        rejected: of.rejected,
    }
}

fn by_reason(of: &TaskTotals) -> BTreeMap<String, u64> {
    let rejected =
        Reason::ALL.iter().zip(of.rejected_by_reason).map(|(reason, count)| (reason.name(), count));
    let others = [
        ("duplicate", of.duplicates),
        ("late", of.late),
        ("repeated_checkout", of.repeated_checkouts),
        ("clicks_dropped", of.clicks_dropped),
    ];
    let seen = rejected.chain(others).filter(|(_, count)| *count > 0);
    seen.map(|(name, count)| (name.to_owned(), count)).collect()
}

/// How long a task's last commit is ago, where there is something to commit.
fn uncommitted_age_ms(task: &TaskStatus) -> Option<i64> {
    task.commit_age_ms.filter(|_| task.position > task.committed)
}

/// Where the interval of [`PIPELINE_EVERY`] begins that a moment lies in.
fn interval_of(moment: Timestamp) -> Timestamp {
    moment.plus_micros(-moment.micros().rem_euclid(PIPELINE_EVERY.as_micros() as i64))
}

fn pipeline_point(shared: &Shared, interval: Timestamp, uptime: Duration) -> Point {
    let status = shared.board.get();
    let integer = |value: u64| FieldValue::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    let now = now();
    let behind = |ms: i64| (now.millis() - ms).max(0) as f64 / 1_000.0;
    let watermark_lag_s =
        status.tasks.iter().filter_map(|task| task.watermark_ms).map(behind).fold(0.0, f64::max);
    let value = |field: &str| match field {
        "consumed" => integer(status.totals.consumed),
        "counted" => integer(status.totals.counted),
        "duplicates" => integer(status.totals.duplicates),
        "late" => integer(status.totals.late),
        "rejected" => integer(status.totals.rejected),
        "lag" => {
            let unread = status.relays.iter().map(|relay| relay.lag);
            FieldValue::Integer(status.tasks.iter().map(|task| task.lag).chain(unread).sum())
        }
        "watermark_lag_s" => FieldValue::Float(watermark_lag_s),
        "freshness_p50_ms" => FieldValue::Float(status.freshness_p50_ms),
        "freshness_p99_ms" => FieldValue::Float(status.freshness_p99_ms),
        "open_windows" => integer(status.tasks.iter().map(|task| task.open_windows).sum()),
        "users" => integer(status.tasks.iter().map(|task| task.users).sum()),
        "routes" => integer(status.routes),
        "state_bytes" => integer(status.tasks.iter().map(|task| task.state_bytes).sum()),
        "epochs" => integer(status.epochs),
        "epochs_in_flight" => integer(status.epochs_in_flight),
        "commit_age_s" => FieldValue::Float(
            status.tasks.iter().filter_map(uncommitted_age_ms).max().unwrap_or(0) as f64 / 1_000.0,
        ),
        "replay_left" => FieldValue::Integer(status.tasks.iter().map(|task| task.replay_left).sum()),
        "transactions" => integer(status.transactions.committed),
        "transactions_aborted" => integer(status.transactions.aborted),
        "transaction_p99_ms" => FieldValue::Float(status.transactions.p99_ms.unwrap_or(0.0)),
        "memory_budget" => integer(status.memory.budget),
        "points_written" => integer(status.sink.points_written),
        "points_refused" => integer(status.sink.points_refused),
        "write_retries" => integer(status.sink.retries),
        "write_p99_ms" => FieldValue::Float(status.sink.write_p99_ms),
        "rss_bytes" => integer(status.rss_bytes),
        "cpu_seconds" => FieldValue::Float(status.cpu_seconds),
        "uptime_s" => integer(uptime.as_secs()),
        unknown => {
            unreachable!("the measurement `pipeline` has the field {unknown}, which is not filled here")
        }
    };
    let fields = schema::PIPELINE.fields.iter().map(|(name, _)| value(name)).collect();
    let tags = vec!["processor".into(), shared.instance.as_str().into()];
    Point::new(Resolution::Raw, &schema::PIPELINE, tags, fields, interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interval_of_a_dashboard_has_one_point() {
        let begins = |micros| interval_of(Timestamp::from_micros(micros)).micros();
        // Asked about twice a second, and a little later each time, as timers are.
        let mut points: Vec<i64> =
            (0..4_000).map(|at| begins(1_793_491_200_000_000 + at * 502_500)).collect();
        points.dedup();
        assert!(points.windows(2).all(|pair| pair[1] - pair[0] == 10_000_000));
    }
}
