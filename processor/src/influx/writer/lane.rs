use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::super::client::Client;
use super::super::config::{Bucket, SERVER_WRITE_TIME, Tuning};
use super::super::isolate::named_lines;
use super::super::outcome::{WriteOutcome, shorten};
use super::super::problem::Problem;
use super::super::queue::{Line, PointQueue, Taken};
use super::super::retry::{Backoff, FailureLog, HOLD_RETRY};
use super::{Shared, Ticket};

/// What waits for one bucket: filled by submitters, emptied by its [`LaneWriter`].
pub(super) struct Lane {
    pub(super) bucket: Bucket,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: PointQueue,
    in_flight: (u64, u64),
    /// Grows when everything waiting is dropped: what was taken before is not put back.
    generation: u64,
    /// Batches by number, the oldest first.
    tickets: VecDeque<(u64, Arc<Ticket>)>,
    /// Whether the last attempt succeeded.
    confirmed: bool,
    problem: Option<String>,
}

impl Lane {
    pub(super) fn new(bucket: Bucket) -> Self {
        let state = State {
            queue: PointQueue::new(),
            in_flight: (0, 0),
            generation: 0,
            tickets: VecDeque::new(),
            confirmed: false,
            problem: None,
        };
        Self { bucket, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn push(&self, lines: Vec<Line>, ticket: Arc<Ticket>) {
        let mut state = self.lock();
        let batch = state.queue.push(lines);
        state.tickets.push_back((batch, ticket));
        drop(state);
        self.wake();
    }

    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }

    /// Drops what waits, and returns the batches it belonged to.
    pub(super) fn forget(&self) -> Vec<Arc<Ticket>> {
        let mut state = self.lock();
        state.generation += 1;
        state.queue.clear();
        state.tickets.drain(..).map(|(_, ticket)| ticket).collect()
    }

    /// Waits until no request is under way, at most until `deadline`; returns whether it is so.
    pub(super) fn await_quiet(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while state.in_flight.0 > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).expect("no holder panics").0;
        }
        true
    }

    /// Points and bytes waiting or under way.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let state = self.lock();
        (state.queue.len() as u64 + state.in_flight.0, state.queue.bytes() as u64 + state.in_flight.1)
    }

    /// Whether the last attempt succeeded, and why not.
    pub(super) fn health(&self) -> (bool, Option<String>) {
        let state = self.lock();
        (state.confirmed, state.problem.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

/// The thread that writes one bucket.
pub(super) struct LaneWriter {
    lane: Arc<Lane>,
    shared: Arc<Shared>,
    client: Arc<Client>,
    tuning: Tuning,
    backoff: Backoff,
    failures: FailureLog,
    refusals: FailureLog,
    body: Vec<u8>,
}

/// How soon it is looked again whether the group has confirmed the membership.
const MEMBERSHIP_RETRY: Duration = Duration::from_millis(200);

/// Why a request has to be repeated.
struct Failure {
    problem: Problem,
    wait: Duration,
}

impl LaneWriter {
    pub(super) fn new(lane: Arc<Lane>, shared: Arc<Shared>, client: Arc<Client>, tuning: Tuning) -> Self {
        Self {
            lane,
            shared,
            client,
            backoff: Backoff::new(tuning.seed),
            tuning,
            failures: FailureLog::default(),
            refusals: FailureLog::default(),
            body: Vec::new(),
        }
    }

    /// Writes what comes, until an end is asked for.
    pub(super) fn run(mut self) {
        while let Some((taken, generation)) = self.next_request() {
            let (left, failure) = self.write(taken, generation);
            self.note(failure.as_ref());
            self.settle(left, generation);
            if let Some(Failure { wait, .. }) = failure {
                self.tuning.pause.pause(wait, &self.shared.stop);
            }
        }
        *self.shared.running.lock().expect("no holder panics") -= 1;
        self.shared.ended.notify_all();
    }

    /// Waits for lines. None of them is a request too: as long as it is not known whether the bucket can be written,
    /// it asks.
    fn next_request(&self) -> Option<(Vec<Taken>, u64)> {
        let mut state = self.lane.lock();
        loop {
            let is_ending = self.shared.stop.deadline().is_some();
            if self.shared.stop.is_over() || (is_ending && state.queue.is_empty()) {
                return None;
            }
            if !state.queue.is_empty() || !state.confirmed {
                let taken = state.queue.take(self.tuning.lines_max, self.tuning.bytes_max);
                state.in_flight = (taken.len() as u64, bytes_of(&taken));
                return Some((taken, state.generation));
            }
            state = self.lane.changed.wait(state).expect("no holder panics");
        }
    }

    /// Writes the lines, in pieces where the server wants that. Returns the pieces that are left, the last lines
    /// first, and why.
    fn write(&mut self, taken: Vec<Taken>, generation: u64) -> (Vec<Vec<Taken>>, Option<Failure>) {
        let mut pieces = vec![taken];
        let mut is_request_proven = false;
        while let Some(piece) = pieces.pop() {
            let (held, piece) = self.hold_unconfirmed(piece);
            if !held.is_empty() {
                pieces.push(held);
                if piece.is_empty() {
                    let problem = Problem::membership_unconfirmed(self.client.config());
                    return (pieces, Some(Failure { problem, wait: MEMBERSHIP_RETRY }));
                }
            }
            let outcome = self.send(&piece);
            match self.judge(outcome, piece, &mut is_request_proven) {
                Ok(smaller) => pieces.extend(smaller),
                Err((piece, failure)) => {
                    pieces.push(piece);
                    return (pieces, Some(failure));
                }
            }
            if self.shared.stop.is_over() || self.lane.lock().generation != generation {
                break;
            }
        }
        (pieces, None)
    }

    /// Parts the lines that only a confirmed member may write from the rest, while this is none.
    fn hold_unconfirmed(&self, piece: Vec<Taken>) -> (Vec<Taken>, Vec<Taken>) {
        if (self.tuning.time_left)() >= SERVER_WRITE_TIME {
            return (Vec::new(), piece);
        }
        piece.into_iter().partition(|taken| taken.line.shared)
    }

    /// One request.
    fn send(&mut self, piece: &[Taken]) -> WriteOutcome {
        self.body.clear();
        for taken in piece {
            self.body.extend_from_slice(&taken.line.bytes);
            self.body.push(b'\n');
        }
        let start = Instant::now();
        let outcome = self.client.write(&self.lane.bucket, &self.body);
        if outcome == WriteOutcome::Ok && !piece.is_empty() {
            self.shared.latencies.add(start.elapsed());
        }
        outcome
    }

    /// What an outcome asks for: nothing more, smaller pieces (the last lines first), or the same again later.
    fn judge(
        &mut self,
        outcome: WriteOutcome,
        piece: Vec<Taken>,
        is_request_proven: &mut bool,
    ) -> Result<Vec<Vec<Taken>>, (Vec<Taken>, Failure)> {
        match outcome {
            WriteOutcome::Ok => {
                self.count(piece.len() as u64, 0);
                Ok(Vec::new())
            }
            WriteOutcome::Partial { refused, message } => {
                let refused = refused.min(piece.len() as u64);
                self.count(piece.len() as u64 - refused, refused);
                self.say_refused(&message);
                Ok(Vec::new())
            }
            WriteOutcome::BadLine { message } if !piece.is_empty() => {
                self.isolate(piece, &message, is_request_proven)
            }
            WriteOutcome::BadLine { message } => {
                let problem = Problem::empty_write_refused(&message, self.client.config());
                Err((piece, Failure { problem, wait: HOLD_RETRY }))
            }
            WriteOutcome::TooLarge if piece.len() > 1 => {
                self.tuning.bytes_max = (self.body.len() / 2).max(1);
                Ok(halves(piece))
            }
            WriteOutcome::TooLarge if piece.len() == 1 => {
                let reason = format!("413: {} bytes are too many for one line", self.body.len());
                self.bury(piece, |_| reason.clone());
                Ok(Vec::new())
            }
            WriteOutcome::TooLarge => {
                let outcome =
                    WriteOutcome::Unexpected { status: 413, message: "to no lines at all".to_owned() };
                Err((piece, self.failure(&outcome)))
            }
            other => Err((piece, self.failure(&other))),
        }
    }

    /// Buries the lines that the server names. Where it names none, halves the piece until one line is left; but
    /// first makes sure that it is the lines, for a request without any is refused as well where a setting is wrong,
    /// and then every line would be buried.
    fn isolate(
        &mut self,
        piece: Vec<Taken>,
        message: &str,
        is_request_proven: &mut bool,
    ) -> Result<Vec<Vec<Taken>>, (Vec<Taken>, Failure)> {
        let named = named_lines(message);
        let is_named = |taken: &Taken| named.contains_key(taken.line.bytes.as_slice());
        let (bad, rest): (Vec<_>, Vec<_>) = piece.into_iter().partition(is_named);
        if !bad.is_empty() {
            self.bury(bad, |line| named[line].to_owned());
            return Ok(if rest.is_empty() { Vec::new() } else { vec![rest] });
        }
        if !*is_request_proven {
            let outcome = self.send(&[]);
            if let Err((_, failure)) = self.judge(outcome, Vec::new(), is_request_proven) {
                return Err((rest, failure));
            }
            *is_request_proven = true;
        }
        if rest.len() == 1 {
            self.bury(rest, |_| shorten(message).to_owned());
            return Ok(Vec::new());
        }
        Ok(halves(rest))
    }

    fn bury(&mut self, lines: Vec<Taken>, reason: impl Fn(&[u8]) -> String) {
        for Taken { line, .. } in lines {
            let reason = reason(&line.bytes);
            self.say_refused(&reason);
            self.shared.bury(line.bytes, &self.lane.bucket.name, reason);
        }
    }

    fn count(&self, written: u64, refused: u64) {
        self.shared.written.fetch_add(written, Ordering::Relaxed);
        self.shared.refused.fetch_add(refused, Ordering::Relaxed);
    }

    fn say_refused(&mut self, message: &str) {
        if let Some(times) = self.refusals.failed(Instant::now()) {
            let bucket = &self.lane.bucket.name;
            error!(bucket, times, "influxdb refuses points for good: {}", shorten(message));
        }
    }

    fn failure(&mut self, outcome: &WriteOutcome) -> Failure {
        let problem = Problem::of(outcome, self.client.config(), &self.lane.bucket)
            .expect("outcomes that concern lines are handled before");
        let wait = match outcome {
            _ if problem.needs_hand => HOLD_RETRY,
            WriteOutcome::Busy { retry_after, .. } => self.backoff.next_wait_asked(*retry_after),
            _ => self.backoff.next_wait(),
        };
        Failure { problem, wait }
    }

    /// Tells the status and the log how the attempt went.
    fn note(&mut self, failure: Option<&Failure>) {
        let now = Instant::now();
        let bucket = &self.lane.bucket.name;
        let mut state = self.lane.lock();
        state.confirmed = failure.is_none();
        state.problem = failure.map(|failure| failure.problem.to_string());
        drop(state);
        let Some(Failure { problem, wait }) = failure else {
            self.backoff.reset();
            if let Some(lasted) = self.failures.recovered(now) {
                info!(bucket, waited_s = lasted.as_secs(), "influxdb takes points again");
            }
            return;
        };
        self.shared.retries.fetch_add(1, Ordering::Relaxed);
        if let Some(attempts) = self.failures.failed(now) {
            let next_s = wait.as_secs_f64();
            if problem.needs_hand {
                error!(bucket, attempts, next_s, "{problem}");
            } else {
                warn!(bucket, attempts, next_s, "{problem}");
            }
        }
    }

    /// Puts back what is left and fires the acks of the batches that are finished.
    fn settle(&self, left: Vec<Vec<Taken>>, generation: u64) {
        let mut state = self.lane.lock();
        if state.generation == generation {
            for piece in left {
                state.queue.put_back(piece);
            }
        }
        state.in_flight = (0, 0);
        self.lane.wake();
        let finished_before = state.queue.finished_before();
        let finished = state.tickets.partition_point(|(batch, _)| *batch < finished_before);
        let tickets = state.tickets.drain(..finished).map(|(_, ticket)| ticket).collect();
        drop(state);
        self.shared.finish(tickets);
    }
}

/// The later half first: pieces are taken from the end.
fn halves(mut piece: Vec<Taken>) -> Vec<Vec<Taken>> {
    let later = piece.split_off(piece.len() / 2);
    vec![later, piece]
}

fn bytes_of(taken: &[Taken]) -> u64 {
    taken.iter().map(|taken| taken.line.len_in_request() as u64).sum()
}
