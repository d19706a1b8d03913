//! Spans of events to an OpenTelemetry collector, as OTLP over HTTP: where `OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` says so, and only in a program built with the feature `otel`.
//!
//! A span has an event's id, type, attempt and error class, as the log lines have. Spans are sent in batches from a thread of
//! their own; a collector that does not answer costs spans, never an event.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Runtime;
use tracing_subscriber::{Layer, filter::filter_fn};

use super::BoxLayer;
use crate::failure::{Code, Failure, Result};

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// The longest that one batch may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends what is left when it is dropped.
pub(super) struct Spans(SdkTracerProvider);

impl Drop for Spans {
    fn drop(&mut self) {
        // A collector that does not answer does not hold up the end for long.
        let _ = self.0.shutdown_with_timeout(Duration::from_secs(5));
    }
}

/// Makes the layer, where the environment names a collector.
pub(super) fn layer() -> Result<Option<(Spans, BoxLayer)>> {
    if ENDPOINTS.iter().all(|name| std::env::var_os(name).is_none_or(|value| value.is_empty())) {
        return Ok(None);
    }
    let failed = |why: String| {
        let fact = format!("spans cannot be sent to a collector: {why}");
        Failure::new(Code::Configuration, fact, "OTEL_EXPORTER_OTLP_ENDPOINT=http://HOST:4318, or unset it")
    };
    // Its TLS asks for the process's provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::new().map_err(|error| failed(error.to_string()))?;
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
    let exporter = exporter.map_err(|error| failed(error.to_string()))?;
    let resource = Resource::builder().with_service_name("datafuse").build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("datafuse"))
        .with_location(false)
        .with_threads(false)
        // Lines go to the log; a span says what an event was and how it ended.
        .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("datafuse")));
    Ok(Some((Spans(provider), layer.boxed())))
}

/// The program's own HTTP client, with a runtime of its own: batches are sent from a thread that has none.
struct Client {
    http: reqwest::Client,
    runtime: Runtime,
}

impl Client {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self {
            http: reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?,
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            let response = http.execute(request.try_into()?).await?;
            let mut answer = Response::builder().status(response.status());
            if let Some(headers) = answer.headers_mut() {
                *headers = response.headers().clone();
            }
            Ok::<_, HttpError>(answer.body(response.bytes().await?)?)
        });
        sent.await?
    }
}
