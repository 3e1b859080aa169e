//! What the page is given: the JSON of `/api/v1/live`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

/// The two clocks a snapshot is taken by.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Wall clock, milliseconds since the epoch; only used for the rate of a window that is still filling.
    pub now_ms: i64,
    /// The merge's watermark: windows that end at or before it are complete. `None`: not known yet.
    pub watermark_ms: Option<i64>,
}

/// The main numbers, ready to be drawn.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    /// Length of a window.
    pub window_ms: i64,
    /// As given.
    pub watermark_ms: Option<i64>,
    /// Oldest first.
    pub windows: Vec<WindowRow>,
    /// The last minute of complete windows.
    pub recent: Recent,
    /// Over the last minute, the busiest first; at most 100.
    pub routes: Vec<RouteRow>,
    /// Routes there are, shown or not.
    pub routes_known: usize,
    /// Of the latest complete window, by rank.
    pub urls: Vec<TopRow>,
    /// Of the latest complete window, by rank.
    pub users: Vec<TopRow>,
    /// Over all windows held.
    pub first_click: FirstClickTotals,
    /// Events per second by type, over the last minute.
    pub events_per_s: BTreeMap<Arc<str>, f64>,
    /// Records that were not counted, by reason, over all windows held.
    pub quality: BTreeMap<Arc<str>, u64>,
    /// Oldest first.
    pub annotations: Vec<AnnotationRow>,
    /// Points left out because a bound of this store was reached: the page is then incomplete, the sink is not.
    pub omitted_points: u64,
}

/// One window of the charts.
#[derive(Debug, PartialEq, Serialize)]
pub struct WindowRow {
    /// Start of the window, milliseconds since the epoch.
    pub start_ms: i64,
    /// Whether it can still grow; its rate is then an estimate.
    pub open: bool,
    /// What the counts are to be divided by for a rate: the window's length, or what has passed of it.
    pub seconds: f64,
    /// All requests.
    pub requests: u64,
    /// With a status of 500 and above.
    pub errors: u64,
    /// With a status from 400 to 499.
    pub client_errors: u64,
    /// Distinct users.
    pub users: u64,
    /// Requests by status.
    pub by_status: BTreeMap<Arc<str>, u64>,
    /// Checkouts decided.
    pub checkouts: u64,
    /// Of these, credited to a first click.
    pub attributed: u64,
    /// The route with the highest p95.
    pub worst_route: Option<Arc<str>>,
    /// That p95.
    pub worst_p95_ms: Option<f64>,
}

/// The last minute of complete windows; before there is one, what the open windows hold.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Recent {
    /// Inclusive, milliseconds since the epoch.
    pub from_ms: i64,
    /// Exclusive.
    pub to_ms: i64,
    /// False while there is no complete window.
    pub complete: bool,
    /// Requests.
    pub requests: u64,
    /// Requests divided by the time the windows span.
    pub requests_per_s: f64,
    /// Requests with a status of 500 and above, divided by all; 0 without requests.
    pub error_ratio: f64,
    /// The same for 400 to 499.
    pub client_error_ratio: f64,
    /// Distinct users of the latest of these windows (they do not add up over windows).
    pub users: u64,
    /// The route with the highest p95 in the latest of these windows.
    pub worst_route: Option<Arc<str>>,
    /// That p95.
    pub worst_p95_ms: Option<f64>,
}

/// One route. Counts are over the last minute, latencies of the latest complete window.
#[derive(Debug, Serialize)]
pub struct RouteRow {
    /// The template.
    pub route: Arc<str>,
    /// Methods seen.
    pub methods: Vec<Arc<str>>,
    /// Requests.
    pub requests: u64,
    /// Requests per second.
    pub requests_per_s: f64,
    /// Status of 500 and above, divided by all.
    pub error_ratio: f64,
    /// Status of 400 to 499, divided by all.
    pub client_error_ratio: f64,
    /// Requests with a latency in the latest complete window.
    pub latency_count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Slowest.
    pub max_ms: f64,
    /// Error ratio per window, oldest first, `None` where the route had no requests.
    pub error_history: Vec<Option<f64>>,
}

/// A URL or a user.
#[derive(Debug, PartialEq, Serialize)]
pub struct TopRow {
    /// The URL or the user's id.
    pub text: Arc<str>,
    /// Requests.
    pub requests: u64,
    /// Of these, with a status of 500 and above.
    pub errors: u64,
}

/// Checkouts and what they are credited to, over all windows held.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct FirstClickTotals {
    /// Start of the oldest window held.
    pub from_ms: Option<i64>,
    /// Decided checkouts: lines of orders.
    pub checkouts: u64,
    /// Of so many orders.
    pub orders: u64,
    /// Credited to a first click.
    pub attributed: u64,
    /// Without a click in the lookback.
    pub unattributed: u64,
    /// Amounts by currency, most checkouts first: those of different ones do not add up.
    pub revenue: Vec<RevenueRow>,
    /// From the first click to the checkout, of the latest window with an attributed one, the greatest of its currencies.
    pub lag_p50_s: f64,
    /// The same, 95th percentile.
    pub lag_p95_s: f64,
    /// By campaign, model and currency; currencies as in `revenue`, in each the highest revenue first.
    pub campaigns: Vec<CampaignRow>,
}

/// What was paid in one currency.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct RevenueRow {
    /// Its name, or the merge's name for checkouts without one.
    pub currency: Arc<str>,
    /// Decided checkouts in it.
    pub checkouts: u64,
    /// Hundredths, of all checkouts.
    pub revenue_cents: i64,
    /// Hundredths, of the attributed ones.
    pub attributed_revenue_cents: i64,
}

/// What a campaign is credited with.
#[derive(Debug, PartialEq, Serialize)]
pub struct CampaignRow {
    /// The campaign, or the merge's name for clicks without one.
    pub campaign: Arc<str>,
    /// The attribution model.
    pub model: Arc<str>,
    /// The currency of the revenue.
    pub currency: Arc<str>,
    /// Conversions.
    pub conversions: u64,
    /// Credit; equals the conversions where a model gives all of it to one click.
    pub credit: f64,
    /// Revenue, hundredths of the currency.
    pub revenue_cents: i64,
}

/// Something that happened, to be drawn over the charts.
#[derive(Debug, PartialEq, Serialize)]
pub struct AnnotationRow {
    /// Start, milliseconds since the epoch.
    pub start_ms: i64,
    /// End.
    pub end_ms: i64,
    /// `error-spike` and the like.
    pub kind: Arc<str>,
    /// One line.
    pub title: Arc<str>,
    /// More about it.
    pub text: Arc<str>,
}
