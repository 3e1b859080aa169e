//! Who may ask, and what a browser may do with the answers.
//!
//! The server has no passwords, so the danger is a hostile web page open in the browser of someone who runs it:
//! - *DNS rebinding*: a name of the attacker's that resolves to 127.0.0.1. On a loopback address only requests whose
//!   `Host` is itself loopback are answered. On other addresses reading is open (Prometheus comes by name), but
//!   writing still wants a `Host` that no name can be rebound to: an address, or `localhost`.
//! - *Cross-site requests*: writing wants a header that a form cannot send and that a foreign script may not send
//!   without a permission (CORS) this server never gives, and an `Origin`, where there is one, equal to `Host`.

use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The header writing requests must carry, with any value.
pub(super) const WRITE_HEADER: &str = "x-clickpulse";

/// Nothing but the server's own files and API; no inline script or style, no frame, no form.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(header::HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Refuses what must not be answered and adds the security headers to everything.
pub(super) async fn guard(State(addr): State<SocketAddr>, request: Request, next: Next) -> Response {
    let mut response = match check(addr, request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, reason)) => refusal(status, reason),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// An error as the API gives it.
pub(super) fn refusal(status: StatusCode, reason: &str) -> Response {
    (status, Json(serde_json::json!({ "error": reason }))).into_response()
}

fn check(addr: SocketAddr, method: &Method, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    let host = single(headers, header::HOST).ok_or((StatusCode::BAD_REQUEST, "one Host header is needed"))?;
    let kind = HostKind::of(host);
    if addr.ip().is_loopback() && kind != HostKind::Loopback {
        return Err((StatusCode::MISDIRECTED_REQUEST, "this server answers to localhost only"));
    }
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    if kind == HostKind::Name {
        return Err((StatusCode::FORBIDDEN, "changes need an address or localhost as Host"));
    }
    if !headers.contains_key(WRITE_HEADER) {
        return Err((StatusCode::FORBIDDEN, "changes need the header X-Clickpulse"));
    }
    if headers.contains_key(header::ORIGIN) {
        let same =
            single(headers, header::ORIGIN).and_then(|origin| origin.strip_prefix("http://")) == Some(host);
        if !same {
            return Err((StatusCode::FORBIDDEN, "changes from another site are refused"));
        }
    }
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err((StatusCode::FORBIDDEN, "changes from another site are refused"));
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum HostKind {
    Loopback,
    Address,
    Name,
}

impl HostKind {
    fn of(host: &str) -> Self {
        let name = match host.rsplit_once(':') {
            // The colons of a bare IPv6 address are not a port's; in a Host it stands in brackets.
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        match bare.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() => Self::Loopback,
            Ok(_) => Self::Address,
            Err(_) if bare.eq_ignore_ascii_case("localhost") => Self::Loopback,
            Err(_) => Self::Name,
        }
    }
}

/// The header's value if there is exactly one and it is text.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart() {
        for host in ["localhost", "LocalHost:8088", "127.0.0.1", "127.0.0.1:8088", "[::1]:8088", "[::1]"] {
            assert_eq!(HostKind::of(host), HostKind::Loopback, "{host}");
        }
        for host in ["10.0.0.7:8088", "192.168.1.2", "[fe80::1]:80"] {
            assert_eq!(HostKind::of(host), HostKind::Address, "{host}");
        }
        for host in
            ["evil.example", "evil.example:8088", "localhost.evil.example", "127.0.0.1.evil.example:1", ""]
        {
            assert_eq!(HostKind::of(host), HostKind::Name, "{host}");
        }
    }
}
