//! What can keep a holder from its work. No variant holds an identifier, a token or a key.

use std::path::PathBuf;

use datafuse_core::id::{DatasetId, KindName, ParticipantId};

use crate::party::NameToApprove;

/// The result of a holder's action.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a holder's action was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key file belongs to somebody else.
    #[error("the key file is not '{participant}'s: its public name is {found}, the space file says {expected}")]
    NotThisParty {
        /// The participant.
        participant: ParticipantId,
        /// Fingerprint of the key file's name.
        found: String,
        /// Fingerprint of the name in the space file.
        expected: String,
        /// Whether the key file had that name before its keys were replaced.
        formerly: bool,
    },
    /// Only data holders enrol and protect.
    #[error("'{participant}' is not a data holder of this space")]
    NotAHolder {
        /// The participant.
        participant: ParticipantId,
    },
    /// Somebody's public name was not approved.
    #[error("not approved: {}", names.join(", "))]
    NotApproved {
        /// The parties, each with its fingerprint.
        names: Vec<String>,
    },
    /// A name was approved by hand that is not the space file's.
    #[error("'{party}' has another name in the space file: {} there, {given} approved", present.as_deref().unwrap_or("none"))]
    OtherName {
        /// Whose.
        party: String,
        /// Fingerprint of the name given.
        given: String,
        /// Fingerprint of the name in the space file.
        present: Option<String>,
    },
    /// The workload has this holder enrolled with a token key that its key file does not know.
    #[error("'{participant}' is enrolled with a token key that is not in this key file")]
    OtherKeyEnrolled {
        /// The participant.
        participant: ParticipantId,
    },
    /// The agreement's file holds another space now.
    #[error("the agreement's file holds another space than before")]
    SpaceReplaced,
    /// No epoch is open, so there is no key to seal to.
    #[error("no epoch is open: the mailbox {mailbox} has no announcement of the workload")]
    NoEpoch {
        /// The mailbox.
        mailbox: String,
    },
    /// A participant has several datasets and none was named, or none at all.
    #[error("'{participant}' brings {}, so one must be named", if known.is_empty() { "no dataset".to_owned() } else { known.join(", ") })]
    WhichDataset {
        /// The participant.
        participant: ParticipantId,
        /// Its datasets.
        known: Vec<String>,
    },
    /// The space does not match on this kind.
    #[error("the space has no identifier '{kind}' (it has: {})", known.join(", "))]
    UnknownKind {
        /// The kind given.
        kind: String,
        /// The space's kinds.
        known: Vec<String>,
    },
    /// A kind of several columns was given another number of columns.
    #[error("identifier '{kind}' is made of {} ({}), but {found} columns were given", columns.len(), columns.join(", "))]
    ColumnCount {
        /// The kind.
        kind: KindName,
        /// Its columns in the agreed order.
        columns: Vec<String>,
        /// How many were given.
        found: usize,
    },
    /// No column was named for any kind, and none has the kind's name.
    #[error("none of the space's identifiers ({}) is a column of {place} (it has: {})", kinds.join(", "), columns.join(", "))]
    NoIdentifierColumn {
        /// The source.
        place: String,
        /// The space's kinds.
        kinds: Vec<String>,
        /// The columns of the source.
        columns: Vec<String>,
        /// A kind, and the column that seems to hold it.
        similar: Option<(String, String)>,
    },
    /// A file that is no list of rejected rows is where one would be written.
    #[error("{} is there already and is not an earlier list of rejected rows", path.display())]
    QuarantineInTheWay {
        /// The file.
        path: PathBuf,
    },
    /// The space file gives an address for the dataset, and nothing can be written there.
    #[error("dataset '{dataset}' lies at {place}, where it cannot be written from here")]
    NotWritable {
        /// The dataset.
        dataset: DatasetId,
        /// The address.
        place: String,
    },
    /// A file that is in the way is not an earlier version of this dataset.
    #[error("{} is there already and is not an earlier version of this dataset", path.display())]
    InTheWay {
        /// The file.
        path: PathBuf,
    },
    /// There is a file where the table is to be written.
    #[error("{} exists already, and tables replace nothing", path.display())]
    TableInTheWay {
        /// The file.
        path: PathBuf,
    },
    /// A dataset that is to be brought over belongs to another space.
    #[error("{} is a dataset of another space, or of other identifiers", path.display())]
    OtherSpace {
        /// The file.
        path: PathBuf,
    },
    /// A dataset that is to be brought over was made with a token secret that is not in the key file.
    #[error("{} was made with a token key that is not in this key file", path.display())]
    KeyForgotten {
        /// The file.
        path: PathBuf,
    },
    /// A folder could not be made.
    #[error("could not create the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// A request for a look-up cannot be made, or its answer not be read.
    #[error(transparent)]
    Lookup(Box<crate::lookup::LookupError>),
    /// A list cannot be opened, or its rows not be written.
    #[error(transparent)]
    List(Box<crate::list::ListError>),
    /// The protocol refused something.
    #[error(transparent)]
    Protocol(Box<datafuse_core::Error>),
    /// The data engine failed.
    #[error(transparent)]
    Engine(Box<datafuse_engine::Error>),
    /// The space, key file, memory or mailbox failed.
    #[error(transparent)]
    Space(Box<datafuse_space::Error>),
}

impl Error {
    /// Says what to do about it, where there is something to do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NotThisParty { formerly: true, .. } => {
                "put the key file's present name into every copy of the space file, and the one that stands there last into \
                 the list 'former' below it; docs/after-a-leak.md has all steps"
                    .into()
            }
            Self::NotThisParty { .. } => "--key with this party's own key file, or --party with another name".into(),
            Self::NotAHolder { .. } => {
                "--party with the name of a data holder (roles: [holder] in the space file)".into()
            }
            Self::NotApproved { .. } => {
                "compare each fingerprint with the party itself; then run it on a terminal and type yes, or give \
                 --approve NAME=dfpub1... for each"
                    .into()
            }
            Self::OtherName { .. } => {
                "ask the party itself which is right; then correct --approve, or have the space file corrected".into()
            }
            Self::OtherKeyEnrolled { .. } => {
                "--key with the newest copy of the key file; where that is lost, or somebody else changed the key: datafuse enrol \
                 --anew, after which the stewards enrol too, as for a newcomer"
                    .into()
            }
            Self::SpaceReplaced => "restore the space file, or run the command anew for the other space".into(),
            Self::NoEpoch { .. } => {
                "ask the workload's operator to run: datafuse run INITIALIZE --space space.yaml --key workload.key"
                    .into()
            }
            Self::WhichDataset { known, .. } => match known.first() {
                Some(first) => format!("--dataset {first}"),
                None => "give the participant a dataset in the space file".into(),
            },
            Self::UnknownKind { known, .. } => format!("--identifier {}=COLUMN", known.first()?),
            Self::ColumnCount { kind, columns, .. } => {
                format!("--identifier {kind}={}", vec!["COLUMN"; columns.len()].join(","))
            }
            Self::NoIdentifierColumn { kinds, similar, .. } => match similar {
                Some((kind, column)) => format!("--identifier {kind}={column}"),
                None => format!("--identifier {}=COLUMN", kinds.first()?),
            },
            Self::QuarantineInTheWay { .. } => "--quarantine with another path".into(),
            Self::NotWritable { .. } => "--out FILE, then bring the file to that address".into(),
            Self::TableInTheWay { .. } => "--table with another name, or move that file away".into(),
            Self::InTheWay { .. } => "--out with another path, or move that file away".into(),
            Self::OtherSpace { .. } | Self::KeyForgotten { .. } => {
                "protect the source again: datafuse protect FILE --space space.yaml --party NAME --key NAME.key".into()
            }
            Self::Folder { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
                let above = path.parent().unwrap_or(path).display();
                format!("mount what lies at {above}, or make it (mkdir -p {above}), or name another place with --out")
            }
            Self::Folder { .. } => "make its parent folder writable, or name another place with --out".into(),
            Self::Lookup(error) => error.remedy(),
            Self::List(error) => return error.remedy(),
            Self::Protocol(error) => return error.remedy(),
            Self::Engine(error) => return error.remedy(),
            Self::Space(error) => return error.remedy(),
        })
    }
}

impl Error {
    /// Tells whether the same may succeed later without anybody changing anything here: the mailbox, above all a distant one,
    /// may be away for a while.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Space(error) if error.is_retryable())
    }

    /// These names are not approved.
    #[must_use]
    pub fn not_approved(names: &[NameToApprove]) -> Self {
        let label = |name: &NameToApprove| format!("{} ({})", name.party, name.name.fingerprint());
        Self::NotApproved { names: names.iter().map(label).collect() }
    }
}

impl From<crate::lookup::LookupError> for Error {
    fn from(error: crate::lookup::LookupError) -> Self {
        Self::Lookup(Box::new(error))
    }
}

impl From<crate::list::ListError> for Error {
    fn from(error: crate::list::ListError) -> Self {
        Self::List(Box::new(error))
    }
}

impl From<datafuse_core::Error> for Error {
    fn from(error: datafuse_core::Error) -> Self {
        Self::Protocol(Box::new(error))
    }
}

impl From<datafuse_engine::Error> for Error {
    fn from(error: datafuse_engine::Error) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<datafuse_space::Error> for Error {
    fn from(error: datafuse_space::Error) -> Self {
        Self::Space(Box::new(error))
    }
}
