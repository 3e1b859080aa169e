//! A record of the by-user topic: an original record with what its source knew, or how far sources are.

use super::RelayError;
use crate::snapshot::codec::{Reader, Writer};

/// The first byte of every record; changed with the format, and with how users are spread over partitions.
const VERSION: u8 = 1;
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
        match reader.take(1) {
            Some([VERSION]) => {}
            Some([found]) => return Err(RelayError::Version { found: *found }),
            _ => return Err(RelayError::Damaged),
        }
        let theirs = reader.fixed().ok_or(RelayError::Damaged)?;
        if theirs != origin {
            return Ok(None);
        }
        Self::body(&mut reader).map(Some).ok_or(RelayError::Damaged)
    }

    fn body(reader: &mut Reader<'a>) -> Option<Self> {
        match reader.take(1)? {
            [RECORD] => Original::read(reader).map(Self::Record),
            [PROGRESS] => {
                let count = reader.count()?;
                (0..count).map(|_| Told::read(reader)).collect::<Option<_>>().map(Self::Progress)
            }
            _ => None,
        }
    }
}

fn begin(writer: &mut Writer, origin: u64, kind: u8) {
    writer.bytes.push(VERSION);
    writer.fixed(origin);
    writer.bytes.push(kind);
}

impl<'a> Original<'a> {
    #[inline]
    pub(crate) fn write(&self, origin: u64, writer: &mut Writer) {
        begin(writer, origin, RECORD);
        writer.text(self.topic);
        writer.number(self.partition.into());
        writer.signed(self.offset);
        writer.signed(self.timestamp_ms);
        writer.signed(self.watermark);
        writer.signed(self.present.wrapping_sub(self.watermark));
        writer.count(self.key.map_or(0, |key| key.len() + 1));
        writer.bytes.extend_from_slice(self.key.unwrap_or_default());
        writer.number(self.value.is_some().into());
        writer.bytes.extend_from_slice(self.value.unwrap_or_default());
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let topic = reader.text()?;
        let partition = partition(reader)?;
        let (offset, timestamp_ms, watermark) = (reader.signed()?, reader.signed()?, reader.signed()?);
        let present = watermark.wrapping_add(reader.signed()?);
        let key = match reader.count()?.checked_sub(1) {
            Some(length) => Some(reader.take(length)?),
            None => None,
        };
        let value = match reader.number()? {
            0 => None,
            _ => Some(reader.rest()),
        };
        Some(Self { topic, partition, offset, timestamp_ms, watermark, present, key, value })
    }
}

impl<'a> Told<'a> {
    pub(crate) fn write_all(all: &[Self], origin: u64, writer: &mut Writer) {
        begin(writer, origin, PROGRESS);
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
    };

    #[test]
    fn what_is_written_reads_back() {
        let not_begun = Original { watermark: i64::MIN, present: i64::MIN, key: None, value: None, ..SOURCE };
        let empty = Original { key: Some(b""), value: Some(b""), ..SOURCE };
        for original in [SOURCE, not_begun, empty] {
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

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut value = vec![VERSION];
            value.extend_from_slice(&7_u64.to_le_bytes());
            value.extend_from_slice(&bytes);
            let _ = Envelope::read(Some(&value), 7);
        }
    }
}
