//! `datafuse token make` and `datafuse token open`: look-ups, on the side of who asks.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use datafuse_core::lookup::{Asked, Found, RefusedLookup, Reply, from_text};
use datafuse_holder::lookup::{ask, ask_bare, open_answer};
use datafuse_space::Space;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::party::{approve, open};
use crate::{
    args::{TokenCommand, TokenMakeArgs, TokenOpenArgs},
    console::{Console, count},
    failure::{Code, Failure, Result},
};

/// What is read of identifiers, requests and answers: far more than any has.
const MAX_BYTES: u64 = 1 << 20;

pub(super) fn token(command: &TokenCommand, console: &Console) -> Result<()> {
    match command {
        TokenCommand::Make(args) => make(args, console),
        TokenCommand::Open(args) => read_answer(args, console),
    }
}

fn make(args: &TokenMakeArgs, console: &Console) -> Result<()> {
    let party = open(&args.party)?;
    let text = match &args.file {
        Some(path) => read(path)?,
        None => read_from(&mut std::io::stdin().lock(), Path::new("standard input"))?,
    };
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    let approval = &mut |names: &[_]| approve(console, args.party.yes, names);
    let asked = match args.bare {
        true => ask_bare(&party, args.kind.as_ref(), &text, approval)?,
        false => ask(&party, args.kind.as_ref(), &text, now, approval)?,
    };
    write_new(&args.out, &asked.request)?;
    if !party.space().allows_lookups() {
        console.warn(
            "the agreement allows no look-ups, so the workload will refuse this request\nTry: agree on policy.lookups in space.yaml",
        );
    }
    if args.bare && !party.space().bare_askers().any(|asker| *asker == args.party.party) {
        console.warn(
            "the agreement takes no bare token in this party's name, so the workload will refuse it\nTry: make a sealed request, \
             without --bare; or agree on policy.lookups.bare in space.yaml",
        );
    }
    let value = json!({
        "request": args.out, "id": asked.id.to_string(), "kind": asked.kind.to_string(), "customers": asked.customers,
    });
    console.result(&value, || {
        if args.bare {
            return format!(
                "Bare token {} by {}: {}\nNext: datafuse send CHECK_VALID_CUSTOMER --request {}\nOr from another system: \
                 {{\"type\": \"CHECK_VALID_CUSTOMER\", \"{}\": \"the text of that file\"}}\n",
                asked.id,
                asked.kind,
                args.out.display(),
                args.out.display(),
                asked.kind
            );
        }
        format!(
            "Request {} for {} customers by {}: {}\nNext: datafuse send CHECK_VALID_CUSTOMER --request {}\n",
            asked.id,
            count(asked.customers as u64),
            asked.kind,
            args.out.display(),
            args.out.display()
        )
    });
    Ok(())
}

fn read_answer(args: &TokenOpenArgs, console: &Console) -> Result<()> {
    let party = open(&args.party)?;
    let request = read(&args.request)?;
    let answer = args.answer.as_deref().map(read).transpose()?;
    let reply = open_answer(&party, &request, answer.as_ref().map(|text| text.as_str()))?;
    match reply {
        Reply::Found(found) => {
            console.result(&found_json(&found), || found_text(&found));
            Ok(())
        }
        Reply::Refused(reason) => Err(refused(reason)),
    }
}

fn refused(reason: RefusedLookup) -> Failure {
    Failure::new(Code::Refused, format!("the look-up was refused: {}", reason.fact()), reason.remedy())
}

fn found_json(found: &Found) -> Value {
    let known: Vec<_> = match found.counts {
        true => found.known.iter().map(|known| json!(known)).collect(),
        false => found.known.iter().map(|known| json!(*known > 0)).collect(),
    };
    json!({ "holders": found.holders, "at_least": found.at_least, "known": known })
}

fn found_text(found: &Found) -> String {
    let mut text = String::new();
    for (at, known) in found.known.iter().enumerate() {
        let says = match (known, found.counts) {
            (0, _) => "not known".to_owned(),
            (_, false) => "known".to_owned(),
            (1, true) => "known at 1 holder".to_owned(),
            (holders, true) => format!("known at {holders} holders"),
        };
        text.push_str(&format!("line {}: {says}\n", at + 1));
    }
    let known = found.known.iter().filter(|known| **known > 0).count();
    text.push_str(&format!(
        "{} of {} known at {} or more of the {} other holders that were looked at\n",
        count(known as u64),
        count(found.known.len() as u64),
        found.at_least,
        found.holders
    ));
    text
}

/// The fields of an event that brings a request: whose it is, and the request; or a bare token in the field of its kind.
pub(super) fn event_fields(space: &Space, path: &Path) -> Result<Map<String, Value>> {
    let text = read(path)?;
    let asked = Asked::decode(&from_text(&text)?)?;
    let Some((asker, _)) = space.participant_by_name(asked.asker()) else {
        let fact = format!("{} was made by nobody of this space", path.display());
        return Err(Failure::new(Code::Data, fact, "make it again: datafuse token make, with the space.yaml of all"));
    };
    let mut fields = Map::new();
    match asked {
        Asked::Sealed(_) => {
            fields.insert("asker".to_owned(), json!(asker.to_string()));
            fields.insert("request".to_owned(), json!(text.trim()));
        }
        Asked::Bare(_) => {
            fields.insert(asked.kind().to_string(), json!(text.trim()));
        }
    }
    Ok(fields)
}

fn read(path: impl AsRef<Path>) -> Result<Zeroizing<String>> {
    let path = path.as_ref();
    let mut file = File::open(path).map_err(|source| Failure::file("read", path, &source))?;
    read_from(&mut file, path)
}

fn read_from(source: &mut dyn Read, path: &Path) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    source.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|source| Failure::file("read", path, &source))?;
    if text.len() as u64 > MAX_BYTES {
        let fact = format!("{} is larger than {} bytes", path.display(), count(MAX_BYTES));
        return Err(Failure::new(
            Code::Data,
            fact,
            "give one identifier a line, or the file that datafuse token wrote",
        ));
    }
    Ok(text)
}

fn write_new(path: &PathBuf, text: &str) -> Result<()> {
    let failed = |source| Failure::file("write", path, &source);
    let mut file = File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all()).map_err(failed)
}
