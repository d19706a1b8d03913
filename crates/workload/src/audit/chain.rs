//! The file of the audit log and the file of its head: how a line is chained to the one before, signed and made durable.
//!
//! ```text
//! audit.jsonl   every line holds the SHA-256 of the line before, and is signed
//! audit.head    number and SHA-256 of the last line, signed: how far the log goes
//! ```
//!
//! Writers take turns by a lock on the head, which is never renamed, while the log may be put away under another name at any
//! time. A line takes the same time however long the log is. The line reaches the disk before the head is written, so a head
//! that is behind after a crash says too little, never too much.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use datafuse_core::{
    audit::{AuditHead, digest, is_signed_line, sign_line, verify_line},
    keys::PartyKeys,
    name::PublicName,
    root::Root,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::AuditLine;

/// How much of the end of the file is read at first; as much more as the last line needs.
const TAIL_BYTES: u64 = 8192;
/// No line is longer.
pub(super) const LONGEST_LINE: u64 = 16 << 20;
/// No head is longer.
pub(super) const LONGEST_HEAD: u64 = 512;
/// What the first line of a log follows.
pub(super) const NOTHING_BEFORE: [u8; 32] = [0; 32];

/// Where a log lies, and who signs it.
pub(super) struct Chain {
    pub(super) path: PathBuf,
    pub(super) root: Root,
    pub(super) keys: Arc<PartyKeys>,
    /// The workload's present name, then those that it had before.
    pub(super) names: Vec<PublicName>,
}

/// What links lines.
#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) seq: u64,
    #[serde(default)]
    pub(super) prev: String,
    #[serde(default)]
    pub(super) before: Option<u64>,
    #[serde(default)]
    pub(super) cut: Option<String>,
}

/// Where the head of a log lies.
pub(super) fn head_path(log: &Path) -> PathBuf {
    log.with_extension("head")
}

impl Chain {
    /// Makes both files where they are missing.
    pub(super) fn create(&self) -> io::Result<()> {
        open_file(&head_path(&self.path), false)?;
        open_file(&self.path, true).map(drop)
    }

    /// Numbers, chains and signs a line, appends it and makes it durable. Gives its number.
    pub(super) fn append(&self, mut line: AuditLine) -> io::Result<u64> {
        let mut head_file = open_file(&head_path(&self.path), false)?;
        head_file.lock()?;
        let mut file = open_file(&self.path, true)?;
        let head = self.read_head(&mut head_file)?;
        let mut text = Vec::new();
        let (mut seq, mut prev) = (0, NOTHING_BEFORE);
        let tail = Tail::read(&mut file)?;
        if let Some(last) = &tail.last {
            seq = number(last).unwrap_or_default();
            prev = digest(last);
        }
        if !tail.cut.is_empty() {
            text.push(b'\n');
            if self.is_next(&tail.cut, seq, &prev) {
                // All of it but the end of its line.
                (seq, prev) = (seq + 1, digest(&tail.cut));
            } else {
                line.cut = Some(hex::encode(digest(&tail.cut)));
            }
        }
        match head {
            // Lines that were written are gone. What follows is chained to them, so that it stays to be seen.
            Some(head) if head.seq > seq => (seq, prev) = (head.seq, head.hash),
            None if tail.last.as_deref().is_some_and(|last| !is_signed_line(last)) => {
                // Lines of a version without a chain: all of them are bound.
                let (length, hash) = hash_all(&mut file, &text)?;
                (line.before, line.cut, prev) = (Some(length), None, hash);
            }
            _ => {}
        }
        line.seq = seq.checked_add(1).ok_or_else(|| io::Error::other("the numbers of the log are used up"))?;
        line.prev = hex::encode(prev);
        let object = serde_json::to_vec(&line)?;
        let signed = sign_line(&object, &self.root, self.keys.identity()).map_err(io::Error::other)?;
        text.extend_from_slice(&signed);
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_data()?;
        self.write_head(&mut head_file, &AuditHead { root: self.root, seq: line.seq, hash: digest(&signed) })?;
        Ok(line.seq)
    }

    /// Waits for whoever writes, and reads the head.
    pub(super) fn head(&self) -> io::Result<Option<AuditHead>> {
        let mut file = open_file(&head_path(&self.path), false)?;
        file.lock()?;
        self.read_head(&mut file)
    }

    /// Reads the head, where there is one that this workload signed.
    fn read_head(&self, file: &mut File) -> io::Result<Option<AuditHead>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.take(LONGEST_HEAD).read_to_end(&mut bytes)?;
        Ok(self.names.iter().find_map(|name| AuditHead::verify(&bytes, &self.root, name).ok()))
    }

    /// Writes the head in the place of the former: fewer bytes than a disk writes at once.
    fn write_head(&self, file: &mut File, head: &AuditHead) -> io::Result<()> {
        let bytes = head.sign(self.keys.identity());
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)
    }

    fn is_next(&self, line: &[u8], seq: u64, prev: &[u8; 32]) -> bool {
        let signed = self.names.iter().any(|name| verify_line(line, &self.root, name).is_ok());
        let link = serde_json::from_slice::<Link>(line);
        signed && link.is_ok_and(|link| link.seq == seq + 1 && link.prev == hex::encode(prev))
    }
}

/// The end of the log.
struct Tail {
    /// The last line that is whole, without its end.
    last: Option<Vec<u8>>,
    /// What a crash left of the line after it.
    cut: Vec<u8>,
}

impl Tail {
    fn read(file: &mut File) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        let mut wanted = TAIL_BYTES;
        loop {
            let from = length.saturating_sub(wanted);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            (&mut *file).take(wanted).read_to_end(&mut bytes)?;
            let ends: Vec<_> = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
            // The tail tells where the last whole line begins, or it is the whole file.
            if from == 0 || ends.len() >= 2 || wanted > LONGEST_LINE {
                return Ok(Self::parse(&bytes, from == 0));
            }
            wanted *= 4;
        }
    }

    fn parse(bytes: &[u8], is_all: bool) -> Self {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        let cut = bytes[whole.map_or(0, |end| end + 1)..].to_vec();
        let mut lines = bytes[..whole.unwrap_or(0)].split(|byte| *byte == b'\n').collect::<Vec<_>>();
        if !is_all {
            // The first is the end of a line.
            lines.remove(0);
        }
        // What a former crash cut short lies before a line that notes it.
        let last = lines.into_iter().rev().find(|line| number(line).is_some()).map(<[u8]>::to_vec);
        Self { last, cut }
    }
}

fn number(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Link>(line).ok().map(|link| link.seq)
}

/// Hashes the whole file with what is about to follow it.
fn hash_all(file: &mut File, more: &[u8]) -> io::Result<(u64, [u8; 32])> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                length += read as u64;
            }
        }
    }
    hasher.update(more);
    Ok((length + more.len() as u64, hasher.finalize().into()))
}

fn open_file(path: &Path, append: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).create(true);
    if append {
        options.append(true)
    } else {
        options.write(true).truncate(false)
    };
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
