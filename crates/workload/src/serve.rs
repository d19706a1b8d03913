//! Takes event after event from a queue, has each processed, and acknowledges it only when its output is in place.
//!
//! | what came of an event | what follows |
//! | --- | --- |
//! | done, done before, or of an unknown type | audited, acknowledged |
//! | malformed, or failed for good | audited, put aside as a dead letter: id and error class, nothing else |
//! | failed, may succeed later | audited, given back after a pause; after [`MAX_DELIVERIES`] deliveries put aside |
//! | failed, and a place that every event needs is away | the same, and no event is taken until it is there again |
//! | a stop leaves it no time | given back as it is |
//! | the process dies | delivered again, here or elsewhere; what is there already is not done again |
//!
//! Each step is noted in the list of jobs as well. Where that fails, an event is not begun; one that is at work goes on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::watch, task, time};
use tracing::{Instrument, Span, field::Empty};

use crate::{
    audit::{AuditLog, MALFORMED},
    backoff::Backoff,
    error::{Error, Result},
    event::Event,
    jobs::{JobState, Jobs},
    outcome::{Outcome, Stage},
    processor::process,
    queue::{Delivery, MAX_DELIVERIES, Queue},
    ready::Readiness,
    step::{self, Step},
    workload::Workload,
};

/// The pause before an event that failed is given back, or a queue that does not answer is asked again: doubled with each
/// attempt, from one second to a minute, and spread.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How to serve.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// Take one event, then end. Waits for it as long as it takes.
    pub once: bool,
    /// How long an event at work may go on after a stop was asked for; then it is left to be delivered again.
    pub drain: Duration,
}

/// What happened to an event.
#[derive(Debug)]
pub enum Served {
    /// It was processed and acknowledged.
    Done(Event, Box<Outcome>),
    /// It was put aside, or given back to be tried again.
    Failed(Error),
    /// A stop was asked for before there was one, or before it was done.
    Stopped,
}

/// Hears of each stage, from several threads.
pub type OnStage = Arc<dyn Fn(Stage<'_>) + Send + Sync>;

/// Serves until `stop` turns true; with `once`, until one event was taken. Each event's fate is told to `hear`.
///
/// # Errors
/// That the queue or the audit log cannot be used; an event that fails is no error here.
pub async fn serve(
    workload: Workload,
    queue: &dyn Queue,
    audit: &AuditLog,
    options: ServeOptions,
    mut stop: watch::Receiver<bool>,
    on_stage: OnStage,
    mut hear: impl FnMut(&Served),
) -> Result<Served> {
    let mut jobs = workload.jobs()?;
    let readiness = Arc::new(workload.readiness());
    let workload = Arc::new(Mutex::new(workload));
    let mut silence = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let served = loop {
        let delivery = tokio::select! {
            biased;
            () = stopped(&mut stop) => break Ok(Served::Stopped),
            delivery = queue.next(None) => delivery,
        };
        let delivery = match delivery {
            Ok(Some(delivery)) => delivery,
            Ok(None) => continue,
            Err(error) if error.is_retryable() && !options.once => {
                tracing::warn!(class = error.class(), "the queue does not answer; trying again: {error}");
                pause(&mut stop, silence.pause()).await;
                continue;
            }
            Err(error) => break Err(error),
        };
        silence = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        // Every line that is logged meanwhile says which event is at work.
        let span = work_span(&delivery);
        let one = one(&workload, queue, audit, &mut jobs, options, &mut stop, &on_stage, &delivery);
        match one.instrument(span.clone()).await {
            Ok(served) => {
                span.in_scope(|| hear(&served));
                if options.once || matches!(served, Served::Stopped) {
                    break Ok(served);
                }
                if matches!(&served, Served::Failed(error) if error.is_retryable()) {
                    places(&readiness, &mut stop).await;
                }
            }
            // Another consumer has the event; its outcome is the same.
            Err(Error::ClaimLost { event }) if !options.once => {
                tracing::warn!(event, "another consumer took the event over");
            }
            Err(error) => break Err(error),
        }
    };
    // An event left at work stays this consumer's until others take it over; anything else is tidied up.
    let idle = !matches!(served, Ok(Served::Stopped)) || workload.try_lock().is_ok();
    if idle && let Err(error) = queue.close().await {
        tracing::warn!(class = error.class(), "could not leave the queue tidily: {error}");
    }
    served
}

/// The span of an event at work, whose type is recorded once it is known.
fn work_span(delivery: &Delivery) -> Span {
    tracing::info_span!(
        "work",
        event = %delivery.id,
        r#type = Empty,
        attempt = delivery.attempts,
        otel.status_code = Empty,
        error = Empty
    )
}

/// The same for an event that comes without a queue.
#[must_use]
pub fn span_of(event: &Event) -> Span {
    tracing::info_span!(
        "work",
        event = %event.id,
        r#type = event.name(),
        otel.status_code = Empty,
        error = Empty
    )
}

/// Waits until the places that every event needs can be used, so that an outage costs the events that wait none of their attempts.
async fn places(readiness: &Arc<Readiness>, stop: &mut watch::Receiver<bool>) {
    let mut wait = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut told = None;
    while !*stop.borrow() {
        let looked = Arc::clone(readiness);
        let away = task::spawn_blocking(move || looked.away()).await.ok().flatten();
        match away {
            Some((place, why)) if told != away => {
                tracing::warn!(place, why, "no events are taken until this place can be used");
                told = away;
            }
            Some(_) => {}
            None => {
                if told.is_some() {
                    tracing::info!("every place can be used again: events are taken");
                }
                return;
            }
        }
        pause(stop, wait.pause()).await;
    }
}

/// Waits, unless a stop is asked for.
async fn pause(stop: &mut watch::Receiver<bool>, length: Duration) {
    tokio::select! {
        () = stopped(stop) => {}
        () = time::sleep(length) => {}
    }
}

#[allow(clippy::too_many_arguments)]
async fn one(
    workload: &Arc<Mutex<Workload>>,
    queue: &dyn Queue,
    audit: &AuditLog,
    jobs: &mut Jobs,
    options: ServeOptions,
    stop: &mut watch::Receiver<bool>,
    on_stage: &OnStage,
    delivery: &Delivery,
) -> Result<Served> {
    step::at(Step::Claimed);
    let event = match Event::parse(delivery.id.clone(), &delivery.payload) {
        Ok(event) => event,
        Err(error) => {
            Span::current().record("type", MALFORMED);
            audit.malformed(&delivery.id, error.class())?;
            told(jobs.malformed(delivery, error.class()));
            queue.dead_letter(delivery, error.class()).await?;
            step::at(Step::PutAside);
            return Ok(Served::Failed(error));
        }
    };
    Span::current().record("type", event.name());
    let began = Instant::now();
    audit.started(&event)?;
    step::at(Step::AuditedStarted);
    if delivery.attempts > MAX_DELIVERIES {
        // Whoever took it before died of it, without a word.
        let error = Error::TooManyAttempts { attempts: delivery.attempts };
        audit.failed(&event, began.elapsed(), error.class())?;
        told(jobs.started(&event, Some(delivery)));
        told(jobs.failed(&event.id, JobState::Dead, error.class()));
        queue.dead_letter(delivery, error.class()).await?;
        return Ok(Served::Failed(error));
    }
    let result = if let Err(error) = jobs.started(&event, Some(delivery)) {
        Err(error)
    } else {
        let (workload, event, on_stage) = (Arc::clone(workload), event.clone(), Arc::clone(on_stage));
        let span = Span::current();
        let work = task::spawn_blocking(move || {
            let _at_work = span.enter();
            let mut workload = workload.lock().unwrap_or_else(PoisonError::into_inner);
            process(&mut workload, &event, &|stage| on_stage(stage))
        });
        match attend(work, queue, options, stop, delivery).await? {
            Some(result) => result,
            None => {
                told(jobs.interrupted(&delivery.id));
                // Others need not wait until it has idled for long. Should one take it while this process ends, it waits for
                // the state, which this process has.
                told(queue.release(delivery).await);
                tracing::warn!(
                    "given back after {} seconds of draining: it is delivered again",
                    options.drain.as_secs()
                );
                return Ok(Served::Stopped);
            }
        }
    };
    match result {
        Ok(outcome) => {
            // Before the event is gone: a crash in between writes the line twice, the other way round never.
            audit.done(&event, began.elapsed())?;
            step::at(Step::AuditedDone);
            queue.acknowledge(delivery).await?;
            step::at(Step::Acknowledged);
            Ok(Served::Done(event, Box::new(outcome)))
        }
        Err(error) => {
            Span::current().record("otel.status_code", "ERROR").record("error", error.class());
            audit.failed(&event, began.elapsed(), error.class())?;
            step::at(Step::AuditedFailed);
            if error.is_retryable() && delivery.attempts < MAX_DELIVERIES {
                told(jobs.failed(&event.id, JobState::Retrying, error.class()));
                if !options.once {
                    pause(stop, Backoff::of_attempt(FIRST_PAUSE, LONGEST_PAUSE, delivery.attempts)).await;
                }
                queue.release(delivery).await?;
                step::at(Step::Released);
            } else {
                told(jobs.failed(&event.id, JobState::Dead, error.class()));
                queue.dead_letter(delivery, error.class()).await?;
                step::at(Step::PutAside);
            }
            Ok(Served::Failed(error))
        }
    }
}

/// Tells of a failure that stops nothing.
fn told(result: Result<()>) {
    if let Err(error) = result {
        tracing::warn!(class = error.class(), "could not note how an event stands: {error}");
    }
}

/// Waits for an event at work, saying to the queue that it is; `None` where a stop did not leave it the time.
async fn attend(
    mut work: task::JoinHandle<Result<Outcome>>,
    queue: &dyn Queue,
    options: ServeOptions,
    stop: &mut watch::Receiver<bool>,
    delivery: &Delivery,
) -> Result<Option<Result<Outcome>>> {
    let mut heartbeat = time::interval(queue.heartbeat_every());
    heartbeat.tick().await;
    let drained = async {
        stopped(stop).await;
        time::sleep(options.drain).await;
    };
    tokio::pin!(drained);
    loop {
        tokio::select! {
            biased;
            result = &mut work => {
                return Ok(Some(result.unwrap_or_else(|_| Err(Error::ProcessorPanicked))));
            }
            () = &mut drained => return Ok(None),
            _ = heartbeat.tick() => {
                // Another consumer may have taken it over; the outcome is the same, and written once.
                if let Err(error) = queue.heartbeat(delivery).await {
                    tracing::warn!(event = %delivery.id, error = %error, "could not tell the queue that an event is at work");
                }
            }
        }
    }
}

/// Ends when a stop is asked for.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left to ask.
        std::future::pending::<()>().await;
    }
}
