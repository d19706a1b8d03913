//! Where a trial's events wait: a folder of its own, or a stream of its own on the one Redis server of this process.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use datafuse_core::id::EventId;
use datafuse_workload::queue::{EmbeddedQueue, Queue, RedisOptions, RedisQueue};
use serde::{Deserialize, Serialize};

use crate::redis_server::Server;

/// After how long a consumer takes over from one that was killed.
const CLAIM_AFTER: Duration = Duration::from_millis(150);

static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static STREAMS: AtomicU32 = AtomicU32::new(0);

/// The server that this process has, or a new one: it ends with the last who holds it.
pub(crate) fn server() -> Arc<Server> {
    let mut server = SERVER.lock().unwrap();
    server.upgrade().unwrap_or_else(|| {
        let new = Arc::new(Server::any());
        *server = Arc::downgrade(&new);
        new
    })
}

/// A queue, as parent and child both know it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    Folder(PathBuf),
    Stream { url: String, stream: String, claim_after: Duration },
}

impl Place {
    /// The queue of a space, in its folder.
    pub(crate) fn folder(space: &Path) -> Self {
        Self::Folder(space.join("queue"))
    }

    /// A stream that nobody used before, on a server that the caller holds.
    pub(crate) fn stream(server: &Server) -> Self {
        let number = STREAMS.fetch_add(1, Ordering::Relaxed);
        Self::Stream {
            url: server.url.clone(),
            stream: format!("events-{}-{number}", std::process::id()),
            claim_after: CLAIM_AFTER,
        }
    }

    /// As it is, with consumers that are only taken for dead after minutes: for several at once.
    pub(crate) fn with_living_workers(self) -> Self {
        match self {
            Self::Stream { url, stream, .. } => Self::Stream { url, stream, claim_after: Duration::from_secs(120) },
            folder => folder,
        }
    }

    /// Puts many events into the queue without waiting for the disk.
    pub(crate) fn pile_up(&self, count: u32, payload: &[u8]) {
        match self {
            Self::Folder(folder) => {
                let ready = folder.join("ready");
                std::fs::create_dir_all(&ready).unwrap();
                for number in 0..count {
                    std::fs::write(ready.join(format!("01J8ZQ4X7M{number:016}.0.event")), payload).unwrap();
                }
            }
            Self::Stream { url, stream, .. } => block_on(async {
                let client = redis::Client::open(url.as_str()).unwrap();
                let mut connection = client.get_multiplexed_async_connection().await.unwrap();
                for first in (0..count).step_by(1000) {
                    let mut many = redis::pipe();
                    for _ in first..count.min(first + 1000) {
                        many.cmd("XADD").arg(stream).arg("*").arg("msg_data").arg(payload).ignore();
                    }
                    let () = many.query_async(&mut connection).await.unwrap();
                }
            }),
        }
    }

    /// A new consumer. With a `name`, one that takes up at once what was in hand under it.
    pub(crate) async fn open(&self, name: Option<&str>) -> datafuse_workload::Result<Box<dyn Queue>> {
        Ok(match self {
            Self::Folder(folder) => Box::new(EmbeddedQueue::open(folder)?),
            Self::Stream { url, stream, claim_after } => {
                let mut options = RedisOptions::new(url.parse()?);
                options.streams = vec![stream.parse().unwrap()];
                options.claim_after = *claim_after;
                if let Some(name) = name {
                    name.clone_into(&mut options.consumer);
                }
                Box::new(RedisQueue::connect(options).await?)
            }
        })
    }

    /// How long to wait for an event before the queue counts as empty: long enough to take over what the dead had.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Self::Folder(_) => Duration::ZERO,
            Self::Stream { claim_after, .. } => *claim_after * 3,
        }
    }

    /// Puts events into the queue, in order.
    pub(crate) fn publish(&self, payloads: &[Vec<u8>]) -> Vec<EventId> {
        block_on(async {
            let queue = self.open(None).await.unwrap();
            let mut ids = Vec::new();
            for payload in payloads {
                ids.push(queue.publish(payload).await.unwrap());
            }
            ids
        })
    }

    /// Asserts that nothing waits and nothing is in anybody's hands; gives how many dead letters there are.
    pub(crate) fn assert_empty(&self) -> usize {
        match self {
            Self::Folder(folder) => {
                let names = |name: &str| crate::worlds::names(&folder.join(name));
                assert_eq!((names("ready"), names("work")), (vec![], vec![]), "waiting, in hand");
                // Beside each letter lies its event, to be sent again.
                names("dead").iter().filter(|name| name.ends_with(".json")).count()
            }
            Self::Stream { stream, .. } => {
                let (pending, lag): (u64, Option<u64>) = self.group();
                assert_eq!((pending, lag), (0, Some(0)), "pending, lag");
                let mut length = redis::cmd("XLEN");
                length.arg(format!("{stream}:dead"));
                self.run::<usize>(&length)
            }
        }
    }

    /// How many entries are pending, and how many were not read.
    pub(crate) fn group(&self) -> (u64, Option<u64>) {
        let Self::Stream { stream, .. } = self else { panic!("a folder has no group") };
        let mut groups = redis::cmd("XINFO");
        groups.arg("GROUPS").arg(stream);
        let groups: Vec<std::collections::HashMap<String, redis::Value>> = self.run(&groups);
        let number = |name: &str| redis::from_redis_value::<Option<u64>>(groups[0][name].clone()).unwrap();
        (number("pending").unwrap(), number("lag"))
    }

    /// Runs a command on the server.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let Self::Stream { url, .. } = self else { panic!("a folder takes no commands") };
        block_on(async {
            let client = redis::Client::open(url.as_str()).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            command.query_async(&mut connection).await.unwrap()
        })
    }
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
