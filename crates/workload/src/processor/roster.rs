//! The roster against the state: whoever has a new name is succeeded by it, whoever left the agreement is forgotten.
//!
//! In: the agreement's present names, and every name of which the epoch holds something. Out: a state, a fused store and a
//! mailbox without those that are gone. The others do nothing.

use std::collections::BTreeSet;

use datafuse_core::{id::ParticipantId, message::Header, name::PublicName};
use datafuse_space::Space;

use super::{enrol, fuse};
use crate::{audit::Fact, error::Result, state::OpenEpoch, workload::Workload};

/// What the roster's changes led to.
#[derive(Debug, Default)]
pub(super) struct RosterChanges {
    /// Participants with a new name, which took over what the former had.
    pub(super) renamed: Vec<ParticipantId>,
    /// Fingerprints of those that are participants no more.
    pub(super) revoked: Vec<String>,
}

/// Brings the state in line with the agreement.
pub(super) fn reconcile(workload: &mut Workload, open: &OpenEpoch) -> Result<RosterChanges> {
    let present: BTreeSet<PublicName> =
        workload.space().holders().filter_map(|(_, holder)| holder.name.clone()).collect();
    let gone: Vec<_> = workload.state().members(open.epoch)?.difference(&present).cloned().collect();
    let mut changes = RosterChanges::default();
    for name in &gone {
        match successor(workload, name) {
            Some((id, successor)) => {
                tracing::info!(participant = %id, "a participant has a new name: the former one is forgotten");
                workload.state_mut().succeed(open.epoch, name, &successor)?;
                workload.note(&Fact::ParticipantRenamed { participant: &id })?;
                changes.renamed.push(id);
            }
            None => {
                tracing::info!(name = name.fingerprint(), "a participant was removed: what it brought is deleted");
                workload.state_mut().revoke(open.epoch, name)?;
                workload.note(&Fact::ParticipantRemoved { fingerprint: &name.fingerprint() })?;
                changes.revoked.push(name.fingerprint());
            }
        }
    }
    // Noted in the database until it is done, as the process may die in between.
    let departed = workload.state().departed(open.epoch)?;
    if !departed.is_empty() {
        fuse::sweep(workload)?;
        enrol::remove_messages(workload, |header| named(header).any(|name| departed.contains(name)))?;
        workload.state_mut().forget_departed(open.epoch)?;
    }
    Ok(changes)
}

/// Everybody that a message is from, to or about.
pub(super) fn named(header: &Header) -> impl Iterator<Item = &PublicName> {
    [&header.sender, &header.receiver].into_iter().chain(&header.subject)
}

/// Whether a name was the workload's or a participant's before, and is nobody's now.
pub(super) fn is_former(space: &Space, name: &PublicName) -> bool {
    space.workload_former().contains(name) || space.participants().any(|(_, party)| party.former.contains(name))
}

/// The participant that had a name before, with its present one.
fn successor(workload: &Workload, former: &PublicName) -> Option<(ParticipantId, PublicName)> {
    let (id, holder) = workload.space().holders().find(|(_, holder)| holder.former.contains(former))?;
    Some((id.clone(), holder.name.clone()?))
}
