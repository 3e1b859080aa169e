use std::collections::BTreeMap;

use crate::{EventType, TimeFormat};

/// What a [`Decoder`](crate::Decoder) needs to know about its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderOptions {
    /// The type of records that name none.
    pub default_type: EventType,
    /// How a record's value is written.
    pub format: Format,
    /// What the input calls the contract's fields, types and times.
    pub mapping: Mapping,
    /// The greatest accepted length of a record in bytes, inclusive.
    pub max_bytes: usize,
}

impl Default for DecoderOptions {
    /// `page_view`, the contract's names alone, and 1 MiB, which is what Kafka brokers accept by default.
    fn default() -> Self {
        Self {
            default_type: EventType::PageView,
            format: Format::Json,
            mapping: Mapping::default(),
            max_bytes: 1 << 20,
        }
    }
}

/// How a record's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object.
    #[default]
    Json,
    /// A line of an access log in the combined format, bare or as the `message` of a JSON object.
    Combined,
    /// The same in the common format, without referrer and user agent.
    Common,
}

/// What an input calls the contract's fields, types and times. The order of names is that of preference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// Further names in the order they are preferred: what the input calls a field, and what the contract calls it, for
    /// example `uid` and `user_id`. A dot leads into an object, a number into an array: `properties.products.0.id`.
    ///
    /// Such a name wins over the contract's own names where a record has both, and what it meant before (as with
    /// `value` → `price`) it no longer means.
    pub fields: Vec<(String, String)>,
    /// Names that mean nothing here.
    pub ignore: Vec<String>,
    /// What the input calls a type, and the contract's name; `*` is every other.
    pub event_types: BTreeMap<String, EventType>,
    /// How times are written, where they are not what the contract reads by itself.
    pub time: Option<TimeFormat>,
}

impl Mapping {
    /// This mapping, and of another what this one says nothing of.
    #[must_use]
    pub fn over(mut self, other: Self) -> Self {
        let is_said = |own: &Self, name: &String| {
            own.fields.iter().any(|(theirs, _)| theirs == name) || own.ignore.contains(name)
        };
        let fields: Vec<_> = other.fields.into_iter().filter(|(theirs, _)| !is_said(&self, theirs)).collect();
        let ignore: Vec<_> = other.ignore.into_iter().filter(|name| !is_said(&self, name)).collect();
        self.fields.extend(fields);
        self.ignore.extend(ignore);
        for (theirs, kind) in other.event_types {
            self.event_types.entry(theirs).or_insert(kind);
        }
        self.time = self.time.or(other.time);
        self
    }
}

/// Why no decoder can be built from the options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A name is mapped to a field that does not exist.
    #[error("fields.{theirs}: there is no field `{ours}`; the nearest is `{nearest}`")]
    UnknownField {
        /// The name on the left-hand side.
        theirs: String,
        /// The unknown name on the right-hand side.
        ours: String,
        /// The contract's name most like it.
        nearest: &'static str,
    },
    /// A path of names has an empty one, or too many.
    #[error("fields.{path}: a name, or up to {max} names joined by dots, is wanted")]
    BadPath {
        /// The path on the left-hand side.
        path: String,
        /// How many names may lead to one.
        max: usize,
    },
    /// The names lead into more objects than a record may have of interest.
    #[error("fields: the names lead into more than {max} objects; name fewer, or fewer levels")]
    TooManyPlaces {
        /// How many there may be.
        max: usize,
    },
    /// A name is to mean something and nothing.
    #[error("ignore: {path} is both mapped and ignored; take it out of one of the two")]
    IgnoredAndMapped {
        /// The name.
        path: String,
    },
    /// More names are mapped than one record may have.
    #[error("fields: {count} names are mapped, at most {max} can be")]
    TooManyFields {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// There is no such time zone.
    #[error("time.zone: there is no time zone `{zone}`; the nearest is `{nearest}`")]
    UnknownZone {
        /// What was asked for.
        zone: String,
        /// The name most like it.
        nearest: &'static str,
    },
    /// A format of times that says no moment.
    #[error("time.format: `{format}` {fault}")]
    BadTimeFormat {
        /// What was asked for.
        format: String,
        /// What is wrong with it, and what to do.
        fault: String,
    },
}
