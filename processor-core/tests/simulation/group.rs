//! The consumer group: members, generations, who owns which partition (eager, as the processor's `range` is).

use std::collections::BTreeMap;

use super::kafka::{Partition, Topic};
use super::random::Random;

/// A member that is not heard of for so long is no member any more.
pub(crate) const SESSION_TIMEOUT: i64 = 30_000_000;
/// A rebalance waits so long for members to join again.
const REBALANCE_TIMEOUT: i64 = 30_000_000;

/// What a member says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) member: u32,
    pub(crate) generation: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupError {
    UnknownMember,
    IllegalGeneration,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heartbeat {
    Stable,
    /// Give up what you have and join again.
    Rebalancing,
    UnknownMember,
}

struct Member {
    seen_at: i64,
    joined: bool,
    generation: i32,
}

#[derive(Default)]
pub(crate) struct Group {
    pub(crate) partitions: Vec<Partition>,
    generation: i32,
    members: BTreeMap<u32, Member>,
    next_member: u32,
    rebalancing_since: Option<i64>,
    owners: BTreeMap<Partition, u32>,
}

impl Group {
    /// Joins as a new member or again; the next generation begins when all have, or the wait is over.
    pub(crate) fn join(&mut self, member: Option<u32>, now: i64) -> u32 {
        let member = member.filter(|of| self.members.contains_key(of)).unwrap_or_else(|| {
            self.next_member += 1;
            self.next_member
        });
        let generation = self.members.get(&member).map_or(0, |of| of.generation);
        self.members.insert(member, Member { seen_at: now, joined: true, generation });
        self.rebalancing_since.get_or_insert(now);
        member
    }

    pub(crate) fn leave(&mut self, member: u32, now: i64) {
        if self.members.remove(&member).is_some() {
            self.rebalancing_since.get_or_insert(now);
        }
    }

    pub(crate) fn heartbeat(&mut self, by: Membership, now: i64) -> Heartbeat {
        let Some(member) = self.members.get_mut(&by.member) else { return Heartbeat::UnknownMember };
        member.seen_at = now;
        if self.rebalancing_since.is_some() && !member.joined {
            Heartbeat::Rebalancing
        } else {
            Heartbeat::Stable
        }
    }

    /// What a joined member got, once the generation has begun.
    pub(crate) fn assignment(&self, member: u32) -> Result<Option<(i32, Vec<Partition>)>, GroupError> {
        let of = self.members.get(&member).ok_or(GroupError::UnknownMember)?;
        if self.rebalancing_since.is_some() || of.generation != self.generation {
            return Ok(None);
        }
        let mine = self.owners.iter().filter(|(_, owner)| **owner == member);
        Ok(Some((self.generation, mine.map(|(partition, _)| *partition).collect())))
    }

    pub(crate) fn check(&self, by: Membership) -> Result<(), GroupError> {
        let member = self.members.get(&by.member).ok_or(GroupError::UnknownMember)?;
        if member.generation == by.generation && by.generation == self.generation {
            Ok(())
        } else {
            Err(GroupError::IllegalGeneration)
        }
    }

    /// A plain commit counts as a sign of life, as a heartbeat does; one in a transaction does not.
    pub(crate) fn committed(&mut self, by: Membership, now: i64) {
        if let Some(member) = self.members.get_mut(&by.member) {
            member.seen_at = now;
        }
    }

    /// Time passes: members are given up, generations begin.
    pub(crate) fn turn(&mut self, now: i64, random: &mut Random) {
        let before = self.members.len();
        self.members.retain(|_, member| now - member.seen_at <= SESSION_TIMEOUT);
        if self.members.len() < before {
            self.rebalancing_since.get_or_insert(now);
        }
        let Some(since) = self.rebalancing_since else { return };
        if now - since > REBALANCE_TIMEOUT {
            self.members.retain(|_, member| member.joined);
        }
        if self.members.is_empty() || !self.members.values().all(|member| member.joined) {
            return;
        }
        self.rebalancing_since = None;
        self.generation += 1;
        let members: Vec<u32> = self.members.keys().copied().collect();
        for member in self.members.values_mut() {
            member.joined = false;
            member.generation = self.generation;
        }
        self.owners.clear();
        let (tasks, merges) = (random.below(8) as usize, random.below(8) as usize);
        for (topic, at) in &self.partitions {
            let turned = *at as usize + if *topic == Topic::Input { tasks } else { merges };
            self.owners.insert((*topic, *at), members[turned % members.len()]);
        }
    }
}
