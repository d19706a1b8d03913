//! `keys_v1.json`.

use serde::{Deserialize, Serialize};

use super::harness::{Cbor, Hex, bytes, check, party};
use crate::{
    id::Epoch,
    keys::{PartyKeys, TokenSecret},
    name::PublicName,
    root::Root,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    sign_secret: Hex,
    receive_secret: Hex,
    token: TokenForm,
    share_secret: Hex,
    former: Vec<TokenForm>,
    former_shares: Vec<Hex>,
    former_identities: Vec<IdentityForm>,
    body: Hex,
    public_name: Option<PublicName>,
    derived: Vec<Derived>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenForm {
    key_id: Hex,
    secret: Hex,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityForm {
    verify_key: Hex,
    receive_secret: Hex,
    public_name: PublicName,
}

/// What follows from the keys for a root, an epoch and a holder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Derived {
    root: Hex,
    epoch: u64,
    holder: PublicName,
    token_key: Hex,
    former_token_keys: Vec<Hex>,
    share: Hex,
    blind: Hex,
    state_key: Hex,
}

impl Derived {
    fn complete(mut self, keys: &PartyKeys) -> Self {
        let (root, epoch) = (Root::from_bytes(self.root.array()), Epoch(self.epoch));
        self.token_key = token_key(keys.token(), &root, epoch);
        self.former_token_keys = keys.former_tokens().iter().map(|secret| token_key(secret, &root, epoch)).collect();
        self.share = keys.share().share(&root, epoch).unwrap().to_bytes().into();
        self.blind = keys.share().blind(&root, epoch, &self.holder).unwrap().to_bytes().into();
        self.state_key = keys.token().state_key(&root).as_bytes().into();
        self
    }
}

fn token_key(secret: &TokenSecret, root: &Root, epoch: Epoch) -> Hex {
    secret.token_key(root, epoch).unwrap().0.to_bytes().into()
}

#[test]
fn keys_are_those_of_the_vectors() {
    let token = |label: &str| TokenForm {
        key_id: bytes::<16>(label).into(),
        secret: bytes::<32>(&format!("{label} secret")).into(),
    };
    let derived = |root: &str, epoch, holder| Derived {
        root: bytes::<32>(root).into(),
        epoch,
        holder: party(holder).identity().public_name(),
        token_key: Hex::default(),
        former_token_keys: vec![],
        share: Hex::default(),
        blind: Hex::default(),
        state_key: Hex::default(),
    };
    let vector = |note: &str, former: &[&str]| Vector {
        note: note.to_owned(),
        sign_secret: bytes::<32>(&format!("{note} sign")).into(),
        receive_secret: bytes::<32>(&format!("{note} receive")).into(),
        token: token(note),
        share_secret: bytes::<32>(&format!("{note} share")).into(),
        former: former.iter().map(|label| token(label)).collect(),
        former_shares: vec![],
        former_identities: vec![],
        body: Hex::default(),
        public_name: None,
        derived: vec![
            derived("root", 1, 1),
            derived("root", 1, 2),
            derived("root", 2, 1),
            derived("other root", 1, 1),
            derived("root", u64::MAX, 1),
        ],
    };
    let ones = Vector {
        sign_secret: vec![0xff; 32].into(),
        receive_secret: vec![0xff; 32].into(),
        token: TokenForm { key_id: vec![0xff; 16].into(), secret: vec![0xff; 32].into() },
        share_secret: vec![0xff; 32].into(),
        ..vector("all bits set", &[])
    };
    let identity = |number| {
        let keys = party(number);
        let name = keys.identity().public_name();
        IdentityForm {
            verify_key: name.to_bytes()[1..33].into(),
            receive_secret: keys.identity().receive_key().as_bytes().into(),
            public_name: name,
        }
    };
    let replaced = Vector {
        former_shares: vec![bytes::<32>("the share before").into(), bytes::<32>("the first share").into()],
        former_identities: vec![identity(2), identity(3)],
        ..vector("after two replacements", &["the one before", "the first"])
    };
    let vectors = vec![
        vector("a new key file", &[]),
        vector("after two rotations", &["the one before", "the first"]),
        replaced,
        ones,
    ];
    let about = "Key files and what is derived of them. body: [1, sign, receive, [key id, secret], share, [[key id, secret]...], \
                 [share...], [[verify, receive]...]], of the last three those that were replaced, newest first; \
                 token_key, share and blind: HKDF-SHA-512, 64 bytes little-endian, mod l; state_key: HKDF-SHA-512, 32 bytes.";
    check("keys_v1.json", about, vectors, |mut vector| {
        let token = |cbor: Cbor, form: &TokenForm| cbor.array(2).bytes(&form.key_id.0).bytes(&form.secret.0);
        let body = Cbor::default().array(8).uint(1).bytes(&vector.sign_secret.0).bytes(&vector.receive_secret.0);
        let body = token(body, &vector.token).bytes(&vector.share_secret.0).array(vector.former.len());
        let body = vector.former.iter().fold(body, token).array(vector.former_shares.len());
        let body = vector.former_shares.iter().fold(body, |cbor, share| cbor.bytes(&share.0));
        let identity =
            |cbor: Cbor, form: &IdentityForm| cbor.array(2).bytes(&form.verify_key.0).bytes(&form.receive_secret.0);
        let body = body.array(vector.former_identities.len());
        let body = vector.former_identities.iter().fold(body, identity).end();
        let keys = PartyKeys::decode(&body.0).unwrap();
        assert_eq!(keys.encode().as_slice(), body.0);
        vector.body = body;
        vector.public_name = Some(keys.identity().public_name());
        for (form, former) in vector.former_identities.iter().zip(keys.former_identities()) {
            assert_eq!(form.public_name, former.public_name());
        }
        vector.derived = vector.derived.into_iter().map(|derived| derived.complete(&keys)).collect();
        vector
    });
}
