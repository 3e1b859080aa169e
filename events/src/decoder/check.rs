//! What an event's type makes of its fields: shared by both paths, so that they cannot disagree.

use crate::EventType;
use crate::field::Field;

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
        Self::known(name.as_bytes()).unwrap_or(Self::Unknown(name))
    }

    /// The type of that name, if it is one of the contract's.
    #[inline]
    pub(super) fn known(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"page_view" => Self::Known(EventType::PageView),
            b"search" => Self::Known(EventType::Search),
            b"product_click" | b"product_view" => Self::Known(EventType::ProductClick),
            b"add_to_cart" => Self::Known(EventType::AddToCart),
            b"remove_from_cart" => Self::Known(EventType::RemoveFromCart),
            b"checkout" => Self::Known(EventType::Checkout),
            b"purchase" => Self::Known(EventType::Purchase),
            b"ad_click" => Self::Known(EventType::AdClick),
            b"conversion" => Self::Known(EventType::Conversion),
            b"refund" => Self::Known(EventType::Refund),
            b"click" => Self::Click,
            _ => return None,
        })
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
/// `has` says which fields have a value; a conversion's `event_id` stands in for its `conversion_id`.
#[inline]
pub(super) fn settle(
    has: impl Fn(Field) -> bool,
    named: TypeName<'_>,
    default_type: EventType,
) -> Result<EventType, Fault> {
    let kind = match named {
        TypeName::Absent => default_type,
        TypeName::Known(kind) => kind,
        TypeName::Click if has(Field::CampaignId) => EventType::AdClick,
        TypeName::Click => EventType::ProductClick,
        TypeName::Unknown(_) => EventType::Other,
    };
    let need = |there: bool, name| if there { Ok(()) } else { Err(Fault::Missing(name, kind)) };
    need(has(Field::UserId), "user_id")?;
    need(has(Field::Time), "event_timestamp")?;
    match kind {
        EventType::PageView => {
            need(has(Field::Url), "url")?;
            need(has(Field::Status), "http_status")?;
        }
        EventType::Search => need(has(Field::SearchId) || has(Field::Query), "search_id or query")?,
        EventType::ProductClick | EventType::AddToCart | EventType::RemoveFromCart => {
            need(has(Field::ProductId), "product_id")?;
        }
        EventType::Checkout => {
            need(has(Field::ProductId), "product_id")?;
            need(has(Field::CheckoutId), "checkout_id")?;
            need(has(Field::Amount), "amount")?;
        }
        EventType::Purchase | EventType::Refund => {
            need(has(Field::CheckoutId), "checkout_id")?;
            need(has(Field::Amount), "amount")?;
        }
        EventType::AdClick => need(has(Field::CampaignId), "campaign_id")?,
        EventType::Conversion => {
            need(has(Field::Amount), "amount")?;
            need(has(Field::CampaignId), "campaign_id")?;
            need(has(Field::ConversionId) || has(Field::EventId), "conversion_id")?;
        }
        EventType::Other if !has(Field::Status) => return Err(Fault::UnknownType),
        EventType::Other => {}
    }
    Ok(kind)
}
