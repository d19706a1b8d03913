//! What concerns events: `datafuse send`, `datafuse run` and `datafuse serve`.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use datafuse_core::id::ParticipantId;
use datafuse_engine::{
    contract::{QualityReport, RuleOutcome},
    signed_report::{RECEIPT_JSON, REPORT_AGE},
};
use datafuse_space::{Layout, MailboxPlace, QueuePlace, Space};
use datafuse_workload::{
    ANSWER_FILE, Options, Outcome, Workload,
    audit::Fact,
    delivery::{Arrival, Delivered, DeliverySettings},
    directory,
    event::{Event, EventType, msg_data},
    jobs::JobState,
    metrics::WatchedQueue,
    outcome::{Collected, Stage},
    platform::{Environment, which_queue},
    process,
    queue::{self, Queue, QueueChoice, QueueOptions},
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
    let payload = msg_data(&args.event.event, &body(&args.event, &space)?, Some(jiff::Timestamp::now()));
    let choice = queue_of(&space, args.redis.as_deref(), &environment)?;
    let (id, place) = runtime()?.block_on(async {
        let options = QueueOptions { streams: args.stream.iter().cloned().collect(), ..QueueOptions::default() };
        let queue = queue::open_with(&choice, &options).await?;
        Ok::<_, datafuse_workload::Error>((queue.publish(&payload).await?, queue.place()))
    })?;
    console.say(format_args!("{} sent to {place}; its id:", args.event.event));
    console.result(&json!({ "event": id.to_string(), "type": args.event.event, "queue": place }), || format!("{id}\n"));
    Ok(())
}

pub(super) fn run(args: &RunArgs, console: &Console) -> Result<()> {
    let environment = Environment::from_process()?;
    let logging = logging::start(&environment, args.log.format(console.is_json()), console.is_quiet())?;
    let ran = run_here(args, &environment, console);
    if let Err(failure) = &ran {
        logging.failure(failure);
    }
    ran
}

fn run_here(args: &RunArgs, environment: &Environment, console: &Console) -> Result<()> {
    let space = Space::read(&args.event.space)?;
    check_event(&args.event, false, console)?;
    let id = ulid::Ulid::generate().to_string().parse()?;
    let event = Event::new(id, &args.event.event, body(&args.event, &space)?, Some(jiff::Timestamp::now()))?;
    let mut workload = open_workload(space, &args.workload, environment)?;
    let audit = workload.audit().clone();

    let began = Instant::now();
    let span = span_of(&event);
    let at_work = span.enter();
    audit.started(&event)?;
    let mut jobs = workload.jobs()?;
    jobs.started(&event, None)?;
    let stages = Stages::new(*console);
    let result = process(&mut workload, &event, &|stage| stages.show(stage));
    drop(stages);
    match &result {
        Ok(_) => audit.done(&event, began.elapsed())?,
        Err(error) => {
            span.record("otel.status_code", "ERROR").record("error", error.class());
            audit.failed(&event, began.elapsed(), error.class())?;
            // What went wrong first is what a person must hear of.
            if let Err(error) = jobs.failed(&event.id, JobState::Failed, error.class()) {
                tracing::warn!(class = error.class(), "could not note that the event failed: {error}");
            }
        }
    }
    drop(at_work);
    let outcome = result?;
    console.result(&outcome_json(&event, &outcome), || outcome_text(&workload, &event, &outcome));
    Ok(())
}

pub(super) fn serve(args: &ServeArgs, console: &Console) -> Result<()> {
    let environment = Environment::from_process()?;
    let logging = logging::start(&environment, args.log.format(console.is_json()), console.is_quiet())?;
    let served = serve_here(args, &environment, console);
    if let Err(failure) = &served {
        logging.failure(failure);
    }
    served
}

fn serve_here(args: &ServeArgs, environment: &Environment, console: &Console) -> Result<()> {
    let space = Space::read(&args.space)?;
    let choice = queue_of(&space, args.redis.as_deref(), environment)?;
    let workload = open_workload(space.clone(), &args.workload, environment)?;
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
        // While an event is drained the endpoints go on, and say so.
        let (end, ended) = watch::channel(false);
        let asked = signalled();
        let claim_after = Duration::from_secs(args.queue.claim_after);
        let queue = QueueOptions { streams: args.queue.streams.clone(), claim_after };
        let queue: Arc<dyn Queue> = Arc::from(queue::open_with(&choice, &queue).await?);
        let operations = endpoint::operations(Arc::clone(&readiness), Arc::clone(&queue));
        let endpoints = endpoint::start(args, space, &layout, operations, &ended, console).await?;
        audit.fact(None, &Fact::WorkloadStarted)?;
        let readiness = Arc::clone(&readiness);
        tokio::spawn(async move {
            asked.await;
            tracing::info!("asked to stop: taking no new events");
            readiness.drain();
            // A second signal stops at once; what is at work is delivered again later.
            let _ = ask.send(true);
            signalled().await;
            std::process::exit(Code::Interrupted as i32);
        });
        let until = if once { "one event" } else { "events until Ctrl-C or SIGTERM" };
        console.say(format_args!("Waiting for {until} in {}", queue.place()));
        let watched = WatchedQueue::new(queue.as_ref(), audit.metrics().clone());
        let served = serve_queue(workload, &watched, &audit, options, stop, on_stage, |served| hear(console, served));
        let served = served.await;
        let _ = end.send(true);
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
    let sealed = args.sealed_passphrase_file.as_deref();
    let keys = passphrase::open_sealed(&args.key, &args.passphrase, sealed)?.keys;
    let options = Options {
        limits: limits(&args.limits),
        outputs: args.outputs.clone().or_else(|| outputs_of(environment)),
        state: args.state.clone(),
        allow_hosts: args.allow_hosts.clone(),
        delivery: DeliverySettings::from_process(),
    };
    Ok(Workload::open(space, keys, options)?.with_directory(directory::of(environment)?))
}

/// The folder for reports that the environment names.
pub(super) fn outputs_of(environment: &Environment) -> Option<PathBuf> {
    let on_platform = || environment.is_platform().then(|| PathBuf::from(Environment::DEFAULT_USER_OUTPUT));
    environment.user_output.clone().or_else(on_platform)
}

pub(super) fn queue_of(space: &Space, redis: Option<&str>, environment: &Environment) -> Result<QueueChoice> {
    let place = match Layout::new(space).queue {
        QueuePlace::Redis(url) => url.to_string(),
        QueuePlace::Folder(folder) => folder.to_string_lossy().into_owned(),
    };
    Ok(which_queue(redis, &place, environment)?)
}

/// An unknown type is no error to the workload, whose queue may be shared; to whoever types one it is. `sent` to a queue, it
/// may be meant for another program.
fn check_event(args: &EventArgs, sent: bool, console: &Console) -> Result<()> {
    const KNOWN: &str = "INITIALIZE, ENROL, FUSE, CHECK_COMMON_CUSTOMERS, CHECK_COMMON_DEMO_CUSTOMERS, CHECK_DATA_QUALITY or CHECK_VALID_CUSTOMER";
    let event_type = EventType::from_name(&args.event)?;
    if args.new_epoch && event_type != EventType::Initialize {
        let fact = format!("--new-epoch means nothing to {}", args.event);
        return Err(Failure::new(Code::Usage, fact, "--new-epoch with INITIALIZE only"));
    }
    match (&event_type, &args.request) {
        (EventType::CheckValidCustomer, None) => {
            let fact = format!("{} needs a request", args.event);
            return Err(Failure::new(Code::Usage, fact, "--request FILE, which datafuse token make writes"));
        }
        (EventType::CheckValidCustomer, Some(_)) | (_, None) => {}
        (_, Some(_)) => {
            let fact = format!("--request means nothing to {}", args.event);
            return Err(Failure::new(Code::Usage, fact, "--request with CHECK_VALID_CUSTOMER only"));
        }
    }
    match event_type {
        EventType::Unknown(name) if sent => console.warn(format_args!(
            "{name} is not an event type that this version knows; it is acknowledged and nothing is done"
        )),
        EventType::Unknown(name) => {
            let fact = format!("{name} is not an event type that this version knows");
            return Err(Failure::new(Code::Usage, fact, KNOWN));
        }
        _ => {}
    }
    Ok(())
}

fn body(args: &EventArgs, space: &Space) -> Result<Map<String, Value>> {
    let mut body = match &args.request {
        Some(path) => super::token::event_fields(space, path)?,
        None => Map::new(),
    };
    if !args.holders.is_empty() {
        let holders = args.holders.iter().map(ToString::to_string).collect::<Vec<_>>();
        body.insert("holders".to_owned(), json!(holders));
    }
    if args.new_epoch {
        body.insert("new_epoch".to_owned(), json!(true));
    }
    Ok(body)
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
            json!({
                "outcome": "fused", "datasets": fused.datasets.len(), "unchanged": fused.unchanged,
                "unauthenticated": fused.unauthenticated(),
            })
        }
        Outcome::Reported { folder, report, own, delivered, .. } => json!({
            "outcome": "reported", "report": folder.join("report.json"), "html": folder.join("report.html"),
            "signed": folder.join("report.dsse.json"), "receipt": folder.join(RECEIPT_JSON),
            "common_customers": report.common_customers, "own": own_json(own),
            "delivered": delivered.iter().map(delivered_json).collect::<Vec<_>>(),
            "unauthenticated": report.unauthenticated().map(|dataset| format!("{}/{}", dataset.holder, dataset.dataset))
                .collect::<Vec<_>>(),
            "warnings": report.warnings,
        }),
        Outcome::Encrypted { folder, recipients, fused, own, delivered } => json!({
            "outcome": "reported", "encrypted": folder.join(REPORT_AGE), "receipt": folder.join(RECEIPT_JSON),
            "recipients": recipients.iter().map(ToString::to_string).collect::<Vec<_>>(), "own": own_json(own),
            "delivered": delivered.iter().map(delivered_json).collect::<Vec<_>>(),
            "unauthenticated": fused.unauthenticated(),
        }),
        Outcome::Checked { folder, report } => json!({
            "outcome": "checked", "quality": folder.join("quality.json"), "html": folder.join("quality.html"),
            "verdict": report.verdict,
        }),
        Outcome::LookedUp { folder, asker, refused } => json!({
            "outcome": if refused.is_some() { "look-up-refused" } else { "looked-up" },
            "asker": asker.to_string(), "answer": folder.join(ANSWER_FILE),
        }),
        _ => json!({}),
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

fn delivered_json(delivered: &Delivered) -> Value {
    let arrival = match delivered.arrival {
        Arrival::Sent => "sent",
        Arrival::WasThere => "was-there",
        Arrival::NotedBefore => "noted-before",
    };
    json!({ "user": delivered.user.to_string(), "place": delivered.place, "arrival": arrival })
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
        Outcome::Reported { folder, report, delivered, .. } => {
            let warned: String = report.warnings.iter().map(|warning| format!(" ({})", warning.text())).collect();
            format!("{}{}{warned}", folder.join("report.json").display(), places(delivered))
        }
        Outcome::Encrypted { folder, delivered, .. } => {
            format!("{}{}", folder.join(REPORT_AGE).display(), places(delivered))
        }
        Outcome::Checked { folder, report } => {
            let unchecked = match report.count(RuleOutcome::NotChecked) {
                0 => String::new(),
                rules => format!(" as far as checked (rules that are not checked: {rules})"),
            };
            format!("{}{unchecked}: {}", report.verdict.as_str(), folder.join("quality.json").display())
        }
        Outcome::LookedUp { folder, asker, refused } => {
            let what = if refused.is_some() { "refused" } else { "answered" };
            format!("{what} for {asker}, who alone can read it: {}", folder.join(ANSWER_FILE).display())
        }
        _ => "done".to_owned(),
    };
    format!("{} {}: {what}\n", event.id, event.name())
}

/// To how many places a report was delivered.
fn places(delivered: &[Delivered]) -> String {
    match delivered.len() {
        0 => String::new(),
        places => format!("; delivered to {places} places"),
    }
}

/// Each place that a report was delivered to, in a line.
fn delivered_text(delivered: &[Delivered]) -> String {
    let line = |Delivered { user, place, arrival }: &Delivered| {
        let how = match arrival {
            Arrival::Sent => "",
            Arrival::WasThere | Arrival::NotedBefore => " (it was there already)",
        };
        format!("Delivered:  to {user} at {place}{how}\n")
    };
    delivered.iter().map(line).collect()
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

/// Where the users who may see more than all find their reports.
fn own_text(own: &[(ParticipantId, PathBuf)]) -> String {
    own.iter().map(|(user, folder)| format!("For {user} alone: {}\n", folder.display())).collect()
}

fn own_json(own: &[(ParticipantId, PathBuf)]) -> Value {
    own.iter().map(|(user, folder)| (user.to_string(), json!(folder))).collect::<Map<_, _>>().into()
}

fn outcome_text(workload: &Workload, event: &Event, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reported { folder, report, own, delivered, .. } => {
            format!(
                "{}\nThe report: {}\nAs a page:  {}\nSigned:     {}\nReceipt:    {}\n{}{}",
                report.summary_text(),
                folder.join("report.json").display(),
                folder.join("report.html").display(),
                folder.join("report.dsse.json").display(),
                folder.join(RECEIPT_JSON).display(),
                own_text(own),
                delivered_text(delivered)
            )
        }
        Outcome::Encrypted { folder, recipients, own, delivered, .. } => {
            let names: Vec<_> = recipients.iter().map(ToString::to_string).collect();
            format!(
                "The report is encrypted to {}; nobody else can read it, and it is not shown here.\n\
                 Encrypted:  {}\nReceipt:    {}\n{}{}",
                names.join(" and "),
                folder.join(REPORT_AGE).display(),
                folder.join(RECEIPT_JSON).display(),
                own_text(own),
                delivered_text(delivered)
            )
        }
        Outcome::Checked { folder, report } => format!(
            "{}The document: {}\nAs a page:    {}\n",
            quality_text(report),
            folder.join("quality.json").display(),
            folder.join("quality.html").display()
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

/// A line for each model of each dataset.
fn quality_text(report: &QualityReport) -> String {
    let mut text = String::new();
    for holder in &report.holders {
        for dataset in &holder.datasets {
            let name = format!("{} {}", holder.holder, dataset.dataset);
            match (dataset.verdict, &dataset.error) {
                (None, _) => text.push_str(&format!("{name}: no contract\n")),
                (Some(verdict), Some(error)) => text.push_str(&format!("{name}: {}: {error}\n", verdict.as_str())),
                (Some(_), None) => {}
            }
            for model in &dataset.models {
                let of = |outcome| model.count(outcome);
                text.push_str(&format!(
                    "{name}, {}: {}, {} rows; {} rules passed, {} failed, {} could not be checked, {} are not checked\n",
                    model.model,
                    model.verdict.as_str(),
                    count(model.rows),
                    of(RuleOutcome::Passed),
                    of(RuleOutcome::Failed),
                    of(RuleOutcome::Error),
                    of(RuleOutcome::NotChecked),
                ));
            }
        }
    }
    text
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
            Stage::Fusing { holder, rows, of } => (Some(holder.clone()), format!("fusing {holder}"), rows, Some(of)),
            Stage::Matching { rows, of } => (None, "matching".to_owned(), rows, Some(of)),
            Stage::Checking { holder, rows } => (Some(holder.clone()), format!("checking {holder}"), rows, None),
            _ => {
                *shown = None;
                return;
            }
        };
        if shown.as_ref().is_none_or(|(before, _)| *before != key) {
            *shown = None;
            match of {
                Some(of) => tracing::info!(rows = of, "{what}: {} rows", count(of)),
                None => tracing::info!("{what}"),
            }
            *shown = Some((key, self.console.progress(&what, of)));
        }
        if let Some((_, progress)) = shown.as_ref() {
            progress.at(rows);
        }
    }
}
