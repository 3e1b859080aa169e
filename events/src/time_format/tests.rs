use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;

fn format(format: &str, zone: &str) -> TimeFormat {
    TimeFormat::new(format, Some(zone).filter(|zone| !zone.is_empty())).unwrap()
}

fn moment(written: &str) -> Timestamp {
    Timestamp::from_micros(DateTime::parse_from_rfc3339(written).unwrap().timestamp_micros())
}

#[test]
fn a_pattern_reads_what_it_says() {
    let cases = [
        ("%d/%m/%Y %H:%M:%S%.f", "", "01/12/2026 12:45:35.370467", "2026-12-01T12:45:35.370467Z"),
        ("%m/%d/%Y %H:%M:%S%.f", "", "01/12/2026 12:45:35", "2026-01-12T12:45:35Z"),
        ("%d/%m/%Y %H:%M:%S.%f", "", "01/12/2026 12:45:35.370467", "2026-12-01T12:45:35.370467Z"),
        ("%d/%m/%Y %H:%M:%S.%f", "", "01/12/2026 12:45:35", "2026-12-01T12:45:35Z"),
        ("%d/%m/%Y %H:%M:%S,%f", "", "01/12/2026 12:45:35,3704671", "2026-12-01T12:45:35.370467Z"),
        ("%d/%m/%Y %H:%M:%S,%3f", "", "01/12/2026 12:45:35,370", "2026-12-01T12:45:35.370Z"),
        ("%d/%m/%Y %H:%M:%S", "Europe/Berlin", " 01/12/2026 12:45:35 ", "2026-12-01T11:45:35Z"),
        ("%d/%m/%Y %H:%M:%S", "Europe/Berlin", "01/07/2026 12:45:35", "2026-07-01T10:45:35Z"),
        ("%d/%m/%Y %H:%M:%S %z", "Europe/Berlin", "01/07/2026 12:45:35 -0500", "2026-07-01T17:45:35Z"),
        ("%d/%m/%Y %H:%M:%S %Z", "Europe/Berlin", "01/07/2026 12:45:35 CEST", "2026-07-01T10:45:35Z"),
        ("%m/%d/%y %I:%M %p", "America/New_York", "07/01/26 12:45 PM", "2026-07-01T16:45:00Z"),
        ("%d.%m.%Y", "Europe/Berlin", "01.12.2026", "2026-11-30T23:00:00Z"),
        ("%d.%m.%Y %H:%M", "+05:30", "01.12.2026 05:30", "2026-12-01T00:00:00Z"),
        ("%Y%m%d%H%M%S", "", "20261201124535", "2026-12-01T12:45:35Z"),
        ("%G-W%V-%u %H:%M", "", "2026-W49-2 12:45", "2026-12-01T12:45:00Z"),
        ("%Y-%j", "", "2026-335", "2026-12-01T00:00:00Z"),
        ("%s", "Europe/Berlin", "1796129135", "2026-12-01T12:45:35Z"),
        ("%d/%m/%Y 100%% %H:%M", "", "01/12/2026 100% 12:45", "2026-12-01T12:45:00Z"),
        ("%A, %B %d, %Y %T", "UTC", "Tuesday, December 01, 2026 12:45:35", "2026-12-01T12:45:35Z"),
        ("%d/%m/%Y %H:%M:%S", "", "31/12/2016 23:59:60", "2017-01-01T00:00:00Z"),
    ];
    for (pattern, zone, written, expected) in cases {
        assert_eq!(format(pattern, zone).read_text(written), Some(moment(expected)), "{pattern} {written}");
    }
    for written in
        ["", "31/02/2026 12:45:35", "01/13/2026 12:45:35", "1/12/2026", "01/12/1969 12:45:35", "soon"]
    {
        assert_eq!(format("%d/%m/%Y %H:%M:%S", "").read_text(written), None, "{written}");
    }
}

#[test]
fn what_is_not_in_the_format_is_read_if_there_is_no_doubt() {
    let day_first = format("%d/%m/%Y %H:%M:%S", "Europe/Berlin");
    let expected = Some(moment("2026-12-01T11:45:35Z"));
    for written in
        ["2026-12-01T11:45:35Z", "2026-12-01 12:45:35", "[01/Dec/2026:12:45:35 +0100]", "1796125535"]
    {
        assert_eq!(day_first.read_text(written), expected, "{written}");
    }
    assert_eq!(day_first.read_number("1796125535000"), expected);
    assert_eq!(day_first.read_text("12/31/2026 12:45:35"), None, "no month is the 31st");

    let year_day_month = format("%Y%d%m", "");
    assert_eq!(year_day_month.read_text("20260112"), Some(moment("2026-12-01T00:00:00Z")));
    assert_eq!(year_day_month.read_number("20260112"), Some(moment("2026-12-01T00:00:00Z")));
    assert_eq!(year_day_month.read_text("20260113"), None, "neither the other order nor seconds of 1970");
    assert_eq!(year_day_month.read_number("20260113"), None);
}

#[test]
fn a_unit_holds_whatever_the_magnitude() {
    let cases = [
        ("unix_s", "1755010801.5", 1_755_010_801_500_000),
        ("unix_s", "1.7550108015e9", 1_755_010_801_500_000),
        ("unix_ms", "1755010801500.25", 1_755_010_801_500_250),
        ("unix_ms", "86400000", 86_400_000_000),
        ("unix_us", "1755010801500000.9", 1_755_010_801_500_000),
        ("unix_us", "1", 1),
        ("unix_ns", "1755010801500000999", 1_755_010_801_500_000),
        ("unix_ns", "999", 0),
    ];
    for (unit, written, micros) in cases {
        let expected = Some(Timestamp::from_micros(micros));
        assert_eq!(format(unit, "").read_number(written), expected, "{unit} {written}");
        assert_eq!(
            format(unit, "").read_text(&format!(" {written} ")),
            expected,
            "{unit} {written} in quotes"
        );
    }
    for (unit, written) in
        [("unix_s", "1755010801500"), ("unix_s", "-1"), ("unix_ms", "1e400"), ("unix_ns", "1e20")]
    {
        assert_eq!(format(unit, "").read_number(written), None, "{unit} {written}");
    }
    assert_eq!(format("unix_ms", "").read_text("2025-08-12T15:00:01Z"), Some(moment("2025-08-12T15:00:01Z")));
    assert_eq!(format("unix_ms", "").read_text("-1"), None);
}

#[test]
fn a_named_format_is_the_contracts_reading_in_a_zone() {
    let cases = [
        ("clf", "[12/Aug/2025:17:00:01 +0200]", "2025-08-12T15:00:01Z"),
        ("clf", "12/Aug/2025:17:00:01", "2025-08-12T15:00:01Z"),
        ("rfc2822", "Tue, 12 Aug 2025 15:00:01 GMT", "2025-08-12T15:00:01Z"),
        ("rfc3339", "2025-08-12T17:00:01", "2025-08-12T15:00:01Z"),
        ("rfc3339", "2025-08-12T15:00:01Z", "2025-08-12T15:00:01Z"),
        ("rfc3339", "1755010801", "2025-08-12T15:00:01Z"),
    ];
    for (name, written, expected) in cases {
        assert_eq!(
            format(name, "Europe/Berlin").read_text(written),
            Some(moment(expected)),
            "{name} {written}"
        );
    }
    assert_eq!(format("clf", "").read_number("1755010801"), Some(moment("2025-08-12T15:00:01Z")));
}

#[test]
fn a_local_time_that_comes_twice_is_the_first_and_one_that_does_not_come_keeps_the_old_offset() {
    let cases = [
        ("Europe/Berlin", "2025-10-26 01:59:59", "2025-10-25T23:59:59Z"),
        ("Europe/Berlin", "2025-10-26 02:30:00", "2025-10-26T00:30:00Z"),
        ("Europe/Berlin", "2025-10-26 03:00:00", "2025-10-26T02:00:00Z"),
        ("Europe/Berlin", "2025-03-30 01:59:59", "2025-03-30T00:59:59Z"),
        ("Europe/Berlin", "2025-03-30 02:00:00", "2025-03-30T01:00:00Z"),
        ("Europe/Berlin", "2025-03-30 02:30:00", "2025-03-30T01:30:00Z"),
        ("Europe/Berlin", "2025-03-30 03:00:00", "2025-03-30T01:00:00Z"),
        ("America/New_York", "2025-11-02 01:30:00", "2025-11-02T05:30:00Z"),
        ("America/New_York", "2025-03-09 02:30:00", "2025-03-09T07:30:00Z"),
        ("America/Sao_Paulo", "2018-11-04 00:30:00", "2018-11-04T03:30:00Z"),
        ("Australia/Lord_Howe", "2025-10-05 02:15:00", "2025-10-04T15:45:00Z"),
        ("Pacific/Apia", "2011-12-30 12:00:00", "2011-12-30T22:00:00Z"),
        ("Asia/Kolkata", "2025-08-12 20:30:01", "2025-08-12T15:00:01Z"),
    ];
    for (zone, written, expected) in cases {
        for pattern in ["%Y-%m-%d %H:%M:%S", "rfc3339"] {
            assert_eq!(format(pattern, zone).read_text(written), Some(moment(expected)), "{zone} {written}");
        }
    }
}

#[test]
fn faults_name_the_setting_and_the_cure() {
    let errors: Vec<String> = [
        ("%d/%m %H:%M", ""),
        ("%Y-%m %H:%M", ""),
        ("%H:%M", ""),
        ("%Y-%m-%d %I:%M", ""),
        ("%Y-%m-%d %H", ""),
        ("%Y-%m-%d %H:%M:%S.%L", ""),
        ("%Y-%m-%d %N", ""),
        ("%Y-%m-%d %!", ""),
        ("%Y-%m-%d %", ""),
        ("%Y-%m-%d %H:%M %Z", ""),
        ("dd/MM/yyyy HH:mm:ss.SSSSSS", ""),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", ""),
        ("unix_msec", ""),
        ("iso", ""),
        ("", ""),
        ("clf", "Berlin"),
        ("clf", "europe/berlin"),
        ("clf", "America/New York"),
        ("clf", "Europe/Belin"),
        ("clf", "CEST"),
        ("clf", "+25:00"),
        ("clf", "local"),
    ]
    .into_iter()
    .map(|(format, zone)| {
        TimeFormat::new(format, Some(zone).filter(|zone| !zone.is_empty())).unwrap_err().to_string()
    })
    .collect();
    let specifiers = "which is no specifier: it takes what chrono's strftime takes, as in %Y-%m-%d %H:%M:%S";
    let expected = [
        "time.format: `%d/%m %H:%M` has no year: add %Y, or %y for two digits".to_owned(),
        "time.format: `%Y-%m %H:%M` does not say which day: it needs year, month and day, as in %Y-%m-%d"
            .to_owned(),
        "time.format: `%H:%M` has no year: add %Y, or %y for two digits".to_owned(),
        "time.format: `%Y-%m-%d %I:%M` has hours of a half day: add %p, or write %H for those of a whole one"
            .to_owned(),
        "time.format: `%Y-%m-%d %H` does not say the time of day: it needs hours and minutes, as in %H:%M"
            .to_owned(),
        "time.format: `%Y-%m-%d %H:%M:%S.%L` has a `%L`, which is no specifier: write %3f for milliseconds"
            .to_owned(),
        "time.format: `%Y-%m-%d %N` has a `%N`, which is no specifier: write %f for a fraction of a second"
            .to_owned(),
        format!("time.format: `%Y-%m-%d %!` has a `%!`, {specifiers}"),
        "time.format: `%Y-%m-%d %` has a `%`, which is no specifier: write %% for a percent sign".to_owned(),
        "time.format: `%Y-%m-%d %H:%M %Z` has a %Z, whose text is read over: say the zone with `zone`"
            .to_owned(),
        "time.format: `dd/MM/yyyy HH:mm:ss.SSSSSS` is no strftime pattern: write \"%d/%m/%Y %H:%M:%S.%f\""
            .to_owned(),
        "time.format: `yyyy-MM-dd'T'HH:mm:ssXXX` is no strftime pattern: write \"%Y-%m-%dT%H:%M:%S%z\""
            .to_owned(),
        "time.format: `unix_msec` is neither a name nor a strftime pattern; the nearest name is \"unix_ms\""
            .to_owned(),
        "time.format: `iso` is neither a name nor a strftime pattern; the nearest name is \"iso8601\""
            .to_owned(),
        "time.format: `` is neither a name nor a strftime pattern; the nearest name is \"iso8601\""
            .to_owned(),
        "time.zone: there is no time zone `Berlin`; the nearest is `Europe/Berlin`".to_owned(),
        "time.zone: there is no time zone `europe/berlin`; the nearest is `Europe/Berlin`".to_owned(),
        "time.zone: there is no time zone `America/New York`; the nearest is `America/New_York`".to_owned(),
        "time.zone: there is no time zone `Europe/Belin`; the nearest is `Europe/Berlin`".to_owned(),
        "time.zone: there is no time zone `CEST`; the nearest is `CET`".to_owned(),
        "time.zone: there is no time zone `+25:00`; the nearest is `UTC`".to_owned(),
        "time.zone: there is no time zone `local`; the nearest is `UTC`".to_owned(),
    ];
    assert_eq!(errors, expected);
}

#[test]
fn two_are_equal_if_they_are_configured_in_the_same_words() {
    assert_eq!(format("clf", "UTC"), format("clf", "UTC"));
    assert_ne!(format("clf", "UTC"), format("clf", ""));
    assert_ne!(format("clf", ""), format("rfc2822", ""));
    assert!(format!("{:?}", format("%s", "")).contains("%s"));
}

proptest! {
    #[test]
    fn what_a_zone_shows_is_read_back(
        seconds in 0..MICROS_END / 1_000_000,
        zone in proptest::sample::select(&["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"][..]),
    ) {
        let shown = zone.parse::<Tz>().unwrap().timestamp_opt(seconds, 0).unwrap();
        let with_offset = format("%d/%m/%Y %T %z", zone).read_text(&shown.format("%d/%m/%Y %T %z").to_string());
        prop_assert_eq!(with_offset, Some(Timestamp::from_secs(seconds)));
        let without = format("%d/%m/%Y %T", zone).read_text(&shown.format("%d/%m/%Y %T").to_string()).unwrap();
        // Where the time is shown twice, the first is meant.
        let again = zone.parse::<Tz>().unwrap().timestamp_opt(without.secs(), 0).unwrap();
        prop_assert!(without.secs() <= seconds);
        prop_assert_eq!(again.naive_local(), shown.naive_local());
    }

    #[test]
    fn no_format_and_no_text_panics(format in "(%[.:#0-9a-zA-Z]{1,2}|[ /:.,é%-]){0,8}", text in "\\PC{0,24}|[0-9 :/.-]{0,24}") {
        if let Ok(format) = TimeFormat::new(&format, None) {
            let _ = format.read_text(&text);
        }
    }
}
