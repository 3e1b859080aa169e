//! Incidents: the shop misbehaves for a while, so that dashboards and alerts have something to show.

mod topic;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use events::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use topic::follow;
pub use topic::{TOPIC, announce};

use crate::shoppers::{Effects, Route};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    /// 40 % of the requests end in a server error.
    ErrorSpike,
    /// Answers take eight times as long.
    Latency,
    /// Four fifths of the traffic stay away.
    TrafficDrop,
    /// Every search ends in a server error.
    SearchOutage,
}

/// The share of requests that fail in an error spike.
const SPIKE_SHARE: f64 = 0.4;
/// By how much answers are slower.
const SLOWER: u32 = 8;
/// The share of the traffic that remains in a drop.
const REMAINING: f64 = 0.2;

impl IncidentKind {
    /// Its name on the command line and in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorSpike => "error-spike",
            Self::Latency => "latency",
            Self::TrafficDrop => "traffic-drop",
            Self::SearchOutage => "search-outage",
        }
    }

    /// Whether it strikes a route, or the shop as a whole.
    #[must_use]
    pub const fn has_route(self) -> bool {
        matches!(self, Self::ErrorSpike | Self::Latency)
    }
}

/// One incident, as it stands in the incidents topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Different for every incident.
    pub id: String,
    /// What goes wrong.
    pub kind: IncidentKind,
    /// Where: a [`Route::name`]; `None` is everywhere.
    pub route: Option<String>,
    /// When it begins, in milliseconds since the epoch.
    pub start_ms: i64,
    /// When it is over, exclusive.
    pub end_ms: i64,
}

impl Incident {
    /// An incident that begins at `start`.
    #[must_use]
    pub fn new(kind: IncidentKind, route: Option<Route>, start: Timestamp, lasts: Duration) -> Self {
        let start_ms = start.millis();
        let lasts_ms = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
        Self {
            id: format!("{}-{start_ms}", kind.name()),
            kind,
            route: route.filter(|_| kind.has_route()).map(|route| route.name().to_owned()),
            start_ms,
            end_ms: start_ms.saturating_add(lasts_ms),
        }
    }

    /// What will be seen, in one sentence.
    #[must_use]
    pub fn effect(&self) -> String {
        let place = self.route.as_deref().unwrap_or("every route");
        match self.kind {
            IncidentKind::ErrorSpike => {
                format!("{:.0} % of the requests to {place} end in a server error", SPIKE_SHARE * 100.0)
            }
            IncidentKind::Latency => format!("answers of {place} take {SLOWER} times as long"),
            IncidentKind::TrafficDrop => format!("traffic falls to {:.0} %", REMAINING * 100.0),
            IncidentKind::SearchOutage => "every search ends in a server error".to_owned(),
        }
    }

    fn apply(&self, effects: &mut Effects) {
        let known = self.route.as_deref().map(Route::from_name);
        let strikes = |route: Route| known.is_none_or(|known| known == Some(route));
        match self.kind {
            IncidentKind::ErrorSpike => {
                Route::ALL.into_iter().filter(|r| strikes(*r)).for_each(|r| effects.fail(r, SPIKE_SHARE));
            }
            IncidentKind::Latency => {
                Route::ALL.into_iter().filter(|r| strikes(*r)).for_each(|r| effects.slow_down(r, SLOWER));
            }
            IncidentKind::TrafficDrop => effects.traffic *= REMAINING,
            IncidentKind::SearchOutage => effects.fail(Route::Search, 1.0),
        }
    }
}

/// The incidents a running producer knows of; clones share them, so another thread may start one.
#[derive(Debug, Clone, Default)]
pub struct Incidents {
    known: Arc<Mutex<Vec<Incident>>>,
}

/// More than this many incidents at once are not worth watching; the oldest are forgotten.
const INCIDENTS_MAX: usize = 64;

impl Incidents {
    /// No incident.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an incident; one with an id that is known already changes nothing.
    pub fn start(&self, incident: Incident) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|other| other.id == incident.id) {
            return;
        }
        if known.len() == INCIDENTS_MAX {
            known.remove(0);
        }
        known.push(incident);
    }

    /// Those that are going on at `now`.
    #[must_use]
    pub fn active(&self, now: Timestamp) -> Vec<Incident> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|i| (i.start_ms..i.end_ms).contains(&now.millis())).cloned().collect()
    }

    /// What those going on at `now` do to the shop.
    #[must_use]
    pub fn effects(&self, now: Timestamp) -> Effects {
        let mut effects = Effects::default();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for incident in known.iter().filter(|i| (i.start_ms..i.end_ms).contains(&now.millis())) {
            incident.apply(&mut effects);
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_acts_from_its_start_until_before_its_end() {
        let incidents = Incidents::new();
        let start = Timestamp::from_secs(2_000_000_000);
        incidents.start(Incident::new(IncidentKind::TrafficDrop, None, start, Duration::from_secs(10)));
        let traffic = |ms: i64| incidents.effects(Timestamp::from_millis(2_000_000_000_000 + ms)).traffic;
        assert_eq!(
            [traffic(-1), traffic(0), traffic(9_999), traffic(10_000)],
            [1.0, REMAINING, REMAINING, 1.0]
        );
    }

    #[test]
    fn an_incident_read_twice_acts_once() {
        let incidents = Incidents::new();
        let start = Timestamp::from_secs(2_000_000_000);
        let incident = Incident::new(IncidentKind::TrafficDrop, None, start, Duration::from_secs(10));
        incidents.start(incident.clone());
        incidents.start(incident);
        assert_eq!(incidents.active(start).len(), 1);
    }

    #[test]
    fn the_record_has_the_agreed_fields() {
        let start = Timestamp::from_secs(2_000_000_000);
        let lasts = Duration::from_secs(90);
        let incident = Incident::new(IncidentKind::ErrorSpike, Some(Route::Checkout), start, lasts);
        assert_eq!(
            serde_json::to_string(&incident).unwrap(),
            r#"{"id":"error-spike-2000000000000","kind":"error-spike","route":"/checkout","start_ms":2000000000000,"end_ms":2000000090000}"#
        );
    }

    #[test]
    fn a_spike_on_one_route_leaves_the_others_alone() {
        let start = Timestamp::from_secs(2_000_000_000);
        let incident = |route| Incident::new(IncidentKind::ErrorSpike, route, start, Duration::from_secs(1));
        let (mut one, mut expected) = (Effects::default(), Effects::default());
        incident(Some(Route::Checkout)).apply(&mut one);
        expected.fail(Route::Checkout, SPIKE_SHARE);
        assert_eq!(one, expected);
    }
}
