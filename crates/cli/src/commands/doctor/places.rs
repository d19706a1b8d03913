//! What `datafuse doctor` looks at in a space: the places that a party uses. Whoever has the workload's key sees all that
//! `datafuse serve` would find; everybody sees mailbox, queue and datasets.

use std::{path::Path, sync::Arc};

use datafuse_core::keys::PartyKeys;
use datafuse_space::{
    Layout, Location, Mailbox, MailboxPlace, Party, QueuePlace, Space,
    mailbox::{self, FolderMailbox, Patience},
};
use datafuse_workload::{
    Error,
    metrics::Metrics,
    platform::Environment,
    queue::QueueChoice,
    ready::{Check as Found, Readiness, usable},
};

use super::{Check, redis_server, with_remedy};
use crate::{
    args::DoctorArgs,
    commands::event::{outputs_of, queue_of},
    failure::{Failure, Result},
};

/// Looks at the places of a space, as the party of these keys uses them.
pub(super) fn checks(args: &DoctorArgs, space: &Space, keys: Option<PartyKeys>) -> Result<Vec<Check>> {
    let environment = Environment::from_process().ok();
    let mut layout = Layout::new(space);
    let party = keys.as_ref().and_then(|keys| space.party(&keys.identity().public_name()));
    let is_workload = matches!(party, Some(Party::Workload));
    let mut checks = Vec::new();
    if is_workload {
        if let Some(state) = &args.state {
            layout.state.clone_from(state);
        }
        if let Some(outputs) = environment.as_ref().and_then(outputs_of) {
            layout.outputs = outputs;
        }
    }
    let place = if is_workload { layout.workload_mailbox() } else { layout.mailbox.clone() };
    checks.push(match &place {
        MailboxPlace::Folder(path) => folder("mailbox", path),
        place => match mailbox::open_with(place, Patience::brief()).and_then(|mailbox| mailbox.list()) {
            Ok(_) => good("mailbox", format!("{place} answers")),
            Err(error) => bad("mailbox", with_remedy(&error, error.remedy())),
        },
    });
    match (&layout.queue, environment.as_ref().map(|environment| queue_of(space, args.redis.as_deref(), environment))) {
        (_, Some(Ok(QueueChoice::Embedded { folder: path }))) => checks.push(folder("queue", &path)),
        (QueuePlace::Redis(url), Some(Ok(_))) if args.redis.is_none() => checks.push(redis_server(url.as_str())?),
        (_, Some(Ok(_))) => checks.extend(args.redis.as_deref().map(redis_server).transpose()?),
        (_, Some(Err(Failure { fact, remedy, .. }))) => {
            checks.push(bad("queue", remedy.map(|remedy| format!("{fact}; try: {remedy}")).unwrap_or(fact)));
        }
        // What is wrong with the environment is said already.
        (_, None) => {}
    }
    if let Some(keys) = keys.filter(|_| is_workload) {
        checks.extend(of_workload(space, &layout, keys));
    }
    checks.extend(datasets(space, party));
    Ok(checks)
}

/// State and outputs, as the workload would find them.
fn of_workload(space: &Space, layout: &Layout, keys: PartyKeys) -> Vec<Check> {
    // A mailbox that cannot be opened is said already; without one nothing was announced.
    let mailbox = match layout.workload_mailbox() {
        MailboxPlace::Folder(path) => FolderMailbox::open(path).map(|mailbox| Box::new(mailbox) as Box<dyn Mailbox>),
        place => mailbox::open_with(&place, Patience::brief()),
    };
    let mailbox = mailbox.ok().map(Arc::from);
    let readiness = Readiness::new(layout, space, Arc::new(keys), mailbox, Metrics::new());
    let found = readiness.look_before_start();
    found.iter().map(|found| of_readiness(found, layout)).collect()
}

fn of_readiness(found: &Found, layout: &Layout) -> Check {
    let (what, path) = match found.name {
        "state" => ("state", layout.state_db()),
        "state_disk" => ("state folder", layout.state.clone()),
        _ => ("outputs folder", layout.outputs.clone()),
    };
    let Some(why) = found.why else {
        let words = match (path.exists(), found.name) {
            (true, "state") => "it opens with this key",
            (true, _) => "it can be written",
            (false, "state") => "there is none yet; the first start makes it",
            (false, _) => "it is made when it is first used",
        };
        return good(what, format!("{}: {words}", path.display()));
    };
    let above = path.parent().unwrap_or(&path).display();
    let remedy = match (found.name, why) {
        ("state", "epoch-announced") => {
            let words = "an epoch was announced, and this state knows nothing of it; try: mount the right one, or name it with --state; \
                         where it is lost, INITIALIZE with --new-epoch, and everybody enrols anew";
            return bad(what, format!("{}: {words}", path.display()));
        }
        ("state", "state-sealed") => Error::StateSealed.remedy(),
        ("state", _) => Some("the folder of this workload's own state, which this user can read".to_owned()),
        (_, "not there") => Some(format!("mount what lies at {above}, or make it (mkdir -p {above})")),
        (_, "full" | "less than 128 MiB free") => Some("make room on that disk".to_owned()),
        _ => Some("give this user access".to_owned()),
    };
    bad(what, format!("{}: {why}; try: {}", path.display(), remedy.unwrap_or_default()))
}

/// The datasets that lie in files: a participant's own, or all.
fn datasets(space: &Space, party: Option<&Party>) -> Vec<Check> {
    let holders = space.holders().filter(|(id, _)| match party {
        Some(Party::Participant(own)) => own == *id,
        _ => true,
    });
    let places =
        holders.flat_map(|(id, holder)| holder.datasets.iter().map(move |(name, dataset)| (id, name, dataset)));
    places
        .filter_map(|(holder, name, dataset)| {
            let Location::Path(path) = dataset.location.resolve(space.folder()) else { return None };
            let above = path.parent().unwrap_or(&path);
            let words = format!("{holder}/{name}");
            Some(match path.exists() || path.to_string_lossy().contains(['*', '?', '[']) {
                true => match std::fs::File::open(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => bad(
                        "dataset",
                        format!("{words}: {} cannot be read; try: give this user access", path.display()),
                    ),
                    _ => good("dataset", format!("{words}: {}", path.display())),
                },
                // The datasets' folder is made with the first of them, in a folder that is there.
                false if above.exists() || above.parent().is_some_and(Path::exists) => {
                    good("dataset", format!("{words}: not yet there; {holder} makes it with datafuse protect"))
                }
                false => bad(
                    "dataset",
                    format!(
                        "{words}: there is no folder {0}; try: mount what lies there, or make it (mkdir -p {0})",
                        above.display()
                    ),
                ),
            })
        })
        .collect()
}

/// Looks at a folder that parties share.
fn folder(what: &'static str, path: &Path) -> Check {
    let shown = path.display();
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() {
        return match usable(path) {
            Ok(()) => good(what, format!("{shown} can be read and written")),
            Err(why) => bad(what, format!("{shown}: {why}; try: give this user access, or make room")),
        };
    }
    if path.exists() {
        return bad(what, format!("{shown} is not a folder; try: move it away, or give another path"));
    }
    match above.is_dir() {
        true => good(what, format!("{shown} is made when it is first used")),
        false => {
            let above = above.display();
            bad(what, format!("there is no folder {above}; try: mount what lies there, or make it (mkdir -p {above})"))
        }
    }
}

fn good(what: &'static str, words: String) -> Check {
    Check { what, good: true, words }
}

fn bad(what: &'static str, words: String) -> Check {
    Check { what, good: false, words }
}
