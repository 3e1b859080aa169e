//! What a member's value is, if it can be what its field means.

use super::{quoted, shortened};
use crate::decoder::check::{TypeName, Types};
use crate::field::Field;
use crate::logline::request_line;
use crate::moment;
use crate::names::Name;
use crate::number::{cents, digits, in_text, integer};
use crate::{Event, Reason, Rejection, TimeFormat, Timestamp};

/// A named value of the record, not null.
pub(super) struct Member<'n, 'a> {
    pub(super) name: &'n Name,
    /// Valid JSON without blanks around it.
    pub(super) raw: &'a str,
    /// The value, if it is a string that can be text.
    pub(super) text: Option<&'a str>,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decoder) enum Verdict {
    /// The field was read from it.
    Used,
    /// It says nothing: an empty text where an identity is meant.
    Nothing,
    /// It cannot be what the field means; this could.
    Unusable(&'static str),
}
use Verdict::{Nothing, Unusable};

const STATUS: &str = "a status of 0 to 999";
const AMOUNT: &str = "an amount of at most ten trillion";
const TIME: &str = "a moment of the years 1970 to 2199";

impl<'a> Member<'_, 'a> {
    /// Puts the value into its field.
    pub(super) fn put(&self, event: &mut Event<'a>, odd_status: &mut Option<u16>) -> Result<(), Verdict> {
        match self.name.field {
            Field::UserId => event.user_id = Some(self.user()?),
            Field::EventId => event.event_id = Some(self.identity()?),
            Field::Url => event.url = Some(self.url()?),
            Field::Status => event.http_status = Some(self.status(odd_status)?),
            Field::Method => event.method = Some(self.method()?),
            Field::Latency => event.latency_ms = Some(self.latency_ms()?),
            Field::ProductId => event.product_id = Some(self.identity()?),
            Field::ClickId => event.click_id = Some(self.identity()?),
            Field::CheckoutId => event.checkout_id = Some(self.identity()?),
            Field::Amount => event.amount_cents = Some(self.cents()?),
            Field::CampaignId => event.campaign_id = Some(self.identity()?),
            Field::ConversionId => event.conversion_id = Some(self.identity()?),
            Field::SearchId => event.search_id = Some(self.identity()?),
            Field::Query => event.query = Some(self.word()?),
            Field::Category => event.category = Some(self.word()?),
            Field::Quantity => event.quantity = Some(self.float(f64::MIN)?),
            Field::Price => event.price_cents = Some(self.cents()?),
            Field::Currency => event.currency = Some(self.not_empty()?),
            Field::Referrer => event.referrer = Some(self.free()?),
            Field::Device => event.device = Some(self.free()?),
            Field::Browser => event.browser = Some(self.free()?),
            Field::Country => event.country = Some(self.free()?),
            Field::UserAgent => event.user_agent = Some(self.free()?),
            Field::AdId => event.ad_id = Some(self.identity()?),
            Field::Source => event.source = Some(self.word()?),
            Field::ConversionType => event.conversion_type = Some(self.word()?),
            Field::PaymentMethod => event.payment_method = Some(self.word()?),
            Field::Time | Field::Kind | Field::Request | Field::Ignored => return Err(Nothing),
        }
        Ok(())
    }

    pub(super) fn time(&self, format: Option<&TimeFormat>) -> Result<Timestamp, Verdict> {
        let found = match (self.number(), self.text, format) {
            (Some(number), _, Some(format)) => format.read_number(number),
            (Some(number), _, None) => moment::from_number(number),
            (None, Some(text), _) if is_blank(text) => return Err(Nothing),
            (None, Some(text), Some(format)) => format.read_text(text),
            (None, Some(text), None) => moment::from_text(text),
            (None, None, _) => None,
        };
        found.ok_or(Unusable(TIME))
    }

    pub(super) fn kind(&self, types: &Types) -> Result<TypeName<'a>, Verdict> {
        let name = match self.number().and_then(digits) {
            Some(digits) => digits,
            None => self.not_empty()?,
        };
        Ok(types.named(name.as_bytes()).unwrap_or(TypeName::Unknown(name)))
    }

    /// A request line as it is; what it says is read when it is known whether anything else says it.
    pub(super) fn request_line(&self) -> Result<&'a str, Verdict> {
        let text = self.not_empty()?;
        let is_one = if self.name.everyday { has_protocol(text) } else { request_line(text).is_some() };
        if is_one { Ok(text) } else { Err(Unusable("a request line")) }
    }

    /// An identity, but for a dash, with which logs say that there is none.
    fn user(&self) -> Result<&'a str, Verdict> {
        match self.identity()? {
            "-" => Err(Nothing),
            user => Ok(user),
        }
    }

    /// An integer is taken as its digits; an empty text, or one of blanks, identifies nothing.
    fn identity(&self) -> Result<&'a str, Verdict> {
        match self.number() {
            Some(number) => digits(number).ok_or(Unusable("a string or an integer")),
            None => match self.text.ok_or(Unusable("a string or an integer"))? {
                text if is_blank(text) => Err(Nothing),
                text => Ok(text),
            },
        }
    }

    /// Text that may be empty; an integer is taken as its digits.
    pub(super) fn word(&self) -> Result<&'a str, Verdict> {
        match self.number() {
            Some(number) => digits(number).ok_or(Unusable("a string or an integer")),
            None => self.text.ok_or(Unusable("a string")),
        }
    }

    fn free(&self) -> Result<&'a str, Verdict> {
        self.text.ok_or(Unusable("a string"))
    }

    fn not_empty(&self) -> Result<&'a str, Verdict> {
        match self.free()? {
            text if is_blank(text) => Err(Nothing),
            text => Ok(text),
        }
    }

    fn url(&self) -> Result<&'a str, Verdict> {
        Ok(self.not_empty()?.trim_matches(BLANKS))
    }

    fn method(&self) -> Result<&'a str, Verdict> {
        let method = self.not_empty()?;
        if is_method(method.as_bytes()) { Ok(method) } else { Err(Unusable("a request method")) }
    }

    fn status(&self, odd: &mut Option<u16>) -> Result<u16, Verdict> {
        let number = match (self.number(), self.text) {
            (Some(number), _) => number,
            (None, Some(text)) if is_blank(text) => return Err(Nothing),
            (None, Some(text)) => in_text(text).or_else(|| reason_phrase(text)).ok_or(Unusable(STATUS))?,
            (None, None) => return Err(Unusable(STATUS)),
        };
        let status = integer(number, 999).ok_or(Unusable(STATUS))? as u16;
        match status {
            100..=599 => Ok(status),
            _ if !self.name.everyday => Ok(status),
            0 | 600.. => {
                *odd = Some(status);
                Err(Nothing)
            }
            _ => Err(Unusable(STATUS)),
        }
    }

    fn latency_ms(&self) -> Result<f64, Verdict> {
        let millis = self.name.unit.millis(self.float(0.0)?);
        if millis.is_finite() { Ok(millis) } else { Err(Unusable("a number in range")) }
    }

    fn float(&self, least: f64) -> Result<f64, Verdict> {
        let number: f64 = self.any_number()?.parse().map_err(|_| Unusable("a number"))?;
        if number.is_finite() && number >= least { Ok(number) } else { Err(Unusable("a number in range")) }
    }

    fn cents(&self) -> Result<i64, Verdict> {
        cents(self.any_number()?).ok_or(Unusable(AMOUNT))
    }

    /// A number, be it in quotes.
    fn any_number(&self) -> Result<&'a str, Verdict> {
        match (self.number(), self.text) {
            (Some(number), _) => Ok(number),
            (None, Some(text)) if is_blank(text) => Err(Nothing),
            (None, Some(text)) => in_text(text).ok_or(Unusable("a number")),
            (None, None) => Err(Unusable("a number")),
        }
    }

    /// Whether it is a string that no text can be: one with half of a surrogate pair.
    pub(super) fn is_broken(&self) -> bool {
        self.text.is_none() && self.raw.starts_with('"')
    }

    fn number(&self) -> Option<&'a str> {
        self.raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(self.raw)
    }

    /// Why a time is none.
    pub(super) fn no_moment(&self, configured: bool) -> Rejection {
        if self.text.is_none() && self.number().is_none() {
            return self.rejected("a number or a string");
        }
        let other = if configured { ", nor written as `time.format` says" } else { "" };
        let shown = quoted(self.text.unwrap_or(self.raw));
        let detail = format!("{}: {shown} is no moment of the years 1970 to 2199{other}", self.name.path);
        Rejection::new(Reason::BadTimestamp, detail)
    }

    /// Why a value, which the event cannot be counted without, is of no use.
    pub(super) fn wrong(&self) -> Rejection {
        let mut event = Event::EMPTY;
        match self.put(&mut event, &mut None) {
            Err(Unusable(expected)) => self.rejected(expected),
            _ => self.rejected("something else"),
        }
    }

    fn rejected(&self, expected: &str) -> Rejection {
        let found = match self.raw.as_bytes()[0] {
            b'"' => format!("the string {}", quoted(self.text.unwrap_or("with half of a surrogate pair"))),
            b'{' => "an object".to_owned(),
            b'[' => "an array".to_owned(),
            _ => shortened(self.raw).to_owned(),
        };
        let detail = format!("{}: expected {expected}, found {found}", self.name.path);
        Rejection::new(Reason::WrongType, detail)
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

fn is_blank(text: &str) -> bool {
    text.trim_matches(BLANKS).is_empty()
}

/// Whether a text can be a request's method: capital letters, or one of the usual ones however it is written.
pub(in crate::decoder) fn is_method(text: &[u8]) -> bool {
    const LENGTH_MAX: usize = 20;
    if text == b"GET" {
        return true;
    }
    const USUAL: [&[u8]; 9] =
        [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT"];
    let capitals =
        text.len() <= LENGTH_MAX && text.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    capitals && !text.is_empty() || USUAL.iter().any(|usual| usual.eq_ignore_ascii_case(text))
}

/// Whether a text is a request line for certain: `GET /x HTTP/1.1`.
pub(in crate::decoder) fn has_protocol(text: &str) -> bool {
    let last = text.rsplit(' ').next().unwrap_or_default();
    last.starts_with("HTTP/") && request_line(text).is_some_and(|(method, _)| method.is_some())
}

/// The status of `200 OK`.
fn reason_phrase(text: &str) -> Option<&str> {
    let (status, _) = text.trim_start_matches(BLANKS).split_once(' ')?;
    (status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit())).then_some(status)
}
