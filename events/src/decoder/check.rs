//! What an event's type makes of its fields: shared by both paths, so that they cannot disagree.

use std::collections::BTreeMap;

use crate::EventType;
use crate::field::{Field, FieldSet};

/// The type a record names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeName<'a> {
    /// None: the input's default holds.
    Absent,
    /// One of the contract's names, or of the input's own.
    Known(EventType),
    /// `click`, which a `campaign_id` makes an advertisement's and its lack a product's.
    Click,
    /// None of them.
    Unknown(&'a str),
}

impl TypeName<'_> {
    /// The type of that name, if it is one of the contract's.
    #[inline]
    fn of_the_contract(name: &[u8]) -> Option<Self> {
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

/// What an input calls the contract's types.
#[derive(Debug)]
pub(super) struct Types {
    /// By name.
    own: Vec<(Box<[u8]>, EventType)>,
    /// Of every name that is neither here nor in the contract.
    others: Option<EventType>,
    /// Of records that name none.
    default: EventType,
}

/// The name of every other type in a mapping.
const OTHERS: &str = "*";

impl Types {
    pub(super) fn new(mapping: &BTreeMap<String, EventType>, default: EventType) -> Self {
        let own = mapping.iter().filter(|(name, _)| *name != OTHERS);
        Self {
            own: own.map(|(name, kind)| (name.as_bytes().into(), *kind)).collect(),
            others: mapping.get(OTHERS).copied(),
            default,
        }
    }

    /// The type of that name; `None` if it is unknown.
    #[inline]
    pub(super) fn named(&self, name: &[u8]) -> Option<TypeName<'static>> {
        self.known(name).or(self.others.map(TypeName::Known))
    }

    /// The same, but for names that only `*` would cover.
    #[inline]
    pub(super) fn known(&self, name: &[u8]) -> Option<TypeName<'static>> {
        if !self.own.is_empty()
            && let Ok(at) = self.own.binary_search_by(|(own, _)| (**own).cmp(name))
        {
            return Some(TypeName::Known(self.own[at].1));
        }
        TypeName::of_the_contract(name)
    }
}

/// Whether a member called `status` may tell what a client went away with: of an order it is the order's state.
#[inline]
pub(super) fn is_of_a_page(named: TypeName<'_>, types: &Types) -> bool {
    let kind = match named {
        TypeName::Absent => types.default,
        TypeName::Known(kind) => kind,
        TypeName::Click => EventType::ProductClick,
        TypeName::Unknown(_) => EventType::Other,
    };
    matches!(kind, EventType::PageView | EventType::Other)
}

/// Why nothing of a record can be counted, although it has a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no request, and lacks what an event of its type needs; the first of it.
    Missing(Field, EventType),
    /// It is no request, and of a type that nobody knows.
    UnknownType,
}

/// What a record turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) kind: EventType,
    /// What an analytic of this type lacks.
    pub(super) incomplete: FieldSet,
}

/// Settles the event's type and what it lacks, in the order of the contract's table; it has a time.
///
/// A request counts whatever else it lacks; anything else needs what its type needs, but for the user.
#[inline]
pub(super) fn settle(has: FieldSet, named: TypeName<'_>, types: &Types) -> Result<Settled, Fault> {
    let kind = match named {
        TypeName::Absent => types.default,
        TypeName::Known(kind) => kind,
        TypeName::Click if has.contains(Field::CampaignId) => EventType::AdClick,
        TypeName::Click => EventType::ProductClick,
        TypeName::Unknown(_) => EventType::Other,
    };
    let lacks = lacks(kind, has);
    if !has.contains(Field::Status) {
        // What an input says is `other` is known, if only to be of no further use.
        if kind == EventType::Other && named != TypeName::Known(EventType::Other) {
            return Err(Fault::UnknownType);
        }
        if let Some(field) = first_needed(kind, has, lacks) {
            return Err(Fault::Missing(field, kind));
        }
    }
    Ok(Settled { kind, incomplete: lacks })
}

/// What an analytic of events of this type needs and does not find.
#[inline]
fn lacks(kind: EventType, has: FieldSet) -> FieldSet {
    const fn needs(kind: EventType) -> FieldSet {
        use Field::{Amount, CampaignId, CheckoutId, ConversionId, ProductId, SearchId, Url, UserId};
        match kind {
            EventType::PageView => FieldSet::of(&[Url]),
            EventType::Search => FieldSet::of(&[UserId, SearchId]),
            EventType::ProductClick | EventType::AddToCart | EventType::RemoveFromCart => {
                FieldSet::of(&[UserId, ProductId])
            }
            EventType::Checkout => FieldSet::of(&[UserId, ProductId, CheckoutId, Amount]),
            EventType::Purchase => FieldSet::of(&[UserId, CheckoutId, Amount]),
            EventType::Refund => FieldSet::of(&[CheckoutId, Amount]),
            EventType::AdClick => FieldSet::of(&[UserId, CampaignId]),
            EventType::Conversion => FieldSet::of(&[UserId, Amount, CampaignId, ConversionId]),
            EventType::Other => FieldSet::EMPTY,
        }
    }
    const NEEDS: [FieldSet; EventType::ALL.len()] = {
        let mut all = [FieldSet::EMPTY; EventType::ALL.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = needs(EventType::ALL[at]);
            at += 1;
        }
        all
    };
    let mut lacks = NEEDS[kind as usize].without(has);
    if lacks.is_empty() {
        return lacks;
    }
    // What stands in for another.
    match kind {
        EventType::Search if has.contains(Field::Query) => lacks.remove(Field::SearchId),
        EventType::Purchase if has.contains(Field::EventId) => lacks.remove(Field::CheckoutId),
        EventType::Conversion if has.contains(Field::EventId) => lacks.remove(Field::ConversionId),
        _ => {}
    }
    lacks
}

/// The first of what is lacking without which an event that is no request cannot be counted.
#[inline]
fn first_needed(kind: EventType, has: FieldSet, lacks: FieldSet) -> Option<Field> {
    let mut needed = lacks;
    needed.remove(Field::UserId);
    match kind {
        // A view of a product is one, wherever it was.
        EventType::PageView if has.contains(Field::ProductId) => needed.remove(Field::Url),
        // Its position stands in.
        EventType::Purchase => needed.remove(Field::CheckoutId),
        _ => {}
    }
    needed.first()
}
