//! `processor dlq`: what the dead-letter topics hold, as text.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use chrono::DateTime;

use super::{DlqCommand, DlqFilter};
use crate::kafka::admin::Admin;
use crate::kafka::dlq::{DeadLetters, LetterCount, ReplayError, describe};
use crate::kafka::{ClientSettings, KafkaError};
use crate::settings::Settings;

/// Longest silence of Kafka before giving up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a `dlq` command failed.
#[derive(Debug, thiserror::Error)]
pub enum DlqError {
    /// No broker answers.
    #[error("cannot reach kafka")]
    Unreachable(#[source] KafkaError),
    /// Reading the dead-letter topic failed.
    #[error("cannot read the dead letters of {topic}")]
    Read {
        /// The input topic.
        topic: String,
        /// Why.
        #[source]
        source: KafkaError,
    },
    /// Sending failed part of the way.
    #[error("cannot replay all dead letters of {topic}; run it again, it sends none twice")]
    Replay {
        /// The input topic.
        topic: String,
        /// Why.
        #[source]
        source: ReplayError,
    },
    /// The text cannot be written.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

/// Does what was asked, with its text to `out`.
///
/// # Errors
/// [`DlqError`]. A reader of `out` that has seen enough (`… | head`) is not an error.
pub fn run(command: &DlqCommand, settings: &Settings, out: &mut impl Write) -> Result<(), DlqError> {
    let client = settings.kafka.client("clickpulse-dlq");
    // One attempt, which says why; the readers below would only say that it took too long.
    Admin::new(&client).and_then(|admin| admin.wait_for_brokers(|_| false)).map_err(DlqError::Unreachable)?;
    let done = match command {
        DlqCommand::List(filter) => list(filter, settings, &client, out),
        DlqCommand::Show { filter, limit } => show(filter, *limit as usize, settings, &client, out),
        DlqCommand::Replay { filter, limit, yes: true, .. } => replay(filter, *limit, settings, &client, out),
        DlqCommand::Replay { filter, limit, .. } => preview(filter, *limit, settings, &client, out),
    };
    match done {
        Err(DlqError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn list(
    filter: &DlqFilter,
    settings: &Settings,
    client: &ClientSettings,
    out: &mut impl Write,
) -> Result<(), DlqError> {
    let mut rows = Vec::new();
    for topic in topics(filter, settings) {
        rows.extend(count(filter, client, topic)?);
    }
    write_table(&rows, out)?;
    Ok(())
}

fn show(
    filter: &DlqFilter,
    limit: usize,
    settings: &Settings,
    client: &ClientSettings,
    out: &mut impl Write,
) -> Result<(), DlqError> {
    let mut left = limit;
    for topic in topics(filter, settings) {
        let letters = DeadLetters::of_input(client, topic).show(filter.reason.as_deref(), left, PATIENCE);
        for letter in if_any(letters, topic, filter)? {
            writeln!(out, "{topic}.dlq {}", describe(&letter))?;
            left -= 1;
        }
        if left == 0 {
            writeln!(out, "That is {limit}, the --limit; there may be more.")?;
            return Ok(());
        }
    }
    if left == limit {
        writeln!(out, "No dead letters.")?;
    }
    Ok(())
}

fn preview(
    filter: &DlqFilter,
    limit: Option<u64>,
    settings: &Settings,
    client: &ClientSettings,
    out: &mut impl Write,
) -> Result<(), DlqError> {
    let mut total = 0;
    for topic in topics(filter, settings) {
        for row in count(filter, client, topic)? {
            if row.left > 0 {
                writeln!(out, "{topic}: would send {} records rejected as {}", row.left, row.reason)?;
            }
            if row.sent > 0 {
                writeln!(out, "{topic}: {} records rejected as {} were sent before", row.sent, row.reason)?;
            }
            if row.in_part > 0 {
                writeln!(out, "{topic}: {} of {} are there in part only", row.in_part, row.reason)?;
            }
            total += row.left;
        }
    }
    match (total, limit) {
        (0, _) => writeln!(out, "There is nothing to send.")?,
        (total, Some(limit)) if limit < total => {
            writeln!(out, "Nothing was sent. Add --yes to send the first {limit} of each topic's records.")?;
        }
        (total, _) => writeln!(out, "Nothing was sent. Add --yes to send these {total} records.")?,
    }
    Ok(())
}

fn replay(
    filter: &DlqFilter,
    limit: Option<u64>,
    settings: &Settings,
    client: &ClientSettings,
    out: &mut impl Write,
) -> Result<(), DlqError> {
    for topic in topics(filter, settings) {
        let outcome =
            match DeadLetters::of_input(client, topic).replay(filter.reason.as_deref(), limit, PATIENCE) {
                Err(ReplayError::Kafka(error @ KafkaError::UnknownTopic { .. })) => {
                    if_any(Err(error), topic, filter)?
                }
                other => other.map_err(|source| DlqError::Replay { topic: topic.to_owned(), source })?,
            };
        write!(out, "{topic}: {} records sent and acknowledged", outcome.replayed)?;
        for (count, what) in [
            (outcome.sent_before, "sent before"),
            (outcome.other_reason, "of other reasons left alone"),
            (outcome.no_origin, "that do not say where they came from cannot go back"),
            (outcome.in_part, "that are there in part only cannot go back"),
            (outcome.no_partition, "of partitions that the topic does not have cannot go back"),
            (outcome.too_large, "larger than the topic takes (max.message.bytes) cannot go back"),
        ] {
            if count > 0 {
                write!(out, ", {count} {what}")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The topics asked for, or those of all inputs.
fn topics<'a>(filter: &'a DlqFilter, settings: &'a Settings) -> Vec<&'a str> {
    if filter.topics.is_empty() {
        return settings.inputs.iter().map(|input| input.topic.as_str()).collect();
    }
    filter.topics.iter().map(String::as_str).collect()
}

/// The letters of one topic and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    topic: String,
    reason: String,
    count: u64,
    sent: u64,
    left: u64,
    again: u64,
    in_part: u64,
    partitions: Vec<i32>,
    oldest_ms: Option<i64>,
    newest_ms: Option<i64>,
}

fn count(filter: &DlqFilter, client: &ClientSettings, topic: &str) -> Result<Vec<Row>, DlqError> {
    let counts = if_any(DeadLetters::of_input(client, topic).list(PATIENCE), topic, filter)?;
    Ok(by_reason(
        topic,
        counts
            .into_iter()
            .filter(|count| filter.reason.as_ref().is_none_or(|reason| *reason == count.reason)),
    ))
}

/// No dead-letter topic means no dead letters, as it is made with the first run of the processor; unless it was asked
/// for by name, which then is mistyped.
fn if_any<T: Default>(
    outcome: Result<T, KafkaError>,
    topic: &str,
    filter: &DlqFilter,
) -> Result<T, DlqError> {
    match outcome {
        Err(KafkaError::UnknownTopic { .. }) if filter.topics.is_empty() => Ok(T::default()),
        other => other.map_err(|source| DlqError::Read { topic: topic.to_owned(), source }),
    }
}

fn by_reason(topic: &str, counts: impl Iterator<Item = LetterCount>) -> Vec<Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for count in counts {
        let row = rows.entry(count.reason.clone()).or_insert_with(|| Row {
            topic: topic.to_owned(),
            reason: count.reason,
            count: 0,
            sent: 0,
            left: 0,
            again: 0,
            in_part: 0,
            partitions: Vec::new(),
            oldest_ms: None,
            newest_ms: None,
        });
        row.count += count.count;
        row.sent += count.sent;
        row.left += count.left;
        row.again += count.again;
        row.in_part += count.in_part;
        row.partitions.extend(count.partition);
        row.oldest_ms = row.oldest_ms.into_iter().chain(count.oldest_ms).min();
        row.newest_ms = row.newest_ms.max(count.newest_ms);
    }
    rows.into_values().collect()
}

fn write_table(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "No dead letters.");
    }
    let topic_width = rows.iter().map(|row| row.topic.len()).max().unwrap_or_default().max("INPUT".len());
    let reason_width = rows.iter().map(|row| row.reason.len()).max().unwrap_or_default().max("REASON".len());
    let mut line = |topic: &str,
                    reason: &str,
                    counts: [&str; 4],
                    oldest: &str,
                    newest: &str,
                    partitions: &str| {
        let [count, sent, again, in_part] = counts;
        writeln!(
            out,
            "{topic:<topic_width$}  {reason:<reason_width$}  {count:>9}  {sent:>9}  {again:>9}  {in_part:>9}  \
             {oldest:<20}  {newest:<20}  {partitions}"
        )
    };
    line("INPUT", "REASON", ["RECORDS", "SENT BACK", "AGAIN", "IN PART"], "OLDEST", "NEWEST", "PARTITIONS")?;
    for row in rows {
        let partitions: Vec<String> = row.partitions.iter().map(i32::to_string).collect();
        let (oldest, newest) = (time(row.oldest_ms), time(row.newest_ms));
        let counts = [row.count, row.sent, row.again, row.in_part].map(|count| count.to_string());
        let counts = counts.each_ref().map(String::as_str);
        line(&row.topic, &row.reason, counts, &oldest, &newest, &partitions.join(","))?;
    }
    Ok(())
}

fn time(ms: Option<i64>) -> String {
    let time = ms.and_then(DateTime::from_timestamp_millis);
    time.map_or_else(|| "unknown".into(), |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(reason: &str, partition: i32, count: u64, oldest_ms: i64) -> LetterCount {
        LetterCount {
            reason: reason.into(),
            partition: Some(partition),
            count,
            sent: 1,
            left: count - 1,
            again: 0,
            in_part: u64::from(partition == 2),
            oldest_ms: Some(oldest_ms),
            newest_ms: Some(oldest_ms + 1_000),
        }
    }

    #[test]
    fn the_list_is_one_line_per_topic_and_reason() {
        let counts =
            [counted("not_json", 0, 3, 1_755_720_654_000), counted("not_json", 2, 4, 1_755_720_000_000)];
        let mut rows = by_reason("clickstream_events", counts.into_iter());
        rows.extend(by_reason("checkouts", [counted("unknown", 1, 12_345, 0)].into_iter()));
        let mut text = Vec::new();
        write_table(&rows, &mut text).unwrap();
        insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
        INPUT               REASON      RECORDS  SENT BACK      AGAIN    IN PART  OLDEST                NEWEST                PARTITIONS
        clickstream_events  not_json          7          2          0          1  2025-08-20T20:00:00Z  2025-08-20T20:10:55Z  0,2
        checkouts           unknown       12345          1          0          0  1970-01-01T00:00:00Z  1970-01-01T00:00:01Z  1
        ");
    }

    #[test]
    fn an_empty_list_says_so() {
        let mut text = Vec::new();
        write_table(&[], &mut text).unwrap();
        assert_eq!(text, b"No dead letters.\n");
    }
}
