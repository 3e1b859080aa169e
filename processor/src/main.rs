//! The `processor` program. `processor --help` says what it does.

use std::error::Error;
use std::io::stdout;
use std::process::ExitCode;

use clap::Parser as _;
use processor::cli::{Cli, Command, RunArgs, dlq, explain, suggest, verify};
use processor::runtime::{RunOptions, RunSummary};
use processor::settings::Settings;
use processor::status::Totals;
use processor::{check, exit, runtime, shutdown, telemetry};

// Unprefixed, so that librdkafka's C code uses it too: it frees on other threads than it allocates on.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Two arenas serve a few threads as well as eight would and keep less free memory apart; what is freed goes back to the
/// system within a second instead of ten.
#[expect(unsafe_code, reason = "jemalloc looks for its settings under this name; nothing else is called so")]
#[unsafe(export_name = "malloc_conf")]
static MALLOC_CONF: Option<&'static std::ffi::c_char> = {
    const CONF: &std::ffi::CStr = c"narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0";
    // SAFETY: a pointer to a static text that ends with a zero.
    Some(unsafe { &*CONF.as_ptr() })
};

fn main() -> ExitCode {
    let cli = Cli::parse(); // what it does not understand ends here, with exit code 2 and the nearest flag
    let settings = match Settings::load(&cli.sources()) {
        Ok(settings) => settings,
        Err(error) => return exit::usage(&error), // logging is not up yet, so this prints
    };
    if cli.logs() {
        telemetry::init(&settings.log);
    }
    let done = match cli.command {
        Command::Run(args) => run(&settings, &args),
        Command::Check => check::run(&settings, &mut stdout().lock()).map_err(Into::into),
        Command::Explain(args) => match explain::run(&settings, &args, &mut stdout().lock()) {
            Err(error) if error.is_usage() => return exit::usage(&error),
            done => done.map_err(Into::into),
        },
        Command::Suggest(args) => match suggest::run(&settings, &args, &mut stdout().lock()) {
            Err(error) if error.is_usage() => return exit::usage(&error),
            done => done.map_err(Into::into),
        },
        Command::Verify(args) => match verify::run(&settings, &args, &mut stdout().lock()) {
            Err(error) if error.is_usage() => return exit::usage(&error),
            done => done.map_err(Into::into),
        },
        Command::Dlq(command) => dlq::run(&command, &settings, &mut stdout().lock()).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failure(&*error),
    }
}

fn run(settings: &Settings, args: &RunArgs) -> Result<(), Box<dyn Error>> {
    let options = RunOptions { until_end: args.until_end, ..RunOptions::default() };
    let RunSummary { totals, points_written, seconds, cpu_seconds } =
        runtime::run(settings, &options, &shutdown::on_signals()?)?;
    let Totals { consumed, counted, duplicates, late, rejected } = totals;
    tracing::info!(
        consumed,
        counted,
        duplicates,
        late,
        rejected,
        points_written,
        seconds,
        cpu_seconds,
        "finished"
    );
    Ok(())
}
