//! The queue in Redis streams: the platform's (`events`, group `consummers`, field `msg_data`), or anybody's from Redis
//! 6.2 on. Reads with acknowledgement, never trims, and takes over what idles in a dead consumer's hands.
//!
//! An event in hand stays this consumer's as long as it sends heartbeats; one that idles for
//! [`claim_after`](RedisOptions::claim_after) is taken over by whoever asks next. Of several streams the most urgent is looked
//! through first, its abandoned events included; only when none has anything does a read wait, for all of them together.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use datafuse_core::id::EventId;
use futures::future::BoxFuture;
use redis::{Cmd, FromRedisValue, cmd};
use tokio::time::Instant;

use super::{
    Delivery, Queue, QueueStats, StreamStats, check_size,
    stream::{StreamName, in_order, main_of},
};
use crate::error::{Error, Result};

mod info;
mod link;
mod options;
mod reply;
mod watch;

pub use options::{RedisOptions, RedisUrl};

use link::{Link, code_of};
use reply::{Entry, Pending, id_before, sequence, text};
use watch::Trimmed;

/// The field of a stream entry that holds the event.
const FIELD: &str = "msg_data";

/// Among how many of the oldest pending entries the one that has idled longest is sought; a consumer has one at a time.
const OLDEST_AMONG: usize = 1000;

/// The codes with which the server says that the group, or the whole stream, is gone.
const GROUP_GONE: [&str; 2] = ["NOGROUP", "UNBLOCKED"];

/// A consumer and publisher of the queue in Redis streams.
pub struct RedisQueue {
    options: RedisOptions,
    /// Most urgent first; at least one.
    streams: Vec<Stream>,
    /// For everything that is answered at once.
    link: Link,
    /// For reads that wait: they hold up whatever else shares their connection.
    waiting: Link,
    /// Held while taking an event until it is marked as in hand, so that no other call sees it in between.
    turn: tokio::sync::Mutex<()>,
    /// Whether a waiting read may have been left behind on the server by a connection that broke.
    stray_read: AtomicBool,
    /// When the streams were last looked at for entries that others removed.
    looked: Mutex<Option<Instant>>,
}

/// One stream, as this consumer sees it.
struct Stream {
    name: StreamName,
    /// Ids of entries given to the caller and not yet acknowledged, released or put aside.
    in_hand: Mutex<BTreeSet<String>>,
    /// What was removed from the stream before it was read or done.
    trimmed: Mutex<Trimmed>,
}

impl Stream {
    fn new(name: StreamName) -> Self {
        Self { name, in_hand: Mutex::default(), trimmed: Mutex::default() }
    }

    fn in_hand(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RedisQueue {
    /// Connects to the server. Streams and groups are made when first read.
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
            streams: in_order(&options.streams).into_iter().map(Stream::new).collect(),
            link: open(client.clone()),
            waiting: open(client),
            turn: tokio::sync::Mutex::new(()),
            stray_read: AtomicBool::new(false),
            looked: Mutex::default(),
            options,
        };
        queue.link.run("PING", &cmd("PING")).await?;
        Ok(queue)
    }

    /// Finds the stream and the entry of an event; none if it came from another queue.
    fn locate<'a>(&self, event: &'a EventId) -> Option<(&Stream, &'a str)> {
        self.streams.iter().find_map(|stream| Some((stream, stream.name.entry_of(event)?)))
    }

    fn command(&self, name: &'static str, stream: &Stream) -> Cmd {
        let mut command = cmd(name);
        command.arg(stream.name.as_str()).arg(&self.options.group);
        command
    }

    /// The reply's shape is not that of the command.
    fn odd(&self, command: &'static str) -> Error {
        Error::QueueReply { place: self.options.url.to_string(), command }
    }

    /// Makes the groups from the streams' beginnings: nothing that already waits is passed over.
    async fn create_groups(&self) -> Result<()> {
        for stream in &self.streams {
            let mut create = cmd("XGROUP");
            create.arg("CREATE").arg(stream.name.as_str()).arg(&self.options.group).arg("0").arg("MKSTREAM");
            match self.link.run("XGROUP", &create).await {
                Err(error) if code_of(&error) == Some("BUSYGROUP") => {}
                result => drop(result?),
            }
        }
        Ok(())
    }

    async fn take(&self, deadline: Option<Instant>) -> Result<Option<(&Stream, Entry)>> {
        let look = self.look();
        let all: Vec<&Stream> = self.streams.iter().collect();
        loop {
            self.watch().await?;
            for stream in &self.streams {
                if let Some(entry) = self.own_pending(stream).await? {
                    return Ok(Some((stream, entry)));
                }
                if let Some(entry) = self.claim_abandoned(stream).await? {
                    return Ok(Some((stream, entry)));
                }
                // A read that waits for several gives whatever is there; so they are asked one by one before.
                if self.streams.len() > 1
                    && let Some(found) = self.read_new(&[stream], Duration::ZERO).await?
                {
                    return Ok(Some(found));
                }
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let block = left.map_or(look, |left| left.min(look));
            if let Some(found) = self.read_new(&all, block).await? {
                return Ok(Some(found));
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
    async fn own_pending(&self, stream: &Stream) -> Result<Option<Entry>> {
        let in_hand = stream.in_hand().clone();
        let mut pending = self.command("XPENDING", stream);
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
            let read = self.read(&[stream], &before, Duration::ZERO);
            let reply = self.link.run("XREADGROUP", &read).await?;
            let found = reply::streams(reply).ok_or_else(|| self.odd("XREADGROUP"))?;
            if let Some((_, (found, payload))) = found.into_iter().next()
                && found == id
            {
                return Ok(Some(Entry { id, payload, attempts: deliveries.saturating_add(1) }));
            }
        }
        Ok(None)
    }

    /// Takes over what has idled in another consumer's hands for too long.
    async fn claim_abandoned(&self, stream: &Stream) -> Result<Option<Entry>> {
        let mut cursor = "0-0".to_owned();
        loop {
            let mut claim = self.command("XAUTOCLAIM", stream);
            claim.arg(&self.options.consumer).arg(millis(self.options.claim_after)).arg(&cursor).arg("COUNT").arg(1);
            let reply = self.link.run("XAUTOCLAIM", &claim).await?;
            let mut parts = sequence(reply).ok_or_else(|| self.odd("XAUTOCLAIM"))?.into_iter();
            let next = parts.next().and_then(text);
            let claimed = parts.next().and_then(sequence).unwrap_or_default();
            let gone = parts.next().and_then(sequence).unwrap_or_default();
            for id in gone.into_iter().filter_map(text) {
                stream.note_removed_at_work(&id);
            }
            if let Some((id, payload)) = claimed.into_iter().find_map(reply::entry)
                && !stream.in_hand().contains(&id)
            {
                let attempts = self.attempts(stream, &id).await?;
                return Ok(Some(Entry { id, payload, attempts }));
            }
            match next {
                Some(next) if next != "0-0" => cursor = next,
                _ => return Ok(None),
            }
        }
    }

    /// Waits for an entry that nobody was given yet, and takes the most urgent.
    async fn read_new<'a>(&self, streams: &[&'a Stream], block: Duration) -> Result<Option<(&'a Stream, Entry)>> {
        let read = self.read(streams, ">", block);
        // Once only: should the reply get lost, the entry is pending here, and comes before anything newer.
        let reply = match self.waiting.run_once("XREADGROUP", &read, block).await {
            Err(error) if error.is_retryable() => {
                self.stray_read.store(true, Ordering::Relaxed);
                self.waiting.run("PING", &cmd("PING")).await?;
                return Ok(None);
            }
            reply => reply?,
        };
        let found = reply::streams(reply).ok_or_else(|| self.odd("XREADGROUP"))?;
        // The reply is in the order of the streams asked for.
        let mut found = found
            .into_iter()
            .filter_map(|(name, entry)| Some((*streams.iter().find(|stream| stream.name.as_str() == name)?, entry)));
        let Some((stream, (id, payload))) = found.next() else {
            return Ok(None);
        };
        for (stream, (id, _)) in found {
            self.put_back(stream, &id).await?;
        }
        Ok(Some((stream, Entry { id, payload, attempts: 1 })))
    }

    /// Leaves an entry that came along for whoever asks next, as if nobody had been given it.
    async fn put_back(&self, stream: &Stream, id: &str) -> Result<()> {
        let mut claim = self.command("XCLAIM", stream);
        claim.arg(&self.options.consumer).arg(0).arg(id).arg("IDLE").arg(millis(self.options.claim_after));
        claim.arg("RETRYCOUNT").arg(0).arg("JUSTID");
        self.link.run("XCLAIM", &claim).await.map(drop)
    }

    fn read(&self, streams: &[&Stream], after: &str, block: Duration) -> Cmd {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.options.group).arg(&self.options.consumer).arg("COUNT").arg(1);
        // Zero would mean without end.
        if block.as_millis() > 0 {
            read.arg("BLOCK").arg(millis(block));
        }
        read.arg("STREAMS");
        for stream in streams {
            read.arg(stream.name.as_str());
        }
        for _ in streams {
            read.arg(after);
        }
        read
    }

    /// Runs XPENDING in its long form.
    async fn pending(&self, command: &Cmd) -> Result<Vec<Pending>> {
        let reply = self.link.run("XPENDING", command).await?;
        reply::pending(reply).ok_or_else(|| self.odd("XPENDING"))
    }

    /// Counts the deliveries of an entry so far; 1 if it is pending no more.
    async fn attempts(&self, stream: &Stream, id: &str) -> Result<u32> {
        let mut pending = self.command("XPENDING", stream);
        pending.arg(id).arg(id).arg(1);
        let rows = self.pending(&pending).await?;
        Ok(rows.first().map_or(1, |entry| entry.deliveries))
    }

    /// Sets how long an entry of this consumer's has been idle, if it still is this consumer's. Should another consumer
    /// claim it between the two commands, both have it in hand: as after any take-over, the event is then done twice.
    async fn set_idle(&self, event: &EventId, idle: Duration) -> Result<()> {
        let lost = || Error::ClaimLost { event: event.to_string() };
        let (stream, id) = self.locate(event).ok_or_else(lost)?;
        let mut pending = self.command("XPENDING", stream);
        pending.arg(id).arg(id).arg(1);
        pending.arg(&self.options.consumer);
        let mut claim = self.command("XCLAIM", stream);
        claim.arg(&self.options.consumer).arg(0).arg(id).arg("IDLE").arg(millis(idle)).arg("JUSTID");
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

    async fn add(&self, stream: &Stream, payload: &[u8]) -> Result<EventId> {
        check_size(payload)?;
        let mut add = cmd("XADD");
        add.arg(stream.name.as_str()).arg("*").arg(FIELD).arg(payload);
        // The connection is tried before, and the command sent once: sent twice, the event might be there twice.
        self.link.run("PING", &cmd("PING")).await?;
        let reply = self.link.run_once("XADD", &add, Duration::ZERO).await?;
        text(reply).and_then(|id| stream.name.event_of(&id)).ok_or_else(|| self.odd("XADD"))
    }

    async fn stats_of(&self, stream: &Stream) -> Result<StreamStats> {
        let (info, group) = self.look_at(stream).await?;
        let mut pending = self.command("XPENDING", stream);
        pending.arg("-").arg("+").arg(OLDEST_AMONG);
        let oldest_pending = match group.pending {
            0 => None,
            _ => self.pending(&pending).await?.into_iter().map(|entry| entry.idle).max(),
        };
        let mut dead = cmd("XLEN");
        dead.arg(stream.name.dead());
        let dead = u64::from_redis_value(self.link.run("XLEN", &dead).await?).map_err(|_| self.odd("XLEN"))?;
        let trimmed = stream.trimmed();
        Ok(StreamStats {
            stream: stream.name.to_string(),
            waiting: group.waiting(&info, trimmed.counted),
            pending: group.pending,
            oldest_pending,
            dead_letters: dead,
            trimmed: trimmed.total,
            consumers: group.consumers,
        })
    }

    /// Removes this consumer from a stream's group, unless something is pending for it there.
    async fn leave(&self, stream: &Stream) -> Result<()> {
        let mut pending = self.command("XPENDING", stream);
        pending.arg("-").arg("+").arg(1).arg(&self.options.consumer);
        if self.pending(&pending).await?.is_empty() {
            self.remove_consumer(stream, &self.options.consumer).await?;
        }
        Ok(())
    }

    async fn remove_consumer(&self, stream: &Stream, consumer: &str) -> Result<()> {
        let mut remove = cmd("XGROUP");
        remove.arg("DELCONSUMER").arg(stream.name.as_str()).arg(&self.options.group).arg(consumer);
        self.link.run("XGROUP", &remove).await.map(drop)
    }
}

impl Queue for RedisQueue {
    fn publish<'a>(&'a self, payload: &'a [u8]) -> BoxFuture<'a, Result<EventId>> {
        Box::pin(async move {
            let names: Vec<_> = self.streams.iter().map(|stream| stream.name.clone()).collect();
            self.add(&self.streams[main_of(&names)], payload).await
        })
    }

    fn next(&self, wait: Option<Duration>) -> BoxFuture<'_, Result<Option<Delivery>>> {
        Box::pin(async move {
            let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
            let _turn = self.turn.lock().await;
            let taken = loop {
                match self.take(deadline).await {
                    Err(error) if code_of(&error).is_some_and(|c| GROUP_GONE.contains(&c)) => {
                        self.create_groups().await?;
                    }
                    taken => break taken?,
                }
            };
            let Some((stream, entry)) = taken else {
                return Ok(None);
            };
            let id = stream.name.event_of(&entry.id).ok_or_else(|| self.odd("XREADGROUP"))?;
            // No await between here and the return: a dropped future leaves the entry unmarked, and it comes again.
            stream.in_hand().insert(entry.id);
            let stream = stream.name.to_string();
            Ok(Some(Delivery { id, stream, payload: entry.payload, attempts: entry.attempts }))
        })
    }

    fn acknowledge<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some((stream, entry)) = self.locate(&delivery.id) else {
                return Ok(());
            };
            let mut acknowledge = self.command("XACK", stream);
            acknowledge.arg(entry);
            self.link.run("XACK", &acknowledge).await?;
            stream.in_hand().remove(entry);
            Ok(())
        })
    }

    fn release<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let result = self.set_idle(&delivery.id, self.options.claim_after).await;
            if let Some((stream, entry)) = self.locate(&delivery.id)
                && (result.is_ok() || matches!(result, Err(Error::ClaimLost { .. })))
            {
                stream.in_hand().remove(entry);
            }
            result
        })
    }

    fn dead_letter<'a>(&'a self, delivery: &'a Delivery, class: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some((stream, entry)) = self.locate(&delivery.id) else {
                return Ok(());
            };
            let mut both = redis::pipe();
            both.atomic()
                .cmd("XADD")
                .arg(stream.name.dead())
                .arg("*")
                .arg("event")
                .arg(delivery.id.as_str())
                .arg("class")
                .arg(class)
                .cmd("XACK")
                .arg(stream.name.as_str())
                .arg(&self.options.group)
                .arg(entry);
            self.link.run("MULTI", &both).await?;
            stream.in_hand().remove(entry);
            Ok(())
        })
    }

    fn resend<'a>(&'a self, event: &'a EventId) -> BoxFuture<'a, Result<Option<EventId>>> {
        Box::pin(async move {
            let Some((stream, id)) = self.locate(event) else {
                return Ok(None);
            };
            let mut range = cmd("XRANGE");
            range.arg(stream.name.as_str()).arg(id).arg(id).arg("COUNT").arg(1);
            let found = sequence(self.link.run("XRANGE", &range).await?).ok_or_else(|| self.odd("XRANGE"))?;
            match found.into_iter().find_map(reply::entry) {
                Some((_, payload)) if !payload.is_empty() => self.add(stream, &payload).await.map(Some),
                _ => Ok(None),
            }
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
            let mut streams = Vec::with_capacity(self.streams.len());
            for stream in &self.streams {
                streams.push(self.stats_of(stream).await?);
            }
            Ok(QueueStats { streams })
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
            for stream in &self.streams {
                self.leave(stream).await?;
            }
            Ok(())
        })
    }

    fn place(&self) -> String {
        let names: Vec<_> = self.streams.iter().map(|stream| stream.name.as_str()).collect();
        let word = if names.len() == 1 { "stream" } else { "streams" };
        format!("{} {word} {}", self.options.url, names.join(", "))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
