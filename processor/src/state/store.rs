//! One place for snapshots: a folder or a bucket, called from any thread, each call bounded in time.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Runtime;

use super::name::{Shelf, SnapshotName};
use super::s3;
use crate::settings::{StatePlace, StateSettings};

/// The largest snapshot that is written or read. S3 takes 5 GiB in one request; a compressed state of this size is that
/// of a task far beyond any memory budget we test, and reading it back would outlast every deadline.
pub const OBJECT_BYTES_MAX: u64 = 1 << 30;
/// Threads for blocking calls: loads in parallel, the writer, and calls given up that have not ended yet.
const BLOCKING_THREADS_MAX: usize = 16;
/// An unfinished write of this age is nobody's any more: [`Tuning::transfer`] ends any that is under way much earlier.
const LEFTOVER_AGE: Duration = Duration::from_secs(15 * 60);
/// Most characters of a store's own words that are passed on; some answer with pages of XML.
const DETAIL_CHARS_MAX: usize = 300;

/// Longest times of calls.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Listing, deleting.
    pub request: Duration,
    /// Writing or reading a whole snapshot.
    pub transfer: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { request: Duration::from_secs(15), transfer: Duration::from_secs(120) }
    }
}

/// A folder or a bucket.
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    runtime: Option<Runtime>,
    target: String,
    /// The path of the folder or the prefix.
    root: Path,
    /// Where it is a folder: leftovers of interrupted writes are in it, which listing does not show.
    folder: Option<PathBuf>,
    tuning: Tuning,
}

/// A snapshot that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: SnapshotName,
    /// Its size.
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub written: SystemTime,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be used as configured.
    #[error("state.url: {target} cannot be used: {detail}")]
    Unusable {
        /// As configured.
        target: String,
        /// Its own words.
        detail: String,
    },
    /// No answer, or one that says to come back.
    #[error("{target} is not reachable: {detail}")]
    Away {
        /// As configured.
        target: String,
        /// Its own words.
        detail: String,
    },
    /// No answer in time.
    #[error("{target} did not answer within {limit:?}")]
    Slow {
        /// As configured.
        target: String,
        /// What it was given.
        limit: Duration,
    },
    /// No space left.
    #[error("{target} is full: free space there, or lower state.keep ({detail})")]
    Full {
        /// As configured.
        target: String,
        /// Its own words.
        detail: String,
    },
    /// No right to do this.
    #[error("{target} refuses access: {cure} ({detail})")]
    Denied {
        /// As configured.
        target: String,
        /// What to look at.
        cure: &'static str,
        /// Its own words.
        detail: String,
    },
    /// The bucket, or the snapshot asked for, is not there.
    #[error("{target} does not have it: create the bucket, or correct state.url ({detail})")]
    Missing {
        /// As configured.
        target: String,
        /// Its own words.
        detail: String,
    },
    /// Above [`OBJECT_BYTES_MAX`].
    #[error("a snapshot of {bytes} bytes is above the limit of {OBJECT_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
}

impl StoreError {
    /// Whether the same call may succeed a moment later, without anyone mending anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Slow { .. })
    }
}

impl Store {
    /// The store that the settings name; does not connect, and nothing has to be there yet.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if it can never work.
    pub fn open(settings: &StateSettings, tuning: Tuning) -> Result<Self, StoreError> {
        match &settings.place {
            StatePlace::Folder(folder) => {
                let target = folder.display().to_string();
                let unusable = |detail: String| StoreError::Unusable { target: target.clone(), detail };
                let folder = std::path::absolute(folder).map_err(|error| unusable(error.to_string()))?;
                let root = Path::from_absolute_path(&folder).map_err(|error| unusable(error.to_string()))?;
                // Synced before its name is there, so that a loss of power leaves a whole snapshot or none.
                let objects = LocalFileSystem::new().with_fsync(true);
                Ok(Self::new(Arc::new(objects), target, root, Some(folder), tuning))
            }
            StatePlace::S3(bucket) => {
                let target = format!("s3://{}/{}", bucket.bucket, bucket.prefix);
                let objects = s3::open(bucket, tuning.transfer).map_err(|error| StoreError::Unusable {
                    target: target.clone(),
                    detail: shorten(&error),
                })?;
                let root = Path::from(bucket.prefix.as_str());
                Ok(Self::new(Arc::new(objects), target, root, None, tuning))
            }
        }
    }

    /// A store over any other: for tests that make it fail.
    #[must_use]
    pub fn over(objects: Arc<dyn ObjectStore>, tuning: Tuning) -> Self {
        Self::new(objects, "a test's store".to_owned(), Path::default(), None, tuning)
    }

    fn new(
        objects: Arc<dyn ObjectStore>,
        target: String,
        root: Path,
        folder: Option<PathBuf>,
        tuning: Tuning,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .thread_name("state-io")
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()
            .expect("the operating system grants a timer at start");
        Self { objects, runtime: Some(runtime), target, root, folder, tuning }
    }

    /// As configured, for people.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Writes a snapshot as a whole or not at all; one of the same name is replaced.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is there under this name then, or what was there before.
    pub fn put(&self, shelf: &Shelf, name: &SnapshotName, bytes: Bytes) -> Result<(), StoreError> {
        let size = bytes.len() as u64;
        if size > OBJECT_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes: size });
        }
        let path = self.path(shelf).join(name.to_string());
        self.wait(self.tuning.transfer, self.objects.put(&path, bytes.into()))?;
        Ok(())
    }

    /// A snapshot's bytes, within `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn get(&self, shelf: &Shelf, name: &SnapshotName, limit: Duration) -> Result<Bytes, StoreError> {
        let path = self.path(shelf).join(name.to_string());
        let got = async {
            let object = self.objects.get(&path).await?;
            match object.meta.size {
                size if size > OBJECT_BYTES_MAX => Ok(Err(StoreError::TooLarge { bytes: size })),
                _ => object.bytes().await.map(Ok),
            }
        };
        self.wait(limit.min(self.tuning.transfer), got)?
    }

    /// Every snapshot of a task, of any origin, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(&self, shelf: &Shelf, limit: Duration) -> Result<Vec<Stored>, StoreError> {
        let folder = self.path(shelf);
        let limit = limit.min(self.tuning.request);
        let listed = match self.wait(limit, self.objects.list_with_delimiter(Some(&folder))) {
            Ok(listed) => listed.objects,
            Err(StoreError::Missing { .. }) if self.folder.is_some() => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut stored: Vec<Stored> = listed
            .into_iter()
            .filter_map(|meta| {
                let name = SnapshotName::parse(meta.location.filename()?)?;
                Some(Stored { name, bytes: meta.size, written: meta.last_modified.into() })
            })
            .collect();
        stored.sort_unstable_by(|a, b| b.name.cmp(&a.name));
        Ok(stored)
    }

    /// Removes a snapshot; that it is gone already is fine.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delete(&self, shelf: &Shelf, name: &SnapshotName) -> Result<(), StoreError> {
        let path = self.path(shelf).join(name.to_string());
        match self.wait(self.tuning.request, self.objects.delete(&path)) {
            Err(StoreError::Missing { .. }) => Ok(()),
            other => other,
        }
    }

    /// Removes what interrupted writes left on a shelf; gives how many there were. S3 leaves nothing.
    pub fn sweep(&self, shelf: &Shelf) -> usize {
        let Some(root) = &self.folder else { return 0 };
        let [group, task] = shelf.folders();
        // As the store itself writes them: the parts of a name are encoded.
        let parts = Path::from_iter([group, task]);
        let folder = parts.parts().fold(root.clone(), |folder, part| folder.join(part.as_ref()));
        let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
        let old = entries.flatten().filter(|entry| is_leftover(&entry.path()));
        old.filter(|entry| std::fs::remove_file(entry.path()).is_ok()).count()
    }

    /// Writes, reads and removes an object, as `processor check` does.
    ///
    /// # Errors
    /// [`StoreError`] of the first that fails.
    pub fn try_out(&self) -> Result<(), StoreError> {
        let path = self.root.clone().join(format!(".clickpulse-check-{}", std::process::id()));
        let content = Bytes::from_static(b"clickpulse: this can be removed\n");
        let limit = self.tuning.request;
        self.wait(limit, self.objects.put(&path, content.clone().into()))?;
        let read = self.wait(limit, async { self.objects.get(&path).await?.bytes().await });
        let removed = self.wait(limit, self.objects.delete(&path));
        if read? != content {
            let detail = "what was written is not what is read".to_owned();
            return Err(StoreError::Unusable { target: self.target.clone(), detail });
        }
        removed
    }

    fn path(&self, shelf: &Shelf) -> Path {
        shelf.folders().into_iter().fold(self.root.clone(), |path, part| path.join(part))
    }

    fn wait<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        let runtime = self.runtime.as_ref().expect("it is taken when the store is dropped");
        match runtime.block_on(async { tokio::time::timeout(limit, call).await }) {
            Ok(done) => done.map_err(|error| self.problem(&error)),
            Err(_) => Err(StoreError::Slow { target: self.target.clone(), limit }),
        }
    }

    fn problem(&self, error: &Error) -> StoreError {
        let (target, detail) = (self.target.clone(), shorten(error));
        let cure = match self.folder {
            Some(_) => "the process needs to read and write the folder of state.url",
            None => {
                "check state.access_key_id and its key, and that it may list, read, write and delete in the bucket"
            }
        };
        match (error, io_kind(error)) {
            (
                _,
                Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge),
            ) => StoreError::Full { target, detail },
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _)
            | (_, Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)) => {
                StoreError::Denied { target, cure, detail }
            }
            (Error::NotFound { .. }, _) | (_, Some(io::ErrorKind::NotFound)) => {
                StoreError::Missing { target, detail }
            }
            (Error::Generic { .. }, _) => match status_of(error) {
                Some(401 | 403) => StoreError::Denied { target, cure, detail },
                Some(404) => StoreError::Missing { target, detail },
                _ => StoreError::Away { target, detail },
            },
            (Error::JoinError { .. }, _) => StoreError::Away { target, detail },
            _ => StoreError::Unusable { target, detail },
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // A call that was given up may still hang in the operating system; nobody waits for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("target", &self.target).finish_non_exhaustive()
    }
}

/// `NAME#1`, as the local store calls what it has not finished, and of some age.
fn is_leftover(path: &FilePath) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((finished, number)) = name.rsplit_once('#') else { return false };
    let age = || std::fs::metadata(path).ok()?.modified().ok()?.elapsed().ok();
    SnapshotName::parse(finished).is_some()
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && age().is_some_and(|age| age >= LEFTOVER_AGE)
}

/// The operating system's error behind an error, if there is one.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

/// The HTTP status behind an error of a list request, which the crate tells only in its words.
fn status_of(error: &Error) -> Option<u16> {
    let text = error.to_string();
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// An error's words in one line; the store's errors hold those of their causes.
fn shorten(error: &Error) -> String {
    let text = error.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
