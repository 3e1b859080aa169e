//! What the status hears of tasks.

use std::time::Instant;

use events::Timestamp;
use processor_core::{EpochStage, InputReport, TaskEpochs, TaskTotals};

use super::super::publisher::TaskEpoch;
use super::super::shared::{Shared, now};
use super::{Stage1, TaskSlot};
use crate::kafka::Consumer;
use crate::status::{ReplayStatus, TaskStatus};

impl Stage1 {
    /// Tells the status how far the tasks are.
    pub(in super::super) fn publish_status(&mut self) {
        self.stage0.publish_status();
        let epochs = Epochs::of(&self.epochs);
        let mut reports = self.shared.reports();
        for slot in self.tasks.values_mut() {
            let totals = slot.task.totals();
            add_difference(&mut reports.totals, &totals, &slot.published);
            slot.published = totals;
            reports.noted.add_difference(slot.task.noted(), &slot.published_notes);
            slot.published_notes.clone_from(slot.task.noted());
            let report = slot.task.report();
            reports.routes = reports.routes.max(report.routes as u64);
            reports.positions.withheld_windows += report.withheld - slot.withheld;
            slot.withheld = report.withheld;
            let inputs = self.shared.task_topics.iter().zip(&slot.starts);
            let committed = inputs
                .map(|(topic, start)| {
                    let known = reports.committed.get(&(topic.clone(), slot.partition));
                    known.copied().unwrap_or(start.next_offset)
                })
                .sum();
            let status = slot.status(&self.shared, &self.consumer);
            reports.tasks.insert(
                slot.partition,
                TaskStatus {
                    committed,
                    worker: self.at,
                    epoch: epochs.open,
                    epochs_in_flight: epochs.in_flight,
                    epoch_stage: epochs.stage.to_owned(),
                    epoch_since_ms: epochs.since_ms,
                    ..status
                },
            );
        }
    }
}

/// What the tasks of a worker have in common.
struct Epochs {
    open: u64,
    in_flight: u64,
    stage: &'static str,
    since_ms: Option<i64>,
}

impl Epochs {
    fn of(epochs: &TaskEpochs<TaskEpoch>) -> Self {
        let oldest = epochs.oldest();
        Self {
            open: epochs.open(),
            in_flight: epochs.in_flight() as u64,
            stage: match oldest.map(|(_, stage, _)| stage) {
                None => "open",
                Some(EpochStage::Sealed) => "sealed",
                Some(EpochStage::Publishing) => "publishing",
                Some(EpochStage::Published) => "merging",
            },
            since_ms: oldest.map(|(.., epoch)| epoch.sealed_ms),
        }
    }
}

impl TaskSlot {
    /// What this task alone knows.
    fn status(&mut self, shared: &Shared, consumer: &Consumer) -> TaskStatus {
        let (report, now_ms) = (self.task.report(), now().millis());
        let topics = shared.task_topics.iter().map(String::as_str);
        let inputs: Vec<(&str, InputReport)> = topics.zip(self.task.inputs()).collect();
        let position: i64 = inputs.iter().map(|(_, input)| input.next_offset).sum();
        let ends = inputs
            .iter()
            .map(|(topic, input)| consumer.end_offset(topic, self.partition).unwrap_or(input.next_offset));
        let end: i64 = ends.sum();
        let replay = inputs.iter().any(|(_, input)| input.replay_until.is_some()).then(|| {
            let from = self.starts.iter().map(|start| start.replay.offset).sum();
            ReplayStatus { from, at: position, to: position + report.replay_left, left: report.replay_left }
        });
        let state = match (&replay, report.idle) {
            (Some(_), _) => "replaying",
            (None, true) => "idle",
            (None, false) => "running",
        };
        if self.state.0 != state {
            self.state = (state, now_ms);
        }
        // An idle input holds nothing back while another is not idle.
        let least = inputs.iter().min_by_key(|(_, input)| (input.idle_since.is_some(), input.watermark));
        let caught_up = (0..inputs.len()).all(|at| self.is_caught_up(at));
        let since = inputs.iter().map(|(_, input)| input.idle_since).collect::<Option<Vec<_>>>();
        TaskStatus {
            partition: self.partition,
            state: state.to_owned(),
            since_ms: self.state.1,
            position,
            end,
            lag: (end - position).max(0),
            watermark_ms: report.watermark.map(Timestamp::millis),
            open_windows: report.open_windows as u64,
            users: report.users as u64,
            clicks: report.clicks as u64,
            dedup_ids: report.dedup_ids as u64,
            state_bytes: report.state_bytes as u64,
            replay_left: report.replay_left,
            replay,
            records_per_s: self.pace.per_second(Instant::now(), position),
            caught_up,
            active_ms: least.map_or(now_ms, |(_, input)| input.active_at.millis()),
            idle_since_ms: since.and_then(|all| all.into_iter().max()).map(Timestamp::millis),
            holder: (inputs.len() > 1).then(|| least.map(|(topic, _)| (*topic).to_owned())).flatten(),
            late: self.task.totals().late,
            jumps: report.jumps as u64,
            jumps_forgotten: report.jumps_forgotten,
            ..TaskStatus::default()
        }
    }
}

fn add_difference(sum: &mut TaskTotals, now: &TaskTotals, before: &TaskTotals) {
    sum.consumed += now.consumed - before.consumed;
    sum.counted += now.counted - before.counted;
    sum.duplicates += now.duplicates - before.duplicates;
    sum.late += now.late - before.late;
    sum.rejected += now.rejected - before.rejected;
    sum.behind_watermark += now.behind_watermark - before.behind_watermark;
    sum.repeated_checkouts += now.repeated_checkouts - before.repeated_checkouts;
    sum.clicks_dropped += now.clicks_dropped - before.clicks_dropped;
    sum.beyond.add_difference(&now.beyond, &before.beyond);
    for (sum, (now, before)) in
        sum.rejected_by_reason.iter_mut().zip(now.rejected_by_reason.iter().zip(&before.rejected_by_reason))
    {
        *sum += now - before;
    }
}
