//! Bugs planted in the core on purpose, for the simulation to notice. Without the feature `planted-bugs` there are none.

/// A single wrong turn of the core.
#[cfg_attr(
    not(feature = "planted-bugs"),
    expect(unreachable_pub, reason = "exported with the feature alone")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedBug {
    /// A merge adds a partial to the one it holds instead of replacing it.
    DoubledPartial,
    /// A merge replaces a partial by one of an earlier position.
    OlderPartialWins,
    /// A merge takes partials of windows that were closed before.
    ClosedWindowOpens,
    /// After a replay, or from a snapshot, a task has forgotten which ids it had counted.
    DedupLost,
    /// A task decides facts in the order of arrival.
    FactsUnordered,
    /// At the same instant, facts are decided in the order of their logs.
    TiesByArrival,
    /// Records that do not count keep an input from being idle.
    AwakeByAnything,
    /// Another line of an order is taken for a repeat of its first.
    LineTakenForRepeat,
    /// Events without a user count as a user's.
    NobodyIsAUser,
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<PlantedBug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug, or none, in everything that runs on this thread.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<PlantedBug>) {
    PLANTED.set(bug);
}

#[cfg(feature = "planted-bugs")]
pub(crate) fn is_planted(bug: PlantedBug) -> bool {
    PLANTED.get() == Some(bug)
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is_planted(_: PlantedBug) -> bool {
    false
}
