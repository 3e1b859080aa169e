use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use processor_core::{Point, Resolution, schema};

use super::client::Client;
use super::config::{ConfigError, InfluxConfig, SERVER_WRITE_TIME, Tuning};
use super::latency::RecentLatencies;
use super::line;
use super::queue::Line;
use super::retry::Stop;
use crate::sink::{Ack, PointBatch, PointSink, SinkStatus};

mod lane;

use lane::{Lane, LaneWriter};

/// Waiting bytes above which the status says that InfluxDB falls behind. It is not where points are dropped, for none
/// ever is: acks stop, so the runtime stops reading from Kafka, and equal points replace each other in the queue.
pub const QUEUE_BYTES_MAX: u64 = 64 << 20;

/// A line that InfluxDB will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLine {
    /// Line protocol without the newline; where a point has no line, its debug form.
    pub line: Vec<u8>,
    /// The bucket it was for.
    pub bucket: String,
    /// The server's reason, or ours.
    pub reason: String,
}

/// Takes dead lines; called from the sink's threads, or from [`PointSink::submit`] for a point that has no line. The
/// batch's ack comes after it returns.
pub type OnDeadLine = Arc<dyn Fn(DeadLine) + Send + Sync>;

/// What a sink could not write before its deadline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Batches without their ack.
    pub batches: u64,
    /// Points waiting or under way.
    pub points: u64,
    /// Their lines' bytes.
    pub bytes: u64,
}

/// Writes points to an InfluxDB 2.x.
///
/// Each bucket has a thread of its own with at most one request under way, so an older value of a point never
/// overtakes a newer one. While InfluxDB is away a newer value takes the waiting one's place: memory is bounded by the
/// number of distinct points, not by time. Acks fire in the order of the batches.
///
/// | answer | what happens |
/// |---|---|
/// | 204 | acknowledged |
/// | 400 | the lines it names, or those that halving finds, go to [`OnDeadLine`] with its reason; the rest is written |
/// | 413 | halved, and later requests are smaller; a single line goes to [`OnDeadLine`] |
/// | 422 | the refused points are counted, the rest is written; never repeated |
/// | 429, 503 | waits as long as `Retry-After` or the backoff, whichever is longer |
/// | other 5xx, 408, no answer | jittered exponential backoff |
/// | 401, 403, 404, anything else | held: nothing is acknowledged, the status names the setting, tried again slowly |
pub struct InfluxSink {
    lanes: [Arc<Lane>; 3],
    shared: Arc<Shared>,
    url: String,
}

/// What the lanes have in common.
struct Shared {
    stop: Stop,
    on_dead_line: OnDeadLine,
    written: AtomicU64,
    refused: AtomicU64,
    retries: AtomicU64,
    batches_waiting: AtomicU64,
    latencies: RecentLatencies,
    running: Mutex<usize>,
    ended: Condvar,
}

/// A batch that spans lanes.
struct Ticket {
    lanes_left: AtomicUsize,
    /// `None` once it has fired, or where lines of it were dropped.
    ack: Mutex<Option<Ack>>,
}

impl InfluxSink {
    /// Starts the writer threads. They ask at once whether each bucket can be written, so the status is meaningful
    /// before the first point; an InfluxDB that is not there yet is no error.
    ///
    /// # Errors
    /// [`ConfigError`], naming the setting.
    pub fn start(config: &InfluxConfig, on_dead_line: OnDeadLine) -> Result<Self, ConfigError> {
        Self::start_tuned(config, &Tuning::default(), on_dead_line)
    }

    /// [`InfluxSink::start`] with other than the default limits.
    ///
    /// # Errors
    /// [`ConfigError`], naming the setting.
    ///
    /// # Panics
    /// If the operating system refuses a thread.
    pub fn start_tuned(
        config: &InfluxConfig,
        tuning: &Tuning,
        on_dead_line: OnDeadLine,
    ) -> Result<Self, ConfigError> {
        let client = Arc::new(Client::new(config, tuning)?);
        let shared = Arc::new(Shared {
            stop: Stop::default(),
            on_dead_line,
            written: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            batches_waiting: AtomicU64::new(0),
            latencies: RecentLatencies::default(),
            running: Mutex::new(Resolution::ALL.len()),
            ended: Condvar::new(),
        });
        let lanes = Resolution::ALL.map(|resolution| Arc::new(Lane::new(config.bucket(resolution))));
        for (lane, seed) in lanes.iter().zip(tuning.seed..) {
            let tuning = Tuning { seed, ..tuning.clone() };
            let writer = LaneWriter::new(Arc::clone(lane), Arc::clone(&shared), Arc::clone(&client), tuning);
            std::thread::Builder::new()
                .name("influx".to_owned())
                .spawn(move || writer.run())
                .expect("the operating system grants a thread at start");
        }
        Ok(Self { lanes, shared, url: config.url.clone() })
    }

    /// Line protocol that waits or is under way, bytes.
    pub fn bytes_waiting(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.waiting().1).sum()
    }

    /// Drops what waits, whose acks never fire, and waits until no request of before is under way: afterwards another
    /// writer's values of the same points are safe from this one's. Bounded by the server's own limit for a write.
    pub fn forget(&self) {
        for lane in &self.lanes {
            let tickets = lane.forget();
            for ticket in &tickets {
                ticket.ack.lock().expect("no holder panics").take();
            }
            self.shared.finish(tickets);
        }
        let deadline = Instant::now() + SERVER_WRITE_TIME;
        let quiet = self.lanes.iter().all(|lane| lane.await_quiet(deadline));
        if !quiet {
            tracing::warn!("a write to influxdb was given up on; it may still arrive");
        }
    }

    /// Writes what it can until `deadline` from now, then ends the threads. A request under way at the deadline is
    /// not waited for; should it succeed after all, its acks fire late.
    pub fn shutdown(&self, deadline: Duration) -> Remaining {
        let deadline = Instant::now() + deadline;
        self.stop_at(deadline);
        let mut running = self.shared.running.lock().expect("no holder panics");
        while *running > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            running = self.shared.ended.wait_timeout(running, left).expect("no holder panics").0;
        }
        drop(running);
        let mut remaining = Remaining {
            batches: self.shared.batches_waiting.load(Ordering::Acquire),
            ..Remaining::default()
        };
        for lane in &self.lanes {
            let (points, bytes) = lane.waiting();
            remaining.points += points;
            remaining.bytes += bytes;
        }
        remaining
    }

    fn stop_at(&self, deadline: Instant) {
        self.shared.stop.at(deadline);
        for lane in &self.lanes {
            lane.wake();
        }
    }

    /// The lines of a batch per lane; what has no line is dead.
    fn encode(&self, points: &[Point]) -> [Vec<Line>; 3] {
        let mut lines: [Vec<Line>; 3] = Default::default();
        let mut scratch = Vec::with_capacity(256);
        for point in points {
            let lane = point.resolution as usize;
            let bucket = &self.lanes[lane].bucket;
            scratch.clear();
            match line::encode(point, bucket.precision, &mut scratch) {
                Ok(series_len) => {
                    lines[lane].push(Line {
                        bytes: scratch.as_slice().into(),
                        series_len,
                        time: point.time,
                        // What an instance says of itself is nobody else's.
                        shared: point.measurement.name != schema::PIPELINE.name,
                    });
                }
                Err(error) => {
                    let line = format!("{point:?}").into_bytes();
                    self.shared.bury(line, &bucket.name, error.to_string());
                }
            }
        }
        lines
    }
}

impl PointSink for InfluxSink {
    fn submit(&self, batch: PointBatch) {
        let lines = self.encode(&batch.points);
        let lanes_left = lines.iter().filter(|lines| !lines.is_empty()).count();
        if lanes_left == 0 {
            batch.ack.fire();
            return;
        }
        self.shared.batches_waiting.fetch_add(1, Ordering::AcqRel);
        let ticket =
            Arc::new(Ticket { lanes_left: AtomicUsize::new(lanes_left), ack: Mutex::new(Some(batch.ack)) });
        for (lane, lines) in self.lanes.iter().zip(lines) {
            if !lines.is_empty() {
                lane.push(lines, Arc::clone(&ticket));
            }
        }
    }

    fn status(&self) -> SinkStatus {
        let mut bytes_waiting = 0;
        let mut healthy = true;
        let mut problems: Vec<String> = Vec::new();
        for lane in &self.lanes {
            bytes_waiting += lane.waiting().1;
            let (confirmed, problem) = lane.health();
            healthy &= confirmed;
            if let Some(problem) = problem
                && !problems.contains(&problem)
            {
                problems.push(problem);
            }
        }
        if problems.is_empty() && bytes_waiting > QUEUE_BYTES_MAX {
            problems.push(format!(
                "influxdb at {} takes points slower than they come: {} MB wait",
                self.url,
                bytes_waiting >> 20
            ));
        }
        let shared = &self.shared;
        SinkStatus {
            target: format!("influxdb {}", self.url),
            healthy,
            problem: (!problems.is_empty()).then(|| problems.join("; ")),
            points_written: shared.written.load(Ordering::Relaxed),
            points_refused: shared.refused.load(Ordering::Relaxed),
            retries: shared.retries.load(Ordering::Relaxed),
            batches_waiting: shared.batches_waiting.load(Ordering::Relaxed),
            bytes_waiting,
            write_p99_ms: shared.latencies.p99_ms(),
        }
    }
}

impl Drop for InfluxSink {
    /// Ends the threads without writing what is left; see [`InfluxSink::shutdown`].
    fn drop(&mut self) {
        if self.shared.stop.deadline().is_none() {
            self.stop_at(Instant::now());
        }
    }
}

impl std::fmt::Debug for InfluxSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InfluxSink").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Shared {
    fn bury(&self, line: Vec<u8>, bucket: &str, reason: String) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        (self.on_dead_line)(DeadLine { line, bucket: bucket.to_owned(), reason });
    }

    /// Notes that lanes have finished with batches, and fires the acks of those that no lane has left.
    fn finish(&self, tickets: Vec<Arc<Ticket>>) {
        for ticket in tickets {
            if ticket.lanes_left.fetch_sub(1, Ordering::AcqRel) == 1 {
                let ack = ticket.ack.lock().expect("no holder panics").take();
                self.batches_waiting.fetch_sub(1, Ordering::AcqRel);
                if let Some(ack) = ack {
                    ack.fire();
                }
            }
        }
    }
}
