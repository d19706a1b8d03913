//! `CHECK_COMMON_CUSTOMERS`, also under the name `CHECK_COMMON_DEMO_CUSTOMERS`: how many customers the holders have in common.
//!
//! Fuses what is new, matches every kind of the space, makes the report, and puts its files, in clear or encrypted, into a folder named
//! after the event: written beside it first, then renamed as a whole. Then it is delivered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use datafuse_core::id::KindName;
use datafuse_engine::{
    matching::{FusedInput, match_datasets},
    report::{DatasetRef, KindInputs, Provenance, Report, ReportInputs, RowCounts, Threshold},
    signed_report::{FileSet, Readers},
};

use super::{fuse, output, report_files};
use crate::{
    delivery::{self, Delivered},
    directory::Holder,
    error::{Error, Result},
    event::Event,
    outcome::{Fused, Outcome, Progress, Stage},
    readers,
    report_folder::{self, Found},
    state::{AcceptedDataset, report_subject},
    step::{self, Step},
    workload::Workload,
};

pub(super) fn check(
    workload: &mut Workload,
    event: &Event,
    holders: &[Holder],
    progress: Progress<'_>,
) -> Result<Outcome> {
    let readers = readers::of(workload.space())?;
    let folder = workload.layout().outputs_of(&event.id);
    let found = report_folder::find(&folder, &event.id, workload.root(), &workload.signers());
    let found = found.map_err(|source| output::failed("read", &folder, source))?;
    readers::check_found(&found, &readers, &folder)?;
    match found {
        // The report of an earlier run of the same event, which a crash kept from being delivered or acknowledged.
        Found::Report(report) => {
            let delivered = delivery::deliver(workload, event, &folder)?;
            return Ok(Outcome::Reported { folder, report, fused: Fused::default(), delivered });
        }
        Found::Encrypted(_) => {
            let delivered = delivery::deliver(workload, event, &folder)?;
            return Ok(encrypted(folder, readers, Fused::default(), delivered));
        }
        Found::Other => return Err(Error::OutputInTheWay { path: folder }),
        Found::Nothing => {}
    }
    // An output that cannot be written should not cost hours first.
    let part = output::prepare(&workload.layout().outputs, &event.id)?;
    step::at(Step::ReportBegun);
    let made = make(workload, event, holders, progress, &readers, &part);
    if made.is_err() {
        // Nothing half-made is left; the event finds a clean place when it comes again.
        let _ = fs::remove_dir_all(&part);
    }
    let (report, fused) = made?;
    output::publish(&part, &folder)?;
    step::at(Step::ReportPublished);
    let delivered = delivery::deliver(workload, event, &folder)?;
    Ok(match readers.files() {
        FileSet::Clear => Outcome::Reported { folder, report: Box::new(report), fused, delivered },
        FileSet::Encrypted => encrypted(folder, readers, fused, delivered),
    })
}

/// The outcome of a report whose figures are its users' alone.
fn encrypted(folder: PathBuf, readers: Readers, fused: Fused, delivered: Vec<Delivered>) -> Outcome {
    Outcome::Encrypted { folder, recipients: readers.users, fused, delivered }
}

/// Makes the report, and writes its files into a folder.
fn make(
    workload: &mut Workload,
    event: &Event,
    holders: &[Holder],
    progress: Progress<'_>,
    readers: &Readers,
    part: &Path,
) -> Result<(Report, Fused)> {
    let fused = fuse::fuse(workload, holders, progress)?;
    let inputs = gather(workload, event, holders, progress)?;
    count(workload, event, &inputs.provenance.datasets)?;
    progress(Stage::Reporting);
    let report = Report::build(inputs)?;
    report_files::write(workload, &report, readers, part)?;
    Ok((report, fused))
}

/// Counts, before the report is there, that one is made of each pair of datasets of different holders. Limits come with the policy.
fn count(workload: &mut Workload, event: &Event, datasets: &[DatasetRef]) -> Result<()> {
    let pairs = datasets.iter().enumerate().flat_map(|(index, a)| {
        let others = datasets[index + 1..].iter().filter(|b| b.holder != a.holder);
        others.map(|b| report_subject(&a.sha256, &b.sha256))
    });
    let pairs: Vec<_> = pairs.collect();
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
    workload.state_mut().spend(&pairs, &today, None, &event.id)?;
    let commitments: Vec<_> = datasets.iter().map(|dataset| dataset.sha256.as_str()).collect();
    workload.state_mut().note_used(&commitments)
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
            unauthenticated: dataset.unauthenticated,
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
