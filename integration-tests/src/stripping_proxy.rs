use std::io::{BufRead, BufReader, Read, Write, copy};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// An HTTP server's way behind a path: `/PREFIX/x` is asked of it as `/x`, and everything else is 404.
///
/// One request per connection, which both sides are told.
#[derive(Debug)]
pub struct StrippingProxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: AtomicU64,
    stopping: AtomicBool,
}

impl StrippingProxy {
    /// Forwards a free port of 127.0.0.1 to `target`; `prefix` begins with a slash and does not end in one.
    ///
    /// # Panics
    /// If no port can be had.
    #[must_use]
    pub fn start(target: SocketAddr, prefix: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopping.load(Ordering::Acquire) {
                    return;
                }
                let Ok(client) = client else { continue };
                let shared = Arc::clone(&accepting);
                // A client that goes away, or a server that does, is the client's to notice.
                thread::spawn(move || shared.forward(client, target, prefix).ok());
            }
        });
        Self { port, shared }
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many requests went through.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Acquire)
    }
}

impl Drop for StrippingProxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        drop(TcpStream::connect(("127.0.0.1", self.port))); // lets the accepting thread look
    }
}

impl Shared {
    fn forward(&self, mut client: TcpStream, target: SocketAddr, prefix: &str) -> std::io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Some(rest) = path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')) else {
            return client
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        };
        let mut head = format!("{method} {rest} HTTP/1.1\r\n");
        let mut body = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let lower = line.to_ascii_lowercase();
            if let Some(length) = lower.strip_prefix("content-length:") {
                body = length.trim().parse().map_err(std::io::Error::other)?;
            }
            if line.trim().is_empty() {
                break;
            }
            if !lower.starts_with("connection:") {
                head += &line;
            }
        }
        head += "connection: close\r\n\r\n";
        let mut server = TcpStream::connect(target)?;
        server.write_all(head.as_bytes())?;
        copy(&mut reader.by_ref().take(body), &mut server)?;
        self.requests.fetch_add(1, Ordering::AcqRel);
        copy(&mut server, &mut client)?;
        Ok(())
    }
}
