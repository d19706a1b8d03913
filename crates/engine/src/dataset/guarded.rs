//! Requests to addresses that somebody else wrote: a client that connects to no address which the policy refuses.
//!
//! In: a [`FetchPolicy`] and certificates to trust beside the usual ones. Out: requests, each checked as downloads are (`fetch`):
//! scheme and credentials before it is made, every IP address at the time of connecting. It follows no redirect, uses no proxy,
//! keeps no cookies and sends no referrer. What is sent, and what an answer means, is the caller's.

use std::sync::Arc;

use reqwest::{Certificate, Client, Method, RequestBuilder, redirect};
use url::Url;

use super::fetch::{FetchPolicy, Guard, Refusal, refusal_within};

/// A client held to a policy.
#[derive(Clone)]
pub struct GuardedClient {
    client: Client,
    guard: Guard,
}

impl GuardedClient {
    /// Makes a client. Of the policy count the addresses and the waits; a total limit holds for each request.
    ///
    /// # Errors
    /// That the TLS of this machine does not work, or a certificate cannot be used.
    pub fn new(policy: &FetchPolicy, trusted: &[Certificate]) -> reqwest::Result<Self> {
        let guard = Guard::of_policy(policy.clone());
        let mut builder = Client::builder()
            .user_agent(concat!("datafuse/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .dns_resolver(Arc::new(guard.clone()))
            .connect_timeout(policy.connect_timeout)
            .read_timeout(policy.idle_timeout)
            // A connection that the server closes between two requests would fail the next.
            .pool_max_idle_per_host(0);
        if let Some(limit) = policy.total_timeout {
            builder = builder.timeout(limit);
        }
        for certificate in trusted {
            builder = builder.add_root_certificate(certificate.clone());
        }
        Ok(Self { client: builder.build()?, guard })
    }

    /// Begins a request.
    ///
    /// # Errors
    /// The rule that forbids the address, as far as it can be told before names are looked up.
    pub fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, Refusal> {
        self.guard.check(url)?;
        Ok(self.client.request(method, url.clone()))
    }

    /// The rule that forbids the address, where that is why a request failed: a name was at private addresses only.
    #[must_use]
    pub fn refusal(error: &reqwest::Error) -> Option<Refusal> {
        refusal_within(error)
    }
}
