use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::influx::Influx;
use crate::programs::{Processor, ProcessorConfig};

/// What `processor verify --json` says.
#[derive(Debug)]
pub struct Verdict {
    /// The exit code.
    pub code: i32,
    /// The document; null where it printed none.
    pub json: Value,
    /// Everything it printed.
    pub log: String,
}

impl Verdict {
    /// Runs `processor verify` for a processor of these settings, with further arguments, to its end.
    ///
    /// # Panics
    /// If it has not ended after three minutes.
    #[must_use]
    pub fn of(config: &ProcessorConfig, influx: &Influx, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let token = dir.path().join("token");
        fs::write(&token, influx.admin_token()).expect("a temporary file");
        let token = token.to_str().expect("a plain path");
        let all: Vec<&str> = ["--json", "--influx-token-file", token].iter().chain(args).copied().collect();
        let mut verify = Processor::spawn("verify", &config.to_toml(), config.http_port, &all);
        let code = verify.process.wait(Duration::from_secs(180));
        let log = verify.process.log();
        let document = log.lines().find(|line| line.starts_with('{'));
        let json = document.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        Self { code, json, log }
    }

    /// Fails unless it compared something and found no difference.
    ///
    /// # Panics
    /// With its text.
    pub fn assert_equal(&self) {
        assert_eq!(self.code, 0, "verify finds no difference; it said:\n{}", self.log);
        assert!(self.compared() > 0, "{}", self.log);
    }

    /// How many points and records were compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.json["compared"].as_u64().unwrap_or(0)
    }

    /// How many differences of a kind (`missing`, `different`, `unexpected`, `doubled`) there are in a measurement or
    /// topic, over all buckets.
    #[must_use]
    pub fn count(&self, kind: &str, what: &str) -> u64 {
        let rows = self.json["rows"].as_array().into_iter().flatten();
        let of = rows.filter(|row| row["what"] == what || row["place"] == what);
        of.filter_map(|row| row[kind].as_u64()).sum()
    }
}
