//! `processor suggest`: from records of a topic to an `[[inputs]]` section that reads them.
//!
//! Every preset, the contract's own names with a mapping guessed from names and values, and lines of access logs are
//! tried on the records; what reads most of them best is suggested. What is not certain is a comment.

mod columns;
mod guess;
mod names;
mod text;
mod times;
mod types;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use events::{Decoder, DecoderOptions, EventType, Field, Format, Mapping, Preset};

use self::columns::Columns;

/// A record to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Kafka's key, where it is known.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: &'a [u8],
}

/// What an input's section may say.
#[derive(Debug, Clone)]
pub struct Suggestion {
    /// The preset, where one reads the records.
    pub preset: Option<&'static Preset>,
    /// What it adds to, where that is neither a preset nor the contract alone.
    base: DecoderOptions,
    /// How values are written.
    pub format: Format,
    /// The type of records that name none, where it is not that of the preset or the default.
    pub event_type: Option<EventType>,
    /// Their name, ours, and what that rests on.
    pub fields: Vec<(String, &'static str, String)>,
    /// Their type, ours, and what that rests on.
    pub event_types: Vec<(String, EventType, String)>,
    /// The format of times, and what that rests on.
    pub time: Option<(String, String)>,
    /// Whether Kafka's key is the user, where keys are known.
    pub keyed: Option<bool>,
    /// What is read by the contract's own names: a member and the field.
    pub known: Vec<(String, &'static str)>,
    /// What could not be guessed, each a line.
    pub doubts: Vec<String>,
    /// What becomes of the records by it.
    pub seen: Seen,
}

/// What became of the records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many there were.
    pub records: usize,
    /// How many count.
    pub counted: usize,
    /// How many do not, by reason.
    pub refused: BTreeMap<&'static str, usize>,
    /// How many count and lack a field.
    pub incomplete: BTreeMap<(EventType, Field), usize>,
    /// By how many fields are read, and how well events are told apart.
    merit: i64,
}

impl Suggestion {
    /// The options of a decoder that does what it says.
    #[must_use]
    pub fn options(&self) -> DecoderOptions {
        let own = Mapping {
            fields: self
                .fields
                .iter()
                .map(|(theirs, ours, _)| (theirs.clone(), (*ours).to_owned()))
                .collect(),
            ignore: Vec::new(),
            event_types: self.event_types.iter().map(|(theirs, ours, _)| (theirs.clone(), *ours)).collect(),
            time: self.time.as_ref().and_then(|(format, _)| events::TimeFormat::new(format, None).ok()),
        };
        let preset = self.preset.and_then(|preset| preset.options().ok());
        let base = preset.unwrap_or_else(|| self.base.clone());
        DecoderOptions {
            default_type: self.event_type.unwrap_or(base.default_type),
            format: self.format,
            mapping: own.over(base.mapping),
            max_bytes: base.max_bytes,
        }
    }

    fn nothing() -> Self {
        Self {
            preset: None,
            base: DecoderOptions::default(),
            format: Format::Json,
            event_type: None,
            fields: Vec::new(),
            event_types: Vec::new(),
            time: None,
            keyed: None,
            known: Vec::new(),
            doubts: Vec::new(),
            seen: Seen::default(),
        }
    }
}

/// So many names of a preset that nobody else uses make it likely.
const TELLING_NAMES: usize = 3;

/// What section reads these records best.
#[must_use]
pub fn suggest(records: &[Record<'_>]) -> Suggestion {
    let mut best = guess::guess(&DecoderOptions::default(), records);
    best.seen = seen(&best.options(), records);
    for line in [Format::Combined, Format::Common] {
        let mut other = Suggestion { format: line, ..Suggestion::nothing() };
        other.seen = seen(&other.options(), records);
        if other.seen.counted * 10 >= records.len() * 9 && other.seen.merit > best.seen.merit {
            best = other;
        }
    }
    for preset in Preset::ALL {
        let mut other = Suggestion { preset: Some(preset), format: preset.format, ..Suggestion::nothing() };
        other.seen = seen(&other.options(), records);
        let is_likely = telling_names(preset, records) >= TELLING_NAMES;
        let is_better = if best.preset.is_none() {
            // One that was made by hand for these records knows what names alone do not say.
            other.seen.counted >= best.seen.counted
        } else {
            (other.seen.counted, other.seen.merit) > (best.seen.counted, best.seen.merit)
        };
        if is_likely && is_better && other.seen.counted > 0 {
            best = other;
        }
    }
    best.keyed = keyed(&best.options(), records);
    best
}

/// What could be added to the settings of an input, given records of it, each a line.
#[must_use]
pub fn hints(options: &DecoderOptions, keyed_by_user: bool, records: &[Record<'_>]) -> Vec<String> {
    let now = seen(options, records);
    let mut hints = Vec::new();
    if options.format == Format::Json {
        let guessed = guess::guess(options, records);
        for (theirs, ours, why) in &guessed.fields {
            hints.push(format!(
                "{theirs:?} looks like {ours} ({why}); under [inputs.fields]: {} = {}",
                text::quoted(theirs),
                text::quoted(ours)
            ));
        }
        for (theirs, ours, why) in &guessed.event_types {
            hints.push(format!(
                "the type {theirs:?} is not known ({why}); under [inputs.event_types]: {} = {}",
                text::quoted(theirs),
                text::quoted(ours.name())
            ));
        }
        if let Some((format, why)) = &guessed.time {
            hints.push(format!("{why}; under [[inputs]]: time = {{ format = {} }}", text::quoted(format)));
        }
        if let Some(kind) = guessed.event_type {
            let line = text::quoted(kind.name());
            hints.push(format!("no member tells the type; under [[inputs]]: event_type = {line}"));
        }
        hints.extend(guessed.doubts);
        hints.extend(written_otherwise(records));
    }
    if now.counted < now.records {
        let better = suggest(records);
        let said = match (better.preset, better.format) {
            (Some(preset), _) => format!("preset = {}", text::quoted(preset.name)),
            (None, Format::Combined) => "format = \"combined\"".to_owned(),
            (None, Format::Common) => "format = \"common\"".to_owned(),
            (None, Format::Json) => String::new(),
        };
        if better.seen.counted > now.counted && !said.is_empty() {
            hints.push(format!("with {said}, {} of {} would count", better.seen.counted, now.records));
        }
    }
    hints.extend(odd_users(options, records));
    if keyed_by_user && keyed(options, records) == Some(false) {
        hints.push("Kafka's key is not the user_id; under [[inputs]]: keyed = false".to_owned());
    }
    hints
}

/// Records that are no record a line.
fn written_otherwise(records: &[Record<'_>]) -> Option<String> {
    match records.first()?.value.trim_ascii() {
        b"{" | b"[" => {
            Some("this is JSON over several lines; make it one record a line: jq -c . FILE".to_owned())
        }
        [b'[', .., b']'] => Some("records are in arrays; take them out: jq -c '.[]' FILE".to_owned()),
        _ => None,
    }
}

/// So many records say something of their users.
const MANY: usize = 20;

/// Users that look as if they were none.
fn odd_users(options: &DecoderOptions, records: &[Record<'_>]) -> Option<String> {
    let mut decoder = Decoder::new(options).ok()?;
    let (mut users, mut events) = (BTreeSet::new(), 0);
    for record in records {
        if let Ok(event) = decoder.decode(Some(record.value))
            && let Some(user) = event.user_id
        {
            events += 1;
            users.insert(user.to_owned());
        }
    }
    match users.len() {
        _ if events < MANY => None,
        1 => Some(format!("all {events} records have the same user: is it a user's identity?")),
        many if many == events => {
            Some(format!("each of {events} records has a user of its own: is it the record's identity?"))
        }
        _ => None,
    }
}

/// How many of a preset's own names the records have with a use.
fn telling_names(preset: &Preset, records: &[Record<'_>]) -> usize {
    let Some(columns) = preset.options().ok().and_then(|options| Columns::of(&options, records)) else {
        return 0;
    };
    let plain = Columns::of(&DecoderOptions::default(), records);
    let is_telling = |path: &str| {
        let is_used = |columns: &Columns| columns.find(path).is_some_and(|column| column.used.is_some());
        is_used(&columns) && !plain.as_ref().is_some_and(is_used)
    };
    preset.fields.iter().filter(|(path, _)| is_telling(path)).count()
}

/// What becomes of the records by these options.
pub(crate) fn seen(options: &DecoderOptions, records: &[Record<'_>]) -> Seen {
    let mut seen = Seen { records: records.len(), ..Seen::default() };
    let Ok(mut decoder) = Decoder::new(options) else { return seen };
    for record in records {
        let explanation = decoder.explain(Some(record.value));
        let used = explanation.used().iter().count() as i64;
        match &explanation.outcome {
            Ok(event) => {
                seen.counted += 1;
                seen.merit += 10 + used - if event.kind == EventType::Other { 2 } else { 0 };
                for field in event.notes.incomplete.iter() {
                    *seen.incomplete.entry((event.kind, field)).or_default() += 1;
                    seen.merit -= 1;
                }
            }
            Err(rejection) => *seen.refused.entry(rejection.reason.name()).or_default() += 1,
        }
    }
    seen
}

/// Whether the key is the user, of records that have both; records without a key are not keyed by anything.
fn keyed(options: &DecoderOptions, records: &[Record<'_>]) -> Option<bool> {
    let mut decoder = Decoder::new(options).ok()?;
    let (mut same, mut other) = (0_usize, 0_usize);
    for record in records {
        let Ok(event) = decoder.decode(Some(record.value)) else { continue };
        match (record.key, event.user_id) {
            (Some(key), Some(user)) if is_key_of(key, user) => same += 1,
            (Some(_), Some(_)) => other += 1,
            _ => {}
        }
    }
    // A key that is some user's by chance is no rule; nor is one that is not, of many that are.
    (same + other > 0).then_some(other == 0)
}

/// Whether a key is a user, as text or as JSON text.
pub(crate) fn is_key_of(key: &[u8], user: &str) -> bool {
    key == user.as_bytes()
        || key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")) == Some(user.as_bytes())
}
