//! From raw values to typed ones, collecting everything that is wrong on the way.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use config::{Value, ValueKind};

use super::keys::{self, Key, Kind};
use super::layers::{Layers, sorted};
use super::problem::{Origin, Problem};
use super::units::{format_duration, format_size, parse_duration, parse_size};

/// What switches off a guard.
const OFF: &str = "off";

/// Reads keys of the table. A value that is wrong is noted and replaced by the default, so that reading goes on and
/// finds the rest; [`Reader::finish`] then fails.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    problems: Vec<Problem>,
    #[cfg(test)]
    pub(super) read: std::collections::BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Self {
            layers,
            problems: layers.unknown_keys(),
            #[cfg(test)]
            read: std::collections::BTreeSet::new(),
        }
    }

    /// All problems found, or none.
    pub(super) fn finish(self) -> Vec<Problem> {
        self.problems
    }

    /// Whether a section or key is there at all.
    pub(super) fn has(&self, path: &str) -> bool {
        self.layers.get(path).is_some()
    }

    pub(super) fn is_list(&self, path: &str) -> bool {
        self.layers.get(path).is_some_and(|value| matches!(value.kind, ValueKind::Array(_)))
    }

    pub(super) fn origin(&self, path: &str) -> Origin {
        self.layers.origin(path)
    }

    /// Notes that the value of a key is wrong; `text` continues a sentence that begins with the key.
    pub(super) fn problem(&mut self, path: &str, text: impl Into<String>) {
        self.problems.push(Problem { key: path.into(), origin: self.origin(path), text: text.into() });
    }

    /// How many entries a list of sections has.
    pub(super) fn entries(&self, list: &str) -> usize {
        match self.layers.get(list).map(|value| &value.kind) {
            Some(ValueKind::Array(items)) => items.len(),
            _ => 0,
        }
    }

    pub(super) fn duration(&mut self, path: &str) -> Duration {
        let Kind::Duration { min, max } = self.key(path).kind else { unreachable!("{path} is a duration") };
        self.number(path, parse_duration, format_duration, min..=max)
    }

    /// `None` where it says `off`.
    pub(super) fn duration_or_off(&mut self, path: &str) -> Option<Duration> {
        let Kind::DurationOrOff { min, max } = self.key(path).kind else { unreachable!("{path} may be off") };
        let is_off = |value: &Value| scalar(&value.kind).is_some_and(|text| text.trim() == OFF);
        if self.layers.get(path).is_some_and(is_off) {
            self.mark(path);
            return None;
        }
        let parse = |text: &str| parse_duration(text).map_err(|wrong| format!("{wrong}; or {OFF:?}"));
        Some(self.number(path, parse, format_duration, min..=max))
    }

    pub(super) fn size(&mut self, path: &str) -> u64 {
        let Kind::Size { min, max } = self.key(path).kind else { unreachable!("{path} is a size") };
        self.number(path, parse_size, format_size, min..=max)
    }

    /// An integer with a default.
    pub(super) fn integer(&mut self, path: &str) -> u64 {
        self.optional_integer(path).expect("the key has a default")
    }

    pub(super) fn optional_integer(&mut self, path: &str) -> Option<u64> {
        let Kind::Integer { min, max } = self.key(path).kind else { unreachable!("{path} is an integer") };
        if !self.has(path) && self.key(path).default.is_none() {
            self.mark(path);
            return None;
        }
        let parse = |text: &str| text.parse().map_err(|_| "is not a whole number".to_owned());
        Some(self.number(path, parse, |number| number.to_string(), min..=max))
    }

    /// A true or false with a default.
    pub(super) fn bool(&mut self, path: &str) -> bool {
        let raw = self.raw(path);
        match raw.as_deref() {
            Some("true") => true,
            Some("false") => false,
            Some(text) => {
                self.problem(path, format!("= {text:?} is neither true nor false"));
                false
            }
            None => self.key(path).default == Some("true"),
        }
    }

    /// A text with a default.
    pub(super) fn text(&mut self, path: &str) -> String {
        self.optional_text(path).unwrap_or_else(|| self.default(path).to_owned())
    }

    pub(super) fn optional_text(&mut self, path: &str) -> Option<String> {
        let key = self.key(path);
        let text = self.raw(path)?;
        if text.trim().is_empty() {
            self.problem(path, format!("is empty; leave it out, or write for example {:?}", key.example));
            return None;
        }
        if let Kind::Choice(choices) = key.kind
            && !choices.contains(&text.as_str())
        {
            let choices = choices.join(", ");
            self.problem(path, format!("= {text:?} is not one of {choices}"));
            return None;
        }
        Some(text)
    }

    /// A list of texts: an array in the file, separated by commas elsewhere.
    pub(super) fn list(&mut self, path: &str) -> Vec<String> {
        let items: Vec<Value> = match self.layers.get(path).map(|value| value.kind.clone()) {
            Some(ValueKind::Array(items)) => items,
            Some(kind) => vec![Value::new(None, kind)],
            None => vec![Value::new(None, self.default(path))],
        };
        self.mark(path);
        let mut texts: Vec<String> = Vec::new();
        for item in items {
            match item.kind {
                ValueKind::String(text) => {
                    texts.extend(
                        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned),
                    );
                }
                other => {
                    self.problem(path, format!("has to be a list of texts, but holds {}", described(&other)));
                    return self.key(path).default.map(str::to_owned).into_iter().collect();
                }
            }
        }
        texts
    }

    /// A list of texts that may be left out.
    pub(super) fn optional_list(&mut self, path: &str) -> Vec<String> {
        self.mark(path);
        if self.has(path) { self.list(path) } else { Vec::new() }
    }

    /// A section with free keys in the order written, each with a text or a list of texts.
    pub(super) fn named(&mut self, path: &str) -> Vec<(String, Named)> {
        self.mark(path);
        let mut all = Vec::new();
        match self.layers.get(path).map(|value| value.kind.clone()) {
            None => {}
            Some(ValueKind::Table(table)) => {
                for (name, value) in &table {
                    self.collect_named(path, name, value, &mut all);
                }
            }
            Some(kind) => {
                let text = format!("has to be a section of names and values, but is {}", described(&kind));
                self.problem(path, text);
            }
        }
        all
    }

    fn collect_named(&mut self, path: &str, name: &str, value: &Value, all: &mut Vec<(String, Named)>) {
        match &value.kind {
            ValueKind::Table(table) => {
                for (child, value) in table {
                    self.collect_named(path, &format!("{name}.{child}"), value, all);
                }
            }
            ValueKind::Array(items) => {
                let texts: Vec<String> = items.iter().filter_map(|item| scalar(&item.kind)).collect();
                if texts.len() == items.len() && !texts.is_empty() {
                    all.push((name.to_owned(), Named::Many(texts)));
                } else {
                    self.problem(&format!("{path}.{name}"), "has to be a list of texts, one at least");
                }
            }
            kind => match scalar(kind) {
                Some(text) => all.push((name.to_owned(), Named::One(text))),
                None => self.problem(
                    &format!("{path}.{name}"),
                    format!("has to be a text or a list of texts, but is {}", described(kind)),
                ),
            },
        }
    }

    /// A section with free keys; `a.b` and nested tables mean the same.
    pub(super) fn map(&mut self, path: &str) -> BTreeMap<String, String> {
        self.mark(path);
        let mut map = BTreeMap::new();
        if let Some(value) = self.layers.get(path) {
            match &value.kind {
                ValueKind::Table(table) => {
                    for (name, value) in sorted(table) {
                        self.flatten(path, name, value, &mut map);
                    }
                }
                kind => {
                    let text = format!("has to be a section of names and values, but is {}", described(kind));
                    self.problem(path, text);
                }
            }
        }
        map
    }

    fn flatten(&mut self, path: &str, name: &str, value: &Value, map: &mut BTreeMap<String, String>) {
        match &value.kind {
            ValueKind::Table(table) => {
                for (child, value) in sorted(table) {
                    self.flatten(path, &format!("{name}.{child}"), value, map);
                }
            }
            kind => match scalar(kind) {
                Some(text) => drop(map.insert(name.to_owned(), text)),
                None => self.problem(
                    &format!("{path}.{name}"),
                    format!("has to be a text, but is {}", described(kind)),
                ),
            },
        }
    }

    /// The value as text, if it was set and is of the key's kind.
    fn raw(&mut self, path: &str) -> Option<String> {
        self.mark(path);
        let kind = self.key(path).kind;
        let value = self.layers.get(path)?;
        // Variables and flags are always texts; the file's types have to be right.
        let typed = matches!(self.origin(path), Origin::File(_));
        let fits = match (&value.kind, kind) {
            (ValueKind::String(_), Kind::Integer { .. } | Kind::Bool) => !typed,
            // Without a unit: the parser says what is missing.
            (
                ValueKind::I64(_),
                Kind::Integer { .. } | Kind::Size { .. } | Kind::Duration { .. } | Kind::DurationOrOff { .. },
            ) => true,
            (ValueKind::Boolean(_), Kind::Bool) => true,
            (ValueKind::String(_), _) => true,
            _ => false,
        };
        if fits {
            let text = scalar(&value.kind)?;
            if let Some(later) = keys::later_value(self.key(path), &text) {
                self.problem(path, format!("= {} {later}", quoted(&text)));
                return None;
            }
            return Some(text);
        }
        let text = format!("has to be {}, but is {}", expected(kind), described(&value.kind));
        self.problem(path, text);
        None
    }

    fn number<T: PartialOrd + Copy>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Result<T, String>,
        format: impl Fn(T) -> String,
        allowed: RangeInclusive<T>,
    ) -> T {
        let default = self.key(path).default.map(|text| parse(text).expect("defaults of the table parse"));
        let fallback = default.unwrap_or(*allowed.start());
        let Some(text) = self.raw(path) else { return fallback };
        match parse(text.trim()) {
            Ok(value) if allowed.contains(&value) => value,
            Ok(_) => {
                let (min, max) = (format(*allowed.start()), format(*allowed.end()));
                self.problem(path, format!("= {} is out of range; allowed is {min} to {max}", quoted(&text)));
                fallback
            }
            Err(wrong) => {
                self.problem(path, format!("= {} {wrong}", quoted(&text)));
                fallback
            }
        }
    }

    fn default(&self, path: &str) -> &'static str {
        self.key(path).default.expect("the key has a default")
    }

    fn key(&self, path: &str) -> &'static Key {
        keys::find(&keys::pattern(path)).expect("every key that is read stands in the table")
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests note what was read"))]
    fn mark(&mut self, _path: &str) {
        #[cfg(test)]
        self.read.insert(self.key(_path).path);
    }
}

/// The value of a free key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    One(String),
    Many(Vec<String>),
}

impl Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(text) => write!(f, "{text:?}"),
            Self::Many(texts) => write!(f, "{texts:?}"),
        }
    }
}

/// Numbers and truth values as they are, everything else between quotes.
fn quoted(text: &str) -> impl Display {
    if text.parse::<i64>().is_ok() || text.parse::<bool>().is_ok() {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}

fn scalar(kind: &ValueKind) -> Option<String> {
    match kind {
        ValueKind::String(text) => Some(text.clone()),
        ValueKind::Boolean(value) => Some(value.to_string()),
        ValueKind::I64(value) => Some(value.to_string()),
        ValueKind::Float(value) => Some(value.to_string()),
        _ => None,
    }
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer { .. } => "a whole number without quotes",
        Kind::Bool => "true or false without quotes",
        Kind::Duration { .. } => r#"a duration in quotes such as "10s""#,
        Kind::DurationOrOff { .. } => r#"a duration in quotes such as "10s", or "off""#,
        Kind::Size { .. } => r#"a size in quotes such as "512MB""#,
        Kind::Text | Kind::Secret | Kind::Choice(_) | Kind::List | Kind::Map => "a text in quotes",
    }
}

/// What stands there, without the value where it could be a secret.
fn described(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Boolean(_) => "true or false",
        ValueKind::Float(_) => "a number with a fraction",
        ValueKind::String(_) => "a text",
        ValueKind::Table(_) => "a section",
        ValueKind::Array(_) => "a list",
        ValueKind::Nil => "missing",
        _ => "a number",
    }
}
