//! The router and its handlers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;

use super::guard::{self, refusal};
use super::health::Health;
use super::incidents::{IncidentHandler, IncidentKind, RawIncident};
use super::{assets, health};
use crate::live::{Live, Moment};
use crate::metrics::{self, Metrics};
use crate::status::{PipelineStatus, StatusBoard};

/// Answers are at most this old: many open pages cost what one costs.
const ANSWER_AGE_MAX: Duration = Duration::from_millis(200);
/// The one body the server reads is a small JSON object.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// `/api/v1/status`: the pipeline's status with the verdict on it.
#[derive(Debug, Serialize)]
pub struct StatusAnswer {
    /// The server's clock, milliseconds since the epoch; ages on the page are by this one.
    pub now_ms: i64,
    /// The verdict.
    pub health: Health,
    /// Whether `consumed = counted + duplicates + late + rejected`.
    pub conserved: bool,
    /// What the page can make go wrong; empty where it cannot.
    pub incident_kinds: Vec<IncidentKind>,
    /// Where it can do so.
    pub incident_routes: Vec<String>,
    /// The status itself.
    #[serde(flatten)]
    pub pipeline: PipelineStatus,
}

/// What the handlers share.
pub(super) struct App {
    board: Arc<StatusBoard>,
    live: Arc<Live>,
    incidents: Option<IncidentHandler>,
    metrics: Metrics,
    live_answer: Mutex<Option<(Instant, Bytes)>>,
}

impl App {
    pub(super) fn new(
        board: Arc<StatusBoard>,
        live: Arc<Live>,
        incidents: Option<IncidentHandler>,
    ) -> Arc<Self> {
        let metrics = Metrics::new(Arc::clone(&board));
        Arc::new(Self { board, live, incidents, metrics, live_answer: Mutex::default() })
    }
}

pub(super) fn router(app: Arc<App>, addr: SocketAddr) -> Router {
    let mut router = Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/live", get(live))
        .route("/metrics", get(scrape))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz));
    for asset in &assets::ALL {
        let answer = ([(header::CONTENT_TYPE, asset.media_type)], asset.body);
        router = router.route(asset.path, get(move || async move { answer }));
    }
    if app.incidents.is_some() {
        router = router.route("/api/v1/incidents", post(start_incident));
    }
    router
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "no such page") })
        .method_not_allowed_fallback(|| async {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "no such method here")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(addr, guard::guard))
        .with_state(app)
}

async fn status(State(app): State<Arc<App>>) -> Json<StatusAnswer> {
    let pipeline = app.board.get();
    let incidents = app.incidents.as_ref();
    Json(StatusAnswer {
        now_ms: now_ms(),
        health: Health::of(&pipeline),
        conserved: pipeline.totals.conserved(),
        incident_kinds: incidents.map_or_else(Vec::new, |_| IncidentKind::ALL.to_vec()),
        incident_routes: incidents.map_or_else(Vec::new, |handler| handler.routes().to_vec()),
        pipeline,
    })
}

async fn live(State(app): State<Arc<App>>) -> Response {
    let mut kept = app.live_answer.lock().expect("no holder of the answer panics");
    let body = match kept.as_ref() {
        Some((made, body)) if made.elapsed() < ANSWER_AGE_MAX => body.clone(),
        _ => {
            let watermark_ms = merge_watermark(&app.board.get());
            let snapshot = app.live.snapshot(Moment { now_ms: now_ms(), watermark_ms });
            let body = Bytes::from(serde_json::to_vec(&snapshot).expect("a snapshot has only string keys"));
            *kept = Some((Instant::now(), body.clone()));
            body
        }
    };
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Up to where every merged window is complete.
fn merge_watermark(status: &PipelineStatus) -> Option<i64> {
    status.merges.iter().map(|merge| merge.watermark_ms).min().flatten()
}

async fn scrape(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], app.metrics.encode())
}

async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, Json<health::Health>) {
    let health = Health::of(&app.board.get());
    let code = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health))
}

async fn start_incident(State(app): State<Arc<App>>, Json(raw): Json<RawIncident>) -> Response {
    let Some(handler) = app.incidents.clone() else {
        return refusal(StatusCode::NOT_FOUND, "incidents are off");
    };
    let request = match raw.check(handler.routes()) {
        Ok(request) => request,
        Err(reason) => return refusal(StatusCode::UNPROCESSABLE_ENTITY, &reason),
    };
    match tokio::task::spawn_blocking(move || handler.start(request)).await {
        Ok(Ok(())) => (StatusCode::ACCEPTED, Json(serde_json::json!({ "started": true }))).into_response(),
        Ok(Err(reason)) => refusal(StatusCode::BAD_GATEWAY, &reason),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "starting the incident failed"),
    }
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
