//! Takes event after event from a queue, has each processed, and acknowledges it only when its output is in place.
//!
//! | what came of an event | what follows |
//! | --- | --- |
//! | done, done before, or of an unknown type | audited, acknowledged |
//! | malformed, or failed for good | audited, put aside as a dead letter: id and error class, nothing else |
//! | failed, may succeed later | audited, given back after a pause; after [`MAX_DELIVERIES`] deliveries put aside |
//! | the process dies | delivered again, here or elsewhere; what is there already is not done again |

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::watch, task, time};
use tracing::{Instrument, Span, field::Empty};

use crate::{
    audit::{AuditLog, MALFORMED},
    error::{Error, Result},
    event::Event,
    outcome::{Outcome, Stage},
    processor::process,
    queue::{Delivery, MAX_DELIVERIES, Queue},
    workload::Workload,
};

/// The pause before an event that failed is given back: doubled with each attempt, from one second to a minute.
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
    let workload = Arc::new(Mutex::new(workload));
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
                pause(&mut stop, LONGEST_PAUSE).await;
                continue;
            }
            Err(error) => break Err(error),
        };
        // Every line that is logged meanwhile says which event is at work.
        let span = work_span(&delivery);
        let one = one(&workload, queue, audit, options, &mut stop, &on_stage, &delivery);
        match one.instrument(span.clone()).await {
            Ok(served) => {
                span.in_scope(|| hear(&served));
                if options.once || matches!(served, Served::Stopped) {
                    break Ok(served);
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

/// Waits, unless a stop is asked for.
async fn pause(stop: &mut watch::Receiver<bool>, length: Duration) {
    tokio::select! {
        () = stopped(stop) => {}
        () = time::sleep(length) => {}
    }
}

async fn one(
    workload: &Arc<Mutex<Workload>>,
    queue: &dyn Queue,
    audit: &AuditLog,
    options: ServeOptions,
    stop: &mut watch::Receiver<bool>,
    on_stage: &OnStage,
    delivery: &Delivery,
) -> Result<Served> {
    let event = match Event::parse(delivery.id.clone(), &delivery.payload) {
        Ok(event) => event,
        Err(error) => {
            Span::current().record("type", MALFORMED);
            audit.malformed(&delivery.id, error.class())?;
            queue.dead_letter(delivery, error.class()).await?;
            return Ok(Served::Failed(error));
        }
    };
    Span::current().record("type", event.name());
    let began = Instant::now();
    audit.started(&event)?;
    if delivery.attempts > MAX_DELIVERIES {
        // Whoever took it before died of it, without a word.
        let error = Error::TooManyAttempts { attempts: delivery.attempts };
        audit.failed(&event, began.elapsed(), error.class())?;
        queue.dead_letter(delivery, error.class()).await?;
        return Ok(Served::Failed(error));
    }
    let result = {
        let (workload, event, on_stage) = (Arc::clone(workload), event.clone(), Arc::clone(on_stage));
        let span = Span::current();
        let work = task::spawn_blocking(move || {
            let _at_work = span.enter();
            let mut workload = workload.lock().unwrap_or_else(PoisonError::into_inner);
            process(&mut workload, &event, &|stage| on_stage(stage))
        });
        match attend(work, queue, options, stop, delivery).await? {
            Some(result) => result,
            None => return Ok(Served::Stopped),
        }
    };
    match result {
        Ok(outcome) => {
            queue.acknowledge(delivery).await?;
            audit.done(&event, began.elapsed())?;
            Ok(Served::Done(event, Box::new(outcome)))
        }
        Err(error) => {
            Span::current().record("otel.status_code", "ERROR").record("error", error.class());
            audit.failed(&event, began.elapsed(), error.class())?;
            if error.is_retryable() && delivery.attempts < MAX_DELIVERIES {
                if !options.once {
                    let length = FIRST_PAUSE * 2_u32.saturating_pow(delivery.attempts.saturating_sub(1));
                    pause(stop, length.min(LONGEST_PAUSE)).await;
                }
                queue.release(delivery).await?;
            } else {
                queue.dead_letter(delivery, error.class()).await?;
            }
            Ok(Served::Failed(error))
        }
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
