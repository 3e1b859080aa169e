//! `processor suggest`: from a topic or a file to a section of settings.

use std::io::{self, Write};

use super::SuggestArgs;
use super::explain::Progress;
use crate::explain::{Sample, SampleError, from_file, from_topic};
use crate::settings::Settings;
use crate::suggest::{Record, suggest};

/// Why `suggest` does not end with 0.
#[derive(Debug, thiserror::Error)]
pub enum SuggestFailed {
    /// There is nothing to learn from.
    #[error("there are no records to look at")]
    NoRecords,
    /// Nothing reads them.
    #[error(
        "by no section that could be found does any of {0} records count; the comments above say what is missing"
    )]
    NoneCounts(usize),
    /// Properties of librdkafka that cannot work.
    #[error("--property: {0}")]
    Property(String),
    /// The records cannot be read.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The text cannot be written.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

impl SuggestFailed {
    /// Whether something has to be asked differently.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Property(_) | Self::Sample(SampleError::File { .. }))
    }
}

/// Longer values are no help, and not kept.
const VALUE_MAX: usize = 1 << 20;
/// So many bytes of values are looked at.
const HELD_MAX: usize = 64 << 20;
/// The topic of a section for a file that is of none.
const NO_TOPIC: &str = "clickstream_events";

/// Suggests, with the section to `out`.
///
/// # Errors
/// [`SuggestFailed`]. A reader of `out` that has seen enough is no error.
pub fn run(settings: &Settings, args: &SuggestArgs, out: &mut impl Write) -> Result<(), SuggestFailed> {
    let samples = samples(settings, args)?;
    let records: Vec<Record<'_>> = samples
        .iter()
        .filter_map(|sample| Some(Record { key: sample.key.as_deref(), value: sample.value.as_deref()? }))
        .collect();
    if records.is_empty() {
        return Err(SuggestFailed::NoRecords);
    }
    let suggestion = suggest(&records);
    let topic = args.topic.as_deref().unwrap_or(NO_TOPIC);
    match write!(out, "{}", suggestion.section(topic)).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        done => done?,
    }
    if suggestion.seen.counted == 0 { Err(SuggestFailed::NoneCounts(records.len())) } else { Ok(()) }
}

fn samples(settings: &Settings, args: &SuggestArgs) -> Result<Vec<Sample>, SuggestFailed> {
    let (most, topic) = (args.last as usize, args.topic.as_deref());
    match (&args.file, topic) {
        (None, Some(topic)) => {
            let mut client = settings.kafka.client("clickpulse-suggest");
            client.properties.extend(args.properties.iter().cloned());
            let faults = kafka_properties::faults(&client.properties);
            if !faults.is_empty() {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                return Err(SuggestFailed::Property(faults.join("; ")));
            }
            let mut progress = Progress::new(topic);
            Ok(from_topic(&client, topic, most, |read| progress.at(read))?)
        }
        (file, _) => {
            let file = file.as_deref().unwrap_or_else(|| "-".as_ref());
            let (mut samples, mut held) = (Vec::new(), 0);
            from_file(file, |sample| {
                let size = sample.value.as_ref().map_or(0, Vec::len);
                if samples.len() < most && size <= VALUE_MAX && held + size <= HELD_MAX {
                    held += size;
                    samples.push(sample.clone());
                }
                Ok(())
            })?;
            Ok(samples)
        }
    }
}
