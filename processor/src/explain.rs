//! `processor explain`: what records become, and why, for people.
//!
//! The decoder says what became of each member of one record ([`events::Explanation`]); here that is put into words,
//! counted over all records, and turned into hints. Nothing of it is counted, written or committed anywhere.

mod report;
mod sample;
mod words;

pub use report::{Explainer, Tally};
pub use sample::{Sample, SampleError, from_file, from_topic};
