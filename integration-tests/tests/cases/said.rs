//! What the status and `/metrics` say of events that count though something of them was missing or of no use.

use std::collections::BTreeMap;

use integration_tests::Processor;
use serde_json::{Value, json};

use crate::support::{Case, Services, counts, now_ms, plain, tests};

tests!["said": what_was_missing_and_what_was_of_no_use_is_named_by_type_and_field];

fn what_was_missing_and_what_was_of_no_use_is_named_by_type_and_field(services: &Services) {
    let case = Case::new(services, "said", 1);
    let at = now_ms();
    let request = |more: Value| {
        let mut event = json!({"user_id": "u", "url": "/a", "http_status": 200, "event_timestamp": at});
        let more = more.as_object().expect("members").clone();
        event.as_object_mut().expect("an object").extend(more);
        event
    };
    let records = [
        // Nothing is to be said of a request without a user.
        request(json!({"user_id": null})),
        request(json!({"event_type": "purchase"})),
        request(json!({"event_type": "purchase", "amount": 5})),
        request(json!({"url": " "})),
        json!({"event_type": "checkout", "product_id": "p", "checkout_id": "o", "amount": 1, "event_timestamp": at}),
        request(json!({"device": {"type": "phone"}})),
        request(json!({"device": ["phone"], "referrer": {}})),
        request(json!({"amount": "many"})),
        // Refused, so that what it lacks is its reason and no note.
        json!({"event_type": "purchase", "user_id": "u", "event_timestamp": at}),
    ];
    case.send(&records.iter().map(|record| plain(0, &record.to_string())).collect::<Vec<_>>());
    let mut processor = Processor::run(&case.config, &[]);
    processor.await_ready();
    processor.await_consumed(records.len() as u64);

    let status = processor.status().expect("it answers");
    let totals = &status["totals"];
    assert_eq!((totals["counted"].as_u64(), totals["rejected"].as_u64()), (Some(8), Some(1)), "{totals}");
    let notes = |kind: &str, names: &[&str]| -> BTreeMap<String, i64> {
        let of = status["notes"][kind].as_array().unwrap_or_else(|| panic!("{kind}: {status}"));
        let name =
            |note: &Value| names.iter().filter_map(|name| note[*name].as_str()).collect::<Vec<_>>().join(" ");
        of.iter().map(|note| (name(note), note["events"].as_i64().expect("a count"))).collect()
    };
    let incomplete = counts([
        ("checkout user_id", 1),
        ("page_view url", 1),
        ("purchase amount", 1),
        ("purchase checkout_id", 2),
    ]);
    assert_eq!(notes("incomplete", &["event_type", "field"]), incomplete);
    let unusable = counts([("amount", 1), ("device", 2), ("referrer", 1)]);
    assert_eq!(notes("unusable", &["field"]), unusable);
    // In words, with what it costs.
    let words: Vec<&str> = ["incomplete", "unusable"]
        .iter()
        .flat_map(|kind| status["notes"][*kind].as_array().into_iter().flatten())
        .filter_map(|note| note["text"].as_str())
        .collect();
    for said in [
        "2 purchases without checkout_id: not in revenue",
        "1 checkouts without user_id: not in first click, nor in revenue",
        "2 events whose device was of no use: counted without it",
    ] {
        assert!(words.contains(&said), "{said}: {words:#?}");
    }

    let metrics = processor.get("/metrics").expect("it answers").body;
    let values = |metric: &str| -> BTreeMap<String, i64> {
        let of =
            metrics.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{')?.split_once("} "));
        let label = |pair: &str| pair.split('"').nth(1).expect("a quoted value").to_owned();
        of.map(|(labels, value)| {
            let labels: Vec<String> = labels.split(',').map(label).collect();
            (labels.join(" "), value.parse().expect("a number"))
        })
        .collect()
    };
    assert_eq!(values("processor_events_incomplete_total"), incomplete);
    assert_eq!(values("processor_events_unusable_total"), unusable);
    assert_eq!(processor.terminate(), 0, "{}", processor.process.log());
}
