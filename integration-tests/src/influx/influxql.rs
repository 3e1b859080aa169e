//! InfluxQL, in which dashboards and alert rules ask. `influxdb2` asks in Flux only.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Influx;
use crate::http::{AGENT, Reply};

/// One series of an InfluxQL answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Series {
    /// The measurement.
    #[serde(default)]
    pub name: String,
    /// Values of the tags grouped by.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Names of the columns, `time` first.
    pub columns: Vec<String>,
    /// Rows; times are milliseconds since the epoch.
    #[serde(default)]
    pub values: Vec<Vec<Value>>,
}

impl Influx {
    /// Runs an InfluxQL query on a bucket.
    ///
    /// # Panics
    /// If the server refuses the query.
    #[must_use]
    pub fn query(&self, bucket: &str, influxql: &str) -> Vec<Series> {
        self.try_query(bucket, influxql).unwrap_or_else(|error| panic!("{influxql}: {error}"))
    }

    /// Runs an InfluxQL query on a bucket.
    ///
    /// # Errors
    /// What the server says against it.
    pub fn try_query(&self, bucket: &str, influxql: &str) -> Result<Vec<Series>, String> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            results: Vec<Statement>,
            error: Option<String>,
        }
        #[derive(Deserialize)]
        struct Statement {
            #[serde(default)]
            series: Vec<Series>,
            error: Option<String>,
        }

        let (database, policy) = bucket.split_once('/').expect("a bucket is database/policy");
        let response = AGENT
            .get(format!("{}/query", self.url))
            .header("Authorization", format!("Token {}", self.admin_token))
            .query("db", database)
            .query("rp", policy)
            .query("epoch", "ms")
            .query("q", influxql)
            .call()
            .map_err(|error| error.to_string())?;
        let reply = Reply::read(response)?;
        let answer: Answer = serde_json::from_str(&reply.body)
            .map_err(|error| format!("status {}: {}: {error}", reply.status, reply.body))?;
        let failed = answer.error.or_else(|| answer.results.iter().find_map(|it| it.error.clone()));
        match failed {
            Some(error) => Err(error),
            None => Ok(answer.results.into_iter().flat_map(|it| it.series).collect()),
        }
    }
}
