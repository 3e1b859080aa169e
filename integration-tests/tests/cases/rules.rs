//! Alert rules on what these inputs leave behind.

use dashboards::{AlertRule, Slo, alert_rules, evaluate};
use integration_tests::{Influx, Series};

use crate::support::{Case, Services, now_ms, tests};

tests!["rules": a_stream_of_refused_records_alone_alerts, a_stream_that_is_mostly_late_alerts];

/// A deployment has renamed a field: nothing counts any more, so `events` has no series at all.
fn a_stream_of_refused_records_alone_alerts(services: &Services) {
    let influx = services.influx.beside("case-29");
    let now = now_ms();
    let windows = (5..30).map(|window| now / 10_000 * 10_000 - window * 10_000);
    let lines: String = windows.map(|at| format!("quality,reason=missing_field count=12i {at}\n")).collect();
    let rule = alert_rules(&Slo::default()).into_iter().find(|rule| rule.uid == "cs-rejected");
    let rule = rule.expect("there is such a rule");
    assert!(!alerts(&influx, &rule, now), "nothing is known yet");
    influx.write(&influx.buckets().raw, &lines);
    assert!(alerts(&influx, &rule, now), "300 records are refused");
    assert!(!alerts(&influx, &rule, now + 3_600_000), "an hour later nothing comes any more");
}

/// Times of the last four weeks in no order: most events are late wherever the stream has come to.
fn a_stream_that_is_mostly_late_alerts(services: &Services) {
    let case = Case::of_lines(services, "26-random-times.ndjson");
    // 25 of the late ones came when the stream was at 2025-08-12T06:02:27Z, and one event that counts.
    let at = (1_754_978_547 + 60) * 1_000;
    let firing: Vec<&str> = alert_rules(&Slo::default())
        .into_iter()
        .filter(|rule| rule.queries.iter().any(|query| query.influxql_at(at).contains("quality")))
        .filter(|rule| alerts(&case.influx, rule, at))
        .map(|rule| rule.uid)
        .collect();
    assert_eq!(firing, ["cs-late"], "25 records of 26 are late, and none is refused");
}

/// Whether a rule alerts at a moment, as Grafana decides it.
pub(crate) fn alerts(influx: &Influx, rule: &AlertRule, at_ms: i64) -> bool {
    let convert =
        |one: Series| dashboards::Series { labels: one.tags, columns: one.columns, rows: one.values };
    // The rules name the buckets of a default installation, in each place that a statement reads from.
    let bucket = influx.buckets().raw.clone();
    let own = format!("\"{}\"", bucket.replacen('/', "\".\"", 1));
    let answered = |influxql: &str| -> Result<Vec<dashboards::Series>, String> {
        let influxql = influxql.replace(r#""clickstream"."raw_10s""#, &own);
        Ok(influx.try_query(&bucket, &influxql)?.into_iter().map(convert).collect())
    };
    let instances = evaluate(rule, at_ms, answered).unwrap_or_else(|error| panic!("{}: {error}", rule.uid));
    dashboards::evaluate::alerts(rule, &instances)
}
