//! One line of an access log, in the common or the combined format as nginx and Apache write it.
//!
//! Everything is borrowed and stays as written, escapes (`\x22`, `\"`) too: they stand where a client sent what no client
//! should send, and a URL with them is no other page than one without. A dash or nothing at all is `None`.
//!
//! What people add is let be: a virtual host or a shipper's header in front, a list of proxies for the host, any fields
//! after the last one.

use std::net::IpAddr;

/// The pieces of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line<'a> {
    /// The client's address or name; of a list the first.
    pub host: Option<&'a str>,
    /// Whom the server knows it to be; may have blanks.
    pub user: Option<&'a str>,
    /// The time, without its brackets.
    pub time: &'a str,
    /// The request's method, where there is a request to speak of.
    pub method: Option<&'a str>,
    /// The request's target, as [`request_line`] has it.
    pub target: Option<&'a str>,
    /// The status in digits.
    pub status: Option<&'a str>,
    /// The size of the answer in digits.
    pub bytes: Option<&'a str>,
    /// Combined only.
    pub referrer: Option<&'a str>,
    /// Combined only.
    pub user_agent: Option<&'a str>,
    /// What follows the fields of the format.
    pub further: Option<&'a str>,
}

/// The pieces of a line; `None` if it is no line of an access log.
///
/// A combined line may end before its referrer, or within a field where something cut it: what is there is taken.
#[must_use]
pub fn parse(line: &str, common: bool) -> Option<Line<'_>> {
    let line = line.trim();
    // No field before the request can have an unescaped quote and so look like this.
    let end = line.find("] \"")?;
    let start = line[..end].rfind('[')?;
    let (host, user) = host_and_user(&line[..start]);
    let (request, rest) = request(&line[end + "] \"".len()..])?;
    let (method, target) = match request_line(request) {
        Some((method, target)) => (method, value(target)),
        None => (None, None),
    };
    let (status, rest) = digits(rest)?;
    let (bytes, rest) = digits(rest)?;
    let mut rest = rest.trim_start();
    let mut quoted = [None, None];
    if !common {
        for field in &mut quoted {
            let (text, after) = quoted_or_word(rest);
            (*field, rest) = (value(text), after.trim_start());
        }
    }
    let time = value(line[start + 1..end].trim())?;
    let [referrer, user_agent] = quoted;
    Some(Line { host, user, time, method, target, status, bytes, referrer, user_agent, further: value(rest) })
}

/// Method and target of a request line such as `GET /x?y HTTP/1.1`, which may lack the version, or be a target alone.
///
/// Slashes doubled at the target's beginning are one, as a path has no host before it. A full URL is left as it is. The
/// target of a `CONNECT` is a host and no page: it is empty. `None` is what was no HTTP: a dash, nothing, a handshake of
/// TLS, a probe.
#[must_use]
pub fn request_line(text: &str) -> Option<(Option<&str>, &str)> {
    let text = text.trim();
    if is_target(text) {
        return Some((None, one_slash(without_version(text))));
    }
    let (method, rest) = text.split_once([' ', '\t'])?;
    if !method.starts_with(|first: char| first.is_ascii_alphabetic())
        || method.len() > METHOD_MAX
        || !method.bytes().all(is_method)
    {
        return None;
    }
    let target = without_version(rest.trim());
    if method.eq_ignore_ascii_case("CONNECT") {
        return Some((Some(method), &target[..0])); // Of the text as everything else, for those who ask where.
    }
    (is_target(target) || target == "*").then_some((Some(method), one_slash(target)))
}

/// `BASELINE-CONTROL` and `UPDATEREDIRECTREF` are the longest there are; a probe can write what it likes.
const METHOD_MAX: usize = 24;

fn is_method(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_')
}

fn is_target(text: &str) -> bool {
    let is_scheme =
        |scheme: &str| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.starts_with('/') || text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
}

/// A target may have blanks: clients send them, and servers answer.
fn without_version(text: &str) -> &str {
    match text.rsplit_once([' ', '\t']) {
        Some((target, version)) if version.starts_with("HTTP/") || version == "-" => target.trim_end(),
        _ => text,
    }
}

fn one_slash(target: &str) -> &str {
    let doubled = target.bytes().take_while(|byte| *byte == b'/').count();
    &target[doubled.saturating_sub(1)..]
}

/// From what stands before the time: `host ident user`, with what people and shippers put before it.
fn host_and_user(head: &str) -> (Option<&str>, Option<&str>) {
    let mut words = Words(head);
    let mut first = words.next();
    // A syslog header ends with the program's name, as in `<190>Aug 12 15:00:01 web1 nginx: `.
    if let Some(at) = head.match_indices(": ").map(|(at, _)| at).last()
        && is_program(head[..at].rsplit(' ').next().unwrap_or_default())
    {
        words = Words(&head[at + 2..]);
        first = words.next();
    }
    let Some(mut host) = first else { return (None, None) };
    // The proxies of an X-Forwarded-For: the client is the first.
    let mut last = host;
    while last.ends_with(',') {
        match words.next() {
            Some(next) => last = next,
            None => break,
        }
    }
    let mut ahead = words;
    let (second, third) = (ahead.next(), ahead.next());
    let user = match (second, third) {
        (Some("-"), _) => {
            words.next();
            words.rest()
        }
        // A virtual host comes first, with its port or without.
        (Some(client), Some("-")) if is_address(client) || !ahead.rest().is_empty() => {
            host = client;
            ahead.rest()
        }
        (Some(client), Some(_)) if is_address(client) => {
            host = client;
            ahead.rest()
        }
        (Some(_), Some(_)) => {
            words.next();
            words.rest()
        }
        (Some(user), None) => user,
        (None, _) => "",
    };
    // Names of further fields may stand between ident and user; a dash at the end says that there is no user.
    let user = if user.ends_with(" -") { "" } else { user };
    (value(host.trim_end_matches(',').trim_matches('"')), value(user.trim_matches('"')))
}

/// Whether this is the tag of a syslog header, less its colon, rather than the beginning of an address.
fn is_program(word: &str) -> bool {
    let name = word.split_once('[').map_or(word, |(name, _)| name);
    // What nginx calls a client that came by a Unix socket.
    name != "unix"
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.'))
}

fn is_address(word: &str) -> bool {
    word.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// The request, which ends where a status follows it, and what comes after its quote.
///
/// Servers that do not escape quotes write them as they come, so a quote alone does not say.
fn request(text: &str) -> Option<(&str, &str)> {
    let is_end = |at: &usize| {
        let after = &text[at + 1..];
        after.starts_with(' ') && digits(after).is_some_and(|(status, _)| status.is_none_or(|s| s.len() == 3))
    };
    let at = quotes(text).find(is_end)?;
    Some((&text[..at], &text[at + 1..]))
}

/// A quoted text, or a word where there are no quotes, and what follows. A text that is cut off goes to the end.
fn quoted_or_word(text: &str) -> (&str, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        return text.split_once(' ').unwrap_or((text, ""));
    };
    let is_end = |at: &usize| matches!(inner.as_bytes().get(at + 1), None | Some(b' '));
    match quotes(inner).find(is_end) {
        Some(at) => (&inner[..at], &inner[at + 1..]),
        None => (inner, ""),
    }
}

/// The positions of quotes that no backslash takes away.
fn quotes(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices('"').map(|(at, _)| at).filter(|at| {
        let backslashes = text.as_bytes()[..*at].iter().rev().take_while(|byte| **byte == b'\\').count();
        backslashes % 2 == 0
    })
}

/// A number or a dash after blanks, and what follows; nothing at the end is as good as a dash.
fn digits(text: &str) -> Option<(Option<&str>, &str)> {
    let text = text.trim_start();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "" | "-" => Some((None, rest)),
        _ => word.bytes().all(|byte| byte.is_ascii_digit()).then_some((Some(word), rest)),
    }
}

fn value(text: &str) -> Option<&str> {
    Some(text).filter(|text| !matches!(*text, "" | "-" | "\"\""))
}

/// Words between blanks, and what is left after some of them.
#[derive(Clone, Copy)]
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    fn rest(&self) -> &'a str {
        self.0.trim()
    }
}

#[cfg(test)]
mod tests;
