//! From a commit to the newest snapshot that fits it.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::name::{Shelf, SnapshotName};
use super::store::{Store, StoreError, Stored};
use crate::influx::retry::{Backoff, random_seed};

/// Longest wait between two tries while a task waits for its state.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// What a task needs a snapshot for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where its snapshots are.
    pub shelf: Shelf,
    /// The committed next offset of each input; 0 where nothing was committed.
    pub committed: Vec<i64>,
    /// Where each input would be read from without a snapshot. One from before that is not used: it would make more to
    /// read, and what the wall clock decided that long ago is not known any more.
    pub replay_from: Vec<i64>,
}

/// A snapshot's content, on offer to whoever can read it.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// Its name.
    pub name: &'a SnapshotName,
    /// Its content.
    pub bytes: &'a [u8],
}

/// Why a snapshot's content is of no use; the text says more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// Not what was written: cut off, or bits changed. It is removed.
    Damaged(String),
    /// Written by another version. It is left for that version.
    OtherFormat(String),
    /// Its numbers mean something else. It is left, as the settings may come back.
    OtherSettings(String),
    /// From before what a replay would begin with.
    TooOld(String),
    /// Its records are committed, and what the wall clock had decided in it is not.
    Ahead(String),
}

/// What came of looking for a snapshot.
#[derive(Debug)]
pub enum Found<T> {
    /// The state as of `name`'s offsets.
    Restored {
        /// What the content was read to.
        state: T,
        /// Its name.
        name: SnapshotName,
        /// Its size.
        bytes: u64,
        /// When it was written.
        written: SystemTime,
        /// From the first question to the state.
        took: Duration,
    },
    /// The task has to read the log again.
    Missing(Missing),
}

/// Why there is none.
#[derive(Debug)]
pub enum Missing {
    /// There is none of this task.
    NoneStored,
    /// There are some, and none that fits; the reasons were counted one by one.
    NoneFits,
    /// The store was away until the time was up, or refused.
    Store(StoreError),
}

/// A finding, and why others than the one taken were not, in the words of the metric's label.
#[derive(Debug)]
pub(super) struct Finding<T> {
    pub(super) found: Found<T>,
    pub(super) unusable: Vec<&'static str>,
    /// Whether snapshots that lie ahead of the commit could still be there.
    pub(super) is_swept: bool,
}

impl Unusable {
    const fn reason(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "damaged",
            Self::OtherFormat(_) => "other_format",
            Self::OtherSettings(_) => "other_settings",
            Self::TooOld(_) => "too_old",
            Self::Ahead(_) => "ahead",
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Damaged(text)
            | Self::OtherFormat(text)
            | Self::OtherSettings(text)
            | Self::TooOld(text)
            | Self::Ahead(text) => text,
        }
    }
}

/// Looks for the newest snapshot that is not past the commit, until `deadline`.
///
/// Snapshots that lie ahead of the commit are removed on the way: what they hold was never committed, and if the topic
/// was made anew, or the group reset, they are of another course of events.
pub(super) fn find<T>(
    store: &Store,
    wanted: &Wanted,
    deadline: Instant,
    restore: &(dyn Fn(&Wanted, &Candidate<'_>) -> Result<T, Unusable> + Sync),
) -> Finding<T> {
    let began = Instant::now();
    let shelf = &wanted.shelf;
    let missing = |why, unusable, is_swept| Finding { found: Found::Missing(why), unusable, is_swept };
    if wanted.committed.iter().all(|offset| *offset == 0) {
        return missing(Missing::NoneStored, Vec::new(), false); // nothing to wait for
    }
    let stored = match retrying(deadline, |limit| store.list(shelf, limit)) {
        Ok(stored) => stored,
        Err(error) => return missing(Missing::Store(error), Vec::new(), false),
    };
    let is_swept = sweep_ahead(store, shelf, &stored, &wanted.committed);
    let mut unusable = Vec::new();
    let mut away = None;
    for Stored { name, bytes: size, written } in fitting(wanted, &stored, &mut unusable) {
        let bytes = match retrying(deadline, |limit| store.get(shelf, name, limit)) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(task = shelf.task, snapshot = %name, %error, "a snapshot cannot be read");
                unusable.push("unreadable");
                away = Some(error);
                continue;
            }
        };
        match restore(wanted, &Candidate { name, bytes: &bytes }) {
            Ok(state) => {
                let found = Found::Restored {
                    state,
                    name: name.clone(),
                    bytes: *size,
                    written: *written,
                    took: began.elapsed(),
                };
                return Finding { found, unusable, is_swept };
            }
            Err(reason) => {
                let (why, text) = (reason.reason(), reason.text());
                tracing::warn!(task = shelf.task, snapshot = %name, why, "a snapshot is of no use: {text}");
                unusable.push(why);
                if matches!(reason, Unusable::Damaged(_))
                    && let Err(error) = store.delete(shelf, name)
                {
                    tracing::warn!(task = shelf.task, snapshot = %name, %error, "and cannot be removed");
                }
            }
        }
    }
    let why = match away {
        Some(error) => Missing::Store(error),
        None if stored.is_empty() => Missing::NoneStored,
        None => Missing::NoneFits,
    };
    missing(why, unusable, is_swept)
}

/// The snapshots that are worth reading, the newest first.
fn fitting<'a>(wanted: &Wanted, stored: &'a [Stored], unusable: &mut Vec<&'static str>) -> Vec<&'a Stored> {
    let is_too_old =
        |name: &SnapshotName| name.offsets.iter().zip(&wanted.replay_from).any(|(at, from)| at < from);
    let mut fitting = Vec::new();
    for stored in stored {
        let name = &stored.name;
        if name.origin != wanted.shelf.origin {
            unusable.push("other_settings");
        } else if !name.is_not_past(&wanted.committed) {
            unusable.push("ahead");
        } else if is_too_old(name) {
            unusable.push("too_old");
        } else {
            fitting.push(stored);
        }
    }
    fitting
}

/// Removes snapshots of this origin that are past the commit; whether none is left.
pub(super) fn sweep_ahead(store: &Store, shelf: &Shelf, stored: &[Stored], committed: &[i64]) -> bool {
    let ahead = |of: &&Stored| of.name.origin == shelf.origin && !of.name.is_not_past(committed);
    let mut is_swept = true;
    for Stored { name, .. } in stored.iter().filter(ahead) {
        match store.delete(shelf, name) {
            Ok(()) => tracing::info!(
                task = shelf.task,
                snapshot = %name,
                ?committed,
                "removed a snapshot of records that were never committed"
            ),
            Err(error) => {
                tracing::warn!(task = shelf.task, snapshot = %name, %error, "a snapshot cannot be removed");
                is_swept = false;
                break; // each try takes its time while a task waits
            }
        }
    }
    is_swept
}

/// Calls again while the store is away and there is time.
fn retrying<T>(
    deadline: Instant,
    mut call: impl FnMut(Duration) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut backoff = Backoff::new(random_seed());
    loop {
        let error = match call(deadline.saturating_duration_since(Instant::now())) {
            Err(error) if error.is_passing() => error,
            other => return other,
        };
        let wait = backoff.next_wait().min(RETRY_WAIT_MAX);
        if Instant::now() + wait >= deadline {
            return Err(error);
        }
        thread::sleep(wait);
    }
}
