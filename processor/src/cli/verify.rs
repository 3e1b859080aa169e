//! `processor verify`: the result as text or JSON, and as an exit code.

use std::io::{self, Write};
use std::path::PathBuf;

use chrono::DateTime;

use super::{ResolutionArg, VerifyArgs};
use crate::settings::{Settings, influx_token, read_secret_file};
use crate::verify::{self, VerifyError, VerifyOptions};

/// Why `verify` does not end with 0.
#[derive(Debug, thiserror::Error)]
pub enum VerifyFailed {
    /// Something is not as the topics say.
    #[error("{0} differences; the lines above say which")]
    Differs(u64),
    /// Nothing was comparable, which is no proof of anything.
    #[error("nothing could be compared; the notes above say why")]
    NothingCompared,
    /// The comparison came to no end.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The token cannot be read.
    #[error("--influx-token-file {file:?} {reason}")]
    Token {
        /// The file.
        file: PathBuf,
        /// Why, with the cure.
        reason: String,
    },
    /// The result cannot be written.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

impl VerifyFailed {
    /// Whether something has to be asked differently.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Token { .. } | Self::Verify(VerifyError::NoInfluxDb | VerifyError::Influx(_)))
    }
}

/// Compares, with the result to `out`.
///
/// # Errors
/// [`VerifyFailed`], also where something differs.
pub fn run(settings: &Settings, args: &VerifyArgs, out: &mut impl Write) -> Result<(), VerifyFailed> {
    let token = args.influx_token_file.as_ref().map(|file| {
        read_secret_file(file, influx_token)
            .map_err(|reason| VerifyFailed::Token { file: file.clone(), reason })
    });
    let options = VerifyOptions {
        from: args.from,
        until: args.until,
        resolution: args.resolution.map(|resolution| match resolution {
            ResolutionArg::Raw => 0,
            ResolutionArg::Minute => 1,
            ResolutionArg::Hour => 2,
        }),
        open: args.open,
        examples: args.examples,
        token: token.transpose()?.map(|token| token.expose().to_owned()),
        quiet: args.json,
    };
    let verified = verify::verify(settings, &options)?;
    if args.json {
        verify::write_json(&verified, out)?;
    } else {
        verify::write_text(&verified, out)?;
    }
    match verified.report.differences() {
        0 if verified.report.compared() == 0 => Err(VerifyFailed::NothingCompared),
        0 => Ok(()),
        differences => Err(VerifyFailed::Differs(differences)),
    }
}

/// A moment as RFC 3339, in microseconds.
pub(super) fn parse_time(text: &str) -> Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.timestamp_micros()).map_err(|_| "write it as 2026-01-15T08:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(parse_time("2026-01-15T08:00:00Z"), Ok(1_768_464_000_000_000));
        assert_eq!(parse_time("2026-01-15T09:00:00+01:00"), Ok(1_768_464_000_000_000));
        assert!(parse_time("yesterday").is_err());
    }
}
