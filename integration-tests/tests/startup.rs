//! What people get wrong at start, and services that come late: each says what it waits for, and goes on by itself.

use integration_tests::{Influx, Kafka, Names, Processor, ProcessorConfig, Producer, eventually, free_port};

#[test]
fn kafka_that_comes_late_is_named_and_waited_for() {
    let (mut kafka, influx, names) = (Kafka::prepare(), Influx::start(), Names::unique("late-kafka"));
    let mut processor = Processor::run(&ProcessorConfig::new(&kafka, &influx, &names), &[]);
    processor.await_reason(&["kafka", kafka.bootstrap()]);
    eventually("the log names the address", || {
        let log = processor.process.log();
        if log.contains(kafka.bootstrap()) { Ok(()) } else { Err(log) }
    });

    kafka.launch();
    kafka.create_topic(&names.topic, 4);
    produce(&kafka, &names, "1000");
    processor.await_ready();
    processor.await_consumed(1_000);
    assert_eq!(processor.terminate(), 0);
}

#[test]
fn influxdb_that_comes_late_is_named_and_waited_for() {
    let (kafka, mut influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("late-influxdb"));
    influx.stop();
    kafka.create_topic(&names.topic, 4);
    produce(&kafka, &names, "1000");
    let mut processor = Processor::run(&ProcessorConfig::new(&kafka, &influx, &names), &[]);
    processor.await_reason(&[influx.url()]);

    influx.launch();
    processor.await_ready();
    await_committed(&kafka, &names);
    // What is made of the input is committed with it, and merged after that.
    eventually("the numbers have arrived", || {
        let points = influx.points(&influx.buckets().raw, "http_all").len();
        if points > 0 { Ok(()) } else { Err("none".to_owned()) }
    });
    assert_eq!(processor.terminate(), 0);
}

#[test]
fn a_refused_token_is_named_and_nothing_is_committed_until_it_is_put_right() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("refused-token"));
    kafka.create_topic(&names.topic, 4);
    produce(&kafka, &names, "1000");
    let token = influx.new_write_token("to be refused");
    influx.set_token_active(&token, false);
    let config =
        ProcessorConfig::new(&kafka, &influx, &names).influxdb("token", &format!("{:?}", token.secret));
    let mut processor = Processor::run(&config, &[]);
    processor.await_consumed(1_000);
    processor.await_reason(&["influxdb.token"]);
    assert!(!processor.process.log().contains(&token.secret), "secrets are not logged");
    // Tasks publish what they counted, and commit with it; the merges may not leave it behind before InfluxDB has it.
    await_committed(&kafka, &names);
    let ends = kafka.end_offsets(&names.partials);
    let committed = kafka.committed(&names.group, &names.partials);
    let left = ends.iter().zip(&committed).filter(|(end, committed)| committed.unwrap_or(0) < **end).count();
    assert!(left > 0, "the merges have committed {committed:?} of {ends:?}, which InfluxDB does not have");

    influx.set_token_active(&token, true);
    processor.await_ready();
    await_committed(&kafka, &names);
    assert_eq!(processor.terminate(), 0);
}

#[test]
fn an_unknown_setting_exits_2_and_names_the_nearest() {
    let toml = "[windows]\nallowed_latenes = \"1m\"\n";
    let mut processor = Processor::spawn("run", toml, free_port(), &[]);
    let code = processor.process.wait(std::time::Duration::from_secs(20));
    let log = processor.process.log();
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("allowed_latenes") && log.contains("windows.allowed_lateness"), "{log}");
}

#[test]
fn an_unknown_flag_exits_2_and_names_the_nearest() {
    for (mut process, wrong, right) in [
        (Processor::spawn("run", "", free_port(), &["--until-ende"]).process, "--until-ende", "--until-end"),
        (Producer::spawn(&["run", "--ratee", "5"]).process, "--ratee", "--rate"),
    ] {
        let code = process.wait(std::time::Duration::from_secs(20));
        let log = process.log();
        assert_eq!(code, 2, "{log}");
        assert!(log.contains(wrong) && log.contains(&format!("'{right}")), "{log}");
    }
}

#[test]
fn check_says_of_every_connection_whether_it_works() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("check"));
    kafka.create_topic(&names.topic, 4);
    let good = ProcessorConfig::new(&kafka, &influx, &names);
    let check = |config: &ProcessorConfig| {
        let mut check = Processor::spawn("check", &config.to_toml(), config.http_port, &[]);
        let code = check.process.wait(std::time::Duration::from_secs(60));
        (code, check.process.log())
    };
    let (code, said) = check(&good);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(kafka.bootstrap()) && said.contains(influx.url()), "{said}");

    let (code, said) = check(&good.clone().influxdb("token", "\"wrong\""));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("influxdb.token"), "{said}");

    let nowhere = format!("127.0.0.1:{}", free_port());
    let (code, said) = check(&ProcessorConfig { brokers: nowhere.clone(), ..good });
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&nowhere), "{said}");
}

fn produce(kafka: &Kafka, names: &Names, count: &str) {
    Producer::run_to(kafka, names, &format!("--rate 20000 --count {count} --seed 3"));
}

fn await_committed(kafka: &Kafka, names: &Names) {
    eventually("everything is committed", || {
        let ends: Vec<Option<i64>> = kafka.end_offsets(&names.topic).into_iter().map(Some).collect();
        let committed = kafka.committed(&names.group, &names.topic);
        let same =
            committed.iter().zip(&ends).all(|(done, end)| done == end || (*end == Some(0) && done.is_none()));
        if same { Ok(()) } else { Err(format!("{committed:?} of {ends:?}")) }
    });
}
