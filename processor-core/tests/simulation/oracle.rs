//! What must hold at every step and in the end, whatever the faults.

use std::collections::{BTreeMap, VecDeque};

use processor_core::{Checkpoint, Delivery, MergeCheckpoint};

use super::influx::{Batch, Influx};
use super::kafka::{Committed, Event, Kafka, Partition, Topic};
use super::model::Expected;

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// `consumed = counted + duplicates + late + rejected`.
    Conservation,
    /// Watermarks, closing and the frontier never go back.
    Watermark,
    /// An input of which nothing counts holds back nobody.
    Held,
    /// Committed offsets never go back.
    OffsetBack,
    /// An offset is committed only with or after what its records led to.
    Provenance,
    /// A merge's offset is committed only after InfluxDB has its points.
    MergeProvenance,
    /// An output of a task's run becomes visible once.
    Doubled,
    /// Dead letters and late records are there once, and before their offset is committed.
    Records,
    /// Merges take committed partials only.
    Uncommitted,
    /// The numbers in the end are the batch model's.
    Model,
    /// They are those of the undisturbed run, to the last field.
    Undisturbed,
    /// Without faults everything is read, written and committed in the end.
    Stuck,
    /// The core panicked.
    Panic,
}

#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

#[derive(Default)]
struct Run {
    /// By number handed out: whether it is to be seen in Kafka.
    visible: Vec<bool>,
    /// All before it are.
    visible_until: u64,
    /// Partials that are to be seen and that no commit has covered yet: number, partition, offset.
    partials: VecDeque<(u64, u32, i64)>,
    /// Batches of points: number, and how far the merge had read.
    batches: VecDeque<(u64, i64)>,
}

pub(crate) struct Oracle {
    exactly_once: bool,
    pub(crate) violation: Option<Violation>,
    runs: BTreeMap<u64, Run>,
    committed: BTreeMap<Partition, Committed>,
    dead_letters: BTreeMap<(usize, i64), u32>,
    late: BTreeMap<(usize, i64), u32>,
}

impl Oracle {
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self {
            exactly_once: delivery == Delivery::ExactlyOnce,
            violation: None,
            runs: BTreeMap::new(),
            committed: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            late: BTreeMap::new(),
        }
    }

    pub(crate) fn fail(&mut self, rule: Rule, what: String) {
        fail(&mut self.violation, rule, what);
    }

    /// Points were given to the sink.
    pub(crate) fn handed_out(&mut self, batch: &Batch) {
        for (run, as_of) in &batch.of {
            self.runs.entry(*run).or_default().batches.push_back((batch.id, *as_of));
        }
    }

    /// Looks at everything that has become certain.
    pub(crate) fn look(&mut self, kafka: &mut Kafka, influx: &Influx, expected: &Expected) {
        for event in std::mem::take(&mut kafka.events) {
            match event {
                Event::Visible(partition, offset) => self.visible(kafka, partition, offset),
                Event::Committed(partition, committed) => {
                    match partition.0 {
                        Topic::Partials => self.merge_committed(influx, partition, &committed),
                        _ => self.task_committed(expected, partition, &committed),
                    }
                    self.committed.insert(partition, committed);
                }
            }
        }
    }

    fn visible(&mut self, kafka: &Kafka, partition: Partition, offset: i64) {
        let (output, _) = kafka.record(partition, offset);
        let number = output.origin.handed_out as usize;
        let run = self.runs.entry(output.origin.run).or_default();
        if run.visible.len() <= number {
            run.visible.resize(number + 1, false);
        }
        let again = std::mem::replace(&mut run.visible[number], true);
        while run.visible.get(run.visible_until as usize) == Some(&true) {
            run.visible_until += 1;
        }
        if partition.0 == Topic::Partials && !self.exactly_once {
            run.partials.push_back((number as u64, partition.1, offset));
        }
        if again {
            let what = format!("output {number} of run {} at {partition:?} {offset}", output.origin.run);
            self.fail(Rule::Doubled, what);
        }
        let Some(source) = output.source else { return };
        let of = if partition.0 == Topic::Late { &mut self.late } else { &mut self.dead_letters };
        let times = of.entry((partition.1 as usize, source)).or_default();
        *times += 1;
        if *times > 1 && self.exactly_once {
            self.fail(Rule::Records, format!("{partition:?}: the record at {source} is there again"));
        }
    }

    fn task_committed(&mut self, expected: &Expected, partition: Partition, new: &Committed) {
        let before = self.committed.get(&partition);
        let offset = before.map_or(0, |of| of.offset);
        let watermark = before.map_or(i64::MIN, |of| Checkpoint::parse(of.offset, &of.metadata).watermark);
        let of = Checkpoint::parse(new.offset, &new.metadata);
        if new.offset < offset {
            return self.fail(Rule::OffsetBack, format!("{partition:?} from {offset} to {}", new.offset));
        }
        if of.watermark < watermark {
            let what = format!("{partition:?} from {watermark} to {}", of.watermark);
            return self.fail(Rule::Watermark, what);
        }
        let task = partition.1 as usize;
        let range = (task, offset)..(task, new.offset);
        for (what, expected, got) in [
            ("dead letter", &expected.dead_letters, &self.dead_letters),
            ("late record", &expected.late, &self.late),
        ] {
            if let Some(missing) = expected.range(range.clone()).find(|of| !got.contains_key(of)) {
                let what = format!("{partition:?} at {}: no {what} of {missing:?}", new.offset);
                return fail(&mut self.violation, Rule::Records, what);
            }
        }
        let run = self.runs.entry(new.origin.run).or_default();
        if run.visible_until < new.origin.handed_out {
            let what = format!(
                "{partition:?} at {}: {} of {} outputs are written",
                new.offset, run.visible_until, new.origin.handed_out
            );
            return self.fail(Rule::Provenance, what);
        }
        while let Some(&(number, merge, at)) = run.partials.front()
            && number < new.origin.handed_out
        {
            let merged = self.committed.get(&(Topic::Partials, merge)).map_or(0, |of| of.offset);
            if merged <= at {
                let what = format!("{partition:?} at {}: merge {merge} is at {merged}", new.offset);
                return self.fail(Rule::Provenance, what);
            }
            run.partials.pop_front();
        }
    }

    fn merge_committed(&mut self, influx: &Influx, partition: Partition, new: &Committed) {
        let of = MergeCheckpoint::parse(new.offset, &new.metadata);
        if let Some(before) = self.committed.get(&partition) {
            if new.offset < before.offset {
                let what = format!("{partition:?} from {} to {}", before.offset, new.offset);
                return self.fail(Rule::OffsetBack, what);
            }
            let before = MergeCheckpoint::parse(before.offset, &before.metadata);
            if of.closed_through < before.closed_through || of.frontier < before.frontier {
                return self.fail(Rule::Watermark, format!("{partition:?} from {before:?} to {of:?}"));
            }
        }
        let run = self.runs.entry(new.origin.run).or_default();
        while let Some(&(batch, as_of)) = run.batches.front()
            && as_of <= new.offset
        {
            if !influx.taken.contains(&batch) {
                let what = format!("{partition:?} at {}: batch {batch} is not in InfluxDB", new.offset);
                return self.fail(Rule::MergeProvenance, what);
            }
            run.batches.pop_front();
        }
    }

    /// Everything is over: the copied records are those expected.
    pub(crate) fn end(&mut self, expected: &Expected) {
        for (name, expected, got) in [
            ("dead letters", &expected.dead_letters, &self.dead_letters),
            ("late records", &expected.late, &self.late),
        ] {
            if !expected.iter().eq(got.keys()) {
                let what = format!("{name}: expected {expected:?}, got {:?}", got.keys());
                return fail(&mut self.violation, Rule::Records, what);
            }
        }
    }
}

fn fail(violation: &mut Option<Violation>, rule: Rule, what: String) {
    violation.get_or_insert(Violation { rule, what });
}
