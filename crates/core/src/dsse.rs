//! DSSE envelopes: a document with signatures over it that standard tools verify (github.com/secure-systems-lab/dsse, v1.0.2).
//!
//! In: a document's bytes and its type, and an [`Identity`]. Out: an [`Envelope`], whose JSON form is
//! `{"payloadType": ..., "payload": BASE64, "signatures": [{"keyid": ..., "sig": BASE64}]}`. Signed is neither the JSON nor the
//! payload alone, but both type and payload in the pre-authentication encoding ([`pae`], "Signature Definition" of the
//! specification), with Ed25519 (RFC 8032).
//!
//! An identity signs other things too (announcements, messages): they all begin with an `lp` of a short label, so with three
//! zero bytes, and a pre-authentication encoding begins with `DSSEv1`. No signature of one kind passes for the other.
//!
//! The `keyid` is the signer's fingerprint. It is not signed: it says which signature to try, never whom to trust. This file parses no
//! JSON and knows nothing of what a payload says.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    keys::Identity,
    name::PublicName,
};

const WHAT: &str = "envelope";

/// The media type of an envelope in its JSON form.
pub const MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";

/// The most signatures that an envelope may have; each costs whoever verifies it.
pub const MAX_SIGNATURES: usize = 32;

/// A document and signatures over it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    payload_type: String,
    #[serde(with = "base64_text")]
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope, of whatever algorithm.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EnvelopeSignature {
    #[serde(default)]
    keyid: String,
    #[serde(with = "base64_text")]
    sig: Vec<u8>,
}

impl Envelope {
    /// Puts a document into an envelope and signs it. The same document and identity give the same envelope.
    #[must_use]
    pub fn sign(payload_type: &str, payload: Vec<u8>, signer: &Identity) -> Self {
        let mut envelope = Self { payload_type: payload_type.to_owned(), payload, signatures: Vec::new() };
        envelope.add_signature(signer);
        envelope
    }

    /// Signs the same document for another party as well.
    pub fn add_signature(&mut self, signer: &Identity) {
        let sig = signer.sign(&pae(&self.payload_type, &self.payload)).to_vec();
        self.signatures.push(EnvelopeSignature { keyid: signer.public_name().fingerprint(), sig });
    }

    /// Gives the document, where a party signed it as one of this type. Other signatures are no obstacle. Variable-time in what
    /// is verified, which is public.
    ///
    /// # Errors
    /// [`Error::Mismatch`] of the payload type, [`Error::Malformed`] for more than [`MAX_SIGNATURES`], [`Error::BadSignature`].
    pub fn verify(&self, payload_type: &str, signer: &PublicName) -> Result<&[u8]> {
        let payload = self.unverified(payload_type)?;
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(Error::Malformed { what: WHAT });
        }
        let signed = pae(payload_type, payload);
        let is_theirs = |signature: &EnvelopeSignature| {
            let bytes = <&[u8; 64]>::try_from(signature.sig.as_slice());
            bytes.is_ok_and(|bytes| signer.verify(WHAT, &signed, bytes).is_ok())
        };
        if self.signatures.iter().any(is_theirs) {
            Ok(payload)
        } else {
            Err(Error::BadSignature { what: WHAT, signer: signer.fingerprint() })
        }
    }

    /// Gives the document of this type whoever signed it: for showing it, never for trusting it.
    ///
    /// # Errors
    /// [`Error::Mismatch`] of the payload type.
    pub fn unverified(&self, payload_type: &str) -> Result<&[u8]> {
        if self.payload_type == payload_type {
            return Ok(&self.payload);
        }
        let (expected, found) = (payload_type.to_owned(), shown(&self.payload_type));
        Err(Error::Mismatch { what: WHAT, field: "payload type", expected, found })
    }

    /// How many signatures there are, verified or not.
    #[must_use]
    pub fn signature_count(&self) -> usize {
        self.signatures.len()
    }
}

/// Shows the type and sizes; the payload is for whoever verified it.
impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("payload_type", &shown(&self.payload_type))
            .field("payload_bytes", &self.payload.len())
            .field("signatures", &self.signatures.len())
            .finish()
    }
}

/// Encodes what is signed: `DSSEv1 LEN(type) type LEN(payload) payload`, one space between two parts, lengths in bytes and in decimal.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// A type as it may stand in an error: somebody else wrote it.
fn shown(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(100).collect()
}

/// Bytes as base64: written in the standard alphabet with padding, read in either alphabet (the specification allows both), padded or
/// not.
mod base64_text {
    use base64::{
        Engine,
        alphabet::{STANDARD, URL_SAFE},
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const READ: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new()).encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
        // What the text is instead stays out of the error.
        GeneralPurpose::new(alphabet, READ).decode(text).map_err(|_| D::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keys::test_keys;

    const TYPE: &str = "http://example.com/HelloWorld";

    #[test]
    fn the_encoding_is_that_of_the_specifications_example() {
        assert_eq!(pae(TYPE, b"hello world"), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
        // Lengths are of bytes.
        assert_eq!(pae("é", "é".as_bytes()), "DSSEv1 2 é 2 é".as_bytes());
    }

    #[test]
    fn each_signer_of_several_is_found_and_nobody_else() {
        let (first, second, third) = (test_keys(1), test_keys(2), test_keys(3));
        let mut envelope = Envelope::sign(TYPE, b"hello world".to_vec(), first.identity());
        envelope.add_signature(second.identity());
        assert_eq!(envelope.signature_count(), 2);
        for signer in [&first, &second] {
            assert_eq!(envelope.verify(TYPE, &signer.identity().public_name()).unwrap(), b"hello world");
        }
        let stranger = third.identity().public_name();
        assert_eq!(
            envelope.verify(TYPE, &stranger),
            Err(Error::BadSignature { what: "envelope", signer: stranger.fingerprint() })
        );
    }

    #[test]
    fn type_and_payload_are_both_signed() {
        let keys = test_keys(1);
        let name = keys.identity().public_name();
        let good = Envelope::sign(TYPE, b"hello world".to_vec(), keys.identity());
        let mut other = good.clone();
        other.payload = b"hello w0rld".to_vec();
        assert!(matches!(other.verify(TYPE, &name), Err(Error::BadSignature { .. })));
        assert!(matches!(good.verify("text/plain", &name), Err(Error::Mismatch { field: "payload type", .. })));
        let mut retyped = good;
        retyped.payload_type = "text/plain".to_owned();
        assert!(matches!(retyped.verify("text/plain", &name), Err(Error::BadSignature { .. })));
    }

    #[test]
    fn the_key_id_is_a_hint_and_proves_nothing() {
        let (signer, other) = (test_keys(1), test_keys(2));
        let mut envelope = Envelope::sign(TYPE, b"x".to_vec(), signer.identity());
        envelope.signatures[0].keyid = other.identity().public_name().fingerprint();
        assert!(envelope.verify(TYPE, &signer.identity().public_name()).is_ok());
        assert!(envelope.verify(TYPE, &other.identity().public_name()).is_err());
    }

    #[test]
    fn a_signature_of_another_purpose_does_not_pass() {
        let keys = test_keys(1);
        let label = crate::lp::Lp::labelled("datafuse/v1/announcement").into_bytes();
        assert_eq!(label[..3], [0, 0, 0]);
        let mut envelope = Envelope::sign(TYPE, label.clone(), keys.identity());
        envelope.signatures[0].sig = keys.identity().sign(&label).to_vec();
        assert!(envelope.verify(TYPE, &keys.identity().public_name()).is_err());
    }

    #[test]
    fn too_many_signatures_are_refused_before_any_is_verified() {
        let keys = test_keys(1);
        let mut envelope = Envelope::sign(TYPE, b"x".to_vec(), keys.identity());
        envelope.signatures = vec![envelope.signatures[0].clone(); MAX_SIGNATURES];
        assert!(envelope.verify(TYPE, &keys.identity().public_name()).is_ok());
        envelope.signatures.push(envelope.signatures[0].clone());
        let refused = envelope.verify(TYPE, &keys.identity().public_name());
        assert_eq!(refused, Err(Error::Malformed { what: "envelope" }));
    }

    #[test]
    fn either_alphabet_of_base64_is_read_and_additional_fields_are_passed_over() {
        let keys = test_keys(1);
        let envelope = Envelope::sign(TYPE, vec![0xfb, 0xff, 0xfe, 0xff], keys.identity());
        let json = serde_json::to_string(&envelope).unwrap();
        assert!(json.starts_with(r#"{"payloadType":"http://example.com/HelloWorld","payload":"+//+/w==","#), "{json}");
        let url_safe = json.replace("+//+/w==", "-__-_w").replacen('{', r#"{"more": 1, "#, 1);
        assert_eq!(serde_json::from_str::<Envelope>(&url_safe).unwrap(), envelope);
        for wrong in ["+//+/x==", "-_/+/w==", "secret!"] {
            let error = serde_json::from_str::<Envelope>(&json.replace("+//+/w==", wrong)).unwrap_err().to_string();
            assert!(error.starts_with("not base64") && !error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_payload() {
        let envelope = Envelope::sign(TYPE, b"secret".to_vec(), test_keys(1).identity());
        assert!(!format!("{envelope:?}").contains("secret"));
        assert!(!format!("{envelope:?}").contains("115"));
    }
}
