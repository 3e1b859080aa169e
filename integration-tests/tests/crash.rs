//! `kill -9` of the processor at any moment changes none of its numbers.

use integration_tests::{Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer};

#[test]
fn killed_in_the_middle_of_windows_it_goes_on_to_the_same_numbers() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("crash"));
    kafka.create_topic(&names.topic, 4);
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    let mut producer = Producer::spawn(&[
        "run",
        "--brokers",
        kafka.bootstrap(),
        "--topic",
        &names.topic,
        "--rate",
        "4000",
        "--count",
        "120000",
        "--seed",
        "11",
        "--users",
        "2000",
        "--out-of-order",
        "0.1",
        "--duplicates",
        "0.02",
        "--invalid",
        "0.01",
    ]);

    // 30 s of traffic: each life of the processor takes in a part of it, and dies with windows open.
    for life in 1..=3 {
        let mut processor = Processor::run(&config, &[]);
        processor.await_ready();
        processor.await_consumed(15_000);
        let status = processor.status().expect("it answers");
        let open: u64 = status["tasks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|task| task["open_windows"].as_u64())
            .sum();
        assert!(open > 0, "life {life} ends in the middle of windows: {status}");
        processor.process.kill();
    }
    assert_eq!(producer.process.wait(std::time::Duration::from_secs(120)), 0, "{}", producer.process.log());
    Processor::run_until_end(&config);

    let numbers = Numbers::of(&influx);
    assert!(numbers.sum("raw_10s", "http_all", "requests") > 50_000, "most events are requests");
    numbers.assert_equal(&Numbers::of_an_undisturbed_run(&kafka, &names));
}
