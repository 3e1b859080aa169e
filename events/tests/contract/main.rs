//! The contract, row by row: names, types, values and reasons.

mod faults;
mod lines;
mod names;
mod types;
mod values;

use events::{Decoder, DecoderOptions, Event, Rejection};

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
