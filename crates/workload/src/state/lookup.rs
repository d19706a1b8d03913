//! Which requests of look-ups came, what an asker spent of its day, and which answers lie in the mailbox.

use datafuse_core::{
    id::{Epoch, EventId, ParticipantId},
    lookup::RequestId,
    name::PublicName,
};
use rusqlite::params;

use super::{State, ledger::Spent};
use crate::error::Result;

/// The budget of a holder's look-ups: its place in the agreement counts, so a new name does not fill it up.
fn subject(asker: &ParticipantId) -> String {
    format!("lookups/{asker}")
}

/// An answer that lies in the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedAnswer {
    /// Whose it is.
    pub asker: PublicName,
    /// To which request.
    pub id: RequestId,
    number: i64,
}

impl State {
    /// Takes a request in for an event: false where it came with another event before. Those of former epochs are forgotten, as
    /// nothing of a former epoch is accepted.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn take_lookup(&mut self, epoch: Epoch, asker: &PublicName, id: RequestId, event: &EventId) -> Result<bool> {
        let transaction = self.immediate()?;
        transaction.execute("DELETE FROM lookup WHERE epoch < ?1 AND NOT in_mailbox", [epoch.0])?;
        transaction.execute(
            "INSERT INTO lookup (epoch, asker, request, event) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![epoch.0, asker.to_bytes(), id.as_bytes(), event.as_str()],
        )?;
        let first: String = transaction.query_row(
            "SELECT event FROM lookup WHERE epoch = ?1 AND asker = ?2 AND request = ?3",
            params![epoch.0, asker.to_bytes(), id.as_bytes()],
            |row| row.get(0),
        )?;
        transaction.commit()?;
        Ok(first == event.as_str())
    }

    /// Spends some of an asker's look-ups of a day for an event: all of them, or none. The same event spends once.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn spend_lookups(
        &mut self,
        asker: &ParticipantId,
        day: &str,
        tokens: u64,
        limit: u64,
        event: &EventId,
    ) -> Result<Spent> {
        let subject = subject(asker);
        let transaction = self.immediate()?;
        let first = transaction.execute(
            "INSERT OR IGNORE INTO spending (subject, day, event) VALUES (?1, ?2, ?3)",
            params![subject, day, event.as_str()],
        )?;
        if first == 0 {
            return Ok(Spent::Granted);
        }
        let used: u64 = transaction.query_row(
            "INSERT INTO budget (subject, day, used) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET used = used + ?3 RETURNING used",
            params![subject, day, tokens],
            |row| row.get(0),
        )?;
        if used > limit {
            // Dropping the transaction takes back what was written.
            return Ok(Spent::Exhausted);
        }
        transaction.commit()?;
        Ok(Spent::Granted)
    }

    /// Notes that the answer to a request lies in the mailbox; gives those that are too many for `keep`.
    ///
    /// Those that stay are each asker's newest, as many of one as of another: nobody drives others' answers out.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State), [`Error::Protocol`](crate::Error::Protocol) where the state is damaged.
    pub fn note_answer(
        &mut self,
        epoch: Epoch,
        asker: &PublicName,
        id: RequestId,
        keep: u32,
    ) -> Result<Vec<PostedAnswer>> {
        self.db.execute(
            "UPDATE lookup SET in_mailbox = 1 WHERE epoch = ?1 AND asker = ?2 AND request = ?3",
            params![epoch.0, asker.to_bytes(), id.as_bytes()],
        )?;
        let mut statement = self.db.prepare(
            "SELECT asker, request, number FROM
               (SELECT asker, request, number, row_number() OVER (PARTITION BY asker ORDER BY number DESC) AS age
                FROM lookup WHERE in_mailbox)
             ORDER BY age, number DESC LIMIT -1 OFFSET ?1",
        )?;
        let rows = statement.query_map([keep], |row| {
            Ok((row.get::<_, [u8; PublicName::BYTES]>(0)?, row.get(1).map(RequestId::from_bytes)?, row.get(2)?))
        })?;
        rows.map(|row| {
            let (asker, id, number) = row?;
            Ok(PostedAnswer { asker: PublicName::from_bytes(&asker)?, id, number })
        })
        .collect()
    }

    /// Notes that an answer is in the mailbox no more.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn note_answer_removed(&mut self, answer: &PostedAnswer) -> Result<()> {
        self.db.execute("UPDATE lookup SET in_mailbox = 0 WHERE number = ?1", [answer.number])?;
        Ok(())
    }
}
