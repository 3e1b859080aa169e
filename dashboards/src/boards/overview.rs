use processor_core::schema;

use super::{chosen, ids, raw, route_variable};
use crate::board::{Board, Row, Variable};
use crate::influxql::{Bucket, RAW_WINDOW_S, Source};
use crate::panel::{Kind, Panel};
use crate::slo::{FRESHNESS_P99_MS, LATENCY_P95_MS, Slo};

/// Golden signals, the error budget, and what is firing.
pub(super) fn board(slo: &Slo) -> Board {
    Board {
        uid: "cs-overview",
        title: "Overview",
        description: "Is the shop all right? Traffic, errors, latency, freshness, the error budget, and what is firing.",
        variables: vec![Variable { label: "Route (latency)", ..route_variable() }],
        rows: vec![
            Row { id: 101, title: "Golden signals", panels: signals(slo) },
            Row { id: 102, title: "Traffic, errors and latency", panels: breakdowns() },
            Row { id: 103, title: "Error budget and alerts", panels: budget(slo) },
        ],
    }
}

fn signals(slo: &Slo) -> Vec<Panel> {
    let all = raw(&schema::HTTP_ALL);
    let latency = chosen(&schema::LATENCY);
    let pipeline = raw(&schema::PIPELINE);
    let budget = slo.budget();
    let hours = Source::new(&schema::HTTP_ALL, Bucket::Hour);
    vec![
        Panel::new(
            ids::REQUESTS.1,
            Kind::Stat,
            "Requests per second",
            "reqps",
            "Requests of a 10 s window ÷ 10, the newest whole window. A mean of windows, so a half-filled interval at the \
             edge does not look like a drop. Always from the raw bucket: empty beyond 7 days.",
        )
        .query(
            "requests",
            &all.select(format!("{} / {RAW_WINDOW_S}.0", all.call("mean", "requests"))).per_interval("none"),
        )
        .no_value("no traffic"),
        Panel::new(
            2,
            Kind::Stat,
            "Error ratio",
            "percentunit",
            "Requests that ended in a 5xx ÷ all requests, the newest interval. Orange from the error budget's rate, red \
             from the rate that pages.",
        )
        .query("errors", &all.select(all.ratio("errors", "requests")).per_interval("none"))
        .thresholds(&[(budget, "orange"), (slo.fast().factor * budget, "red")]),
        Panel::new(
            3,
            Kind::Stat,
            "p95 latency, slowest route",
            "ms",
            "The greatest 95th percentile of any chosen route in the interval, from a sketch with a relative error of at \
             most 1/128.",
        )
        .query("p95", &latency.select(latency.max("p95_ms")).and(latency.chosen("route")).per_interval("none"))
        .thresholds(&[(300.0, "orange"), (LATENCY_P95_MS, "red")]),
        Panel::new(
            4,
            Kind::Stat,
            "Users in a window",
            "short",
            "Distinct users of the newest 10 s window: exact, as each user's events are in one partition. Not summed over \
             windows, which would count a user again in each.",
        )
        .query("users", &all.select(all.max("users")).per_interval("none")),
        Panel::new(
            5,
            Kind::Stat,
            "Freshness p99",
            "ms",
            "From the broker's timestamp of an event to the confirmation by InfluxDB of the window that counts it, 99th \
             percentile, the slowest instance.",
        )
        .query("freshness", &pipeline.select(pipeline.max("freshness_p99_ms")).per_interval("none"))
        .thresholds(&[(2_000.0, "orange"), (FRESHNESS_P99_MS, "red")]),
        Panel::new(
            6,
            Kind::Total,
            "Error budget left",
            "percentunit",
            &format!(
                "1 − (5xx ÷ requests ÷ {budget}) over the last 30 days whatever range is shown: the part of the budget of a \
                 {} % availability objective that is not spent. Below 0 the objective is missed.",
                slo.objective * 100.0
            ),
        )
        .query("left", &hours.select(format!("1 - {}", slo.burn_rate(&hours))).of_last("30d"))
        .low_is("red")
        .thresholds(&[(0.1, "orange"), (0.5, "green")])
        .max(1.0),
    ]
}

fn breakdowns() -> Vec<Panel> {
    let status = chosen(&schema::HTTP_STATUS);
    let latency = chosen(&schema::LATENCY);
    vec![
        Panel::new(
            7,
            Kind::Stacked,
            "Requests per second by status",
            "reqps",
            "Requests ÷ seconds of the interval. 2xx green, 3xx blue, 4xx orange, 5xx red. The first and last interval of \
             a long range may be partly filled. Click a series for the Errors dashboard.",
        )
        .query("$tag_status", &status.select(status.per_second("requests")).by(status.tag("status")).per_interval("0"))
        .status_colors()
        .data_link("Errors with this status", ERRORS_LINK),
        Panel::new(
            8,
            Kind::Lines,
            "Error rate per status",
            "percentunit",
            "Requests with this status ÷ all requests of the same windows, for 4xx and 5xx.",
        )
        .query(
            "$tag_status",
            &status
                .select(status.ratio("requests", "total"))
                .and(format!("{} =~ /^[45]/", status.tag("status")))
                .by(status.tag("status"))
                .per_interval("null"),
        )
        .status_colors()
        .data_link("Errors with this status", ERRORS_LINK),
        Panel::new(
            ids::LATENCY.1,
            Kind::Lines,
            "p95 latency by route",
            "ms",
            "The greatest 95th percentile of the interval's windows, by route. The red line is the alert's limit.",
        )
        .query(
            "$tag_route",
            &latency
                .select(latency.max("p95_ms"))
                .and(latency.chosen("route"))
                .by(latency.tag("route"))
                .per_interval("null"),
        )
        .thresholds(&[(300.0, "orange"), (LATENCY_P95_MS, "red")]),
        first_click(),
    ]
}

const ERRORS_LINK: &str = "/d/cs-errors?${__url_time_range}&var-status=${__field.labels.status}";

fn first_click() -> Panel {
    let clicks = chosen(&schema::FIRST_CLICK);
    Panel::new(
        10,
        Kind::Stacked,
        "Checkouts per second, by whether a click is credited",
        "cps",
        "Checkouts with a click of the same user on the same product in the hour before, and those without.",
    )
    .query("attributed", &clicks.select(clicks.per_second("attributed")).per_interval("0"))
    .query("not attributed", &clicks.select(clicks.per_second("unattributed")).per_interval("0"))
    .color("/^attributed/", "green")
    .color("/^not/", "orange")
}

fn budget(slo: &Slo) -> Vec<Panel> {
    let burn = |range: &str, bucket| {
        let all = Source::new(&schema::HTTP_ALL, bucket);
        all.select(slo.burn_rate(&all)).of_last(range)
    };
    vec![
        Panel::new(
            ids::BURN.1,
            Kind::Bars,
            "How fast the error budget is spent",
            "none",
            &format!(
                "5xx ÷ requests ÷ {}, up to now whatever range is shown. 1 spends the budget in exactly 30 days. The \
                 steps are those of the burn alerts: 14.4 over 1 h and 5 min pages, 6 over 6 h and 30 min pages, 1 over \
                 3 d and 6 h makes a ticket.",
                slo.budget()
            ),
        )
        .query("5 min", &burn("5m", Bucket::Raw))
        .query("1 h", &burn("1h", Bucket::Raw))
        .query("6 h", &burn("6h", Bucket::Minute))
        .query("3 d", &burn("3d", Bucket::Minute))
        .thresholds(&[
            (slo.slow().factor, "yellow"),
            (slo.mid().factor, "orange"),
            (slo.fast().factor, "red"),
        ])
        .max(20.0),
        Panel::new(
            12,
            Kind::AlertList,
            "Alerts",
            "none",
            "Rules that fire, are about to, or cannot be decided. Each links to its runbook in docs/alerts.md.",
        )
        .size(12, 8)
        .no_value("nothing fires"),
    ]
}
