//! Which name a field is read from.

use events::{Decoder, DecoderOptions, Event, EventType, Field, FieldSet, Mapping, OptionsError, Timestamp};

use super::{event, page_view, typed, with};

#[test]
fn every_text_field_is_read_under_each_of_its_names() {
    type Get = for<'a> fn(&Event<'a>) -> Option<&'a str>;
    let identities: [(&[&str], Get); 8] = [
        (&["event_id", "message_id"], |event| event.event_id),
        (&["product_id", "productId"], |event| event.product_id),
        (&["click_id", "clickId"], |event| event.click_id),
        (&["checkout_id", "checkoutId", "order_id"], |event| event.checkout_id),
        (&["campaign_id", "campaignId"], |event| event.campaign_id),
        (&["conversion_id", "conversionId"], |event| event.conversion_id),
        (&["search_id", "searchId"], |event| event.search_id),
        (&["ad_id"], |event| event.ad_id),
    ];
    let words: [(&[&str], Get); 4] = [
        (&["query"], |event| event.query),
        (&["category"], |event| event.category),
        (&["source"], |event| event.source),
        (&["payment_method"], |event| event.payment_method),
    ];
    let texts: [(&[&str], Get); 7] = [
        (&["url", "page_url"], |event| event.url),
        (&["currency"], |event| event.currency),
        (&["referrer"], |event| event.referrer),
        (&["device"], |event| event.device),
        (&["browser"], |event| event.browser),
        (&["country"], |event| event.country),
        (&["user_agent"], |event| event.user_agent),
    ];
    let with_digits = identities.len() + words.len();
    for (at, (names, get)) in identities.into_iter().chain(words).chain(texts).enumerate() {
        assert_preference(
            names,
            |name, value| format!(r#""{name}":"{value}""#),
            |event| get(event).map(str::to_owned),
        );
        let record = |value: &str| {
            let members = format!(r#""event_timestamp":1,"http_status":200,"{}":{value}"#, names[0]);
            event(&format!("{{{members}}}"), |event| {
                let noted = event.notes.unusable.iter().any(|field| field.name() == names[0]);
                (get(&event).map(str::to_owned), noted)
            })
        };
        let some = |text: &str| (Some(text.to_owned()), false);
        let everyday = ["query", "category"].contains(&names[0]);
        for value in ["true", "{}", "[]", "1.5", r#"{"name":"x"}"#, "[1]"] {
            assert_eq!(record(value), (None, !everyday), "{names:?} {value}");
        }
        for (value, digits) in [("17", "17"), ("9007199254740993", "9007199254740993"), ("7.0", "7")] {
            let expected = if at < with_digits { some(digits) } else { (None, true) };
            assert_eq!(record(value), expected, "{names:?} {value}");
        }
        let capitals = if names[0] == "currency" { "A/é😀" } else { "a/é😀" };
        assert_eq!(record(r#""a\/\u00e9\ud83d\ude00""#), some(capitals));
    }
}

#[test]
fn every_number_is_read_under_each_of_its_names() {
    type Get = fn(&Event<'_>) -> Option<i64>;
    let fields: [(&[&str], Get); 4] = [
        (&["latency_ms", "response_time_ms"], |event| event.latency_ms.map(|ms| (ms * 100.0) as i64)),
        (&["amount", "total_amount", "purchase_amount", "value"], |event| event.amount_cents),
        (&["quantity"], |event| event.quantity.map(|pieces| (pieces * 100.0) as i64)),
        (&["price"], |event| event.price_cents),
    ];
    for (names, get) in fields {
        assert_preference(
            names,
            |name, value| format!(r#""{name}":{value}"#),
            |event| get(event).map(|value| (value / 100).to_string()),
        );
        let record = |value: &str| {
            event(&page_view(&format!(r#","{}":{value}"#, names[0])), |event| {
                (get(&event).map(|value| value / 100), event.notes.unusable.iter().map(Field::name).next())
            })
        };
        for value in [r#""17""#, r#"" 17.0 ""#, r#""+17""#, r#""017""#, "1.7e1"] {
            assert_eq!(record(value), (Some(17), None), "{names:?} {value}");
        }
        for value in ["true", "{}", "[]", "1e999", r#""much""#, r#""12,50""#, r#""NaN""#, r#""€5""#] {
            assert_eq!(record(value), (None, Some(names[0])), "{names:?} {value}");
        }
        assert_eq!(record(r#""""#), (None, None), "an empty text says nothing");
    }
    assert_preference(
        &["http_status", "status"],
        |name, value| format!(r#""{name}":{value}0"#),
        |event| event.http_status.map(|status| (status / 10).to_string()),
    );
    assert_preference(
        &["user_id", "userId", "anonymousId", "anonymous_id"],
        |name, value| format!(r#""{name}":{value}"#),
        |event| event.user_id.map(str::to_owned),
    );
    let times =
        ["event_timestamp", "eventTime", "event_time", "timestamp", "datetime_occurred", "datetime_occured"];
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
    assert_eq!(found(r#","metadata":{"device":"a"},"metadata":{"browser":"b"}"#), (some("a"), some("b")));
    assert_eq!(found(r#","metadata":{"device":"a"},"metadata":{"device":"b"}"#), (some("b"), None));
    assert_eq!(found(r#","metadata":{"device":"\u0061"}"#), (some("a"), None));
    for odd in ["null", "17", r#""device""#, "[]", "{}"] {
        assert_eq!(found(&format!(r#","metadata":{odd}"#)), (None, None));
    }
    assert_eq!(found(r#","metadata.device":"d""#), (None, None), "a dotted name is not a path");
    event(&page_view(r#","metadata":{"device":1}"#), |event| {
        assert_eq!((event.device, event.notes.unusable), (None, FieldSet::of(&[Field::Device])));
    });
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
        assert_eq!((event.url, event.query), (None, Some("")));
    });
    event(&page_view(r#","url":"  ","page_url":" /b ""#), |event| assert_eq!(event.url, Some("/b")));
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

#[test]
fn names_lead_into_objects_and_arrays_and_records_may_be_flattened() {
    let fields = [
        ("properties.path", "url"),
        ("properties.products.0.id", "product_id"),
        ("context.page.took", "latency_s"),
        ("referrer.url", "referrer"),
    ];
    let fields = fields.map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned())).into();
    let mapping = Mapping { fields, ..Mapping::default() };
    let options = DecoderOptions { mapping, ..DecoderOptions::default() };
    let found = |members: &str| {
        with(&options, &format!(r#"{{"event_timestamp":1,"http_status":200{members}}}"#), |event| {
            let event = event.unwrap();
            let texts = [event.url, event.product_id, event.referrer].map(|text| text.map(str::to_owned));
            (texts, event.latency_ms)
        })
    };
    let [url, product, referrer] = ["/a", "p", "r"].map(|text| Some(text.to_owned()));
    assert_eq!(
        found(
            r#","properties":{"products":[ {"id":"p","x":[]} , {"id":"q"} ],"path":"/a"},"context":{"page":{"took":0.25}},"referrer":{"url":"r"}"#
        ),
        ([url.clone(), product.clone(), referrer.clone()], Some(250.0))
    );
    assert_eq!(
        found(r#","properties.path":"/a","properties.products.0.id":"p","referrer":"r""#),
        ([url.clone(), product, referrer], None)
    );
    for odd in [
        r#"{"products":[]}"#,
        r#"{"products":[null]}"#,
        r#"{"products":{}}"#,
        r#"["path"]"#,
        "7",
        r#""path""#,
    ] {
        assert_eq!(found(&format!(r#","properties":{odd}"#)), ([None, None, None], None), "{odd}");
    }
    assert_eq!(found(r#","properties":{"path":"/a"},"properties":7"#), ([url, None, None], None));
}

#[test]
fn an_everyday_word_speaks_only_where_its_value_can_be_what_is_meant() {
    let order = r#","product_id":"p","checkout_id":"c","amount":1"#;
    for status in [r#""paid""#, r#""PENDING""#, "1", "true", r#"{"code":"ok"}"#, "0", "700", r#""000""#] {
        event(&typed("checkout", &format!(r#"{order},"status":{status}"#)), |event| {
            assert_eq!((event.http_status, event.notes.is_empty()), (None, true), "{status}");
        });
    }
    for (status, expected) in [("404", 404), (r#""404""#, 404), ("0", 0), (r#""000""#, 0), ("700", 700)] {
        let record = format!(r#"{{"event_timestamp":1,"url":"/","status":{status}}}"#);
        event(&record, |event| assert_eq!(event.http_status, Some(expected), "{status}"));
    }
    event(&typed("checkout", &format!(r#"{order},"method":"credit_card","value":"high""#)), |event| {
        assert_eq!((event.method, event.amount_cents, event.notes.is_empty()), (None, Some(100), true));
    });
    let times = r#"{"timestamp":"soon","datetime_occurred":17,"url":"/","http_status":200}"#;
    event(times, |event| assert_eq!((event.time, event.notes.is_empty()), (Timestamp::from_secs(17), true)));
    event(r#"{"event_timestamp":1,"url":"/","request":{"id":7},"query":{"a":1}}"#, |event| {
        assert!(event.notes.is_empty() && event.query.is_none());
    });
}

#[test]
fn a_request_line_is_a_method_and_a_url_unless_these_are_there() {
    let found = |members: &str| {
        event(&format!(r#"{{"event_timestamp":1,"http_status":200{members}}}"#), |event| {
            (event.method.map(str::to_owned), event.url.map(str::to_owned))
        })
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(found(r#","request":"POST /a?b HTTP/1.1""#), (some("POST"), some("/a?b")));
    assert_eq!(found(r#","url":"/u","request":"POST /a HTTP/1.1""#), (some("POST"), some("/u")));
    assert_eq!(found(r#","request":"buy milk""#), (None, None));
}

#[test]
fn the_type_is_that_of_the_input_where_a_name_is_ignored() {
    let mapping = Mapping { ignore: vec!["event_type".to_owned()], ..Mapping::default() };
    let options = DecoderOptions { mapping, ..DecoderOptions::default() };
    with(&options, &page_view(r#","event_type":"search""#), |event| {
        assert_eq!(event.unwrap().kind, EventType::PageView);
    });
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
