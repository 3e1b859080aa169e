//! S3 by way of the HTTP client that is here anyway.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};
use object_store::{ClientOptions, RetryConfig};
use ureq::Agent;
use ureq::http::{Method, Request};

use super::store::OBJECT_BYTES_MAX;
use crate::influx::is_loopback;
use crate::settings::S3Settings;

/// A bucket: variables of the environment first, settings over them.
pub(super) fn open(settings: &S3Settings, timeout: Duration) -> object_store::Result<AmazonS3> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&settings.bucket)
        .with_http_connector(Connector {
            timeout,
            is_loopback: settings.endpoint.as_deref().is_some_and(is_loopback),
        })
        // Each try is ours: how often and for how long depends on who waits.
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        // Not every service that speaks S3 knows bulk deletion, and we delete a few at a time.
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let Some((id, secret)) = &settings.key {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose());
    }
    if settings.allow_http {
        builder = builder.with_allow_http(true);
    }
    builder.build()
}

/// Makes clients that call `ureq` on tokio's threads for blocking work.
#[derive(Debug)]
struct Connector {
    timeout: Duration,
    is_loopback: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp).as_deref() == Some("true");
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .https_only(!allow_http)
            .timeout_global(Some(self.timeout))
            .user_agent(concat!("clickpulse/", env!("CARGO_PKG_VERSION")));
        if self.is_loopback {
            // A proxy from the environment cannot reach this machine's loopback.
            config = config.proxy(None);
        }
        Ok(HttpClient::new(Service(Agent::new_with_config(config.build()))))
    }
}

#[derive(Debug)]
struct Service(Agent);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let agent = self.0.clone();
        let request = Request::from_parts(parts, body);
        let answered = tokio::task::spawn_blocking(move || send(&agent, request)).await;
        answered.map_err(|ended| HttpError::new(HttpErrorKind::Interrupted, ended))?
    }
}

fn send(agent: &Agent, request: Request<Bytes>) -> Result<HttpResponse, HttpError> {
    let (parts, body) = request.into_parts();
    let answer = if matches!(parts.method, Method::PUT | Method::POST) {
        agent.run(Request::from_parts(parts, &body[..]))
    } else {
        agent.run(Request::from_parts(parts, ()))
    };
    let (parts, mut body) = answer.map_err(problem)?.into_parts();
    let bytes = body.with_config().limit(OBJECT_BYTES_MAX).read_to_vec().map_err(problem)?;
    Ok(HttpResponse::from_parts(parts, Bytes::from(bytes).into()))
}

fn problem(error: ureq::Error) -> HttpError {
    let kind = match &error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => HttpErrorKind::Connect,
        ureq::Error::Io(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
