//! What concerns events: `datafuse send`, `datafuse run` and `datafuse serve`.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use datafuse_core::id::ParticipantId;
use datafuse_space::{Layout, MailboxPlace, QueuePlace, Space};
use datafuse_workload::{
    Options, Outcome, Workload,
    audit::Fact,
    event::{Event, EventType, msg_data},
    metrics::WatchedQueue,
    outcome::{Collected, Stage},
    platform::{Environment, which_queue},
    process,
    queue::{self, Queue, QueueChoice},
    serve::{OnStage, ServeOptions, Served, serve as serve_queue, span_of},
};
use serde_json::{Map, Value, json};
use tokio::{runtime::Runtime, sync::watch};

use super::{endpoint, limits};
use crate::{
    args::{EventArgs, RunArgs, SendArgs, ServeArgs, WorkloadArgs},
    console::{Console, Progress, count},
    failure::{Code, Failure, Result},
    logging, passphrase,
};

pub(super) fn send(args: &SendArgs, console: &Console) -> Result<()> {
    let environment = Environment::from_process()?;
    let space = Space::read(&args.event.space)?;
    check_event(&args.event, true, console)?;
    for holder in &args.event.holders {
        space.participant(holder)?;
    }
    let payload = msg_data(&args.event.event, &body(&args.event), Some(jiff::Timestamp::now()));
    let choice = queue_of(&space, args.redis.as_deref(), &environment)?;
    let (id, place) = runtime()?.block_on(async {
        let queue = queue::open(&choice).await?;
        Ok::<_, datafuse_workload::Error>((queue.publish(&payload).await?, queue.place()))
    })?;
    console.say(format_args!("{} sent to {place}; its id:", args.event.event));
    console.result(&json!({ "event": id.to_string(), "type": args.event.event, "queue": place }), || format!("{id}\n"));
    Ok(())
}

pub(super) fn run(args: &RunArgs, console: &Console) -> Result<()> {
    let environment = Environment::from_process()?;
    let _logging = logging::start(&environment, args.log.format(console.is_json()), console.is_quiet())?;
    let space = Space::read(&args.event.space)?;
    check_event(&args.event, false, console)?;
    let id = ulid::Ulid::generate().to_string().parse()?;
    let event = Event::new(id, &args.event.event, body(&args.event), Some(jiff::Timestamp::now()))?;
    let mut workload = open_workload(space, &args.workload, &environment)?;
    let audit = workload.audit().clone();

    let began = Instant::now();
    let span = span_of(&event);
    let at_work = span.enter();
    audit.started(&event)?;
    let stages = Stages::new(*console);
    let result = process(&mut workload, &event, &|stage| stages.show(stage));
    drop(stages);
    match &result {
        Ok(_) => audit.done(&event, began.elapsed())?,
        Err(error) => {
            span.record("otel.status_code", "ERROR").record("error", error.class());
            audit.failed(&event, began.elapsed(), error.class())?;
        }
    }
    drop(at_work);
    let outcome = result?;
    console.result(&outcome_json(&event, &outcome), || outcome_text(&workload, &event, &outcome));
    Ok(())
}

pub(super) fn serve(args: &ServeArgs, console: &Console) -> Result<()> {
    let environment = Environment::from_process()?;
    let _logging = logging::start(&environment, args.log.format(console.is_json()), console.is_quiet())?;
    if let datafuse_workload::platform::LogSink::Server(_) = environment.log_sink {
        console
            .warn("DV_LOKI names a log server; lines are not pushed to it by this version, they go to standard error");
    }
    let space = Space::read(&args.space)?;
    let choice = queue_of(&space, args.redis.as_deref(), &environment)?;
    let workload = open_workload(space.clone(), &args.workload, &environment)?;
    let layout = workload.layout().clone();
    if args.http.is_none() && matches!(layout.mailbox, MailboxPlace::Http(_)) {
        console.warn(format_args!("the agreement's mailbox is {}: --http ADDR serves it", layout.mailbox));
    }
    let audit = workload.audit().clone();
    let once = args.once || !environment.daemon.unwrap_or(!environment.is_platform());
    let readiness = Arc::new(workload.readiness());
    let options = ServeOptions { once, drain: Duration::from_secs(args.drain) };
    let stages = Stages::new(*console);
    let on_stage: OnStage = Arc::new(move |stage| stages.show(stage));

    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let (ask, stop) = watch::channel(false);
        let asked = signalled();
        let ask = Arc::new(ask);
        let queue = queue::open(&choice).await?;
        let queue: Arc<dyn Queue> = Arc::from(queue);
        let operations = endpoint::operations(Arc::clone(&readiness), Arc::clone(&queue));
        let endpoints = endpoint::start(args, space, &layout, operations, &stop, console).await?;
        audit.fact(None, &Fact::WorkloadStarted)?;
        let (asking, readiness) = (Arc::clone(&ask), Arc::clone(&readiness));
        tokio::spawn(async move {
            asked.await;
            tracing::info!("asked to stop: taking no new events");
            readiness.drain();
            // A second signal stops at once; what is at work is delivered again later.
            let _ = asking.send(true);
            signalled().await;
            std::process::exit(Code::Interrupted as i32);
        });
        let until = if once { "one event" } else { "events until Ctrl-C or SIGTERM" };
        console.say(format_args!("Waiting for {until} in {}", queue.place()));
        let watched = WatchedQueue::new(queue.as_ref(), audit.metrics().clone());
        let served = serve_queue(workload, &watched, &audit, options, stop, on_stage, |served| hear(console, served));
        let served = served.await;
        let _ = ask.send(true);
        for endpoint in endpoints {
            let _ = endpoint.await;
        }
        audit.fact(None, &Fact::WorkloadStopped)?;
        Ok::<_, Failure>(served?)
    });
    // What is still at work does not hold up the end: it is delivered again.
    runtime.shutdown_background();
    match served? {
        Served::Failed(error) if once => Err(error.into()),
        Served::Stopped if once => {
            Err(Failure::new(Code::Interrupted, "stopped before an event was done", "start it again: nothing is lost"))
        }
        _ => Ok(()),
    }
}

fn hear(console: &Console, served: &Served) {
    match served {
        Served::Done(event, outcome) => {
            console.result(&outcome_json(event, outcome), || outcome_line(event, outcome));
        }
        Served::Failed(error) => {
            tracing::error!(class = error.class(), retryable = error.is_retryable(), "{error}");
            if let Some(remedy) = error.remedy() {
                tracing::error!("try: {remedy}");
            }
        }
        Served::Stopped => {}
    }
}

/// Listens for SIGTERM and for an interrupt from the keyboard, from the call on; within a runtime. Ends when one comes.
pub(super) fn signalled() -> impl Future<Output = ()> + Send + use<> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        async move {
            match (terminate, interrupt) {
                (Ok(mut terminate), Ok(mut interrupt)) => {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                }
                // Without a listener a signal ends the process at once, which loses nothing either.
                _ => std::future::pending().await,
            }
        }
    }
    #[cfg(not(unix))]
    async {
        let _ = tokio::signal::ctrl_c().await;
    }
}

pub(super) fn runtime() -> Result<Runtime> {
    // The TLS of queue and downloads asks for the process's provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(8 << 20)
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(Code::Internal, format!("no threads to work with: {error}"), "raise the process limits")
        })
}

fn open_workload(space: Space, args: &WorkloadArgs, environment: &Environment) -> Result<Workload> {
    let keys = passphrase::read_keys(&args.key, &args.passphrase)?;
    let on_platform = environment.is_platform().then(|| PathBuf::from(Environment::DEFAULT_USER_OUTPUT));
    let options = Options {
        limits: limits(&args.limits),
        outputs: args.outputs.clone().or_else(|| environment.user_output.clone()).or(on_platform),
        state: args.state.clone(),
        allow_hosts: args.allow_hosts.clone(),
    };
    Ok(Workload::open(space, keys, options)?)
}

fn queue_of(space: &Space, redis: Option<&str>, environment: &Environment) -> Result<QueueChoice> {
    let place = match Layout::new(space).queue {
        QueuePlace::Redis(url) => url.to_string(),
        QueuePlace::Folder(folder) => folder.to_string_lossy().into_owned(),
    };
    Ok(which_queue(redis, &place, environment)?)
}

/// An unknown type is no error to the workload, whose queue may be shared; to whoever types one it is. `sent` to a queue, it
/// may be meant for another program.
fn check_event(args: &EventArgs, sent: bool, console: &Console) -> Result<()> {
    const KNOWN: &str = "INITIALIZE, ENROL, FUSE, CHECK_COMMON_CUSTOMERS or CHECK_COMMON_DEMO_CUSTOMERS";
    let event_type = EventType::from_name(&args.event)?;
    if args.new_epoch && event_type != EventType::Initialize {
        let fact = format!("--new-epoch means nothing to {}", args.event);
        return Err(Failure::new(Code::Usage, fact, "--new-epoch with INITIALIZE only"));
    }
    match event_type {
        EventType::Unknown(name) if sent => console.warn(format_args!(
            "{name} is not an event type that this version knows; it is acknowledged and nothing is done"
        )),
        EventType::Unknown(name) => {
            let fact = format!("{name} is not an event type that this version knows");
            return Err(Failure::new(Code::Usage, fact, KNOWN));
        }
        EventType::CheckDataQuality | EventType::CheckValidCustomer if sent => {
            console.warn(format_args!("this version does not process {}: the workload will refuse it", args.event));
        }
        _ => {}
    }
    Ok(())
}

fn body(args: &EventArgs) -> Map<String, Value> {
    let mut body = Map::new();
    if !args.holders.is_empty() {
        let holders = args.holders.iter().map(ToString::to_string).collect::<Vec<_>>();
        body.insert("holders".to_owned(), json!(holders));
    }
    if args.new_epoch {
        body.insert("new_epoch".to_owned(), json!(true));
    }
    body
}

fn outcome_json(event: &Event, outcome: &Outcome) -> Value {
    let mut value = json!({ "event": event.id.to_string(), "type": event.name() });
    let more = match outcome {
        Outcome::AlreadyDone => json!({ "outcome": "already-done" }),
        Outcome::Ignored { .. } => json!({ "outcome": "ignored" }),
        Outcome::Opened { epoch } => json!({ "outcome": "opened", "epoch": epoch }),
        Outcome::Collected(collected) => json!({
            "outcome": "collected", "refused": collected.refused,
            "newly_enrolled": collected.newly_enrolled.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "rotated": collected.rotated.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "renamed": collected.renamed.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "revoked": collected.revoked,
        }),
        Outcome::Fused(fused) => {
            json!({ "outcome": "fused", "datasets": fused.datasets.len(), "unchanged": fused.unchanged })
        }
        Outcome::Reported { folder, report, .. } => json!({
            "outcome": "reported", "report": folder.join("report.json"), "html": folder.join("report.html"),
            "common_customers": report.common_customers,
        }),
        _ => json!({}),
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

fn outcome_line(event: &Event, outcome: &Outcome) -> String {
    let what = match outcome {
        Outcome::AlreadyDone => "was done before".to_owned(),
        Outcome::Ignored { .. } => "is of an unknown type: nothing done".to_owned(),
        Outcome::Opened { epoch } => format!("opened epoch {epoch}"),
        Outcome::Collected(collected) => match collected_words(collected).as_slice() {
            [] => "collected the mailbox: nobody newly enrolled".to_owned(),
            words => words.join("; "),
        },
        Outcome::Fused(fused) => {
            format!("fused {} datasets, {} were fused already", fused.datasets.len(), fused.unchanged)
        }
        Outcome::Reported { folder, .. } => folder.join("report.json").display().to_string(),
        _ => "done".to_owned(),
    };
    format!("{} {}: {what}\n", event.id, event.name())
}

/// What collecting the mailbox changed.
fn collected_words(collected: &Collected) -> Vec<String> {
    let names = |ids: &[ParticipantId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let groups = [
        ("enrolled", names(&collected.newly_enrolled)),
        ("changed to the next token key:", names(&collected.rotated)),
        ("changed to a new name:", names(&collected.renamed)),
        ("removed, with all that it brought:", collected.revoked.join(", ")),
    ];
    groups.iter().filter(|(_, who)| !who.is_empty()).map(|(what, who)| format!("{what} {who}")).collect()
}

fn outcome_text(workload: &Workload, event: &Event, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reported { folder, report, .. } => format!(
            "{}\nThe report: {}\nAs a page:  {}\n",
            report.summary_text(),
            folder.join("report.json").display(),
            folder.join("report.html").display()
        ),
        Outcome::Opened { epoch } => format!("Epoch {epoch} is open. Next: each data holder runs datafuse enrol\n"),
        Outcome::Collected(collected) => {
            let mut text = String::new();
            for status in &collected.status.holders {
                let name = workload.space().party(&status.holder).map(ToString::to_string).unwrap_or_default();
                let state = match (&status.enrolled, &status.answered) {
                    (Some(_), _) => "enrolled".to_owned(),
                    (None, Some(_)) => format!("answered; {} stewards' shares have come", status.blinds_from.len()),
                    (None, None) => {
                        format!("not answered yet; {} stewards' shares have come", status.blinds_from.len())
                    }
                };
                text.push_str(&format!("{name}: {state}\n"));
            }
            for words in collected_words(collected) {
                text.push_str(&format!("Now: {words}\n"));
            }
            text
        }
        other => outcome_line(event, other),
    }
}

/// Shows the stages of an event.
struct Stages {
    console: Console,
    shown: Mutex<Option<(Option<ParticipantId>, Progress)>>,
}

impl Stages {
    fn new(console: Console) -> Self {
        Self { console, shown: Mutex::new(None) }
    }

    fn show(&self, stage: Stage<'_>) {
        let Ok(mut shown) = self.shown.lock() else { return };
        let (key, what, rows, of) = match stage {
            Stage::Fusing { holder, rows, of } => (Some(holder.clone()), format!("fusing {holder}"), rows, of),
            Stage::Matching { rows, of } => (None, "matching".to_owned(), rows, of),
            _ => {
                *shown = None;
                return;
            }
        };
        if shown.as_ref().is_none_or(|(before, _)| *before != key) {
            *shown = None;
            tracing::info!(rows = of, "{what}: {} rows", count(of));
            *shown = Some((key, self.console.progress(&what, Some(of))));
        }
        if let Some((_, progress)) = shown.as_ref() {
            progress.at(rows);
        }
    }
}
