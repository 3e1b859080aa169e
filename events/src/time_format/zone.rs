//! The zone of times that are written without an offset.

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::OptionsError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// Seconds east of UTC.
    Fixed(i64),
    Named(Tz),
}

impl Zone {
    pub(super) const UTC: Self = Self::Fixed(0);

    /// A zone by its name in the time zone database, or as an offset: `Europe/Berlin`, `+02:00`.
    pub(super) fn new(name: &str) -> Result<Self, OptionsError> {
        if name == "UTC" || name == "Z" {
            return Ok(Self::UTC);
        }
        if let (true, Ok(offset)) = (name.starts_with(['+', '-']), name.parse::<FixedOffset>()) {
            return Ok(Self::Fixed(offset.local_minus_utc().into()));
        }
        name.parse()
            .map(Self::Named)
            .map_err(|_| OptionsError::UnknownZone { zone: name.to_owned(), nearest: nearest(name) })
    }

    /// Seconds east of UTC at a local time, which is given as microseconds.
    ///
    /// A local time that comes twice, where clocks are put back, is the first of the two. One that does not come at
    /// all, where they are put forward, is taken as if they had not been.
    pub(super) fn offset_of(self, local_micros: i64) -> Option<i64> {
        let zone = match self {
            Self::Fixed(seconds) => return Some(seconds),
            Self::Named(zone) => zone,
        };
        let local = DateTime::from_timestamp_micros(local_micros)?.naive_utc();
        let offset = offset(zone, local).or_else(|| offset_before_gap(zone, local))?;
        Some(offset.into())
    }
}

fn offset(zone: Tz, local: NaiveDateTime) -> Option<i32> {
    let seconds = |offset: <Tz as TimeZone>::Offset| offset.fix().local_minus_utc();
    match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(only) => Some(seconds(only)),
        // The further east, the earlier.
        LocalResult::Ambiguous(one, other) => Some(seconds(one).max(seconds(other))),
        LocalResult::None => None,
    }
}

/// The offset that held before the clocks were put forward past this time.
#[cold]
fn offset_before_gap(zone: Tz, local: NaiveDateTime) -> Option<i32> {
    // The longest gap there was is a day: Samoa had no 30 December 2011. The shortest is twenty minutes.
    (1..=25 * 4).find_map(|quarters| offset(zone, local - TimeDelta::minutes(15 * quarters)))
}

/// The name most like it: one of the place itself before one that only looks alike.
fn nearest(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase().replace(' ', "_");
    let likeness = |zone: &Tz| {
        let zone = zone.name().to_ascii_lowercase();
        let place = zone.rsplit('/').next().unwrap_or(&zone);
        let same_place = name.rsplit('/').next() == Some(place);
        strsim::jaro_winkler(&zone, &name) + if same_place { 1.0 } else { 0.0 }
    };
    // What is less like any name is no misspelling.
    let mut best = (Tz::UTC, 0.8);
    for zone in TZ_VARIANTS {
        let likeness = likeness(&zone);
        if likeness > best.1 {
            best = (zone, likeness);
        }
    }
    best.0.name()
}
