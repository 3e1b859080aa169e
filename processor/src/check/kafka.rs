use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Verdict, fail, ok, warn};
use crate::exit::Chain;
use crate::kafka::admin::Admin;
use crate::kafka::cleanup::{Cleanup, cleanup};
use crate::kafka::{ClientSettings, IN_PROPERTIES, KafkaError};
use crate::runtime::too_small;
use crate::settings::{KafkaSettings, Settings, format_duration};

/// How long a broker may take until it says anything: a handshake of TLS and SASL with one that is busy takes seconds.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether Kafka answers and the topics are as they should be.
pub(super) fn check(settings: &Settings, note: &mut impl FnMut(Verdict)) {
    let client = settings.kafka.client("clickpulse-check");
    let what = format!("kafka.brokers = {:?}", client.brokers);
    let admin = match Admin::new(&client) {
        Ok(admin) => admin,
        Err(error) => return note(fail("kafka", Chain(&error).to_string())),
    };
    let asked = Instant::now();
    let silent = |error: &KafkaError| matches!(error, KafkaError::Unreachable { .. });
    match admin.wait_for_brokers(|error| silent(error) && asked.elapsed() < FIRST_WORD) {
        Ok(()) => note(ok(what, "answers")),
        // The topics would say the same again.
        Err(error) => {
            let said = Chain(&error).to_string();
            return note(fail(
                what,
                if said.ends_with(IN_PROPERTIES) {
                    said
                } else {
                    format!("{said}; start Kafka, or correct kafka.brokers or [kafka.properties]")
                },
            ));
        }
    }
    let mut partitions = BTreeMap::new();
    for input in &settings.inputs {
        let what = format!("inputs topic {:?}", input.topic);
        let missing = "does not exist; `processor run` waits for it. Create it, or start the producer";
        if let Some(count) = topic(&admin, &what, &input.topic, missing, note) {
            if input.keyed {
                partitions.insert(input.topic.as_str(), count);
            }
            kept(&client, &what, &input.topic, settings.lookback(), note);
        }
    }
    sizes(&admin, settings).into_iter().for_each(&mut *note);
    co_partitioned(&partitions).map(&mut *note);
    let created = "does not exist yet; `processor run` creates it";
    let KafkaSettings { partials_topic, by_user_topic, incidents_topic, .. } = &settings.kafka;
    topic(&admin, &format!("kafka.partials_topic = {partials_topic:?}"), partials_topic, created, note);
    if settings.inputs.iter().any(|input| !input.keyed) {
        let what = format!("kafka.by_user_topic = {by_user_topic:?}");
        if let Some(count) = topic(&admin, &what, by_user_topic, created, note) {
            kept(&client, &what, by_user_topic, settings.lookback(), note);
            one_per_task(&what, count, &partitions).map(&mut *note);
        }
    }
    let what = format!("kafka.incidents_topic = {incidents_topic:?}");
    if topic(&admin, &what, incidents_topic, created, note).is_some_and(|count| count != 1) {
        note(fail(what, "has to have 1 partition, as the order of incidents matters; name another topic"));
    }
}

/// The number of partitions, if the topic is there.
fn topic(
    admin: &Admin,
    what: &str,
    name: &str,
    missing: &str,
    note: &mut impl FnMut(Verdict),
) -> Option<i32> {
    match admin.partition_count(name, PATIENCE) {
        Ok(count) => {
            note(ok(what, if count == 1 { "1 partition".into() } else { format!("{count} partitions") }));
            Some(count)
        }
        Err(KafkaError::UnknownTopic { .. }) => {
            note(warn(what, missing));
            None
        }
        Err(error) => {
            note(fail(what, Chain(&error).to_string()));
            None
        }
    }
}

/// Topics beside the inputs that take smaller records than these may have; what does not exist is made large enough.
fn sizes(admin: &Admin, settings: &Settings) -> Vec<Verdict> {
    let mut wanted: Vec<(String, usize)> = Vec::new();
    for input in &settings.inputs {
        let beside =
            [".dlq", ".late"].map(|suffix| (format!("{}{suffix}", input.topic), input.decoder.max_bytes));
        wanted.extend(beside);
        if !input.keyed {
            wanted.push((settings.kafka.by_user_topic.clone(), input.decoder.max_bytes));
        }
    }
    let topics: Vec<String> = wanted.iter().map(|(topic, _)| topic.clone()).collect();
    let limits = match admin.record_limits(&topics, PATIENCE) {
        Ok(limits) => limits,
        Err(error) => return vec![warn("max.message.bytes", format!("cannot be read: {}", Chain(&error)))],
    };
    let problem = |(topic, bytes): (String, usize)| {
        let found = too_small(&topic, *limits.get(&topic)?, bytes)?;
        Some(warn(format!("topic {topic:?}"), found))
    };
    wanted.into_iter().filter_map(problem).collect()
}

/// A partition number of all inputs is one task, so events of one user meet only where the counts agree.
fn co_partitioned(partitions: &BTreeMap<&str, i32>) -> Option<Verdict> {
    let mut counts: Vec<i32> = partitions.values().copied().collect();
    counts.sort_unstable();
    counts.dedup();
    if counts.len() < 2 {
        return None;
    }
    let listed: Vec<String> =
        partitions.iter().map(|(topic, count)| format!("{topic} has {count}")).collect();
    Some(fail(
        "inputs",
        format!(
            "the topics have different numbers of partitions ({}), so clicks and checkouts of one user would not meet; \
             give them the same number, or set keyed = false for those that are to be re-keyed",
            listed.join(", ")
        ),
    ))
}

/// The by-user topic has a partition per task, and the keyed inputs say how many there are.
fn one_per_task(what: &str, count: i32, keyed: &BTreeMap<&str, i32>) -> Option<Verdict> {
    let (topic, tasks) = keyed.iter().find(|(_, tasks)| **tasks != count)?;
    let cure = "stop every instance and delete the topic, or name another one";
    Some(fail(what, format!("has {count} partition(s) and {topic} has {tasks}; {cure}")))
}

/// State is rebuilt from the topic, so it has to reach back as far as the state does, with all of its records.
fn kept(
    client: &ClientSettings,
    what: &str,
    topic: &str,
    lookback: Duration,
    note: &mut impl FnMut(Verdict),
) {
    match cleanup(client, &[topic], PATIENCE) {
        Ok(found) => {
            for found in found {
                note(retention(what, found.retention, lookback));
                compaction(what, found, lookback).map(&mut *note);
            }
        }
        Err(error) => {
            note(warn(format!("{what} retention.ms"), format!("cannot be read: {}", Chain(&error))));
        }
    }
}

fn retention(what: &str, kept: Option<Duration>, lookback: Duration) -> Verdict {
    let what = format!("{what} retention.ms");
    let needed = format_duration(lookback);
    match kept {
        Some(kept) if kept < lookback => warn(
            what,
            format!(
                "{} is shorter than the {needed} that a restart reads again: numbers of that span would be missing. \
                 Raise it, or lower attribution.lookback, dedup.window or windows.allowed_lateness",
                format_duration(kept)
            ),
        ),
        Some(kept) => {
            ok(what, format!("{} covers the {needed} that a restart reads again", format_duration(kept)))
        }
        None => ok(what, "unlimited"),
    }
}

/// What a log that loses records in its middle cannot promise; nothing where it loses none.
fn compaction(what: &str, found: Cleanup, lookback: Duration) -> Option<Verdict> {
    if !found.compacts {
        return None;
    }
    let what = format!("{what} cleanup.policy");
    let needed = format_duration(lookback);
    Some(if found.lag < lookback {
        warn(
            what,
            format!(
                "is compact: of the records of a key all but the last vanish, so events that are not read within \
                 min.compaction.lag.ms ({}) are not counted, and a restart goes on without the {needed} that it would read \
                 again. Set min.compaction.lag.ms above {needed} and the longest time the processor may be away, or \
                 cleanup.policy to delete, or use [state]",
                format_duration(found.lag)
            ),
        )
    } else {
        ok(
            what,
            format!(
                "is compact, and min.compaction.lag.ms ({}) covers the {needed} that a restart reads again; what is not \
                 read within it may vanish uncounted",
                format_duration(found.lag)
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn topics_of_different_width_are_named() {
        assert_eq!(co_partitioned(&BTreeMap::from([("a", 4), ("b", 4)])), None);
        let verdict = co_partitioned(&BTreeMap::from([("a", 4), ("b", 8)])).unwrap();
        assert!(verdict.found.contains("a has 4, b has 8"), "{verdict}");
        assert_eq!(one_per_task("by-user", 4, &BTreeMap::from([("a", 4)])), None);
        assert!(one_per_task("by-user", 3, &BTreeMap::from([("a", 4)])).is_some());
    }

    #[test]
    fn a_compacted_topic_is_named_with_what_it_cannot_promise() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let topic = |compacts, lag| Cleanup { compacts, lag, retention: None };
        assert_eq!(compaction("in", topic(false, hours(0)), hours(2)), None);
        let bare = compaction("in", topic(true, hours(0)), hours(2)).unwrap();
        assert!(bare.level == Level::Warn && bare.found.contains("min.compaction.lag.ms above 2h"), "{bare}");
        assert_eq!(compaction("in", topic(true, hours(2)), hours(2)).unwrap().level, Level::Ok);
    }
}
