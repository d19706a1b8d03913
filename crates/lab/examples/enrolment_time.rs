#![forbid(unsafe_code)]
//! Times a whole enrolment through a folder, all parties and the workload one after another: `benches/enrolment.sh`.
//!
//! In: numbers of holders, as arguments. Out: a line of a table for each, with the time of the stewards, of all holders and of
//! the workload, and what that is for each holder. Every party opens its own copy of everything, as separate machines would.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use datafuse_core::{id::ParticipantId, keys::PartyKeys, kind::Kind, normalize::Profile};
use datafuse_engine::runtime::Limits;
use datafuse_holder::{Party, enrol::enrol};
use datafuse_space::{Draft, Memory, Space, keyfile};
use datafuse_workload::{Options, Outcome, Workload, event::Event, process};
use rand_core::UnwrapErr;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    println!("| holders | stewards s | holders s | workload s | in all s | ms a holder |");
    println!("| ------: | ---------: | --------: | ---------: | -------: | ----------: |");
    for argument in std::env::args().skip(1) {
        let holders: usize = argument.parse()?;
        let [stewards, others, workload] = time(holders)?;
        let all = stewards + others + workload;
        println!(
            "| {holders} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} |",
            stewards.as_secs_f64(),
            others.as_secs_f64(),
            workload.as_secs_f64(),
            all.as_secs_f64(),
            all.as_secs_f64() * 1000.0 / holders as f64
        );
    }
    Ok(())
}

/// Enrols so many holders, the first two of them stewards.
fn time(holders: usize) -> Result<[Duration; 3]> {
    let folder = tempfile::tempdir()?;
    let names: Vec<ParticipantId> =
        (0..holders).map(|i| format!("holder-{i:04}").parse()).collect::<std::result::Result<_, _>>()?;
    found(folder.path(), &names)?;
    event(folder.path(), "INITIALIZE")?;
    let mut spent = [Duration::ZERO; 3];
    let mut timed = |slot: usize, work: &dyn Fn() -> Result<()>| {
        let began = Instant::now();
        work()?;
        spent[slot] += began.elapsed();
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    // The stewards let everybody in; the others answer; the first steward awaited the second's share.
    for name in &names[..2] {
        timed(0, &|| enrol_one(folder.path(), name))?;
    }
    for name in names[2..].iter().chain(&names[..1]) {
        timed(1, &|| enrol_one(folder.path(), name))?;
    }
    timed(2, &|| event(folder.path(), "ENROL"))?;
    // And everybody looks whether it is done.
    for name in &names {
        timed(1, &|| enrol_one(folder.path(), name))?;
    }
    let party = open(folder.path(), &names[0])?;
    assert!(enrol(&party, &mut |_| true)?.is_complete(), "everybody is enrolled");
    Ok(spent)
}

fn found(folder: &Path, names: &[ParticipantId]) -> Result<()> {
    let keygen = |name: &ParticipantId| {
        let keys = PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng));
        keyfile::create(&key_file(folder, name), &keys, "now", None)?;
        Ok::<_, datafuse_space::Error>(keys.identity().public_name())
    };
    let mut draft = Draft::new("enrolment".parse()?, keygen(&"workload".parse()?)?);
    for name in names {
        draft.holders.push((name.clone(), keygen(name)?));
    }
    draft.kinds.push(Kind::single("email".parse()?, Profile::EmailV1, None));
    let space = Space::found(draft, Space::draw_nonce()?)?;
    Ok(std::fs::write(folder.join("space.yaml"), space.to_yaml())?)
}

fn key_file(folder: &Path, name: &ParticipantId) -> std::path::PathBuf {
    folder.join(format!("{name}.key"))
}

fn open(folder: &Path, name: &ParticipantId) -> Result<Party> {
    let file = key_file(folder, name);
    let keys = keyfile::read(&file, &mut keyfile::no_passphrase)?;
    Ok(Party::open(Space::read(&folder.join("space.yaml"))?, name, keys, Memory::beside(&file))?)
}

fn enrol_one(folder: &Path, name: &ParticipantId) -> Result<()> {
    enrol(&open(folder, name)?, &mut |_| true)?;
    Ok(())
}

fn event(folder: &Path, name: &str) -> Result<()> {
    let keys = keyfile::read(&key_file(folder, &"workload".parse()?), &mut keyfile::no_passphrase)?;
    let options = Options {
        limits: Limits::default(),
        outputs: None,
        state: None,
        allow_hosts: Vec::new(),
        delivery: Default::default(),
    };
    let mut workload = Workload::open(Space::read(&folder.join("space.yaml"))?, keys, options)?;
    let event = Event::new(name.to_lowercase().parse()?, name, serde_json::Map::new(), None)?;
    if let Outcome::Collected(collected) = process(&mut workload, &event, &|_| {})? {
        assert!(collected.refused == 0, "nothing is refused");
    }
    Ok(())
}
