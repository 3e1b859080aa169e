use std::collections::BTreeMap;
use std::sync::Arc;

use events::Timestamp;
use influxdb_line_protocol::{FieldValue as ParsedValue, ParsedLine, parse_lines};
use processor_core::Resolution;
use processor_core::schema::{FieldKind, Measurement};
use proptest::prelude::*;

use super::*;

static ALL_KINDS: Measurement = Measurement {
    name: "my measure,ment",
    tags: &["a key", "b=key"],
    fields: &[("count", FieldKind::Integer), ("ratio", FieldKind::Float), ("text,field", FieldKind::Text)],
};
static ONE_TAG: Measurement = Measurement { name: "m", tags: &["t"], fields: &[("f", FieldKind::Integer)] };

#[test]
fn a_point_is_series_fields_and_window_start() {
    let point = all_kinds("GET", "/x", 7, 0.25, "plain");
    assert_eq!(
        encoded(&point, Precision::Seconds),
        r#"my\ measure\,ment,a\ key=GET,b\=key=/x count=7i,ratio=0.25,text\,field="plain" 1755720654"#
    );
}

#[test]
fn the_length_returned_ends_the_series() {
    let mut out = b"earlier\n".to_vec();
    let series_len = encode(&one_tag("v w"), Precision::Millis, &mut out).unwrap();
    assert_eq!(out, b"earlier\nm,t=v\\ w f=1i 1755720654123");
    assert_eq!(series_len, br"m,t=v\ w".len());
}

#[test]
fn delimiters_in_a_tag_are_escaped() {
    assert_eq!(encoded(&one_tag("a,b=c d"), Precision::Seconds), r"m,t=a\,b\=c\ d f=1i 1755720654");
}

#[test]
fn an_empty_tag_becomes_none() {
    assert_eq!(encoded(&one_tag(""), Precision::Seconds), "m,t=none f=1i 1755720654");
}

#[test]
fn control_characters_in_a_tag_become_spaces() {
    assert_eq!(encoded(&one_tag("a\nb\r\tc"), Precision::Seconds), r"m,t=a\ b\ \ c f=1i 1755720654");
}

#[test]
fn backslashes_of_a_tag_do_not_swallow_what_follows() {
    assert_eq!(encoded(&one_tag(r"a\b\"), Precision::Seconds), "m,t=a\u{ff3c}b\u{ff3c} f=1i 1755720654");
    assert_eq!(encoded(&one_tag(r"\\,"), Precision::Seconds), "m,t=\u{ff3c}\u{ff3c}\\, f=1i 1755720654");
}

#[test]
fn quotes_and_backslashes_in_text_are_escaped() {
    let point = all_kinds("x", "y", 0, 0.0, "say \"hi\"\\\nbye\\");
    assert!(encoded(&point, Precision::Seconds).contains("\"say \\\"hi\\\"\\\\\nbye\\\\\""));
}

#[test]
fn times_before_1970_round_down() {
    let mut point = one_tag("x");
    point.time = Timestamp::from_micros(-1);
    assert!(encoded(&point, Precision::Seconds).ends_with(" -1"));
    assert!(encoded(&point, Precision::Millis).ends_with(" -1"));
}

#[test]
fn numbers_that_are_not_finite_are_an_error_and_leave_nothing_behind() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut point = all_kinds("x", "y", 0, 0.0, "");
        point.fields[1] = FieldValue::Float(number);
        let mut out = b"earlier\n".to_vec();
        let error = encode(&point, Precision::Seconds, &mut out).unwrap_err();
        assert_eq!(error, EncodeError::NotFinite { measurement: "my measure,ment", field: "ratio" });
        assert_eq!(out, b"earlier\n");
    }
}

proptest! {
    #[test]
    fn an_independent_parser_reads_back_what_was_written(
        tags in (text(), text()),
        count in any::<i64>(),
        ratio in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
        field in text(),
        micros in -4_000_000_000_000_000..4_000_000_000_000_000_i64,
    ) {
        let mut point = all_kinds(&tags.0, &tags.1, count, ratio, &field);
        point.time = Timestamp::from_micros(micros);
        let text = encoded(&point, Precision::Millis);
        let lines: Vec<ParsedLine<'_>> = parse_lines(&text).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(lines.len(), 1, "{}", text);
        let line = &lines[0];
        prop_assert_eq!(line.series.measurement.as_str(), "my measure,ment");
        let read: BTreeMap<_, _> =
            line.series.tag_set.iter().flatten().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let expected = BTreeMap::from([
            ("a key".to_owned(), stored(&tags.0)),
            ("b=key".to_owned(), stored(&tags.1)),
        ]);
        prop_assert_eq!(read, expected);
        prop_assert_eq!(line.field_value("count"), Some(&ParsedValue::I64(count)));
        let Some(ParsedValue::F64(read)) = line.field_value("ratio") else { panic!("no float in {text}") };
        prop_assert_eq!(read.to_bits(), ratio.to_bits());
        let Some(ParsedValue::String(read)) = line.field_value("text,field") else { panic!("no text in {text}") };
        prop_assert_eq!(read.as_str(), field.as_str());
        prop_assert_eq!(line.timestamp, Some(micros.div_euclid(1_000)));
    }
}

/// Text made of what line protocol gives a meaning, among other characters.
fn text() -> impl Strategy<Value = String> {
    let special =
        prop::sample::select(vec!['\\', ' ', ',', '=', '"', '\n', '\r', '\t', '#', '\'', 'é', '😀', 'i']);
    prop::collection::vec(prop_oneof![3 => special, 1 => any::<char>()], 0..12).prop_map(String::from_iter)
}

/// What a tag value is documented to become.
fn stored(value: &str) -> String {
    if value.is_empty() {
        return EMPTY_TAG.to_owned();
    }
    value.replace('\\', WIDE_BACKSLASH).replace(|char: char| char.is_ascii_control(), " ")
}

fn encoded(point: &Point, precision: Precision) -> String {
    let mut out = Vec::new();
    encode(point, precision, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn one_tag(tag: &str) -> Point {
    Point::new(
        Resolution::Raw,
        &ONE_TAG,
        vec![tag.into()],
        vec![FieldValue::Integer(1)],
        Timestamp::from_micros(1_755_720_654_123_456),
    )
}

fn all_kinds(first: &str, second: &str, count: i64, ratio: f64, text: &str) -> Point {
    Point::new(
        Resolution::Raw,
        &ALL_KINDS,
        vec![first.into(), second.into()],
        vec![FieldValue::Integer(count), FieldValue::Float(ratio), FieldValue::Text(Arc::from(text))],
        Timestamp::from_micros(1_755_720_654_123_456),
    )
}
