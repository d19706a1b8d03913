//! What the workload's operator and its watchers ask: whether it lives, whether it is ready, and its numbers.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /healthz` | 200, `ok`: the process answers |
//! | `GET /readyz` | 200 or 503, a JSON document of named checks |
//! | `GET /metrics` | 200, numbers for Prometheus |
//!
//! What the documents say is for others: they come ready-made from two functions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{sync::Mutex, task, time};

use crate::refusal::Refusal;

/// How long an answer serves whoever asks next: asking often costs no more.
const FRESH: Duration = Duration::from_secs(1);
/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is answered. Both functions are called on threads that may wait.
#[derive(Clone)]
pub struct Operations {
    /// Whether it is ready, and the JSON document that says why.
    pub ready: Arc<dyn Fn() -> (bool, String) + Send + Sync>,
    /// The numbers.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The media type of the numbers.
    pub metrics_type: &'static str,
}

/// Makes the routes `/readyz` and `/metrics`, to be merged with others.
pub fn routes(operations: Operations) -> Router {
    let shared = Shared { operations, ready: Arc::default(), metrics: Arc::default() };
    Router::new().route("/readyz", get(readyz)).route("/metrics", get(metrics)).with_state(shared)
}

/// Makes all routes of an address that serves nothing else.
pub fn router(operations: Operations) -> Router {
    routes(operations).route("/healthz", get(|| async { "ok" })).fallback(|| async {
        Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this address", "/healthz, /readyz or /metrics")
    })
}

type Kept<T> = Arc<Mutex<Option<(Instant, T)>>>;

#[derive(Clone)]
struct Shared {
    operations: Operations,
    ready: Kept<(bool, String)>,
    metrics: Kept<String>,
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let (status, document) = match fresh(shared.ready, shared.operations.ready).await {
        Some((true, document)) => (StatusCode::OK, document),
        Some((false, document)) => (StatusCode::SERVICE_UNAVAILABLE, document),
        None => return slow().into_response(),
    };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, document).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let media_type = shared.operations.metrics_type;
    match fresh(shared.metrics, shared.operations.metrics).await {
        Some(text) => ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-store")], text).into_response(),
        None => slow().into_response(),
    }
}

/// Gives the answer that is kept, or a new one where it is too old. One at a time is made, whoever asks.
async fn fresh<T>(kept: Kept<T>, make: Arc<dyn Fn() -> T + Send + Sync>) -> Option<T>
where
    T: Clone + Send + 'static,
{
    let made = async move {
        let mut kept = kept.lock_owned().await;
        if let Some((_, answer)) = kept.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Some(answer.clone());
        }
        // The next one waits until this is done, even where nobody waits for it any more.
        let done = task::spawn_blocking(move || {
            let answer = make();
            *kept = Some((Instant::now(), answer.clone()));
            answer
        });
        done.await.ok()
    };
    time::timeout(PATIENCE, made).await.ok().flatten()
}

fn slow() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the workload did not say in time how it is",
        "look at its log, and at the disk of its state",
    )
}
