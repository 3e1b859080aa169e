//! `[state]`: where snapshots of the state are kept.

use std::path::PathBuf;
use std::time::Duration;

use super::count;
use super::reader::Reader;
use super::secret::{self, Secret};

/// Snapshots of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSettings {
    /// Where they are kept.
    pub place: StatePlace,
    /// Time between two snapshots of a task.
    pub interval: Duration,
    /// How many are kept per task, 1 to 100.
    pub keep: usize,
}

/// Where snapshots are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatePlace {
    /// A folder; may be relative to the working directory, and need not exist.
    Folder(PathBuf),
    /// A bucket of a service that speaks the S3 API.
    S3(S3Settings),
}

/// A bucket and how to reach it. What is `None` comes from the usual `AWS_…` variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// In front of every name, without slashes at its ends; may be empty.
    pub prefix: String,
    /// `http://…` or `https://…`.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: Option<String>,
    /// The key's name and the key.
    pub key: Option<(String, Secret)>,
    /// Whether requests may go unencrypted.
    pub allow_http: bool,
}

/// Keys that mean something only where the URL is `s3://…`.
const S3_KEYS: [&str; 6] = [
    "state.region",
    "state.endpoint",
    "state.allow_http",
    "state.access_key_id",
    "state.secret_access_key",
    "state.secret_access_key_file",
];

/// How a URL can be written, for whoever wrote it otherwise.
const URL_CURE: &str = r#"write a folder such as "/var/lib/clickpulse" or "file:///var/lib/clickpulse", or "s3://bucket/prefix""#;

impl StateSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let url = reader.text("state.url");
        let s3 = S3Settings::read(reader, &url);
        let place = if url.starts_with("s3://") {
            StatePlace::S3(s3)
        } else {
            for key in S3_KEYS.into_iter().filter(|key| reader.has(key)).collect::<Vec<_>>() {
                reader
                    .problem(key, r#"is for S3 only; leave it out, or set state.url = "s3://bucket/prefix""#);
            }
            StatePlace::Folder(read_folder(reader, &url))
        };
        Self { place, interval: reader.duration("state.interval"), keep: count(reader.integer("state.keep")) }
    }
}

impl S3Settings {
    /// Reads every key, so that each is checked whatever the URL is; the URL's own problems only where it is S3's.
    fn read(reader: &mut Reader<'_>, url: &str) -> Self {
        let (bucket, prefix) = read_bucket(reader, url);
        let allow_http = reader.bool("state.allow_http");
        let endpoint = reader.optional_text("state.endpoint");
        if let Some(endpoint) = &endpoint {
            check_endpoint(reader, endpoint, allow_http);
        }
        let id = reader.optional_text("state.access_key_id");
        let secret =
            secret::read(reader, "state.secret_access_key", "state.secret_access_key_file", |_| None);
        let said = reader.has("state.secret_access_key") || reader.has("state.secret_access_key_file");
        let key = match (id, secret) {
            (Some(id), Some(secret)) => Some((id.trim().to_owned(), secret)),
            (Some(_), None) if !said => {
                reader.problem("state.access_key_id", "needs its key: set state.secret_access_key_file");
                None
            }
            (None, Some(_)) => {
                let key = if reader.has("state.secret_access_key") {
                    "state.secret_access_key"
                } else {
                    "state.secret_access_key_file"
                };
                reader.problem(key, "needs the key's name: set state.access_key_id");
                None
            }
            _ => None,
        };
        let endpoint = endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned());
        Self { bucket, prefix, endpoint, region: reader.optional_text("state.region"), key, allow_http }
    }
}

fn read_bucket(reader: &mut Reader<'_>, url: &str) -> (String, String) {
    let Some(rest) = url.strip_prefix("s3://") else { return (String::new(), String::new()) };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(fits) {
        let rule = "3 to 63 lower-case letters, digits, hyphens and dots";
        reader.problem("state.url", format!("= {url:?} names no bucket ({rule}); {URL_CURE}"));
    } else if prefix.contains(['?', '#', '%']) || prefix.split('/').any(|part| matches!(part, "." | "..")) {
        let text = format!("= {url:?} holds more than a bucket and a prefix; {URL_CURE}");
        reader.problem("state.url", text);
    }
    (bucket.to_owned(), prefix.trim_matches('/').to_owned())
}

fn read_folder(reader: &mut Reader<'_>, url: &str) -> PathBuf {
    if let Some(path) = url.strip_prefix("file://") {
        if !path.starts_with('/') {
            let text = format!("= {url:?} has to have three slashes and a path from the root; {URL_CURE}");
            reader.problem("state.url", text);
        } else if path.contains('%') {
            let text = format!("= {url:?} is encoded; write the folder as a plain path, without file://");
            reader.problem("state.url", text);
        }
        return path.into();
    }
    if let Some((scheme, _)) = url.split_once(':')
        && scheme.len() > 1
        && scheme.chars().all(|c| c.is_ascii_alphanumeric())
    {
        reader.problem("state.url", format!("= {url:?} is neither a folder nor a bucket; {URL_CURE}"));
    }
    url.into()
}

fn check_endpoint(reader: &mut Reader<'_>, endpoint: &str, allow_http: bool) {
    let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    if host.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
        let text =
            format!(r#"= {endpoint:?} is not an address; write for example "https://minio.example:9000""#);
        reader.problem("state.endpoint", text);
    } else if host.is_some_and(|host| host.contains('@')) || endpoint.contains(['?', '#']) {
        reader.problem("state.endpoint", "holds more than an address; the key goes to state.access_key_id");
    } else if endpoint.starts_with("http://") && !allow_http {
        let text = format!("= {endpoint:?} is unencrypted; use https://, or set state.allow_http = true");
        reader.problem("state.endpoint", text);
    }
}

#[cfg(test)]
mod tests;
