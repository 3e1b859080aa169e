//! What every case does: send its input, let a processor read it to its end, and look at what there is then.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use integration_tests::{Influx, Kafka, Names, Point, Processor, ProcessorConfig, Record, Send};
use serde::Deserialize;
use serde_json::Value;

/// The servers of all cases.
pub(crate) struct Services {
    pub(crate) kafka: Kafka,
    pub(crate) influx: Influx,
}

/// One case.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Services),
}

/// The cases of a module by their functions' names: `tests!["money": amounts, currencies]`.
macro_rules! tests {
    ($module:literal: $($name:ident),+ $(,)?) => {
        pub(crate) const TESTS: &[crate::support::Test] = &[$(
            crate::support::Test { name: concat!($module, "::", stringify!($name)), run: $name }
        ),+];
    };
}
pub(crate) use tests;

/// A topic, a group and buckets of a case's own.
pub(crate) struct Case<'a> {
    pub(crate) kafka: &'a Kafka,
    pub(crate) influx: Influx,
    pub(crate) names: Names,
    pub(crate) config: ProcessorConfig,
}

impl<'a> Case<'a> {
    pub(crate) fn new(services: &'a Services, name: &str, partitions: i32) -> Self {
        let names = Names::unique(&format!("case-{name}"));
        let influx = services.influx.beside(&format!("case-{name}"));
        services.kafka.create_topic(&names.topic, partitions);
        let config = ProcessorConfig::new(&services.kafka, &influx, &names);
        Self { kafka: &services.kafka, influx, names, config }
    }

    /// A case of one partition with the lines of a file in it, keyed by user, run to its end.
    pub(crate) fn of_lines(services: &'a Services, file: &str) -> Self {
        Self::of_lines_with(services, file, "")
    }

    /// The same with further settings.
    pub(crate) fn of_lines_with(services: &'a Services, file: &str, settings: &str) -> Self {
        let mut case = Self::new(services, number(file), 1);
        case.config = case.config.extra(settings);
        case.send(&lines(file).iter().map(|line| plain(0, line)).collect::<Vec<_>>());
        case.run();
        case
    }

    pub(crate) fn send(&self, records: &[Send]) {
        self.kafka.send(&self.names.topic, records);
    }

    /// Reads everything there is to its end.
    pub(crate) fn run(&self) {
        Processor::run_until_end(&self.config);
        self.assert_accounted();
    }

    /// Every record is an event, a repeat, late, or refused, and what is set aside is in its topic.
    pub(crate) fn assert_accounted(&self) {
        let sent = self.kafka.end_offsets(&self.names.topic).iter().sum::<i64>();
        let events = self.sum("events", "count");
        let quality = self.by("quality", "reason", "count");
        let of = |reason: &str| quality.get(reason).copied().unwrap_or_default();
        let counted_too = ["incomplete", "unusable", "repeated_checkout", "duplicate", "late"];
        let refused: i64 = quality
            .iter()
            .filter(|(reason, _)| !counted_too.contains(&reason.as_str()))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(events + of("duplicate") + of("late") + refused, sent, "{events} events, {quality:?}");
        assert_eq!(self.letters().len() as i64, refused, "{quality:?}");
        assert_eq!(self.kafka.read_all(&self.names.late()).len() as i64, of("late"), "{quality:?}");
    }

    /// The sum of a field over all points of a measurement, the same in each bucket.
    pub(crate) fn sum(&self, measurement: &str, field: &str) -> i64 {
        self.by_all(measurement, &[], field).into_values().sum()
    }

    /// The sums of a field by a tag, the same in each bucket; without those that are 0.
    pub(crate) fn by(&self, measurement: &str, tag: &str, field: &str) -> BTreeMap<String, i64> {
        let all = self.by_all(measurement, &[tag], field).into_iter();
        all.map(|(mut tags, sum)| (tags.pop().expect("one tag"), sum)).collect()
    }

    /// The sums of a field by several tags, the same in each bucket; without those that are 0.
    pub(crate) fn by_all(&self, measurement: &str, tags: &[&str], field: &str) -> BTreeMap<Vec<String>, i64> {
        let [raw, minute, hour] = self.influx.buckets().all().map(|bucket| {
            let mut sums: BTreeMap<Vec<String>, i64> = BTreeMap::new();
            for point in self.influx.read(bucket, measurement) {
                let key = tags.iter().map(|tag| point.tags.get(*tag).cloned().unwrap_or_default()).collect();
                *sums.entry(key).or_default() += int(&point, field);
            }
            sums.retain(|_, sum| *sum != 0);
            sums
        });
        assert_eq!(raw, minute, "{measurement}.{field} in windows of the finest size, and of a minute");
        assert_eq!(raw, hour, "{measurement}.{field} in windows of the finest size, and of an hour");
        raw
    }

    /// The sums of a field by window start (seconds since the epoch), in the finest windows; without those that are 0.
    pub(crate) fn by_window(&self, measurement: &str, field: &str) -> BTreeMap<i64, i64> {
        let mut sums = BTreeMap::new();
        for point in self.influx.read(&self.influx.buckets().raw, measurement) {
            *sums.entry(point.time_ms / 1_000).or_default() += int(&point, field);
        }
        sums.retain(|_, sum| *sum != 0);
        sums
    }

    /// Distinct users by hour; all cases but those about times have one hour only.
    pub(crate) fn users(&self) -> Vec<i64> {
        let points = self.influx.read(&self.influx.buckets().hour, "http_all");
        points.iter().map(|point| int(point, "users")).filter(|users| *users != 0).collect()
    }

    /// Every text that is a tag's or a field's value, of all measurements about the stream and all buckets.
    pub(crate) fn texts(&self) -> Vec<String> {
        let measurements =
            ["attribution", "events", "first_click", "http", "http_all", "http_status", "latency", "quality"];
        let mut texts = Vec::new();
        for bucket in self.influx.buckets().all() {
            for measurement in measurements.into_iter().chain(["url_top", "user_top"]) {
                for point in self.influx.read(bucket, measurement) {
                    texts.extend(point.tags.into_values());
                    texts.extend(point.fields.values().filter_map(Value::as_str).map(str::to_owned));
                }
            }
        }
        texts
    }

    /// What was refused, by partition and offset of the topic of dead letters.
    pub(crate) fn letters(&self) -> Vec<Record> {
        self.kafka.read_all(&self.names.dead_letters())
    }

    /// How many were refused for which reason.
    pub(crate) fn refused(&self) -> BTreeMap<String, i64> {
        let mut reasons = BTreeMap::new();
        for letter in self.letters() {
            *reasons.entry(letter.headers["reason"].clone()).or_default() += 1;
        }
        reasons
    }
}

/// A file of `integration-tests/cases`.
pub(crate) fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(file)
}

/// Its lines.
pub(crate) fn lines(file: &str) -> Vec<String> {
    let text = fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().map(str::to_owned).collect()
}

/// The records of a `.records.jsonl`.
pub(crate) fn records(file: &str) -> Vec<Send> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        key: Option<String>,
        value: Option<String>,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        partition: i32,
        timestamp_ms: Option<i64>,
        fill_to_bytes: Option<usize>,
        compress: Option<String>,
    }

    let record = |line: &String| {
        let mut line: Line = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        if let (Some(value), Some(size)) = (&mut line.value, line.fill_to_bytes) {
            let room = size - (value.len() - "<fill>".len());
            *value = value.replace("<fill>", &"x".repeat(room));
        }
        Send {
            partition: line.partition,
            key: line.key,
            value: line.value.map(String::into_bytes),
            headers: line.headers.into_iter().collect(),
            timestamp_ms: line.timestamp_ms,
            compress: line.compress,
        }
    };
    lines(file).iter().map(record).collect()
}

/// A record of this value, stamped by Kafka's client with now, keyed by its user.
pub(crate) fn plain(partition: i32, value: &str) -> Send {
    let event: Value = serde_json::from_str(value).unwrap_or_default();
    let key = event["user_id"].as_str().or(event["userId"].as_str()).map(str::to_owned);
    Send { partition, key, value: Some(value.as_bytes().to_vec()), ..Send::default() }
}

/// A map of names to numbers, to compare with.
pub(crate) fn counts<const N: usize>(pairs: [(&str, i64); N]) -> BTreeMap<String, i64> {
    pairs.map(|(name, count)| (name.to_owned(), count)).into()
}

pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since_epoch.as_millis()).expect("not that far in the future")
}

/// An integer field that every point of its measurement has.
pub(crate) fn int(point: &Point, field: &str) -> i64 {
    let value = point.fields.get(field).and_then(Value::as_i64);
    value.unwrap_or_else(|| panic!("an integer {field}: {point:?}"))
}

/// What a file's name begins with.
fn number(file: &str) -> &str {
    file.split('.').next().expect("a name")
}
