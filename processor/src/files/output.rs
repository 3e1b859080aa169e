use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A file that grows by whole buffers and is set aside when it is large.
pub(super) struct Output {
    path: PathBuf,
    bytes_max: u64,
    kept: usize,
    file: Option<(File, u64)>,
    /// What [`Output::flush`] appends next.
    pub(super) pending: Vec<u8>,
}

impl Output {
    pub(super) const fn new(path: PathBuf, bytes_max: u64, kept: usize) -> Self {
        Self { path, bytes_max, kept, file: None, pending: Vec::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file for appending unless it is open; returns its length.
    pub(super) fn open(&mut self) -> io::Result<u64> {
        if self.file.is_none() {
            if let Some(dir) = self.path.parent() {
                std::fs::create_dir_all(dir)?;
            }
            let mut file = OpenOptions::new().create(true).read(true).append(true).open(&self.path)?;
            let len = cut_torn_line(&mut file)?;
            self.file = Some((file, len));
        }
        Ok(self.file.as_ref().map_or(0, |(_, len)| *len))
    }

    /// Appends what is pending, whole or not at all.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending_len = self.pending.len() as u64;
        let len = self.open()?;
        if len > 0 && len + pending_len > self.bytes_max {
            self.rotate()?;
            self.open()?;
        }
        let (file, len) = self.file.as_mut().expect("opened above");
        if let Err(error) = append_whole(file, *len, |file| file.write_all(&self.pending)) {
            // Opened anew the next time: it may be another file by then.
            self.file = None;
            return Err(error);
        }
        *len += pending_len;
        self.pending.clear();
        Ok(())
    }

    /// `NAME` becomes `NAME.1`, `NAME.1` becomes `NAME.2` and so on; the last one goes.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        for number in (0..self.kept).rev() {
            match std::fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.kept == 0 {
            std::fs::remove_file(&self.path)?;
        }
        Ok(())
    }

    fn numbered(&self, number: usize) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Cuts off what a failed write has left, so that a repetition does not continue in the middle of a line.
fn append_whole(
    file: &mut File,
    len: u64,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    write(file).inspect_err(|_| {
        // Where even this fails, opening the file anew finds the torn line.
        let _ = file.set_len(len);
    })
}

/// Cuts the file after its last newline: a process that was killed may have left half a line. Returns its length.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    const BLOCK: u64 = 64 << 10;
    let len = file.metadata()?.len();
    let mut end = len;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        (&*file).take(end - start).read_to_end(&mut block)?;
        if let Some(newline) = block.iter().rposition(|byte| *byte == b'\n') {
            end = start + newline as u64 + 1;
            break;
        }
        end = start;
    }
    if end < len {
        file.set_len(end)?;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_write_has_left_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("points.lp");
        std::fs::write(&path, "first\n").unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        let error = append_whole(&mut file, 6, |file| {
            file.write_all(b"sec")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\n");
    }

    #[test]
    fn half_a_line_of_an_earlier_process_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("points.lp");
        let torn = "t".repeat(200_000);
        for (found, kept) in
            [("a\nb\n", "a\nb\n"), ("a\nb", "a\n"), ("b", ""), ("", ""), (&format!("a\n{torn}"), "a\n")]
        {
            std::fs::write(&path, found).unwrap();
            let mut output = Output::new(path.clone(), 1 << 30, 1);
            assert_eq!(output.open().unwrap(), kept.len() as u64);
            output.pending = b"next\n".to_vec();
            output.flush().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{kept}next\n"));
        }
    }

    #[test]
    fn what_cannot_be_written_stays_pending() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("points.lp");
        std::fs::create_dir(&path).unwrap();
        let mut output = Output::new(path.clone(), 1 << 30, 1);
        output.pending = b"line\n".to_vec();
        output.flush().unwrap_err();
        assert_eq!(output.pending, b"line\n");
        std::fs::remove_dir(&path).unwrap();
        output.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "line\n");
    }
}
