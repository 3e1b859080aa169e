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

/// What amounts are shown in: hundredths are written, and the series' name says of which currency.
const MONEY_UNIT: &str = "locale";

const NOT_SUMMED: &str = "One number for each currency, as different ones do not add up; `none` where events name none and \
                          `commerce.default_currency` is not set.";

fn totals() -> Vec<Panel> {
    let clicks = chosen(&schema::FIRST_CLICK);
    let money = |field| clicks.select(format!("{} / 100.0", clicks.sum(field))).by(clicks.tag("currency"));
    vec![
        Panel::new(
            1,
            Kind::Total,
            "Checkouts",
            "short",
            "Lines of checkouts in the shown range: products of an order, each counted once.",
        )
        .query("checkouts", &clicks.select(clicks.sum("checkouts"))),
        Panel::new(
            12,
            Kind::Total,
            "Orders",
            "short",
            "Different checkout_ids in the shown range, each in the window of its first line.",
        )
        .query("orders", &clicks.select(clicks.sum("orders"))),
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
        .thresholds(&[(0.6, "green")]),
        Panel::new(
            3,
            Kind::Total,
            "Revenue",
            MONEY_UNIT,
            &format!("Sum of the checkouts' amounts; summed in hundredths, shown in units. {NOT_SUMMED}"),
        )
        .query("$tag_currency", &money("revenue_cents"))
        .named()
        .size(6, 4),
        Panel::new(
            4,
            Kind::Total,
            "Attributed revenue",
            MONEY_UNIT,
            &format!("Sum of the amounts of attributed checkouts. {NOT_SUMMED}"),
        )
        .query("$tag_currency", &money("attributed_revenue_cents"))
        .named()
        .size(6, 4),
    ]
}

fn over_time() -> Vec<Panel> {
    let clicks = chosen(&schema::FIRST_CLICK);
    let revenue = |field| {
        clicks
            .select(format!("{} / 100.0", clicks.per_second(field)))
            .by(clicks.tag("currency"))
            .per_interval("0")
    };
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
            "Percentiles of each window's attributed checkouts, by currency; the interval shows the greatest of them, as \
             percentiles do not add up. Windows without a checkout are left out.",
        )
        .query(
            "p50",
            &clicks
                .select(clicks.max("lag_p50_s"))
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
        Panel::new(
            8,
            Kind::Lines,
            "Revenue per second, by currency",
            MONEY_UNIT,
            "Amounts of the interval's checkouts ÷ its seconds, all and attributed; a line for each currency, as different \
             ones do not add up.",
        )
        .query("$tag_currency", &revenue("revenue_cents"))
        .query("$tag_currency attributed", &revenue("attributed_revenue_cents")),
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
            "Over the shown range, by campaign, attribution model and currency: revenue is in the row's currency.",
        )
        .query("", &by_campaign(columns).by(credit.tag("model")).by(credit.tag("currency")))
        .transform(
            "organize",
            &json!({
                "excludeByName": {"Time": true, "time": true},
                // Grafana gives columns of tags in any order.
                "indexByName": {
                    "campaign": 0, "model": 1, "conversions": 2, "credit": 3, "revenue": 4, "currency": 5,
                },
                "renameByName": {
                    "campaign": "Campaign", "model": "Model", "conversions": "Conversions", "credit": "Credit",
                    "revenue": "Revenue", "currency": "Currency",
                },
            }),
        )
        .column_unit("Revenue", MONEY_UNIT)
        .sorted_by("Credit")
        .size(24, 9),
    ]
}
