//! What a task says of itself.

use events::Timestamp;

use super::interface::{Beyond, InputReport, NoteTotals, TaskReport, TaskTotals};
use super::state::State;
use super::{Input, Task};
use crate::clock::NOT_BEGUN;
use crate::reorder::KeyedEvent;

impl Task {
    /// Totals since the start.
    #[must_use]
    pub fn totals(&self) -> TaskTotals {
        let State { tables, checkouts, .. } = &self.state;
        let event_ids = self.inputs.iter().map(Input::ids_forgotten).sum();
        let (checkout_ids, clicks) = (checkouts.forgotten(), tables.clicks.dropped());
        // What is decided beside the tables is counted in the totals already.
        let Beyond { products, early_facts, .. } = self.totals.beyond;
        let beyond = Beyond { event_ids, checkout_ids, clicks, products, early_facts, ..tables.beyond };
        TaskTotals { beyond, ..self.totals }
    }

    /// What there was to be said of counted events since the start.
    #[must_use]
    pub fn noted(&self) -> &NoteTotals {
        &self.state.noted
    }

    /// The next offset of an input.
    #[must_use]
    pub fn next_offset(&self, input: usize) -> i64 {
        self.inputs[input].next_offset
    }

    /// Size and position.
    #[must_use]
    pub fn report(&self) -> TaskReport {
        let State { watermark, windows, reorder, checkouts, tables, noted: _ } = &self.state;
        let left = |input: &Input| (input.replay_until.saturating_sub(input.next_offset)).max(0);
        TaskReport {
            watermark: (*watermark != NOT_BEGUN).then(|| Timestamp::from_micros(*watermark)),
            idle: self.inputs.iter().all(Input::is_idle),
            replay_left: self.inputs.iter().map(left).sum(),
            open_windows: windows.len(),
            users: tables.users.len(),
            routes: tables.routes.len(),
            clicks: tables.clicks.len(),
            dedup_ids: self.inputs.iter().map(|input| input.dedup_size().0).sum(),
            reordering: reorder.len(),
            jumps: self.inputs.iter().map(|input| input.clock.jumps.len()).sum(),
            jumps_forgotten: self.inputs.iter().map(|input| input.clock.jumps.forgotten()).sum(),
            withheld: self.withheld,
            state_bytes: windows.bytes()
                + tables.bytes()
                + self.inputs.iter().map(|input| input.dedup_size().1).sum::<usize>()
                + checkouts.bytes()
                + reorder.len() * size_of::<KeyedEvent>(),
        }
    }

    /// Each input's part in it, in the order of `options.inputs`.
    pub fn inputs(&self) -> impl Iterator<Item = InputReport> {
        self.inputs.iter().map(|input| InputReport {
            watermark: (input.clock.watermark != NOT_BEGUN)
                .then(|| Timestamp::from_micros(input.clock.watermark)),
            active_at: Timestamp::from_micros(input.clock.last_counted()),
            idle_since: input.clock.idle_since().map(Timestamp::from_micros),
            next_offset: input.next_offset,
            replay_until: (input.replay_until != i64::MIN).then_some(input.replay_until),
        })
    }
}
