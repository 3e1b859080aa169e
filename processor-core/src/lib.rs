//! The engine and the analytics: event time in, numbers out. No IO, no clock, no randomness.
//!
//! [`Task`] is stage 1, one per partition number: it decodes records, counts them in event-time windows, decides
//! facts in event-time order, and hands out full values of its windows. [`Merge`] is stage 2: it adds the tasks'
//! values of a window and hands out InfluxDB [`Point`]s. Both are state machines: what they are given decides what
//! they hand out, to the byte. The shell performs it and commits their checkpoints once it is durable.
//!
//! Left out on purpose: Kafka, InfluxDB, threads, retries, and every question of when.

mod ahead;
mod analytics;
mod checkpoint;
mod chunks;
mod clock;
mod count_map;
mod dedup;
mod epochs;
mod fit;
mod hash;
mod headers;
mod interner;
mod jumps;
mod kafka_time;
mod merge;
mod near;
mod options;
mod parts;
mod planted;
pub mod point;
mod rekey;
mod reorder;
mod route;
pub mod schema;
mod sketch;
mod snapshot;
mod tables;
mod task;
mod windows;
mod wire;

pub use checkpoint::{Checkpoint, MergeCheckpoint};
pub use clock::ReplayPoint;
pub use epochs::{Delivery, EpochId, EpochPayload, EpochStage, MergeEpochs, TaskEpochs, TaskStep};
pub use headers::Headers;
pub use jumps::Jump;
pub use merge::{Merge, MergeOutputs, MergeReport, MergeTask, OpenWindow};
pub use options::{InputOptions, Limits, Options, OptionsError, Rekeyed};
pub use parts::{Beginning, FoundInput, Notice, Part, begin, begin_relay};
#[cfg(feature = "planted-bugs")]
pub use planted::{PlantedBug, plant};
pub use point::{FieldValue, Point, Resolution};
pub use rekey::{ByUserRecord, Relay, RelayError, RelayOutputs, RelayProgress};
pub use sketch::Sketch;
pub use snapshot::{SnapshotError, TaskSnapshot, snapshot_offsets};
pub use task::{
    Beyond, Cut, DeadLetter, InputReport, LateRecord, NoteTotals, OutputsLen, PartialRecord, Record, Task,
    TaskIdentity, TaskOutputs, TaskReport, TaskTotals,
};
pub use wire::{Freshness, WireError};
