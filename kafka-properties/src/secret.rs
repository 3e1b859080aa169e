//! Secrets that are kept in a file of their own, or written where a setting stands.
//!
//! What editors and shells leave around a secret (line ends, blank lines) is taken off. What they put into it is told
//! instead of sent: a server only answers that it is wrong.

use std::path::Path;

/// Why a file holds no usable secret, as the end of a sentence that begins with the file's name.
///
/// # Errors
/// The reason, never with any part of the secret.
pub fn read(file: &Path) -> Result<String, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(
            "is UTF-16, as PowerShell writes files; save it as UTF-8 without a byte order mark".into()
        );
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| "is not UTF-8 text; it has to hold the secret and nothing else")?;
    let secret = text.trim_matches(['\r', '\n']);
    if secret.trim().is_empty() {
        return Err("is an empty file".into());
    }
    match fault(secret) {
        Some(fault) => Err(fault.into()),
        None => Ok(secret.to_owned()),
    }
}

/// What is wrong with a secret wherever it stands, without showing it.
#[must_use]
pub fn fault(secret: &str) -> Option<&'static str> {
    let secret = secret.trim_matches(['\r', '\n']);
    if secret.starts_with('\u{feff}') {
        return Some("begins with a byte order mark, which would be sent; save it as UTF-8 without one");
    }
    if secret.contains(['\r', '\n']) {
        return Some("has more than one line; it has to hold the secret and nothing else");
    }
    let quoted =
        |quote: char| secret.len() > 1 && secret.trim().starts_with(quote) && secret.trim().ends_with(quote);
    if ['"', '\'', '\u{201c}'].into_iter().any(quoted) || secret.trim().starts_with('\u{201c}') {
        return Some("is in quotes, which would be sent with it; take them off");
    }
    if secret.chars().any(char::is_control) {
        return Some("has a control character in it; write it anew");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(file.path())
    }

    #[test]
    fn line_ends_around_a_secret_are_not_part_of_it() {
        for text in ["s3cret", "s3cret\n", "s3cret\r\n", "\n\r\ns3cret\n\n"] {
            assert_eq!(read_bytes(text.as_bytes()).as_deref(), Ok("s3cret"), "{text:?}");
        }
        assert_eq!(read_bytes(b" with blanks \n").as_deref(), Ok(" with blanks "));
        assert_eq!(read_bytes("pässwörd\n".as_bytes()).as_deref(), Ok("pässwörd"));
    }

    #[test]
    fn what_an_editor_or_a_shell_put_into_it_is_named_and_not_shown() {
        for (bytes, named) in [
            (&b"\xef\xbb\xbfs3cret\n"[..], "byte order mark"),
            (b"\xff\xfes\x003\x00c\x00", "UTF-16"),
            (b"\xfe\xff\x00s\x003\x00c", "UTF-16"),
            (b"\"s3cret\"\n", "quotes"),
            (b"'s3cret'", "quotes"),
            ("\u{201c}s3cret\u{201d}".as_bytes(), "quotes"),
            (b"s3cret\nanother\n", "more than one line"),
            (b"s3cret\x1b[D", "control character"),
            (b"s3cret\xff", "UTF-8"),
            (b"\n\n", "empty"),
            (b"", "empty"),
        ] {
            let said = read_bytes(bytes).unwrap_err();
            assert!(said.contains(named) && !said.contains("s3cret"), "{bytes:?}: {said}");
        }
    }
}
