//! The writer against a real InfluxDB 2.x: that its answers are what `influx_failures` scripts.
//!
//! Needs a server and a token that may make buckets and tokens:
//! `CLICKPULSE_TEST_INFLUX=http://… CLICKPULSE_TEST_INFLUX_TOKEN=… CLICKPULSE_TEST_INFLUX_ORG=… cargo test -p processor
//! --test influx_real -- --ignored`. Every test makes buckets of its own, and leaves them.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use events::Timestamp;
use processor::influx::retry::{Pause, Stop};
use processor::influx::{
    Bucket, Client, DeadLine, EMPTY_TAG, InfluxConfig, InfluxSink, Tuning, WIDE_BACKSLASH, WriteOutcome,
    check,
};
use processor::sink::{Ack, PointBatch, PointSink as _};
use processor_core::schema::URL_TOP;
use processor_core::{FieldValue, Point, Resolution};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs a real InfluxDB: CLICKPULSE_TEST_INFLUX"]
fn every_answer_is_understood() {
    let real = Real::start("answers");
    let client = Client::new(&real.config, &Tuning::default()).unwrap();
    let write = |lines: &str| client.write(&real.raw(), lines.as_bytes());
    assert_eq!(write("m,t=a f=1i 1700000000000\n"), WriteOutcome::Ok);
    assert_eq!(write(""), WriteOutcome::Ok);

    let WriteOutcome::BadLine { message } = write("m f=2i 1700000000000\nno line\nm f=NaN 1\n") else {
        panic!("400")
    };
    assert_eq!(
        message,
        "unable to parse 'no line': invalid field format\nunable to parse 'm f=NaN 1': invalid number"
    );
    assert_eq!(
        client.query("SELECT f FROM m").unwrap()[0].values,
        [[json!(1_700_000_000_000_i64), json!(1)]]
    );

    let conflict = "m,t=a f=1.5 1700000001000\nm,t=a f=2i 1700000002000\nm,t=a f=2.5 1700000003000\n";
    let WriteOutcome::Partial { refused, message } = write(conflict) else { panic!("422") };
    assert_eq!(refused, 2);
    assert!(message.contains("field type conflict"), "{message}");
    assert_eq!(client.query("SELECT f FROM m").unwrap()[0].values.len(), 2, "the rest is kept");

    real.make_bucket("short-lived", 3_600);
    let short_lived = Bucket { name: real.name("short-lived"), ..real.raw() };
    let old = client.write(&short_lived, b"m f=1i 1700000000000\nm f=2i 1700000001000\n");
    let WriteOutcome::Partial { refused: 2, message } = old else { panic!("422: {old:?}") };
    assert!(message.contains("outside retention policy"), "{message}");

    let absent = Bucket { name: "absent".to_owned(), ..real.raw() };
    let message = "bucket \"absent\" not found".to_owned();
    assert_eq!(client.write(&absent, b"m f=1i 1\n"), WriteOutcome::NotFound { message });
    let other_org = InfluxConfig { org: "absent".to_owned(), ..real.config.clone() };
    let message = "organization name \"absent\" not found".to_owned();
    assert_eq!(real.write_as(&other_org), WriteOutcome::NotFound { message });
    let unknown = InfluxConfig { token: "unknown".to_owned(), ..real.config.clone() };
    let message = "unauthorized access".to_owned();
    assert_eq!(real.write_as(&unknown), WriteOutcome::Unauthorized { message });
    let reader = InfluxConfig { token: real.make_token("read").1, ..real.config.clone() };
    let message = "insufficient permissions for write".to_owned();
    assert_eq!(real.write_as(&reader), WriteOutcome::Forbidden { message });
}

#[test]
#[ignore = "needs a real InfluxDB: CLICKPULSE_TEST_INFLUX"]
fn a_least_privilege_token_passes_the_check_and_writes() {
    let real = Real::start("check");
    let writer = InfluxConfig { token: real.make_token("write").1, ..real.config.clone() };
    let client = Client::new(&writer, &Tuning::default()).unwrap();
    let lines = check(&client);
    assert!(lines.len() == 4 && lines.iter().all(|line| line.ok), "{lines:#?}");
    assert_eq!(real.write_as(&writer), WriteOutcome::Ok);

    let wrong = InfluxConfig { rollup_1h: "absent".to_owned(), ..writer };
    let lines = check(&Client::new(&wrong, &Tuning::default()).unwrap());
    assert_eq!(lines.iter().map(|line| line.ok).collect::<Vec<_>>(), [true, true, true, false]);
    assert!(lines[3].verdict.starts_with("influxdb.rollup_1h = \"absent\" does not exist"), "{}", lines[3]);
}

#[test]
#[ignore = "needs a real InfluxDB: CLICKPULSE_TEST_INFLUX"]
fn odd_text_is_stored_as_documented() {
    let real = Real::start("text");
    let (sink, _dead) = real.sink();
    let odd = [
        "",
        " ",
        "a b",
        "a,b=c",
        r"end\",
        r"\\,=x",
        "tab\there",
        "line\nbreak\r",
        "\"quoted\"",
        "'single'",
        "#hash",
        "é😀",
        "\u{7f}del",
        "i=1",
        "a\\nb",
        "\u{a0}nbsp",
    ];
    let points = odd.iter().enumerate().map(|(number, text)| point(text, text, number));
    submit_and_wait(&sink, points.collect());
    let client = Client::new(&real.config, &Tuning::default()).unwrap();
    let series = client.query("SELECT url FROM url_top GROUP BY rank").unwrap();
    let stored: BTreeMap<String, Vec<Value>> = series
        .into_iter()
        .map(|series| {
            (series.tags["rank"].clone(), series.values.into_iter().map(|mut row| row.remove(1)).collect())
        })
        .collect();
    let mut expected: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for text in odd {
        let tag = if text.is_empty() { EMPTY_TAG } else { text };
        let tag = tag.replace('\\', WIDE_BACKSLASH).replace(|char: char| char.is_ascii_control(), " ");
        expected.entry(tag).or_default().push(json!(text));
    }
    assert_eq!(stored, expected);
}

#[test]
#[ignore = "needs a real InfluxDB: CLICKPULSE_TEST_INFLUX"]
fn a_line_the_server_refuses_is_buried_and_the_rest_is_written() {
    let real = Real::start("bury");
    let (sink, dead) = real.sink();
    let too_long = "x".repeat(70_000); // InfluxDB's keys end at 65,535 bytes
    let mut points: Vec<_> = (0..200).map(|number| point(&format!("{number}"), "/", number)).collect();
    points.insert(77, point(&too_long, "/", 0));
    submit_and_wait(&sink, points);
    let line = dead.try_recv().expect("buried before the ack");
    assert!(line.line.starts_with(b"url_top,rank=xxx"));
    assert!(line.reason.starts_with("max key length exceeded"), "{}", line.reason);
    assert!(dead.try_recv().is_err());
    assert_eq!((sink.status().points_written, sink.status().points_refused), (200, 1));
    let client = Client::new(&real.config, &Tuning::default()).unwrap();
    let count = client.query("SELECT count(requests) FROM url_top").unwrap();
    assert_eq!(count[0].values[0][1], json!(200));
}

#[test]
#[ignore = "needs a real InfluxDB: CLICKPULSE_TEST_INFLUX"]
fn writing_goes_on_when_token_and_bucket_are_put_right_on_the_server() {
    let real = Real::start("cure");
    let (id, token) = real.make_token("write");
    real.api("PATCH", &format!("/api/v2/authorizations/{id}"), Some(&json!({"status": "inactive"})));
    let config = InfluxConfig { token, ..real.config.clone() };
    let (sink, _dead) = sink_of(&config);
    let (sender, acks) = channel();
    sink.submit(PointBatch {
        points: vec![point("1", "/", 1)],
        ack: Ack::new(move || sender.send(()).unwrap()),
    });
    let problem = await_problem(&sink);
    assert!(problem.starts_with("influxdb.token"), "{problem}");
    assert!(acks.try_recv().is_err());
    real.api("PATCH", &format!("/api/v2/authorizations/{id}"), Some(&json!({"status": "active"})));
    acks.recv_timeout(PATIENCE).expect("an ack once the token is active");

    let config = InfluxConfig { rollup_1h: real.name("later"), ..real.config.clone() };
    let (sink, _dead) = sink_of(&config);
    let (sender, acks) = channel();
    let mut hour = point("1", "/", 1);
    hour.resolution = Resolution::Hour;
    sink.submit(PointBatch { points: vec![hour], ack: Ack::new(move || sender.send(()).unwrap()) });
    let problem = await_problem(&sink);
    assert!(problem.starts_with("influxdb.rollup_1h"), "{problem}");
    assert!(acks.try_recv().is_err());
    real.make_bucket("later", 0);
    acks.recv_timeout(PATIENCE).expect("an ack once the bucket is there");
}

#[test]
#[ignore = "needs a real InfluxDB: CLICKPULSE_TEST_INFLUX"]
fn a_point_written_again_has_its_new_values_only() {
    let real = Real::start("again");
    let (sink, _dead) = real.sink();
    let (sender, acks) = channel();
    for version in 0..50 {
        let points = (0..100).map(|rank| {
            let mut point = point(&format!("{rank}"), &format!("/{version}"), 0);
            point.fields[1] = FieldValue::Integer(version);
            point
        });
        let sender = sender.clone();
        let ack = Ack::new(move || sender.send(version).unwrap());
        sink.submit(PointBatch { points: points.collect(), ack });
    }
    for version in 0..50 {
        assert_eq!(acks.recv_timeout(PATIENCE), Ok(version));
    }
    let client = Client::new(&real.config, &Tuning::default()).unwrap();
    let all = client.query("SELECT count(requests), min(requests), max(requests) FROM url_top").unwrap();
    assert_eq!(all[0].values[0][1..], [json!(100), json!(49), json!(49)]);
}

/// A real server, with buckets for one test.
struct Real {
    config: InfluxConfig,
    prefix: String,
    org_id: String,
    agent: ureq::Agent,
}

impl Real {
    fn start(test: &str) -> Self {
        let given = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
        let nanos = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let prefix = format!("writer-{test}-{nanos}");
        let config = InfluxConfig {
            url: given("CLICKPULSE_TEST_INFLUX"),
            org: given("CLICKPULSE_TEST_INFLUX_ORG"),
            token: given("CLICKPULSE_TEST_INFLUX_TOKEN"),
            bucket: format!("{prefix}/raw_10s"),
            rollup_1m: format!("{prefix}/rollup_1m"),
            rollup_1h: format!("{prefix}/rollup_1h"),
        };
        let agent = ureq::Agent::config_builder().proxy(None).build().into();
        let mut real = Self { config, prefix, org_id: String::new(), agent };
        let orgs = real.api("GET", &format!("/api/v2/orgs?org={}", real.config.org), None);
        real.org_id = orgs["orgs"][0]["id"].as_str().unwrap().to_owned();
        for name in ["raw_10s", "rollup_1m", "rollup_1h"] {
            real.make_bucket(name, 0);
        }
        real
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    fn raw(&self) -> Bucket {
        self.config.bucket(Resolution::Raw)
    }

    fn make_bucket(&self, name: &str, retention_s: u64) {
        let rules = json!([{"type": "expire", "everySeconds": retention_s}]);
        let body = json!({"orgID": self.org_id, "name": self.name(name), "retentionRules": rules});
        self.api("POST", "/api/v2/buckets", Some(&body));
    }

    /// A token that may only read, or only write, this test's three buckets: its id and the token.
    fn make_token(&self, action: &str) -> (String, String) {
        let permission = |bucket: &str| {
            let found =
                self.api("GET", &format!("/api/v2/buckets?name={}", bucket.replace('/', "%2F")), None);
            let resource = json!({"type": "buckets", "id": found["buckets"][0]["id"], "orgID": self.org_id});
            json!({"action": action, "resource": resource})
        };
        let InfluxConfig { bucket, rollup_1m, rollup_1h, .. } = &self.config;
        let permissions = [bucket, rollup_1m, rollup_1h].map(|bucket| permission(bucket));
        let body = json!({"orgID": self.org_id, "permissions": permissions});
        let made = self.api("POST", "/api/v2/authorizations", Some(&body));
        (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
    }

    fn write_as(&self, config: &InfluxConfig) -> WriteOutcome {
        Client::new(config, &Tuning::default()).unwrap().write(&self.raw(), b"m,t=a f=9i 1700000009000\n")
    }

    fn sink(&self) -> (InfluxSink, Receiver<DeadLine>) {
        sink_of(&self.config)
    }

    fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.config.url))
            .header("Authorization", format!("Token {}", self.config.token))
            .body(body.map(Value::to_string).unwrap_or_default())
            .unwrap();
        let mut response = self.agent.run(request).unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    }
}

fn sink_of(config: &InfluxConfig) -> (InfluxSink, Receiver<DeadLine>) {
    let (sender, dead) = channel();
    let sender = Mutex::new(sender);
    let tuning = Tuning { pause: Arc::new(ShortPause), ..Tuning::default() };
    let bury = Arc::new(move |line| sender.lock().unwrap().send(line).unwrap());
    (InfluxSink::start_tuned(config, &tuning, bury).unwrap(), dead)
}

/// Asks the server again soon, whatever the writer would wait.
struct ShortPause;

impl Pause for ShortPause {
    fn pause(&self, _: Duration, _: &Stop) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn submit_and_wait(sink: &InfluxSink, points: Vec<Point>) {
    let (sender, acks) = channel();
    sink.submit(PointBatch { points, ack: Ack::new(move || sender.send(()).unwrap()) });
    acks.recv_timeout(PATIENCE).expect("an ack");
}

fn await_problem(sink: &InfluxSink) -> String {
    loop {
        if let Some(problem) = sink.status().problem {
            return problem;
        }
        std::thread::yield_now();
    }
}

fn point(rank: &str, url: &str, second: usize) -> Point {
    let fields = vec![FieldValue::Text(url.into()), FieldValue::Integer(1), FieldValue::Integer(0)];
    let time = Timestamp::from_secs(1_755_720_650 + i64::try_from(second).unwrap());
    Point::new(Resolution::Raw, &URL_TOP, vec![rank.into()], fields, time)
}
