//! A queue that is watched: it does what the queue below it does, and counts.

use std::time::Duration;

use datafuse_core::id::EventId;
use futures::future::BoxFuture;

use super::Metrics;
use crate::{
    error::{Error, Result},
    queue::{Delivery, Queue, QueueStats},
};

/// Counts what one consumer takes, gives back and puts aside.
pub struct WatchedQueue<'q> {
    queue: &'q dyn Queue,
    metrics: Metrics,
}

impl<'q> WatchedQueue<'q> {
    /// Watches a queue.
    #[must_use]
    pub fn new(queue: &'q dyn Queue, metrics: Metrics) -> Self {
        Self { queue, metrics }
    }

    /// Notes that nothing is in hand any more, and whether that was another consumer's doing.
    fn let_go<T>(&self, result: Result<T>) -> Result<T> {
        self.metrics.0.in_work.set(0);
        if let Err(Error::ClaimLost { .. }) = &result {
            self.metrics.0.claims_lost.inc();
        }
        result
    }
}

impl Queue for WatchedQueue<'_> {
    fn publish<'a>(&'a self, payload: &'a [u8]) -> BoxFuture<'a, Result<EventId>> {
        self.queue.publish(payload)
    }

    fn next(&self, wait: Option<Duration>) -> BoxFuture<'_, Result<Option<Delivery>>> {
        Box::pin(async move {
            self.metrics.0.in_work.set(0);
            let taken = self.queue.next(wait).await;
            if let Ok(Some(_)) = taken {
                self.metrics.0.in_work.set(1);
            }
            taken
        })
    }

    fn acknowledge<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.let_go(self.queue.acknowledge(delivery).await) })
    }

    fn release<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let released = self.let_go(self.queue.release(delivery).await);
            if released.is_ok() {
                self.metrics.0.retries.inc();
            }
            released
        })
    }

    fn dead_letter<'a>(&'a self, delivery: &'a Delivery, class: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let put_aside = self.let_go(self.queue.dead_letter(delivery, class).await);
            if put_aside.is_ok() {
                self.metrics.0.put_aside.inc();
            }
            put_aside
        })
    }

    fn heartbeat<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        self.queue.heartbeat(delivery)
    }

    fn heartbeat_every(&self) -> Duration {
        self.queue.heartbeat_every()
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats>> {
        self.queue.stats()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.queue.close()
    }

    fn place(&self) -> String {
        self.queue.place()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::queue::EmbeddedQueue;

    #[tokio::test]
    async fn events_given_back_and_put_aside_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let below = EmbeddedQueue::open(folder.path().join("queue")).unwrap();
        let metrics = Metrics::new();
        let queue = WatchedQueue::new(&below, metrics.clone());
        queue.publish(b"{}").await.unwrap();
        let delivery = queue.next(Some(Duration::from_secs(5))).await.unwrap().unwrap();
        assert!(metrics.text().contains("datafuse_events_in_work 1"));
        queue.release(&delivery).await.unwrap();
        let delivery = queue.next(Some(Duration::from_secs(5))).await.unwrap().unwrap();
        queue.dead_letter(&delivery, "state").await.unwrap();
        let text = metrics.text();
        for line in ["datafuse_retries_total 1", "datafuse_events_put_aside_total 1", "datafuse_events_in_work 0"] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
