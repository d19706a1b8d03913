//! How much memory, disk and how many cores the engine may use, and the DataFusion runtime that keeps to it.
//!
//! Sorting runs in DataFusion with a fair memory pool; past it, sorted runs go to encrypted temporary files.
//! Every job has a runtime of its own, in threads of its own: callers may be inside or outside of an async runtime.

use std::{
    any::Any,
    future::Future,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use datafusion::{
    common::{
        DataFusionError,
        runtime::{JoinSetTracer, set_join_set_tracer},
    },
    execution::{
        TaskContext,
        config::SessionConfig,
        disk_manager::DiskManagerBuilder,
        memory_pool::{FairSpillPool, TrackConsumersPool},
        runtime_env::RuntimeEnvBuilder,
    },
};
use futures::{FutureExt, future::BoxFuture};
use tracing::{Instrument, Span};

use crate::{
    error::{Error, Result},
    spill::EncryptedSpill,
};

/// Told how many rows were done since it was told last. Called from any thread.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

/// What a job may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory for the rows at work.
    pub memory_bytes: u64,
    /// Where temporary files are made.
    pub temp_dir: PathBuf,
    /// Disk space for temporary files.
    pub max_temp_bytes: u64,
    /// Threads.
    pub threads: usize,
}

impl Default for Limits {
    /// 2 GiB of memory, 100 GiB of the system's folder for temporary files, all cores.
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            temp_dir: std::env::temp_dir(),
            max_temp_bytes: 100 << 30,
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        }
    }
}

impl Limits {
    /// At least one thread.
    pub(crate) fn threads(&self) -> usize {
        self.threads.max(1)
    }

    /// How many sorts may run side by side without starving each other of memory.
    pub(crate) fn partitions(&self) -> usize {
        const BYTES_OF_ONE: u64 = 32 << 20;
        self.threads().min(usize::try_from(self.memory_bytes / BYTES_OF_ONE).unwrap_or(usize::MAX)).max(1)
    }

    /// How many rows of so many bytes make a batch, so that a sort can hold and merge many batches; at most `most`.
    pub(crate) fn batch_rows(&self, row_bytes: u64, most: usize) -> usize {
        let bytes = (self.memory_bytes / self.partitions() as u64 / 64).min(1 << 20);
        usize::try_from(bytes / row_bytes.max(1)).unwrap_or(usize::MAX).clamp(16, most)
    }
}

/// Has work on another thread belong to the span of this one, so that what it logs says which event is at work.
pub(crate) fn in_this_span<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = Span::current();
    move || span.in_scope(work)
}

/// Has the tasks that DataFusion starts belong to the span of whoever starts them.
struct InThisSpan;

impl JoinSetTracer for InThisSpan {
    fn trace_future(&self, future: BoxFuture<'static, Box<dyn Any + Send>>) -> BoxFuture<'static, Box<dyn Any + Send>> {
        future.in_current_span().boxed()
    }

    fn trace_block(
        &self,
        work: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    ) -> Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> {
        Box::new(in_this_span(work))
    }
}

/// The runtime of one job.
pub(crate) struct Runtime {
    pub(crate) context: Arc<TaskContext>,
    pub(crate) spill: EncryptedSpill,
    memory_bytes: u64,
    work: &'static str,
}

impl Runtime {
    /// Runs a job to its end, in batches of `batch_rows`. Meanwhile `progress` is told how `rows` grows.
    pub(crate) fn run<T, F>(
        limits: &Limits,
        work: &'static str,
        batch_rows: usize,
        rows: &AtomicU64,
        progress: Progress<'_>,
        job: impl FnOnce(Self) -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>>,
    {
        // Fails where it is set already.
        let _ = set_join_set_tracer(&InThisSpan);
        let runtime = Self::new(limits, work, batch_rows)?;
        let run = || {
            let threads = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(limits.threads())
                .thread_name("datafuse-engine")
                .enable_time()
                .build()
                .map_err(|source| Error::Internal { work, source: source.into() })?;
            threads.block_on(async {
                let mut job = std::pin::pin!(job(runtime));
                let mut tick = tokio::time::interval(Duration::from_millis(100));
                let mut told = 0;
                let mut tell = || {
                    let now = rows.load(Ordering::Relaxed);
                    if now > told {
                        progress(now - told);
                        told = now;
                    }
                };
                loop {
                    tokio::select! {
                        result = &mut job => {
                            tell();
                            return result;
                        }
                        _ = tick.tick() => tell(),
                    }
                }
            })
        };
        // A runtime may be neither started nor dropped inside of another one.
        std::thread::scope(|scope| scope.spawn(in_this_span(run)).join())
            .unwrap_or_else(|_| Err(Error::Internal { work, source: "a thread stopped".into() }))
    }

    fn new(limits: &Limits, work: &'static str, batch_rows: usize) -> Result<Self> {
        let failed = |source: DataFusionError| Error::Internal { work, source: source.into() };
        let spill = EncryptedSpill::new(&limits.temp_dir, limits.max_temp_bytes)?;
        // What is outside of the pool: batches on their way, and the row group being written.
        let pool_bytes = usize::try_from(limits.memory_bytes / 4 * 3).unwrap_or(usize::MAX);
        let pool = TrackConsumersPool::new(FairSpillPool::new(pool_bytes), NonZeroUsize::MIN);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_temp_file_factory(Arc::new(spill.clone())))
            .build_arc()
            .map_err(failed)?;
        let mut config = SessionConfig::new().with_target_partitions(limits.partitions()).with_batch_size(batch_rows);
        let options = &mut config.options_mut().execution;
        options.sort_spill_reservation_bytes = (pool_bytes / limits.partitions() / 8).min(10 << 20);
        let context = TaskContext::default().with_session_config(config).with_runtime(environment);
        Ok(Self { context: Arc::new(context), spill, memory_bytes: limits.memory_bytes, work })
    }

    /// Tells what the library's error means.
    pub(crate) fn error(&self, error: DataFusionError) -> Error {
        if let Some(failure) = self.spill.take_failure(self.work) {
            return failure;
        }
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => {
                Error::OutOfMemory { work: self.work, limit_bytes: self.memory_bytes }
            }
            _ => Error::Internal { work: self.work, source: error.into() },
        }
    }
}
