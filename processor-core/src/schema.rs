//! What is written to InfluxDB: every measurement with its tags and fields.
//!
//! This is the one place that names them. The merge builds points from these definitions, the dashboards and alert
//! rules are generated from them, and the tests check both against it, so a renamed field cannot leave a dead panel.

/// The type of a field, which InfluxDB fixes with the first point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// 64-bit integer, written with the suffix `i`.
    Integer,
    /// 64-bit float, never NaN or infinite.
    Float,
    /// Text.
    Text,
}

/// One measurement: its name, its tag keys in sorted order, and its whole field set.
#[derive(Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The name.
    pub name: &'static str,
    /// Tag keys, sorted; every point carries all of them.
    pub tags: &'static [&'static str],
    /// Field keys with their types; every point carries all of them, in this order.
    pub fields: &'static [(&'static str, FieldKind)],
}

impl Measurement {
    /// The field's name, checked to exist: for generators, where a typo must not survive a build.
    ///
    /// # Panics
    /// If the measurement has no such field.
    #[must_use]
    pub const fn field(&self, name: &'static str) -> &'static str {
        let mut i = 0;
        while i < self.fields.len() {
            if same(self.fields[i].0, name) {
                return self.fields[i].0;
            }
            i += 1;
        }
        panic!("no such field")
    }

    /// The tag's key, checked to exist.
    ///
    /// # Panics
    /// If the measurement has no such tag.
    #[must_use]
    pub const fn tag(&self, name: &'static str) -> &'static str {
        let mut i = 0;
        while i < self.tags.len() {
            if same(self.tags[i], name) {
                return self.tags[i];
            }
            i += 1;
        }
        panic!("no such tag")
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

use FieldKind::{Float, Integer, Text};

/// Requests per status; the error rate per status is `requests`/`total`.
pub const HTTP_STATUS: Measurement = Measurement {
    name: "http_status",
    tags: &["status"],
    fields: &[("requests", Integer), ("total", Integer)],
};

/// Requests per route, method and status.
pub const HTTP: Measurement = Measurement {
    name: "http",
    tags: &["method", "route", "status"],
    fields: &[("requests", Integer), ("errors", Integer), ("client_errors", Integer)],
};

/// All requests of the window, and its distinct users.
pub const HTTP_ALL: Measurement = Measurement {
    name: "http_all",
    tags: &[],
    fields: &[
        ("requests", Integer),
        ("errors", Integer),
        ("client_errors", Integer),
        ("error_ratio", Float),
        ("users", Integer),
    ],
};

/// Response times per route, from a sketch with a relative error of at most 1/128.
pub const LATENCY: Measurement = Measurement {
    name: "latency",
    tags: &["route"],
    fields: &[("count", Integer), ("p50_ms", Float), ("p95_ms", Float), ("p99_ms", Float), ("max_ms", Float)],
};

/// The most requested URLs, `rank` 01 to 20.
pub const URL_TOP: Measurement = Measurement {
    name: "url_top",
    tags: &["rank"],
    fields: &[("url", Text), ("requests", Integer), ("errors", Integer)],
};

/// The users with the most requests, `rank` 01 to 20.
pub const USER_TOP: Measurement = Measurement {
    name: "user_top",
    tags: &["rank"],
    fields: &[("user_id", Text), ("requests", Integer), ("errors", Integer)],
};

/// Counted events per type.
pub const EVENTS: Measurement =
    Measurement { name: "events", tags: &["event_type"], fields: &[("count", Integer)] };

/// Credit per attribution model and campaign, in each currency.
pub const ATTRIBUTION: Measurement = Measurement {
    name: "attribution",
    tags: &["campaign", "currency", "model"],
    fields: &[("conversions", Integer), ("credit", Float), ("revenue_cents", Integer)],
};

/// Checkouts by currency, of which each is a line of an order, and the first click each is credited to; `lag` is from
/// that click to the checkout.
pub const FIRST_CLICK: Measurement = Measurement {
    name: "first_click",
    tags: &["currency"],
    fields: &[
        ("checkouts", Integer),
        ("orders", Integer),
        ("attributed", Integer),
        ("unattributed", Integer),
        ("revenue_cents", Integer),
        ("attributed_revenue_cents", Integer),
        ("lag_p50_s", Float),
        ("lag_p95_s", Float),
    ],
};

/// What kept records from counting, by reason; and notes on events that count, but not in everything ([`QUALITY_NOTES`]).
pub const QUALITY: Measurement =
    Measurement { name: "quality", tags: &["reason"], fields: &[("count", Integer)] };

/// Reasons of [`QUALITY`] that are notes on counted events, one at most of each on an event. They are no records of their
/// own: every other reason and the counts of [`EVENTS`] add up to all records, these do not belong in that sum.
pub const QUALITY_NOTES: [&str; 3] = ["incomplete", "unusable", "repeated_checkout"];

/// The reason of [`QUALITY`] for an event that was counted before.
pub const QUALITY_DUPLICATE: &str = "duplicate";

/// The reason of [`QUALITY`] for an event whose window is closed. What is neither this, nor [`QUALITY_DUPLICATE`], nor one
/// of [`QUALITY_NOTES`] is a rejection's.
pub const QUALITY_LATE: &str = "late";

/// The health of a component, on the wall clock, every 10 s even without traffic. Counts are totals since its start.
pub const PIPELINE: Measurement = Measurement {
    name: "pipeline",
    tags: &["component", "instance"],
    fields: &[
        ("consumed", Integer),
        ("counted", Integer),
        ("duplicates", Integer),
        ("late", Integer),
        ("rejected", Integer),
        ("lag", Integer),
        ("watermark_lag_s", Float),
        ("freshness_p50_ms", Float),
        ("freshness_p99_ms", Float),
        ("open_windows", Integer),
        ("users", Integer),
        ("routes", Integer),
        ("state_bytes", Integer),
        ("epochs", Integer),
        ("epochs_in_flight", Integer),
        ("commit_age_s", Float),
        ("replay_left", Integer),
        ("transactions", Integer),
        ("transactions_aborted", Integer),
        ("transaction_p99_ms", Float),
        ("memory_budget", Integer),
        ("points_written", Integer),
        ("points_refused", Integer),
        ("write_retries", Integer),
        ("write_p99_ms", Float),
        ("rss_bytes", Integer),
        ("cpu_seconds", Float),
        ("uptime_s", Integer),
    ],
};

/// What happened when: incidents and other marks, shown by Grafana as annotations. The point's time is the start.
pub const ANNOTATIONS: Measurement = Measurement {
    name: "annotations",
    tags: &["kind"],
    fields: &[("title", Text), ("text", Text), ("end_ms", Integer)],
};

/// Every measurement of this build.
pub const ALL: [&Measurement; 12] = [
    &HTTP_STATUS,
    &HTTP,
    &HTTP_ALL,
    &LATENCY,
    &URL_TOP,
    &USER_TOP,
    &EVENTS,
    &ATTRIBUTION,
    &FIRST_CLICK,
    &QUALITY,
    &PIPELINE,
    &ANNOTATIONS,
];
