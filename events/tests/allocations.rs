//! Decoding a common record allocates nothing. Alone in its binary, since counting replaces the allocator.

use allocation_counter::measure;
use events::{Decoder, DecoderOptions};

fn decode(decoder: &mut Decoder, record: &str) {
    assert!(decoder.decode(Some(record.as_bytes())).is_ok(), "{record}");
}

#[test]
fn common_records_are_decoded_without_allocating() {
    let records = [
        r#"{"event_id":"e3f1c2a9b4d5e6f7","user_id":"5d529ba5-063a-45dc-a405-04dc2eebd26b","event_timestamp":1755720654.483182,"event_type":"page_view","url":"/product/42","method":"GET","http_status":200,"latency_ms":31.4}"#,
        r#"{"eventTime":"2025-08-12T15:08:07.863593+00:00","userId":"user1","clickId":"7a86","eventType":"product_click","searchId":null,"productId":"product_1","query":null,"referrer":"search_results","metadata":{"device":"desktop","browser":"chrome"}}"#,
        // Not plain: the slow path needs no memory for a repeated name either.
        r#"{"user_id":"u","url":"/a","url":"/b","http_status":200,"event_timestamp":1755720654}"#,
    ];
    let mut decoder = Decoder::new(&DecoderOptions::default()).unwrap();
    for record in records {
        decode(&mut decoder, record);
        let allocated = measure(|| decode(&mut decoder, record));
        assert_eq!(allocated.count_total, 0, "{record}");
    }
}

#[test]
fn unescaping_reuses_the_decoders_memory() {
    let record = r#"{"user_id":"u","url":"\/a","http_status":200,"event_timestamp":1755720654}"#;
    let mut decoder = Decoder::new(&DecoderOptions::default()).unwrap();
    decode(&mut decoder, record);
    let allocated = measure(|| decode(&mut decoder, record));
    assert!(allocated.count_total <= 1, "beyond serde_json's own: {allocated:?}");
}
