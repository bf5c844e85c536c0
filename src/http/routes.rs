//! The paths of the operator's listener and what they say.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use prometheus::TextEncoder;
use tokio::sync::Mutex;

use super::logs::{self, Logs};
use super::metrics::{Exposition, Sources};
use crate::feed::source::intake::Intake;
use crate::load::status::{State as LoadState, Status};
use crate::zone::ZoneState;

/// The text format of Prometheus, version 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Everything else.
pub(super) const TEXT_TYPE: &str = "text/plain; charset=utf-8";
/// What `/` says.
const INDEX: &str = "\
dnsbld

/metrics  counters and gauges for Prometheus
/healthz  200 while the program is alive
/readyz   200 when every zone can be answered from, else 503 and why not
/v1/logs  POST: log lines for the feeder, where a source of type http is set
";

/// What another method is told.
const METHODS: &str = "Only GET and HEAD are served here, and POST of /v1/logs.\n";

/// What the pages are made of.
pub struct Shared {
    /// What the loader tells of itself, for readiness.
    status: Arc<Status>,
    /// The collector, registered.
    metrics: prometheus::Registry,
    /// Held while a scrape is made, so that many requests at once cost one processor and no more.
    turn: Arc<Mutex<()>>,
    /// The feeder's way in.
    pub(super) logs: Logs,
}

impl Shared {
    /// Pages over these sources, and the feeder's way in.
    pub fn new(sources: Sources, intake: Intake) -> Arc<Self> {
        let status = Arc::clone(&sources.status);
        let metrics = prometheus::Registry::new();
        // Registering fails only for bad or double names in the constant table of families; tests register it.
        let registered = Exposition::new(sources).and_then(|exposition| metrics.register(Box::new(exposition)));
        registered.expect("the table of metric families is good");
        Arc::new(Self { status, metrics, turn: Arc::default(), logs: Logs::new(intake) })
    }

    /// One scrape, as text.
    ///
    /// # Errors
    ///
    /// When a family can not be written, which does not happen with families that the collector made.
    pub fn scrape(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.metrics.gather())
    }
}

/// The router for every connection.
pub fn router(shared: Arc<Shared>) -> Router {
    let router = Router::new();
    // Without a source for it there is no such path.
    let router = if shared.logs.is_open() { router.route("/v1/logs", post(logs::take)) } else { router };
    router
        .route("/", get(async || page(StatusCode::OK, TEXT_TYPE, INDEX.to_owned())))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || page(StatusCode::OK, TEXT_TYPE, "ok\n".to_owned())))
        .route("/readyz", get(readiness))
        .fallback(not_found)
        .method_not_allowed_fallback(async || page(StatusCode::METHOD_NOT_ALLOWED, TEXT_TYPE, METHODS.to_owned()))
        .with_state(shared)
}

/// A response that nobody may keep or guess the type of.
pub(super) fn page(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")];
    (status, headers, [("x-content-type-options", "nosniff")], text).into_response()
}

/// `/metrics`.
async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let turn = Arc::clone(&shared.turn).lock_owned().await;
    // On a thread of its own: summing a thousand zones over many workers takes milliseconds. The turn goes with
    // it, so that clients who hang up at once do not pile up scrapes.
    let scraped = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        shared.scrape()
    });
    match scraped.await {
        Ok(Ok(text)) => page(StatusCode::OK, METRICS_TYPE, text),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

/// A scrape that could not be made.
fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!("metrics can not be written: {error}");
    page(StatusCode::INTERNAL_SERVER_ERROR, TEXT_TYPE, format!("Metrics can not be written: {error}\n"))
}

/// `/readyz`.
async fn readiness(State(shared): State<Arc<Shared>>) -> Response {
    let reasons = unready(&shared.status.lock());
    if reasons.is_empty() {
        page(StatusCode::OK, TEXT_TYPE, "ready\n".to_owned())
    } else {
        page(StatusCode::SERVICE_UNAVAILABLE, TEXT_TYPE, format!("not ready\n{}\n", reasons.join("\n")))
    }
}

/// Why the server is not ready, a line for each reason; none exactly when [`Status::ready`] says so.
fn unready(state: &LoadState) -> Vec<String> {
    let first_pass = (!state.first_pass_done).then(|| "the first pass over all zones is not over".to_owned());
    let zones = state.zones.iter().filter_map(|zone| {
        let state = match zone.state {
            ZoneState::Ready => return None,
            ZoneState::NotReady => "not loaded",
            ZoneState::Expired => "expired",
        };
        // One line each, whatever an error says.
        let why = zone.last_error.replace(['\n', '\r'], " ");
        Some(if why.is_empty() { format!("{}: {state}", zone.name) } else { format!("{}: {state}: {why}", zone.name) })
    });
    let mut reasons: Vec<String> = first_pass.into_iter().chain(zones).collect();
    // What bars all zones is no reason by itself: with a list that the settings have just added they are served.
    if let (Some(acl), false) = (&state.acl, reasons.is_empty())
        && acl.state != ZoneState::Ready
    {
        reasons.push(format!("{}: not loaded: {}", acl.name, acl.last_error.replace(['\n', '\r'], " ")));
    }
    reasons
}

/// Any other path.
async fn not_found(uri: Uri) -> Response {
    page(StatusCode::NOT_FOUND, TEXT_TYPE, format!("There is nothing at {}; see /.\n", uri.path()))
}
