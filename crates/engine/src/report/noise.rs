//! Differential privacy: random noise on the counts of a report, of an amount that the agreement sets.
//!
//! In go the exact match table of a kind and the epsilon; out comes a table with noise. To the count of every set of holders, those
//! that nobody is in as well, an integer is added that is drawn from the discrete Laplace distribution of scale 2 / epsilon, by
//! OpenDP's exact sampler (Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy", arXiv:2004.00010): no
//! floating-point number takes part in it. What falls below zero is made zero. Every figure of the overlap is then computed from this
//! table, and from nothing else.
//!
//! Why 2: two collections of datasets are neighbours where one of them has one identifier more in one dataset. That identifier is in
//! another region then: one count is smaller by one and one is larger by one, or, where nobody had it, one is larger. So the counts
//! of a kind change by at most 2 in all, and noise of scale 2 / epsilon makes the kind's table epsilon-differentially private. What is
//! computed of the table is no less private. Kinds are noised apart, and their epsilons add up.
//!
//! The counts of rows have other sensitivities: they are withheld.

use dashu::{integer::UBig, rational::RBig};
use datafuse_core::{
    epsilon::Epsilon,
    id::{DatasetId, ParticipantId},
};
use opendp::traits::samplers::sample_discrete_laplace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Report, ReportError, ReportInputs, RowCounts, Suppressed, schema};
use crate::match_table::{HolderSet, MatchTable};

/// The rule by which counts are noised, and others are withheld for it.
pub const RULE_DIFFERENTIAL_PRIVACY: &str = "differential_privacy";

/// Up to so many holders: with more, nearly all sets of holders have nobody in them, and noise alone.
pub const MAX_NOISY_HOLDERS: usize = 10;

/// How much one identifier more or less in one dataset changes the counts of a table.
const SENSITIVITY: u64 = 2;

const MILLION: u64 = 1_000_000;

/// The noise of a report, for its readers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DifferentialPrivacy {
    /// The distribution of the noise: `discrete_laplace`.
    pub mechanism: String,
    /// The privacy loss of each kind's figures.
    #[schemars(with = "f64", range(min = 0.0))]
    pub epsilon: Epsilon,
    /// Who set it: `space`, or a participant.
    pub set_by: String,
    /// By how much one identifier more or less in one dataset changes the exact counts of the regions in all.
    pub sensitivity: u64,
    /// How far figures are off the exact ones at most, each with a probability of 95 %.
    pub error_95: Error95,
    /// What this report spent of the datasets' budgets.
    pub spent: Vec<SpentEpsilon>,
}

/// Bounds that a figure keeps with a probability of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Error95 {
    /// Of a region, and of what is common to all holders.
    pub region: u64,
    /// Of a pair.
    pub pair: u64,
    /// Of a holder's distinct and matched identifiers, and of those at so many holders or more.
    pub total: u64,
}

/// What a report spent of a dataset's budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpentEpsilon {
    /// Whose dataset.
    #[schemars(with = "schema::Name")]
    pub holder: ParticipantId,
    /// Which.
    #[schemars(with = "schema::Name")]
    pub dataset: DatasetId,
    /// The epsilons of the kinds that it has, added up.
    #[schemars(with = "f64", range(min = 0.0))]
    pub epsilon: Epsilon,
}

/// What noise a report gets.
#[derive(Clone, Debug)]
pub struct Noise {
    /// The privacy loss of each kind.
    pub epsilon: Epsilon,
    /// Who set it: `space`, or a participant.
    pub set_by: String,
    /// What each dataset pays for it.
    pub spent: Vec<SpentEpsilon>,
}

impl Report {
    /// Makes a report of noised counts, with everything withheld that the threshold asks for and every count of rows. Each call
    /// draws new noise.
    ///
    /// # Errors
    /// [`ReportError::TooManyHolders`], [`ReportError::NoNoise`]; [`ReportError::NoKinds`].
    pub fn build_noisy(inputs: ReportInputs, noise: Noise) -> Result<Self, ReportError> {
        let scale = noise.scale()?;
        Self::build_with(inputs, noise, || {
            let drawn = sample_discrete_laplace(scale.clone()).map_err(|_| ReportError::NoNoise)?;
            // What lies beyond is less likely than a broken machine; a bound on noise already drawn costs no privacy.
            Ok(i64::try_from(&drawn).unwrap_or(if drawn > 0.into() { i64::MAX } else { i64::MIN }))
        })
    }

    fn build_with(
        mut inputs: ReportInputs,
        noise: Noise,
        mut draw: impl FnMut() -> Result<i64, ReportError>,
    ) -> Result<Self, ReportError> {
        let mut holders = 0;
        for kind in &mut inputs.kinds {
            holders = holders.max(kind.table.holders.len());
            kind.table = noised(&kind.table, &mut draw)?;
            let table = &kind.table;
            // Nothing is said of rows: as many as there are noised identifiers.
            let rows = |holder| RowCounts { rows: table.unique(holder), ..RowCounts::default() };
            kind.rows = table.holders.iter().cloned().enumerate().map(|(index, name)| (name, rows(index))).collect();
        }
        let mut report = Self::build(inputs)?;
        report.withhold_rows(&noise.set_by);
        report.policy.differential_privacy = Some(DifferentialPrivacy {
            mechanism: "discrete_laplace".to_owned(),
            error_95: Error95::of(noise.epsilon, holders),
            epsilon: noise.epsilon,
            set_by: noise.set_by,
            sensitivity: SENSITIVITY,
            spent: noise.spent,
        });
        Ok(report)
    }

    /// Withholds every count of rows.
    fn withhold_rows(&mut self, set_by: &str) {
        let mut cells = Vec::new();
        self.each_kind(|prefix, _, parts| {
            for party in parts.parties.iter_mut() {
                (party.rows, party.empty, party.invalid, party.duplicate) = (None, None, None, None);
                let of_rows = ["rows", "empty", "invalid", "duplicate"];
                cells.extend(of_rows.map(|name| format!("{prefix}parties[{}].{name}", party.holder)));
            }
        });
        self.suppressed.retain(|suppressed| !cells.contains(&suppressed.cell));
        let min_count = self.policy.min_count;
        self.suppressed.extend(cells.into_iter().map(|cell| Suppressed {
            cell,
            rule: RULE_DIFFERENTIAL_PRIVACY.to_owned(),
            min_count,
            set_by: set_by.to_owned(),
        }));
    }

    /// Says in plain words that figures are noisy, and how much; `None` where they are exact.
    #[must_use]
    pub fn noise_text(&self) -> Option<String> {
        let DifferentialPrivacy { epsilon, set_by, error_95, .. } = self.policy.differential_privacy.as_ref()?;
        let Error95 { region, pair, total } = error_95;
        Some(format!(
            "Figures have random noise ({RULE_DIFFERENTIAL_PRIVACY}, epsilon {epsilon} for each kind, set by {set_by}). With a \
             probability of 95 % a group, and what is common to all, is off by at most {region}, a pair by at most {pair}, any other \
             figure by at most {total}. Rows are not counted."
        ))
    }
}

impl Noise {
    /// The scale of the noise, as an exact fraction.
    fn scale(&self) -> Result<RBig, ReportError> {
        if self.epsilon.millionths() == 0 {
            return Err(ReportError::NoNoise);
        }
        Ok(RBig::from_parts((SENSITIVITY * MILLION).into(), UBig::from(self.epsilon.millionths())))
    }
}

impl Error95 {
    /// How far figures are off with so many holders.
    ///
    /// The noise X of one count has P(|X| > t) = 2 p^(t+1) / (1 + p), with p = exp(-epsilon / 2). A figure of m counts has the
    /// standard deviation s = sqrt(2 m p) / (1 - p), and counts that are made zero raise it by at most p / (1 - p^2) each: the bound
    /// is 1.96 s and that, by the normal
    /// approximation.
    fn of(epsilon: Epsilon, holders: usize) -> Self {
        let p = (-(epsilon.millionths() as f64) / MILLION as f64 / SENSITIVITY as f64).exp();
        let region = (((0.05 * (1.0 + p) / 2.0).ln() / p.ln()) - 1.0).ceil().max(0.0);
        let sum_of = |counts: f64| {
            let deviation = (2.0 * counts * p).sqrt() / (1.0 - p);
            let raised = counts * p / (1.0 - p * p);
            (1.96 * deviation + raised).ceil()
        };
        let regions = |fixed: usize| 2_f64.powi(holders.saturating_sub(fixed) as i32);
        let pair = if holders > 2 { sum_of(regions(2)) } else { region };
        Self { region: region as u64, pair: pair as u64, total: sum_of(regions(0) - 1.0) as u64 }
    }
}

/// Adds a drawn number to the count of every set of holders, those that nobody is in included.
fn noised(table: &MatchTable, draw: &mut impl FnMut() -> Result<i64, ReportError>) -> Result<MatchTable, ReportError> {
    let holders = table.holders.len();
    if holders > MAX_NOISY_HOLDERS {
        return Err(ReportError::TooManyHolders { holders });
    }
    let mut exact = vec![0_u64; 1 << holders];
    for (set, count) in &table.regions {
        exact[set.iter().map(|holder| 1_usize << holder).sum::<usize>()] = *count;
    }
    let mut regions = Vec::with_capacity(exact.len());
    for (mask, count) in exact.into_iter().enumerate().skip(1) {
        let set = HolderSet::new(holders, (0..holders).filter(|holder| mask >> holder & 1 == 1));
        regions.push((set, count.saturating_add_signed(draw()?)));
    }
    Ok(MatchTable::new(table.holders.clone(), regions))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        report::{Output, tests},
        report_html,
    };

    fn noise(millionths: u64) -> Noise {
        let spent = SpentEpsilon {
            holder: "acme".parse().unwrap(),
            dataset: "customers".parse().unwrap(),
            epsilon: Epsilon::from_millionths(millionths),
        };
        Noise { epsilon: Epsilon::from_millionths(millionths), set_by: "acme".into(), spent: vec![spent] }
    }

    fn inputs(min_count: u64) -> ReportInputs {
        let three: [(&[usize], u64); 3] = [(&[0], 500), (&[0, 1], 40), (&[2], 7)];
        tests::inputs(vec![("email", tests::table(&["acme", "globex", "hooli"], &three))], min_count)
    }

    #[test]
    fn every_set_of_holders_gets_a_number_of_its_own_and_all_figures_follow() {
        let mut drawn = (1..).map(|number| if number % 2 == 0 { number } else { -number });
        let report = Report::build_with(inputs(1), noise(500_000), || Ok(drawn.next().unwrap())).unwrap();
        // In the order acme, globex, both, hooli, acme and hooli, globex and hooli, all: -1 2 -3 4 -5 6 -7.
        let regions: Vec<_> = report.overlap.regions.iter().map(|region| region.count.unwrap()).collect();
        assert_eq!(regions, [499, 37, 2, 6, 11]);
        assert_eq!(drawn.next(), Some(8));
        assert_eq!(report.overlap.pairwise.iter().map(|pair| pair.count.unwrap()).collect::<Vec<_>>(), [37, 0, 6]);
        assert_eq!(report.overlap.at_least[0].count, Some(555));
        let acme = &report.parties[0];
        assert_eq!((acme.unique, acme.matched), (Some(536), Some(37)));
        assert_eq!((acme.rows, acme.empty, acme.invalid, acme.duplicate), (None, None, None, None));
        assert!(acme.would_change.is_empty());
        let withheld = report.suppressed.iter().filter(|suppressed| suppressed.rule == RULE_DIFFERENTIAL_PRIVACY);
        assert_eq!(withheld.count(), 12);
        assert_eq!(Report::from_json(report.to_json_pretty().as_bytes()).unwrap(), report);
        let said = report.noise_text().unwrap();
        assert!(said.contains("epsilon 0.5 for each kind, set by acme"), "{said}");
        assert!(report.summary_text().contains(&said) && report_html::render(&report).contains("random noise"));
    }

    #[test]
    fn the_threshold_and_the_other_rules_see_the_noised_counts() {
        let report = Report::build_with(inputs(50), noise(500_000), || Ok(20)).unwrap();
        // 40 and 20 are above 50 and below.
        assert!(report.suppressed.iter().any(|s| s.rule == "min_count" && s.cell == "overlap.all"), "{report:?}");
        let report = report.release(&[(Output::Parties, "globex".into())]);
        assert!(report.suppressed.iter().all(|suppressed| suppressed.rule != RULE_DIFFERENTIAL_PRIVACY));
    }

    /// Of 40,000 numbers each frequency is within five standard deviations of the distribution that is promised.
    #[test]
    fn the_noise_is_discrete_laplace_of_scale_two_by_epsilon() {
        const DRAWS: usize = 40_000;
        let epsilon = 1.0_f64;
        let scale = noise(1_000_000).scale().unwrap();
        let drawn: Vec<i64> =
            (0..DRAWS).map(|_| i64::try_from(&sample_discrete_laplace(scale.clone()).unwrap()).unwrap()).collect();
        let p = (-epsilon / 2.0).exp();
        for value in -6..=6_i64 {
            let expected = (1.0 - p) / (1.0 + p) * p.powi(value.unsigned_abs() as i32);
            let found = drawn.iter().filter(|number| **number == value).count() as f64 / DRAWS as f64;
            let deviation = (expected * (1.0 - expected) / DRAWS as f64).sqrt();
            assert!((found - expected).abs() < 5.0 * deviation, "{value}: {found} for {expected}");
        }
        let bound = Error95::of(Epsilon::from_millionths(1_000_000), 2).region;
        let within =
            |bound: u64| drawn.iter().filter(|number| number.unsigned_abs() <= bound).count() as f64 / DRAWS as f64;
        assert!(within(bound) > 0.945 && within(bound - 1) < 0.955, "{bound}: {}", within(bound));
    }

    /// The worst case of the bound: nobody anywhere.
    #[test]
    fn sums_keep_their_bound_in_95_of_100_reports() {
        for (names, epsilon) in [(vec!["a", "b"], 500_000), (vec!["a", "b", "c", "d", "e"], 1_000_000)] {
            let (mut pairs, mut totals) = (0, 0);
            for _ in 0..300 {
                let inputs = tests::inputs(vec![("email", tests::table(&names, &[]))], 1);
                let report = Report::build_noisy(inputs, noise(epsilon)).unwrap();
                let bound = report.policy.differential_privacy.as_ref().unwrap().error_95;
                pairs += u32::from(report.overlap.pairwise[0].count.unwrap() <= bound.pair);
                totals += u32::from(report.overlap.at_least[0].count.unwrap() <= bound.total);
            }
            assert!(pairs > 270 && totals > 270, "{pairs} {totals} of 300");
        }
    }

    #[test]
    fn more_holders_than_can_be_noised_and_no_epsilon_are_refused() {
        let names: Vec<_> = (0..11).map(|index| format!("h{index:02}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let inputs = tests::inputs(vec![("email", tests::table(&names, &[]))], 1);
        let error = Report::build_noisy(inputs.clone(), noise(1)).unwrap_err();
        assert!(matches!(error, ReportError::TooManyHolders { holders: 11 }) && error.remedy().is_some());
        assert!(matches!(Report::build_noisy(inputs, noise(0)), Err(ReportError::NoNoise)));
    }
}
