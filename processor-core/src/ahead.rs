//! An event as state takes it: numbers, and texts by their hashes, worked out before any state is touched.
//!
//! State is megabytes of tables, and each of the places that an event changes is somewhere else in them. So a task works
//! in blocks of records, two at a time: it decodes a block and asks memory for the places where its names will be looked
//! up; it counts the block before; then it looks the names up and asks for the places of their counts; decodes the block
//! after; and only then counts this one. Looking ahead changes nothing and decides nothing.

use std::num::NonZeroU64;

use events::{Event, EventType, Notes, PlainEvent};

use crate::dedup::Dedup;
use crate::hash::id;
use crate::interner::{Hint, Key};
use crate::route::{Path, method_index};
use crate::tables::Tables;
use crate::task::Record;
use crate::windows::Windows;

/// What of an event is needed, ready to be counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prepared<'a> {
    /// Microseconds.
    pub(crate) time: i64,
    pub(crate) kind: EventType,
    /// What is to be said of it.
    pub(crate) notes: Notes,
    /// Present means a request.
    pub(crate) request: Option<Request<'a>>,
    /// The event id's fingerprint.
    pub(crate) event_id: Option<NonZeroU64>,
    pub(crate) user: Option<Key<'a>>,
    pub(crate) user_hint: Hint,
    /// What keyed logic needs of clicks and checkouts; nothing of those without a user.
    pub(crate) fact: Option<Fact<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) status: u16,
    /// See [`method_index`].
    pub(crate) method: u8,
    /// NaN where it is not known.
    latency_ms: f64,
    /// `None` where it has no URL.
    pub(crate) path: Option<Key<'a>>,
    pub(crate) path_hint: Hint,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fact<'a> {
    Click {
        product: Key<'a>,
        campaign: Option<Key<'a>>,
    },
    Checkout {
        product: Option<Key<'a>>,
        /// The checkout id's fingerprint.
        order: Option<NonZeroU64>,
        /// 0 where it is not known.
        amount_cents: i64,
        currency: Option<Key<'a>>,
    },
}

impl Request<'_> {
    /// A server's fault.
    #[inline]
    pub(crate) fn is_error(&self) -> bool {
        is_error(self.status)
    }

    #[inline]
    pub(crate) fn latency_ms(&self) -> Option<f64> {
        (!self.latency_ms.is_nan()).then_some(self.latency_ms)
    }
}

/// Whether a status is a server's fault: 500 to 599.
#[inline]
pub(crate) fn is_error(status: u16) -> bool {
    (500..600).contains(&status)
}

impl<'a> Prepared<'a> {
    /// From a plain record.
    #[inline(always)]
    pub(crate) fn plain(event: &PlainEvent<'_, 'a>) -> Self {
        let kind = event.kind();
        let user = event.user_id().map(Key::plain_name);
        Self {
            time: event.time().micros(),
            kind,
            notes: event.notes(),
            request: event.http_status().map(|status| Request {
                status,
                method: method_index(event.method()),
                latency_ms: event.latency_ms().unwrap_or(f64::NAN),
                path: event.url().and_then(Path::plain).map(Key::path),
                path_hint: Hint::NONE,
            }),
            event_id: event.event_id().map(id),
            user,
            user_hint: Hint::NONE,
            fact: match kind {
                _ if user.is_none() => None,
                EventType::ProductClick => event.product_id().map(|product| Fact::Click {
                    product: Key::exact(product),
                    campaign: event.campaign_id().map(Key::plain_name),
                }),
                EventType::Checkout => Some(Fact::Checkout {
                    product: event.product_id().map(Key::exact),
                    order: event.checkout_id().map(id),
                    amount_cents: event.amount_cents().unwrap_or(0),
                    currency: event.currency().filter(|text| !text.is_empty()).map(Key::plain_name),
                }),
                _ => None,
            },
        }
    }

    /// Asks for what the event will be looked up in.
    #[inline]
    pub(crate) fn ask_for(&self, dedup: &Dedup, tables: &Tables) {
        if let Some(id) = self.event_id {
            dedup.ask_for(id.get());
        }
        if let Some(user) = &self.user {
            tables.users.ask_for(user);
        }
        if let Some(path) = self.request.as_ref().and_then(|request| request.path.as_ref()) {
            tables.urls.ask_for(path);
        }
        if let Some(product) = self.fact.as_ref().and_then(Fact::product) {
            tables.products.ask_for(product);
        }
    }

    /// From an event of any record.
    pub(crate) fn event(event: &Event<'a>) -> Self {
        let user = event.user_id.map(Key::name);
        Self {
            time: event.time.micros(),
            kind: event.kind,
            notes: event.notes,
            request: event.http_status.map(|status| Request {
                status,
                method: method_index(event.method().as_bytes()),
                latency_ms: event.latency_ms.unwrap_or(f64::NAN),
                path: event.url.and_then(Path::of).map(Key::path),
                path_hint: Hint::NONE,
            }),
            event_id: event.event_id.map(|text| id(text.as_bytes())),
            user,
            user_hint: Hint::NONE,
            fact: match event.kind {
                _ if user.is_none() => None,
                EventType::ProductClick => event.product_id.map(|product| Fact::Click {
                    product: Key::exact(product.as_bytes()),
                    campaign: event.campaign_id.map(Key::name),
                }),
                EventType::Checkout => Some(Fact::Checkout {
                    product: event.product_id.map(|product| Key::exact(product.as_bytes())),
                    order: event.checkout_id.map(|text| id(text.as_bytes())),
                    amount_cents: event.amount_cents.unwrap_or(0),
                    currency: event.currency.filter(|text| !text.is_empty()).map(Key::name),
                }),
                _ => None,
            },
        }
    }
}

impl<'a> Fact<'a> {
    #[inline]
    pub(crate) fn product(&self) -> Option<&Key<'a>> {
        match self {
            Self::Click { product, .. } => Some(product),
            Self::Checkout { product, .. } => product.as_ref(),
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
        if let Some(user) = &event.user {
            event.user_hint = tables.users.find(user);
        }
        let user = tables.users.hinted(event.user_hint);
        let mut url = None;
        if let Some(Request { path: Some(path), path_hint, .. }) = &mut event.request {
            *path_hint = tables.urls.find(path);
            url = tables.urls.hinted(*path_hint);
        }
        windows.ask_for(event.time, user, url);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_in_blocks_stays_small() {
        assert!(size_of::<Option<Prepared<'_>>>() <= 192, "{}", size_of::<Option<Prepared<'_>>>());
    }
}
