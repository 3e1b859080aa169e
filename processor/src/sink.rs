//! Where points go: the seam between the runtime and InfluxDB or files.

use processor_core::Point;

/// Takes points and says when they are durable.
///
/// The runtime bounds what is under way (it stops reading from Kafka when too many epochs are open), so
/// [`PointSink::submit`] may queue without a bound of its own and must not block.
pub trait PointSink: Send + Sync {
    /// Starts writing a batch; its [`Ack`] fires once every point is durable, refused for good and counted, or
    /// dead-lettered. A batch that cannot be written yet is kept and retried: then the ack simply does not fire.
    fn submit(&self, batch: PointBatch);
    /// What the status page and the metrics show.
    fn status(&self) -> SinkStatus;
}

/// Points of one epoch, in the order they were made.
#[derive(Debug)]
pub struct PointBatch {
    /// The points; may span buckets.
    pub points: Vec<Point>,
    /// Fires when they are durable.
    pub ack: Ack,
}

/// Called once when a batch is durable, from the sink's thread.
pub struct Ack(Box<dyn FnOnce() + Send>);

impl Ack {
    /// Wraps what is to happen.
    pub fn new(done: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(done))
    }

    /// Says that the batch is durable.
    pub fn fire(self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ack")
    }
}

/// A sink's health, for people and metrics.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct SinkStatus {
    /// Name and address, without secrets: `influxdb http://127.0.0.1:8086`.
    pub target: String,
    /// Whether the last attempt succeeded (true before the first attempt only where a start-up check did).
    pub healthy: bool,
    /// Why not, naming the setting and the cure.
    pub problem: Option<String>,
    /// Points confirmed.
    pub points_written: u64,
    /// Points refused for good (partial writes, malformed lines).
    pub points_refused: u64,
    /// Attempts that had to be repeated.
    pub retries: u64,
    /// Batches submitted and not yet confirmed.
    pub batches_waiting: u64,
    /// Bytes of line protocol waiting.
    pub bytes_waiting: u64,
    /// 99th percentile of the recent successful writes, milliseconds.
    pub write_p99_ms: f64,
}
