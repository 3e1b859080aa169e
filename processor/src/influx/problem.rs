use std::fmt;

use super::config::{Bucket, InfluxConfig};
use super::outcome::{WriteOutcome, shorten};

/// Why writing cannot go on, for a person: what is wrong, in which setting, and the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, naming the setting.
    pub what: String,
    /// What to do.
    pub cure: String,
    /// Whether it needs a person: a setting is wrong. Otherwise it passes by itself.
    pub needs_hand: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.cure)
    }
}

impl Problem {
    /// What an outcome means for a writer with `config`; `None` for outcomes that concern lines rather than the
    /// target: those that wrote something, [`WriteOutcome::BadLine`] and [`WriteOutcome::TooLarge`].
    #[must_use]
    pub fn of(outcome: &WriteOutcome, config: &InfluxConfig, bucket: &Bucket) -> Option<Self> {
        let InfluxConfig { url, org, .. } = config;
        let Bucket { name, setting, .. } = bucket;
        let wrong_setting = |what: String, cure: String| Self { what, cure, needs_hand: true };
        let passing = |what: String, cure: &str| Self { what, cure: cure.to_owned(), needs_hand: false };
        Some(match outcome {
            WriteOutcome::Ok
            | WriteOutcome::Partial { .. }
            | WriteOutcome::BadLine { .. }
            | WriteOutcome::TooLarge => return None,
            WriteOutcome::Unauthorized { message } => wrong_setting(
                format!("influxdb.token is refused by {url} (401: {})", shorten(message)),
                "set influxdb.token or influxdb.token_file to a token that exists there".to_owned(),
            ),
            WriteOutcome::Forbidden { message } => wrong_setting(
                format!(
                    "influxdb.token may not write {setting} = {name:?} at {url} (403: {})",
                    shorten(message)
                ),
                "give the token write permission for this bucket, or set influxdb.token to one that has it"
                    .to_owned(),
            ),
            WriteOutcome::NotFound { message } if message.starts_with("organization") => wrong_setting(
                format!("influxdb.org = {org:?} does not exist at {url} (404: {})", shorten(message)),
                "set influxdb.org to the organisation's name".to_owned(),
            ),
            WriteOutcome::NotFound { message } if message.starts_with("bucket") => wrong_setting(
                format!("{setting} = {name:?} does not exist at {url} (404: {})", shorten(message)),
                format!("create it (influx bucket create --org {org} --name {name}) or set {setting}"),
            ),
            WriteOutcome::NotFound { message } => wrong_setting(
                format!("influxdb.url = {url} has no InfluxDB 2.x write API (404: {})", shorten(message)),
                "set influxdb.url to the address without /api/v2".to_owned(),
            ),
            WriteOutcome::Unexpected { status, message } => wrong_setting(
                format!("influxdb.url = {url} answers a write with {status} ({})", shorten(message)),
                "set influxdb.url to InfluxDB itself, and look at what stands between".to_owned(),
            ),
            WriteOutcome::Busy { status, retry_after } => {
                let asked =
                    retry_after.map(|wait| format!(", asks for {} s", wait.as_secs())).unwrap_or_default();
                passing(format!("influxdb at {url} is busy ({status}{asked})"), "it is asked again by itself")
            }
            WriteOutcome::Server { status, message } => passing(
                format!("influxdb at {url} fails ({status}: {})", shorten(message)),
                "it is asked again by itself; its log says more",
            ),
            WriteOutcome::Transport(error) => passing(
                format!("influxdb at {url} does not answer ({error})"),
                "start it or correct influxdb.url; it is asked again by itself",
            ),
        })
    }

    /// The problem where it is not certain that the points are still this instance's to write.
    #[must_use]
    pub fn membership_unconfirmed(config: &InfluxConfig) -> Self {
        Self {
            what: format!(
                "nothing is written to influxdb at {}: kafka has not confirmed lately that this instance is a \
                           member of its group, so another one may write by now",
                config.url
            ),
            cure: "it goes on by itself once kafka answers".to_owned(),
            needs_hand: false,
        }
    }

    /// The problem where even a write without lines is answered with 400: the request itself is wrong.
    #[must_use]
    pub fn empty_write_refused(message: &str, config: &InfluxConfig) -> Self {
        Self {
            what: format!("influxdb.url = {} refuses any write (400: {})", config.url, shorten(message)),
            cure: "set influxdb.url to an InfluxDB 2.x".to_owned(),
            needs_hand: true,
        }
    }
}

#[cfg(test)]
mod tests;
