//! The dashboards, one file each.

mod attribution;
mod errors;
mod overview;
mod pipeline;
mod traffic;

use processor_core::schema;
use serde_json::json;

use crate::board::{Board, Variable};
use crate::influxql::{Bucket, Source};
use crate::panel::Panel;
use crate::slo::Slo;

/// Ids of the panels that alert rules link to.
pub mod ids {
    /// A dashboard's uid and a panel's id on it.
    pub type Place = (&'static str, u32);

    /// Overview: requests per second.
    pub const REQUESTS: Place = ("cs-overview", 1);
    /// Overview: how fast the error budget is spent.
    pub const BURN: Place = ("cs-overview", 11);
    /// Overview: 95th percentile by route.
    pub const LATENCY: Place = ("cs-overview", 9);
    /// Errors: routes over time.
    pub const ROUTE_ERRORS: Place = ("cs-errors", 4);
    /// Pipeline health: instances that report.
    pub const INSTANCES: Place = ("cs-pipeline", 6);
    /// Pipeline health: freshness.
    pub const FRESHNESS: Place = ("cs-pipeline", 9);
    /// Pipeline health: lag.
    pub const LAG: Place = ("cs-pipeline", 8);
    /// Pipeline health: the rejected share.
    pub const REJECTED: Place = ("cs-pipeline", 12);
    /// Pipeline health: the share that came too late.
    pub const TOO_LATE: Place = ("cs-pipeline", 27);
    /// Pipeline health: the share that repeats what was counted.
    pub const REPEATED: Place = ("cs-pipeline", 28);
    /// Pipeline health: counted events that something is noted on.
    pub const NOTES: Place = ("cs-pipeline", 29);
    /// Pipeline health: records that no total accounts for.
    pub const UNACCOUNTED: Place = ("cs-pipeline", 4);
    /// Pipeline health: points that InfluxDB refused.
    pub const REFUSED: Place = ("cs-pipeline", 5);
}

/// Every dashboard, in the order of the list.
#[must_use]
pub fn all(slo: &Slo) -> Vec<Board> {
    vec![overview::board(slo), errors::board(slo), traffic::board(), attribution::board(), pipeline::board()]
}

const fn chosen(measurement: &'static schema::Measurement) -> Source {
    Source::new(measurement, Bucket::Chosen)
}

const fn raw(measurement: &'static schema::Measurement) -> Source {
    Source::new(measurement, Bucket::Raw)
}

fn route_variable() -> Variable {
    Variable { name: "route", label: "Route", query: raw(&schema::HTTP).tag_values("route") }
}

/// An id of 36 characters in the table's font.
const USER_WIDTH: u32 = 330;

fn status_variable() -> Variable {
    Variable { name: "status", label: "Status", query: raw(&schema::HTTP_STATUS).tag_values("status") }
}

/// Turns rows of (name, requests, errors) into one row per name with totals.
fn totals_by(panel: Panel, name: &str, heading: &str) -> Panel {
    panel
        .transform(
            "groupBy",
            &json!({"fields": {
                name: {"aggregations": [], "operation": "groupby"},
                "requests": {"aggregations": ["sum"], "operation": "aggregate"},
                "errors": {"aggregations": ["sum"], "operation": "aggregate"},
            }}),
        )
        .transform(
            "organize",
            &json!({"renameByName": {name: heading, "requests (sum)": "Requests", "errors (sum)": "Errors"}}),
        )
        .sorted_by("Requests")
}
