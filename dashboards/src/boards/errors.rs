use processor_core::schema;
use serde_json::json;

use super::{USER_WIDTH, chosen, ids, route_variable, status_variable, totals_by};
use crate::board::{Board, Row};
use crate::panel::{Kind, Panel};
use crate::slo::{ROUTE_ERROR_RATIO, Slo};

/// Which statuses, which routes, which URLs, which users.
pub(super) fn board(slo: &Slo) -> Board {
    Board {
        uid: "cs-errors",
        title: "Errors",
        description: "What fails: the error rate per status and per route, the worst routes, and the URLs and users that \
                      meet most errors. Incidents are drawn as annotations.",
        variables: vec![route_variable(), status_variable()],
        rows: vec![
            Row { id: 101, title: "By status", panels: by_status(slo) },
            Row { id: 102, title: "By route", panels: by_route() },
            Row { id: 103, title: "URLs and users", panels: by_name() },
        ],
    }
}

fn by_status(slo: &Slo) -> Vec<Panel> {
    let status = chosen(&schema::HTTP_STATUS);
    let all = chosen(&schema::HTTP_ALL);
    let share = status.select(status.ratio("requests", "total")).and(status.chosen("status"));
    vec![
        Panel::new(
            1,
            Kind::Lines,
            "Error rate per status",
            "percentunit",
            "Requests with this status ÷ all requests of the same windows, for the chosen 4xx and 5xx.",
        )
        .query(
            "$tag_status",
            &share
                .clone()
                .and(format!("{} =~ /^[45]/", status.tag("status")))
                .by(status.tag("status"))
                .per_interval("null"),
        )
        .status_colors()
        .size(12, 9),
        Panel::new(
            2,
            Kind::Stacked,
            "Share of every status",
            "percentunit",
            "Requests with this status ÷ all requests of the same windows; with all statuses chosen they add up to 100 %.",
        )
        .query("$tag_status", &share.by(status.tag("status")).per_interval("null"))
        .status_colors()
        .max(1.0)
        .size(12, 9),
        Panel::new(
            3,
            Kind::Lines,
            "Error ratio of all requests",
            "percentunit",
            "5xx ÷ requests. The lines are the rate that the error budget allows and the rate that pages.",
        )
        .query("5xx", &all.select(all.ratio("errors", "requests")).per_interval("null"))
        .query("4xx", &all.select(all.ratio("client_errors", "requests")).per_interval("null"))
        .thresholds(&[(slo.budget(), "orange"), (slo.fast().factor * slo.budget(), "red")])
        .color("/^5xx/", "red")
        .color("/^4xx/", "orange")
        .size(24, 7),
    ]
}

fn by_route() -> Vec<Panel> {
    let http = chosen(&schema::HTTP);
    let route = http.tag("route");
    let per_route = |expression: String| http.select(expression).and(http.chosen("route")).by(route.as_str());
    let columns = format!(
        "{} AS \"requests\", {} AS \"errors\", {} AS \"ratio\", {} AS \"client_errors\"",
        http.sum("requests"),
        http.sum("errors"),
        http.ratio("errors", "requests"),
        http.sum("client_errors")
    );
    vec![
        Panel::new(
            ids::ROUTE_ERRORS.1,
            Kind::Cells,
            "Error ratio by route over time",
            "percentunit",
            "5xx ÷ requests of the route in the interval. Red from the limit of the alert on a route's errors.",
        )
        .query("$tag_route", &per_route(http.ratio("errors", "requests")).per_interval("null"))
        .thresholds(&[(ROUTE_ERROR_RATIO / 5.0, "orange"), (ROUTE_ERROR_RATIO, "red")])
        .size(24, 16),
        Panel::new(
            5,
            Kind::Table,
            "Worst routes",
            "short",
            "Over the shown range: requests, 5xx, their ratio, and 4xx, by route. Coloured from 1 % and from the alert's \
             limit.",
        )
        .query("", &per_route(columns))
        .transform(
            "organize",
            &json!({
                "excludeByName": {"Time": true, "time": true},
                "indexByName": {"route": 0, "ratio": 1, "errors": 2, "client_errors": 3, "requests": 4},
                "renameByName": {
                    "route": "Route", "ratio": "Error ratio", "errors": "5xx", "client_errors": "4xx", "requests": "Requests",
                },
            }),
        )
        .column_colored("Error ratio", "percentunit")
        .thresholds(&[(ROUTE_ERROR_RATIO / 5.0, "orange"), (ROUTE_ERROR_RATIO, "red")])
        .sorted_by("Error ratio")
        .size(24, 11),
        Panel::new(6, Kind::Lines, "5xx per second by route", "reqps", "Requests that ended in a 5xx ÷ seconds of the interval.")
            .query("$tag_route", &per_route(http.per_second("errors")).per_interval("0")),
        Panel::new(7, Kind::Lines, "4xx per second by route", "reqps", "Requests that ended in a 4xx ÷ seconds of the interval.")
            .query("$tag_route", &per_route(http.per_second("client_errors")).per_interval("0")),
    ]
}

fn by_name() -> Vec<Panel> {
    let urls = chosen(&schema::URL_TOP);
    let users = chosen(&schema::USER_TOP);
    let failing = "Only windows in which it was among the 20 most requested, so a lower bound. \
                   Requests are those of the windows in which it failed. The newest 20,000 entries at most.";
    vec![
        totals_by(
            Panel::new(
                8,
                Kind::Table,
                "URLs with errors",
                "short",
                &format!("5xx by URL over the shown range. {failing}"),
            )
            .query(
                "",
                &urls
                    .select([urls.field("url"), urls.field("requests"), urls.field("errors")].join(", "))
                    .and(format!("{} > 0", urls.field("errors")))
                    .limit(20_000),
            ),
            "url",
            "URL",
        )
        .sorted_by("Errors")
        .no_value("no errors"),
        totals_by(
            Panel::new(
                9,
                Kind::Table,
                "Users with errors",
                "short",
                &format!("5xx by user over the shown range. {failing}"),
            )
            .query(
                "",
                &users
                    .select(
                        [users.field("user_id"), users.field("requests"), users.field("errors")].join(", "),
                    )
                    .and(format!("{} > 0", users.field("errors")))
                    .limit(20_000),
            ),
            "user_id",
            "User",
        )
        .column_width("User", USER_WIDTH)
        .sorted_by("Errors")
        .no_value("no errors"),
    ]
}
