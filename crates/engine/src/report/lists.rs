//! The lists of an event in the report: which holder received which of its own rows, or why it received none.
//!
//! In go what the agreement asks for, the match table of the kind, and a report that is otherwise done; the section is added to it. The
//! rows are in a file for their holder alone; here stands at most how many distinct identifiers they have. No list is made where
//!
//! 1. one of the groups of the receiver's identifiers that it tells apart has members, and fewer than the threshold; or
//! 2. the count of such a group does not follow from counts that the report publishes: its receiver could compute a withheld one
//!    from it.

use std::{collections::BTreeMap, fmt::Write};

use datafuse_core::{
    id::{KindName, ParticipantId},
    list::Join,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Count, KindInfo, Output, RULE_MIN_COUNT, RULE_OUTPUTS, Report, Suppressed, Threshold, schema,
    summary::{number, table},
};
use crate::match_table::MatchTable;

/// A list that a holder received, or did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListRef {
    /// The holder whose rows are in it, and who alone can open it.
    #[schemars(with = "schema::Name")]
    pub holder: ParticipantId,
    /// Which rows: those that all of `with` have too (`inner`), that none of them has (`difference`), or all, each with the number
    /// of them that have it (`left`).
    #[schemars(with = "String", extend("enum" = ["inner", "left", "difference"]))]
    pub join: Join,
    /// The identifier kind that rows are matched by.
    #[schemars(with = "schema::Name")]
    pub kind: KindName,
    /// The other holders, sorted by name.
    #[schemars(with = "Vec<schema::Name>")]
    pub with: Vec<ParticipantId>,
    /// The distinct identifiers of the rows in it; `null` where there is no list, or where the figures that it follows from are left
    /// out of the report.
    pub identifiers: Count,
    /// Why there is no list, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_made: Option<NotMade>,
}

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotMade {
    /// It would tell of a few, or give away a count that is withheld.
    MinCount,
    /// A holder in it did not take part, or none brought an identifier of the kind.
    Absent,
    /// A dataset of its receiver is a table of tokens: nothing shows whose rows are in it.
    Unauthenticated,
}

impl NotMade {
    /// Says it in a few words.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::MinCount => "withheld: it would tell of too few",
            Self::Absent => "not made: a holder in it did not take part",
            Self::Unauthenticated => "not made: a table of tokens does not show whose rows are in it",
        }
    }
}

/// A list that the agreement asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedList {
    /// The holder that is to receive it.
    pub holder: ParticipantId,
    /// Which rows.
    pub join: Join,
    /// The identifier kind.
    pub kind: KindName,
    /// The other holders, sorted by name.
    pub with: Vec<ParticipantId>,
    /// Whether a dataset of the receiver is a table of tokens.
    pub unauthenticated: bool,
}

impl Report {
    /// Adds the lists that the agreement asks for; says of each whether it may be made. `tables` are those of their kinds.
    pub fn add_lists(
        &mut self,
        wanted: Vec<WantedList>,
        tables: &BTreeMap<KindName, MatchTable>,
        threshold: &Threshold,
    ) {
        for list in wanted {
            let WantedList { holder, join, kind, with, unauthenticated } = list;
            let outcome = match (unauthenticated, tables.get(&kind).and_then(|table| Groups::of(table, &holder, &with)))
            {
                (true, _) => Err(NotMade::Unauthenticated),
                (false, None) => Err(NotMade::Absent),
                (false, Some(groups)) => {
                    let tells = groups.tells_of_few(join, threshold.min_count)
                        || threshold.min_count > 1 && !self.publishes(&kind, &holder, join, &with);
                    if tells { Err(NotMade::MinCount) } else { Ok(groups.listed(join)) }
                }
            };
            if outcome == Err(NotMade::MinCount) {
                self.suppressed.push(Suppressed {
                    cell: format!("lists[{holder}]"),
                    rule: RULE_MIN_COUNT.to_owned(),
                    min_count: threshold.min_count,
                    set_by: threshold.set_by.clone(),
                });
            }
            self.lists.push(ListRef { holder, join, kind, with, identifiers: outcome.ok(), not_made: outcome.err() });
        }
    }

    /// Leaves out how many identifiers a list has where the figures that tell it are left out: its receiver may know, others not.
    pub(super) fn leave_out_list_counts(&mut self) {
        let Some(set_by) = self.policy.left_out.first().map(|left_out| left_out.set_by.clone()) else { return };
        let mut lists = std::mem::take(&mut self.lists);
        for list in &mut lists {
            if list.identifiers.is_some() && !self.publishes(&list.kind, &list.holder, list.join, &list.with) {
                list.identifiers = None;
                self.suppressed.push(Suppressed {
                    cell: format!("lists[{}].identifiers", list.holder),
                    rule: RULE_OUTPUTS.to_owned(),
                    min_count: self.policy.min_count,
                    set_by: set_by.clone(),
                });
            }
        }
        self.lists = lists;
    }

    /// Whether the count of each group that the list tells apart follows from published counts.
    fn publishes(&self, kind: &KindName, holder: &ParticipantId, join: Join, with: &[ParticipantId]) -> bool {
        let Some(KindInfo { overlap, parties, .. }) = self.kinds().find(|info| info.kind == kind) else { return false };
        let all_regions = self.shows(Output::Regions)
            && overlap.regions_left_out.is_none()
            && overlap.regions.iter().all(|region| region.count.is_some() || !region.holders.contains(holder));
        let Some(party) = parties.iter().find(|party| party.holder == *holder) else { return false };
        let one_pair = match with {
            [other] => overlap.pairwise.iter().any(|pair| {
                let is_it = (&pair.a, &pair.b) == (holder, other) || (&pair.a, &pair.b) == (other, holder);
                is_it && pair.count.is_some()
            }),
            _ => false,
        };
        let of_all = with.len() + 1 == parties.len();
        let whole = match join {
            Join::Inner => of_all && overlap.all.is_some(),
            Join::Difference => of_all && party.matched.is_some(),
            Join::Left => false,
        };
        all_regions || party.unique.is_some() && (one_pair || whole)
    }
}

/// The receiver's distinct identifiers, by how many of the other holders have them: element h, at h of them.
struct Groups(Vec<u64>);

impl Groups {
    /// `None` where one of the holders does not take part.
    fn of(table: &MatchTable, holder: &ParticipantId, with: &[ParticipantId]) -> Option<Self> {
        let position = |id: &ParticipantId| table.holders.binary_search(id).ok();
        let receiver = position(holder)?;
        let with = with.iter().map(position).collect::<Option<Vec<_>>>()?;
        let mut groups = vec![0; with.len() + 1];
        for (set, count) in table.regions.iter().filter(|(set, _)| set.contains(receiver)) {
            groups[with.iter().filter(|other| set.contains(**other)).count()] += count;
        }
        Some(Self(groups))
    }

    /// How many a list has.
    fn listed(&self, join: Join) -> u64 {
        match join {
            Join::Inner => self.0.last().copied().unwrap_or(0),
            Join::Difference => self.0.first().copied().unwrap_or(0),
            Join::Left => self.0.iter().sum(),
        }
    }

    /// Whether a group that a list tells apart is small: those in it, or those that its receiver knows not to be in it.
    fn tells_of_few(&self, join: Join, min_count: u64) -> bool {
        let is_small = |count: u64| count > 0 && count < min_count;
        match join {
            Join::Left => self.0.iter().any(|count| is_small(*count)),
            _ => {
                let (listed, all) = (self.listed(join), self.0.iter().sum::<u64>());
                is_small(listed) || is_small(all - listed)
            }
        }
    }
}

impl ListRef {
    /// Says in words which rows it has.
    #[must_use]
    pub fn in_words(&self) -> String {
        let with: Vec<_> = self.with.iter().map(ParticipantId::as_str).collect();
        let with = with.join(", ");
        match self.join {
            Join::Inner => format!("rows that {with} {} too", if self.with.len() == 1 { "has" } else { "all have" }),
            Join::Difference if self.with.len() == 1 => format!("rows that {with} does not have"),
            Join::Difference => format!("rows that none of {with} has"),
            Join::Left => format!("all rows, with how many of {with} have them"),
        }
    }

    /// Says how many identifiers it has, or why there is none.
    #[must_use]
    pub fn outcome_in_words(&self) -> String {
        match (self.not_made, self.identifiers) {
            (Some(reason), _) => reason.in_words().to_owned(),
            (None, None) => "made; how many is left out of this report".to_owned(),
            (None, Some(_)) => format!("{} identifiers", number(self.identifiers)),
        }
    }
}

/// Writes the lines for a terminal.
pub(super) fn write(out: &mut String, lists: &[ListRef]) {
    if lists.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nLists of its own rows that a holder received, which it alone can open\n");
    let header = ["holder", "by", "which", "how many"].map(str::to_owned);
    let rows = lists
        .iter()
        .map(|list| [list.holder.to_string(), list.kind.to_string(), list.in_words(), list.outcome_in_words()]);
    table(out, 4, &header, rows.collect::<Vec<_>>().into_iter());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        report::tests::{inputs, table, two_holders},
        report_html,
    };

    fn threshold(min_count: u64) -> Threshold {
        Threshold { min_count, set_by: "globex".to_owned() }
    }

    fn wanted(join: Join, with: &[&str]) -> WantedList {
        let with = with.iter().map(|holder| holder.parse().unwrap()).collect();
        let (holder, kind) = ("acme".parse().unwrap(), "email".parse().unwrap());
        WantedList { holder, join, kind, with, unauthenticated: false }
    }

    fn report(table: &MatchTable, min_count: u64, wanted: WantedList) -> Report {
        let mut report = Report::build(inputs(vec![("email", table.clone())], min_count)).unwrap();
        let tables = [("email".parse().unwrap(), table.clone())].into();
        report.add_lists(vec![wanted], &tables, &threshold(min_count));
        report
    }

    /// What became of a list: how many it has, or why it is not made.
    fn outcome(table: &MatchTable, min_count: u64, list: WantedList) -> Result<u64, NotMade> {
        let report = report(table, min_count, list);
        let cells = report.suppressed.iter().filter(|cell| cell.cell == "lists[acme]").count();
        let ListRef { identifiers, not_made, .. } = report.lists[0].clone();
        assert_eq!(cells == 1, not_made == Some(NotMade::MinCount));
        not_made.map_or_else(|| Ok(identifiers.unwrap()), Err)
    }

    fn three() -> MatchTable {
        let regions: [(&[usize], u64); 7] =
            [(&[0], 330), (&[1], 250), (&[2], 210), (&[0, 1], 100), (&[0, 2], 40), (&[1, 2], 20), (&[0, 1, 2], 30)];
        table(&["acme", "globex", "hooli"], &regions)
    }

    #[test]
    fn it_counts_the_identifiers_of_each_join() {
        let both = ["globex", "hooli"];
        for (join, with, identifiers) in [
            (Join::Inner, &both[..], 30),
            (Join::Inner, &both[..1], 130),
            (Join::Difference, &both[..], 330),
            (Join::Difference, &both[1..], 430),
            (Join::Left, &both[..], 500),
        ] {
            assert_eq!(outcome(&three(), 1, wanted(join, with)), Ok(identifiers), "{join} {with:?}");
            assert_eq!(outcome(&three(), 20, wanted(join, with)), Ok(identifiers), "{join} {with:?}");
        }
    }

    #[test]
    fn small_groups_make_no_list_whether_they_are_in_it_or_left_out_of_it() {
        let few_matched = table(&["acme", "globex"], &[(&[0], 100), (&[0, 1], 3), (&[1], 90)]);
        let few_unmatched = table(&["acme", "globex"], &[(&[0], 3), (&[0, 1], 100), (&[1], 90)]);
        for join in Join::ALL {
            for table in [&few_matched, &few_unmatched] {
                assert_eq!(outcome(table, 5, wanted(join, &["globex"])), Err(NotMade::MinCount), "{join}");
                assert!(outcome(table, 3, wanted(join, &["globex"])).is_ok(), "{join}");
            }
        }
        // Of none there is a list, and it says so.
        let nobody = table(&["acme", "globex"], &[(&[0], 100), (&[1], 90)]);
        assert_eq!(outcome(&nobody, 5, wanted(Join::Inner, &["globex"])), Ok(0));
    }

    #[test]
    fn no_list_gives_away_a_count_that_the_report_withholds() {
        // 140 and 300 of acme's are large, but the three at all holders are not, and all that is beside them is withheld.
        let regions: [(&[usize], u64); 6] =
            [(&[0], 300), (&[0, 1], 140), (&[0, 1, 2], 3), (&[0, 2], 80), (&[1], 200), (&[2], 100)];
        let table = table(&["acme", "globex", "hooli"], &regions);
        for join in Join::ALL {
            for with in [&["globex"][..], &["hooli"], &["globex", "hooli"]] {
                let made = outcome(&table, 5, wanted(join, with));
                let found = report(&table, 5, wanted(join, with));
                let pair = |other: &str| {
                    found
                        .overlap
                        .pairwise
                        .iter()
                        .any(|pair| pair.a.as_str() == "acme" && pair.b.as_str() == other && pair.count.is_some())
                };
                // Where it is made, its count stands in the report already.
                let stands =
                    with.len() == 1 && pair(with[0]) || join == Join::Difference && found.parties[0].matched.is_some();
                assert!(made.is_err() || stands, "{join} {with:?}");
            }
        }
        assert_eq!(outcome(&table, 5, wanted(Join::Left, &["globex", "hooli"])), Err(NotMade::MinCount));
    }

    #[test]
    fn its_count_is_rounded_and_left_out_as_the_figures_beside_it() {
        use crate::report::{AppliedRule, RULE_ROUNDING};
        let released = |left_out: &[Output], join, with: &[&str]| {
            let mut report = report(&three(), 1, wanted(join, with));
            let rule = RULE_ROUNDING.to_owned();
            report.policy.rules.push(AppliedRule { rule, limit: 50, set_by: "space".to_owned() });
            let left_out: Vec<_> = left_out.iter().map(|output| (*output, "globex".to_owned())).collect();
            report.release(&left_out)
        };
        let both = ["globex", "hooli"];
        assert_eq!(released(&[], Join::Inner, &both[..1]).lists[0].identifiers, Some(150));
        assert_eq!(released(&[Output::All], Join::Inner, &both[..1]).lists[0].identifiers, Some(150));
        for (left_out, join, with) in [
            (&[Output::Pairwise, Output::Regions][..], Join::Inner, &both[..1]),
            (&[Output::All, Output::Regions], Join::Inner, &both),
            (&[Output::Parties, Output::Regions], Join::Difference, &both),
        ] {
            let report = released(left_out, join, with);
            assert_eq!((report.lists[0].identifiers, report.lists[0].not_made), (None, None), "{left_out:?}");
            let named = report.suppressed.iter().find(|cell| cell.cell == "lists[acme].identifiers").unwrap();
            assert_eq!((named.rule.as_str(), named.set_by.as_str()), (RULE_OUTPUTS, "globex"));
            assert!(report.summary_text().contains("how many is left out"));
        }
    }

    #[test]
    fn a_holder_that_is_not_there_and_a_table_of_tokens_make_no_list() {
        let absent = outcome(&two_holders(), 1, wanted(Join::Inner, &["globex", "hooli"]));
        assert_eq!(absent, Err(NotMade::Absent));
        let table = WantedList { unauthenticated: true, ..wanted(Join::Inner, &["globex"]) };
        assert_eq!(outcome(&two_holders(), 1, table), Err(NotMade::Unauthenticated));
        let other_kind = WantedList { kind: "phone".parse().unwrap(), ..wanted(Join::Inner, &["globex"]) };
        assert_eq!(outcome(&two_holders(), 1, other_kind), Err(NotMade::Absent));
    }

    #[test]
    fn every_form_of_the_report_says_what_became_of_a_list() {
        let found = report(&two_holders(), 1, wanted(Join::Inner, &["globex"]));
        let json = found.to_json_pretty();
        assert!(json.contains("\"join\": \"inner\"") && !json.contains("not_made"), "{json}");
        assert_eq!(Report::from_json(json.as_bytes()).unwrap(), found);
        for text in [found.summary_text(), report_html::render(&found)] {
            assert!(text.contains("rows that globex has too") && text.contains("4,210 identifiers"), "{text}");
        }
        let withheld = report(&two_holders(), 5_000, wanted(Join::Inner, &["globex"]));
        assert!(withheld.to_json_pretty().contains("\"not_made\": \"min_count\""));
        assert!(withheld.summary_text().contains("too few"), "{}", withheld.summary_text());
        let none = Report::build(inputs(vec![("email", two_holders())], 1)).unwrap();
        assert!(!none.to_json_pretty().contains("lists") && !none.summary_text().contains("Lists"));
    }
}
