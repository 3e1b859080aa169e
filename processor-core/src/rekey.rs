//! Stage 0: inputs that are not keyed by user go through a topic that is.
//!
//! A [`Relay`] reads one partition of such an input, its *source*, and sends every record on to the partition of its
//! user, as it was, with its position and with what the source's clock said before it. So whether an event is late is
//! decided by its source's own log, as for any input, and written down: however the sources interleave in the by-user
//! topic, the answer is the same. How far sources are is told to every partition of the topic, so that a task's
//! watermark is a function of what stands there.
//!
//! A relay's state is a clock, which fits into its commit: it never replays.

mod envelope;

use std::collections::BTreeSet;
use std::sync::Arc;

use events::{Decoder, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::Checkpoint;
use crate::clock::{InputClock, ReplayPoint};
use crate::hash::fingerprint;
use crate::headers::Headers;
use crate::kafka_time::latest_time;
use crate::options::{Options, OptionsError, Rekeyed};
use crate::parts::Part;
use crate::planted::{PlantedBug, is_planted};
use crate::snapshot::codec::Writer;
use crate::task::Record;

pub(crate) use envelope::{Envelope, Original, Told};

/// A record of the by-user topic that a task cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// Written by another version of Clickpulse.
    #[error(
        "the record has format version {found}, this build reads another: let the version that wrote it read on"
    )]
    Version {
        /// Its version.
        found: u8,
    },
    /// Not written by a relay.
    #[error("the record is damaged, or was not written by Clickpulse")]
    Damaged,
    /// Its input is not configured any more, and it was not counted yet.
    #[error(
        "it is a record of topic `{topic}`, which is not among the inputs with keyed = false any more: add it again \
         until what was re-keyed of it is counted, or go on under another kafka.group_id"
    )]
    NotAnInput {
        /// Where it came from.
        topic: String,
    },
}

/// The by-user partition of a user. Part of the topic's format: the same in every version.
///
/// An event without a user goes by its `event_id`, so that a repeat meets what it repeats, and without that to the
/// partition of its source's number, round as often as there are more.
#[inline]
fn partition_of(user: Option<&[u8]>, event_id: Option<&[u8]>, source: u32, tasks: u32) -> u32 {
    user.or(event_id).map_or(source % tasks, |text| (xxh3_64(text) % u64::from(tasks)) as u32)
}

/// Re-keys one partition of an input.
#[derive(Debug)]
pub struct Relay {
    options: Arc<Options>,
    input: usize,
    partition: u32,
    tasks: u32,
    decoder: Decoder,
    clock: InputClock,
    /// Ids of events that came since the watermark moved last: who repeats them brings nothing that counts.
    repeats: BTreeSet<u64>,
    next_offset: i64,
    part: Part,
    /// Nothing was told yet of which topic the records are.
    unannounced: bool,
    relayed: u64,
    /// Bytes of the largest record that the by-user topic takes.
    record_max: usize,
    /// Of the record in hand.
    headers: Headers,
}

/// Repeats of more ids than these, in turn and without an event that moves the watermark, are taken for events that
/// count: half a megabyte for a partition.
const REPEATS_MAX: usize = 16_384;

/// Whether an id is not among those of the last events.
fn is_first(repeats: &mut BTreeSet<u64>, id: u64) -> bool {
    if repeats.len() >= REPEATS_MAX {
        repeats.clear();
    }
    repeats.insert(id)
}

/// How far a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayProgress {
    /// Index of its input among [`Rekeyed::inputs`].
    pub input: usize,
    /// The partition it reads.
    pub partition: u32,
    /// Everything before this offset has been sent on.
    pub next_offset: i64,
    /// Microseconds; `i64::MIN` where it has not begun.
    pub watermark: i64,
    /// Caught up, and nothing came that counts: it holds back nobody.
    pub idle: bool,
    /// The topic's id; 0 where it is not known.
    pub topic_id: u64,
}

impl Relay {
    /// Starts a relay for a partition of `options.rekeyed.inputs[input]`, from its commit; the shell feeds records from
    /// `start.next_offset` on. `tasks` is the number of partitions of the by-user topic.
    ///
    /// # Errors
    /// If the input's field mapping is wrong.
    ///
    /// # Panics
    /// Without such an input.
    pub fn new(
        options: Arc<Options>,
        input: usize,
        partition: u32,
        tasks: u32,
        start: &Checkpoint,
        now: Timestamp,
    ) -> Result<Self, OptionsError> {
        let decoder = options.rekeyed().inputs[input].decoder()?;
        let mut clock = InputClock::new(options.out_of_orderness, start.replay.watermark, &[], now.micros());
        clock.end_replay(start.watermark);
        Ok(Self {
            options,
            input,
            partition,
            tasks,
            decoder,
            clock,
            repeats: BTreeSet::new(),
            next_offset: start.next_offset,
            part: start.part,
            unannounced: true,
            relayed: 0,
            record_max: usize::MAX,
            headers: Headers::default(),
        })
    }

    /// For a by-user topic that takes records of so many bytes, key and value together. Of a larger one its first bytes
    /// are sent on, to be set aside.
    #[must_use]
    pub fn within(self, record_max: usize) -> Self {
        Self { record_max, ..self }
    }

    /// Sends records on, in offset order.
    pub fn records<'a>(
        &mut self,
        now: Timestamp,
        records: impl IntoIterator<Item = Record<'a>>,
        out: &mut RelayOutputs,
    ) {
        self.records_with_headers(now, records.into_iter().map(|record| (record, std::iter::empty())), out);
    }

    /// The same, each with its headers: whether it will be set aside is for its task to say, which is behind another
    /// topic.
    pub fn records_with_headers<'a>(
        &mut self,
        now: Timestamp,
        records: impl IntoIterator<Item = (Record<'a>, impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>)>,
        out: &mut RelayOutputs,
    ) {
        let greatest = self.clock.greatest();
        let mut counts = is_planted(PlantedBug::AwakeByAnything);
        if std::mem::take(&mut self.unannounced) && self.part.topic != 0 {
            self.announce(self.next_offset, false, out);
        }
        for (record, headers) in records {
            if record.offset < self.next_offset {
                self.announce(record.offset, true, out);
            }
            self.next_offset = record.offset + 1;
            self.relayed += 1;
            self.headers.clear();
            headers.for_each(|(name, value)| self.headers.push(name, value));
            // Ids need be known only where nothing moves the watermark, as it usually does.
            let moved = self.clock.greatest() > greatest;
            counts |= self.record(&record, moved, out);
        }
        if self.clock.greatest() > greatest {
            self.repeats.clear();
        }
        if counts {
            self.clock.active(now.micros());
        }
    }

    /// Whether it may count, for all that a relay knows: as an event that is not late and no repeat. `moved`: one before
    /// it does.
    #[inline]
    fn record(&mut self, record: &Record<'_>, moved: bool, out: &mut RelayOutputs) -> bool {
        let Self { options, input, partition, tasks, decoder, clock, repeats, headers, record_max, .. } =
            self;
        let rekeyed = options.rekeyed();
        let original = Original {
            topic: &rekeyed.inputs[*input].topic,
            headers: headers.encoded(),
            cut: None,
            partition: *partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            watermark: clock.watermark,
            present: clock.present(),
            key: record.key,
            value: record.value,
        };
        if original.size() > *record_max {
            let part = original.cut_to(*record_max);
            out.push(*partition % *tasks, None, |writer| part.write(rekeyed.origin, writer));
            return false;
        }
        let latest = latest_time(record.timestamp_ms, options.max_future_skew);
        let room = *record_max - original.size();
        let mut send = |user: Option<&[u8]>, id: Option<&[u8]>, time: i64| {
            let key = user.filter(|user| user.len() <= room); // for people
            let to = partition_of(user, id, *partition, *tasks);
            out.push(to, key, |writer| original.write(rekeyed.origin, writer));
            if time > latest {
                return false;
            }
            if time > clock.greatest() {
                clock.observe(time);
                return true;
            }
            if moved {
                return true;
            }
            let size = options.window_size;
            let closes = time - time.rem_euclid(size) + size + options.allowed_lateness;
            closes > clock.watermark && id.is_none_or(|id| is_first(repeats, fingerprint(id)))
        };
        if let Some(event) = record.value.and_then(|value| decoder.decode_plain(value)) {
            return send(event.user_id(), event.event_id(), event.time().micros());
        }
        match decoder.decode(record.value) {
            Ok(event) => {
                let id = event.event_id.map(str::as_bytes);
                send(event.user_id.map(str::as_bytes), id, event.time.micros())
            }
            // Nobody's: the task says why, and puts it into the dead-letter topic.
            Err(_) => {
                out.push(*partition % *tasks, None, |writer| original.write(rekeyed.origin, writer));
                false
            }
        }
    }

    /// Says of which topic the next records are, before them: where that was made again, what tasks would take for
    /// repeats is not. The same where offsets go `anew` from an earlier one.
    #[cold]
    fn announce(&mut self, offset: i64, anew: bool, out: &mut RelayOutputs) {
        let rekeyed = self.options.rekeyed();
        let told = Told {
            topic: &rekeyed.inputs[self.input].topic,
            partition: self.partition,
            next_offset: offset,
            watermark: self.clock.watermark,
            idle: false,
            anew,
            id: self.part.topic,
        };
        for task in 0..self.tasks {
            out.push(task, None, |writer| Told::write_all(&[told], rekeyed.origin, writer));
        }
    }

    /// Every record before `offset` has been read: the markers of transactions take offsets, too.
    pub fn read_to(&mut self, offset: i64) {
        self.next_offset = self.next_offset.max(offset);
    }

    /// The wall clock moved on. `caught_up` tells whether every record of the partition was read.
    pub fn tick(&mut self, now: Timestamp, caught_up: bool) {
        // No frontier: the by-user topic's watermark leaves out who is idle.
        self.clock.tick(now.micros(), caught_up, self.options.idle_after, i64::MIN);
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> RelayProgress {
        RelayProgress {
            input: self.input,
            partition: self.partition,
            next_offset: self.next_offset,
            watermark: self.clock.watermark,
            idle: self.clock.is_idle(),
            topic_id: self.part.topic,
        }
    }

    /// The commit that holds once everything handed out so far is durable.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            next_offset: self.next_offset,
            watermark: self.clock.watermark,
            replay: ReplayPoint { offset: self.next_offset, watermark: self.clock.own() },
            part: self.part,
            ..Checkpoint::beginning()
        }
    }

    /// Records sent on since the start.
    #[must_use]
    pub fn relayed(&self) -> u64 {
        self.relayed
    }
}

/// Records for the by-user topic, in the order in which they have to be written.
#[derive(Debug, Default)]
pub struct RelayOutputs {
    writer: Writer,
    records: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    partition: u32,
    key: Option<u32>,
    end: usize,
}

/// A record for the by-user topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByUserRecord<'a> {
    /// The topic's partition.
    pub partition: u32,
    /// The user, for people; nobody's records have none.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: &'a [u8],
}

impl RelayOutputs {
    fn push(&mut self, partition: u32, key: Option<&[u8]>, value: impl FnOnce(&mut Writer)) {
        self.writer.bytes.extend_from_slice(key.unwrap_or_default());
        value(&mut self.writer);
        let key = key.map(|key| u32::try_from(key.len()).expect("kafka has no such records"));
        self.records.push(Slot { partition, key, end: self.writer.bytes.len() });
    }

    /// Tells every partition of the by-user topic how far relays are: what they have sent on must be in here or in
    /// earlier ones.
    ///
    /// For a replay of the by-user topic each relay has to be told again every few seconds, also when nothing changes.
    pub fn tell(&mut self, rekeyed: &Rekeyed, tasks: u32, relays: &[RelayProgress]) {
        let told: Vec<Told<'_>> = relays
            .iter()
            .map(|relay| Told {
                topic: &rekeyed.inputs[relay.input].topic,
                partition: relay.partition,
                next_offset: relay.next_offset,
                watermark: relay.watermark,
                idle: relay.idle,
                anew: false,
                id: relay.topic_id,
            })
            .collect();
        for task in 0..tasks {
            self.push(task, None, |writer| Told::write_all(&told, rekeyed.origin, writer));
        }
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = ByUserRecord<'_>> {
        let mut start = 0;
        self.records.iter().map(move |slot| {
            let bytes = &self.writer.bytes[start..slot.end];
            start = slot.end;
            let (key, value) = bytes.split_at(slot.key.unwrap_or(0) as usize);
            ByUserRecord { partition: slot.partition, key: slot.key.map(|_| key), value }
        })
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.writer.bytes.len()
    }
}
