//! What a task knows by name: users, URLs, routes, series, campaigns, products.

mod snapshot;

use hashbrown::HashMap;

use crate::ahead::Request;
use crate::analytics::first_click::{CLICK_BYTES, Clicks};
use crate::hash::FastHash;
use crate::interner::{Hint, Interner, Key, OTHER_SLOT};
use crate::options::{HOUR, Options};
use crate::route::{self, OTHER};

pub(crate) use snapshot::{AllRanks, AllSlots, FrozenTables};

/// The names of one task, shared by its windows and its keyed logic.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) users: Interner<Clicks>,
    pub(crate) urls: Interner<UrlRoute>,
    pub(crate) routes: Interner<()>,
    pub(crate) campaigns: Interner<()>,
    pub(crate) products: Interner<()>,
    pub(crate) series: SeriesTable,
    /// Texts that went to `__other__`, in events.
    pub(crate) overflowed: u64,
    /// Clicks kept over all users.
    pub(crate) clicks: usize,
    template: bool,
    scratch: String,
    retention: i64,
}

/// What a URL belongs to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct UrlRoute {
    route: u32,
    /// The series of its last request, which is likely that of the next.
    series: u32,
}

/// Users and products are bounded by the retention span; this only keeps slots below `u32::MAX`.
const KEYED_MAX: usize = 1 << 30;

impl Tables {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            users: Interner::new(KEYED_MAX),
            // One more for the reserved slot.
            urls: Interner::with_other(options.urls_max + 1, OTHER),
            routes: Interner::with_other(options.routes_max + 1, OTHER),
            campaigns: Interner::with_other(options.campaigns_max + 1, OTHER),
            products: Interner::new(KEYED_MAX),
            series: SeriesTable::default(),
            overflowed: 0,
            clicks: 0,
            template: options.template_routes,
            scratch: String::new(),
            retention: options.retention(),
        }
    }

    /// The user's slot.
    #[inline]
    pub(crate) fn user(&mut self, user_id: &Key<'_>, hint: Option<Hint>, time: i64) -> u32 {
        self.users.intern_found(user_id, hint, time).expect("users are bounded by retention, far below 2^30")
    }

    /// The product's slot.
    #[inline]
    pub(crate) fn product(&mut self, product_id: &Key<'_>, time: i64) -> u32 {
        self.products.intern(product_id, time).expect("products are bounded by retention, far below 2^30")
    }

    /// The campaign's slot, or that of `__other__`.
    pub(crate) fn campaign(&mut self, campaign_id: &Key<'_>, time: i64) -> u32 {
        self.campaigns.intern(campaign_id, time).unwrap_or_else(|| {
            self.overflowed += 1;
            OTHER_SLOT
        })
    }

    /// The slots of a request's URL and series, each that of `__other__` beyond its limit; the last is the route's.
    #[inline]
    pub(crate) fn request(&mut self, request: &Request<'_>, time: i64) -> (u32, u32, u32) {
        let (url, route) = self.url_and_route(&request.path, request.path_hint, time);
        let (method, status) = (request.method, request.status);
        let known = self.urls.value(url).series;
        if self.series.is_still(known, route, method, status, time) {
            return (url, known, route);
        }
        let series = self.series.slot(route, method, status, time);
        self.urls.value_mut(url).series = series;
        (url, series, route)
    }

    #[inline]
    fn url_and_route(&mut self, path: &Key<'_>, hint: Option<Hint>, time: i64) -> (u32, u32) {
        let known = self.urls.len();
        let Some(url) = self.urls.intern_found(path, hint, time) else {
            self.overflowed += 1;
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
        let mut text = std::mem::take(&mut self.scratch);
        if self.template {
            route::template(path, &mut text);
        } else {
            text.clear();
            text.push('/');
            text.push_str(path);
        }
        let slot = self.routes.intern(&Key::new(text.as_bytes()), time);
        self.scratch = text;
        slot.unwrap_or_else(|| {
            self.overflowed += 1;
            OTHER_SLOT
        })
    }

    /// Forgets what was last used a retention span before `watermark`; called as the watermark moves.
    ///
    /// Users and products are swept a sixtieth at a time; the small tables at once, URLs before the routes they name.
    pub(crate) fn forget(&mut self, watermark: i64, lookback: i64) {
        let horizon = watermark.saturating_sub(self.retention);
        let clicks_before = watermark.saturating_sub(lookback);
        let part = |len: usize| len / 60 + 64;
        let clicks = &mut self.clicks;
        self.users.sweep(part(self.users.len()), horizon, |kept| *clicks -= kept.drop_before(clicks_before));
        self.products.sweep(part(self.products.len()), horizon, |()| ());
        self.urls.sweep(usize::MAX, horizon, |_| ());
        // Finding a URL does not mark its route, so routes in use are those of the URLs that are left.
        self.mark_routes(watermark);
        self.series.forget(horizon);
        self.routes.sweep(usize::MAX, horizon, |()| ());
        self.campaigns.sweep(usize::MAX, horizon, |()| ());
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
        names + self.clicks * CLICK_BYTES * 4 / 3
    }
}

/// The request series: one per route, method and status.
#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    by_key: HashMap<u64, u32, FastHash>,
    entries: Vec<SeriesEntry>,
    free: Vec<u32>,
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
    /// The series' number, made if need be.
    ///
    /// Bounded by routes × 10 methods × 500 statuses; in practice by what a site answers.
    #[inline]
    pub(crate) fn slot(&mut self, route: u32, method: u8, status: u16, time: i64) -> u32 {
        let key = u64::from(route) << 32 | u64::from(method) << 16 | u64::from(status);
        if let Some(&slot) = self.by_key.get(&key) {
            let entry = &mut self.entries[slot as usize];
            entry.last_seen = entry.last_seen.max(time);
            entry.first_seen = entry.first_seen.min(time);
            return slot;
        }
        self.insert(key, SeriesEntry { route, method, status, first_seen: time, last_seen: time, live: true })
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
                self.by_key.remove(
                    &(u64::from(entry.route) << 32 | u64::from(entry.method) << 16 | u64::from(entry.status)),
                );
                self.free.push(at as u32);
            }
        }
    }
}
