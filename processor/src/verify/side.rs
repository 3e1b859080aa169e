//! One measurement's points beside those that are stored.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use processor_core::schema::Measurement;

use super::compare::{Field, Stored, moment, spans};
use super::expected::{Point, Value, Window};
use super::model::Seen;
use super::report::{Kind, Report};
use super::rules::HOUR;

/// One measurement at one resolution.
pub(super) struct Side<'a> {
    pub(super) of: &'static Measurement,
    pub(super) place: usize,
    pub(super) size: i64,
    pub(super) limited: [Option<(i64, i64)>; 4],
    pub(super) topics: &'a [String],
    pub(super) default_currency: &'a str,
}

type Key = (i64, Vec<String>);
/// Tags and fields.
type Tagged = (Vec<String>, Vec<Value>);

impl Side<'_> {
    pub(super) fn compare(&self, windows: &[Window], found: Vec<Stored>, seen: &Seen, report: &mut Report) {
        let name = self.of.name;
        let by_start: HashMap<i64, &Window> = windows.iter().map(|window| (window.start, window)).collect();
        let unsure = |start: i64| by_start.get(&start).is_some_and(|window| window.unsure_checkouts);
        let skips = |start: i64| {
            (matches!(name, "first_click" | "attribution") && unsure(start))
                || (name == "url_top" && self.is_limited(1, start))
        };
        let mut expected: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
        for window in windows {
            let points: Vec<&Point> = window.points.iter().filter(|point| *point.of == *self.of).collect();
            if skips(window.start) {
                report.skipped(self.place, name, points.len() as u64);
            } else if self.is_summed(window.start) {
                let points = points.into_iter().map(|point| (point.tags.clone(), point.fields.clone()));
                for (tags, fields) in self.summed(points) {
                    expected.insert((window.start, tags), fields);
                }
            } else {
                for point in points {
                    let before = expected.insert((window.start, point.tags.clone()), point.fields.clone());
                    assert_eq!(before, None, "names are told apart as they are written: {point:?}");
                }
            }
        }
        let mut there: BTreeMap<Key, Vec<Option<Value>>> = BTreeMap::new();
        for stored in found.into_iter().filter(|stored| !skips(stored.time)) {
            let fields: Vec<Option<Value>> =
                stored.fields.into_iter().map(|field| field.map(value)).collect();
            let key = (stored.time, stored.tags);
            match there.entry(key) {
                Entry::Vacant(free) => drop(free.insert(fields)),
                Entry::Occupied(taken) => report.differs(self.place, name, Kind::Doubled, || {
                    (self.what(taken.key()), Some("one point".to_owned()), Some(self.found(&fields)), None)
                }),
            }
        }
        let there = self.sum_found(there);
        for (key, fields) in &there {
            match expected.remove(key) {
                Some(right) if same(&right, fields) => report.equal(self.place, name),
                Some(right) => report.differs(self.place, name, Kind::Different, || {
                    let records = by_start.get(&key.0).and_then(|window| spans(window, self.topics));
                    (self.what(key), Some(self.wanted(&right)), Some(self.found(fields)), records)
                }),
                None if self.is_zero(key, fields, by_start.get(&key.0).copied(), seen) => {
                    report.equal(self.place, name);
                }
                None => report.differs(self.place, name, Kind::Unexpected, || {
                    let records = by_start.get(&key.0).and_then(|window| spans(window, self.topics));
                    (self.what(key), None, Some(self.found(fields)), records)
                }),
            }
        }
        for (key, right) in expected {
            report.differs(self.place, name, Kind::Missing, || {
                let records = by_start.get(&key.0).and_then(|window| spans(window, self.topics));
                (self.what(&key), Some(self.wanted(&right)), None, records)
            });
        }
    }

    /// Whether a limit of names was reached about a window: 0 of routes, 1 of URLs, 2 of campaigns, 3 of currencies.
    fn is_limited(&self, limit: usize, start: i64) -> bool {
        self.limited[limit].is_some_and(|(from, until)| start + self.size > from && start <= until)
    }

    /// Whether only sums over the limited tag are compared.
    fn is_summed(&self, start: i64) -> bool {
        match self.of.name {
            "http" | "latency" => self.is_limited(0, start),
            "attribution" => self.is_limited(2, start) || self.is_limited(3, start),
            "first_click" => self.is_limited(3, start),
            _ => false,
        }
    }

    /// Points added up over the tag whose names are limited; of a latency only count and maximum stay.
    fn summed(
        &self,
        points: impl Iterator<Item = (Vec<String>, Vec<Value>)>,
    ) -> BTreeMap<Vec<String>, Vec<Value>> {
        let is_limited = |tag: &str| matches!(tag, "route" | "campaign" | "currency");
        let mut sums: BTreeMap<Vec<String>, Vec<Value>> = BTreeMap::new();
        for (mut tags, fields) in points {
            for (tag, _) in tags.iter_mut().zip(self.of.tags).filter(|(_, name)| is_limited(name)) {
                "*".clone_into(tag);
            }
            let fields: Vec<Value> = fields
                .into_iter()
                .zip(self.of.fields)
                .filter(|(_, (name, _))| !name.starts_with('p'))
                .map(|(field, _)| field)
                .collect();
            match sums.get_mut(&tags) {
                None => drop(sums.insert(tags, fields)),
                Some(sum) => sum.iter_mut().zip(fields).for_each(|(sum, field)| match (sum, field) {
                    (Value::Integer(sum), Value::Integer(field)) => *sum += field,
                    (Value::Float(sum), field) if self.of.name == "latency" => *sum = sum.max(number(&field)),
                    (Value::Float(sum), field) => *sum += number(&field),
                    _ => {}
                }),
            }
        }
        sums
    }

    fn sum_found(&self, there: BTreeMap<Key, Vec<Option<Value>>>) -> BTreeMap<Key, Vec<Option<Value>>> {
        let (summed, mut single): (BTreeMap<_, _>, BTreeMap<_, _>) =
            there.into_iter().partition(|((start, _), _)| self.is_summed(*start));
        let mut by_start: BTreeMap<i64, Vec<Tagged>> = BTreeMap::new();
        for ((start, tags), fields) in summed {
            let fields = fields.into_iter().map(|field| field.unwrap_or(Value::Integer(0))).collect();
            by_start.entry(start).or_default().push((tags, fields));
        }
        for (start, points) in by_start {
            for (tags, fields) in self.summed(points.into_iter()) {
                single.insert((start, tags), fields.into_iter().map(Some).collect());
            }
        }
        single
    }

    /// Whether a point only says that nothing happened, of a series that was seen in the hour before its window.
    fn is_zero(
        &self,
        (start, tags): &Key,
        fields: &[Option<Value>],
        window: Option<&Window>,
        Seen { series, currencies }: &Seen,
    ) -> bool {
        // `ahead`: how long before its first request a series may be spoken of.
        let alive = |ahead: i64, of: &dyn Fn(&str, &str, u16) -> bool| {
            series.iter().any(|((route, method, status), (first, last))| {
                *first < start + self.size + ahead && *last >= start - HOUR && of(route, method, *status)
            })
        };
        let is_status = |status: u16, tag: &str| tag.parse() == Ok(status);
        let is_alive = match (self.of.name, tags.as_slice()) {
            ("http", [method, route, status]) => alive(0, &|of, by, with| {
                (of == route || route == "*") && by == method && is_status(with, status)
            }),
            ("http_status", [status]) => alive(0, &|_, _, with| is_status(with, status)),
            ("http_all", []) => alive(0, &|_, _, _| true),
            // Events that are no requests may come first, and a window of theirs closes when there are requests.
            ("first_click", [currency]) => {
                let seen = |(first, last): &(i64, i64)| *first < start + self.size && *last >= start - HOUR;
                let any = || alive(HOUR, &|_, _, _| true) || currencies.values().any(seen);
                currencies.get(currency.as_str()).is_some_and(seen)
                    || (currency == self.default_currency || currency == "*") && any()
            }
            _ => false,
        };
        let total = window.and_then(|window| {
            let of_status = window.points.iter().find(|point| point.of.name == "http_status")?;
            Some(number(&of_status.fields[1]))
        });
        let right = |(name, field): (&str, &Option<Value>)| match (name, field) {
            ("total", Some(field)) => number(field) == total.unwrap_or(0.0),
            (_, Some(field)) => number(field) == 0.0,
            (_, None) => false,
        };
        is_alive && self.of.fields.iter().map(|(name, _)| *name).zip(fields).all(right)
    }

    fn what(&self, (start, tags): &Key) -> String {
        let mut text = self.of.name.to_owned();
        for (name, value) in self.of.tags.iter().zip(tags) {
            text += &format!(" {name}={value}");
        }
        format!("{text} at {}", moment(*start))
    }

    fn wanted(&self, fields: &[Value]) -> String {
        self.fields(fields.iter().map(Some))
    }

    fn found(&self, fields: &[Option<Value>]) -> String {
        self.fields(fields.iter().map(Option::as_ref))
    }

    fn fields<'v>(&self, fields: impl ExactSizeIterator<Item = Option<&'v Value>>) -> String {
        // Sums leave the percentiles out.
        let whole = fields.len() == self.of.fields.len();
        let names = self.of.fields.iter().filter(|(name, _)| whole || !name.starts_with('p'));
        let words = names.zip(fields).map(|((name, _), field)| match field {
            None => format!("{name} is not there"),
            Some(Value::Integer(value)) => format!("{name}={value}"),
            Some(Value::Float(value)) => format!("{name}={value}"),
            Some(Value::Percentile(value)) => format!("{name}≈{value}"),
            Some(Value::Text(value)) => format!("{name}={value:?}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

fn value(field: Field) -> Value {
    match field {
        Field::Integer(value) => Value::Integer(value),
        Field::Float(value) => Value::Float(value),
        Field::Text(value) => Value::Text(value),
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Integer(value) => *value as f64,
        Value::Float(value) | Value::Percentile(value) => *value,
        Value::Text(_) => f64::NAN,
    }
}

fn same(right: &[Value], found: &[Option<Value>]) -> bool {
    right.len() == found.len()
        && right
            .iter()
            .zip(found)
            .all(|(right, found)| found.as_ref().is_some_and(|found| agrees(right, found)))
}

fn agrees(right: &Value, found: &Value) -> bool {
    match (right, found) {
        (Value::Integer(right), Value::Integer(found)) => right == found,
        (Value::Text(right), Value::Text(found)) => right == found,
        (Value::Float(right), Value::Integer(_) | Value::Float(_)) => {
            let found = number(found);
            // Sums of floats depend on their order in the last bits.
            (right - found).abs() <= 1e-9 * right.abs().max(found.abs()).max(1.0)
        }
        (Value::Percentile(right), Value::Integer(_) | Value::Float(_)) => {
            is_percentile(*right, number(found))
        }
        _ => false,
    }
}

/// Whether a sketch may answer `found` for `right`: within 1/128, counting less than 1/1024 as 0 and more than 2^32 as
/// that.
fn is_percentile(right: f64, found: f64) -> bool {
    const LEAST: f64 = 1.0 / 1024.0;
    const GREATEST: f64 = 4_294_967_296.0;
    // Values pass through an `f32` here and there.
    const ROUNDING: f64 = 1e-6;
    let right = right.min(GREATEST);
    let within = (found - right).abs() <= right * (1.0 / 128.0 + ROUNDING);
    let zero = found == 0.0 && right < LEAST * (1.0 + ROUNDING);
    zero || (within && right >= LEAST * (1.0 - ROUNDING))
}
