//! librdkafka's log lines as `tracing` events of target `librdkafka`.

use rdkafka::config::RDKafkaLogLevel;

/// Forwards one line; librdkafka itself leaves secrets out of its lines.
pub(super) fn line(level: RDKafkaLogLevel, facility: &str, text: &str) {
    use RDKafkaLogLevel as Level;
    match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
            tracing::error!(target: "librdkafka", "{facility}: {text}");
        }
        Level::Warning => tracing::warn!(target: "librdkafka", "{facility}: {text}"),
        Level::Notice | Level::Info => tracing::info!(target: "librdkafka", "{facility}: {text}"),
        Level::Debug => tracing::debug!(target: "librdkafka", "{facility}: {text}"),
    }
}
