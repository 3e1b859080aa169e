//! Records set aside by the processor: what `<input>.dlq` and `<input>.late` hold, by the position they came from.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::report::{Kind, Report};
use super::rules::Rules;

/// An input (by its number), a partition and an offset.
pub type Position = (u16, i32, i64);

/// What a copy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its header `reason`.
    pub reason: Box<str>,
    /// Its header `detail`.
    pub detail: Box<str>,
    /// Of key and value, by [`bytes_of`].
    pub bytes: u64,
    /// Not all of the record is there, and the copy says so.
    pub in_part: bool,
    /// Its own Kafka timestamp, microseconds: when the processor set the record aside.
    pub written: i64,
}

/// Key and value as one number.
#[must_use]
pub fn bytes_of(key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, value).hash(&mut hasher);
    hasher.finish()
}

#[derive(Debug)]
struct Kept {
    copied: Copied,
    copies: u32,
    asked: bool,
}

/// The copies of one of the two kinds, of all inputs.
#[derive(Debug, Default)]
pub struct Aside {
    kept: HashMap<Position, Kept>,
    /// Repeats in excess of one per record.
    pub repeats: u64,
    /// What the topics hold that came from elsewhere.
    pub foreign: u64,
    /// Kafka timestamp, in microseconds, before which copies may have been dropped by retention.
    pub kept_from: Option<i64>,
}

impl Aside {
    /// Takes a copy from the topic.
    pub fn add(&mut self, from: Position, copied: Copied) {
        let kept = self.kept.entry(from).or_insert(Kept { copied, copies: 0, asked: false });
        self.repeats += u64::from(kept.copies > 0);
        kept.copies += 1;
    }

    /// How many records have a copy.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn has(&self, position: Position) -> Option<&Copied> {
        self.kept.get(&position).map(|kept| &kept.copied)
    }

    /// What there was to say about this copy has been said.
    pub(super) fn forgive(&mut self, position: Position) {
        if let Some(kept) = self.kept.get_mut(&position) {
            kept.asked = true;
        }
    }

    /// The record there was set aside by the log: compares the copy with what it should be.
    pub(super) fn expect(
        &mut self,
        position: Position,
        timestamp: i64,
        expected: &Copied,
        row: (usize, &'static str),
        topic: &str,
        report: &mut Report,
    ) {
        let what = || format!("the copy of {}", at(topic, position));
        let records = || Some(at(topic, position));
        match self.kept.get_mut(&position) {
            None if self.kept_from.is_some_and(|from| timestamp < from) => report.skipped(row.0, row.1, 1),
            None => report.differs(row.0, row.1, Kind::Missing, || {
                (what(), Some(expected.reason.to_string()), None, records())
            }),
            Some(kept) => {
                kept.asked = true;
                let same = kept.copied.reason == expected.reason
                    && (kept.copied.in_part || kept.copied.bytes == expected.bytes);
                if same {
                    return report.equal(row.0, row.1);
                }
                let bytes = if kept.copied.bytes == expected.bytes { "" } else { ", other bytes" };
                let found = format!("{}{bytes}", kept.copied.reason);
                report.differs(row.0, row.1, Kind::Different, || {
                    (what(), Some(expected.reason.to_string()), Some(found), records())
                });
            }
        }
    }

    /// The copies that no record asked for, among those with a position that was read, and in `exactly_once` the
    /// repeated ones.
    pub(super) fn rest(
        &self,
        was_read: impl Fn(Position) -> bool,
        exactly_once: bool,
        row: impl Fn(u16) -> (usize, &'static str),
        topic: impl Fn(u16) -> String,
        report: &mut Report,
    ) {
        let mut rest: Vec<_> = self.kept.iter().filter(|(position, _)| was_read(**position)).collect();
        rest.retain(|(_, kept)| !kept.asked || (exactly_once && kept.copies > 1));
        rest.sort_unstable_by_key(|(position, _)| **position);
        for (position, kept) in rest {
            let (place, name) = row(position.0);
            let at = at(&topic(position.0), *position);
            let (what, found) = (format!("a copy of {at}"), kept.copied.reason.to_string());
            if !kept.asked {
                let found = Some(format!("{found}: {}", kept.copied.detail));
                report.differs(place, name, Kind::Unexpected, || (what, None, found, Some(at)));
            } else {
                let found = Some(format!("{} copies", kept.copies));
                report
                    .differs(place, name, Kind::Doubled, || (what, Some("one".to_owned()), found, Some(at)));
            }
        }
    }
}

/// `topic[partition]@offset`.
pub(super) fn at(topic: &str, (_, partition, offset): Position) -> String {
    format!("{topic}[{partition}]@{offset}")
}

/// The watermark that a late record names in its detail, to the millisecond below: how long its window was closed.
pub(super) fn named_watermark(detail: &str, time: i64, rules: &Rules) -> Option<i64> {
    let (seconds, millis) = detail.split_once(" s after")?.0.split_once('.')?;
    let by = seconds.parse::<i64>().ok()?.checked_mul(1_000)?.checked_add(millis.parse::<i64>().ok()?)?;
    rules.closes(time).checked_add(by.checked_mul(1_000)?)
}
