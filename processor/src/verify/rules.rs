use std::time::Duration;

use events::DecoderOptions;

use crate::settings::Settings;

/// Microseconds in a second.
pub(super) const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
pub(super) const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
pub(super) const HOUR: i64 = 60 * MINUTE;

/// Later than everything, with room for sums.
pub(super) const NEVER: i64 = i64::MAX / 4;

/// A record's timestamp as microseconds: from 10^11 on it is in milliseconds, from 10^9 on in seconds, and less than that,
/// or later than the year 2200, it says nothing.
pub(super) fn kafka_time(timestamp_ms: i64) -> Option<i64> {
    if !(1_000_000_000..7_258_118_400_000).contains(&timestamp_ms) {
        return None;
    }
    Some(timestamp_ms * if timestamp_ms < 100_000_000_000 { SECOND } else { 1_000 })
}

/// What the settings say about numbers; spans in microseconds.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Length of the finest windows.
    pub window: i64,
    /// How long past its end a window takes events.
    pub lateness: i64,
    /// How far the watermark stays behind the greatest event time.
    pub out_of_orderness: i64,
    /// How far an event may lie after its record's timestamp; `None`: any distance.
    pub future_skew: Option<i64>,
    /// How long a partition is silent before the wall clock moves it.
    pub idle_after: i64,
    /// Within which a repeat is dropped.
    pub dedup: i64,
    /// How far back a checkout looks for clicks.
    pub lookback: i64,
    /// Whether ids in paths become `:id`.
    pub template_routes: bool,
    /// Routes told apart per partition number.
    pub routes_max: usize,
    /// URLs told apart per partition number.
    pub urls_max: usize,
    /// Campaigns told apart per partition number.
    pub campaigns_max: usize,
    /// Currencies told apart per partition number.
    pub currencies_max: usize,
    /// The currency of amounts that name none.
    pub default_currency: String,
    /// Clicks kept per user.
    pub clicks_max: usize,
    /// How each input is decoded.
    pub inputs: Vec<DecoderOptions>,
}

impl Rules {
    /// Those of the settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        let windows = &settings.windows;
        Self {
            window: micros(windows.size),
            lateness: micros(windows.allowed_lateness),
            out_of_orderness: micros(windows.out_of_orderness),
            future_skew: windows.max_future_skew.map(micros),
            idle_after: micros(windows.idle_after),
            dedup: micros(settings.dedup.window),
            lookback: micros(settings.attribution.lookback),
            template_routes: settings.routes.template,
            routes_max: settings.routes.max,
            urls_max: settings.urls_max,
            campaigns_max: settings.campaigns_max,
            currencies_max: settings.currencies_max,
            default_currency: settings.default_currency.clone(),
            clicks_max: settings.attribution.clicks_per_user_max,
            inputs: settings.inputs.iter().map(|input| input.decoder.clone()).collect(),
        }
    }

    /// The latest time of an event whose record has this timestamp, microseconds, if it has one.
    pub(super) fn latest(&self, kafka: Option<i64>) -> i64 {
        kafka.zip(self.future_skew).map_or(i64::MAX, |(at, skew)| at + skew)
    }

    /// The start of the finest window of a moment.
    pub(super) fn window_of(&self, time: i64) -> i64 {
        time.div_euclid(self.window) * self.window
    }

    /// The watermark that closes the finest window of a moment.
    pub(super) fn closes(&self, time: i64) -> i64 {
        self.window_of(time) + self.window + self.lateness
    }

    /// How much event time before a window its numbers can depend on.
    pub(super) fn reach(&self) -> i64 {
        self.lookback.max(self.dedup)
    }

    /// How long a name that is not used keeps its place, at most.
    pub(super) fn name_life(&self) -> i64 {
        HOUR + self.reach().max(HOUR) + self.lateness + self.out_of_orderness + 3 * self.window
    }
}
