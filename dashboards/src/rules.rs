//! The alert rules.
//!
//! Symptoms first: what users of the shop notice (errors, latency, no traffic), then what makes the numbers
//! untrustworthy (nothing reported, late, rejected, behind, refused, unaccounted for).

use processor_core::schema;

use crate::alert::{AlertRule, NoData, OnError, RuleQuery};
use crate::boards::ids;
use crate::influxql::{Bucket, Select, Source};
use crate::quality::{records_only, rejections_only};
use crate::slo::{
    BURN_REQUESTS_MIN, Burn, FAULTY_RECORDS_MIN, FRESHNESS_P99_MS, INCOMPLETE_RATIO, LAG_RECORDS_MIN, LAG_S,
    LATE_RATIO, LATENCY_P95_MS, REJECTED_RATIO, REPEATED_RATIO, ROUTE_ERROR_RATIO, ROUTE_REQUESTS_MIN, Slo,
    TRAFFIC_DROP_RATIO, TRAFFIC_REQUESTS_MIN, UNUSABLE_RATIO, bucket_for,
};

/// Every rule, those of a group in a row.
#[must_use]
pub fn all(slo: &Slo) -> Vec<AlertRule> {
    vec![
        burn_fast(slo),
        burn_mid(slo),
        burn_slow(slo),
        route_errors(),
        latency(),
        traffic_drop(),
        dead_man(),
        freshness(),
        rejected(),
        too_late(),
        repeated(),
        incomplete(),
        unusable(),
        consumer_lag(),
        points_refused(),
        unaccounted(),
    ]
}

const fn raw(measurement: &'static schema::Measurement) -> Source {
    Source::new(measurement, Bucket::Raw)
}

fn burn_queries(slo: &Slo, burn: Burn) -> Vec<RuleQuery> {
    let over = |seconds: u32| {
        let all = Source::new(&schema::HTTP_ALL, bucket_for(seconds));
        (all.select(slo.burn_rate(&all)), all.select(all.sum("requests")))
    };
    let (long, _) = over(burn.long_s);
    let (short, requests) = over(burn.short_s);
    vec![
        RuleQuery::settled("long", burn.long_s, &long),
        RuleQuery::settled("short", burn.short_s, &short),
        RuleQuery::settled("requests", burn.short_s, &requests),
    ]
}

/// Formats of a value in a summary.
const WHOLE: &str = "printf \"%.0f\"";
const TENTHS: &str = "printf \"%.1f\"";

/// A query's value in a summary. Rules are also evaluated where there is no data, so the template must do without it.
fn value(query: &str, format: &str) -> String {
    format!("{{{{ with $values.{query} }}}}{{{{ .Value | {format} }}}}{{{{ else }}}}?{{{{ end }}}}")
}

fn burn_summary(long: &str, short: &str) -> String {
    format!(
        "The error budget is spent {} times too fast over {long}, {} times over {short}",
        value("long", TENTHS),
        value("short", TENTHS)
    )
}

fn burn_condition(burn: Burn) -> String {
    let factor = burn.factor;
    format!("$long > {factor} && $short > {factor} && $requests >= {BURN_REQUESTS_MIN}")
}

fn burn_fast(slo: &Slo) -> AlertRule {
    AlertRule {
        uid: "cs-slo-burn-fast",
        title: "Error budget: 14.4 times too fast (1 h and 5 min)",
        group: "slo",
        summary: burn_summary("1 h", "5 min"),
        description: "At this rate 2 % of the month's error budget go in an hour and all of it in two days. Many users see \
                      errors now.",
        queries: burn_queries(slo, slo.fast()),
        derived: None,
        condition: burn_condition(slo.fast()),
        limit: Some(slo.fast().factor),
        place: ids::BURN,
        for_s: 60,
        keep_firing_s: 300,
        severity: "page",
        no_data: NoData::Ok,
        on_error: OnError::KeepLast,
    }
}

fn burn_mid(slo: &Slo) -> AlertRule {
    AlertRule {
        uid: "cs-slo-burn-mid",
        title: "Error budget: 6 times too fast (6 h and 30 min)",
        summary: burn_summary("6 h", "30 min"),
        description: "At this rate 5 % of the month's error budget go in six hours and all of it in five days.",
        queries: burn_queries(slo, slo.mid()),
        condition: burn_condition(slo.mid()),
        limit: Some(slo.mid().factor),
        for_s: 300,
        ..burn_fast(slo)
    }
}

fn burn_slow(slo: &Slo) -> AlertRule {
    AlertRule {
        uid: "cs-slo-burn-slow",
        title: "Error budget: faster than it lasts (3 d and 6 h)",
        summary: burn_summary("3 d", "6 h"),
        description: "Going on like this, the objective is missed this month. No hurry, but someone has to look.",
        queries: burn_queries(slo, slo.slow()),
        condition: burn_condition(slo.slow()),
        limit: Some(slo.slow().factor),
        for_s: 900,
        severity: "ticket",
        ..burn_fast(slo)
    }
}

/// How far back the rules look that a person should see fire within two minutes.
const SOON_S: u32 = 120;

fn route_errors() -> AlertRule {
    let http = raw(&schema::HTTP);
    let by_route = |expression: String| http.select(expression).by(http.tag("route"));
    AlertRule {
        uid: "cs-route-5xx",
        title: "A route answers with 5xx",
        group: "shop",
        summary: format!(
            "{{{{ $labels.route }}}}: {} of requests end in a 5xx",
            value("ratio", "humanizePercentage")
        ),
        description: "More than 5 % of a route's requests of the last 2 minutes failed. The other routes have rules of \
                      their own: this one fires per route.",
        queries: vec![
            RuleQuery::settled("ratio", SOON_S, &by_route(http.ratio("errors", "requests"))),
            RuleQuery::settled("requests", SOON_S, &by_route(http.sum("requests"))),
        ],
        derived: None,
        condition: format!("$ratio > {ROUTE_ERROR_RATIO} && $requests >= {ROUTE_REQUESTS_MIN}"),
        limit: Some(ROUTE_ERROR_RATIO),
        place: ids::ROUTE_ERRORS,
        for_s: 60,
        keep_firing_s: 120,
        severity: "warn",
        no_data: NoData::Ok,
        on_error: OnError::KeepLast,
    }
}

fn latency() -> AlertRule {
    let latency = raw(&schema::LATENCY);
    let by_route = |expression: String| latency.select(expression).by(latency.tag("route"));
    let with_requests = format!("{} > 0", latency.field("count"));
    AlertRule {
        uid: "cs-latency-p95",
        title: "A route is slow",
        summary: format!("{{{{ $labels.route }}}}: p95 is {} ms", value("p95", WHOLE)),
        description: "In half of the windows of the last 2 minutes, one in twenty requests of the route took longer than \
                      800 ms.",
        queries: vec![
            RuleQuery::settled("p95", SOON_S, &by_route(latency.call("median", "p95_ms")).and(with_requests)),
            RuleQuery::settled("requests", SOON_S, &by_route(latency.sum("count"))),
        ],
        condition: format!("$p95 > {LATENCY_P95_MS} && $requests >= {ROUTE_REQUESTS_MIN}"),
        limit: Some(LATENCY_P95_MS),
        place: ids::LATENCY,
        ..route_errors()
    }
}

fn traffic_drop() -> AlertRule {
    let all = raw(&schema::HTTP_ALL);
    let requests = all.select(all.sum("requests"));
    AlertRule {
        uid: "cs-traffic-drop",
        title: "Traffic has dropped",
        summary: "Requests of the last 5 minutes are far below the last hour's mean".to_owned(),
        description: "Fewer than 30 % of the requests that the last hour makes one expect, or none at all. Users may not \
                      reach the shop, or their clicks may not reach Kafka.",
        queries: vec![
            RuleQuery::settled("recent", 300, &requests),
            RuleQuery::settled("hour", 3_600, &requests),
        ],
        condition: format!("$recent < {TRAFFIC_DROP_RATIO} * $hour / 12 && $hour >= {TRAFFIC_REQUESTS_MIN}"),
        limit: None,
        place: ids::REQUESTS,
        for_s: 180,
        keep_firing_s: 120,
        severity: "page",
        no_data: NoData::Alerting,
        ..route_errors()
    }
}

fn dead_man() -> AlertRule {
    let pipeline = raw(&schema::PIPELINE);
    AlertRule {
        uid: "cs-deadman",
        title: "No processor reports",
        group: "pipeline",
        summary: "No processor has written its health for 2 minutes".to_owned(),
        description: "Processors report every 10 s with or without traffic. Either none runs, or none can write to \
                      InfluxDB: all dashboards are out of date, and the other rules are blind.",
        queries: vec![RuleQuery::recent(
            "points",
            SOON_S,
            &pipeline.select(pipeline.call("count", "uptime_s")),
        )],
        derived: None,
        condition: "$points < 1".to_owned(),
        limit: Some(1.0),
        place: ids::INSTANCES,
        for_s: 60,
        keep_firing_s: 60,
        severity: "page",
        no_data: NoData::Alerting,
        on_error: OnError::Error,
    }
}

fn freshness() -> AlertRule {
    let pipeline = raw(&schema::PIPELINE);
    AlertRule {
        uid: "cs-freshness",
        title: "Results are late",
        summary: format!(
            "One event in a hundred takes {} ms from the broker to InfluxDB",
            value("p99", WHOLE)
        ),
        description: "The dashboards show the past: more than 10 s pass between an event and the number that counts it.",
        queries: vec![RuleQuery::recent("p99", 300, &pipeline.select(pipeline.max("freshness_p99_ms")))],
        condition: format!("$p99 > {FRESHNESS_P99_MS}"),
        limit: Some(FRESHNESS_P99_MS),
        place: ids::FRESHNESS,
        for_s: 180,
        keep_firing_s: 120,
        no_data: NoData::NoData,
        on_error: OnError::KeepLast,
        ..dead_man()
    }
}

/// How far back the rules on records look, seconds.
const RECORDS_S: u32 = 300;

/// All records: counted ones and those of `quality` that are no notes on counted ones. Either may have no series at all.
fn all_records() -> RuleQuery {
    let [events, quality] = [&schema::EVENTS, &schema::QUALITY].map(raw);
    let all = events.select(events.sum("count")).and_from(&quality).and(records_only(&quality));
    RuleQuery::settled("records", RECORDS_S, &all).summed()
}

/// The records or notes whose reason a condition picks.
fn with_reason(condition: String) -> RuleQuery {
    let quality = raw(&schema::QUALITY);
    RuleQuery::settled("faulty", RECORDS_S, &quality.select(quality.sum("count")).and(condition))
}

fn reason_is(reason: &str) -> String {
    format!("{} = '{reason}'", raw(&schema::QUALITY).tag("reason"))
}

/// A rule on the share of `faulty` in `whole`.
fn share(faulty: RuleQuery, whole: RuleQuery, ratio: f64) -> AlertRule {
    AlertRule {
        derived: Some(("share", format!("${} / ${}", faulty.name, whole.name))),
        condition: format!("$share > {ratio} && ${} >= {FAULTY_RECORDS_MIN}", faulty.name),
        queries: vec![faulty, whole],
        for_s: 120,
        keep_firing_s: 120,
        severity: "warn",
        // No fault is no series; without records there is nothing to say either, and other rules are there for that.
        no_data: NoData::Ok,
        on_error: OnError::KeepLast,
        ..dead_man()
    }
}

fn rejected() -> AlertRule {
    let quality = raw(&schema::QUALITY);
    AlertRule {
        uid: "cs-rejected",
        title: "Records are rejected",
        summary: format!(
            "{} records of the last 5 minutes are not events, {} of all",
            value("faulty", WHOLE),
            value("share", "humanizePercentage")
        ),
        description: "More than 1 % of the records do not parse or validate, usually after a change of whoever writes \
                      them. They are in the dead-letter topic with the reason, and can be replayed.",
        limit: Some(REJECTED_RATIO),
        place: ids::REJECTED,
        ..share(with_reason(rejections_only(&quality)), all_records(), REJECTED_RATIO)
    }
}

fn too_late() -> AlertRule {
    AlertRule {
        uid: "cs-late",
        title: "Records come too late",
        summary: format!(
            "{} of the last 5 minutes' records are too late for their window",
            value("share", "humanizePercentage")
        ),
        description: "More than 10 % of the records are dated so far behind the others of their partition that their \
                      window is closed. They are in the topic for late records and in no other number.",
        limit: Some(LATE_RATIO),
        place: ids::TOO_LATE,
        ..share(with_reason(reason_is(schema::QUALITY_LATE)), all_records(), LATE_RATIO)
    }
}

fn repeated() -> AlertRule {
    AlertRule {
        uid: "cs-repeated",
        title: "Records are mostly repeats",
        summary: format!(
            "{} of the last 5 minutes' records repeat an event that is counted",
            value("share", "humanizePercentage")
        ),
        description: "More than half of the records have an event_id that was counted before. No number is wrong by it, \
                      but somebody sends everything again, or gives different events the same id.",
        limit: Some(REPEATED_RATIO),
        place: ids::REPEATED,
        ..share(with_reason(reason_is(schema::QUALITY_DUPLICATE)), all_records(), REPEATED_RATIO)
    }
}

/// The events that are counted, which is what notes are made on.
fn counted() -> RuleQuery {
    let events = raw(&schema::EVENTS);
    RuleQuery::settled("counted", RECORDS_S, &events.select(events.sum("count")))
}

fn incomplete() -> AlertRule {
    AlertRule {
        uid: "cs-incomplete",
        title: "Events are mostly incomplete",
        summary: format!(
            "{} of the last 5 minutes' events lack a field that a number needs",
            value("share", "humanizePercentage")
        ),
        description: "Nine in ten events are counted, but not everywhere: a field is missing that their type needs. It may \
                      be called otherwise than the input is told. If it is the user of clicks or orders of visitors \
                      who are not logged in, that is as it should be.",
        limit: None,
        place: ids::NOTES,
        for_s: 1_800,
        severity: "ticket",
        ..share(with_reason(reason_is("incomplete")), counted(), INCOMPLETE_RATIO)
    }
}

fn unusable() -> AlertRule {
    AlertRule {
        uid: "cs-unusable",
        title: "Events have values of no use",
        summary: format!(
            "{} of the last 5 minutes' events have a value that cannot be used",
            value("share", "humanizePercentage")
        ),
        description: "More than 5 % of the events are counted without a field, because its value is of another kind: an \
                      object where a text belongs, a text where a number does. What that field feeds is too low.",
        limit: None,
        place: ids::NOTES,
        for_s: 600,
        severity: "ticket",
        ..share(with_reason(reason_is("unusable")), counted(), UNUSABLE_RATIO)
    }
}

fn consumer_lag() -> AlertRule {
    let pipeline = raw(&schema::PIPELINE);
    let of_instances = |expression: String| pipeline.select(expression).by(pipeline.tag("instance"));
    let lag = of_instances(format!("{} AS \"lag\"", pipeline.call("last", "lag")));
    let read = of_instances(format!("{} AS \"read\"", pipeline.call("spread", "consumed")));
    AlertRule {
        uid: "cs-consumer-lag",
        title: "The processor is behind",
        summary: format!("{} records wait to be read", value("lag", WHOLE)),
        description: "More records wait than are read in 30 s at the present rate: the processor is too slow, stuck or \
                      paused because InfluxDB does not take what it writes.",
        queries: vec![
            RuleQuery::recent("lag", SOON_S, &Select::over("sum(\"lag\")", &lag)),
            RuleQuery::recent("read", SOON_S, &Select::over("sum(\"read\")", &read)),
        ],
        condition: format!("$lag > {LAG_RECORDS_MIN} && $lag > {LAG_S} * $read / {SOON_S}"),
        limit: Some(LAG_RECORDS_MIN),
        place: ids::LAG,
        for_s: 120,
        keep_firing_s: 120,
        severity: "warn",
        no_data: NoData::NoData,
        on_error: OnError::KeepLast,
        ..dead_man()
    }
}

fn points_refused() -> AlertRule {
    let pipeline = raw(&schema::PIPELINE);
    let refused = pipeline.select(pipeline.call("spread", "points_refused")).by(pipeline.tag("instance"));
    AlertRule {
        uid: "cs-points-refused",
        title: "InfluxDB refuses points",
        summary: format!("{{{{ $labels.instance }}}}: InfluxDB refused {} points", value("refused", WHOLE)),
        description: "Numbers are missing from the dashboards: a field has another type in InfluxDB, or the points are \
                      older than the bucket keeps.",
        queries: vec![RuleQuery::recent("refused", 600, &refused)],
        condition: "$refused >= 1".to_owned(),
        limit: Some(1.0),
        place: ids::REFUSED,
        for_s: 0,
        keep_firing_s: 300,
        severity: "warn",
        no_data: NoData::Ok,
        on_error: OnError::KeepLast,
        ..dead_man()
    }
}

fn unaccounted() -> AlertRule {
    let pipeline = raw(&schema::PIPELINE);
    let gap = ["consumed", "counted", "duplicates", "late", "rejected"]
        .map(|field| pipeline.field(field))
        .join(" - ");
    let gaps = pipeline.select(format!("{gap} AS \"gap\"")).by(pipeline.tag("instance"));
    let worst =
        |function: &str| Select::over(format!("{function}(\"gap\")"), &gaps).by(pipeline.tag("instance"));
    AlertRule {
        uid: "cs-unaccounted",
        title: "Records are unaccounted for",
        summary: "{{ $labels.instance }}: consumed records that are neither counted nor set aside".to_owned(),
        description: "consumed = counted + duplicates + late + rejected does not hold. That is a bug: please report it.",
        queries: vec![
            RuleQuery::recent("most", SOON_S, &worst("max")),
            RuleQuery::recent("least", SOON_S, &worst("min")),
        ],
        condition: "$most >= 1 || $least <= -1".to_owned(),
        limit: Some(1.0),
        place: ids::UNACCOUNTED,
        for_s: 60,
        keep_firing_s: 300,
        severity: "ticket",
        no_data: NoData::Ok,
        on_error: OnError::KeepLast,
        ..dead_man()
    }
}
