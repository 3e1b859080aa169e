//! What cannot work, found before anything is started.

mod files;
mod sasl;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaType;

use crate::is_secret;

/// Properties by name, as librdkafka calls them.
type Properties = BTreeMap<String, String>;

/// A property that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its name; it may be one that is missing.
    pub property: String,
    /// What is wrong with it and what to do, as the end of a sentence that begins with the name. Shows no secret.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.property, self.text)
    }
}

/// Everything that is wrong with these properties, or nothing. Reads the files that they name, connects to nothing.
///
/// What is found property by property comes first. Only where that is nothing, a client is made of all of them, for what
/// librdkafka alone can tell: a key that is not the certificate's, a password that does not open it.
#[must_use]
pub fn faults(properties: &Properties) -> Vec<Fault> {
    let mut faults: Vec<Fault> =
        properties.iter().filter_map(|(name, value)| Some(fault(name, alone(name, value)?))).collect();
    let wrong = |name: &str| faults.iter().any(|fault| fault.property == name);
    let right: Properties = properties
        .iter()
        .filter(|(name, _)| !wrong(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !wrong(PROTOCOL) {
        match Protocol::of(&right) {
            Ok(protocol) => faults.extend(together(&right, protocol)),
            Err(text) => faults.push(fault(PROTOCOL, text)),
        }
    }
    if faults.is_empty() {
        faults.extend(tried(properties));
    }
    faults
}

fn fault(property: &str, text: impl Into<String>) -> Fault {
    Fault { property: property.to_owned(), text: text.into() }
}

const PROTOCOL: &str = "security.protocol";

/// What `security.protocol` turns on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Protocol {
    tls: bool,
    sasl: bool,
}

impl Protocol {
    fn of(properties: &Properties) -> Result<Self, String> {
        let name = properties.get(PROTOCOL).map_or("PLAINTEXT", |name| name.trim());
        match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Ok(Self { tls: false, sasl: false }),
            "SSL" => Ok(Self { tls: true, sasl: false }),
            "SASL_PLAINTEXT" => Ok(Self { tls: false, sasl: true }),
            "SASL_SSL" => Ok(Self { tls: true, sasl: true }),
            _ => Err(format!("= {name:?} is none of PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL")),
        }
    }
}

/// What is wrong with one property whatever the others are. librdkafka itself knows which there are.
fn alone(name: &str, value: &str) -> Option<String> {
    if let Some((_, instead)) = JAVA.iter().find(|(java, _)| *java == name) {
        return Some(format!("is a property of Java clients; {instead}"));
    }
    if name == PROTOCOL {
        // Its own error lists what is right.
        return None;
    }
    if name == "ssl.endpoint.identification.algorithm" && value.is_empty() {
        return Some(
            "is empty, as Java has it; write \"none\" to accept a certificate for any host name".into(),
        );
    }
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(_, reason, ..)) if reason.starts_with("No such") => {
            Some("is not a property of librdkafka; its names are in librdkafka's CONFIGURATION.md".into())
        }
        // librdkafka's reason may quote the value.
        Err(_) if is_secret(name) => Some("has a value that librdkafka refuses".into()),
        Err(KafkaError::ClientConfig(_, reason, ..)) => Some(format!("is refused by librdkafka: {reason}")),
        Err(error) => Some(error.to_string()),
    }
}

/// What documentation for Java clients says, and what to say here.
const JAVA: &[(&str, &str)] = &[
    ("sasl.jaas.config", "set \"sasl.username\" and \"sasl.password\""),
    ("sasl.client.callback.handler.class", "leave it out"),
    ("sasl.login.callback.handler.class", "leave it out"),
    ("ssl.truststore.location", TRUSTSTORE),
    ("ssl.truststore.password", TRUSTSTORE),
    ("ssl.truststore.type", TRUSTSTORE),
    ("ssl.truststore.certificates", "set \"ssl.ca.pem\""),
    ("ssl.keystore.type", "leave it out: \"ssl.keystore.location\" is PKCS#12"),
    ("ssl.keystore.certificate.chain", "set \"ssl.certificate.pem\""),
    ("ssl.keystore.key", "set \"ssl.key.pem\""),
    ("ssl.enabled.protocols", "leave it out: TLS 1.2 and newer are spoken"),
    ("ssl.protocol", "leave it out: TLS 1.2 and newer are spoken"),
];

const TRUSTSTORE: &str = "set \"ssl.ca.location\" to the CA's certificate as PEM (keytool -exportcert -rfc -keystore FILE \
                          -alias NAME), or leave it out for the system's CAs";

/// What is wrong with what each property is for.
fn together(properties: &Properties, protocol: Protocol) -> Vec<Fault> {
    let mut faults = idle(properties, protocol);
    if protocol.sasl {
        faults.extend(sasl::faults(properties));
    }
    if protocol.tls {
        faults.extend(files::faults(properties));
    }
    faults
}

/// Properties that this protocol would leave without a word: somebody believes that they do something.
fn idle(properties: &Properties, protocol: Protocol) -> Vec<Fault> {
    let set = properties.get(PROTOCOL);
    let now = set.map_or_else(|| "is not set".to_owned(), |name| format!("is {name:?}"));
    let about_sasl = |name: &str| name.starts_with("sasl.") || name.starts_with("enable.sasl.");
    let about_tls = |name: &str| name.starts_with("ssl.") || name.starts_with("enable.ssl.");
    let first = |about: &dyn Fn(&str) -> bool| properties.keys().find(|name| about(name));
    let mut faults = Vec::new();
    if let Some(name) = first(&about_sasl).filter(|_| !protocol.sasl) {
        let want = if protocol.tls || set.is_none() { "SASL_SSL" } else { "SASL_SSL\" or \"SASL_PLAINTEXT" };
        faults.push(fault(
            name,
            format!("does nothing, as \"{PROTOCOL}\" {now}; set it to \"{want}\", or leave this out"),
        ));
    }
    if let Some(name) = first(&about_tls).filter(|_| !protocol.tls) {
        let sasl = protocol.sasl || first(&about_sasl).is_some();
        let want = if sasl { "SASL_SSL" } else { "SSL" };
        faults.push(fault(
            name,
            format!("does nothing, as \"{PROTOCOL}\" {now}; set it to \"{want}\", or leave this out"),
        ));
    }
    faults
}

/// What librdkafka says when it makes a client of these properties, which connects to nothing.
fn tried(properties: &Properties) -> Option<Fault> {
    properties.get(PROTOCOL)?;
    let mut config = ClientConfig::new();
    for (name, value) in properties.iter().filter(|(name, _)| {
        ["sasl.", "enable.sasl.", "ssl.", "enable.ssl.", PROTOCOL].iter().any(|start| name.starts_with(start))
    }) {
        config.set(name, value);
    }
    config.set_log_level(RDKafkaLogLevel::Emerg);
    let made = config
        .create_native_config()
        .and_then(|native| Client::new(&config, native, RDKafkaType::RD_KAFKA_PRODUCER, Silent));
    let reason = match made {
        Ok(_) => return None,
        Err(KafkaError::ClientCreation(reason)) => reason,
        Err(error) => error.to_string(),
    };
    let (property, text) = files::explain(&reason).unwrap_or((PROTOCOL, "cannot be used as configured"));
    Some(fault(property, format!("{text} ({reason})")))
}

/// What the tried client logs comes back as its error.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {}
}
