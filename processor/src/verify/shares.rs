//! Who counts whose events: tasks, and the ids they know.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use events::{Event, EventType};
use xxhash_rust::xxh3::xxh3_64;

use super::aside::Position;
use super::facts::{Fact, Facts, Kind as FactKind};
use super::hour::Hour;
use super::model::LogOptions;
use super::names::Limit;
use super::repeats::{Repeats, mark};
use super::route::{self, OTHER};
use super::rules::{HOUR, Rules};
use super::watermark::NOT_BEGUN;

/// What the inputs of one partition number share.
#[derive(Debug)]
pub(super) struct Task {
    partition: i32,
    pub(super) facts: Facts,
    pub(super) urls: Limit,
    pub(super) routes: Limit,
    pub(super) campaigns: Limit,
    pub(super) forgot_at: i64,
}

/// The tasks and the ids that logs share.
#[derive(Debug, Default)]
pub(super) struct Shares {
    pub(super) tasks: Vec<Task>,
    pub(super) repeats: Vec<Repeats>,
    /// By input and task: where it is re-keyed, events of one user come from any of its partitions.
    of_users: HashMap<(u16, usize), usize>,
}

impl Shares {
    /// Those of a log, by the partitions of the by-user topic; one where it is keyed.
    pub(super) fn of(&mut self, log: &LogOptions, rules: &Rules) -> Vec<(usize, usize)> {
        let Some(partitions) = log.rekeyed else {
            let task = self.task(log.partition, rules);
            return vec![(task, self.ids(rules))];
        };
        let shares = (0..partitions).map(|partition| {
            let task = self.task(i32::try_from(partition).unwrap_or(i32::MAX), rules);
            let known = self.of_users.get(&(log.input, task)).copied();
            let ids = known.unwrap_or_else(|| self.ids(rules));
            self.of_users.insert((log.input, task), ids);
            (task, ids)
        });
        shares.collect()
    }

    fn task(&mut self, partition: i32, rules: &Rules) -> usize {
        let known = self.tasks.iter().position(|task| task.partition == partition);
        known.unwrap_or_else(|| {
            self.tasks.push(Task::new(partition, rules));
            self.tasks.len() - 1
        })
    }

    fn ids(&mut self, rules: &Rules) -> usize {
        self.repeats.push(Repeats::new(rules.dedup));
        self.repeats.len() - 1
    }
}

/// The partition of the by-user topic that a user's events go to: part of that topic's format.
pub(super) fn by_user_partition(user: &str, partitions: u32) -> usize {
    (xxh3_64(user.as_bytes()) % u64::from(partitions)) as usize
}

/// In which order inputs decide at the same moment of event time: keyed ones come first.
pub(super) fn ranks(logs: &[LogOptions]) -> HashMap<u16, u16> {
    let inputs: BTreeSet<_> = logs.iter().map(|log| (log.rekeyed.is_some(), log.input)).collect();
    inputs.into_iter().zip(0..).map(|((_, input), rank)| (input, rank)).collect()
}

impl Task {
    fn new(partition: i32, rules: &Rules) -> Self {
        Self {
            partition,
            facts: Facts::new(rules),
            urls: Limit::new(rules.urls_max),
            routes: Limit::new(rules.routes_max),
            campaigns: Limit::new(rules.campaigns_max),
            forgot_at: NOT_BEGUN,
        }
    }

    pub(super) fn count(
        &mut self,
        hours: &mut BTreeMap<i64, Hour>,
        event: &Event<'_>,
        position: Position,
        watermark: i64,
        rules: &Rules,
    ) {
        let time = event.time.micros();
        let hour = hours.entry(time.div_euclid(HOUR) * HOUR).or_default();
        let user = hour.users.number(event.user_id.unwrap_or_default());
        let request = event.http_status.map(|_| {
            let horizon = watermark.saturating_sub(rules.name_life());
            let path = route::path(event.url.unwrap_or_default());
            let known = self.urls.take(&path, time, horizon);
            let (is_other, url) = (**known == *OTHER, hour.urls.number(known));
            let routes = &mut self.routes;
            let mut find = || {
                let route = route::route(&path, rules.template_routes);
                Arc::clone(routes.take(&route, time, horizon))
            };
            // A URL that found no room still has a route of its own.
            let route = if is_other {
                let route = find();
                hour.route_of(url, || OTHER.into());
                hour.routes.number(&route)
            } else {
                hour.route_of(url, find)
            };
            (url, route)
        });
        let counts = hour.windows.entry(rules.window_of(time)).or_default();
        counts.event(self.partition as u32, event, user, request);
        counts.saw(position.0, position.1, position.2);
    }

    /// Keeps what first click is decided by.
    pub(super) fn keep(
        &mut self,
        event: &Event<'_>,
        order: (u16, i32, i64),
        sure: bool,
        watermark: i64,
        rules: &Rules,
    ) {
        let time = event.time.micros();
        let mut sure = sure;
        let kind = match event.kind {
            EventType::ProductClick => {
                let horizon = watermark.saturating_sub(rules.name_life());
                let campaigns = &mut self.campaigns;
                let campaign = event.campaign_id.map(|id| Arc::clone(campaigns.take(id, time, horizon)));
                FactKind::Click { campaign }
            }
            EventType::Checkout => {
                if let Some(id) = event.checkout_id {
                    match self.facts.first_of_its_id(mark(id), time, sure) {
                        Some(is_sure) => sure = is_sure,
                        None => return,
                    }
                }
                FactKind::Checkout { cents: event.amount_cents.unwrap_or(0) }
            }
            _ => return,
        };
        let Some(product) = event.product_id else { return };
        self.facts.push(Fact {
            time,
            cause: event.kind.cause_rank(),
            input: order.0,
            partition: order.1,
            offset: order.2,
            user: mark(event.user_id.unwrap_or_default()),
            product: mark(product),
            kind,
            sure,
        });
    }
}
