//! First click per checkout: a checkout at T of user u and product p credits the earliest click of u on p in
//! `[T − lookback, T]`. A checkout is one line of an order.

mod counts;
mod snapshot;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{PointMaker, Span, integer, sum_by_name};
use crate::near;
use crate::point::FieldValue;
use crate::schema;
use crate::sketch::Sketch;
use crate::tables::Tables;

pub(crate) use counts::ClickCounts;

/// The model's tag in the measurement `attribution`.
pub(crate) const MODEL: &str = "first_click";
/// The campaign's tag where the credited click came by none.
const NO_CAMPAIGN: &str = "none";

/// Bytes of a kept click.
pub(crate) const CLICK_BYTES: usize = size_of::<Click>();

/// A click as kept for attribution: 16 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Click {
    pub(crate) time: i64,
    pub(crate) product: u32,
    pub(crate) campaign: Campaign,
}

/// A campaign's slot, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Campaign(u32);

impl Campaign {
    pub(crate) const NONE: Self = Self(u32::MAX);

    pub(crate) fn slot(slot: u32) -> Self {
        Self(slot)
    }
}

/// One user's clicks of the lookback, in event-time order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clicks(VecDeque<Click>);

impl Clicks {
    /// Asks for the place that the next click is kept at.
    #[inline]
    pub(crate) fn ask_for(&self) {
        if let Some(last) = self.0.back() {
            near::ask_for(last);
        }
    }

    /// Whether any is before `time`.
    pub(crate) fn any_before(&self, time: i64) -> bool {
        self.0.front().is_some_and(|click| click.time < time)
    }

    /// Forgets clicks before `time`.
    pub(crate) fn drop_before(&mut self, time: i64) {
        while self.0.front().is_some_and(|click| click.time < time) {
            self.0.pop_front();
        }
        if self.0.is_empty() && self.0.capacity() > 0 {
            self.0 = VecDeque::new();
        }
    }

    /// Keeps a click, dropping the oldest where there are `max` already; returns the time of the one dropped.
    pub(crate) fn push(&mut self, click: Click, max: usize) -> Option<i64> {
        let full = self.0.len() >= max;
        let gone = if full { self.0.pop_front().map(|click| click.time) } else { None };
        if self.0.len() == self.0.capacity() {
            // Not twofold, and one at first: with the ids, these are most of the memory, and many users click once.
            self.0.reserve_exact(self.0.len() / 4 + 1);
        }
        let last = self.0.back().map_or(click.time, |last| last.time);
        if last <= click.time {
            self.0.push_back(click);
        } else {
            // Decided after a later one, which was decided early.
            let at = self.0.partition_point(|kept| kept.time <= click.time);
            self.0.insert(at, click);
        }
        gone
    }

    /// The earliest click on `product` not before `from`: its time and campaign.
    pub(crate) fn first(&self, product: u32, from: i64) -> Option<(i64, Campaign)> {
        let found = self.0.iter().find(|click| click.product == product && click.time >= from)?;
        Some((found.time, found.campaign))
    }
}

/// What one window's checkouts came to, by the slot of their currency.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window(BTreeMap<u32, OfCurrency>);

/// The same in one currency: amounts of several are no sum.
#[derive(Debug, Clone, Default)]
struct OfCurrency {
    sums: Sums,
    campaigns: BTreeMap<Campaign, Credit>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    checkouts: u64,
    /// Checkouts that are the first line of their order.
    orders: u64,
    attributed: u64,
    revenue_cents: i64,
    attributed_revenue_cents: i64,
    /// Seconds from the credited click to the checkout.
    lag_s: Sketch,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Credit {
    conversions: u64,
    revenue_cents: i64,
}

/// A checkout to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) amount_cents: i64,
    /// Its currency's slot.
    pub(crate) currency: u32,
    /// Whether it is the first of its order.
    pub(crate) is_first: bool,
}

impl Window {
    /// Counts a checkout of this window. `click` is the credited one, with the lag to it in microseconds.
    pub(crate) fn count(&mut self, line: Line, click: Option<(i64, Campaign)>) {
        let Line { amount_cents, currency, is_first } = line;
        let OfCurrency { sums, campaigns } = self.0.entry(currency).or_default();
        sums.checkouts += 1;
        sums.orders += u64::from(is_first);
        sums.revenue_cents = sums.revenue_cents.saturating_add(amount_cents);
        let Some((lag, campaign)) = click else { return };
        sums.attributed += 1;
        sums.attributed_revenue_cents = sums.attributed_revenue_cents.saturating_add(amount_cents);
        sums.lag_s.add(lag as f64 / 1e6);
        let credit = campaigns.entry(campaign).or_default();
        credit.conversions += 1;
        credit.revenue_cents = credit.revenue_cents.saturating_add(amount_cents);
    }

    pub(crate) fn fold(&mut self, part: &Self) {
        for (currency, part) in &part.0 {
            let OfCurrency { sums, campaigns } = self.0.entry(*currency).or_default();
            sums.fold(&part.sums);
            for (campaign, credit) in &part.campaigns {
                campaigns.entry(*campaign).or_default().fold(*credit);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn partial<'a>(&self, tables: &'a Tables, span: Span) -> Partial<'a> {
        let of = |(currency, of): (&u32, &OfCurrency)| {
            let named = of.campaigns.iter().map(|(campaign, credit)| match *campaign {
                Campaign::NONE => (NO_CAMPAIGN, *credit),
                Campaign(slot) => (tables.campaigns.text(slot), *credit),
            });
            let mut campaigns = named.collect();
            sum_by_name(&mut campaigns, |sum, credit| sum.fold(*credit));
            (tables.currencies.text(*currency), PartOfCurrency { sums: of.sums.clone(), campaigns })
        };
        // Those of the last hour are sent with zeros, as series are.
        let alive = tables.currencies_alive(span.start, span.end).filter(|slot| !self.0.contains_key(slot));
        let zeros = alive.map(|slot| (tables.currencies.text(slot), PartOfCurrency::default()));
        let mut currencies: Vec<_> = self.0.iter().map(of).chain(zeros).collect();
        currencies.sort_unstable_by_key(|(name, _)| *name);
        let active = !currencies.is_empty() || tables.series.alive(span.start, span.end).next().is_some();
        Partial { active, currencies }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.values().map(|of| of.sums.lag_s.bytes() + of.campaigns.len() * 40 + 160).sum()
    }
}

impl Sums {
    fn fold(&mut self, other: &Self) {
        self.checkouts += other.checkouts;
        self.orders += other.orders;
        self.attributed += other.attributed;
        self.revenue_cents = self.revenue_cents.saturating_add(other.revenue_cents);
        self.attributed_revenue_cents =
            self.attributed_revenue_cents.saturating_add(other.attributed_revenue_cents);
        self.lag_s.fold(&other.lag_s);
    }
}

impl Credit {
    fn fold(&mut self, other: Self) {
        self.conversions += other.conversions;
        self.revenue_cents = self.revenue_cents.saturating_add(other.revenue_cents);
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Partial<'a> {
    /// Whether a point is due even without a checkout.
    active: bool,
    /// By name.
    #[serde(borrow)]
    currencies: Vec<(&'a str, PartOfCurrency<'a>)>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct PartOfCurrency<'a> {
    sums: Sums,
    /// By name.
    #[serde(borrow)]
    campaigns: Vec<(&'a str, Credit)>,
}

impl Partial<'_> {
    pub(crate) fn absorb(&mut self, other: &mut Self) {
        self.active |= other.active;
        self.currencies.append(&mut other.currencies);
    }

    pub(crate) fn settle(&mut self) {
        sum_by_name(&mut self.currencies, |sum, part| {
            sum.sums.fold(&part.sums);
            sum.campaigns.append(&mut part.campaigns);
        });
        for (_, of) in &mut self.currencies {
            sum_by_name(&mut of.campaigns, |sum, credit| sum.fold(*credit));
        }
    }

    pub(crate) fn points(&self, points: &mut PointMaker<'_>) {
        for (currency, of) in &self.currencies {
            of.points(currency, points);
        }
        if self.active && self.currencies.is_empty() {
            PartOfCurrency::default().points(points.default_currency, points);
        }
    }
}

impl PartOfCurrency<'_> {
    fn points(&self, currency: &str, points: &mut PointMaker<'_>) {
        let Self { sums, campaigns } = self;
        let currency: Arc<str> = currency.into();
        for (campaign, credit) in campaigns {
            let fields = vec![
                integer(credit.conversions),
                FieldValue::Float(credit.conversions as f64),
                FieldValue::Integer(credit.revenue_cents),
            ];
            let tags = vec![(*campaign).into(), Arc::clone(&currency), MODEL.into()];
            points.push(&schema::ATTRIBUTION, tags, fields);
        }
        let fields = vec![
            integer(sums.checkouts),
            integer(sums.orders),
            integer(sums.attributed),
            integer(sums.checkouts - sums.attributed),
            FieldValue::Integer(sums.revenue_cents),
            FieldValue::Integer(sums.attributed_revenue_cents),
            FieldValue::Float(sums.lag_s.quantile(0.50)),
            FieldValue::Float(sums.lag_s.quantile(0.95)),
        ];
        points.push(&schema::FIRST_CLICK, vec![currency], fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_that_is_decided_after_a_later_one_has_its_place_before_it() {
        let mut clicks = Clicks::default();
        for time in [10, 30, 20] {
            clicks.push(Click { time, product: 1, campaign: Campaign::NONE }, 9);
        }
        clicks.drop_before(15);
        assert_eq!(clicks.first(1, 0), Some((20, Campaign::NONE)));
    }
}
