//! Synthetic shoppers to Kafka: a seeded, pure generator and a paced sender.
//!
//! [`Shoppers`] makes events: the same seed gives the same bytes. [`Stream`] adds the traffic's [`Profile`],
//! [`Incidents`] and [`Disorder`], tick by tick; time comes from the caller. [`run`] sends a stream to Kafka or to
//! standard output at its rate, until it is told to end, and can be embedded: it blocks its thread, reports through
//! a callback and is ended through a [`Shutdown`].
//!
//! What is left out on purpose: Avro, and any knowledge of what becomes of the events. [`truth`] computes what should
//! come out of a run by its own, simple means, so that it can serve as a test's expectation.

mod batch;
pub mod cli;
mod disorder;
mod error;
mod incidents;
mod invalid;
mod pace;
mod profile;
mod rates;
mod run;
mod sender;
mod shoppers;
mod stream;
mod tally;
pub mod truth;

pub use batch::{Batch, Record, RecordKind};
pub use disorder::Disorder;
pub use error::Error;
pub use incidents::{Incident, IncidentKind, Incidents, TOPIC as INCIDENTS_TOPIC, announce};
pub use invalid::REASONS as INVALID_REASONS;
pub use profile::{Profile, Shape};
pub use run::{Options, Output, Progress, Shutdown, Summary, run};
pub use sender::{Deliveries, KafkaSettings, TUNING};
pub use shoppers::{CAMPAIGNS, CATEGORIES, Effects, Route, ShopperSettings, Shoppers, Written};
pub use stream::Stream;
pub use tally::Tally;
