//! What travels in the `key_metadata` of a protected dataset's footer: who made it for what, and its key, sealed twice.
//!
//! In clear stands what a mismatch must name; all of it is bound as `info` of both sealed parts and signed by the holder. The
//! file key is sealed to the workload's dataset key of the epoch and to the holder itself, so that the holder can open its
//! own file later. Encoding: `[1, root, epoch, holder, dataset, version, [[kind, profile]...], key id, enc, ciphertext, enc,
//! ciphertext, signature]`, deterministic CBOR; first the part for the workload, then the part for the holder.

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    cbor,
    error::{Error, Result},
    id::{DatasetId, Epoch, KindName},
    keys::{Identity, KeyId, PartyKeys},
    kind::{Kind, MAX_PROFILE_BYTES},
    lp::Lp,
    name::PublicName,
    root::Root,
    seal::{ReceiveKey, Sealed, seal},
    token::Token,
};

const VERSION: u64 = 1;
const WHAT: &str = "dataset";

/// What a protected dataset says of itself, in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetHeader {
    /// The space.
    pub root: Root,
    /// The epoch.
    pub epoch: Epoch,
    /// Whose it is.
    pub holder: PublicName,
    /// Which of the holder's datasets.
    pub dataset: DatasetId,
    /// Grows with every version of this dataset.
    pub version: u64,
    /// The identifier kinds it has tokens of, with their profiles, sorted by name.
    pub kinds: Vec<(KindName, String)>,
    /// The token key it was made with.
    pub key_id: KeyId,
}

/// What the workload expects of a dataset at this place.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The space.
    pub root: &'a Root,
    /// The open epoch.
    pub epoch: Epoch,
    /// The holder at whose place in the agreement the file lies.
    pub holder: &'a PublicName,
    /// The dataset at whose place it lies.
    pub dataset: &'a DatasetId,
    /// The kinds of the space.
    pub kinds: &'a [Kind],
    /// The holder's enrolled token key.
    pub key_id: KeyId,
}

impl DatasetHeader {
    /// The kinds of a space in the form of a header.
    #[must_use]
    pub fn kinds_of(kinds: &[Kind]) -> Vec<(KindName, String)> {
        let mut kinds: Vec<_> = kinds.iter().map(|kind| (kind.name().clone(), kind.profile())).collect();
        kinds.sort();
        kinds
    }

    /// Refuses a dataset that is not what is expected, naming both sides of what differs.
    ///
    /// A dataset may bring some of the space's kinds only; a kind that the space does not have is refused.
    ///
    /// # Errors
    /// [`Error::Mismatch`] of root, epoch, holder, dataset, identifier kinds, profile or key id.
    pub fn check(&self, expected: &Expected<'_>) -> Result<()> {
        let same = |field, expected: String, found: String| {
            if expected == found { Ok(()) } else { Err(Error::Mismatch { what: WHAT, field, expected, found }) }
        };
        same("root", expected.root.to_string(), self.root.to_string())?;
        same("epoch", expected.epoch.to_string(), self.epoch.to_string())?;
        // The whole names decide: fingerprints are short enough for two names to share one on purpose.
        if *expected.holder != self.holder {
            let (expected, found) = (expected.holder.fingerprint(), self.holder.fingerprint());
            return Err(Error::Mismatch { what: WHAT, field: "holder", expected, found });
        }
        same("dataset id", expected.dataset.to_string(), self.dataset.to_string())?;
        for (name, profile) in &self.kinds {
            match expected.kinds.iter().find(|kind| kind.name() == name) {
                Some(kind) => same("profile", kind.profile(), profile.clone())?,
                None => {
                    let names: Vec<_> = expected.kinds.iter().map(|kind| kind.name().as_str()).collect();
                    same("identifier kinds", names.join(", "), name.to_string())?;
                }
            }
        }
        same("key id", expected.key_id.to_string(), self.key_id.to_string())
    }

    /// Refuses a version that is not newer than the one already accepted.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub fn check_newer_than(&self, seen: u64) -> Result<()> {
        if self.version > seen {
            Ok(())
        } else {
            Err(Error::StaleVersion { dataset: self.dataset.to_string(), found: self.version, seen })
        }
    }

    fn info(&self, opener: &str) -> Vec<u8> {
        Lp::labelled("datafuse/v1/dataset")
            .field(opener.as_bytes())
            .field(self.root.as_bytes())
            .integer(self.epoch.0)
            .field(&self.holder.to_bytes())
            .field(self.dataset.as_str().as_bytes())
            .integer(self.version)
            .list(self.kinds.iter().map(|(name, profile)| {
                Lp::default().field(name.as_str().as_bytes()).field(profile.as_bytes()).into_bytes()
            }))
            .field(self.key_id.as_bytes())
            .into_bytes()
    }
}

/// What is sealed: the file's key and the holder's canary of the epoch.
pub struct DatasetSecret {
    /// The AES-256 key of the file.
    pub file_key: Zeroizing<[u8; 32]>,
    /// `k_i * H(canary)`.
    pub canary: Token,
}

impl DatasetSecret {
    /// Draws a new file key.
    #[must_use]
    pub fn generate(canary: Token, rng: &mut impl CryptoRng) -> Self {
        let mut file_key = Zeroizing::new([0; 32]);
        rng.fill_bytes(file_key.as_mut());
        Self { file_key, canary }
    }
}

/// The signed and sealed key of a protected dataset.
pub struct DatasetEnvelope {
    header: DatasetHeader,
    to_workload: Sealed,
    to_holder: Sealed,
    signature: [u8; 64],
}

impl DatasetEnvelope {
    /// Seals a dataset's secret to the workload's dataset key and to the holder, and signs it.
    ///
    /// # Errors
    /// [`Error::Unopenable`] where the workload's key cannot be sealed to.
    ///
    /// # Panics
    /// When `holder` is not the header's holder.
    pub fn seal(
        header: DatasetHeader,
        secret: &DatasetSecret,
        dataset_key: &[u8; 32],
        holder: &Identity,
        rng: &mut impl CryptoRng,
    ) -> Result<Self> {
        assert_eq!(header.holder, holder.public_name(), "a holder signs its own datasets");
        let payload = Zeroizing::new(cbor::encode(&SecretForm {
            version: VERSION,
            file_key: *secret.file_key,
            canary: *secret.canary.as_bytes(),
        }));
        let to_workload = seal(WHAT, dataset_key, &header.info(WORKLOAD), &payload, rng)?;
        let to_holder = seal(WHAT, header.holder.receive_key(), &header.info(HOLDER), &payload, rng)?;
        let signature = holder.sign(&signed_bytes(&header, &to_workload, &to_holder));
        Ok(Self { header, to_workload, to_holder, signature })
    }

    /// What the dataset says of itself; verified by opening.
    #[must_use]
    pub fn header(&self) -> &DatasetHeader {
        &self.header
    }

    /// Verifies the signature of the holder that the header names, and opens the workload's part. Whether it should name that
    /// holder is for [`DatasetHeader::check`] to say, first.
    ///
    /// # Errors
    /// [`Error::BadSignature`], [`Error::Unopenable`], [`Error::Malformed`].
    pub fn open_as_workload(&self, dataset_key: &ReceiveKey) -> Result<DatasetSecret> {
        self.open(dataset_key, WORKLOAD, &self.to_workload)
    }

    /// Verifies the holder's signature and opens the holder's own part, of the name that it has or of one that it had.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where it is another holder's; [`Error::BadSignature`], [`Error::Unopenable`], [`Error::Malformed`].
    pub fn open_as_holder(&self, holder: &PartyKeys) -> Result<DatasetSecret> {
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
        self.open(key, HOLDER, &self.to_holder)
    }

    fn open(&self, key: &ReceiveKey, opener: &str, sealed: &Sealed) -> Result<DatasetSecret> {
        let signed = signed_bytes(&self.header, &self.to_workload, &self.to_holder);
        self.header.holder.verify(WHAT, &signed, &self.signature)?;
        let payload = key.open(WHAT, &self.header.info(opener), sealed)?;
        cbor::check_version(&payload, WHAT, VERSION)?;
        let form: SecretForm = cbor::decode(&payload, WHAT)?;
        Ok(DatasetSecret { file_key: Zeroizing::new(form.file_key), canary: Token::from_bytes(form.canary) })
    }

    /// Encodes the envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let header = &self.header;
        cbor::encode(&EnvelopeForm {
            version: VERSION,
            root: *header.root.as_bytes(),
            epoch: header.epoch.0,
            holder: header.holder.to_bytes(),
            dataset: header.dataset.to_string(),
            dataset_version: header.version,
            kinds: header.kinds.iter().map(|(name, profile)| (name.to_string(), profile.clone())).collect(),
            key_id: *header.key_id.as_bytes(),
            workload_enc: self.to_workload.enc,
            workload_ciphertext: self.to_workload.ciphertext.clone(),
            holder_enc: self.to_holder.enc,
            holder_ciphertext: self.to_holder.ciphertext.clone(),
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
        let header = DatasetHeader {
            root: Root::from_bytes(form.root),
            epoch: Epoch(form.epoch),
            holder: PublicName::from_bytes(&form.holder)?,
            dataset: form.dataset.parse()?,
            version: form.dataset_version,
            kinds: form.kinds.into_iter().map(|(name, profile)| Ok((name.parse()?, profile))).collect::<Result<_>>()?,
            key_id: KeyId::from_bytes(form.key_id),
        };
        let sorted = header.kinds.windows(2).all(|pair| pair[0].0 < pair[1].0);
        // A profile is shown in errors before anything is verified.
        if !sorted || !header.kinds.iter().all(|(_, profile)| may_be_profile(profile)) {
            return Err(Error::Malformed { what: WHAT });
        }
        Ok(Self {
            header,
            to_workload: Sealed { enc: form.workload_enc, ciphertext: form.workload_ciphertext },
            to_holder: Sealed { enc: form.holder_enc, ciphertext: form.holder_ciphertext },
            signature: form.signature,
        })
    }
}

/// Whether a text has the characters of profile names, joined by `+`, and a length that several columns may need.
fn may_be_profile(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'+');
    text.len() <= MAX_PROFILE_BYTES && text.bytes().all(allowed)
}

const WORKLOAD: &str = "workload";
const HOLDER: &str = "holder";

fn signed_bytes(header: &DatasetHeader, to_workload: &Sealed, to_holder: &Sealed) -> Vec<u8> {
    let to = |receiver, sealed: &Sealed| sealed.signed_with(&header.info(receiver));
    [to(WORKLOAD, to_workload), to(HOLDER, to_holder)].concat()
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
    #[cbor(n(3), with = "minicbor::bytes")]
    holder: [u8; PublicName::BYTES],
    #[n(4)]
    dataset: String,
    #[n(5)]
    dataset_version: u64,
    #[n(6)]
    kinds: Vec<(String, String)>,
    #[cbor(n(7), with = "minicbor::bytes")]
    key_id: [u8; KeyId::BYTES],
    #[cbor(n(8), with = "minicbor::bytes")]
    workload_enc: [u8; 32],
    #[cbor(n(9), with = "minicbor::bytes")]
    workload_ciphertext: Vec<u8>,
    #[cbor(n(10), with = "minicbor::bytes")]
    holder_enc: [u8; 32],
    #[cbor(n(11), with = "minicbor::bytes")]
    holder_ciphertext: Vec<u8>,
    #[cbor(n(12), with = "minicbor::bytes")]
    signature: [u8; 64],
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct SecretForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    file_key: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    canary: [u8; Token::BYTES],
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;
    use crate::{keys::test_keys, normalize::Profile};

    struct Fixture {
        holder: crate::keys::PartyKeys,
        dataset_key: ReceiveKey,
        kinds: Vec<Kind>,
        envelope: DatasetEnvelope,
        secret: DatasetSecret,
    }

    fn fixture() -> Fixture {
        let (holder, root) = (test_keys(1), Root::from_bytes([1; 32]));
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let dataset_key = ReceiveKey::generate(&mut rng);
        let kinds = vec![Kind::single("email".parse().unwrap(), Profile::EmailV1, None)];
        let canary = holder.token().token_key(&root, Epoch(1)).unwrap().canary(&root, Epoch(1));
        let secret = DatasetSecret::generate(canary, &mut rng);
        let header = DatasetHeader {
            root,
            epoch: Epoch(1),
            holder: holder.identity().public_name(),
            dataset: "customers".parse().unwrap(),
            version: 3,
            kinds: DatasetHeader::kinds_of(&kinds),
            key_id: holder.token().key_id(),
        };
        let envelope =
            DatasetEnvelope::seal(header, &secret, &dataset_key.public(), holder.identity(), &mut rng).unwrap();
        Fixture { holder, dataset_key, kinds, envelope, secret }
    }

    #[test]
    fn opens_for_the_workload_and_for_its_holder_and_nobody_else() {
        let Fixture { holder, dataset_key, envelope, secret, .. } = fixture();
        let again = DatasetEnvelope::decode(&envelope.encode()).unwrap();
        assert_eq!(again.header(), envelope.header());
        assert_eq!(again.open_as_workload(&dataset_key).unwrap().file_key, secret.file_key);
        assert_eq!(again.open_as_holder(&holder).unwrap().canary.as_bytes(), secret.canary.as_bytes());
        assert!(matches!(again.open_as_holder(&test_keys(2)), Err(Error::Mismatch { field: "holder", .. })));
        assert!(matches!(again.open_as_workload(test_keys(2).identity().receive_key()), Err(Error::Unopenable { .. })));
    }

    #[test]
    fn opens_for_its_holder_after_a_change_of_identity() {
        let Fixture { mut holder, envelope, secret, .. } = fixture();
        holder.replace(&mut ChaCha20Rng::seed_from_u64(6));
        assert_eq!(envelope.open_as_holder(&holder).unwrap().file_key, secret.file_key);
        holder.forget_former(false);
        assert!(matches!(envelope.open_as_holder(&holder), Err(Error::Mismatch { field: "holder", .. })));
    }

    #[test]
    fn an_envelope_altered_in_any_byte_is_refused() {
        let Fixture { dataset_key, envelope, .. } = fixture();
        let bytes = envelope.encode();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0x10;
            let opened = DatasetEnvelope::decode(&altered).and_then(|e| e.open_as_workload(&dataset_key));
            assert!(opened.is_err(), "byte {at}");
        }
    }

    #[test]
    fn every_mismatch_names_its_field() {
        let Fixture { holder, kinds, envelope, .. } = fixture();
        let (name, header) = (holder.identity().public_name(), envelope.header());
        let (root, dataset) = (header.root, header.dataset.clone());
        let expected = Expected {
            root: &root,
            epoch: Epoch(1),
            holder: &name,
            dataset: &dataset,
            kinds: &kinds,
            key_id: holder.token().key_id(),
        };
        header.check(&expected).unwrap();

        let field = |expected: &Expected<'_>| match header.check(expected) {
            Err(Error::Mismatch { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let other_name = test_keys(2).identity().public_name();
        let gmail = [Kind::single("email".parse().unwrap(), Profile::EmailGmailV1, None)];
        let phone = [Kind::single("phone".parse().unwrap(), Profile::PhoneE164V1, Some("BE".into()))];
        assert_eq!(field(&Expected { root: &Root::from_bytes([9; 32]), ..expected.clone() }), "root");
        assert_eq!(field(&Expected { epoch: Epoch(2), ..expected.clone() }), "epoch");
        assert_eq!(field(&Expected { holder: &other_name, ..expected.clone() }), "holder");
        assert_eq!(field(&Expected { dataset: &"other".parse().unwrap(), ..expected.clone() }), "dataset id");
        assert_eq!(field(&Expected { kinds: &gmail, ..expected.clone() }), "profile");
        assert_eq!(field(&Expected { kinds: &phone, ..expected.clone() }), "identifier kinds");
        assert_eq!(field(&Expected { key_id: test_keys(2).token().key_id(), ..expected.clone() }), "key id");
        assert!(header.check_newer_than(2).is_ok());
        assert!(matches!(header.check_newer_than(3), Err(Error::StaleVersion { found: 3, seen: 3, .. })));
    }
}
