//! InfluxDB's answer to an InfluxQL query.

use std::collections::BTreeMap;

use serde_json::Value;

/// One series of an answer: rows that share their tags.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The tags of `GROUP BY`, empty without one.
    pub labels: BTreeMap<String, String>,
    /// `time` first.
    pub columns: Vec<String>,
    /// One value per column.
    pub rows: Vec<Vec<Value>>,
}

impl Series {
    /// The numbers of the first column after `time`; `None` for null.
    pub fn numbers(&self) -> impl DoubleEndedIterator<Item = Option<f64>> + '_ {
        self.rows.iter().map(|row| row.get(1).and_then(Value::as_f64))
    }
}

/// Reads the body that `/query` answered with status 200.
///
/// # Errors
/// InfluxDB's own message, which comes inside a 200 for a statement that fails, or what is wrong with the body.
pub fn series_from_response(body: &Value) -> Result<Vec<Series>, String> {
    if let Some(error) = body.get("error").and_then(Value::as_str) {
        return Err(error.to_owned());
    }
    let results = body.get("results").and_then(Value::as_array).ok_or("the answer has no results")?;
    let mut all = Vec::new();
    for result in results {
        if let Some(error) = result.get("error").and_then(Value::as_str) {
            return Err(error.to_owned());
        }
        for series in result.get("series").and_then(Value::as_array).into_iter().flatten() {
            all.push(one_series(series)?);
        }
    }
    Ok(all)
}

fn one_series(series: &Value) -> Result<Series, String> {
    let texts = |key: &str| -> Option<Vec<String>> {
        series.get(key)?.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let labels = series.get("tags").and_then(Value::as_object).into_iter().flatten();
    let rows = series.get("values").and_then(Value::as_array).into_iter().flatten();
    Ok(Series {
        labels: labels
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        columns: texts("columns").ok_or("a series has no columns")?,
        rows: rows
            .map(|row| row.as_array().cloned().ok_or("a row is not a list"))
            .collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_become_labels_and_nulls_stay_apart() {
        let body = json!({"results": [{"statement_id": 0, "series": [
            {"name": "http", "tags": {"route": "/cart"}, "columns": ["time", "sum"], "values": [[1, 2], [2, null]]}
        ]}]});
        let series = series_from_response(&body).unwrap();
        assert_eq!(series[0].labels["route"], "/cart");
        assert_eq!(series[0].numbers().collect::<Vec<_>>(), [Some(2.0), None]);
    }

    #[test]
    fn no_rows_are_no_series_and_a_failed_statement_is_an_error() {
        assert_eq!(series_from_response(&json!({"results": [{"statement_id": 0}]})), Ok(Vec::new()));
        let failed = json!({"results": [{"statement_id": 0, "error": "no such function"}]});
        assert_eq!(series_from_response(&failed), Err("no such function".to_owned()));
    }
}
