//! More and fewer instances of one group: partitions move, numbers stay.

use integration_tests::{Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer, eventually};

#[test]
fn instances_that_come_and_go_under_load_give_the_numbers_of_one() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("rebalance"));
    kafka.create_topic(&names.topic, 4);
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    // For as long as the rest takes.
    let mut producer = Producer::spawn_to(
        &kafka,
        &names,
        "--rate 4000 --seed 23 --users 2000 --out-of-order 0.1 --duplicates 0.02",
    );
    let mut first = Processor::run(&config, &[]);
    first.await_ready();
    first.await_consumed(10_000);

    let mut second = Processor::run(&config.another_instance(), &[]);
    await_shared([&first, &second]);
    second.await_consumed(10_000);
    assert_eq!(first.terminate(), 0, "{}", first.process.log());
    await_all_partitions(&second);

    let third = Processor::run(&config.another_instance(), &[]);
    await_shared([&second, &third]);
    third.await_consumed(10_000);

    // Three, each of them restarted in turn, then two.
    let configs = [config.another_instance(), config.another_instance()];
    let mut others = configs.each_ref().map(|config| Processor::run(config, &[]));
    await_shared([&second, &third, &others[0], &others[1]]);
    assert_eq!(second.terminate(), 0, "{}", second.process.log());
    for at in 0..2 {
        assert_eq!(others[at].terminate(), 0, "{}", others[at].process.log());
        others[at] = Processor::run(&configs[at], &[]);
        await_shared([&third, &others[0], &others[1]]);
    }
    let [other, last] = others;
    drop(last);
    await_shared([&third, &other]);
    drop(other);
    await_all_partitions(&third);

    producer.process.signal("INT");
    assert_eq!(producer.process.wait(std::time::Duration::from_secs(120)), 0, "{}", producer.process.log());
    drop(third); // killed: what it has not committed is read again
    Processor::run_until_end(&config);
    Numbers::of(&influx).assert_equal(&Numbers::of_an_undisturbed_run(&kafka, &names));
}

/// The partition numbers that an instance works on.
fn partitions(processor: &Processor) -> Result<Vec<i64>, String> {
    let status = processor.status()?;
    let tasks = status["tasks"].as_array().ok_or("no tasks in the status")?;
    Ok(tasks.iter().filter_map(|task| task["partition"].as_i64()).collect())
}

fn await_shared<const N: usize>(instances: [&Processor; N]) {
    eventually("the instances share the four partitions", || {
        let mut each = Vec::new();
        for instance in instances {
            each.push(partitions(instance)?);
        }
        let mut all = each.concat();
        all.sort_unstable();
        let shared = each.iter().all(|own| !own.is_empty()) && all == [0, 1, 2, 3];
        if shared { Ok(()) } else { Err(format!("{each:?}")) }
    });
}

fn await_all_partitions(instance: &Processor) {
    eventually("one instance has all partitions", || match partitions(instance)? {
        all if all.len() == 4 => Ok(()),
        some => Err(format!("{some:?}")),
    });
}
