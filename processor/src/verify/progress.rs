//! How far it is: a bar on a terminal, a line every few seconds elsewhere.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

/// Redrawing a bar.
const BAR_EVERY: Duration = Duration::from_millis(200);
/// A line of a log.
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_WIDTH: usize = 30;

#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    started: Instant,
    shown: Instant,
    terminal: bool,
    quiet: bool,
}

impl Progress {
    /// Of `total` records; `quiet` shows nothing.
    pub(super) fn new(total: u64, quiet: bool) -> Self {
        let now = Instant::now();
        Self { total, started: now, shown: now, terminal: stderr().is_terminal(), quiet }
    }

    /// Shows where it is, if it is time to.
    pub(super) fn at(&mut self, done: u64, compared: u64) {
        let every = if self.terminal { BAR_EVERY } else { LINE_EVERY };
        if self.quiet || self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let text = line(done, self.total, compared, self.started.elapsed());
        // Nobody is told where standard error is closed.
        let _ = if self.terminal {
            write!(stderr(), "\r\x1b[K{} {text}", bar(done, self.total))
        } else {
            writeln!(stderr(), "{text}")
        };
    }

    /// Wipes the bar.
    pub(super) fn end(&self) {
        if self.terminal && !self.quiet {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

fn bar(done: u64, total: u64) -> String {
    let full = (done.min(total) as usize * BAR_WIDTH).checked_div(total as usize).unwrap_or(BAR_WIDTH);
    format!("[{}{}]", "#".repeat(full), " ".repeat(BAR_WIDTH - full))
}

fn line(done: u64, total: u64, compared: u64, elapsed: Duration) -> String {
    let share = (done.min(total) * 100).checked_div(total).unwrap_or(100);
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let left = (total.saturating_sub(done)) as f64 / rate.max(1.0);
    format!(
        "{share:>3} %  {done} of {total} records, {rate:.0}/s, about {left:.0} s left; {compared} points and records compared"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_much_is_left() {
        assert_eq!(
            line(250, 1_000, 7, Duration::from_secs(5)),
            " 25 %  250 of 1000 records, 50/s, about 15 s left; 7 points and records compared"
        );
        assert_eq!(bar(1, 2), format!("[{}{}]", "#".repeat(15), " ".repeat(15)));
        assert_eq!(bar(0, 0), format!("[{}]", "#".repeat(30)));
    }
}
