//! The program as it is typed: exit codes, messages, help.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

#[test]
fn help_is_worth_reading() {
    for (name, arguments) in [
        ("help", &["--help"][..]),
        ("help_run", &["run", "--help"]),
        ("help_check", &["check", "--help"]),
        ("help_explain", &["explain", "--help"]),
        ("help_suggest", &["suggest", "--help"]),
        ("help_verify", &["verify", "--help"]),
        ("help_dlq", &["dlq", "--help"]),
        ("help_dlq_list", &["dlq", "list", "--help"]),
        ("help_dlq_show", &["dlq", "show", "--help"]),
        ("help_dlq_replay", &["dlq", "replay", "--help"]),
    ] {
        let output = processor(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        insta::assert_snapshot!(name, stdout(&output));
    }
}

#[test]
fn what_is_mistyped_ends_with_2_and_the_nearest_name() {
    let expectations = [
        (&["rum"][..], "'run'"),
        (&["run", "--untill-end"], "'--until-end'"),
        (&["run", "--confg", "x"], "'--config'"),
        (&["run", "--log-format", "jsn"], "'json'"),
        (&["verify", "--resolution", "10s"], "possible values: raw, 1m, 1h"),
        (&["verify", "--from", "noon"], "write it as 2026-01-15T08:00:00Z"),
        (&["verify"], "influxdb is missing"),
        (&["explain"], "<FILE>"),
        (&["explain", "--last", "0"], "0 is not in 1.."),
        (&["explain", "--last", "5", "x"], "cannot be used with"),
        (&["explain", "--input", "none", "-"], "no [[inputs]] section reads it; there is clickstream_events"),
        (&["explain", "/none/such"], "cannot read /none/such"),
        (&["suggest"], "<FILE>"),
        (&["suggest", "--topic", "t", "--property", "x"], "write it as NAME=VALUE"),
        (&["suggest", "--topic", "t", "--property", "no.such=1"], "no.such"),
        (&["dlq", "lst"], "'list'"),
        (&["dlq", "show", "--reason", "bad_time"], "did you mean bad_timestamp?"),
        (&["dlq", "show", "--limit", "many"], "invalid value 'many'"),
        (&["dlq", "show", "--limit", "0"], "0 is not in 1.."),
        (&["dlq", "replay", "--yes", "--dry-run"], "cannot be used with"),
        (&["run", "--log-level", "a=loud"], "log.level = \"a=loud\" is not a filter"),
        (&[], "Usage: processor"),
    ];
    for (arguments, expected) in expectations {
        let output = processor(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn wrong_settings_end_every_command_with_2_before_it_does_anything() {
    let dir = TempDir::new().unwrap();
    let file = written(&dir, "[windws]\nsize = \"10s\"\n");
    for command in [&["run"][..], &["check"], &["dlq", "list"]] {
        let output = processor(command).arg("--config").arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        let expected = format!(
            "error: windws is not a known section; did you mean [windows]? (in {})\n",
            file.display()
        );
        assert_eq!((stdout(&output), stderr(&output)), (String::new(), expected));
    }
}

#[test]
fn unknown_variables_and_unreadable_files_are_named() {
    let output = processor(&["check"]).env("CLICKPULSE__KAFKA__BROKER", "a:1").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let expected = "error: kafka.broker is not a known key; did you mean kafka.brokers? (from CLICKPULSE__KAFKA__BROKER)\n";
    assert_eq!(stderr(&output), expected);

    let output = processor(&["check", "--config", "/none/such.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let expected = "error: cannot read the settings file /none/such.toml: No such file or directory";
    assert!(stderr(&output).starts_with(expected), "{}", stderr(&output));
}

#[test]
fn check_tries_everything_even_after_a_failure() {
    let dir = TempDir::new().unwrap();
    let (kafka, influxdb) = (closed_port(), closed_port());
    let file = written(
        &dir,
        &format!(
            "[kafka]\nbrokers = [\"127.0.0.1:{kafka}\"]\n[influxdb]\nurl = \"http://127.0.0.1:{influxdb}\"\n\
             token = \"hunter2\"\n[files]\ndir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n",
            dir.path()
        ),
    );
    let output = processor(&["check"]).arg("--config").arg(file).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let (text, addresses) = (stdout(&output), [kafka, influxdb].map(|port| format!("127.0.0.1:{port}")));
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        "ok    settings",
        "FAIL  kafka.brokers",
        "FAIL  influxdb.url",
        "ok    files.dir",
        "ok    http.listen",
    ];
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line:?} is not {expected:?}");
    }
    assert!(lines[1].contains(&addresses[0]) && lines[2].contains(&addresses[1]), "{text}");
    assert!(!format!("{text}{}", stderr(&output)).contains("hunter2"));
    assert!(
        stderr(&output).contains("error: 2 of the things looked at would not work"),
        "{}",
        stderr(&output)
    );
}

const THEIRS: &str = r#"{"member":"m1","ts":1755010801,"path":"/a","statusCode":503}
{"member":"m2","ts":1755010802,"path":"/b","statusCode":200}
"#;

#[test]
fn what_is_suggested_for_a_file_reads_it() {
    let dir = TempDir::new().unwrap();
    let events = dir.path().join("events.ndjson");
    std::fs::write(&events, THEIRS).unwrap();
    let before = processor(&["explain"]).arg(&events).output().unwrap();
    assert_eq!(before.status.code(), Some(1));
    let text = stdout(&before);
    assert!(text.contains("line 1  REFUSED  missing_field: event_timestamp"), "{text}");
    assert!(text.contains(r#"under [inputs.fields]: "member" = "user_id""#), "{text}");
    assert!(stderr(&before).contains("2 of 2 records would be refused"), "{}", stderr(&before));

    let suggested = processor(&["suggest", "--topic", "web.events"]).arg(&events).output().unwrap();
    assert_eq!((suggested.status.code(), stderr(&suggested)), (Some(0), String::new()));
    let settings = written(&dir, &stdout(&suggested));
    let after = processor(&["explain", "--input", "web.events", "--config"])
        .arg(&settings)
        .arg(&events)
        .output()
        .unwrap();
    assert_eq!(after.status.code(), Some(0), "{}", stdout(&after));
    let text = stdout(&after);
    assert!(text.contains("line 1  page_view  2025-08-12T15:00:01Z  user m1  GET /a  503\n"), "{text}");
    assert!(text.contains("2 records: 2 counted, 0 refused\n") && !text.contains("hint:"), "{text}");

    let json = processor(&["explain", "--json", "--config"]).arg(&settings).arg(&events).output().unwrap();
    let lines: Vec<serde_json::Value> =
        stdout(&json).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["event"]["http_status"], 503);
    assert_eq!((&lines[2]["summary"]["records"], lines.len()), (&serde_json::json!(2), 3));
}

#[test]
fn records_of_one_kind_are_told_three_times() {
    let dir = TempDir::new().unwrap();
    let events = dir.path().join("events.ndjson");
    let line = r#"{"user_id":"u","event_timestamp":1755010801,"url":"/","http_status":200}"#;
    std::fs::write(&events, format!("{line}\n").repeat(50)).unwrap();
    let text = stdout(&processor(&["explain"]).arg(&events).output().unwrap());
    assert!(text.contains("line 3 ") && !text.contains("line 4 "), "{text}");
    assert!(text.contains("… 47 records like ones above\n"), "{text}");
}

#[test]
fn a_topic_without_kafka_ends_with_1_and_its_address() {
    let broker = format!("127.0.0.1:{}", closed_port());
    for command in [&["explain", "--last", "5"][..], &["suggest", "--topic", "t"]] {
        let output = processor(command).env("CLICKPULSE__KAFKA__BROKERS", &broker).output().unwrap();
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()));
        let text = stderr(&output);
        assert!(text.starts_with("error: cannot reach kafka: ") && text.contains(&broker), "{text}");
    }
    let output = processor(&["suggest", "--topic", "t", "--brokers", &broker]).output().unwrap();
    assert!(stderr(&output).contains(&broker), "{}", stderr(&output));
}

#[test]
fn dead_letters_without_kafka_end_with_1_and_its_address() {
    let broker = format!("127.0.0.1:{}", closed_port());
    let output = processor(&["dlq", "list"]).env("CLICKPULSE__KAFKA__BROKERS", &broker).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.starts_with("error: cannot reach kafka: ") && text.contains(&broker), "{text}");
    assert_eq!((text.lines().count(), stdout(&output)), (1, String::new()), "{text}");
}

#[test]
fn a_signal_ends_a_run_with_0_even_before_kafka_is_there() {
    for signal in ["-TERM", "-INT"] {
        let mut run = processor(&["run", "--log-format", "json"])
            .env("CLICKPULSE__KAFKA__BROKERS", format!("127.0.0.1:{}", closed_port()))
            .env("CLICKPULSE__HTTP__LISTEN", "127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(run.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("status page is served") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it began");
            assert!(line.starts_with('{'), "not JSON: {line}");
        }
        let killed = Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let mut rest = String::new();
        log.read_to_string(&mut rest).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(0), "{rest}");
        assert!(rest.contains("\"message\":\"finished\""), "{rest}");
    }
}

#[test]
fn what_this_build_cannot_do_with_kafka_ends_every_command_with_2_before_it_does_anything() {
    let dir = TempDir::new().unwrap();
    let file = written(
        &dir,
        "[http]\nlisten = \"127.0.0.1:0\"\n[influxdb]\ntoken = \"t\"\n[kafka.properties]\n\
         \"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"OAUTHBEARER\"\n\
         \"sasl.username\" = \"shop\"\n\"sasl.password\" = \"invented\"\n",
    );
    for command in [
        &["run"][..],
        &["run", "--until-end"],
        &["check"],
        &["verify"],
        &["dlq", "list"],
        &["dlq", "replay", "--yes"],
    ] {
        let output = processor(command).arg("--config").arg(&file).output().unwrap();
        let (said, log) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(2), "{command:?}: {log}");
        assert!(
            log.contains("kafka.properties.sasl.mechanism = \"OAUTHBEARER\"")
                && log.contains("SCRAM-SHA-512"),
            "{log}"
        );
        assert!(said.is_empty() && !log.contains("status page") && !log.contains("invented"), "{said}{log}");
    }
}

/// The program with nothing of this machine's environment.
fn processor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_processor"));
    command.args(arguments).env_clear();
    command
}

fn written(dir: &TempDir, settings: &str) -> PathBuf {
    let file = dir.path().join("clickpulse.toml");
    std::fs::write(&file, settings).unwrap();
    file
}

/// A port where nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
