//! `producer run` and `producer incident`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use producer::{Shutdown, cli::Cli};

/// librdkafka allocates for every record on one thread and frees on another; glibc's allocator pays for that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let colour = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(colour).with_target(false).init();
    let shutdown = Shutdown::new();
    if let Err(error) = producer::cli::end_on_signal(&shutdown) {
        eprintln!("error: cannot listen for signals: {error}");
        return ExitCode::FAILURE;
    }
    cli.execute(&shutdown)
}
