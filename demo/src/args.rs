//! The flags, and what they come to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use processor::settings::{Settings, SettingsError, Sources};
use producer::cli::values::{duration, rate};
use producer::{Disorder, ShopperSettings};

use crate::broker;

/// Out of order, too late, twice or not valid: enough of each to be seen on the page, as in real streams.
const OUT_OF_ORDER: f64 = 0.03;
const LATE: f64 = 0.001;
const DUPLICATES: f64 = 0.005;
const INVALID: f64 = 0.002;

/// Clickpulse in one process: shoppers, an embedded Kafka, the processor and a live page. No service is needed
#[derive(Debug, Clone, Parser)]
#[command(name = "demo", version)]
pub struct Args {
    /// Events per second (2000, 20_000, 20k)
    #[arg(long, default_value = "2000", value_parser = rate)]
    rate: f64,
    /// How many different shoppers there are
    #[arg(long, default_value_t = ShopperSettings::default().users, value_parser = clap::value_parser!(u32).range(1..))]
    users: u32,
    /// How many products the shop sells
    #[arg(long, default_value_t = ShopperSettings::default().products, value_parser = clap::value_parser!(u32).range(1..))]
    products: u32,
    /// The same seed gives the same shoppers
    #[arg(long, default_value_t = ShopperSettings::default().seed)]
    seed: u64,
    /// End by itself after this time: 90s, 10m, 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// Where the page is served; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8088")]
    listen: SocketAddr,

    /// Folder for the results as line protocol and JSON lines [default: clickpulse-out, with --influx-url none]
    #[arg(long, value_name = "DIR", help_heading = "Results", conflicts_with = "no_files")]
    out: Option<PathBuf>,
    /// Show results on the page only
    #[arg(long, help_heading = "Results")]
    no_files: bool,
    /// Write to this InfluxDB 2.x instead of files: http://127.0.0.1:8086
    #[arg(long, value_name = "URL", help_heading = "Results")]
    influx_url: Option<String>,
    /// Its organisation
    #[arg(long, value_name = "ORG", help_heading = "Results", requires = "influx_url")]
    influx_org: Option<String>,
    /// File that holds an API token with write access to the clickstream/… buckets
    #[arg(long, value_name = "FILE", help_heading = "Results", requires = "influx_url")]
    influx_token_file: Option<PathBuf>,
    /// The token itself (others on this machine can see it; prefer the file)
    #[arg(
        long,
        value_name = "TOKEN",
        help_heading = "Results",
        requires = "influx_url",
        conflicts_with = "influx_token_file"
    )]
    influx_token: Option<String>,
}

/// What is to be done, checked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The processor's settings, but for the broker, whose address is known only once it runs.
    pub settings: Settings,
    pub(crate) shoppers: ShopperSettings,
    pub(crate) disorder: Disorder,
    pub(crate) rate: f64,
    pub(crate) duration: Option<Duration>,
    pub(crate) partitions: i32,
}

impl Args {
    /// Checks everything that can be checked before something is started. `CLICKPULSE__…` variables are read as the
    /// processor reads them; flags go before them.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem there is.
    pub fn plan(self) -> Result<Plan, SettingsError> {
        let settings = Settings::load(&Sources { flags: self.flags(), ..Sources::default() })?;
        let windows = &settings.windows;
        let disorder = Disorder {
            out_of_order: OUT_OF_ORDER,
            late: LATE,
            duplicates: DUPLICATES,
            invalid: INVALID,
            out_of_orderness: windows.out_of_orderness,
            closes_after: windows.size + windows.allowed_lateness,
        };
        let shoppers = ShopperSettings {
            seed: self.seed,
            users: self.users,
            products: self.products,
            ..ShopperSettings::default()
        };
        let partitions = broker::partitions_for(self.rate);
        Ok(Plan { settings, shoppers, disorder, rate: self.rate, duration: self.duration, partitions })
    }

    fn flags(&self) -> Vec<(&'static str, String)> {
        let path = |path: &PathBuf| path.display().to_string();
        let mut flags = vec![("http.listen", self.listen.to_string())];
        let files = match (&self.out, &self.influx_url) {
            _ if self.no_files => None,
            (Some(dir), _) => Some(path(dir)),
            (None, Some(_)) => None,
            (None, None) => Some("clickpulse-out".to_owned()),
        };
        flags.extend(files.map(|dir| ("files.dir", dir)));
        flags.extend(self.influx_url.clone().map(|url| ("influxdb.url", url)));
        flags.extend(self.influx_org.clone().map(|org| ("influxdb.org", org)));
        flags.extend(self.influx_token_file.as_ref().map(|file| ("influxdb.token_file", path(file))));
        flags.extend(self.influx_token.clone().map(|token| ("influxdb.token", token)));
        if std::env::var_os("CLICKPULSE__LOG__LEVEL").is_none() {
            // The terminal belongs to the progress line; what goes wrong is worth interrupting it.
            // Where --no-files was asked for, that there are none is no news.
            let level = if self.no_files { "warn,processor::runtime::sinks=error" } else { "warn" };
            flags.push(("log.level", level.to_owned()));
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_go_to_files_unless_something_else_is_said() {
        let plan = |args: &[&str]| Args::parse_from([&["demo"], args].concat()).plan().unwrap().settings;
        let dir = |settings: &Settings| settings.files.as_ref().map(|files| files.dir.clone());
        assert_eq!(dir(&plan(&[])), Some("clickpulse-out".into()));
        assert_eq!(dir(&plan(&["--out", "there"])), Some("there".into()));
        assert_eq!(dir(&plan(&["--no-files"])), None);
        let influx = ["--influx-url", "http://127.0.0.1:8086", "--influx-token", "secret"];
        let settings = plan(&influx);
        assert_eq!(dir(&settings), None);
        let written = settings.influxdb.expect("InfluxDB is on");
        assert_eq!((written.url.as_str(), written.token.expose()), ("http://127.0.0.1:8086", "secret"));
        let both = plan(&[&influx[..], &["--out", "there"]].concat());
        assert!(both.influxdb.is_some() && dir(&both) == Some("there".into()));
    }

    #[test]
    fn an_influxdb_without_a_token_is_refused_before_anything_starts() {
        let args = Args::parse_from(["demo", "--influx-url", "http://127.0.0.1:8086"]);
        let error = args.plan().unwrap_err().to_string();
        assert!(error.contains("influxdb.token"), "{error}");
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        assert!(Args::try_parse_from(["demo", "--no-files", "--out", "there"]).is_err());
        assert!(Args::try_parse_from(["demo", "--influx-token", "x"]).is_err());
        assert!(Args::try_parse_from(["demo", "--rate", "fast"]).is_err());
    }
}
