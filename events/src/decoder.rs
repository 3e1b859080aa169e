//! From the bytes of a record to an event or a rejection.

mod check;
mod fast;
mod slow;

use crate::names::Names;
use crate::{DecoderOptions, Event, EventType, OptionsError, Reason, Rejection};

/// Decodes the JSON records of one input.
///
/// It keeps what it learns about the layout of the records, so give each input its own.
#[derive(Debug)]
pub struct Decoder {
    names: Names,
    layout: fast::Layout,
    default_type: EventType,
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
        let names = Names::new(&options.fields)?;
        Ok(Self {
            layout: fast::Layout::new(&names),
            names,
            default_type: options.default_type,
            max_bytes: options.max_bytes,
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
        if let Some(value) = value.filter(|value| value.len() <= self.max_bytes) {
            let mut event = Event::EMPTY;
            if fast::decode(value, &self.names, &mut self.layout, self.default_type, &mut event).is_some() {
                return Ok(event);
            }
        }
        self.decode_slowly(value)
    }

    /// What the fast path answers, if it does: for tests that compare the two.
    #[doc(hidden)]
    #[inline]
    pub fn decode_fast<'a>(&mut self, value: Option<&'a [u8]>) -> Option<Event<'a>> {
        let value = value.filter(|value| value.len() <= self.max_bytes)?;
        let mut event = Event::EMPTY;
        fast::decode(value, &self.names, &mut self.layout, self.default_type, &mut event)?;
        Some(event)
    }

    /// What [`Decoder::decode`] answers, always found by the slow path: for tests that compare the two.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    #[doc(hidden)]
    pub fn decode_slowly<'a>(&'a mut self, value: Option<&'a [u8]>) -> Result<Event<'a>, Rejection> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Err(Rejection::new(Reason::EmptyValue, "the record has no value"));
        };
        if value.len() > self.max_bytes {
            let detail = format!("{} bytes, at most {} are accepted", value.len(), self.max_bytes);
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        slow::decode(value, &self.names, self.default_type, &mut self.scratch)
    }
}
