//! An event as state takes it: numbers, and texts by their hashes, worked out before any state is touched.
//!
//! State is megabytes of tables, and each of the places that an event changes is somewhere else in them. So a task works
//! in blocks of records, two at a time: it decodes a block and asks memory for the places where its names will be looked
//! up; it counts the block before; then it looks the names up and asks for the places of their counts; decodes the block
//! after; and only then counts this one. Looking ahead changes nothing and decides nothing.

use events::{Event, EventType, PlainEvent};

use crate::dedup::Dedup;
use crate::hash::fingerprint;
use crate::interner::{Hint, Key};
use crate::route::{method_index, path};
use crate::tables::Tables;
use crate::task::Record;
use crate::windows::Windows;

/// What of an event is needed, ready to be counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prepared<'a> {
    /// Microseconds.
    pub(crate) time: i64,
    pub(crate) kind: EventType,
    /// Present means a request.
    pub(crate) request: Option<Request<'a>>,
    /// The event id's fingerprint.
    pub(crate) event_id: Option<u64>,
    pub(crate) user: Key<'a>,
    pub(crate) user_hint: Option<Hint>,
    /// What keyed logic needs of clicks and checkouts.
    pub(crate) fact: Option<Fact<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) status: u16,
    /// See [`method_index`].
    pub(crate) method: u8,
    pub(crate) latency_ms: Option<f64>,
    pub(crate) path: Key<'a>,
    pub(crate) path_hint: Option<Hint>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fact<'a> {
    pub(crate) product: Key<'a>,
    pub(crate) campaign: Option<Key<'a>>,
    pub(crate) checkout: Option<Checkout>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkout {
    /// The id's fingerprint.
    pub(crate) id: Option<u64>,
    pub(crate) amount_cents: i64,
}

impl<'a> Prepared<'a> {
    /// From a plain record.
    #[inline(always)]
    pub(crate) fn plain(event: &PlainEvent<'_, 'a>) -> Self {
        Self {
            time: event.time().micros(),
            kind: event.kind(),
            request: event.http_status().map(|status| Request {
                status,
                method: method_index(event.method()),
                latency_ms: event.latency_ms(),
                path: Key::new(path(event.url().unwrap_or_default())),
                path_hint: None,
            }),
            event_id: event.event_id().map(fingerprint),
            user: Key::new(event.user_id().unwrap_or_default()),
            user_hint: None,
            fact: fact(
                event.kind(),
                event.product_id(),
                event.campaign_id(),
                event.checkout_id(),
                event.amount_cents(),
            ),
        }
    }

    /// Asks for what the event will be looked up in.
    #[inline]
    pub(crate) fn ask_for(&self, dedup: &Dedup, tables: &Tables) {
        if let Some(id) = self.event_id {
            dedup.ask_for(id);
        }
        tables.users.ask_for(&self.user);
        if let Some(request) = &self.request {
            tables.urls.ask_for(&request.path);
        }
        if let Some(fact) = &self.fact {
            tables.products.ask_for(&fact.product);
        }
    }

    /// From an event of any record.
    pub(crate) fn event(event: &Event<'a>) -> Self {
        let bytes = |text: Option<&'a str>| text.map(str::as_bytes);
        Self {
            time: event.time.micros(),
            kind: event.kind,
            request: event.http_status.map(|status| Request {
                status,
                method: method_index(event.method().as_bytes()),
                latency_ms: event.latency_ms,
                path: Key::new(path(bytes(event.url).unwrap_or_default())),
                path_hint: None,
            }),
            event_id: bytes(event.event_id).map(fingerprint),
            user: Key::new(event.user_id.unwrap_or_default().as_bytes()),
            user_hint: None,
            fact: fact(
                event.kind,
                bytes(event.product_id),
                bytes(event.campaign_id),
                bytes(event.checkout_id),
                event.amount_cents,
            ),
        }
    }
}

/// Looks up what counting these events will need, and asks for it.
#[inline]
pub(crate) fn look_ahead<'a, 'e: 'a>(
    block: &mut [(Record<'e>, Option<Prepared<'a>>)],
    tables: &Tables,
    windows: &Windows,
) {
    for event in block.iter_mut().filter_map(|(_, prepared)| prepared.as_mut()) {
        event.user_hint = tables.users.find(&event.user);
        let user = tables.users.hinted(event.user_hint);
        let mut url = None;
        if let Some(request) = &mut event.request {
            request.path_hint = tables.urls.find(&request.path);
            url = tables.urls.hinted(request.path_hint);
        }
        windows.ask_for(event.time, user, url);
    }
}

#[inline]
fn fact<'a>(
    kind: EventType,
    product: Option<&'a [u8]>,
    campaign: Option<&'a [u8]>,
    checkout: Option<&[u8]>,
    amount_cents: Option<i64>,
) -> Option<Fact<'a>> {
    let checkout = match kind {
        EventType::ProductClick => None,
        EventType::Checkout => {
            Some(Checkout { id: checkout.map(fingerprint), amount_cents: amount_cents.unwrap_or(0) })
        }
        _ => return None,
    };
    Some(Fact { product: Key::new(product?), campaign: campaign.map(Key::new), checkout })
}
