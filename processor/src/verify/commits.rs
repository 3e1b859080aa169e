//! What the group has committed: how far the input was dealt with, and which windows are final.

use std::time::Duration;

use processor_core::{Checkpoint, MergeCheckpoint};

use super::model::LogOptions;
use super::rules::{NEVER, Rules, kafka_time};
use super::watermark::Recorded;
use crate::kafka::admin::Admin;
use crate::kafka::scan::{self, Scan};
use crate::kafka::{ClientSettings, KafkaError};
use crate::settings::Settings;

/// Time for one answer of a broker.
const ANSWER: Duration = Duration::from_secs(15);

/// A commit has room for about a thousand jumps; with fewer than this it surely knows them all.
const JUMPS_KNOWN_MAX: usize = 100;
/// Commits of a version that did not note jumps.
const BLIND: &str = "task1 ";

/// One partition of an input with what is to be read of it.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) options: LogOptions,
    pub(super) first: i64,
    /// The committed offset: where reading ends.
    pub(super) end: i64,
}

/// Everything that bounds a comparison.
#[derive(Debug)]
pub(super) struct Extent {
    pub(super) spans: Vec<Span>,
    /// Windows that this watermark has closed are final; `None` where none is.
    pub(super) closed_through: Option<i64>,
    /// Windows that begin before this depend on records that are gone, or were left out.
    pub(super) complete_from: Option<i64>,
    pub(super) notes: Vec<String>,
}

/// Asks Kafka. `from`: no window before it will be compared, so neither need be read what none later depends on.
pub(super) fn extent(
    settings: &Settings,
    rules: &Rules,
    client: &ClientSettings,
    from: Option<i64>,
) -> Result<Extent, KafkaError> {
    let group = &settings.kafka.group_id;
    let mut notes = Vec::new();
    // The merges first: what they have closed by now, the tasks had passed before.
    let mut closed_through = merged_through(settings, client)?;
    if closed_through.is_none() {
        let topic = &settings.kafka.partials_topic;
        notes.push(format!("group {group} has not committed every partition of {topic} yet"));
    }
    // Then what the tasks have read of the by-user topic; all of that is from before their sources' commits.
    let by_user = ByUser::of(settings, client)?;
    if let Some(by_user) = &by_user {
        closed_through = closed_through.zip(by_user.passed).map(|(closed, passed)| closed.min(passed));
        if by_user.passed.is_none() {
            let topic = &settings.kafka.by_user_topic;
            notes.push(format!("group {group} has not committed every partition of {topic} yet"));
        }
    }
    let mut spans = Vec::new();
    let mut complete_from: Option<i64> = None;
    for (input, of) in (0..).zip(&settings.inputs) {
        let topic = &of.topic;
        let rekeyed = by_user.as_ref().filter(|_| !of.keyed).map(|by_user| by_user.partitions);
        let scan = Scan::new(client, topic)?;
        let partitions = scan.partitions()?;
        let committed = scan::committed(client, group, topic, partitions)?;
        for (partition, committed) in (0..partitions).zip(committed) {
            let (low, high) = scan.bounds(partition)?;
            let Some(committed) = committed else {
                if high > low {
                    closed_through = None;
                    notes.push(format!("group {group} has committed nothing of {topic}[{partition}] yet"));
                }
                continue;
            };
            let checkpoint = Checkpoint::parse(committed.offset, &committed.metadata);
            let watermark = (checkpoint.watermark != i64::MIN).then_some(checkpoint.watermark);
            closed_through = match (closed_through, watermark) {
                // A source may be idle: what the tasks make of it is what counts.
                (closed, _) if rekeyed.is_some() => closed,
                (Some(closed), Some(watermark)) => Some(closed.min(watermark)),
                // Where a task begins, or what another tool has set: merges may have more of it by now, or from before.
                (_, None) if committed.offset < high => {
                    notes.push(format!("group {group} has counted nothing of {topic}[{partition}] yet"));
                    None
                }
                // Without an event there is no watermark, and nothing to wait for: the merges know better.
                (closed, None) => closed,
                (None, _) => None,
            };
            if checkpoint.whole_from != i64::MIN {
                complete_from = complete_from.max(Some(checkpoint.whole_from));
                notes.push(format!(
                    "the offset of {topic}[{partition}] was set by another tool: windows of before are not compared"
                ));
            }
            if checkpoint.part.number > 0 {
                notes.push(format!(
                    "records of {topic}[{partition}] were deleted before a restart read them again: windows of that \
                     moment hold more than can be read now"
                ));
            }
            if committed.offset > high {
                notes.push(format!(
                    "{topic}[{partition}] ends at {high}, before the committed offset {}: it was made again",
                    committed.offset
                ));
            }
            let mut first = low;
            if let Some(from) = from {
                // Without a guard a timestamp says nothing of the event's time.
                let needed = rules.future_skew.map(|skew| from - rules.reach() - skew - rules.lateness);
                let at = match needed {
                    Some(needed) => scan.offset_at(partition, needed.div_euclid(1_000))?,
                    None => None,
                };
                first = at.map_or(low, |at| at.max(low));
            }
            let first = first.min(committed.offset);
            let mut began_below = None;
            if first > 0 {
                let kept = first_timestamp(client, topic, partition, first)?;
                let latest = kept.zip(rules.future_skew).map(|(at, skew)| at + skew);
                began_below = Some(latest.map_or(NEVER, |latest| latest - rules.out_of_orderness));
                // Of what is gone nothing is later than this.
                let gone = latest;
                let gone = gone.or_else(|| Some(watermark? + rules.out_of_orderness));
                let whole = gone.map(|at| at + rules.reach());
                complete_from = complete_from.max(whole);
                if low > 0 {
                    notes.push(format!("{topic}[{partition}] is kept from offset {low} on"));
                }
            }
            let replay = checkpoint.replay;
            let is_read = replay.offset >= first && !committed.metadata.is_empty();
            let at = is_read.then_some((replay.offset, replay.watermark));
            spans.push(Span {
                options: LogOptions {
                    input,
                    topic: topic.clone(),
                    partition,
                    rekeyed,
                    began_below,
                    recorded: Recorded {
                        committed: watermark,
                        at,
                        complete: checkpoint.jumps.len() < JUMPS_KNOWN_MAX
                            && !committed.metadata.starts_with(BLIND),
                        jumps: checkpoint.jumps.iter().map(|jump| (jump.offset, jump.watermark)).collect(),
                    },
                },
                first,
                end: committed.offset,
            });
        }
    }
    Ok(Extent { spans, closed_through, complete_from, notes })
}

/// The by-user topic, where there are inputs to re-key.
struct ByUser {
    partitions: u32,
    /// The least watermark that a task has come to by it; `None` where one has committed nothing.
    passed: Option<i64>,
}

impl ByUser {
    fn of(settings: &Settings, client: &ClientSettings) -> Result<Option<Self>, KafkaError> {
        if settings.inputs.iter().all(|input| input.keyed) {
            return Ok(None);
        }
        let topic = &settings.kafka.by_user_topic;
        let partitions = match Admin::new(client)?.partition_count(topic, ANSWER) {
            Ok(partitions) => partitions,
            Err(KafkaError::UnknownTopic { .. }) => 1, // nothing was re-keyed yet
            Err(error) => return Err(error),
        };
        let committed = scan::committed(client, &settings.kafka.group_id, topic, partitions)?;
        let passed = committed.into_iter().map(|committed| {
            let committed = committed?;
            Some(Checkpoint::parse(committed.offset, &committed.metadata).watermark)
        });
        let passed = passed.collect::<Option<Vec<i64>>>().and_then(|passed| passed.into_iter().min());
        let passed = passed.filter(|passed| *passed != i64::MIN);
        Ok(Some(Self { partitions: u32::try_from(partitions).unwrap_or(1).max(1), passed }))
    }
}

/// The least watermark that every merge has closed windows by; `None` where one has not committed.
fn merged_through(settings: &Settings, client: &ClientSettings) -> Result<Option<i64>, KafkaError> {
    let topic = &settings.kafka.partials_topic;
    let partitions = match Admin::new(client)?.partition_count(topic, ANSWER) {
        Ok(partitions) => partitions,
        Err(KafkaError::UnknownTopic { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let committed = scan::committed(client, &settings.kafka.group_id, topic, partitions)?;
    let closed = committed.into_iter().map(|committed| {
        let committed = committed?;
        let closed = MergeCheckpoint::parse(committed.offset, &committed.metadata).closed_through;
        (closed != i64::MIN).then_some(closed)
    });
    Ok(closed.collect::<Option<Vec<i64>>>().and_then(|closed| closed.into_iter().min()))
}

/// The timestamp of the record at an offset or the first after it, microseconds; `None` where there is none.
fn first_timestamp(
    client: &ClientSettings,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<i64>, KafkaError> {
    let mut scan = Scan::new(client, topic)?;
    scan.start(&[(partition, offset, i64::MAX)])?;
    let started = std::time::Instant::now();
    while started.elapsed() < ANSWER {
        match scan.next(Duration::from_millis(100))? {
            scan::Scanned::Record(record) => {
                return Ok(record.timestamp_ms().and_then(kafka_time));
            }
            scan::Scanned::Ended(_) => return Ok(None),
            scan::Scanned::Nothing => {}
        }
    }
    Err(KafkaError::Unreachable { brokers: client.brokers.clone(), doing: "reading a topic", waited: ANSWER })
}
