//! Transactions: an epoch's records and offsets become visible together, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError as ClientError, KafkaResult, RDKafkaError};
use rdkafka::producer::{BaseProducer, Producer as _, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;

use super::offsets::list_of_commits;
use super::patience::Patience;
use super::producer::{Context, EpochAcks, OutboxRecord, Produced, native, queue, serve};
use super::{Commit, KafkaError, KafkaProblem, ProducerSettings, settings};

/// A transactional producer of one thread.
pub struct Transactor {
    producer: BaseProducer<Context>,
    id: String,
    settings: ProducerSettings,
    problems: Arc<dyn Fn(KafkaProblem) + Send + Sync>,
    gives_up: Arc<AtomicBool>,
}

/// What a transaction makes durable.
pub trait Transaction {
    /// Hands every record to `send`, in order; the same ones at each call.
    ///
    /// # Errors
    /// That of `send`.
    fn records(
        &self,
        send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError>;

    /// The offsets.
    fn offsets(&self) -> &[Commit];
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionEnd {
    /// Records and offsets are there: what was written, by partition.
    Committed(Vec<Produced>),
    /// Nothing of it is visible; the same may be tried again.
    Aborted {
        /// Why.
        reason: String,
        /// The group no longer takes offsets of this member: its partitions are or will be another's.
        membership_lost: bool,
        /// The topic that takes no record, or no batch, as large as one of these.
        too_large: Option<String>,
    },
}

/// A transaction whose producer cannot go on; a new one of its name decides what is open, and it is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Kafka takes nothing more of this producer: another one uses the name, or a transaction was open for longer than
    /// Kafka allows, as after the process stood still. A new producer may go on from what is committed.
    #[error(
        "kafka has fenced the transactional id `{id}`: if another processor uses it, give every instance its own \
         kafka.instance_id (or http.listen)"
    )]
    Fenced {
        /// The name.
        id: String,
    },
    /// Kafka answers, but not this.
    #[error(
        "{step} hung for {waited_s} s (kafka.transaction_deadline) although kafka answers; the transaction is decided at the restart"
    )]
    Hung {
        /// What was called.
        step: &'static str,
        /// For how long, in seconds.
        waited_s: u64,
    },
    /// The process ends, and Kafka is away.
    #[error("{step} was given up, as the process ends; the transaction is decided at the restart")]
    GivenUp {
        /// What was called.
        step: &'static str,
    },
    /// Any other end of the client, such as a state that it and a restarted Kafka do not agree on. A new producer may go
    /// on from what is committed.
    #[error("{step} failed for good: {reason}")]
    Failed {
        /// What was called.
        step: &'static str,
        /// librdkafka's reason.
        reason: String,
    },
}

impl TransactionError {
    /// Whether a new producer of the same name may go on; what hangs would hang for that, too.
    #[must_use]
    pub fn ends_the_producer_only(&self) -> bool {
        matches!(self, Self::Fenced { .. } | Self::Failed { .. })
    }
}

/// The longest one call waits; it is repeated until the deadline.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Kafka may take to answer at all before it counts as away rather than hung.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a full queue is waited for at once.
const ROOM_WAIT: Duration = Duration::from_millis(5);

enum Failure {
    Abort { reason: String, membership_lost: bool, too_large: Option<String> },
    End(TransactionError),
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        Self::End(error)
    }
}

impl Transactor {
    /// Makes the producer; Kafka may be away. `problems` is told what happens outside of calls, during them.
    ///
    /// # Errors
    /// [`KafkaError::ReservedProperty`], [`KafkaError::Settings`].
    ///
    /// # Panics
    /// Without a transactional id in the settings.
    pub fn new(
        settings: &ProducerSettings,
        problems: impl Fn(KafkaProblem) + Send + Sync + 'static,
    ) -> Result<Self, KafkaError> {
        Self::with(settings.clone(), Arc::new(problems), Arc::default())
    }

    /// The same, which stops waiting for Kafka some seconds after `gives_up` has become true.
    #[must_use]
    pub fn until(self, gives_up: Arc<AtomicBool>) -> Self {
        Self { gives_up, ..self }
    }

    fn with(
        settings: ProducerSettings,
        problems: Arc<dyn Fn(KafkaProblem) + Send + Sync>,
        gives_up: Arc<AtomicBool>,
    ) -> Result<Self, KafkaError> {
        let id = settings.transactional_id.clone().expect("transactions have a name");
        let told = Arc::clone(&problems);
        let context = Context::new(move |problem| told(problem), &settings.client.brokers);
        let producer = settings::create(&settings.to_config()?, context)?;
        Ok(Self { producer, id, settings, problems, gives_up })
    }

    /// The same with smaller batches, to be [initialised](Transactor::init), where this one's are larger.
    ///
    /// # Errors
    /// As [`Transactor::new`].
    pub fn with_batches_within(&self, bytes: usize) -> Result<Option<Self>, KafkaError> {
        if self.settings.batch_bytes <= bytes {
            return Ok(None);
        }
        let settings = ProducerSettings { batch_bytes: bytes, ..self.settings.clone() };
        Self::with(settings, Arc::clone(&self.problems), Arc::clone(&self.gives_up)).map(Some)
    }

    /// A new producer of the same name and settings, to be [initialised](Transactor::init): for one that cannot go on.
    ///
    /// # Errors
    /// As [`Transactor::new`].
    pub fn renewed(&self) -> Result<Self, KafkaError> {
        Self::with(self.settings.clone(), Arc::clone(&self.problems), Arc::clone(&self.gives_up))
    }

    /// Fences an earlier producer of this name and decides what it left open, before anything is read: until then
    /// its offsets are unknown. Waits for Kafka for as long as `keep_waiting` says; returns whether it is done.
    ///
    /// # Errors
    /// [`TransactionError::Failed`] where Kafka refuses (for example without the right to the transactional id).
    pub fn init(&self, mut keep_waiting: impl FnMut(&str) -> bool) -> Result<bool, TransactionError> {
        loop {
            let error = match self.producer.init_transactions(CALL_TIMEOUT) {
                Ok(()) => return Ok(true),
                Err(error) => error,
            };
            if !is_retriable(&error) {
                return Err(self.end("starting transactions", &error));
            }
            if !keep_waiting(&error.to_string()) {
                return Ok(false);
            }
        }
    }

    /// The same for a client that has taken another's place: Kafka may be away meanwhile, but not hang for longer than
    /// `deadline`.
    ///
    /// # Errors
    /// As [`Transactor::init`], [`TransactionError::Hung`] and [`TransactionError::GivenUp`].
    pub fn init_again(
        &self,
        deadline: Duration,
        mut waiting: impl FnMut(&str),
    ) -> Result<(), TransactionError> {
        let mut patience = Patience::new(Instant::now(), deadline);
        let mut hung = Ok(());
        self.init(|error| {
            waiting(error);
            hung = self.lose_patience("starting transactions again", &mut patience);
            hung.is_ok()
        })?;
        hung
    }

    /// Serves the client's events while there is nothing to do.
    pub fn idle(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Runs one transaction to its end. A call that hangs longer than `deadline` while Kafka answers is an error; a
    /// Kafka that is away is waited for.
    ///
    /// # Errors
    /// [`TransactionError`]: the process has to end.
    pub fn execute(
        &self,
        content: &dyn Transaction,
        generation: &ConsumerGroupMetadata,
        deadline: Duration,
    ) -> Result<TransactionEnd, TransactionError> {
        self.run(content, Some(generation), deadline)
    }

    /// The same for content without offsets, of no group.
    ///
    /// # Errors
    /// As [`Transactor::execute`].
    pub fn execute_records(
        &self,
        content: &dyn Transaction,
        deadline: Duration,
    ) -> Result<TransactionEnd, TransactionError> {
        self.run(content, None, deadline)
    }

    fn run(
        &self,
        content: &dyn Transaction,
        generation: Option<&ConsumerGroupMetadata>,
        deadline: Duration,
    ) -> Result<TransactionEnd, TransactionError> {
        let mut patience = Patience::new(Instant::now(), deadline);
        match self.attempt(content, generation, &mut patience) {
            Ok(produced) => Ok(TransactionEnd::Committed(produced)),
            Err(Failure::End(error)) => Err(error),
            Err(Failure::Abort { reason, membership_lost, too_large }) => {
                self.abort(&mut patience)?;
                Ok(TransactionEnd::Aborted { reason, membership_lost, too_large })
            }
        }
    }

    fn attempt(
        &self,
        content: &dyn Transaction,
        generation: Option<&ConsumerGroupMetadata>,
        patience: &mut Patience,
    ) -> Result<Vec<Produced>, Failure> {
        self.call("beginning a transaction", patience, || self.producer.begin_transaction())?;
        let acks = EpochAcks::new(|_| ());
        let sent = content.records(&mut |record| self.send(&acks, record, patience));
        acks.seal();
        if let Err(error) = sent {
            let reason = error.to_string();
            let too_large = match error {
                KafkaError::RecordTooLarge { topic } => Some(topic),
                _ => None,
            };
            return Err(Failure::Abort { reason, membership_lost: false, too_large });
        }
        let offsets = content.offsets();
        if !offsets.is_empty() {
            let generation = generation.expect("offsets are those of a group");
            let list = list_of_commits(offsets).map_err(|error| self.end("adding offsets", &error))?;
            self.call("adding offsets to the transaction", patience, || {
                self.producer.send_offsets_to_transaction(&list, generation, CALL_TIMEOUT)
            })?;
        }
        // Answers are taken here: the crate's own commit would wait for them in steps of 100 ms.
        while acks.outstanding() > 0 {
            native::hurry(&self.producer, Duration::from_millis(2));
            serve(&self.producer, Duration::from_millis(1));
            self.lose_patience("delivering the records of a transaction", patience)?;
        }
        let produced = acks.result().map_err(|error| Failure::Abort {
            reason: error.to_string(),
            membership_lost: false,
            too_large: error.too_large().map(str::to_owned),
        })?;
        self.call("committing a transaction", patience, || self.producer.commit_transaction(CALL_TIMEOUT))?;
        Ok(produced)
    }

    fn send(
        &self,
        acks: &Arc<EpochAcks>,
        record: &OutboxRecord<'_>,
        patience: &Patience,
    ) -> Result<(), KafkaError> {
        loop {
            match queue(&self.producer, acks, record) {
                Err(KafkaError::Backpressure { .. }) if !patience.is_over(Instant::now()) => {
                    serve(&self.producer, ROOM_WAIT);
                }
                other => return other,
            }
        }
    }

    fn abort(&self, patience: &mut Patience) -> Result<(), TransactionError> {
        // The crate takes answers as events, for which librdkafka's own abort would wait in vain.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        while self.producer.in_flight_count() > 0 {
            serve(&self.producer, Duration::from_millis(1));
            if patience.is_over(Instant::now()) {
                break;
            }
        }
        match self.call("aborting a transaction", patience, || self.producer.abort_transaction(CALL_TIMEOUT))
        {
            Ok(()) => Ok(()),
            Err(Failure::End(error)) => Err(error),
            Err(Failure::Abort { reason, .. }) => {
                Err(TransactionError::Failed { step: "aborting a transaction", reason })
            }
        }
    }

    /// One step, repeated while the client says that this helps.
    fn call(
        &self,
        step: &'static str,
        patience: &mut Patience,
        mut action: impl FnMut() -> KafkaResult<()>,
    ) -> Result<(), Failure> {
        loop {
            let error = match action() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if let ClientError::Transaction(error) = &error
                && !error.is_fatal()
                && error.txn_requires_abort()
            {
                let reason = format!("{step}: {}", error.string());
                let membership_lost = means_membership_lost(error);
                return Err(Failure::Abort { reason, membership_lost, too_large: None });
            }
            if !is_retriable(&error) {
                return Err(Failure::End(self.end(step, &error)));
            }
            tracing::warn!(%error, "{step} takes long, going on");
            self.lose_patience(step, patience)?;
        }
    }

    /// An error once the call has hung for longer than the deadline although Kafka answers; one that does not is away and
    /// comes back.
    fn lose_patience(&self, step: &'static str, patience: &mut Patience) -> Result<(), TransactionError> {
        if !patience.wants_to_know(Instant::now()) {
            return Ok(());
        }
        if self.gives_up.load(Ordering::Acquire) {
            return Err(TransactionError::GivenUp { step });
        }
        match patience.tell(Instant::now(), self.kafka_answers()) {
            Some(hung) => Err(TransactionError::Hung { step, waited_s: hung.as_secs() }),
            None => Ok(()),
        }
    }

    fn kafka_answers(&self) -> bool {
        self.producer.client().fetch_metadata(None, PROBE_TIMEOUT).is_ok()
    }

    fn end(&self, step: &'static str, error: &ClientError) -> TransactionError {
        let fatal = self.producer.client().fatal_error();
        let code = fatal.as_ref().map(|(code, _)| *code).or_else(|| error.rdkafka_error_code());
        let fenced = [RDKafkaErrorCode::Fenced, RDKafkaErrorCode::ProducerFenced];
        if code.is_some_and(|code| fenced.contains(&code)) {
            return TransactionError::Fenced { id: self.id.clone() };
        }
        let reason = fatal.map_or_else(|| error.to_string(), |(_, reason)| reason);
        TransactionError::Failed { step, reason }
    }
}

fn is_retriable(error: &ClientError) -> bool {
    match error {
        ClientError::Transaction(error) => !error.is_fatal() && error.is_retriable(),
        // What the commit does first is to wait for what is under way.
        ClientError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}

fn means_membership_lost(error: &RDKafkaError) -> bool {
    matches!(
        error.code(),
        RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::RebalanceInProgress
    )
}
