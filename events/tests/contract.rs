//! The contract, row by row: names, types, needs and reasons.

use std::collections::BTreeMap;

use events::{Decoder, DecoderOptions, Event, EventType, OptionsError, Reason, Rejection, Timestamp};

/// Decodes the record, which both paths must agree on, and shows the event to `check`.
fn with<T>(options: &DecoderOptions, record: &str, check: impl Fn(Result<Event<'_>, Rejection>) -> T) -> T {
    let mut decoder = Decoder::new(options).unwrap();
    let slow = decoder.decode_slowly(Some(record.as_bytes())).map(|event| format!("{event:?}"));
    let answer = decoder.decode(Some(record.as_bytes())).map(|event| format!("{event:?}"));
    assert_eq!(answer, slow, "{record}");
    check(decoder.decode(Some(record.as_bytes())))
}

fn event<T>(record: &str, check: impl Fn(Event<'_>) -> T) -> T {
    with(&DecoderOptions::default(), record, |event| {
        check(event.unwrap_or_else(|error| panic!("{record}: {error}")))
    })
}

fn rejection(record: &str) -> Rejection {
    with(&DecoderOptions::default(), record, |event| match event {
        Ok(event) => panic!("{record}: {event:?}"),
        Err(rejection) => rejection,
    })
}

/// A page view with these members more; of a repeated name the last wins.
fn page_view(members: &str) -> String {
    format!(r#"{{"user_id":"u","event_timestamp":1755720654,"url":"/","http_status":200{members}}}"#)
}

/// An event of that type with nothing but what every event needs, and these members.
fn typed(kind: &str, members: &str) -> String {
    format!(r#"{{"user_id":"u","event_timestamp":1755720654,"event_type":"{kind}"{members}}}"#)
}

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
        |event| Some(event.user_id.to_owned()),
    );
    let times = ["event_timestamp", "eventTime", "timestamp", "datetime_occurred", "datetime_occured"];
    assert_preference(
        &times,
        |name, value| format!(r#""{name}":{value}"#),
        |event| Some(event.time.secs().to_string()),
    );
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
fn every_type_is_known_by_each_of_its_names() {
    let all = r#","url":"/","http_status":200,"product_id":"p","checkout_id":"c","amount":1,"conversion_id":"v","query":"q""#;
    let cases = [
        ("page_view", "", EventType::PageView),
        ("search", "", EventType::Search),
        ("product_click", "", EventType::ProductClick),
        ("product_view", "", EventType::ProductClick),
        ("click", "", EventType::ProductClick),
        ("click", r#","campaign_id":null"#, EventType::ProductClick),
        ("click", r#","campaign_id":"""#, EventType::ProductClick),
        ("click", r#","campaign_id":"spring""#, EventType::AdClick),
        ("product_click", r#","campaign_id":"spring""#, EventType::ProductClick),
        ("add_to_cart", "", EventType::AddToCart),
        ("remove_from_cart", "", EventType::RemoveFromCart),
        ("checkout", "", EventType::Checkout),
        ("purchase", "", EventType::Purchase),
        ("ad_click", r#","campaign_id":"spring""#, EventType::AdClick),
        ("conversion", r#","campaign_id":"spring""#, EventType::Conversion),
        ("hover", "", EventType::Other),
        ("Page_View", "", EventType::Other),
        ("", "", EventType::Other),
        ("other", "", EventType::Other),
    ];
    for (name, members, kind) in cases {
        assert_eq!(
            event(&typed(name, &format!("{all}{members}")), |event| event.kind),
            kind,
            "{name}{members}"
        );
    }
    assert_eq!(event(&page_view(r#","event_type":null"#), |event| event.kind), EventType::PageView);
    assert_eq!(
        event(&page_view(r#","eventType":"search","query":"q""#), |event| event.kind),
        EventType::Search
    );
}

#[test]
fn the_inputs_default_type_holds_where_a_record_names_none() {
    let record = r#"{"user_id":"u","event_timestamp":1,"product_id":"p","http_status":200,"url":"/"}"#;
    for kind in [EventType::PageView, EventType::AddToCart, EventType::ProductClick, EventType::Other] {
        let options = DecoderOptions { default_type: kind, ..DecoderOptions::default() };
        assert_eq!(with(&options, record, |event| event.unwrap().kind), kind);
    }
    let options = DecoderOptions { default_type: EventType::Other, ..DecoderOptions::default() };
    let without = r#"{"user_id":"u","event_timestamp":1}"#;
    assert_eq!(with(&options, without, |event| event.unwrap_err().reason), Reason::UnknownEventType);
}

#[test]
fn what_a_type_needs_is_missed() {
    let needs: [(&str, &[(&str, &str)]); 9] = [
        ("page_view", &[("url", r#""/""#), ("http_status", "200")]),
        ("search", &[("search_id or query", r#""s""#)]),
        ("product_click", &[("product_id", r#""p""#)]),
        ("add_to_cart", &[("product_id", r#""p""#)]),
        ("remove_from_cart", &[("product_id", r#""p""#)]),
        ("checkout", &[("product_id", r#""p""#), ("checkout_id", r#""c""#), ("amount", "1")]),
        ("purchase", &[("checkout_id", r#""c""#), ("amount", "1")]),
        ("ad_click", &[("campaign_id", r#""a""#)]),
        ("conversion", &[("amount", "1"), ("campaign_id", r#""a""#), ("conversion_id", r#""v""#)]),
    ];
    for (kind, fields) in needs {
        let members = |without: Option<&str>| -> String {
            let name =
                |name: &str| if name == "search_id or query" { "query".to_owned() } else { name.to_owned() };
            let kept = fields.iter().filter(|(field, _)| Some(*field) != without);
            kept.map(|(field, value)| format!(r#","{}":{value}"#, name(field))).collect()
        };
        event(&typed(kind, &members(None)), |event| assert_eq!(event.kind.name(), kind));
        for (field, _) in fields {
            let expected = format!("missing_field: {field}: {kind} needs it");
            assert_eq!(rejection(&typed(kind, &members(Some(field)))).to_string(), expected);
            let null = format!(r#"{},"{field}":null"#, members(Some(field)));
            assert_eq!(rejection(&typed(kind, &null)).to_string(), expected);
        }
    }
    event(&typed("search", r#","searchId":"s""#), |event| assert_eq!(event.search_id, Some("s")));
    event(&typed("product_click", r#","product_id":"p""#), |event| assert_eq!(event.click_id, None));
    for without in [r#""event_timestamp":1"#, r#""user_id":null,"event_timestamp":1"#] {
        let record = format!(r#"{{{without},"url":"/","http_status":200}}"#);
        assert_eq!(rejection(&record).to_string(), "missing_field: user_id: page_view needs it");
    }
    let record = r#"{"user_id":"u","url":"/","http_status":200}"#;
    assert_eq!(rejection(record).to_string(), "missing_field: event_timestamp: page_view needs it");
}

#[test]
fn a_conversion_is_known_by_its_event_id_where_it_has_none_of_its_own() {
    let id = |members: &str| {
        event(
            &typed("conversion", &format!(r#","amount":1,"campaign_id":"a","event_id":"e"{members}"#)),
            |event| event.conversion_id.unwrap().to_owned(),
        )
    };
    assert_eq!(id(""), "e");
    assert_eq!(id(r#","conversion_id":"v""#), "v");
    assert_eq!(id(r#","conversion_id":"""#), "e");
    event(&page_view(r#","event_id":"e""#), |event| assert_eq!(event.conversion_id, None));
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
fn a_user_is_a_string_or_an_integer() {
    let user =
        |value: &str| format!(r#"{{"user_id":{value},"event_timestamp":1,"url":"/","http_status":200}}"#);
    for (value, expected) in [("17", "17"), ("0", "0"), ("-3", "-3"), (r#""ü""#, "ü"), (r#""\u00fc""#, "ü")]
    {
        event(&user(value), |event| assert_eq!(event.user_id, expected));
    }
    event(&user("123456789012345678901234567890"), |event| assert_eq!(event.user_id.len(), 30));
    for value in ["1.0", "1e3", "true", "[]", "{}", r#""""#] {
        let rejection = rejection(&user(value));
        assert_eq!(rejection.reason, Reason::WrongType, "{value}");
        assert!(rejection.detail.starts_with("user_id: expected "), "{rejection}");
    }
}

#[test]
fn a_status_is_an_integer_from_100_to_599() {
    for status in [100, 200, 404, 599] {
        event(&page_view(&format!(r#","http_status":{status}"#)), |event| {
            assert_eq!(event.http_status, Some(status));
        });
    }
    for status in ["99", "600", "0", "-200", "65736", "99999999999999999999"] {
        let rejection = rejection(&page_view(&format!(r#","http_status":{status}"#)));
        assert_eq!(
            rejection.to_string(),
            format!("status_out_of_range: http_status: {status} is not within 100 to 599")
        );
    }
    for status in ["200.0", "2e2", r#""200""#, "true"] {
        assert_eq!(rejection(&page_view(&format!(r#","http_status":{status}"#))).reason, Reason::WrongType);
    }
}

#[test]
fn amounts_are_whole_cents() {
    let cases = [
        ("19.90", 1990),
        ("19.999", 1999),
        ("0.29", 29),
        ("1.15", 115),
        ("-5.559", -555),
        ("2e2", 20_000),
        ("1.999e1", 1999),
        ("10000000000000", 1_000_000_000_000_000),
    ];
    for (amount, cents) in cases {
        event(&page_view(&format!(r#","amount":{amount},"price":{amount}"#)), |event| {
            assert_eq!((event.amount_cents, event.price_cents), (Some(cents), Some(cents)));
        });
    }
    for amount in ["10000000000000.01", "-1e14", "1e400", r#""19.90""#] {
        assert_eq!(
            rejection(&page_view(&format!(r#","amount":{amount}"#))).reason,
            Reason::WrongType,
            "{amount}"
        );
    }
}

#[test]
fn a_latency_is_finite_and_not_negative() {
    for (latency, ms) in [
        ("0", 0.0),
        ("31.4", 31.4),
        ("-0", 0.0),
        ("1e-3", 0.001),
        ("0.1234567890123456789", 0.12345678901234568),
    ] {
        event(&page_view(&format!(r#","latency_ms":{latency}"#)), |event| {
            assert_eq!(event.latency_ms, Some(ms));
        });
    }
    for latency in ["-0.1", "1e999", "-1"] {
        assert_eq!(rejection(&page_view(&format!(r#","latency_ms":{latency}"#))).reason, Reason::WrongType);
    }
}

#[test]
fn an_unknown_type_is_a_request_or_rejected() {
    event(&typed("hover", r#","http_status":204"#), |event| assert_eq!(event.kind, EventType::Other));
    assert_eq!(
        rejection(&typed("hover", "")).to_string(),
        r#"unknown_event_type: event_type: "hover" is unknown, and there is no http_status"#
    );
    assert_eq!(rejection(&page_view(r#","event_type":7"#)).reason, Reason::WrongType);
}

#[test]
fn what_is_not_one_json_object_is_rejected() {
    for record in [
        "{",
        "{}x",
        "{} {}",
        r#"{"a":1,}"#,
        r#"{a:1}"#,
        "nul",
        "\u{feff}{}",
        r#"{"a":01}"#,
        r#"{"a":"\x"}"#,
        " ",
        "[1,2",
        "{\"a\":\"\n\"}",
    ] {
        assert_eq!(rejection(record).reason, Reason::NotJson, "{record}");
    }
    for record in ["[1,2]", "null", "17", r#""text""#, " true "] {
        assert_eq!(rejection(record).reason, Reason::NotAnObject, "{record}");
    }
    let mut decoder = Decoder::new(&DecoderOptions::default()).unwrap();
    assert_eq!(decoder.decode(Some(b"{\"user_id\":\"\xff\"}")).unwrap_err().reason, Reason::NotJson);
    let lone = rejection(&page_view(r#","query":"\ud800""#));
    assert_eq!(lone.reason, Reason::NotJson, "half a surrogate pair is no text");
    event(&format!(" \n{}\r\n", page_view("")), |event| assert_eq!(event.user_id, "u"));
}

#[test]
fn unknown_members_are_ignored_however_deep() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    event(&page_view(&format!(r#","more":{deep},"null":null,"n":1e999,"":{{"user_id":5}}"#)), |event| {
        assert_eq!(event.user_id, "u");
    });
}

#[test]
fn a_record_without_value_or_beyond_the_limit_is_rejected() {
    let record = page_view("");
    let options = DecoderOptions { max_bytes: record.len(), ..DecoderOptions::default() };
    let mut decoder = Decoder::new(&options).unwrap();
    assert!(decoder.decode(Some(record.as_bytes())).is_ok());
    let rejection = decoder.decode(Some(format!("{record} ").as_bytes())).unwrap_err();
    assert_eq!(rejection.reason, Reason::TooLarge);
    assert_eq!(decoder.decode(None).unwrap_err().reason, Reason::EmptyValue);
    assert_eq!(decoder.decode(Some(b"")).unwrap_err().reason, Reason::EmptyValue);
}

#[test]
fn faults_are_named_in_the_order_of_the_contract() {
    let broken = r#"{"http_status":700,"user_id":1.5,"event_timestamp":"never"}"#;
    assert_eq!(rejection(broken).reason, Reason::WrongType);
    assert_eq!(rejection(&broken.replace("1.5", "1")).reason, Reason::BadTimestamp);
    assert_eq!(
        rejection(&broken.replace("1.5", "1").replace("\"never\"", "1")).reason,
        Reason::StatusOutOfRange
    );
    assert_eq!(rejection(&format!("{broken}]")).reason, Reason::NotJson);
}

#[test]
fn a_detail_fits_a_header() {
    let long = "ü".repeat(5_000);
    for record in [
        page_view(&format!(r#","event_timestamp":"{long}""#)),
        typed(&long, ""),
        page_view(&format!(r#","amount":"{long}""#)),
    ] {
        let rejection = rejection(&record);
        assert!(rejection.detail.len() <= 200 && rejection.detail.contains("üüü"), "{rejection}");
    }
}

#[test]
fn an_inputs_own_names_come_first() {
    let fields: BTreeMap<String, String> =
        [("uid", "user_id"), ("at", "event_timestamp"), ("value", "price"), ("page \"x\"", "url")]
            .map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned()))
            .into();
    let options = DecoderOptions { fields, ..DecoderOptions::default() };
    let record =
        r#"{"user_id":"ours","uid":"theirs","at":17,"value":2.5,"page \"x\"":"/p","http_status":200}"#;
    for record in [record.to_owned(), page_view(r#","uid":"theirs","at":17,"value":2.5,"url":"/p""#)] {
        with(&options, &record, |event| {
            let event = event.unwrap();
            assert_eq!(
                (event.user_id, event.time, event.url),
                ("theirs", Timestamp::from_secs(17), Some("/p"))
            );
            assert_eq!((event.price_cents, event.amount_cents), (Some(250), None));
        });
    }
    let fields = ["b", "a"].map(|theirs| (theirs.to_owned(), "user_id".to_owned())).into();
    let options = DecoderOptions { fields, ..DecoderOptions::default() };
    with(&options, &page_view(r#","b":"second","a":"first""#), |event| {
        assert_eq!(event.unwrap().user_id, "first");
    });

    let fields = [("ts".to_owned(), "event_timestmp".to_owned())].into();
    let error = Decoder::new(&DecoderOptions { fields, ..DecoderOptions::default() }).unwrap_err();
    let expected = OptionsError::UnknownField {
        theirs: "ts".to_owned(),
        ours: "event_timestmp".to_owned(),
        nearest: "event_timestamp",
    };
    assert_eq!(error, expected);
}
