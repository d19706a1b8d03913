//! A look at the state from beside the one who works with it.

use std::path::Path;

use datafuse_core::keys::StateKey;
use rusqlite::{Connection, OpenFlags};

use super::State;
use crate::error::Result;

impl State {
    /// Checks that the database is there, can be read, and is sealed with this key; tells whether it knows of an epoch. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State), [`Error::StateSealed`](crate::Error::StateSealed).
    pub fn probe(path: &Path, key: StateKey) -> Result<bool> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(std::time::Duration::from_secs(2))?;
        let state = Self { db, key };
        state.check_key()?;
        Ok(state.open_epoch()?.is_some())
    }
}
