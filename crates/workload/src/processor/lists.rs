//! The lists of an event: for each holder that receives one, a file with its own rows that only it can open.
//!
//! Which lists are made is decided with the report, and stands in it; so an answer that is given again has the same lists, made anew
//! from the same fused files. The file's key lives in memory only, and is sealed to the holder's public name of today.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use datafuse_core::{
    id::{KindName, ParticipantId},
    list::{ListEnvelope, ListHeader},
};
use datafuse_engine::{
    list::{ListOrder, ListWriter, ListedDataset, passes, write_list},
    match_table::MatchTable,
    report::{ListRef, Report, ReportInputs, WantedList},
    signed_report::{LISTS, Subject, list_name},
};
use datafuse_space::make_folder;
use rand_core::UnwrapErr;
use zeroize::Zeroizing;

use super::{check_common_customers::fused_input, output};
use crate::{
    directory::Holder,
    error::{Error, Result},
    outcome::{Progress, Stage},
    state::{AcceptedDataset, EpochSecrets},
    step::{self, Step},
    workload::Workload,
};

/// The lists that the agreement asks for, of receivers that take part or not.
pub(super) fn wanted(workload: &Workload, accepted: &[Vec<AcceptedDataset>], holders: &[Holder]) -> Vec<WantedList> {
    let space = workload.space();
    let list = |(receiver, list): (&ParticipantId, &datafuse_space::List)| {
        let own = holders.iter().position(|holder| holder.id == *receiver);
        let unauthenticated = own.is_some_and(|own| accepted[own].iter().any(|dataset| dataset.unauthenticated));
        WantedList {
            holder: receiver.clone(),
            join: list.join,
            kind: list.kind.clone(),
            with: space.list_with(receiver).into_iter().cloned().collect(),
            unauthenticated,
        }
    };
    space.analyses().lists.iter().map(list).collect()
}

/// The match tables of the lists' kinds.
pub(super) fn tables(wanted: &[WantedList], inputs: &ReportInputs) -> BTreeMap<KindName, MatchTable> {
    let asked = inputs.kinds.iter().filter(|of| wanted.iter().any(|list| list.kind == of.kind));
    asked.map(|of| (of.kind.clone(), of.table.clone())).collect()
}

/// Writes the lists that a report says are made into its folder; gives what is signed of them.
pub(super) fn write(
    workload: &Workload,
    report: &Report,
    holders: &[Holder],
    accepted: &[Vec<AcceptedDataset>],
    progress: Progress<'_>,
    folder: &Path,
) -> Result<Vec<Subject>> {
    let made: Vec<_> = report.lists.iter().filter(|list| list.not_made.is_none()).collect();
    if made.is_empty() {
        return Ok(Vec::new());
    }
    let below = folder.join(LISTS);
    make_folder(&below).map_err(|source| output::failed("create", &below, source))?;
    let secrets = workload.state().secrets(workload.open_epoch()?.epoch)?;
    let mut subjects = Vec::new();
    for list in made {
        let path = folder.join(list_name(&list.holder));
        let sha256 = write_one(workload, report, list, (holders, accepted), &secrets, progress, &path)?;
        step::at(Step::ReportFileWritten);
        subjects.push(Subject::of_list(&list.holder, sha256));
    }
    Ok(subjects)
}

fn write_one(
    workload: &Workload,
    report: &Report,
    list: &ListRef,
    (holders, accepted): (&[Holder], &[Vec<AcceptedDataset>]),
    secrets: &EpochSecrets,
    progress: Progress<'_>,
    path: &Path,
) -> Result<[u8; 32]> {
    let position = |id: &ParticipantId| holders.iter().position(|holder| holder.id == *id);
    let missing = || Error::NoDataset { holder: list.holder.clone() };
    let receiver = position(&list.holder).ok_or_else(missing)?;
    let with = list.with.iter().map(position).collect::<Option<Vec<_>>>().ok_or_else(missing)?;
    let datasets: Vec<_> = accepted[receiver].iter().map(listed).collect();
    let mut files = Vec::new();
    for holder in with.iter().copied().chain([receiver]) {
        for (index, dataset) in accepted[holder].iter().enumerate() {
            let own = (holder == receiver).then_some(index);
            files.extend(fused_input(workload, holder, dataset, &list.kind).map(|input| (own, input)));
        }
    }
    let order = ListOrder { join: list.join, receiver, with: &with, datasets: &datasets, files: &files };
    let concerned = with.iter().chain([&receiver]);
    let rows: u64 = concerned
        .flat_map(|holder| &accepted[*holder])
        .filter_map(|dataset| dataset.kinds.get(&list.kind))
        .map(|kind| kind.fused)
        .sum();
    let of = rows * passes(&order, workload.limits());
    let done = AtomicU64::new(0);
    let told = |rows| progress(Stage::Matching { rows: done.fetch_add(rows, Ordering::Relaxed) + rows, of });

    let mut file_key = Zeroizing::new([0; 32]);
    getrandom::fill(file_key.as_mut()).map_err(|_| Error::NoRandomness)?;
    let header = ListHeader {
        root: *workload.root(),
        epoch: report.provenance.epoch,
        event: report.provenance.event.clone(),
        workload: workload.identity().public_name(),
        holder: holders[receiver].name.clone(),
        join: list.join,
        kind: list.kind.clone(),
        with: list.with.clone(),
    };
    let mut rng = UnwrapErr(getrandom::SysRng);
    let envelope = ListEnvelope::seal(header, &file_key, workload.identity(), &mut rng)?;
    let mut writer = ListWriter::create(path, list.join, with.len(), &datasets, &file_key, envelope.encode())?;
    let names: Vec<_> = holders.iter().map(|holder| holder.id.clone()).collect();
    let began = Instant::now();
    write_list(&order, &names, &secrets.store_key, workload.limits(), &mut writer, &told)?;
    workload.metrics().matched(of, began.elapsed());
    Ok(writer.finish()?)
}

fn listed(dataset: &AcceptedDataset) -> ListedDataset {
    ListedDataset {
        dataset: dataset.dataset.clone(),
        version: dataset.version,
        sha256: dataset.sha256.clone(),
        rows: dataset.rows,
    }
}
