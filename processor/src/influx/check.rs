use std::fmt;

use processor_core::Resolution;

use super::client::{Client, Health};
use super::outcome::WriteOutcome;
use super::problem::Problem;

/// One thing looked at, for `processor check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckLine {
    /// What was looked at: a setting and its value.
    pub what: String,
    /// Whether it is right.
    pub ok: bool,
    /// What was found, and the cure where it is wrong.
    pub verdict: String,
}

impl fmt::Display for CheckLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.ok { "ok" } else { "FAILED" };
        write!(f, "{mark:<6}  {}: {}", self.what, self.verdict)
    }
}

/// Looks whether an InfluxDB answers at the address, and whether each bucket can be written with the token. Leaves
/// nothing behind: it writes no lines, which InfluxDB answers like any other write.
#[must_use]
pub fn check(client: &Client) -> Vec<CheckLine> {
    let config = client.config();
    let what = format!("influxdb.url = {}", config.url);
    let mut lines = vec![match client.health() {
        Ok(Health { status, version, .. }) if status == "pass" => {
            CheckLine { what, ok: true, verdict: format!("InfluxDB {version} is ready") }
        }
        Ok(Health { status, message, .. }) => {
            let verdict = format!("not ready ({status}: {message}); look into its log");
            CheckLine { what, ok: false, verdict }
        }
        Err(error) => {
            let verdict =
                format!("{}; start InfluxDB or correct influxdb.url", super::client::describe(&error));
            // The buckets would say the same three times more.
            return vec![CheckLine { what, ok: false, verdict }];
        }
    }];
    for resolution in Resolution::ALL {
        let bucket = config.bucket(resolution);
        let what = format!("{} = {:?}", bucket.setting, bucket.name);
        let outcome = client.write(&bucket, b"");
        let problem = match &outcome {
            WriteOutcome::BadLine { message } => Some(Problem::empty_write_refused(message, config)),
            outcome => Problem::of(outcome, config, &bucket),
        };
        lines.push(match problem {
            None => CheckLine { what, ok: true, verdict: format!("can be written, org {:?}", config.org) },
            Some(problem) => CheckLine { what, ok: false, verdict: problem.to_string() },
        });
    }
    lines
}
