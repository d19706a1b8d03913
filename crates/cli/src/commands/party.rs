//! What a data holder runs: `datafuse enrol` and `datafuse protect`.

use std::{collections::BTreeMap, io::IsTerminal, path::Path, time::Duration};

use datafuse_core::{id::KindName, name::PublicName};
use datafuse_engine::{
    dataset::{BucketSettings, FetchPolicy, LocalFile, Source},
    tokenise::{KindSummary, ProtectSummary},
};
use datafuse_holder::{
    NameToApprove, Party,
    enrol::{self, Awaited, Done, DueDataset, EnrolReport},
    protect::{self, ProtectRequest, Protected},
    rekey::{self, RekeyRequest},
    table::{self, TokenTable},
};
use datafuse_space::{Memory, Space, agreement};
use serde_json::{Value, json};

use super::{
    event::{runtime, signalled},
    limits, source, warn_of_source,
};
use crate::{
    args::{EnrolArgs, PartyArgs, ProtectArgs},
    console::{Console, count, percent},
    failure::{Code, Failure, Result},
    passphrase,
};

/// The columns that each kind was read from.
type Identifiers = BTreeMap<KindName, Vec<String>>;

/// A share of invalid identifiers above which a person should look at the quarantine file.
const MANY_INVALID: f64 = 0.05;

pub(super) fn open(args: &PartyArgs) -> Result<Party> {
    let space = Space::read(&args.space)?;
    // Before anybody is asked for a passphrase.
    space.participant(&args.party)?;
    let keys = passphrase::read_keys(&args.key, &args.passphrase)?;
    Ok(Party::open(space, &args.party, keys, Memory::beside(&args.key))?)
}

/// Shows names and asks; with `--yes` it only shows.
pub(super) fn approve(console: &Console, yes: bool, names: &[NameToApprove]) -> bool {
    let changed = names.iter().any(|name| name.formerly.is_some());
    console.warn("these names were not approved on this machine yet. Compare each fingerprint with the party itself:");
    for NameToApprove { party, name, founding, formerly, succeeds } in names {
        let what = if *founding { "founding name" } else { "participant" };
        eprintln!("  {party} ({what}): {}\n    {name}", name.fingerprint());
        if let Some(succeeds) = succeeds {
            eprintln!("    in the place of {}", succeeds.fingerprint());
        }
        if let Some(formerly) = formerly {
            eprintln!("    CHANGED: until now its fingerprint was {}", formerly.fingerprint());
        }
    }
    // A script's yes is for names that are new, not for another one in the place of a known one.
    if yes && !changed {
        return true;
    }
    if yes {
        console.warn(
            "--yes is not for a name in the place of a known one: --approve NAME=dfpub1..., or type yes on a terminal",
        );
    }
    if !std::io::stdin().is_terminal() {
        return false;
    }
    let question = if changed { "Approve these names, the changed ones too?" } else { "Approve these names?" };
    eprint!("{question} Type yes: ");
    let mut answer = String::new();
    // A whole word on a line of its own: no stray key approves anybody.
    std::io::stdin().read_line(&mut answer).is_ok() && answer.trim() == "yes"
}

pub(super) fn enrol(args: &EnrolArgs, console: &Console) -> Result<()> {
    let mut party = open(&args.party)?;
    let approvals = args.approvals.iter().map(|text| parse_approval(text)).collect::<Result<Vec<_>>>()?;
    party.approve_named(&approvals)?;
    if args.watch {
        return watch(&mut party, Duration::from_secs(args.interval.max(1)), console);
    }
    let approval = &mut |names: &[NameToApprove]| approve(console, args.party.yes, names);
    let report = match args.anew {
        true => enrol::enrol_anew(&party, approval)?,
        false => enrol::enrol(&party, approval)?,
    };
    console.result(&enrol_json(&party, &report), || enrol_text(&party, &report));
    match report.unapproved.as_slice() {
        [] => Ok(()),
        names => Err(datafuse_holder::Error::not_approved(names).into()),
    }
}

/// Does what a party owes; gives the result for machines and for people.
pub(super) fn enrol_as(party: &Party, yes: bool, console: &Console) -> Result<(Value, String)> {
    let report = enrol::enrol(party, &mut |names| approve(console, yes, names))?;
    Ok((enrol_json(party, &report), enrol_text(party, &report)))
}

/// Enrols again and again until nothing is left to do, telling what is new each time. Nobody is approved on the way.
fn watch(party: &mut Party, interval: Duration, console: &Console) -> Result<()> {
    let runtime = runtime()?;
    let mut stopped = {
        let _within = runtime.enter();
        runtime.spawn(signalled())
    };
    let (mut told, mut failed) = (None, None);
    loop {
        let result = party.refresh().and_then(|()| enrol::enrol(party, &mut |_| false));
        match result {
            Ok(report) => {
                let value = enrol_json(party, &report);
                if told.as_ref() != Some(&value) {
                    console.result(&value, || enrol_text(party, &report));
                    told = Some(value);
                }
                if report.is_complete() {
                    return Ok(());
                }
                failed = None;
            }
            // A mailbox may be away for a while, and what somebody put into it is put right by the workload's next event.
            Err(error) if error.is_retryable() || is_of_the_mailbox(&error) => {
                let failure = Failure::from(error);
                if failed.as_ref() != Some(&failure.fact) {
                    console.warn(format_args!("{}; trying again", failure.fact));
                }
                failed = Some(failure.fact);
            }
            Err(error) => return Err(error.into()),
        }
        let interrupted = runtime.block_on(async {
            tokio::select! {
                _ = &mut stopped => true,
                () = tokio::time::sleep(interval) => false,
            }
        });
        if interrupted {
            let fact = "stopped before enrolment was complete";
            return Err(Failure::new(Code::Interrupted, fact, "run it again; nothing is lost"));
        }
    }
}

/// Whether the mailbox held something that is not what it claims to be, such as an old announcement put back.
fn is_of_the_mailbox(error: &datafuse_holder::Error) -> bool {
    use datafuse_holder::Error as E;
    match error {
        E::Protocol(_) => true,
        E::Space(error) => matches!(**error, datafuse_space::Error::Protocol(_)),
        _ => false,
    }
}

/// `acme=dfpub1...`.
fn parse_approval(text: &str) -> Result<(agreement::Party, PublicName)> {
    let Some((party, name)) = text.split_once('=') else {
        let fact = format!("--approve '{text}' is not NAME=dfpub1...");
        return Err(Failure::new(
            Code::Usage,
            fact,
            "--approve NAME=dfpub1... with the public name that the party told you",
        ));
    };
    let party = match party {
        "workload" => agreement::Party::Workload,
        id => agreement::Party::Participant(id.parse()?),
    };
    Ok((party, name.parse()?))
}

fn enrol_json(party: &Party, report: &EnrolReport) -> Value {
    json!({
        "party": party.id().to_string(),
        "epoch": report.epoch,
        "enrolled": report.enrolled,
        "done": report.done.iter().map(done_words).collect::<Vec<_>>(),
        "awaited": report.awaited.iter().map(awaited_words).collect::<Vec<_>>(),
        "refusals": report.refusals.iter().map(|refusal| &refusal.reason).collect::<Vec<_>>(),
        "unapproved": report.unapproved.iter().map(|name| name.party.to_string()).collect::<Vec<_>>(),
        "due": report.due.iter().map(|due| due.dataset.to_string()).collect::<Vec<_>>(),
    })
}

fn enrol_text(party: &Party, report: &EnrolReport) -> String {
    let mut text = String::new();
    let epoch = report.epoch.map(|epoch| format!(" in epoch {epoch}")).unwrap_or_default();
    for done in &report.done {
        text.push_str(&format!("Done: {}\n", done_words(done)));
    }
    for refusal in &report.refusals {
        text.push_str(&format!("Refused by the workload: {}\n", refusal.reason));
    }
    text.push_str(&match report.enrolled {
        true => format!("{} is enrolled{epoch}.\n", party.id()),
        false if report.awaited == [Awaited::Collection] => format!("{} has done its part{epoch}.\n", party.id()),
        false => format!("{} is not enrolled yet{epoch}.\n", party.id()),
    });
    for awaited in &report.awaited {
        text.push_str(&format!("Awaited: {}\n", awaited_words(awaited)));
    }
    for name in &report.unapproved {
        text.push_str(&format!(
            "Awaited: your approval of {} (fingerprint {}): datafuse enrol --approve {}={}\n",
            name.party,
            name.name.fingerprint(),
            name.party,
            name.name
        ));
    }
    for due in &report.due {
        text.push_str(&format!("Next: {}\n", due_words(due)));
    }
    text
}

fn due_words(due: &DueDataset) -> String {
    match due.earlier {
        true => format!(
            "dataset '{}' is of a former key or epoch: datafuse protect --rekey it, or protect its source again",
            due.dataset
        ),
        false => format!("datafuse protect, for dataset '{}'", due.dataset),
    }
}

fn done_words(done: &Done) -> String {
    match done {
        Done::SharedWith(holder) => format!("as a steward, let {holder} in"),
        Done::Answered => "answered the stewards".to_owned(),
        Done::Rotated => "told the workload of the next token key".to_owned(),
        Done::Withdrawn => {
            "asked the workload to be enrolled anew; the stewards enrol too, as for a newcomer".to_owned()
        }
    }
}

fn awaited_words(awaited: &Awaited) -> String {
    match awaited {
        Awaited::Epoch => "the workload opens an epoch (datafuse run INITIALIZE)".to_owned(),
        Awaited::NewName => {
            "the workload reads the new name from its copy of space.yaml (with the next event, such as datafuse run ENROL)"
                .to_owned()
        }
        Awaited::Share { from, refused: None } => format!("{from}, a steward, runs datafuse enrol"),
        Awaited::Share { from, refused: Some(reason) } => {
            format!("{from}, a steward, runs datafuse enrol again: its message was refused ({reason})")
        }
        Awaited::Answer { from } => format!("{from} enrols"),
        Awaited::Collection => "the workload collects the messages (with the next event)".to_owned(),
    }
}

pub(super) fn protect(args: ProtectArgs, console: &Console) -> Result<()> {
    let party = open(&args.party)?;
    let limits = limits(&args.limits);
    // Addresses come from whoever runs this, not from a file of somebody else's.
    let fetch = FetchPolicy { bucket: BucketSettings::from_process(), ..FetchPolicy::trusting() };
    if let Some(old) = args.rekey {
        let old = match old.to_str() {
            Some(address) if address.contains("://") => address.parse()?,
            _ => Source::Path(old),
        };
        let old = LocalFile::of(&old, &fetch, &limits.temp_dir)?;
        let request = RekeyRequest {
            old: old.path().to_owned(),
            out: args.out,
            fetch,
            temp_dir: limits.temp_dir,
            threads: limits.threads,
        };
        return rekey(&party, &request, args.party.yes, console);
    }
    let Some(source_args) = &args.source else {
        return Err(Failure::new(Code::Usage, "nothing to protect is named", "datafuse protect FILE, or --rekey FILE"));
    };
    let (source, read) = source(source_args, &args.reading, &args.parquet_key)?;
    let request = ProtectRequest {
        source,
        read,
        fetch,
        temp_dir: limits.temp_dir,
        identifiers: args.identifiers.iter().map(|text| parse_identifier(text)).collect::<Result<BTreeMap<_, _>>>()?,
        keep: args.keep,
        dataset: args.dataset,
        out: args.out,
        quarantine: args.quarantine,
        threads: limits.threads,
    };
    // The source's size is known only once it is open; its bar begins with the first rows.
    let bar = std::sync::OnceLock::new();
    let told = |progress: protect::Progress| {
        bar.get_or_init(|| console.progress("protecting", progress.of)).advance(progress.rows, progress.bytes);
    };
    let approval = &mut |names: &[NameToApprove]| approve(console, args.party.yes, names);
    if let Some(out) = &args.table.table {
        let written = table::write_table(&party, &request, out, approval, &told)?;
        drop(bar);
        show_table(&party, &written, &request.keep, console);
        return Ok(());
    }
    let protected = protect::protect(&party, &request, approval, &told)?;
    drop(bar);
    warn_of_source(&protected.warnings, console);
    let kinds = kinds_json(&protected.summary, &protected.identifiers);
    let value = json!({
        "path": protected.place.to_string(), "dataset": protected.dataset.to_string(), "version": protected.version,
        "sha256": protected.sha256, "rows": protected.summary.rows, "rejected": protected.summary.rejected,
        "kinds": kinds, "quarantine": protected.quarantine,
    });
    console.result(&value, || protect_text(&protected));
    advise(&party, &protected.summary, &protected.identifiers, protected.not_utf8_rows, console);
    Ok(())
}

fn show_table(party: &Party, written: &TokenTable, keep: &[String], console: &Console) {
    warn_of_source(&written.warnings, console);
    let value = json!({
        "path": written.path, "sha256": written.sha256, "rows": written.summary.rows, "rejected": written.summary.rejected,
        "kinds": kinds_json(&written.summary, &written.identifiers), "quarantine": written.quarantine,
    });
    console.result(&value, || {
        let mut text = counts_text(&written.summary, &written.identifiers, written.quarantine.as_deref());
        text.push_str(&format!("Table of tokens: {}\nsha256 {}\n", written.path.display(), written.sha256));
        text
    });
    if !keep.is_empty() {
        console.warn(format_args!(
            "the kept columns are in clear in {}\nTry: encrypt it before it leaves this machine (docs/encrypted-parquet.md)",
            written.path.display()
        ));
    }
    advise(party, &written.summary, &written.identifiers, written.not_utf8_rows, console);
}

fn kinds_json(summary: &ProtectSummary, identifiers: &Identifiers) -> BTreeMap<String, Value> {
    let value = |(kind, summary): (&KindName, &KindSummary)| {
        let would_change: BTreeMap<_, _> =
            summary.would_change.iter().map(|(profile, rows)| (profile.as_str(), rows)).collect();
        let value = json!({ "columns": identifiers.get(kind), "valid": summary.valid, "empty": summary.empty,
                            "invalid": summary.invalid, "would_change": would_change });
        (kind.to_string(), value)
    };
    summary.kinds.iter().map(value).collect()
}

fn rekey(party: &Party, request: &RekeyRequest, yes: bool, console: &Console) -> Result<()> {
    let progress = console.progress("bringing over", None);
    let told = |rows| progress.advance_rows(rows);
    let rekeyed = rekey::rekey(party, request, &mut |names| approve(console, yes, names), &told)?;
    drop(progress);
    let Some(rekeyed) = rekeyed else {
        let value = json!({ "path": request.old, "unchanged": true });
        console.result(&value, || format!("{} is of the present token key and epoch already\n", request.old.display()));
        return Ok(());
    };
    let value = json!({
        "path": rekeyed.place.to_string(), "dataset": rekeyed.dataset.to_string(), "version": rekeyed.version,
        "sha256": rekeyed.sha256, "rows": rekeyed.rows, "from_epoch": rekeyed.from_epoch, "epoch": rekeyed.epoch,
    });
    console.result(&value, || {
        format!(
            "{} rows brought over to the present token key in epoch {}\nProtected dataset '{}' version {}: {}\nsha256 {}\n",
            count(rekeyed.rows),
            rekeyed.epoch,
            rekeyed.dataset,
            rekeyed.version,
            rekeyed.place,
            rekeyed.sha256
        )
    });
    Ok(())
}

fn protect_text(protected: &Protected) -> String {
    let mut text = counts_text(&protected.summary, &protected.identifiers, protected.quarantine.as_deref());
    text.push_str(&format!(
        "Protected dataset '{}' version {}: {}\nsha256 {}\n",
        protected.dataset, protected.version, protected.place, protected.sha256
    ));
    text
}

fn counts_text(summary: &ProtectSummary, identifiers: &Identifiers, quarantine: Option<&Path>) -> String {
    let mut text = format!("{} rows read\n", count(summary.rows));
    for (kind, found) in &summary.kinds {
        let columns = identifiers.get(kind).map(|columns| columns.join(", ")).unwrap_or_default();
        text.push_str(&format!(
            "  {kind} (from {columns}): {} valid, {} empty, {} invalid\n",
            count(found.valid),
            count(found.empty),
            count(found.invalid_rows())
        ));
        for (reason, rows) in &found.invalid {
            text.push_str(&format!("    invalid: {reason}: {}\n", count(*rows)));
        }
        for (profile, rows) in found.would_change.iter().filter(|(_, rows)| **rows > 0) {
            text.push_str(&format!("    valid, and {profile} would change it: {}\n", count(*rows)));
        }
    }
    if let Some(path) = quarantine {
        text.push_str(&format!("Rejected rows, for your eyes only: {}\n", path.display()));
    }
    text
}

/// Says what a person should look at before the match rate surprises somebody.
fn advise(party: &Party, summary: &ProtectSummary, identifiers: &Identifiers, not_utf8_rows: u64, console: &Console) {
    let rows = summary.rows;
    for kind in party.space().kinds().iter().map(|kind| kind.name()) {
        if !identifiers.contains_key(kind) {
            console.warn(format_args!(
                "{kind} is not in this dataset, so nothing of it matches by {kind}\nTry: --identifier {kind}=COLUMN as well"
            ));
        }
    }
    if not_utf8_rows > 0 {
        let rejected = count(not_utf8_rows);
        console.warn(format_args!("{rejected} rows are not UTF-8 and were rejected\nTry: --encoding latin1"));
    }
    for (kind, found) in &summary.kinds {
        if found.valid == 0 {
            console.warn(format_args!(
                "no row has a valid {kind}, so nothing can match\nTry: datafuse normalize on that column, or --identifier {kind}=COLUMN with another column"
            ));
        } else if found.invalid_rows() as f64 > rows as f64 * MANY_INVALID {
            let share = percent(found.invalid_rows(), rows);
            console.warn(format_args!(
                "{share} of the rows have an invalid {kind}\nTry: look at the file of rejected rows"
            ));
        }
    }
}

/// `email=customer_email`, `person=surname,birth_date`.
fn parse_identifier(text: &str) -> Result<(KindName, Vec<String>)> {
    match text.split_once('=') {
        Some((kind, columns)) if !columns.is_empty() => {
            Ok((kind.parse()?, columns.split(',').map(str::to_owned).collect()))
        }
        _ => {
            let fact = format!("--identifier '{text}' is not KIND=COLUMN");
            Err(Failure::new(Code::Usage, fact, format!("--identifier {}=COLUMN", text.trim_end_matches('='))))
        }
    }
}
