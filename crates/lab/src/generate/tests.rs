//! The written files against the truth, by a reading of them that shares no code with the project: the `csv` crate, `trim` and
//! `to_lowercase`, and sets.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::*;

fn generated(spec: &GenerateSpec) -> (Truth, BTreeMap<String, Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let truth = generate(spec, folder.path()).unwrap();
    assert_eq!(Truth::read(&folder.path().join(TRUTH_FILE)).unwrap(), truth);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder.path().join(SOURCE_FOLDER)).unwrap() {
        let entry = entry.unwrap();
        files.insert(entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    }
    files.insert(TRUTH_FILE.to_owned(), fs::read(folder.path().join(TRUTH_FILE)).unwrap());
    (truth, files)
}

/// The rows of a file, read as the truth says.
fn records(source: &SourceFile, bytes: &[u8]) -> Vec<csv::StringRecord> {
    let text = match source.encoding {
        SourceEncoding::Utf8 => String::from_utf8(bytes.to_vec()).unwrap(),
        SourceEncoding::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let delimiter = u8::try_from(source.delimiter).unwrap();
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap(), &COLUMNS[..]);
    reader.records().map(|record| record.unwrap()).collect()
}

/// What is surely an address: one `@` with something before it and a dotted domain after it.
fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.contains('@')
            && domain.split('.').count() > 1
            && domain.split('.').all(|label| !label.is_empty())
    })
}

#[test]
fn the_truth_is_what_a_plain_reading_of_the_files_finds() {
    for (holders, rows, overlap, seed) in
        [(2, 200, 0.25, 1), (2, 5_000, 0.0, 2), (3, 3_000, 0.3, 3), (5, 4_000, 0.4, 4), (9, 900, 1.0, 5)]
    {
        let (truth, files) = generated(&GenerateSpec { holders, rows, overlap, seed });
        let mut at: HashMap<String, BTreeSet<String>> = HashMap::new();
        for party in &truth.parties {
            let source = truth.source(&party.holder).unwrap();
            let (mut empty, mut invalid, mut duplicate) = (0, 0, 0);
            let mut own = HashSet::new();
            let records = records(source, &files[&source.file]);
            for record in &records {
                let email = record[2].trim().to_lowercase();
                match email.as_str() {
                    "" => empty += 1,
                    email if !is_address(email) => invalid += 1,
                    _ if !own.insert(email.clone()) => duplicate += 1,
                    _ => _ = at.entry(email).or_default().insert(party.holder.to_string()),
                }
            }
            assert_eq!(Some(records.len() as u64), party.rows);
            assert_eq!(
                (Some(empty), Some(invalid), Some(duplicate), Some(own.len() as u64)),
                (party.empty, party.invalid, party.duplicate, party.unique)
            );
        }
        let mut regions: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for set in at.values() {
            *regions.entry(set.iter().cloned().collect()).or_default() += 1;
        }
        let count = |filter: &dyn Fn(&[String]) -> bool| -> Option<u64> {
            Some(regions.iter().filter(|(set, _)| filter(set)).map(|(_, count)| count).sum())
        };
        let found: Vec<_> = regions.iter().map(|(set, count)| (set.clone(), Some(*count))).collect();
        let names = |holders: &[ParticipantId]| holders.iter().map(ToString::to_string).collect::<Vec<_>>();
        let told: Vec<_> = truth.overlap.regions.iter().map(|region| (names(&region.holders), region.count)).collect();
        assert_eq!(told, found);
        assert_eq!(truth.overlap.all, count(&|set| set.len() == holders));
        assert_eq!(truth.common_customers["by_email"], truth.overlap.all);
        assert_eq!(truth.overlap.pairwise.len(), holders * (holders - 1) / 2);
        assert!(truth.overlap.pairwise.is_sorted_by_key(|pair| (pair.a.clone(), pair.b.clone())));
        for pair in &truth.overlap.pairwise {
            assert!(pair.a < pair.b);
            assert_eq!(
                pair.count,
                count(&|set| set.contains(&pair.a.to_string()) && set.contains(&pair.b.to_string()))
            );
        }
        for entry in &truth.overlap.at_least {
            assert_eq!(entry.count, count(&|set| set.len() as u64 >= entry.holders));
        }
        for party in &truth.parties {
            let mine = |set: &[String]| set.contains(&party.holder.to_string()) && set.len() > 1;
            assert_eq!(party.matched, count(&mine));
            // The share asked for, to the nearest identifier.
            let asked = party.unique.unwrap() as f64 * overlap;
            assert!(
                (party.matched.unwrap() as f64 - asked).abs() <= 0.5 + 1e-6,
                "{} of {asked}",
                party.matched.unwrap()
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_others() {
    let spec = GenerateSpec { holders: 3, rows: 500, overlap: 0.3, seed: 11 };
    let (_, first) = generated(&spec);
    assert_eq!(generated(&spec).1, first);
    let (truth, other) = generated(&GenerateSpec { seed: 12, ..spec });
    assert_ne!(other["acme.csv"], first["acme.csv"]);
    assert_eq!(truth.generated.seed, 12);
}

#[test]
fn the_small_set_in_the_repository_is_generated() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let (_, files) = generated(&GenerateSpec { holders: 2, rows: 200, overlap: 0.25, seed: 1 });
    assert_eq!(files.len(), 3);
    for (name, bytes) in files {
        assert!(fs::read(data.join(&name)).unwrap() == bytes, "data/{name} is another; see data/README.md");
    }
}

#[test]
fn the_default_is_the_documented_example() {
    let spec = GenerateSpec::default();
    let Sorts { unique, duplicate, invalid, empty } = plan::sorts(0, spec.rows);
    assert_eq!((unique, duplicate, invalid, empty, spec.shared(unique)), (20_000, 437, 12, 31, 4_210));
}

#[test]
fn mistakes_are_in_the_files() {
    let (truth, files) = generated(&GenerateSpec { holders: 3, rows: 3_000, overlap: 0.3, seed: 21 });
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    assert!(
        text(&files["globex.csv"]).contains("\r\n\r\n") && text(&files["acme.csv"]).contains("\n\n"),
        "blank lines"
    );
    assert!(String::from_utf8(files["globex.csv"].clone()).is_err(), "Latin-1");
    assert!(files["initech.csv"].starts_with("\u{feff}customer_id,".as_bytes()), "byte order mark");
    let (mut capital, mut spaced, mut upper, mut accented, mut no_phone) = (0, 0, 0, 0, 0);
    for source in &truth.sources {
        for record in records(source, &files[&source.file]) {
            let email = &record[2];
            capital += u32::from(email.trim().chars().next().is_some_and(char::is_uppercase));
            upper += u32::from(email.contains('@') && *email == email.to_ascii_uppercase());
            spaced += u32::from(!email.trim().is_empty() && email.trim() != email);
            accented += u32::from(!email.is_ascii());
            no_phone += u32::from(record[3].is_empty());
            assert!(record[3].is_empty() || record[3].starts_with('+'));
            assert!(
                source.encoding == SourceEncoding::Utf8 || email.is_ascii(),
                "identifiers of the Latin-1 file are plain"
            );
            assert!(record[5].parse::<f64>().is_ok());
        }
    }
    for (what, count) in
        [("capital", capital), ("upper", upper), ("spaced", spaced), ("accented", accented), ("no phone", no_phone)]
    {
        assert!((50..2_500).contains(&count), "{what}: {count}");
    }
}

#[test]
fn polish_letters_lose_their_accent_in_latin1() {
    let bytes: Vec<_> = "Łódź, Göteborg, Kraków".chars().map(latin1).collect();
    assert_eq!(bytes, b"L\xf3dz, G\xf6teborg, Krak\xf3w");
}

#[test]
fn refuses_numbers_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    let good = GenerateSpec { holders: 2, rows: 10, overlap: 0.5, seed: 0 };
    for (spec, flag) in [
        (GenerateSpec { holders: 1, ..good }, "--holders"),
        (GenerateSpec { rows: 0, ..good }, "--rows"),
        (GenerateSpec { overlap: 1.01, ..good }, "--overlap"),
        (GenerateSpec { overlap: f64::NAN, ..good }, "--overlap"),
    ] {
        let error = generate(&spec, folder.path()).unwrap_err();
        assert!(error.remedy().unwrap().starts_with(flag), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn files_of_one_row_work() {
    for holders in [2, 6] {
        let (truth, _) = generated(&GenerateSpec { holders, rows: 1, overlap: 1.0, seed: 3 });
        assert_eq!(truth.overlap.all, Some(1));
    }
}

/// The spelling mistakes are those that `email-v1` sees through, the spoilt addresses those that it refuses; and every telephone
/// number is one.
#[test]
fn the_profiles_take_the_values_as_the_truth_does() {
    use datafuse_core::normalize::{Normalization, Profile};

    let (truth, files) = generated(&GenerateSpec { holders: 4, rows: 3_000, overlap: 0.3, seed: 31 });
    for party in &truth.parties {
        let source = truth.source(&party.holder).unwrap();
        let (mut empty, mut invalid, mut distinct, mut phones) = (0, 0, HashSet::new(), HashSet::new());
        for record in records(source, &files[&source.file]) {
            match Profile::EmailV1.normalize(record[2].as_bytes(), None) {
                Normalization::Empty => empty += 1,
                Normalization::Invalid(_) => invalid += 1,
                Normalization::Valid(email) => _ = distinct.insert(email.preview().to_vec()),
            }
            match Profile::PhoneE164V1.normalize(record[3].as_bytes(), None) {
                Normalization::Empty => assert_eq!(&record[3], ""),
                Normalization::Invalid(reason) => panic!("{}: {reason}", &record[3]),
                Normalization::Valid(phone) => _ = phones.insert(phone.preview().to_vec()),
            }
        }
        assert_eq!(
            (Some(empty), Some(invalid), Some(distinct.len() as u64)),
            (party.empty, party.invalid, party.unique)
        );
        assert!(phones.len() > 2_500);
    }
}
