//! The wish to stop: an argument of [`run`](crate), so that a test ends it the way a signal does.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A wish to stop that is uttered once and seen by every clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<State>);

#[derive(Debug, Default)]
struct State {
    triggered: Mutex<bool>,
    changed: Condvar,
}

impl Shutdown {
    /// Not triggered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to stop. Saying it again changes nothing.
    pub fn trigger(&self) {
        *self.lock() = true;
        self.0.changed.notify_all();
    }

    /// Whether to stop.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        *self.lock()
    }

    /// Sleeps until triggered, but no longer than `timeout`; returns whether to stop.
    pub fn wait(&self, timeout: Duration) -> bool {
        // No platform waits for centuries; a day at a time is as good as for ever.
        let deadline = Instant::now() + timeout.min(Duration::from_secs(86_400));
        let mut triggered = self.lock();
        while !*triggered {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            triggered =
                self.0.changed.wait_timeout(triggered, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *triggered
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        // A bool is whole whatever happened to its last holder.
        self.0.triggered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A [`Shutdown`] that SIGINT (Ctrl-C) and SIGTERM trigger. The second of them ends the process at once with exit
/// code 1: what was not committed is read again at the next start.
///
/// # Errors
/// If the operating system refuses the handlers.
pub fn on_signals() -> std::io::Result<Shutdown> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    // Installed here and not in the thread, so that no signal after this call is missed.
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let shutdown = Shutdown::new();
    let triggered = shutdown.clone();
    let listen = move || {
        runtime.block_on(async {
            for say in [
                "draining; a second signal ends the process at once",
                "ending at once; what was not committed is read again at the next start",
            ] {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                };
                tracing::info!(signal = name, "{say}");
                if triggered.is_triggered() {
                    std::process::exit(1);
                }
                triggered.trigger();
            }
        });
    };
    std::thread::Builder::new().name("signals".into()).spawn(listen)?;
    Ok(shutdown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_seen_by_every_clone_and_wakes_those_who_wait() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_triggered());
        assert!(!shutdown.wait(Duration::ZERO));
        let waiting = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || shutdown.wait(Duration::MAX)
        });
        shutdown.trigger();
        assert!(waiting.join().unwrap());
        assert!(shutdown.is_triggered());
        assert!(shutdown.wait(Duration::ZERO));
    }
}
