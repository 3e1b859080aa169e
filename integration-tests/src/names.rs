use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Topic and group names of one test, unlike any other's, so that tests can share a broker.
#[derive(Debug, Clone)]
pub struct Names {
    /// The input topic.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// The internal topic of partial windows.
    pub partials: String,
    /// The internal topic of re-keyed records.
    pub by_user: String,
    /// The topic of incident records.
    pub incidents: String,
}

impl Names {
    /// Names that start with `test` and end in something unique.
    #[must_use]
    pub fn unique(test: &str) -> Self {
        let unique = unique(test);
        Self {
            topic: format!("{unique}.events"),
            group: unique.clone(),
            partials: format!("{unique}.partials"),
            by_user: format!("{unique}.by-user"),
            incidents: format!("{unique}.incidents"),
        }
    }

    /// Where rejected records of the input topic go.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        format!("{}.dlq", self.topic)
    }

    /// Where records of the input topic go that came too late for their window.
    #[must_use]
    pub fn late(&self) -> String {
        format!("{}.late", self.topic)
    }
}

/// `prefix` with a suffix that no other call and no other process gives.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("{prefix}-{:x}-{process:x}-{number}", since_epoch.as_millis())
}

/// A port of 127.0.0.1 that nobody listens on at the moment.
///
/// None of those that the system gives to outgoing connections: a client that keeps asking for a server which is away
/// would be given the server's own port one day, be connected to itself, and so keep the server from coming back.
///
/// # Panics
/// If none is found.
#[must_use]
pub fn free_port() -> u16 {
    let random = || RandomState::new().hash_one(()) as u16 % (PORTS.end - PORTS.start) + PORTS.start;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(random).take(1_000).find(is_free).expect("a free port")
}

/// Above those of well-known servers and below those of outgoing connections, on Linux as it comes.
const PORTS: Range<u16> = 20_000..32_000;
