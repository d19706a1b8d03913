//! What travels in the `key_metadata` of a list's footer: for whom it was made and of what, and its key, sealed to that holder.
//!
//! A list tells a holder which of its rows other holders have too. In clear stands what a mismatch must name; all of it is bound as
//! `info` of the sealed part and signed by the workload. Encoding: `[1, root, epoch, event, workload, holder, join, kind, [with...],
//! enc, ciphertext, signature]`, deterministic CBOR, sealed `[1, file key]`. What the list says is in the file, not here.

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    cbor,
    error::{Error, Result},
    id::{Epoch, EventId, KindName, ParticipantId},
    keys::{Identity, PartyKeys},
    lp::Lp,
    name::PublicName,
    root::Root,
    seal::{Sealed, seal},
};

const VERSION: u64 = 1;
const WHAT: &str = "list";
const MAX_WITH: usize = 1 << 16;

/// Which of its rows a holder receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// Those whose identifier every other holder of the list has too.
    Inner,
    /// All with an identifier, each with the number of other holders of the list that have it too.
    Left,
    /// Those whose identifier none of the other holders of the list has.
    Difference,
}

impl Join {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Inner, Self::Left, Self::Difference];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inner => "inner",
            Self::Left => "left",
            Self::Difference => "difference",
        }
    }
}

impl std::fmt::Display for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a list says of itself, in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListHeader {
    /// The space.
    pub root: Root,
    /// The epoch.
    pub epoch: Epoch,
    /// The event that it was made for.
    pub event: EventId,
    /// Who made it, and signs.
    pub workload: PublicName,
    /// Who can open it.
    pub holder: PublicName,
    /// Which rows are in it.
    pub join: Join,
    /// The identifier kind that they are matched by.
    pub kind: KindName,
    /// The other holders that they are matched with, sorted by name.
    pub with: Vec<ParticipantId>,
}

impl ListHeader {
    /// Refuses a list of another space.
    ///
    /// # Errors
    /// [`Error::Mismatch`] of the root.
    pub fn check_root(&self, root: &Root) -> Result<()> {
        if self.root == *root {
            return Ok(());
        }
        let (expected, found) = (root.to_string(), self.root.to_string());
        Err(Error::Mismatch { what: WHAT, field: "root", expected, found })
    }

    fn info(&self) -> Vec<u8> {
        Lp::labelled("datafuse/v1/list")
            .field(self.root.as_bytes())
            .integer(self.epoch.0)
            .field(self.event.as_str().as_bytes())
            .field(&self.workload.to_bytes())
            .field(&self.holder.to_bytes())
            .field(self.join.as_str().as_bytes())
            .field(self.kind.as_str().as_bytes())
            .list(self.with.iter().map(|holder| holder.as_str().as_bytes()))
            .into_bytes()
    }
}

/// The signed and sealed key of a list.
pub struct ListEnvelope {
    header: ListHeader,
    sealed: Sealed,
    signature: [u8; 64],
}

impl ListEnvelope {
    /// Seals the key of a list's file to its holder, and signs it.
    ///
    /// # Errors
    /// [`Error::Unopenable`] where the holder's key cannot be sealed to.
    ///
    /// # Panics
    /// When `workload` is not the header's workload.
    pub fn seal(
        header: ListHeader,
        file_key: &[u8; 32],
        workload: &Identity,
        rng: &mut impl CryptoRng,
    ) -> Result<Self> {
        assert_eq!(header.workload, workload.public_name(), "a workload signs its own lists");
        let payload = Zeroizing::new(cbor::encode(&KeyForm { version: VERSION, file_key: *file_key }));
        let info = header.info();
        let sealed = seal(WHAT, header.holder.receive_key(), &info, &payload, rng)?;
        let signature = workload.sign(&sealed.signed_with(&info));
        Ok(Self { header, sealed, signature })
    }

    /// What the list says of itself; not yet verified.
    #[must_use]
    pub fn header(&self) -> &ListHeader {
        &self.header
    }

    /// Verifies that one of these workloads made the list.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where it names another workload; [`Error::BadSignature`].
    pub fn verify(&self, workloads: &[PublicName]) -> Result<()> {
        if !workloads.contains(&self.header.workload) {
            let expected = workloads.iter().map(PublicName::fingerprint).collect::<Vec<_>>().join(" or ");
            let found = self.header.workload.fingerprint();
            return Err(Error::Mismatch { what: WHAT, field: "workload", expected, found });
        }
        self.header.workload.verify(WHAT, &self.sealed.signed_with(&self.header.info()), &self.signature)
    }

    /// Opens the file's key as the holder, under the name that it has or one that it had. Verify first.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where it is another holder's; [`Error::Unopenable`], [`Error::UnknownVersion`], [`Error::Malformed`].
    pub fn open(&self, holder: &PartyKeys) -> Result<Zeroizing<[u8; 32]>> {
        let name = holder.identity().public_name();
        let former = holder.former_identities().iter().find(|former| former.public_name() == self.header.holder);
        let key = match former {
            _ if self.header.holder == name => holder.identity().receive_key(),
            Some(former) => former.receive_key(),
            None => {
                let (expected, found) = (name.fingerprint(), self.header.holder.fingerprint());
                return Err(Error::Mismatch { what: WHAT, field: "holder", expected, found });
            }
        };
        let payload = key.open(WHAT, &self.header.info(), &self.sealed)?;
        cbor::check_version(&payload, WHAT, VERSION)?;
        let form: KeyForm = cbor::decode(&payload, WHAT)?;
        Ok(Zeroizing::new(form.file_key))
    }

    /// Encodes the envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let header = &self.header;
        cbor::encode(&EnvelopeForm {
            version: VERSION,
            root: *header.root.as_bytes(),
            epoch: header.epoch.0,
            event: header.event.to_string(),
            workload: header.workload.to_bytes(),
            holder: header.holder.to_bytes(),
            join: header.join.as_str().to_owned(),
            kind: header.kind.to_string(),
            with: header.with.iter().map(ToString::to_string).collect(),
            enc: self.sealed.enc,
            ciphertext: self.sealed.ciphertext.clone(),
            signature: self.signature,
        })
    }

    /// Decodes an envelope; nothing in it is verified yet.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::InvalidPublicName`], [`Error::InvalidId`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, WHAT, VERSION)?;
        let form: EnvelopeForm = cbor::decode(bytes, WHAT)?;
        let join = Join::ALL.into_iter().find(|join| join.as_str() == form.join);
        let with = form.with.iter().map(|holder| holder.parse()).collect::<Result<Vec<ParticipantId>>>()?;
        let in_order = with.windows(2).all(|pair| pair[0] < pair[1]) && (1..=MAX_WITH).contains(&with.len());
        let join = join.filter(|_| in_order).ok_or(Error::Malformed { what: WHAT })?;
        let header = ListHeader {
            root: Root::from_bytes(form.root),
            epoch: Epoch(form.epoch),
            event: form.event.parse()?,
            workload: PublicName::from_bytes(&form.workload)?,
            holder: PublicName::from_bytes(&form.holder)?,
            join,
            kind: form.kind.parse()?,
            with,
        };
        Ok(Self { header, sealed: Sealed { enc: form.enc, ciphertext: form.ciphertext }, signature: form.signature })
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct EnvelopeForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    root: [u8; 32],
    #[n(2)]
    epoch: u64,
    #[n(3)]
    event: String,
    #[cbor(n(4), with = "minicbor::bytes")]
    workload: [u8; PublicName::BYTES],
    #[cbor(n(5), with = "minicbor::bytes")]
    holder: [u8; PublicName::BYTES],
    #[n(6)]
    join: String,
    #[n(7)]
    kind: String,
    #[n(8)]
    with: Vec<String>,
    #[cbor(n(9), with = "minicbor::bytes")]
    enc: [u8; 32],
    #[cbor(n(10), with = "minicbor::bytes")]
    ciphertext: Vec<u8>,
    #[cbor(n(11), with = "minicbor::bytes")]
    signature: [u8; 64],
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct KeyForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    file_key: [u8; 32],
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;
    use crate::keys::test_keys;

    const KEY: [u8; 32] = [7; 32];

    fn envelope() -> ListEnvelope {
        let (workload, holder) = (test_keys(1), test_keys(2));
        let header = ListHeader {
            root: Root::from_bytes([1; 32]),
            epoch: Epoch(3),
            event: "01J8ZQ4X7M6V9K3T2N1B0C5D7E".parse().unwrap(),
            workload: workload.identity().public_name(),
            holder: holder.identity().public_name(),
            join: Join::Inner,
            kind: "email".parse().unwrap(),
            with: vec!["globex".parse().unwrap(), "initech".parse().unwrap()],
        };
        ListEnvelope::seal(header, &KEY, workload.identity(), &mut ChaCha20Rng::seed_from_u64(5)).unwrap()
    }

    #[test]
    fn opens_for_its_holder_and_nobody_else() {
        let names = [test_keys(9), test_keys(1)].map(|keys| keys.identity().public_name());
        let again = ListEnvelope::decode(&envelope().encode()).unwrap();
        assert_eq!(again.header(), envelope().header());
        again.verify(&names).unwrap();
        assert_eq!(*again.open(&test_keys(2)).unwrap(), KEY);
        assert!(matches!(again.open(&test_keys(1)), Err(Error::Mismatch { field: "holder", .. })));
        assert!(matches!(again.verify(&names[..1]), Err(Error::Mismatch { field: "workload", .. })));
        again.header().check_root(&Root::from_bytes([1; 32])).unwrap();
        let other = again.header().check_root(&Root::from_bytes([2; 32]));
        assert!(matches!(other, Err(Error::Mismatch { field: "root", .. })));
    }

    #[test]
    fn nothing_can_be_changed() {
        let names = [test_keys(1).identity().public_name()];
        let opens = |bytes: &[u8]| {
            let envelope = ListEnvelope::decode(bytes)?;
            envelope.verify(&names)?;
            envelope.open(&test_keys(2)).map(drop)
        };
        let good = envelope().encode();
        opens(&good).unwrap();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            assert!(opens(&bytes).is_err(), "byte {at}");
        }
        // The workload itself could put another holder's name to a sealed part: it does not open under that.
        let mut moved = envelope();
        moved.header.join = Join::Difference;
        moved.signature = test_keys(1).identity().sign(&moved.sealed.signed_with(&moved.header.info()));
        moved.verify(&names).unwrap();
        assert!(matches!(moved.open(&test_keys(2)), Err(Error::Unopenable { .. })));
    }
}
