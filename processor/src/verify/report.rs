//! What was compared, and what came of it.

use std::collections::BTreeMap;

use serde::Serialize;

/// A kind of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It should be there and is not.
    Missing,
    /// It is there with other values.
    Different,
    /// It is there and should not be.
    Unexpected,
    /// It is there more than once.
    Doubled,
}

impl Kind {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Different => "different",
            Self::Unexpected => "unexpected",
            Self::Doubled => "doubled",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its kind.
    pub kind: Kind,
    /// The bucket or topic.
    pub place: String,
    /// Which point or record.
    pub what: String,
    /// What the topics say.
    pub expected: Option<String>,
    /// What is there.
    pub found: Option<String>,
    /// Where the input records lie.
    pub records: Option<String>,
}

/// The sums of one measurement in one bucket, or of one topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Points or records looked at, there or not.
    pub compared: u64,
    /// As they should be.
    pub equal: u64,
    /// See [`Kind::Missing`].
    pub missing: u64,
    /// See [`Kind::Different`].
    pub different: u64,
    /// See [`Kind::Unexpected`].
    pub unexpected: u64,
    /// See [`Kind::Doubled`].
    pub doubled: u64,
    /// Not comparable one by one; see [`Report::notes`].
    pub skipped: u64,
}

impl Row {
    /// Everything that is not as it should be.
    #[must_use]
    pub const fn differences(&self) -> u64 {
        self.missing + self.different + self.unexpected + self.doubled
    }
}

/// What became of the input's records up to the committed offsets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// Read.
    pub read: u64,
    /// Counted in a window.
    pub counted: u64,
    /// Dropped as repeats.
    pub duplicates: u64,
    /// Late by the log alone.
    pub late: u64,
    /// Late as the wall clock had closed a window of a quiet partition.
    pub late_by_the_wall_clock: u64,
    /// Not events.
    pub rejected: u64,
}

/// Everything found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By place (an index of `places`) and measurement.
    pub rows: BTreeMap<(usize, &'static str), Row>,
    /// Names of buckets and topics.
    pub places: Vec<String>,
    /// The first differences of each kind.
    pub examples: Vec<Example>,
    /// Most examples of a kind.
    pub examples_max: usize,
    /// What became of the records.
    pub records: Records,
    /// What to know beside the sums.
    pub notes: Vec<String>,
}

impl Report {
    /// An empty one, for these buckets and topics.
    #[must_use]
    pub fn new(places: Vec<String>, examples_max: usize) -> Self {
        Self { places, examples_max, ..Self::default() }
    }

    /// One more that is as it should be.
    pub fn equal(&mut self, place: usize, what: &'static str) {
        let row = self.row(place, what);
        row.compared += 1;
        row.equal += 1;
    }

    /// One more that is not; `example` is asked only while examples of this kind are wanted.
    pub fn differs(
        &mut self,
        place: usize,
        what: &'static str,
        kind: Kind,
        example: impl FnOnce() -> (String, Option<String>, Option<String>, Option<String>),
    ) {
        let row = self.row(place, what);
        row.compared += 1;
        match kind {
            Kind::Missing => row.missing += 1,
            Kind::Different => row.different += 1,
            Kind::Unexpected => row.unexpected += 1,
            Kind::Doubled => row.doubled += 1,
        }
        if self.examples.iter().filter(|example| example.kind == kind).count() < self.examples_max {
            let (what, expected, found, records) = example();
            let place = self.places[place].clone();
            self.examples.push(Example { kind, place, what, expected, found, records });
        }
    }

    /// `count` more that cannot be compared.
    pub fn skipped(&mut self, place: usize, what: &'static str, count: u64) {
        self.row(place, what).skipped += count;
    }

    /// All differences.
    #[must_use]
    pub fn differences(&self) -> u64 {
        self.rows.values().map(Row::differences).sum()
    }

    /// Everything compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.rows.values().map(|row| row.compared).sum()
    }

    fn row(&mut self, place: usize, what: &'static str) -> &mut Row {
        self.rows.entry((place, what)).or_default()
    }
}
