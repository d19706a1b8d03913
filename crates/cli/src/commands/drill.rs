//! `datafuse key drill`: plays the leak of keys, and tables what falls. It prints counts, never an identifier.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use datafuse_core::id::{KindName, ParticipantId};
use datafuse_engine::dataset::ReadOptions;
use datafuse_lab::{
    drill::{self, Case, Control, Dictionary, Leaked, Part, Purpose, Scene, Table},
    generate::TRUTH_FILE,
    truth::Truth,
};
use datafuse_space::Space;
use serde_json::json;

use crate::{
    args::DrillArgs,
    console::{Console, count},
    failure::{Code, Failure, Result},
    passphrase,
};

/// How the workload's key file is named with `--leak`, and how its file is.
const ALL_WORKLOAD: &str = "all-workload";
const WORKLOAD: &str = "workload";

pub(super) fn drill(args: &DrillArgs, console: &Console) -> Result<()> {
    let space = Space::read(&args.space)?;
    let leaks = leaks(args, &space)?;
    let columns = columns(args, &space)?;
    let dictionary = dictionary(args, &space, &columns)?;
    let evidence = drill::collect(&space, &args.logs)?;
    let bytes: usize = evidence.iter().map(|file| file.bytes.len()).sum();
    console.say(format_args!(
        "Trying {} identifiers on {} files of {} bytes in all",
        count(dictionary.len() as u64),
        count(evidence.len() as u64),
        count(bytes as u64)
    ));
    let scene = Scene::of(&space);
    let table = drill::drill(&Case { scene: &scene, evidence: &evidence, leaks: &leaks, dictionary: &dictionary });
    for what in &table.unread {
        console.warn(format_args!("the attack does not know the form of {what}, and passed it over"));
    }
    let keys: Vec<_> =
        table.keys.iter().map(|(key, confirmed)| json!({ "key": key, "confirmed": confirmed })).collect();
    let value = json!({
        "leak": args.leaks, "rows": table.rows, "control": table.control, "keys": keys,
        "fallen": table.fallen(), "whole": table.whole(), "contradictions": table.contradictions, "roots": table.roots,
    });
    console.result(&value, || text(&table));
    match table.control.passed {
        Some(false) => Err(control_failure(&table.control)),
        _ => Ok(()),
    }
}

fn leaks(args: &DrillArgs, space: &Space) -> Result<Vec<Leaked>> {
    let usage = |fact: String| {
        Failure::new(Code::Usage, fact, format!("--leak with a data holder's name, or --leak {ALL_WORKLOAD}"))
    };
    let mut files = BTreeMap::new();
    for given in &args.key {
        let (party, file) = given
            .split_once('=')
            .ok_or_else(|| Failure::new(Code::Usage, format!("--key {given} names no party"), "--key acme=acme.key"))?;
        files.insert(party, PathBuf::from(file));
    }
    let folder = args.keys.clone().unwrap_or_else(|| space.folder().join("keys"));
    let mut leaks = Vec::new();
    for party in &args.leaks {
        let is_workload = party == ALL_WORKLOAD;
        // A copy from before a change of name is what an old backup would leak.
        let names: Vec<_> = if is_workload {
            std::iter::once(space.workload()).chain(space.workload_former()).collect()
        } else {
            let holder = party.parse::<ParticipantId>().ok();
            let holder = holder.and_then(|id| space.participant(&id).ok()).filter(|holder| holder.is_holder());
            let holder = holder.ok_or_else(|| usage(format!("'{party}' is no data holder of this space")))?;
            holder.name.iter().chain(&holder.former).collect()
        };
        let name = if is_workload { WORKLOAD } else { party };
        let given = files.get(party.as_str()).or_else(|| files.get(name)).cloned();
        let path = given.unwrap_or_else(|| folder.join(format!("{name}.key")));
        if !path.exists() {
            let fact = format!("there is no key file at {}", path.display());
            let remedy = format!("--key {party}=FILE, or --keys DIR with {name}.key in it");
            return Err(Failure::new(Code::Configuration, fact, remedy));
        }
        let keys = passphrase::read_keys(&path, &args.passphrase)?;
        // With another party's keys the control would fail, and nobody would know why.
        if !names.contains(&&keys.identity().public_name()) {
            let fact = format!("{} is not the key file of {party} in this space", path.display());
            return Err(Failure::new(Code::Configuration, fact, format!("--key {party}=FILE with its own key file")));
        }
        leaks.push(Leaked::of(&keys, Part::All));
    }
    Ok(leaks)
}

/// Which columns hold a kind: `NAME` where the space has one kind, else `KIND=NAME`.
fn columns(args: &DrillArgs, space: &Space) -> Result<BTreeMap<KindName, Vec<String>>> {
    let mut columns = BTreeMap::new();
    for given in &args.columns {
        let named = given.split_once('=').and_then(|(kind, names)| Some((space.kind(kind)?, names)));
        let (kind, names) = match (named, space.kinds()) {
            (Some(named), _) => named,
            (None, [only]) => (only, given.as_str()),
            _ => {
                let fact = format!("--column {given} names no identifier kind of the space");
                return Err(Failure::new(Code::Usage, fact, "--column KIND=NAME"));
            }
        };
        let names: Vec<String> = names.split(',').map(str::to_owned).collect();
        if names.len() != kind.columns().len() {
            let fact = format!("'{}' has {} columns, not {}", kind.name(), kind.columns().len(), names.len());
            return Err(Failure::new(Code::Usage, fact, format!("--column {}=NAME[,NAME]", kind.name())));
        }
        columns.insert(kind.name().clone(), names);
    }
    Ok(columns)
}

fn dictionary(args: &DrillArgs, space: &Space, columns: &BTreeMap<KindName, Vec<String>>) -> Result<Dictionary> {
    let mut dictionary = Dictionary::new(space.kinds());
    let truth = args.truth.clone().unwrap_or_else(|| space.folder().join(TRUTH_FILE));
    let truth = if truth.is_dir() { truth.join(TRUTH_FILE) } else { truth };
    if truth.exists() {
        let folder = truth.parent().unwrap_or(Path::new("."));
        // The columns are the dictionary's where one is given.
        let none = BTreeMap::new();
        let own = if args.dictionary.is_some() { &none } else { columns };
        dictionary.read_example(&Truth::read(&truth)?, folder, own, args.dictionary.is_none())?;
    } else if args.truth.is_some() {
        let fact = format!("{} is not there", truth.display());
        return Err(Failure::new(Code::Configuration, fact, "--truth with the truth.json of example data"));
    } else if args.dictionary.is_none() {
        return Err(datafuse_lab::Error::NoDictionary { path: truth }.into());
    }
    if let Some(path) = &args.dictionary {
        if !path.exists() {
            let fact = format!("dictionary not found: {}", path.display());
            return Err(Failure::new(Code::Configuration, fact, "--dictionary FILE, with a column of identifiers"));
        }
        if dictionary.read(path, &ReadOptions::default(), columns, Purpose::Try)? == 0 {
            return Err(datafuse_lab::Error::NoIdentifiers { path: path.clone() }.into());
        }
    }
    Ok(dictionary)
}

fn text(table: &Table) -> String {
    let mut text = format!(
        "\n{:<10} {:<16} {:>12} {:>12} {:>12} {:>12}\n",
        "artifact", "party", "recovered", "identifiers", "kept", "linked"
    );
    for row in &table.rows {
        let identifiers = row.identifiers.map_or_else(|| "?".to_owned(), count);
        text.push_str(&format!(
            "{:<10} {:<16} {:>12} {identifiers:>12} {:>12} {:>12}\n",
            row.artifact.as_str(),
            row.party.as_str(),
            count(row.recovered),
            count(row.kept),
            count(row.linked),
        ));
    }
    text.push('\n');
    let list = |parties: Vec<String>| if parties.is_empty() { "nobody".to_owned() } else { parties.join(", ") };
    let share = |party: &ParticipantId| {
        let of = table.rows.iter().find(|row| row.party == *party).and_then(|row| row.identifiers);
        let of = of.map_or_else(String::new, |of| format!(" of {}", count(of)));
        format!("{party} ({}{of})", count(table.most(party)))
    };
    let fallen = list(table.fallen().into_iter().map(share).collect());
    let whole = list(table.whole().into_iter().map(ToString::to_string).collect());
    text.push_str(&format!("Identifiers fell of:    {fallen}\nNone was found of:      {whole}\n"));
    let seen = |of: &dyn Fn(&drill::Row) -> u64| {
        let parties: std::collections::BTreeSet<_> =
            table.rows.iter().filter(|row| of(row) > 0).map(|row| row.party.to_string()).collect();
        list(parties.into_iter().collect())
    };
    text.push_str(&format!("Kept columns read of:   {}\n", seen(&|row| row.kept)));
    text.push_str(&format!("Common customers seen:  {}\n", seen(&|row| row.linked)));
    let known = table.control.holders.iter().all(|holder| holder.expected.is_some());
    let control = match table.control.passed {
        Some(true) if known => "passed: of whoever's key leaked, everything that the dictionary holds was found",
        Some(true) => {
            "passed in part: of whoever's key leaked some was found; what more there is, is not known (--truth)"
        }
        Some(false) => "FAILED",
        None => "not played: no data holder's key leaked, or its dataset or its identifiers are not here",
    };
    text.push_str(&format!("Positive control:       {control}\n"));
    if table.contradictions + table.roots > 0 {
        text.push_str(&format!(
            "The protocol is broken: {} numbers contradict others, {} keys are known but for a root\n",
            table.contradictions, table.roots
        ));
    }
    text
}

fn control_failure(control: &Control) -> Failure {
    let missed = control.holders.iter().filter(|holder| holder.expected.is_none_or(|of| holder.recovered < of));
    let missed: Vec<_> = missed
        .map(|holder| {
            let of = holder.expected.map_or_else(String::new, |of| format!(" of {}", count(of)));
            format!("{} {}{of}", holder.party, count(holder.recovered))
        })
        .collect();
    let fact = format!("the attack is broken: with its own key it found of {}", missed.join(", of "));
    Failure::new(
        Code::Internal,
        fact,
        "check that the truth and the dictionary are of the data that was protected; if they are, report this",
    )
}
