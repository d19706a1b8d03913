//! `fused_v1.json`, `fused_v1_bad_re_keys.json`.

use datafuse_group as group;
use serde::{Deserialize, Serialize};

use super::{
    harness::{Hex, bytes, check, refusal},
    token::scalar,
};
use crate::{
    DST,
    fused::{ReKey, nonzero_scalar},
    match_key::MatchSecret,
    token::Token,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    re_key: Hex,
    token: Hex,
    fused: Hex,
    match_secret: Hex,
    match_key: Hex,
}

#[test]
fn fused_tokens_are_those_of_the_vectors() {
    let one = || {
        let mut one = [0; 32];
        one[0] = 1;
        Hex::from(one)
    };
    let largest = "ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let token = |message: &[u8]| Hex::from(group::encode(&group::hash_to_group(DST, &[message]))[0]);
    let generator = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76";
    let vector = |note: &str| Vector {
        note: note.to_owned(),
        re_key: scalar("re-key"),
        token: token(b"token"),
        fused: Hex::default(),
        match_secret: bytes::<32>("match secret").into(),
        match_key: Hex::default(),
    };
    // K and two token keys: what two holders' tokens of one identifier have in common.
    let [k, k_1, k_2] = ["K", "k 1", "k 2"].map(|label| nonzero_scalar(&scalar(label).array(), "scalar").unwrap());
    let holder = |note: &str, key: &group::Scalar| Vector {
        re_key: k.mul(&key.invert()).to_bytes().into(),
        token: group::encode(&group::mul(key, &group::hash_to_group(DST, &[b"person"])))[0].into(),
        ..vector(note)
    };
    let (first, second) = (holder("an identifier at one holder", &k_1), holder("and at another", &k_2));
    let vectors = vec![
        vector("a token"),
        Vector { token: token(b"other token"), ..vector("another token") },
        Vector { match_secret: bytes::<32>("other match secret").into(), ..vector("another match secret") },
        Vector { re_key: scalar("other re-key"), ..vector("another re-key") },
        Vector { re_key: one(), ..vector("the smallest re-key: the fused token is the token") },
        Vector { re_key: hex::decode(largest).unwrap().into(), ..vector("the largest re-key") },
        Vector { token: hex::decode(generator).unwrap().into(), ..vector("the generator") },
        first,
        second,
    ];
    let complete = |mut vector: Vector| {
        let rekey = ReKey::from_bytes(&vector.re_key.array()).unwrap();
        let fused = rekey.fuse(&[Token::from_bytes(vector.token.array())]).unwrap();
        let secret = MatchSecret::from_bytes(vector.match_secret.array());
        vector.fused = fused[0].0.into();
        vector.match_key = secret.match_keys(&fused)[0].as_bytes().into();
        vector
    };
    let last = vectors.len() - 2;
    let (one, other) = (complete(vectors[last].clone()), complete(vectors[last + 1].clone()));
    assert_ne!(one.token, other.token);
    assert_eq!((one.fused, one.match_key), (other.fused, other.match_key));
    let about = "Fused tokens: re_key times the token; match_key: the first 16 bytes of keyed BLAKE3 under match_secret over the \
                 encoding of the fused token.";
    check("fused_v1.json", about, vectors, complete);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    re_key: Hex,
    error: String,
}

#[test]
fn bad_re_keys_are_refused() {
    let bad = |note: &str, re_key: &str| Bad {
        note: note.to_owned(),
        re_key: hex::decode(re_key).unwrap().into(),
        error: String::new(),
    };
    let vectors = vec![
        bad("zero", "0000000000000000000000000000000000000000000000000000000000000000"),
        bad("the order", "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"),
        bad("the order and one", "eed3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"),
        bad("one, its highest bit set", "0100000000000000000000000000000000000000000000000000000000000080"),
        bad("all bits set", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
    ];
    check("fused_v1_bad_re_keys.json", "Stored re-keys that are refused.", vectors, |mut bad| {
        bad.error = refusal(ReKey::from_bytes(&bad.re_key.array()));
        bad
    });
}
