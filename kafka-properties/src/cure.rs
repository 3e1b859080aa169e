//! What to change when a broker refuses a connection.

/// The cure for what librdkafka says about a connection that failed, or `None` where its words say all there is.
///
/// librdkafka knows that a certificate was not accepted, not why, and takes a listener of another kind for a
/// disconnect: so some cures name several causes, the most frequent first.
#[must_use]
pub fn cure(reason: &str) -> Option<&'static str> {
    let found = CURES.iter().find(|(parts, _)| parts.iter().any(|part| reason.contains(part)));
    found.map(|(_, cure)| *cure)
}

/// The first that fits counts: what a broker answers to one question may come wrapped in the words for another.
const CURES: &[(&[&str], &str)] = &[
    (
        &["nsupported SASL mechanism", "UNSUPPORTED_SASL_MECHANISM", "mechanism handshake failed"],
        "set \"sasl.mechanism\" to one that the broker has",
    ),
    (
        &["SASL authentication error", "Authentication failed", "invalid credentials"],
        "correct \"sasl.username\", the password (\"sasl.password\" or its file), and \"sasl.mechanism\": the user has to \
         exist for that mechanism",
    ),
    (
        &["certificate verify failed", "certificate could not be verified", "error:0A000086"],
        "the broker's certificate is not accepted: \"ssl.ca.location\" has to name the CA that signed it (without it, the \
         system's CAs count: Debian's package ca-certificates), it must not have expired, and it has to be for the host \
         name in the brokers' addresses",
    ),
    (
        // Alerts are what the other side says of our certificate.
        &[
            "client SSL authentication might be required",
            "alert certificate",
            "alert bad certificate",
            "alert unknown ca",
        ],
        "the broker wants a client certificate that is valid and of a CA that it knows: set \"ssl.certificate.location\" and \
         \"ssl.key.location\"",
    ),
    (
        &[
            "PLAINTEXT broker listener",
            "wrong version number",
            "packet length too long",
            "record layer failure",
        ],
        "the port speaks no TLS: name the TLS listener's port, or correct \"security.protocol\"",
    ),
    (
        &[
            "incorrect security.protocol",
            "SSL listener?",
            "requesting ApiVersion",
            "ApiVersionRequest failed",
            "in state APIVERSION_QUERY",
            "might require SASL authentication",
        ],
        "where it stays so, the port speaks TLS or SASL: set \"security.protocol\" to \"SSL\" or \"SASL_SSL\" as the listener has it, or name \
         another port",
    ),
    (
        &["no protocols available", "unsupported protocol", "handshake failure", "no shared cipher"],
        "broker and client have no TLS version or cipher in common: the broker has to offer TLS 1.2 or newer",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_librdkafka_says_leads_to_the_property_to_change() {
        for (reason, named) in [
            (
                "sasl_ssl://h:1/bootstrap: SASL authentication error: Authentication failed during authentication due to \
                 invalid credentials with SASL mechanism SCRAM-SHA-512 (after 138ms in state AUTH_REQ)",
                "sasl.password",
            ),
            (
                "ssl://h:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: \
                 broker certificate could not be verified (after 6ms in state SSL_HANDSHAKE)",
                "ssl.ca.location",
            ),
            (
                "ssl://h:1/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? \
                 (after 1ms in state SSL_HANDSHAKE)",
                "security.protocol",
            ),
            (
                "h:1/bootstrap: Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol \
                 configuration (connecting to a SSL listener?)",
                "SASL_SSL",
            ),
            (
                "h:1/bootstrap: Disconnected: connection closed by peer (after 0ms in state APIVERSION_QUERY)",
                "security.protocol",
            ),
            (
                "h:1/bootstrap: ApiVersionRequest failed: Local: Timed out: probably due to broker version < 0.10",
                "security.protocol",
            ),
            (
                "ssl://h:1/1: Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required",
                "ssl.certificate.location",
            ),
            (
                "ssl://h:1/bootstrap: Receive failed: error:0A000416:SSL routines::sslv3 alert certificate unknown",
                "ssl.key.location",
            ),
            (
                "SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported \
                 mechanisms: SCRAM-SHA-512",
                "sasl.mechanism",
            ),
        ] {
            assert!(cure(reason).is_some_and(|cure| cure.contains(named)), "{reason}: {:?}", cure(reason));
        }
        assert_eq!(cure("h:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused"), None);
    }
}
