//! `rotation_v1.json`, `rotation_v1_bad_payloads.json`.

use serde::{Deserialize, Serialize};

use super::{
    harness::{Cbor, Hex, bytes, check, refusal},
    token::scalar,
};
use crate::{
    fused::{ReKey, nonzero_scalar},
    keys::TokenKey,
    rotation::{Retokenizer, Rotation},
    token::Token,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    token_key: Hex,
    next_token_key: Hex,
    payload: Hex,
    re_key: Hex,
    next_re_key: Hex,
    token: Hex,
    next_token: Hex,
}

#[test]
fn rotations_are_those_of_the_vectors() {
    let vector = |note: &str, from: &str, to: &str| Vector {
        note: note.to_owned(),
        token_key: scalar(from),
        next_token_key: scalar(to),
        payload: Hex::default(),
        re_key: scalar("re-key"),
        next_re_key: Hex::default(),
        token: datafuse_group::encode(&datafuse_group::hash_to_group(crate::DST, &[b"token"]))[0].into(),
        next_token: Hex::default(),
    };
    let vectors = vec![
        vector("from one key to the next", "k 1", "k 2"),
        vector("and back", "k 2", "k 1"),
        vector("to the same key: nothing changes", "k 1", "k 1"),
    ];
    let about = "Rotation of a token key k to k'. payload: [1, u] with u = k / k'; next_re_key: re_key * u; next_token: \
                 k' / k times the token.";
    check("rotation_v1.json", about, vectors, |mut vector| {
        let key = |hex: &Hex| TokenKey(nonzero_scalar(&hex.array(), "scalar").unwrap());
        let (from, to) = (key(&vector.token_key), key(&vector.next_token_key));
        vector.payload = Rotation::new(&from, &to).encode().as_slice().into();
        let rotation = Rotation::decode(&vector.payload.0).unwrap();
        let next = ReKey::from_bytes(&vector.re_key.array()).unwrap().rotate(&rotation);
        vector.next_re_key = next.to_bytes().as_slice().into();
        let token = Token::from_bytes(vector.token.array());
        vector.next_token = Retokenizer::new(&from, &to).retokenize(&[token]).unwrap()[0].as_bytes().into();
        vector
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    payload: Hex,
    error: String,
}

#[test]
fn bad_rotations_are_refused() {
    let payload = |u: &[u8]| Cbor::default().array(2).uint(1).bytes(u).end();
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut u = bytes::<32>("u");
    u[31] &= 0x0f;
    assert!(Rotation::decode(&payload(&u).0).is_ok());
    let bad = |note: &str, payload: Hex| Bad { note: note.to_owned(), payload, error: String::new() };
    let vectors = vec![
        bad("empty", Hex::default()),
        bad("zero", payload(&[0; 32])),
        bad("the order, which is zero in another form", payload(&order)),
        bad("far above the order", payload(&[0xff; 32])),
        bad("31 bytes", payload(&u[..31])),
        bad("version 2", Cbor::default().array(2).uint(2).bytes(u).end()),
        bad("a byte left over", [payload(&u).0.as_slice(), &[0]].concat().into()),
        bad("the last byte missing", payload(&u).0[..35].into()),
    ];
    check("rotation_v1_bad_payloads.json", "Payloads of rotations that are refused.", vectors, |mut bad| {
        bad.error = refusal(Rotation::decode(&bad.payload.0));
        bad
    });
}
