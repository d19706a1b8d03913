//! Reads the pages of one column of an encrypted file: opens their frames and headers, decrypts, decompresses, and checks
//! their [content] before the Parquet library decodes it.
//!
//! Accepted is what this program writes, and no more: data pages V1 with PLAIN values, plain or compressed with Zstandard.
//! Without dictionaries and delta encodings no page is larger in memory than its header says, which is limited.

use std::{fs::File, ops::Range, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding},
    column::page::{Page, PageIterator, PageMetadata, PageReader},
    errors::ParquetError,
    file::metadata::ColumnChunkMetaData,
};

use super::{
    DATA_PAGE_HEADER_MODULE, DATA_PAGE_MODULE, FRAME_BYTES, LENGTH_BYTES, NONCE_BYTES, Opened, content, corrupted,
    limit, open_file, read_at,
    thrift::{Cursor, Malformed, Wire},
};
use crate::error::{Error, Result};

/// Longest page header accepted; those without statistics take some 30 bytes.
const MAX_HEADER_BYTES: usize = 4096;

/// How many bytes of a header are read at once: enough for the usual one.
const HEADER_READ_BYTES: usize = 128;

/// One column of one row group.
pub(super) struct ColumnPages {
    opened: Arc<Opened>,
    file: Arc<File>,
    row_group: usize,
    column: usize,
    /// What is left of the column's bytes, and the number of the next page.
    left: Range<u64>,
    page: u16,
    /// Values of the pages so far.
    values: u64,
    /// A header that was looked at already.
    next: Option<PageHeader>,
}

impl ColumnPages {
    /// Begins with the first page.
    pub(super) fn new(opened: Arc<Opened>, file: Arc<File>, row_group: usize, column: usize) -> Result<Self> {
        let mut pages = Self { opened, file, row_group, column, left: 0..0, page: 0, values: 0, next: None };
        pages.left = pages.range().ok_or_else(|| pages.corrupted())?;
        Ok(pages)
    }

    /// Begins with a page in the middle, whose number and offset an index of pages tells.
    pub(super) fn starting_at(mut self, page: usize, offset: u64) -> Result<Self> {
        self.page = u16::try_from(page).map_err(|_| self.corrupted())?;
        if !self.left.contains(&offset) {
            return Err(self.corrupted());
        }
        self.left.start = offset;
        Ok(self)
    }

    /// Reads the next page; `None` at the end of the column.
    pub(super) fn read(&mut self) -> Result<Option<DataPage>> {
        let Some(header) = self.peek()? else {
            // Flat columns: one value, or null, for each row.
            return if self.values == self.rows() { Ok(None) } else { Err(self.corrupted()) };
        };
        let mut module = vec![0; header.stored_bytes as usize];
        read_at(self.opened.path(), &self.file, self.left.start, &mut module)?;
        let place = self.place(DATA_PAGE_MODULE);
        let length = self.opened.key.open(&mut module, &place).ok_or_else(|| self.corrupted())?.len();
        let stored = Bytes::from(module).slice(LENGTH_BYTES + NONCE_BYTES..LENGTH_BYTES + NONCE_BYTES + length);
        let plain_bytes = header.plain_bytes as usize;
        let content = match self.chunk().compression() {
            Compression::UNCOMPRESSED => stored,
            _ if plain_bytes == 0 => Bytes::new(),
            _ => zstd::bulk::decompress(&stored, plain_bytes).map_err(|_| self.corrupted())?.into(),
        };
        let column = self.chunk().column_descr();
        let optional = column.max_def_level() > 0;
        let width = usize::try_from(column.type_length()).unwrap_or(0);
        let values = header.values as usize;
        if content.len() != plain_bytes
            || content::check(&content, values, optional, column.physical_type(), width).is_err()
        {
            return Err(self.corrupted());
        }
        self.pass(&header)?;
        Ok(Some(DataPage { content, values: header.values }))
    }

    /// Looks at the header of the next page, and leaves the position at the page's data.
    fn peek(&mut self) -> Result<Option<PageHeader>> {
        if self.next.is_none() && !self.left.is_empty() {
            let (header, header_bytes) = self.header()?;
            self.left.start += header_bytes;
            let mut frame = [0; LENGTH_BYTES];
            if self.left.end - self.left.start < FRAME_BYTES as u64 {
                return Err(self.corrupted());
            }
            read_at(self.opened.path(), &self.file, self.left.start, &mut frame)?;
            let stored = u64::from(u32::from_le_bytes(frame)) + LENGTH_BYTES as u64;
            if header.stored_bytes != stored || stored > self.left.end - self.left.start {
                return Err(self.corrupted());
            }
            let largest = header.stored_bytes.max(header.plain_bytes);
            limit(self.opened.path(), "the length of a page in bytes", largest, self.opened.caps.page_bytes)?;
            self.next = Some(header);
        }
        Ok(self.next)
    }

    /// Leaves a page behind.
    fn pass(&mut self, header: &PageHeader) -> Result<()> {
        self.next = None;
        self.left.start += header.stored_bytes;
        self.values += u64::from(header.values);
        self.page = self.page.checked_add(1).filter(|page| *page <= 1 << 15).ok_or_else(|| self.corrupted())?;
        Ok(())
    }

    /// Where the column's bytes lie, within the file.
    fn range(&self) -> Option<Range<u64>> {
        let chunk = self.chunk();
        let start = u64::try_from(chunk.data_page_offset()).ok()?;
        let length = u64::try_from(chunk.compressed_size()).ok()?;
        let file_bytes = self.file.metadata().ok()?.len();
        start.checked_add(length).filter(|end| *end <= file_bytes).map(|end| start..end)
    }

    /// Decrypts and parses the header at the position; gives its length in the file too.
    fn header(&self) -> Result<(PageHeader, u64)> {
        let (at, left) = (self.left.start, self.left.end - self.left.start);
        let mut module = vec![0; HEADER_READ_BYTES.min(left as usize)];
        read_at(self.opened.path(), &self.file, at, &mut module)?;
        let Some(frame) = module.first_chunk::<LENGTH_BYTES>() else { return Err(self.corrupted()) };
        let length = LENGTH_BYTES + u32::from_le_bytes(*frame) as usize;
        if length > MAX_HEADER_BYTES || length as u64 > left {
            return Err(self.corrupted());
        }
        if length > module.len() {
            module.resize(length, 0);
            read_at(self.opened.path(), &self.file, at, &mut module)?;
        }
        module.truncate(length);
        let place = self.place(DATA_PAGE_HEADER_MODULE);
        let header = self.opened.key.open(&mut module, &place).ok_or_else(|| self.corrupted())?;
        match PageHeader::parse(header) {
            Ok(Some(header)) => Ok((header, length as u64)),
            Ok(None) => Err(Error::Unsupported {
                path: self.opened.path().into(),
                what: format!("a page of column '{}' is not a plain one of format V1", self.name()),
            }),
            Err(Malformed) => Err(self.corrupted()),
        }
    }

    /// What a module of the current page is bound to (`Encryption.md`, 4.4.2): type, row group, column, page.
    fn place(&self, module: u8) -> [u8; 7] {
        let [group, column] = [self.row_group, self.column].map(|ordinal| (ordinal as u16).to_le_bytes());
        let page = self.page.to_le_bytes();
        [module, group[0], group[1], column[0], column[1], page[0], page[1]]
    }

    fn chunk(&self) -> &ColumnChunkMetaData {
        self.opened.metadata.row_group(self.row_group).column(self.column)
    }

    fn rows(&self) -> u64 {
        self.opened.metadata.row_group(self.row_group).num_rows().unsigned_abs()
    }

    fn name(&self) -> String {
        self.chunk().column_path().string()
    }

    fn corrupted(&self) -> Error {
        corrupted(self.opened.path(), format!("column '{}', row group {}", self.name(), self.row_group))
    }

    /// Hands an error to the Parquet library, and keeps it for who reads the batches.
    fn keep(&self, error: Error) -> ParquetError {
        self.opened.keep_failure(error);
        ParquetError::General("a page cannot be read".to_owned())
    }
}

/// A data page, checked: levels where the column is optional, and plain values.
pub(super) struct DataPage {
    pub(super) content: Bytes,
    values: u32,
}

impl PageReader for ColumnPages {
    fn get_next_page(&mut self) -> parquet::errors::Result<Option<Page>> {
        let page = self.read().map_err(|error| self.keep(error))?;
        Ok(page.map(|page| Page::DataPage {
            buf: page.content,
            num_values: page.values,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }))
    }

    fn peek_next_page(&mut self) -> parquet::errors::Result<Option<PageMetadata>> {
        let header = self.peek().map_err(|error| self.keep(error))?;
        Ok(header.map(|header| PageMetadata {
            num_rows: None,
            num_levels: Some(header.values as usize),
            is_dict: false,
        }))
    }

    fn skip_next_page(&mut self) -> parquet::errors::Result<()> {
        match self.peek().map_err(|error| self.keep(error))? {
            Some(header) => self.pass(&header).map_err(|error| self.keep(error)),
            None => Ok(()),
        }
    }
}

impl Iterator for ColumnPages {
    type Item = parquet::errors::Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// One column of all row groups.
pub(super) struct ColumnOfFile {
    opened: Arc<Opened>,
    column: usize,
    row_groups: Range<usize>,
}

impl ColumnOfFile {
    pub(super) fn new(opened: Arc<Opened>, column: usize) -> Self {
        let row_groups = 0..opened.metadata.num_row_groups();
        Self { opened, column, row_groups }
    }
}

impl Iterator for ColumnOfFile {
    type Item = parquet::errors::Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row_group = self.row_groups.next()?;
        // A handle of its own for each: handles that are copies of one share its position.
        let pages = open_file(self.opened.path())
            .and_then(|file| ColumnPages::new(Arc::clone(&self.opened), Arc::new(file), row_group, self.column));
        Some(match pages {
            Ok(pages) => Ok(Box::new(pages)),
            Err(error) => {
                self.opened.keep_failure(error);
                Err(ParquetError::General("a column cannot be read".to_owned()))
            }
        })
    }
}

impl PageIterator for ColumnOfFile {}

/// The fields of Parquet's `PageHeader` that matter here.
#[derive(Clone, Copy)]
struct PageHeader {
    plain_bytes: u64,
    stored_bytes: u64,
    values: u32,
}

impl PageHeader {
    /// Parses the header of a data page V1 with PLAIN values; `None` for pages of another kind.
    fn parse(bytes: &[u8]) -> std::result::Result<Option<Self>, Malformed> {
        const DATA_PAGE: i64 = 0;
        const PLAIN: i64 = 0;
        const RLE: i64 = 3;
        let mut cursor = Cursor::new(bytes);
        let (mut kind, mut plain, mut stored) = (-1, -1, -1);
        let (mut values, mut encoding, mut levels) = (-1, -1, -1);
        let mut last = 0;
        while let Some((id, wire)) = cursor.field(&mut last)? {
            match (id, wire) {
                (1, Wire::Integer) => kind = cursor.integer()?,
                (2, Wire::Integer) => plain = cursor.integer()?,
                (3, Wire::Integer) => stored = cursor.integer()?,
                (5, Wire::Struct) => {
                    let mut last = 0;
                    while let Some((id, wire)) = cursor.field(&mut last)? {
                        match (id, wire) {
                            (1, Wire::Integer) => values = cursor.integer()?,
                            (2, Wire::Integer) => encoding = cursor.integer()?,
                            (3, Wire::Integer) => levels = cursor.integer()?,
                            _ => cursor.skip(wire)?,
                        }
                    }
                }
                _ => cursor.skip(wire)?,
            }
        }
        if (kind, encoding, levels) != (DATA_PAGE, PLAIN, RLE) {
            return Ok(None);
        }
        Ok(Some(Self {
            plain_bytes: u64::try_from(plain).map_err(|_| Malformed)?,
            stored_bytes: u64::try_from(stored).map_err(|_| Malformed)?,
            values: u32::try_from(values).map_err(|_| Malformed)?,
        }))
    }
}
