//! What Kafka's timestamp of a record is worth.
//!
//! It is what its producer says (`CreateTime`) or when the broker took it (`LogAppendTime`); and it may be nothing at all:
//! −1 where a producer of old times gave none, 0, or seconds where milliseconds are meant.

use crate::options::SECOND;

/// Less than this is no time in milliseconds: it would be before March 1973.
const MILLIS_FROM: i64 = 100_000_000_000;
/// Less than this is none in seconds, either.
const SECONDS_FROM: i64 = 1_000_000_000;
/// The year 2200, up to which there are event times, in milliseconds.
const MILLIS_UNTIL: i64 = 7_258_118_400_000;

/// A record's timestamp in microseconds; `None` where it says nothing.
#[inline]
pub(crate) fn kafka_time(timestamp_ms: i64) -> Option<i64> {
    match timestamp_ms {
        MILLIS_FROM..MILLIS_UNTIL => Some(timestamp_ms * 1_000),
        SECONDS_FROM..MILLIS_FROM => Some(timestamp_ms * SECOND),
        _ => None,
    }
}

/// The latest time that a record's event may have; the end of time where its timestamp says nothing or nobody asks.
#[inline]
pub(crate) fn latest_time(timestamp_ms: i64, max_future_skew: Option<i64>) -> i64 {
    match (kafka_time(timestamp_ms), max_future_skew) {
        (Some(time), Some(skew)) => time.saturating_add(skew),
        _ => i64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_in_milliseconds_or_seconds_or_none() {
        for (timestamp, time) in [
            (1_755_010_802_000, Some(1_755_010_802_000_000)),
            (1_755_010_802, Some(1_755_010_802_000_000)),
            (100_000_000_000, Some(100_000_000_000_000)),
            (99_999_999_999, Some(99_999_999_999_000_000)),
            (1_000_000_000, Some(1_000_000_000_000_000)),
            (999_999_999, None),
            (0, None),
            (-1, None),
            (i64::MIN, None),
            (7_258_118_400_000, None),
            (1_755_010_802_000_000, None), // microseconds
            (i64::MAX, None),
        ] {
            assert_eq!(kafka_time(timestamp), time, "{timestamp}");
        }
    }

    #[test]
    fn without_a_timestamp_or_a_guard_no_event_is_of_the_future() {
        assert_eq!(latest_time(1_755_010_802_000, Some(5)), 1_755_010_802_000_005);
        assert_eq!(latest_time(-1, Some(5)), i64::MAX);
        assert_eq!(latest_time(1_755_010_802_000, None), i64::MAX);
    }
}
