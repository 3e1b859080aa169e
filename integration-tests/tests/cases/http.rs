//! Requests: who made them, with which status, of which route.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Case, Services, counts, lines, plain, tests};

tests!["http": anonymous_visitors_are_requests_in_all_four_ways_of_naming_them,
    a_status_of_a_proxy_is_a_status_of_its_own,
    path_parameters_are_no_routes,
    a_request_without_a_url_is_not_one_of_the_home_page,
    objects_where_text_is_meant_cost_the_field_and_not_the_event];

fn anonymous_visitors_are_requests_in_all_four_ways_of_naming_them(services: &Services) {
    let lines = lines("05-anonymous-user.ndjson");
    let renamed =
        |line: &String| line.replace("\"userId\"", "\"member\"").replace("\"anonymousId\"", "\"visitor\"");
    let others: Vec<String> = lines.iter().map(renamed).collect();
    for (way, lines, fields) in [
        ("no mapping", &lines, ""),
        ("the visitor only", &lines, "anonymousId = \"user_id\""),
        ("both", &lines, "userId = \"user_id\"\nanonymousId = \"user_id\""),
        ("other names", &others, "member = \"user_id\"\nvisitor = \"user_id\""),
    ] {
        let mut case = Case::new(services, "05", 1);
        case.config = case.config.extra(&format!("[inputs.fields]\n{fields}"));
        case.send(&lines.iter().map(|line| plain(0, line)).collect::<Vec<_>>());
        case.run();
        assert_eq!(case.refused(), counts([]), "{way}");
        assert_eq!(case.sum("http_all", "requests"), 4, "{way}");
        assert_eq!(case.sum("http_all", "errors"), 1, "the 503 counts: {way}");
        assert_eq!(case.users(), [3], "anon-1, anon-2 and member-7: {way}");
    }
}

fn a_status_of_a_proxy_is_a_status_of_its_own(services: &Services) {
    let case = Case::of_lines(services, "15-proxy-status.ndjson");
    assert_eq!(case.refused(), counts([]));
    assert_eq!(case.sum("events", "count"), 12, "the one of -1 is a page view");
    assert_eq!(case.sum("http_all", "requests"), 11, "and no request");
    let mut by_status = BTreeMap::new();
    for (status, requests) in case.by("http_status", "status", "requests") {
        *by_status.entry(status.parse::<i64>().expect("a status is a number")).or_insert(0) += requests;
    }
    let one_each = [99, 100, 200, 404, 499, 520, 599, 600, 999].map(|status| (status, 1));
    assert_eq!(by_status, one_each.into_iter().chain([(0, 2)]).collect());
    assert_eq!(case.sum("http_all", "errors"), 2, "520 and 599");
    assert_eq!(case.sum("http", "errors"), 2);
    assert_eq!(case.sum("http_all", "client_errors"), 2, "404 and 499");
    assert_eq!(case.by("quality", "reason", "count"), counts([("unusable", 1)]));
}

fn path_parameters_are_no_routes(services: &Services) {
    let case = Case::of_lines(services, "09-jsessionid.ndjson");
    assert_eq!(case.by("http", "route", "requests"), counts([("/cart", 13), ("/product/:id", 1)]));
    assert_eq!(case.by("http", "route", "errors"), counts([("/cart", 1)]));
    let urls: BTreeSet<_> = case.texts().into_iter().filter(|text| text.starts_with('/')).collect();
    assert_eq!(urls, ["/cart", "/product/42", "/product/:id"].map(str::to_owned).into());
}

fn a_request_without_a_url_is_not_one_of_the_home_page(services: &Services) {
    let case = Case::of_lines(services, "21-no-url.ndjson");
    assert_eq!(case.refused(), counts([]));
    assert_eq!(case.by("http", "route", "requests"), counts([("/", 2), ("__none__", 4)]));
    assert_eq!(case.by("http", "route", "errors"), counts([("__none__", 4)]));
    // Nor is it a URL: the list has the two requests of the home page and nothing else.
    assert_eq!(case.sum("url_top", "requests"), 2);
    assert!(
        !case
            .influx
            .read(&case.influx.buckets().raw, "url_top")
            .iter()
            .any(|top| top.fields["url"] == "__none__")
    );
}

fn objects_where_text_is_meant_cost_the_field_and_not_the_event(services: &Services) {
    let case = Case::of_lines(services, "20-device-object.ndjson");
    assert_eq!(case.refused(), counts([]));
    assert_eq!(case.sum("http_all", "requests"), 10);
    assert_eq!(case.by("http", "route", "requests"), counts([("/", 9), ("/b", 1)]));
    assert_eq!(case.users(), [10]);
    // `device`, `browser`, `country`, `metadata.device`, `user_agent` and `referrer` are objects in one event each; a
    // device of 7 may be the text "7".
    let unusable = case.by("quality", "reason", "count").get("unusable").copied().unwrap_or_default();
    assert!((6..=7).contains(&unusable), "{unusable}");
}
