use chrono::DateTime;
use proptest::prelude::*;

use super::*;

fn number(text: &str) -> Option<i64> {
    from_number(text).map(Timestamp::micros)
}

fn text(text: &str) -> Option<i64> {
    from_text(text).map(Timestamp::micros)
}

#[test]
fn the_unit_of_a_number_is_told_by_its_magnitude() {
    let cases = [
        ("1755720654", 1_755_720_654_000_000),
        ("1755720654.483182", 1_755_720_654_483_182),
        ("1755720654.4831829", 1_755_720_654_483_182),
        ("1755720654.5", 1_755_720_654_500_000),
        ("1.755720654483182e9", 1_755_720_654_483_182),
        ("1755720654483", 1_755_720_654_483_000),
        ("1755720654483.1829", 1_755_720_654_483_182),
        ("1755720654483182", 1_755_720_654_483_182),
        ("1755720654483182.9", 1_755_720_654_483_182),
        ("0", 0),
        ("-0", 0),
        ("7258118399.999999", MICROS_END - 1),
        ("100000000000", 100_000_000_000_000),
        ("100000000000000", 100_000_000_000_000),
    ];
    for (written, micros) in cases {
        assert_eq!(number(written), Some(micros), "{written}");
    }
}

#[test]
fn numbers_outside_the_years_1970_to_2199_are_no_moments() {
    for written in
        ["-1", "-0.000001", "7258118400", "99999999999", "7258118400000", "7258118400000000", "1e17", "1e400"]
    {
        assert_eq!(number(written), None, "{written}");
    }
}

#[test]
fn text_is_rfc_3339_or_the_same_without_an_offset() {
    let micros = 1_755_011_287_863_593;
    let cases = [
        ("2025-08-12T15:08:07.863593+00:00", micros),
        ("2025-08-12T15:08:07.863593Z", micros),
        ("2025-08-12t15:08:07.863593z", micros),
        ("2025-08-12 15:08:07.863593", micros),
        ("2025-08-12T15:08:07.863593", micros),
        ("2025-08-12 17:08:07.863593+02:00", micros),
        ("2025-08-12T09:38:07.863593-05:30", micros),
        ("2025-08-12T15:08:07.8635939999Z", micros),
        ("2025-08-12 15:08:07.8", 1_755_011_287_800_000),
        ("2025-08-12 15:08:07", 1_755_011_287_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("2199-12-31T23:59:59.999999Z", MICROS_END - 1),
    ];
    for (written, expected) in cases {
        assert_eq!(text(written), Some(expected), "{written}");
    }
}

#[test]
fn other_text_is_no_moment() {
    let cases = [
        "",
        "yesterday",
        "1755720654",
        "2025-08-12",
        "2025-08-12T15:08",
        "2025-08-12T15:08:07.",
        "2025-08-12T15:08:07.Z",
        "2025-08-12T15:08:07+0000",
        "2025-08-12T15:08:07+00",
        "2025-08-12T15:08:07 Z",
        "2025-08-12T15:08:07+24:00",
        "2025-08-12T15:08:07+00:60",
        "2025-13-12T15:08:07Z",
        "2025-00-12T15:08:07Z",
        "2025-02-29T15:08:07Z",
        "2100-02-29T15:08:07Z",
        "2025-04-31T15:08:07Z",
        "2025-08-00T15:08:07Z",
        "2025-08-12T24:00:00Z",
        "2025-08-12T15:60:07Z",
        "2025-08-12T15:08:61Z",
        "2025/08/12 15:08:07",
        "2025-08-12_15:08:07",
        " 2025-08-12T15:08:07Z",
        "2025-08-12T15:08:07Zx",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "1970-01-01T00:00:00+00:01",
        "２０25-08-12T15:08:07Z",
    ];
    for written in cases {
        assert_eq!(text(written), None, "{written}");
    }
}

proptest! {
    #[test]
    fn text_is_read_as_chrono_reads_it(
        date in "(19[67]|20[0-9]|2[12][0-9])[0-9]-[01][0-9]-[0-3][0-9]",
        time in "[0-2][0-9]:[0-6][0-9]:[0-5][0-9]",
        fraction in "(\\.[0-9]{1,9})?",
        offset in "(Z|[+-][0-2][0-9]:[0-6][0-9])",
    ) {
        let written = format!("{date}T{time}{fraction}{offset}");
        let expected = DateTime::parse_from_rfc3339(&written)
            .ok()
            .map(|moment| moment.timestamp_micros())
            .filter(|micros| (0..MICROS_END).contains(micros));
        prop_assert_eq!(text(&written), expected, "{}", written);
    }

    #[test]
    fn seconds_keep_every_microsecond(micros in 0..MICROS_END) {
        let written = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        prop_assert_eq!(number(&written), Some(micros));
    }
}
