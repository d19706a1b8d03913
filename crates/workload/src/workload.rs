//! The workload of one space: its agreement, keys, state and places, opened once and handed from event to event.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use datafuse_core::{
    id::EventId,
    keys::{Identity, PartyKeys},
    name::PublicName,
    root::Root,
};
use datafuse_engine::{fused_index::FusedIndex, runtime::Limits};
use datafuse_space::{Layout, Mailbox, Space, mailbox};

use crate::{
    audit::{AuditLog, Fact},
    delivery::DeliverySettings,
    directory::{Directory, SpaceFile},
    error::{Error, Result},
    event::Event,
    jobs::Jobs,
    metrics::Metrics,
    ready::Readiness,
    state::{OpenEpoch, State},
};

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory, temporary space and threads of the engine.
    pub limits: Limits,
    /// The folder for reports, where it is not the space file's.
    pub outputs: Option<PathBuf>,
    /// The folder for the workload's state, where it is not the space file's.
    pub state: Option<PathBuf>,
    /// Hosts that may be fetched from although they are not public: the operator's word, never the space file's.
    pub allow_hosts: Vec<String>,
    /// Tokens, certificates and credentials for deliveries.
    pub delivery: DeliverySettings,
}

/// An open workload.
pub struct Workload {
    space: Space,
    root: Root,
    layout: Layout,
    keys: Arc<PartyKeys>,
    state: State,
    audit: AuditLog,
    at_work: Option<(EventId, String)>,
    mailbox: Arc<dyn Mailbox>,
    directory: Box<dyn Directory>,
    fused_index: FusedIndex,
    options: Options,
}

impl Workload {
    /// Opens the workload of a space: checks that the key file is the workload's, opens mailbox and state.
    ///
    /// # Errors
    /// [`Error::NotTheWorkload`]; [`Error::Space`] for the mailbox; [`Error::Folder`]; [`Error::Audit`]; those of [`State::open`].
    pub fn open(space: Space, keys: PartyKeys, options: Options) -> Result<Self> {
        refuse_other_workload(&space, &keys)?;
        let mut layout = Layout::new(&space);
        if let Some(outputs) = &options.outputs {
            layout.outputs.clone_from(outputs);
        }
        if let Some(state) = &options.state {
            layout.state.clone_from(state);
        }
        create_private_folder(&layout.state)?;
        if create_private_folder(&layout.fused())? {
            tracing::info!("there was no state in {}: a new one begins", layout.state.display());
        }
        let root = space.root();
        // A former key's seals are replaced in here, which nobody may look at meanwhile.
        let alone = lock(&layout.state)?;
        let former: Vec<_> = keys.former_tokens().iter().map(|secret| secret.state_key(&root)).collect();
        let state = State::open(&layout.state_db(), &root, keys.token().state_key(&root), &former)?;
        drop(alone);
        let mailbox = Arc::from(mailbox::open(&layout.workload_mailbox())?);
        let keys = Arc::new(keys);
        let audit = AuditLog::open(layout.audit(), root, Arc::clone(&keys), space.workload_former())?;
        let directory = Box::new(SpaceFile);
        Ok(Self {
            space,
            root,
            layout,
            keys,
            state,
            audit,
            at_work: None,
            mailbox,
            directory,
            fused_index: FusedIndex::default(),
            options,
        })
    }

    /// Looks up who takes part, and with what, in another directory than the agreement.
    #[must_use]
    pub fn with_directory(self, directory: Box<dyn Directory>) -> Self {
        Self { directory, ..self }
    }

    /// The agreement.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Reads the agreement again, as participants come and go while the workload runs. The places stay those of the start.
    ///
    /// # Errors
    /// [`Error::SpaceUnreadable`]; [`Error::SpaceReplaced`] where it has another root; [`Error::NotTheWorkload`].
    pub(crate) fn reread_space(&mut self) -> Result<()> {
        let Some(space) = self.space.reread().map_err(|source| Error::SpaceUnreadable { source: Box::new(source) })?
        else {
            return Ok(());
        };
        if space.root() != self.root {
            return Err(Error::SpaceReplaced);
        }
        refuse_other_workload(&space, &self.keys)?;
        self.space = space;
        Ok(())
    }

    /// The audit log of this space.
    #[must_use]
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// The numbers of this workload.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.audit.metrics()
    }

    /// What tells whether events can be processed, for as long as the process lives.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let (space, keys, mailbox) = (&self.space, Arc::clone(&self.keys), Arc::clone(&self.mailbox));
        Readiness::new(&self.layout, space, keys, Some(mailbox), self.metrics().clone())
    }

    /// Says which event is at work from now on.
    pub(crate) fn begin(&mut self, event: &Event) {
        self.at_work = Some((event.id.clone(), event.name().to_owned()));
    }

    /// Notes in the audit log what happened while an event was at work.
    pub(crate) fn note(&self, fact: &Fact<'_>) -> Result<()> {
        self.audit.fact(self.at_work.as_ref().map(|(id, name)| (id, name.as_str())), fact)
    }

    /// The places.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    pub(crate) fn identity(&self) -> &Identity {
        self.keys.identity()
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    pub(crate) fn mailbox(&self) -> &dyn Mailbox {
        self.mailbox.as_ref()
    }

    pub(crate) fn directory(&self) -> &dyn Directory {
        self.directory.as_ref()
    }

    /// Fused files that stay open for look-ups; those that the state refers to no more are closed.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::StateSealed`].
    pub(crate) fn fused_index(&mut self) -> Result<&mut FusedIndex> {
        let folder = self.layout.fused();
        let current: BTreeSet<_> = self.state.fused_files()?.into_iter().map(|name| folder.join(name)).collect();
        self.fused_index.retain(|path| current.contains(path));
        Ok(&mut self.fused_index)
    }

    pub(crate) fn allow_hosts(&self) -> &[String] {
        &self.options.allow_hosts
    }

    pub(crate) fn delivery(&self) -> &DeliverySettings {
        &self.options.delivery
    }

    /// The names under which this workload signs or signed: the present one first, then former ones.
    pub(crate) fn signers(&self) -> Vec<PublicName> {
        std::iter::once(self.space.workload()).chain(self.space.workload_former()).cloned().collect()
    }

    /// Opens the list of jobs for writing, beside the state, so that it can be written while an event is at work.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::Folder`].
    pub fn jobs(&self) -> Result<Jobs> {
        Jobs::open(&self.layout.state)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// The open epoch.
    ///
    /// # Errors
    /// [`Error::NoEpoch`], [`Error::State`].
    pub(crate) fn open_epoch(&self) -> Result<OpenEpoch> {
        self.state.open_epoch()?.ok_or(Error::NoEpoch)
    }

    /// Waits until no other process works on this state, and keeps others out until the guard is dropped.
    pub(crate) fn lock(&self) -> Result<StateLock> {
        lock(&self.layout.state)
    }
}

fn lock(state: &Path) -> Result<StateLock> {
    let path = state.join("lock");
    let error = |source| Error::Folder { action: "lock", path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(error)?;
    file.lock().map_err(error)?;
    Ok(StateLock { _file: file })
}

fn refuse_other_workload(space: &Space, keys: &PartyKeys) -> Result<()> {
    let name = keys.identity().public_name();
    if name == *space.workload() {
        return Ok(());
    }
    Err(Error::NotTheWorkload { found: name.fingerprint(), expected: space.workload().fingerprint() })
}

/// Keeps other processes from working on the same state; the operating system frees it when a process dies.
pub(crate) struct StateLock {
    _file: File,
}

/// Makes a folder that only its owner reads, where it is missing; none above it, which would hide that a disk is not mounted.
/// Tells whether it is new.
pub(crate) fn create_private_folder(path: &Path) -> Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    #[allow(unused_mut)]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Ok(()) => Ok(true),
        // Another process was faster.
        Err(_) if path.is_dir() => Ok(false),
        Err(source) => Err(Error::Folder { action: "create", path: path.to_owned(), source }),
    }
}
