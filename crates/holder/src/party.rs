//! One participant at work: its copy of the agreement, its keys, what it remembers, and the mailbox.

use datafuse_core::{
    announcement::Announcement,
    dataset::DatasetHeader,
    id::{Epoch, ParticipantId},
    keys::PartyKeys,
    name::PublicName,
    root::Root,
    status::Status,
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
    /// The name that the space file says this one succeeds.
    pub succeeds: Option<PublicName>,
}

/// Asks whoever is responsible whether these names are right: true for yes.
pub type Approval<'a> = &'a mut dyn FnMut(&[NameToApprove]) -> bool;

impl Party {
    /// Opens a participant with its keys, which its caller has read, and checks that they belong to the name in the space file.
    ///
    /// # Errors
    /// [`Error::Space`] for the participant and the mailbox; [`Error::NotAHolder`]; [`Error::NotThisParty`].
    pub fn open(space: Space, id: &ParticipantId, keys: PartyKeys, memory: Memory) -> Result<Self> {
        let name = refuse_other_keys(&space, id, &keys)?;
        let mailbox = mailbox::open(&Layout::new(&space).mailbox)?;
        let root = space.root();
        Ok(Self { space, root, id: id.clone(), name, keys, memory, mailbox })
    }

    /// Reads the agreement again, as participants come and go.
    ///
    /// # Errors
    /// [`Error::Space`] where it cannot be read; [`Error::SpaceReplaced`] where it is another space now; [`Error::NotThisParty`].
    pub fn refresh(&mut self) -> Result<()> {
        let Some(space) = self.space.reread()? else { return Ok(()) };
        if space.root() != self.root {
            return Err(Error::SpaceReplaced);
        }
        refuse_other_keys(&space, &self.id, &self.keys)?;
        self.space = space;
        Ok(())
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

    /// Whether a name is this party's, or was before it was replaced.
    pub(crate) fn had_name(&self, name: &PublicName) -> bool {
        let former = self.keys.former_identities();
        self.name == *name || former.iter().any(|former| former.public_name() == *name)
    }

    /// Whether a dataset is of this party's present name and token key, and of an epoch.
    pub(crate) fn is_present(&self, header: &DatasetHeader, epoch: Epoch) -> bool {
        (header.root, header.epoch) == (self.root, epoch)
            && header.holder == self.name
            && header.key_id == self.keys.token().key_id()
    }

    /// Whether the agreement says that this party's name took the place of one that its key file had.
    pub(crate) fn succeeds_a_former_name(&self) -> bool {
        let former = self.space.participant(&self.id).map_or(&[][..], |participant| &participant.former);
        former.iter().any(|name| self.had_name(name))
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
        let is_founding =
            |party: &agreement::Party, name| *party == agreement::Party::Workload || stewards.contains(name);
        let mut concerned = self.space.parties();
        concerned.retain(|(party, name)| **name != self.name && (self.is_steward() || is_founding(party, name)));
        let standings = self.memory.standings(&self.root, &concerned)?;
        let mut names = Vec::new();
        for ((party, name), standing) in concerned.into_iter().zip(standings) {
            let formerly = match standing {
                Standing::Approved => continue,
                Standing::New => None,
                Standing::Changed { approved } => Some(approved),
            };
            let succeeds = match &party {
                agreement::Party::Workload => self.space.workload_former().last(),
                agreement::Party::Participant(id) => self.space.participant(id)?.former.last(),
            };
            let (founding, succeeds) = (is_founding(&party, name), succeeds.cloned());
            names.push(NameToApprove { party, name: name.clone(), founding, formerly, succeeds });
        }
        Ok(names)
    }

    /// Approves these very names, each of which must be the space's: what `--approve acme=dfpub1...` says.
    ///
    /// # Errors
    /// [`Error::OtherName`] where the space file has another name for a party, [`Error::Space`] where it has no such party or
    /// for the memory. Then none is approved.
    pub fn approve_named(&self, names: &[(agreement::Party, PublicName)]) -> Result<()> {
        for (party, name) in names {
            let present = match party {
                agreement::Party::Workload => Some(self.space.workload()),
                agreement::Party::Participant(id) => self.space.participant(id)?.name.as_ref(),
            };
            if present != Some(name) {
                return Err(Error::OtherName {
                    party: party.to_string(),
                    given: name.fingerprint(),
                    present: present.map(PublicName::fingerprint),
                });
            }
        }
        Ok(self.memory.approve(&self.root, names.iter().map(|(party, name)| (party, name)))?)
    }

    /// Has the founding names approved that are not yet, and remembers the answer.
    ///
    /// # Errors
    /// [`Error::NotApproved`] where the answer is no; [`Error::Space`] for the memory.
    pub fn approve_founding(&self, approval: Approval<'_>) -> Result<()> {
        let names = self.names_to_approve()?;
        self.ask(names.into_iter().filter(|name| name.founding).collect(), approval).map(drop)
    }

    /// Has every name approved that is not yet, and remembers the answer. Gives those that are not approved, holders all.
    ///
    /// # Errors
    /// [`Error::NotApproved`] where the answer is no and a founding name is among them; [`Error::Space`] for the memory.
    pub fn approve_all(&self, approval: Approval<'_>) -> Result<Vec<NameToApprove>> {
        // Who left and comes back is asked for again.
        self.memory.retain(&self.root, |id| self.space.participant(id).is_ok())?;
        self.ask(self.names_to_approve()?, approval)
    }

    fn ask(&self, names: Vec<NameToApprove>, approval: Approval<'_>) -> Result<Vec<NameToApprove>> {
        if names.is_empty() {
            return Ok(names);
        }
        if approval(&names) {
            self.memory.approve(&self.root, names.iter().map(|name| (&name.party, &name.name)))?;
            return Ok(Vec::new());
        }
        if names.iter().any(|name| name.founding) {
            return Err(Error::not_approved(&names));
        }
        Ok(names)
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
    /// [`Error::Protocol`] where it is not the workload's; [`Error::Space`] where it is an old one put back.
    pub fn status(&self, announcement: &Announcement) -> Result<Option<Status>> {
        let Some(bytes) = self.mailbox.read(&status_name(&self.root))? else { return Ok(None) };
        let status = Status::verify(&bytes, &self.root, self.space.workload())?;
        self.memory.see_status(&status)?;
        Ok(Some(status).filter(|status| status.epoch == announcement.epoch))
    }
}

fn refuse_non_holder(space: &Space, id: &ParticipantId) -> Result<PublicName> {
    let participant = space.participant(id)?;
    match &participant.name {
        Some(name) if participant.is_holder() => Ok(name.clone()),
        _ => Err(Error::NotAHolder { participant: id.clone() }),
    }
}

/// Checks that keys are those of a participant's present name, and gives the name.
fn refuse_other_keys(space: &Space, id: &ParticipantId, keys: &PartyKeys) -> Result<PublicName> {
    let (name, found) = (refuse_non_holder(space, id)?, keys.identity().public_name());
    if found == name {
        return Ok(name);
    }
    let formerly = keys.former_identities().iter().any(|former| former.public_name() == name);
    let (participant, found, expected) = (id.clone(), found.fingerprint(), name.fingerprint());
    Err(Error::NotThisParty { participant, found, expected, formerly })
}
