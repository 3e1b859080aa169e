//! Snapshots of the tasks' state: where they are kept, how they are written and found again.
//!
//! State is a function of the log, so a snapshot is a cache: without one, or with one that cannot be used, a task reads
//! again what its open state depends on, and comes to the same numbers. Nothing here can therefore stop the pipeline.
//! What is inside a snapshot is the core's; here it is bytes with a name.
//!
//! [`Store`] is one place, a folder or a bucket; every call of it has a bound in time. [`Snapshots`] is the running
//! service: a thread that writes what workers hand over, and the way back at an assignment.

mod find;
mod name;
mod s3;
mod service;
mod store;

pub use find::{Candidate, Found, Missing, Unusable, Wanted};
pub use name::{Shelf, SnapshotName};
pub use service::{Freeze, Snapshots, SnapshotsConfig};
pub use store::{OBJECT_BYTES_MAX, Store, StoreError, Stored, Tuning};
