//! The command line.

pub mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use events::Timestamp;

use crate::{
    Disorder, Error, Incident, IncidentKind, Incidents, KafkaSettings, Options, Output, Profile, Progress,
    Route, Shape, ShopperSettings, Shutdown, Summary, announce, run,
};
use values::{duration, property, rate, route, share, start_time};

/// Synthetic shoppers to Kafka: they arrive, browse, fill carts, check out, buy or leave.
#[derive(Debug, Parser)]
#[command(name = "producer", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send shoppers' events at a chosen rate until told to end (Ctrl-C flushes and says what was sent)
    Run(Box<RunArgs>),
    /// Let the shop of a running producer misbehave for a while, and mark it on the dashboards
    Incident(IncidentArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Topic the events go to
    #[arg(long, default_value = "clickstream_events")]
    topic: String,
    /// Partitions the topic gets if it does not exist; of one that exists they are left alone
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// Write each record as a line to standard output instead of Kafka
    #[arg(long)]
    stdout: bool,
    /// How records are encoded
    #[arg(long, default_value = "json")]
    format: Format,

    /// Records per second, from 1 to over 1,000,000 (underscores and k or m are fine: 20_000, 20k)
    #[arg(long, default_value = "1000", value_parser = rate, help_heading = "Pace")]
    rate: f64,
    /// End after exactly this many records, duplicates and invalid ones included
    #[arg(long, help_heading = "Pace")]
    count: Option<u64>,
    /// End after this time: 90s, 10m, 1h
    #[arg(long, value_parser = duration, help_heading = "Pace")]
    duration: Option<Duration>,
    /// How the rate changes over time
    #[arg(long, value_enum, default_value_t = Shape::Steady, help_heading = "Pace")]
    profile: Shape,
    /// How long one round of the profile takes
    #[arg(long, default_value = "60s", value_parser = duration, help_heading = "Pace")]
    period: Duration,
    /// Send as fast as possible, with event times as if at the rate; wants --count or --duration
    #[arg(long, help_heading = "Pace")]
    unpaced: bool,

    /// The same seed gives the same events (with --start-time: byte for byte)
    #[arg(long, default_value_t = ShopperSettings::default().seed, help_heading = "Shoppers")]
    seed: u64,
    /// How many different users there are
    #[arg(long, default_value_t = ShopperSettings::default().users, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Shoppers")]
    users: u32,
    /// How many products the shop sells; a few are bought often, most seldom
    #[arg(long, default_value_t = ShopperSettings::default().products, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Shoppers")]
    products: u32,
    /// Share of requests to an average route that end in a server error, 0 to 1
    #[arg(long, default_value_t = ShopperSettings::default().error_rate, value_parser = share, help_heading = "Shoppers")]
    error_rate: f64,
    /// Event time of the first record, as 2026-01-31T12:00:00Z or seconds since 1970 [default: event time is the
    /// time of sending]
    #[arg(long, value_parser = start_time, help_heading = "Shoppers")]
    start_time: Option<Timestamp>,

    /// Share of events sent after younger ones, yet in time for everything
    #[arg(long, default_value_t = 0.0, value_parser = share, help_heading = "Disorder")]
    out_of_order: f64,
    /// Share of events sent so late that every window is closed: minutes before their user's previous event
    #[arg(long, default_value_t = 0.0, value_parser = share, help_heading = "Disorder")]
    late: f64,
    /// Share of records that repeat an event sent a moment ago
    #[arg(long, default_value_t = 0.0, value_parser = share, help_heading = "Disorder")]
    duplicates: f64,
    /// Share of records that must be rejected, one reason after the other
    #[arg(long, default_value_t = 0.0, value_parser = share, help_heading = "Disorder")]
    invalid: f64,

    /// Write what an all-knowing observer would expect of the records sent, as JSON (keeps clicks and checkouts in
    /// memory until then)
    #[arg(long, value_name = "FILE", help_heading = "Truth")]
    truth: Option<PathBuf>,
    /// The processor's windows.size
    #[arg(long, default_value = "10s", value_parser = duration, help_heading = "Truth")]
    window: Duration,
    /// The processor's windows.allowed_lateness
    #[arg(long, default_value = "60s", value_parser = duration, help_heading = "Truth")]
    allowed_lateness: Duration,
    /// The processor's windows.out_of_orderness
    #[arg(long, default_value = "5s", value_parser = duration, help_heading = "Truth")]
    out_of_orderness: Duration,
}

#[derive(Args)]
struct KafkaArgs {
    /// Kafka's address as host:port, several with commas
    #[arg(long, default_value = "localhost:9092")]
    brokers: String,
    /// A setting passed to librdkafka (security.protocol=SASL_SSL, compression.type=lz4 …); may be repeated
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
    /// File that holds the password of SASL (others on this machine can see --property sasl.password=…)
    #[arg(long, value_name = "FILE")]
    sasl_password_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
}

#[derive(Debug, Args)]
struct IncidentArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// What goes wrong
    #[arg(long, value_enum)]
    kind: IncidentKind,
    /// Where, for error-spike and latency [default: every route]
    #[arg(long, value_parser = route)]
    route: Option<Route>,
    /// For how long
    #[arg(long = "for", default_value = "90s", value_parser = duration)]
    lasts: Duration,
}

impl Cli {
    /// Does what the command line says.
    #[must_use]
    pub fn execute(self, shutdown: &Shutdown) -> ExitCode {
        let result = match self.command {
            Command::Run(args) => args.run(shutdown),
            Command::Incident(args) => args.announce(),
        };
        result.unwrap_or_else(|error| {
            eprintln!("error: {}", chain(&error));
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        })
    }
}

impl RunArgs {
    fn run(self, shutdown: &Shutdown) -> Result<ExitCode, Error> {
        let Format::Json = self.format;
        let options = self.options()?;
        let destination = match &options.output {
            Output::Kafka(kafka) => format!("topic {} at {}", kafka.topic, kafka.brokers),
            Output::Stdout => "standard output".to_owned(),
        };
        tracing::info!("{} records/s to {destination}, seed {}", options.profile.rate, options.shoppers.seed);
        let summary = run(&options, shutdown, &Incidents::new(), report)?;
        conclude(&summary);
        Ok(if summary.deliveries.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn options(self) -> Result<Options, Error> {
        let output = if self.stdout {
            Output::Stdout
        } else {
            Output::Kafka(KafkaSettings {
                topic: self.topic,
                create_partitions: Some(self.partitions),
                properties: self.kafka.properties()?,
                ..KafkaSettings::new(self.kafka.brokers)
            })
        };
        Ok(Options {
            shoppers: ShopperSettings {
                seed: self.seed,
                users: self.users,
                products: self.products,
                error_rate: self.error_rate,
            },
            disorder: Disorder {
                out_of_order: self.out_of_order,
                late: self.late,
                duplicates: self.duplicates,
                invalid: self.invalid,
                out_of_orderness: self.out_of_orderness,
                closes_after: self.window + self.allowed_lateness,
            },
            profile: Profile { shape: self.profile, rate: self.rate, period: self.period },
            count: self.count,
            duration: self.duration,
            start_time: self.start_time,
            paced: !self.unpaced,
            output,
            truth: self.truth.map(|path| (path, self.window)),
        })
    }
}

impl KafkaArgs {
    /// What librdkafka gets: found to work as far as that can be told without a broker.
    fn properties(&self) -> Result<BTreeMap<String, String>, Error> {
        let fault = |setting, problem| Err(Error::Setting { setting, problem });
        if let Some((protocol, address)) = self.brokers.split_once("://") {
            let protocol = protocol.to_uppercase();
            let problem = format!("write {address}, and --property security.protocol={protocol}");
            return fault("--brokers", problem);
        }
        let mut properties: BTreeMap<String, String> = self.properties.iter().cloned().collect();
        if let Some(file) = &self.sasl_password_file {
            match kafka_properties::secret::read(file) {
                Ok(password) => drop(properties.insert("sasl.password".to_owned(), password)),
                Err(text) => return fault("--sasl-password-file", format!("{file:?} {text}")),
            }
        }
        let faults = kafka_properties::faults(&properties);
        if faults.is_empty() {
            return Ok(properties);
        }
        fault("--property", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }
}

impl fmt::Debug for KafkaArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties = self.properties.iter().map(|(name, value)| (name, value));
        f.debug_struct("KafkaArgs")
            .field("brokers", &self.brokers)
            .field("properties", &kafka_properties::shown(properties))
            .field("sasl_password_file", &self.sasl_password_file)
            .finish()
    }
}

impl IncidentArgs {
    fn announce(self) -> Result<ExitCode, Error> {
        const PATIENCE: Duration = Duration::from_secs(10);
        if self.route.is_some() && !self.kind.has_route() {
            return Err(Error::Setting {
                setting: "--route",
                problem: format!("{} is about the shop as a whole; leave --route out", self.kind.name()),
            });
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        let incident = Incident::new(self.kind, self.route, now, self.lasts);
        announce(&self.kafka.brokers, &self.kafka.properties()?, &incident, PATIENCE)?;
        println!("For {} s, beginning now: {}.", self.lasts.as_secs_f64(), incident.effect());
        println!(
            "Running producers at {} follow within a second (incident {}).",
            self.kafka.brokers, incident.id
        );
        Ok(ExitCode::SUCCESS)
    }
}

fn report(progress: &Progress) {
    eprintln!("{}", line(progress));
}

fn line(progress: &Progress) -> String {
    let Progress { elapsed, target_rate, achieved_rate, deliveries } = progress;
    let target = target_rate.map_or_else(|| "none".to_owned(), |rate| format!("{rate:.0}/s"));
    format!(
        "{:>5.0} s  target {target}  achieved {achieved_rate:.0}/s  sent {}  in flight {}  failed {}",
        elapsed.as_secs_f64(),
        deliveries.sent,
        deliveries.in_flight,
        deliveries.failed
    )
}

fn conclude(summary: &Summary) {
    let Summary { deliveries, tally, elapsed, last_error } = summary;
    eprintln!(
        "sent {} records in {:.1} s ({:.0}/s): {} delivered, {} failed",
        deliveries.sent,
        elapsed.as_secs_f64(),
        summary.rate(),
        deliveries.delivered(),
        deliveries.failed
    );
    eprintln!(
        "of these {} out of order, {} too late, {} duplicates, {} invalid",
        tally.out_of_order,
        tally.late,
        tally.duplicates,
        tally.invalid_total()
    );
    if let Some(error) = last_error {
        eprintln!("the last failure: {error}");
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Requests the shutdown on the first SIGINT or SIGTERM; the second ends the process at once.
///
/// # Errors
/// If the operating system refuses the handlers.
pub fn end_on_signal(shutdown: &Shutdown) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let shutdown = shutdown.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                if shutdown.is_requested() {
                    std::process::exit(130);
                }
                eprintln!("ending: flushing what is on its way (once more to end at once)");
                shutdown.request();
            }
        });
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::Deliveries;

    use super::*;

    fn end(args: &[&str]) -> Result<ExitCode, Error> {
        let cli =
            Cli::try_parse_from(["producer", "run", "--count", "1"].iter().chain(args)).expect("flags parse");
        let Command::Run(run) = cli.command else { panic!("run was asked for") };
        run.options().map(|_| ExitCode::SUCCESS)
    }

    #[test]
    fn what_cannot_work_is_wrong_usage_before_anything_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.display().to_string()
        };
        let (good, marked) = (file("good", b"hunter2\n"), file("marked", b"\xef\xbb\xbfhunter2"));
        let scram =
            ["--property", "security.protocol=SASL_SSL", "--property", "sasl.mechanism=SCRAM-SHA-512"];
        let user = ["--property", "sasl.username=shop"];
        for (args, named) in [
            (vec!["--property", "sasl.mechanism=GSSAPI"], "security.protocol"),
            (
                vec!["--property", "security.protocol=SASL_SSL", "--property", "sasl.mechanism=OAUTHBEARER"],
                "not in this build",
            ),
            ([&scram[..], &user].concat(), "sasl.password is missing"),
            ([&scram[..], &user, &["--sasl-password-file", &marked]].concat(), "byte order mark"),
            (
                vec!["--property", "security.protocol=SSL", "--property", "ssl.ca.location=/none.pem"],
                "does not exist",
            ),
            (vec!["--property", "no.such=1"], "not a property"),
            (vec!["--brokers", "ssl://kafka:9093"], "security.protocol=SSL"),
        ] {
            let error = end(&args).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains(named), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(end(&[&scram[..], &user, &["--sasl-password-file", &good]].concat()).is_ok());
    }

    #[test]
    fn secrets_are_not_shown() {
        let cli = Cli::parse_from(["producer", "run", "--property", "sasl.password=hunter2"]);
        let shown = format!("{cli:?}");
        assert!(!shown.contains("hunter2") && shown.contains("sasl.password"), "{shown}");
        let mut settings = KafkaSettings::new("h:1");
        settings.properties.insert("sasl.password".to_owned(), "hunter2".to_owned());
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_run_that_keeps_no_pace_names_no_target() {
        let deliveries = Deliveries { sent: 9, in_flight: 3, failed: 1 };
        let progress =
            Progress { elapsed: Duration::from_secs(7), target_rate: None, achieved_rate: 1.5e5, deliveries };
        assert_eq!(line(&progress), "    7 s  target none  achieved 150000/s  sent 9  in flight 3  failed 1");
        let paced = Progress { target_rate: Some(2e5), ..progress };
        assert_eq!(
            line(&paced),
            "    7 s  target 200000/s  achieved 150000/s  sent 9  in flight 3  failed 1"
        );
    }
}
