use super::{Verdict, fail, ok};
use crate::settings::{StatePlace, StateSettings};
use crate::state::{Store, Tuning};

/// Whether a snapshot could be written, read and removed; the object it tries is removed again.
pub(super) fn check(settings: &StateSettings) -> Verdict {
    let what = match &settings.place {
        StatePlace::Folder(folder) => format!("state.url = {:?}", folder.display().to_string()),
        StatePlace::S3(s3) => format!("state.url = \"s3://{}/{}\"", s3.bucket, s3.prefix),
    };
    match Store::open(settings, Tuning::default()).and_then(|store| store.try_out()) {
        Ok(()) => ok(what, "can be written, read and cleared"),
        Err(error) => fail(what, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Level;
    use super::*;

    #[test]
    fn a_folder_is_tried_and_left_empty_and_a_file_in_its_place_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| StateSettings {
            place: StatePlace::Folder(dir.path().join(name)),
            interval: Duration::from_secs(60),
            keep: 3,
        };
        let verdict = check(&at("new/deep"));
        assert_eq!(verdict.level, Level::Ok, "{verdict}");
        assert_eq!(std::fs::read_dir(dir.path().join("new/deep")).unwrap().count(), 0);
        std::fs::write(dir.path().join("file"), "").unwrap();
        let verdict = check(&at("file"));
        assert_eq!(verdict.level, Level::Fail, "{verdict}");
    }
}
