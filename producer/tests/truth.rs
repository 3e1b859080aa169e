//! The truth file against what can be told from the bytes alone, by a reader who knows only the contract.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::process::Command;

use producer::truth::Truth;
use serde_json::Value;

/// What a reader of one partition with a watermark makes of the lines.
#[derive(Debug, Default)]
struct Reading {
    usable: Vec<Value>,
    duplicates: u64,
    late: u64,
    invalid: u64,
}

/// Runs the producer to standard output; its lines and its truth.
fn run(arguments: &[&str]) -> (Vec<String>, Truth) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("truth.json");
    let output = Command::new(env!("CARGO_BIN_EXE_producer"))
        .args(["run", "--stdout", "--unpaced", "--start-time", "2026-01-31T12:00:00Z", "--truth"])
        .arg(&path)
        .args(arguments)
        .output()
        .expect("the producer runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
    (lines, serde_json::from_slice(&std::fs::read(path).expect("the file")).expect("a truth"))
}

fn micros(event: &Value) -> i64 {
    // From the digits as they were sent, not by way of a float.
    let text = event["event_timestamp"].to_string();
    let (seconds, fraction) = text.split_once('.').unwrap_or((&text, ""));
    seconds.parse::<i64>().expect("seconds") * 1_000_000
        + format!("{fraction:0<6}").parse::<i64>().expect("micros")
}

fn is_valid(event: &Value) -> bool {
    let known = |name: &str| {
        ["page_view", "search", "product_click", "add_to_cart", "remove_from_cart"].contains(&name)
            || ["checkout", "purchase", "ad_click", "conversion"].contains(&name)
    };
    event.is_object()
        && event["event_timestamp"].is_number()
        && event["event_timestamp"].as_f64() < Some(4e9)
        && event["event_type"].as_str().is_some_and(known)
        && (event["event_type"] != "checkout" || event["checkout_id"].is_string())
        && (event["event_type"] != "product_click" || event["product_id"].is_string())
}

fn read(lines: &[String]) -> Reading {
    let mut reading = Reading::default();
    let mut seen = HashSet::new();
    let mut greatest = i64::MIN;
    for line in lines {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        if !is_valid(&event) {
            reading.invalid += 1;
            continue;
        }
        if !seen.insert(event["event_id"].as_str().expect("an id").to_owned()) {
            reading.duplicates += 1;
            continue;
        }
        let time = micros(&event);
        let window_end = time - time.rem_euclid(10_000_000) + 10_000_000;
        if greatest.saturating_sub(5_000_000) >= window_end + 60_000_000 {
            reading.late += 1;
            continue;
        }
        greatest = greatest.max(time);
        reading.usable.push(event);
    }
    reading
}

const UNTIDY: [&str; 12] = [
    "--count",
    "40000",
    "--rate",
    "100",
    "--users",
    "60",
    "--products",
    "40",
    "--out-of-order",
    "0.1",
    "--late",
    "0.02",
];
const UNTIDY_MORE: [&str; 4] = ["--duplicates", "0.03", "--invalid", "0.02"];

#[test]
fn counts_are_those_a_reader_finds() {
    let (lines, truth) = run(&[&UNTIDY[..], &UNTIDY_MORE].concat());
    let reading = read(&lines);
    assert_eq!(lines.len(), 40_000);
    assert_eq!(truth.records.sent, 40_000);
    assert_eq!(truth.records.failed, 0);
    assert_eq!(truth.records.usable, reading.usable.len() as u64);
    assert_eq!(truth.records.duplicates, reading.duplicates);
    assert_eq!(truth.records.late, reading.late);
    assert_eq!(truth.records.invalid.values().sum::<u64>(), reading.invalid);
    assert!(reading.late > 100 && reading.duplicates > 100 && reading.invalid > 100);
}

#[test]
fn windows_are_those_a_reader_counts() {
    let (lines, truth) = run(&[&UNTIDY[..], &UNTIDY_MORE].concat());
    let reading = read(&lines);
    let starts: BTreeSet<i64> =
        reading.usable.iter().map(|event| micros(event).div_euclid(10_000_000)).collect();
    assert_eq!(truth.windows.iter().map(|window| window.start_ms / 10_000).collect::<BTreeSet<_>>(), starts);
    for window in &truth.windows {
        let within: Vec<&Value> = reading
            .usable
            .iter()
            .filter(|event| micros(event).div_euclid(10_000_000) == window.start_ms / 10_000)
            .collect();
        let status = |event: &Value| event["http_status"].as_u64();
        assert_eq!(window.requests, within.iter().filter(|e| status(e).is_some()).count() as u64);
        assert_eq!(window.errors, within.iter().filter(|e| status(e) >= Some(500)).count() as u64);
        let users: HashSet<&str> = within.iter().filter_map(|event| event["user_id"].as_str()).collect();
        assert_eq!(window.users, users.len() as u64);
        let mut types: BTreeMap<String, u64> = BTreeMap::new();
        for event in &within {
            *types.entry(event["event_type"].as_str().expect("a type").to_owned()).or_default() += 1;
        }
        assert_eq!(window.events, types);
        assert_eq!(window.http.iter().map(|http| http.requests).sum::<u64>(), window.requests);
        let posted = |e: &&&Value| e["url"] == "/checkout" && e["method"] == "POST" && status(e) == Some(200);
        let checkout = window.http.iter().find(|h| h.route == "/checkout" && h.status == 200);
        assert_eq!(checkout.map_or(0, |http| http.requests), within.iter().filter(posted).count() as u64);
        let product = |e: &&&Value| {
            let path = e["url"].as_str().unwrap_or_default().strip_prefix("/product/");
            path.is_some_and(|rest| !rest.contains('/')) && status(e) == Some(200)
        };
        let found = window.http.iter().find(|h| (h.route.as_str(), h.status) == ("/product/:id", 200));
        assert_eq!(found.map_or(0, |http| http.requests), within.iter().filter(product).count() as u64);
    }
}

#[test]
fn every_checkout_has_the_first_click_that_a_search_of_all_events_finds() {
    // Ninety minutes of event time, so that some clicks are too old.
    let (lines, truth) = run(&[
        "--count",
        "27000",
        "--rate",
        "5",
        "--users",
        "12",
        "--products",
        "60",
        "--out-of-order",
        "0.05",
        "--late",
        "0.01",
    ]);
    let usable = read(&lines).usable;
    let of_type = |name: &str| usable.iter().filter(|e| e["event_type"] == name).collect::<Vec<_>>();
    let clicks = of_type("product_click");
    let checkouts = of_type("checkout");
    assert_eq!(truth.checkouts.len(), checkouts.len());
    let (mut attributed, mut too_old) = (0, 0);
    for expected in checkouts {
        let found =
            truth.checkouts.iter().find(|c| expected["checkout_id"] == *c.checkout_id).expect("it is there");
        let same = |click: &&&Value| {
            click["user_id"] == expected["user_id"] && click["product_id"] == expected["product_id"]
        };
        let time = micros(expected);
        assert_eq!(found.time_us, time);
        assert_eq!(format!("{:.2}", expected["amount"].as_f64().expect("a number")), {
            format!("{}.{:02}", found.amount_cents / 100, found.amount_cents % 100)
        });
        let first = clicks
            .iter()
            .filter(same)
            .filter(|click| (time - 3_600_000_000..=time).contains(&micros(click)))
            .min_by_key(|click| micros(click));
        too_old += u32::from(clicks.iter().filter(same).any(|click| micros(click) < time - 3_600_000_000));
        attributed += u32::from(first.is_some());
        assert_eq!(found.attributed, first.is_some());
        assert_eq!(found.click_time_us, first.map(|click| micros(click)));
        assert_eq!(found.campaign_id.as_deref(), first.and_then(|click| click["campaign_id"].as_str()));
        assert_eq!(found.click_id.as_deref(), first.and_then(|click| click["click_id"].as_str()));
    }
    assert!(
        attributed > 100 && too_old > 10,
        "{attributed} attributed, {too_old} with clicks that are too old"
    );
}

#[test]
fn a_truth_file_that_cannot_be_written_is_found_out_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_producer"))
        .args(["run", "--stdout", "--count", "1", "--truth", "/nowhere/at/all/truth.json"])
        .output()
        .expect("the producer runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/at/all/truth.json"));
}
