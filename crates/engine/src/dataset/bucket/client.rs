//! The HTTP client under the providers' clients: it asks only addresses that the policy allows, follows no redirect, and keeps no
//! answer of unbounded length in memory.
//!
//! The providers' library reads all answers but objects whole, so those are capped here, before it sees them.

use std::{error::Error as StdError, io, sync::Arc, time::Duration};

use bytes::BytesMut;
use futures::{StreamExt, future::BoxFuture};
use object_store::{
    ClientConfigKey, ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};
use reqwest::{Method, redirect};
use url::Url;

use crate::dataset::fetch::{Guard, Refusal};

/// The longest answer that is no object: a page of a list has 1,000 names of up to 1 KiB, which XML may make longer.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// The longest answer to a request that failed.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// How long an unused connection may be taken again. Short: nobody hears of its end while nothing is asked, and then the library
/// has to try again.
const POOL_IDLE: Duration = Duration::from_secs(2);

/// Makes clients that keep to a policy.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) guard: Guard,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let policy = self.guard.policy();
        let built = reqwest::Client::builder()
            .user_agent(concat!("datafuse/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .dns_resolver(Arc::new(self.guard.clone()))
            .connect_timeout(policy.connect_timeout)
            .read_timeout(policy.idle_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .build();
        let client = built.map_err(|error| object_store::Error::Generic { store: "HTTP", source: error.into() })?;
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        Ok(HttpClient::new(Guarded { client, guard: self.guard.clone(), allow_http }))
    }
}

#[derive(Debug)]
struct Guarded {
    client: reqwest::Client,
    guard: Guard,
    allow_http: bool,
}

impl Guarded {
    fn check(&self, request: &HttpRequest) -> Result<(), Refusal> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| Refusal::NoHost)?;
        if url.scheme() == "http" && !self.allow_http {
            return Err(Refusal::PlainHttp);
        }
        self.guard.check(&url)
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.check(&request).map_err(refused)?;
        let query = request.uri().query().unwrap_or_default();
        let is_list = query.contains("list-type=") || query.contains("comp=list");
        let is_object = request.method() == Method::GET && !is_list;
        // The library tries again where no connection came about; a refusal stays one.
        let response = self.client.call(request).await.map_err(|error| match refusal_within(&error) {
            Some(refusal) => refused(refusal),
            None => error,
        })?;
        if response.status().is_success() && is_object {
            return Ok(response);
        }
        let limit = if response.status().is_success() { MAX_ANSWER_BYTES } else { MAX_REFUSAL_BYTES };
        let (parts, body) = response.into_parts();
        let mut pieces = body.bytes_stream();
        let mut answer = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            if answer.len() + piece.len() > limit {
                let endless = io::Error::other("the answer is too long");
                return Err(HttpError::new(HttpErrorKind::Decode, endless));
            }
            answer.extend_from_slice(&piece);
        }
        Ok(HttpResponse::from_parts(parts, answer.freeze().into()))
    }
}

impl HttpService for Guarded {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.ask(request))
    }
}

/// An error of a kind that is not tried again.
fn refused(refusal: Refusal) -> HttpError {
    HttpError::new(HttpErrorKind::Decode, refusal)
}

fn refusal_within(error: &(dyn StdError + 'static)) -> Option<Refusal> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(*refusal);
        }
        cause = error.source();
    }
    None
}
