use processor_core::{FieldValue, Point, Resolution};
use serde::Serialize;
use serde::ser::Serializer;

/// Appends a point as one line of JSON:
/// `{"window":"raw","time_ms":0,"measurement":"http","tags":{…},"fields":{…}}`.
pub(super) fn append(point: &Point, out: &mut Vec<u8>) {
    let window = match point.resolution {
        Resolution::Raw => "raw",
        Resolution::Minute => "1m",
        Resolution::Hour => "1h",
    };
    let line = JsonLine {
        window,
        time_ms: point.time.millis(),
        measurement: point.measurement.name,
        tags: Tags(point),
        fields: Fields(point),
    };
    serde_json::to_writer(&mut *out, &line).expect("strings and finite numbers have JSON, memory takes it");
    out.push(b'\n');
}

#[derive(Serialize)]
struct JsonLine<'a> {
    window: &'static str,
    time_ms: i64,
    measurement: &'static str,
    tags: Tags<'a>,
    fields: Fields<'a>,
}

struct Tags<'a>(&'a Point);

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.measurement.tags.iter().zip(self.0.tags.iter().map(|tag| &**tag)))
    }
}

struct Fields<'a>(&'a Point);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = self.0.measurement.fields.iter().map(|(name, _)| name);
        serializer.collect_map(names.zip(self.0.fields.iter().map(Value)))
    }
}

struct Value<'a>(&'a FieldValue);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            FieldValue::Integer(integer) => serializer.serialize_i64(*integer),
            FieldValue::Float(float) => serializer.serialize_f64(*float),
            FieldValue::Text(text) => serializer.serialize_str(text),
        }
    }
}
