//! A report's figures as bars of text: the groups of holders, at how many holders, and each holder's way from rows to matches.
//!
//! In goes a [`Report`], out come lines that fit the terminal. On a terminal that writes UTF-8 the bars are block characters with
//! steps of an eighth; elsewhere, and where `NO_COLOR` is set, they are plain ASCII. No colours. A withheld count is the word, and
//! has no bar. The tables with every number are the report's own summary; this draws the largest figures only.

use std::{
    cmp::Reverse,
    fmt::Write,
    io::{IsTerminal, stdout},
};

use datafuse_engine::report::{Count, Funnel, KindInfo, Output, Overlap, Region, Report};

use crate::console;

/// How many lines a picture has at most; the rest is said as a number.
const LINES: usize = 10;

/// The widths that pictures are drawn for; narrower terminals wrap.
const NARROWEST: usize = 40;
const WIDEST: usize = 120;

/// The width where there is no terminal.
const WIDTH: usize = 80;

/// The least room for a bar.
const LEAST_BAR: usize = 8;

/// What pictures are drawn on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paper {
    width: usize,
    ascii: bool,
}

impl Paper {
    /// Gives what standard output is.
    pub(crate) fn of_stdout() -> Self {
        let is_terminal = stdout().is_terminal();
        let width = terminal_size::terminal_size_of(stdout()).map_or(WIDTH, |(width, _)| usize::from(width.0));
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let encoding =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| set(name)).unwrap_or_default().to_lowercase();
        let is_utf8 = cfg!(windows) || encoding.contains("utf-8") || encoding.contains("utf8");
        let is_plain = set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb");
        Self { width, ascii: !is_terminal || !is_utf8 || is_plain }
    }

    fn width(&self) -> usize {
        self.width.clamp(NARROWEST, WIDEST)
    }

    /// A bar of so much of the largest, over `room` characters.
    fn bar(&self, value: u64, largest: u64, room: usize) -> String {
        let steps = if self.ascii { 1 } else { 8 };
        let length = scaled(value, largest, room * steps).max(usize::from(value > 0));
        if self.ascii {
            return "#".repeat(length);
        }
        let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][length % 8];
        format!("{}{part}", "█".repeat(length / 8))
    }

    /// The characters for matched, unique, and duplicate rows, and for invalid or empty ones.
    fn shades(&self) -> [char; 4] {
        if self.ascii { ['#', '=', ':', '.'] } else { ['█', '▓', '▒', '░'] }
    }

    fn shortened(&self, text: &str, room: usize) -> String {
        if text.chars().count() <= room {
            return text.to_owned();
        }
        let end = if self.ascii { "..." } else { "…" };
        let kept: String = text.chars().take(room.saturating_sub(end.chars().count())).collect();
        format!("{kept}{end}")
    }
}

/// Draws every kind's pictures, with a final newline.
pub(crate) fn draw(report: &Report, paper: &Paper) -> String {
    let mut out = String::new();
    for KindInfo { kind, overlap, parties } in report.kinds() {
        if !report.by_kind.is_empty() {
            let _ = writeln!(out, "By {kind}\n");
        }
        if report.shows(Output::Regions) {
            groups(&mut out, paper, overlap, parties.len());
        }
        let depth: Vec<_> = overlap.at_least.iter().map(|entry| (entry.holders.to_string(), entry.count)).collect();
        let columns = Columns::of(paper, &depth[..depth.len().min(LINES)]);
        if report.shows(Output::AtLeast) {
            bars(&mut out, paper, "At this many holders, or at more", &depth, &columns, largest(&depth));
        }
        if report.shows(Output::Parties) {
            funnels(&mut out, paper, parties);
        }
    }
    // Pictures are a line apart; the last one ends the text.
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The groups at exactly these holders: shared ones, then those at one holder, largest first.
fn groups(out: &mut String, paper: &Paper, overlap: &Overlap, holders: usize) {
    let lines = |shared: bool| {
        let mut regions: Vec<&Region> =
            overlap.regions.iter().filter(|region| (region.holders.len() > 1) == shared).collect();
        // The group of all holders is the one that was asked for: it comes first, however small it is.
        regions.sort_by_key(|region| (region.holders.len() < holders, Reverse(region.count)));
        regions.into_iter().map(|region| (name(region, holders), region.count)).collect::<Vec<_>>()
    };
    let (shared, alone) = (lines(true), lines(false));
    let (of_shared, of_alone) = (largest(&shared), largest(&alone));
    // One scale for both, unless the shared groups would shrink to nothing beside the others.
    let one_scale = (of_alone <= of_shared.saturating_mul(10)).then_some(of_shared.max(of_alone));
    let shown: Vec<_> = [&shared, &alone].into_iter().flat_map(|lines| lines.iter().take(LINES).cloned()).collect();
    let columns = Columns::of(paper, &shown);
    bars(out, paper, "At exactly these holders", &shared, &columns, one_scale.unwrap_or(of_shared));
    let title = if one_scale.is_some() { "At one holder only" } else { "At one holder only (to a smaller scale)" };
    bars(out, paper, title, &alone, &columns, one_scale.unwrap_or(of_alone));
}

fn name(region: &Region, holders: usize) -> String {
    match region.holders.len() {
        all if all == holders && holders > 3 => format!("all {holders} holders"),
        _ => region.holders.iter().map(|holder| holder.as_str()).collect::<Vec<_>>().join(" + "),
    }
}

fn largest(lines: &[(String, Count)]) -> u64 {
    lines.iter().filter_map(|(_, count)| *count).max().unwrap_or(0)
}

/// One picture: a title, and for each line its name, its count and its bar.
fn bars(out: &mut String, paper: &Paper, title: &str, lines: &[(String, Count)], columns: &Columns, scale: u64) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}");
    for (name, count) in lines.iter().take(LINES) {
        let bar = count.map_or_else(String::new, |count| paper.bar(count, scale, columns.bar));
        columns.line(out, paper, name, *count, &bar);
    }
    rest(out, lines.len());
}

/// Each holder's rows, as one bar of shades.
fn funnels(out: &mut String, paper: &Paper, parties: &[Funnel]) {
    let lines: Vec<_> = parties.iter().take(LINES).map(|party| (party.holder.to_string(), party.rows)).collect();
    let columns = Columns::of(paper, &lines);
    let scale = largest(&lines);
    let [matched, unique, duplicate, other] = paper.shades();
    let shown = &parties[..lines.len()];
    let _ = writeln!(
        out,
        "From rows to matches: {matched} matched, {unique} at this holder only, {duplicate} duplicate, {other} invalid or empty"
    );
    if shown.iter().any(|party| party.matched.is_none()) {
        let _ = writeln!(out, "(? how many of these matched is withheld)");
    }
    for (party, (name, rows)) in shown.iter().zip(&lines) {
        let bar = funnel(paper, party, scale, columns.bar);
        columns.line(out, paper, name, *rows, &bar);
    }
    rest(out, parties.len());
}

fn funnel(paper: &Paper, party: &Funnel, scale: u64, room: usize) -> String {
    let (Some(duplicate), Some(unique)) = (party.duplicate.filter(|_| party.rows.is_some()), party.unique) else {
        return String::new();
    };
    let [of_matched, of_unique, of_duplicate, of_other] = paper.shades();
    let matched = party.matched.unwrap_or(0).min(unique);
    let of_rest = if party.matched.is_some() { of_unique } else { '?' };
    let pieces = [
        (of_matched, matched),
        (of_rest, unique - matched),
        (of_duplicate, duplicate),
        (of_other, party.invalid.unwrap_or(0).saturating_add(party.empty.unwrap_or(0))),
    ];
    let (mut bar, mut before) = (String::new(), 0_u64);
    for (shade, count) in pieces {
        let start = scaled(before, scale, room);
        before = before.saturating_add(count);
        bar.extend(std::iter::repeat_n(shade, scaled(before, scale, room).saturating_sub(start)));
    }
    bar
}

fn rest(out: &mut String, lines: usize) {
    if lines > LINES {
        let _ = writeln!(out, "  ... {} more in report.json", console::count((lines - LINES) as u64));
    }
    out.push('\n');
}

/// How wide each part of a line is.
struct Columns {
    name: usize,
    count: usize,
    bar: usize,
}

impl Columns {
    fn of(paper: &Paper, lines: &[(String, Count)]) -> Self {
        let width = paper.width();
        let name = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(width * 2 / 5);
        let count = lines.iter().map(|(_, count)| words(*count).chars().count()).max().unwrap_or(0);
        // Two spaces before each of the three.
        let bar = width.saturating_sub(name + count + 6).max(LEAST_BAR);
        Self { name, count, bar }
    }

    fn line(&self, out: &mut String, paper: &Paper, name: &str, count: Count, bar: &str) {
        let (name, words) = (paper.shortened(name, self.name), words(count));
        let line = format!("  {name:<of_name$}  {words:>of_count$}  {bar}", of_name = self.name, of_count = self.count);
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn words(count: Count) -> String {
    count.map_or_else(|| "withheld".to_owned(), console::count)
}

/// `value` of `largest` in units of which there are `full`, rounded to the nearest.
fn scaled(value: u64, largest: u64, full: usize) -> usize {
    let largest = u128::from(largest.max(1));
    let scaled = (u128::from(value) * full as u128 + largest / 2) / largest;
    usize::try_from(scaled).unwrap_or(full).min(full)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    const ASCII: Paper = Paper { width: 60, ascii: true };

    fn report(change: impl FnOnce(&mut Value)) -> Report {
        let mut report = json!({
            "schema": "datafuse/report/v1", "common_customers": { "by_email": 3 }, "kind": "email",
            "overlap": {
                "all": 100,
                "pairwise": [{ "a": "acme", "b": "globex", "count": 100 }],
                "at_least": [{ "holders": 1, "count": 600 }, { "holders": 2, "count": 100 }],
                "regions": [
                    { "holders": ["acme"], "count": 400 }, { "holders": ["acme", "globex"], "count": 100 },
                    { "holders": ["globex"], "count": 100 }
                ]
            },
            "parties": [
                { "holder": "acme", "rows": 800, "empty": 100, "invalid": 50, "duplicate": 150, "unique": 500, "matched": 100 },
                { "holder": "globex", "rows": 200, "empty": 0, "invalid": 0, "duplicate": 0, "unique": 200, "matched": 100 }
            ],
            "suppressed": [], "policy": { "min_count": 1 },
            "provenance": {
                "space": "try", "root": "00", "epoch": 1, "event": "1-0", "type": "CHECK_COMMON_CUSTOMERS", "datasets": [],
                "datafuse": "0.1.0", "at": "2026-11-26T10:00:00Z"
            }
        });
        change(&mut report);
        Report::from_json(report.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn bars_are_to_scale_and_fit_the_width() {
        let expected = "\
At exactly these holders
  acme + globex  100  ##########

At one holder only
  acme           400  ######################################
  globex         100  ##########

At this many holders, or at more
  1  600  ##################################################
  2  100  ########

From rows to matches: # matched, = at this holder only, : duplicate, . invalid or empty
  acme    800  ######======================:::::::::........
  globex  200  ######=====
";
        let text = draw(&report(|_| ()), &ASCII);
        assert_eq!(text, expected);
        assert!(text.lines().filter(|line| line.contains("  ")).all(|line| line.len() <= 60));
    }

    #[test]
    fn blocks_have_steps_of_an_eighth() {
        let paper = Paper { width: 60, ascii: false };
        assert_eq!([1, 4, 8, 9, 16].map(|value| paper.bar(value, 16, 2)), ["▏", "▌", "█", "█▏", "██"]);
        assert_eq!([0, 1].map(|value| paper.bar(value, u64::MAX, 9)), ["", "▏"]);
        assert!(draw(&report(|_| ()), &paper).contains("globex  200  ██████▓▓▓▓▓"));
    }

    #[test]
    fn a_withheld_count_is_a_word_and_has_no_bar() {
        let text = draw(
            &report(|report| {
                report["overlap"]["regions"][1]["count"] = Value::Null;
                report["overlap"]["at_least"][1]["count"] = Value::Null;
                report["parties"][0]["matched"] = Value::Null;
                report["parties"][1]["rows"] = Value::Null;
            }),
            &ASCII,
        );
        assert!(text.contains("\n  acme + globex  withheld\n"), "{text}");
        assert!(text.contains("\n  2  withheld\n"), "{text}");
        assert!(text.contains("(? how many of these matched is withheld)"), "{text}");
        assert!(text.contains("\n  acme         800  ?????"), "{text}");
        assert!(text.contains("\n  globex  withheld\n"), "{text}");
    }

    #[test]
    fn zero_has_no_bar_and_one_of_many_has() {
        let text = draw(
            &report(|report| {
                report["overlap"]["at_least"] = json!([{ "holders": 1, "count": 9_000_000 }, { "holders": 2, "count": 1 }, { "holders": 3, "count": 0 }]);
            }),
            &ASCII,
        );
        assert!(text.contains("\n  2          1  #\n  3          0\n"), "{text}");
    }

    #[test]
    fn long_names_are_cut_and_long_lists_end_with_a_number() {
        let text = draw(
            &report(|report| {
                let region = |at: usize| json!({ "holders": [format!("holder-number-{at:02}-{}", "x".repeat(40))], "count": at });
                report["overlap"]["regions"] = (1..=25).map(region).collect();
            }),
            &ASCII,
        );
        assert!(text.contains("  holder-number-25-xxxx...  25  ####"), "{text}");
        assert!(text.contains("  ... 15 more in report.json\n"), "{text}");
    }

    #[test]
    fn the_group_of_all_holders_comes_first_however_small() {
        let text = draw(
            &report(|report| {
                let party = report["parties"][0].clone();
                let names = ["acme", "globex", "hooli", "initech"];
                let of = |name: &str| {
                    let mut party = party.clone();
                    party["holder"] = json!(name);
                    party
                };
                report["parties"] = names.iter().map(|name| of(name)).collect();
                let regions = report["overlap"]["regions"].as_array_mut().unwrap();
                regions.insert(1, json!({ "holders": names, "count": 2 }));
            }),
            &ASCII,
        );
        assert!(
            text.starts_with("At exactly these holders\n  all 4 holders    2  #\n  acme + globex  100  ##"),
            "{text}"
        );
    }

    #[test]
    fn several_kinds_are_named() {
        let text = draw(
            &report(|report| {
                report["by_kind"] = json!({ "phone": { "overlap": report["overlap"], "parties": report["parties"] } });
            }),
            &ASCII,
        );
        assert!(text.starts_with("By email\n\nAt exactly these holders\n"), "{text}");
        assert!(text.contains("\nBy phone\n\nAt exactly"), "{text}");
    }
}
