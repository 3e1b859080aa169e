//! The calendar: proleptic Gregorian, as RFC 3339 has it.

/// A date and time of day that no zone has been settled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: u32,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) time: TimeOfDay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TimeOfDay {
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) micros: u32,
}

impl Civil {
    /// Microseconds since the epoch if this is UTC; `None` if the calendar or the clock has no such moment.
    ///
    /// A 60th second is the next minute's first, 24:00:00 the next day's.
    pub(super) fn micros(self) -> Option<i64> {
        let Self { year, month, day, time: TimeOfDay { hour, minute, second, micros } } = self;
        let year = i64::from(year);
        if !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
            return None;
        }
        let midnight = (hour, minute, second, micros) == (24, 0, 0, 0);
        if hour > 23 && !midnight || minute > 59 || second > 60 {
            return None;
        }
        let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
        Some((days_since_epoch(year, month, day) * 86_400 + seconds) * 1_000_000 + i64::from(micros))
    }
}

#[inline]
pub(super) fn days_in(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar.
#[inline]
pub(super) fn days_since_epoch(year: i64, month: u32, day: u32) -> i64 {
    // Counted in years that begin on 1 March, so that the leap day is a year's last.
    let month = i64::from(month);
    let year = if month <= 2 { year - 1 } else { year };
    let months = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (months * 153 + 2) / 5 + i64::from(day) - 1 - 719_468
}
