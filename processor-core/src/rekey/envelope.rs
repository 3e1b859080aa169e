//! A record of the by-user topic: an original record with what its source knew, or how far sources are.

use super::RelayError;
use crate::snapshot::codec::{Reader, Writer};
use crate::task::Cut;

/// The first byte of every record; changed with the format, and with how users are spread over partitions.
const VERSION: u8 = 1;
/// The same, with headers and with what was cut: only of records that have either, so that others are read by versions
/// that know none.
const VERSION_HEADED: u8 = 2;
const RECORD: u8 = 0;
const PROGRESS: u8 = 1;

/// More partitions than any topic has: a number beyond it is damage.
const PARTITIONS_MAX: u32 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Envelope<'a> {
    Record(Original<'a>),
    Progress(Vec<Told<'a>>),
}

/// A record as it was read from its source, and what the source's clock said before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Original<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    /// The source's watermark, by which the record is judged.
    pub(crate) watermark: i64,
    /// The source's present, where what is not counted counts.
    pub(crate) present: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// As [`crate::Headers`] has them.
    pub(crate) headers: &'a [u8],
    /// Set where the record was too large for the topic, and only this is left of it.
    pub(crate) cut: Option<Cut>,
}

/// How far a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    pub(crate) next_offset: i64,
    pub(crate) watermark: i64,
    pub(crate) idle: bool,
    /// The source's offsets begin anew: its topic was cut or made again.
    pub(crate) anew: bool,
    /// What tells the source's topic from one of the same name, 62 bits; 0: not known.
    pub(crate) id: u64,
}

/// Of a topic's id so much is written, beside the two flags: versions that know only those read past it.
const ID_BITS: u64 = u64::MAX >> 2;

impl<'a> Envelope<'a> {
    /// Reads a record's value; `None` where relays of another group wrote it.
    pub(crate) fn read(value: Option<&'a [u8]>, origin: u64) -> Result<Option<Self>, RelayError> {
        let mut reader = Reader::new(value.unwrap_or_default());
        let headed = match reader.take(1) {
            Some([VERSION]) => false,
            Some([VERSION_HEADED]) => true,
            Some([found]) => return Err(RelayError::Version { found: *found }),
            _ => return Err(RelayError::Damaged),
        };
        let theirs = reader.fixed().ok_or(RelayError::Damaged)?;
        if theirs != origin {
            return Ok(None);
        }
        Self::body(&mut reader, headed).map(Some).ok_or(RelayError::Damaged)
    }

    fn body(reader: &mut Reader<'a>, headed: bool) -> Option<Self> {
        match reader.take(1)? {
            [RECORD] => Original::read(reader, headed).map(Self::Record),
            [PROGRESS] => {
                let count = reader.count()?;
                (0..count).map(|_| Told::read(reader)).collect::<Option<_>>().map(Self::Progress)
            }
            _ => None,
        }
    }
}

fn begin(writer: &mut Writer, version: u8, origin: u64, kind: u8) {
    writer.bytes.push(version);
    writer.fixed(origin);
    writer.bytes.push(kind);
}

impl<'a> Original<'a> {
    /// Bytes of the record besides topic, key, value and headers, at most.
    pub(crate) const OVERHEAD: usize = 100;

    #[inline]
    pub(crate) fn write(&self, origin: u64, writer: &mut Writer) {
        let headed = !self.headers.is_empty() || self.cut.is_some();
        begin(writer, if headed { VERSION_HEADED } else { VERSION }, origin, RECORD);
        writer.text(self.topic);
        writer.number(self.partition.into());
        writer.signed(self.offset);
        writer.signed(self.timestamp_ms);
        writer.signed(self.watermark);
        writer.signed(self.present.wrapping_sub(self.watermark));
        writer.count(self.key.map_or(0, |key| key.len() + 1));
        writer.bytes.extend_from_slice(self.key.unwrap_or_default());
        if headed {
            writer.count(self.headers.len());
            writer.bytes.extend_from_slice(self.headers);
            match self.cut {
                None => writer.number(0),
                Some(cut) => {
                    writer.number(1 | u64::from(cut.key) << 1 | u64::from(cut.headers) << 2);
                    writer.count(cut.size);
                }
            }
        }
        writer.number(self.value.is_some().into());
        writer.bytes.extend_from_slice(self.value.unwrap_or_default());
    }

    /// Bytes that it takes, at most.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        Self::OVERHEAD + self.topic.len() + length(self.key) + self.headers.len() + length(self.value)
    }

    /// As much of it as fits: key and headers as a whole or not at all, neither where it takes a quarter of the room.
    #[cold]
    pub(crate) fn cut_to(self, max: usize) -> Self {
        let room = max.saturating_sub(Self::OVERHEAD + self.topic.len());
        let key = self.key.filter(|key| key.len() <= room / 4);
        let headers = if self.headers.len() <= room / 4 { self.headers } else { &[] };
        let value = self.value.unwrap_or_default();
        let rest = room - key.map_or(0, <[u8]>::len) - headers.len();
        let cut = Cut {
            size: value.len(),
            key: key.is_none() && self.key.is_some(),
            headers: headers.len() < self.headers.len(),
        };
        let value = self.value.map(|value| &value[..value.len().min(rest)]);
        Self { key, headers, value, cut: Some(cut), ..self }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>, headed: bool) -> Option<Self> {
        let topic = reader.text()?;
        let partition = partition(reader)?;
        let (offset, timestamp_ms, watermark) = (reader.signed()?, reader.signed()?, reader.signed()?);
        let present = watermark.wrapping_add(reader.signed()?);
        let key = match reader.count()?.checked_sub(1) {
            Some(length) => Some(reader.take(length)?),
            None => None,
        };
        let (mut headers, mut cut) = (&[][..], None);
        if headed {
            let length = reader.count()?;
            headers = reader.take(length)?;
            let flags = reader.number()?;
            if flags & 1 > 0 {
                cut = Some(Cut { size: reader.small()?, key: flags & 2 > 0, headers: flags & 4 > 0 });
            }
        }
        let value = match reader.number()? {
            0 => None,
            _ => Some(reader.rest()),
        };
        Some(Self { topic, partition, offset, timestamp_ms, watermark, present, key, value, headers, cut })
    }
}

impl<'a> Told<'a> {
    pub(crate) fn write_all(all: &[Self], origin: u64, writer: &mut Writer) {
        begin(writer, VERSION, origin, PROGRESS);
        writer.count(all.len());
        for told in all {
            writer.text(told.topic);
            writer.number(told.partition.into());
            writer.signed(told.next_offset);
            writer.signed(told.watermark);
            writer.number(u64::from(told.idle) | u64::from(told.anew) << 1 | (told.id & ID_BITS) << 2);
        }
    }

    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let topic = reader.text()?;
        let partition = partition(reader)?;
        let (next_offset, watermark) = (reader.signed()?, reader.signed()?);
        let flags = reader.number()?;
        let (idle, anew, id) = (flags & 1 > 0, flags & 2 > 0, flags >> 2);
        Some(Self { topic, partition, next_offset, watermark, idle, anew, id })
    }
}

fn partition(reader: &mut Reader<'_>) -> Option<u32> {
    reader.small().filter(|partition| *partition < PARTITIONS_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: Original<'_> = Original {
        topic: "clicks",
        partition: 3,
        offset: 41,
        timestamp_ms: 1_755_720_000_123,
        watermark: 1_755_720_000_000_000,
        present: 1_755_720_005_000_000,
        key: Some(b"k"),
        value: Some(b"{}"),
        headers: &[],
        cut: None,
    };

    #[test]
    fn what_is_written_reads_back() {
        let not_begun = Original { watermark: i64::MIN, present: i64::MIN, key: None, value: None, ..SOURCE };
        let empty = Original { key: Some(b""), value: Some(b""), ..SOURCE };
        let headed = Original { headers: &[1, b'a', 0], ..SOURCE };
        let cut = Original { cut: Some(Cut { size: 9_000_000, key: true, headers: false }), ..headed };
        for original in [SOURCE, not_begun, empty, headed, cut] {
            let mut writer = Writer::default();
            original.write(7, &mut writer);
            assert_eq!(Envelope::read(Some(&writer.bytes), 7), Ok(Some(Envelope::Record(original))));
            assert_eq!(Envelope::read(Some(&writer.bytes), 8), Ok(None), "another group's");
        }
        let told = |idle, anew, id| Told {
            topic: "clicks",
            partition: 0,
            next_offset: 9,
            watermark: i64::MIN,
            idle,
            anew,
            id,
        };
        let all = vec![told(false, true, 0), told(true, false, ID_BITS)];
        let mut writer = Writer::default();
        Told::write_all(&all, 7, &mut writer);
        assert_eq!(Envelope::read(Some(&writer.bytes), 7), Ok(Some(Envelope::Progress(all))));
    }

    #[test]
    fn another_version_is_named() {
        assert_eq!(Envelope::read(Some(&[9]), 7), Err(RelayError::Version { found: 9 }));
        assert_eq!(Envelope::read(None, 7), Err(RelayError::Damaged));
    }

    #[test]
    fn a_record_without_headers_is_written_as_versions_read_it_that_know_none() {
        let written = |original: Original<'_>| {
            let mut writer = Writer::default();
            original.write(7, &mut writer);
            writer.bytes[0]
        };
        assert_eq!(written(SOURCE), VERSION);
        assert_eq!(written(Original { headers: &[1, b'a', 0], ..SOURCE }), VERSION_HEADED);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            version in VERSION..=VERSION_HEADED,
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut value = vec![version];
            value.extend_from_slice(&7_u64.to_le_bytes());
            value.extend_from_slice(&bytes);
            let _ = Envelope::read(Some(&value), 7);
        }
    }
}
