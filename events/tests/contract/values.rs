//! What a value may be.

use events::{EventType, Field, FieldSet};

use super::{event, page_view};

#[test]
fn a_user_is_a_string_or_an_integer() {
    let user =
        |value: &str| format!(r#"{{"user_id":{value},"event_timestamp":1,"url":"/","http_status":200}}"#);
    for (value, expected) in [("17", "17"), ("0", "0"), ("-3", "-3"), (r#""ü""#, "ü"), (r#""\u00fc""#, "ü")]
    {
        event(&user(value), |event| assert_eq!(event.user_id, Some(expected)));
    }
    event(&user("123456789012345678901234567890"), |event| assert_eq!(event.user_id.map(str::len), Some(30)));
    for (value, expected) in [("7.0", "7"), ("7.00", "7"), ("9007199254740993", "9007199254740993")] {
        event(&user(value), |event| assert_eq!(event.user_id, Some(expected)));
    }
    for value in ["1.5", "1e3", "true", "[]", "{}"] {
        event(&user(value), |event| {
            assert_eq!(
                (event.user_id, event.notes.unusable),
                (None, FieldSet::of(&[Field::UserId])),
                "{value}"
            );
        });
    }
}

#[test]
fn a_status_is_an_integer_from_0_to_999() {
    for status in [0, 1, 99, 100, 200, 404, 599, 600, 999] {
        event(&page_view(&format!(r#","http_status":{status}"#)), |event| {
            assert_eq!(event.http_status, Some(status));
        });
    }
    for status in ["200.0", "2e2", r#""200""#, r#"" 200 ""#, r#""200 OK""#, r#""200.0""#] {
        event(&page_view(&format!(r#","http_status":{status}"#)), |event| {
            assert_eq!(event.http_status, Some(200), "{status}");
        });
    }
    let unusable =
        ["-1", "1000", "200.5", "99999999999999999999", "true", r#""ok""#, r#""-""#, "{}", "1e400"];
    for status in unusable {
        event(&page_view(&format!(r#","http_status":{status}"#)), |event| {
            assert_eq!((event.http_status, event.kind), (None, EventType::PageView), "{status}");
            assert_eq!(event.notes.unusable, FieldSet::of(&[Field::Status]));
        });
    }
}

#[test]
fn amounts_are_whole_cents() {
    let cases = [
        ("19.90", 1990),
        ("19.999", 2000),
        ("59.699999999999996", 5970),
        ("1707.9999999999998e-2", 1708),
        (r#""14.50""#, 1450),
        ("0.29", 29),
        ("1.15", 115),
        ("-5.559", -556),
        ("2e2", 20_000),
        ("1.999e1", 1999),
        ("0.005", 1),
        ("1.0049999", 100),
        ("10000000000000", 1_000_000_000_000_000),
    ];
    for (amount, cents) in cases {
        event(&page_view(&format!(r#","amount":{amount},"price":{amount}"#)), |event| {
            assert_eq!((event.amount_cents, event.price_cents), (Some(cents), Some(cents)));
        });
    }
    for amount in ["10000000000000.01", "-1e14", "1e400"] {
        event(&page_view(&format!(r#","amount":{amount}"#)), |event| {
            assert_eq!(event.notes.unusable, FieldSet::of(&[Field::Amount]), "{amount}");
        });
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
        event(&page_view(&format!(r#","latency_ms":{latency}"#)), |event| {
            assert_eq!((event.latency_ms, event.notes.unusable), (None, FieldSet::of(&[Field::Latency])));
        });
    }
}

#[test]
fn a_currency_is_told_in_capitals() {
    for (value, expected) in [
        (r#""EUR""#, Some("EUR")),
        (r#"" eur ""#, Some("EUR")),
        (r#""€""#, Some("€")),
        (r#""""#, None),
        (r#""  ""#, None),
    ] {
        event(&page_view(&format!(r#","currency":{value}"#)), |event| {
            assert_eq!((event.currency, event.notes.is_empty()), (expected, true), "{value}");
        });
    }
}
