//! The pages of an encrypted file in clear, decrypted one by one while the Parquet library asks for them.
//!
//! A page is two modules, header and body, each `length (4, little-endian) nonce (12) ciphertext tag (16)`. To the library
//! [`SealedPages`] shows them where they lie, as a plain file of the same size would have them: the header made longer by a
//! field that readers pass over, until the plain body ends where the sealed one does. So nothing is decrypted ahead, nothing
//! in clear reaches a disk, and no offset in the metadata changes:
//!
//! ```text
//! in the file    | length nonce header tag | length nonce body tag |
//! as it is read  | header ... padding                     |  body  |
//! ```
//!
//! What a module may claim is limited before memory is spent on it, and pages come in their order only: what each is bound to
//! ([`Binding::Place`]) counts them.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use bytes::buf::{Buf, Reader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::encryption::{EncryptionProblem, problem};
use super::{EXPANSION_MATTERS_BYTES, MAX_EXPANSION};
use crate::dataset::opening::ParquetKey;
use crate::error::{Error, Result};
use crate::sealed::thrift::{Cursor, Malformed, Wire};

const LENGTH_BYTES: u64 = 4;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// What a module takes beside its content.
const FRAME_BYTES: u64 = LENGTH_BYTES + (NONCE_BYTES + TAG_BYTES) as u64;

/// Module types of the additional authenticated data (`Encryption.md`, 4.4.2).
const DATA_PAGE: u8 = 2;
const DICTIONARY_PAGE: u8 = 3;
const DATA_PAGE_HEADER: u8 = 4;
const DICTIONARY_PAGE_HEADER: u8 = 5;

/// Longest page header: its statistics may repeat two values.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// Longest page, sealed or decompressed.
const MAX_PAGE_BYTES: u64 = 512 << 20;
/// Pages of a column chunk are counted in 15 bits.
const MAX_PAGES: u16 = 1 << 15;

/// What the modules of a file are bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// To the file and their place in it: modules of another place or file do not open.
    Place {
        /// What is particular to the file.
        file: Vec<u8>,
    },
    /// To nothing but the key: pages can be swapped, left out or taken from another file under the same key.
    Nothing,
}

/// Opens modules of one file.
pub(super) struct ModuleKey {
    key: LessSafeKey,
    binding: Binding,
}

impl ModuleKey {
    /// Takes a key of 16 or 32 bytes; `None` for other lengths.
    pub(super) fn new(key: &ParquetKey, binding: Binding) -> Option<Self> {
        let algorithm = match key.as_bytes().len() {
            16 => &AES_128_GCM,
            32 => &AES_256_GCM,
            _ => return None,
        };
        UnboundKey::new(algorithm, key.as_bytes()).ok().map(|key| Self { key: LessSafeKey::new(key), binding })
    }

    /// Decrypts a whole module in place; `None` where it is none, or does not authenticate. `place` is type and ordinals.
    pub(super) fn open<'b>(&self, module: &'b mut [u8], place: &[u8]) -> Option<&'b [u8]> {
        let (length, rest) = module.split_first_chunk_mut()?;
        if u32::from_le_bytes(*length) as usize != rest.len() || rest.len() < NONCE_BYTES + TAG_BYTES {
            return None;
        }
        let (nonce, sealed) = rest.split_at_mut(NONCE_BYTES);
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = match &self.binding {
            Binding::Place { file } => [file, place].concat(),
            Binding::Nothing => Vec::new(),
        };
        self.key.open_in_place(nonce, Aad::from(aad), sealed).ok().map(|opened| &*opened)
    }
}

/// The bytes of an encrypted file as those of a plain one.
#[derive(Clone)]
pub(super) struct SealedPages(Arc<Shared>);

struct Shared {
    place: String,
    file: File,
    file_bytes: u64,
    key: ModuleKey,
    /// The encrypted column chunks, sorted by where they begin; none overlaps another.
    chunks: Vec<Chunk>,
    /// For each chunk the page that was looked at last.
    pages: Mutex<Vec<Option<PagePlace>>>,
    /// What went wrong: the Parquet library passes on no errors but its own.
    failure: Mutex<Option<Error>>,
}

/// An encrypted column chunk.
struct Chunk {
    bytes: Range<u64>,
    row_group: u16,
    column: u16,
    has_dictionary: bool,
}

/// Where a page is.
#[derive(Clone, Copy)]
struct PagePlace {
    header: u64,
    header_bytes: u64,
    /// Length of the sealed body.
    body_bytes: u64,
    /// Its number among the data pages; that of the dictionary is not counted.
    ordinal: u16,
    dictionary: bool,
}

impl PagePlace {
    fn body(&self) -> u64 {
        self.header + self.header_bytes
    }

    fn end(&self) -> u64 {
        self.body() + self.body_bytes
    }
}

impl SealedPages {
    /// Prepares to read the pages of the columns that are `encrypted`, by row group and column.
    ///
    /// # Errors
    /// [`Error::MalformedSource`] where column chunks do not lie within the file, or overlap.
    pub(super) fn new(
        file: File,
        file_bytes: u64,
        key: ModuleKey,
        metadata: &ParquetMetaData,
        encrypted: &[Vec<bool>],
        place: &str,
    ) -> Result<Self> {
        let malformed = |reason| Error::MalformedSource { place: place.to_owned(), reason };
        let mut chunks = Vec::new();
        for (index, (row_group, encrypted)) in metadata.row_groups().iter().zip(encrypted).enumerate() {
            let row_group_number = u16::try_from(row_group.ordinal().map_or(index, |ordinal| ordinal as usize));
            for (column_number, (column, encrypted)) in row_group.columns().iter().zip(encrypted).enumerate() {
                if !encrypted {
                    continue;
                }
                let offset = column.data_page_offset().min(column.dictionary_page_offset().unwrap_or(i64::MAX));
                let bytes = u64::try_from(offset).ok().zip(u64::try_from(column.compressed_size()).ok());
                let bytes = bytes.and_then(|(start, length)| Some(start..start.checked_add(length)?));
                let bytes = bytes.filter(|bytes| bytes.end <= file_bytes);
                let (Some(bytes), Ok(row_group), Ok(column_number)) =
                    (bytes, row_group_number, u16::try_from(column_number))
                else {
                    return Err(malformed("a column does not lie within the file"));
                };
                chunks.push(Chunk {
                    bytes,
                    row_group,
                    column: column_number,
                    has_dictionary: column.dictionary_page_offset().is_some(),
                });
            }
        }
        chunks.sort_by_key(|chunk| (chunk.bytes.start, chunk.bytes.end));
        if chunks.windows(2).any(|pair| pair[0].bytes.end > pair[1].bytes.start) {
            return Err(malformed("its columns overlap"));
        }
        let pages = Mutex::new(vec![None; chunks.len()]);
        let shared =
            Shared { place: place.to_owned(), file, file_bytes, key, chunks, pages, failure: Mutex::new(None) };
        Ok(Self(Arc::new(shared)))
    }

    /// Whether modules are bound to their places.
    pub(super) fn are_bound(&self) -> bool {
        self.0.key.binding != Binding::Nothing
    }

    /// Takes what went wrong with a page, where something did.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Shared {
    fn altered(&self) -> Error {
        problem(&self.place, EncryptionProblem::PageAltered)
    }

    fn malformed(&self, reason: &'static str) -> Error {
        Error::MalformedSource { place: self.place.clone(), reason }
    }

    /// Hands an error to the Parquet library, and keeps it for who reads the batches.
    fn keep(&self, error: Error) -> ParquetError {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        ParquetError::General("a page cannot be read".to_owned())
    }

    /// The encrypted chunk that a position lies in.
    fn chunk(&self, position: u64) -> Option<usize> {
        let after = self.chunks.partition_point(|chunk| chunk.bytes.start <= position);
        let index = after.checked_sub(1)?;
        (position < self.chunks[index].bytes.end).then_some(index)
    }

    fn read_at(&self, start: u64, bytes: &mut [u8]) -> Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_exact(bytes))
            .map_err(|source| Error::io(&self.place, "read", source))
    }

    /// The length of the sealed module at a position, its length field included.
    fn module_bytes(&self, start: u64, end: u64, most: u64) -> Result<u64> {
        if end.saturating_sub(start) < FRAME_BYTES {
            return Err(self.altered());
        }
        let mut length = [0; LENGTH_BYTES as usize];
        self.read_at(start, &mut length)?;
        let bytes = u64::from(u32::from_le_bytes(length)) + LENGTH_BYTES;
        if bytes < FRAME_BYTES || bytes > end - start {
            return Err(self.altered());
        }
        if bytes > most {
            return Err(self.malformed("a page is longer than 512 MiB, or its header than 1 MiB"));
        }
        Ok(bytes)
    }

    /// Reads and opens the module at a position; gives its content.
    fn open(&self, start: u64, bytes: u64, place: &[u8]) -> Result<Bytes> {
        let mut module = vec![0; bytes as usize];
        self.read_at(start, &mut module)?;
        let length = self.key.open(&mut module, place).ok_or_else(|| self.altered())?.len();
        let begin = LENGTH_BYTES as usize + NONCE_BYTES;
        Ok(Bytes::from(module).slice(begin..begin + length))
    }

    /// Opens the page header at a position, and gives it as it would stand in a plain file.
    fn header(&self, index: usize, start: u64) -> Result<Bytes> {
        let chunk = &self.chunks[index];
        let (ordinal, dictionary) = {
            let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
            match pages[index] {
                _ if start == chunk.bytes.start => (0, chunk.has_dictionary),
                Some(page) if start == page.header => (page.ordinal, page.dictionary),
                Some(page) if start == page.end() && page.dictionary => (0, false),
                Some(page) if start == page.end() => (page.ordinal + 1, false),
                _ => return Err(self.malformed("its pages do not follow each other")),
            }
        };
        if ordinal >= MAX_PAGES {
            return Err(self.malformed("a column has more than 32768 pages"));
        }
        let header_bytes = self.module_bytes(start, chunk.bytes.end, MAX_HEADER_BYTES)?;
        let kind = if dictionary { DICTIONARY_PAGE_HEADER } else { DATA_PAGE_HEADER };
        let content = self.open(start, header_bytes, &chunk.place(kind, ordinal))?;
        let body_bytes = self.module_bytes(start + header_bytes, chunk.bytes.end, MAX_PAGE_BYTES)?;
        let body = body_bytes - FRAME_BYTES;
        let header =
            PlainHeader::of(&content, body, dictionary).map_err(|_| self.malformed("a page header is broken"))?;
        if header.plain_bytes > MAX_PAGE_BYTES
            || (header.plain_bytes > EXPANSION_MATTERS_BYTES && header.plain_bytes / MAX_EXPANSION > body)
        {
            return Err(self.malformed("a page expands too far"));
        }
        let page = PagePlace { header: start, header_bytes, body_bytes, ordinal, dictionary };
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(page);
        Ok(header.padded_to(header_bytes + FRAME_BYTES))
    }

    /// Opens the page body that is shown at a position: right before where the sealed one ends.
    fn body(&self, index: usize, start: u64, length: usize) -> Result<Bytes> {
        let page = self.pages.lock().unwrap_or_else(PoisonError::into_inner)[index];
        let page = page
            .filter(|page| start == page.body() + FRAME_BYTES && length as u64 + FRAME_BYTES == page.body_bytes)
            .ok_or_else(|| self.malformed("its pages do not follow each other"))?;
        let kind = if page.dictionary { DICTIONARY_PAGE } else { DATA_PAGE };
        self.open(page.body(), page.body_bytes, &self.chunks[index].place(kind, page.ordinal))
    }
}

impl Chunk {
    /// Type and ordinals of a module: row group, column, and of data pages their number.
    fn place(&self, kind: u8, ordinal: u16) -> Vec<u8> {
        let mut place = vec![kind];
        place.extend(self.row_group.to_le_bytes());
        place.extend(self.column.to_le_bytes());
        if matches!(kind, DATA_PAGE | DATA_PAGE_HEADER) {
            place.extend(ordinal.to_le_bytes());
        }
        place
    }
}

impl Length for SealedPages {
    fn len(&self) -> u64 {
        self.0.file_bytes
    }
}

impl ChunkReader for SealedPages {
    type T = PageRead;

    fn get_read(&self, start: u64) -> parquet::errors::Result<PageRead> {
        if self.0.chunk(start).is_some() {
            // The library asks for a reader at bodies, too, and does not use it: a header is opened when it is read.
            return Ok(PageRead::Sealed { pages: self.clone(), start, header: None });
        }
        self.0.file.get_read(start).map(PageRead::Plain)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        match self.0.chunk(start) {
            Some(index) => self.0.body(index, start, length).map_err(|error| self.0.keep(error)),
            // An empty page may end where its chunk does.
            None if length == 0 => Ok(Bytes::new()),
            None if start.checked_add(length as u64).is_none_or(|end| end > self.0.file_bytes) => {
                Err(self.0.keep(self.0.malformed("a page does not lie within the file")))
            }
            None => self.0.file.get_bytes(start, length),
        }
    }
}

/// Reads page headers: decrypted ones, or those of a column that is not encrypted.
pub(super) enum PageRead {
    Plain(BufReader<File>),
    Sealed { pages: SealedPages, start: u64, header: Option<Reader<Bytes>> },
}

impl Read for PageRead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(into),
            Self::Sealed { header: Some(header), .. } => header.read(into),
            Self::Sealed { pages, start, header } => {
                let shared = &pages.0;
                let index = shared.chunk(*start).ok_or(io::ErrorKind::UnexpectedEof)?;
                let opened = shared.header(index, *start).map_err(|error| io::Error::other(shared.keep(error)))?;
                header.insert(opened.reader()).read(into)
            }
        }
    }
}

/// A page header on its way from sealed to plain.
struct PlainHeader {
    /// The header without its end, telling the length of the plain body.
    bytes: Vec<u8>,
    /// Length of the page decompressed.
    plain_bytes: u64,
}

impl PlainHeader {
    /// Rewrites a header for a body of `body` bytes, and holds it against what the file said of the page.
    fn of(header: &[u8], body: u64, dictionary: bool) -> std::result::Result<Self, Malformed> {
        const TYPE: u8 = 1;
        const PLAIN_BYTES: u8 = 2;
        const BODY_BYTES: u8 = 3;
        const DICTIONARY: i64 = 2;
        let mut cursor = Cursor::new(header);
        let (mut bytes, mut plain, mut kind, mut told) = (Vec::with_capacity(header.len()), None, None, None);
        let mut last = 0;
        let mut copied = 0;
        while let Some((id, wire)) = cursor.field(&mut last)? {
            match (id, wire) {
                (TYPE, Wire::Integer) => kind = Some(cursor.integer()?),
                (PLAIN_BYTES, Wire::Integer) => plain = Some(cursor.integer()?),
                (BODY_BYTES, Wire::Integer) => {
                    bytes.extend_from_slice(&header[copied..cursor.position()]);
                    told = Some(cursor.integer()?);
                    copied = cursor.position();
                    varint(&mut bytes, body << 1);
                }
                _ => cursor.skip(wire)?,
            }
        }
        let end = cursor.position();
        bytes.extend_from_slice(&header[copied..end - 1]);
        // The specification counts the frame as part of the page, DuckDB does not.
        let told = told.and_then(|told| u64::try_from(told).ok()).ok_or(Malformed)?;
        let plain_bytes = plain.and_then(|plain| u64::try_from(plain).ok()).ok_or(Malformed)?;
        let is_dictionary = kind.ok_or(Malformed)? == DICTIONARY;
        if (told != body && told != body + FRAME_BYTES) || is_dictionary != dictionary || body > i32::MAX as u64 {
            return Err(Malformed);
        }
        Ok(Self { bytes, plain_bytes })
    }

    /// Ends it with a field that no page header has, so that it is as long as told.
    fn padded_to(mut self, length: u64) -> Bytes {
        // A binary field 15 above the last, and the end. Told is the sealed header's length and that of two frames; the header
        // itself shrinks by the spare bytes of one number at most, so a single byte holds the field's length.
        let padding = length as usize - self.bytes.len() - 3;
        self.bytes.extend([0xf8, padding as u8]);
        self.bytes.resize(length as usize, 0);
        self.bytes.into()
    }
}

fn varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Type, length decompressed, length of the body, and a struct with one number, as a data page has it.
    fn header(kind: u8, body: u64) -> Vec<u8> {
        let mut bytes = vec![0x15, kind << 1, 0x15, 0x64, 0x15];
        varint(&mut bytes, body << 1);
        bytes.extend([0x2c, 0x15, 0x04, 0x00, 0x00]);
        bytes
    }

    #[test]
    fn a_header_becomes_plain_and_as_long_as_told() {
        for (told, body) in [(1000 + FRAME_BYTES, 1000), (1000, 1000), (63 + FRAME_BYTES, 63)] {
            let sealed = header(0, told);
            let length = sealed.len() as u64 + 2 * FRAME_BYTES;
            let plain = PlainHeader::of(&sealed, body, false).unwrap();
            assert_eq!(plain.plain_bytes, 50);
            let padded = plain.padded_to(length);
            assert_eq!(padded.len() as u64, length);
            // Read again, it ends where it should, after the field that is passed over.
            let mut cursor = Cursor::new(&padded);
            let (mut last, mut fields, mut found) = (0, Vec::new(), None);
            while let Some((id, wire)) = cursor.field(&mut last).unwrap() {
                fields.push(id);
                match id {
                    3 => found = Some(cursor.integer().unwrap()),
                    _ => cursor.skip(wire).unwrap(),
                }
            }
            assert_eq!((fields, cursor.position()), (vec![1, 2, 3, 5, 20], padded.len()));
            assert_eq!(found, Some(body as i64));
        }
    }

    #[test]
    fn a_header_that_disagrees_with_the_file_is_refused() {
        assert!(PlainHeader::of(&header(0, 99), 100, false).is_err(), "another length than the module's");
        assert!(PlainHeader::of(&header(2, 100), 100, false).is_err(), "a dictionary in the place of data");
        assert!(PlainHeader::of(&header(0, 100), 100, true).is_err(), "data in the place of a dictionary");
        assert!(PlainHeader::of(&header(2, 100), 100, true).is_ok());
        for length in 0..header(0, 100).len() {
            assert!(PlainHeader::of(&header(0, 100)[..length], 100, false).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn modules_open_in_their_place_only_where_they_are_bound() {
        let key: ParquetKey = "0123456789abcdef".parse().unwrap();
        let seal = |aad: &[u8]| {
            let sealing = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_bytes()).unwrap());
            let mut content = b"content".to_vec();
            sealing
                .seal_in_place_append_tag(Nonce::assume_unique_for_key([7; 12]), Aad::from(aad), &mut content)
                .unwrap();
            [&(12 + content.len() as u32).to_le_bytes()[..], &[7; 12], &content].concat()
        };
        let bound = ModuleKey::new(&key, Binding::Place { file: b"file".to_vec() }).unwrap();
        assert_eq!(bound.open(&mut seal(b"file\x02\x01"), &[2, 1]), Some(&b"content"[..]));
        assert_eq!(bound.open(&mut seal(b"file\x02\x01"), &[2, 2]), None);
        let free = ModuleKey::new(&key, Binding::Nothing).unwrap();
        assert_eq!(free.open(&mut seal(b""), &[2, 2]), Some(&b"content"[..]));
        for length in 0..seal(b"").len() {
            assert_eq!(free.open(&mut seal(b"")[..length], &[]), None, "{length} bytes");
        }
        assert!(ModuleKey::new(&"0123456789abcdefghijklmn".parse().unwrap(), Binding::Nothing).is_none());
    }
}
