use processor_core::schema;
use serde_json::json;

use super::{USER_WIDTH, chosen, route_variable, totals_by};
use crate::board::{Board, Row};
use crate::panel::{Kind, Panel};

/// One for each type, as Grafana's choice by name gives some that are stacked upon each other the same.
const EVENT_COLORS: [(&str, &str); 11] = [
    ("page_view", "blue"),
    ("search", "purple"),
    ("product_click", "green"),
    ("add_to_cart", "yellow"),
    ("remove_from_cart", "red"),
    ("checkout", "orange"),
    ("purchase", "dark-green"),
    ("ad_click", "light-blue"),
    ("conversion", "dark-purple"),
    ("refund", "dark-red"),
    ("other", "gray"),
];

/// How much, of what, by whom.
pub(super) fn board() -> Board {
    Board {
        uid: "cs-traffic",
        title: "Traffic",
        description: "What is asked for and by whom: requests by route and URL, users, events by type.",
        variables: vec![route_variable()],
        rows: vec![
            Row { id: 101, title: "In the shown range", panels: totals() },
            Row { id: 102, title: "Over time", panels: over_time() },
            Row { id: 103, title: "URLs and users", panels: by_name() },
        ],
    }
}

fn totals() -> Vec<Panel> {
    let all = chosen(&schema::HTTP_ALL);
    let events = chosen(&schema::EVENTS);
    vec![
        Panel::new(1, Kind::Total, "Requests", "short", "Requests in the shown range.")
            .query("requests", &all.select(all.sum("requests")))
            .size(6, 4),
        Panel::new(2, Kind::Total, "Events", "short", "Events of every type in the shown range.")
            .query("events", &events.select(events.sum("count")))
            .size(6, 4),
        Panel::new(
            3,
            Kind::Total,
            "Busiest window",
            "short",
            "The most requests of one window in the shown range; a window is as long as the chosen resolution.",
        )
        .query("requests", &all.select(all.max("requests")))
        .size(6, 4),
        Panel::new(
            4,
            Kind::Total,
            "Most users in a window",
            "short",
            "The most distinct users of one window in the shown range; with 1h chosen, of an hour.",
        )
        .query("users", &all.select(all.max("users")))
        .size(6, 4),
    ]
}

fn over_time() -> Vec<Panel> {
    let http = chosen(&schema::HTTP);
    let events = chosen(&schema::EVENTS);
    let all = chosen(&schema::HTTP_ALL);
    vec![
        Panel::new(
            5,
            Kind::Stacked,
            "Requests per second by route",
            "reqps",
            "Requests ÷ seconds of the interval. Ids in paths are replaced by :id; beyond the configured number of routes \
             the rest is __other__.",
        )
        .query(
            "$tag_route",
            &http
                .select(http.per_second("requests"))
                .and(http.chosen("route"))
                .by(http.tag("route"))
                .per_interval("0"),
        )
        .size(24, 11),
        EVENT_COLORS.into_iter().fold(
            Panel::new(6, Kind::Stacked, "Events per second by type", "eps", "Counted events ÷ seconds of the interval.")
                .query(
                    "$tag_event_type",
                    &events.select(events.per_second("count")).by(events.tag("event_type")).per_interval("0"),
                ),
            |panel, (kind, color)| panel.color(&format!("/^{kind}$/"), color),
        ),
        Panel::new(
            7,
            Kind::Lines,
            "Users per window",
            "short",
            "Distinct users of a window, exact; the greatest and the mean of the interval's windows.",
        )
        .query("most", &all.select(all.max("users")).per_interval("null"))
        .query("mean", &all.select(all.call("mean", "users")).per_interval("null")),
    ]
}

fn by_name() -> Vec<Panel> {
    let urls = chosen(&schema::URL_TOP);
    let users = chosen(&schema::USER_TOP);
    let among = "Only windows in which it was among the 20 most requested, so a lower bound; exact for what is always among them. \
                 The newest 1,000 windows at most: choose longer ones for longer ranges.";
    let newest = |source: &crate::influxql::Source, name| {
        source
            .select([source.field(name), source.field("requests"), source.field("errors")].join(", "))
            .by(source.tag("rank"))
            .newest()
    };
    let ranks = |name: &str, heading: &str| {
        json!({
            "indexByName": {"rank": 0, name: 1, "requests": 2, "errors": 3, "Time": 4},
            "renameByName": {
                "rank": "Rank", name: heading, "requests": "Requests", "errors": "Errors", "Time": "Window",
            },
        })
    };
    // By themselves columns are so wide that the last one is out of sight.
    let narrow = |panel: Panel| {
        [("Rank", 75), ("Requests", 105), ("Errors", 85), ("Window", 170)]
            .into_iter()
            .fold(panel.column_unit("Window", "dateTimeAsIso"), |panel, (column, pixels)| {
                panel.column_width(column, pixels)
            })
    };
    vec![
        totals_by(
            Panel::new(
                8,
                Kind::Table,
                "Requests per URL",
                "short",
                &format!("Requests and 5xx over the shown range. {among}"),
            )
            .query(
                "",
                &urls
                    .select([urls.field("url"), urls.field("requests"), urls.field("errors")].join(", "))
                    .limit(20_000),
            ),
            "url",
            "URL",
        )
        .size(12, 12),
        totals_by(
            Panel::new(
                9,
                Kind::Table,
                "Requests per user",
                "short",
                &format!("Requests and 5xx over the shown range. {among}"),
            )
            .query(
                "",
                &users
                    .select(
                        [users.field("user_id"), users.field("requests"), users.field("errors")].join(", "),
                    )
                    .limit(20_000),
            ),
            "user_id",
            "User",
        )
        .column_width("User", USER_WIDTH)
        .size(12, 12),
        narrow(Panel::new(
            10,
            Kind::Table,
            "Top URLs of the newest window",
            "short",
            "By rank. A window with fewer than 20 leaves the rest to an earlier one: see the last column.",
        ))
        .query("", &newest(&urls, "url"))
        .transform("organize", &ranks("url", "URL"))
        .sorted_up_by("Rank")
        .size(12, 10),
        narrow(Panel::new(
            11,
            Kind::Table,
            "Top users of the newest window",
            "short",
            "By rank. A window with fewer than 20 leaves the rest to an earlier one: see the last column.",
        ))
        .query("", &newest(&users, "user_id"))
        .transform("organize", &ranks("user_id", "User"))
        .column_width("User", USER_WIDTH)
        .sorted_up_by("Rank")
        .size(12, 10),
    ]
}
