//! A change of the workload's own key: everything sealed is opened with the former key and sealed with the present one.

use datafuse_core::{
    id::Epoch,
    keys::{KeyId, StateKey},
    name::PublicName,
};
use rusqlite::params;
use zeroize::Zeroizing;

use super::{
    SPACE_PLACE, State, answer_place, blind_place, canary_place, open_sealed, rekey_place, seal_with, secret_place,
};
use crate::error::{Error, Result};

/// A sealed value: its table, the row, the column, and the place that it is bound to.
struct SealedValue {
    table: &'static str,
    row: i64,
    place: String,
    sealed: Vec<u8>,
}

impl State {
    /// Seals everything anew where one of the former keys opens it; nothing happens where the present key does.
    ///
    /// # Errors
    /// [`Error::StateSealed`] where none does; [`Error::State`].
    pub(super) fn reseal(&mut self, former: &[StateKey]) -> Result<()> {
        let check: Vec<u8> = self.db.query_row("SELECT check_value FROM space", [], |row| row.get(0))?;
        if open_sealed(&self.key, SPACE_PLACE, &check).is_ok() {
            return Ok(());
        }
        let opens = |key: &&StateKey| open_sealed(key, SPACE_PLACE, &check).is_ok();
        let former = former.iter().find(opens).ok_or(Error::StateSealed)?;
        let values = self
            .sealed_values()?
            .into_iter()
            .map(|value| {
                let plain: Zeroizing<Vec<u8>> = open_sealed(former, &value.place, &value.sealed)?;
                Ok((value.table, value.row, seal_with(&self.key, &value.place, &plain)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let root = open_sealed(former, SPACE_PLACE, &check)?;
        let check = seal_with(&self.key, SPACE_PLACE, &root)?;
        let transaction = self.immediate()?;
        for (table, row, sealed) in values {
            transaction.execute(&format!("UPDATE {table} SET sealed = ?2 WHERE rowid = ?1"), params![row, sealed])?;
        }
        transaction.execute("UPDATE space SET check_value = ?1", [check])?;
        transaction.commit()?;
        self.db.execute_batch("VACUUM")?;
        self.empty_log()
    }

    fn sealed_values(&self) -> Result<Vec<SealedValue>> {
        let mut values = Vec::new();
        let name = |bytes: Vec<u8>| PublicName::from_bytes(&bytes);
        let mut statement = self.db.prepare("SELECT rowid, sealed, epoch, name FROM secret")?;
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?)))?;
        for row in rows {
            let (row, sealed, epoch, name) = row?;
            values.push(SealedValue { table: "secret", row, place: secret_place(Epoch(epoch), &name), sealed });
        }
        let mut statement = self.db.prepare("SELECT rowid, sealed, epoch, holder, steward FROM blind")?;
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
        for row in rows {
            let (row, sealed, epoch, holder, steward) = row?;
            let place = blind_place(Epoch(epoch), &name(holder)?, &name(steward)?);
            values.push(SealedValue { table: "blind", row, place, sealed });
        }
        let mut statement = self.db.prepare("SELECT rowid, sealed, epoch, holder FROM answer")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        for row in rows {
            let (row, sealed, epoch, holder) = row?;
            values.push(SealedValue {
                table: "answer",
                row,
                place: answer_place(Epoch(epoch), &name(holder)?),
                sealed,
            });
        }
        let mut statement = self.db.prepare("SELECT rowid, sealed, epoch, holder, key_id FROM rekey")?;
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
        for row in rows {
            let (row, sealed, epoch, holder, key_id) = row?;
            let place = rekey_place(Epoch(epoch), &name(holder)?, KeyId::from_bytes(key_id));
            values.push(SealedValue { table: "rekey", row, place, sealed });
        }
        let mut statement = self.db.prepare("SELECT rowid, sealed, epoch FROM canary")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for row in rows {
            let (row, sealed, epoch) = row?;
            values.push(SealedValue { table: "canary", row, place: canary_place(Epoch(epoch)), sealed });
        }
        Ok(values)
    }
}
