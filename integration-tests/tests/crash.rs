//! `kill -9` of the processor at any moment changes none of its numbers.

use integration_tests::{Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer};

#[test]
fn killed_in_the_middle_of_windows_it_goes_on_to_the_same_numbers() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("crash"));
    kafka.create_topic(&names.topic, 4);
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    for life in 1..=3 {
        let mut processor = Processor::run(&config, &[]);
        processor.await_ready();
        // Each life has records of its own, however long Kafka takes to give up the one before.
        let mut producer = produce(&kafka, &names, life);
        processor.await_consumed(10_000);
        let status = processor.status().expect("it answers");
        let open: u64 = status["tasks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|task| task["open_windows"].as_u64())
            .sum();
        assert!(open > 0, "life {life} ends in the middle of windows: {status}");
        processor.process.kill();
        let sent = producer.process.wait(std::time::Duration::from_secs(120));
        assert_eq!(sent, 0, "{}", producer.process.log());
    }
    Processor::run_until_end(&config);

    let numbers = Numbers::of(&influx);
    assert!(numbers.sum("raw_10s", "http_all", "requests") > 50_000, "most events are requests");
    numbers.assert_equal(&Numbers::of_an_undisturbed_run(&kafka, &names));
}

#[test]
fn at_least_once_it_is_committed_where_a_task_begins_before_anything_is_made_of_its_log() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("begins"));
    kafka.create_topic(&names.topic, 2);
    let config = ProcessorConfig::new(&kafka, &influx, &names).kafka("delivery", "\"at_least_once\"");
    let mut processor = Processor::run(&config, &[]);
    processor.await_ready();
    // Otherwise one that dies before its first commit is begun where windows have closed by what it made itself.
    assert_eq!(kafka.committed(&names.group, &names.topic), [Some(0), Some(0)]);
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
}

/// Ten seconds of an untidy stream.
fn produce(kafka: &Kafka, names: &Names, life: u32) -> Producer {
    let seed = 10 + life;
    let disorder = "--out-of-order 0.1 --duplicates 0.02 --invalid 0.01";
    Producer::spawn_to(
        kafka,
        names,
        &format!("--rate 4000 --count 40000 --users 2000 --seed {seed} {disorder}"),
    )
}
