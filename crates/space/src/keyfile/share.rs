//! A key file in shares: so many of them make it again, fewer say nothing of it.
//!
//! ```text
//! # public name: dfpub1...
//! # share 2 of 5; any 3 of them make the key file again: datafuse key combine
//! DATAFUSE-KEY-SHARE-1...
//! ```
//!
//! The keys' bytes ([`PartyKeys::encode`]) are encrypted under a random key with ChaCha20-Poly1305 (RFC 8439), and that key is
//! split by Shamir's scheme over GF(2^8), byte by byte. Each share holds all of the ciphertext, so it is worth its threshold
//! alone. The cipher's tag, with set, threshold and number of shares as associated data, tells a wrong or altered share from a
//! right one, which Shamir's scheme by itself does not.
//!
//! The scheme is vsss-rs 6: coefficients are uniform over the whole field, zero included, from the generator that it is given;
//! multiplication has no tables and no branch on secrets; lengths, zero and repeated indices are errors, not panics. It leaves
//! the polynomial of the last byte in freed memory. Of the other crates, sharks draws coefficients from 1 to 255 only, sharks
//! and blahaj multiply by look-up in tables and check neither zero nor (beyond the threshold) repeated indices, and
//! shamirsecretsharing is passively maintained and for secrets of 64 bytes.

use std::path::{Path, PathBuf};

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use datafuse_core::{cbor, keys::PartyKeys, lp::Lp, name::PublicName};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use vsss_rs::{Gf256, IdentifierGf256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{KEY_SHARE, Problem, Problem::Damaged, text};
use crate::{
    durable,
    error::{Error, Result},
};

const VERSION: u64 = 1;
const KEY_BYTES: usize = 32;
const SET_BYTES: usize = 16;

/// How many shares there are, and how many of them make the key file again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    threshold: u8,
    shares: u8,
}

impl Scheme {
    /// Takes `2 <= threshold <= shares`.
    ///
    /// # Errors
    /// [`Error::InvalidScheme`].
    pub fn new(threshold: u8, shares: u8) -> Result<Self> {
        match 2 <= threshold && threshold <= shares {
            true => Ok(Self { threshold, shares }),
            false => Err(Error::InvalidScheme { threshold, shares }),
        }
    }
}

/// Writes the shares of a party's keys as files of mode 0600, `STEM.share-1-of-5` and so on, into a folder that is made where
/// there is none. Either all are written or none stays.
///
/// # Errors
/// [`Error::KeyFileExists`] where one of these names is taken, [`Error::KeyFileFull`], [`Error::Io`].
pub fn create(
    folder: &Path,
    stem: &str,
    keys: &PartyKeys,
    scheme: Scheme,
    rng: &mut impl CryptoRng,
) -> Result<Vec<PathBuf>> {
    let path = |index: usize| folder.join(format!("{stem}.share-{index}-of-{}", scheme.shares));
    let texts = split(keys, scheme, rng).ok_or_else(|| Error::KeyFileFull { path: path(1) })?;
    durable::create_private_folder(folder)?;
    let mut written: Vec<PathBuf> = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let path = path(index + 1);
        let result = match durable::create_private(&path, text.as_bytes()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::KeyFileExists { path: path.clone() }),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            // These are ours, written a moment ago; the error that is reported is the first one.
            written.iter().for_each(|path| drop(std::fs::remove_file(path)));
            return Err(error);
        }
        written.push(path);
    }
    Ok(written)
}

/// Makes the keys again from share files, in any order; more than the threshold may be given.
///
/// # Errors
/// [`Error::NoFile`], [`Error::KeyFileExposed`], [`Error::TooLarge`], [`Error::KeyFileDamaged`], [`Error::KeyFileVersion`] for
/// a file; [`Error::ShareOfAnotherSet`], [`Error::ShareTwice`], [`Error::TooFewShares`], [`Error::SharesDoNotOpen`] for all of
/// them together; [`Error::Keys`], [`Error::Io`].
pub fn combine(files: &[PathBuf]) -> Result<PartyKeys> {
    let mut shares = Vec::with_capacity(files.len());
    for path in files {
        let text = super::read_text(path, WHAT, &|text| KEY_SHARE.is_in(text))?;
        let share = Share::parse(&text).map_err(|problem| problem.at(path, WHAT))?;
        shares.push((path.as_path(), share));
    }
    join(&shares)
}

const WHAT: &str = "key share";

/// One share, as its file holds it.
struct Share {
    body: Body,
    comments: String,
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct Body {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    set: [u8; SET_BYTES],
    #[n(2)]
    index: u8,
    #[n(3)]
    threshold: u8,
    #[n(4)]
    shares: u8,
    #[cbor(n(5), with = "minicbor::bytes")]
    share: [u8; KEY_BYTES],
    #[cbor(n(6), with = "minicbor::bytes")]
    ciphertext: Vec<u8>,
}

impl Share {
    fn parse(text: &str) -> Result<Self, Problem> {
        let bytes = KEY_SHARE.read(text)?;
        cbor::check_version(&bytes, WHAT, VERSION).map_err(Problem::Keys)?;
        let body: Body = cbor::decode(&bytes, WHAT).map_err(Problem::Keys)?;
        if Scheme::new(body.threshold, body.shares).is_err() || body.index == 0 || body.index > body.shares {
            return Err(Damaged("its numbers do not fit together"));
        }
        let comments = text::comments(text).flat_map(|line| [line, "\n"]).collect();
        Ok(Self { body, comments })
    }

    /// Whether two are of one set, with all that they have in common.
    fn is_of_the_set_of(&self, other: &Self) -> bool {
        let common = |share: &Self| (share.body.set, share.body.threshold, share.body.shares);
        common(self) == common(other) && self.body.ciphertext == other.body.ciphertext
    }
}

/// Splits keys; `None` where a share would be longer than a file takes.
fn split(keys: &PartyKeys, scheme: Scheme, rng: &mut impl CryptoRng) -> Option<Vec<Zeroizing<String>>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    rng.fill_bytes(key.as_mut());
    let mut set = [0; SET_BYTES];
    rng.fill_bytes(&mut set);
    let (msg, aad) = (keys.encode(), associated_data(&set, scheme.threshold, scheme.shares));
    let ciphertext = cipher(&key)
        .encrypt(&Nonce::default(), Payload { msg: &msg, aad: &aad })
        .expect("keys are shorter than the cipher's limit of 256 GiB");

    let indices = (1..=scheme.shares).map(|index| IdentifierGf256(Gf256(index)));
    let (threshold, shares) = (scheme.threshold.into(), scheme.shares.into());
    let points = Gf256::split_bytes_with_participant_ids_iter(threshold, shares, key.as_slice(), rng, indices)
        .expect("the scheme was checked, and indices are distinct and not zero");
    let points = Zeroizing::new(points);
    points
        .iter()
        .map(|point| {
            let mut body = Body {
                version: VERSION,
                set,
                index: point[0],
                threshold: scheme.threshold,
                shares: scheme.shares,
                share: [0; KEY_BYTES],
                ciphertext: ciphertext.clone(),
            };
            body.share.copy_from_slice(&point[1..]);
            let heading = heading(&keys.identity().public_name(), body.index, scheme);
            KEY_SHARE.write(&heading, &Zeroizing::new(cbor::encode(&body)))
        })
        .collect()
}

fn heading(name: &PublicName, index: u8, Scheme { threshold, shares }: Scheme) -> String {
    format!(
        "# public name: {name}\n# share {index} of {shares}; any {threshold} of them make the key file again: datafuse key \
         combine\n"
    )
}

fn join(shares: &[(&Path, Share)]) -> Result<PartyKeys> {
    let Some((first_path, first)) = shares.first() else {
        return Err(Error::TooFewShares { given: 0, threshold: 2 });
    };
    for (position, (path, share)) in shares.iter().enumerate() {
        if !share.is_of_the_set_of(first) {
            return Err(Error::ShareOfAnotherSet { path: (*path).to_owned(), other: (*first_path).to_owned() });
        }
        if let Some((other, _)) = shares[..position].iter().find(|(_, other)| other.body.index == share.body.index) {
            return Err(Error::ShareTwice { path: (*path).to_owned(), other: (*other).to_owned() });
        }
    }
    let threshold = first.body.threshold;
    if shares.len() < usize::from(threshold) {
        return Err(Error::TooFewShares { given: shares.len(), threshold });
    }

    let mut points = Zeroizing::new(Vec::with_capacity(shares.len()));
    for (_, Share { body, .. }) in shares {
        let mut point = Vec::with_capacity(1 + KEY_BYTES);
        point.push(body.index);
        point.extend_from_slice(&body.share);
        points.push(point);
    }
    let combined = Zeroizing::new(Gf256::combine_bytes(points.as_slice()).map_err(|_| Error::SharesDoNotOpen)?);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    key.copy_from_slice(&combined);
    let aad = associated_data(&first.body.set, threshold, first.body.shares);
    let opened = cipher(&key).decrypt(&Nonce::default(), Payload { msg: &first.body.ciphertext, aad: &aad });
    let opened = Zeroizing::new(opened.map_err(|_| Error::SharesDoNotOpen)?);
    let keys = PartyKeys::decode(&opened).map_err(|error| Problem::Keys(error).at(first_path, WHAT))?;
    for (path, share) in shares {
        text::check_name(&share.comments, &keys.identity().public_name()).map_err(|problem| problem.at(path, WHAT))?;
    }
    Ok(keys)
}

/// The key encrypts one message in its life, so every message may have the same nonce.
fn cipher(key: &[u8; KEY_BYTES]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.into())
}

fn associated_data(set: &[u8; SET_BYTES], threshold: u8, shares: u8) -> Vec<u8> {
    Lp::labelled("datafuse/v1/key-share").field(set).integer(threshold.into()).integer(shares.into()).into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;
    use crate::testing;

    fn texts(seed: u64, threshold: u8, shares: u8) -> Vec<Zeroizing<String>> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        split(&testing::keys(1), Scheme::new(threshold, shares).unwrap(), &mut rng).unwrap()
    }

    fn join_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<PartyKeys> {
        let shares: Vec<_> = texts.into_iter().map(|text| (Path::new("x"), Share::parse(text).ok().unwrap())).collect();
        join(&shares)
    }

    /// A share with another body, as somebody would write it who can count a checksum.
    fn altered(text: &str, alter: impl FnOnce(&mut Body)) -> Zeroizing<String> {
        let mut share = Share::parse(text).ok().unwrap();
        alter(&mut share.body);
        KEY_SHARE.write("", &cbor::encode(&share.body)).unwrap()
    }

    #[test]
    fn any_threshold_of_shares_in_any_order_make_the_keys_again() {
        let texts = texts(7, 3, 5);
        for chosen in [&[0, 1, 2][..], &[4, 2, 0], &[3, 1, 4], &[0, 1, 2, 3], &[4, 3, 2, 1, 0]] {
            let keys = join_texts(chosen.iter().map(|at| texts[*at].as_str())).unwrap();
            assert_eq!(keys.encode().as_slice(), testing::keys(1).encode().as_slice());
        }
        let most = self::texts(7, 255, 255);
        assert!(join_texts(most.iter().map(|text| text.as_str())).is_ok());
    }

    #[test]
    fn too_few_shares_are_refused_and_would_not_open_anyway() {
        let texts = texts(7, 3, 5);
        for given in 0..3 {
            let error = join_texts(texts.iter().take(given).map(|text| text.as_str())).err().unwrap();
            assert!(matches!(error, Error::TooFewShares { given: found, .. } if found == given), "{error}");
            assert!(error.remedy().is_some());
        }
        let lowered: Vec<_> = texts.iter().map(|text| altered(text, |body| body.threshold = 2)).collect();
        let error = join_texts(lowered.iter().take(2).map(|text| text.as_str())).err().unwrap();
        assert!(matches!(error, Error::SharesDoNotOpen));
        // Even with enough of them: the threshold is part of what the cipher authenticates.
        let error = join_texts(lowered.iter().map(|text| text.as_str())).err().unwrap();
        assert!(matches!(error, Error::SharesDoNotOpen));
    }

    #[test]
    fn shares_of_two_sets_and_a_share_given_twice_are_refused_by_name() {
        let (one, other) = (texts(7, 2, 3), texts(8, 2, 3));
        let error = join_texts([one[0].as_str(), &other[1]]).err().unwrap();
        assert!(matches!(error, Error::ShareOfAnotherSet { .. }));
        let error = join_texts([one[0].as_str(), &one[1], &one[0]]).err().unwrap();
        assert!(matches!(error, Error::ShareTwice { .. }));
        for alter in [|body: &mut Body| body.threshold = 3, |body: &mut Body| body.ciphertext[0] ^= 1] {
            let error = join_texts([one[0].as_str(), &altered(&one[1], alter)]).err().unwrap();
            assert!(matches!(error, Error::ShareOfAnotherSet { .. }));
        }
    }

    #[test]
    fn an_altered_share_does_not_open_and_is_not_a_panic() {
        let texts = texts(7, 2, 3);
        for byte in 0..KEY_BYTES {
            let wrong = altered(&texts[1], |body| body.share[byte] ^= 1);
            // Alone with a right one, and as one too many.
            assert!(matches!(join_texts([texts[0].as_str(), &wrong]), Err(Error::SharesDoNotOpen)));
            assert!(matches!(join_texts([texts[0].as_str(), &wrong, &texts[2]]), Err(Error::SharesDoNotOpen)));
        }
        let moved = altered(&texts[1], |body| body.index = 3);
        assert!(matches!(join_texts([texts[0].as_str(), &moved]), Err(Error::SharesDoNotOpen)));
    }

    #[test]
    fn numbers_that_do_not_fit_and_unknown_versions_are_refused() {
        let texts = texts(7, 2, 3);
        for alter in [
            |body: &mut Body| body.index = 0,
            |body: &mut Body| body.index = 4,
            |body: &mut Body| body.threshold = 1,
            |body: &mut Body| body.threshold = 4,
            |body: &mut Body| body.shares = 1,
        ] {
            assert!(matches!(Share::parse(&altered(&texts[0], alter)), Err(Damaged(_))));
        }
        let newer = altered(&texts[0], |body| body.version = 2);
        assert!(matches!(
            Share::parse(&newer),
            Err(Problem::Keys(datafuse_core::Error::UnknownVersion { found: 2, .. }))
        ));
        for (threshold, shares) in [(0, 0), (0, 3), (1, 3), (4, 3), (255, 254)] {
            let error = Scheme::new(threshold, shares).err().unwrap();
            assert!(matches!(error, Error::InvalidScheme { .. }));
            assert!(error.remedy().unwrap().contains("--threshold"));
        }
    }

    #[test]
    fn a_share_with_another_name_in_its_comment_is_refused() {
        let texts = texts(7, 2, 2);
        let renamed = texts[1].replace(&testing::name(1).to_string(), &testing::name(2).to_string());
        assert!(matches!(join_texts([texts[0].as_str(), &renamed]), Err(Error::KeyFileDamaged { .. })));
    }

    #[test]
    fn a_share_says_nothing_of_the_key_it_is_a_share_of() {
        // With a threshold of two, one share's byte takes every value whatever the key's byte is.
        let mut seen = [std::collections::BTreeSet::new(), std::collections::BTreeSet::new()];
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for (seen, secret) in seen.iter_mut().zip([0, 0xff]) {
            for _ in 0..4000 {
                let ids = [IdentifierGf256(Gf256(1)), IdentifierGf256(Gf256(2))];
                let points = Gf256::split_bytes_with_participant_ids_iter(2, 2, [secret], &mut rng, ids).unwrap();
                seen.insert(points[0][1]);
            }
        }
        assert_eq!(seen.map(|seen| seen.len()), [256, 256]);
    }

    #[test]
    fn files_are_private_never_overwritten_and_all_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("shares");
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let mut create = || create(&folder, "acme.key", &testing::keys(1), Scheme::new(2, 3).unwrap(), &mut rng);
        let paths = create().unwrap();
        assert_eq!(paths[1], folder.join("acme.key.share-2-of-3"));
        #[cfg(unix)]
        for path in paths.iter().chain([&folder]) {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
        }
        assert!(combine(&paths[1..]).is_ok());
        std::fs::remove_file(&paths[0]).unwrap();
        assert!(matches!(create(), Err(Error::KeyFileExists { path }) if path == paths[1]));
        assert!(!paths[0].exists() && combine(&paths[1..]).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn shares_that_others_can_read_and_files_that_are_none_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let scheme = Scheme::new(2, 2).unwrap();
        let paths = create(folder.path(), "a", &testing::keys(1), scheme, &mut rng).unwrap();
        let key = folder.path().join("acme.key");
        super::super::create(&key, &testing::keys(1), "now", None).unwrap();
        let error = combine(&[paths[0].clone(), key]).err().unwrap();
        assert!(error.to_string().ends_with("is not a key share: it holds no secret of that sort"), "{error}");
        std::fs::set_permissions(&paths[1], std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(combine(&paths), Err(Error::KeyFileExposed { .. })));
    }

    #[test]
    fn a_share_says_which_it_is_and_how_many_are_needed() {
        let text = &texts(7, 2, 2)[0];
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("# share 1 of 2; any 2 of them"));
        assert!(lines[2].starts_with("DATAFUSE-KEY-SHARE-1"));
    }
}
