//! The path for plain records: it guesses which name comes next and compares instead of parsing.
//!
//! A record is plain if it is one flat object (`metadata` may hold scalars) of unescaped strings, ordinary numbers and
//! nulls, with each field given once and at most a single blank after a colon or comma. On anything else, and on
//! everything that would be rejected, the answer is `None`: then the slow path decides.

mod layout;
mod scan;

pub(super) use layout::Layout;

use self::scan::{blank, decimal, text_end};
use super::check::{TypeName, finish};
use crate::names::{Field, Names};
use crate::{Event, EventType, moment};

/// Fills the event, which must be empty; `None` if that is for the slow path to do.
pub(super) fn decode<'a>(
    value: &'a [u8],
    names: &Names,
    layout: &mut Layout,
    default_type: EventType,
    event: &mut Event<'a>,
) -> Option<()> {
    let text = std::str::from_utf8(value.trim_ascii_end()).ok()?;
    let bytes = text.as_bytes();
    if *bytes.first()? != b'{' {
        return None;
    }
    let mut time = None;
    let mut named = TypeName::Absent;
    // One bit per field that has been given, be it as null.
    let mut seen = 0_u32;
    let mut context = Layout::NO_TYPE;
    let mut id = Layout::START;
    let mut guess = layout.joint(id).next(context);
    let mut at = 1;
    loop {
        let mut joint = layout.joint(guess);
        if let Some(end) = joint.match_at(bytes, at) {
            at = end;
        } else {
            let (found, end) = look_up(text, at, names)?;
            joint = layout.learn(context, id, found, &bytes[at..end]);
            at = end;
        }
        id = joint.id;
        if seen & joint.bit != 0 {
            return None; // Which of the two values holds is for the slow path to say.
        }
        seen |= joint.bit;
        let field = joint.field;
        if joint.opens_text {
            let end = text_end(bytes, at)?;
            let text = text.get(at..end)?;
            at = end + 1;
            // An empty identity identifies nothing.
            let identity = (!text.is_empty()).then_some(text);
            match field {
                Field::UserId => event.user_id = identity?,
                Field::Time => time = Some(moment::from_text(text)?),
                Field::Kind => {
                    named = TypeName::of(text);
                    context = Layout::context(named);
                }
                Field::EventId => event.event_id = identity,
                Field::Url => event.url = Some(text),
                Field::Method => event.method = identity,
                Field::ProductId => event.product_id = identity,
                Field::ClickId => event.click_id = identity,
                Field::CheckoutId => event.checkout_id = identity,
                Field::CampaignId => event.campaign_id = identity,
                Field::ConversionId => event.conversion_id = identity,
                Field::SearchId => event.search_id = identity,
                Field::Query => event.query = Some(text),
                Field::Category => event.category = Some(text),
                Field::Currency => event.currency = Some(text),
                Field::Referrer => event.referrer = Some(text),
                Field::Device => event.device = Some(text),
                Field::Browser => event.browser = Some(text),
                Field::Country => event.country = Some(text),
                Field::UserAgent => event.user_agent = Some(text),
                Field::Metadata | Field::Ignored => {}
                Field::Status | Field::Latency | Field::Amount | Field::Quantity | Field::Price => {
                    return None;
                }
            }
        } else if bytes.get(at)?.is_ascii_digit() {
            let (number, end) = decimal(bytes, at)?;
            match field {
                Field::UserId if number.is_integer() => event.user_id = text.get(at..end)?,
                Field::Time => time = Some(number.time()?),
                Field::Status => event.http_status = Some(number.status()?),
                Field::Latency => event.latency_ms = Some(number.float()?),
                Field::Amount => event.amount_cents = Some(number.cents()?),
                Field::Quantity => event.quantity = Some(number.float()?),
                Field::Price => event.price_cents = Some(number.cents()?),
                Field::Metadata | Field::Ignored => {}
                _ => return None,
            }
            at = end;
        } else if field == Field::Metadata && bytes[at] == b'{' {
            (at, seen) = metadata(text, at, names, seen, event)?;
        } else if bytes[at] == b'n' || matches!(field, Field::Metadata | Field::Ignored) {
            at = scalar_end(bytes, at)?; // A null leaves the field as it was.
        } else {
            return None;
        }
        match *bytes.get(at)? {
            b',' => at += 1,
            b'}' => break,
            _ => return None,
        }
        guess = joint.next(context);
    }
    if at + 1 != bytes.len() {
        return None;
    }
    event.time = time.unwrap_or_default();
    finish(event, time.is_some(), named, default_type).ok()
}

/// The id of the name at this position, whichever it is, and the position of its value: past the quote of a string.
#[inline(never)]
fn look_up(text: &str, at: usize, names: &Names) -> Option<(u8, usize)> {
    let bytes = text.as_bytes();
    let (name, end) = name(text, blank(bytes, at))?;
    let start = blank(bytes, end);
    let start = start + usize::from(bytes.get(start) == Some(&b'"'));
    Some((names.find(name).unwrap_or(Layout::UNKNOWN), start))
}

/// The name at this position and the position after its colon.
fn name(text: &str, at: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let end = text_end(bytes, at + 1)?;
    let complete = bytes[at] == b'"' && bytes.get(end + 1) == Some(&b':');
    complete.then(|| (&text[at + 1..end], end + 2))
}

/// Takes what is of use from the object at this position; the position after it, and the fields seen by then.
#[inline(never)]
fn metadata<'a>(
    text: &'a str,
    mut at: usize,
    names: &Names,
    mut seen: u32,
    event: &mut Event<'a>,
) -> Option<(usize, u32)> {
    let bytes = text.as_bytes();
    at += 1;
    loop {
        let (name, end) = name(text, at)?;
        let start = blank(bytes, end);
        at = scalar_end(bytes, start)?;
        if let Some(id) = names.find_nested(name) {
            let field = names.all()[usize::from(id)].field;
            let value = match bytes[start] {
                b'"' => Some(text.get(start + 1..at - 1)?),
                b'n' => None,
                _ => return None,
            };
            if seen & 1 << field as u32 != 0 {
                return None;
            }
            seen |= 1 << field as u32;
            match field {
                Field::Device => event.device = value,
                Field::Browser => event.browser = value,
                _ => return None,
            }
        }
        match *bytes.get(at)? {
            b',' => at = blank(bytes, at + 1),
            b'}' => return Some((at + 1, seen)),
            _ => return None,
        }
    }
}

/// The position after the value here, if that is neither an object nor an array.
#[inline(never)]
fn scalar_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    match rest.first()? {
        b'"' => text_end(bytes, at + 1).map(|end| end + 1),
        b'n' => rest.starts_with(b"null").then_some(at + 4),
        b't' => rest.starts_with(b"true").then_some(at + 4),
        b'f' => rest.starts_with(b"false").then_some(at + 5),
        b'-' => decimal(bytes, at + 1).map(|(_, end)| end),
        _ => decimal(bytes, at).map(|(_, end)| end),
    }
}
