//! What there is at the start: topics and their partitions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use processor_core::Options;

use super::layout::{Layout, Names, keyed_tasks};
use super::{RunError, RunOptions, sinks};
use crate::exit::Chain;
use crate::kafka::admin::{Admin, MissingTopics, TopicSpec};
use crate::kafka::cleanup::cleanup;
use crate::kafka::{ClientSettings, KafkaError, Room, copy_bytes};
use crate::settings::{Settings, format_duration};
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
/// What our headers add to a record, and a key of some length.
const COPY_HEADERS: usize = 1 << 10;
/// Between two tries to find out about topics.
const RETRY: Duration = Duration::from_secs(1);

/// What is looked for, and who is told meanwhile.
pub(super) struct Search<'a> {
    pub(super) settings: &'a Settings,
    pub(super) core: &'a Options,
    pub(super) options: &'a RunOptions,
    pub(super) client: &'a ClientSettings,
    pub(super) board: &'a StatusBoard,
    pub(super) sink: &'a sinks::Sinks,
    pub(super) shutdown: &'a Shutdown,
}

impl Search<'_> {
    /// Waits for Kafka and the input topics, makes the others, and finds out how they fit together. `None` when asked to
    /// stop.
    ///
    /// A Kafka that stops answering in between is waited for, too: one that has just started may take its time.
    pub(super) fn find(&self) -> Result<Option<Layout>, RunError> {
        loop {
            match self.look() {
                Err(RunError::Kafka(error @ KafkaError::Unreachable { .. })) => {
                    tracing::warn!(%error, "finding out about topics, trying again");
                    self.board.update(|status| status.kafka_problem = Some(error.to_string()));
                    if self.shutdown.wait(RETRY) {
                        return Ok(None);
                    }
                }
                found => return found,
            }
        }
    }

    fn look(&self) -> Result<Option<Layout>, RunError> {
        let &Self { settings, core, options, client, board, sink, shutdown } = self;
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
            let Some(count) = partitions_of(&admin, &input.topic, &waiting, shutdown)? else {
                return Ok(None);
            };
            let list = if input.keyed { &mut keyed } else { &mut unkeyed };
            list.push((input.topic.as_str(), count));
        }
        let keyed_tasks = keyed_tasks(&keyed).map_err(|unfit| RunError::Inputs(unfit.to_string()))?;
        let tasks = match keyed_tasks {
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
        let missing = options.missing_topics();
        let merges = match admin.partition_count(&settings.kafka.partials_topic, ATTEMPT) {
            Err(KafkaError::UnknownTopic { .. }) => tasks.min(MERGE_PARTITIONS_MAX),
            existing => existing?,
        };
        let topics = outputs(settings, tasks, merges);
        admin.ensure_topics(&topics, missing, TOPICS_TIMEOUT)?;
        board.update(|status| status.kafka_problem = Some("joining the consumer group".to_owned()));
        let names = Names::of(settings);
        let found = names.ask(&admin, missing)?;
        let layout =
            Layout::of(&names, core, &found, None).map_err(|unfit| RunError::Inputs(unfit.to_string()))?;
        Ok(Some(layout.within(settings)))
    }
}

/// Bytes of the largest copy of a record.
pub(super) fn record_bytes(settings: &Settings) -> usize {
    let largest = settings.inputs.iter().map(|input| input.decoder.max_bytes).max();
    copy_bytes(largest.unwrap_or_default())
}

/// The same of producers: a window's values may be more before they are compressed, and Kafka measures them after.
pub(super) fn produced_bytes(settings: &Settings) -> usize {
    const PARTIAL_BYTES_MAX: usize = 32 << 20;
    record_bytes(settings).max(PARTIAL_BYTES_MAX)
}

/// How large records may be that are written, and what is said of topics that an operator has made for smaller ones.
pub(super) fn room(settings: &Settings, client: &ClientSettings, missing: MissingTopics) -> Room {
    let client = (missing == MissingTopics::Create).then(|| client.clone());
    let mut topics = output_topics(settings);
    topics.retain(|topic| *topic != settings.kafka.incidents_topic); // which is only read
    let room = Room::new(record_bytes(settings), client, &topics);
    for input in &settings.inputs {
        for suffix in [".dlq", ".late"] {
            let topic = format!("{}{suffix}", input.topic);
            if let Some(problem) = too_small(&topic, room.of(&topic), input.decoder.max_bytes) {
                tracing::warn!("kafka topic `{topic}` {problem}");
            }
        }
    }
    room
}

/// What is wrong with a topic that takes records of `room` bytes, for copies of an input's, and the cure.
pub(crate) fn too_small(topic: &str, room: usize, max_record_bytes: usize) -> Option<String> {
    (room < max_record_bytes.saturating_add(COPY_HEADERS)).then(|| {
        format!(
            "takes records of {room} bytes (max.message.bytes), and the input's max_record_bytes is {max_record_bytes}: \
             larger ones are set aside in part. Let it take more: kafka-configs.sh --alter --topic {topic} \
             --add-config max.message.bytes={}",
            copy_bytes(max_record_bytes)
        )
    })
}

/// What is written to in Kafka, with the partitions of what is divided among tasks or merges.
fn outputs(settings: &Settings, tasks: i32, merges: i32) -> Vec<TopicSpec> {
    let mut topics = vec![
        TopicSpec::partials(&settings.kafka.partials_topic, merges),
        TopicSpec::incidents(&settings.kafka.incidents_topic),
    ];
    if settings.inputs.iter().any(|input| !input.keyed) {
        let of_unkeyed =
            settings.inputs.iter().filter(|input| !input.keyed).map(|input| input.decoder.max_bytes);
        let largest = of_unkeyed.max().unwrap_or_default();
        topics.push(TopicSpec::by_user(&settings.kafka.by_user_topic, tasks).for_records(largest));
    }
    for input in &settings.inputs {
        let beside = [TopicSpec::dead_letters(&input.topic), TopicSpec::late(&input.topic)];
        topics.extend(beside.map(|topic| topic.for_records(input.decoder.max_bytes)));
    }
    if settings.influxdb.is_some() {
        topics.push(TopicSpec::dead_points(sinks::DEAD_POINTS_TOPIC));
    }
    topics
}

/// The names of the topics that a processor with these settings writes to.
///
/// It makes what is missing of them, unless [told to leave that to the broker](RunOptions::leave_topics_to_broker).
#[must_use]
pub fn output_topics(settings: &Settings) -> Vec<String> {
    outputs(settings, 1, 1).into_iter().map(|topic| topic.name).collect()
}

/// The keyed inputs that are compacted, with how long that leaves a record alone; each is said. What is re-keyed is read again
/// from a topic of our own.
pub(super) fn compacted(
    settings: &Settings,
    options: &RunOptions,
    client: &ClientSettings,
) -> BTreeMap<String, Duration> {
    if options.leave_topics_to_broker {
        return BTreeMap::new(); // such a broker answers no such question
    }
    let topics: Vec<&str> = settings.inputs.iter().map(|input| input.topic.as_str()).collect();
    let found = match cleanup(client, &topics, ATTEMPT) {
        Ok(found) => found,
        Err(error) => {
            let error = Chain(&error).to_string();
            tracing::warn!(error, "whether input topics are compacted is not known, and taken for not");
            return BTreeMap::new();
        }
    };
    let mut compacted = BTreeMap::new();
    for (input, found) in settings.inputs.iter().zip(found).filter(|(_, found)| found.compacts) {
        tracing::warn!(
            topic = %input.topic,
            min_compaction_lag = %format_duration(found.lag),
            "the topic is compacted: events that are not read within its min.compaction.lag.ms may vanish uncounted, and what a \
             restart would read again counts only as far as that reaches back; docs/guarantees.md has what remains"
        );
        if input.keyed {
            compacted.insert(input.topic.clone(), found.lag);
        }
    }
    compacted
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
