//! `memory.budget` holds: the greatest resident memory of the whole process stays below it, whatever comes, and every
//! event is counted once.
//!
//! `CLICKPULSE_MEMORY_EVENTS` makes the logs longer than the million of the usual run.

use std::fmt::Write as _;
use std::time::Duration;

use integration_tests::{
    Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer, eventually, eventually_within,
};
use serde_json::Value;

const BUDGET: u64 = 128_000_000;
const PARTITIONS: i32 = 4;
/// 2026-11-01 00:00:00 UTC.
const START_MS: u64 = 1_793_491_200_000;
/// The longest anything here takes on a machine that does something else besides.
const PATIENCE: Duration = Duration::from_secs(600);

fn events() -> u64 {
    let set = std::env::var("CLICKPULSE_MEMORY_EVENTS").ok();
    set.map_or(1_000_000, |events| events.parse().expect("CLICKPULSE_MEMORY_EVENTS is a number"))
}

#[test]
fn a_stream_that_is_far_behind_is_caught_up_within_the_budget() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("memory-behind"));
    kafka.create_topic(&names.topic, PARTITIONS);
    let events = events();
    let mut producer = Producer::spawn_to(
        &kafka,
        &names,
        &format!("--rate 10000 --unpaced --count {events} --users 20000 --start-time 2026-11-01T00:00:00Z"),
    );
    assert_eq!(producer.process.wait(PATIENCE), 0, "{}", producer.process.log());
    let mut processor = Processor::run(&config(&kafka, &influx, &names), &[]);
    let peak = await_all_committed(&kafka, &names, &mut processor);
    await_counted(&processor, events);
    assert_eq!(processor.terminate(), 0);
    println!("{events} events behind: {} MB at most", peak / 1_000_000);
    assert!(peak < BUDGET, "{peak} bytes resident at most");
    assert_counted(&Numbers::of(&influx), "events", "count", events);
}

#[test]
fn an_hour_that_goes_by_while_influxdb_is_away_waits_within_the_budget() {
    let (kafka, mut influx, names) = (Kafka::start(), Influx::start_own(), Names::unique("memory-away"));
    kafka.create_topic(&names.topic, PARTITIONS);
    let events = events() / 3;
    kafka.produce_crowd(&names.topic, (0..events).map(|number| regular(number, events)));
    influx.stop();
    let mut processor = Processor::run(&config(&kafka, &influx, &names), &[]);
    let waits = eventually_within(PATIENCE, "reading waits for InfluxDB", || {
        assert!(processor.process.is_running(), "{}", processor.process.log());
        let status = processor.status()?;
        let paused = status["paused"].as_str().unwrap_or_default().to_owned();
        let read = status["totals"]["consumed"].as_u64().unwrap_or(0);
        if paused.contains(influx.url()) || read == events { Ok(status) } else { Err(status.to_string()) }
    });
    let (peak, sink) = (processor.process.peak_rss_bytes(), &waits["memory"]["sink_queue"]);
    println!("an hour without InfluxDB: {} MB at most, {sink} bytes of lines", peak / 1_000_000);
    assert!(peak < BUDGET, "{peak} bytes resident at most while InfluxDB is away: {waits}");

    influx.launch();
    let peak = await_all_committed(&kafka, &names, &mut processor);
    assert_eq!(processor.terminate(), 0);
    println!("and once it is back: {} MB at most", peak / 1_000_000);
    assert!(peak < BUDGET, "{peak} bytes resident at most");
    assert_counted(&Numbers::of(&influx), "events", "count", events);
}

#[test]
fn an_explosion_of_users_urls_and_ids_takes_from_what_is_documented_and_from_nothing_else() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("memory-explosion"));
    kafka.create_topic(&names.topic, PARTITIONS);
    let events = events() * 13 / 10; // more than there is room for ids
    kafka.produce_crowd(&names.topic, (0..events).map(stranger));
    let mut processor = Processor::run(&config(&kafka, &influx, &names), &[]);
    let peak = await_all_committed(&kafka, &names, &mut processor);
    // The last seconds are decided once the partitions are seen to be quiet.
    let of = |wanted: fn(u64) -> bool| (0..events).filter(|number| wanted(*number)).count() as u64;
    let checkouts = of(|number| number % 8 == 7);
    eventually_within(PATIENCE, "every checkout is decided", || {
        let decided = Numbers::of(&influx).sum("raw_10s", "first_click", "checkouts");
        if decided == checkouts as i64 { Ok(()) } else { Err(format!("{decided} of {checkouts}")) }
    });
    let status = await_counted(&processor, events);
    let metrics = processor.get("/metrics").expect("the page answers").body;
    assert_eq!(processor.terminate(), 0);
    println!("{events} strangers: {} MB at most, {}", peak / 1_000_000, status["beyond_limits"]);
    assert!(peak < BUDGET, "{peak} bytes resident at most");
    assert_eq!(status["conserved"], true, "{status}");

    // Nothing is missing where nothing may be.
    let requests = of(|number| number % 8 < 5);
    let numbers = Numbers::of(&influx);
    assert_counted(&numbers, "events", "count", events);
    assert_counted(&numbers, "http_all", "requests", requests);
    assert_counted(&numbers, "http_status", "requests", requests);
    assert_counted(&numbers, "http", "requests", requests);
    assert_counted(&numbers, "http_all", "errors", of(|number| number % 8 < 5 && number % 3 == 2));
    assert_counted(&numbers, "latency", "count", requests);
    assert_counted(&numbers, "first_click", "checkouts", checkouts);
    assert_counted(&numbers, "first_click", "revenue_cents", 1_000 * checkouts);
    // What is given up is counted and said, each once.
    let log = processor.process.log();
    for (limit, said) in [
        ("users", "more users than fit into memory.budget"),
        ("routes", "more routes than routes.max"),
        ("urls", "more URLs than a partition keeps apart"),
        ("products", "clicks of users or products for which memory.budget has no room"),
        ("event_ids", "more event ids than fit into memory.budget"),
    ] {
        let line = format!("processor_beyond_limit_total{{limit=\"{limit}\"}} ");
        let count = metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > 0), "{line} of\n{metrics}");
        assert_eq!(log.matches(said).count(), 1, "{log}");
    }
}

/// An event of a user, a URL, a route, a product and ids that nothing else has.
fn stranger(number: u64) -> (String, String) {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let user = format!("{mixed:016x}-{number:08x}-{mixed:016x}");
    let time = START_MS + number / 2; // two thousand a second
    let mut event =
        format!("{{\"user_id\":\"{user}\",\"event_id\":\"{mixed:x}{number}\",\"timestamp\":{time}");
    let _ = match number % 8 {
        0..5 => write!(
            event,
            ",\"url\":\"/{}/{user}\",\"http_status\":{},\"latency_ms\":{}}}",
            ["a", "b", "c", "d"].map(|part| part.repeat(1 + number as usize % 300))[number as usize % 4],
            [200, 404, 500][number as usize % 3],
            1 + mixed % 5_000
        ),
        5 | 6 => write!(event, ",\"event_type\":\"product_click\",\"product_id\":\"p{mixed}\"}}"),
        _ => write!(
            event,
            ",\"event_type\":\"checkout\",\"product_id\":\"p{mixed}\",\"checkout_id\":\"o{mixed}\",\"amount\":10}}"
        ),
    };
    (user, event)
}

/// An event of one of twenty thousand users; all of them lie within an hour.
fn regular(number: u64, events: u64) -> (String, String) {
    let user = format!("user-{}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40 & 0x3fff);
    let time = START_MS + number * 3_600_000 / events;
    let event = format!(
        "{{\"user_id\":\"{user}\",\"event_id\":\"e{number}\",\"timestamp\":{time},\"url\":\"/shop/{}\",\"http_status\":{},\
         \"latency_ms\":{}}}",
        ["", "cart", "search", "help"][number as usize % 4],
        [200, 200, 404, 500][number as usize / 4 % 4],
        1 + number % 997
    );
    (user, event)
}

fn config(kafka: &Kafka, influx: &Influx, names: &Names) -> ProcessorConfig {
    ProcessorConfig::new(kafka, influx, names).extra(&format!("[memory]\nbudget = \"{BUDGET}\""))
}

/// Waits until everything is committed; the greatest resident memory until then, in bytes.
fn await_all_committed(kafka: &Kafka, names: &Names, processor: &mut Processor) -> u64 {
    let ends: Vec<Option<i64>> = kafka.end_offsets(&names.topic).into_iter().map(Some).collect();
    eventually_within(PATIENCE, "everything is committed", || {
        assert!(processor.process.is_running(), "{}", processor.process.log());
        let committed = kafka.committed(&names.group, &names.topic);
        if committed == ends { Ok(()) } else { Err(format!("{committed:?} of {ends:?}")) }
    });
    processor.process.peak_rss_bytes()
}

/// The status once it tells of every event: it is put together twice a second.
fn await_counted(processor: &Processor, events: u64) -> Value {
    eventually("the page tells of every event", || {
        let status = processor.status()?;
        if status["totals"]["counted"] == events { Ok(status) } else { Err(status["totals"].to_string()) }
    })
}

/// What InfluxDB holds adds up, at every resolution.
fn assert_counted(numbers: &Numbers, measurement: &str, field: &str, expected: u64) {
    for resolution in ["raw_10s", "rollup_1m", "rollup_1h"] {
        let sum = numbers.sum(resolution, measurement, field);
        assert_eq!(sum, expected as i64, "{measurement}.{field} at {resolution}");
    }
}
