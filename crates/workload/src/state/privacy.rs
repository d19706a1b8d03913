//! What every dataset has lost of its privacy: epsilons, added up for good.
//!
//! They are kept by holder and name of the dataset, across its versions and across epochs, and are spent in the transaction that keeps the
//! noisy answer. So a crash leaves either both or neither: noise that was drawn and not kept was seen by nobody and cost nothing, and
//! what is kept is what every later run of the event, and everybody who asks the same, is given.

use datafuse_core::{
    epsilon::Epsilon,
    id::{DatasetId, ParticipantId},
};
use rusqlite::{OptionalExtension, Transaction, params};

use super::State;
use crate::error::{Error, Result};

/// In the place of a day: this budget is for all days.
const ALL_DAYS: &str = "all";

/// What a report costs a dataset, and what the dataset may lose in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpsilonCost {
    /// Whose dataset.
    pub holder: ParticipantId,
    /// Which.
    pub dataset: DatasetId,
    /// What the report costs it.
    pub cost: Epsilon,
    /// What it may lose in all; without a limit losses are only added up.
    pub budget: Option<Epsilon>,
}

/// Whether an answer was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was, and it is paid for.
    Yes,
    /// The question had an answer already, which stays; nothing was spent.
    HadAnswer,
    /// The dataset at this position has too little left; nothing was kept and nothing spent.
    Exhausted {
        /// Its position among the costs.
        position: usize,
    },
}

impl State {
    /// What a dataset has lost so far.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn epsilon_spent(&self, holder: &ParticipantId, dataset: &DatasetId) -> Result<Epsilon> {
        let used = self.db.query_row(
            "SELECT used FROM budget WHERE subject = ?1 AND day = ?2",
            params![subject(holder, dataset), ALL_DAYS],
            |row| row.get(0),
        );
        Ok(Epsilon::from_millionths(used.optional()?.unwrap_or(0)))
    }
}

/// Adds the costs to what was lost; gives the position of the first dataset that has not enough left.
pub(super) fn spend(transaction: &Transaction<'_>, costs: &[EpsilonCost]) -> Result<Option<usize>> {
    for (position, EpsilonCost { holder, dataset, cost, budget }) in costs.iter().enumerate() {
        let used: u64 = transaction.query_row(
            "INSERT INTO budget (subject, day, used) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET used = used + excluded.used RETURNING used",
            params![
                subject(holder, dataset),
                ALL_DAYS,
                i64::try_from(cost.millionths()).map_err(|_| Error::StateSealed)?
            ],
            |row| row.get(0),
        )?;
        if budget.is_some_and(|budget| used > budget.millionths()) {
            return Ok(Some(position));
        }
    }
    Ok(None)
}

fn subject(holder: &ParticipantId, dataset: &DatasetId) -> String {
    format!("epsilon/{holder}/{dataset}")
}
