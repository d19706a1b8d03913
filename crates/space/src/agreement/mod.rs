//! The agreement of a collaboration space: `space.yaml`, parsed and checked.
//!
//! In: the text of the file. Out: a [`Space`], which always holds together: every name parses, at least two stewards are
//! holders with names, no two parties share a name, no two datasets a place. What is merely unwise, or not there yet, is
//! found by [`crate::check`].
//!
//! The epoch is not in the file: the workload's signed announcement in the mailbox says which is open.

mod aggregates;
mod analyses;
mod contract;
mod document;
mod lists;
mod lookups;
mod outputs;
mod policy;
mod privacy;
mod syntax;
mod to_yaml;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use datafuse_core::{
    id::{DatasetId, KindName, ParticipantId, SpaceId},
    kind::Kind,
    name::PublicName,
    root::{Founding, Root},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    durable,
    error::{Error, Result},
    location::{DeliverPlace, Location, MailboxPlace, QueuePlace},
};

pub use aggregates::{AggregateOver, AggregateRequest, ColumnUse};
pub use analyses::Analyses;
pub use document::schema;
pub use lists::List;
pub use lookups::{LOOKUPS_PER_DAY, LookupAnswerForm, LookupPolicy, Lookups};
pub use outputs::{Output, OutputLeftOut};
pub use policy::{Policy, Rule, Strictest};
pub use privacy::{DifferentialPrivacy, MAX_NOISY_HOLDERS, StrictestEpsilon};
pub use syntax::Problem;

/// What a participant does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It brings data.
    Holder,
    /// It receives the report.
    User,
}

impl Role {
    /// The word for it in `space.yaml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::User => "user",
        }
    }
}

/// One participant of a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// What it does, at least one.
    pub roles: BTreeSet<Role>,
    /// Its public name; every holder has one.
    pub name: Option<PublicName>,
    /// Names that it had before, the founding one first.
    pub former: Vec<PublicName>,
    /// Its datasets: where they lie, as the file says ([`Space::dataset_location`] resolves them), and in which form.
    pub datasets: BTreeMap<DatasetId, Dataset>,
    /// The age recipient to which its reports are encrypted ([`Space::readership`] says whether they are).
    pub recipient: Option<String>,
    /// Where its reports are delivered beside the workload's outputs, as the file says ([`Space::deliver_places`] resolves them).
    pub deliver: Vec<DeliverPlace>,
    /// What it asks of what may come out.
    pub policy: Policy,
}

impl Participant {
    /// Whether it brings data.
    #[must_use]
    pub fn is_holder(&self) -> bool {
        self.roles.contains(&Role::Holder)
    }

    /// Whether it receives the report.
    #[must_use]
    pub fn is_user(&self) -> bool {
        self.roles.contains(&Role::User)
    }

    /// The name under which it was founded: the oldest former one, else its present one.
    #[must_use]
    pub fn founding_name(&self) -> Option<&PublicName> {
        self.former.first().or(self.name.as_ref())
    }
}

/// One dataset of a holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Where it lies.
    pub location: Location,
    /// Set where it is a table of tokens, made by any tool, in the place of a protected dataset: nothing in it says who made it
    /// and when, so the space has to allow it.
    pub table: Option<Table>,
    /// The data contract that it has to keep (an Open Data Contract Standard file), relative to the space file's folder.
    pub contract: Option<PathBuf>,
}

impl Dataset {
    /// Describes a protected dataset.
    #[must_use]
    pub fn protected(location: Location) -> Self {
        Self { location, table: None, contract: None }
    }
}

/// How a table of tokens is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its format, where the name does not tell: `csv`, `json` or `parquet`.
    pub format: Option<String>,
    /// The column that holds each kind's tokens; a kind that is not here has a column named as itself.
    pub columns: BTreeMap<KindName, String>,
    /// The environment variable that holds the AES key of an encrypted Parquet file. The key itself is never in the file.
    pub encryption_key_from: Option<String>,
}

/// Who has a public name in a space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The workload.
    Workload,
    /// A participant.
    Participant(ParticipantId),
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Workload => f.pad("the workload"),
            Self::Participant(id) => id.fmt(f),
        }
    }
}

/// A collaboration space, as all its participants agreed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// The file it was read from, if any.
    file: Option<PathBuf>,
    folder: PathBuf,
    parts: Parts,
    /// Present names, for looking up who sent a message.
    parties: BTreeMap<PublicName, Party>,
}

/// Everything that a space file says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    id: SpaceId,
    nonce: [u8; 32],
    workload: PublicName,
    workload_former: Vec<PublicName>,
    stewards: Vec<ParticipantId>,
    /// Sorted by name.
    kinds: Vec<Kind>,
    participants: BTreeMap<ParticipantId, Participant>,
    mailbox: MailboxPlace,
    queue: QueuePlace,
    state: PathBuf,
    outputs: PathBuf,
    policy: Policy,
    analyses: Analyses,
}

/// What is needed to found a space; the rest has its usual value.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The readable name of the space.
    pub id: SpaceId,
    /// The workload's public name.
    pub workload: PublicName,
    /// The data holders with their public names, in order.
    pub holders: Vec<(ParticipantId, PublicName)>,
    /// The data users.
    pub users: Vec<ParticipantId>,
    /// The stewards in order; where none are given, the first two holders.
    pub stewards: Vec<ParticipantId>,
    /// What is matched on.
    pub kinds: Vec<Kind>,
    /// The smallest count that a report shows.
    pub min_count: u64,
    /// The folder that all parties share, for mailbox, datasets and queue; the space file's own where none is given.
    pub shared: Option<PathBuf>,
}

impl Draft {
    /// The dataset that a founded space expects of each holder.
    pub const DATASET: &'static str = "customers";

    /// Begins a draft without participants and identifiers.
    #[must_use]
    pub fn new(id: SpaceId, workload: PublicName) -> Self {
        Self {
            id,
            workload,
            holders: Vec::new(),
            users: Vec::new(),
            stewards: Vec::new(),
            kinds: Vec::new(),
            min_count: 1,
            shared: None,
        }
    }
}

impl Space {
    /// Reads a space file; relative paths in it are taken from its folder.
    ///
    /// # Errors
    /// [`Error::NoFile`], [`Error::Io`], [`Error::TooLarge`], [`Error::NotText`], [`Error::SecretInSpaceFile`],
    /// [`Error::Syntax`], [`Error::Contract`].
    pub fn read(path: &Path) -> Result<Self> {
        let Some(mut file) = durable::open_regular(path)? else {
            return Err(Error::NoFile { what: "space file", path: path.to_owned() });
        };
        let mut bytes = Vec::new();
        durable::read_capped(&mut file, path, "space file", syntax::MAX_BYTES, &mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::NotText { path: path.to_owned() })?;
        let mut space = Self::parse_file(&text, path)?;
        space.file = Some(path.to_owned());
        Ok(space.in_folder(durable::folder_of(path)))
    }

    /// Reads the file again that this space was read from; `None` where it was read from none.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn reread(&self) -> Result<Option<Self>> {
        let Some(file) = &self.file else { return Ok(None) };
        Ok(Some(Self::read(file)?.in_folder(self.folder.clone())))
    }

    /// Parses the text of a space file; relative paths in it are taken from the current folder
    /// (see [`in_folder`](Self::in_folder)).
    ///
    /// # Errors
    /// [`Error::SecretInSpaceFile`], [`Error::Syntax`], [`Error::Contract`].
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_file(text, Path::new("space.yaml"))
    }

    fn parse_file(text: &str, file: &Path) -> Result<Self> {
        if crate::keyfile::holds_secret_key(text) {
            return Err(Error::SecretInSpaceFile { file: file.to_owned() });
        }
        let document = syntax::parse(text).map_err(|found| Error::Syntax {
            file: file.to_owned(),
            line: found.line,
            column: found.column,
            problem: found.problem,
        })?;
        contract::from_document(document)
            .and_then(contract::conclude)
            .map_err(|findings| Error::Contract { file: file.to_owned(), findings })
    }

    /// Founds a new space.
    ///
    /// `nonce` is what makes it unlike every other of the same name: 32 bytes from [`draw_nonce`](Self::draw_nonce).
    ///
    /// # Errors
    /// [`Error::Contract`] where the draft does not hold together.
    pub fn found(draft: Draft, nonce: [u8; 32]) -> Result<Self> {
        contract::from_draft(draft, nonce)
            .and_then(contract::conclude)
            .map_err(|findings| Error::Contract { file: "space.yaml".into(), findings })
    }

    /// Draws the random bytes of a new space.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn draw_nonce() -> Result<[u8; 32]> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(Error::NoRandomness)?;
        Ok(nonce)
    }

    /// Gives the same space with relative paths taken from another folder.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Writes the space as `space.yaml`, with comments for who reads it.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        to_yaml::write(&self.parts)
    }

    /// The root: what all keys and all hashing of this space are bound to.
    #[must_use]
    pub fn root(&self) -> Root {
        let workload = self.parts.workload_former.first();
        let stewards: Vec<_> = self.stewards().filter_map(|(_, steward)| steward.founding_name().cloned()).collect();
        Root::new(&Founding {
            id: &self.parts.id,
            nonce: &self.parts.nonce,
            workload: workload.unwrap_or(&self.parts.workload),
            stewards: &stewards,
            kinds: &self.parts.kinds,
        })
    }

    /// The folder that relative paths are taken from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The readable name of the space.
    #[must_use]
    pub fn id(&self) -> &SpaceId {
        &self.parts.id
    }

    /// The workload's present public name.
    #[must_use]
    pub fn workload(&self) -> &PublicName {
        &self.parts.workload
    }

    /// The names that the workload had before, the founding one first.
    #[must_use]
    pub fn workload_former(&self) -> &[PublicName] {
        &self.parts.workload_former
    }

    /// What is matched on, sorted by name.
    #[must_use]
    pub fn kinds(&self) -> &[Kind] {
        &self.parts.kinds
    }

    /// The kind of a name.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.parts.kinds.iter().find(|kind| kind.name().as_str() == name)
    }

    /// The stewards, in their fixed order.
    pub fn stewards(&self) -> impl Iterator<Item = (&ParticipantId, &Participant)> {
        let participants = &self.parts.participants;
        self.parts.stewards.iter().filter_map(|id| participants.get_key_value(id))
    }

    /// The stewards' present public names, in their fixed order.
    #[must_use]
    pub fn steward_names(&self) -> Vec<PublicName> {
        self.stewards().filter_map(|(_, steward)| steward.name.clone()).collect()
    }

    /// Whether a participant is a steward.
    #[must_use]
    pub fn is_steward(&self, id: &ParticipantId) -> bool {
        self.parts.stewards.contains(id)
    }

    /// All participants, sorted.
    pub fn participants(&self) -> impl Iterator<Item = (&ParticipantId, &Participant)> {
        self.parts.participants.iter()
    }

    /// The participants that bring data, sorted.
    pub fn holders(&self) -> impl Iterator<Item = (&ParticipantId, &Participant)> {
        self.participants().filter(|(_, participant)| participant.is_holder())
    }

    /// The participants that receive the report, sorted.
    pub fn users(&self) -> impl Iterator<Item = (&ParticipantId, &Participant)> {
        self.participants().filter(|(_, participant)| participant.is_user())
    }

    /// Where reports are delivered, resolved: each user with each of its places, sorted by user.
    pub fn deliver_places(&self) -> impl Iterator<Item = (&ParticipantId, DeliverPlace)> {
        self.users().flat_map(move |(id, user)| user.deliver.iter().map(move |place| (id, place.resolve(&self.folder))))
    }

    /// One participant.
    ///
    /// # Errors
    /// [`Error::UnknownParticipant`].
    pub fn participant(&self, id: &ParticipantId) -> Result<&Participant> {
        self.parts.participants.get(id).ok_or_else(|| Error::UnknownParticipant {
            name: id.to_string(),
            known: some(self.parts.participants.keys()),
        })
    }

    /// The party of a present public name; the workload is one too. Former names are nobody's.
    #[must_use]
    pub fn party(&self, name: &PublicName) -> Option<&Party> {
        self.parties.get(name)
    }

    /// The participant of a present public name.
    #[must_use]
    pub fn participant_by_name(&self, name: &PublicName) -> Option<(&ParticipantId, &Participant)> {
        match self.parties.get(name)? {
            Party::Workload => None,
            Party::Participant(id) => self.parts.participants.get_key_value(id),
        }
    }

    /// All parties with their present public names: the workload first, then participants, sorted.
    #[must_use]
    pub fn parties(&self) -> Vec<(Party, &PublicName)> {
        let participants = self.participants().filter_map(|(id, participant)| {
            let name = participant.name.as_ref()?;
            Some((Party::Participant(id.clone()), name))
        });
        std::iter::once((Party::Workload, &self.parts.workload)).chain(participants).collect()
    }

    /// The smallest count that a report may show: of all policies the strictest.
    #[must_use]
    pub fn min_count(&self) -> u64 {
        self.asked_min_counts().max().map_or(1, |(count, _)| count)
    }

    /// The participant whose policy is the strictest; `None` where the space's own is.
    #[must_use]
    pub fn min_count_set_by(&self) -> Option<&ParticipantId> {
        let strictest = self.min_count();
        self.asked_min_counts().find(|(count, _)| *count == strictest).and_then(|(_, id)| id)
    }

    fn asked_min_counts(&self) -> impl Iterator<Item = (u64, Option<&ParticipantId>)> {
        let participants =
            self.participants().filter_map(|(id, participant)| Some((participant.policy.min_count?, Some(id))));
        std::iter::once((self.parts.policy.min_count.unwrap_or(1), None)).chain(participants)
    }

    /// What a report says beside the overlap.
    #[must_use]
    pub fn analyses(&self) -> &Analyses {
        &self.parts.analyses
    }

    /// Where a dataset of a holder lies, resolved.
    ///
    /// # Errors
    /// [`Error::UnknownParticipant`], [`Error::UnknownDataset`].
    pub fn dataset_location(&self, holder: &ParticipantId, dataset: &DatasetId) -> Result<Location> {
        Ok(self.dataset(holder, dataset)?.location.resolve(&self.folder))
    }

    /// A dataset of a holder, its places as the file gives them.
    ///
    /// # Errors
    /// [`Error::UnknownParticipant`], [`Error::UnknownDataset`].
    pub fn dataset(&self, holder: &ParticipantId, dataset: &DatasetId) -> Result<&Dataset> {
        let datasets = &self.participant(holder)?.datasets;
        datasets.get(dataset).ok_or_else(|| Error::UnknownDataset {
            holder: holder.to_string(),
            dataset: dataset.to_string(),
            known: some(datasets.keys()),
        })
    }

    /// Where enrolment messages travel, as the file says; [`Layout`](crate::Layout) resolves it and the next three.
    #[must_use]
    pub fn mailbox(&self) -> &MailboxPlace {
        &self.parts.mailbox
    }

    /// Where events wait, as the file says.
    #[must_use]
    pub fn queue(&self) -> &QueuePlace {
        &self.parts.queue
    }

    /// The workload's own folder, as the file says.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.parts.state
    }

    /// The folder of reports, as the file says.
    #[must_use]
    pub fn outputs(&self) -> &Path {
        &self.parts.outputs
    }
}

/// The first few of many names, for an error.
fn some<T: ToString>(names: impl ExactSizeIterator<Item = T>) -> Vec<String> {
    const SHOWN: usize = 12;
    let left_out = names.len().saturating_sub(SHOWN);
    let mut shown: Vec<_> = names.take(SHOWN).map(|name| name.to_string()).collect();
    if left_out > 0 {
        shown.push(format!("and {left_out} more"));
    }
    shown
}

/// A space to test with: the walkthrough's, with keys of fixed seeds.
#[cfg(test)]
pub(crate) mod example {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::name;

    /// The file, laid out as in the walkthrough.
    pub(crate) fn yaml() -> String {
        let (workload, acme, globex) = (name(1), name(2), name(3));
        let nonce = "9b".repeat(32);
        format!(
            r#"api_version: datafuse/v1
kind: CollaborationSpace
id: retail-2026
nonce: "{nonce}"            # 32 bytes, hex, drawn by `space init`
workload: {workload}
stewards: [acme, globex]        # in order; at least two
identifiers:
  email: {{ profile: email-v1 }}
  # phone: {{ profile: phone-e164-v1, default_region: BE }}
  # person: {{ columns: [ {{name: surname, profile: text-v1}}, {{name: birth_date, profile: exact-v1}} ] }}
participants:
  acme:
    roles: [holder]
    name: {acme}
    datasets:
      customers: {{ location: datasets/acme.parquet }}
  globex:
    roles: [holder]
    name: {globex}
    datasets:
      customers: {{ location: datasets/globex.parquet }}
  insights:
    roles: [user]
    # recipient: age1...        # reports are encrypted to it
mailbox: mailbox
queue: queue                    # or redis://..., rediss://...
state: state
outputs: outputs
policy:
  min_count: 1                  # per participant too, the strictest wins
"#
        )
    }

    /// The space that it describes.
    pub(crate) fn space() -> Space {
        Space::parse(&yaml()).unwrap()
    }
}

#[cfg(test)]
mod tests;
