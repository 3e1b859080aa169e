//! The inputs, read side by side.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::commits::Span;
use super::model::{Model, Record};
use super::report::Report;
use super::rules::{HOUR, Rules};
use super::topics::{PATIENCE, silence};
use crate::kafka::scan::{Scan, Scanned};
use crate::kafka::{ClientSettings, KafkaError};

/// Records between two looks at what is finished.
const ROUND: u64 = 50_000;
/// Records of a topic before the next topic has its turn.
const TURN: usize = 2_000;
/// A partition this far ahead of the slowest waits, and goes on at half of it, so that few hours are in memory.
const AHEAD_MAX: i64 = 2 * HOUR;
/// The inputs being read.
pub(super) struct Reading<'a> {
    client: &'a ClientSettings,
    scans: Vec<Scan>,
    /// By input and partition: the number of its log.
    logs: HashMap<(u16, i32), usize>,
    /// By log: input and partition.
    names: Vec<(u16, i32)>,
    /// By input and partition: the offsets that were read.
    pub(super) read: HashMap<(u16, i32), std::ops::Range<i64>>,
    paused: Vec<bool>,
    /// A log that has passed this watermark is not read on.
    enough: i64,
    heard: Instant,
    total: u64,
}

impl<'a> Reading<'a> {
    pub(super) fn start(
        client: &'a ClientSettings,
        topics: &[String],
        spans: &[Span],
        rules: &Rules,
        until: Option<i64>,
    ) -> Result<Self, KafkaError> {
        let mut reading = Self {
            client,
            scans: Vec::new(),
            logs: HashMap::new(),
            names: Vec::new(),
            read: HashMap::new(),
            paused: vec![false; spans.len()],
            // Whole hours are handed out, so the hour of the last window has to be read.
            enough: until.map_or(i64::MAX, |until| until.saturating_add(HOUR + rules.lateness)),
            heard: Instant::now(),
            total: spans.iter().map(|span| (span.end - span.first).max(0) as u64).sum(),
        };
        for (log, span) in spans.iter().enumerate() {
            let name = (span.options.input, span.options.partition);
            reading.logs.insert(name, log);
            reading.names.push(name);
            reading.read.insert(name, span.first..span.end);
        }
        for (input, topic) in (0..).zip(topics) {
            let mut scan = Scan::new(client, topic)?;
            let of_topic = spans.iter().filter(|span| span.options.input == input);
            let of_topic: Vec<_> =
                of_topic.map(|span| (span.options.partition, span.first, span.end)).collect();
            scan.start(&of_topic)?;
            reading.scans.push(scan);
        }
        Ok(reading)
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Reads some records of every topic; false once all are read.
    pub(super) fn round(&mut self, model: &mut Model, report: &mut Report) -> Result<bool, KafkaError> {
        let until = report.records.read + ROUND;
        while report.records.read < until {
            let mut nothing = true;
            for input in 0..self.scans.len() {
                nothing &= !self.turn(input, Duration::ZERO, model, report)?;
            }
            if self.scans.iter().all(Scan::is_done) {
                return Ok(false);
            }
            if nothing {
                let waiting = self.scans.iter().position(|scan| !scan.is_done()).expect("one is not done");
                if self.turn(waiting, Duration::from_millis(100), model, report)? {
                    continue;
                }
                if self.heard.elapsed() > PATIENCE {
                    return Err(silence(self.client));
                }
                return Ok(true); // time for what is finished, and for paused partitions
            }
        }
        Ok(true)
    }

    /// Reads some records of one topic; whether there were any.
    fn turn(
        &mut self,
        input: usize,
        timeout: Duration,
        model: &mut Model,
        report: &mut Report,
    ) -> Result<bool, KafkaError> {
        let mut any = false;
        for _ in 0..TURN {
            let name = |partition: i32| (input as u16, partition);
            let stop = match self.scans[input].next(if any { Duration::ZERO } else { timeout })? {
                Scanned::Nothing => break,
                Scanned::Ended(partition) => {
                    model.end(self.logs[&name(partition)]);
                    None
                }
                Scanned::Record(record) => {
                    let log = self.logs[&name(record.partition())];
                    let seen = Record {
                        offset: record.offset(),
                        timestamp_ms: record.timestamp_ms().unwrap_or(0),
                        key: record.key(),
                        value: record.value(),
                    };
                    model.record(log, &seen, report);
                    (model.watermark(log) > self.enough).then(|| (record.partition(), record.offset() + 1))
                }
            };
            any = true;
            if let Some((partition, next)) = stop {
                self.scans[input].stop(partition)?;
                model.end(self.logs[&name(partition)]);
                self.read.get_mut(&name(partition)).expect("every log is there").end = next;
            }
        }
        if any {
            self.heard = Instant::now();
        }
        Ok(any)
    }

    /// Lets the partitions that are far ahead in event time wait for the others.
    pub(super) fn keep_together(&mut self, model: &Model) -> Result<(), KafkaError> {
        let frontier = model.frontier();
        for (log, (input, partition)) in self.names.iter().enumerate() {
            let ahead = model.watermark(log).saturating_sub(frontier);
            let wanted = if self.paused[log] { ahead > AHEAD_MAX / 2 } else { ahead > AHEAD_MAX };
            if wanted != self.paused[log] {
                let scan = &self.scans[usize::from(*input)];
                if wanted { scan.pause(*partition) } else { scan.resume(*partition) }?;
                self.paused[log] = wanted;
            }
        }
        Ok(())
    }
}
