//! Events in any partitions of an input that is not keyed by user, through relays and the by-user topic, against a
//! batch model of the same events: whatever the interleaving, the crashes, and what relays send twice.

mod model;
mod random;
mod world;

use std::sync::Arc;

use events::Timestamp;
use processor_core::{
    Checkpoint, Cut, DeadLetter, InputOptions, LateRecord, Options, Record, Rekeyed, Relay, RelayOutputs,
    Task, TaskIdentity, TaskOutputs, TaskTotals,
};

use model::{Expected, logs, view};
use random::Random;
use world::World;

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

/// What a source may bring besides events that count.
fn nothing_that_counts(first: &[u8], number: i64) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("broken", b"{\"broken\":".to_vec()),
        ("heartbeats", b"{\"type\":\"heartbeat\"}".to_vec()),
        ("tombstones", Vec::new()),
        ("late", view("late", 1_000 + number, -600_000)),
        ("of the future", view("future", 2_000 + number, number * 1_000 + 90_000)),
        ("repeats", first.to_vec()),
    ]
}

#[test]
fn a_source_of_which_nothing_counts_does_not_keep_facts_waiting() {
    let click = |at_ms: i64| {
        let time = START_MS + at_ms;
        format!(r#"{{"user_id":"a","timestamp":{time},"event_type":"product_click","product_id":"p"}}"#)
    };
    let checkout = |at_ms: i64| {
        let time = START_MS + at_ms;
        format!(
            r#"{{"user_id":"a","timestamp":{time},"event_type":"checkout","product_id":"p","checkout_id":"o{at_ms}","amount":1}}"#
        )
    };
    let first = view("b", 1, 0);
    for what in 0..nothing_that_counts(&first, 0).len() {
        for begins_with_an_event in [true, false] {
            if nothing_that_counts(&first, 0)[what].0 == "late" && !begins_with_an_event {
                continue; // the first would count
            }
            let options = options(2);
            let mut task =
                Task::new(Arc::clone(&options), identity(0, 1), &[Checkpoint::beginning()], now(0)).unwrap();
            let mut relays = [0, 1].map(|partition| {
                Relay::new(Arc::clone(&options), 0, partition, 1, &Checkpoint::beginning(), now(0)).unwrap()
            });
            let (mut offset, mut out) = (0, TaskOutputs::default());
            for second in 0..60 {
                let at_ms = second * 1_000;
                let (name, rubbish) = nothing_that_counts(&first, second).swap_remove(what);
                let rubbish = if second == 0 && begins_with_an_event { &first } else { &rubbish };
                let events = [click(at_ms), checkout(at_ms)];
                let mut sent = RelayOutputs::default();
                for (at, event) in (0..).zip(&events) {
                    let record = source(second * 2 + at, at_ms, event.as_bytes());
                    relays[0].records(now(at_ms), [record], &mut sent);
                }
                relays[1].records(now(at_ms), [source(second, at_ms, rubbish)], &mut sent);
                for relay in &mut relays {
                    relay.tick(now(at_ms), true);
                }
                let progress: Vec<_> = relays.iter().map(Relay::progress).collect();
                sent.tell(options.rekeyed.as_ref().unwrap(), 1, &progress);
                for record in sent.iter() {
                    task.relayed(now(at_ms), [by_user(offset, record.value)], &mut out).unwrap();
                    offset += 1;
                }
                let watermark = task.report().watermark.map_or(i64::MIN, |of| of.millis() - START_MS);
                assert!(
                    second < 15 || watermark >= at_ms - 15_000,
                    "{name}: at {at_ms} facts are decided up to {watermark} (begins with an event: {begins_with_an_event})"
                );
            }
            let counted_at = |task: &Task| task.inputs().next().unwrap().active_at;
            assert_eq!(counted_at(&task), now(59_000));
            let (name, rubbish) = nothing_that_counts(&first, 60).swap_remove(what);
            let mut sent = RelayOutputs::default();
            relays[1].records(now(60_000), [source(60, 60_000, &rubbish)], &mut sent);
            for record in sent.iter() {
                task.relayed(now(60_000), [by_user(offset, record.value)], &mut out).unwrap();
            }
            assert_eq!(counted_at(&task), now(59_000), "{name}");
        }
    }
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
#[test]
fn headers_go_with_a_record_to_where_it_is_set_aside() {
    let headers: [(&[u8], Option<&[u8]>); 3] =
        [(b"reason", Some(b"theirs")), (b"reason", None), (b"\xff", Some(b""))];
    let no_event = source(0, 100_000, b"oops");
    let (letters, late) = through_a_relay(usize::MAX, &[(no_event, &headers)]);
    let found: Vec<_> = letters[0].headers.iter().collect();
    assert_eq!((found.as_slice(), letters[0].cut, late.len()), (&headers[..], None, 0));
    // The second is late by the first.
    let (first, second) = (view("u", 1, 900_000), view("u", 2, 0));
    let records = [(source(0, 900_000, &first), &headers[..1]), (source(1, 900_000, &second), &headers[..])];
    let (letters, late) = through_a_relay(usize::MAX, &records);
    let found: Vec<_> = late[0].headers.iter().collect();
    assert_eq!((found.as_slice(), letters.len()), (&headers[..], 0));
}

#[test]
fn of_a_record_too_large_for_the_by_user_topic_its_first_bytes_are_set_aside() {
    const MAX: usize = 1_000;
    let large = vec![b'x'; 5_000];
    let headers: [(&[u8], Option<&[u8]>); 1] = [(b"trace", Some(&large[..100]))];
    let keyed = |key| Record { key: Some(key), ..source(0, 100_000, &large) };
    let (letters, _) =
        through_a_relay(MAX, &[(keyed(b"k"), &headers), (source(1, 1, &view("u", 1, 1)), &[])]);
    assert_eq!(letters.len(), 1, "what comes after it is counted");
    let [letter] = &letters[..] else { unreachable!() };
    assert_eq!((letter.reason, letter.offset), (events::Reason::TooLarge, 0));
    assert_eq!(letter.cut, Some(Cut { size: 5_000, key: false, headers: false }));
    assert!((700..1_000).contains(&letter.value.as_ref().unwrap().len()), "as many as fit");
    assert_eq!((letter.key.as_deref(), letter.headers.iter().count()), (Some(&b"k"[..]), 1));
    // What would leave no room for the value is left out.
    let headers: [(&[u8], Option<&[u8]>); 1] = [(b"trace", Some(&large))];
    let (letters, _) = through_a_relay(MAX, &[(keyed(&large), &headers)]);
    assert_eq!(letters[0].cut, Some(Cut { size: 5_000, key: true, headers: true }));
    assert!(letters[0].key.is_none() && letters[0].headers.is_empty());
    assert!(letters[0].value.as_ref().unwrap().len() > 700);
}

type Headed<'a> = (Record<'a>, &'a [(&'a [u8], Option<&'a [u8]>)]);

/// Records of one source, by way of a by-user topic that takes `max` bytes; what a task sets aside of them.
fn through_a_relay(max: usize, records: &[Headed<'_>]) -> (Vec<DeadLetter>, Vec<LateRecord>) {
    let options = options(1);
    let start = [Checkpoint::beginning()];
    let mut task = Task::new(Arc::clone(&options), identity(0, 1), &start, now(0)).unwrap();
    let relay = Relay::new(Arc::clone(&options), 0, 0, 1, &start[0], now(0)).unwrap();
    let (mut relay, mut sent, mut out) = (relay.within(max), RelayOutputs::default(), TaskOutputs::default());
    let records = records.iter().map(|(record, headers)| (*record, headers.iter().copied()));
    relay.records_with_headers(now(0), records, &mut sent);
    for (offset, record) in sent.iter().enumerate() {
        assert!(record.value.len() + record.key.map_or(0, <[u8]>::len) <= max);
        task.relayed(now(0), [by_user(offset as i64, record.value)], &mut out).unwrap();
    }
    let TaskTotals { consumed, counted, duplicates, late, rejected, .. } = task.totals();
    assert_eq!(consumed, counted + duplicates + late + rejected);
    (out.dead_letters, out.late)
}

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
