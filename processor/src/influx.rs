//! InfluxDB 2.x: points to line protocol, requests, and what to do with each answer.
//!
//! [`InfluxSink`] is what the runtime uses; [`Client`] alone serves `processor check` and reading back.

pub use self::check::{CheckLine, check};
pub(crate) use self::client::is_loopback;
pub use self::client::{Client, Health, QueryError, Series, database_of};
pub use self::config::{
    Bucket, CONNECT_TIMEOUT, ConfigError, InfluxConfig, REQUEST_BYTES_MAX, REQUEST_LINES_MAX,
    REQUEST_TIMEOUT, SERVER_WRITE_TIME, TimeLeft, Tuning,
};
pub use self::line::{EMPTY_TAG, EncodeError, Precision, WIDE_BACKSLASH, encode};
pub use self::outcome::WriteOutcome;
pub use self::problem::Problem;
pub use self::writer::{DeadLine, InfluxSink, OnDeadLine, QUEUE_BYTES_MAX, Remaining};

mod check;
mod client;
mod config;
mod isolate;
mod latency;
mod line;
mod outcome;
mod problem;
mod queue;
pub mod retry;
mod writer;
