//! `INITIALIZE`: opens the epoch. The workload draws two receive keys, `w` and the store key, and announces the public halves.

use datafuse_core::{match_key::MatchSecret, seal::ReceiveKey};
use rand_core::{Rng, UnwrapErr};
use zeroize::Zeroizing;

use super::enrol;
use crate::{
    error::{Error, Result},
    event::Event,
    outcome::Outcome,
    state::EpochSecrets,
    workload::Workload,
};

/// Opens the first epoch; a repetition of the event that opened it only announces it again.
pub(super) fn initialize(workload: &mut Workload, event: &Event) -> Result<Outcome> {
    let open = workload.state().open_epoch()?;
    let epoch = match open {
        Some(open) if open.opened_by == event.id => open.epoch,
        Some(open) => return Err(Error::EpochOpen { epoch: open.epoch }),
        None => {
            let mut rng = UnwrapErr(getrandom::SysRng);
            let mut store_key = Zeroizing::new([0; 32]);
            rng.fill_bytes(store_key.as_mut());
            let secrets = EpochSecrets {
                dataset_key: ReceiveKey::generate(&mut rng),
                message_key: ReceiveKey::generate(&mut rng),
                match_secret: MatchSecret::generate(&mut rng),
                store_key,
            };
            workload.state_mut().begin_epoch(&secrets, &event.id)?.epoch
        }
    };
    enrol::collect(workload)?;
    Ok(Outcome::Opened { epoch })
}
