//! The logs, and what a naive batch makes of them.

use std::collections::{BTreeMap, BTreeSet};

use super::random::Random;
use super::{SECOND, START_MS};

pub(crate) struct Logged {
    pub(crate) timestamp_ms: i64,
    pub(crate) value: Vec<u8>,
    pub(crate) event: Option<Event>,
}

#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) time: i64,
    pub(crate) user: u64,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    View,
    Click,
    Checkout,
}

/// Sources that differ in how far they are, with disorder, late events, repeats in other sources, rubbish, and clicks at
/// the very moment of their checkout; some bring nothing that counts.
pub(crate) fn logs(random: &mut Random) -> Vec<Vec<Logged>> {
    let mut sources: Vec<Vec<Logged>> = (0..1 + random.below(5)).map(|_| Vec::new()).collect();
    let count = sources.len() as u64;
    let mut now_ms: Vec<i64> = (0..count).map(|_| random.below(400_000)).collect();
    for id in 0..500 {
        let at = random.below(count) as usize;
        // Hours in all, so that replays begin in the middle.
        let pause_ms = [4_000_000, 200_000, 9_000, 9_000][random.below(40).min(3) as usize];
        now_ms[at] += random.below(pause_ms);
        let behind_ms = match random.below(40) {
            0 => 60_000 + random.below(200_000),
            1 => -90_000, // a clock beyond belief
            2..=5 => 4_000 + random.below(9_000),
            _ => random.below(4_000),
        };
        // Quarters of a second, so that many are at the same time.
        let time = (START_MS + (now_ms[at] - behind_ms) / 250 * 250) * 1_000;
        let kind = match random.below(10) {
            0..=4 => Kind::View,
            5..=7 => Kind::Click,
            _ => Kind::Checkout,
        };
        let event = Event { id, time, user: random.below(7) as u64, kind };
        let timestamp_ms = START_MS + now_ms[at];
        if random.chance(3) {
            let value = [&b"{}"[..], b"[", b""][random.below(3) as usize].to_vec();
            sources[at].push(Logged { timestamp_ms, value, event: None });
        }
        let logged = |event: &Event, timestamp_ms| Logged {
            timestamp_ms,
            value: event.json().into_bytes(),
            event: Some(event.clone()),
        };
        if kind == Kind::View && random.chance(20) {
            let other = random.below(count) as usize;
            let timestamp_ms = START_MS + now_ms[other];
            sources[other].push(logged(&event, timestamp_ms));
        }
        sources[at].push(logged(&event, timestamp_ms));
    }
    if random.chance(40) {
        sources.push(
            (0..1 + random.below(60))
                .map(|at| {
                    let timestamp_ms = START_MS + at * 7_000;
                    let future =
                        Event { id: -1, time: (timestamp_ms + 90_000) * 1_000, user: 0, kind: Kind::View };
                    let value =
                        [b"{\"type\":\"heartbeat\"}".to_vec(), Vec::new(), future.json().into_bytes()]
                            [random.below(3) as usize]
                            .clone();
                    Logged { timestamp_ms, value, event: None }
                })
                .collect(),
        );
    }
    sources
}

impl Event {
    pub(crate) fn json(&self) -> String {
        let Self { id, time, user, kind } = self;
        let of_kind = match kind {
            Kind::View => format!("\"url\":\"/p/{}\",\"http_status\":200", id % 9),
            Kind::Click => format!("\"event_type\":\"product_click\",\"product_id\":\"p{}\"", id % 3),
            Kind::Checkout => {
                let product = id % 3;
                format!(
                    "\"event_type\":\"checkout\",\"product_id\":\"p{product}\",\"checkout_id\":\"o{id}\",\"amount\":{id}"
                )
            }
        };
        format!("{{\"user_id\":\"u{user}\",\"timestamp\":{time},\"event_id\":\"e{id}\",{of_kind}}}")
    }

    pub(crate) fn product(&self) -> i64 {
        self.id % 3
    }
}

pub(crate) fn view(user: &str, id: i64, at_ms: i64) -> Vec<u8> {
    let time = START_MS + at_ms;
    format!("{{\"user_id\":\"{user}\",\"timestamp\":{time},\"event_id\":\"e{id}\",\"url\":\"/\",\"http_status\":200}}")
        .into_bytes()
}

/// What, window size in seconds, window start in seconds.
pub(crate) type Key = (String, i64, i64);

#[derive(Default)]
pub(crate) struct Expected {
    pub(crate) numbers: BTreeMap<Key, i64>,
    /// Source and offset.
    pub(crate) dead_letters: BTreeSet<(u32, i64)>,
    pub(crate) late: BTreeSet<(u32, i64)>,
}

impl Expected {
    pub(crate) fn of(sources: &[Vec<Logged>]) -> Self {
        let mut expected = Self::default();
        let mut counted: BTreeMap<i64, (Event, bool)> = BTreeMap::new();
        for (source, log) in (0..).zip(sources) {
            let mut greatest = i64::MIN;
            for (offset, record) in (0..).zip(log) {
                let Some(event) = record.event.as_ref() else {
                    expected.dead_letters.insert((source, offset));
                    continue;
                };
                if event.time > record.timestamp_ms * 1_000 + 60 * SECOND {
                    expected.dead_letters.insert((source, offset));
                    continue;
                }
                let watermark = if greatest == i64::MIN { greatest } else { greatest - 5 * SECOND };
                if event.time.div_euclid(10 * SECOND) * 10 * SECOND + 70 * SECOND <= watermark {
                    expected.late.insert((source, offset));
                    continue;
                }
                greatest = greatest.max(event.time);
                // Only views are repeated, and those are no facts.
                counted.entry(event.id).or_insert_with(|| (event.clone(), event.time >= watermark));
            }
        }
        let mut users: BTreeMap<(i64, i64), BTreeSet<u64>> = BTreeMap::new();
        for (event, for_facts) in counted.values() {
            let credited = counted.values().any(|(click, usable)| {
                *usable
                    && click.kind == Kind::Click
                    && (click.user, click.product()) == (event.user, event.product())
                    && (event.time - 3_600 * SECOND..=event.time).contains(&click.time)
            });
            for size in [10, 60, 3_600] {
                let start = event.time.div_euclid(size * SECOND) * size;
                let mut add = |what: &str, of: i64| {
                    *expected.numbers.entry((what.to_owned(), size, start)).or_default() += of;
                };
                add("requests", i64::from(event.kind == Kind::View));
                add("users", 0);
                users.entry((size, start)).or_default().insert(event.user);
                if event.kind == Kind::Checkout && *for_facts {
                    add("checkouts", 1);
                    add("attributed", i64::from(credited));
                    add("revenue_cents", event.id * 100);
                }
            }
        }
        for ((size, start), users) in users {
            expected.numbers.insert(("users".to_owned(), size, start), users.len() as i64);
        }
        expected.numbers.retain(|_, value| *value > 0);
        expected
    }
}
