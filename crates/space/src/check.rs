//! What is missing from an agreement, and what would go wrong: for `space check`.
//!
//! A [`Space`] that exists holds together already ([`Error::Contract`] lists what does not, as findings too). Here is what is
//! unwise, what would surprise, and what is not there yet. Folders and files are looked at, a mailbox on another machine is
//! asked for its list, no dataset is opened.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use datafuse_core::announcement::Announcement;

use crate::{
    agreement::{Dataset, Space},
    error::Error,
    layout::Layout,
    location::{
        DeliverPlace, Location, MailboxPlace, QueuePlace, delivery_token_variable, has_credentials, is_bucket,
        is_loopback, stays_within,
    },
    mailbox::{self, FolderMailbox, Mailbox, Patience, announcement_name},
    readership::Readership,
};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does not work so.
    Error,
    /// It works, and may not do what is meant.
    Warning,
    /// Worth knowing; often only something not done yet.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The field of the space file, such as `participants.acme.name`.
    pub place: String,
    /// The fact.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    pub(crate) fn error(place: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Severity::Error, place, message, remedy)
    }

    pub(crate) fn new(
        severity: Severity,
        place: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity, place: place.into(), message: message.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.message),
            place => write!(f, "{place}: {}", self.message),
        }
    }
}

/// Looks at a space file and everything it names. What makes it unreadable is a finding too; then there is no space.
#[must_use]
pub fn check_file(path: &Path) -> (Option<Space>, Vec<Finding>) {
    match Space::read(path) {
        Ok(space) => {
            let findings = check(&space);
            (Some(space), findings)
        }
        Err(Error::Contract { findings, .. }) => (None, findings),
        Err(error) => {
            let remedy = error.remedy().unwrap_or_default();
            (None, vec![Finding::error("", error.to_string(), remedy)])
        }
    }
}

/// Looks at a space and everything it names, relative to its folder; what matters most comes first.
#[must_use]
pub fn check(space: &Space) -> Vec<Finding> {
    let mut findings = Vec::new();
    identifiers(space, &mut findings);
    people(space, &mut findings);
    datasets(space, &mut findings);
    places(space, &mut findings);
    bare_lookups(space, &mut findings);
    if space.min_count() == 1 {
        findings.push(Finding::new(
            Severity::Warning,
            "policy.min_count",
            "every count is shown, however small: a count of 1 points at one person",
            "set policy.min_count to 5 or more, unless the data is made up",
        ));
    }
    space.check_outputs(&mut findings);
    space.check_privacy(&mut findings);
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// Says what is given up where look-ups need neither seal nor signature.
fn bare_lookups(space: &Space, findings: &mut Vec<Finding>) {
    for asker in space.bare_askers() {
        findings.push(Finding::new(
            Severity::Warning,
            "policy.lookups.bare",
            format!(
                "look-ups for {asker} need no seal and no signature: whoever can put events into the queue spends its look-ups of \
                 the day, and whoever reads the queue sees which of them ask for the same customer"
            ),
            format!("remove {asker} from bare, and send sealed requests (datafuse token make), unless its systems can only send a token"),
        ));
    }
}

fn identifiers(space: &Space, findings: &mut Vec<Finding>) {
    for kind in space.kinds() {
        for column in kind.columns() {
            let place = match kind.columns().len() {
                1 => format!("identifiers.{}", kind.name()),
                _ => format!("identifiers.{}.{}", kind.name(), column.name),
            };
            match (column.profile.needs_region(), &column.default_region) {
                (true, None) => findings.push(Finding::new(
                    Severity::Warning,
                    place,
                    "there is no default_region: phone numbers without + and country code will be invalid",
                    "add default_region, such as BE; or leave it if all holders write numbers with +",
                )),
                (false, Some(_)) => findings.push(Finding::new(
                    Severity::Warning,
                    place,
                    format!("default_region means nothing to {}", column.profile.as_str()),
                    "remove default_region before the first dataset is made: it enters the root",
                )),
                _ => {}
            }
        }
    }
}

fn people(space: &Space, findings: &mut Vec<Finding>) {
    if space.users().next().is_none() {
        findings.push(Finding::new(
            Severity::Warning,
            "participants",
            "no data user: nobody is named to receive the report",
            "add a participant with roles: [user] (space init: --user NAME)",
        ));
    }
    for (id, place) in space.deliver_places() {
        deliver(format!("participants.{id}.deliver"), id.as_str(), &place, findings);
    }
    readers(space, findings);
}

/// Says whether reports are encrypted, and to whom; of users of whom only some have a recipient, that none are made.
fn readers(space: &Space, findings: &mut Vec<Finding>) {
    match space.readership() {
        Readership::Clear => {}
        Readership::Encrypted(recipients) => findings.extend(recipients.into_iter().map(|(id, recipient)| {
            Finding::new(
                Severity::Note,
                format!("participants.{id}.recipient"),
                format!("reports are encrypted to {recipient}: who has its identity reads them, and nobody else"),
                format!("let {id} keep that identity, and a copy of it, and open reports with datafuse report open --identity"),
            )
        })),
        Readership::Mixed { with, without } => {
            let with: Vec<_> = with.into_iter().map(|id| format!("'{id}'")).collect();
            findings.extend(without.into_iter().map(|id| {
                Finding::error(
                    format!("participants.{id}.recipient"),
                    format!(
                        "'{id}' has no recipient and {} has one: no report is made, as it is one document for all users",
                        with.join(", ")
                    ),
                    "give every user a recipient, or none; users of both sorts take part in spaces of their own",
                )
            }));
        }
    }
}

/// Says of a place to which reports go what the operator has to know; of a folder, whether it is there.
fn deliver(field: String, user: &str, place: &DeliverPlace, findings: &mut Vec<Finding>) {
    let (severity, message, remedy) = match place {
        DeliverPlace::Folder(path) if !path.is_dir() => (
            Severity::Warning,
            format!("reports of {user} go to {}, which is not a folder here", path.display()),
            "make or mount it where the workload runs; the workload never makes it".to_owned(),
        ),
        DeliverPlace::Folder(path) => (
            Severity::Note,
            format!("the workload copies reports of {user} to {}", path.display()),
            format!("let {user} alone read that folder"),
        ),
        DeliverPlace::Bucket(_) => (
            Severity::Note,
            format!("the workload writes reports of {user} to {place}"),
            "give the workload credentials that write there, in AWS_..., GOOGLE_... or AZURE_...".to_owned(),
        ),
        DeliverPlace::Endpoint(url) => (
            Severity::Note,
            format!("the workload sends signed reports of {user} to {place}"),
            match is_loopback(url) {
                true => "start the workload with --allow-host for that host: its address is not public".to_owned(),
                false => {
                    format!("give the workload {} where the endpoint asks for a token", delivery_token_variable(user))
                }
            },
        ),
    };
    findings.push(Finding::new(severity, field, message, remedy));
}

fn datasets(space: &Space, findings: &mut Vec<Finding>) {
    for (id, holder) in space.holders() {
        if holder.datasets.is_empty() {
            findings.push(Finding::new(
                Severity::Warning,
                format!("participants.{id}.datasets"),
                "this holder brings no dataset",
                format!("add one, such as `customers: {{ location: datasets/{id}.parquet }}`"),
            ));
        }
        for (dataset, Dataset { location, table, .. }) in &holder.datasets {
            let place = format!("participants.{id}.datasets.{dataset}.location");
            if table.is_some() {
                findings.push(unauthenticated(format!("participants.{id}.datasets.{dataset}.table")));
            }
            match location {
                Location::Url(url) if is_bucket(url) => findings.push(Finding::new(
                    Severity::Note,
                    place,
                    "protect writes this object and the workload reads it, each with the credentials of its own environment",
                    "AWS_..., GOOGLE_... or AZURE_... for both: the holder's may write, the workload's need only read",
                )),
                Location::Url(url) => {
                    findings.push(Finding::new(
                        Severity::Note,
                        place.clone(),
                        "the workload fetches this address; protect cannot write there",
                        "write with protect --out FILE and upload the file to that address",
                    ));
                    if url.scheme() == "http" && table.is_some() {
                        findings.push(Finding::new(
                            Severity::Warning,
                            place,
                            "the address is plain http: a table can be read and swapped on its way",
                            "use https",
                        ));
                    } else if url.scheme() == "http" {
                        findings.push(Finding::new(
                            Severity::Note,
                            place,
                            "the address is plain http: the file is encrypted and signed, but who fetches what when can be seen",
                            "use https where you can",
                        ));
                    }
                }
                Location::Path(path) => {
                    if path.is_relative() && !stays_within(path) {
                        findings.push(Finding::new(
                            Severity::Warning,
                            place.clone(),
                            format!(
                                "'{}' lies outside the folder of the space file: protect would write there",
                                path.display()
                            ),
                            "make sure that it is meant, or give a path within the folder",
                        ));
                    }
                    let path = space.folder().join(path);
                    match table.is_some() {
                        true => table_file(&path, place, id.as_str(), findings),
                        false => dataset_file(&path, place, id.as_str(), findings),
                    }
                }
            }
        }
    }
}

/// What a table of tokens means for everybody in the space.
fn unauthenticated(place: String) -> Finding {
    Finding::new(
        Severity::Warning,
        place,
        "a table of tokens is unauthenticated: whoever can write where it lies can swap or replay data unnoticed, and a wrong token \
         key shows only as missing matches; every report says so",
        "remove 'table' and bring a protected dataset (datafuse protect), or keep that place to the holder and the workload",
    )
}

fn table_file(path: &Path, place: String, holder: &str, findings: &mut Vec<Finding>) {
    // A pattern is looked up when the table is read.
    if !path.exists() && !path.to_string_lossy().contains(['*', '?', '[']) {
        findings.push(Finding::new(
            Severity::Note,
            place,
            format!("there is no table at {} yet", path.display()),
            format!(
                "{holder} makes it: datafuse protect FILE --table OUT --space space.yaml --party {holder} --key {holder}.key, and \
                 encrypts it with its own tool"
            ),
        ));
    }
}

fn dataset_file(path: &Path, place: String, holder: &str, findings: &mut Vec<Finding>) {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => findings.push(Finding::error(
            place,
            format!("{} is not a file", path.display()),
            "move it away, or give another location",
        )),
        Err(_) => findings.push(Finding::new(
            Severity::Note,
            place,
            format!("there is no dataset at {} yet", path.display()),
            format!("{holder} makes it: datafuse protect FILE --space space.yaml --party {holder} --key {holder}.key"),
        )),
    }
}

fn places(space: &Space, findings: &mut Vec<Finding>) {
    let layout = Layout::new(space);
    match &layout.mailbox {
        MailboxPlace::Folder(path) => {
            if folder("mailbox", path, findings) {
                announcement(space, FolderMailbox::open(path).map(|mailbox| Box::new(mailbox) as _), findings);
            } else {
                findings.push(not_opened());
            }
        }
        address => remote_mailbox(space, address, findings),
    }
    match &layout.queue {
        QueuePlace::Folder(path) => {
            folder("queue", path, findings);
        }
        QueuePlace::Redis(url) => {
            if has_credentials(url) {
                findings.push(Finding::new(
                    Severity::Warning,
                    "queue",
                    "the address holds a user name or password, which everybody with this file can read",
                    "remove it here and give the whole address to the workload with --redis or its environment",
                ));
            }
            if url.scheme() == "redis" && !is_loopback(url) {
                findings.push(Finding::new(
                    Severity::Warning,
                    "queue",
                    "redis:// is not encrypted on its way",
                    "use rediss:// (TLS) where the server is another machine",
                ));
            }
        }
    }
    folder("state", &layout.state, findings);
    folder("outputs", &layout.outputs, findings);
}

/// Looks at a folder; tells whether it is there.
fn folder(field: &'static str, path: &Path, findings: &mut Vec<Finding>) -> bool {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            // Trying is the only sure way: mode bits know nothing of read-only mounts and access lists.
            if tempfile::tempfile_in(path).is_err() {
                findings.push(Finding::new(
                    Severity::Warning,
                    field,
                    format!("{} cannot be written by this user", path.display()),
                    "give its user access, or run the command as the party that uses it",
                ));
            }
            true
        }
        Ok(_) => {
            findings.push(Finding::error(
                field,
                format!("{} is not a folder", path.display()),
                "move it away, or give another path",
            ));
            false
        }
        Err(_) => {
            if let Some(file) = file_above(path) {
                findings.push(Finding::error(
                    field,
                    format!("{} can never be a folder: {} is a file", path.display(), file.display()),
                    "move that file away, or give another path",
                ));
            } else if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty() && !above.exists()) {
                findings.push(Finding::new(
                    Severity::Warning,
                    field,
                    format!("there is no folder {} in which {} would be made", above.display(), path.display()),
                    format!("mount what lies there, or make it: mkdir -p {}", above.display()),
                ));
            }
            false
        }
    }
}

/// The nearest existing ancestor of a path, where that is no folder.
fn file_above(path: &Path) -> Option<PathBuf> {
    let existing = path.ancestors().skip(1).find(|ancestor| ancestor.exists())?;
    (!existing.is_dir()).then(|| existing.to_owned())
}

/// Asks a mailbox on another machine, waiting a few seconds at most.
fn remote_mailbox(space: &Space, place: &MailboxPlace, findings: &mut Vec<Finding>) {
    if let MailboxPlace::Http(url) = place
        && url.scheme() == "http"
        && !is_loopback(url)
    {
        findings.push(Finding::new(
            Severity::Warning,
            "mailbox",
            "http:// is not encrypted on its way: messages are sealed and signed, but who enrols when can be seen",
            "put a server with TLS before datafuse serve --http, and write https://",
        ));
    }
    let opened = mailbox::open_with(place, Patience::brief()).and_then(|mailbox| mailbox.list().map(|_| mailbox));
    match opened {
        Ok(mailbox) => announcement(space, Ok(mailbox), findings),
        Err(error) => {
            let remedy = error.remedy().unwrap_or_default();
            findings.push(Finding::new(Severity::Warning, "mailbox", error.to_string(), remedy));
        }
    }
}

fn announcement(space: &Space, mailbox: Result<Box<dyn Mailbox>, Error>, findings: &mut Vec<Finding>) {
    let root = space.root();
    // An oversized or vanished message is not this finding's matter.
    let announced = mailbox.and_then(|mailbox| mailbox.read(&announcement_name(&root)));
    let signed_by = |name| matches!(&announced, Ok(Some(bytes)) if Announcement::verify(bytes, &root, name).is_ok());
    if signed_by(space.workload()) {
        return;
    }
    findings.push(match space.workload_former().iter().any(signed_by) {
        true => Finding::new(
            Severity::Note,
            "mailbox",
            "the epoch is announced in a former name of the workload",
            "the workload's operator announces it in the present one: datafuse run ENROL --space space.yaml --key workload.key \
             (after a leak INITIALIZE --new-epoch)",
        ),
        false => not_opened(),
    });
}

fn not_opened() -> Finding {
    Finding::new(
        Severity::Note,
        "mailbox",
        "no epoch is announced yet",
        "the workload's operator opens one: datafuse run INITIALIZE --space space.yaml --key workload.key",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{agreement::example, testing};
    use datafuse_core::id::Epoch;

    fn with(from: &str, to: &str) -> Space {
        let text = example::yaml();
        assert!(text.contains(from), "{from}");
        Space::parse(&text.replacen(from, to, 1)).unwrap()
    }

    /// The findings on a space that lies in a folder of its own.
    fn findings(space: Space) -> (tempfile::TempDir, Vec<Finding>) {
        let folder = tempfile::tempdir().unwrap();
        let found = check(&space.in_folder(folder.path()));
        (folder, found)
    }

    fn has(findings: &[Finding], severity: Severity, place: &str, words: &str) -> bool {
        findings
            .iter()
            .any(|finding| finding.severity == severity && finding.place == place && finding.message.contains(words))
    }

    #[test]
    fn recipients_of_some_users_and_not_of_others_are_an_error() {
        let recipient = "recipient: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let with = |more: &str| with("roles: [user]\n", &format!("roles: [user]\n    {recipient}\n{more}"));
        let (_keep, found) = findings(with(""));
        assert!(has(&found, Severity::Note, "participants.insights.recipient", "encrypted to age1ql3z7"), "{found:#?}");
        let (_keep, found) = findings(with("  office:\n    roles: [user]\n"));
        let words = "'office' has no recipient and 'insights' has one";
        assert!(has(&found, Severity::Error, "participants.office.recipient", words), "{found:#?}");
    }

    #[test]
    fn a_fresh_space_has_no_errors_and_says_what_comes_next() {
        let (_keep, found) = findings(example::space());
        assert!(found.iter().all(|finding| finding.severity != Severity::Error), "{found:#?}");
        assert!(has(&found, Severity::Warning, "policy.min_count", "small"));
        assert!(has(&found, Severity::Note, "mailbox", "no epoch"));
        assert!(has(&found, Severity::Note, "participants.acme.datasets.customers.location", "yet"));
        assert!(found.iter().all(|finding| !finding.remedy.is_empty()));
        assert!(found.is_sorted_by_key(|finding| finding.severity));
    }

    #[test]
    fn what_is_unwise_is_found() {
        use Severity::{Note, Warning};
        let acme = "datasets/acme.parquet";
        let cases = [
            ("email-v1", "phone-e164-v1", Warning, "identifiers.email", "default_region"),
            ("email-v1", "email-v1, default_region: BE", Warning, "identifiers.email", "means nothing"),
            ("  insights:\n    roles: [user]\n", "", Warning, "participants", "no data user"),
            (acme, "../acme.parquet", Warning, "participants.acme.datasets.customers.location", "outside"),
            (acme, "http://example.com/a", Note, "participants.acme.datasets.customers.location", "protect cannot"),
            (
                "roles: [user]",
                "roles: [user]\n    deliver: nowhere",
                Warning,
                "participants.insights.deliver",
                "not a folder",
            ),
            (
                "roles: [user]",
                "roles: [user]\n    deliver: s3://bucket/x",
                Note,
                "participants.insights.deliver",
                "s3://bucket/x",
            ),
            (
                "roles: [user]",
                "roles: [user]\n    deliver: ['https://example.com/r', 'http://localhost/r']",
                Note,
                "participants.insights.deliver",
                "http://localhost/r",
            ),
            ("queue: queue", "queue: redis://:secret@example.com", Warning, "queue", "password"),
            ("queue: queue", "queue: redis://example.com", Warning, "queue", "not encrypted"),
            (
                "    datasets:\n      customers: { location: datasets/acme.parquet }\n",
                "",
                Warning,
                "participants.acme.datasets",
                "no dataset",
            ),
        ];
        for (from, to, severity, place, words) in cases {
            let (_keep, found) = findings(with(from, to));
            assert!(has(&found, severity, place, words), "{to}: {found:#?}");
            let (_keep, found) = findings(example::space());
            assert!(!has(&found, severity, place, words), "found without cause: {words}");
        }
        for queue in ["redis://localhost", "redis://127.0.0.1:6379", "redis://[::1]", "rediss://example.com"] {
            let (_keep, found) = findings(with("queue: queue", &format!("queue: \"{queue}\"")));
            assert!(!found.iter().any(|finding| finding.place == "queue"), "{found:#?}");
        }
    }

    #[test]
    fn a_table_of_tokens_is_warned_of_and_checked() {
        let table = |table: &str| {
            let (from, to) = ("{ location: datasets/acme.parquet }", format!("{{ location: t.csv, table: {table} }}"));
            Space::parse(&example::yaml().replacen(from, &to, 1))
        };
        let at = "participants.acme.datasets.customers.table";
        let (_keep, found) = findings(table("{}").unwrap());
        assert!(has(&found, Severity::Warning, at, "unauthenticated"), "{found:#?}");
        let location = "participants.acme.datasets.customers.location";
        assert!(
            found.iter().any(|finding| finding.place == location && finding.remedy.contains("--table")),
            "{found:#?}"
        );
        let (_keep, found) = findings(example::space());
        assert!(!found.iter().any(|finding| finding.message.contains("unauthenticated")));
        table("{ columns: { email: mail }, encryption_key_from: ACME_KEY_2 }").unwrap();
        for (bad, field, words) in [
            ("{ columns: { iban: x } }", "columns.iban", "no identifier kind"),
            ("{ columns: { email: \"\" } }", "columns.email", "empty"),
            ("{ encryption_key_from: 0123456789abcdef }", "encryption_key_from", "environment variable"),
            ("{ encryption_key_from: \"hunter2 hunter2\" }", "encryption_key_from", "environment variable"),
        ] {
            let Err(Error::Contract { findings, .. }) = table(bad) else { panic!("{bad}") };
            assert!(has(&findings, Severity::Error, &format!("{at}.{field}"), words), "{findings:#?}");
            assert!(!format!("{findings:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_strict_participant_silences_the_warning_about_small_counts() {
        let (_keep, found) = findings(with("    roles: [user]", "    roles: [user]\n    policy: { min_count: 5 }"));
        assert!(!found.iter().any(|finding| finding.place == "policy.min_count"));
    }

    #[test]
    fn files_in_the_place_of_folders_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["mailbox", "state", "x"] {
            std::fs::write(folder.path().join(file), b"").unwrap();
        }
        std::fs::create_dir_all(folder.path().join("datasets/acme.parquet")).unwrap();
        let space = with("outputs: outputs", "outputs: x/outputs").in_folder(folder.path());
        let found = check(&space);
        for (place, words) in [
            ("mailbox", "not a folder"),
            ("state", "not a folder"),
            ("outputs", "never be a folder"),
            ("participants.acme.datasets.customers.location", "not a file"),
        ] {
            assert!(has(&found, Severity::Error, place, words), "{place}: {found:#?}");
        }
    }

    #[test]
    fn only_the_workloads_own_announcement_counts() {
        let folder = tempfile::tempdir().unwrap();
        let space = example::space().in_folder(folder.path());
        let mailbox = FolderMailbox::open_or_create(folder.path().join("mailbox")).unwrap();
        let put = |bytes: &[u8]| mailbox.put(&announcement_name(&space.root()), bytes).unwrap();
        let announce = |seed: u64, root| {
            let announcement =
                Announcement { root, epoch: Epoch(1), serial: 1, dataset_key: [7; 32], message_key: [8; 32] };
            put(&announcement.sign(testing::keys(seed).identity()));
        };
        put(b"noise");
        assert!(has(&check(&space), Severity::Note, "mailbox", "no epoch"));
        announce(9, space.root());
        assert!(has(&check(&space), Severity::Note, "mailbox", "no epoch"));
        announce(1, space.root());
        assert!(!has(&check(&space), Severity::Note, "mailbox", "no epoch"));
    }

    #[test]
    fn a_mailbox_that_does_not_answer_is_found_with_its_reason() {
        // Nobody listens at a port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (_keep, found) =
            findings(with("mailbox: mailbox", &format!("mailbox: \"http://127.0.0.1:{port}/mailbox\"")));
        assert!(has(&found, Severity::Warning, "mailbox", "no connection"), "{found:#?}");
        assert!(has(&found, Severity::Warning, "mailbox", &format!("127.0.0.1:{port}")), "{found:#?}");
        assert!(!has(&found, Severity::Warning, "mailbox", "not encrypted"), "{found:#?}");
        // A name that is never given to a machine (RFC 6761).
        let (_keep, found) = findings(with("mailbox: mailbox", "mailbox: \"http://mailbox.invalid/mailbox\""));
        assert!(has(&found, Severity::Warning, "mailbox", "not encrypted"), "{found:#?}");
    }

    #[test]
    fn looking_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let _ = check(&example::space().in_folder(folder.path()));
        assert_eq!(std::fs::read_dir(folder.path().join("state")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_finding() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("space.yaml");
        assert_eq!(check_file(&path).1.len(), 1);
        std::fs::write(&path, "id: \"").unwrap();
        let (space, found) = check_file(&path);
        assert!(space.is_none());
        assert!(found[0].message.contains("not YAML") && !found[0].remedy.is_empty(), "{found:?}");
        std::fs::write(&path, example::yaml().replace("[acme, globex]", "[acme, nobody, insights]")).unwrap();
        let (space, found) = check_file(&path);
        assert!(space.is_none());
        assert_eq!(found.len(), 2, "{found:#?}");
        std::fs::write(&path, example::yaml()).unwrap();
        assert!(check_file(&path).0.is_some());
    }
}
