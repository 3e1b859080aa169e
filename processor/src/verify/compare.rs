//! Windows as they should be beside the points that InfluxDB holds.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use processor_core::schema::{self, Measurement};

use super::expected::{Window, windows};
use super::hour::Hour;
use super::model::Model;
use super::quality::Unplaced;
use super::report::{Kind, Report};
use super::rules::{HOUR, MINUTE, Rules};
use super::side::Side;

/// What is compared point by point; `quality` is compared by its own rules.
pub(super) const MEASUREMENTS: [&Measurement; 9] = [
    &schema::HTTP_STATUS,
    &schema::HTTP,
    &schema::HTTP_ALL,
    &schema::LATENCY,
    &schema::URL_TOP,
    &schema::USER_TOP,
    &schema::EVENTS,
    &schema::FIRST_CLICK,
    &schema::ATTRIBUTION,
];

/// Expected points that wait for a comparison, and about as many are asked for at a time.
const POINTS_MAX: usize = 20_000;

/// A point as it is stored: tags and fields in the schema's order, `None` where it has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Microseconds since the epoch.
    pub time: i64,
    /// Tag values.
    pub tags: Vec<String>,
    /// Field values.
    pub fields: Vec<Option<Field>>,
}

/// A stored value.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// An integer, or a float that looks like one.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A text.
    Text(String),
}

/// Where points are kept.
pub trait Store {
    /// Why it cannot be read.
    type Error;

    /// The points of a measurement in `[from, until)`, microseconds, at a resolution (0: the finest, 1: a minute, 2: an
    /// hour).
    ///
    /// # Errors
    /// What it says.
    fn read(
        &mut self,
        resolution: usize,
        of: &'static Measurement,
        from: i64,
        until: i64,
    ) -> Result<Vec<Stored>, Self::Error>;
}

/// Which windows are compared, by their starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first start, per resolution.
    pub from: [i64; 3],
    /// Where it ends: the first start that is not compared, per resolution.
    pub until: [i64; 3],
}

/// The comparison so far.
#[derive(Debug)]
pub struct Comparison<S> {
    rules: Rules,
    topics: Vec<String>,
    bounds: Bounds,
    store: S,
    waiting: Vec<Window>,
    points: usize,
    /// Per resolution: compared up to here.
    next: [i64; 3],
    unplaced: [Unplaced; 3],
}

impl<S: Store> Comparison<S> {
    /// Nothing compared yet. `topics` are the inputs.
    pub fn new(rules: Rules, topics: Vec<String>, bounds: Bounds, store: S) -> Self {
        let unplaced = [0, 1, 2].map(|resolution| Unplaced::new(size(resolution, &rules)));
        Self { rules, topics, next: bounds.from, bounds, store, waiting: Vec::new(), points: 0, unplaced }
    }

    /// Takes the hours that the model is done with, and compares once it is worth a query.
    ///
    /// # Errors
    /// Those of the store.
    pub fn advance(&mut self, model: &mut Model, report: &mut Report) -> Result<(), S::Error> {
        for (start, hour) in model.finished_hours() {
            self.take(start, &hour);
            drop(hour);
            if self.points >= POINTS_MAX {
                self.settle(start + HOUR, model, report)?;
            }
        }
        Ok(())
    }

    /// Everything was read: compares the rest.
    ///
    /// # Errors
    /// Those of the store.
    pub fn finish(&mut self, model: &mut Model, report: &mut Report) -> Result<(), S::Error> {
        self.advance(model, report)?;
        self.settle(i64::MAX, model, report)
    }

    fn take(&mut self, start: i64, hour: &Hour) {
        for window in windows(start, hour, &self.rules) {
            let range = self.bounds.from[window.resolution]..self.bounds.until[window.resolution];
            if range.contains(&window.start) {
                self.points += window.points.len() + window.quality.len();
                self.waiting.push(window);
            }
        }
    }

    /// Compares what waits, and that nothing else is there before `end`.
    fn settle(&mut self, end: i64, model: &mut Model, report: &mut Report) -> Result<(), S::Error> {
        for floating in model.floating.drain(..) {
            self.unplaced.iter_mut().for_each(|unplaced| unplaced.add(&floating));
        }
        let mut waiting: [Vec<Window>; 3] = Default::default();
        for window in std::mem::take(&mut self.waiting) {
            waiting[window.resolution].push(window);
        }
        self.points = 0;
        for (resolution, windows) in waiting.iter().enumerate() {
            let end = end.min(self.bounds.until[resolution]);
            for part in parts(windows) {
                // A part reaches to where the next begins, so that what lies between windows is looked at too.
                let until = match part.next {
                    Some(next) => windows[next].start,
                    None => end,
                };
                if self.next[resolution] < until {
                    let found = Range { resolution, from: self.next[resolution], until };
                    self.compare(&found, &windows[part.range], model, report)?;
                    self.next[resolution] = until;
                }
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        range: &Range,
        windows: &[Window],
        model: &Model,
        report: &mut Report,
    ) -> Result<(), S::Error> {
        let limited = model.limited();
        let size = size(range.resolution, &self.rules);
        for of in MEASUREMENTS {
            let found = self.store.read(range.resolution, of, range.from, range.until)?;
            let default_currency = &self.rules.default_currency;
            let topics = &self.topics;
            let side = Side { of, place: range.resolution, size, limited, topics, default_currency };
            side.compare(windows, found, &model.seen, report);
        }
        let found = self.store.read(range.resolution, &schema::QUALITY, range.from, range.until)?;
        self.quality(range, windows, found, report);
        Ok(())
    }

    /// Counts by reason: what surely counts in a window, and as many more as may.
    fn quality(&mut self, range: &Range, windows: &[Window], found: Vec<Stored>, report: &mut Report) {
        const NAME: &str = "quality";
        let place = range.resolution;
        let mut counts: BTreeMap<(i64, String), (u64, Option<i64>)> = BTreeMap::new();
        let by_start: BTreeMap<i64, &Window> = windows.iter().map(|window| (window.start, window)).collect();
        for window in windows {
            for (reason, count) in &window.quality {
                counts.entry((window.start, (*reason).to_owned())).or_default().0 = *count;
            }
        }
        for stored in found {
            let [tag] = <[String; 1]>::try_from(stored.tags).unwrap_or_default();
            let count = match stored.fields.first() {
                Some(Some(Field::Integer(count))) => *count,
                _ => -1, // no count at all
            };
            counts.entry((stored.time, tag)).or_default().1 = Some(count);
        }
        let unplaced = &mut self.unplaced[range.resolution];
        for ((start, reason), (sure, found)) in counts {
            let count = found.unwrap_or(0);
            let surplus = u64::try_from(count).unwrap_or(0).saturating_sub(sure);
            let may = by_start.get(&start).and_then(|window| window.may.get(reason.as_str()).copied());
            let more = surplus.min(may.unwrap_or(0));
            let right = i64::try_from(sure)
                .unwrap_or(i64::MAX)
                .saturating_add_unsigned(more + unplaced.place(&reason, start, surplus - more));
            if count == right && found.is_some() {
                report.equal(place, NAME);
                continue;
            }
            let kind = match found {
                None => Kind::Missing,
                Some(_) if right == 0 => Kind::Unexpected,
                Some(_) => Kind::Different,
            };
            report.differs(place, NAME, kind, || {
                let records = windows.iter().find(|window| window.start == start);
                let records = records.and_then(|window| spans(window, &self.topics));
                let what = format!("quality reason={reason} at {}", moment(start));
                (what, Some(format!("count={right}")), found.map(|count| format!("count={count}")), records)
            });
        }
        for (reason, from, to) in unplaced.passed(range.until) {
            if from < self.bounds.from[range.resolution] {
                report.skipped(place, NAME, 1);
                continue;
            }
            report.differs(place, NAME, Kind::Missing, || {
                let what =
                    format!("quality reason={reason} in a window from {} to {}", moment(from), moment(to));
                (what, Some("one more record".to_owned()), None, None)
            });
        }
    }
}

/// A part of the time axis at a resolution.
struct Range {
    resolution: usize,
    from: i64,
    until: i64,
}

struct Part {
    range: std::ops::Range<usize>,
    /// The first window after it.
    next: Option<usize>,
}

/// Cuts windows into parts of not much more than [`POINTS_MAX`] points; one empty part where there are none.
fn parts(windows: &[Window]) -> Vec<Part> {
    let (mut parts, mut from, mut points) = (Vec::new(), 0, 0);
    for (at, window) in windows.iter().enumerate() {
        if points > 0 && points + window.points.len() > POINTS_MAX {
            parts.push(Part { range: from..at, next: Some(at) });
            (from, points) = (at, 0);
        }
        points += window.points.len();
    }
    parts.push(Part { range: from..windows.len(), next: None });
    parts
}

fn size(resolution: usize, rules: &Rules) -> i64 {
    [rules.window, MINUTE, HOUR][resolution]
}

/// Where the records of a window lie.
pub(super) fn spans(window: &Window, topics: &[String]) -> Option<String> {
    const SHOWN: usize = 4;
    let mut words: Vec<String> = window
        .records
        .iter()
        .take(SHOWN)
        .map(|((input, partition), (first, last))| {
            let topic = topics.get(usize::from(*input)).map_or("?", String::as_str);
            format!("{topic}[{partition}]@{first}..{last}")
        })
        .collect();
    if window.records.len() > SHOWN {
        words.push(format!("and {} more partitions", window.records.len() - SHOWN));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

/// A moment as people and InfluxDB write it.
pub(super) fn moment(micros: i64) -> String {
    let moment = DateTime::from_timestamp_micros(micros);
    moment.map_or_else(|| format!("{micros} µs"), |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
