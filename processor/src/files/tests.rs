use std::sync::mpsc::{Receiver, Sender, channel};

use events::Timestamp;
use processor_core::FieldValue;
use processor_core::schema::{LATENCY, URL_TOP};

use super::*;
use crate::sink::Ack;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn points_are_lines_apart_by_window_and_one_file_of_json() {
    let files = Files::start();
    let latency = vec![1.0, 2.5, 1e300, 0.0].into_iter().map(FieldValue::Float);
    let fields = [FieldValue::Integer(3)].into_iter().chain(latency).collect();
    let odd =
        Point::new(Resolution::Hour, &LATENCY, vec!["/a \"b\"".into()], fields, Timestamp::from_secs(7_200));
    files.submit(1, vec![point(Resolution::Raw, 1), point(Resolution::Minute, 2), odd]);
    assert_eq!(files.ack(), 1);
    assert_eq!(files.read("points.lp"), "url_top,rank=01 url=\"/x\",requests=1i,errors=0i 1755720650000\n");
    assert_eq!(
        files.read("points_1m.lp"),
        "url_top,rank=01 url=\"/x\",requests=2i,errors=0i 1755720650000\n"
    );
    assert_eq!(
        files.read("points_1h.lp"),
        "latency,route=/a\\ \"b\" count=3i,p50_ms=1.0,p95_ms=2.5,p99_ms=1e300,max_ms=0.0 7200000\n"
    );
    let json = files.read("points.jsonl");
    let lines: Vec<&str> = json.lines().collect();
    assert_eq!(
        lines[0],
        r#"{"window":"raw","time_ms":1755720650000,"measurement":"url_top","tags":{"rank":"01"},"fields":{"url":"/x","requests":1,"errors":0}}"#
    );
    assert!(lines[1].starts_with(r#"{"window":"1m","time_ms":1755720650000,"#));
    let last: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!(last["tags"]["route"], "/a \"b\"");
    assert_eq!(last["fields"]["p99_ms"], 1e300);
    let status = files.sink.status();
    assert_eq!((status.points_written, status.batches_waiting, status.bytes_waiting), (3, 0, 0));
    assert!(status.healthy);
}

#[test]
fn earlier_files_are_continued() {
    let files = Files::start();
    files.submit(1, vec![point(Resolution::Raw, 1)]);
    files.ack();
    assert_eq!(files.sink.shutdown(PATIENCE), Remaining::default());
    let again = Files::start_in(files.dir);
    again.submit(2, vec![point(Resolution::Raw, 2)]);
    again.ack();
    assert_eq!(again.read("points.lp").lines().count(), 2);
}

#[test]
fn large_files_are_set_aside_and_the_oldest_goes() {
    let line_bytes = "url_top,rank=01 url=\"/x\",requests=1i,errors=0i 1755720650000\n".len() as u64;
    let files = Files::start_with(|config| {
        config.file_bytes_max = 2 * line_bytes;
        config.files_kept = 2;
    });
    for number in 1..=9 {
        files.submit(number, vec![point(Resolution::Raw, i64::try_from(number).unwrap())]);
        files.ack();
    }
    let versions = |name: &str| {
        let text = files.read(name);
        text.lines().map(|line| line.split("requests=").nth(1).unwrap()[..1].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(versions("points.lp"), ["9"]);
    assert_eq!(versions("points.lp.1"), ["7", "8"]);
    assert_eq!(versions("points.lp.2"), ["5", "6"]);
    assert!(!files.dir.path().join("points.lp.3").exists());
}

#[test]
fn with_no_file_kept_a_large_one_begins_anew() {
    let files = Files::start_with(|config| {
        config.file_bytes_max = 1;
        config.files_kept = 0;
    });
    for number in 1..=3 {
        files.submit(number, vec![point(Resolution::Raw, i64::try_from(number).unwrap())]);
        files.ack();
    }
    assert!(files.read("points.lp").contains("requests=3i"));
    assert_eq!(files.read("points.lp").lines().count(), 1);
    assert!(!files.dir.path().join("points.lp.1").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_nothing_is_acknowledged_until_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let full = dir.path().join("points.lp");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let files = Files::start_in(dir);
    files.submit(1, vec![point(Resolution::Raw, 1), point(Resolution::Minute, 2)]);
    files.submit(2, vec![point(Resolution::Raw, 3)]);
    files.failures.recv_timeout(PATIENCE).expect("a second attempt");
    let status = files.sink.status();
    assert!(!status.healthy);
    let problem = status.problem.unwrap();
    assert!(problem.starts_with("files.dir: cannot write"), "{problem}");
    assert!(problem.contains("points.lp") && problem.contains("free space on its disk"), "{problem}");
    assert_eq!(status.batches_waiting, 2);
    assert!(files.acks.1.try_recv().is_err());
    std::fs::remove_file(&full).unwrap();
    assert_eq!((files.ack(), files.ack()), (1, 2));
    let status = files.sink.status();
    assert_eq!((status.healthy, status.problem, status.points_written), (true, None, 3));
    assert_eq!(files.read("points.lp").lines().count(), 2);
    assert_eq!(files.read("points_1m.lp").lines().count(), 1, "what was written is not written again");
    assert_eq!(files.read("points.jsonl").lines().count(), 3);
}

#[test]
fn a_point_that_has_no_line_is_counted_as_refused() {
    let files = Files::start();
    let mut broken = point(Resolution::Raw, 1);
    broken.fields[1] = FieldValue::Float(f64::NAN);
    files.submit(1, vec![broken, point(Resolution::Raw, 2)]);
    files.ack();
    let status = files.sink.status();
    assert_eq!((status.points_written, status.points_refused), (1, 1));
    assert_eq!(files.read("points.jsonl").lines().count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn an_end_on_a_full_disk_says_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("points.lp")).unwrap();
    let files = Files::start_in(dir);
    files.submit(1, vec![point(Resolution::Raw, 1)]);
    files.submit(2, vec![point(Resolution::Raw, 2), point(Resolution::Raw, 3)]);
    files.failures.recv_timeout(PATIENCE).expect("a second attempt");
    let remaining = files.sink.shutdown(Duration::from_millis(50));
    assert_eq!((remaining.batches, remaining.points), (2, 3));
    let state = files.sink.shared.lock();
    drop(files.sink.shared.changed.wait_while(state, |state| !state.has_ended).unwrap());
    assert!(files.acks.1.try_recv().is_err());
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_at_start() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("taken"), "").unwrap();
    assert!(FileSink::start(&FileConfig::new(dir.path().join("taken/inside"))).is_err());
}

struct Files {
    sink: FileSink,
    dir: tempfile::TempDir,
    acks: (Sender<u64>, Receiver<u64>),
    failures: Receiver<Duration>,
}

impl Files {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_in(dir: tempfile::TempDir) -> Self {
        Self::start_both(dir, |_| {})
    }

    fn start_with(change: impl FnOnce(&mut FileConfig)) -> Self {
        Self::start_both(tempfile::tempdir().unwrap(), change)
    }

    fn start_both(dir: tempfile::TempDir, change: impl FnOnce(&mut FileConfig)) -> Self {
        let (sender, failures) = channel();
        let mut config = FileConfig::new(dir.path());
        config.pause = Arc::new(ToldPause(Mutex::new(sender)));
        change(&mut config);
        Self { sink: FileSink::start(&config).unwrap(), dir, acks: channel(), failures }
    }

    fn submit(&self, number: u64, points: Vec<Point>) {
        let sender = self.acks.0.clone();
        self.sink.submit(PointBatch { points, ack: Ack::new(move || sender.send(number).unwrap()) });
    }

    fn ack(&self) -> u64 {
        self.acks.1.recv_timeout(PATIENCE).expect("an ack")
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }
}

/// Tells the test of each wait instead of waiting.
struct ToldPause(Mutex<Sender<Duration>>);

impl Pause for ToldPause {
    fn pause(&self, wait: Duration, _: &Stop) {
        let _ = self.0.lock().unwrap().send(wait);
    }
}

fn point(resolution: Resolution, requests: i64) -> Point {
    let fields = vec![FieldValue::Text("/x".into()), FieldValue::Integer(requests), FieldValue::Integer(0)];
    Point::new(resolution, &URL_TOP, vec!["01".into()], fields, Timestamp::from_secs(1_755_720_650))
}
