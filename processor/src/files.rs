//! Results as files: line protocol and JSON lines, for the demo and for machines without an InfluxDB.
//!
//! `points.lp` holds the points of the configured window, `points_1m.lp` and `points_1h.lp` the rollups: apart, as
//! points of two window lengths may have the same series and time. Their timestamps are milliseconds
//! (`influx write --precision ms`). `points.jsonl` holds all of them. A point that changes is appended again; the
//! last one counts, as in InfluxDB.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use processor_core::{Point, Resolution};
use tracing::{error, info};

use crate::influx::retry::{Backoff, FailureLog, Pause, RealPause, Stop, random_seed};
use crate::influx::{Precision, Remaining, encode};
use crate::sink::{PointBatch, PointSink, SinkStatus};

mod json;
mod output;

use output::Output;

/// Bytes after which a file is set aside as `NAME.1` and begun anew.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// How many files set aside are kept of each name; the oldest goes.
pub const FILES_KEPT: usize = 4;

/// Where the files go and how large they get: at most `file_bytes_max * (files_kept + 1)` for each of four names.
#[derive(Clone)]
pub struct FileConfig {
    /// The folder; made if it is not there.
    pub dir: PathBuf,
    /// See [`FILE_BYTES_MAX`]; a batch is never split, so a file may hold one larger batch.
    pub file_bytes_max: u64,
    /// See [`FILES_KEPT`].
    pub files_kept: usize,
    /// Waits between attempts; tests replace it.
    pub pause: Arc<dyn Pause>,
}

impl FileConfig {
    /// The defaults in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            file_bytes_max: FILE_BYTES_MAX,
            files_kept: FILES_KEPT,
            pause: Arc::new(RealPause),
        }
    }
}

impl std::fmt::Debug for FileConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileConfig").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Appends points to files, on a thread of its own. An ack means that the operating system has the bytes: they
/// survive the end of the process, not a loss of power.
///
/// Where a file cannot be written (a full disk, a folder that is gone), nothing is acknowledged, the status says why,
/// and it is tried again with backoff; what was written of a batch is cut off first, so no line is ever torn.
#[derive(Debug)]
pub struct FileSink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: Stop,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<PointBatch>,
    under_way: u64,
    has_ended: bool,
    status: SinkStatus,
}

impl FileSink {
    /// Makes the folder and starts the thread.
    ///
    /// # Errors
    /// If the folder cannot be made, or a file in it cannot be opened.
    pub fn start(config: &FileConfig) -> io::Result<Self> {
        std::fs::create_dir_all(&config.dir)?;
        let mut outputs = Outputs::new(config);
        for output in outputs.all() {
            output.open()?;
        }
        let status = SinkStatus {
            target: format!("files in {}", config.dir.display()),
            healthy: true,
            ..SinkStatus::default()
        };
        let state = Mutex::new(State { status, ..State::default() });
        let shared = Arc::new(Shared { state, changed: Condvar::new(), stop: Stop::default() });
        let writer = Writer {
            shared: Arc::clone(&shared),
            outputs,
            pause: Arc::clone(&config.pause),
            backoff: Backoff::new(random_seed()),
            failures: FailureLog::default(),
        };
        std::thread::Builder::new().name("files".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared })
    }

    /// Writes what it can until `deadline` from now, then ends the thread.
    pub fn shutdown(&self, deadline: Duration) -> Remaining {
        let deadline = Instant::now() + deadline;
        self.shared.stop.at(deadline);
        self.shared.changed.notify_all();
        let mut state = self.shared.lock();
        while !state.has_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.changed.wait_timeout(state, left).expect("no holder panics").0;
        }
        let points = state.waiting.iter().map(|batch| batch.points.len() as u64).sum::<u64>();
        let batches = state.status.batches_waiting;
        Remaining { batches, points: points + state.under_way, bytes: state.status.bytes_waiting }
    }
}

impl PointSink for FileSink {
    fn submit(&self, batch: PointBatch) {
        let mut state = self.shared.lock();
        state.status.batches_waiting += 1;
        state.waiting.push_back(batch);
        drop(state);
        self.shared.changed.notify_all();
    }

    fn status(&self) -> SinkStatus {
        self.shared.lock().status.clone()
    }
}

impl Drop for FileSink {
    /// Ends the thread without writing what is left; see [`FileSink::shutdown`].
    fn drop(&mut self) {
        if self.shared.stop.deadline().is_none() {
            self.shared.stop.at(Instant::now());
            self.shared.changed.notify_all();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

/// The four files.
struct Outputs {
    lines: [Output; 3],
    json: Output,
}

impl Outputs {
    fn new(config: &FileConfig) -> Self {
        let output =
            |name: &str| Output::new(config.dir.join(name), config.file_bytes_max, config.files_kept);
        Self {
            lines: Resolution::ALL.map(|resolution| {
                output(match resolution {
                    Resolution::Raw => "points.lp",
                    Resolution::Minute => "points_1m.lp",
                    Resolution::Hour => "points_1h.lp",
                })
            }),
            json: output("points.jsonl"),
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Output> {
        self.lines.iter_mut().chain([&mut self.json])
    }

    /// Puts a point into the buffers; whether it has a line.
    fn add(&mut self, point: &Point) -> bool {
        let lines = &mut self.lines[point.resolution as usize].pending;
        if let Err(error) = encode(point, Precision::Millis, lines) {
            error!(%error, "a point is left out");
            return false;
        }
        lines.push(b'\n');
        json::append(point, &mut self.json.pending);
        true
    }

    /// Writes the buffers that are not written yet.
    fn flush(&mut self) -> Result<(), (PathBuf, io::Error)> {
        self.all().try_for_each(|output| output.flush().map_err(|error| (output.path().to_owned(), error)))
    }
}

struct Writer {
    shared: Arc<Shared>,
    outputs: Outputs,
    pause: Arc<dyn Pause>,
    backoff: Backoff,
    failures: FailureLog,
}

impl Writer {
    fn run(mut self) {
        while let Some(batch) = self.next_batch() {
            let count = batch.points.len() as u64;
            let written = batch.points.iter().filter(|point| self.outputs.add(point)).count() as u64;
            if !self.write_out() {
                break;
            }
            let mut state = self.shared.lock();
            state.under_way = 0;
            state.status.batches_waiting -= 1;
            state.status.points_written += written;
            state.status.points_refused += count - written;
            drop(state);
            batch.ack.fire();
        }
        self.shared.lock().has_ended = true;
        self.shared.changed.notify_all();
    }

    fn next_batch(&self) -> Option<PointBatch> {
        let mut state = self.shared.lock();
        loop {
            if self.shared.stop.is_over() {
                return None;
            }
            if let Some(batch) = state.waiting.pop_front() {
                state.under_way = batch.points.len() as u64;
                return Some(batch);
            }
            if self.shared.stop.deadline().is_some() {
                return None;
            }
            state = self.shared.changed.wait(state).expect("no holder panics");
        }
    }

    /// Writes the buffers, however long it takes; false if the end came first.
    fn write_out(&mut self) -> bool {
        loop {
            let result = self.outputs.flush();
            let bytes_waiting = self.outputs.all().map(|output| output.pending.len() as u64).sum();
            let now = Instant::now();
            let mut state = self.shared.lock();
            state.status.healthy = result.is_ok();
            state.status.bytes_waiting = bytes_waiting;
            let Err((path, cause)) = result else {
                state.status.problem = None;
                drop(state);
                self.backoff.reset();
                if let Some(lasted) = self.failures.recovered(now) {
                    info!(waited_s = lasted.as_secs(), "files can be written again");
                }
                return true;
            };
            state.status.retries += 1;
            let problem = problem(&path, &cause);
            state.status.problem = Some(problem.clone());
            drop(state);
            if let Some(attempts) = self.failures.failed(now) {
                error!(attempts, "{problem}");
            }
            if self.shared.stop.is_over() {
                return false;
            }
            self.pause.pause(self.backoff.next_wait(), &self.shared.stop);
        }
    }
}

fn problem(path: &std::path::Path, cause: &io::Error) -> String {
    let cure = match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on its disk",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "make it writable",
        _ => "check the folder of files.dir",
    };
    format!("files.dir: cannot write {} ({cause}); {cure}; it is tried again by itself", path.display())
}

#[cfg(test)]
mod tests;
