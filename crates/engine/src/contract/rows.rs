//! The rows that are checked: of a source that the engine reads, or of a protected dataset that was opened.

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use super::model::Model;
use crate::{
    dataset::{FetchPolicy, ReadOptions, Source, SourceReader, protected::ProtectedFile},
    error::Result,
};

/// Some rows, and how many beside them could not be read.
pub(super) struct Piece {
    pub(super) batch: RecordBatch,
    pub(super) rejected: u64,
}

/// Rows to check, read once.
pub struct Rows {
    pub(super) schema: SchemaRef,
    /// All columns of the source, read or not.
    pub(super) available: Vec<String>,
    /// Whether it is what became of a source: without its identifiers, with columns of its own.
    pub(super) protected: bool,
    pub(super) pieces: Box<dyn Iterator<Item = Result<Piece>> + Send>,
}

impl Rows {
    /// Opens a source for a check of a model. Of files only the columns that the model names are read.
    ///
    /// # Errors
    /// Those of [`SourceReader::open`].
    pub fn of_source(source: &Source, options: &ReadOptions, fetch: &FetchPolicy, model: &Model) -> Result<Self> {
        let all = SourceReader::open(source, options, fetch, None)?;
        let available = all.available_columns().to_vec();
        let wanted: Vec<_> = available.iter().filter(|name| model.column(name).is_some()).cloned().collect();
        // What was downloaded is not downloaded again for the sake of fewer columns.
        let reader = match source {
            Source::Path(_) | Source::Glob(_) if wanted.len() < available.len() => {
                drop(all);
                SourceReader::open(source, options, fetch, Some(&wanted))?
            }
            _ => all,
        };
        Ok(Self::of_reader(reader))
    }

    /// Takes the rows of a reader.
    #[must_use]
    pub fn of_reader(reader: SourceReader) -> Self {
        let (schema, available) = (reader.schema(), reader.available_columns().to_vec());
        let pieces =
            reader.map(|batch| batch.map(|batch| Piece { batch: batch.batch, rejected: batch.rejected.len() as u64 }));
        Self { schema, available, protected: false, pieces: Box::new(pieces) }
    }

    /// Takes the rows of a protected dataset.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn of_protected(file: &ProtectedFile) -> Result<Self> {
        const BATCH_ROWS: usize = 8192;
        let schema = SchemaRef::new(file.columns());
        let available = schema.fields().iter().map(|field| field.name().clone()).collect();
        let pieces = file.all(BATCH_ROWS)?.map(|batch| batch.map(|batch| Piece { batch, rejected: 0 }));
        Ok(Self { schema, available, protected: true, pieces: Box::new(pieces) })
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("columns", &self.available.len())
            .field("protected", &self.protected)
            .finish_non_exhaustive()
    }
}
