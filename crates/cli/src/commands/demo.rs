//! `datafuse demo`.

use std::sync::{Arc, Mutex};

use datafuse_core::id::ParticipantId;
use datafuse_lab::{
    demo::{self, Step},
    generate::{GenerateSpec, generate},
};
use serde_json::json;

use super::limits;
use crate::{
    args::DemoArgs,
    console::{Console, Progress, count},
    failure::{Code, Failure, Result},
};

pub(super) fn demo(args: &DemoArgs, console: &Console) -> Result<()> {
    let spec = GenerateSpec { holders: args.holders, rows: args.rows, overlap: args.overlap, seed: args.seed };
    if args.generate_only {
        demo::refuse_used_folder(&args.out)?;
        let truth = generate(&spec, &args.out)?;
        let files: Vec<_> = truth.sources.iter().map(|source| args.out.join("source").join(&source.file)).collect();
        console.result(&json!({ "sources": files, "truth": args.out.join("truth.json") }), || {
            files.iter().map(|file| format!("{}\n", file.display())).collect()
        });
        return Ok(());
    }
    let shown: Mutex<Option<(ParticipantId, Progress)>> = Mutex::new(None);
    let console_in = *console;
    let hear = Arc::new(move |step: Step| show(&console_in, &shown, step));
    let hear: demo::Hear = hear;
    let demo = demo::demo(&spec, &args.out, &limits(&args.limits), &hear)?;
    drop(hear);

    let report = demo.output.join("report.json");
    let truthful = demo.differences.is_empty();
    let value = json!({
        "folder": args.out, "report": report, "html": demo.output.join("report.html"),
        "common_customers": demo.report.common(), "agrees_with_truth": truthful,
    });
    console.result(&value, || {
        let verdict = if truthful { "It agrees with truth.json in every figure." } else { "" };
        format!(
            "\n{}\nThe report: {}\nAs a page:  {}\n{verdict}\n",
            demo.report.summary_text(),
            report.display(),
            demo.output.join("report.html").display()
        )
    });
    if truthful {
        return Ok(());
    }
    let fact = format!("the report and truth.json differ in: {}", demo.differences.join(", "));
    Err(Failure::new(Code::Internal, fact, "report this, with the command that led to it"))
}

fn show(console: &Console, shown: &Mutex<Option<(ParticipantId, Progress)>>, step: Step) {
    let Ok(mut shown) = shown.lock() else { return };
    match (&step, shown.as_ref()) {
        (Step::Protected { rows }, Some((_, progress))) => return progress.advance_rows(*rows),
        (Step::Fusing { holder, rows, .. }, Some((of, progress))) if holder == of => return progress.at(*rows),
        _ => {}
    }
    // The former step's bar goes before the next line is printed.
    *shown = None;
    match step {
        Step::Generating => console.say("1. Generating example customers, with the mistakes that real files have"),
        Step::Founding => console.say("2. Every party makes its own keys; together they agree on a space (space.yaml)"),
        Step::Opening => console.say("3. The workload opens epoch 1 and announces where to seal to"),
        Step::Enrolling => {
            console.say("4. The holders enrol: the workload learns how to convert tokens, and nobody's key")
        }
        Step::Protecting { holder, rows } => {
            console.say(format_args!("5. {holder} protects its {} rows under its own key", count(rows)));
            *shown = Some((holder, console.progress("protecting", Some(rows))));
        }
        Step::Serving => console.say(format_args!("6. The event {} is sent; the workload takes it", demo::EVENT_TYPE)),
        Step::Fusing { holder, of, .. } => {
            let progress = console.progress(&format!("fusing {holder}"), Some(of));
            *shown = Some((holder, progress));
        }
        _ => {}
    }
}
