use processor_core::Resolution;

use super::super::config::tests::config;
use super::*;

#[test]
fn wrong_settings_are_named_with_a_cure() {
    let cases = [
        (
            WriteOutcome::Unauthorized { message: "unauthorized access".to_owned() },
            "influxdb.token is refused",
        ),
        (
            WriteOutcome::Forbidden { message: "insufficient permissions for write".to_owned() },
            "influxdb.token may not write influxdb.rollup_1m = \"clickstream/rollup_1m\"",
        ),
        (
            WriteOutcome::NotFound { message: "organization name \"acme\" not found".to_owned() },
            "influxdb.org = \"acme\" does not exist",
        ),
        (
            WriteOutcome::NotFound { message: "bucket \"clickstream/rollup_1m\" not found".to_owned() },
            "influxdb.rollup_1m = \"clickstream/rollup_1m\" does not exist",
        ),
        (
            WriteOutcome::NotFound { message: "404 page not found".to_owned() },
            "influxdb.url = http://influx:8086 has no InfluxDB",
        ),
        (
            WriteOutcome::Unexpected { status: 301, message: "redirects to https://x".to_owned() },
            "influxdb.url = http://influx:8086 answers a write with 301 (redirects to https://x)",
        ),
    ];
    for (outcome, begins) in cases {
        let problem = problem(&outcome).unwrap();
        assert!(problem.what.starts_with(begins), "{problem}");
        assert!(problem.needs_hand);
        assert!(problem.cure.contains("influxdb."), "{problem}");
    }
}

#[test]
fn what_passes_by_itself_needs_no_hand() {
    let busy = WriteOutcome::Busy { status: 503, retry_after: Some(std::time::Duration::from_secs(5)) };
    let server = WriteOutcome::Server { status: 500, message: "internal error".to_owned() };
    let transport = WriteOutcome::Transport("connection refused".to_owned());
    for outcome in [busy, server, transport] {
        let problem = problem(&outcome).unwrap();
        assert!(!problem.needs_hand, "{problem}");
        assert!(problem.what.contains("http://influx:8086"), "{problem}");
    }
}

#[test]
fn outcomes_of_lines_are_no_problem_of_the_target() {
    let message = String::new();
    let partial = WriteOutcome::Partial { refused: 1, message: message.clone() };
    for outcome in [WriteOutcome::Ok, partial, WriteOutcome::BadLine { message }, WriteOutcome::TooLarge] {
        assert_eq!(problem(&outcome), None);
    }
}

#[test]
fn no_problem_shows_the_token() {
    let outcome = WriteOutcome::Unauthorized { message: String::new() };
    assert!(!problem(&outcome).unwrap().to_string().contains("s3cret"));
}

fn problem(outcome: &WriteOutcome) -> Option<Problem> {
    let config = config();
    Problem::of(outcome, &config, &config.bucket(Resolution::Minute))
}
