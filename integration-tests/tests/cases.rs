//! Inputs that went wrong for people, each with its right answer in what Kafka and InfluxDB hold afterwards.
//!
//! One Kafka and one InfluxDB serve all cases, a few at a time; each case has topics, a group and buckets of its own.
//! `cargo test -p integration-tests --test cases -- money` runs those with `money` in their name. The inputs lie in
//! `integration-tests/cases`, whose README says how to read them.

use std::process::ExitCode;
use std::sync::Arc;

use integration_tests::{Influx, Kafka};
use libtest_mimic::{Arguments, Trial};

#[path = "cases/aside.rs"]
mod aside;
#[path = "cases/http.rs"]
mod http;
#[path = "cases/idle.rs"]
mod idle;
#[path = "cases/money.rs"]
mod money;
#[path = "cases/names.rs"]
mod names;
#[path = "cases/neighbours.rs"]
mod neighbours;
#[path = "cases/presets.rs"]
mod presets;
#[path = "cases/replay.rs"]
mod replay;
#[path = "cases/restart.rs"]
mod restart;
#[path = "cases/rules.rs"]
mod rules;
#[path = "cases/said.rs"]
mod said;
#[path = "cases/support.rs"]
mod support;
#[path = "cases/times.rs"]
mod times;
#[path = "cases/types.rs"]
mod types;

use support::{Services, Test};

/// Cases at a time: each runs one processor, which waits for its group and its end most of the time.
const AT_A_TIME: usize = 4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(AT_A_TIME);
    let tests: Vec<Test> =
        [aside::TESTS, http::TESTS, idle::TESTS, money::TESTS, names::TESTS, neighbours::TESTS]
            .into_iter()
            .chain([presets::TESTS, replay::TESTS, restart::TESTS, rules::TESTS, said::TESTS])
            .chain([times::TESTS, types::TESTS])
            .flatten()
            .copied()
            .collect();
    if arguments.list {
        let trials = tests.iter().map(|test| Trial::test(test.name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let services = Arc::new(Services { kafka: Kafka::start(), influx: Influx::start() });
    let trial = |test: Test| {
        let services = Arc::clone(&services);
        Trial::test(test.name, move || {
            (test.run)(&services);
            Ok(())
        })
    };
    // The exit code is returned, not exited with: the servers end with their owner.
    libtest_mimic::run(&arguments, tests.into_iter().map(trial).collect()).exit_code()
}
