//! What others do to the streams: entries removed before they were read or done, which nobody can bring back, and consumers that
//! died and are still remembered. Looked at now and then while events are taken; a server that does not allow it is told about once.

use std::{sync::PoisonError, time::Duration};

use redis::{FromRedisValue, Value, cmd};
use tokio::time::Instant;

use super::{
    RedisQueue, Stream,
    info::{GroupInfo, StreamInfo, fields, number},
    link::code_of,
    reply::sequence,
};
use crate::error::Result;

/// How often the streams are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// After how long without a word a consumer that owes nothing is forgotten: a living one asks for events every few seconds.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What the names of consumers begin with that nobody chose.
pub(super) const OWN_PREFIX: &str = "datafuse-";

/// How many entries were removed from a stream before their time.
#[derive(Clone, Copy, Default)]
pub(super) struct Trimmed {
    /// In all, as far as this consumer noticed.
    pub(super) total: u64,
    /// What the server's counters said last.
    pub(super) counted: u64,
}

impl Stream {
    pub(super) fn trimmed(&self) -> Trimmed {
        *self.trimmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the server's counters say; warns where it is more than before.
    fn note_removed_unread(&self, counted: u64) {
        let more = {
            let mut trimmed = self.trimmed.lock().unwrap_or_else(PoisonError::into_inner);
            let more = counted.saturating_sub(trimmed.counted);
            trimmed.counted = counted;
            trimmed.total += more;
            more
        };
        if more > 0 {
            tracing::error!(
                stream = %self.name,
                events = more,
                "entries were removed from the stream before they were read: their events are lost; whoever publishes must not trim it"
            );
        }
    }

    /// Takes note of an entry that was removed while some consumer had it.
    pub(super) fn note_removed_at_work(&self, id: &str) {
        tracing::error!(stream = %self.name, entry = id, "an entry was removed from the stream before it was done");
        self.trimmed.lock().unwrap_or_else(PoisonError::into_inner).total += 1;
    }
}

impl RedisQueue {
    /// Looks at every stream where that is due.
    pub(super) async fn watch(&self) -> Result<()> {
        let first = {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
                return Ok(());
            }
            looked.replace(Instant::now()).is_none()
        };
        for stream in &self.streams {
            let watched = async {
                self.look_at(stream).await?;
                if first { self.forget_dead(stream).await } else { Ok(()) }
            };
            match watched.await {
                Err(error) if code_of(&error) == Some("NOPERM") => {
                    if first {
                        tracing::warn!(
                            stream = %stream.name,
                            "the queue's user may not use XINFO: entries that are removed unread will not be noticed"
                        );
                    }
                }
                watched => watched?,
            }
        }
        Ok(())
    }

    /// Asks how a stream and its group stand, and warns where more entries than before were removed unread.
    pub(super) async fn look_at(&self, stream: &Stream) -> Result<(StreamInfo, GroupInfo)> {
        let info = match self.ask("STREAM", stream).await? {
            Some(reply) => StreamInfo::read(reply).ok_or_else(|| self.odd("XINFO"))?,
            None => return Ok(Default::default()),
        };
        let Some(groups) = self.ask("GROUPS", stream).await? else {
            return Ok(Default::default());
        };
        let group = GroupInfo::read(groups, &self.options.group).ok_or_else(|| self.odd("XINFO"))?;
        if let Some(counted) = group.removed_unread(&info) {
            stream.note_removed_unread(counted);
        }
        Ok((info, group))
    }

    /// Removes consumers that died long ago and owe nothing, so that their names do not pile up.
    async fn forget_dead(&self, stream: &Stream) -> Result<()> {
        let mut list = cmd("XINFO");
        list.arg("CONSUMERS").arg(stream.name.as_str()).arg(&self.options.group);
        let reply = match self.link.run("XINFO", &list).await {
            Err(error) if matches!(code_of(&error), Some("ERR" | "NOGROUP")) => return Ok(()),
            reply => reply?,
        };
        for consumer in sequence(reply).ok_or_else(|| self.odd("XINFO"))? {
            let Some(fields) = fields(consumer) else { continue };
            let name = fields.get("name").and_then(|name| String::from_redis_value_ref(name).ok());
            let idle = number(&fields, "idle").map(Duration::from_millis);
            if let Some(name) = name
                && name.starts_with(OWN_PREFIX)
                && number(&fields, "pending") == Some(0)
                && idle.is_some_and(|idle| idle > FORGET_AFTER)
            {
                self.remove_consumer(stream, &name).await?;
            }
        }
        Ok(())
    }

    /// Runs an XINFO on a stream; none where there is no such key.
    async fn ask(&self, what: &'static str, stream: &Stream) -> Result<Option<Value>> {
        let mut info = cmd("XINFO");
        info.arg(what).arg(stream.name.as_str());
        match self.link.run("XINFO", &info).await {
            Err(error) if code_of(&error) == Some("ERR") => Ok(None),
            reply => reply.map(Some),
        }
    }
}
