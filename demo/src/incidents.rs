//! Incidents from the page: announced in Kafka, as `producer incident` does it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use events::Timestamp;
use processor::web::{IncidentHandler, IncidentKind, IncidentRequest};
use producer::{Incident, Route};

/// The broker is in this process, so longer than this means that something is wrong.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(3);

/// Announces incidents on this broker; the shoppers and the processor read them there.
pub(crate) fn handler(brokers: String) -> IncidentHandler {
    let routes = Route::ALL.into_iter().map(|route| route.name().to_owned());
    IncidentHandler::new(routes, move |request| {
        producer::announce(&brokers, &BTreeMap::new(), &incident(&request), ANNOUNCE_TIMEOUT)
            .map_err(|error| processor::exit::Chain(&error).to_string())
    })
}

fn incident(request: &IncidentRequest) -> Incident {
    let kind = match request.kind {
        IncidentKind::ErrorSpike => producer::IncidentKind::ErrorSpike,
        IncidentKind::Latency => producer::IncidentKind::Latency,
        IncidentKind::TrafficDrop => producer::IncidentKind::TrafficDrop,
        IncidentKind::SearchOutage => producer::IncidentKind::SearchOutage,
    };
    let route = request.route.as_deref().and_then(Route::from_name);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX));
    Incident::new(kind, route, now, request.duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_asks_for_is_what_is_announced() {
        for kind in IncidentKind::ALL {
            let request = IncidentRequest {
                kind,
                route: Some("/checkout".to_owned()),
                duration: Duration::from_secs(30),
            };
            let incident = incident(&request);
            assert_eq!(incident.kind.name(), kind.name());
            assert_eq!(incident.end_ms - incident.start_ms, 30_000);
            assert_eq!(incident.route.is_some(), incident.kind.has_route());
        }
    }
}
