use super::*;
use crate::{DecoderOptions, Mapping, Reason};

fn decoder(fields: &[(&str, &str)], ignore: &[&str]) -> Decoder {
    let fields = fields.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())).collect();
    let ignore = ignore.iter().map(|name| (*name).to_owned()).collect();
    let mapping = Mapping { fields, ignore, ..Mapping::default() };
    Decoder::new(&DecoderOptions { mapping, ..DecoderOptions::default() }).unwrap()
}

/// `path: what became of it`, one a line.
fn told(decoder: &mut Decoder, record: &str) -> Vec<String> {
    let explanation = decoder.explain(Some(record.as_bytes()));
    let tell = |member: &Member| {
        let became = match &member.became {
            Became::Used(field) => format!("used {}", field.name()),
            Became::Outranked { field, by } => format!("{} by {by}", field.name()),
            Became::Nothing(field) => format!("nothing {}", field.name()),
            Became::Unusable { field, expected } => format!("unusable {}: {expected}", field.name()),
            Became::Everyday { field, expected } => format!("everyday {}: {expected}", field.name()),
            Became::Ignored => "ignored".to_owned(),
            Became::Unknown => "unknown".to_owned(),
        };
        format!("{}: {became}", member.path)
    };
    explanation.members.iter().map(tell).collect()
}

#[test]
fn every_member_is_told_with_what_became_of_it() {
    let record = r#"{"userId":"", "anonymousId":"a1", "user_id":null, "eventTime":1755010800, "timestamp":1, "url":"/",
        "status":"paid", "method":7, "device":{"type":"phone"}, "a":{"b":[1,{}]}, "type":"search", "x.y":"p", "note":"n"}"#;
    assert_eq!(
        told(&mut decoder(&[("x.y", "product_id")], &["note"]), record),
        [
            "userId: nothing user_id",
            "anonymousId: used user_id",
            "user_id: nothing user_id",
            "eventTime: used event_timestamp",
            "timestamp: event_timestamp by eventTime",
            "url: used url",
            "status: everyday http_status: a status of 0 to 999",
            "method: everyday method: a string",
            "device: unusable device: a string",
            "device.type: unknown",
            "a.b.0: unknown",
            "a.b.1: unknown",
            "type: used event_type",
            "x.y: used product_id",
            "note: ignored",
        ]
    );
}

#[test]
fn what_is_refused_is_told_as_well() {
    let mut decoder = decoder(&[], &[]);
    let explanation = decoder.explain(Some(br#"{"user_id":"u","event_time":"01/12/2026"}"#));
    assert_eq!(explanation.outcome.as_ref().unwrap_err().reason, Reason::BadTimestamp);
    assert_eq!(
        explanation.members[1].became,
        Became::Unusable { field: Field::Time, expected: "a moment of the years 1970 to 2199" }
    );
    for (value, reason) in [
        (Some(&b"nonsense"[..]), Reason::NotJson),
        (Some(b"[1]"), Reason::NotAnObject),
        (Some(b""), Reason::EmptyValue),
        (None, Reason::EmptyValue),
    ] {
        let explanation = decoder.explain(value);
        assert_eq!(explanation.outcome.unwrap_err().reason, reason);
        assert!(explanation.members.is_empty());
    }
}

#[test]
fn of_a_name_given_twice_the_last_speaks() {
    assert_eq!(
        told(&mut decoder(&[], &[]), r#"{"user_id":"a","user_id":"b"}"#),
        ["user_id: user_id by user_id", "user_id: used user_id"]
    );
}

#[test]
fn a_status_is_told_as_used_where_the_event_has_it() {
    let page = r#"{"user_id":"a","event_time":1755010800,"url":"/","status":0}"#;
    assert_eq!(told(&mut decoder(&[], &[]), page)[3], "status: used http_status");
    let order = r#"{"user_id":"a","event_time":1755010800,"event_type":"checkout","status":0}"#;
    assert_eq!(told(&mut decoder(&[], &[]), order)[3], "status: nothing http_status");
}

#[test]
fn half_a_character_costs_the_field_even_of_an_everyday_word() {
    let record = r#"{"user_id":"a","event_time":1755010800,"url":"/","query":"\ud83d"}"#;
    assert_eq!(told(&mut decoder(&[], &[]), record)[3], "query: unusable query: a string");
}

#[test]
fn it_is_bounded() {
    let mut decoder = decoder(&[], &[]);
    let many = format!("{{{}}}", (0..500).map(|n| format!("\"m{n}\":{n}")).collect::<Vec<_>>().join(","));
    let explanation = decoder.explain(Some(many.as_bytes()));
    assert!(explanation.cut);
    assert_eq!(explanation.members.len(), MEMBERS_MAX);

    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    let explanation = decoder.explain(Some(deep.as_bytes()));
    assert!(explanation.cut && explanation.members.is_empty());

    let long = format!("{{\"a\":\"{}\",\"b\":1}}", "é".repeat(5000));
    let explanation = decoder.explain(Some(long.as_bytes()));
    assert!(explanation.members[0].value.len() <= VALUE_MAX && explanation.members.len() == 2);
}

#[test]
fn the_outcome_is_the_decoders() {
    let record = r#"{"user_id":"a\u0062","event_time":1755010800,"url":"/","price":"x"}"#;
    let mut decoder = decoder(&[], &[]);
    let explained = format!("{:?}", decoder.explain(Some(record.as_bytes())).outcome);
    assert_eq!(explained, format!("{:?}", decoder.decode(Some(record.as_bytes()))));
}

#[test]
fn a_line_of_a_log_is_told_by_its_pieces() {
    let options = DecoderOptions { format: crate::Format::Combined, ..DecoderOptions::default() };
    let mut decoder = Decoder::new(&options).unwrap();
    let line = r#"192.0.2.1 - ann [12/Aug/2025:15:00:01 +0000] "GET /x HTTP/1.1" 404 12 "-" "UA""#;
    assert_eq!(
        told(&mut decoder, line),
        [
            "user_id: used user_id",
            "method: used method",
            "url: used url",
            "http_status: used http_status",
            "user_agent: used user_agent"
        ]
    );
    assert!(decoder.explain(Some(b"nonsense")).members.is_empty());
}

proptest::proptest! {
    #[test]
    fn every_leaf_of_any_object_is_told_once_and_as_decoded(
        text in "[{][ ]?\"(user_id|a|é|\\\\u0061)\" ?: ?([0-9]{1,3}|\"x\"|null|[\\[]1, ?[{]\"b\":[\\[][\\]][}][\\]]|[{][}])(,\"(url|device|c)\":([{]\"d\":true[}]|\"/\")){0,3} ?[}]"
    ) {
        let mut decoder = decoder(&[("device.d", "device")], &[]);
        if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
            let leaves = text.matches("true").count() + text.matches("\"/\"").count();
            let explanation = decoder.explain(Some(text.as_bytes()));
            proptest::prop_assert!(explanation.members.len() > leaves, "{}", text);
            let told = format!("{:?}", explanation.outcome);
            proptest::prop_assert_eq!(told, format!("{:?}", decoder.decode_slowly(Some(text.as_bytes()))));
        }
    }
}
