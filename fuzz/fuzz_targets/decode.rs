//! The input is a run of records, one per line, decoded by one decoder so that it learns and relearns layouts. Nothing
//! may panic, the fast path must answer as the slow path does or not at all, an explanation is of the same answer, and `not_json` must be what an
//! independent parser refuses.

#![no_main]

use events::{Decoder, DecoderOptions, EventType, Mapping, Reason};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|records: &[u8]| {
    let fields = [
        ("ip", "referrer"),
        ("ts", "event_timestamp"),
        ("visitor", "user_id"),
        ("properties.path", "url"),
        ("properties.products.0.id", "product_id"),
        ("context.page.took", "latency_s"),
    ];
    let mapping = Mapping {
        fields: fields.map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned())).into(),
        event_types: [("AddToCart".to_owned(), EventType::AddToCart)].into(),
        ignore: vec!["category".to_owned()],
        ..Mapping::default()
    };
    let options = DecoderOptions { mapping, max_bytes: 4_096, ..DecoderOptions::default() };
    let mut decoder = Decoder::new(&options).expect("the options are valid");
    for record in records.split(|byte| *byte == b'\n') {
        let record = Some(record);
        let slow = decoder.decode_slowly(record).map(|event| format!("{event:?}"));
        for _ in 0..2 {
            if let Some(fast) = record.and_then(|record| decoder.decode_plain(record)) {
                let event = fast.event().expect("plain records are valid UTF-8");
                assert_eq!(Ok(format!("{event:?}")), slow);
            }
        }
        assert_eq!(decoder.decode(record).map(|event| format!("{event:?}")), slow);
        assert_eq!(decoder.explain(record).outcome.map(|event| format!("{event:?}")), slow);
        let reason = slow.err().map(|rejection| rejection.reason);
        if !matches!(reason, Some(Reason::NotJson | Reason::EmptyValue | Reason::TooLarge)) {
            let record = record.unwrap_or_default();
            let record = record.strip_prefix("\u{feff}".as_bytes()).unwrap_or(record);
            assert!(serde_json::from_slice::<IgnoredAny>(record).is_ok(), "accepted what is not JSON");
        }
    }
});
