//! What the stream promises about its records, seen from outside.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use events::{Decoder, DecoderOptions, EventType, Reason, Timestamp};
use producer::{
    Batch, Disorder, INVALID_REASONS, Incident, IncidentKind, Incidents, Profile, RecordKind, Route, Shape,
    ShopperSettings, Stream,
};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A record and what it is, owned.
#[derive(Debug, Clone, PartialEq)]
struct Made {
    key: Vec<u8>,
    value: Vec<u8>,
    kind: RecordKind,
}

struct Setup {
    shoppers: ShopperSettings,
    disorder: Disorder,
    profile: Profile,
    incidents: Incidents,
}

fn setup(seed: u64, rate: f64) -> Setup {
    Setup {
        shoppers: ShopperSettings { seed, users: 500, products: 200, error_rate: 0.01 },
        disorder: Disorder::default(),
        profile: Profile::steady(rate),
        incidents: Incidents::new(),
    }
}

fn untidy() -> Disorder {
    Disorder { out_of_order: 0.1, late: 0.02, duplicates: 0.05, invalid: 0.03, ..Disorder::default() }
}

/// The records of a run that ends after `count`.
fn make(setup: &Setup, count: u64) -> Vec<Made> {
    let mut stream = Stream::new(&setup.shoppers, setup.disorder, setup.profile, setup.incidents.clone());
    let mut batch = Batch::new();
    let mut made = Vec::new();
    while (made.len() as u64) < count {
        batch.clear();
        let at = START.plus_micros(stream.elapsed().as_micros() as i64);
        stream.tick(at, count - made.len() as u64, &mut batch);
        made.extend(batch.iter().map(|record| Made {
            key: record.key.to_vec(),
            value: record.value.to_vec(),
            kind: record.kind,
        }));
    }
    made
}

fn decoder() -> Decoder {
    Decoder::new(&DecoderOptions::default()).expect("the defaults are valid")
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let settings = || Setup { disorder: untidy(), ..setup(7, 1_000.0) };
    assert!(make(&settings(), 20_000) == make(&settings(), 20_000));
}

#[test]
fn another_seed_gives_other_shoppers() {
    let (one, other) = (make(&setup(1, 1_000.0), 1_000), make(&setup(2, 1_000.0), 1_000));
    let keys = |made: &[Made]| made.iter().map(|record| record.key.clone()).collect::<HashSet<_>>();
    assert!(keys(&one).is_disjoint(&keys(&other)));
}

#[test]
fn every_event_decodes_and_its_key_is_its_user() {
    let mut decoder = decoder();
    let mut types = HashSet::new();
    for record in make(&setup(3, 1_000.0), 20_000) {
        let event = decoder.decode(Some(&record.value)).expect("an ordinary record is an event");
        assert_eq!(event.user_id.map(str::as_bytes), Some(&record.key[..]));
        types.insert(event.kind);
    }
    let expected: HashSet<EventType> =
        EventType::ALL.into_iter().filter(|t| ![EventType::Other, EventType::Refund].contains(t)).collect();
    assert_eq!(types, expected);
}

#[test]
fn every_record_is_json_for_an_independent_parser() {
    for record in make(&setup(4, 1_000.0), 20_000) {
        let value: serde_json::Value = serde_json::from_slice(&record.value).expect("a record is JSON");
        assert_eq!(value["user_id"].as_str().map(str::as_bytes), Some(&record.key[..]));
        let seconds = value["event_timestamp"].as_f64().expect("seconds");
        assert!((0.0..60.0).contains(&(seconds - START.secs() as f64)));
    }
}

#[test]
fn event_ids_never_repeat_but_in_duplicates() {
    let made = make(&Setup { disorder: untidy(), ..setup(5, 1_000.0) }, 40_000);
    let mut decoder = decoder();
    let mut seen: HashMap<String, Vec<u8>> = HashMap::new();
    let mut duplicates = 0;
    for record in made {
        if matches!(record.kind, RecordKind::Invalid(_)) {
            continue;
        }
        let event = decoder.decode(Some(&record.value)).expect("all but the invalid are events");
        let id = event.event_id.expect("every event has an id").to_owned();
        if record.kind == RecordKind::Duplicate {
            duplicates += 1;
            assert_eq!(seen.get(&id), Some(&record.value), "a duplicate repeats what was sent before");
        } else {
            assert_eq!(seen.insert(id, record.value), None);
        }
    }
    assert!(duplicates > 1_600);
}

#[test]
fn invalid_records_take_turns_and_are_rejected_for_their_reason() {
    let disorder = Disorder { invalid: 0.5, ..Disorder::default() };
    let mut decoder = decoder();
    let mut counts: BTreeMap<Reason, u32> = BTreeMap::new();
    for record in make(&Setup { disorder, ..setup(6, 1_000.0) }, 2_000) {
        let RecordKind::Invalid(intended) = record.kind else { continue };
        *counts.entry(intended).or_default() += 1;
        let decoded = decoder.decode(Some(&record.value));
        if intended == Reason::FutureTimestamp {
            let event = decoded.expect("only the broker's clock tells that it lies in the future");
            assert!(event.time > START.plus_micros(30 * 365 * 86_400_000_000));
        } else {
            assert_eq!(decoded.expect_err("an invalid record").reason, intended);
        }
    }
    assert_eq!(counts.keys().copied().collect::<HashSet<_>>(), INVALID_REASONS.into_iter().collect());
    assert!(counts.values().max().unwrap() - counts.values().min().unwrap() <= 1, "{counts:?}");
}

#[test]
fn only_late_events_are_behind_the_watermark_and_their_windows_are_closed() {
    // One partition per user: the watermark that lags most of all that any partitioning could give.
    let made = make(&Setup { disorder: untidy(), ..setup(8, 500.0) }, 60_000);
    let mut decoder = decoder();
    let mut greatest_of_all = Timestamp::MIN;
    let mut greatest_by_user: HashMap<Vec<u8>, Timestamp> = HashMap::new();
    let (mut late, mut out_of_order) = (0, 0);
    for record in made {
        if matches!(record.kind, RecordKind::Invalid(_) | RecordKind::Duplicate) {
            continue;
        }
        let time = decoder.decode(Some(&record.value)).expect("an event").time;
        if record.kind == RecordKind::Late {
            late += 1;
            let watermark = greatest_by_user[&record.key].plus_micros(-5_000_000);
            let window_end = time.micros() - time.micros().rem_euclid(10_000_000) + 10_000_000;
            assert!(watermark.micros() >= window_end + 60_000_000, "its window is closed for everybody");
            continue;
        }
        out_of_order += u32::from(time < greatest_of_all);
        assert!(time > greatest_of_all.plus_micros(-5_000_000), "it is ahead of the least lenient watermark");
        greatest_of_all = greatest_of_all.max(time);
        let greatest = greatest_by_user.entry(record.key).or_insert(time);
        *greatest = time.max(*greatest);
    }
    assert!(late > 1_000 && out_of_order > 5_000, "{late} late, {out_of_order} out of order");
}

#[test]
fn shares_of_disorder_are_what_was_asked() {
    let made = make(&Setup { disorder: untidy(), ..setup(9, 1_000.0) }, 60_000);
    let share = |kind: fn(&RecordKind) -> bool| {
        made.iter().filter(|record| kind(&record.kind)).count() as f64 / made.len() as f64
    };
    let near = |share: f64, asked: f64| assert!((share - asked).abs() < 0.1 * asked, "{share} for {asked}");
    near(share(|kind| matches!(kind, RecordKind::Duplicate)), 0.05);
    near(share(|kind| matches!(kind, RecordKind::Invalid(_))), 0.03);
    near(share(|kind| matches!(kind, RecordKind::Late)), 0.02);
    near(share(|kind| matches!(kind, RecordKind::OutOfOrder)), 0.1);
}

#[test]
fn a_second_has_as_many_records_as_the_rate_says() {
    for (rate, seconds) in [(1.0, 100), (3.0, 100), (777.0, 10), (12_345.0, 2), (150_000.0, 1)] {
        let setup = setup(10, rate);
        let mut stream = Stream::new(&setup.shoppers, Disorder::default(), setup.profile, Incidents::new());
        let mut batch = Batch::new();
        let mut records = 0;
        while stream.elapsed() < Duration::from_secs(seconds) {
            batch.clear();
            stream.tick(START.plus_micros(stream.elapsed().as_micros() as i64), u64::MAX, &mut batch);
            records += batch.len();
        }
        let asked = rate * seconds as f64;
        assert!((records as f64 - asked).abs() <= 1.0, "{records} in {seconds} s at {rate}/s");
    }
}

#[test]
fn a_ramp_sends_what_lies_under_it() {
    let profile = Profile { shape: Shape::Ramp, rate: 1_000.0, period: Duration::from_secs(10) };
    let setup = Setup { profile, ..setup(11, 1_000.0) };
    let mut stream = Stream::new(&setup.shoppers, Disorder::default(), profile, Incidents::new());
    let mut batch = Batch::new();
    while stream.elapsed() < Duration::from_secs(10) {
        stream.tick(START.plus_micros(stream.elapsed().as_micros() as i64), u64::MAX, &mut batch);
    }
    assert!((batch.len() as f64 - 5_500.0).abs() < 10.0, "{}", batch.len());
}

#[test]
fn shoppers_check_out_what_they_put_into_the_cart_and_most_had_clicked_it() {
    let mut decoder = decoder();
    let mut carted: HashSet<(String, String)> = HashSet::new();
    let mut clicked: HashSet<(String, String)> = HashSet::new();
    let mut orders: HashSet<String> = HashSet::new();
    let (mut checkouts, mut from_cart, mut attributable) = (0_u32, 0_u32, 0_u32);
    for (number, record) in make(&setup(12, 1_000.0), 80_000).iter().enumerate() {
        let event = decoder.decode(Some(&record.value)).expect("an event");
        let Some(product) = event.product_id else { continue };
        let pair = (event.user_id.unwrap_or_default().to_owned(), product.to_owned());
        match event.kind {
            EventType::ProductClick => _ = clicked.insert(pair),
            EventType::AddToCart => _ = carted.insert(pair),
            // The first ones filled their carts before the first record.
            EventType::Checkout if number > 40_000 => {
                assert!(
                    orders.insert(event.checkout_id.expect("an id").to_owned()),
                    "two checkouts are two rows"
                );
                checkouts += 1;
                from_cart += u32::from(carted.contains(&pair));
                attributable += u32::from(clicked.contains(&pair));
            }
            _ => {}
        }
    }
    assert!(checkouts > 500);
    assert!(f64::from(from_cart) > 0.98 * f64::from(checkouts), "{from_cart} of {checkouts}");
    let share = f64::from(attributable) / f64::from(checkouts);
    assert!((0.7..0.99).contains(&share), "some checkouts have no click: {share}");
}

#[test]
fn clicks_of_a_visit_by_an_ad_carry_its_campaign() {
    let mut decoder = decoder();
    let (mut with, mut without) = (0, 0);
    for record in make(&setup(13, 1_000.0), 20_000) {
        let event = decoder.decode(Some(&record.value)).expect("an event");
        if event.kind == EventType::ProductClick {
            if event.campaign_id.is_some() { with += 1 } else { without += 1 }
        }
    }
    assert!(with > 1_000 && without > 1_000, "{with} with, {without} without");
}

#[test]
fn few_products_have_most_of_the_clicks() {
    let mut decoder = decoder();
    let mut clicks: HashMap<String, u32> = HashMap::new();
    for record in make(&setup(14, 1_000.0), 40_000) {
        let event = decoder.decode(Some(&record.value)).expect("an event");
        if event.kind == EventType::ProductClick {
            *clicks.entry(event.product_id.expect("a product").to_owned()).or_default() += 1;
        }
    }
    let mut counts: Vec<u32> = clicks.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let (top, all): (u32, u32) = (counts.iter().take(20).sum(), counts.iter().sum());
    assert!(top * 2 > all, "a tenth of the products has {top} of {all} clicks");
}

#[test]
fn an_error_spike_fails_its_route_while_it_lasts() {
    let setup = setup(15, 300.0);
    let starts = START.plus_micros(60_000_000);
    let spike =
        Incident::new(IncidentKind::ErrorSpike, Some(Route::Product), starts, Duration::from_secs(60));
    setup.incidents.start(spike);
    let mut decoder = decoder();
    // Requests and server errors before, during and after, of the route and of all others.
    let mut counts = [[(0_u32, 0_u32); 2]; 3];
    for record in make(&setup, 54_000) {
        let event = decoder.decode(Some(&record.value)).expect("an event");
        let (Some(url), Some(status)) = (event.url, event.http_status) else { continue };
        let phase = ((event.time.secs() - START.secs()) / 60) as usize;
        let product = url.starts_with("/product/") && !url.ends_with("/reviews");
        let count = &mut counts[phase][usize::from(product)];
        count.0 += 1;
        count.1 += u32::from(status >= 500);
    }
    let share = |phase: usize, product: bool| {
        let (requests, errors) = counts[phase][usize::from(product)];
        f64::from(errors) / f64::from(requests)
    };
    assert!((share(1, true) - 0.4).abs() < 0.03, "{}", share(1, true));
    for (phase, product) in [(0, true), (0, false), (1, false), (2, true), (2, false)] {
        assert!(share(phase, product) < 0.03, "phase {phase}: {}", share(phase, product));
    }
}

#[test]
fn a_search_outage_leaves_no_search_and_a_traffic_drop_little_of_anything() {
    let setup = setup(16, 1_000.0);
    setup.incidents.start(Incident::new(IncidentKind::SearchOutage, None, START, Duration::from_secs(600)));
    let mut decoder = decoder();
    let mut searches = 0;
    for record in make(&setup, 20_000) {
        let event = decoder.decode(Some(&record.value)).expect("an event");
        assert_ne!(event.kind, EventType::Search);
        if event.url.is_some_and(|url| url.starts_with("/search")) {
            searches += 1;
            assert!(event.http_status.is_some_and(|status| status >= 500));
        }
    }
    assert!(searches > 100);

    let quiet = self::setup(16, 1_000.0);
    quiet.incidents.start(Incident::new(IncidentKind::TrafficDrop, None, START, Duration::from_secs(600)));
    let last = make(&quiet, 2_000).pop().expect("2000 records");
    let time = decoder.decode(Some(&last.value)).expect("an event").time;
    assert_eq!(time.secs() - START.secs(), 9, "2000 records at a fifth of the rate take ten seconds");
}

#[test]
fn a_latency_incident_makes_answers_slower() {
    let median = |incident: Option<Incident>| {
        let setup = setup(17, 1_000.0);
        incident.into_iter().for_each(|incident| setup.incidents.start(incident));
        let mut decoder = decoder();
        let mut latencies: Vec<f64> = make(&setup, 20_000)
            .iter()
            .filter_map(|record| decoder.decode(Some(&record.value)).expect("an event").latency_ms)
            .collect();
        latencies.sort_unstable_by(f64::total_cmp);
        latencies[latencies.len() / 2]
    };
    let slow = Incident::new(IncidentKind::Latency, None, START, Duration::from_secs(600));
    let (usual, slower) = (median(None), median(Some(slow)));
    assert!((slower / usual - 8.0).abs() < 0.5, "{usual} ms and {slower} ms");
}
