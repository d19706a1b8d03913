//! The control plane: who takes part in a space, with which data descriptors, and the space's public key.
//!
//! In: `GET {DV_URL}/collaborationSpaces/{DV_APP_ID}/collaborators` and `.../publicKey`, with the bearer token. Out:
//! [`Collaborator`]s as far as DataFuse needs them. Fields that are not known are ignored, as are fields that are null; what
//! is known has to be of its type.
//!
//! What a collaborator is in the agreement is not decided here.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Environment, Patience,
    client::Client,
    error::{PlatformError, Service},
};

/// The most that is read of the list of collaborators.
pub const MAX_LIST_BYTES: usize = 8 << 20;
/// The most collaborators, and descriptors of each.
const MAX_ENTRIES: usize = 10_000;
/// The most that is read of a public key.
const MAX_KEY_BYTES: usize = 64 << 10;

/// What a collaborator does in a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Brings data.
    DataProvider,
    /// Receives what comes out.
    DataConsumer,
    /// Brings the program.
    CodeProvider,
    /// Something that this program does not know.
    Other,
}

/// One collaborator of a space.
#[derive(Clone, Debug, PartialEq)]
pub struct Collaborator {
    /// Its id on the platform.
    pub client_id: String,
    /// What it does.
    pub role: Role,
    /// Whether it has accepted the invitation.
    pub accepted: bool,
    /// What it says about its data.
    pub descriptors: Vec<Descriptor>,
}

/// What a data provider says about one of its datasets.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// Its id on the platform; anything at all.
    pub id: String,
    /// Its readable name; anything at all.
    pub name: String,
    /// Its data contract: an object, or the JSON text of one. None where there is none.
    pub schema: Option<Value>,
    /// The kind of its connector.
    pub connector: Option<String>,
}

/// The control plane, for one space.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    client: Client,
    space: String,
}

impl ControlPlane {
    /// Takes address, token and space from the environment; `None` where it names no control plane or no space.
    ///
    /// # Errors
    /// [`PlatformError::NotSet`] if there is no token.
    pub fn of(environment: &Environment) -> Result<Option<Self>, PlatformError> {
        let (Some(space), Some(base)) = (&environment.app_id, &environment.control_plane) else { return Ok(None) };
        let token = environment.token.clone().ok_or(PlatformError::NotSet {
            name: "DV_TOKEN",
            needed_for: "the control plane (DV_URL) asks for a token",
        })?;
        let client = Client::new(Service::ControlPlane, base.clone()).with_bearer(token);
        Ok(Some(Self { client, space: space.trim().to_owned() }))
    }

    /// Waits so long and no longer.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { client: self.client.with_patience(patience), ..self }
    }

    /// Its address, without credentials.
    #[must_use]
    pub fn place(&self) -> String {
        self.client.place()
    }

    /// Asks who takes part.
    ///
    /// # Errors
    /// [`PlatformError::Service`].
    pub fn collaborators(&self) -> Result<Vec<Collaborator>, PlatformError> {
        let answer = self.client.get(&["collaborationSpaces", &self.space, "collaborators"], MAX_LIST_BYTES)?;
        let list: Vec<RawCollaborator> = serde_json::from_slice(&answer.bytes)
            .map_err(|_| self.client.odd("is not a JSON list of collaborators as documented"))?;
        if list.len() > MAX_ENTRIES || list.iter().any(|entry| entry.descriptors().len() > MAX_ENTRIES) {
            return Err(self.client.odd("lists more than 10000 collaborators or descriptors"));
        }
        // Somebody invited by mail has no id before it accepts.
        Ok(list.into_iter().filter_map(RawCollaborator::checked).collect())
    }

    /// Asks for the space's public key, as the control plane gives it: PEM, or a JSON document.
    ///
    /// # Errors
    /// [`PlatformError::Service`].
    pub fn public_key(&self) -> Result<String, PlatformError> {
        let answer = self.client.get(&["collaborationSpaces", &self.space, "publicKey"], MAX_KEY_BYTES)?;
        let text = std::str::from_utf8(&answer.bytes).map_err(|_| self.client.odd("is not a text"))?;
        // A text may come as a JSON string.
        let text = match answer.is_json {
            true => serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned()),
            false => text.to_owned(),
        };
        match text.trim() {
            "" | "null" => Err(self.client.odd("holds no public key")),
            key => Ok(key.to_owned()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCollaborator {
    client_id: Option<String>,
    role: Option<String>,
    invite: Option<RawInvite>,
    data_descriptors: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
struct RawInvite {
    status: Option<String>,
}

#[derive(Deserialize)]
struct RawDescriptor {
    id: Option<RawId>,
    name: Option<String>,
    schema: Option<Value>,
    settings: Option<RawSettings>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawId {
    Text(String),
    Number(u64),
}

#[derive(Deserialize)]
struct RawSettings {
    connector: Option<String>,
}

impl RawCollaborator {
    fn descriptors(&self) -> &[RawDescriptor] {
        self.data_descriptors.as_deref().unwrap_or_default()
    }

    fn checked(self) -> Option<Collaborator> {
        let role = match self.role.as_deref() {
            Some("DataProvider") => Role::DataProvider,
            Some("DataConsumer") => Role::DataConsumer,
            Some("CodeProvider") => Role::CodeProvider,
            _ => Role::Other,
        };
        let accepted = self.invite.and_then(|invite| invite.status).is_some_and(|status| status == "Accepted");
        let descriptors = self.data_descriptors.unwrap_or_default().into_iter().map(RawDescriptor::checked);
        Some(Collaborator { client_id: self.client_id?, role, accepted, descriptors: descriptors.collect() })
    }
}

impl RawDescriptor {
    fn checked(self) -> Descriptor {
        let id = match self.id {
            Some(RawId::Text(id)) => id,
            Some(RawId::Number(id)) => id.to_string(),
            None => String::new(),
        };
        let is_empty = |schema: &Value| schema.is_null() || schema.as_str().is_some_and(|text| text.trim().is_empty());
        Descriptor {
            id,
            name: self.name.unwrap_or_default(),
            schema: self.schema.filter(|schema| !is_empty(schema)),
            connector: self.settings.and_then(|settings| settings.connector),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Vec<Collaborator> {
        let list: Vec<RawCollaborator> = serde_json::from_value(value).unwrap();
        list.into_iter().filter_map(RawCollaborator::checked).collect()
    }

    #[test]
    fn only_accepted_is_accepted_and_unknown_fields_say_nothing() {
        let status =
            |status: Value| json!({ "clientId": "acme", "role": "DataProvider", "invite": status, "more": [1, {}] });
        let list = read(json!([
            status(json!({ "status": "Accepted", "by": "x" })),
            status(json!({ "status": "Pending" })),
            status(json!({ "status": "accepted" })),
            status(json!({ "status": null })),
            status(Value::Null),
            { "clientId": "acme" },
            { "role": "DataProvider", "invite": { "status": "Accepted" } },
        ]));
        let accepted: Vec<_> = list.iter().map(|collaborator| collaborator.accepted).collect();
        assert_eq!(accepted, [true, false, false, false, false, false]);
        assert_eq!(list[5].role, Role::Other);
    }

    #[test]
    fn descriptors_may_lack_everything() {
        let list = read(json!([{
            "clientId": "acme",
            "dataDescriptors": [
                { "id": "d1", "name": "Customers", "schema": "{}", "settings": { "connector": "S3", "more": 1 }, "kind": "Custom" },
                { "id": 7, "schema": "" },
                { "id": null, "name": null, "schema": null, "settings": null },
            ],
        }]));
        let [first, second, third] = &list[0].descriptors[..] else { panic!("three descriptors") };
        assert_eq!((first.id.as_str(), first.connector.as_deref()), ("d1", Some("S3")));
        assert_eq!(first.schema, Some(json!("{}")));
        assert_eq!((second.id.as_str(), &second.schema), ("7", &None));
        assert_eq!((third.id.as_str(), third.name.as_str(), &third.connector), ("", "", &None));
    }
}
