//! The command line as a user meets it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

fn producer(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_producer")).args(arguments).output().expect("the producer runs")
}

#[test]
fn an_unknown_flag_is_answered_with_the_nearest_and_exit_code_2() {
    let output = producer(&["run", "--rte", "5"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--rte") && said.contains("--rate"), "{said}");
}

#[test]
fn a_value_that_makes_no_sense_is_answered_with_what_would() {
    for (arguments, cure) in [
        (&["run", "--rate", "fast"][..], "20k"),
        (&["run", "--duration", "90"], "90s"),
        (&["run", "--late", "2"], "between 0 and 1"),
        (&["run", "--unpaced", "--stdout"], "--count or --duration"),
        (&["incident", "--kind", "error-spike", "--route", "/chekout"], "/checkout"),
        (&["incident", "--kind", "search-outage", "--route", "/checkout"], "leave --route out"),
        (&["run", "--format", "avro"], "json"),
    ] {
        let output = producer(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(cure), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_same_arguments_give_the_same_lines() {
    let arguments =
        ["run", "--stdout", "--unpaced", "--count", "2000", "--start-time", "2026-01-31T12:00:00Z"];
    let (one, again) = (producer(&arguments), producer(&arguments));
    assert!(one.status.success());
    assert_eq!(one.stdout.iter().filter(|byte| **byte == b'\n').count(), 2_000);
    assert!(one.stdout == again.stdout);
    let other = producer(&[&arguments[..], &["--seed", "2"]].concat());
    assert!(one.stdout != other.stdout);
}

#[test]
fn an_unreachable_broker_is_named_and_waited_for() {
    // Port 1 is nobody's.
    let mut child = Command::new(env!("CARGO_BIN_EXE_producer"))
        .args(["run", "--brokers", "127.0.0.1:1"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the producer runs");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("127.0.0.1:1 (--brokers), still trying")));
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    assert!(lines.any(|line| line.contains("sent 0 records")));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
