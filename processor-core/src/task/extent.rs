//! From where on a task's windows are whole, and what they need, by the commits it starts from.

use crate::checkpoint::Checkpoint;
use crate::clock::NOT_BEGUN;
use crate::options::{HOUR, Options};

/// The task's watermark as committed: every commit says at least that, and the one of the input which held it back says
/// no more.
pub(super) fn settled(starts: &[Checkpoint]) -> i64 {
    let committed = starts.iter().filter(|start| start.next_offset > 0);
    committed.map(|start| start.watermark).min().unwrap_or(NOT_BEGUN)
}

/// What starts earlier is incomplete once the replay is over: its beginning was not seen, or was never to be had.
pub(super) fn complete_from(options: &Options, starts: &[Checkpoint]) -> i64 {
    let undecided = |start: &&Checkpoint| start.whole_from == i64::MAX;
    let rebuilt: Vec<Checkpoint> = starts.iter().filter(|start| !undecided(start)).cloned().collect();
    let decided = rebuilt.iter().map(|start| start.whole_from);
    let least = decided.fold(needed_from(options, settled(&rebuilt)), i64::max);
    if rebuilt.len() == starts.len() {
        return least;
    }
    // Until the first event of such an input decides it, the other inputs say how far this one may have been.
    let others = rebuilt.iter().map(|start| start.watermark).max().unwrap_or(NOT_BEGUN);
    if others == NOT_BEGUN { least } else { least.max(others.saturating_add(options.out_of_orderness)) }
}

/// No open state depends on an event earlier than this, with the task's watermark there.
pub(super) fn needed_from(options: &Options, watermark: i64) -> i64 {
    if watermark == NOT_BEGUN {
        return NOT_BEGUN;
    }
    let oldest_open = watermark - options.allowed_lateness - HOUR;
    let hour_start = oldest_open.div_euclid(HOUR) * HOUR;
    hour_start.min(watermark - options.lookback())
}
