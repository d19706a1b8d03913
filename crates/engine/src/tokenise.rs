//! From identifiers to tokens: makes a protected dataset of a source, at its holder.
//!
//! Batches of the source are normalised and tokenised on all cores (hash to group and one multiplication a record), and
//! written in their order as one [protected dataset](crate::dataset::protected), or as a table of tokens. What has no valid
//! identifier of any kind is not written into a dataset; every identifier that breaks its profile's rules, and every row that could not be read, is counted by its
//! reason and may go to the holder's own [`Quarantine`]. Memory does not depend on the number of rows.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, UInt64Array},
    buffer::BooleanBuffer,
    compute::{cast, filter_record_batch, nullif},
    datatypes::{DataType, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafuse_core::{
    id::KindName,
    kind::Kind,
    normalize::{InvalidReason, Normalization, Profile},
    token::Tokenizer,
};

use crate::{
    dataset::{
        ByteColumn, Quarantine, SourceBatch, column_as_bytes,
        protected::{DatasetCounts, Delivered, KindCounts, MAX_KEPT_BYTES, token_array},
    },
    error::{Error, Result},
    pipeline,
    runtime::Progress,
};

/// One identifier kind, the columns of the source that hold it, and the holder's means to tokenise it.
pub struct KindSource {
    /// The kind.
    pub kind: Kind,
    /// For each column of the kind, in the agreed order, the column of the source.
    pub columns: Vec<String>,
    /// Made for this very kind.
    pub tokenizer: Tokenizer,
}

/// What a source is protected to.
pub struct ProtectSpec {
    /// The identifier kinds.
    pub kinds: Vec<KindSource>,
    /// Columns of the source that are carried along, in this order.
    pub keep: Vec<String>,
}

impl ProtectSpec {
    /// The columns of the source that are needed, each once.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = Vec::new();
        for column in self.kinds.iter().flat_map(|kind| &kind.columns).chain(&self.keep) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        columns
    }

    /// The names of the kinds.
    #[must_use]
    pub fn kind_names(&self) -> Vec<KindName> {
        self.kinds.iter().map(|kind| kind.kind.name().clone()).collect()
    }

    /// The kept columns with their types in the source, as a writer takes them; of a dictionary the type
    /// of its values.
    ///
    /// # Errors
    /// [`Error::DuplicateColumn`], [`Error::ColumnNotFound`].
    pub fn kept(&self, source: &Schema) -> Result<Schema> {
        let mut fields = Vec::with_capacity(self.keep.len());
        for (position, column) in self.keep.iter().enumerate() {
            if self.keep[..position].contains(column) {
                return Err(Error::DuplicateColumn { place: "--keep".to_owned(), column: column.clone() });
            }
            let field = source.field(position_of(source, column)?).clone();
            fields.push(match field.data_type() {
                DataType::Dictionary(_, values) => field.clone().with_data_type((**values).clone()),
                _ => field,
            });
        }
        Ok(Schema::new(fields))
    }
}

/// Where the rows with their tokens go.
pub trait TokenSink {
    /// The columns that [`write`](Self::write) takes: row numbers, the tokens of each kind, the kept columns.
    fn schema(&self) -> &SchemaRef;

    /// Whether rows without any token are written, too; of these nothing is kept.
    fn takes_all_rows(&self) -> bool {
        false
    }

    /// Writes some rows.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`].
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Makes the file appear.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`].
    fn finish(self, counts: &DatasetCounts) -> Result<Delivered>;
}

/// What became of the rows of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectSummary {
    /// The file.
    pub delivered: Delivered,
    /// Rows of the source, rejected ones included.
    pub rows: u64,
    /// Rows that could not be read; they count as invalid for each kind.
    pub rejected: u64,
    /// For each kind.
    pub kinds: BTreeMap<KindName, KindSummary>,
}

/// What became of the identifiers of one kind. The three add up to the rows of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindSummary {
    /// Rows with a token.
    pub valid: u64,
    /// Rows without an identifier.
    pub empty: u64,
    /// Rows whose identifier is invalid, by the reason's fixed words.
    pub invalid: BTreeMap<String, u64>,
    /// For each profile that would bring more spellings together: the rows with a token whose identifier it would change.
    pub would_change: BTreeMap<Profile, u64>,
}

impl KindSummary {
    /// Rows whose identifier is invalid, for whatever reason.
    #[must_use]
    pub fn invalid_rows(&self) -> u64 {
        self.invalid.values().sum()
    }
}

/// Protects a source: reads it to its end, and finishes the writer.
///
/// The source's batches need the columns of [`ProtectSpec::columns`]; `progress` is told of the rows that are written.
///
/// # Errors
/// Those of the source; [`Error::ColumnNotFound`], [`Error::ColumnType`], [`Error::KeptValueTooLong`]; those of
/// [`TokenSink::write`] and [`Quarantine::push`]. Then no dataset appears.
pub fn protect<W: TokenSink>(
    source: impl Iterator<Item = Result<SourceBatch>> + Send,
    spec: &ProtectSpec,
    mut writer: W,
    mut quarantine: Option<&mut Quarantine>,
    threads: usize,
    progress: Progress<'_>,
) -> Result<ProtectSummary> {
    let (schema, all_rows) = (Arc::clone(writer.schema()), writer.takes_all_rows());
    let mut kinds: Vec<&KindSource> = spec.kinds.iter().collect();
    kinds.sort_by(|a, b| a.kind.name().cmp(b.kind.name()));
    let mut counted: Vec<KindSummary> = vec![KindSummary::default(); kinds.len()];
    let (mut rows, mut rejected) = (0, 0);

    let work = |batch: SourceBatch| tokenise(batch, &kinds, &spec.keep, &schema, all_rows);
    pipeline::ordered(threads, source, work, |tokenised| {
        let Tokenised { source, batch, kinds: found } = tokenised;
        if let Some(batch) = batch {
            writer.write(&batch)?;
        }
        for reject in &source.rejected {
            for summary in &mut counted {
                *summary.invalid.entry(reject.reason.clone()).or_default() += 1;
            }
            if let Some(quarantine) = quarantine.as_deref_mut() {
                quarantine.push(reject)?;
            }
        }
        for ((summary, found), kind) in counted.iter_mut().zip(found).zip(&kinds) {
            summary.valid += found.valid;
            summary.empty += found.empty;
            for (profile, rows) in kind.kind.wider_profiles().iter().zip(found.would_change) {
                *summary.would_change.entry(*profile).or_default() += rows;
            }
            for (index, reason) in found.invalid {
                let reason = reason.to_string();
                if let Some(quarantine) = quarantine.as_deref_mut() {
                    let column = kind.columns.join("+");
                    quarantine.push_row(source.rows[index], Some(&column), &reason, &source.batch, index)?;
                }
                *summary.invalid.entry(reason).or_default() += 1;
            }
        }
        let done = (source.rows.len() + source.rejected.len()) as u64;
        rows += done;
        rejected += source.rejected.len() as u64;
        progress(done);
        Ok(())
    })?;

    let kinds: BTreeMap<_, _> = kinds.iter().map(|kind| kind.kind.name().clone()).zip(counted).collect();
    let counts = kinds
        .iter()
        .map(|(name, summary)| (name.clone(), KindCounts { empty: summary.empty, invalid: summary.invalid_rows() }));
    // An empty source is an empty dataset; a source without one valid identifier is a mistake, and replaces nothing.
    if rows > 0 && kinds.values().all(|summary| summary.valid == 0) {
        return Err(Error::NothingValid { rows, kinds: kinds.keys().map(ToString::to_string).collect() });
    }
    let would_change = kinds.iter().filter(|(_, summary)| !summary.would_change.is_empty());
    let would_change = would_change.map(|(name, summary)| (name.clone(), summary.would_change.clone())).collect();
    let delivered = writer.finish(&DatasetCounts { rows, kinds: counts.collect(), would_change })?;
    Ok(ProtectSummary { delivered, rows, rejected, kinds })
}

/// A batch of the source, and what it became.
struct Tokenised {
    source: SourceBatch,
    /// Its rows with a valid identifier, as the writer takes them; `None` where there are none.
    batch: Option<RecordBatch>,
    kinds: Vec<Found>,
}

/// What one kind's identifiers in a batch turned out to be.
#[derive(Default)]
struct Found {
    valid: u64,
    empty: u64,
    /// For each of the kind's wider profiles.
    would_change: Vec<u64>,
    /// Positions in the batch.
    invalid: Vec<(usize, InvalidReason)>,
}

fn tokenise(
    source: SourceBatch,
    kinds: &[&KindSource],
    keep: &[String],
    schema: &SchemaRef,
    all_rows: bool,
) -> Result<Tokenised> {
    let internal = |source: arrow::error::ArrowError| Error::Internal { work: "tokenising", source: source.into() };
    let length = source.rows.len();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(source.rows.clone()))];
    let mut found = Vec::with_capacity(kinds.len());
    let mut any = BooleanBuffer::new_unset(length);
    for kind in kinds {
        let (tokens, kind_found) = tokenise_kind(&source, kind)?;
        if let Some(valid) = tokens.nulls() {
            any = &any | valid.inner();
        }
        columns.push(Arc::new(tokens));
        found.push(kind_found);
    }
    let written = any.count_set_bits();
    let batch = if written == 0 && !(all_rows && length > 0) {
        None
    } else {
        let without = BooleanArray::new(!&any, None);
        for column in keep {
            let array = column_of(&source.batch, column)?;
            check_lengths(column, array, &source.rows)?;
            let array = match array.data_type() {
                DataType::Dictionary(_, values) => cast(array, values).map_err(internal)?,
                _ => Arc::clone(array),
            };
            columns.push(match all_rows {
                true => nullif(&array, &without).map_err(internal)?,
                false => array,
            });
        }
        let batch = RecordBatch::try_new(Arc::clone(schema), columns).map_err(internal)?;
        Some(match all_rows || written == length {
            true => batch,
            false => filter_record_batch(&batch, &BooleanArray::new(any, None)).map_err(internal)?,
        })
    };
    Ok(Tokenised { source, batch, kinds: found })
}

/// Makes the token column of one kind: null where there is no valid identifier.
fn tokenise_kind(source: &SourceBatch, kind: &KindSource) -> Result<(FixedSizeBinaryArray, Found)> {
    let columns = kind
        .columns
        .iter()
        .map(|column| column_as_bytes(column, column_of(&source.batch, column)?))
        .collect::<Result<Vec<ByteColumn>>>()?;
    let length = source.rows.len();
    let wider = kind.kind.wider_profiles();
    let mut found = Found { would_change: vec![0; wider.len()], ..Found::default() };
    let (mut positions, mut identifiers) = (Vec::with_capacity(length), Vec::with_capacity(length));
    let mut values = Vec::with_capacity(columns.len());
    for index in 0..length {
        values.clear();
        values.extend(columns.iter().map(|column| column.value(index)));
        match kind.kind.normalize(&values) {
            Normalization::Empty => found.empty += 1,
            Normalization::Invalid(reason) => found.invalid.push((index, reason)),
            Normalization::Valid(identifier) => {
                for (rows, profile) in found.would_change.iter_mut().zip(wider) {
                    *rows += u64::from(identifier.is_changed_by(*profile));
                }
                positions.push(index);
                identifiers.push(identifier);
            }
        }
    }
    found.valid = positions.len() as u64;

    let tokens = kind.tokenizer.tokenize(&identifiers);
    Ok((token_array(length, &positions, &tokens)?, found))
}

/// Refuses a kept column with a value that is too long.
pub(crate) fn check_lengths(column: &str, array: &ArrayRef, rows: &[u64]) -> Result<()> {
    // Of types without a length of their own, none is that long.
    let Ok(values) = column_as_bytes(column, array) else { return Ok(()) };
    for (index, row) in rows.iter().enumerate() {
        let bytes = values.value(index).map_or(0, <[u8]>::len);
        if bytes > MAX_KEPT_BYTES {
            return Err(Error::KeptValueTooLong { column: column.to_owned(), row: *row, bytes, limit: MAX_KEPT_BYTES });
        }
    }
    Ok(())
}

fn column_of<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a ArrayRef> {
    Ok(batch.column(position_of(batch.schema_ref(), column)?))
}

fn position_of(schema: &Schema, column: &str) -> Result<usize> {
    schema.index_of(column).map_err(|_| Error::ColumnNotFound {
        place: "the source".to_owned(),
        column: column.to_owned(),
        available: schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", "),
        remedy: "one of the columns that it has".to_owned(),
        similar: None,
    })
}
