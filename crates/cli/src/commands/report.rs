//! `datafuse report open` and `datafuse report verify`.
//!
//! A report comes in one of these forms, told apart by their bytes: `report.json`, the signed envelope around it, and that envelope
//! encrypted to the data users. A receipt is signed as well and holds no report. Nothing decrypted is written but the page that
//! `--html` names.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use datafuse_core::{id::ParticipantId, name::PublicName};
use datafuse_engine::{
    dataset::protected::commitment,
    report::Report,
    report_html,
    signed_report::{
        FileSet, RECEIPT_JSON, REPORT_AGE, REPORT_DSSE, REPORT_HTML, REPORT_JSON, Receipt, Run, SignedReport,
        SignedReportError,
        encrypted::{self, MAX_ENCRYPTED_BYTES},
        is_envelope, is_receipt, list_name,
    },
};
use datafuse_space::Space;
use serde_json::{Value, json};

use crate::{
    args::{ReportCommand, ReportOpenArgs, ReportVerifyArgs},
    chart::{self, Paper},
    console::Console,
    failure::{Code, Failure, Result},
    passphrase,
};

pub(super) fn report(command: &ReportCommand, console: &Console) -> Result<()> {
    match command {
        ReportCommand::Open(args) => open(args, console),
        ReportCommand::Verify(args) => verify(args, console),
    }
}

fn open(args: &ReportOpenArgs, console: &Console) -> Result<()> {
    let path = within(&args.report, &[REPORT_JSON, REPORT_AGE, REPORT_DSSE]);
    let signers = args.space.as_deref().map(Space::read).transpose()?.map(Signers::of);
    let bytes = read(&path)?;
    let (report, origin) = if encrypted::is_encrypted(&bytes) {
        decrypted(&path, &bytes, args, signers.as_ref(), console)?
    } else {
        if args.identity.is_some() {
            console.say(format_args!("{} is not encrypted; --identity was not needed", path.display()));
        }
        match is_envelope(&bytes) {
            true => of_envelope(&bytes, signers.as_ref())?,
            false => in_clear(&path, &bytes, signers.as_ref())?,
        }
    };
    if let Some(html) = &args.html {
        fs::write(html, report_html::render(&report)).map_err(|source| Failure::file("write", html, &source))?;
        console.say(format_args!("The page: {}", html.display()));
    }
    console.say(origin);
    let value = serde_json::to_value(&report).unwrap_or_default();
    console.result(&value, || format!("{}\n{}", report.summary_text(), chart::draw(&report, &Paper::of_stdout())));
    Ok(())
}

/// Opens `report.json`; gives what is known of where it comes from as well.
fn in_clear(path: &Path, bytes: &[u8], signers: Option<&Signers>) -> Result<(Report, String)> {
    let report = Report::from_json(bytes)?;
    let envelope = path.with_file_name(REPORT_DSSE);
    let origin = match signers {
        Some(signers) => {
            let (signed, by) = signers.report(&read_there(&envelope)?)?;
            signed.check_file(REPORT_JSON, bytes)?;
            format!("Signed by {by}")
        }
        None if envelope.is_file() => {
            format!(
                "A signed envelope lies beside it; to verify it: datafuse report verify {} --space space.yaml",
                envelope.display()
            )
        }
        None => "No signed envelope lies beside it".to_owned(),
    };
    Ok((report, origin))
}

fn of_envelope(bytes: &[u8], signers: Option<&Signers>) -> Result<(Report, String)> {
    match signers {
        Some(signers) => {
            let (signed, by) = signers.report(bytes)?;
            Ok((signed.report, format!("Signed by {by}")))
        }
        None => Ok((SignedReport::unverified(bytes)?.report, NOT_VERIFIED.to_owned())),
    }
}

const NOT_VERIFIED: &str = "Not verified: anybody could have made this; --space space.yaml tells who signed it";

fn decrypted(
    path: &Path,
    bytes: &[u8],
    args: &ReportOpenArgs,
    signers: Option<&Signers>,
    console: &Console,
) -> Result<(Report, String)> {
    let Some(file) = &args.identity else {
        let fact = format!("{} is encrypted to its data users", path.display());
        return Err(Failure::new(Code::Usage, fact, "--identity FILE with the age identity of one of them"));
    };
    let identities = passphrase::read_identities(file, &args.passphrase)?;
    let envelope = encrypted::decrypt(bytes, &identities).map_err(|error| {
        let failure = Failure::from(error);
        Failure { fact: format!("{} cannot be opened: {}", path.display(), failure.fact), ..failure }
    })?;
    let (report, origin) = of_envelope(&envelope, signers)?;
    let run = SignedReport::unverified(&envelope)?.statement.predicate.run;
    let mine: Vec<_> = identities.iter().map(|identity| identity.to_public().to_string()).collect();
    if !run.encrypted_to.iter().any(|to| mine.contains(&to.recipient)) {
        console.warn(format_args!(
            "the workload did not make this report for the recipient of {}: somebody who could read it passed it on",
            file.display()
        ));
    }
    Ok((report, origin))
}

fn verify(args: &ReportVerifyArgs, console: &Console) -> Result<()> {
    let path = within(&args.envelope, &[REPORT_DSSE, RECEIPT_JSON]);
    let signers = Signers::of(Space::read(&args.space)?);
    let bytes = read_there(&path)?;
    if encrypted::is_encrypted(&bytes) {
        let (fact, place) = (format!("{} is encrypted: what is signed is within it", path.display()), path.display());
        let remedy = format!(
            "datafuse report open {place} --identity FILE --space space.yaml; or verify the {RECEIPT_JSON} beside it"
        );
        return Err(Failure::new(Code::Usage, fact, remedy));
    }
    if is_receipt(&bytes) {
        return verify_receipt(&path, &bytes, &signers, console);
    }
    let (signed, by) = signers.report(&bytes)?;
    let files = files_beside(&path, &signed)?;
    let receipt = path.with_file_name(RECEIPT_JSON);
    let has_receipt = receipt != path && receipt.exists() && path.ends_with(REPORT_DSSE);
    if has_receipt {
        signers.receipt(&read(&receipt)?)?.0.check_envelope(&bytes)?;
    }
    let run = &signed.statement.predicate.run;
    let mut value = run_json(run, &by);
    value["files"] = json!(files);
    value["receipt"] = json!(has_receipt);
    console.result(&value, || {
        let beside = match files.as_slice() {
            [] => "none lie beside it; the report is within the envelope".to_owned(),
            files => format!("{} beside it are the files that were signed", files.join(" and ")),
        };
        let mut lines = vec![("Files", beside)];
        if has_receipt {
            lines.push(("Receipt", format!("{RECEIPT_JSON} beside it is of this report")));
        }
        run_text(run, &by, &lines)
    });
    Ok(())
}

fn verify_receipt(path: &Path, bytes: &[u8], signers: &Signers, console: &Console) -> Result<()> {
    let (receipt, by) = signers.receipt(bytes)?;
    let name = receipt.files().envelope();
    let there = path.with_file_name(name);
    let mut files = Vec::new();
    if there.exists() {
        let envelope = read(&there)?;
        receipt.check_envelope(&envelope)?;
        files.push(name.to_owned());
        if receipt.files() == FileSet::Encrypted {
            files.extend(lists_beside(&there, receipt.statement.lists())?);
        }
        if receipt.files() == FileSet::Clear {
            files.extend(files_beside(&there, &signers.report(&envelope)?.0)?);
        }
    }
    let sha256 = receipt.statement.subject.first().map_or("", |subject| subject.digest.sha256.as_str());
    let audit = receipt.statement.predicate.audit.as_ref().map(ToString::to_string);
    let mut value = run_json(receipt.run(), &by);
    value["receipt"] = json!(true);
    value["file"] = json!({ "name": name, "sha256": sha256 });
    value["files"] = json!(files);
    value["audit"] = json!(audit);
    console.result(&value, || {
        let beside = match files.as_slice() {
            [] => format!("{name}, which does not lie beside it, has SHA-256 {sha256}"),
            [one] => format!("{one} beside it is the file that the workload made"),
            [all @ .., last] => format!("{} and {last} beside it are the files that the workload made", all.join(", ")),
        };
        let mut lines = vec![("Files", beside)];
        lines.extend(
            audit.map(|entry| ("Audit log", format!("tells of it up to entry {entry} (audit verify --expect)"))),
        );
        run_text(receipt.run(), &by, &lines)
    });
    Ok(())
}

/// Checks the files that lie beside an envelope; gives the names of those that do.
fn files_beside(envelope: &Path, signed: &SignedReport) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for name in [REPORT_JSON, REPORT_HTML] {
        let beside = envelope.with_file_name(name);
        if beside.exists() {
            signed.check_file(name, &read(&beside)?)?;
            files.push(name.to_owned());
        }
    }
    files.extend(lists_beside(envelope, signed.statement.lists())?);
    Ok(files)
}

/// Checks the lists of holders that lie beside an envelope, where some do: data users have none.
fn lists_beside<'a>(envelope: &Path, lists: impl Iterator<Item = (ParticipantId, &'a str)>) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for (holder, expected) in lists {
        let name = list_name(&holder);
        let beside = envelope.with_file_name(&name);
        if beside.exists() {
            let found = commitment(&beside)?;
            if found != expected {
                return Err(SignedReportError::OtherFile { name, expected: expected.to_owned(), found }.into());
            }
            files.push(name);
        }
    }
    Ok(files)
}

fn run_json(run: &Run, by: &Signer) -> Value {
    let recipients: Vec<_> = run.recipients.iter().map(ToString::to_string).collect();
    json!({
        "verified": true, "signer": by.name.fingerprint(), "signer_is_former": by.is_former,
        "event": run.event, "type": run.event_type, "space": run.space, "root": run.root, "epoch": run.epoch,
        "recipients": recipients, "encrypted_to": run.encrypted_to, "datasets": run.datasets, "policy": run.policy,
        "datafuse": run.datafuse, "at": run.at,
    })
}

fn run_text(run: &Run, by: &Signer, more: &[(&str, String)]) -> String {
    let recipient = |user: &ParticipantId| match run.encrypted_to.iter().find(|to| to.user == *user) {
        Some(to) => format!("{user} ({})", to.recipient),
        None => user.to_string(),
    };
    let recipients: Vec<_> = run.recipients.iter().map(recipient).collect();
    let mut text = format!(
        "Good: signed by {by}\nSpace:      {}, root {}, epoch {}\nEvent:      {} {}, {}\nRecipients: {}\n",
        run.space,
        run.root,
        run.epoch,
        run.event,
        run.event_type,
        run.at,
        if recipients.is_empty() { "nobody named".to_owned() } else { recipients.join(", ") },
    );
    for (name, words) in more {
        text.push_str(&format!("{:12}{words}\n", format!("{name}:")));
    }
    for dataset in &run.datasets {
        text.push_str(&format!(
            "Dataset:    {} of {}, version {}, SHA-256 {}\n",
            dataset.dataset, dataset.holder, dataset.version, dataset.sha256
        ));
    }
    text
}

/// Whose signature counts in a space: the workload's present name, then its former ones.
struct Signers {
    names: Vec<PublicName>,
    space: String,
    root: String,
}

/// Who signed.
struct Signer {
    name: PublicName,
    is_former: bool,
    space: String,
}

impl Signers {
    fn of(space: Space) -> Self {
        let names = std::iter::once(space.workload()).chain(space.workload_former()).cloned().collect();
        Self { names, space: space.id().to_string(), root: space.root().to_string() }
    }

    /// Verifies the envelope of a report of this space.
    fn report(&self, bytes: &[u8]) -> Result<(SignedReport, Signer)> {
        let (signed, index) = SignedReport::verify(bytes, &self.names)?;
        signed.check_root(&self.root)?;
        Ok((signed, self.signer(index)))
    }

    /// Verifies the receipt of a report of this space.
    fn receipt(&self, bytes: &[u8]) -> Result<(Receipt, Signer)> {
        let (receipt, index) = Receipt::verify(bytes, &self.names)?;
        receipt.run().check_root(&self.root)?;
        Ok((receipt, self.signer(index)))
    }

    fn signer(&self, index: usize) -> Signer {
        Signer { name: self.names[index].clone(), is_former: index > 0, space: self.space.clone() }
    }
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (fingerprint, space) = (self.name.fingerprint(), &self.space);
        match self.is_former {
            false => write!(f, "the workload of {space} ({fingerprint})"),
            true => write!(
                f,
                "a former name of the workload of {space} ({fingerprint}): ask whether that key had leaked when it was signed"
            ),
        }
    }
}

/// The first of these files that is there, where the path is the folder of an event, which is as good.
fn within(path: &Path, names: &[&str]) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let there = names.iter().map(|name| path.join(name)).find(|file| file.exists());
    there.unwrap_or_else(|| path.join(names[0]))
}

/// As [`read`], where it may be forgotten that a file belongs there.
fn read_there(path: &Path) -> Result<Vec<u8>> {
    if path.exists() {
        return read(path);
    }
    let fact = format!("there is no {}", path.display());
    Err(Failure::new(Code::Data, fact, "give the folder of an event, or its files, as they were delivered"))
}

/// Reads a file that somebody sent, as far as it could be one of a report.
fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Failure::file("read", path, &source);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_ENCRYPTED_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_ENCRYPTED_BYTES {
        let fact = format!("{} has more than {MAX_ENCRYPTED_BYTES} bytes, which no report has", path.display());
        return Err(Failure::new(Code::Data, fact, "give the files of a report as they were delivered"));
    }
    Ok(bytes)
}
