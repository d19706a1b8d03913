//! What a holder makes of its list: its row numbers, or the rows themselves, as a CSV file that appears whole or not at all.

use std::{io::Write, path::Path};

use arrow::{array::UInt64Array, compute::take_record_batch};
use datafuse_core::list::Join;

use super::{ListFile, ListFileError};
use crate::{
    atomic_file::{AtomicFile, Readers},
    dataset::{SourceReader, csv_record, csv_rows},
    error::{Error, Result},
};

/// Bytes of text that are gathered before they are written.
const TEXT_BYTES: usize = 1 << 20;

impl ListFile {
    /// Counts the listed rows of each dataset; so every byte is read and authenticated.
    ///
    /// # Errors
    /// [`ListFileError`].
    pub fn count(&self) -> Result<Vec<u64>, ListFileError> {
        let datasets = 0..self.datasets().len();
        datasets.map(|dataset| self.rows(dataset)?.try_fold(0, |count, row| row.map(|_| count + 1))).collect()
    }

    /// Writes the row numbers: columns `dataset`, `row`, and `holders` where the list has that ([`Join::Left`]).
    ///
    /// # Errors
    /// [`ListFileError`]; nothing is left where it fails.
    pub fn write_row_numbers(&self, out: &Path) -> Result<(), ListFileError> {
        let mut file = Text::create(out)?;
        file.push(if self.has_holders() { b"dataset,row,holders\n" } else { b"dataset,row\n" })?;
        for (index, dataset) in self.datasets().iter().enumerate() {
            for row in self.rows(index)? {
                let (row, holders) = row?;
                let line = match holders {
                    Some(holders) => format!("{},{row},{holders}\n", dataset.dataset),
                    None => format!("{},{row}\n", dataset.dataset),
                };
                file.push(line.as_bytes())?;
            }
        }
        Ok(file.finish()?)
    }

    /// Writes the listed rows of a dataset from its source: all columns of the source, after `row` and, where the list has that,
    /// `holders` (`list_row` and `list_holders` where the source has columns of these names). Gives how many there are.
    ///
    /// # Errors
    /// [`ListFileError::OtherSource`] where the source does not have the rows that the dataset was made of; nothing is left where
    /// it fails.
    pub fn write_matched(&self, dataset: usize, source: SourceReader, out: &Path) -> Result<u64, ListFileError> {
        let expected = self.datasets()[dataset].rows;
        let mut source = source;
        let mut file = Text::create(out)?;
        let of_list = if self.has_holders() { &["row", "holders"][..] } else { &["row"] };
        let of_list = of_list.iter().map(|name| match source.columns().iter().any(|column| column == name) {
            true => format!("list_{name}"),
            false => (*name).to_owned(),
        });
        let header: Vec<_> = of_list.chain(source.columns().iter().cloned()).collect();
        file.push(&csv_record(header.iter().map(String::as_bytes))?)?;
        let mut listed = self.rows(dataset)?.peekable();
        let mut written = 0;
        let mut failed = None;
        for batch in &mut source {
            let batch = batch?;
            let mut found: Vec<(u64, Option<u32>)> = Vec::new();
            let mut indices = Vec::new();
            for (index, row) in (0_u64..).zip(&batch.rows) {
                // A row that cannot be read has no identifier, so none is in the list but by a fault.
                while let Some(passed) = listed.next_if(|next| next.as_ref().is_ok_and(|next| next.0 < *row)) {
                    failed = failed.or(Some(passed?.0));
                }
                if let Some(next) = listed.next_if(|next| next.as_ref().map_or(true, |next| next.0 == *row)) {
                    found.push(next?);
                    indices.push(index);
                }
            }
            if found.is_empty() {
                continue;
            }
            written += found.len() as u64;
            let rows = take_record_batch(&batch.batch, &UInt64Array::from(indices))
                .map_err(|source| Error::Internal { work: "writing rows", source: source.into() })?;
            for ((row, holders), line) in found.iter().zip(csv_rows(&rows)?) {
                let numbers = match holders {
                    Some(holders) => format!("{row},{holders},"),
                    None => format!("{row},"),
                };
                file.push(numbers.as_bytes())?;
                file.push(&line)?;
            }
        }
        let rows = source.rows_read();
        // Rows that are left are past the end of the source, or a fault of the file.
        if let Some(next) = listed.next() {
            let (row, _) = next?;
            failed = failed.or(Some(row));
        }
        if rows != expected || failed.is_some() {
            return Err(ListFileError::OtherSource {
                expected,
                found: rows,
                unreadable: failed.filter(|_| rows == expected),
            });
        }
        file.finish()?;
        Ok(written)
    }

    fn has_holders(&self) -> bool {
        self.join == Join::Left
    }
}

/// A text file on its way, for its owner alone.
struct Text {
    file: AtomicFile,
    buffer: Vec<u8>,
}

impl Text {
    fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: AtomicFile::create(path, Readers::Owner)?, buffer: Vec::with_capacity(TEXT_BYTES) })
    }

    fn push(&mut self, text: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(text);
        if self.buffer.len() < TEXT_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.buffer).map_err(|source| {
            self.file.take_failure().unwrap_or_else(|| Error::Internal { work: "writing rows", source: source.into() })
        })?;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.file.commit().map(drop)
    }
}
