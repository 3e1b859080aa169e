//! Makes task epochs durable: in transactions, or as records whose offsets are committed later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use processor_core::{EpochId, EpochPayload, RelayOutputs, TaskOutputs};
use rdkafka::consumer::ConsumerGroupMetadata;

use super::RunError;
use super::renewals::Renewals;
use super::shared::Shared;
use super::stage0::Relayed;
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
        let acks = EpochAcks::new(move |acks| {
            let published = match acks.result() {
                Ok(produced) => Published::Done(last_partials(&produced, &topic)),
                Err(error) => Published::Failed(RunError::Output(error.to_string())),
            };
            let _ = answer.send((id, published)); // nobody waits any more at the end of the run
        });
        let outputs = std::mem::take(&mut epoch.outputs);
        let relayed = epoch.relayed.as_ref().map(|relayed| &*relayed.records);
        let sent = records(&self.shared, &outputs, relayed, &mut |record| loop {
            match outbox.send(&acks, record) {
                // The same call may be made again: Kafka does not take records for now, and nothing else is read.
                Err(error @ KafkaError::Backpressure { .. }) => self.shared.error(&error),
                other => return other,
            }
        });
        acks.seal();
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
        let content = Content { shared, epoch: &job.epoch, offsets };
        match self.transactor.execute(&content, &job.generation, shared.transaction_deadline) {
            Ok(TransactionEnd::Committed(produced)) => {
                if !content.offsets.is_empty() {
                    shared.membership.answer(sent_at);
                }
                shared.transactions.committed(sent_at.elapsed());
                shared.committed_in_transaction(&content.offsets);
                Published::Done(last_partials(&produced, &shared.partials_topic))
            }
            Ok(TransactionEnd::Aborted { reason, membership_lost }) => {
                Published::Aborted { reason, membership_lost }
            }
            Err(error) if error.ends_the_producer_only() => match self.renew(error) {
                Ok(published) => published,
                Err(error) => Published::Failed(error),
            },
            Err(error) => Published::Failed(error.into()),
        }
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
}

impl Transaction for Content<'_> {
    fn records(
        &self,
        send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        let relayed = self.epoch.relayed.as_ref().map(|relayed| &*relayed.records);
        records(self.shared, &self.epoch.outputs, relayed, send)
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
            let source = Source { input: letter.input, partition: letter.partition, offset: letter.offset };
            let bytes = (letter.key.as_deref(), letter.value.as_deref());
            copy(shared, ".dlq", &source, (letter.reason.name(), &letter.detail), bytes, send)?;
        }
        for late in &outputs.late {
            let source = Source { input: late.input, partition: late.partition, offset: late.offset };
            let bytes = (late.key.as_deref(), late.value.as_deref());
            copy(shared, ".late", &source, ("late", &late.detail), bytes, send)?;
        }
    }
    Ok(())
}

/// Where a copied record comes from.
struct Source {
    input: usize,
    partition: u32,
    offset: i64,
}

/// The original bytes of a record, for a topic beside its own.
fn copy(
    shared: &Shared,
    suffix: &str,
    source: &Source,
    (reason, detail): (&str, &str),
    (key, payload): (Option<&[u8]>, Option<&[u8]>),
    send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    let input = shared.core.configured().nth(source.input).expect("outputs name a configured input");
    let input = &input.topic;
    let topic = format!("{input}{suffix}");
    let (partition, offset) = (source.partition.to_string(), source.offset.to_string());
    let headers = [
        ("reason", reason.as_bytes()),
        ("detail", detail.as_bytes()),
        ("topic", input.as_bytes()),
        ("partition", partition.as_bytes()),
        ("offset", offset.as_bytes()),
    ];
    send(&OutboxRecord { topic: &topic, key, payload, headers: &headers, ..Default::default() })
}
