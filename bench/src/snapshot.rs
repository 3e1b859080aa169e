use std::sync::Arc;
use std::time::{Duration, Instant};

use events::Timestamp;
use processor_core::{Checkpoint, Options, Record, Task, TaskIdentity, TaskOutputs};
use producer::{Batch, Disorder, Incidents, Profile, ShopperSettings, Stream};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many users the state has
    #[arg(long, default_value_t = 1_000_000)]
    users: usize,
    /// Event-time rate: with the users, how many ids, windows and clicks there are
    #[arg(long, default_value_t = 10_000.0)]
    rate: f64,
    /// Rounds of reading on and freezing
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

const START_S: i64 = 1_755_720_000;
/// As many records as a worker takes from librdkafka at once.
const BATCH: usize = 2_000;
/// Batches read between two snapshots: ten seconds of event time.
const BATCHES: usize = 50;

const IDENTITY: TaskIdentity = TaskIdentity { partition: 0, tasks: 1, merge_partitions: 1, origin: 0 };

pub(crate) fn run(args: &Args) {
    let mut feed = Feed::new(args);
    let now = Timestamp::from_secs(START_S);
    let options = Arc::new(Options::default());
    let start = Checkpoint::beginning();
    let mut task = Task::new(Arc::clone(&options), IDENTITY, &[start], now).expect("the defaults are valid");
    while task.report().users < args.users {
        feed.batch(&mut task);
    }
    let report = task.report();
    println!(
        "{} events read: {} users, {} clicks, {} ids, {} open windows, {} MB of state by its own estimate",
        task.next_offset(0),
        report.users,
        report.clicks,
        report.dedup_ids,
        report.open_windows,
        report.state_bytes / 1_000_000
    );
    let plain = feed.batches(&mut task);
    println!("a batch of {BATCH} records without a snapshot: {plain}");
    let (mut freezes, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let began = Instant::now();
        let frozen = task.snapshot().expect("nothing is replayed");
        freezes.push(began.elapsed());
        // Encoding runs on another thread beside the task; its copies are made by the batches that follow.
        let during = feed.batches(&mut task);
        println!("frozen in {:.1} ms; batches after it: {during}", ms(freezes[freezes.len() - 1]));
        let began = Instant::now();
        bytes = frozen.encode();
        println!("encoded in {:.2} s: {:.1} MB", began.elapsed().as_secs_f64(), bytes.len() as f64 / 1e6);
        let began = Instant::now();
        drop(frozen);
        println!("let go of in {:.1} ms", ms(began.elapsed()));
    }
    freezes.sort();
    println!(
        "freeze: median {:.1} ms, greatest {:.1} ms",
        ms(freezes[freezes.len() / 2]),
        ms(freezes[freezes.len() - 1])
    );
    restore(&options, &mut task, &bytes);
}

/// Restores, and shows that it is the same.
fn restore(options: &Arc<Options>, task: &mut Task, older: &[u8]) {
    let bytes = task.snapshot().expect("nothing is replayed").encode();
    let starts = task.checkpoints();
    let began = Instant::now();
    let restored =
        Task::restore(Arc::clone(options), IDENTITY, &bytes, &starts, Timestamp::from_secs(START_S));
    let mut restored = restored.expect("it was just made");
    println!("restored in {:.2} s from {:.1} MB", began.elapsed().as_secs_f64(), bytes.len() as f64 / 1e6);
    assert!(restored.snapshot().expect("nothing is left to replay").encode() == bytes, "the same state");
    let behind = task.next_offset(0) - processor_core::snapshot_offsets(older).expect("it was just made")[0];
    println!("the one before it was {behind} records back");
}

fn ms(of: Duration) -> f64 {
    of.as_secs_f64() * 1e3
}

/// Records of the shoppers, made as they are needed.
struct Feed {
    stream: Stream,
    batch: Batch,
    used: usize,
    values: Vec<Vec<u8>>,
    out: TaskOutputs,
}

impl Feed {
    fn new(args: &Args) -> Self {
        // Twice the users, as the last ones of a crowd take long to turn up.
        let shoppers = ShopperSettings { users: 2 * args.users as u32, ..ShopperSettings::default() };
        let profile = Profile::steady(args.rate);
        let stream = Stream::new(&shoppers, Disorder::default(), profile, Incidents::default());
        let (batch, values) = (Batch::new(), Vec::new());
        Self { stream, batch, used: 0, values, out: TaskOutputs::default() }
    }

    /// Reads one batch; how long the task took.
    fn batch(&mut self, task: &mut Task) -> Duration {
        while self.values.len() - self.used < BATCH {
            self.values.drain(..std::mem::take(&mut self.used));
            self.batch.clear();
            let at = Timestamp::from_secs(START_S).plus_micros(self.stream.elapsed().as_micros() as i64);
            self.stream.tick(at, u64::MAX, &mut self.batch);
            self.values.extend(self.batch.iter().map(|record| record.value.to_vec()));
        }
        let values = &self.values[self.used..self.used + BATCH];
        let records = (task.next_offset(0)..).zip(values).map(|(offset, value)| Record {
            offset,
            timestamp_ms: (START_S + 86_400 * 365) * 1_000,
            key: None,
            value: Some(value),
        });
        let began = Instant::now();
        task.records(0, Timestamp::from_secs(START_S), records, &mut self.out);
        let took = began.elapsed();
        self.out.partials.clear();
        self.used += BATCH;
        took
    }

    fn batches(&mut self, task: &mut Task) -> String {
        let mut took: Vec<Duration> = (0..BATCHES).map(|_| self.batch(task)).collect();
        took.sort();
        format!("median {:.2} ms, greatest {:.1} ms", ms(took[BATCHES / 2]), ms(took[BATCHES - 1]))
    }
}
