//! Aggregates over matches: counts, sums, means and quantile buckets of kept columns of the customers that holders share, grouped by
//! kept columns of any of them.
//!
//! In go the fused files of one identifier kind, which are sorted by match key and carry the columns that holders kept; they are merged as
//! streams, key by key, so that memory is that of a batch of each file, of the groups and, where quantiles are asked for, of the
//! matched values. Out come raw figures; what may be shown of them [`crate::report`] decides.
//!
//! An identifier counts once. Of a holder's rows with the same identifier the first counts: that of its first dataset, and in this the
//! one with the lowest number. Sums are [decimal and exact](decimal), so the order of rows changes nothing.

pub mod decimal;
mod merge;

use std::collections::{BTreeMap, HashMap};

use datafuse_core::id::{KindName, ParticipantId};

use crate::{
    error::{Error, Result},
    match_table::HolderSet,
    matching::FusedInput,
    runtime::{Limits, Progress},
};
use merge::Merge;

/// A table has at most so many groups.
pub const MAX_GROUPS: usize = 1_000;

/// Which part of the memory groups and values may take.
const MEMORY_SHARE: u64 = 2;

/// What a group takes beside its names, and what each value kept for quantiles does while its list grows.
const GROUP_BYTES: u64 = 256;
const VALUE_BYTES: u64 = 32;

/// A column that a holder kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HolderColumn {
    /// The holder.
    pub holder: ParticipantId,
    /// The column's name in its datasets.
    pub column: String,
}

impl std::fmt::Display for HolderColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.holder, self.column)
    }
}

/// Of whom a table is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// For each two holders: those who are at both, whoever else has them.
    Pairs,
    /// For each set of two holders or more: those who are at exactly these.
    Regions,
    /// Those who are at every holder.
    All,
}

impl Over {
    /// Its name in `space.yaml` and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Regions => "regions",
            Self::All => "all",
        }
    }
}

/// A column of values and what is computed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueColumn {
    /// The column.
    pub column: HolderColumn,
    /// Whether the sum is asked for.
    pub sum: bool,
    /// Whether the mean is.
    pub mean: bool,
    /// Whether the means of up to four buckets of equal count are.
    pub quantiles: bool,
}

/// What is asked for: a table for each pair, region or all holders, that contains every holder whose columns are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Its name in the agreement.
    pub name: String,
    /// The kind by which customers are matched.
    pub kind: KindName,
    /// Of whom its tables are made.
    pub over: Over,
    /// What groups are made by; without any there is one group.
    pub group_by: Vec<HolderColumn>,
    /// What is computed; without any customers are only counted.
    pub values: Vec<ValueColumn>,
}

impl Aggregate {
    /// Every column that it names.
    pub fn columns(&self) -> impl Iterator<Item = &HolderColumn> {
        self.group_by.iter().chain(self.values.iter().map(|value| &value.column))
    }
}

/// The names of a group, one for each column that groups are made by; `None` where the row has no value.
pub type GroupName = Vec<Option<String>>;

/// The tables of one aggregate, by the holders that they are about.
pub type Tables = HashMap<HolderSet, Table>;

/// One table: its groups in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Table {
    /// The groups.
    Groups(BTreeMap<GroupName, Group>),
    /// More than [`MAX_GROUPS`].
    TooManyGroups,
}

/// The raw figures of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Customers.
    pub count: u64,
    /// For each value column.
    pub values: Vec<Values>,
}

/// The raw figures of a value column in a group. Numbers are scaled as [`decimal`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Customers whose value is a number.
    pub count: u64,
    /// The sum of these.
    pub sum: i128,
    /// The sum of their absolute values.
    pub sum_of_sizes: u128,
    /// The two largest of these.
    pub largest: [u128; 2],
    /// All of them in any order, where quantiles are asked for.
    pub all: Vec<i128>,
}

impl Values {
    /// Counts one more number. The sums have room for 10^14 of the largest.
    pub(crate) fn add(&mut self, value: i128, keep: bool) {
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        let size = value.unsigned_abs();
        self.sum_of_sizes = self.sum_of_sizes.saturating_add(size);
        if size > self.largest[0] {
            self.largest = [size, self.largest[0]];
        } else if size > self.largest[1] {
            self.largest[1] = size;
        }
        if keep {
            self.all.push(value);
        }
    }
}

/// Computes aggregates of one kind from its fused files. `holders` must be sorted by name; `progress` is told of the files' rows.
///
/// # Errors
/// [`Error::NoSuchHolder`]; [`Error::NotKept`] where a holder takes part whose datasets have no such column;
/// [`Error::OutOfMemory`]; those of [`FusedFile::open`](crate::fused_file::FusedFile::open).
pub fn compute(
    asked: &[Aggregate],
    inputs: &[FusedInput],
    holders: &[ParticipantId],
    store_key: &[u8; 32],
    limits: &Limits,
    progress: Progress<'_>,
) -> Result<Vec<Tables>> {
    if let Some(input) = inputs.iter().find(|input| input.holder >= holders.len()) {
        return Err(Error::NoSuchHolder { holder: input.holder, holders: holders.len() });
    }
    let mut columns = vec![Vec::new(); holders.len()];
    let plans: Vec<_> = asked.iter().map(|aggregate| Plan::new(aggregate, holders, &mut columns)).collect();
    let mut merge = Merge::open(inputs, holders, &columns, store_key)?;
    let mut tables = vec![Tables::new(); asked.len()];
    let limit = limits.memory_bytes / MEMORY_SHARE;
    let mut memory = Memory { used: 0, limit, limit_bytes: limits.memory_bytes };
    while let Some(person) = merge.next(progress)? {
        for (plan, tables) in plans.iter().zip(&mut tables) {
            let Some(plan) = plan else { continue };
            for set in plan.tables_of(person.holders) {
                plan.add(tables, set, &person.columns, &mut memory)?;
            }
        }
    }
    Ok(tables)
}

/// The memory that groups and values have taken.
struct Memory {
    used: u64,
    limit: u64,
    limit_bytes: u64,
}

impl Memory {
    fn take(&mut self, bytes: u64) -> Result<()> {
        self.used += bytes;
        if self.used > self.limit {
            return Err(Error::OutOfMemory { work: "aggregating", limit_bytes: self.limit_bytes });
        }
        Ok(())
    }
}

/// Where a column stands: a holder, and a position among its columns.
type Place = (usize, usize);

/// An aggregate with its columns looked up.
struct Plan<'a> {
    asked: &'a Aggregate,
    holders: usize,
    /// The holders whose columns it names, ascending.
    named: Vec<usize>,
    group_by: Vec<Place>,
    values: Vec<Place>,
}

impl<'a> Plan<'a> {
    /// Looks the columns up, and adds them to those that are read; `None` where a holder of one does not take part.
    fn new(asked: &'a Aggregate, holders: &[ParticipantId], columns: &mut [Vec<String>]) -> Option<Self> {
        let mut place = |HolderColumn { holder, column }: &HolderColumn| -> Option<Place> {
            let holder = holders.iter().position(|known| known == holder)?;
            let of_holder = &mut columns[holder];
            let position = of_holder.iter().position(|known| known == column).unwrap_or_else(|| {
                of_holder.push(column.clone());
                of_holder.len() - 1
            });
            Some((holder, position))
        };
        let group_by: Vec<_> = asked.group_by.iter().map(&mut place).collect::<Option<_>>()?;
        let values: Vec<_> = asked.values.iter().map(|value| place(&value.column)).collect::<Option<_>>()?;
        let mut named: Vec<_> = group_by.iter().chain(&values).map(|(holder, _)| *holder).collect();
        named.sort_unstable();
        named.dedup();
        Some(Self { asked, holders: holders.len(), named, group_by, values })
    }

    /// The tables in which a customer of these holders counts.
    fn tables_of(&self, at: &[usize]) -> Vec<HolderSet> {
        let set = |members: &[usize]| HolderSet::new(self.holders, members.iter().copied());
        if at.len() < 2 || !self.named.iter().all(|holder| at.contains(holder)) {
            return Vec::new();
        }
        match (self.asked.over, self.named.as_slice()) {
            (Over::Regions, _) => vec![set(at)],
            (Over::All, _) if at.len() == self.holders => vec![set(at)],
            (Over::Pairs, [_, _]) => vec![set(&self.named)],
            (Over::Pairs, [one]) => at.iter().filter(|other| *other != one).map(|other| set(&[*one, *other])).collect(),
            (Over::All | Over::Pairs, _) => Vec::new(),
        }
    }

    /// Counts one customer.
    fn add(&self, tables: &mut Tables, set: HolderSet, columns: &Columns<'_>, memory: &mut Memory) -> Result<()> {
        let table = match tables.entry(set) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                memory.take(GROUP_BYTES)?;
                entry.insert(Table::Groups(BTreeMap::new()))
            }
        };
        let Table::Groups(groups) = table else { return Ok(()) };
        let name: GroupName = self.group_by.iter().map(|place| columns(*place).and_then(clean_name)).collect();
        if !groups.contains_key(&name) {
            if groups.len() == MAX_GROUPS {
                *table = Table::TooManyGroups;
                return Ok(());
            }
            let name_bytes: usize = name.iter().flatten().map(String::len).sum();
            memory.take(GROUP_BYTES * (1 + self.values.len() as u64) + name_bytes as u64)?;
        }
        let group = groups.entry(name).or_default();
        group.count += 1;
        group.values.resize_with(self.values.len(), Values::default);
        for ((place, asked), values) in self.values.iter().zip(&self.asked.values).zip(&mut group.values) {
            let Some(value) = columns(*place).and_then(decimal::parse) else { continue };
            values.add(value, asked.quantiles);
            if asked.quantiles {
                memory.take(VALUE_BYTES)?;
            }
        }
        Ok(())
    }
}

/// Gives the text of a column, if the row has any.
type Columns<'a> = dyn Fn(Place) -> Option<&'a str> + 'a;

/// The longest name of a group, in characters.
const NAME_CHARS: usize = 100;

/// Makes a value fit to be shown: without characters that no reader sees or that turn text around, and not too long. The empty text
/// is no value. What is alike after this is one group.
fn clean_name(text: &str) -> Option<String> {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut clean = text.trim().chars().map(|c| if unseen(c) { char::REPLACEMENT_CHARACTER } else { c });
    let mut name: String = clean.by_ref().take(NAME_CHARS).collect();
    if clean.next().is_some() {
        name.pop();
        name.push('…');
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
pub(crate) mod tests;
