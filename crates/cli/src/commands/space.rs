//! `datafuse space init`, `check` and `schema`.

use std::{fs::File, io::Write};

use datafuse_core::{
    id::ParticipantId,
    kind::{Column, Kind},
    name::PublicName,
    normalize::Profile,
};
use datafuse_engine::contract::Contract;
use datafuse_space::{Draft, Severity, Space, agreement, check, make_folder};
use serde_json::json;

use crate::{
    args::{SpaceCommand, SpaceInitArgs},
    console::Console,
    failure::{Code, Failure, Result},
};

pub(super) fn space(command: SpaceCommand, console: &Console) -> Result<()> {
    match command {
        SpaceCommand::Init(args) => init(*args, console),
        SpaceCommand::Check { space } => {
            let (parsed, mut findings) = check::check_file(&space);
            if let Some(parsed) = &parsed {
                findings.extend(contract_findings(parsed));
                findings.sort_by_key(|finding| finding.severity);
            }
            let list: Vec<_> = findings
                .iter()
                .map(|finding| {
                    json!({ "severity": finding.severity.to_string(), "place": finding.place,
                            "message": finding.message, "try": finding.remedy })
                })
                .collect();
            let value = json!({ "space": space, "root": parsed.as_ref().map(|space| space.root().to_string()), "findings": list });
            console.result(&value, || {
                let mut text = String::new();
                for finding in &findings {
                    let (severity, place) = (finding.severity, &finding.place);
                    text.push_str(&format!(
                        "{severity:8} {place}: {}\n         Try: {}\n",
                        finding.message, finding.remedy
                    ));
                }
                match &parsed {
                    Some(parsed) if findings.iter().all(|finding| finding.severity != Severity::Error) => {
                        text.push_str(&format!("{} holds together; root {}\n", space.display(), parsed.root()));
                    }
                    _ => {}
                }
                text
            });
            let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
            if errors == 0 {
                return Ok(());
            }
            let fact = format!("{} does not hold together ({errors} errors)", space.display());
            Err(Failure::new(Code::Configuration, fact, "mend what is listed above, then check again"))
        }
        SpaceCommand::Schema => {
            let schema = agreement::schema();
            let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            console.result(&schema, || format!("{text}\n"));
            Ok(())
        }
    }
}

/// What is wrong with the data contracts that the agreement names.
fn contract_findings(space: &Space) -> Vec<check::Finding> {
    let mut findings = Vec::new();
    for (holder, participant) in space.holders() {
        for (dataset, described) in &participant.datasets {
            let Some(path) = &described.contract else { continue };
            if let Err(error) = Contract::read(&space.folder().join(path)) {
                findings.push(check::Finding {
                    severity: Severity::Error,
                    place: format!("participants.{holder}.datasets.{dataset}.contract"),
                    message: error.to_string(),
                    remedy: error.remedy().unwrap_or_default(),
                });
            }
        }
    }
    findings
}

fn init(args: SpaceInitArgs, console: &Console) -> Result<()> {
    let mut draft = Draft::new(args.id, args.workload);
    draft.holders = args.holders.iter().map(|holder| parse_holder(holder)).collect::<Result<_>>()?;
    draft.stewards = args.stewards;
    draft.users = args.users;
    draft.kinds = args.identifiers.iter().map(|kind| parse_kind(kind)).collect::<Result<_>>()?;
    draft.min_count = args.min_count;
    draft.shared = args.shared.map(|shared| std::path::absolute(&shared).unwrap_or(shared));
    if let Some(shared) = &draft.shared {
        // Where there is nothing to make it in, `space check` says so on each party's machine.
        let _ = make_folder(shared);
    }
    let space = Space::found(draft, Space::draw_nonce()?)?;
    let failed = |source| Failure::file("write", &args.out, &source);
    let mut file = File::create_new(&args.out).map_err(failed)?;
    file.write_all(space.to_yaml().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    let stewards: Vec<_> = space.stewards().map(|(id, _)| id.to_string()).collect();
    let value = json!({ "space": args.out, "id": space.id().to_string(), "root": space.root().to_string(), "stewards": stewards });
    console.result(&value, || {
        format!(
            "{} written: root {}, stewards {}.\nGive the same file to every participant and to the workload's operator; then: datafuse space check\n",
            args.out.display(),
            space.root(),
            stewards.join(" and ")
        )
    });
    Ok(())
}

fn parse_holder(text: &str) -> Result<(ParticipantId, PublicName)> {
    let Some((id, name)) = text.split_once('=') else {
        let fact = format!("--holder '{text}' is not NAME=DFPUB");
        return Err(Failure::new(Code::Usage, fact, "--holder acme=dfpub1..."));
    };
    Ok((id.parse()?, name.parse()?))
}

/// `email`, `phone=phone-e164-v1:BE`, `person=surname:text-v1,birth_date:exact-v1`.
fn parse_kind(text: &str) -> Result<Kind> {
    let (name, rest) = text.split_once('=').unwrap_or((text, ""));
    let kind = name.parse()?;
    if rest.is_empty() {
        let profile = match name {
            "email" => Profile::EmailV1,
            "iban" => Profile::IbanV1,
            "phone" => {
                let fact = "--identifier phone needs the region of national numbers";
                return Err(Failure::new(Code::Usage, fact, "--identifier phone=phone-e164-v1:BE"));
            }
            _ => {
                let fact = format!("--identifier '{name}' needs a profile");
                return Err(Failure::new(
                    Code::Usage,
                    fact,
                    format!("--identifier {name}=text-v1 (or {})", profiles()),
                ));
            }
        };
        return Ok(Kind::single(kind, profile, None));
    }
    let mut parts = rest.split(':');
    if let Some(Ok(profile)) = parts.next().map(str::parse::<Profile>) {
        let region = parts.next().map(str::to_owned);
        if parts.next().is_none() {
            return Ok(Kind::single(kind, profile, region));
        }
    }
    let columns = rest
        .split(',')
        .map(|column| {
            let mut parts = column.split(':');
            match (parts.next(), parts.next().map(str::parse::<Profile>), parts.next(), parts.next()) {
                (Some(name), Some(Ok(profile)), region, None) if !name.is_empty() => {
                    Ok(Column { name: name.to_owned(), profile, default_region: region.map(str::to_owned) })
                }
                _ => {
                    let fact = format!("--identifier '{text}': '{column}' is neither a profile nor COLUMN:PROFILE");
                    let remedy =
                        format!("--identifier {name}=COLUMN:PROFILE,COLUMN:PROFILE with one of {}", profiles());
                    Err(Failure::new(Code::Usage, fact, remedy))
                }
            }
        })
        .collect::<Result<_>>()?;
    Ok(Kind::new(kind, columns)?)
}

fn profiles() -> String {
    Profile::ALL.iter().map(|profile| profile.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kinds_are_read_in_all_three_forms() {
        assert_eq!(parse_kind("email").unwrap().profile(), "email-v1");
        let phone = parse_kind("phone=phone-e164-v1:BE").unwrap();
        assert_eq!(phone.columns()[0].default_region.as_deref(), Some("BE"));
        let person = parse_kind("person=surname:text-v1,birth_date:exact-v1").unwrap();
        assert_eq!(person.columns().len(), 2);
        assert_eq!(person.profile(), "text-v1+exact-v1");
    }

    #[test]
    fn other_kinds_are_refused_with_the_flag() {
        for wrong in
            ["phone", "person", "person=surname", "person=surname:no-such-profile", "e mail", "email=email-v1:BE:x"]
        {
            let failure = parse_kind(wrong).unwrap_err();
            assert_eq!(failure.code, Code::Usage, "{wrong}");
            assert!(failure.remedy.is_some(), "{wrong}");
        }
    }
}
