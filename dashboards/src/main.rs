//! Writes the dashboards and alert rules to `grafana/`, or says with `--check` what would change.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dashboards::{Slo, artefacts};

const USAGE: &str = "\
Usage: dashboards [--check] [--out DIR] [--objective RATIO] [--time-scale N]

Writes the Grafana dashboards and alert rules.

  --check            write nothing; exit 1 if a file differs
  --out DIR          instead of the repository's grafana/
  --objective RATIO  availability objective [0.99]
  --time-scale N     divide the windows of the burn-rate rules, for demonstrations [1]
";

struct Options {
    check: bool,
    out: PathBuf,
    slo: Slo,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether everything is as it should be.
fn run(options: &Options) -> Result<bool, String> {
    let mut fine = true;
    for artefact in artefacts(&options.slo) {
        let path = options.out.join(&artefact.path);
        if std::fs::read_to_string(&path).is_ok_and(|present| present == artefact.text) {
            continue;
        }
        if options.check {
            println!("differs: {}", path.display());
            fine = false;
            continue;
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        std::fs::write(&path, artefact.text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(fine)
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana");
    let mut options = Options { check: false, out: repository, slo: Slo::default() };
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(None),
            "--check" => options.check = true,
            "--out" => options.out = PathBuf::from(value()?),
            "--objective" => {
                let text = value()?;
                let objective: f64 = text.parse().map_err(|_| format!("--objective {text}: not a number"))?;
                if !(objective > 0.0 && objective < 1.0) {
                    return Err(format!("--objective {text}: must lie between 0 and 1"));
                }
                options.slo.objective = objective;
            }
            "--time-scale" => {
                let text = value()?;
                match text.parse() {
                    Ok(scale) if scale > 0 => options.slo.time_scale = scale,
                    _ => return Err(format!("--time-scale {text}: not a whole number from 1")),
                }
            }
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(Some(options))
}
