//! `SIGTERM` and `SIGINT`: what was taken in is made durable, and the exit code says so.

use integration_tests::{Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer};

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
fn sigint_makes_the_producer_flush_and_say_what_was_sent() {
    let (kafka, names) = (Kafka::start(), Names::unique("sigint"));
    kafka.create_topic(&names.topic, 4);
    let mut producer = Producer::spawn_to(&kafka, &names, "--rate 2000");
    integration_tests::eventually("events arrive", || {
        let sent: i64 = kafka.end_offsets(&names.topic).iter().sum();
        if sent > 2_000 { Ok(()) } else { Err(format!("{sent} so far")) }
    });
    producer.process.signal("INT");
    assert_eq!(producer.process.wait(std::time::Duration::from_secs(30)), 0, "{}", producer.process.log());

    let sent: i64 = kafka.end_offsets(&names.topic).iter().sum();
    let log = producer.process.log();
    assert!(log.contains(&format!("sent {sent} records")), "it says that {sent} were sent: {log}");
}
