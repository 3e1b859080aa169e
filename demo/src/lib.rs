//! Everything in one process: shoppers, an embedded Kafka, the processor and a live page. No service is needed.
//!
//! [`Args`] are the flags, [`Args::plan`] turns them into a checked [`Plan`], [`run`] carries it out until it is told
//! to stop. The parts are the same libraries the real programs are made of; only the broker is librdkafka's mock
//! cluster, which keeps the last few megabytes of a topic in memory and forgets everything at the end.

mod args;
mod broker;
mod incidents;
mod run;
mod say;

pub use args::{Args, Plan};
pub use run::{DemoError, run};
