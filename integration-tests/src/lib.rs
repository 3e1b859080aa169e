//! The harness of the tests on real services: it starts Kafka and InfluxDB natively, and the programs under test.
//!
//! [`Kafka`] and [`Influx`] are servers in temporary folders on free ports of 127.0.0.1, ready when they are returned and
//! gone when they are dropped; each can be stopped, killed and started again on the same port. [`Processor`] and
//! [`Producer`] run the real binaries. What a server or program logged is printed when its test fails.
//!
//! `run.sh` installs what is missing, builds the binaries and runs the tests. To use servers that run already, set
//! `CLICKPULSE_TEST_KAFKA` (brokers) and `CLICKPULSE_TEST_INFLUX` (URL) with `CLICKPULSE_TEST_INFLUX_TOKEN` (may create
//! buckets) and `CLICKPULSE_TEST_INFLUX_ORG`; tests that have to stop a server still start their own.
//!
//! What is in InfluxDB is read back through `influxdb2`, a client that is not ours; InfluxQL, in which the dashboards ask, is
//! beyond it.
//!
//! Nothing here sleeps to let something happen: [`eventually`] asks until it has happened, or fails with what it saw.

mod browser;
mod http;
mod influx;
mod kafka;
mod naive;
mod names;
mod numbers;
mod operator;
mod process;
mod programs;
mod proxy;
mod s3;
mod secure;
mod send;
mod stripping_proxy;
mod verdict;
mod wait;
mod wire;

pub use browser::Browser;
pub use http::{Reply, get};
pub use influx::{Buckets, Influx, Point, Row, Series, Token};
pub use kafka::{Kafka, Record};
pub use naive::{Checkout, Counted, Naive};
pub use names::{Names, free_port};
pub use numbers::Numbers;
pub use process::{Running, cache_dir};
pub use programs::{Processor, ProcessorConfig, Producer, program};
pub use proxy::{Fault, Proxy};
pub use s3::S3;
pub use secure::{Authority, SecureKafka, USER};
pub use send::Send;
pub use stripping_proxy::StrippingProxy;
pub use verdict::Verdict;
pub use wait::{eventually, eventually_within};
