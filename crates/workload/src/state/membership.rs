//! What changes after enrolment: a holder's token key, a participant's name, and who takes part at all.
//!
//! Each change is one transaction, which also notes what is due after it: a fresh message key, and a file without the pages
//! that held what was erased. So a crash in between leaves the duty, not a half-done change.

use std::collections::BTreeSet;

use datafuse_core::{fused::ReKey, id::Epoch, keys::KeyId, name::PublicName, seal::ReceiveKey};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{MESSAGE_KEY, State, erase_parts, rekey_place, secret_place};
use crate::error::Result;

/// What is due after a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The message key is to be replaced.
    pub message_key: bool,
    /// Erased rows are to leave the file.
    pub vacuum: bool,
}

impl State {
    /// Keeps the re-key of a holder's next token key in the place of the former one, which is retired.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn rotate(&mut self, epoch: Epoch, holder: &PublicName, from: KeyId, to: KeyId, rekey: &ReKey) -> Result<()> {
        let sealed = self.seal(&rekey_place(epoch, holder, to), rekey.to_bytes().as_slice())?;
        let transaction = self.immediate()?;
        transaction.execute(
            "UPDATE rekey SET key_id = ?3, sealed = ?4 WHERE epoch = ?1 AND holder = ?2",
            params![epoch.0, holder.to_bytes(), to.as_bytes(), sealed],
        )?;
        retire(&transaction, epoch, holder, from)?;
        note_due(&transaction, epoch)?;
        transaction.commit()?;
        self.empty_log()
    }

    /// Forgets a holder's re-key and what waits for it, and retires its token key, so that it can be enrolled anew.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn withdraw(&mut self, epoch: Epoch, holder: &PublicName, key_id: KeyId) -> Result<()> {
        let transaction = self.immediate()?;
        transaction.execute(
            "DELETE FROM rekey WHERE epoch = ?1 AND holder = ?2 AND key_id = ?3",
            params![epoch.0, holder.to_bytes(), key_id.as_bytes()],
        )?;
        erase_parts(&transaction, epoch, holder)?;
        retire(&transaction, epoch, holder, key_id)?;
        note_due(&transaction, epoch)?;
        transaction.commit()?;
        self.empty_log()
    }

    /// Whether a token key of a holder was replaced in this epoch.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn is_retired(&self, epoch: Epoch, holder: &PublicName, key_id: KeyId) -> Result<bool> {
        let found = self.db.query_row(
            "SELECT 1 FROM retired_key WHERE epoch = ?1 AND holder = ?2 AND key_id = ?3",
            params![epoch.0, holder.to_bytes(), key_id.as_bytes()],
            |_| Ok(()),
        );
        Ok(found.optional()?.is_some())
    }

    /// Every name of which the epoch holds something.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn members(&self, epoch: Epoch) -> Result<BTreeSet<PublicName>> {
        let mut statement = self.db.prepare(
            "SELECT holder FROM rekey WHERE epoch = ?1 UNION SELECT holder FROM blind WHERE epoch = ?1
             UNION SELECT steward FROM blind WHERE epoch = ?1 UNION SELECT holder FROM answer WHERE epoch = ?1
             UNION SELECT holder FROM dataset WHERE epoch = ?1 UNION SELECT steward FROM share_point WHERE epoch = ?1
             UNION SELECT holder FROM canary WHERE epoch = ?1 UNION SELECT holder FROM retired_key WHERE epoch = ?1
             UNION SELECT sender FROM refusal WHERE epoch = ?1 AND sender IS NOT NULL",
        )?;
        let rows = statement.query_map([epoch.0], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(PublicName::from_bytes(&row?)?)).collect()
    }

    /// Hands what enrolment brought under a former name over to its successor; datasets of the former name are forgotten, and
    /// parts of enrolments under way as well, which come again under the new name.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State), [`Error::StateSealed`](crate::Error::StateSealed).
    pub fn succeed(&mut self, epoch: Epoch, former: &PublicName, present: &PublicName) -> Result<()> {
        let inherited = match (self.rekey(epoch, former)?, self.enrolled(epoch, present)?) {
            (Some((key_id, rekey)), None) => {
                let sealed = self.seal(&rekey_place(epoch, present, key_id), rekey.to_bytes().as_slice())?;
                Some((key_id, sealed))
            }
            _ => None,
        };
        let (former, present) = (former.to_bytes(), present.to_bytes());
        let transaction = self.immediate()?;
        if let Some((key_id, sealed)) = inherited {
            transaction.execute(
                "INSERT INTO rekey (epoch, holder, key_id, sealed) VALUES (?1, ?2, ?3, ?4)",
                params![epoch.0, present, key_id.as_bytes(), sealed],
            )?;
        }
        for (table, column) in [
            ("retired_key", "holder"),
            ("canary", "holder"),
            ("share_point", "steward"),
            ("reported_set", "holder"),
            ("reported_set", "partner"),
            ("reported_rows", "holder"),
            ("reported_rows", "partner"),
            ("reported_company", "holder"),
            ("reported_company", "partner"),
        ] {
            transaction.execute(
                &format!("UPDATE OR IGNORE {table} SET {column} = ?3 WHERE epoch = ?1 AND {column} = ?2"),
                params![epoch.0, former, present],
            )?;
        }
        erase(&transaction, epoch, &former)?;
        note_due(&transaction, epoch)?;
        transaction.commit()?;
        self.empty_log()
    }

    /// Erases everything that the epoch holds of a name. The canary stays where somebody else vouches for it.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn revoke(&mut self, epoch: Epoch, name: &PublicName) -> Result<()> {
        let name = name.to_bytes();
        let transaction = self.immediate()?;
        transaction.execute(
            "UPDATE canary SET holder = (SELECT holder FROM dataset WHERE epoch = ?1 AND holder <> ?2 AND NOT unauthenticated LIMIT 1)
             WHERE epoch = ?1 AND holder = ?2
             AND EXISTS (SELECT 1 FROM dataset WHERE epoch = ?1 AND holder <> ?2 AND NOT unauthenticated)",
            params![epoch.0, name],
        )?;
        transaction.execute("DELETE FROM canary WHERE epoch = ?1 AND holder = ?2", params![epoch.0, name])?;
        erase(&transaction, epoch, &name)?;
        note_due(&transaction, epoch)?;
        transaction.commit()?;
        self.empty_log()
    }

    /// Names that are nobody's any more and of which something may be left outside the database.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn departed(&self, epoch: Epoch) -> Result<BTreeSet<PublicName>> {
        let mut statement = self.db.prepare("SELECT name FROM departed WHERE epoch = ?1")?;
        let rows = statement.query_map([epoch.0], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(PublicName::from_bytes(&row?)?)).collect()
    }

    /// Forgets these names too: nothing of them is left.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn forget_departed(&mut self, epoch: Epoch) -> Result<()> {
        self.db.execute("DELETE FROM departed WHERE epoch = ?1", [epoch.0])?;
        Ok(())
    }

    /// What is due in an epoch.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn due(&self, epoch: Epoch) -> Result<Due> {
        Ok(self.db.query_row("SELECT renew_message_key, vacuum FROM epoch WHERE epoch = ?1", [epoch.0], |row| {
            Ok(Due { message_key: row.get(0)?, vacuum: row.get(1)? })
        })?)
    }

    /// Replaces the message key and raises the announcement's serial, in one transaction.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn renew_message_key(&mut self, epoch: Epoch, key: &ReceiveKey) -> Result<()> {
        let sealed = self.seal(&secret_place(epoch, MESSAGE_KEY), key.as_bytes())?;
        let transaction = self.immediate()?;
        transaction.execute(
            "UPDATE secret SET sealed = ?3 WHERE epoch = ?1 AND name = ?2",
            params![epoch.0, MESSAGE_KEY, sealed],
        )?;
        transaction
            .execute("UPDATE epoch SET serial = serial + 1, renew_message_key = 0 WHERE epoch = ?1", [epoch.0])?;
        transaction.commit()?;
        self.empty_log()
    }

    /// Writes the database anew, without the pages that held what was erased.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn vacuum(&mut self, epoch: Epoch) -> Result<()> {
        self.db.execute_batch("VACUUM")?;
        self.empty_log()?;
        self.db.execute("UPDATE epoch SET vacuum = 0 WHERE epoch = ?1", [epoch.0])?;
        Ok(())
    }
}

fn retire(transaction: &Transaction<'_>, epoch: Epoch, holder: &PublicName, key_id: KeyId) -> Result<()> {
    transaction.execute(
        "INSERT OR IGNORE INTO retired_key (epoch, holder, key_id) VALUES (?1, ?2, ?3)",
        params![epoch.0, holder.to_bytes(), key_id.as_bytes()],
    )?;
    Ok(())
}

/// Deletes the rows of a name, and notes that it may have left more elsewhere.
fn erase(transaction: &Transaction<'_>, epoch: Epoch, name: &[u8]) -> Result<()> {
    transaction.execute("INSERT OR IGNORE INTO departed (epoch, name) VALUES (?1, ?2)", params![epoch.0, name])?;
    for (table, column) in [
        ("rekey", "holder"),
        ("blind", "holder"),
        ("blind", "steward"),
        ("answer", "holder"),
        ("dataset", "holder"),
        ("retired_key", "holder"),
        ("share_point", "steward"),
        ("refusal", "sender"),
        ("reported_set", "holder"),
        ("reported_set", "partner"),
        ("reported_rows", "holder"),
        ("reported_rows", "partner"),
        ("reported_company", "holder"),
        ("reported_company", "partner"),
    ] {
        transaction
            .execute(&format!("DELETE FROM {table} WHERE epoch = ?1 AND {column} = ?2"), params![epoch.0, name])?;
    }
    transaction.execute(
        "DELETE FROM set_sketch WHERE epoch = ?1 AND fused_set NOT IN (SELECT fused_set FROM reported_set WHERE epoch = ?1)",
        [epoch.0],
    )?;
    transaction.execute("DELETE FROM dataset_seen WHERE holder = ?1", [name])?;
    Ok(())
}

fn note_due(transaction: &Transaction<'_>, epoch: Epoch) -> Result<()> {
    transaction.execute("UPDATE epoch SET renew_message_key = 1, vacuum = 1 WHERE epoch = ?1", [epoch.0])?;
    Ok(())
}
