//! A mailbox that is an HTTP endpoint, from the parties' side: `GET BASE`, `GET BASE/NAME`, `PUT BASE/NAME`
//! (docs/formats.md, Mailbox).
//!
//! It follows no redirect, sends no credentials, keeps no cookies, and stops reading at the largest answer that a mailbox
//! can give. It removes nothing: the endpoint offers that to nobody.

use std::fmt;

use reqwest::{Client, Response, StatusCode, redirect};
use url::Url;

use super::{
    MAX_MESSAGE_BYTES, MAX_MESSAGES, Mailbox, MessageName, Patience, Trouble, refuse_too_large, waiting::Waiter,
};
use crate::{
    error::{Error, Result},
    location::{MailboxPlace, is_loopback},
};

/// What an endpoint says, as `error` with status 404, of a message that is not there. Any other 404 is that of a server that has
/// no mailbox at this address.
pub const NO_SUCH_MESSAGE: &str = "there is no such message";

/// The longest list: every name of the greatest length, with its quotes and comma.
const MAX_LIST_BYTES: usize = MAX_MESSAGES * (MessageName::MAX_CHARS + 3) + 2;
/// As much of a refusal as is read.
const MAX_REFUSAL_BYTES: usize = 4 << 10;

/// A mailbox behind an HTTP endpoint.
pub struct HttpMailbox {
    /// The address, without a slash at its end.
    base: String,
    client: Client,
    waiter: Waiter,
    patience: Patience,
}

impl HttpMailbox {
    /// Makes a client for the mailbox at an address. Connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Mailbox`] where the system gives no thread, or its TLS does not work.
    pub fn open(url: &Url, patience: Patience) -> Result<Self> {
        let base = url.as_str().trim_end_matches('/').to_owned();
        let failed = |trouble| refused("open", &base, trouble);
        let mut client = Client::builder()
            .user_agent(concat!("datafuse/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(patience.connect)
            .read_timeout(patience.read)
            .timeout(patience.total)
            // A connection that the server closes between two requests would fail the next: nobody hears of it until then.
            .pool_max_idle_per_host(0);
        if is_loopback(url) {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| failed(Trouble::Unreachable { reason: super::trouble::innermost(&error) }))?;
        let waiter = Waiter::new(patience.total).map_err(failed)?;
        Ok(Self { base, client, waiter, patience })
    }

    /// Asks for an address below the base, and gives the status and the body, at most `limit` bytes of it.
    async fn get(&self, url: String, limit: usize) -> Result<(StatusCode, Capped), Trouble> {
        let response = self.client.get(url).send().await.map_err(|error| self.trouble(&error))?;
        let status = response.status();
        let limit = if status.is_success() { limit } else { MAX_REFUSAL_BYTES };
        Ok((status, self.body(response, limit).await?))
    }

    async fn body(&self, mut response: Response, limit: usize) -> Result<Capped, Trouble> {
        let mut bytes = Vec::new();
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Ok(Capped { bytes, is_whole: false });
        }
        while let Some(piece) = response.chunk().await.map_err(|error| self.trouble(&error))? {
            if bytes.len() + piece.len() > limit {
                return Ok(Capped { bytes, is_whole: false });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Capped { bytes, is_whole: true })
    }

    fn trouble(&self, error: &reqwest::Error) -> Trouble {
        Trouble::of_client(error, self.patience.total)
    }

    fn address(&self, name: &MessageName) -> String {
        format!("{}/{name}", self.base)
    }
}

impl Mailbox for HttpMailbox {
    fn put(&self, name: &MessageName, bytes: &[u8]) -> Result<()> {
        refuse_too_large(name, bytes.len() as u64)?;
        let address = self.address(name);
        let put = async {
            let request = self.client.put(&address).header("content-type", "application/octet-stream");
            let response = request.body(bytes.to_vec()).send().await.map_err(|error| self.trouble(&error))?;
            let status = response.status();
            if status.is_success() {
                return Ok(());
            }
            let said = self.body(response, MAX_REFUSAL_BYTES).await.map(|body| words(&body)).unwrap_or_default();
            Err(Trouble::of_status(status.as_u16(), &said))
        };
        self.waiter.wait(put).map_err(|trouble| refused("put a message at", &address, trouble))
    }

    fn list(&self) -> Result<Vec<MessageName>> {
        let listed = async {
            let (status, body) = self.get(self.base.clone(), MAX_LIST_BYTES).await?;
            match status {
                StatusCode::OK if !body.is_whole => Err(Trouble::TooMuch { what: "messages", limit: MAX_MESSAGES }),
                StatusCode::OK => serde_json::from_slice::<Vec<String>>(&body.bytes)
                    .map_err(|_| Trouble::NotAMailbox { reason: "its list is not a list of names" }),
                status => Err(Trouble::of_status(status.as_u16(), &words(&body))),
            }
        };
        let listed = self.waiter.wait(listed).map_err(|trouble| refused("list the mailbox at", &self.base, trouble))?;
        let mut names: Vec<MessageName> = listed.iter().filter_map(|name| name.parse().ok()).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn read(&self, name: &MessageName) -> Result<Option<Vec<u8>>> {
        let address = self.address(name);
        let read = async {
            let (status, body) = self.get(address.clone(), MAX_MESSAGE_BYTES as usize).await?;
            match status {
                StatusCode::OK => Ok(Some(body)),
                StatusCode::NOT_FOUND if words(&body) == NO_SUCH_MESSAGE => Ok(None),
                status => Err(Trouble::of_status(status.as_u16(), &words(&body))),
            }
        };
        match self.waiter.wait(read).map_err(|trouble| refused("read the message at", &address, trouble))? {
            Some(body) if !body.is_whole => refuse_too_large(name, u64::MAX).map(|()| None),
            Some(body) => Ok(Some(body.bytes)),
            None => Ok(None),
        }
    }

    fn remove(&self, name: &MessageName) -> Result<()> {
        Err(Error::CannotRemove { place: self.address(name) })
    }
}

impl fmt::Debug for HttpMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpMailbox({})", self.base)
    }
}

/// As much of a body as may be kept, and whether that is all.
struct Capped {
    bytes: Vec<u8>,
    is_whole: bool,
}

/// What a mailbox says about a refusal: `{"error": "...", "try": "..."}`. Empty where the answer is none of its own.
fn words(body: &Capped) -> String {
    #[derive(serde::Deserialize)]
    struct Reply {
        error: String,
    }
    serde_json::from_slice::<Reply>(&body.bytes).map(|reply| reply.error).unwrap_or_default()
}

fn refused(action: &'static str, address: &str, trouble: Trouble) -> Error {
    let place = address.parse::<MailboxPlace>().map_or_else(|_| String::new(), |place| place.to_string());
    Error::Mailbox { action, place, trouble }
}
