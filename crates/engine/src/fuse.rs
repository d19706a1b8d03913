//! From tokens to match keys: makes a fused file of one kind of a protected dataset, or of a table of tokens.
//!
//! Batches of tokens are read in order; on all cores each becomes match keys (one multiplication a record), which DataFusion
//! sorts, spilling encrypted runs where memory does not suffice; the sorted rows are written as one
//! [fused file](crate::fused_file). Memory stays within the limits, whatever the number of rows. A token that is no group
//! element ends it with an error that names the first row at fault, and no file appears.

use std::{
    fmt,
    iter::from_fn,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray},
    buffer::Buffer,
    compute::{filter_record_batch, is_not_null},
    datatypes::{Schema, SchemaRef, UInt64Type},
    record_batch::RecordBatch,
};
use datafuse_core::{
    fused::ReKey,
    id::KindName,
    match_key::{MatchKey, MatchSecret},
    token::Token,
};
use datafusion::{
    execution::TaskContext,
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan, SendableRecordBatchStream, execute_stream,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        stream::RecordBatchStreamAdapter,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use futures::StreamExt;

use crate::{
    dataset::{
        protected::{ProtectedFile, token_column, tokens_of},
        token_table::TokenTable,
    },
    error::{Error, Result},
    fused_file::{self, FusedSummary, FusedWriter, KEY_COLUMN},
    runtime::{Limits, Progress, Runtime},
    sealed::corrupted,
};

/// Most rows of a batch: some tenth of a second of work for one core.
const BATCH_ROWS: usize = 4096;

/// Where a fused file goes.
#[derive(Clone, Copy)]
pub struct FusedOutput<'a> {
    /// Its path; a file of that name is replaced once the new one is whole.
    pub path: &'a Path,
    /// The key it is encrypted with.
    pub store_key: &'a [u8; 32],
    /// What it is made of (holder, dataset, version, kind, ...); must be given again to open it.
    pub label: &'a str,
}

/// The secrets by which the workload turns one holder's tokens into match keys.
pub struct FuseKeys<'a> {
    /// Turns the holder's tokens into fused tokens.
    pub rekey: &'a ReKey,
    /// Turns fused tokens into match keys.
    pub match_secret: &'a MatchSecret,
}

/// Fuses the tokens of one kind of a dataset into a fused file. `progress` is told of the dataset's rows.
///
/// # Errors
/// [`Error::NoSuchKind`]; [`Error::BadToken`] with the first row whose token is no group element or the identity;
/// [`Error::Corrupted`] where the dataset is damaged or does not have as many tokens as its holder counted;
/// [`Error::Io`], [`Error::NoSpace`], [`Error::OutOfMemory`], [`Error::OutOfTempSpace`].
pub fn fuse(
    dataset: &ProtectedFile,
    kind: &KindName,
    keys: &FuseKeys<'_>,
    out: &FusedOutput<'_>,
    limits: &Limits,
    progress: Progress<'_>,
) -> Result<FusedSummary> {
    fuse_and_tell(dataset, kind, keys, out, limits, progress).map(|(summary, _)| summary)
}

/// As [`fuse`]; tells too how many bytes were spilled.
fn fuse_and_tell(
    dataset: &ProtectedFile,
    kind: &KindName,
    keys: &FuseKeys<'_>,
    out: &FusedOutput<'_>,
    limits: &Limits,
    progress: Progress<'_>,
) -> Result<(FusedSummary, u64)> {
    let batch_rows = limits.batch_rows(dataset.row_bytes(), BATCH_ROWS);
    let input = Input {
        batches: Box::new(dataset.read(kind, batch_rows)?),
        batch_rows,
        kept: dataset.kept(),
        path: dataset.path(),
        column: &token_column(kind),
    };
    let (writer, spilled_bytes) = fuse_input(input, keys, out, limits, progress)?;
    if dataset.counts().valid(kind) != Some(writer.rows()) {
        return Err(corrupted(dataset.path(), format!("its holder counted another number of tokens of kind '{kind}'")));
    }
    Ok((writer.finish()?, spilled_bytes))
}

/// Fuses the tokens of one kind of a table into a fused file. `progress` is told of the table's rows.
///
/// # Errors
/// As [`fuse`], and [`Error::TokenTable`] and those of the table's source.
pub fn fuse_table(
    table: &TokenTable,
    kind: &KindName,
    keys: &FuseKeys<'_>,
    out: &FusedOutput<'_>,
    limits: &Limits,
    progress: Progress<'_>,
) -> Result<FusedSummary> {
    let batch_rows = limits.batch_rows(table.row_bytes(), BATCH_ROWS);
    let input = Input {
        batches: Box::new(table.read(kind, batch_rows)?),
        batch_rows,
        kept: table.kept().clone(),
        path: Path::new(table.place()),
        column: table.column(kind).unwrap_or_default(),
    };
    fuse_input(input, keys, out, limits, progress)?.0.finish()
}

/// Rows with their numbers, tokens and kept columns, and what names them in errors.
struct Input<'a> {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    batch_rows: usize,
    kept: Schema,
    path: &'a Path,
    column: &'a str,
}

/// Fuses all rows into a file that is not finished yet; tells how many bytes were spilled.
fn fuse_input(
    input: Input<'_>,
    keys: &FuseKeys<'_>,
    out: &FusedOutput<'_>,
    limits: &Limits,
    progress: Progress<'_>,
) -> Result<(FusedWriter, u64)> {
    let mut writer = FusedWriter::create(out.path, &input.kept, out.store_key, out.label)?;
    let batch_rows = input.batch_rows;
    let tokens = Arc::new(Tokens {
        batches: Mutex::new(input.batches),
        rekey: keys.rekey.clone(),
        match_secret: MatchSecret::from_bytes(*keys.match_secret.as_bytes()),
        schema: fused_file::schema(&input.kept),
        rows: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
        failure: Mutex::new(None),
    });
    let sorted = Runtime::run(limits, "sorting match keys", batch_rows, &tokens.rows, progress, |runtime| {
        sort_into(runtime, Arc::clone(&tokens), limits.partitions(), &mut writer)
    });
    let spilled_bytes = match tokens.take_failure() {
        Some(Failure::BadToken { row, identity }) => {
            return Err(Error::BadToken { path: input.path.into(), column: input.column.to_owned(), row, identity });
        }
        Some(Failure::Other(error)) => return Err(error),
        None => sorted?,
    };
    Ok((writer, spilled_bytes))
}

/// Sorts the batches of all partitions by match key and writes them; tells how many bytes were spilled.
async fn sort_into(runtime: Runtime, tokens: Arc<Tokens>, partitions: usize, writer: &mut FusedWriter) -> Result<u64> {
    let plan = plan(Arc::clone(&tokens), partitions).map_err(|error| runtime.error(error))?;
    let mut sorted = execute_stream(plan, Arc::clone(&runtime.context)).map_err(|error| runtime.error(error))?;
    while let Some(batch) = sorted.next().await {
        // The first sorted row comes when all rows are in: what is wrong with any of them is known by now.
        if tokens.stopped.load(Ordering::Relaxed) {
            break;
        }
        writer.write(&batch.map_err(|error| runtime.error(error))?)?;
    }
    Ok(runtime.spill.written_bytes())
}

/// One sort for each partition, and a merge of these.
fn plan(tokens: Arc<Tokens>, partitions: usize) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::clone(&tokens.schema);
    let partition = || Arc::new(Partition(Arc::clone(&tokens))) as Arc<dyn PartitionStream>;
    let streams = (0..partitions).map(|_| partition()).collect();
    let source = StreamingTableExec::try_new(schema, streams, None, Vec::<LexOrdering>::new(), false, None)?;
    let order = LexOrdering::from([PhysicalSortExpr::new_default(Arc::new(Column::new(KEY_COLUMN, 0)))]);
    let sort = SortExec::new(order.clone(), Arc::new(source)).with_preserve_partitioning(true);
    Ok(Arc::new(SortPreservingMergeExec::new(order, Arc::new(sort))))
}

/// The rows of a dataset on their way, shared by all partitions: whoever is free takes the next batch.
struct Tokens {
    batches: Mutex<Box<dyn Iterator<Item = Result<RecordBatch>> + Send>>,
    rekey: ReKey,
    match_secret: MatchSecret,
    schema: SchemaRef,
    rows: AtomicU64,
    stopped: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

enum Failure {
    BadToken { row: u64, identity: bool },
    Other(Error),
}

impl Tokens {
    /// Takes the next batch and fuses it; `None` at the end, and when something failed.
    fn next(&self) -> Option<RecordBatch> {
        // Batches are handed out in order and each that was handed out is finished. So when one holds a bad token, all rows
        // before it are looked at, and the lowest bad row found is the first there is.
        let batch = {
            let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            let batch = batches.next()?;
            if batch.is_err() {
                self.stopped.store(true, Ordering::Relaxed);
            }
            batch
        };
        match batch.map_err(Failure::Other).and_then(|batch| self.fuse(&batch)) {
            Ok(fused) => Some(fused),
            Err(failure) => {
                self.fail(failure);
                None
            }
        }
    }

    fn fuse(&self, batch: &RecordBatch) -> std::result::Result<RecordBatch, Failure> {
        let internal = |source: arrow::error::ArrowError| {
            Failure::Other(Error::Internal { work: "fusing tokens", source: source.into() })
        };
        let read = batch.num_rows() as u64;
        let batch = match batch.column(1).null_count() {
            0 => batch.clone(),
            _ => filter_record_batch(batch, &is_not_null(batch.column(1)).map_err(internal)?).map_err(internal)?,
        };
        let rows = batch.column(0).as_primitive::<UInt64Type>();
        let tokens: Vec<Token> = tokens_of(batch.column(1).as_fixed_size_binary()).collect();
        let fused = self.rekey.fuse(&tokens).map_err(|error| match error {
            datafuse_core::Error::InvalidToken { index, identity } => {
                Failure::BadToken { row: rows.value(index), identity }
            }
            other => Failure::Other(Error::Internal { work: "fusing tokens", source: other.into() }),
        })?;
        let keys = self.match_secret.match_keys(&fused);
        let bytes: Vec<u8> = keys.iter().flat_map(MatchKey::as_bytes).copied().collect();
        let keys =
            FixedSizeBinaryArray::try_new(MatchKey::BYTES as i32, Buffer::from_vec(bytes), None).map_err(internal)?;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::clone(batch.column(0))];
        columns.extend(batch.columns().iter().skip(2).map(Arc::clone));
        self.rows.fetch_add(read, Ordering::Relaxed);
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(internal)
    }

    fn fail(&self, failure: Failure) {
        self.stopped.store(true, Ordering::Relaxed);
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = match (&*first, &failure) {
            (None, _) | (Some(Failure::Other(_)), Failure::BadToken { .. }) => true,
            (Some(Failure::BadToken { row: known, .. }), Failure::BadToken { row, .. }) => row < known,
            (Some(_), Failure::Other(_)) => false,
        };
        if earlier {
            *first = Some(failure);
        }
    }

    fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One of the streams that DataFusion sorts.
struct Partition(Arc<Tokens>);

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Partition")
    }
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let tokens = Arc::clone(&self.0);
        let batches = futures::stream::iter(from_fn(move || tokens.next().map(Ok)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.0.schema), batches))
    }
}

#[cfg(test)]
mod tests;
