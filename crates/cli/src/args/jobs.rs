//! The command line of what concerns the queue's streams and the list of jobs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use datafuse_core::id::EventId;
use datafuse_workload::queue::StreamName;

#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// A stream of the queue to take events from, most urgent first; without this 'events'
    #[arg(long = "stream", value_name = "NAME", env = "DATAFUSE_STREAMS", value_delimiter = ',')]
    pub(crate) streams: Vec<StreamName>,
    /// Seconds without a sign of life after which another consumer of the Redis server takes an event over
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) claim_after: u64,
}

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<JobsCommand>,
    #[command(flatten)]
    pub(crate) place: JobsPlace,
    /// How many, newest first
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: usize,
    /// Only those that are not done and that nobody is at work on
    #[arg(long)]
    pub(crate) failed: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JobsPlace {
    /// The agreement
    #[arg(long, env = "DATAFUSE_SPACE", default_value = "space.yaml")]
    pub(crate) space: PathBuf,
    /// Folder of the workload's state, where not the agreement's
    #[arg(long, value_name = "DIR", env = "DATAFUSE_STATE")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Show everything that is known of one job
    #[command(after_help = "Example:\n  datafuse jobs show 01J...")]
    Show {
        /// The event's id
        event: EventId,
        #[command(flatten)]
        place: JobsPlace,
    },
    /// Send the event of a job that was put aside or failed again, as a new event; prints its id
    #[command(after_help = "Example:\n  datafuse jobs retry 01J...")]
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The event's id
    pub(crate) event: EventId,
    #[command(flatten)]
    pub(crate) place: JobsPlace,
    /// The Redis server, where not the agreement's queue
    #[arg(long, value_name = "URL", env = "DATAFUSE_REDIS", hide_env_values = true)]
    pub(crate) redis: Option<String>,
}
