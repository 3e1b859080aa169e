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
    user: Option<String>,
    kind: EventType,
    status: Option<u16>,
    /// The path, and its route.
    page: Option<(String, &'static str)>,
    latency: Option<f64>,
    product: Option<String>,
    campaign: Option<String>,
    currency: String,
    amount: i64,
    /// What it is to keyed logic.
    fact: Usable,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Usable {
    No,
    Yes,
    /// As the first line of its order.
    First,
}

struct Checkout {
    time: i64,
    currency: String,
    is_first: bool,
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
    let mut ids = Counted::default();
    let mut orders = Counted::default();
    let mut lines = Counted::default();
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
        if event.event_id.is_some_and(|id| !is_new(&mut ids, id, time, 600)) {
            uncounted.push((time, "duplicate"));
            expected.duplicates += 1;
            continue;
        }
        let usable = time >= watermark;
        for (noted, reason) in [(event.notes.incomplete, "incomplete"), (event.notes.unusable, "unusable")] {
            if !noted.is_empty() {
                uncounted.push((time, reason));
            }
        }
        let mut fact = Usable::No;
        if usable && event.user_id.is_some() {
            fact = Usable::Yes;
            if event.kind == EventType::Checkout {
                if let Some(order) = event.checkout_id {
                    let line = format!("{order} {:?}", event.product_id);
                    if !is_new(&mut lines, &line, time, 3_600) {
                        uncounted.push((time, "repeated_checkout"));
                        fact = Usable::No;
                    } else if is_new(&mut orders, order, time, 3_600) {
                        fact = Usable::First;
                    }
                } else {
                    fact = Usable::First;
                }
            }
        }
        accepted.push(Accepted {
            time,
            offset,
            user: event.user_id.map(fit),
            kind: event.kind,
            status: event.http_status,
            page: event.url.and_then(page),
            latency: event.latency_ms,
            product: event.product_id.map(str::to_owned),
            campaign: event.campaign_id.map(fit),
            currency: event.currency.filter(|of| !of.is_empty()).map_or_else(|| "none".to_owned(), fit),
            amount: event.amount_cents.unwrap_or(0),
            fact,
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

/// Ids, each with when it was counted.
type Counted = BTreeMap<String, Vec<i64>>;

/// Whether an id was not counted within so many seconds of this time; now it is.
fn is_new(counted: &mut Counted, id: &str, time: i64, within: i64) -> bool {
    let times = counted.entry(id.to_owned()).or_default();
    if times.iter().any(|at| (time / SECOND - at / SECOND).abs() <= within) {
        return false;
    }
    times.push(time);
    true
}

fn first_clicks(events: &[Accepted]) -> Vec<Checkout> {
    let mut usable: Vec<&Accepted> = events.iter().filter(|event| event.fact != Usable::No).collect();
    // A click comes before a checkout of the same instant.
    usable.sort_by_key(|event| (event.time, event.kind == EventType::Checkout, event.offset));
    let mut checkouts = Vec::new();
    for (at, checkout) in usable.iter().enumerate().filter(|(_, event)| event.kind == EventType::Checkout) {
        let first = usable[..at].iter().find(|click| {
            click.kind == EventType::ProductClick
                && click.user == checkout.user
                && click.product.is_some()
                && click.product == checkout.product
                && click.time >= checkout.time - 3_600 * SECOND
        });
        checkouts.push(Checkout {
            time: checkout.time,
            currency: checkout.currency.clone(),
            is_first: checkout.fact == Usable::First,
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
    let errors = count(&mut |status| status / 100 == 5);
    let client_errors = count(&mut |status| (400..500).contains(&status));
    let users: BTreeSet<&str> = events.iter().filter_map(|event| event.user.as_deref()).collect();
    let ratio = if total == 0 { 0.0 } else { errors as f64 / total as f64 };
    // Zeros are left out: they are written for windows without events, too.
    if total > 0 || !users.is_empty() {
        let fields = [
            ("requests", integer(total)),
            ("errors", integer(errors)),
            ("client_errors", integer(client_errors)),
            ("error_ratio", FieldValue::Float(ratio)),
            ("users", integer(users.len() as i64)),
        ];
        put(numbers, resolution, "http_all", &[], start, fields);
    }
    let statuses: BTreeSet<u16> = requests.iter().filter_map(|event| event.status).collect();
    for status in statuses {
        let of = count(&mut |other| other == status);
        let name = status.to_string();
        let fields = [("requests", integer(of)), ("total", integer(total))];
        put(numbers, resolution, "http_status", &[&name], start, fields);
    }
    let series: BTreeSet<(&str, u16)> =
        requests.iter().filter_map(|event| Some((route(event), event.status?))).collect();
    for (name, status) in series {
        let of = |event: &&&&Accepted| route(event) == name && event.status == Some(status);
        let of = requests.iter().filter(of).count() as i64;
        let class = |yes: bool| integer(if yes { of } else { 0 });
        let fields = [
            ("requests", integer(of)),
            ("errors", class(status / 100 == 5)),
            ("client_errors", class((400..500).contains(&status))),
        ];
        put(numbers, resolution, "http", &["GET", name, &status.to_string()], start, fields);
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
        requests.iter().filter_map(|of| Some((&*of.page.as_ref()?.0, of.status))),
    );
    top(
        numbers,
        resolution,
        ("user_top", "user_id"),
        start,
        requests.iter().filter_map(|of| Some((of.user.as_deref()?, of.status))),
    );
    let mut latencies: BTreeMap<&str, (i64, f64)> = BTreeMap::new();
    for (route, latency) in requests.iter().filter_map(|event| Some((route(event), event.latency?))) {
        let of = latencies.entry(route).or_default();
        *of = (of.0 + 1, of.1.max(latency));
    }
    for (route, (count, max)) in latencies {
        let fields = [("count", integer(count)), ("max_ms", FieldValue::Float(max))];
        put(numbers, resolution, "latency", &[route], start, fields);
    }
}

fn route(event: &Accepted) -> &'static str {
    event.page.as_ref().map_or("__none__", |(_, route)| route)
}

/// The path and route of a URL. All of these logs are `/p/<number>`, `/c` or `/a b`, in some spelling.
fn page(url: &str) -> Option<(String, &'static str)> {
    let path = url.split('?').next().unwrap_or_default();
    let segments = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    let segments: Vec<String> = segments.filter(|segment| !segment.is_empty()).map(fit).collect();
    let route = match segments.first().map(String::as_str) {
        None => return None,
        Some("p") => "/p/:id",
        Some("c") => "/c",
        Some(_) => "/a b",
    };
    Some((format!("/{}", segments.join("/")), route))
}

/// A name as line protocol can have it: these logs have line feeds, DEL and backslashes.
fn fit(name: &str) -> String {
    name.replace(['\n', '\u{7f}'], " ").replace('\\', "\u{ff3c}")
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
        count.1 += i64::from(status.is_some_and(|status| status / 100 == 5));
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
    let currencies: BTreeSet<&str> = checkouts.iter().map(|checkout| &*checkout.currency).collect();
    for currency in currencies {
        let of: Vec<_> = checkouts.iter().filter(|checkout| checkout.currency == currency).copied().collect();
        attribution_in(numbers, resolution, start, currency, &of);
    }
}

fn attribution_in(
    numbers: &mut Numbers,
    resolution: u8,
    start: i64,
    currency: &str,
    checkouts: &[&Checkout],
) {
    let attributed: Vec<_> = checkouts.iter().filter(|checkout| checkout.click.is_some()).collect();
    let sum = |of: &mut dyn Iterator<Item = i64>| integer(of.sum());
    put(
        numbers,
        resolution,
        "first_click",
        &[currency],
        start,
        [
            ("checkouts", integer(checkouts.len() as i64)),
            ("orders", sum(&mut checkouts.iter().map(|of| i64::from(of.is_first)))),
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
        put(numbers, resolution, "attribution", &[campaign, currency, "first_click"], start, fields);
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
