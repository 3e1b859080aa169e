//! Routes and methods, as the contract words them: cut the URL, split it, look at each segment.

/// What stands for everything beyond a limit.
pub(super) const OTHER: &str = "__other__";

/// The methods that are tags.
pub(super) const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];

/// What the route of a request without a URL is called.
pub(super) const NO_URL: &str = "__none__";

/// The path of a URL with its leading `/`: without scheme, host, query and fragment, parameters of segments and empty
/// segments, and as InfluxDB is given it. `None` of a URL that is blank.
pub(super) fn path(url: &str) -> Option<String> {
    if url.chars().all(|c| c.is_ascii_whitespace()) {
        return None;
    }
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let scheme = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let rest = match (url.strip_prefix("//"), url.split_once("://")) {
        // A host ends at a slash; without one it is the name of a file.
        (Some(rest), _) => {
            rest.split_once('/').filter(|(host, _)| is_host(host)).map_or(rest, |(_, path)| path)
        }
        (None, Some((before, rest))) if !url.starts_with('/') && scheme(before) => {
            rest.split_once('/').map_or("", |(_, path)| path)
        }
        _ => url,
    };
    let segments: Vec<&str> =
        rest.split('/').map(|segment| segment.split_once(';').map_or(segment, |(name, _)| name)).collect();
    let names: Vec<String> =
        segments.iter().filter(|name| !name.is_empty()).map(|name| written(name)).collect();
    // A slash at the end stays.
    let end = if !names.is_empty() && segments.last().is_some_and(|last| last.is_empty()) { "/" } else { "" };
    Some(format!("/{}{end}", names.join("/")))
}

/// Whether a text has the form of a host: words joined by dots, perhaps with a port.
fn is_host(text: &str) -> bool {
    let name = match text.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => text,
    };
    let word = |word: &str| {
        !word.is_empty()
            && word.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    name.split('.').count() > 1 && name.split('.').all(word)
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

/// A name as InfluxDB is given it, and as it is told apart from others.
pub(super) fn name(name: &str) -> String {
    if name.is_empty() { "none".to_owned() } else { written(name) }
}

fn written(name: &str) -> String {
    let written = |c: char| match c {
        '\\' => '\u{ff3c}',
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => ' ',
        c => c,
    };
    name.chars().map(written).collect()
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
            ("//cdn.example:443/x", "/x"),
            ("//index.php", "/index.php"),
            ("//a//b", "/a/b"),
            ("//.git/config", "/.git/config"),
            ("/go/http://other/x", "/go/http:/other/x"),
            ("go/to://x/y", "/go/to:/x/y"),
            ("/a/", "/a/"),
            ("/a//", "/a/"),
            ("/a;b=c/d;e?f;g", "/a/d"),
            ("/a/;b", "/a/"),
            ("/;b", "/"),
            ("?a", "/"),
            ("/a\\b\u{85}", "/a\u{ff3c}b "),
        ] {
            assert_eq!(path(url).as_deref(), Some(expected), "{url:?}");
        }
        assert_eq!((path(""), path(" \t")), (None, None));
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
        assert_eq!(name("a\\b\nc\u{7f}"), "a\u{ff3c}b c ");
        assert_eq!(name(""), "none");
        assert_eq!((method("post"), method("BREW")), ("POST", OTHER));
    }
}
