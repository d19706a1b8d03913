//! What is counted and kept for good: datasets that were ever accepted, and budgets.
//!
//! A budget is how often something may be done in a day. Spending is one transaction, so that of any number of processes no more are
//! granted than the limit allows, and it is bound to an event, so that an event that comes again after a crash spends nothing more.

use datafuse_core::id::{DatasetId, EventId, ParticipantId};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{AcceptedDataset, State};
use crate::error::Result;

/// The present moment as the database writes it.
pub(crate) const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

/// Whether a budget had something left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It had, and it is spent now; or the same event had spent it before.
    Granted,
    /// It had not; nothing was spent.
    Exhausted,
}

/// A dataset that was accepted at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenDataset {
    /// Which of its holder's datasets.
    pub dataset: DatasetId,
    /// Its version.
    pub version: u64,
    /// SHA-256 of the file as delivered, hex.
    pub sha256: String,
    /// Rows that the holder read.
    pub rows: u64,
    /// When it was accepted first.
    pub first_seen: String,
    /// When a report was last made of it, or when it was accepted.
    pub last_used: String,
}

/// The budget of reports over two datasets, whatever their versions: the same in either order.
#[must_use]
pub fn report_subject(a: (&ParticipantId, &DatasetId), b: (&ParticipantId, &DatasetId)) -> String {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    format!("reports/{}/{}/{}/{}", first.0, first.1, second.0, second.1)
}

impl State {
    /// Spends one of each subject's budget of a day for an event: all of them, or none. Without a limit it only counts.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn spend(&mut self, subjects: &[String], day: &str, limit: Option<u64>, event: &EventId) -> Result<Spent> {
        let each: Vec<_> = subjects.iter().map(|subject| (subject.clone(), limit)).collect();
        Ok(self.spend_each(&each, day, event)?.map_or(Spent::Granted, |_| Spent::Exhausted))
    }

    /// As [`spend`](Self::spend), each subject with a limit of its own; gives the position of the first that has nothing left.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn spend_each(
        &mut self,
        subjects: &[(String, Option<u64>)],
        day: &str,
        event: &EventId,
    ) -> Result<Option<usize>> {
        let transaction = self.immediate()?;
        for (position, (subject, limit)) in subjects.iter().enumerate() {
            let first = transaction.execute(
                "INSERT OR IGNORE INTO spending (subject, day, event) VALUES (?1, ?2, ?3)",
                params![subject, day, event.as_str()],
            )?;
            if first == 0 {
                continue;
            }
            let used: u64 = transaction.query_row(
                "INSERT INTO budget (subject, day, used) VALUES (?1, ?2, 1)
                 ON CONFLICT DO UPDATE SET used = used + 1 RETURNING used",
                params![subject, day],
                |row| row.get(0),
            )?;
            if limit.is_some_and(|limit| used > limit) {
                // Dropping the transaction takes back what was written.
                return Ok(Some(position));
            }
        }
        transaction.commit()?;
        Ok(None)
    }

    /// How much of a subject's budget of a day was spent.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn spent(&self, subject: &str, day: &str) -> Result<u64> {
        let used = self.db.query_row(
            "SELECT used FROM budget WHERE subject = ?1 AND day = ?2",
            params![subject, day],
            |row| row.get(0),
        );
        Ok(used.optional()?.unwrap_or(0))
    }

    /// Every dataset that was ever accepted, former versions included, in the order in which they came.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn datasets_seen(&self) -> Result<Vec<SeenDataset>> {
        let mut statement = self.db.prepare(
            "SELECT dataset, version, sha256, rows, first_seen, last_used FROM dataset_seen ORDER BY first_seen, dataset, version",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })?;
        rows.map(|row| {
            let (dataset, version, sha256, rows, first_seen, last_used) = row?;
            Ok(SeenDataset { dataset: dataset.parse()?, version, sha256, rows, first_seen, last_used })
        })
        .collect()
    }

    /// Notes that a report is made of datasets.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn note_used(&mut self, commitments: &[&str]) -> Result<()> {
        let transaction = self.immediate()?;
        for sha256 in commitments {
            transaction.execute(&format!("UPDATE dataset_seen SET last_used = {NOW} WHERE sha256 = ?1"), [sha256])?;
        }
        Ok(transaction.commit()?)
    }
}

/// Notes that a dataset was accepted; one that comes back has the moment of its first coming.
pub(super) fn note_seen(transaction: &Transaction<'_>, accepted: &AcceptedDataset) -> Result<()> {
    transaction.execute(
        &format!(
            "INSERT INTO dataset_seen (holder, dataset, sha256, version, rows, first_seen, last_used)
             VALUES (?1, ?2, ?3, ?4, ?5, {NOW}, {NOW}) ON CONFLICT DO UPDATE SET last_used = {NOW}"
        ),
        params![
            accepted.holder.to_bytes(),
            accepted.dataset.as_str(),
            accepted.sha256,
            accepted.version,
            accepted.rows
        ],
    )?;
    Ok(())
}
