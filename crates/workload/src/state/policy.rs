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

use super::State;
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

    /// Remembers, in one transaction, the answer to a question and which sets met in it. A question that was answered keeps its
    /// first answer.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn remember_answer(
        &mut self,
        epoch: Epoch,
        question: &str,
        report: &Report,
        sets: &[(ReportedSet, SetSketch)],
    ) -> Result<()> {
        let answer = self.seal(&answered_place(epoch, question), report.to_json_pretty().as_bytes())?;
        let sealed =
            sets.iter().map(|(set, sketch)| self.seal(&sketch_place(epoch, &set.fused_set), sketch.as_bytes()));
        let sealed: Vec<_> = sealed.collect::<Result<_>>()?;
        let transaction = self.immediate()?;
        transaction.execute(
            "INSERT INTO answered (epoch, question, event, sealed) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![epoch.0, question, report.provenance.event.as_str(), answer],
        )?;
        for ((set, _), sealed) in sets.iter().zip(sealed) {
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
        Ok(transaction.commit()?)
    }
}

pub(super) fn answered_place(epoch: Epoch, question: &str) -> String {
    format!("answered/{epoch}/{question}")
}

pub(super) fn sketch_place(epoch: Epoch, fused_set: &str) -> String {
    format!("sketch/{epoch}/{fused_set}")
}
