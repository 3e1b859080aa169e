//! What is drawn and what alerts, on numbers of the whole pipeline: every query returns data, every rule fires when it
//! should and not before or after.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dashboards::quality::shows_notes;
use dashboards::{AlertRule, Bindings, Instance, PanelQuery, Slo, State, alert_rules, evaluate, queries};
use integration_tests::{
    Influx, Kafka, Names, Processor, ProcessorConfig, Producer, eventually, eventually_within,
};

/// What the shop does in event time, minutes: long enough for the burn rates' windows.
const HEALTHY_MIN: i64 = 75;
const BROKEN_MIN: i64 = 25;
const RECOVERED_MIN: i64 = 75;
const QUIET_MIN: i64 = 10;
const ALL_MIN: i64 = HEALTHY_MIN + BROKEN_MIN + RECOVERED_MIN + QUIET_MIN;

#[test]
fn every_query_returns_data_and_rules_fire_in_bad_times_only() {
    let (kafka, influx, names) = (Kafka::start_own(), Influx::start_own(), default_names("history"));
    kafka.create_topic(&names.topic, 4);
    let end = now_ms() - 60_000;
    let at = |minute: i64| end - (ALL_MIN - minute) * 60_000;
    let mut minute = 0;
    for (seed, minutes, rate, error_rate, invalid) in [
        ("1", HEALTHY_MIN, "60", "0.001", "0.001"),
        ("2", BROKEN_MIN, "60", "0.6", "0.05"),
        ("3", RECOVERED_MIN, "60", "0.001", "0.001"),
        ("4", QUIET_MIN, "6", "0.001", "0.001"),
    ] {
        Producer::run_to(
            &kafka,
            &names,
            &format!(
                "--unpaced --start-time {} --duration {minutes}m --rate {rate} --seed {seed} \
         --error-rate {error_rate} --invalid {invalid}",
                at(minute) / 1_000
            ),
        );
        minute += minutes;
    }
    Producer::incident(&kafka, "--kind error-spike --route /checkout --for 1s");
    let mut processor = Processor::run(&ProcessorConfig::new(&kafka, &influx, &names), &[]);
    processor.await_ready();
    let raw = influx.buckets().raw.clone();
    eventually(
        "every event is in influxdb, and the processor has reported twice, the second time so",
        || {
            let status = processor.status()?;
            let lag: i64 =
                status["tasks"].as_array().into_iter().flatten().filter_map(|it| it["lag"].as_i64()).sum();
            let counted = status["totals"]["counted"].as_i64().unwrap_or_default();
            let written: i64 =
                influx.points(&raw, "events").iter().filter_map(|point| point["count"].as_i64()).sum();
            let reports = influx.points(&raw, "pipeline");
            let newest = reports.iter().max_by_key(|report| report["time"].as_i64());
            let caught_up = newest.is_some_and(|report| report["lag"] == 0);
            let (reports, marks) = (reports.len(), influx.points(&raw, "annotations").len());
            if lag == 0 && counted > 0 && written == counted && reports >= 2 && caught_up && marks == 1 {
                Ok(())
            } else {
                Err(format!(
                    "{lag} behind, {written} of {counted} written, {reports} reports (of a lag of 0: {caught_up}), {marks} marks"
                ))
            }
        },
    );

    let bindings = Bindings::between(at(0) - 60_000, now_ms() + 60_000);
    // The producer's events are whole, so there is nothing to note on them; alert_rules.rs has such ones.
    let (of_notes, all): (Vec<_>, Vec<_>) =
        queries(&Slo::default(), &bindings).into_iter().partition(|query| shows_notes(&query.influxql));
    for query in &of_notes {
        assert_eq!(influx.query(&raw, &query.influxql), [], "{}", query.panel);
    }
    assert_eq!(of_notes.len(), 1, "{of_notes:?}");
    assert!(all.len() > 20, "there are panels: {}", all.len());
    // Each of the three buckets is written at its own pace.
    eventually("every query returns data", || {
        let problems: Vec<String> = all.iter().filter_map(|query| problem(&influx, query)).collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(format!("{} of {}:\n{}", problems.len(), all.len(), problems.join("\n")))
        }
    });

    let mid_incident = at(HEALTHY_MIN + BROKEN_MIN);
    for (uid, fires) in [
        ("cs-slo-burn-fast", true),
        ("cs-slo-burn-mid", true),
        ("cs-slo-burn-slow", true),
        ("cs-route-5xx", true),
        ("cs-rejected", true),
        ("cs-late", false),
        ("cs-repeated", false),
        ("cs-incomplete", false),
        ("cs-unusable", false),
        ("cs-latency-p95", false),
        ("cs-traffic-drop", false),
    ] {
        assert!(!alerts(&influx, uid, at(HEALTHY_MIN)), "{uid} while all is well");
        assert_eq!(alerts(&influx, uid, mid_incident), fires, "{uid} at the end of bad times");
    }
    for uid in ["cs-slo-burn-fast", "cs-slo-burn-mid", "cs-route-5xx", "cs-rejected", "cs-traffic-drop"] {
        assert!(!alerts(&influx, uid, at(HEALTHY_MIN + BROKEN_MIN + RECOVERED_MIN)), "{uid} after recovery");
    }
    assert!(alerts(&influx, "cs-traffic-drop", at(ALL_MIN)), "traffic has fallen to a tenth");
    for uid in ["cs-deadman", "cs-points-refused", "cs-unaccounted", "cs-consumer-lag"] {
        assert!(!alerts(&influx, uid, now_ms()), "{uid} while the processor runs");
    }
    assert_eq!(processor.terminate(), 0);
    assert!(alerts(&influx, "cs-deadman", now_ms() + 150_000), "nothing was reported for over two minutes");
}

#[test]
fn an_incident_is_marked_and_makes_its_own_routes_alert_until_it_is_over() {
    let (kafka, influx, names) = (Kafka::start_own(), Influx::start_own(), default_names("incident"));
    kafka.create_topic(&names.topic, 4);
    let mut processor = Processor::run(&ProcessorConfig::new(&kafka, &influx, &names), &[]);
    let mut producer = Producer::spawn_to(&kafka, &names, "--rate 1000 --seed 8");
    processor.await_ready();
    let raw = influx.buckets().raw.clone();
    let states = |uid: &str| -> BTreeMap<String, State> {
        let instances = evaluated(&influx, &rule(uid), now_ms());
        instances
            .into_iter()
            .map(|it| (it.labels.get("route").cloned().unwrap_or_default(), it.state))
            .collect()
    };
    let state = |uid: &str, route: &str| states(uid).get(route).copied();

    eventually_within(Duration::from_secs(90), "both rules are normal for both routes", || {
        let seen = [state("cs-route-5xx", "/checkout"), state("cs-latency-p95", "/search")];
        if seen == [Some(State::Normal); 2] { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    for (kind, route) in [("error-spike", "/checkout"), ("latency", "/search")] {
        Producer::incident(&kafka, &format!("--kind {kind} --route {route} --for 90s"));
    }
    eventually_within(Duration::from_secs(150), "both rules fire", || {
        let seen = [state("cs-route-5xx", "/checkout"), state("cs-latency-p95", "/search")];
        if seen == [Some(State::Firing); 2] { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    assert_eq!(state("cs-route-5xx", "/search"), Some(State::Normal), "a slow route does not fail");
    assert_eq!(state("cs-latency-p95", "/"), Some(State::Normal), "other routes are as fast as ever");
    let mut marks: Vec<_> =
        influx.points(&raw, "annotations").iter().map(|mark| mark["kind"].clone()).collect();
    marks.sort_by_key(ToString::to_string);
    assert_eq!(marks, ["error-spike", "latency"]);

    eventually_within(Duration::from_secs(300), "both rules are normal again", || {
        let seen = [state("cs-route-5xx", "/checkout"), state("cs-latency-p95", "/search")];
        if seen == [Some(State::Normal); 2] { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    producer.process.signal("INT");
    assert_eq!(producer.process.wait(Duration::from_secs(30)), 0, "{}", producer.process.log());
    assert_eq!(processor.terminate(), 0);
}

/// Why a query shows nothing, where it does not.
fn problem(influx: &Influx, query: &PanelQuery) -> Option<String> {
    let where_ = format!("{} / {}: {}", query.dashboard, query.panel, query.influxql);
    match influx.try_query(&influx.buckets().raw, &query.influxql) {
        Err(error) => Some(format!("{where_}\n  fails: {error}")),
        Ok(series) => {
            let mut values = series.iter().flat_map(|one| &one.values).flat_map(|row| &row[1..]);
            values.all(serde_json::Value::is_null).then(|| format!("{where_}\n  returns nothing"))
        }
    }
}

/// Names with the incidents topic that `producer incident` writes to.
fn default_names(test: &str) -> Names {
    Names { incidents: "clickpulse.incidents".to_owned(), ..Names::unique(test) }
}

fn rule(uid: &str) -> AlertRule {
    let rules = alert_rules(&Slo::default());
    rules.into_iter().find(|rule| rule.uid == uid).unwrap_or_else(|| panic!("there is a rule {uid}"))
}

fn evaluated(influx: &Influx, rule: &AlertRule, at_ms: i64) -> Vec<Instance> {
    let run = |influxql: &str| -> Result<Vec<dashboards::Series>, String> {
        let series = influx.try_query(&influx.buckets().raw, influxql)?;
        let convert = |one: integration_tests::Series| dashboards::Series {
            labels: one.tags,
            columns: one.columns,
            rows: one.values,
        };
        Ok(series.into_iter().map(convert).collect())
    };
    evaluate(rule, at_ms, run).unwrap_or_else(|error| panic!("{}: {error}", rule.uid))
}

fn alerts(influx: &Influx, uid: &str, at_ms: i64) -> bool {
    let rule = rule(uid);
    let instances = evaluated(influx, &rule, at_ms);
    println!("{uid} at {at_ms}: {instances:?}");
    dashboards::evaluate::alerts(&rule, &instances)
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since_epoch.as_millis()).expect("not that far in the future")
}
