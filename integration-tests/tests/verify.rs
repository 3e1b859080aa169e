//! `processor verify` on real servers: it finds nothing where nothing is wrong, and everything that is made wrong.

use integration_tests::{
    Influx, Kafka, Names, Processor, ProcessorConfig, Producer, Verdict, eventually_within,
};
use std::time::Duration;

/// A moment before a full hour, so that every resolution has a closed window.
const START: &str = "2026-01-15T08:56:30Z";

/// Settings that say to verify what the stream is about: everything is over soon.
fn produced(kafka: &Kafka, names: &Names) {
    kafka.create_topic(&names.topic, 4);
    Producer::run(&[
        "run",
        "--brokers",
        kafka.bootstrap(),
        "--topic",
        &names.topic,
        "--count",
        "120000",
        "--rate",
        "300",
        "--unpaced",
        "--start-time",
        START,
        "--seed",
        "77",
        "--users",
        "2000",
        "--out-of-order",
        "0.1",
        "--late",
        "0.01",
        "--duplicates",
        "0.02",
        "--invalid",
        "0.01",
    ]);
}

#[test]
fn nothing_is_found_where_nothing_is_wrong_and_each_wrong_thing_by_its_kind() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("verify"));
    produced(&kafka, &names);
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    Processor::run_until_end(&config);

    let closed = Verdict::of(&config, &influx, &[]);
    closed.assert_equal();
    let records = &closed.json["records"];
    assert_eq!(records["read"], 120_000, "{}", closed.log);
    for part in ["duplicates", "late", "rejected"] {
        assert!(records[part].as_u64() > Some(500), "the stream is untidy: {records}");
    }
    let all = Verdict::of(&config, &influx, &["--open"]);
    all.assert_equal();
    assert!(all.compared() > closed.compared() + 100, "the last minutes are open");
    let hour =
        Verdict::of(&config, &influx, &["--from", "2026-01-15T08:58:00Z", "--until", "2026-01-15T09:00:00Z"]);
    hour.assert_equal();
    assert!(hour.compared() < closed.compared());

    // One point is gone, another has another value, a third should not be there.
    let buckets = influx.buckets();
    let at = 1_768_467_480_000; // 08:58:00
    influx.delete(&buckets.raw, "http_all", at);
    influx.write(&buckets.minute, &format!("http_status,status=200 requests=1i {at}"));
    influx.write(&buckets.raw, &format!("events,event_type=ghost count=3i {at}"));
    // One dead letter is lost, another is there twice.
    let letters = kafka.read_all(&names.dead_letters());
    kafka.delete_topic(&names.dead_letters());
    kafka.create_topic(&names.dead_letters(), 4);
    kafka.produce_again(&names.dead_letters(), letters[1..].iter().chain([&letters[5]]));

    let broken = Verdict::of(&config, &influx, &[]);
    assert_eq!(broken.code, 1, "{}", broken.log);
    for (kind, what) in [
        ("missing", "http_all"),
        ("different", "http_status"),
        ("unexpected", "events"),
        ("missing", names.dead_letters().as_str()),
        ("doubled", names.dead_letters().as_str()),
    ] {
        assert_eq!(broken.count(kind, what), 1, "{kind} {what}: {}", broken.log);
    }
    assert_eq!(broken.json["differences"], 5, "{}", broken.log);
    // A crash may leave a second copy with the other way of delivery, which is said and no more.
    let at_least_once = config.kafka("delivery", "\"at_least_once\"");
    let lenient = Verdict::of(&at_least_once, &influx, &[]);
    assert_eq!(lenient.json["differences"], 4, "{}", lenient.log);
    assert!(lenient.log.contains("1 dead letters are there more than once"), "{}", lenient.log);
    let examples = broken.json["examples"].as_array().expect("a list");
    let missing =
        examples.iter().find(|it| it["what"] == "http_all at 2026-01-15T08:58:00Z").expect("an example");
    assert!(missing["records"].as_str().is_some_and(|it| it.contains(&names.topic)), "{missing}");
}

#[test]
fn where_a_task_has_only_begun_nothing_is_found_wrong() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("verify-begun"));
    produced(&kafka, &names);
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    Processor::run_until_end(&config);
    // As in the moment after a start at least once, or when another tool has set it: merges have closed windows with what
    // comes after this offset.
    kafka.reset_offset(&names.group, &names.topic, 0, 0);
    let verdict = Verdict::of(&config, &influx, &[]);
    verdict.assert_equal();
    assert_eq!(verdict.count("compared", "http_all"), 0, "{}", verdict.log);
    let said = format!("has counted nothing of {}[0]", names.topic);
    assert!(verdict.log.contains(&said), "{}", verdict.log);
}

#[test]
fn on_a_live_system_the_closed_windows_are_compared() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("verify-live"));
    kafka.create_topic(&names.topic, 4);
    let config = ProcessorConfig::new(&kafka, &influx, &names)
        .windows("allowed_lateness", "\"3s\"")
        .windows("out_of_orderness", "\"2s\"");
    let mut producer = Producer::spawn(&[
        "run",
        "--brokers",
        kafka.bootstrap(),
        "--topic",
        &names.topic,
        "--rate",
        "2000",
        "--seed",
        "5",
        "--users",
        "2000",
        "--out-of-order",
        "0.05",
        "--late",
        "0.002",
        "--duplicates",
        "0.02",
        "--invalid",
        "0.01",
    ]);
    let mut processor = Processor::run(&config, &[]);
    processor.await_ready();
    // Three windows, and a minute.
    let compared = eventually_within(Duration::from_secs(150), "a minute is closed and compared", || {
        let verdict = Verdict::of(&config, &influx, &[]);
        let in_minutes = verdict.json["rows"].as_array().into_iter().flatten();
        let minutes = in_minutes.filter(|row| row["place"] == influx.buckets().minute.as_str()).count();
        if verdict.json["differences"].as_u64() > Some(0) {
            panic!("a difference on a live system:\n{}", verdict.log);
        }
        if minutes > 0 { Ok(verdict) } else { Err(verdict.log) }
    });
    compared.assert_equal();
    assert!(producer.process.is_running() && processor.process.is_running());
    producer.process.signal("INT");
    producer.process.wait(Duration::from_secs(30));

    // A quiet stream closes its windows; killed in between, the processor goes on where it was.
    processor.process.kill();
    let _processor = Processor::run(&config, &[]);
    let sent =
        u64::try_from(kafka.end_offsets(&names.topic).iter().sum::<i64>()).expect("offsets are positive");
    let before = compared.count("compared", "http_all");
    // Kafka takes 45 s to give the killed one up; then the stream has to be quiet for a while.
    eventually_within(
        Duration::from_secs(240),
        "what came last is closed by the wall clock and compared",
        || {
            let verdict = Verdict::of(&config, &influx, &[]);
            verdict.assert_equal();
            let all_read = verdict.json["records"]["read"].as_u64() == Some(sent);
            let more = verdict.count("compared", "http_all") > before;
            if all_read && more { Ok(()) } else { Err(verdict.log) }
        },
    );
}

#[test]
fn without_a_token_that_may_read_it_says_so_and_ends_with_1() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("verify-token"));
    kafka.create_topic(&names.topic, 1);
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    let mut verify = Processor::spawn("verify", &config.to_toml(), config.http_port, &[]);
    assert_eq!(verify.process.wait(Duration::from_secs(60)), 1);
    assert!(verify.process.log().contains("--influx-token-file"), "{}", verify.process.log());
    // And with one, but before anything was committed, there is nothing to say.
    let verdict = Verdict::of(&config, &influx, &[]);
    assert_eq!(verdict.code, 1, "{}", verdict.log);
    assert!(verdict.log.contains("nothing could be compared"), "{}", verdict.log);
}
