use std::io::{Read as _, Write as _};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::{Agent, Body};

use super::config::{Bucket, ConfigError, InfluxConfig, Tuning};
use super::outcome::{Answer, WriteOutcome, message, shorten};

/// Most bytes read of an answer that is not a query's.
const ANSWER_BYTES_MAX: u64 = 256 << 10;
/// Most bytes read of a query's answer.
const QUERY_BYTES_MAX: u64 = 256 << 20;

/// Speaks HTTP with one InfluxDB 2.x; blocking, and it tries once: repeating is the writer's part.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    config: InfluxConfig,
    authorization: String,
    base: String,
}

/// What `/health` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `pass` where it is ready.
    pub status: String,
    /// The version it reports, `2.9.1`.
    pub version: String,
    /// Its own words.
    pub message: String,
}

/// A series of a query's result.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct Series {
    /// The measurement.
    #[serde(default)]
    pub name: String,
    /// Values of `GROUP BY` tags.
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
    /// Column names, `time` (milliseconds since the epoch) first.
    pub columns: Vec<String>,
    /// Rows.
    #[serde(default)]
    pub values: Vec<Vec<serde_json::Value>>,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No answer.
    #[error("{url} does not answer")]
    Transport {
        /// The address.
        url: String,
        /// The cause.
        #[source]
        source: Box<ureq::Error>,
    },
    /// An answer other than success.
    #[error("influxdb answers {status}: {message}")]
    Refused {
        /// HTTP status; 200 where a statement of the query failed.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// An answer that is not what the API promises.
    #[error("influxdb's answer cannot be read")]
    Malformed(#[source] serde_json::Error),
}

impl Client {
    /// A client for `config`; does not connect.
    ///
    /// # Errors
    /// [`ConfigError`], naming the setting.
    pub fn new(config: &InfluxConfig, tuning: &Tuning) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(tuning.connect_timeout))
            .timeout_global(Some(tuning.request_timeout))
            .user_agent(concat!("clickpulse/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&config.url) {
            // A proxy from the environment cannot reach this machine's loopback.
            builder = builder.proxy(None);
        }
        Ok(Self {
            agent: Agent::new_with_config(builder.build()),
            authorization: format!("Token {}", config.token.trim()),
            base: config.url.trim_end_matches('/').to_owned(),
            config: config.clone(),
        })
    }

    /// What it was made from.
    #[must_use]
    pub const fn config(&self) -> &InfluxConfig {
        &self.config
    }

    /// Writes lines (each ended by a newline) to a bucket, compressed.
    ///
    /// No lines at all is a request that InfluxDB answers like any other but that leaves nothing behind: it tells
    /// whether address, token, organisation and bucket are right.
    #[must_use]
    pub fn write(&self, bucket: &Bucket, lines: &[u8]) -> WriteOutcome {
        let url = format!(
            "{}/api/v2/write?org={}&bucket={}&precision={}",
            self.base,
            encode_query(&self.config.org),
            encode_query(&bucket.name),
            bucket.precision.as_str(),
        );
        let request = self
            .agent
            .post(url)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
        let sent = if lines.is_empty() {
            request.send_empty()
        } else {
            request.header(header::CONTENT_ENCODING, "gzip").send(gzip(lines))
        };
        match sent {
            Ok(response) => read_outcome(response),
            Err(error) => WriteOutcome::Transport(describe(&error)),
        }
    }

    /// Asks `/health`, which needs no token.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn health(&self) -> Result<Health, QueryError> {
        #[derive(serde::Deserialize)]
        struct Wire {
            #[serde(default)]
            status: String,
            #[serde(default)]
            version: String,
            #[serde(default)]
            message: String,
        }
        let response = self.agent.get(format!("{}/health", self.base)).call();
        let body = self.read_answer(response, ANSWER_BYTES_MAX)?;
        let Wire { status, version, message } = serde_json::from_str(&body).map_err(QueryError::Malformed)?;
        Ok(Health { status, version, message })
    }

    /// Runs `InfluxQL` through 2.x's compatibility endpoint; the raw bucket is the default database and retention
    /// policy. Returns the series of all statements; times are milliseconds since the epoch.
    ///
    /// # Errors
    /// [`QueryError`]; a failing statement is one too.
    pub fn query(&self, influxql: &str) -> Result<Vec<Series>, QueryError> {
        #[derive(serde::Deserialize)]
        struct Wire {
            #[serde(default)]
            results: Vec<Statement>,
        }
        #[derive(serde::Deserialize)]
        struct Statement {
            #[serde(default)]
            series: Vec<Series>,
            error: Option<String>,
        }
        let (database, retention_policy) = database_of(&self.config.bucket);
        let url = format!(
            "{}/query?db={}&rp={}&epoch=ms",
            self.base,
            encode_query(database),
            encode_query(retention_policy)
        );
        let response = self
            .agent
            .post(url)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .send(format!("q={}", encode_query(influxql)));
        let body = self.read_answer(response, QUERY_BYTES_MAX)?;
        let wire: Wire = serde_json::from_str(&body).map_err(QueryError::Malformed)?;
        let mut series = Vec::new();
        for statement in wire.results {
            if let Some(message) = statement.error {
                return Err(QueryError::Refused { status: 200, message });
            }
            series.extend(statement.series);
        }
        Ok(series)
    }

    /// How long a bucket keeps points; `None`: for ever.
    ///
    /// # Errors
    /// [`QueryError`]; [`QueryError::Refused`] with 404 where the token may not read the bucket or there is none.
    pub fn retention(&self, bucket: &str) -> Result<Option<Duration>, QueryError> {
        #[derive(serde::Deserialize)]
        struct Wire {
            #[serde(default)]
            buckets: Vec<Found>,
        }
        #[derive(serde::Deserialize)]
        struct Found {
            name: String,
            #[serde(default, rename = "retentionRules")]
            rules: Vec<Rule>,
        }
        #[derive(serde::Deserialize)]
        struct Rule {
            #[serde(default, rename = "everySeconds")]
            seconds: u64,
        }
        let url = format!(
            "{}/api/v2/buckets?org={}&name={}",
            self.base,
            encode_query(&self.config.org),
            encode_query(bucket)
        );
        let response = self.agent.get(url).header(header::AUTHORIZATION, &self.authorization).call();
        let body = self.read_answer(response, ANSWER_BYTES_MAX)?;
        let wire: Wire = serde_json::from_str(&body).map_err(QueryError::Malformed)?;
        let Some(found) = wire.buckets.into_iter().find(|found| found.name == bucket) else {
            let message = format!("there is no bucket {bucket:?} that this token may read");
            return Err(QueryError::Refused { status: 404, message });
        };
        let kept = found.rules.iter().map(|rule| rule.seconds).filter(|seconds| *seconds > 0).min();
        Ok(kept.map(Duration::from_secs))
    }

    fn read_answer(
        &self,
        response: Result<Response<Body>, ureq::Error>,
        bytes_max: u64,
    ) -> Result<String, QueryError> {
        let transport = |source| QueryError::Transport { url: self.base.clone(), source: Box::new(source) };
        let mut response = response.map_err(transport)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(bytes_max).lossy_utf8(true).read_to_string();
        let body = body.map_err(transport)?;
        if status != 200 {
            return Err(QueryError::Refused { status, message: shorten(&message(&body)).to_owned() });
        }
        Ok(body)
    }
}

/// A bucket's database and retention policy for `InfluxQL`, by 2.x's virtual mapping: `a/b` is `"a"."b"`.
#[must_use]
pub fn database_of(bucket: &str) -> (&str, &str) {
    bucket.split_once('/').unwrap_or((bucket, "autogen"))
}

fn read_outcome(response: Response<Body>) -> WriteOutcome {
    let (parts, body) = response.into_parts();
    let mut text = Vec::new();
    // Read to the end, or the connection is not used again. A body cut short still has a status to go by.
    let _ = body.into_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut text);
    let answer = Answer {
        status: parts.status.as_u16(),
        retry_after: header_text(&parts.headers, header::RETRY_AFTER),
        location: header_text(&parts.headers, header::LOCATION),
        body: &String::from_utf8_lossy(&text),
    };
    WriteOutcome::of(answer, SystemTime::now())
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Level 1: 5.7 times smaller in a tenth of the time of level 6, which gets 7.8.
fn gzip(lines: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(lines.len() / 4), Compression::fast());
    encoder.write_all(lines).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

/// The error with its causes, on one line.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(crate) fn is_loopback(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn encode_query(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
