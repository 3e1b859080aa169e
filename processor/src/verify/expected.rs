//! What InfluxDB should hold of a window.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use events::EventType;
use processor_core::schema::{self, Measurement};

use super::hour::{Counts, Hour, Requests, is_error};
use super::rules::{HOUR, MINUTE, Rules};

/// URLs of a partition that can be among the top of a window, as the contract has it.
const URL_CANDIDATES: usize = 1_000;
/// Ranks.
const TOP: usize = 20;

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Integer(i64),
    Float(f64),
    Text(String),
    /// A percentile, of which a sketch's answer is within 1/128.
    Percentile(f64),
}

/// A point: tags and fields in the schema's order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) of: &'static Measurement,
    pub(super) tags: Vec<String>,
    pub(super) fields: Vec<Value>,
}

/// A window with everything expected of it.
#[derive(Debug)]
pub(super) struct Window {
    /// 0: the finest, 1: a minute, 2: an hour.
    pub(super) resolution: usize,
    pub(super) start: i64,
    pub(super) points: Vec<Point>,
    /// By reason; without those that may count in another window.
    pub(super) quality: BTreeMap<&'static str, u64>,
    /// As many more may count here.
    pub(super) may: BTreeMap<&'static str, u64>,
    /// Whether the wall clock decided about a checkout of it.
    pub(super) unsure_checkouts: bool,
    /// By input and partition: first and last offset.
    pub(super) records: BTreeMap<(u16, i32), (i64, i64)>,
}

/// The windows of an hour at every resolution, the finest first, each in order of time.
pub(super) fn windows(start: i64, hour: &Hour, rules: &Rules) -> Vec<Window> {
    let mut windows: Vec<Window> =
        hour.windows.iter().map(|(at, counts)| window(0, *at, counts, hour)).collect();
    for minute in (start..start + HOUR).step_by(MINUTE as usize) {
        if hour.windows.range(minute..minute + MINUTE).next().is_some() {
            // A finest window of a minute is that minute.
            match hour.windows.get(&minute).filter(|_| rules.window == MINUTE) {
                Some(counts) => windows.push(window(1, minute, counts, hour)),
                None => windows.push(window(1, minute, &hour.sum(minute, MINUTE), hour)),
            }
        }
    }
    windows.push(window(2, start, &hour.sum(start, HOUR), hour));
    windows
}

fn window(resolution: usize, start: i64, counts: &Counts, hour: &Hour) -> Window {
    let mut points = Vec::new();
    requests(counts, hour, &mut points);
    for (kind, count) in EventType::ALL.iter().zip(counts.events).filter(|(_, count)| *count > 0) {
        push(&mut points, &schema::EVENTS, vec![kind.name().to_owned()], vec![integer(count)]);
    }
    latencies(counts, hour, &mut points);
    tops(counts, hour, &mut points);
    checkouts(counts, &mut points);
    Window {
        resolution,
        start,
        points,
        quality: counts.quality.clone(),
        may: counts.may.clone(),
        unsure_checkouts: counts.unsure_checkouts > 0,
        records: counts.records.clone(),
    }
}

fn requests(counts: &Counts, hour: &Hour, points: &mut Vec<Point>) {
    let (mut all, mut errors, mut client_errors) = (0, 0, 0);
    let mut by_status: BTreeMap<u16, u64> = BTreeMap::new();
    for ((route, method, status), requests) in counts.requests() {
        let share = |holds: bool| if holds { requests } else { 0 };
        let (failed, refused) = (share(is_error(status)), share((400..500).contains(&status)));
        all += requests;
        errors += failed;
        client_errors += refused;
        *by_status.entry(status).or_default() += requests;
        let tags = vec![method.to_owned(), hour.routes.text(route).to_string(), status.to_string()];
        push(points, &schema::HTTP, tags, vec![integer(requests), integer(failed), integer(refused)]);
    }
    for (status, requests) in by_status {
        push(points, &schema::HTTP_STATUS, vec![status.to_string()], vec![integer(requests), integer(all)]);
    }
    if counts.events.iter().any(|count| *count > 0) {
        let ratio = if all == 0 { 0.0 } else { errors as f64 / all as f64 };
        // Users are keyed to a partition: the same name in two of them is two users.
        let users = integer(counts.users.len() as u64);
        let fields = vec![integer(all), integer(errors), integer(client_errors), Value::Float(ratio), users];
        push(points, &schema::HTTP_ALL, vec![], fields);
    }
}

fn latencies(counts: &Counts, hour: &Hour, points: &mut Vec<Point>) {
    for (route, latency) in &counts.latency {
        let mut values: Vec<f64> = latency.values.iter().map(|value| f64::from(*value)).collect();
        let mut at = |share| Value::Percentile(percentile(&mut values, share));
        let percentiles = [at(0.50), at(0.95), at(0.99)];
        let mut fields = vec![integer(latency.values.len() as u64)];
        fields.extend(percentiles);
        fields.push(Value::Float(latency.max));
        push(points, &schema::LATENCY, vec![hour.routes.text(*route).to_string()], fields);
    }
}

/// The value at the nearest rank of `share`; 0 of none.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let rank = ((share * values.len() as f64).ceil() as usize).clamp(1, values.len());
    *values.select_nth_unstable_by(rank - 1, f64::total_cmp).1
}

fn tops(counts: &Counts, hour: &Hour, points: &mut Vec<Point>) {
    let mut urls: HashMap<u32, Requests> = HashMap::new();
    let mut by_task: BTreeMap<u32, Vec<(u32, Requests)>> = BTreeMap::new();
    for ((task, url), requests) in &counts.urls {
        by_task.entry(*task).or_default().push((*url, *requests));
    }
    for mut candidates in by_task.into_values() {
        if candidates.len() > URL_CANDIDATES {
            candidates.sort_unstable_by_key(|(url, requests)| {
                let text = hour.urls.text(*url);
                (Reverse(requests.all), text.strip_prefix('/').unwrap_or(text))
            });
            candidates.truncate(URL_CANDIDATES);
        }
        for (url, requests) in candidates {
            add(urls.entry(url).or_default(), requests);
        }
    }
    let mut users: HashMap<u32, Requests> = HashMap::new();
    for ((_, user), requests) in counts.users.iter().filter(|(_, requests)| requests.all > 0) {
        add(users.entry(*user).or_default(), *requests);
    }
    for (of, counts, names) in [(&schema::URL_TOP, urls, &hour.urls), (&schema::USER_TOP, users, &hour.users)]
    {
        let mut ranked: Vec<(u32, Requests)> = counts.into_iter().collect();
        let by_rank = |(name, requests): &(u32, Requests)| (Reverse(requests.all), names.text(*name));
        if ranked.len() > TOP {
            ranked.select_nth_unstable_by(TOP, |a, b| by_rank(a).cmp(&by_rank(b)));
            ranked.truncate(TOP);
        }
        ranked.sort_unstable_by(|a, b| by_rank(a).cmp(&by_rank(b)));
        for (rank, (name, requests)) in (1..).zip(ranked) {
            let text = Value::Text(names.text(name).to_string());
            let fields = vec![text, integer(requests.all), integer(requests.errors)];
            push(points, of, vec![format!("{rank:02}")], fields);
        }
    }
}

fn add(sum: &mut Requests, requests: Requests) {
    sum.all += requests.all;
    sum.errors += requests.errors;
}

fn checkouts(counts: &Counts, points: &mut Vec<Point>) {
    for (currency, of) in &counts.checkouts {
        let mut lags = of.lags_s.clone();
        let fields = vec![
            integer(of.all),
            integer(of.orders),
            integer(of.attributed),
            integer(of.all - of.attributed),
            Value::Integer(of.cents),
            Value::Integer(of.attributed_cents),
            Value::Percentile(percentile(&mut lags, 0.50)),
            Value::Percentile(percentile(&mut lags, 0.95)),
        ];
        push(points, &schema::FIRST_CLICK, vec![currency.to_string()], fields);
        for (campaign, (count, cents)) in &of.campaigns {
            let fields = vec![integer(*count), Value::Float(*count as f64), Value::Integer(*cents)];
            let tags = vec![campaign.to_string(), currency.to_string(), "first_click".to_owned()];
            push(points, &schema::ATTRIBUTION, tags, fields);
        }
    }
}

fn push(points: &mut Vec<Point>, of: &'static Measurement, tags: Vec<String>, fields: Vec<Value>) {
    points.push(Point { of, tags, fields });
}

fn integer(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}
