//! The rules of the contract, one record after the other: what counts, in which window, and what does not.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use events::{Decoder, OptionsError};

use super::aside::{self, Aside, Copied, Position, bytes_of};
use super::hour::Hour;
use super::names::Limit;
use super::quality::Floating;
use super::repeats::{Repeats, mark};
use super::report::{Kind, Report};

use super::rules::{HOUR, Rules, kafka_time};
use super::shares::{Shares, Task, by_user_partition, ranks};
use super::watermark::{NOT_BEGUN, Recorded, Watermark};

/// One partition of one input, as it is to be read.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The input's number.
    pub input: u16,
    /// Its topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// `None` where it is keyed by user; else between how many partitions of the by-user topic its users are divided.
    pub rekeyed: Option<u32>,
    /// The greatest watermark there may have been before the first record; `None` where that is the log's very first.
    pub began_below: Option<i64>,
    /// What was committed of its watermark.
    pub recorded: Recorded,
}

/// A record of a log, in offset order.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// Kafka's timestamp of it.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

#[derive(Debug)]
struct Log {
    options: LogOptions,
    decoder: Decoder,
    watermark: Watermark,
    /// Its part in clicks and checkouts is sorted in behind those of the inputs before.
    rank: u16,
    /// By share of its users, of which a keyed log has one: the numbers of the task and of the ids of before.
    shares: Vec<(usize, usize)>,
    ended: bool,
    /// Rows of the report for its dead letters and late records.
    rows: [usize; 2],
}

/// A series of requests by name, with the first and the last moment it was seen.
pub(super) type Series = HashMap<(Arc<str>, &'static str, u16), (i64, i64)>;

/// What was seen by name, with the first and the last moment of each.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) series: Series,
    pub(super) currencies: HashMap<Arc<str>, (i64, i64)>,
}

/// Everything counted so far, and what the next records need.
#[derive(Debug)]
pub struct Model {
    pub(super) rules: Rules,
    logs: Vec<Log>,
    tasks: Vec<Task>,
    /// The ids counted lately: of a keyed partition, or of an input's users in a partition of the by-user topic.
    repeats: Vec<Repeats>,
    /// By start: those that may still change, or were not taken yet.
    hours: BTreeMap<i64, Hour>,
    pub(super) seen: Seen,
    pub(super) floating: Vec<Floating>,
    rejected: Aside,
    late: Aside,
    exactly_once: bool,
    /// How far the clock of an event that counts ran ahead of its record's timestamp, at most so far.
    lead: i64,
}

/// The row of a topic in the report.
pub(super) const RECORDS: &str = "records";

impl Model {
    /// For these logs; `rejected` and `late` are what the processor has set aside. A log's place in `logs` is its number.
    ///
    /// `places` of a report are the three buckets, then for each input its dead-letter and its late topic.
    ///
    /// # Errors
    /// If an input's field names cannot be mapped.
    pub fn new(
        rules: Rules,
        logs: Vec<LogOptions>,
        rejected: Aside,
        late: Aside,
        exactly_once: bool,
    ) -> Result<Self, OptionsError> {
        let (ranks, mut shares) = (ranks(&logs), Shares::default());
        let mut made = Vec::with_capacity(logs.len());
        for options in logs {
            let first_row = 3 + 2 * usize::from(options.input);
            made.push(Log {
                decoder: Decoder::new(&rules.inputs[usize::from(options.input)])?,
                watermark: Watermark::new(
                    options.began_below.unwrap_or(NOT_BEGUN),
                    options.recorded.clone(),
                    options.rekeyed.is_some(),
                ),
                rank: ranks[&options.input],
                shares: shares.of(&options, &rules),
                ended: false,
                rows: [first_row, first_row + 1],
                options,
            });
        }
        let Shares { tasks, repeats, .. } = shares;
        Ok(Self {
            rules,
            logs: made,
            tasks,
            repeats,
            hours: BTreeMap::new(),
            seen: Seen::default(),
            floating: Vec::new(),
            rejected,
            late,
            exactly_once,
            lead: 0,
        })
    }

    /// Takes the next record of a log.
    pub fn record(&mut self, log: usize, record: &Record<'_>, report: &mut Report) {
        let Self { rules, logs, tasks, repeats, hours, floating, rejected, late, lead, .. } = self;
        let log = &mut logs[log];
        let position: Position = (log.options.input, log.options.partition, record.offset);
        let kafka = kafka_time(record.timestamp_ms);
        let timestamp = kafka.unwrap_or(0);
        let Log { decoder, watermark, rank, shares, options, rows, .. } = log;
        watermark.arrives(record.offset, kafka, *lead, rules);
        report.records.read += 1;
        let copied = |reason: &str| Copied {
            reason: reason.into(),
            detail: "".into(),
            bytes: bytes_of(record.key, record.value),
            in_part: false,
            written: 0,
        };
        let event = match decoder.decode(record.value) {
            Ok(event) if event.time.micros() <= rules.latest(kafka) => Ok(event),
            Ok(_) => Err("future_timestamp"),
            Err(rejection) => Err(rejection.reason.name()),
        };
        let event = match event {
            Ok(event) => event,
            Err(reason) => {
                report.records.rejected += 1;
                let row = (rows[0], RECORDS);
                rejected.expect(position, timestamp, &copied(reason), row, &options.topic, report);
                let (from, to) = watermark.refused(kafka, rules);
                return uncounted(hours, floating, rules, reason, from, to);
            }
        };
        let time = event.time.micros();
        *lead = (*lead).max(watermark.ahead(time));
        let closes = rules.closes(time);
        let copy = late.has(position).cloned();
        let named = copy.as_ref().and_then(|copy| aside::named_watermark(&copy.detail, time, rules));
        let by_the_log = closes <= watermark.low;
        if let Some(copy) = copy.as_ref().filter(|_| !by_the_log) {
            let was = named.unwrap_or(closes).max(closes);
            if watermark.allows(was, kafka, copy.written, rules) {
                watermark.was(was);
                report.records.late_by_the_wall_clock += 1;
            } else {
                let (what, found) = (aside::at(&options.topic, position), copy.detail.to_string());
                let expected = Some("counted: its window was open by the log".to_owned());
                report.differs(rows[1], RECORDS, Kind::Unexpected, || {
                    (format!("the copy of {what}"), expected, Some(found), Some(what))
                });
                late.forgive(position);
            }
        }
        if closes <= watermark.low {
            report.records.late += u64::from(by_the_log);
            let row = (rows[1], RECORDS);
            late.expect(position, timestamp, &copied("late"), row, &options.topic, report);
            // To the millisecond, the copy says where the watermark was.
            let exact = named.filter(|named| (watermark.low - 999..=watermark.high).contains(named));
            let (mut from, mut to) = watermark.present();
            if let Some(named) = exact {
                (from, to) = (from.max(named), to.min((named + 999).max(from)));
            }
            watermark.was_late(to);
            return uncounted(hours, floating, rules, "late", from, to);
        }
        if copy.is_none() {
            watermark.was_below(closes);
        }
        let share =
            options.rekeyed.map_or(0, |partitions| by_user_partition(&event, options.partition, partitions));
        let (task, ids) = shares[share];
        let (task, ids) = (&mut tasks[task], &mut repeats[ids]);
        if event.event_id.is_some_and(|id| ids.is_repeat(mark(id), time)) {
            if options.rekeyed.is_some() {
                watermark.counted(time, false, rules); // which of the two comes first, its relay cannot know
            }
            report.records.duplicates += 1;
            let window = window(hours, rules, time);
            *window.quality.entry("duplicate").or_default() += 1;
            window.saw(position.0, position.1, position.2);
            return;
        }
        report.records.counted += 1;
        task.count(hours, &event, position, watermark.low, rules);
        if time >= watermark.low {
            let order = (*rank, position.1, position.2);
            task.keep(hours, &event, order, time >= watermark.high, watermark.low, rules);
        }
        watermark.counted(time, true, rules);
    }

    /// Nothing more comes of a log.
    pub fn end(&mut self, log: usize) {
        self.logs[log].ended = true;
    }

    /// The least watermark over the logs that have not ended; `i64::MAX` where all have.
    #[must_use]
    pub fn frontier(&self) -> i64 {
        let running = self.logs.iter().filter(|log| !log.ended);
        running.map(|log| log.watermark.low).min().unwrap_or(i64::MAX)
    }

    /// A log's watermark, at least.
    #[must_use]
    pub fn watermark(&self, log: usize) -> i64 {
        self.logs[log].watermark.low
    }

    /// Decides what all logs are past, and hands out the hours that no record to come can change, the earliest first.
    pub(super) fn finished_hours(&mut self) -> Vec<(i64, Hour)> {
        let frontier = self.frontier();
        let Self { rules, logs, tasks, repeats, hours, seen, .. } = self;
        for (at, task) in tasks.iter_mut().enumerate() {
            let running =
                logs.iter().filter(|log| !log.ended && log.shares.iter().any(|share| share.0 == at));
            let watermark = running.map(|log| log.watermark.low).min().unwrap_or(i64::MAX);
            if watermark == NOT_BEGUN {
                continue;
            }
            task.facts
                .decide(watermark, rules, |checkout| window(hours, rules, checkout.time).checkout(checkout));
            if watermark < i64::MAX && watermark - rules.window >= task.forgot_at {
                task.forgot_at = watermark;
                task.facts.forget(watermark, rules);
            }
        }
        for (at, ids) in repeats.iter_mut().enumerate() {
            let asking = logs.iter().filter(|log| !log.ended && log.shares.iter().any(|share| share.1 == at));
            match asking.map(|log| log.watermark.low).min() {
                None | Some(NOT_BEGUN) => {}
                Some(watermark) => ids.forget_before(watermark - rules.lateness - rules.window),
            }
        }
        let mut finished = Vec::new();
        while let Some(hour) = hours.first_entry() {
            if frontier != i64::MAX
                && (frontier == NOT_BEGUN || hour.key() + HOUR + rules.lateness > frontier)
            {
                break;
            }
            finished.push(hour.remove_entry());
        }
        if !finished.is_empty() {
            let open = hours.values();
            finished.iter().map(|(_, hour)| hour).chain(open).for_each(|hour| seen.see(hour, rules));
        }
        finished
    }

    /// Spans of event time in which a limit of names was reached, so that who is `__other__` is not for sure: of
    /// routes, URLs, campaigns and currencies.
    pub(super) fn limited(&self) -> [Option<(i64, i64)>; 4] {
        let life = self.rules.name_life();
        let slack = self.rules.lateness + self.rules.out_of_orderness + self.rules.window;
        let of = |limit: fn(&Task) -> &Limit| {
            let spans = self.tasks.iter().filter_map(|task| limit(task).reached);
            let span = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            span.map(|(from, until)| (from - slack, until + 2 * life))
        };
        [
            of(|task| &task.routes),
            of(|task| &task.urls),
            of(|task| &task.campaigns),
            of(|task| &task.currencies),
        ]
    }

    /// After the last record: what was set aside for no reason. `was_read` tells which positions were.
    pub fn finish(&self, was_read: impl Fn(Position) -> bool + Copy, report: &mut Report) {
        let topic = |input: u16| {
            let log = self.logs.iter().find(|log| log.options.input == input);
            log.map_or_else(String::new, |log| log.options.topic.clone())
        };
        for (at, aside) in [(0, &self.rejected), (1, &self.late)] {
            let row = |input: u16| (3 + 2 * usize::from(input) + at, RECORDS);
            aside.rest(was_read, self.exactly_once, row, topic, report);
            if aside.repeats > 0 && !self.exactly_once {
                let name = ["dead letters", "late records"][at];
                report.notes.push(format!(
                    "{} {name} are there more than once, as a crash leaves them with at_least_once",
                    aside.repeats
                ));
            }
        }
    }
}

fn window<'a>(hours: &'a mut BTreeMap<i64, Hour>, rules: &Rules, time: i64) -> &'a mut super::hour::Counts {
    let hour = hours.entry(time.div_euclid(HOUR) * HOUR).or_default();
    hour.windows.entry(rules.window_of(time)).or_default()
}

impl Seen {
    /// Notes the series and currencies of an hour.
    fn see(&mut self, hour: &Hour, rules: &Rules) {
        let Self { series, currencies } = self;
        for (at, counts) in &hour.windows {
            let until = at + rules.window;
            let widen = |seen: &mut (i64, i64)| *seen = (seen.0.min(*at), seen.1.max(until));
            for ((route, method, status), _) in counts.requests() {
                let name = Arc::clone(hour.routes.text(route));
                widen(series.entry((name, method, status)).or_insert((*at, until)));
            }
            for currency in counts.checkouts.keys() {
                widen(currencies.entry(Arc::clone(currency)).or_insert((*at, until)));
            }
        }
    }
}

/// Counts a record without a window of its own in the stream's present, which lies between two moments.
fn uncounted(
    hours: &mut BTreeMap<i64, Hour>,
    floating: &mut Vec<Floating>,
    rules: &Rules,
    reason: &'static str,
    from: i64,
    to: i64,
) {
    if rules.window_of(from) == rules.window_of(to) {
        *window(hours, rules, from).quality.entry(reason).or_default() += 1;
    } else {
        floating.push(Floating { reason, from, to });
    }
}
