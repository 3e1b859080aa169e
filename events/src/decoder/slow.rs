//! The path that defines the answers: one pass of `serde_json` over the record, then field after field.

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::check::{Fault, TypeName, settle};
use crate::field::Field;
use crate::names::{NAMES_MAX, Names};
use crate::number::{cents, is_integer};
use crate::rejection::cut;
use crate::{Event, EventType, Reason, Rejection, Timestamp, moment};

pub(super) fn decode<'a>(
    value: &'a [u8],
    names: &Names,
    default_type: EventType,
    scratch: &'a mut String,
) -> Result<Event<'a>, Rejection> {
    let text =
        std::str::from_utf8(value).map_err(|error| Rejection::new(Reason::NotJson, error.to_string()))?;
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error))?;
        return Err(Rejection::new(Reason::NotAnObject, "the record is JSON but not an object"));
    }
    let mut members = Members { names, nested: false, slots: [None; NAMES_MAX] };
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(&mut members).and_then(|()| json.end()).map_err(|error| not_json(&error))?;
    members.enter_metadata().map_err(|error| not_json(&error))?;
    let unescaped = unescape(&members.slots, scratch).map_err(|error| not_json(&error))?;

    let mut event = Event::EMPTY;
    let mut time = None;
    let mut named = TypeName::Absent;
    let mut done = 0_u32;
    for (id, name) in names.all().iter().enumerate() {
        let Some(raw) = members.slots[id] else { continue };
        if done & 1 << name.field as u32 != 0 {
            continue; // A preferred name of the field has spoken.
        }
        let member = Member { name: &name.text, raw, unescaped: unescaped.of(id) };
        match name.field {
            Field::Time => time = Some(member.time()?),
            Field::Kind => named = TypeName::of(member.text()?),
            field => {
                if !set(&mut event, field, &member)? {
                    continue;
                }
            }
        }
        done |= 1 << name.field as u32;
    }
    event.time = time.unwrap_or_default();
    match settle(|field| has(&event, time.is_some(), field), named, default_type) {
        Ok(kind) => {
            event.kind = kind;
            if kind == EventType::Conversion {
                event.conversion_id = event.conversion_id.or(event.event_id);
            }
            Ok(event)
        }
        Err(Fault::Missing(name, kind)) => {
            Err(Rejection::new(Reason::MissingField, format!("{name}: {} needs it", kind.name())))
        }
        Err(Fault::UnknownType) => {
            let named = if let TypeName::Unknown(name) = named { name } else { default_type.name() };
            let detail = format!("event_type: {} is unknown, and there is no http_status", quoted(named));
            Err(Rejection::new(Reason::UnknownEventType, detail))
        }
    }
}

/// Whether a field that some type needs has a value; the user is missing if the id is empty.
fn has(event: &Event<'_>, has_time: bool, field: Field) -> bool {
    match field {
        Field::UserId => event.user_id.is_some(),
        Field::Time => has_time,
        Field::EventId => event.event_id.is_some(),
        Field::Url => event.url.is_some(),
        Field::Status => event.http_status.is_some(),
        Field::ProductId => event.product_id.is_some(),
        Field::CheckoutId => event.checkout_id.is_some(),
        Field::Amount => event.amount_cents.is_some(),
        Field::CampaignId => event.campaign_id.is_some(),
        Field::ConversionId => event.conversion_id.is_some(),
        Field::SearchId => event.search_id.is_some(),
        Field::Query => event.query.is_some(),
        _ => false,
    }
}

/// Puts a member into its field. False if its value counts as absent, so that the next name may speak.
fn set<'a>(event: &mut Event<'a>, field: Field, member: &Member<'_, 'a>) -> Result<bool, Rejection> {
    match field {
        Field::UserId => event.user_id = Some(member.user_id()?),
        Field::EventId => return member.identity(&mut event.event_id),
        Field::Url => event.url = Some(member.text()?),
        Field::Status => event.http_status = Some(member.status()?),
        Field::Method => return member.identity(&mut event.method),
        Field::Latency => event.latency_ms = Some(member.number_at_least(0.0)?),
        Field::ProductId => return member.identity(&mut event.product_id),
        Field::ClickId => return member.identity(&mut event.click_id),
        Field::CheckoutId => return member.identity(&mut event.checkout_id),
        Field::Amount => event.amount_cents = Some(member.cents()?),
        Field::CampaignId => return member.identity(&mut event.campaign_id),
        Field::ConversionId => return member.identity(&mut event.conversion_id),
        Field::SearchId => return member.identity(&mut event.search_id),
        Field::Query => event.query = Some(member.text()?),
        Field::Category => event.category = Some(member.text()?),
        Field::Quantity => event.quantity = Some(member.number_at_least(f64::MIN)?),
        Field::Price => event.price_cents = Some(member.cents()?),
        Field::Currency => event.currency = Some(member.text()?),
        Field::Referrer => event.referrer = Some(member.text()?),
        Field::Device => event.device = Some(member.text()?),
        Field::Browser => event.browser = Some(member.text()?),
        Field::Country => event.country = Some(member.text()?),
        Field::UserAgent => event.user_agent = Some(member.text()?),
        Field::AdId => return member.identity(&mut event.ad_id),
        Field::Source => event.source = Some(member.text()?),
        Field::ConversionType => event.conversion_type = Some(member.text()?),
        Field::PaymentMethod => event.payment_method = Some(member.text()?),
        Field::Time | Field::Kind | Field::Request | Field::Ignored => {}
    }
    Ok(true)
}

/// A named value of the record, not null.
struct Member<'n, 'a> {
    name: &'n str,
    /// Valid JSON without whitespace around it.
    raw: &'a str,
    /// The value, if it is a string with escapes.
    unescaped: Option<&'a str>,
}

impl<'a> Member<'_, 'a> {
    fn user_id(&self) -> Result<&'a str, Rejection> {
        match self.number() {
            Some(number) if is_integer(number) => Ok(number),
            Some(_) => Err(self.wrong("a string or an integer")),
            None => match self.text()? {
                "" => Err(self.wrong("a string that is not empty")),
                text => Ok(text),
            },
        }
    }

    fn text(&self) -> Result<&'a str, Rejection> {
        self.string().ok_or_else(|| self.wrong("a string"))
    }

    /// An empty string identifies nothing and so counts as absent.
    fn identity(&self, field: &mut Option<&'a str>) -> Result<bool, Rejection> {
        let text = self.text()?;
        if !text.is_empty() {
            *field = Some(text);
        }
        Ok(!text.is_empty())
    }

    fn time(&self) -> Result<Timestamp, Rejection> {
        let found = match (self.number(), self.string()) {
            (Some(number), _) => moment::from_number(number),
            (None, Some(text)) => moment::from_text(text),
            (None, None) => return Err(self.wrong("a number or a string")),
        };
        found.ok_or_else(|| {
            let detail =
                format!("{}: {} is no moment of the years 1970 to 2199", self.name, quoted(self.shown()));
            Rejection::new(Reason::BadTimestamp, detail)
        })
    }

    fn status(&self) -> Result<u16, Rejection> {
        let number =
            self.number().filter(|number| is_integer(number)).ok_or_else(|| self.wrong("an integer"))?;
        number.parse().ok().filter(|status| (100..=599).contains(status)).ok_or_else(|| {
            let detail = format!("{}: {} is not within 100 to 599", self.name, shortened(number));
            Rejection::new(Reason::StatusOutOfRange, detail)
        })
    }

    fn number_at_least(&self, least: f64) -> Result<f64, Rejection> {
        let number = self.number().ok_or_else(|| self.wrong("a number"))?;
        let number: f64 = number.parse().expect("a JSON number is a Rust float");
        if number.is_finite() && number >= least { Ok(number) } else { Err(self.wrong("a number in range")) }
    }

    fn cents(&self) -> Result<i64, Rejection> {
        let number = self.number().ok_or_else(|| self.wrong("a number"))?;
        cents(number).ok_or_else(|| self.wrong("an amount of at most ten trillion"))
    }

    fn number(&self) -> Option<&'a str> {
        self.raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(self.raw)
    }

    fn string(&self) -> Option<&'a str> {
        self.unescaped.or_else(|| self.raw.strip_prefix('"')?.strip_suffix('"'))
    }

    fn shown(&self) -> &'a str {
        self.string().unwrap_or(self.raw)
    }

    fn wrong(&self, expected: &str) -> Rejection {
        let found = match self.raw.as_bytes()[0] {
            b'"' => format!("the string {}", quoted(self.shown())),
            b'{' => "an object".to_owned(),
            b'[' => "an array".to_owned(),
            _ => shortened(self.raw).to_owned(),
        };
        Rejection::new(Reason::WrongType, format!("{}: expected {expected}, found {found}", self.name))
    }
}

/// Collects the values of the known names as they are written; of a repeated name the last.
struct Members<'n, 'a> {
    names: &'n Names,
    /// Whether this is the inside of `metadata`.
    nested: bool,
    /// By the names' ids. A null leaves nothing, as if the member were not there.
    slots: [Option<&'a str>; NAMES_MAX],
}

impl Members<'_, '_> {
    fn enter_metadata(&mut self) -> Result<(), serde_json::Error> {
        let is_metadata = |id: &usize| self.names.all()[*id].field == Field::Request;
        let raw = (0..self.names.all().len()).filter(is_metadata).find_map(|id| self.slots[id]);
        match raw {
            Some(raw) if raw.starts_with('{') => {
                self.nested = true;
                serde_json::Deserializer::from_str(raw).deserialize_map(self)
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Visitor<'a> for &mut Members<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(id) = map.next_key_seed(NameOf { names: self.names, nested: self.nested })? {
            match id {
                Some(id) => {
                    let raw = map.next_value::<&'a RawValue>()?.get();
                    self.slots[usize::from(id)] = Some(raw).filter(|raw| *raw != "null");
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a member's name, escaped or not, as its id.
struct NameOf<'n> {
    names: &'n Names,
    nested: bool,
}

impl<'de> DeserializeSeed<'de> for NameOf<'_> {
    type Value = Option<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameOf<'_> {
    type Value = Option<u8>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(if self.nested { self.names.find_nested(text) } else { self.names.find(text) })
    }
}

/// The strings of a record that were written with escapes, by the names' ids.
struct Unescaped<'a> {
    text: &'a str,
    ranges: [(usize, usize); NAMES_MAX],
}

impl<'a> Unescaped<'a> {
    fn of(&self, id: usize) -> Option<&'a str> {
        let (start, end) = self.ranges[id];
        // An escape never stands for nothing, so a string that had one is not empty.
        (start < end).then(|| &self.text[start..end])
    }
}

fn unescape<'a>(
    slots: &[Option<&str>; NAMES_MAX],
    scratch: &'a mut String,
) -> Result<Unescaped<'a>, serde_json::Error> {
    struct Append<'s>(&'s mut String);
    impl Visitor<'_> for Append<'_> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
            self.0.push_str(text);
            Ok(())
        }
    }

    scratch.clear();
    let mut ranges = [(0, 0); NAMES_MAX];
    for (raw, range) in slots.iter().zip(&mut ranges) {
        if let Some(raw) = raw.filter(|raw| raw.starts_with('"') && raw.contains('\\')) {
            range.0 = scratch.len();
            serde_json::Deserializer::from_str(raw).deserialize_str(Append(scratch))?;
            range.1 = scratch.len();
        }
    }
    Ok(Unescaped { text: scratch, ranges })
}

fn not_json(error: &serde_json::Error) -> Rejection {
    Rejection::new(Reason::NotJson, error.to_string())
}

/// Longer values are of no more help to a reader of a dead letter.
const SHOWN_MAX: usize = 60;

fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

fn shortened(text: &str) -> &str {
    cut(text, SHOWN_MAX)
}
