//! The workload's numbers, for whoever watches it: counted as things happen, shown in the OpenMetrics text that Prometheus reads.
//!
//! In: what the audit log notes, what comes from the queue, how long fusing and matching took. Out: [`Metrics::text`]. Labels come
//! from fixed sets: event types that this version knows, classes of errors; never a participant, an event or a path.
//! `docs/observability.md` says what each number means.

mod queue;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

pub use queue::WatchedQueue;

use crate::{audit::Fact, event::EventType, queue::QueueStats};

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the classes into which the times of events fall, in seconds.
const SECONDS: [f64; 12] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];

type Number = Gauge<i64, AtomicI64>;
type Fraction = Gauge<f64, AtomicU64>;
type Seconds = Counter<f64, AtomicU64>;

/// How an event ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended {
    /// Its outcome is in its place.
    Done,
    /// It failed.
    Failed {
        /// The class of the error.
        class: &'static str,
        /// Whether agreement or policy refused it.
        refused: bool,
    },
}

/// The numbers; clones count into the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    events: Family<EventLabels, Counter>,
    seconds: Family<TypeLabel, Histogram>,
    errors: Family<ClassLabel, Counter>,
    refusals: Family<ClassLabel, Counter>,
    retries: Counter,
    put_aside: Counter,
    claims_lost: Counter,
    in_work: Number,
    queue: QueueNumbers,
    fused_rows: Counter,
    fuse_seconds: Seconds,
    matched_rows: Counter,
    match_seconds: Seconds,
    dataset_bytes: Counter,
    datasets: Counter,
    reports: Counter,
    enrolled: Counter,
    messages_refused: Counter,
    quality: Family<ResultLabel, Counter>,
    deliveries: Family<ResultLabel, Counter>,
    epoch: Number,
    audit_seq: Number,
    draining: Number,
    state_bytes: Number,
    free_bytes: Family<PlaceLabel, Number>,
    resident_bytes: Number,
}

/// How the queue stands.
struct QueueNumbers {
    up: Number,
    waiting: Number,
    pending: Number,
    oldest_pending: Fraction,
    dead_letters: Number,
    trimmed: Number,
    consumers: Number,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    r#type: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabel {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlaceLabel {
    place: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Makes all numbers, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut made = Made(Registry::with_prefix("datafuse"));
        let events = made.metric("events", "Events that ended, by type and result", Family::default());
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let seconds = made.metric(
            "event_seconds",
            "Time that an event took, from its beginning to its end",
            Family::new_with_constructor(histogram),
        );
        let queue = QueueNumbers {
            up: made.number("queue_up", "1 where the queue answered when it was asked last"),
            waiting: made.number("queue_waiting", "Events that wait for a consumer"),
            pending: made.number("queue_pending", "Events that a consumer took and has not acknowledged"),
            oldest_pending: made.metric(
                "queue_oldest_pending_seconds",
                "Longest time since a pending event was taken or last said to be at work",
                Gauge::default(),
            ),
            dead_letters: made.number("queue_dead_letters", "Events that were put aside for good"),
            trimmed: made.number("queue_trimmed", "Events that others removed before they were done: they are lost"),
            consumers: made.number("queue_consumers", "Consumers that the queue knows"),
        };
        let info = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        made.0.register("build", "The program", info);
        let started: Fraction = Gauge::default();
        started.set(jiff::Timestamp::now().as_millisecond() as f64 / 1000.0);
        made.0.register("start_time_seconds", "When the process started, in seconds since 1970", started);
        let inner = Inner {
            events,
            seconds,
            errors: made.metric("errors", "Events that failed, by class of the error", Family::default()),
            refusals: made.metric("refusals", "Events that agreement or policy refused, by class", Family::default()),
            retries: made.count("retries", "Events that were given back to be tried again"),
            put_aside: made.count("events_put_aside", "Events that this process put aside for good"),
            claims_lost: made.count("claims_lost", "Events that another consumer took over"),
            in_work: made.number("events_in_work", "Events at work in this process"),
            queue,
            fused_rows: made.count("fused_rows", "Rows of datasets that were fused"),
            fuse_seconds: made.metric("fuse_seconds", "Time spent fusing", Counter::default()),
            matched_rows: made.count("matched_rows", "Rows that were matched"),
            match_seconds: made.metric("match_seconds", "Time spent matching", Counter::default()),
            dataset_bytes: made.count("dataset_bytes", "Bytes of the datasets that were fused, as delivered"),
            datasets: made.count("datasets_accepted", "Datasets that were accepted"),
            reports: made.count("reports", "Reports that were made"),
            enrolled: made.count("holders_enrolled", "Enrolments that were completed"),
            messages_refused: made.count("messages_refused", "Enrolment messages that were refused"),
            quality: made.metric("quality_checks", "Models checked against their data contract", Family::default()),
            deliveries: made.metric("deliveries", "Deliveries of reports", Family::default()),
            epoch: made.number("epoch", "The epoch that this process opened last; 0 where it opened none"),
            audit_seq: made.number("audit_seq", "Number of the last line of the audit log that this process wrote"),
            draining: made.number("draining", "1 where a stop was asked for"),
            state_bytes: made.number("state_bytes", "Size of the state database"),
            free_bytes: made.metric("free_bytes", "Free disk space, by place", Family::default()),
            resident_bytes: made.number("resident_bytes", "Memory of the process that is in use (Linux)"),
            registry: made.0,
        };
        Self(Arc::new(inner))
    }

    /// Gives all numbers as text in the form of [`CONTENT_TYPE`].
    #[must_use]
    pub fn text(&self) -> String {
        self.0.resident_bytes.set(resident_bytes().unwrap_or_default());
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// Counts an event that ended; `None` for a queue entry that is no event.
    pub fn ended(&self, event_type: Option<&EventType>, ended: Ended, took: Duration) {
        let r#type = event_type.map_or(crate::audit::MALFORMED, label);
        let result = match ended {
            Ended::Done => "done",
            Ended::Failed { refused: true, .. } => "refused",
            Ended::Failed { .. } => "failed",
        };
        self.0.events.get_or_create(&EventLabels { r#type, result }).inc();
        if event_type.is_some() {
            self.0.seconds.get_or_create(&TypeLabel { r#type }).observe(took.as_secs_f64());
        }
        if let Ended::Failed { class, refused } = ended {
            self.0.errors.get_or_create(&ClassLabel { class }).inc();
            if refused {
                self.0.refusals.get_or_create(&ClassLabel { class }).inc();
            }
        }
    }

    /// Counts what came of an event.
    pub(crate) fn fact(&self, fact: &Fact<'_>) {
        let result = |ok| ResultLabel { result: if ok { "ok" } else { "failed" } };
        match *fact {
            Fact::EpochOpened { epoch } => {
                self.0.epoch.set(i64::try_from(epoch.0).unwrap_or(i64::MAX));
            }
            Fact::HolderEnrolled { .. } => {
                self.0.enrolled.inc();
            }
            Fact::MessageRefused => {
                self.0.messages_refused.inc();
            }
            Fact::DatasetAccepted { .. } => {
                self.0.datasets.inc();
            }
            Fact::ReportMade { .. } => {
                self.0.reports.inc();
            }
            Fact::Delivered { ok, .. } => {
                self.0.deliveries.get_or_create(&result(ok)).inc();
            }
            Fact::Quality { ok, .. } => {
                self.0.quality.get_or_create(&result(ok)).inc();
            }
            _ => {}
        }
    }

    /// Counts rows that were fused, of a file of so many bytes.
    pub(crate) fn fused(&self, rows: u64, bytes: u64, took: Duration) {
        self.0.fused_rows.inc_by(rows);
        self.0.dataset_bytes.inc_by(bytes);
        self.0.fuse_seconds.inc_by(took.as_secs_f64());
    }

    /// Counts rows that were matched.
    pub(crate) fn matched(&self, rows: u64, took: Duration) {
        self.0.matched_rows.inc_by(rows);
        self.0.match_seconds.inc_by(took.as_secs_f64());
    }

    pub(crate) fn audited(&self, seq: u64) {
        self.0.audit_seq.set(i64::try_from(seq).unwrap_or(i64::MAX));
    }

    /// Notes that a stop was asked for.
    pub fn draining(&self) {
        self.0.draining.set(1);
    }

    /// Notes how the queue stands; `None` where it does not answer.
    pub fn queue(&self, stats: Option<&QueueStats>) {
        let queue = &self.0.queue;
        queue.up.set(stats.is_some().into());
        let Some(total) = stats.map(QueueStats::total) else { return };
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        queue.waiting.set(number(total.waiting));
        queue.pending.set(number(total.pending));
        queue.oldest_pending.set(total.oldest_pending.unwrap_or_default().as_secs_f64());
        queue.dead_letters.set(number(total.dead_letters));
        queue.trimmed.set(number(total.trimmed));
        queue.consumers.set(number(total.consumers));
    }

    /// Notes how large the state database is and how much room is left where the workload writes.
    pub fn disk(&self, state_db: &Path, free: &[(&'static str, Option<u64>)]) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.0.state_bytes.set(state_db.metadata().map_or(0, |file| number(file.len())));
        for (place, bytes) in free {
            if let Some(bytes) = bytes {
                self.0.free_bytes.get_or_create(&PlaceLabel { place }).set(number(*bytes));
            }
        }
    }
}

/// Registers what it makes.
struct Made(Registry);

impl Made {
    fn metric<M>(&mut self, name: &str, help: &str, metric: M) -> M
    where
        M: prometheus_client::registry::Metric + Clone,
    {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn count(&mut self, name: &str, help: &str) -> Counter {
        self.metric(name, help, Counter::default())
    }

    fn number(&mut self, name: &str, help: &str) -> Number {
        self.metric(name, help, Gauge::default())
    }
}

/// The label of an event type: one of a fixed set.
fn label(event_type: &EventType) -> &'static str {
    match event_type {
        EventType::Initialize => "INITIALIZE",
        EventType::Enrol => "ENROL",
        EventType::Fuse => "FUSE",
        EventType::CheckCommonCustomers => "CHECK_COMMON_CUSTOMERS",
        EventType::CheckDataQuality => "CHECK_DATA_QUALITY",
        EventType::CheckValidCustomer => "CHECK_VALID_CUSTOMER",
        EventType::Unknown(_) => "unknown",
    }
}

/// What Linux says that the process uses.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::queue::StreamStats;

    #[test]
    fn what_happens_is_counted_and_shown() {
        let metrics = Metrics::new();
        metrics.ended(Some(&EventType::Fuse), Ended::Done, Duration::from_millis(20));
        metrics.ended(
            Some(&EventType::Unknown("CANARY_4711".to_owned())),
            Ended::Failed { class: "too-few-holders", refused: true },
            Duration::from_secs(2),
        );
        metrics.ended(None, Ended::Failed { class: "event-not-json", refused: false }, Duration::ZERO);
        metrics.fused(1000, 5000, Duration::from_millis(500));
        metrics.queue(Some(&QueueStats {
            streams: vec![StreamStats {
                waiting: 7,
                oldest_pending: Some(Duration::from_millis(1500)),
                ..StreamStats::default()
            }],
        }));
        let text = metrics.text();
        for line in [
            r#"datafuse_events_total{type="FUSE",result="done"} 1"#,
            r#"datafuse_events_total{type="unknown",result="refused"} 1"#,
            r#"datafuse_events_total{type="malformed",result="failed"} 1"#,
            r#"datafuse_event_seconds_bucket{le="0.05",type="FUSE"} 1"#,
            r#"datafuse_event_seconds_count{type="unknown"} 1"#,
            r#"datafuse_refusals_total{class="too-few-holders"} 1"#,
            r#"datafuse_errors_total{class="event-not-json"} 1"#,
            "datafuse_fused_rows_total 1000",
            "datafuse_fuse_seconds_total 0.5",
            "datafuse_queue_waiting 7",
            "datafuse_queue_oldest_pending_seconds 1.5",
            "datafuse_queue_up 1",
            "datafuse_retries_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("CANARY"));
        assert!(text.ends_with("# EOF\n"));
        metrics.queue(None);
        assert!(metrics.text().contains("datafuse_queue_up 0"));
    }
}
