//! What a task sends to the merges, and when.

use events::Timestamp;

use super::Task;
use super::input::Input;
use super::interface::{PartialRecord, TaskIdentity, TaskOutputs};
use super::state::State;
use crate::analytics::Partial;
use crate::clock::NOT_BEGUN;
use crate::point::Resolution;
use crate::wire::{Body, Message, Position, Progress, encode_partial, merge_partition};

/// The last time live values were due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emission {
    /// Wall clock.
    pub(super) at: i64,
    /// The task's.
    pub(super) watermark: i64,
    /// Whether a whole window's time had gone by since the time before: twice in a row is no single gap in the stream.
    pub(super) outrun: bool,
}

impl Emission {
    pub(super) const NEVER: Self = Self { at: 0, watermark: NOT_BEGUN, outrun: false };
}

impl Task {
    /// Sends on the live values that are due, and how far the task is.
    ///
    /// Not while it catches up: where windows close faster than live values are sent, those are old when they arrive.
    pub fn emit(&mut self, now: Timestamp, out: &mut TaskOutputs) {
        if self.is_replaying() {
            return;
        }
        let now = now.micros();
        for (at, times) in [(0, 1), (1, 10), (2, 60)] {
            let (last, resolution) = (&mut self.emitted[at], Resolution::ALL[at]);
            // A clock that was set back must not stop the emission.
            let elapsed = now.wrapping_sub(last.at);
            if (0..self.options.emit_every * times).contains(&elapsed) {
                continue;
            }
            let watermark = self.state.watermark;
            let outrun = last.watermark.saturating_add(self.options.size_of(resolution)) <= watermark;
            let twice = outrun && last.outrun;
            *last = Emission { at: now, watermark, outrun };
            if !twice {
                self.emit_resolution(resolution, out);
            }
            if at == 0 {
                self.report_progress(out);
            }
        }
    }

    /// Sends on every live value and how far the task is, due or not, as nothing more will be read.
    pub fn emit_all(&mut self, out: &mut TaskOutputs) {
        if self.is_replaying() {
            return;
        }
        for resolution in Resolution::ALL {
            self.emit_resolution(resolution, out);
        }
        self.report_progress(out);
    }

    pub(super) fn speaker(&self) -> Speaker<'_> {
        Speaker { identity: &self.identity, part: self.inputs[0].part.key() }
    }

    pub(super) fn emit_resolution(&mut self, resolution: Resolution, out: &mut TaskOutputs) {
        let position = self.position();
        let Self { identity, state, complete_from, .. } = self;
        let identity = Speaker { identity, part: self.inputs[0].part.key() };
        let State { windows, tables, .. } = state;
        let send = |resolution, start, partial: Partial<'_>| {
            if start < *complete_from {
                return;
            }
            out.partials.push(identity.window(resolution, start, position, &encode_partial(&partial)));
        };
        match resolution {
            Resolution::Raw => windows.live_raw(tables, send),
            Resolution::Minute | Resolution::Hour => windows.live_rollups(resolution, tables, send),
        }
    }

    pub(super) fn report_progress(&mut self, out: &mut TaskOutputs) {
        let progress = Progress {
            tasks: self.identity.tasks,
            watermark: self.state.watermark,
            idle: self.inputs.iter().all(Input::is_idle),
            fresh: std::mem::take(&mut self.fresh),
        };
        let value = self.speaker().message(Body::Progress(progress), &[]);
        let to = |partition| PartialRecord { partition, value: value.clone() };
        out.partials.extend((0..self.identity.merge_partitions).map(to));
    }
}

/// Who says something, of which part of its log.
pub(super) struct Speaker<'a> {
    pub(super) identity: &'a TaskIdentity,
    pub(super) part: u64,
}

impl Speaker<'_> {
    pub(super) fn message(&self, body: Body, partial: &[u8]) -> Vec<u8> {
        let TaskIdentity { origin, partition: task, .. } = *self.identity;
        Message { part: self.part, origin, task, body }.encode(partial)
    }

    pub(super) fn window(
        &self,
        resolution: Resolution,
        start: i64,
        position: Position,
        partial: &[u8],
    ) -> PartialRecord {
        PartialRecord {
            partition: merge_partition(resolution, start, self.identity.merge_partitions),
            value: self.message(Body::Window { resolution, start, position }, partial),
        }
    }
}
