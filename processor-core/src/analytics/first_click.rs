//! First click per checkout: a checkout at T of user u and product p credits the earliest click of u on p in
//! `[T − lookback, T]`.

mod counts;
mod snapshot;

use std::collections::{BTreeMap, VecDeque};

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

/// What one window's checkouts came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    sums: Sums,
    campaigns: BTreeMap<Campaign, Credit>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    checkouts: u64,
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

impl Window {
    /// Counts a checkout of this window. `click` is the credited one, with the lag to it in microseconds.
    pub(crate) fn count(&mut self, amount_cents: i64, click: Option<(i64, Campaign)>) {
        self.sums.checkouts += 1;
        self.sums.revenue_cents = self.sums.revenue_cents.saturating_add(amount_cents);
        let Some((lag, campaign)) = click else { return };
        self.sums.attributed += 1;
        self.sums.attributed_revenue_cents = self.sums.attributed_revenue_cents.saturating_add(amount_cents);
        self.sums.lag_s.add(lag as f64 / 1e6);
        let credit = self.campaigns.entry(campaign).or_default();
        credit.conversions += 1;
        credit.revenue_cents = credit.revenue_cents.saturating_add(amount_cents);
    }

    pub(crate) fn fold(&mut self, part: &Self) {
        self.sums.fold(&part.sums);
        for (campaign, credit) in &part.campaigns {
            self.campaigns.entry(*campaign).or_default().fold(*credit);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn partial<'a>(&self, tables: &'a Tables, span: Span) -> Partial<'a> {
        let named = self.campaigns.iter().map(|(campaign, credit)| match *campaign {
            Campaign::NONE => (NO_CAMPAIGN, *credit),
            Campaign(slot) => (tables.campaigns.text(slot), *credit),
        });
        let mut campaigns = named.collect();
        sum_by_name(&mut campaigns, |sum, credit| sum.fold(*credit));
        let active = self.sums.checkouts > 0 || tables.series.alive(span.start, span.end).next().is_some();
        Partial { active, sums: self.sums.clone(), campaigns }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.sums.lag_s.bytes() + self.campaigns.len() * 40
    }
}

impl Sums {
    fn fold(&mut self, other: &Self) {
        self.checkouts += other.checkouts;
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
    sums: Sums,
    /// By name.
    #[serde(borrow)]
    campaigns: Vec<(&'a str, Credit)>,
}

impl Partial<'_> {
    pub(crate) fn absorb(&mut self, other: &mut Self) {
        self.active |= other.active;
        self.sums.fold(&other.sums);
        self.campaigns.append(&mut other.campaigns);
    }

    pub(crate) fn settle(&mut self) {
        sum_by_name(&mut self.campaigns, |sum, credit| sum.fold(*credit));
    }

    pub(crate) fn points(&self, points: &mut PointMaker<'_>) {
        for (campaign, credit) in &self.campaigns {
            let fields = vec![
                integer(credit.conversions),
                FieldValue::Float(credit.conversions as f64),
                FieldValue::Integer(credit.revenue_cents),
            ];
            points.push(&schema::ATTRIBUTION, vec![(*campaign).into(), MODEL.into()], fields);
        }
        if !self.active {
            return;
        }
        let sums = &self.sums;
        let fields = vec![
            integer(sums.checkouts),
            integer(sums.attributed),
            integer(sums.checkouts - sums.attributed),
            FieldValue::Integer(sums.revenue_cents),
            FieldValue::Integer(sums.attributed_revenue_cents),
            FieldValue::Float(sums.lag_s.quantile(0.50)),
            FieldValue::Float(sums.lag_s.quantile(0.95)),
        ];
        points.push(&schema::FIRST_CLICK, vec![], fields);
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
