//! The shell around `processor-core`: Kafka in, InfluxDB out, status page and metrics.

pub mod files;
pub mod influx;
pub mod live;
pub mod metrics;
pub mod settings;
pub mod sink;
pub mod status;
pub mod web;
