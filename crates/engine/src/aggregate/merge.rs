//! Goes through the fused files of all holders at once, key by key.
//!
//! Every file is sorted by match key, so the next key is the least of those at the files' heads. Memory is one batch of each file. Of a
//! file only the columns that are asked for are read, as text, whatever type they were kept with.

use std::{cmp::Reverse, collections::BinaryHeap};

use arrow::{
    array::{Array, AsArray, StringArray},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, UInt64Type},
    record_batch::RecordBatch,
};
use datafuse_core::{id::ParticipantId, match_key::MatchKey};

use super::{Columns, Place};
use crate::{
    dataset::protected::ROW_COLUMN,
    error::{Error, Result},
    fused_file::{FusedFile, KEY_COLUMN},
    matching::FusedInput,
    runtime::Progress,
    sealed::corrupted,
};

/// Rows of a batch: there is one of each file.
const BATCH_ROWS: usize = 1024;

/// All files with where reading stands in each.
pub(super) struct Merge {
    cursors: Vec<Cursor>,
    /// The key at the head of each file that has rows left, with the position of the file.
    heads: BinaryHeap<Reverse<(u128, usize)>>,
    /// For each holder: the first row of the key, if it has any.
    first: Vec<FirstRow>,
    /// The holders that have the key, ascending.
    holders: Vec<usize>,
}

/// One customer: who has it, and the columns of each holder's first row of it.
pub(super) struct Person<'a> {
    pub(super) holders: &'a [usize],
    pub(super) columns: Box<Columns<'a>>,
}

/// The row of one holder that counts.
struct FirstRow {
    /// The position of its file, and its number in there; `None` where the holder has not the key.
    at: Option<(usize, u64)>,
    /// Its columns; the flag says whether there is a value.
    columns: Vec<(bool, String)>,
}

impl Merge {
    /// Opens the files; `columns` are those to read of each holder's.
    pub(super) fn open(
        inputs: &[FusedInput],
        holders: &[ParticipantId],
        columns: &[Vec<String>],
        store_key: &[u8; 32],
    ) -> Result<Self> {
        let mut cursors = Vec::with_capacity(inputs.len());
        let mut found: Vec<Vec<bool>> = columns.iter().map(|columns| vec![false; columns.len()]).collect();
        for FusedInput { holder, path, label } in inputs {
            let file = FusedFile::open(path, store_key, label)?;
            let wanted = &columns[*holder];
            for (column, found) in wanted.iter().zip(&mut found[*holder]) {
                *found |= file.kept().any(|kept| kept == column);
            }
            cursors.push(Cursor::new(file, *holder, wanted)?);
        }
        for cursor in &cursors {
            let missing = columns[cursor.holder].iter().zip(&found[cursor.holder]).find(|(_, found)| !**found);
            if let Some((column, _)) = missing {
                return Err(Error::NotKept { holder: holders[cursor.holder].clone(), column: column.clone() });
            }
        }
        let mut heads = BinaryHeap::new();
        for (position, cursor) in cursors.iter_mut().enumerate() {
            heads.extend(cursor.head()?.map(|key| Reverse((key, position))));
        }
        let first =
            columns.iter().map(|columns| FirstRow { at: None, columns: vec![Default::default(); columns.len()] });
        Ok(Self { cursors, heads, first: first.collect(), holders: Vec::new() })
    }

    /// Gives the next customer; `progress` is told of the rows that were passed.
    pub(super) fn next(&mut self, progress: Progress<'_>) -> Result<Option<Person<'_>>> {
        let Some(Reverse((key, _))) = self.heads.peek().copied() else { return Ok(None) };
        self.first.iter_mut().for_each(|first| first.at = None);
        self.holders.clear();
        while let Some(Reverse((_, position))) = self.heads.peek().copied().filter(|Reverse((head, _))| *head == key) {
            self.heads.pop();
            let cursor = &mut self.cursors[position];
            let first = &mut self.first[cursor.holder];
            if first.at.is_none() {
                self.holders.push(cursor.holder);
            }
            let mut head = Some(key);
            while head == Some(key) {
                let row = (position, cursor.row());
                if first.at.is_none_or(|best| row < best) {
                    first.at = Some(row);
                    cursor.copy_columns(&mut first.columns);
                }
                head = cursor.advance(progress)?;
            }
            self.heads.extend(head.map(|key| Reverse((key, position))));
        }
        self.holders.sort_unstable();
        let first = &self.first;
        let columns = move |(holder, column): Place| {
            let FirstRow { at, columns } = &first[holder];
            let (some, text) = &columns[column];
            (at.is_some() && *some).then_some(text.as_str())
        };
        Ok(Some(Person { holders: &self.holders, columns: Box::new(columns) }))
    }
}

/// One file, and where reading stands.
struct Cursor {
    file: FusedFile,
    holder: usize,
    columns: Vec<String>,
    batches: Box<dyn Iterator<Item = Result<RecordBatch>>>,
    batch: Option<Batch>,
    at: usize,
    last: u128,
}

struct Batch {
    keys: Vec<u128>,
    rows: Vec<u64>,
    /// The columns in the order asked for; `None` where this file has it not.
    columns: Vec<Option<StringArray>>,
}

impl Cursor {
    fn new(file: FusedFile, holder: usize, columns: &[String]) -> Result<Self> {
        let batches = file.columns(columns, BATCH_ROWS)?;
        Ok(Self { file, holder, columns: columns.to_vec(), batches: Box::new(batches), batch: None, at: 0, last: 0 })
    }

    /// The key of the present row; `None` at the end.
    fn head(&mut self) -> Result<Option<u128>> {
        while self.batch.as_ref().is_none_or(|batch| self.at == batch.keys.len()) {
            let Some(batch) = self.batches.next() else { return Ok(None) };
            self.batch = Some(self.read(&batch?)?);
            self.at = 0;
        }
        let key = self.batch.as_ref().map(|batch| batch.keys[self.at]);
        if key.is_some_and(|key| key < self.last) {
            return Err(corrupted(self.file.path(), "its keys, which are not in order"));
        }
        self.last = key.unwrap_or(self.last);
        Ok(key)
    }

    /// The number of the present row in its holder's source.
    fn row(&self) -> u64 {
        self.batch.as_ref().map_or(0, |batch| batch.rows[self.at])
    }

    fn copy_columns(&self, into: &mut [(bool, String)]) {
        let Some(batch) = &self.batch else { return };
        for (column, (some, text)) in batch.columns.iter().zip(into) {
            let value = column.as_ref().filter(|column| column.is_valid(self.at)).map(|column| column.value(self.at));
            *some = value.is_some();
            text.clear();
            text.push_str(value.unwrap_or_default());
        }
    }

    /// Goes to the next row, and gives its key.
    fn advance(&mut self, progress: Progress<'_>) -> Result<Option<u128>> {
        self.at += 1;
        if let Some(batch) = self.batch.as_ref().filter(|batch| batch.keys.len() == self.at) {
            progress(batch.keys.len() as u64);
        }
        self.head()
    }

    fn read(&self, batch: &RecordBatch) -> Result<Batch> {
        let damaged = || corrupted(self.file.path(), "its columns");
        let keys =
            batch.column_by_name(KEY_COLUMN).and_then(|keys| keys.as_fixed_size_binary_opt()).ok_or_else(damaged)?;
        let rows = batch
            .column_by_name(ROW_COLUMN)
            .and_then(|rows| rows.as_primitive_opt::<UInt64Type>())
            .ok_or_else(damaged)?;
        let keys: Option<Vec<_>> =
            keys.iter().map(|key| <[u8; MatchKey::BYTES]>::try_from(key?).ok().map(u128::from_be_bytes)).collect();
        let text = |column: &String| -> Result<Option<StringArray>> {
            let Some(values) = batch.column_by_name(column) else { return Ok(None) };
            let safe = CastOptions { safe: true, ..CastOptions::default() };
            let text = cast_with_options(values, &DataType::Utf8, &safe).map_err(|_| Error::Internal {
                work: "reading a kept column",
                source: "its type has no text".into(),
            })?;
            Ok(Some(text.as_string::<i32>().clone()))
        };
        let columns = self.columns.iter().map(text).collect::<Result<_>>()?;
        Ok(Batch { keys: keys.ok_or_else(damaged)?, rows: rows.values().to_vec(), columns })
    }
}
