//! The queue in a Redis stream: the platform's (`events`, group `consummers`, field `msg_data`), or anybody's from Redis
//! 6.2 on. Reads with acknowledgement, never trims, and takes over what idles in a dead consumer's hands.
//!
//! An event in hand stays this consumer's as long as it sends heartbeats; one that idles for
//! [`claim_after`](RedisOptions::claim_after) is taken over by whoever asks next. Replies are read by hand from the
//! protocol's values, so that an entry of any form (foreign fields, not UTF-8) can be delivered and disposed of instead
//! of stopping the stream.

use std::{
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    str::FromStr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use datafuse_core::id::EventId;
use futures::future::BoxFuture;
use redis::{Cmd, FromRedisValue, Value, cmd};
use tokio::time::Instant;
use ulid::Ulid;

use super::{Delivery, Queue, QueueStats, StreamStats, check_size};
use crate::{
    error::{Error, Result},
    event::MAX_EVENT_BYTES,
};

mod link;
mod stats;

use link::{Link, code_of};
use stats::{GroupInfo, StreamInfo};

/// The field of a stream entry that holds the event.
const FIELD: &str = "msg_data";

/// Among how many of the oldest pending entries the one that has idled longest is sought; a consumer has one at a time.
const OLDEST_AMONG: usize = 1000;

/// The codes with which the server says that the group, or the whole stream, is gone.
const GROUP_GONE: [&str; 2] = ["NOGROUP", "UNBLOCKED"];

/// The address of a Redis server: `redis://[user[:password]@]host[:port][/database]`, or `rediss://` for TLS. Shown
/// without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(url::Url);

impl RedisUrl {
    /// Gives the whole address, credentials included: for connecting, never for showing.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// Tells whether the connection is to use TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "rediss"
    }
}

impl FromStr for RedisUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason| Error::QueueLocation { origin: "the Redis URL", reason };
        let url = url::Url::parse(text).map_err(|_| wrong("it is not a URL"))?;
        if !matches!(url.scheme(), "redis" | "rediss") {
            return Err(wrong("its scheme is neither redis nor rediss"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("it has no host"));
        }
        if url.fragment().is_some() {
            return Err(wrong("it has a part after '#'"));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port().unwrap_or(6379);
        write!(f, "{}://{host}:{port}{}", self.0.scheme(), self.0.path().trim_end_matches('/'))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// How to use a Redis server as a queue.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// The server.
    pub url: RedisUrl,
    /// PEM certificates to trust instead of the system's, for `rediss://`.
    pub ca_file: Option<PathBuf>,
    /// The stream's key; dead letters go to this name with `:dead` behind it.
    pub stream: String,
    /// The consumer group.
    pub group: String,
    /// This consumer's name in the group. Two living consumers must never share one; a process that starts again
    /// under its old name takes up at once what it had in hand.
    pub consumer: String,
    /// How long an event may idle in a consumer's hands before another takes it over.
    pub claim_after: Duration,
    /// How long a server that does not answer is tried again before an operation fails.
    pub patience: Duration,
}

impl RedisOptions {
    /// Gives the platform's names, a consumer name of this process's own, and times that suit a workload whose jobs may
    /// take long: heartbeats every 30 seconds, take-over after two minutes without one.
    #[must_use]
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            ca_file: None,
            stream: "events".to_owned(),
            group: "consummers".to_owned(),
            consumer: format!("datafuse-{}", Ulid::generate()),
            claim_after: Duration::from_secs(120),
            patience: Duration::from_secs(10),
        }
    }
}

/// A consumer and publisher of the queue in a Redis stream.
pub struct RedisQueue {
    options: RedisOptions,
    /// For everything that is answered at once.
    link: Link,
    /// For reads that wait: they hold up whatever else shares their connection.
    waiting: Link,
    /// Held while taking an event until it is marked as in hand, so that no other call sees it in between.
    turn: tokio::sync::Mutex<()>,
    /// Whether a waiting read may have been left behind on the server by a connection that broke.
    stray_read: AtomicBool,
    /// Ids of events given to the caller and not yet acknowledged, released or put aside.
    in_hand: Mutex<BTreeSet<String>>,
    /// What was removed from the stream before it was read or done.
    trimmed: Mutex<Trimmed>,
}

/// How many entries were removed from a stream before their time.
#[derive(Clone, Copy, Default)]
struct Trimmed {
    /// In all, as far as this consumer noticed.
    total: u64,
    /// What the server's counters said last.
    counted: u64,
}

impl RedisQueue {
    /// Connects to the server. Stream and group are made when first read.
    ///
    /// # Errors
    /// [`Error::QueueUnreachable`] after the options' patience, [`Error::QueueTls`], [`Error::QueueRefused`],
    /// [`Error::CaFile`], [`Error::QueueLocation`].
    pub async fn connect(options: RedisOptions) -> Result<Self> {
        let client = link::client(&options)?;
        let open = |client| {
            let place = options.url.to_string();
            Link::new(client, place, &options.consumer, options.patience)
        };
        let queue = Self {
            link: open(client.clone()),
            waiting: open(client),
            turn: tokio::sync::Mutex::new(()),
            stray_read: AtomicBool::new(false),
            in_hand: Mutex::default(),
            trimmed: Mutex::default(),
            options,
        };
        queue.link.run("PING", &cmd("PING")).await?;
        Ok(queue)
    }

    fn in_hand(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self, name: &'static str) -> Cmd {
        let mut command = cmd(name);
        command.arg(&self.options.stream).arg(&self.options.group);
        command
    }

    /// The reply's shape is not that of the command.
    fn odd(&self, command: &'static str) -> Error {
        Error::QueueReply { place: self.options.url.to_string(), command }
    }

    /// Makes the group from the stream's beginning: nothing that already waits is passed over.
    async fn create_group(&self) -> Result<()> {
        let mut create = cmd("XGROUP");
        create.arg("CREATE").arg(&self.options.stream).arg(&self.options.group).arg("0").arg("MKSTREAM");
        match self.link.run("XGROUP", &create).await {
            Err(error) if code_of(&error) == Some("BUSYGROUP") => Ok(()),
            result => result.map(drop),
        }
    }

    async fn take(&self, deadline: Option<Instant>) -> Result<Option<Entry>> {
        let look = self.look();
        loop {
            if let Some(entry) = self.own_pending().await? {
                return Ok(Some(entry));
            }
            if let Some(entry) = self.claim_abandoned().await? {
                return Ok(Some(entry));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let block = left.map_or(look, |left| left.min(look));
            if let Some(entry) = self.read_new(block).await? {
                return Ok(Some(entry));
            }
            if left.is_some_and(|left| left <= look) {
                return Ok(None);
            }
        }
    }

    /// The longest wait for new entries before looking for abandoned ones again.
    fn look(&self) -> Duration {
        let half = self.options.claim_after / 2;
        half.clamp(Duration::from_millis(20), Duration::from_secs(5))
    }

    /// Takes up what this consumer's name was given and nobody has in hand: after a restart under the same name, after
    /// [`release`](Queue::release), after a reply that never arrived.
    async fn own_pending(&self) -> Result<Option<Entry>> {
        let in_hand = self.in_hand().clone();
        let mut pending = self.command("XPENDING");
        pending.arg("-").arg("+").arg(in_hand.len() + 1).arg(&self.options.consumer);
        for Pending { id, deliveries, .. } in self.pending(&pending).await? {
            if in_hand.contains(&id) {
                continue;
            }
            // Reads the one entry after the id before, from this consumer's own list only: if another consumer has
            // claimed it meanwhile, it is not there.
            let Some(before) = id_before(&id) else {
                continue;
            };
            let read = self.read(&before, None);
            let reply = self.link.run("XREADGROUP", &read).await?;
            if let Some((found, payload)) = self.entry_of(reply)?
                && found == id
            {
                return Ok(Some(Entry { id, payload, attempts: deliveries.saturating_add(1) }));
            }
        }
        Ok(None)
    }

    /// Takes over what has idled in another consumer's hands for too long.
    async fn claim_abandoned(&self) -> Result<Option<Entry>> {
        let mut cursor = "0-0".to_owned();
        loop {
            let mut claim = self.command("XAUTOCLAIM");
            claim.arg(&self.options.consumer).arg(millis(self.options.claim_after)).arg(&cursor).arg("COUNT").arg(1);
            let reply = self.link.run("XAUTOCLAIM", &claim).await?;
            let mut parts = sequence(reply).ok_or_else(|| self.odd("XAUTOCLAIM"))?.into_iter();
            let next = parts.next().and_then(text);
            let claimed = parts.next().and_then(sequence).unwrap_or_default();
            let gone = parts.next().and_then(sequence).unwrap_or_default();
            for id in gone.into_iter().filter_map(text) {
                tracing::error!(event = %id, "an entry was removed from the stream before it was done");
                self.trimmed.lock().unwrap_or_else(PoisonError::into_inner).total += 1;
            }
            if let Some((id, payload)) = claimed.into_iter().find_map(entry)
                && !self.in_hand().contains(&id)
            {
                let attempts = self.attempts(&id).await?;
                return Ok(Some(Entry { id, payload, attempts }));
            }
            match next {
                Some(next) if next != "0-0" => cursor = next,
                _ => return Ok(None),
            }
        }
    }

    /// Waits for an entry that nobody was given yet.
    async fn read_new(&self, block: Duration) -> Result<Option<Entry>> {
        let read = self.read(">", Some(block));
        // Once only: should the reply get lost, the entry is pending here, and comes before anything newer.
        let reply = match self.waiting.run_once("XREADGROUP", &read, block).await {
            Err(error) if error.is_retryable() => {
                self.stray_read.store(true, Ordering::Relaxed);
                self.waiting.run("PING", &cmd("PING")).await?;
                return Ok(None);
            }
            reply => reply?,
        };
        Ok(self.entry_of(reply)?.map(|(id, payload)| Entry { id, payload, attempts: 1 }))
    }

    fn read(&self, after: &str, block: Option<Duration>) -> Cmd {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.options.group).arg(&self.options.consumer).arg("COUNT").arg(1);
        // Zero would mean without end.
        if let Some(block) = block.filter(|block| block.as_millis() > 0) {
            read.arg("BLOCK").arg(millis(block));
        }
        read.arg("STREAMS").arg(&self.options.stream).arg(after);
        read
    }

    /// Finds the one entry in the reply to a read of one stream.
    fn entry_of(&self, reply: Value) -> Result<Option<(String, Vec<u8>)>> {
        let streams = sequence(reply).ok_or_else(|| self.odd("XREADGROUP"))?;
        let Some(stream) = streams.into_iter().next() else {
            return Ok(None);
        };
        let mut parts = sequence(stream).ok_or_else(|| self.odd("XREADGROUP"))?.into_iter();
        let entries = parts.nth(1).and_then(sequence).unwrap_or_default();
        Ok(entries.into_iter().find_map(entry))
    }

    /// Asks how stream and group stand, and warns where more entries than before were removed unread.
    async fn look_at_stream(&self) -> Result<(StreamInfo, GroupInfo)> {
        let ask = |what: &'static str| {
            let mut info = cmd("XINFO");
            info.arg(what).arg(&self.options.stream);
            info
        };
        let stream = match self.link.run("XINFO", &ask("STREAM")).await {
            Ok(reply) => StreamInfo::read(reply).ok_or_else(|| self.odd("XINFO"))?,
            // No such key: nothing was ever published.
            Err(error) if code_of(&error) == Some("ERR") => return Ok(Default::default()),
            Err(error) => return Err(error),
        };
        let groups = self.link.run("XINFO", &ask("GROUPS")).await?;
        let group = GroupInfo::read(groups, &self.options.group).ok_or_else(|| self.odd("XINFO"))?;
        if let Some(counted) = group.removed_unread(&stream) {
            self.note_removed(counted);
        }
        Ok((stream, group))
    }

    fn note_removed(&self, counted: u64) {
        let mut trimmed = self.trimmed.lock().unwrap_or_else(PoisonError::into_inner);
        let more = counted.saturating_sub(trimmed.counted);
        trimmed.counted = counted;
        trimmed.total += more;
        if more > 0 {
            let stream = &self.options.stream;
            tracing::error!(
                stream,
                events = more,
                "entries were removed from the stream before they were read: their events are lost; whoever publishes must not trim it"
            );
        }
    }

    /// Runs XPENDING in its long form.
    async fn pending(&self, command: &Cmd) -> Result<Vec<Pending>> {
        let reply = self.link.run("XPENDING", command).await?;
        let rows = sequence(reply).ok_or_else(|| self.odd("XPENDING"))?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let mut columns = sequence(row).ok_or_else(|| self.odd("XPENDING"))?.into_iter();
            let id = columns.next().and_then(text);
            let idle = columns.nth(1).and_then(|v| u64::from_redis_value(v).ok()).map(Duration::from_millis);
            let deliveries = columns.next().and_then(|v| u32::from_redis_value(v).ok());
            match (id, idle, deliveries) {
                (Some(id), Some(idle), Some(deliveries)) => found.push(Pending { id, idle, deliveries }),
                _ => return Err(self.odd("XPENDING")),
            }
        }
        Ok(found)
    }

    /// Counts the deliveries of an entry so far; 1 if it is pending no more.
    async fn attempts(&self, id: &str) -> Result<u32> {
        let mut pending = self.command("XPENDING");
        pending.arg(id).arg(id).arg(1);
        let rows = self.pending(&pending).await?;
        Ok(rows.first().map_or(1, |entry| entry.deliveries))
    }

    /// Sets how long an entry of this consumer's has been idle, if it still is this consumer's. Should another consumer
    /// claim it between the two commands, both have it in hand: as after any take-over, the event is then done twice.
    async fn set_idle(&self, id: &EventId, idle: Duration) -> Result<()> {
        let lost = || Error::ClaimLost { event: id.to_string() };
        let mut pending = self.command("XPENDING");
        pending.arg(id.as_str()).arg(id.as_str()).arg(1);
        pending.arg(&self.options.consumer);
        let mut claim = self.command("XCLAIM");
        claim.arg(&self.options.consumer).arg(0).arg(id.as_str()).arg("IDLE").arg(millis(idle)).arg("JUSTID");
        let renew = async {
            if self.pending(&pending).await?.is_empty() {
                return Err(lost());
            }
            let claimed = self.link.run("XCLAIM", &claim).await?;
            match sequence(claimed).is_some_and(|ids| !ids.is_empty()) {
                true => Ok(()),
                false => Err(lost()),
            }
        };
        renew.await.map_err(|error| match code_of(&error) {
            Some(code) if GROUP_GONE.contains(&code) => lost(),
            _ => error,
        })
    }
}

impl Queue for RedisQueue {
    fn publish<'a>(&'a self, payload: &'a [u8]) -> BoxFuture<'a, Result<EventId>> {
        Box::pin(async move {
            check_size(payload)?;
            let mut add = cmd("XADD");
            add.arg(&self.options.stream).arg("*").arg(FIELD).arg(payload);
            // The connection is tried before, and the command sent once: sent twice, the event might be there twice.
            self.link.run("PING", &cmd("PING")).await?;
            let reply = self.link.run_once("XADD", &add, Duration::ZERO).await?;
            text(reply).and_then(|id| id.parse().ok()).ok_or_else(|| self.odd("XADD"))
        })
    }

    fn next(&self, wait: Option<Duration>) -> BoxFuture<'_, Result<Option<Delivery>>> {
        Box::pin(async move {
            let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
            let _turn = self.turn.lock().await;
            let taken = loop {
                match self.take(deadline).await {
                    Err(error) if code_of(&error).is_some_and(|c| GROUP_GONE.contains(&c)) => {
                        self.create_group().await?;
                    }
                    taken => break taken?,
                }
            };
            let Some(entry) = taken else {
                return Ok(None);
            };
            let id = entry.id.parse().map_err(|_| self.odd("XREADGROUP"))?;
            // No await between here and the return: a dropped future leaves the entry unmarked, and it comes again.
            self.in_hand().insert(entry.id);
            Ok(Some(Delivery { id, payload: entry.payload, attempts: entry.attempts }))
        })
    }

    fn acknowledge<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut acknowledge = self.command("XACK");
            acknowledge.arg(delivery.id.as_str());
            self.link.run("XACK", &acknowledge).await?;
            self.in_hand().remove(delivery.id.as_str());
            Ok(())
        })
    }

    fn release<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let result = self.set_idle(&delivery.id, self.options.claim_after).await;
            if result.is_ok() || matches!(result, Err(Error::ClaimLost { .. })) {
                self.in_hand().remove(delivery.id.as_str());
            }
            result
        })
    }

    fn dead_letter<'a>(&'a self, delivery: &'a Delivery, class: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut both = redis::pipe();
            both.atomic()
                .cmd("XADD")
                .arg(format!("{}:dead", self.options.stream))
                .arg("*")
                .arg("event")
                .arg(delivery.id.as_str())
                .arg("class")
                .arg(class)
                .cmd("XACK")
                .arg(&self.options.stream)
                .arg(&self.options.group)
                .arg(delivery.id.as_str());
            self.link.run("MULTI", &both).await?;
            self.in_hand().remove(delivery.id.as_str());
            Ok(())
        })
    }

    fn heartbeat<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.set_idle(&delivery.id, Duration::ZERO))
    }

    fn heartbeat_every(&self) -> Duration {
        self.options.claim_after / 4
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats>> {
        Box::pin(async move {
            let (stream, group) = self.look_at_stream().await?;
            let mut pending = self.command("XPENDING");
            pending.arg("-").arg("+").arg(OLDEST_AMONG);
            let oldest = match group.pending {
                0 => None,
                _ => self.pending(&pending).await?.into_iter().map(|entry| entry.idle).max(),
            };
            let mut dead = cmd("XLEN");
            dead.arg(format!("{}:dead", self.options.stream));
            let dead = u64::from_redis_value(self.link.run("XLEN", &dead).await?).map_err(|_| self.odd("XLEN"))?;
            let trimmed = *self.trimmed.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(QueueStats {
                streams: vec![StreamStats {
                    stream: self.options.stream.clone(),
                    waiting: group.waiting(&stream, trimmed.counted),
                    pending: group.pending,
                    oldest_pending: oldest,
                    dead_letters: dead,
                    trimmed: trimmed.total,
                    consumers: group.consumers,
                }],
            })
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            // Removing a consumer removes what is pending for it, so nothing may still be on its way to it: a read that
            // was given up ends before the answer to a command behind it.
            if self.stray_read.load(Ordering::Relaxed) || !self.waiting.is_open().await {
                return Ok(());
            }
            let ping = cmd("PING");
            self.waiting.run_once("PING", &ping, self.look()).await?;
            let mut pending = self.command("XPENDING");
            pending.arg("-").arg("+").arg(1).arg(&self.options.consumer);
            if !self.pending(&pending).await?.is_empty() {
                return Ok(());
            }
            let mut remove = cmd("XGROUP");
            remove.arg("DELCONSUMER").arg(&self.options.stream).arg(&self.options.group).arg(&self.options.consumer);
            self.link.run("XGROUP", &remove).await.map(drop)
        })
    }

    fn place(&self) -> String {
        format!("{} stream {}", self.options.url, self.options.stream)
    }
}

/// An entry that some consumer has and that is not acknowledged.
struct Pending {
    id: String,
    idle: Duration,
    deliveries: u32,
}

/// A stream entry given to this consumer.
struct Entry {
    id: String,
    payload: Vec<u8>,
    attempts: u32,
}

/// Reads an entry `[id, [field, value, ...]]`. Without the field, or with its fields gone, the payload is empty.
fn entry(value: Value) -> Option<(String, Vec<u8>)> {
    let mut parts = sequence(value)?.into_iter();
    let id = parts.next().and_then(text)?;
    let fields = parts.next().and_then(sequence).unwrap_or_default();
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        if bytes(name).as_deref() == Some(FIELD.as_bytes()) {
            let mut payload = bytes(value).unwrap_or_default();
            payload.truncate(MAX_EVENT_BYTES + 1);
            return Some((id, payload));
        }
    }
    Some((id, Vec::new()))
}

fn sequence(value: Value) -> Option<Vec<Value>> {
    value.into_sequence().ok()
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

/// Gives the largest id below an id; none below the smallest.
fn id_before(id: &str) -> Option<String> {
    let (ms, sequence) = id.split_once('-')?;
    let (ms, sequence): (u64, u64) = (ms.parse().ok()?, sequence.parse().ok()?);
    match (ms, sequence.checked_sub(1)) {
        (ms, Some(before)) => Some(format!("{ms}-{before}")),
        (ms, None) => Some(format!("{}-{}", ms.checked_sub(1)?, u64::MAX)),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url: RedisUrl = "rediss://alice:hunter2@queue.example:6390/2?protocol=resp3".parse().unwrap();
        assert_eq!(url.to_string(), "rediss://queue.example:6390/2");
        assert!(!format!("{:?}", RedisOptions::new(url.clone())).contains("hunter2"));
        assert!(url.expose().contains("hunter2"));
        assert!(url.is_tls());
    }

    #[test]
    fn refuses_addresses_of_other_things_without_repeating_them() {
        for text in [
            "http://u:hunter2@host",
            "redis:hunter2",
            "redis://",
            "hunter2",
            "rediss://host:6379/#insecure",
            "redis://u:hunter2@host:port",
        ] {
            let error = text.parse::<RedisUrl>().unwrap_err();
            assert!(matches!(error, Error::QueueLocation { .. }), "{text}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn the_id_before_an_id_is_the_next_smaller_one() {
        assert_eq!(id_before("5-7").as_deref(), Some("5-6"));
        assert_eq!(id_before("5-0"), Some(format!("4-{}", u64::MAX)));
        assert_eq!(id_before("0-0"), None);
        assert_eq!(id_before("5"), None);
    }

    fn bulk(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    #[test]
    fn entries_of_any_form_can_be_read() {
        let with = |fields: Value| entry(Value::Array(vec![bulk(b"1-1"), fields]));
        let some = |payload: &[u8]| Some(("1-1".to_owned(), payload.to_vec()));
        let two = Value::Array(vec![bulk(b"\xff"), bulk(b"x"), bulk(b"msg_data"), bulk(b"\xfe")]);
        assert_eq!(with(two), some(b"\xfe"));
        assert_eq!(with(Value::Array(vec![bulk(b"other"), bulk(b"msg_data")])), some(b""));
        assert_eq!(with(Value::Nil), some(b""));
        let large = vec![b'x'; MAX_EVENT_BYTES * 2];
        let (_, payload) = with(Value::Array(vec![bulk(b"msg_data"), bulk(&large)])).unwrap();
        assert_eq!(payload.len(), MAX_EVENT_BYTES + 1);
    }
}
