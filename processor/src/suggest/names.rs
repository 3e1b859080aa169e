//! What people call the contract's fields.

use events::Field;

/// Names without punctuation and capitals, the likeliest first. A name inside of others may be theirs joined: of
/// `cart.order.id` both `orderid` and `cartorderid`.
const NAMES: [(Field, &[&str]); 27] = [
    (
        Field::Time,
        &[
            "eventtimestamp",
            "eventtime",
            "eventdatetime",
            "eventtimeutc",
            "eventat",
            "occurredat",
            "occuredat",
            "happenedat",
            "timestamp",
            "ts",
            "eventts",
            "tstamp",
            "timestampms",
            "timestampmillis",
            "unixtime",
            "epoch",
            "epochms",
            "epochmillis",
            "time",
            "datetime",
            "datetimeutc",
            "timeiso8601",
            "timelocal",
            "requesttimestamp",
            "clienttime",
            "clienttimestamp",
            "clicktime",
            "clickedat",
            "createdat",
            "created",
            "loggedat",
            "logtime",
            "date",
            "at",
            "when",
            "serverts",
            "servertime",
            "sentat",
            "receivedat",
            "ingestedat",
        ],
    ),
    (
        Field::UserId,
        &[
            "userid",
            "user",
            "uid",
            "usrid",
            "userkey",
            "memberid",
            "member",
            "customerid",
            "customer",
            "custid",
            "shopperid",
            "shopper",
            "buyerid",
            "buyer",
            "accountid",
            "account",
            "login",
            "username",
            "remoteuser",
            "profileid",
            "personid",
            "distinctid",
            "visitorid",
            "visitor",
            "anonymousid",
            "anonid",
            "anonymoususerid",
            "guestid",
            "clientid",
            "cookieid",
            "deviceid",
            "fullvisitorid",
            "userpseudoid",
        ],
    ),
    (
        Field::Kind,
        &[
            "eventtype",
            "eventname",
            "event",
            "eventkind",
            "eventaction",
            "action",
            "actiontype",
            "activity",
            "activitytype",
            "interaction",
            "interactiontype",
            "behavior",
            "behaviour",
            "behaviortype",
            "kind",
            "type",
            "verb",
            "name",
        ],
    ),
    (
        Field::Status,
        &[
            "httpstatus",
            "httpstatuscode",
            "statuscode",
            "responsestatus",
            "responsestatuscode",
            "responsecode",
            "httpcode",
            "httpresponsecode",
            "status",
            "scstatus",
            "returncode",
            "code",
        ],
    ),
    (Field::Request, &["request", "requestline", "httprequest"]),
    (
        Field::Url,
        &[
            "url",
            "urloriginal",
            "pageurl",
            "requesturl",
            "requesturi",
            "uri",
            "path",
            "pagepath",
            "requestpath",
            "urlpath",
            "pagelocation",
            "page",
            "href",
            "location",
            "endpoint",
            "resource",
            "route",
            "link",
            "csuristem",
        ],
    ),
    (Field::Method, &["method", "httpmethod", "requestmethod", "httpverb", "csmethod"]),
    (
        Field::ProductId,
        &[
            "productid",
            "product",
            "productsku",
            "sku",
            "prodid",
            "itemid",
            "item",
            "articleid",
            "article",
            "asin",
            "skuid",
            "productcode",
            "itemsku",
            "contentid",
        ],
    ),
    (
        Field::CheckoutId,
        &[
            "checkoutid",
            "orderid",
            "ordernumber",
            "orderno",
            "purchaseid",
            "transactionid",
            "txnid",
            "invoiceid",
            "order",
            "basketid",
        ],
    ),
    (
        Field::Amount,
        &[
            "amount",
            "totalamount",
            "ordertotal",
            "total",
            "totalprice",
            "totalvalue",
            "grandtotal",
            "revenue",
            "ordervalue",
            "orderamount",
            "purchaseamount",
            "paidamount",
            "value",
            "sum",
        ],
    ),
    (Field::Currency, &["currency", "currencycode", "cur", "ccy"]),
    (Field::CampaignId, &["campaignid", "campaign", "utmcampaign", "campaignname", "promotionid"]),
    (Field::Quantity, &["quantity", "qty", "itemcount", "pieces"]),
    (Field::Price, &["price", "unitprice", "itemprice", "productprice"]),
    (Field::Referrer, &["referrer", "referer", "httpreferer", "httpreferrer", "pagereferrer", "referrerurl"]),
    (Field::UserAgent, &["useragent", "httpuseragent", "agent", "ua", "csuseragent"]),
    (Field::Country, &["country", "countrycode", "geocountry"]),
    (Field::Device, &["device", "devicetype", "devicecategory"]),
    (Field::Browser, &["browser", "browsername", "browserfamily"]),
    (Field::EventId, &["eventid", "messageid", "msgid", "eventuuid", "uuid", "requestid", "recordid", "id"]),
    (Field::Query, &["query", "searchquery", "searchterm", "searchtext", "searchkeyword", "keyword", "term"]),
    (Field::Category, &["category", "productcategory", "itemcategory", "categoryname", "categorycode"]),
    (Field::SearchId, &["searchid"]),
    (Field::ClickId, &["clickid"]),
    (Field::ConversionId, &["conversionid"]),
    (Field::Source, &["source", "utmsource", "trafficsource", "channel"]),
    (Field::PaymentMethod, &["paymentmethod", "paymenttype", "paidwith"]),
];

/// Names of latencies, with the field or unit they are read as.
const LATENCIES: [(&str, &str); 15] = [
    ("latencyms", "latency_ms"),
    ("durationms", "latency_ms"),
    ("responsetimems", "latency_ms"),
    ("elapsedms", "latency_ms"),
    ("tookms", "latency_ms"),
    ("timetakenms", "latency_ms"),
    ("requesttimems", "latency_ms"),
    ("durationmillis", "latency_ms"),
    ("latencyseconds", "latency_s"),
    ("durationseconds", "latency_s"),
    ("latencyus", "latency_us"),
    ("durationus", "latency_us"),
    ("durationmicros", "latency_us"),
    ("latencyns", "latency_ns"),
    ("durationns", "latency_ns"),
];
/// Names of latencies that do not say their unit.
const UNITLESS: [&str; 7] =
    ["latency", "duration", "responsetime", "elapsed", "took", "timetaken", "requesttime"];

/// Names that say too little inside of other members.
const VAGUE: [&str; 11] =
    ["id", "name", "code", "type", "value", "at", "when", "date", "time", "sum", "total"];

/// The fields there are names for, in the order they are looked for.
pub(super) fn fields() -> impl Iterator<Item = Field> {
    NAMES.iter().map(|(field, _)| *field)
}

/// How well a path fits a field: the less the better.
pub(super) fn rank(field: Field, path: &str) -> Option<usize> {
    let names = NAMES.iter().find(|(named, _)| *named == field)?.1;
    let depth = path.matches('.').count();
    let forms = forms(path);
    let found = names.iter().position(|name| forms.iter().any(|form| form == name))?;
    Some(found + depth * 2)
}

/// The field or unit of a latency, by its name; `Err` where the unit is not said.
pub(super) fn latency(path: &str) -> Option<Result<&'static str, ()>> {
    let forms = forms(path);
    let is = |name: &str| forms.iter().any(|form| form == name);
    if let Some((_, ours)) = LATENCIES.iter().find(|(name, _)| is(name)) {
        return Some(Ok(ours));
    }
    UNITLESS.iter().any(|name| is(name)).then_some(Err(()))
}

/// The last name of a path, the last two and all of them joined, without punctuation and capitals.
fn forms(path: &str) -> Vec<String> {
    let segments: Vec<String> = path.split('.').map(squeezed).filter(|segment| !segment.is_empty()).collect();
    let Some(last) = segments.last() else { return Vec::new() };
    let mut forms = Vec::new();
    if segments.len() == 1 || !VAGUE.contains(&&**last) {
        forms.push(last.clone());
    }
    if segments.len() > 1 {
        forms.push(segments[segments.len() - 2..].concat());
        forms.push(segments.concat());
    }
    forms
}

/// Without punctuation and capitals.
pub(super) fn squeezed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
