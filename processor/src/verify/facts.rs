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
    /// A checkout may name none.
    pub(super) product: Option<u64>,
    pub(super) kind: Kind,
    /// False where it was behind the watermark if the wall clock had moved that far.
    pub(super) sure: bool,
}

#[derive(Debug)]
pub(super) enum Kind {
    Click { campaign: Option<Arc<str>> },
    Checkout { cents: i64, currency: Arc<str>, is_first: bool },
}

/// What a checkout is to its order, and whether that is for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    First {
        sure: bool,
    },
    Further {
        sure: bool,
    },
    /// Where it is not for sure, it may be a line of its own.
    Repeat {
        sure: bool,
    },
}

/// A checkout with the click it credits.
#[derive(Debug, PartialEq)]
pub(super) struct Checkout {
    pub(super) time: i64,
    pub(super) cents: i64,
    pub(super) currency: Arc<str>,
    pub(super) is_first: bool,
    /// Microseconds since that click, and its campaign.
    pub(super) click: Option<(i64, Option<Arc<str>>)>,
    /// False where the wall clock decided whether, or with which click, it counts.
    pub(super) sure: bool,
}

#[derive(Debug)]
struct Click {
    time: i64,
    product: Option<u64>,
    campaign: Option<Arc<str>>,
    sure: bool,
}

#[derive(Debug)]
pub(super) struct Facts {
    waiting: Vec<Fact>,
    seen: Repeats,
    /// Orders and lines whose first use may have been behind the watermark.
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

    /// What a checkout of this order and line is; `sure` where it was surely not behind the watermark.
    pub(super) fn line(&mut self, order: u64, line: u64, time: i64, sure: bool) -> Line {
        if self.seen.is_repeat(line, time) {
            return Line::Repeat { sure: sure && !self.unsure.contains(&line) };
        }
        let is_first = !self.seen.is_repeat(order, time);
        if !sure {
            self.unsure.insert(line);
            if is_first {
                self.unsure.insert(order);
            }
        }
        match is_first {
            true => Line::First { sure },
            false => Line::Further { sure: sure && !self.unsure.contains(&order) },
        }
    }

    /// Whether a line may have been counted only behind the watermark, so that its repeat may be the line.
    pub(super) fn is_unsure(&self, line: u64) -> bool {
        self.unsure.contains(&line)
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
                Kind::Checkout { cents, currency, is_first } => {
                    let same = |click: &&Click| fact.product.is_some() && click.product == fact.product;
                    let first = clicks.iter().find(same);
                    to(Checkout {
                        time: fact.time,
                        cents,
                        currency,
                        is_first,
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
            product: Some(9),
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
            product: Some(9),
            kind: Kind::Checkout { cents: 500, currency: "none".into(), is_first: true },
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
        let other = Fact { product: Some(8), ..click(HOUR, "") };
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

    #[test]
    fn another_product_is_another_line_and_the_same_a_repeat() {
        let mut all = Facts::new(&rules());
        assert_eq!(all.line(1, 11, HOUR, true), Line::First { sure: true });
        assert_eq!(all.line(1, 12, HOUR, true), Line::Further { sure: true });
        assert_eq!(all.line(1, 11, HOUR + 5, true), Line::Repeat { sure: true });
        assert_eq!(all.line(2, 21, HOUR, false), Line::First { sure: false });
        assert_eq!(all.line(2, 22, HOUR, true), Line::Further { sure: false });
        assert_eq!(all.line(2, 21, HOUR, true), Line::Repeat { sure: false });
    }
}
