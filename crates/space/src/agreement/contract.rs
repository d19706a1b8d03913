//! From what a space file says to a [`Space`] that holds together, or all the reasons why it does not.
//!
//! Everything is looked at before refusing, so that who writes a space file mends it in one round. Two parties under one name,
//! a steward without a share to give, two datasets at one place: what is refused here would otherwise show much later, as a
//! wrong or missing match.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use datafuse_core::{
    id::{DatasetId, KindName, ParticipantId},
    kind::{Column, Kind},
    name::PublicName,
};

use super::{
    Dataset, Draft, Participant, Parts, Party, Policy, Role, Space, Table, analyses, document, lookups, outputs,
    policy, privacy,
};
use crate::{
    check::Finding,
    layout::Layout,
    location::{DeliverPlace, Location, MailboxPlace, QueuePlace, delivery_token_variable, has_credentials, tidy},
};

/// Takes the parts of a parsed file. Only what has no place among the parts is refused here.
pub(super) fn from_document(document: document::Document) -> Result<Parts, Vec<Finding>> {
    // Of either there is one that this program knows.
    let (document::ApiVersion::V1, document::DocumentKind::CollaborationSpace) = (document.api_version, document.kind);
    let mut findings = Vec::new();
    let mut kinds = Vec::new();
    for (name, identifier) in document.identifiers {
        match kind(name.0.clone(), identifier) {
            Ok(kind) => kinds.push(kind),
            Err((message, remedy)) => {
                findings.push(Finding::error(format!("identifiers.{}", name.0), message, remedy));
            }
        }
    }
    let mut participants = BTreeMap::new();
    for (id, participant) in document.participants {
        let roles: BTreeSet<_> = participant.roles.iter().copied().collect();
        if roles.len() != participant.roles.len() {
            findings.push(Finding::error(
                format!("participants.{}.roles", id.0),
                "a role is given twice",
                "keep one of each",
            ));
        }
        let datasets = participant.datasets.into_iter();
        participants.insert(
            id.0,
            Participant {
                roles,
                name: participant.name.map(|name| name.0),
                former: participant.former.into_iter().map(|name| name.0).collect(),
                datasets: datasets.map(|(id, dataset)| (id.0, dataset.into())).collect(),
                recipient: participant.recipient.map(|recipient| recipient.0.0),
                deliver: participant.deliver.0.into_iter().map(|place| place.0).collect(),
                policy: participant.policy.into(),
            },
        );
    }
    let analyses = analyses::from_document(document.analyses, &participants, &mut findings);
    refuse_if_any(findings)?;
    Ok(Parts {
        id: document.id.0,
        nonce: document.nonce.0.0,
        workload: document.workload.0,
        workload_former: document.workload_former.into_iter().map(|name| name.0).collect(),
        stewards: document.stewards.into_iter().map(|id| id.0).collect(),
        kinds,
        participants,
        mailbox: document.mailbox.0,
        queue: document.queue.0,
        state: document.state.0.0,
        outputs: document.outputs.0.0,
        policy: Policy { min_count: document.policy.min_count.or(Some(1)), ..document.policy.into() },
        analyses,
    })
}

/// Takes the parts of a draft, with the usual places.
pub(super) fn from_draft(draft: Draft, nonce: [u8; 32]) -> Result<Parts, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut participants = BTreeMap::<ParticipantId, Participant>::new();
    let mut stewards = draft.stewards;
    if stewards.is_empty() {
        stewards = draft.holders.iter().take(2).map(|(id, _)| id.clone()).collect();
    }
    let dataset: Option<DatasetId> = Draft::DATASET.parse().ok();
    let shared = draft.shared.unwrap_or_default();
    for (id, name) in draft.holders {
        let place = Location::Path(shared.join(Layout::datasets()).join(format!("{id}.parquet")));
        let participant = participants.entry(id.clone()).or_insert_with(absent);
        if !participant.roles.insert(Role::Holder) {
            findings.push(Finding::error(
                format!("participants.{id}"),
                "two holders have this name",
                "give each holder a name of its own",
            ));
        }
        participant.name = Some(name);
        participant.datasets = dataset.iter().map(|id| (id.clone(), Dataset::protected(place.clone()))).collect();
    }
    for id in draft.users {
        participants.entry(id).or_insert_with(absent).roles.insert(Role::User);
    }
    let mut kinds = draft.kinds;
    kinds.sort_by(|a, b| a.name().cmp(b.name()));
    for pair in kinds.windows(2) {
        if pair[0].name() == pair[1].name() {
            findings.push(Finding::error(
                format!("identifiers.{}", pair[0].name()),
                "two identifier kinds have this name",
                "give each kind a name of its own",
            ));
        }
    }
    refuse_if_any(findings)?;
    Ok(Parts {
        id: draft.id,
        nonce,
        workload: draft.workload,
        workload_former: Vec::new(),
        stewards,
        kinds,
        participants,
        mailbox: MailboxPlace::Folder(shared.join("mailbox")),
        queue: QueuePlace::Folder(shared.join("queue")),
        state: "state".into(),
        outputs: "outputs".into(),
        policy: Policy { min_count: Some(draft.min_count), ..Policy::default() },
        analyses: analyses::Analyses::default(),
    })
}

/// Makes a space of parts that hold together.
pub(super) fn conclude(parts: Parts) -> Result<Space, Vec<Finding>> {
    let mut findings = Vec::new();
    if parts.kinds.is_empty() {
        findings.push(Finding::error(
            "identifiers",
            "nothing is matched on",
            "add a kind, such as `email: { profile: email-v1 }` (space init: --identifier email)",
        ));
    }
    participants(&parts, &mut findings);
    delivery_tokens(&parts, &mut findings);
    stewards(&parts, &mut findings);
    let parties = names(&parts, &mut findings);
    datasets(&parts, &mut findings);
    folders(&parts, &mut findings);
    policy::conclude(&parts, &mut findings);
    lookups::conclude(&parts, &mut findings);
    outputs::conclude(&parts, &mut findings);
    privacy::conclude(&parts, &mut findings);
    analyses::conclude(&parts, &mut findings);
    refuse_if_any(findings)?;
    Ok(Space { file: None, folder: PathBuf::new(), parts, parties })
}

fn participants(parts: &Parts, findings: &mut Vec<Finding>) {
    for (id, participant) in &parts.participants {
        let at = |field: &str| format!("participants.{id}{field}");
        if participant.roles.is_empty() {
            findings.push(Finding::error(
                at(".roles"),
                "it has no role",
                "write roles: [holder], [user] or [holder, user]",
            ));
        }
        if participant.is_holder() && participant.name.is_none() {
            findings.push(Finding::error(
                at(".name"),
                "a holder needs a public name",
                "add the dfpub1... text that its `datafuse keygen` printed",
            ));
        }
        if participant.name.is_none() && !participant.former.is_empty() {
            findings.push(Finding::error(
                at(".former"),
                "former names without a present one",
                "move the present name from 'former' to 'name'",
            ));
        }
        if !participant.is_holder() && !participant.datasets.is_empty() {
            findings.push(Finding::error(
                at(".datasets"),
                "only holders bring datasets",
                "add holder to its roles, or remove the datasets",
            ));
        }
        if !participant.is_user() && participant.recipient.is_some() {
            findings.push(Finding::error(
                at(".recipient"),
                "only users receive reports",
                "add user to its roles, or remove the recipient",
            ));
        }
        if !participant.is_user() && !participant.deliver.is_empty() {
            findings.push(Finding::error(
                at(".deliver"),
                "only users receive reports",
                "add user to its roles, or remove deliver",
            ));
        }
        let mut places = BTreeSet::new();
        for place in &participant.deliver {
            if !places.insert(place.tidied()) {
                findings.push(Finding::error(at(".deliver"), "a place is given twice", "keep one of each"));
            }
        }
    }
}

/// Refuses users whose endpoints would be given the same token, as `acme.eu` and `acme-eu` would.
fn delivery_tokens(parts: &Parts, findings: &mut Vec<Finding>) {
    let has_endpoint =
        |participant: &Participant| participant.deliver.iter().any(|place| matches!(place, DeliverPlace::Endpoint(_)));
    let mut owners = BTreeMap::new();
    for (id, _) in parts.participants.iter().filter(|(_, participant)| has_endpoint(participant)) {
        let variable = delivery_token_variable(id.as_str());
        if let Some(other) = owners.insert(variable.clone(), id) {
            findings.push(Finding::error(
                format!("participants.{id}.deliver"),
                format!("its token would be that of '{other}': both are in {variable}"),
                "give one of them another id, which differs in letters or digits",
            ));
        }
    }
}

fn stewards(parts: &Parts, findings: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for id in &parts.stewards {
        if !seen.insert(id) {
            findings.push(Finding::error(
                "stewards",
                format!("'{id}' is named twice"),
                "name each steward once: a steward keeps one share",
            ));
            continue;
        }
        match parts.participants.get(id) {
            None => findings.push(Finding::error(
                "stewards",
                format!("'{id}' is not a participant"),
                "name data holders of this space as stewards",
            )),
            Some(participant) if !participant.is_holder() => findings.push(Finding::error(
                "stewards",
                format!("'{id}' is not a data holder"),
                "name data holders of this space as stewards",
            )),
            Some(_) => {}
        }
    }
    if seen.len() < 2 {
        let named = match seen.len() {
            0 => "none is",
            _ => "one is",
        };
        findings.push(Finding::error(
            "stewards",
            format!("at least two stewards are needed, {named} named"),
            "name two or more data holders: with fewer, one party would know the matching key",
        ));
    }
}

/// Checks that every name, present or former, belongs to one party; gives the present ones.
fn names(parts: &Parts, findings: &mut Vec<Finding>) -> BTreeMap<PublicName, Party> {
    let mut owners = BTreeMap::<&PublicName, (Party, bool)>::new();
    let workload = std::iter::once((Party::Workload, Some(&parts.workload), &parts.workload_former));
    let participants = parts.participants.iter().map(|(id, participant)| {
        let party = Party::Participant(id.clone());
        (party, participant.name.as_ref(), &participant.former)
    });
    for (party, present, former) in workload.chain(participants) {
        let present = present.map(|name| (name, true));
        for (name, is_present) in present.into_iter().chain(former.iter().map(|name| (name, false))) {
            let Some((owner, _)) = owners.get(name) else {
                owners.insert(name, (party.clone(), is_present));
                continue;
            };
            let place = match &party {
                Party::Workload => "workload_former".to_owned(),
                Party::Participant(id) if is_present => format!("participants.{id}.name"),
                Party::Participant(id) => format!("participants.{id}.former"),
            };
            findings.push(if *owner == party {
                Finding::error(
                    place,
                    "a name of this party is given twice",
                    "list each former name once, the founding one first, and the present one as the name alone",
                )
            } else {
                Finding::error(
                    place,
                    format!("this public name is that of {owner} too"),
                    "each party needs a key file of its own; copy the name again from the party itself",
                )
            });
        }
    }
    owners
        .into_iter()
        .filter(|(_, (_, is_present))| *is_present)
        .map(|(name, (party, _))| (name.clone(), party))
        .collect()
}

fn datasets(parts: &Parts, findings: &mut Vec<Finding>) {
    let mut owners = BTreeMap::<String, String>::new();
    for (id, participant) in &parts.participants {
        for (dataset, Dataset { location, table, .. }) in &participant.datasets {
            if let Some(table) = table {
                token_table(table, parts, &format!("participants.{id}.datasets.{dataset}.table"), findings);
            }
            let place = format!("participants.{id}.datasets.{dataset}.location");
            let key = match location {
                Location::Path(path) => tidy(path).to_string_lossy().into_owned(),
                Location::Url(url) => url.to_string(),
            };
            if let Location::Url(url) = location
                && has_credentials(url)
            {
                findings.push(Finding::error(
                    place.clone(),
                    "the address holds a user name or password, which everybody with this file would read",
                    "remove them from the address",
                ));
            }
            let dataset = format!("dataset '{dataset}' of {id}");
            if let Some(owner) = owners.get(&key) {
                findings.push(Finding::error(
                    place,
                    format!("{owner} lies at this place too"),
                    "give each dataset a place of its own",
                ));
            } else {
                owners.insert(key, dataset);
            }
        }
    }
}

/// Checks how a table of tokens is to be read.
fn token_table(table: &Table, parts: &Parts, place: &str, findings: &mut Vec<Finding>) {
    let known: Vec<_> = parts.kinds.iter().map(|kind| kind.name().as_str()).collect();
    let mut taken = BTreeSet::new();
    for (kind, column) in &table.columns {
        if !known.contains(&kind.as_str()) {
            findings.push(Finding::error(
                format!("{place}.columns.{kind}"),
                format!("'{kind}' is no identifier kind of this space"),
                format!("name one of: {}", known.join(", ")),
            ));
        }
        if column.is_empty() || !taken.insert(column) {
            findings.push(Finding::error(
                format!("{place}.columns.{kind}"),
                "the column is empty, or another kind's too",
                "name the column that holds this kind's tokens",
            ));
        }
    }
    let is_name = |text: &str| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !text.starts_with(|c: char| c.is_ascii_digit())
    };
    // What stands here may be the key itself: it is not repeated.
    if table.encryption_key_from.as_ref().is_some_and(|name| name.is_empty() || !is_name(name)) {
        findings.push(Finding::error(
            format!("{place}.encryption_key_from"),
            "it is not the name of an environment variable",
            "write the variable's name, such as GLOBEX_PARQUET_KEY, and the key into the workload's environment; a key that stood \
             here is known to all who have read this file",
        ));
    }
}

fn folders(parts: &Parts, findings: &mut Vec<Finding>) {
    let mut taken = BTreeMap::<PathBuf, &str>::new();
    let queue = match &parts.queue {
        QueuePlace::Folder(path) => Some(path.as_path()),
        QueuePlace::Redis(_) => None,
    };
    for (field, path) in [
        ("mailbox", parts.mailbox.as_path()),
        ("queue", queue),
        ("state", Some(parts.state.as_path())),
        ("outputs", Some(parts.outputs.as_path())),
    ] {
        let Some(path) = path else { continue };
        match taken.get(&tidy(path)) {
            Some(other) => findings.push(Finding::error(
                field,
                format!("'{other}' is the same folder"),
                "give each a folder of its own",
            )),
            None => {
                taken.insert(tidy(path), field);
            }
        }
    }
    for (id, participant) in &parts.participants {
        for path in participant.deliver.iter().filter_map(DeliverPlace::as_path) {
            if let Some(other) = taken.get(&tidy(path)) {
                findings.push(Finding::error(
                    format!("participants.{id}.deliver"),
                    format!("'{other}' is the same folder"),
                    "give a folder of the user's own",
                ));
            }
        }
    }
}

fn kind(name: KindName, identifier: document::Identifier) -> Result<Kind, (String, String)> {
    let refused = |fact: &str, remedy: &str| Err((fact.to_owned(), remedy.to_owned()));
    match (identifier.profile, identifier.columns) {
        (Some(profile), None) => Ok(Kind::single(name, profile.0, identifier.default_region.map(|region| region.0.0))),
        (None, Some(columns)) if identifier.default_region.is_none() => {
            let columns = columns.into_iter().map(|column| Column {
                name: column.name.0.0,
                profile: column.profile.0,
                default_region: column.default_region.map(|region| region.0.0),
            });
            Kind::new(name, columns.collect()).map_err(|error| {
                let fact = match &error {
                    datafuse_core::Error::InvalidId { rule, .. } => (*rule).to_owned(),
                    other => other.to_string(),
                };
                (fact, "list each column once, with a name and a profile".to_owned())
            })
        }
        (None, Some(_)) => {
            refused("'default_region' stands beside 'columns'", "give it to the column that holds phone numbers")
        }
        (Some(_), Some(_)) => {
            refused("both 'profile' and 'columns' are given", "give 'profile' for one column, or 'columns' for several")
        }
        (None, None) => refused(
            "neither 'profile' nor 'columns' is given",
            "give 'profile' for one column, or 'columns' for several",
        ),
    }
}

fn absent() -> Participant {
    Participant {
        roles: BTreeSet::new(),
        name: None,
        former: Vec::new(),
        datasets: BTreeMap::new(),
        recipient: None,
        deliver: Vec::new(),
        policy: Policy::default(),
    }
}

fn refuse_if_any(findings: Vec<Finding>) -> Result<(), Vec<Finding>> {
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}
