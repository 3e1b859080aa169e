//! What is no event at all, and which fault is named.

use events::{Decoder, DecoderOptions, Field, FieldSet, Reason};

use super::{event, page_view, rejection, typed};

#[test]
fn what_is_not_one_json_object_is_rejected() {
    for record in [
        "{",
        "{}x",
        "{} {}",
        r#"{"a":1,}"#,
        r#"{a:1}"#,
        "nul",
        r#"{"a":01}"#,
        r#"{"a":"\x"}"#,
        "{\"user_id\":\"u\",\"event_timestamp\":1,\"url\":\"/\"}\u{c}",
        " ",
        "[1,2",
        "{\"a\":\"\n\"}",
    ] {
        assert_eq!(rejection(record).reason, Reason::NotJson, "{record}");
    }
    for record in ["[1,2]", "null", "17", r#""text""#, " true "] {
        assert_eq!(rejection(record).reason, Reason::NotAnObject, "{record}");
    }
    let mut decoder = Decoder::new(&DecoderOptions::default()).unwrap();
    assert_eq!(decoder.decode(Some(b"{\"user_id\":\"\xff\"}")).unwrap_err().reason, Reason::NotJson);
    event(&format!("\u{feff}{}", page_view("")), |event| assert_eq!(event.user_id, Some("u")));
    event(&page_view(r#","\ud800":1,"device":"\ud800","query":"\ud83d","more":"\udfff""#), |event| {
        assert_eq!((event.query, event.device), (None, None), "half a surrogate pair is no text");
        assert_eq!(event.notes.unusable, FieldSet::of(&[Field::Query, Field::Device]));
    });
    event(&format!(" \n{}\r\n", page_view("")), |event| assert_eq!(event.user_id, Some("u")));
}

#[test]
fn unknown_members_are_ignored_however_deep() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    event(&page_view(&format!(r#","more":{deep},"null":null,"n":1e999,"":{{"user_id":5}}"#)), |event| {
        assert_eq!(event.user_id, Some("u"));
    });
}

#[test]
fn a_record_without_value_or_beyond_the_limit_is_rejected() {
    let record = page_view("");
    let options = DecoderOptions { max_bytes: record.len(), ..DecoderOptions::default() };
    let mut decoder = Decoder::new(&options).unwrap();
    assert!(decoder.decode(Some(record.as_bytes())).is_ok());
    let rejection = decoder.decode(Some(format!("{record} ").as_bytes())).unwrap_err();
    assert_eq!(rejection.reason, Reason::TooLarge);
    assert_eq!(decoder.decode(None).unwrap_err().reason, Reason::EmptyValue);
    assert_eq!(decoder.decode(Some(b"")).unwrap_err().reason, Reason::EmptyValue);
}

#[test]
fn faults_are_named_in_the_order_of_the_contract() {
    let broken = r#"{"event_type":"checkout","product_id":"p","checkout_id":"c","event_timestamp":"never"}"#;
    assert_eq!(rejection(broken).reason, Reason::BadTimestamp);
    assert_eq!(rejection(&format!("{broken}]")).reason, Reason::NotJson);
    assert_eq!(rejection(&broken.replace("\"never\"", "{}")).reason, Reason::WrongType);
    assert_eq!(rejection(&broken.replace("\"never\"", "null")).reason, Reason::MissingField);
    let timely = broken.replace("\"never\"", "1");
    assert_eq!(rejection(&timely).to_string(), "missing_field: amount: checkout needs it");
    assert_eq!(
        rejection(&timely.replace('}', r#","amount":"much"}"#)).to_string(),
        r#"wrong_type: amount: expected a number, found the string "much""#
    );
    assert_eq!(rejection(&timely.replace("checkout\"", "hover\"")).reason, Reason::UnknownEventType);
}

#[test]
fn a_detail_fits_a_header() {
    let long = "ü".repeat(5_000);
    for record in [
        page_view(&format!(r#","event_timestamp":"{long}""#)),
        typed(&long, ""),
        typed("checkout", &format!(r#","product_id":"p","checkout_id":"c","amount":"{long}""#)),
    ] {
        let rejection = rejection(&record);
        assert!(rejection.detail.len() <= 200 && rejection.detail.contains("üüü"), "{rejection}");
    }
}
