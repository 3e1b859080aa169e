//! A task's state frozen, encoded, and back.

use std::sync::Arc;

use events::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::by_user::FrozenByUser;
use super::state::State;
use super::{Emission, Input, Task, TaskIdentity, TaskTotals, needed_from, settled};
use crate::analytics::first_click::{Campaign, Line};
use crate::checkpoint::Checkpoint;
use crate::clock::{InputClock, NOT_BEGUN, Reached, ReplayPoint, ReplayPoints};
use crate::dedup::{Dedup, FrozenDedup};
use crate::jumps::{Jump, Jumps};
use crate::options::Options;
use crate::parts::Part;
use crate::planted::{PlantedBug, is_planted};
use crate::reorder::{KeyedEvent, KeyedKind, NO_PRODUCT, Source};
use crate::snapshot::codec::{Reader, Writer};
use crate::snapshot::{Opened, SnapshotError, TaskSnapshot, fingerprint};
use crate::tables::{AllRanks, AllSlots, FrozenTables};
use crate::windows::FrozenWindows;
use crate::wire::Freshness;

/// Everything of a task that its log decided.
#[derive(Debug)]
pub(crate) struct FrozenTask {
    watermark: i64,
    forgotten_at: i64,
    /// Clicks before this are out of every later checkout's lookback.
    clicks_from: i64,
    inputs: Vec<FrozenInput>,
    windows: FrozenWindows,
    reordering: Vec<KeyedEvent>,
    checkouts: FrozenDedup,
    tables: FrozenTables,
}

#[derive(Debug)]
struct FrozenInput {
    greatest: i64,
    uncounted: i64,
    watermark: i64,
    points: Vec<Reached>,
    jumps: Vec<Jump>,
    mattered: bool,
    dedup: FrozenDedup,
    by_user: Option<FrozenByUser>,
}

impl Task {
    /// Freezes the state as of the records read so far; `None` during a replay, whose beginning is incomplete.
    ///
    /// Made to be cheap for the thread that calls it: what is large and changes seldom is shared and copied later, where
    /// it changes. The rest is copied: ids, counts of the raw windows, and four bytes a name.
    pub fn snapshot(&mut self) -> Option<TaskSnapshot> {
        if self.is_replaying() {
            return None;
        }
        self.make_windows();
        let Self { identity, options, inputs, state, forgotten_at, .. } = self;
        let needed = needed_from(options, state.watermark);
        let task = FrozenTask {
            watermark: state.watermark,
            forgotten_at: *forgotten_at,
            clicks_from: state.watermark.saturating_sub(options.attribution_lookback),
            inputs: inputs.iter().map(|input| input.freeze(options, needed)).collect(),
            windows: state.windows.freeze(),
            reordering: state.reorder.held(),
            checkouts: state.checkouts.freeze(state.watermark),
            tables: state.tables.freeze(),
        };
        Some(TaskSnapshot {
            fingerprint: fingerprint(options, identity)
                ^ counted(inputs.iter().map(|input| (input.part, input.whole_from))),
            offsets: inputs.iter().map(|input| input.next_offset).collect(),
            task,
        })
    }

    /// Starts a task from a snapshot and the commits of its inputs, as [`Task::new`] does from the commits alone.
    ///
    /// The shell then feeds records from [`Task::read_from`] on. Up to the committed offsets they have no outputs; after
    /// that everything open is handed out again once.
    ///
    /// # Errors
    /// A snapshot that does not fit, for which nothing is restored: [`Task::new`] is what remains.
    pub fn restore(
        options: Arc<Options>,
        identity: TaskIdentity,
        bytes: &[u8],
        starts: &[Checkpoint],
        now: Timestamp,
    ) -> Result<Self, SnapshotError> {
        let opened = Opened::open(bytes)?;
        let counted = counted(starts.iter().map(|start| (start.part, start.whole_from)));
        let fingerprint = fingerprint(&options, &identity) ^ counted;
        if opened.fingerprint != fingerprint || opened.offsets.len() != starts.len() {
            return Err(SnapshotError::OtherSettings);
        }
        for (input, (&snapshot, start)) in opened.offsets.iter().zip(starts).enumerate() {
            let (committed, replay) = (start.next_offset, start.replay.offset);
            if snapshot > committed {
                return Err(SnapshotError::AheadOfCommit { input, snapshot, committed });
            }
            if snapshot < replay {
                return Err(SnapshotError::TooOld { input, snapshot, replay });
            }
        }
        let body = opened.body()?;
        let task = Self::load(options, identity, &mut Reader::new(&body), &opened.offsets, starts, now)
            .ok_or(SnapshotError::Damaged)?;
        let starts = starts.iter().zip(&opened.offsets);
        for (at, (input, (start, &offset))) in task.inputs.iter().zip(starts).enumerate() {
            let committed = if offset == start.next_offset {
                start.watermark
            } else {
                let jumps = start.jumps.iter().filter(|jump| jump.offset <= offset);
                jumps.map(|jump| jump.watermark).fold(input.clock.own(), i64::max)
            };
            if input.clock.watermark.max(task.state.watermark) > committed {
                return Err(SnapshotError::WatermarkAhead { input: at });
            }
        }
        Ok(task)
    }

    /// The first offset to be fed to a task that was just made, of an input.
    #[must_use]
    pub fn read_from(&self, input: usize) -> i64 {
        self.inputs[input].next_offset
    }

    fn load(
        options: Arc<Options>,
        identity: TaskIdentity,
        reader: &mut Reader<'_>,
        offsets: &[i64],
        starts: &[Checkpoint],
        now: Timestamp,
    ) -> Option<Self> {
        let mut state = State::new(&options);
        state.watermark = reader.signed()?;
        let forgotten_at = reader.signed()?;
        let slots = state.tables.load(reader, forgotten_at)?;
        let mut inputs = Vec::new();
        let fresh = Input::all(&options, starts, now).ok()?;
        for ((input, start), &offset) in fresh.into_iter().zip(starts).zip(offsets) {
            let mut input = input.resume(&options, reader, start, offset, now)?;
            if is_planted(PlantedBug::DedupLost) {
                input.dedup = Dedup::new(options.dedup_window, options.event_ids_of_an_input());
            }
            inputs.push(input);
        }
        state.windows.load(reader, &slots)?;
        for _ in 0..reader.count()? {
            state.reorder.push(load_event(reader, &slots)?);
        }
        state.checkouts.load(reader)?;
        reader.is_empty().then_some(())?;
        Some(Self {
            identity,
            options,
            inputs,
            state,
            totals: TaskTotals::default(),
            emitted: [Emission::NEVER; 3],
            fresh: Freshness::default(),
            forgotten_at,
            settled: settled(starts),
            // Windows of a snapshot are whole, but for those that the part never saw whole.
            complete_from: starts
                .iter()
                .map(|start| start.whole_from)
                .filter(|from| *from != i64::MAX)
                .max()?,
            withheld: 0,
            held: Vec::new(),
        })
    }
}

/// What of its log a state covers: that of another part is another one, at whatever offsets, and so is that of a part
/// that was begun again in the middle of the log, from where on other events were late and other ids known.
fn counted(mut inputs: impl Iterator<Item = (Part, i64)>) -> u64 {
    let Some((part, first)) = inputs.next() else { return 0 };
    let whole_from = inputs.map(|(_, whole_from)| whole_from.to_le_bytes());
    let all = [part.key().to_le_bytes(), first.to_le_bytes()].into_iter().chain(whole_from);
    xxh3_64(&all.flatten().collect::<Vec<u8>>())
}

impl Input {
    fn freeze(&self, options: &Options, needed_from: i64) -> FrozenInput {
        let points = self.replay_points.needed(needed_from);
        let watermark = self.clock.watermark;
        let floor = watermark.saturating_sub(options.allowed_lateness + options.window_size);
        let by_user = self.by_user.as_ref().map(|by_user| by_user.freeze(needed_from, floor));
        let points = by_user
            .as_ref()
            .map_or(points, |by_user| vec![Reached { point: by_user.first(), reach: NOT_BEGUN }]);
        FrozenInput {
            greatest: self.clock.greatest(),
            uncounted: self.clock.uncounted(),
            watermark,
            jumps: self.clock.jumps.needed(points[0].point),
            points,
            mattered: self.clock.jumps.mattered(),
            dedup: self.dedup.freeze(floor),
            by_user,
        }
    }

    /// Goes on where the snapshot's input stood, with the jumps that lie between it and the commit ahead.
    fn resume(
        self,
        options: &Options,
        reader: &mut Reader<'_>,
        start: &Checkpoint,
        offset: i64,
        now: Timestamp,
    ) -> Option<Self> {
        let (greatest, uncounted, watermark) = (reader.signed()?, reader.signed()?, reader.signed()?);
        let point = |reader: &mut Reader<'_>| {
            let point = ReplayPoint { offset: reader.signed()?, watermark: reader.signed()? };
            Some(Reached { point, reach: reader.signed()? })
        };
        let points = (0..reader.count()?).map(|_| point(reader)).collect::<Option<Vec<_>>>()?;
        let jump =
            |reader: &mut Reader<'_>| Some(Jump { offset: reader.signed()?, watermark: reader.signed()? });
        let jumps = (0..reader.count()?).map(|_| jump(reader)).collect::<Option<Vec<_>>>()?;
        let mattered = reader.number()? == 1;
        let mut dedup = self.dedup;
        dedup.load(reader)?;
        let mut by_user = self.by_user;
        if let Some(by_user) = &mut by_user {
            by_user.load(reader)?;
        }
        if points.is_empty() {
            return None;
        }
        let ahead = start.jumps.iter().copied().filter(|jump| jump.offset >= offset);
        let jumps = Jumps::resumed(jumps, mattered, ahead);
        let mut clock = InputClock::resumed(
            options.out_of_orderness,
            (greatest, uncounted),
            watermark,
            jumps,
            now.micros(),
        );
        let replay = offset < start.next_offset;
        if !replay {
            clock.end_replay(start.watermark);
        }
        Some(Self {
            clock,
            replay_points: ReplayPoints::resumed(points, options.window_size),
            next_offset: offset,
            replay_until: if replay { start.next_offset } else { i64::MIN },
            dedup,
            by_user,
            ..self
        })
    }
}

impl FrozenTask {
    /// The body of the snapshot.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.signed(self.watermark);
        writer.signed(self.forgotten_at);
        let ranks = self.tables.save(self.clicks_from, &mut writer);
        for input in &self.inputs {
            input.save(&mut writer);
        }
        self.windows.save(&mut writer, &ranks);
        let mut held: Vec<&KeyedEvent> = self.reordering.iter().collect();
        held.sort_unstable_by_key(|event| event.order());
        writer.count(held.len());
        held.iter().for_each(|event| save_event(event, &mut writer, &ranks));
        self.checkouts.save(&mut writer);
        writer.bytes
    }
}

impl FrozenInput {
    fn save(&self, writer: &mut Writer) {
        writer.signed(self.greatest);
        writer.signed(self.uncounted);
        writer.signed(self.watermark);
        writer.count(self.points.len());
        for Reached { point, reach } in &self.points {
            writer.signed(point.offset);
            writer.signed(point.watermark);
            writer.signed(*reach);
        }
        writer.count(self.jumps.len());
        for jump in &self.jumps {
            writer.signed(jump.offset);
            writer.signed(jump.watermark);
        }
        writer.number(u64::from(self.mattered && !self.jumps.is_empty()));
        self.dedup.save(writer);
        if let Some(by_user) = &self.by_user {
            by_user.save(writer);
        }
    }
}

fn save_event(event: &KeyedEvent, writer: &mut Writer, ranks: &AllRanks) {
    writer.signed(event.time);
    writer.signed(event.offset);
    writer.number(event.source.0.into());
    writer.number(ranks.users.of(event.user).into());
    // One more than its rank; 0 where there is none.
    writer.number(match event.product {
        NO_PRODUCT => 0,
        product => u64::from(ranks.products.of(product)) + 1,
    });
    match event.kind {
        KeyedKind::Click { campaign } => {
            writer.number(0);
            campaign.save(writer, ranks);
        }
        KeyedKind::Checkout(Line { amount_cents, currency, is_first }) => {
            writer.number(1 + u64::from(is_first));
            writer.signed(amount_cents);
            writer.number(ranks.currencies.of(currency).into());
        }
    }
}

fn load_event(reader: &mut Reader<'_>, slots: &AllSlots) -> Option<KeyedEvent> {
    Some(KeyedEvent {
        time: reader.signed()?,
        offset: reader.signed()?,
        source: Source(reader.small()?),
        user: *slots.users.get(reader.small::<usize>()?)?,
        product: match reader.small::<usize>()? {
            0 => NO_PRODUCT,
            above => *slots.products.get(above - 1)?,
        },
        kind: match reader.number()? {
            0 => KeyedKind::Click { campaign: Campaign::load(reader, &slots.campaigns)? },
            above @ (1 | 2) => KeyedKind::Checkout(Line {
                amount_cents: reader.signed()?,
                currency: *slots.currencies.get(reader.small::<usize>()?)?,
                is_first: above == 2,
            }),
            _ => return None,
        },
    })
}
