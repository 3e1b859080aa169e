use std::time::{Duration, SystemTime};

/// What became of a write request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// 204: everything is durable.
    Ok,
    /// 422: the server kept the rest and will never take these (type conflict, outside the retention).
    Partial {
        /// Points refused, as far as the message says; at least one.
        refused: u64,
        /// The server's words.
        message: String,
    },
    /// 400: a line does not parse, nothing was written.
    BadLine {
        /// The server's words; InfluxDB quotes the lines.
        message: String,
    },
    /// 413: nothing was written.
    TooLarge,
    /// 401: the token is unknown.
    Unauthorized {
        /// The server's words.
        message: String,
    },
    /// 403: the token may not write this bucket.
    Forbidden {
        /// The server's words.
        message: String,
    },
    /// 404: no such organisation, bucket, or no InfluxDB at all.
    NotFound {
        /// The server's words.
        message: String,
    },
    /// 429 or 503: come back later.
    Busy {
        /// 429 or 503.
        status: u16,
        /// When, if it says so.
        retry_after: Option<Duration>,
    },
    /// Another 5xx, or 408: passes by itself.
    Server {
        /// The status.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// An answer that InfluxDB does not give to a write: something else listens there.
    Unexpected {
        /// The status.
        status: u16,
        /// What it said; for a redirect, to where.
        message: String,
    },
    /// No answer: refused, reset, timed out, name not found.
    Transport(String),
}

/// The parts of an answer that decide.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Header `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// Header `Location`.
    pub location: Option<&'a str>,
    /// The body.
    pub body: &'a str,
}

impl WriteOutcome {
    /// Reads an answer to a write. `now` is for a `Retry-After` that names a date.
    #[must_use]
    pub fn of(answer: Answer<'_>, now: SystemTime) -> Self {
        let message = message(answer.body);
        let retry_after = || answer.retry_after.and_then(|text| parse_retry_after(text, now));
        match answer.status {
            // Not just any 2xx: a proxy's friendly page has stored nothing.
            204 => Self::Ok,
            300..=399 => {
                let to = answer.location.unwrap_or("nowhere");
                Self::Unexpected { status: answer.status, message: format!("redirects to {to}") }
            }
            400 => Self::BadLine { message },
            401 => Self::Unauthorized { message },
            403 => Self::Forbidden { message },
            404 => Self::NotFound { message },
            413 => Self::TooLarge,
            422 => Self::Partial { refused: refused_points(&message), message },
            status @ (429 | 503) => Self::Busy { status, retry_after: retry_after() },
            status if status == 408 || status >= 500 => Self::Server { status, message },
            status => Self::Unexpected { status, message },
        }
    }
}

/// Longest message kept of an answer, in bytes: for people; a page of HTML does not help them.
const MESSAGE_BYTES_MAX: usize = 300;

/// Cuts a message for people, at a character.
#[must_use]
pub(super) fn shorten(message: &str) -> &str {
    let end = (0..=MESSAGE_BYTES_MAX.min(message.len())).rev().find(|end| message.is_char_boundary(*end));
    &message[..end.unwrap_or_default()]
}

/// InfluxDB's `{"code","message"}`, or the text as it is.
pub(super) fn message(body: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Error {
        message: String,
    }
    serde_json::from_str::<Error>(body).map_or_else(|_| body.trim().to_owned(), |error| error.message)
}

/// The number after the last `dropped=`; one where there is none.
fn refused_points(message: &str) -> u64 {
    let count = message.rsplit_once("dropped=").and_then(|(_, rest)| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest[..digits].parse().ok()
    });
    count.unwrap_or(1).max(1)
}

/// Seconds or an HTTP date; a date that has passed is no wait.
fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests;
