//! One input of a task: where it is read, what it has counted, how far it is.

use events::{Decoder, Timestamp};

use super::by_user::ByUser;
use crate::checkpoint::Checkpoint;
use crate::clock::{InputClock, ReplayPoints};
use crate::dedup::Dedup;
use crate::options::{InputOptions, Options, OptionsError};
use crate::parts::Part;

#[derive(Debug)]
pub(super) struct Input {
    pub(super) decoder: Decoder,
    pub(super) clock: InputClock,
    pub(super) replay_points: ReplayPoints,
    pub(super) next_offset: i64,
    /// Records before this offset rebuild state and have no outputs; `i64::MIN` once the replay is over.
    pub(super) replay_until: i64,
    /// Before the first record at or after this offset there is something to do: see `Task::attend`.
    pub(super) attention_at: i64,
    /// The watermark as committed, which the wall clock may have moved.
    pub(super) committed_watermark: i64,
    pub(super) part: Part,
    /// Windows that start before this lack events of this input; `i64::MAX` until the first one has come.
    pub(super) whole_from: i64,
    pub(super) dedup: Dedup,
    /// Of the last input, where there are inputs to re-key; then it has the decoders and ids, and not those above.
    pub(super) by_user: Option<Box<ByUser>>,
}

impl Input {
    /// Those of a task, in the order of [`Options::task_topics`].
    pub(super) fn all(
        options: &Options,
        starts: &[Checkpoint],
        now: Timestamp,
    ) -> Result<Vec<Self>, OptionsError> {
        let keyed = options.inputs.iter().zip(starts);
        let mut inputs = keyed
            .map(|(input, start)| Self::new(input, start, options, now))
            .collect::<Result<Vec<_>, _>>()?;
        if let (Some(rekeyed), Some(start)) = (&options.rekeyed, starts.get(options.inputs.len())) {
            inputs.push(Self::by_user(rekeyed, start, options, now)?);
        }
        Ok(inputs)
    }

    /// Ids kept for deduplication, and their bytes.
    pub(super) fn dedup_size(&self) -> (usize, usize) {
        match &self.by_user {
            None => (self.dedup.len(), self.dedup.bytes()),
            Some(by_user) => by_user.dedup_size(),
        }
    }

    pub(super) fn ids_forgotten(&self) -> u64 {
        self.by_user.as_ref().map_or_else(|| self.dedup.forgotten(), |by_user| by_user.ids_forgotten())
    }

    pub(super) fn new(
        options: &InputOptions,
        start: &Checkpoint,
        all: &Options,
        now: Timestamp,
    ) -> Result<Self, OptionsError> {
        let decoder = options.decoder()?;
        let from = start.replay;
        let mut clock = InputClock::new(all.out_of_orderness, from.watermark, &start.jumps, now.micros());
        let replay = from.offset < start.next_offset;
        if !replay {
            clock.end_replay(start.watermark);
        }
        Ok(Self {
            decoder,
            clock,
            replay_points: ReplayPoints::new(from, all.window_size),
            next_offset: from.offset,
            replay_until: if replay { start.next_offset } else { i64::MIN },
            attention_at: i64::MIN,
            committed_watermark: start.watermark,
            part: start.part,
            whole_from: start.whole_from,
            dedup: Dedup::new(all.dedup_window, all.event_ids_of_an_input()),
            by_user: None,
        })
    }
}
