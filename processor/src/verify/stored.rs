//! Points as InfluxDB holds them, read by time ranges.

use processor_core::Resolution;
use processor_core::schema::Measurement;
use serde_json::Value;

use super::compare::{Field, Store, Stored};
use crate::influx::{Client, QueryError, Series, database_of};

/// The three buckets.
#[derive(Debug)]
pub(super) struct Buckets<'a> {
    pub(super) client: &'a Client,
}

/// Why points cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {measurement} of bucket {bucket}")]
pub struct ReadError {
    bucket: String,
    measurement: &'static str,
    #[source]
    source: QueryError,
}

impl Store for Buckets<'_> {
    type Error = ReadError;

    fn read(
        &mut self,
        resolution: usize,
        of: &'static Measurement,
        from: i64,
        until: i64,
    ) -> Result<Vec<Stored>, ReadError> {
        let bucket = self.client.config().bucket(Resolution::ALL[resolution]).name;
        let (database, policy) = database_of(&bucket);
        let quoted = |name: &str| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        let query = format!(
            "SELECT * FROM {}.{}.{} WHERE time >= {from}u AND time < {until}u",
            quoted(database),
            quoted(policy),
            quoted(of.name),
        );
        let answer = self.client.query(&query);
        let series = answer.map_err(|source| ReadError { bucket, measurement: of.name, source })?;
        Ok(series.iter().flat_map(|series| rows(series, of)).collect())
    }
}

fn rows<'s>(series: &'s Series, of: &'static Measurement) -> impl Iterator<Item = Stored> + 's {
    let column = |name: &str| series.columns.iter().position(|column| column == name);
    let time = column("time");
    let tags: Vec<Option<usize>> = of.tags.iter().map(|tag| column(tag)).collect();
    let fields: Vec<Option<usize>> = of.fields.iter().map(|(field, _)| column(field)).collect();
    series.values.iter().map(move |row| {
        let at = |column: Option<usize>| column.and_then(|column| row.get(column));
        Stored {
            // The client asks for milliseconds, which every window starts at.
            time: at(time).and_then(Value::as_i64).unwrap_or(i64::MIN).saturating_mul(1_000),
            tags: tags
                .iter()
                .map(|tag| at(*tag).and_then(Value::as_str).unwrap_or_default().to_owned())
                .collect(),
            fields: fields.iter().map(|field| at(*field).and_then(self::field)).collect(),
        }
    })
}

fn field(value: &Value) -> Option<Field> {
    match value {
        Value::Number(number) => {
            number.as_i64().map(Field::Integer).or_else(|| number.as_f64().map(Field::Float))
        }
        Value::String(text) => Some(Field::Text(text.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use processor_core::schema;
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_found_by_name_and_what_a_point_lacks_is_nothing() {
        let series = Series {
            name: "http_status".to_owned(),
            tags: Default::default(),
            columns: ["time", "instance", "requests", "status"].map(str::to_owned).to_vec(),
            values: vec![vec![json!(1_700_000_000_000_i64), json!("a"), json!(7), json!("200")]],
        };
        let stored: Vec<Stored> = rows(&series, &schema::HTTP_STATUS).collect();
        let expected = Stored {
            time: 1_700_000_000_000_000,
            tags: vec!["200".to_owned()],
            fields: vec![Some(Field::Integer(7)), None],
        };
        assert_eq!(stored, [expected]);
    }
}
