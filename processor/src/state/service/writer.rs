//! The writer's thread: encodes, writes, removes what is too many, and reports.

use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::super::find::sweep_ahead;
use super::super::name::SnapshotName;
use super::super::store::{StoreError, Stored};
use super::{Core, Job, Last};
use crate::influx::retry::{Backoff, FailureLog, random_seed};

/// Tries of one write while the store is away; the next interval brings a newer snapshot anyway.
const ATTEMPTS_MAX: usize = 3;
/// Longest wait between two of them.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);
/// Snapshots of other settings are kept for this long after their newest, so that going back finds them.
const OTHERS_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What a write came to.
struct Written {
    bytes: u64,
    took: Duration,
}

impl Core {
    /// Writes what is handed over until an end is asked for.
    pub(super) fn run(&self) {
        let mut backoff = Backoff::new(random_seed());
        let mut failures = FailureLog::default();
        while let Some((job, sweep_ahead_of)) = self.next() {
            let (task, offsets, frozen_at) = (job.shelf.task, job.offsets.clone(), job.frozen_at);
            let written = self.write(job, sweep_ahead_of.as_deref(), &mut backoff);
            let now = Instant::now();
            match &written {
                Ok(Written { bytes, took }) => {
                    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                    tracing::debug!(partition = task, ?offsets, bytes, took_ms, "snapshot written");
                    if let Some(lasted) = failures.recovered(now) {
                        let target = self.store.target();
                        tracing::info!(seconds = lasted.as_secs(), "snapshots are written again to {target}");
                    }
                }
                Err(error) => {
                    if let Some(times) = failures.failed(now) {
                        tracing::warn!(partition = task, times, %error, "a snapshot could not be written; processing goes on, and the next one is tried in its turn");
                    }
                }
            }
            self.note(task, offsets, frozen_at, written);
        }
    }

    /// The next to write, once there is one; `None` at the end.
    fn next(&self) -> Option<(Job, Option<Vec<i64>>)> {
        let mut state = self.lock();
        state.writing = None;
        loop {
            if state.is_stopped {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                let task = job.shelf.task;
                state.writing = Some(task);
                let sweep = state.tasks.get(&task).and_then(|owned| owned.sweep_ahead_of.clone());
                return Some((job, sweep));
            }
            self.idle.notify_all();
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn write(
        &self,
        job: Job,
        sweep_ahead_of: Option<&[i64]>,
        backoff: &mut Backoff,
    ) -> Result<Written, StoreError> {
        let Job { shelf, offsets, freeze, .. } = job;
        let began = Instant::now();
        // Before the state is encoded, which is the larger part of the work: there may be nowhere to put it.
        let mut stored = self.repeat(backoff, || self.store.list(&shelf, Duration::MAX))?;
        if let Some(committed) = sweep_ahead_of {
            if !sweep_ahead(&self.store, &shelf, &stored, committed) {
                let detail = "snapshots of records that were never committed could not be removed".to_owned();
                return Err(StoreError::Away { target: self.store.target().to_owned(), detail });
            }
            stored.retain(|of| of.name.origin != shelf.origin || of.name.is_not_past(committed));
            if let Some(owned) = self.lock().tasks.get_mut(&shelf.task) {
                owned.sweep_ahead_of = None;
            }
        }
        let encoded = freeze();
        let bytes = encoded.len() as u64;
        let encoded = bytes::Bytes::from(encoded);
        let name = shelf.name(&offsets);
        self.repeat(backoff, || self.store.put(&shelf, &name, encoded.clone()))?;
        let took = began.elapsed();
        for old in surplus(&name, &stored, self.config.keep) {
            if let Err(error) = self.store.delete(&shelf, old) {
                // The next write tries it again.
                tracing::debug!(partition = shelf.task, snapshot = %old, %error, "an old snapshot cannot be removed");
                break;
            }
        }
        let leftovers = self.store.sweep(&shelf);
        if leftovers > 0 {
            tracing::info!(partition = shelf.task, leftovers, "removed what interrupted writes had left");
        }
        Ok(Written { bytes, took })
    }

    /// Tries a few times while the store is away.
    fn repeat<T>(
        &self,
        backoff: &mut Backoff,
        mut call: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        backoff.reset();
        for _ in 1..ATTEMPTS_MAX {
            match call() {
                Err(error) if error.is_passing() && !self.lock().is_stopped => {
                    tracing::debug!(%error, "trying again");
                    thread::sleep(backoff.next_wait().min(RETRY_WAIT_MAX));
                }
                other => return other,
            }
        }
        call()
    }

    fn note(&self, task: i32, offsets: Vec<i64>, frozen_at: Instant, written: Result<Written, StoreError>) {
        let mut state = self.lock();
        match written {
            Ok(Written { bytes, took }) => {
                state.status.written += 1;
                state.status.bytes_written += bytes;
                state.status.healthy = true;
                state.status.problem = None;
                if let Some(owned) = state.tasks.get_mut(&task) {
                    owned.last = Some(Last { offsets, current_at: frozen_at, bytes, took });
                }
            }
            Err(error) => {
                state.status.failed += 1;
                state.status.healthy = false;
                state.status.problem = Some(error.to_string());
            }
        }
    }
}

/// What may go once `written` is there: all but the newest `keep` up to it; of other settings, all but theirs, and those
/// too after [`OTHERS_KEPT`].
fn surplus<'a>(written: &SnapshotName, stored: &'a [Stored], keep: usize) -> Vec<&'a SnapshotName> {
    let mut surplus = Vec::new();
    let is_older = |of: &&Stored| of.name != *written && of.name.is_not_past(&written.offsets);
    let own = stored.iter().filter(|of| of.name.origin == written.origin).filter(is_older);
    surplus.extend(own.skip(keep - 1).map(|of| &of.name));
    let mut origins: Vec<u64> =
        stored.iter().map(|of| of.name.origin).filter(|origin| *origin != written.origin).collect();
    origins.sort_unstable();
    origins.dedup();
    for origin in origins {
        let of_origin = || stored.iter().filter(move |of| of.name.origin == origin);
        let newest = of_origin().map(|of| of.written).max().unwrap_or(SystemTime::UNIX_EPOCH);
        let is_over = newest.elapsed().is_ok_and(|age| age > OTHERS_KEPT);
        surplus.extend(of_origin().skip(if is_over { 0 } else { keep }).map(|of| &of.name));
    }
    surplus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_so_are_those_of_other_settings_for_a_while() {
        let day = Duration::from_secs(24 * 3_600);
        let stored = |offset: i64, origin: u64, age: Duration| Stored {
            name: SnapshotName { offsets: vec![offset], origin },
            bytes: 1,
            written: SystemTime::now() - age,
        };
        let others = [stored(90, 2, day), stored(80, 2, day), stored(70, 2, day), stored(60, 3, 8 * day)];
        let own = [stored(50, 1, day), stored(40, 1, day), stored(30, 1, day), stored(20, 1, day)];
        let all: Vec<_> = others.into_iter().chain(own).collect();
        let written = SnapshotName { offsets: vec![45], origin: 1 };
        let names: Vec<_> =
            surplus(&written, &all, 2).iter().map(|name| (name.origin, name.offsets[0])).collect();
        // 50 is ahead of what was written, so it is another's to judge; 45 and 40 are the two that stay.
        assert_eq!(names, [(1, 30), (1, 20), (2, 70), (3, 60)]);
    }
}
