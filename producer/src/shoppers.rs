//! The generator: shoppers who arrive, browse, click, fill carts, check out, buy or leave.
//!
//! It is pure: no clock, no IO, and the same settings, calls and times give the same bytes. At every call one of the
//! shoppers in the shop, any with the same chance, does his next step. That is what independent shoppers with
//! exponentially distributed think times do, without a queue of who is next; and since the caller sets the time of
//! each step, the rate is exactly the one asked for. How many are in the shop at once follows from it:
//! [`Shoppers::set_rate`].

mod catalog;
mod json;
mod route;
mod visit;
mod zipf;

use std::ops::Range;

use events::Timestamp;
use rand::{Rng, rngs::Xoshiro256PlusPlus};

pub(crate) use catalog::stream;
pub use catalog::{CAMPAIGNS, CATEGORIES};
pub(crate) use json::TIMES;
pub use route::Route;

use catalog::{Catalog, DEVICES, PAGES_OF_HELP, REFERRERS, User};
use json::{Head, USER_ID, hex, hundredths, integer, tenths};
use route::{Responses, incident_status, of_u32};
use visit::{Line, NO_CAMPAIGN, Step, Visit};

/// How long a shopper takes from one step to the next on average, where there are enough users.
const THINK_TIME_S: f64 = 8.0;

/// Who shops, where, and how reliable the shop is.
#[derive(Debug, Clone, PartialEq)]
pub struct ShopperSettings {
    /// The same seed gives the same shoppers doing the same things.
    pub seed: u64,
    /// How many different users there are, at least 1.
    pub users: u32,
    /// How many products the shop sells, at least 1.
    pub products: u32,
    /// The share of requests to an average route that end in a server error, 0 to 1; `/payment` fails more often,
    /// `/help` less.
    pub error_rate: f64,
}

impl Default for ShopperSettings {
    fn default() -> Self {
        Self { seed: 1, users: 20_000, products: 5_000, error_rate: 0.01 }
    }
}

/// What incidents do to the shop at one moment; nothing by default.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effects {
    routes: [RouteEffect; Route::ALL.len()],
    /// What the rate is multiplied by.
    pub traffic: f64,
    /// Whether any route is affected.
    active: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct RouteEffect {
    /// The share of 2^32 requests that fail beside the usual ones.
    failing: u32,
    slower: u32,
}

impl Default for Effects {
    fn default() -> Self {
        Self {
            routes: [RouteEffect { failing: 0, slower: 1 }; Route::ALL.len()],
            traffic: 1.0,
            active: false,
        }
    }
}

impl Effects {
    /// Lets `share` (0 to 1) of the requests to `route` end in a server error, beside the usual ones.
    pub fn fail(&mut self, route: Route, share: f64) {
        self.active = true;
        self.routes[route as usize].failing = of_u32(share.clamp(0.0, 1.0));
    }

    /// Makes `route` slower by `factor`, on top of what slows it down already.
    pub fn slow_down(&mut self, route: Route, factor: u32) {
        self.active = true;
        let effect = &mut self.routes[route as usize];
        effect.slower = effect.slower.saturating_mul(factor).min(1_000);
    }
}

/// What was written by [`Shoppers::write_next`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where in the written bytes the user's id, the Kafka key, lies.
    pub key: Range<usize>,
    /// The event time it carries.
    pub time: Timestamp,
    /// Whether it was stamped with an older time, as asked.
    pub backdated: bool,
}

/// The shoppers in the shop.
#[derive(Debug)]
pub struct Shoppers {
    catalog: Catalog,
    responses: Vec<Responses>,
    random: Xoshiro256PlusPlus,
    visits: Vec<Visit>,
    /// How many shoppers there should be at once.
    target: usize,
    event_number: u64,
    seed: u64,
    head: Head,
}

impl Shoppers {
    /// An empty shop; the first [`Shoppers::set_rate`] fills it.
    ///
    /// # Panics
    /// If there are no users or no products.
    #[must_use]
    pub fn new(settings: &ShopperSettings) -> Self {
        Self {
            catalog: Catalog::new(settings.seed, settings.users, settings.products),
            responses: Route::ALL.map(|route| Responses::new(route, settings.error_rate)).into(),
            random: stream(settings.seed, 6),
            visits: Vec::new(),
            target: 0,
            event_number: 0,
            seed: settings.seed,
            head: Head::new(),
        }
    }

    /// Sets how many events per second the caller will ask for, and thereby how many shoppers are in the shop:
    /// eight seconds' worth of events, at least one and at most one per user. Beyond that shoppers think faster.
    ///
    /// The first call finds the shop as it would be had it been open for a while, not with everybody at the door.
    pub fn set_rate(&mut self, events_per_second: f64) {
        self.target = ((events_per_second * THINK_TIME_S) as usize).clamp(1, self.catalog.users.len());
        let first = self.visits.is_empty();
        while self.visits.len() < self.target {
            let visit = self.arrive();
            self.visits.push(visit);
        }
        if first {
            let mut scratch = Vec::with_capacity(512);
            for _ in 0..self.target * 12 {
                scratch.clear();
                self.write_next(&mut scratch, Timestamp::from_micros(TIMES.start), None, &Effects::default());
            }
            for visit in &mut self.visits {
                visit.last_micros = 0;
            }
        }
    }

    /// How many shoppers are in the shop.
    #[must_use]
    pub fn active(&self) -> usize {
        self.visits.len()
    }

    /// Lets one shopper do his next step at `time` and appends the event to `out`.
    ///
    /// With `backdate_micros` the event is stamped that much before the same shopper's previous event instead, so
    /// whoever read that one has a watermark beyond it; where there is no previous event, it is stamped with `time`.
    ///
    /// # Panics
    /// If [`Shoppers::set_rate`] was never called.
    pub fn write_next(
        &mut self,
        out: &mut Vec<u8>,
        time: Timestamp,
        backdate_micros: Option<i64>,
        effects: &Effects,
    ) -> Written {
        let who = self.random.next_u64();
        let draw = Draw(self.random.next_u64());
        let mut at = self.place(who);
        if backdate_micros.is_some() {
            // Somebody who has done something already; when the shop has only just opened, perhaps nobody has.
            for _ in 0..16 {
                if !self.visits[at].is_new() {
                    break;
                }
                let bits = self.random.next_u64();
                at = self.place(bits);
            }
        }
        let mut visit = self.visits[at];

        let (stamp, backdated) = match backdate_micros {
            Some(micros) if !visit.is_new() => {
                (Timestamp::from_micros((visit.last_micros - micros).max(TIMES.start)), true)
            }
            _ => (time, false),
        };
        let start = out.len();
        self.event_number += 1;
        let event_id = scramble(self.seed, self.event_number);
        let user = &self.catalog.users[visit.user as usize];
        self.head.write(out, event_id, &user.id, stamp);
        self.write_step(out, &mut visit, event_id, who as u32, draw, effects);
        debug_assert!(out[start..].starts_with(b"{") && out.ends_with(b"}"));
        if !backdated {
            visit.last_micros = time.micros();
        }

        if visit.step != Step::Leave {
            self.visits[at] = visit;
        } else if self.visits.len() > self.target {
            self.visits.swap_remove(at);
        } else {
            self.visits[at] = self.arrive();
        }
        Written { key: USER_ID, time: stamp, backdated }
    }

    /// The id of any user: the key for records that are no events.
    pub(crate) fn any_user(&self, bits: u64) -> &[u8] {
        &self.catalog.users[self.catalog.user_activity.rank(bits) as usize].id
    }

    /// One of the shoppers in the shop, any with the same chance.
    fn place(&self, bits: u64) -> usize {
        ((u128::from(bits) * self.visits.len() as u128) >> 64) as usize
    }

    fn arrive(&mut self) -> Visit {
        let user = self.catalog.user_activity.rank(self.random.next_u64());
        let product = self.catalog.product_popularity.rank(self.random.next_u64());
        Visit::new(user, product, self.random.next_u32() as u8)
    }

    /// Appends what the step says after the head, and decides what comes next.
    fn write_step(
        &mut self,
        out: &mut Vec<u8>,
        visit: &mut Visit,
        event_id: u64,
        status_bits: u32,
        draw: Draw,
        effects: &Effects,
    ) {
        let Self { catalog, responses, random, seed, event_number, .. } = self;
        let user = &catalog.users[visit.user as usize];
        match visit.step {
            Step::AdClick => {
                visit.campaign = catalog.campaign_reach.rank(draw.scattered()) as u8;
                put(out, br#","event_type":"ad_click","url":"/landing/"#);
                put(out, CAMPAIGNS[usize::from(visit.campaign)].as_bytes());
                put(out, br#"","click_id":""#);
                put(out, &hex(!event_id)[..8]);
                put(out, br#"","campaign_id":""#);
                put(out, CAMPAIGNS[usize::from(visit.campaign)].as_bytes());
                put(out, br#"","user_agent":""#);
                put(out, catalog.agents[usize::from(user.agent)].as_bytes());
                put(out, b"\"}");
                visit.advance(draw.next_step());
                return;
            }
            Step::ProductClick => {
                visit.product = catalog.product_popularity.rank(draw.scattered());
                let product = &catalog.products[visit.product as usize];
                put(out, br#","event_type":"product_click","product_id":""#);
                put(out, product.id.as_bytes());
                put(out, br#"","click_id":""#);
                put(out, &hex(!event_id)[..8]);
                if visit.campaign != NO_CAMPAIGN {
                    put(out, br#"","campaign_id":""#);
                    put(out, CAMPAIGNS[usize::from(visit.campaign)].as_bytes());
                }
                put(out, b"\"}");
                visit.advance(draw.next_step());
                return;
            }
            Step::Conversion => {
                let campaign = match visit.campaign {
                    NO_CAMPAIGN => catalog.campaign_reach.rank(draw.scattered()) as usize,
                    campaign => usize::from(campaign),
                };
                let total: u64 =
                    visit.cart[..usize::from(visit.lines)].iter().map(|line| catalog.cents(*line)).sum();
                put(out, br#","event_type":"conversion","conversion_id":""#);
                put(out, &hex(scramble(!*seed, visit.order << 2 | 3)));
                put(out, br#"","campaign_id":""#);
                put(out, CAMPAIGNS[campaign].as_bytes());
                put(out, br#"","amount":"#);
                hundredths(out, total);
                put(out, b"}");
                visit.advance(draw.next_step());
                return;
            }
            _ => {}
        }

        let (route, method) = request(visit.step);
        let effect = effects.routes[route as usize];
        let status = if effects.active && random.next_u32() < effect.failing {
            incident_status(draw.scattered() as u32)
        } else {
            responses[route as usize].status(status_bits)
        };
        let fine = status < 400;
        // An error answers a request that did nothing: a page view, not a sale.
        let event_type = match visit.step {
            Step::Search if fine => &b"search"[..],
            Step::AddToCart if fine => b"add_to_cart",
            Step::RemoveFromCart if fine => b"remove_from_cart",
            Step::Checkout if fine => b"checkout",
            Step::Purchase if fine => b"purchase",
            _ => b"page_view",
        };
        put(out, br#","event_type":""#);
        put(out, event_type);
        put(out, br#"","url":""#);
        let query = write_url(out, catalog, visit, route, draw);
        put(out, method);
        integer(out, u64::from(status));
        put(out, br#","latency_ms":"#);
        let slower = effect.slower * if status >= 500 { 2 } else { 1 };
        let latency = responses[route as usize].latency_tenths(draw.latency()).saturating_mul(slower);
        tenths(out, latency);
        if fine {
            match visit.step {
                Step::Search => {
                    put(out, br#","search_id":""#);
                    put(out, &hex(!event_id)[..12]);
                    put(out, br#"","query":""#);
                    put(out, catalog.queries[query].text.as_bytes());
                    put(out, b"\"");
                }
                Step::AddToCart => {
                    let line = Line { product: visit.product, quantity: 1 + (draw.next_step() < 40) as u8 };
                    visit.cart[usize::from(visit.lines)] = line;
                    visit.lines += 1;
                    catalog.write_line(out, line);
                }
                Step::RemoveFromCart => {
                    visit.lines -= 1;
                    catalog.write_line(out, visit.cart[usize::from(visit.lines)]);
                }
                Step::Checkout | Step::Purchase => {
                    if visit.step == Step::Checkout && visit.line == 0 {
                        visit.order = *event_number;
                    }
                    let line = visit.cart[usize::from(visit.line)];
                    put(out, br#","product_id":""#);
                    put(out, catalog.products[line.product as usize].id.as_bytes());
                    put(out, br#"","checkout_id":""#);
                    put(out, &hex(scramble(!*seed, visit.order << 2 | u64::from(visit.line))));
                    put(out, br#"","amount":"#);
                    hundredths(out, catalog.cents(line));
                }
                Step::Home | Step::Landing if visit.is_new() => write_origin(out, catalog, user, draw),
                _ => {}
            }
        }
        put(out, b"}");
        if fine { visit.advance(draw.next_step()) } else { visit.stumble(draw.next_step()) }
    }
}

impl Catalog {
    fn cents(&self, line: Line) -> u64 {
        u64::from(self.products[line.product as usize].price_cents) * u64::from(line.quantity)
    }

    fn write_line(&self, out: &mut Vec<u8>, line: Line) {
        let product = &self.products[line.product as usize];
        put(out, br#","product_id":""#);
        put(out, product.id.as_bytes());
        put(out, br#"","quantity":"#);
        integer(out, u64::from(line.quantity));
    }
}

/// 64 random bits and what each part of them is used for; the parts do not overlap, except where a step needs a
/// product and a latency, and there the bits are scrambled again.
#[derive(Debug, Clone, Copy)]
struct Draw(u64);

impl Draw {
    fn next_step(self) -> u8 {
        self.0 as u8
    }

    fn latency(self) -> u16 {
        (self.0 >> 8) as u16
    }

    fn scattered(self) -> u64 {
        scramble(0, self.0)
    }
}

/// The route a step requests, and the JSON from the end of the URL to the status.
fn request(step: Step) -> (Route, &'static [u8]) {
    // The contract's default, and most requests: not worth 15 bytes of each.
    const GET: &[u8] = br#"","http_status":"#;
    const POST: &[u8] = br#"","method":"POST","http_status":"#;
    const DELETE: &[u8] = br#"","method":"DELETE","http_status":"#;
    match step {
        Step::Landing => (Route::Landing, GET),
        Step::Category => (Route::Category, GET),
        Step::Search => (Route::Search, GET),
        Step::Product => (Route::Product, GET),
        Step::Reviews => (Route::Reviews, GET),
        Step::AddToCart => (Route::Cart, POST),
        Step::Cart => (Route::Cart, GET),
        Step::RemoveFromCart => (Route::Cart, DELETE),
        Step::Checkout => (Route::Checkout, POST),
        Step::Purchase => (Route::Payment, POST),
        Step::Orders => (Route::Orders, GET),
        Step::Help => (Route::Help, GET),
        // The first three are handled before any request is made, and who left makes none.
        Step::Home | Step::AdClick | Step::ProductClick | Step::Conversion | Step::Leave => {
            (Route::Home, GET)
        }
    }
}

/// Appends the path; returns which query it contains, for searches.
fn write_url(out: &mut Vec<u8>, catalog: &Catalog, visit: &Visit, route: Route, draw: Draw) -> usize {
    match route {
        Route::Home => put(out, b"/"),
        Route::Landing => {
            put(out, b"/landing/");
            put(out, CAMPAIGNS[usize::from(visit.campaign) % CAMPAIGNS.len()].as_bytes());
        }
        Route::Category => {
            put(out, b"/category/");
            let category =
                catalog.products[catalog.product_popularity.rank(draw.scattered()) as usize].category;
            put(out, CATEGORIES[usize::from(category)].as_bytes());
        }
        Route::Search => {
            let query = catalog.query_popularity.rank(draw.scattered()) as usize;
            put(out, b"/search?q=");
            put(out, catalog.queries[query].encoded.as_bytes());
            return query;
        }
        Route::Product | Route::Reviews => {
            put(out, b"/product/");
            put(out, catalog.products[visit.product as usize].id.as_bytes());
            if route == Route::Reviews {
                put(out, b"/reviews");
            }
        }
        Route::Cart => put(out, b"/cart"),
        Route::Checkout => put(out, b"/checkout"),
        Route::Payment => put(out, b"/payment"),
        Route::Orders => {
            put(out, b"/account/orders/");
            integer(out, 100_000 + (draw.scattered() >> 44) % 900_000);
        }
        Route::Help => {
            put(out, b"/help/");
            put(out, PAGES_OF_HELP[draw.scattered() as usize % PAGES_OF_HELP.len()].as_bytes());
        }
    }
    0
}

fn write_origin(out: &mut Vec<u8>, catalog: &Catalog, user: &User, draw: Draw) {
    put(out, br#","referrer":""#);
    put(out, REFERRERS[draw.scattered() as usize % REFERRERS.len()].as_bytes());
    put(out, br#"","device":""#);
    put(out, DEVICES[usize::from(user.device)].as_bytes());
    put(out, br#"","country":""#);
    put(out, catalog.countries[usize::from(user.country)].as_bytes());
    put(out, b"\"");
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

/// A bijection of `number`, different for each seed (`SplitMix64`'s finish), so that ids never repeat within a run.
pub(crate) fn scramble(seed: u64, number: u64) -> u64 {
    let mut bits =
        number.wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
