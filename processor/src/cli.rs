//! What can be typed: `processor run | check | explain | suggest | verify | dlq`.
//!
//! This only says what was asked for. The words of `--help` live here; the commands themselves do not.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use events::Reason;

use crate::settings::Sources;

pub mod dlq;
pub mod explain;
pub mod suggest;
pub mod verify;

const ABOUT: &str = "Turns Kafka topics of clicks into windows of numbers in InfluxDB.";

const EXAMPLES: &str = "\
Examples:
  processor run                                        local Kafka, all defaults
  processor check --config clickpulse.toml             are settings and connections right?
  processor run --config clickpulse.toml               runs until SIGTERM or Ctrl-C
  processor run --config clickpulse.toml --until-end   a backfill: ends when all is read
  processor suggest --brokers HOST:PORT --topic TOPIC  which settings read this topic?
  processor explain --config clickpulse.toml FILE      what becomes of each record of a file?
  processor verify --config clickpulse.toml            is what InfluxDB holds what the topics say?
  processor dlq list --config clickpulse.toml          what was rejected, and why

Settings: defaults < the file of --config < variables such as CLICKPULSE__KAFKA__BROKERS < flags.
config/processor.example.toml has them all.

Exit codes: 0 done, 1 failed while running, 2 wrong usage or settings.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "processor", version, about = ABOUT, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// The settings (TOML); without it, defaults and variables
    #[arg(long, value_name = "FILE", global = true, help_heading = "Settings")]
    config: Option<PathBuf>,
    /// Log lines for people or for machines [default: log.format, else text]
    #[arg(long, value_enum, value_name = "FORMAT", global = true, help_heading = "Settings")]
    log_format: Option<LogFormatArg>,
    /// error, warn, info, debug or trace, also per target: info,processor::kafka=debug [default: log.level,
    /// else info]; only `run` logs where it is not given
    #[arg(long, value_name = "FILTER", global = true, help_heading = "Settings")]
    log_level: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormatArg {
    Text,
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reads events, counts, writes points
    #[command(after_help = RUN_HELP)]
    Run(RunArgs),
    /// Tries the settings and every connection, and says for each what it found
    #[command(after_help = CHECK_HELP)]
    Check,
    /// Says what each record of a file, or each of the last ones of a topic, becomes, and why
    #[command(after_help = EXPLAIN_HELP)]
    Explain(ExplainArgs),
    /// Looks at records, and prints the [[inputs]] section that reads them
    #[command(after_help = SUGGEST_HELP)]
    Suggest(SuggestArgs),
    /// Computes every number again from the topics, and compares with what InfluxDB holds
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Looks at rejected records and sends them back
    #[command(subcommand, after_help = DLQ_HELP)]
    Dlq(DlqCommand),
}

const RUN_HELP: &str = "\
Runs until SIGTERM or SIGINT (Ctrl-C). Then it stops reading, writes what it has, commits, and exits 0 \
within shutdown.deadline; a second signal ends it at once.

Kafka or InfluxDB may come later than the processor: it says which address it misses, keeps trying, and \
/readyz answers 503 until then.

Instances with the same kafka.group_id share the partitions: to scale out, start more of them.

Exit codes: 0 drained, or finished with --until-end; 1 failed while running; 2 wrong usage or settings.";

const CHECK_HELP: &str = "\
One line for each thing looked at: ok, warn (works, yet look at it) or FAIL, with the cure. All of them \
are looked at even after a failure. Nothing is created, and nothing written stays.

Exit codes: 0 nothing failed (warnings may be there), 1 something failed, 2 wrong usage or settings.";

const EXPLAIN_HELP: &str = "\
Reads records as `run` would, counts nothing, and says of each what it becomes: the event, or why it would be \
refused; which members were used for which field, which were of no use, which nobody asked for. Then a \
summary, and hints for the settings.

FILE has one record value a line; - is standard input. Records that become the same in the same way are \
told three times, then counted. Blank lines are left out. Values are cut; those of members that mean nothing \
are told once each.

With --last nothing is committed, and no group is joined.

Examples:
  processor explain --config clickpulse.toml events.ndjson
  processor explain --config clickpulse.toml --input web.events --last 100
  head -50 access.log | processor explain --config clickpulse.toml -
  processor explain --config clickpulse.toml --json events.ndjson | jq -c 'select(.outcome == \"refused\")'

Exit codes: 0 every record counts, 1 some would be refused or could not be read, 2 wrong usage or settings.";

const SUGGEST_HELP: &str = "\
Tries every preset, lines of access logs, and a mapping guessed from the names and values of members; prints \
what reads most of the records, ready for the settings file, with what it rests on and what it could not \
guess as comments. Then `explain` says what becomes of each record by it.

With --topic nothing is committed, and no group is joined; Kafka's keys are compared with the users, which \
tells whether the input is keyed. FILE has one record value a line; - is standard input.

How to reach Kafka may stand in the [kafka] section of --config instead.

Examples:
  processor suggest --brokers localhost:9092 --topic web.events
  processor suggest --brokers localhost:9092 --topic web.events > clickpulse.toml
  processor suggest events.ndjson
  processor suggest --config clickpulse.toml --topic web.events --last 5000

Exit codes: 0 there is a section by which records count, 1 there is none or Kafka cannot be read, 2 wrong \
usage or settings.";

const VERIFY_HELP: &str = "\
Reads the input topics from their beginning to the committed offsets, by simple code that shares only the \
event decoder with `run`, and compares every point of the three buckets, and every record of the \
dead-letter and late topics, with what should be there. It joins no group, and writes nothing anywhere.

It may run beside a running processor: windows that are not final yet are left out, and it says from when \
on. Missing: should be there. Different: has other values. Unexpected: should not be there. Doubled: more \
than once. Skipped: cannot be compared, for a reason that a note gives.

The processor's token may only write; give one that may read the buckets by --influx-token-file, such as \
the one that Grafana has.

Examples:
  processor verify --config clickpulse.toml --influx-token-file grafana.token
  processor verify --config clickpulse.toml --from 2026-01-15T08:00:00Z --until 2026-01-15T09:00:00Z
  processor verify --config clickpulse.toml --open       after run --until-end, with nothing running
  processor verify --config clickpulse.toml --json | jq .differences

Exit codes: 0 all is as it should be, 1 something differs or could not be compared, 2 wrong usage or \
settings.";

const DLQ_HELP: &str = "\
Records that are not valid events are kept in <input topic>.dlq: the original bytes, with headers that \
say the reason and where they came from.

Reasons: not_json, not_an_object, missing_field, wrong_type, bad_timestamp, future_timestamp, \
unknown_event_type, too_large, empty_value, bad_line, bad_avro, unknown_schema.

Examples:
  processor dlq list --config clickpulse.toml
  processor dlq show --config clickpulse.toml --reason bad_timestamp --limit 5
  processor dlq replay --config clickpulse.toml --reason wrong_type         says what it would send
  processor dlq replay --config clickpulse.toml --reason wrong_type --yes   sends it";

/// `processor run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Read to the end offsets of now, finish all windows, exit 0
    #[arg(long)]
    pub until_end: bool,
}

/// `processor explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// One record value a line; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "last")]
    pub file: Option<PathBuf>,
    /// The topic of the [[inputs]] section to read by; needed where there are several
    #[arg(long, value_name = "TOPIC")]
    pub input: Option<String>,
    /// Read the last N records of the topic, of all its partitions together
    #[arg(long, value_name = "N", conflicts_with = "file", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub last: Option<u32>,
    /// One JSON object for each record, then one with the summary
    #[arg(long)]
    pub json: bool,
}

/// `processor suggest`.
#[derive(Debug, Args)]
pub struct SuggestArgs {
    /// One record value a line; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "topic")]
    pub file: Option<PathBuf>,
    /// Look at the last records of this topic; beside FILE it only names the input
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Addresses of Kafka, host:port,… [default: kafka.brokers of the settings]
    #[arg(long, value_name = "ADDRESSES")]
    pub brokers: Option<String>,
    /// So many records, of all partitions together
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub last: u32,
    /// A property of librdkafka, such as security.protocol=SASL_SSL; may be repeated
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    pub properties: Vec<(String, String)>,
}

/// `processor verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Only windows that begin at this moment of event time or later
    #[arg(long, value_name = "TIME", value_parser = verify::parse_time)]
    pub from: Option<i64>,
    /// Only windows that end at this moment of event time or earlier
    #[arg(long, value_name = "TIME", value_parser = verify::parse_time)]
    pub until: Option<i64>,
    /// Only windows of this length
    #[arg(long, value_enum, value_name = "LENGTH")]
    pub resolution: Option<ResolutionArg>,
    /// At most this many examples of each kind of difference
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub examples: usize,
    /// Open windows as well: right only if everything was read (run --until-end) and nothing is running
    #[arg(long)]
    pub open: bool,
    /// A file with a token that may read the buckets [default: the token of the settings]
    #[arg(long, value_name = "FILE")]
    pub influx_token_file: Option<PathBuf>,
    /// The result as one JSON object, and no progress
    #[arg(long)]
    pub json: bool,
}

/// A length of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResolutionArg {
    /// windows.size, bucket raw_10s
    Raw,
    /// A minute, bucket rollup_1m
    #[value(name = "1m")]
    Minute,
    /// An hour, bucket rollup_1h
    #[value(name = "1h")]
    Hour,
}

/// `processor dlq …`.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// How many records lie there, by topic and reason
    List(DlqFilter),
    /// The records themselves: position, reason, bytes as text
    Show {
        /// Which records.
        #[command(flatten)]
        filter: DlqFilter,
        /// At most this many records
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Sends records to their topic again; without --yes it only says what it would send
    #[command(after_help = REPLAY_HELP)]
    Replay {
        /// Which records.
        #[command(flatten)]
        filter: DlqFilter,
        /// At most this many records of each topic, the oldest of each partition first; the next run goes on from there
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
        /// Really send
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
        /// Only say what would be sent; this is what happens without --yes
        #[arg(long)]
        dry_run: bool,
    },
}

const REPLAY_HELP: &str = "\
Use it once the cause is gone: a new version, a field mapping of the input, or time that has come. Bytes, \
key and headers are sent as they were, to the same partition, with the time of now. A record whose cause is \
still there is rejected again, as a letter that names its first.

Each letter is sent once, however often this runs or is interrupted: what was sent is noted in \
<input topic>.replayed, in the same transaction. The dead-letter topic itself is not changed.";

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct DlqFilter {
    /// Only those of this input topic; may be repeated [default: all inputs]
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Only those with this reason
    #[arg(long, value_name = "REASON", value_parser = parse_reason)]
    pub reason: Option<String>,
}

impl Cli {
    /// Where the settings come from, with what flags say about them.
    #[must_use]
    pub fn sources(&self) -> Sources {
        let format = self.common.log_format.map(|format| match format {
            LogFormatArg::Text => "text",
            LogFormatArg::Json => "json",
        });
        let brokers = match &self.command {
            Command::Suggest(args) => args.brokers.as_deref(),
            _ => None,
        };
        let level = self.common.log_level.as_deref();
        let flags = [("log.format", format), ("log.level", level), ("kafka.brokers", brokers)];
        Sources {
            file: self.common.config.clone(),
            environment: None,
            flags: flags.into_iter().filter_map(|(key, value)| Some((key, value?.to_owned()))).collect(),
        }
    }

    /// Whether to log: the other commands print what they find, and log beside that only when asked to.
    #[must_use]
    pub const fn logs(&self) -> bool {
        matches!(self.command, Command::Run(_)) || self.common.log_level.is_some()
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_reason(text: &str) -> Result<String, String> {
    if Reason::ALL.iter().any(|reason| reason.name() == text) {
        return Ok(text.to_owned());
    }
    let likeness = |reason: &&Reason| strsim::jaro_winkler(text, reason.name());
    let nearest = Reason::ALL.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    Err(format!("there is no such reason; did you mean {}?", nearest.expect("there are reasons")))
}
