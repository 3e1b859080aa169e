//! InfluxDB as far as it decides what is lost or stale: points by key, writes that fail, are slow, or are taken in
//! part or without an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use processor_core::{FieldValue, Point};

use super::random::Random;

/// A write is taken within this time after it was sent, or never: what the lease keeps clear of.
pub(crate) const SLOW_MAX: i64 = 8_000_000;

pub(crate) type PointKey = (u8, i64, &'static str, Vec<Arc<str>>);

/// Points handed to the sink at once, with what they bring up to date.
pub(crate) struct Batch {
    pub(crate) id: u64,
    pub(crate) points: Vec<Point>,
    /// The merges' runs and how far each had read.
    pub(crate) of: Vec<(u64, i64)>,
}

struct Request {
    id: u64,
    batch: Rc<Batch>,
    arrives_at: i64,
    /// How many of its points are taken.
    taken: usize,
    answers_at: i64,
    answer: Result<(), ()>,
}

#[derive(Default)]
pub(crate) struct Influx {
    pub(crate) points: BTreeMap<PointKey, Vec<FieldValue>>,
    requests: Vec<Request>,
    next: u64,
    /// Batches taken whole.
    pub(crate) taken: BTreeSet<u64>,
}

impl Influx {
    /// Sends a write; its fate is drawn now and happens by itself, whatever becomes of the sender. `away`: it is not
    /// to be reached.
    pub(crate) fn send(
        &mut self,
        batch: &Rc<Batch>,
        now: i64,
        random: &mut Random,
        faults: bool,
        away: bool,
    ) -> u64 {
        self.next += 1;
        let all = batch.points.len();
        let fast = now + random.below(300_000) as i64;
        let (arrives_at, taken, answer) = match random.below(if faults { 10 } else { 1 }) {
            _ if away => (fast, 0, Err(())),
            1 => (fast, 0, Err(())),
            2 => (fast, all, Err(())), // the answer is lost
            3 => (fast, random.below(all as u64 + 1) as usize, Err(())),
            4 => (now + random.below(SLOW_MAX as u64) as i64, all, Ok(())),
            5 => (now + random.below(SLOW_MAX as u64) as i64, all, Err(())),
            _ => (fast, all, Ok(())),
        };
        let answers_at = arrives_at + random.below(200_000) as i64;
        let id = self.next;
        self.requests.push(Request { id, batch: Rc::clone(batch), arrives_at, taken, answers_at, answer });
        id
    }

    /// Time passes: writes arrive.
    pub(crate) fn turn(&mut self, now: i64) {
        let Self { requests, points, taken, .. } = self;
        // In the order of their arrival.
        requests.sort_by_key(|request| (request.arrives_at, request.id));
        for request in requests.iter_mut().filter(|request| request.arrives_at <= now && request.taken > 0) {
            for point in &request.batch.points[..request.taken] {
                let key =
                    (point.resolution as u8, point.time.secs(), point.measurement.name, point.tags.clone());
                points.insert(key, point.fields.clone());
            }
            if request.taken == request.batch.points.len() {
                taken.insert(request.batch.id);
            }
            request.taken = 0;
        }
        // Nobody may ask for the answer any more.
        requests.retain(|request| now < request.answers_at + 4 * SLOW_MAX);
    }

    /// The answer to a write, once it is there.
    pub(crate) fn answer(&mut self, id: u64, now: i64) -> Option<Result<(), ()>> {
        match self.requests.iter().position(|request| request.id == id) {
            Some(at) if self.requests[at].answers_at > now => None,
            Some(at) => Some(self.requests.remove(at).answer),
            None => Some(Err(())), // the sender was away for long
        }
    }
}
