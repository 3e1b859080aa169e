//! Orders: their status, their lines, their amounts and currencies.

use crate::support::{Case, Services, counts, tests};

tests!["money": amounts_are_rounded_and_not_cut,
    the_status_of_an_order_is_no_http_status,
    every_line_of_an_order_counts_and_credits_its_own_click,
    currencies_are_never_added_up];

fn amounts_are_rounded_and_not_cut(services: &Services) {
    let case = Case::of_lines(services, "04-amount-float-noise.ndjson");
    assert_eq!(case.sum("first_click", "revenue_cents"), 20_527);
    assert_eq!(case.sum("first_click", "checkouts"), 6);
}

fn the_status_of_an_order_is_no_http_status(services: &Services) {
    // The second is the only way out that there was, and stays one.
    for settings in ["", "[inputs.fields]\nstatus = \"category\""] {
        let case = Case::of_lines_with(services, "08-order-status.ndjson", settings);
        assert_eq!(case.refused(), counts([]), "{settings}");
        assert_eq!(case.by("events", "event_type", "count"), counts([("add_to_cart", 1), ("checkout", 7)]));
        assert_eq!(case.sum("first_click", "checkouts"), 7, "{settings}");
        assert_eq!(case.sum("first_click", "revenue_cents"), 29_990, "{settings}");
        assert_eq!(case.sum("http_all", "requests"), 0, "{settings}");
    }
}

fn every_line_of_an_order_counts_and_credits_its_own_click(services: &Services) {
    let case = Case::of_lines(services, "11-order-lines.ndjson");
    assert_eq!(case.sum("first_click", "checkouts"), 4);
    assert_eq!(case.sum("first_click", "orders"), 2);
    assert_eq!(case.sum("first_click", "revenue_cents"), 6_500);
    assert_eq!(case.sum("first_click", "attributed"), 3);
    assert_eq!(case.sum("first_click", "unattributed"), 1);
    let credited = counts([("spring", 1_000), ("summer", 2_000), ("autumn", 3_000)]);
    assert_eq!(case.by("attribution", "campaign", "revenue_cents"), credited);
    assert_eq!(case.by("quality", "reason", "count"), counts([]), "nothing is a repeat");
}

fn currencies_are_never_added_up(services: &Services) {
    let case = Case::of_lines(services, "12-currencies.ndjson");
    let revenue = counts([("EUR", 10_000), ("JPY", 1_500_000), ("USD", 10_000)]);
    assert_eq!(case.by("first_click", "currency", "revenue_cents"), revenue);
    assert_eq!(case.by("first_click", "currency", "checkouts"), counts([("EUR", 1), ("JPY", 1), ("USD", 1)]));
}
