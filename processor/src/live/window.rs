//! One raw window as the page needs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use processor_core::{FieldValue, Point};

/// Series of `http` kept per window: 500 routes with a few methods and statuses each.
const HTTP_SERIES_MAX: usize = 4_000;
/// Routes kept per window; the merge caps them at 500 by default.
const ROUTES_MAX: usize = 1_000;
/// Entries of each smaller map: statuses, event types, reasons, currencies, campaigns by model and currency, ranks.
const SERIES_MAX: usize = 256;
/// Longest text kept, in bytes; a URL can be as long as a record.
const TEXT_BYTES_MAX: usize = 300;

/// Route, method and status, in the order that keeps a route's series together.
pub(super) type HttpKey = (Arc<str>, Arc<str>, Arc<str>);

/// Campaign, model and currency.
pub(super) type CreditKey = (Arc<str>, Arc<str>, Arc<str>);

/// Totals of a window for good, and its detail while it is one of the newest.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) all: All,
    pub(super) by_status: BTreeMap<Arc<str>, u64>,
    pub(super) events: BTreeMap<Arc<str>, u64>,
    pub(super) quality: BTreeMap<Arc<str>, u64>,
    /// By currency.
    pub(super) first_click: BTreeMap<Arc<str>, FirstClick>,
    pub(super) credit: BTreeMap<CreditKey, Credit>,
    pub(super) http: BTreeMap<HttpKey, Http>,
    pub(super) latency: BTreeMap<Arc<str>, Latency>,
    /// By rank.
    pub(super) urls: BTreeMap<Arc<str>, Top>,
    pub(super) users: BTreeMap<Arc<str>, Top>,
    /// What [`Window::worst_route`] was when the detail was dropped.
    worst: Option<(Arc<str>, f64)>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct All {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) client_errors: u64,
    pub(super) users: u64,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct FirstClick {
    pub(super) checkouts: u64,
    pub(super) orders: u64,
    pub(super) attributed: u64,
    pub(super) unattributed: u64,
    pub(super) revenue_cents: i64,
    pub(super) attributed_revenue_cents: i64,
    pub(super) lag_p50_s: f64,
    pub(super) lag_p95_s: f64,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Credit {
    pub(super) conversions: u64,
    pub(super) credit: f64,
    pub(super) revenue_cents: i64,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Http {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) client_errors: u64,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

#[derive(Debug, Clone)]
pub(super) struct Top {
    pub(super) text: Arc<str>,
    pub(super) requests: u64,
    pub(super) errors: u64,
}

impl Window {
    /// Takes a point's full value. False if a bound left it out.
    pub(super) fn take(&mut self, point: &Point, detailed: bool) -> bool {
        let count = |name| whole(point, name).max(0).unsigned_abs();
        let tag = |name| shortened_tag(point, name);
        match point.measurement.name {
            "http_all" => {
                self.all = All {
                    requests: count("requests"),
                    errors: count("errors"),
                    client_errors: count("client_errors"),
                    users: count("users"),
                };
                true
            }
            "http_status" => put(&mut self.by_status, tag("status"), count("requests"), SERIES_MAX),
            "events" => put(&mut self.events, tag("event_type"), count("count"), SERIES_MAX),
            "quality" => put(&mut self.quality, tag("reason"), count("count"), SERIES_MAX),
            "first_click" => {
                let first_click = FirstClick {
                    checkouts: count("checkouts"),
                    orders: count("orders"),
                    attributed: count("attributed"),
                    unattributed: count("unattributed"),
                    revenue_cents: whole(point, "revenue_cents"),
                    attributed_revenue_cents: whole(point, "attributed_revenue_cents"),
                    lag_p50_s: float(point, "lag_p50_s"),
                    lag_p95_s: float(point, "lag_p95_s"),
                };
                put(&mut self.first_click, tag("currency"), first_click, SERIES_MAX)
            }
            "attribution" => {
                let credit = Credit {
                    conversions: count("conversions"),
                    credit: float(point, "credit"),
                    revenue_cents: whole(point, "revenue_cents"),
                };
                let key = (tag("campaign"), tag("model"), tag("currency"));
                put(&mut self.credit, key, credit, SERIES_MAX)
            }
            _ if !detailed => true,
            "latency" => {
                let latency = Latency {
                    count: count("count"),
                    p50_ms: float(point, "p50_ms"),
                    p95_ms: float(point, "p95_ms"),
                    p99_ms: float(point, "p99_ms"),
                    max_ms: float(point, "max_ms"),
                };
                put(&mut self.latency, tag("route"), latency, ROUTES_MAX)
            }
            "http" => {
                let key = (tag("route"), tag("method"), tag("status"));
                let http = Http {
                    requests: count("requests"),
                    errors: count("errors"),
                    client_errors: count("client_errors"),
                };
                put(&mut self.http, key, http, HTTP_SERIES_MAX)
            }
            "url_top" => put(&mut self.urls, tag("rank"), top(point, "url"), SERIES_MAX),
            "user_top" => put(&mut self.users, tag("rank"), top(point, "user_id"), SERIES_MAX),
            _ => true,
        }
    }

    /// Forgets what only the newest windows show.
    pub(super) fn drop_detail(&mut self) {
        self.worst = self.worst_route();
        self.http.clear();
        self.latency.clear();
        self.urls.clear();
        self.users.clear();
    }

    /// The route with the highest p95, and that p95 in milliseconds.
    pub(super) fn worst_route(&self) -> Option<(Arc<str>, f64)> {
        self.latency
            .iter()
            .filter(|(_, latency)| latency.count > 0)
            .max_by(|a, b| a.1.p95_ms.total_cmp(&b.1.p95_ms))
            .map(|(route, latency)| (Arc::clone(route), latency.p95_ms))
            .or_else(|| self.worst.clone())
    }
}

/// Replaces a value, or adds it while there is room.
fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V, max: usize) -> bool {
    if let Some(old) = map.get_mut(&key) {
        *old = value;
    } else if map.len() < max {
        map.insert(key, value);
    } else {
        return false;
    }
    true
}

fn top(point: &Point, text_field: &str) -> Top {
    let text = match point.field(text_field) {
        Some(FieldValue::Text(text)) => shortened(text),
        _ => Arc::from(""),
    };
    let count = |name| whole(point, name).max(0).unsigned_abs();
    Top { text, requests: count("requests"), errors: count("errors") }
}

fn whole(point: &Point, name: &str) -> i64 {
    match point.field(name) {
        Some(FieldValue::Integer(value)) => *value,
        _ => 0,
    }
}

fn float(point: &Point, name: &str) -> f64 {
    match point.field(name) {
        Some(FieldValue::Float(value)) => *value,
        _ => 0.0,
    }
}

fn shortened_tag(point: &Point, name: &str) -> Arc<str> {
    let at = point.measurement.tags.iter().position(|tag| *tag == name);
    at.map_or_else(|| Arc::from(""), |at| shortened(&point.tags[at]))
}

/// The text itself, or its beginning with an ellipsis.
pub(super) fn shortened(text: &Arc<str>) -> Arc<str> {
    if text.len() <= TEXT_BYTES_MAX {
        return Arc::clone(text);
    }
    let cut = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Arc::from(format!("{}…", &text[..cut]))
}
