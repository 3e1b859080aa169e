//! The path for plain records: it guesses which name comes next and compares instead of parsing.
//!
//! A record is plain if its strings have no escapes, its numbers no exponents, no name of interest is given twice in one
//! place, there is at most a single blank after a colon, a comma or an opening brace, and no array holds anything of
//! interest. On anything else, and on everything that would be rejected, the answer is `None`: then the slow path decides.

mod found;
mod layout;
mod scan;

pub use found::PlainEvent;

use self::found::{Found, bit};
use self::layout::Layout;
use self::scan::{
    Decimal, Quotes, blank, container_end, decimal, scalar_end, seconds_with_micros, short_decimal,
};
use super::check::{TypeName, is_of_a_page, settle};
use super::slow::{Rules, has_protocol, is_method, is_plain_code};
use crate::field::{Field, FieldSet};
use crate::logline::request_line;
use crate::names::Names;
use crate::tree::{ROOT, Scope};
use crate::{TimeFormat, Timestamp, moment};

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

/// Whose text may be empty, as it identifies nothing.
const FREE: u32 = bit(Field::Query)
    | bit(Field::Category)
    | bit(Field::Referrer)
    | bit(Field::Device)
    | bit(Field::Browser)
    | bit(Field::Country)
    | bit(Field::UserAgent)
    | bit(Field::Source)
    | bit(Field::ConversionType)
    | bit(Field::PaymentMethod);
/// Whose text is an identity: empty it is absent.
const IDENTITIES: u32 = bit(Field::UserId)
    | bit(Field::EventId)
    | bit(Field::ProductId)
    | bit(Field::ClickId)
    | bit(Field::CheckoutId)
    | bit(Field::CampaignId)
    | bit(Field::ConversionId)
    | bit(Field::SearchId)
    | bit(Field::AdId);
/// Whose integer is taken as its digits, besides identities.
const WORDS: u32 = bit(Field::Query)
    | bit(Field::Category)
    | bit(Field::Source)
    | bit(Field::ConversionType)
    | bit(Field::PaymentMethod);

/// The event in a record; `None` if that is for the slow path to say.
#[inline]
pub(super) fn decode<'d, 'a>(
    value: &'a [u8],
    rules: Rules<'_>,
    memory: &'d mut Memory,
) -> Option<PlainEvent<'d, 'a>> {
    // As JSON has it: a form feed is no blank.
    let end = value.iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))?;
    let bytes = value.get(..=end)?;
    let Memory { layout, quotes, found } = memory;
    quotes.find(bytes)?;
    found.clear();
    let mut named = TypeName::Absent;
    let mut context = Layout::NO_TYPE;
    let mut id = Layout::START;
    let mut scope = Layout::OUTSIDE;
    let mut guess = layout.next(context, id);
    let mut at = 0;
    loop {
        let is_end = |id: u8| id == Layout::END && ends(bytes, at, scope, layout);
        if is_end(guess) {
            break;
        }
        if layout.joint(guess).is_at(bytes, at, scope) {
            at += layout.joint(guess).length();
        } else {
            let second = layout.other(context, id);
            if is_end(second) {
                layout.follow(context, id, second);
                break;
            }
            if layout.joint(second).is_at(bytes, at, scope) {
                layout.follow(context, id, second);
                guess = second;
                at += layout.joint(second).length();
            } else {
                let (next, end, to) = look_up(bytes, at, scope, quotes, layout)?;
                layout.follow(context, id, next);
                if next == Layout::END {
                    break;
                }
                layout.learn(next, &bytes[at..end], scope, to);
                guess = next;
                at = end;
            }
        }
        id = guess;
        let joint = layout.joint(id);
        scope = joint.to;
        let (field, bit) = (joint.field, joint.bit);
        // Of several names for one field the preferred one speaks, if it has something to say. Of a name that is given
        // twice it is for the slow path to say which value holds.
        let speaks = bit == 0 || found.give(field, bit, id)?;
        if joint.opens_text() {
            let start = at;
            let end = quotes.next(start).filter(|end| *end < bytes.len())?;
            at = end + 1;
            if !speaks {
            } else if joint.is_taken_as_it_is() {
                // An identity may be all blanks, or a dash; both begin with less than a digit or a letter does.
                if start != end && bytes[start] > b'-' || bit & FREE != 0 {
                    found.set_text(field, bit, id, start, end);
                } else if start != end {
                    if bytes[start] == b' ' {
                        return None;
                    }
                    if field != Field::UserId || &bytes[start..end] != b"-" {
                        found.set_text(field, bit, id, start, end);
                    }
                }
            } else if joint.is_type() {
                found.of_type = Some((start as u32, end as u32));
            } else if start != end {
                let everyday = joint.is_everyday();
                match field {
                    Field::Ignored => {}
                    Field::Kind => {
                        let text = bytes.get(start..end)?;
                        if text[0] == b' ' {
                            return None;
                        }
                        named = rules.types.named(text).unwrap_or(TypeName::Unknown(""));
                        context = Layout::context(named);
                        found.mark(bit, field, id);
                    }
                    Field::Time => match time_of_text(bytes.get(start..end)?, rules.time) {
                        Some(time) => found.set_time(time, id),
                        None if everyday => {}
                        None => return None,
                    },
                    Field::Url => {
                        if bytes[start] == b' ' || bytes[end - 1] == b' ' {
                            return None;
                        }
                        found.set_text(field, bit, id, start, end);
                    }
                    Field::Method => {
                        if is_method(bytes.get(start..end)?) {
                            found.set_text(field, bit, id, start, end);
                        } else if bytes[start] == b' ' {
                            return None;
                        } else {
                            found.refuse(bit, everyday);
                        }
                    }
                    Field::Currency => {
                        if !is_plain_code(std::str::from_utf8(bytes.get(start..end)?).ok()?) {
                            return None;
                        }
                        found.set_text(field, bit, id, start, end);
                    }
                    Field::Request => {
                        let text = std::str::from_utf8(bytes.get(start..end)?).ok()?;
                        if text.starts_with(' ') {
                            return None;
                        }
                        let is_one = if everyday { has_protocol(text) } else { request_line(text).is_some() };
                        if is_one {
                            found.set_text(field, bit, id, start, end);
                        } else {
                            found.refuse(bit, everyday);
                        }
                    }
                    _ => {
                        // A number in quotes.
                        let (number, number_end) = decimal(bytes, start)?;
                        if number_end != end {
                            return None;
                        }
                        found.set_number(field, joint, id, number)?;
                    }
                }
            }
        } else if let (Field::Time, Some((time, end))) = (field, seconds_with_micros(bytes, at)) {
            let time =
                if rules.time.is_some() { time_of_number(bytes.get(at..end)?, rules.time)? } else { time };
            if speaks {
                found.set_time(time, id);
            }
            at = end;
        } else if bytes.get(at)?.is_ascii_digit() {
            let start = at;
            let (number, end) = match short_decimal(bytes, at) {
                Some(short) => short,
                None => decimal(bytes, at)?,
            };
            at = end;
            if !speaks || field == Field::Ignored {
            } else if bit & (IDENTITIES | WORDS) != 0 {
                if !number.is_integer() {
                    return None;
                }
                if joint.is_type() {
                    found.of_type = Some((start as u32, end as u32));
                } else {
                    found.set_text(field, bit, id, start, end);
                }
            } else {
                let everyday = joint.is_everyday();
                match field {
                    Field::Time => {
                        let time = match rules.time {
                            Some(_) => time_of_number(&bytes[start..end], rules.time),
                            None => number.time(),
                        };
                        match time {
                            Some(time) => found.set_time(time, id),
                            None if everyday => {}
                            None => return None,
                        }
                    }
                    Field::Kind => {
                        if !number.is_integer() {
                            return None;
                        }
                        named = rules.types.named(&bytes[start..end]).unwrap_or(TypeName::Unknown(""));
                        context = Layout::context(named);
                        found.mark(bit, field, id);
                    }
                    Field::Status | Field::Latency | Field::Amount | Field::Quantity | Field::Price => {
                        found.set_number(field, joint, id, number)?;
                    }
                    _ => found.refuse(bit, everyday),
                }
            }
        } else {
            let first = bytes[at];
            if first == b'{' || first == b'[' {
                if joint.has_members() {
                    return None;
                }
                at = container_end(bytes, at, quotes)?;
            } else {
                at = scalar_end(bytes, at, quotes)?;
            }
            // A null leaves the field as it was.
            if first != b'n' && bit != 0 && speaks && !joint.is_type() {
                match first {
                    _ if field == Field::Time => return None,
                    b'{' | b'[' | b't' | b'f' => found.refuse(bit, joint.is_everyday()),
                    _ => return None, // a number below zero
                }
            }
        }
        guess = layout.next(context, id);
    }
    if !quotes.is_ascii() && std::str::from_utf8(bytes).is_err() {
        return None;
    }
    piece_together(bytes, rules, found, &mut named)?;
    if !found.has(Field::Time) {
        return None;
    }
    let settled = settle(FieldSet::from_bits(found.present()), named, rules.types).ok()?;
    found.settle(settled);
    Some(PlainEvent::new(found, bytes))
}

/// Fields that are read from what several members say together.
#[inline]
fn piece_together(bytes: &[u8], rules: Rules<'_>, found: &mut Found, named: &mut TypeName<'_>) -> Option<()> {
    if let Some((start, end)) = found.of_type {
        let text = bytes.get(start as usize..end as usize)?;
        let kind = if found.has(Field::Kind) { None } else { rules.types.known(text) };
        if let Some(kind) = kind {
            *named = kind;
            found.mark(bit(Field::Kind), Field::Kind, 0);
        } else if !found.has(Field::ConversionType) {
            let (field, bit) = (Field::ConversionType, bit(Field::ConversionType));
            found.set_text(field, bit, 0, start as usize, end as usize);
        }
    }
    if found.has(Field::Request) {
        let (start, end) = found.range(Field::Request);
        let text = std::str::from_utf8(bytes.get(start..end)?).ok()?;
        let (method, target) = request_line(text)?;
        let place = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize + start;
        if !found.has(Field::Url) && !target.is_empty() {
            let at = place(target);
            found.set_text(Field::Url, bit(Field::Url), 0, at, at + target.len());
        }
        if let Some(method) = method.filter(|_| !found.has(Field::Method)) {
            let at = place(method);
            found.set_text(Field::Method, bit(Field::Method), 0, at, at + method.len());
        }
    }
    if let Some(status) = found.odd_status
        && !found.has(Field::Status)
        && found.has(Field::Url)
        && is_of_a_page(*named, rules.types)
    {
        found.set_status(status, 0);
    }
    Some(())
}

#[inline]
fn time_of_text(text: &[u8], format: Option<&TimeFormat>) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    format.map_or_else(|| moment::from_text(text), |format| format.read_text(text))
}

#[cold]
fn time_of_number(number: &[u8], format: Option<&TimeFormat>) -> Option<Timestamp> {
    let number = std::str::from_utf8(number).ok()?;
    format.map_or_else(|| moment::from_number(number), |format| format.read_number(number))
}

/// Whether the record ends here: with a brace for each object that is open.
#[inline]
fn ends(bytes: &[u8], at: usize, scope: Scope, layout: &Layout) -> bool {
    if scope == ROOT {
        return at + 1 == bytes.len() && bytes[at] == b'}';
    }
    if scope == Layout::OUTSIDE {
        return false;
    }
    let mut left = bytes.len() - at;
    let mut scope = scope;
    while left > 0 && bytes[bytes.len() - left] == b'}' {
        left -= 1;
        if scope == ROOT {
            return left == 0;
        }
        scope = layout.tree.parent(scope);
    }
    false
}

/// What begins at this position, after a value that lies in `scope`: the id of the next name, the position of its value,
/// past the quote of a string, and where it lies; or the record's end.
#[inline(never)]
fn look_up(
    bytes: &[u8],
    mut at: usize,
    mut scope: Scope,
    quotes: &Quotes,
    layout: &mut Layout,
) -> Option<(u8, usize, Scope)> {
    let mut opened = scope == Layout::OUTSIDE;
    if opened {
        if *bytes.get(at)? != b'{' {
            return None;
        }
        (scope, at) = (ROOT, at + 1);
    }
    loop {
        if opened {
            at = blank(bytes, at);
        }
        match *bytes.get(at)? {
            b'}' if scope == ROOT => {
                return (at + 1 == bytes.len()).then_some((Layout::END, at + 1, ROOT));
            }
            b'}' => {
                (scope, at) = (layout.tree.parent(scope), at + 1);
                opened = false;
                continue;
            }
            b',' if !opened => at = blank(bytes, at + 1),
            b'"' if opened => {}
            _ => return None,
        }
        let (name, end) = name(bytes, at, quotes)?;
        let start = blank(bytes, end);
        let member = layout.tree.find(scope, name);
        match *bytes.get(start)? {
            b'"' => return Some((id_of(layout, scope, name), start + 1, scope)),
            b'{' => {
                let inside = member.and_then(|member| member.inside());
                let is_named = member.and_then(|member| member.name()).is_some_and(|id| id < Layout::LEARNED);
                let entered = match inside {
                    Some(inside) => Some(inside),
                    None if is_named => None,
                    None => layout.tree.enter(scope, name),
                };
                let Some(inside) = entered else { return Some((id_of(layout, scope, name), start, scope)) };
                (scope, at, opened) = (inside, start + 1, true);
            }
            b'[' => {
                let inside = member.and_then(|member| member.inside());
                if inside.is_some_and(|inside| layout.is_of_interest(inside)) {
                    return None;
                }
                return Some((id_of(layout, scope, name), start, scope));
            }
            _ => return Some((id_of(layout, scope, name), start, scope)),
        }
    }
}

fn id_of(layout: &mut Layout, scope: Scope, name: &str) -> u8 {
    let known = layout.tree.find(scope, name).and_then(|member| member.name());
    known.unwrap_or_else(|| layout.number(scope, name))
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

impl Found {
    /// Puts a number into its field, if it can be that; `None` if that is for the slow path to say.
    #[inline]
    fn set_number(&mut self, field: Field, joint: &layout::Joint, id: u8, number: Decimal) -> Option<()> {
        let everyday = joint.is_everyday();
        match field {
            Field::Status => match number.whole_below(1_000)? {
                status @ 100..=599 => self.set_status(status, id),
                status if !everyday => self.set_status(status, id),
                status @ (0 | 600..) => self.odd_status = Some(status),
                _ => {}
            },
            Field::Latency => {
                self.latency_ms = joint.unit.millis(number.float()?);
                self.mark(joint.bit, field, id);
            }
            Field::Amount => {
                self.amount_cents = number.cents()?;
                self.mark(joint.bit, field, id);
            }
            Field::Quantity => {
                self.quantity = number.float()?;
                self.mark(joint.bit, field, id);
            }
            Field::Price => {
                self.price_cents = number.cents()?;
                self.mark(joint.bit, field, id);
            }
            _ => return None,
        }
        Some(())
    }
}
