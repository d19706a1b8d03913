//! What a contract's query must not ask, since no limit would hold it: values that grow, groups that multiply while the query is being
//! planned, patterns without end. And what DataFusion would answer wrongly.
//!
//! In: the words of a query, then its plan, before it is optimised, which computes constants. Out: why it is refused, in words that
//! hold no value. Time, memory and temporary space of what is accepted are `sql`'s business.

use datafusion::{
    common::{
        DataFusionError,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan, Operator},
    sql::sqlparser::tokenizer::Token,
};

/// The functions of single values that a query may use: what they give is never much longer than what they are given, and takes time
/// in proportion. One that repeats, pads or replaces could ask for any amount of memory, past every limit.
const FUNCTIONS: &str = "\
    abs acos acosh ascii asin asinh atan atan2 atanh bit_length btrim cbrt ceil character_length chr coalesce concat \
    concat_ws contains cos cosh cot current_date current_time date_bin date_part date_trunc degrees ends_with exp \
    factorial find_in_set floor from_unixtime gcd greatest initcap isnan iszero lcm least left ln log log10 log2 \
    lower ltrim make_date make_time nanvl now nullif nvl nvl2 octet_length pi power radians regexp_count regexp_instr \
    regexp_like reverse right round rtrim signum sin sinh split_part sqrt starts_with strpos substr substr_index tan \
    tanh to_date to_local_time to_time to_timestamp to_timestamp_seconds to_unixtime trunc upper";
/// The aggregates that gather values in place of counting or weighing them.
const GATHERING: [&str; 2] = ["array_agg", "string_agg"];
/// What multiplies the groups.
const GROUPING: [&str; 3] = ["CUBE", "ROLLUP", "GROUPING"];
/// How often a query may join texts: each time, they may double.
const MAX_JOINED: usize = 8;

/// Refuses words that cost before there is a plan.
pub(super) fn check_words(words: &[Token]) -> Result<(), String> {
    let is_grouping = |token: &Token| match token {
        Token::Word(word) => {
            word.quote_style.is_none() && GROUPING.iter().any(|name| word.value.eq_ignore_ascii_case(name))
        }
        _ => false,
    };
    match words.iter().any(is_grouping) {
        true => {
            Err("CUBE, ROLLUP and GROUPING SETS are not accepted; a column of such a name is written in quotes"
                .to_owned())
        }
        false => Ok(()),
    }
}

/// Gives why a plan is refused, if it is.
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<Option<String>, DataFusionError> {
    let (mut refusal, mut joined) = (None, 0);
    plan.apply_with_subqueries(|node| {
        if let Some(why) = refused_node(node)? {
            refusal.get_or_insert(why);
        }
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                joined += joins(expression);
                if let Some(why) = refused(expression) {
                    refusal.get_or_insert(why);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let too_long = || format!("the query joins texts {joined} times, at most {MAX_JOINED} are accepted");
    Ok(refusal.or_else(|| (joined > MAX_JOINED).then(too_long)))
}

fn refused_node(node: &LogicalPlan) -> Result<Option<String>, DataFusionError> {
    Ok(match node {
        LogicalPlan::RecursiveQuery(_) => Some("a recursive query is not accepted".to_owned()),
        LogicalPlan::Projection(_) if computes_again(node)? => Some(
            "the query computes the same expression under the same name at two levels: name the inner one otherwise"
                .to_owned(),
        ),
        _ => None,
    })
}

/// Whether a projection computes what one below it computes already, letter for letter, as in `SELECT n + 1 AS n FROM (SELECT n + 1 AS n
/// FROM t)`. Up to DataFusion 55 the optimiser leaves one of the two out (apache/datafusion, pull request 24686).
fn computes_again(node: &LogicalPlan) -> Result<bool, DataFusionError> {
    let LogicalPlan::Projection(above) = node else { return Ok(false) };
    if above.expr.iter().all(|expression| matches!(expression, Expr::Column(_))) {
        return Ok(false);
    }
    above.input.exists(|node| Ok(matches!(node, LogicalPlan::Projection(below) if below.expr == above.expr)))
}

fn refused(expression: &Expr) -> Option<String> {
    let function = |name: &str| Some(format!("the function '{name}' is not accepted"));
    let pattern = match expression {
        Expr::ScalarFunction(call) if !FUNCTIONS.split(' ').any(|name| name == call.name()) => {
            return function(call.name());
        }
        Expr::AggregateFunction(call) if GATHERING.contains(&call.func.name()) => return function(call.func.name()),
        Expr::WindowFunction(call) if GATHERING.contains(&call.fun.name()) => return function(call.fun.name()),
        Expr::ScalarFunction(call) if call.name().starts_with("regexp_") => call.args.get(1),
        Expr::BinaryExpr(binary) if is_pattern_match(binary.op) => Some(&*binary.right),
        Expr::SimilarTo(like) => Some(&*like.pattern),
        _ => return None,
    };
    // Each row's own would be compiled, and kept.
    let is_written = matches!(pattern, Some(Expr::Literal(..)));
    (!is_written).then(|| "a regular expression is written into the query, not computed".to_owned())
}

fn is_pattern_match(operator: Operator) -> bool {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    matches!(operator, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch)
}

/// How many texts an expression appends to another.
fn joins(expression: &Expr) -> usize {
    match expression {
        Expr::ScalarFunction(call) if matches!(call.name(), "concat" | "concat_ws") => {
            call.args.len().saturating_sub(1)
        }
        Expr::BinaryExpr(binary) => usize::from(binary.op == Operator::StringConcat),
        _ => 0,
    }
}
