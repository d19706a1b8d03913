#![allow(clippy::unwrap_used)]
//! RFC 9497, appendix A.1.1: OPRF(ristretto255, SHA-512) in mode 0, from input to output.
//!
//! The protocol of that RFC is not DataFuse's, but it hashes to the same group with the same function, and multiplies,
//! so its values check the whole crate from outside: blind, evaluate, unblind, finish.

use datafuse_group::{Scalar, decode, decode_mul_encode, encode, hash_mul_encode, hash_to_group, mul};
use serde_json::Value;
use sha2::{Digest, Sha512};

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn element(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

fn scalar(value: &Value) -> Scalar {
    Scalar::from_canonical_bytes(&element(value)).unwrap()
}

/// Finalize of RFC 9497, section 3.3.1, on an element that is already unblinded.
fn finalize(input: &[u8], unblinded: &[u8; 32]) -> Vec<u8> {
    let mut hash = Sha512::new();
    hash.update(u16::try_from(input.len()).unwrap().to_be_bytes());
    hash.update(input);
    hash.update(32u16.to_be_bytes());
    hash.update(unblinded);
    hash.update(b"Finalize");
    hash.finalize().to_vec()
}

#[test]
fn blinds_and_evaluates_as_rfc_9497_appendix_a_1_1() {
    let file: Value =
        serde_json::from_str(include_str!("../../../test-vectors/rfc9497_oprf_ristretto255_sha512.json")).unwrap();
    let dst = bytes(&file["hash_to_group_dst"]);
    assert_eq!(dst, b"HashToGroup-OPRFV1-\x00-ristretto255-SHA512");
    let key = scalar(&file["sk_sm"]);

    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let input = bytes(&vector["input"]);
        let blind = scalar(&vector["blind"]);
        let blinded = [element(&vector["blinded_element"])];
        let evaluated = [element(&vector["evaluation_element"])];
        let output = bytes(&vector["output"]);

        // Blind, on the whole path and step by step.
        let mut out = [[0; 32]];
        hash_mul_encode(&dst, &[&input], &blind, &mut out);
        assert_eq!(out, blinded);
        let hashed = hash_to_group(&dst, &[&input]);
        assert_eq!(encode(&mul(&blind, &hashed)), blinded);

        // BlindEvaluate, likewise.
        decode_mul_encode(&key, &blinded, &mut out).unwrap();
        assert_eq!(out, evaluated);
        assert_eq!(encode(&mul(&key, &decode(&blinded).unwrap())), evaluated);

        // Finalize: unblinded, it is the key times the hash, whatever the blind was.
        decode_mul_encode(&blind.invert(), &evaluated, &mut out).unwrap();
        assert_eq!(finalize(&input, &out[0]), output);
        hash_mul_encode(&dst, &[&input], &key, &mut out);
        assert_eq!(finalize(&input, &out[0]), output);
    }
}
