//! The workload's memory between events: a SQLite database that survives a crash at any moment.
//!
//! It holds which epoch is open, what enrolment has brought so far, which datasets were fused, and which events are done.
//! Every secret in it (receive keys, `w`, the store key, blinds, answers, re-keys, canaries) is sealed one by one, with
//! ChaCha20-Poly1305 under the [`StateKey`] from the workload's key file and its place in the table as associated data; so a
//! stolen database opens nothing, and no row can be moved to another place. Rows that are erased are overwritten
//! (`secure_delete`), and the write-ahead log is emptied after them. Writes that belong together are one transaction, in WAL mode with full synchronisation.

mod delivery;
pub(crate) mod ledger;
mod lookup;
mod membership;
mod policy;
mod privacy;
mod probe;
mod reseal;

use std::{collections::BTreeMap, path::Path};

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{Aead, Payload},
};
use datafuse_core::{
    enrolment::{Answer, BlindForWorkload},
    fused::ReKey,
    id::{DatasetId, Epoch, EventId, KindName},
    keys::{KeyId, StateKey},
    match_key::MatchSecret,
    name::PublicName,
    root::Root,
    seal::ReceiveKey,
    status::Refusal,
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use zeroize::Zeroizing;

pub use ledger::{SeenDataset, Spent, report_subject};
pub use lookup::PostedAnswer;
pub use membership::Due;
pub use policy::{Answered, GuardNotes, ReportedSet};
pub use privacy::{EpsilonCost, Kept};

use crate::error::{Error, Result};

/// The schema, one script a version; `user_version` says how many have run.
const MIGRATIONS: &[&str] = &[
    include_str!("state/0001_initial.sql"),
    include_str!("state/0002_rotation.sql"),
    include_str!("state/0003_jobs.sql"),
    include_str!("state/0004_unauthenticated.sql"),
    include_str!("state/0005_delivery.sql"),
    include_str!("state/0006_lookups.sql"),
    include_str!("state/0007_policy.sql"),
    include_str!("state/0008_reported_rows.sql"),
    include_str!("state/0009_reported_company.sql"),
];

const NONCE_BYTES: usize = 12;

const DATASET_KEY: &str = "dataset-key";
const MESSAGE_KEY: &str = "message-key";
const MATCH_SECRET: &str = "match-secret";
const STORE_KEY: &str = "store-key";
const SPACE_PLACE: &str = "space";

/// The open database.
pub struct State {
    db: Connection,
    key: StateKey,
}

/// The secrets of one epoch.
pub struct EpochSecrets {
    /// Opens what datasets are sealed to.
    pub dataset_key: ReceiveKey,
    /// Opens what messages are sealed to.
    pub message_key: ReceiveKey,
    /// `w`.
    pub match_secret: MatchSecret,
    /// Encrypts fused files.
    pub store_key: Zeroizing<[u8; 32]>,
}

/// The open epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenEpoch {
    /// The epoch.
    pub epoch: Epoch,
    /// The serial of its newest announcement.
    pub serial: u64,
    /// The event that opened it.
    pub opened_by: EventId,
}

/// An answer that waits for blinds.
pub struct KeptAnswer {
    /// The token key it was made with.
    pub key_id: KeyId,
    /// The token keys that this one replaces.
    pub replaces: Vec<KeyId>,
    /// The answer.
    pub answer: Answer,
}

/// A dataset that was accepted and fused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedDataset {
    /// Whose it is.
    pub holder: PublicName,
    /// Which of the holder's datasets.
    pub dataset: DatasetId,
    /// Its version.
    pub version: u64,
    /// SHA-256 of the file as delivered, hex.
    pub sha256: String,
    /// The token key it was made with.
    pub key_id: KeyId,
    /// Rows that the holder read.
    pub rows: u64,
    /// What became of them, a kind at a time.
    pub kinds: BTreeMap<KindName, FusedKind>,
    /// Whether it was a table of tokens: nothing in it showed whose it is, of which version, and under which token key.
    pub unauthenticated: bool,
}

/// One kind of an accepted dataset.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FusedKind {
    /// Rows without this identifier.
    pub empty: u64,
    /// Rows whose identifier the profile refuses.
    pub invalid: u64,
    /// Rows that were fused.
    pub fused: u64,
    /// For each wider profile that the holder tried, by name: the rows whose identifier it would change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub would_change: BTreeMap<String, u64>,
    /// Name of the fused file within the store.
    pub file: String,
}

impl State {
    /// Opens the database of a space, making it where it is not there, and brings its schema up to date. What is sealed with one
    /// of the `former` keys is sealed anew with the present one.
    ///
    /// # Errors
    /// [`Error::State`]; [`Error::StateOfAnotherSpace`]; [`Error::StateSealed`] where the key does not open it;
    /// [`Error::StateNewer`] where a newer program made it.
    pub fn open(path: &Path, root: &Root, key: StateKey, former: &[StateKey]) -> Result<Self> {
        let db = Connection::open(path)?;
        db.busy_timeout(std::time::Duration::from_secs(30))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", "ON")?;
        db.pragma_update(None, "secure_delete", "ON")?;
        // What a VACUUM needs for a while stays in memory.
        db.pragma_update(None, "temp_store", "MEMORY")?;
        let mut state = Self { db, key };
        state.migrate()?;
        state.bind(root, former)?;
        Ok(state)
    }

    fn migrate(&mut self) -> Result<()> {
        let done: usize = self.db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if done > MIGRATIONS.len() {
            return Err(Error::StateNewer { found: done, known: MIGRATIONS.len() });
        }
        for (index, script) in MIGRATIONS.iter().enumerate().skip(done) {
            let transaction = self.immediate()?;
            // Another process may have migrated while this one waited for the lock.
            let now: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if now == index {
                transaction.execute_batch(script)?;
                transaction.pragma_update(None, "user_version", index + 1)?;
            }
            transaction.commit()?;
        }
        Ok(())
    }

    /// Binds a new database to the space and key, and refuses one that is bound to others.
    fn bind(&mut self, root: &Root, former: &[StateKey]) -> Result<()> {
        let sealed = self.seal(SPACE_PLACE, root.as_bytes())?;
        self.db.execute(
            "INSERT INTO space (id, root, check_value) VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING",
            params![root.as_bytes(), sealed],
        )?;
        let found: Vec<u8> = self.db.query_row("SELECT root FROM space", [], |row| row.get(0))?;
        if found != root.as_bytes() {
            return Err(Error::StateOfAnotherSpace);
        }
        self.reseal(former)
    }

    fn immediate(&mut self) -> Result<Transaction<'_>> {
        Ok(self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?)
    }

    // ---- epochs -------------------------------------------------------------------------------------------------------

    /// The open epoch, where there is one.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn open_epoch(&self) -> Result<Option<OpenEpoch>> {
        self.db
            .query_row("SELECT epoch, serial, opened_by FROM epoch ORDER BY epoch DESC LIMIT 1", [], |row| {
                Ok((Epoch(row.get(0)?), row.get(1)?, row.get::<_, String>(2)?))
            })
            .optional()?
            .map(|(epoch, serial, opened_by)| Ok(OpenEpoch { epoch, serial, opened_by: opened_by.parse()? }))
            .transpose()
    }

    /// Opens the epoch after the open one and after `announced`, the newest that was ever announced where the caller knows of
    /// it. Everything that a former epoch left in the database is erased in the same transaction.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn begin_epoch(
        &mut self,
        secrets: &EpochSecrets,
        opened_by: &EventId,
        announced: Option<(Epoch, u64)>,
    ) -> Result<OpenEpoch> {
        let former = self.open_epoch()?.map(|open| (open.epoch, open.serial));
        let (epoch, serial) = former
            .into_iter()
            .chain(announced)
            .fold((0, 0), |(epoch, serial), (other, number)| (epoch.max(other.0), serial.max(number)));
        let next = |number: u64| number.checked_add(1).ok_or(Error::NumbersExhausted);
        let opened = OpenEpoch { epoch: Epoch(next(epoch)?), serial: next(serial)?, opened_by: opened_by.clone() };
        let seal = |name: &str, secret: &[u8]| self.seal(&secret_place(opened.epoch, name), secret);
        let sealed = [
            (DATASET_KEY, seal(DATASET_KEY, secrets.dataset_key.as_bytes())?),
            (MESSAGE_KEY, seal(MESSAGE_KEY, secrets.message_key.as_bytes())?),
            (MATCH_SECRET, seal(MATCH_SECRET, secrets.match_secret.as_bytes())?),
            (STORE_KEY, seal(STORE_KEY, secrets.store_key.as_slice())?),
        ];
        let transaction = self.immediate()?;
        transaction.execute("DELETE FROM epoch", [])?;
        transaction.execute(
            "INSERT INTO epoch (epoch, serial, opened_by, vacuum) VALUES (?1, ?2, ?3, ?4)",
            params![opened.epoch.0, opened.serial, opened_by.as_str(), former.is_some()],
        )?;
        transaction.execute("INSERT OR IGNORE INTO opener (event) VALUES (?1)", [opened_by.as_str()])?;
        for (name, bytes) in sealed {
            transaction.execute(
                "INSERT INTO secret (epoch, name, sealed) VALUES (?1, ?2, ?3)",
                params![opened.epoch.0, name, bytes],
            )?;
        }
        transaction.commit()?;
        self.empty_log()?;
        Ok(opened)
    }

    /// Whether an event opened an epoch, this one or a former one.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn has_opened(&self, event: &EventId) -> Result<bool> {
        let found = self.db.query_row("SELECT 1 FROM opener WHERE event = ?1", [event.as_str()], |_| Ok(()));
        Ok(found.optional()?.is_some())
    }

    /// The secrets of an epoch.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::StateSealed`].
    pub fn secrets(&self, epoch: Epoch) -> Result<EpochSecrets> {
        let secret = |name: &'static str| -> Result<Zeroizing<[u8; 32]>> {
            let sealed: Vec<u8> = self.db.query_row(
                "SELECT sealed FROM secret WHERE epoch = ?1 AND name = ?2",
                params![epoch.0, name],
                |row| row.get(0),
            )?;
            let bytes = self.unseal(&secret_place(epoch, name), &sealed)?;
            bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| Error::StateSealed)
        };
        Ok(EpochSecrets {
            dataset_key: ReceiveKey::from_bytes(*secret(DATASET_KEY)?),
            message_key: ReceiveKey::from_bytes(*secret(MESSAGE_KEY)?),
            match_secret: MatchSecret::from_bytes(*secret(MATCH_SECRET)?),
            store_key: secret(STORE_KEY)?,
        })
    }

    /// The serial of the last status that was published; 0 where none was.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn status_serial(&self) -> Result<u64> {
        Ok(self.db.query_row("SELECT status_serial FROM space", [], |row| row.get(0))?)
    }

    /// Gives the next serial for the status that is about to be published, above `published` as well.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::NumbersExhausted`].
    pub fn next_status_serial(&mut self, published: u64) -> Result<u64> {
        let serial = self.status_serial()?.max(published).checked_add(1).ok_or(Error::NumbersExhausted)?;
        self.db.execute("UPDATE space SET status_serial = ?1", [serial])?;
        Ok(serial)
    }

    /// Refuses to go on where another process has sealed everything anew with the next key.
    ///
    /// # Errors
    /// [`Error::StateSealed`], [`Error::State`].
    pub fn check_key(&self) -> Result<()> {
        let check: Vec<u8> = self.db.query_row("SELECT check_value FROM space", [], |row| row.get(0))?;
        self.unseal(SPACE_PLACE, &check).map(drop)
    }

    // ---- enrolment ----------------------------------------------------------------------------------------------------

    /// Keeps a steward's blind for a holder; a repeated one changes nothing.
    ///
    /// # Errors
    /// [`Error::State`]; [`Error::StewardChangedShare`] where the steward's point is another than with other holders;
    /// [`Error::Protocol`] with [`Conflict`](datafuse_core::Error::Conflict) where it sent another blind for this holder.
    pub fn keep_blind(
        &mut self,
        epoch: Epoch,
        holder: &PublicName,
        steward: &PublicName,
        blind: &BlindForWorkload,
    ) -> Result<()> {
        let sealed = self.seal(&blind_place(epoch, holder, steward), &blind.encode())?;
        let kept = self.blinds(epoch, holder)?.into_iter().find(|(known, _)| known == steward);
        let transaction = self.immediate()?;
        transaction.execute(
            "INSERT INTO share_point (epoch, steward, point) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![epoch.0, steward.to_bytes(), blind.share_point()],
        )?;
        let known: Vec<u8> = transaction.query_row(
            "SELECT point FROM share_point WHERE epoch = ?1 AND steward = ?2",
            params![epoch.0, steward.to_bytes()],
            |row| row.get(0),
        )?;
        if known != blind.share_point() {
            return Err(Error::StewardChangedShare { steward: steward.fingerprint() });
        }
        if kept.is_some_and(|(_, kept)| kept.encode() != blind.encode()) {
            return Err(datafuse_core::Error::Conflict { what: "blind", sender: steward.fingerprint() }.into());
        }
        transaction.execute(
            "INSERT OR REPLACE INTO blind (epoch, holder, steward, sealed) VALUES (?1, ?2, ?3, ?4)",
            params![epoch.0, holder.to_bytes(), steward.to_bytes(), sealed],
        )?;
        transaction.commit()?;
        Ok(())
    }

    /// The blinds kept for a holder, with their stewards.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::StateSealed`].
    pub fn blinds(&self, epoch: Epoch, holder: &PublicName) -> Result<Vec<(PublicName, BlindForWorkload)>> {
        let mut statement =
            self.db.prepare("SELECT steward, sealed FROM blind WHERE epoch = ?1 AND holder = ?2 ORDER BY steward")?;
        let rows = statement.query_map(params![epoch.0, holder.to_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        rows.map(|row| {
            let (steward, sealed) = row?;
            let steward = PublicName::from_bytes(&steward)?;
            let bytes = self.unseal(&blind_place(epoch, holder, &steward), &sealed)?;
            Ok((steward, BlindForWorkload::decode(&bytes)?))
        })
        .collect()
    }

    /// Keeps a holder's answer, in the place of a former one.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn keep_answer(&mut self, epoch: Epoch, holder: &PublicName, kept: &KeptAnswer) -> Result<()> {
        let sealed = self.seal(&answer_place(epoch, holder), &kept.answer.encode())?;
        let replaces: Vec<u8> = kept.replaces.iter().flat_map(KeyId::as_bytes).copied().collect();
        self.db.execute(
            "INSERT OR REPLACE INTO answer (epoch, holder, key_id, replaces, sealed) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![epoch.0, holder.to_bytes(), kept.key_id.as_bytes(), replaces, sealed],
        )?;
        Ok(())
    }

    /// The answer kept for a holder.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::StateSealed`].
    pub fn answer(&self, epoch: Epoch, holder: &PublicName) -> Result<Option<KeptAnswer>> {
        self.db
            .query_row(
                "SELECT key_id, replaces, sealed FROM answer WHERE epoch = ?1 AND holder = ?2",
                params![epoch.0, holder.to_bytes()],
                |row| Ok((row.get::<_, [u8; KeyId::BYTES]>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?)),
            )
            .optional()?
            .map(|(key_id, replaces, sealed)| {
                let bytes = self.unseal(&answer_place(epoch, holder), &sealed)?;
                let (replaces, _) = replaces.as_chunks::<{ KeyId::BYTES }>();
                Ok(KeptAnswer {
                    key_id: KeyId::from_bytes(key_id),
                    replaces: replaces.iter().map(|id| KeyId::from_bytes(*id)).collect(),
                    answer: Answer::decode(&bytes)?,
                })
            })
            .transpose()
    }

    /// Forgets the parts of an enrolment that turned out not to belong together.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn forget_parts(&mut self, epoch: Epoch, holder: &PublicName) -> Result<()> {
        let transaction = self.immediate()?;
        erase_parts(&transaction, epoch, holder)?;
        transaction.commit()?;
        self.empty_log()
    }

    /// Erased rows live on in the write-ahead log until it is emptied.
    fn empty_log(&self) -> Result<()> {
        Ok(self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// Keeps a holder's re-key and erases the parts it was made of, in one transaction.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn enrol(&mut self, epoch: Epoch, holder: &PublicName, key_id: KeyId, rekey: &ReKey) -> Result<()> {
        let sealed = self.seal(&rekey_place(epoch, holder, key_id), rekey.to_bytes().as_slice())?;
        let transaction = self.immediate()?;
        transaction.execute(
            "INSERT OR REPLACE INTO rekey (epoch, holder, key_id, sealed) VALUES (?1, ?2, ?3, ?4)",
            params![epoch.0, holder.to_bytes(), key_id.as_bytes(), sealed],
        )?;
        erase_parts(&transaction, epoch, holder)?;
        transaction.commit()?;
        self.empty_log()
    }

    /// The re-key of a holder, with the token key it belongs to.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::StateSealed`].
    pub fn rekey(&self, epoch: Epoch, holder: &PublicName) -> Result<Option<(KeyId, ReKey)>> {
        self.db
            .query_row(
                "SELECT key_id, sealed FROM rekey WHERE epoch = ?1 AND holder = ?2",
                params![epoch.0, holder.to_bytes()],
                |row| Ok((row.get::<_, [u8; KeyId::BYTES]>(0)?, row.get::<_, Vec<u8>>(1)?)),
            )
            .optional()?
            .map(|(key_id, sealed)| {
                let key_id = KeyId::from_bytes(key_id);
                let bytes = self.unseal(&rekey_place(epoch, holder, key_id), &sealed)?;
                let bytes = bytes.as_slice().try_into().map_err(|_| Error::StateSealed)?;
                Ok((key_id, ReKey::from_bytes(bytes)?))
            })
            .transpose()
    }

    /// The token key for which a holder is enrolled.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn enrolled(&self, epoch: Epoch, holder: &PublicName) -> Result<Option<KeyId>> {
        Ok(self
            .db
            .query_row(
                "SELECT key_id FROM rekey WHERE epoch = ?1 AND holder = ?2",
                params![epoch.0, holder.to_bytes()],
                |row| row.get::<_, [u8; KeyId::BYTES]>(0),
            )
            .optional()?
            .map(KeyId::from_bytes))
    }

    /// Notes a message that was refused; only the newest are kept.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn note_refusal(&mut self, epoch: Epoch, refusal: &Refusal) -> Result<()> {
        let transaction = self.immediate()?;
        transaction.execute(
            "INSERT INTO refusal (epoch, sender, reason) VALUES (?1, ?2, ?3)",
            params![epoch.0, refusal.sender.as_ref().map(|name| name.to_bytes().to_vec()), refusal.reason],
        )?;
        transaction.execute(
            "DELETE FROM refusal WHERE id <= (SELECT max(id) FROM refusal) - ?1",
            [datafuse_core::status::Status::MAX_REFUSALS],
        )?;
        transaction.commit()?;
        Ok(())
    }

    /// The refusals of an epoch, newest last.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn refusals(&self, epoch: Epoch) -> Result<Vec<Refusal>> {
        let mut statement = self.db.prepare("SELECT sender, reason FROM refusal WHERE epoch = ?1 ORDER BY id")?;
        let rows = statement.query_map([epoch.0], |row| Ok((row.get::<_, Option<Vec<u8>>>(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (sender, reason) = row?;
            let sender = sender.map(|bytes| PublicName::from_bytes(&bytes)).transpose()?;
            Ok(Refusal { sender, reason })
        })
        .collect()
    }

    // ---- datasets -----------------------------------------------------------------------------------------------------

    /// The converted canary that all of an epoch must equal, and whose it was; `None` before there is one.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::StateSealed`].
    pub fn canary(&self, epoch: Epoch) -> Result<Option<([u8; 16], PublicName)>> {
        let found = self.db.query_row("SELECT holder, sealed FROM canary WHERE epoch = ?1", [epoch.0], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
        found
            .optional()?
            .map(|(holder, sealed)| {
                let kept = self.unseal(&canary_place(epoch), &sealed)?;
                let kept = kept.as_slice().try_into().map_err(|_| Error::StateSealed)?;
                Ok((kept, PublicName::from_bytes(&holder)?))
            })
            .transpose()
    }

    /// Keeps a holder's canary where there is none, or where nobody but this holder vouches for the one that is; a table of tokens
    /// vouches for none.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn keep_canary(&mut self, epoch: Epoch, holder: &PublicName, canary: &[u8; 16]) -> Result<()> {
        let sealed = self.seal(&canary_place(epoch), canary)?;
        self.db.execute(
            "INSERT INTO canary (epoch, holder, sealed) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET sealed = ?3
             WHERE holder = ?2 AND NOT EXISTS (SELECT 1 FROM dataset WHERE epoch = ?1 AND holder <> ?2 AND NOT unauthenticated)",
            params![epoch.0, holder.to_bytes(), sealed],
        )?;
        Ok(())
    }

    /// Whether somebody but this holder has an accepted dataset with a canary in the epoch.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn others_accepted(&self, epoch: Epoch, holder: &PublicName) -> Result<bool> {
        let found = self.db.query_row(
            "SELECT 1 FROM dataset WHERE epoch = ?1 AND holder <> ?2 AND NOT unauthenticated LIMIT 1",
            params![epoch.0, holder.to_bytes()],
            |_| Ok(()),
        );
        Ok(found.optional()?.is_some())
    }

    /// The newest accepted version of a dataset.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn dataset(&self, epoch: Epoch, holder: &PublicName, dataset: &DatasetId) -> Result<Option<AcceptedDataset>> {
        self.db
            .query_row(
                "SELECT version, sha256, key_id, rows, kinds, unauthenticated FROM dataset WHERE epoch = ?1 AND holder = ?2 AND dataset = ?3",
                params![epoch.0, holder.to_bytes(), dataset.as_str()],
                |row| {
                    Ok((
                        row.get::<_, u64>(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, [u8; KeyId::BYTES]>(2)?,
                        row.get::<_, u64>(3)?,
                        row.get::<_, String>(4)?,
                        row.get::<_, bool>(5)?,
                    ))
                },
            )
            .optional()?
            .map(|(version, sha256, key_id, rows, kinds, unauthenticated)| {
                Ok(AcceptedDataset {
                    holder: holder.clone(),
                    dataset: dataset.clone(),
                    version,
                    sha256,
                    key_id: KeyId::from_bytes(key_id),
                    rows,
                    kinds: serde_json::from_str(&kinds).map_err(|_| Error::StateSealed)?,
                    unauthenticated,
                })
            })
            .transpose()
    }

    /// Keeps a dataset that was fused, in the place of its former version.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn accept_dataset(&mut self, epoch: Epoch, accepted: &AcceptedDataset) -> Result<()> {
        let kinds = serde_json::to_string(&accepted.kinds).map_err(|_| Error::StateSealed)?;
        let transaction = self.immediate()?;
        transaction.execute(
            "INSERT OR REPLACE INTO dataset (epoch, holder, dataset, version, sha256, key_id, rows, kinds, unauthenticated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                epoch.0,
                accepted.holder.to_bytes(),
                accepted.dataset.as_str(),
                accepted.version,
                accepted.sha256,
                accepted.key_id.as_bytes(),
                accepted.rows,
                kinds,
                accepted.unauthenticated
            ],
        )?;
        ledger::note_seen(&transaction, accepted)?;
        Ok(transaction.commit()?)
    }

    /// The names of all fused files that accepted datasets refer to.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn fused_files(&self) -> Result<Vec<String>> {
        let mut statement = self.db.prepare("SELECT kinds FROM dataset")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut files = Vec::new();
        for row in rows {
            let kinds: BTreeMap<KindName, FusedKind> = serde_json::from_str(&row?).map_err(|_| Error::StateSealed)?;
            files.extend(kinds.into_values().map(|kind| kind.file));
        }
        Ok(files)
    }

    // ---- events -------------------------------------------------------------------------------------------------------

    /// Whether an event was processed to its end.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn is_done(&self, event: &EventId) -> Result<bool> {
        Ok(self.db.query_row("SELECT 1 FROM event WHERE id = ?1", [event.as_str()], |_| Ok(())).optional()?.is_some())
    }

    /// Notes that an event was processed to its end, and with the same transaction in the list of jobs what came of it.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn note_done(&mut self, event: &EventId, event_type: &str, outcome: &str, output: Option<&Path>) -> Result<()> {
        let transaction = self.immediate()?;
        transaction
            .execute("INSERT OR IGNORE INTO event (id, type) VALUES (?1, ?2)", params![event.as_str(), event_type])?;
        transaction.execute(
            &format!(
                "UPDATE job SET state = 'done', finished = {}, class = NULL, outcome = ?2, output = ?3, runner = NULL
                 WHERE event = ?1",
                ledger::NOW
            ),
            params![event.as_str(), outcome, output.map(|path| path.to_string_lossy())],
        )?;
        Ok(transaction.commit()?)
    }

    // ---- sealing ------------------------------------------------------------------------------------------------------

    fn seal(&self, place: &str, plaintext: &[u8]) -> Result<Vec<u8>> {
        seal_with(&self.key, place, plaintext)
    }

    fn unseal(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        open_sealed(&self.key, place, sealed)
    }
}

fn seal_with(key: &StateKey, place: &str, plaintext: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| Error::NoRandomness)?;
    let ciphertext = cipher(key)
        .encrypt(&nonce.into(), Payload { msg: plaintext, aad: place.as_bytes() })
        .map_err(|_| Error::StateSealed)?;
    Ok([nonce.as_slice(), &ciphertext].concat())
}

fn open_sealed(key: &StateKey, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Error::StateSealed)?;
    cipher(key)
        .decrypt(nonce.into(), Payload { msg: ciphertext, aad: place.as_bytes() })
        .map(Zeroizing::new)
        .map_err(|_| Error::StateSealed)
}

fn cipher(key: &StateKey) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.as_bytes().into())
}

fn erase_parts(transaction: &Transaction<'_>, epoch: Epoch, holder: &PublicName) -> Result<()> {
    for table in ["blind", "answer"] {
        transaction.execute(
            &format!("DELETE FROM {table} WHERE epoch = ?1 AND holder = ?2"),
            params![epoch.0, holder.to_bytes()],
        )?;
    }
    Ok(())
}

fn secret_place(epoch: Epoch, name: &str) -> String {
    format!("secret/{epoch}/{name}")
}

fn blind_place(epoch: Epoch, holder: &PublicName, steward: &PublicName) -> String {
    format!("blind/{epoch}/{holder}/{steward}")
}

fn answer_place(epoch: Epoch, holder: &PublicName) -> String {
    format!("answer/{epoch}/{holder}")
}

fn rekey_place(epoch: Epoch, holder: &PublicName, key_id: KeyId) -> String {
    format!("rekey/{epoch}/{holder}/{key_id}")
}

fn canary_place(epoch: Epoch) -> String {
    format!("canary/{epoch}")
}

#[cfg(test)]
mod tests;
