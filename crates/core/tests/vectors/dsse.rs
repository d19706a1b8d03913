//! `dsse_v1.json`, `dsse_v1_bad.json`.

use datafuse_core::{
    dsse::{Envelope, pae},
    error::Error,
    keys::PartyKeys,
    name::PublicName,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::harness::{Hex, check, party, refusal};

const HELLO: &str = "http://example.com/HelloWorld";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    signers: Vec<Hex>,
    payload_type: String,
    payload: Hex,
    pae: Hex,
    envelope: Value,
}

fn vector(note: &str, signers: &[u64], payload_type: &str, payload: &[u8]) -> Vector {
    Vector {
        note: note.to_owned(),
        signers: signers.iter().map(|seed| party(*seed).encode().as_slice().into()).collect(),
        payload_type: payload_type.to_owned(),
        payload: payload.into(),
        pae: Hex::default(),
        envelope: Value::Null,
    }
}

#[test]
fn envelopes_are_those_of_the_vectors() {
    let statement = br#"{"_type":"https://in-toto.io/Statement/v1"}"#;
    let vectors = vec![
        vector("type and payload of the specification's example", &[1], HELLO, b"hello world"),
        vector("a statement, signed by two", &[1, 2], "application/vnd.in-toto+json", statement),
        vector("nothing, of a type that is not ASCII", &[1], "é", b""),
        vector("bytes whose base64 has + and /", &[3], HELLO, &[0xfb, 0xff, 0xfe, 0xff]),
    ];
    let about = "DSSE v1 envelopes: Ed25519 by each signer (a key file's body) over pae, which is 'DSSEv1 LEN(type) type LEN(payload) \
                 payload'; keyid is the signer's fingerprint.";
    check("dsse_v1.json", about, vectors, |mut vector| {
        let keys: Vec<_> = vector.signers.iter().map(|body| PartyKeys::decode(&body.0).unwrap()).collect();
        let mut envelope = Envelope::sign(&vector.payload_type, vector.payload.0.clone(), keys[0].identity());
        keys[1..].iter().for_each(|keys| envelope.add_signature(keys.identity()));
        vector.pae = pae(&vector.payload_type, &vector.payload.0).into();
        vector.envelope = serde_json::to_value(&envelope).unwrap();
        let read: Envelope = serde_json::from_value(vector.envelope.clone()).unwrap();
        for keys in keys {
            let payload = read.verify(&vector.payload_type, &keys.identity().public_name());
            assert_eq!(payload, Ok(vector.payload.0.as_slice()));
        }
        vector
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    signer: PublicName,
    payload_type: String,
    envelope: Value,
    error: String,
}

#[test]
fn bad_envelopes_are_refused() {
    let signer = party(1).identity().public_name();
    let good = serde_json::to_value(Envelope::sign(HELLO, b"hello world".to_vec(), party(1).identity())).unwrap();
    let bad = |note: &str, envelope: Value| Bad {
        note: note.to_owned(),
        signer: signer.clone(),
        payload_type: HELLO.to_owned(),
        envelope,
        error: String::new(),
    };
    let with = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    let without = |field: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove(field);
        changed
    };
    let signature = good["signatures"][0].clone();
    let sig = signature["sig"].as_str().unwrap();
    let second = serde_json::to_value(Envelope::sign(HELLO, b"hello world".to_vec(), party(2).identity())).unwrap();
    let vectors = vec![
        bad("a changed payload", with("/payload", json!("aGVsbG8gdzBybGQ="))),
        bad("a changed type, as expected", with("/payloadType", json!("http://example.com/HelloW0rld"))),
        Bad { payload_type: "text/plain".to_owned(), ..bad("of another type than expected", good.clone()) },
        Bad { signer: party(2).identity().public_name(), ..bad("signed by another party", good.clone()) },
        bad("the signature of another party under this party's key id", {
            with("/signatures/0/sig", second["signatures"][0]["sig"].clone())
        }),
        bad("no signature", with("/signatures", json!([]))),
        bad("33 signatures", with("/signatures", json!(vec![signature.clone(); 33]))),
        bad("a signature of 63 bytes", with("/signatures/0/sig", json!(&sig[..84]))),
        bad("a signature that is not base64", with("/signatures/0/sig", json!("no base64"))),
        bad("a payload in both alphabets", with("/payload", json!("-_/+/w=="))),
        bad("a payload with bits left over", with("/payload", json!("aGVsbG8gd29ybGR="))),
        bad("a payload that is no text", with("/payload", json!(["aGVsbG8gd29ybGQ="]))),
        bad("without payload", without("payload")),
        bad("without type", without("payloadType")),
        bad("without signatures", without("signatures")),
    ];
    let about = "DSSE envelopes that are refused as ones of this signer and payload type.";
    check("dsse_v1_bad.json", about, vectors, |mut bad| {
        let read = serde_json::from_value::<Envelope>(bad.envelope.clone());
        let envelope = read.map_err(|_| Error::Malformed { what: "envelope" });
        bad.error = refusal(envelope.and_then(|envelope| envelope.verify(&bad.payload_type, &bad.signer).map(drop)));
        bad
    });
}
