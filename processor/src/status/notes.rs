//! What there was to be said of events that count, in words.

use events::{EventType, Field};
use processor_core::NoteTotals;
use serde::Serialize;

/// What events lacked, and what was of no use, since start.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NoteStatus {
    /// By type and field.
    pub incomplete: Vec<Incomplete>,
    /// By field.
    pub unusable: Vec<Unusable>,
}

/// Events of a type that lacked a field which an analytic needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incomplete {
    /// The type.
    pub event_type: &'static str,
    /// The field.
    pub field: &'static str,
    /// How many.
    pub events: u64,
    /// The same for people, and what it cost: "312 purchases without checkout_id: not in revenue".
    pub text: String,
}

/// Events in which a field had a value of no use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unusable {
    /// The field.
    pub field: &'static str,
    /// How many.
    pub events: u64,
    /// The same for people.
    pub text: String,
}

impl From<&NoteTotals> for NoteStatus {
    fn from(totals: &NoteTotals) -> Self {
        let incomplete = totals.incomplete().map(|(kind, field, events)| Incomplete {
            event_type: kind.name(),
            field: field.name(),
            events,
            text: format!("{events} {} without {}: {}", plural(kind), field.name(), missed(kind, field)),
        });
        let unusable = totals.unusable().map(|(field, events)| Unusable {
            field: field.name(),
            events,
            text: format!("{events} events whose {} was of no use: counted without it", field.name()),
        });
        Self { incomplete: incomplete.collect(), unusable: unusable.collect() }
    }
}

fn plural(kind: EventType) -> &'static str {
    match kind {
        EventType::PageView => "page views",
        EventType::Search => "searches",
        EventType::ProductClick => "product clicks",
        EventType::AddToCart => "additions to carts",
        EventType::RemoveFromCart => "removals from carts",
        EventType::Checkout => "checkouts",
        EventType::Purchase => "purchases",
        EventType::AdClick => "clicks on advertisements",
        EventType::Conversion => "conversions",
        EventType::Refund => "refunds",
        EventType::Other => "events of other types",
    }
}

/// What an event is not in, for want of a field.
fn missed(kind: EventType, field: Field) -> &'static str {
    match (kind, field) {
        (EventType::ProductClick, Field::UserId | Field::ProductId) => "no checkout credits them",
        (EventType::Checkout, Field::UserId) => "not in first click, nor in revenue",
        (EventType::Checkout, Field::ProductId) => "no click is credited",
        (EventType::Checkout, Field::CheckoutId) => "each counts as an order of its own",
        (EventType::Checkout, Field::Amount) => "in revenue as 0",
        (_, Field::UserId) => "not in distinct and top users",
        (_, Field::Url) => "under the route __none__, not among the top URLs",
        (_, Field::CampaignId) => "of no campaign",
        (_, Field::CheckoutId | Field::Amount) => "not in revenue",
        _ => "counted by their type alone",
    }
}

#[cfg(test)]
mod tests {
    use events::{FieldSet, Notes};

    use super::*;

    #[test]
    fn what_was_missed_is_said_in_words() {
        let mut totals = NoteTotals::default();
        let notes = |incomplete: &[Field], unusable: &[Field]| Notes {
            incomplete: FieldSet::of(incomplete),
            unusable: FieldSet::of(unusable),
        };
        for _ in 0..312 {
            totals.add(EventType::Purchase, notes(&[Field::CheckoutId], &[]));
        }
        totals.add(EventType::PageView, notes(&[Field::Url], &[Field::Device, Field::Amount]));
        let status = NoteStatus::from(&totals);
        let texts: Vec<&str> = status.incomplete.iter().map(|of| &*of.text).collect();
        assert_eq!(
            texts,
            [
                "1 page views without url: under the route __none__, not among the top URLs",
                "312 purchases without checkout_id: not in revenue"
            ]
        );
        let unusable: Vec<_> = status.unusable.iter().map(|of| (of.field, of.events)).collect();
        assert_eq!(unusable, [("amount", 1), ("device", 1)]);
    }
}
