use std::fmt;

/// The fields of the contract, in the order of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Field {
    /// Who did it.
    UserId,
    /// When it happened.
    Time,
    /// What happened.
    Kind,
    /// Identity of the event.
    EventId,
    /// The page.
    Url,
    /// What the server answered.
    Status,
    /// The request's method.
    Method,
    /// How long the answer took.
    Latency,
    /// The product.
    ProductId,
    /// Identity of a click.
    ClickId,
    /// Identity of a checkout or purchase.
    CheckoutId,
    /// Money.
    Amount,
    /// The advertising campaign.
    CampaignId,
    /// Identity of a conversion.
    ConversionId,
    /// Identity of a search.
    SearchId,
    /// Search text.
    Query,
    /// Product category.
    Category,
    /// Pieces.
    Quantity,
    /// Money per piece.
    Price,
    /// What the money is.
    Currency,
    /// Where the visit came from.
    Referrer,
    /// The kind of device.
    Device,
    /// The browser.
    Browser,
    /// The country.
    Country,
    /// The user agent.
    UserAgent,
    /// The advertisement.
    AdId,
    /// Where an advertisement's click came from.
    Source,
    /// What kind of conversion it is.
    ConversionType,
    /// How it was paid.
    PaymentMethod,
    /// Not a value of its own: a request line, of which method and URL are made.
    Request,
    /// What every other name means: nothing.
    Ignored,
}

impl Field {
    /// How many there are.
    pub const COUNT: usize = Self::Ignored as usize;

    /// Every field of the contract, in its order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::UserId,
        Self::Time,
        Self::Kind,
        Self::EventId,
        Self::Url,
        Self::Status,
        Self::Method,
        Self::Latency,
        Self::ProductId,
        Self::ClickId,
        Self::CheckoutId,
        Self::Amount,
        Self::CampaignId,
        Self::ConversionId,
        Self::SearchId,
        Self::Query,
        Self::Category,
        Self::Quantity,
        Self::Price,
        Self::Currency,
        Self::Referrer,
        Self::Device,
        Self::Browser,
        Self::Country,
        Self::UserAgent,
        Self::AdId,
        Self::Source,
        Self::ConversionType,
        Self::PaymentMethod,
        Self::Request,
    ];

    /// The contract's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserId => "user_id",
            Self::Time => "event_timestamp",
            Self::Kind => "event_type",
            Self::EventId => "event_id",
            Self::Url => "url",
            Self::Status => "http_status",
            Self::Method => "method",
            Self::Latency => "latency_ms",
            Self::ProductId => "product_id",
            Self::ClickId => "click_id",
            Self::CheckoutId => "checkout_id",
            Self::Amount => "amount",
            Self::CampaignId => "campaign_id",
            Self::ConversionId => "conversion_id",
            Self::SearchId => "search_id",
            Self::Query => "query",
            Self::Category => "category",
            Self::Quantity => "quantity",
            Self::Price => "price",
            Self::Currency => "currency",
            Self::Referrer => "referrer",
            Self::Device => "device",
            Self::Browser => "browser",
            Self::Country => "country",
            Self::UserAgent => "user_agent",
            Self::AdId => "ad_id",
            Self::Source => "source",
            Self::ConversionType => "conversion_type",
            Self::PaymentMethod => "payment_method",
            Self::Request => "request",
            Self::Ignored => "",
        }
    }

    /// The field of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// A set of [`Field`]s.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldSet(u32);

impl FieldSet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// These.
    #[must_use]
    pub const fn of(fields: &[Field]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < fields.len() {
            bits |= 1 << fields[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    /// Adds one.
    pub const fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u32;
    }

    /// As bits, by discriminant.
    #[inline]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Takes one out.
    #[inline]
    pub(crate) const fn remove(&mut self, field: Field) {
        self.0 &= !(1 << field as u32);
    }

    /// Those that are not among the others.
    #[must_use]
    #[inline]
    pub(crate) const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// The first of them in the contract's order.
    #[inline]
    pub(crate) fn first(self) -> Option<Field> {
        Field::ALL.get(self.0.trailing_zeros() as usize).copied()
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn contains(self, field: Field) -> bool {
        self.0 & 1 << field as u32 != 0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the contract's order.
    pub fn iter(self) -> impl Iterator<Item = Field> {
        let mut left = self;
        std::iter::from_fn(move || {
            let field = left.first()?;
            left.remove(field);
            Some(field)
        })
    }
}

impl fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Field::name)).finish()
    }
}

/// What is to be said of an event that counts: what it lacks, and what was of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notes {
    /// What an analytic would have needed of an event of this type, and did not find.
    pub incomplete: FieldSet,
    /// What had a value that cannot be what the contract means, and counts as absent.
    pub unusable: FieldSet,
}

impl Notes {
    /// Nothing.
    pub const NONE: Self = Self { incomplete: FieldSet::EMPTY, unusable: FieldSet::EMPTY };

    /// Whether there is nothing to be said, as of nearly every event.
    #[must_use]
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.incomplete.is_empty() && self.unusable.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_name_and_lies_where_its_number_says() {
        for (at, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!((field as usize, Field::from_name(field.name())), (at, Some(field)));
        }
        assert_eq!(Field::from_name(""), None);
    }

    #[test]
    fn a_set_tells_its_fields_in_the_contracts_order() {
        let mut set = FieldSet::of(&[Field::Amount, Field::UserId]);
        set.insert(Field::Request);
        let names: Vec<&str> = set.iter().map(Field::name).collect();
        assert_eq!(names, ["user_id", "amount", "request"]);
        assert!(!set.contains(Field::Url) && !set.is_empty() && FieldSet::EMPTY.is_empty());
    }
}
