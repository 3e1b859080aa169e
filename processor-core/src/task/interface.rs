//! What goes into a task and what comes out.

use events::{EventType, Field, Notes, Reason, Timestamp};

use crate::headers::Headers;

/// One record as read from Kafka, in offset order within its input.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// The broker's or producer's timestamp, milliseconds.
    pub timestamp_ms: i64,
    /// The key, where there is one.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Which task this is among which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskIdentity {
    /// The partition number.
    pub partition: u32,
    /// How many partition numbers there are.
    pub tasks: u32,
    /// Partitions of the partials topic.
    pub merge_partitions: u32,
    /// Tells apart the partials of different groups and settings.
    pub origin: u64,
}

/// The conservation law's terms since the task began: `consumed = counted + duplicates + late + rejected`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskTotals {
    /// Records read, replayed ones not included.
    pub consumed: u64,
    /// Counted in a window.
    pub counted: u64,
    /// Repeats.
    pub duplicates: u64,
    /// Too late for their window.
    pub late: u64,
    /// Not events.
    pub rejected: u64,
    /// Of the counted: behind the watermark, so of no use for facts.
    pub behind_watermark: u64,
    /// Uncounted records by reason, in the order of `Reason::ALL`.
    pub rejected_by_reason: [u64; Reason::ALL.len()],
    /// Lines of an order that were seen before, so counted as events but not as checkouts again.
    pub repeated_checkouts: u64,
    /// Clicks dropped as a user had too many.
    pub clicks_dropped: u64,
    /// What limits took.
    pub beyond: Beyond,
}

/// What there was to be said of counted events since the task began, replayed ones not included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteTotals {
    incomplete: [[u64; Field::COUNT]; EventType::ALL.len()],
    unusable: [u64; Field::COUNT],
}

impl Default for NoteTotals {
    fn default() -> Self {
        Self { incomplete: [[0; Field::COUNT]; EventType::ALL.len()], unusable: [0; Field::COUNT] }
    }
}

impl NoteTotals {
    /// Notes one event.
    pub fn add(&mut self, kind: EventType, notes: Notes) {
        for field in notes.incomplete.iter() {
            self.incomplete[kind as usize][field as usize] += 1;
        }
        for field in notes.unusable.iter() {
            self.unusable[field as usize] += 1;
        }
    }

    /// Adds what `now` has more than `before`.
    pub fn add_difference(&mut self, now: &Self, before: &Self) {
        let now = now.incomplete.as_flattened().iter().chain(&now.unusable);
        let before = before.incomplete.as_flattened().iter().chain(&before.unusable);
        let sums = self.incomplete.as_flattened_mut().iter_mut().chain(&mut self.unusable);
        for (sum, (now, before)) in sums.zip(now.zip(before)) {
            *sum += now - before;
        }
    }

    /// Events of a type that lacked a field which an analytic needs, where there are any; by type, then field.
    pub fn incomplete(&self) -> impl Iterator<Item = (EventType, Field, u64)> + '_ {
        let of = |(kind, counts): (EventType, &[u64; Field::COUNT])| {
            let counts = *counts;
            Field::ALL.into_iter().zip(counts).map(move |(field, count)| (kind, field, count))
        };
        EventType::ALL.into_iter().zip(&self.incomplete).flat_map(of).filter(|(_, _, count)| *count > 0)
    }

    /// Events in which a field had a value of no use, where there are any; by field.
    pub fn unusable(&self) -> impl Iterator<Item = (Field, u64)> + '_ {
        Field::ALL.into_iter().zip(self.unusable).filter(|(_, count)| *count > 0)
    }
}

/// What was counted with less than it had, as there was no room for more, by the limit that was reached. Replayed records
/// are among it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Requests whose URL went to `__other__`.
    pub urls: u64,
    /// The same for routes.
    pub routes: u64,
    /// Requests whose method and status were counted for the route `__other__` instead of their own.
    pub series: u64,
    /// Clicks and checkouts whose campaign went to `__other__`.
    pub campaigns: u64,
    /// Checkouts whose currency went to `__other__`.
    pub currencies: u64,
    /// Events of users that went to `__other__`.
    pub users: u64,
    /// Clicks not kept, as their user or product found no room.
    pub products: u64,
    /// Event ids forgotten while a repeat of them could still come.
    pub event_ids: u64,
    /// The same for orders and their lines.
    pub checkout_ids: u64,
    /// Clicks dropped while a checkout could still credit them.
    pub clicks: u64,
    /// Clicks and checkouts decided before the watermark had passed them.
    pub early_facts: u64,
}

impl Beyond {
    /// By the name of the limit, in the order in which they should be reached: the least harmful first.
    #[must_use]
    pub fn by_limit(&self) -> [(&'static str, u64); 11] {
        let Self {
            urls,
            routes,
            series,
            campaigns,
            currencies,
            users,
            products,
            event_ids,
            checkout_ids,
            clicks,
            early_facts,
        } = *self;
        [
            ("urls", urls),
            ("series", series),
            ("routes", routes),
            ("campaigns", campaigns),
            ("currencies", currencies),
            ("clicks", clicks),
            ("products", products),
            ("early_facts", early_facts),
            ("users", users),
            ("event_ids", event_ids),
            ("checkout_ids", checkout_ids),
        ]
    }

    /// Adds what `now` has more than `before`.
    pub fn add_difference(&mut self, now: &Self, before: &Self) {
        self.urls += now.urls - before.urls;
        self.routes += now.routes - before.routes;
        self.series += now.series - before.series;
        self.campaigns += now.campaigns - before.campaigns;
        self.currencies += now.currencies - before.currencies;
        self.users += now.users - before.users;
        self.products += now.products - before.products;
        self.event_ids += now.event_ids - before.event_ids;
        self.checkout_ids += now.checkout_ids - before.checkout_ids;
        self.clicks += now.clicks - before.clicks;
        self.early_facts += now.early_facts - before.early_facts;
    }
}

/// A task's size and position, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskReport {
    /// Event time is complete up to here; `None` before the first event.
    pub watermark: Option<Timestamp>,
    /// Whether every input is idle.
    pub idle: bool,
    /// Records still to replay.
    pub replay_left: i64,
    /// Open windows.
    pub open_windows: usize,
    /// Users with state.
    pub users: usize,
    /// Routes known.
    pub routes: usize,
    /// Clicks kept for attribution.
    pub clicks: usize,
    /// Ids kept for deduplication.
    pub dedup_ids: usize,
    /// Events waiting for the watermark.
    pub reordering: usize,
    /// Moves of a watermark by the wall clock that decided something and that a replay would repeat.
    pub jumps: usize,
    /// Such moves for which there was no room in a commit: what was late for them alone may be counted by a replay.
    pub jumps_forgotten: u64,
    /// Windows that closed and were not handed out, as reading began in the middle of them.
    pub withheld: u64,
    /// Estimated bytes of state.
    pub state_bytes: usize,
}

/// One input's share of a [`TaskReport`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputReport {
    /// Of this input alone; `None` before its first event.
    pub watermark: Option<Timestamp>,
    /// Wall clock of the last event that counted, or of the assignment.
    pub active_at: Timestamp,
    /// Wall clock since when it is idle.
    pub idle_since: Option<Timestamp>,
    /// The next offset to read.
    pub next_offset: i64,
    /// Where the replay ends, while it lasts.
    pub replay_until: Option<i64>,
}

/// What a task wants done. Order within a list is the order of its causes.
#[derive(Debug, Default)]
pub struct TaskOutputs {
    /// For the partials topic.
    pub partials: Vec<PartialRecord>,
    /// For the dead-letter topics.
    pub dead_letters: Vec<DeadLetter>,
    /// For the late topics.
    pub late: Vec<LateRecord>,
}

impl TaskOutputs {
    /// Nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partials.is_empty() && self.dead_letters.is_empty() && self.late.is_empty()
    }

    /// Bytes of the values in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes_since(OutputsLen::default())
    }

    /// How many of each there are.
    #[must_use]
    pub fn lengths(&self) -> OutputsLen {
        OutputsLen {
            partials: self.partials.len(),
            dead_letters: self.dead_letters.len(),
            late: self.late.len(),
        }
    }

    /// Bytes of the values that came after there were so many.
    #[must_use]
    pub fn bytes_since(&self, len: OutputsLen) -> usize {
        let value = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        let partials = self.partials[len.partials..].iter().map(|partial| partial.value.len());
        let dead_letters = self.dead_letters[len.dead_letters..].iter();
        let dead_letters = dead_letters.map(|letter| value(&letter.value) + letter.headers.bytes());
        let late = self.late[len.late..].iter().map(|late| value(&late.value) + late.headers.bytes());
        partials.chain(dead_letters).chain(late).sum()
    }
}

/// How much there is of each kind in a [`TaskOutputs`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputsLen {
    /// For the partials topic.
    pub partials: usize,
    /// For the dead-letter topics.
    pub dead_letters: usize,
    /// For the late topics.
    pub late: usize,
}

/// A record for the partials topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialRecord {
    /// The topic's partition.
    pub partition: u32,
    /// The record's value.
    pub value: Vec<u8>,
}

/// A record that is not an event, with its original bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Index of its input among [`Options::configured`](crate::Options::configured).
    pub input: usize,
    /// The partition it came from.
    pub partition: u32,
    /// Its offset.
    pub offset: i64,
    /// Why.
    pub reason: Reason,
    /// Why, for people.
    pub detail: String,
    /// The original key.
    pub key: Option<Vec<u8>>,
    /// The original value, or the first bytes of it.
    pub value: Option<Vec<u8>>,
    /// The original headers. Of a record that was not re-keyed they are left to the shell, which has them at hand.
    pub headers: Headers,
    /// Set where this is not the whole record.
    pub cut: Option<Cut>,
}

/// What is not there of a record that was too large to be re-keyed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Bytes that its value had.
    pub size: usize,
    /// Its key was left out.
    pub key: bool,
    /// Its headers were left out.
    pub headers: bool,
}

/// An event whose window was closed, with its original bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateRecord {
    /// Index of its input among [`Options::configured`](crate::Options::configured).
    pub input: usize,
    /// The partition it came from.
    pub partition: u32,
    /// Its offset.
    pub offset: i64,
    /// How far behind its window's close it came, for people.
    pub detail: String,
    /// The original key.
    pub key: Option<Vec<u8>>,
    /// The original value.
    pub value: Option<Vec<u8>>,
    /// As of a [`DeadLetter`].
    pub headers: Headers,
}
