use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long a blocked thread waits before it looks whether the fault has changed.
const LOOK: Duration = Duration::from_millis(20);

/// What a network does to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Each piece of data takes so much longer, in both directions.
    Latency(Duration),
    /// Connections stay open and nothing gets through, in either direction.
    HalfOpen,
}

/// A TCP connection's way to a server, with faults on demand.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    fault: Mutex<Fault>,
    /// Connections of an earlier number are closed.
    resets: AtomicU64,
    stopping: AtomicBool,
}

impl Proxy {
    /// Forwards a free port of 127.0.0.1 to `target`, which need not be there yet.
    ///
    /// # Panics
    /// If no port can be had.
    #[must_use]
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            fault: Mutex::new(Fault::None),
            resets: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopping.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(target)) else { continue };
                let number = accepting.resets.load(Ordering::Acquire);
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    let (Ok(from), Ok(to)) = (from, to) else { continue };
                    let shared = Arc::clone(&accepting);
                    thread::spawn(move || shared.pump(number, &from, &to));
                }
            }
        });
        Self { port, shared }
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on, for all connections.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault.lock().expect("no holder panics") = fault;
    }

    /// Closes every connection there is; new ones are taken.
    pub fn reset(&self) {
        self.shared.resets.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.reset();
        drop(TcpStream::connect(("127.0.0.1", self.port))); // lets the accepting thread look
    }
}

impl Shared {
    fn pump(&self, number: u64, mut from: &TcpStream, mut to: &TcpStream) {
        let mut bytes = [0; 16_384];
        let _ = from.set_read_timeout(Some(LOOK));
        while self.resets.load(Ordering::Acquire) == number {
            let fault = *self.fault.lock().expect("no holder panics");
            if fault == Fault::HalfOpen {
                thread::sleep(LOOK);
                continue;
            }
            match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => {
                    if let Fault::Latency(latency) = fault {
                        thread::sleep(latency);
                    }
                    if to.write_all(&bytes[..length]).is_err() {
                        break;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
