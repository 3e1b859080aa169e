//! The path for plain records: it guesses which name comes next and compares instead of parsing.
//!
//! A record is plain if it is one flat object (`metadata` may hold scalars) of unescaped strings, ordinary numbers and
//! nulls, with each field given once and at most a single blank after a colon or comma. On anything else, and on
//! everything that would be rejected, the answer is `None`: then the slow path decides.

mod found;
mod layout;
mod scan;

pub use found::PlainEvent;

use self::found::{Found, bit};
use self::layout::Layout;
use self::scan::{Quotes, blank, decimal, seconds_with_micros, short_decimal};
use super::check::{TypeName, settle};
use crate::field::Field;
use crate::names::Names;
use crate::{EventType, moment};

/// What the path keeps from record to record.
#[derive(Debug)]
pub(super) struct Memory {
    layout: Layout,
    quotes: Quotes,
    found: Found,
}

impl Memory {
    pub(super) fn new(names: &Names) -> Self {
        Self { layout: Layout::new(names), quotes: Quotes::new(), found: Found::new() }
    }
}

/// Whose text is more than a text.
const READ: u32 = bit(Field::Time) | bit(Field::Kind) | NUMBERS;
const NUMBERS: u32 =
    bit(Field::Status) | bit(Field::Latency) | bit(Field::Amount) | bit(Field::Quantity) | bit(Field::Price);

/// The event in a record; `None` if that is for the slow path to say.
#[inline]
pub(super) fn decode<'d, 'a>(
    value: &'a [u8],
    names: &Names,
    memory: &'d mut Memory,
    default_type: EventType,
) -> Option<PlainEvent<'d, 'a>> {
    let bytes = value.trim_ascii_end();
    let Memory { layout, quotes, found } = memory;
    quotes.find(bytes)?;
    found.clear();
    let mut named = TypeName::Absent;
    // One bit per field that has been given, be it as null.
    let mut seen = 0_u32;
    let mut context = Layout::NO_TYPE;
    let mut id = Layout::START;
    let mut guess = layout.next(context, id);
    let mut at = 0;
    loop {
        let is_end = |id: u8| id == Layout::END && at + 1 == bytes.len() && bytes[at] == b'}';
        if is_end(guess) {
            break;
        }
        if layout.joint(guess).is_at(bytes, at) {
            at += layout.joint(guess).length();
        } else {
            let second = layout.other(context, id);
            if is_end(second) {
                layout.follow(context, id, second);
                break;
            }
            if layout.joint(second).is_at(bytes, at) {
                layout.follow(context, id, second);
                guess = second;
                at += layout.joint(second).length();
            } else {
                let (next, end) = look_up(bytes, at, quotes, names)?;
                layout.follow(context, id, next);
                if next == Layout::END {
                    break;
                }
                layout.learn(next, &bytes[at..end]);
                guess = next;
                at = end;
            }
        }
        id = guess;
        let joint = layout.joint(id);
        let (field, bit) = (joint.field, joint.bit);
        if seen & bit != 0 {
            return None; // Which of the two values holds is for the slow path to say.
        }
        seen |= bit;
        if joint.opens_text {
            let start = at;
            let end = quotes.next(start)?;
            at = end + 1;
            if bit & READ == 0 {
                found.set_text(field, bit, start, end);
            } else {
                let text = bytes.get(start..end)?;
                match field {
                    Field::Kind => {
                        named = TypeName::known(text).unwrap_or(TypeName::Unknown(""));
                        context = Layout::context(named);
                    }
                    Field::Time => {
                        found.time = moment::from_text(std::str::from_utf8(text).ok()?)?;
                        found.mark(Field::Time);
                    }
                    _ => return None,
                }
            }
        } else if let (Field::Time, Some((time, end))) = (field, seconds_with_micros(bytes, at)) {
            found.time = time;
            found.mark(Field::Time);
            at = end;
        } else if bytes.get(at)?.is_ascii_digit() {
            let (number, end) = match short_decimal(bytes, at) {
                Some(short) => short,
                None => decimal(bytes, at)?,
            };
            match field {
                Field::UserId if number.is_integer() => found.set_text(field, bit, at, end),
                Field::Time => found.time = number.time()?,
                Field::Status => found.http_status = number.status()?,
                Field::Latency => found.latency_ms = number.float()?,
                Field::Amount => found.amount_cents = number.cents()?,
                Field::Quantity => found.quantity = number.float()?,
                Field::Price => found.price_cents = number.cents()?,
                Field::Request | Field::Ignored => {}
                _ => return None,
            }
            found.mark(field);
            at = end;
        } else if field == Field::Request && bytes[at] == b'{' {
            (at, seen) = metadata(bytes, at, quotes, names, seen, found)?;
        } else if bytes[at] == b'n' || matches!(field, Field::Request | Field::Ignored) {
            at = scalar_end(bytes, at, quotes)?; // A null leaves the field as it was.
        } else {
            return None;
        }
        guess = layout.next(context, id);
    }
    if at + 1 != bytes.len() || !quotes.is_ascii() && std::str::from_utf8(bytes).is_err() {
        return None;
    }
    found.kind = settle(|field| found.has(field), named, default_type).ok()?;
    Some(PlainEvent::new(found, bytes))
}

/// What begins at this position, whichever it is: the id of the name after the comma (or the record's brace) and the
/// position of its value, past the quote of a string; or the record's end.
#[inline(never)]
fn look_up(bytes: &[u8], at: usize, quotes: &Quotes, names: &Names) -> Option<(u8, usize)> {
    match (at, *bytes.get(at)?) {
        (0, b'{') | (1.., b',') => {}
        (1.., b'}') if at + 1 == bytes.len() => return Some((Layout::END, at + 1)),
        _ => return None,
    }
    let (name, end) = name(bytes, blank(bytes, at + 1), quotes)?;
    let start = blank(bytes, end);
    let start = start + usize::from(bytes.get(start) == Some(&b'"'));
    Some((names.find(name).unwrap_or(Layout::UNKNOWN), start))
}

/// The name at this position and the position after its colon.
fn name<'a>(bytes: &'a [u8], at: usize, quotes: &Quotes) -> Option<(&'a str, usize)> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let end = quotes.next(at + 1)?;
    let name = std::str::from_utf8(bytes.get(at + 1..end)?).ok()?;
    (*bytes.get(end + 1)? == b':').then_some((name, end + 2))
}

/// Takes what is of use from the object at this position; the position after it, and the fields seen by then.
#[inline(never)]
fn metadata(
    bytes: &[u8],
    mut at: usize,
    quotes: &Quotes,
    names: &Names,
    mut seen: u32,
    found: &mut Found,
) -> Option<(usize, u32)> {
    at += 1;
    loop {
        let (name, end) = name(bytes, at, quotes)?;
        let start = blank(bytes, end);
        at = scalar_end(bytes, start, quotes)?;
        if let Some(id) = names.find_nested(name) {
            let field = names.all()[usize::from(id)].field;
            if seen & bit(field) != 0 {
                return None;
            }
            seen |= bit(field);
            match bytes[start] {
                b'"' => found.set_text(field, bit(field), start + 1, at - 1),
                b'n' => {}
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
fn scalar_end(bytes: &[u8], at: usize, quotes: &Quotes) -> Option<usize> {
    let rest = bytes.get(at..)?;
    match rest.first()? {
        b'"' => quotes.next(at + 1).map(|end| end + 1),
        b'n' => rest.starts_with(b"null").then_some(at + 4),
        b't' => rest.starts_with(b"true").then_some(at + 4),
        b'f' => rest.starts_with(b"false").then_some(at + 5),
        b'-' => decimal(bytes, at + 1).map(|(_, end)| end),
        _ => decimal(bytes, at).map(|(_, end)| end),
    }
}
