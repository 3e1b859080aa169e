//! From the bytes of a record to an event or a rejection.

mod check;
mod explain;
mod fast;
mod lines;
mod slow;

pub use explain::{Became, Explanation, Member, Shape};
pub use fast::PlainEvent;

use self::check::Types;
use self::lines::Lines;
use self::slow::Rules;
use crate::names::Names;
use crate::{DecoderOptions, Event, Format, OptionsError, Reason, Rejection, TimeFormat};

/// Decodes the records of one input.
///
/// It keeps what it learns about the layout of the records, so give each input its own.
#[derive(Debug)]
pub struct Decoder {
    names: Names,
    memory: fast::Memory,
    types: Types,
    /// Where records are lines of a log.
    lines: Option<Lines>,
    time: Option<TimeFormat>,
    /// Names that mean nothing here, for those who ask why.
    ignored: Vec<String>,
    max_bytes: usize,
    /// Holds the strings of the current record that are written with escapes.
    scratch: String,
}

impl Decoder {
    /// A decoder for an input.
    ///
    /// # Errors
    /// [`OptionsError`] if the mapping of names cannot be followed.
    pub fn new(options: &DecoderOptions) -> Result<Self, OptionsError> {
        let names = Names::new(&options.mapping)?;
        Ok(Self {
            memory: fast::Memory::new(&names),
            names,
            lines: match options.format {
                Format::Json => None,
                Format::Combined => Some(Lines::new(false)),
                Format::Common => Some(Lines::new(true)),
            },
            types: Types::new(&options.mapping.event_types, options.default_type),
            time: options.mapping.time.clone(),
            ignored: options.mapping.ignore.clone(),
            // Beyond it positions would not fit what they are kept in; Kafka has no such records.
            max_bytes: options.max_bytes.min(u32::MAX as usize),
            scratch: String::new(),
        })
    }

    /// Decodes a record's value; `None` is a record without one (a tombstone).
    ///
    /// The event borrows from the value, and from the decoder what had to be unescaped.
    ///
    /// # Errors
    /// A [`Rejection`] says why the record is no event; the decoder is as ready for the next one as before.
    #[inline]
    pub fn decode<'a>(&'a mut self, value: Option<&'a [u8]>) -> Result<Event<'a>, Rejection> {
        if let Some(event) = value.and_then(|value| self.decode_plain(value)?.event()) {
            return Ok(event);
        }
        self.decode_slowly(value)
    }

    /// The event of a plain record, without the cost of making an [`Event`]: an object of unescaped strings and ordinary
    /// numbers, with objects in it or not.
    ///
    /// `None` says nothing of the record but that [`Decoder::decode`] has to be asked. What this answers, that does.
    #[inline]
    pub fn decode_plain<'d, 'a>(&'d mut self, value: &'a [u8]) -> Option<PlainEvent<'d, 'a>> {
        if value.len() > self.max_bytes || self.lines.is_some() {
            return None;
        }
        let rules = Rules { names: &self.names, types: &self.types, time: self.time.as_ref() };
        fast::decode(value, rules, &mut self.memory)
    }

    /// What [`Decoder::decode`] answers, always found by the slow path: for tests that compare the two.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    #[doc(hidden)]
    pub fn decode_slowly<'a>(&'a mut self, value: Option<&'a [u8]>) -> Result<Event<'a>, Rejection> {
        let value = json_value(value, self.max_bytes)?;
        let rules = Rules { names: &self.names, types: &self.types, time: self.time.as_ref() };
        if let Some(lines) = &self.lines {
            return lines.decode(value, rules.types, rules.time, &mut self.scratch);
        }
        slow::decode(value, rules, &mut self.scratch, None)
    }
}

/// The value of a record that has one of an accepted size.
fn json_value(value: Option<&[u8]>, max_bytes: usize) -> Result<&[u8], Rejection> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Err(Rejection::new(Reason::EmptyValue, "the record has no value"));
    };
    if value.len() > max_bytes {
        let detail = format!("{} bytes, at most {max_bytes} are accepted", value.len());
        return Err(Rejection::new(Reason::TooLarge, detail));
    }
    Ok(value)
}
