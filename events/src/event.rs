use crate::{Notes, Timestamp};

/// One click event as the contract names its fields; texts borrow from the record or from the decoder's scratch.
///
/// Every field may be absent, whatever the type: whoever computes takes what it can use, and [`Event::notes`] says what
/// was missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event<'a> {
    /// Who did it. Never empty; an integer in the record is taken as its digits.
    pub user_id: Option<&'a str>,
    /// When it happened (event time).
    pub time: Timestamp,
    /// What happened.
    pub kind: EventType,
    /// Identity for deduplication within a partition.
    pub event_id: Option<&'a str>,
    /// As sent: absolute or a path, with or without a leading `/`, query string included.
    pub url: Option<&'a str>,
    /// 0 to 999; 0 is a client that went away. Present means the event counts as a request.
    pub http_status: Option<u16>,
    /// As sent; [`Event::method`] gives the default.
    pub method: Option<&'a str>,
    /// Milliseconds, finite and at least 0.
    pub latency_ms: Option<f64>,
    /// The product clicked, carted or bought.
    pub product_id: Option<&'a str>,
    /// Identity of a click; where absent, topic-partition-offset stands in.
    pub click_id: Option<&'a str>,
    /// Identity of a checkout or purchase; of a purchase without one its `event_id`.
    pub checkout_id: Option<&'a str>,
    /// Hundredths of the currency's unit, rounded half away from zero.
    pub amount_cents: Option<i64>,
    /// The advertising campaign.
    pub campaign_id: Option<&'a str>,
    /// Identity of a conversion; `event_id` where the record has no `conversion_id`.
    pub conversion_id: Option<&'a str>,
    /// Identity of a search, or of the search a click came from.
    pub search_id: Option<&'a str>,
    /// Search text.
    pub query: Option<&'a str>,
    /// Product category.
    pub category: Option<&'a str>,
    /// Pieces.
    pub quantity: Option<f64>,
    /// Cents per piece.
    pub price_cents: Option<i64>,
    /// ISO 4217 code, or whatever was sent, in capitals and without blanks around it.
    pub currency: Option<&'a str>,
    /// Where the visit came from.
    pub referrer: Option<&'a str>,
    /// `device` or `metadata.device`.
    pub device: Option<&'a str>,
    /// `browser` or `metadata.browser`.
    pub browser: Option<&'a str>,
    /// ISO 3166 code, as sent.
    pub country: Option<&'a str>,
    /// As sent.
    pub user_agent: Option<&'a str>,
    /// The advertisement that was clicked.
    pub ad_id: Option<&'a str>,
    /// Where an advertisement's click came from.
    pub source: Option<&'a str>,
    /// What kind of conversion it is.
    pub conversion_type: Option<&'a str>,
    /// How an order was paid.
    pub payment_method: Option<&'a str>,
    /// What the event lacks, and what was of no use.
    pub notes: Notes,
}

impl Event<'_> {
    /// Nothing set yet: what a decoder begins with.
    pub(crate) const EMPTY: Self = Self {
        user_id: None,
        time: Timestamp::from_micros(0),
        kind: EventType::PageView,
        event_id: None,
        url: None,
        http_status: None,
        method: None,
        latency_ms: None,
        product_id: None,
        click_id: None,
        checkout_id: None,
        amount_cents: None,
        campaign_id: None,
        conversion_id: None,
        search_id: None,
        query: None,
        category: None,
        quantity: None,
        price_cents: None,
        currency: None,
        referrer: None,
        device: None,
        browser: None,
        country: None,
        user_agent: None,
        ad_id: None,
        source: None,
        conversion_type: None,
        payment_method: None,
        notes: Notes::NONE,
    };

    /// Lets an event's own identity stand in where its type needs one of its own.
    pub(crate) fn stand_in(&mut self) {
        match self.kind {
            EventType::Conversion => self.conversion_id = self.conversion_id.or(self.event_id),
            EventType::Purchase => self.checkout_id = self.checkout_id.or(self.event_id),
            _ => {}
        }
    }

    /// The request method, `GET` where the record names none.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method.unwrap_or("GET")
    }
}

/// The kinds of events the contract knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventType {
    /// A page was requested.
    PageView,
    /// A search was made.
    Search,
    /// A product was opened (`click`, `product_view` mean the same).
    ProductClick,
    /// A product went into the cart.
    AddToCart,
    /// A product left the cart.
    RemoveFromCart,
    /// A checkout was started; what first-click attribution credits.
    Checkout,
    /// An order was paid.
    Purchase,
    /// An advertisement was clicked (`click` with a `campaign_id` means the same).
    AdClick,
    /// A campaign's goal was reached.
    Conversion,
    /// Money of an order went back.
    Refund,
    /// A type the contract does not know, kept because the event carries an `http_status`: a request and no more.
    Other,
}

impl EventType {
    /// Every type, in the order of its discriminant.
    pub const ALL: [Self; 11] = [
        Self::PageView,
        Self::Search,
        Self::ProductClick,
        Self::AddToCart,
        Self::RemoveFromCart,
        Self::Checkout,
        Self::Purchase,
        Self::AdClick,
        Self::Conversion,
        Self::Refund,
        Self::Other,
    ];

    /// Where an event stands among those of the same instant: causes come before what they may explain.
    #[must_use]
    pub const fn cause_rank(self) -> u8 {
        match self {
            Self::AdClick => 0,
            Self::Search => 1,
            Self::PageView => 2,
            Self::ProductClick => 3,
            Self::AddToCart => 4,
            Self::RemoveFromCart => 5,
            Self::Checkout => 6,
            Self::Purchase => 7,
            Self::Conversion => 8,
            Self::Refund => 9,
            Self::Other => 10,
        }
    }

    /// The type of that name; only the contract's own names, neither the further ones nor `other`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name && *kind != Self::Other)
    }

    /// The contract's name, as in the tag `event_type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PageView => "page_view",
            Self::Search => "search",
            Self::ProductClick => "product_click",
            Self::AddToCart => "add_to_cart",
            Self::RemoveFromCart => "remove_from_cart",
            Self::Checkout => "checkout",
            Self::Purchase => "purchase",
            Self::AdClick => "ad_click",
            Self::Conversion => "conversion",
            Self::Refund => "refund",
            Self::Other => "other",
        }
    }
}
