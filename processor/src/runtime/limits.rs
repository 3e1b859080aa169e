//! What is said when a task has no room for more.

use processor_core::{Beyond, Limits};

use super::shared::{Shared, lock, now};
use crate::settings::MemoryPlan;
use crate::status::StatusBoard;

/// Says what a task keeps, and whether the budget is enough for that many.
pub(super) fn introduce(plan: &MemoryPlan, tasks: u32, board: &StatusBoard) {
    let Limits { users, products, event_ids, checkout_ids, clicks, waiting_facts } = plan.limits;
    let urls = plan.urls;
    tracing::info!(
        users,
        products,
        event_ids,
        checkout_ids,
        clicks,
        waiting_facts,
        urls,
        "what memory.budget keeps of each partition at most"
    );
    if let Some(needed) = plan.too_small {
        let text = format!(
            "memory.budget is too little for {tasks} partitions and may be outgrown: set {} MB, or memory.instances to how many \
             instances share them",
            needed.div_ceil(1_000_000)
        );
        tracing::warn!("{text}");
        let _ = board.error(now().millis(), text);
    }
}

/// Warns of every limit that is reached, once: the numbers of it are on the page and in `/metrics`.
pub(super) fn warn(shared: &Shared, beyond: &Beyond) {
    for (limit, events) in beyond.by_limit() {
        if events > 0 && lock(&shared.said).insert(limit) {
            shared.problem(format!("{} ({events} events so far)", meaning(limit)));
        }
    }
}

/// What reaching a limit means, and the cure.
fn meaning(limit: &str) -> &'static str {
    match limit {
        "urls" => {
            "more URLs than a partition keeps apart: further ones count as __other__ in url_top; raise urls.max, or \
             memory.budget where that says less"
        }
        "routes" => "more routes than routes.max: further ones count as __other__; raise routes.max",
        "series" => {
            "routes answer with more methods and statuses than are kept apart: these requests count for the route \
             __other__; raise routes.max"
        }
        "campaigns" => {
            "more campaigns than campaigns.max: further ones count as __other__; raise campaigns.max"
        }
        "currencies" => {
            "more currencies than currencies.max: further ones count as __other__, which is no sum of money; raise \
             currencies.max"
        }
        "clicks" => {
            "more clicks than fit into memory.budget: the oldest were dropped, so checkouts may credit a later click or \
             none; raise memory.budget, or lower attribution.lookback"
        }
        "products" => {
            "clicks of users or products for which memory.budget has no room are not kept, so their checkouts credit \
             none; raise memory.budget"
        }
        "early_facts" => {
            "more clicks and checkouts wait for the watermark than fit into memory.budget: the earliest were decided at \
             once, so an earlier click that comes later is not credited; raise memory.budget, or lower \
             windows.out_of_orderness"
        }
        "users" => {
            "more users than fit into memory.budget: further ones count as one user __other__, so distinct users are too \
             few and their checkouts credit none; raise memory.budget"
        }
        "event_ids" => {
            "more event ids than fit into memory.budget: the oldest were forgotten, so a repeat of such an event counts \
             again; raise memory.budget, or lower dedup.window"
        }
        "checkout_ids" => {
            "more checkout ids than fit into memory.budget: the oldest were forgotten, so a repeat of such a checkout \
             counts again; raise memory.budget, or lower attribution.lookback"
        }
        _ => "a limit of memory.budget is reached; raise it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_says_what_it_means_and_names_the_setting_that_cures_it() {
        for (limit, _) in Beyond::default().by_limit() {
            let text = meaning(limit);
            assert!(text.contains("; raise ") && !text.starts_with("a limit"), "{limit}: {text}");
        }
    }
}
