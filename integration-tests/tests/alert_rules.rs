//! Every alert rule and every panel on a real InfluxDB with made-up points: each rule is quiet while all is well and
//! fires on the fault that it is there for.

use std::time::{SystemTime, UNIX_EPOCH};

use dashboards::alert::AlertRule;
use dashboards::sample::{Fault, Resolution, Scenario};
use dashboards::{Bindings, Instance, Slo, State, alert_rules, evaluate, queries};
use integration_tests::Influx;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

#[test]
fn every_panel_shows_data_at_every_resolution() {
    let now = now_ms();
    let influx = filled(&Scenario {
        from_ms: now - 2 * HOUR_MS,
        to_ms: now,
        fault: Some((Fault::Errors, now - HOUR_MS)),
    });
    let empty: Vec<_> = queries(&Slo::default(), &Bindings::between(now - 2 * HOUR_MS, now))
        .into_iter()
        .filter(|query| answered(&influx, &query.influxql).iter().all(|series| series.numbers().count() == 0))
        .map(|query| format!("{} / {}: {}", query.dashboard, query.panel, query.influxql))
        .collect();
    assert!(empty.is_empty(), "{}", empty.join("\n"));
}

/// Where a row is left out, Grafana draws a line from the one before to the one after.
#[test]
fn a_rate_has_empty_rows_where_an_instance_was_away() {
    let now = now_ms();
    let (gone, back) = (now - 10 * MINUTE_MS, now - 5 * MINUTE_MS);
    let influx = Influx::start_own();
    for (from_ms, to_ms) in [(now - 15 * MINUTE_MS, gone), (back, now)] {
        let reported = Scenario { from_ms, to_ms, fault: None };
        influx.write(&influx.buckets().raw, &reported.lines(Resolution::Raw));
    }
    let all = queries(&Slo::default(), &Bindings::between(now - 15 * MINUTE_MS, now));
    let rates: Vec<_> = all.iter().filter(|it| it.influxql.contains("non_negative_derivative")).collect();
    assert!(rates.len() > 10, "{} panels show rates", rates.len());
    for rate in rates {
        let answer = answered(&influx, &rate.influxql);
        assert!(!answer.is_empty(), "{}", rate.influxql);
        for series in answer {
            let empty_between = |from_ms: i64, to_ms: i64| {
                let times = series.rows.iter().filter(|row| {
                    (from_ms + MINUTE_MS..to_ms - MINUTE_MS).contains(&row[0].as_i64().expect("a time"))
                });
                times.map(|row| row[1].is_null()).collect::<Vec<_>>()
            };
            let away = empty_between(gone, back);
            assert!(away.len() >= 17 && away.iter().all(|empty| *empty), "{}: {away:?}", rate.influxql);
            let there = empty_between(back, now);
            assert!(there.len() >= 17 && there.iter().all(|empty| !empty), "{}: {there:?}", rate.influxql);
        }
    }
}

#[test]
fn no_rule_fires_while_all_is_well() {
    let now = now_ms();
    let influx = filled(&Scenario { from_ms: now - 2 * HOUR_MS, to_ms: now, fault: None });
    for rule in alert_rules(&Slo::default()) {
        let instances = decided(&influx, &rule, now);
        assert!(
            instances.iter().all(|instance| instance.state == State::Normal),
            "{}: {instances:?}",
            rule.uid
        );
    }
}

#[test]
fn each_fault_makes_its_rule_fire() {
    for fault in Fault::ALL {
        let now = now_ms();
        let since = now - 20 * MINUTE_MS;
        let influx =
            filled(&Scenario { from_ms: now - 2 * HOUR_MS, to_ms: now, fault: Some((fault, since)) });
        let firing: Vec<_> = alert_rules(&Slo::default())
            .into_iter()
            .filter(|rule| dashboards::evaluate::alerts(rule, &decided(&influx, rule, now)))
            .map(|rule| rule.uid)
            .collect();
        println!("{fault:?}: {firing:?}");
        assert!(firing.contains(&fault.rule()), "{fault:?} makes {firing:?} fire");
        let burning = firing.iter().any(|uid| uid.starts_with("cs-slo-burn"));
        assert_eq!(burning, fault == Fault::Outage, "{fault:?} makes {firing:?} fire");
    }
}

/// The rules on records: with everything at fault, with some, without any fault, without any data, and when it is over.
///
/// One after the other on one server, ten minutes each, which is more than the rules look back.
#[test]
fn rules_on_records_see_all_none_no_data_and_the_end() {
    let faults = [
        (Fault::Garbage, Fault::OnlyGarbage),
        (Fault::Overdue, Fault::OnlyOverdue),
        (Fault::Repeats, Fault::OnlyRepeats),
        (Fault::Incomplete, Fault::OnlyIncomplete),
        (Fault::Unusable, Fault::OnlyUnusable),
    ];
    let on_records: Vec<_> = faults.iter().map(|(fault, _)| fault.rule()).collect();
    let rules: Vec<_> =
        alert_rules(&Slo::default()).into_iter().filter(|rule| on_records.contains(&rule.uid)).collect();
    assert_eq!(rules.len(), faults.len());
    let influx = Influx::start_own();
    let raw = &influx.buckets().raw;
    let (start, length) = (now_ms() - 6 * HOUR_MS, 10 * MINUTE_MS);
    let mut at = start;
    let mut then = |fault: Option<Fault>| {
        let scenario = Scenario { from_ms: at, to_ms: at + length, fault: fault.map(|fault| (fault, at)) };
        at += length;
        (scenario.lines(Resolution::Raw), at)
    };
    let firing = |at: i64| -> Vec<&str> {
        let fires = |rule: &&AlertRule| dashboards::evaluate::alerts(rule, &decided(&influx, rule, at));
        rules.iter().filter(fires).map(|rule| rule.uid).collect()
    };

    for rule in &rules {
        let states: Vec<_> = decided(&influx, rule, start).into_iter().map(|it| it.state).collect();
        assert_eq!(states, [State::NoData], "{} without any data", rule.uid);
        assert!(!dashboards::evaluate::alerts(rule, &decided(&influx, rule, start)), "{}", rule.uid);
    }
    let (lines, end) = then(None);
    let flawless: String = lines
        .lines()
        .filter(|line| !line.starts_with("quality,"))
        .fold(String::new(), |text, line| text + line + "\n");
    influx.write(raw, &flawless);
    assert_eq!(firing(end), [""; 0], "every event counts, and quality has no series");
    let (lines, end) = then(None);
    influx.write(raw, &lines);
    assert_eq!(firing(end), [""; 0], "some of everything, as usual");
    for (some, all) in faults {
        for fault in [some, all] {
            let (lines, end) = then(Some(fault));
            influx.write(raw, &lines);
            assert_eq!(firing(end), [fault.rule()], "{fault:?}");
            let (lines, end) = then(None);
            influx.write(raw, &lines);
            assert_eq!(firing(end), [""; 0], "after {fault:?}");
        }
    }
    assert!(at < now_ms());
    let after = firing(at + HOUR_MS);
    assert_eq!(after, [""; 0], "nothing any more");
}

#[test]
fn a_broken_route_alerts_alone() {
    let now = now_ms();
    let fault = Some((Fault::Errors, now - 10 * MINUTE_MS));
    let influx = filled(&Scenario { from_ms: now - HOUR_MS, to_ms: now, fault });
    let rule = alert_rules(&Slo::default()).into_iter().find(|rule| rule.uid == "cs-route-5xx").unwrap();
    let firing: Vec<_> = decided(&influx, &rule, now)
        .into_iter()
        .filter(|instance| instance.state == State::Firing)
        .map(|instance| instance.labels["route"].clone())
        .collect();
    assert_eq!(firing, ["/checkout"]);
}

fn filled(scenario: &Scenario) -> Influx {
    let influx = Influx::start_own();
    let buckets = influx.buckets().clone();
    for (bucket, resolution) in buckets.all().into_iter().zip(Resolution::ALL) {
        influx.write(bucket, &scenario.lines(resolution));
    }
    influx
}

fn decided(influx: &Influx, rule: &AlertRule, now: i64) -> Vec<Instance> {
    evaluate::<String>(rule, now, |influxql| Ok(answered(influx, influxql))).unwrap()
}

fn answered(influx: &Influx, influxql: &str) -> Vec<dashboards::Series> {
    let convert = |one: integration_tests::Series| dashboards::Series {
        labels: one.tags,
        columns: one.columns,
        rows: one.values,
    };
    influx.query(&influx.buckets().raw, influxql).into_iter().map(convert).collect()
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since_epoch.as_millis()).expect("not that far in the future")
}
