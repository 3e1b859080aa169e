//! The click-event contract: what one record of a click topic means.
//!
//! [`Decoder`] turns the bytes of one record into an [`Event`] or a typed [`Rejection`]; it never panics and
//! never fails in another way. [`Event`] borrows from the record, so decoding the common record allocates nothing.
//! What is left out on purpose: IO, clocks, and every judgement that needs more than the one record (duplicates,
//! lateness, timestamps too far in the future).
//!
//! An event counts as far as it can: a record is rejected only if nothing in it can be counted. Every field of an
//! [`Event`] may be absent, and [`Event::notes`] says what an analytic of its type lacks and which values were of no use.
//! `docs/contract.md` has the rules; what follows is why the code is as it is.
//!
//! **Two paths.** `decoder/slow` defines the answers. `decoder/fast` knows most records by their layout and answers the
//! same or nothing, which property tests and the fuzz target hold it to. What both need stands in `decoder/check`.
//!
//! **Names** form a tree (`tree`), as they may lie in objects and lists; a name's id is its rank among those of its field
//! (`names`). Everyday words speak only where their value can be what is meant.
//!
//! **Times** are spelled in any way that can be read in one way only (`moment`); whether `01/12/2026` is in January is not
//! guessed, but configured ([`TimeFormat`]).
//!
//! **Numbers** are read as decimals, never as binary fractions, so that amounts are rounded by their digits.

mod decoder;
mod event;
mod field;
#[doc(hidden)]
pub mod logline;
mod moment;
mod names;
mod number;
mod options;
mod presets;
mod rejection;
mod time_format;
mod timestamp;
mod tree;

pub use decoder::{Became, Decoder, Explanation, Member, PlainEvent, Shape};
pub use event::{Event, EventType};
pub use field::{Field, FieldSet, Notes};
pub use options::{DecoderOptions, Format, Mapping, OptionsError};
pub use presets::{Preset, preset};
pub use rejection::{Reason, Rejection};
pub use time_format::TimeFormat;
pub use timestamp::Timestamp;
