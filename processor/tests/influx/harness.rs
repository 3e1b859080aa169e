//! A sink on a scripted server, with its acks, dead lines and waits to look at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use events::Timestamp;
use processor::influx::retry::{Pause, Stop};
use processor::influx::{DeadLine, InfluxConfig, InfluxSink, Tuning};
use processor::sink::{Ack, PointBatch, PointSink as _, SinkStatus};
use processor_core::schema::{FieldKind, PIPELINE, URL_TOP};
use processor_core::{FieldValue, Point, Resolution};

use super::server::Server;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Harness {
    pub(crate) sink: InfluxSink,
    pub(crate) pause: Arc<TestPause>,
    pub(crate) dead: Receiver<DeadLine>,
    acks: (Sender<u64>, Receiver<u64>),
}

impl Harness {
    pub(crate) fn start(server: &Server) -> Self {
        Self::start_tuned(server, |_| {})
    }

    pub(crate) fn start_tuned(server: &Server, tune: impl FnOnce(&mut Tuning)) -> Self {
        let pause = Arc::new(TestPause::default());
        let (dead_sender, dead) = channel();
        let mut tuning = Tuning { pause: pause.clone(), seed: 7, ..Tuning::default() };
        tune(&mut tuning);
        let dead_sender = Mutex::new(dead_sender);
        let bury = move |line| dead_sender.lock().unwrap().send(line).unwrap();
        let sink = InfluxSink::start_tuned(&config(&server.url), &tuning, Arc::new(bury)).unwrap();
        Self { sink, pause, dead, acks: channel() }
    }

    /// Submits points as batch `number`.
    pub(crate) fn submit(&self, number: u64, points: Vec<Point>) {
        let sender = self.acks.0.clone();
        self.sink.submit(PointBatch { points, ack: Ack::new(move || sender.send(number).unwrap()) });
    }

    /// The next ack's batch.
    pub(crate) fn ack(&self) -> u64 {
        self.acks.1.recv_timeout(PATIENCE).expect("an ack")
    }

    /// Acks that have come and were not asked for.
    pub(crate) fn more_acks(&self) -> Vec<u64> {
        self.acks.1.try_iter().collect()
    }

    pub(crate) fn next_dead(&self) -> DeadLine {
        self.dead.recv_timeout(PATIENCE).expect("a dead line")
    }

    pub(crate) fn status(&self) -> SinkStatus {
        self.sink.status()
    }

    /// Waits for a status; polls, as nothing tells of a change.
    pub(crate) fn await_status(&self, is_reached: impl Fn(&SinkStatus) -> bool) -> SinkStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if is_reached(&status) {
                return status;
            }
            assert!(Instant::now() < end, "still {status:?}");
            std::thread::yield_now();
        }
    }
}

/// Takes note of waits instead of waiting. Closed, it keeps the writers until it is opened.
#[derive(Default)]
pub(crate) struct TestPause {
    waits: Mutex<Vec<Duration>>,
    changed: Condvar,
    is_closed: AtomicBool,
}

impl TestPause {
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        let waits = self.waits.lock().unwrap();
        self.is_closed.store(false, Ordering::SeqCst);
        drop(waits);
        self.changed.notify_all();
    }

    /// Waits until `count` waits were asked for, and returns all of them.
    pub(crate) fn await_waits(&self, count: usize) -> Vec<Duration> {
        let waits = self.waits.lock().unwrap();
        self.changed.wait_while(waits, |waits| waits.len() < count).unwrap().clone()
    }

    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap().clone()
    }
}

impl Pause for TestPause {
    fn pause(&self, wait: Duration, stop: &Stop) {
        let mut waits = self.waits.lock().unwrap();
        waits.push(wait);
        self.changed.notify_all();
        while self.is_closed.load(Ordering::SeqCst) && stop.deadline().is_none() {
            waits = self.changed.wait_timeout(waits, Duration::from_millis(10)).unwrap().0;
        }
    }
}

pub(crate) fn config(url: &str) -> InfluxConfig {
    InfluxConfig {
        url: url.to_owned(),
        org: "acme & co".to_owned(),
        token: "s3cret\n".to_owned(),
        bucket: "clickstream/raw_10s".to_owned(),
        rollup_1m: "clickstream/rollup_1m".to_owned(),
        rollup_1h: "clickstream/rollup_1h".to_owned(),
    }
}

/// The point of `rank` in the raw bucket, with a value to tell its versions apart.
pub(crate) fn point(rank: u64, requests: i64) -> Point {
    point_at(Resolution::Raw, rank, requests)
}

pub(crate) fn point_at(resolution: Resolution, rank: u64, requests: i64) -> Point {
    let fields = vec![FieldValue::Text("/x".into()), FieldValue::Integer(requests), FieldValue::Integer(0)];
    let tags = vec![format!("{rank:04}").into()];
    Point::new(resolution, &URL_TOP, tags, fields, Timestamp::from_secs(1_755_720_650))
}

/// The line of [`point`].
pub(crate) fn line(rank: u64, requests: i64) -> String {
    format!(r#"url_top,rank={rank:04} url="/x",requests={requests}i,errors=0i 1755720650000"#)
}

/// A point that an instance writes of itself.
pub(crate) fn own_point() -> Point {
    let number = |kind: &FieldKind| match kind {
        FieldKind::Float => FieldValue::Float(0.0),
        _ => FieldValue::Integer(0),
    };
    let fields = PIPELINE.fields.iter().map(|(_, kind)| number(kind)).collect();
    let tags = vec!["processor".into(), "one".into()];
    Point::new(Resolution::Raw, &PIPELINE, tags, fields, Timestamp::from_secs(1_755_720_650))
}
