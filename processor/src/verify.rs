//! `processor verify`: computes every number again from the topics, and compares with what is stored.
//!
//! This is the second opinion, so it takes nothing from the first: of `processor_core` it uses the schema's names, the
//! resolutions and the text of a commit, and nothing that computes (a test holds it to that); the event decoder of
//! `events` is shared. It is written for reading: whole windows in plain maps, every value kept for its percentiles, facts
//! sorted and looked up, where the processor folds, sketches and forgets.
//!
//! [`Model`] goes through the logs in offset order by the rules of the contract; [`Comparison`] takes the hours that no
//! record to come can change, and lays them beside the points of a [`Store`]. Hours that are compared are dropped, and a
//! partition that is far ahead waits, so memory holds a few hours of event time and not the log.
//!
//! What the wall clock decided is not in the log. Where it left a trace (a record in the late topic, a watermark in a
//! commit) that is taken as said, if it can have been; where it left none, what depends on it is named and not compared.

mod aside;
mod commits;
mod compare;
mod expected;
mod facts;
mod hour;
mod model;
mod names;
mod progress;
mod quality;
mod reading;
mod repeats;
mod report;
mod route;
mod rules;
mod run;
mod shares;
mod side;
mod stored;
mod text;
mod topics;
mod watermark;

#[cfg(test)]
mod tests;

pub use aside::{Aside, Copied, Position, bytes_of};
pub use compare::{Bounds, Comparison, Field, Store, Stored};
pub use model::{LogOptions, Model, Record};
pub use report::{Example, Kind, Records, Report, Row};
pub use rules::Rules;
pub use run::{Verified, VerifyError, VerifyOptions, verify};
pub use stored::ReadError;
pub use text::{write_json, write_text};
pub use watermark::Recorded;
