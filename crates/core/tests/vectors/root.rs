//! `root_v1.json`.

use datafuse_core::{
    kind::{Column, Kind},
    lp::Lp,
    name::PublicName,
    root::{Founding, Root},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512_256};

use super::harness::{Hex, bytes, check, party};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    space_id: String,
    nonce: Hex,
    workload: PublicName,
    stewards: Vec<PublicName>,
    kinds: Vec<KindForm>,
    hashed: Hex,
    root: Hex,
}

/// A kind as the files show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KindForm {
    name: String,
    columns: Vec<ColumnForm>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnForm {
    name: String,
    profile: String,
    default_region: Option<String>,
}

impl KindForm {
    pub(crate) fn single(name: &str, profile: &str, region: Option<&str>) -> Self {
        Self::new(name, &[(name, profile, region)])
    }

    fn new(name: &str, columns: &[(&str, &str, Option<&str>)]) -> Self {
        let columns = columns.iter().map(|(name, profile, region)| ColumnForm {
            name: (*name).to_owned(),
            profile: (*profile).to_owned(),
            default_region: region.map(str::to_owned),
        });
        Self { name: name.to_owned(), columns: columns.collect() }
    }

    pub(crate) fn kind(&self) -> Kind {
        let columns = self.columns.iter().map(|column| Column {
            name: column.name.clone(),
            profile: column.profile.parse().unwrap(),
            default_region: column.default_region.clone(),
        });
        Kind::new(self.name.parse().unwrap(), columns.collect()).unwrap()
    }

    /// What is hashed of it: name, and the list of its columns' names, profiles and regions.
    fn hashed(&self) -> Vec<u8> {
        let columns = self.columns.iter().map(|column| {
            let region = column.default_region.as_deref().unwrap_or_default();
            let fields = [column.name.as_bytes(), column.profile.as_bytes(), region.as_bytes()];
            fields.into_iter().fold(Lp::default(), Lp::field).into_bytes()
        });
        Lp::default().field(self.name.as_bytes()).list(columns).into_bytes()
    }
}

#[test]
fn roots_are_those_of_the_vectors() {
    let name = |seed| party(seed).identity().public_name();
    let email = || KindForm::single("email", "email-v1", None);
    let phone = |region| KindForm::single("phone", "phone-e164-v1", Some(region));
    let person = || {
        KindForm::new(
            "person",
            &[("surname", "text-v1", None), ("birth_date", "exact-v1", None), ("mobile", "phone-e164-v1", Some("BE"))],
        )
    };
    let vector = |note: &str, nonce: &str, stewards: &[u64], kinds| Vector {
        note: note.to_owned(),
        space_id: "retail-2026".to_owned(),
        nonce: bytes::<32>(nonce).into(),
        workload: name(1),
        stewards: stewards.iter().map(|seed| name(*seed)).collect(),
        kinds,
        hashed: Hex::default(),
        root: Hex::default(),
    };
    let vectors = vec![
        vector("one kind, two stewards", "nonce", &[2, 3], vec![email()]),
        vector("an imitation: another nonce", "other nonce", &[2, 3], vec![email()]),
        vector("the stewards' order matters", "nonce", &[3, 2], vec![email()]),
        vector("three stewards", "nonce", &[2, 3, 4], vec![email()]),
        vector(
            "several kinds, not in the order in which they are hashed",
            "nonce",
            &[2, 3],
            vec![phone("BE"), email(), person()],
        ),
        vector("a region matters", "nonce", &[2, 3], vec![phone("FR")]),
        Vector { space_id: "a".repeat(64), ..vector("a long id", "nonce", &[2, 3], vec![email()]) },
        Vector { workload: name(5), ..vector("another workload", "nonce", &[2, 3], vec![email()]) },
    ];
    let about =
        "The root of a space: SHA-512/256 over `hashed`, the lps of label, space id, nonce, workload, stewards, kinds.";
    check("root_v1.json", about, vectors, |mut vector| {
        let kinds: Vec<_> = vector.kinds.iter().map(KindForm::kind).collect();
        let root = Root::new(&Founding {
            id: &vector.space_id.parse().unwrap(),
            nonce: &vector.nonce.array(),
            workload: &vector.workload,
            stewards: &vector.stewards,
            kinds: &kinds,
        });
        let mut sorted = vector.kinds.clone();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let hashed = Lp::labelled("datafuse/v1/root")
            .field(vector.space_id.as_bytes())
            .field(&vector.nonce.0)
            .field(&vector.workload.to_bytes())
            .list(vector.stewards.iter().map(PublicName::to_bytes))
            .list(sorted.iter().map(KindForm::hashed))
            .into_bytes();
        assert_eq!(Sha512_256::digest(&hashed).as_slice(), root.as_bytes());
        vector.hashed = hashed.into();
        vector.root = root.as_bytes().into();
        vector
    });
}
