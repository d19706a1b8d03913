//! What the policy has to remember of reports that were made: which sets of identifiers met which, and the answer to each question.
//!
//! Sets are known by the hash of their match keys. Sketches and answers are sealed; all of it goes with its epoch, because a set's
//! match keys are others in the next.

use datafuse_core::{
    id::{Epoch, EventId, KindName},
    name::PublicName,
};
use datafuse_engine::{report::Report, set_sketch::SetSketch};
use rusqlite::{OptionalExtension, params};

use super::{
    State,
    privacy::{self, EpsilonCost, Kept},
};
use crate::error::{Error, Result};

/// A set of one holder's identifiers that a report is made of with a partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedSet {
    /// Whose it is.
    pub holder: PublicName,
    /// Whose data it meets.
    pub partner: PublicName,
    /// Of which kind.
    pub kind: KindName,
    /// SHA-256 of its match keys, hex.
    pub fused_set: String,
}

/// What the guard keeps of a report, to hold later ones against.
#[derive(Clone, Debug, Default)]
pub struct GuardNotes {
    /// The sets that met, those that met before left out.
    pub sets: Vec<(ReportedSet, SetSketch)>,
    /// Where the report looks at rows: each set with the digest of its rows.
    pub rows: Vec<(ReportedSet, String)>,
    /// Each set with the digest of the names of all holders that took part.
    pub companies: Vec<(ReportedSet, String)>,
}

/// A question that was answered before.
#[derive(Debug)]
pub struct Answered {
    /// The event that asked first.
    pub event: EventId,
    /// The report that it got.
    pub report: Report,
}

impl State {
    /// The answer to a question, where it was asked before in this epoch.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::StateSealed`].
    pub fn answered(&self, epoch: Epoch, question: &str) -> Result<Option<Answered>> {
        let found = self.db.query_row(
            "SELECT event, sealed FROM answered WHERE epoch = ?1 AND question = ?2",
            params![epoch.0, question],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)),
        );
        found
            .optional()?
            .map(|(event, sealed)| {
                let json = self.unseal(&answered_place(epoch, question), &sealed)?;
                Ok(Answered { event: event.parse()?, report: Report::from_json(&json)? })
            })
            .transpose()
    }

    /// The sketches of all sets that a holder's identifiers of a kind were in reports with a partner; `None` where the set of
    /// `reported` is one of them.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::StateSealed`].
    pub fn former_sets(&self, epoch: Epoch, reported: &ReportedSet) -> Result<Option<Vec<SetSketch>>> {
        let mut statement = self.db.prepare(
            "SELECT fused_set, sealed FROM reported_set JOIN set_sketch USING (epoch, fused_set)
             WHERE epoch = ?1 AND holder = ?2 AND partner = ?3 AND kind = ?4",
        )?;
        let of = params![epoch.0, reported.holder.to_bytes(), reported.partner.to_bytes(), reported.kind.as_str()];
        let rows = statement.query_map(of, |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let mut sketches = Vec::new();
        for row in rows {
            let (fused_set, sealed) = row?;
            if fused_set == reported.fused_set {
                return Ok(None);
            }
            let bytes = self.unseal(&sketch_place(epoch, &fused_set), &sealed)?;
            sketches.push(SetSketch::from_bytes(&bytes).ok_or(Error::StateSealed)?);
        }
        Ok(Some(sketches))
    }

    /// The digest of the rows that a set had in a report which looks at rows, with this partner; `None` where there was none.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn reported_rows(&self, epoch: Epoch, reported: &ReportedSet) -> Result<Option<String>> {
        self.of_reported("SELECT fused_rows FROM reported_rows", epoch, reported)
    }

    /// The digest of the company in which a set was reported with this partner; `None` where it was not.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn reported_company(&self, epoch: Epoch, reported: &ReportedSet) -> Result<Option<String>> {
        self.of_reported("SELECT company FROM reported_company", epoch, reported)
    }

    fn of_reported(&self, select: &str, epoch: Epoch, reported: &ReportedSet) -> Result<Option<String>> {
        let found = self.db.query_row(
            &format!("{select} WHERE epoch = ?1 AND holder = ?2 AND partner = ?3 AND kind = ?4 AND fused_set = ?5"),
            params![
                epoch.0,
                reported.holder.to_bytes(),
                reported.partner.to_bytes(),
                reported.kind.as_str(),
                reported.fused_set
            ],
            |row| row.get(0),
        );
        Ok(found.optional()?)
    }

    /// Remembers, in one transaction, the answer to a question and which sets met in it, and spends what the answer costs. A question
    /// that was answered keeps its first answer.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn remember_answer(
        &mut self,
        epoch: Epoch,
        question: &str,
        report: &Report,
        guard: &GuardNotes,
        costs: &[EpsilonCost],
    ) -> Result<Kept> {
        let answer = self.seal(&answered_place(epoch, question), report.to_json_pretty().as_bytes())?;
        let sealed =
            guard.sets.iter().map(|(set, sketch)| self.seal(&sketch_place(epoch, &set.fused_set), sketch.as_bytes()));
        let sealed: Vec<_> = sealed.collect::<Result<_>>()?;
        let transaction = self.immediate()?;
        let new = transaction.execute(
            "INSERT INTO answered (epoch, question, event, sealed) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![epoch.0, question, report.provenance.event.as_str(), answer],
        )?;
        if new == 0 {
            return Ok(Kept::HadAnswer);
        }
        if let Some(position) = privacy::spend(&transaction, costs)? {
            // Dropping the transaction takes back what was written.
            return Ok(Kept::Exhausted { position });
        }
        for ((set, _), sealed) in guard.sets.iter().zip(sealed) {
            transaction.execute(
                "INSERT INTO set_sketch (epoch, fused_set, sealed) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![epoch.0, set.fused_set, sealed],
            )?;
            transaction.execute(
                "INSERT INTO reported_set (epoch, holder, partner, kind, fused_set) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING",
                params![epoch.0, set.holder.to_bytes(), set.partner.to_bytes(), set.kind.as_str(), set.fused_set],
            )?;
        }
        for (table, column, noted) in
            [("reported_rows", "fused_rows", &guard.rows), ("reported_company", "company", &guard.companies)]
        {
            for (set, digest) in noted {
                let of = params![
                    epoch.0,
                    set.holder.to_bytes(),
                    set.partner.to_bytes(),
                    set.kind.as_str(),
                    set.fused_set,
                    digest
                ];
                transaction.execute(
                    &format!(
                        "INSERT INTO {table} (epoch, holder, partner, kind, fused_set, {column})
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING"
                    ),
                    of,
                )?;
            }
        }
        transaction.commit()?;
        Ok(Kept::Yes)
    }
}

pub(super) fn answered_place(epoch: Epoch, question: &str) -> String {
    format!("answered/{epoch}/{question}")
}

pub(super) fn sketch_place(epoch: Epoch, fused_set: &str) -> String {
    format!("sketch/{epoch}/{fused_set}")
}
