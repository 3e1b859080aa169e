//! Exit codes: 0 done, 1 failed while running, 2 wrong usage or settings.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// It failed while running.
pub const FAILED: u8 = 1;
/// It was asked for something that makes no sense; nothing was started.
pub const USAGE: u8 = 2;

/// Says what is wrong with the settings. Logging is not up yet, so this prints.
#[must_use]
pub fn usage(error: &dyn Error) -> ExitCode {
    eprintln!("error: {}", Chain(error));
    ExitCode::from(USAGE)
}

/// Says why the program ends early.
#[must_use]
pub fn failure(error: &dyn Error) -> ExitCode {
    eprintln!("error: {}", Chain(error));
    ExitCode::from(FAILED)
}

/// An error with its causes on one line.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the door")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_their_effect() {
        let error = Outer(std::io::Error::other("no key"));
        assert_eq!(Chain(&error).to_string(), "cannot open the door: no key");
    }
}
