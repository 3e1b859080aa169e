//! Values that must not reach a log, a page or an error message.

use std::fmt;

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

/// The value of a key itself or of the file that another key names, whichever the higher layer says. `None` where
/// neither is set, and where what is set is wrong, which is noted then.
pub(super) fn read(reader: &mut Reader<'_>, key: &str, file_key: &str) -> Option<Secret> {
    let value = reader.optional_text(key);
    let file = reader.optional_text(file_key);
    let (value_layer, file_layer) = (reader.origin(key).layer(), reader.origin(file_key).layer());
    match (value, file) {
        (Some(_), Some(_)) if value_layer == file_layer => {
            reader.problem(key, format!("and {file_key} are both set; leave one of them out"));
            None
        }
        (Some(value), None) => Some(Secret::new(value.trim_end())),
        (Some(value), Some(_)) if value_layer > file_layer => Some(Secret::new(value.trim_end())),
        (_, Some(file)) => read_file(reader, file_key, &file),
        (None, None) => None,
    }
}

fn read_file(reader: &mut Reader<'_>, file_key: &str, file: &str) -> Option<Secret> {
    match std::fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => return Some(Secret::new(text.trim_end())),
        Ok(_) => reader.problem(file_key, format!("= {file:?} is an empty file")),
        Err(error) => reader.problem(file_key, format!("= {file:?} cannot be read: {error}")),
    }
    None
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
