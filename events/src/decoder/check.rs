//! What an event's type makes of its fields: shared by both paths, so that they cannot disagree.

use crate::{Event, EventType};

/// The type a record names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeName<'a> {
    /// None: the input's default holds.
    Absent,
    /// One of the contract's names.
    Known(EventType),
    /// `click`, which a `campaign_id` makes an advertisement's and its lack a product's.
    Click,
    /// None of the contract's names.
    Unknown(&'a str),
}

impl<'a> TypeName<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        match name {
            "page_view" => Self::Known(EventType::PageView),
            "search" => Self::Known(EventType::Search),
            "product_click" | "product_view" => Self::Known(EventType::ProductClick),
            "add_to_cart" => Self::Known(EventType::AddToCart),
            "remove_from_cart" => Self::Known(EventType::RemoveFromCart),
            "checkout" => Self::Known(EventType::Checkout),
            "purchase" => Self::Known(EventType::Purchase),
            "ad_click" => Self::Known(EventType::AdClick),
            "conversion" => Self::Known(EventType::Conversion),
            "click" => Self::Click,
            unknown => Self::Unknown(unknown),
        }
    }
}

/// What is wrong with a record whose single fields are all right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A field is not there that every event needs, or that an event of this type needs.
    Missing(&'static str, EventType),
    /// The type is unknown and there is no `http_status` that would make it a request.
    UnknownType,
}

/// Settles the event's type and checks that what it needs is there, in the order of the contract's table.
///
/// `has_time` says whether the record had an event time; the user is missing if the id is empty.
pub(super) fn finish(
    event: &mut Event<'_>,
    has_time: bool,
    named: TypeName<'_>,
    default_type: EventType,
) -> Result<(), Fault> {
    let kind = match named {
        TypeName::Absent => default_type,
        TypeName::Known(kind) => kind,
        TypeName::Click if event.campaign_id.is_some() => EventType::AdClick,
        TypeName::Click => EventType::ProductClick,
        TypeName::Unknown(_) => EventType::Other,
    };
    event.kind = kind;
    let need = |there: bool, name| if there { Ok(()) } else { Err(Fault::Missing(name, kind)) };
    need(!event.user_id.is_empty(), "user_id")?;
    need(has_time, "event_timestamp")?;
    match kind {
        EventType::PageView => {
            need(event.url.is_some(), "url")?;
            need(event.http_status.is_some(), "http_status")
        }
        EventType::Search => need(event.search_id.is_some() || event.query.is_some(), "search_id or query"),
        EventType::ProductClick | EventType::AddToCart | EventType::RemoveFromCart => {
            need(event.product_id.is_some(), "product_id")
        }
        EventType::Checkout => {
            need(event.product_id.is_some(), "product_id")?;
            need(event.checkout_id.is_some(), "checkout_id")?;
            need(event.amount_cents.is_some(), "amount")
        }
        EventType::Purchase => {
            need(event.checkout_id.is_some(), "checkout_id")?;
            need(event.amount_cents.is_some(), "amount")
        }
        EventType::AdClick => need(event.campaign_id.is_some(), "campaign_id"),
        EventType::Conversion => {
            need(event.amount_cents.is_some(), "amount")?;
            need(event.campaign_id.is_some(), "campaign_id")?;
            event.conversion_id = event.conversion_id.or(event.event_id);
            need(event.conversion_id.is_some(), "conversion_id")
        }
        EventType::Other if event.http_status.is_none() => Err(Fault::UnknownType),
        EventType::Other => Ok(()),
    }
}
