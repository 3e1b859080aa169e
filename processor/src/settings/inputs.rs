//! `[[inputs]]`: the topics of events.

use std::collections::BTreeSet;

use events::{DecoderOptions, EventType, Format, preset};

use super::reader::Reader;
use super::{count, mapping};
use crate::kafka::admin::TopicSpec;

/// One topic of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSettings {
    /// The topic.
    pub topic: String,
    /// Whether records are keyed by `user_id`, in as many partitions as the other keyed inputs have.
    pub keyed: bool,
    /// What its records mean.
    pub decoder: DecoderOptions,
}

impl InputSettings {
    /// All inputs; the default one where none is configured.
    pub(super) fn read_all(reader: &mut Reader<'_>) -> Vec<Self> {
        let entries = reader.entries("inputs");
        if entries == 0 {
            if reader.has("inputs") && reader.is_list("inputs") {
                reader.problem(
                    "inputs",
                    "is empty; leave it out to read clickstream_events, or add an [[inputs]] section",
                );
            }
            return vec![Self::read(reader, "inputs[0]")];
        }
        let inputs: Vec<Self> = (0..entries)
            .map(|index| {
                let path = format!("inputs[{index}]");
                if !reader.has(&format!("{path}.topic")) && (entries > 1 || !reader.has(&path)) {
                    reader.problem(
                        &format!("{path}.topic"),
                        "is missing; every [[inputs]] section names its topic",
                    );
                }
                Self::read(reader, &path)
            })
            .collect();
        let mut seen = BTreeSet::new();
        for (index, input) in inputs.iter().enumerate() {
            if !seen.insert(input.topic.as_str()) && reader.has(&format!("inputs[{index}].topic")) {
                let text = format!("= {:?} is configured twice; every topic may be named once", input.topic);
                reader.problem(&format!("inputs[{index}].topic"), text);
            }
        }
        inputs
    }

    fn read(reader: &mut Reader<'_>, path: &str) -> Self {
        let at = |name: &str| format!("{path}.{name}");
        let preset = reader.optional_text(&at("preset")).and_then(|name| preset(&name));
        let format = match reader.text(&at("format")).as_str() {
            "combined" => Format::Combined,
            "common" => Format::Common,
            _ if reader.has(&at("format")) => Format::Json,
            _ => preset.map_or(Format::Json, |preset| preset.format),
        };
        let topic = reader.text(&at("topic"));
        check_topic(reader, &at("topic"), &topic);
        check_side_topics(reader, &at("topic"), &topic);
        for internal in ["kafka.by_user_topic", "kafka.partials_topic"] {
            if topic == reader.text(internal) {
                let text =
                    format!("= {topic:?} is {internal}, which the processor writes; name another topic");
                reader.problem(&at("topic"), text);
            }
        }
        let event_type = reader.optional_text(&at("event_type"));
        Self {
            topic,
            keyed: reader.bool(&at("keyed")),
            decoder: DecoderOptions {
                default_type: event_type
                    .and_then(|name| EventType::ALL.into_iter().find(|kind| kind.name() == name))
                    .unwrap_or_else(|| preset.map_or(EventType::PageView, |preset| preset.default_type)),
                format,
                mapping: mapping::read(reader, path, preset),
                max_bytes: count(reader.size(&at("max_record_bytes"))),
            },
        }
    }
}

/// Longest name of a topic in Kafka.
const TOPIC_LENGTH_MAX: usize = 249;

/// Notes a name that Kafka would take, and not the names that are made of it.
fn check_side_topics(reader: &mut Reader<'_>, path: &str, topic: &str) {
    let longest = [TopicSpec::dead_letters(topic), TopicSpec::late(topic)]
        .into_iter()
        .map(|spec| spec.name)
        .max_by_key(String::len)
        .expect("there are two");
    let suffix = &longest[topic.len()..];
    let room = TOPIC_LENGTH_MAX - suffix.len();
    if (room + 1..=TOPIC_LENGTH_MAX).contains(&topic.len()) {
        let text = format!(
            "= {topic:?} has {} characters: with {suffix:?} behind it, for what cannot be counted, it would be longer \
             than the {TOPIC_LENGTH_MAX} that Kafka allows. Read a topic of at most {room} characters",
            topic.len()
        );
        reader.problem(path, text);
    }
}

/// Notes a name that Kafka would refuse.
pub(super) fn check_topic(reader: &mut Reader<'_>, path: &str, topic: &str) {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.len() > TOPIC_LENGTH_MAX || !topic.chars().all(legal) || matches!(topic, "." | "..") {
        let cure = "use at most 249 letters, digits, dots, underscores and hyphens";
        reader.problem(path, format!("= {topic:?} is not a topic name; {cure}"));
    }
}
