//! Clicks and checkouts of one partition number: sorted by event time, each checkout looks back.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::repeats::{ByMark, Repeats};
use super::rules::Rules;

/// A click or a checkout that was not behind the watermark.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) time: i64,
    /// Causes come before what they may explain.
    pub(super) cause: u8,
    pub(super) input: u16,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) user: u64,
    pub(super) product: u64,
    pub(super) kind: Kind,
    /// False where it was behind the watermark if the wall clock had moved that far.
    pub(super) sure: bool,
}

#[derive(Debug)]
pub(super) enum Kind {
    Click { campaign: Option<Arc<str>> },
    Checkout { cents: i64 },
}

/// A checkout with the click it credits.
#[derive(Debug, PartialEq)]
pub(super) struct Checkout {
    pub(super) time: i64,
    pub(super) cents: i64,
    /// Microseconds since that click, and its campaign.
    pub(super) click: Option<(i64, Option<Arc<str>>)>,
    /// False where the wall clock decided whether, or with which click, it counts.
    pub(super) sure: bool,
}

#[derive(Debug)]
struct Click {
    time: i64,
    product: u64,
    campaign: Option<Arc<str>>,
    sure: bool,
}

#[derive(Debug)]
pub(super) struct Facts {
    waiting: Vec<Fact>,
    seen: Repeats,
    /// Checkout ids whose first use may have been behind the watermark.
    unsure: HashSet<u64>,
    clicks: ByMark<VecDeque<Click>>,
}

impl Facts {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            waiting: Vec::new(),
            seen: Repeats::new(rules.lookback),
            unsure: HashSet::new(),
            clicks: ByMark::default(),
        }
    }

    pub(super) fn push(&mut self, fact: Fact) {
        self.waiting.push(fact);
    }

    /// Whether a checkout of this id counts: not at all where it is repeated, and not for sure where what it repeats
    /// may not have counted itself.
    pub(super) fn first_of_its_id(&mut self, id: u64, time: i64, sure: bool) -> Option<bool> {
        if self.seen.is_repeat(id, time) {
            return self.unsure.contains(&id).then_some(false);
        }
        if !sure {
            self.unsure.insert(id);
        }
        Some(sure)
    }

    /// Decides everything before `until`, in order of event time; at the same instant causes first, then by input,
    /// partition and offset.
    pub(super) fn decide(&mut self, until: i64, rules: &Rules, mut to: impl FnMut(Checkout)) {
        self.waiting
            .sort_unstable_by_key(|fact| (fact.time, fact.cause, fact.input, fact.partition, fact.offset));
        let ready = self.waiting.partition_point(|fact| fact.time < until);
        for fact in self.waiting.drain(..ready) {
            let clicks = self.clicks.entry(fact.user).or_default();
            let from = fact.time - rules.lookback;
            while clicks.front().is_some_and(|click| click.time < from) {
                clicks.pop_front();
            }
            match fact.kind {
                Kind::Click { campaign } => {
                    if clicks.len() >= rules.clicks_max {
                        clicks.pop_front();
                    }
                    clicks.push_back(Click {
                        time: fact.time,
                        product: fact.product,
                        campaign,
                        sure: fact.sure,
                    });
                }
                Kind::Checkout { cents } => {
                    let first = clicks.iter().find(|click| click.product == fact.product);
                    to(Checkout {
                        time: fact.time,
                        cents,
                        click: first.map(|click| (fact.time - click.time, click.campaign.clone())),
                        sure: fact.sure && first.is_none_or(|click| click.sure),
                    });
                }
            }
        }
        if until != i64::MAX {
            self.seen.forget_before(until);
        }
    }

    /// Drops the clicks that no checkout at or after `watermark` can credit.
    pub(super) fn forget(&mut self, watermark: i64, rules: &Rules) {
        let from = watermark - rules.lookback;
        self.clicks.retain(|_, clicks| clicks.back().is_some_and(|click| click.time >= from));
    }
}

#[cfg(test)]
mod tests {
    use events::EventType;

    use super::super::rules::{HOUR, SECOND};
    use super::super::tests::rules;
    use super::*;

    fn click(time: i64, campaign: &str) -> Fact {
        let campaign = (!campaign.is_empty()).then(|| campaign.into());
        Fact {
            time,
            cause: EventType::ProductClick.cause_rank(),
            input: 0,
            partition: 0,
            offset: time,
            user: 1,
            product: 9,
            kind: Kind::Click { campaign },
            sure: true,
        }
    }

    fn checkout(time: i64) -> Fact {
        Fact {
            time,
            cause: EventType::Checkout.cause_rank(),
            input: 0,
            partition: 0,
            offset: time,
            user: 1,
            product: 9,
            kind: Kind::Checkout { cents: 500 },
            sure: true,
        }
    }

    fn decide(facts: Vec<Fact>) -> Vec<Checkout> {
        let mut all = Facts::new(&rules());
        facts.into_iter().for_each(|fact| all.push(fact));
        let mut decided = Vec::new();
        all.decide(i64::MAX, &rules(), |checkout| decided.push(checkout));
        decided
    }

    #[test]
    fn the_earliest_click_within_the_lookback_is_credited_whatever_the_order_of_arrival() {
        let at = 2 * HOUR;
        let decided = decide(vec![
            checkout(at),
            click(at - 10 * SECOND, "late"),
            click(at - HOUR, "first"),
            click(at - HOUR - 1, "too early"),
            click(at + 1, "after"),
        ]);
        assert_eq!(decided.len(), 1);
        assert_eq!(decided[0].click, Some((HOUR, Some("first".into()))));
    }

    #[test]
    fn a_click_at_the_moment_of_its_checkout_is_credited_wherever_it_was_written() {
        for (offset, partition) in [(0, 0), (9, 0), (0, 9)] {
            let click = Fact { offset, partition, ..click(HOUR, "same") };
            let checkout = Fact { offset: 5, partition: 5, ..checkout(HOUR) };
            assert_eq!(decide(vec![checkout, click])[0].click, Some((0, Some("same".into()))));
        }
    }

    #[test]
    fn a_checkout_without_a_click_stands_alone() {
        let other = Fact { product: 8, ..click(HOUR, "") };
        assert_eq!(decide(vec![other, checkout(HOUR + 5)])[0].click, None);
    }

    #[test]
    fn a_click_that_the_wall_clock_may_have_left_behind_makes_its_checkout_unsure() {
        let unsure = |fact| Fact { sure: false, ..fact };
        assert!(!decide(vec![unsure(click(HOUR, "")), checkout(HOUR + 5)])[0].sure);
        assert!(decide(vec![click(HOUR, ""), unsure(click(HOUR + 1, "")), checkout(HOUR + 5)])[0].sure);
    }

    #[test]
    fn the_oldest_of_too_many_clicks_goes() {
        let mut rules = rules();
        rules.clicks_max = 2;
        let mut all = Facts::new(&rules);
        for fact in [click(1, "a"), click(2, "b"), click(3, "c"), checkout(4)] {
            all.push(fact);
        }
        all.decide(i64::MAX, &rules, |checkout| assert_eq!(checkout.click, Some((2, Some("b".into())))));
    }
}
