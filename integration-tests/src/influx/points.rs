//! Points written and read back through `influxdb2`, so that a mistake of our own client is not repeated by our own reader.
//!
//! The crate drops the path of a server's URL and panics on one that is none; the harness's servers have `http://host:port`.

use std::collections::BTreeMap;

use influxdb2::api::query::FluxRecord;
use influxdb2::api::write::TimestampPrecision;
use influxdb2::models::Query;
use influxdb2::{Client, RequestError};
use influxdb2_structmap::value::Value as FluxValue;
use serde_json::Value;

use super::Influx;

/// All times that an event can have.
const RANGE: &str = "range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)";

/// A point as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its fields: integers, floats, texts and booleans.
    pub fields: BTreeMap<String, Value>,
}

/// A point's time (`time`), tags and fields by their names.
pub type Row = BTreeMap<String, Value>;

impl Influx {
    /// Every point of a measurement, by time and tags.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn read(&self, bucket: &str, measurement: &str) -> Vec<Point> {
        let flux = format!(
            "from(bucket: {}) |> {RANGE} |> filter(fn: (r) => r._measurement == {})",
            literal(bucket),
            literal(measurement)
        );
        let records = self.with_client(async |client| client.query_raw(Some(Query::new(flux))).await);
        let records = records.unwrap_or_else(|error| panic!("{measurement} in {bucket}: {error}"));
        points(records)
    }

    /// The same as rows.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn points(&self, bucket: &str, measurement: &str) -> Vec<Row> {
        self.read(bucket, measurement).into_iter().map(Point::into_row).collect()
    }

    /// Writes lines of line protocol with times in milliseconds.
    ///
    /// # Panics
    /// If the server refuses them.
    pub fn write(&self, bucket: &str, lines: &str) {
        let lines = lines.to_owned();
        let written = self.with_client(async |client| {
            let precision = TimestampPrecision::Milliseconds;
            client.write_line_protocol_with_precision(self.org(), bucket, lines, precision).await
        });
        written.expect("InfluxDB takes the lines");
    }

    /// The client's connections live as long as the runtime they were made on, so both are of this call.
    fn with_client<T>(
        &self,
        ask: impl AsyncFnOnce(Client) -> Result<T, RequestError>,
    ) -> Result<T, RequestError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(ask(Client::new(self.url(), self.org(), self.admin_token())))
    }
}

impl Point {
    fn into_row(self) -> Row {
        let tags = self.tags.into_iter().map(|(key, value)| (key, Value::from(value)));
        let time = ("time".to_owned(), Value::from(self.time_ms));
        std::iter::once(time).chain(tags).chain(self.fields).collect()
    }
}

/// Flux gives one record per field; a point is those with the same time and tags.
fn points(records: Vec<FluxRecord>) -> Vec<Point> {
    let mut points: BTreeMap<(i64, BTreeMap<String, String>), BTreeMap<String, Value>> = BTreeMap::new();
    for FluxRecord { values, .. } in records {
        let FluxValue::TimeRFC(time) = values["_time"] else { panic!("no time: {values:?}") };
        let field = values["_field"].string().expect("a field has a name");
        // `_start`, `_stop` and `_measurement` are of the question, `result` and `table` of the answer.
        let is_tag = |key: &str| !key.starts_with('_') && key != "result" && key != "table";
        let tags = values.iter().filter(|(key, _)| is_tag(key));
        let tags = tags.map(|(key, value)| (key.clone(), value.string().expect("tags are text"))).collect();
        let value = match &values["_value"] {
            FluxValue::Long(value) => Value::from(*value),
            FluxValue::UnsignedLong(value) => Value::from(*value),
            FluxValue::Double(value) => Value::from(value.into_inner()),
            FluxValue::Bool(value) => Value::from(*value),
            FluxValue::String(value) => Value::from(value.as_str()),
            other => panic!("a field is a number, a text or a boolean: {other:?}"),
        };
        points.entry((time.timestamp_millis(), tags)).or_default().insert(field, value);
    }
    let point = |((time_ms, tags), fields)| Point { time_ms, tags, fields };
    points.into_iter().map(point).collect()
}

/// Text in Flux.
fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_literal_or_begin_an_interpolation() {
        assert_eq!(literal(r#"a"b\c${d}$e"#), r#""a\"b\\c\${d}$e""#);
    }
}
