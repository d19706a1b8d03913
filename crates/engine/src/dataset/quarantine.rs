//! The quarantine file: rejected rows with their reason, on their owner's side.
//!
//! In: [`Rejected`] rows, and rows of a batch that were found invalid later. Out: a CSV file with the columns `row`,
//! `column`, `reason`, the columns of the source as far as they are read, and `raw` (the record as it is in the file,
//! where its columns could not be told apart), so that the owner can mend the rows. A column of the source that has one
//! of these names keeps it; ours gets an underscore.
//!
//! The file holds identifiers: it is made with the first rejected row only, readable by its owner alone (mode 0600 on
//! Unix), under a temporary name in the same folder, and gets its own name when it is complete. It never leaves the
//! owner's side; nothing here sends it anywhere.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tempfile::NamedTempFile;

use super::column::column_as_bytes;
use super::source::{Original, Rejected};
use crate::error::{Error, Result};

/// A file of rejected rows in the making. Dropped unfinished, it leaves nothing behind.
pub struct Quarantine {
    path: PathBuf,
    columns: Vec<String>,
    writer: Option<csv::Writer<BufWriter<NamedTempFile>>>,
    rows: u64,
}

impl Quarantine {
    /// Prepares a quarantine at `path` for a source with the columns `columns` ([`SourceReader::columns`]); no file is
    /// made yet.
    ///
    /// [`SourceReader::columns`]: super::SourceReader::columns
    pub fn new(path: impl Into<PathBuf>, columns: &[String]) -> Self {
        Quarantine { path: path.into(), columns: columns.to_vec(), writer: None, rows: 0 }
    }

    /// How many rows are in it.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a row that the reader rejected.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn push(&mut self, rejected: &Rejected) -> Result<()> {
        let width = self.columns.len();
        let mut cells: Vec<&[u8]> = Vec::with_capacity(width + 1);
        match &rejected.original {
            Original::Values(values) => {
                cells.extend(values.iter().map(|value| value.as_deref().unwrap_or_default()).take(width));
                cells.resize(width + 1, &[]);
            }
            Original::Raw(raw) => {
                cells.resize(width, &[]);
                cells.push(raw);
            }
        }
        self.write(rejected.row, rejected.column.as_deref(), &rejected.reason, &cells)
    }

    /// Adds row `index` of a batch with the columns of this quarantine, found invalid after it was read; `row` is its
    /// number in the source and `reason` fixed words.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::DecodeColumns`] for a value that has no text form.
    pub fn push_row(
        &mut self,
        row: u64,
        column: Option<&str>,
        reason: &str,
        batch: &RecordBatch,
        index: usize,
    ) -> Result<()> {
        let failed = |source| Error::DecodeColumns { place: "a rejected row".to_owned(), source };
        let options = FormatOptions::default();
        let row_only = batch.slice(index, 1);
        let mut cells: Vec<Vec<u8>> = Vec::with_capacity(self.columns.len() + 1);
        for name in &self.columns {
            let cell = match row_only.column_by_name(name) {
                None => Vec::new(),
                Some(array) => match column_as_bytes(name, array) {
                    Ok(bytes) => bytes.value(0).unwrap_or_default().to_vec(),
                    Err(_) => {
                        let text = ArrayFormatter::try_new(array, &options).map_err(failed)?.value(0).try_to_string();
                        text.map_err(failed)?.into_bytes()
                    }
                },
            };
            cells.push(cell);
        }
        cells.push(Vec::new());
        let cells: Vec<&[u8]> = cells.iter().map(Vec::as_slice).collect();
        self.write(row, column, reason, &cells)
    }

    /// Completes the file and gives its path; `None` if nothing was rejected and there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<Option<PathBuf>> {
        let Some(writer) = self.writer.take() else {
            return Ok(None);
        };
        let failed = |source| self.write_failed(source);
        let buffered = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        let file = buffered.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        sync_folder(folder_of(&self.path)).map_err(failed)?;
        Ok(Some(self.path.clone()))
    }

    fn write(&mut self, row: u64, column: Option<&str>, reason: &str, cells: &[&[u8]]) -> Result<()> {
        if self.writer.is_none() {
            self.writer = Some(self.create()?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let number = row.to_string();
        let own = [number.as_bytes(), column.unwrap_or_default().as_bytes(), reason.as_bytes()];
        let written = writer.write_record(own.into_iter().chain(cells.iter().copied()));
        written.map_err(|error| self.csv_failed(error))?;
        self.rows += 1;
        Ok(())
    }

    fn create(&self) -> Result<csv::Writer<BufWriter<NamedTempFile>>> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".quarantine-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o600));
        }
        let file = builder.tempfile_in(folder_of(&self.path)).map_err(|source| self.write_failed(source))?;
        let mut writer = csv::Writer::from_writer(BufWriter::new(file));
        let own = |name: &str| {
            let mut name = name.to_owned();
            while self.columns.contains(&name) {
                name.push('_');
            }
            name
        };
        let mut header = vec![own("row"), own("column"), own("reason")];
        header.extend(self.columns.iter().cloned());
        header.push(own("raw"));
        writer.write_record(&header).map_err(|error| self.csv_failed(error))?;
        Ok(writer)
    }

    fn write_failed(&self, source: std::io::Error) -> Error {
        Error::io(&self.path, "write", source)
    }

    fn csv_failed(&self, error: csv::Error) -> Error {
        self.write_failed(match error.into_kind() {
            csv::ErrorKind::Io(source) => source,
            // The writer takes records of any length here only if all are as long as the header, which they are.
            _ => std::io::Error::other("a record has the wrong number of fields"),
        })
    }
}

impl std::fmt::Debug for Quarantine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quarantine").field("path", &self.path).field("rows", &self.rows).finish_non_exhaustive()
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a rename last through a crash; only Unix lets a folder be synced.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn files_in(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    fn rejected(row: u64, original: Original) -> Rejected {
        Rejected { row, column: Some("email".into()), reason: "not UTF-8".into(), original }
    }

    #[test]
    fn no_file_without_a_rejected_row() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(folder.path().join("q.csv"), &names(&["email"]));
        assert_eq!(quarantine.finish().unwrap(), None);
        assert_eq!(files_in(folder.path()), 0);
    }

    #[test]
    fn nothing_is_left_of_an_unfinished_quarantine() {
        let folder = tempfile::tempdir().unwrap();
        let mut quarantine = Quarantine::new(folder.path().join("q.csv"), &names(&["email"]));
        quarantine.push(&rejected(1, Original::Raw(b"x".to_vec()))).unwrap();
        assert!(!folder.path().join("q.csv").exists());
        drop(quarantine);
        assert_eq!(files_in(folder.path()), 0);
    }

    #[test]
    fn keeps_values_and_raw_records_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.csv");
        let mut quarantine = Quarantine::new(&path, &names(&["email", "row"]));
        quarantine.push(&rejected(2, Original::Values(vec![Some(b"a\xff,b".to_vec()), None]))).unwrap();
        quarantine.push(&rejected(5, Original::Raw(b"1;\"2".to_vec()))).unwrap();
        let email: ArrayRef = Arc::new(StringArray::from(vec![Some("skipped"), Some("no at sign")]));
        let number: ArrayRef = Arc::new(Float64Array::from(vec![0.0, 2.5]));
        let batch = RecordBatch::try_from_iter([("email", email), ("row", number)]).unwrap();
        quarantine.push_row(7, Some("email"), "no @", &batch, 1).unwrap();
        assert_eq!(quarantine.rows(), 3);
        assert_eq!(quarantine.finish().unwrap().as_deref(), Some(path.as_path()));
        let expected: &[u8] = b"row_,column,reason,email,row,raw\n\
            2,email,not UTF-8,\"a\xff,b\",,\n\
            5,email,not UTF-8,,,\"1;\"\"2\"\n\
            7,email,no @,no at sign,2.5,\n";
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        assert_eq!(files_in(folder.path()), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it_even_over_an_older_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.csv");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let mut quarantine = Quarantine::new(&path, &names(&["email"]));
        quarantine.push(&rejected(1, Original::Raw(Vec::new()))).unwrap();
        quarantine.finish().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut quarantine = Quarantine::new(folder.path().join("none/q.csv"), &names(&["email"]));
        let error = quarantine.push(&rejected(1, Original::Raw(Vec::new()))).unwrap_err();
        assert!(matches!(error, Error::Io { .. }));
        assert!(error.to_string().contains("q.csv"));
    }
}
