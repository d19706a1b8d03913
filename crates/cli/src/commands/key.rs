//! What concerns key files: `datafuse keygen` and `datafuse key ...`. Nothing secret is printed.

use std::{io::IsTerminal, path::Path};

use datafuse_core::keys::{KeyId, PartyKeys};
use datafuse_holder::Party;
use datafuse_space::{
    Memory, Space,
    keyfile::{
        self, Opened,
        share::{self, Scheme},
    },
};
use rand_core::UnwrapErr;
use serde_json::{Value, json};

use super::{drill, party::enrol_as};
use crate::{
    args::{
        ChangePassphraseArgs, CombineArgs, ForgetArgs, KeyArgs, KeyCommand, KeygenArgs, NewPassphraseArgs, RotateArgs,
        SplitArgs, WipeArgs,
    },
    console::Console,
    failure::{Code, Failure, Result},
    passphrase,
};

/// What follows a new token key.
const AFTER_ROTATION: &str = "protect each dataset again, from its source or with datafuse protect --rekey";

pub(super) fn key(command: &KeyCommand, console: &Console) -> Result<()> {
    match command {
        KeyCommand::Show(args) => show(args, console),
        KeyCommand::ChangePassphrase(args) => change_passphrase(args, console),
        KeyCommand::Rotate(args) => rotate(args, console),
        KeyCommand::Replace(args) => replace(args, console),
        KeyCommand::Forget(args) => forget(args, console),
        KeyCommand::Split(args) => split(args, console),
        KeyCommand::Combine(args) => combine(args, console),
        KeyCommand::Drill(args) => drill::drill(args, console),
    }
}

pub(super) fn keygen(args: &KeygenArgs, console: &Console) -> Result<()> {
    if args.recipient {
        return write_identity(&args.out, &args.passphrase, console);
    }
    write_new(&args.out, &PartyKeys::generate(&mut rng()), &args.passphrase, console)
}

/// Writes a data user's identity into a file that was not there, and prints its recipient.
fn write_identity(path: &Path, passphrase: &NewPassphraseArgs, console: &Console) -> Result<()> {
    let passphrase = passphrase::of_new_file(passphrase, path)?;
    let recipient = keyfile::identity::create(path, &now(), passphrase.as_ref())?;
    let protection = if passphrase.is_some() { ", under the passphrase" } else { "" };
    console.say(format_args!(
        "Identity written to {} (readable by you alone{protection}); without it nobody opens the reports. The recipient, for \
         'recipient' of a data user in space.yaml:",
        path.display()
    ));
    let value = json!({ "identity_file": path, "recipient": recipient, "passphrase": passphrase.is_some() });
    console.result(&value, || format!("{recipient}\n"));
    Ok(())
}

/// Writes a key file that was not there, and prints the public name.
fn write_new(path: &Path, keys: &PartyKeys, passphrase: &NewPassphraseArgs, console: &Console) -> Result<()> {
    let passphrase = passphrase::of_new_file(passphrase, path)?;
    let created = now();
    keyfile::create(path, keys, &created, passphrase.as_ref())?;
    let name = keys.identity().public_name();
    let protection = if passphrase.is_some() { ", under the passphrase" } else { "" };
    console.say(format_args!(
        "Keys written to {} (readable by you alone{protection}). The public name, for everybody, with fingerprint {}:",
        path.display(),
        name.fingerprint()
    ));
    let value = json!({
        "key_file": path, "public_name": name.to_string(), "fingerprint": name.fingerprint(),
        "passphrase": passphrase.is_some(),
    });
    console.result(&value, || format!("{name}\n"));
    Ok(())
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn show(KeyArgs { key, passphrase }: &KeyArgs, console: &Console) -> Result<()> {
    let opened = passphrase::open(key, passphrase)?;
    let Opened { keys, created, .. } = &opened;
    let name = keys.identity().public_name();
    let former_names: Vec<_> = keys.former_identities().iter().map(|former| former.public_name()).collect();
    let value = json!({
        "key_file": key, "public_name": name.to_string(), "fingerprint": name.fingerprint(), "created": created,
        "passphrase": opened.is_under_passphrase(), "key_id": keys.token().key_id().to_string(),
        "former_key_ids": former_key_ids(keys),
        "former_names": former_names
            .iter()
            .map(|name| json!({ "public_name": name.to_string(), "fingerprint": name.fingerprint() }))
            .collect::<Vec<_>>(),
        "former_shares": keys.former_shares().len(),
    });
    console.result(&value, || {
        let passphrase = if opened.is_under_passphrase() { "yes" } else { "no" };
        let mut text = format!(
            "Public name    {name}\nFingerprint    {}\nCreated        {created}\nPassphrase     {passphrase}\n\
             Key id         {}\n",
            name.fingerprint(),
            keys.token().key_id()
        );
        for key_id in former_key_ids(keys) {
            text.push_str(&format!("Former key id  {key_id}\n"));
        }
        for name in &former_names {
            text.push_str(&format!("Former name    {}\n", name.fingerprint()));
        }
        text.push_str(&format!("Former shares  {}\n", keys.former_shares().len()));
        text
    });
    Ok(())
}

fn change_passphrase(args: &ChangePassphraseArgs, console: &Console) -> Result<()> {
    let key = &args.key.key;
    let mut locked = passphrase::lock(key, &args.key.passphrase)?;
    let new = passphrase::replacing(args)?;
    let is_under_passphrase = new.is_some();
    locked.set_passphrase(new);
    locked.rewrite()?;
    console.result(&json!({ "key_file": key, "passphrase": is_under_passphrase }), || match is_under_passphrase {
        true => format!("{} is under the new passphrase\n", key.display()),
        false => format!("{} is without a passphrase\n", key.display()),
    });
    Ok(())
}

fn rotate(args: &RotateArgs, console: &Console) -> Result<()> {
    let KeyArgs { key, passphrase } = &args.key;
    let place = match (&args.space, &args.party) {
        (Some(space), Some(party)) => Some((Space::read(space)?, party)),
        _ => None,
    };
    let mut locked = passphrase::lock(key, passphrase)?;
    let memory = Memory::beside(key);
    if let Some((space, party)) = &place {
        // Tried before anything changes: whether this is the party's file, and whether its mailbox is there.
        let keys = PartyKeys::decode(&locked.opened.keys.encode())?;
        Party::open(space.clone(), party, keys, memory.clone())?;
    }
    let former = locked.opened.keys.token().key_id();
    locked.opened.keys.rotate(&mut rng());
    locked.rewrite()?;
    let keys = locked.into_keys();
    let key_id = keys.token().key_id();
    console.say(format_args!(
        "{} has a new token key; the former one ({former}) stays in it for what was made with it. Its key id:",
        key.display()
    ));
    let Some((space, party)) = place else {
        console.result(&rotation(key, key_id, former, None), || format!("{key_id}\n"));
        console.say(format_args!(
            "Next, for a data holder: datafuse enrol in each space; once enrolled, {AFTER_ROTATION}"
        ));
        return Ok(());
    };
    let (enrolment, text) = enrol_as(&Party::open(space, party, keys, memory)?, args.yes, console)?;
    console.result(&rotation(key, key_id, former, Some(enrolment)), || format!("{key_id}\n{text}"));
    console.say(format_args!("Next: datafuse enrol in each other space; once enrolled, {AFTER_ROTATION}"));
    Ok(())
}

fn rotation(key: &Path, key_id: KeyId, former: KeyId, enrolment: Option<Value>) -> Value {
    let mut value = json!({ "key_file": key, "key_id": key_id.to_string(), "former_key_id": former.to_string() });
    if let Some(enrolment) = enrolment {
        value["enrolment"] = enrolment;
    }
    value
}

fn replace(WipeArgs { key: KeyArgs { key, passphrase }, yes }: &WipeArgs, console: &Console) -> Result<()> {
    let mut locked = passphrase::lock(key, passphrase)?;
    let keys = &mut locked.opened.keys;
    let former = keys.identity().public_name();
    console.say(format_args!(
        "All keys in {} (fingerprint {}) will be drawn anew. You can then no longer sign under the former name: in each space \
         the new one must be put into space.yaml.",
        key.display(),
        former.fingerprint()
    ));
    confirm(*yes, "Replace all keys?")?;
    keys.replace(&mut rng());
    let name = keys.identity().public_name();
    let key_id = keys.token().key_id();
    locked.rewrite()?;
    console.say(format_args!(
        "{} has new keys. The public name, with fingerprint {}:",
        key.display(),
        name.fingerprint()
    ));
    let value = json!({
        "key_file": key, "public_name": name.to_string(), "fingerprint": name.fingerprint(),
        "former_public_name": former.to_string(), "key_id": key_id.to_string(),
    });
    console.result(&value, || format!("{name}\n"));
    console.say(format_args!(
        "Next, for a data holder:\n  1. In every copy of space.yaml put this name in the place of the one that stands there, and \
         that one last into the list `former` below it; tell the others the new fingerprint\n  2. The operator: datafuse run \
         ENROL\n  3. datafuse enrol in each space, and datafuse run ENROL once more; then {AFTER_ROTATION}\nFor a workload the \
         list is `workload_former`, and step 2 is datafuse run INITIALIZE --new-epoch. docs/after-a-leak.md has every case."
    ));
    Ok(())
}

fn forget(args: &ForgetArgs, console: &Console) -> Result<()> {
    let WipeArgs { key: KeyArgs { key, passphrase }, yes } = &args.wipe;
    let mut locked = passphrase::lock(key, passphrase)?;
    let keys = &mut locked.opened.keys;
    let (tokens, names) = (former_key_ids(keys), keys.former_identities().len());
    let shares = if args.shares { keys.former_shares().len() } else { 0 };
    if tokens.is_empty() && names == 0 && shares == 0 {
        console
            .result(&json!({ "key_file": key, "forgotten": { "key_ids": tokens, "names": 0, "shares": 0 } }), || {
                "This file has nothing of the kind from before: nothing to wipe\n".to_owned()
            });
        return Ok(());
    }
    console.say(format_args!("What is lost with the former keys in {}:", key.display()));
    for key_id in &tokens {
        console.say(format_args!("  datasets protected with key id {key_id} can no longer be re-keyed"));
    }
    for former in keys.former_identities() {
        console.say(format_args!(
            "  datasets protected under the name {} can no longer be opened",
            former.public_name().fingerprint()
        ));
    }
    if shares > 0 {
        console.say(format_args!(
            "  as a steward, nobody can be let in any more in the epochs that began with one of {shares} former shares"
        ));
    }
    confirm(*yes, "Wipe them?")?;
    keys.forget_former(args.shares);
    locked.rewrite()?;
    let value = json!({ "key_file": key, "forgotten": { "key_ids": tokens, "names": names, "shares": shares } });
    console.result(&value, || format!("Wiped: {} token keys, {names} identities, {shares} shares\n", tokens.len()));
    Ok(())
}

fn split(args: &SplitArgs, console: &Console) -> Result<()> {
    let scheme = Scheme::new(args.threshold, args.shares)?;
    let KeyArgs { key, passphrase } = &args.key;
    let keys = passphrase::read_keys(key, passphrase)?;
    let stem = key.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| "party.key".into());
    let files = share::create(&args.out, &stem, &keys, scheme, &mut rng())?;
    let value = json!({ "shares": files, "threshold": args.threshold });
    console.result(&value, || files.iter().map(|file| format!("{}\n", file.display())).collect());
    console.say(format_args!(
        "Give each to another keeper: any {} of them make the key file again with datafuse key combine, without a passphrase",
        args.threshold
    ));
    Ok(())
}

fn combine(args: &CombineArgs, console: &Console) -> Result<()> {
    write_new(&args.out, &share::combine(&args.share)?, &args.passphrase, console)
}

/// Has a step that cannot be taken back confirmed by the whole word.
fn confirm(yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    let mut answer = String::new();
    if std::io::stdin().is_terminal() {
        eprint!("{question} Type yes: ");
        // Whatever cannot be read is no yes.
        let _ = std::io::stdin().read_line(&mut answer);
    }
    match answer.trim() {
        "yes" => Ok(()),
        _ => {
            let fact = "not confirmed; the key file stays as it is";
            Err(Failure::new(Code::Refused, fact, "run it on a terminal and type yes, or give --yes"))
        }
    }
}

fn former_key_ids(keys: &PartyKeys) -> Vec<String> {
    keys.former_tokens().iter().map(|token| token.key_id().to_string()).collect()
}

fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}
