//! Watches the topics: partitions that are added, topics that are deleted and made again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::RunError;
use super::layout::{ATTEMPT, Layout, Names};
use super::limits;
use super::shared::Shared;
use crate::kafka::admin::{Admin, MissingTopics};
use crate::kafka::{ClientSettings, Consumer, KafkaError, Prepared};
use crate::settings::Settings;
use crate::shutdown::Shutdown;

/// How often the topics are looked at: rarely enough to be no load, often enough that a partition that is added is
/// read well within the allowed lateness (a minute).
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same while they do not fit together and nothing is read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Asks about the topics, and keeps what the coordinator has to do about it.
pub(super) struct Topics {
    admin: Admin,
    settings: Settings,
    names: Names,
    missing: MissingTopics,
    /// The topics as they were last seen to fit together: a change is told once.
    seen: Mutex<Option<Layout>>,
    todo: Mutex<Option<Todo>>,
}

/// What the coordinator has to do.
enum Todo {
    /// The topics fit together, and not as they did.
    Rejoin,
    /// They do not.
    Wait(String),
}

/// The thread that looks.
pub(super) struct Watch {
    shutdown: Shutdown,
    thread: JoinHandle<()>,
}

impl Watch {
    pub(super) fn stop(self) {
        self.shutdown.trigger();
        if self.thread.join().is_err() {
            tracing::error!("the thread that watches the topics panicked");
        }
    }
}

impl Topics {
    pub(super) fn new(
        settings: &Settings,
        client: &ClientSettings,
        missing: MissingTopics,
    ) -> Result<Arc<Self>, RunError> {
        let (admin, settings, names) = (Admin::new(client)?, settings.clone(), Names::of(settings));
        Ok(Arc::new(Self { admin, settings, names, missing, seen: Mutex::default(), todo: Mutex::default() }))
    }

    /// Who has a static name in the group, if anybody.
    pub(super) fn static_member(&self, instance: &str) -> Result<Option<String>, KafkaError> {
        self.admin.static_member(&self.settings.kafka.group_id, instance, ATTEMPT)
    }

    /// Starts looking at the topics every now and then.
    pub(super) fn watch(self: &Arc<Self>, shared: &Arc<Shared>) -> Watch {
        let shutdown = Shutdown::new();
        let (topics, shared, until) = (Arc::clone(self), Arc::clone(shared), shutdown.clone());
        let thread = std::thread::Builder::new()
            .name("topics".to_owned())
            .spawn(move || {
                let mut pause = LOOK_EVERY;
                while !until.wait(pause) {
                    pause = topics.look(&shared);
                }
            })
            .expect("the operating system grants a thread at start");
        Watch { shutdown, thread }
    }

    /// The topics for an assignment.
    pub(super) fn find(&self, consumer: &Consumer, shared: &Shared) -> Result<Layout, Prepared> {
        match self.layout(shared) {
            Err(error) => Err(Prepared::Again(error.to_string())),
            Ok(Ok(layout)) => {
                if self.tell_changes(shared, &layout) {
                    // Who shared the partitions out may not have known it either.
                    self.set(Todo::Rejoin);
                    self.refresh(consumer).map_err(|error| Prepared::Again(error.to_string()))?;
                }
                Ok(layout)
            }
            Ok(Err(unfit)) => {
                self.set(Todo::Wait(unfit));
                Err(Prepared::Leave)
            }
        }
    }

    fn layout(&self, shared: &Shared) -> Result<Result<Layout, String>, KafkaError> {
        let found = self.names.ask(&self.admin, self.missing)?;
        let partitions =
            found.iter().map(|(topic, now)| (topic.clone(), now.map_or(0, |now| now.partitions)));
        shared.set_partitions(partitions.collect());
        let merges = shared.layout().merges;
        let layout = Layout::of(&self.names, &shared.core, &found, Some(merges));
        Ok(layout.map(|layout| layout.within(&self.settings)).map_err(|unfit| unfit.to_string()))
    }

    fn look(&self, shared: &Shared) -> Duration {
        match self.layout(shared) {
            // Kafka is away, which others say.
            Err(error) => tracing::debug!(%error, "the topics could not be looked at"),
            Ok(Ok(layout)) => {
                let waited = matches!(*self.todo(), Some(Todo::Wait(_)));
                if self.tell_changes(shared, &layout) || waited {
                    self.set(Todo::Rejoin);
                }
            }
            Ok(Err(unfit)) => {
                self.set(Todo::Wait(unfit));
                return LOOK_AGAIN;
            }
        }
        LOOK_EVERY
    }

    /// Says what is different from when the topics were last seen; returns whether there is something.
    fn tell_changes(&self, shared: &Shared, layout: &Layout) -> bool {
        let before = lock(&self.seen).replace(layout.clone());
        let before = before.unwrap_or_else(|| Layout::clone(&shared.layout()));
        if before.tasks != layout.tasks {
            let plan = self.settings.memory_plan(layout.tasks);
            limits::introduce(&plan, layout.tasks, &shared.board);
        }
        let changes = before.changes(layout);
        changes.iter().for_each(|change| shared.problem(change.to_string()));
        !changes.is_empty()
    }

    /// Does what there is to do, on the polling thread.
    pub(super) fn turn(&self, consumer: &Consumer, shared: &Shared) {
        let mut todo = self.todo();
        match &*todo {
            Some(Todo::Wait(why)) => {
                let is_new = shared.board.get().kafka_problem.as_ref() != Some(why);
                if is_new {
                    shared.problem(why.clone());
                    shared.board.update(|status| {
                        status.kafka_ready = false;
                        status.kafka_problem = Some(why.clone());
                    });
                }
                if !consumer.is_away() {
                    consumer.leave();
                }
            }
            Some(Todo::Rejoin) => {
                if let Err(error) = self.refresh(consumer) {
                    tracing::debug!(%error, "the topics could not be looked at");
                    return; // with the next turn
                }
                *todo = None;
                if consumer.is_away() {
                    tracing::info!("the topics fit together again: joining the group");
                    consumer.join();
                } else {
                    consumer.rejoin();
                }
            }
            None => {}
        }
    }

    /// Lets the member see the topics as they are: it looks every five minutes by itself, and shares out what it knows.
    fn refresh(&self, consumer: &Consumer) -> Result<(), KafkaError> {
        self.names.all().try_for_each(|topic| consumer.partition_count(topic, ATTEMPT).map(drop))
    }

    fn set(&self, todo: Todo) {
        *self.todo() = Some(todo);
    }

    fn todo(&self) -> MutexGuard<'_, Option<Todo>> {
        lock(&self.todo)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic aborts the process, so what a lock guards is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
