//! The parts, started in order and ended in the reverse.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use processor::runtime::{self, RunError, RunOptions, RunSummary};
use processor::settings::{Delivery, Settings};
use processor::shutdown::Shutdown;
use processor::status::StatusBoard;
use processor::web::WebError;
use producer::{Incidents, Options, Output, Profile};
use rdkafka::error::KafkaError;

use crate::args::Plan;
use crate::broker::EmbeddedKafka;
use crate::{incidents, say};

/// How often the terminal is told how it goes.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long the shoppers gather a batch. The embedded Kafka looks for an offset through all batches it keeps, so larger ones
/// spare it; the page is none the later for it.
const LINGER_MS: &str = "50";
/// How long the processor gets to read what the shoppers sent last.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);

/// Why the demo ends early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The embedded broker.
    #[error("the embedded Kafka does not start")]
    Broker(#[source] KafkaError),
    /// The shoppers.
    #[error(transparent)]
    Producer(#[from] producer::Error),
    /// The page's port.
    #[error("{0}; choose another port with --listen, such as --listen 127.0.0.1:0 for a free one")]
    Page(WebError),
    /// The folder for the results.
    #[error(
        "the folder for the results cannot be written; choose another with --out, or none with --no-files"
    )]
    Results(#[source] std::io::Error),
    /// The processor.
    #[error(transparent)]
    Processor(RunError),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The signal handlers.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

impl DemoError {
    /// Whether the flags are at fault: exit code 2, not 1.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Producer(error) if error.is_usage())
    }
}

impl From<RunError> for DemoError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Web(error) => Self::Page(error),
            RunError::Files(error) => Self::Results(error),
            other => Self::Processor(other),
        }
    }
}

/// Runs until `stop` is triggered, the plan's time is over, or a part fails; then ends every part in order and says
/// what came of it.
///
/// # Errors
/// [`DemoError`].
pub fn run(plan: &Plan, stop: &Shutdown) -> Result<(), DemoError> {
    // Declared first, so that it is dropped last: everything else needs it to its end.
    let kafka = start_kafka(plan).map_err(DemoError::Broker)?;
    let board = Arc::<StatusBoard>::default();
    let processor = Processor::start(&plan.settings, &kafka, &board)?;
    let Some(page) = processor.page() else {
        return processor.finish().map(|_| ());
    };
    let shoppers = Shoppers::start(plan, &kafka)?;
    say::welcome(plan, page);

    let started = Instant::now();
    let mut report = say::Progress::new();
    while !(stop.wait(REPORT_EVERY) || processor.is_over() || shoppers.is_over()) {
        if plan.duration.is_some_and(|duration| started.elapsed() >= duration) {
            break;
        }
        report.show(&board.get(), started.elapsed());
    }
    report.clear();

    let sent = shoppers.finish();
    if let Ok(sent) = &sent {
        processor.catch_up(sent.deliveries.delivered(), &board);
    }
    let summary = processor.finish()?;
    say::farewell(plan, &sent?, &summary);
    Ok(())
}

fn start_kafka(plan: &Plan) -> Result<EmbeddedKafka, KafkaError> {
    let kafka = EmbeddedKafka::start()?;
    let settings = &plan.settings;
    for input in &settings.inputs {
        kafka.create_topic(&input.topic, plan.partitions)?;
    }
    // One merge is enough for one process, and its windows are then all of them.
    for topic in runtime::output_topics(settings) {
        kafka.create_topic(&topic, 1)?;
    }
    Ok(kafka)
}

/// The processor on a thread of its own.
struct Processor {
    thread: JoinHandle<Result<RunSummary, RunError>>,
    listening: mpsc::Receiver<SocketAddr>,
    stop: Shutdown,
}

impl Processor {
    fn start(
        settings: &Settings,
        kafka: &EmbeddedKafka,
        board: &Arc<StatusBoard>,
    ) -> Result<Self, DemoError> {
        let mut settings = settings.clone();
        settings.kafka.brokers = vec![kafka.address()];
        // The embedded Kafka answers to transactions, and does nothing of them.
        settings.kafka.delivery = Delivery::AtLeastOnce;
        let (listens, listening) = mpsc::channel();
        let options = RunOptions {
            leave_topics_to_broker: true,
            incidents: Some(incidents::handler(kafka.address())),
            board: Some(Arc::clone(board)),
            on_listen: Some(Arc::new(move |addr| {
                // Nobody waits for it any more once the demo has failed.
                let _ = listens.send(addr);
            })),
            ..RunOptions::default()
        };
        let stop = Shutdown::new();
        let until = stop.clone();
        let thread = thread::Builder::new()
            .name("processor".to_owned())
            .spawn(move || runtime::run(&settings, &options, &until))
            .map_err(DemoError::Thread)?;
        Ok(Self { thread, listening, stop })
    }

    /// The page's address, once it is served; `None` if the processor ended before.
    fn page(&self) -> Option<SocketAddr> {
        self.listening.recv().ok()
    }

    fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until as many records are read as were delivered, so that the last numbers are whole.
    fn catch_up(&self, delivered: u64, board: &StatusBoard) {
        let deadline = Instant::now() + CATCH_UP_MAX;
        while !self.is_over() && board.get().totals.consumed < delivered && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn finish(self) -> Result<RunSummary, DemoError> {
        self.stop.trigger();
        Ok(self.thread.join().expect("a panic ends the process before it can be joined")?)
    }
}

/// The shoppers on a thread of their own.
struct Shoppers {
    thread: JoinHandle<Result<producer::Summary, producer::Error>>,
    stop: producer::Shutdown,
}

impl Shoppers {
    fn start(plan: &Plan, kafka: &EmbeddedKafka) -> Result<Self, DemoError> {
        let topic = plan.settings.inputs[0].topic.clone();
        let output = producer::KafkaSettings {
            topic,
            create_partitions: None,
            flush_timeout: CATCH_UP_MAX,
            properties: BTreeMap::from([("linger.ms".to_owned(), LINGER_MS.to_owned())]),
            ..producer::KafkaSettings::new(kafka.address())
        };
        let options = Options {
            shoppers: plan.shoppers.clone(),
            disorder: plan.disorder,
            profile: Profile::steady(plan.rate),
            ..Options::new(plan.rate, Output::Kafka(output))
        };
        let stop = producer::Shutdown::new();
        let until = stop.clone();
        let thread = thread::Builder::new()
            .name("shoppers".to_owned())
            .spawn(move || producer::run(&options, &until, &Incidents::new(), |_| ()))
            .map_err(DemoError::Thread)?;
        Ok(Self { thread, stop })
    }

    fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    fn finish(self) -> Result<producer::Summary, DemoError> {
        self.stop.request();
        Ok(self.thread.join().expect("a panic ends the process before it can be joined")?)
    }
}
