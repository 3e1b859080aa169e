//! What a value may be.

use events::Reason;

use super::{event, page_view, rejection};

#[test]
fn a_user_is_a_string_or_an_integer() {
    let user =
        |value: &str| format!(r#"{{"user_id":{value},"event_timestamp":1,"url":"/","http_status":200}}"#);
    for (value, expected) in [("17", "17"), ("0", "0"), ("-3", "-3"), (r#""ü""#, "ü"), (r#""\u00fc""#, "ü")]
    {
        event(&user(value), |event| assert_eq!(event.user_id, Some(expected)));
    }
    event(&user("123456789012345678901234567890"), |event| assert_eq!(event.user_id.map(str::len), Some(30)));
    for value in ["1.0", "1e3", "true", "[]", "{}", r#""""#] {
        let rejection = rejection(&user(value));
        assert_eq!(rejection.reason, Reason::WrongType, "{value}");
        assert!(rejection.detail.starts_with("user_id: expected "), "{rejection}");
    }
}

#[test]
fn a_status_is_an_integer_from_100_to_599() {
    for status in [100, 200, 404, 599] {
        event(&page_view(&format!(r#","http_status":{status}"#)), |event| {
            assert_eq!(event.http_status, Some(status));
        });
    }
    for status in ["99", "600", "0", "-200", "65736", "99999999999999999999"] {
        let rejection = rejection(&page_view(&format!(r#","http_status":{status}"#)));
        assert_eq!(
            rejection.to_string(),
            format!("status_out_of_range: http_status: {status} is not within 100 to 599")
        );
    }
    for status in ["200.0", "2e2", r#""200""#, "true"] {
        assert_eq!(rejection(&page_view(&format!(r#","http_status":{status}"#))).reason, Reason::WrongType);
    }
}

#[test]
fn amounts_are_whole_cents() {
    let cases = [
        ("19.90", 1990),
        ("19.999", 1999),
        ("0.29", 29),
        ("1.15", 115),
        ("-5.559", -555),
        ("2e2", 20_000),
        ("1.999e1", 1999),
        ("10000000000000", 1_000_000_000_000_000),
    ];
    for (amount, cents) in cases {
        event(&page_view(&format!(r#","amount":{amount},"price":{amount}"#)), |event| {
            assert_eq!((event.amount_cents, event.price_cents), (Some(cents), Some(cents)));
        });
    }
    for amount in ["10000000000000.01", "-1e14", "1e400", r#""19.90""#] {
        assert_eq!(
            rejection(&page_view(&format!(r#","amount":{amount}"#))).reason,
            Reason::WrongType,
            "{amount}"
        );
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
        assert_eq!(rejection(&page_view(&format!(r#","latency_ms":{latency}"#))).reason, Reason::WrongType);
    }
}
