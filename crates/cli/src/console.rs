//! What is printed: data to standard output, everything else to standard error; progress as a bar on a terminal and as plain
//! lines elsewhere.

use std::{
    fmt::Display,
    io::{IsTerminal, Write},
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;

/// How often a plain progress line is printed.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    json: bool,
    quiet: bool,
}

impl Console {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the result: for machines as one line of JSON, for people as text that `text` makes.
    pub(crate) fn result(&self, value: &Value, text: impl FnOnce() -> String) {
        let printed = if self.json { format!("{value}\n") } else { text() };
        // A reader that has seen enough (`| head`) is no failure.
        let _ = std::io::stdout().write_all(printed.as_bytes());
    }

    /// Says what is going on, to people only.
    pub(crate) fn say(&self, words: impl Display) {
        if !self.quiet {
            eprintln!("{words}");
        }
    }

    /// Says what a person should know although all went well.
    pub(crate) fn warn(&self, words: impl Display) {
        eprintln!("Warning: {words}");
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            let error = json!({ "error": failure.fact, "try": failure.remedy, "code": failure.code as u8 });
            eprintln!("{error}");
            return;
        }
        eprintln!("Error: {}", failure.fact);
        if let Some(remedy) = &failure.remedy {
            eprintln!("Try: {remedy}");
        }
    }

    /// Shows progress over `total` units of work that come with rows.
    pub(crate) fn progress(&self, what: &str, total: Option<u64>) -> Progress {
        let shown = !self.quiet && !self.json;
        let bar = (shown && std::io::stderr().is_terminal()).then(|| {
            let bar = match total {
                Some(total) => ProgressBar::new(total),
                None => ProgressBar::no_length(),
            };
            let template = "{msg} [{bar:30}] {percent:>3}%  {prefix}  {eta} left";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.set_message(what.to_owned());
            bar
        });
        let now = Instant::now();
        let state = State { rows: 0, done: 0, told: now };
        Progress {
            what: what.to_owned(),
            total,
            plain: shown && bar.is_none(),
            bar,
            began: now,
            state: Mutex::new(state),
        }
    }
}

/// Progress of one long piece of work.
pub(crate) struct Progress {
    what: String,
    total: Option<u64>,
    plain: bool,
    bar: Option<ProgressBar>,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    rows: u64,
    done: u64,
    told: Instant,
}

impl Progress {
    /// So many rows more, where the total is counted in rows.
    pub(crate) fn advance_rows(&self, rows: u64) {
        let done = self.state.lock().map_or(0, |state| state.rows);
        self.advance(rows, done + rows);
    }

    /// So many rows are done by now; reports may overtake each other.
    pub(crate) fn at(&self, rows: u64) {
        let before = self.state.lock().map_or(0, |state| state.rows);
        if rows > before {
            self.advance(rows - before, rows);
        }
    }

    /// So many rows more; `done` of the total so far.
    pub(crate) fn advance(&self, rows: u64, done: u64) {
        let Ok(mut state) = self.state.lock() else { return };
        state.rows += rows;
        state.done = state.done.max(done);
        let rate = state.rows as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let words = format!("{} rows, {}/s", HumanCount(state.rows), HumanCount(rate as u64));
        if let Some(bar) = &self.bar {
            bar.set_prefix(words);
            bar.set_position(state.done);
        } else if self.plain && state.told.elapsed() >= PLAIN_EVERY {
            state.told = Instant::now();
            let share = self.total.filter(|total| *total > 0).map(|total| state.done as f64 / total as f64);
            let left = share.filter(|share| *share > 0.0).map(|share| {
                let left = self.began.elapsed().mul_f64((1.0 - share).max(0.0) / share);
                format!(", {:.0} %, {} left", share * 100.0, HumanDuration(left))
            });
            eprintln!("{}: {words}{}", self.what, left.unwrap_or_default());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A number as people read it: `20,480`.
pub(crate) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A share in percent, of nothing 0.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "0.0 %".into() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}
