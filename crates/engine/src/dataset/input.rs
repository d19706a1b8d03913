//! A window over a byte stream that record readers look through: what is not yet consumed stays in view.
//!
//! In: any `Read`. Out: the unconsumed bytes, as one slice that grows on demand. The window is as large as the largest
//! record a caller keeps in view, never more than that and one block; the caller sets the limit by not asking for more.

use std::io::{self, Read};

use super::source::Format;
use crate::error::{Error, Result};

/// How many bytes are asked for at a time.
const BLOCK_BYTES: usize = 256 << 10;

pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    ended: bool,
    bytes_read: u64,
}

impl Input {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Input { reader, buffer: Vec::new(), start: 0, filled: 0, ended: false, bytes_read: 0 }
    }

    /// The bytes in view.
    pub(super) fn data(&self) -> &[u8] {
        &self.buffer[self.start..self.filled]
    }

    /// Whether [`Self::data`] reaches to the end of the stream.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// How many bytes came out of the stream.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Drops the first `count` bytes from view.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.filled);
    }

    /// Brings more bytes into view; `false` at the end of the stream.
    pub(super) fn more(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        let wanted = self.filled + BLOCK_BYTES;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted.max(self.buffer.len().saturating_mul(2).min(wanted + (4 << 20))), 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.filled..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(false);
                }
                Ok(count) => {
                    self.filled += count;
                    self.bytes_read += count as u64;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Brings at least `count` bytes into view, or all there are.
    pub(super) fn at_least(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.data().len() < count && self.more()? {}
        Ok(self.data())
    }
}

/// Refuses content that is plainly no text of this format, and drops a byte order mark.
///
/// # Errors
///
/// [`Error::EmptySource`], [`Error::WrongFormat`], [`Error::Io`].
pub(super) fn check_text(input: &mut Input, place: &str, expected: Format) -> Result<()> {
    let failed = |source| Error::io(place, "read", source);
    let head = input.at_least(4).map_err(failed)?;
    let found = match head {
        [] => return Err(Error::EmptySource { place: place.to_owned() }),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(("UTF-16 text", "save it as UTF-8 (in Excel: CSV UTF-8)")),
        [0x1f, 0x8b, ..] => Some(("compressed with gzip", "unpack it first (gunzip)")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(("compressed with zstd", "unpack it first (unzstd)")),
        [b'P', b'K', 3, 4, ..] => {
            Some(("a ZIP archive or an Excel workbook", "save the sheet as CSV, or unzip it first"))
        }
        [b'P', b'A', b'R', b'1', ..] => Some(("Parquet", "--format parquet")),
        [b'P', b'A', b'R', b'E', ..] => {
            Some(("encrypted Parquet", "give the plain dataset; a protected one is not protected again"))
        }
        _ => None,
    };
    if let Some((found, remedy)) = found {
        return Err(Error::WrongFormat { place: place.to_owned(), expected: expected.as_str(), found, remedy });
    }
    if head.starts_with(b"\xef\xbb\xbf") {
        input.consume(3);
    }
    Ok(())
}
