//! What there is at the start: topics and their partitions.

use std::time::{Duration, Instant};

use super::shared::Topology;
use super::{RunError, RunOptions, sinks};
use crate::kafka::admin::{Admin, MissingTopics, TopicSpec};
use crate::kafka::{ClientSettings, KafkaError};
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::sink::PointSink as _;
use crate::status::StatusBoard;

/// How long making topics may take.
const TOPICS_TIMEOUT: Duration = Duration::from_secs(30);
/// How often waiting for a topic says so.
const REMINDER: Duration = Duration::from_secs(10);
/// Partitions of the partials topic when it is made: merging is cheap, and each task reports to each of them.
const MERGE_PARTITIONS_MAX: i32 = 8;
/// How long one question may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Waits for Kafka and the input topics, makes the others, and counts partitions: of tasks and merges, and of each input
/// that is not keyed by user. `None` when asked to stop.
pub(super) fn find(
    settings: &Settings,
    options: &RunOptions,
    client: &ClientSettings,
    board: &StatusBoard,
    sink: &sinks::Sinks,
    shutdown: &Shutdown,
) -> Result<Option<(Topology, Vec<u32>)>, RunError> {
    let admin = Admin::new(client)?;
    let waiting = |problem: String| {
        board.update(|status| {
            status.kafka_problem = Some(problem);
            status.sink = sink.status();
        });
    };
    let found = admin.wait_for_brokers(|error| {
        waiting(error.to_string());
        !shutdown.is_triggered()
    });
    if shutdown.is_triggered() {
        return Ok(None);
    }
    found?;
    let (mut keyed, mut unkeyed) = (Vec::new(), Vec::new());
    for input in &settings.inputs {
        let Some(count) = partitions_of(&admin, &input.topic, &waiting, shutdown)? else { return Ok(None) };
        let list = if input.keyed { &mut keyed } else { &mut unkeyed };
        list.push((input.topic.as_str(), count));
    }
    let tasks = match keyed_tasks(&keyed)? {
        Some(tasks) => tasks,
        // Whoever wants another number makes the topic before the first start.
        None => match admin.partition_count(&settings.kafka.by_user_topic, ATTEMPT) {
            Ok(count) => count,
            Err(KafkaError::UnknownTopic { .. }) => {
                unkeyed.iter().map(|(_, count)| *count).max().expect("settings have at least one input")
            }
            Err(error) => return Err(error.into()),
        },
    };
    let missing =
        if options.leave_topics_to_broker { MissingTopics::LeaveToBroker } else { MissingTopics::Create };
    let existing = admin.partition_count(&settings.kafka.partials_topic, ATTEMPT);
    let merges = existing.unwrap_or_else(|_| tasks.min(MERGE_PARTITIONS_MAX));
    let mut topics = vec![
        TopicSpec::partials(&settings.kafka.partials_topic, merges),
        TopicSpec::incidents(&settings.kafka.incidents_topic),
    ];
    if !unkeyed.is_empty() {
        topics.push(TopicSpec::by_user(&settings.kafka.by_user_topic, tasks));
    }
    for input in &settings.inputs {
        topics.extend([TopicSpec::dead_letters(&input.topic), TopicSpec::late(&input.topic)]);
    }
    if settings.influxdb.is_some() {
        topics.push(TopicSpec::dead_points(sinks::DEAD_POINTS_TOPIC));
    }
    admin.ensure_topics(&topics, missing, TOPICS_TIMEOUT)?;
    board.update(|status| status.kafka_problem = Some("joining the consumer group".to_owned()));
    let sources = unkeyed.iter().map(|(_, count)| *count as u32).collect();
    Ok(Some((Topology { tasks: tasks as u32, merges: merges as u32 }, sources)))
}

/// The number of partitions of a topic, once it is there. `None` when asked to stop.
fn partitions_of(
    admin: &Admin,
    topic: &str,
    waiting: &impl Fn(String),
    shutdown: &Shutdown,
) -> Result<Option<i32>, RunError> {
    let mut reminded: Option<Instant> = None;
    loop {
        match admin.partition_count(topic, ATTEMPT) {
            Ok(count) => return Ok(Some(count)),
            Err(error @ (KafkaError::UnknownTopic { .. } | KafkaError::Unreachable { .. })) => {
                let problem =
                    format!("waiting for topic `{topic}`: {error}; create it, or start the producer");
                if reminded.is_none_or(|at| at.elapsed() > REMINDER) {
                    tracing::warn!("{problem}");
                    reminded = Some(Instant::now());
                }
                waiting(problem);
                if shutdown.wait(Duration::from_millis(500)) {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// How many tasks the keyed inputs ask for: a partition number of all of them is one task.
fn keyed_tasks(keyed: &[(&str, i32)]) -> Result<Option<i32>, RunError> {
    let Some(((first, tasks), others)) = keyed.split_first() else { return Ok(None) };
    match others.iter().find(|(_, count)| count != tasks) {
        None => Ok(Some(*tasks)),
        Some((topic, count)) => Err(RunError::Inputs(format!(
            "inputs: topic `{first}` has {tasks} partition(s) and `{topic}` has {count}, so events of one user would not \
             meet: give them the same number, or set keyed = false for one of them, and it is re-keyed"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_inputs_of_different_width_are_refused_with_the_cure() {
        assert_eq!(keyed_tasks(&[]).unwrap(), None);
        assert_eq!(keyed_tasks(&[("a", 4), ("b", 4)]).unwrap(), Some(4));
        let error = keyed_tasks(&[("a", 4), ("b", 8)]).unwrap_err().to_string();
        assert!(error.contains("`b` has 8") && error.contains("keyed = false"), "{error}");
    }
}
