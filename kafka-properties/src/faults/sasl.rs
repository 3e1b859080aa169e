//! SASL: the mechanism, and what it needs.

use super::{Fault, Properties, fault};
use crate::secret;

/// librdkafka has both names for it.
const NAMES: [&str; 2] = ["sasl.mechanism", "sasl.mechanisms"];

const KNOWN: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

pub(super) fn faults(properties: &Properties) -> Vec<Fault> {
    let set: Vec<(&str, &str)> =
        NAMES.iter().filter_map(|name| Some((*name, properties.get(*name)?.trim()))).collect();
    let (name, mechanism) = match set[..] {
        [] => {
            return vec![fault(
                NAMES[0],
                format!("is missing, and SASL needs one: write {}, whichever the cluster has", list()),
            )];
        }
        [(_, one), (second, other)] if one != other => {
            return vec![fault(
                second,
                format!("and {} are both set, differently; leave one of them out", NAMES[0]),
            )];
        }
        [first, ..] => first,
    };
    match refusal(mechanism) {
        Some(text) => vec![fault(name, format!("= {mechanism:?} {text}"))],
        None => ["sasl.username", "sasl.password"]
            .into_iter()
            .filter_map(|name| Some(fault(name, credential(properties, name, mechanism)?)))
            .collect(),
    }
}

/// Why a mechanism cannot be used by this build, with what can be.
fn refusal(mechanism: &str) -> Option<String> {
    if KNOWN.contains(&mechanism) {
        return None;
    }
    let instead = format!("use {}, or a client certificate (\"security.protocol\" = \"SSL\")", list());
    let upper = mechanism.to_ascii_uppercase();
    Some(match upper.as_str() {
        "GSSAPI" => format!("(Kerberos) is not in this build; {instead}"),
        "OAUTHBEARER" => format!("(tokens of an identity provider) is not in this build; {instead}"),
        "AWS_MSK_IAM" => format!("is for Amazon's own clients and not in this build; {instead}"),
        _ if KNOWN.contains(&upper.as_str()) => format!("is written {upper}"),
        _ if KNOWN.contains(&upper.replace('_', "-").as_str()) => {
            format!("is written {}", upper.replace('_', "-"))
        }
        _ => format!("is no mechanism of this build; {instead}"),
    })
}

fn credential(properties: &Properties, name: &str, mechanism: &str) -> Option<String> {
    let file = if name == "sasl.password" { " (or a file with it)" } else { "" };
    match properties.get(name).map(String::as_str) {
        None | Some("") => Some(format!("is missing, and {mechanism} needs it{file}")),
        // Quotes may belong to what stands in a quoted setting; a line break or a byte order mark never does.
        Some(value) if value.contains(['\r', '\n']) => Some("has a line break in it; take it off".into()),
        Some(value) if value.starts_with('\u{feff}') => secret::fault(value).map(Into::into),
        Some(_) => None,
    }
}

fn list() -> String {
    let [plain, scram_256, scram_512] = KNOWN;
    format!("{plain}, {scram_256} or {scram_512}")
}
