//! Which member names mean which field, and in which order they are preferred.

use crate::OptionsError;
use crate::field::Field;
use crate::options::Mapping;
use crate::tree::{NAMED_MAX, ROOT, Tree};

/// What a name of the contract's own list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Nobody uses it for anything else.
    Own,
    /// An everyday word: it speaks only where its value can be what the contract means, and costs nothing elsewhere.
    Everyday,
}
use Word::{Everyday, Own};

/// Every field with its names, the contract's own first, then the others in the order they are preferred.
const CONTRACT: [(Field, &[(&str, Word)]); Field::COUNT] = [
    (Field::UserId, &[("user_id", Own), ("userId", Own), ("anonymousId", Own), ("anonymous_id", Own)]),
    (
        Field::Time,
        &[
            ("event_timestamp", Own),
            ("eventTime", Own),
            ("event_time", Own),
            ("timestamp", Everyday),
            ("datetime_occurred", Own),
            ("datetime_occured", Own),
        ],
    ),
    (Field::Kind, &[("event_type", Own), ("eventType", Own), ("event_name", Own)]),
    (Field::EventId, &[("event_id", Own), ("message_id", Own)]),
    (Field::Url, &[("url", Own), ("page_url", Own)]),
    (Field::Status, &[("http_status", Own), ("status", Everyday)]),
    (Field::Method, &[("method", Everyday)]),
    (Field::Latency, &[("latency_ms", Own), ("response_time_ms", Own)]),
    (Field::ProductId, &[("product_id", Own), ("productId", Own)]),
    (Field::ClickId, &[("click_id", Own), ("clickId", Own)]),
    (Field::CheckoutId, &[("checkout_id", Own), ("checkoutId", Own), ("order_id", Own)]),
    (Field::Amount, &[("amount", Own), ("total_amount", Own), ("purchase_amount", Own), ("value", Everyday)]),
    (Field::CampaignId, &[("campaign_id", Own), ("campaignId", Own)]),
    (Field::ConversionId, &[("conversion_id", Own), ("conversionId", Own)]),
    (Field::SearchId, &[("search_id", Own), ("searchId", Own)]),
    (Field::Query, &[("query", Everyday)]),
    (Field::Category, &[("category", Everyday)]),
    (Field::Quantity, &[("quantity", Own)]),
    (Field::Price, &[("price", Own)]),
    (Field::Currency, &[("currency", Own)]),
    (Field::Referrer, &[("referrer", Own)]),
    (Field::Device, &[("device", Own), (DEVICE, Own)]),
    (Field::Browser, &[("browser", Own), (BROWSER, Own)]),
    (Field::Country, &[("country", Own)]),
    (Field::UserAgent, &[("user_agent", Own)]),
    (Field::AdId, &[("ad_id", Own)]),
    (Field::Source, &[("source", Own)]),
    (Field::ConversionType, &[("conversion_type", Own), (TYPE, Everyday)]),
    (Field::PaymentMethod, &[("payment_method", Own)]),
    (Field::Request, &[("request", Everyday)]),
];

/// The contract's only names inside another member.
const DEVICE: &str = "metadata.device";
const BROWSER: &str = "metadata.browser";

/// What kind of conversion it is, or the event's type where that is told by no other name.
pub(crate) const TYPE: &str = "type";

/// What may stand on the right-hand side of a mapping for a latency in another unit, and what makes milliseconds of it.
const LATENCIES: [(&str, Unit); 3] =
    [("latency_s", Unit::Seconds), ("latency_us", Unit::Micros), ("latency_ns", Unit::Nanos)];

/// The unit of a latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum Unit {
    #[default]
    Millis,
    Seconds,
    Micros,
    Nanos,
}

impl Unit {
    /// As milliseconds.
    #[inline]
    pub(crate) fn millis(self, number: f64) -> f64 {
        match self {
            Self::Millis => number,
            Self::Seconds => number * 1e3,
            Self::Micros => number / 1e3,
            Self::Nanos => number / 1e6,
        }
    }
}

/// How many names a decoder tells apart: the contract's 57 and at most `CONFIGURED_MAX` of an input's own.
pub(crate) const NAMES_MAX: usize = 128;
const CONFIGURED_MAX: usize = 64;
/// How many names may lead to one: `a.b.c` are three.
const DEPTH_MAX: usize = 8;

/// The names of one input. A name's id is its rank: of two names of one field the smaller id wins.
#[derive(Debug)]
pub(crate) struct Names {
    names: Vec<Name>,
    tree: Tree,
}

/// A name and what it means.
#[derive(Debug)]
pub(crate) struct Name {
    /// With dots, where it lies inside other members.
    pub(crate) path: Box<str>,
    pub(crate) field: Field,
    /// See [`Word::Everyday`].
    pub(crate) everyday: bool,
    pub(crate) unit: Unit,
}

impl Names {
    pub(crate) fn new(mapping: &Mapping) -> Result<Self, OptionsError> {
        let configured = &mapping.fields;
        let count = configured.len();
        if count > CONFIGURED_MAX {
            return Err(OptionsError::TooManyFields { count, max: CONFIGURED_MAX });
        }
        let mut theirs: Vec<(&str, Field, Unit)> = Vec::with_capacity(count);
        for (path, ours) in configured {
            let segments = path.split('.');
            if segments.clone().any(str::is_empty) || segments.count() > DEPTH_MAX {
                return Err(OptionsError::BadPath { path: path.clone(), max: DEPTH_MAX });
            }
            let (field, unit) = meaning(path, ours)?;
            theirs.push((path, field, unit));
        }
        if let Some((path, _, _)) =
            theirs.iter().find(|(path, _, _)| mapping.ignore.iter().any(|name| name == path))
        {
            return Err(OptionsError::IgnoredAndMapped { path: (*path).to_owned() });
        }
        let mut all = Self { names: Vec::new(), tree: Tree::new() };
        for (field, contract) in CONTRACT {
            let mapped: Vec<_> = theirs.iter().filter(|(_, of, _)| *of == field).collect();
            // A single name that means the field anyway keeps its place among the others.
            let says_nothing_new =
                |path: &str| mapped.len() == 1 && contract.iter().any(|(name, _)| *name == path);
            for (path, _, unit) in &mapped {
                if !says_nothing_new(path) {
                    all.push(path, field, false, *unit)?;
                }
            }
            for (name, word) in contract {
                let taken = theirs.iter().any(|(path, _, _)| path == name) && !says_nothing_new(name);
                if !taken && !mapping.ignore.iter().any(|ignored| ignored == name) {
                    let everyday = *word == Everyday && !says_nothing_new(name);
                    all.push(name, field, everyday, Unit::Millis)?;
                }
            }
        }
        Ok(all)
    }

    fn push(&mut self, path: &str, field: Field, everyday: bool, unit: Unit) -> Result<(), OptionsError> {
        let id = u8::try_from(self.names.len()).expect("fewer than NAMES_MAX names");
        self.names.push(Name { path: path.into(), field, everyday, unit });
        if !self.tree.name(path, id) {
            return Err(OptionsError::TooManyPlaces { max: NAMED_MAX });
        }
        // Records whose members were flattened spell the path as one name.
        if path.contains('.') && ![DEVICE, BROWSER].contains(&path) {
            self.tree.member(ROOT, path, id);
        }
        Ok(())
    }

    /// All names; the position is the id.
    pub(crate) fn all(&self) -> &[Name] {
        &self.names
    }

    /// Where they lie in a record.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }
}

fn meaning(theirs: &str, ours: &str) -> Result<(Field, Unit), OptionsError> {
    if let Some((_, unit)) = LATENCIES.iter().find(|(name, _)| *name == ours) {
        return Ok((Field::Latency, *unit));
    }
    match Field::from_name(ours) {
        Some(field) => Ok((field, Unit::Millis)),
        None => Err(OptionsError::UnknownField {
            theirs: theirs.to_owned(),
            ours: ours.to_owned(),
            nearest: nearest(ours),
        }),
    }
}

fn nearest(text: &str) -> &'static str {
    Field::ALL
        .into_iter()
        .map(Field::name)
        .max_by(|a, b| strsim::jaro_winkler(a, text).total_cmp(&strsim::jaro_winkler(b, text)))
        .expect("the contract has fields")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(fields: &[(&str, &str)], ignore: &[&str]) -> Result<Names, OptionsError> {
        let fields = fields.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())).collect();
        let ignore = ignore.iter().map(|name| (*name).to_owned()).collect();
        Names::new(&Mapping { fields, ignore, ..Mapping::default() })
    }

    fn of(names: &Names, field: Field) -> Vec<&str> {
        names.all().iter().filter(|name| name.field == field).map(|name| &*name.path).collect()
    }

    #[test]
    fn every_field_of_the_contract_has_its_names_in_their_order() {
        let names = names(&[], &[]).unwrap();
        for (at, (field, contract)) in CONTRACT.into_iter().enumerate() {
            assert_eq!(at, field as usize);
            assert_eq!(of(&names, field), contract.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        }
        assert_eq!(
            names.tree().find(ROOT, "metadata.device"),
            None,
            "a dotted name of ours is no name by itself"
        );
        assert_eq!(names.tree().find(ROOT, "User_id"), None);
    }

    #[test]
    fn the_fullest_table_still_fits() {
        let configured: Vec<_> =
            (0..CONFIGURED_MAX).map(|n| (format!("a{n}.b.c"), "url".to_owned())).collect();
        let names = Names::new(&Mapping { fields: configured, ..Mapping::default() }).unwrap();
        assert!(names.all().len() <= NAMES_MAX, "{}", names.all().len());
        let deep: Vec<_> = (0..CONFIGURED_MAX).map(|n| (format!("a{n}.b.c.d"), "url".to_owned())).collect();
        let error = Names::new(&Mapping { fields: deep, ..Mapping::default() }).unwrap_err();
        assert!(matches!(error, OptionsError::TooManyPlaces { .. }));
    }

    #[test]
    fn a_mapped_name_comes_first_in_the_order_written_and_loses_its_old_meaning() {
        let names = names(&[("b", "price"), ("value", "price"), ("a", "price")], &[]).unwrap();
        assert_eq!(of(&names, Field::Price), ["b", "value", "a", "price"]);
        assert_eq!(of(&names, Field::Amount), ["amount", "total_amount", "purchase_amount"]);
    }

    #[test]
    fn a_name_that_means_the_field_anyway_keeps_its_place_unless_others_are_ordered_with_it() {
        let one = names(&[("anonymousId", "user_id")], &[]).unwrap();
        assert_eq!(of(&one, Field::UserId), ["user_id", "userId", "anonymousId", "anonymous_id"]);
        let two = names(&[("anonymousId", "user_id"), ("userId", "user_id")], &[]).unwrap();
        assert_eq!(of(&two, Field::UserId), ["anonymousId", "userId", "user_id", "anonymous_id"]);
    }

    #[test]
    fn an_everyday_word_that_is_mapped_is_one_no_more() {
        let names = names(&[("status", "http_status")], &[]).unwrap();
        let status = names.all().iter().find(|name| &*name.path == "status").unwrap();
        assert!(!status.everyday);
    }

    #[test]
    fn a_name_can_be_told_to_mean_nothing() {
        let names = names(&[], &["status", "metadata.device"]).unwrap();
        assert_eq!(
            (of(&names, Field::Status), of(&names, Field::Device)),
            (vec!["http_status"], vec!["device"])
        );
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let said = |fields, ignore| names(fields, ignore).unwrap_err().to_string();
        assert_eq!(
            said(&[("uid", "userid")], &[]),
            "fields.uid: there is no field `userid`; the nearest is `user_id`"
        );
        assert!(said(&[("a..b", "url")], &[]).contains("a..b"));
        assert!(said(&[("a", "url")], &["a"]).contains("both"));
        let many: Vec<_> = (0..=CONFIGURED_MAX).map(|n| (n.to_string(), "url".to_owned())).collect();
        let error = Names::new(&Mapping { fields: many, ..Mapping::default() }).unwrap_err();
        assert!(matches!(error, OptionsError::TooManyFields { .. }));
    }
}
