//! Times: Kafka's, and those that other tools write.

use std::collections::BTreeMap;

use crate::support::{Case, Services, counts, lines, plain, records, tests};

tests!["times": kafka_timestamps_that_are_none_make_no_event_of_the_future,
    every_form_of_a_time_is_the_moment_that_it_says,
    random_times_are_late_and_said_to_be];

/// 2025-08-12T15:00:00Z.
const T: i64 = 1_755_010_800;
const DAY: i64 = 86_400;

fn kafka_timestamps_that_are_none_make_no_event_of_the_future(services: &Services) {
    let case = Case::new(services, "01", 1);
    let records = records("01-kafka-timestamp.records.jsonl");
    case.send(&records);
    let stamped: Vec<_> =
        case.kafka.read_all(&case.names.topic).iter().map(|it| Some(it.timestamp_ms)).collect();
    assert_eq!(
        stamped,
        records.iter().map(|it| it.timestamp_ms).collect::<Vec<_>>(),
        "stamped as the file says"
    );
    case.run();
    assert_eq!(case.refused(), counts([]));
    assert_eq!(case.sum("http_all", "requests"), 5);
    assert_eq!(case.users(), [5]);
}

fn every_form_of_a_time_is_the_moment_that_it_says(services: &Services) {
    let (first, midnight) = (T + 1, T - 15 * 3_600);
    // By line, from 0.
    let others = [
        (11, Some(T)),              // 15:00Z
        (12, Some(midnight)),       // a date
        (16, Some(midnight + DAY)), // 24:00:00
        (17, Some(1_483_228_800)),  // a leap second is the next minute's first
        (18, None),                 // 0000-00-00
        (28, Some(0)),
        (29, None), // before 1970
        (30, None), // after 2199
        (31, None), // 1e400
    ];
    let lines = lines("17-times.ndjson");
    let mut moments = vec![Some(first); lines.len()];
    others.into_iter().for_each(|(line, moment)| moments[line] = moment);
    assert_moments(services, "17", &lines.into_iter().zip(moments).collect::<Vec<_>>());
}

fn random_times_are_late_and_said_to_be(services: &Services) {
    let case = Case::of_lines(services, "26-random-times.ndjson");
    assert_eq!(case.sum("events", "count"), 5);
    assert_eq!(case.by("quality", "reason", "count"), counts([("late", 35)]));
}

/// Each event in a partition of its own, so that none is late: those with a moment count in that second, and the others
/// are refused.
pub(crate) fn assert_moments(services: &Services, name: &str, events: &[(String, Option<i64>)]) {
    let mut case = Case::new(services, name, i32::try_from(events.len()).expect("a few"));
    case.config = case.config.windows("size", "\"1s\"");
    case.send(&(0..).zip(events).map(|(partition, (value, _))| plain(partition, value)).collect::<Vec<_>>());
    case.run();
    let refused: Vec<&str> =
        events.iter().filter(|(_, at)| at.is_none()).map(|(value, _)| value.as_str()).collect();
    let mut letters: Vec<_> = case.letters();
    letters.sort_by_key(|letter| letter.headers["partition"].parse::<i32>().expect("a number"));
    let letters: Vec<_> = letters.iter().map(|letter| String::from_utf8_lossy(&letter.value)).collect();
    assert_eq!(letters, refused);
    let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
    for moment in events.iter().filter_map(|(_, moment)| *moment) {
        *expected.entry(moment).or_default() += 1;
    }
    assert_eq!(case.by_window("events", "count"), expected);
}
