//! `[windows]`: event time.

use std::time::Duration;

use super::reader::Reader;
use super::units::format_duration;

/// How windows are cut and when they close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSettings {
    /// Length of the finest windows; at least 1 s, divides one minute.
    pub size: Duration,
    /// How long past its end a window takes events.
    pub allowed_lateness: Duration,
    /// How far the watermark stays behind the latest event.
    pub out_of_orderness: Duration,
    /// How far an event may lie after Kafka's timestamp of its record; `None`: any distance.
    pub max_future_skew: Option<Duration>,
    /// How often values of open windows are written again.
    pub emit_every: Duration,
    /// When a quiet partition stops holding back the others.
    pub idle_after: Duration,
}

const MINUTE_MS: u128 = 60_000;

impl WindowSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let windows = Self {
            size: reader.duration("windows.size"),
            allowed_lateness: reader.duration("windows.allowed_lateness"),
            out_of_orderness: reader.duration("windows.out_of_orderness"),
            max_future_skew: reader.duration_or_off("windows.max_future_skew"),
            emit_every: reader.duration("windows.emit_every"),
            idle_after: reader.duration("windows.idle_after"),
        };
        let size_ms = windows.size.as_millis();
        if !MINUTE_MS.is_multiple_of(size_ms) {
            let size = format_duration(windows.size);
            let text = format!(
                "= {size:?} does not divide one minute; the nearest that do are {}",
                divisors_beside(size_ms)
            );
            reader.problem("windows.size", text);
        }
        windows
    }
}

/// The nearest valid sizes in whole seconds, below and above.
fn divisors_beside(size_ms: u128) -> String {
    let valid = || (1..=60).filter(|secs| 60 % secs == 0);
    let below =
        valid().rfind(|secs| secs * 1_000 < size_ms).expect("1 s is below every size that divides nothing");
    let above =
        valid().find(|secs| secs * 1_000 > size_ms).expect("1 m is above every size that divides nothing");
    format!("{below}s and {above}s")
}
