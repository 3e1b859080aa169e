//! The topics as an assignment finds them: how many tasks there are, and which topic an offset is of.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use processor_core::{InputOptions, Options};

use crate::kafka::admin::{Admin, MissingTopics};
use crate::kafka::{KafkaError, TopicNow};
use crate::settings::Settings;

/// How long one question about the topics may take.
pub(super) const ATTEMPT: Duration = Duration::from_secs(5);

/// What is asked about, from the settings.
#[derive(Debug, Clone)]
pub(super) struct Names {
    keyed: Vec<String>,
    unkeyed: Vec<String>,
    by_user: Option<String>,
    partials: String,
}

/// Topics that fit together.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) core: Arc<Options>,
    pub(super) tasks: u32,
    pub(super) merges: u32,
    topics: BTreeMap<String, TopicNow>,
}

/// Topics that do not, for now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error(
        "topic `{topic}` does not exist: nothing is read until it does; create it, and what was counted before stays"
    )]
    Missing { topic: String },
    #[error(
        "inputs: topic `{first}` has {tasks} partition(s) and `{topic}` has {count}, so events of one user would not \
         meet: give them the same number, or set keyed = false for one of them, and it is re-keyed"
    )]
    Widths { first: String, tasks: i32, topic: String, count: i32 },
    #[error(
        "kafka.by_user_topic `{topic}` has {count} partition(s) and the keyed inputs have {tasks}: add partitions to it \
         until it has as many"
    )]
    ByUser { topic: String, count: i32, tasks: i32 },
    #[error(
        "kafka.partials_topic `{topic}` had {before} partition(s) and has {count}, so windows would be looked for in \
         other ones: stop every instance, and go on with another kafka.partials_topic"
    )]
    Partials { topic: String, before: u32, count: i32 },
}

/// What has changed of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Partitions { topic: String, before: i32, now: i32 },
    MadeAgain { topic: String },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partitions { topic, before, now } => write!(
                f,
                "topic `{topic}` had {before} partition(s) and has {now}: the group shares them out anew; users that \
                 moved to another partition count twice in the windows of this moment"
            ),
            Self::MadeAgain { topic } => {
                write!(f, "topic `{topic}` was deleted and made again: the group begins with it anew")
            }
        }
    }
}

impl Names {
    pub(super) fn of(settings: &Settings) -> Self {
        let of = |keyed: bool| {
            let inputs = settings.inputs.iter().filter(move |input| input.keyed == keyed);
            inputs.map(|input| input.topic.clone()).collect::<Vec<_>>()
        };
        let unkeyed = of(false);
        let by_user = (!unkeyed.is_empty()).then(|| settings.kafka.by_user_topic.clone());
        Self { keyed: of(true), unkeyed, by_user, partials: settings.kafka.partials_topic.clone() }
    }

    /// Every topic that is read.
    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        self.keyed.iter().chain(&self.unkeyed).chain(&self.by_user).chain([&self.partials])
    }

    /// Asks Kafka about them.
    pub(super) fn ask(
        &self,
        admin: &Admin,
        missing: MissingTopics,
    ) -> Result<BTreeMap<String, Option<TopicNow>>, KafkaError> {
        let all: Vec<String> = self.all().cloned().collect();
        let found = admin.describe(&all, missing, ATTEMPT)?;
        Ok(all.into_iter().zip(found).collect())
    }
}

impl Layout {
    /// Whether the topics fit together. `before`: how many merges there were.
    pub(super) fn of(
        names: &Names,
        core: &Options,
        found: &BTreeMap<String, Option<TopicNow>>,
        before: Option<u32>,
    ) -> Result<Self, Unfit> {
        let get = |topic: &String| {
            found.get(topic).copied().flatten().ok_or_else(|| Unfit::Missing { topic: topic.clone() })
        };
        let keyed = names.keyed.iter().map(|topic| Ok((topic.as_str(), get(topic)?.partitions)));
        let keyed = keyed.collect::<Result<Vec<_>, Unfit>>()?;
        let by_user = names.by_user.as_ref().map(|topic| Ok((topic, get(topic)?.partitions))).transpose()?;
        let tasks = match (keyed_tasks(&keyed)?, by_user) {
            (Some(tasks), Some((topic, count))) if tasks != count => {
                return Err(Unfit::ByUser { topic: topic.clone(), count, tasks });
            }
            (Some(tasks), _) | (None, Some((_, tasks))) => tasks,
            (None, None) => unreachable!("settings have at least one input"),
        };
        let merges = get(&names.partials)?.partitions;
        if let Some(before) = before.filter(|before| merges as u32 != *before) {
            return Err(Unfit::Partials { topic: names.partials.clone(), before, count: merges });
        }
        let sources = names.unkeyed.iter().map(|topic| Ok(get(topic)?.partitions as u32));
        let sources = sources.collect::<Result<Vec<_>, Unfit>>()?;
        let mut core = core.clone();
        if let Some(rekeyed) = &mut core.rekeyed {
            rekeyed.partitions = sources;
        }
        let topics = names.all().map(|topic| Ok((topic.clone(), get(topic)?)));
        let topics = topics.collect::<Result<_, Unfit>>()?;
        Ok(Self { core: Arc::new(core), tasks: tasks as u32, merges: merges as u32, topics })
    }

    /// With what memory has room for, which is divided among the tasks.
    pub(super) fn within(mut self, settings: &Settings) -> Self {
        let plan = settings.memory_plan(self.tasks);
        let mut core = Options::clone(&self.core);
        (core.limits, core.urls_max) = (plan.limits, plan.urls);
        self.core = Arc::new(core);
        self
    }

    /// The id of a topic; 0 where it is not known.
    pub(super) fn topic_id(&self, topic: &str) -> u64 {
        self.topics.get(topic).map_or(0, |topic| topic.id)
    }

    /// What is different now.
    pub(super) fn changes(&self, now: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (topic, before) in &self.topics {
            let Some(now) = now.topics.get(topic) else { continue };
            if before.id != now.id {
                changes.push(Change::MadeAgain { topic: topic.clone() });
            } else if before.partitions != now.partitions {
                let (topic, before, now) = (topic.clone(), before.partitions, now.partitions);
                changes.push(Change::Partitions { topic, before, now });
            }
        }
        changes
    }

    /// Inputs to re-key, with their partitions.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&InputOptions, u32)> {
        let rekeyed = self.core.rekeyed.iter();
        rekeyed.flat_map(|rekeyed| rekeyed.inputs.iter().zip(rekeyed.partitions.iter().copied()))
    }
}

/// How many tasks the keyed inputs ask for: a partition number of all of them is one task.
pub(super) fn keyed_tasks(keyed: &[(&str, i32)]) -> Result<Option<i32>, Unfit> {
    let Some(((first, tasks), others)) = keyed.split_first() else { return Ok(None) };
    match others.iter().find(|(_, count)| count != tasks) {
        None => Ok(Some(*tasks)),
        Some((topic, count)) => Err(Unfit::Widths {
            first: (*first).to_owned(),
            tasks: *tasks,
            topic: (*topic).to_owned(),
            count: *count,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_inputs_of_different_width_are_refused_with_the_cure() {
        assert_eq!(keyed_tasks(&[]), Ok(None));
        assert_eq!(keyed_tasks(&[("a", 4), ("b", 4)]), Ok(Some(4)));
        let error = keyed_tasks(&[("a", 4), ("b", 8)]).unwrap_err().to_string();
        assert!(error.contains("`b` has 8") && error.contains("keyed = false"), "{error}");
    }

    #[test]
    fn a_topic_that_is_missing_is_named() {
        let unfit = layout(&[("partials", 1, 2)], None).unwrap_err();
        assert_eq!(unfit, Unfit::Missing { topic: "clicks".to_owned() });
    }

    #[test]
    fn more_partitions_and_another_topic_of_the_name_are_changes() {
        let before = layout(&[("clicks", 7, 4), ("partials", 1, 2)], None).unwrap();
        assert_eq!((before.tasks, before.merges, before.topic_id("clicks")), (4, 2, 7));
        assert_eq!(before.changes(&before), []);
        let wider = layout(&[("clicks", 7, 6), ("partials", 1, 2)], None).unwrap();
        let topic = "clicks".to_owned();
        assert_eq!(before.changes(&wider), [Change::Partitions { topic: topic.clone(), before: 4, now: 6 }]);
        let again = layout(&[("clicks", 8, 4), ("partials", 1, 2)], None).unwrap();
        assert_eq!(before.changes(&again), [Change::MadeAgain { topic }]);
    }

    #[test]
    fn the_partials_topic_keeps_its_width() {
        let unfit = layout(&[("clicks", 7, 4), ("partials", 1, 3)], Some(2)).unwrap_err();
        assert!(matches!(unfit, Unfit::Partials { before: 2, count: 3, .. }), "{unfit}");
    }

    fn layout(topics: &[(&str, u64, i32)], before: Option<u32>) -> Result<Layout, Unfit> {
        let names = Names {
            keyed: vec!["clicks".to_owned()],
            unkeyed: Vec::new(),
            by_user: None,
            partials: "partials".to_owned(),
        };
        let found = topics.iter().map(|(topic, id, partitions)| {
            ((*topic).to_owned(), Some(TopicNow { id: *id, partitions: *partitions }))
        });
        Layout::of(&names, &Options::default(), &found.collect(), before)
    }
}
