//! Values that must not reach a log, a page or an error message.

use std::fmt;
use std::path::Path;

use super::reader::Reader;

/// A token or password; prints as `***` in every format.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the clear text.
    pub fn new(clear_text: impl Into<String>) -> Self {
        Self(clear_text.into())
    }

    /// The clear text, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What else is wrong with a secret of this kind, as the end of a sentence; shows nothing of it.
pub(crate) type Look = fn(&str) -> Option<&'static str>;

/// The value of a key itself or of the file that another key names, whichever the higher layer says. `None` where
/// neither is set, and where what is set is wrong, which is noted then.
pub(super) fn read(reader: &mut Reader<'_>, key: &str, file_key: &str, look: Look) -> Option<Secret> {
    let value = reader.optional_text(key);
    let file = reader.optional_text(file_key);
    let (value_layer, file_layer) = (reader.origin(key).layer(), reader.origin(file_key).layer());
    match (value, file) {
        (Some(_), Some(_)) if value_layer == file_layer => {
            reader.problem(key, format!("and {file_key} are both set; leave one of them out"));
            None
        }
        (Some(value), None) => read_value(reader, key, &value, look),
        (Some(value), Some(_)) if value_layer > file_layer => read_value(reader, key, &value, look),
        (_, Some(file)) => read_file(Path::new(&file), look)
            .map_err(|text| reader.problem(file_key, format!("= {file:?} {text}")))
            .ok(),
        (None, None) => None,
    }
}

fn read_value(reader: &mut Reader<'_>, key: &str, value: &str, look: Look) -> Option<Secret> {
    let value = value.trim();
    match kafka_properties::secret::fault(value).or_else(|| look(value)) {
        None => Some(Secret::new(value)),
        Some(text) => {
            reader.problem(key, text);
            None
        }
    }
}

/// The secret of a file, without blanks around it.
///
/// # Errors
/// Why there is none, as the end of a sentence that begins with the file's name.
pub(crate) fn read_file(file: &Path, look: Look) -> Result<Secret, String> {
    let text = kafka_properties::secret::read(file)?;
    let text = text.trim();
    match look(text) {
        None => Ok(Secret::new(text)),
        Some(fault) => Err(fault.to_owned()),
    }
}

/// What is wrong with a token for InfluxDB.
pub(crate) fn influx_token(token: &str) -> Option<&'static str> {
    match token.split_once(char::is_whitespace) {
        Some((scheme, _)) if ["token", "bearer"].contains(&scheme.to_ascii_lowercase().as_str()) => {
            Some("begins with the word that is sent before a token anyway; leave it off")
        }
        Some(_) => Some("has a blank in it; a token has none"),
        None if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Some("has a character in it that no token has; write it anew")
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_print_as_stars_in_every_format() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?} {secret:>20}"), "*** *** *** ***");
        assert_eq!(secret.expose(), "hunter2");
    }
}
