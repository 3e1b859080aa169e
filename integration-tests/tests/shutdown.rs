//! `SIGTERM` and `SIGINT`: what was taken in is made durable, and the exit code says so.

use integration_tests::{Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer, eventually};

#[test]
fn sigterm_under_load_drains_commits_and_exits_0() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("sigterm"));
    kafka.create_topic(&names.topic, 4);
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    let mut processor = Processor::run(&config, &[]);
    let mut producer =
        Producer::spawn_to(&kafka, &names, "--rate 5000 --count 60000 --seed 9 --out-of-order 0.05");
    processor.await_ready();
    processor.await_consumed(20_000);
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());

    let committed: i64 = kafka.committed(&names.group, &names.topic).into_iter().flatten().sum();
    assert!(committed >= 20_000, "what was consumed is committed: {committed}");

    assert_eq!(producer.process.wait(std::time::Duration::from_secs(60)), 0, "{}", producer.process.log());
    Processor::run_until_end(&config);
    Numbers::of(&influx).assert_equal(&Numbers::of_an_undisturbed_run(&kafka, &names));
}

#[test]
fn sigterm_ends_a_processor_whose_kafka_is_away() {
    let (mut kafka, influx, names) = (Kafka::start_own(), Influx::start(), Names::unique("sigterm-away"));
    kafka.create_topic(&names.topic, 4);
    let settings = "[kafka.properties]\n\"session.timeout.ms\" = \"25000\"\n[shutdown]\ndeadline = \"5s\"";
    let mut processor = Processor::run(&ProcessorConfig::new(&kafka, &influx, &names).extra(settings), &[]);
    processor.await_ready();
    Producer::run_to(&kafka, &names, "--rate 20000 --count 5000 --seed 10");
    processor.await_consumed(5_000);
    kafka.kill();
    // Then the client wants to leave the group in order, and cannot.
    eventually("its session is over", || {
        let log = processor.process.log();
        if log.contains("partitions revoked") { Ok(()) } else { Err(log) }
    });
    processor.process.signal("TERM");
    let code = processor.process.wait(std::time::Duration::from_secs(120));
    assert!(code == 0 || code == 1, "{code}: {}", processor.process.log()); // 1 with a transaction under way
}

#[test]
fn sigint_makes_the_producer_flush_and_say_what_was_sent() {
    let (kafka, names) = (Kafka::start(), Names::unique("sigint"));
    kafka.create_topic(&names.topic, 4);
    let mut producer = Producer::spawn_to(&kafka, &names, "--rate 2000");
    eventually("events arrive", || {
        let sent: i64 = kafka.end_offsets(&names.topic).iter().sum();
        if sent > 2_000 { Ok(()) } else { Err(format!("{sent} so far")) }
    });
    producer.process.signal("INT");
    assert_eq!(producer.process.wait(std::time::Duration::from_secs(30)), 0, "{}", producer.process.log());

    let sent: i64 = kafka.end_offsets(&names.topic).iter().sum();
    let log = producer.process.log();
    assert!(log.contains(&format!("sent {sent} records")), "it says that {sent} were sent: {log}");
}
