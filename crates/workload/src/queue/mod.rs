//! Where events wait: one trait, two places. Bytes of an event go in by [`publish`](Queue::publish) and come out as a
//! [`Delivery`], at least once each: until it is acknowledged, an event belongs to one consumer at a time and comes
//! again when that consumer dies.
//!
//! Events may be sent to several streams of one queue: a consumer takes what waits in a more urgent one first. Each stream has its own
//! dead letters.
//!
//! [`embedded`] keeps the events in a folder, safe across processes; [`redis`] in Redis streams. One conformance suite
//! (`tests/queue_conformance.rs`) runs against both. What an event means is not known here: [`crate::event`].

use std::{fmt, path::PathBuf, time::Duration};

use datafuse_core::id::EventId;
use futures::future::BoxFuture;

use crate::error::{Error, Result};

pub mod embedded;
pub mod redis;
pub mod stats;
pub mod stream;

pub use self::{
    embedded::EmbeddedQueue,
    redis::{RedisOptions, RedisQueue, RedisUrl},
    stats::{QueueStats, StreamStats},
    stream::{DEFAULT_STREAM, InvalidStreamName, StreamName},
};

/// How often an event is tried: what is delivered more often than this goes to the dead letters.
pub const MAX_DELIVERIES: u32 = 5;

/// How long an event may idle in a consumer's hands before another takes it over, where nobody says otherwise.
pub const DEFAULT_CLAIM_AFTER: Duration = Duration::from_secs(120);

/// One event in a consumer's hands.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event's id, the same at each delivery.
    pub id: EventId,
    /// The name of the stream that it came from.
    pub stream: String,
    /// The event's bytes as published, unchecked. Of an entry beyond [`MAX_EVENT_BYTES`](crate::event::MAX_EVENT_BYTES)
    /// no more than one byte beyond it, so that parsing refuses it; empty where the entry holds no event at all.
    pub payload: Vec<u8>,
    /// How often the event was delivered, this time included.
    pub attempts: u32,
}

/// Shows the size of the payload, never its bytes.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id)
            .field("stream", &self.stream)
            .field("payload_bytes", &self.payload.len())
            .field("attempts", &self.attempts)
            .finish()
    }
}

/// A place where events wait. One value is one consumer; several may work on one place, in one process or many.
///
/// Dropping the future of any method is safe: what it may have taken is delivered again by a later [`next`](Self::next).
pub trait Queue: Send + Sync {
    /// Adds an event to the stream `events`, or to the most urgent where that is none of this queue's; when this returns, it
    /// survives a crash. Events of one publisher to one stream keep their order.
    ///
    /// # Errors
    /// [`Error::EventTooLarge`], or that the place cannot be written. After a broken connection the event may have
    /// been added nevertheless.
    fn publish<'a>(&'a self, payload: &'a [u8]) -> BoxFuture<'a, Result<EventId>>;

    /// Takes the next event, of the most urgent stream that has one: first what this consumer took before and does not have
    /// in hand any more, then what dead consumers left, then new ones, oldest first. Waits up to `wait` for one, without end for `None`; a lost
    /// connection is sought again within the place's own patience.
    ///
    /// # Errors
    /// That the place cannot be reached or read.
    fn next(&self, wait: Option<Duration>) -> BoxFuture<'_, Result<Option<Delivery>>>;

    /// Declares an event done: it never comes again. Doing so twice changes nothing.
    ///
    /// # Errors
    /// That the place cannot be reached or written: the event may come again.
    fn acknowledge<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>>;

    /// Gives an event back for another attempt, by any consumer, at once: who wants a pause makes it before.
    ///
    /// # Errors
    /// [`Error::ClaimLost`] if it was not this consumer's any more, or that the place cannot be reached or written.
    fn release<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>>;

    /// Puts an event aside for good: notes its id and the class of the error, nothing else, and acknowledges it, both
    /// or neither. The event itself stays where [`resend`](Self::resend) finds it.
    ///
    /// # Errors
    /// That the place cannot be reached or written: the event comes again.
    fn dead_letter<'a>(&'a self, delivery: &'a Delivery, class: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Sends an event that was put aside once more, as a new event at the end of its stream; gives the new id, or none where
    /// this place does not have the event any more.
    ///
    /// # Errors
    /// That the place cannot be reached or written. After a broken connection the event may have been added nevertheless.
    fn resend<'a>(&'a self, event: &'a EventId) -> BoxFuture<'a, Result<Option<EventId>>>;

    /// Says that this consumer is still at work on an event. To be called every
    /// [`heartbeat_every`](Self::heartbeat_every), or others take it over.
    ///
    /// # Errors
    /// [`Error::ClaimLost`] if another consumer did, or that the place cannot be reached.
    fn heartbeat<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>>;

    /// Gives the interval at which [`heartbeat`](Self::heartbeat) is due.
    fn heartbeat_every(&self) -> Duration;

    /// Counts what waits, what is at work and what was put aside. Costs a few commands, or a look through a folder.
    ///
    /// # Errors
    /// That the place cannot be reached or read.
    fn stats(&self) -> BoxFuture<'_, Result<QueueStats>>;

    /// Leaves the place, so that a consumer which owes nothing is not remembered there. To be called last; not calling
    /// it loses nothing. May take as long as the place needs to end a wait that was given up: some seconds.
    ///
    /// # Errors
    /// That the place cannot be reached.
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Names the place for logs and messages: a folder, or an address without credentials.
    fn place(&self) -> String;
}

/// Which queue to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueChoice {
    /// A Redis stream.
    Redis {
        /// The server.
        url: RedisUrl,
        /// PEM certificates to trust instead of the system's, for `rediss://`.
        ca_file: Option<PathBuf>,
    },
    /// A folder.
    Embedded {
        /// The folder as the space file gives it: where relative, to the space file's own folder.
        folder: PathBuf,
    },
}

/// How to use a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// The streams, most urgent first; without any the platform's, [`DEFAULT_STREAM`].
    pub streams: Vec<StreamName>,
    /// How long an event may idle in a consumer's hands before another takes it over; only a server needs to know.
    pub claim_after: Duration,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { streams: vec![StreamName::default()], claim_after: DEFAULT_CLAIM_AFTER }
    }
}

/// Opens a queue with the platform's names for stream and group.
///
/// # Errors
/// That the folder cannot be made or written, or the server not be reached.
pub async fn open(choice: &QueueChoice) -> Result<Box<dyn Queue>> {
    open_with(choice, &QueueOptions::default()).await
}

/// Opens a queue with streams and times of one's own.
///
/// # Errors
/// That the folder cannot be made or written, or the server not be reached.
pub async fn open_with(choice: &QueueChoice, options: &QueueOptions) -> Result<Box<dyn Queue>> {
    match choice {
        QueueChoice::Redis { url, ca_file } => {
            let mut redis = RedisOptions::new(url.clone());
            redis.ca_file.clone_from(ca_file);
            redis.streams.clone_from(&options.streams);
            redis.claim_after = options.claim_after;
            Ok(Box::new(RedisQueue::connect(redis).await?))
        }
        QueueChoice::Embedded { folder } => Ok(Box::new(EmbeddedQueue::open_streams(folder, &options.streams)?)),
    }
}

/// Refuses what no consumer would accept.
fn check_size(payload: &[u8]) -> Result<()> {
    let limit = crate::event::MAX_EVENT_BYTES;
    if payload.len() > limit {
        return Err(Error::EventTooLarge { bytes: payload.len(), limit });
    }
    Ok(())
}
