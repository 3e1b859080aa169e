use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
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

    /// Opens the file for appending unless it is open.
    pub(super) fn open(&mut self) -> io::Result<&mut (File, u64)> {
        if self.file.is_none() {
            if let Some(dir) = self.path.parent() {
                std::fs::create_dir_all(dir)?;
            }
            let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            let len = file.metadata()?.len();
            self.file = Some((file, len));
        }
        Ok(self.file.as_mut().expect("opened just now"))
    }

    /// Appends what is pending, whole or not at all.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending_len = self.pending.len() as u64;
        let bytes_max = self.bytes_max;
        let (_, len) = self.open()?;
        if *len > 0 && *len + pending_len > bytes_max {
            self.rotate()?;
        }
        let pending = std::mem::take(&mut self.pending);
        let (file, len) = self.open()?;
        if let Err(error) = file.write_all(&pending) {
            // A torn line must not stay. Where even this fails, opening anew finds what there is.
            let _ = file.set_len(*len);
            self.file = None;
            self.pending = pending;
            return Err(error);
        }
        *len += pending_len;
        self.pending = pending;
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
