//! `[influxdb]` and `[files]`: where points go.

use std::path::PathBuf;

use super::reader::Reader;
use super::secret::{self, Secret};

/// The connection to InfluxDB 2.x, and its buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfluxSettings {
    /// `http://…` or `https://…`, without a slash at the end.
    pub url: String,
    /// Organisation.
    pub org: String,
    /// API token.
    pub token: Secret,
    /// Bucket of the finest windows.
    pub bucket: String,
    /// Bucket of the 1 minute windows.
    pub rollup_1m: String,
    /// Bucket of the 1 hour windows.
    pub rollup_1h: String,
}

/// Points as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSinkSettings {
    /// The folder.
    pub dir: PathBuf,
}

impl InfluxSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            url: read_url(reader),
            org: reader.text("influxdb.org"),
            token: read_token(reader),
            bucket: reader.text("influxdb.bucket"),
            rollup_1m: reader.text("influxdb.rollup_1m"),
            rollup_1h: reader.text("influxdb.rollup_1h"),
        }
    }
}

impl FileSinkSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self { dir: reader.text("files.dir").into() }
    }
}

fn read_url(reader: &mut Reader<'_>) -> String {
    let url = reader.text("influxdb.url");
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    if host.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
        let text = format!(r#"= {url:?} is not an address; write for example "http://127.0.0.1:8086""#);
        reader.problem("influxdb.url", text);
    } else if host.is_some_and(|host| host.contains('@')) || url.contains(['?', '#']) {
        reader.problem("influxdb.url", "holds more than an address; the token goes to influxdb.token_file");
    }
    url.trim_end_matches('/').to_owned()
}

fn read_token(reader: &mut Reader<'_>) -> Secret {
    let token = secret::read(reader, "influxdb.token", "influxdb.token_file", secret::influx_token);
    if token.is_none() && !reader.has("influxdb.token") && !reader.has("influxdb.token_file") {
        let text = "is missing; InfluxDB takes no writes without one. Set influxdb.token_file or CLICKPULSE__INFLUXDB__TOKEN";
        reader.problem("influxdb.token", text);
    }
    token.unwrap_or_else(|| Secret::new(""))
}
