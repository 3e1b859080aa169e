//! Everything a snapshot's state depends on besides the log.

use events::{EventType, Reason};

use crate::options::{InputOptions, Limits, Options, Rekeyed};
use crate::task::TaskIdentity;

/// A text that differs wherever the same log gives another state.
///
/// The settings are taken apart in full, so that a new one does not compile before it is decided here.
pub(super) fn meaning(options: &Options, identity: &TaskIdentity) -> String {
    let TaskIdentity { partition, origin, tasks: _, merge_partitions: _ } = identity;
    let Options {
        window_size,
        allowed_lateness,
        out_of_orderness,
        max_future_skew,
        emit_every: _, // when something is said, not what
        idle_after: _, // what came of it is noted as jumps
        dedup_window,
        attribution_lookback,
        template_routes,
        routes_max,
        urls_max,
        campaigns_max,
        currencies_max,
        default_currency,
        clicks_per_user_max,
        limits,
        inputs,
        rekeyed,
    } = options;
    let spans = [
        window_size,
        allowed_lateness,
        out_of_orderness,
        &max_future_skew.unwrap_or(i64::MAX),
        dedup_window,
        attribution_lookback,
    ];
    // What was forgotten under lower limits is gone, and what was kept under higher ones does not fit.
    let Limits { users, products, event_ids, checkout_ids, clicks, waiting_facts } = limits;
    let limits = [
        routes_max,
        urls_max,
        campaigns_max,
        currencies_max,
        clicks_per_user_max,
        users,
        products,
        event_ids,
        checkout_ids,
        clicks,
        waiting_facts,
    ];
    let all = |inputs: &[InputOptions]| {
        let meaning = |InputOptions { topic, decoder }: &_| format!("{:?}", (topic, decoder));
        inputs.iter().map(meaning).collect::<Vec<_>>().join(", ")
    };
    let inputs = format!("[{}]", all(inputs));
    // How many partitions there are decides when event time begins, which is part of the state.
    let rekeyed = rekeyed.as_ref().map_or_else(String::new, |rekeyed| {
        let Rekeyed { topic, inputs, partitions: _, origin } = rekeyed;
        format!(" {topic} {origin} [{}]", all(inputs))
    });
    // Counts by type and by reason are kept in these orders.
    let types = EventType::ALL.map(EventType::name);
    let reasons = Reason::ALL.map(Reason::name);
    format!(
        "{partition} {origin} {spans:?} {template_routes} {default_currency:?} {limits:?} {inputs}{rekeyed} {types:?} {reasons:?}"
    )
}
