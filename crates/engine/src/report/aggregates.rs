//! Aggregates in the report: counts, sums, means and quantile buckets of kept columns of the customers that holders share.
//!
//! In go the raw figures of [`crate::aggregate`] and a report that is otherwise done; the section is added to it. A table stands where the
//! report shows how many customers it is about: where that count is withheld the table is too, and a region that is not listed has none.
//! Within a table [`super::group_suppression`] decides. Figures of values are exact decimals, as text: numbers of JSON are not.

use std::fmt::Write;

use datafuse_core::id::{KindName, ParticipantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Count, Output, Overlap, RULE_MIN_COUNT, Report, Suppressed, Threshold,
    group_suppression::{self, Figures, Why},
    schema,
    summary::{number, table},
};
use crate::{
    aggregate::{Aggregate, Group, GroupName, Over, Table, Tables, decimal},
    match_table::HolderSet,
};

/// The rule by which figures are withheld that one customer makes up nearly alone.
pub const RULE_DOMINANCE: &str = "dominance";

/// The rule by which a table of too many groups is withheld.
pub const RULE_MAX_GROUPS: &str = "max_groups";

/// An aggregate that the space asks for, with its tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Aggregates {
    /// Its name in the agreement.
    #[schemars(with = "schema::Name")]
    pub name: String,
    /// The kind by which customers are matched.
    #[schemars(with = "schema::Name")]
    pub kind: KindName,
    /// Of whom its tables are made: `pairs` (at both of two holders), `regions` (at exactly these) or `all`.
    pub over: String,
    /// The columns that groups are made by, as `holder.column`.
    pub group_by: Vec<String>,
    /// The columns that something is computed of, and what.
    pub values: Vec<AggregateColumn>,
    /// The tables, sorted by their holders.
    pub tables: Vec<AggregateTable>,
}

/// A column of values, and what is computed of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AggregateColumn {
    /// The column, as `holder.column`.
    pub column: String,
    /// What is computed: `sum`, `mean`, `quantiles`.
    pub figures: Vec<String>,
}

/// One table of an aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AggregateTable {
    /// The holders whose common customers these are, sorted.
    #[schemars(with = "Vec<schema::Name>")]
    pub holders: Vec<ParticipantId>,
    /// The groups, sorted by name; `null` where the table is withheld.
    pub groups: Option<Vec<AggregateGroup>>,
    /// How many more groups there are that are withheld; nothing of them is said, not their names either.
    pub withheld_groups: u64,
}

/// The customers with the same values in the columns that groups are made by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AggregateGroup {
    /// The value of each column; `null` for customers without one.
    pub by: Vec<Option<String>>,
    /// How many distinct customers.
    pub count: u64,
    /// For each column of values.
    pub values: Vec<AggregateValues>,
}

/// What is computed of one column in one group. What is withheld, and what was not asked for, is `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AggregateValues {
    /// How many customers have a number in it; where this is withheld, all is.
    pub count: Count,
    /// The exact sum, a decimal.
    pub sum: Option<String>,
    /// The mean, a decimal rounded to six digits after the point; `null` where nobody has a number too.
    pub mean: Option<String>,
    /// The numbers in order of size, cut into up to four buckets of equal count, each with `min_count` or more.
    pub quantiles: Option<Vec<QuantileBucket>>,
}

/// Numbers that follow each other in size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuantileBucket {
    /// How many.
    pub count: u64,
    /// Their mean, a decimal rounded to six digits after the point.
    pub mean: String,
}

/// The holders of a table with the count that the report shows of them.
type About = (Vec<ParticipantId>, Count);

impl Report {
    /// Adds aggregates with their raw figures, `holders` being those that they were computed over. Withholds everything that the
    /// threshold asks for.
    pub fn add_aggregates(
        &mut self,
        computed: Vec<(Aggregate, Tables)>,
        holders: &[ParticipantId],
        threshold: &Threshold,
    ) {
        for (asked, tables) in computed {
            let Some(overlap) = self.kinds().find(|info| *info.kind == asked.kind).map(|info| info.overlap) else {
                continue;
            };
            let mut withheld = Vec::new();
            let about = about(&asked, overlap, holders);
            let tables = about
                .into_iter()
                .map(|about| shown(&asked, about, &tables, holders, threshold.min_count, &mut withheld));
            let section = Aggregates {
                tables: tables.collect(),
                group_by: asked.group_by.iter().map(ToString::to_string).collect(),
                values: asked.values.iter().map(AggregateColumn::new).collect(),
                over: asked.over.as_str().to_owned(),
                kind: asked.kind,
                name: asked.name,
            };
            self.aggregates.push(section);
            self.suppressed.extend(withheld.into_iter().map(|(cell, rule)| Suppressed {
                cell,
                rule: rule.to_owned(),
                min_count: threshold.min_count,
                set_by: threshold.set_by.clone(),
            }));
        }
    }
}

/// The tables that an aggregate has, from what the report shows.
fn about(asked: &Aggregate, overlap: &Overlap, taking_part: &[ParticipantId]) -> Vec<About> {
    let names_all = |holders: &[ParticipantId]| asked.columns().all(|column| holders.contains(&column.holder));
    let all: Vec<About> = match asked.over {
        Over::Pairs => overlap.pairwise.iter().map(|pair| (vec![pair.a.clone(), pair.b.clone()], pair.count)).collect(),
        Over::Regions => overlap.regions.iter().map(|region| (region.holders.clone(), region.count)).collect(),
        Over::All => vec![(taking_part.to_vec(), overlap.all)],
    };
    all.into_iter().filter(|(holders, _)| holders.len() > 1 && names_all(holders)).collect()
}

/// Makes one table; notes the cells that are withheld, each with its rule.
fn shown(
    asked: &Aggregate,
    (holders, count): About,
    tables: &Tables,
    all: &[ParticipantId],
    min_count: u64,
    withheld: &mut Vec<(String, &'static str)>,
) -> AggregateTable {
    let names: Vec<_> = holders.iter().map(ParticipantId::as_str).collect();
    let cell = format!("aggregates[{}].tables[{}]", asked.name, names.join(","));
    let members = all.iter().enumerate().filter(|(_, holder)| holders.contains(holder)).map(|(index, _)| index);
    let empty = Table::Groups(Default::default());
    let found = tables.get(&HolderSet::new(all.len(), members)).unwrap_or(&empty);
    let decided = match (count, found) {
        (None, _) => Err(RULE_MIN_COUNT),
        (Some(_), Table::TooManyGroups) => Err(RULE_MAX_GROUPS),
        (Some(_), Table::Groups(groups)) => {
            let counts: Vec<_> = groups.values().map(|group| group.count).collect();
            group_suppression::groups(&counts, min_count).map(|hidden| (groups, hidden)).ok_or(RULE_MIN_COUNT)
        }
    };
    let (groups, hidden) = match decided {
        Ok(decided) => decided,
        Err(rule) => {
            withheld.push((cell, rule));
            return AggregateTable { holders, groups: None, withheld_groups: 0 };
        }
    };
    let withheld_groups = hidden.iter().filter(|hidden| **hidden).count() as u64;
    if withheld_groups > 0 {
        withheld.push((format!("{cell}.withheld_groups"), RULE_MIN_COUNT));
    }
    let kept: Vec<_> = groups.iter().zip(&hidden).filter(|(_, hidden)| !**hidden).map(|(group, _)| group).collect();
    let groups = with_values(asked, &kept, min_count, &cell, withheld);
    AggregateTable { holders, groups: Some(groups), withheld_groups }
}

fn with_values(
    asked: &Aggregate,
    groups: &[(&GroupName, &Group)],
    min_count: u64,
    cell: &str,
    withheld: &mut Vec<(String, &'static str)>,
) -> Vec<AggregateGroup> {
    let of_column = |column: usize| -> Vec<Figures> {
        let of: Vec<_> = groups.iter().map(|(_, group)| (group.count, &group.values[column])).collect();
        group_suppression::figures(&of, min_count)
    };
    let decided: Vec<_> = (0..asked.values.len()).map(of_column).collect();
    let one = |(index, (name, group)): (usize, &(&GroupName, &Group))| {
        let values = asked.values.iter().zip(&decided).zip(&group.values).map(|((column, decided), values)| {
            let cell = || format!("{cell}.groups[{index}].values[{}]", column.column);
            let buckets = match &decided[index] {
                Figures::Withheld(why) => {
                    withheld.push((cell(), why.rule()));
                    return AggregateValues { count: None, sum: None, mean: None, quantiles: None };
                }
                Figures::Shown { buckets } => buckets.as_ref(),
            };
            if column.quantiles && buckets.is_none() {
                withheld.push((format!("{}.quantiles", cell()), RULE_DOMINANCE));
            }
            let mean = |sum, count| decimal::mean(sum, count).map(decimal::text);
            let quantiles = buckets.filter(|_| column.quantiles).map(|buckets| {
                let of = |bucket: &group_suppression::Bucket| {
                    Some(QuantileBucket { count: bucket.count, mean: mean(bucket.sum, bucket.count)? })
                };
                buckets.iter().filter_map(of).collect()
            });
            AggregateValues {
                count: Some(values.count),
                sum: column.sum.then(|| decimal::text(values.sum)),
                mean: mean(values.sum, values.count).filter(|_| column.mean),
                quantiles,
            }
        });
        AggregateGroup { by: (*name).clone(), count: group.count, values: values.collect() }
    };
    groups.iter().enumerate().map(one).collect()
}

impl Why {
    fn rule(self) -> &'static str {
        match self {
            Self::Few => RULE_MIN_COUNT,
            Self::Dominance => RULE_DOMINANCE,
        }
    }
}

impl AggregateColumn {
    fn new(asked: &crate::aggregate::ValueColumn) -> Self {
        let figures = [(asked.sum, "sum"), (asked.mean, "mean"), (asked.quantiles, "quantiles")];
        let figures = figures.into_iter().filter(|(asked, _)| *asked).map(|(_, name)| name.to_owned());
        Self { column: asked.column.to_string(), figures: figures.collect() }
    }

    /// Whether this is computed of it.
    pub(crate) fn has(&self, figure: &str) -> bool {
        self.figures.iter().any(|name| name == figure)
    }
}

impl AggregateGroup {
    /// Its name in one line: the values, `(none)` for those without, and `all` where groups are made by nothing.
    pub(crate) fn name(&self) -> String {
        match self.by.as_slice() {
            [] => "all".to_owned(),
            by => by.iter().map(|value| value.as_deref().unwrap_or("(none)")).collect::<Vec<_>>().join(", "),
        }
    }
}

impl AggregateValues {
    /// The means of the buckets in one line, or why there are none.
    pub(crate) fn quantiles_text(&self) -> String {
        match &self.quantiles {
            None => "withheld".to_owned(),
            Some(buckets) if buckets.is_empty() => "-".to_owned(),
            Some(buckets) => buckets.iter().map(|bucket| bucket.mean.as_str()).collect::<Vec<_>>().join(" | "),
        }
    }

    /// The sum or the mean, or why there is none.
    pub(crate) fn text(&self, figure: Option<&String>) -> String {
        match (self.count, figure) {
            (None, _) => "withheld".to_owned(),
            (Some(_), figure) => figure.cloned().unwrap_or_else(|| "-".to_owned()),
        }
    }
}

impl Aggregates {
    /// What its tables are, in words.
    pub(crate) fn in_words(&self, holders: &[ParticipantId]) -> String {
        let names: Vec<_> = holders.iter().map(ParticipantId::as_str).collect();
        let exactly = if self.over == Over::Regions.as_str() { "exactly " } else { "" };
        let by = if self.group_by.is_empty() { String::new() } else { format!(", by {}", self.group_by.join(" and ")) };
        format!("customers by {} at {exactly}{}{by}", self.kind, names.join(" and "))
    }

    /// The part of the report whose figures the tables' groups add up to.
    pub(super) fn is_of(&self) -> Option<Output> {
        let of = [(Over::Pairs, Output::Pairwise), (Over::Regions, Output::Regions), (Over::All, Output::All)];
        of.into_iter().find(|(over, _)| over.as_str() == self.over).map(|(_, output)| output)
    }

    /// Writes the lines for a terminal.
    pub(super) fn write(&self, out: &mut String) {
        for table in &self.tables {
            let _ = writeln!(out, "\n{}: {}\n", self.name, self.in_words(&table.holders));
            let Some(groups) = &table.groups else {
                let _ = writeln!(out, "This table is withheld.");
                continue;
            };
            self.write_groups(out, groups);
            let _ = match table.withheld_groups {
                0 => Ok(()),
                1 => writeln!(out, "and 1 group that is withheld"),
                more => writeln!(out, "and {more} groups that are withheld"),
            };
        }
    }

    fn write_groups(&self, out: &mut String, groups: &[AggregateGroup]) {
        let largest = groups.iter().map(|group| group.count).max().unwrap_or(0);
        let header = ["group", "", "customers"].map(str::to_owned);
        let rows: Vec<_> =
            groups.iter().map(|group| [group.name(), bar(group.count, largest), number(Some(group.count))]).collect();
        table(out, 2, &header, rows.into_iter());
        for (position, column) in self.values.iter().enumerate() {
            out.push('\n');
            let header =
                [column.column.as_str(), "with a number", "sum", "mean", "means of buckets"].map(str::to_owned);
            let of = |group: &AggregateGroup| {
                let values = &group.values[position];
                let figure = |name, text: &dyn Fn() -> String| if column.has(name) { text() } else { "-".to_owned() };
                [
                    group.name(),
                    number(values.count),
                    figure("sum", &|| values.text(values.sum.as_ref())),
                    figure("mean", &|| values.text(values.mean.as_ref())),
                    figure("quantiles", &|| values.quantiles_text()),
                ]
            };
            table(out, 1, &header, groups.iter().map(of).collect::<Vec<_>>().into_iter());
        }
    }
}

/// A bar of up to twenty signs.
fn bar(value: u64, largest: u64) -> String {
    let signs = (u128::from(value) * 20).div_ceil(u128::from(largest.max(1)));
    "#".repeat(usize::try_from(signs).unwrap_or(20))
}

#[cfg(test)]
mod tests;
