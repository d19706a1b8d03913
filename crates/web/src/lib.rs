#![forbid(unsafe_code)]
//! The workload's HTTP endpoint: enrolment messages in and out, how the workload is out, all as opaque documents.
//!
//! In: requests of anybody who reaches the address. Out: documents of a [`Mailbox`](datafuse_space::Mailbox), or a refusal as
//! `{"error": "the fact", "try": "what to do"}`. Who may put what is for others to say ([`Admit`]).
//!
//! | module | noun |
//! | --- | --- |
//! | [`mailbox`] | the routes: `/mailbox`, `/mailbox/NAME`, `/healthz` |
//! | [`operations`] | the routes: `/readyz`, `/metrics` |
//! | [`refusal`] | what is answered where something is refused |
//! | [`serve`](mod@serve) | connections: how many, how slow, and when they end |
//!
//! This crate knows no key and no row, reads no space file, and writes no header and no body to the log. It speaks plain HTTP/1.1:
//! TLS belongs to the server before it.

pub mod mailbox;
pub mod operations;
pub mod refusal;
pub mod serve;

pub use axum::Router;
pub use mailbox::{Admit, router};
pub use operations::Operations;
pub use refusal::Refusal;
pub use serve::{Limits, serve};
