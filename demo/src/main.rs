//! Clickpulse in one process: see the library's documentation.

use std::process::ExitCode;

use clap::Parser;
use demo::{Args, DemoError};
use processor::{exit, shutdown, telemetry};

// Overrides malloc itself, as librdkafka allocates on one thread and frees on another for every message.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let plan = match Args::parse().plan() {
        Ok(plan) => plan,
        Err(error) => return exit::usage(&error), // telemetry is not up yet, so this prints
    };
    telemetry::init(&plan.settings.log);
    let result = shutdown::on_signals().map_err(DemoError::Signals).and_then(|stop| demo::run(&plan, &stop));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_usage() => exit::usage(&error),
        Err(error) => exit::failure(&error),
    }
}
