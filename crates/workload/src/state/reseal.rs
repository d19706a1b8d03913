//! A change of the workload's own key: everything sealed is opened with the former key and sealed with the present one.

use datafuse_core::{
    id::Epoch,
    keys::{KeyId, StateKey},
    name::PublicName,
};
use rusqlite::{Row, params};
use zeroize::Zeroizing;

use super::{
    SPACE_PLACE, State, answer_place, blind_place, canary_place, open_sealed,
    policy::{answered_place, sketch_place},
    rekey_place, seal_with, secret_place,
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
        // What was sealed with the former key leaves the file with the next event.
        transaction.execute("UPDATE epoch SET vacuum = 1", [])?;
        transaction.commit()?;
        self.empty_log()
    }

    fn sealed_values(&self) -> Result<Vec<SealedValue>> {
        let epoch = |row: &Row<'_>| Ok::<_, Error>(Epoch(row.get("epoch")?));
        let name = |row: &Row<'_>, column| Ok::<_, Error>(PublicName::from_bytes(&row.get::<_, Vec<u8>>(column)?)?);
        let key_id = |row: &Row<'_>| Ok::<_, Error>(KeyId::from_bytes(row.get("key_id")?));
        let mut values =
            self.sealed_in("secret", |row| Ok(secret_place(epoch(row)?, &row.get::<_, String>("name")?)))?;
        values.extend(
            self.sealed_in("blind", |row| Ok(blind_place(epoch(row)?, &name(row, "holder")?, &name(row, "steward")?)))?,
        );
        values.extend(self.sealed_in("answer", |row| Ok(answer_place(epoch(row)?, &name(row, "holder")?)))?);
        values
            .extend(self.sealed_in("rekey", |row| Ok(rekey_place(epoch(row)?, &name(row, "holder")?, key_id(row)?)))?);
        values.extend(self.sealed_in("canary", |row| Ok(canary_place(epoch(row)?)))?);
        values.extend(
            self.sealed_in("set_sketch", |row| Ok(sketch_place(epoch(row)?, &row.get::<_, String>("fused_set")?)))?,
        );
        values.extend(
            self.sealed_in("answered", |row| Ok(answered_place(epoch(row)?, &row.get::<_, String>("question")?)))?,
        );
        Ok(values)
    }

    fn sealed_in(&self, table: &'static str, place: impl Fn(&Row<'_>) -> Result<String>) -> Result<Vec<SealedValue>> {
        let mut statement = self.db.prepare(&format!("SELECT rowid AS row, * FROM {table}"))?;
        let mut rows = statement.query([])?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            values.push(SealedValue { table, row: row.get("row")?, place: place(row)?, sealed: row.get("sealed")? });
        }
        Ok(values)
    }
}
