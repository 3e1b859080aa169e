use super::*;

use events::Timestamp;
use processor_core::schema::Measurement;

const SIZE: Duration = Duration::from_secs(10);
/// A window boundary.
const T0: i64 = 1_755_720_000_000;

#[test]
fn a_newer_point_of_the_same_series_and_window_replaces_the_older() {
    let live = Live::new(SIZE);
    live.observe(&[
        http("/cart", "500", T0, 40, 40, 0),
        http("/cart", "200", T0, 60, 0, 0),
        all(T0, 100, 40),
    ]);
    live.observe(&[
        http("/cart", "500", T0, 50, 50, 0),
        http("/cart", "200", T0, 150, 0, 0),
        all(T0, 200, 50),
    ]);

    let snapshot = live.snapshot(complete());
    assert_eq!(snapshot.recent.requests, 200);
    assert!((snapshot.recent.error_ratio - 0.25).abs() < 1e-12);
    assert_eq!(snapshot.routes.len(), 1);
    assert_eq!(snapshot.routes[0].requests, 200);
    assert!((snapshot.routes[0].error_ratio - 0.25).abs() < 1e-12);
    assert_eq!(snapshot.routes[0].error_history, [Some(0.25)]);
}

#[test]
fn the_recent_numbers_are_the_last_minute_of_complete_windows() {
    let live = Live::new(SIZE);
    for i in 0..10 {
        live.observe(&[all(T0 + i * 10_000, 100 * (i as u64 + 1), 10)]);
    }
    // The watermark stands in the tenth window: nine are complete, the last six of them count.
    let snapshot = live.snapshot(Moment { now_ms: T0 + 99_000, watermark_ms: Some(T0 + 94_000) });
    assert_eq!((snapshot.recent.from_ms, snapshot.recent.to_ms), (T0 + 30_000, T0 + 90_000));
    assert_eq!(snapshot.recent.requests, 400 + 500 + 600 + 700 + 800 + 900);
    assert!((snapshot.recent.requests_per_s - 65.0).abs() < 1e-12);
    assert!(snapshot.recent.complete);
    assert!(snapshot.windows[..9].iter().all(|window| !window.open));
    let last = &snapshot.windows[9];
    assert!(last.open);
    assert!((last.seconds - 9.0).abs() < 1e-12, "an open window's rate is over the time that has passed");
}

#[test]
fn before_a_window_is_complete_the_open_ones_are_shown() {
    let live = Live::new(SIZE);
    live.observe(&[all(T0, 80, 4)]);
    let snapshot = live.snapshot(Moment { now_ms: T0 + 4_000, watermark_ms: Some(T0 - 1_000) });
    assert!(!snapshot.recent.complete);
    assert!((snapshot.recent.requests_per_s - 20.0).abs() < 1e-12);
    assert!((snapshot.recent.error_ratio - 0.05).abs() < 1e-12);
}

#[test]
fn an_empty_store_answers_with_zeros() {
    let snapshot = Live::new(SIZE).snapshot(Moment { now_ms: T0, watermark_ms: None });
    assert_eq!(snapshot.recent, Recent::default());
    assert!(
        snapshot.windows.is_empty()
            && snapshot.routes.is_empty()
            && snapshot.first_click.campaigns.is_empty()
    );
}

#[test]
fn rollups_are_not_mixed_with_raw_windows() {
    let live = Live::new(SIZE);
    let mut minute = all(T0, 6_000, 0);
    minute.resolution = Resolution::Minute;
    live.observe(&[all(T0, 1_000, 0), minute]);
    assert_eq!(live.snapshot(complete()).recent.requests, 1_000);
}

#[test]
fn windows_older_than_the_history_are_dropped_and_do_not_come_back() {
    let live = Live::new(SIZE);
    for i in 0..400 {
        live.observe(&[all(T0 + i * 10_000, 1, 0)]);
    }
    live.observe(&[all(T0, 1, 0)]);
    let windows = live.snapshot(complete()).windows;
    assert_eq!(windows.len(), 180, "30 minutes of 10 s");
    assert_eq!(windows[0].start_ms, T0 + 220 * 10_000);
    assert_eq!(windows_max(1_000), WINDOWS_MAX, "small windows are bounded by their number");
}

#[test]
fn only_the_newest_windows_keep_their_routes() {
    let live = Live::new(SIZE);
    for i in 0..40 {
        let start = T0 + i * 10_000;
        live.observe(&[
            http("/cart", "200", start, 5, 0, 0),
            latency("/cart", start, 80.0),
            all(start, 5, 0),
        ]);
    }
    live.observe(&[http("/late", "200", T0, 5, 0, 0)]);
    let state = live.lock();
    let detailed = state.windows.values().filter(|window| !window.http.is_empty()).count();
    assert_eq!(detailed, DETAIL_WINDOWS_MAX);
    assert!(state.windows[&T0].http.is_empty(), "a late correction does not bring a fragment back");
    drop(state);
    let oldest = &live.snapshot(complete()).windows[0];
    assert_eq!(oldest.worst_p95_ms, Some(80.0), "its worst latency stays for the chart");
}

#[test]
fn more_series_than_the_bound_are_left_out_and_counted() {
    let live = Live::new(SIZE);
    let points: Vec<_> = (0..300).map(|i| status(&format!("{i:03}"), T0, 1)).collect();
    live.observe(&points);
    let snapshot = live.snapshot(complete());
    assert_eq!(snapshot.windows[0].by_status.len(), 256);
    assert_eq!(snapshot.omitted_points, 44);
}

#[test]
fn first_click_and_campaigns_add_up_over_windows() {
    let live = Live::new(SIZE);
    live.observe(&[
        first_click("EUR", T0, [4, 3, 3], [10_000, 9_000], 30.0),
        credit("spring", "EUR", T0, 2, 6_000),
        credit("direct", "EUR", T0, 1, 3_000),
        first_click("EUR", T0 + 10_000, [2, 2, 1], [5_000, 4_000], 50.0),
        credit("direct", "EUR", T0 + 10_000, 1, 4_000),
    ]);
    let totals = live.snapshot(complete()).first_click;
    assert_eq!((totals.checkouts, totals.orders, totals.attributed, totals.unattributed), (6, 5, 4, 2));
    let [of] = totals.revenue.as_slice() else { panic!("{:?}", totals.revenue) };
    assert_eq!((&*of.currency, of.revenue_cents, of.attributed_revenue_cents), ("EUR", 15_000, 13_000));
    assert!((totals.lag_p50_s - 50.0).abs() < 1e-12, "percentiles are of the latest window, never averaged");
    let campaigns: Vec<_> =
        totals.campaigns.iter().map(|row| (&*row.campaign, row.conversions, row.revenue_cents)).collect();
    assert_eq!(campaigns, [("direct", 2, 7_000), ("spring", 2, 6_000)]);
}

#[test]
fn amounts_in_several_currencies_stay_apart() {
    let live = Live::new(SIZE);
    live.observe(&[
        first_click("JPY", T0, [1, 1, 1], [1_500_000, 1_500_000], 9.0),
        credit("spring", "JPY", T0, 1, 1_500_000),
        first_click("EUR", T0, [3, 2, 2], [10_000, 9_000], 30.0),
        credit("spring", "EUR", T0, 2, 9_000),
        first_click("none", T0, [0, 0, 0], [0, 0], 0.0),
    ]);
    let totals = live.snapshot(complete()).first_click;
    assert_eq!((totals.checkouts, totals.orders), (4, 3));
    let revenue: Vec<_> =
        totals.revenue.iter().map(|row| (&*row.currency, row.checkouts, row.revenue_cents)).collect();
    assert_eq!(revenue, [("EUR", 3, 10_000), ("JPY", 1, 1_500_000)], "and no zeros");
    assert!((totals.lag_p50_s - 30.0).abs() < 1e-12, "of the currency with the most");
    let campaigns: Vec<_> = totals.campaigns.iter().map(|row| (&*row.currency, row.revenue_cents)).collect();
    assert_eq!(campaigns, [("EUR", 9_000), ("JPY", 1_500_000)]);
}

#[test]
fn notes_on_counted_events_are_no_records_that_were_not_counted() {
    let live = Live::new(SIZE);
    let of_reason = |reason, count| point(&schema::QUALITY, &[reason], vec![int(count)], T0);
    live.observe(&[of_reason("late", 2), of_reason("missing_field", 3), of_reason("incomplete", 90)]);
    let quality: Vec<_> = live.snapshot(complete()).quality.into_iter().collect();
    assert_eq!(quality, [(Arc::from("late"), 2), (Arc::from("missing_field"), 3)]);
}

#[test]
fn top_lists_are_of_the_latest_complete_window_without_empty_ranks() {
    let live = Live::new(SIZE);
    live.observe(&[all(T0, 9, 0), top("01", "/a", T0, 9), top("02", "", T0, 0)]);
    live.observe(&[all(T0 + 10_000, 3, 0), top("01", "/b", T0 + 10_000, 3)]);
    let urls = live.snapshot(Moment { now_ms: T0 + 12_000, watermark_ms: Some(T0 + 10_000) }).urls;
    assert_eq!(urls, [TopRow { text: Arc::from("/a"), requests: 9, errors: 0 }]);
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let live = Live::new(SIZE);
    let url = "ü".repeat(10_000);
    live.observe(&[all(T0, 1, 0), top("01", &url, T0, 1)]);
    let urls = live.snapshot(complete()).urls;
    assert!(urls[0].text.len() <= 304, "300 bytes and an ellipsis, not {}", urls[0].text.len());
    assert!(urls[0].text.ends_with('…'));
}

#[test]
fn the_same_annotation_is_kept_once_and_the_newest_are_kept() {
    let live = Live::new(SIZE);
    live.observe(&[annotation("Error spike", T0, T0 + 30_000), annotation("Error spike", T0, T0 + 60_000)]);
    let rows = live.snapshot(complete()).annotations;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].end_ms, T0 + 60_000);
    let many: Vec<_> = (1..=100).map(|i| annotation("Latency", T0 + i, T0 + i + 1)).collect();
    live.observe(&many);
    let rows = live.snapshot(complete()).annotations;
    assert_eq!((rows.len(), rows[49].start_ms), (ANNOTATIONS_MAX, T0 + 100));
}

/// A moment at which every window of the tests is complete.
fn complete() -> Moment {
    Moment { now_ms: T0 + 1_000_000_000, watermark_ms: Some(T0 + 1_000_000_000) }
}

fn point(measurement: &'static Measurement, tags: &[&str], fields: Vec<FieldValue>, start_ms: i64) -> Point {
    let tags = tags.iter().map(|tag| Arc::from(*tag)).collect();
    Point::new(Resolution::Raw, measurement, tags, fields, Timestamp::from_millis(start_ms))
}

fn int(value: u64) -> FieldValue {
    FieldValue::Integer(i64::try_from(value).unwrap())
}

fn all(start_ms: i64, requests: u64, errors: u64) -> Point {
    let ratio = if requests == 0 { 0.0 } else { errors as f64 / requests as f64 };
    let fields = vec![int(requests), int(errors), int(0), FieldValue::Float(ratio), int(1)];
    point(&schema::HTTP_ALL, &[], fields, start_ms)
}

fn http(route: &str, status: &str, start_ms: i64, requests: u64, errors: u64, client_errors: u64) -> Point {
    let fields = vec![int(requests), int(errors), int(client_errors)];
    point(&schema::HTTP, &["GET", route, status], fields, start_ms)
}

fn status(status: &str, start_ms: i64, requests: u64) -> Point {
    point(&schema::HTTP_STATUS, &[status], vec![int(requests), int(1_000)], start_ms)
}

fn latency(route: &str, start_ms: i64, p95_ms: f64) -> Point {
    let percentiles = [p95_ms / 2.0, p95_ms, p95_ms * 2.0, p95_ms * 3.0].map(FieldValue::Float);
    let fields = std::iter::once(int(10)).chain(percentiles).collect();
    point(&schema::LATENCY, &[route], fields, start_ms)
}

fn top(rank: &str, url: &str, start_ms: i64, requests: u64) -> Point {
    let fields = vec![FieldValue::Text(Arc::from(url)), int(requests), int(0)];
    point(&schema::URL_TOP, &[rank], fields, start_ms)
}

fn first_click(
    currency: &str,
    start_ms: i64,
    [checkouts, orders, attributed]: [u64; 3],
    [all_cents, cents]: [u64; 2],
    lag_s: f64,
) -> Point {
    let counts = [checkouts, orders, attributed, checkouts - attributed, all_cents, cents].map(int);
    let fields =
        counts.into_iter().chain([FieldValue::Float(lag_s), FieldValue::Float(lag_s * 2.0)]).collect();
    point(&schema::FIRST_CLICK, &[currency], fields, start_ms)
}

fn credit(campaign: &str, currency: &str, start_ms: i64, conversions: u64, cents: u64) -> Point {
    let fields = vec![int(conversions), FieldValue::Float(conversions as f64), int(cents)];
    point(&schema::ATTRIBUTION, &[campaign, currency, "first_click"], fields, start_ms)
}

fn annotation(title: &str, start_ms: i64, end_ms: i64) -> Point {
    let text = |text: &str| FieldValue::Text(Arc::from(text));
    let fields = vec![text(title), text("on /checkout"), FieldValue::Integer(end_ms)];
    point(&schema::ANNOTATIONS, &["error-spike"], fields, start_ms)
}
