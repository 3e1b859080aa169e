//! The topics that the processor writes beside the inputs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::aside::{Aside, Copied, bytes_of};
use super::report::Report;
use crate::kafka::dlq::is_in_part;
use crate::kafka::scan::Scan;
use crate::kafka::tail::{self, TopicReader};
use crate::kafka::{ClientSettings, KafkaError};

/// Silence of Kafka before giving up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Reads one of the topics beside every input.
pub(super) fn aside(
    client: &ClientSettings,
    topics: &[String],
    suffix: &str,
    report: &mut Report,
) -> Result<Aside, KafkaError> {
    let mut aside = Aside::default();
    for (input, topic) in (0..).zip(topics) {
        let name = format!("{topic}.{suffix}");
        let scan = Scan::new(client, &name)?;
        let partitions = match scan.partitions() {
            Ok(partitions) => partitions,
            Err(KafkaError::UnknownTopic { .. }) => {
                report.notes.push(format!("there is no topic {name}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        // Where retention has taken copies, those of records before the oldest one left may be among them.
        let mut trimmed: HashMap<i32, i64> = HashMap::new();
        for partition in 0..partitions {
            if scan.bounds(partition)?.0 > 0 {
                trimmed.insert(partition, i64::MAX);
            }
        }
        each(client, &name, |record| {
            let written = record.timestamp_ms.unwrap_or(0).saturating_mul(1_000);
            if let Some(oldest) = trimmed.get_mut(&record.partition) {
                *oldest = (*oldest).min(written);
            }
            let number = |name: &str| record.header(name)?.parse::<i64>().ok();
            let position = (record.header("topic") == Some(topic))
                .then(|| Some((input, i32::try_from(number("partition")?).ok()?, number("offset")?)));
            match position.flatten() {
                Some(position) => aside.add(
                    position,
                    Copied {
                        reason: record.header("reason").unwrap_or_default().into(),
                        detail: record.header("detail").unwrap_or_default().into(),
                        bytes: bytes_of(record.key.as_deref(), record.payload.as_deref()),
                        in_part: is_in_part(record),
                        written,
                    },
                ),
                None => aside.foreign += 1,
            }
        })?;
        aside.kept_from = aside.kept_from.max(trimmed.into_values().max());
        if aside.foreign > 0 {
            let count = std::mem::take(&mut aside.foreign);
            report.notes.push(format!(
                "{count} records of {name} do not say that they come from {topic}: not compared"
            ));
        }
    }
    Ok(aside)
}

/// Calls `visit` for every record that a topic holds now.
fn each(
    client: &ClientSettings,
    topic: &str,
    mut visit: impl FnMut(&tail::Record),
) -> Result<(), KafkaError> {
    let mut reader = TopicReader::open(client, topic, tail::From::Beginning, PATIENCE)?;
    let mut last = Instant::now();
    while !reader.caught_up() {
        if let Some(record) = reader.next(Duration::from_millis(100))? {
            last = Instant::now();
            visit(&record);
        } else if last.elapsed() > PATIENCE {
            return Err(silence(client));
        }
    }
    Ok(())
}

/// Says if there are points that InfluxDB refused: they will be missing.
pub(super) fn note_dead_points(client: &ClientSettings, report: &mut Report) -> Result<(), KafkaError> {
    const TOPIC: &str = "clickpulse.points.dlq";
    let mut refused = 0_u64;
    match each(client, TOPIC, |_| refused += 1) {
        Ok(()) | Err(KafkaError::UnknownTopic { .. }) => {}
        Err(error) => return Err(error),
    }
    if refused > 0 {
        report.notes.push(format!(
            "{TOPIC} holds {refused} points that InfluxDB refused for good (of every group): they are missing, or have an \
             older value, here"
        ));
    }
    Ok(())
}

pub(super) fn silence(client: &ClientSettings) -> KafkaError {
    KafkaError::Unreachable { brokers: client.brokers.clone(), doing: "reading a topic", waited: PATIENCE }
}
