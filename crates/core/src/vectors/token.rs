//! `token_v1.json`, `token_v1_bad_encodings.json`.

use datafuse_group as group;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};

use super::harness::{Hex, bytes, check, refusal};
use crate::{
    DST,
    fused::{ReKey, nonzero_scalar},
    id::Epoch,
    keys::TokenKey,
    kind::{Column, Kind},
    lp::Lp,
    normalize::NormalizedIdentifier,
    root::Root,
    token::{CANARY_KIND, Token, Tokenizer},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    root: Hex,
    kind: String,
    profile: String,
    identifier: Hex,
    token_key: Hex,
    message: Hex,
    uniform_bytes: Hex,
    element: Hex,
    token: Hex,
}

impl Vector {
    fn new(note: &str, kind: &str, profile: &str, identifier: &[u8]) -> Self {
        Self {
            note: note.to_owned(),
            root: bytes::<32>("root").into(),
            kind: kind.to_owned(),
            profile: profile.to_owned(),
            identifier: identifier.into(),
            token_key: scalar("token key"),
            message: Hex::default(),
            uniform_bytes: Hex::default(),
            element: Hex::default(),
            token: Hex::default(),
        }
    }

    /// The canary of an epoch, made as the public interface makes it.
    fn token_of_canary(&self, key: &TokenKey, root: &Root) -> Token {
        let epoch = u64::from_be_bytes(self.identifier.0[4..].try_into().unwrap());
        assert_eq!(self.identifier.0, Lp::default().integer(epoch).into_bytes());
        assert_eq!(self.profile, "");
        key.canary(root, Epoch(epoch))
    }

    fn kind(&self) -> Kind {
        let profiles = self.profile.split('+').enumerate();
        let columns = profiles.map(|(index, profile)| Column {
            name: format!("column_{index}"),
            profile: profile.parse().unwrap(),
            default_region: None,
        });
        Kind::new(self.kind.parse().unwrap(), columns.collect()).unwrap()
    }

    fn complete(mut self) -> Self {
        let root = Root::from_bytes(self.root.array());
        let key = TokenKey(nonzero_scalar(&self.token_key.array(), "token key").unwrap());
        let token = if self.kind == CANARY_KIND {
            self.token_of_canary(&key, &root)
        } else {
            let identifier = NormalizedIdentifier::new(self.identifier.0.clone());
            Tokenizer::new(&root, &self.kind(), key.clone()).tokenize(&[identifier]).remove(0)
        };
        let fields = [&self.root.0, self.kind.as_bytes(), self.profile.as_bytes(), &self.identifier.0];
        let message = fields.into_iter().fold(Lp::default(), Lp::field).into_bytes();
        let element = group::hash_to_group(DST, &[&message]);
        assert_eq!(group::encode(&group::mul(&key.0, &element)), [*token.as_bytes()]);
        self.uniform_bytes = uniform_bytes(&message).into();
        self.message = message.into();
        self.element = group::encode(&element)[0].into();
        self.token = token.as_bytes().into();
        self
    }
}

/// A scalar that looks random, below 2^252.
pub(super) fn scalar(label: &str) -> Hex {
    let mut scalar = bytes::<32>(label);
    scalar[31] &= 0x0f;
    scalar.into()
}

/// `expand_message_xmd` as RFC 9380, 5.3.1, says it, in one piece.
fn uniform_bytes(message: &[u8]) -> [u8; 64] {
    let dst_prime = [DST, &[u8::try_from(DST.len()).unwrap()]].concat();
    let first = Sha512::digest([&[0; 128], message, &[0, 64, 0], &dst_prime].concat());
    Sha512::digest([&first[..], &[1], &dst_prime].concat()).into()
}

#[test]
fn tokens_are_those_of_the_vectors() {
    let email = |note: &str| Vector::new(note, "email", "email-v1", b"user@example.com");
    let exact = |note: &str, identifier: &[u8]| Vector::new(note, "customer", "exact-v1", identifier);
    let several = |note: &str, parts: &[&str]| {
        let identifier = parts.iter().fold(Lp::default(), |lp, part| lp.field(part.as_bytes())).into_bytes();
        Vector::new(note, "person", "text-v1+exact-v1", &identifier)
    };
    let canary = |note: &str, epoch| Vector::new(note, CANARY_KIND, "", &Lp::default().integer(epoch).into_bytes());
    // SHA-512 pads a message to whole blocks: the identifiers that end just before, at and after one. What is hashed beside
    // the identifier: a block of zeros, 64 bytes of this root, kind, profile and lengths, 3 of lengths, 42 of the tag.
    let beside = 128 + (4 + 32 + 4 + 8 + 4 + 8 + 4) + 3 + 42;
    let at_block_end = |less: usize| vec![b'x'; 384 - beside - less];
    let largest = hex::decode("ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut one = [0; 32];
    one[0] = 1;
    let mut vectors = vec![
        email("an email address"),
        Vector { token_key: scalar("other token key"), ..email("the same at another holder") },
        Vector { root: bytes::<32>("other root").into(), ..email("the same in another space") },
        Vector::new("the same as another kind", "contact", "email-v1", b"user@example.com"),
        Vector::new("the same of another profile", "email", "email-gmail-v1", b"user@example.com"),
        Vector { token_key: one.into(), ..email("the smallest key: the token is the element") },
        Vector { token_key: largest.into(), ..email("the largest key") },
        Vector::new("a telephone number", "phone", "phone-e164-v1", b"+32470123456"),
        Vector::new("a bank account", "iban", "iban-v1", b"BE71096123456769"),
        Vector::new("UTF-8", "name", "text-v1", "zoë 例え".as_bytes()),
        Vector::new("a hash of an address", "email", "email-sha256-v1", &[0xab; 32]),
        exact("one byte, zero", &[0]),
        exact("white space", b" "),
        exact("bytes that are not UTF-8", &[0xff, 0xfe, 0x00, 0x80]),
        exact("a long identifier", &[b'x'; 1000]),
        several("two columns", &["peeters", "1980-01-02"]),
        several("two columns, cut at another place", &["peeters1", "980-01-02"]),
        canary("the canary of the first epoch", 1),
        canary("the canary of a later epoch", 258),
    ];
    for less in [18, 17, 16, 1, 0] {
        vectors.push(exact(&format!("hashed bytes that end {less} before the end of a block"), &at_block_end(less)));
    }
    let about = "Tokens. message: lps of root, kind, profile, identifier (normalised; of several columns, the lps of each); \
                 uniform_bytes: expand_message_xmd, SHA-512, under DATAFUSE-V01-R255_XMD:SHA-512_R255MAP_RO_; element: the map of \
                 RFC 9496, 4.3.4; token: token_key times the element.";
    check("token_v1.json", about, vectors, Vector::complete);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    encoding: Hex,
    /// How many good tokens come before it in the batch.
    index: usize,
    error: String,
}

#[test]
fn bad_encodings_of_tokens_are_refused() {
    let bad = |note: &str, encoding: &str, index| Bad {
        note: note.to_owned(),
        encoding: hex::decode(encoding).unwrap().into(),
        index,
        error: String::new(),
    };
    let identity = "0000000000000000000000000000000000000000000000000000000000000000";
    let negative = "0100000000000000000000000000000000000000000000000000000000000000";
    let vectors = vec![
        bad("the identity", identity, 0),
        bad("the identity, not first", identity, 3),
        bad("the identity, after more tokens than are converted together", identity, 300),
        bad("1, which is negative", negative, 0),
        bad("1, not first", negative, 1),
        bad("1, after more tokens than are converted together", negative, 300),
        bad("zero plus the prime", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", 0),
        bad("2^255 - 1", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", 0),
        bad("all bits set", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", 0),
        bad(
            "the generator, its highest bit set",
            "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2df6",
            0,
        ),
        bad("the generator, negated", "0b0d51f59543b18e577b569e3affaea0a71cf4955a7d22724959a6ba1f72d209", 0),
        bad("a negative field element", "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", 0),
        bad("no square", "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371", 0),
        bad("no square, again", "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f", 0),
        bad("a negative product x*y", "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e", 0),
        bad("a negative product x*y, again", "a45fdc55c76448c049a1ab33f17023edfb2be3581e9c7aade8a6125215e04220", 0),
        bad("-1, for which y is zero", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", 0),
    ];
    let about = "32 bytes that are no token, at a place in a batch of good ones: not the canonical encoding of an element \
                 (RFC 9496, 4.3.1; most are of its appendix A.2), or that of the identity.";
    let good = group::encode(&group::hash_to_group(DST, &[b"good"]))[0];
    let rekey = ReKey::from_bytes(&scalar("re-key").array()).unwrap();
    check("token_v1_bad_encodings.json", about, vectors, |mut bad| {
        let mut batch = vec![Token::from_bytes(good); bad.index];
        assert!(rekey.fuse(&batch).is_ok());
        batch.extend([Token::from_bytes(bad.encoding.array()), Token::from_bytes([0; 32])]);
        bad.error = refusal(rekey.fuse(&batch));
        bad
    });
}
