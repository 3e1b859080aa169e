//! The contract's time and attribution rules computed the slow way: everything in memory, one record after the other,
//! nothing incremental. It shares no code with the processor, so that a mistake there is not repeated here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::kafka::Record;

const SECOND: i64 = 1_000_000;

/// The processor's default settings that decide numbers.
const WINDOW: i64 = 10 * SECOND;
const ALLOWED_LATENESS: i64 = 60 * SECOND;
const OUT_OF_ORDERNESS: i64 = 5 * SECOND;
const MAX_FUTURE_SKEW: i64 = 60 * SECOND;
const DEDUP_WINDOW: i64 = 600 * SECOND;
const LOOKBACK: i64 = 3_600 * SECOND;

/// The event types of the contract, without its aliases, which our producer does not use.
const EVENT_TYPES: [&str; 10] = [
    "page_view",
    "search",
    "product_click",
    "add_to_cart",
    "remove_from_cart",
    "checkout",
    "purchase",
    "ad_click",
    "conversion",
    "refund",
];

/// What became of a topic's records.
#[derive(Debug, Default)]
pub struct Naive {
    /// Events that count.
    pub counted: Vec<Counted>,
    /// Checkouts and their first clicks.
    pub checkouts: Vec<Checkout>,
    /// Repeats.
    pub duplicates: u64,
    /// Positions of the events whose window was closed.
    pub late: BTreeSet<(i32, i64)>,
    /// Positions of the records that are not events.
    pub rejected: BTreeSet<(i32, i64)>,
}

/// An event that counts.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Microseconds since the epoch.
    pub time: i64,
    /// Who, if that is known.
    pub user: Option<String>,
    /// What.
    pub event_type: String,
    /// Route, method and status, if it is a request.
    pub request: Option<(String, String, u64)>,
    /// How long it took, milliseconds.
    pub latency_ms: Option<f64>,
    product: Option<String>,
    checkout: Option<String>,
    currency: String,
    cents: i64,
}

/// A checkout.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// What the amount is in.
    pub currency: String,
    /// Microseconds since the epoch.
    pub time: i64,
    /// What it was worth.
    pub cents: i64,
    /// Whether it is the first line of its order.
    pub is_first: bool,
    /// Time of the first click, microseconds since the epoch.
    pub first_click: Option<i64>,
}

impl Naive {
    /// Works through the records of a topic as [`crate::Kafka::read_all`] gives them: by partition and offset.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let mut naive = Self::default();
        for partition in records.chunk_by(|left, right| left.partition == right.partition) {
            naive.partition(partition);
        }
        naive
    }

    fn partition(&mut self, records: &[Record]) {
        let mut watermark = i64::MIN;
        let mut first_seen: HashMap<String, i64> = HashMap::new();
        // Those that were not behind the watermark, in offset order: facts are made of them.
        let mut in_time: Vec<Counted> = Vec::new();
        for record in records {
            let at = (record.partition, record.offset);
            let Some((event, id)) = read(record) else {
                self.rejected.insert(at);
                continue;
            };
            if let Some(id) = id {
                match first_seen.get(&id) {
                    Some(first) if (event.time - first).abs() <= DEDUP_WINDOW => {
                        self.duplicates += 1;
                        continue;
                    }
                    _ => first_seen.insert(id, event.time),
                };
            }
            if event.time - event.time.rem_euclid(WINDOW) + WINDOW + ALLOWED_LATENESS <= watermark {
                self.late.insert(at);
                continue;
            }
            if event.time >= watermark {
                in_time.push(event.clone());
            }
            watermark = watermark.max(event.time - OUT_OF_ORDERNESS);
            self.counted.push(event);
        }
        self.attribute(in_time);
    }

    /// By time; at the same instant a click comes before the checkout that it may explain. A stable sort leaves the other
    /// ties in offset order. Then each checkout looks back.
    fn attribute(&mut self, mut events: Vec<Counted>) {
        events.sort_by_key(|event| (event.time, event.event_type == "checkout"));
        let mut clicks: HashMap<(String, String), Vec<i64>> = HashMap::new();
        let mut orders = BTreeSet::new();
        let mut lines = BTreeSet::new();
        for event in events {
            let Some(user) = event.user else { continue };
            let key = event.product.clone().map(|product| (user, product));
            match (event.event_type.as_str(), key) {
                ("product_click", Some(key)) => clicks.entry(key).or_default().push(event.time),
                ("checkout", key) => {
                    let order = event.checkout;
                    if order.is_some() && !lines.insert((order.clone(), event.product)) {
                        continue; // a line that was there before
                    }
                    let times = key.and_then(|key| clicks.get(&key)).map_or(&[][..], Vec::as_slice);
                    self.checkouts.push(Checkout {
                        time: event.time,
                        currency: event.currency,
                        cents: event.cents,
                        is_first: order.is_none() || orders.insert(order),
                        first_click: times.iter().copied().find(|time| event.time - time <= LOOKBACK),
                    });
                }
                _ => {}
            }
        }
    }

    /// Requests by window start (milliseconds), route, method and status, for windows of `size_s` seconds.
    #[must_use]
    pub fn requests(&self, size_s: i64) -> BTreeMap<(i64, String, String, u64), i64> {
        let mut requests = BTreeMap::new();
        for event in &self.counted {
            if let Some((route, method, status)) = event.request.clone() {
                *requests.entry((window_ms(event.time, size_s), route, method, status)).or_default() += 1;
            }
        }
        requests
    }

    /// Distinct users, whatever they did, by window start (milliseconds); a window whose events have none is not there.
    #[must_use]
    pub fn users(&self, size_s: i64) -> BTreeMap<i64, i64> {
        let mut users: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
        for event in &self.counted {
            if let Some(user) = &event.user {
                users.entry(window_ms(event.time, size_s)).or_default().insert(user);
            }
        }
        users.into_iter().map(|(window, users)| (window, users.len() as i64)).collect()
    }

    /// Events by window start (milliseconds) and type.
    #[must_use]
    pub fn events(&self, size_s: i64) -> BTreeMap<(i64, String), i64> {
        let mut events = BTreeMap::new();
        for event in &self.counted {
            *events.entry((window_ms(event.time, size_s), event.event_type.clone())).or_default() += 1;
        }
        events
    }

    /// Response times by window start (milliseconds) and route, sorted.
    #[must_use]
    pub fn latencies(&self, size_s: i64) -> BTreeMap<(i64, String), Vec<f64>> {
        let mut latencies: BTreeMap<_, Vec<f64>> = BTreeMap::new();
        for event in &self.counted {
            if let (Some((route, ..)), Some(latency)) = (&event.request, event.latency_ms) {
                latencies.entry((window_ms(event.time, size_s), route.clone())).or_default().push(latency);
            }
        }
        latencies.values_mut().for_each(|values| values.sort_by(f64::total_cmp));
        latencies
    }

    /// Checkouts, orders, attributed checkouts, revenue and attributed revenue (cents), by window start (milliseconds)
    /// and currency.
    #[must_use]
    pub fn first_clicks(&self, size_s: i64) -> BTreeMap<(i64, String), [i64; 5]> {
        let mut windows: BTreeMap<(i64, String), [i64; 5]> = BTreeMap::new();
        for checkout in &self.checkouts {
            let [checkouts, orders, attributed, revenue, attributed_revenue] =
                windows.entry((window_ms(checkout.time, size_s), checkout.currency.clone())).or_default();
            *checkouts += 1;
            *orders += i64::from(checkout.is_first);
            *revenue += checkout.cents;
            if checkout.first_click.is_some() {
                *attributed += 1;
                *attributed_revenue += checkout.cents;
            }
        }
        windows
    }
}

fn window_ms(time: i64, size_s: i64) -> i64 {
    (time - time.rem_euclid(size_s * SECOND)) / 1_000
}

/// An event and its id, or nothing where the contract rejects the record.
fn read(record: &Record) -> Option<(Counted, Option<String>)> {
    let value: Value = serde_json::from_slice(&record.value).ok()?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let time = (value.get("event_timestamp")?.as_f64()? * SECOND as f64).round() as i64;
    // Less than this is no time in milliseconds; our producer has none in seconds.
    if record.timestamp_ms >= 100_000_000_000 && time > record.timestamp_ms * 1_000 + MAX_FUTURE_SKEW {
        return None;
    }
    // What is no status says nothing, and what has one is a request, whatever else it is.
    let status = value.get("http_status").and_then(Value::as_u64).filter(|status| *status < 1_000);
    let event_type = text("event_type").unwrap_or_else(|| "page_view".to_owned());
    if !EVENT_TYPES.contains(&event_type.as_str()) && status.is_none() {
        return None;
    }
    let needs: &[&str] = match event_type.as_str() {
        "page_view" => &["url"],
        "product_click" | "add_to_cart" | "remove_from_cart" => &["product_id"],
        "checkout" => &["product_id", "checkout_id", "amount"],
        "purchase" | "refund" => &["checkout_id", "amount"],
        "ad_click" => &["campaign_id"],
        "conversion" => &["campaign_id", "amount"],
        "search" => &["query"],
        _ => &[],
    };
    let there = |key: &&str| match *key {
        "amount" => value.get("amount").is_some_and(Value::is_number),
        key => text(key).is_some(),
    };
    if status.is_none() && !needs.iter().all(there) {
        return None;
    }
    let method = text("method").unwrap_or_else(|| "GET".to_owned());
    let event = Counted {
        time,
        user: text("user_id").filter(|user| !user.is_empty()),
        event_type,
        request: status.map(|status| (route(text("url").as_deref()), method, status)),
        latency_ms: value.get("latency_ms").and_then(Value::as_f64),
        product: text("product_id"),
        checkout: text("checkout_id"),
        currency: text("currency").unwrap_or_else(|| "none".to_owned()),
        cents: value
            .get("amount")
            .and_then(Value::as_f64)
            .map_or(0, |amount| (amount * 100.0).round() as i64),
    };
    Some((event, text("event_id")))
}

/// The route of a URL of our producer or of our tests: no query string, no parameters of segments, no empty segments, and
/// `:id` for each with a digit, which in those URLs only ids have.
fn route(url: Option<&str>) -> String {
    let Some(url) = url.filter(|url| !url.trim().is_empty()) else { return "__none__".to_owned() };
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let names = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let template = |name| if str::contains(name, |c: char| c.is_ascii_digit()) { ":id" } else { name };
    let end = if names.is_empty() || !path.ends_with('/') { "" } else { "/" };
    format!("/{}{end}", names.into_iter().map(template).collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, json: &str) -> Record {
        Record {
            partition: 0,
            offset,
            key: None,
            value: json.as_bytes().to_vec(),
            headers: BTreeMap::new(),
            timestamp_ms: 2_000_000_000_000,
        }
    }

    #[test]
    fn a_checkout_credits_the_earliest_click_within_the_hour() {
        let click = |offset, at: i64| {
            let json = format!(
                r#"{{"user_id":"u","event_timestamp":{at},"event_type":"product_click","product_id":"p"}}"#
            );
            record(offset, &json)
        };
        let checkout = r#"{"user_id":"u","event_timestamp":1700003700,"event_type":"checkout","product_id":"p","checkout_id":"c","amount":19.9}"#;
        let records =
            [click(0, 1_700_000_000), click(1, 1_700_000_100), click(2, 1_700_003_000), record(3, checkout)];
        let naive = Naive::of(&records);
        assert_eq!(naive.checkouts.len(), 1);
        assert_eq!(naive.checkouts[0].first_click, Some(1_700_000_100 * SECOND));
        assert_eq!(naive.first_clicks(10)[&(1_700_003_700_000, "none".to_owned())], [1, 1, 1, 1990, 1990]);
    }

    #[test]
    fn a_click_at_the_moment_of_its_checkout_is_credited_whichever_was_written_first() {
        let click =
            r#"{"user_id":"u","event_timestamp":1700000000,"event_type":"product_click","product_id":"p"}"#;
        let checkout = r#"{"user_id":"u","event_timestamp":1700000000,"event_type":"checkout","product_id":"p","checkout_id":"c","amount":1}"#;
        for order in [[click, checkout], [checkout, click]] {
            let naive = Naive::of(&[record(0, order[0]), record(1, order[1])]);
            assert_eq!(naive.checkouts[0].first_click, Some(1_700_000_000 * SECOND));
        }
    }

    #[test]
    fn repeats_late_events_and_nonsense_are_told_apart() {
        let view = |offset, id: &str, at: i64| {
            let json = format!(
                r#"{{"event_id":"{id}","user_id":"u","event_timestamp":{at},"url":"/product/7?a=b","http_status":200}}"#
            );
            record(offset, &json)
        };
        let records = [
            view(0, "a", 1_700_000_000),
            view(1, "a", 1_700_000_000),
            view(2, "b", 1_700_000_075),
            view(3, "c", 1_700_000_000),
            view(4, "d", 1_700_000_076),
            view(5, "e", 1_700_000_000),
            record(6, "nonsense"),
        ];
        let naive = Naive::of(&records);
        assert_eq!((naive.counted.len(), naive.duplicates), (3, 1));
        assert_eq!(naive.late, BTreeSet::from([(0, 3), (0, 5)]));
        assert_eq!(naive.rejected, BTreeSet::from([(0, 6)]));
        assert_eq!(naive.counted[0].request, Some(("/product/:id".to_owned(), "GET".to_owned(), 200)));
    }
}
