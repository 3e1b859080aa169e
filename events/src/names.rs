//! Which member names mean which field, and in which order they are preferred.

use crate::OptionsError;
use crate::field::Field;

/// Every field with its names, the contract's own first, then the aliases in the order they are preferred.
const CONTRACT: [(Field, &[&str]); 30] = [
    (Field::UserId, &["user_id", "userId"]),
    (Field::Time, &["event_timestamp", "eventTime", "timestamp", "datetime_occurred", "datetime_occured"]),
    (Field::Kind, &["event_type", "eventType"]),
    (Field::EventId, &["event_id", "message_id"]),
    (Field::Url, &["url"]),
    (Field::Status, &["http_status", "status"]),
    (Field::Method, &["method"]),
    (Field::Latency, &["latency_ms", "response_time_ms"]),
    (Field::ProductId, &["product_id", "productId"]),
    (Field::ClickId, &["click_id", "clickId"]),
    (Field::CheckoutId, &["checkout_id", "checkoutId", "order_id"]),
    (Field::Amount, &["amount", "total_amount", "value"]),
    (Field::CampaignId, &["campaign_id", "campaignId"]),
    (Field::ConversionId, &["conversion_id", "conversionId"]),
    (Field::SearchId, &["search_id", "searchId"]),
    (Field::Query, &["query"]),
    (Field::Category, &["category"]),
    (Field::Quantity, &["quantity"]),
    (Field::Price, &["price"]),
    (Field::Currency, &["currency"]),
    (Field::Referrer, &["referrer"]),
    (Field::Device, &["device"]),
    (Field::Browser, &["browser"]),
    (Field::Country, &["country"]),
    (Field::UserAgent, &["user_agent"]),
    (Field::AdId, &["ad_id"]),
    (Field::Source, &["source"]),
    (Field::ConversionType, &["conversion_type"]),
    (Field::PaymentMethod, &["payment_method"]),
    (Field::Request, &["metadata"]),
];

/// What `metadata` may hold: each name stands last among those of its field.
const NESTED: [(Field, &str, &str); 2] =
    [(Field::Device, "device", "metadata.device"), (Field::Browser, "browser", "metadata.browser")];

/// How many names a decoder tells apart: the contract's 46 and at most `CONFIGURED_MAX` of an input's own.
pub(crate) const NAMES_MAX: usize = 100;
const CONFIGURED_MAX: usize = 48;

const BUCKETS: usize = 512;
const EMPTY: u8 = u8::MAX;

/// The names of one input. A name's id is its rank: of two names of one field the smaller id wins.
#[derive(Debug)]
pub(crate) struct Names {
    names: Vec<Name>,
    /// Open addressing, at most a fifth full; ids of the names a record itself may have.
    buckets: Box<[u8; BUCKETS]>,
    /// The ids of [`NESTED`].
    nested: [u8; NESTED.len()],
}

#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) text: Box<str>,
    pub(crate) field: Field,
}

impl Names {
    pub(crate) fn new(configured: &[(String, String)]) -> Result<Self, OptionsError> {
        if configured.len() > CONFIGURED_MAX {
            return Err(OptionsError::TooManyFields { count: configured.len(), max: CONFIGURED_MAX });
        }
        for (theirs, ours) in configured {
            if !canonical().any(|name| name == ours) {
                return Err(OptionsError::UnknownField {
                    theirs: theirs.clone(),
                    ours: ours.clone(),
                    nearest: nearest(ours),
                });
            }
        }
        let mut all =
            Self { names: Vec::new(), buckets: Box::new([EMPTY; BUCKETS]), nested: [EMPTY; NESTED.len()] };
        for (field, contract) in CONTRACT {
            let theirs =
                configured.iter().filter(|(_, ours)| ours == contract[0]).map(|(theirs, _)| &**theirs);
            let ours =
                contract.iter().copied().filter(|name| !configured.iter().any(|(theirs, _)| theirs == *name));
            for text in theirs.chain(ours) {
                let id = all.push(field, text);
                all.register(id);
            }
            for (index, (_, _, path)) in NESTED.iter().enumerate().filter(|(_, nested)| nested.0 == field) {
                all.nested[index] = all.push(field, path);
            }
        }
        Ok(all)
    }

    fn push(&mut self, field: Field, text: &str) -> u8 {
        let id = u8::try_from(self.names.len()).expect("fewer than NAMES_MAX names");
        self.names.push(Name { text: text.into(), field });
        id
    }

    fn register(&mut self, id: u8) {
        let mut bucket = bucket(self.names[usize::from(id)].text.as_bytes());
        while self.buckets[bucket] != EMPTY {
            bucket = (bucket + 1) % BUCKETS;
        }
        self.buckets[bucket] = id;
    }

    /// The id of a member of the record itself.
    pub(crate) fn find(&self, text: &str) -> Option<u8> {
        let mut bucket = bucket(text.as_bytes());
        loop {
            let id = self.buckets[bucket];
            if id == EMPTY {
                return None;
            }
            if *self.names[usize::from(id)].text == *text {
                return Some(id);
            }
            bucket = (bucket + 1) % BUCKETS;
        }
    }

    /// The id of a member of the record's `metadata`.
    pub(crate) fn find_nested(&self, text: &str) -> Option<u8> {
        NESTED.iter().position(|(_, name, _)| *name == text).map(|index| self.nested[index])
    }

    /// All names; the position is the id.
    pub(crate) fn all(&self) -> &[Name] {
        &self.names
    }
}

/// The names that may stand on the right-hand side of a mapping.
fn canonical() -> impl Iterator<Item = &'static str> {
    CONTRACT.iter().filter(|(field, _)| *field != Field::Request).map(|(_, names)| names[0])
}

fn nearest(text: &str) -> &'static str {
    canonical()
        .max_by(|a, b| strsim::jaro_winkler(a, text).total_cmp(&strsim::jaro_winkler(b, text)))
        .expect("the contract has fields")
}

/// Mixes the length with the first and the last eight bytes, which tell the contract's names apart.
fn bucket(text: &[u8]) -> usize {
    let (first, last) = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    let mixed = (first ^ last.rotate_left(29)).wrapping_add(text.len() as u64);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_contract_is_found_and_keeps_its_rank() {
        let names = Names::new(&[]).unwrap();
        for (field, contract) in CONTRACT {
            let ids: Vec<u8> = contract.iter().map(|name| names.find(name).unwrap()).collect();
            assert!(ids.is_sorted(), "{ids:?}");
            assert!(ids.iter().all(|id| names.all()[usize::from(*id)].field == field));
        }
        assert_eq!(names.find("metadata.device"), None, "a dotted name is not a path");
        assert_eq!(names.find("User_id"), None);
        assert!(names.find_nested("device") > names.find("device"));
    }

    #[test]
    fn the_fullest_table_still_fits() {
        let configured: Vec<_> =
            (0..CONFIGURED_MAX).map(|n| (format!("their_{n}"), "url".to_owned())).collect();
        let names = Names::new(&configured).unwrap();
        assert!(names.all().len() <= NAMES_MAX, "{}", names.all().len());
    }

    #[test]
    fn a_mapped_name_comes_first_and_loses_its_old_meaning() {
        let configured = [("value".to_owned(), "price".to_owned())];
        let names = Names::new(&configured).unwrap();
        assert_eq!(names.all()[usize::from(names.find("value").unwrap())].field, Field::Price);
        assert!(names.find("value") < names.find("price"));
        assert_eq!(names.all().iter().filter(|name| &*name.text == "value").count(), 1);
    }

    #[test]
    fn an_unknown_field_is_answered_with_the_nearest() {
        let error = Names::new(&[("uid".to_owned(), "userid".to_owned())]).unwrap_err();
        assert_eq!(error.to_string(), "fields.uid: there is no field `userid`; the nearest is `user_id`");
        let many: Vec<_> = (0..=CONFIGURED_MAX).map(|n| (n.to_string(), "url".to_owned())).collect();
        assert!(matches!(Names::new(&many), Err(OptionsError::TooManyFields { .. })));
    }
}
