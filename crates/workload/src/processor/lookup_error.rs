//! Why a look-up ends without an answer. What the policy refuses of a request that could be read is answered instead
//! (`core::lookup::RefusedLookup`), so that its asker alone hears of it.

use datafuse_core::{id::KindName, lookup::RequestId};

/// Why there is no answer. No variant holds a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The agreement has no section for look-ups.
    #[error("the agreement allows no look-ups of customers")]
    NotAllowed,
    /// The event brings no request.
    #[error("the event brings no sealed request, so nothing shows who asks")]
    NoRequest,
    /// The event brings a bare token, and the agreement takes none in this holder's name.
    #[error(
        "the event brings a token that is neither sealed nor signed, and the agreement allows none in its asker's name"
    )]
    BareNotAllowed,
    /// What is in a kind's field is no bare token of that kind.
    #[error("the event's '{kind}' is not the text of a bare token of that kind")]
    NoBareToken {
        /// Which kind.
        kind: KindName,
    },
    /// The event brings tokens of several kinds.
    #[error("the event brings tokens of several kinds, and one is looked up")]
    SeveralTokens,
    /// The event names somebody else than the request.
    #[error("the event's 'asker' is not who made the request")]
    OtherAsker,
    /// The request came before, with another event.
    #[error("request {id} came before, with another event")]
    Repeated {
        /// Which.
        id: RequestId,
    },
}

impl LookupError {
    /// The word for it in logs and metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::NotAllowed => "lookups-not-allowed",
            Self::NoRequest => "lookup-without-request",
            Self::BareNotAllowed => "lookup-bare-not-allowed",
            Self::NoBareToken { .. } | Self::SeveralTokens => "lookup-bare-token",
            Self::OtherAsker => "lookup-of-other-asker",
            Self::Repeated { .. } => "lookup-repeated",
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotAllowed => {
                "where all participants agree, add to space.yaml: policy: { lookups: { answer: yes_no, per_day: 100 } }"
            }
            Self::NoRequest => {
                "the asker makes one with datafuse token make; then datafuse send CHECK_VALID_CUSTOMER --request FILE"
            }
            Self::BareNotAllowed => {
                "send a sealed request: datafuse token make; or, where all participants agree, add to policy.lookups in \
                 space.yaml: bare: [NAME]"
            }
            Self::NoBareToken { .. } => "make one with datafuse token make --bare, which writes it as one line of text",
            Self::SeveralTokens => "send an event for each",
            Self::OtherAsker => {
                "send it with datafuse send CHECK_VALID_CUSTOMER --request FILE, which names the right one"
            }
            Self::Repeated { .. } => "its answer was given then; for a new one make a new request: datafuse token make",
        }
    }
}
