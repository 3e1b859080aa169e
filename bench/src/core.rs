use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use events::{Decoder, DecoderOptions, Timestamp};
use processor_core::{Checkpoint, Options, Record, Task, TaskIdentity, TaskOutputs};
use producer::{Batch, Disorder, Incidents, Profile, ShopperSettings, Stream};

use crate::process::cpu_seconds;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many events
    #[arg(long, default_value_t = 2_000_000)]
    events: usize,
    /// How many users they come from
    #[arg(long, default_value_t = 20_000)]
    users: u32,
    /// Event-time rate: how many events share a window
    #[arg(long, default_value_t = 10_000.0)]
    rate: f64,
    /// How many tasks share them, by user as a producer's keys share them among partitions
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    tasks: u32,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only this: `decode` or `task` (for counting instructions with another tool)
    #[arg(long)]
    only: Option<String>,
}

const START_S: i64 = 1_755_720_000;
/// As many records as a worker takes from librdkafka at once.
const BATCH: usize = 2_000;

#[derive(Default)]
struct Log {
    bytes: Vec<u8>,
    /// End of each record in `bytes`.
    ends: Vec<usize>,
}

pub(crate) fn run(args: &Args) -> Result<(), String> {
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    let least = least_events(args.rate);
    if wanted("task") && args.events < least {
        let Args { events, rate, .. } = args;
        let said =
            format!("--events {events} is too few: at --rate {rate} no window closes before {least} of them");
        return Err(said);
    }
    let logs = logs(args);
    let mean = logs.iter().map(|log| log.bytes.len()).sum::<usize>() / args.events;
    println!(
        "{} events of {mean} bytes from {} users at {} events/s of event time, for {} task(s)",
        args.events, args.users, args.rate, args.tasks
    );
    if wanted("decode") {
        report("decode", args, || logs.iter().for_each(decode));
    }
    if wanted("task") {
        report("decode + dedup + windows + first click", args, || tasks(&logs));
    }
    Ok(())
}

/// With fewer no window is closed and handed out.
fn least_events(rate: f64) -> usize {
    let Options { window_size, allowed_lateness, out_of_orderness, .. } = Options::default();
    // The first window begins with the events, and closes with the second after what is waited for.
    let micros = window_size + allowed_lateness + out_of_orderness + 1_000_000;
    (micros as f64 / 1e6 * rate).ceil() as usize
}

fn report(name: &str, args: &Args, mut round: impl FnMut()) {
    let mut costs: Vec<f64> = (0..args.rounds)
        .map(|_| {
            let before = cpu_seconds();
            round();
            (cpu_seconds() - before) * 1e9 / args.events as f64
        })
        .collect();
    costs.sort_by(f64::total_cmp);
    let median = costs[costs.len() / 2];
    println!(
        "{name}: median {median:.0} ns/event (least {:.0}, greatest {:.0}), {:.2} M events per CPU-second",
        costs[0],
        costs[costs.len() - 1],
        1e3 / median
    );
}

/// The events of each task.
fn logs(args: &Args) -> Vec<Log> {
    let shoppers = ShopperSettings { users: args.users, ..ShopperSettings::default() };
    let profile = Profile::steady(args.rate);
    let mut stream = Stream::new(&shoppers, Disorder::default(), profile, Incidents::default());
    let mut logs: Vec<Log> = (0..args.tasks).map(|_| Log::default()).collect();
    let mut batch = Batch::new();
    let mut elapsed = Duration::ZERO;
    let mut made = 0;
    while made < args.events {
        batch.clear();
        let left = (args.events - made) as u64;
        let at = Timestamp::from_secs(START_S).plus_micros(elapsed.as_micros() as i64);
        stream.tick(at, left, &mut batch);
        elapsed = stream.elapsed();
        made += batch.len();
        for record in batch.iter() {
            let mut key = DefaultHasher::new();
            key.write(record.key);
            let log = &mut logs[(key.finish() % u64::from(args.tasks)) as usize];
            log.bytes.extend_from_slice(record.value);
            log.ends.push(log.bytes.len());
        }
    }
    logs
}

fn records(log: &Log) -> impl Iterator<Item = &[u8]> {
    let starts = std::iter::once(0).chain(log.ends.iter().copied());
    starts.zip(&log.ends).map(|(start, end)| &log.bytes[start..*end])
}

#[inline(never)] // so that a profiler finds it by its name
fn decode(log: &Log) {
    let mut decoder = Decoder::new(&DecoderOptions::default()).expect("the defaults are valid");
    let accepted = records(log).filter(|record| decoder.decode(Some(record)).is_ok()).count();
    assert_eq!(accepted, log.ends.len(), "every record of the shoppers is an event");
}

/// Feeds the tasks in turn, as a worker does.
#[inline(never)] // as above
fn tasks(logs: &[Log]) {
    let options = Arc::new(Options::default());
    let now = Timestamp::from_secs(START_S);
    let tasks = logs.len() as u32;
    let mut feeds: Vec<_> = (0..)
        .zip(logs)
        .map(|(partition, log)| {
            let identity = TaskIdentity { partition, tasks, merge_partitions: 1, origin: 0 };
            let task = Task::new(Arc::clone(&options), identity, &[Checkpoint::beginning()], now)
                .expect("the defaults are valid");
            let records = (0..).zip(records(log)).map(|(offset, value)| Record {
                offset,
                timestamp_ms: (START_S + 86_400 * 365) * 1_000,
                key: None,
                value: Some(value),
            });
            (task, records.peekable())
        })
        .collect();
    let mut out = TaskOutputs::default();
    let mut partials = 0;
    while feeds.iter_mut().any(|(_, records)| records.peek().is_some()) {
        for (task, records) in &mut feeds {
            task.records(0, now, records.by_ref().take(BATCH), &mut out);
            partials += out.partials.len();
            out.partials.clear();
        }
    }
    for ((task, _), log) in feeds.iter().zip(logs) {
        let totals = task.totals();
        assert_eq!(totals.counted, log.ends.len() as u64, "every event is counted: {totals:?}");
    }
    assert!(partials > 0, "windows were closed and handed out");
}
