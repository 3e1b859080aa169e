//! Settings as the parts of the program take them.

use std::time::Duration;

use processor_core::{InputOptions, Limits, Options, Rekeyed};

use super::{InfluxSettings, InputSettings, KafkaSettings, Settings};
use crate::influx::InfluxConfig;
use crate::kafka::ClientSettings;

impl KafkaSettings {
    /// How to reach Kafka, for a client that the brokers' logs call `client_id`.
    #[must_use]
    pub fn client(&self, client_id: &str) -> ClientSettings {
        ClientSettings {
            brokers: self.brokers.join(","),
            client_id: client_id.to_owned(),
            properties: (*self.properties).clone(),
        }
    }
}

impl From<&InfluxSettings> for InfluxConfig {
    fn from(settings: &InfluxSettings) -> Self {
        Self {
            url: settings.url.clone(),
            org: settings.org.clone(),
            token: settings.token.expose().to_owned(),
            bucket: settings.bucket.clone(),
            rollup_1m: settings.rollup_1m.clone(),
            rollup_1h: settings.rollup_1h.clone(),
        }
    }
}

impl From<&InputSettings> for InputOptions {
    fn from(input: &InputSettings) -> Self {
        Self { topic: input.topic.clone(), decoder: input.decoder.clone() }
    }
}

impl Settings {
    /// What the numbers mean. How many partitions the inputs to re-key have is not known here.
    #[must_use]
    pub fn options(&self) -> Options {
        let Self { windows, dedup, attribution, routes, inputs, .. } = self;
        let (keyed, unkeyed): (Vec<_>, Vec<_>) = inputs.iter().partition(|input| input.keyed);
        let rekeyed = (!unkeyed.is_empty()).then(|| Rekeyed {
            topic: self.kafka.by_user_topic.clone(),
            inputs: unkeyed.into_iter().map(InputOptions::from).collect(),
            partitions: Vec::new(),
            origin: Rekeyed::origin_of(&self.kafka.group_id),
        });
        Options {
            window_size: micros(windows.size),
            allowed_lateness: micros(windows.allowed_lateness),
            out_of_orderness: micros(windows.out_of_orderness),
            max_future_skew: windows.max_future_skew.map(micros),
            emit_every: micros(windows.emit_every),
            idle_after: micros(windows.idle_after),
            dedup_window: micros(dedup.window),
            attribution_lookback: micros(attribution.lookback),
            template_routes: routes.template,
            routes_max: routes.max,
            urls_max: self.urls_max,
            campaigns_max: self.campaigns_max,
            currencies_max: self.currencies_max,
            default_currency: self.default_currency.clone(),
            clicks_per_user_max: attribution.clicks_per_user_max,
            limits: Limits::default(),
            inputs: keyed.into_iter().map(InputOptions::from).collect(),
            rekeyed,
        }
    }

    /// How far back a restart reads to rebuild its state.
    #[must_use]
    pub fn lookback(&self) -> Duration {
        Duration::from_micros(self.options().replay_span().unsigned_abs())
    }
}

/// The table bounds every duration by days.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).expect("days fit in 64 bits of microseconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_core() {
        assert_eq!(Settings::default().options(), Options::default());
        assert_eq!(Settings::default().options().validate(), Ok(()));
    }
}
