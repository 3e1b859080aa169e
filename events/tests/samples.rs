//! The contract's sample records decode as they stand.

use events::{Decoder, DecoderOptions, EventType, Timestamp};

fn decoder(default_type: EventType) -> Decoder {
    Decoder::new(&DecoderOptions { default_type, ..DecoderOptions::default() }).unwrap()
}

#[test]
fn a_request_without_type_is_a_page_view() {
    let mut decoder = decoder(EventType::PageView);
    let record = br#"{"user_id":"5d529ba5-063a-45dc-a405-04dc2eebd26b","url":"search/categories","http_status":404,"event_timestamp":1755720654.4831822}"#;
    let event = decoder.decode(Some(record)).unwrap();
    assert_eq!(event.user_id.unwrap(), "5d529ba5-063a-45dc-a405-04dc2eebd26b");
    assert_eq!(event.kind, EventType::PageView);
    assert_eq!(event.url, Some("search/categories"));
    assert_eq!(event.http_status, Some(404));
    assert_eq!(event.time, Timestamp::from_micros(1_755_720_654_483_182));
    assert_eq!(event.method(), "GET");
}

#[test]
fn a_product_click_in_camel_case_brings_its_metadata() {
    let mut decoder = decoder(EventType::PageView);
    let record = br#"{"eventTime":"2025-08-12T15:08:07.863593+00:00","userId":"user1","clickId":"7a86","eventType":"product_click","searchId":null,"productId":"product_1","query":null,"referrer":"search_results","metadata":{"device":"desktop","browser":"chrome"}}"#;
    let event = decoder.decode(Some(record)).unwrap();
    assert_eq!(event.kind, EventType::ProductClick);
    assert_eq!(event.time, Timestamp::from_micros(1_755_011_287_863_593));
    assert_eq!(
        (event.user_id, event.click_id, event.product_id),
        (Some("user1"), Some("7a86"), Some("product_1"))
    );
    assert_eq!((event.search_id, event.query), (None, None));
    assert_eq!(
        (event.referrer, event.device, event.browser),
        (Some("search_results"), Some("desktop"), Some("chrome"))
    );
}

#[test]
fn a_click_of_an_input_of_clicks_needs_no_type() {
    let record = br#"{"click_id":"c1","user_id":17,"product_id":"p9","url":"/p9","datetime_occured":"2025-08-12 15:08:07.863"}"#;
    let mut clicks = decoder(EventType::ProductClick);
    let event = clicks.decode(Some(record)).unwrap();
    assert_eq!((event.user_id, event.click_id, event.product_id), (Some("17"), Some("c1"), Some("p9")));
    assert_eq!(event.time, Timestamp::from_micros(1_755_011_287_863_000));

    let mut views = decoder(EventType::PageView);
    let event = views.decode(Some(record)).unwrap();
    assert_eq!((event.kind, event.http_status), (EventType::PageView, None), "a view, and no request");
}

#[test]
fn a_conversion_takes_its_event_id_and_whole_cents() {
    let mut decoder = decoder(EventType::PageView);
    let record = br#"{"event_id":"e1","event_type":"conversion","user_id":"u1","campaign_id":"spring","value":19.90,"timestamp":1755720654483}"#;
    let event = decoder.decode(Some(record)).unwrap();
    assert_eq!(event.kind, EventType::Conversion);
    assert_eq!((event.conversion_id, event.event_id), (Some("e1"), Some("e1")));
    assert_eq!(event.amount_cents, Some(1990));
    assert_eq!(event.time, Timestamp::from_millis(1_755_720_654_483));
}
