//! The demo as a visitor has it: the binary, its page's API, its files, its end.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No step of the tests takes this long, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something awaited.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[test]
fn the_page_shows_rising_numbers_an_incident_shows_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(&["--rate", "1000", "--out", folder.path().to_str().unwrap()]);

    let page = demo.text("/");
    assert!(page.contains("<title>Clickpulse</title>"), "{page}");
    demo.wait("readiness", |demo| demo.status_of("/readyz") == 200);

    let requests = |live: &Value| -> u64 {
        live["windows"].as_array().unwrap().iter().map(|window| window["requests"].as_u64().unwrap()).sum()
    };
    let first = demo.wait_for("requests", "/api/v1/live", |live| requests(live) > 0);
    demo.wait_for("more requests", "/api/v1/live", |live| requests(live) > requests(&first));
    demo.wait_for("routes, URLs and users", "/api/v1/live", |live| {
        ["routes", "urls", "users"].iter().all(|list| !live[list].as_array().unwrap().is_empty())
    });

    // Its default is below 2 %; a spike makes 40 % of the requests fail.
    let checkout_errors = |live: &Value| {
        let routes = live["routes"].as_array().unwrap();
        let checkout = routes.iter().find(|row| row["route"] == "/checkout");
        let latest = checkout.and_then(|row| row["error_history"].as_array()?.last()?.as_f64());
        latest.unwrap_or(0.0)
    };
    let quiet = demo.json("/api/v1/live");
    assert!(checkout_errors(&quiet) < 0.1, "{quiet}");
    demo.post("/api/v1/incidents", r#"{"kind":"error-spike","route":"/checkout","seconds":60}"#);
    demo.wait_for("the errors of the incident", "/api/v1/live", |live| checkout_errors(live) > 0.2);
    demo.wait_for("the incident's mark", "/api/v1/live", |live| {
        let marks = live["annotations"].as_array().unwrap();
        marks.iter().any(|mark| mark["kind"] == "error-spike")
    });

    demo.wait_for("a commit", "/api/v1/status", |status| {
        assert_eq!(status["conserved"], true, "{status}");
        status["tasks"].as_array().unwrap().iter().all(|task| task["committed"].as_i64() > Some(0))
    });

    let said = demo.interrupt();
    assert!(said.contains("nothing lost"), "{said}");
    let points = read(&folder.path().join("points.lp"));
    assert!(points.lines().any(|line| line.starts_with("http_all ")), "no totals in {points}");
    assert!(points.lines().any(|line| line.starts_with("annotations,kind=error-spike ")));
    let objects = read(&folder.path().join("points.jsonl"));
    let first: Value = serde_json::from_str(objects.lines().next().unwrap()).unwrap();
    assert!(first.is_object());
}

#[test]
fn it_ends_by_itself_after_the_time_given_with_everything_sent_processed() {
    let mut demo = Demo::start(&["--rate", "500", "--no-files", "--for", "5s"]);
    let said = demo.finish();
    let farewell = said.lines().find(|line| line.starts_with("Sent ")).expect(&said);
    let numbers: Vec<u64> = farewell
        .split(' ')
        .filter_map(|word| word.trim_end_matches([':', ',']).replace(',', "").parse().ok())
        .collect();
    let [sent, _seconds, consumed, counted, duplicates, late, rejected] = numbers[..] else {
        panic!("seven numbers in {farewell}")
    };
    assert!(sent > 0 && sent == consumed, "{farewell}");
    assert_eq!(consumed, counted + duplicates + late + rejected, "{farewell}");
}

#[test]
fn a_taken_port_names_the_flag_and_the_cure() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = demo(&["--no-files", "--listen", &addr]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&addr) && said.contains("--listen 127.0.0.1:0"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_made_names_the_flag() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("folder");
    let output = demo(&["--listen", "127.0.0.1:0", "--out", below.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--out"), "{said}");
}

#[test]
fn wrong_flags_are_refused_with_the_nearest_right_one() {
    let output = demo(&["--ratee", "5"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--rate"), "{said}");
    let output = demo(&["--influx-url", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("token"), "{said}");
}

fn demo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).args(args).output().unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A running demo on a free port; ended when dropped.
struct Demo {
    child: Child,
    stdout: BufReader<ChildStdout>,
    page: SocketAddr,
    agent: ureq::Agent,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
            .args(["--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let page = loop {
            let start = said.len();
            assert_ne!(
                stdout.read_line(&mut said).unwrap(),
                0,
                "it ended before it said where the page is: {said}"
            );
            if let Some(address) = said[start..].trim().strip_prefix("page ") {
                break address.trim().strip_prefix("http://").unwrap().parse().unwrap();
            }
        };
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        Self { child, stdout, page, agent: config.build().new_agent() }
    }

    fn text(&self, path: &str) -> String {
        let mut answer = self.agent.get(format!("http://{}{path}", self.page)).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    fn status_of(&self, path: &str) -> u16 {
        self.agent.get(format!("http://{}{path}", self.page)).call().unwrap().status().as_u16()
    }

    fn post(&self, path: &str, body: &str) {
        let request = self.agent.post(format!("http://{}{path}", self.page)).header("X-Clickpulse", "test");
        let mut answer = request.content_type("application/json").send(body).unwrap();
        assert_eq!(answer.status(), 202, "{}", answer.body_mut().read_to_string().unwrap());
    }

    fn wait_for(&self, what: &str, path: &str, arrived: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            last = self.json(path);
            if arrived(&last) {
                return last;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("{what}: not within {PATIENCE:?}; {path} says {last}")
    }

    fn wait(&self, what: &str, arrived: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !arrived(self) {
            assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Ctrl-C; what it says until it has ended well.
    fn interrupt(&mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.finish()
    }

    fn finish(&mut self) -> String {
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
