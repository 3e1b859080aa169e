//! librdkafka's log lines as `tracing` events of target `librdkafka`.

use rdkafka::config::RDKafkaLogLevel;

/// Forwards one line; librdkafka itself leaves secrets out of its lines.
pub(super) fn line(level: RDKafkaLogLevel, facility: &str, text: &str) {
    use RDKafkaLogLevel as Level;
    match level {
        // A connection that failed comes as an error of the client as well, which says so once in a while.
        _ if facility == "FAIL" => tracing::debug!(target: "librdkafka", "{facility}: {text}"),
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
            tracing::error!(target: "librdkafka", "{facility}: {text}");
        }
        Level::Warning => tracing::warn!(target: "librdkafka", "{facility}: {text}"),
        Level::Notice | Level::Info => tracing::info!(target: "librdkafka", "{facility}: {text}"),
        Level::Debug => tracing::debug!(target: "librdkafka", "{facility}: {text}"),
    }
}
