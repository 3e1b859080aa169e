use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::influx::{Influx, Row};
use crate::kafka::Kafka;
use crate::names::Names;
use crate::programs::{Processor, ProcessorConfig};

/// Measurements that describe the stream. `pipeline` describes the processes instead, so it differs between runs.
const MEASUREMENTS: [&str; 10] = [
    "attribution",
    "events",
    "first_click",
    "http",
    "http_all",
    "http_status",
    "latency",
    "quality",
    "url_top",
    "user_top",
];

/// How many differences are printed.
const DIFFERENCES_SHOWN: usize = 20;

/// All an InfluxDB holds about a stream, to be compared with what another run of the same stream gave.
///
/// Points whose every number is zero are left out: they say that nothing happened, as their absence does.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// Fields by bucket, measurement, time and tags.
    points: BTreeMap<(String, &'static str, i64, String), Row>,
}

impl Numbers {
    /// Reads everything.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn of(influx: &Influx) -> Self {
        let mut points = BTreeMap::new();
        for bucket in influx.buckets().all() {
            let resolution = bucket.rsplit('/').next().expect("a bucket is database/policy");
            for measurement in MEASUREMENTS {
                for point in influx.read(bucket, measurement) {
                    let (time, tags) = (point.time_ms, format!("{:?}", point.tags));
                    if !is_zero(&point.fields) {
                        points.insert((resolution.to_owned(), measurement, time, tags), point.fields);
                    }
                }
            }
        }
        Self { points }
    }

    /// The numbers of `names.topic` as one undisturbed run gives them: from the first to the last record of now, by a group
    /// and an InfluxDB of its own.
    ///
    /// # Panics
    /// If that run fails.
    #[must_use]
    pub fn of_an_undisturbed_run(kafka: &Kafka, names: &Names) -> Self {
        let influx = Influx::start_own();
        let others = Names::unique("undisturbed");
        let names = Names { topic: names.topic.clone(), ..others };
        Processor::run_until_end(&ProcessorConfig::new(kafka, &influx, &names));
        Self::of(&influx)
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The sum of a field over all points of a measurement in one bucket, `raw_10s`, `rollup_1m` or `rollup_1h`.
    #[must_use]
    pub fn sum(&self, resolution: &str, measurement: &str, field: &str) -> i64 {
        let of_this = self.points.iter().filter(|((r, m, ..), _)| r == resolution && *m == measurement);
        of_this.filter_map(|(_, row)| row.get(field)?.as_i64()).sum()
    }

    /// Fails with the points that differ.
    ///
    /// # Panics
    /// If any does, or there are none at all.
    pub fn assert_equal(&self, expected: &Self) {
        assert!(!expected.is_empty(), "there is something to compare with");
        let keys: std::collections::BTreeSet<_> = self.points.keys().chain(expected.points.keys()).collect();
        let mut different = 0;
        let mut shown = String::new();
        let mut where_: BTreeMap<(&str, &str), BTreeMap<i64, u32>> = BTreeMap::new();
        for key in keys {
            let (found, wanted) = (self.points.get(key), expected.points.get(key));
            if found.zip(wanted).is_none_or(|(found, wanted)| !same(found, wanted)) {
                different += 1;
                *where_.entry((&key.0, key.1)).or_default().entry(key.2).or_default() += 1;
                if different <= DIFFERENCES_SHOWN {
                    let show = |row: Option<&Row>| {
                        row.map_or_else(|| "nothing".to_owned(), |row| format!("{row:?}"))
                    };
                    writeln!(shown, "{key:?}\n  expected {}\n  found    {}", show(wanted), show(found))
                        .expect("writing to a string succeeds");
                }
            }
        }
        assert!(
            different == 0,
            "{different} of {} points differ:\n{shown}how many at which times: {where_:#?}",
            expected.len()
        );
    }
}

fn is_zero(row: &Row) -> bool {
    row.values().filter(|value| value.is_number()).all(|value| value.as_f64() == Some(0.0))
}

/// Equal, but for the last bits of a float: sums of credits depend on their order.
fn same(left: &Row, right: &Row) -> bool {
    let close = |(left, right): (&Value, &Value)| match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1.0),
        _ => left == right,
    };
    left.len() == right.len()
        && left.iter().all(|(key, value)| right.get(key).is_some_and(|it| close((value, it))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(pairs: &[(&str, Value)]) -> Row {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    #[test]
    fn only_points_without_any_number_but_zero_are_left_out() {
        assert!(is_zero(&row(&[("url", json!("/a")), ("requests", json!(0))])));
        assert!(!is_zero(&row(&[("requests", json!(0)), ("total", json!(1))])));
    }

    #[test]
    fn integers_are_compared_exactly_and_floats_to_the_last_bits() {
        let one = row(&[("requests", json!(1)), ("credit", json!(0.1 + 0.2))]);
        assert!(same(&one, &row(&[("requests", json!(1)), ("credit", json!(0.3))])));
        assert!(!same(&one, &row(&[("requests", json!(2)), ("credit", json!(0.3))])));
        assert!(!same(&one, &row(&[("requests", json!(1))])));
    }
}
