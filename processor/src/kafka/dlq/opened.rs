//! What a dead letter says: which of its headers are ours, and which its record's own.

use super::header;
use crate::kafka::Header;
use crate::kafka::tail::Record;

/// A dead letter, read.
pub(super) struct Opened<'r> {
    /// The record's own headers, in order.
    pub(super) theirs: Vec<Header<'r>>,
    ours: Vec<Header<'r>>,
    /// What a replay said of it, before it was refused again.
    replay: Vec<Header<'r>>,
}

/// Where a record came from, and how often it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Where it was refused first.
    pub(super) first: (i32, i64),
    /// How many times it was replayed before.
    pub(super) replays: u32,
}

/// Headers of a replay, behind its mark.
const OF_A_REPLAY: usize = 4;

impl<'r> Opened<'r> {
    pub(super) fn of(record: &'r Record) -> Self {
        let all: Vec<Header<'r>> =
            record.headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
        let Some(at) = last_mark(&all, header::LETTER) else {
            // Of a version that set no mark, and kept none of theirs; `replay` of it left one of ours on the record.
            let (ours, theirs) = all.into_iter().partition(|(name, _)| was_ours(name));
            return Self { theirs, ours, replay: Vec::new() };
        };
        let (mut theirs, ours) = (all[..at].to_vec(), all[at + 1..].to_vec());
        let replay = match last_mark(&theirs, header::REPLAY) {
            Some(at) => theirs.drain(at..(at + 1 + OF_A_REPLAY).min(theirs.len())).collect(),
            None => Vec::new(),
        };
        Self { theirs, ours, replay }
    }

    pub(super) fn reason(&self) -> &'r str {
        text(&self.ours, header::REASON).unwrap_or("unknown")
    }

    /// The topic it says it was read from.
    pub(super) fn topic(&self) -> Option<&'r str> {
        text(&self.ours, header::TOPIC)
    }

    pub(super) fn partition(&self) -> Option<i32> {
        number(&self.ours, header::PARTITION)
    }

    /// Whether something of the record is missing.
    pub(super) fn is_in_part(&self) -> bool {
        text(&self.ours, header::TRUNCATED).is_some()
    }

    /// Whether the record had been replayed before it was refused.
    pub(super) fn was_replayed(&self) -> bool {
        !self.replay.is_empty()
    }

    /// `None` where it does not say.
    pub(super) fn origin(&self) -> Option<Origin> {
        let partition = self.partition().filter(|partition| *partition >= 0)?;
        let offset = number(&self.ours, header::OFFSET)?;
        let of_replay = |name| number::<i64>(&self.replay, name);
        let first = of_replay(header::FIRST_PARTITION).zip(of_replay(header::FIRST_OFFSET));
        let first = first.and_then(|(partition, offset)| Some((i32::try_from(partition).ok()?, offset)));
        let replays = number(&self.replay, header::REPLAYS).unwrap_or(0);
        Some(Origin { partition, offset, first: first.unwrap_or((partition, offset)), replays })
    }
}

/// Where ours begin.
fn last_mark(headers: &[Header<'_>], what: &str) -> Option<usize> {
    let mark: Header<'_> = (header::MARK.as_bytes(), Some(what.as_bytes()));
    headers.iter().rposition(|header| *header == mark)
}

fn text<'r>(headers: &[Header<'r>], name: &str) -> Option<&'r str> {
    let (_, value) = headers.iter().rev().find(|(found, _)| *found == name.as_bytes())?;
    std::str::from_utf8((*value)?).ok()
}

fn number<T: std::str::FromStr>(headers: &[Header<'_>], name: &str) -> Option<T> {
    text(headers, name)?.parse().ok()
}

fn was_ours(name: &[u8]) -> bool {
    use header::{DETAIL, OFFSET, PARTITION, REASON, REPLAYED_FROM, TOPIC};
    [REASON, DETAIL, TOPIC, PARTITION, OFFSET, REPLAYED_FROM].iter().any(|ours| ours.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: &[(&str, Option<&str>)]) -> Record {
        let owned = |(name, value): &(&str, Option<&str>)| {
            (name.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()))
        };
        let headers = headers.iter().map(owned).collect();
        Record { partition: 0, offset: 0, timestamp_ms: None, key: None, payload: None, headers }
    }

    const LETTER: [(&str, Option<&str>); 6] = [
        ("clickpulse", Some("letter")),
        ("reason", Some("not_json")),
        ("detail", Some("line 1")),
        ("topic", Some("clicks")),
        ("partition", Some("3")),
        ("offset", Some("41")),
    ];

    #[test]
    fn what_is_before_the_mark_is_theirs_whatever_its_name() {
        let theirs =
            [("reason", Some("mine")), ("truncated", Some("no")), ("clickpulse", None), ("reason", None)];
        let record = record(&[&theirs[..], &LETTER].concat());
        let opened = Opened::of(&record);
        let found: Vec<_> = opened.theirs.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
        assert_eq!(found, ["reason", "truncated", "clickpulse", "reason"]);
        assert_eq!(
            (opened.reason(), opened.topic(), opened.is_in_part()),
            ("not_json", Some("clicks"), false)
        );
        let origin = Origin { partition: 3, offset: 41, first: (3, 41), replays: 0 };
        assert_eq!((opened.origin(), opened.was_replayed()), (Some(origin), false));
    }

    #[test]
    fn a_letter_that_was_replayed_leads_to_its_first() {
        let replay = [
            ("trace", Some("t")),
            ("clickpulse", Some("replay")),
            ("replayed-from", Some("clicks.dlq/0/7")),
            ("first_partition", Some("3")),
            ("first_offset", Some("5")),
            ("replays", Some("2")),
        ];
        let record = record(&[&replay[..], &LETTER].concat());
        let opened = Opened::of(&record);
        assert_eq!(opened.theirs, [(&b"trace"[..], Some(&b"t"[..]))], "what was ours is not kept");
        let origin = Origin { partition: 3, offset: 41, first: (3, 5), replays: 2 };
        assert_eq!((opened.origin(), opened.was_replayed()), (Some(origin), true));
    }

    #[test]
    fn a_letter_of_a_version_without_marks_is_read_by_names() {
        let record =
            record(&[&LETTER[1..], &[("replayed-from", Some("clicks.dlq/0/7")), ("trace", None)]].concat());
        let opened = Opened::of(&record);
        assert_eq!((opened.reason(), opened.theirs.len()), ("not_json", 1));
        assert_eq!(opened.origin().map(|origin| origin.offset), Some(41));
        let anything = self::record(&[("reason", Some("not_json"))]);
        assert_eq!(Opened::of(&anything).origin(), None);
    }
}
