//! One participant at work: its copy of the agreement, its keys, what it remembers, and the mailbox.

use datafuse_core::{
    announcement::Announcement, id::ParticipantId, keys::PartyKeys, name::PublicName, root::Root, status::Status,
};
use datafuse_space::{
    Layout, Mailbox, Memory, Space, agreement,
    mailbox::{self, announcement_name, status_name},
    memory::Standing,
};

use crate::error::{Error, Result};

/// A participant with everything it works with.
pub struct Party {
    space: Space,
    root: Root,
    id: ParticipantId,
    name: PublicName,
    keys: PartyKeys,
    memory: Memory,
    mailbox: Box<dyn Mailbox>,
}

/// A public name that this party has not approved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameToApprove {
    /// Whose name the space file says it is.
    pub party: agreement::Party,
    /// The name.
    pub name: PublicName,
    /// Whether the space was founded with it: the workload's and the stewards' names bind all keys.
    pub founding: bool,
    /// The name that was approved before, where it is another.
    pub formerly: Option<PublicName>,
}

/// Asks whoever is responsible whether these names are right: true for yes.
pub type Approval<'a> = &'a mut dyn FnMut(&[NameToApprove]) -> bool;

impl Party {
    /// Opens a participant with its keys, which its caller has read, and checks that they belong to the name in the space file.
    ///
    /// # Errors
    /// [`Error::Space`] for the participant and the mailbox; [`Error::NotAHolder`]; [`Error::NotThisParty`].
    pub fn open(space: Space, id: &ParticipantId, keys: PartyKeys, memory: Memory) -> Result<Self> {
        let participant = space.participant(id)?;
        let (true, Some(name)) = (participant.is_holder(), participant.name.clone()) else {
            return Err(Error::NotAHolder { participant: id.clone() });
        };
        let found = keys.identity().public_name();
        if found != name {
            let (participant, found, expected) = (id.clone(), found.fingerprint(), name.fingerprint());
            return Err(Error::NotThisParty { participant, found, expected });
        }
        let mailbox = mailbox::open(&Layout::new(&space).mailbox)?;
        let root = space.root();
        Ok(Self { space, root, id: id.clone(), name, keys, memory, mailbox })
    }

    /// The agreement.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The participant's name in the space.
    #[must_use]
    pub fn id(&self) -> &ParticipantId {
        &self.id
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    pub(crate) fn name(&self) -> &PublicName {
        &self.name
    }

    pub(crate) fn keys(&self) -> &PartyKeys {
        &self.keys
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn mailbox(&self) -> &dyn Mailbox {
        self.mailbox.as_ref()
    }

    pub(crate) fn is_steward(&self) -> bool {
        self.space.is_steward(&self.id)
    }

    /// The names this party has not approved yet, of those that concern it: for everybody the founding names, which bind its
    /// keys; for a steward every holder's, as its share lets them in.
    ///
    /// # Errors
    /// [`Error::Space`] for the memory.
    pub fn names_to_approve(&self) -> Result<Vec<NameToApprove>> {
        let stewards = self.space.steward_names();
        let mut names = Vec::new();
        for (party, name) in self.space.parties() {
            let founding = party == agreement::Party::Workload || stewards.contains(name);
            if *name == self.name || !(founding || self.is_steward()) {
                continue;
            }
            let formerly = match self.memory.standing(&self.root, &party, name)? {
                Standing::Approved => continue,
                Standing::New => None,
                Standing::Changed { approved } => Some(approved),
            };
            names.push(NameToApprove { party, name: name.clone(), founding, formerly });
        }
        Ok(names)
    }

    /// Has every name approved that is not yet, and remembers the answer.
    ///
    /// # Errors
    /// [`Error::NotApproved`] where the answer is no; [`Error::Space`] for the memory.
    pub fn approve(&self, approval: Approval<'_>) -> Result<()> {
        let names = self.names_to_approve()?;
        if names.is_empty() {
            return Ok(());
        }
        if !approval(&names) {
            let names = names.iter().map(|name| format!("{} ({})", name.party, name.name.fingerprint())).collect();
            return Err(Error::NotApproved { names });
        }
        Ok(self.memory.approve(&self.root, names.iter().map(|name| (&name.party, &name.name)))?)
    }

    /// The workload's announcement: verified, and not older than any seen before.
    ///
    /// # Errors
    /// [`Error::NoEpoch`]; [`Error::Protocol`] where it is not the workload's, or is an old one put back.
    pub fn announcement(&self) -> Result<Announcement> {
        let Some(bytes) = self.mailbox.read(&announcement_name(&self.root))? else {
            return Err(Error::NoEpoch { mailbox: Layout::new(&self.space).mailbox.to_string() });
        };
        let announcement = Announcement::verify(&bytes, &self.root, self.space.workload())?;
        self.memory.see(&announcement)?;
        Ok(announcement)
    }

    /// The workload's status of the epoch, where it has published one.
    ///
    /// # Errors
    /// [`Error::Protocol`] where it is not the workload's.
    pub fn status(&self, announcement: &Announcement) -> Result<Option<Status>> {
        let Some(bytes) = self.mailbox.read(&status_name(&self.root))? else { return Ok(None) };
        let status = Status::verify(&bytes, &self.root, self.space.workload())?;
        Ok(Some(status).filter(|status| status.epoch == announcement.epoch))
    }
}
