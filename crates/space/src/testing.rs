//! Keys and names for this crate's tests: the same seed, the same keys.

use datafuse_core::{keys::PartyKeys, name::PublicName};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

pub(crate) fn keys(seed: u64) -> PartyKeys {
    PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

pub(crate) fn name(seed: u64) -> PublicName {
    keys(seed).identity().public_name()
}
