//! Lines of access logs.

use events::{DecoderOptions, EventType, Format, Reason, Timestamp};

use super::with;

const LINE: &str = r#"203.0.113.7 - ana [12/Aug/2025:15:00:01 +0000] "GET //cart;x=1?a=b HTTP/1.1" 503 12 "https://shop.example/" "Fox/1.0""#;

fn options(format: Format) -> DecoderOptions {
    DecoderOptions { format, ..DecoderOptions::default() }
}

#[test]
fn a_line_is_a_request_bare_or_as_a_shipper_sends_it() {
    let quoted = LINE.replace('"', "\\\"");
    let shipped =
        ["message", "log", "line"].map(|name| format!(r#"{{"@timestamp":"x","{name}":"{quoted}\n"}}"#));
    let nested = format!(r#" {{"event":{{"original":"{quoted}"}},"message":null}}"#);
    for record in [LINE.to_owned(), format!("{LINE}\r\n"), nested].into_iter().chain(shipped) {
        with(&options(Format::Combined), &record, |event| {
            let event = event.unwrap_or_else(|error| panic!("{record}: {error}"));
            assert_eq!((event.kind, event.time), (EventType::PageView, Timestamp::from_secs(1_755_010_801)));
            assert_eq!(
                (event.user_id, event.method, event.url),
                (Some("ana"), Some("GET"), Some("/cart;x=1?a=b"))
            );
            assert_eq!((event.http_status, event.user_agent), (Some(503), Some("Fox/1.0")));
            assert_eq!(event.referrer, Some("https://shop.example/"));
        });
    }
}

#[test]
fn what_a_line_does_not_tell_is_absent() {
    let line = r#"::1 - - [12/Aug/2025:15:00:01 +0000] "-" 000 -"#;
    with(&options(Format::Common), line, |event| {
        let event = event.unwrap();
        assert_eq!((event.user_id, event.url, event.method, event.http_status), (None, None, None, Some(0)));
    });
}

#[test]
fn what_is_no_line_is_named() {
    for (record, reason) in [
        ("starting nginx", Reason::BadLine),
        (r#"{"message":7}"#, Reason::BadLine),
        (r#"{"message":"#, Reason::NotJson),
        (&LINE.replace("12/Aug", "99/Aug"), Reason::BadTimestamp),
    ] {
        with(&options(Format::Combined), record, |event| {
            assert_eq!(event.unwrap_err().reason, reason, "{record}");
        });
    }
}
