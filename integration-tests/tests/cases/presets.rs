//! From records of a tool that a preset is for to right numbers, without a hand on it: what `suggest` prints is the input's
//! section, and InfluxDB then has what the preset's `expected.txt` says of each record of its `sample.ndjson`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use events::Preset;
use integration_tests::{Processor, Send};

use crate::support::{Case, Services, tests};

tests!["presets": every_sample_goes_from_a_file_to_right_numbers,
    records_keyed_by_user_go_from_their_topic_to_right_numbers,
    records_keyed_otherwise_go_from_their_topic_to_right_numbers];

const HOUR: i64 = 3_600_000_000;

fn every_sample_goes_from_a_file_to_right_numbers(services: &Services) {
    // What a preset makes of its sample is known to its own tests; one without these is none that is shipped.
    for preset in Preset::ALL {
        let sample = Sample::of(preset.name);
        let mut case = sample.case(services, 1);
        let topic = case.names.topic.clone();
        let file = sample.file.to_str().expect("a plain path");
        let section = suggested(&[file, "--topic", &topic]);
        assert!(section.contains(&format!("preset = {:?}", preset.name)), "{}:\n{section}", preset.name);
        assert!(section.contains("no keys were seen"), "{}:\n{section}", preset.name);
        case.config = case.config.inputs(&section);
        // Keyed by user, as is assumed of a file, and said to be.
        let keyed = |line: &Line| Send { key: line.user(), ..line.record() };
        case.send(&sample.lines.iter().map(keyed).collect::<Vec<_>>());
        sample.assert_right(&case);
        sample.assert_explained(&case, &[file]);
    }
}

fn records_keyed_by_user_go_from_their_topic_to_right_numbers(services: &Services) {
    let sample = Sample::of("segment");
    let mut case = sample.case(services, 2);
    let keyed = |line: &Line| {
        let user = line.user().expect("all of this sample have one");
        let partition = i32::from(user.starts_with("a-")); // visitors who are not logged in
        Send { key: Some(user), partition, ..line.record() }
    };
    let records: Vec<Send> = sample.lines.iter().map(keyed).collect();
    let partitions: BTreeSet<i32> = records.iter().map(|record| record.partition).collect();
    assert!(partitions.len() > 1, "users in several partitions");
    case.send(&records);
    let section = suggested(&["--brokers", case.kafka.bootstrap(), "--topic", &case.names.topic]);
    assert!(section.contains("\nkeyed = true"), "{section}");
    case.config = case.config.inputs(&section);
    sample.assert_right(&case);
    sample.assert_explained(&case, &["--last", "100"]);
}

fn records_keyed_otherwise_go_from_their_topic_to_right_numbers(services: &Services) {
    let sample = Sample::of("faker-clickstream");
    let mut case = sample.case(services, 2);
    // As they came, so that one user's records are in both partitions.
    let keyed = |(number, line): (i32, &Line)| Send {
        key: Some(format!("session-{number}")),
        partition: number % 2,
        ..line.record()
    };
    case.send(&(0..).zip(&sample.lines).map(keyed).collect::<Vec<_>>());
    let section = suggested(&["--brokers", case.kafka.bootstrap(), "--topic", &case.names.topic]);
    assert!(section.contains("\nkeyed = false"), "{section}");
    case.config = case.config.inputs(&section);
    sample.assert_right(&case);
    sample.assert_explained(&case, &["--last", "100"]);
}

/// What `suggest` prints.
fn suggested(args: &[&str]) -> String {
    let (code, said) = Processor::without_settings("suggest", args);
    assert_eq!(code, 0, "suggest {args:?}: {said}");
    said
}

/// A preset's sample.
struct Sample {
    name: &'static str,
    file: PathBuf,
    lines: Vec<Line>,
}

/// A record and what becomes of it: the event, or why it is refused.
struct Line {
    value: String,
    becomes: Result<Event, String>,
}

/// What `expected.txt` says of an event, in microseconds and cents.
struct Event {
    kind: String,
    time: i64,
    named: BTreeMap<String, String>,
}

impl Sample {
    fn of(name: &'static str) -> Self {
        let presets = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../events/presets");
        let folder = presets.join(name).canonicalize().unwrap_or_else(|error| panic!("{name}: {error}"));
        let read =
            |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_else(|_| panic!("{name}: {file}"));
        let (sample, expected) = (read("sample.ndjson"), read("expected.txt"));
        assert_eq!(sample.lines().count(), expected.lines().count(), "{name}: a line of each");
        let line =
            |(value, becomes): (&str, &str)| Line { value: value.to_owned(), becomes: Event::read(becomes) };
        let lines = sample.lines().zip(expected.lines()).map(line).collect();
        Self { name, file: folder.join("sample.ndjson"), lines }
    }

    /// A topic for it, with settings by which its events are right whenever they are read.
    fn case<'a>(&self, services: &'a Services, partitions: i32) -> Case<'a> {
        let mut case = Case::new(services, &format!("preset-{}", self.name), partitions);
        // None is late, and none is of a future that the wall clock may still be in front of.
        let windows = [("allowed_lateness", "\"1h\""), ("max_future_skew", "\"off\"")];
        for (key, value) in windows {
            case.config = case.config.windows(key, value);
        }
        case
    }

    /// Runs it to the end, and compares all that is counted.
    fn assert_right(&self, case: &Case<'_>) {
        case.run();
        let name = self.name;
        let events = || self.lines.iter().filter_map(|line| line.becomes.as_ref().ok());
        let count = |of: &dyn Fn(&Event) -> Option<String>| {
            let mut counts: BTreeMap<String, i64> = BTreeMap::new();
            events().filter_map(of).for_each(|key| *counts.entry(key).or_default() += 1);
            counts
        };
        let found = case.by("events", "event_type", "count");
        assert_eq!(found, count(&|event| Some(event.kind.clone())), "{name}: events");

        let statuses: Vec<u16> = events().filter_map(Event::status).collect();
        let between = |least: u16| {
            statuses.iter().filter(|status| (least..least + 100).contains(*status)).count() as i64
        };
        assert_eq!(case.sum("http_all", "requests"), statuses.len() as i64, "{name}: requests");
        assert_eq!(case.sum("http_all", "errors"), between(500), "{name}: errors");
        assert_eq!(case.sum("http_all", "client_errors"), between(400), "{name}: errors of clients");
        let mut by_status: BTreeMap<u16, i64> = BTreeMap::new();
        for (status, requests) in case.by("http_status", "status", "requests") {
            *by_status.entry(status.parse().expect("a status is a number")).or_default() += requests;
        }
        let mut expected: BTreeMap<u16, i64> = BTreeMap::new();
        statuses.iter().for_each(|status| *expected.entry(*status).or_default() += 1);
        assert_eq!(by_status, expected, "{name}: statuses");

        let mut users: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
        for event in events() {
            users.entry(event.time / HOUR).or_default().extend(event.get("user"));
        }
        let users: Vec<i64> =
            users.values().map(|users| users.len() as i64).filter(|count| *count > 0).collect();
        assert_eq!(case.users(), users, "{name}: users by hour");

        self.assert_facts(case);

        let mut quality = count(&|event| event.get("incomplete").map(|_| "incomplete".to_owned()));
        quality.extend(count(&|event| event.get("unusable").map(|_| "unusable".to_owned())));
        let refused =
            || self.lines.iter().filter_map(|line| Some((&line.value, line.becomes.as_ref().err()?)));
        refused().for_each(|(_, reason)| *quality.entry(reason.clone()).or_default() += 1);
        assert_eq!(case.by("quality", "reason", "count"), quality, "{name}: quality");
        let letters = case.letters();
        let set_aside: BTreeSet<(String, &str)> = letters
            .iter()
            .map(|letter| (String::from_utf8_lossy(&letter.value).into_owned(), &*letter.headers["reason"]))
            .collect();
        let expected: BTreeSet<(String, &str)> =
            refused().map(|(value, reason)| (value.clone(), reason.as_str())).collect();
        assert_eq!((set_aside, letters.len()), (expected, refused().count()), "{name}: dead letters");
    }

    /// Orders and what they are worth, by currency.
    fn assert_facts(&self, case: &Case<'_>) {
        let events = || self.lines.iter().filter_map(|line| line.becomes.as_ref().ok());
        let mut seen = BTreeSet::new();
        let (mut lines, mut orders, mut attributed, mut cents) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for checkout in events().filter(|event| event.kind == "checkout") {
            let user = checkout.get("user").expect("the checkouts of all samples have one");
            let order = checkout.get("checkout").expect("and an order");
            let is_first = seen.insert((order, None));
            assert!(seen.insert((order, Some(checkout.get("product")))), "and are no repeats");
            let currency = checkout.get("currency").unwrap_or("none");
            let add = |to: &mut BTreeMap<String, i64>, count: i64| {
                *to.entry(currency.to_owned()).or_default() += count;
            };
            let is_click = |event: &Event| {
                event.kind == "product_click"
                    && event.get("user") == Some(user)
                    && event.get("product") == checkout.get("product")
                    && (checkout.time - HOUR..=checkout.time).contains(&event.time)
            };
            add(&mut lines, 1);
            add(&mut orders, i64::from(is_first));
            add(&mut attributed, i64::from(events().any(is_click)));
            add(&mut cents, checkout.get("cents").map_or(0, |cents| cents.parse().expect("a number")));
        }
        for (field, mut expected) in
            [("checkouts", lines), ("orders", orders), ("attributed", attributed), ("revenue_cents", cents)]
        {
            expected.retain(|_, count| *count != 0);
            assert_eq!(case.by("first_click", "currency", field), expected, "{}: {field}", self.name);
        }
    }

    /// `explain` says the same of each record, by its exit code too.
    fn assert_explained(&self, case: &Case<'_>, args: &[&str]) {
        let refused = self.lines.iter().filter(|line| line.becomes.is_err()).count();
        let mut explain = Processor::spawn("explain", &case.config.to_toml(), case.config.http_port, args);
        let code = explain.process.wait(Duration::from_secs(60));
        let said = explain.process.log();
        assert_eq!(code, i32::from(refused > 0), "{}: {said}", self.name);
        if refused > 0 {
            let sum = format!("{refused} of {} records would be refused", self.lines.len());
            assert!(said.contains(&sum), "{}: {said}", self.name);
        }
    }
}

impl Line {
    fn record(&self) -> Send {
        Send { value: Some(self.value.clone().into_bytes()), ..Send::default() }
    }

    /// Who it is of, where that can be read.
    fn user(&self) -> Option<String> {
        Some(self.becomes.as_ref().ok()?.get("user")?.to_owned())
    }
}

impl Event {
    /// A line such as `page_view at 1755010801000000 user=u1 url=/ status=200`, or `refused missing_field: …`.
    fn read(line: &str) -> Result<Self, String> {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap_or_default();
        let kind = match next() {
            "refused" => return Err(next().trim_end_matches(':').to_owned()),
            kind => kind.to_owned(),
        };
        assert_eq!(next(), "at", "{line}");
        let time = next().parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        // Words without a name belong to a text with blanks, of which none is needed here.
        let named = words.filter_map(|word| word.split_once('='));
        let named = named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Self { kind, time, named })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    fn status(&self) -> Option<u16> {
        self.get("status").map(|status| status.parse().expect("a number"))
    }
}
