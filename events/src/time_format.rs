//! How an input writes its times, where the contract cannot know.

mod pattern;
mod zone;

use self::pattern::Pattern;
use self::zone::Zone;
use crate::moment::{MICROS_END, Written, bare, from_number, in_range, is_number};
use crate::number::scaled;
use crate::{OptionsError, Timestamp};

/// How an input writes its times. Two are equal if they are configured in the same words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFormat {
    /// As configured.
    format: String,
    /// As configured.
    zone_name: Option<String>,
    reader: Reader,
    zone: Zone,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reader {
    /// A number of units, whatever its magnitude: this power of ten of them are a microsecond.
    Units(i64),
    /// As the contract reads times by itself.
    Spelled,
    Pattern(Pattern),
}

/// The formats that have a name. What the last four mean is read without being told, but for the zone.
const NAMED: [(&str, Reader); 8] = [
    ("unix_s", Reader::Units(6)),
    ("unix_ms", Reader::Units(3)),
    ("unix_us", Reader::Units(0)),
    ("unix_ns", Reader::Units(-3)),
    ("clf", Reader::Spelled),
    ("rfc2822", Reader::Spelled),
    ("rfc3339", Reader::Spelled),
    ("iso8601", Reader::Spelled),
];

impl TimeFormat {
    /// From a format as settings have it, and the zone of times without an offset [UTC].
    ///
    /// The format is one of `unix_s`, `unix_ms`, `unix_us`, `unix_ns`, `clf`, `rfc2822`, `rfc3339` and `iso8601`, or a pattern as
    /// `strftime` has it (`%d/%m/%Y %H:%M:%S%.f`). The zone is a name of the time zone database or an offset.
    ///
    /// # Errors
    /// [`OptionsError`] if either cannot be followed.
    pub fn new(format: &str, zone: Option<&str>) -> Result<Self, OptionsError> {
        let named = NAMED.iter().find(|(name, _)| *name == format);
        let reader = match named {
            Some((_, reader)) => reader.clone(),
            None => Reader::Pattern(
                Pattern::new(format, zone.is_some())
                    .map_err(|fault| OptionsError::BadTimeFormat { format: format.to_owned(), fault })?,
            ),
        };
        Ok(Self {
            format: format.to_owned(),
            zone_name: zone.map(str::to_owned),
            reader,
            zone: zone.map_or(Ok(Zone::UTC), Zone::new)?,
        })
    }

    /// The moment a text says.
    ///
    /// What is not in this format is read as the contract reads times by itself, if that leaves no doubt: a topic may
    /// have records of an older or newer writer.
    #[must_use]
    pub fn read_text(&self, text: &str) -> Option<Timestamp> {
        match &self.reader {
            Reader::Units(shift) => {
                let bare = bare(text);
                if is_number(bare) { units(bare, *shift) } else { self.spelled(text) }
            }
            Reader::Spelled => self.spelled(text),
            Reader::Pattern(pattern) => self.patterned(pattern, text.trim()).or_else(|| {
                let bare = bare(text);
                if is_number(bare) { certain_number(bare) } else { self.spelled(text) }
            }),
        }
    }

    /// The moment a JSON number says.
    #[must_use]
    pub fn read_number(&self, number: &str) -> Option<Timestamp> {
        match &self.reader {
            Reader::Units(shift) => units(number, *shift),
            Reader::Spelled => from_number(number),
            Reader::Pattern(pattern) => self.patterned(pattern, number).or_else(|| certain_number(number)),
        }
    }

    fn patterned(&self, pattern: &Pattern, text: &str) -> Option<Timestamp> {
        self.settled(pattern.read(text)?)
    }

    fn spelled(&self, text: &str) -> Option<Timestamp> {
        self.settled(Written::read(text)?)
    }

    fn settled(&self, written: Written) -> Option<Timestamp> {
        match written.offset {
            Some(_) => written.at(0),
            None => written.at(self.zone.offset_of(written.micros)?),
        }
    }
}

fn units(number: &str, shift: i64) -> Option<Timestamp> {
    in_range(i64::try_from(scaled(number, shift, MICROS_END.into())?).ok()?)
}

/// A number that a date of a pattern cannot have been: the digits of one are seconds of 1970.
fn certain_number(number: &str) -> Option<Timestamp> {
    from_number(number).filter(|moment| moment.secs() >= 100_000_000)
}

#[cfg(test)]
mod tests;
