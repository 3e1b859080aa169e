use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Every event that a suggestion makes of some lines: type, second, user, URL, status and cents.
fn told(lines: &str) -> (Suggestion, Vec<String>) {
    let records: Vec<Record<'_>> =
        lines.lines().map(|line| Record { key: None, value: line.as_bytes() }).collect();
    let suggestion = suggest(&records);
    let mut decoder = Decoder::new(&suggestion.options()).unwrap();
    let events = records.iter().map(|record| match decoder.decode(Some(record.value)) {
        Ok(event) => format!(
            "{} {} {} {} {} {}",
            event.kind.name(),
            event.time.secs(),
            event.user_id.unwrap_or("-"),
            event.url.unwrap_or("-"),
            event.http_status.map_or("-".to_owned(), |status| status.to_string()),
            event.amount_cents.map_or("-".to_owned(), |cents| cents.to_string()),
        ),
        Err(rejection) => format!("refused {}", rejection.reason),
    });
    let events = events.collect();
    (suggestion, events)
}

fn presets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/presets")
}

#[test]
fn every_preset_is_known_by_its_sample() {
    for preset in Preset::ALL {
        let sample = fs::read_to_string(presets().join(preset.name).join("sample.ndjson")).unwrap();
        let (suggestion, _) = told(&sample);
        assert_eq!(
            suggestion.preset.map(|preset| preset.name),
            Some(preset.name),
            "{}",
            suggestion.section("t")
        );
    }
}

#[test]
fn a_mapping_is_guessed_from_names_and_values() {
    let table: &[(&str, &[&str])] = &[
        (
            r#"{"uid":"u1","ts":1755010801,"path":"/a","statusCode":200,"verb":"x"}
{"uid":"u2","ts":1755010802,"path":"/b","statusCode":503}"#,
            &["page_view 1755010801 u1 /a 200 -", "page_view 1755010802 u2 /b 503 -"],
        ),
        (
            r#"{"customer":{"id":7},"occurredAt":"2025-08-12T15:00:01Z","action":"Order Completed","order":{"id":"o1","total":19.9}}
{"customer":{"id":8},"occurredAt":"2025-08-12T15:00:02Z","action":"add-to-cart","product":{"sku":"p1"}}
{"customer":{"id":8},"occurredAt":"2025-08-12T15:00:03Z","action":"Heartbeat"}"#,
            &["purchase 1755010801 7 - - 1990", "add_to_cart 1755010802 8 - - -", "other 1755010803 8 - - -"],
        ),
        (
            r#"{"member":"m1","date":"31/12/2024 10:00:00","url":"/"}
{"member":"m2","date":"01/12/2024 10:00:00","url":"/"}"#,
            &["page_view 1735639200 m1 / - -", "page_view 1733047200 m2 / - -"],
        ),
        (
            r#"{"member":"m1","date":"12/31/2024 10:00:00 AM","url":"/"}
{"member":"m2","date":"12/01/2024 10:00:00 PM","url":"/"}"#,
            &["page_view 1735639200 m1 / - -", "page_view 1733090400 m2 / - -"],
        ),
        (
            r#"{"member":null,"visitor":"v1","time":1755010801000,"http":{"request":"GET /x HTTP/1.1","status_code":"404"}}
{"member":"m1","visitor":"v2","time":1755010802000,"http":{"request":"POST /y HTTP/1.1","status_code":"500"}}"#,
            &["page_view 1755010801 v1 /x 404 -", "page_view 1755010802 m1 /y 500 -"],
        ),
        (
            r#"{"event_time":"2019-10-01 00:00:00 UTC","event_type":"view","product_id":44600062,"price":35.79,"user_id":541312140}
{"event_time":"2019-10-01 00:00:01 UTC","event_type":"cart","product_id":44600062,"price":35.79,"user_id":541312140}"#,
            &["product_click 1569888000 541312140 - - -", "add_to_cart 1569888001 541312140 - - -"],
        ),
        (
            r#"192.0.2.1 - ann [12/Aug/2025:15:00:01 +0000] "GET /x HTTP/1.1" 404 12 "-" "UA""#,
            &["page_view 1755010801 ann /x 404 -"],
        ),
        (
            r#"{"message":"192.0.2.1 - ann [12/Aug/2025:15:00:01 +0000] \"GET /x HTTP/1.1\" 404 12 \"-\" \"UA\""}"#,
            &["page_view 1755010801 ann /x 404 -"],
        ),
    ];
    for (lines, expected) in table {
        let (suggestion, events) = told(lines);
        assert_eq!(events, *expected, "{}", suggestion.section("t"));
    }
}

#[test]
fn what_is_not_certain_is_said_and_not_done() {
    let (suggestion, _) = told(r#"{"user_id":"u","event_time":"01/02/2025 10:00:00","url":"/","took":5}"#);
    assert_eq!(suggestion.time, None);
    let section = suggestion.section("t").to_string();
    assert!(section.contains("is the day first?") && section.contains("of which unit?"), "{section}");
}

#[test]
fn keys_say_whether_the_input_is_keyed() {
    let value = br#"{"user_id":"u1","event_timestamp":1755010801,"url":"/"}"#;
    for (key, keyed) in [
        (Some(&b"u1"[..]), Some(true)),
        (Some(b"\"u1\""), Some(true)),
        (Some(b"session-9"), Some(false)),
        (None, None),
    ] {
        assert_eq!(suggest(&[Record { key, value }]).keyed, keyed);
    }
}

#[test]
fn hints_name_the_line_to_add() {
    let options = DecoderOptions::default();
    let value = br#"{"member":"m1","ts":1755010801,"event_name":"AddToCart","product_id":"p","url":"/"}"#;
    let hints = hints(&options, true, &[Record { key: Some(b"session"), value }]);
    for expected in
        ["\"member\" = \"user_id\"", "\"ts\" = \"event_timestamp\"", "\"AddToCart\" = \"add_to_cart\""]
    {
        assert!(hints.iter().any(|hint| hint.ends_with(expected)), "{expected}: {hints:?}");
    }
    let known = br#"{"user_id":"m1","event_timestamp":1755010801,"url":"/","http_status":200}"#;
    let record = Record { key: Some(b"session"), value: known };
    assert_eq!(
        super::hints(&options, true, &[record]),
        ["Kafka's key is not the user_id; under [[inputs]]: keyed = false"]
    );
    assert!(super::hints(&options, false, &[record]).is_empty());
}

#[test]
fn no_type_that_the_settings_name_is_unknown() {
    for preset in Preset::ALL {
        let sample = fs::read_to_string(presets().join(preset.name).join("sample.ndjson")).unwrap();
        let records: Vec<Record<'_>> =
            sample.lines().map(|line| Record { key: None, value: line.as_bytes() }).collect();
        let hints = hints(&preset.options().unwrap(), true, &records).join("\n");
        assert!(!hints.contains("is not known"), "{}:\n{hints}", preset.name);
    }
}

#[test]
fn hints_notice_what_records_are_not() {
    let options = DecoderOptions::default();
    let of = |values: &[String]| {
        let records: Vec<Record<'_>> =
            values.iter().map(|value| Record { key: None, value: value.as_bytes() }).collect();
        hints(&options, true, &records).join("\n")
    };
    assert!(of(&["{".to_owned(), "\"a\": 1".to_owned(), "}".to_owned()]).contains("jq -c . FILE"));
    assert!(of(&["[{\"a\": 1}]".to_owned()]).contains("jq -c '.[]' FILE"));
    let event =
        |user: usize| format!("{{\"user_id\":\"u{user}\",\"event_timestamp\":1755010801,\"url\":\"/\"}}");
    let (own, same): (Vec<_>, Vec<_>) = (0..20).map(|n| (event(n), event(0))).unzip();
    assert!(of(&own).contains("a user of its own"), "{}", of(&own));
    assert!(of(&same).contains("the same user"), "{}", of(&same));
    let mixed: Vec<_> = (0..20).map(|n| event(n / 2)).collect();
    assert_eq!(of(&mixed), "");
    let order = r#"{"user_id":"u","event_timestamp":1755010801,"order_id":"o","product_id":"p","amount":5}"#;
    assert!(of(&[order.to_owned()]).contains("event_type = \"checkout\""));
}

#[test]
fn a_time_is_found_by_its_look_where_no_name_tells() {
    let (suggestion, events) =
        told(r#"{"user_id":"u","born":"1980-01-01","meta":{"emittedOn":"2025-08-12T15:00:01Z"},"url":"/"}"#);
    assert_eq!(events, ["page_view 1755010801 u / - -"], "{}", suggestion.section("t"));
}

#[test]
fn an_identity_that_repeats_is_no_events() {
    let lines = |second: &str| {
        format!(
            "{{\"user_id\":\"u\",\"timestamp\":1755010801,\"url\":\"/\",\"messageId\":\"m1\"}}\n\
             {{\"user_id\":\"u\",\"timestamp\":1755010802,\"url\":\"/\",\"messageId\":\"{second}\"}}"
        )
    };
    let mapped = |lines: String| {
        told(&lines).0.fields.into_iter().map(|(theirs, ours, _)| (theirs, ours)).collect::<Vec<_>>()
    };
    assert_eq!(mapped(lines("m2")), [("messageId".to_owned(), "event_id")]);
    assert_eq!(mapped(lines("m1")), []);
}

#[test]
fn a_type_that_lacks_what_ours_needs_is_an_event_and_no_more() {
    let (suggestion, events) = told(
        r#"{"timestamp":1433221332117,"visitorid":7,"event":"transaction","itemid":3,"transactionid":7}"#,
    );
    assert_eq!(events, ["other 1433221332 7 - - -"]);
    assert!(suggestion.section("t").to_string().contains("would be purchase but for amount"));
}
