//! From the settings to a report.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use processor_core::{Delivery, Resolution};

use super::commits::{self, Extent};
use super::compare::{Bounds, Comparison, moment};
use super::model::Model;
use super::progress::Progress;
use super::reading::Reading;
use super::report::Report;
use super::rules::{HOUR, MINUTE, Rules};
use super::stored::{Buckets, ReadError};
use super::topics::{aside, note_dead_points};
use crate::influx::{Client, ConfigError, InfluxConfig, QueryError, Tuning};
use crate::kafka::KafkaError;
use crate::settings::Settings;

/// What is to be compared.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Only windows that begin at this moment of event time or later, microseconds.
    pub from: Option<i64>,
    /// Only windows that end at this moment or earlier.
    pub until: Option<i64>,
    /// Only windows of one resolution: 0 the finest, 1 a minute, 2 an hour.
    pub resolution: Option<usize>,
    /// Open windows too: right only where everything was read and nothing is running.
    pub open: bool,
    /// Most examples of a kind of difference.
    pub examples: usize,
    /// A token that may read the buckets, where that of the settings may only write.
    pub token: Option<String>,
    /// No progress.
    pub quiet: bool,
}

/// A comparison that came to its end.
#[derive(Debug)]
pub struct Verified {
    /// What was found.
    pub report: Report,
    /// Windows that begin before this are compared, per resolution; none where it is not after `from`.
    pub bounds: Bounds,
    /// How long it took.
    pub seconds: f64,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is nothing to compare with.
    #[error("influxdb is missing: verify compares the topics with InfluxDB; add an [influxdb] section")]
    NoInfluxDb,
    /// InfluxDB's settings.
    #[error("influxdb settings")]
    Influx(#[from] ConfigError),
    /// A bucket cannot be looked at.
    #[error(
        "cannot read {setting} = {bucket:?}; verify needs a token that may read, given by --influx-token-file"
    )]
    Bucket {
        /// The setting.
        setting: &'static str,
        /// The bucket.
        bucket: String,
        /// Why.
        #[source]
        source: QueryError,
    },
    /// Points cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Kafka cannot be read.
    #[error("cannot read kafka")]
    Kafka(#[from] KafkaError),
    /// An input's field names.
    #[error("inputs")]
    Inputs(#[from] events::OptionsError),
}

/// A bucket's oldest points may go while they are being compared.
const RETENTION_SLACK: i64 = 10 * MINUTE;
/// The end of time, as events have it: the year 2200.
const END_OF_TIME: i64 = 7_258_118_400 * 1_000_000;

/// Compares everything that is final.
///
/// # Errors
/// [`VerifyError`]: then nothing is known.
pub fn verify(settings: &Settings, options: &VerifyOptions) -> Result<Verified, VerifyError> {
    let started = Instant::now();
    let rules = Rules::of(settings);
    let mut influx = InfluxConfig::from(settings.influxdb.as_ref().ok_or(VerifyError::NoInfluxDb)?);
    if let Some(token) = &options.token {
        influx.token.clone_from(token);
    }
    let influx = Client::new(&influx, &Tuning::default())?;
    let kept_from = kept_from(&influx)?;
    let client = settings.kafka.client("clickpulse-verify");
    let extent = commits::extent(settings, &rules, &client, options.from)?;
    let bounds = bounds(&rules, options, &extent, kept_from);

    let topics: Vec<String> = settings.inputs.iter().map(|input| input.topic.clone()).collect();
    let mut report = Report::new(places(&influx, &topics), options.examples);
    report.notes.clone_from(&extent.notes);
    note_bounds(&mut report, &bounds, options, &extent, kept_from);
    let rejected = aside(&client, &topics, "dlq", &mut report)?;
    let late = aside(&client, &topics, "late", &mut report)?;
    note_dead_points(&client, &mut report)?;

    let exactly_once = settings.kafka.delivery != Delivery::AtLeastOnce;
    let logs = extent.spans.iter().map(|span| span.options.clone()).collect();
    let mut model = Model::new(rules.clone(), logs, rejected, late, exactly_once)?;
    let mut comparison = Comparison::new(rules.clone(), topics.clone(), bounds, Buckets { client: &influx });
    let mut reading = Reading::start(&client, &topics, &extent.spans, &rules, options.until)?;
    let mut progress = Progress::new(reading.total(), options.quiet);
    while reading.round(&mut model, &mut report)? {
        comparison.advance(&mut model, &mut report)?;
        reading.keep_together(&model)?;
        progress.at(report.records.read, report.compared());
    }
    comparison.finish(&mut model, &mut report)?;
    let read = reading.read;
    model.finish(
        |position| read.get(&(position.0, position.1)).is_some_and(|of| of.contains(&position.2)),
        &mut report,
    );
    progress.end();
    Ok(Verified { report, bounds, seconds: started.elapsed().as_secs_f64() })
}

/// The names of the rows' places, as [`Model`] and [`Comparison`] number them.
fn places(influx: &Client, topics: &[String]) -> Vec<String> {
    let buckets = Resolution::ALL.map(|resolution| influx.config().bucket(resolution).name);
    let aside = topics.iter().flat_map(|topic| [format!("{topic}.dlq"), format!("{topic}.late")]);
    buckets.into_iter().chain(aside).collect()
}

/// From when on each bucket still has its points.
fn kept_from(influx: &Client) -> Result<[Option<i64>; 3], VerifyError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    let mut kept_from = [None; 3];
    for (at, resolution) in Resolution::ALL.into_iter().enumerate() {
        let bucket = influx.config().bucket(resolution);
        let kept = influx.retention(&bucket.name).map_err(|source| VerifyError::Bucket {
            setting: bucket.setting,
            bucket: bucket.name.clone(),
            source,
        })?;
        kept_from[at] =
            kept.map(|kept| now - i64::try_from(kept.as_micros()).unwrap_or(i64::MAX) + RETENTION_SLACK);
    }
    Ok(kept_from)
}

fn bounds(rules: &Rules, options: &VerifyOptions, extent: &Extent, kept_from: [Option<i64>; 3]) -> Bounds {
    let mut bounds = Bounds { from: [0; 3], until: [0; 3] };
    for (at, size) in [rules.window, MINUTE, HOUR].into_iter().enumerate() {
        if options.resolution.is_some_and(|wanted| wanted != at) {
            continue;
        }
        let from = [options.from, extent.complete_from, kept_from[at]].into_iter().flatten().max();
        bounds.from[at] = from.map_or(0, |from| from.max(0).saturating_add(size - 1).div_euclid(size) * size);
        let closed = match options.open {
            true => END_OF_TIME,
            false => extent.closed_through.map_or(0, |closed| closed - rules.lateness),
        };
        let until = closed.min(options.until.unwrap_or(i64::MAX)).min(END_OF_TIME);
        bounds.until[at] = (until.div_euclid(size) * size).max(0);
    }
    bounds
}

fn note_bounds(
    report: &mut Report,
    bounds: &Bounds,
    options: &VerifyOptions,
    extent: &Extent,
    kept_from: [Option<i64>; 3],
) {
    if let Some(from) = extent.complete_from {
        report.notes.push(format!(
            "windows before {} are not compared: they depend on records that are gone or were left out",
            moment(from)
        ));
    }
    for (at, kept_from) in kept_from.into_iter().enumerate() {
        if let Some(kept_from) = kept_from.filter(|kept_from| bounds.from[at] >= *kept_from) {
            let bucket = &report.places[at];
            report.notes.push(format!(
                "{bucket} keeps points from {} on; older ones are not compared",
                moment(kept_from)
            ));
        }
    }
    for at in (0..3).filter(|at| options.resolution.is_none_or(|wanted| wanted == *at)) {
        let (bucket, until) = (&report.places[at], bounds.until[at]);
        if until <= bounds.from[at] {
            report
                .notes
                .push(format!("no window of {bucket} is final in this span: nothing of it is compared"));
        } else if !options.open && options.until.is_none() {
            report
                .notes
                .push(format!("windows of {bucket} from {} on are open: not compared", moment(until)));
        }
    }
}
