use std::path::PathBuf;

use super::*;

#[test]
fn what_this_build_speaks_is_taken() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for protocol in ["SASL_SSL", "sasl_plaintext"] {
            let sasl = [
                ("security.protocol", protocol),
                ("sasl.mechanism", mechanism),
                ("sasl.username", "shop"),
                ("sasl.password", "\"invented\""),
            ];
            assert_eq!(said(&sasl), "", "{protocol} {mechanism}");
        }
    }
    assert_eq!(said(&[("security.protocol", "SSL")]), "");
    assert_eq!(said(&[("linger.ms", "5"), ("security.protocol", "PLAINTEXT")]), "");
}

#[test]
fn a_mechanism_that_is_not_in_this_build_is_named_with_what_is() {
    for (mechanism, named) in [
        ("GSSAPI", "Kerberos"),
        ("OAUTHBEARER", "identity provider"),
        ("AWS_MSK_IAM", "Amazon"),
        ("SCRAM-SHA-1", "no mechanism"),
        ("DIGEST-MD5", "no mechanism"),
        ("scram-sha-512", "is written SCRAM-SHA-512"),
        ("SCRAM_SHA_256", "is written SCRAM-SHA-256"),
    ] {
        let said = said(&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", mechanism)]);
        assert!(said.starts_with("sasl.mechanism ") && said.contains(named), "{said}");
        assert!(said.contains("SCRAM-SHA-"), "{said}");
    }
    // librdkafka would take Kerberos for it.
    let none = said(&[("security.protocol", "SASL_SSL")]);
    assert!(none.starts_with("sasl.mechanism is missing"), "{none}");
    let two = said(&[
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.mechanisms", "GSSAPI"),
    ]);
    assert!(two.contains("both set"), "{two}");
}

#[test]
fn a_mechanism_needs_its_credentials() {
    let plain = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN")];
    let said_none = said(&plain);
    assert!(said_none.contains("sasl.username is missing") && said_none.contains("sasl.password is missing"));
    let with =
        |password: &str| said(&[plain[0], plain[1], ("sasl.username", "shop"), ("sasl.password", password)]);
    assert!(with("").contains("sasl.password is missing"));
    for (password, named) in [("hunter2\n", "line break"), ("\u{feff}hunter2", "byte order mark")] {
        let said = with(password);
        assert!(said.contains(named) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn what_would_do_nothing_is_an_error() {
    let forgotten = said(&[("sasl.mechanism", "PLAIN"), ("sasl.username", "a"), ("sasl.password", "b")]);
    assert!(
        forgotten.contains("\"security.protocol\" is not set") && forgotten.contains("SASL_SSL"),
        "{forgotten}"
    );
    let open = said(&[("ssl.ca.location", "probe")]);
    assert!(open.starts_with("ssl.ca.location does nothing") && open.contains("\"SSL\""), "{open}");
    let half = said(&[("security.protocol", "SSL"), ("sasl.mechanism", "PLAIN")]);
    assert!(half.contains("is \"SSL\"") && half.contains("\"SASL_SSL\""), "{half}");
    let unencrypted = said(&[
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "a"),
        ("sasl.password", "b"),
        ("enable.ssl.certificate.verification", "true"),
    ]);
    assert!(unencrypted.starts_with("enable.ssl.certificate.verification does nothing"), "{unencrypted}");
}

#[test]
fn names_and_values_of_java_clients_are_translated() {
    for (name, value, named) in [
        ("sasl.jaas.config", "org.apache Login required password=\"hunter2\";", "sasl.username"),
        ("ssl.truststore.location", "/trust.jks", "ssl.ca.location"),
        ("ssl.keystore.type", "JKS", "PKCS#12"),
        ("ssl.endpoint.identification.algorithm", "", "\"none\""),
        ("security.protocol", "TLS", "SASL_SSL"),
        ("sasl.pasword", "hunter2", "not a property"),
    ] {
        let said = said(&[("security.protocol", "SSL"), (name, value)]);
        assert!(said.starts_with(name) && said.contains(named) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn files_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let none = dir.path().join("none.pem");
    let (jks, der) = (file("trust.jks", &[0xfe, 0xed, 0xfe, 0xed, 0, 0]), file("ca.der", &[0x30, 0x82, 1]));
    let (empty, words) = (file("empty.pem", b""), file("words.pem", b"no certificate\n"));
    let tls =
        |name: &str, path: &PathBuf| said(&[("security.protocol", "SSL"), (name, path.to_str().unwrap())]);
    for (path, named) in [
        (&none, "does not exist"),
        (&jks, "Java keystore"),
        (&der, "DER"),
        (&empty, "empty"),
        (&words, "PEM"),
    ] {
        for name in ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location"] {
            let said = tls(name, path);
            assert!(said.starts_with(&format!("{name} = ")) && said.contains(named), "{said}");
        }
    }
    assert!(tls("ssl.keystore.location", &jks).contains("-deststoretype PKCS12"));
    assert!(tls("ssl.keystore.location", &der).contains("ssl.keystore.password is missing"));
    // What only looks right, librdkafka refuses.
    let broken = file("broken.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let said_broken = tls("ssl.ca.location", &broken);
    assert!(said_broken.starts_with("ssl.ca.location cannot be used"), "{said_broken}");
    // A folder of hashed certificates is fine, and so is looking for the system's.
    assert_eq!(tls("ssl.ca.location", &dir.path().to_owned()), "");
    assert_eq!(tls("ssl.ca.location", &PathBuf::from("probe")), "");
}

#[test]
fn a_certificate_and_its_key_come_together() {
    let certificate = [("security.protocol", "SSL"), ("ssl.certificate.pem", "x")];
    assert!(said(&certificate).contains("ssl.key.location is missing"));
    let key = [("security.protocol", "SSL"), ("ssl.key.pem", "x")];
    assert!(said(&key).contains("ssl.certificate.location is missing"));
}

fn said(properties: &[(&str, &str)]) -> String {
    let properties: Properties =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let faults: Vec<String> = faults(&properties).iter().map(ToString::to_string).collect();
    faults.join("\n")
}
