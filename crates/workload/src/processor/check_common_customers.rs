//! `CHECK_COMMON_CUSTOMERS`, also under the name `CHECK_COMMON_DEMO_CUSTOMERS`: how many customers the holders have in common.
//!
//! Fuses what is new, matches every kind of the space, makes the report, and puts `report.json`, `report.html` and the signed
//! `report.dsse.json` into a folder named after the event: written beside it first, then renamed as a whole. Then it is delivered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use datafuse_core::id::KindName;
use datafuse_engine::{
    matching::{FusedInput, match_datasets},
    report::{DatasetRef, KindInputs, Provenance, Report, ReportInputs, RowCounts, Threshold},
    report_html,
    signed_report::{REPORT_DSSE, REPORT_HTML, REPORT_JSON, SignedReport},
    waterfall::WaterfallRows,
};
use sha2::{Digest, Sha256};

use super::{fuse, output, waterfall};
use crate::{
    audit::Fact,
    delivery,
    directory::Holder,
    error::{Error, Result},
    event::Event,
    outcome::{Fused, Outcome, Progress, Stage},
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
    // A report in clear is not what this user agreed to: neither a new one nor one that lies there already.
    if let Some((user, _)) = workload.space().users().find(|(_, user)| user.recipient.is_some()) {
        return Err(Error::RecipientNotProvided { user: user.clone() });
    }
    let folder = workload.layout().outputs_of(&event.id);
    let found = report_folder::find(&folder, &event.id, workload.root(), &workload.signers());
    match found.map_err(|source| output::failed("read", &folder, source))? {
        // The report of an earlier run of the same event, which a crash kept from being delivered or acknowledged.
        Found::Report(report) => {
            let delivered = delivery::deliver(workload, event, &folder)?;
            return Ok(Outcome::Reported { folder, report, fused: Fused::default(), delivered });
        }
        Found::Other => return Err(Error::OutputInTheWay { path: folder }),
        Found::Nothing => {}
    }
    // An output that cannot be written should not cost hours first.
    let part = output::prepare(&workload.layout().outputs, &event.id)?;
    step::at(Step::ReportBegun);
    let made = make(workload, event, holders, progress, &part);
    if made.is_err() {
        // Nothing half-made is left; the event finds a clean place when it comes again.
        let _ = fs::remove_dir_all(&part);
    }
    let (report, fused) = made?;
    output::publish(&part, &folder)?;
    step::at(Step::ReportPublished);
    let delivered = delivery::deliver(workload, event, &folder)?;
    Ok(Outcome::Reported { folder, report: Box::new(report), fused, delivered })
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
    let (inputs, waterfall) = gather(workload, event, holders, progress)?;
    count(workload, event, &inputs.provenance.datasets)?;
    progress(Stage::Reporting);
    let threshold = inputs.threshold.clone();
    let mut report = Report::build(inputs)?;
    if let Some(rows) = waterfall {
        report.add_waterfall(&rows, &threshold);
    }
    for warning in &report.warnings {
        tracing::warn!(holder = %warning.holder, dataset = %warning.dataset, "{}", warning.text());
    }
    let (json, html) = (report.to_json_pretty(), report_html::render(&report));
    let recipients = workload.space().users().map(|(user, _)| user.clone()).collect();
    let signed = SignedReport::sign(&report, json.as_bytes(), html.as_bytes(), recipients, workload.identity())?;
    for (name, bytes) in
        [(REPORT_JSON, json.as_bytes()), (REPORT_HTML, html.as_bytes()), (REPORT_DSSE, signed.as_slice())]
    {
        output::write(&part.join(name), bytes)?;
    }
    let datasets: Vec<_> = report.provenance.datasets.iter().map(|dataset| dataset.sha256.clone()).collect();
    let sha256 = hex::encode(Sha256::digest(json.as_bytes()));
    workload.note(&Fact::ReportMade { sha256: &sha256, datasets: &datasets })?;
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
fn gather(
    workload: &Workload,
    event: &Event,
    holders: &[Holder],
    progress: Progress<'_>,
) -> Result<(ReportInputs, Option<WaterfallRows>)> {
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
    let counted = waterfall::count(workload, &accepted, &names, &secrets, progress)?;
    let (waterfall, mut tables) = counted.map_or_else(Default::default, |c| (Some(c.rows), c.tables));
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
                        inputs.extend(fused_input(workload, index, dataset, kind));
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
        let table = match tables.remove(kind) {
            Some(table) => table,
            None => {
                let table = match_datasets(&inputs, &names, &secrets.store_key, workload.limits(), &told)?;
                workload.metrics().matched(of, began.elapsed());
                table
            }
        };
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
    let inputs = ReportInputs {
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
    };
    Ok((inputs, waterfall))
}

/// The fused file of one kind of a dataset, as matching takes it; `None` where the dataset has no column for the kind.
pub(super) fn fused_input(
    workload: &Workload,
    holder: usize,
    dataset: &AcceptedDataset,
    kind: &KindName,
) -> Option<FusedInput> {
    let fused = dataset.kinds.get(kind)?;
    Some(FusedInput {
        holder,
        path: workload.layout().fused().join(&fused.file),
        label: fuse::fused_label(&dataset.holder, &dataset.dataset, dataset.version, kind),
    })
}

fn inputs_rows(accepted: &[Vec<AcceptedDataset>], kind: &KindName) -> u64 {
    accepted.iter().flatten().filter_map(|dataset| dataset.kinds.get(kind)).map(|fused| fused.fused).sum()
}
