//! Checks the rows of one model against its contract.
//!
//! ```text
//! rows -> typed columns -> counts of all rules of rows            (one pass, all cores)
//!              |
//!              +--> spool of the columns that are asked for later -> duplicates, queries
//! ```
//!
//! Memory is that of the batches at work and what [`Limits`] allow for grouping, whatever the number of rows.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use arrow::{
    array::RecordBatchOptions,
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};

use super::{
    measure::{Counts, Measured, measure},
    model::{Check, Column, LogicalType, Model, RowTest, Rule},
    result::{ModelResult, RuleOutcome, RuleResult},
    rows::{Piece, Rows},
    spool::Spooling,
    sql::{Answer, Question, Tables, ask, columns_read},
    typed::{is_text, target},
};
use crate::{
    dataset::{protected::ROW_COLUMN, protected::TOKEN_PREFIX, shown_columns},
    error::{Error, Result},
    pipeline::ordered,
    runtime::{Limits, Progress},
};

/// What a check may use, and what time it is.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Memory, temporary space and threads.
    pub limits: Limits,
    /// The present, in seconds since 1970: freshness is measured from it.
    pub now_s: i64,
    /// The longest that one query of the contract may take.
    pub longest_query: Duration,
}

impl CheckOptions {
    /// Queries of at most ten minutes.
    #[must_use]
    pub fn new(limits: Limits, now_s: i64) -> Self {
        Self { limits, now_s, longest_query: Duration::from_secs(600) }
    }
}

/// Checks rows against a model. `progress` is told of the rows read.
///
/// # Errors
/// Those of reading the rows; [`Error::OutOfTempSpace`], [`Error::NoSpace`] for what is kept meanwhile. What is wrong with a
/// rule or breaks it is in the result.
pub fn check(model: &Model, rows: Rows, options: &CheckOptions, progress: Progress<'_>) -> Result<ModelResult> {
    let Rows { schema, available, protected, pieces } = rows;
    let there = There::new(model, &schema);
    let mut names = vec![model.name.as_str()];
    names.extend(model.physical_name.as_deref());
    let tables = Tables { names };

    let later = Later::plan(model, &there, &tables, &options.limits)?;
    let (measured, positions) = measured(model, &there);
    let mut counts = Counts::default();
    counts.failing.resize(measured.len(), 0);
    counts.newest.resize(measured.len(), None);
    let mut spooling = later.begin(&there, &options.limits)?;
    let spooled = spooling.as_ref().map(|spooling| Arc::clone(spooling.schema()));

    let work = |piece: Piece| {
        let failed = |_| Error::Internal { work: "typing columns", source: "a column could not be typed".into() };
        let batch = piece.batch.project(&there.positions).map_err(failed)?;
        let (typed, mut counts) = measure(&batch, &there.columns, &measured).map_err(failed)?;
        counts.rejected = piece.rejected;
        let kept = match &spooled {
            Some(schema) => {
                let columns = later.columns.iter().map(|index| Arc::clone(&typed[*index])).collect();
                let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                Some(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows).map_err(failed)?)
            }
            None => None,
        };
        Ok((counts, kept))
    };
    ordered(options.limits.threads(), pieces, work, |(more, kept)| {
        counts.add(&more);
        progress(more.rows + more.rejected);
        match (&mut spooling, kept) {
            (Some(spooling), Some(batch)) => spooling.write(&batch),
            _ => Ok(()),
        }
    })?;

    let answers = match spooling {
        Some(spooling) => {
            let questions: Vec<_> = later.asked.iter().map(|rule| question(&model.rules[*rule])).collect();
            ask(&tables, &spooling.finish()?, &questions, &options.limits, options.longest_query)?
        }
        None => Vec::new(),
    };
    let found = Found { model, there: &there, available: &available, protected, now_s: options.now_s, counts: &counts };
    let rules = model.rules.iter().enumerate().map(|(index, rule)| {
        let asked = later.asked.iter().position(|asked| *asked == index);
        let answer = match (asked, later.refused.iter().find(|(refused, _)| *refused == index)) {
            (Some(position), _) => answers.get(position).cloned(),
            (None, Some((_, why))) => Some(Answer::Refused(why.clone())),
            (None, None) => None,
        };
        found.result(rule, positions[index], answer)
    });
    Ok(ModelResult::new(&model.name, counts.rows, counts.rejected, rules.collect()))
}

/// The columns of a model that the data has.
struct There {
    columns: Vec<Column>,
    /// Where each is in the data's batches.
    positions: Vec<usize>,
    /// What type each has there.
    found: Vec<DataType>,
}

impl There {
    fn new(model: &Model, schema: &SchemaRef) -> Self {
        let mut there = Self { columns: Vec::new(), positions: Vec::new(), found: Vec::new() };
        for column in &model.columns {
            if let Ok(position) = schema.index_of(&column.name) {
                there.columns.push(column.clone());
                there.positions.push(position);
                there.found.push(schema.field(position).data_type().clone());
            }
        }
        there
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The schema of typed columns.
    fn typed(&self, columns: impl Iterator<Item = usize>) -> SchemaRef {
        let field = |index: usize| {
            let (column, found) = (&self.columns[index], &self.found[index]);
            Field::new(&column.name, target(column, found), true)
        };
        Arc::new(Schema::new(columns.map(field).collect::<Vec<_>>()))
    }
}

/// What is asked after the pass.
struct Later {
    /// The rules that are.
    asked: Vec<usize>,
    /// The rules that cannot be, and why.
    refused: Vec<(usize, String)>,
    /// The columns that are kept for it.
    columns: BTreeSet<usize>,
}

impl Later {
    fn plan(model: &Model, there: &There, tables: &Tables<'_>, limits: &Limits) -> Result<Self> {
        let mut later = Self { asked: Vec::new(), refused: Vec::new(), columns: BTreeSet::new() };
        let mut queries = Vec::new();
        for (index, rule) in model.rules.iter().enumerate() {
            match &rule.check {
                Check::Duplicates(columns) => {
                    let found: Option<Vec<_>> = columns.iter().map(|column| there.index(column)).collect();
                    match found {
                        Some(found) => {
                            later.columns.extend(found);
                            later.asked.push(index);
                        }
                        None => later.refused.push((index, MISSING.to_owned())),
                    }
                }
                Check::Sql(query) => queries.push((index, query.as_str())),
                _ => {}
            }
        }
        if !queries.is_empty() {
            let texts: Vec<_> = queries.iter().map(|(_, query)| *query).collect();
            let schema = there.typed(0..there.columns.len());
            let read = columns_read(tables, &schema, &texts, limits)?;
            for ((index, _), read) in queries.iter().zip(read) {
                match read {
                    Ok(columns) => {
                        later.columns.extend(columns);
                        later.asked.push(*index);
                    }
                    Err(why) => later.refused.push((*index, why)),
                }
            }
        }
        Ok(later)
    }

    fn begin(&self, there: &There, limits: &Limits) -> Result<Option<Spooling>> {
        if self.asked.is_empty() {
            return Ok(None);
        }
        Spooling::begin(there.typed(self.columns.iter().copied()), limits).map(Some)
    }
}

const MISSING: &str = "the column is not there";

fn question(rule: &Rule) -> Question<'_> {
    match &rule.check {
        Check::Sql(query) => Question::Query(query),
        Check::Duplicates(columns) => Question::Duplicates(columns),
        _ => Question::Duplicates(&[]),
    }
}

/// The rules that are measured in the pass, and for each rule of the model its place among them.
fn measured<'a>(model: &'a Model, there: &There) -> (Vec<Measured<'a>>, Vec<Option<usize>>) {
    let mut measured = Vec::new();
    let positions = model.rules.iter().map(|rule| {
        let is_measured =
            matches!(rule.check, Check::Nulls | Check::Missing { .. } | Check::Rows(_) | Check::Freshness { .. });
        let column = rule.column.as_deref().and_then(|column| there.index(column)).filter(|_| is_measured)?;
        measured.push(Measured { check: &rule.check, column });
        Some(measured.len() - 1)
    });
    let positions = positions.collect();
    (measured, positions)
}

/// All that is known when the rows are read.
struct Found<'a> {
    model: &'a Model,
    there: &'a There,
    available: &'a [String],
    protected: bool,
    now_s: i64,
    counts: &'a Counts,
}

impl Found<'_> {
    fn result(&self, rule: &Rule, measured: Option<usize>, answer: Option<Answer>) -> RuleResult {
        let (outcome, rows, detail) = self.outcome(rule, measured, answer);
        RuleResult {
            place: rule.place.clone(),
            rule: rule.kind,
            column: rule.column.clone(),
            asks: rule.words.clone(),
            outcome,
            rows,
            detail,
        }
    }

    fn outcome(
        &self,
        rule: &Rule,
        measured: Option<usize>,
        answer: Option<Answer>,
    ) -> (RuleOutcome, Option<u64>, Option<String>) {
        let counts = self.counts;
        let column = rule.column.as_deref().and_then(|column| self.there.index(column));
        let failing = measured.map_or(0, |position| counts.failing[position]);
        let of_count = |count: u64| (passed(rule.expect.holds_of(count, counts.rows)), Some(count), None);
        match &rule.check {
            Check::NotChecked(why) => (RuleOutcome::NotChecked, None, Some(why.clone())),
            Check::Readable => of_count(counts.rejected),
            Check::RowCount => (passed(rule.expect.holds(counts.rows as f64)), Some(counts.rows), None),
            Check::Unexpected => self.unexpected(),
            Check::Present if column.is_some() => (RuleOutcome::Passed, None, None),
            Check::Present if self.protected => self.missing(),
            Check::Present => (RuleOutcome::Failed, None, None),
            Check::Sql(_) => self.answered(rule, answer),
            Check::Duplicates(_) => match answer {
                Some(Answer::Number(count)) => of_count(count as u64),
                Some(Answer::Refused(why)) if why == MISSING => self.missing(),
                answer => self.answered(rule, answer),
            },
            _ if column.is_none() => self.missing(),
            Check::Rows(tests) if matches!(tests[..], [RowTest::Type]) => self.typed(rule, column, failing),
            Check::Freshness { max_age_s } => {
                let typed = column.map(|index| target(&self.there.columns[index], &self.there.found[index]));
                if !matches!(typed, Some(DataType::Date32 | DataType::Timestamp(_, _))) {
                    let why = "the column is neither of dates nor of timestamps";
                    return (RuleOutcome::NotChecked, None, Some(why.to_owned()));
                }
                match measured.and_then(|position| counts.newest[position]) {
                    None => (RuleOutcome::Failed, None, Some("no row has a value".to_owned())),
                    Some(newest) => {
                        let age_s = self.now_s.saturating_sub(newest.div_euclid(1_000_000));
                        (passed(age_s <= *max_age_s), None, None)
                    }
                }
            }
            Check::Nulls | Check::Missing { .. } | Check::Rows(_) => of_count(failing),
        }
    }

    fn missing(&self) -> (RuleOutcome, Option<u64>, Option<String>) {
        if self.protected {
            let why = "the protected dataset does not have this column; its holder checks it before protecting";
            return (RuleOutcome::NotChecked, None, Some(why.to_owned()));
        }
        (RuleOutcome::Error, None, Some(MISSING.to_owned()))
    }

    /// The type of nested columns is known of formats that have types only.
    fn typed(&self, rule: &Rule, column: Option<usize>, failing: u64) -> (RuleOutcome, Option<u64>, Option<String>) {
        let Some(index) = column else { return self.missing() };
        let (column, found) = (&self.there.columns[index], &self.there.found[index]);
        if is_text(found) && column.logical.is_some_and(|logical| logical.is_nested() || logical == LogicalType::Binary)
        {
            let why = "in this format the column is text";
            return (RuleOutcome::NotChecked, None, Some(why.to_owned()));
        }
        let other = column.logical.filter(|logical| !super::typed::may_hold(*logical, found));
        let detail = other.map(|_| format!("the column is {found}"));
        let outcome = if detail.is_some() { RuleOutcome::Failed } else { passed(rule.expect.holds(failing as f64)) };
        (outcome, Some(failing), detail)
    }

    fn unexpected(&self) -> (RuleOutcome, Option<u64>, Option<String>) {
        let own = |name: &str| self.protected && (name == ROW_COLUMN || name.starts_with(TOKEN_PREFIX));
        let more: Vec<String> =
            self.available.iter().filter(|name| self.model.column(name).is_none() && !own(name)).cloned().collect();
        match more.len() {
            0 => (RuleOutcome::Passed, None, None),
            1 => (RuleOutcome::Failed, None, Some(format!("the column {}", shown_columns(&more)))),
            count => (RuleOutcome::Failed, None, Some(format!("{count} columns: {}", shown_columns(&more)))),
        }
    }

    fn answered(&self, rule: &Rule, answer: Option<Answer>) -> (RuleOutcome, Option<u64>, Option<String>) {
        match answer {
            Some(Answer::Number(_)) if rule.expect.all.is_empty() => {
                let why = "it says nothing that must be, such as mustBe: 0";
                (RuleOutcome::NotChecked, None, Some(why.to_owned()))
            }
            Some(Answer::Number(number)) => (passed(rule.expect.holds(number)), None, None),
            Some(Answer::Truth(truth)) => (passed(rule.expect.holds_truth(truth)), None, None),
            Some(Answer::Refused(why)) if self.protected => {
                let why = format!("of the protected dataset it cannot be asked: {why}");
                (RuleOutcome::NotChecked, None, Some(why))
            }
            Some(Answer::Refused(why)) => (RuleOutcome::Error, None, Some(why)),
            None => (RuleOutcome::Error, None, Some("it was not asked".to_owned())),
        }
    }
}

fn passed(holds: bool) -> RuleOutcome {
    if holds { RuleOutcome::Passed } else { RuleOutcome::Failed }
}
