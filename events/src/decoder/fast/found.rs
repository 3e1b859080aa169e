//! What was found in a record, before anything is made of it.

use crate::decoder::check::Settled;
use crate::field::{Field, FieldSet};
use crate::{Event, EventType, Notes, Timestamp};

/// Where each field's text lies and what its numbers are. Kept from record to record: what counts is in `present`.
#[derive(Debug)]
pub(in crate::decoder) struct Found {
    /// Start and end in the record, by field.
    texts: [(u32, u32); SLOTS],
    /// The name that each field was read from, by field.
    names: [u8; SLOTS],
    /// A bit for each field that was given, be it as null.
    given: u32,
    /// The name under which each field was given first, by field.
    firsts: [u8; SLOTS],
    /// Further names of fields that were given under several.
    more: [u8; MORE_MAX],
    more_len: usize,
    /// A bit for each field that has a value.
    present: u32,
    /// A bit for each field that was given a value of no use.
    unusable: u32,
    incomplete: FieldSet,
    pub(super) time: Timestamp,
    pub(super) kind: EventType,
    pub(super) http_status: u16,
    /// What a member called `status` says that may be one.
    pub(super) odd_status: Option<u16>,
    /// The text of the member `type`.
    pub(super) of_type: Option<(u32, u32)>,
    pub(super) latency_ms: f64,
    pub(super) amount_cents: i64,
    pub(super) quantity: f64,
    pub(super) price_cents: i64,
}

/// More than there are fields, and a power of two.
const SLOTS: usize = 32;
/// Names of a record beyond one for each field; a record with more of them is the slow path's.
const MORE_MAX: usize = 16;

pub(super) const fn bit(field: Field) -> u32 {
    1 << field as u32
}

impl Found {
    pub(super) fn new() -> Self {
        Self {
            texts: [(0, 0); SLOTS],
            names: [0; SLOTS],
            given: 0,
            firsts: [0; SLOTS],
            more: [0; MORE_MAX],
            more_len: 0,
            present: 0,
            unusable: 0,
            incomplete: FieldSet::EMPTY,
            time: Timestamp::from_micros(0),
            kind: EventType::PageView,
            http_status: 0,
            odd_status: None,
            of_type: None,
            latency_ms: 0.0,
            amount_cents: 0,
            quantity: 0.0,
            price_cents: 0,
        }
    }

    /// Nothing was found yet.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        (self.present, self.unusable, self.given, self.more_len) = (0, 0, 0, 0);
        (self.odd_status, self.of_type) = (None, None);
    }

    /// Notes that a name gives a field; whether no name that is preferred to it has given the field a value. `None` if
    /// the name was in this record already.
    #[inline(always)]
    pub(super) fn give(&mut self, field: Field, bit: u32, id: u8) -> Option<bool> {
        if self.given & bit == 0 {
            self.given |= bit;
            self.firsts[field as usize % SLOTS] = id;
            return Some(true);
        }
        self.give_again(field, bit, id)
    }

    #[inline(never)]
    fn give_again(&mut self, field: Field, bit: u32, id: u8) -> Option<bool> {
        let more = self.more.get(..self.more_len)?;
        if self.firsts[field as usize % SLOTS] == id || more.contains(&id) {
            return None;
        }
        *self.more.get_mut(self.more_len)? = id;
        self.more_len += 1;
        Some(self.present & bit == 0 || self.names[field as usize % SLOTS] > id)
    }

    /// Notes a text. Positions lie below 2^32.
    #[inline(always)]
    pub(super) fn set_text(&mut self, field: Field, bit: u32, id: u8, start: usize, end: usize) {
        self.texts[field as usize % SLOTS] = (start as u32, end as u32);
        self.mark(bit, field, id);
    }

    #[inline(always)]
    pub(super) fn set_time(&mut self, time: Timestamp, id: u8) {
        self.time = time;
        self.mark(bit(Field::Time), Field::Time, id);
    }

    #[inline(always)]
    pub(super) fn set_status(&mut self, status: u16, id: u8) {
        self.http_status = status;
        self.mark(bit(Field::Status), Field::Status, id);
    }

    /// Notes that a field has a value, which the caller has put into its place, and from which name.
    #[inline(always)]
    pub(super) fn mark(&mut self, bit: u32, field: Field, id: u8) {
        self.names[field as usize % SLOTS] = id;
        self.present |= bit;
    }

    /// Notes a value of no use; of an everyday word it is none of ours.
    #[inline(always)]
    pub(super) fn refuse(&mut self, bit: u32, everyday: bool) {
        self.unusable |= if everyday { 0 } else { bit };
    }

    #[inline(always)]
    pub(super) fn has(&self, field: Field) -> bool {
        self.present & bit(field) != 0
    }

    #[inline(always)]
    pub(super) fn present(&self) -> u32 {
        self.present
    }

    /// Where a field's text lies.
    #[inline(always)]
    pub(super) fn range(&self, field: Field) -> (usize, usize) {
        let (start, end) = self.texts[field as usize % SLOTS];
        (start as usize, end as usize)
    }

    /// Notes what the record turned out to be, and lets an event's own identity stand in where its type needs one.
    #[inline(always)]
    pub(super) fn settle(&mut self, settled: Settled) {
        self.kind = settled.kind;
        self.incomplete = settled.incomplete;
        let field = match settled.kind {
            EventType::Conversion => Field::ConversionId,
            EventType::Purchase => Field::CheckoutId,
            _ => return,
        };
        if !self.has(field) && self.has(Field::EventId) {
            self.texts[field as usize % SLOTS] = self.texts[Field::EventId as usize % SLOTS];
            self.present |= bit(field);
        }
    }

    #[inline(always)]
    fn notes(&self) -> Notes {
        Notes { incomplete: self.incomplete, unusable: FieldSet::from_bits(self.unusable & !self.present) }
    }
}

/// An event as it lies in a plain record: texts are bytes of the record, valid UTF-8, and cost nothing until asked for.
///
/// Fields mean what those of [`Event`] mean.
#[derive(Debug, Clone, Copy)]
pub struct PlainEvent<'d, 'a> {
    found: &'d Found,
    record: &'a [u8],
}

impl<'d, 'a> PlainEvent<'d, 'a> {
    #[inline(always)]
    pub(in crate::decoder) fn new(found: &'d Found, record: &'a [u8]) -> Self {
        Self { found, record }
    }

    #[inline(always)]
    fn text(&self, field: Field) -> Option<&'a [u8]> {
        if !self.found.has(field) {
            return None;
        }
        let (start, end) = self.found.texts[field as usize % SLOTS];
        self.record.get(start as usize..end as usize)
    }

    /// When it happened.
    #[must_use]
    #[inline(always)]
    pub fn time(&self) -> Timestamp {
        self.found.time
    }

    /// What happened.
    #[must_use]
    #[inline(always)]
    pub fn kind(&self) -> EventType {
        self.found.kind
    }

    /// [`Event::user_id`].
    #[must_use]
    #[inline(always)]
    pub fn user_id(&self) -> Option<&'a [u8]> {
        self.text(Field::UserId)
    }

    /// [`Event::notes`].
    #[must_use]
    #[inline(always)]
    pub fn notes(&self) -> Notes {
        self.found.notes()
    }

    /// [`Event::currency`].
    #[must_use]
    #[inline(always)]
    pub fn currency(&self) -> Option<&'a [u8]> {
        self.text(Field::Currency)
    }

    /// [`Event::event_id`].
    #[must_use]
    #[inline(always)]
    pub fn event_id(&self) -> Option<&'a [u8]> {
        self.text(Field::EventId)
    }

    /// [`Event::url`].
    #[must_use]
    #[inline(always)]
    pub fn url(&self) -> Option<&'a [u8]> {
        self.text(Field::Url)
    }

    /// [`Event::method`]: `GET` where the record names none.
    #[must_use]
    #[inline(always)]
    pub fn method(&self) -> &'a [u8] {
        self.text(Field::Method).unwrap_or(b"GET")
    }

    /// [`Event::product_id`].
    #[must_use]
    #[inline(always)]
    pub fn product_id(&self) -> Option<&'a [u8]> {
        self.text(Field::ProductId)
    }

    /// [`Event::checkout_id`].
    #[must_use]
    #[inline(always)]
    pub fn checkout_id(&self) -> Option<&'a [u8]> {
        self.text(Field::CheckoutId)
    }

    /// [`Event::campaign_id`].
    #[must_use]
    #[inline(always)]
    pub fn campaign_id(&self) -> Option<&'a [u8]> {
        self.text(Field::CampaignId)
    }

    /// [`Event::http_status`].
    #[must_use]
    #[inline(always)]
    pub fn http_status(&self) -> Option<u16> {
        self.found.has(Field::Status).then_some(self.found.http_status)
    }

    /// [`Event::latency_ms`].
    #[must_use]
    #[inline(always)]
    pub fn latency_ms(&self) -> Option<f64> {
        self.found.has(Field::Latency).then_some(self.found.latency_ms)
    }

    /// [`Event::amount_cents`].
    #[must_use]
    #[inline(always)]
    pub fn amount_cents(&self) -> Option<i64> {
        self.found.has(Field::Amount).then_some(self.found.amount_cents)
    }

    /// The same event with all its fields as text; `None` if the record is not valid UTF-8, which it is.
    #[must_use]
    pub fn event(&self) -> Option<Event<'a>> {
        let record = std::str::from_utf8(self.record).ok()?;
        let Found { texts, .. } = self.found;
        let text = |field: Field| {
            let (start, end) = texts[field as usize % SLOTS];
            self.found.has(field).then(|| record.get(start as usize..end as usize)).flatten()
        };
        Some(Event {
            user_id: text(Field::UserId),
            time: self.found.time,
            kind: self.found.kind,
            event_id: text(Field::EventId),
            url: text(Field::Url),
            http_status: self.http_status(),
            method: text(Field::Method),
            latency_ms: self.latency_ms(),
            product_id: text(Field::ProductId),
            click_id: text(Field::ClickId),
            checkout_id: text(Field::CheckoutId),
            amount_cents: self.amount_cents(),
            campaign_id: text(Field::CampaignId),
            conversion_id: text(Field::ConversionId),
            search_id: text(Field::SearchId),
            query: text(Field::Query),
            category: text(Field::Category),
            quantity: self.found.has(Field::Quantity).then_some(self.found.quantity),
            price_cents: self.found.has(Field::Price).then_some(self.found.price_cents),
            currency: text(Field::Currency),
            referrer: text(Field::Referrer),
            device: text(Field::Device),
            browser: text(Field::Browser),
            country: text(Field::Country),
            user_agent: text(Field::UserAgent),
            ad_id: text(Field::AdId),
            source: text(Field::Source),
            conversion_type: text(Field::ConversionType),
            payment_method: text(Field::PaymentMethod),
            notes: self.notes(),
        })
    }
}
