//! Bugs planted on purpose, to show that the simulation bites.

#[cfg(feature = "planted-bugs")]
use processor_core::PlantedBug;

/// One of them; each is a single wrong turn of the simulated shell or of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Offsets are committed when an epoch is sealed, before its outputs are written.
    CommitBeforeWrite,
    /// The transaction has the outputs; the offsets follow in a commit of their own.
    OffsetsOutsideTransaction,
    /// A task begins at its committed offset, without what its state depends on.
    MissedReplay,
    /// A replay leaves out where the wall clock had moved the watermark.
    JumpNotReplayed,
    /// A task goes on with the watermark of its replay point.
    WatermarkBack,
    /// What a replay leads to is sent out again.
    ReplayNotSuppressed,
    /// Kafka takes offsets of members of an older generation, which a stalled process still believes to be in.
    ZombieNotFenced,
    /// Epochs sealed before a rebalance are published after it.
    RevokedEpochPublished,
    /// A merge commits before InfluxDB has its points.
    MergeCommitsBeforeAck,
    /// Points are kept and sent although their merge may have been lost.
    StalePointsKept,
    /// A task is restored from a snapshot past its commit.
    SnapshotAhead,
    /// The consumer of the partials reads what is not committed.
    ReadUncommitted,
    /// One of the core, see there.
    #[cfg(feature = "planted-bugs")]
    Core(PlantedBug),
}

/// Every bug, with the seeds within which it has to be caught: at least twice what it took, as a change of the
/// simulation shuffles them.
pub(crate) const PLANTED: &[(Bug, u64)] = &[
    (Bug::CommitBeforeWrite, 50),
    (Bug::OffsetsOutsideTransaction, 100),
    (Bug::MissedReplay, 50),
    (Bug::JumpNotReplayed, 100),
    (Bug::WatermarkBack, 50),
    (Bug::ReplayNotSuppressed, 50),
    (Bug::RevokedEpochPublished, 100),
    (Bug::MergeCommitsBeforeAck, 50),
    (Bug::ReadUncommitted, 50),
    (Bug::SnapshotAhead, 100),
    // These take longer to be noticed than a plain `cargo test` should.
    #[cfg(feature = "planted-bugs")]
    (Bug::ZombieNotFenced, 1_500),
    #[cfg(feature = "planted-bugs")]
    (Bug::StalePointsKept, 3_000),
    #[cfg(feature = "planted-bugs")]
    (Bug::Core(PlantedBug::DoubledPartial), 50),
    #[cfg(feature = "planted-bugs")]
    (Bug::Core(PlantedBug::OlderPartialWins), 1_000),
    #[cfg(feature = "planted-bugs")]
    (Bug::Core(PlantedBug::ClosedWindowOpens), 300),
    #[cfg(feature = "planted-bugs")]
    (Bug::Core(PlantedBug::DedupLost), 100),
    #[cfg(feature = "planted-bugs")]
    (Bug::Core(PlantedBug::FactsUnordered), 300),
    #[cfg(feature = "planted-bugs")]
    (Bug::Core(PlantedBug::TiesByArrival), 300),
    #[cfg(feature = "planted-bugs")]
    (Bug::Core(PlantedBug::AwakeByAnything), 300),
    #[cfg(feature = "planted-bugs")]
    (Bug::Core(PlantedBug::LineTakenForRepeat), 50),
    #[cfg(feature = "planted-bugs")]
    (Bug::Core(PlantedBug::NobodyIsAUser), 50),
];
