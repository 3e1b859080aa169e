//! Which type an event has, and what the type needs.

use events::{DecoderOptions, EventType, Reason};

use super::{event, page_view, rejection, typed, with};

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
fn an_unknown_type_is_a_request_or_rejected() {
    event(&typed("hover", r#","http_status":204"#), |event| assert_eq!(event.kind, EventType::Other));
    assert_eq!(
        rejection(&typed("hover", "")).to_string(),
        r#"unknown_event_type: event_type: "hover" is unknown, and there is no http_status"#
    );
    assert_eq!(rejection(&page_view(r#","event_type":7"#)).reason, Reason::WrongType);
}
