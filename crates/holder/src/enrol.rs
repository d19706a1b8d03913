//! Enrolment: does whatever this party owes next, and says what is awaited from whom.
//!
//! Nothing is kept between two runs: what is owed follows from the space file, the mailbox and the workload's signed status.
//! So it may be run in any order, as often as one likes, and after messages were lost: the same numbers are derived again.

use datafuse_core::{
    announcement::Announcement,
    enrolment::{AwaitingShares, HolderStep, ReadyToAnswer, ShareForHolder, contribute},
    id::ParticipantId,
    message::{Header, Message, Round},
    name::PublicName,
    status::{HolderStatus, Refusal, Status},
};
use datafuse_space::{agreement, mailbox::MessageName};
use rand_core::UnwrapErr;

use crate::{
    error::{Error, Result},
    party::{Approval, Party},
};

/// What a run of [`enrol`] did and found.
#[derive(Debug)]
pub struct EnrolReport {
    /// The open epoch; nothing can be done before there is one.
    pub epoch: Option<datafuse_core::id::Epoch>,
    /// What this party did now.
    pub done: Vec<Done>,
    /// What is still to come for this party to be enrolled, and from this party's view for the others.
    pub awaited: Vec<Awaited>,
    /// Messages of this party that the workload refused; they were sent again.
    pub refusals: Vec<Refusal>,
    /// Whether this party is enrolled with the key it has now.
    pub enrolled: bool,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// As a steward: let a holder in.
    SharedWith(ParticipantId),
    /// As a holder: answered the stewards' shares.
    Answered,
    /// Removed a damaged message, so that its sender sends it again.
    RemovedDamaged {
        /// Whose it should have been.
        from: ParticipantId,
        /// Why it was refused.
        reason: String,
    },
}

/// One thing that is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The workload opens an epoch.
    Epoch,
    /// A steward lets this holder in.
    Share {
        /// The steward.
        from: ParticipantId,
    },
    /// Another holder runs `enrol`.
    Answer {
        /// The holder.
        from: ParticipantId,
    },
    /// The workload collects what has been sent.
    Collection,
}

/// Does what this party owes in the open epoch.
///
/// # Errors
/// [`Error::NotApproved`]; [`Error::Protocol`] where the mailbox holds something that is not what it claims to be;
/// [`Error::Space`].
pub fn enrol(party: &Party, approval: Approval<'_>) -> Result<EnrolReport> {
    party.approve(approval)?;
    let announcement = match party.announcement() {
        Err(Error::NoEpoch { .. }) => {
            return Ok(EnrolReport {
                epoch: None,
                done: Vec::new(),
                awaited: vec![Awaited::Epoch],
                refusals: Vec::new(),
                enrolled: false,
            });
        }
        other => other?,
    };
    let status = party.status(&announcement)?;
    let mut run = Run { party, announcement: &announcement, status: status.as_ref(), done: Vec::new() };
    if party.is_steward() {
        run.share()?;
    }
    let (enrolled, awaited) = run.answer()?;
    let done = run.done;
    let refusals = status.iter().flat_map(|status| &status.refusals);
    let refusals = refusals.filter(|refusal| refusal.sender.as_ref() == Some(party.name())).cloned().collect();
    Ok(EnrolReport { epoch: Some(announcement.epoch), done, awaited, refusals, enrolled })
}

struct Run<'a> {
    party: &'a Party,
    announcement: &'a Announcement,
    status: Option<&'a Status>,
    done: Vec<Done>,
}

impl Run<'_> {
    /// As a steward: sends what every holder of the roster still needs.
    fn share(&mut self) -> Result<()> {
        let party = self.party;
        for (id, holder) in party.space().holders() {
            let Some(holder) = &holder.name else { continue };
            let status = self.status_of(holder);
            if status.is_some_and(|status| status.enrolled.is_some()) {
                continue;
            }
            let (share, blind) = contribute(party.keys().share(), party.root(), self.announcement.epoch, holder)?;
            let mut sent = false;
            if !status.is_some_and(|status| status.blinds_from.contains(party.name())) {
                let mut header = self.header(Round::BlindToWorkload, party.name(), party.space().workload());
                header.subject = Some(holder.clone());
                sent |= self.send(header, &blind.encode(), &self.announcement.message_key)?;
            }
            // Its own share a steward derives again when it answers.
            if holder != party.name() && status.is_none_or(|status| status.answered.is_none()) {
                let header = self.header(Round::ShareToHolder, party.name(), holder);
                sent |= self.send(header, &share.encode(), holder.receive_key())?;
            }
            if sent {
                self.done.push(Done::SharedWith(id.clone()));
            }
        }
        Ok(())
    }

    /// As a holder: answers when every steward's share has come. Gives whether the workload has this holder enrolled, and what
    /// is awaited.
    fn answer(&mut self) -> Result<(bool, Vec<Awaited>)> {
        let party = self.party;
        let key = party.keys().token();
        let mine = self.status_of(party.name());
        if mine.is_some_and(|status| status.enrolled == Some(key.key_id())) {
            return Ok((true, self.awaited_of_others()));
        }
        if mine.is_some_and(|status| status.answered == Some(key.key_id())) {
            return Ok((false, self.awaited_blinds(mine)));
        }
        let mut header = self.header(Round::AnswerToWorkload, party.name(), party.space().workload());
        header.key_ids = vec![key.key_id()];
        if party.mailbox().read(&message_name(&header)?)?.is_some() {
            return Ok((false, vec![Awaited::Collection]));
        }
        match self.gather()? {
            Gathered::Awaiting(from) => Ok((false, from.into_iter().map(|from| Awaited::Share { from }).collect())),
            Gathered::Ready(ready) => {
                let answer = ready.answer(&key.token_key(party.root(), self.announcement.epoch)?);
                self.send(header, &answer.encode(), &self.announcement.message_key)?;
                self.done.push(Done::Answered);
                Ok((false, vec![Awaited::Collection]))
            }
        }
    }

    /// Reads the stewards' shares for this holder.
    fn gather(&mut self) -> Result<Gathered> {
        let party = self.party;
        let mut state = AwaitingShares::new(&party.space().steward_names());
        let mut missing = Vec::new();
        for (id, steward) in party.space().stewards() {
            let Some(steward) = &steward.name else { continue };
            let share = if steward == party.name() {
                Some(contribute(party.keys().share(), party.root(), self.announcement.epoch, steward)?.0)
            } else {
                self.read_share(id, steward)?
            };
            match share {
                None => missing.push(id.clone()),
                Some(share) => match state.receive(steward, &share)? {
                    HolderStep::Awaiting(awaiting) => state = awaiting,
                    HolderStep::Ready(ready) => return Ok(Gathered::Ready(ready)),
                },
            }
        }
        Ok(Gathered::Awaiting(missing))
    }

    fn read_share(&mut self, id: &ParticipantId, steward: &PublicName) -> Result<Option<ShareForHolder>> {
        let header = self.header(Round::ShareToHolder, steward, self.party.name());
        let name = message_name(&header)?;
        let Some(bytes) = self.party.mailbox().read(&name)? else { return Ok(None) };
        let opened = Message::decode(&bytes).and_then(|message| {
            if *message.header() != header {
                return Err(datafuse_core::Error::Malformed { what: "message" });
            }
            ShareForHolder::decode(&message.open(self.party.keys().identity().receive_key())?)
        });
        match opened {
            Ok(share) => Ok(Some(share)),
            Err(error) => {
                self.party.mailbox().remove(&name)?;
                self.done.push(Done::RemovedDamaged { from: id.clone(), reason: error.to_string() });
                Ok(None)
            }
        }
    }

    /// Puts a message unless one of the same name is there. Gives whether it did.
    fn send(&self, header: Header, payload: &[u8], receive_key: &[u8; 32]) -> Result<bool> {
        let name = message_name(&header)?;
        let mailbox = self.party.mailbox();
        if mailbox.read(&name)?.is_some_and(|bytes| is_intact(&bytes, &header)) {
            return Ok(false);
        }
        let identity = self.party.keys().identity();
        let message = Message::seal(header, payload, receive_key, identity, &mut UnwrapErr(getrandom::SysRng))?;
        mailbox.put(&name, &message.encode())?;
        Ok(true)
    }

    fn header(&self, round: Round, sender: &PublicName, receiver: &PublicName) -> Header {
        let to_workload = receiver == self.party.space().workload();
        Header {
            root: *self.party.root(),
            epoch: self.announcement.epoch,
            round,
            sender: sender.clone(),
            receiver: receiver.clone(),
            subject: None,
            key_ids: Vec::new(),
            serial: if to_workload { self.announcement.serial } else { 0 },
        }
    }

    fn status_of(&self, holder: &PublicName) -> Option<&HolderStatus> {
        self.status.and_then(|status| status.holder(holder))
    }

    /// This holder has answered; blinds may still be missing at the workload.
    fn awaited_blinds(&self, mine: Option<&HolderStatus>) -> Vec<Awaited> {
        let arrived = mine.map_or(&[][..], |status| &status.blinds_from);
        let missing = self.party.space().stewards().filter(|(_, steward)| {
            steward.name.as_ref().is_some_and(|name| !arrived.contains(name) && name != self.party.name())
        });
        let mut awaited: Vec<_> = missing.map(|(id, _)| Awaited::Share { from: id.clone() }).collect();
        if awaited.is_empty() {
            awaited.push(Awaited::Collection);
        }
        awaited
    }

    /// This holder is enrolled; who is not?
    fn awaited_of_others(&self) -> Vec<Awaited> {
        let holders = self.party.space().holders();
        let missing = holders.filter(|(id, holder)| {
            *id != self.party.id()
                && holder
                    .name
                    .as_ref()
                    .is_some_and(|name| self.status_of(name).is_none_or(|status| status.enrolled.is_none()))
        });
        missing.map(|(id, _)| Awaited::Answer { from: id.clone() }).collect()
    }
}

enum Gathered {
    Awaiting(Vec<ParticipantId>),
    Ready(ReadyToAnswer),
}

/// A message that was cut or altered on its way must not keep its sender from sending it again.
fn is_intact(bytes: &[u8], header: &Header) -> bool {
    Message::decode(bytes).is_ok_and(|message| message.header() == header && message.verify().is_ok())
}

fn message_name(header: &Header) -> Result<MessageName> {
    Ok(header.message_name().parse()?)
}

/// Names a party for a sentence.
#[must_use]
pub fn party_label(space: &datafuse_space::Space, name: &PublicName) -> String {
    space.party(name).map_or_else(|| name.fingerprint(), agreement::Party::to_string)
}
