//! TLS: the files of certificates and keys.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::{Fault, Properties, fault};

const CA: &str = "ssl.ca.location";
const CERTIFICATE: &str = "ssl.certificate.location";
const KEY: &str = "ssl.key.location";
const KEYSTORE: &str = "ssl.keystore.location";

/// Of a file of certificates no more than this is looked at; what comes before the first is seldom more than a page.
const LOOKED_AT: u64 = 1 << 20;

pub(super) fn faults(properties: &Properties) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, look) in [
        (CA, ca as fn(&Path) -> Option<String>),
        (CERTIFICATE, certificate),
        (KEY, key),
        (KEYSTORE, keystore),
        ("ssl.crl.location", |file| read(file).err()),
    ] {
        let Some(value) = properties.get(name) else { continue };
        faults.extend(look(Path::new(value)).map(|text| fault(name, format!("= {value:?} {text}"))));
    }
    let has = |names: [&str; 2]| names.iter().any(|name| properties.contains_key(*name));
    match (has([CERTIFICATE, "ssl.certificate.pem"]), has([KEY, "ssl.key.pem"])) {
        (true, false) => faults.push(fault(KEY, "is missing: a client certificate needs its private key")),
        (false, true) => faults.push(fault(CERTIFICATE, "is missing: a private key needs its certificate")),
        _ => {}
    }
    if properties.contains_key(KEYSTORE) && !properties.contains_key("ssl.keystore.password") {
        faults.push(fault("ssl.keystore.password", format!("is missing, and {KEYSTORE} needs it")));
    }
    faults
}

/// Which property librdkafka's reason for not making a client is about, and what to do.
pub(super) fn explain(reason: &str) -> Option<(&'static str, &'static str)> {
    let closed = ["bad decrypt", "bad password read", "maybe wrong password", "mac verify failure"];
    let closed = closed.iter().any(|part| reason.contains(part));
    let (property, text) = match reason {
        _ if reason.contains("Private key check failed") || reason.contains("key values mismatch") => {
            (KEY, "is not the key of the client certificate")
        }
        _ if reason.contains("ssl.keystore.location") && reason.contains("unsupported") => (
            KEYSTORE,
            "is PKCS#12 in an old encryption that OpenSSL 3 refuses; write it anew with a current keytool or openssl pkcs12",
        ),
        _ if reason.contains("ssl.keystore.location") && closed => {
            ("ssl.keystore.password", "does not open ssl.keystore.location")
        }
        _ if reason.contains("ssl.keystore.location") => (KEYSTORE, "cannot be used"),
        _ if reason.contains("ssl.key.location") && closed => {
            ("ssl.key.password", "is missing or wrong: the private key is encrypted")
        }
        _ if reason.contains("ssl.key") => (KEY, "cannot be used"),
        _ if reason.contains("ssl.certificate") => (CERTIFICATE, "cannot be used"),
        _ if reason.contains("ssl.ca") => (CA, "cannot be used"),
        _ => return None,
    };
    Some((property, text))
}

fn ca(file: &Path) -> Option<String> {
    if file == Path::new("probe") || file.is_dir() {
        return None;
    }
    let cure = "the certificates of the CAs as PEM";
    pem(file, &["-----BEGIN CERTIFICATE-----", "-----BEGIN TRUSTED CERTIFICATE-----"], cure)
}

fn certificate(file: &Path) -> Option<String> {
    pem(
        file,
        &["-----BEGIN CERTIFICATE-----"],
        "the client's certificate as PEM, followed by those between it and the CA",
    )
}

fn key(file: &Path) -> Option<String> {
    pem(file, &["PRIVATE KEY-----"], "the private key as PEM")
}

fn pem(file: &Path, marks: &[&str], wanted: &str) -> Option<String> {
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(problem) => return Some(problem),
    };
    let text = String::from_utf8_lossy(&bytes);
    if marks.iter().any(|mark| text.contains(mark)) {
        return None;
    }
    let what = match &bytes[..] {
        [] => "is an empty file",
        bytes if is_java(bytes) => "is a Java keystore (JKS)",
        // A sequence in DER: a bare certificate or key, or PKCS#12.
        [0x30, ..] => "is DER or PKCS#12",
        _ => "does not hold what it should",
    };
    Some(format!("{what}; this has to be {wanted}"))
}

fn keystore(file: &Path) -> Option<String> {
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(problem) => return Some(problem),
    };
    is_java(&bytes).then(|| {
        "is a Java keystore (JKS); this has to be PKCS#12: keytool -importkeystore -srckeystore FILE -destkeystore \
         client.p12 -deststoretype PKCS12"
            .to_owned()
    })
}

/// JKS and its sibling JCEKS.
fn is_java(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || bytes.starts_with(&[0xce, 0xce, 0xce, 0xce])
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("does not exist".into()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}
