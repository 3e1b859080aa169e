//! A minute or an hour.

use std::sync::Arc;

use crate::analytics::WindowState;

/// What was folded into a minute or an hour. It changes seldom and can be large, so snapshots share it.
///
/// While one does, what comes is folded into a part of its own: to copy an hour of many users takes a tenth of a second.
/// Once the snapshot is let go of, the next part takes that along.
#[derive(Debug, Default)]
pub(super) struct Rollup {
    pub(super) start: i64,
    /// Changed since it was last sent on.
    pub(super) changed: bool,
    shared: Shared,
}

/// A rollup's state as it was, or is.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    state: Arc<WindowState>,
    /// Came while `state` was shared.
    since: Option<Box<WindowState>>,
}

impl Rollup {
    pub(super) fn new(start: i64) -> Self {
        Self { start, ..Self::default() }
    }

    /// One that was in a snapshot: it counts as changed.
    pub(super) fn loaded(start: i64, state: WindowState) -> Self {
        Self { start, changed: true, shared: Shared { state: Arc::new(state), since: None } }
    }

    pub(super) fn fold(&mut self, part: &WindowState) {
        let Shared { state, since } = &mut self.shared;
        match Arc::get_mut(state) {
            None => since.get_or_insert_default().fold(part),
            Some(state) => {
                if let Some(since) = since.take() {
                    state.fold(&since);
                }
                state.fold(part);
            }
        }
    }

    /// Copies what came since the last time, and shares the rest.
    pub(super) fn share(&self) -> Shared {
        self.shared.clone()
    }

    /// All of it.
    pub(super) fn into_whole(self) -> Arc<WindowState> {
        self.shared.into_whole()
    }

    /// What it adds up from.
    pub(super) fn parts(&self) -> impl Iterator<Item = &WindowState> {
        std::iter::once(&*self.shared.state).chain(self.shared.since.as_deref())
    }

    /// Estimated bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.parts().map(WindowState::bytes).sum()
    }
}

impl Shared {
    /// All of it; copied where there is more than what is shared.
    pub(super) fn into_whole(mut self) -> Arc<WindowState> {
        if let Some(since) = self.since.take() {
            Arc::make_mut(&mut self.state).fold(&since);
        }
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::quality::Uncounted;
    use crate::options::Options;
    use crate::snapshot::codec::Writer;
    use crate::tables::Tables;

    fn part() -> WindowState {
        let mut state = WindowState::default();
        state.quality.count(Uncounted::Late);
        state
    }

    fn bytes_of(whole: &WindowState) -> Vec<u8> {
        let ranks = Tables::new(&Options::default()).freeze().save(i64::MAX, &mut Writer::default());
        let mut writer = Writer::default();
        whole.save(&mut writer, &ranks);
        writer.bytes
    }

    #[test]
    fn what_a_snapshot_shares_is_not_copied_and_does_not_change() {
        let mut rollup = Rollup::new(0);
        let expected = |parts: usize| {
            let mut alone = WindowState::default();
            (0..parts).for_each(|_| alone.fold(&part()));
            bytes_of(&alone)
        };
        rollup.fold(&part());
        let first = rollup.share();
        rollup.fold(&part());
        let second = rollup.share();
        rollup.fold(&part());
        assert!(Arc::ptr_eq(&first.state, &rollup.shared.state), "nothing was copied");
        let mut live = WindowState::default();
        rollup.parts().for_each(|of| live.fold(of));
        assert_eq!(bytes_of(&live), expected(3), "what it adds up to");
        assert_eq!(bytes_of(&first.into_whole()), expected(1));
        assert_eq!(bytes_of(&second.into_whole()), expected(2));

        rollup.fold(&part());
        assert!(rollup.shared.since.is_none(), "taken along once nobody shares");
        assert_eq!(bytes_of(&rollup.into_whole()), expected(4));
    }
}
