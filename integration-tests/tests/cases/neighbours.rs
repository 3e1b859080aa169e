//! What else comes in the same way, as public reports tell and a second look shows: a table of lines, each with what went
//! wrong for somebody and its right answer.

use std::collections::BTreeMap;

use integration_tests::{Point, Send};
use serde::Deserialize;

use crate::support::{Case, Services, int, lines, tests};
use crate::times::assert_moments;

tests!["neighbours": each_line_has_its_right_answer, each_time_is_its_moment];

/// 2025-08-12T15:00:00Z; each line has a window of its own from there on, so that its numbers can be told apart.
const T: i64 = 1_755_010_800;
const WINDOW: i64 = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    why: String,
    /// With `<T>` for its time, `<x:N>` for N letters, `<deep:N>` for N arrays in each other.
    value: Option<String>,
    /// Bytes that are no text.
    hex: Option<String>,
    right: Right,
}

/// What is named is asserted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Right {
    /// The reason, where it is no event.
    refused: Option<String>,
    #[serde(default)]
    duplicate: bool,
    /// As what it counts.
    event: Option<String>,
    requests: Option<i64>,
    route: Option<String>,
    status: Option<i64>,
    users: Option<i64>,
    cents: Option<i64>,
    currency: Option<String>,
    unusable: Option<i64>,
    incomplete: Option<i64>,
}

fn each_line_has_its_right_answer(services: &Services) {
    let case = Case::new(services, "neighbours", 1);
    let table: Vec<Line> = lines("neighbours.jsonl")
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    let starts = (0..).map(|line| T + line * WINDOW);
    let records: Vec<Send> = table.iter().zip(starts.clone()).map(|(line, at)| line.record(at)).collect();
    case.send(&records);
    case.run();

    let seen = Seen::read(&case);
    let letters: BTreeMap<usize, String> = case
        .letters()
        .into_iter()
        .map(|letter| (letter.headers["offset"].parse().expect("a number"), letter.headers["reason"].clone()))
        .collect();
    let wrong: Vec<String> = table
        .iter()
        .enumerate()
        .zip(starts)
        .flat_map(|((offset, line), at)| {
            let wrong = line.right.differences(letters.get(&offset), &seen, at);
            wrong.into_iter().map(move |what| format!("{offset}: {}: {what}", line.why))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} lines:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

fn each_time_is_its_moment(services: &Services) {
    #[derive(Deserialize)]
    struct Time {
        value: String,
        moment: Option<i64>,
    }
    let table: Vec<(String, Option<i64>)> = lines("neighbours-of-times.jsonl")
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .map(|Time { value, moment }| (value, moment))
        .collect();
    assert_moments(services, "neighbours-of-times", &table);
}

impl Line {
    fn record(&self, at: i64) -> Send {
        let value = match (&self.value, &self.hex) {
            (Some(text), None) => expanded(&text.replace("<T>", &at.to_string())).into_bytes(),
            (None, Some(hex)) => (0..hex.len() / 2)
                .map(|byte| u8::from_str_radix(&hex[byte * 2..byte * 2 + 2], 16).expect("hex digits"))
                .collect(),
            _ => panic!("a value or its bytes: {}", self.why),
        };
        Send { key: Some("u".to_owned()), value: Some(value), ..Send::default() }
    }
}

impl Right {
    fn differences(&self, reason: Option<&String>, seen: &Seen, at: i64) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut same = |what: &str, found: String, expected: String| {
            if found != expected {
                wrong.push(format!("{what}: {found} instead of {expected}"));
            }
        };
        same("refused", format!("{reason:?}"), format!("{:?}", self.refused.as_ref()));
        let of = |measurement: &str, tag: &str, field: &str| seen.of(measurement, tag, field, at);
        let one = |name: Option<&str>, count: i64| -> BTreeMap<String, i64> {
            name.map(|name| (name.to_owned(), count)).into_iter().filter(|(_, count)| *count != 0).collect()
        };
        let events = one(self.event.as_deref(), 1);
        same("events", format!("{:?}", of("events", "event_type", "count")), format!("{events:?}"));
        let quality = of("quality", "reason", "count");
        let noted = |reason: &str| quality.get(reason).copied().unwrap_or_default();
        same("duplicates", noted("duplicate").to_string(), i64::from(self.duplicate).to_string());
        let total = |field: &str| of("http_all", "", field).into_values().sum::<i64>();
        if let Some(requests) = self.requests {
            same("requests", total("requests").to_string(), requests.to_string());
            let by_route: i64 = of("http", "route", "requests").into_values().sum();
            same("requests by route", by_route.to_string(), requests.to_string());
        }
        if let Some(users) = self.users {
            same("users", total("users").to_string(), users.to_string());
        }
        if let Some(route) = &self.route {
            let expected = format!("{:?}", one(Some(route), 1));
            same("routes", format!("{:?}", of("http", "route", "requests")), expected);
        }
        if let Some(status) = self.status {
            let expected = format!("{:?}", one(Some(&status.to_string()), 1));
            same("statuses", format!("{:?}", of("http_status", "status", "requests")), expected);
        }
        if let Some(cents) = self.cents {
            let found: i64 = of("first_click", "currency", "revenue_cents").into_values().sum();
            same("cents", found.to_string(), cents.to_string());
            let lines: i64 = of("first_click", "currency", "checkouts").into_values().sum();
            same("order lines", lines.to_string(), "1".to_owned());
        }
        if let Some(currency) = &self.currency {
            let expected = format!("{:?}", one(Some(currency), 1));
            same("currencies", format!("{:?}", of("first_click", "currency", "checkouts")), expected);
        }
        for (reason, expected) in [("unusable", self.unusable), ("incomplete", self.incomplete)] {
            if let Some(expected) = expected {
                same(reason, noted(reason).to_string(), expected.to_string());
            }
        }
        wrong
    }
}

/// The points of the finest windows.
struct Seen {
    points: BTreeMap<&'static str, Vec<Point>>,
}

impl Seen {
    fn read(case: &Case<'_>) -> Self {
        let bucket = &case.influx.buckets().raw;
        let measurements = ["events", "first_click", "http", "http_all", "http_status", "quality"];
        Self { points: measurements.map(|name| (name, case.influx.read(bucket, name))).into() }
    }

    /// A window's sums of a field by a tag; without those that are 0.
    fn of(&self, measurement: &str, tag: &str, field: &str, start: i64) -> BTreeMap<String, i64> {
        let mut sums = BTreeMap::new();
        for point in self.points[measurement].iter().filter(|point| point.time_ms == start * 1_000) {
            *sums.entry(point.tags.get(tag).cloned().unwrap_or_default()).or_default() += int(point, field);
        }
        sums.retain(|_, sum| *sum != 0);
        sums
    }
}

/// `<x:N>` and `<deep:N>`.
fn expanded(text: &str) -> String {
    let Some((before, rest)) = text.split_once("<x:").or_else(|| text.split_once("<deep:")) else {
        return text.to_owned();
    };
    let (count, after) = rest.split_once('>').expect("it ends");
    let count = count.parse().expect("a number");
    let filling = if text.contains("<x:") {
        "x".repeat(count)
    } else {
        format!("{}{}", "[".repeat(count), "]".repeat(count))
    };
    format!("{before}{filling}{after}")
}
