//! From a URL as sent to the route that may be a tag: few values, no ids, no query strings.

/// What stands in for everything beyond a limit.
pub const OTHER: &str = "__other__";

/// The path of a URL: scheme, host, query string and fragment cut, and the leading `/` too.
///
/// `https://shop.example/a/b?c=d`, `/a/b` and `a/b#e` all give `a/b`. Of a URL that is valid UTF-8 so is the path.
#[inline]
#[must_use]
pub fn path(url: &[u8]) -> &[u8] {
    match before_query(url) {
        // A protocol-relative URL: //host/path
        [b'/', b'/', rest @ ..] => after_host(rest),
        [b'/', rest @ ..] => rest,
        url => without_scheme(url),
    }
}

/// Up to the first `?` or `#`, eight bytes at a time: URLs are too short for a call to pay.
#[inline]
fn before_query(url: &[u8]) -> &[u8] {
    let (words, rest) = url.as_chunks::<8>();
    // The lowest of the bits is that of the first byte which is zero; higher ones may be wrong.
    let zeros = |word: u64| word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080;
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ 0x3f3f_3f3f_3f3f_3f3f) | zeros(word ^ 0x2323_2323_2323_2323);
        if found != 0 {
            return &url[..at * 8 + found.trailing_zeros() as usize / 8];
        }
    }
    match rest.iter().position(|byte| matches!(byte, b'?' | b'#')) {
        Some(at) => &url[..words.len() * 8 + at],
        None => url,
    }
}

fn without_scheme(url: &[u8]) -> &[u8] {
    match url.windows(3).position(|three| three == b"://") {
        Some(at) if url[..at].iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)) => {
            after_host(&url[at + 3..])
        }
        _ => url,
    }
}

fn after_host(rest: &[u8]) -> &[u8] {
    memchr::memchr(b'/', rest).map_or(&[], |at| &rest[at + 1..])
}

/// Writes the route of a [`path`] to `route`: a leading `/`, and `:id` for each segment that looks like an id, that
/// is all digits, a UUID, 16 or more hex digits, or a word and a number joined by `_` or `-`.
pub fn template(path: &str, route: &mut String) {
    route.clear();
    for segment in path.split('/') {
        route.push('/');
        route.push_str(if is_id(segment) { ":id" } else { segment });
    }
}

fn is_id(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    if bytes.is_empty() {
        return false;
    }
    if bytes.iter().all(u8::is_ascii_digit) {
        return true;
    }
    if bytes.len() >= 16 && bytes.iter().all(u8::is_ascii_hexdigit) {
        return true;
    }
    if is_uuid(bytes) {
        return true;
    }
    let Some(at) = bytes.iter().rposition(|&b| b == b'_' || b == b'-') else { return false };
    let (word, number) = (&bytes[..at], &bytes[at + 1..]);
    !word.is_empty()
        && !number.is_empty()
        && word.iter().all(u8::is_ascii_alphabetic)
        && number.iter().all(u8::is_ascii_digit)
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// The method's tag: the nine of RFC 9110 and RFC 5789 in capitals, everything else `__other__`.
#[inline]
#[must_use]
pub fn method_index(method: &[u8]) -> u8 {
    if method == b"GET" {
        return 0;
    }
    METHODS
        .iter()
        .position(|known| known.as_bytes().eq_ignore_ascii_case(method))
        .map_or(METHODS.len() as u8 - 1, |at| at as u8)
}

/// The tags [`method_index`] points to.
pub const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE", OTHER];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_scheme_host_and_query() {
        for (url, expected) in [
            ("search/categories", "search/categories"),
            ("/search/categories?q=a/b", "search/categories"),
            ("https://shop.example:8443/a/b?c=http://d/e", "a/b"),
            ("https://shop.example", ""),
            ("//cdn.example/x", "x"),
            ("/", ""),
            ("", ""),
            ("/redirect/http://other/x", "redirect/http://other/x"),
            ("a/b#frag", "a/b"),
            ("/a/long/path/with?a=b?c#d", "a/long/path/with"),
            ("/a/long/path/to/a/page#?x", "a/long/path/to/a/page"),
            ("/12345678?", "12345678"),
        ] {
            assert_eq!(path(url.as_bytes()), expected.as_bytes(), "{url}");
        }
    }

    #[test]
    fn segments_that_look_like_ids_are_replaced() {
        let mut route = String::new();
        for (url, expected) in [
            ("/product/42", "/product/:id"),
            ("/product/5d529ba5-063a-45dc-a405-04dc2eebd26b/reviews", "/product/:id/reviews"),
            ("/o/0123456789abcdef", "/o/:id"),
            ("/o/0123456789abcde", "/o/0123456789abcde"),
            ("/p/product_17", "/p/:id"),
            ("/p/item-9", "/p/:id"),
            ("/p/item-9b", "/p/item-9b"),
            ("/v2/items", "/v2/items"),
            ("", "/"),
            ("/a/", "/a/"),
        ] {
            template(std::str::from_utf8(path(url.as_bytes())).unwrap(), &mut route);
            assert_eq!(route, expected, "{url}");
        }
    }

    #[test]
    fn unknown_methods_share_one_tag() {
        assert_eq!(METHODS[method_index(b"post") as usize], "POST");
        assert_eq!(METHODS[method_index(b"BREW") as usize], OTHER);
    }
}
