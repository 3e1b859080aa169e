//! The world of a run: time, chance, Kafka, InfluxDB and the processes, and what befalls them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use processor_core::{Delivery, FieldValue, Limits, Options};

use super::bugs::Bug;
use super::group::SESSION_TIMEOUT;
use super::influx::Influx;
use super::instance::{Instance, Life};
use super::kafka::{Kafka, Topic};
use super::log::{Logged, START_MS};
use super::model::Expected;
use super::oracle::{Oracle, Rule, Violation};
use super::random::Random;
use super::store::Store;
use super::{Key, Numbers};

pub(crate) const ORIGIN: u64 = 7;
/// Steps with faults; a run goes on without them after that.
const FAULTY_STEPS_MAX: u64 = 3_000;
/// Steps without faults within which everything has to be read, written and committed.
const QUIET_STEPS_MAX: u64 = 40_000;
/// The last steps that a trace keeps.
const TRACE_MAX: usize = 400;

/// What kind of run it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) faults: bool,
    pub(crate) delivery: Delivery,
    pub(crate) bug: Option<Bug>,
    pub(crate) trace: bool,
    pub(crate) limits: Limits,
}

pub(crate) struct World<'a> {
    pub(crate) logs: &'a [Vec<Logged>],
    expected: &'a Expected,
    pub(crate) random: Random,
    pub(crate) options: Arc<Options>,
    /// Microseconds; what a perfect clock shows.
    pub(crate) now: i64,
    pub(crate) faults: bool,
    pub(crate) delivery: Delivery,
    pub(crate) bug: Option<Bug>,
    pub(crate) merges: u32,
    pub(crate) workers: usize,
    /// Whether a restarted process has the transactional ids of the former.
    pub(crate) stable_ids: bool,
    /// The logs are over: tasks that have read them end.
    pub(crate) draining: bool,
    pub(crate) kafka: Kafka,
    pub(crate) influx: Influx,
    /// Whether tasks take snapshots.
    pub(crate) snapshots: bool,
    pub(crate) store: Store,
    pub(crate) oracle: Oracle,
    runs: u64,
    trace: Option<VecDeque<String>>,
}

/// How a run ended.
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) numbers: Numbers,
    pub(crate) trace: VecDeque<String>,
}

impl<'a> World<'a> {
    fn new(logs: &'a [Vec<Logged>], expected: &'a Expected, mut random: Random, setting: Setting) -> Self {
        let merges = 1 + random.below(3) as u32;
        let mut kafka = Kafka::default();
        kafka.takes_any_generation = setting.bug == Some(Bug::ZombieNotFenced);
        let tasks = (0..logs.len() as u32).map(|at| (Topic::Input, at));
        kafka.group.partitions = tasks.chain((0..merges).map(|at| (Topic::Partials, at))).collect();
        Self {
            logs,
            expected,
            options: Arc::new(Options { limits: setting.limits, ..Options::default() }),
            now: START_MS * 1_000,
            faults: setting.faults,
            delivery: setting.delivery,
            bug: setting.bug,
            merges,
            workers: if setting.faults { 1 + random.below(2) as usize } else { 1 },
            stable_ids: random.chance(50),
            draining: false,
            kafka,
            influx: Influx::default(),
            snapshots: random.chance(60),
            store: Store::default(),
            oracle: Oracle::new(setting.delivery),
            runs: 0,
            trace: setting.trace.then(VecDeque::new),
            random,
        }
    }

    /// A number that nothing else in this run has.
    pub(crate) fn new_run(&mut self) -> u64 {
        self.runs += 1;
        self.runs
    }

    pub(crate) fn fault(&mut self, percent: u64) -> bool {
        self.faults && self.random.chance(percent)
    }

    pub(crate) fn fail(&mut self, rule: Rule, what: impl FnOnce() -> String) {
        self.oracle.fail(rule, what());
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        let Some(trace) = &mut self.trace else { return };
        if trace.len() == TRACE_MAX {
            trace.pop_front();
        }
        trace.push_back(format!("{:>10.3} s  {}", (self.now - START_MS * 1_000) as f64 / 1e6, what()));
    }

    /// Time passes for everything that has no will of its own.
    fn turn(&mut self) {
        self.now += self.random.below(700_000) as i64;
        let Self { kafka, influx, store, random, now, oracle, expected, .. } = self;
        kafka.group.turn(*now, random);
        kafka.turn(*now, random);
        influx.turn(*now);
        store.turn(*now);
        oracle.look(kafka, influx, expected);
    }

    fn all_committed(&self) -> bool {
        self.logs.iter().enumerate().all(|(at, log)| {
            let end = log.last().map_or(0, |last| last.offset + 1);
            let committed = self.kafka.fetch_offset((Topic::Input, at as u32));
            end == 0 || matches!(committed, Ok(Some(of)) if of.offset >= end)
        })
    }
}

/// Runs a world to its end.
pub(crate) fn run(logs: &[Vec<Logged>], expected: &Expected, random: Random, setting: Setting) -> Outcome {
    let mut world = World::new(logs, expected, random, setting);
    let instances = if setting.faults { 1 + world.random.below(3) as usize } else { 1 };
    let mut instances: Vec<Instance> = (0..instances).map(|id| Instance::new(id, &mut world)).collect();
    let trouble = 15 + world.random.below(120);
    for _ in 0..FAULTY_STEPS_MAX {
        if !setting.faults || world.oracle.violation.is_some() || world.all_committed() {
            break;
        }
        if world.random.below(trouble) == 0 {
            befall(&mut instances, &mut world);
        }
        step(&mut instances, &mut world);
        let at = world.random.below(instances.len() as u64) as usize;
        if instances[at].life == Life::Up {
            instances[at].step(&mut world);
        }
    }
    world.note(|| "no more faults".to_owned());
    world.faults = false;
    world.draining = true;
    let mut steps = 0;
    while world.oracle.violation.is_none() && !is_over(&instances, &world) {
        steps += 1;
        if steps > QUIET_STEPS_MAX {
            let state: Vec<String> = instances.iter().map(|of| of.describe(&world)).collect();
            world.fail(Rule::Stuck, || format!("not over after {QUIET_STEPS_MAX} steps: {state:?}"));
        }
        step(&mut instances, &mut world);
        for instance in instances.iter_mut().filter(|instance| instance.life == Life::Up) {
            instance.step(&mut world);
        }
    }
    let World { oracle, kafka, influx, .. } = &mut world;
    oracle.look(kafka, influx, expected);
    oracle.end(expected);
    let numbers = numbers(&world.influx);
    Outcome { violation: world.oracle.violation, numbers, trace: world.trace.unwrap_or_default() }
}

fn is_over(instances: &[Instance], world: &World<'_>) -> bool {
    let owned: usize = instances.iter().map(Instance::owned).sum();
    let ended: usize = instances.iter().map(Instance::ended_tasks).sum();
    owned == world.logs.len() + world.merges as usize
        && ended == world.logs.len()
        && instances.iter().all(|instance| instance.life == Life::Up && instance.is_done(world))
}

fn step(instances: &mut [Instance], world: &mut World<'_>) {
    world.turn();
    for (at, instance) in instances.iter_mut().enumerate() {
        match instance.life {
            Life::Up => instance.heartbeat(world),
            Life::Stalled { until } if until <= world.now => instance.wake(world),
            Life::Down { until } if until <= world.now => {
                world.note(|| format!("instance {at}: starts"));
                *instance = Instance::new(at, world);
            }
            Life::Stalled { .. } | Life::Down { .. } => {}
        }
    }
}

/// Something goes wrong.
fn befall(instances: &mut [Instance], world: &mut World<'_>) {
    let at = world.random.below(instances.len() as u64) as usize;
    let instance = &mut instances[at];
    if instance.life != Life::Up {
        return;
    }
    match world.random.below(9) {
        0 | 1 => instance.crash(world),
        2..=4 => {
            // Most are long enough for the group to give it up.
            let long = if world.random.chance(70) { SESSION_TIMEOUT } else { 0 };
            let until = world.now + long + world.random.below(30_000_000) as i64;
            world.note(|| format!("instance {at}: STALLS until {}", until - START_MS * 1_000));
            instance.life = Life::Stalled { until };
        }
        5 => {
            world.note(|| format!("instance {at}: leaves"));
            instance.leave(world);
        }
        6 if world.random.chance(40) => {
            instance.unheard_until = world.now + world.random.below(60_000_000) as i64;
            world.note(|| format!("instance {at}: its heartbeats are lost for a while"));
        }
        6 => {
            let hours = [-2, 0, 0, 3][world.random.below(4) as usize];
            instance.clock_off = hours * 3_600_000_000 + world.random.below(20_000_000) as i64 - 10_000_000;
            world.note(|| format!("instance {at}: its clock jumps to {} us off", instance.clock_off));
        }
        _ => {
            // From one place or from all: the network, or the server.
            let until = world.now + world.random.below(80_000_000) as i64;
            let everywhere = world.random.chance(40);
            world.note(|| format!("instance {at}: InfluxDB is away (everywhere: {everywhere})"));
            for (of, instance) in instances.iter_mut().enumerate() {
                if everywhere || of == at {
                    instance.cut_off_until = until;
                }
            }
        }
    }
}

/// What InfluxDB holds, without points that only say "nothing".
fn numbers(influx: &Influx) -> Numbers {
    let mut numbers = Numbers::new();
    for ((resolution, secs, measurement, tags), fields) in &influx.points {
        let schema = processor_core::schema::ALL.iter().find(|of| of.name == *measurement);
        let names = schema.expect("the point is of the schema").fields.iter().map(|(name, _)| *name);
        let fields: BTreeMap<&'static str, FieldValue> = names.zip(fields.iter().cloned()).collect();
        let number = |name| match fields.get(name) {
            Some(FieldValue::Integer(value)) => *value,
            _ => 0,
        };
        let says_something = match *measurement {
            "http" | "http_status" => number("requests") > 0,
            "http_all" => number("requests") + number("users") > 0,
            "first_click" => number("checkouts") > 0,
            _ => true,
        };
        if says_something {
            let key: Key =
                (*resolution, measurement, tags.iter().map(|tag| tag.to_string()).collect(), *secs);
            numbers.insert(key, fields);
        }
    }
    numbers
}
