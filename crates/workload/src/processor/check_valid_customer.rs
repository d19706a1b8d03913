//! `CHECK_VALID_CUSTOMER`: at how many other holders are the customers known whom a holder asks for?
//!
//! `{"type": "CHECK_VALID_CUSTOMER", "asker": "acme", "request": BASE64}`; the request is that of [`datafuse_core::lookup`]. The answer
//! is sealed to the asker: it goes into the event's output folder and into the mailbox, and nothing of it into logs, audit or jobs.
//!
//! Looked up is what is fused already; a look-up fuses nothing, and takes the mailbox in only where the asker has changed its key.

use std::fs;

use datafuse_core::{
    id::{Epoch, ParticipantId},
    lookup::{
        AnswerHeader, Found, LookupAnswer, LookupRequest, RefusedLookup, Reply, RequestHeader, from_text,
        request_digest, to_text,
    },
    match_key::MatchKey,
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
    let (asker, bytes) = asked(workload, event)?;
    let request = LookupRequest::decode(&bytes)?;
    let header = request.header();
    let open = workload.open_epoch()?;
    let named = workload.space().participant(&asker)?.name.clone();
    if named.as_ref() != Some(&header.asker) {
        return Err(LookupError::OtherAsker.into());
    }
    header.check(workload.root(), open.epoch, &header.asker, workload.space().workload())?;
    request.verify()?;
    if !workload.state_mut().take_lookup(open.epoch, &header.asker, header.id, &event.id)? {
        return Err(LookupError::Repeated { id: header.id }.into());
    }

    let folder = workload.layout().outputs_of(&event.id);
    let (answer, refused) = match found_before(workload, &folder, &bytes)? {
        Some(answer) => (answer, None),
        None => {
            let reply = reply(workload, event, &asker, &request)?;
            let answer = seal(workload, open.epoch, header, &bytes, &reply)?;
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
    post(workload, open.epoch, header, &answer)?;
    Ok(Outcome::LookedUp { folder, asker, refused })
}

/// Who asks, and the bytes of the request.
fn asked(workload: &Workload, event: &Event) -> Result<(ParticipantId, Vec<u8>)> {
    let text = event.body.get("request").ok_or(LookupError::NoRequest)?;
    let invalid = || Error::EventField { field: "request", expected: "the text that datafuse token make wrote" };
    let bytes = from_text(text.as_str().ok_or_else(invalid)?).map_err(|_| invalid())?;
    let invalid = || Error::EventField { field: "asker", expected: "a data holder of the space" };
    let asker: ParticipantId =
        event.body.get("asker").and_then(|asker| asker.as_str()?.parse().ok()).ok_or_else(invalid)?;
    let is_holder = workload.space().participant(&asker).is_ok_and(|asker| asker.is_holder());
    is_holder.then_some((asker, bytes)).ok_or_else(invalid)
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
fn reply(workload: &mut Workload, event: &Event, asker: &ParticipantId, request: &LookupRequest) -> Result<Reply> {
    let header = request.header();
    let refused = |reason| Ok(Reply::Refused(reason));
    let Some(policy) = workload.space().lookup_policy(asker) else { return refused(RefusedLookup::Asker) };
    let now = jiff::Timestamp::now();
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    if header.at.saturating_add(MAX_AGE_SECONDS) < seconds || header.at > seconds.saturating_add(MAX_AHEAD_SECONDS) {
        return refused(RefusedLookup::Stale);
    }
    let kind = workload.space().kind(header.kind.as_str());
    if kind.is_none_or(|kind| kind.profile() != header.profile) {
        return refused(RefusedLookup::Key);
    }
    let open = workload.open_epoch()?;
    let secrets = workload.state().secrets(open.epoch)?;
    let tokens = match request.open(&secrets.message_key) {
        Ok(tokens) => tokens,
        Err(datafuse_core::Error::Unopenable { .. }) if header.serial != open.serial => {
            return refused(RefusedLookup::Stale);
        }
        Err(error) => return Err(error.into()),
    };
    let enrolled = |workload: &Workload| {
        let rekey = workload.state().rekey(open.epoch, &header.asker)?;
        Ok::<_, Error>(rekey.filter(|(key_id, _)| *key_id == header.key_id).map(|(_, rekey)| rekey))
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
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
    let asked = tokens.len() as u64;
    if workload.state_mut().spend_lookups(asker, &today, asked, policy.per_day, &event.id)? == Spent::Exhausted {
        return refused(RefusedLookup::Budget);
    }
    match rekey.fuse(&tokens) {
        Ok(fused) => {
            let keys = secrets.match_secret.match_keys(&fused);
            look_up(workload, &policy, header, open.epoch, &secrets, &keys)
        }
        Err(datafuse_core::Error::InvalidToken { .. }) => refused(RefusedLookup::Token),
        Err(error) => Err(error.into()),
    }
}

fn look_up(
    workload: &mut Workload,
    policy: &LookupPolicy,
    header: &RequestHeader,
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
            let Some(fused) = accepted.kinds.get(&header.kind) else { continue };
            if fused.fused >= policy.min_rows {
                let path = workload.layout().fused().join(&fused.file);
                files.push((path, fuse::fused_label(&holder.name, &place.dataset, accepted.version, &header.kind)));
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

fn seal(workload: &Workload, epoch: Epoch, asked: &RequestHeader, request: &[u8], reply: &Reply) -> Result<String> {
    let header = AnswerHeader {
        root: *workload.root(),
        epoch,
        id: asked.id,
        request: request_digest(request),
        asker: asked.asker.clone(),
        workload: workload.identity().public_name(),
        at: u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0),
    };
    let answer = LookupAnswer::seal(header, reply, workload.identity(), &mut UnwrapErr(getrandom::SysRng))?;
    Ok(to_text(&answer.encode()))
}

/// Puts the answer into the mailbox, where its asker finds it, and removes those that are old.
fn post(workload: &mut Workload, epoch: Epoch, asked: &RequestHeader, answer: &str) -> Result<()> {
    workload.mailbox().put(&answer_name(&asked.id), answer.as_bytes())?;
    for old in workload.state_mut().note_answer(epoch, &asked.asker, asked.id, ANSWERS_IN_MAILBOX)? {
        workload.mailbox().remove(&answer_name(&old))?;
        workload.state_mut().note_answer_removed(old)?;
    }
    Ok(())
}
