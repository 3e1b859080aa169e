//! The main numbers of the last half hour, kept in memory for the status page.
//!
//! [`Live`] is fed with the same points the sink gets and answers with a [`Snapshot`]. Points carry full values, so a
//! newer point of the same series and window replaces the older one; nothing is ever added up twice. It reads no
//! clock: what "now" and the watermark are is an argument of [`Live::snapshot`]. Everything it keeps is bounded, by
//! the constants below.

mod rows;
mod snapshot;
mod window;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use processor_core::{FieldValue, Point, Resolution, schema};

pub use rows::{
    AnnotationRow, CampaignRow, FirstClickTotals, Moment, Recent, RevenueRow, RouteRow, Snapshot, TopRow,
    WindowRow,
};
use window::Window;

/// How far back windows are kept, from the newest one.
pub const HISTORY: Duration = Duration::from_secs(30 * 60);
/// How many windows are kept at most, for window sizes below 5 s.
pub const WINDOWS_MAX: usize = 360;
/// How many of the newest windows keep their routes, latencies and top lists; older ones keep only their totals.
pub const DETAIL_WINDOWS_MAX: usize = 30;
/// How many annotations are kept, the newest.
pub const ANNOTATIONS_MAX: usize = 50;

/// The latest windows; shared by the runtime, which observes, and the web server, which shows.
#[derive(Debug)]
pub struct Live {
    size_ms: i64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By window start, milliseconds.
    windows: BTreeMap<i64, Window>,
    annotations: BTreeMap<AnnotationKey, AnnotationText>,
    omitted_points: u64,
    version: u64,
}

/// Start, kind and title: what makes two annotations the same one.
type AnnotationKey = (i64, Arc<str>, Arc<str>);

#[derive(Debug)]
struct AnnotationText {
    text: Arc<str>,
    end_ms: i64,
}

impl Live {
    /// An empty store for raw windows of `window_size` (at least 1 ms).
    #[must_use]
    pub fn new(window_size: Duration) -> Self {
        let size_ms = i64::try_from(window_size.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { size_ms, state: Mutex::default() }
    }

    /// Takes points in the order they were made. Rollups and the pipeline's own measurement are not kept here.
    pub fn observe(&self, points: &[Point]) {
        let mut state = self.lock();
        for point in points {
            if point.measurement == &schema::ANNOTATIONS {
                state.annotate(point);
            } else if point.resolution == Resolution::Raw && point.measurement != &schema::PIPELINE {
                state.take(point, self.size_ms);
            }
        }
        state.version += 1;
    }

    /// Changes with every [`Live::observe`], so that a reader can tell whether there is anything new.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// What the page shows, as of `moment`.
    #[must_use]
    pub fn snapshot(&self, moment: Moment) -> Snapshot {
        snapshot::take(&self.lock(), self.size_ms, moment)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the live windows panics")
    }
}

impl State {
    fn take(&mut self, point: &Point, size_ms: i64) {
        let start_ms = point.time.millis();
        let newest = self.windows.last_key_value().map_or(start_ms, |(newest, _)| *newest).max(start_ms);
        let windows_max = windows_max(size_ms);
        if start_ms <= newest.saturating_sub(size_ms.saturating_mul(windows_max as i64)) {
            return; // Older than anything the page shows: a correction that came too late for it.
        }
        // A window that has lost its detail must not get a fragment of it back from a late correction.
        let detailed = self.windows.range(start_ms..).nth(DETAIL_WINDOWS_MAX).is_none();
        let window = self.windows.entry(start_ms).or_default();
        if !window.take(point, detailed) {
            self.omitted_points += 1;
        }
        self.prune(newest, size_ms, windows_max);
    }

    fn prune(&mut self, newest: i64, size_ms: i64, windows_max: usize) {
        let oldest_kept = newest.saturating_sub(size_ms.saturating_mul(windows_max as i64 - 1));
        while self.windows.first_key_value().is_some_and(|(start, _)| *start < oldest_kept) {
            self.windows.pop_first();
        }
        if let Some((_, window)) = self.windows.iter_mut().rev().nth(DETAIL_WINDOWS_MAX) {
            window.drop_detail();
        }
    }

    fn annotate(&mut self, point: &Point) {
        let (Some(FieldValue::Text(title)), Some(FieldValue::Text(text)), Some(FieldValue::Integer(end_ms))) =
            (point.field("title"), point.field("text"), point.field("end_ms"))
        else {
            return;
        };
        let key = (point.time.millis(), window::shortened(&point.tags[0]), window::shortened(title));
        self.annotations.insert(key, AnnotationText { text: window::shortened(text), end_ms: *end_ms });
        while self.annotations.len() > ANNOTATIONS_MAX {
            self.annotations.pop_first();
        }
    }
}

/// How many windows of this size [`HISTORY`] holds.
fn windows_max(size_ms: i64) -> usize {
    let wanted = HISTORY.as_millis() as i64 / size_ms;
    usize::try_from(wanted).unwrap_or(WINDOWS_MAX).clamp(2, WINDOWS_MAX)
}
