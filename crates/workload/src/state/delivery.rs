//! Which reports were delivered where, so that none is sent a second time.

use datafuse_core::id::{EventId, ParticipantId};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::State;
use crate::error::Result;

impl State {
    /// Whether the report of an event was delivered to a user's place.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn is_delivered(&self, event: &EventId, user: &ParticipantId, place: &str) -> Result<bool> {
        let query = "SELECT 1 FROM delivery WHERE event = ?1 AND user = ?2 AND place = ?3";
        let found = self.db.query_row(query, params![event.as_str(), user.as_str(), place], |_| Ok(()));
        Ok(found.optional()?.is_some())
    }

    /// Notes that the report of an event was delivered to a user's place.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn note_delivered(&mut self, event: &EventId, user: &ParticipantId, place: &str, at: Timestamp) -> Result<()> {
        self.db.execute(
            "INSERT OR IGNORE INTO delivery (event, user, place, at) VALUES (?1, ?2, ?3, ?4)",
            params![event.as_str(), user.as_str(), place, at.to_string()],
        )?;
        Ok(())
    }
}
