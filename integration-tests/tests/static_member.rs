//! `kafka.instance_id`: what becomes of a processor whose name in the group is somebody else's.

use std::time::{Duration, Instant};

use integration_tests::{
    Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer, eventually, eventually_within,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

/// The least that the processor takes.
const SESSION_TIMEOUT: Duration = Duration::from_secs(25);

struct Scene {
    kafka: Kafka,
    influx: Influx,
    names: Names,
    config: ProcessorConfig,
    producer: Producer,
}

impl Scene {
    fn new(name: &str) -> Self {
        let (kafka, influx, names) = (Kafka::start(), Influx::start_own(), Names::unique(name));
        kafka.create_topic(&names.topic, 2);
        let mut config = ProcessorConfig::new(&kafka, &influx, &names)
            .extra(&format!("[kafka.properties]\n\"session.timeout.ms\" = {}", SESSION_TIMEOUT.as_millis()));
        config.instance_id = Some("one".to_owned());
        // For as long as the rest takes.
        let producer =
            Producer::spawn_to(&kafka, &names, "--rate 1000 --seed 37 --users 500 --duplicates 0.02");
        Self { kafka, influx, names, config, producer }
    }

    /// Ends the producer, lets `processor` drain, and compares with an undisturbed run.
    fn finish(mut self, processor: &mut Processor) {
        self.producer.process.signal("INT");
        assert_eq!(self.producer.process.wait(Duration::from_secs(60)), 0, "{}", self.producer.process.log());
        assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
        Processor::run_until_end(&self.config);
        Numbers::of(&self.influx).assert_equal(&Numbers::of_an_undisturbed_run(&self.kafka, &self.names));
    }
}

#[test]
fn a_member_that_lost_its_name_waits_until_it_is_free_and_goes_on() {
    let scene = Scene::new("forgotten");
    let mut processor = Processor::run(&scene.config, &[]);
    processor.await_ready();
    processor.await_consumed(3_000);

    // Somebody joins by its name and is gone without a word, as an earlier member that a killed Kafka remembers.
    let ghost: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", scene.kafka.bootstrap())
        .set("group.id", &scene.names.group)
        .set("group.instance.id", "one")
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", "6000")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    ghost.subscribe(&[&scene.names.topic]).expect("a subscription");
    let started = Instant::now();
    while ghost.assignment().is_ok_and(|assigned| assigned.count() == 0) {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "it joins; the processor said:\n{}",
            processor.process.log()
        );
        let _ = ghost.poll(Duration::from_millis(100));
    }
    processor.await_reason(&["kafka.instance_id"]);
    drop(ghost); // a static member says no goodbye

    processor.await_ready();
    let said = processor.process.log();
    assert!(said.contains("going on with a new consumer"), "{said}");
    let consumed = processor.status().expect("a status")["totals"]["consumed"].as_u64().expect("a number");
    processor.await_consumed(consumed + 3_000);
    scene.finish(&mut processor);
}

#[test]
fn of_two_processors_of_one_name_one_ends_and_says_which_setting_is_wrong() {
    let scene = Scene::new("twins");
    let mut first = Processor::run(&scene.config, &[]);
    first.await_ready();
    first.await_consumed(3_000);
    let mut both = [first, Processor::run(&scene.config.another_instance(), &[])];
    // Whichever joined last has the name: both do so more than once, as their producers fence each other, too.
    let ended = eventually_within(SESSION_TIMEOUT * 5, "one of the two ends", || {
        both.iter_mut().position(|one| !one.process.is_running()).ok_or_else(|| "both run".to_owned())
    });
    let said = both[ended].process.log();
    assert_eq!(both[ended].process.wait(SESSION_TIMEOUT), 1, "{said}");
    assert!(said.contains("kafka.instance_id = \"one\" is clickpulse-processor at "), "{said}");
    assert!(said.contains("give every instance a name of its own"), "{said}");
    let other = &mut both[1 - ended];
    other.await_ready();
    eventually("the other has every partition", || {
        let status = other.status()?;
        if status["tasks"].as_array().map(Vec::len) == Some(2) { Ok(()) } else { Err(status.to_string()) }
    });
    scene.finish(other);
}
