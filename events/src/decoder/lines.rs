//! Records that are lines of an access log, bare or in a shipper's JSON.

use super::check::{Settled, TypeName, Types, settle};
use super::slow::{append_unescaped, json_object, members_of};
use crate::field::{Field, FieldSet};
use crate::logline::{self, Line};
use crate::number::integer;
use crate::rejection::cut;
use crate::tree::Tree;
use crate::{Event, Notes, Reason, Rejection, TimeFormat, moment};

/// What reads an input's lines.
#[derive(Debug)]
pub(super) struct Lines {
    common: bool,
    /// Where shippers put the line.
    shippers: Tree,
}

/// What Filebeat, Fluent Bit, Vector and Docker call the line, in the order they are asked.
const SHIPPERS: [&str; 4] = ["message", "log", "line", "event.original"];

impl Lines {
    pub(super) fn new(common: bool) -> Self {
        let mut shippers = Tree::new();
        for (id, path) in (0..).zip(SHIPPERS) {
            shippers.name(path, id);
        }
        Self { common, shippers }
    }

    pub(super) fn decode<'a>(
        &self,
        value: &'a [u8],
        types: &Types,
        time: Option<&TimeFormat>,
        scratch: &'a mut String,
    ) -> Result<Event<'a>, Rejection> {
        let text = match value.trim_ascii_start() {
            [b'{', ..] => self.in_json(value, scratch)?,
            value => std::str::from_utf8(value)
                .map_err(|error| Rejection::new(Reason::BadLine, format!("the line is no UTF-8: {error}")))?,
        };
        let line = logline::parse(text, self.common).ok_or_else(|| bad_line(text))?;
        event(&line, types, time)
    }

    fn in_json<'a>(&self, value: &'a [u8], scratch: &'a mut String) -> Result<&'a str, Rejection> {
        let members = members_of(json_object(value)?, &self.shippers);
        let mut strings = members.slots[..SHIPPERS.len()].iter().flatten();
        let inside = strings.find_map(|raw| raw.strip_prefix('"')?.strip_suffix('"')).ok_or_else(|| {
            Rejection::new(Reason::BadLine, format!("there is no text in {}", SHIPPERS.join(", ")))
        })?;
        if !inside.contains('\\') {
            return Ok(inside);
        }
        scratch.clear();
        append_unescaped(inside, scratch);
        Ok(scratch)
    }
}

fn event<'a>(line: &Line<'a>, types: &Types, time: Option<&TimeFormat>) -> Result<Event<'a>, Rejection> {
    let moment = match time {
        Some(format) => format.read_text(line.time),
        None => moment::from_text(line.time),
    };
    let time = moment.ok_or_else(|| {
        let shown = cut(line.time, 60);
        Rejection::new(Reason::BadTimestamp, format!("the line's time {shown:?} is no moment"))
    })?;
    let status = line.status.and_then(|status| integer(status, 999));
    let mut event = Event {
        user_id: line.user,
        time,
        url: line.target.filter(|target| !target.is_empty()),
        http_status: status.map(|status| status as u16),
        method: line.method,
        referrer: line.referrer,
        user_agent: line.user_agent,
        ..Event::EMPTY
    };
    let mut has = FieldSet::of(&[Field::Time]);
    let fields = [
        (Field::UserId, event.user_id.is_some()),
        (Field::Url, event.url.is_some()),
        (Field::Status, event.http_status.is_some()),
    ];
    fields.into_iter().filter(|(_, is_there)| *is_there).for_each(|(field, _)| has.insert(field));
    match settle(has, TypeName::Absent, types) {
        Ok(Settled { kind, incomplete }) => {
            event.kind = kind;
            event.notes = Notes { incomplete, ..Notes::NONE };
            Ok(event)
        }
        Err(_) => Err(Rejection::new(Reason::MissingField, "the line has neither a status nor a request")),
    }
}

fn bad_line(text: &str) -> Rejection {
    Rejection::new(Reason::BadLine, format!("no line of an access log: {:?}", cut(text, 100)))
}
