//! Properties for librdkafka as people write them: what must not be shown, and what cannot work.
//!
//! [`faults`] finds before anything is started what a client of this build would refuse or silently not do, each with its
//! cure. [`cure`] says which property to change when a broker refuses a connection. [`secret`] reads what is kept in a
//! file of its own. Which properties a program keeps to itself is that program's to say.

use std::collections::BTreeMap;

mod cure;
mod faults;
pub mod secret;

pub use cure::cure;
pub use faults::{Fault, faults};

/// Whether a property's value must not be shown. Names of files are fine, what is in them is not.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    const PARTS: [&str; 8] =
        ["password", "secret", "token", "jaas", "oauthbearer.config", ".pem", "assertion", "username"];
    PARTS.iter().any(|part| name.contains(part))
}

/// Properties as they may be shown: secrets as `***`.
#[must_use]
pub fn shown<'a>(
    properties: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> BTreeMap<&'a str, &'a str> {
    let shown = |(name, value): (&'a String, &'a String)| {
        (name.as_str(), if is_secret(name) { "***" } else { value.as_str() })
    };
    properties.into_iter().map(shown).collect()
}
