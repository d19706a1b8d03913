//! The waterfall of a report: matches the kinds that the agreement lists in their order, and counts the rows.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use datafuse_core::id::{KindName, ParticipantId};
use datafuse_engine::{
    match_table::MatchTable,
    waterfall::{WaterfallDataset, WaterfallKind, WaterfallRows, match_in_order, passes},
};

use super::check_common_customers::fused_input;
use crate::{
    error::Result,
    outcome::{Progress, Stage},
    state::{AcceptedDataset, EpochSecrets},
    workload::Workload,
};

/// What the waterfall brought: the counts, and the tables of its kinds, which need not be matched again.
pub(super) struct Counted {
    pub(super) rows: WaterfallRows,
    pub(super) tables: BTreeMap<KindName, MatchTable>,
}

/// Counts the rows of these holders' datasets; `None` where the agreement asks for no waterfall.
pub(super) fn count(
    workload: &Workload,
    accepted: &[Vec<AcceptedDataset>],
    names: &[ParticipantId],
    secrets: &EpochSecrets,
    progress: Progress<'_>,
) -> Result<Option<Counted>> {
    let order = &workload.space().analyses().waterfall;
    if order.is_empty() {
        return Ok(None);
    }
    let all = || accepted.iter().enumerate().flat_map(|(holder, datasets)| datasets.iter().map(move |d| (holder, d)));
    let datasets: Vec<_> = all().map(|(holder, dataset)| WaterfallDataset { holder, rows: dataset.rows }).collect();
    let kinds: Vec<_> = order
        .iter()
        .map(|kind| {
            let files = all().enumerate().filter_map(|(position, (holder, dataset))| {
                Some((position, fused_input(workload, holder, dataset, kind)?))
            });
            WaterfallKind { kind: kind.clone(), files: files.collect() }
        })
        .collect();
    let passes = passes(&datasets, workload.limits());
    let of: Vec<u64> = order
        .iter()
        .map(|kind| {
            all().filter_map(|(_, dataset)| dataset.kinds.get(kind)).map(|fused| fused.fused).sum::<u64>() * passes
        })
        .collect();
    let done: Vec<_> = order.iter().map(|_| AtomicU64::new(0)).collect();
    let told = |kind: usize, rows| {
        let rows = done[kind].fetch_add(rows, Ordering::Relaxed) + rows;
        progress(Stage::Matching { rows, of: of[kind] });
    };
    let began = Instant::now();
    let (tables, rows) = match_in_order(&kinds, &datasets, names, &secrets.store_key, workload.limits(), &told)?;
    workload.metrics().matched(of.iter().sum(), began.elapsed());
    // A kind that nobody brought was not matched.
    let brought = |kind: &KindName| all().any(|(_, dataset)| dataset.kinds.contains_key(kind));
    let tables = order.iter().cloned().zip(tables).filter(|(kind, _)| brought(kind)).collect();
    Ok(Some(Counted { rows, tables }))
}
