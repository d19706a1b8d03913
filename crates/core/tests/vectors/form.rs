//! Sealed and signed encodings taken apart, to make what the code would not: fields in clear, then `enc`, ciphertext and signature.

use datafuse_core::lp::Lp;
use ed25519_dalek::{Signer, SigningKey};
use minicbor::data::Type;

use super::harness::{Cbor, Hex, party};

/// The elements of an encoding, each as it stands there, to be changed by hand.
#[derive(Clone)]
pub(crate) struct Form {
    label: &'static str,
    elements: Vec<Vec<u8>>,
}

impl Form {
    pub(crate) fn of(label: &'static str, encoded: &Hex) -> Self {
        let mut cbor = minicbor::Decoder::new(&encoded.0);
        let length = cbor.array().unwrap().unwrap();
        let mut element = || {
            let start = cbor.position();
            cbor.skip().unwrap();
            encoded.0[start..cbor.position()].to_vec()
        };
        Self { label, elements: (0..length).map(|_| element()).collect() }
    }

    fn bytes(&self, from_the_end: usize) -> Vec<u8> {
        minicbor::Decoder::new(&self.elements[self.elements.len() - from_the_end]).bytes().unwrap().to_vec()
    }

    /// Everything in clear but the version, in the order in which it stands.
    pub(crate) fn info(&self) -> Vec<u8> {
        let clear = &self.elements[1..self.elements.len() - 3];
        let lp = clear.iter().fold(Lp::labelled(self.label), |lp, element| {
            let mut cbor = minicbor::Decoder::new(element);
            match cbor.datatype().unwrap() {
                Type::Bytes => lp.field(cbor.bytes().unwrap()),
                Type::String => lp.field(cbor.str().unwrap().as_bytes()),
                Type::Array => lp.list(cbor.array_iter::<&str>().unwrap().map(|text| text.unwrap().as_bytes())),
                _ => lp.integer(cbor.u64().unwrap()),
            }
        });
        lp.into_bytes()
    }

    /// Signs anew, as a party that cannot open what it signs.
    pub(crate) fn signed_by(mut self, seed: u64) -> Self {
        // The signing secret follows three bytes of heads and the version.
        let sign = SigningKey::from_bytes(party(seed).encode()[4..36].try_into().unwrap());
        let signed = Lp::default().field(&self.info()).field(&self.bytes(3)).field(&self.bytes(2)).into_bytes();
        *self.elements.last_mut().unwrap() = Cbor::default().bytes(sign.sign(&signed).to_bytes()).end().0;
        self
    }

    pub(crate) fn with(mut self, at: usize, element: Cbor) -> Self {
        self.elements[at] = element.end().0;
        self
    }

    pub(crate) fn encode(&self) -> Hex {
        self.elements.iter().fold(Cbor::default().array(self.elements.len()), |cbor, element| cbor.raw(element)).end()
    }
}

/// Every field in clear changed, once as somebody on the way would and once signed anew; and damaged bytes.
pub(crate) fn bad_forms(form: &Form, signer: u64, fields: &[(&str, usize, Cbor)]) -> Vec<(String, Hex)> {
    let mut bad = Vec::new();
    for (field, at, element) in fields {
        let changed = form.clone().with(*at, element.clone());
        assert_ne!(changed.info(), form.info(), "{field}");
        bad.push((format!("{field} changed after signing"), changed.encode()));
        let resigned = changed.signed_by(signer).encode();
        bad.push((format!("{field} changed after sealing, and signed anew"), resigned));
    }
    let last = form.elements.len() - 1;
    let mut ciphertext = form.bytes(2);
    ciphertext[0] ^= 1;
    let ciphertext = Cbor::default().bytes(ciphertext);
    bad.push(("a changed ciphertext".to_owned(), form.clone().with(last - 1, ciphertext.clone()).encode()));
    let signed = form.clone().with(last - 1, ciphertext).signed_by(signer).encode();
    bad.push(("a changed ciphertext, signed".to_owned(), signed));
    bad.push(("a signature of zeros".to_owned(), form.clone().with(last, Cbor::default().bytes([0; 64])).encode()));
    bad.push(("version 2".to_owned(), form.clone().with(0, Cbor::default().uint(2)).encode()));
    let whole = form.encode().0;
    bad.push(("the last byte missing".to_owned(), whole[..whole.len() - 1].into()));
    bad.push(("a byte left over".to_owned(), [whole.as_slice(), &[0]].concat().into()));
    bad.push(("empty".to_owned(), Hex::default()));
    bad
}
