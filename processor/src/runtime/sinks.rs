//! The sinks that the settings name, as one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::RunError;
use crate::files::{FileConfig, FileSink};
use crate::influx::{DeadLine, InfluxConfig, InfluxSink, Tuning};
use crate::kafka::{EpochAcks, Header, KafkaOutbox, Membership, OutboxRecord};
use crate::settings::Settings;
use crate::sink::{Ack, PointBatch, PointSink, SinkStatus};

/// Where points go that InfluxDB refuses for good, as line protocol, with bucket and reason as headers.
pub(super) const DEAD_POINTS_TOPIC: &str = "clickpulse.points.dlq";
/// How long keeping such a point may take before it is written to the log instead.
const KEEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Every configured sink; none is fine (the page shows the numbers all the same).
pub(super) struct Sinks {
    influx: Option<InfluxSink>,
    files: Option<FileSink>,
}

/// Starts what the settings name. Neither InfluxDB nor anything else has to be there yet.
pub(super) fn start(
    settings: &Settings,
    outbox: &Arc<KafkaOutbox>,
    membership: &Arc<Membership>,
) -> Result<Sinks, RunError> {
    let influx = match &settings.influxdb {
        Some(influx) => {
            let config = InfluxConfig::from(influx);
            let outbox = Arc::clone(outbox);
            let membership = Arc::clone(membership);
            let tuning = Tuning { time_left: Arc::new(move || membership.time_left()), ..Tuning::default() };
            Some(InfluxSink::start_tuned(&config, &tuning, Arc::new(move |line| dead_point(&outbox, &line)))?)
        }
        None => None,
    };
    let files = match &settings.files {
        Some(files) => Some(FileSink::start(&FileConfig::new(&files.dir)).map_err(RunError::Files)?),
        None => None,
    };
    if influx.is_none() && files.is_none() {
        tracing::warn!("no [influxdb] and no [files]: results are on the status page only");
    }
    Ok(Sinks { influx, files })
}

/// Keeps a refused point; returns once Kafka has it, as its batch is confirmed then.
fn dead_point(outbox: &KafkaOutbox, dead: &DeadLine) {
    tracing::error!(bucket = %dead.bucket, reason = %dead.reason, "a point was refused for good");
    let (answered, wait) = mpsc::channel();
    let acks = EpochAcks::new(move |_| {
        let _ = answered.send(()); // whoever waits no longer needs no answer
    });
    let headers: [Header<'_>; 2] =
        [(b"reason", Some(dead.reason.as_bytes())), (b"bucket", Some(dead.bucket.as_bytes()))];
    let record = OutboxRecord {
        topic: DEAD_POINTS_TOPIC,
        payload: Some(&dead.line),
        headers: &headers,
        ..Default::default()
    };
    let sent = outbox.send(&acks, &record);
    acks.seal();
    let kept = match sent {
        Ok(()) if wait.recv_timeout(KEEP_TIMEOUT).is_err() => Err("kafka did not answer in time".to_owned()),
        Ok(()) => acks.result().map(drop).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = kept {
        let line = String::from_utf8_lossy(&dead.line);
        tracing::error!(%error, %line, "a refused point could not be kept in kafka");
    }
}

impl Sinks {
    /// Drops what waits to be written: its windows are or will be another instance's.
    pub(super) fn forget(&self) {
        if let Some(influx) = &self.influx {
            influx.forget();
        }
    }

    /// Line protocol that waits to be written.
    pub(super) fn bytes_waiting(&self) -> u64 {
        self.influx.as_ref().map_or(0, InfluxSink::bytes_waiting)
    }

    /// Writes what it can until the deadline; returns how many points were left.
    pub(super) fn shutdown(&self, deadline: Duration) -> u64 {
        let influx = self.influx.as_ref().map_or(0, |sink| sink.shutdown(deadline).points);
        influx + self.files.as_ref().map_or(0, |sink| sink.shutdown(deadline).points)
    }
}

impl PointSink for Sinks {
    fn submit(&self, batch: PointBatch) {
        match (&self.influx, &self.files) {
            (Some(influx), Some(files)) => {
                let (first, second) = both(batch.ack);
                files.submit(PointBatch { points: batch.points.clone(), ack: first });
                influx.submit(PointBatch { points: batch.points, ack: second });
            }
            (Some(influx), None) => influx.submit(batch),
            (None, Some(files)) => files.submit(batch),
            (None, None) => batch.ack.fire(),
        }
    }

    fn status(&self) -> SinkStatus {
        match (&self.influx, &self.files) {
            (Some(influx), Some(files)) => {
                let (mut status, files) = (influx.status(), files.status());
                status.target = format!("{}, {}", status.target, files.target);
                status.healthy &= files.healthy;
                status.problem = status.problem.or(files.problem);
                status
            }
            (Some(influx), None) => influx.status(),
            (None, Some(files)) => files.status(),
            (None, None) => {
                SinkStatus { target: "none: this page only".to_owned(), healthy: true, ..Default::default() }
            }
        }
    }
}

/// Two acks, of which the later fires the given one.
fn both(ack: Ack) -> (Ack, Ack) {
    let left = Arc::new((AtomicUsize::new(2), Mutex::new(Some(ack))));
    let half = || {
        let left = Arc::clone(&left);
        Ack::new(move || {
            if left.0.fetch_sub(1, Ordering::AcqRel) == 1
                && let Ok(mut ack) = left.1.lock()
                && let Some(ack) = ack.take()
            {
                ack.fire();
            }
        })
    };
    (half(), half())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn two_sinks_confirm_when_the_second_does() {
        let fired = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&fired);
        let (first, second) = both(Ack::new(move || seen.store(true, Ordering::Release)));
        second.fire();
        assert!(!fired.load(Ordering::Acquire));
        first.fire();
        assert!(fired.load(Ordering::Acquire));
    }
}
