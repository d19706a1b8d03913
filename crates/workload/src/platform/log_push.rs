//! Log lines to the platform's log server: `POST {DV_LOKI}/loki/api/v1/push`, JSON, with the header `X-Scope-OrgID`.
//!
//! In: lines, from any thread, through a [`LogSender`]. A background thread sends them in batches and tries again with growing
//! pauses. The work never waits for it and never fails by it: what does not fit into a bounded queue pushes the oldest
//! lines out, which are counted and told in a line of their own. At the end, [`LogPush::finish`] sends what is left, within a
//! time limit.
//!
//! What a line says is its maker's business. Labels are few and fixed: `app` and `level`.

use std::{
    collections::VecDeque,
    fmt, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};
use url::Url;

use super::{
    Environment, LogSink, Patience,
    client::{http_client, place},
    error::{PlatformError, Service, Trouble},
};

/// How lines are gathered and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushLimits {
    /// The most lines that wait.
    pub lines: usize,
    /// The most bytes that wait.
    pub bytes: usize,
    /// The most bytes of a line; of a longer one the beginning of its words is kept.
    pub line_bytes: usize,
    /// The most lines of a batch.
    pub batch: usize,
    /// How long lines wait for others before they are sent.
    pub every: Duration,
    /// The first pause after a failure; doubled each time, up to a minute.
    pub pause: Duration,
}

impl Default for PushLimits {
    fn default() -> Self {
        Self {
            lines: 8192,
            bytes: 4 << 20,
            line_bytes: 16 << 10,
            batch: 512,
            every: Duration::from_secs(1),
            pause: Duration::from_millis(500),
        }
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How severe a line is; a label on the log server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineLevel {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What should not be.
    Warn,
    /// What failed.
    Error,
    /// Who did what: a line of the audit log.
    Audit,
}

impl LineLevel {
    const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Audit];

    /// The word for it in a line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Audit => "AUDIT",
        }
    }
}

/// What the log server's state is, told when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushNews {
    /// Lines are not taken; they wait.
    Failing {
        /// The server's address, without credentials.
        place: String,
        /// Why.
        trouble: Trouble,
    },
    /// Lines are taken again.
    Recovered {
        /// How many were pushed out meanwhile.
        dropped: u64,
    },
}

/// What became of the lines in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Lines that still waited.
    pub waiting: usize,
    /// Lines that were pushed out, or that the server refused for good.
    pub dropped: u64,
}

/// Sends lines in the background.
pub struct LogPush {
    shared: Arc<Shared>,
}

/// Takes lines; cheap to clone.
#[derive(Clone)]
pub struct LogSender {
    shared: Arc<Shared>,
}

impl LogPush {
    /// Begins to send to the server that `DV_LOKI` names, if it names one. `hear` is told of trouble, on the thread that sends.
    ///
    /// # Errors
    /// [`PlatformError::Service`] if there is no thread for it.
    pub fn start(
        environment: &Environment,
        limits: PushLimits,
        hear: impl Fn(&PushNews) + Send + 'static,
    ) -> Result<Option<Self>, PlatformError> {
        let LogSink::Server(server) = &environment.log_sink else { return Ok(None) };
        let shared = Arc::new(Shared { limits, waiting: Mutex::default(), changed: Condvar::new() });
        let worker = Worker {
            shared: Arc::clone(&shared),
            server: server.clone(),
            tenant: environment.log_namespace(),
            hear: Box::new(hear),
        };
        let thread = thread::Builder::new().name("log-push".to_owned()).spawn(move || worker.run());
        match thread {
            Ok(_) => Ok(Some(Self { shared })),
            Err(_) => Err(failed(server, Trouble::NoThreads)),
        }
    }

    /// Gives what takes lines.
    #[must_use]
    pub fn sender(&self) -> LogSender {
        LogSender { shared: Arc::clone(&self.shared) }
    }

    /// Sends what is left, at most so long. Takes no more lines afterwards.
    pub fn finish(&self, limit: Duration) -> Unsent {
        let until = Instant::now() + limit;
        let mut waiting = self.shared.lock();
        waiting.closing = true;
        self.shared.changed.notify_all();
        while !waiting.done {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting = self.shared.wait(waiting, left);
        }
        Unsent { waiting: waiting.lines.len() + waiting.in_flight, dropped: waiting.dropped + waiting.told }
    }
}

impl fmt::Debug for LogPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogPush(..)")
    }
}

impl LogSender {
    /// Queues a line. Never waits for the server.
    ///
    /// `fields` become the line's JSON, with `level` and `timestamp` (nanoseconds since 1970) beside them.
    pub fn push(&self, level: LineLevel, mut fields: Map<String, Value>) {
        // The platform's words come last, so that no field of another name takes their place.
        let at_ns = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default();
        fields.insert("level".to_owned(), level.as_str().into());
        fields.insert("timestamp".to_owned(), at_ns.into());
        let limits = self.shared.limits;
        let mut text = Value::Object(fields.clone()).to_string();
        if text.len() > limits.line_bytes {
            text = shortened(&fields, limits.line_bytes);
        }
        let mut waiting = self.shared.lock();
        if waiting.closing {
            return;
        }
        waiting.bytes += text.len();
        waiting.lines.push_back(Line { at_ns, level, text });
        while waiting.lines.len() > limits.lines || waiting.bytes > limits.bytes {
            let Some(oldest) = waiting.lines.pop_front() else { break };
            waiting.bytes -= oldest.text.len();
            waiting.dropped += 1;
        }
        if waiting.lines.len() == 1 || waiting.lines.len() >= limits.batch {
            self.shared.changed.notify_all();
        }
    }
}

/// Sends one line and waits for the answer: to find out whether the server takes lines.
///
/// # Errors
/// [`PlatformError::Service`] where it does not.
pub fn push_one(environment: &Environment, words: &str, patience: Patience) -> Result<String, PlatformError> {
    let LogSink::Server(server) = &environment.log_sink else { return Ok("no log server is named".to_owned()) };
    let line = Line {
        at_ns: u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default(),
        level: LineLevel::Info,
        text: json!({ "msg": words, "level": "INFO" }).to_string(),
    };
    let body = body(&[line]);
    let tenant = environment.log_namespace();
    let sent = thread::scope(|scope| {
        let send = || Wire::open(server, tenant, patience)?.send(body);
        thread::Builder::new()
            .spawn_scoped(scope, send)
            .map_err(|_| Trouble::NoThreads)?
            .join()
            .unwrap_or(Err(Trouble::NoThreads))
    });
    sent.map(|()| place(server)).map_err(|trouble| failed(server, trouble))
}

fn failed(server: &Url, trouble: Trouble) -> PlatformError {
    PlatformError::Service { service: Service::LogServer, place: place(server), trouble }
}

struct Line {
    at_ns: u64,
    level: LineLevel,
    text: String,
}

struct Shared {
    limits: PushLimits,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that were taken out to be sent and are not yet.
    in_flight: usize,
    /// Lines that were pushed out, or refused, and of which no line tells yet.
    dropped: u64,
    /// Those of which a line told.
    told: u64,
    closing: bool,
    done: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, waiting: MutexGuard<'a, Waiting>, limit: Duration) -> MutexGuard<'a, Waiting> {
        self.changed.wait_timeout(waiting, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for lines, and for others to go with them; none at the end.
    fn next_batch(&self) -> Option<Vec<Line>> {
        let mut waiting = self.lock();
        while waiting.lines.is_empty() && !waiting.closing {
            waiting = self.wait(waiting, LONGEST_PAUSE);
        }
        let until = Instant::now() + self.limits.every;
        while waiting.lines.len() < self.limits.batch && !waiting.closing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting = self.wait(waiting, left);
        }
        let mut batch = Vec::new();
        if waiting.dropped > 0 {
            let dropped = mem::take(&mut waiting.dropped);
            waiting.told += dropped;
            batch.push(told_of(dropped));
        }
        let count = waiting.lines.len().min(self.limits.batch);
        batch.extend(waiting.lines.drain(..count));
        waiting.bytes = waiting.lines.iter().map(|line| line.text.len()).sum();
        waiting.in_flight = batch.len();
        (!batch.is_empty()).then_some(batch)
    }

    /// Waits before another attempt, unless the end has come; then there are short pauses only.
    fn pause(&self, length: Duration) {
        let waiting = self.lock();
        let length = if waiting.closing { length.min(self.limits.pause) } else { length };
        let until = Instant::now() + length;
        let mut waiting = waiting;
        let was_closing = waiting.closing;
        while waiting.closing == was_closing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting = self.wait(waiting, left);
        }
    }
}

/// A line that is too long, as far as it may go: still JSON.
fn shortened(fields: &Map<String, Value>, line_bytes: usize) -> String {
    let mut words = fields.get("msg").and_then(Value::as_str).unwrap_or_default().to_owned();
    // As JSON, a character may take six times its bytes.
    words.truncate(words.floor_char_boundary(line_bytes / 8));
    let kept = |name: &str| fields.get(name).cloned().unwrap_or_default();
    json!({ "msg": words, "level": kept("level"), "timestamp": kept("timestamp"), "shortened": true }).to_string()
}

fn told_of(dropped: u64) -> Line {
    let at_ns = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default();
    let text = json!({
        "msg": format!("{dropped} log lines were dropped: the log server did not take them in time"),
        "level": "WARN", "timestamp": at_ns, "dropped": dropped,
    });
    Line { at_ns, level: LineLevel::Warn, text: text.to_string() }
}

/// One batch as the server takes it: a stream for each level, its lines with their times.
fn body(lines: &[Line]) -> Vec<u8> {
    let streams: Vec<_> = LineLevel::ALL
        .into_iter()
        .filter_map(|level| {
            let of_level = lines.iter().filter(|line| line.level == level);
            let values: Vec<_> = of_level.map(|line| json!([line.at_ns.to_string(), line.text])).collect();
            let labels = json!({ "app": "datafuse", "level": level.as_str().to_ascii_lowercase() });
            (!values.is_empty()).then(|| json!({ "stream": labels, "values": values }))
        })
        .collect();
    json!({ "streams": streams }).to_string().into_bytes()
}

/// The connection to the server, on one thread.
struct Wire {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: Url,
    tenant: Option<String>,
    total: Duration,
}

impl Wire {
    fn open(server: &Url, tenant: Option<String>, patience: Patience) -> Result<Self, Trouble> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|_| Trouble::NoThreads)?;
        let client = http_client(Service::LogServer, server, patience)?;
        let mut url = server.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["loki", "api", "v1", "push"]);
        }
        Ok(Self { runtime, client, url, tenant, total: patience.total })
    }

    fn send(&self, body: Vec<u8>) -> Result<(), Trouble> {
        let mut request = self.client.post(self.url.clone()).header("content-type", "application/json").body(body);
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        let answer = self.runtime.block_on(async { request.send().await });
        let answer = answer.map_err(|error| Trouble::of_client(&error, self.total))?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            status @ 300..=399 => Err(Trouble::Redirects { status }),
            status => Err(Trouble::Status { status }),
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    server: Url,
    tenant: Option<String>,
    hear: Box<dyn Fn(&PushNews) + Send>,
}

impl Worker {
    fn run(self) {
        // Nobody waits for a thread that is no more, however it came to its end.
        let _ended = Ended(&self.shared);
        let wire = Wire::open(&self.server, self.tenant.clone(), Patience::default());
        let mut failing = false;
        while let Some(batch) = self.shared.next_batch() {
            let mut pause = self.shared.limits.pause;
            let body = body(&batch);
            loop {
                let sent = wire.as_ref().map_err(Clone::clone).and_then(|wire| wire.send(body.clone()));
                match sent {
                    Ok(()) => {
                        if mem::take(&mut failing) {
                            let dropped = self.shared.lock().dropped;
                            (self.hear)(&PushNews::Recovered { dropped });
                        }
                        break;
                    }
                    Err(trouble) => {
                        let retry = trouble.is_retryable();
                        if !mem::replace(&mut failing, true) {
                            (self.hear)(&PushNews::Failing { place: place(&self.server), trouble });
                        }
                        if !retry {
                            // The next ones may be taken; these never will.
                            self.shared.lock().dropped += batch.len() as u64;
                            self.shared.pause(pause);
                            break;
                        }
                        self.shared.pause(pause);
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
            let mut waiting = self.shared.lock();
            waiting.in_flight = 0;
            if waiting.closing && waiting.lines.is_empty() {
                break;
            }
        }
    }
}

/// Says at its drop that no more lines are sent.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().done = true;
        self.0.changed.notify_all();
    }
}
