//! `CHECK_COMMON_CUSTOMERS`, also under the name `CHECK_COMMON_DEMO_CUSTOMERS`: how many customers the holders have in common.
//!
//! Fuses what is new, matches every kind of the space where the policy allows it, makes the report, and puts its files, in clear or
//! encrypted, into a folder named after the event: written beside it first, then renamed as a whole. Then it is delivered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use datafuse_core::{
    id::{KindName, ParticipantId},
    normalize::Profile,
};
use datafuse_engine::{
    aggregate::{Aggregate, Tables},
    matching::{FusedInput, match_datasets},
    report::{DatasetRef, KindInputs, Provenance, Report, ReportInputs, RowCounts},
    signed_report::{FileSet, Readers},
    waterfall::WaterfallRows,
};

use super::{
    aggregates, fuse, lists, output,
    policy::{self, Question},
    report_files, waterfall,
};
use crate::{
    delivery,
    directory::Holder,
    error::{Error, Result},
    event::Event,
    outcome::{Fused, Outcome, Progress, Stage},
    readers,
    report_folder::{self, Found},
    state::AcceptedDataset,
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
    let is_there = found.files().is_some();
    let whole = !is_there
        || report_folder::lists_are_whole(&folder, &workload.signers())
            .map_err(|source| output::failed("read", &folder, source))?;
    if !whole {
        return Err(Error::OutputInTheWay { path: folder });
    }
    let own = own_folders(workload, &folder);
    if is_there {
        check_own_reports(workload, event, &readers, &folder, &own)?;
    }
    match found {
        // The report of an earlier run of the same event, which a crash kept from being delivered or acknowledged.
        Found::Report { report, .. } => {
            let delivered = delivery::deliver(workload, event, &folder, &own)?;
            return Ok(Outcome::Reported { folder, report, fused: Fused::default(), own, delivered });
        }
        Found::Encrypted(_) => {
            let delivered = delivery::deliver(workload, event, &folder, &own)?;
            let recipients = readers.users;
            return Ok(Outcome::Encrypted { folder, recipients, fused: Fused::default(), own, delivered });
        }
        Found::Nothing => {}
        Found::Other => return Err(Error::OutputInTheWay { path: folder }),
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
    let delivered = delivery::deliver(workload, event, &folder, &own)?;
    Ok(match readers.files() {
        FileSet::Clear => Outcome::Reported { folder, report: Box::new(report), fused, own, delivered },
        FileSet::Encrypted => Outcome::Encrypted { folder, recipients: readers.users, fused, own, delivered },
    })
}

/// The users who may see more than all, with the folders of their reports.
fn own_folders(workload: &Workload, folder: &Path) -> Vec<(ParticipantId, PathBuf)> {
    let users = workload.space().users_with_own_outputs().into_iter();
    users.map(|user| (user.clone(), report_folder::own_folder(folder, user))).collect()
}

/// Looks at the reports of single users that lie below that of an event: these and no others, each whole and made for that user alone.
fn check_own_reports(
    workload: &Workload,
    event: &Event,
    readers: &Readers,
    folder: &Path,
    own: &[(ParticipantId, PathBuf)],
) -> Result<()> {
    let failed = |source| output::failed("read", folder, source);
    if report_folder::own_folders(folder).map_err(failed)? != own {
        return Err(Error::OutputInTheWay { path: folder.to_owned() });
    }
    for (user, path) in own {
        let found = report_folder::find(path, &event.id, workload.root(), &workload.signers()).map_err(failed)?;
        if found.users() != [user.clone()] {
            return Err(Error::OutputInTheWay { path: path.clone() });
        }
        readers::check_found(&found, &readers::only(readers, user), path)?;
    }
    Ok(())
}

/// Makes the report, and writes its files into a folder; gives what every data user may see of it.
fn make(
    workload: &mut Workload,
    event: &Event,
    holders: &[Holder],
    progress: Progress<'_>,
    readers: &Readers,
    part: &Path,
) -> Result<(Report, Fused)> {
    let fused = fuse::fuse(workload, holders, progress)?;
    let accepted = accepted(workload, holders)?;
    let question = Question::ask(workload, holders, &accepted)?;
    let report = match question.answered(workload)? {
        Some(answered) => {
            let answered_from = Some(answered.event).filter(|first| *first != event.id);
            let mut provenance = Provenance { answered_from, ..provenance(workload, event, holders, &accepted)? };
            provenance.datasets.sort();
            Report { provenance, ..answered.report }
        }
        None => {
            let notes = question.admit(workload, event)?;
            let Gathered { mut inputs, waterfall, aggregates } = gather(workload, event, holders, &accepted, progress)?;
            inputs.rules = question.rules(workload);
            progress(Stage::Reporting);
            let threshold = inputs.threshold.clone();
            let wanted = lists::wanted(workload, &accepted, holders);
            let tables = lists::tables(&wanted, &inputs);
            let mut report = match question.noise(workload) {
                Some(noise) => Report::build_noisy(inputs, noise)?,
                None => Report::build(inputs)?,
            };
            if let Some(rows) = waterfall {
                report.add_waterfall(&rows, &threshold);
            }
            report.add_lists(wanted, &tables, &threshold);
            let names: Vec<_> = holders.iter().map(|holder| holder.id.clone()).collect();
            report.add_aggregates(aggregates, &names, &threshold);
            let report = report.release(&policy::left_out(workload.space()));
            // Before anybody can see it: what is not remembered cannot be compared with.
            question.remember(workload, report, &notes)?
        }
    };
    let commitments: Vec<_> = report.provenance.datasets.iter().map(|dataset| dataset.sha256.as_str()).collect();
    workload.state_mut().note_used(&commitments)?;
    let lists = lists::write(workload, &report, holders, &accepted, progress, part)?;
    let report = report_files::write(workload, &report, readers, &lists, part)?;
    Ok((report, fused))
}

/// The newest accepted version of each dataset, by holder.
fn accepted(workload: &Workload, holders: &[Holder]) -> Result<Vec<Vec<AcceptedDataset>>> {
    let epoch = workload.open_epoch()?.epoch;
    let of = |holder: &Holder| {
        let datasets = holder.datasets.iter().map(|place| {
            workload
                .state()
                .dataset(epoch, &holder.name, &place.dataset)?
                .ok_or_else(|| Error::NoDataset { holder: holder.id.clone() })
        });
        datasets.collect()
    };
    holders.iter().map(of).collect()
}

/// What a report is made of, before anything is withheld.
struct Gathered {
    inputs: ReportInputs,
    waterfall: Option<WaterfallRows>,
    aggregates: Vec<(Aggregate, Tables)>,
}

/// Matches every kind and gathers what the report says about where it all came from.
fn gather(
    workload: &Workload,
    event: &Event,
    holders: &[Holder],
    accepted: &[Vec<AcceptedDataset>],
    progress: Progress<'_>,
) -> Result<Gathered> {
    let open = workload.open_epoch()?;
    let secrets = workload.state().secrets(open.epoch)?;
    let brought: BTreeSet<&KindName> = accepted.iter().flatten().flat_map(|dataset| dataset.kinds.keys()).collect();
    let names: Vec<_> = holders.iter().map(|holder| holder.id.clone()).collect();
    let counted = waterfall::count(workload, accepted, &names, &secrets, progress)?;
    let (waterfall, mut tables) = counted.map_or_else(Default::default, |c| (Some(c.rows), c.tables));
    let aggregates = aggregates::count(workload, accepted, &names, &secrets, progress)?;
    let mut kinds = Vec::new();
    for kind in brought {
        let mut inputs = Vec::new();
        let mut rows = BTreeMap::new();
        for (index, datasets) in accepted.iter().enumerate() {
            let mut counts = RowCounts { would_change: would_change(datasets, kind), ..RowCounts::default() };
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
        let of = inputs_rows(accepted, kind);
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
    let inputs = ReportInputs {
        kinds,
        threshold: policy::threshold(workload.space()),
        rules: Vec::new(),
        provenance: provenance(workload, event, holders, accepted)?,
    };
    Ok(Gathered { inputs, waterfall, aggregates })
}

fn provenance(
    workload: &Workload,
    event: &Event,
    holders: &[Holder],
    accepted: &[Vec<AcceptedDataset>],
) -> Result<Provenance> {
    let datasets = holders.iter().zip(accepted).flat_map(|(holder, datasets)| {
        datasets.iter().map(|dataset| DatasetRef {
            holder: holder.id.clone(),
            dataset: dataset.dataset.clone(),
            version: dataset.version,
            sha256: dataset.sha256.clone(),
            unauthenticated: dataset.unauthenticated,
        })
    });
    Ok(Provenance {
        space: workload.space().id().clone(),
        root: workload.root().to_string(),
        epoch: workload.open_epoch()?.epoch,
        event: event.id.clone(),
        event_type: event.name().to_owned(),
        answered_from: None,
        datasets: datasets.collect(),
        datafuse: env!("CARGO_PKG_VERSION").to_owned(),
        at: jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string(),
    })
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

/// Sums what wider profiles would change, of those profiles that each of a holder's datasets with the kind says it of.
fn would_change(datasets: &[AcceptedDataset], kind: &KindName) -> BTreeMap<Profile, u64> {
    let of_each: Vec<_> = datasets.iter().filter_map(|dataset| dataset.kinds.get(kind)).collect();
    let of_all = |profile: Profile| -> Option<u64> {
        of_each.iter().map(|fused| fused.would_change.get(profile.as_str()).copied()).sum()
    };
    let known = Profile::ALL.into_iter().filter(|_| !of_each.is_empty());
    known.filter_map(|profile| Some((profile, of_all(profile)?))).collect()
}

fn inputs_rows(accepted: &[Vec<AcceptedDataset>], kind: &KindName) -> u64 {
    accepted.iter().flatten().filter_map(|dataset| dataset.kinds.get(kind)).map(|fused| fused.fused).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafuse_core::keys::{KeyId, PartyKeys};
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;
    use crate::state::FusedKind;

    /// A dataset that brings `email`, or another kind, and says that of wider profiles.
    fn dataset(kind: &str, would_change: &[(&str, u64)]) -> AcceptedDataset {
        let keys = PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(1));
        let would_change = would_change.iter().map(|(profile, rows)| ((*profile).to_owned(), *rows)).collect();
        let fused = FusedKind { empty: 0, invalid: 0, fused: 90, would_change, file: "a.parquet".to_owned() };
        AcceptedDataset {
            holder: keys.identity().public_name(),
            dataset: "customers".parse().unwrap(),
            version: 1,
            sha256: "00".repeat(32),
            key_id: KeyId::from_bytes([1; 16]),
            rows: 90,
            kinds: [(kind.parse().unwrap(), fused)].into(),
            unauthenticated: false,
        }
    }

    #[test]
    fn what_profiles_would_change_is_said_where_all_datasets_with_the_kind_say_it() {
        let of = |datasets: &[AcceptedDataset]| would_change(datasets, &"email".parse().unwrap());
        let (one, two) = (dataset("email", &[("email-gmail-v1", 3)]), dataset("email", &[("email-gmail-v1", 4)]));
        let (silent, phone) = (dataset("email", &[]), dataset("phone", &[]));
        assert_eq!(of(&[one.clone(), phone.clone(), two.clone()]), [(Profile::EmailGmailV1, 7)].into());
        assert!(of(&[one, silent.clone(), two]).is_empty());
        assert!(of(&[silent]).is_empty() && of(&[phone]).is_empty() && of(&[]).is_empty());
    }
}
