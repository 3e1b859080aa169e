//! The running service: snapshots out on a thread of their own, and in at an assignment.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::find::{Candidate, Finding, Found, Missing, Unusable, Wanted, find};
use super::name::Shelf;
use super::store::Store;
use crate::status::{SnapshotStatus, TaskSnapshotStatus};

mod writer;

/// Snapshots that may wait for the writer, each of another task: what they hold is memory. A task that finds no place
/// keeps its turn.
const WAITING_MAX: usize = 8;
/// Snapshots read at once at an assignment: reading is waiting, and decoding takes a core each.
const LOADS_MAX: usize = 4;
/// How long an assignment waits for its snapshots, all together. It ends far within `max.poll.interval.ms`, and what is
/// not there by then is read from the log.
pub(super) const LOAD_DEADLINE: Duration = Duration::from_secs(20);

/// Makes the bytes of a frozen state; called on the writer's thread.
pub type Freeze = Box<dyn FnOnce() -> Vec<u8> + Send>;

/// Whose snapshots, how often, how many.
#[derive(Debug, Clone)]
pub struct SnapshotsConfig {
    /// The consumer group.
    pub group: String,
    /// As in [`Shelf`].
    pub origin: u64,
    /// Time between two of a task.
    pub interval: Duration,
    /// How many are kept per task.
    pub keep: usize,
    /// How long an assignment waits for all its snapshots.
    pub load_deadline: Duration,
}

impl SnapshotsConfig {
    /// With the usual deadline.
    #[must_use]
    pub fn new(group: &str, origin: u64, interval: Duration, keep: usize) -> Self {
        Self { group: group.to_owned(), origin, interval, keep, load_deadline: LOAD_DEADLINE }
    }
}

/// Takes snapshots from workers, and gives them back.
pub struct Snapshots {
    core: Arc<Core>,
}

/// What the writer shares with the rest.
struct Core {
    store: Store,
    config: SnapshotsConfig,
    state: Mutex<State>,
    /// Something is waiting, or an end is asked for.
    work: Condvar,
    /// Nothing is waiting or under way any more.
    idle: Condvar,
}

#[derive(Default)]
struct State {
    tasks: BTreeMap<i32, Owned>,
    waiting: VecDeque<Job>,
    writing: Option<i32>,
    is_stopped: bool,
    status: SnapshotStatus,
}

/// A task of this instance.
struct Owned {
    due: Instant,
    last: Option<Last>,
    /// Snapshots past this commit may still be there and have to go first.
    sweep_ahead_of: Option<Vec<i64>>,
}

/// The newest snapshot of a task that is known to be there.
struct Last {
    offsets: Vec<i64>,
    /// When the state was as it holds it, the last time.
    current_at: Instant,
    bytes: u64,
    took: Duration,
}

struct Job {
    shelf: Shelf,
    offsets: Vec<i64>,
    frozen_at: Instant,
    freeze: Freeze,
}

impl Snapshots {
    /// Starts the writer.
    #[must_use]
    pub fn start(store: Store, config: SnapshotsConfig) -> Self {
        let status = SnapshotStatus {
            target: store.target().to_owned(),
            interval_ms: i64::try_from(config.interval.as_millis()).unwrap_or(i64::MAX),
            healthy: true,
            ..SnapshotStatus::default()
        };
        let core = Arc::new(Core {
            store,
            config,
            state: Mutex::new(State { status, ..State::default() }),
            work: Condvar::new(),
            idle: Condvar::new(),
        });
        let writer = Arc::clone(&core);
        thread::Builder::new()
            .name("snapshots".to_owned())
            .spawn(move || writer.run())
            .expect("the operating system grants a thread at start");
        Self { core }
    }

    /// Where a task's snapshots are.
    #[must_use]
    pub fn shelf(&self, task: i32) -> Shelf {
        Shelf { group: self.core.config.group.clone(), origin: self.core.config.origin, task }
    }

    /// Looks for the snapshots of newly assigned tasks, several at once, within the deadline; in the order asked for.
    /// `restore` reads a candidate's content.
    pub fn restore<T: Send>(
        &self,
        wanted: &[Wanted],
        restore: &(dyn Fn(&Wanted, &Candidate<'_>) -> Result<T, Unusable> + Sync),
    ) -> Vec<Found<T>> {
        let deadline = Instant::now() + self.core.config.load_deadline;
        let next = Mutex::new(wanted.iter().enumerate());
        let findings = Mutex::new(Vec::with_capacity(wanted.len()));
        thread::scope(|scope| {
            for _ in 0..wanted.len().min(LOADS_MAX) {
                scope.spawn(|| {
                    while let Some((at, wanted)) = { lock(&next).next() } {
                        let finding = find(&self.core.store, wanted, deadline, restore);
                        lock(&findings).push((at, finding));
                    }
                });
            }
        });
        let mut findings = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        findings.sort_unstable_by_key(|(at, _)| *at);
        wanted.iter().zip(findings).map(|(wanted, (_, finding))| self.note(wanted, finding)).collect()
    }

    /// Notes what was found, says it, and begins the task's turns.
    fn note<T>(&self, wanted: &Wanted, Finding { found, unusable, is_swept }: Finding<T>) -> Found<T> {
        let task = wanted.shelf.task;
        let mut state = self.core.lock();
        for reason in unusable {
            *state.status.unusable.entry(reason.to_owned()).or_default() += 1;
        }
        let mut last = None;
        match &found {
            Found::Restored { name, bytes, written, took, .. } => {
                state.status.restored += 1;
                let behind: i64 =
                    wanted.committed.iter().zip(&name.offsets).map(|(committed, at)| committed - at).sum();
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(partition = task, snapshot = %name, bytes, took_ms, behind, "state restored from a snapshot");
                let age = SystemTime::now().duration_since(*written).unwrap_or_default();
                let now = Instant::now();
                let current_at = now.checked_sub(age).unwrap_or(now);
                last = Some(Last { offsets: name.offsets.clone(), current_at, bytes: *bytes, took: *took });
            }
            Found::Missing(Missing::Store(error)) => {
                state.status.restores_failed += 1;
                state.status.problem = Some(error.to_string());
                tracing::warn!(partition = task, %error, "no snapshot could be read; the log is read again instead");
            }
            Found::Missing(Missing::NoneFits) => {
                tracing::warn!(partition = task, "no snapshot fits; the log is read again instead");
            }
            Found::Missing(Missing::NoneStored) if wanted.committed.iter().all(|offset| *offset == 0) => {}
            Found::Missing(Missing::NoneStored) => {
                tracing::info!(partition = task, "no snapshot yet; the log is read again instead");
            }
        }
        let sweep_ahead_of = (!is_swept).then(|| wanted.committed.clone());
        let due = Instant::now() + stagger(task, self.core.config.interval);
        state.tasks.insert(task, Owned { due, last, sweep_ahead_of });
        found
    }

    /// Whether a snapshot of this task at these offsets would be taken now: it is due, none of it is under way, and
    /// something has changed. Freezing costs the worker time, so it asks first.
    #[must_use]
    pub fn wants(&self, task: i32, offsets: &[i64]) -> bool {
        let now = Instant::now();
        let mut state = self.core.lock();
        let is_full = state.waiting.len() >= WAITING_MAX;
        let is_under_way =
            state.writing == Some(task) || state.waiting.iter().any(|job| job.shelf.task == task);
        let Some(owned) = state.tasks.get_mut(&task) else { return false };
        if now < owned.due || is_full || is_under_way {
            return false;
        }
        match &mut owned.last {
            Some(last) if last.offsets == offsets => {
                last.current_at = now;
                owned.due = now + self.core.config.interval;
                false
            }
            _ => true,
        }
    }

    /// As [`Snapshots::wants`] for the last snapshot of a task that is about to leave: whether it is due does not matter.
    #[must_use]
    pub fn wants_last(&self, task: i32, offsets: &[i64]) -> bool {
        let state = self.core.lock();
        let last = state.tasks.get(&task).map(|owned| owned.last.as_ref());
        last.is_some_and(|last| last.is_none_or(|last| last.offsets != offsets))
    }

    /// Hands over a frozen state. One that still waits for the writer gives way to it.
    pub fn submit(&self, task: i32, offsets: Vec<i64>, freeze: Freeze) {
        let shelf = self.shelf(task);
        let frozen_at = Instant::now();
        let mut state = self.core.lock();
        if let Some(owned) = state.tasks.get_mut(&task) {
            owned.due = frozen_at + self.core.config.interval;
        }
        let job = Job { shelf, offsets, frozen_at, freeze };
        match state.waiting.iter_mut().find(|waiting| waiting.shelf.task == task) {
            Some(waiting) => {
                *waiting = job;
                state.status.replaced += 1;
            }
            None => state.waiting.push_back(job),
        }
        drop(state);
        self.core.work.notify_one();
    }

    /// Forgets tasks that have left; what they handed over is still written.
    pub fn forget(&self, tasks: &[i32]) {
        self.core.lock().tasks.retain(|task, _| !tasks.contains(task));
    }

    /// What the page and the metrics show.
    #[must_use]
    pub fn status(&self) -> SnapshotStatus {
        let state = self.core.lock();
        let mut status = state.status.clone();
        status.waiting = state.left() as u64;
        status.tasks = state.tasks.iter().map(|(partition, owned)| owned.status(*partition)).collect();
        status
    }

    /// Waits until everything handed over is written or given up, for `patience` at most; whether it is.
    #[must_use]
    pub fn settle(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut state = self.core.lock();
        loop {
            let time = deadline.saturating_duration_since(Instant::now());
            if state.left() == 0 || time.is_zero() {
                return state.left() == 0;
            }
            state = self.core.idle.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// As [`Snapshots::settle`], and then ends the writer; gives how many snapshots are left unwritten.
    pub fn finish(&self, patience: Duration) -> usize {
        let _ = self.settle(patience);
        let mut state = self.core.lock();
        let left = state.left();
        state.is_stopped = true;
        state.waiting.clear();
        self.core.work.notify_one();
        left
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("store", &self.core.store).finish_non_exhaustive()
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Snapshots waiting or under way.
    fn left(&self) -> usize {
        self.waiting.len() + usize::from(self.writing.is_some())
    }
}

impl Owned {
    fn status(&self, partition: i32) -> TaskSnapshotStatus {
        let last = self.last.as_ref();
        TaskSnapshotStatus {
            partition,
            age_ms: last.map(|last| i64::try_from(last.current_at.elapsed().as_millis()).unwrap_or(i64::MAX)),
            bytes: last.map_or(0, |last| last.bytes),
            seconds: last.map_or(0.0, |last| last.took.as_secs_f64()),
        }
    }
}

/// Spreads the turns of tasks over an interval: by the golden ratio, neighbours are far apart however many there are.
fn stagger(task: i32, interval: Duration) -> Duration {
    let golden = (f64::from(task) * 0.618_033_988_749_895).fract().abs();
    interval.mul_f64(golden)
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic aborts the process, so what a lock guards is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
