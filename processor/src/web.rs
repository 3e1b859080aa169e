//! The status page and its API, on a thread of its own.
//!
//! | Path | Answer |
//! |---|---|
//! | `/` | the page; everything it loads is in the binary |
//! | `/api/v1/status` | the pipeline: [`StatusAnswer`] |
//! | `/api/v1/live` | the main numbers: [`crate::live::Snapshot`] |
//! | `/api/v1/incidents` | `POST` only, and only where there is an [`IncidentHandler`] (the demo) |
//! | `/metrics` | OpenMetrics text |
//! | `/healthz` | 200 while the process serves |
//! | `/readyz` | 200 or 503, with the reasons |
//!
//! Everything is read-only but the incidents. The server trusts nobody: see `guard` for who may ask and
//! what the answers forbid a browser to do. It has no authentication, so it listens on loopback unless told otherwise.

mod assets;
mod guard;
mod health;
mod incidents;
mod listener;
mod routes;

#[cfg(test)]
mod tests;

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::live::Live;
use crate::status::StatusBoard;
pub use health::{Health, Level};
pub use incidents::{IncidentHandler, IncidentKind, IncidentRequest};
pub use routes::StatusAnswer;

/// How long a stop waits for answers under way.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Another program has the port.
    #[error("{0} is already in use by another program")]
    PortTaken(SocketAddr),
    /// Any other reason not to listen.
    #[error("cannot listen on {addr}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The thread could not be started.
    #[error("cannot start the web server's thread")]
    Thread(#[source] io::Error),
}

/// A running server; ends when stopped or dropped.
#[derive(Debug)]
pub struct WebHandle {
    addr: SocketAddr,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WebHandle {
    /// The real address, also where port 0 was asked for.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends the server; waits at most 2 s for answers under way.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the web server's thread panicked");
        }
    }
}

impl Drop for WebHandle {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts serving on `addr`; returns once the port is bound.
///
/// # Errors
/// [`WebError`] if the address cannot be bound or the thread cannot be started.
pub fn serve(
    addr: SocketAddr,
    board: Arc<StatusBoard>,
    live: Arc<Live>,
    incidents: Option<IncidentHandler>,
) -> Result<WebHandle, WebError> {
    let listen = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => WebError::PortTaken(addr),
        _ => WebError::Listen { addr, source },
    };
    let socket = std::net::TcpListener::bind(addr).map_err(listen)?;
    socket.set_nonblocking(true).map_err(listen)?;
    let addr = socket.local_addr().map_err(listen)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(WebError::Thread)?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::TcpListener::from_std(socket).map_err(listen)?
    };
    let router = routes::router(routes::App::new(board, live, incidents), addr);
    let (stop, stopped) = watch::channel(());
    let until_stopped = |mut stopped: watch::Receiver<()>| async move {
        // The channel carries nothing: its sender's end is the message.
        while stopped.changed().await.is_ok() {}
    };
    let serve = async move {
        let listener = listener::Bounded::new(listener);
        let graceful = axum::serve(listener, router).with_graceful_shutdown(until_stopped(stopped.clone()));
        let deadline = async {
            until_stopped(stopped).await;
            tokio::time::sleep(STOP_DEADLINE).await;
        };
        tokio::select! {
            ended = graceful.into_future() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the web server ended");
                }
            }
            () = deadline => {}
        }
    };
    let thread = std::thread::Builder::new()
        .name("web".to_owned())
        .spawn(move || {
            runtime.block_on(serve);
            runtime.shutdown_background();
        })
        .map_err(WebError::Thread)?;
    Ok(WebHandle { addr, stop: Some(stop), thread: Some(thread) })
}
