//! Stage 1: one task per partition number of the inputs.

mod by_user;
mod extent;
mod input;
mod interface;
mod output;
mod report;
mod snapshot;
mod state;

use std::sync::Arc;

use events::{Reason, Rejection, Timestamp};

use crate::ahead::{Prepared, look_ahead};
use crate::analytics::quality::Uncounted;
use crate::checkpoint::Checkpoint;
use crate::clock::NOT_BEGUN;
use crate::dedup::Dedup;
use crate::headers::Headers;
use crate::kafka_time::{kafka_time, latest_time};
use crate::options::{Options, OptionsError, SECOND};
use crate::planted::{PlantedBug, is_planted};
use crate::point::Resolution;
use crate::reorder::Source;
use crate::wire::{Freshness, Position, encode_partial};

use extent::{complete_from, needed_from, settled};
use input::Input;
pub use interface::{
    Beyond, Cut, DeadLetter, InputReport, LateRecord, NoteTotals, OutputsLen, PartialRecord, Record,
    TaskIdentity, TaskOutputs, TaskReport, TaskTotals,
};
use output::{Emission, Speaker};
pub(crate) use snapshot::FrozenTask;
use state::{Counted, State};

/// The state machine of one partition number.
///
/// It reads no clock: `now` is an input. Its state is a function of its logs and of the jumps that the wall clock made
/// (see `jumps`): things happen at the record with which a watermark comes to another second, not at the ends of
/// batches or at ticks. With several inputs it is their interleaving, too, that decides which names come too late to
/// be kept apart, and nothing else.
#[derive(Debug)]
pub struct Task {
    identity: TaskIdentity,
    options: Arc<Options>,
    inputs: Vec<Input>,
    state: State,
    totals: TaskTotals,
    /// By resolution.
    emitted: [Emission; 3],
    fresh: Freshness,
    forgotten_at: i64,
    /// What this watermark closes was final when it was committed.
    settled: i64,
    /// Windows that began before this are not handed out: their beginnings were not seen.
    complete_from: i64,
    /// How many of them have closed.
    withheld: u64,
    /// Closed during a replay, but not settled: handed out after it, as only then the position is past the committed.
    held: Vec<(Resolution, i64, Vec<u8>)>,
}

/// Records decoded and looked up ahead of their turn: enough for memory to answer, and few enough for two blocks and what
/// was asked for to stay in the first-level cache.
const BLOCK: usize = 24;

impl Task {
    /// Starts a task from the commits of its inputs, in the order of [`Options::task_topics`].
    ///
    /// The shell then feeds records from `checkpoint.replay.offset` on.
    ///
    /// # Errors
    /// If the options are not valid.
    pub fn new(
        options: Arc<Options>,
        identity: TaskIdentity,
        starts: &[Checkpoint],
        now: Timestamp,
    ) -> Result<Self, OptionsError> {
        options.validate()?;
        let inputs = Input::all(&options, starts, now)?;
        let state = State::new(&options);
        let settled = settled(starts);
        let complete_from = complete_from(&options, starts);
        Ok(Self {
            identity,
            options,
            inputs,
            state,
            totals: TaskTotals::default(),
            emitted: [Emission::NEVER; 3],
            fresh: Freshness::default(),
            forgotten_at: NOT_BEGUN,
            settled,
            complete_from,
            withheld: 0,
            held: Vec::new(),
        })
    }

    /// Takes records of one input, in offset order.
    pub fn records<'a>(
        &mut self,
        input: usize,
        now: Timestamp,
        records: impl IntoIterator<Item = Record<'a>>,
        out: &mut TaskOutputs,
    ) {
        self.inputs[input].attention_at = i64::MIN;
        let counted = self.totals.counted;
        let mut records = records.into_iter();
        let mut block = Vec::with_capacity(BLOCK);
        let mut next = Vec::with_capacity(BLOCK);
        self.decode(input, records.by_ref().take(BLOCK), &mut block);
        while !block.is_empty() {
            look_ahead(&mut block, &self.state.tables, &self.state.windows);
            // Between the two, what is asked for has the time of a block to come.
            self.decode(input, records.by_ref().take(BLOCK), &mut next);
            for (record, prepared) in &block {
                if record.offset >= self.inputs[input].attention_at {
                    self.attend(input, record.offset, out);
                }
                if record.offset < self.inputs[input].replay_until {
                    self.record(input, record, prepared.as_ref(), None);
                } else {
                    self.totals.consumed += 1;
                    self.fresh.add(kafka_time(record.timestamp_ms));
                    self.record(input, record, prepared.as_ref(), Some(out));
                }
                if self.inputs[input].clock.is_turn() {
                    self.turn(input, out);
                }
            }
            std::mem::swap(&mut block, &mut next);
        }
        if self.totals.counted > counted || is_planted(PlantedBug::AwakeByAnything) {
            self.inputs[input].clock.active(now.micros());
        }
    }

    /// Before the record at `offset`: the first of a batch, the end of the replay, or one at which a replay jumps.
    #[cold]
    fn attend(&mut self, at: usize, offset: i64, out: &mut TaskOutputs) {
        let input = &mut self.inputs[at];
        let mut jumped = input.clock.replay_jumps(offset);
        if offset >= input.replay_until {
            if input.replay_until != i64::MIN {
                self.end_replay(at, out);
            }
            jumped |= self.inputs[at].clock.wake(offset, self.state.watermark);
        }
        if jumped {
            // As ticks have done it already where the jump is of now, and not replayed.
            let clock = &self.inputs[at].clock;
            let State { windows, tables, .. } = &mut self.state;
            if windows.is_new(clock.present()) {
                windows.make_to(clock.present(), clock.watermark, tables);
            }
            self.advance(out);
        }
        let input = &mut self.inputs[at];
        let replay_end = if input.replay_until == i64::MIN { i64::MAX } else { input.replay_until };
        input.attention_at = input.clock.jumps.next_offset().min(replay_end);
    }

    /// The log of an input has brought its watermark to another second.
    #[cold]
    fn turn(&mut self, at: usize, out: &mut TaskOutputs) {
        let input = &mut self.inputs[at];
        input.clock.turned();
        if input.whole_from == i64::MAX && input.clock.greatest() != NOT_BEGUN {
            // What was read of it before was not later than this, as far as it was in order.
            let whole_from = input.clock.greatest().saturating_add(self.options.out_of_orderness);
            self.complete_from = self.complete_from.max(whole_from);
            input.whole_from = self.complete_from;
        }
        if input.by_user.is_none() {
            input.replay_points.note(input.next_offset, &input.clock);
        }
        self.advance(out);
        // By the logs alone: what the wall clock adds may be forgotten itself where it decided nothing.
        let logs = self.inputs.iter().map(|input| input.clock.own()).max().unwrap_or(NOT_BEGUN);
        let seen = whole_seconds(logs).min(self.state.watermark);
        if seen != NOT_BEGUN && seen - self.options.window_size >= self.forgotten_at {
            self.forgotten_at = seen;
            self.state.checkouts.expire_before(seen);
            self.state.tables.forget(seen, self.options.attribution_lookback);
        }
    }

    /// Decodes the plain ones of a block of records, and asks for what they will be looked up in.
    #[inline]
    fn decode<'a>(
        &mut self,
        at: usize,
        records: impl Iterator<Item = Record<'a>>,
        block: &mut Vec<(Record<'a>, Option<Prepared<'a>>)>,
    ) {
        let Self { inputs, state, .. } = self;
        let Input { decoder, dedup, .. } = &mut inputs[at];
        block.clear();
        for record in records {
            let plain = record.value.and_then(|value| decoder.decode_plain(value));
            // Made in its place, as it is 192 bytes to copy otherwise.
            block.push((record, None));
            if let (Some(plain), Some((_, prepared))) = (&plain, block.last_mut()) {
                let prepared = prepared.insert(Prepared::plain(plain));
                prepared.ask_for(dedup, &state.tables);
            }
        }
    }

    #[inline]
    fn record(
        &mut self,
        at: usize,
        record: &Record<'_>,
        plain: Option<&Prepared<'_>>,
        out: Option<&mut TaskOutputs>,
    ) {
        let Self { identity, inputs, state, options, totals, .. } = self;
        let Input { decoder, clock, next_offset, dedup, replay_points, .. } = &mut inputs[at];
        *next_offset = record.offset + 1;
        let latest = latest_time(record.timestamp_ms, options.max_future_skew);
        let slowly;
        let decoded = match plain {
            Some(plain) => Ok(plain),
            None => {
                // The fast path has been asked.
                slowly = decoder.decode_slowly(record.value).map(|event| Prepared::event(&event));
                slowly.as_ref()
            }
        };
        let rejection = match decoded {
            Ok(event) if event.time <= latest => {
                let counted = state.event(
                    event,
                    clock,
                    dedup,
                    Source::new(at, identity.partition),
                    record.offset,
                    options,
                    totals,
                    out.is_some(),
                );
                if matches!(counted, Counted::Late { .. }) {
                    replay_points.note(*next_offset, clock);
                }
                match (counted, out) {
                    (Counted::Late { by }, Some(out)) => out.late.push(LateRecord {
                        input: at,
                        partition: identity.partition,
                        offset: record.offset,
                        detail: late_by(by),
                        key: record.key.map(<[u8]>::to_vec),
                        value: record.value.map(<[u8]>::to_vec),
                        headers: Headers::default(),
                    }),
                    _ => return,
                }
                return;
            }
            Ok(event) => future(event.time, record.timestamp_ms),
            Err(rejection) => rejection.clone(),
        };
        let moment = clock.moment_of_refused(kafka_time(record.timestamp_ms), &state.windows);
        state.windows.at(moment).quality.count(Uncounted::Rejected(rejection.reason));
        replay_points.note(*next_offset, clock);
        let Some(out) = out else { return };
        totals.rejected += 1;
        totals.rejected_by_reason[rejection.reason as usize] += 1;
        out.dead_letters.push(DeadLetter {
            input: at,
            partition: identity.partition,
            offset: record.offset,
            reason: rejection.reason,
            detail: rejection.detail,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: Headers::default(),
            cut: None,
        });
    }

    /// Every record of an input before `offset` has been read: the markers of transactions take offsets, too.
    ///
    /// Where that lies before the offset that was committed, the topic was cut or made anew, and the replay is over.
    pub fn read_to(&mut self, input: usize, offset: i64) {
        let input = &mut self.inputs[input];
        input.next_offset = input.next_offset.max(offset);
    }

    /// The wall clock moved on. `caught_up` tells for each input whether every record of its partition was read, up to
    /// those of the last moments where they never cease to come; `frontier` is the minimum watermark over all tasks that are not idle.
    pub fn tick(
        &mut self,
        now: Timestamp,
        caught_up: &[bool],
        frontier: Option<Timestamp>,
        out: &mut TaskOutputs,
    ) {
        let frontier = frontier.map_or(NOT_BEGUN, Timestamp::micros);
        for (at, &caught_up) in caught_up.iter().enumerate() {
            if caught_up && self.inputs[at].replay_until != i64::MIN {
                self.end_replay(at, out); // the rest of the replay is gone from the log
            }
            if self.inputs[at].by_user.is_none() {
                self.inputs[at].clock.tick(now.micros(), caught_up, self.options.idle_after, frontier);
            }
        }
        self.advance(out);
        if !self.is_replaying() {
            self.make_windows();
        }
    }

    /// Makes the windows that the inputs have come to, be it by the wall clock.
    fn make_windows(&mut self) {
        let State { windows, tables, watermark, .. } = &mut self.state;
        let present = self.inputs.iter().map(|input| input.clock.present()).max().unwrap_or(NOT_BEGUN);
        if present != NOT_BEGUN && windows.is_new(present) {
            windows.make_to(present, *watermark, tables);
        }
    }

    /// A bounded run is over: decides what waits for the watermark and sends on everything that changed.
    ///
    /// Nothing is closed by this, so a later run that replays the log goes on from where this one was.
    pub fn drain(&mut self, out: &mut TaskOutputs) {
        (0..self.inputs.len()).for_each(|at| self.end_replay(at, out));
        self.state.decide(i64::MAX, &self.options, &mut self.totals);
        for resolution in Resolution::ALL {
            self.emit_resolution(resolution, out);
        }
        self.report_progress(out);
    }

    /// The commits that hold once everything handed out so far is durable, one per input.
    pub fn checkpoints(&mut self) -> Vec<Checkpoint> {
        let needed = needed_from(&self.options, self.state.watermark);
        let task_watermark = self.state.watermark;
        let of = |input: &mut Input| {
            let replay = match &mut input.by_user {
                None => input.replay_points.replay_from(needed),
                Some(by_user) => by_user.replay_from(needed),
            };
            input.clock.jumps.trim(replay);
            Checkpoint {
                next_offset: input.next_offset.max(input.replay_until),
                // An idle input is judged by the task's watermark when it wakes up, be it after a restart.
                watermark: input.clock.watermark.max(task_watermark).max(input.committed_watermark),
                replay,
                jumps: input.clock.jumps.since(replay),
                part: input.part,
                whole_from: input.whole_from,
            }
        };
        self.inputs.iter_mut().map(of).collect()
    }

    fn position(&self) -> Position {
        let offsets = self.inputs.iter().map(|input| input.next_offset).sum();
        Position { offsets, watermark: self.state.watermark }
    }

    fn is_replaying(&self) -> bool {
        self.inputs.iter().any(|input| input.replay_until != i64::MIN)
    }

    fn end_replay(&mut self, at: usize, out: &mut TaskOutputs) {
        let was_replaying = self.is_replaying();
        let input = &mut self.inputs[at];
        input.next_offset = input.next_offset.max(input.replay_until);
        input.replay_until = i64::MIN;
        input.clock.end_replay(input.committed_watermark);
        if is_planted(PlantedBug::DedupLost) {
            input.dedup = Dedup::new(self.options.dedup_window, self.options.event_ids_of_an_input());
        }
        if self.is_replaying() || !was_replaying {
            return;
        }
        self.advance(out);
        // What began before the replay did is incomplete here, and was final when it was committed.
        self.state.windows.drop_before(self.complete_from);
        let position = self.position();
        let (complete_from, speaker) =
            (self.complete_from, Speaker { identity: &self.identity, part: self.inputs[0].part.key() });
        let held = std::mem::take(&mut self.held).into_iter().filter(|(_, start, _)| *start >= complete_from);
        out.partials.extend(held.map(|(of, start, partial)| speaker.window(of, start, position, &partial)));
    }

    /// Moves the task's watermark to another second and does what that allows: decide facts, close windows.
    fn advance(&mut self, out: &mut TaskOutputs) {
        let active = self.inputs.iter().filter(|input| !input.is_idle()).map(|input| input.clock.watermark);
        let all = self.inputs.iter().map(|input| input.clock.watermark);
        let watermark = active.min().or(all.max()).expect("a task has an input");
        // Which part of one a silence has come to is nothing that a replay could know.
        let watermark = whole_seconds(watermark);
        if watermark <= self.state.watermark {
            return;
        }
        self.state.watermark = watermark;
        self.state.decide(watermark, &self.options, &mut self.totals);
        let (replaying, position) = (self.is_replaying(), self.position()); // with the new watermark
        let Self { identity, state, options, settled, held, complete_from, withheld, .. } = self;
        let identity = Speaker { identity, part: self.inputs[0].part.key() };
        let State { windows, tables, .. } = state;
        windows.close(watermark, tables, |resolution, start, partial| {
            if start < *complete_from {
                *withheld += u64::from(!replaying);
                return;
            }
            if start + options.size_of(resolution) + options.allowed_lateness <= *settled {
                return;
            }
            if replaying {
                held.push((resolution, start, encode_partial(&partial)));
            } else {
                out.partials.push(identity.window(resolution, start, position, &encode_partial(&partial)));
            }
        });
    }
}

/// The second that a watermark lies in, as its first microsecond; `NOT_BEGUN` is the least there is.
fn whole_seconds(watermark: i64) -> i64 {
    watermark.div_euclid(SECOND).saturating_mul(SECOND)
}

/// Why an event of the future is none.
fn future(time: i64, timestamp_ms: i64) -> Rejection {
    let kafka = kafka_time(timestamp_ms).unwrap_or_default();
    let ahead = (time - kafka).div_euclid(1_000);
    Rejection {
        reason: Reason::FutureTimestamp,
        detail: format!("the event time is {ahead} ms after the broker's timestamp"),
    }
}

/// How late an event is, for people.
fn late_by(micros: i64) -> String {
    format!("{}.{:03} s after its window closed", micros / 1_000_000, micros / 1_000 % 1_000)
}
