//! What is written: points as the schema defines them.

use std::sync::Arc;

use events::Timestamp;

use crate::schema::{FieldKind, Measurement};

/// A window length that results are kept at; each has its own bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Resolution {
    /// The configured window size, 10 s by default: bucket `raw_10s`.
    Raw,
    /// One minute: bucket `rollup_1m`.
    Minute,
    /// One hour: bucket `rollup_1h`.
    Hour,
}

impl Resolution {
    /// Every resolution, the finest first.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Minute, Self::Hour];
}

/// A field's value; its variant matches the schema's [`FieldKind`].
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// Written with the suffix `i`.
    Integer(i64),
    /// Always finite.
    Float(f64),
    /// Any text.
    Text(Arc<str>),
}

impl FieldValue {
    /// The type this value has.
    #[must_use]
    pub const fn kind(&self) -> FieldKind {
        match self {
            Self::Integer(_) => FieldKind::Integer,
            Self::Float(_) => FieldKind::Float,
            Self::Text(_) => FieldKind::Text,
        }
    }
}

/// One InfluxDB point with its whole field set, so that writing it again overwrites all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Which bucket it belongs to.
    pub resolution: Resolution,
    /// Its definition; `tags` and `fields` are values in that definition's order.
    pub measurement: &'static Measurement,
    /// Tag values, one per `measurement.tags`.
    pub tags: Vec<Arc<str>>,
    /// Field values, one per `measurement.fields`.
    pub fields: Vec<FieldValue>,
    /// The window's start (for wall-clock measurements: the moment).
    pub time: Timestamp,
}

impl Point {
    /// Builds a point.
    ///
    /// # Panics
    /// If tags or fields do not fit the measurement, or a float is not finite: a bug in the caller, never a matter
    /// of input.
    #[must_use]
    pub fn new(
        resolution: Resolution,
        measurement: &'static Measurement,
        tags: Vec<Arc<str>>,
        fields: Vec<FieldValue>,
        time: Timestamp,
    ) -> Self {
        assert_eq!(tags.len(), measurement.tags.len(), "{}: tags fit the schema", measurement.name);
        assert_eq!(fields.len(), measurement.fields.len(), "{}: fields fit the schema", measurement.name);
        for (value, (name, kind)) in fields.iter().zip(measurement.fields) {
            assert_eq!(value.kind(), *kind, "{}.{name}: type fits the schema", measurement.name);
            if let FieldValue::Float(float) = value {
                assert!(float.is_finite(), "{}.{name} is finite", measurement.name);
            }
        }
        Self { resolution, measurement, tags, fields, time }
    }

    /// The value of the field called `name`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldValue> {
        let at = self.measurement.fields.iter().position(|(field, _)| *field == name)?;
        self.fields.get(at)
    }

    /// The value of the tag called `name`.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        let at = self.measurement.tags.iter().position(|tag| *tag == name)?;
        self.tags.get(at).map(|value| &**value)
    }
}
