//! Whether a report may be made: the sizes of datasets, their differences from those reported before, the budget of each pair.
//!
//! The very same question (the same sets and row counts of the same holders under the same policy) gets the answer that it got
//! before, and costs nothing: whoever asks learns nothing more. Every other question has to pass every rule. A rule about sizes
//! concerns all that take part; one about a pair concerns its two holders; the space's own concern everybody.

use std::collections::{BTreeMap, BTreeSet};

use datafuse_core::{
    epsilon::Epsilon,
    id::{Epoch, KindName, ParticipantId},
};
use datafuse_engine::{
    fused_file::{FusedFile, FusedSummary},
    report::{AppliedRule, Noise, Output, Report, SpentEpsilon, Threshold},
    set_sketch::SetSketch,
};
use datafuse_space::{OutputLeftOut, Rule, Space};
use sha2::{Digest, Sha256};

use super::{aggregates, fuse};
use crate::{
    audit::Fact,
    directory::Holder,
    error::{Error, Result},
    event::Event,
    policy::PolicyError,
    state::{AcceptedDataset, Answered, EpsilonCost, GuardNotes, Kept, ReportedSet, report_subject},
    workload::Workload,
};

/// The smallest count that the report may show.
pub(super) fn threshold(space: &Space) -> Threshold {
    Threshold {
        min_count: space.min_count(),
        set_by: space.min_count_set_by().map_or_else(|| "space".to_owned(), ToString::to_string),
    }
}

/// The parts that reports do without, each with who does not allow it.
pub(super) fn left_out(space: &Space) -> Vec<(Output, String)> {
    named(&space.outputs_left_out())
}

/// The parts that the report of a data user does without.
pub(super) fn left_out_for(space: &Space, user: &ParticipantId) -> Vec<(Output, String)> {
    named(&space.outputs_left_out_for(user))
}

/// The parts that the report of some data user does without.
pub(super) fn left_out_for_some(space: &Space) -> Vec<(Output, String)> {
    named(&space.outputs_left_out_for_some())
}

fn named(left_out: &[OutputLeftOut<'_>]) -> Vec<(Output, String)> {
    let named = |output| match output {
        datafuse_space::Output::All => Output::All,
        datafuse_space::Output::Pairwise => Output::Pairwise,
        datafuse_space::Output::AtLeast => Output::AtLeast,
        datafuse_space::Output::Regions => Output::Regions,
        datafuse_space::Output::Parties => Output::Parties,
        datafuse_space::Output::Waterfall => Output::Waterfall,
        datafuse_space::Output::Aggregates => Output::Aggregates,
    };
    left_out.iter().map(|left_out| (named(left_out.output), left_out.set_by_name())).collect()
}

/// A dataset that takes part, with what its fused files say of themselves.
struct Asked<'a> {
    holder: &'a Holder,
    dataset: &'a AcceptedDataset,
    kinds: BTreeMap<&'a KindName, FusedSummary>,
}

/// What an event asks, known by the sets of identifiers and not by the files they came in.
pub(super) struct Question<'a> {
    epoch: Epoch,
    asked: Vec<Asked<'a>>,
    digest: String,
}

impl<'a> Question<'a> {
    /// Looks at the fused files of all that take part.
    pub(super) fn ask(
        workload: &Workload,
        holders: &'a [Holder],
        accepted: &'a [Vec<AcceptedDataset>],
    ) -> Result<Self> {
        let epoch = workload.open_epoch()?.epoch;
        let store_key = workload.state().secrets(epoch)?.store_key;
        let mut asked = Vec::new();
        for (holder, datasets) in holders.iter().zip(accepted) {
            for dataset in datasets {
                let mut kinds = BTreeMap::new();
                for (kind, fused) in &dataset.kinds {
                    let path = workload.layout().fused().join(&fused.file);
                    let label = fuse::fused_label(&dataset.holder, &dataset.dataset, dataset.version, kind);
                    kinds.insert(kind, FusedFile::open(&path, &store_key, &label)?.summary().clone());
                }
                asked.push(Asked { holder, dataset, kinds });
            }
        }
        let digest = digest(workload.space(), epoch, &asked)?;
        Ok(Self { epoch, asked, digest })
    }

    /// The answer that the same question got before.
    pub(super) fn answered(&self, workload: &Workload) -> Result<Option<Answered>> {
        workload.state().answered(self.epoch, &self.digest)
    }

    /// Applies every rule, and spends the budgets where all agree; a refusal is noted in the audit log and spends nothing. Gives
    /// what to remember, where somebody has a guard.
    pub(super) fn admit(&self, workload: &mut Workload, event: &Event) -> Result<GuardNotes> {
        let admitted = self.sizes(workload.space()).and_then(|()| {
            let notes = self.differences(workload)?;
            self.afford(workload)?;
            self.spend(workload, event)?;
            Ok(notes)
        });
        if let Err(Error::Policy(refusal)) = &admitted {
            let datasets: Vec<_> = self.asked.iter().map(|asked| asked.dataset.sha256.clone()).collect();
            workload.note(&Fact::ReportRefused { set_by: refusal.set_by(), datasets: &datasets })?;
        }
        admitted
    }

    /// Remembers the answer, and which sets met, and spends what its noise costs; gives the answer that is kept.
    pub(super) fn remember(&self, workload: &mut Workload, report: Report, notes: &GuardNotes) -> Result<Report> {
        let costs = self.costs(workload.space());
        match workload.state_mut().remember_answer(self.epoch, &self.digest, &report, notes, &costs)? {
            Kept::Yes => Ok(report),
            // Never another answer than the one that is paid for.
            Kept::HadAnswer => Ok(self.answered(workload)?.map_or(report, |kept| kept.report)),
            Kept::Exhausted { position } => Err(too_little_left(workload, &costs[position])?.into()),
        }
    }

    /// The noise of the report; `None` where nobody asks for any.
    pub(super) fn noise(&self, workload: &Workload) -> Option<Noise> {
        let epsilon = workload.space().epsilon(&self.concerned())?;
        let costs = self.costs(workload.space());
        let spent = costs.into_iter().map(|EpsilonCost { holder, dataset, cost, .. }| SpentEpsilon {
            holder,
            dataset,
            epsilon: cost,
        });
        Some(Noise { epsilon: epsilon.amount, set_by: epsilon.set_by_name(), spent: spent.collect() })
    }

    /// What the report costs each dataset: one epsilon for each kind that it has. Nothing where figures are exact.
    fn costs(&self, space: &Space) -> Vec<EpsilonCost> {
        let Some(epsilon) = space.epsilon(&self.concerned()) else { return Vec::new() };
        let cost = |asked: &Asked<'_>| EpsilonCost {
            holder: asked.holder.id.clone(),
            dataset: asked.dataset.dataset.clone(),
            cost: epsilon.amount.times(asked.kinds.len()),
            budget: space.epsilon_budget(&asked.holder.id).map(|budget| budget.amount),
        };
        self.asked.iter().map(cost).collect()
    }

    /// Looks whether every dataset has enough left, before hours are spent on an answer. It is spent with the answer.
    fn afford(&self, workload: &Workload) -> Result<()> {
        for cost in self.costs(workload.space()) {
            let spent = workload.state().epsilon_spent(&cost.holder, &cost.dataset)?.millionths();
            let too_little = |budget: Epsilon| cost.cost.millionths().saturating_add(spent) > budget.millionths();
            if cost.budget.is_some_and(too_little) {
                return Err(too_little_left(workload, &cost)?.into());
            }
        }
        Ok(())
    }

    /// The rules that were applied; of those about pairs the strictest that any pair has.
    pub(super) fn rules(&self, workload: &Workload) -> Vec<AppliedRule> {
        let concerned = self.concerned();
        let applied = |rule: Rule| {
            let strictest = workload.space().strictest(rule, &concerned)?;
            Some(AppliedRule { rule: rule.to_string(), limit: strictest.limit, set_by: strictest.set_by_name() })
        };
        Rule::ALL.into_iter().filter_map(applied).collect()
    }

    fn concerned(&self) -> Vec<&'a ParticipantId> {
        self.asked.iter().map(|asked| &asked.holder.id).collect()
    }

    fn sizes(&self, space: &Space) -> Result<()> {
        let concerned = self.concerned();
        let smallest = space.strictest(Rule::MinDatasetSize, &concerned);
        let largest = space.strictest(Rule::MaxDatasetSize, &concerned);
        for Asked { holder, dataset, kinds } in &self.asked {
            // A kind that a dataset brings nothing of matches nothing.
            for (&kind, summary) in kinds.iter().filter(|(_, summary)| summary.distinct > 0) {
                let (holder, dataset, kind) = (holder.id.clone(), dataset.dataset.clone(), kind.clone());
                if let Some(rule) = smallest.filter(|rule| summary.distinct < rule.limit) {
                    let (limit, set_by) = (rule.limit, rule.set_by_name());
                    return Err(PolicyError::TooSmall { holder, dataset, kind, limit, set_by }.into());
                }
                if let Some(rule) = largest.filter(|rule| summary.distinct > rule.limit) {
                    let (limit, set_by) = (rule.limit, rule.set_by_name());
                    return Err(PolicyError::TooLarge { holder, dataset, kind, limit, set_by }.into());
                }
            }
        }
        Ok(())
    }

    /// Compares each set with all that its holder's were in reports with the same partner, and gives those that are new there.
    fn differences(&self, workload: &Workload) -> Result<GuardNotes> {
        let store_key = workload.state().secrets(self.epoch)?.store_key;
        let by_rows = workload.space().analyses().look_at_rows();
        let company = self.company();
        let mut notes = GuardNotes::default();
        for Asked { holder, dataset, kinds } in &self.asked {
            for (&kind, summary) in kinds {
                let mut sketch: Option<SetSketch> = None;
                for partner in self.partners(holder) {
                    let pair = [&holder.id, &partner.id];
                    let Some(guard) = workload.space().strictest(Rule::DifferencingGuard, &pair) else { continue };
                    let set = ReportedSet {
                        holder: holder.name.clone(),
                        partner: partner.name.clone(),
                        kind: kind.clone(),
                        fused_set: summary.fused_set.clone(),
                    };
                    let known = workload.state().reported_company(self.epoch, &set)?;
                    if known.is_some_and(|known| known != company) {
                        return Err(PolicyError::OtherCompany {
                            holder: holder.id.clone(),
                            dataset: dataset.dataset.clone(),
                            partner: partner.id.clone(),
                            kind: kind.clone(),
                            set_by: guard.set_by_name(),
                        }
                        .into());
                    }
                    notes.companies.push((set.clone(), company.clone()));
                    if by_rows {
                        // Of the same identifiers the figures of other rows tell what was changed.
                        let rows = rows_of(dataset, summary);
                        let known = workload.state().reported_rows(self.epoch, &set)?;
                        if known.is_some_and(|known| known != rows) {
                            return Err(PolicyError::OtherRows {
                                holder: holder.id.clone(),
                                dataset: dataset.dataset.clone(),
                                partner: partner.id.clone(),
                                kind: kind.clone(),
                                set_by: guard.set_by_name(),
                            }
                            .into());
                        }
                        notes.rows.push((set.clone(), rows.to_owned()));
                    }
                    let Some(former) = workload.state().former_sets(self.epoch, &set)? else { continue };
                    let sketch = match &sketch {
                        Some(sketch) => sketch,
                        None => {
                            let path = workload.layout().fused().join(&dataset.kinds[kind].file);
                            sketch.insert(SetSketch::of_file(&path, &store_key, &summary.label)?)
                        }
                    };
                    if former.iter().any(|former| former.at_most(sketch, guard.limit - 1)) {
                        return Err(PolicyError::TooSimilar {
                            holder: holder.id.clone(),
                            dataset: dataset.dataset.clone(),
                            partner: partner.id.clone(),
                            kind: kind.clone(),
                            limit: guard.limit,
                            set_by: guard.set_by_name(),
                        }
                        .into());
                    }
                    notes.sets.push((set, sketch.clone()));
                }
            }
        }
        Ok(notes)
    }

    /// A digest of the names of all that take part.
    fn company(&self) -> String {
        let names: BTreeSet<_> = self.asked.iter().map(|asked| asked.holder.name.to_bytes()).collect();
        hex::encode(names.iter().fold(Sha256::new(), |digest, name| digest.chain_update(name)).finalize())
    }

    /// The other holders, each once.
    fn partners(&self, holder: &Holder) -> Vec<&'a Holder> {
        let mut partners: Vec<_> =
            self.asked.iter().map(|asked| asked.holder).filter(|other| other.id != holder.id).collect();
        partners.dedup_by(|a, b| a.id == b.id);
        partners
    }

    /// Spends one report of the budget of each two datasets of different holders; without a limit it only counts.
    fn spend(&self, workload: &mut Workload, event: &Event) -> Result<()> {
        let pairs: Vec<_> = (0..self.asked.len())
            .flat_map(|one| (one + 1..self.asked.len()).map(move |other| (one, other)))
            .map(|(one, other)| (&self.asked[one], &self.asked[other]))
            .filter(|(one, other)| one.holder.id != other.holder.id)
            .collect();
        let subjects: Vec<_> = pairs
            .iter()
            .map(|(one, other)| {
                let pair = [&one.holder.id, &other.holder.id];
                let limit = workload.space().strictest(Rule::ReportsPerPairPerDay, &pair).map(|rule| rule.limit);
                (report_subject((pair[0], &one.dataset.dataset), (pair[1], &other.dataset.dataset)), limit)
            })
            .collect();
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
        let Some(exhausted) = workload.state_mut().spend_each(&subjects, &today, &event.id)? else { return Ok(()) };
        let (a, b) = (&pairs[exhausted].0.holder.id, &pairs[exhausted].1.holder.id);
        let Some(rule) = workload.space().strictest(Rule::ReportsPerPairPerDay, &[a, b]) else { return Ok(()) };
        let (limit, set_by) = (rule.limit, rule.set_by_name());
        Err(PolicyError::Exhausted { a: a.clone(), b: b.clone(), limit, set_by }.into())
    }
}

/// The refusal of a report that costs a dataset more than it has left.
fn too_little_left(workload: &Workload, cost: &EpsilonCost) -> Result<PolicyError> {
    let spent = workload.state().epsilon_spent(&cost.holder, &cost.dataset)?;
    let budget = workload.space().epsilon_budget(&cost.holder);
    let (total, set_by) = budget.map_or_else(Default::default, |budget| (budget.amount, budget.set_by_name()));
    Ok(PolicyError::EpsilonExhausted {
        holder: cost.holder.clone(),
        dataset: cost.dataset.clone(),
        cost: cost.cost,
        left: Epsilon::from_millionths(total.millionths().saturating_sub(spent.millionths())),
        budget: total,
        set_by,
    })
}

/// What tells the rows of a dataset from others; of files of an earlier version the dataset itself.
fn rows_of<'a>(dataset: &'a AcceptedDataset, summary: &'a FusedSummary) -> &'a str {
    if summary.fused_rows.is_empty() { &dataset.sha256 } else { &summary.fused_rows }
}

/// Hashes everything that the figures of a report follow from.
fn digest(space: &Space, epoch: Epoch, asked: &[Asked<'_>]) -> Result<String> {
    let datasets: Vec<_> = asked
        .iter()
        .map(|Asked { holder, dataset, kinds }| {
            let kinds: BTreeMap<_, _> = kinds
                .iter()
                .map(|(kind, summary)| {
                    let counts = &dataset.kinds[*kind];
                    (kind.as_str(), (&summary.fused_set, counts.empty, counts.invalid, &counts.would_change))
                })
                .collect();
            (holder.id.as_str(), dataset.dataset.as_str(), dataset.rows, dataset.unauthenticated, kinds)
        })
        .collect();
    let Threshold { min_count, set_by } = threshold(space);
    let concerned: Vec<_> = asked.iter().map(|asked| &asked.holder.id).collect();
    let rules: Vec<_> = Rule::ALL
        .into_iter()
        .filter_map(|rule| Some((rule.as_str(), space.strictest(rule, &concerned)?)))
        .map(|(rule, strictest)| (rule, strictest.limit, strictest.set_by_name()))
        .collect();
    let left_out: Vec<_> = left_out(space).into_iter().map(|(output, set_by)| (output.as_str(), set_by)).collect();
    let noise = space.epsilon(&concerned).map(|epsilon| (epsilon.amount.millionths(), epsilon.set_by_name()));
    // Which identifiers stand in one row, and what is kept beside them, is no matter of sets.
    let waterfall = &space.analyses().waterfall;
    let order: Vec<_> = waterfall.iter().map(KindName::as_str).collect();
    let lists: Vec<_> = space
        .analyses()
        .lists
        .iter()
        .map(|(holder, list)| (holder.as_str(), list.join.as_str(), list.kind.as_str(), space.list_with(holder)))
        .collect();
    let aggregates = aggregates::asked(space);
    let by_rows = space.analyses().look_at_rows();
    let rows: Vec<Vec<_>> = (asked.iter().filter(|_| by_rows))
        .map(|Asked { dataset, kinds, .. }| kinds.values().map(|summary| rows_of(dataset, summary)).collect())
        .collect();
    let question = (
        env!("CARGO_PKG_VERSION"),
        epoch.0,
        datasets,
        (min_count, set_by),
        rules,
        (left_out, noise),
        (order, lists, aggregates, rows),
    );
    let question = serde_json::to_vec(&question).map_err(|_| Error::StateSealed)?;
    Ok(hex::encode(Sha256::digest(question)))
}
