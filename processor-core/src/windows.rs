//! The open windows of a task at its three resolutions.

mod rollup;
mod snapshot;

use std::collections::BTreeMap;

use crate::analytics::{Partial, Span, WindowState};
use crate::clock::NOT_BEGUN;
use crate::options::{HOUR, MINUTE, Options};
use crate::point::Resolution;
use crate::tables::Tables;

use rollup::Rollup;
pub(crate) use snapshot::FrozenWindows;

/// A raw window takes events; when it closes, it is folded into its minute, and that into its hour.
#[derive(Debug)]
pub(crate) struct Windows {
    size: i64,
    lateness: i64,
    /// Sorted by start. Few: lateness plus out-of-orderness over the size, and what the slowest input holds open.
    raw: Vec<Open>,
    /// The position in `raw` that took the last event.
    last: usize,
    /// Closed raw windows, emptied, for the next ones.
    spare: Vec<WindowState>,
    minutes: BTreeMap<i64, Rollup>,
    hours: BTreeMap<i64, Rollup>,
    /// Raw windows starting before this have been made, or skipped as there was nothing to say.
    made_until: i64,
}

/// Open windows beyond which refused records open no more before there is a watermark: a day of the default size.
const REFUSED_WINDOWS_MAX: usize = 8_640;

/// Emptied windows kept for reuse.
const SPARE_MAX: usize = 2;

#[derive(Debug, Default)]
struct Open {
    start: i64,
    state: WindowState,
    /// Changed since it was last sent on.
    changed: bool,
}

impl Windows {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            size: options.window_size,
            lateness: options.allowed_lateness,
            raw: Vec::new(),
            last: 0,
            spare: Vec::new(),
            minutes: BTreeMap::new(),
            hours: BTreeMap::new(),
            made_until: NOT_BEGUN,
        }
    }

    /// Whether the window of an event at `time` is closed at `watermark`.
    #[inline]
    pub(crate) fn is_closed(&self, time: i64, watermark: i64) -> bool {
        // Its window ends after the event, so most need no division.
        if time.saturating_add(self.lateness) >= watermark {
            return false;
        }
        self.start_of(time) + self.size + self.lateness <= watermark
    }

    /// Whether two moments lie in the same raw window.
    pub(crate) fn is_same(&self, one: i64, other: i64) -> bool {
        one == other || self.start_of(one) == self.start_of(other)
    }

    /// The last moment of the raw window of `time`.
    pub(crate) fn last_of(&self, time: i64) -> i64 {
        self.start_of(time) + (self.size - 1)
    }

    /// Whether the window of `time` is open, or may be opened for a record that is no event before there is a watermark
    /// by which it would close.
    pub(crate) fn has_room_for(&self, time: i64) -> bool {
        let start = self.start_of(time);
        self.raw.len() < REFUSED_WINDOWS_MAX
            || self.raw.binary_search_by_key(&start, |open| open.start).is_ok()
    }

    #[inline]
    fn start_of(&self, time: i64) -> i64 {
        time - time.rem_euclid(self.size)
    }

    /// The raw window of `time`, opened if need be and marked as changed.
    #[inline]
    pub(crate) fn at(&mut self, time: i64) -> &mut WindowState {
        if let Some(open) = self.raw.get(self.last) {
            let into = time.wrapping_sub(open.start);
            if (0..self.size).contains(&into) {
                let open = &mut self.raw[self.last];
                open.changed = true;
                return &mut open.state;
            }
        }
        let start = self.start_of(time);
        self.last = self.position(start);
        let open = &mut self.raw[self.last];
        open.changed = true;
        &mut open.state
    }

    /// Asks for what counting an event will change, if it falls into the window that took the last one.
    #[inline]
    pub(crate) fn ask_for(&self, time: i64, user: Option<u32>, url: Option<u32>) {
        if let Some(open) = self.raw.get(self.last)
            && (0..self.size).contains(&time.wrapping_sub(open.start))
        {
            open.state.traffic.ask_for(user, url);
        }
    }

    fn position(&mut self, start: i64) -> usize {
        match self.raw.binary_search_by_key(&start, |open| open.start) {
            Ok(at) => at,
            Err(at) => {
                let state = self.spare.pop().unwrap_or_default();
                self.raw.insert(at, Open { start, state, changed: false });
                at
            }
        }
    }

    /// Whether `time` lies past the last window made.
    #[inline]
    pub(crate) fn is_new(&self, time: i64) -> bool {
        time >= self.made_until
    }

    /// Opens the windows up to the one of `present`, so that zeros are written for those without an event: as far
    /// as there are series or currencies to write them for, an hour after the last use of any. What is further is still to be made,
    /// as an event that comes late can be of a series that there was none of.
    pub(crate) fn make_to(&mut self, present: i64, watermark: i64, tables: &Tables) {
        let last = self.start_of(present);
        let mut start = if self.made_until == NOT_BEGUN { last } else { self.made_until };
        while start <= last && tables.any_alive(start) {
            if !self.is_closed(start, watermark) {
                let at = self.position(start);
                self.raw[at].changed = true;
            }
            start += self.size;
            self.made_until = start;
        }
        self.last = 0;
    }

    /// An event of the window of `time`, which is new, comes next: its own series has no zeros before it.
    pub(crate) fn begin(&mut self, time: i64, watermark: i64, tables: &Tables) {
        self.make_to(time, watermark, tables);
        self.made_until = self.start_of(time) + self.size;
    }

    /// Closes what the watermark has passed, the finest first, and hands on what changed since it was last sent.
    pub(crate) fn close(
        &mut self,
        watermark: i64,
        tables: &Tables,
        mut out: impl FnMut(Resolution, i64, Partial<'_>),
    ) {
        let closed = |start: i64, size: i64| start + size + self.lateness <= watermark;
        let done = self.raw.iter().take_while(|open| closed(open.start, self.size)).count();
        for mut open in self.raw.drain(..done) {
            if open.changed {
                out(Resolution::Raw, open.start, open.state.partial(tables, span(open.start, self.size)));
            }
            fold_into(&mut self.minutes, MINUTE, open.start, open.changed, &open.state);
            if open.changed {
                mark(&mut self.hours, open.start, HOUR); // the minute may be sent on before it is folded
            }
            if self.spare.len() < SPARE_MAX {
                open.state.clear();
                self.spare.push(open.state);
            }
        }
        self.last = 0;
        while let Some(entry) = self.minutes.first_entry().filter(|entry| closed(*entry.key(), MINUTE)) {
            let open = entry.remove();
            let (start, changed) = (open.start, open.changed);
            let state = open.into_whole();
            if changed {
                out(Resolution::Minute, start, state.partial(tables, span(start, MINUTE)));
            }
            fold_into(&mut self.hours, HOUR, start, changed, &state);
        }
        while let Some(entry) = self.hours.first_entry().filter(|entry| closed(*entry.key(), HOUR)) {
            let open = entry.remove();
            if open.changed {
                let start = open.start;
                out(Resolution::Hour, start, open.into_whole().partial(tables, span(start, HOUR)));
            }
        }
    }

    /// Hands on the live values of the changed raw windows.
    pub(crate) fn live_raw(&mut self, tables: &Tables, mut out: impl FnMut(Resolution, i64, Partial<'_>)) {
        for open in self.raw.iter_mut().filter(|open| open.changed) {
            open.changed = false;
            out(Resolution::Raw, open.start, open.state.partial(tables, span(open.start, self.size)));
            // Its minute and hour now differ from what was sent of them.
            mark(&mut self.minutes, open.start, MINUTE);
            mark(&mut self.hours, open.start, HOUR);
        }
    }

    /// Hands on the live values of the changed rollups of a resolution.
    pub(crate) fn live_rollups(
        &mut self,
        resolution: Resolution,
        tables: &Tables,
        mut out: impl FnMut(Resolution, i64, Partial<'_>),
    ) {
        let (rollups, size) = match resolution {
            Resolution::Hour => (&mut self.hours, HOUR),
            Resolution::Raw | Resolution::Minute => (&mut self.minutes, MINUTE),
        };
        let mut changed = Vec::new();
        for (start, open) in rollups.iter_mut().filter(|(_, open)| open.changed) {
            open.changed = false;
            changed.push(*start);
        }
        for start in changed {
            out(resolution, start, self.rolled_up(resolution, start).partial(tables, span(start, size)));
        }
    }

    /// A rollup's state as of now: what was folded into it and what is still open below it.
    fn rolled_up(&self, resolution: Resolution, start: i64) -> WindowState {
        let (size, folded) = match resolution {
            Resolution::Hour => (HOUR, &self.hours),
            Resolution::Raw | Resolution::Minute => (MINUTE, &self.minutes),
        };
        let mut state = WindowState::default();
        let mut parts = folded.get(&start).into_iter().flat_map(Rollup::parts);
        if let Some(first) = parts.next() {
            state.clone_from(first);
        }
        parts.for_each(|part| state.fold(part));
        if resolution == Resolution::Hour {
            let minutes = self.minutes.range(start..start + size);
            minutes.flat_map(|(_, minute)| minute.parts()).for_each(|part| state.fold(part));
        }
        for open in self.raw.iter().filter(|open| (start..start + size).contains(&open.start)) {
            state.fold(&open.state);
        }
        state
    }

    /// Drops what began before `start`: after a replay, windows whose beginning it did not see.
    pub(crate) fn drop_before(&mut self, start: i64) {
        self.raw.retain(|open| open.start >= start);
        self.minutes.retain(|at, _| *at >= start);
        self.hours.retain(|at, _| *at >= start);
        self.last = 0;
    }

    /// Open windows over all resolutions.
    pub(crate) fn len(&self) -> usize {
        self.raw.len() + self.minutes.len() + self.hours.len()
    }

    /// Estimated bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let rollups = self.minutes.values().chain(self.hours.values()).map(Rollup::bytes);
        self.raw.iter().map(|open| open.state.bytes()).chain(rollups).sum()
    }
}

fn span(start: i64, size: i64) -> Span {
    Span { start, end: start + size }
}

fn fold_into(
    rollups: &mut BTreeMap<i64, Rollup>,
    size: i64,
    part_start: i64,
    changed: bool,
    part: &WindowState,
) {
    let start = part_start - part_start.rem_euclid(size);
    let rollup = rollups.entry(start).or_insert_with(|| Rollup::new(start));
    rollup.changed |= changed;
    rollup.fold(part);
}

fn mark(rollups: &mut BTreeMap<i64, Rollup>, of: i64, size: i64) {
    let start = of - of.rem_euclid(size);
    rollups.entry(start).or_insert_with(|| Rollup::new(start)).changed = true;
}
