//! Events in any partitions of an input that is not keyed by user, through relays and the by-user topic, against a
//! batch model of the same events: whatever the interleaving, the crashes, and what relays send twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use events::Timestamp;
use processor_core::{
    Checkpoint, FieldValue, InputOptions, Merge, MergeCheckpoint, MergeOutputs, Options, Record, Rekeyed,
    Relay, RelayOutputs, Task, TaskIdentity, TaskOutputs, TaskTotals,
};

const SECOND: i64 = 1_000_000;
const START_MS: i64 = 1_755_720_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Faults {
    None,
    /// Processes die; what a relay sent on and its offset become visible together.
    Crashes,
    /// The same, and what was sent on becomes visible before the offset: relays repeat it.
    Repeats,
}

#[test]
fn any_interleaving_of_unkeyed_partitions_gives_what_a_batch_computes() {
    seeds().for_each(|seed| check(seed, Faults::None));
}

#[test]
fn crashes_of_relays_and_tasks_change_no_number() {
    seeds().for_each(|seed| check(seed, Faults::Crashes));
}

#[test]
fn what_a_restarted_relay_sends_on_again_counts_once() {
    seeds().for_each(|seed| check(seed, Faults::Repeats));
}

#[test]
fn event_time_begins_when_every_source_was_heard_of_and_idle_ones_do_not_hold_it_back() {
    let options = options(2);
    let mut task =
        Task::new(Arc::clone(&options), identity(0, 1), &[Checkpoint::beginning()], now(0)).unwrap();
    let relay = |partition| {
        Relay::new(Arc::clone(&options), 0, partition, 1, &Checkpoint::beginning(), now(0)).unwrap()
    };
    let (mut busy, mut quiet) = (relay(0), relay(1));
    let mut log = Vec::new();
    let mut out = TaskOutputs::default();
    let mut feed = |task: &mut Task, relays: &[&Relay], mut sent: RelayOutputs| {
        let progress: Vec<_> = relays.iter().map(|relay| relay.progress()).collect();
        sent.tell(options.rekeyed.as_ref().unwrap(), 1, &progress);
        for record in sent.iter() {
            log.push(record.value.to_vec());
            let record = by_user(log.len() as i64 - 1, log.last().unwrap());
            task.relayed(now(0), [record], &mut out).unwrap();
        }
        task.report().watermark.map(|watermark| watermark.micros() - START_MS * 1_000)
    };
    let mut sent = RelayOutputs::default();
    busy.records(now(0), [source(0, 100_000, &view("u", 1, 100_000))], &mut sent);
    assert_eq!(feed(&mut task, &[&busy], sent), None, "nothing is known of the quiet one");
    assert_eq!(feed(&mut task, &[&quiet], RelayOutputs::default()), None, "it has not begun");
    quiet.tick(now(60_000), true);
    let watermark = feed(&mut task, &[&quiet], RelayOutputs::default());
    assert_eq!(watermark, Some(95 * SECOND), "it is idle");
    // It wakes up with an event whose window may be closed: it is late by what the others have reached.
    let mut sent = RelayOutputs::default();
    quiet.records(now(61_000), [source(0, 100_000, &view("u", 2, 15_000))], &mut sent);
    assert_eq!(feed(&mut task, &[&quiet], sent), Some(95 * SECOND));
    assert_eq!((task.totals().late, task.totals().counted), (1, 1));
}

#[test]
fn a_replay_begins_where_every_source_is_told_of_again() {
    let options = options(2);
    let mut task =
        Task::new(Arc::clone(&options), identity(0, 1), &[Checkpoint::beginning()], now(0)).unwrap();
    let relay = |partition| {
        Relay::new(Arc::clone(&options), 0, partition, 1, &Checkpoint::beginning(), now(0)).unwrap()
    };
    let (mut busy, mut quiet) = (relay(0), relay(1));
    quiet.tick(now(60_000), true);
    let mut offset = 0;
    // Six hours of one source; the other, idle, is told of at the first minute and at the 200th.
    let mut replay_from = Vec::new();
    for minute in 0..360 {
        let mut sent = RelayOutputs::default();
        let at_ms = minute * 60_000;
        busy.records(now(at_ms), [source(minute, at_ms, &view("u", minute, at_ms))], &mut sent);
        let mut told = vec![busy.progress()];
        if minute == 0 || minute == 200 {
            told.push(quiet.progress());
            replay_from.push((minute, offset + 1));
        }
        sent.tell(options.rekeyed.as_ref().unwrap(), 1, &told);
        for record in sent.iter() {
            task.relayed(now(at_ms), [by_user(offset, record.value)], &mut TaskOutputs::default()).unwrap();
            offset += 1;
        }
        let from = task.checkpoints()[0].replay.offset;
        if minute == 199 {
            assert!(from <= 1, "only there the quiet source is told of, not from {from} on");
        }
    }
    let from = task.checkpoints()[0].replay.offset;
    assert_eq!(from, replay_from[1].1, "and not before, as two hours are enough");
}

#[test]
fn a_topic_that_was_made_anew_is_not_taken_for_repeats() {
    let options = options(1);
    let mut task =
        Task::new(Arc::clone(&options), identity(0, 1), &[Checkpoint::beginning()], now(0)).unwrap();
    let committed = Checkpoint::parse(50, "");
    let mut relay = Relay::new(Arc::clone(&options), 0, 0, 1, &committed, now(0)).unwrap();
    let mut sent = RelayOutputs::default();
    for offset in [50, 51, 0, 1] {
        relay.records(now(0), [source(offset, 1_000, &view("u", offset, 1_000))], &mut sent);
    }
    let log: Vec<Vec<u8>> = sent.iter().map(|record| record.value.to_vec()).collect();
    let records = (0..).zip(&log).map(|(offset, value)| by_user(offset, value));
    task.relayed(now(0), records, &mut TaskOutputs::default()).unwrap();
    assert_eq!(task.totals().counted, 4);
}

#[test]
fn unread_records_of_an_input_that_is_gone_are_named() {
    let mut relay = Relay::new(options(1), 0, 0, 1, &Checkpoint::beginning(), now(0)).unwrap();
    let mut sent = RelayOutputs::default();
    relay.records(now(0), [source(0, 1_000, &view("u", 1, 1_000))], &mut sent);
    let mut others = (*options(1)).clone();
    others.rekeyed.as_mut().unwrap().inputs[0].topic = "orders".to_owned();
    let mut task = Task::new(Arc::new(others), identity(0, 1), &[Checkpoint::beginning()], now(0)).unwrap();
    let value = sent.iter().next().unwrap().value.to_vec();
    let error = task.relayed(now(0), [by_user(0, &value)], &mut TaskOutputs::default()).unwrap_err();
    assert!(error.1.to_string().contains("`clicks`"), "{}", error.1);
    assert_eq!(task.next_offset(0), 0, "it is still to be read");
}

/// `CLICKPULSE_SEEDS=10000` runs so many, `CLICKPULSE_SEED=17` just that one.
fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("CLICKPULSE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CLICKPULSE_SEEDS").unwrap_or(40),
    }
}

fn check(seed: u64, faults: Faults) {
    let mut random = Random(seed ^ 0x5EED);
    let sources = logs(&mut random);
    let expected = Expected::of(&sources);
    let mut world = World::new(&sources, random);
    world.run(faults);
    assert_eq!(world.dead_letters, expected.dead_letters, "seed {seed}: dead letters");
    assert_eq!(world.late, expected.late, "seed {seed}: late records");
    let got = world.numbers();
    for (key, value) in &expected.numbers {
        assert_eq!(got.get(key), Some(value), "seed {seed}: {key:?}");
    }
    for (key, value) in &got {
        assert!(expected.numbers.contains_key(key), "seed {seed}: {key:?} = {value} should not be there");
    }
    let totals = world.tasks.iter().map(Task::totals);
    for TaskTotals { consumed, counted, duplicates, late, rejected, .. } in totals {
        assert_eq!(consumed, counted + duplicates + late + rejected, "seed {seed}: conservation");
    }
    if faults == Faults::None {
        let consumed: u64 = world.tasks.iter().map(|task| task.totals().consumed).sum();
        let all: usize = sources.iter().map(Vec::len).sum();
        assert_eq!(consumed, all as u64, "seed {seed}: every record is consumed once");
    }
}

// Logs.

struct Logged {
    timestamp_ms: i64,
    value: Vec<u8>,
    event: Option<Event>,
}

#[derive(Clone)]
struct Event {
    id: i64,
    time: i64,
    user: u64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    View,
    Click,
    Checkout,
}

/// Sources that differ in how far they are, with disorder, late events, repeats in other sources, and rubbish.
fn logs(random: &mut Random) -> Vec<Vec<Logged>> {
    let mut sources: Vec<Vec<Logged>> = (0..1 + random.below(5)).map(|_| Vec::new()).collect();
    let count = sources.len() as u64;
    let mut now_ms: Vec<i64> = (0..count).map(|_| random.below(400_000)).collect();
    for id in 0..500 {
        let at = random.below(count) as usize;
        // Hours in all, so that replays begin in the middle.
        let pause_ms = [4_000_000, 200_000, 9_000, 9_000][random.below(40).min(3) as usize];
        now_ms[at] += random.below(pause_ms);
        let behind_ms = match random.below(40) {
            0 => 60_000 + random.below(200_000),
            1 => -90_000, // a clock beyond belief
            2..=5 => 4_000 + random.below(9_000),
            _ => random.below(4_000),
        };
        // Microseconds of its own, so that no two facts are at the same time.
        let time = (START_MS + now_ms[at] - behind_ms) * 1_000 + id;
        let kind = match random.below(10) {
            0..=4 => Kind::View,
            5..=7 => Kind::Click,
            _ => Kind::Checkout,
        };
        let event = Event { id, time, user: random.below(7) as u64, kind };
        let timestamp_ms = START_MS + now_ms[at];
        if random.chance(3) {
            let value = [&b"{}"[..], b"[", b""][random.below(3) as usize].to_vec();
            sources[at].push(Logged { timestamp_ms, value, event: None });
        }
        let logged = |event: &Event, timestamp_ms| Logged {
            timestamp_ms,
            value: event.json().into_bytes(),
            event: Some(event.clone()),
        };
        if kind == Kind::View && random.chance(20) {
            let other = random.below(count) as usize;
            let timestamp_ms = START_MS + now_ms[other];
            sources[other].push(logged(&event, timestamp_ms));
        }
        sources[at].push(logged(&event, timestamp_ms));
    }
    sources
}

impl Event {
    fn json(&self) -> String {
        let Self { id, time, user, kind } = self;
        let of_kind = match kind {
            Kind::View => format!("\"url\":\"/p/{}\",\"http_status\":200", id % 9),
            Kind::Click => format!("\"event_type\":\"product_click\",\"product_id\":\"p{}\"", id % 3),
            Kind::Checkout => {
                let product = id % 3;
                format!(
                    "\"event_type\":\"checkout\",\"product_id\":\"p{product}\",\"checkout_id\":\"o{id}\",\"amount\":{id}"
                )
            }
        };
        format!("{{\"user_id\":\"u{user}\",\"timestamp\":{time},\"event_id\":\"e{id}\",{of_kind}}}")
    }

    fn product(&self) -> i64 {
        self.id % 3
    }
}

fn view(user: &str, id: i64, at_ms: i64) -> Vec<u8> {
    let time = START_MS + at_ms;
    format!("{{\"user_id\":\"{user}\",\"timestamp\":{time},\"event_id\":\"e{id}\",\"url\":\"/\",\"http_status\":200}}")
        .into_bytes()
}

// The naive batch.

/// What, window size in seconds, window start in seconds.
type Key = (String, i64, i64);

#[derive(Default)]
struct Expected {
    numbers: BTreeMap<Key, i64>,
    /// Source and offset.
    dead_letters: BTreeSet<(u32, i64)>,
    late: BTreeSet<(u32, i64)>,
}

impl Expected {
    fn of(sources: &[Vec<Logged>]) -> Self {
        let mut expected = Self::default();
        let mut counted: BTreeMap<i64, (Event, bool)> = BTreeMap::new();
        for (source, log) in (0..).zip(sources) {
            let mut greatest = i64::MIN;
            for (offset, record) in (0..).zip(log) {
                let Some(event) = record.event.as_ref() else {
                    expected.dead_letters.insert((source, offset));
                    continue;
                };
                if event.time > record.timestamp_ms * 1_000 + 60 * SECOND {
                    expected.dead_letters.insert((source, offset));
                    continue;
                }
                let watermark = if greatest == i64::MIN { greatest } else { greatest - 5 * SECOND };
                if event.time.div_euclid(10 * SECOND) * 10 * SECOND + 70 * SECOND <= watermark {
                    expected.late.insert((source, offset));
                    continue;
                }
                greatest = greatest.max(event.time);
                // Only views are repeated, and those are no facts.
                counted.entry(event.id).or_insert_with(|| (event.clone(), event.time >= watermark));
            }
        }
        let mut users: BTreeMap<(i64, i64), BTreeSet<u64>> = BTreeMap::new();
        for (event, for_facts) in counted.values() {
            let credited = counted.values().any(|(click, usable)| {
                *usable
                    && click.kind == Kind::Click
                    && (click.user, click.product()) == (event.user, event.product())
                    && (event.time - 3_600 * SECOND..=event.time).contains(&click.time)
            });
            for size in [10, 60, 3_600] {
                let start = event.time.div_euclid(size * SECOND) * size;
                let mut add = |what: &str, of: i64| {
                    *expected.numbers.entry((what.to_owned(), size, start)).or_default() += of;
                };
                add("requests", i64::from(event.kind == Kind::View));
                add("users", 0);
                users.entry((size, start)).or_default().insert(event.user);
                if event.kind == Kind::Checkout && *for_facts {
                    add("checkouts", 1);
                    add("attributed", i64::from(credited));
                    add("revenue_cents", event.id * 100);
                }
            }
        }
        for ((size, start), users) in users {
            expected.numbers.insert(("users".to_owned(), size, start), users.len() as i64);
        }
        expected.numbers.retain(|_, value| *value > 0);
        expected
    }
}

// Kafka and the processes, simulated.

struct World<'a> {
    sources: &'a [Vec<Logged>],
    random: Random,
    options: Arc<Options>,
    now_ms: i64,
    // What Kafka keeps.
    by_user: Vec<Vec<Vec<u8>>>,
    relay_commits: Vec<Option<(i64, String)>>,
    task_commits: Vec<Option<(i64, String)>>,
    snapshots: Vec<Option<Vec<u8>>>,
    partials: Vec<Vec<u8>>,
    dead_letters: BTreeSet<(u32, i64)>,
    late: BTreeSet<(u32, i64)>,
    // What a crash loses.
    relays: Vec<Relay>,
    sent: Vec<RelayOutputs>,
    tasks: Vec<Task>,
    outputs: Vec<TaskOutputs>,
}

impl<'a> World<'a> {
    fn new(sources: &'a [Vec<Logged>], mut random: Random) -> Self {
        let tasks = 1 + random.below(3) as usize;
        let mut world = Self {
            sources,
            random,
            options: options(sources.len() as u32),
            now_ms: 0,
            by_user: vec![Vec::new(); tasks],
            relay_commits: vec![None; sources.len()],
            task_commits: vec![None; tasks],
            snapshots: vec![None; tasks],
            partials: Vec::new(),
            dead_letters: BTreeSet::new(),
            late: BTreeSet::new(),
            relays: Vec::new(),
            sent: Vec::new(),
            tasks: Vec::new(),
            outputs: Vec::new(),
        };
        world.relays = (0..sources.len()).map(|source| world.relay(source)).collect();
        world.sent = sources.iter().map(|_| RelayOutputs::default()).collect();
        world.tasks = (0..tasks).map(|task| world.task(task)).collect();
        world.outputs = (0..tasks).map(|_| TaskOutputs::default()).collect();
        world
    }

    fn relay(&self, source: usize) -> Relay {
        let start = start(&self.relay_commits[source]);
        let tasks = self.by_user.len() as u32;
        Relay::new(Arc::clone(&self.options), 0, source as u32, tasks, &start, now(0)).unwrap()
    }

    fn task(&self, task: usize) -> Task {
        let start = start(&self.task_commits[task]);
        let identity = identity(task as u32, self.by_user.len() as u32);
        let starts = [start];
        if let Some(bytes) = &self.snapshots[task]
            && let Ok(task) = Task::restore(Arc::clone(&self.options), identity, bytes, &starts, now(0))
        {
            return task;
        }
        Task::new(Arc::clone(&self.options), identity, &starts, now(0)).unwrap()
    }

    fn run(&mut self, faults: Faults) {
        while (0..self.sources.len()).any(|source| !self.is_read(source)) {
            let source = self.random.below(self.sources.len() as u64) as usize;
            let task = self.random.below(self.tasks.len() as u64) as usize;
            match self.random.below(10) {
                0..=2 => self.read_source(source, 20),
                3 | 4 => self.publish(source, faults != Faults::Repeats || self.random.clone().chance(60)),
                5 | 6 => self.read_by_user(task, 30),
                7 | 8 => self.seal(task),
                _ if faults == Faults::None => {}
                _ if self.random.chance(50) => {
                    self.sent[source] = RelayOutputs::default();
                    self.relays[source] = self.relay(source);
                }
                _ => {
                    self.outputs[task] = TaskOutputs::default();
                    self.tasks[task] = self.task(task);
                }
            }
        }
        (0..self.sources.len()).for_each(|source| self.publish(source, true));
        let ends: Vec<i64> = self.sources.iter().map(|log| log.len() as i64).collect();
        for task in 0..self.tasks.len() {
            self.read_by_user(task, usize::MAX);
            assert!(self.tasks[task].has_heard_of(std::slice::from_ref(&ends)), "it has read all there is");
            self.tasks[task].drain(&mut self.outputs[task]);
            self.seal(task);
        }
    }

    fn is_read(&self, source: usize) -> bool {
        self.relays[source].progress().next_offset == self.sources[source].len() as i64
    }

    fn read_source(&mut self, source: usize, max: u64) {
        let from = self.relays[source].progress().next_offset;
        let count = 1 + self.random.below(max);
        let log = &self.sources[source];
        let records = (from..(from + count).min(log.len() as i64)).map(|offset| {
            let Logged { timestamp_ms, value, .. } = &log[offset as usize];
            Record { offset, timestamp_ms: *timestamp_ms, key: Some(b"unkeyed"), value: Some(value) }
        });
        self.relays[source].records(now(0), records, &mut self.sent[source]);
    }

    /// What the relay has sent on becomes visible, and its offset, unless it dies in between.
    fn publish(&mut self, source: usize, commit: bool) {
        let mut sent = std::mem::take(&mut self.sent[source]);
        let rekeyed = self.options.rekeyed.as_ref().unwrap();
        sent.tell(rekeyed, self.by_user.len() as u32, &[self.relays[source].progress()]);
        for record in sent.iter() {
            self.by_user[record.partition as usize].push(record.value.to_vec());
        }
        if commit {
            let checkpoint = self.relays[source].checkpoint();
            self.relay_commits[source] = Some((checkpoint.next_offset, checkpoint.metadata()));
        } else {
            self.relays[source] = self.relay(source);
        }
    }

    fn read_by_user(&mut self, task: usize, max: usize) {
        let from = self.tasks[task].next_offset(0) as usize;
        let until = from.saturating_add(max).min(self.by_user[task].len());
        let log = &self.by_user[task];
        let records = (from..until).map(|offset| by_user(offset as i64, &log[offset]));
        self.tasks[task].relayed(now(0), records, &mut self.outputs[task]).expect("relays wrote it");
    }

    fn seal(&mut self, task: usize) {
        self.now_ms += self.random.below(2_000);
        let out = &mut self.outputs[task];
        self.tasks[task].tick(now(self.now_ms), &[false], None, out);
        self.tasks[task].emit(now(self.now_ms), out);
        let out = std::mem::take(out);
        self.partials.extend(out.partials.into_iter().map(|partial| partial.value));
        self.dead_letters.extend(out.dead_letters.iter().map(|letter| (letter.partition, letter.offset)));
        self.late.extend(out.late.iter().map(|late| (late.partition, late.offset)));
        let checkpoint = &self.tasks[task].checkpoints()[0];
        let commit = (checkpoint.next_offset, checkpoint.metadata());
        assert!(self.task_commits[task].as_ref().is_none_or(|(offset, _)| *offset <= commit.0));
        self.task_commits[task] = Some(commit);
        if self.random.chance(20) {
            self.snapshots[task] = self.tasks[task].snapshot().map(|snapshot| snapshot.encode());
        }
    }

    fn numbers(&self) -> BTreeMap<Key, i64> {
        let mut merge = Merge::new(Arc::clone(&self.options), 7, &MergeCheckpoint::parse(0, ""));
        for (offset, value) in (0..).zip(&self.partials) {
            merge.message(offset, value).unwrap();
        }
        let mut out = MergeOutputs::default();
        merge.emit(&mut out).unwrap();
        let mut numbers = BTreeMap::new();
        for point in out.points {
            let size = [10, 60, 3_600][point.resolution as usize];
            let names = point.measurement.fields.iter().map(|(name, _)| *name);
            let wanted: &[&str] = match point.measurement.name {
                "http_all" => &["requests", "users"],
                "first_click" => &["checkouts", "attributed", "revenue_cents"],
                _ => continue,
            };
            for (name, field) in names.zip(&point.fields).filter(|(name, _)| wanted.contains(name)) {
                if let FieldValue::Integer(value @ 1..) = field {
                    numbers.insert((name.to_owned(), size, point.time.secs()), *value);
                }
            }
        }
        numbers
    }
}

fn start(commit: &Option<(i64, String)>) -> Checkpoint {
    commit
        .as_ref()
        .map_or_else(Checkpoint::beginning, |(offset, metadata)| Checkpoint::parse(*offset, metadata))
}

fn options(sources: u32) -> Arc<Options> {
    let defaults = Options::default();
    let input = InputOptions { topic: "clicks".to_owned(), ..defaults.inputs[0].clone() };
    let rekeyed = Rekeyed {
        topic: "clickpulse.by-user".to_owned(),
        inputs: vec![input],
        partitions: vec![sources],
        origin: Rekeyed::origin_of("clickpulse"),
    };
    Arc::new(Options { inputs: Vec::new(), rekeyed: Some(rekeyed), ..defaults })
}

fn identity(partition: u32, tasks: u32) -> TaskIdentity {
    TaskIdentity { partition, tasks, merge_partitions: 1, origin: 7 }
}

fn now(ms: i64) -> Timestamp {
    Timestamp::from_micros((START_MS + ms) * 1_000)
}

fn source(offset: i64, at_ms: i64, value: &[u8]) -> Record<'_> {
    Record { offset, timestamp_ms: START_MS + at_ms, key: None, value: Some(value) }
}

fn by_user(offset: i64, value: &[u8]) -> Record<'_> {
    Record { offset, timestamp_ms: 0, key: None, value: Some(value) }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n) as i64
    }

    fn chance(&mut self, percent: u64) -> bool {
        (self.below(100) as u64) < percent
    }
}
