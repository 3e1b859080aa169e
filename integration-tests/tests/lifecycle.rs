//! What happens to topics and groups while a processor lives: partitions are added, topics are made again, records are
//! deleted, offsets are reset, there are more instances than partitions.

use std::time::Duration;

use integration_tests::{Influx, Kafka, Names, Processor, ProcessorConfig, Record, eventually};
use serde_json::{Value, json};

/// 2026-01-15T08:00:00Z, milliseconds: every event of a test lies in this hour.
const HOUR: i64 = 1_768_464_000_000;

#[test]
fn partitions_are_taken_up_as_they_come_and_instances_without_one_stand_by() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("partitions"));
    let second = format!("{}.second", names.topic);
    kafka.create_topic(&names.topic, 1);
    kafka.create_topic(&second, 1);
    let config = ProcessorConfig::new(&kafka, &influx, &names)
        .extra(&format!("[[inputs]]\ntopic = {second:?}\n"))
        .windows("idle_after", "\"1s\"");
    views(&kafka, &names.topic, 0, 600);

    // A bounded run ends everywhere, on an instance that has nothing to do, too.
    let bounded = Names { topic: names.topic.clone(), ..Names::unique("bounded") };
    let bounded_influx = Influx::start_own();
    let of_bounded = ProcessorConfig::new(&kafka, &bounded_influx, &bounded);
    let mut instances = [of_bounded.clone(), of_bounded.another_instance()]
        .map(|config| Processor::run(&config, &["--until-end"]));
    for instance in &mut instances {
        let code = instance.process.wait(Duration::from_secs(120));
        assert_eq!(code, 0, "{}", instance.process.log());
    }
    assert_eq!(requests(&bounded_influx, "rollup_1h"), 600);

    let mut both = [config.clone(), config.another_instance()].map(|config| Processor::run(&config, &[]));
    let owner = await_owner(&mut both);
    await_requests(&influx, 600);

    // The one that stands by takes over, and ends in order when it stands by again.
    assert_eq!(both[owner].terminate(), 0, "{}", both[owner].process.log());
    await_partitions(&both[1 - owner], &[0]);
    both[owner] = Processor::run(&config.another_instance(), &[]);
    let spare = 1 - await_owner(&mut both);
    assert_eq!(both[spare].terminate(), 0, "{}", both[spare].process.log());
    both[spare] = Processor::run(&config.another_instance(), &[]);
    await_owner(&mut both);

    // A bounded run that has no partition, and will not get one, is over. (Members are sorted by their names.)
    let mut spare = config.another_instance();
    spare.instance_id = Some("zz".to_owned());
    Processor::run_until_end(&spare);

    // Only one of two keyed inputs is wider for now: users would not meet, so everything waits and says so.
    kafka.add_partitions(&names.topic, 3);
    for instance in &mut both {
        instance.await_reason(&["has 3 partition(s)", "same number"]);
    }
    views(&kafka, &names.topic, 60, 600);
    kafka.add_partitions(&second, 3);
    views(&kafka, &second, 60, 300);
    eventually("the two share three partitions", || {
        let [left, right] = [partitions(&both[0])?, partitions(&both[1])?];
        let mut all = [left.clone(), right.clone()].concat();
        all.sort_unstable();
        let shared = !left.is_empty() && !right.is_empty() && all == [0, 1, 2];
        if shared { Ok(()) } else { Err(format!("{left:?} and {right:?}")) }
    });
    await_requests(&influx, 1_500);
    assert!(kafka.end_offsets(&names.topic).iter().all(|end| *end > 0), "every partition has records");
    assert!(kafka.read_all(&names.late()).is_empty(), "nothing came too late");
    for instance in &mut both {
        assert_eq!(instance.terminate(), 0, "{}", instance.process.log());
    }
}

#[test]
fn a_topic_that_is_made_again_counts_on_from_where_the_numbers_were() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("again"));
    kafka.create_topic(&names.topic, 2);
    let config = ProcessorConfig::new(&kafka, &influx, &names).windows("idle_after", "\"1s\"");
    views(&kafka, &names.topic, 0, 900);
    let mut processor = Processor::run(&config, &[]);
    await_requests(&influx, 900);

    // While it runs.
    kafka.delete_topic(&names.topic);
    processor.await_reason(&[&names.topic, "does not exist"]);
    kafka.create_topic(&names.topic, 2);
    views(&kafka, &names.topic, 30, 400);
    kafka.produce(&names.topic, [("u", &b"no event"[..])]);
    await_requests(&influx, 1_300);
    processor.await_ready();
    let letter = eventually("the record that is none is set aside", || {
        match <[Record; 1]>::try_from(kafka.read_all(&names.dead_letters())) {
            Ok([letter]) => Ok(letter),
            Err(letters) => Err(format!("{} dead letters", letters.len())),
        }
    });
    let ends = kafka.end_offsets(&names.topic);
    let partition: usize = letter.headers["partition"].parse().expect("a number");
    assert_eq!(letter.headers["offset"], (ends[partition] - 1).to_string(), "the offset in the new topic");
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());

    // While it is away: the new one is longer than what was committed of the old, and has fewer partitions.
    kafka.delete_topic(&names.topic);
    kafka.create_topic(&names.topic, 1);
    views(&kafka, &names.topic, 40, 2_000);
    let mut processor = Processor::run(&config, &[]);
    await_requests(&influx, 3_300);

    // What began anew is rebuilt as such, and its windows close.
    views(&kafka, &names.topic, 45, 100);
    await_requests(&influx, 3_400);
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
    let mut processor = Processor::run(&config, &[]);
    views(&kafka, &names.topic, 600, 50);
    await_requests(&influx, 3_450);
    eventually("the windows of before are closed", || {
        let status = processor.status()?;
        let oldest = status["merges"].as_array().into_iter().flatten();
        let oldest = oldest.filter_map(|merge| merge["oldest_open_ms"].as_i64()).min();
        if oldest.is_none_or(|oldest| oldest >= HOUR + 500_000) { Ok(()) } else { Err(format!("{oldest:?}")) }
    });
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
    assert_eq!(requests(&influx, "rollup_1h"), 3_450);

    // Partials that are skipped may have held what the hour has of the earlier topics: it keeps what it had.
    for (partition, end) in kafka.end_offsets(&names.partials).into_iter().enumerate() {
        kafka.reset_offset(&names.group, &names.partials, partition as i32, end);
    }
    let mut processor = Processor::run(&config, &[]);
    views(&kafka, &names.topic, 615, 20);
    await_requests(&influx, 3_470);
    processor.await_said("were skipped");
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
    assert_eq!(requests(&influx, "rollup_1h"), 3_450);

    // Partitions of the only input: nothing but looking at the topic tells of them.
    let mut processor = Processor::run(&config, &[]);
    processor.await_ready();
    kafka.add_partitions(&names.topic, 3);
    views(&kafka, &names.topic, 620, 300);
    await_requests(&influx, 3_770);
    assert!(kafka.end_offsets(&names.topic).iter().all(|end| *end > 0), "every partition has records");
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());

    // Deleted with records that are read and not committed: they count all the same.
    let mut processor = Processor::run(&config.extra("[epoch]\ninterval = \"1m\""), &[]);
    processor.await_ready();
    views(&kafka, &names.topic, 630, 200);
    processor.await_consumed(200);
    kafka.delete_topic(&names.topic);
    processor.await_readiness(503);
    kafka.create_topic(&names.topic, 1);
    await_requests(&influx, 3_970);
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
}

#[test]
fn deleted_records_are_counted_and_reset_offsets_make_no_number_smaller() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("reset"));
    kafka.create_topic(&names.topic, 1);
    let config = ProcessorConfig::new(&kafka, &influx, &names).windows("idle_after", "\"1s\"");
    let run = |requests| {
        let processor = Processor::run(&config, &[]);
        await_requests(&influx, requests);
        processor
    };
    views(&kafka, &names.topic, 0, 1_000);
    let mut processor = run(1_000);
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());

    // Retention passes the committed offset.
    views(&kafka, &names.topic, 5, 500);
    kafka.delete_records(&names.topic, 0, 1_300);
    let mut processor = run(1_200);
    eventually("the status says so", || match positions(&processor) {
        found if (&found["skipped_records"], &found["moved"]) == (&json!(300), &json!(0)) => Ok(()),
        found => Err(found.to_string()),
    });
    let metrics = processor.get("/metrics").expect("metrics").body;
    assert!(metrics.contains("processor_records_skipped_total 300"), "{metrics}");
    processor.await_said("300 records were deleted");
    // And what a replay would read.
    views(&kafka, &names.topic, 8, 100);
    await_requests(&influx, 1_300);
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
    kafka.delete_records(&names.topic, 0, 1_550);
    views(&kafka, &names.topic, 9, 100);
    let mut processor = run(1_400);
    processor.await_said("without a replay");
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
    assert_eq!(requests(&influx, "rollup_1h"), 1_400);

    // An operator sets the offset back: nothing counts twice, the open hour keeps what it had.
    kafka.reset_offset(&names.group, &names.topic, 0, 1_600);
    views(&kafka, &names.topic, 300, 70);
    let mut processor = run(1_470);
    assert_eq!(positions_of(&processor, "moved"), 1);
    processor.await_said("set to 1600 by another tool");
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
    views(&kafka, &names.topic, 310, 30);
    let mut processor = run(1_500);
    assert_eq!(positions_of(&processor, "moved"), 0, "what is committed since is of ours");
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
    assert_eq!(requests(&influx, "rollup_1h"), 1_400);

    // And forward, also that of the partials.
    views(&kafka, &names.topic, 320, 1_000);
    let end = kafka.end_offsets(&names.topic)[0];
    kafka.reset_offset(&names.group, &names.topic, 0, end);
    kafka.reset_offset(&names.group, &names.partials, 0, kafka.end_offsets(&names.partials)[0]);
    // The window of the first event read may have begun before, so it is not written.
    views(&kafka, &names.topic, 590, 7);
    views(&kafka, &names.topic, 600, 40);
    let mut processor = run(1_540);
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
    // The whole group is deleted: everything kept is read again. What was counted stays, and what had been skipped counts.
    kafka.delete_group(&names.group);
    let mut processor = Processor::run(&config, &[]);
    views(&kafka, &names.topic, 900, 10);
    await_requests(&influx, 1_540 + 1_000 + 7 + 10);
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
    assert_eq!(requests(&influx, "rollup_1h"), 1_400);
}

#[test]
fn records_that_are_deleted_under_a_running_processor_are_counted_and_it_goes_on() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("under"));
    kafka.create_topic(&names.topic, 1);
    let config = ProcessorConfig::new(&kafka, &influx, &names).windows("idle_after", "\"1s\"");
    let mut processor = Processor::run(&config, &[]);
    views(&kafka, &names.topic, 0, 1_000);
    await_requests(&influx, 1_000);
    // A fetch that is under way may still get the first of these; the last of them are deleted before one asks.
    processor.process.signal("STOP");
    views(&kafka, &names.topic, 5, 100);
    views(&kafka, &names.topic, 6, 100);
    kafka.delete_records(&names.topic, 0, 1_190);
    processor.process.signal("CONT");
    views(&kafka, &names.topic, 7, 50);
    let skipped = eventually("everything kept is counted", || {
        let skipped = processor.status()?["positions"]["skipped_records"].as_i64().unwrap_or_default();
        match requests(&influx, "raw_10s") {
            found if skipped > 0 && found + skipped == 1_250 => Ok(skipped),
            found => Err(format!("{found} are, and {skipped} skipped")),
        }
    });
    processor.await_said(&format!("{skipped} records were deleted"));
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
}

/// Produces requests of different users, all within a second of event time, `from_s` into the hour.
fn views(kafka: &Kafka, topic: &str, from_s: i64, count: i64) {
    let view = |at: i64| {
        let (user, time_ms) = (format!("user-{from_s}-{at}"), HOUR + from_s * 1_000 + at % 10 * 100);
        let event = json!({
            "user_id": user, "event_timestamp": time_ms, "event_type": "page_view", "url": "/home", "http_status": 200,
        });
        (user, event.to_string())
    };
    let all: Vec<_> = (0..count).map(view).collect();
    kafka.produce(topic, all.iter().map(|(user, event)| (user.as_str(), event.as_bytes())));
}

/// All requests that InfluxDB holds.
fn requests(influx: &Influx, resolution: &str) -> i64 {
    let buckets = influx.buckets();
    let bucket = buckets.all().into_iter().find(|bucket| bucket.ends_with(resolution));
    let rows = influx.points(bucket.expect("there is such a bucket"), "http_all");
    rows.iter().map(|row| row["requests"].as_i64().expect("an integer")).sum()
}

fn await_requests(influx: &Influx, wanted: i64) {
    eventually(&format!("{wanted} requests are written"), || match requests(influx, "raw_10s") {
        found if found == wanted => Ok(()),
        found => Err(format!("{found} are")),
    });
}

fn partitions(processor: &Processor) -> Result<Vec<i64>, String> {
    let status = processor.status()?;
    let tasks = status["tasks"].as_array().ok_or("no tasks in the status")?;
    Ok(tasks.iter().filter_map(|task| task["partition"].as_i64()).collect())
}

fn await_partitions(processor: &Processor, wanted: &[i64]) {
    eventually(&format!("it has the partitions {wanted:?}"), || match partitions(processor)? {
        found if found == wanted => Ok(()),
        found => Err(format!("{found:?}")),
    });
}

/// Which of two ready instances has the only partition, while the other stands by.
fn await_owner(both: &mut [Processor; 2]) -> usize {
    both.iter_mut().for_each(Processor::await_ready);
    eventually("one has the partition, and the other stands by", || {
        let mut seen = Vec::new();
        for instance in &*both {
            seen.push((partitions(instance)?.len(), instance.status()?["standby"] == true));
        }
        match seen[..] {
            [(1, false), (0, true)] => Ok(0),
            [(0, true), (1, false)] => Ok(1),
            _ => Err(format!("{seen:?}")),
        }
    })
}

/// What the status says of offsets once it tells of records: it is put together twice a second, so that the first may be in
/// InfluxDB before.
fn positions(processor: &Processor) -> Value {
    eventually("the status tells of records", || {
        let status = processor.status()?;
        let consumed = status["totals"]["consumed"].as_u64().unwrap_or_default();
        if consumed > 0 { Ok(status["positions"].clone()) } else { Err(status["totals"].to_string()) }
    })
}

fn positions_of(processor: &Processor, what: &str) -> u64 {
    positions(processor)[what].as_u64().expect("a number")
}
