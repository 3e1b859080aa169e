//! `processor explain`: which records of which input, as text or JSON, and as an exit code.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use events::Decoder;

use super::ExplainArgs;
use crate::explain::{Explainer, Sample, SampleError, from_file, from_topic};
use crate::settings::{InputSettings, Settings};
use crate::suggest::{Record, hints};

/// Why `explain` does not end with 0.
#[derive(Debug, thiserror::Error)]
pub enum ExplainFailed {
    /// Some records are refused.
    #[error("{refused} of {records} records would be refused; the lines above say why")]
    Refused {
        /// How many.
        refused: u64,
        /// Of how many.
        records: u64,
    },
    /// The settings do not read that topic.
    #[error("--input {input:?}: no [[inputs]] section reads it; there is {known}")]
    NoSuchInput {
        /// What was asked for.
        input: String,
        /// What could be.
        known: String,
    },
    /// It is not clear which input is meant.
    #[error("--input is missing: which of {known}?")]
    WhichInput {
        /// What could be meant.
        known: String,
    },
    /// The mapping of the input.
    #[error("inputs")]
    Input(#[from] events::OptionsError),
    /// The records cannot be read.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The text cannot be written.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

impl ExplainFailed {
    /// Whether something has to be asked differently.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoSuchInput { .. }
                | Self::WhichInput { .. }
                | Self::Input(_)
                | Self::Sample(SampleError::File { .. })
        )
    }
}

/// Explains what was asked for, with the text to `out`.
///
/// # Errors
/// [`ExplainFailed`], also where a record is refused. A reader of `out` that has seen enough is no error.
pub fn run(settings: &Settings, args: &ExplainArgs, out: &mut impl Write) -> Result<(), ExplainFailed> {
    match explain(settings, args, out) {
        Err(ExplainFailed::Output(error) | ExplainFailed::Sample(SampleError::Output(error)))
            if error.kind() == io::ErrorKind::BrokenPipe =>
        {
            Ok(())
        }
        done => done,
    }
}

fn explain(settings: &Settings, args: &ExplainArgs, out: &mut impl Write) -> Result<(), ExplainFailed> {
    let input = input(settings, args.input.as_deref())?;
    let mut explainer = Explainer::new(Decoder::new(&input.decoder)?, args.json);
    let mut kept = Kept::default();
    match (&args.file, args.last) {
        (Some(file), _) => from_file(file, |sample| {
            kept.keep(sample);
            explainer.record(sample, out)
        })?,
        (None, last) => {
            let client = settings.kafka.client("clickpulse-explain");
            let mut progress = Progress::new(&input.topic);
            let last = last.unwrap_or(LAST) as usize;
            for sample in from_topic(&client, &input.topic, last, |read| progress.at(read))? {
                kept.keep(&sample);
                explainer.record(&sample, out)?;
            }
        }
    }
    explainer.summary(&hints(&input.decoder, input.keyed, &kept.records()), out)?;
    out.flush()?;
    match explainer.tally().refusals() {
        0 => Ok(()),
        refused => Err(ExplainFailed::Refused { refused, records: explainer.tally().records }),
    }
}

/// Where it is not said how many.
const LAST: u32 = 100;
/// Hints rest on so many records, and on so many bytes of them.
const KEPT_MAX: usize = 1_000;
const KEPT_BYTES_MAX: usize = 16 << 20;

/// The first records, which hints rest on.
#[derive(Default)]
struct Kept {
    samples: Vec<Sample>,
    bytes: usize,
}

impl Kept {
    fn keep(&mut self, sample: &Sample) {
        let bytes = self.bytes + sample.value.as_ref().map_or(0, Vec::len);
        if self.samples.len() < KEPT_MAX && bytes <= KEPT_BYTES_MAX {
            self.bytes = bytes;
            self.samples.push(sample.clone());
        }
    }

    fn records<'k>(&'k self) -> Vec<Record<'k>> {
        let of =
            |sample: &'k Sample| Some(Record { key: sample.key.as_deref(), value: sample.value.as_deref()? });
        self.samples.iter().filter_map(of).collect()
    }
}

/// Says on a terminal that records are being read.
pub(super) struct Progress<'t> {
    topic: &'t str,
    terminal: bool,
    shown: Instant,
}

impl<'t> Progress<'t> {
    const EVERY: Duration = Duration::from_millis(200);

    pub(super) fn new(topic: &'t str) -> Self {
        Self { topic, terminal: io::stderr().is_terminal(), shown: Instant::now() }
    }

    pub(super) fn at(&mut self, read: usize) {
        if self.terminal && self.shown.elapsed() >= Self::EVERY {
            self.shown = Instant::now();
            // Nobody is told where standard error is closed.
            let _ = write!(io::stderr(), "\r\x1b[K{read} records of {} read", self.topic);
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn input<'s>(settings: &'s Settings, topic: Option<&str>) -> Result<&'s InputSettings, ExplainFailed> {
    let known = || settings.inputs.iter().map(|input| &*input.topic).collect::<Vec<_>>().join(", ");
    match (topic, &settings.inputs[..]) {
        (None, [only]) => Ok(only),
        (None, _) => Err(ExplainFailed::WhichInput { known: known() }),
        (Some(topic), inputs) => inputs
            .iter()
            .find(|input| input.topic == topic)
            .ok_or_else(|| ExplainFailed::NoSuchInput { input: topic.to_owned(), known: known() }),
    }
}
