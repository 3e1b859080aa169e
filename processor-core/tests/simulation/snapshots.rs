//! Snapshots: what is loaded and replayed is what was there, to the byte; what does not fit is refused.

use std::sync::Arc;

use events::Timestamp;
use processor_core::{
    Beyond, Checkpoint, Limits, Options, Record, SnapshotError, Task, TaskIdentity, TaskOutputs,
    snapshot_offsets,
};

use super::log::{Logged, logs};
use super::random::Random;
use super::seeds;

const IDENTITY: TaskIdentity = TaskIdentity { partition: 0, tasks: 1, merge_partitions: 1, origin: 7 };

/// Little of anything is kept, so that the order in which it comes and is forgotten shows.
fn options() -> Arc<Options> {
    let limits =
        Limits { users: 4, products: 3, event_ids: 40, checkout_ids: 4, clicks: 12, waiting_facts: 4 };
    let few = Options {
        urls_max: 18,
        routes_max: 12,
        campaigns_max: 1,
        currencies_max: 1,
        clicks_per_user_max: 5,
        limits,
        ..Options::default()
    };
    Arc::new(Options { template_routes: false, ..few })
}

struct Run<'a> {
    log: &'a [Logged],
    random: Random,
    task: Task,
    at: usize,
    now: i64,
    /// Up to here the silences are replayed, not lived through.
    replayed_until: usize,
}

impl<'a> Run<'a> {
    fn new(log: &'a [Logged], seed: u64) -> Self {
        let start = Checkpoint::beginning();
        let task =
            Task::new(options(), IDENTITY, &[start], Timestamp::from_micros(0)).expect("valid options");
        Self { log, random: Random::new(seed), task, at: 0, now: 0, replayed_until: 0 }
    }

    fn restored(log: &'a [Logged], seed: u64, bytes: &[u8], start: &Checkpoint) -> Self {
        let now = Timestamp::from_micros(0);
        let task = Task::restore(options(), IDENTITY, bytes, std::slice::from_ref(start), now);
        let task = task.expect("the snapshot fits");
        let at = task.read_from(0) as usize;
        Self { log, random: Random::new(seed), task, at, now: 0, replayed_until: start.next_offset as usize }
    }

    /// Reads on to `until`, in batches of any size, with emissions, ticks and commits in between.
    fn to(&mut self, until: usize) {
        let mut out = TaskOutputs::default();
        while self.at < until {
            self.now += self.random.below(3_000_000) as i64;
            self.silence(&mut out);
            let end = (self.at + 1 + self.random.below(50) as usize).min(until);
            let silence = |at: &usize| *at >= self.replayed_until && self.log[*at].silence_to.is_some();
            let end = (self.at + 1..end).find(silence).unwrap_or(end);
            let records = (self.at..end).map(|at| Record {
                offset: at as i64,
                timestamp_ms: self.log[at].timestamp_ms,
                key: None,
                value: Some(&self.log[at].value),
            });
            self.task.records(0, Timestamp::from_micros(self.now), records, &mut out);
            self.at = end;
            match self.random.below(4) {
                0 => self.task.emit(Timestamp::from_micros(self.now), &mut out),
                1 => drop(self.task.checkpoints()),
                2 => self.tick(false, None, &mut out),
                _ => {}
            }
        }
    }

    /// Lives through the silence before the next record, if there is one, in one step or several.
    fn silence(&mut self, out: &mut TaskOutputs) {
        let Some(to) = self.log[self.at].silence_to.filter(|_| self.at >= self.replayed_until) else {
            return;
        };
        while self.task.report().watermark.is_none_or(|watermark| watermark.micros() < to) {
            self.now += 2_000_000; // what is unread for so long is behind
            self.tick(false, None, out);
            self.now += 11_000_000;
            let earlier = self.random.below(3) as i64 * self.random.below(90_000_000) as i64;
            self.tick(true, Some(to - earlier), out);
        }
        self.task.emit(Timestamp::from_micros(self.now), out);
    }

    fn tick(&mut self, caught_up: bool, frontier: Option<i64>, out: &mut TaskOutputs) {
        let frontier = frontier.map(Timestamp::from_micros);
        self.task.tick(Timestamp::from_micros(self.now), &[caught_up], frontier, out);
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.task.snapshot().expect("nothing is replayed").encode()
    }

    fn checkpoint(&mut self) -> Checkpoint {
        let checkpoint = &self.task.checkpoints()[0];
        Checkpoint::parse(checkpoint.next_offset, &checkpoint.metadata())
    }
}

/// What differed once: windows that a silence alone had come to, and the part of a second that one had come to.
const ONCE_DIFFERENT: [u64; 5] = [2_538, 4_614, 396, 27_158, 4_179];

#[test]
fn loading_and_replaying_gives_the_same_bytes_as_reading_on() {
    let mut compared = 0;
    let mut beyond = Beyond::default();
    for seed in seeds().chain(ONCE_DIFFERENT) {
        let mut random = Random::new(seed);
        let log = &logs(&mut random)[0];
        if log.len() < 3 {
            continue;
        }
        let b = 1 + random.below(log.len() as u64) as usize;
        let a = random.below(b as u64) as usize;
        let mut run = Run::new(log, seed + 1);
        run.to(a);
        if random.chance(30) {
            run.silence(&mut TaskOutputs::default());
        }
        let at_a = run.bytes();
        assert_eq!(snapshot_offsets(&at_a), Ok(vec![a as i64]));
        run.to(b);
        let at_b = run.bytes();
        let committed = run.checkpoint();

        let mut other = Run::new(log, seed + 2);
        other.to(b);
        assert_eq!(other.bytes(), at_b, "seed {seed}: other batches and ticks, other bytes");

        match read_with(&at_a, (*options()).clone(), &committed) {
            // The second: it was made in a silence that decided nothing, so the commit does not know of it.
            Err(SnapshotError::TooOld { .. } | SnapshotError::WatermarkAhead { .. }) => continue,
            restored => restored.expect("the snapshot fits"),
        }
        let mut restored = Run::restored(log, seed + 3, &at_a, &committed);
        restored.to(b);
        restored.tick(true, None, &mut TaskOutputs::default()); // ends the replay, should its end be gone
        assert_eq!(restored.bytes(), at_b, "seed {seed}: restored at {a}, replayed to {b}");
        assert_eq!(restored.checkpoint(), committed, "seed {seed}: restored at {a}, replayed to {b}");

        // And from there on.
        run.to(log.len());
        restored.to(log.len());
        beyond.add_difference(&run.task.totals().beyond, &Beyond::default());
        assert_eq!(restored.bytes(), run.bytes(), "seed {seed}: restored at {a}, read on from {b}");
        compared += 1;
    }
    assert!(compared > 0, "every snapshot was too old");
    let reached = beyond.by_limit().iter().filter(|(_, events)| *events > 0).count();
    // The series of a route have more room than these logs have statuses.
    assert!(reached == beyond.by_limit().len() - 1 || seeds().count() < 100, "{beyond:?}");
}

#[test]
fn whatever_is_wrong_with_a_snapshot_has_its_own_error() {
    let mut random = Random::new(5);
    let logs = logs(&mut random);
    let log = logs.iter().max_by_key(|log| log.len()).expect("there is a log");
    let mut run = Run::new(log, 1);
    run.to(log.len() / 2);
    let good = run.bytes();
    let start = run.checkpoint();
    let restore = |bytes: &[u8], options: Arc<Options>, identity: TaskIdentity, start: &Checkpoint| {
        Task::restore(options, identity, bytes, std::slice::from_ref(start), Timestamp::from_micros(0))
            .map(drop)
    };
    let read = |bytes: &[u8]| restore(bytes, options(), IDENTITY, &start);
    assert_eq!(read(&good), Ok(()));

    for length in 0..good.len() {
        assert_eq!(read(&good[..length]), Err(SnapshotError::Damaged), "cut off at {length}");
    }
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 + random.below(255) as u8;
        let expected = match at {
            4 | 5 => SnapshotError::Version { found: u16::from_le_bytes([bytes[4], bytes[5]]) },
            _ => SnapshotError::Damaged,
        };
        assert_eq!(read(&bytes), Err(expected.clone()), "byte {at} changed");
        assert_eq!(snapshot_offsets(&bytes), Err(expected), "byte {at} changed");
    }
    for changed in [
        Options { allowed_lateness: 0, ..(*options()).clone() },
        Options { urls_max: 19, ..(*options()).clone() },
        Options { limits: Limits::default(), ..(*options()).clone() },
        Options { template_routes: true, ..(*options()).clone() },
    ] {
        assert_eq!(read_with(&good, changed, &start), Err(SnapshotError::OtherSettings));
    }
    let same_meaning = Options { emit_every: 7_000_000, idle_after: 0, ..(*options()).clone() };
    assert_eq!(read_with(&good, same_meaning, &start), Ok(()));
    let other = TaskIdentity { partition: 1, ..IDENTITY };
    assert_eq!(restore(&good, options(), other, &start), Err(SnapshotError::OtherSettings));

    let again = Checkpoint { whole_from: 1_755_720_000_000_000, ..start.clone() };
    assert_eq!(
        restore(&good, options(), IDENTITY, &again),
        Err(SnapshotError::OtherSettings),
        "of an offset set"
    );

    let next = start.next_offset;
    let earlier = Checkpoint { next_offset: next - 1, ..Checkpoint::beginning() };
    let expected = SnapshotError::AheadOfCommit { input: 0, snapshot: next, committed: next - 1 };
    assert_eq!(restore(&good, options(), IDENTITY, &earlier), Err(expected));
    let later = Checkpoint::parse(next + 9, &format!("task2 wm=0 from={} from_wm=0", next + 1));
    let expected = SnapshotError::TooOld { input: 0, snapshot: next, replay: next + 1 };
    assert_eq!(restore(&good, options(), IDENTITY, &later), Err(expected));
}

#[test]
fn a_task_that_replays_has_no_snapshot() {
    let logs = logs(&mut Random::new(5));
    let log = logs.iter().max_by_key(|log| log.len()).expect("there is a log");
    let mut run = Run::new(log, 1);
    run.to(log.len() / 2);
    let start = run.checkpoint();
    let now = Timestamp::from_micros(0);
    let mut replaying = Task::new(options(), IDENTITY, &[start], now).expect("valid options");
    assert!(replaying.snapshot().is_none());
}

fn read_with(bytes: &[u8], options: Options, start: &Checkpoint) -> Result<(), SnapshotError> {
    let now = Timestamp::from_micros(0);
    Task::restore(Arc::new(options), IDENTITY, bytes, std::slice::from_ref(start), now).map(drop)
}

#[test]
fn a_snapshot_in_which_the_wall_clock_is_further_than_in_the_commit_is_refused() {
    let logs = logs(&mut Random::new(5));
    let log = logs.iter().max_by_key(|log| log.len()).expect("there is a log");
    let mut run = Run::new(log, 1);
    run.to(log.len() / 2);
    let committed = run.checkpoint();
    let until = committed.watermark + 300_000_000;
    run.tick(false, None, &mut TaskOutputs::default());
    run.now += 11_000_000;
    // Windows close by this, and nobody commits that they did.
    run.tick(true, Some(until), &mut TaskOutputs::default());
    let refused = read_with(&run.bytes(), (*options()).clone(), &committed);
    assert_eq!(refused, Err(SnapshotError::WatermarkAhead { input: 0 }));
    assert_eq!(read_with(&run.bytes(), (*options()).clone(), &run.checkpoint()), Ok(()));
}
