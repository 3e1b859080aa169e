//! Types of events, and ids that are numbers.

use std::collections::BTreeSet;

use crate::support::{Case, Services, counts, tests};

tests!["types": an_empty_type_is_an_absent_one, ids_that_are_numbers_stay_themselves];

fn an_empty_type_is_an_absent_one(services: &Services) {
    let case = Case::of_lines(services, "27-event-types.ndjson");
    // Types are spelled as the contract has them: eight lines name one that it has not, and have no status either.
    assert_eq!(case.refused(), counts([("unknown_event_type", 8)]));
    let offsets: BTreeSet<_> = case.letters().iter().map(|letter| letter.headers["offset"].clone()).collect();
    assert_eq!(offsets, [1, 2, 3, 4, 5, 6, 7, 11].map(|line: i32| line.to_string()).into());
    let expected = counts([("other", 2), ("page_view", 5), ("product_click", 1)]);
    assert_eq!(case.by("events", "event_type", "count"), expected);
    assert_eq!(case.sum("http_all", "requests"), 4);
}

fn ids_that_are_numbers_stay_themselves(services: &Services) {
    let case = Case::of_lines(services, "24-numeric-ids.ndjson");
    assert_eq!(case.refused(), counts([]));
    assert_eq!(case.sum("events", "count"), 8);
    assert_eq!(case.users(), [3], "7.0 is 7");
    let top = case.influx.read(&case.influx.buckets().hour, "user_top");
    let users: BTreeSet<_> = top.iter().filter_map(|point| point.fields["user_id"].as_str()).collect();
    assert_eq!(users, ["7", "9007199254740992", "9007199254740993"].into());
    assert_eq!(case.sum("first_click", "checkouts"), 2);
    assert_eq!(case.sum("first_click", "attributed"), 2, "the product 42 is the product \"42\"");
    assert_eq!(case.sum("first_click", "revenue_cents"), 2_900);
}
