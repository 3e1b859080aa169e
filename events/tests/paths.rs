//! The fast path answers as the slow path does, or not at all; neither ever panics.

use events::{Decoder, DecoderOptions, EventType, Mapping};
use proptest::prelude::*;
use proptest::sample::select;

fn decoder(default_type: EventType) -> Decoder {
    let fields = [
        ("ip", "referrer"),
        ("ts", "event_timestamp"),
        ("member", "user_id"),
        ("visitor", "user_id"),
        ("properties.path", "url"),
        ("properties.took", "latency_s"),
        ("properties.products.0.id", "product_id"),
        ("context.page.ref", "referrer"),
        ("context.0", "device"),
    ];
    let mapping = Mapping {
        fields: fields.map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned())).into(),
        ignore: vec!["category".to_owned()],
        event_types: [("AddToCart", EventType::AddToCart), ("7", EventType::Search)]
            .map(|(theirs, ours)| (theirs.to_owned(), ours))
            .into(),
        ..Mapping::default()
    };
    Decoder::new(&DecoderOptions { default_type, mapping, ..DecoderOptions::default() }).unwrap()
}

/// What the fast path answers, if it does: the whole event, which each field asked for by itself must agree with.
fn plain(decoder: &mut Decoder, record: &[u8]) -> Option<String> {
    let plain = decoder.decode_plain(record)?;
    let event = plain.event().expect("plain records are valid UTF-8");
    assert_eq!((plain.time(), plain.kind()), (event.time, event.kind));
    assert_eq!(
        (plain.user_id(), plain.method()),
        (event.user_id.map(str::as_bytes), event.method().as_bytes())
    );
    let texts = [
        (plain.event_id(), event.event_id),
        (plain.url(), event.url),
        (plain.product_id(), event.product_id),
        (plain.checkout_id(), event.checkout_id),
        (plain.campaign_id(), event.campaign_id),
        (plain.currency(), event.currency),
    ];
    assert!(texts.iter().all(|(plain, event)| *plain == event.map(str::as_bytes)), "{texts:?}");
    assert_eq!((plain.http_status(), plain.latency_ms()), (event.http_status, event.latency_ms));
    assert_eq!((plain.amount_cents(), plain.notes()), (event.amount_cents, event.notes));
    Some(format!("{event:?}"))
}

/// Decodes on both paths, the fast one twice: the second time it has learned the layout.
fn compare(decoder: &mut Decoder, record: &[u8]) -> Result<(), TestCaseError> {
    for _ in 0..2 {
        let fast = plain(decoder, record);
        let slow = decoder.decode_slowly(Some(record)).map(|event| format!("{event:?}"));
        if let Some(fast) = &fast {
            prop_assert_eq!(Ok(fast), slow.as_ref(), "{}", String::from_utf8_lossy(record));
        }
        let answer = decoder.decode(Some(record)).map(|event| format!("{event:?}"));
        prop_assert_eq!(&answer, &slow, "{}", String::from_utf8_lossy(record));
        if let Err(rejection) = answer {
            prop_assert!(rejection.detail.len() <= 200);
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(record).is_ok();
            if !is_json {
                prop_assert_eq!(
                    rejection.reason.name(),
                    if record.is_empty() { "empty_value" } else { "not_json" }
                );
            }
        }
    }
    Ok(())
}

const NAMES: [&str; 74] = [
    "user_id",
    "userId",
    "event_timestamp",
    "eventTime",
    "timestamp",
    "datetime_occurred",
    "datetime_occured",
    "event_type",
    "eventType",
    "event_id",
    "message_id",
    "url",
    "http_status",
    "status",
    "method",
    "latency_ms",
    "response_time_ms",
    "product_id",
    "productId",
    "click_id",
    "clickId",
    "checkout_id",
    "checkoutId",
    "order_id",
    "amount",
    "total_amount",
    "value",
    "campaign_id",
    "campaignId",
    "conversion_id",
    "conversionId",
    "search_id",
    "searchId",
    "query",
    "category",
    "quantity",
    "price",
    "currency",
    "referrer",
    "device",
    "browser",
    "country",
    "user_agent",
    "metadata",
    "metadata.device",
    "unknown",
    "ip",
    "ts",
    "member",
    "visitor",
    "anonymousId",
    "event_time",
    "event_name",
    "page_url",
    "purchase_amount",
    "ad_id",
    "source",
    "conversion_type",
    "type",
    "payment_method",
    "request",
    "properties",
    "properties",
    "context",
    "context",
    "properties.path",
    "path",
    "products",
    "page",
    "id",
    "0",
    "more",
    "",
    "ü",
];

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9_/-]{0,40}",
        1 => "[ -~]{0,20}".prop_map(|text| text.replace(['"', '\\'], "")),
        1 => "[äöü€😀a-z]{0,24}",
        1 => select(vec!["\\n", "\\u00e9", "\\/", "\\\"", "\\ud83d\\ude00", "\\ud800", "\\x", "a\\\\b"]).prop_map(str::to_owned),
        1 => select(vec!["\n", "\u{7f}", "\u{1}", "\\"]).prop_map(str::to_owned),
    ]
    .prop_map(|text| format!("\"{text}\""))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u64..u64::MAX).prop_map(|number| number.to_string()),
        "[0-9]{1,20}(\\.[0-9]{1,20})?",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{0,4})?([eE][+-]?[0-9]{0,4})?",
        any::<f64>().prop_map(|number| number.to_string()),
    ]
}

fn moment() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0_u64..8_000_000_000, "(\\.[0-9]{1,8})?").prop_map(|(seconds, fraction)| format!("{seconds}{fraction}")),
        1 => (0_u64..8_000_000_000_000, "(\\.[0-9]{1,4})?").prop_map(|(millis, fraction)| format!("{millis}{fraction}")),
        1 => (0_u64..8_000_000_000_000_000, "(\\.[0-9]{1,2})?").prop_map(|(micros, fraction)| format!("{micros}{fraction}")),
        2 => "\"20[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,7})?(Z|[+-][0-2][0-9]:[0-5][0-9])?\"",
    ]
}

fn kind() -> impl Strategy<Value = String> {
    select(vec![
        "page_view",
        "search",
        "product_click",
        "click",
        "product_view",
        "add_to_cart",
        "remove_from_cart",
        "checkout",
        "purchase",
        "ad_click",
        "conversion",
        "refund",
        "AddToCart",
        "7",
        "hover",
        "",
    ])
    .prop_map(|kind| format!("\"{kind}\""))
}

fn anything() -> impl Strategy<Value = String> {
    let literal = select(vec!["null", "true", "false", "nul", "[]", "{}", "[1,{\"a\":[]}]", ""])
        .prop_map(str::to_owned);
    prop_oneof![string(), number(), literal]
}

/// Objects and arrays with names of interest in them, as deep as they may be and a little deeper.
fn nested() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![6 => string(), 2 => number(), 1 => anything()];
    scalar.prop_recursive(4, 16, 4, |inner| {
        let name = select(vec!["path", "took", "products", "id", "page", "ref", "0", "user_id", "x", "y"]);
        let object = prop::collection::vec((name, inner.clone()), 0..4).prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        });
        let array =
            prop::collection::vec(inner, 0..3).prop_map(|elements| format!("[{}]", elements.join(",")));
        prop_oneof![3 => object, 1 => array]
    })
}

/// A number, one in quotes, or a word that may stand where a number is meant.
fn quoted_number() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => number(),
        2 => number().prop_map(|number| format!("\"{number}\"")),
        1 => select(vec!["\" 7\"", "\"+7\"", "\"007\"", "\"paid\"", "\"\"", "\" \"", "\"12,50\"", "\"200 OK\"", "true", "{}"])
            .prop_map(str::to_owned),
    ]
}

fn status() -> impl Strategy<Value = String> {
    let status = prop_oneof![4 => 90_u32..610, 1 => 0_u32..1_100];
    prop_oneof![
        3 => status.clone().prop_map(|status| status.to_string()),
        1 => status.clone().prop_map(|status| format!("\"{status:03}\"")),
        1 => status.prop_map(|status| format!("{status}.0")),
        1 => quoted_number(),
    ]
}

fn request() -> impl Strategy<Value = String> {
    select(vec![
        "GET /a?b HTTP/1.1",
        "/a",
        "POST //x",
        "get / HTTP/2",
        "-",
        "",
        " GET / HTTP/1.0",
        "GET  /a HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ])
    .prop_map(|line| format!("\"{line}\""))
}

fn metadata() -> impl Strategy<Value = String> {
    let name = select(vec!["device", "browser", "version", "os"]);
    let member = (name, prop_oneof![4 => string(), 1 => anything()])
        .prop_map(|(name, value)| format!("\"{name}\":{value}"));
    prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// A member, mostly with a value of the right type.
fn member() -> impl Strategy<Value = String> {
    (select(NAMES.to_vec()), prop::bool::weighted(0.9)).prop_flat_map(|(name, right)| {
        let value = match name {
            _ if !right => anything().boxed(),
            "event_timestamp" | "eventTime" | "event_time" | "timestamp" | "datetime_occurred"
            | "datetime_occured" | "ts" => moment().boxed(),
            "event_type" | "eventType" | "event_name" | "type" => kind().boxed(),
            "http_status" | "status" => status().boxed(),
            "latency_ms" | "response_time_ms" | "amount" | "total_amount" | "purchase_amount" | "value"
            | "quantity" | "price" => quoted_number().boxed(),
            "metadata" => metadata().boxed(),
            "properties" | "context" => nested().boxed(),
            "method" => select(vec!["\"GET\"", "\"post\"", "\"PURGE\"", "\"credit_card\"", "\"\""])
                .prop_map(str::to_owned)
                .boxed(),
            "currency" => select(vec!["\"EUR\"", "\"eur\"", "\" USD \"", "\"€\"", "\"\"", "7"])
                .prop_map(str::to_owned)
                .boxed(),
            "request" => request().boxed(),
            _ => string().boxed(),
        };
        let name = if name == "url" {
            prop_oneof![9 => Just("url"), 1 => Just("u\\u0072l")].boxed()
        } else {
            Just(name).boxed()
        };
        (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"))
    })
}

/// Members enough for most types, so that many records are events.
fn essential() -> impl Strategy<Value = Vec<String>> {
    (string(), moment(), kind(), "[0-9]{1,3}\\.[0-9]{2}").prop_map(|(user, time, kind, amount)| {
        vec![
            format!("\"user_id\":{user}"),
            format!("\"event_timestamp\":{time}"),
            format!("\"event_type\":{kind}"),
            "\"url\":\"/product/1\"".to_owned(),
            "\"http_status\":200".to_owned(),
            "\"product_id\":\"p1\"".to_owned(),
            format!("\"amount\":{amount}"),
            "\"event_id\":\"e1\"".to_owned(),
        ]
    })
}

fn record() -> impl Strategy<Value = String> {
    let members = (essential(), prop::collection::vec(member(), 0..8), 0_usize..9)
        .prop_map(|(mut essential, mut more, keep)| {
            essential.truncate(keep.max(3));
            essential.append(&mut more);
            essential
        })
        .prop_shuffle();
    (members, select(vec![",", ", ", ",", ",\n", " ,"]), select(vec!["", "", "", " ", "\n", " x", "}"]))
        .prop_map(|(members, separator, tail)| {
            let colon = if separator == ", " { "\": " } else { "\":" };
            let members: Vec<String> =
                members.iter().map(|member| member.replacen("\":", colon, 1)).collect();
            format!("{{{}}}{tail}", members.join(separator))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_give_an_event_or_a_rejection(record in prop::collection::vec(any::<u8>(), 0..200)) {
        compare(&mut decoder(EventType::PageView), &record)?;
    }

    #[test]
    fn any_text_gives_an_event_or_a_rejection(record in "[{}\\[\\]\":,a-c0-9.eE+\\-\\\\ untrlfs]{0,60}") {
        compare(&mut decoder(EventType::PageView), record.as_bytes())?;
    }

    #[test]
    fn both_paths_agree_on_records_that_interleave(
        records in prop::collection::vec(record(), 1..6),
        kind in select(EventType::ALL.to_vec()),
    ) {
        let mut decoder = decoder(kind);
        for record in &records {
            compare(&mut decoder, record.as_bytes())?;
        }
    }

    #[test]
    fn both_paths_agree_on_damaged_records(record in record(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut decoder = decoder(EventType::PageView);
        let _ = decoder.decode(Some(record.as_bytes()));
        let mut record = record.into_bytes();
        let at = at.index(record.len());
        if cut {
            record.truncate(at);
        } else {
            record[at] = byte;
        }
        compare(&mut decoder, &record)?;
    }
}

proptest! {
    #[test]
    fn a_latency_of_many_digits_is_the_nearest_double(latency in "[1-9][0-9]{0,3}\\.[0-9]{10,16}") {
        let mut decoder = decoder(EventType::PageView);
        let record = format!(r#"{{"user_id":"u","timestamp":1,"url":"/","http_status":200,"latency_ms":{latency}}}"#);
        let event = decoder.decode(Some(record.as_bytes())).unwrap();
        prop_assert_eq!(event.latency_ms, Some(latency.parse().unwrap()));
    }
}

#[test]
fn a_name_like_the_one_expected_is_another_name() {
    let record =
        r#"{"user_id":"u","url":"/","http_status":200,"datetime_occurred":1755720654,"method":"GET"}"#;
    let mut decoder = decoder(EventType::PageView);
    for at in record.find("datetime_occurred").unwrap()..record.find(":1755").unwrap() - 1 {
        assert!(decoder.decode(Some(record.as_bytes())).is_ok());
        let mut other = record.as_bytes().to_vec();
        other[at] = b'X';
        compare(&mut decoder, &other).unwrap();
        assert!(decoder.decode(Some(&other)).is_err(), "{}", String::from_utf8_lossy(&other));
    }
}

/// That the properties above compare anything: most records our own producer writes take the fast path.
#[test]
fn the_fast_path_answers_for_plain_records() {
    let plain = [
        r#"{"event_id":"e3f1c2a9b4d5e6f7","user_id":"5d529ba5-063a-45dc-a405-04dc2eebd26b","event_timestamp":1755720654.483182,"event_type":"page_view","url":"/product/42","method":"GET","http_status":200,"latency_ms":31.4}"#,
        r#"{"user_id":17,"timestamp":1755720654483,"type":true,"note":null,"url":"/ü","http_status":200}"#,
        r#"{"user_id": "u", "timestamp": "2025-08-12 15:08:07.863", "url": "/", "http_status": 200, "metadata": {"device": "desktop", "os": 1}}"#,
        "{\"user_id\":\"u\",\"timestamp\":1755720654,\"event_type\":\"purchase\",\"order_id\":\"o\",\"amount\":19.999,\"value2\":-1.5}\r\n",
        r#"{"user_id":"u","timestamp":1755720654,"url":"/","http_status":200,"more":[1,{"a":[]},"x"]}"#,
        r#"{"user_id":"u","timestamp":1755720654,"url":"/","http_status":600}"#,
        r#"{"url":"/health","timestamp":"1755720654","http_status":"503"}"#,
        r#"{"visitor":"v","member":"m","ts":"2025-08-12T15:00:01Z","properties":{"path":"/a","took":0.25,"other":{"b":[{}]}},"context":{"page":{"ref":"r"},"device":{"type":"phone"}},"http_status":200,"device":{"type":"phone"}}"#,
        r#"{"userId":"u","timestamp":1755720654,"request":"GET /a HTTP/1.1","status":"406","method":"credit_card"}"#,
    ];
    let mut decoder = decoder(EventType::PageView);
    for record in plain {
        compare(&mut decoder, record.as_bytes()).unwrap();
        assert!(decoder.decode_plain(record.as_bytes()).is_some(), "{record}");
    }
    let odd = [
        r#"{"user_id":"u","timestamp":1755720654,"url":"\/","http_status":200}"#,
        r#"{"user_id":"u","timestamp":1755720654,"url":"/","url":"/2","http_status":200}"#,
        r#"{"user_id":"u","timestamp":1755720654,"url":"/","http_status":2e2}"#,
        r#"{"user_id":"u","timestamp":1755720654,"properties":{"products":[{"id":"p"}]},"url":"/","http_status":200}"#,
    ];
    for record in odd {
        compare(&mut decoder, record.as_bytes()).unwrap();
        assert!(decoder.decode_plain(record.as_bytes()).is_none(), "{record}");
    }
}
