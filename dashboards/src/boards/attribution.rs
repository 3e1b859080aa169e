use processor_core::schema;
use serde_json::json;

use super::{chosen, raw};
use crate::board::{Board, Row, Variable};
use crate::panel::{Kind, Panel};

/// Which clicks led to checkouts.
pub(super) fn board() -> Board {
    Board {
        uid: "cs-attribution",
        title: "Attribution",
        description: "A checkout is credited to the earliest click of the same user on the same product in the hour before. \
                      How many are, after how long, and to which campaigns.",
        variables: vec![Variable {
            name: "model",
            label: "Model",
            query: raw(&schema::ATTRIBUTION).tag_values("model"),
        }],
        rows: vec![
            Row { id: 101, title: "First click, in the shown range", panels: totals() },
            Row { id: 102, title: "First click over time", panels: over_time() },
            Row { id: 103, title: "Campaigns", panels: campaigns() },
        ],
    }
}

fn totals() -> Vec<Panel> {
    let clicks = chosen(&schema::FIRST_CLICK);
    vec![
        Panel::new(1, Kind::Total, "Checkouts", "short", "Checkouts in the shown range, each counted once.")
            .query("checkouts", &clicks.select(clicks.sum("checkouts")))
            .size(6, 4),
        Panel::new(
            2,
            Kind::Total,
            "Attributed",
            "percentunit",
            "Checkouts with a click of the same user on the same product in the hour before ÷ all checkouts.",
        )
        .query("attributed", &clicks.select(clicks.ratio("attributed", "checkouts")))
        .max(1.0)
        .low_is("orange")
        .thresholds(&[(0.6, "green")])
        .size(6, 4),
        Panel::new(
            3,
            Kind::Total,
            "Revenue",
            "currencyUSD",
            "Sum of the checkouts' amounts; summed in cents, shown in units.",
        )
        .query("revenue", &clicks.select(format!("{} / 100.0", clicks.sum("revenue_cents"))))
        .size(6, 4),
        Panel::new(
            4,
            Kind::Total,
            "Attributed revenue",
            "currencyUSD",
            "Sum of the amounts of attributed checkouts.",
        )
        .query("revenue", &clicks.select(format!("{} / 100.0", clicks.sum("attributed_revenue_cents"))))
        .size(6, 4),
    ]
}

fn over_time() -> Vec<Panel> {
    let clicks = chosen(&schema::FIRST_CLICK);
    vec![
        Panel::new(
            5,
            Kind::Stacked,
            "Checkouts per second",
            "cps",
            "Attributed and not attributed checkouts ÷ seconds of the interval. A checkout appears once the watermark has \
             passed it.",
        )
        .query("attributed", &clicks.select(clicks.per_second("attributed")).per_interval("0"))
        .query("not attributed", &clicks.select(clicks.per_second("unattributed")).per_interval("0"))
        .color("/^attributed/", "green")
        .color("/^not/", "orange"),
        Panel::new(6, Kind::Lines, "Attributed share", "percentunit", "Attributed ÷ all checkouts of the interval.")
            .query("attributed", &clicks.select(clicks.ratio("attributed", "checkouts")).per_interval("null"))
            .max(1.0),
        Panel::new(
            7,
            Kind::Lines,
            "From first click to checkout",
            "s",
            "Percentiles of each window's attributed checkouts; the interval shows the median of its windows' p50 and the \
             greatest p95, as percentiles do not add up. Windows without a checkout are left out.",
        )
        .query(
            "p50",
            &clicks
                .select(clicks.call("median", "lag_p50_s"))
                .and(format!("{} > 0", clicks.field("attributed")))
                .per_interval("null"),
        )
        .query(
            "p95",
            &clicks
                .select(clicks.max("lag_p95_s"))
                .and(format!("{} > 0", clicks.field("attributed")))
                .per_interval("null"),
        ),
        Panel::new(8, Kind::Lines, "Revenue per second", "currencyUSD", "Amounts of the interval's checkouts ÷ its seconds.")
            .query("all", &clicks.select(format!("{} / 100.0", clicks.per_second("revenue_cents"))).per_interval("0"))
            .query(
                "attributed",
                &clicks
                    .select(format!("{} / 100.0", clicks.per_second("attributed_revenue_cents")))
                    .per_interval("0"),
            ),
    ]
}

fn campaigns() -> Vec<Panel> {
    let credit = chosen(&schema::ATTRIBUTION);
    let by_campaign =
        |expression: String| credit.select(expression).and(credit.chosen("model")).by(credit.tag("campaign"));
    let columns = format!(
        "{} AS \"conversions\", {} AS \"credit\", {} / 100.0 AS \"revenue\"",
        credit.sum("conversions"),
        credit.sum("credit"),
        credit.sum("revenue_cents")
    );
    vec![
        Panel::new(
            9,
            Kind::Bars,
            "Credit by campaign",
            "short",
            "Credited conversions in the shown range. Choose one model: the models share out the same conversions.",
        )
        .query("$tag_campaign", &by_campaign(credit.sum("credit"))),
        Panel::new(10, Kind::Lines, "Credit per second by campaign", "cps", "Credit of the interval ÷ its seconds.")
            .query("$tag_campaign", &by_campaign(credit.per_second("credit")).per_interval("0"))
            .color("/^none$/", "gray"),
        Panel::new(
            11,
            Kind::Table,
            "Campaigns and models",
            "short",
            "Over the shown range, by campaign and attribution model.",
        )
        .query("", &by_campaign(columns).by(credit.tag("model")))
        .transform(
            "organize",
            &json!({
                "excludeByName": {"Time": true, "time": true},
                // Grafana gives columns of tags in any order.
                "indexByName": {"campaign": 0, "model": 1, "conversions": 2, "credit": 3, "revenue": 4},
                "renameByName": {
                    "campaign": "Campaign", "model": "Model", "conversions": "Conversions", "credit": "Credit",
                    "revenue": "Revenue",
                },
            }),
        )
        .column_unit("Revenue", "currencyUSD")
        .sorted_by("Credit")
        .size(24, 9),
    ]
}
