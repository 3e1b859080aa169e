//! A server away under load: nothing lost, nothing committed that InfluxDB has not confirmed, memory bounded, and it shows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use integration_tests::{Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer, eventually};
use serde_json::Value;

/// How long InfluxDB is away.
const OUTAGE: Duration = Duration::from_secs(60);

/// What the processor may hold, all of it; enough to tell every product and URL of the shoppers apart.
const MEMORY_BUDGET: u64 = 256_000_000;

/// So many messages wait in a partition of the partials only where its points are not confirmed: seconds of epochs.
const WAITING_MIN: i64 = 60;

#[test]
fn a_minute_without_influxdb_loses_nothing_and_commits_nothing() {
    let (kafka, mut influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("outage"));
    kafka.create_topic(&names.topic, 4);
    let config = ProcessorConfig::new(&kafka, &influx, &names)
        .extra(&format!("[memory]\nbudget = \"{MEMORY_BUDGET}\""));
    let mut processor = Processor::run(&config, &[]);
    let mut producer = Producer::spawn_to(
        &kafka,
        &names,
        "--rate 5000 --count 450000 --seed 5 --users 5000 --out-of-order 0.05",
    );
    processor.await_ready();
    processor.await_consumed(10_000);

    influx.stop();
    let stopped = Instant::now();
    processor.await_reason(&["influxdb", influx.url()]);

    // What the merges have committed is what InfluxDB has confirmed. A partition of the partials that has points to be
    // confirmed stands still, and more and more waits behind it; one that has none yet goes on.
    let merged = || {
        let committed = kafka.committed(&names.group, &names.partials);
        let pairs = committed.into_iter().zip(kafka.end_offsets(&names.partials));
        pairs.map(|(committed, end)| (committed.unwrap_or(0), end)).collect::<Vec<_>>()
    };
    let mut held: BTreeMap<usize, i64> = BTreeMap::new();
    let input = || kafka.committed(&names.group, &names.topic).into_iter().flatten().sum::<i64>();
    let mut read = Vec::new();
    while stopped.elapsed() < OUTAGE {
        let rss = processor.process.rss_bytes();
        assert!(rss < MEMORY_BUDGET, "{rss} bytes resident while InfluxDB is away");
        for (partition, (committed, end)) in merged().into_iter().enumerate() {
            if end - committed >= WAITING_MIN {
                held.entry(partition).or_insert(committed);
            }
            let stands = held.get(&partition).is_none_or(|at| *at == committed);
            assert!(stands, "{committed} of partials[{partition}] is not confirmed by InfluxDB: {held:?}");
        }
        read.push(input());
        assert_eq!(processor.get("/readyz").expect("the page answers").status, 503);
        std::thread::sleep(Duration::from_millis(500)); // the outage's length is the scenario
    }

    assert!(held.len() > 1, "points wait for InfluxDB in several partitions: {held:?}");
    let stood_still = read.iter().rev().take_while(|at| **at == read[read.len() - 1]).count();
    assert!(stood_still > 10, "reading stops when too much waits for InfluxDB: {read:?}");

    influx.launch();
    processor.await_readiness(200);
    assert_eq!(producer.process.wait(Duration::from_secs(120)), 0, "{}", producer.process.log());
    eventually("everything is committed", || {
        let (ends, committed) =
            (kafka.end_offsets(&names.topic), kafka.committed(&names.group, &names.topic));
        let all: Vec<Option<i64>> = ends.into_iter().map(Some).collect();
        if committed == all { Ok(()) } else { Err(format!("{committed:?} of {all:?}")) }
    });
    let peak = processor.process.peak_rss_bytes();
    assert!(peak < MEMORY_BUDGET, "{peak} bytes resident at most");
    let status = processor.status().expect("the page answers");
    assert_eq!(status["conserved"], true, "{status}");
    let given_up = status["beyond_limits"].as_object().expect("the page says what had no room");
    assert!(given_up.values().all(|events| *events == 0), "{given_up:?}");
    assert_eq!(processor.terminate(), 0);

    Processor::run_until_end(&config);
    Numbers::of(&influx).assert_equal(&Numbers::of_an_undisturbed_run(&kafka, &names));
}

#[test]
fn a_kafka_that_goes_away_is_named_and_waited_for() {
    let (mut kafka, influx, names) = (Kafka::start_own(), Influx::start(), Names::unique("away"));
    kafka.create_topic(&names.topic, 4);
    let properties = "[kafka.properties]\n\"session.timeout.ms\" = \"25000\"";
    let mut processor = Processor::run(&ProcessorConfig::new(&kafka, &influx, &names).extra(properties), &[]);
    processor.await_ready();
    Producer::run_to(&kafka, &names, "--rate 20000 --count 5000 --seed 6");
    processor.await_consumed(5_000);

    kafka.kill();
    processor.await_reason(&["kafka: no answer for", kafka.bootstrap()]);
    // Its clients say so several times a second.
    eventually("the page has one line for what goes on", || {
        let status = processor.status()?;
        let lines: Vec<_> = status["errors"].as_array().into_iter().flatten().collect();
        let of_brokers =
            |line: &&&Value| line["text"].as_str().is_some_and(|it| it.contains("no kafka broker"));
        match lines.iter().filter(of_brokers).collect::<Vec<_>>()[..] {
            [line] if line["times"].as_u64() > Some(3) => Ok(()),
            _ => Err(format!("{lines:?}")),
        }
    });

    kafka.launch();
    processor.await_ready();
    Producer::run_to(&kafka, &names, "--rate 20000 --count 5000 --seed 7");
    processor.await_consumed(10_000);
    eventually("kafka answers, and nothing is said of it any more", || {
        let status = processor.status()?;
        if status["kafka_problem"].is_null() { Ok(()) } else { Err(status["kafka_problem"].to_string()) }
    });
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
}
