//! What is answered where something is refused: a status, the fact, and what to do about it.
//!
//! It never says where on this machine something lies, and repeats nothing of the request.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// A refusal on its way to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The fact.
    pub error: String,
    /// What to do.
    pub remedy: String,
}

impl Refusal {
    /// Makes a refusal.
    pub fn new(status: StatusCode, error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status, error: error.into(), remedy: remedy.into() }
    }

    /// Of a failure on this side, about which whoever asked can do nothing.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the mailbox cannot be used at the moment",
            "run it again; if it stays so, tell the workload's operator, whose log says more",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.error, "try": self.remedy }))).into_response()
    }
}
