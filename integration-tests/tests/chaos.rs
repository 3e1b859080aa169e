//! Everything that can happen to a running system, at random, and afterwards zero differences.
//!
//! `CLICKPULSE_CHAOS_KILLS` is how many `kill -9` there are (6, and 100 or more for a long run), `CLICKPULSE_CHAOS_SEED`
//! repeats the same order of events: the servers' timing is their own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use integration_tests::{
    Fault, Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer, Proxy, Record,
    eventually_within,
};

/// The least that the processor takes; a zombie has to be stopped for longer.
const SESSION_TIMEOUT: Duration = Duration::from_secs(25);
/// Events per second.
const RATE: u64 = 2_000;
/// What a kill and what comes between two of them takes at most, on a busy machine.
const SECONDS_PER_KILL: u64 = 8;

#[test]
fn whatever_happens_the_numbers_are_those_of_an_undisturbed_run() {
    let number = |name, otherwise| {
        std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok()).unwrap_or(otherwise)
    };
    let kills = number("CLICKPULSE_CHAOS_KILLS", 6);
    let mut chaos = Chaos::new(number("CLICKPULSE_CHAOS_SEED", 1));
    let names = chaos.names.clone();
    let mut producer = Producer::spawn_to(
        &chaos.kafka,
        &names,
        &format!(
            "--rate {RATE} --count {} --seed 31 --users 2000 --out-of-order 0.1 --duplicates 0.02 \
         --late 0.005 --invalid 0.01",
            RATE * (SECONDS_PER_KILL * kills + 45)
        ),
    );
    chaos.await_progress();
    chaos.stall_one_until_it_has_lost_its_partitions();
    while chaos.killed < kills {
        chaos.something_happens();
        chaos.await_progress();
    }
    let sent = Duration::from_secs(120 + SECONDS_PER_KILL * kills * 2);
    assert_eq!(producer.process.wait(sent), 0, "{}", producer.process.log());
    println!("survived: {:?}", chaos.counts);

    let Chaos { kafka, influx, config, instances, .. } = chaos;
    drop(instances); // killed once more, whatever they were at
    Processor::run_until_end(&config);
    let (dead, late) = (kafka.read_all(&names.dead_letters()), kafka.read_all(&names.late()));
    assert!(!dead.is_empty() && !late.is_empty(), "the stream has broken and late events");
    for (what, copies) in [("dead letter", &dead), ("late record", &late)] {
        for (origin, times) in origins(copies) {
            assert_eq!(times, 1, "the {what} of {origin} is there {times} times");
        }
    }
    Numbers::of(&influx).assert_equal(&Numbers::of_an_undisturbed_run(&kafka, &names));
    // The undisturbed run has added the copies it made.
    let expected = |all: &[Record], ours: &[Record]| all.len() == 2 * ours.len();
    assert!(expected(&kafka.read_all(&names.dead_letters()), &dead), "as many dead letters as undisturbed");
    assert!(expected(&kafka.read_all(&names.late()), &late), "as many late records as undisturbed");
}

/// How often there is a copy of each input record.
fn origins(copies: &[Record]) -> BTreeMap<String, usize> {
    let mut origins = BTreeMap::new();
    for copy in copies {
        let origin = format!("{}-{}", copy.headers["partition"], copy.headers["offset"]);
        *origins.entry(origin).or_default() += 1;
    }
    origins
}

struct Chaos {
    kafka: Kafka,
    influx: Influx,
    to_kafka: Proxy,
    to_influx: Proxy,
    names: Names,
    config: ProcessorConfig,
    instances: Vec<Instance>,
    random: u64,
    killed: u64,
    counts: BTreeMap<&'static str, u32>,
}

struct Instance {
    config: ProcessorConfig,
    processor: Processor,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let influx = Influx::start_own();
        let server: SocketAddr = influx.url().trim_start_matches("http://").parse().expect("an address");
        let to_influx = Proxy::start(server);
        let (mut kafka, to_kafka) = Kafka::prepare_with_proxy();
        kafka.launch();
        let names = Names::unique("chaos");
        kafka.create_topic(&names.topic, 4);
        let mut config = ProcessorConfig::new(&kafka, &influx, &names)
            .influxdb("url", &format!("\"http://{}\"", to_influx.address()))
            // Nothing is decided by the wall clock, so that the log alone says what is right.
            .windows("idle_after", "\"10m\"")
            .extra(&format!("[kafka.properties]\n\"session.timeout.ms\" = {}", SESSION_TIMEOUT.as_millis()));
        config.brokers = to_kafka.address();
        let instances = (1..=2)
            .map(|number| {
                // A static member that comes back in time keeps its partitions; a dynamic one causes a rebalance.
                let mut config = config.another_instance();
                if number == 1 {
                    config.instance_id = Some("one".to_owned());
                }
                Instance { processor: Processor::run(&config, &[]), config }
            })
            .collect();
        Self {
            kafka,
            influx,
            to_kafka,
            to_influx,
            names,
            config,
            instances,
            random: seed,
            killed: 0,
            counts: BTreeMap::new(),
        }
    }

    /// `SplitMix64`.
    fn below(&mut self, n: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn count(&mut self, what: &'static str) {
        println!("{what}");
        *self.counts.entry(what).or_default() += 1;
    }

    fn something_happens(&mut self) {
        let at = self.below(self.instances.len() as u64) as usize;
        match self.below(20) {
            0..=10 => {
                self.count("kill -9 of the processor");
                self.killed += 1;
                self.instances[at].processor.process.kill();
                self.restart(at);
            }
            11 | 12 => {
                self.count("SIGTERM of the processor");
                assert_eq!(self.instances[at].processor.terminate(), 0, "it drains");
                self.restart(at);
            }
            13 => {
                self.count("kill -9 of InfluxDB");
                self.influx.kill();
                self.pause(3_000);
                self.influx.launch();
            }
            14 => {
                self.count("kill -9 of Kafka");
                self.kafka.kill();
                self.kafka.launch();
            }
            15 => {
                self.count("latency");
                let fault = Fault::Latency(Duration::from_millis(50 + self.below(100)));
                self.to_kafka.set(fault);
                self.to_influx.set(fault);
                self.pause(3_000);
                self.no_fault();
            }
            16 | 17 => {
                self.count("connections reset");
                self.to_kafka.reset();
                self.to_influx.reset();
            }
            18 => {
                self.count("half-open connections to Kafka");
                self.to_kafka.set(Fault::HalfOpen);
                self.pause(4_000);
                self.no_fault();
            }
            _ => {
                self.count("half-open connections to InfluxDB");
                self.to_influx.set(Fault::HalfOpen);
                self.pause(4_000);
                self.no_fault();
            }
        }
    }

    /// A member that stands still for longer than its session loses its partitions; then it goes on with what it had.
    fn stall_one_until_it_has_lost_its_partitions(&mut self) {
        self.count("a zombie");
        let log = |chaos: &Self| chaos.instances[0].processor.process.log().matches("task assigned").count();
        let before = log(self);
        self.instances[1].processor.process.signal("STOP");
        eventually_within(SESSION_TIMEOUT * 4, "the other instance has its partitions", || match log(self) {
            now if now > before => Ok(()),
            now => Err(format!("{now} assignments")),
        });
        self.instances[1].processor.process.signal("CONT");
        self.await_progress();
    }

    fn no_fault(&self) {
        self.to_kafka.set(Fault::None);
        self.to_influx.set(Fault::None);
    }

    /// The length of a fault is part of the scenario.
    fn pause(&mut self, up_to_ms: u64) {
        let length = 500 + self.below(up_to_ms);
        std::thread::sleep(Duration::from_millis(length));
    }

    fn restart(&mut self, at: usize) {
        let Instance { config, processor } = &mut self.instances[at];
        *processor = Processor::run(config, &[]);
    }

    /// Waits until something more is committed: what happens next then happens to a system at work.
    fn await_progress(&mut self) {
        let committed = |chaos: &Self| {
            chaos.kafka.committed(&chaos.names.group, &chaos.names.topic).into_iter().flatten().sum::<i64>()
        };
        let before = committed(self);
        eventually_within(SESSION_TIMEOUT * 6, "more is committed", || {
            self.assert_all_run();
            let now = committed(self);
            let all = self.kafka.end_offsets(&self.names.topic).iter().sum::<i64>();
            if now > before || now == all { Ok(()) } else { Err(format!("{now} of {all} committed")) }
        });
    }

    /// Nothing but this test ends a processor.
    fn assert_all_run(&mut self) {
        for instance in &mut self.instances {
            let process = &mut instance.processor.process;
            assert!(process.is_running(), "it runs; it said:\n{}", process.log());
        }
    }
}
