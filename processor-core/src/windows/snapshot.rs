use super::rollup::Shared;
use super::{Open, Rollup, Windows, mark};
use crate::analytics::WindowState;
use crate::options::HOUR;
use crate::snapshot::codec::{Reader, Writer};
use crate::tables::{AllRanks, AllSlots};

/// The open windows as they were.
#[derive(Debug)]
pub(crate) struct FrozenWindows {
    raw: Vec<(i64, WindowState)>,
    rollups: [Vec<(i64, Shared)>; 2],
    /// Raw windows from here on are still to be made.
    made_until: i64,
}

impl Windows {
    /// Copies the raw windows and shares the others.
    pub(crate) fn freeze(&self) -> FrozenWindows {
        let share = |(start, open): (&i64, &Rollup)| (*start, open.share());
        FrozenWindows {
            raw: self.raw.iter().map(|open| (open.start, open.state.clone())).collect(),
            rollups: [self.minutes.iter().map(share).collect(), self.hours.iter().map(share).collect()],
            made_until: self.made_until,
        }
    }

    /// Reads what [`FrozenWindows::save`] wrote into these, of which none is open. All count as changed.
    pub(crate) fn load(&mut self, reader: &mut Reader<'_>, slots: &AllSlots) -> Option<()> {
        self.made_until = reader.signed()?;
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
                rollups.insert(start, Rollup::loaded(start, WindowState::load(reader, slots)?));
            }
        }
        // An hour that has nothing but minutes was not written.
        for minute in self.minutes.keys() {
            mark(&mut self.hours, *minute, HOUR);
        }
        Some(())
    }
}

impl FrozenWindows {
    /// Writes all raw windows, and the others that have something in them.
    pub(crate) fn save(&self, writer: &mut Writer, ranks: &AllRanks) {
        writer.signed(self.made_until);
        writer.count(self.raw.len());
        for (start, state) in &self.raw {
            writer.signed(*start);
            state.save(writer, ranks);
        }
        for rollups in &self.rollups {
            // An empty one says nothing that its last raw window, which closes no earlier, does not say.
            let whole = rollups.iter().map(|(start, of)| (start, of.clone().into_whole()));
            let rollups: Vec<_> = whole.filter(|(_, state)| !state.is_empty()).collect();
            writer.count(rollups.len());
            for (start, state) in rollups {
                writer.signed(*start);
                state.save(writer, ranks);
            }
        }
    }
}
