//! Routes and methods, as the contract words them: cut the URL, split it, look at each segment.

/// What stands for everything beyond a limit.
pub(super) const OTHER: &str = "__other__";

/// The methods that are tags.
pub(super) const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];

/// The path of a URL with its leading `/`: without scheme, host, query and fragment.
pub(super) fn path(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let scheme = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let after_host = match (url.strip_prefix("//"), url.split_once("://")) {
        (Some(rest), _) => Some(rest),
        (None, Some((before, rest))) if !url.starts_with('/') && scheme(before) => Some(rest),
        _ => None,
    };
    match after_host {
        Some(rest) => format!("/{}", rest.split_once('/').map_or("", |(_, path)| path)),
        None => format!("/{}", url.strip_prefix('/').unwrap_or(url)),
    }
}

/// The route of a path.
pub(super) fn route(path: &str, template: bool) -> String {
    if !template {
        return path.to_owned();
    }
    let segments: Vec<&str> =
        path.split('/').map(|segment| if is_id(segment) { ":id" } else { segment }).collect();
    segments.join("/")
}

fn is_id(segment: &str) -> bool {
    let hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let letters = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic());
    let groups: Vec<&str> = segment.split('-').collect();
    let uuid =
        groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| hex(group));
    let word_and_number =
        segment.rsplit_once(['_', '-']).is_some_and(|(word, number)| letters(word) && digits(number));
    digits(segment) || (segment.len() >= 16 && hex(segment)) || uuid || word_and_number
}

/// The method's tag.
pub(super) fn method(method: &str) -> &'static str {
    let known = METHODS.into_iter().find(|known| known.eq_ignore_ascii_case(method));
    known.unwrap_or(OTHER)
}

/// A tag value as InfluxDB is given it.
pub(super) fn tag(value: &str) -> String {
    if value.is_empty() {
        return "none".to_owned();
    }
    let written = |c: char| match c {
        '\\' => '\u{ff3c}',
        c if c.is_ascii_control() => ' ',
        c => c,
    };
    value.chars().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_cut_to_their_paths() {
        for (url, expected) in [
            ("search/categories", "/search/categories"),
            ("/search?q=http://a/b", "/search"),
            ("https://shop.example:8443/a/b#c", "/a/b"),
            ("https://shop.example", "/"),
            ("//cdn.example/x", "/x"),
            ("/go/http://other/x", "/go/http://other/x"),
            ("go/to://x/y", "/go/to://x/y"),
            ("", "/"),
            ("/a/", "/a/"),
        ] {
            assert_eq!(path(url), expected, "{url:?}");
        }
    }

    #[test]
    fn segments_that_are_ids_become_one() {
        for (path, expected) in [
            ("/product/42", "/product/:id"),
            ("/o/0123456789abcdef", "/o/:id"),
            ("/o/0123456789abcde", "/o/0123456789abcde"),
            ("/p/5d529ba5-063a-45dc-a405-04dc2eebd26b/x", "/p/:id/x"),
            ("/p/item-9", "/p/:id"),
            ("/p/item-9b", "/p/item-9b"),
            ("/p/a-b-9", "/p/a-b-9"),
            ("/", "/"),
        ] {
            assert_eq!(route(path, true), expected);
            assert_eq!(route(path, false), path);
        }
    }

    #[test]
    fn tags_are_written_as_line_protocol_can() {
        assert_eq!(tag("a\\b\nc"), "a\u{ff3c}b c");
        assert_eq!(tag(""), "none");
        assert_eq!((method("post"), method("BREW")), ("POST", OTHER));
    }
}
