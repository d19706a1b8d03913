//! `datafuse audit verify` and `datafuse audit head`.

use std::iter;

use datafuse_space::{Layout, Space};
use datafuse_workload::audit::{AuditFiles, verify};
use serde_json::json;

use crate::{
    args::AuditCommand,
    console::{Console, count},
    failure::Result,
};

pub(super) fn audit(command: &AuditCommand, console: &Console) -> Result<()> {
    let (AuditCommand::Verify(args) | AuditCommand::Head(args)) = command;
    let space = Space::read(&args.space)?;
    let log = match &args.state {
        None => Layout::new(&space).audit(),
        Some(state) if state.is_dir() => Layout { state: state.clone(), ..Layout::new(&space) }.audit(),
        Some(file) => file.clone(),
    };
    let names: Vec<_> = space.workload_former().iter().chain(iter::once(space.workload())).cloned().collect();
    let (root, archives, known) = (space.root(), &args.archives, &args.expected);
    let verified = verify(&AuditFiles { root: &root, names: &names, archives, log: &log, known })?;
    if let AuditCommand::Head(_) = command {
        let head = json!({ "seq": verified.last.seq, "head": verified.last.to_string() });
        console.result(&head, || format!("{}\n", verified.last));
        return Ok(());
    }
    let value = json!({
        "intact": true, "first": verified.first, "last": verified.last.seq, "head": verified.last.to_string(),
        "unsigned": verified.unsigned, "cut_short": verified.cut, "head_behind": verified.head_behind,
    });
    console.result(&value, || {
        let mut text = format!(
            "The audit log is whole: entries {} to {}, each signed by the workload and chained to the one before.\n",
            count(verified.first),
            count(verified.last.seq)
        );
        let mut note = |number: u64, words: &str| {
            if number > 0 {
                text.push_str(&format!("{} {words}\n", count(number)));
            }
        };
        note(verified.unsigned, "lines of a version that did not sign them are as they were when signing began.");
        note(verified.cut, "lines were cut short, as a crash leaves them.");
        note(verified.head_behind, "entries are newer than the head, as a crash leaves it.");
        text.push_str(&format!("Its head, to be kept elsewhere: {}\n", verified.last));
        text
    });
    Ok(())
}
