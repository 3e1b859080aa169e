//! A task's state as bytes.
//!
//! A [`TaskSnapshot`] is frozen on the task's thread, cheaply, and encoded elsewhere. The bytes are canonical: a header,
//! then the state by name, sorted, compressed with LZ4. The same log and jumps give the same bytes, whatever the
//! batches, ticks, emissions, slot numbers and hashes; what nothing can ask for any more is left out.
//!
//! Windows in a snapshot are complete: unlike after a plain replay, none has to be dropped for its beginning.

pub(crate) mod codec;
mod settings;

use xxhash_rust::xxh3::xxh3_64;

use crate::options::Options;
use crate::task::FrozenTask;
use crate::task::TaskIdentity;
use codec::{Reader, Writer};

const MAGIC: &[u8; 4] = b"CPts";
/// Changed with the format, and with anything that makes the same bytes mean another state.
const VERSION: u16 = 5;
/// Magic, version, checksum of all that follows, settings, length of the body before compression, offsets.
const CHECKED_FROM: usize = 4 + 2 + 8;

/// Why a snapshot is of no use. In every case the replay from the commit's own replay point is what remains.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Cut off, changed, or no snapshot at all.
    #[error("the snapshot is damaged")]
    Damaged,
    /// Written by another version of Clickpulse.
    #[error("the snapshot has format version {found}, this build reads version {VERSION}")]
    Version {
        /// Its version.
        found: u16,
    },
    /// Of another task, or under settings that give the same records another meaning.
    #[error("the snapshot was made by another task or under other settings of windows, inputs or limits")]
    OtherSettings,
    /// It has records that were not committed: the offsets were set back since, or their topic was made anew.
    #[error("the snapshot is at offset {snapshot} of input {input}, only {committed} is committed")]
    AheadOfCommit {
        /// Index of the input.
        input: usize,
        /// The snapshot's next offset.
        snapshot: i64,
        /// The committed one.
        committed: i64,
    },
    /// The wall clock had moved the watermark further than the commits say: windows may be closed in it whose last values
    /// were never sent on.
    #[error("the watermark of input {input} is further in the snapshot than was committed")]
    WatermarkAhead {
        /// Index of the input.
        input: usize,
    },
    /// What the wall clock decided between it and the commit's replay point is not known any more.
    #[error("the snapshot is at offset {snapshot} of input {input}, before the replay point {replay}")]
    TooOld {
        /// Index of the input.
        input: usize,
        /// The snapshot's next offset.
        snapshot: i64,
        /// First offset of the replay that does without it.
        replay: i64,
    },
}

/// A task's state at a moment, frozen: it does not change with the task. To be encoded on another thread.
#[derive(Debug)]
pub struct TaskSnapshot {
    pub(crate) fingerprint: u64,
    pub(crate) offsets: Vec<i64>,
    pub(crate) task: FrozenTask,
}

impl TaskSnapshot {
    /// The next offset of each input: the state is that of all records before them.
    #[must_use]
    pub fn offsets(&self) -> Vec<i64> {
        self.offsets.clone()
    }

    /// The snapshot as bytes, for [`Task::restore`](crate::Task::restore). Takes seconds at millions of users.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let body = self.task.encode();
        let mut writer = Writer { bytes: Vec::with_capacity(body.len() / 2) };
        writer.bytes.extend_from_slice(MAGIC);
        writer.bytes.extend_from_slice(&VERSION.to_le_bytes());
        writer.fixed(0); // the checksum, once there is something to check
        writer.fixed(self.fingerprint);
        writer.count(self.offsets.len());
        self.offsets.iter().for_each(|offset| writer.signed(*offset));
        writer.count(body.len());
        writer.bytes.extend_from_slice(&lz4_flex::block::compress(&body));
        let checksum = xxh3_64(&writer.bytes[CHECKED_FROM..]);
        writer.bytes[CHECKED_FROM - 8..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
        writer.bytes
    }
}

/// The next offsets that a snapshot's bytes are at, without decoding its state.
///
/// # Errors
/// [`SnapshotError::Damaged`] and [`SnapshotError::Version`]; whose it is, is not looked at.
pub fn snapshot_offsets(bytes: &[u8]) -> Result<Vec<i64>, SnapshotError> {
    Opened::open(bytes).map(|opened| opened.offsets)
}

/// A snapshot whose checksum is right.
pub(crate) struct Opened<'a> {
    pub(crate) fingerprint: u64,
    pub(crate) offsets: Vec<i64>,
    body_len: usize,
    compressed: &'a [u8],
}

impl<'a> Opened<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, SnapshotError> {
        let mut reader = Reader::new(bytes);
        if reader.take(4) != Some(MAGIC) {
            return Err(SnapshotError::Damaged);
        }
        let version = reader.take(2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes);
        let found = version.ok_or(SnapshotError::Damaged)?;
        if found != VERSION {
            return Err(SnapshotError::Version { found });
        }
        let checksum = reader.fixed().ok_or(SnapshotError::Damaged)?;
        if checksum != xxh3_64(&bytes[CHECKED_FROM..]) {
            return Err(SnapshotError::Damaged);
        }
        Self::header(&mut reader).ok_or(SnapshotError::Damaged)
    }

    fn header(reader: &mut Reader<'a>) -> Option<Self> {
        let fingerprint = reader.fixed()?;
        let inputs = reader.count()?;
        let offsets = (0..inputs).map(|_| reader.signed()).collect::<Option<_>>()?;
        let body_len = reader.small()?;
        let compressed = reader.rest();
        Some(Self { fingerprint, offsets, body_len, compressed })
    }

    pub(crate) fn body(&self) -> Result<Vec<u8>, SnapshotError> {
        // LZ4 says at most 255 bytes with one: no more is granted, whatever the header says.
        if self.body_len > self.compressed.len().saturating_mul(255) {
            return Err(SnapshotError::Damaged);
        }
        lz4_flex::block::decompress(self.compressed, self.body_len).map_err(|_| SnapshotError::Damaged)
    }
}

/// Tells apart snapshots that must not be taken for each other.
pub(crate) fn fingerprint(options: &Options, identity: &TaskIdentity) -> u64 {
    xxh3_64(settings::meaning(options, identity).as_bytes())
}
