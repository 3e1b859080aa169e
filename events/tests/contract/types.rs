//! Which type an event has, and what the type needs.

use events::{DecoderOptions, EventType, Field, FieldSet, Mapping, Notes, Reason};

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
        ("refund", "", EventType::Refund),
        ("hover", "", EventType::Other),
        ("Page_View", "", EventType::Other),
        ("", "", EventType::PageView),
        (" ", "", EventType::PageView),
        ("", r#","eventType":"search""#, EventType::Search),
        ("", r#","type":"search""#, EventType::Search),
        ("", r#","type":"heartbeat""#, EventType::PageView),
        ("search", r#","type":"purchase""#, EventType::Search),
        ("", r#","event_name":"search""#, EventType::Search),
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
    let needs: [(&str, &[(&str, &str)]); 10] = [
        ("page_view", &[("url or http_status", r#""/""#)]),
        ("search", &[("search_id or query", r#""s""#)]),
        ("product_click", &[("product_id", r#""p""#)]),
        ("add_to_cart", &[("product_id", r#""p""#)]),
        ("remove_from_cart", &[("product_id", r#""p""#)]),
        ("checkout", &[("product_id", r#""p""#), ("checkout_id", r#""c""#), ("amount", "1")]),
        ("purchase", &[("amount", "1")]),
        ("refund", &[("checkout_id", r#""c""#), ("amount", "1")]),
        ("ad_click", &[("campaign_id", r#""a""#)]),
        ("conversion", &[("amount", "1"), ("campaign_id", r#""a""#), ("conversion_id", r#""v""#)]),
    ];
    for (kind, fields) in needs {
        let members = |without: Option<&str>| -> String {
            let name = |name: &'static str| match name {
                "search_id or query" => "query",
                "url or http_status" => "url",
                name => name,
            };
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
    event(&typed("page_view", r#","product_id":"p""#), |event| assert_eq!(event.http_status, None));
    let record = r#"{"user_id":"u","url":"/","http_status":200}"#;
    assert_eq!(rejection(record).to_string(), "missing_field: event_timestamp: every event needs it");
}

#[test]
fn a_request_counts_whatever_its_type_lacks_and_says_what() {
    let lacks: [(&str, &[Field]); 8] = [
        ("page_view", &[Field::Url]),
        ("search", &[Field::UserId, Field::SearchId]),
        ("product_click", &[Field::UserId, Field::ProductId]),
        ("checkout", &[Field::UserId, Field::ProductId, Field::CheckoutId, Field::Amount]),
        ("purchase", &[Field::UserId, Field::CheckoutId, Field::Amount]),
        ("refund", &[Field::CheckoutId, Field::Amount]),
        ("conversion", &[Field::UserId, Field::Amount, Field::CampaignId, Field::ConversionId]),
        ("hover", &[]),
    ];
    for (kind, fields) in lacks {
        let record = format!(r#"{{"event_type":"{kind}","event_timestamp":1,"http_status":503}}"#);
        event(&record, |event| {
            assert_eq!((event.http_status, event.user_id), (Some(503), None));
            assert_eq!(event.notes, Notes { incomplete: FieldSet::of(fields), unusable: FieldSet::EMPTY });
        });
    }
    event(&typed("purchase", r#","event_id":"e","http_status":200"#), |event| {
        assert_eq!((event.notes.incomplete, event.checkout_id), (FieldSet::of(&[Field::Amount]), Some("e")));
    });
}

#[test]
fn nothing_but_facts_needs_a_user() {
    for user in ["", r#""user_id":null,"#, r#""user_id":"","#, r#""userId":"  ","#] {
        let record = format!(r#"{{{user}"event_timestamp":1,"url":"/","http_status":200}}"#);
        event(&record, |event| assert_eq!((event.user_id, event.notes), (None, Notes::NONE)));
        let click = format!(r#"{{{user}"event_timestamp":1,"event_type":"product_click","product_id":"p"}}"#);
        event(&click, |event| assert_eq!(event.notes.incomplete, FieldSet::of(&[Field::UserId])));
    }
}

#[test]
fn an_input_may_call_types_as_it_likes() {
    let event_types = [
        ("AddToCart", EventType::AddToCart),
        ("7", EventType::Search),
        ("search", EventType::PageView),
        ("*", EventType::PageView),
    ];
    let mapping = Mapping {
        event_types: event_types.map(|(theirs, ours)| (theirs.to_owned(), ours)).into(),
        ..Mapping::default()
    };
    let options = DecoderOptions { mapping, ..DecoderOptions::default() };
    for (name, expected) in [
        (r#""AddToCart""#, EventType::AddToCart),
        (r#""addtocart""#, EventType::PageView),
        ("7", EventType::Search),
        (r#""search""#, EventType::PageView),
        (r#""checkout""#, EventType::Checkout),
        (r#""anything""#, EventType::PageView),
    ] {
        let record = format!(
            r#"{{"event_type":{name},"event_timestamp":1,"url":"/","product_id":"p","query":"q","checkout_id":"c","amount":1}}"#
        );
        with(&options, &record, |event| assert_eq!(event.unwrap().kind, expected, "{name}"));
    }
}

#[test]
fn what_a_conversion_is_may_be_told_by_a_member_called_type() {
    let conversion = |members: &str| {
        let record =
            typed("conversion", &format!(r#","amount":1,"campaign_id":"a","event_id":"e"{members}"#));
        event(&record, |event| event.conversion_type.map(str::to_owned))
    };
    assert_eq!(conversion(r#","type":"signup""#), Some("signup".to_owned()));
    assert_eq!(conversion(r#","type":"signup","conversion_type":"sale""#), Some("sale".to_owned()));
    assert_eq!(conversion(r#","type":7"#), Some("7".to_owned()));
    assert_eq!(conversion(r#","type":{}"#), None);
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
    assert_eq!(rejection(&typed("", r#","event_type":7"#)).reason, Reason::UnknownEventType);
    event(&page_view(r#","event_type":{}"#), |event| {
        assert_eq!((event.kind, event.notes.unusable), (EventType::PageView, FieldSet::of(&[Field::Kind])));
    });
}
