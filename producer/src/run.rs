//! One run: stream, pace and sender put together, until it is over or told to end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use events::Timestamp;
use governor::clock::DefaultClock;

use crate::batch::Batch;
use crate::disorder::Disorder;
use crate::error::Error;
use crate::incidents::{self, Incidents};
use crate::pace::Pace;
use crate::profile::Profile;
use crate::rates::Rates;
use crate::sender::{Deliveries, KafkaSender, KafkaSettings, LineSender};
use crate::shoppers::{ShopperSettings, TIMES};
use crate::stream::Stream;
use crate::tally::Tally;
use crate::truth::{Observer, TruthSettings};

/// What a run does.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who shops.
    pub shoppers: ShopperSettings,
    /// How untidy the records are.
    pub disorder: Disorder,
    /// How many records per second.
    pub profile: Profile,
    /// Ends after exactly this many records.
    pub count: Option<u64>,
    /// Ends after this time.
    pub duration: Option<Duration>,
    /// The first event's time; the others follow at the profile's rate, whatever the clock says, so that the same
    /// seed gives the same bytes. `None`: event time is the moment of sending.
    pub start_time: Option<Timestamp>,
    /// Whether to send at the rate, rather than as fast as possible (with event times as if at the rate).
    pub paced: bool,
    /// Where the records go.
    pub output: Output,
    /// Where to write what an all-knowing observer would expect, and the window size it expects it for.
    pub truth: Option<(PathBuf, Duration)>,
}

impl Options {
    /// A steady rate to `output` until told to end, and the default for everything else.
    #[must_use]
    pub fn new(rate: f64, output: Output) -> Self {
        Self {
            shoppers: ShopperSettings::default(),
            disorder: Disorder::default(),
            profile: Profile::steady(rate),
            count: None,
            duration: None,
            start_time: None,
            paced: true,
            output,
            truth: None,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let fault = |setting, problem: &str| Err(Error::Setting { setting, problem: problem.to_owned() });
        let share = |share: f64| (0.0..=1.0).contains(&share);
        let Disorder { out_of_order, late, duplicates, invalid, .. } = self.disorder;
        if !(self.profile.rate > 0.0 && self.profile.rate <= 1e9) {
            return fault("--rate", "give records per second, more than 0 and at most a billion");
        }
        if self.profile.period.is_zero() {
            return fault("--period", "a period takes some time");
        }
        if self.shoppers.users == 0 {
            return fault("--users", "there must be at least one");
        }
        if self.shoppers.products == 0 {
            return fault("--products", "there must be at least one");
        }
        if !share(self.shoppers.error_rate) {
            return fault("--error-rate", "give a share between 0 and 1");
        }
        for (setting, value) in [
            ("--out-of-order", out_of_order),
            ("--late", late),
            ("--duplicates", duplicates),
            ("--invalid", invalid),
        ] {
            if !share(value) {
                return fault(setting, "give a share between 0 and 1");
            }
        }
        if late + out_of_order > 0.9 || late + out_of_order + duplicates + invalid > 1.0 {
            return fault(
                "--late",
                "with --out-of-order at most 0.9, and with --duplicates and --invalid at most 1",
            );
        }
        let windows = self.truth.as_ref().map(|(_, window)| *window);
        if windows.is_some_and(|window| window < Duration::from_millis(1)) {
            return fault("--window", "a window has at least a millisecond");
        }
        if !self.paced && self.count.is_none() && self.duration.is_none() {
            return fault("--unpaced", "say when it ends: --count or --duration");
        }
        let times = TIMES.start + 86_400_000_000..TIMES.end - 366 * 86_400_000_000;
        if self.start_time.is_some_and(|start| !times.contains(&start.micros())) {
            return fault("--start-time", "give a moment between 2001-09-10 and 2285");
        }
        Ok(())
    }
}

/// Where records go.
#[derive(Debug, Clone)]
pub enum Output {
    /// To a Kafka topic.
    Kafka(KafkaSettings),
    /// Each value as a line to standard output.
    Stdout,
}

/// Ends a run from another thread; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<AtomicBool>);

impl Shutdown {
    /// Not yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the run: nothing new is sent, what is on its way arrives.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run is to end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a run is going; given to the caller once a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Since the start.
    pub elapsed: Duration,
    /// Records per second asked for at this moment; `None` where nothing asks for a pace: unpaced, or with all sent.
    pub target_rate: Option<f64>,
    /// Records per second since the last report.
    pub achieved_rate: f64,
    /// What has become of the records.
    pub deliveries: Deliveries,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// How long it took, flushing included.
    pub elapsed: Duration,
    /// What became of the records; nothing is in flight any more.
    pub deliveries: Deliveries,
    /// How many of which kind were sent.
    pub tally: Tally,
    /// Why the last record failed.
    pub last_error: Option<String>,
}

impl Summary {
    /// Records per second on average.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.deliveries.sent as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Sends shoppers' events until the count or the duration is reached or `shutdown` is requested, and calls
/// `progress` once a second. Blocks; give it a thread of its own where something else goes on.
///
/// A broker that is not there is waited for. Records that cannot be delivered are counted, not an error.
///
/// # Errors
/// [`Error::Setting`] before anything is sent; [`Error::Write`] if the output or the truth file cannot be written.
pub fn run(
    options: &Options,
    shutdown: &Shutdown,
    incidents: &Incidents,
    progress: impl FnMut(&Progress),
) -> Result<Summary, Error> {
    options.check()?;
    match &options.output {
        Output::Stdout => {
            let mut out = LineSender::new(io::stdout().lock());
            Run::new(options, shutdown, incidents, progress)?.go(&mut out)
        }
        Output::Kafka(settings) => {
            let mut out = KafkaSender::new(settings)?;
            if let Some(partitions) = settings.create_partitions {
                let topics = [(settings.topic.as_str(), partitions), (incidents::TOPIC, 1)];
                out.create_topics(settings, &topics, || shutdown.is_requested());
            }
            let over = Shutdown::new();
            thread::scope(|scope| {
                if settings.follow_incidents {
                    scope.spawn(|| {
                        let stop = || over.is_requested();
                        let done =
                            incidents::follow(&settings.brokers, &settings.properties, incidents, stop);
                        if let Err(error) = done {
                            tracing::warn!("incidents are not followed: {error}");
                        }
                    });
                }
                let result =
                    Run::new(options, shutdown, incidents, progress).and_then(|run| run.go(&mut out));
                over.request();
                result
            })
        }
    }
}

/// What a run needs of the place its records go to.
trait Sink {
    /// Takes the batch, and waits for room as long as `keep_waiting` says so.
    fn send(&mut self, batch: &Batch, keep_waiting: &mut dyn FnMut(Deliveries) -> bool) -> Result<(), Error>;
    fn poll(&mut self);
    fn deliveries(&self) -> Deliveries;
    fn finish(&mut self, progress: &mut dyn FnMut(Deliveries)) -> Result<(), Error>;
    fn last_error(&self) -> Option<String>;
}

impl Sink for KafkaSender {
    fn send(&mut self, batch: &Batch, keep_waiting: &mut dyn FnMut(Deliveries) -> bool) -> Result<(), Error> {
        Self::send(self, batch, keep_waiting)
    }

    fn poll(&mut self) {
        Self::poll(self);
    }

    fn deliveries(&self) -> Deliveries {
        Self::deliveries(self)
    }

    fn finish(&mut self, progress: &mut dyn FnMut(Deliveries)) -> Result<(), Error> {
        Self::finish(self, progress);
        Ok(())
    }

    fn last_error(&self) -> Option<String> {
        Self::last_error(self)
    }
}

impl<W: io::Write> Sink for LineSender<W> {
    fn send(&mut self, batch: &Batch, _: &mut dyn FnMut(Deliveries) -> bool) -> Result<(), Error> {
        Self::send(self, batch).map_err(stdout_failed)
    }

    fn poll(&mut self) {}

    fn deliveries(&self) -> Deliveries {
        Self::deliveries(self)
    }

    fn finish(&mut self, _: &mut dyn FnMut(Deliveries)) -> Result<(), Error> {
        Self::finish(self).map_err(stdout_failed)
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

fn stdout_failed(source: io::Error) -> Error {
    Error::Write { what: "standard output".to_owned(), source }
}

fn truth_failed(path: &Path, source: io::Error) -> Error {
    Error::Write { what: format!("the truth file {}", path.display()), source }
}

struct Run<'a, P> {
    options: &'a Options,
    shutdown: &'a Shutdown,
    stream: Stream,
    reports: Reports<P>,
    tally: Tally,
    observer: Option<Observer>,
}

impl<'a, P: FnMut(&Progress)> Run<'a, P> {
    fn new(
        options: &'a Options,
        shutdown: &'a Shutdown,
        incidents: &Incidents,
        progress: P,
    ) -> Result<Self, Error> {
        let Disorder { closes_after, out_of_orderness, .. } = options.disorder;
        let observer = options.truth.as_ref().map(|(path, window)| {
            // Better now than at the end: whether it can be written.
            File::create(path).map_err(|source| truth_failed(path, source))?;
            Ok(Observer::new(TruthSettings::new(*window, closes_after, out_of_orderness)))
        });
        Ok(Self {
            observer: observer.transpose()?,
            options,
            shutdown,
            stream: Stream::new(&options.shoppers, options.disorder, options.profile, incidents.clone()),
            reports: Reports::new(progress),
            tally: Tally::default(),
        })
    }

    fn go(mut self, sink: &mut impl Sink) -> Result<Summary, Error> {
        let mut batch = Batch::new();
        let pace = Pace::new(self.stream.tick_length(), DefaultClock::default());
        let begun = Instant::now();
        let start = self.options.start_time.or_else(|| self.past_start());
        let mut left = self.options.count.unwrap_or(u64::MAX);
        while left > 0 && !self.shutdown.is_requested() && !self.is_over(start.is_some(), begun) {
            if self.options.paced
                && let Err(wait) = pace.next()
            {
                thread::sleep(wait.min(Duration::from_millis(50)));
                continue;
            }
            let time =
                start.map_or_else(now, |start| start.plus_micros(self.stream.elapsed().as_micros() as i64));
            let rate = self.options.paced.then(|| self.stream.rate(time));
            batch.clear();
            self.stream.tick(time, left, &mut batch);
            left -= batch.len() as u64;
            self.send(&batch, sink, rate)?;
        }
        if self.options.count.is_none() {
            batch.clear();
            self.stream.finish(&mut batch);
            self.send(&batch, sink, None)?;
        }
        let reports = &mut self.reports;
        sink.finish(&mut |deliveries| reports.show(deliveries, None))?;
        let elapsed = begun.elapsed();
        let summary = Summary {
            elapsed,
            deliveries: sink.deliveries(),
            tally: self.tally,
            last_error: sink.last_error(),
        };
        if let (Some(observer), Some((path, _))) = (self.observer, &self.options.truth) {
            observer.conclude(&summary).write(path).map_err(|source| truth_failed(path, source))?;
        }
        Ok(summary)
    }

    /// Takes the batch to the sink; asked to shut down while there is no room, it gives up on the rest.
    fn send(&mut self, batch: &Batch, sink: &mut impl Sink, rate: Option<f64>) -> Result<(), Error> {
        self.tally.count(batch);
        if let Some(observer) = &mut self.observer {
            observer.observe_all(batch);
        }
        if !batch.is_empty() {
            let (shutdown, reports) = (self.shutdown, &mut self.reports);
            sink.send(batch, &mut |deliveries| {
                reports.show(deliveries, rate);
                !shutdown.is_requested()
            })?;
        }
        sink.poll();
        self.reports.advance(rate);
        if self.reports.is_due() {
            self.reports.show(sink.deliveries(), rate);
        }
        Ok(())
    }

    fn is_over(&self, by_event_time: bool, begun: Instant) -> bool {
        let elapsed = if by_event_time { self.stream.elapsed() } else { begun.elapsed() };
        self.options.duration.is_some_and(|duration| elapsed >= duration)
    }

    /// A run that does not keep pace covers a stretch of event time that ends about now.
    fn past_start(&self) -> Option<Timestamp> {
        if self.options.paced {
            return None;
        }
        let by_count = self.options.count.map(|count| count as f64 / self.options.profile.rate);
        let seconds =
            by_count.into_iter().chain(self.options.duration.map(|d| d.as_secs_f64())).reduce(f64::min);
        Some(now().plus_micros((-1e6 * seconds.unwrap_or(0.0)) as i64))
    }
}

/// Reports progress once a second, and says when the rate is missed.
struct Reports<P> {
    progress: P,
    begun: Instant,
    rates: Rates,
}

impl<P: FnMut(&Progress)> Reports<P> {
    fn new(progress: P) -> Self {
        Self { progress, begun: Instant::now(), rates: Rates::default() }
    }

    fn advance(&mut self, target_rate: Option<f64>) {
        self.rates.advance(self.begun.elapsed(), target_rate.unwrap_or(0.0));
    }

    fn is_due(&self) -> bool {
        self.rates.is_due(self.begun.elapsed())
    }

    fn show(&mut self, deliveries: Deliveries, target_rate: Option<f64>) {
        let elapsed = self.begun.elapsed();
        self.rates.advance(elapsed, target_rate.unwrap_or(0.0));
        if !self.rates.is_due(elapsed) {
            return;
        }
        let achieved_rate = self.rates.report(elapsed, deliveries.sent);
        if let Some((asked, reached)) = self.rates.shortfall() {
            tracing::warn!(
                "asked for {asked:.0} records/s, reached {reached:.0}: this machine or its broker does not do more; lower --rate"
            );
        }
        (self.progress)(&Progress { elapsed, target_rate, achieved_rate, deliveries });
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
