use processor_core::{FieldValue, Point};

/// What an empty tag value becomes: InfluxDB refuses a line with an empty one, and leaving the tag out would make the
/// point another series.
pub const EMPTY_TAG: &str = "none";

/// What a backslash in a tag value becomes: `U+FF3C`, which looks alike. Line protocol has no escape for it: a value that
/// ends in one swallows the delimiter that follows, and servers differ on two in a row.
pub const WIDE_BACKSLASH: &str = "\u{ff3c}";

/// Unit of the timestamps of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Whole seconds, rounded down.
    Seconds,
    /// Milliseconds, rounded down.
    Millis,
}

impl Precision {
    /// The value of the query parameter `precision`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Millis => "ms",
        }
    }
}

/// Why a point has no line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Line protocol has no NaN and no infinity.
    #[error("field {field:?} of {measurement:?} is not a finite number")]
    NotFinite {
        /// The measurement.
        measurement: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A line needs a field.
    #[error("{measurement:?} has no fields")]
    NoFields {
        /// The measurement.
        measurement: &'static str,
    },
}

/// Appends a point as one line of line protocol, without the newline, and returns the length of its series: the
/// measurement and tags it begins with. Two points are the same point if series and timestamp are equal.
///
/// Tags come in the schema's order, which is sorted. An empty tag value becomes [`EMPTY_TAG`], control characters in
/// a tag become spaces (a newline would end the line), backslashes become [`WIDE_BACKSLASH`].
///
/// # Errors
/// [`EncodeError`]; `out` is then what it was.
pub fn encode(point: &Point, precision: Precision, out: &mut Vec<u8>) -> Result<usize, EncodeError> {
    let start = out.len();
    encode_series(point, out);
    let series_len = out.len() - start;
    if let Err(error) = encode_fields(point, out) {
        out.truncate(start);
        return Err(error);
    }
    out.push(b' ');
    let time = match precision {
        Precision::Seconds => point.time.secs(),
        Precision::Millis => point.time.millis(),
    };
    out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
    Ok(series_len)
}

fn encode_series(point: &Point, out: &mut Vec<u8>) {
    push_escaped(point.measurement.name, is_measurement_special, out);
    for (key, value) in point.measurement.tags.iter().zip(&point.tags) {
        out.push(b',');
        push_escaped(key, is_tag_special, out);
        out.push(b'=');
        push_tag_value(value, out);
    }
}

fn encode_fields(point: &Point, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let measurement = point.measurement.name;
    if point.fields.is_empty() {
        return Err(EncodeError::NoFields { measurement });
    }
    let mut separator = b' ';
    for ((key, _), value) in point.measurement.fields.iter().zip(&point.fields) {
        out.push(separator);
        separator = b',';
        push_escaped(key, is_tag_special, out);
        out.push(b'=');
        match value {
            FieldValue::Integer(integer) => {
                out.extend_from_slice(itoa::Buffer::new().format(*integer).as_bytes());
                out.push(b'i');
            }
            FieldValue::Float(float) if float.is_finite() => {
                out.extend_from_slice(ryu::Buffer::new().format_finite(*float).as_bytes());
            }
            FieldValue::Float(_) => return Err(EncodeError::NotFinite { measurement, field: key }),
            FieldValue::Text(text) => push_text(text, out),
        }
    }
    Ok(())
}

fn push_tag_value(value: &str, out: &mut Vec<u8>) {
    if value.is_empty() {
        out.extend_from_slice(EMPTY_TAG.as_bytes());
    }
    for (number, part) in value.split('\\').enumerate() {
        if number > 0 {
            out.extend_from_slice(WIDE_BACKSLASH.as_bytes());
        }
        push_escaped(part, is_tag_special, out);
    }
}

/// A quoted field value: quotes and backslashes are escaped, newlines are allowed.
fn push_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

const fn is_measurement_special(byte: u8) -> bool {
    matches!(byte, b',' | b' ') || byte.is_ascii_control()
}

const fn is_tag_special(byte: u8) -> bool {
    is_measurement_special(byte) || byte == b'='
}

/// Copies `text`, putting a backslash before special bytes; control characters become escaped spaces. Only ASCII is
/// special, so UTF-8 stays whole.
fn push_escaped(text: &str, is_special: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| is_special(*byte)) {
        out.extend_from_slice(&rest[..at]);
        let byte = if rest[at].is_ascii_control() { b' ' } else { rest[at] };
        out.extend_from_slice(&[b'\\', byte]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests;
