//! A record that is set aside, as it is written: the original with headers of ours behind its own, or as much of it as
//! its topic takes.

use processor_core::{Cut, Headers};

use super::{Header, KafkaError, OutboxRecord};

/// Names of our headers. They come behind the record's own, [`header::MARK`] first: what is before that is theirs,
/// whatever its name.
pub mod header {
    /// Where ours begin: the last header of this name. Its value says what they are.
    pub const MARK: &str = "clickpulse";
    /// What could not be used: the value of [`MARK`] in a dead letter or a late record.
    pub const LETTER: &str = "letter";
    /// The value of [`MARK`] in a record that `dlq replay` sent.
    pub const REPLAY: &str = "replay";
    /// The typed reason, as in the contract: `not_json`, `missing_field`, …
    pub const REASON: &str = "reason";
    /// What exactly was wrong.
    pub const DETAIL: &str = "detail";
    /// The topic the record was read from.
    pub const TOPIC: &str = "topic";
    /// Its partition there.
    pub const PARTITION: &str = "partition";
    /// Its offset there.
    pub const OFFSET: &str = "offset";
    /// Where not everything of it is there: bytes that the value had.
    pub const SIZE: &str = "size";
    /// Where not everything of it is there: which of `value`, `key`, `headers`.
    pub const TRUNCATED: &str = "truncated";
    /// On a replayed record: `topic/partition/offset` of the dead letter, unique per letter.
    pub const REPLAYED_FROM: &str = "replayed-from";
    /// On a replayed record: the partition in which it was refused first.
    pub const FIRST_PARTITION: &str = "first_partition";
    /// On a replayed record: the offset at which it was refused first.
    pub const FIRST_OFFSET: &str = "first_offset";
    /// On a replayed record: how many times it has been sent, this one included.
    pub const REPLAYS: &str = "replays";
}

/// A record to be set aside.
pub(crate) struct Letter<'a> {
    pub(crate) reason: &'a str,
    pub(crate) detail: &'a str,
    /// Where it was read.
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a Headers,
    /// What is missing of it already.
    pub(crate) cut: Option<Cut>,
}

/// How much of a letter was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Whole,
    /// So many bytes of its value, which had `size`.
    Part {
        value: usize,
        size: usize,
    },
    /// Not even our headers fit.
    Nothing {
        size: usize,
    },
}

/// What a batch and a record cost beyond key, value and headers, at most.
pub(crate) const RECORD_OVERHEAD: usize = 61 + 36;
/// The same of a header, beyond its name and value.
pub(crate) const HEADER_OVERHEAD: usize = 10;
/// Of `size` and `truncated` with the longest values they have.
const CUT_HEADERS: usize = 2 * HEADER_OVERHEAD + 4 + 20 + 9 + 17;

/// Ours, `size` and `truncated` among them.
const OURS: usize = 8;

impl Letter<'_> {
    /// Sends it to the topic `to`, which takes records of `max` bytes.
    ///
    /// # Errors
    /// That of `send`.
    pub(crate) fn send(
        &self,
        to: &str,
        max: usize,
        send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
    ) -> Result<Sent, KafkaError> {
        let (partition, offset) =
            (Decimal::of(self.partition.into()), Decimal::of(self.offset.unsigned_abs()));
        let mut headers: Vec<Header<'_>> = Vec::with_capacity(OURS + self.headers.iter().count());
        headers.extend(self.headers.iter());
        let theirs = headers.len();
        let ours: [(&str, &[u8]); 6] = [
            (header::MARK, header::LETTER.as_bytes()),
            (header::REASON, self.reason.as_bytes()),
            (header::DETAIL, self.detail.as_bytes()),
            (header::TOPIC, self.topic.as_bytes()),
            (header::PARTITION, partition.text()),
            (header::OFFSET, offset.text()),
        ];
        headers.extend(ours.map(|(name, value)| (name.as_bytes(), Some(value))));
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let bytes = |headers: &[Header<'_>]| -> usize {
            headers.iter().map(|(name, value)| name.len() + length(*value) + HEADER_OVERHEAD).sum()
        };
        let size = self.cut.map_or(length(self.value), |cut| cut.size);
        let whole = RECORD_OVERHEAD + length(self.key) + length(self.value) + bytes(&headers);
        if whole <= max && self.cut.is_none() {
            send(&OutboxRecord {
                topic: to,
                key: self.key,
                payload: self.value,
                headers: &headers,
                ..Default::default()
            })?;
            return Ok(Sent::Whole);
        }

        let mut needed = RECORD_OVERHEAD + CUT_HEADERS + bytes(&headers[theirs..]);
        if needed > max {
            // The reason says it, too.
            headers.remove(theirs + 2);
            needed -= header::DETAIL.len() + self.detail.len() + HEADER_OVERHEAD;
        }
        let Some(room) = max.checked_sub(needed) else { return Ok(Sent::Nothing { size }) };
        // What is of use to people is the value; where it fits, everything is there.
        let (key_bytes, their_bytes) = (length(self.key), bytes(&headers[..theirs]));
        let fits = |bytes: usize| bytes <= room / 4 || whole + CUT_HEADERS <= max;
        let key = self.key.filter(|key| fits(key.len()));
        let kept_theirs = fits(their_bytes);
        if !kept_theirs {
            headers.drain(..theirs);
        }
        let rest = room - length(key) - if kept_theirs { their_bytes } else { 0 };
        let value = self.value.map(|value| &value[..value.len().min(rest)]);
        let cut = self.cut.unwrap_or(Cut { size, key: false, headers: false });
        let missing = [
            ("value", length(value) < size),
            ("key", cut.key || length(key) < key_bytes),
            ("headers", cut.headers || !kept_theirs),
        ];
        let missing: Vec<&str> =
            missing.iter().filter(|(_, missing)| *missing).map(|(what, _)| *what).collect();
        let missing = missing.join(",");
        let size_text = Decimal::of(size as u64);
        headers.push((header::SIZE.as_bytes(), Some(size_text.text())));
        headers.push((header::TRUNCATED.as_bytes(), Some(missing.as_bytes())));
        send(&OutboxRecord { topic: to, key, payload: value, headers: &headers, ..Default::default() })?;
        Ok(Sent::Part { value: length(value), size })
    }
}

/// A number as text, without an allocation.
struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    fn of(mut number: u64) -> Self {
        let mut decimal = Self { digits: [b'0'; 20], start: 20 };
        loop {
            decimal.start -= 1;
            decimal.digits[decimal.start] += (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return decimal;
            }
        }
    }

    fn text(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

    fn letter(headers: &Headers) -> Letter<'_> {
        Letter {
            reason: "too_large",
            detail: "many bytes",
            topic: "clicks",
            partition: 3,
            offset: 41,
            key: Some(b"user"),
            value: Some(&[b'x'; 5_000]),
            headers,
            cut: None,
        }
    }

    fn sent(letter: &Letter<'_>, max: usize) -> (Sent, Option<Owned>) {
        let mut found = None;
        let outcome = letter.send("clicks.dlq", max, &mut |record| {
            let headers = record
                .headers
                .iter()
                .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec)));
            let bytes = RECORD_OVERHEAD
                + record.key.map_or(0, <[u8]>::len)
                + record.payload.map_or(0, <[u8]>::len)
                + record
                    .headers
                    .iter()
                    .map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len))
                    .sum::<usize>();
            assert!(bytes <= max, "{bytes} of {max}");
            found =
                Some((record.key.map(<[u8]>::to_vec), record.payload.map(<[u8]>::to_vec), headers.collect()));
            Ok(())
        });
        (outcome.unwrap(), found)
    }

    fn header<'r>(record: &'r Owned, name: &str) -> Option<&'r str> {
        let (_, value) = record.2.iter().rev().find(|(found, _)| found == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    #[test]
    fn ours_come_behind_theirs() {
        let headers: Headers =
            [(&b"reason"[..], Some(&b"theirs"[..])), (b"reason", None)].into_iter().collect();
        let (outcome, record) = sent(&letter(&headers), 1 << 20);
        assert_eq!(outcome, Sent::Whole);
        let names: Vec<_> = record.as_ref().unwrap().2.iter().map(|(name, _)| name.as_str()).collect();
        let ours = ["clickpulse", "reason", "detail", "topic", "partition", "offset"];
        assert_eq!(names, [&["reason", "reason"][..], &ours].concat());
        let record = record.unwrap();
        assert_eq!(record.2[0].1.as_deref(), Some(&b"theirs"[..]));
        assert_eq!((header(&record, "reason"), header(&record, "offset")), (Some("too_large"), Some("41")));
        assert_eq!((header(&record, "partition"), header(&record, "size")), (Some("3"), None));
    }

    #[test]
    fn a_letter_too_large_for_its_topic_is_cut_to_fit() {
        let (outcome, record) = sent(&letter(&Headers::default()), 2_000);
        let record = record.unwrap();
        let length = record.1.as_ref().unwrap().len();
        assert_eq!(outcome, Sent::Part { value: length, size: 5_000 });
        assert!(length > 1_600, "{length}: as many as fit");
        assert_eq!((header(&record, "size"), header(&record, "truncated")), (Some("5000"), Some("value")));
        assert_eq!(record.0.as_deref(), Some(&b"user"[..]));
        // Where nothing but what is ours fits, the reason stays; where not even that fits, nothing is sent.
        let (outcome, record) = sent(&letter(&Headers::default()), 380);
        assert!(matches!(outcome, Sent::Part { .. }), "{outcome:?}");
        assert_eq!(header(&record.unwrap(), "reason"), Some("too_large"));
        assert_eq!(sent(&letter(&Headers::default()), 100), (Sent::Nothing { size: 5_000 }, None));
    }

    #[test]
    fn keys_and_headers_that_leave_no_room_are_left_out() {
        let large = vec![b'k'; 5_000];
        let headers: Headers = [(&b"trace"[..], Some(&large[..]))].into_iter().collect();
        let small = Letter { value: Some(b"{}"), key: Some(&large), ..letter(&headers) };
        let (_, record) = sent(&small, 2_000);
        let record = record.unwrap();
        assert_eq!(record.1.as_deref(), Some(&b"{}"[..]), "the value is whole");
        assert_eq!((record.0.as_ref(), header(&record, "trace")), (None, None));
        assert_eq!((header(&record, "size"), header(&record, "truncated")), (Some("2"), Some("key,headers")));
        // A tombstone stays one.
        let (_, record) =
            sent(&Letter { key: Some(&large), value: None, ..letter(&Headers::default()) }, 2_000);
        let record = record.unwrap();
        assert_eq!((record.1.as_ref(), header(&record, "truncated")), (None, Some("key")));
    }

    #[test]
    fn what_was_cut_before_is_said() {
        let cut = Some(Cut { size: 9_000_000, key: true, headers: false });
        let (outcome, record) = sent(&Letter { key: None, cut, ..letter(&Headers::default()) }, 1 << 20);
        assert_eq!(outcome, Sent::Part { value: 5_000, size: 9_000_000 });
        let record = record.unwrap();
        assert_eq!(
            (header(&record, "size"), header(&record, "truncated")),
            (Some("9000000"), Some("value,key"))
        );
    }

    #[test]
    fn every_limit_is_kept() {
        let headers: Headers = [(&b"trace"[..], Some(&[b't'; 300][..]))].into_iter().collect();
        for max in 1..6_500 {
            sent(&letter(&headers), max);
        }
        assert_eq!(sent(&letter(&headers), 6_500).0, Sent::Whole);
    }

    #[test]
    fn numbers_are_written() {
        assert_eq!(Decimal::of(0).text(), b"0");
        assert_eq!(Decimal::of(u64::MAX).text(), u64::MAX.to_string().as_bytes());
    }
}
