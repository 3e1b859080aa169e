use std::sync::Arc;

use super::{Open, Rollup, Windows};
use crate::analytics::WindowState;
use crate::clock::NOT_BEGUN;
use crate::snapshot::codec::{Reader, Writer};
use crate::tables::{AllRanks, AllSlots};

/// The open windows as they were.
#[derive(Debug)]
pub(crate) struct FrozenWindows {
    raw: Vec<(i64, WindowState)>,
    rollups: [Vec<(i64, Arc<WindowState>)>; 2],
    /// Raw windows from here on are there for the wall clock's sake, unless they have something in them.
    made_until: i64,
}

impl Windows {
    /// Copies the raw windows and shares the others. `greatest` is the greatest event time of any input.
    pub(crate) fn freeze(&self, greatest: i64) -> FrozenWindows {
        let share = |(start, open): (&i64, &Rollup)| (*start, Arc::clone(&open.state));
        FrozenWindows {
            raw: self.raw.iter().map(|open| (open.start, open.state.clone())).collect(),
            rollups: [self.minutes.iter().map(share).collect(), self.hours.iter().map(share).collect()],
            made_until: self.made_until(greatest),
        }
    }

    fn made_until(&self, greatest: i64) -> i64 {
        if greatest == NOT_BEGUN { NOT_BEGUN } else { self.start_of(greatest) + self.size }
    }

    /// Reads what [`FrozenWindows::save`] wrote into these, of which none is open. All count as changed.
    pub(crate) fn load(&mut self, reader: &mut Reader<'_>, slots: &AllSlots, greatest: i64) -> Option<()> {
        for _ in 0..reader.count()? {
            let (start, state) = (reader.signed()?, WindowState::load(reader, slots)?);
            self.raw.push(Open { start, state, changed: true });
        }
        if !self.raw.is_sorted_by(|a, b| a.start < b.start) {
            return None;
        }
        for rollups in [&mut self.minutes, &mut self.hours] {
            for _ in 0..reader.count()? {
                let start = reader.signed()?;
                let state = Arc::new(WindowState::load(reader, slots)?);
                rollups.insert(start, Rollup { start, state, changed: true });
            }
        }
        self.made_until = self.made_until(greatest);
        Some(())
    }
}

impl FrozenWindows {
    /// Writes the windows that have something in them, and raw ones that the log has come to without any event.
    pub(crate) fn save(&self, writer: &mut Writer, ranks: &AllRanks) {
        let said = |start: i64, state: &WindowState| start < self.made_until || !state.is_empty();
        let raw: Vec<_> = self.raw.iter().filter(|(start, state)| said(*start, state)).collect();
        writer.count(raw.len());
        for (start, state) in raw {
            writer.signed(*start);
            state.save(writer, ranks);
        }
        for rollups in &self.rollups {
            // An empty one says nothing that its last raw window, which closes no earlier, does not say.
            let rollups: Vec<_> = rollups.iter().filter(|(_, state)| !state.is_empty()).collect();
            writer.count(rollups.len());
            for (start, state) in rollups {
                writer.signed(*start);
                state.save(writer, ranks);
            }
        }
    }
}
