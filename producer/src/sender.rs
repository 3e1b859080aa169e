//! Takes batches to where they belong: a Kafka topic, or standard output.

mod kafka;
mod raw;

use std::io::{self, Write};

pub(crate) use kafka::{KafkaSender, client};
pub use kafka::{KafkaSettings, TUNING};

use crate::batch::{Batch, RecordKind};

/// What has become of the records so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deliveries {
    /// Records handed over for sending, those that failed included.
    pub sent: u64,
    /// Records on their way: not acknowledged, not failed.
    pub in_flight: u64,
    /// Records that were not delivered and will not be.
    pub failed: u64,
}

impl Deliveries {
    /// Records that have arrived.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.sent.saturating_sub(self.in_flight).saturating_sub(self.failed)
    }
}

/// Writes each value as one line; the records that are no text included, an empty value as an empty line.
#[derive(Debug)]
pub(crate) struct LineSender<W> {
    out: W,
    buffer: Vec<u8>,
    sent: u64,
}

impl<W: Write> LineSender<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, buffer: Vec::new(), sent: 0 }
    }

    pub(crate) fn send(&mut self, batch: &Batch) -> io::Result<()> {
        self.buffer.clear();
        for record in batch.iter() {
            debug_assert!(record.kind != RecordKind::Ordinary || !record.value.contains(&b'\n'));
            self.buffer.extend_from_slice(record.value);
            self.buffer.push(b'\n');
        }
        self.out.write_all(&self.buffer)?;
        self.sent += batch.len() as u64;
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(crate) const fn deliveries(&self) -> Deliveries {
        Deliveries { sent: self.sent, in_flight: 0, failed: 0 }
    }
}
