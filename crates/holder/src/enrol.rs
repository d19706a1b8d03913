//! Enrolment: does whatever this party owes next, and says what is awaited from whom.
//!
//! As a steward: its share for every holder that it approved. As a holder: the answer to the stewards' shares, or, where it is
//! enrolled with a token key that was replaced, the change to the present one. A dataset that the open epoch or the present key
//! asks for is only named: `protect` makes it.
//!
//! Nothing is kept between two runs: what is owed follows from the space file, the mailbox and the workload's signed status.
//! So it may be run in any order, as often as one likes, and after messages were lost: the same numbers are derived again.

use datafuse_core::{
    announcement::Announcement,
    enrolment::{AwaitingShares, HolderStep, ReadyToAnswer, ShareForHolder, contribute},
    id::{DatasetId, Epoch, ParticipantId},
    keys::{KeyId, ShareSecret},
    message::{Header, Message, Round},
    name::PublicName,
    rotation::Rotation,
    status::{HolderStatus, Refusal, Status},
};
use datafuse_engine::{Caps, dataset::protected::ProtectedFile};
use datafuse_space::{Location, agreement, mailbox::MessageName};
use rand_core::UnwrapErr;

use crate::{
    error::{Error, Result},
    party::{Approval, NameToApprove, Party},
};

/// What a run of [`enrol`] did and found.
#[derive(Debug)]
pub struct EnrolReport {
    /// The open epoch; nothing can be done before there is one.
    pub epoch: Option<Epoch>,
    /// What this party did now.
    pub done: Vec<Done>,
    /// What is still to come for this party to be enrolled, and from this party's view for the others.
    pub awaited: Vec<Awaited>,
    /// Messages of this party that the workload refused; they were sent again.
    pub refusals: Vec<Refusal>,
    /// Whether this party is enrolled with the key it has now.
    pub enrolled: bool,
    /// Holders that this party, a steward, has not let in because it has not approved their names.
    pub unapproved: Vec<NameToApprove>,
    /// Datasets of this party that are due to be protected.
    pub due: Vec<DueDataset>,
}

impl EnrolReport {
    /// Whether nothing is left to do or to wait for: this party is enrolled and, if it is a steward, so is everybody else.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.enrolled && self.awaited.is_empty() && self.unapproved.is_empty()
    }
}

/// A dataset that is not there as the open epoch and the present key want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDataset {
    /// Which.
    pub dataset: DatasetId,
    /// Whether an earlier file of this party's is there, which can be brought over.
    pub earlier: bool,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// As a steward: let a holder in.
    SharedWith(ParticipantId),
    /// As a holder: answered the stewards' shares.
    Answered,
    /// As a holder: told the workload of the change to the present token key.
    Rotated,
    /// As a holder: asked the workload to forget the key that it has, to be enrolled anew.
    Withdrawn,
}

/// One thing that is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The workload opens an epoch.
    Epoch,
    /// The workload reads the agreement, in which this party has a new name.
    NewName,
    /// A steward lets this holder in.
    Share {
        /// The steward.
        from: ParticipantId,
        /// Why the message of it that is there was refused, where one is.
        refused: Option<String>,
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
/// Founding names must be approved before anything is done; a holder whose name is not approved is left out, and listed.
///
/// # Errors
/// [`Error::NotApproved`]; [`Error::OtherKeyEnrolled`] where the workload has this party enrolled with a key that its key file
/// does not know; [`Error::Protocol`] where the mailbox holds something that is not what it claims to be; [`Error::Space`].
pub fn enrol(party: &Party, approval: Approval<'_>) -> Result<EnrolReport> {
    enrol_or_begin_anew(party, approval, false)
}

/// As [`enrol`]; where the workload has this party enrolled with a key that its key file does not know, it asks to be forgotten
/// and enrolled anew. The stewards then act as for a newcomer.
///
/// # Errors
/// Those of [`enrol`].
pub fn enrol_anew(party: &Party, approval: Approval<'_>) -> Result<EnrolReport> {
    enrol_or_begin_anew(party, approval, true)
}

fn enrol_or_begin_anew(party: &Party, approval: Approval<'_>, anew: bool) -> Result<EnrolReport> {
    let unapproved = party.approve_all(approval)?;
    let announcement = match party.announcement() {
        Err(Error::NoEpoch { .. }) => {
            return Ok(EnrolReport {
                epoch: None,
                done: Vec::new(),
                awaited: vec![Awaited::Epoch],
                refusals: Vec::new(),
                enrolled: false,
                unapproved,
                due: Vec::new(),
            });
        }
        other => other?,
    };
    let status = party.status(&announcement)?;
    let mut run = Run { party, announcement: &announcement, status: status.as_ref(), anew, done: Vec::new() };
    let shared = if party.is_steward() { run.share(&unapproved) } else { Ok(()) };
    // What keeps it from serving others does not keep it from its own enrolment.
    let (enrolled, awaited) = run.answer()?;
    shared?;
    let done = run.done;
    // Who is enrolled already needs nobody's share, so nobody's approval either.
    let is_enrolled = |name: &PublicName| {
        status.as_ref().and_then(|status| status.holder(name)).is_some_and(|holder| holder.enrolled.is_some())
    };
    let unapproved = unapproved.into_iter().filter(|new| !is_enrolled(&new.name)).collect();
    let refusals = status.iter().flat_map(|status| &status.refusals);
    let refusals = refusals.filter(|refusal| refusal.sender.as_ref() == Some(party.name())).cloned().collect();
    let due = due_datasets(party, &announcement)?;
    Ok(EnrolReport { epoch: Some(announcement.epoch), done, awaited, refusals, enrolled, unapproved, due })
}

/// The datasets of this party, of those at a path, that are missing or of another epoch or key.
fn due_datasets(party: &Party, announcement: &Announcement) -> Result<Vec<DueDataset>> {
    let mut due = Vec::new();
    for dataset in party.space().participant(party.id())?.datasets.keys() {
        let Location::Path(path) = party.space().dataset_location(party.id(), dataset)? else { continue };
        let header = path.is_file().then(|| ProtectedFile::inspect(&path, &Caps::default()).ok()).flatten();
        let header = header.as_ref().map(datafuse_core::dataset::DatasetEnvelope::header);
        if !header.is_some_and(|header| party.is_present(header, announcement.epoch)) {
            let earlier = header.is_some_and(|header| {
                header.root == *party.root()
                    && party.had_name(&header.holder)
                    && party.keys().token_of(header.key_id).is_some()
            });
            due.push(DueDataset { dataset: dataset.clone(), earlier });
        }
    }
    Ok(due)
}

struct Run<'a> {
    party: &'a Party,
    announcement: &'a Announcement,
    status: Option<&'a Status>,
    anew: bool,
    done: Vec<Done>,
}

impl Run<'_> {
    /// As a steward: sends what every holder of the roster still needs, but for those that are not approved.
    fn share(&mut self, unapproved: &[NameToApprove]) -> Result<()> {
        let (party, secret) = (self.party, share_secret(self.party, self.announcement.epoch)?);
        for (id, holder) in party.space().holders() {
            let Some(holder) = &holder.name else { continue };
            let status = self.status_of(holder);
            if status.is_some_and(|status| status.enrolled.is_some())
                || unapproved.iter().any(|new| new.name == *holder)
            {
                continue;
            }
            let (share, blind) = contribute(secret, party.root(), self.announcement.epoch, holder)?;
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

    /// As a holder: answers when every steward's share has come, or tells of a change of its token key. Gives whether the
    /// workload has this holder enrolled with its present key, and what is awaited.
    fn answer(&mut self) -> Result<(bool, Vec<Awaited>)> {
        let party = self.party;
        let key = party.keys().token();
        let mine = self.status_of(party.name());
        match mine.and_then(|status| status.enrolled) {
            Some(enrolled) if enrolled == key.key_id() => return Ok((true, self.awaited_of_others())),
            Some(enrolled) => {
                self.rotate(enrolled)?;
                return Ok((false, vec![Awaited::Collection]));
            }
            None => {}
        }
        // With a new name it takes over what the former had, as soon as the workload knows of it.
        if mine.is_none() && self.status.is_some() && party.succeeds_a_former_name() {
            return Ok((false, vec![Awaited::NewName]));
        }
        if mine.is_some_and(|status| status.answered == Some(key.key_id())) {
            return Ok((false, self.awaited_blinds(mine)));
        }
        let mut header = self.header(Round::AnswerToWorkload, party.name(), party.space().workload());
        let former = party.keys().former_tokens().iter().map(datafuse_core::keys::TokenSecret::key_id);
        header.key_ids = std::iter::once(key.key_id()).chain(former).collect();
        if self.is_sent(&header)? {
            return Ok((false, vec![Awaited::Collection]));
        }
        match self.gather()? {
            Gathered::Awaiting(awaited) => Ok((false, awaited)),
            Gathered::Ready(ready) => {
                let answer = ready.answer(&key.token_key(party.root(), self.announcement.epoch)?);
                self.send(header, &answer.encode(), &self.announcement.message_key)?;
                self.done.push(Done::Answered);
                Ok((false, vec![Awaited::Collection]))
            }
        }
    }

    /// Sends the change from the token key that the workload has to the present one.
    fn rotate(&mut self, enrolled: KeyId) -> Result<()> {
        let (party, epoch) = (self.party, self.announcement.epoch);
        let (former, key) = (party.keys().token_of(enrolled), party.keys().token());
        let Some(former) = former else { return self.withdraw(enrolled) };
        let mut header = self.header(Round::RotationToWorkload, party.name(), party.space().workload());
        header.key_ids = vec![enrolled, key.key_id()];
        let rotation = Rotation::new(&former.token_key(party.root(), epoch)?, &key.token_key(party.root(), epoch)?);
        if self.send(header, &rotation.encode(), &self.announcement.message_key)? {
            self.done.push(Done::Rotated);
        }
        Ok(())
    }

    /// Asks the workload to forget the token key that it has, of which this key file knows nothing.
    fn withdraw(&mut self, enrolled: KeyId) -> Result<()> {
        let party = self.party;
        if !self.anew {
            return Err(Error::OtherKeyEnrolled { participant: party.id().clone() });
        }
        let mut header = self.header(Round::WithdrawalToWorkload, party.name(), party.space().workload());
        header.key_ids = vec![enrolled];
        if self.send(header, &[], &self.announcement.message_key)? {
            self.done.push(Done::Withdrawn);
        }
        Ok(())
    }

    /// Reads the stewards' shares for this holder.
    fn gather(&self) -> Result<Gathered> {
        let party = self.party;
        let mut state = AwaitingShares::new(&party.space().steward_names());
        let mut missing = Vec::new();
        for (id, steward) in party.space().stewards() {
            let Some(steward) = &steward.name else { continue };
            let share = if steward == party.name() {
                let secret = share_secret(party, self.announcement.epoch)?;
                Ok(Some(contribute(secret, party.root(), self.announcement.epoch, steward)?.0))
            } else {
                self.share_from(steward)?
            };
            match share {
                Ok(Some(share)) => match state.receive(steward, &share)? {
                    HolderStep::Awaiting(awaiting) => state = awaiting,
                    HolderStep::Ready(ready) => return Ok(Gathered::Ready(ready)),
                },
                Ok(None) => missing.push(Awaited::Share { from: id.clone(), refused: None }),
                // Its sender finds it damaged as well, and sends it again when it enrols next.
                Err(refused) => {
                    missing.push(Awaited::Share { from: id.clone(), refused: Some(refused.to_string()) });
                }
            }
        }
        Ok(Gathered::Awaiting(missing))
    }

    /// A steward's share for this holder, where it has come; inside, why what has come was refused.
    fn share_from(&self, steward: &PublicName) -> Result<datafuse_core::Result<Option<ShareForHolder>>> {
        let header = self.header(Round::ShareToHolder, steward, self.party.name());
        let Some(bytes) = read(self.party, &message_name(&header)?)? else { return Ok(Ok(None)) };
        Ok(Message::decode(&bytes).and_then(|message| {
            if *message.header() != header {
                return Err(datafuse_core::Error::Malformed { what: "message" });
            }
            ShareForHolder::decode(&message.open(self.party.keys().identity().receive_key())?).map(Some)
        }))
    }

    /// Whether a message with this header lies in the mailbox, unaltered.
    fn is_sent(&self, header: &Header) -> Result<bool> {
        let bytes = read(self.party, &message_name(header)?)?;
        Ok(bytes.is_some_and(|bytes| is_intact(&bytes, header)))
    }

    /// Puts a message unless one of the same name is there. Gives whether it did.
    fn send(&self, header: Header, payload: &[u8], receive_key: &[u8; 32]) -> Result<bool> {
        if self.is_sent(&header)? {
            return Ok(false);
        }
        let name = message_name(&header)?;
        let identity = self.party.keys().identity();
        let message = Message::seal(header, payload, receive_key, identity, &mut UnwrapErr(getrandom::SysRng))?;
        self.party.mailbox().put(&name, &message.encode())?;
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
        let mut awaited: Vec<_> = missing.map(|(id, _)| Awaited::Share { from: id.clone(), refused: None }).collect();
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
    Awaiting(Vec<Awaited>),
    Ready(ReadyToAnswer),
}

/// The share secret that serves an epoch: the one that did before, where it was replaced since.
fn share_secret(party: &Party, epoch: Epoch) -> Result<&ShareSecret> {
    let secrets: Vec<_> = std::iter::once(party.keys().share()).chain(party.keys().former_shares()).collect();
    let points = secrets.iter().map(|secret| secret.share_point(party.root(), epoch));
    let points = points.collect::<datafuse_core::Result<Vec<_>>>()?;
    Ok(secrets[party.memory().share_of(party.root(), epoch, &points)?])
}

/// What lies in the mailbox under a name, where it can be a message: one that is too large is none.
fn read(party: &Party, name: &MessageName) -> Result<Option<Vec<u8>>> {
    match party.mailbox().read(name) {
        Err(datafuse_space::Error::MessageTooLarge { .. }) => Ok(None),
        other => Ok(other?),
    }
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
