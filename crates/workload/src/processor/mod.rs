//! Processors: one file an event type. [`process`] is the only way in.
//!
//! ```text
//! Event -> collect the mailbox -> (fuse what is new -> match -> report) -> Outcome
//! ```
//!
//! Every processor may be stopped at any moment and run again with the same event: what it writes is atomic, and what is
//! there already is not done again.

mod aggregates;
mod check_common_customers;
mod check_data_quality;
mod check_valid_customer;
mod enrol;
mod fuse;
mod initialize;
mod lists;
mod lookup_error;
mod output;
mod policy;
mod report_files;
mod roster;
mod token_table;
mod waterfall;

pub use check_valid_customer::ANSWER_FILE;
pub use lookup_error::LookupError;
pub use token_table::TokenTableError;

use crate::{
    error::{Error, Result},
    event::{Event, EventType},
    outcome::{Outcome, Progress},
    step::{self, Step},
    workload::Workload,
};

/// Processes one event to its end, alone among all processes that work on the same state.
///
/// # Errors
/// Whatever the processor met; [`Error::is_retryable`] says whether to try again. [`Error::NotProvided`] for the types of the
/// platform that this version does not process.
pub fn process(workload: &mut Workload, event: &Event, progress: Progress<'_>) -> Result<Outcome> {
    let _alone = workload.lock()?;
    workload.begin(event);
    workload.state().check_key()?;
    workload.reread_space()?;
    if event.event_type != EventType::Initialize {
        enrol::refuse_if_lost(workload)?;
    }
    if workload.state().is_done(&event.id)? {
        workload.jobs()?.done_before(&event.id)?;
        return Ok(Outcome::AlreadyDone);
    }
    let outcome = match &event.event_type {
        EventType::Initialize => initialize::initialize(workload, event)?,
        EventType::Enrol => Outcome::Collected(enrol::collect(workload)?),
        EventType::Fuse => {
            let taking_part = fuse::taking_part(workload, event)?;
            enrol::collect(workload)?;
            Outcome::Fused(fuse::fuse(workload, &taking_part, progress)?)
        }
        EventType::CheckCommonCustomers => {
            let taking_part = fuse::taking_part(workload, event)?;
            enrol::collect(workload)?;
            check_common_customers::check(workload, event, &taking_part, progress)?
        }
        EventType::CheckDataQuality => {
            // Plain datasets are checked without an epoch too.
            if workload.state().open_epoch()?.is_some() {
                enrol::collect(workload)?;
            }
            check_data_quality::check(workload, event, progress)?
        }
        EventType::CheckValidCustomer => check_valid_customer::check(workload, event)?,
        EventType::Unknown(name) => {
            tracing::warn!(event = %event.id, event_type = %name, "unknown event type: acknowledged, nothing done");
            Outcome::Ignored { event_type: name.clone() }
        }
        #[allow(unreachable_patterns)]
        _ => return Err(Error::NotProvided { event_type: event.name().to_owned() }),
    };
    // Whoever lists jobs stands in another folder.
    let output = outcome.output().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    workload.state_mut().note_done(&event.id, event.name(), &outcome.summary(), output.as_deref())?;
    step::at(Step::DoneNoted);
    Ok(outcome)
}
