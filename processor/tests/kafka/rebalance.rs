//! Rebalances under load: every record goes to exactly the owner of its partition, in order, and only once.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::group::{Ledger, Member};
use crate::support::{Cluster, eventually, unique};

#[test]
fn a_rebalance_under_load_loses_repeats_and_leaks_nothing() {
    rebalance_under_load(&Cluster::mock(), 100);
}

#[test]
#[ignore = "needs a real Kafka: CLICKPULSE_TEST_KAFKA"]
fn a_rebalance_under_load_loses_repeats_and_leaks_nothing_on_a_real_kafka() {
    rebalance_under_load(&Cluster::real(), 5_000);
}

const PARTITIONS: i32 = 6;

fn rebalance_under_load(cluster: &Cluster, records_per_pause: i32) {
    let topics = [unique("left"), unique("right")];
    for topic in &topics {
        cluster.create_topic(topic, PARTITIONS);
    }
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let group = unique("group");
    let settings = cluster.member(&group, &[]);
    let read_by = |member: &'static str| ledger.lock().unwrap().read_by(member);

    let load = Load::start(cluster.brokers(), topics.clone(), records_per_pause);
    let is_mock = matches!(cluster, Cluster::Mock(_));
    let start = |name| Member::start(name, &settings, &topics, &ledger, is_mock);
    let first = start("first");
    eventually("the first member reads", || read_by("first") > 1_000);
    let second = start("second");
    eventually("the second member reads", || read_by("second") > 1_000);
    let third = start("third");
    eventually("the third member reads", || read_by("third") > 1_000);
    first.leave();
    let before = read_by("third");
    eventually("the others go on", || read_by("third") > before + 1_000);
    second.leave();
    let produced = load.finish();
    eventually("the last member reads everything", || ledger.lock().unwrap().records() >= produced);
    third.leave();

    let ledger = ledger.lock().unwrap();
    assert_eq!(ledger.violations, Vec::<String>::new());
    assert_eq!(ledger.problems, Vec::new());
    assert_eq!(ledger.records(), produced);
    assert_eq!(ledger.read_by.values().sum::<u64>(), u64::try_from(produced).unwrap());
    assert!(ledger.assignments >= 6, "every join and leave was a rebalance: {}", ledger.assignments);
}

/// Produces to every partition until told to stop.
struct Load {
    stopping: Arc<AtomicBool>,
    produced: Arc<AtomicI64>,
    thread: thread::JoinHandle<()>,
}

impl Load {
    fn start(brokers: String, topics: [String; 2], per_pause: i32) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let produced = Arc::new(AtomicI64::new(0));
        let thread = thread::spawn({
            let (stopping, produced) = (Arc::clone(&stopping), Arc::clone(&produced));
            move || {
                let producer: BaseProducer = ClientConfig::new()
                    .set("bootstrap.servers", brokers)
                    .set("linger.ms", "2")
                    .create()
                    .unwrap();
                let mut number = 0_i32;
                while !stopping.load(Ordering::SeqCst) {
                    for _ in 0..per_pause {
                        let record: BaseRecord<'_, (), str> = BaseRecord::to(&topics[(number % 2) as usize])
                            .partition(number / 2 % PARTITIONS)
                            .payload("a click");
                        if producer.send(record).is_ok() {
                            number += 1;
                            produced.fetch_add(1, Ordering::SeqCst);
                        }
                        producer.poll(Duration::ZERO);
                    }
                    producer.poll(Duration::from_millis(10));
                }
                producer.flush(Duration::from_secs(30)).unwrap();
            }
        });
        Self { stopping, produced, thread }
    }

    /// How many records there are.
    fn finish(self) -> i64 {
        self.stopping.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.produced.load(Ordering::SeqCst)
    }
}
