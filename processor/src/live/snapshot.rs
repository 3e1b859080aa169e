//! Computes what the page is given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use processor_core::schema::QUALITY_NOTES;

use super::State;
use super::rows::{
    AnnotationRow, CampaignRow, FirstClickTotals, Moment, Recent, RevenueRow, RouteRow, Snapshot, TopRow,
    WindowRow,
};
use super::window::{CreditKey, Http, Latency, Top, Window};

/// The span "recent" numbers are over, milliseconds.
const RECENT_MS: i64 = 60_000;
/// Routes in an answer, those with the most requests.
const ROUTES_SHOWN_MAX: usize = 100;
/// An open window younger than this says nothing about a rate.
const YOUNGEST_RATE_MS: i64 = 1_000;

pub(super) fn take(state: &State, size_ms: i64, moment: Moment) -> Snapshot {
    let newest = state.windows.last_key_value().map(|(start, _)| *start);
    // Without a watermark only the newest window is known to be still filling.
    let complete_until = moment.watermark_ms.or(newest).unwrap_or(i64::MIN);
    let span = RecentSpan::choose(state, size_ms, complete_until, moment.now_ms);
    let (routes, routes_known) = routes(state, &span);
    let latest = span.latest.and_then(|start| state.windows.get(&start));
    Snapshot {
        window_ms: size_ms,
        watermark_ms: moment.watermark_ms,
        windows: window_rows(state, size_ms, complete_until, moment.now_ms),
        recent: recent(state, &span, latest),
        routes,
        routes_known,
        urls: latest.map(|window| top_rows(&window.urls)).unwrap_or_default(),
        users: latest.map(|window| top_rows(&window.users)).unwrap_or_default(),
        first_click: first_click(state),
        events_per_s: events_per_s(state, &span),
        quality: uncounted(state),
        annotations: annotations(state),
        omitted_points: state.omitted_points,
    }
}

/// The windows behind the "last minute" numbers.
struct RecentSpan {
    from_ms: i64,
    /// Exclusive: no window starts at or after it.
    to_ms: i64,
    seconds: f64,
    complete: bool,
    latest: Option<i64>,
}

impl RecentSpan {
    /// The last minute before `complete_until`; while no window is complete, everything there is.
    fn choose(state: &State, size_ms: i64, complete_until: i64, now_ms: i64) -> Self {
        let last_complete = state.windows.range(..=complete_until.saturating_sub(size_ms)).next_back();
        let latest = last_complete.or_else(|| state.windows.last_key_value()).map(|(start, _)| *start);
        let complete = last_complete.is_some();
        let Some(latest_start) = latest else {
            return Self { from_ms: 0, to_ms: 0, seconds: 0.0, complete, latest };
        };
        let to_ms = latest_start + size_ms;
        let oldest = state.windows.first_key_value().map_or(latest_start, |(start, _)| *start);
        let from_ms = (to_ms - RECENT_MS.max(size_ms)).max(oldest);
        let until =
            if complete { to_ms } else { now_ms.clamp(from_ms + YOUNGEST_RATE_MS.min(size_ms), to_ms) };
        Self { from_ms, to_ms, seconds: (until - from_ms) as f64 / 1_000.0, complete, latest }
    }

    fn windows<'a>(&self, state: &'a State) -> impl Iterator<Item = &'a Window> {
        state.windows.range(self.from_ms..self.to_ms).map(|(_, window)| window)
    }

    fn per_second(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }
}

fn window_rows(state: &State, size_ms: i64, complete_until: i64, now_ms: i64) -> Vec<WindowRow> {
    let row = |(start, window): (&i64, &Window)| {
        let end = start + size_ms;
        let open = end > complete_until;
        let passed =
            if open { (now_ms - start).clamp(YOUNGEST_RATE_MS.min(size_ms), size_ms) } else { size_ms };
        let worst = window.worst_route();
        WindowRow {
            start_ms: *start,
            open,
            seconds: passed as f64 / 1_000.0,
            requests: window.all.requests,
            errors: window.all.errors,
            client_errors: window.all.client_errors,
            users: window.all.users,
            by_status: window.by_status.clone(),
            checkouts: window.first_click.values().map(|of| of.checkouts).sum(),
            attributed: window.first_click.values().map(|of| of.attributed).sum(),
            worst_p95_ms: worst.as_ref().map(|(_, p95_ms)| *p95_ms),
            worst_route: worst.map(|(route, _)| route),
        }
    };
    state.windows.iter().map(row).collect()
}

fn recent(state: &State, span: &RecentSpan, latest: Option<&Window>) -> Recent {
    let (mut requests, mut errors, mut client_errors) = (0, 0, 0);
    for window in span.windows(state) {
        requests += window.all.requests;
        errors += window.all.errors;
        client_errors += window.all.client_errors;
    }
    let worst = latest.and_then(Window::worst_route);
    Recent {
        from_ms: span.from_ms,
        to_ms: span.to_ms,
        complete: span.complete,
        requests,
        requests_per_s: span.per_second(requests),
        error_ratio: ratio(errors, requests),
        client_error_ratio: ratio(client_errors, requests),
        users: latest.map_or(0, |window| window.all.users),
        worst_p95_ms: worst.as_ref().map(|(_, p95_ms)| *p95_ms),
        worst_route: worst.map(|(route, _)| route),
    }
}

fn routes(state: &State, span: &RecentSpan) -> (Vec<RouteRow>, usize) {
    let mut totals: BTreeMap<&Arc<str>, (Http, BTreeSet<&Arc<str>>)> = BTreeMap::new();
    for window in span.windows(state) {
        for ((route, method, _), http) in &window.http {
            let (total, methods) = totals.entry(route).or_default();
            add(total, *http);
            methods.insert(method);
        }
    }
    let known = totals.len();
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_by(|a, b| b.1.0.requests.cmp(&a.1.0.requests).then_with(|| a.0.cmp(b.0)));
    totals.truncate(ROUTES_SHOWN_MAX);
    let latest = span.latest.and_then(|start| state.windows.get(&start));
    let row = |(route, (total, methods)): (&Arc<str>, (Http, BTreeSet<&Arc<str>>))| {
        let latency = latest.and_then(|window| window.latency.get(route)).copied();
        let Latency { count, p50_ms, p95_ms, p99_ms, max_ms } = latency.unwrap_or_default();
        RouteRow {
            route: Arc::clone(route),
            methods: methods.into_iter().map(Arc::clone).collect(),
            requests: total.requests,
            requests_per_s: span.per_second(total.requests),
            error_ratio: ratio(total.errors, total.requests),
            client_error_ratio: ratio(total.client_errors, total.requests),
            latency_count: count,
            p50_ms,
            p95_ms,
            p99_ms,
            max_ms,
            error_history: error_history(state, span, route),
        }
    };
    (totals.into_iter().map(row).collect(), known)
}

fn error_history(state: &State, span: &RecentSpan, route: &Arc<str>) -> Vec<Option<f64>> {
    let detailed = state.windows.range(..span.to_ms).rev().take(super::DETAIL_WINDOWS_MAX);
    let mut history: Vec<_> = detailed
        .map(|(_, window)| {
            let mut total = Http::default();
            let of_route = window.http.range((Arc::clone(route), Arc::from(""), Arc::from(""))..);
            for (_, http) in of_route.take_while(|((other, _, _), _)| other == route) {
                add(&mut total, *http);
            }
            (total.requests > 0).then(|| ratio(total.errors, total.requests))
        })
        .collect();
    history.reverse();
    history
}

fn first_click(state: &State) -> FirstClickTotals {
    let mut totals = FirstClickTotals {
        from_ms: state.windows.first_key_value().map(|(start, _)| *start),
        ..FirstClickTotals::default()
    };
    let mut campaigns: BTreeMap<&CreditKey, CampaignRow> = BTreeMap::new();
    let mut revenue: BTreeMap<&Arc<str>, RevenueRow> = BTreeMap::new();
    for window in state.windows.values() {
        // Zeros of a currency that was expected and not seen are nothing to show.
        for (currency, of) in window.first_click.iter().filter(|(_, of)| of.checkouts > 0) {
            totals.checkouts += of.checkouts;
            totals.orders += of.orders;
            totals.attributed += of.attributed;
            totals.unattributed += of.unattributed;
            let row = revenue.entry(currency).or_insert_with(|| RevenueRow::none_in(currency));
            row.checkouts += of.checkouts;
            row.revenue_cents += of.revenue_cents;
            row.attributed_revenue_cents += of.attributed_revenue_cents;
        }
        // Percentiles do not add up: that of the currency with the most.
        let most = window.first_click.values().filter(|of| of.attributed > 0).max_by_key(|of| of.attributed);
        if let Some(of) = most {
            (totals.lag_p50_s, totals.lag_p95_s) = (of.lag_p50_s, of.lag_p95_s);
        }
        for (key, credit) in &window.credit {
            let (campaign, currency, model) = key;
            let row = campaigns.entry(key).or_insert_with(|| CampaignRow {
                campaign: Arc::clone(campaign),
                currency: Arc::clone(currency),
                model: Arc::clone(model),
                conversions: 0,
                credit: 0.0,
                revenue_cents: 0,
            });
            row.conversions += credit.conversions;
            row.credit += credit.credit;
            row.revenue_cents += credit.revenue_cents;
        }
    }
    totals.revenue = revenue.into_values().collect();
    totals.revenue.sort_by(|a, b| b.checkouts.cmp(&a.checkouts).then(a.currency.cmp(&b.currency)));
    let place = |of: &Arc<str>| totals.revenue.iter().position(|row| row.currency == *of);
    totals.campaigns = campaigns.into_values().collect();
    totals.campaigns.sort_by(|a, b| {
        // Amounts in several currencies have no order: those of the one with the most checkouts come first.
        place(&a.currency)
            .cmp(&place(&b.currency))
            .then(b.revenue_cents.cmp(&a.revenue_cents))
            .then(b.conversions.cmp(&a.conversions))
            .then(a.campaign.cmp(&b.campaign))
    });
    totals
}

/// What is noted on counted events is left out: those records are in the counts.
fn uncounted(state: &State) -> BTreeMap<Arc<str>, u64> {
    let mut reasons = summed(state, |window| &window.quality);
    reasons.retain(|reason, _| !QUALITY_NOTES.contains(&&**reason));
    reasons
}

fn events_per_s(state: &State, span: &RecentSpan) -> BTreeMap<Arc<str>, f64> {
    let mut counts: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    for window in span.windows(state) {
        for (event_type, count) in &window.events {
            *counts.entry(Arc::clone(event_type)).or_default() += count;
        }
    }
    counts.into_iter().map(|(event_type, count)| (event_type, span.per_second(count))).collect()
}

fn summed(state: &State, of: impl Fn(&Window) -> &BTreeMap<Arc<str>, u64>) -> BTreeMap<Arc<str>, u64> {
    let mut sums: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    for (key, count) in state.windows.values().flat_map(of) {
        *sums.entry(Arc::clone(key)).or_default() += count;
    }
    sums
}

fn annotations(state: &State) -> Vec<AnnotationRow> {
    let rows = state.annotations.iter().map(|((start_ms, kind, title), text)| AnnotationRow {
        start_ms: *start_ms,
        end_ms: text.end_ms,
        kind: Arc::clone(kind),
        title: Arc::clone(title),
        text: Arc::clone(&text.text),
    });
    rows.collect()
}

fn top_rows(ranks: &BTreeMap<Arc<str>, Top>) -> Vec<TopRow> {
    // A rank that is no longer held by anyone is written as zero.
    let held = ranks.values().filter(|top| top.requests > 0);
    held.map(|top| TopRow { text: Arc::clone(&top.text), requests: top.requests, errors: top.errors })
        .collect()
}

fn add(total: &mut Http, http: Http) {
    total.requests += http.requests;
    total.errors += http.errors;
    total.client_errors += http.client_errors;
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
