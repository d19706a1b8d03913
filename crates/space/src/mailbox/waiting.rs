//! Waiting for another machine from code that does not wait by itself: a small runtime of its own, and how long to wait.
//!
//! In: a future. Out: its result, on the caller's thread. It may be called from any thread, those of another runtime included.

use std::{future::Future, time::Duration};

use tokio::runtime::{Builder, Handle, Runtime};

use super::Trouble;

/// How long to wait for a mailbox on another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The longest wait for a name and a connection.
    pub connect: Duration,
    /// The longest wait for the next bytes.
    pub read: Duration,
    /// The longest time for one action, repetitions included.
    pub total: Duration,
    /// How often a bucket is asked again after it failed in a way that may pass.
    pub retries: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(15),
            total: Duration::from_secs(30),
            retries: 3,
        }
    }
}

impl Patience {
    /// For somebody who only wants to know whether it is there.
    #[must_use]
    pub fn brief() -> Self {
        let five_s = Duration::from_secs(5);
        Self { connect: Duration::from_secs(3), read: five_s, total: five_s, retries: 0 }
    }
}

/// Runs futures to their end, or to that of its patience.
pub(super) struct Waiter {
    /// Only taken by `drop`.
    runtime: Option<Runtime>,
    total: Duration,
}

impl Waiter {
    pub(super) fn new(total: Duration) -> Result<Self, Trouble> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|_| Trouble::NoThreads)?;
        Ok(Self { runtime: Some(runtime), total })
    }

    /// Waits for a future.
    pub(super) fn wait<T: Send>(&self, work: impl Future<Output = Result<T, Trouble>> + Send) -> Result<T, Trouble> {
        let Some(runtime) = &self.runtime else { return Err(Trouble::NoThreads) };
        let limited = || {
            runtime.block_on(async {
                tokio::time::timeout(self.total, work).await.unwrap_or(Err(Trouble::TimedOut { limit: self.total }))
            })
        };
        if Handle::try_current().is_err() {
            return limited();
        }
        let span = tracing::Span::current();
        // A thread of another runtime may not wait here itself.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("mailbox".to_owned())
                .spawn_scoped(scope, move || span.in_scope(limited));
            let joined = thread.map_err(|_| Trouble::NoThreads)?.join();
            joined.unwrap_or(Err(Trouble::NoThreads))
        })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping it otherwise would wait, which a thread of another runtime may not.
            runtime.shutdown_background();
        }
    }
}
