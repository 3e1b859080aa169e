//! Lines of access logs.

/// Method and target of a request line.
pub(crate) fn request_line(text: &str) -> Option<(Option<&str>, &str)> {
    let mut parts = text.split(' ').filter(|part| !part.is_empty());
    let (method, target) = (parts.next()?, parts.next()?);
    Some((Some(method), target))
}
