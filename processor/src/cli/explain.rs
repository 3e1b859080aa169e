//! `processor explain`: which records of which input, as text or JSON, and as an exit code.

use std::io::{self, Write};

use events::Decoder;

use super::ExplainArgs;
use crate::explain::{Explainer, SampleError, from_file, from_topic};
use crate::settings::{InputSettings, Settings};

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
    match (&args.file, args.last) {
        (Some(file), _) => from_file(file, |sample| explainer.record(sample, out))?,
        (None, last) => {
            let client = settings.kafka.client("clickpulse-explain");
            for sample in from_topic(&client, &input.topic, last.unwrap_or(100) as usize, |_| {})? {
                explainer.record(&sample, out)?;
            }
        }
    }
    explainer.summary(out)?;
    out.flush()?;
    match explainer.tally().refusals() {
        0 => Ok(()),
        refused => Err(ExplainFailed::Refused { refused, records: explainer.tally().records }),
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
