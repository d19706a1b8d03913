//! What everybody knows of a space: root, names, kinds, and the constants that a careless scheme might take for a salt.

use std::collections::BTreeMap;

use datafuse_core::id::ParticipantId;
use datafuse_space::{Party, Space};

use super::search;

/// The public side of a space.
pub struct Scene {
    pub(crate) root: [u8; 32],
    /// The names that each steward has or had, in the order of the stewards.
    pub(crate) stewards: Vec<Vec<Vec<u8>>>,
    /// The names that each holder has or had.
    pub(crate) holders: BTreeMap<ParticipantId, Vec<Vec<u8>>>,
    /// Bytes that are no secret and might have been used like one.
    pub(crate) constants: Vec<Vec<u8>>,
}

impl Scene {
    /// Takes it from the agreement.
    #[must_use]
    pub fn of(space: &Space) -> Self {
        let names = |party: &ParticipantId| -> Vec<Vec<u8>> {
            space.participant(party).map_or_else(
                |_| Vec::new(),
                |participant| {
                    participant.name.iter().chain(&participant.former).map(|name| name.to_bytes().to_vec()).collect()
                },
            )
        };
        let root = *space.root().as_bytes();
        let mut constants = vec![root.to_vec(), space.id().to_string().into_bytes(), Vec::new()];
        constants.extend(search::decoded_runs(space.to_yaml().as_bytes()).into_iter().filter(|run| run.len() == 32));
        constants.extend(
            space
                .parties()
                .iter()
                .filter(|(party, _)| *party == Party::Workload)
                .map(|(_, name)| name.to_bytes().to_vec()),
        );
        Self {
            root,
            stewards: space.stewards().map(|(id, _)| names(id)).collect(),
            holders: space.holders().map(|(id, _)| (id.clone(), names(id))).collect(),
            constants,
        }
    }

    /// Another scheme, in which these holders match in a way of its own.
    #[must_use]
    pub fn of_another_scheme(holders: impl IntoIterator<Item = ParticipantId>) -> Self {
        Self {
            root: [0; 32],
            stewards: Vec::new(),
            holders: holders.into_iter().map(|holder| (holder, Vec::new())).collect(),
            constants: vec![Vec::new()],
        }
    }

    pub(crate) fn holder_of(&self, name: &[u8]) -> Option<&ParticipantId> {
        self.holders.iter().find(|(_, names)| names.iter().any(|known| known == name)).map(|(id, _)| id)
    }

    pub(crate) fn steward_of(&self, name: &[u8]) -> Option<usize> {
        self.stewards.iter().position(|names| names.iter().any(|known| known == name))
    }
}
