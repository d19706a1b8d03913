//! Queries over the rows of a model, in DataFusion: those of a contract, and the counting of duplicates, which spills.
//!
//! A contract's query may come from a stranger, so it can do nothing but read the rows of its model: one `SELECT`; no other
//! table, file, address or table function is known; statements that change anything are refused; and it ends with an error when
//! it needs more memory, temporary space or time than it is given. What it answers is compared and never shown.

use std::{collections::BTreeSet, sync::Arc, sync::atomic::AtomicU64, time::Duration};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Float64Type, SchemaRef},
};
use datafusion::{
    catalog::{TableProvider, streaming::StreamingTable},
    common::{DataFusionError, TableReference, tree_node::TreeNodeRecursion},
    execution::{
        SessionStateDefaults,
        context::{SQLOptions, SessionContext},
        session_state::SessionStateBuilder,
    },
    logical_expr::LogicalPlan,
    physical_plan::streaming::PartitionStream,
    sql::{
        parser::Statement as Parsed,
        sqlparser::{ast::Statement, dialect::GenericDialect, tokenizer::Tokenizer},
    },
};
use futures::StreamExt;

use super::{sound, spool::Spool};
use crate::{
    error::{Error, Result},
    runtime::{Limits, Runtime},
};

const WORK: &str = "checking rules";
const BATCH_ROWS: usize = 8192;
/// The most words and signs of a query: its parts may be as deep as they are many.
const MAX_TOKENS: usize = 1_000;
/// The longest reason that is shown.
const MAX_REASON_CHARS: usize = 240;

/// The names under which queries find the rows.
pub(super) struct Tables<'a> {
    pub(super) names: Vec<&'a str>,
}

/// A question to ask of the rows.
pub(super) enum Question<'a> {
    /// A contract's query.
    Query(&'a str),
    /// How many rows there are beyond the first of each value of these columns together.
    Duplicates(&'a [String]),
}

/// What a question was answered with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Number(f64),
    Truth(bool),
    /// It was not answered: why, in words that hold no value.
    Refused(String),
}

/// Plans queries over a table of this schema: for each the columns that it reads, or why it cannot be asked.
pub(super) fn columns_read(
    tables: &Tables<'_>,
    schema: &SchemaRef,
    queries: &[&str],
    limits: &Limits,
) -> Result<Vec<Result<BTreeSet<usize>, String>>> {
    let nothing = AtomicU64::new(0);
    Runtime::run(limits, WORK, BATCH_ROWS, &nothing, &|_| {}, |runtime| async move {
        let context = session(&runtime, tables, schema, Vec::new())?;
        let mut read = Vec::new();
        for query in queries {
            read.push(match plan(&context, query).await {
                Ok(plan) => columns_of(&context, &plan, schema),
                Err(why) => Err(why),
            });
        }
        Ok(read)
    })
}

/// Asks questions of the kept columns.
pub(super) fn ask(
    tables: &Tables<'_>,
    spool: &Spool,
    questions: &[Question<'_>],
    limits: &Limits,
    longest: Duration,
) -> Result<Vec<Answer>> {
    let nothing = AtomicU64::new(0);
    let schema = Arc::clone(spool.schema());
    Runtime::run(limits, WORK, BATCH_ROWS, &nothing, &|_| {}, |runtime| async move {
        let context = session(&runtime, tables, &schema, vec![Arc::new(spool.clone())])?;
        let mut answers = Vec::new();
        for question in questions {
            let answer = match question {
                Question::Query(query) => answer(&context, &runtime, query, longest).await,
                // Counting is part of the product and takes the time it takes.
                Question::Duplicates(columns) => {
                    let query = duplicates_query(tables, columns);
                    answer(&context, &runtime, &query, Duration::MAX).await
                }
            };
            answers.push(answer?);
        }
        Ok(answers)
    })
}

/// A session that knows these rows, and functions that compute.
fn session(
    runtime: &Runtime,
    tables: &Tables<'_>,
    schema: &SchemaRef,
    rows: Vec<Arc<dyn PartitionStream>>,
) -> Result<SessionContext> {
    let failed = |error: DataFusionError| runtime.error(error);
    let mut config = runtime.context.session_config().clone().with_information_schema(false);
    // Names are those of the contract, letter for letter.
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime.context.runtime_env())
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .build();
    let context = SessionContext::new_with_state(state);
    let table: Arc<dyn TableProvider> = Arc::new(StreamingTable::try_new(Arc::clone(schema), rows).map_err(failed)?);
    for name in &tables.names {
        context.register_table(TableReference::bare(*name), Arc::clone(&table)).map_err(failed)?;
    }
    Ok(context)
}

/// Plans a contract's query; what is wrong with it is said in the words of the planner, which knows names and no values.
async fn plan(context: &SessionContext, query: &str) -> Result<LogicalPlan, String> {
    let tokens = Tokenizer::new(&GenericDialect {}, query).tokenize().map_err(|error| shortened(&error.to_string()))?;
    if tokens.len() > MAX_TOKENS {
        return Err(format!("the query has {} words and signs, at most {MAX_TOKENS} are accepted", tokens.len()));
    }
    sound::check_words(&tokens)?;
    let state = context.state();
    let dialect = state.config().options().sql_parser.dialect;
    let statement = state.sql_to_statement(query, &dialect).map_err(|error| planning(&error))?;
    if !matches!(&statement, Parsed::Statement(inner) if matches!(**inner, Statement::Query(_))) {
        return Err("only one SELECT is accepted".to_owned());
    }
    let plan = state.statement_to_plan(statement).await.map_err(|error| planning(&error))?;
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(&plan).map_err(|_| "only one SELECT is accepted".to_owned())?;
    sound::check_plan(&plan).map_err(|error| planning(&error))?.map_or(Ok(()), Err)?;
    match plan.schema().fields().len() {
        1 => Ok(plan),
        columns => Err(format!("the query gives {columns} columns, one is needed")),
    }
}

/// The positions of the columns that a plan reads.
fn columns_of(context: &SessionContext, plan: &LogicalPlan, schema: &SchemaRef) -> Result<BTreeSet<usize>, String> {
    let plan = context.state().optimize(plan).map_err(|error| planning(&error))?;
    let mut read = BTreeSet::new();
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match &scan.projection {
                Some(columns) => read.extend(columns),
                None => read.extend(0..schema.fields().len()),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    visited.map_err(|error| planning(&error))?;
    Ok(read)
}

async fn answer(context: &SessionContext, runtime: &Runtime, query: &str, longest: Duration) -> Result<Answer> {
    let plan = match plan(context, query).await {
        Ok(plan) => plan,
        Err(why) => return Ok(Answer::Refused(why)),
    };
    let asked = async {
        let rows = context.execute_logical_plan(plan).await?.execute_stream().await?;
        first_value(rows).await
    };
    // A limit that is no limit: adding it to now would overflow.
    let longest = longest.min(Duration::from_secs(7 * 86_400));
    match tokio::time::timeout(longest, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => match runtime.error(error) {
            error @ (Error::NoSpace { .. } | Error::Io { .. }) => Err(error),
            Error::OutOfMemory { limit_bytes, .. } => {
                Ok(Answer::Refused(format!("the query does not fit into {limit_bytes} bytes of memory")))
            }
            Error::OutOfTempSpace { limit_bytes, .. } => {
                Ok(Answer::Refused(format!("the query needs more than {limit_bytes} bytes of temporary files")))
            }
            // What it says may quote a value.
            _ => Ok(Answer::Refused(
                "the query failed while it ran (a division by zero, a value of another type)".to_owned(),
            )),
        },
        Err(_) => Ok(Answer::Refused(format!("the query took longer than {} seconds", longest.as_secs()))),
    }
}

/// The one value of the one row.
async fn first_value(mut rows: datafusion::execution::SendableRecordBatchStream) -> Result<Answer, DataFusionError> {
    let mut value: Option<ArrayRef> = None;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        match (batch.num_rows(), &value) {
            (0, _) => {}
            (1, None) => value = Some(Arc::clone(batch.column(0))),
            _ => return Ok(Answer::Refused("the query gives more than one row, one is needed".to_owned())),
        }
    }
    let refused = |why: &str| Ok(Answer::Refused(why.to_owned()));
    let Some(value) = value else { return refused("the query gives no row, one is needed") };
    if value.is_null(0) {
        return refused("the query gives no value");
    }
    if *value.data_type() == DataType::Boolean {
        return Ok(Answer::Truth(value.as_boolean().value(0)));
    }
    if !value.data_type().is_numeric() {
        return refused("the query gives something else than a number, or true or false");
    }
    let number = cast(&value, &DataType::Float64)?;
    Ok(Answer::Number(number.as_primitive::<Float64Type>().value(0)))
}

fn duplicates_query(tables: &Tables<'_>, columns: &[String]) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let table = tables.names.first().map(|name| quoted(name)).unwrap_or_default();
    let list: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
    let there: Vec<_> = list.iter().map(|column| format!("{column} IS NOT NULL")).collect();
    format!(
        "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM {table} WHERE {} GROUP BY {})",
        there.join(" AND "),
        list.join(", ")
    )
}

fn planning(error: &DataFusionError) -> String {
    shortened(&error.find_root().strip_backtrace())
}

/// One line of bounded length.
fn shortened(words: &str) -> String {
    let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
