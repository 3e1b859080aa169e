//! Marks for the dashboards: incidents that the producer announced become `annotations` points.
//!
//! Every instance reads the topic from its beginning and writes the same points again, so nothing has to be
//! remembered; the topic's retention bounds it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use events::Timestamp;
use processor_core::{FieldValue, Point, Resolution, schema};
use serde::Deserialize;

use super::shared::Shared;
use crate::kafka::ClientSettings;
use crate::kafka::tail::{From, TopicReader};
use crate::shutdown::Shutdown;
use crate::sink::Ack;

/// How often opening the topic is tried again.
const RETRY: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(500);

/// The thread that follows the topic.
pub(super) struct Marks {
    shutdown: Shutdown,
    thread: JoinHandle<()>,
}

impl Marks {
    pub(super) fn stop(self) {
        self.shutdown.trigger();
        if self.thread.join().is_err() {
            tracing::error!("the thread that follows incidents panicked");
        }
    }
}

/// Starts following the topic.
pub(super) fn follow(client: &ClientSettings, topic: &str, shared: &Arc<Shared>) -> Marks {
    let shutdown = Shutdown::new();
    let (client, topic) = (client.clone(), topic.to_owned());
    let (shared, until) = (Arc::clone(shared), shutdown.clone());
    let thread = std::thread::Builder::new()
        .name("incidents".to_owned())
        .spawn(move || {
            while !until.is_triggered() {
                if let Err(error) = read(&client, &topic, &shared, &until) {
                    tracing::warn!(%topic, %error, "incidents cannot be read; the numbers are not affected");
                    until.wait(RETRY);
                }
            }
        })
        .expect("the operating system grants a thread at start");
    Marks { shutdown, thread }
}

fn read(
    client: &ClientSettings,
    topic: &str,
    shared: &Shared,
    until: &Shutdown,
) -> Result<(), crate::kafka::KafkaError> {
    let mut reader = TopicReader::open(client, topic, From::Beginning, Duration::from_secs(10))?;
    while !until.is_triggered() {
        let Some(record) = reader.next(POLL)? else { continue };
        match point(record.payload.as_deref().unwrap_or_default()) {
            Ok(point) => shared.submit(vec![point], Ack::new(|| ())),
            Err(error) => tracing::warn!(%topic, record.offset, %error, "not an incident, skipped"),
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Incident {
    kind: String,
    #[serde(default)]
    route: Option<String>,
    start_ms: i64,
    end_ms: i64,
}

fn point(record: &[u8]) -> Result<Point, serde_json::Error> {
    let incident: Incident = serde_json::from_slice(record)?;
    let seconds = (incident.end_ms - incident.start_ms) / 1_000;
    let place = incident.route.as_deref().unwrap_or("all routes");
    let title = incident.kind.replace('-', " ");
    Ok(Point::new(
        Resolution::Raw,
        &schema::ANNOTATIONS,
        vec![incident.kind.as_str().into()],
        vec![
            FieldValue::Text(title.as_str().into()),
            FieldValue::Text(format!("{title} on {place} for {seconds} s").into()),
            FieldValue::Integer(incident.end_ms),
        ],
        Timestamp::from_millis(incident.start_ms),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_becomes_a_mark_at_its_start() {
        let record =
            br#"{"id":"i1","kind":"error-spike","route":"/checkout","start_ms":5000,"end_ms":95000}"#;
        let point = point(record).expect("it is an incident");
        assert_eq!((point.time.millis(), point.tag("kind")), (5_000, Some("error-spike")));
        assert_eq!(point.field("end_ms"), Some(&FieldValue::Integer(95_000)));
        assert!(
            matches!(point.field("text"), Some(FieldValue::Text(text)) if text.contains("/checkout for 90 s"))
        );
    }
}
