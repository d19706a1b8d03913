//! The process that is killed: opens the workload of a space and serves its queue, as `datafuse serve` does, until the queue is
//! empty. Everything that a trial must know of it goes to a journal outside of the space, a line at a time.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use datafuse_core::id::EventId;
use datafuse_engine::runtime::Limits;
use datafuse_space::{Space, keyfile};
use datafuse_workload::{
    Error, Options, Workload,
    queue::{Delivery, Queue, QueueStats},
    serve::{ServeOptions, Served, serve},
    step,
};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::place::{Place, block_on};

/// The variable that makes a process of this binary a child.
pub(crate) const ORDER: &str = "DATAFUSE_TEST_CHILD";

/// What a child says when it is about to serve.
const READY: &str = "the child serves";

/// What a child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) space: PathBuf,
    pub(crate) queue: Place,
    /// The consumer's name, where it is not to be a new one.
    pub(crate) consumer: Option<String>,
    pub(crate) journal: PathBuf,
    /// Where to die: at which step, and at the how manieth time (from 1).
    pub(crate) die_at: Option<(String, u32)>,
    /// Take one event only, and give it back where it fails.
    pub(crate) once: bool,
    /// Memory of the engine.
    pub(crate) memory_bytes: u64,
    /// Serve without end.
    pub(crate) endless: bool,
    /// Note no steps.
    pub(crate) quiet: bool,
    /// Put this event into the queue, and do nothing else.
    pub(crate) publish: Option<String>,
}

impl Order {
    pub(crate) fn new(space: &Path, queue: Place) -> Self {
        let journal = space.with_extension("journal");
        let memory_bytes = 64 << 20;
        let space = space.to_owned();
        Self {
            space,
            queue,
            consumer: None,
            journal,
            die_at: None,
            once: false,
            memory_bytes,
            endless: false,
            quiet: false,
            publish: None,
        }
    }

    /// Starts a child and waits until it serves, or has ended. `wrap` may put another program before it.
    pub(crate) fn start(&self, wrap: impl FnOnce(Command) -> Command) -> Running {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["child_process", "--exact", "--nocapture"]);
        command.env(ORDER, serde_json::to_string(self).unwrap()).env("RUST_BACKTRACE", "0");
        let mut command = wrap(command);
        let errors = File::create(self.journal.with_extension("errors")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains(READY) {
            line.clear();
            if said.read_line(&mut line).unwrap() == 0 {
                break;
            }
        }
        Running { child, _said: said, errors: self.journal.with_extension("errors") }
    }

    /// Runs a child to its end.
    pub(crate) fn run(&self) -> Ended {
        self.start(|command| command).end()
    }

    /// What children wrote into the journal.
    pub(crate) fn journal(&self) -> Vec<String> {
        std::fs::read_to_string(&self.journal).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// A child at work.
pub(crate) struct Running {
    child: Child,
    _said: BufReader<std::process::ChildStdout>,
    errors: PathBuf,
}

impl Running {
    /// Kills it with SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.end()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let status = self.child.wait().unwrap();
        Ended { status, errors: std::fs::read_to_string(&self.errors).unwrap() }
    }
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) errors: String,
}

impl Ended {
    pub(crate) fn was_killed(&self) -> bool {
        use std::os::unix::process::ExitStatusExt;
        self.status.signal() == Some(9)
    }

    /// Asserts that it ended as it wanted to.
    pub(crate) fn expect_done(self) {
        assert!(self.status.success(), "{:?}: {}", self.status, self.errors);
    }
}

static DEATH: OnceLock<(String, Mutex<u32>)> = OnceLock::new();
static JOURNAL: OnceLock<Mutex<File>> = OnceLock::new();

/// Does what the order says; the process ends with it.
pub(crate) fn obey(order: &Order) -> ! {
    let journal = OpenOptions::new().create(true).append(true).open(&order.journal).unwrap();
    let _ = JOURNAL.set(Mutex::new(journal));
    if let Some((step, times)) = &order.die_at {
        let _ = DEATH.set((step.clone(), Mutex::new(*times)));
    }
    if order.quiet {
        end(block_on(work(order)));
    }
    step::listen(|step| {
        if let Some((wanted, times)) = DEATH.get()
            && wanted == step.name()
        {
            let mut left = times.lock().unwrap();
            *left = left.saturating_sub(1);
            if *left == 0 {
                die();
            }
        }
        if DEATH.get().is_none() {
            note(&format!("step {}", step.name()));
        }
    });
    end(block_on(work(order)))
}

fn end(result: Result<(), Error>) -> ! {
    match result {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("Error: {error}\nTry: {}", error.remedy().unwrap_or_default());
            std::process::exit(3)
        }
    }
}

/// As `kill -9` from outside, at exactly this place.
fn die() -> ! {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    loop {
        std::thread::park();
    }
}

fn note(line: &str) {
    let mut journal = JOURNAL.get().unwrap().lock().unwrap();
    journal.write_all(format!("{line}\n").as_bytes()).unwrap();
}

async fn work(order: &Order) -> Result<(), Error> {
    if let Some(payload) = &order.publish {
        return order.queue.open(None).await?.publish(payload.as_bytes()).await.map(drop);
    }
    let space = Space::read(&order.space.join("space.yaml"))?;
    let keys = keyfile::read(&order.space.join("keys/workload.key"), &mut keyfile::no_passphrase)?;
    let temp_dir = order.space.join("tmp");
    let limits = Limits { threads: 1, memory_bytes: order.memory_bytes, temp_dir, ..Limits::default() };
    let options = Options { limits, outputs: None, state: None, allow_hosts: Vec::new(), delivery: Default::default() };
    let workload = Workload::open(space, keys, options)?;
    let audit = workload.audit().clone();
    let (stop, stopped) = watch::channel(false);
    let inner = order.queue.open(order.consumer.as_deref()).await?;
    let patience = if order.endless { Duration::from_secs(3600) } else { order.queue.patience() };
    let queue = Watched { inner, stop, patience };
    println!("\n{READY}");
    let options = ServeOptions { once: order.once, drain: Duration::ZERO };
    let hear = |served: &Served| {
        if let Served::Failed(error) = served {
            let remedy = error.remedy().unwrap_or_default();
            note(&format!("failed {} | {error} | {remedy}", error.class()).replace('\n', " "));
        }
    };
    serve(workload, &queue, &audit, options, stopped, Arc::new(|_| {}), hear).await.map(drop)
}

/// A queue that stops the serving when it is empty, and notes what goes through it.
struct Watched {
    inner: Box<dyn Queue>,
    stop: watch::Sender<bool>,
    patience: Duration,
}

impl Watched {
    fn note(what: &str, event: &EventId) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        note(&format!("{what} {event} {now}"));
    }
}

impl Queue for Watched {
    fn publish<'a>(&'a self, payload: &'a [u8]) -> BoxFuture<'a, Result<EventId, Error>> {
        self.inner.publish(payload)
    }

    fn next(&self, _: Option<Duration>) -> BoxFuture<'_, Result<Option<Delivery>, Error>> {
        Box::pin(async move {
            match self.inner.next(Some(self.patience)).await? {
                Some(delivery) => {
                    Self::note("taken", &delivery.id);
                    Ok(Some(delivery))
                }
                None => {
                    let _ = self.stop.send(true);
                    std::future::pending().await
                }
            }
        })
    }

    fn acknowledge<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.inner.acknowledge(delivery).await?;
            Self::note("acknowledged", &delivery.id);
            Ok(())
        })
    }

    fn release<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), Error>> {
        self.inner.release(delivery)
    }

    fn dead_letter<'a>(&'a self, delivery: &'a Delivery, class: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.inner.dead_letter(delivery, class).await?;
            Self::note("acknowledged", &delivery.id);
            Ok(())
        })
    }

    fn heartbeat<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), Error>> {
        self.inner.heartbeat(delivery)
    }

    fn heartbeat_every(&self) -> Duration {
        self.inner.heartbeat_every()
    }

    fn resend<'a>(&'a self, event: &'a EventId) -> BoxFuture<'a, Result<Option<EventId>, Error>> {
        self.inner.resend(event)
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, Error>> {
        self.inner.stats()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.close()
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}
