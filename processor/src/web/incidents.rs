//! Incidents started from the page.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Shortest and longest incident, seconds.
const SECONDS: std::ops::RangeInclusive<u64> = 5..=600;
/// Longest route, bytes.
const ROUTE_BYTES_MAX: usize = 200;

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
    /// Where; `None`: everywhere.
    pub route: Option<String>,
    /// For how long.
    pub duration: Duration,
}

/// Starts an incident; an error says why it could not, in one line for the page. May block for a moment.
#[derive(Clone)]
pub struct IncidentHandler(Arc<dyn Fn(IncidentRequest) -> Result<(), String> + Send + Sync>);

impl IncidentHandler {
    /// Wraps what is to happen.
    pub fn new(start: impl Fn(IncidentRequest) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(start))
    }

    pub(super) fn start(&self, request: IncidentRequest) -> Result<(), String> {
        (self.0)(request)
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
    pub(super) fn check(self) -> Result<IncidentRequest, String> {
        if !SECONDS.contains(&self.seconds) {
            return Err(format!("seconds must be {} to {}", SECONDS.start(), SECONDS.end()));
        }
        let route = self.route.filter(|route| !route.is_empty());
        if let Some(route) = &route {
            let printable = route.chars().all(|c| !c.is_control() && !c.is_whitespace());
            if !route.starts_with('/') || route.len() > ROUTE_BYTES_MAX || !printable {
                return Err(format!(
                    "route must begin with / and have at most {ROUTE_BYTES_MAX} bytes, no blanks"
                ));
            }
        }
        Ok(IncidentRequest { kind: self.kind, route, duration: Duration::from_secs(self.seconds) })
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
            RawIncident { kind: IncidentKind::Latency, route: route.map(str::to_owned), seconds }.check()
        };
        assert!(check(Some("/cart"), 4).unwrap_err().starts_with("seconds"));
        assert!(check(Some("/cart"), 601).unwrap_err().starts_with("seconds"));
        assert!(check(Some("cart"), 30).unwrap_err().starts_with("route"));
        assert!(check(Some("/a b"), 30).unwrap_err().starts_with("route"));
        assert!(check(Some(&format!("/{}", "a".repeat(200))), 30).unwrap_err().starts_with("route"));
        assert_eq!(check(Some(""), 30).unwrap().route, None);
        assert_eq!(check(Some("/cart"), 5).unwrap().duration, Duration::from_secs(5));
    }
}
