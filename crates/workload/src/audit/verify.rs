//! Verifies an audit log, with nothing but the agreement: no key, no database, no network.
//!
//! In: the files of a log, oldest first, the head beside the last, the workload's names, and heads that somebody kept. Out: how
//! far the log goes, or the first thing that is wrong with it. Memory does not depend on the length of the log.
//!
//! It finds a line that was altered, removed, inserted, copied from elsewhere or moved, and an end that was cut off. Who puts an
//! older log AND its own older head back is found only against a head that was kept elsewhere.

use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

use datafuse_core::{
    audit::{AuditHead, digest, is_signed_line, verify_line},
    name::PublicName,
    root::Root,
};
use sha2::{Digest, Sha256};

use super::{
    chain::{LONGEST_HEAD, LONGEST_LINE, Link, NOTHING_BEFORE, head_path},
    fault::AuditFault,
};

/// An entry by its number and SHA-256, such as a head that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// SHA-256 of its line.
    pub hash: [u8; 32],
}

/// Shows `SEQ:HASH`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(self.hash))
    }
}

impl FromStr for Entry {
    type Err = NotAnEntry;

    fn from_str(text: &str) -> Result<Self, NotAnEntry> {
        let (seq, digits) = text.split_once(':').ok_or(NotAnEntry)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(digits, &mut hash).map_err(|_| NotAnEntry)?;
        Ok(Self { seq: seq.parse().map_err(|_| NotAnEntry)?, hash })
    }
}

/// A text is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head is SEQ:HASH, with 64 hex digits, as datafuse audit head prints it")]
pub struct NotAnEntry;

/// What is to be verified.
#[derive(Clone, Debug)]
pub struct AuditFiles<'a> {
    /// The space.
    pub root: &'a Root,
    /// The workload's names, oldest first, its present one last.
    pub names: &'a [PublicName],
    /// Files that were put away, oldest first.
    pub archives: &'a [PathBuf],
    /// The log; its head lies beside it.
    pub log: &'a Path,
    /// Entries that are known from elsewhere.
    pub known: &'a [Entry],
}

/// A log in which nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of the first signed entry.
    pub first: u64,
    /// The last entry: to be kept elsewhere.
    pub last: Entry,
    /// Lines of a version that did not sign them, bound by the first signed one.
    pub unsigned: u64,
    /// Lines that a crash cut short.
    pub cut: u64,
    /// By how many entries the head is behind, which only a crash explains.
    pub head_behind: u64,
}

/// Verifies a log.
///
/// # Errors
/// The first [`AuditFault`], in the order of the lines; then those of the head, then those of what is known.
pub fn verify(files: &AuditFiles<'_>) -> Result<Verified, AuditFault> {
    let (head, head_signer) = read_head(files)?;
    let mut walk = Walk::new(files, head.seq);
    for path in files.archives.iter().map(PathBuf::as_path).chain([files.log]) {
        walk.file(path)?;
    }
    let (Some(first), Some(last)) = (walk.first, walk.last) else {
        let path = files.log.to_owned();
        return Err(match walk.unsigned {
            0 => AuditFault::Empty { path },
            lines => AuditFault::NotSigned { path, lines },
        });
    };
    if head.seq > last.seq {
        return Err(AuditFault::CutOff { last: last.seq, known: head.seq });
    }
    if walk.at_head.is_some_and(|hash| hash != head.hash) {
        return Err(AuditFault::Replaced { seq: head.seq, what: "the head" });
    }
    if head_signer < walk.signer || head_signer + 1 < files.names.len() {
        return Err(AuditFault::FormerName { what: "the head".to_owned() });
    }
    if let Some(known) = files.known.iter().find(|known| known.seq > last.seq) {
        return Err(AuditFault::CutOff { last: last.seq, known: known.seq });
    }
    Ok(Verified { first, last, unsigned: walk.unsigned, cut: walk.cut, head_behind: last.seq - head.seq })
}

/// Reads the head and who of the names signed it.
fn read_head(files: &AuditFiles<'_>) -> Result<(AuditHead, usize), AuditFault> {
    let path = head_path(files.log);
    let mut bytes = Vec::new();
    // A log that is not there is the better answer than a head that is not.
    File::open(files.log).map_err(|source| AuditFault::Unreadable { path: files.log.to_owned(), source })?;
    match File::open(&path).and_then(|file| file.take(LONGEST_HEAD).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && is_unsigned(files.log) => {
            return Err(AuditFault::NotSigned { path: files.log.to_owned(), lines: count_lines(files.log) });
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(AuditFault::NoHead { path }),
        Err(source) => return Err(AuditFault::Unreadable { path, source }),
    }
    let verified = files.names.iter().enumerate().rev();
    let mut verified =
        verified.filter_map(|(index, name)| Some((AuditHead::verify(&bytes, files.root, name).ok()?, index)));
    verified.next().ok_or(AuditFault::NoHead { path })
}

fn is_unsigned(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut lines = BufReader::new(file.take(LONGEST_LINE)).split(b'\n').map_while(Result::ok).peekable();
    lines.peek().is_some() && lines.all(|line| !is_signed_line(&line))
}

fn count_lines(path: &Path) -> u64 {
    File::open(path).map_or(0, |file| BufReader::new(file).split(b'\n').map_while(Result::ok).count() as u64)
}

/// One walk over all lines.
struct Walk<'a> {
    files: &'a AuditFiles<'a>,
    head_seq: u64,
    first: Option<u64>,
    last: Option<Entry>,
    /// The name that signed last: later ones follow earlier ones, never the reverse.
    signer: usize,
    at_head: Option<[u8; 32]>,
    /// A line that is not right, unless the next one notes that a crash cut it short.
    suspect: Option<(AuditFault, [u8; 32])>,
    /// Of the lines without a signature at the beginning: how many, how many bytes, and their hash.
    unsigned: u64,
    unsigned_bytes: u64,
    unsigned_hash: Sha256,
    cut: u64,
}

impl<'a> Walk<'a> {
    fn new(files: &'a AuditFiles<'a>, head_seq: u64) -> Self {
        Self {
            files,
            head_seq,
            first: None,
            last: None,
            signer: 0,
            at_head: None,
            suspect: None,
            unsigned: 0,
            unsigned_bytes: 0,
            unsigned_hash: Sha256::new(),
            cut: 0,
        }
    }

    fn file(&mut self, path: &Path) -> Result<(), AuditFault> {
        let unreadable = |source| AuditFault::Unreadable { path: path.to_owned(), source };
        let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut bytes = Vec::new();
        for place in 1.. {
            bytes.clear();
            let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            match bytes.strip_suffix(b"\n") {
                Some(line) => self.line(path, place, line)?,
                // Without its end it counts if it is right, as it does for the workload; else a crash cut it short.
                None => match self.check(path, place, &bytes) {
                    Ok(entry) if self.suspect.is_none() => self.accept(entry)?,
                    _ => self.cut += 1,
                },
            }
        }
        match self.suspect.take() {
            Some((fault, _)) if self.first.is_some() => Err(fault),
            _ => Ok(()),
        }
    }

    fn line(&mut self, path: &Path, place: u64, line: &[u8]) -> Result<(), AuditFault> {
        if self.first.is_none() && !is_signed_line(line) {
            self.unsigned += 1;
            self.unsigned_bytes += line.len() as u64 + 1;
            self.unsigned_hash.update(line);
            self.unsigned_hash.update(b"\n");
            self.suspect = None;
            if self.unsigned == 1 {
                self.suspect = Some((AuditFault::Altered { path: path.to_owned(), line: place }, digest(line)));
            }
            return Ok(());
        }
        match self.check(path, place, line) {
            Ok(entry) => self.accept(entry),
            Err(fault) => match self.suspect.take() {
                // The first one that is wrong is the one to name.
                Some((earlier, _)) => Err(earlier),
                None if self.first.is_none() => Err(fault),
                None => {
                    self.suspect = Some((fault, digest(line)));
                    Ok(())
                }
            },
        }
    }

    /// Checks a line that should follow the last one, and what it says about what lies between.
    fn check(&mut self, path: &Path, place: u64, line: &[u8]) -> Result<(Entry, usize), AuditFault> {
        let (path, files) = (path.to_owned(), self.files);
        let signs = |name: &PublicName| verify_line(line, files.root, name).is_ok();
        let altered = || AuditFault::Altered { path: path.clone(), line: place };
        let signer = files.names.iter().rposition(signs).ok_or_else(altered)?;
        let link: Link = serde_json::from_slice(line).map_err(|_| altered())?;
        if signer < self.signer {
            return Err(AuditFault::FormerName { what: format!("line {place} of {}", path.display()) });
        }
        let mut prev = [0; 32];
        hex::decode_to_slice(&link.prev, &mut prev).map_err(|_| altered())?;
        match self.last {
            Some(last) => {
                let expected = last.seq.saturating_add(1);
                if link.seq > expected {
                    let (from, to) = (expected, link.seq - 1);
                    return Err(AuditFault::Missing { path, line: place, from, to });
                }
                if link.seq < expected {
                    return Err(AuditFault::OutOfOrder { path, line: place, found: link.seq, expected });
                }
                if prev != last.hash {
                    return Err(AuditFault::DoesNotFollow { path, line: place });
                }
            }
            None => self.check_first(&path, place, &link, prev)?,
        }
        let noted = link.cut.as_deref();
        let between = self.suspect.as_ref().map(|(_, digest)| hex::encode(digest));
        match (noted, between) {
            (None, None) => {}
            (Some(noted), Some(between)) if noted == between => {
                self.suspect = None;
                self.cut += 1;
                if self.last.is_none() {
                    self.unsigned = 0;
                }
            }
            (Some(_), None) => return Err(AuditFault::CutAltered { path, line: place }),
            // What lies between is what is wrong.
            (_, Some(_)) => return Err(altered()),
        }
        Ok((Entry { seq: link.seq, hash: digest(line) }, signer))
    }

    /// Checks the first signed line: it begins the log, binds what an earlier version wrote, or goes on where a file that was put
    /// away ends.
    fn check_first(&mut self, path: &Path, place: u64, link: &Link, prev: [u8; 32]) -> Result<(), AuditFault> {
        if let Some(before) = link.before {
            let found: [u8; 32] = self.unsigned_hash.clone().finalize().into();
            if before != self.unsigned_bytes || prev != found {
                return Err(AuditFault::BeforeAltered { path: path.to_owned(), line: place });
            }
            self.suspect = None;
            return Ok(());
        }
        let goes_on =
            self.files.known.iter().any(|known| known.seq.checked_add(1) == Some(link.seq) && known.hash == prev);
        if !goes_on && (link.seq != 1 || prev != NOTHING_BEFORE) {
            return Err(AuditFault::BeginsLater { path: path.to_owned(), found: link.seq });
        }
        if self.unsigned > 1 {
            return Err(AuditFault::BeforeAltered { path: path.to_owned(), line: place });
        }
        Ok(())
    }

    fn accept(&mut self, (entry, signer): (Entry, usize)) -> Result<(), AuditFault> {
        self.first.get_or_insert(entry.seq);
        (self.last, self.signer) = (Some(entry), signer);
        if entry.seq == self.head_seq {
            self.at_head = Some(entry.hash);
        }
        match self.files.known.iter().find(|known| known.seq == entry.seq && known.hash != entry.hash) {
            Some(known) => Err(AuditFault::Replaced { seq: known.seq, what: "the entry that was kept" }),
            None => Ok(()),
        }
    }
}
