//! What can be wrong with settings, said so that it can be mended.

use std::fmt;
use std::path::PathBuf;

/// Why there are no settings. Every variant is a case for exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file named by `--config` cannot be read.
    #[error("cannot read the settings file {}", path.display())]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A source is not what it should be: not TOML, or not Unicode.
    #[error("the settings cannot be parsed")]
    Malformed(#[source] config::ConfigError),
    /// Everything that is wrong with the values, not only the first of it.
    #[error("{}", listed(.0))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key as in the file: `windows.size`, `inputs[1].topic`.
    pub key: String,
    /// Where it was said.
    pub origin: Origin,
    /// What is wrong and how to mend it, without the key.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, origin, text } = self;
        match origin {
            Origin::Unknown => write!(f, "{key} {text}"),
            Origin::Environment(variable) => write!(f, "{key} {text} (from {variable})"),
            Origin::File(name) => write!(f, "{key} {text} (in {name})"),
            Origin::Flag => write!(f, "{key} {text} (from the command line)"),
        }
    }
}

/// The layer a value came from. Later ones win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the value is absent, or follows from several.
    Unknown,
    /// The settings file.
    File(String),
    /// This environment variable.
    Environment(String),
    /// A command line flag.
    Flag,
}

impl Origin {
    /// Its rank among the layers: what a later layer says wins.
    pub(super) const fn layer(&self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::File(_) => 1,
            Self::Environment(_) => 2,
            Self::Flag => 3,
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    match problems {
        [only] => only.to_string(),
        _ => {
            let lines: String = problems.iter().map(|problem| format!("\n  - {problem}")).collect();
            format!("{} problems in the settings{lines}", problems.len())
        }
    }
}
