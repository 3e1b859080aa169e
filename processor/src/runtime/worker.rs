//! A worker thread: reads batches, calls its tasks and merges, completes their epochs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::RunError;
use super::publisher::Publisher;
use super::shared::{Shared, now};
use super::stage0::RelaySlot;
use super::stage1::{Stage1, TaskSlot};
use super::stage2::{MergeSlot, Stage2};
use crate::kafka::{Consumer, Item, QueueId, Transactor, WorkerQueue};

/// Records taken from librdkafka at once: enough to spread the cost of a call, few enough to stay in the caches.
const BATCH_MAX: usize = 2_000;
/// Partials are large; a few at a time keep memory flat.
const MERGE_BATCH_MAX: usize = 32;
/// The longest a worker waits for records before it looks at everything else.
const WAIT: Duration = Duration::from_millis(20);
/// How often the status hears of a worker.
const PUBLISH: Duration = Duration::from_millis(500);

/// What the coordinator tells a worker.
pub(super) enum Command {
    AssignTask(Box<TaskSlot>),
    AssignRelay(Box<RelaySlot>),
    AssignMerge(Box<MergeSlot>),
    /// With every relay.
    Revoke {
        tasks: Vec<i32>,
        merges: Vec<i32>,
        /// Others may own them already.
        lost: bool,
        done: Sender<()>,
    },
    /// Read nothing new, write what there is.
    Drain,
    Stop,
}

/// The coordinator's end of a worker.
#[derive(Clone)]
pub(super) struct Link {
    commands: Sender<Command>,
    pub(super) task_queue: QueueId,
    pub(super) merge_queue: QueueId,
    /// Nothing is under way after [`Command::Drain`].
    pub(super) drained: Arc<AtomicBool>,
    /// Tasks and relays for which a bounded run is over, with everything committed.
    pub(super) ended: Arc<AtomicUsize>,
}

impl Link {
    pub(super) fn send(&self, command: Command) {
        // A worker that is gone has said why by `Shared::fail`.
        let _ = self.commands.send(command);
    }
}

/// A running worker.
pub(super) struct Handle {
    link: Link,
    thread: JoinHandle<()>,
}

impl Handle {
    pub(super) fn link(&self) -> Link {
        self.link.clone()
    }

    /// Ends the thread; what is under way is not waited for.
    pub(super) fn stop(self) {
        self.link.send(Command::Stop);
        if self.thread.join().is_err() {
            tracing::error!("a worker panicked");
        }
    }
}

pub(super) struct Worker {
    at: usize,
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    /// Taken from the channel, to be obeyed after the batch in hand.
    pending: VecDeque<Command>,
    task_queue: WorkerQueue,
    merge_queue: WorkerQueue,
    stage1: Stage1,
    stage2: Stage2,
    link: Link,
    draining: bool,
    published_at: Instant,
}

impl Worker {
    /// Starts a worker thread.
    pub(super) fn start(
        at: usize,
        consumer: &Consumer,
        shared: &Arc<Shared>,
        transactor: Option<Transactor>,
    ) -> Handle {
        let publisher = match transactor {
            Some(transactor) => Publisher::transactions(shared, consumer, at, transactor),
            None => Publisher::outbox(shared),
        };
        let (sender, commands) = mpsc::channel();
        let task_queue = consumer.worker_queue();
        let merge_queue = consumer.worker_queue();
        let link = Link {
            commands: sender,
            task_queue: task_queue.id(),
            merge_queue: merge_queue.id(),
            drained: Arc::default(),
            ended: Arc::default(),
        };
        let mut worker = Self {
            at,
            shared: Arc::clone(shared),
            commands,
            pending: VecDeque::new(),
            task_queue,
            merge_queue,
            stage1: Stage1::new(at, Arc::clone(shared), consumer.clone(), publisher),
            stage2: Stage2::new(Arc::clone(shared), consumer.clone()),
            link: link.clone(),
            draining: false,
            published_at: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("worker-{at}"))
            .spawn(move || {
                if let Err(error) = worker.run() {
                    worker.shared.fail(error);
                    worker.obey_until_stopped();
                }
            })
            .expect("the operating system grants a thread at start");
        Handle { link, thread }
    }

    fn run(&mut self) -> Result<(), RunError> {
        loop {
            self.pending.extend(self.commands.try_iter());
            while let Some(command) = self.pending.pop_front() {
                if !self.obey(command)? {
                    return Ok(());
                }
            }
            if self.stage2.may_read() {
                self.merge(Duration::ZERO)?;
            }
            self.stage2.turn()?;
            self.stage1.turn(self.draining)?;
            self.read()?;
            self.link.ended.store(self.stage1.ended(), Ordering::Release);
            let idle = self.stage1.in_flight() == 0 && self.stage2.in_flight() == 0;
            self.link.drained.store(self.draining && idle, Ordering::Release);
            if self.published_at.elapsed() >= PUBLISH {
                self.publish();
            }
        }
    }

    /// Whether to go on.
    fn obey(&mut self, command: Command) -> Result<bool, RunError> {
        match command {
            Command::AssignTask(slot) => self.stage1.assign(*slot),
            Command::AssignRelay(slot) => self.stage1.assign_relay(*slot),
            Command::AssignMerge(slot) => self.stage2.assign(*slot),
            Command::Revoke { tasks, merges, lost, done } => {
                self.stage1.revoke(&tasks, lost)?;
                self.stage2.revoke(&merges, lost);
                let _ = done.send(());
            }
            Command::Drain => {
                self.draining = true;
                self.stage1.drain();
            }
            Command::Stop => return Ok(false),
        }
        Ok(true)
    }

    /// After a failure: nothing is done any more, but a rebalance must not wait for this worker.
    fn obey_until_stopped(&mut self) {
        loop {
            let Some(command) = self.pending.pop_front().or_else(|| self.commands.recv().ok()) else {
                return;
            };
            match command {
                Command::Revoke { done, .. } => drop(done.send(())),
                Command::Stop => return,
                Command::AssignTask(_)
                | Command::AssignRelay(_)
                | Command::AssignMerge(_)
                | Command::Drain => {}
            }
        }
    }

    fn merge(&mut self, wait: Duration) -> Result<(), RunError> {
        let Self { merge_queue, commands, pending, stage1, stage2, .. } = self;
        let batch = merge_queue.consume(wait, MERGE_BATCH_MAX);
        take_assignments(commands, pending, stage1, stage2);
        for item in batch.items() {
            match item {
                Item::Run(run) => stage2.messages(&run)?,
                Item::End(end) => stage2.end(&end),
                Item::Problem(problem) => stage1.problem(&problem),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), RunError> {
        if self.draining || !self.stage1.may_read() {
            // Commits come by way of the merges, so wait for those.
            if self.stage2.may_read() {
                self.merge(WAIT)?;
            } else {
                std::thread::sleep(WAIT); // both stages wait for a sink, which has its own pace
            }
            return Ok(());
        }
        let Self { task_queue, commands, pending, stage1, stage2, .. } = self;
        let batch = task_queue.consume(WAIT, BATCH_MAX);
        take_assignments(commands, pending, stage1, stage2);
        for item in batch.items() {
            match item {
                Item::Run(run) => stage1.records(&run)?,
                Item::End(end) => stage1.end(&end),
                Item::Problem(problem) => stage1.problem(&problem),
            }
        }
        Ok(())
    }

    fn publish(&mut self) {
        self.published_at = Instant::now();
        self.stage1.publish_status();
        self.stage2.publish_status();
        let mut reports = self.shared.reports();
        reports.in_flight.insert(self.at, (self.stage1.in_flight() + self.stage2.in_flight()) as u64);
        reports.merges_in_flight.insert(self.at, self.stage2.in_flight() as u64);
        match self.stage1.pause() {
            None => drop(reports.paused.remove(&self.at)),
            Some(why) => {
                let pause = reports.paused.entry(self.at).or_insert_with(|| (why, now().millis()));
                pause.0 = why;
            }
        }
    }
}

/// Takes the assignments that came while a batch was waited for: its records may be theirs.
///
/// Only those at the head of the line: what follows a revocation is a later assignment, and a batch in hand may hold
/// records of the earlier one, which must not reach it. So a revocation waits until the batch is done.
fn take_assignments(
    commands: &Receiver<Command>,
    pending: &mut VecDeque<Command>,
    stage1: &mut Stage1,
    stage2: &mut Stage2,
) {
    pending.extend(commands.try_iter());
    loop {
        match pending.pop_front() {
            Some(Command::AssignTask(slot)) => stage1.assign(*slot),
            Some(Command::AssignRelay(slot)) => stage1.assign_relay(*slot),
            Some(Command::AssignMerge(slot)) => stage2.assign(*slot),
            Some(other) => return pending.push_front(other),
            None => return,
        }
    }
}
