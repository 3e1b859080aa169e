//! A small processor: a polling coordinator, worker threads with a queue each, and a ledger that every member of a
//! group writes into and that knows every violation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use processor::kafka::{
    AssignedPartition, Assignments, Commit, Consumer, ConsumerSettings, Item, KafkaError, KafkaProblem,
    QueueId, Start, StartAt, WorkerQueue,
};

use rdkafka::types::RDKafkaErrorCode;

type Partition = (String, i32);

/// What the members of a group have read, in the order they read it.
#[derive(Default)]
pub(crate) struct Ledger {
    partitions: BTreeMap<Partition, Reading>,
    /// Records per member.
    pub(crate) read_by: BTreeMap<&'static str, u64>,
    /// Everything that must not happen.
    pub(crate) violations: Vec<String>,
    /// What the members' handlers were told.
    pub(crate) problems: Vec<KafkaProblem>,
    pub(crate) assignments: u64,
}

#[derive(Default)]
struct Reading {
    owner: Option<&'static str>,
    next: i64,
    /// Where the next owner goes on, if its group refused the commit: librdkafka's mock cluster does so while other
    /// members are joining, where a real Kafka takes it.
    handed_over: Option<i64>,
}

impl Ledger {
    pub(crate) fn records(&self) -> i64 {
        self.partitions.values().map(|reading| reading.next).sum()
    }

    pub(crate) fn read_by(&self, member: &'static str) -> u64 {
        self.read_by.get(member).copied().unwrap_or(0)
    }

    fn violation(&mut self, text: String) {
        // The first ones tell; the rest are their consequence.
        if self.violations.len() < 20 {
            self.violations.push(text);
        }
    }

    fn take(&mut self, member: &'static str, partition: &Partition, offset: i64) {
        let reading = self.partitions.entry(partition.clone()).or_default();
        let (owner, expected) = (reading.owner, reading.next);
        reading.next = offset + 1;
        if owner != Some(member) {
            self.violation(format!("{member} read {offset} of {partition:?}, owned by {owner:?}"));
        } else if offset != expected {
            self.violation(format!("{member} read {offset} of {partition:?} instead of {expected}"));
        }
        *self.read_by.entry(member).or_default() += 1;
    }
}

pub(crate) struct Member {
    stopping: Arc<AtomicBool>,
    coordinator: Option<JoinHandle<()>>,
}

const WORKERS: usize = 2;

impl Member {
    pub(crate) fn start(
        name: &'static str,
        settings: &ConsumerSettings,
        topics: &[String],
        ledger: &Arc<Mutex<Ledger>>,
        may_refuse_commits: bool,
    ) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let handler = Arc::new(Handler {
            name,
            ledger: Arc::clone(ledger),
            workers: Mutex::default(),
            may_refuse_commits,
        });
        let consumer =
            Consumer::new(settings, topics, Arc::clone(&handler) as Arc<dyn Assignments>, Arc::default())
                .unwrap();
        let mut workers = Vec::new();
        for _ in 0..WORKERS {
            let (commands, inbox) = mpsc::channel();
            let queue = consumer.worker_queue();
            handler.workers.lock().unwrap().push((queue.id(), commands));
            let ledger = Arc::clone(ledger);
            workers.push(thread::spawn(move || work(name, queue, &inbox, &ledger)));
        }
        let coordinator = thread::spawn({
            let stopping = Arc::clone(&stopping);
            move || {
                while !stopping.load(Ordering::SeqCst) {
                    consumer.poll(Duration::from_millis(50));
                }
                consumer.close(Duration::from_secs(20)).unwrap();
                // Ends the workers: their commands have no sender any more.
                handler.workers.lock().unwrap().clear();
                for worker in workers {
                    worker.join().unwrap();
                }
            }
        });
        Self { stopping, coordinator: Some(coordinator) }
    }

    /// Leaves the group and waits until everything is handed over.
    pub(crate) fn leave(mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.coordinator.take().unwrap().join().unwrap();
    }
}

enum Command {
    /// Take a partition over at a position, and say so.
    Own(Partition, i64, mpsc::Sender<()>),
    /// Let go and answer with the positions.
    Release(Vec<Partition>, mpsc::Sender<Vec<(Partition, i64)>>),
}

struct Handler {
    name: &'static str,
    ledger: Arc<Mutex<Ledger>>,
    workers: Mutex<Vec<(QueueId, mpsc::Sender<Command>)>>,
    may_refuse_commits: bool,
}

impl Assignments for Handler {
    fn assigned(
        &self,
        consumer: &Consumer,
        partitions: &[AssignedPartition],
    ) -> Result<Vec<Start>, KafkaError> {
        let workers = self.workers.lock().unwrap();
        let mut ledger = self.ledger.lock().unwrap();
        ledger.assignments += 1;
        let (mut starts, mut answers) = (Vec::new(), Vec::new());
        for (index, assigned) in partitions.iter().enumerate() {
            let partition = (assigned.topic.clone(), assigned.partition);
            let reading = ledger.partitions.entry(partition.clone()).or_default();
            let handed_over = reading.handed_over.take();
            let position = handed_over.unwrap_or_else(|| committed_position(assigned));
            let earlier = reading.owner.replace(self.name);
            if let Some(owner) = earlier {
                ledger.violation(format!("{} got {partition:?}, owned by {owner}", self.name));
            }
            let (queue, commands) = &workers[index % workers.len()];
            let (reply, answer) = mpsc::channel();
            commands.send(Command::Own(partition, position, reply)).unwrap();
            consumer.wake(*queue);
            answers.push(answer);
            let at = handed_over.map_or(StartAt::Committed, StartAt::Offset);
            starts.push(Start { at, queue: *queue });
        }
        drop(ledger);
        // Records flow once this returns, so the workers must know by then what is theirs.
        for answer in answers {
            answer.recv_timeout(Duration::from_secs(20)).expect("a worker takes over");
        }
        Ok(starts)
    }

    fn revoked(&self, consumer: &Consumer, partitions: &[Partition], lost: bool) {
        let mut positions = Vec::new();
        for (queue, commands) in &*self.workers.lock().unwrap() {
            let (reply, answer) = mpsc::channel();
            commands.send(Command::Release(partitions.to_vec(), reply)).unwrap();
            consumer.wake(*queue);
            positions.extend(answer.recv_timeout(Duration::from_secs(20)).expect("a worker lets go"));
        }
        let commits: Vec<Commit> = positions
            .into_iter()
            .map(|((topic, partition), next_offset)| Commit {
                topic,
                partition,
                next_offset,
                metadata: format!("at {next_offset}"),
            })
            .collect();
        assert_eq!(commits.len(), partitions.len(), "every revoked partition had a worker");
        let mut ledger = self.ledger.lock().unwrap();
        let committed = consumer.commit_sync(&commits);
        match &committed {
            Ok(()) => {}
            Err(KafkaError::Failed { code: RDKafkaErrorCode::RebalanceInProgress, .. })
                if self.may_refuse_commits => {}
            Err(error) => ledger.violation(format!("{} could not commit: {error:?}", self.name)),
        }
        if lost {
            ledger.violation(format!("{} lost {partitions:?}", self.name));
        }
        for commit in commits {
            let reading =
                ledger.partitions.get_mut(&(commit.topic, commit.partition)).expect("it was assigned");
            reading.owner = None;
            reading.handed_over = committed.is_err().then_some(commit.next_offset);
        }
    }

    fn error(&self, problem: KafkaProblem) {
        self.ledger.lock().unwrap().problems.push(problem);
    }
}

fn committed_position(assigned: &AssignedPartition) -> i64 {
    assigned.committed.as_ref().map_or(0, |committed| {
        assert_eq!(committed.metadata, format!("at {}", committed.offset), "metadata comes back");
        committed.offset
    })
}

fn work(name: &'static str, mut queue: WorkerQueue, inbox: &mpsc::Receiver<Command>, ledger: &Mutex<Ledger>) {
    let mut owned: BTreeMap<Partition, i64> = BTreeMap::new();
    loop {
        match inbox.try_recv() {
            Ok(Command::Own(partition, position, reply)) => {
                owned.insert(partition, position);
                reply.send(()).unwrap();
                continue;
            }
            Ok(Command::Release(partitions, reply)) => {
                let released = partitions
                    .into_iter()
                    .filter_map(|partition| owned.remove(&partition).map(|position| (partition, position)))
                    .collect();
                reply.send(released).unwrap();
                continue;
            }
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => return,
        }
        let batch = queue.consume(Duration::from_millis(100), 500);
        for item in batch.items() {
            match item {
                Item::Problem(problem) => ledger.lock().unwrap().violation(problem.to_string()),
                Item::End(_) => {}
                Item::Run(run) => {
                    let partition = (run.topic().to_owned(), run.partition());
                    let mut ledger = ledger.lock().unwrap();
                    for message in run.iter() {
                        ledger.take(name, &partition, message.offset());
                        match owned.get_mut(&partition) {
                            Some(position) => *position = message.offset() + 1,
                            None => ledger.violation(format!("{name} got a record of {partition:?} after")),
                        }
                    }
                }
            }
        }
    }
}
