//! Mappings for what widely used tools write, as data. `docs/presets.md` says of each what it reads and what it cannot.

use crate::{DecoderOptions, EventType, Format, Mapping, OptionsError, TimeFormat};

/// A mapping that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// What settings call it.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    /// How a record's value is written.
    pub format: Format,
    /// The type of records that name none.
    pub default_type: EventType,
    /// As [`Mapping::fields`].
    pub fields: &'static [(&'static str, &'static str)],
    /// As [`Mapping::event_types`]. [`EventType::Other`] is what the tool writes and nothing here is made of.
    pub event_types: &'static [(&'static str, EventType)],
    /// As [`Mapping::ignore`].
    pub ignore: &'static [&'static str],
    /// Format and zone, as of [`TimeFormat::new`].
    pub time: Option<(&'static str, Option<&'static str>)>,
}

/// The preset of that name.
#[must_use]
pub fn preset(name: &str) -> Option<&'static Preset> {
    Preset::ALL.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// The mapping it stands for.
    ///
    /// # Errors
    /// None, as a test sees to it; the type is that of mappings people write.
    pub fn mapping(&self) -> Result<Mapping, OptionsError> {
        let owned = |(theirs, ours): &(&str, &str)| ((*theirs).to_owned(), (*ours).to_owned());
        Ok(Mapping {
            fields: self.fields.iter().map(owned).collect(),
            ignore: self.ignore.iter().map(|name| (*name).to_owned()).collect(),
            event_types: self
                .event_types
                .iter()
                .map(|(theirs, ours)| ((*theirs).to_owned(), *ours))
                .collect(),
            time: self.time.map(|(format, zone)| TimeFormat::new(format, zone)).transpose()?,
        })
    }

    /// The options of a decoder for records of this kind, of any size that is accepted by default.
    ///
    /// # Errors
    /// As [`Preset::mapping`].
    pub fn options(&self) -> Result<DecoderOptions, OptionsError> {
        Ok(DecoderOptions {
            default_type: self.default_type,
            format: self.format,
            mapping: self.mapping()?,
            ..DecoderOptions::default()
        })
    }

    /// Every preset, in the order of the documentation.
    pub const ALL: &'static [Self] =
        &[KSQL, FAKER, SEGMENT, SNOWPLOW, GA4, MATOMO, NGINX_JSON, CLOUDFLARE, ALB];

    const NONE: Self = Self {
        name: "",
        about: "",
        format: Format::Json,
        default_type: EventType::PageView,
        fields: &[],
        event_types: &[],
        ignore: &[],
        time: None,
    };
}

const KSQL: Preset = Preset {
    name: "ksql-clickstream",
    about: "the clickstream of ksqlDB's demo and of Kafka Connect's datagen",
    fields: &[
        ("userid", "user_id"),
        ("_time", "event_timestamp"),
        ("time", "event_timestamp"),
        ("request", "request"),
        ("agent", "user_agent"),
    ],
    ..Preset::NONE
};

const FAKER: Preset = Preset {
    name: "faker-clickstream",
    about: "the clickstream provider of Python's Faker, one event a record",
    fields: &[
        ("metadata.product_id", "product_id"),
        ("metadata.quantity", "quantity"),
        ("metadata.query", "query"),
        ("channel", "source"),
    ],
    event_types: &[
        ("Search", EventType::Search),
        ("AddToCart", EventType::AddToCart),
        ("DeleteFromCart", EventType::RemoveFromCart),
        ("*", EventType::Other),
    ],
    time: Some(("%d/%m/%Y %H:%M:%S%.f", None)),
    ..Preset::NONE
};

const SEGMENT: Preset = Preset {
    name: "segment",
    about: "events of Segment and RudderStack, as they come from a source",
    fields: &[
        ("userId", "user_id"),
        ("anonymousId", "user_id"),
        ("timestamp", "event_timestamp"),
        ("originalTimestamp", "event_timestamp"),
        ("event", "event_type"),
        ("type", "event_type"),
        ("messageId", "event_id"),
        ("properties.url", "url"),
        ("context.page.url", "url"),
        ("properties.product_id", "product_id"),
        ("properties.products.0.product_id", "product_id"),
        ("properties.order_id", "checkout_id"),
        ("properties.checkout_id", "checkout_id"),
        ("properties.revenue", "amount"),
        ("properties.total", "amount"),
        ("properties.value", "amount"),
        ("properties.currency", "currency"),
        ("properties.quantity", "quantity"),
        ("properties.price", "price"),
        ("properties.category", "category"),
        ("properties.query", "query"),
        ("properties.promotion_id", "campaign_id"),
        ("context.campaign.name", "campaign_id"),
        ("context.campaign.source", "source"),
        ("properties.payment_method", "payment_method"),
        ("properties.referrer", "referrer"),
        ("context.page.referrer", "referrer"),
        ("context.userAgent", "user_agent"),
        ("context.device.type", "device"),
    ],
    event_types: &[
        ("page", EventType::PageView),
        ("Products Searched", EventType::Search),
        ("Product Viewed", EventType::ProductClick),
        ("Product Clicked", EventType::ProductClick),
        ("Product Added", EventType::AddToCart),
        ("Product Removed", EventType::RemoveFromCart),
        ("Checkout Started", EventType::Checkout),
        ("Order Completed", EventType::Purchase),
        ("Order Refunded", EventType::Refund),
        ("Promotion Clicked", EventType::AdClick),
        ("*", EventType::Other),
    ],
    ..Preset::NONE
};

const SNOWPLOW: Preset = Preset {
    name: "snowplow",
    about: "enriched events of Snowplow as JSON, as its analytics SDKs make them",
    fields: &[
        ("user_id", "user_id"),
        ("domain_userid", "user_id"),
        ("network_userid", "user_id"),
        ("derived_tstamp", "event_timestamp"),
        ("collector_tstamp", "event_timestamp"),
        ("event_name", "event_type"),
        ("event", "event_type"),
        ("page_referrer", "referrer"),
        ("tr_orderid", "checkout_id"),
        ("tr_total", "amount"),
        ("tr_currency", "currency"),
        ("mkt_campaign", "campaign_id"),
        ("mkt_source", "source"),
        ("geo_country", "country"),
        ("br_family", "browser"),
        ("dvce_type", "device"),
        ("useragent", "user_agent"),
        ("unstruct_event_com_snowplowanalytics_snowplow_add_to_cart_1.sku", "product_id"),
        ("unstruct_event_com_snowplowanalytics_snowplow_add_to_cart_1.quantity", "quantity"),
        ("unstruct_event_com_snowplowanalytics_snowplow_add_to_cart_1.unit_price", "price"),
        ("unstruct_event_com_snowplowanalytics_snowplow_remove_from_cart_1.sku", "product_id"),
        ("unstruct_event_com_snowplowanalytics_snowplow_site_search_1.terms.0", "query"),
    ],
    event_types: &[
        ("site_search", EventType::Search),
        ("transaction", EventType::Purchase),
        ("*", EventType::Other),
    ],
    ..Preset::NONE
};

const GA4: Preset = Preset {
    name: "ga4",
    about: "rows of Google Analytics 4's export to BigQuery, with page_location as a column",
    fields: &[
        ("user_id", "user_id"),
        ("user_pseudo_id", "user_id"),
        ("page_location", "url"),
        ("event_params.page_location", "url"),
        ("page_referrer", "referrer"),
        ("search_term", "query"),
        ("event_params.search_term", "query"),
        ("items.0.item_id", "product_id"),
        ("items.0.quantity", "quantity"),
        ("items.0.price", "price"),
        ("items.0.item_category", "category"),
        ("ecommerce.transaction_id", "checkout_id"),
        ("ecommerce.purchase_revenue", "amount"),
        ("ecommerce.refund_value", "amount"),
        ("device.category", "device"),
        ("device.web_info.browser", "browser"),
        ("geo.country", "country"),
        ("collected_traffic_source.manual_campaign_name", "campaign_id"),
        ("collected_traffic_source.manual_source", "source"),
    ],
    event_types: &[
        ("view_search_results", EventType::Search),
        ("view_item", EventType::ProductClick),
        ("select_item", EventType::ProductClick),
        ("click", EventType::Other),
        ("*", EventType::Other),
    ],
    ..Preset::NONE
};

const MATOMO: Preset = Preset {
    name: "matomo",
    about: "actions of Matomo's visits log, one a record, and requests to its tracking API",
    fields: &[
        ("userId", "user_id"),
        ("uid", "user_id"),
        ("visitorId", "user_id"),
        ("_id", "user_id"),
        ("timestamp", "event_timestamp"),
        ("cdt", "event_timestamp"),
        ("type", "event_type"),
        ("urlref", "referrer"),
        ("referrerUrl", "referrer"),
        ("siteSearchKeyword", "query"),
        ("search", "query"),
        ("orderId", "checkout_id"),
        ("ec_id", "checkout_id"),
        ("revenue", "amount"),
        ("itemDetails.0.itemSKU", "product_id"),
        ("campaignName", "campaign_id"),
        ("deviceType", "device"),
        ("browserName", "browser"),
        ("countryCode", "country"),
        ("ua", "user_agent"),
    ],
    event_types: &[
        ("action", EventType::PageView),
        ("search", EventType::Search),
        ("ecommerceOrder", EventType::Purchase),
        ("*", EventType::Other),
    ],
    ..Preset::NONE
};

const NGINX_JSON: Preset = Preset {
    name: "nginx-json",
    about: "an access log of nginx whose log_format is JSON with nginx's own names",
    fields: &[
        ("remote_user", "user_id"),
        ("msec", "event_timestamp"),
        ("time_iso8601", "event_timestamp"),
        ("time_local", "event_timestamp"),
        ("@timestamp", "event_timestamp"),
        ("time", "event_timestamp"),
        ("request_id", "event_id"),
        ("request_uri", "url"),
        ("uri", "url"),
        ("request", "request"),
        ("request_method", "method"),
        ("request_time", "latency_s"),
        ("http_referer", "referrer"),
        ("http_referrer", "referrer"),
        ("http_user_agent", "user_agent"),
    ],
    ignore: &["type"],
    ..Preset::NONE
};

const CLOUDFLARE: Preset = Preset {
    name: "cloudflare",
    about: "HTTP requests of Cloudflare's Logpush",
    fields: &[
        ("EdgeStartTimestamp", "event_timestamp"),
        ("RayID", "event_id"),
        ("ClientRequestURI", "url"),
        ("ClientRequestPath", "url"),
        ("ClientRequestMethod", "method"),
        ("EdgeResponseStatus", "http_status"),
        ("EdgeTimeToFirstByteMs", "latency_ms"),
        ("OriginResponseDurationMs", "latency_ms"),
        ("OriginResponseTime", "latency_ns"),
        ("ClientRequestReferer", "referrer"),
        ("ClientRequestUserAgent", "user_agent"),
        ("ClientCountry", "country"),
        ("ClientDeviceType", "device"),
    ],
    ..Preset::NONE
};

const ALB: Preset = Preset {
    name: "alb",
    about: "access logs of AWS's Application Load Balancer, made JSON by a shipper with AWS's names",
    fields: &[
        ("time", "event_timestamp"),
        ("timestamp", "event_timestamp"),
        ("request", "request"),
        ("request_url", "url"),
        ("request_method", "method"),
        ("elb_status_code", "http_status"),
        ("target_processing_time", "latency_s"),
    ],
    ignore: &["type"],
    ..Preset::NONE
};
