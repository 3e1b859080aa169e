//! Whether this process still is a member of its group, as far as it can know.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;

/// What the group has confirmed of this member: its generation, for transactions, and until when its partitions cannot
/// be another's, for sinks that have no fencing of their own.
///
/// A process can be stopped for minutes (a paused container, a suspended machine) and go on without knowing that its
/// partitions went to others. Kafka refuses what it then publishes or commits; InfluxDB would take an older value over
/// a newer one. So who writes there asks [`Membership::time_left`] right before each request: an answer of the group is
/// a lease that ends before the group could have given the partitions away. It is measured by the monotonic clock from
/// *sending* the request that the group answered.
#[derive(Default)]
pub struct Membership {
    state: Mutex<State>,
    lease: Duration,
}

#[derive(Default)]
struct State {
    generation: Option<Arc<ConsumerGroupMetadata>>,
    confirmed_at: Option<Instant>,
    /// Of any answer, also to a transaction, which Kafka does not take for a sign of life of the member.
    answered_at: Option<Instant>,
    /// The same, whatever became of the membership since.
    heard_at: Option<Instant>,
    /// When the commits were sent that are not answered yet, the oldest first.
    sent: VecDeque<Instant>,
}

/// Taken off the session timeout: what may have passed since the last sign of life that the group did count (a
/// heartbeat every 3 s), and the pause between asking for the time left and the request's arrival.
const MARGIN: Duration = Duration::from_secs(10);

/// How old the last answer may get. Far below any lease, and the pace at which quiet streams move on.
const RENEW_AFTER: Duration = Duration::from_secs(2);

impl Membership {
    /// Of a group with this session timeout. A timeout below 20 s leaves half of it.
    #[must_use]
    pub fn new(session_timeout: Duration) -> Self {
        let lease = session_timeout.saturating_sub(MARGIN).max(session_timeout / 2);
        Self { state: Mutex::default(), lease }
    }

    /// How long writing to a sink is certainly this member's right. Zero: not known, so nothing may be written.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        let confirmed_at = self.state().confirmed_at;
        confirmed_at.map_or(Duration::ZERO, |at| (at + self.lease).saturating_duration_since(Instant::now()))
    }

    /// How long an answer of the group vouches for the membership.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// How long ago the request was sent that Kafka answered last; `None` while nothing is assigned or answered.
    ///
    /// Kafka was there then. So this is how far the wall clock may be believed where it stands for "nothing came": a
    /// partition of a Kafka that cannot be reached is silent for another reason.
    #[must_use]
    pub fn answered_ago(&self) -> Option<Duration> {
        self.state().answered_at.map(|at| at.elapsed())
    }

    /// How long ago the request was sent that Kafka answered last, in this membership or an earlier one.
    #[must_use]
    pub fn silent_for(&self) -> Option<Duration> {
        self.state().heard_at.map(|at| at.elapsed())
    }

    /// Whether it is time to ask Kafka anything, for want of something new to publish.
    #[must_use]
    pub fn wants_answer(&self) -> bool {
        self.answered_ago().is_none_or(|ago| ago >= RENEW_AFTER)
    }

    /// Whether it is time to ask the group again, for want of anything else to commit.
    #[must_use]
    pub fn wants_renewal(&self) -> bool {
        self.state().confirmed_at.is_none_or(|at| at.elapsed() >= RENEW_AFTER)
    }

    /// The generation that partitions were assigned in; `None` while none are.
    #[must_use]
    pub fn generation(&self) -> Option<Arc<ConsumerGroupMetadata>> {
        self.state().generation.clone()
    }

    /// The group accepted a commit sent at `sent_at`: a sign of life that it counts.
    pub fn confirm(&self, sent_at: Instant) {
        let mut state = self.state();
        if state.generation.is_some() {
            state.confirmed_at = state.confirmed_at.max(Some(sent_at));
            state.answered_at = state.answered_at.max(Some(sent_at));
            state.heard_at = state.heard_at.max(Some(sent_at));
        }
    }

    /// Kafka accepted offsets of this member in a transaction begun at `sent_at`.
    pub fn answer(&self, sent_at: Instant) {
        let mut state = self.state();
        if state.generation.is_some() {
            state.answered_at = state.answered_at.max(Some(sent_at));
            state.heard_at = state.heard_at.max(Some(sent_at));
        }
    }

    pub(super) fn joined(&self, generation: ConsumerGroupMetadata) {
        self.state().generation = Some(Arc::new(generation));
    }

    /// The partitions are gone: nothing may be written or published any more.
    pub fn left(&self) {
        let mut state = self.state();
        state.generation = None;
        state.confirmed_at = None;
        state.answered_at = None;
    }

    pub(super) fn commit_sent(&self) {
        self.state().sent.push_back(Instant::now());
    }

    pub(super) fn commit_answered(&self, accepted: bool) {
        let sent_at = self.state().sent.pop_front();
        if let Some(sent_at) = sent_at.filter(|_| accepted) {
            self.confirm(sent_at);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_may_be_written_before_the_group_has_confirmed_anything() {
        let membership = Membership::new(Duration::from_secs(45));
        membership.confirm(Instant::now());
        assert_eq!(membership.time_left(), Duration::ZERO, "no partitions are assigned");
        assert!(membership.wants_renewal());
    }

    #[test]
    fn the_lease_ends_before_the_group_could_give_the_partitions_away() {
        for session in [6, 20, 45] {
            let session = Duration::from_secs(session);
            assert!(Membership::new(session).lease < session);
        }
        assert_eq!(Membership::new(Duration::from_secs(45)).lease, Duration::from_secs(35));
    }
}
