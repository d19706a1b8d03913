//! `CHECK_VALID_CUSTOMER`: at how many other holders are the customers known whom a holder asks for?
//!
//! `{"type": "CHECK_VALID_CUSTOMER", "asker": "acme", "request": BASE64}`; the request is that of [`datafuse_core::lookup`]. Where the
//! agreement names its asker under `bare`, the platform's form too: `{"type": "CHECK_VALID_CUSTOMER", "email": BASE64}`, a bare token
//! in the field of its kind. Either answer is sealed to the asker: it goes into the event's output folder and into the mailbox, and
//! nothing of it into logs, audit or jobs.
//!
//! Looked up is what is fused already; a look-up fuses nothing, and takes the mailbox in only where the asker has changed its key.

use std::fs;

use datafuse_core::{
    id::{Epoch, KindName, ParticipantId},
    lookup::{
        AnswerHeader, Asked, Found, LookupAnswer, LookupRequest, RefusedLookup, Reply, from_text, request_digest,
        to_text,
    },
    match_key::MatchKey,
    token::Token,
};
use datafuse_engine::fused_index::IndexedFile;
use datafuse_space::{LookupAnswerForm, LookupPolicy, mailbox::answer_name};
use rand_core::UnwrapErr;
use sha2::{Digest, Sha256};

use super::{LookupError, enrol, fuse, output};
use crate::{
    audit::Fact,
    error::{Error, Result},
    event::Event,
    outcome::Outcome,
    state::{EpochSecrets, Spent},
    workload::Workload,
};

/// The name of an answer in the output folder of its event.
pub const ANSWER_FILE: &str = "answer.lookup";

/// A request older than this is not answered.
const MAX_AGE_SECONDS: u64 = 7 * 24 * 3600;

/// How far clocks may be apart.
const MAX_AHEAD_SECONDS: u64 = 3600;

/// How many answers stay in the mailbox; all of them stay in the outputs.
const ANSWERS_IN_MAILBOX: u32 = 500;

/// Answers that are larger are none of this program's.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

pub(super) fn check(workload: &mut Workload, event: &Event) -> Result<Outcome> {
    if !workload.space().allows_lookups() {
        return Err(LookupError::NotAllowed.into());
    }
    let (asker, bytes, asked) = asked(workload, event)?;
    let open = workload.open_epoch()?;
    let named = workload.space().participant(&asker)?.name.clone();
    if named.as_ref() != Some(asked.asker()) {
        return Err(LookupError::OtherAsker.into());
    }
    match &asked {
        Asked::Sealed(request) => {
            let header = request.header();
            header.check(workload.root(), open.epoch, &header.asker, workload.space().workload())?;
            request.verify()?;
        }
        Asked::Bare(bare) => {
            let header = bare.header();
            header.check(workload.root(), open.epoch, &header.asker)?;
        }
    }
    if !workload.state_mut().take_lookup(open.epoch, asked.asker(), asked.id(), &event.id)? {
        return Err(LookupError::Repeated { id: asked.id() }.into());
    }

    let folder = workload.layout().outputs_of(&event.id);
    let (answer, refused) = match found_before(workload, &folder, &bytes)? {
        Some(answer) => (answer, None),
        None => {
            let reply = reply(workload, event, &asker, &asked)?;
            let answer = seal(workload, open.epoch, &asked, &bytes, &reply)?;
            let part = output::prepare(&workload.layout().outputs, &event.id)?;
            output::write(&part.join(ANSWER_FILE), answer.as_bytes())?;
            output::publish(&part, &folder)?;
            let refused = match reply {
                Reply::Refused(reason) => Some(reason),
                Reply::Found(_) => None,
            };
            let sha256 = hex::encode(Sha256::digest(answer.as_bytes()));
            workload.note(&Fact::LookedUp { asker: &asker, sha256: &sha256, ok: refused.is_none() })?;
            (answer, refused)
        }
    };
    post(workload, open.epoch, &asked, &answer)?;
    Ok(Outcome::LookedUp { folder, asker, refused })
}

/// Who asks, and with what: its bytes, and what they say.
fn asked(workload: &Workload, event: &Event) -> Result<(ParticipantId, Vec<u8>, Asked)> {
    let invalid_asker = || Error::EventField { field: "asker", expected: "a data holder of the space" };
    let asker = match event.body.get("asker") {
        Some(asker) => Some(asker.as_str().and_then(|asker| asker.parse().ok()).ok_or_else(invalid_asker)?),
        None => None,
    };
    let Some(text) = event.body.get("request") else { return bare(workload, event, asker.as_ref()) };
    let invalid = || Error::EventField { field: "request", expected: "the text that datafuse token make wrote" };
    let bytes = from_text(text.as_str().ok_or_else(invalid)?).map_err(|_| invalid())?;
    let asker: ParticipantId = asker.ok_or_else(invalid_asker)?;
    let is_holder = workload.space().participant(&asker).is_ok_and(|asker| asker.is_holder());
    let request = LookupRequest::decode(&bytes)?;
    is_holder.then_some((asker, bytes, Asked::Sealed(request))).ok_or_else(invalid_asker)
}

/// The bare token of an event, which is in the field of its kind and needs no `asker` beside it.
fn bare(workload: &Workload, event: &Event, named: Option<&ParticipantId>) -> Result<(ParticipantId, Vec<u8>, Asked)> {
    let space = workload.space();
    let mut fields = space.kinds().iter().filter_map(|kind| Some((kind.name(), event.body.get(kind.name().as_str())?)));
    let (kind, text) = fields.next().ok_or(LookupError::NoRequest)?;
    if fields.next().is_some() {
        return Err(LookupError::SeveralTokens.into());
    }
    if space.bare_askers().next().is_none() {
        return Err(LookupError::BareNotAllowed.into());
    }
    let invalid = || LookupError::NoBareToken { kind: kind.clone() };
    let bytes = text.as_str().and_then(|text| from_text(text).ok()).ok_or_else(invalid)?;
    let asked = Asked::decode(&bytes).map_err(|_| invalid())?;
    if !matches!(asked, Asked::Bare(_)) || asked.kind() != kind {
        return Err(invalid().into());
    }
    let asker = space.participant_by_name(asked.asker()).map(|(asker, _)| asker.clone());
    let asker = asker.filter(|asker| named.is_none_or(|named| named == asker)).ok_or(LookupError::OtherAsker)?;
    if !space.bare_askers().any(|allowed| *allowed == asker) {
        return Err(LookupError::BareNotAllowed.into());
    }
    Ok((asker, bytes, asked))
}

/// The answer of an earlier run of the same event.
fn found_before(workload: &Workload, folder: &std::path::Path, request: &[u8]) -> Result<Option<String>> {
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(output::failed("read", folder, source)),
        Ok(_) => {}
    }
    let in_the_way = || Error::OutputInTheWay { path: folder.to_owned() };
    let path = folder.join(ANSWER_FILE);
    if !path.metadata().is_ok_and(|file| file.is_file() && file.len() <= MAX_ANSWER_BYTES) {
        return Err(in_the_way());
    }
    let text = fs::read_to_string(&path).map_err(|source| output::failed("read", &path, source))?;
    let answer = from_text(&text).and_then(|bytes| LookupAnswer::decode(&bytes)).map_err(|_| in_the_way())?;
    answer.verify(request, &workload.signers()).map_err(|_| in_the_way())?;
    Ok(Some(text))
}

/// What is found, or why nothing is looked up.
fn reply(workload: &mut Workload, event: &Event, asker: &ParticipantId, asked: &Asked) -> Result<Reply> {
    let refused = |reason| Ok(Reply::Refused(reason));
    let space = workload.space();
    let policy = match asked {
        Asked::Sealed(_) => space.lookup_policy(asker),
        Asked::Bare(_) => space.bare_lookup_policy(asker),
    };
    let Some(policy) = policy else { return refused(RefusedLookup::Asker) };
    let now = jiff::Timestamp::now();
    if space.kind(asked.kind().as_str()).is_none_or(|kind| kind.profile() != asked.profile()) {
        return refused(RefusedLookup::Key);
    }
    let open = workload.open_epoch()?;
    let secrets = workload.state().secrets(open.epoch)?;
    let tokens = match asked {
        Asked::Sealed(request) => match tokens(request, &secrets, open.serial, now)? {
            Some(tokens) => tokens,
            None => return refused(RefusedLookup::Stale),
        },
        Asked::Bare(bare) => vec![bare.token().clone()],
    };
    let enrolled = |workload: &Workload| {
        let rekey = workload.state().rekey(open.epoch, asked.asker())?;
        Ok::<_, Error>(rekey.filter(|(key_id, _)| key_id == asked.key_id()).map(|(_, rekey)| rekey))
    };
    let rekey = match enrolled(workload)? {
        Some(rekey) => rekey,
        None => {
            enrol::collect(workload)?;
            match enrolled(workload)? {
                Some(rekey) => rekey,
                None => return refused(RefusedLookup::Key),
            }
        }
    };
    let (today, customers) = (day(now), tokens.len() as u64);
    if workload.state_mut().spend_lookups(asker, &today, customers, policy.per_day, &event.id)? == Spent::Exhausted {
        return refused(RefusedLookup::Budget);
    }
    match rekey.fuse(&tokens) {
        Ok(fused) => {
            let keys = secrets.match_secret.match_keys(&fused);
            look_up(workload, &policy, asked.kind(), open.epoch, &secrets, &keys)
        }
        Err(datafuse_core::Error::InvalidToken { .. }) => refused(RefusedLookup::Token),
        Err(error) => Err(error.into()),
    }
}

/// The tokens of a request, in order; nothing where it is sealed to a key that was replaced, or was made too long ago.
fn tokens(
    request: &LookupRequest,
    secrets: &EpochSecrets,
    serial: u64,
    now: jiff::Timestamp,
) -> Result<Option<Vec<Token>>> {
    let header = request.header();
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    if header.at.saturating_add(MAX_AGE_SECONDS) < seconds || header.at > seconds.saturating_add(MAX_AHEAD_SECONDS) {
        return Ok(None);
    }
    match request.open(&secrets.message_key) {
        Ok(tokens) => Ok(Some(tokens)),
        Err(datafuse_core::Error::Unopenable { .. }) if header.serial != serial => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The day whose budget a moment belongs to, whatever the zone of the machine.
fn day(moment: jiff::Timestamp) -> String {
    moment.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

fn look_up(
    workload: &mut Workload,
    policy: &LookupPolicy,
    kind: &KindName,
    epoch: Epoch,
    secrets: &EpochSecrets,
    keys: &[MatchKey],
) -> Result<Reply> {
    let mut known = vec![0_u32; keys.len()];
    let mut holders = 0_u32;
    for holder in workload.directory().holders_among(workload.space(), Some(&policy.holders))? {
        let mut files = Vec::new();
        for place in &holder.datasets {
            let accepted = workload.state().dataset(epoch, &holder.name, &place.dataset)?;
            let Some(accepted) = accepted else { continue };
            let Some(fused) = accepted.kinds.get(kind) else { continue };
            if fused.fused >= policy.min_rows {
                let path = workload.layout().fused().join(&fused.file);
                files.push((path, fuse::fused_label(&holder.name, &place.dataset, accepted.version, kind)));
            }
        }
        if files.is_empty() {
            continue;
        }
        holders += 1;
        let files: Vec<_> = files.iter().map(|(path, label)| IndexedFile { path, label }).collect();
        let held = workload.fused_index()?.holds(&files, &secrets.store_key, keys)?;
        for (known, held) in known.iter_mut().zip(held) {
            *known += u32::from(held);
        }
    }
    if holders < policy.at_least {
        return Ok(Reply::Refused(RefusedLookup::TooFewHolders));
    }
    let counts = policy.answer == LookupAnswerForm::Count;
    for known in &mut known {
        *known = match (*known >= policy.at_least, counts) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => *known,
        };
    }
    Ok(Reply::Found(Found { holders, at_least: policy.at_least, counts, known }))
}

fn seal(workload: &Workload, epoch: Epoch, asked: &Asked, request: &[u8], reply: &Reply) -> Result<String> {
    let header = AnswerHeader {
        root: *workload.root(),
        epoch,
        id: asked.id(),
        request: request_digest(request),
        asker: asked.asker().clone(),
        workload: workload.identity().public_name(),
        at: u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0),
    };
    let answer = LookupAnswer::seal(header, reply, workload.identity(), &mut UnwrapErr(getrandom::SysRng))?;
    Ok(to_text(&answer.encode()))
}

/// Puts the answer into the mailbox, where its asker finds it, and removes those that are old.
fn post(workload: &mut Workload, epoch: Epoch, asked: &Asked, answer: &str) -> Result<()> {
    workload.mailbox().put(&answer_name(asked.asker(), &asked.id()), answer.as_bytes())?;
    for old in workload.state_mut().note_answer(epoch, asked.asker(), asked.id(), ANSWERS_IN_MAILBOX)? {
        workload.mailbox().remove(&answer_name(&old.asker, &old.id))?;
        workload.state_mut().note_answer_removed(&old)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::day;

    #[test]
    fn a_day_begins_at_midnight_utc_whatever_the_zone() {
        let of = |text: &str| day(text.parse().unwrap());
        assert_eq!(of("2026-11-26T23:59:59.999Z"), "2026-11-26");
        assert_eq!(of("2026-11-27T00:00:00Z"), "2026-11-27");
        assert_eq!(of("2026-11-27T01:59:59+02:00"), "2026-11-26");
        assert_eq!(of("2026-11-26T19:00:00-05:00"), "2026-11-27");
    }
}
