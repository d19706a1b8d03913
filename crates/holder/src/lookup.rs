//! Looking customers up at other holders: makes a sealed request from a holder's own identifiers, and opens the answer.
//!
//! In: identifiers as text, one a line, the columns of a kind of several columns separated by tabs. Out: a request, which may travel
//! through anybody's hands. Identifiers leave this place as tokens under the holder's own key only, and sealed; a bare token, for
//! systems that can send nothing else, is not.

use datafuse_core::{
    id::KindName,
    kind::Kind,
    lookup::{
        Asked as Question, BareHeader, BareToken, LookupAnswer, LookupRequest, MAX_TOKENS, Reply, RequestHeader,
        RequestId, from_text, to_text,
    },
    normalize::{InvalidReason, Normalization, NormalizedIdentifier},
    token::Tokenizer,
};
use datafuse_space::mailbox::answer_name;
use rand_core::UnwrapErr;

use crate::{
    error::Result,
    party::{Approval, Party},
};

/// A request, ready to be sent.
#[derive(Debug)]
pub struct Asked {
    /// Its text, one line.
    pub request: String,
    /// Which request it is.
    pub id: RequestId,
    /// The kind of its identifiers.
    pub kind: KindName,
    /// How many customers it asks for: one a line, in their order.
    pub customers: usize,
}

/// Why a request cannot be made, or its answer not be read. No variant holds an identifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// There is no line.
    #[error("there is nobody to look up: the input is empty")]
    Nobody,
    /// There are more lines than a request can take.
    #[error("the input has {found} lines, a request takes {limit}")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A bare token is to be made of several lines.
    #[error("the input has {found} lines, and a bare token is of one customer")]
    OneOnly {
        /// How many there are.
        found: usize,
    },
    /// A line has nothing in it.
    #[error("line {line} is empty")]
    EmptyLine {
        /// Which, from 1.
        line: usize,
    },
    /// A line is no identifier of the kind.
    #[error("line {line} is not a valid {kind}: {reason}")]
    InvalidLine {
        /// Which, from 1.
        line: usize,
        /// The kind.
        kind: KindName,
        /// Why.
        reason: InvalidReason,
    },
    /// A line has another number of columns than the kind.
    #[error("line {line} has {found} columns, separated by tabs, and the kind has {expected}")]
    Columns {
        /// Which, from 1.
        line: usize,
        /// Columns of the kind.
        expected: usize,
        /// Columns of the line.
        found: usize,
    },
    /// The kind is not said where the space has several, or is none of the space's.
    #[error("which kind is looked up is not clear: the space matches on {}", kinds.join(", "))]
    WhichKind {
        /// The kinds of the space.
        kinds: Vec<String>,
    },
    /// The answer says something else than was asked.
    #[error("the answer is about {found} customers, the request about {asked}")]
    OtherCount {
        /// How many it is about.
        found: usize,
        /// How many were asked for.
        asked: usize,
    },
    /// There is no answer yet.
    #[error("there is no answer to request {id} in the mailbox")]
    NoAnswer {
        /// Which request.
        id: RequestId,
    },
}

impl LookupError {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Nobody => "give one identifier a line, with --file or on standard input".to_owned(),
            Self::TooMany { .. } => "make several requests".to_owned(),
            Self::OneOnly { .. } => "make a bare token for each, or one sealed request for all, without --bare".to_owned(),
            Self::EmptyLine { .. } => "remove the line: answers are numbered by line".to_owned(),
            Self::InvalidLine { .. } => "correct or remove the line; datafuse normalize shows what is valid".to_owned(),
            Self::Columns { .. } => "one value for each column of the kind, in the agreed order".to_owned(),
            Self::WhichKind { kinds } => format!("--kind {}", kinds.first().map_or("NAME", String::as_str)),
            Self::OtherCount { .. } => "have the workload's operator look into it: its program is modified".to_owned(),
            Self::NoAnswer { .. } => {
                "send the request (datafuse send CHECK_VALID_CUSTOMER --request FILE), and wait for the workload; or give the \
                 answer's file"
                    .to_owned()
            }
        }
    }
}

/// Makes a request from identifiers, one a line. `at` is the present moment, in seconds since 1970.
///
/// # Errors
/// [`Error::Lookup`](crate::Error::Lookup) for the kind and the lines; [`Error::NotApproved`](crate::Error::NotApproved),
/// [`Error::NoEpoch`](crate::Error::NoEpoch), [`Error::Protocol`](crate::Error::Protocol).
pub fn ask(party: &Party, kind: Option<&KindName>, text: &str, at: u64, approval: Approval<'_>) -> Result<Asked> {
    let kind = choose(party, kind)?;
    let identifiers = identifiers(kind, text)?;
    party.approve_founding(approval)?;
    let announcement = party.announcement()?;
    let keys = party.keys();
    let key = keys.token().token_key(party.root(), announcement.epoch)?;
    let tokens = Tokenizer::new(party.root(), kind, key).tokenize(&identifiers);
    let mut rng = UnwrapErr(getrandom::SysRng);
    let header = RequestHeader {
        root: *party.root(),
        epoch: announcement.epoch,
        id: RequestId::generate(&mut rng),
        asker: party.name().clone(),
        workload: party.space().workload().clone(),
        kind: kind.name().clone(),
        profile: kind.profile(),
        key_id: keys.token().key_id(),
        serial: announcement.serial,
        at,
    };
    let id = header.id;
    let request = LookupRequest::seal(header, &tokens, &announcement.message_key, keys.identity(), &mut rng)?;
    Ok(Asked { request: to_text(&request.encode()), id, kind: kind.name().clone(), customers: tokens.len() })
}

/// Makes a bare token from one identifier: neither sealed nor signed, so that whoever reads it can send it again.
///
/// # Errors
/// Those of [`ask`]; [`LookupError::OneOnly`].
pub fn ask_bare(party: &Party, kind: Option<&KindName>, text: &str, approval: Approval<'_>) -> Result<Asked> {
    let kind = choose(party, kind)?;
    let identifiers = identifiers(kind, text)?;
    party.approve_founding(approval)?;
    let epoch = party.announcement()?.epoch;
    let keys = party.keys();
    let key = keys.token().token_key(party.root(), epoch)?;
    let tokens = Tokenizer::new(party.root(), kind, key).tokenize(&identifiers);
    let [token] = tokens.as_slice() else { return Err(LookupError::OneOnly { found: tokens.len() }.into()) };
    let header = BareHeader {
        root: *party.root(),
        epoch,
        nonce: BareHeader::draw_nonce(&mut UnwrapErr(getrandom::SysRng)),
        asker: party.name().clone(),
        kind: kind.name().clone(),
        profile: kind.profile(),
        key_id: keys.token().key_id(),
    };
    let bare = BareToken::new(header, token.clone());
    Ok(Asked { request: to_text(&bare.encode()), id: bare.id(), kind: kind.name().clone(), customers: 1 })
}

/// Opens the answer to a request or bare token of this party; without an answer's text it is taken from the mailbox.
///
/// # Errors
/// [`Error::Lookup`](crate::Error::Lookup); [`Error::Protocol`](crate::Error::Protocol) where it is no answer to this very request, or not the workload's.
pub fn open_answer(party: &Party, request: &str, answer: Option<&str>) -> Result<Reply> {
    let request = from_text(request)?;
    let asked = Question::decode(&request)?;
    let id = asked.id();
    let bytes = match answer {
        Some(text) => from_text(text)?,
        None => {
            let found = party.mailbox().read(&answer_name(asked.asker(), &id))?.ok_or(LookupError::NoAnswer { id })?;
            from_text(&String::from_utf8_lossy(&found))?
        }
    };
    let answer = LookupAnswer::decode(&bytes)?;
    let space = party.space();
    let signers: Vec<_> = std::iter::once(space.workload()).chain(space.workload_former()).cloned().collect();
    answer.verify(&request, &signers)?;
    let reply = answer.open(party.keys().identity().receive_key())?;
    match &reply {
        Reply::Found(found) if found.known.len() != asked.customers() => {
            Err(LookupError::OtherCount { found: found.known.len(), asked: asked.customers() }.into())
        }
        _ => Ok(reply),
    }
}

fn choose<'a>(party: &'a Party, named: Option<&KindName>) -> Result<&'a Kind> {
    let kinds = party.space().kinds();
    match (named, kinds) {
        (Some(name), kinds) => kinds.iter().find(|kind| kind.name() == name),
        (None, [one]) => Some(one),
        (None, _) => None,
    }
    .ok_or_else(|| {
        let kinds: Vec<_> = kinds.iter().map(|kind| kind.name().to_string()).collect();
        LookupError::WhichKind { kinds }.into()
    })
}

/// The identifiers of all lines. A line that is none ends it: were it left out, answers would be of other lines than they seem.
fn identifiers(kind: &Kind, text: &str) -> Result<Vec<NormalizedIdentifier>> {
    let lines: Vec<_> = text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect();
    if lines.is_empty() {
        return Err(LookupError::Nobody.into());
    }
    if lines.len() > MAX_TOKENS {
        return Err(LookupError::TooMany { found: lines.len(), limit: MAX_TOKENS }.into());
    }
    let columns = kind.columns().len();
    let identifier = |(at, line): (usize, &&str)| {
        let line_number = at + 1;
        let values: Vec<_> = match columns {
            1 => vec![Some(line.as_bytes())],
            _ => line.split('\t').map(|value| Some(value.as_bytes())).collect(),
        };
        if values.len() != columns {
            return Err(LookupError::Columns { line: line_number, expected: columns, found: values.len() }.into());
        }
        match kind.normalize(&values) {
            Normalization::Valid(identifier) => Ok(identifier),
            Normalization::Empty => Err(LookupError::EmptyLine { line: line_number }.into()),
            Normalization::Invalid(reason) => {
                Err(LookupError::InvalidLine { line: line_number, kind: kind.name().clone(), reason }.into())
            }
        }
    };
    lines.iter().enumerate().map(identifier).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafuse_core::{kind::Column, normalize::Profile};

    use super::*;
    use crate::error::Error;

    fn refusal(kind: &Kind, text: &str) -> LookupError {
        match identifiers(kind, text) {
            Err(Error::Lookup(error)) => *error,
            other => panic!("{:?}", other.map(|identifiers| identifiers.len())),
        }
    }

    #[test]
    fn a_line_that_is_no_identifier_is_named_and_never_repeated() {
        let kind = Kind::single("email".parse().unwrap(), Profile::EmailV1, None);
        assert_eq!(identifiers(&kind, "\u{feff}ada@example.com\r\nEVE@example.com\n").unwrap().len(), 2);
        assert!(matches!(refusal(&kind, ""), LookupError::Nobody));
        assert!(matches!(refusal(&kind, "ada@example.com\n\nx@example.com"), LookupError::EmptyLine { line: 2 }));
        let invalid = refusal(&kind, "ada@example.com\nsecret-4711\n");
        assert!(matches!(invalid, LookupError::InvalidLine { line: 2, .. }));
        assert!(!format!("{invalid} {invalid:?}").contains("4711"));
        let many = "ada@example.com\n".repeat(MAX_TOKENS + 1);
        assert!(matches!(refusal(&kind, &many), LookupError::TooMany { found: 1001, .. }));
    }

    #[test]
    fn columns_of_one_identifier_are_separated_by_tabs() {
        let column = |name: &str, profile| Column { name: name.to_owned(), profile, default_region: None };
        let columns = vec![column("surname", Profile::TextV1), column("birth_date", Profile::ExactV1)];
        let kind = Kind::new("person".parse().unwrap(), columns).unwrap();
        assert_eq!(identifiers(&kind, "Lovelace\t1815-12-10\n").unwrap().len(), 1);
        assert!(matches!(refusal(&kind, "Lovelace\n"), LookupError::Columns { line: 1, expected: 2, found: 1 }));
        assert!(matches!(refusal(&kind, "Lovelace\t\n"), LookupError::InvalidLine { line: 1, .. }));
    }
}
