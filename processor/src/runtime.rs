//! The running processor: threads around the state machines of `processor-core`.
//!
//! One coordinator thread (the caller of [`run`]) keeps the group membership, the status and the end of the run.
//! Worker threads own tasks and merges: they read batches, call the core, and seal an epoch every half second. What
//! an epoch handed out is produced to Kafka and submitted to the sinks; once all of it is durable, its offsets are
//! committed. So a crash at any moment repeats work and never loses any.

mod aside;
mod assign;
mod found;
mod incidents;
mod layout;
mod ledger;
mod limits;
mod process;
mod publisher;
mod reading;
mod renewals;
mod report;
mod session;
mod shared;
mod sinks;
mod snapshots;
mod stage0;
mod stage1;
mod stage2;
mod topics;
mod topology;
mod watch;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use processor_core::Delivery;

use crate::kafka::{
    ClientSettings, KafkaError, KafkaOutbox, KafkaProblem, Membership, ProducerSettings, TransactionError,
};
use crate::live::Live;
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::sink::PointSink as _;
use crate::status::{StatusBoard, Totals};
use crate::web::{self, IncidentHandler};

pub use crate::kafka::admin::MissingTopics;
use session::Session;
use shared::{Parts, Shared};
pub use topology::output_topics;
pub(crate) use topology::too_small;

/// How a run differs from the usual one.
#[derive(Clone, Default)]
pub struct RunOptions {
    /// Read to the end offsets of the start, decide and write everything, commit, and return.
    pub until_end: bool,
    /// Who makes topics that are missing.
    pub leave_topics_to_broker: bool,
    /// Lets the page start incidents: for the demo.
    pub incidents: Option<IncidentHandler>,
    /// Where the status goes, for who wants to read it besides the page; a board of its own by default.
    pub board: Option<Arc<StatusBoard>>,
    /// Called with the page's address once it is served.
    pub on_listen: Option<Arc<dyn Fn(SocketAddr) + Send + Sync>>,
}

impl RunOptions {
    fn missing_topics(&self) -> MissingTopics {
        if self.leave_topics_to_broker { MissingTopics::LeaveToBroker } else { MissingTopics::Create }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunSummary {
    /// Conservation of this instance.
    pub totals: Totals,
    /// Points confirmed by the sinks.
    pub points_written: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// CPU seconds, of all threads.
    pub cpu_seconds: f64,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Kafka cannot be used as configured.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The Kafka client cannot go on.
    #[error(transparent)]
    KafkaClient(KafkaProblem),
    /// Another processor has this one's static name.
    #[error(
        "{reason}: kafka.instance_id = \"{instance}\" is {member}, which has joined the group since and keeps it; \
         give every instance a name of its own, or leave kafka.instance_id out"
    )]
    NameTaken {
        /// The name.
        instance: String,
        /// Who has it: client id and host.
        member: String,
        /// How it was found out.
        reason: String,
    },
    /// The status page's port.
    #[error(transparent)]
    Web(#[from] web::WebError),
    /// InfluxDB's settings.
    #[error("influxdb settings")]
    Influx(#[from] crate::influx::ConfigError),
    /// The folder for points.
    #[error("files.dir cannot be written")]
    Files(#[source] std::io::Error),
    /// The place for snapshots.
    #[error(transparent)]
    State(#[from] crate::state::StoreError),
    /// The inputs do not fit together.
    #[error("{0}")]
    Inputs(String),
    /// Settings that the core refuses.
    #[error("the settings contradict each other")]
    Options(#[from] processor_core::OptionsError),
    /// A transaction cannot be decided by this process.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// Something that was handed out can never become durable; nothing after the last commit counts as done.
    #[error("{0}; nothing was committed, a restart repeats it")]
    Output(String),
    /// Stopped before everything under way was durable.
    #[error("stopped after {0:?} (shutdown.deadline) with work still under way; a restart repeats it: {1}")]
    NotDrained(Duration, String),
}

/// Runs until `shutdown` is triggered, or to the end with [`RunOptions::until_end`].
///
/// Kafka and InfluxDB may be away at the start: the status page says so, `/readyz` answers 503, and it keeps trying.
///
/// # Errors
/// [`RunError`]; what is not committed then is repeated by the next run.
pub fn run(settings: &Settings, options: &RunOptions, shutdown: &Shutdown) -> Result<RunSummary, RunError> {
    let started = Instant::now();
    let core = settings.options();
    core.validate()?;
    let board = options.board.clone().unwrap_or_default();
    let live = Arc::new(Live::new(settings.windows.size));
    report::introduce(&board, settings);
    let page =
        web::serve(settings.http.listen, Arc::clone(&board), Arc::clone(&live), options.incidents.clone())?;
    tracing::info!(address = %page.addr(), "the status page is served at http://{}", page.addr());
    if let Some(on_listen) = &options.on_listen {
        on_listen(page.addr());
    }

    let client = ClientSettings {
        brokers: settings.kafka.brokers.join(","),
        client_id: "clickpulse-processor".to_owned(),
        properties: (*settings.kafka.properties).clone(),
    };
    let producer = ProducerSettings {
        record_bytes: topology::produced_bytes(settings),
        ..ProducerSettings::new(client.clone())
    };
    let outbox = Arc::new(KafkaOutbox::new(&producer, report::producer_problems(&board))?);
    let membership = Arc::new(Membership::new(client.session_timeout()));
    let sink = sinks::start(settings, &outbox, &membership)?;
    let snapshots = snapshots::start(settings, &core)?;
    board.update(|status| status.sink = sink.status());
    let search = topology::Search {
        settings,
        core: &core,
        options,
        client: &client,
        board: &board,
        sink: &sink,
        shutdown,
    };
    let Some(layout) = search.find()? else {
        return Ok(RunSummary::default()); // asked to stop before Kafka was there
    };
    let plan = settings.memory_plan(layout.tasks);
    limits::introduce(&plan, layout.tasks, &board);
    let compacted = topology::compacted(settings, options, &client);
    let room = topology::room(settings, &client, options.missing_topics());
    let batches = ProducerSettings { batch_bytes: room.batch(), ..producer };
    let outbox = match settings.kafka.delivery {
        // The other is older than what is known of the topics.
        Delivery::AtLeastOnce => Arc::new(KafkaOutbox::new(&batches, report::producer_problems(&board))?),
        Delivery::ExactlyOnce => outbox,
    };
    let parts =
        Parts { outbox, room, membership, sink, snapshots, board: Arc::clone(&board), live, compacted };
    let shared = Arc::new(Shared::new(layout, plan, parts, settings));
    let topics_now = topics::Topics::new(settings, &client, options.missing_topics())?;
    let marks = incidents::follow(&client, &settings.kafka.incidents_topic, &shared);

    let session = Session {
        settings,
        options,
        client: &client,
        shared: &shared,
        topics: &topics_now,
        shutdown,
        prefetch: plan.prefetch,
        port: page.addr().port(),
    };
    let end = session.run();
    marks.stop();
    let remaining = shared.sink.shutdown(Duration::from_secs(2));
    if end.is_ok() && remaining > 0 {
        tracing::debug!(remaining, "points of the status were not written at the end");
    }
    if let Err(error) = shared.outbox.flush(Duration::from_secs(5)) {
        tracing::warn!(%error, "dead letters of refused points may be missing");
    }
    report::publish(&shared);
    page.stop();
    end?;
    let status = board.get();
    Ok(RunSummary {
        totals: status.totals,
        points_written: status.sink.points_written,
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: status.cpu_seconds,
    })
}
