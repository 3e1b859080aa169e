//! Seeded logs of clicks: disordered, repeated, late, broken, with pauses and stretches in which nothing counts.

use std::fmt::Write as _;

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// One record of a log.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    /// When it was written.
    pub(crate) arrives_ms: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) value: Vec<u8>,
}

/// One partition of one input.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) input: u16,
    pub(crate) partition: i32,
    /// Its input is not keyed by user.
    pub(crate) rekeyed: bool,
    pub(crate) records: Vec<Logged>,
}

/// The name of an input.
pub(crate) fn topic(input: u16) -> String {
    format!("clicks-{input}")
}

/// One to three partitions of one input, or of two; inputs may not be keyed by user.
pub(crate) fn logs(random: &mut Random) -> Vec<Log> {
    let (inputs, partitions) = (1 + u16::from(random.chance(30)), 1 + random.below(3) as i32);
    let mut logs = Vec::new();
    for input in 0..inputs {
        if random.chance(40) {
            logs.extend(dealt(random, input));
            continue;
        }
        for partition in 0..partitions {
            let records = records(random, input, partition);
            logs.push(Log { input, partition, rekeyed: false, records });
        }
    }
    logs
}

/// The records of an input in partitions that have nothing to do with their users.
fn dealt(random: &mut Random, input: u16) -> Vec<Log> {
    let partitions = 1 + random.below(4);
    let log = |partition| Log { input, partition: partition as i32, rekeyed: true, records: Vec::new() };
    let mut logs: Vec<Log> = (0..partitions).map(log).collect();
    // Its users are others than those of keyed inputs, whose partitions they need not be in.
    for record in records(random, input, 10 + i32::from(input)) {
        // Which of two clicks, or of two checkouts, of one id counts is a matter of their partitions: those stay together.
        let text = String::from_utf8_lossy(&record.value);
        let id = text.split_once("\"checkout_id\"").and_then(|(_, rest)| rest.split(',').next());
        let together: u64 = id.unwrap_or(&text).bytes().map(u64::from).sum();
        let is_request = text.contains("http_status") && id.is_none();
        let partition = if is_request { random.below(partitions) } else { together % partitions };
        logs[partition as usize].records.push(record);
    }
    logs
}

const START_MS: i64 = 1_755_720_000_000;

fn records(random: &mut Random, input: u16, partition: i32) -> Vec<Logged> {
    let mut log: Vec<Logged> = Vec::new();
    let mut now_ms = START_MS + random.below(20_000) as i64;
    let with_stretches = random.chance(40);
    let mut last_ms = now_ms;
    for number in 0..random.below(200) {
        now_ms += match random.below(100) {
            0 => 3_700_000, // more than an hour of silence
            1..=6 => 9_000 + random.below(200_000) as i64,
            _ => random.below(1_500) as i64,
        };
        if with_stretches && random.chance(2) {
            for nothing in 0..random.below(60) {
                now_ms += random.below(3_000) as i64;
                let value = counts_for_nothing(random, (input, partition), nothing, now_ms);
                let is_event = value.len() > 30;
                let timestamp_ms = if is_event { now_ms } else { stamp(random, now_ms) };
                log.push(Logged { arrives_ms: now_ms, timestamp_ms, value });
            }
        }
        if random.chance(4) && !log.is_empty() {
            // The same bytes again, soon or much later.
            let back = 1 + random.below(log.len().min(60) as u64) as usize;
            let mut again = log[log.len() - back].clone();
            (again.timestamp_ms, again.arrives_ms) = (now_ms, now_ms);
            log.push(again);
            continue;
        }
        let behind_ms = match random.below(50) {
            0 => 60_000 + random.below(200_000) as i64, // too late, or nearly
            1 => -90_000,                               // a clock beyond belief
            2..=6 => 4_000 + random.below(90_000) as i64,
            _ => random.below(4_000) as i64,
        };
        let value = if random.chance(3) {
            [&b"{\"user_id\":\"u\""[..], b"[]", b"{}", b""][random.below(4) as usize].to_vec()
        } else {
            // Some are of the very moment of another.
            let time_ms = if random.chance(12) { last_ms } else { now_ms - behind_ms };
            last_ms = time_ms;
            event(random, (input, partition), number, time_ms).into_bytes()
        };
        // Without a timestamp it would count, however far ahead its clock, and the others would follow.
        let timestamp_ms = if behind_ms < 0 { now_ms } else { stamp(random, now_ms) };
        log.push(Logged { arrives_ms: now_ms, timestamp_ms, value });
    }
    log
}

/// Kafka's timestamp of a record that was written at `now_ms`: nearly always that.
fn stamp(random: &mut Random, now_ms: i64) -> i64 {
    match random.below(120) {
        0 => 0,
        1 => -1,
        _ => now_ms,
    }
}

/// A heartbeat, nonsense, or an event of long ago or of the future.
fn counts_for_nothing(random: &mut Random, of: (u16, i32), number: u64, now_ms: i64) -> Vec<u8> {
    match random.below(5) {
        0 => Vec::new(),
        1 => b"{\"type\":\"heartbeat\"}".to_vec(),
        2 => event(random, of, 1_000_000 + number, now_ms - 900_000).into_bytes(),
        3 => event(random, of, 2_000_000 + number, now_ms + 90_000).into_bytes(),
        _ => b"{\"broken\":".to_vec(),
    }
}

fn event(random: &mut Random, (input, partition): (u16, i32), number: u64, time_ms: i64) -> String {
    let (user, product) = (random.below(30), random.below(4));
    let mut event = format!("{{\"timestamp\":{time_ms}");
    // The others are health checks, robots, and visitors who are not logged in.
    if random.chance(95) {
        let _ = write!(event, ",\"user_id\":\"u{partition}-{user}{}\"", odd(random));
    }
    if random.chance(80) {
        let _ = write!(event, ",\"event_id\":\"e{input}-{partition}-{number}\"");
    }
    let _ = match random.below(20) {
        0..=9 => {
            let url =
                ["/p/", "shop/item-", "https://a.example/o/", "/", "//p//", "//cdn.example/p/", "/p;v=1/"]
                    [random.below(7) as usize];
            let end =
                ["", "", "?x", ";jsessionid=", "/;a", "\\t", "\u{7f}", "\\\\"][random.below(8) as usize];
            let url = match random.below(20) {
                0 => String::new(),
                1 => ",\"url\":\" \"".to_owned(),
                _ => format!(",\"url\":\"{url}{}{end}\"", random.below(40)),
            };
            let status = [200, 200, 200, 404, 500, 503, 0, 600][random.below(8) as usize];
            let method = ["", "POST", "brew"][random.below(3) as usize];
            let latency =
                [0.0, 0.0004, 12.5, 3.0e10][random.below(4) as usize] + random.below(1_000) as f64 / 64.0;
            write!(event, "{url},\"http_status\":{status},\"method\":\"{method}\",\"latency_ms\":{latency}")
        }
        10..=14 => write!(
            event,
            ",\"event_type\":\"product_click\",\"product_id\":\"p{product}\"{}{}",
            ["", ",\"campaign_id\":\"c1\"", ",\"campaign_id\":\"c\\n1\"", ",\"campaign_id\":\"c\\\\1\""]
                [random.below(4) as usize],
            ["", "", "", ",\"device\":{}"][random.below(4) as usize]
        ),
        15..=17 => {
            // Some orders have several lines, some of those are repeated, and some have neither product nor amount.
            let order = random.below(number / 2 + 2);
            let line = [format!(",\"product_id\":\"p{product}\""), ",\"http_status\":201".to_owned()];
            let currency = ["", ",\"currency\":\"EUR\"", ",\"currency\":\"jpy \""][(order % 3) as usize];
            write!(
                event,
                ",\"event_type\":\"checkout\"{},\"checkout_id\":\"o{input}-{partition}-{order}\",\"amount\":{}.{:02}{currency}",
                line[usize::from(random.chance(10))],
                random.below(90),
                random.below(100)
            )
        }
        18 => write!(event, ",\"event_type\":\"search\",\"query\":\"shoes\",\"search_id\":\"s{number}\""),
        _ => write!(
            event,
            ",\"event_type\":\"refund\",\"checkout_id\":\"o{input}-{partition}-{number}\",\"amount\":5"
        ),
    };
    event.push('}');
    event
}

/// Seldom, what line protocol cannot write: two such names are one.
fn odd(random: &mut Random) -> &'static str {
    ["\\n", "\u{7f}", " ", ""][random.below(60).min(3) as usize]
}
