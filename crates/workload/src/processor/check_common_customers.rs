//! `CHECK_COMMON_CUSTOMERS`, also under the name `CHECK_COMMON_DEMO_CUSTOMERS`: how many customers the holders have in common.
//!
//! Fuses what is new, matches every kind of the space, makes the report, and puts `report.json` and `report.html` into a
//! folder named after the event: written beside it first, then renamed as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use datafuse_core::id::KindName;
use datafuse_engine::{
    matching::{FusedInput, match_datasets},
    report::{DatasetRef, KindInputs, Provenance, Report, ReportInputs, RowCounts, Threshold},
    report_html,
};
use sha2::{Digest, Sha256};

use super::fuse;
use crate::{
    audit::Fact,
    directory::Holder,
    error::{Error, Result},
    event::Event,
    outcome::{Fused, Outcome, Progress, Stage, temporary_name},
    state::AcceptedDataset,
    workload::Workload,
};

const REPORT_JSON: &str = "report.json";
const REPORT_HTML: &str = "report.html";

pub(super) fn check(
    workload: &mut Workload,
    event: &Event,
    holders: &[Holder],
    progress: Progress<'_>,
) -> Result<Outcome> {
    let folder = workload.layout().outputs_of(&event.id);
    if let Some(report) = existing(&folder, event)? {
        return Ok(Outcome::Reported { folder, report: Box::new(report), fused: Fused::default() });
    }
    // A report in clear is not what this user agreed to.
    if let Some((user, _)) = workload.space().users().find(|(_, user)| user.recipient.is_some()) {
        return Err(Error::RecipientNotProvided { user: user.clone() });
    }
    // An output that cannot be written should not cost hours first.
    let part = prepare(workload, event)?;
    let made = make(workload, event, holders, progress, &part);
    if made.is_err() {
        // Nothing half-made is left; the event finds a clean place when it comes again.
        let _ = fs::remove_dir_all(&part);
    }
    let (report, fused) = made?;
    publish(&part, &folder)?;
    Ok(Outcome::Reported { folder, report: Box::new(report), fused })
}

/// Makes the report, and writes its files into a folder.
fn make(
    workload: &mut Workload,
    event: &Event,
    holders: &[Holder],
    progress: Progress<'_>,
    part: &Path,
) -> Result<(Report, Fused)> {
    let fused = fuse::fuse(workload, holders, progress)?;
    let inputs = gather(workload, event, holders, progress)?;
    progress(Stage::Reporting);
    let report = Report::build(inputs)?;
    let json = report.to_json_pretty();
    write(&part.join(REPORT_JSON), json.as_bytes())?;
    write(&part.join(REPORT_HTML), report_html::render(&report).as_bytes())?;
    let datasets: Vec<_> = report.provenance.datasets.iter().map(|dataset| dataset.sha256.clone()).collect();
    let sha256 = hex::encode(Sha256::digest(json.as_bytes()));
    workload.note(&Fact::ReportMade { sha256: &sha256, datasets: &datasets })?;
    Ok((report, fused))
}

/// The report of an earlier run of the same event, which a crash kept from being acknowledged.
fn existing(folder: &Path, event: &Event) -> Result<Option<Report>> {
    let path = folder.join(REPORT_JSON);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = fs::read(&path).map_err(|source| output_error("read", &path, source))?;
    match Report::from_json(&bytes) {
        Ok(report) if report.provenance.event == event.id => Ok(Some(report)),
        _ => Err(Error::OutputInTheWay { path: folder.to_owned() }),
    }
}

/// Matches every kind and gathers what the report says about where it all came from.
fn gather(workload: &Workload, event: &Event, holders: &[Holder], progress: Progress<'_>) -> Result<ReportInputs> {
    let open = workload.open_epoch()?;
    let secrets = workload.state().secrets(open.epoch)?;
    let mut accepted: Vec<Vec<AcceptedDataset>> = Vec::new();
    for holder in holders {
        let datasets = holder.datasets.iter().map(|place| {
            workload
                .state()
                .dataset(open.epoch, &holder.name, &place.dataset)?
                .ok_or_else(|| Error::NoDataset { holder: holder.id.clone() })
        });
        accepted.push(datasets.collect::<Result<_>>()?);
    }
    let brought: BTreeSet<&KindName> = accepted.iter().flatten().flat_map(|dataset| dataset.kinds.keys()).collect();
    let names: Vec<_> = holders.iter().map(|holder| holder.id.clone()).collect();
    let mut kinds = Vec::new();
    for kind in brought {
        let mut inputs = Vec::new();
        let mut rows = BTreeMap::new();
        for (index, datasets) in accepted.iter().enumerate() {
            let mut counts = RowCounts::default();
            for dataset in datasets {
                counts.rows += dataset.rows;
                match dataset.kinds.get(kind) {
                    Some(fused) => {
                        counts.empty += fused.empty;
                        counts.invalid += fused.invalid;
                        inputs.push(FusedInput {
                            holder: index,
                            path: workload.layout().fused().join(&fused.file),
                            label: fuse::fused_label(&dataset.holder, &dataset.dataset, dataset.version, kind),
                        });
                    }
                    // This dataset has no column for the kind.
                    None => counts.empty += dataset.rows,
                }
            }
            rows.insert(names[index].clone(), counts);
        }
        let of = inputs_rows(&accepted, kind);
        let done = AtomicU64::new(0);
        let told = |rows| progress(Stage::Matching { rows: done.fetch_add(rows, Ordering::Relaxed) + rows, of });
        let began = Instant::now();
        let table = match_datasets(&inputs, &names, &secrets.store_key, workload.limits(), &told)?;
        workload.metrics().matched(of, began.elapsed());
        kinds.push(KindInputs { kind: kind.clone(), table, rows });
    }
    let space = workload.space();
    let datasets = holders.iter().zip(&accepted).flat_map(|(holder, datasets)| {
        datasets.iter().map(|dataset| DatasetRef {
            holder: holder.id.clone(),
            dataset: dataset.dataset.clone(),
            version: dataset.version,
            sha256: dataset.sha256.clone(),
        })
    });
    Ok(ReportInputs {
        kinds,
        threshold: Threshold {
            min_count: space.min_count(),
            set_by: space.min_count_set_by().map_or_else(|| "space".to_owned(), ToString::to_string),
        },
        provenance: Provenance {
            space: space.id().clone(),
            root: workload.root().to_string(),
            epoch: open.epoch,
            event: event.id.clone(),
            event_type: event.name().to_owned(),
            datasets: datasets.collect(),
            datafuse: env!("CARGO_PKG_VERSION").to_owned(),
            at: jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string(),
        },
    })
}

fn inputs_rows(accepted: &[Vec<AcceptedDataset>], kind: &KindName) -> u64 {
    accepted.iter().flatten().filter_map(|dataset| dataset.kinds.get(kind)).map(|fused| fused.fused).sum()
}

/// Makes an empty folder beside the one to come.
fn prepare(workload: &Workload, event: &Event) -> Result<PathBuf> {
    let outputs = &workload.layout().outputs;
    let part = outputs.join(temporary_name(&event.id));
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part).map_err(|source| output_error("create", &part, source))?;
    Ok(part)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create_new(path).map_err(|source| output_error("create", path, source))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| output_error("write", path, source))
}

/// Makes the output appear whole: the folder's entries, then its name, then its place among the outputs reach the disk.
fn publish(part: &Path, folder: &Path) -> Result<()> {
    let sync = |path: &Path| File::open(path).and_then(|folder| folder.sync_all());
    sync(part).map_err(|source| output_error("write", part, source))?;
    fs::rename(part, folder).map_err(|source| output_error("create", folder, source))?;
    if let Some(outputs) = folder.parent() {
        sync(outputs).map_err(|source| output_error("write", outputs, source))?;
    }
    Ok(())
}

fn output_error(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Output { action, path: path.to_owned(), source }
}
