use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;

use super::*;
use crate::status::{MergeStatus, OpenWindow, ReplayStatus, TaskStatus};

#[test]
fn the_page_and_its_files_are_served_and_locked_down() {
    let server = Server::start();
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("access-control-allow-origin"), None);
    for asset in &assets::ALL {
        let answer = server.get(asset.path);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(asset.media_type)),
            "{}",
            asset.path
        );
        assert_eq!(answer.body, asset.body, "{}", asset.path);
    }
}

#[test]
fn the_page_loads_only_what_is_served_here() {
    for asset in &assets::ALL {
        for (at, _) in asset.body.match_indices("//") {
            let before = &asset.body[..at];
            let external =
                before.ends_with("http:") || before.ends_with("https:") || before.ends_with(['"', '\'']);
            let namespace = asset.body[at..].starts_with("//www.w3.org/2000/svg");
            assert!(
                !external || namespace,
                "{}: {}",
                asset.path,
                &asset.body[at..].chars().take(40).collect::<String>()
            );
        }
        assert!(
            !asset.body.contains("<style") && !asset.body.contains(" style="),
            "{}: inline style",
            asset.path
        );
        assert!(!asset.body.contains("onclick="), "{}: inline handler", asset.path);
    }
    let page = assets::ALL[0].body;
    let loaded = page.split(['"', '\'']).filter(|text| text.starts_with('/') && text.contains('.'));
    let mut count = 0;
    for path in loaded {
        count += 1;
        assert!(assets::ALL.iter().any(|asset| asset.path == path), "{path} is not served");
    }
    assert!(count >= 3, "the page loads its style, its script and its icon");
}

#[test]
fn readiness_follows_kafka_and_the_sink() {
    let server = Server::start();
    let answer = server.get("/readyz");
    assert_eq!(answer.status, 503);
    let reasons = answer.json()["reasons"].as_array().unwrap().len();
    assert_eq!(reasons, 2);
    assert_eq!(server.get("/healthz").status, 200, "being alive is not being ready");

    server.board.update(|status| status.kafka_ready = true);
    assert_eq!(server.get("/readyz").status, 503);
    server.board.update(|status| status.sink.healthy = true);
    let answer = server.get("/readyz");
    assert_eq!((answer.status, answer.json()["ready"].as_bool()), (200, Some(true)));

    server.board.update(|status| {
        status.sink.healthy = false;
        status.sink.problem = Some("influxdb.token was refused (401)".to_owned());
    });
    let answer = server.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["reasons"][0], "sink: influxdb.token was refused (401)");
}

#[test]
fn the_api_shows_the_board_and_the_live_windows() {
    let server = Server::start();
    server.board.update(|status| {
        status.instance = "a".to_owned();
        status.totals.consumed = 3;
        status.totals.counted = 2;
    });
    let status = server.get("/api/v1/status").json();
    assert_eq!(status["instance"], "a");
    assert_eq!(status["conserved"], false);
    assert_eq!(status["health"]["level"], "unhealthy");
    assert_eq!(status["incident_kinds"].as_array().map(Vec::len), Some(0));
    let live = server.get("/api/v1/live").json();
    assert_eq!(live["window_ms"], 10_000);
    assert_eq!(live["windows"].as_array().map(Vec::len), Some(0));
    let metrics = server.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some(crate::metrics::CONTENT_TYPE));
    assert!(metrics.body.contains("processor_records_consumed_total 3\n"), "{}", metrics.body);
}

#[test]
fn the_api_says_per_partition_what_is_under_way_and_why_windows_are_open() {
    let server = Server::start();
    server.board.update(|status| {
        status.delivery = "exactly_once";
        status.tasks.push(TaskStatus {
            partition: 3,
            epoch: 7,
            epoch_stage: "publishing".to_owned(),
            commit_age_ms: Some(400),
            replay: Some(ReplayStatus { from: 10, at: 20, to: 110, left: 90 }),
            ..TaskStatus::default()
        });
        let window = OpenWindow {
            start_ms: 0,
            end_ms: 10_000,
            closes_ms: 70_000,
            opened_ms: 1_000,
            waits_for: Some(3),
            others: 2,
            watermark_ms: Some(9_000),
            stands_since_ms: None,
            reason: "replaying",
            why: "it is replaying: 90 records left".to_owned(),
        };
        status.merges.push(MergeStatus { waiting: vec![window], ..MergeStatus::default() });
    });
    let status = server.get("/api/v1/status").json();
    assert_eq!(status["delivery"], "exactly_once");
    let task = &status["tasks"][0];
    assert_eq!((&task["epoch"], &task["epoch_stage"]), (&7.into(), &"publishing".into()));
    assert_eq!((&task["commit_age_ms"], &task["replay"]["left"]), (&400.into(), &90.into()));
    let window = &status["merges"][0]["waiting"][0];
    assert_eq!((&window["waits_for"], &window["reason"]), (&3.into(), &"replaying".into()));
    assert_eq!(window["why"], "it is replaying: 90 records left");
    for field in ["committed", "aborted", "last_abort", "p50_ms", "p99_ms"] {
        assert!(status["transactions"].get(field).is_some(), "transactions.{field}");
    }
    for field in ["budget", "prefetch", "prefetch_max", "state", "sink_queue"] {
        assert!(status["memory"].get(field).is_some(), "memory.{field}");
    }
}

/// What scripts rely on: fields may be added, not taken away or renamed.
#[test]
fn the_fields_of_the_api_stay() {
    let server = Server::start();
    server.board.update(|status| {
        status.tasks.push(TaskStatus::default());
        status.merges.push(MergeStatus::default());
    });
    let status = server.get("/api/v1/status").json();
    let task = "partition state position end committed lag watermark_ms open_windows users clicks dedup_ids state_bytes \
                replay_left";
    let merge = "partition open_windows oldest_open_ms waits_for watermark_ms lag";
    let all = "now_ms health conserved instance version started_ms source kafka_ready kafka_problem totals by_reason \
               notes behind_watermark rate tasks merges epochs epochs_in_flight commit_age_ms paused freshness_p50_ms \
               freshness_p99_ms routes overflowed beyond_limits sink rss_bytes cpu_seconds errors";
    for (object, fields) in [(&status, all), (&status["tasks"][0], task), (&status["merges"][0], merge)] {
        for field in fields.split_whitespace() {
            assert!(object.get(field).is_some(), "{field} is gone");
        }
    }
}

#[test]
fn the_scripts_use_only_fields_that_the_api_has() {
    let server = Server::start();
    server.board.update(|status| {
        status.tasks.push(TaskStatus { replay: Some(ReplayStatus::default()), ..TaskStatus::default() });
        status.merges.push(MergeStatus::default());
    });
    let status = server.get("/api/v1/status").json();
    let script = assets::ALL.iter().find(|asset| asset.path == "/assets/pipeline.js").unwrap().body;
    for (name, object) in [
        ("task.", &status["tasks"][0]),
        ("merge.", &status["merges"][0]),
        ("memory.", &status["memory"]),
        ("transactions.", &status["transactions"]),
    ] {
        let mut used = 0;
        for after in script.split(name).skip(1) {
            let field: String =
                after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            used += 1;
            assert!(object.get(&field).is_some(), "{name}{field}");
        }
        assert!(used > 0, "{name}");
    }
}

#[test]
fn unknown_paths_and_methods_are_refused_in_json() {
    let server = Server::start();
    let answer = server.get("/nope");
    assert_eq!((answer.status, answer.json()["error"].as_str()), (404, Some("no such page")));
    assert!(answer.header("content-security-policy").is_some());
    let answer = server.send("POST /api/v1/status", &[("X-Clickpulse", "1")], "");
    assert_eq!(answer.status, 405);
    let answer = server.send("POST /api/v1/incidents", &[("X-Clickpulse", "1")], INCIDENT);
    assert_eq!(answer.status, 404, "without a handler there are no incidents");
}

#[test]
fn an_incident_is_handed_on() {
    let (server, started) = Server::with_incidents(Ok(()));
    let status = server.get("/api/v1/status").json();
    assert_eq!(
        (&status["incident_kinds"][0], &status["incident_routes"][0]),
        (&"error-spike".into(), &"/checkout".into())
    );
    assert_eq!(server.send("POST /api/v1/incidents", &WRITE, INCIDENT).status, 202);
    let expected = IncidentRequest {
        kind: IncidentKind::ErrorSpike,
        route: Some("/checkout".to_owned()),
        duration: Duration::from_secs(60),
    };
    assert_eq!(*started.lock().unwrap(), [expected]);
}

#[test]
fn a_bad_incident_is_refused_with_the_field() {
    let (server, started) = Server::with_incidents(Ok(()));
    for (body, status) in [
        (r#"{"kind":"error-spike","seconds":100000}"#, 422),
        (r#"{"kind":"error-spike","seconds":60,"route":"no"}"#, 422),
        (r#"{"kind":"meteor","seconds":60}"#, 422),
        (r#"{"kind":"latency","seconds":60,"extra":1}"#, 422),
        ("{", 400),
    ] {
        assert_eq!(server.send("POST /api/v1/incidents", &WRITE, body).status, status, "{body}");
    }
    let huge = format!(r#"{{"kind":"latency","seconds":60,"route":"/{}"}}"#, "a".repeat(10_000));
    assert_eq!(server.send("POST /api/v1/incidents", &WRITE, &huge).status, 413);
    assert!(started.lock().unwrap().is_empty());
}

#[test]
fn an_incident_that_cannot_start_says_why() {
    let (server, _) = Server::with_incidents(Err("the broker is away".to_owned()));
    let answer = server.send("POST /api/v1/incidents", &WRITE, INCIDENT);
    assert_eq!((answer.status, answer.json()["error"].as_str()), (502, Some("the broker is away")));
}

#[test]
fn changes_from_other_sites_are_refused() {
    let (server, started) = Server::with_incidents(Ok(()));
    let json = ("Content-Type", "application/json");
    let write = ("X-Clickpulse", "1");
    let own = format!("http://{}", server.handle.addr());
    for (headers, status) in [
        (vec![json], 403),
        (vec![json, write, ("Origin", "http://evil.example")], 403),
        (vec![json, write, ("Origin", "null")], 403),
        (vec![json, write, ("Sec-Fetch-Site", "cross-site")], 403),
        (vec![json, write, ("Sec-Fetch-Site", "same-site")], 403),
        (vec![json, write, ("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")], 202),
        (vec![json, write], 202),
    ] {
        let answer = server.send("POST /api/v1/incidents", &headers, INCIDENT);
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
    }
    assert_eq!(started.lock().unwrap().len(), 2);
    let preflight = server.send("OPTIONS /api/v1/incidents", &[("Origin", "http://evil.example")], "");
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (403, None));
}

#[test]
fn names_that_only_resolve_to_loopback_are_not_answered() {
    let server = Server::start();
    for host in ["evil.example", "evil.example:80", "10.1.2.3"] {
        let answer = server
            .exchange(&format!("GET /api/v1/live HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(answer.status, 421, "{host}");
    }
    let answer = server.exchange("GET /api/v1/live HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status, 400, "no Host");
    let answer =
        server.exchange("GET /api/v1/live HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status, 200);
}

#[test]
fn a_taken_port_is_named_and_a_stopped_server_frees_it() {
    let server = Server::start();
    let addr = server.handle.addr();
    let again = serve(addr, Arc::default(), Arc::new(Live::new(Duration::from_secs(10))), None);
    assert!(matches!(again, Err(WebError::PortTaken(taken)) if taken == addr));
    // A page kept open by a browser must not hold the stop up.
    let idle = TcpStream::connect(addr).unwrap();
    server.handle.stop();
    drop(idle);
    let again = serve(addr, Arc::default(), Arc::new(Live::new(Duration::from_secs(10))), None).unwrap();
    assert_eq!(again.addr(), addr);
}

const INCIDENT: &str = r#"{"kind":"error-spike","route":"/checkout","seconds":60}"#;
const WRITE: [(&str, &str); 2] = [("X-Clickpulse", "1"), ("Content-Type", "application/json")];

struct Server {
    handle: WebHandle,
    board: Arc<StatusBoard>,
}

impl Server {
    fn start() -> Self {
        Self::with(None)
    }

    fn with_incidents(answer: Result<(), String>) -> (Self, Arc<Mutex<Vec<IncidentRequest>>>) {
        let started = Arc::<Mutex<Vec<_>>>::default();
        let into = Arc::clone(&started);
        let handler = IncidentHandler::new(["/checkout".to_owned()], move |request| {
            into.lock().unwrap().push(request);
            answer.clone()
        });
        (Self::with(Some(handler)), started)
    }

    fn with(incidents: Option<IncidentHandler>) -> Self {
        let board = Arc::<StatusBoard>::default();
        let live = Arc::new(Live::new(Duration::from_secs(10)));
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let handle = serve(addr, Arc::clone(&board), live, incidents).unwrap();
        Self { handle, board }
    }

    fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[], "")
    }

    fn send(&self, what: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let host = self.handle.addr();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        self.exchange(&format!(
            "{what} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
    }

    fn exchange(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.handle.addr()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Answer { status, headers, body: body.to_owned() }
    }
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
