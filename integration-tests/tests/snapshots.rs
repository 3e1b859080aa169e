//! Snapshots on real services: a killed processor goes on from one, and nothing that befalls their place changes a number.

use std::path::PathBuf;
use std::time::Duration;

use integration_tests::{
    Influx, Kafka, Names, Numbers, Processor, ProcessorConfig, Producer, S3, eventually, eventually_within,
    free_port,
};

const PARTITIONS: i32 = 4;

#[test]
fn killed_it_goes_on_from_snapshots_and_comes_to_the_numbers_of_a_run_without() {
    let world = World::start("snapshots-kill");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = world.config(&section(folder.path(), "interval = \"1s\""));
    for life in 1..=3 {
        let mut processor = Processor::run(&config, &[]);
        processor.await_ready();
        // Each life has records of its own, however long Kafka takes to give up the one before.
        let mut producer = world.produce(&format!("--count 40000 --seed 1{life}"));
        processor.await_consumed(10_000);
        await_two_each(folder.path(), &world.names);
        if life > 1 {
            assert_restored(&processor, PARTITIONS as u64);
        }
        processor.process.kill();
        producer.finish();
    }
    let log = Processor::run_until_end(&config);
    assert_eq!(log.matches("state restored from a snapshot").count(), PARTITIONS as usize, "{log}");
    world.assert_numbers_of_an_undisturbed_run();
}

#[test]
fn a_bucket_that_is_away_at_the_start_stops_nothing_and_is_used_once_it_is_there() {
    let world = World::start("snapshots-s3");
    let mut s3 = S3::prepare();
    let config = world.config(&s3.section("interval = \"1s\""));
    let mut producer = world.produce_in_the_background();
    let mut processor = Processor::run(&config, &[]);
    processor.await_ready();
    processor.await_consumed(10_000);
    let problem = eventually("the problem is on the page", || {
        let status = processor.status()?;
        status["snapshots"]["problem"].as_str().map(str::to_owned).ok_or_else(|| status.to_string())
    });
    assert!(problem.contains("s3://snapshots/some/prefix is not reachable"), "{problem}");
    assert_eq!(processor.get("/readyz").expect("the page answers").status, 200, "it is ready all the same");
    assert!(metric(&processor, "processor_snapshot_failures_total") > 0.0);

    s3.launch();
    eventually("the missing bucket is named", || {
        let status = processor.status()?;
        let problem = status["snapshots"]["problem"].as_str().unwrap_or_default();
        if problem.contains("create the bucket") { Ok(()) } else { Err(status.to_string()) }
    });
    s3.make_bucket();
    await_snapshots(&processor, PARTITIONS as u64);
    assert!(!s3.keys().is_empty());
    assert!(s3.keys().iter().all(|key| key.starts_with("some/prefix/")), "{:?}", s3.keys());
    assert_eq!(processor.terminate(), 0);
    assert!(!processor.process.log().contains("hunter2"), "secrets are not logged");

    let mut processor = Processor::run(&config, &[]);
    processor.await_ready();
    assert_restored(&processor, PARTITIONS as u64);
    producer.finish();
    s3.kill();
    assert_eq!(processor.terminate(), 0, "an end without the bucket is an end in order");

    Processor::run_until_end(&config); // its snapshots are gone with the server
    world.assert_numbers_of_an_undisturbed_run();
}

#[test]
fn damaged_snapshots_fall_back_to_older_ones_and_then_to_the_log() {
    let world = World::start("snapshots-damaged");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = world.config(&section(folder.path(), "interval = \"1s\""));
    let mut producer = world.produce_in_the_background();
    let mut processor = Processor::run(&config, &[]);
    processor.await_ready();
    processor.await_consumed(20_000);
    await_two_each(folder.path(), &world.names);
    assert_eq!(processor.terminate(), 0);
    // The last one is of the end: none lies ahead of the commit.
    for task in tasks() {
        let newest = snapshots_of(folder.path(), &world.names, task).pop().expect("there are two");
        let bytes = std::fs::read(&newest).expect("it can be read");
        std::fs::write(&newest, &bytes[..bytes.len() / 2]).expect("it can be written");
    }
    let mut processor = Processor::run(&config, &[]);
    processor.await_ready();
    assert_restored(&processor, PARTITIONS as u64);
    assert!(metric(&processor, "processor_snapshot_unusable_total{reason=\"damaged\"}") >= 1.0);
    processor.process.kill();

    for task in tasks() {
        for path in snapshots_of(folder.path(), &world.names, task) {
            let mut bytes = std::fs::read(&path).expect("it can be read");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).expect("it can be written");
        }
    }
    let mut processor = Processor::run(&config, &[]);
    processor.await_ready();
    assert_restored(&processor, 0);
    assert!(processor.process.log().contains("no snapshot fits; the log is read again instead"));
    producer.finish();
    assert_eq!(processor.terminate(), 0);
    Processor::run_until_end(&config);
    world.assert_numbers_of_an_undisturbed_run();
}

#[test]
fn snapshots_of_other_settings_or_another_format_are_left_and_the_log_is_read() {
    let world = World::start("snapshots-settings");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let snapshots = section(folder.path(), "interval = \"1s\"");
    let mut producer = world.produce_in_the_background();
    let mut processor = Processor::run(&world.config(&snapshots), &[]);
    processor.await_ready();
    processor.await_consumed(20_000);
    await_snapshots(&processor, PARTITIONS as u64);
    assert_eq!(processor.terminate(), 0);
    let before: Vec<PathBuf> =
        tasks().flat_map(|task| snapshots_of(folder.path(), &world.names, task)).collect();

    let other = world.config(&format!("{snapshots}\n[attribution]\nlookback = \"30m\""));
    let mut processor = Processor::run(&other, &[]);
    processor.await_ready();
    assert_restored(&processor, 0);
    assert!(metric(&processor, "processor_snapshot_unusable_total{reason=\"other_settings\"}") >= 1.0);
    processor.process.kill();
    assert!(before.iter().any(|path| path.exists()), "they are not removed at once");

    // Magic, then the version.
    for path in tasks().flat_map(|task| snapshots_of(folder.path(), &world.names, task)) {
        let mut bytes = std::fs::read(&path).expect("it can be read");
        bytes[4..6].copy_from_slice(&0_u16.to_le_bytes());
        std::fs::write(&path, bytes).expect("it can be written");
    }
    let mut processor = Processor::run(&other, &[]);
    processor.await_ready();
    assert_restored(&processor, 0);
    assert!(metric(&processor, "processor_snapshot_unusable_total{reason=\"other_format\"}") >= 1.0);
    processor.process.kill();
    producer.finish();
    Processor::run_until_end(&other);
}

#[test]
fn a_full_disk_costs_snapshots_and_nothing_else() {
    let world = World::start("snapshots-full");
    let disk = SmallDisk::mount();
    let config = world.config(&section(&disk.0, "interval = \"1s\""));
    let mut producer = world.produce_in_the_background();
    let mut processor = Processor::run(&config, &[]);
    processor.await_ready();
    let problem = eventually("the page says that the disk is full", || {
        let status = processor.status()?;
        let problem = status["snapshots"]["problem"].as_str().unwrap_or_default();
        if problem.contains("is full") { Ok(problem.to_owned()) } else { Err(status.to_string()) }
    });
    assert!(problem.contains("free space there, or lower state.keep"), "{problem}");
    producer.finish();
    let status = processor.status().expect("the page answers");
    assert_eq!(status["conserved"], true, "{status}");
    assert_eq!(processor.terminate(), 0);
    Processor::run_until_end(&config);
    world.assert_numbers_of_an_undisturbed_run();
}

#[test]
fn check_tries_the_bucket_and_says_what_is_wrong_with_it() {
    let s3 = S3::start();
    let verdict = |section: &str| {
        let mut check = Processor::spawn("check", section, free_port(), &[]);
        check.process.wait(Duration::from_secs(60)); // Kafka is not there, so it fails in any case
        let log = check.process.log();
        log.lines().find(|line| line.contains("state.url")).unwrap_or_else(|| panic!("{log}")).to_owned()
    };
    let line = verdict(&s3.section(""));
    assert_eq!(line, "ok    state.url = \"s3://snapshots/some/prefix\": can be written, read and cleared");
    assert!(s3.keys().is_empty(), "{:?}", s3.keys());
    let line = verdict(&s3.section("").replace("s3://snapshots", "s3://elsewhere"));
    assert!(line.starts_with("FAIL  state.url") && line.contains("create the bucket"), "{line}");
    let nobody = s3.section("").replace(s3.endpoint(), &format!("http://127.0.0.1:{}", free_port()));
    let line = verdict(&nobody);
    assert!(line.starts_with("FAIL  state.url") && line.contains("is not reachable"), "{line}");
}

/// Services, and one stream of events.
struct World {
    kafka: Kafka,
    influx: Influx,
    names: Names,
}

impl World {
    fn start(test: &str) -> Self {
        let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique(test));
        kafka.create_topic(&names.topic, PARTITIONS);
        Self { kafka, influx, names }
    }

    fn config(&self, sections: &str) -> ProcessorConfig {
        // A killed member is given up after 25 s, the least there is, rather than 45.
        let properties = "[kafka.properties]\n\"session.timeout.ms\" = \"25000\"\n";
        ProcessorConfig::new(&self.kafka, &self.influx, &self.names).extra(properties).extra(sections)
    }

    /// 30 s of traffic.
    fn produce_in_the_background(&self) -> Producer {
        self.produce("--count 120000 --seed 11")
    }

    fn produce(&self, how_many: &str) -> Producer {
        let stream = "--rate 4000 --users 2000 --out-of-order 0.1 --duplicates 0.02 --invalid 0.01";
        Producer::spawn_to(&self.kafka, &self.names, &format!("{stream} {how_many}"))
    }

    fn assert_numbers_of_an_undisturbed_run(&self) {
        let numbers = Numbers::of(&self.influx);
        assert!(numbers.sum("raw_10s", "http_all", "requests") > 50_000, "most events are requests");
        numbers.assert_equal(&Numbers::of_an_undisturbed_run(&self.kafka, &self.names));
    }
}

/// A file system of a few kilobytes, gone when it is dropped. Mounting needs root, as CI is.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder").keep();
        let mount = ["-t", "tmpfs", "-o", "size=32k", "tmpfs"];
        let done = std::process::Command::new("mount").args(mount).arg(&dir).status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "mounting a tmpfs works; this test has to be run as root"
        );
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a processor that the test leaves behind may still have it open.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn section(folder: &std::path::Path, more: &str) -> String {
    format!("[state]\nurl = {:?}\n{more}\n", folder.display().to_string())
}

fn tasks() -> impl Iterator<Item = i32> {
    0..PARTITIONS
}

/// A task's snapshots in a folder, the oldest first.
fn snapshots_of(folder: &std::path::Path, names: &Names, task: i32) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join(&names.group).join(format!("{task:05}")));
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "snapshot")).collect();
    paths.sort();
    paths
}

/// Waits until each task has two snapshots in a folder: should the newer one lie ahead of the commit at a kill, the older
/// one does not.
fn await_two_each(folder: &std::path::Path, names: &Names) {
    eventually("each task has two snapshots", || {
        let counts: Vec<usize> = tasks().map(|task| snapshots_of(folder, names, task).len()).collect();
        if counts.iter().all(|count| *count >= 2) { Ok(()) } else { Err(format!("{counts:?}")) }
    });
}

/// Waits until this instance has written so many.
fn await_snapshots(processor: &Processor, count: u64) {
    eventually(&format!("{count} snapshots are written"), || {
        let status = processor.status()?;
        let written = status["snapshots"]["written"].as_u64().unwrap_or(0);
        if written >= count { Ok(()) } else { Err(status["snapshots"].to_string()) }
    });
}

/// Waits until as many tasks have begun as there are, and asserts how many of them began from a snapshot.
fn assert_restored(processor: &Processor, expected: u64) {
    let status = eventually_within(Duration::from_secs(60), "all tasks have begun", || {
        let status = processor.status()?;
        let begun = status["tasks"].as_array().map_or(0, Vec::len);
        if begun == PARTITIONS as usize { Ok(status) } else { Err(status.to_string()) }
    });
    assert_eq!(status["snapshots"]["restored"].as_u64(), Some(expected), "{}", status["snapshots"]);
}

/// A sample of `/metrics`, 0 where there is none.
fn metric(processor: &Processor, name: &str) -> f64 {
    let text = processor.get("/metrics").expect("the page answers").body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a sample is a number"))
}
