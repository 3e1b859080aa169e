//! Plausible points, to try dashboards and alert rules on an InfluxDB without running a pipeline.
//!
//! A shop with five routes, and one [`Fault`] at a time, each made so that a certain rule must notice it. Nothing here
//! is random: the same arguments give the same lines.

use std::sync::Arc;

use events::Timestamp;
pub use processor_core::Resolution;
use processor_core::point::{FieldValue, Point};
use processor_core::schema::{self, FieldKind, Measurement};

/// What goes wrong, and the uid of the rule that must see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// More than half of all requests fail: the burn rules, `cs-slo-burn-fast` first, and every route's.
    Outage,
    /// Half of the checkouts fail, which are few: `cs-route-5xx`.
    Errors,
    /// Search takes seconds: `cs-latency-p95`.
    Slow,
    /// A tenth of the requests: `cs-traffic-drop`.
    Quiet,
    /// No processor reports: `cs-deadman`.
    Silent,
    /// Results take half a minute: `cs-freshness`.
    Late,
    /// One record in six is not an event: `cs-rejected`.
    Garbage,
    /// No record is an event, so that nothing is counted: `cs-rejected`.
    OnlyGarbage,
    /// A quarter of the records is too late for its window: `cs-late`.
    Overdue,
    /// Every record is: `cs-late`.
    OnlyOverdue,
    /// Two records in three were counted before: `cs-repeated`.
    Repeats,
    /// Every record was: `cs-repeated`.
    OnlyRepeats,
    /// 19 of 20 events lack a field: `cs-incomplete`.
    Incomplete,
    /// Every event does: `cs-incomplete`.
    OnlyIncomplete,
    /// One event in ten has a value of no use: `cs-unusable`.
    Unusable,
    /// Every event has: `cs-unusable`.
    OnlyUnusable,
    /// A minute's worth of records waits: `cs-consumer-lag`.
    Behind,
    /// InfluxDB refuses points: `cs-points-refused`.
    Refused,
    /// The totals do not add up: `cs-unaccounted`.
    Unaccounted,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 19] = [
        Self::Outage,
        Self::Errors,
        Self::Slow,
        Self::Quiet,
        Self::Silent,
        Self::Late,
        Self::Garbage,
        Self::OnlyGarbage,
        Self::Overdue,
        Self::OnlyOverdue,
        Self::Repeats,
        Self::OnlyRepeats,
        Self::Incomplete,
        Self::OnlyIncomplete,
        Self::Unusable,
        Self::OnlyUnusable,
        Self::Behind,
        Self::Refused,
        Self::Unaccounted,
    ];

    /// The rule that must fire.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Outage => "cs-slo-burn-fast",
            Self::Errors => "cs-route-5xx",
            Self::Slow => "cs-latency-p95",
            Self::Quiet => "cs-traffic-drop",
            Self::Silent => "cs-deadman",
            Self::Late => "cs-freshness",
            Self::Garbage | Self::OnlyGarbage => "cs-rejected",
            Self::Overdue | Self::OnlyOverdue => "cs-late",
            Self::Repeats | Self::OnlyRepeats => "cs-repeated",
            Self::Incomplete | Self::OnlyIncomplete => "cs-incomplete",
            Self::Unusable | Self::OnlyUnusable => "cs-unusable",
            Self::Behind => "cs-consumer-lag",
            Self::Refused => "cs-points-refused",
            Self::Unaccounted => "cs-unaccounted",
        }
    }
}

/// A stretch of time to make points for.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// First window's start, milliseconds since the epoch; rounded down to a window.
    pub from_ms: i64,
    /// No window starts at or after this.
    pub to_ms: i64,
    /// What goes wrong from when on.
    pub fault: Option<(Fault, i64)>,
}

/// Requests of each second.
const REQUESTS_PER_S: i64 = 200;

/// Path, share of the requests in percent, p95 in milliseconds.
const ROUTES: [(&str, i64, f64); 5] = [
    ("/", 30, 40.0),
    ("/product/:id", 40, 70.0),
    ("/search", 20, 160.0),
    ("/cart", 6, 60.0),
    ("/checkout", 4, 240.0),
];

const CAMPAIGNS: [&str; 3] = ["spring-sale", "newsletter", "none"];

impl Scenario {
    /// Line protocol in milliseconds for one of the three buckets.
    #[must_use]
    pub fn lines(&self, resolution: Resolution) -> String {
        let seconds = match resolution {
            Resolution::Raw => 10,
            Resolution::Minute => 60,
            Resolution::Hour => 3_600,
        };
        let mut points = Vec::new();
        let mut at = self.from_ms - self.from_ms.rem_euclid(seconds * 1_000);
        while at < self.to_ms {
            let fault = self.fault.filter(|(_, since)| at >= *since).map(|(fault, _)| fault);
            let maker = Maker { resolution, seconds, at, fault };
            maker.window(&mut points);
            if resolution == Resolution::Raw {
                maker.health(&mut points, (at - self.from_ms) / 1_000);
            }
            at += seconds * 1_000;
        }
        if resolution == Resolution::Raw
            && let Some((_, since)) = self.fault
        {
            let fields =
                vec![text("error-spike"), text("an incident of the sample"), integer(since + 60_000)];
            points.push(point(resolution, &schema::ANNOTATIONS, &["error-spike"], fields, since));
        }
        points.iter().map(line).collect()
    }
}

struct Maker {
    resolution: Resolution,
    seconds: i64,
    at: i64,
    fault: Option<Fault>,
}

impl Maker {
    fn push(
        &self,
        points: &mut Vec<Point>,
        measurement: &'static Measurement,
        tags: &[&str],
        fields: Vec<FieldValue>,
    ) {
        points.push(point(self.resolution, measurement, tags, fields, self.at));
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn window(&self, points: &mut Vec<Point>) {
        let per_second = if self.has(Fault::Quiet) { REQUESTS_PER_S / 10 } else { REQUESTS_PER_S };
        // A wave of a tenth, so that lines are not flat.
        let total = per_second * self.seconds * (100 + (self.at / 60_000).rem_euclid(10)) / 100;
        self.quality(points, total);
        if matches!(self.fault, Some(Fault::OnlyGarbage | Fault::OnlyOverdue | Fault::OnlyRepeats)) {
            return;
        }
        let (mut by_status, mut errors_of_all) = ([("200", 0), ("404", 0), ("500", 0), ("503", 0)], 0);
        for (route, share, p95) in ROUTES {
            let requests = total * share / 100;
            let broken = self.has(Fault::Outage) || (self.has(Fault::Errors) && route == "/checkout");
            let failed = if broken { requests * 3 / 5 } else { requests / 1_000 };
            let (unavailable, internal) = if broken { (failed, 0) } else { (0, failed) };
            let statuses = [("503", unavailable), ("500", internal), ("404", requests / 50)];
            let rest = requests - statuses.iter().map(|(_, count)| count).sum::<i64>();
            for (status, count) in statuses.into_iter().chain([("200", rest)]) {
                let failure = if status.starts_with('5') { count } else { 0 };
                let refusal = if status.starts_with('4') { count } else { 0 };
                errors_of_all += failure;
                by_status.iter_mut().filter(|(name, _)| *name == status).for_each(|(_, sum)| *sum += count);
                self.push(
                    points,
                    &schema::HTTP,
                    &["GET", route, status],
                    vec![integer(count), integer(failure), integer(refusal)],
                );
            }
            let p95 = if self.has(Fault::Slow) && route == "/search" { 3_000.0 } else { p95 };
            let percentiles = [p95 / 3.0, p95, p95 * 1.8, p95 * 4.0].map(float);
            let fields = std::iter::once(integer(requests)).chain(percentiles).collect();
            self.push(points, &schema::LATENCY, &[route], fields);
        }
        let requests: i64 = by_status.iter().map(|(_, count)| count).sum();
        for (status, count) in by_status {
            self.push(points, &schema::HTTP_STATUS, &[status], vec![integer(count), integer(requests)]);
        }
        let missing = by_status[1].1;
        let ratio = float(errors_of_all as f64 / requests as f64);
        let users = integer(requests / 4);
        let fields = vec![integer(requests), integer(errors_of_all), integer(missing), ratio, users];
        self.push(points, &schema::HTTP_ALL, &[], fields);
        self.tops(points, requests);
        self.events(points, requests);
        self.clicks(points);
    }

    fn tops(&self, points: &mut Vec<Point>, requests: i64) {
        for rank in 1..=20 {
            let tag = format!("{rank:02}");
            let share = requests / (5 * rank);
            let errors = if rank % 3 == 0 { share / 20 } else { 0 };
            let named = |name: String| vec![text(&name), integer(share), integer(errors)];
            self.push(points, &schema::URL_TOP, &[&tag], named(format!("/product/{rank}")));
            self.push(points, &schema::USER_TOP, &[&tag], named(format!("user-{rank}")));
        }
    }

    fn events(&self, points: &mut Vec<Point>, requests: i64) {
        for (kind, divisor) in
            [("page_view", 1), ("search", 5), ("product_click", 3), ("add_to_cart", 20), ("checkout", 50)]
        {
            self.push(points, &schema::EVENTS, &[kind], vec![integer(requests / divisor)]);
        }
    }

    /// What kept records from counting, and what is noted on those that count; `requests` as if nothing were wrong.
    fn quality(&self, points: &mut Vec<Point>, requests: i64) {
        let usual = [
            ("duplicate", requests / 100),
            ("late", requests / 200),
            ("missing_field", requests / 1_000),
            ("incomplete", requests / 5),
            ("unusable", requests / 1_000),
            ("repeated_checkout", requests / 2_000),
        ];
        // What `events` has of all types for so many requests.
        let events = requests * 8 / 5;
        let (reason, count, alone) = match self.fault {
            Some(Fault::Garbage) => ("missing_field", requests / 5, false),
            Some(Fault::OnlyGarbage) => ("missing_field", requests, true),
            Some(Fault::Overdue) => ("late", events / 3, false),
            Some(Fault::OnlyOverdue) => ("late", requests, true),
            Some(Fault::Repeats) => ("duplicate", events * 2, false),
            Some(Fault::OnlyRepeats) => ("duplicate", requests, true),
            Some(Fault::Incomplete) => ("incomplete", events * 19 / 20, false),
            Some(Fault::OnlyIncomplete) => ("incomplete", events, false),
            Some(Fault::Unusable) => ("unusable", events / 10, false),
            Some(Fault::OnlyUnusable) => ("unusable", events, false),
            _ => ("", 0, false),
        };
        for (name, usually) in usual {
            let count = if name == reason { count } else { usually };
            if name == reason || !alone {
                self.push(points, &schema::QUALITY, &[name], vec![integer(count)]);
            }
        }
    }

    /// Two currencies, of which one has a tenth of the checkouts.
    fn clicks(&self, points: &mut Vec<Point>) {
        for (currency, checkouts, price) in
            [("EUR", 4 * self.seconds, 4_990), ("JPY", 4 * self.seconds / 10, 880_000)]
        {
            let attributed = checkouts * 3 / 4;
            let cents = |count: i64| integer(count * price);
            self.push(
                points,
                &schema::FIRST_CLICK,
                &[currency],
                vec![
                    integer(checkouts),
                    integer(checkouts * 4 / 5),
                    integer(attributed),
                    integer(checkouts - attributed),
                    cents(checkouts),
                    cents(attributed),
                    float(140.0),
                    float(1_900.0),
                ],
            );
            for (i, campaign) in (1..).zip(CAMPAIGNS) {
                let share = attributed / (1 + i);
                let fields = vec![integer(share), float(share as f64), cents(share)];
                self.push(points, &schema::ATTRIBUTION, &[campaign, currency, "first_click"], fields);
            }
        }
    }

    /// Two instances' reports; totals grow with the time since `from_ms`.
    fn health(&self, points: &mut Vec<Point>, uptime_s: i64) {
        if self.has(Fault::Silent) {
            return;
        }
        let either = |fault, bad: i64, good: i64| if self.has(fault) { bad } else { good };
        for instance in ["processor-1", "processor-2"] {
            let consumed = uptime_s * REQUESTS_PER_S;
            let (duplicates, late, rejected) = (consumed / 100, consumed / 200, consumed / 1_000);
            let counted = consumed - duplicates - late - rejected - either(Fault::Unaccounted, 3, 0);
            let value = |name: &str| match name {
                "consumed" => integer(consumed),
                "counted" => integer(counted),
                "duplicates" => integer(duplicates),
                "late" => integer(late),
                "rejected" => integer(rejected),
                "lag" => integer(either(Fault::Behind, 60 * REQUESTS_PER_S, 40)),
                "watermark_lag_s" => float(either(Fault::Late, 40, 6) as f64),
                "freshness_p50_ms" => float(either(Fault::Late, 20_000, 600) as f64),
                "freshness_p99_ms" => float(either(Fault::Late, 30_000, 1_100) as f64),
                "points_written" => integer(uptime_s * 30),
                "points_refused" => integer(either(Fault::Refused, uptime_s, 0)),
                "write_retries" => integer(uptime_s / 600),
                "write_p99_ms" => float(18.0),
                "open_windows" => integer(14),
                "users" => integer(5_000),
                "routes" => integer(5),
                "state_bytes" => integer(40 << 20),
                "epochs" => integer(uptime_s * 2),
                "epochs_in_flight" => integer(1),
                "commit_age_s" => float(0.4),
                "transactions" => integer(uptime_s * 2),
                "transactions_aborted" => integer(uptime_s / 900),
                "transaction_p99_ms" => float(45.0),
                "memory_budget" => integer(512_000_000),
                "rss_bytes" => integer(120 << 20),
                "cpu_seconds" => float(uptime_s as f64 / 8.0),
                "uptime_s" => integer(uptime_s),
                _ => integer(0),
            };
            let fields =
                schema::PIPELINE.fields.iter().map(|(name, kind)| typed(value(name), *kind)).collect();
            self.push(points, &schema::PIPELINE, &["processor", instance], fields);
        }
    }
}

fn integer(value: i64) -> FieldValue {
    FieldValue::Integer(value)
}

fn float(value: f64) -> FieldValue {
    FieldValue::Float(value)
}

fn text(value: &str) -> FieldValue {
    FieldValue::Text(Arc::from(value))
}

/// A field that this module does not know is 0 of its type, so that a new field breaks nothing here.
fn typed(value: FieldValue, kind: FieldKind) -> FieldValue {
    match (kind, value) {
        (FieldKind::Float, FieldValue::Integer(whole)) => float(whole as f64),
        (FieldKind::Text, FieldValue::Integer(whole)) => text(&whole.to_string()),
        (FieldKind::Integer | FieldKind::Float | FieldKind::Text, value) => value,
    }
}

fn point(
    resolution: Resolution,
    measurement: &'static Measurement,
    tags: &[&str],
    fields: Vec<FieldValue>,
    at_ms: i64,
) -> Point {
    let tags = tags.iter().map(|tag| Arc::from(*tag)).collect();
    Point::new(resolution, measurement, tags, fields, Timestamp::from_millis(at_ms))
}

/// One line; the processor has an encoder of its own, for speed and with the escapes that this sample does not need.
fn line(point: &Point) -> String {
    let tags = point.measurement.tags.iter().zip(&point.tags).map(|(key, value)| format!(",{key}={value}"));
    let fields = point.measurement.fields.iter().zip(&point.fields).map(|((key, _), value)| match value {
        FieldValue::Integer(value) => format!("{key}={value}i"),
        FieldValue::Float(value) => format!("{key}={value}"),
        FieldValue::Text(value) => format!("{key}=\"{value}\""),
    });
    let fields: Vec<_> = fields.collect();
    let tags: String = tags.collect();
    format!("{}{tags} {} {}\n", point.measurement.name, fields.join(","), point.time.millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measurement_is_there_and_every_rule_has_a_fault() {
        let scenario = Scenario { from_ms: 0, to_ms: 60_000, fault: Some((Fault::Errors, 30_000)) };
        let lines = scenario.lines(Resolution::Raw);
        for measurement in schema::ALL {
            let there = lines.lines().any(|line| line.split([',', ' ']).next() == Some(measurement.name));
            assert!(there, "{}", measurement.name);
        }
        for rule in crate::alert_rules(&crate::Slo::default()) {
            let covered = rule.group == "slo" || Fault::ALL.iter().any(|fault| fault.rule() == rule.uid);
            assert!(covered, "no fault makes {} fire", rule.uid);
        }
    }
}
