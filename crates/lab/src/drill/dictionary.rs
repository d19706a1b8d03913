//! The dictionary: every identifier that the attacker tries, and, where it is known, who really has which.
//!
//! Values are normalised as a holder would, so that an entry is an identifier and not a spelling; the spellings are kept, for
//! schemes that hash what they find.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use datafuse_core::{
    id::{KindName, ParticipantId},
    kind::Kind,
    normalize::Normalization,
};
use datafuse_engine::dataset::{Encoding, FetchPolicy, ReadOptions, Source, SourceReader, column_as_bytes};

use crate::{
    error::{Error, Result},
    generate::{EMAIL_COLUMN, SOURCE_FOLDER},
    truth::{SourceEncoding, SourceFile, Truth},
};

/// What separates the columns of an identifier of several, where somebody wrote them down in one.
const JOINTS: [&[u8]; 5] = [b",", b";", b"\t", b" ", b"|"];

/// One identifier.
pub(crate) struct Entry {
    /// Which of the kinds.
    pub(crate) kind: usize,
    /// The normalised identifier.
    pub(crate) identifier: Vec<u8>,
    /// How it was written: as it is, in lower case, and the normalised one, without repetition.
    pub(crate) spellings: Vec<Vec<u8>>,
    /// Whether the attacker tries it; otherwise it is only known to be some holder's.
    pub(crate) tried: bool,
}

/// What is tried, and what is true.
pub struct Dictionary {
    kinds: Vec<Kind>,
    entries: Vec<Entry>,
    numbers: HashMap<(usize, Vec<u8>), u32>,
    holders: BTreeMap<ParticipantId, HashSet<u32>>,
}

/// What a file is read for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// To be tried; whose they are is not known.
    Try,
    /// To be tried, and these are what this holder has.
    TryAsTruthOf(&'a ParticipantId),
    /// Only to know what this holder has.
    TruthOf(&'a ParticipantId),
}

impl Dictionary {
    /// Begins an empty one for the kinds of a space.
    #[must_use]
    pub fn new(kinds: &[Kind]) -> Self {
        Self { kinds: kinds.to_vec(), entries: Vec::new(), numbers: HashMap::new(), holders: BTreeMap::new() }
    }

    /// Adds the identifier of a row, if it is a valid one.
    ///
    /// # Panics
    /// When `kind` is no number of a kind, or the values are not as many as its columns.
    pub fn add(&mut self, kind: usize, values: &[Option<&[u8]>], purpose: Purpose<'_>) {
        let Normalization::Valid(identifier) = self.kinds[kind].normalize(values) else { return };
        let identifier = identifier.preview().to_vec();
        let number = match self.numbers.get(&(kind, identifier.clone())) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.entries.len()).expect("fewer than 2^32 identifiers are tried");
                let spellings = vec![identifier.clone()];
                self.entries.push(Entry { kind, identifier: identifier.clone(), spellings, tried: false });
                self.numbers.insert((kind, identifier), number);
                number
            }
        };
        let (holder, tried) = match purpose {
            Purpose::Try => (None, true),
            Purpose::TryAsTruthOf(holder) => (Some(holder), true),
            Purpose::TruthOf(holder) => (Some(holder), false),
        };
        if let Some(holder) = holder {
            self.holders.entry(holder.clone()).or_default().insert(number);
        }
        let entry = &mut self.entries[number as usize];
        entry.tried |= tried;
        if tried {
            add_spellings(&mut entry.spellings, values);
        }
    }

    /// Reads a file. Gives how many kinds it has columns of.
    ///
    /// `columns` says which hold a kind; without, those named as the kind's columns, the e-mail column of the example data, or
    /// the only column of the file.
    ///
    /// # Errors
    /// [`Error::Engine`] where the file cannot be read.
    pub fn read(
        &mut self,
        path: &Path,
        options: &ReadOptions,
        columns: &BTreeMap<KindName, Vec<String>>,
        purpose: Purpose<'_>,
    ) -> Result<usize> {
        let source = Source::Path(path.to_owned());
        let available =
            SourceReader::open(&source, options, &FetchPolicy::strict(), None)?.available_columns().to_vec();
        let mut read = 0;
        for kind in 0..self.kinds.len() {
            let Some(wanted) = self.columns_of(kind, columns, &available) else { continue };
            let mut reader = SourceReader::open(&source, options, &FetchPolicy::strict(), Some(&wanted))?;
            for batch in &mut reader {
                let batch = batch?;
                let arrays = wanted.iter().zip(batch.batch.columns());
                let arrays = arrays.map(|(name, array)| column_as_bytes(name, array)).collect::<Result<Vec<_>, _>>()?;
                for row in 0..batch.rows.len() {
                    let values: Vec<_> = arrays.iter().map(|column| column.value(row)).collect();
                    self.add(kind, &values, purpose);
                }
            }
            read += 1;
        }
        Ok(read)
    }

    /// Reads the source files that a `truth.json` names, in the folder beside it.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::NoIdentifiers`] where a file has no column of any kind.
    pub fn read_example(
        &mut self,
        truth: &Truth,
        folder: &Path,
        columns: &BTreeMap<KindName, Vec<String>>,
        tried: bool,
    ) -> Result<()> {
        for source in &truth.sources {
            let path = folder.join(SOURCE_FOLDER).join(&source.file);
            let purpose = if tried { Purpose::TryAsTruthOf(&source.holder) } else { Purpose::TruthOf(&source.holder) };
            if self.read(&path, &read_options(source), columns, purpose)? == 0 {
                return Err(Error::NoIdentifiers { path });
            }
        }
        Ok(())
    }

    fn columns_of(
        &self,
        kind: usize,
        columns: &BTreeMap<KindName, Vec<String>>,
        available: &[String],
    ) -> Option<Vec<String>> {
        let kind = &self.kinds[kind];
        if let Some(wanted) = columns.get(kind.name()) {
            return Some(wanted.clone());
        }
        let own: Vec<String> = kind.columns().iter().map(|column| column.name.clone()).collect();
        let example = vec![EMAIL_COLUMN.to_owned()];
        let is_email = own.len() == 1 && kind.columns()[0].profile.as_str().starts_with("email");
        match available {
            _ if own.iter().all(|name| available.contains(name)) => Some(own),
            _ if is_email && available.contains(&example[0]) => Some(example),
            [only] if self.kinds.len() == 1 && own.len() == 1 => Some(vec![only.clone()]),
            _ => None,
        }
    }

    /// How many identifiers are tried.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.iter().filter(|entry| entry.tried).count()
    }

    /// Whether nothing is tried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries that are tried, with their numbers.
    pub(crate) fn tried(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (0..).zip(&self.entries).filter(|(_, entry)| entry.tried)
    }

    /// What a holder really has; `None` where that is not known.
    pub(crate) fn truth(&self, holder: &ParticipantId) -> Option<&HashSet<u32>> {
        self.holders.get(holder)
    }
}

fn add_spellings(spellings: &mut Vec<Vec<u8>>, values: &[Option<&[u8]>]) {
    let joined: Vec<Vec<u8>> = match values {
        [Some(value)] => vec![value.to_vec()],
        values => {
            let parts: Vec<&[u8]> = values.iter().copied().flatten().collect();
            JOINTS.iter().map(|joint| parts.join(*joint)).collect()
        }
    };
    for spelling in joined {
        for form in [spelling.trim_ascii().to_ascii_lowercase(), spelling] {
            if !spellings.contains(&form) {
                spellings.push(form);
            }
        }
    }
}

fn read_options(source: &SourceFile) -> ReadOptions {
    let encoding = match source.encoding {
        SourceEncoding::Utf8 => Encoding::Utf8,
        SourceEncoding::Latin1 => Encoding::Latin1,
    };
    ReadOptions { delimiter: u8::try_from(source.delimiter).ok(), encoding, ..ReadOptions::default() }
}
