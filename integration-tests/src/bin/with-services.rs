//! Runs a command beside a real Kafka and a real InfluxDB, which end with it:
//!
//! ```sh
//! cargo run -p integration-tests --bin with-services -- cargo test -p processor --test kafka -- --ignored
//! ```
//!
//! The command finds their addresses in `CLICKPULSE_TEST_KAFKA`, `CLICKPULSE_TEST_INFLUX`, `CLICKPULSE_TEST_INFLUX_TOKEN`
//! and `CLICKPULSE_TEST_INFLUX_ORG`; servers named there already are used instead of new ones. Its exit code is passed on.

use std::process::{Command, ExitCode};

use integration_tests::{Influx, Kafka};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: with-services COMMAND [ARGUMENT]…");
        return ExitCode::from(2);
    };
    let (kafka, influx) = (Kafka::start(), Influx::start());
    eprintln!("kafka at {}, influxdb at {}", kafka.bootstrap(), influx.url());
    let status = Command::new(&program)
        .args(words)
        .env("CLICKPULSE_TEST_KAFKA", kafka.bootstrap())
        .env("CLICKPULSE_TEST_INFLUX", influx.url())
        .env("CLICKPULSE_TEST_INFLUX_TOKEN", influx.admin_token())
        .env("CLICKPULSE_TEST_INFLUX_ORG", influx.org())
        .status();
    match status {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("{}: {error}", program.display());
            ExitCode::from(127)
        }
    }
}
