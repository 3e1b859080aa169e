//! A store in memory that fails as it is told.

use std::fmt;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What it does with a call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Mood {
    /// Answers.
    #[default]
    Well,
    /// Refuses connections.
    Away,
    /// Has no space for what is written.
    Full,
    /// Never answers.
    Hangs,
}

#[derive(Debug, Default)]
pub(crate) struct Moody {
    inner: InMemory,
    mood: Mutex<Mood>,
    failures: AtomicUsize,
}

impl Moody {
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Is away for this many calls.
    pub(crate) fn fail_next(&self, calls: usize) {
        self.failures.store(calls, Ordering::SeqCst);
    }

    async fn feel(&self, is_write: bool) -> Result<()> {
        let once = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let mood = if once.is_ok() { Mood::Away } else { *self.mood.lock().unwrap() };
        match mood {
            Mood::Full if is_write => Err(failure(io::ErrorKind::StorageFull)),
            Mood::Well | Mood::Full => Ok(()),
            Mood::Away => Err(failure(io::ErrorKind::ConnectionRefused)),
            Mood::Hangs => std::future::pending().await,
        }
    }
}

fn failure(kind: io::ErrorKind) -> Error {
    Error::Generic { store: "Moody", source: Box::new(io::Error::from(kind)) }
}

impl fmt::Display for Moody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moody")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Moody {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.feel(true).await?;
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.feel(false).await?;
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, at: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.feel(false).await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
