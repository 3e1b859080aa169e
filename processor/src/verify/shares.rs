//! Who counts whose events: tasks, and the ids they know.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use events::{Event, EventType};
use xxhash_rust::xxh3::xxh3_64;

use super::aside::Position;
use super::facts::{Fact, Facts, Kind as FactKind, Line};
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
    pub(super) currencies: Limit,
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

/// The partition of the by-user topic that an event goes to: part of that topic's format. By its user, else by its id,
/// else by the partition it came from.
pub(super) fn by_user_partition(event: &Event<'_>, from: i32, partitions: u32) -> usize {
    match event.user_id.or(event.event_id) {
        Some(text) => (xxh3_64(text.as_bytes()) % u64::from(partitions)) as usize,
        None => from.unsigned_abs() as usize % partitions as usize,
    }
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
            currencies: Limit::new(rules.currencies_max),
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
        let user = event.user_id.map(|user| hour.users.number(&route::name(user)));
        let request = event.http_status.map(|_| {
            let horizon = watermark.saturating_sub(rules.name_life());
            let Some(path) = event.url.and_then(route::path) else {
                return (None, hour.routes.number(route::NO_URL));
            };
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
            (Some(url), route)
        });
        let counts = hour.windows.entry(rules.window_of(time)).or_default();
        counts.event(self.partition as u32, event, user, request);
        for (reason, fields) in [("incomplete", event.notes.incomplete), ("unusable", event.notes.unusable)] {
            if !fields.is_empty() {
                *counts.quality.entry(reason).or_default() += 1;
            }
        }
        counts.saw(position.0, position.1, position.2);
    }

    /// Keeps what first click is decided by.
    pub(super) fn keep(
        &mut self,
        hours: &mut BTreeMap<i64, Hour>,
        event: &Event<'_>,
        order: (u16, i32, i64),
        sure: bool,
        watermark: i64,
        rules: &Rules,
    ) {
        let time = event.time.micros();
        let Some(user) = event.user_id else { return };
        let horizon = watermark.saturating_sub(rules.name_life());
        let mut sure = sure;
        let kind = match event.kind {
            EventType::ProductClick if event.product_id.is_some() => {
                let campaigns = &mut self.campaigns;
                let mut take = |id| Arc::clone(campaigns.take(&route::name(id), time, horizon));
                FactKind::Click { campaign: event.campaign_id.map(&mut take) }
            }
            EventType::Checkout => {
                let mut is_first = true;
                if let Some(id) = event.checkout_id {
                    // No text has this byte.
                    let line = mark(&format!("{id}\0{}", event.product_id.unwrap_or("\0")));
                    let of = self.facts.line(mark(id), line, time, sure);
                    if let Line::Repeat { sure } = of {
                        let hour = hours.entry(time.div_euclid(HOUR) * HOUR).or_default();
                        let counts = hour.windows.entry(rules.window_of(time)).or_default();
                        let repeats = if sure { &mut counts.quality } else { &mut counts.may };
                        *repeats.entry("repeated_checkout").or_default() += 1;
                        if !self.facts.is_unsure(line) {
                            return;
                        }
                    }
                    (is_first, sure) = match of {
                        Line::First { sure } => (true, sure),
                        Line::Further { sure } => (false, sure),
                        Line::Repeat { .. } => (false, false),
                    };
                }
                let currency = event.currency.filter(|text| !text.is_empty());
                let currency = route::name(currency.unwrap_or(&rules.default_currency));
                let currency = Arc::clone(self.currencies.take(&currency, time, horizon));
                FactKind::Checkout { cents: event.amount_cents.unwrap_or(0), currency, is_first }
            }
            _ => return,
        };
        self.facts.push(Fact {
            time,
            cause: event.kind.cause_rank(),
            input: order.0,
            partition: order.1,
            offset: order.2,
            user: mark(user),
            product: event.product_id.map(mark),
            kind,
            sure,
        });
    }
}
