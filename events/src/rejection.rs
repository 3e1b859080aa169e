use std::fmt;

/// Why a record is not an event, and which field says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Rejection {
    /// The contract's name for the fault.
    pub reason: Reason,
    /// For people: the field and what was found there, at most 200 bytes.
    pub detail: String,
}

/// The greatest length of a [`Rejection::detail`] in bytes: it travels in a Kafka header.
const DETAIL_MAX: usize = 200;

impl Rejection {
    /// A rejection whose detail is cut where it is longer than 200 bytes.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(cut(&detail, DETAIL_MAX).len());
        Self { reason, detail }
    }
}

/// As much of the text as fits into `max` bytes.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The contract's rejection reasons; [`Reason::name`] is what the dead-letter header holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The bytes are not one JSON value.
    NotJson,
    /// JSON, but not an object.
    NotAnObject,
    /// A field the event's type needs is absent or null.
    MissingField,
    /// A field holds a value of another type than the contract's, or an empty identity.
    WrongType,
    /// The event time cannot be read, or lies outside the years 1970 to 2199.
    BadTimestamp,
    /// The event time lies after the broker's timestamp plus `max_future_skew`.
    FutureTimestamp,
    /// Reserved: a status of no use costs the field, not the event.
    StatusOutOfRange,
    /// An unknown `event_type` without `http_status`.
    UnknownEventType,
    /// The record is larger than the input's limit.
    TooLarge,
    /// The record has no value (a tombstone), or an empty one.
    EmptyValue,
    /// The record is to be a line of an access log, and is none.
    BadLine,
    /// The Avro datum does not fit its schema.
    BadAvro,
    /// The schema id is not in the registry.
    UnknownSchema,
}

impl Reason {
    /// Every reason, in the order of its discriminant.
    pub const ALL: [Self; 13] = [
        Self::NotJson,
        Self::NotAnObject,
        Self::MissingField,
        Self::WrongType,
        Self::BadTimestamp,
        Self::FutureTimestamp,
        Self::StatusOutOfRange,
        Self::UnknownEventType,
        Self::TooLarge,
        Self::EmptyValue,
        Self::BadLine,
        Self::BadAvro,
        Self::UnknownSchema,
    ];

    /// The contract's name, as in the `reason` header and tag.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::BadTimestamp => "bad_timestamp",
            Self::FutureTimestamp => "future_timestamp",
            Self::StatusOutOfRange => "status_out_of_range",
            Self::UnknownEventType => "unknown_event_type",
            Self::TooLarge => "too_large",
            Self::EmptyValue => "empty_value",
            Self::BadLine => "bad_line",
            Self::BadAvro => "bad_avro",
            Self::UnknownSchema => "unknown_schema",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
