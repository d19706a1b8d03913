//! `INITIALIZE`: opens an epoch. The workload draws two receive keys, `w` and the store key, and announces the public halves.
//!
//! Where an epoch is open, a new one takes its place only if the event says `"new_epoch": true`; then everything that the
//! former left behind is deleted: re-keys, receive keys, `w`, fused files, messages.

use datafuse_core::{match_key::MatchSecret, seal::ReceiveKey};
use rand_core::{Rng, UnwrapErr};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{enrol, fuse};
use crate::{
    audit::Fact,
    error::{Error, Result},
    event::Event,
    outcome::Outcome,
    state::EpochSecrets,
    workload::Workload,
};

/// Opens an epoch; a repetition of the event that opened it only announces it again.
pub(super) fn initialize(workload: &mut Workload, event: &Event) -> Result<Outcome> {
    let new_epoch = match event.body.get("new_epoch") {
        None => false,
        Some(Value::Bool(new_epoch)) => *new_epoch,
        Some(_) => return Err(Error::EventField { field: "new_epoch", expected: "true or false" }),
    };
    let open = workload.state().open_epoch()?;
    let announced = enrol::announced(workload, open.is_none())?.map(|announced| (announced.epoch, announced.serial));
    let opened = match (open, announced) {
        (Some(open), _) if workload.state().has_opened(&event.id)? => open,
        (Some(open), _) if !new_epoch => return Err(Error::EpochOpen { epoch: open.epoch }),
        (None, Some((epoch, _))) if !new_epoch => return Err(Error::EpochAnnounced { epoch }),
        _ => workload.state_mut().begin_epoch(&draw_secrets(), &event.id, announced)?,
    };
    workload.note(&Fact::EpochOpened { epoch: opened.epoch })?;
    fuse::sweep(workload)?;
    enrol::remove_messages(workload, |header| header.epoch < opened.epoch)?;
    enrol::collect(workload)?;
    Ok(Outcome::Opened { epoch: opened.epoch })
}

fn draw_secrets() -> EpochSecrets {
    let mut rng = UnwrapErr(getrandom::SysRng);
    let mut store_key = Zeroizing::new([0; 32]);
    rng.fill_bytes(store_key.as_mut());
    EpochSecrets {
        dataset_key: ReceiveKey::generate(&mut rng),
        message_key: ReceiveKey::generate(&mut rng),
        match_secret: MatchSecret::generate(&mut rng),
        store_key,
    }
}
