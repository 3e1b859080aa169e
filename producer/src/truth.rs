//! What an all-knowing observer expects of the records of a run, for tests to compare with.
//!
//! It reads the bytes that were sent and knows of each record what it is, and it computes everything after the end
//! with maps and loops: no watermark, no partitions, and no code shared with the processor. What it does not hold is
//! left to others: percentiles, tops, sessions.
//!
//! Clicks and checkouts are kept in memory until the end (about 100 bytes each), as are the users of each window;
//! a run with a truth file should have an end.

mod route;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use events::Reason;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Record, RecordKind};
use crate::run::Summary;

/// How far back from a checkout its first click may lie, inclusive.
const LOOKBACK_MICROS: i64 = 3_600_000_000;

/// The content of a truth file. Times are event times, since 1970; windows are `[start, start + size)`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// What it was computed for.
    pub settings: TruthSettings,
    /// All records of the run.
    pub records: Records,
    /// The windows with at least one usable event, by their start.
    pub windows: Vec<Window>,
    /// The usable checkouts, in the order of their times.
    pub checkouts: Vec<Checkout>,
}

/// What a truth was computed for; the processor must be set up alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthSettings {
    /// `windows.size`.
    pub window_ms: u64,
    /// At most `windows.allowed_lateness`, at most `windows.size`: late records are late for these, together.
    pub closes_after_ms: u64,
    /// `windows.out_of_orderness`: records out of order are within it.
    pub out_of_orderness_ms: u64,
    /// How far back a first click may lie.
    pub lookback_ms: u64,
}

/// Numbers of records. `sent` is the sum of `usable`, `duplicates`, `late` and all `invalid`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// Records sent.
    pub sent: u64,
    /// Records that did not arrive. Where this is not 0, the rest is not certain.
    pub failed: u64,
    /// Events that count.
    pub usable: u64,
    /// Of these, events sent after younger ones.
    pub out_of_order: u64,
    /// Repeats.
    pub duplicates: u64,
    /// Events that no window counts any more.
    pub late: u64,
    /// Records to be rejected, by reason.
    pub invalid: BTreeMap<String, u64>,
}

/// One window.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its start, milliseconds.
    pub start_ms: i64,
    /// Events with an HTTP status.
    pub requests: u64,
    /// Of these, those with a status from 500 to 599.
    pub errors: u64,
    /// Of these, those with a status from 400 to 499.
    pub client_errors: u64,
    /// Different users with an event of any kind.
    pub users: u64,
    /// Different users with a request.
    pub request_users: u64,
    /// Requests by route, method and status, sorted.
    pub http: Vec<Http>,
    /// Events by type.
    pub events: BTreeMap<String, u64>,
}

/// Requests of one window that have these in common.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// Templated as the contract says.
    pub route: String,
    /// `GET` where the record has none.
    pub method: String,
    /// The status.
    pub status: u16,
    /// How many.
    pub requests: u64,
}

/// One checkout and its first click: the earliest of the same user on the same product in the hour up to it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// Its id.
    pub checkout_id: String,
    /// Who.
    pub user_id: String,
    /// What.
    pub product_id: String,
    /// For how much.
    pub amount_cents: i64,
    /// When, microseconds.
    pub time_us: i64,
    /// Whether there is such a click.
    pub attributed: bool,
    /// When that was, microseconds.
    pub click_time_us: Option<i64>,
    /// Its id.
    pub click_id: Option<String>,
    /// The campaign it came by.
    pub campaign_id: Option<String>,
}

/// The fields of our own records that matter here.
#[derive(Debug, Deserialize)]
struct Sent {
    user_id: String,
    event_timestamp: f64,
    event_type: String,
    url: Option<String>,
    method: Option<String>,
    http_status: Option<u16>,
    product_id: Option<String>,
    click_id: Option<String>,
    checkout_id: Option<String>,
    amount: Option<f64>,
    campaign_id: Option<String>,
}

#[derive(Debug, Default)]
struct OpenWindow {
    http: BTreeMap<(String, String, u16), u64>,
    events: BTreeMap<String, u64>,
    users: HashSet<u32>,
    request_users: HashSet<u32>,
}

#[derive(Debug)]
struct Click {
    time_us: i64,
    click_id: Option<String>,
    campaign_id: Option<String>,
}

/// Watches a run.
#[derive(Debug)]
pub(crate) struct Observer {
    settings: TruthSettings,
    records: Records,
    windows: BTreeMap<i64, OpenWindow>,
    users: HashMap<String, u32>,
    clicks: HashMap<(u32, String), Vec<Click>>,
    checkouts: Vec<Checkout>,
}

impl TruthSettings {
    pub(crate) fn new(window: Duration, closes_after: Duration, out_of_orderness: Duration) -> Self {
        let ms = |duration: Duration| duration.as_millis() as u64;
        Self {
            window_ms: ms(window),
            closes_after_ms: ms(closes_after),
            out_of_orderness_ms: ms(out_of_orderness),
            lookback_ms: LOOKBACK_MICROS as u64 / 1_000,
        }
    }
}

impl Observer {
    pub(crate) fn new(settings: TruthSettings) -> Self {
        Self {
            settings,
            records: Records {
                sent: 0,
                failed: 0,
                usable: 0,
                out_of_order: 0,
                duplicates: 0,
                late: 0,
                invalid: BTreeMap::new(),
            },
            windows: BTreeMap::new(),
            users: HashMap::new(),
            clicks: HashMap::new(),
            checkouts: Vec::new(),
        }
    }

    pub(crate) fn observe_all(&mut self, batch: &Batch) {
        batch.iter().for_each(|record| self.observe(record));
    }

    fn observe(&mut self, record: Record<'_>) {
        self.records.sent += 1;
        match record.kind {
            RecordKind::Duplicate => self.records.duplicates += 1,
            RecordKind::Late => self.records.late += 1,
            RecordKind::Invalid(reason) => {
                *self.records.invalid.entry(Reason::name(reason).to_owned()).or_default() += 1;
            }
            RecordKind::Ordinary => self.use_event(record.value),
            RecordKind::OutOfOrder => {
                self.records.out_of_order += 1;
                self.use_event(record.value);
            }
        }
    }

    fn use_event(&mut self, value: &[u8]) {
        let event: Sent = serde_json::from_slice(value).expect("our own events are JSON of this shape");
        self.records.usable += 1;
        let fresh = u32::try_from(self.users.len()).expect("there are fewer than 2^32 users");
        let user = *self.users.entry(event.user_id.clone()).or_insert(fresh);
        let time_us = (event.event_timestamp * 1e6).round() as i64;
        let size_us = self.settings.window_ms as i64 * 1_000;
        let window = self.windows.entry(time_us - time_us.rem_euclid(size_us)).or_default();
        window.users.insert(user);
        *window.events.entry(event.event_type.clone()).or_default() += 1;
        if let Some(status) = event.http_status {
            window.request_users.insert(user);
            let route = route::template(event.url.as_deref().expect("our requests have a URL"));
            let method = event.method.unwrap_or_else(|| "GET".to_owned());
            *window.http.entry((route, method, status)).or_default() += 1;
        }
        match event.event_type.as_str() {
            "product_click" => {
                let product = event.product_id.expect("a product click names the product");
                let click = Click { time_us, click_id: event.click_id, campaign_id: event.campaign_id };
                self.clicks.entry((user, product)).or_default().push(click);
            }
            "checkout" => self.checkouts.push(Checkout {
                checkout_id: event.checkout_id.expect("a checkout has an id"),
                user_id: event.user_id,
                product_id: event.product_id.expect("a checkout names the product"),
                amount_cents: (event.amount.expect("a checkout has an amount") * 100.0).round() as i64,
                time_us,
                attributed: false,
                click_time_us: None,
                click_id: None,
                campaign_id: None,
            }),
            _ => {}
        }
    }

    /// The truth about everything observed.
    pub(crate) fn conclude(mut self, summary: &Summary) -> Truth {
        self.records.failed = summary.deliveries.failed;
        for checkout in &mut self.checkouts {
            let user = self.users[&checkout.user_id];
            let eligible = checkout.time_us - LOOKBACK_MICROS..=checkout.time_us;
            let clicks = self.clicks.get(&(user, checkout.product_id.clone()));
            let first = clicks
                .into_iter()
                .flatten()
                .filter(|click| eligible.contains(&click.time_us))
                .min_by_key(|click| click.time_us);
            if let Some(click) = first {
                checkout.attributed = true;
                checkout.click_time_us = Some(click.time_us);
                checkout.click_id.clone_from(&click.click_id);
                checkout.campaign_id.clone_from(&click.campaign_id);
            }
        }
        self.checkouts.sort_by(|a, b| (a.time_us, &a.checkout_id).cmp(&(b.time_us, &b.checkout_id)));
        Truth {
            settings: self.settings,
            records: self.records,
            windows: self.windows.into_iter().map(|(start, window)| window.conclude(start)).collect(),
            checkouts: self.checkouts,
        }
    }
}

impl OpenWindow {
    fn conclude(self, start_us: i64) -> Window {
        let requests = |low: u16, high: u16| -> u64 {
            let within = self.http.iter().filter(|((_, _, status), _)| (low..=high).contains(status));
            within.map(|(_, requests)| requests).sum()
        };
        Window {
            start_ms: start_us / 1_000,
            requests: requests(0, u16::MAX),
            errors: requests(500, 599),
            client_errors: requests(400, 499),
            users: self.users.len() as u64,
            request_users: self.request_users.len() as u64,
            events: self.events,
            http: self
                .http
                .into_iter()
                .map(|((route, method, status), requests)| Http { route, method, status, requests })
                .collect(),
        }
    }
}

impl Truth {
    /// Writes it as JSON.
    ///
    /// # Errors
    /// If the file cannot be created or written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        serde_json::to_writer(&mut out, self)?;
        out.write_all(b"\n")?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}
