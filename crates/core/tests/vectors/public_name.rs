//! `public_name_v1.json`, `public_name_v1_bad.json`.

use bech32::{Bech32, Bech32m, Checksum, Fe32, Fe32IterExt, Hrp};
use datafuse_core::name::PublicName;
use serde::{Deserialize, Serialize};

use super::harness::{Hex, check, party, refusal};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    verify_key: Hex,
    receive_key: Hex,
    bytes: Hex,
    text: String,
    /// Texts that mean the same name.
    accepted: Vec<String>,
    fingerprint: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    text: String,
    error: String,
}

#[test]
fn public_names_are_those_of_the_vectors() {
    let vector = |note: &str, seed| {
        let bytes = party(seed).identity().public_name().to_bytes();
        Vector {
            note: note.to_owned(),
            verify_key: bytes[1..33].into(),
            receive_key: bytes[33..].into(),
            bytes: Hex::default(),
            text: String::new(),
            accepted: Vec::new(),
            fingerprint: String::new(),
        }
    };
    let vectors = vec![vector("a name", 1), vector("another", 2), vector("a third", 3)];
    let about = "Public names: a version byte, an Ed25519 and an X25519 public key, as Bech32m with the prefix dfpub; \
                 the fingerprint is the first 8 bytes of the SHA-256 of the 65 bytes.";
    check("public_name_v1.json", about, vectors, |mut vector| {
        let name = PublicName::new(vector.verify_key.array(), vector.receive_key.array()).unwrap();
        vector.bytes = name.to_bytes().into();
        vector.text = name.to_string();
        vector.accepted = vec![vector.text.to_uppercase(), format!(" {}\n", vector.text)];
        vector.fingerprint = name.fingerprint();
        assert_eq!(PublicName::from_bytes(&vector.bytes.0).unwrap(), name);
        for text in vector.accepted.iter().chain([&vector.text]) {
            assert_eq!(text.parse::<PublicName>().unwrap(), name);
        }
        vector
    });
}

/// A text of any bytes, prefix and checksum, and of more five-bit groups than the bytes need.
fn text<Ck: Checksum>(prefix: &str, bytes: &[u8], more: &[Fe32]) -> String {
    use bech32::ByteIterExt;
    let groups = bytes.iter().copied().bytes_to_fes().chain(more.iter().copied());
    groups.with_checksum::<Ck>(&Hrp::parse(prefix).unwrap()).chars().collect()
}

#[test]
fn bad_public_names_are_refused() {
    let name = party(1).identity().public_name();
    let (good, bytes) = (name.to_string(), name.to_bytes());
    let with = |at: usize, part: &[u8]| {
        let mut bytes = bytes;
        bytes[at..at + part.len()].copy_from_slice(part);
        text::<Bech32m>("dfpub", &bytes, &[])
    };
    let changed = |at: usize| {
        let mut text = good.clone().into_bytes();
        text[at] = if text[at] == b'q' { b'p' } else { b'q' };
        String::from_utf8(text).unwrap()
    };
    let swapped = {
        let at = (40..).find(|&at| good.as_bytes()[at] != good.as_bytes()[at + 1]).unwrap();
        let mut text = good.clone().into_bytes();
        text.swap(at, at + 1);
        String::from_utf8(text).unwrap()
    };
    let mut order_one = [0; 32];
    order_one[0] = 1;
    let order_eight = hex::decode("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a").unwrap();
    // y = 2 is the ordinate of no point of the curve.
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let bad = |note: &str, text: String| Bad { note: note.to_owned(), text, error: String::new() };
    let receiving_order_eight =
        hex::decode("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800").unwrap();
    let vectors = vec![
        bad("empty", String::new()),
        bad("the prefix alone", "dfpub1".to_owned()),
        bad("a changed character", changed(50)),
        bad("a changed character in the checksum", changed(good.len() - 1)),
        bad("a changed character in the prefix", changed(2)),
        bad("two characters swapped", swapped),
        bad("the last character missing", good[..good.len() - 1].to_owned()),
        bad("mixed case", format!("{}{}", good[..60].to_owned(), good[60..].to_uppercase())),
        bad("white space inside", format!("{} {}", &good[..60], &good[60..])),
        bad("a letter that Bech32 does not have", good.replacen('q', "b", 1)),
        bad("a character outside of ASCII", format!("{}é", &good[..good.len() - 1])),
        bad("the checksum of Bech32, not of Bech32m", text::<Bech32>("dfpub", &bytes, &[])),
        bad("another prefix, with its checksum", text::<Bech32m>("dfpuc", &bytes, &[])),
        bad("a byte less", text::<Bech32m>("dfpub", &bytes[..64], &[])),
        bad("a byte more", text::<Bech32m>("dfpub", &[&bytes[..], &[0]].concat(), &[])),
        bad("no bytes", text::<Bech32m>("dfpub", &[], &[])),
        bad("five bits more, zero, with their checksum", text::<Bech32m>("dfpub", &bytes, &[Fe32::Q])),
        bad("five bits more, not zero, with their checksum", text::<Bech32m>("dfpub", &bytes, &[Fe32::L])),
        bad("version 0", with(0, &[0])),
        bad("version 2", with(0, &[2])),
        bad("a signing key that is no point of the curve", with(1, &no_point)),
        bad("a signing key of order 1", with(1, &order_one)),
        bad("a signing key of order 8", with(1, &order_eight)),
        bad("a receiving key of zeros", with(33, &[0; 32])),
        bad("a receiving key of order 4", with(33, &[&[1], [0; 31].as_slice()].concat())),
        bad("a receiving key of order 8", with(33, &receiving_order_eight)),
        bad("a receiving key of order 8, its highest bit set", {
            let mut key = receiving_order_eight.clone();
            key[31] |= 0x80;
            with(33, &key)
        }),
    ];
    check("public_name_v1_bad.json", "Texts that are no public names.", vectors, |mut bad| {
        bad.error = refusal(bad.text.parse::<PublicName>());
        bad
    });
}
