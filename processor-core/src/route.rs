//! From a URL as sent to the route that may be a tag: few values, no ids, no query strings.

use std::borrow::Cow;

use crate::fit;

/// What stands in for everything beyond a limit.
pub(crate) const OTHER: &str = "__other__";
/// The route of requests without a URL.
pub(crate) const NONE: &str = "__none__";

/// The path of a URL: scheme, host, query string and fragment cut, and the leading `/` too.
///
/// `https://shop.example/a/b?c=d`, `/a/b` and `a/b#e` all have the path `a/b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    /// Valid UTF-8 where the URL is.
    pub(crate) text: &'a [u8],
    /// Whether it is what is counted; else [`counted`] says what is.
    pub(crate) is_counted: bool,
}

impl<'a> Path<'a> {
    /// The path of a plain record's URL; `None` where that is blank.
    #[inline]
    pub(crate) fn plain(url: &'a [u8]) -> Option<Self> {
        if url.first().is_none_or(|first| *first <= b' ') && is_blank(url) {
            return None;
        }
        let (cut, is_odd) = before_query(url);
        if is_odd {
            return Some(Self::odd(cut, true));
        }
        // Without two slashes in a row there is neither scheme nor host.
        let text = match cut {
            [b'/', rest @ ..] => rest,
            rest => rest,
        };
        Some(Self { text, is_counted: true })
    }

    /// The path of any URL; `None` where that is blank.
    pub(crate) fn of(url: &'a str) -> Option<Self> {
        let url = url.as_bytes();
        (!is_blank(url)).then(|| Self::odd(before_query(url).0, false))
    }

    /// `is_plain`: of a plain record, see [`fit::is_odd`].
    #[cold]
    #[inline(never)]
    fn odd(cut: &'a [u8], is_plain: bool) -> Self {
        let text = match cut {
            [b'/', b'/', rest @ ..] => without_host(rest),
            [b'/', rest @ ..] => rest,
            url => without_scheme(url),
        };
        let is_ordinary = is_plain && text.first() != Some(&b'/') && !before_query(text).1;
        Self { text, is_counted: is_ordinary || is_counted(text_of(text)) }
    }
}

fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("texts of events are valid UTF-8")
}

fn is_counted(path: &str) -> bool {
    !path.starts_with('/') && !path.contains("//") && !path.contains(';') && fit::is_fit(path)
}

/// What of a path is counted: its segments without their `;parameters`, one `/` between them, and none to begin with;
/// fit for line protocol. What is counted stays as it is.
pub(crate) fn counted(path: &str) -> Cow<'_, str> {
    if is_counted(path) {
        return Cow::Borrowed(path);
    }
    let mut counted = String::with_capacity(path.len() + 8);
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 && !counted.is_empty() && !counted.ends_with('/') {
            counted.push('/');
        }
        fit::write(segment.split(';').next().unwrap_or_default(), &mut counted);
    }
    Cow::Owned(counted)
}

/// Up to the first `?` or `#`, and whether there may be anything before it that costs a closer look: two slashes in a
/// row, a `;`, or bytes that [`fit::is_odd`]. Eight bytes at a time: URLs are too short for a call to pay.
#[inline]
fn before_query(url: &[u8]) -> (&[u8], bool) {
    let (words, rest) = url.as_chunks::<8>();
    let mut is_odd = false;
    let mut last_slash = u64::from(u8::MAX);
    for (at, word) in words.iter().enumerate() {
        let seen = Seen::in_word(u64::from_le_bytes(*word), last_slash);
        last_slash = seen.last_slash;
        if seen.ends != 0 {
            return (&url[..at * 8 + seen.ends_at()], is_odd | seen.is_odd());
        }
        is_odd |= seen.is_odd();
    }
    match url.last_chunk::<8>() {
        _ if rest.is_empty() => (url, is_odd),
        // The last eight bytes: of those that were seen already none ends it, and a slash before them is of no matter.
        Some(last) => {
            let seen = Seen::in_word(u64::from_le_bytes(*last), u64::from(u8::MAX));
            match seen.ends {
                0 => (url, is_odd | seen.is_odd()),
                _ => (&url[..url.len() - 8 + seen.ends_at()], is_odd | seen.is_odd()),
            }
        }
        None => {
            let end = url.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(url.len());
            let cut = &url[..end];
            let slashes = cut.windows(2).any(|two| two == b"//");
            (cut, slashes || cut.iter().any(|byte| *byte == b';' || *byte >= 0x7f))
        }
    }
}

/// What is seen in eight bytes of a URL: in each, the lowest bit set is right, and higher ones may be wrong.
struct Seen {
    ends: u64,
    odd: u64,
    /// Zero where the last byte is a slash.
    last_slash: u64,
}

impl Seen {
    #[inline(always)]
    fn in_word(word: u64, last_slash: u64) -> Self {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        // The highest bit of each byte that is zero.
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
        let unlike = |byte: u8| word ^ (ONES * u64::from(byte));
        let slashes = unlike(b'/');
        let two_slashes = zeros(slashes | slashes << 8 | last_slash);
        let high = word | word.wrapping_add(ONES);
        Self {
            ends: (zeros(unlike(b'?')) | zeros(unlike(b'#'))) & HIGH,
            odd: (two_slashes | zeros(unlike(b';')) | high) & HIGH,
            last_slash: slashes >> 56,
        }
    }

    #[inline(always)]
    fn ends_at(&self) -> usize {
        self.ends.trailing_zeros() as usize / 8
    }

    /// Whether there is anything odd before the end.
    #[inline(always)]
    fn is_odd(&self) -> bool {
        self.odd & (self.ends & self.ends.wrapping_neg()).wrapping_sub(1) != 0
    }
}

fn is_blank(url: &[u8]) -> bool {
    url.iter().all(u8::is_ascii_whitespace)
}

/// Without the scheme and host that it may begin with.
fn without_scheme(url: &[u8]) -> &[u8] {
    let Some(colon) = memchr::memchr(b':', url) else { return url };
    let is_of_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    match url[colon..].strip_prefix(b"://") {
        Some(rest) if url[..colon].iter().all(is_of_scheme) => {
            memchr::memchr(b'/', rest).map_or(&[], |at| &rest[at + 1..])
        }
        _ => url,
    }
}

/// What follows two slashes, without the host that it may begin with: `//cdn.example/x` has one, and `//index.php` and
/// `//a//b` have doubled slashes.
fn without_host(rest: &[u8]) -> &[u8] {
    match memchr::memchr(b'/', rest) {
        Some(at) if is_host(&rest[..at]) => &rest[at + 1..],
        _ => rest,
    }
}

/// Names joined by dots, at least two, and perhaps a port.
fn is_host(text: &[u8]) -> bool {
    let port = memchr::memrchr(b':', text).filter(|at| text[at + 1..].iter().all(u8::is_ascii_digit));
    let name = &text[..port.unwrap_or(text.len())];
    let is_label = |label: &[u8]| {
        !label.is_empty()
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte) || *byte >= 0x80)
    };
    name.contains(&b'.') && name.split(|byte| *byte == b'.').all(is_label)
}

/// Writes the route of a path that is [`counted`] to `route`: a leading `/`, and `:id` for each segment that looks like an id, that
/// is all digits, a UUID, 16 or more hex digits, or a word and a number joined by `_` or `-`.
pub(crate) fn template(path: &str, route: &mut String) {
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
pub(crate) fn method_index(method: &[u8]) -> u8 {
    if method == b"GET" {
        return 0;
    }
    METHODS
        .iter()
        .position(|known| known.as_bytes().eq_ignore_ascii_case(method))
        .map_or(METHODS.len() as u8 - 1, |at| at as u8)
}

/// The tags [`method_index`] points to.
pub(crate) const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE", OTHER];

#[cfg(test)]
mod tests {
    use super::*;

    /// What is counted of a URL, found as of a plain record where it can be of one, and as of any.
    fn path(url: &str) -> Option<String> {
        let any = Path::of(url).map(|path| {
            assert!(!path.is_counted || counted(text_of(path.text)) == text_of(path.text), "{url:?}");
            counted(text_of(path.text)).into_owned()
        });
        if !url.contains(|c: char| c == '\\' || c.is_ascii_control() && c != '\u{7f}') {
            let plain = Path::plain(url.as_bytes());
            let plain = plain.map(|path| {
                if path.is_counted {
                    text_of(path.text).to_owned()
                } else {
                    counted(text_of(path.text)).into_owned()
                }
            });
            assert_eq!(plain, any, "{url:?}");
        }
        any
    }

    #[test]
    fn paths_lose_scheme_host_and_query() {
        for (url, expected) in [
            ("search/categories", "search/categories"),
            ("/search/categories?q=a/b", "search/categories"),
            ("https://shop.example:8443/a/b?c=http://d/e", "a/b"),
            ("https://shop.example", ""),
            ("HTTPS://shop.example/a", "a"),
            ("//cdn.example/x", "x"),
            ("/", ""),
            ("?a=b", ""),
            ("#top", ""),
            ("/redirect/http://other/x", "redirect/http:/other/x"),
            ("redirect/http://other/x", "redirect/http:/other/x"),
            ("a/b#frag", "a/b"),
            ("/a/long/path/with?a=b?c#d", "a/long/path/with"),
            ("/a/long/path/to/a/page#?x", "a/long/path/to/a/page"),
            ("/12345678?", "12345678"),
        ] {
            assert_eq!(path(url).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn a_blank_url_is_none() {
        for url in ["", " ", "\t \n"] {
            assert_eq!(path(url), None);
        }
        assert_eq!(path(" x").as_deref(), Some(" x"));
    }

    /// Each prefix with each rest: whatever stands where in the eight bytes that are looked at together.
    #[test]
    fn parameters_and_doubled_slashes_are_no_part_of_a_path() {
        let prefixes = [
            ("/", ""),
            ("//", ""),
            ("///", ""),
            ("", ""),
            ("/a/", "a/"),
            ("/seven77/", "seven77/"),
            ("/seven77//", "seven77/"),
            ("/a;b=c/", "a/"),
            ("/longer-than-eight;jsessionid=0123456789/", "longer-than-eight/"),
            ("https://shop.example/", ""),
            ("https://shop.example//", ""),
            ("http://localhost:8080/a//", "a/"),
            ("//cdn.shop.example/", ""),
            ("//cdn.shop.example:443//", ""),
            ("//shop_1.example/", ""),
            ("//a/", "a/"),
            ("//.git/", ".git/"),
            ("//a..b/", "a..b/"),
            ("///cdn.example/", "cdn.example/"),
            ("/cdn.example//", "cdn.example/"),
        ];
        let rests = [
            ("", ""),
            ("b", "b"),
            ("/b", "b"),
            ("b/", "b/"),
            ("b//", "b/"),
            ("b///c", "b/c"),
            ("b;", "b"),
            (";b", ""),
            (";b/c", "c"),
            ("b;jsessionid=1A2B.node1?c=d;e", "b"),
            ("b;c=d/e;f;g#h", "b/e"),
            ("b;c//d", "b/d"),
            ("b/;c/d", "b/d"),
            ("b/;c", "b/"),
            ("index.php", "index.php"),
            ("b.c/d", "b.c/d"),
            ("b?c//d;e", "b"),
            ("bü/ 1", "bü/ 1"),
            ("b\u{7f}\u{85}c", "b  c"),
            ("b\\c\n", "b\u{ff3c}c "),
        ];
        for (prefix, start) in prefixes {
            for (rest, end) in rests {
                let url = format!("{prefix}{rest}");
                let expected = match (prefix, rest) {
                    ("", "") => None,
                    // Another name before a slash, and so a host.
                    ("//", "b.c/d") => Some("d".to_owned()),
                    ("", "/b") => Some("b".to_owned()),
                    _ => Some(format!("{start}{end}")),
                };
                assert_eq!(path(&url), expected, "{url:?}");
            }
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
            template(&path(url).unwrap_or_default(), &mut route);
            assert_eq!(route, expected, "{url}");
        }
    }

    #[test]
    fn unknown_methods_share_one_tag() {
        assert_eq!(METHODS[method_index(b"post") as usize], "POST");
        assert_eq!(METHODS[method_index(b"BREW") as usize], OTHER);
    }
}
