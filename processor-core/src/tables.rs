//! What a task knows by name: users, URLs, routes, series, campaigns, products, currencies.

mod snapshot;

use hashbrown::HashMap;

use crate::ahead::Request;
use crate::analytics::first_click::{CLICK_BYTES, Click, ClickCounts, Clicks};
use crate::clock::NOT_BEGUN;
use crate::hash::FastHash;
use crate::interner::{Hint, Interner, Kept, Key, OTHER_SLOT};
use crate::options::{HOUR, Limits, MINUTE, Options};
use crate::route::{self, NONE, OTHER};
use crate::task::Beyond;

pub(crate) use snapshot::{AllRanks, AllSlots, FrozenTables};

/// The names of one task, shared by its windows and its keyed logic.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) users: Interner<Clicks>,
    pub(crate) urls: Interner<UrlRoute>,
    pub(crate) routes: Interner<()>,
    pub(crate) campaigns: Interner<()>,
    pub(crate) products: Interner<()>,
    pub(crate) currencies: Interner<Seen>,
    pub(crate) series: SeriesTable,
    /// Clicks kept over all users.
    pub(crate) clicks: ClickCounts,
    /// What found no room, in events.
    pub(crate) beyond: Beyond,
    template: bool,
    /// What amounts are in that name no currency.
    default_currency: Box<str>,
    scratch: String,
    retention: i64,
    /// The same for users and products: as long as an open window or a kept click names them.
    keyed_retention: i64,
    /// When users and products were last swept.
    swept_at: i64,
}

/// What a URL belongs to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct UrlRoute {
    route: u32,
    /// The series of its last request, which is likely that of the next.
    series: u32,
}

/// When a currency was first and last seen in a checkout, event time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    first: i64,
    last: i64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { first: i64::MAX, last: i64::MIN }
    }
}

impl Seen {
    fn at(&mut self, time: i64) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    /// Whether it was seen within the hour before `until` or in `[start, until)`.
    fn alive(&self, start: i64, until: i64) -> bool {
        self.last >= start - HOUR && self.first < until
    }
}

/// The slot of the route of requests without a URL.
pub(crate) const NO_URL_ROUTE: u32 = 1;

/// Series for each route that is kept apart: a site answers a route in a handful of ways, and a partial has them all.
const SERIES_PER_ROUTE: usize = 20;
/// What the names of routes and campaigns may have, each and in all: a partial repeats them, and is one record.
const SERIES_TEXT_BYTES: usize = 1_024;
const SERIES_TEXT_BYTES_MAX: usize = 1 << 20;
/// How often users and products that are needed no more make room.
const SWEEP_EVERY: i64 = 10 * MINUTE;
/// So that slots stay below `u32::MAX`.
const KEYED_MAX: usize = 1 << 30;

impl Tables {
    pub(crate) fn new(options: &Options) -> Self {
        let Limits { users, products, .. } = options.limits;
        let texts = |names: usize| names.saturating_mul(Limits::TEXT_BYTES);
        let few = |names: usize| (names * SERIES_TEXT_BYTES).min(SERIES_TEXT_BYTES_MAX);
        let Options { urls_max, routes_max, campaigns_max, currencies_max, .. } = *options;
        let few_names = |max| Interner::with_reserved(max, few(max), Kept::Name, &[OTHER]);
        Self {
            users: Interner::with_reserved(users.min(KEYED_MAX), texts(users), Kept::Name, &[OTHER]),
            urls: Interner::with_reserved(urls_max, 2 * texts(urls_max), Kept::Path, &[OTHER]),
            // Made of paths that are fit already.
            routes: Interner::with_reserved(routes_max, few(routes_max), Kept::Exact, &[OTHER, NONE]),
            campaigns: few_names(campaigns_max),
            products: Interner::with_reserved(
                products.min(KEYED_MAX),
                texts(products),
                Kept::Exact,
                &[OTHER],
            ),
            currencies: Interner::with_reserved(currencies_max, few(currencies_max), Kept::Name, &[OTHER]),
            series: SeriesTable { max: routes_max * SERIES_PER_ROUTE, ..SeriesTable::default() },
            clicks: ClickCounts::new(options.limits.clicks),
            beyond: Beyond::default(),
            template: options.template_routes,
            default_currency: options.default_currency.as_str().into(),
            scratch: String::new(),
            retention: options.retention(),
            keyed_retention: options.lookback(),
            swept_at: NOT_BEGUN,
        }
    }

    /// The user's slot, or that of `__other__`.
    #[inline]
    pub(crate) fn user(&mut self, user_id: &Key<'_>, hint: Hint, time: i64) -> u32 {
        self.users.intern_found(user_id, hint, time).unwrap_or_else(|| {
            self.beyond.users += 1;
            OTHER_SLOT
        })
    }

    /// The product's slot, or that of `__other__`.
    #[inline]
    pub(crate) fn product(&mut self, product_id: &Key<'_>, time: i64) -> u32 {
        self.products.intern(product_id, time).unwrap_or(OTHER_SLOT)
    }

    /// The campaign's slot, or that of `__other__`.
    pub(crate) fn campaign(&mut self, campaign_id: &Key<'_>, time: i64) -> u32 {
        self.campaigns.intern(campaign_id, time).unwrap_or_else(|| {
            self.beyond.campaigns += 1;
            OTHER_SLOT
        })
    }

    /// The slot of a checkout's currency, or that of `__other__`.
    pub(crate) fn currency(&mut self, currency: Option<&Key<'_>>, time: i64) -> u32 {
        let slot = match currency {
            Some(currency) => self.currencies.intern(currency, time),
            None => self.currencies.intern(&Key::name(&self.default_currency), time),
        };
        let slot = slot.unwrap_or_else(|| {
            self.beyond.currencies += 1;
            OTHER_SLOT
        });
        self.currencies.value_mut(slot).at(time);
        slot
    }

    /// The currencies seen within the hour before `until` or in `[start, until)`.
    pub(crate) fn currencies_alive(&self, start: i64, until: i64) -> impl Iterator<Item = u32> + '_ {
        self.currencies.all().filter(move |(_, seen)| seen.alive(start, until)).map(|(slot, _)| slot)
    }

    /// Whether there is anything that zeros are written for in a window that starts then.
    pub(crate) fn any_alive(&self, start: i64) -> bool {
        self.series.any_alive(start) || self.currencies_alive(start, i64::MAX).next().is_some()
    }

    /// The slots of a request's URL, if it has one, and series, each that of `__other__` beyond its limit; the last is
    /// the route's.
    #[inline]
    pub(crate) fn request(&mut self, request: &Request<'_>, time: i64) -> (Option<u32>, u32, u32) {
        let (method, status) = (request.method, request.status);
        let Some(path) = &request.path else {
            let series = self.series.slot(NO_URL_ROUTE, method, status, time);
            let series = series.unwrap_or_else(|| self.series_of_other(method, status, time));
            return (None, series, NO_URL_ROUTE);
        };
        let (url, route) = self.url_and_route(path, request.path_hint, time);
        let known = self.urls.value(url).series;
        if self.series.is_still(known, route, method, status, time) {
            return (Some(url), known, route);
        }
        let Some(series) = self.series.slot(route, method, status, time) else {
            return (Some(url), self.series_of_other(method, status, time), route);
        };
        self.urls.value_mut(url).series = series;
        (Some(url), series, route)
    }

    #[cold]
    fn series_of_other(&mut self, method: u8, status: u16, time: i64) -> u32 {
        self.beyond.series += 1;
        self.series.of_other(method, status, time)
    }

    #[inline]
    fn url_and_route(&mut self, path: &Key<'_>, hint: Hint, time: i64) -> (u32, u32) {
        let known = self.urls.len();
        let Some(url) = self.urls.intern_found(path, hint, time) else {
            self.beyond.urls += 1;
            return (OTHER_SLOT, self.route(path.text(), time));
        };
        if self.urls.len() != known {
            let route = self.route(path.text(), time);
            self.urls.value_mut(url).route = route;
            return (url, route);
        }
        (url, self.urls.value(url).route)
    }

    #[cold]
    fn route(&mut self, path: &str, time: i64) -> u32 {
        let path = &*route::counted(path);
        let mut text = std::mem::take(&mut self.scratch);
        if self.template {
            route::template(path, &mut text);
        } else {
            text.clear();
            text.push('/');
            text.push_str(path);
        }
        let slot = self.routes.intern(&Key::exact(text.as_bytes()), time);
        self.scratch = text;
        slot.unwrap_or_else(|| {
            self.beyond.routes += 1;
            OTHER_SLOT
        })
    }

    /// Forgets what was last used a retention span before `watermark`; called as the watermark moves.
    ///
    /// Clicks are dropped a sixtieth of the users at a time. Names go all at once, as what has no room depends on how many
    /// there are: users and products every ten minutes, the small tables each time, URLs before the routes they name.
    pub(crate) fn forget(&mut self, watermark: i64, lookback: i64) {
        let horizon = watermark.saturating_sub(self.retention);
        let clicks_before = watermark.saturating_sub(lookback);
        let part = self.users.len() / 60 + 64;
        self.users.trim(part, |kept| kept.any_before(clicks_before), |kept| kept.drop_before(clicks_before));
        if watermark.div_euclid(SWEEP_EVERY) > self.swept_at.div_euclid(SWEEP_EVERY) {
            self.swept_at = watermark;
            let keyed_horizon = watermark.saturating_sub(self.keyed_retention);
            self.users.sweep(keyed_horizon, |_| ());
            self.products.sweep(keyed_horizon, |()| ());
        }
        self.urls.sweep(horizon, |_| ());
        // Finding a URL does not mark its route, so routes in use are those of the URLs that are left.
        self.mark_routes(watermark);
        self.series.forget(horizon);
        self.routes.sweep(horizon, |()| ());
        self.campaigns.sweep(horizon, |()| ());
        self.currencies.sweep(horizon, |_| ());
        if self.currencies.value(OTHER_SLOT).last < horizon {
            *self.currencies.value_mut(OTHER_SLOT) = Seen::default();
        }
    }

    /// Keeps a click of the user, whose oldest gives way where it has `max_of_user`, and the oldest of all users where
    /// there are too many over all. Clicks before `from` are out of reach. Returns whether the user had too many.
    pub(crate) fn keep_click(&mut self, user: u32, click: Click, max_of_user: usize, from: i64) -> bool {
        if self.clicks.is_full() {
            self.clicks.expire_before(from);
            if let Some(floor) = self.clicks.make_room() {
                let before = |kept: &Clicks| kept.any_before(floor);
                self.users.trim(usize::MAX, before, |kept| kept.drop_before(floor));
            }
        }
        self.clicks.add(click.time);
        let gone = self.users.value_mut(user).push(click, max_of_user);
        if let Some(time) = gone {
            self.clicks.remove(time);
        }
        gone.is_some()
    }

    fn mark_routes(&mut self, watermark: i64) {
        let used: std::collections::BTreeSet<u32> = self.urls.values().map(|of| of.route).collect();
        for route in used {
            self.routes.touch(route, watermark);
        }
    }

    /// Estimated bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let names = self.users.bytes() + self.urls.bytes() + self.routes.bytes() + self.products.bytes();
        // Queues are filled to three quarters on average.
        names + self.clicks.len() * CLICK_BYTES * 4 / 3
    }
}

/// The request series: one per route, method and status.
#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    by_key: HashMap<u64, u32, FastHash>,
    entries: Vec<SeriesEntry>,
    free: Vec<u32>,
    /// How many are of routes that are told apart, and may be.
    of_routes: usize,
    max: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct SeriesEntry {
    pub(crate) route: u32,
    pub(crate) method: u8,
    pub(crate) status: u16,
    first_seen: i64,
    last_seen: i64,
    live: bool,
}

impl SeriesTable {
    /// The series' number, made if need be; `None` where there is no room.
    #[inline]
    pub(crate) fn slot(&mut self, route: u32, method: u8, status: u16, time: i64) -> Option<u32> {
        let key = u64::from(route) << 32 | u64::from(method) << 16 | u64::from(status);
        if let Some(&slot) = self.by_key.get(&key) {
            let entry = &mut self.entries[slot as usize];
            entry.last_seen = entry.last_seen.max(time);
            entry.first_seen = entry.first_seen.min(time);
            return Some(slot);
        }
        // What the other route answers always has room, so that every status stays exact: 10 methods × 1,000 statuses.
        if route != OTHER_SLOT && self.of_routes >= self.max {
            return None;
        }
        self.of_routes += usize::from(route != OTHER_SLOT);
        let entry = SeriesEntry { route, method, status, first_seen: time, last_seen: time, live: true };
        Some(self.insert(key, entry))
    }

    /// The same of the route `__other__`.
    fn of_other(&mut self, method: u8, status: u16, time: i64) -> u32 {
        self.slot(OTHER_SLOT, method, status, time).expect("series of the other route have room")
    }

    /// Whether this is the number of the series, which then is used.
    #[inline]
    fn is_still(&mut self, number: u32, route: u32, method: u8, status: u16, time: i64) -> bool {
        let Some(entry) = self.entries.get_mut(number as usize) else { return false };
        let same = entry.live && (entry.route, entry.method, entry.status) == (route, method, status);
        if same {
            entry.last_seen = entry.last_seen.max(time);
            entry.first_seen = entry.first_seen.min(time);
        }
        same
    }

    #[cold]
    fn insert(&mut self, key: u64, entry: SeriesEntry) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        self.by_key.insert(key, slot);
        slot
    }

    /// The series seen within the hour before `until` or in `[start, until)`, with their numbers.
    pub(crate) fn alive(&self, start: i64, until: i64) -> impl Iterator<Item = (u32, SeriesEntry)> + '_ {
        self.entries
            .iter()
            .enumerate()
            .filter(move |(_, s)| s.live && s.last_seen >= start - HOUR && s.first_seen < until)
            .map(|(at, s)| (at as u32, *s))
    }

    /// Whether any series was seen within the hour before `start`.
    pub(crate) fn any_alive(&self, start: i64) -> bool {
        self.entries.iter().any(|s| s.live && s.last_seen >= start - HOUR)
    }

    fn forget(&mut self, horizon: i64) {
        for (at, entry) in self.entries.iter_mut().enumerate() {
            if entry.live && entry.last_seen < horizon {
                entry.live = false;
                self.of_routes -= usize::from(entry.route != OTHER_SLOT);
                self.by_key.remove(
                    &(u64::from(entry.route) << 32 | u64::from(entry.method) << 16 | u64::from(entry.status)),
                );
                self.free.push(at as u32);
            }
        }
    }
}
