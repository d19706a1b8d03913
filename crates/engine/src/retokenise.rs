//! From tokens under one key to tokens under another, at their holder: after a rotation, or into a new epoch.
//!
//! One multiplication a token; row numbers, kept columns and counts stay as they are, and the source is not needed. Memory
//! does not depend on the number of rows.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::UInt64Type,
    record_batch::RecordBatch,
};
use datafuse_core::{rotation::Retokenizer, token::Token};

use crate::{
    dataset::protected::{Delivered, ProtectedFile, ProtectedWriter, token_array, token_column, tokens_of},
    error::{Error, Result},
    pipeline,
    runtime::Progress,
    sealed::corrupted,
};

/// Rows of a batch: few enough for a fair share of every core.
const BATCH_ROWS: usize = 4096;

/// Writes a dataset anew with every token turned, and finishes the writer, which must be for the same columns. `progress` is
/// told of the rows that are written.
///
/// # Errors
/// [`Error::BadToken`] with the first row whose token is no group element or the identity; [`Error::Corrupted`] where the
/// dataset is damaged or does not have as many tokens as its holder counted; those of [`ProtectedWriter::write`]. Then no
/// dataset appears.
pub fn retokenise(
    dataset: &ProtectedFile,
    retokenizer: &Retokenizer,
    mut writer: ProtectedWriter,
    threads: usize,
    progress: Progress<'_>,
) -> Result<Delivered> {
    let kinds = dataset.kinds();
    let mut tokens = vec![0; kinds.len()];
    pipeline::ordered(
        threads,
        dataset.all(BATCH_ROWS)?,
        |batch| turn(dataset, &batch, retokenizer),
        |batch| {
            for (count, column) in tokens.iter_mut().zip(batch.columns().iter().skip(1)) {
                *count += (column.len() - column.null_count()) as u64;
            }
            writer.write(&batch)?;
            progress(batch.num_rows() as u64);
            Ok(())
        },
    )?;
    for (kind, count) in kinds.iter().zip(tokens) {
        if dataset.counts().valid(kind) != Some(count) {
            let reason = format!("its holder counted another number of tokens of kind '{kind}'");
            return Err(corrupted(dataset.path(), reason));
        }
    }
    writer.finish(dataset.counts())
}

/// Turns the tokens of a batch of all columns: `row`, the tokens of each kind, the kept columns.
fn turn(dataset: &ProtectedFile, batch: &RecordBatch, retokenizer: &Retokenizer) -> Result<RecordBatch> {
    let rows = batch.column(0).as_primitive::<UInt64Type>();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for (kind, column) in dataset.kinds().iter().zip(columns.iter_mut().skip(1)) {
        let array = column.as_fixed_size_binary();
        let (positions, present): (Vec<usize>, Vec<Token>) =
            tokens_of(array).enumerate().filter(|(index, _)| array.is_valid(*index)).unzip();
        let turned = retokenizer.retokenize(&present).map_err(|error| match error {
            datafuse_core::Error::InvalidToken { index, identity } => Error::BadToken {
                path: dataset.path().into(),
                column: token_column(kind),
                row: rows.value(positions[index]),
                identity,
            },
            other => Error::Internal { work: "turning tokens", source: other.into() },
        })?;
        *column = Arc::new(token_array(array.len(), &positions, &turned)?);
    }
    RecordBatch::try_new(batch.schema(), columns)
        .map_err(|source| Error::Internal { work: "turning tokens", source: source.into() })
}
