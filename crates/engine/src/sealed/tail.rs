//! The end of an encrypted file: all that it shows without a key.
//!
//! `... crypto metadata, encrypted footer, length of both (4, little-endian), "PARE"` (apache/parquet-format,
//! `Encryption.md`, 5.1). The crypto metadata say how the file is encrypted, and hold the key metadata, which is where a
//! protected dataset has its envelope. Nothing of it is authenticated here.

use std::{fs::File, ops::Range, path::Path};

use bytes::Bytes;

use super::{
    Caps, corrupted, is_module, limit, read_at,
    thrift::{Cursor, Malformed, Wire},
};
use crate::error::{Error, Result};

/// Parquet's magic bytes: a plain footer, and an encrypted one.
const PLAIN_MAGIC: &[u8; 4] = b"PAR1";
const SEALED_MAGIC: &[u8; 4] = b"PARE";

/// What an encrypted file shows without any key.
pub(crate) struct Tail {
    /// The key metadata, as its writer put it.
    pub(crate) key_metadata: Vec<u8>,
    pub(super) file_unique: Vec<u8>,
    /// The end of the file, from the crypto metadata on. What was checked here is what the Parquet library parses.
    pub(super) bytes: Bytes,
    /// Where in `bytes` the encrypted footer is.
    pub(super) footer: Range<usize>,
    pub(super) file_bytes: u64,
}

impl Tail {
    /// Reads the tail of a file and its crypto metadata.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotParquet`], [`Error::NotProtected`], [`Error::Truncated`], [`Error::Corrupted`],
    /// [`Error::OverLimit`], [`Error::Unsupported`].
    pub(crate) fn read(path: &Path, file: &File, caps: &Caps) -> Result<Self> {
        let truncated = || Error::Truncated { path: path.into() };
        let length = file.metadata().map_err(|source| Error::io(path, "read", source))?.len();
        let mut head = [0; 4];
        let head_bytes = (length as usize).min(4);
        read_at(path, file, 0, &mut head[..head_bytes])?;
        if head_bytes < 4 {
            return Err(if SEALED_MAGIC.starts_with(&head[..head_bytes]) && head_bytes > 0 {
                truncated()
            } else {
                Error::NotParquet { path: path.into() }
            });
        }
        match &head {
            SEALED_MAGIC => {}
            PLAIN_MAGIC => return Err(Error::NotProtected { path: path.into() }),
            _ => return Err(Error::NotParquet { path: path.into() }),
        }
        if length < 12 {
            return Err(truncated());
        }
        let mut tail = [0; 8];
        read_at(path, file, length - 8, &mut tail)?;
        if tail[4..] != *SEALED_MAGIC {
            return Err(truncated());
        }
        let footer = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
        limit(path, "its footer's length in bytes", footer, caps.footer_bytes + caps.key_metadata_bytes)?;
        let start =
            (length - 8).checked_sub(footer).filter(|start| *start >= 4).ok_or_else(|| corrupted(path, "its tail"))?;
        let mut bytes = vec![0; footer as usize + tail.len()];
        read_at(path, file, start, &mut bytes)?;
        let inside = &bytes[..footer as usize];

        let crypto = CryptoMetadata::parse(inside).map_err(|_| corrupted(path, "its crypto metadata"))?;
        if crypto.prefixed || !crypto.gcm {
            return Err(Error::Unsupported {
                path: path.into(),
                what: "its kind of encryption is not used by datasets".into(),
            });
        }
        limit(path, "its key metadata's length in bytes", crypto.key_metadata.len() as u64, caps.key_metadata_bytes)?;
        if bytes[footer as usize..] != tail || !is_module(&inside[crypto.length..]) {
            return Err(corrupted(path, "its footer's frame"));
        }
        Ok(Self {
            key_metadata: crypto.key_metadata.to_vec(),
            file_unique: crypto.file_unique.to_vec(),
            footer: crypto.length..inside.len(),
            bytes: bytes.into(),
            file_bytes: length,
        })
    }
}

/// The part of the tail that is in clear (`FileCryptoMetaData`).
struct CryptoMetadata<'a> {
    gcm: bool,
    prefixed: bool,
    file_unique: &'a [u8],
    key_metadata: &'a [u8],
    length: usize,
}

impl<'a> CryptoMetadata<'a> {
    fn parse(bytes: &'a [u8]) -> std::result::Result<Self, Malformed> {
        let mut found = Self { gcm: false, prefixed: false, file_unique: &[], key_metadata: &[], length: 0 };
        let mut cursor = Cursor::new(bytes);
        let mut last = 0;
        while let Some((id, wire)) = cursor.field(&mut last)? {
            match (id, wire) {
                (1, Wire::Struct) => found.algorithm(&mut cursor)?,
                (2, Wire::Binary) => found.key_metadata = cursor.binary()?,
                _ => cursor.skip(wire)?,
            }
        }
        found.length = cursor.position();
        Ok(found)
    }

    /// The union of algorithms: 1 is AES-GCM for all modules, 2 AES-CTR for pages.
    fn algorithm(&mut self, cursor: &mut Cursor<'a>) -> std::result::Result<(), Malformed> {
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
                    (2, Wire::Binary) => self.file_unique = cursor.binary()?,
                    (1, Wire::Binary) => {
                        self.prefixed = true;
                        cursor.skip(wire)?;
                    }
                    (3, Wire::True) => self.prefixed = true,
                    _ => cursor.skip(wire)?,
                }
            }
        }
        Ok(())
    }
}
