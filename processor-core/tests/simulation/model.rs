//! The naive batch: sorts, groups and counts whole logs in plain maps.

use std::collections::{BTreeMap, BTreeSet};

use events::{Decoder, DecoderOptions, EventType};
use processor_core::FieldValue;

use super::log::Logged;
use super::{Key, Numbers};

const SECOND: i64 = 1_000_000;
const SIZES: [(u8, i64); 3] = [(0, 10 * SECOND), (1, 60 * SECOND), (2, 3_600 * SECOND)];
const LATENESS: i64 = 60 * SECOND;
const OUT_OF_ORDERNESS: i64 = 5 * SECOND;

#[derive(Default)]
pub(crate) struct Expected {
    pub(crate) numbers: Numbers,
    /// Partition and offset.
    pub(crate) dead_letters: BTreeSet<(usize, i64)>,
    pub(crate) late: BTreeSet<(usize, i64)>,
    pub(crate) duplicates: u64,
}

/// An accepted event, owned.
struct Accepted {
    time: i64,
    offset: i64,
    user: String,
    kind: EventType,
    status: Option<u16>,
    path: String,
    latency: Option<f64>,
    product: Option<String>,
    campaign: Option<String>,
    amount: i64,
    for_facts: bool,
}

struct Checkout {
    time: i64,
    amount: i64,
    /// Seconds since the first click, and its campaign.
    click: Option<(f64, String)>,
}

pub(crate) fn expected(logs: &[Vec<Logged>]) -> Expected {
    let mut expected = Expected::default();
    let mut accepted = Vec::new();
    let mut checkouts = Vec::new();
    let mut uncounted: Vec<(i64, &'static str)> = Vec::new();
    for (partition, log) in logs.iter().enumerate() {
        let mine = read(partition, log, &mut expected, &mut uncounted);
        checkouts.extend(first_clicks(&mine));
        accepted.extend(mine);
    }
    for (resolution, size) in SIZES {
        let mut windows: BTreeMap<i64, Vec<&Accepted>> = BTreeMap::new();
        for event in &accepted {
            windows.entry(event.time.div_euclid(size) * size).or_default().push(event);
        }
        for (start, events) in windows {
            traffic(&mut expected.numbers, resolution, start, &events);
        }
        let mut windows: BTreeMap<i64, Vec<&Checkout>> = BTreeMap::new();
        for checkout in &checkouts {
            windows.entry(checkout.time.div_euclid(size) * size).or_default().push(checkout);
        }
        for (start, checkouts) in windows {
            attribution(&mut expected.numbers, resolution, start, &checkouts);
        }
        let mut reasons: BTreeMap<(i64, &str), i64> = BTreeMap::new();
        for (time, reason) in &uncounted {
            *reasons.entry((time.div_euclid(size) * size, reason)).or_default() += 1;
        }
        for ((start, reason), count) in reasons {
            put(&mut expected.numbers, resolution, "quality", &[reason], start, [("count", integer(count))]);
        }
    }
    expected
}

fn read(
    partition: usize,
    log: &[Logged],
    expected: &mut Expected,
    uncounted: &mut Vec<(i64, &'static str)>,
) -> Vec<Accepted> {
    let mut decoder = Decoder::new(&DecoderOptions::default()).expect("the defaults are valid");
    let mut greatest: Option<i64> = None;
    let mut ids: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut checkout_ids = BTreeSet::new();
    let mut accepted = Vec::new();
    let mut moved = i64::MIN;
    let mut uncounted_until = 0;
    for record in log {
        let offset = record.offset;
        // What the wall clock decided holds from then on.
        moved = moved.max(record.silence_to.unwrap_or(i64::MIN));
        let own = greatest.map_or(i64::MIN, |greatest| greatest - OUT_OF_ORDERNESS);
        let watermark = own.max(moved);
        let present = greatest.unwrap_or(i64::MIN).max(moved);
        let kafka = kafka_time(record.timestamp_ms);
        let refusal = match decoder.decode(Some(&record.value)) {
            Ok(event) if kafka.is_none_or(|kafka| event.time.micros() <= kafka + 60 * SECOND) => Ok(event),
            Ok(_) => Err("future_timestamp"),
            Err(rejection) => Err(rejection.reason.name()),
        };
        let is_closed =
            |time: i64| time.div_euclid(10 * SECOND) * 10 * SECOND + 10 * SECOND + LATENESS <= watermark;
        let event = match refusal {
            Ok(event) => event,
            Err(reason) => {
                let moment = match kafka {
                    Some(kafka) if present == i64::MIN => kafka,
                    None if present == i64::MIN => uncounted_until,
                    Some(kafka) if !is_closed(kafka) && kafka <= present + 3_600 * SECOND => kafka,
                    _ => present,
                };
                uncounted_until = uncounted_until.max(moment);
                uncounted.push((moment, reason));
                expected.dead_letters.insert((partition, offset));
                continue;
            }
        };
        let time = event.time.micros();
        if is_closed(time) {
            uncounted_until = uncounted_until.max(present);
            uncounted.push((present, "late"));
            expected.late.insert((partition, offset));
            continue;
        }
        if let Some(id) = event.event_id {
            let counted = ids.entry(id.to_owned()).or_default();
            if counted.iter().any(|at| (time / SECOND - at / SECOND).abs() <= 600) {
                uncounted.push((time, "duplicate"));
                expected.duplicates += 1;
                continue;
            }
            counted.push(time);
        }
        // Ids are unique in these logs, so a checkout seen before is the same bytes again.
        let usable = time >= watermark;
        let repeated_checkout =
            usable && event.checkout_id.is_some_and(|id| !checkout_ids.insert(id.to_owned()));
        accepted.push(Accepted {
            time,
            offset,
            user: event.user_id.unwrap_or_default().to_owned(),
            kind: event.kind,
            status: event.http_status,
            path: event.url.unwrap_or("").split('?').next().unwrap_or("").to_owned(),
            latency: event.latency_ms,
            product: event.product_id.map(str::to_owned),
            campaign: event.campaign_id.map(str::to_owned),
            amount: event.amount_cents.unwrap_or(0),
            for_facts: usable && !repeated_checkout,
        });
        greatest = Some(greatest.map_or(time, |greatest| greatest.max(time)));
    }
    accepted
}

/// Kafka's timestamp in microseconds, where it can be one.
fn kafka_time(timestamp_ms: i64) -> Option<i64> {
    if timestamp_ms >= 100_000_000_000 {
        Some(timestamp_ms * 1_000)
    } else if timestamp_ms >= 1_000_000_000 {
        Some(timestamp_ms * SECOND)
    } else {
        None
    }
}

fn first_clicks(events: &[Accepted]) -> Vec<Checkout> {
    let mut usable: Vec<&Accepted> = events.iter().filter(|event| event.for_facts).collect();
    // A click comes before a checkout of the same instant.
    usable.sort_by_key(|event| (event.time, event.kind == EventType::Checkout, event.offset));
    let mut checkouts = Vec::new();
    for (at, checkout) in usable.iter().enumerate().filter(|(_, event)| event.kind == EventType::Checkout) {
        let first = usable[..at].iter().find(|click| {
            click.kind == EventType::ProductClick
                && click.user == checkout.user
                && click.product == checkout.product
                && click.time >= checkout.time - 3_600 * SECOND
        });
        checkouts.push(Checkout {
            time: checkout.time,
            amount: checkout.amount,
            click: first.map(|click| {
                let campaign = click.campaign.clone().unwrap_or_else(|| "none".to_owned());
                ((checkout.time - click.time) as f64 / 1e6, campaign)
            }),
        });
    }
    checkouts
}

fn traffic(numbers: &mut Numbers, resolution: u8, start: i64, events: &[&Accepted]) {
    let requests: Vec<&&Accepted> = events.iter().filter(|event| event.status.is_some()).collect();
    let count = |of: &mut dyn FnMut(u16) -> bool| {
        requests.iter().filter(|event| event.status.is_some_and(&mut *of)).count() as i64
    };
    let total = requests.len() as i64;
    let errors = count(&mut |status| status >= 500);
    let client_errors = count(&mut |status| (400..500).contains(&status));
    let users: BTreeSet<&str> = events.iter().map(|event| event.user.as_str()).collect();
    let ratio = if total == 0 { 0.0 } else { errors as f64 / total as f64 };
    put(
        numbers,
        resolution,
        "http_all",
        &[],
        start,
        [
            ("requests", integer(total)),
            ("errors", integer(errors)),
            ("client_errors", integer(client_errors)),
            ("error_ratio", FieldValue::Float(ratio)),
            ("users", integer(users.len() as i64)),
        ],
    );
    let statuses: BTreeSet<u16> = requests.iter().filter_map(|event| event.status).collect();
    for status in statuses {
        let of = count(&mut |other| other == status);
        let name = status.to_string();
        let fields = [("requests", integer(of)), ("total", integer(total))];
        put(numbers, resolution, "http_status", &[&name], start, fields);
        let class = |yes: bool| integer(if yes { of } else { 0 });
        let fields = [
            ("requests", integer(of)),
            ("errors", class(status >= 500)),
            ("client_errors", class((400..500).contains(&status))),
        ];
        // All paths of these logs are /p/<number>.
        put(numbers, resolution, "http", &["GET", "/p/:id", &name], start, fields);
    }
    for kind in EventType::ALL {
        let of = events.iter().filter(|event| event.kind == kind).count() as i64;
        if of > 0 {
            put(numbers, resolution, "events", &[kind.name()], start, [("count", integer(of))]);
        }
    }
    top(
        numbers,
        resolution,
        ("url_top", "url"),
        start,
        requests.iter().map(|of| (of.path.as_str(), of.status)),
    );
    top(
        numbers,
        resolution,
        ("user_top", "user_id"),
        start,
        requests.iter().map(|of| (of.user.as_str(), of.status)),
    );
    let latencies: Vec<f64> = requests.iter().filter_map(|event| event.latency).collect();
    if !latencies.is_empty() {
        let max = latencies.iter().copied().fold(0.0, f64::max);
        let fields = [("count", integer(latencies.len() as i64)), ("max_ms", FieldValue::Float(max))];
        put(numbers, resolution, "latency", &["/p/:id"], start, fields);
    }
}

fn top<'a>(
    numbers: &mut Numbers,
    resolution: u8,
    (measurement, field): (&'static str, &'static str),
    start: i64,
    requests: impl Iterator<Item = (&'a str, Option<u16>)>,
) {
    let mut counts: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for (text, status) in requests {
        let count = counts.entry(text).or_default();
        count.0 += 1;
        count.1 += i64::from(status.is_some_and(|status| status >= 500));
    }
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_by_key(|(text, (requests, _))| (-requests, *text));
    for (rank, (text, (requests, errors))) in (1..=20).zip(ranked) {
        let fields = [
            (field, FieldValue::Text(text.into())),
            ("requests", integer(requests)),
            ("errors", integer(errors)),
        ];
        put(numbers, resolution, measurement, &[&format!("{rank:02}")], start, fields);
    }
}

fn attribution(numbers: &mut Numbers, resolution: u8, start: i64, checkouts: &[&Checkout]) {
    let attributed: Vec<_> = checkouts.iter().filter(|checkout| checkout.click.is_some()).collect();
    let sum = |of: &mut dyn Iterator<Item = i64>| integer(of.sum());
    put(
        numbers,
        resolution,
        "first_click",
        &[],
        start,
        [
            ("checkouts", integer(checkouts.len() as i64)),
            ("attributed", integer(attributed.len() as i64)),
            ("unattributed", integer((checkouts.len() - attributed.len()) as i64)),
            ("revenue_cents", sum(&mut checkouts.iter().map(|of| of.amount))),
            ("attributed_revenue_cents", sum(&mut attributed.iter().map(|of| of.amount))),
        ],
    );
    let campaigns: BTreeSet<&str> =
        attributed.iter().filter_map(|of| of.click.as_ref()).map(|click| click.1.as_str()).collect();
    for campaign in campaigns {
        let of: Vec<_> = attributed
            .iter()
            .filter(|of| of.click.as_ref().is_some_and(|click| click.1 == campaign))
            .collect();
        let fields = [
            ("conversions", integer(of.len() as i64)),
            ("credit", FieldValue::Float(of.len() as f64)),
            ("revenue_cents", sum(&mut of.iter().map(|of| of.amount))),
        ];
        put(numbers, resolution, "attribution", &[campaign, "first_click"], start, fields);
    }
}

fn integer(value: i64) -> FieldValue {
    FieldValue::Integer(value)
}

fn put<const N: usize>(
    numbers: &mut Numbers,
    resolution: u8,
    measurement: &'static str,
    tags: &[&str],
    start: i64,
    fields: [(&'static str, FieldValue); N],
) {
    let key: Key =
        (resolution, measurement, tags.iter().map(|tag| (*tag).to_owned()).collect(), start / SECOND);
    numbers.insert(key, fields.into_iter().collect());
}
