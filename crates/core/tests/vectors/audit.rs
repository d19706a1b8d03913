//! `audit_line_v1.json`, `audit_line_v1_bad.json`, `audit_head_v1.json`, `audit_head_v1_bad.json`.

use datafuse_core::{
    audit::{AuditHead, digest, sign_line, verify_line},
    keys::PartyKeys,
    name::PublicName,
    root::Root,
};
use serde::{Deserialize, Serialize};

use super::harness::{Cbor, Hex, bytes, check, party, refusal};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    note: String,
    workload_keys: Hex,
    root: Hex,
    object: String,
    line: String,
    digest: Hex,
}

fn lines() -> Vec<Line> {
    let line = |note: &str, object: &str| Line {
        note: note.to_owned(),
        workload_keys: party(1).encode().as_slice().into(),
        root: bytes::<32>("root").into(),
        object: object.to_owned(),
        line: String::new(),
        digest: Hex::default(),
    };
    vec![
        line("one field", r#"{"seq":1}"#),
        line("a name beyond ASCII", r#"{"seq":2,"msg":"Event processing done","model":"clés"}"#),
        line("a field that looks like a signature", r#"{"seq":3,"sig":"00"}"#),
    ]
}

#[test]
fn audit_lines_are_those_of_the_vectors() {
    let about = "Lines of the audit log. line: the object with sig as its last field, Ed25519 over lp(label) lp(root) lp(body), \
                 where body is the object without its last '}'; digest: SHA-256 of the line, without its end of line.";
    check("audit_line_v1.json", about, lines(), |mut vector| {
        let keys = PartyKeys::decode(&vector.workload_keys.0).unwrap();
        let root = Root::from_bytes(vector.root.array());
        let line = sign_line(vector.object.as_bytes(), &root, keys.identity()).unwrap();
        assert_eq!(verify_line(&line, &root, &keys.identity().public_name()), Ok(()));
        vector.digest = digest(&line).into();
        vector.line = String::from_utf8(line).unwrap();
        vector
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BadLine {
    note: String,
    workload: PublicName,
    root: Hex,
    line: String,
    error: String,
}

#[test]
fn bad_audit_lines_are_refused() {
    let (workload, root) = (party(1), Root::from_bytes(bytes::<32>("root")));
    let signed = |seed, object: &str| {
        String::from_utf8(sign_line(object.as_bytes(), &root, party(seed).identity()).unwrap()).unwrap()
    };
    let good = signed(1, r#"{"seq":1,"msg":"x"}"#);
    let bad = |note: &str, line: &str| BadLine {
        note: note.to_owned(),
        workload: workload.identity().public_name(),
        root: bytes::<32>("root").into(),
        line: line.to_owned(),
        error: String::new(),
    };
    let vectors = vec![
        bad("empty", ""),
        bad("no signature", r#"{"seq":1,"msg":"x"}"#),
        bad("the last character missing", &good[..good.len() - 1]),
        bad("an end of line", &format!("{good}\n")),
        bad("a space before the end", &good.replace("\"}", "\" }")),
        bad("upper-case digits", &good.to_uppercase().replace("SIG", "sig")),
        bad("another number", &good.replace("\"seq\":1", "\"seq\":2")),
        bad("a space within", &good.replace("\"seq\":1", "\"seq\": 1")),
        bad("signed by another party", &signed(2, r#"{"seq":1,"msg":"x"}"#)),
        BadLine { workload: party(2).identity().public_name(), ..bad("of another workload", &good) },
        BadLine { root: bytes::<32>("other root").into(), ..bad("of another space", &good) },
    ];
    check("audit_line_v1_bad.json", "Lines that are refused for this workload and root.", vectors, |mut bad| {
        bad.error = refusal(verify_line(bad.line.as_bytes(), &Root::from_bytes(bad.root.array()), &bad.workload));
        bad
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    note: String,
    workload_keys: Hex,
    root: Hex,
    seq: u64,
    hash: Hex,
    bytes: Hex,
}

impl Head {
    fn head(&self) -> AuditHead {
        AuditHead { root: Root::from_bytes(self.root.array()), seq: self.seq, hash: self.hash.array() }
    }
}

fn heads() -> Vec<Head> {
    let head = |note: &str, seq| Head {
        note: note.to_owned(),
        workload_keys: party(1).encode().as_slice().into(),
        root: bytes::<32>("root").into(),
        seq,
        hash: bytes::<32>("last line").into(),
        bytes: Hex::default(),
    };
    vec![head("the first line", 1), head("many lines", 70_000), head("the last number there is", u64::MAX)]
}

#[test]
fn audit_heads_are_those_of_the_vectors() {
    let about = "Heads of the audit log: [1, root, seq, hash, signature], with Ed25519 over lp(label) lp(root) lp(seq) lp(hash).";
    check("audit_head_v1.json", about, heads(), |mut vector| {
        let keys = PartyKeys::decode(&vector.workload_keys.0).unwrap();
        let head = vector.head();
        vector.bytes = head.sign(keys.identity()).into();
        assert_eq!(AuditHead::verify(&vector.bytes.0, &head.root, &keys.identity().public_name()), Ok(head));
        vector
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BadHead {
    note: String,
    workload: PublicName,
    root: Hex,
    bytes: Hex,
    error: String,
}

#[test]
fn bad_audit_heads_are_refused() {
    let workload = party(1);
    let vector = heads().remove(0);
    let good = vector.head().sign(workload.identity());
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let bad = |note: &str, bytes: &[u8]| BadHead {
        note: note.to_owned(),
        workload: workload.identity().public_name(),
        root: vector.root.clone(),
        bytes: bytes.into(),
        error: String::new(),
    };
    let signature = &good[good.len() - 64..];
    let long = Cbor::default().array(5).uint(1).bytes(&vector.root.0).raw([0x18, 1]).bytes(&vector.hash.0);
    let vectors = vec![
        bad("empty", &[]),
        bad("the last byte missing", &good[..good.len() - 1]),
        bad("a byte left over", &[good.as_slice(), &[0]].concat()),
        bad("version 2", &changed(1, 2)),
        bad("another number", &changed(36, 2)),
        bad("the number in a long form", &long.bytes(signature).end().0),
        bad("a changed signature", &changed(good.len() - 20, good[good.len() - 20] ^ 1)),
        bad("signed by another party", &vector.head().sign(party(2).identity())),
        BadHead { workload: party(2).identity().public_name(), ..bad("of another workload", &good) },
        BadHead { root: bytes::<32>("other root").into(), ..bad("of another space", &good) },
    ];
    check("audit_head_v1_bad.json", "Heads that are refused for this workload and root.", vectors, |mut bad| {
        bad.error = refusal(AuditHead::verify(&bad.bytes.0, &Root::from_bytes(bad.root.array()), &bad.workload));
        bad
    });
}
