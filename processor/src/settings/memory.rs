//! What the memory budget is divided into.

use std::num::NonZeroUsize;

use processor_core::Limits;

use super::Settings;

/// Memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySettings {
    /// What the process is meant to stay within, bytes.
    pub budget: u64,
    /// How many instances share the partitions.
    pub instances: NonZeroUsize,
}

/// The budget's parts. A function of the settings and the number of tasks alone, and not of which tasks an instance has:
/// what has no room is then the same for all of them, and after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Payload fetched ahead of the workers, bytes.
    pub prefetch: usize,
    /// What a worker may have made and not published, bytes.
    pub unpublished: usize,
    /// Line protocol that may wait for a sink, bytes.
    pub sink_queue: u64,
    /// What a task keeps.
    pub limits: Limits,
    /// URLs that it tells apart: no more than `urls.max`.
    pub urls: usize,
    /// The least budget for so many tasks, where the one that is set is less.
    pub too_small: Option<u64>,
}

/// The program, its threads and clients without any traffic: 23 MB were measured.
const BASE: u64 = 28_000_000;
/// What is under way is half of the rest, and an eighth of it beyond this.
const IN_TRANSIT: u64 = 100_000_000;
/// More is fetched ahead no faster. In memory a record of 200 bytes takes three times as much.
const PREFETCH_MAX: u64 = 16_000_000;
const PREFETCH_MIN: u64 = 1_000_000;
/// A window's partial of hundreds of routes and a thousand URLs, a few times.
const UNPUBLISHED_MIN: u64 = 1_000_000;
/// A task before it keeps anything: empty tables, its open windows' series and response times.
const TASK: u64 = 1_000_000;
/// What a task is given at least, whatever the budget.
const TASK_MIN: u64 = 2_000_000;

/// A snapshot's frozen copy of a task is two fifths of it, and the one that is being written takes one and a half.
const FROZEN: (u64, u64) = (2, 5);
const WRITTEN: (u64, u64) = (3, 2);

/// Bytes of one of each, tables at their usual load and the allocator's rounding included.
mod bytes {
    /// Its slot, its place in the table, its name at the longest average.
    pub(super) const USER: u64 = 180;
    pub(super) const URL: u64 = 220;
    pub(super) const PRODUCT: u64 = 150;
    /// Of a user or URL in one window.
    pub(super) const IN_WINDOW: u64 = 24;
    pub(super) const ID: u64 = 16;
    pub(super) const CLICK: u64 = 24;
    pub(super) const WAITING_FACT: u64 = 80;
}

/// Hundredths of a task's share, after what shoppers leave behind in an hour: many clicks each, an id with every event.
mod share {
    pub(super) const EVENT_IDS: u64 = 29;
    pub(super) const USERS: u64 = 14;
    pub(super) const URLS: u64 = 8;
    pub(super) const CLICKS: u64 = 36;
    pub(super) const PRODUCTS: u64 = 8;
    pub(super) const CHECKOUT_IDS: u64 = 2;
    pub(super) const WAITING_FACTS: u64 = 3;
}

impl Settings {
    /// What is fetched ahead, payload bytes.
    #[must_use]
    pub fn prefetch_bytes(&self) -> u64 {
        (self.rest() / 16).clamp(PREFETCH_MIN, PREFETCH_MAX)
    }

    /// What the budget has besides the program itself.
    fn rest(&self) -> u64 {
        self.memory.budget.saturating_sub(BASE)
    }

    /// The parts of the budget for a stream of so many partition numbers.
    #[must_use]
    pub fn memory_plan(&self, tasks: u32) -> MemoryPlan {
        let rest = self.rest();
        let in_transit = (rest / 2).min(IN_TRANSIT + rest / 8);
        let tasks = u64::from(tasks).div_ceil(self.memory.instances.get() as u64).max(1);
        let (frozen, written) = if self.state.is_some() { (FROZEN, WRITTEN) } else { ((0, 1), (0, 1)) };
        // In tenths, for the fractions.
        let shares = 10 * tasks + 10 * tasks * frozen.0 / frozen.1 + 10 * written.0 / written.1;
        let of_task = (rest - in_transit) * 10 / shares;
        let needed = TASK_MIN * shares / 10;
        // Of so little, half is under way.
        let too_small = (of_task < TASK_MIN).then(|| BASE + 2 * needed);
        let of_task = of_task.max(TASK_MIN) - TASK;
        let in_windows = bytes::IN_WINDOW * (2 + self.open_windows() / 4);
        let fit = |share: u64, bytes: u64| usize::try_from((of_task * share / 100 / bytes).max(1));
        let fit = |share, bytes| fit(share, bytes).unwrap_or(usize::MAX);
        MemoryPlan {
            prefetch: usize::try_from(self.prefetch_bytes()).unwrap_or(usize::MAX),
            unpublished: usize::try_from((in_transit / 8 / self.workers.get() as u64).max(UNPUBLISHED_MIN))
                .unwrap_or(usize::MAX),
            sink_queue: in_transit / 8,
            limits: Limits {
                users: fit(share::USERS, bytes::USER + in_windows),
                products: fit(share::PRODUCTS, bytes::PRODUCT),
                event_ids: fit(share::EVENT_IDS, bytes::ID),
                checkout_ids: fit(share::CHECKOUT_IDS, bytes::ID),
                clicks: fit(share::CLICKS, bytes::CLICK),
                waiting_facts: fit(share::WAITING_FACTS, bytes::WAITING_FACT),
            },
            urls: self.urls_max.min(fit(share::URLS, bytes::URL + in_windows)),
            too_small,
        }
    }

    /// How many windows a user can be in at once; of these it is taken to be in a quarter, and in two hours besides.
    fn open_windows(&self) -> u64 {
        /// Nobody is in each of the windows of a day's lateness.
        const MAX: u64 = 32;
        let open_s = (self.windows.allowed_lateness + self.windows.out_of_orderness).as_secs();
        (open_s / self.windows.size.as_secs().max(1) + open_s / 60 + open_s / 3_600 + 6).min(MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::load;
    use super::*;

    fn plan(toml: &str, tasks: u32) -> MemoryPlan {
        load(toml, &[]).unwrap().memory_plan(tasks)
    }

    #[test]
    fn the_default_budget_keeps_what_ten_thousand_events_a_second_leave_behind() {
        let plan = plan("", 4);
        assert!(4 * plan.limits.event_ids > 670 * 10_000, "{plan:?}");
        // 23 of 100 events of the shoppers are clicks on products.
        assert!(4 * plan.limits.clicks > 3_670 * 2_300, "{plan:?}");
        assert!(4 * plan.limits.users > 250_000, "{plan:?}");
        assert_eq!(plan.too_small, None);
    }

    #[test]
    fn a_share_of_the_partitions_has_the_whole_budget() {
        let alone = plan("", 12);
        let three = plan("[memory]\ninstances = 3", 12);
        assert_eq!(three.limits, plan("", 4).limits);
        assert!(three.limits.users > 2 * alone.limits.users, "{three:?} {alone:?}");
    }

    #[test]
    fn snapshots_take_memory_and_so_do_more_open_windows() {
        let usual = plan("", 4).limits;
        let snapshots = plan("[state]\nurl = '/tmp/x'", 4).limits;
        assert!(snapshots.event_ids < usual.event_ids * 2 / 3, "{snapshots:?} {usual:?}");
        let late = plan("[windows]\nallowed_lateness = '1h'", 4).limits;
        assert!(late.users < usual.users, "{late:?} {usual:?}");
    }

    #[test]
    fn what_is_too_little_is_said_with_what_would_do() {
        let small = plan("[memory]\nbudget = '64MB'", 64);
        let enough = small.too_small.expect("a megabyte a task is too little");
        let budget = format!("[memory]\nbudget = '{}MB'", enough.div_ceil(1_000_000) + 1);
        assert_eq!(plan(&budget, 64).too_small, None);
        assert!(plan("[memory]\nbudget = '64MB'", 4).too_small.is_none());
    }

    #[test]
    fn the_url_limit_is_the_lesser_of_both() {
        assert_eq!(plan("[memory]\nbudget = '8GB'", 4).urls, 50_000);
        assert!(plan("[memory]\nbudget = '64MB'", 4).urls < 50_000);
        assert_eq!(plan("[urls]\nmax = 100", 4).urls, 100);
    }
}
