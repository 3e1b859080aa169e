use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::{Verdict, fail, ok};
use crate::settings::FileSinkSettings;

/// Whether files can be made in the folder, or in what there is of it; the file it tries is removed again.
pub(super) fn check(settings: &FileSinkSettings) -> Verdict {
    let what = format!("files.dir = {:?}", settings.dir.display().to_string());
    let there = nearest_folder(&settings.dir);
    match make_and_remove_file(&there) {
        Ok(()) if there == settings.dir => ok(what, "can be written"),
        Ok(()) => ok(what, format!("does not exist yet and can be made in {}", there.display())),
        Err(error) => {
            fail(what, format!("cannot be written: {error}; name another folder or change its permissions"))
        }
    }
}

/// The folder itself, or the closest one above it that exists.
fn nearest_folder(dir: &Path) -> PathBuf {
    let mut there = dir;
    while !there.exists() {
        match there.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => there = parent,
            _ => return PathBuf::from("."),
        }
    }
    there.to_owned()
}

fn make_and_remove_file(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".clickpulse-check-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn folders_are_tried_and_left_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| FileSinkSettings { dir: dir.path().join(name) };
        assert!(check(&at("")).found.contains("can be written"));
        assert!(check(&at("new/deep")).found.contains("can be made"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        std::fs::write(dir.path().join("file"), "").unwrap();
        let verdict = check(&at("file/below"));
        assert_eq!(verdict.level, Level::Fail, "{verdict}");
    }
}
