//! The path that defines the answers: `serde_json` says whether it is JSON, then field after field is read.

mod members;
mod value;

use serde::de::IgnoredAny;

pub(super) use self::members::{Cursor, NAMED_ELEMENTS, append_unescaped, is_plain_code};
use self::members::{Members, Unescaped};
use self::value::Member;
pub(super) use self::value::Verdict;
pub(super) use self::value::{has_protocol, is_method};
use super::check::{Fault, TypeName, Types, is_of_a_page, settle};
use crate::field::{Field, FieldSet};
use crate::logline::request_line;
use crate::names::{NAMES_MAX, Names, TYPE};
use crate::rejection::cut;
use crate::tree::Tree;
use crate::{Event, EventType, Notes, Reason, Rejection, TimeFormat, Timestamp};

/// What an input says of its records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'n> {
    pub(super) names: &'n Names,
    pub(super) types: &'n Types,
    pub(super) time: Option<&'n TimeFormat>,
}

/// The values of a tree's names in an object of valid JSON.
pub(super) fn members_of<'a>(text: &'a str, tree: &Tree) -> Members<'a> {
    Members::of(text, tree)
}

/// What became of each name of a record, for people who want to know why.
pub(super) type Verdicts = [Option<Verdict>; NAMES_MAX];

pub(super) fn decode<'a>(
    value: &'a [u8],
    rules: Rules<'_>,
    scratch: &'a mut String,
    mut verdicts: Option<&mut Verdicts>,
) -> Result<Event<'a>, Rejection> {
    let text = json_object(value)?;
    let members = Members::of(text, rules.names.tree());
    let unescaped = Unescaped::of(&members, rules.names, scratch);

    let mut event = Event::EMPTY;
    let mut found = Found::default();
    for (id, name) in rules.names.all().iter().enumerate() {
        let Some(raw) = members.slots[id] else { continue };
        let member = Member { name, raw, text: unescaped.text(id, raw) };
        let is_type = &*name.path == TYPE && name.field == Field::ConversionType && name.everyday;
        if is_type {
            found.of_type = member.word().ok();
            continue; // What it says is seen when it is known whether another name tells the type.
        }
        if found.has.contains(name.field) {
            continue; // A preferred name of the field has spoken.
        }
        let verdict = match name.field {
            Field::Time => member.time(rules.time).map(|time| found.time = time),
            Field::Kind => member.kind(rules.types).map(|named| found.named = named),
            Field::Request => member.request_line().map(|text| found.request = Some(text)),
            _ => member.put(&mut event, &mut found.odd_status),
        };
        match verdict {
            Ok(()) => found.has.insert(name.field),
            Err(Verdict::Unusable(_)) => found.refused(id, name.field, name.everyday && !member.is_broken()),
            Err(_) => {}
        }
        if let Some(verdicts) = &mut verdicts {
            verdicts[id] = Some(verdict.err().unwrap_or(Verdict::Used));
        }
    }
    found.piece_together(&mut event, rules.types);
    if !found.has.contains(Field::Time) {
        return Err(match found.faults[Field::Time as usize] {
            Some(id) => {
                let member = member(rules.names, &members, &unescaped, usize::from(id));
                member.no_moment(rules.time.is_some())
            }
            None => Rejection::new(Reason::MissingField, "event_timestamp: every event needs it"),
        });
    }
    event.time = found.time;
    match settle(found.has, found.named, rules.types) {
        Ok(settled) => {
            event.kind = settled.kind;
            event.notes =
                Notes { incomplete: settled.incomplete, unusable: found.unusable.without(found.has) };
            event.stand_in();
            Ok(event)
        }
        Err(Fault::Missing(field, kind)) => Err(match found.faults[field as usize] {
            Some(id) => member(rules.names, &members, &unescaped, usize::from(id)).wrong(),
            None => {
                let names = match field {
                    Field::SearchId => "search_id or query",
                    Field::Url => "url or http_status",
                    _ => field.name(),
                };
                Rejection::new(Reason::MissingField, format!("{names}: {} needs it", kind.name()))
            }
        }),
        Err(Fault::UnknownType) => {
            let named =
                if let TypeName::Unknown(name) = found.named { name } else { EventType::Other.name() };
            let detail = format!("event_type: {} is unknown, and there is no http_status", quoted(named));
            Err(Rejection::new(Reason::UnknownEventType, detail))
        }
    }
}

/// The text of a record that is a JSON object, blanks and a byte order mark before it cut off.
pub(super) fn json_object(value: &[u8]) -> Result<&str, Rejection> {
    let text =
        std::str::from_utf8(value).map_err(|error| Rejection::new(Reason::NotJson, error.to_string()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start_matches([' ', '\t', '\n', '\r']);
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| Rejection::new(Reason::NotJson, error.to_string()))?;
    if !text.starts_with('{') {
        return Err(Rejection::new(Reason::NotAnObject, "the record is JSON but not an object"));
    }
    Ok(text)
}

/// What was found before the event is put together.
struct Found<'a> {
    has: FieldSet,
    /// What had a value of no use, under a name that nobody uses for anything else.
    unusable: FieldSet,
    /// The first name of each field whose value was of no use.
    faults: [Option<u8>; Field::COUNT],
    time: Timestamp,
    named: TypeName<'a>,
    request: Option<&'a str>,
    /// The text of the member `type`.
    of_type: Option<&'a str>,
    /// A number that is a status where the record is a request for a page, and anything elsewhere.
    odd_status: Option<u16>,
}

impl Default for Found<'_> {
    fn default() -> Self {
        Self {
            has: FieldSet::EMPTY,
            unusable: FieldSet::EMPTY,
            faults: [None; Field::COUNT],
            time: Timestamp::from_micros(0),
            named: TypeName::Absent,
            request: None,
            of_type: None,
            odd_status: None,
        }
    }
}

impl<'a> Found<'a> {
    fn refused(&mut self, id: usize, field: Field, everyday: bool) {
        if !everyday {
            self.unusable.insert(field);
        }
        if !everyday || field == Field::Time {
            self.faults[field as usize].get_or_insert(id as u8);
        }
    }

    /// Fields that are read from what several members say together.
    fn piece_together(&mut self, event: &mut Event<'a>, types: &Types) {
        if let Some(text) = self.of_type {
            let kind = if self.has.contains(Field::Kind) { None } else { types.known(text.as_bytes()) };
            if let Some(named) = kind {
                self.named = named;
                self.has.insert(Field::Kind);
            } else if !self.has.contains(Field::ConversionType) {
                event.conversion_type = Some(text);
                self.has.insert(Field::ConversionType);
            }
        }
        if let Some((method, target)) = self.request.and_then(request_line) {
            if !self.has.contains(Field::Url) && !target.is_empty() {
                event.url = Some(target);
                self.has.insert(Field::Url);
            }
            if !self.has.contains(Field::Method)
                && let Some(method) = method
            {
                event.method = Some(method);
                self.has.insert(Field::Method);
            }
        }
        if let Some(status) = self.odd_status
            && !self.has.contains(Field::Status)
            && self.has.contains(Field::Url)
            && is_of_a_page(self.named, types)
        {
            event.http_status = Some(status);
            self.has.insert(Field::Status);
        }
    }
}

fn member<'m, 'a>(
    names: &'m Names,
    members: &Members<'a>,
    unescaped: &Unescaped<'a>,
    id: usize,
) -> Member<'m, 'a> {
    let raw = members.slots[id].expect("a fault is of a name that has a value");
    Member { name: &names.all()[id], raw, text: unescaped.text(id, raw) }
}

/// Longer values are of no more help to a reader of a dead letter.
const SHOWN_MAX: usize = 60;

fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

fn shortened(text: &str) -> &str {
    cut(text, SHOWN_MAX)
}
