//! Datasets that a holder's own program would never write: what the workload makes of them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{fs, path::PathBuf, sync::Arc};

use datafuse_core::{
    dataset::{DatasetEnvelope, DatasetHeader, DatasetSecret},
    id::Epoch,
    keys::{KeyId, PartyKeys},
    token::{Token, Tokenizer},
};
use datafuse_engine::{
    dataset::protected::{DatasetCounts, KindCounts, ProtectedWriter, token_column},
    runtime::Limits,
};
use datafuse_lab::{demo::demo, generate::GenerateSpec};
use datafuse_space::{Layout, Space, keyfile, mailbox};
use datafuse_workload::{Error, Options, Workload, event::Event, process};
use rand_core::UnwrapErr;

/// A space in which everything went well, and the means to forge a dataset of its holder `globex`.
struct Forge {
    folder: tempfile::TempDir,
    space: Space,
    holder: PartyKeys,
}

/// What is wrong with a forged dataset; everything else is as it should be.
#[derive(Default)]
struct Fault {
    key_id: Option<KeyId>,
    epoch: Option<u64>,
    version: Option<u64>,
    keys: Option<PartyKeys>,
    token: Option<[u8; 32]>,
}

impl Forge {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = GenerateSpec { holders: 2, rows: 50, overlap: 0.5, seed: 3 };
        let made = demo(&spec, folder.path(), &Limits::default(), &(Arc::new(|_| {}) as _)).unwrap();
        assert!(made.differences.is_empty());
        let space = Space::read(&folder.path().join("space.yaml")).unwrap();
        let holder = keyfile::read(&folder.path().join("keys/globex.key"), &mut keyfile::no_passphrase).unwrap();
        Self { folder, space, holder }
    }

    fn dataset(&self) -> PathBuf {
        self.folder.path().join("datasets/globex.parquet")
    }

    fn forge(&self, fault: Fault) {
        let root = self.space.root();
        let mailbox = mailbox::open(&Layout::new(&self.space).mailbox).unwrap();
        let bytes = mailbox.read(&mailbox::announcement_name(&root)).unwrap().unwrap();
        let announced =
            datafuse_core::announcement::Announcement::verify(&bytes, &root, self.space.workload()).unwrap();
        let kind = &self.space.kinds()[0];
        let key = fault.keys.as_ref().unwrap_or(&self.holder).token().token_key(&root, Epoch(1)).unwrap();
        let mut rng = UnwrapErr(getrandom::SysRng);
        let secret = DatasetSecret::generate(key.canary(&root, Epoch(1)), &mut rng);
        let header = DatasetHeader {
            root,
            epoch: Epoch(fault.epoch.unwrap_or(1)),
            holder: self.holder.identity().public_name(),
            dataset: "customers".parse().unwrap(),
            version: fault.version.unwrap_or(2),
            kinds: DatasetHeader::kinds_of(self.space.kinds()),
            key_id: fault.key_id.unwrap_or_else(|| self.holder.token().key_id()),
        };
        let envelope =
            DatasetEnvelope::seal(header, &secret, &announced.dataset_key, self.holder.identity(), &mut rng).unwrap();

        let datafuse_core::normalize::Normalization::Valid(identifier) = kind.normalize(&[Some(b"ada@example.com")])
        else {
            panic!("valid")
        };
        let honest = Tokenizer::new(&root, kind, key).tokenize(&[identifier]).remove(0);
        let tokens = [*honest.as_bytes(), fault.token.unwrap_or(*honest.as_bytes())];
        let kinds = [kind.name().clone()];
        let mut writer = ProtectedWriter::create(
            &self.dataset(),
            &arrow::datatypes::Schema::empty(),
            &kinds,
            &secret.file_key,
            envelope.encode(),
        )
        .unwrap();
        let column = arrow::array::FixedSizeBinaryArray::try_from_iter(tokens.iter()).unwrap();
        assert_eq!(column.value_length(), Token::BYTES as i32);
        assert_eq!(writer.schema().field(1).name(), &token_column(kind.name()));
        let columns: Vec<arrow::array::ArrayRef> =
            vec![Arc::new(arrow::array::UInt64Array::from(vec![1, 2])), Arc::new(column)];
        let batch = arrow::array::RecordBatch::try_new(Arc::clone(writer.schema()), columns).unwrap();
        writer.write(&batch).unwrap();
        let counts = DatasetCounts {
            rows: 2,
            kinds: [(kind.name().clone(), KindCounts::default())].into(),
            ..DatasetCounts::default()
        };
        writer.finish(&counts).unwrap();
    }

    fn fuse(&self) -> Result<(), Error> {
        let keys = keyfile::read(&self.folder.path().join("keys/workload.key"), &mut keyfile::no_passphrase).unwrap();
        let options = Options {
            limits: Limits::default(),
            outputs: None,
            state: None,
            allow_hosts: Vec::new(),
            delivery: Default::default(),
        };
        let mut workload = Workload::open(self.space.clone(), keys, options)?;
        let event = Event::new("forged".parse()?, "FUSE", serde_json::Map::new(), None)?;
        process(&mut workload, &event, &|_| {}).map(drop)
    }

    /// Forges, and checks that nothing of it came into the store.
    fn refused(&self, fault: Fault) -> Error {
        let store = self.folder.path().join("state/fused");
        let files = || {
            let mut names: Vec<_> = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = files();
        self.forge(fault);
        let error = self.fuse().unwrap_err();
        assert_eq!(files(), before);
        assert!(error.remedy().is_some());
        error
    }
}

fn other_keys() -> PartyKeys {
    PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng))
}

#[test]
fn an_honest_dataset_is_fused() {
    let forge = Forge::new();
    forge.forge(Fault::default());
    forge.fuse().unwrap();
}

#[test]
fn a_canary_that_disagrees_is_refused_with_both_names() {
    let error = Forge::new().refused(Fault { keys: Some(other_keys()), ..Fault::default() });
    assert!(matches!(&error, Error::CanaryDisagrees { other, .. } if other == "acme"), "{error}");
    assert!(error.to_string().contains("'globex'"), "{error}");
}

#[test]
fn a_token_that_is_no_group_element_or_the_identity_is_named_by_its_row() {
    for (token, words) in [([0xff; 32], "not"), ([0; 32], "identity")] {
        let error = Forge::new().refused(Fault { token: Some(token), ..Fault::default() }).to_string();
        assert!(error.contains("token_email") && error.contains("row 2") && error.contains(words), "{error}");
        assert!(!error.contains("ff, ff") && !error.contains("ffff"), "{error}");
    }
}

#[test]
fn another_key_id_or_epoch_or_an_older_version_is_refused_by_name() {
    let forge = Forge::new();
    for (fault, words) in [
        (Fault { key_id: Some(other_keys().token().key_id()), ..Fault::default() }, "of another key id"),
        (Fault { epoch: Some(2), ..Fault::default() }, "of another epoch"),
        (Fault { version: Some(1), ..Fault::default() }, "version 1 was already accepted"),
    ] {
        let error = forge.refused(fault).to_string();
        assert!(error.contains(words) && error.contains("'globex'"), "{error}");
    }
}
