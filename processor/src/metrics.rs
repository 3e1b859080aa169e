//! `/metrics`: the runtime's status as OpenMetrics text.
//!
//! Values are read from the [`StatusBoard`] when scraped, so counting costs the hot path nothing. Names are
//! `<component>_<noun>_<unit>`; counters end in `_total`; the only labels are a partition, a
//! reason, an outcome, a purpose, a limit, and an event's type and field.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::status::{
    MergeStatus, PipelineStatus, SnapshotStatus, StatusBoard, TRANSACTION_BUCKETS_S, TaskSnapshotStatus,
    TaskStatus, Why,
};

/// The media type of [`Metrics::encode`]'s answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything a scrape shows.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// Reads from this board at every scrape.
    #[must_use]
    pub fn new(board: Arc<StatusBoard>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(StatusCollector(board)));
        Self(registry)
    }

    /// The text of one scrape.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        text::encode(&mut text, &self.0).expect("writing to a String cannot fail");
        text
    }
}

#[derive(Debug)]
struct StatusCollector(Arc<StatusBoard>);

impl Collector for StatusCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.0.get();
        let mut scrape = Scrape(encoder);
        scrape.build(&status)?;
        scrape.records(&status)?;
        scrape.epochs(&status)?;
        scrape.transactions(&status)?;
        scrape.tasks(&status.tasks)?;
        scrape.relays(&status)?;
        scrape.merges(&status.merges)?;
        scrape.open_windows(&status.merges)?;
        scrape.sink(&status)?;
        if let Some(snapshots) = &status.snapshots {
            scrape.snapshots(snapshots)?;
        }
        scrape.memory(&status)?;
        scrape.process(&status)
    }
}

struct Scrape<'a>(DescriptorEncoder<'a>);

impl Scrape<'_> {
    fn build(&mut self, status: &PipelineStatus) -> fmt::Result {
        let labels = [("version", status.version.as_str()), ("instance_id", status.instance.as_str())];
        let help = "The running program, always 1";
        let mut metric = self.0.encode_descriptor("processor_build_info", help, None, MetricType::Gauge)?;
        metric.encode_family(&labels)?.encode_gauge(&1_i64)
    }

    fn records(&mut self, status: &PipelineStatus) -> fmt::Result {
        let totals = status.totals;
        self.counter("processor_records_consumed", "Records taken from Kafka", totals.consumed)?;
        self.counter("processor_records_counted", "Records counted in a window", totals.counted)?;
        self.counter("processor_records_duplicate", "Records dropped as repeats", totals.duplicates)?;
        self.counter("processor_records_late", "Records too late for their window", totals.late)?;
        self.counter("processor_records_rejected", "Records that are not valid events", totals.rejected)?;
        let help = "Consumed records that are in no other count; anything but 0 is a loss";
        self.gauge("processor_records_unaccounted", help, totals.unaccounted() as f64)?;
        let help = "Counted records behind the watermark, not used for attribution";
        self.counter("processor_records_behind_watermark", help, status.behind_watermark)?;
        let help = "Records set aside in part, as they were too large for their topic";
        self.counter("processor_records_set_aside_in_part", help, status.cut)?;
        let help = "Records that were not counted, by reason";
        let mut metric =
            self.0.encode_descriptor("processor_records_uncounted", help, None, MetricType::Counter)?;
        for (reason, count) in &status.by_reason {
            let labels = [("reason", reason.as_str())];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(count, None)?;
        }
        self.notes(status)?;
        self.positions(status)?;
        let help = "Routes, URLs, campaigns and currencies beyond their cap, counted as __other__";
        self.counter("processor_series_overflowed", help, status.overflowed)?;
        let help = "Events counted with less than they had, as a limit was reached, by the limit";
        let mut metric =
            self.0.encode_descriptor("processor_beyond_limit", help, None, MetricType::Counter)?;
        for (limit, events) in &status.beyond_limits {
            let labels = [("limit", limit.as_str())];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(events, None)?;
        }
        self.gauge("processor_routes_known", "Routes with a series of their own", status.routes as f64)
    }

    fn notes(&mut self, status: &PipelineStatus) -> fmt::Result {
        let help = "Counted events that lacked a field which an analytic needs, by their type and the field";
        let mut metric =
            self.0.encode_descriptor("processor_events_incomplete", help, None, MetricType::Counter)?;
        for of in &status.notes.incomplete {
            let labels = [("event_type", of.event_type), ("field", of.field)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&of.events, None)?;
        }
        let help = "Counted events in which a field had a value of no use, by the field";
        let mut metric =
            self.0.encode_descriptor("processor_events_unusable", help, None, MetricType::Counter)?;
        for of in &status.notes.unusable {
            let labels = [("field", of.field)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&of.events, None)?;
        }
        Ok(())
    }

    fn positions(&mut self, status: &PipelineStatus) -> fmt::Result {
        let of = &status.positions;
        let help = "Records that were deleted from their topic before they were read";
        self.counter("processor_records_skipped", help, of.skipped_records)?;
        let help = "Partitions that went on elsewhere than where they had been, by why";
        let mut metric =
            self.0.encode_descriptor("processor_positions_changed", help, None, MetricType::Counter)?;
        let reasons = [
            ("made_again", of.made_again),
            ("moved", of.moved),
            ("replay_gone", of.replays_gone),
            ("shortened", of.shortened),
        ];
        for (reason, count) in reasons {
            let labels = [("reason", reason)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
        }
        let help = "Windows not written, as reading began in the middle of them";
        self.counter("processor_windows_withheld", help, of.withheld_windows)
    }

    fn epochs(&mut self, status: &PipelineStatus) -> fmt::Result {
        self.gauge(
            "processor_kafka_ready",
            "1 while partitions are assigned, or none is left to be, and Kafka answers",
            flag(status.kafka_ready && status.kafka_silence(status.lease_ms).is_none()),
        )?;
        self.gauge(
            "processor_reading_paused",
            "1 while reading waits for a sink",
            flag(status.paused.is_some()),
        )?;
        self.counter("processor_epochs_sealed", "Epochs sealed", status.epochs)?;
        let in_flight = status.epochs_in_flight as f64;
        self.gauge("processor_epochs_in_flight", "Epochs sealed and not yet committed", in_flight)?;
        let help = "Broker timestamp to confirmed in the sink, recent median";
        self.gauge("processor_freshness_p50_seconds", help, seconds(status.freshness_p50_ms))?;
        let help = "Broker timestamp to confirmed in the sink, recent 99th percentile";
        self.gauge("processor_freshness_p99_seconds", help, seconds(status.freshness_p99_ms))
    }

    fn transactions(&mut self, status: &PipelineStatus) -> fmt::Result {
        let of = &status.transactions;
        let help = "Kafka transactions by how they ended; aborted ones are tried again";
        let mut metric =
            self.0.encode_descriptor("processor_transactions", help, None, MetricType::Counter)?;
        for (outcome, count) in [("committed", of.committed), ("aborted", of.aborted)] {
            metric
                .encode_family(&[("outcome", outcome)])?
                .encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
        }
        let help = "From the beginning of a transaction to its commit";
        let mut metric =
            self.0.encode_descriptor("processor_transaction_seconds", help, None, MetricType::Histogram)?;
        let buckets: Vec<(f64, u64)> = TRANSACTION_BUCKETS_S.into_iter().zip(of.buckets).collect();
        metric.encode_histogram::<NoLabelSet>(of.seconds, of.committed, &buckets, None)?;
        let help = "For how long the group's last answer still allows to write to InfluxDB";
        self.gauge("processor_membership_lease_seconds", help, seconds(status.lease_left_ms as f64))
    }

    fn memory(&mut self, status: &PipelineStatus) -> fmt::Result {
        let of = &status.memory;
        self.gauge("processor_memory_budget_bytes", "memory.budget", of.budget as f64)?;
        let help = "Memory by what it is used for; process_resident_memory_bytes has the whole";
        let mut metric =
            self.0.encode_descriptor("processor_memory_used_bytes", help, None, MetricType::Gauge)?;
        for (purpose, bytes) in
            [("prefetch", of.prefetch), ("state", of.state), ("sink_queue", of.sink_queue)]
        {
            metric.encode_family(&[("purpose", purpose)])?.encode_gauge(&(bytes as f64))?;
        }
        Ok(())
    }

    fn open_windows(&mut self, merges: &[MergeStatus]) -> fmt::Result {
        let help = "Merged windows that can still change, by what they wait for";
        let mut metric = self.0.encode_descriptor("processor_open_windows", help, None, MetricType::Gauge)?;
        for reason in Why::REASONS {
            let count: u64 = merges.iter().filter_map(|merge| merge.open_by_reason.get(reason)).sum();
            metric.encode_family(&[("reason", reason)])?.encode_gauge(&(count as f64))?;
        }
        Ok(())
    }

    fn tasks(&mut self, tasks: &[TaskStatus]) -> fmt::Result {
        let help = "Records behind the end of the partition";
        self.per_task("processor_task_lag_records", help, tasks, |task| Some(task.lag as f64))?;
        let help = "Watermark, seconds since the epoch; absent before the first event";
        self.per_task("processor_task_watermark_timestamp_seconds", help, tasks, |task| {
            task.watermark_ms.map(|ms| seconds(ms as f64))
        })?;
        let help = "By how much the watermark is behind the wall clock; absent before the first event";
        self.per_task("processor_watermark_lag_seconds", help, tasks, |task| {
            task.watermark_lag_ms.map(|ms| seconds(ms as f64))
        })?;
        let help = "Time since offsets of the partition were committed; absent before that";
        self.per_task("processor_commit_age_seconds", help, tasks, |task| {
            task.commit_age_ms.map(|ms| seconds(ms as f64))
        })?;
        let help = "Moves of the watermark by the wall clock that a replay repeats";
        self.per_task("processor_task_watermark_jumps", help, tasks, |task| Some(task.jumps as f64))?;
        let help = "Of those, how many are too many to be kept; a replay does not repeat them";
        self.per_task("processor_task_watermark_jumps_forgotten", help, tasks, |task| {
            Some(task.jumps_forgotten as f64)
        })?;
        let help = "Windows that can still change";
        self.per_task("processor_task_open_windows", help, tasks, |task| Some(task.open_windows as f64))?;
        let help = "Users with state";
        self.per_task("processor_task_users", help, tasks, |task| Some(task.users as f64))?;
        let help = "Estimated bytes of state";
        self.per_task("processor_task_state_bytes", help, tasks, |task| Some(task.state_bytes as f64))?;
        let help = "Records still to replay before new ones are read";
        self.per_task("processor_replay_left_records", help, tasks, |task| Some(task.replay_left as f64))
    }

    fn relays(&mut self, status: &PipelineStatus) -> fmt::Result {
        if status.relays.is_empty() {
            return Ok(());
        }
        let help = "Records re-keyed through the by-user topic";
        self.counter("processor_records_relayed", help, status.relayed)?;
        let lag: i64 = status.relays.iter().map(|relay| relay.lag).sum();
        let help = "Records behind the ends of the inputs that are re-keyed";
        self.gauge("processor_relay_lag_records", help, lag as f64)
    }

    fn merges(&mut self, merges: &[MergeStatus]) -> fmt::Result {
        let help = "Records behind the end of the partials topic";
        self.per_merge("processor_merge_lag_records", help, merges, |merge| Some(merge.lag as f64))?;
        let help = "Merged windows that can still change";
        self.per_merge("processor_merge_open_windows", help, merges, |merge| {
            Some(merge.open_windows as f64)
        })?;
        let help = "The least watermark over the tasks, seconds since the epoch";
        self.per_merge("processor_merge_watermark_timestamp_seconds", help, merges, |merge| {
            merge.watermark_ms.map(|ms| seconds(ms as f64))
        })
    }

    fn sink(&mut self, status: &PipelineStatus) -> fmt::Result {
        let sink = &status.sink;
        self.gauge("sink_healthy", "1 while the last write succeeded", flag(sink.healthy))?;
        self.counter("sink_points_written", "Points confirmed", sink.points_written)?;
        self.counter("sink_points_refused", "Points refused for good", sink.points_refused)?;
        self.counter("sink_write_retries", "Writes that had to be repeated", sink.retries)?;
        self.gauge("sink_waiting_batches", "Batches not yet confirmed", sink.batches_waiting as f64)?;
        self.gauge("sink_waiting_bytes", "Line protocol not yet confirmed", sink.bytes_waiting as f64)?;
        let help = "Recent successful writes, 99th percentile";
        self.gauge("sink_write_p99_seconds", help, seconds(sink.write_p99_ms))
    }

    fn snapshots(&mut self, of: &SnapshotStatus) -> fmt::Result {
        let help = "1 while the last snapshot was written";
        self.gauge("processor_snapshot_store_healthy", help, flag(of.healthy))?;
        self.gauge("processor_snapshot_waiting", "Snapshots not yet written", of.waiting as f64)?;
        self.counter("processor_snapshot_writes", "Snapshots written", of.written)?;
        self.counter("processor_snapshot_failures", "Snapshots that could not be written", of.failed)?;
        let help = "Snapshots that gave way to a newer one before they were written";
        self.counter("processor_snapshot_replacements", help, of.replaced)?;
        self.counter("processor_snapshot_written_bytes", "Bytes of snapshots written", of.bytes_written)?;
        self.counter("processor_snapshot_restores", "Tasks that began from a snapshot", of.restored)?;
        let help = "Tasks that began without a snapshot as the store was away";
        self.counter("processor_snapshot_restore_failures", help, of.restores_failed)?;
        let help = "Snapshots seen at an assignment and not used, by reason";
        let mut metric =
            self.0.encode_descriptor("processor_snapshot_unusable", help, None, MetricType::Counter)?;
        for (reason, count) in &of.unusable {
            let labels = [("reason", reason.as_str())];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(count, None)?;
        }
        let help = "Time since the state was as the newest snapshot holds it; absent without one";
        self.per_partition(
            "processor_snapshot_age_seconds",
            help,
            of.tasks.iter().map(|task| (task.partition, task.age_ms.map(|ms| seconds(ms as f64)))),
        )?;
        let has = |task: &TaskSnapshotStatus| task.age_ms.is_some();
        self.per_partition(
            "processor_snapshot_bytes",
            "Size of the newest snapshot",
            of.tasks.iter().map(|task| (task.partition, has(task).then_some(task.bytes as f64))),
        )?;
        self.per_partition(
            "processor_snapshot_duration_seconds",
            "How long encoding and writing the newest snapshot took",
            of.tasks.iter().map(|task| (task.partition, has(task).then_some(task.seconds))),
        )
    }

    fn process(&mut self, status: &PipelineStatus) -> fmt::Result {
        self.gauge("process_resident_memory_bytes", "Resident memory", status.rss_bytes as f64)?;
        let help = "Start, seconds since the epoch";
        self.gauge("process_start_time_seconds", help, seconds(status.started_ms as f64))?;
        let mut metric =
            self.0.encode_descriptor("process_cpu_seconds", "CPU time used", None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, f64, f64>(&status.cpu_seconds, None)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn per_task(
        &mut self,
        name: &str,
        help: &str,
        tasks: &[TaskStatus],
        value: impl Fn(&TaskStatus) -> Option<f64>,
    ) -> fmt::Result {
        self.per_partition(name, help, tasks.iter().map(|task| (task.partition, value(task))))
    }

    fn per_merge(
        &mut self,
        name: &str,
        help: &str,
        merges: &[MergeStatus],
        value: impl Fn(&MergeStatus) -> Option<f64>,
    ) -> fmt::Result {
        self.per_partition(name, help, merges.iter().map(|merge| (merge.partition, value(merge))))
    }

    fn per_partition(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (i32, Option<f64>)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (partition, value) in values {
            if let Some(value) = value {
                metric.encode_family(&[("partition", i64::from(partition))])?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

fn seconds(ms: f64) -> f64 {
    ms / 1_000.0
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Incomplete, Totals, Unusable};

    #[test]
    fn the_names_are_these() {
        let board = Arc::new(StatusBoard::default());
        board.update(|status| status.snapshots = Some(SnapshotStatus::default()));
        let text = Metrics::new(board).encode();
        let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        insta::assert_snapshot!(types.join("\n"));
    }

    #[test]
    fn values_come_from_the_board() {
        let board = Arc::new(StatusBoard::default());
        board.update(|status| {
            status.totals = Totals { consumed: 10, counted: 6, duplicates: 1, late: 1, rejected: 1 };
            status.by_reason.insert("not_json".to_owned(), 1);
            let text = String::new();
            let (event_type, field) = ("purchase", "checkout_id");
            status.notes.incomplete.push(Incomplete { event_type, field, events: 5, text: text.clone() });
            status.notes.unusable.push(Unusable { field: "device", events: 6, text });
            status.cpu_seconds = 1.5;
            status.tasks.push(TaskStatus {
                partition: 3,
                lag: 42,
                watermark_ms: Some(1_755_720_654_483),
                ..TaskStatus::default()
            });
            status.tasks.push(TaskStatus { partition: 4, ..TaskStatus::default() });
            status.tasks[0].commit_age_ms = Some(250);
            status.tasks[0].watermark_lag_ms = Some(5_500);
            status.tasks[0].replay_left = 12;
            for (partition, reason) in [(0, "quiet"), (1, "quiet"), (2, "sink")] {
                let open_by_reason = [(reason, 2)].into();
                status.merges.push(MergeStatus { partition, open_by_reason, ..MergeStatus::default() });
            }
            status.transactions.committed = 3;
            status.transactions.aborted = 2;
            status.transactions.seconds = 1.5;
            status.transactions.buckets[0] = 1;
            status.transactions.buckets[2] = 2;
            status.memory.budget = 512;
            status.memory.sink_queue = 7;
        });
        let text = Metrics::new(Arc::clone(&board)).encode();
        for line in [
            "processor_records_consumed_total 10",
            "processor_records_unaccounted 1.0",
            "processor_records_uncounted_total{reason=\"not_json\"} 1",
            "processor_events_incomplete_total{event_type=\"purchase\",field=\"checkout_id\"} 5",
            "processor_events_unusable_total{field=\"device\"} 6",
            "processor_task_lag_records{partition=\"3\"} 42.0",
            "processor_task_watermark_timestamp_seconds{partition=\"3\"} 1755720654.483",
            "processor_commit_age_seconds{partition=\"3\"} 0.25",
            "processor_watermark_lag_seconds{partition=\"3\"} 5.5",
            "processor_replay_left_records{partition=\"3\"} 12.0",
            "processor_open_windows{reason=\"quiet\"} 4.0",
            "processor_open_windows{reason=\"sink\"} 2.0",
            "processor_open_windows{reason=\"stuck\"} 0.0",
            "processor_transactions_total{outcome=\"committed\"} 3",
            "processor_transactions_total{outcome=\"aborted\"} 2",
            "processor_transaction_seconds_sum 1.5",
            "processor_transaction_seconds_count 3",
            "processor_transaction_seconds_bucket{le=\"0.005\"} 1",
            "processor_transaction_seconds_bucket{le=\"0.025\"} 3",
            "processor_transaction_seconds_bucket{le=\"+Inf\"} 3",
            "processor_memory_budget_bytes 512.0",
            "processor_memory_used_bytes{purpose=\"sink_queue\"} 7.0",
            "process_cpu_seconds_total 1.5",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("processor_task_watermark_timestamp_seconds{partition=\"4\"}"));
        assert!(!text.contains("processor_commit_age_seconds{partition=\"4\"}"), "nothing was committed");
        assert!(!text.contains("processor_snapshot"), "snapshots are off");

        board.update(|status| {
            let task = TaskSnapshotStatus { partition: 3, age_ms: Some(1_500), bytes: 42, seconds: 0.25 };
            let none_yet = TaskSnapshotStatus { partition: 4, ..TaskSnapshotStatus::default() };
            status.snapshots = Some(SnapshotStatus {
                written: 7,
                unusable: [("damaged".to_owned(), 1)].into(),
                tasks: vec![task, none_yet],
                ..SnapshotStatus::default()
            });
        });
        let text = Metrics::new(board).encode();
        for line in [
            "processor_snapshot_writes_total 7",
            "processor_snapshot_store_healthy 0.0",
            "processor_snapshot_unusable_total{reason=\"damaged\"} 1",
            "processor_snapshot_age_seconds{partition=\"3\"} 1.5",
            "processor_snapshot_bytes{partition=\"3\"} 42.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("processor_snapshot_bytes{partition=\"4\"}"), "it has none yet");
    }
}
