use events::{Decoder, DecoderOptions};

use crate::point::Resolution;

/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// What the numbers mean. Durations are microseconds; [`Options::validate`] says what fits together.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Length of a raw window: at least 1 s, divides 1 min.
    pub window_size: i64,
    /// How long past its end a window takes events.
    pub allowed_lateness: i64,
    /// How far event times may run behind the greatest one seen.
    pub out_of_orderness: i64,
    /// How far an event time may lie after Kafka's timestamp; `None`: any distance.
    pub max_future_skew: Option<i64>,
    /// How often changed raw windows are sent on; minutes go ten times, hours sixty times less often.
    pub emit_every: i64,
    /// How long nothing must have counted of a caught-up input before the wall clock moves its watermark.
    pub idle_after: i64,
    /// Span of event time within which an `event_id` counts once.
    pub dedup_window: i64,
    /// How far back a checkout looks for its first click.
    pub attribution_lookback: i64,
    /// Whether ids in paths become `:id`.
    pub template_routes: bool,
    /// Routes kept apart; later ones are `__other__`.
    pub routes_max: usize,
    /// URLs kept apart per task; later ones are `__other__`.
    pub urls_max: usize,
    /// Campaigns kept apart; later ones are `__other__`.
    pub campaigns_max: usize,
    /// Currencies kept apart per task; later ones are `__other__`.
    pub currencies_max: usize,
    /// What the amounts are in that name no currency.
    pub default_currency: String,
    /// Clicks kept per user for attribution; the oldest goes first.
    pub clicks_per_user_max: usize,
    /// What a task keeps at most of everything else.
    pub limits: Limits,
    /// The inputs that are keyed by user, in configuration order (which breaks ties of event time).
    pub inputs: Vec<InputOptions>,
    /// The inputs that are not; they are a task's last input.
    pub rekeyed: Option<Rekeyed>,
}

/// What one task keeps at most of what grows with its users and traffic, so that its memory is bounded whatever comes.
///
/// Counts and not bytes, and of a task and not of a process: what is beyond a limit is then a function of the log. Texts
/// count in bytes, too: beyond [`Limits::TEXT_BYTES`] each on average there is no room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Users told apart; later ones are `__other__`, whose clicks are not kept.
    pub users: usize,
    /// Products told apart; clicks on later ones are not kept.
    pub products: usize,
    /// Event ids kept, over all inputs; the oldest are forgotten first, at most a quarter at once.
    pub event_ids: usize,
    /// Orders and lines of orders kept, by their checkout ids; likewise.
    pub checkout_ids: usize,
    /// Clicks kept over all users; the oldest are dropped first, an eighth at once.
    pub clicks: usize,
    /// Clicks and checkouts that wait for the watermark; beyond it the earliest second is decided before its time.
    pub waiting_facts: usize,
}

impl Limits {
    /// Bytes that the name of a user or product may have on average; a URL twice as many.
    pub const TEXT_BYTES: usize = 64;
}

/// What is enough for a million users of one task; the shell derives less from its memory budget.
impl Default for Limits {
    fn default() -> Self {
        Self {
            users: 4_000_000,
            products: 1_000_000,
            event_ids: 64_000_000,
            checkout_ids: 8_000_000,
            clicks: 16_000_000,
            waiting_facts: 4_000_000,
        }
    }
}

/// Inputs that are not keyed by user, or not co-partitioned, and the topic that they go through.
#[derive(Debug, Clone, PartialEq)]
pub struct Rekeyed {
    /// The by-user topic; it has a partition per task.
    pub topic: String,
    /// The inputs, at least one, in configuration order.
    pub inputs: Vec<InputOptions>,
    /// The number of partitions of each of them: event time begins when all of these have been heard of.
    pub partitions: Vec<u32>,
    /// Tells apart what relays of different groups write to the topic: [`Rekeyed::origin_of`].
    pub origin: u64,
}

impl Rekeyed {
    /// The origin of a group's records. Of the group alone: what was re-keyed counts under changed settings, too.
    #[must_use]
    pub fn origin_of(group: &str) -> u64 {
        crate::hash::fingerprint(group.as_bytes())
    }
}

/// How one input's records are read.
#[derive(Debug, Clone, PartialEq)]
pub struct InputOptions {
    /// The topic: for dead letters.
    pub topic: String,
    /// What its records mean.
    pub decoder: DecoderOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window_size: 10 * SECOND,
            allowed_lateness: MINUTE,
            out_of_orderness: 5 * SECOND,
            max_future_skew: Some(MINUTE),
            emit_every: SECOND,
            idle_after: 10 * SECOND,
            dedup_window: 10 * MINUTE,
            attribution_lookback: HOUR,
            template_routes: true,
            routes_max: 500,
            urls_max: 50_000,
            campaigns_max: 100,
            currencies_max: 20,
            default_currency: "none".to_owned(),
            clicks_per_user_max: 10_000,
            limits: Limits::default(),
            inputs: vec![InputOptions {
                topic: "clickstream_events".to_owned(),
                decoder: DecoderOptions::default(),
            }],
            rekeyed: None,
        }
    }
}

impl InputOptions {
    /// A decoder for its records.
    pub(crate) fn decoder(&self) -> Result<Decoder, OptionsError> {
        Decoder::new(&self.decoder)
            .map_err(|source| OptionsError::Decoder { topic: self.topic.clone(), source })
    }
}

/// Options that contradict each other or the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Rollups need whole windows per minute.
    #[error("the window size must be at least 1 s and divide 1 min")]
    WindowSize,
    /// A span is negative, or longer than state can be kept for.
    #[error("{0} must lie between 0 and 24 h")]
    Span(&'static str),
    /// A limit of nothing keeps nothing.
    #[error("the limit of {0} must be at least 1")]
    Limit(&'static str),
    /// There is nothing to read.
    #[error("there is no input")]
    NoInput,
    /// An input's field mapping is wrong.
    #[error("input {topic}")]
    Decoder {
        /// The input's topic.
        topic: String,
        /// What is wrong with it.
        #[source]
        source: events::OptionsError,
    },
}

impl Options {
    /// Checks the bounds given at each field.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn validate(&self) -> Result<(), OptionsError> {
        if self.window_size < SECOND || MINUTE % self.window_size != 0 {
            return Err(OptionsError::WindowSize);
        }
        let spans = [
            ("allowed_lateness", self.allowed_lateness),
            ("out_of_orderness", self.out_of_orderness),
            ("max_future_skew", self.max_future_skew.unwrap_or(0)),
            ("emit_every", self.emit_every),
            ("idle_after", self.idle_after),
            ("dedup_window", self.dedup_window),
            ("attribution_lookback", self.attribution_lookback),
        ];
        if let Some((name, _)) = spans.iter().find(|(_, span)| !(0..=24 * HOUR).contains(span)) {
            return Err(OptionsError::Span(name));
        }
        let Limits { users, products, event_ids, checkout_ids, clicks, waiting_facts } = self.limits;
        let limits = [
            ("users", users),
            ("products", products),
            ("event_ids", event_ids),
            ("checkout_ids", checkout_ids),
            ("clicks", clicks),
            ("waiting_facts", waiting_facts),
        ];
        if let Some((name, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
            return Err(OptionsError::Limit(name));
        }
        if self.configured().next().is_none() {
            return Err(OptionsError::NoInput);
        }
        Ok(())
    }

    /// Tells apart partials that must not be added up: those of another group, or of windows that mean another span.
    ///
    /// The same over versions of this program, as partials of both sides of an upgrade belong together.
    /// An input that is re-keyed counts as another: a task then has other users' events of it.
    #[must_use]
    pub fn origin(&self, group: &str) -> u64 {
        let keyed = self.inputs.iter().map(|input| input.topic.clone());
        let rekeyed = self.rekeyed.iter().flat_map(|rekeyed| &rekeyed.inputs);
        let inputs: Vec<String> = keyed.chain(rekeyed.map(|input| format!("{}~", input.topic))).collect();
        let meaning =
            format!("{group}\n{}\n{}\n{}", inputs.join(","), self.window_size, self.allowed_lateness);
        crate::hash::fingerprint(meaning.as_bytes())
    }

    /// Every input that is configured: the keyed ones, then the others. Dead letters and late records name theirs by
    /// its place here.
    pub fn configured(&self) -> impl Iterator<Item = &InputOptions> {
        self.inputs.iter().chain(self.rekeyed.iter().flat_map(|rekeyed| &rekeyed.inputs))
    }

    /// The topics that tasks read, in the order of their inputs.
    pub fn task_topics(&self) -> impl Iterator<Item = &str> {
        let keyed = self.inputs.iter().map(|input| input.topic.as_str());
        keyed.chain(self.rekeyed.iter().map(|rekeyed| rekeyed.topic.as_str()))
    }

    /// # Panics
    /// Where every input is keyed.
    pub(crate) fn rekeyed(&self) -> &Rekeyed {
        self.rekeyed.as_ref().expect("there are inputs to re-key")
    }

    /// Length of a window of this resolution.
    pub(crate) fn size_of(&self, resolution: Resolution) -> i64 {
        match resolution {
            Resolution::Raw => self.window_size,
            Resolution::Minute => MINUTE,
            Resolution::Hour => HOUR,
        }
    }

    /// How long after its last request a URL or series may still be needed: an hour window, its lateness, and the hour
    /// after that in which zeros are written.
    pub(crate) fn retention(&self) -> i64 {
        HOUR + self.lookback()
    }

    /// How many of the event ids one input keeps.
    pub(crate) fn event_ids_of_an_input(&self) -> usize {
        self.limits.event_ids / self.configured().count().max(1)
    }

    /// How much event time a restart may have to read again: an open hour, or what keyed state looks back.
    #[must_use]
    pub fn replay_span(&self) -> i64 {
        HOUR + self.lookback()
    }

    /// How far behind the watermark events may still matter to open state, in microseconds: what a restart reads again.
    #[must_use]
    pub fn lookback(&self) -> i64 {
        let keyed = self.attribution_lookback.max(self.dedup_window).max(HOUR);
        keyed + self.allowed_lateness + self.out_of_orderness + self.window_size
    }
}
