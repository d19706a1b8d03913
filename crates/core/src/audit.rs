//! What the workload signs of its audit log: each line, and the head, which says how far the log goes.
//!
//! A line is a JSON object that ends in `,"sig":"<128 hex digits>"}`. Its body is everything before that; the body holds the
//! line's number and, as `prev`, the SHA-256 of the whole line before. Signed is `lp(label) lp(root) lp(body)`, so a line
//! cannot be altered, moved to another place or taken over into another space's log. Encoding of the head: `[1, root, number of
//! the last line, SHA-256 of the last line, signature]`, deterministic CBOR.
//!
//! What a body says, where the log lies and in which order lines follow each other are not known here.

use minicbor::{Decode, Encode};
use sha2::Digest;

use crate::{
    cbor,
    error::{Error, Result},
    keys::Identity,
    lp::Lp,
    name::PublicName,
    root::Root,
};

const VERSION: u64 = 1;
const LINE: &str = "audit line";
const HEAD: &str = "audit head";
const BEFORE_SIGNATURE: &[u8] = br#","sig":""#;
const AFTER_SIGNATURE: &[u8] = br#""}"#;
const SIGNATURE_DIGITS: usize = 128;

/// Signs a line of an audit log: takes a JSON object, gives it with `sig` as its last field.
///
/// # Errors
/// [`Error::Malformed`] where the bytes do not end as an object that has a field.
pub fn sign_line(object: &[u8], root: &Root, workload: &Identity) -> Result<Vec<u8>> {
    let body = object.strip_suffix(b"}").filter(|body| body.len() > 1).ok_or(Error::Malformed { what: LINE })?;
    let signature = workload.sign(&line_bytes(body, root));
    let mut line = body.to_vec();
    line.extend_from_slice(BEFORE_SIGNATURE);
    line.extend_from_slice(hex::encode(signature).as_bytes());
    line.extend_from_slice(AFTER_SIGNATURE);
    Ok(line)
}

/// Verifies that a workload signed a line, given without the end of line, for a space.
///
/// # Errors
/// [`Error::Malformed`] where it does not end in a signature, [`Error::BadSignature`].
pub fn verify_line(line: &[u8], root: &Root, workload: &PublicName) -> Result<()> {
    let (body, signature) = split(line).ok_or(Error::Malformed { what: LINE })?;
    workload.verify(LINE, &line_bytes(body, root), &signature)
}

/// Whether bytes have the form of a signed line, whoever signed it.
#[must_use]
pub fn is_signed_line(line: &[u8]) -> bool {
    split(line).is_some()
}

/// Gives the SHA-256 of a line, without its end of line: what the next one holds as `prev`.
#[must_use]
pub fn digest(line: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(line).into()
}

/// Parts body and signature; only lower-case digits count, so that a line has one form.
fn split(line: &[u8]) -> Option<(&[u8], [u8; 64])> {
    let rest = line.strip_suffix(AFTER_SIGNATURE)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(SIGNATURE_DIGITS)?)?;
    let body = rest.strip_suffix(BEFORE_SIGNATURE)?;
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut signature = [0; 64];
    hex::decode_to_slice(digits, &mut signature).ok()?;
    Some((body, signature))
}

fn line_bytes(body: &[u8], root: &Root) -> Vec<u8> {
    Lp::labelled("datafuse/v1/audit-line").field(root.as_bytes()).field(body).into_bytes()
}

/// How far an audit log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// The space.
    pub root: Root,
    /// The number of the last line.
    pub seq: u64,
    /// The [`digest`] of the last line.
    pub hash: [u8; 32],
}

impl AuditHead {
    /// Signs and encodes.
    #[must_use]
    pub fn sign(&self, workload: &Identity) -> Vec<u8> {
        cbor::encode(&HeadForm {
            version: VERSION,
            root: *self.root.as_bytes(),
            seq: self.seq,
            hash: self.hash,
            signature: workload.sign(&self.signed_bytes()),
        })
    }

    /// Decodes and verifies.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::Mismatch`] of the root, [`Error::BadSignature`].
    pub fn verify(bytes: &[u8], root: &Root, workload: &PublicName) -> Result<Self> {
        cbor::check_version(bytes, HEAD, VERSION)?;
        let form: HeadForm = cbor::decode(bytes, HEAD)?;
        let head = Self { root: Root::from_bytes(form.root), seq: form.seq, hash: form.hash };
        if head.root != *root {
            let (expected, found) = (root.to_string(), head.root.to_string());
            return Err(Error::Mismatch { what: HEAD, field: "root", expected, found });
        }
        workload.verify(HEAD, &head.signed_bytes(), &form.signature)?;
        Ok(head)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        Lp::labelled("datafuse/v1/audit-head")
            .field(self.root.as_bytes())
            .integer(self.seq)
            .field(&self.hash)
            .into_bytes()
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct HeadForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    root: [u8; 32],
    #[n(2)]
    seq: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    hash: [u8; 32],
    #[cbor(n(4), with = "minicbor::bytes")]
    signature: [u8; 64],
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keys::test_keys;

    #[test]
    fn a_line_verifies_for_its_workload_and_space_and_no_byte_of_it_can_change() {
        let (workload, root) = (test_keys(1), Root::from_bytes([1; 32]));
        let name = workload.identity().public_name();
        let line = sign_line(br#"{"seq":1,"msg":"Workload started"}"#, &root, workload.identity()).unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
        assert_eq!(verify_line(&line, &root, &name), Ok(()));
        for at in 0..line.len() {
            let mut altered = line.clone();
            altered[at] ^= 1;
            assert!(verify_line(&altered, &root, &name).is_err(), "byte {at}");
        }
        let other = test_keys(2).identity().public_name();
        assert!(matches!(verify_line(&line, &root, &other), Err(Error::BadSignature { .. })));
        assert!(verify_line(&line, &Root::from_bytes([2; 32]), &name).is_err());
        for not_an_object in [&b""[..], b"}", b"{}x"] {
            assert!(sign_line(not_an_object, &root, workload.identity()).is_err());
        }
    }

    #[test]
    fn a_head_verifies_for_its_workload_and_refuses_every_altered_byte() {
        let (workload, root) = (test_keys(1), Root::from_bytes([1; 32]));
        let name = workload.identity().public_name();
        let head = AuditHead { root, seq: 300, hash: [7; 32] };
        let bytes = head.sign(workload.identity());
        assert_eq!(AuditHead::verify(&bytes, &root, &name).unwrap(), head);
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(AuditHead::verify(&altered, &root, &name).is_err(), "byte {at}");
        }
        let elsewhere = AuditHead::verify(&bytes, &Root::from_bytes([2; 32]), &name);
        assert!(matches!(elsewhere, Err(Error::Mismatch { field: "root", .. })));
    }
}
