//! A task's share of the inputs that are not keyed by user, as it comes through the by-user topic.

use std::collections::VecDeque;

use events::{Decoder, Reason, Rejection, Timestamp};

use super::interface::{Cut, DeadLetter, LateRecord, Record, TaskOutputs};
use super::state::{Counted, State};
use super::{Input, Task, future};
use crate::ahead::Prepared;
use crate::analytics::quality::Uncounted;
use crate::checkpoint::Checkpoint;
use crate::clock::{InputClock, NOT_BEGUN, ReplayPoint};
use crate::dedup::{Dedup, FrozenDedup};
use crate::headers::Headers;
use crate::kafka_time::{kafka_time, latest_time};
use crate::options::{InputOptions, Options, OptionsError, Rekeyed};
use crate::rekey::{Envelope, Original, RelayError, Told};
use crate::reorder::Source as FactSource;
use crate::snapshot::codec::{Reader, Writer};

/// What is known of the sources behind the by-user topic.
///
/// An event is judged by its own source's watermark, which came with it, and by the input's where that is further: a
/// source that was idle did not hold it back. The input's watermark is the least of its sources' that are not idle, as
/// told in the log; it begins when all of them have been heard of.
#[derive(Debug)]
pub(super) struct ByUser {
    feeds: Vec<Feed>,
    /// Stands where the source of the record in hand does.
    judge: InputClock,
    points: VecDeque<Point>,
    /// Points are noted where `reach` comes to another multiple of this.
    step: i64,
    noted: i64,
    /// The greatest moment at which anything counted, over all sources.
    reach: i64,
}

/// One topic behind it.
#[derive(Debug)]
struct Feed {
    topic: String,
    decoder: Decoder,
    dedup: Dedup,
    /// By partition.
    sources: Vec<Source>,
    /// How many of them have to be heard of before event time begins.
    expected: usize,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    /// Records before it are repeats of a relay that was restarted.
    next_offset: i64,
    watermark: i64,
    idle: bool,
    /// Where in the by-user partition it was last told how far the source is; `None`: not yet.
    told_at: Option<i64>,
    /// The id of its topic; 0: not known.
    id: u64,
}

/// Somewhere to replay from. From `replay.offset` on every source is told of again before anything matters: all events
/// before the place where the point was noted are earlier than `reach`.
#[derive(Debug, Clone, Copy)]
struct Point {
    replay: ReplayPoint,
    reach: i64,
}

const NEW: Source = Source { next_offset: i64::MIN, watermark: NOT_BEGUN, idle: false, told_at: None, id: 0 };

impl ByUser {
    fn new(rekeyed: &Rekeyed, start: ReplayPoint, all: &Options) -> Result<Self, OptionsError> {
        let feed = |(input, partitions): (&InputOptions, &u32)| {
            Ok(Feed {
                topic: input.topic.clone(),
                decoder: input.decoder()?,
                dedup: Dedup::new(all.dedup_window, all.event_ids_of_an_input()),
                sources: vec![NEW; *partitions as usize],
                expected: *partitions as usize,
            })
        };
        Ok(Self {
            feeds: rekeyed.inputs.iter().zip(&rekeyed.partitions).map(feed).collect::<Result<_, _>>()?,
            judge: InputClock::new(all.out_of_orderness, NOT_BEGUN, &[], 0),
            points: VecDeque::from([Point { replay: start, reach: NOT_BEGUN }]),
            step: all.window_size,
            noted: i64::MAX,
            reach: NOT_BEGUN,
        })
    }

    /// Notes how far a source is. One that begins again at an earlier offset repeats what is known, unless it is told
    /// to be `anew`.
    fn tell(&mut self, told: &Told<'_>, at: i64) {
        let Some(feed) = self.feeds.iter_mut().find(|feed| feed.topic == told.topic) else { return };
        let source = feed.source(told.partition);
        let other_topic = told.id != 0 && source.id != 0 && told.id != source.id;
        if told.anew || other_topic {
            source.next_offset = told.next_offset;
        } else if told.next_offset < source.next_offset && source.told_at.is_some() {
            return;
        }
        source.next_offset = source.next_offset.max(told.next_offset);
        source.watermark = source.watermark.max(told.watermark);
        source.idle = told.idle;
        source.told_at = Some(at);
        if told.id != 0 {
            source.id = told.id;
        }
    }

    fn known(&self) -> impl Iterator<Item = (&Source, i64)> {
        let sources = self.feeds.iter().flat_map(|feed| &feed.sources);
        sources.filter_map(|source| Some((source, source.told_at?)))
    }

    fn all_known(&self) -> bool {
        let mut expected = self.feeds.iter().flat_map(|feed| &feed.sources[..feed.expected]);
        expected.all(|source| source.told_at.is_some())
    }

    /// The watermark as the log tells it.
    fn watermark(&self) -> i64 {
        if !self.all_known() {
            return NOT_BEGUN;
        }
        let active =
            self.known().filter(|(source, _)| !source.idle).map(|(source, _)| source.watermark).min();
        active.or_else(|| self.known().map(|(source, _)| source.watermark).max()).unwrap_or(NOT_BEGUN)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.all_known() && self.known().all(|(source, _)| source.idle)
    }

    /// Notes that a replay may begin where the source of which nothing was told for longest was told of.
    fn note(&mut self, watermark: i64) {
        let step = self.reach.div_euclid(self.step);
        if self.reach == NOT_BEGUN || step == self.noted || !self.all_known() {
            return;
        }
        let first = self.noted == i64::MAX; // which depends on where the reading began
        self.noted = step;
        let Some(offset) = self.known().map(|(_, at)| at).min().filter(|_| !first) else { return };
        self.points.push_back(Point { replay: ReplayPoint { offset, watermark }, reach: self.reach });
    }

    /// The latest point before which every event is earlier than `needed_from`; earlier points are dropped.
    pub(super) fn replay_from(&mut self, needed_from: i64) -> ReplayPoint {
        while self.points.get(1).is_some_and(|next| next.reach < needed_from) {
            self.points.pop_front();
        }
        self.points[0].replay
    }

    pub(super) fn ids_forgotten(&self) -> u64 {
        self.feeds.iter().map(|feed| feed.dedup.forgotten()).sum()
    }

    pub(super) fn dedup_size(&self) -> (usize, usize) {
        let sizes = self.feeds.iter().map(|feed| (feed.dedup.len(), feed.dedup.bytes()));
        sizes.fold((0, 0), |(ids, bytes), (of, size)| (ids + of, bytes + size))
    }
}

impl Feed {
    fn source(&mut self, partition: u32) -> &mut Source {
        let at = partition as usize;
        if at >= self.sources.len() {
            self.sources.resize(at + 1, NEW); // partitions that the topic was given since the start
        }
        &mut self.sources[at]
    }
}

impl Input {
    /// The last input of a task where there are inputs to re-key.
    pub(super) fn by_user(
        rekeyed: &Rekeyed,
        start: &Checkpoint,
        all: &Options,
        now: Timestamp,
    ) -> Result<Self, OptionsError> {
        let plain = InputOptions {
            topic: rekeyed.topic.clone(),
            decoder: events::DecoderOptions { max_bytes: 0, ..events::DecoderOptions::default() },
        };
        let by_user = Box::new(ByUser::new(rekeyed, start.replay, all)?);
        Ok(Self { by_user: Some(by_user), ..Self::new(&plain, start, all, now)? })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.by_user.as_ref().map_or_else(|| self.clock.is_idle(), |by_user| by_user.is_idle())
    }
}

impl Task {
    /// Takes records of the by-user topic, in offset order.
    ///
    /// # Errors
    /// [`RelayError`] with the offset: the records before it are taken, it and the rest are not.
    ///
    /// # Panics
    /// Where every input is keyed.
    pub fn relayed<'a>(
        &mut self,
        now: Timestamp,
        records: impl IntoIterator<Item = Record<'a>>,
        out: &mut TaskOutputs,
    ) -> Result<(), (i64, RelayError)> {
        let at = self.options.inputs.len();
        let origin = self.options.rekeyed().origin;
        self.inputs[at].attention_at = i64::MIN;
        let counted = self.totals.counted;
        for record in records {
            if record.offset >= self.inputs[at].attention_at {
                self.attend(at, record.offset, out);
            }
            let failed = |error| (record.offset, error);
            match Envelope::read(record.value, origin).map_err(failed)? {
                None => {}
                Some(Envelope::Progress(all)) => self.told(at, record.offset, &all, out),
                Some(Envelope::Record(original)) => {
                    let live = record.offset >= self.inputs[at].replay_until;
                    self.original(at, &original, live.then_some(&mut *out)).map_err(failed)?;
                }
            }
            self.inputs[at].next_offset = record.offset + 1;
        }
        if self.totals.counted > counted {
            self.inputs[at].clock.active(now.micros());
        }
        Ok(())
    }

    /// For a bounded run: whether the tasks have been told that every source has come to its end, given per re-keyed
    /// input and partition.
    #[must_use]
    pub fn has_heard_of(&self, ends: &[Vec<i64>]) -> bool {
        let Some(by_user) = self.inputs.last().and_then(|input| input.by_user.as_ref()) else { return true };
        let came_to = |feed: &Feed, ends: &[i64]| {
            ends.iter().enumerate().all(|(partition, end)| {
                feed.sources.get(partition).is_some_and(|of| of.told_at.is_some() && of.next_offset >= *end)
            })
        };
        by_user.feeds.iter().zip(ends).all(|(feed, ends)| came_to(feed, ends))
    }

    /// How far sources are: only this moves the input's watermark.
    fn told(&mut self, at: usize, offset: i64, all: &[Told<'_>], out: &mut TaskOutputs) {
        let Input { by_user, clock, .. } = &mut self.inputs[at];
        let by_user = by_user.as_mut().expect("it is the by-user input");
        all.iter().for_each(|told| by_user.tell(told, offset));
        let watermark = by_user.watermark();
        if watermark != NOT_BEGUN {
            clock.observe(watermark.saturating_add(self.options.out_of_orderness));
        }
        by_user.note(clock.own());
        if self.inputs[at].clock.is_turn() {
            self.turn(at, out);
        }
        self.advance(out); // a source may have fallen idle
    }

    /// A record as its source had it.
    fn original(
        &mut self,
        at: usize,
        original: &Original<'_>,
        out: Option<&mut TaskOutputs>,
    ) -> Result<(), RelayError> {
        let Self { inputs, state, options, totals, fresh, .. } = self;
        let Input { by_user, clock, .. } = &mut inputs[at];
        let by_user = by_user.as_mut().expect("it is the by-user input");
        let Some(index) = by_user.feeds.iter().position(|feed| feed.topic == original.topic) else {
            let topic = original.topic.to_owned();
            return if out.is_some() { Err(RelayError::NotAnInput { topic }) } else { Ok(()) };
        };
        let ByUser { feeds, judge, reach, .. } = &mut **by_user;
        let feed = &mut feeds[index];
        let source = feed.source(original.partition);
        if original.offset < source.next_offset {
            return Ok(()); // sent on twice: counted once
        }
        source.next_offset = original.offset + 1;
        if out.is_some() {
            totals.consumed += 1;
            fresh.add(kafka_time(original.timestamp_ms));
        }
        judge.stand(original.watermark, original.present, clock);
        let Feed { decoder, dedup, .. } = feed;
        let input = options.inputs.len() + index;
        let whole = original.value.filter(|_| original.cut.is_none());
        let plain = whole.and_then(|value| decoder.decode_plain(value));
        let prepared = match (plain.as_ref().map(Prepared::plain), original.cut) {
            (Some(prepared), _) => Ok(prepared),
            (None, Some(cut)) => Err(too_large_to_re_key(cut)),
            (None, None) => decoder.decode_slowly(original.value).map(|event| Prepared::event(&event)),
        };
        let latest = latest_time(original.timestamp_ms, options.max_future_skew);
        let prepared = prepared.and_then(|event| {
            if event.time <= latest { Ok(event) } else { Err(future(event.time, original.timestamp_ms)) }
        });
        match prepared {
            Ok(event) => {
                let live = out.is_some();
                let source = FactSource::new(input, original.partition);
                let counted =
                    state.event(&event, judge, dedup, source, original.offset, options, totals, live);
                if !matches!(counted, Counted::Late { .. }) {
                    *reach = (*reach).max(event.time);
                }
                match (counted, out) {
                    (Counted::Late { by }, Some(out)) => out.late.push(LateRecord {
                        input,
                        partition: original.partition,
                        offset: original.offset,
                        detail: super::late_by(by),
                        key: original.key.map(<[u8]>::to_vec),
                        value: original.value.map(<[u8]>::to_vec),
                        headers: headers_of(original).ok_or(RelayError::Damaged)?,
                    }),
                    (Counted::Late { .. }, None) | (Counted::InWindow | Counted::Duplicate, _) => {}
                }
            }
            Err(rejection) => {
                reject(state, judge, original, rejection, out.map(|out| (out, totals, input)))?;
            }
        }
        *reach = (*reach).max(judge.uncounted());
        if judge.jump_mattered {
            clock.judged();
        }
        Ok(())
    }
}

fn reject(
    state: &mut State,
    judge: &mut InputClock,
    original: &Original<'_>,
    rejection: Rejection,
    out: Option<(&mut TaskOutputs, &mut super::TaskTotals, usize)>,
) -> Result<(), RelayError> {
    let moment = judge.moment_of_refused(kafka_time(original.timestamp_ms), &state.windows);
    state.windows.at(moment).quality.count(Uncounted::Rejected(rejection.reason));
    let Some((out, totals, input)) = out else { return Ok(()) };
    totals.rejected += 1;
    totals.rejected_by_reason[rejection.reason as usize] += 1;
    out.dead_letters.push(DeadLetter {
        input,
        partition: original.partition,
        offset: original.offset,
        reason: rejection.reason,
        detail: rejection.detail,
        key: original.key.map(<[u8]>::to_vec),
        value: original.value.map(<[u8]>::to_vec),
        headers: headers_of(original).ok_or(RelayError::Damaged)?,
        cut: original.cut,
    });
    Ok(())
}

fn headers_of(original: &Original<'_>) -> Option<Headers> {
    Headers::decoded(original.headers)
}

fn too_large_to_re_key(cut: Cut) -> Rejection {
    let detail = format!("{} bytes are more than the by-user topic takes (its max.message.bytes)", cut.size);
    Rejection::new(Reason::TooLarge, detail)
}

/// The sources as they were.
#[derive(Debug)]
pub(super) struct FrozenByUser {
    reach: i64,
    points: Vec<Point>,
    feeds: Vec<(Vec<Source>, FrozenDedup)>,
}

impl ByUser {
    /// `floor`: no event earlier than this will be asked about any more.
    pub(super) fn freeze(&self, needed_from: i64, floor: i64) -> FrozenByUser {
        let needless = self.points.iter().skip(1).take_while(|point| point.reach < needed_from).count();
        FrozenByUser {
            reach: self.reach,
            points: self.points.iter().skip(needless).copied().collect(),
            feeds: self.feeds.iter().map(|feed| (feed.sources.clone(), feed.dedup.freeze(floor))).collect(),
        }
    }

    /// Reads what [`FrozenByUser::save`] wrote into this one, which knows nothing yet.
    pub(super) fn load(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.reach = reader.signed()?;
        let point = |reader: &mut Reader<'_>| {
            let replay = ReplayPoint { offset: reader.signed()?, watermark: reader.signed()? };
            Some(Point { replay, reach: reader.signed()? })
        };
        if self.reach != NOT_BEGUN {
            self.noted = self.reach.div_euclid(self.step);
        }
        self.points = (0..reader.count()?).map(|_| point(reader)).collect::<Option<_>>()?;
        for feed in &mut self.feeds {
            for partition in 0..reader.count()? {
                *feed.source(u32::try_from(partition).ok()?) = Source {
                    next_offset: reader.signed()?,
                    watermark: reader.signed()?,
                    idle: reader.number()? == 1,
                    told_at: (reader.number()? == 1).then_some(reader.signed()?),
                    id: reader.fixed()?,
                };
            }
            feed.dedup.load(reader)?;
        }
        (!self.points.is_empty()).then_some(())
    }
}

impl FrozenByUser {
    pub(super) fn first(&self) -> ReplayPoint {
        self.points[0].replay
    }

    pub(super) fn save(&self, writer: &mut Writer) {
        writer.signed(self.reach);
        writer.count(self.points.len());
        for point in &self.points {
            writer.signed(point.replay.offset);
            writer.signed(point.replay.watermark);
            writer.signed(point.reach);
        }
        for (sources, dedup) in &self.feeds {
            writer.count(sources.len());
            for source in sources {
                writer.signed(source.next_offset);
                writer.signed(source.watermark);
                writer.number(source.idle.into());
                writer.number(source.told_at.is_some().into());
                writer.signed(source.told_at.unwrap_or(0));
                writer.fixed(source.id);
            }
            dedup.save(writer);
        }
    }
}
