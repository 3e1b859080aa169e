//! Tasks to and from their snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use processor_core::{Beginning, Checkpoint, Options, SnapshotError, Task, TaskIdentity};

use super::RunError;
use super::layout::Layout;
use super::shared::{Shared, now};
use crate::settings::Settings;
use crate::state::{Candidate, Found, Freeze, Snapshots, SnapshotsConfig, Store, Tuning, Unusable, Wanted};

/// A task that is about to begin.
pub(super) struct Plan {
    pub(super) identity: TaskIdentity,
    pub(super) starts: Vec<Checkpoint>,
    /// Where it begins if the state is not had without reading what compaction may have taken records from.
    pub(super) without_replay: Option<WithoutReplay>,
}

/// How a task of a compacted log begins that is not read again.
pub(super) struct WithoutReplay {
    pub(super) begun: Beginning,
    /// From where on each input is as it was written.
    pub(super) intact_from: Vec<i64>,
}

/// A task as of a snapshot.
pub(super) struct Restored {
    pub(super) task: Task,
}

/// The place for snapshots, if one is set; it need not be reachable yet.
pub(super) fn start(settings: &Settings, core: &Options) -> Result<Option<Snapshots>, RunError> {
    let Some(state) = &settings.state else {
        tracing::info!("no [state]: a restart reads again what open state depends on");
        return Ok(None);
    };
    let store = Store::open(state, Tuning::default())?;
    let group = &settings.kafka.group_id;
    let config = SnapshotsConfig::new(group, core.origin(group), state.interval, state.keep);
    Ok(Some(Snapshots::start(store, config)))
}

/// Looks for the snapshots of tasks; those without one have to read the log again. Bounded in time for all together.
pub(super) fn restore(
    shared: &Shared,
    layout: &Layout,
    plans: &BTreeMap<i32, Plan>,
) -> BTreeMap<i32, Restored> {
    let Some(snapshots) = &shared.snapshots else { return BTreeMap::new() };
    let wanted: Vec<Wanted> = plans
        .iter()
        .map(|(partition, plan)| Wanted {
            shelf: snapshots.shelf(*partition),
            committed: plan.starts.iter().map(|start| start.next_offset).collect(),
            replay_from: plan.starts.iter().map(|start| start.replay.offset).collect(),
        })
        .collect();
    let found = snapshots.restore(&wanted, &|wanted: &Wanted, candidate: &Candidate<'_>| {
        let Plan { identity, starts, .. } = &plans[&wanted.shelf.task];
        Task::restore(Arc::clone(&layout.core), *identity, candidate.bytes, starts, now())
            .map_err(|error| unusable(&error))
    });
    plans
        .keys()
        .zip(found)
        .filter_map(|(partition, found)| match found {
            Found::Restored { state, .. } => Some((*partition, Restored { task: state })),
            Found::Missing(_) => None,
        })
        .collect()
}

/// A task's state as it was at some offsets, to be written once these are committed.
pub(super) struct Frozen {
    pub(super) partition: i32,
    offsets: Vec<i64>,
    freeze: Freeze,
}

impl Frozen {
    /// Hands it to the writer.
    pub(super) fn submit(self, shared: &Shared) {
        if let Some(snapshots) = &shared.snapshots {
            snapshots.submit(self.partition, self.offsets, self.freeze);
        }
    }
}

/// Freezes a task's state where it is its turn, or where it `leaves` and something has changed.
pub(super) fn freeze(shared: &Shared, partition: i32, task: &mut Task, leaves: bool) -> Option<Frozen> {
    let snapshots = shared.snapshots.as_ref()?;
    let offsets: Vec<i64> = (0..shared.task_topics.len()).map(|input| task.next_offset(input)).collect();
    let is_wanted = match leaves {
        true => snapshots.wants_last(partition, &offsets),
        false => snapshots.wants(partition, &offsets),
    };
    let frozen = is_wanted.then(|| task.snapshot()).flatten()?;
    Some(Frozen { partition, offsets: frozen.offsets(), freeze: Box::new(move || frozen.encode()) })
}

fn unusable(error: &SnapshotError) -> Unusable {
    let text = error.to_string();
    match error {
        SnapshotError::Version { .. } => Unusable::OtherFormat(text),
        SnapshotError::OtherSettings => Unusable::OtherSettings(text),
        SnapshotError::TooOld { .. } => Unusable::TooOld(text),
        SnapshotError::WatermarkAhead { .. } => Unusable::Ahead(text),
        // Its name says that it is not ahead, so one of the two is not what was written.
        SnapshotError::Damaged | SnapshotError::AheadOfCommit { .. } => Unusable::Damaged(text),
    }
}
