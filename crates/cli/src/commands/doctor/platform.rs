//! What `datafuse doctor` looks at on the platform: the control plane and its token, the space's public key, the connectors'
//! configurations, the secret manager, the log server. Each is asked once and briefly.

use datafuse_space::Space;
use datafuse_workload::{
    directory::{Directory, PlatformDirectory},
    platform::{
        ControlPlane, Environment, LogSink, Patience, PlatformError, SecretManager,
        connector::{ConnectorError, Connectors, DescriptorId},
        control_plane::{Collaborator, Role},
        log_push,
    },
};

use super::{Check, with_remedy};
use crate::args::DoctorArgs;

/// The line that `doctor` leaves on the log server.
const LINE: &str = "datafuse doctor looked whether lines arrive";

/// Looks at everything that the environment names.
pub(super) fn checks(args: &DoctorArgs, environment: &Environment) -> Vec<Check> {
    let mut checks = Vec::new();
    if environment.is_platform() {
        control_plane(args, environment, &mut checks);
        checks.push(secret_manager(environment));
    }
    if let LogSink::Server(_) = environment.log_sink {
        checks.push(match log_push::push_one(environment, LINE, Patience::brief()) {
            Ok(place) => good("log server", format!("{place} took a line")),
            Err(error) => bad("log server", &error),
        });
    }
    checks
}

fn good(what: &'static str, words: impl Into<String>) -> Check {
    Check { what, good: true, words: words.into() }
}

fn bad(what: &'static str, error: &PlatformError) -> Check {
    Check { what, good: false, words: with_remedy(error, error.remedy()) }
}

fn control_plane(args: &DoctorArgs, environment: &Environment, checks: &mut Vec<Check>) {
    let control_plane = match ControlPlane::of(environment) {
        Ok(Some(control_plane)) => control_plane.with_patience(Patience::brief()),
        Ok(None) => {
            let words = "DV_URL is not set: participants and datasets come from the agreement";
            return checks.push(good("control plane", words));
        }
        Err(error) => return checks.push(bad("control plane", &error)),
    };
    let collaborators = match control_plane.collaborators() {
        Ok(collaborators) => collaborators,
        Err(error) => return checks.push(bad("control plane", &error)),
    };
    let accepted: Vec<_> = collaborators.iter().filter(|one| one.accepted && one.role == Role::DataProvider).collect();
    checks.push(good(
        "control plane",
        format!(
            "{} takes the token: {} collaborators, {} of them data providers that have accepted",
            control_plane.place(),
            collaborators.len(),
            accepted.len()
        ),
    ));
    checks.push(match control_plane.public_key() {
        Ok(key) => good("public key", format!("the space has one ({} bytes)", key.len())),
        Err(error) => bad("public key", &error),
    });
    match Connectors::of(environment) {
        Ok(connectors) => {
            let connectors = connectors.with_patience(Patience::brief());
            checks.extend(accepted.iter().flat_map(|one| descriptors(&connectors, one)));
        }
        Err(error) => checks.push(bad("connectors", &error)),
    }
    if let Some(space) = &args.space
        && let Ok(space) = Space::read(space)
    {
        checks.push(taking_part(environment, &space));
    }
}

/// One line for each descriptor: whether its connector can be read.
fn descriptors(connectors: &Connectors, collaborator: &Collaborator) -> Vec<Check> {
    let look = |descriptor: &datafuse_workload::platform::control_plane::Descriptor| {
        let Some(id) = DescriptorId::parse(&descriptor.id) else {
            let words = "a data descriptor has an id that cannot stand in a file name; \
                         try: an id of letters, digits, '_', '-' and '.'";
            return Check { what: "connector", good: false, words: words.to_owned() };
        };
        let text = descriptor.schema.as_ref().and_then(|schema| schema.as_str());
        let schema = text.map_or_else(|| descriptor.schema.clone(), |text| serde_json::from_str(text).ok());
        let models = schema.as_ref().and_then(|schema| schema.as_object());
        let models: Vec<&str> = models.into_iter().flat_map(|models| models.keys().map(String::as_str)).collect();
        match connectors.read(&id, descriptor.connector.as_deref(), &models) {
            Ok(connected) => good("connector", format!("{}: {}", id.as_str(), connected.source)),
            Err(ConnectorError::Service(error)) => bad("connector", &error),
            Err(ConnectorError::Problem(problem)) => {
                let words = format!("{}: {problem}; try: {}", id.as_str(), problem.remedy());
                Check { what: "connector", good: false, words }
            }
        }
    };
    collaborator.descriptors.iter().map(look).collect()
}

/// Whether the platform and the agreement fit together.
fn taking_part(environment: &Environment, space: &Space) -> Check {
    let found = PlatformDirectory::of(environment).and_then(|directory| match directory {
        Some(directory) => directory.holders(space),
        None => Ok(Vec::new()),
    });
    match found {
        Ok(holders) => {
            let all: Vec<_> = space.holders().map(|(id, _)| id).collect();
            let taking_part: Vec<_> = holders.iter().map(|holder| &holder.id).collect();
            let away: Vec<_> = all.iter().filter(|id| !taking_part.contains(id)).map(|id| id.as_str()).collect();
            let mut words = format!("{} of {} holders of the agreement", taking_part.len(), all.len());
            if !away.is_empty() {
                words.push_str(&format!("; not accepted on the platform: {}", away.join(", ")));
            }
            good("taking part", words)
        }
        Err(error) => Check { what: "taking part", good: false, words: with_remedy(&error, error.remedy()) },
    }
}

fn secret_manager(environment: &Environment) -> Check {
    let manager = SecretManager::of(environment).with_patience(Patience::brief());
    match manager.is_there() {
        Ok(()) => good("secret manager", format!("{} answers", manager.place())),
        Err(error) => bad("secret manager", &error),
    }
}
