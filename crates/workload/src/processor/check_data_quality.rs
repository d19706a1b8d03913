//! `CHECK_DATA_QUALITY`: whether the datasets of the holders are as their data contracts say.
//!
//! Every dataset with a contract is read as it was delivered: a protected dataset with the key of the epoch (its row numbers,
//! tokens and kept columns), anything else as the table that it is. The output is `quality.json` and `quality.html` in a folder
//! named after the event, and an audit line for each model. A dataset that cannot be read is NOK, and the others go on. Nothing
//! of the data comes out but counts of rows.

use std::{collections::BTreeSet, fs, path::Path};

use datafuse_core::{dataset::Expected, id::ParticipantId};
use datafuse_engine::{
    Caps, Error as EngineError,
    contract::{
        CheckOptions, Contract, ContractError, ContractRef, DatasetQuality, HolderQuality, Model, ModelResult,
        QualityProvenance, QualityReport, Rows, Verdict, check as check_rows, render_page,
    },
    dataset::{FetchPolicy, LocalFile, ReadOptions, Source, protected::ProtectedFile},
};

use super::output::{failed, prepare, publish, write};
use crate::{
    audit::Fact,
    directory::{ContractPlace, DatasetPlace, Holder},
    error::{Error, Result},
    event::Event,
    outcome::{Outcome, Progress, Stage},
    workload::Workload,
};

const QUALITY_JSON: &str = "quality.json";
const QUALITY_HTML: &str = "quality.html";

pub(super) fn check(workload: &Workload, event: &Event, progress: Progress<'_>) -> Result<Outcome> {
    let folder = workload.layout().outputs_of(&event.id);
    if let Some(report) = existing(&folder, event)? {
        return Ok(Outcome::Checked { folder, report: Box::new(report) });
    }
    let holders = taking_part(workload, event)?;
    let part = prepare(&workload.layout().outputs, &event.id)?;
    let made = make(workload, event, &holders, progress, &part);
    if made.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    let report = made?;
    publish(&part, &folder)?;
    audit_verdicts(workload, &report)?;
    Ok(Outcome::Checked { folder, report: Box::new(report) })
}

/// The document of an earlier run of the same event, which a crash kept from being acknowledged.
fn existing(folder: &Path, event: &Event) -> Result<Option<QualityReport>> {
    if !folder.exists() {
        return Ok(None);
    }
    let path = folder.join(QUALITY_JSON);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(failed("read", &path, source)),
    };
    match QualityReport::from_json(&bytes) {
        Ok(report) if report.provenance.event == event.id.to_string() => Ok(Some(report)),
        _ => Err(Error::OutputInTheWay { path: folder.to_owned() }),
    }
}

/// The holders that are looked at: those the event names in `holders`, else all that the directory has.
fn taking_part(workload: &Workload, event: &Event) -> Result<Vec<Holder>> {
    let mut holders = workload.directory().holders(workload.space())?;
    if let Some(value) = event.body.get("holders") {
        let invalid = || Error::EventField { field: "holders", expected: "a list of participants of the space" };
        let list = value.as_array().ok_or_else(invalid)?;
        let named = list.iter().map(|id| id.as_str().and_then(|id| id.parse().ok()).ok_or_else(invalid));
        let named: BTreeSet<ParticipantId> = named.collect::<Result<_>>()?;
        for id in &named {
            if !workload.space().participant(id)?.is_holder() {
                return Err(Error::NotAHolder { participant: id.clone() });
            }
        }
        holders.retain(|holder| named.contains(&holder.id));
    }
    Ok(holders)
}

/// Checks everything, and writes the files into a folder.
fn make(
    workload: &Workload,
    event: &Event,
    holders: &[Holder],
    progress: Progress<'_>,
    part: &Path,
) -> Result<QualityReport> {
    let mut found = Vec::new();
    for holder in holders {
        let datasets = holder.datasets.iter().map(|place| of_dataset(workload, holder, place, progress));
        found.push(HolderQuality { holder: holder.id.to_string(), datasets: datasets.collect::<Result<_>>()? });
    }
    let report = QualityReport::new(
        found,
        QualityProvenance {
            space: workload.space().id().to_string(),
            event: event.id.to_string(),
            event_type: event.name().to_owned(),
            datafuse: env!("CARGO_PKG_VERSION").to_owned(),
            at: jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string(),
        },
    );
    progress(Stage::Reporting);
    write(&part.join(QUALITY_JSON), report.to_json_pretty().as_bytes())?;
    write(&part.join(QUALITY_HTML), render_page(&report).as_bytes())?;
    Ok(report)
}

fn of_dataset(
    workload: &Workload,
    holder: &Holder,
    place: &DatasetPlace,
    progress: Progress<'_>,
) -> Result<DatasetQuality> {
    let contract = match &place.contract {
        None => return Ok(DatasetQuality::without_contract(&place.dataset)),
        Some(ContractPlace::File(path)) => Contract::read(path),
        Some(ContractPlace::Descriptor(schema)) => Contract::of_descriptor(schema, "of the data descriptor"),
    };
    let contract = match contract {
        Ok(contract) => contract,
        Err(error) => {
            tracing::warn!(holder = %holder.id, dataset = %place.dataset, "{error}");
            return Ok(DatasetQuality::failed(&place.dataset, ContractRef::default(), contract_reason(&error)));
        }
    };
    let named = ContractRef { name: contract.name.clone(), version: contract.version.clone() };
    let (mut models, mut protected) = (Vec::new(), false);
    for (source, model) in match sources(place, &contract) {
        Ok(sources) => sources,
        Err(reason) => return Ok(DatasetQuality::failed(&place.dataset, named, reason)),
    } {
        let checking = Checking { workload, holder, place, progress };
        match checking.model(&source, model) {
            Ok((result, was_protected)) => {
                protected |= was_protected;
                models.push(result);
            }
            Err(error) if is_the_workloads_own(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(holder = %holder.id, dataset = %place.dataset, class = error.class(), "{error}");
                models.push(ModelResult::unreadable(&model.name, reason(&error)));
            }
        }
    }
    Ok(DatasetQuality::checked(&place.dataset, named, protected, models))
}

/// Where each model of a contract lies: at the location with its name in it; else there is one model, or one of the dataset's name.
fn sources<'a>(place: &DatasetPlace, contract: &'a Contract) -> Result<Vec<(Source, &'a Model)>, String> {
    let of = |model: &'a Model| Ok(place.source.of_model(&model.name)?.map(|source| (source, model)));
    let each: datafuse_engine::Result<Option<Vec<_>>> = contract.models.iter().map(of).collect();
    if let Some(each) = each.map_err(|_| "the name of a model cannot stand for {model} in a location".to_owned())? {
        return Ok(each);
    }
    let model = contract
        .model(None)
        .or_else(|error| contract.model(Some(place.dataset.as_str())).map_err(|_| contract_reason(&error)))?;
    Ok(vec![(place.source.clone(), model)])
}

struct Checking<'a> {
    workload: &'a Workload,
    holder: &'a Holder,
    place: &'a DatasetPlace,
    progress: Progress<'a>,
}

impl Checking<'_> {
    /// Checks one model; tells whether as a protected dataset.
    fn model(&self, source: &Source, model: &Model) -> Result<(ModelResult, bool)> {
        let workload = self.workload;
        let policy = FetchPolicy {
            allow_hosts: workload.allow_hosts().to_vec(),
            bucket: self.place.bucket.clone(),
            ..FetchPolicy::strict()
        };
        // What is fetched is fetched once, and goes when this is dropped.
        let one_file = match source {
            Source::Path(_) | Source::Url(_) => true,
            Source::Bucket(address) => !address.is_pattern(),
            Source::Glob(_) => false,
        };
        let at_hand = one_file.then(|| LocalFile::of(source, &policy, &workload.limits().temp_dir)).transpose();
        let at_hand = at_hand.map_err(|error| match error.is_missing() {
            true => Error::DatasetMissing {
                holder: self.holder.id.clone(),
                dataset: self.place.dataset.clone(),
                path: source.to_string().into(),
            },
            false => error.into(),
        })?;
        let (local, format) = match &at_hand {
            Some(file) => (Source::Path(file.path().to_owned()), self.place.format.or(file.format())),
            None => (source.clone(), self.place.format),
        };
        let (rows, protected) = match &local {
            Source::Path(path) if ProtectedFile::inspect(path, &Caps::default()).is_ok() => {
                (Rows::of_protected(&self.open_protected(path)?)?, true)
            }
            local => {
                let parquet_key = self.place.parquet_key.clone();
                let options = ReadOptions { format, parquet_key, ..ReadOptions::default() };
                (Rows::of_source(local, &options, &policy, model)?, false)
            }
        };
        let options = CheckOptions::new(workload.limits().clone(), jiff::Timestamp::now().as_second());
        let done = std::sync::atomic::AtomicU64::new(0);
        let told = |rows| {
            let rows = done.fetch_add(rows, std::sync::atomic::Ordering::Relaxed) + rows;
            (self.progress)(Stage::Checking { holder: &self.holder.id, rows });
        };
        Ok((check_rows(model, rows, &options, &told)?, protected))
    }

    /// Opens a protected dataset with the key of the epoch, after its envelope was held against the agreement.
    fn open_protected(&self, path: &Path) -> Result<ProtectedFile> {
        let (workload, holder) = (self.workload, self.holder);
        let refused = |source| Error::Dataset {
            holder: holder.id.clone(),
            dataset: self.place.dataset.clone(),
            source: Box::new(source),
        };
        let open = workload.open_epoch()?;
        let secrets = workload.state().secrets(open.epoch)?;
        let enrolled = workload.state().enrolled(open.epoch, &holder.name)?;
        let key_id = enrolled.ok_or_else(|| Error::NotEnrolled { holders: vec![holder.id.clone()] })?;
        let envelope = ProtectedFile::inspect(path, &Caps::default())?;
        let expected = Expected {
            root: workload.root(),
            epoch: open.epoch,
            holder: &holder.name,
            dataset: &self.place.dataset,
            kinds: workload.space().kinds(),
            key_id,
        };
        envelope.header().check(&expected).map_err(refused)?;
        let secret = envelope.open_as_workload(&secrets.dataset_key).map_err(refused)?;
        Ok(ProtectedFile::open(path, &secret.file_key, &Caps::default())?)
    }
}

/// Whether an error is one of the workload's disk or state, so that no dataset is to blame and the event is to be tried again.
fn is_the_workloads_own(error: &Error) -> bool {
    match error {
        Error::Engine(error) => matches!(**error, EngineError::NoSpace { .. } | EngineError::OutOfTempSpace { .. }),
        Error::State(_) | Error::StateSealed | Error::Output { .. } => true,
        _ => false,
    }
}

/// Why a dataset could not be checked, without saying where it lies.
fn reason(error: &Error) -> String {
    match error {
        Error::DatasetMissing { .. } => "it was not delivered".to_owned(),
        Error::NoEpoch => "it is protected, and no epoch is open".to_owned(),
        Error::NotEnrolled { .. } => "it is protected, and its holder is not enrolled".to_owned(),
        Error::Dataset { source, .. } => format!("it is refused: {source}"),
        Error::Engine(error) => match &**error {
            EngineError::NoMatchingFile { .. } => "it was not delivered".to_owned(),
            EngineError::FetchRefused { .. } => "its address must not be fetched".to_owned(),
            EngineError::WrongKey { .. } => "it does not open with this key".to_owned(),
            EngineError::WrongFormat { expected, found, .. } => format!("it was to be {expected}, but is {found}"),
            EngineError::EmptySource { .. } => "it is empty".to_owned(),
            EngineError::OutOfMemory { limit_bytes, .. } => {
                format!("checking it does not fit into {limit_bytes} bytes of memory")
            }
            _ => "it cannot be read; the workload's log says why".to_owned(),
        },
        _ => "it cannot be read; the workload's log says why".to_owned(),
    }
}

fn contract_reason(error: &ContractError) -> String {
    match error {
        ContractError::Malformed { problem, .. } => format!("the contract is malformed at {problem}"),
        ContractError::Io { .. } => "the contract cannot be read".to_owned(),
        ContractError::WhichModel { has, .. } => {
            format!(
                "the contract has {} models, and neither {{model}} in the location nor the dataset's name says which",
                has.len()
            )
        }
        _ => "the contract is no YAML or JSON, or too large".to_owned(),
    }
}

/// An audit line for each model, OK or NOK; for a dataset whose contract names none, under the dataset's own name.
fn audit_verdicts(workload: &Workload, report: &QualityReport) -> Result<()> {
    for holder in &report.holders {
        let Ok(id) = holder.holder.parse() else { continue };
        for checked in &holder.datasets {
            let (Some(verdict), Ok(dataset)) = (checked.verdict, checked.dataset.parse()) else { continue };
            let note = |model: &str, verdict| {
                workload.note(&Fact::Quality { holder: &id, dataset: &dataset, model, ok: verdict == Verdict::Ok })
            };
            for model in &checked.models {
                note(&model.model, model.verdict)?;
            }
            if checked.models.is_empty() {
                note(&checked.dataset, verdict)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Map;

    use super::*;

    fn event(id: &str) -> Event {
        Event::new(id.parse().unwrap(), "CHECK_DATA_QUALITY", Map::new(), None).unwrap()
    }

    fn document(event: &Event) -> QualityReport {
        let provenance = QualityProvenance {
            space: "s".into(),
            event: event.id.to_string(),
            event_type: event.name().into(),
            datafuse: "0".into(),
            at: "now".into(),
        };
        QualityReport::new(Vec::new(), provenance)
    }

    #[test]
    fn an_output_that_is_there_is_taken_for_this_event_only() {
        let outputs = tempfile::tempdir().unwrap();
        let folder = outputs.path().join("output");
        let (event, other) = (event("1700000000000-0"), event("1700000000000-1"));
        assert!(existing(&folder, &event).unwrap().is_none());
        fs::create_dir(&folder).unwrap();
        assert!(matches!(existing(&folder, &event), Err(Error::OutputInTheWay { .. })));
        fs::write(folder.join(QUALITY_JSON), document(&event).to_json_pretty()).unwrap();
        assert_eq!(existing(&folder, &event).unwrap(), Some(document(&event)));
        assert!(matches!(existing(&folder, &other), Err(Error::OutputInTheWay { .. })));
    }

    #[test]
    fn reasons_say_nothing_of_where_a_dataset_lies() {
        let engine = |error: EngineError| Error::from(error);
        for error in [
            engine(EngineError::EmptySource { place: "secret".into() }),
            engine(EngineError::UnknownFormat { place: "secret".into() }),
            engine(EngineError::NoMatchingFile { pattern: "secret".into() }),
            Error::NoEpoch,
        ] {
            assert!(!reason(&error).contains("secret"));
        }
        let malformed = Contract::parse("kind: x", "secret").unwrap_err();
        assert!(contract_reason(&malformed).contains("kind") && !contract_reason(&malformed).contains("secret"));
    }
}
