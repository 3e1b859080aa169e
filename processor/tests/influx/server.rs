//! An HTTP server whose answers a test decides, request by request.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use flate2::read::GzDecoder;

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Closes the connection without an answer.
    Disconnect,
    /// Keeps the connection open and says nothing until the server ends.
    Hang,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }

    /// InfluxDB's form of an error.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        let body = serde_json::json!({"code": "x", "message": message}).to_string();
        Self::Answer { status, headers: Vec::new(), body }
    }

    pub(crate) fn ok() -> Self {
        Self::status(204)
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        let Self::Answer { headers, .. } = &mut self else { panic!("only an answer has headers") };
        headers.push((name, value.to_owned()));
        self
    }
}

/// A request as the server saw it, its body uncompressed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) body_bytes_sent: usize,
}

impl Request {
    /// The lines of a write; empty for a request that only asks.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.body.lines().map(str::to_owned).collect()
    }

    /// The bucket of a write.
    pub(crate) fn bucket(&self) -> String {
        self.parameter("bucket").replace("%2F", "/")
    }

    pub(crate) fn parameter(&self, name: &str) -> &str {
        let query = self.target.split_once('?').expect("a query string").1;
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("{name} in {query}"))
    }
}

type Script = Box<dyn FnMut(&Request) -> Reply + Send>;

struct Shared {
    script: Mutex<Script>,
    seen: Mutex<Vec<Request>>,
    arrived: Condvar,
    ended: Mutex<bool>,
    end: Condvar,
}

/// Ends its hanging connections when dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Server {
    /// Listens on a free port of the loopback address.
    pub(crate) fn start(script: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            seen: Mutex::default(),
            arrived: Condvar::new(),
            ended: Mutex::new(false),
            end: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { url, shared }
    }

    /// Answers differently from now on.
    pub(crate) fn change(&self, script: impl FnMut(&Request) -> Reply + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// Every request so far that brought lines.
    pub(crate) fn writes(&self) -> Vec<Request> {
        self.all().into_iter().filter(|request| !request.body.is_empty()).collect()
    }

    /// Every request so far.
    pub(crate) fn all(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until `count` requests with lines have arrived.
    pub(crate) fn await_writes(&self, count: usize) {
        let seen = self.shared.seen.lock().unwrap();
        let is_short =
            |seen: &mut Vec<Request>| seen.iter().filter(|request| !request.body.is_empty()).count() < count;
        drop(self.shared.arrived.wait_while(seen, is_short).unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.shared.ended.lock().unwrap() = true;
        self.shared.end.notify_all();
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        shared.seen.lock().unwrap().push(request.clone());
        shared.arrived.notify_all();
        let reply = (shared.script.lock().unwrap())(&request);
        match reply {
            Reply::Answer { status, headers, body } => {
                let mut head = format!("HTTP/1.1 {status} X\r\n");
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                if status != 204 {
                    head += &format!("Content-Length: {}\r\n", body.len());
                }
                if stream.write_all(format!("{head}\r\n{body}").as_bytes()).is_err() {
                    return;
                }
            }
            Reply::Disconnect => return,
            Reply::Hang => {
                let ended = shared.ended.lock().unwrap();
                drop(shared.end.wait_while(ended, |ended| !*ended).unwrap());
                return;
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let mut request =
        Request { method: words.next()?.to_owned(), target: words.next()?.to_owned(), ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        request.headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let len = request.headers.get("content-length").map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    request.body_bytes_sent = len;
    if request.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        GzDecoder::new(body.as_slice()).read_to_string(&mut request.body).unwrap();
    } else {
        request.body = String::from_utf8(body).unwrap();
    }
    Some(request)
}
