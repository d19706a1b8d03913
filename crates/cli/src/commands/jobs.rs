//! `datafuse jobs`: what became of events, from the workload's state, without its key; and sending one again.

use std::path::PathBuf;

use datafuse_space::{Layout, Space};
use datafuse_workload::{
    jobs::{Job, Jobs},
    platform::Environment,
    queue::{self, QueueOptions},
};
use jiff::{SpanRound, Timestamp, Unit};
use serde_json::{Value, json};

use super::event::{queue_of, runtime};
use crate::{
    args::{JobsArgs, JobsCommand, JobsPlace, RetryArgs},
    console::Console,
    failure::Result,
};

pub(super) fn jobs(args: &JobsArgs, console: &Console) -> Result<()> {
    match &args.command {
        None => list(args, console),
        Some(JobsCommand::Show { event, place }) => {
            let job = Jobs::read(&state_of(place, &Space::read(&place.space)?))?.find(event)?;
            console.result(&as_json(&job), || details(&job));
            Ok(())
        }
        Some(JobsCommand::Retry(args)) => retry(args, console),
    }
}

fn list(args: &JobsArgs, console: &Console) -> Result<()> {
    let state = state_of(&args.place, &Space::read(&args.place.space)?);
    let jobs = Jobs::read(&state)?.list(args.limit, args.failed)?;
    let value = json!({ "jobs": jobs.iter().map(as_json).collect::<Vec<_>>() });
    if jobs.is_empty() {
        console.say(if args.failed { "No job has failed." } else { "No job is known yet." });
    }
    console.result(&value, || table(&jobs));
    Ok(())
}

fn retry(args: &RetryArgs, console: &Console) -> Result<()> {
    let environment = Environment::from_process()?;
    let space = Space::read(&args.place.space)?;
    let choice = queue_of(&space, args.redis.as_deref(), &environment)?;
    let mut jobs = Jobs::edit(&state_of(&args.place, &space))?;
    let runtime = runtime()?;
    let sent = jobs.retry(&args.event, |job| {
        let streams = job.stream.iter().filter_map(|stream| stream.parse().ok()).collect();
        runtime.block_on(async {
            let queue = queue::open_with(&choice, &QueueOptions { streams, ..QueueOptions::default() }).await?;
            queue.resend(&job.event).await
        })
    })?;
    console.say(format_args!("{} sent again; its new id:", args.event));
    console.result(&json!({ "event": sent.to_string(), "retry_of": args.event.to_string() }), || format!("{sent}\n"));
    Ok(())
}

fn state_of(place: &JobsPlace, space: &Space) -> PathBuf {
    place.state.clone().unwrap_or_else(|| Layout::new(space).state)
}

fn as_json(job: &Job) -> Value {
    json!({
        "event": job.event.to_string(), "type": job.event_type, "stream": job.stream, "state": job.state.as_str(),
        "attempts": job.attempts, "first_seen": job.first_seen, "started": job.started, "finished": job.finished,
        "seconds": seconds(job), "error": job.class, "outcome": job.outcome, "output": job.output,
        "retried_as": job.retried_as.as_ref().map(ToString::to_string),
    })
}

/// How long the newest attempt took.
fn seconds(job: &Job) -> Option<f64> {
    let (from, to) = (job.started.as_ref()?, job.finished.as_ref()?);
    let took = to.parse::<Timestamp>().ok()?.duration_since(from.parse().ok()?);
    Some(took.as_millis() as f64 / 1000.0)
}

/// A duration as people read it.
fn took(job: &Job) -> String {
    let Some(seconds) = seconds(job) else { return "-".to_owned() };
    match seconds {
        ..60.0 => format!("{seconds:.1}s"),
        _ => {
            let span = jiff::Span::new().try_seconds(seconds as i64).unwrap_or_default();
            let rounded = span.round(SpanRound::new().largest(Unit::Hour).smallest(Unit::Second)).unwrap_or(span);
            format!("{rounded:#}")
        }
    }
}

fn result(job: &Job) -> String {
    match (&job.outcome, &job.class, &job.retried_as) {
        (_, Some(class), Some(retried)) => format!("{class}; sent again as {retried}"),
        (_, Some(class), None) => class.clone(),
        (Some(outcome), None, _) => outcome.clone(),
        _ => "-".to_owned(),
    }
}

fn table(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return String::new();
    }
    let header = ["EVENT", "TYPE", "STATE", "TRIES", "FIRST SEEN", "TOOK", "OUTCOME"].map(str::to_owned);
    let row = |job: &Job| {
        let tries = job.attempts.to_string();
        let (id, state) = (job.event.to_string(), job.state.to_string());
        [id, job.event_type.clone(), state, tries, short(&job.first_seen), took(job), result(job)]
    };
    let rows: Vec<[String; 7]> = std::iter::once(header).chain(jobs.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A time without its fractions: `2026-01-02 03:04:05Z`.
fn short(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{}Z", seconds.replace('T', " ")),
        None => time.to_owned(),
    }
}

fn details(job: &Job) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let lines = [
        ("event", job.event.to_string()),
        ("type", job.event_type.clone()),
        ("stream", job.stream.clone().unwrap_or_else(|| "none: it was run without a queue".to_owned())),
        ("state", job.state.to_string()),
        ("attempts", job.attempts.to_string()),
        ("first seen", job.first_seen.clone()),
        ("started", text(&job.started)),
        ("finished", text(&job.finished)),
        ("took", took(job)),
        ("last error", text(&job.class)),
        ("outcome", text(&job.outcome)),
        ("output", job.output.as_ref().map_or_else(|| "-".to_owned(), |path| path.display().to_string())),
        ("sent again as", job.retried_as.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)),
    ];
    lines.iter().map(|(name, value)| format!("{name:<14} {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafuse_workload::jobs::JobState;

    use super::*;

    fn job() -> Job {
        Job {
            event: "01J8ZQ4X7M6V9K3T2N1B0C5D7E".parse().unwrap(),
            event_type: "FUSE".to_owned(),
            stream: Some("events".to_owned()),
            state: JobState::Done,
            attempts: 2,
            first_seen: "2026-01-02T03:04:05.678Z".to_owned(),
            started: Some("2026-01-02T03:04:06.000Z".to_owned()),
            finished: Some("2026-01-02T03:04:07.500Z".to_owned()),
            class: None,
            outcome: Some("2 datasets fused, 0 unchanged".to_owned()),
            output: None,
            retried_as: None,
        }
    }

    #[test]
    fn a_job_is_one_line_under_its_heading() {
        let dead = Job { state: JobState::Dead, class: Some("not-provided".to_owned()), finished: None, ..job() };
        let text = table(&[job(), dead]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("done") && lines[1].contains("1.5s") && lines[1].ends_with("0 unchanged"), "{text}");
        assert!(lines[1].contains("2026-01-02 03:04:05Z"), "{text}");
        assert!(lines[2].ends_with("-     not-provided"), "{text}");
        assert_eq!(lines[0].find("OUTCOME"), lines[1].find("2 datasets"));
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn long_work_is_told_in_minutes() {
        let long = Job { finished: Some("2026-01-02T04:05:07.000Z".to_owned()), ..job() };
        assert_eq!(took(&long), "1h 1m 1s");
    }
}
