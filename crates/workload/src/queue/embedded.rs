//! The embedded queue: a folder. For one machine, or several on a shared file system that has file locks; no service.
//!
//! ```text
//! ready/  01J8….0.event            waiting; the number counts deliveries so far
//! work/   01J8….1.01J9….event      claimed by the consumer 01J9…
//! dead/   01J8….json               dead letters: event id and error class
//!         01J8….event              the event of a dead letter, which may be sent again
//! owners/ 01J9….lock               held locked as long as that consumer lives
//! tmp/                             files on their way to ready/ and dead/
//! streams/NAME/                    ready/, work/ and dead/ of a stream other than `events`
//! ```
//!
//! Every step is one rename, which exactly one of several processes can win. A claim is given up when its owner's lock
//! is free, that is when the process has died, however long a job takes: no clock is involved. Publishing and removing
//! are made durable; claiming is not, since a machine that loses power has lost the consumer too. Files whose names are
//! not of this form are left alone.
//!
//! The work with files is in `folder`, what one stream's folders hold in `lane`.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use datafuse_core::id::EventId;
use futures::future::BoxFuture;
use tokio::time::Instant;
use ulid::Ulid;

use super::{Delivery, Queue, QueueStats, check_size, stream::StreamName};
use crate::error::{Error, Result};

mod folder;
mod lane;

use folder::Folder;

/// How often the folder is looked at while waiting.
const POLL: Duration = Duration::from_millis(200);

/// A consumer and publisher of the queue in one folder.
pub struct EmbeddedQueue {
    folder: Arc<Folder>,
    /// Held while taking an event until it is marked as in hand, so that no other call sees it in between.
    turn: tokio::sync::Mutex<()>,
}

impl EmbeddedQueue {
    /// Opens the queue in a folder with the one stream `events`, making the folder where it is missing.
    ///
    /// # Errors
    /// [`Error::QueueFolder`] if it cannot be made, written or locked.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        Self::open_streams(folder, &[])
    }

    /// Opens the queue in a folder with these streams, most urgent first.
    ///
    /// # Errors
    /// [`Error::QueueFolder`] if it cannot be made, written or locked.
    pub fn open_streams(folder: impl Into<PathBuf>, streams: &[StreamName]) -> Result<Self> {
        Ok(Self { folder: Arc::new(Folder::open(folder.into(), streams)?), turn: tokio::sync::Mutex::new(()) })
    }

    /// Does file work off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Folder) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = Arc::clone(&self.folder);
        let path = self.folder.root.clone();
        match tokio::task::spawn_blocking(move || work(&folder)).await {
            Ok(result) => result,
            Err(stopped) => Err(Error::QueueFolder { action, path, source: io::Error::other(stopped) }),
        }
    }
}

impl Queue for EmbeddedQueue {
    fn publish<'a>(&'a self, payload: &'a [u8]) -> BoxFuture<'a, Result<EventId>> {
        Box::pin(async move {
            check_size(payload)?;
            let payload = payload.to_vec();
            self.blocking("publish to", move |folder| folder.publish(&payload)).await.map(event_id)
        })
    }

    fn next(&self, wait: Option<Duration>) -> BoxFuture<'_, Result<Option<Delivery>>> {
        Box::pin(async move {
            let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
            let _turn = self.turn.lock().await;
            loop {
                let taken = self.blocking("take from", Folder::take).await?;
                if let Some((lane, claim, payload)) = taken {
                    // No await between here and the return: a dropped future leaves the claim unmarked.
                    let lane = self.folder.lane(lane);
                    lane.state().in_hand.insert(claim.event);
                    let (id, stream) = (event_id(claim.event), lane.name.to_string());
                    return Ok(Some(Delivery { id, stream, payload, attempts: claim.attempts }));
                }
                let pause =
                    deadline.map_or(POLL, |deadline| POLL.min(deadline.saturating_duration_since(Instant::now())));
                if pause.is_zero() {
                    return Ok(None);
                }
                tokio::time::sleep(pause).await;
            }
        })
    }

    fn acknowledge<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some((lane, claim)) = self.folder.claim(delivery) else {
                return Ok(());
            };
            self.blocking("acknowledge in", move |folder| folder.lane(lane).acknowledge(&claim)).await
        })
    }

    fn release<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let lost = || Error::ClaimLost { event: delivery.id.to_string() };
            let (lane, claim) = self.folder.claim(delivery).ok_or_else(lost)?;
            match self.blocking("give back to", move |folder| folder.lane(lane).release(&claim)).await? {
                true => Ok(()),
                false => Err(lost()),
            }
        })
    }

    fn dead_letter<'a>(&'a self, delivery: &'a Delivery, class: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some((lane, claim)) = self.folder.claim(delivery) else {
                return Ok(());
            };
            let letter = serde_json::json!({ "event": delivery.id.as_str(), "class": class }).to_string();
            self.blocking("put aside in", move |folder| folder.dead_letter(lane, &claim, letter.as_bytes())).await
        })
    }

    fn resend<'a>(&'a self, event: &'a EventId) -> BoxFuture<'a, Result<Option<EventId>>> {
        Box::pin(async move {
            let Ok(event) = event.as_str().parse::<Ulid>() else {
                return Ok(None);
            };
            let sent = self.blocking("send again in", move |folder| folder.resend(event)).await?;
            Ok(sent.map(event_id))
        })
    }

    fn heartbeat<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let claim = self.folder.claim(delivery);
            match claim.is_some_and(|(lane, claim)| self.folder.lane(lane).touch(&claim)) {
                true => Ok(()),
                false => Err(Error::ClaimLost { event: delivery.id.to_string() }),
            }
        })
    }

    fn heartbeat_every(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats>> {
        Box::pin(self.blocking("count what is in", Folder::stats))
    }

    fn place(&self) -> String {
        self.folder.root.display().to_string()
    }
}

fn event_id(event: Ulid) -> EventId {
    let id = event.to_string().parse();
    id.expect("the letters and digits of a ULID are an event id")
}
