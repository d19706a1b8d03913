//! A mailbox over HTTP (docs/formats.md, Mailbox).
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /mailbox` | 200, the names as a JSON array |
//! | `GET /mailbox/NAME` | 200, the bytes; 404 |
//! | `PUT /mailbox/NAME` | 204; 400 not a name, 403 not admitted, 413 too large, 507 no room for more |
//! | `GET /healthz` | 200, `ok` |
//!
//! Nothing can be removed here: the workload removes what it has collected.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, Request, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use datafuse_space::{
    Error, Mailbox, MessageName,
    mailbox::{MAX_MESSAGE_BYTES, NO_SUCH_MESSAGE, is_message},
};
use tokio::{sync::Semaphore, task, time};

use crate::refusal::Refusal;

/// Decides whether a message may be put under a name; an error is told to whoever asked, as 403.
/// `datafuse_space::mailbox::admit` is the rule of a space. Called on threads that may wait.
pub type Admit = Arc<dyn Fn(&MessageName, &[u8]) -> Result<(), Error> + Send + Sync>;

/// The most messages that are kept; after that only those that are there can be replaced.
pub const MAX_STORED: usize = 10_000;

/// The longest time for one request, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How many requests use the mailbox at a time; others wait for their turn, within the time that a request may take.
const AT_WORK: usize = 16;

/// Makes the routes of a mailbox, and `/healthz`.
pub fn router(mailbox: Arc<dyn Mailbox>, admit: Admit) -> Router {
    router_with(mailbox, admit, MAX_STORED, REQUEST_TIMEOUT)
}

/// Makes the same routes with other limits than [`MAX_STORED`] messages and 30 seconds a request.
pub fn router_with(mailbox: Arc<dyn Mailbox>, admit: Admit, max_stored: usize, request_timeout: Duration) -> Router {
    let shared = Shared { mailbox, admit, max_stored, turns: Arc::new(Semaphore::new(AT_WORK)) };
    Router::new()
        .route("/mailbox", get(list))
        .route("/mailbox/", get(list))
        .route("/mailbox/{name}", get(read).put(put))
        .route("/healthz", get(|| async { "ok" }))
        .method_not_allowed_fallback(|| async {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this cannot be done here",
                "GET and PUT are what a mailbox knows",
            )
        })
        .fallback(|| async {
            Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this address", "the mailbox is at /mailbox")
        })
        .layer(DefaultBodyLimit::max(MAX_MESSAGE_BYTES as usize))
        .layer(middleware::from_fn(move |request: Request, next: Next| within(request_timeout, request, next)))
        .with_state(shared)
}

#[derive(Clone)]
struct Shared {
    mailbox: Arc<dyn Mailbox>,
    admit: Admit,
    max_stored: usize,
    turns: Arc<Semaphore>,
}

impl Shared {
    /// Uses the mailbox on a thread that may wait.
    async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Refusal::internal())?;
        let done = task::spawn_blocking(move || {
            // Given back when the work is done, even where nobody waits for it any more.
            let _turn = turn;
            work(&self)
        });
        done.await.unwrap_or_else(|_| Err(Refusal::internal()))
    }
}

async fn list(State(shared): State<Shared>) -> Result<Response, Refusal> {
    let names = shared.work(|shared| shared.mailbox.list().map_err(|error| failed(&error))).await?;
    let names: Vec<&str> = names.iter().map(MessageName::as_str).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(names)).into_response())
}

async fn read(State(shared): State<Shared>, name: Result<Path<String>, PathRejection>) -> Result<Response, Refusal> {
    let name = message_name(name)?;
    let message = shared.work(move |shared| shared.mailbox.read(&name).map_err(|error| failed(&error))).await?;
    let Some(bytes) = message else {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            NO_SUCH_MESSAGE,
            "GET /mailbox lists the names of those that are there",
        ));
    };
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, bytes).into_response())
}

async fn put(
    State(shared): State<Shared>,
    name: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let name = message_name(name)?;
    if !is_message(&name) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "only messages between parties may be put here, under names that end in .msg",
            "leave announcement and status to the workload",
        ));
    }
    let bytes = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the message is larger than {MAX_MESSAGE_BYTES} bytes"),
            "put enrolment messages only: none is that large",
        ),
        _ => Refusal::new(StatusCode::BAD_REQUEST, "the body did not come whole", "run it again"),
    })?;
    shared
        .work(move |shared| {
            (shared.admit)(&name, &bytes).map_err(|error| {
                Refusal::new(StatusCode::FORBIDDEN, error.to_string(), error.remedy().unwrap_or_default())
            })?;
            make_room(shared, &name)?;
            shared.mailbox.put(&name, &bytes).map_err(|error| failed(&error))
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses one more message than may be kept.
fn make_room(shared: &Shared, name: &MessageName) -> Result<(), Refusal> {
    let names = shared.mailbox.list().map_err(|error| failed(&error))?;
    if names.len() < shared.max_stored || names.binary_search(name).is_ok() {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::INSUFFICIENT_STORAGE,
        "the mailbox is full",
        "ask the workload's operator to collect it (datafuse run ENROL), then run it again",
    ))
}

fn message_name(path: Result<Path<String>, PathRejection>) -> Result<MessageName, Refusal> {
    let name = path.ok().and_then(|Path(name)| name.parse().ok());
    name.ok_or_else(|| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "not a message name: it needs 1 to 128 of a-z, 0-9, '.', '_', '-', and no dot first or last",
            "use the names that GET /mailbox lists",
        )
    })
}

/// What the mailbox itself could not do: the operator reads why, whoever asked does not.
fn failed(error: &Error) -> Refusal {
    tracing::warn!("the mailbox that is served over HTTP failed: {error}");
    match error.is_retryable() {
        true => Refusal { status: StatusCode::SERVICE_UNAVAILABLE, ..Refusal::internal() },
        false => Refusal::internal(),
    }
}

async fn within(limit: Duration, request: Request, next: Next) -> Response {
    match time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the request took longer than {} s", limit.as_secs_f32()),
            "run it again over a faster connection",
        )
        .into_response(),
    }
}
