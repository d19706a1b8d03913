//! Controls: the same attacker against schemes that are broken on purpose, and against what must never lie about. An attacker
//! that finds nothing here would find nothing anywhere.

use std::{collections::BTreeSet, fs};

use datafuse_core::{
    announcement::Announcement,
    enrolment::contribute,
    id::{Epoch, ParticipantId},
    keys::{PartyKeys, TokenSecret},
    kind::Kind,
    message::{Header, Message, Round},
    normalize::{Normalization, Profile},
    root::Root,
    rotation::Rotation,
    token::Tokenizer,
};
use datafuse_engine::dataset::ReadOptions;
use datafuse_group::Scalar;
use datafuse_lab::drill::{Artifact, Case, Dictionary, Evidence, Leaked, Part, Purpose, Scene, Table, drill};
use hmac::{Hmac, KeyInit, Mac};
use rand_core::UnwrapErr;
use sha2::Sha256;

use crate::{WORKLOAD, assert_falls, world::World, worlds};

/// Three holders with 40 people each, 20 of them at the next one too.
struct Broken {
    holders: Vec<ParticipantId>,
    kind: Kind,
    dictionary: Dictionary,
}

impl Broken {
    fn new() -> Self {
        let kind = Kind::single("email".parse().unwrap(), Profile::EmailV1, None);
        let holders: Vec<ParticipantId> = ["acme", "globex", "initech"].map(|name| name.parse().unwrap()).into();
        let mut dictionary = Dictionary::new(std::slice::from_ref(&kind));
        for (number, holder) in holders.iter().enumerate() {
            for email in emails(number) {
                dictionary.add(0, &[Some(email.as_bytes())], Purpose::TryAsTruthOf(holder));
            }
        }
        Self { holders, kind, dictionary }
    }

    /// One file a holder, made of its e-mail addresses.
    fn datasets(&self, file: impl Fn(usize, Vec<String>) -> Vec<u8>) -> Vec<Evidence> {
        let of = |(number, holder): (usize, &ParticipantId)| Evidence {
            artifact: Artifact::Datasets,
            owner: Some(holder.clone()),
            name: format!("{holder}.dat"),
            bytes: file(number, emails(number)),
        };
        self.holders.iter().enumerate().map(of).collect()
    }

    fn drill(&self, evidence: &[Evidence], leaks: &[Leaked]) -> Table {
        let scene = Scene::of_another_scheme(self.holders.clone());
        drill(&Case { scene: &scene, evidence, leaks, dictionary: &self.dictionary })
    }

    fn assert_all(&self, table: &Table, recovered: u64) {
        for holder in &self.holders {
            assert_eq!(table.row(Artifact::Datasets, holder).unwrap().recovered, recovered, "{holder}");
        }
    }
}

fn emails(holder: usize) -> Vec<String> {
    (holder * 20..holder * 20 + 40).map(|person| format!("person{person}@example.com")).collect()
}

fn hmac(salt: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn a_shared_salt_falls_altogether_with_any_one_partys_key() {
    let (broken, salt) = (Broken::new(), [42; 32]);
    let lines = |spell: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        broken.datasets(|_, emails| emails.iter().flat_map(|email| spell(hmac(&salt, email.as_bytes()))).collect())
    };
    for evidence in [lines(&|digest| format!("{}\n", hex::encode(digest)).into_bytes()), lines(&|digest| digest)] {
        broken.assert_all(&broken.drill(&evidence, &[Leaked::bare(salt)]), 40);
        broken.assert_all(&broken.drill(&evidence, &[]), 0);
        broken.assert_all(&broken.drill(&evidence, &[Leaked::bare([43; 32])]), 0);
    }
}

#[test]
fn hashes_without_any_key_fall_without_any_leak() {
    let broken = Broken::new();
    let evidence = broken.datasets(|_, emails| {
        emails.iter().flat_map(|email| <sha2::Sha256 as sha2::Digest>::digest(email).to_vec()).collect()
    });
    broken.assert_all(&broken.drill(&evidence, &[]), 40);
}

#[test]
fn one_token_secret_for_all_falls_altogether_and_one_for_each_does_not() {
    let broken = Broken::new();
    let keys: Vec<_> = (0..3).map(|_| PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng))).collect();
    let delivered = |key: &dyn Fn(usize) -> usize| {
        broken.datasets(|holder, emails| {
            let root = Root::from_bytes([0; 32]);
            let key = keys[key(holder)].token().token_key(&root, Epoch(1)).unwrap();
            let normal = emails.iter().map(|email| match broken.kind.normalize(&[Some(email.as_bytes())]) {
                Normalization::Valid(identifier) => identifier,
                _ => panic!("valid"),
            });
            let tokens = Tokenizer::new(&root, &broken.kind, key).tokenize(&normal.collect::<Vec<_>>());
            tokens.iter().flat_map(|token| *token.as_bytes()).collect()
        })
    };
    let leaked = [Leaked::of(&keys[0], Part::All)];
    broken.assert_all(&broken.drill(&delivered(&|_| 0), &leaked), 40);
    let honest = broken.drill(&delivered(&|holder| holder), &leaked);
    let recovered = |holder: usize| honest.row(Artifact::Datasets, &broken.holders[holder]).unwrap().recovered;
    assert_eq!((recovered(0), recovered(1), recovered(2)), (40, 0, 0));
}

/// What lies about, with one log more.
fn with_log(world: &World, text: impl Into<Vec<u8>>) -> Vec<Evidence> {
    let mut evidence = world.everything();
    evidence.push(Evidence { artifact: Artifact::Logs, owner: None, name: "app.log".into(), bytes: text.into() });
    evidence
}

#[test]
fn a_matching_key_in_a_log_is_found_and_used() {
    let world = worlds().next().unwrap();
    let root = world.space.root();
    // s = v / r, of each steward's contribution for whomever.
    let number = |bytes: &[u8]| Scalar::from_canonical_bytes(bytes[bytes.len() - 32..].try_into().unwrap()).unwrap();
    let share = |steward: &ParticipantId| {
        let name = world.keys(world.newcomer.as_str()).identity().public_name();
        let (v, blind) = contribute(world.keys(steward.as_str()).share(), &root, Epoch(1), &name).unwrap();
        let blind = blind.encode();
        number(&v.encode()).mul(&number(&blind[..blind.len() - 34]).invert())
    };
    let shares: Vec<_> = world.stewards.iter().map(share).collect();
    let key = shares[1..].iter().fold(shares[0].clone(), |product, share| product.mul(share));
    let evidence = with_log(world, format!("level=debug key={}\n", hex::encode(key.to_bytes())));
    let table = world.drill(&evidence, &world.leak(&[WORKLOAD], Part::All));
    for holder in &world.holders {
        assert_eq!(table.row(Artifact::Fused, holder).unwrap().recovered, world.unique(holder));
    }
    // Without the workload's keys there is nothing that it could open.
    assert_falls(world, &world.drill(&evidence, &[]), &BTreeSet::new());
}

#[test]
fn a_recorded_rotation_leads_from_one_token_secret_to_the_other_and_from_none_to_nothing() {
    let world = worlds().next().unwrap();
    let (root, epoch) = (world.space.root(), Epoch(1));
    let before = world.keys(world.holders[0].as_str());
    let mut after = PartyKeys::decode(&before.encode()).unwrap();
    after.rotate(&mut UnwrapErr(getrandom::SysRng));
    let key = |secret: &TokenSecret| secret.token_key(&root, epoch).unwrap();
    let header = Header {
        root,
        epoch,
        round: Round::RotationToWorkload,
        sender: before.identity().public_name(),
        receiver: world.space.workload().clone(),
        subject: None,
        key_ids: vec![before.token().key_id(), after.token().key_id()],
        serial: 1,
    };
    let announced = fs::read(world.folder.path().join(format!("mailbox/announcement-{root}.cbor"))).unwrap();
    let announced = Announcement::verify(&announced, &root, world.space.workload()).unwrap();
    let payload = Rotation::new(&key(before.token()), &key(after.token())).encode();
    let rng = &mut UnwrapErr(getrandom::SysRng);
    let message = Message::seal(header, &payload, &announced.message_key, before.identity(), rng).unwrap();
    let mut evidence = world.everything();
    let name = message.header().message_name();
    evidence.push(Evidence { artifact: Artifact::Mailbox, owner: None, name, bytes: message.encode() });

    let mut leaks = world.leak(&[WORKLOAD], Part::All);
    assert_falls(world, &world.drill(&evidence, &leaks), &BTreeSet::new());
    // The next key alone, without the one that the datasets were made with.
    after.forget_former(true);
    leaks.push(Leaked::of(&after, Part::Tokens));
    assert_falls(world, &world.drill(&evidence, &leaks), &world.everybody().collect());
}

#[test]
fn a_key_file_in_a_log_is_found_and_used() {
    let world = worlds().next().unwrap();
    let leaked = &world.holders[1];
    let key_file = fs::read(world.folder.path().join(format!("keys/{leaked}.key"))).unwrap();
    let table = world.drill(&with_log(world, key_file), &[]);
    assert_falls(world, &table, &BTreeSet::from([leaked]));
}

#[test]
fn an_identifier_in_clear_is_found_wherever_it_stands() {
    let world = worlds().next().unwrap();
    let mut sources = Dictionary::new(world.space.kinds());
    let source = world.truth.source(&world.holders[0]).unwrap();
    let path = world.folder.path().join("source").join(&source.file);
    sources.read(&path, &ReadOptions::default(), &[].into(), Purpose::Try).unwrap();
    let text = fs::read(&path).unwrap();
    let table = world.drill(&with_log(world, text), &[]);
    let logs = table.row(Artifact::Logs, &world.holders[0]).unwrap();
    assert_eq!(logs.recovered, world.unique(&world.holders[0]));
    // Those that the other has too are known to be its customers as well.
    assert!(table.row(Artifact::Logs, &world.holders[1]).unwrap().recovered > 0);
}
