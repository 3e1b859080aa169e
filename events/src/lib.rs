//! The click-event contract: what one record of a click topic means.
//!
//! [`Decoder`] turns the bytes of one record into an [`Event`] or a typed [`Rejection`]; it never panics and
//! never fails in another way. [`Event`] borrows from the record, so decoding the common record allocates nothing.
//! What is left out on purpose: IO, clocks, and every judgement that needs more than the one record (duplicates,
//! lateness, timestamps too far in the future).
//!
//! # Where the contract leaves a choice
//!
//! **Names.** A field is read from the first of its names that the record has: the input's own mapping, then the
//! contract's name, then the aliases in the order of its table, last `metadata.device` and `metadata.browser`. A null is
//! as good as nothing; of a repeated name the last value counts. An empty string identifies nothing: as an id or a
//! `method` it counts as absent, as a `user_id` it is `wrong_type`.
//!
//! **Types.** Every field the contract names must have its type, needed or not: `"amount":"19.90"` is `wrong_type`, as is
//! `"http_status":200.0`. Values under names that were not preferred are not looked at. Amounts lie within ±10^13 (ten
//! trillion), may be negative, and lose what follows the second decimal. `latency_ms` and `quantity` are finite.
//!
//! **Time.** A number below 10^11 is seconds, below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds; all
//! tell every moment from 1973-03-03 to 2199 apart, and a number in quotes is the same number. Text may be spelled in any
//! way that can be read in one way only: RFC 3339 and 2822, ISO 8601 (basic too), the common log format, what C, Java, Go
//! and JavaScript print. Without an offset it is UTC; a date alone is its midnight; a 60th second counts as the next
//! minute's first, 24:00:00 as the next day's. Whether `01/12/2026` is in January is not guessed. What lies below the
//! microsecond is cut; what lies outside the years 1970 to 2199 is `bad_timestamp`.
//!
//! **Needs.** A `search` needs a `search_id` or a `query`. No event needs a `click_id`, for which the record's position
//! stands in; `event_id` is needed only by a conversion without a `conversion_id`. An input whose default type is
//! [`EventType::Other`] takes records without a type for requests.
//!
//! **JSON.** As RFC 8259 has it, in valid UTF-8, with whitespace around it but no byte order mark. Half a surrogate pair
//! is `not_json` in a name or in the value of a field. What is ignored may nest to any depth.
//!
//! **Order of faults.** JSON first, then every field's type and range in the order of the contract's table, then
//! `user_id` and `event_timestamp`, then the type, then what it needs.

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

pub use decoder::{Decoder, PlainEvent};
pub use event::{Event, EventType};
pub use field::{Field, FieldSet, Notes};
pub use options::{DecoderOptions, Format, Mapping, OptionsError};
pub use presets::{Preset, preset};
pub use rejection::{Reason, Rejection};
pub use time_format::TimeFormat;
pub use timestamp::Timestamp;
