//! The click-event contract: what one record of a click topic means.
//!
//! [`Decoder`] turns the bytes of one record into an [`Event`] or a typed [`Rejection`]; it never panics and
//! never fails in another way. [`Event`] borrows from the record, so decoding the common record allocates nothing.
//! What is left out on purpose: IO, clocks, and every judgement that needs more than the one record (duplicates,
//! lateness, timestamps too far in the future).

mod decoder;
mod event;
mod moment;
mod names;
mod number;
mod options;
mod rejection;
mod timestamp;

pub use decoder::Decoder;
pub use event::{Event, EventType};
pub use options::{DecoderOptions, OptionsError};
pub use rejection::{Reason, Rejection};
pub use timestamp::Timestamp;
