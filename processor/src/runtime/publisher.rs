//! Makes task epochs durable: in transactions, or as records whose offsets are committed later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use processor_core::{DeadLetter, EpochId, EpochPayload, LateRecord, RelayOutputs, TaskOutputs};
use rdkafka::consumer::ConsumerGroupMetadata;

use super::RunError;
use super::aside::{Aside, Kind};
use super::renewals::Renewals;
use super::shared::Shared;
use super::stage0::Relayed;
use crate::kafka::letter::Letter;
use crate::kafka::{
    Commit, Consumer, EpochAcks, KafkaError, KafkaOutbox, OutboxRecord, Produced, Transaction,
    TransactionEnd, TransactionError, Transactor,
};

/// What the tasks of a worker handed out in one epoch, and the offsets after it.
#[derive(Debug, Clone, Default)]
pub(super) struct TaskEpoch {
    /// By task.
    pub(super) outputs: BTreeMap<i32, Arc<TaskOutputs>>,
    pub(super) commits: Vec<Commit>,
    /// Wall clock, milliseconds.
    pub(super) sealed_ms: i64,
    pub(super) relayed: Option<Relayed>,
    /// Of the outputs; 0 once they are published.
    pub(super) bytes: usize,
}

/// Stands for all relays of a worker in [`EpochPayload::forget`]; no partition number is as great.
pub(super) const RELAYS: u32 = u32::MAX;

impl TaskEpoch {
    /// The offsets of tasks and relays.
    pub(super) fn offsets(&self) -> Vec<Commit> {
        let relays = self.relayed.iter().flat_map(|relayed| &relayed.commits);
        self.commits.iter().chain(relays).cloned().collect()
    }
}

impl EpochPayload for TaskEpoch {
    fn forget(&mut self, task: u32) {
        if task == RELAYS {
            self.relayed = None;
            return;
        }
        self.outputs.remove(&(task as i32));
        self.commits.retain(|commit| commit.partition != task as i32);
    }

    fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.commits.is_empty() && self.relayed.is_none()
    }
}

/// What became of an epoch.
pub(super) enum Published {
    /// Durable, with the last offset in each partition of the partials topic.
    Done(BTreeMap<u32, i64>),
    /// It left no trace and may be tried again, unless this member lost its partitions.
    Aborted {
        reason: String,
        membership_lost: bool,
    },
    /// At least once: a topic took no record as large as one of it. Some of it may be there.
    TooLarge {
        topic: String,
    },
    Failed(RunError),
}

/// A worker's way out for its tasks.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    way: Way,
    answers: Receiver<(EpochId, Published)>,
    answer: Sender<(EpochId, Published)>,
}

enum Way {
    Transactions { jobs: Option<SyncSender<Job>>, thread: Option<JoinHandle<()>> },
    Outbox(Arc<KafkaOutbox>),
}

struct Job {
    id: EpochId,
    epoch: TaskEpoch,
    generation: Arc<ConsumerGroupMetadata>,
}

/// How often a transactional client without work looks at its events.
const IDLE: Duration = Duration::from_millis(100);

impl Publisher {
    /// At least once: records first; the offsets are committed apart.
    pub(super) fn outbox(shared: &Arc<Shared>) -> Self {
        let (answer, answers) = mpsc::channel();
        Self { shared: Arc::clone(shared), way: Way::Outbox(Arc::clone(&shared.outbox)), answers, answer }
    }

    /// Exactly once: a thread that runs one transaction at a time, so that the worker reads on meanwhile.
    pub(super) fn transactions(
        shared: &Arc<Shared>,
        consumer: &Consumer,
        worker: usize,
        transactor: Transactor,
    ) -> Self {
        let (answer, answers) = mpsc::channel();
        // Epochs come one at a time; see `TaskEpochs`.
        let (jobs, todo) = mpsc::sync_channel::<Job>(1);
        let thread = std::thread::Builder::new()
            .name(format!("transactions-{worker}"))
            .spawn({
                let (shared, answer) = (Arc::clone(shared), answer.clone());
                let mut transactions = Transactions {
                    shared,
                    consumer: consumer.clone(),
                    transactor,
                    renewals: Renewals::default(),
                };
                move || transactions.run(&todo, &answer)
            })
            .expect("the operating system grants a thread at start");
        let way = Way::Transactions { jobs: Some(jobs), thread: Some(thread) };
        Self { shared: Arc::clone(shared), way, answers, answer }
    }

    /// Starts making an epoch durable; [`Publisher::answer`] tells how it ended.
    pub(super) fn publish(&self, id: EpochId, epoch: &mut TaskEpoch) -> Result<(), RunError> {
        match &self.way {
            Way::Transactions { jobs, .. } => {
                let Some(generation) = self.shared.membership.generation() else {
                    let lost = "the member has no partitions any more".to_owned();
                    self.tell(id, Published::Aborted { reason: lost, membership_lost: true });
                    return Ok(());
                };
                let job = Job { id, epoch: epoch.clone(), generation };
                let sent = jobs.as_ref().expect("open until dropped").send(job);
                sent.map_err(|_| RunError::Output("the thread of the transactions is gone".to_owned()))
            }
            Way::Outbox(outbox) => self.send(outbox, id, epoch),
        }
    }

    /// The next answer, if there is one; waits for it no longer than `timeout`.
    pub(super) fn answer(&self, timeout: Duration) -> Option<(EpochId, Published)> {
        self.answers.recv_timeout(timeout).ok()
    }

    fn tell(&self, id: EpochId, published: Published) {
        self.answer.send((id, published)).expect("the receiver is ours");
    }

    fn send(&self, outbox: &KafkaOutbox, id: EpochId, epoch: &mut TaskEpoch) -> Result<(), RunError> {
        let (answer, topic) = (self.answer.clone(), self.shared.partials_topic.clone());
        let aside = Aside::of(&self.shared);
        let acks = EpochAcks::new(move |acks| {
            let published = match acks.result() {
                Ok(produced) => Published::Done(last_partials(&produced, &topic)),
                Err(error) if error.too_large().is_some() => Published::TooLarge { topic: error.topic },
                Err(error) => Published::Failed(RunError::Output(error.to_string())),
            };
            let _ = answer.send((id, published)); // nobody waits any more at the end of the run
        });
        let outputs = std::mem::take(&mut epoch.outputs);
        let relayed = epoch.relayed.as_ref().map(|relayed| &*relayed.records);
        let sent = records(&self.shared, &aside, &outputs, relayed, &mut |record| loop {
            match outbox.send(&acks, record) {
                // The same call may be made again: Kafka does not take records for now, and nothing else is read.
                Err(error @ KafkaError::Backpressure { .. }) => self.shared.error(&error),
                other => return other,
            }
        });
        acks.seal();
        aside.tell(&self.shared);
        sent.map_err(|error| RunError::Output(error.to_string()))
    }
}

/// The thread of a worker's transactions.
struct Transactions {
    shared: Arc<Shared>,
    consumer: Consumer,
    transactor: Transactor,
    renewals: Renewals,
}

impl Transactions {
    fn run(&mut self, todo: &Receiver<Job>, answer: &Sender<(EpochId, Published)>) {
        loop {
            let job = match todo.recv_timeout(IDLE) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    self.transactor.idle();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let published = self.transact(&job);
            if answer.send((job.id, published)).is_err() {
                return;
            }
        }
    }

    fn transact(&mut self, job: &Job) -> Published {
        let shared = &self.shared;
        let sent_at = Instant::now();
        let offsets = shared.without_missing(job.epoch.offsets());
        let content = Content { shared, epoch: &job.epoch, offsets, aside: Aside::of(shared) };
        match self.transactor.execute(&content, &job.generation, shared.transaction_deadline) {
            Ok(TransactionEnd::Committed(produced)) => {
                if !content.offsets.is_empty() {
                    shared.membership.answer(sent_at);
                }
                shared.transactions.committed(sent_at.elapsed());
                shared.committed_in_transaction(&content.offsets);
                content.aside.tell(shared);
                Published::Done(last_partials(&produced, &shared.partials_topic))
            }
            Ok(TransactionEnd::Aborted { reason, too_large: Some(topic), .. }) => {
                match self.make_room(&topic) {
                    Ok(membership_lost) => Published::Aborted { reason, membership_lost },
                    Err(error) => Published::Failed(error),
                }
            }
            Ok(TransactionEnd::Aborted { reason, membership_lost, .. }) => {
                Published::Aborted { reason, membership_lost }
            }
            Err(error) if error.ends_the_producer_only() => match self.renew(error) {
                Ok(published) => published,
                Err(error) => Published::Failed(error),
            },
            Err(error) => Published::Failed(error.into()),
        }
    }

    /// A topic takes no record, or no batch, as large as there was: what goes to it is cut to fit from now on. Returns
    /// whether everything starts from what is committed, as what was re-keyed has its size already.
    fn make_room(&mut self, topic: &str) -> Result<bool, RunError> {
        let shared = &self.shared;
        shared.topic_refused(topic);
        if let Some(transactor) = self.transactor.with_batches_within(shared.room.batch())? {
            self.transactor = transactor;
            self.transactor.init_again(shared.transaction_deadline, |error| {
                shared.problem(format!("starting transactions again: {error}"));
            })?;
        }
        let relayed = shared.core.rekeyed.as_ref().is_some_and(|rekeyed| rekeyed.topic == topic);
        if relayed {
            self.consumer.rejoin();
        }
        Ok(relayed)
    }

    /// Goes on with a new producer. Whether the transaction was committed before the end of the old one is not known
    /// here, so the group is joined anew, and everything starts from what is committed.
    fn renew(&mut self, end: TransactionError) -> Result<Published, RunError> {
        if !self.renewals.allows(Instant::now()) {
            return Err(end.into());
        }
        self.shared.problem(format!("{end}; going on with a new producer"));
        self.transactor = self.transactor.renewed()?;
        self.transactor.init_again(self.shared.transaction_deadline, |error| {
            self.shared.problem(format!("starting transactions again: {error}"));
        })?;
        self.consumer.rejoin();
        Ok(Published::Aborted { reason: end.to_string(), membership_lost: true })
    }
}

impl Drop for Publisher {
    /// Waits for the transaction under way: it ends with an answer, at its deadline, or given up where Kafka is away.
    fn drop(&mut self) {
        if let Way::Transactions { jobs, thread } = &mut self.way {
            drop(jobs.take());
            if thread.take().is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("the thread of the transactions panicked");
            }
        }
    }
}

/// An epoch as a transaction sees it.
struct Content<'a> {
    shared: &'a Shared,
    epoch: &'a TaskEpoch,
    offsets: Vec<Commit>,
    aside: Aside,
}

impl Transaction for Content<'_> {
    fn records(
        &self,
        send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        let relayed = self.epoch.relayed.as_ref().map(|relayed| &*relayed.records);
        records(self.shared, &self.aside, &self.epoch.outputs, relayed, send)
    }

    fn offsets(&self) -> &[Commit] {
        &self.offsets
    }
}

fn last_partials(produced: &[Produced], topic: &str) -> BTreeMap<u32, i64> {
    let partials = produced.iter().filter(|of| of.topic == topic);
    partials.map(|of| (of.partition as u32, of.offset)).collect()
}

/// The records of an epoch's outputs: what was re-keyed, partials, dead letters, late records.
fn records(
    shared: &Shared,
    aside: &Aside,
    outputs: &BTreeMap<i32, Arc<TaskOutputs>>,
    relayed: Option<&RelayOutputs>,
    send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    if let (Some(relayed), Some(rekeyed)) = (relayed, &shared.core.rekeyed) {
        for record in relayed.iter() {
            send(&OutboxRecord {
                topic: &rekeyed.topic,
                partition: Some(record.partition as i32),
                key: record.key,
                payload: Some(record.value),
                ..OutboxRecord::default()
            })?;
        }
    }
    for outputs in outputs.values() {
        for partial in &outputs.partials {
            send(&OutboxRecord {
                topic: &shared.partials_topic,
                partition: Some(partial.partition as i32),
                payload: Some(&partial.value),
                ..OutboxRecord::default()
            })?;
        }
        for letter in &outputs.dead_letters {
            let DeadLetter { input, partition, offset, reason, detail, key, value, headers, cut } = letter;
            let (key, value) = (key.as_deref(), value.as_deref());
            let (topic, reason, partition, offset) =
                (aside.input(*input), reason.name(), *partition, *offset);
            let letter = Letter { reason, detail, topic, partition, offset, key, value, headers, cut: *cut };
            aside.send(*input, Kind::DeadLetters, &letter, send)?;
        }
        for late in &outputs.late {
            let LateRecord { input, partition, offset, detail, key, value, headers } = late;
            let (key, value) = (key.as_deref(), value.as_deref());
            let (topic, partition, offset) = (aside.input(*input), *partition, *offset);
            let reason = "late";
            let letter = Letter { reason, detail, topic, partition, offset, key, value, headers, cut: None };
            aside.send(*input, Kind::Late, &letter, send)?;
        }
    }
    Ok(())
}
