//! From a space to the text of `space.yaml`, with comments for who reads it. What is written parses to the same space.
//!
//! Written by hand because serialisers write no comments; every value goes through [`scalar`] or [`quoted`].

use std::fmt::Write;

use datafuse_core::kind::{Column, Kind};

use super::{Dataset, Participant, Parts, Policy, Role, Rule, aggregates, analyses, outputs};
use crate::location::{DeliverPlace, Location, MailboxPlace, QueuePlace};

pub(super) fn write(parts: &Parts) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_parts(&mut out, parts);
    out
}

fn write_parts(out: &mut String, parts: &Parts) -> std::fmt::Result {
    out.push_str(
        "# The agreement of a DataFuse collaboration space. All participants need this very file: its id, nonce,\n\
         # workload, stewards and identifiers enter every key. Nothing in it is secret.\n\
         # `datafuse space check --space space.yaml` says what is missing and what would go wrong.\n",
    );
    writeln!(out, "api_version: datafuse/v1")?;
    writeln!(out, "kind: CollaborationSpace")?;
    writeln!(out, "id: {}", scalar(parts.id.as_str()))?;
    writeln!(out, "nonce: \"{}\"  # random, drawn once; never changes", hex::encode(parts.nonce))?;
    writeln!(out, "\n# Who fuses and matches: the public name that the workload's `datafuse keygen` printed.")?;
    writeln!(out, "workload: {}", parts.workload)?;
    if !parts.workload_former.is_empty() {
        writeln!(out, "workload_former:  # the founding name first")?;
        for name in &parts.workload_former {
            writeln!(out, "  - {name}")?;
        }
    }
    out.push_str(
        "\n# Data holders that keep one share each of the matching key, in a fixed order; at least two. They approve newcomers.\n",
    );
    let stewards: Vec<_> = parts.stewards.iter().map(|id| scalar(id.as_str())).collect();
    writeln!(out, "stewards: [{}]", stewards.join(", "))?;
    out.push_str("\n# What is matched on. The profile says how values are normalised; all holders use the same.\n");
    writeln!(out, "identifiers:")?;
    for kind in &parts.kinds {
        writeln!(out, "  {}: {}", scalar(kind.name().as_str()), identifier(kind))?;
    }
    writeln!(out, "\nparticipants:")?;
    for (id, participant) in &parts.participants {
        writeln!(out, "  {}:", scalar(id.as_str()))?;
        write_participant(out, participant)?;
    }
    out.push_str("\n# Where things lie: paths are relative to the folder of this file.\n");
    let mailbox = match &parts.mailbox {
        MailboxPlace::Folder(path) => scalar(&path.to_string_lossy()),
        MailboxPlace::Bucket(url) | MailboxPlace::Http(url) => quoted(url.as_str()),
    };
    writeln!(
        out,
        "mailbox: {mailbox}  # enrolment messages; shared by all parties; or s3://..., gs://..., az://..., https://..."
    )?;
    let queue = match &parts.queue {
        QueuePlace::Folder(path) => scalar(&path.to_string_lossy()),
        QueuePlace::Redis(url) => quoted(url.as_str()),
    };
    writeln!(out, "queue: {queue}  # events; or redis://..., rediss://...")?;
    writeln!(out, "state: {}  # the workload's own", scalar(&parts.state.to_string_lossy()))?;
    writeln!(out, "outputs: {}  # reports", scalar(&parts.outputs.to_string_lossy()))?;
    out.push_str("\n# What may come out. A participant may have a policy too: the strictest wins.\n");
    writeln!(out, "policy:")?;
    let min_count = parts.policy.min_count.unwrap_or(1);
    writeln!(out, "  min_count: {min_count}  # the smallest count of distinct identifiers that a report shows")?;
    write_rules(out, &parts.policy, "  ")?;
    analyses::write(out, &parts.analyses)
}

/// Writes the rules that a policy has beside `min_count`, a line each.
fn write_rules(out: &mut String, policy: &Policy, indent: &str) -> std::fmt::Result {
    for rule in Rule::ALL {
        if let Some(limit) = rule.of(policy) {
            writeln!(out, "{indent}{rule}: {limit}")?;
        }
    }
    if let Some(list) = &policy.outputs {
        writeln!(out, "{indent}outputs: {}", outputs::to_yaml(list))?;
    }
    if !policy.outputs_for.is_empty() {
        writeln!(out, "{indent}outputs_for:")?;
        for (user, list) in &policy.outputs_for {
            writeln!(out, "{indent}  {}: {}", scalar(user.as_str()), outputs::to_yaml(list))?;
        }
    }
    if let Some(asked) = policy.differential_privacy {
        writeln!(out, "{indent}differential_privacy: {}", asked.to_yaml())?;
    }
    if !policy.lists.is_empty() {
        let holders: Vec<_> = policy.lists.iter().map(|holder| scalar(holder.as_str())).collect();
        writeln!(out, "{indent}lists: [{}]", holders.join(", "))?;
    }
    if let Some(lookups) = &policy.lookups {
        writeln!(out, "{indent}lookups: {}", lookups.to_yaml())?;
    }
    Ok(())
}

fn write_participant(out: &mut String, participant: &Participant) -> std::fmt::Result {
    let roles: Vec<_> = participant.roles.iter().map(|role| role.as_str()).collect();
    writeln!(out, "    roles: [{}]", roles.join(", "))?;
    if let Some(name) = &participant.name {
        writeln!(out, "    name: {name}")?;
    }
    if !participant.former.is_empty() {
        writeln!(out, "    former:  # the founding name first")?;
        for name in &participant.former {
            writeln!(out, "      - {name}")?;
        }
    }
    if !participant.datasets.is_empty() {
        writeln!(out, "    datasets:")?;
        for (id, dataset) in &participant.datasets {
            writeln!(out, "      {}:{}", scalar(id.as_str()), self::dataset(dataset))?;
        }
    }
    match &participant.recipient {
        Some(recipient) => writeln!(out, "    recipient: {}", scalar(recipient))?,
        None if participant.roles.contains(&Role::User) => {
            writeln!(out, "    # recipient: age1...  # reports are encrypted to it; see datafuse keygen --recipient")?;
        }
        None => {}
    }
    match participant.deliver.as_slice() {
        [] => {}
        [one] => writeln!(out, "    deliver: {}", deliver(one))?,
        places => {
            writeln!(out, "    deliver:")?;
            for place in places {
                writeln!(out, "      - {}", deliver(place))?;
            }
        }
    }
    if participant.policy != Policy::default() {
        writeln!(out, "    policy:")?;
        if let Some(min_count) = participant.policy.min_count {
            writeln!(out, "      min_count: {min_count}")?;
        }
        write_rules(out, &participant.policy, "      ")?;
        if !participant.policy.columns.is_empty() {
            writeln!(out, "      columns: {}", aggregates::columns_to_yaml(&participant.policy.columns))?;
        }
    }
    Ok(())
}

/// A dataset in one line where it has nothing but a place.
fn dataset(dataset: &Dataset) -> String {
    let place = location(&dataset.location);
    let mut fields = vec![format!("location: {place}")];
    if let Some(table) = &dataset.table {
        let mut inner: Vec<_> = table.format.iter().map(|format| format!("format: {format}")).collect();
        if !table.columns.is_empty() {
            let columns =
                table.columns.iter().map(|(kind, column)| format!("{}: {}", scalar(kind.as_str()), quoted(column)));
            inner.push(format!("columns: {{ {} }}", columns.collect::<Vec<_>>().join(", ")));
        }
        inner.extend(table.encryption_key_from.iter().map(|name| format!("encryption_key_from: {}", quoted(name))));
        fields.push(format!("table: {{ {} }}", inner.join(", ")));
    }
    fields.extend(dataset.contract.iter().map(|path| format!("contract: {}", scalar(&path.to_string_lossy()))));
    match fields.len() {
        1 => format!(" {{ {} }}", fields[0]),
        _ => fields.iter().map(|field| format!("\n        {field}")).collect(),
    }
}

fn identifier(kind: &Kind) -> String {
    match kind.columns() {
        [column] if column.name == kind.name().as_str() => format!("{{ {} }}", rule(column)),
        columns => {
            let columns: Vec<_> = columns
                .iter()
                .map(|column| format!("{{ name: {}, {} }}", scalar(&column.name), rule(column)))
                .collect();
            format!("{{ columns: [{}] }}", columns.join(", "))
        }
    }
}

fn rule(column: &Column) -> String {
    let profile = column.profile.as_str();
    match &column.default_region {
        Some(region) => format!("profile: {profile}, default_region: {}", scalar(region)),
        None => format!("profile: {profile}"),
    }
}

fn location(location: &Location) -> String {
    match location {
        Location::Path(path) => scalar(&path.to_string_lossy()),
        Location::Url(url) => quoted(url.as_str()),
    }
}

fn deliver(place: &DeliverPlace) -> String {
    match place {
        DeliverPlace::Folder(path) => scalar(&path.to_string_lossy()),
        DeliverPlace::Bucket(url) | DeliverPlace::Endpoint(url) => quoted(url.as_str()),
    }
}

/// Writes a text plainly where nothing but the same text can be read from that, quoted else.
pub(super) fn scalar(text: &str) -> String {
    // Words that some reader of YAML takes for something else than a text.
    const TAKEN: [&str; 10] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
        && !TAKEN.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// Writes a text in double quotes; JSON's escapes are YAML's too.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
