//! The counts of one hour of event time, by the finest windows.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use events::{Event, EventType};

use super::facts::Checkout;
use super::names::Names;
use super::repeats::Small;
use super::route;

/// Series of requests: route (by number), method, status.
pub(super) type SeriesKey = (u32, &'static str, u16);
type Map<K, V> = HashMap<K, V, BuildHasherDefault<Small>>;

/// Everything counted in an hour, with the names it was counted by.
#[derive(Debug, Default)]
pub(super) struct Hour {
    pub(super) users: Names,
    pub(super) urls: Names,
    pub(super) routes: Names,
    /// By URL: its route, and that route's number.
    route_of: Vec<u32>,
    /// By start.
    pub(super) windows: BTreeMap<i64, Counts>,
}

/// Requests, and those of them that failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) all: u64,
    pub(super) errors: u64,
}

/// What one window holds, over all partitions.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) events: [u64; EventType::ALL.len()],
    pub(super) series: Map<(u32, u32), u64>,
    /// By partition number and user; every user with an event. Events without one are not here.
    pub(super) users: Map<(u32, u32), Requests>,
    /// By partition number and URL.
    pub(super) urls: Map<(u32, u32), Requests>,
    pub(super) latency: BTreeMap<u32, Latency>,
    /// By currency.
    pub(super) checkouts: BTreeMap<Arc<str>, Checkouts>,
    /// Checkouts of which the wall clock decided something.
    pub(super) unsure_checkouts: u64,
    pub(super) quality: BTreeMap<&'static str, u64>,
    /// What may count beside it, as the wall clock decided.
    pub(super) may: BTreeMap<&'static str, u64>,
    /// By input and partition: the first and the last offset that counted here.
    pub(super) records: BTreeMap<(u16, i32), (i64, i64)>,
}

#[derive(Debug, Default)]
pub(super) struct Latency {
    /// Response times; a percentile is compared within 1/128, which an `f32` is exact enough for.
    pub(super) values: Vec<f32>,
    pub(super) max: f64,
}

#[derive(Debug, Default)]
pub(super) struct Checkouts {
    pub(super) all: u64,
    pub(super) orders: u64,
    pub(super) attributed: u64,
    pub(super) cents: i64,
    pub(super) attributed_cents: i64,
    pub(super) lags_s: Vec<f64>,
    /// By campaign: checkouts and their cents.
    pub(super) campaigns: BTreeMap<Arc<str>, (u64, i64)>,
}

/// A series' method and status in one number, beside its route.
fn packed(method: &'static str, status: u16) -> u32 {
    let method = route::METHODS.iter().position(|known| *known == method).unwrap_or(route::METHODS.len());
    (method as u32) << 16 | u32::from(status)
}

fn unpacked(packed: u32) -> (&'static str, u16) {
    let method = route::METHODS.get((packed >> 16) as usize).copied().unwrap_or(route::OTHER);
    (method, packed as u16)
}

/// A server's fault; whatever is beyond is of the log, or of a proxy.
pub(super) fn is_error(status: u16) -> bool {
    status / 100 == 5
}

impl Hour {
    /// The route's number of a URL told apart by `path`, worked out once an hour.
    pub(super) fn route_of(&mut self, url: u32, find: impl FnOnce() -> Arc<str>) -> u32 {
        if url as usize == self.route_of.len() {
            let route = self.routes.number(&find());
            self.route_of.push(route);
        }
        self.route_of[url as usize]
    }

    /// The sum of the windows from `start` on, `size` long.
    pub(super) fn sum(&self, start: i64, size: i64) -> Counts {
        let mut sum = Counts::default();
        self.windows.range(start..start + size).for_each(|(_, counts)| sum.add(counts));
        sum
    }
}

impl Counts {
    /// Counts an event by the numbers of its user, if it has one, and if it is a request of its URL, if it has one, and
    /// route.
    pub(super) fn event(
        &mut self,
        task: u32,
        event: &Event<'_>,
        user: Option<u32>,
        request: Option<(Option<u32>, u32)>,
    ) {
        self.events[event.kind as usize] += 1;
        let mut of_user = user.map(|user| self.users.entry((task, user)).or_default());
        let (Some(status), Some((url, route))) = (event.http_status, request) else { return };
        let mut of_url = url.map(|url| self.urls.entry((task, url)).or_default());
        for requests in of_user.iter_mut().chain(&mut of_url) {
            requests.all += 1;
            requests.errors += u64::from(is_error(status));
        }
        *self.series.entry((route, packed(route::method(event.method()), status))).or_default() += 1;
        if let Some(ms) = event.latency_ms {
            let latency = self.latency.entry(route).or_default();
            latency.values.push(ms as f32);
            latency.max = latency.max.max(ms);
        }
    }

    pub(super) fn checkout(&mut self, checkout: Checkout) {
        self.unsure_checkouts += u64::from(!checkout.sure);
        let sum = self.checkouts.entry(checkout.currency).or_default();
        sum.all += 1;
        sum.orders += u64::from(checkout.is_first);
        sum.cents = sum.cents.saturating_add(checkout.cents);
        let Some((lag, campaign)) = checkout.click else { return };
        sum.attributed += 1;
        sum.attributed_cents = sum.attributed_cents.saturating_add(checkout.cents);
        sum.lags_s.push(lag as f64 / 1e6);
        let (count, cents) = sum.campaigns.entry(campaign.unwrap_or_else(|| "none".into())).or_default();
        *count += 1;
        *cents = cents.saturating_add(checkout.cents);
    }

    /// Notes where a record of this window lies.
    pub(super) fn saw(&mut self, input: u16, partition: i32, offset: i64) {
        let (first, last) = self.records.entry((input, partition)).or_insert((offset, offset));
        *first = (*first).min(offset);
        *last = (*last).max(offset);
    }

    /// Requests by series.
    pub(super) fn requests(&self) -> impl Iterator<Item = (SeriesKey, u64)> + '_ {
        self.series.iter().map(|((route, packed), count)| {
            let (method, status) = unpacked(*packed);
            ((*route, method, status), *count)
        })
    }

    fn add(&mut self, other: &Self) {
        for (sum, count) in self.events.iter_mut().zip(&other.events) {
            *sum += count;
        }
        for (series, count) in &other.series {
            *self.series.entry(*series).or_default() += count;
        }
        for (sums, counts) in [(&mut self.users, &other.users), (&mut self.urls, &other.urls)] {
            for (key, requests) in counts {
                let sum = sums.entry(*key).or_default();
                sum.all += requests.all;
                sum.errors += requests.errors;
            }
        }
        for (route, latency) in &other.latency {
            let sum = self.latency.entry(*route).or_default();
            sum.values.extend_from_slice(&latency.values);
            sum.max = sum.max.max(latency.max);
        }
        for (currency, checkouts) in &other.checkouts {
            self.checkouts.entry(Arc::clone(currency)).or_default().add(checkouts);
        }
        self.unsure_checkouts += other.unsure_checkouts;
        for (sums, counts) in [(&mut self.quality, &other.quality), (&mut self.may, &other.may)] {
            for (reason, count) in counts {
                *sums.entry(reason).or_default() += count;
            }
        }
        for ((input, partition), (first, last)) in &other.records {
            self.saw(*input, *partition, *first);
            self.saw(*input, *partition, *last);
        }
    }
}

impl Checkouts {
    fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.orders += other.orders;
        self.attributed += other.attributed;
        self.cents = self.cents.saturating_add(other.cents);
        self.attributed_cents = self.attributed_cents.saturating_add(other.attributed_cents);
        self.lags_s.extend_from_slice(&other.lags_s);
        for (campaign, (count, cents)) in &other.campaigns {
            let sum = self.campaigns.entry(Arc::clone(campaign)).or_default();
            sum.0 += count;
            sum.1 = sum.1.saturating_add(*cents);
        }
    }
}
