use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use processor::kafka::{
    AssignedPartition, Assignments, ClientSettings, Consumer, ConsumerSettings, Item, KafkaError,
    KafkaProblem, QueueId, Start, StartAt,
};

use crate::process::cpu_seconds;

/// What to read.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value = "127.0.0.1:9092")]
    brokers: String,
    #[arg(long, default_value = "clickstream_events")]
    topic: String,
    /// How many records to read from the beginning
    #[arg(long, default_value_t = 5_000_000)]
    count: u64,
    /// Threads that read
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

/// Sends every partition to a queue in turn, from its beginning.
struct FromTheBeginning {
    queues: OnceLock<Vec<QueueId>>,
}

impl Assignments for FromTheBeginning {
    fn assigned(&self, _: &Consumer, partitions: &[AssignedPartition]) -> Result<Vec<Start>, KafkaError> {
        let queues = self.queues.get().expect("queues are made before the first poll");
        let start = |of: &AssignedPartition| Start {
            at: StartAt::Beginning,
            queue: queues[of.partition as usize % queues.len()],
        };
        Ok(partitions.iter().map(start).collect())
    }

    fn revoked(&self, _: &Consumer, _: &[(String, i32)], _: bool) {}

    fn error(&self, problem: KafkaProblem) {
        eprintln!("{problem}");
    }
}

pub(crate) fn run(args: &Args) -> Result<(), KafkaError> {
    let handler = Arc::new(FromTheBeginning { queues: OnceLock::new() });
    let consumer = Consumer::new(
        &ConsumerSettings {
            client: ClientSettings {
                brokers: args.brokers.clone(),
                client_id: "bench-reader".to_owned(),
                properties: BTreeMap::new(),
            },
            group_id: format!("bench-reader-{}", std::process::id()),
            group_instance_id: None,
            workers: args.workers,
            prefetch_bytes: ConsumerSettings::PREFETCH_BYTES,
        },
        std::slice::from_ref(&args.topic),
        Arc::clone(&handler) as Arc<dyn Assignments>,
        Arc::default(),
    )?;
    let mut queues: Vec<_> = (0..args.workers).map(|_| consumer.worker_queue()).collect();
    let ids = queues.iter().map(processor::kafka::WorkerQueue::id).collect();
    assert!(handler.queues.set(ids).is_ok(), "queues are set once");
    let (counts, counted) = mpsc::channel();
    let started = Instant::now();
    let (mut read, mut bytes, mut sum) = (0, 0, 0);
    std::thread::scope(|threads| {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        for queue in &mut queues {
            let (counts, stop) = (counts.clone(), Arc::clone(&stop));
            threads.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let batch = queue.consume(Duration::from_millis(20), 2_000);
                    let mut count = (0_u64, 0_u64, 0_u64);
                    for item in batch.items() {
                        let Item::Run(run) = item else { continue };
                        for message in run.iter() {
                            let payload = message.payload().unwrap_or_default();
                            count.0 += 1;
                            count.1 += payload.len() as u64;
                            // One byte per cache line: what any use of a payload pays at least.
                            count.2 += payload.iter().step_by(64).map(|byte| u64::from(*byte)).sum::<u64>();
                        }
                    }
                    if count.0 > 0 && counts.send(count).is_err() {
                        return;
                    }
                }
            });
        }
        while read < args.count {
            consumer.poll(Duration::from_millis(5));
            for (count, size, touched) in counted.try_iter() {
                (read, bytes, sum) = (read + count, bytes + size, sum + touched);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds());
    println!(
        "reader: {read} records of {} bytes in {seconds:.2} s and {cpu:.2} CPU-seconds: {:.3} M records per \
         CPU-second (checksum {sum})",
        bytes / read.max(1),
        read as f64 / cpu / 1e6
    );
    drop(queues);
    consumer.close(Duration::from_secs(5))
}
