//! Where records to look at come from: a file, standard input, the end of a topic.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::kafka::admin::Admin;
use crate::kafka::scan::{Scan, Scanned};
use crate::kafka::{ClientSettings, KafkaError};

/// A record to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where it lies: `line 7`, or `2:1044` for partition and offset.
    pub place: String,
    /// Kafka's key; of a line of a file it is not known.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

/// Why no records can be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The file.
    #[error("cannot read {}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No broker answers.
    #[error("cannot reach kafka")]
    Unreachable(#[source] KafkaError),
    /// The topic.
    #[error("cannot read the topic {topic}")]
    Topic {
        /// Which.
        topic: String,
        /// Why.
        #[source]
        source: KafkaError,
    },
    /// Records that should be there do not come.
    #[error("kafka sent nothing of {topic} for {} s; {read} records were read", PATIENCE.as_secs())]
    Silent {
        /// Which topic.
        topic: String,
        /// How many came before.
        read: usize,
    },
    /// The text cannot be written.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

/// Longest silence of Kafka before giving up.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);
/// Longest line that is kept whole; the rest of a longer one is passed over.
const LINE_MAX: u64 = 64 << 20;
/// Records of a topic are held together, so that they can be told in their order; of more bytes than this the oldest go.
const HELD_MAX: usize = 64 << 20;
/// So many offsets without a record are expected at least, in each partition.
const MARKS: i64 = 10;

/// Gives every line of a file that is not blank to `each`; `-` is standard input.
///
/// # Errors
/// [`SampleError::File`], and what `each` fails with.
pub fn from_file(file: &Path, mut each: impl FnMut(&Sample) -> io::Result<()>) -> Result<(), SampleError> {
    let failed = |source| SampleError::File { file: file.to_owned(), source };
    let mut input: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file).map_err(failed)?))
    };
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 == LINE_MAX {
            input.skip_until(b'\n').map_err(failed)?;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let sample =
            Sample { place: format!("line {number}"), key: None, value: Some(std::mem::take(&mut line)) };
        each(&sample)?;
        line = sample.value.unwrap_or_default();
    }
    Ok(())
}

/// The last `last` records of a topic, of all its partitions together, in the order of partitions and offsets.
///
/// Joins no group and commits nothing. `progress` is told how many were read.
///
/// # Errors
/// [`SampleError`]: Kafka or the topic cannot be read.
pub fn from_topic(
    client: &ClientSettings,
    topic: &str,
    last: usize,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Sample>, SampleError> {
    // One attempt, which says why; what follows would only say that it took too long.
    let admin = Admin::new(client).and_then(|admin| admin.wait_for_brokers(|_| false));
    admin.map_err(SampleError::Unreachable)?;
    let failed = |source| SampleError::Topic { topic: topic.to_owned(), source };
    let mut scan = Scan::new(client, topic).map_err(failed)?;
    let partitions = scan.partitions().map_err(failed)?;
    let mut bounds = Vec::new();
    for partition in 0..partitions {
        let (first, end) = scan.bounds(partition).map_err(failed)?;
        bounds.push((partition, first, end));
    }
    let shares = shares(&bounds, last);
    if shares.is_empty() {
        return Ok(Vec::new());
    }
    // Marks of transactions and gaps of compaction are offsets without a record, so more of them are read than wanted.
    let widened = |(partition, first, end): &(i32, i64, i64)| {
        let (_, oldest, _) = bounds[*partition as usize];
        (*partition, (first - (end - first) - MARKS).max(oldest), *end)
    };
    scan.start(&shares.iter().map(widened).collect::<Vec<_>>()).map_err(failed)?;
    let mut found: BTreeMap<i32, VecDeque<Sample>> = BTreeMap::new();
    let wanted: BTreeMap<i32, i64> =
        shares.iter().map(|(partition, first, end)| (*partition, end - first)).collect();
    let (mut held, mut read, mut heard) = (0, 0, Instant::now());
    while !scan.is_done() {
        match scan.next(POLL).map_err(failed)? {
            Scanned::Record(record) => {
                let sample = Sample {
                    place: format!("{}:{}", record.partition(), record.offset()),
                    key: record.key().map(<[u8]>::to_vec),
                    value: record.value().map(<[u8]>::to_vec),
                };
                let samples = found.entry(record.partition()).or_default();
                held += sample.size();
                samples.push_back(sample);
                while samples.len() as i64 > wanted[&record.partition()] || held > HELD_MAX {
                    let Some(oldest) = samples.pop_front() else { break };
                    held -= oldest.size();
                }
                (read, heard) = (read + 1, Instant::now());
                progress(read);
            }
            Scanned::Ended(_) => heard = Instant::now(),
            Scanned::Nothing if heard.elapsed() > PATIENCE => {
                return Err(SampleError::Silent { topic: topic.to_owned(), read });
            }
            Scanned::Nothing => {}
        }
    }
    Ok(found.into_values().flatten().collect())
}

impl Sample {
    fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// Which offsets to read of each partition, given what each holds: as many of each as can be, and what one lacks of the
/// others.
fn shares(bounds: &[(i32, i64, i64)], last: usize) -> Vec<(i32, i64, i64)> {
    let mut by_size: Vec<_> = bounds.iter().filter(|(_, first, end)| first < end).copied().collect();
    by_size.sort_by_key(|(partition, first, end)| (end - first, *partition));
    let mut left = i64::try_from(last).unwrap_or(i64::MAX);
    let mut spans = Vec::new();
    let count = by_size.len();
    for (at, (partition, first, end)) in by_size.into_iter().enumerate() {
        let others = (count - at) as i64;
        let share = (left + others - 1) / others;
        let taken = share.min(end - first);
        left -= taken;
        if taken > 0 {
            spans.push((partition, end - taken, end));
        }
    }
    spans.sort_unstable();
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_records_are_taken_of_all_partitions_alike() {
        assert_eq!(shares(&[(0, 0, 1000), (1, 0, 1000)], 100), [(0, 950, 1000), (1, 950, 1000)]);
        // What a short one lacks, the others give; an empty one gives nothing.
        assert_eq!(shares(&[(0, 5, 10), (1, 0, 0), (2, 0, 1000)], 100), [(0, 5, 10), (2, 905, 1000)]);
        assert_eq!(shares(&[(0, 0, 3), (1, 7, 7)], 100), [(0, 0, 3)]);
        let many: Vec<_> = (0..10).map(|partition| (partition, 0, 50)).collect();
        let total: i64 = shares(&many, 7).iter().map(|(_, first, end)| end - first).sum();
        assert_eq!(total, 7);
        assert_eq!(shares(&[], 100), []);
    }

    #[test]
    fn a_file_is_read_line_by_line() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("some.ndjson");
        std::fs::write(&file, "a\n\n  \nb\r\nc").unwrap();
        let mut seen = Vec::new();
        from_file(&file, |sample| {
            let value = String::from_utf8(sample.value.clone().unwrap()).unwrap();
            seen.push((sample.place.clone(), value));
            Ok(())
        })
        .unwrap();
        let expected = [("line 1", "a"), ("line 4", "b\r"), ("line 5", "c")];
        assert_eq!(seen, expected.map(|(place, value)| (place.to_owned(), value.to_owned())));
        let missing = from_file(&dir.path().join("none"), |_| Ok(())).unwrap_err();
        assert!(missing.to_string().ends_with("none"), "{missing}");
    }
}
