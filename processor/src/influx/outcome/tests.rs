use super::*;

#[test]
fn only_204_is_a_success() {
    assert_eq!(of(204, ""), WriteOutcome::Ok);
    let page = WriteOutcome::Unexpected { status: 200, message: "<html>".to_owned() };
    assert_eq!(of(200, "<html>"), page);
}

#[test]
fn refused_points_of_a_partial_write_are_read_from_the_message() {
    let conflict = r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"f\" on measurement \"a\" is type float, already exists as type integer dropped=2"}"#;
    let WriteOutcome::Partial { refused, message } = of(422, conflict) else { panic!("not partial") };
    assert_eq!(refused, 2);
    assert!(message.starts_with("failure writing points to database: partial write: field type conflict"));
    let retention = r#"{"message":"partial write: dropped 3 points outside retention policy of duration 1h0m0s - oldest point a dropped=3 for database: 78 for retention policy: autogen"}"#;
    assert!(matches!(of(422, retention), WriteOutcome::Partial { refused: 3, .. }));
}

#[test]
fn a_partial_write_without_a_number_refused_at_least_one_point() {
    assert!(matches!(of(422, "no"), WriteOutcome::Partial { refused: 1, .. }));
    assert!(matches!(of(422, "dropped=0"), WriteOutcome::Partial { refused: 1, .. }));
    assert!(matches!(of(422, "dropped=99999999999999999999"), WriteOutcome::Partial { refused: 1, .. }));
}

#[test]
fn every_status_has_its_meaning() {
    let message = String::from("text");
    assert_eq!(of(400, "text"), WriteOutcome::BadLine { message: message.clone() });
    assert_eq!(of(401, "text"), WriteOutcome::Unauthorized { message: message.clone() });
    assert_eq!(of(403, "text"), WriteOutcome::Forbidden { message: message.clone() });
    assert_eq!(of(404, "text"), WriteOutcome::NotFound { message: message.clone() });
    assert_eq!(of(413, "text"), WriteOutcome::TooLarge);
    for status in [429, 503] {
        assert_eq!(of(status, "text"), WriteOutcome::Busy { status, retry_after: None });
    }
    for status in [408, 500, 502, 504, 599] {
        assert_eq!(of(status, "text"), WriteOutcome::Server { status, message: message.clone() });
    }
    for status in [200, 202, 402, 405, 406, 415, 431] {
        assert_eq!(of(status, "text"), WriteOutcome::Unexpected { status, message: message.clone() });
    }
}

#[test]
fn a_redirect_says_where_to() {
    let answer = Answer { status: 301, location: Some("https://other/"), ..Answer::default() };
    let message = "redirects to https://other/".to_owned();
    let outcome = WriteOutcome::of(answer, SystemTime::UNIX_EPOCH);
    assert_eq!(outcome, WriteOutcome::Unexpected { status: 301, message });
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
    let parse = |text| parse_retry_after(text, now);
    assert_eq!(parse("120"), Some(Duration::from_secs(120)));
    assert_eq!(parse(" 0 "), Some(Duration::ZERO));
    assert_eq!(parse("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
    assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
    for nonsense in ["", "-1", "1.5", "soon"] {
        assert_eq!(parse(nonsense), None, "{nonsense:?}");
    }
}

#[test]
fn long_messages_are_cut_at_a_character() {
    assert_eq!(shorten("short"), "short");
    let long = "é".repeat(MESSAGE_BYTES_MAX);
    assert_eq!(shorten(&format!("x{long}")), format!("x{}", "é".repeat((MESSAGE_BYTES_MAX - 1) / 2)));
}

fn of(status: u16, body: &str) -> WriteOutcome {
    WriteOutcome::of(Answer { status, body, ..Answer::default() }, SystemTime::UNIX_EPOCH)
}
