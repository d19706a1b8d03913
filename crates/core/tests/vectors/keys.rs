//! `keys_v1_bad.json`; what is derived of good ones is in `src/vectors/keys.rs`.

use datafuse_core::keys::PartyKeys;
use serde::{Deserialize, Serialize};

use super::harness::{Cbor, Hex, bytes, check, party, refusal};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    body: Hex,
    error: String,
}

#[test]
fn bad_key_files_are_refused() {
    let good = Hex::from(party(1).encode().as_slice());
    let secret = |label: &str| bytes::<32>(label);
    let token = |cbor: Cbor| cbor.array(2).bytes(bytes::<16>("key id")).bytes(secret("token"));
    let start = || Cbor::default().array(8).uint(1).bytes(secret("sign")).bytes(secret("receive"));
    let before_former = || token(start()).bytes(secret("share"));
    let whole = || before_former().array(0).array(0).array(0);
    assert!(PartyKeys::decode(&whole().end().0).is_ok());

    let bad = |note: &str, body: Hex| Bad { note: note.to_owned(), body, error: String::new() };
    let with = |at: usize, byte: u8| {
        let mut bytes = good.0.clone();
        bytes[at] = byte;
        Hex(bytes)
    };
    let vectors = vec![
        bad("empty", Hex::default()),
        bad("cut after the version", good.0[..2].into()),
        bad("the last byte missing", good.0[..good.0.len() - 1].into()),
        bad("a byte left over", [good.0.as_slice(), &[0]].concat().into()),
        bad("version 0", with(1, 0)),
        bad("version 2", with(1, 2)),
        bad("the version in a long form", Cbor::default().raw([0x88, 0x18, 1]).raw(&good.0[2..]).end()),
        bad("an array of indefinite length", Cbor::default().raw([0x9f]).raw(&good.0[1..]).raw([0xff]).end()),
        bad("the array's length in a long form", Cbor::default().raw([0x98, 8]).raw(&good.0[1..]).end()),
        bad("a ninth element", Cbor::default().array(9).raw(&good.0[1..]).null().end()),
        bad("a map", with(0, 0xa4)),
        bad("a share secret that is text", token(start()).text(&"x".repeat(32)).array(0).array(0).array(0).end()),
        bad(
            "a share secret of 31 bytes",
            token(start()).bytes(&secret("share")[..31]).array(0).array(0).array(0).end(),
        ),
        bad("a share secret of 33 bytes", token(start()).bytes(bytes::<33>("share")).array(0).array(0).array(0).end()),
        bad("a key id of 15 bytes", {
            let token = start().array(2).bytes(bytes::<15>("key id")).bytes(secret("token"));
            token.bytes(secret("share")).array(0).array(0).array(0).end()
        }),
        bad("bytes of indefinite length", {
            let pieces = Cbor::default().raw([0x5f]).bytes(secret("share")).raw([0xff]);
            token(start()).raw(pieces.end().0).array(0).array(0).array(0).end()
        }),
        bad("null in place of former token secrets", before_former().null().array(0).array(0).end()),
        bad("a former share of 31 bytes", {
            before_former().array(0).array(1).bytes(&secret("former")[..31]).array(0).end()
        }),
        bad("a former identity whose signing key is no point", {
            let identity = Cbor::default().array(2).bytes([2; 32]).bytes(secret("former"));
            before_former().array(0).array(0).array(1).raw(identity.end().0).end()
        }),
    ];
    let about = "Bodies of key files that are refused: not the one deterministic CBOR of version 1.";
    check("keys_v1_bad.json", about, vectors, |mut bad| {
        bad.error = refusal(PartyKeys::decode(&bad.body.0));
        bad
    });
}
