//! Aggregates of a report: translates what the agreement asks for, and has it computed, all of a kind in one pass over its fused files.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use datafuse_core::id::{DatasetId, KindName, ParticipantId};
use datafuse_engine::aggregate::{Aggregate, HolderColumn, Over, Tables, ValueColumn, compute};
use datafuse_space::{AggregateOver, AggregateRequest, ColumnUse, Space};

use super::check_common_customers::fused_input;
use crate::{
    error::Result,
    outcome::{Progress, Stage},
    state::{AcceptedDataset, EpochSecrets},
    workload::Workload,
};

/// Computes the aggregates of the agreement over these holders' datasets, in the order of their names.
pub(super) fn count(
    workload: &Workload,
    accepted: &[Vec<AcceptedDataset>],
    names: &[ParticipantId],
    secrets: &EpochSecrets,
    progress: Progress<'_>,
) -> Result<Vec<(Aggregate, Tables)>> {
    let requests = &workload.space().analyses().aggregates;
    let kinds: BTreeSet<&KindName> = requests.values().map(|request| &request.kind).collect();
    let mut computed = Vec::new();
    for kind in kinds {
        let of_kind = requests.iter().filter(|(_, request)| request.kind == *kind);
        let asked: Vec<_> = of_kind.map(|(name, request)| aggregate(name, request)).collect();
        let all = accepted.iter().enumerate().flat_map(|(holder, datasets)| datasets.iter().map(move |d| (holder, d)));
        let inputs: Vec<_> =
            all.clone().filter_map(|(holder, dataset)| fused_input(workload, holder, dataset, kind)).collect();
        let of = all.filter_map(|(_, dataset)| dataset.kinds.get(kind)).map(|fused| fused.fused).sum();
        let done = AtomicU64::new(0);
        let told = |rows| progress(Stage::Matching { rows: done.fetch_add(rows, Ordering::Relaxed) + rows, of });
        let tables = compute(&asked, &inputs, names, &secrets.store_key, workload.limits(), &told)?;
        computed.extend(asked.into_iter().zip(tables));
    }
    computed.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    Ok(computed)
}

fn aggregate(name: &DatasetId, request: &AggregateRequest) -> Aggregate {
    let column =
        |(holder, column): &(ParticipantId, String)| HolderColumn { holder: holder.clone(), column: column.clone() };
    let value = |(of, uses): (&(ParticipantId, String), &BTreeSet<ColumnUse>)| ValueColumn {
        column: column(of),
        sum: uses.contains(&ColumnUse::Sum),
        mean: uses.contains(&ColumnUse::Mean),
        quantiles: uses.contains(&ColumnUse::Quantiles),
    };
    Aggregate {
        name: name.to_string(),
        kind: request.kind.clone(),
        over: match request.over {
            AggregateOver::Pairs => Over::Pairs,
            AggregateOver::Regions => Over::Regions,
            AggregateOver::All => Over::All,
        },
        group_by: request.group_by.iter().map(column).collect(),
        values: request.values.iter().map(value).collect(),
    }
}

/// What of the agreement changes the aggregates of a report, for the question to hold.
pub(super) fn asked(space: &Space) -> Vec<String> {
    let requests = space.analyses().aggregates.iter();
    requests.map(|(name, request)| format!("{:?}", aggregate(name, request))).collect()
}
