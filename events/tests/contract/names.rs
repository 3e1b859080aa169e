//! Which name a field is read from.

use events::{Decoder, DecoderOptions, Event, Mapping, OptionsError, Reason, Timestamp};

use super::{event, page_view, rejection, with};

#[test]
fn every_text_field_is_read_under_each_of_its_names() {
    type Get = for<'a> fn(&Event<'a>) -> Option<&'a str>;
    let fields: [(&[&str], Get); 17] = [
        (&["event_id", "message_id"], |event| event.event_id),
        (&["url"], |event| event.url),
        (&["method"], |event| event.method),
        (&["product_id", "productId"], |event| event.product_id),
        (&["click_id", "clickId"], |event| event.click_id),
        (&["checkout_id", "checkoutId", "order_id"], |event| event.checkout_id),
        (&["campaign_id", "campaignId"], |event| event.campaign_id),
        (&["conversion_id", "conversionId"], |event| event.conversion_id),
        (&["search_id", "searchId"], |event| event.search_id),
        (&["query"], |event| event.query),
        (&["category"], |event| event.category),
        (&["currency"], |event| event.currency),
        (&["referrer"], |event| event.referrer),
        (&["device"], |event| event.device),
        (&["browser"], |event| event.browser),
        (&["country"], |event| event.country),
        (&["user_agent"], |event| event.user_agent),
    ];
    for (names, get) in fields {
        assert_preference(
            names,
            |name, value| format!(r#""{name}":"{value}""#),
            |event| get(event).map(str::to_owned),
        );
        for value in ["17", "1.5", "true", "{}", "[]"] {
            let rejection = rejection(&page_view(&format!(r#","{}":{value}"#, names[0])));
            assert_eq!(rejection.reason, Reason::WrongType, "{names:?} {value}");
            assert!(rejection.detail.starts_with(names[0]), "{rejection}");
        }
        assert_eq!(
            event(&page_view(&format!(r#","{}":"a\/\u00e9\ud83d\ude00""#, names[0])), |event| get(&event)
                .map(str::to_owned)),
            Some("a/é😀".to_owned())
        );
    }
}

#[test]
fn every_number_is_read_under_each_of_its_names() {
    type Get = fn(&Event<'_>) -> Option<i64>;
    let fields: [(&[&str], Get); 4] = [
        (&["latency_ms", "response_time_ms"], |event| event.latency_ms.map(|ms| (ms * 100.0) as i64)),
        (&["amount", "total_amount", "value"], |event| event.amount_cents),
        (&["quantity"], |event| event.quantity.map(|pieces| (pieces * 100.0) as i64)),
        (&["price"], |event| event.price_cents),
    ];
    for (names, get) in fields {
        assert_preference(
            names,
            |name, value| format!(r#""{name}":{value}"#),
            |event| get(event).map(|value| (value / 100).to_string()),
        );
        for value in [r#""17""#, "true", "{}", "[]", r#""""#, "1e999"] {
            let rejection = rejection(&page_view(&format!(r#","{}":{value}"#, names[0])));
            assert_eq!(rejection.reason, Reason::WrongType, "{names:?} {value}");
        }
    }
    assert_preference(
        &["http_status", "status"],
        |name, value| format!(r#""{name}":{value}0"#),
        |event| event.http_status.map(|status| (status / 10).to_string()),
    );
    assert_preference(
        &["user_id", "userId"],
        |name, value| format!(r#""{name}":{value}"#),
        |event| event.user_id.map(str::to_owned),
    );
    let times = ["event_timestamp", "eventTime", "timestamp", "datetime_occurred", "datetime_occured"];
    assert_preference(
        &times,
        |name, value| format!(r#""{name}":{value}"#),
        |event| Some(event.time.secs().to_string()),
    );
}

#[test]
fn device_and_browser_are_found_in_metadata_too() {
    let found = |members: &str| {
        event(&page_view(members), |event| {
            (event.device.map(str::to_owned), event.browser.map(str::to_owned))
        })
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(found(r#","metadata":{"device":"d","x":[{}],"browser":"b"}"#), (some("d"), some("b")));
    assert_eq!(found(r#","metadata":{"device":"m"},"device":"d""#), (some("d"), None));
    assert_eq!(found(r#","device":null,"metadata":{"device":"m"}"#), (some("m"), None));
    assert_eq!(found(r#","metadata":{"device":"a"},"metadata":{"browser":"b"}"#), (None, some("b")));
    assert_eq!(found(r#","metadata":{"device":"\u0061"}"#), (some("a"), None));
    for odd in ["null", "17", r#""device""#, "[]", "{}"] {
        assert_eq!(found(&format!(r#","metadata":{odd}"#)), (None, None));
    }
    assert_eq!(found(r#","metadata.device":"d""#), (None, None), "a dotted name is not a path");
    assert_eq!(rejection(&page_view(r#","metadata":{"device":1}"#)).reason, Reason::WrongType);
}

#[test]
fn an_empty_identity_counts_as_absent() {
    for name in
        ["event_id", "product_id", "click_id", "checkout_id", "campaign_id", "conversion_id", "search_id"]
    {
        event(&page_view(&format!(r#","{name}":"""#)), |event| {
            let ids = [event.event_id, event.product_id, event.click_id, event.checkout_id];
            assert_eq!(ids, [None; 4]);
            assert_eq!([event.campaign_id, event.conversion_id, event.search_id], [None; 3]);
        });
    }
    event(&page_view(r#","event_id":"","message_id":"m""#), |event| assert_eq!(event.event_id, Some("m")));
    event(&page_view(r#","method":"""#), |event| assert_eq!(event.method(), "GET"));
    event(&page_view(r#","url":"","query":"""#), |event| {
        assert_eq!((event.url, event.query), (Some(""), Some("")));
    });
}

#[test]
fn an_inputs_own_names_come_first() {
    let fields: Vec<(String, String)> =
        [("uid", "user_id"), ("at", "event_timestamp"), ("value", "price"), ("page \"x\"", "url")]
            .map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned()))
            .into();
    let options =
        DecoderOptions { mapping: Mapping { fields, ..Mapping::default() }, ..DecoderOptions::default() };
    let record =
        r#"{"user_id":"ours","uid":"theirs","at":17,"value":2.5,"page \"x\"":"/p","http_status":200}"#;
    for record in [record.to_owned(), page_view(r#","uid":"theirs","at":17,"value":2.5,"url":"/p""#)] {
        with(&options, &record, |event| {
            let event = event.unwrap();
            assert_eq!(
                (event.user_id, event.time, event.url),
                (Some("theirs"), Timestamp::from_secs(17), Some("/p"))
            );
            assert_eq!((event.price_cents, event.amount_cents), (Some(250), None));
        });
    }
    let fields = ["b", "a"].map(|theirs| (theirs.to_owned(), "user_id".to_owned())).into();
    let options =
        DecoderOptions { mapping: Mapping { fields, ..Mapping::default() }, ..DecoderOptions::default() };
    with(&options, &page_view(r#","b":"second","a":"first""#), |event| {
        assert_eq!(event.unwrap().user_id, Some("second"));
    });

    let fields = [("ts".to_owned(), "event_timestmp".to_owned())].into();
    let error = Decoder::new(&DecoderOptions {
        mapping: Mapping { fields, ..Mapping::default() },
        ..DecoderOptions::default()
    })
    .unwrap_err();
    let expected = OptionsError::UnknownField {
        theirs: "ts".to_owned(),
        ours: "event_timestmp".to_owned(),
        nearest: "event_timestamp",
    };
    assert_eq!(error, expected);
}

/// The first name wins wherever it stands, a null is as good as nothing, and the last of a repeated name counts.
fn assert_preference(
    names: &[&str],
    member: impl Fn(&str, &str) -> String,
    get: impl Fn(&Event<'_>) -> Option<String>,
) {
    // Without what every page view has of this field.
    let rest: Vec<&str> =
        [r#""user_id":"u""#, r#""event_timestamp":1755720654"#, r#""url":"/""#, r#""http_status":200"#]
            .into_iter()
            .filter(|rest| !names.iter().any(|name| rest.starts_with(&format!("\"{name}\""))))
            .collect();
    let record = |members: &[String]| {
        let members: Vec<&str> = members.iter().map(String::as_str).chain(rest.iter().copied()).collect();
        event(&format!("{{{}}}", members.join(",")), |event| get(&event))
    };
    let value = |rank: usize| (20 + rank).to_string();
    let mut all: Vec<String> =
        names.iter().enumerate().map(|(rank, name)| member(name, &value(rank))).collect();
    for (rank, name) in names.iter().enumerate() {
        assert_eq!(record(&[member(name, &value(rank))]), Some(value(rank)), "{name} alone");
        assert_eq!(record(&all), Some(value(rank)), "{name} before the rest");
        let reversed: Vec<String> = all.iter().rev().cloned().collect();
        assert_eq!(record(&reversed), Some(value(rank)), "{name} after the rest");
        assert_eq!(record(&[member(name, "30"), member(name, "31")]), Some("31".to_owned()), "{name} twice");
        all[rank] = format!(r#""{name}":null"#);
    }
}
