use std::sync::LazyLock;
use std::time::Duration;

use ureq::Agent;

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Reply {
    pub(crate) fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Self, String> {
        let body = response
            .body_mut()
            .with_config()
            .limit(256 * 1024 * 1024)
            .read_to_string()
            .map_err(|error| format!("the answer broke off: {error}"))?;
        Ok(Self { status: response.status().as_u16(), body })
    }
}

/// One agent for all: an error status is an answer like any other, and nothing hangs for ever.
pub(crate) static AGENT: LazyLock<Agent> = LazyLock::new(|| {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
});

/// Fetches a page.
///
/// # Errors
/// Why nothing answered.
pub fn get(url: &str) -> Result<Reply, String> {
    let response = AGENT.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    Reply::read(response)
}
