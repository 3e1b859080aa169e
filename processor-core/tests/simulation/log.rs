//! Seeded logs of clicks: disordered, repeated, late, broken, with stretches in which nothing counts.

use std::fmt::Write as _;

use super::random::Random;

/// One record of a log.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    /// Rises, with gaps where the writer's transaction markers are.
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) value: Vec<u8>,
    /// Before this record there was silence, in which the wall clock moved the watermark so far (microseconds).
    pub(crate) silence_to: Option<i64>,
    /// Before the silence there was a stretch of records that do not count: it is long enough already.
    pub(crate) awaited: bool,
    /// The wall clock moves on by this before it is read, in such a stretch.
    pub(crate) apart_ms: i64,
}

/// One log per partition.
pub(crate) fn logs(random: &mut Random) -> Vec<Vec<Logged>> {
    let partitions = 1 + random.below(3);
    (0..partitions).map(|partition| log(random, partition)).collect()
}

/// The time of the first records, and of the simulated clock's start.
pub(crate) const START_MS: i64 = 1_755_720_000_000;

/// Records of a log; few make most of what can go wrong.
const RECORDS: [u64; 8] = [0, 3, 20, 40, 60, 80, 120, 300];

fn log(random: &mut Random, partition: u64) -> Vec<Logged> {
    let mut log: Vec<Logged> = Vec::new();
    let mut now_ms = START_MS;
    // Records of a pause, or from before it, that come first after it: their number, and how far they lie back.
    let (mut stale, mut stale_ms) = (0, 0);
    let mut offset = 0;
    let transactional = random.chance(30);
    // Silences are costly, as there are zeros to be written in them: few logs have long ones.
    let hours_apart = random.chance(15);
    let with_stretches = random.chance(40);
    let mut last_ms = START_MS;
    for number in 0..RECORDS[random.below(RECORDS.len() as u64) as usize] {
        let pause_ms = match random.below(200) {
            0 if hours_apart => 3_700_000, // more than an hour
            1..=4 => 30_000 + random.below(300_000) as i64,
            _ => random.below(1_500) as i64,
        };
        // A pause may be seen as such, or read at once later on, as in a backfill.
        let silence_to = (pause_ms >= 30_000 && random.chance(70))
            .then(|| (now_ms + random.below(pause_ms as u64) as i64) / 1_000 * 1_000_000);
        if pause_ms >= 30_000 && random.chance(60) {
            (stale, stale_ms) = (1 + random.below(6), pause_ms + 100_000);
        }
        let before_ms = now_ms;
        if with_stretches && pause_ms < 30_000 && random.below(80) == 0 {
            for nothing in 0..6 + random.below(20) {
                let apart_ms = 200 + random.below(3_000) as i64;
                now_ms += apart_ms;
                let value = counts_for_nothing(random, partition, nothing, now_ms);
                let timestamp_ms = stamp(random, now_ms);
                log.push(Logged { offset, timestamp_ms, value, silence_to: None, awaited: false, apart_ms });
                offset += if transactional && random.chance(30) { 2 } else { 1 };
            }
        }
        let stretch_ms = now_ms - before_ms;
        let awaited = stretch_ms > 0 && random.chance(80);
        let silence_to = if awaited {
            Some((before_ms + random.below(stretch_ms as u64) as i64) / 1_000 * 1_000_000)
        } else {
            silence_to
        };
        now_ms += pause_ms;
        if random.chance(4) && !log.is_empty() {
            // The same bytes again, soon or much later.
            let back = 1 + random.below(log.len().min(60) as u64) as usize;
            let value = log[log.len() - back].value.clone();
            log.push(Logged {
                offset,
                timestamp_ms: stamp(random, now_ms),
                value,
                silence_to,
                awaited,
                apart_ms: 0,
            });
            offset += 1;
            continue;
        }
        let behind_ms = match random.below(50) {
            _ if stale > 0 => {
                stale -= 1;
                random.below(stale_ms as u64) as i64
            }
            0 => 60_000 + random.below(200_000) as i64, // too late, or nearly
            1 => -30_000,                               // a clock that runs ahead
            2 => -90_000,                               // one that is beyond belief
            3..=6 => 4_000 + random.below(9_000) as i64,
            _ => random.below(4_000) as i64,
        };
        let value = if random.chance(2) {
            [&b"{\"user_id\":\"u\""[..], b"[]", b"{}", b""][random.below(4) as usize].to_vec()
        } else {
            // Some are of the very moment of another.
            let time_ms = if random.chance(12) { last_ms } else { now_ms - behind_ms };
            last_ms = time_ms;
            event(random, partition, number, time_ms).into_bytes()
        };
        let timestamp_ms = stamp(random, now_ms);
        log.push(Logged { offset, timestamp_ms, value, silence_to, awaited, apart_ms: 0 });
        offset += if transactional && random.chance(10) { 2 } else { 1 };
    }
    log
}

/// Kafka's timestamp of a record that was written at `now_ms`: nearly always that.
fn stamp(random: &mut Random, now_ms: i64) -> i64 {
    match random.below(80) {
        0 => 0,
        1 => -1,
        2 => now_ms / 1_000,
        3 => now_ms + 5_000_000,
        4 => now_ms - 5_000_000,
        5 => now_ms + 1_700_000,
        _ => now_ms,
    }
}

/// A heartbeat, nonsense, an event of long ago or of the future, or another that was there before.
fn counts_for_nothing(random: &mut Random, partition: u64, number: u64, now_ms: i64) -> Vec<u8> {
    match random.below(6) {
        0 => Vec::new(),
        1 => b"{\"broken\":".to_vec(),
        2 => b"{\"type\":\"heartbeat\"}".to_vec(),
        3 => event(random, partition, 1_000_000 + number, now_ms - 900_000).into_bytes(),
        4 => event(random, partition, 2_000_000 + number, now_ms + 90_000).into_bytes(),
        _ => b"[]".to_vec(),
    }
}

fn event(random: &mut Random, partition: u64, number: u64, time_ms: i64) -> String {
    let user = random.below(6);
    let product = random.below(4);
    let mut event = format!("{{\"timestamp\":{time_ms}");
    // The others are health checks, robots, and visitors who are not logged in.
    if random.chance(95) {
        let _ = write!(event, ",\"user_id\":\"u{partition}-{user}{}\"", odd(random));
    }
    if random.chance(80) {
        let _ = write!(event, ",\"event_id\":\"e{partition}-{number}\"");
    }
    let _ = match random.below(20) {
        0..=9 => {
            let page = random.below(24);
            let url = match random.below(12) {
                0 => format!(",\"url\":\"//c;jsessionid={number}?x={number}\""),
                1 => format!(",\"url\":\"/p//{page};v={number}\""),
                2 => ",\"url\":\"a\\nb\"".to_owned(),
                3 => String::new(),
                _ => format!(",\"url\":\"/p/{page}?x={number}\""),
            };
            let status = [200, 200, 200, 404, 500, 503, 0, 600][random.below(8) as usize];
            let latency = random.below(100_000) as f64 / 64.0;
            write!(event, "{url},\"http_status\":{status},\"latency_ms\":{latency}")
        }
        10..=14 => write!(
            event,
            ",\"event_type\":\"product_click\",\"product_id\":\"p{product}\"{}",
            [
                "",
                ",\"campaign_id\":\"c1\"",
                ",\"campaign_id\":\"c2\"",
                ",\"campaign_id\":\"c\\\\2\"",
                ",\"campaign_id\":\"c\\n2\""
            ][random.below(5) as usize]
        ),
        15..=17 => {
            // Lines of a few orders at a time.
            let order = number / 8 + random.below(2);
            let currency = ["", ",\"currency\":\"EUR\"", ",\"currency\":\"EUR\"", ",\"currency\":\"JPY\""]
                [(order % 4) as usize];
            write!(
                event,
                ",\"event_type\":\"checkout\",\"product_id\":\"p{product}\",\"checkout_id\":\"o{partition}-{order}\",\
                 \"amount\":{}.{:02}{currency}",
                random.below(90),
                random.below(100)
            )
        }
        18 => write!(event, ",\"event_type\":\"search\",\"query\":\"shoes\",\"search_id\":\"s{number}\""),
        _ => write!(
            event,
            ",\"event_type\":\"refund\",\"checkout_id\":\"o{partition}-{number}\",\"amount\":5.00"
        ),
    };
    event.push('}');
    event
}

/// Seldom, what line protocol cannot write: two such names are one.
fn odd(random: &mut Random) -> &'static str {
    ["\\n", "\u{7f}", " ", ""][random.below(60).min(3) as usize]
}
