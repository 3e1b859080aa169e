//! Reading from InfluxDB: the check before a run, and queries.

#[path = "influx/harness.rs"]
#[expect(dead_code, reason = "shared with the tests of the writer")]
mod harness;
#[path = "influx/server.rs"]
#[expect(dead_code, reason = "shared with the tests of the writer")]
mod server;

use processor::influx::{Client, QueryError, Tuning, check};
use serde_json::json;
use server::{Reply, Request, Server};

#[test]
fn everything_right_is_one_line_each_and_leaves_nothing_behind() {
    let server = Server::start(healthy(|_| Reply::ok()));
    let lines = check(&client(&server.url));
    let printed: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert_eq!(
        printed,
        [
            format!("ok      influxdb.url = {}: InfluxDB 2.9.1 is ready", server.url),
            r#"ok      influxdb.bucket = "clickstream/raw_10s": can be written, org "acme & co""#.to_owned(),
            r#"ok      influxdb.rollup_1m = "clickstream/rollup_1m": can be written, org "acme & co""#
                .to_owned(),
            r#"ok      influxdb.rollup_1h = "clickstream/rollup_1h": can be written, org "acme & co""#
                .to_owned(),
        ]
    );
    assert!(server.writes().is_empty());
}

#[test]
fn a_bucket_that_is_not_there_fails_alone() {
    let server = Server::start(healthy(|request| match request.bucket().as_str() {
        "clickstream/rollup_1m" => Reply::error(404, "bucket \"clickstream/rollup_1m\" not found"),
        _ => Reply::ok(),
    }));
    let lines = check(&client(&server.url));
    assert_eq!(lines.iter().map(|line| line.ok).collect::<Vec<_>>(), [true, true, false, true]);
    assert!(lines[2].to_string().starts_with("FAILED  influxdb.rollup_1m"), "{}", lines[2]);
    assert!(lines[2].verdict.contains("influx bucket create"), "{}", lines[2]);
}

#[test]
fn a_write_api_that_refuses_even_no_lines_fails() {
    let server = Server::start(healthy(|_| Reply::error(400, "Please provide either orgID or org")));
    let lines = check(&client(&server.url));
    assert_eq!(lines.iter().filter(|line| line.ok).count(), 1);
    assert!(lines[1].verdict.contains("refuses any write"), "{}", lines[1]);
}

#[test]
fn no_server_is_said_once() {
    let server = Server::start(|_| Reply::Disconnect);
    let lines = check(&client(&server.url));
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].ok);
    assert!(lines[0].verdict.contains(&format!("{} does not answer", server.url)), "{}", lines[0]);
}

#[test]
fn an_influxdb_that_is_starting_is_not_ready() {
    let body = json!({"status": "fail", "message": "starting", "version": "2.9.1"}).to_string();
    let server = Server::start(move |_| Reply::Answer { status: 200, headers: vec![], body: body.clone() });
    let lines = check(&client(&server.url));
    assert!(!lines[0].ok);
    assert!(lines[0].verdict.contains("not ready (fail: starting)"), "{}", lines[0]);
}

#[test]
fn something_else_at_the_address_is_not_an_influxdb() {
    let server = Server::start(|_| Reply::Answer { status: 200, headers: vec![], body: "<html>".to_owned() });
    let lines = check(&client(&server.url));
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].ok, "{}", lines[0]);
}

#[test]
fn a_query_names_database_and_retention_policy_and_reads_series() {
    let server = Server::start(|_| {
        let series = json!({
            "name": "http", "tags": {"route": "/"}, "columns": ["time", "requests"], "values": [[1000, 5]],
        });
        let body = json!({"results": [{"statement_id": 0, "series": [series]}, {"statement_id": 1}]});
        Reply::Answer { status: 200, headers: vec![], body: body.to_string() }
    });
    let series = client(&server.url).query("SELECT * FROM \"http\" WHERE route = '/a&b'").unwrap();
    assert_eq!(series.len(), 1);
    assert_eq!((series[0].name.as_str(), series[0].tags["route"].as_str()), ("http", "/"));
    assert_eq!(series[0].values, [[json!(1000), json!(5)]]);
    let request = &server.all()[0];
    assert_eq!(request.target, "/query?db=clickstream&rp=raw_10s&epoch=ms");
    assert_eq!(request.headers["authorization"], "Token s3cret");
    assert_eq!(request.body, "q=SELECT%20%2A%20FROM%20%22http%22%20WHERE%20route%20%3D%20%27%2Fa%26b%27");
}

#[test]
fn a_failing_query_says_why() {
    let statement = json!({"results": [{"statement_id": 0, "error": "database not found: x"}]}).to_string();
    let server =
        Server::start(move |_| Reply::Answer { status: 200, headers: vec![], body: statement.clone() });
    let client = client(&server.url);
    let error = client.query("SELECT 1").unwrap_err();
    assert_eq!(error.to_string(), "influxdb answers 200: database not found: x");
    server.change(|_| Reply::error(400, "failed to parse query"));
    let error = client.query("SELECT 1").unwrap_err();
    assert_eq!(error.to_string(), "influxdb answers 400: failed to parse query");
    server.change(|_| Reply::Answer { status: 200, headers: vec![], body: "nonsense".to_owned() });
    assert!(matches!(client.query("SELECT 1").unwrap_err(), QueryError::Malformed(_)));
    server.change(|_| Reply::Disconnect);
    assert!(matches!(client.query("SELECT 1").unwrap_err(), QueryError::Transport { .. }));
}

fn client(url: &str) -> Client {
    Client::new(&harness::config(url), &Tuning::default()).unwrap()
}

/// A server that is ready, and answers writes as told.
fn healthy(mut write: impl FnMut(&Request) -> Reply + Send) -> impl FnMut(&Request) -> Reply + Send {
    move |request| match request.target.as_str() {
        "/health" => {
            let body = json!({"status": "pass", "message": "ready", "version": "2.9.1"}).to_string();
            Reply::Answer { status: 200, headers: vec![], body }
        }
        _ => write(request),
    }
}
