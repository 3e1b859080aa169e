//! Snapshots in a folder and in a store that fails as it is told: every outcome, without a service.

#[path = "state_store/moody.rs"]
mod moody;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use moody::{Mood, Moody};
use processor::settings::{StatePlace, StateSettings};
use processor::state::{
    Candidate, Found, Missing, Snapshots, SnapshotsConfig, Store, StoreError, Tuning, Unusable, Wanted,
};
use processor::status::SnapshotStatus;

/// Far above any write here: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const ORIGIN: u64 = 7;

#[test]
fn a_snapshot_is_found_again_by_its_commit() {
    let folder = Folder::new();
    folder.write(0, &[100, 40], b"state");
    let files = folder.files(0);
    assert_eq!(files, ["0000000000000000100_0000000000000000040-0000000000000007.snapshot"]);
    assert_eq!(folder.restored(0, &[100, 40]), Some("state".to_owned()));
    assert_eq!(folder.restored(1, &[100, 40]), None, "it is another task's");
}

#[test]
fn the_newest_that_is_not_past_the_commit_is_taken_for_every_input() {
    let folder = Folder::new();
    for (offsets, state) in [([10, 10], b"a"), ([20, 10], b"b"), ([30, 20], b"c")] {
        folder.write(0, &offsets, state);
    }
    assert_eq!(folder.restored(0, &[30, 19]), Some("b".to_owned()), "the second input is not that far");
    assert_eq!(folder.restored(0, &[19, 19]), Some("a".to_owned()));
    assert_eq!(folder.restored(0, &[9, 9]), None);
}

#[test]
fn what_lies_ahead_of_the_commit_is_removed_so_that_another_course_of_events_never_meets_it() {
    let folder = Folder::new();
    folder.write(0, &[10], b"a");
    folder.write(0, &[50], b"of a topic that was then deleted");
    assert_eq!(folder.restored(0, &[20]), Some("a".to_owned()));
    assert_eq!(folder.files(0).len(), 1);
    assert_eq!(folder.restored(0, &[60]), Some("a".to_owned()), "the commit passing it changes nothing");
}

#[test]
fn a_damaged_one_is_removed_and_the_next_older_is_taken_until_none_is_left() {
    let folder = Folder::new();
    folder.write(0, &[10], b"a");
    folder.write(0, &[20], b"b");
    folder.write(0, &[30], b"damaged: cut off");
    let (found, status) = folder.restore(0, &[30]);
    assert_eq!(state_of(&found), Some("b".to_owned()));
    assert_eq!((status.restored, status.unusable["damaged"]), (1, 1));
    assert_eq!(folder.files(0).len(), 2, "the damaged one is gone");

    for file in folder.paths(0) {
        std::fs::write(file, "damaged: all of them").unwrap();
    }
    let (found, status) = folder.restore(0, &[30]);
    assert!(matches!(found, Found::Missing(Missing::NoneFits)), "{found:?}");
    assert_eq!((status.restored, status.unusable["damaged"]), (0, 2));
    let (found, _) = folder.restore(0, &[30]);
    assert!(matches!(found, Found::Missing(Missing::NoneStored)), "{found:?}");
}

#[test]
fn those_of_another_version_or_of_other_settings_are_passed_over_and_left() {
    let folder = Folder::new();
    folder.write(0, &[10], b"a");
    folder.write(0, &[20], b"other_format: 9");
    folder.write(0, &[30], b"other_settings: windows.size");
    let (found, status) = folder.restore(0, &[40]);
    assert_eq!(state_of(&found), Some("a".to_owned()));
    assert_eq!((status.unusable["other_format"], status.unusable["other_settings"]), (1, 1));
    assert_eq!(folder.files(0).len(), 3, "whoever wrote them may come back");
}

#[test]
fn one_from_before_the_replay_is_not_used() {
    let folder = Folder::new();
    folder.write(0, &[10], b"a");
    let service = folder.service();
    let wanted = [Wanted { shelf: service.shelf(0), committed: vec![100], replay_from: vec![60] }];
    let found = service.restore(&wanted, &read).remove(0);
    assert!(matches!(found, Found::Missing(Missing::NoneFits)), "{found:?}");
    assert_eq!(service.status().unusable["too_old"], 1);
}

#[test]
fn older_ones_are_removed_after_a_write() {
    let folder = Folder::new();
    for offset in 1..=6 {
        folder.write(0, &[offset], b"x");
    }
    let kept: Vec<String> = (4..=6).map(|offset| format!("{offset:019}-{ORIGIN:016x}.snapshot")).collect();
    assert_eq!(folder.files(0), kept);
}

#[test]
fn leftovers_of_interrupted_writes_are_no_snapshots_and_are_removed() {
    let folder = Folder::new();
    folder.write(0, &[1], b"a");
    let old = folder.task(0).join(format!("{:019}-{ORIGIN:016x}.snapshot#1", 2));
    let fresh = folder.task(0).join(format!("{:019}-{ORIGIN:016x}.snapshot#2", 2));
    let foreign = folder.task(0).join("notes.txt");
    for path in [&old, &fresh, &foreign] {
        std::fs::write(path, "half a sn").unwrap();
    }
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(yesterday).unwrap();
    assert_eq!(folder.restored(0, &[9]), Some("a".to_owned()));
    folder.write(0, &[3], b"b");
    assert!(!old.exists());
    assert!(fresh.exists(), "its write may still be under way");
    assert!(foreign.exists(), "not ours to judge");
}

#[test]
fn two_writers_of_one_snapshot_leave_one() {
    let folder = Folder::new();
    folder.write(0, &[5], b"same");
    folder.write(0, &[5], b"same");
    assert_eq!(folder.files(0).len(), 1);
    assert_eq!(folder.restored(0, &[5]), Some("same".to_owned()));
}

#[test]
fn a_task_has_its_turn_after_the_interval_and_only_if_something_changed() {
    let folder = Folder::new();
    let service = folder.service_every(Duration::ZERO);
    assert!(!service.wants(0, &[1]), "it is not this instance's");
    begin(&service, 0, &[0]);
    assert!(service.wants(0, &[1]));
    service.submit(0, vec![1], Box::new(|| b"a".to_vec()));
    assert_eq!(service.finish(PATIENCE), 0);
    assert!(!service.wants(0, &[1]), "nothing was read since");
    assert!(!service.wants_last(0, &[1]));
    assert!(service.wants(0, &[2]));
    assert!(service.wants_last(0, &[2]));

    let hourly = folder.service_every(Duration::from_secs(3_600));
    begin(&hourly, 1, &[0]);
    assert!(!hourly.wants(1, &[1]), "its turn has not come");
    assert!(hourly.wants_last(1, &[1]), "but it is about to leave");
}

#[test]
fn while_the_writer_is_busy_a_newer_snapshot_takes_the_place_of_the_waiting_one() {
    let folder = Folder::new();
    let service = folder.service_every(Duration::ZERO);
    begin(&service, 0, &[0]);
    begin(&service, 1, &[0]);
    let (entered, is_busy) = mpsc::channel();
    let (release, wait) = mpsc::channel::<()>();
    service.submit(
        0,
        vec![1],
        Box::new(move || {
            entered.send(()).unwrap();
            wait.recv().unwrap();
            b"first".to_vec()
        }),
    );
    is_busy.recv_timeout(PATIENCE).unwrap();
    assert!(!service.wants(0, &[2]), "one of it is under way");
    service.submit(1, vec![1], Box::new(|| panic!("it was to be replaced")));
    assert!(!service.wants(1, &[2]), "one of it is waiting");
    service.submit(1, vec![2], Box::new(|| b"newer".to_vec()));
    assert_eq!(service.status().waiting, 2);
    release.send(()).unwrap();
    assert_eq!(service.finish(PATIENCE), 0);
    assert_eq!((service.status().written, service.status().replaced), (2, 1));
    assert_eq!(folder.restored(1, &[9]), Some("newer".to_owned()));
}

#[test]
fn a_store_that_is_away_stops_nothing_is_not_encoded_for_and_is_written_to_once_it_is_back() {
    let (moody, service) = Moody::service(Duration::ZERO, PATIENCE);
    begin(&service, 0, &[0]);
    moody.set(Mood::Away);
    service.submit(0, vec![1], Box::new(|| panic!("there is nowhere to put it")));
    assert_eq!(settled(&service).failed, 1);
    let status = service.status();
    assert!(!status.healthy);
    assert!(status.problem.as_ref().unwrap().contains("is not reachable"), "{status:?}");

    moody.set(Mood::Well);
    assert!(service.wants(0, &[2]), "at the next interval it is tried again");
    service.submit(0, vec![2], Box::new(|| b"back".to_vec()));
    let status = settled(&service);
    assert_eq!((status.written, status.failed, status.healthy, status.problem), (1, 1, true, None));
}

#[test]
fn a_store_that_is_away_for_a_moment_is_asked_again() {
    let (moody, service) = Moody::service(Duration::ZERO, PATIENCE);
    begin(&service, 0, &[0]);
    moody.fail_next(2);
    service.submit(0, vec![1], Box::new(|| b"a".to_vec()));
    let status = settled(&service);
    assert_eq!((status.written, status.failed), (1, 0));
    moody.fail_next(2);
    let wanted = [wanted(&service, 0, &[1])];
    assert_eq!(state_of(&service.restore(&wanted, &read)[0]), Some("a".to_owned()));
}

#[test]
fn a_full_disk_keeps_what_is_there_and_says_what_to_do() {
    let (moody, service) = Moody::service(Duration::ZERO, PATIENCE);
    begin(&service, 0, &[0]);
    service.submit(0, vec![1], Box::new(|| b"a".to_vec()));
    settled(&service);
    moody.set(Mood::Full);
    service.submit(0, vec![2], Box::new(|| b"b".to_vec()));
    let status = settled(&service);
    assert_eq!((status.written, status.failed), (1, 1));
    let problem = status.problem.unwrap();
    assert!(problem.contains("is full: free space there, or lower state.keep"), "{problem}");
    let found = service.restore(&[wanted(&service, 0, &[2])], &read).remove(0);
    assert_eq!(state_of(&found), Some("a".to_owned()));
}

#[test]
fn a_store_that_hangs_is_given_up_at_the_deadline_and_the_log_is_read_instead() {
    let (moody, service) = Moody::service(PATIENCE, Duration::from_millis(200));
    moody.set(Mood::Hangs);
    let wanted: Vec<Wanted> = (0..6).map(|task| wanted(&service, task, &[10])).collect();
    let found = service.restore(&wanted, &read);
    assert_eq!(found.len(), 6);
    for found in &found {
        assert!(matches!(found, Found::Missing(Missing::Store(StoreError::Slow { .. }))), "{found:?}");
    }
    assert_eq!(service.status().restores_failed, 6);
}

#[test]
fn a_store_that_was_away_at_the_assignment_is_cleared_of_what_lies_ahead_before_anything_is_written() {
    let (moody, service) = Moody::service(Duration::ZERO, Duration::from_millis(100));
    begin(&service, 0, &[0]);
    service.submit(0, vec![50], Box::new(|| b"of another course of events".to_vec()));
    settled(&service);
    moody.set(Mood::Away);
    let found = service.restore(&[wanted(&service, 0, &[20])], &read).remove(0);
    assert!(matches!(found, Found::Missing(Missing::Store(StoreError::Away { .. }))), "{found:?}");
    moody.set(Mood::Well);
    service.submit(0, vec![30], Box::new(|| b"of this one".to_vec()));
    settled(&service);
    let found = service.restore(&[wanted(&service, 0, &[60])], &read).remove(0);
    assert_eq!(state_of(&found), Some("of this one".to_owned()));
}

#[test]
fn a_folder_that_cannot_be_used_says_which_setting_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = open(&file).try_out().unwrap_err();
    assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");
}

/// What a snapshot of these tests holds: the state as text, or the reason why it is of no use.
fn read(_: &Wanted, candidate: &Candidate<'_>) -> Result<String, Unusable> {
    let text = String::from_utf8_lossy(candidate.bytes).into_owned();
    match text.split_once(": ") {
        Some(("damaged", why)) => Err(Unusable::Damaged(why.to_owned())),
        Some(("other_format", why)) => Err(Unusable::OtherFormat(why.to_owned())),
        Some(("other_settings", why)) => Err(Unusable::OtherSettings(why.to_owned())),
        _ => Ok(text),
    }
}

fn state_of(found: &Found<String>) -> Option<String> {
    match found {
        Found::Restored { state, .. } => Some(state.clone()),
        Found::Missing(_) => None,
    }
}

fn wanted(service: &Snapshots, task: i32, committed: &[i64]) -> Wanted {
    Wanted {
        shelf: service.shelf(task),
        committed: committed.to_vec(),
        replay_from: vec![0; committed.len()],
    }
}

/// Makes a task this instance's.
fn begin(service: &Snapshots, task: i32, committed: &[i64]) {
    service.restore(&[wanted(service, task, committed)], &read);
}

/// The status once nothing is waiting or under way.
fn settled(service: &Snapshots) -> SnapshotStatus {
    assert!(service.settle(PATIENCE), "the writer comes to an end");
    service.status()
}

fn open(folder: &Path) -> Store {
    let settings = StateSettings {
        place: StatePlace::Folder(folder.to_owned()),
        interval: Duration::from_secs(60),
        keep: 3,
    };
    Store::open(&settings, Tuning::default()).unwrap()
}

/// A folder of snapshots; each use is by a process of its own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn service(&self) -> Snapshots {
        self.service_every(Duration::from_secs(60))
    }

    fn service_every(&self, interval: Duration) -> Snapshots {
        Snapshots::start(open(self.0.path()), SnapshotsConfig::new("group", ORIGIN, interval, 3))
    }

    fn write(&self, task: i32, offsets: &[i64], state: &'static [u8]) {
        let service = self.service();
        service.submit(task, offsets.to_vec(), Box::new(|| state.to_vec()));
        assert_eq!(service.finish(PATIENCE), 0);
        assert_eq!(service.status().written, 1, "{:?}", service.status());
    }

    fn restore(&self, task: i32, committed: &[i64]) -> (Found<String>, SnapshotStatus) {
        let service = self.service();
        let found = service.restore(&[wanted(&service, task, committed)], &read).remove(0);
        (found, service.status())
    }

    fn restored(&self, task: i32, committed: &[i64]) -> Option<String> {
        state_of(&self.restore(task, committed).0)
    }

    fn task(&self, task: i32) -> PathBuf {
        self.0.path().join("group").join(format!("{task:05}"))
    }

    fn paths(&self, task: i32) -> Vec<PathBuf> {
        let mut paths: Vec<_> =
            std::fs::read_dir(self.task(task)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    fn files(&self, task: i32) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        self.paths(task).iter().map(name).collect()
    }
}

impl Moody {
    fn service(interval: Duration, load_deadline: Duration) -> (Arc<Self>, Snapshots) {
        let moody = Arc::new(Self::default());
        let store = Store::over(Arc::clone(&moody) as Arc<_>, Tuning::default());
        let config = SnapshotsConfig { load_deadline, ..SnapshotsConfig::new("group", ORIGIN, interval, 3) };
        (moody, Snapshots::start(store, config))
    }
}
