//! What holds for every profile: the shared vectors, published answers, and properties over arbitrary values.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;

/// The vectors that implementations in other languages are checked with too.
const VECTORS: &str = include_str!("../../../../test-vectors/normalize_v1.json");

/// As many cases, the same at every run.
pub(super) fn seeded(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() }
}

/// What became of a value, in a form that can be compared.
#[derive(Debug, PartialEq)]
enum Outcome {
    Empty,
    Invalid(&'static str),
    Valid(Vec<u8>),
}

fn outcome(profile: Profile, value: &[u8], region: Option<&str>) -> Outcome {
    match profile.normalize(value, region) {
        Normalization::Empty => Outcome::Empty,
        Normalization::Invalid(reason) => Outcome::Invalid(reason.as_code()),
        Normalization::Valid(identifier) => Outcome::Valid(identifier.as_bytes().to_vec()),
    }
}

fn cases() -> Vec<Value> {
    serde_json::from_str(VECTORS).unwrap()
}

fn input_of(case: &Value) -> Vec<u8> {
    match case["input_hex"].as_str() {
        Some(digits) => hex::decode(digits).unwrap(),
        None => case["input"].as_str().unwrap().as_bytes().to_vec(),
    }
}

fn expected_of(case: &Value) -> Outcome {
    if case["empty"] == true {
        return Outcome::Empty;
    }
    if let Some(code) = case["invalid"].as_str() {
        let reason = InvalidReason::ALL.into_iter().find(|reason| reason.as_code() == code);
        return Outcome::Invalid(reason.unwrap_or_else(|| panic!("no reason has the code {code}")).as_code());
    }
    Outcome::Valid(case["output"].as_str().unwrap().as_bytes().to_vec())
}

/// Whatever two values a profile makes one, a wider one makes one, too.
#[test]
fn a_wider_profile_starts_where_the_narrower_ends() {
    let mut changed = 0;
    for narrow in Profile::ALL {
        for wide in narrow.wider() {
            for case in cases() {
                let Normalization::Valid(identifier) = narrow.normalize(&input_of(&case), None) else { continue };
                let (at_once, after) =
                    (outcome(*wide, &input_of(&case), None), outcome(*wide, identifier.as_bytes(), None));
                assert_eq!(at_once, after, "{narrow}, {wide}: {}", case["input"]);
                let is_changed = matches!(&after, Outcome::Valid(bytes) if bytes != identifier.as_bytes());
                assert_eq!(identifier.is_changed_by(*wide), is_changed);
                changed += usize::from(is_changed);
            }
        }
    }
    assert!(changed > 10, "{changed}");
}

#[test]
fn every_vector_gives_its_outcome() {
    let cases = cases();
    let mut failures = Vec::new();
    for case in &cases {
        let profile: Profile = case["profile"].as_str().unwrap().parse().unwrap();
        let found = outcome(profile, &input_of(case), case["default_region"].as_str());
        if found != expected_of(case) {
            failures.push(format!("{case}\n    found {found:?}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} vectors fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn the_vectors_show_every_profile_and_every_reason() {
    let cases = cases();
    assert!(cases.len() >= 200);
    let shown = |field: &str| -> BTreeSet<String> {
        cases.iter().filter_map(|case| case[field].as_str()).map(str::to_owned).collect()
    };
    assert_eq!(shown("profile"), Profile::ALL.iter().map(ToString::to_string).collect());
    // A kind of several columns gives this one; a value alone never does.
    let of_values = InvalidReason::ALL.into_iter().filter(|reason| *reason != InvalidReason::Incomplete);
    assert_eq!(shown("invalid"), of_values.map(|reason| reason.as_code().to_owned()).collect());
}

#[test]
fn every_vectors_output_normalises_to_itself() {
    for case in cases().iter().filter(|case| case["output"].is_string()) {
        let profile: Profile = case["profile"].as_str().unwrap().parse().unwrap();
        let output = case["output"].as_str().unwrap();
        assert_eq!(outcome(profile, output.as_bytes(), None), Outcome::Valid(output.into()), "{case}");
    }
}

/// <https://unifiedid.com/docs/getting-started/gs-normalization-encoding>, whose Base64 is of these bytes.
#[test]
fn hashes_are_those_that_uid2_publishes() {
    let published = [
        (
            Profile::EmailUid2V1,
            "USER@example.com",
            None,
            "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
        ),
        (
            Profile::EmailUid2V1,
            "Jane.Saoirse+Work@gmail.com",
            None,
            "92ee26057ed9dea2535d6c8b141d48373932476599196e00352254896db5888f",
        ),
        (
            Profile::EmailUid2V1,
            "JaneSaoirse+Work@example.com",
            None,
            "28aaee4815230cd3b4ebd88c515226550666e91ac019929e3adac3f66c288180",
        ),
        (
            Profile::PhoneE164V1,
            "1 (234) 567-8901",
            Some("US"),
            "10e6f0b47054a83359477dcb35231db6de5c69fb1816e1a6b98e192de9e5b9ee",
        ),
    ];
    for (profile, value, region, hash) in published {
        let Outcome::Valid(normal) = outcome(profile, value.as_bytes(), region) else { panic!("{value} is valid") };
        assert_eq!(hex::encode(Sha256::digest(&normal)), hash, "{value}");
    }
    let hashed = outcome(Profile::EmailSha256V1, b"user@example.com", None);
    assert_eq!(hashed, Outcome::Valid(published[0].3.into()));
}

#[test]
fn names_are_read_back_and_an_unknown_one_is_told_the_known_ones() {
    for profile in Profile::ALL {
        assert_eq!(profile.to_string().parse(), Ok(profile));
        assert!(!profile.describe().contains('\n'));
    }
    assert_eq!(Profile::ALL.into_iter().filter(|profile| profile.needs_region()).count(), 1);
    let error = "email-v2".parse::<Profile>().unwrap_err().to_string();
    assert!(error.starts_with("unknown normalisation profile 'email-v2' (known: email-v1, "), "{error}");
    assert!(Profile::ALL.iter().all(|profile| error.contains(profile.as_str())), "{error}");
    assert!("Email-v1".parse::<Profile>().is_err());
}

#[test]
fn reasons_have_codes_and_words_of_their_own() {
    let codes: BTreeSet<_> = InvalidReason::ALL.iter().map(|reason| reason.as_code()).collect();
    let words: BTreeSet<_> = InvalidReason::ALL.iter().map(ToString::to_string).collect();
    assert_eq!((codes.len(), words.len()), (InvalidReason::ALL.len(), InvalidReason::ALL.len()));
    assert!(codes.iter().all(|code| code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))));
}

#[test]
fn debug_shows_nothing_of_an_identifier() {
    let normalization = Profile::ExactV1.normalize(b"secret", None);
    assert_eq!(format!("{normalization:?}"), "Valid(NormalizedIdentifier(..))");
}

#[test]
fn regions_are_known_by_their_code_in_capitals_only() {
    for region in ["BE", "US", "GB", "XK"] {
        assert!(region_is_known(region), "{region}");
    }
    for region in ["be", "Be", "BEL", "B", "", "001", "ZZ", "XX", "UK", "B\u{45}\u{301}", "\u{ff22}\u{ff25}"] {
        assert!(!region_is_known(region), "{region}");
    }
}

/// Characters that normalisation does something to, and those of addresses and numbers.
fn awkward() -> impl Strategy<Value = String> {
    let awkward: Vec<char> = "@.@.@.+-_'\"()<>/#,;:aAzZeEiIsSkKxnXN0123456789 \t\r\n\0\u{b}\u{c}\u{1f}\u{7f}\u{85}\u{a0}\u{a8}\u{ad}\
        ßẞıİſΣσςÀéñÅΩøŒǅΐΰϓ\u{300}\u{301}\u{307}\u{308}\u{30c}\u{323}\u{327}\u{340}\u{344}\u{345}\u{34f}\u{61c}٠١٢\
        \u{fb03}\u{fb05}＠．ＡａＺ０９。｡㎏℡℀⒈½²ᴬ\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{202a}\u{202c}\u{2028}\u{2060}\u{2011}\
        \u{3000}\u{feff}\u{fffd}\u{fe0f}\u{fdfa}ὨᾼᾳῃΆ가\u{1100}\u{1161}\u{11a8}例אש١😀👨\u{1f1e7}𝐀ꭰᎠ\u{10400}\u{1e9b}"
        .chars()
        .collect();
    prop::collection::vec(prop::sample::select(awkward), 0..24).prop_map(String::from_iter)
}

/// Something like an address.
fn address_like() -> impl Strategy<Value = String> {
    let domain = prop_oneof![
        "([a-zA-Z0-9éßΣ]{1,8}|xn--[a-z0-9-]{1,10})[.。．][a-zA-Z]{2,5}[.]?",
        "(gmail|GoogleMail|ｇmail)[.。]com[.]?",
    ];
    (awkward(), "[@＠]", domain).prop_map(|(local, at, domain)| local.replace(['@', '＠', ' '], "") + &at + &domain)
}

/// Something like a telephone or account number.
fn number_like() -> impl Strategy<Value = String> {
    prop_oneof!["[+]?[0-9 ()./-]{3,20}", "[+０-９٠-٩0-9]{5,16}", "[A-Za-z]{2}[0-9]{2}[ A-Z0-9]{8,30}"]
}

proptest! {
    #![proptest_config(seeded(4096))]

    #[test]
    fn a_normalised_value_normalises_to_itself(
        value in prop_oneof![awkward(), address_like(), number_like(), any::<String>()],
        region in prop::sample::select(vec![None, Some("BE"), Some("US"), Some("IT"), Some("AR"), Some("MX"), Some("RU")]),
    ) {
        for profile in Profile::ALL {
            if let Outcome::Valid(normal) = outcome(profile, value.as_bytes(), region) {
                prop_assert!(!normal.is_empty());
                for region in [region, None] {
                    prop_assert_eq!(outcome(profile, &normal, region), Outcome::Valid(normal.clone()), "{}", profile);
                }
            }
        }
    }

    #[test]
    fn blanks_around_a_value_change_nothing(
        value in prop_oneof![awkward(), address_like(), number_like()],
        before in "[ \t\u{a0}\u{200b}\u{feff}]{0,3}",
        after in "[ \r\n\u{3000}\u{200e}\u{ad}]{0,3}",
    ) {
        let padded = format!("{before}{value}{after}");
        for profile in Profile::ALL.into_iter().filter(|profile| *profile != Profile::ExactV1) {
            let plain = outcome(profile, value.as_bytes(), Some("BE"));
            prop_assert_eq!(outcome(profile, padded.as_bytes(), Some("BE")), plain, "{}", profile);
        }
    }

    #[test]
    fn no_bytes_make_a_profile_panic(value in prop::collection::vec(any::<u8>(), 0..80), region in "[A-Z]{2}|.{0,3}") {
        for profile in Profile::ALL {
            let found = outcome(profile, &value, Some(&region));
            prop_assert_eq!(found == Outcome::Empty, value.is_empty() || {
                let text = std::str::from_utf8(&value).unwrap_or("not empty");
                profile != Profile::ExactV1 && text.chars().all(chars::is_blank)
            });
        }
    }

    #[test]
    fn the_profiles_of_email_v1_agree_about_what_an_address_is(value in address_like()) {
        let plain = outcome(Profile::EmailV1, value.as_bytes(), None);
        let hashed = outcome(Profile::EmailSha256V1, value.as_bytes(), None);
        match plain {
            Outcome::Valid(normal) => {
                let hash = hex::encode(Sha256::digest(&normal)).into_bytes();
                prop_assert_eq!(hashed, Outcome::Valid(hash));
                let folded = outcome(Profile::EmailGmailV1, value.as_bytes(), None);
                prop_assert_eq!(folded, outcome(Profile::EmailGmailV1, &normal, None));
            }
            other => prop_assert_eq!(hashed, other),
        }
    }
}
