//! Incidents started from the page.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Shortest and longest incident, seconds.
const SECONDS: std::ops::RangeInclusive<u64> = 5..=600;

/// What can be made to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    /// A route answers with errors.
    ErrorSpike,
    /// A route becomes slow.
    Latency,
    /// Shoppers stay away.
    TrafficDrop,
    /// The search finds nothing.
    SearchOutage,
}

impl IncidentKind {
    /// Every kind, in the order the page shows them.
    pub const ALL: [Self; 4] = [Self::ErrorSpike, Self::Latency, Self::TrafficDrop, Self::SearchOutage];

    /// The name used on the command line and in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorSpike => "error-spike",
            Self::Latency => "latency",
            Self::TrafficDrop => "traffic-drop",
            Self::SearchOutage => "search-outage",
        }
    }
}

/// A checked wish for an incident that begins now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentRequest {
    /// What goes wrong.
    pub kind: IncidentKind,
    /// Where, one of the handler's routes; `None`: everywhere.
    pub route: Option<String>,
    /// For how long.
    pub duration: Duration,
}

/// Starts incidents.
#[derive(Clone)]
pub struct IncidentHandler {
    routes: Arc<[String]>,
    start: Arc<StartIncident>,
}

type StartIncident = dyn Fn(IncidentRequest) -> Result<(), String> + Send + Sync;

impl IncidentHandler {
    /// Incidents on any of `routes`, started by `start`; its error says why not, in one line for the page. It may
    /// block for a moment.
    pub fn new(
        routes: impl IntoIterator<Item = String>,
        start: impl Fn(IncidentRequest) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { routes: routes.into_iter().collect(), start: Arc::new(start) }
    }

    /// Where incidents can happen.
    #[must_use]
    pub fn routes(&self) -> &[String] {
        &self.routes
    }

    pub(super) fn start(&self, request: IncidentRequest) -> Result<(), String> {
        (self.start)(request)
    }
}

impl fmt::Debug for IncidentHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IncidentHandler")
    }
}

/// The body of the request as it comes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIncident {
    kind: IncidentKind,
    #[serde(default)]
    route: Option<String>,
    seconds: u64,
}

impl RawIncident {
    /// Checks the values; the error names the field.
    pub(super) fn check(self, routes: &[String]) -> Result<IncidentRequest, String> {
        if !SECONDS.contains(&self.seconds) {
            return Err(format!("seconds must be {} to {}", SECONDS.start(), SECONDS.end()));
        }
        if self.route.as_ref().is_some_and(|route| !routes.contains(route)) {
            return Err(format!("route must be absent or one of {}", routes.join(", ")));
        }
        Ok(IncidentRequest {
            kind: self.kind,
            route: self.route,
            duration: Duration::from_secs(self.seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_wire_are_those_of_the_command() {
        for kind in IncidentKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        let check = |route: Option<&str>, seconds| {
            let route = route.map(str::to_owned);
            RawIncident { kind: IncidentKind::Latency, route, seconds }.check(&["/cart".to_owned()])
        };
        assert!(check(Some("/cart"), 4).unwrap_err().starts_with("seconds"));
        assert!(check(Some("/cart"), 601).unwrap_err().starts_with("seconds"));
        assert_eq!(check(Some("/nope"), 30).unwrap_err(), "route must be absent or one of /cart");
        assert_eq!(check(None, 30).unwrap().route, None);
        assert_eq!(check(Some("/cart"), 5).unwrap().duration, Duration::from_secs(5));
    }
}
