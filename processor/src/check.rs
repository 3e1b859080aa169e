//! `processor check`: tries everything the settings name, and says for each what it found.
//!
//! Nothing is left behind: what has to be tried in a folder or a bucket is removed again. Every connection is tried even after a failure, so that one call shows all there is
//! to mend.

mod files;
mod http;
mod influx;
mod kafka;
mod state;

use std::fmt;
use std::io::{self, Write};

use crate::settings::Settings;

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is right.
    pub level: Level,
    /// What was looked at: a key and its value.
    pub what: String,
    /// What was found, and the cure where something is wrong.
    pub found: String,
}

/// Whether something is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is.
    Ok,
    /// It works, yet someone should look at it.
    Warn,
    /// It does not work.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        write!(f, "{mark:<4}  {}: {}", self.what, self.found)
    }
}

/// Why `processor check` ends with exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// At least one thing does not work; the lines say which.
    #[error("{0} of the things looked at would not work, see FAIL above")]
    Failed(usize),
    /// The lines cannot be written.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

/// The command: a line to `out` for everything that is looked at.
///
/// # Errors
/// [`CheckError`].
pub fn run(settings: &Settings, out: &mut impl Write) -> Result<(), CheckError> {
    let mut failed = 0;
    let mut output = Ok(());
    check(settings, |verdict| {
        failed += usize::from(verdict.level == Level::Fail);
        if output.is_ok() {
            output = writeln!(out, "{verdict}");
        }
    });
    output?;
    if failed > 0 { Err(CheckError::Failed(failed)) } else { Ok(()) }
}

/// Looks at everything; `note` gets each verdict as soon as it is there.
pub fn check(settings: &Settings, mut note: impl FnMut(Verdict)) {
    note(ok("settings", "are valid")); // else there would be none to check
    kafka::check(settings, &mut note);
    match &settings.influxdb {
        Some(influxdb) => influx::check(influxdb, &mut note),
        None if settings.files.is_none() => note(warn(
            "sinks",
            "neither [influxdb] nor [files] is set: numbers are shown on the status page only",
        )),
        None => {}
    }
    if let Some(files) = &settings.files {
        note(files::check(files));
    }
    if let Some(state) = &settings.state {
        note(state::check(state));
    }
    note(http::check(settings.http.listen));
}

fn ok(what: impl Into<String>, found: impl Into<String>) -> Verdict {
    Verdict { level: Level::Ok, what: what.into(), found: found.into() }
}

fn warn(what: impl Into<String>, found: impl Into<String>) -> Verdict {
    Verdict { level: Level::Warn, what: what.into(), found: found.into() }
}

fn fail(what: impl Into<String>, found: impl Into<String>) -> Verdict {
    Verdict { level: Level::Fail, what: what.into(), found: found.into() }
}
