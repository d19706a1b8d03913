//! `datafuse report open` and `datafuse report verify`.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use datafuse_core::name::PublicName;
use datafuse_engine::{
    report::Report,
    report_html,
    signed_report::{MAX_ENVELOPE_BYTES, REPORT_DSSE, REPORT_HTML, REPORT_JSON, SignedReport},
};
use datafuse_space::Space;
use serde_json::json;

use crate::{
    args::{ReportCommand, ReportOpenArgs, ReportVerifyArgs},
    chart::{self, Paper},
    console::Console,
    failure::{Code, Failure, Result},
};

pub(super) fn report(command: &ReportCommand, console: &Console) -> Result<()> {
    match command {
        ReportCommand::Open(args) => open(args, console),
        ReportCommand::Verify(args) => verify(args, console),
    }
}

fn open(args: &ReportOpenArgs, console: &Console) -> Result<()> {
    let path = within(&args.report, REPORT_JSON);
    let envelope = path.with_file_name(REPORT_DSSE);
    let bytes = read(&path)?;
    let report = Report::from_json(&bytes)?;
    let signature = match &args.space {
        Some(space) => {
            let verified = Verified::read(&envelope, &Space::read(space)?)?;
            verified.signed.check_file(REPORT_JSON, &bytes)?;
            format!("Signed by {}", verified.by())
        }
        None if envelope.is_file() => {
            format!(
                "A signed envelope lies beside it; to verify it: datafuse report verify {} --space space.yaml",
                envelope.display()
            )
        }
        None => "No signed envelope lies beside it".to_owned(),
    };
    if let Some(html) = &args.html {
        fs::write(html, report_html::render(&report)).map_err(|source| Failure::file("write", html, &source))?;
        console.say(format_args!("The page: {}", html.display()));
    }
    console.say(signature);
    let value = serde_json::to_value(&report).unwrap_or_default();
    console.result(&value, || format!("{}\n{}", report.summary_text(), chart::draw(&report, &Paper::of_stdout())));
    Ok(())
}

fn verify(args: &ReportVerifyArgs, console: &Console) -> Result<()> {
    let path = within(&args.envelope, REPORT_DSSE);
    let space = Space::read(&args.space)?;
    let verified = Verified::read(&path, &space)?;
    let mut files = Vec::new();
    for name in [REPORT_JSON, REPORT_HTML] {
        let beside = path.with_file_name(name);
        if beside.exists() {
            verified.signed.check_file(name, &read(&beside)?)?;
            files.push(name);
        }
    }
    let said = &verified.signed.statement.predicate;
    let recipients: Vec<_> = said.recipients.iter().map(ToString::to_string).collect();
    let value = json!({
        "verified": true, "signer": verified.signer.fingerprint(), "signer_is_former": verified.is_former,
        "event": said.event, "type": said.event_type, "space": said.space, "root": said.root, "epoch": said.epoch,
        "recipients": recipients, "datasets": said.datasets, "policy": said.policy, "datafuse": said.datafuse, "at": said.at,
        "files": files,
    });
    console.result(&value, || {
        let beside = match files.as_slice() {
            [] => "none lie beside it; the report is within the envelope".to_owned(),
            files => format!("{} beside it are the files that were signed", files.join(" and ")),
        };
        let mut text = format!(
            "Good: signed by {}\nSpace:      {}, root {}, epoch {}\nEvent:      {} {}, {}\nRecipients: {}\nFiles:      {beside}\n",
            verified.by(),
            said.space,
            said.root,
            said.epoch,
            said.event,
            said.event_type,
            said.at,
            if recipients.is_empty() { "nobody named".to_owned() } else { recipients.join(", ") },
        );
        for dataset in &said.datasets {
            text.push_str(&format!(
                "Dataset:    {} of {}, version {}, SHA-256 {}\n",
                dataset.dataset, dataset.holder, dataset.version, dataset.sha256
            ));
        }
        text
    });
    Ok(())
}

/// A signed report of the space at hand.
struct Verified {
    signed: SignedReport,
    signer: PublicName,
    is_former: bool,
    space: String,
}

impl Verified {
    fn read(path: &Path, space: &Space) -> Result<Self> {
        let signers: Vec<_> = std::iter::once(space.workload()).chain(space.workload_former()).cloned().collect();
        if !path.exists() {
            let fact = format!("there is no {}", path.display());
            let remedy = "give the folder of an event, or its files, as they were delivered";
            return Err(Failure::new(Code::Data, fact, remedy));
        }
        let bytes = read(path)?;
        let (signed, index) = SignedReport::verify(&bytes, &signers)?;
        signed.check_root(&space.root().to_string())?;
        let signer = signers[index].clone();
        Ok(Self { signed, signer, is_former: index > 0, space: space.id().to_string() })
    }

    fn by(&self) -> String {
        let (fingerprint, space) = (self.signer.fingerprint(), &self.space);
        match self.is_former {
            false => format!("the workload of {space} ({fingerprint})"),
            true => format!(
                "a former name of the workload of {space} ({fingerprint}): ask whether that key had leaked when it was signed"
            ),
        }
    }
}

/// The file of this name where the path is the folder of an event, which is as good.
fn within(path: &Path, name: &str) -> PathBuf {
    if path.is_dir() { path.join(name) } else { path.to_owned() }
}

/// Reads a file that somebody sent, as far as it could be one of a report.
fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Failure::file("read", path, &source);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_ENVELOPE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_ENVELOPE_BYTES {
        let fact = format!("{} has more than {MAX_ENVELOPE_BYTES} bytes, which no report has", path.display());
        return Err(Failure::new(Code::Data, fact, "give the files of a report as they were delivered"));
    }
    Ok(bytes)
}
