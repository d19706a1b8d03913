//! How a Parquet file is encrypted, told by looking at it, and its metadata opened with the one key that its holder gave.
//!
//! Read are files under Modular Encryption (apache/parquet-format, `Encryption.md`) with one footer key for all of it: an
//! encrypted footer or a plain, signed one; an AAD prefix where it is stored in the file. And the variant that DuckDB writes:
//! framing and cipher are the same, but every module is sealed with empty additional authenticated data, and there is no
//! `aad_file_unique`. So nothing binds a module to its file and place ([`Binding::Nothing`]).
//!
//! Out comes metadata as of a plain file, and a [`SealedPages`] that decrypts its pages while they are read. Not read are
//! AES-CTR for pages, AES-192, keys of single columns, and prefixes that are kept outside of the file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use bytes::Bytes;
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::file::column_crypto_metadata::ColumnCryptoMetaData;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader};

use super::modules::{Binding, ModuleKey, SealedPages};
use super::{Footer, guarded};
use crate::dataset::header::shown_column;
use crate::dataset::opening::ParquetKey;
use crate::error::{Error, Result};
use crate::sealed::thrift::{Cursor, Malformed, Wire};

/// The module type of a footer (`Encryption.md`, 4.4.2).
const FOOTER_MODULE: u8 = 0;
/// `FileMetaData.encryption_algorithm`: how a file with a plain footer is encrypted.
const ALGORITHM_FIELD: u8 = 8;

/// Why an encrypted Parquet file, or one that was taken for it, is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncryptionProblem {
    /// The file is encrypted, and there is no key.
    KeyMissing,
    /// There is a key, and the file is not encrypted.
    KeyUnneeded,
    /// The key is another one.
    WrongKey,
    /// The key has 24 bytes: AES-192.
    KeyOf24Bytes,
    /// Pages are under AES-CTR (`AES_GCM_CTR_V1`), where nothing shows an alteration.
    CtrPages,
    /// The AAD prefix is needed and not in the file.
    PrefixNotStored,
    /// A column has a key of its own.
    ColumnKey {
        /// The column, masked where it looks like a value.
        column: String,
    },
    /// The footer opens with the key, a page does not.
    PageAltered,
}

impl EncryptionProblem {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::KeyMissing => {
                "--parquet-key-file FILE with the file's AES key; a protected dataset has its own key and is not protected again"
            }
            Self::KeyUnneeded => {
                "see why the file was written in clear; if it is meant to be, leave out --parquet-key-file"
            }
            Self::WrongKey => "the key that the file was written with: the same characters, without a line end",
            Self::KeyOf24Bytes => "write the file with a key of 32 characters (or 16)",
            Self::CtrPages => "write the file with AES_GCM_V1 (encryption_algorithm='AES_GCM_V1' in pyarrow)",
            Self::PrefixNotStored => {
                "write the file with its prefix in it (store_aad_prefix=True in pyarrow), or without one"
            }
            Self::ColumnKey { .. } => "write the file with one footer key for all columns (uniform encryption)",
            Self::PageAltered => "compare the file with the one that its holder wrote, and copy or download it again",
        }
    }
}

impl std::fmt::Display for EncryptionProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::KeyMissing => f.write_str("is encrypted Parquet, and no key for it is given"),
            Self::KeyUnneeded => f.write_str("is not encrypted, but a key for encrypted Parquet is given"),
            Self::WrongKey => {
                f.write_str("does not open with the key given: it is another one, or the file was altered")
            }
            Self::KeyOf24Bytes => f.write_str("is encrypted Parquet, and keys of 24 characters (AES-192) are not read"),
            Self::CtrPages => {
                f.write_str("is encrypted with AES_GCM_CTR_V1, which leaves pages unauthenticated and is not read")
            }
            Self::PrefixNotStored => f.write_str("is encrypted with an AAD prefix that is not stored in it"),
            Self::ColumnKey { column } => write!(f, "encrypts column '{column}' with a key of its own"),
            Self::PageAltered => f.write_str("is damaged: a page does not open with the key that opens its footer"),
        }
    }
}

pub(super) fn problem(place: &str, problem: EncryptionProblem) -> Error {
    Error::EncryptedParquet { place: place.to_owned(), problem }
}

/// The metadata of a file, and its pages where they are encrypted.
pub(super) struct OpenedFooter {
    pub(super) metadata: ParquetMetaData,
    pub(super) pages: Option<SealedPages>,
}

/// Opens the footer of a file, with the key where it is encrypted; `None` of a file that is not, which the Parquet library
/// opens as ever.
///
/// # Errors
/// [`Error::EncryptedParquet`], [`Error::MalformedSource`], [`Error::DecodeParquet`], [`Error::Io`].
pub(super) fn open(
    mut file: File,
    footer: &Footer,
    key: Option<&ParquetKey>,
    place: &str,
) -> Result<Option<OpenedFooter>> {
    let bytes = read_footer(&mut file, footer, place)?;
    let found = if footer.sealed {
        Some(CryptoMetadata::parse(&bytes).map_err(|_| malformed(place, "its crypto metadata are broken"))?)
    } else {
        // Whether it is sound is for the Parquet library to say.
        CryptoMetadata::of_plain_footer(&bytes).unwrap_or(None)
    };
    let Some(crypto) = found else {
        return match key {
            Some(_) => Err(problem(place, EncryptionProblem::KeyUnneeded)),
            None => Ok(None),
        };
    };
    let key = key.ok_or_else(|| problem(place, EncryptionProblem::KeyMissing))?;
    let binding = crypto.binding(place)?;
    let modules = ModuleKey::new(key, binding).ok_or_else(|| problem(place, EncryptionProblem::KeyOf24Bytes))?;
    let metadata = if footer.sealed {
        let mut module = bytes[crypto.length..].to_vec();
        let plain = modules.open(&mut module, &[FOOTER_MODULE]);
        let plain = plain.ok_or_else(|| problem(place, EncryptionProblem::WrongKey))?;
        guarded(place, || ParquetMetaDataReader::decode_metadata(plain))?
            .map_err(|source| Error::DecodeParquet { place: place.to_owned(), source })?
    } else {
        signed_metadata(bytes, footer, key, place)?
    };
    let encrypted = encrypted_columns(&metadata, crypto.columns_say_so(footer), place)?;
    let pages = SealedPages::new(file, footer.file_bytes, modules, &metadata, &encrypted, place)?;
    // What is left of the library's own decryption would be applied to pages that are plain by then.
    let metadata = ParquetMetaDataBuilder::new(metadata.file_metadata().clone())
        .set_row_groups(metadata.row_groups().to_vec())
        .build();
    Ok(Some(OpenedFooter { metadata, pages: Some(pages) }))
}

/// Reads what stands between the pages and the last eight bytes.
fn read_footer(file: &mut File, footer: &Footer, place: &str) -> Result<Vec<u8>> {
    // Within 64 MiB and the file's size by now.
    let mut bytes = vec![0; footer.bytes as usize];
    file.seek(SeekFrom::Start(footer.file_bytes - 8 - footer.bytes))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|source| Error::io(place, "read", source))?;
    Ok(bytes)
}

/// The metadata of a plain footer, its signature verified and what it keeps encrypted opened by the Parquet library.
fn signed_metadata(mut bytes: Vec<u8>, footer: &Footer, key: &ParquetKey, place: &str) -> Result<ParquetMetaData> {
    // The signature is nonce and tag; the library trusts that they are there.
    if bytes.len() < 28 {
        return Err(malformed(place, "its footer has no signature"));
    }
    bytes.extend((footer.bytes as u32).to_le_bytes());
    bytes.extend(b"PAR1");
    let tail = Bytes::from(bytes);
    let decryption = FileDecryptionProperties::builder(key.as_bytes().to_vec())
        .build()
        .map_err(|source| Error::Internal { work: "preparing decryption", source: source.into() })?;
    guarded(place, || {
        let mut reader = ParquetMetaDataReader::new()
            .with_decryption_properties(Some(decryption))
            .with_page_index_policy(PageIndexPolicy::Skip);
        reader.try_parse_sized(&tail, footer.file_bytes).and_then(|()| reader.finish())
    })?
    .map_err(|_| problem(place, EncryptionProblem::WrongKey))
}

/// Which columns of which row groups are encrypted: all of them, or those that `say` so.
fn encrypted_columns(metadata: &ParquetMetaData, say: bool, place: &str) -> Result<Vec<Vec<bool>>> {
    let mut encrypted = Vec::with_capacity(metadata.num_row_groups());
    for row_group in metadata.row_groups() {
        let mut columns = Vec::with_capacity(row_group.num_columns());
        for column in row_group.columns() {
            columns.push(match column.crypto_metadata() {
                Some(ColumnCryptoMetaData::ENCRYPTION_WITH_FOOTER_KEY) => true,
                Some(_) => {
                    let column = shown_column(&column.column_path().string()).into_owned();
                    return Err(problem(place, EncryptionProblem::ColumnKey { column }));
                }
                None => !say,
            });
        }
        encrypted.push(columns);
    }
    Ok(encrypted)
}

fn malformed(place: &str, reason: &'static str) -> Error {
    Error::MalformedSource { place: place.to_owned(), reason }
}

/// What a file says in clear about how it is encrypted.
#[derive(Debug, Default, PartialEq, Eq)]
struct CryptoMetadata {
    gcm: bool,
    prefix: Vec<u8>,
    file_unique: Option<Vec<u8>>,
    prefix_outside: bool,
    /// The bytes that it takes in front of an encrypted footer.
    length: usize,
}

impl CryptoMetadata {
    /// Parses `FileCryptoMetaData`, which stands before an encrypted footer.
    fn parse(bytes: &[u8]) -> std::result::Result<Self, Malformed> {
        let mut found = Self::default();
        let mut cursor = Cursor::new(bytes);
        let mut last = 0;
        while let Some((id, wire)) = cursor.field(&mut last)? {
            match (id, wire) {
                (1, Wire::Struct) => found.algorithm(&mut cursor)?,
                _ => cursor.skip(wire)?,
            }
        }
        found.length = cursor.position();
        Ok(found)
    }

    /// Looks into a plain `FileMetaData`; `None` where the file is not encrypted.
    fn of_plain_footer(bytes: &[u8]) -> std::result::Result<Option<Self>, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let mut last = 0;
        while let Some((id, wire)) = cursor.field(&mut last)? {
            if (id, wire) == (ALGORITHM_FIELD, Wire::Struct) {
                let mut found = Self::default();
                found.algorithm(&mut cursor)?;
                return Ok(Some(found));
            }
            cursor.skip(wire)?;
        }
        Ok(None)
    }

    /// The union of algorithms: 1 is AES-GCM for all modules, 2 AES-CTR for pages.
    fn algorithm(&mut self, cursor: &mut Cursor<'_>) -> std::result::Result<(), Malformed> {
        let mut last = 0;
        while let Some((id, wire)) = cursor.field(&mut last)? {
            if (id, wire) != (1, Wire::Struct) {
                cursor.skip(wire)?;
                continue;
            }
            self.gcm = true;
            let mut last = 0;
            while let Some((id, wire)) = cursor.field(&mut last)? {
                match (id, wire) {
                    (1, Wire::Binary) => self.prefix = cursor.binary()?.to_vec(),
                    (2, Wire::Binary) => self.file_unique = Some(cursor.binary()?.to_vec()),
                    (3, Wire::True) => self.prefix_outside = true,
                    _ => cursor.skip(wire)?,
                }
            }
        }
        Ok(())
    }

    /// What modules are bound to.
    fn binding(&self, place: &str) -> Result<Binding> {
        if !self.gcm {
            return Err(problem(place, EncryptionProblem::CtrPages));
        }
        if self.prefix_outside && self.prefix.is_empty() {
            return Err(problem(place, EncryptionProblem::PrefixNotStored));
        }
        Ok(match &self.file_unique {
            Some(unique) => Binding::Place { file: [self.prefix.as_slice(), unique].concat() },
            None if self.prefix.is_empty() => Binding::Nothing,
            None => return Err(malformed(place, "its crypto metadata lack a part")),
        })
    }

    /// Whether the columns tell which of them are encrypted. DuckDB's do not: all are.
    fn columns_say_so(&self, footer: &Footer) -> bool {
        !footer.sealed || self.file_unique.is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tells_the_variants_apart() {
        // As DuckDB writes it: AES-GCM with nothing in it.
        let duckdb = CryptoMetadata::parse(&[0x1c, 0x1c, 0x00, 0x00, 0x00, 0xff]).unwrap();
        assert_eq!(duckdb.length, 5);
        assert_eq!(duckdb.binding("x").unwrap(), Binding::Nothing);
        let specified = CryptoMetadata::parse(&[0x1c, 0x1c, 0x28, 2, 7, 8, 0x00, 0x00, 0x00]).unwrap();
        assert_eq!(specified.binding("x").unwrap(), Binding::Place { file: vec![7, 8] });
        let prefixed = CryptoMetadata::parse(&[0x1c, 0x1c, 0x18, 1, 6, 0x18, 1, 7, 0x00, 0x00, 0x00]).unwrap();
        assert_eq!(prefixed.binding("x").unwrap(), Binding::Place { file: vec![6, 7] });
    }

    #[test]
    fn what_is_not_read_is_named() {
        let found = |bytes: &[u8]| CryptoMetadata::parse(bytes).unwrap().binding("x").unwrap_err();
        let is = |error, expected| matches!(error, Error::EncryptedParquet { problem, .. } if problem == expected);
        assert!(is(found(&[0x1c, 0x2c, 0x28, 1, 7, 0x00, 0x00, 0x00]), EncryptionProblem::CtrPages));
        assert!(is(found(&[0x1c, 0x1c, 0x28, 1, 7, 0x11, 0x00, 0x00, 0x00]), EncryptionProblem::PrefixNotStored));
        // A prefix without what tells files apart would bind modules to each other, and the file to nothing.
        assert!(matches!(found(&[0x1c, 0x1c, 0x18, 1, 6, 0x00, 0x00, 0x00]), Error::MalformedSource { .. }));
    }

    #[test]
    fn every_problem_has_a_remedy_and_shows_no_value() {
        use EncryptionProblem as P;
        for problem in [P::KeyMissing, P::KeyUnneeded, P::WrongKey, P::KeyOf24Bytes, P::CtrPages, P::PrefixNotStored] {
            assert!(!problem.remedy().is_empty() && !problem.to_string().is_empty());
        }
    }
}
