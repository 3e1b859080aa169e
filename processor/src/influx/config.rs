use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use processor_core::Resolution;
use ureq::http::{HeaderValue, Uri};

use super::line::Precision;
use super::retry::{Pause, RealPause, random_seed};

/// Where points go: the section `[influxdb]` as plain values.
#[derive(Clone, PartialEq, Eq)]
pub struct InfluxConfig {
    /// Base address, `http://` or `https://`; a path in front of `/api/v2` is kept.
    pub url: String,
    /// Organisation, by name.
    pub org: String,
    /// API token; never printed.
    pub token: String,
    /// Bucket of the configured window size.
    pub bucket: String,
    /// Bucket of one-minute windows.
    pub rollup_1m: String,
    /// Bucket of one-hour windows.
    pub rollup_1h: String,
}

impl fmt::Debug for InfluxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InfluxConfig")
            .field("url", &self.url)
            .field("org", &self.org)
            .field("token", &"***")
            .field("bucket", &self.bucket)
            .field("rollup_1m", &self.rollup_1m)
            .field("rollup_1h", &self.rollup_1h)
            .finish()
    }
}

/// The bucket of a resolution, with the setting that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The setting it comes from.
    pub setting: &'static str,
    /// Unit of the timestamps written to it.
    pub precision: Precision,
}

impl InfluxConfig {
    /// The bucket that points of `resolution` go to.
    ///
    /// The raw bucket takes milliseconds, as a window may be shorter than a second and marks of incidents are exact;
    /// whole minutes and hours need seconds only.
    #[must_use]
    pub fn bucket(&self, resolution: Resolution) -> Bucket {
        let (name, setting, precision) = match resolution {
            Resolution::Raw => (&self.bucket, "influxdb.bucket", Precision::Millis),
            Resolution::Minute => (&self.rollup_1m, "influxdb.rollup_1m", Precision::Seconds),
            Resolution::Hour => (&self.rollup_1h, "influxdb.rollup_1h", Precision::Seconds),
        };
        Bucket { name: name.clone(), setting, precision }
    }

    /// Checks what can be checked without a server.
    ///
    /// # Errors
    /// [`ConfigError`], naming the setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |setting, problem: &str| Err(ConfigError { setting, problem: problem.to_owned() });
        let Ok(uri) = self.url.parse::<Uri>() else {
            return wrong("influxdb.url", "not an address");
        };
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return wrong("influxdb.url", "must begin with http:// or https://");
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return wrong(
                "influxdb.url",
                "must not hold a user or password: the token goes to influxdb.token",
            );
        }
        if uri.query().is_some() {
            return wrong("influxdb.url", "must not have a query string");
        }
        let names = [("influxdb.org", &self.org), ("influxdb.token", &self.token)];
        let buckets = Resolution::ALL.map(|resolution| self.bucket(resolution));
        let buckets = buckets.iter().map(|bucket| (bucket.setting, &bucket.name));
        for (setting, value) in names.into_iter().chain(buckets) {
            if value.trim().is_empty() {
                return wrong(setting, "must not be empty");
            }
        }
        if HeaderValue::from_str(self.token.trim()).is_err() {
            return wrong("influxdb.token", "has a character that cannot be sent");
        }
        Ok(())
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct ConfigError {
    /// The setting.
    pub setting: &'static str,
    /// What is wrong with its value.
    pub problem: String,
}

/// Most lines in a request: what the vendor advises.
pub const REQUEST_LINES_MAX: usize = 5_000;
/// Most bytes of line protocol in a request, before compression; a single longer line still goes, alone.
pub const REQUEST_BYTES_MAX: usize = 1_000_000;
/// Longest time to establish a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for a request. Above InfluxDB's own limit for a write (10 s), so that a request given up on is over on
/// the server's side too and cannot overwrite a newer value later.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long InfluxDB may go on with a write that it has received: its own limit.
pub const SERVER_WRITE_TIME: Duration = Duration::from_secs(10);

/// How much longer points are this process's to write.
pub type TimeLeft = Arc<dyn Fn() -> Duration + Send + Sync>;

/// What only tests, unusual networks and the runtime change.
#[derive(Clone)]
pub struct Tuning {
    /// Asked right before a request: with less than [`SERVER_WRITE_TIME`] left nothing is sent, as the points may by
    /// then be another instance's, whose newer values they would replace. By default for ever.
    pub time_left: TimeLeft,
    /// See [`REQUEST_LINES_MAX`].
    pub lines_max: usize,
    /// See [`REQUEST_BYTES_MAX`].
    pub bytes_max: usize,
    /// See [`CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// See [`REQUEST_TIMEOUT`].
    pub request_timeout: Duration,
    /// Waits between attempts.
    pub pause: Arc<dyn Pause>,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            time_left: Arc::new(|| Duration::MAX),
            lines_max: REQUEST_LINES_MAX,
            bytes_max: REQUEST_BYTES_MAX,
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            pause: Arc::new(RealPause),
            seed: random_seed(),
        }
    }
}

impl fmt::Debug for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tuning").field("lines_max", &self.lines_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests;
