//! What can be configured: raw layers (defaults < file < environment < flags) turned into validated values.
//!
//! [`Settings::load`] is the only way in from outside; what it returns needs no further checks. It reports everything
//! that is wrong at once, each with the key, the file or variable it came from, and the cure. The table in `keys` is
//! the one place that knows names, defaults, bounds and meanings; the reference page and the example file follow it.

mod convert;
mod inputs;
mod kafka;
mod keys;
mod layers;
mod mapping;
mod memory;
mod problem;
mod reader;
pub mod reference;
mod secret;
mod sinks;
mod state;
mod units;
mod windows;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

pub use inputs::InputSettings;
pub use kafka::{KafkaProperties, KafkaSettings};
pub use layers::Sources;
pub use memory::{MemoryPlan, MemorySettings};
pub use problem::{Origin, Problem, SettingsError};
pub use processor_core::Delivery;
pub use secret::Secret;
pub(crate) use secret::{influx_token, read_file as read_secret_file};
pub use sinks::{FileSinkSettings, InfluxSettings};
pub use state::{S3Settings, StatePlace, StateSettings};
pub(crate) use units::format_duration;
pub use windows::WindowSettings;

use layers::Layers;
use reader::Reader;

/// Everything that can be configured, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where events come from.
    pub kafka: KafkaSettings,
    /// The topics of events; at least one, all different.
    pub inputs: Vec<InputSettings>,
    /// Event time.
    pub windows: WindowSettings,
    /// Repeats.
    pub dedup: DedupSettings,
    /// First click.
    pub attribution: AttributionSettings,
    /// Routes.
    pub routes: RouteSettings,
    /// How many URLs are told apart per window.
    pub urls_max: usize,
    /// How many campaigns are told apart.
    pub campaigns_max: usize,
    /// How many currencies are told apart.
    pub currencies_max: usize,
    /// The currency of amounts that name none.
    pub default_currency: String,
    /// Time between two commits of stage 1.
    pub epoch_interval: Duration,
    /// Time between two commits of the merge.
    pub merge_interval: Duration,
    /// InfluxDB, if it is on.
    pub influxdb: Option<InfluxSettings>,
    /// Points as files, if they are on.
    pub files: Option<FileSinkSettings>,
    /// Snapshots of the state, if they are on.
    pub state: Option<StateSettings>,
    /// The status page.
    pub http: HttpSettings,
    /// Memory.
    pub memory: MemorySettings,
    /// Draining.
    pub shutdown: ShutdownSettings,
    /// Threads that decode and count, 1 to 64.
    pub workers: NonZeroUsize,
    /// What is logged.
    pub log: LogSettings,
}

/// Repeats of an `event_id` in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupSettings {
    /// A repeat whose event time is within this of the first is dropped.
    pub window: Duration,
}

/// Which click a checkout credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributionSettings {
    /// How far back a checkout looks.
    pub lookback: Duration,
    /// Clicks kept per user; the oldest goes first.
    pub clicks_per_user_max: usize,
}

/// Routes of the `http` measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteSettings {
    /// Further routes become `__other__`.
    pub max: usize,
    /// Whether id-like segments become `:id`.
    pub template: bool,
}

/// The status page and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpSettings {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
}

/// What happens on a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownSettings {
    /// Longest time for draining.
    pub deadline: Duration,
}

/// What goes to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// For people or for machines.
    pub format: LogFormat,
    /// Directives of `tracing_subscriber::EnvFilter`, parsed once already.
    pub level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Settings {
    /// Reads, merges and validates all layers.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] with every problem there is; the other variants if a source cannot be read at all.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let layers = Layers::read(sources)?;
        let mut reader = Reader::new(&layers);
        let settings = Self::read(&mut reader);
        match reader.finish() {
            problems if problems.is_empty() => Ok(settings),
            problems => Err(SettingsError::Invalid(problems)),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            kafka: KafkaSettings::read(reader),
            inputs: InputSettings::read_all(reader),
            windows: WindowSettings::read(reader),
            dedup: DedupSettings { window: reader.duration("dedup.window") },
            attribution: AttributionSettings {
                lookback: reader.duration("attribution.lookback"),
                clicks_per_user_max: count(reader.integer("attribution.clicks_per_user_max")),
            },
            routes: RouteSettings {
                max: count(reader.integer("routes.max")),
                template: reader.bool("routes.template"),
            },
            urls_max: count(reader.integer("urls.max")),
            campaigns_max: count(reader.integer("campaigns.max")),
            currencies_max: count(reader.integer("currencies.max")),
            default_currency: currency(&reader.text("commerce.default_currency")),
            epoch_interval: reader.duration("epoch.interval"),
            merge_interval: reader.duration("merge.interval"),
            influxdb: reader.has("influxdb").then(|| InfluxSettings::read(reader)),
            files: reader.has("files").then(|| FileSinkSettings::read(reader)),
            state: reader.has("state").then(|| StateSettings::read(reader)),
            http: HttpSettings { listen: read_listen(reader) },
            memory: MemorySettings {
                budget: reader.size("memory.budget"),
                instances: NonZeroUsize::new(count(reader.integer("memory.instances")))
                    .expect("zero is out of range"),
            },
            shutdown: ShutdownSettings { deadline: reader.duration("shutdown.deadline") },
            workers: read_workers(reader),
            log: LogSettings::read(reader),
        }
    }
}

/// As the currencies of events are written, which have capitals; `none` is none of them.
fn currency(text: &str) -> String {
    match text.trim() {
        "" | "none" => "none".to_owned(),
        code => code.to_uppercase(),
    }
}

/// What an empty file gives: local Kafka, no sinks.
impl Default for Settings {
    fn default() -> Self {
        let nothing_set =
            Sources { environment: Some(std::collections::BTreeMap::new()), ..Sources::default() };
        Self::load(&nothing_set).expect("defaults are valid")
    }
}

impl LogSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        let format = match reader.text("log.format").as_str() {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        };
        let level = reader.text("log.level");
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&level) {
            let cure = r#"use error, warn, info, debug or trace, or "info,processor::kafka=debug""#;
            reader.problem("log.level", format!("= {level:?} is not a filter ({error}); {cure}"));
        }
        Self { format, level }
    }
}

fn read_listen(reader: &mut Reader<'_>) -> SocketAddr {
    let text = reader.text("http.listen");
    text.parse().unwrap_or_else(|_| {
        let cure = r#"write an IP address and a port, such as "127.0.0.1:8088", or "0.0.0.0:8088" for all interfaces"#;
        reader.problem("http.listen", format!("= {text:?} is not an address; {cure}"));
        SocketAddr::from(([127, 0, 0, 1], 0))
    })
}

fn read_workers(reader: &mut Reader<'_>) -> NonZeroUsize {
    /// More threads than this only add partials and memory.
    const WORKERS_MAX: usize = 64;
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(WORKERS_MAX);
    let workers = reader.optional_integer("workers").map_or_else(cores, count);
    NonZeroUsize::new(workers).expect("zero is out of range")
}

/// A bounded number as a count; the table's bounds fit every platform.
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
