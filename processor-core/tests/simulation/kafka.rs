//! Kafka as far as it decides what is lost or doubled: logs with transaction markers, producers with epochs, what a
//! `read_committed` consumer sees, committed offsets. The group is in `group.rs`.

use std::collections::BTreeMap;

use super::group::{Group, GroupError, Membership};
use super::random::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Input,
    Partials,
    DeadLetters,
    Late,
}

/// A topic's partition.
pub(crate) type Partition = (Topic, u32);

/// Which task's or merge's run wrote something, and how much it had handed out by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) run: u64,
    pub(crate) handed_out: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) to: Partition,
    pub(crate) value: Vec<u8>,
    /// Of a dead letter or late record: where it was read.
    pub(crate) source: Option<i64>,
    pub(crate) origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) metadata: String,
    pub(crate) origin: Origin,
}

pub(crate) type Offsets = Vec<(Partition, Committed)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KafkaError {
    /// The same call may be made again.
    Retriable,
    /// A newer producer with the same id was made, or the transaction took too long.
    Fenced,
    /// The group does not know the member in this generation.
    Group(GroupError),
}

enum Entry {
    Record { output: Output, transaction: Option<usize> },
    Marker,
}

#[derive(Default)]
struct Log {
    entries: Vec<Entry>,
    /// Transactions without a marker here, with their first offset.
    open: BTreeMap<usize, i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    Committed,
    Aborted,
}

struct Transaction {
    producer: u64,
    begun_at: i64,
    outcome: Outcome,
    records: Vec<(Partition, usize)>,
    offsets: Offsets,
    /// Logs without its marker, once it is decided.
    unmarked: Vec<Partition>,
    /// Whether its offsets are decided but not yet to be seen.
    offsets_unmarked: bool,
}

#[derive(Default)]
struct Producer {
    epoch: i32,
    current: Option<usize>,
}

/// Something became certain that the oracle looks at.
pub(crate) enum Event {
    Visible(Partition, i64),
    Committed(Partition, Committed),
}

/// How long the coordinator lets a transaction be open.
const TRANSACTION_TIMEOUT: i64 = 40_000_000;

#[derive(Default)]
pub(crate) struct Kafka {
    logs: BTreeMap<Partition, Log>,
    transactions: Vec<Transaction>,
    undecided: Vec<usize>,
    producers: BTreeMap<u64, Producer>,
    committed: BTreeMap<Partition, Committed>,
    pub(crate) group: Group,
    pub(crate) events: Vec<Event>,
    /// A planted bug: the generation of offsets is not looked at.
    pub(crate) takes_any_generation: bool,
}

impl Kafka {
    /// Time passes: transactions end that are open for too long, and markers are written.
    pub(crate) fn turn(&mut self, now: i64, random: &mut Random) {
        let Self { undecided, transactions, .. } = self;
        undecided.retain(|at| {
            let of = &transactions[*at];
            of.outcome == Outcome::Open || of.offsets_unmarked || !of.unmarked.is_empty()
        });
        for at in self.undecided.clone() {
            let transaction = &mut self.transactions[at];
            if transaction.outcome == Outcome::Open {
                if now - transaction.begun_at > TRANSACTION_TIMEOUT {
                    let producer = transaction.producer;
                    self.producers.get_mut(&producer).expect("it began the transaction").epoch += 1;
                    self.decide(at, Outcome::Aborted);
                }
                continue;
            }
            while random.chance(70) {
                let places = transaction.unmarked.len() + usize::from(transaction.offsets_unmarked);
                if places == 0 {
                    break;
                }
                let place = random.below(places as u64) as usize;
                if place < transaction.unmarked.len() {
                    let log = self.logs.get_mut(&transaction.unmarked.remove(place)).expect("written to");
                    log.entries.push(Entry::Marker);
                    log.open.remove(&at);
                } else {
                    transaction.offsets_unmarked = false;
                    if transaction.outcome == Outcome::Committed {
                        for (partition, committed) in transaction.offsets.drain(..) {
                            self.committed.insert(partition, committed);
                        }
                    }
                }
            }
        }
    }

    fn decide(&mut self, at: usize, outcome: Outcome) {
        let transaction = &mut self.transactions[at];
        transaction.outcome = outcome;
        transaction.unmarked = transaction.records.iter().map(|(partition, _)| *partition).collect();
        transaction.unmarked.sort_unstable();
        transaction.unmarked.dedup();
        transaction.offsets_unmarked = !transaction.offsets.is_empty();
        if outcome == Outcome::Committed {
            let visible = transaction.records.iter().map(|(to, at)| Event::Visible(*to, *at as i64));
            self.events.extend(visible);
            let offsets = transaction.offsets.iter();
            self.events.extend(offsets.map(|(of, committed)| Event::Committed(*of, committed.clone())));
        }
    }

    /// Makes a producer of a transactional id and fences former ones.
    pub(crate) fn init_producer(&mut self, id: u64) -> Result<i32, KafkaError> {
        let producer = self.producers.entry(id).or_default();
        if let Some(at) = producer.current {
            match self.transactions[at].outcome {
                Outcome::Open => {
                    producer.epoch += 1;
                    self.decide(at, Outcome::Aborted);
                    return Err(KafkaError::Retriable);
                }
                _ if !self.is_complete(at) => return Err(KafkaError::Retriable),
                _ => {}
            }
        }
        let producer = self.producers.get_mut(&id).expect("it was just made");
        producer.epoch += 1;
        producer.current = None;
        Ok(producer.epoch)
    }

    fn is_complete(&self, at: usize) -> bool {
        let of = &self.transactions[at];
        of.outcome != Outcome::Open && of.unmarked.is_empty() && !of.offsets_unmarked
    }

    pub(crate) fn begin(&mut self, id: u64, epoch: i32, now: i64) -> Result<(), KafkaError> {
        let current = self.producer(id, epoch)?.current;
        if current.is_some_and(|at| !self.is_complete(at)) {
            return Err(KafkaError::Retriable);
        }
        self.undecided.push(self.transactions.len());
        self.producers.get_mut(&id).expect("it was just looked up").current = Some(self.transactions.len());
        self.transactions.push(Transaction {
            producer: id,
            begun_at: now,
            outcome: Outcome::Open,
            records: Vec::new(),
            offsets: Vec::new(),
            unmarked: Vec::new(),
            offsets_unmarked: false,
        });
        Ok(())
    }

    fn producer(&self, id: u64, epoch: i32) -> Result<&Producer, KafkaError> {
        self.producers.get(&id).filter(|producer| producer.epoch == epoch).ok_or(KafkaError::Fenced)
    }

    fn open(&self, id: u64, epoch: i32) -> Result<usize, KafkaError> {
        let current = self.producer(id, epoch)?.current;
        current.filter(|at| self.transactions[*at].outcome == Outcome::Open).ok_or(KafkaError::Fenced)
    }

    /// Writes one record in the open transaction; its offset.
    pub(crate) fn produce_in_transaction(
        &mut self,
        id: u64,
        epoch: i32,
        output: Output,
    ) -> Result<i64, KafkaError> {
        let at = self.open(id, epoch)?;
        let partition = output.to;
        let log = self.logs.entry(partition).or_default();
        let offset = log.entries.len();
        log.open.entry(at).or_insert(offset as i64);
        log.entries.push(Entry::Record { output, transaction: Some(at) });
        self.transactions[at].records.push((partition, offset));
        Ok(offset as i64)
    }

    /// Writes one record outside of any transaction; its offset.
    pub(crate) fn produce(&mut self, output: Output) -> i64 {
        let partition = output.to;
        let log = self.logs.entry(partition).or_default();
        let offset = log.entries.len() as i64;
        log.entries.push(Entry::Record { output, transaction: None });
        self.events.push(Event::Visible(partition, offset));
        offset
    }

    pub(crate) fn send_offsets(
        &mut self,
        id: u64,
        epoch: i32,
        by: Membership,
        offsets: Offsets,
    ) -> Result<(), KafkaError> {
        let at = self.open(id, epoch)?;
        if !self.takes_any_generation {
            self.group.check(by).map_err(KafkaError::Group)?;
        }
        self.transactions[at].offsets = offsets;
        Ok(())
    }

    /// Commits the current transaction; again for one that is committed changes nothing.
    pub(crate) fn commit(&mut self, id: u64, epoch: i32) -> Result<(), KafkaError> {
        let at = self.producer(id, epoch)?.current.ok_or(KafkaError::Fenced)?;
        match self.transactions[at].outcome {
            Outcome::Open => self.decide(at, Outcome::Committed),
            Outcome::Committed => {}
            Outcome::Aborted => return Err(KafkaError::Fenced),
        }
        Ok(())
    }

    pub(crate) fn abort(&mut self, id: u64, epoch: i32) -> Result<(), KafkaError> {
        let at = self.producer(id, epoch)?.current.ok_or(KafkaError::Fenced)?;
        if self.transactions[at].outcome == Outcome::Open {
            self.decide(at, Outcome::Aborted);
        }
        Ok(())
    }

    /// A plain commit.
    pub(crate) fn commit_offsets(
        &mut self,
        by: Membership,
        offsets: Offsets,
        now: i64,
    ) -> Result<(), KafkaError> {
        if !self.takes_any_generation {
            self.group.check(by).map_err(KafkaError::Group)?;
        }
        self.group.committed(by, now);
        for (partition, committed) in offsets {
            self.events.push(Event::Committed(partition, committed.clone()));
            self.committed.insert(partition, committed);
        }
        Ok(())
    }

    /// A committed offset; refused while a transaction that has one for the partition is not complete.
    pub(crate) fn fetch_offset(&self, partition: Partition) -> Result<Option<&Committed>, KafkaError> {
        let pending = |at: &usize| {
            let of = &self.transactions[*at];
            (of.outcome == Outcome::Open || of.offsets_unmarked)
                && of.offsets.iter().any(|(of, _)| *of == partition)
        };
        if self.undecided.iter().any(pending) {
            return Err(KafkaError::Retriable);
        }
        Ok(self.committed.get(&partition))
    }

    /// Records from an offset on, as a consumer with `isolation.level` sees them, and where it goes on.
    pub(crate) fn read(
        &self,
        partition: Partition,
        from: i64,
        max: usize,
        committed_only: bool,
    ) -> (Vec<(i64, &Output)>, i64) {
        let Some(log) = self.logs.get(&partition) else { return (Vec::new(), from) };
        let end = if committed_only { log.stable_end() } else { log.entries.len() as i64 };
        let mut records = Vec::new();
        let mut at = from;
        while at < end && records.len() < max {
            if let Entry::Record { output, transaction } = &log.entries[at as usize] {
                let aborted = |at: usize| self.transactions[at].outcome != Outcome::Committed;
                if !(committed_only && transaction.is_some_and(aborted)) {
                    records.push((at, output));
                }
            }
            at += 1;
        }
        (records, at)
    }

    /// Where a `read_committed` consumer's partition ends for now.
    pub(crate) fn stable_end(&self, partition: Partition) -> i64 {
        self.logs.get(&partition).map_or(0, Log::stable_end)
    }

    /// A record, and whether it was committed.
    pub(crate) fn record(&self, partition: Partition, offset: i64) -> (&Output, bool) {
        match &self.logs[&partition].entries[offset as usize] {
            Entry::Record { output, transaction } => {
                (output, transaction.is_none_or(|at| self.transactions[at].outcome == Outcome::Committed))
            }
            Entry::Marker => unreachable!("consumers do not see markers"),
        }
    }
}

impl Log {
    fn stable_end(&self) -> i64 {
        self.open.values().copied().min().unwrap_or(self.entries.len() as i64)
    }
}
