//! Records on their way out: one buffer of bytes, and where in it each record lies.

use events::Reason;

/// What a record is, as an all-knowing observer would label it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// An event, sent when it happened.
    Ordinary,
    /// An event sent after younger ones, yet ahead of every watermark.
    OutOfOrder,
    /// An event so old that every window that would have counted it is closed.
    Late,
    /// The bytes of an event that was sent a moment ago.
    Duplicate,
    /// A record that must be rejected, for this reason.
    Invalid(Reason),
}

/// One record: borrowed from its [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The Kafka key: the user's id.
    pub key: &'a [u8],
    /// The Kafka value.
    pub value: &'a [u8],
    /// What it is.
    pub kind: RecordKind,
}

/// Records in the order they are to be sent; cleared and filled again, so it stops allocating once it is warm.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    value_start: u32,
    value_len: u32,
    key_start: u32,
    key_len: u32,
    kind: RecordKind,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The record at `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        self.slots.get(index).map(|slot| self.resolve(*slot))
    }

    /// Every record, in sending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.slots.iter().map(|slot| self.resolve(*slot))
    }

    /// Where the next record's bytes go; [`Batch::seal`] makes a record of what was added.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Makes one record of the bytes from `start`; `key` is where in those bytes the key lies.
    pub(crate) fn seal(&mut self, start: usize, key: std::ops::Range<usize>, kind: RecordKind) {
        self.slots.push(Slot {
            value_start: offset(start),
            value_len: offset(self.bytes.len() - start),
            key_start: offset(start + key.start),
            key_len: offset(key.len()),
            kind,
        });
    }

    /// Adds a record whose key is not part of its value.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8], kind: RecordKind) {
        let value_start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let key_start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.slots.push(Slot {
            value_start: offset(value_start),
            value_len: offset(value.len()),
            key_start: offset(key_start),
            key_len: offset(key.len()),
            kind,
        });
    }

    fn resolve(&self, slot: Slot) -> Record<'_> {
        let range = |start: u32, len: u32| start as usize..(start + len) as usize;
        Record {
            key: &self.bytes[range(slot.key_start, slot.key_len)],
            value: &self.bytes[range(slot.value_start, slot.value_len)],
            kind: slot.kind,
        }
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a batch holds the records of one tick, far below 4 GiB")
}
