//! `bench`: what Clickpulse costs, beside what the same machine needs without it. `docs/performance.md` has results.

mod core;
mod freshness;
mod process;
mod reader;
mod snapshot;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

// As in the programs measured: the allocator decides much of what librdkafka costs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(about = "Measures; compare figures of one run only, as machines are noisy", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The core alone, on one thread: decode, windows, first click
    Core(core::Args),
    /// A bare librdkafka reader: its batch API, every payload touched, nothing decoded
    Reader(reader::Args),
    /// A task's state frozen, encoded and restored
    Snapshot(snapshot::Args),
    /// From an event's send to the moment a query of InfluxDB shows it
    Freshness(freshness::Args),
}

fn main() -> ExitCode {
    let done: Result<(), Box<dyn std::error::Error>> = match Cli::parse().command {
        Command::Core(args) => core::run(&args).map_err(Into::into),
        Command::Reader(args) => reader::run(&args).map_err(Into::into),
        Command::Snapshot(args) => {
            snapshot::run(&args);
            Ok(())
        }
        Command::Freshness(args) => freshness::run(&args).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
