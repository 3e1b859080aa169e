//! The shell around `processor-core`: Kafka in, InfluxDB out, status page and metrics.

pub mod check;
pub mod cli;
pub mod exit;
pub mod explain;
pub mod files;
pub mod influx;
pub mod kafka;
pub mod live;
pub mod metrics;
pub mod runtime;
pub mod settings;
pub mod shutdown;
pub mod sink;
pub mod state;
pub mod status;
pub mod suggest;
pub mod telemetry;
pub mod verify;
pub mod web;
