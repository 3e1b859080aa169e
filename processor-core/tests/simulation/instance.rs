//! A process: a member of the group with its workers, its queue to InfluxDB, and its own idea of the time.

use std::collections::VecDeque;
use std::rc::Rc;

use processor_core::{Delivery, EpochId};

use super::bugs::Bug;
use super::group::{Heartbeat, Membership, SESSION_TIMEOUT};
use super::influx::{Batch, SLOW_MAX};
use super::kafka::Topic;
use super::stage1::{Fatal, Stage1};
use super::stage2::Stage2;
use super::world::World;

/// Taken off the session timeout for the lease: the group may have heard the last sign of life before the commit.
const LEASE: i64 = SESSION_TIMEOUT - 8_000_000;
/// How long a rebalance waits for what is under way.
const SETTLE_TIMEOUT: i64 = 10_000_000;
const HEARTBEAT: i64 = 3_000_000;
/// How long a leaving instance waits for what it has under way.
const LEAVE_DEADLINE: i64 = 60_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Up,
    /// It does nothing, and will go on as if nothing had happened.
    Stalled {
        until: i64,
    },
    Down {
        until: i64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Outside,
    /// Waits for the next generation.
    Joining,
    Member,
    /// A rebalance began: it lets go.
    Revoking,
    /// The group does not know it any more.
    Lost,
}

struct Worker {
    stage1: Stage1,
    stage2: Stage2,
}

pub(crate) struct Instance {
    id: usize,
    pub(crate) life: Life,
    /// Its wall clock's error.
    pub(crate) clock_off: i64,
    /// Until then InfluxDB is not to be reached from here.
    pub(crate) cut_off_until: i64,
    phase: Phase,
    member: Option<u32>,
    generation: i32,
    heartbeat_at: i64,
    /// When it sent the last commit that the group took: its lease begins there.
    confirmed_at: i64,
    revoking_since: i64,
    /// Until then its heartbeats do not arrive, whatever else does.
    pub(crate) unheard_until: i64,
    leaving_since: Option<i64>,
    workers: Vec<Worker>,
    /// Points to be written, with the worker and epoch that wait for it.
    queue: VecDeque<(usize, EpochId, Rc<Batch>)>,
    request: Option<u64>,
}

impl Instance {
    pub(crate) fn new(id: usize, world: &mut World<'_>) -> Self {
        let workers = world.workers;
        let worker = |at: usize| {
            let transactional_id =
                if world.stable_ids { (id * 100 + at) as u64 } else { 1_000_000 + world.new_run() };
            Worker { stage1: Stage1::new(world.delivery, transactional_id), stage2: Stage2::default() }
        };
        Self {
            id,
            life: Life::Up,
            clock_off: 0,
            cut_off_until: 0,
            phase: Phase::Outside,
            member: None,
            generation: 0,
            heartbeat_at: 0,
            confirmed_at: i64::MIN,
            revoking_since: 0,
            unheard_until: 0,
            leaving_since: None,
            workers: (0..workers).map(worker).collect(),
            queue: VecDeque::new(),
            request: None,
        }
    }

    fn membership(&self) -> Membership {
        Membership { member: self.member.unwrap_or(0), generation: self.generation }
    }

    pub(crate) fn owned(&self) -> usize {
        self.workers.iter().map(|worker| worker.stage1.owned() + worker.stage2.owned()).sum()
    }

    pub(crate) fn ended_tasks(&self) -> usize {
        self.workers.iter().map(|worker| worker.stage1.ended()).sum()
    }

    pub(crate) fn is_done(&self, world: &World<'_>) -> bool {
        let done = |worker: &Worker| worker.stage1.is_idle() && worker.stage2.is_done(world);
        self.phase == Phase::Member && self.queue.is_empty() && self.workers.iter().all(done)
    }

    /// What it waits for, for people.
    pub(crate) fn describe(&self, world: &World<'_>) -> String {
        let worker =
            |of: &Worker| format!("{} merges done: {}", of.stage1.describe(), of.stage2.is_done(world));
        let workers: Vec<String> = self.workers.iter().map(worker).collect();
        format!("{:?} {:?}, {} batches queued, {workers:?}", self.life, self.phase, self.queue.len())
    }

    /// To leave as SIGTERM asks for: write what there is, then go.
    pub(crate) fn leave(&mut self, world: &mut World<'_>) {
        self.leaving_since = Some(world.now);
        let now = world.now + self.clock_off;
        for worker in &mut self.workers {
            worker.stage1.tick(world, now, 3_600_000_000);
            worker.stage1.seal(world);
        }
    }

    /// Whether it left the group: the process has ended.
    fn left(&mut self, world: &mut World<'_>) -> bool {
        let Some(since) = self.leaving_since else { return false };
        let idle = |worker: &Worker| worker.stage1.is_idle() && worker.stage2.is_idle();
        let idle = self.workers.iter().all(idle) && self.queue.is_empty();
        let settled = self.request.is_none() && self.workers.iter().all(|of| !of.stage1.is_deciding());
        if !(idle || world.now - since > LEAVE_DEADLINE && settled) {
            return false;
        }
        world.kafka.group.leave(self.member.unwrap_or(0), world.now);
        self.life = Life::Down { until: world.now + world.random.below(90_000_000) as i64 };
        true
    }

    /// Heartbeats come from a thread of their own, however long the rest takes.
    pub(crate) fn heartbeat(&mut self, world: &mut World<'_>) {
        if world.now < self.heartbeat_at || self.phase == Phase::Outside {
            return;
        }
        self.heartbeat_at = world.now + HEARTBEAT;
        if world.now < self.unheard_until && world.faults || world.fault(5) {
            return;
        }
        match world.kafka.group.heartbeat(self.membership(), world.now) {
            Heartbeat::Stable => {}
            Heartbeat::Rebalancing => {
                if self.phase == Phase::Member {
                    self.phase = Phase::Revoking;
                    self.revoking_since = world.now;
                    if world.delivery == Delivery::ExactlyOnce {
                        // What was read is published before the partitions are given away.
                        self.workers.iter_mut().for_each(|worker| worker.stage1.seal(world));
                    }
                }
            }
            Heartbeat::UnknownMember => {
                self.phase = Phase::Lost;
                self.workers.iter_mut().for_each(|worker| worker.stage1.lose());
            }
        }
    }

    /// After a stall the heartbeat may take a while to be answered: until then it does not know what it missed.
    pub(crate) fn wake(&mut self, world: &mut World<'_>) {
        self.life = Life::Up;
        self.heartbeat_at = world.now + world.random.below(4 * HEARTBEAT as u64) as i64;
    }

    /// Takes part in the group: joins, lets go, takes what it is assigned.
    fn group(&mut self, world: &mut World<'_>) {
        match self.phase {
            Phase::Outside => self.join(world),
            Phase::Joining => {
                let member = self.member.expect("it has joined");
                match world.kafka.group.assignment(member) {
                    Ok(None) => {}
                    Err(_) => self.phase = Phase::Outside,
                    Ok(Some((generation, partitions))) => {
                        let id = self.id;
                        world.note(|| format!("instance {id}: generation {generation}: {partitions:?}"));
                        self.generation = generation;
                        self.phase = Phase::Member;
                        self.workers.iter_mut().for_each(|worker| worker.stage1.accepted());
                        for (topic, partition) in partitions {
                            let worker = partition as usize % self.workers.len();
                            let worker = &mut self.workers[worker];
                            match topic {
                                Topic::Partials => worker.stage2.assign(partition),
                                _ => worker.stage1.assign(partition),
                            }
                        }
                    }
                }
            }
            Phase::Member => {}
            Phase::Revoking | Phase::Lost => {
                // A transaction is decided first. A write that is under way may still arrive, so the partitions
                // are kept until it was answered, unless they are lost already. The rest is not waited for long.
                if self.workers.iter().any(|worker| worker.stage1.is_deciding()) {
                    return;
                }
                if self.phase == Phase::Revoking {
                    let settled =
                        self.queue.is_empty() && self.workers.iter().all(|of| of.stage1.is_settled());
                    let waited = world.now - self.revoking_since > SETTLE_TIMEOUT;
                    if self.request.is_some() || !(settled || waited) {
                        return;
                    }
                }
                self.let_go(world);
                self.join(world);
            }
        }
    }

    fn let_go(&mut self, world: &mut World<'_>) {
        for worker in &mut self.workers {
            worker.stage1.forget(world);
            worker.stage2.forget();
        }
        if world.bug != Some(Bug::StalePointsKept) {
            // What they were made from is the next owner's to write.
            for (worker, epoch, _) in self.queue.drain(..) {
                self.workers[worker].stage2.durable(epoch);
            }
        }
        self.request = None;
    }

    fn join(&mut self, world: &mut World<'_>) {
        self.member = Some(world.kafka.group.join(self.member, world.now));
        self.confirmed_at = i64::MIN;
        self.workers.iter_mut().for_each(|worker| worker.stage1.confirmed_at = i64::MIN);
        self.phase = Phase::Joining;
    }

    /// Does one thing.
    pub(crate) fn step(&mut self, world: &mut World<'_>) {
        let now = world.now + self.clock_off;
        let by = self.membership();
        let holds = matches!(self.phase, Phase::Member | Phase::Revoking | Phase::Lost);
        let reads = holds && self.leaving_since.is_none();
        let at = world.random.below(self.workers.len() as u64) as usize;
        let worker = &mut self.workers[at];
        let waits = self.phase != Phase::Member && world.random.chance(50);
        match if waits { 0 } else { world.random.below(16) } {
            0 => self.group(world),
            1 => {
                worker.stage1.start(world, now);
                worker.stage2.start(world);
            }
            2..=4 if reads && worker.stage1.may_read() => worker.stage1.read(world, now),
            5 | 6 if reads && worker.stage1.may_read() => {
                worker.stage1.tick(world, now, 0);
                if world.draining {
                    worker.stage1.end(world);
                }
                worker.stage1.seal(world);
            }
            7..=9 => {
                if let Err(Fatal) = worker.stage1.publish(world, by) {
                    self.crash(world);
                }
            }
            10 | 11 if holds => worker.stage2.read(world),
            12 if holds => {
                if let Some((epoch, batch)) = worker.stage2.seal(world) {
                    self.queue.push_back((at, epoch, batch));
                }
            }
            13 | 14 => self.write(world),
            15 => {
                if holds && worker.stage2.commit(world, by) {
                    self.confirmed_at = world.now;
                }
                self.look(world);
            }
            _ => {}
        }
        if self.life == Life::Up {
            self.left(world);
        }
    }

    /// Sends the next points, or hears what became of them.
    fn write(&mut self, world: &mut World<'_>) {
        if let Some(request) = self.request {
            let Some(answer) = world.influx.answer(request, world.now) else { return };
            self.request = None;
            if answer.is_ok()
                && let Some((worker, epoch, _)) = self.queue.pop_front()
            {
                self.workers[worker].stage2.durable(epoch);
            }
            return;
        }
        // The lease: whoever may have lost its partitions sends nothing, so nothing arrives after the next owner's.
        let confirmed =
            self.workers.iter().map(|worker| worker.stage1.confirmed_at).fold(self.confirmed_at, i64::max);
        let leased = world.now.saturating_sub(confirmed).saturating_add(SLOW_MAX) < LEASE;
        if !leased && world.bug != Some(Bug::StalePointsKept) {
            return;
        }
        if let Some((_, _, batch)) = self.queue.front() {
            let id = self.id;
            let World { influx, random, .. } = world;
            let away = world.now < self.cut_off_until;
            self.request = Some(influx.send(batch, world.now, random, world.faults, away));
            let (batch, points) = (batch.id, batch.points.len());
            world.note(|| format!("instance {id}: sends batch {batch} of {points} points"));
        }
    }

    /// Looks at what the merges, its own and others', have committed.
    fn look(&mut self, world: &World<'_>) {
        let mut frontier = self.workers.iter().map(|worker| worker.stage2.frontier()).max();
        for merge in 0..world.merges {
            let Ok(Some(committed)) = world.kafka.fetch_offset((Topic::Partials, merge)) else { continue };
            let of = processor_core::MergeCheckpoint::parse(committed.offset, &committed.metadata).frontier;
            frontier = frontier.max(Some(of));
            for worker in &mut self.workers {
                worker.stage1.merged(merge, committed.offset);
            }
        }
        for worker in &mut self.workers {
            worker.stage1.frontier = worker.stage1.frontier.max(frontier.unwrap_or(i64::MIN));
        }
    }

    pub(crate) fn crash(&mut self, world: &mut World<'_>) {
        let id = self.id;
        world.note(|| format!("instance {id}: CRASH"));
        self.life = Life::Down { until: world.now + world.random.below(60_000_000) as i64 };
    }
}
