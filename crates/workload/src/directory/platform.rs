//! The directory that is the platform: who takes part is what the control plane says, and where a dataset lies what its holder's
//! connector says.
//!
//! The agreement still vouches for public names and says what may be matched:
//!
//! - A collaborator takes part where it is a `DataProvider`, its invitation is `Accepted`, and the agreement has a holder whose
//!   name is its client id in lower case. An accepted one that the agreement lacks is warned of and left out; a holder that has
//!   not accepted does not take part.
//! - A descriptor is the dataset of the agreement that has its id, else its name, both in lower case; where a holder has one
//!   descriptor and one dataset, they are the same. Others are warned of and left out.
//! - Whether a table of tokens may stand in the place of a protected dataset is the agreement's word (`table`).
//!
//! The list is asked for again with each event, but for a short time. It opens no dataset.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use datafuse_core::id::{DatasetId, ParticipantId};
use datafuse_space::{Dataset, Participant, Space};
use serde_json::Value;

use super::{ContractPlace, DatasetPlace, Directory, Holder};
use crate::{
    error::{Error, Result},
    platform::{
        ControlPlane, Environment, PlatformError,
        connector::{ConnectorError, Connectors, DescriptorId},
        control_plane::{Collaborator, Descriptor, Role},
        error::plain,
    },
};

/// How long a list of collaborators counts before it is asked for again.
const KEPT: Duration = Duration::from_secs(5);

/// Takes participants from the control plane and datasets from connectors.
#[derive(Debug)]
pub struct PlatformDirectory {
    control_plane: ControlPlane,
    connectors: Connectors,
    list: Mutex<Option<(Instant, Arc<[Collaborator]>)>>,
}

impl PlatformDirectory {
    /// Takes the places from the environment; `None` where it names no control plane or no space.
    ///
    /// # Errors
    /// [`Error::Platform`] if the token is missing, or the place of the connectors' configuration cannot be one.
    pub fn of(environment: &Environment) -> Result<Option<Self>> {
        let Some(control_plane) = ControlPlane::of(environment)? else { return Ok(None) };
        let connectors = Connectors::of(environment)?;
        Ok(Some(Self { control_plane, connectors, list: Mutex::new(None) }))
    }

    fn collaborators(&self) -> Result<Arc<[Collaborator]>> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, collaborators)) = &*list
            && asked.elapsed() < KEPT
        {
            return Ok(Arc::clone(collaborators));
        }
        let collaborators: Arc<[Collaborator]> = self.control_plane.collaborators()?.into();
        *list = Some((Instant::now(), Arc::clone(&collaborators)));
        Ok(collaborators)
    }

    /// `folder`: what paths in the agreement are relative to.
    fn holder(
        &self,
        folder: &Path,
        id: &ParticipantId,
        participant: &Participant,
        collaborator: &Collaborator,
    ) -> Result<Holder> {
        let name = participant.name.clone().ok_or_else(|| Error::NotAHolder { participant: id.clone() })?;
        let mut datasets = Vec::new();
        for (dataset, (descriptor_id, descriptor)) in matched(id, participant, collaborator)? {
            let Some(described) = participant.datasets.get(&dataset) else { continue };
            let mut place = self.dataset(id, &dataset, described, &descriptor_id, descriptor)?;
            let agreed = described.contract.as_ref().map(|path| ContractPlace::File(folder.join(path)));
            place.contract = place.contract.or(agreed);
            datasets.push(place);
        }
        Ok(Holder { id: id.clone(), name, datasets })
    }

    fn dataset(
        &self,
        holder: &ParticipantId,
        dataset: &DatasetId,
        described: &Dataset,
        descriptor_id: &DescriptorId,
        descriptor: &Descriptor,
    ) -> Result<DatasetPlace> {
        let schema = schema_of(holder, descriptor_id, descriptor)?;
        let models: Vec<&str> = match &schema {
            Some(Value::Object(models)) => models.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        let read = self.connectors.read(descriptor_id, descriptor.connector.as_deref(), &models);
        let connected = read.map_err(|error| match error {
            ConnectorError::Service(error) => error,
            ConnectorError::Problem(problem) => PlatformError::Connector {
                holder: holder.clone(),
                descriptor: descriptor_id.as_str().to_owned(),
                problem,
            },
        })?;
        if connected.parquet_key.is_some() && described.table.is_none() {
            return Err(PlatformError::TableNotAllowed { holder: holder.clone(), dataset: dataset.clone() }.into());
        }
        Ok(DatasetPlace {
            dataset: dataset.clone(),
            source: connected.source,
            format: connected.format,
            parquet_key: connected.parquet_key,
            bucket: connected.bucket,
            table: described.table.clone(),
            contract: schema.map(ContractPlace::Descriptor),
        })
    }
}

impl Directory for PlatformDirectory {
    fn holders(&self, space: &Space) -> Result<Vec<Holder>> {
        self.holders_among(space, None)
    }

    fn holders_among(&self, space: &Space, named: Option<&BTreeSet<ParticipantId>>) -> Result<Vec<Holder>> {
        let collaborators = self.collaborators()?;
        let providers = accepted_providers(space, &collaborators)?;
        let mut holders = Vec::new();
        for (id, participant) in space.holders() {
            if named.is_some_and(|named| !named.contains(id)) {
                continue;
            }
            match providers.get(id) {
                Some(collaborator) => holders.push(self.holder(space.folder(), id, participant, collaborator)?),
                None if named.is_some() => return Err(PlatformError::NotAccepted { holder: id.clone() }.into()),
                None => {
                    tracing::warn!(holder = %id, "a holder of the agreement has not accepted the invitation: it does not take part")
                }
            }
        }
        Ok(holders)
    }
}

/// The collaborators that may take part, under their names in the agreement.
fn accepted_providers<'a>(
    space: &Space,
    collaborators: &'a [Collaborator],
) -> Result<BTreeMap<ParticipantId, &'a Collaborator>> {
    let mut providers = BTreeMap::new();
    let accepted = |collaborator: &&Collaborator| collaborator.accepted && collaborator.role == Role::DataProvider;
    for collaborator in collaborators.iter().filter(accepted) {
        let id = collaborator.client_id.trim().to_ascii_lowercase().parse::<ParticipantId>().ok();
        let id = id.filter(|id| space.participant(id).is_ok_and(Participant::is_holder));
        let Some(id) = id else {
            tracing::warn!(
                client = plain(&collaborator.client_id),
                "a data provider of the platform is no holder of the agreement: it is left out"
            );
            continue;
        };
        if providers.insert(id.clone(), collaborator).is_some() {
            return Err(PlatformError::CollaboratorTwice { participant: id }.into());
        }
    }
    Ok(providers)
}

type Checked<'a> = (DescriptorId, &'a Descriptor);
type Matched<'a> = BTreeMap<DatasetId, Checked<'a>>;

/// Which descriptor is which dataset of the agreement.
fn matched<'a>(id: &ParticipantId, participant: &Participant, collaborator: &'a Collaborator) -> Result<Matched<'a>> {
    let checked = collaborator.descriptors.iter().map(|descriptor| {
        let checked = DescriptorId::parse(&descriptor.id);
        checked.map(|checked| (checked, descriptor)).ok_or_else(|| PlatformError::DescriptorId { holder: id.clone() })
    });
    let mut left: Vec<Checked<'_>> = checked.collect::<Result<_, _>>()?;
    if let (1, 1, Some(dataset)) = (left.len(), participant.datasets.len(), participant.datasets.keys().next()) {
        return Ok(left.into_iter().map(|descriptor| (dataset.clone(), descriptor)).collect());
    }
    let mut matched = Matched::new();
    let rules: [fn(&Checked<'_>) -> String; 2] =
        [|(id, _)| id.as_str().to_ascii_lowercase(), |(_, descriptor)| descriptor.name.trim().to_ascii_lowercase()];
    for rule in rules {
        let mut found = Matched::new();
        let mut others = Vec::new();
        for descriptor in left {
            let dataset = rule(&descriptor).parse::<DatasetId>().ok();
            let dataset = dataset.filter(|dataset| participant.datasets.contains_key(dataset));
            match dataset.filter(|dataset| !matched.contains_key(dataset)) {
                Some(dataset) if found.contains_key(&dataset) => {
                    return Err(PlatformError::DescriptorTwice { holder: id.clone(), dataset }.into());
                }
                Some(dataset) => {
                    found.insert(dataset, descriptor);
                }
                None => others.push(descriptor),
            }
        }
        matched.append(&mut found);
        left = others;
    }
    if matched.is_empty() {
        return Err(PlatformError::NoDescriptor {
            holder: id.clone(),
            datasets: participant.datasets.keys().map(ToString::to_string).collect(),
            descriptors: left.iter().take(20).map(|(id, _)| id.as_str().to_owned()).collect(),
        }
        .into());
    }
    for (descriptor, _) in &left {
        tracing::warn!(
            holder = %id, descriptor = descriptor.as_str(),
            "a data descriptor is none of the holder's datasets in the agreement: it is left out"
        );
    }
    for dataset in participant.datasets.keys().filter(|dataset| !matched.contains_key(dataset)) {
        tracing::warn!(holder = %id, dataset = %dataset, "a dataset of the agreement has no data descriptor: it is left out");
    }
    Ok(matched)
}

/// A descriptor's schema as an object; none where it has none.
fn schema_of(holder: &ParticipantId, id: &DescriptorId, descriptor: &Descriptor) -> Result<Option<Value>> {
    let schema = match &descriptor.schema {
        None => return Ok(None),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(value) => value.clone(),
    };
    match schema.is_object() {
        true => Ok(Some(schema)),
        false => {
            let descriptor = id.as_str().to_owned();
            Err(PlatformError::DescriptorSchema { holder: holder.clone(), descriptor }.into())
        }
    }
}
