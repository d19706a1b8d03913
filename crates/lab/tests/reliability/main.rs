//! What happens to events when the process that works on them dies, the disk is full, or what it reads is damaged.
//!
//! | module | what it does |
//! | --- | --- |
//! | `crash` | kills the process at every labelled step, at every change of the disk, and at random moments |
//! | `disk` | fails every write, in one event after the other, and then lets them through |
//! | `hostile` | hands mutated datasets, sources, agreements, events, queue files and databases over |
//! | `load` | thousands of events through two processes, and how much memory a backlog costs |
//! | `lookups` | look-ups as load, each with what has to come of it |
//! | `worlds` | small spaces in different stages, made once and copied for each trial |
//! | `child` | the process that is killed: this test's own binary, which serves as `datafuse serve` does |
//! | `verdict` | what must be true after each trial |
//!
//! Short runs by default; `DATAFUSE_LONG=1` runs as often as `docs/reliability.md` says, `DATAFUSE_SEED=N` with other random
//! numbers. Steps, crashes and queues are those of the product: nothing of it is replaced.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod child;
mod crash;
mod disk;
mod hostile;
mod load;
mod lookups;
mod place;
#[path = "../../../workload/tests/queue_places/redis_server.rs"]
#[allow(dead_code)]
mod redis_server;
mod verdict;
mod worlds;

/// Whether to run as often as the figures demand.
pub(crate) fn long() -> bool {
    std::env::var_os("DATAFUSE_LONG").is_some_and(|value| !value.is_empty() && value != "0")
}

/// The seed of everything random.
pub(crate) fn seed() -> u64 {
    std::env::var("DATAFUSE_SEED").ok().map_or(20_261_125, |text| text.parse().expect("DATAFUSE_SEED is a number"))
}

/// Not a test: where the processes begin that the tests start.
#[test]
fn child_process() {
    if let Ok(order) = std::env::var(child::ORDER) {
        child::obey(&serde_json::from_str(&order).unwrap());
    }
}
