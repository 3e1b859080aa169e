//! What became of each member of a record, for people who want to know why.

use super::check::TypeName;
use super::slow::{self, Cursor, NAMED_ELEMENTS, Rules, Verdict, Verdicts, append_unescaped};
use super::{Decoder, json_value};
use crate::field::{Field, FieldSet};
use crate::names::{NAMES_MAX, Names, TYPE};
use crate::rejection::cut;
use crate::tree::{ROOT, Scope};
use crate::{Event, Rejection};

/// An event or a rejection, and how it came to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation<'a> {
    /// What [`Decoder::decode`] answers.
    pub outcome: Result<Event<'a>, Rejection>,
    /// The members of the record in its order, those of objects and arrays with their paths. None of what is no object.
    pub members: Vec<Member>,
    /// Whether it has more members than are told here, or deeper ones.
    pub cut: bool,
}

/// A member of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, with the names of what it lies in before it: `properties.products.0.id`.
    pub path: String,
    /// Its value, the beginning of it where it is long; of a string what it stands for.
    pub value: String,
    /// What kind of value that is.
    pub shape: Shape,
    /// What it was taken for.
    pub became: Became,
}

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An object.
    Object,
    /// An array.
    Array,
}

/// What a member was taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// The field was read from it.
    Used(Field),
    /// It is a name of the field, and one that is preferred spoke.
    Outranked {
        /// The field.
        field: Field,
        /// The path of the one that spoke.
        by: String,
    },
    /// It is a name of the field and says nothing: a null, or an empty text where an identity is meant.
    Nothing(Field),
    /// It is a name of the field, and its value cannot be what the field means.
    Unusable {
        /// The field.
        field: Field,
        /// What could be.
        expected: &'static str,
    },
    /// It is an everyday word that is a name of the field, and means something else here, which costs nothing.
    Everyday {
        /// The field.
        field: Field,
        /// What the field could be read from.
        expected: &'static str,
    },
    /// The configuration says that it means nothing.
    Ignored,
    /// No field is called so.
    Unknown,
}

/// Most members that are told of a record.
const MEMBERS_MAX: usize = 200;
/// Deepest members that are told.
const DEPTH_MAX: usize = 16;
/// Longest value and path that are told.
const VALUE_MAX: usize = 200;

impl Decoder {
    /// Decodes a record's value as [`Decoder::decode`] does, and says of each of its members what became of it.
    pub fn explain<'a>(&'a mut self, value: Option<&'a [u8]>) -> Explanation<'a> {
        let mut verdicts = [None; NAMES_MAX];
        let value = match json_value(value, self.max_bytes) {
            Ok(value) => value,
            Err(rejection) => {
                return Explanation { outcome: Err(rejection), members: Vec::new(), cut: false };
            }
        };
        let rules = Rules { names: &self.names, types: &self.types, time: self.time.as_ref() };
        if let Some(lines) = &self.lines {
            let outcome = lines.decode(value, rules.types, rules.time, &mut self.scratch);
            let members = outcome.as_ref().map(pieces).unwrap_or_default();
            return Explanation { outcome, members, cut: false };
        }
        let outcome = slow::decode(value, rules, &mut self.scratch, Some(&mut verdicts));
        let mut list =
            List { names: rules.names, path: String::new(), depth: 0, members: Vec::new(), cut: false };
        if let Ok(text) = slow::json_object(value) {
            list.object(&mut Cursor::new(text), Some(ROOT));
        }
        let List { members: found, cut, .. } = list;
        let judge = Judge {
            rules,
            verdicts: &verdicts,
            found: &found,
            ignored: &self.ignored,
            status_used: outcome.as_ref().is_ok_and(|event| event.http_status.is_some()),
        };
        let became: Vec<Became> = (0..found.len()).map(|at| judge.of(at)).collect();
        let members = found.into_iter().zip(became);
        let members = members.map(|(found, became)| Member {
            path: found.path,
            value: found.value,
            shape: found.shape,
            became,
        });
        Explanation { outcome, members: members.collect(), cut }
    }
}

/// What was read from a line, as if its pieces were members.
fn pieces(event: &Event<'_>) -> Vec<Member> {
    let status = event.http_status.map(|status| status.to_string());
    let pieces = [
        (Field::UserId, event.user_id),
        (Field::Method, event.method),
        (Field::Url, event.url),
        (Field::Status, status.as_deref()),
        (Field::Referrer, event.referrer),
        (Field::UserAgent, event.user_agent),
    ];
    let told = pieces.into_iter().filter_map(|(field, value)| {
        Some(Member {
            path: field.name().to_owned(),
            value: cut(value?, VALUE_MAX).to_owned(),
            shape: if field == Field::Status { Shape::Number } else { Shape::Text },
            became: Became::Used(field),
        })
    });
    told.collect()
}

/// A member before it is known what became of it.
struct Found {
    path: String,
    value: String,
    shape: Shape,
    /// The id of its name, if it is one.
    name: Option<u8>,
    /// A string that no text can be, which costs its field whatever it is called.
    broken: bool,
}

/// Lists the members of a record.
struct List<'n> {
    names: &'n Names,
    /// That of the object or array of now, with a dot at its end.
    path: String,
    depth: usize,
    members: Vec<Found>,
    cut: bool,
}

impl List<'_> {
    fn object(&mut self, cursor: &mut Cursor<'_>, scope: Option<Scope>) {
        cursor.enter();
        while let Some(key) = cursor.key() {
            self.member(cursor, scope, &key);
        }
        cursor.leave();
    }

    fn array(&mut self, cursor: &mut Cursor<'_>, scope: Option<Scope>) {
        cursor.enter();
        let mut number = 0_usize;
        while cursor.has_element() {
            self.member(cursor, scope.filter(|_| number < NAMED_ELEMENTS), &number.to_string());
            number += 1;
        }
        cursor.leave();
    }

    fn member(&mut self, cursor: &mut Cursor<'_>, scope: Option<Scope>, key: &str) {
        let known = scope.and_then(|scope| self.names.tree().find(scope, key));
        let inside = known.and_then(|member| member.inside());
        let shape = match cursor.byte() {
            b'{' => Shape::Object,
            b'[' => Shape::Array,
            b'"' => Shape::Text,
            b'n' => Shape::Null,
            b't' | b'f' => Shape::Bool,
            _ => Shape::Number,
        };
        let start = *cursor;
        let raw = cursor.value();
        let is_full = self.members.len() >= MEMBERS_MAX || self.depth >= DEPTH_MAX;
        if is_full || self.path.len() + key.len() > VALUE_MAX {
            self.cut = true;
            return;
        }
        let is_nest = matches!(shape, Shape::Object | Shape::Array);
        // An object of which the members are of interest is no value itself.
        let name = known.and_then(|member| member.name()).filter(|_| !(is_nest && inside.is_some()));
        let is_empty = is_nest && raw[1..raw.len() - 1].trim().is_empty();
        if !is_nest || name.is_some() || is_empty {
            let (value, broken) = match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
                Some(inside) => {
                    let mut text = String::new();
                    let whole = append_unescaped(inside, &mut text);
                    (cut(&text, VALUE_MAX).to_owned(), !whole)
                }
                None => (cut(raw, VALUE_MAX).to_owned(), false),
            };
            self.members.push(Found { path: format!("{}{key}", self.path), value, shape, name, broken });
        }
        if is_nest {
            let outside = self.path.len();
            self.path.push_str(key);
            self.path.push('.');
            self.depth += 1;
            let mut cursor = start;
            match shape {
                Shape::Object => self.object(&mut cursor, inside),
                _ => self.array(&mut cursor, inside),
            }
            self.depth -= 1;
            self.path.truncate(outside);
        }
    }
}

/// Says what became of members.
struct Judge<'j> {
    rules: Rules<'j>,
    verdicts: &'j Verdicts,
    found: &'j [Found],
    ignored: &'j [String],
    /// Whether the event has a status.
    status_used: bool,
}

impl Judge<'_> {
    fn of(&self, at: usize) -> Became {
        let member = &self.found[at];
        let Some(id) = member.name else {
            let is_ignored = self.ignored.contains(&member.path);
            return if is_ignored { Became::Ignored } else { Became::Unknown };
        };
        let name = &self.rules.names.all()[usize::from(id)];
        if member.shape == Shape::Null {
            return Became::Nothing(name.field);
        }
        // Of a name that is given twice the last value counts.
        if let Some(last) = self.found[at + 1..].iter().rfind(|later| later.name == Some(id)) {
            return Became::Outranked { field: name.field, by: last.path.clone() };
        }
        if &*name.path == TYPE && name.field == Field::ConversionType && name.everyday {
            return self.of_type(&member.value);
        }
        match self.verdicts[usize::from(id)] {
            Some(Verdict::Used) => Became::Used(name.field),
            // An odd status is seen to be one when it is known what the event is.
            Some(Verdict::Nothing)
                if name.field == Field::Status && self.status_used && self.speaker(name.field).is_none() =>
            {
                Became::Used(name.field)
            }
            Some(Verdict::Nothing) => Became::Nothing(name.field),
            Some(Verdict::Unusable(expected)) => {
                if name.everyday && !member.broken {
                    Became::Everyday { field: name.field, expected }
                } else {
                    Became::Unusable { field: name.field, expected }
                }
            }
            None => match self.speaker(name.field) {
                Some(by) => Became::Outranked { field: name.field, by: by.to_owned() },
                None => Became::Nothing(name.field),
            },
        }
    }

    /// The member `type`, which may tell the event's type or a conversion's kind.
    fn of_type(&self, value: &str) -> Became {
        let known: Option<TypeName<'_>> = self.rules.types.known(value.as_bytes());
        if known.is_some() && self.speaker(Field::Kind).is_none() {
            return Became::Used(Field::Kind);
        }
        match self.speaker(Field::ConversionType) {
            Some(by) => Became::Outranked { field: Field::ConversionType, by: by.to_owned() },
            None => Became::Used(Field::ConversionType),
        }
    }

    /// The path of the member that a field was read from.
    fn speaker(&self, field: Field) -> Option<&str> {
        let names = self.rules.names.all();
        let is_speaker = |id: u8| {
            names[usize::from(id)].field == field && self.verdicts[usize::from(id)] == Some(Verdict::Used)
        };
        self.found.iter().rev().find(|member| member.name.is_some_and(is_speaker)).map(|member| &*member.path)
    }
}

impl Explanation<'_> {
    /// The fields that were read from the record.
    #[must_use]
    pub fn used(&self) -> FieldSet {
        let mut used = FieldSet::EMPTY;
        for member in &self.members {
            if let Became::Used(field) = member.became {
                used.insert(field);
            }
        }
        used
    }
}

#[cfg(test)]
mod tests;
