//! `ENROL`: collects what has come into the mailbox. Every other processor does so first as well.
//!
//! What is for this workload, space and epoch is opened, taken into the state and removed; what is damaged or does not belong
//! here is refused, noted in the published status and removed, so that its sender sees it and sends it again. Messages between
//! others stay, until their receiver is enrolled and needs them no more. After a rotation, a new name or a revocation the
//! workload announces a fresh message key.

use std::collections::BTreeSet;

use datafuse_core::{
    announcement::Announcement,
    enrolment::{Answer, AwaitingParts, BlindForWorkload, WorkloadStep},
    id::ParticipantId,
    keys::KeyId,
    message::{Header, Message, Round},
    name::PublicName,
    rotation::Rotation,
    seal::ReceiveKey,
    status::{HolderStatus, Refusal, Status},
};
use datafuse_space::mailbox::{self, MessageName};
use rand_core::UnwrapErr;

use super::roster;
use crate::{
    audit::Fact,
    error::{Error, Result},
    outcome::Collected,
    state::{EpochSecrets, KeptAnswer, OpenEpoch},
    step::{self, Step},
    workload::Workload,
};

/// Collects the mailbox, completes what can be completed, and publishes announcement and status.
pub(super) fn collect(workload: &mut Workload) -> Result<Collected> {
    let open = workload.open_epoch()?;
    refuse_if_behind(workload, &open)?;
    let roster = roster::reconcile(workload, &open)?;
    let secrets = workload.state().secrets(open.epoch)?;
    let (mut refused, mut changes) = (0, Vec::new());
    for name in workload.mailbox().list()? {
        if !mailbox::is_message(&name) {
            continue;
        }
        match take_in(workload, &open, &secrets, &name)? {
            Taken::Kept | Taken::NotNeeded => {}
            Taken::Left => continue,
            Taken::Change(change) => {
                changes.push((name, change));
                continue;
            }
            Taken::Refused(refusal) => {
                tracing::warn!(message = %name, reason = %refusal.reason, "refused an enrolment message");
                workload.state_mut().note_refusal(open.epoch, &refusal)?;
                workload.note(&Fact::MessageRefused)?;
                refused += 1;
            }
        }
        step::at(Step::MessageKept);
        workload.mailbox().remove(&name)?;
        step::at(Step::MessageRemoved);
    }
    // Parts that were kept before a crash may be complete already, so every holder is looked at.
    let mut newly_enrolled = Vec::new();
    for (id, name) in holders(workload) {
        match advance(workload, &open, &name) {
            Ok(true) => {
                workload.note(&Fact::HolderEnrolled { holder: &id })?;
                newly_enrolled.push(id);
            }
            Ok(false) => {}
            Err(Error::Protocol(error)) => {
                tracing::warn!(holder = %id, reason = %error, "refused an enrolment");
                workload.state_mut().forget_parts(open.epoch, &name)?;
                // The stewards find their shares gone, and send them again.
                let is_share = |header: &Header| header.round == Round::ShareToHolder && header.receiver == name;
                remove_messages(workload, is_share)?;
                let refusal = Refusal { sender: Some(name), reason: error.to_string() };
                workload.state_mut().note_refusal(open.epoch, &refusal)?;
                workload.note(&Fact::MessageRefused)?;
                refused += 1;
            }
            Err(other) => return Err(other),
        }
    }
    let rotated = rotate(workload, &open, changes)?;
    settle(workload, &open)?;
    announce(workload)?;
    let status = publish_status(workload, &open)?;
    Ok(Collected { status, newly_enrolled, rotated, renamed: roster.renamed, revoked: roster.revoked, refused })
}

enum Taken {
    /// It went into the state.
    Kept,
    /// It is a change of a token key, for when everything else has been taken in.
    Change(Change),
    /// It says what is known, or its receiver needs it no more.
    NotNeeded,
    /// It is not for this workload.
    Left,
    Refused(Refusal),
}

/// A holder's change from one token key to the next.
struct Change {
    holder: PublicName,
    from: KeyId,
    to: KeyId,
    rotation: Rotation,
}

fn take_in(workload: &mut Workload, open: &OpenEpoch, secrets: &EpochSecrets, name: &MessageName) -> Result<Taken> {
    let refused = |sender: Option<&PublicName>, error: &dyn std::fmt::Display| {
        Taken::Refused(Refusal { sender: sender.cloned(), reason: error.to_string() })
    };
    let bytes = match workload.mailbox().read(name) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Taken::Left),
        Err(error @ datafuse_space::Error::MessageTooLarge { .. }) => return Ok(refused(None, &error)),
        // One file that this user may not read keeps nobody else waiting.
        Err(datafuse_space::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            tracing::warn!(message = %name, "cannot read an enrolment message: give this user access to it");
            return Ok(Taken::Left);
        }
        Err(other) => return Err(other.into()),
    };
    let message = match Message::decode(&bytes) {
        Ok(message) => message,
        Err(error) => return Ok(refused(None, &error)),
    };
    let header = message.header();
    if header.root != *workload.root() {
        return Ok(Taken::Left);
    }
    let space = workload.space();
    // Of names that were replaced nothing is heard any more, and nothing is for them.
    if roster::named(header).any(|name| roster::is_former(space, name)) {
        return Ok(Taken::NotNeeded);
    }
    if header.receiver != *space.workload() {
        let spent = header.epoch < open.epoch || workload.state().enrolled(open.epoch, &header.receiver)?.is_some();
        return Ok(if spent { Taken::NotNeeded } else { Taken::Left });
    }
    // The sender may have joined with a newer copy of the space file than the workload has: leave it until then.
    let Some((_, sender)) = space.participant_by_name(&header.sender) else { return Ok(Taken::Left) };
    if !sender.is_holder() {
        return Ok(refused(None, &"its sender is not a data holder of this space"));
    }
    if let Err(error) = header.check(workload.root(), open.epoch, space.workload()) {
        return Ok(refused(None, &error));
    }
    if header.serial != open.serial {
        return Ok(refused(None, &"it is sealed to a message key that was replaced"));
    }
    let payload = match message.open(&secrets.message_key) {
        Ok(payload) => payload,
        Err(error) => return Ok(refused(None, &error)),
    };
    // From here on the sender is proven.
    let sender = header.sender.clone();
    let taken = match header.round {
        Round::BlindToWorkload => keep_blind(workload, open, &message, &payload),
        Round::AnswerToWorkload => keep_answer(workload, open, &message, &payload),
        Round::RotationToWorkload => read_change(&message, &payload),
        Round::WithdrawalToWorkload => withdraw(workload, open, &message),
        Round::ShareToHolder => return Ok(refused(Some(&sender), &"a share is for a holder, not for the workload")),
    };
    match taken {
        Err(error @ (Error::Protocol(_) | Error::StewardChangedShare { .. } | Error::KeyChanged { .. })) => {
            Ok(refused(Some(&sender), &error))
        }
        other => other,
    }
}

fn keep_blind(workload: &mut Workload, open: &OpenEpoch, message: &Message, payload: &[u8]) -> Result<Taken> {
    let (header, space) = (message.header(), workload.space());
    let steward = &header.sender;
    if !space.steward_names().contains(steward) {
        return Err(datafuse_core::Error::NotASteward { sender: steward.fingerprint() }.into());
    }
    let Some(holder) = header.subject.clone() else {
        return Err(datafuse_core::Error::Malformed { what: "steward's blind" }.into());
    };
    if !space.participant_by_name(&holder).is_some_and(|(_, participant)| participant.is_holder()) {
        return Ok(Taken::Left);
    }
    if workload.state().enrolled(open.epoch, &holder)?.is_some() {
        return Ok(Taken::NotNeeded);
    }
    let blind = BlindForWorkload::decode(payload)?;
    workload.state_mut().keep_blind(open.epoch, &holder, steward, &blind)?;
    Ok(Taken::Kept)
}

fn keep_answer(workload: &mut Workload, open: &OpenEpoch, message: &Message, payload: &[u8]) -> Result<Taken> {
    let header = message.header();
    let holder = header.sender.clone();
    let Some((&key_id, replaces)) = header.key_ids.split_first() else {
        return Err(datafuse_core::Error::Malformed { what: "holder's answer" }.into());
    };
    if workload.state().is_retired(open.epoch, &holder, key_id)? {
        return Ok(Taken::NotNeeded);
    }
    match workload.state().enrolled(open.epoch, &holder)? {
        Some(enrolled) if enrolled == key_id => return Ok(Taken::NotNeeded),
        // Enrolled meanwhile with a key that this one replaces: what it owes now is a rotation, as the status tells it.
        Some(enrolled) if replaces.contains(&enrolled) => return Ok(Taken::NotNeeded),
        Some(_) => return Err(Error::KeyChanged { holder: holder.fingerprint() }),
        None => {}
    }
    if let Some(kept) = workload.state().answer(open.epoch, &holder)? {
        // Answers come in any order: which key replaces which, they say themselves.
        match (kept.key_id == key_id, kept.replaces.contains(&key_id), replaces.contains(&kept.key_id)) {
            (true, ..) | (_, true, _) => return Ok(Taken::NotNeeded),
            (.., true) => {}
            _ => return Err(Error::KeyChanged { holder: holder.fingerprint() }),
        }
    }
    let kept = KeptAnswer { key_id, replaces: replaces.to_vec(), answer: Answer::decode(payload)? };
    workload.state_mut().keep_answer(open.epoch, &holder, &kept)?;
    Ok(Taken::Kept)
}

fn read_change(message: &Message, payload: &[u8]) -> Result<Taken> {
    let header = message.header();
    match header.key_ids.as_slice() {
        &[from, to] if from != to => {
            let rotation = Rotation::decode(payload)?;
            Ok(Taken::Change(Change { holder: header.sender.clone(), from, to, rotation }))
        }
        _ => Err(datafuse_core::Error::Malformed { what: "rotation" }.into()),
    }
}

/// Lets a holder be enrolled anew: its re-key, and what waits for it, is forgotten.
fn withdraw(workload: &mut Workload, open: &OpenEpoch, message: &Message) -> Result<Taken> {
    let (holder, key_ids) = (&message.header().sender, message.header().key_ids.as_slice());
    match (key_ids, workload.state().enrolled(open.epoch, holder)?) {
        (&[key_id], Some(enrolled)) if key_id == enrolled => {
            tracing::info!(holder = holder.fingerprint(), "a holder enrols anew");
            workload.state_mut().withdraw(open.epoch, holder, key_id)?;
            Ok(Taken::Kept)
        }
        (&[_], _) => Ok(Taken::NotNeeded),
        _ => Err(datafuse_core::Error::Malformed { what: "withdrawal" }.into()),
    }
}

/// Applies changes of token keys, each once, in the order in which they follow each other. Gives who has a new key.
fn rotate(
    workload: &mut Workload,
    open: &OpenEpoch,
    mut changes: Vec<(MessageName, Change)>,
) -> Result<Vec<ParticipantId>> {
    let mut rotated = BTreeSet::new();
    loop {
        let before = changes.len();
        let mut waiting = Vec::new();
        for (name, change) in changes {
            let Change { holder, from, to, rotation } = &change;
            let state = workload.state();
            match state.rekey(open.epoch, holder)? {
                Some((key_id, rekey)) if key_id == *from && !state.is_retired(open.epoch, holder, *to)? => {
                    workload.state_mut().rotate(open.epoch, holder, *from, *to, &rekey.rotate(rotation))?;
                    step::at(Step::KeyRotated);
                    if let Some((id, _)) = workload.space().participant_by_name(holder) {
                        workload.note(&Fact::HolderRotated { holder: id })?;
                        rotated.insert(id.clone());
                    }
                }
                // One that leads to the present key, or from or to a key that was replaced, has been overtaken.
                Some((key_id, _))
                    if key_id == *to
                        || state.is_retired(open.epoch, holder, *from)?
                        || state.is_retired(open.epoch, holder, *to)? => {}
                _ => {
                    waiting.push((name, change));
                    continue;
                }
            }
            workload.mailbox().remove(&name)?;
        }
        changes = waiting;
        if changes.is_empty() || changes.len() == before {
            return Ok(rotated.into_iter().collect());
        }
    }
}

/// Does what a change left due: a fresh message key, and a database without the erased pages.
fn settle(workload: &mut Workload, open: &OpenEpoch) -> Result<()> {
    let due = workload.state().due(open.epoch)?;
    if due.message_key {
        let key = ReceiveKey::generate(&mut UnwrapErr(getrandom::SysRng));
        workload.state_mut().renew_message_key(open.epoch, &key)?;
        step::at(Step::MessageKeyRenewed);
    }
    if due.vacuum {
        workload.state_mut().vacuum(open.epoch)?;
        step::at(Step::Vacuumed);
    }
    Ok(())
}

/// Enrols a holder where all its parts are there. Gives whether it did.
fn advance(workload: &mut Workload, open: &OpenEpoch, holder: &PublicName) -> Result<bool> {
    let state = workload.state();
    let Some(KeptAnswer { key_id, answer, .. }) = state.answer(open.epoch, holder)? else { return Ok(false) };
    let mut parts = AwaitingParts::new(holder.clone(), &workload.space().steward_names());
    for (steward, blind) in state.blinds(open.epoch, holder)? {
        match parts.receive_blind(&steward, blind)? {
            WorkloadStep::Awaiting(awaiting) => parts = awaiting,
            WorkloadStep::Enrolled(_) => return Ok(false),
        }
    }
    match parts.receive_answer(answer)? {
        WorkloadStep::Awaiting(_) => Ok(false),
        WorkloadStep::Enrolled(rekey) => {
            workload.state_mut().enrol(open.epoch, holder, key_id, &rekey)?;
            step::at(Step::HolderEnrolled);
            Ok(true)
        }
    }
}

/// What lies in the mailbox under a name, where it can be a message: one that is too large is none.
pub(super) fn read(workload: &Workload, name: &MessageName) -> Result<Option<Vec<u8>>> {
    match workload.mailbox().read(name) {
        Err(datafuse_space::Error::MessageTooLarge { .. }) => Ok(None),
        other => Ok(other?),
    }
}

/// Removes the messages of this space whose header is such a one, whoever they are for.
pub(super) fn remove_messages(workload: &Workload, is_such: impl Fn(&Header) -> bool) -> Result<()> {
    for name in workload.mailbox().list()?.iter().filter(|name| mailbox::is_message(name)) {
        let Some(Ok(message)) = read(workload, name)?.map(|bytes| Message::decode(&bytes)) else { continue };
        if message.header().root == *workload.root() && is_such(message.header()) {
            workload.mailbox().remove(name)?;
        }
    }
    Ok(())
}

/// The announcement in the mailbox, where this workload signed it; `or_formerly` under a name that it had before, as well: a
/// thief of a former key may have announced anything, so that counts only where nothing else is known.
pub(super) fn announced(workload: &Workload, or_formerly: bool) -> Result<Option<Announcement>> {
    let Some(bytes) = read(workload, &mailbox::announcement_name(workload.root()))? else { return Ok(None) };
    let space = workload.space();
    let former = space.workload_former().iter().filter(|_| or_formerly);
    let mut names = std::iter::once(space.workload()).chain(former);
    Ok(names.find_map(|name| Announcement::verify(&bytes, workload.root(), name).ok()))
}

/// A state without an epoch is not this workload's where it announced one: its disk is not there, and going on with an empty one
/// would lose what is on it. Only an `INITIALIZE` that says so begins anew.
pub(super) fn refuse_if_lost(workload: &Workload) -> Result<()> {
    if workload.state().open_epoch()?.is_some() {
        return Ok(());
    }
    announced(workload, true)?.map_or(Ok(()), |announced| Err(Error::EpochAnnounced { epoch: announced.epoch }))
}

/// A state that is older than what was announced is a former backup: going on with it would undo what followed.
fn refuse_if_behind(workload: &Workload, open: &OpenEpoch) -> Result<()> {
    match announced(workload, false)? {
        Some(announced) if announced.epoch > open.epoch || announced.serial > open.serial => {
            Err(Error::StateBehind { epoch: open.epoch, announced: announced.epoch })
        }
        _ => Ok(()),
    }
}

/// Puts the announcement where it is not there, or is not this one.
fn announce(workload: &Workload) -> Result<()> {
    let open = workload.open_epoch()?;
    let secrets = workload.state().secrets(open.epoch)?;
    let announcement = Announcement {
        root: *workload.root(),
        epoch: open.epoch,
        serial: open.serial,
        dataset_key: secrets.dataset_key.public(),
        message_key: secrets.message_key.public(),
    }
    .sign(workload.identity());
    let name = mailbox::announcement_name(workload.root());
    if read(workload, &name)?.as_ref() != Some(&announcement) {
        workload.mailbox().put(&name, &announcement)?;
        step::at(Step::Announced);
    }
    Ok(())
}

/// Publishes how far enrolment is, where that is not what the mailbox says already.
fn publish_status(workload: &mut Workload, open: &OpenEpoch) -> Result<Status> {
    let state = workload.state();
    let mut entries = Vec::new();
    for (_, holder) in holders(workload) {
        entries.push(HolderStatus {
            blinds_from: state.blinds(open.epoch, &holder)?.into_iter().map(|(steward, _)| steward).collect(),
            answered: state.answer(open.epoch, &holder)?.map(|kept| kept.key_id),
            enrolled: state.enrolled(open.epoch, &holder)?,
            holder,
        });
    }
    let name = mailbox::status_name(workload.root());
    let published = match read(workload, &name)? {
        Some(bytes) => Status::verify(&bytes, workload.root(), workload.space().workload()).ok(),
        None => None,
    };
    let (refusals, serial) = (state.refusals(open.epoch)?, state.status_serial()?);
    let status = Status { root: *workload.root(), epoch: open.epoch, serial, holders: entries, refusals };
    // An old one put back differs in its serial at least.
    if published.as_ref() == Some(&status) {
        return Ok(status);
    }
    let published = published.filter(|published| published.epoch == open.epoch).map_or(0, |published| published.serial);
    let status = Status { serial: workload.state_mut().next_status_serial(published)?, ..status };
    step::at(Step::StatusNumbered);
    workload.mailbox().put(&name, &status.sign(workload.identity()))?;
    step::at(Step::StatusPublished);
    Ok(status)
}

fn holders(workload: &Workload) -> Vec<(ParticipantId, PublicName)> {
    let named = |(id, participant): (&ParticipantId, &datafuse_space::agreement::Participant)| {
        Some((id.clone(), participant.name.clone()?))
    };
    workload.space().holders().filter_map(named).collect()
}
