//! InfluxDB away under load: nothing lost, nothing committed, memory bounded, and it shows.

use std::time::{Duration, Instant};

use integration_tests::{Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer, eventually};

/// How long InfluxDB is away.
const OUTAGE: Duration = Duration::from_secs(60);

/// What the processor may hold: its budget, and what the allocator, librdkafka and the program itself take besides.
const MEMORY_BUDGET: u64 = 128_000_000;
const RSS_MAX: u64 = MEMORY_BUDGET + 128_000_000;

#[test]
fn a_minute_without_influxdb_loses_nothing_and_commits_nothing() {
    let (kafka, mut influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("outage"));
    kafka.create_topic(&names.topic, 4);
    let config = ProcessorConfig::new(&kafka, &influx, &names)
        .extra(&format!("[memory]\nbudget = \"{MEMORY_BUDGET}\""));
    let mut processor = Processor::run(&config, &[]);
    let mut producer = Producer::spawn(&[
        "run",
        "--brokers",
        kafka.bootstrap(),
        "--topic",
        &names.topic,
        "--rate",
        "5000",
        "--count",
        "450000",
        "--seed",
        "5",
        "--users",
        "5000",
        "--out-of-order",
        "0.05",
    ]);
    processor.await_ready();
    processor.await_consumed(10_000);

    influx.stop();
    let stopped = Instant::now();
    let reason = processor.await_readiness(503);
    assert!(
        reason.contains("influxdb") && reason.contains(influx.url()),
        "the reason names the server: {reason}"
    );

    // The input's offsets stand for everything: they follow once the merges that took in its partials are durable.
    let committed = || kafka.committed(&names.group, &names.topic);
    let before = committed();
    eventually("more records arrive than were committed", || {
        let (ends, done) = (kafka.end_offsets(&names.topic), &before);
        let behind: i64 = ends.iter().zip(done).map(|(end, done)| end - done.unwrap_or(0)).sum();
        if behind > 20_000 { Ok(()) } else { Err(format!("{behind} behind")) }
    });
    while stopped.elapsed() < OUTAGE {
        let rss = processor.process.rss_bytes();
        assert!(rss < RSS_MAX, "{rss} bytes resident while InfluxDB is away");
        assert_eq!(committed(), before, "nothing is committed while InfluxDB is away");
        assert_eq!(processor.get("/readyz").expect("the page answers").status, 503);
        std::thread::sleep(Duration::from_millis(500)); // the outage's length is the scenario
    }

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
    assert!(peak < RSS_MAX, "{peak} bytes resident at most");
    let status = processor.status().expect("the page answers");
    assert_eq!(status["conserved"], true, "{status}");
    assert_eq!(processor.terminate(), 0);

    Processor::run_until_end(&config);
    Numbers::of(&influx).assert_equal(&Numbers::of_an_undisturbed_run(&kafka, &names));
}
