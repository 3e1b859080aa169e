//! One group member at a time, with the workers that read for it.
//!
//! librdkafka's member can come to an end that only another one mends: its group does not know its static name any
//! more. That is so where another process has taken the name, and where a Kafka that was killed remembers an earlier
//! member of ours. Then everything that belongs to the member is let go of, as when its partitions are lost; once
//! nobody has the name, a new one joins, and starts from what is committed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use processor_core::Delivery;

use super::assign::Coordinator;
use super::renewals::Renewals;
use super::shared::Shared;
use super::topics::Topics;
use super::worker::{self, Worker};
use super::{RunError, RunOptions, report, topology};
use crate::kafka::{
    Assignments, ClientSettings, Consumer, ConsumerSettings, KafkaProblem, ProducerSettings, Transactor,
};
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::sink::PointSink as _;

/// The coordinator's poll: the longest a rebalance or a wish to stop waits for it.
const POLL: Duration = Duration::from_millis(50);
/// How long the end waits for the last snapshots: they only save the next start some reading.
const LAST_SNAPSHOTS_PATIENCE: Duration = Duration::from_secs(10);
/// How long leaving the group may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether a static name is free.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What every member of a run is made from.
pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) options: &'a RunOptions,
    pub(super) client: &'a ClientSettings,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) topics: &'a Arc<Topics>,
    pub(super) shutdown: &'a Shutdown,
    /// Bytes that librdkafka may fetch ahead.
    pub(super) prefetch: usize,
    /// Of the page.
    pub(super) port: u16,
}

impl Session<'_> {
    /// Works until the run is over, as one member after another if need be.
    pub(super) fn run(&self) -> Result<(), RunError> {
        let mut reporter = report::Reporter::new(self.shared);
        let mut renewals = Renewals::default();
        loop {
            let problem = match self.member(&mut reporter) {
                Err(RunError::KafkaClient(problem)) => problem,
                end => return end,
            };
            let may_go_on = problem.is_fatal_to_its_client_only() && !self.shutdown.is_triggered();
            if !may_go_on || !renewals.allows(Instant::now()) {
                return Err(RunError::KafkaClient(problem));
            }
            self.shared.problem(format!("{problem}; going on with a new consumer"));
            if !self.name_is_free(&problem)? {
                return Ok(()); // asked to stop, and nothing is under way
            }
        }
    }

    /// Joins the group and works until the member ends, with everything let go of.
    fn member(&self, reporter: &mut report::Reporter) -> Result<(), RunError> {
        let Self { settings, shared, topics, .. } = self;
        let Some(transactors) = self.transactors()? else {
            return Ok(());
        };
        let handler = Arc::new(Coordinator::new(
            Arc::clone(shared),
            Arc::clone(topics),
            self.options.until_end,
            self.shutdown.clone(),
            settings.shutdown.deadline,
        ));
        let consumer = Consumer::new(
            &ConsumerSettings {
                client: self.client.clone(),
                group_id: settings.kafka.group_id.clone(),
                group_instance_id: settings.kafka.instance_id.clone(),
                // Each worker has a queue for records and one for partials.
                workers: 2 * settings.workers.get(),
                prefetch_bytes: self.prefetch,
            },
            &subscription(settings, shared),
            Arc::clone(&handler) as Arc<dyn Assignments>,
            Arc::clone(&shared.membership),
        )?;
        let threads: Vec<_> = transactors
            .into_iter()
            .enumerate()
            .map(|(at, transactor)| Worker::start(at, &consumer, shared, transactor))
            .collect();
        handler.set_workers(threads.iter().map(worker::Handle::link).collect());

        let watch = topics.watch(shared);
        let end = self.coordinate(&consumer, &handler, reporter);
        watch.stop();
        if matches!(end, Err(RunError::KafkaClient(_))) {
            // librdkafka has usually said so by itself.
            handler.lose_everything(&consumer);
        } else {
            shared.gives_up.store(true, Ordering::Release);
        }
        // Workers hold queues of the consumer, so they end first.
        for thread in threads {
            thread.stop();
        }
        if let Some(snapshots) = &shared.snapshots {
            let left = snapshots.finish(LAST_SNAPSHOTS_PATIENCE);
            if left > 0 {
                tracing::warn!(
                    left,
                    "the last snapshots were not written in time; the next start reads more again"
                );
            }
        }
        match &end {
            Ok(()) => {
                if let Err(error) = consumer.close(LEAVE_TIMEOUT) {
                    tracing::warn!(%error, "could not leave the consumer group in order");
                    consumer.leave_to_the_process();
                }
            }
            Err(RunError::NotDrained(..)) => consumer.leave_to_the_process(),
            Err(_) => {}
        }
        match shared.failure() {
            // What a worker said on its way out is worse than the end of a client.
            Some(failure) if !matches!(failure, RunError::KafkaClient(_)) => end.and(Err(failure)),
            _ => end,
        }
    }

    /// A transactional producer per worker where delivery is exactly once, ready to begin. `None` when asked to stop.
    ///
    /// They begin before the group is joined: what an earlier run of this name left open is decided by then, and its
    /// offsets are known.
    fn transactors(&self) -> Result<Option<Vec<Option<Transactor>>>, RunError> {
        let Self { settings, client, shared, .. } = self;
        let workers = settings.workers.get();
        if settings.kafka.delivery == Delivery::AtLeastOnce {
            return Ok(Some((0..workers).map(|_| None).collect()));
        }
        let board = &shared.board;
        let mut transactors = Vec::with_capacity(workers);
        for worker in 0..workers {
            let instance = report::instance_name(settings, self.port);
            let mut producer = ProducerSettings::new((*client).clone());
            producer.record_bytes = topology::produced_bytes(settings);
            producer.batch_bytes = shared.room.batch();
            producer.transactional_id = Some(format!("{}-{instance}-{worker}", settings.kafka.group_id));
            let transactor = Transactor::new(&producer, report::producer_problems(board))?
                .until(Arc::clone(&shared.gives_up));
            let ready = transactor.init(|error| {
                board.update(|status| status.kafka_problem = Some(format!("starting transactions: {error}")));
                !self.shutdown.is_triggered()
            })?;
            if !ready {
                return Ok(None);
            }
            transactors.push(Some(transactor));
        }
        Ok(Some(transactors))
    }

    /// The coordinator's loop.
    fn coordinate(
        &self,
        consumer: &Consumer,
        handler: &Coordinator,
        reporter: &mut report::Reporter,
    ) -> Result<(), RunError> {
        let Self { shared, topics, shutdown, .. } = self;
        let deadline = self.settings.shutdown.deadline;
        let mut stopping: Option<Instant> = None;
        loop {
            consumer.poll(POLL);
            if let Some(error) = shared.failure() {
                return Err(error);
            }
            reporter.turn(consumer, handler);
            if stopping.is_none() {
                topics.turn(consumer, shared);
            }
            if self.options.until_end && handler.reached_the_end() {
                tracing::info!("everything up to the end offsets is counted, written and committed");
                return Ok(());
            }
            match stopping {
                None if shutdown.is_triggered() => {
                    tracing::info!("draining: what was read is written and committed");
                    shared.draining.store(true, Ordering::Release);
                    handler.drain();
                    stopping = Some(Instant::now());
                }
                Some(_) if handler.is_drained() => return Ok(()),
                Some(since) if since.elapsed() > deadline => {
                    let problem = shared.sink.status().problem;
                    let why = problem.unwrap_or_else(|| "a sink or Kafka is slow to confirm".to_owned());
                    return Err(RunError::NotDrained(deadline, why));
                }
                _ => {}
            }
        }
    }

    /// Waits until the group knows nobody by the static name of this process: an earlier member of ours is forgotten
    /// within a session timeout. `false` when asked to stop.
    ///
    /// # Errors
    /// [`RunError::NameTaken`] where somebody keeps it for longer: to join then would fence who has it.
    fn name_is_free(&self, problem: &KafkaProblem) -> Result<bool, RunError> {
        let Some(instance) = &self.settings.kafka.instance_id else {
            return Ok(!self.shutdown.is_triggered());
        };
        let patience = self.client.session_timeout() * 3 / 2;
        // Since when every answer has named somebody. Kafka that is away, or was started anew, counts from its beginning.
        let mut taken_since: Option<Instant> = None;
        loop {
            match self.topics.static_member(instance) {
                Ok(None) => return Ok(!self.shutdown.is_triggered()),
                Ok(Some(member)) => {
                    let since = *taken_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > patience {
                        let (instance, reason) = (instance.clone(), problem.to_string());
                        return Err(RunError::NameTaken { instance, member, reason });
                    }
                    self.say(format!("`{instance}` (kafka.instance_id) is still {member}; waiting until the group forgets it"));
                }
                Err(error) => {
                    taken_since = None;
                    self.say(error.to_string());
                }
            }
            report::publish(self.shared);
            if self.shutdown.wait(LOOK_EVERY) {
                return Ok(false);
            }
        }
    }

    /// Why nothing is read, for `/readyz` and the page.
    fn say(&self, why: String) {
        self.shared.board.update(|status| {
            status.kafka_ready = false;
            status.kafka_problem = Some(why);
        });
    }
}

/// The topics that a member reads.
fn subscription(settings: &Settings, shared: &Shared) -> Vec<String> {
    let inputs = settings.inputs.iter().map(|input| &input.topic);
    let by_user = shared.core.rekeyed.iter().map(|rekeyed| &rekeyed.topic);
    inputs.chain(by_user).chain([&settings.kafka.partials_topic]).cloned().collect()
}
