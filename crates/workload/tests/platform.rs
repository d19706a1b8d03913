//! The workload against a server that speaks the platform's API, and against servers that do not.
#![allow(clippy::unwrap_used, missing_docs)]

mod platform_server;

use std::{collections::BTreeSet, time::Duration};

use datafuse_core::{id::ParticipantId, keys::PartyKeys, kind::Kind, name::PublicName, normalize::Profile};
use datafuse_engine::dataset::{Format, Source};
use datafuse_space::{Draft, Space};
use datafuse_workload::{
    Error,
    directory::{self, ContractPlace, Directory, PlatformDirectory},
    platform::{ControlPlane, Environment, Patience, PlatformError, PlatformSigner, SecretManager, error::Trouble},
};
use platform_server::{Answer, PUBLIC_KEY, Platform, Server, descriptor, provider};
use serde_json::{Value, json};
use tempfile::TempDir;

const TOKEN: &str = "token-hunter2";
const KEY: &str = "hunter2hunter2hunter2hunter2abcd";

/// A space of `acme` and `globex`, on the platform.
struct World {
    folder: TempDir,
    server: Server,
    space: Space,
}

fn name(seed: u8) -> PublicName {
    use rand_core::SeedableRng;
    PartyKeys::generate(&mut rand_chacha::ChaCha20Rng::from_seed([seed; 32])).identity().public_name()
}

fn space() -> Space {
    let mut draft = Draft::new("retail".parse().unwrap(), name(9));
    draft.holders = vec![("acme".parse().unwrap(), name(1)), ("globex".parse().unwrap(), name(2))];
    draft.kinds = vec![Kind::single("email".parse().unwrap(), Profile::EmailV1, None)];
    Space::found(draft, [7; 32]).unwrap()
}

impl World {
    fn new(collaborators: Value) -> Self {
        Self::answering(move |request| {
            let (space, token) = ("space-1".to_owned(), TOKEN.to_owned());
            Platform { space, token, collaborators: collaborators.clone(), ..Platform::default() }.answer(request)
        })
    }

    fn answering(answer: impl Fn(&platform_server::Request) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("data")).unwrap();
        Self { folder, server: Server::start(answer), space: space() }
    }

    fn environment(&self) -> Environment {
        let url = self.server.url();
        Environment::from_source(|name| match name {
            "DV_APP_ID" => Some("space-1".to_owned()),
            "DV_URL" => Some(format!("{url}/api/")),
            "DV_TOKEN" => Some(TOKEN.to_owned()),
            "SECRET_MANAGER_URL" => Some(url.clone()),
            "DATA_CONNECTOR_CONFIG_LOCATION" => Some(self.folder.path().join("data").display().to_string()),
            "DATAFUSE_CONNECTOR_FILES" => Some(self.folder.path().display().to_string()),
            _ => None,
        })
        .unwrap()
    }

    fn configure(&self, id: &str, keys: Value) {
        let path = self.folder.path().join("data").join(format!("configuration_{id}.json"));
        std::fs::write(path, json!({ "connectorKeys": keys }).to_string()).unwrap();
    }

    fn directory(&self) -> PlatformDirectory {
        PlatformDirectory::of(&self.environment()).unwrap().unwrap()
    }

    /// Says more about the dataset of `acme` in the agreement.
    fn agree(&mut self, more: &str) {
        let text = self.space.to_yaml();
        let place = "location: datasets/acme.parquet";
        assert!(text.contains(place), "{text}");
        self.space = Space::parse(&text.replace(place, &format!("{place}, {more}"))).unwrap();
    }
}

/// What an error shows, in every way that there is.
fn shown(error: &dyn std::error::Error, remedy: Option<String>) -> String {
    let mut text = format!("{error} {error:?} {remedy:?}");
    let mut below = error.source();
    while let Some(cause) = below {
        text.push_str(&format!("{cause} {cause:?}"));
        below = cause.source();
    }
    assert!(!text.contains("hunter2"), "{text}");
    text
}

#[track_caller]
fn refused(result: datafuse_workload::Result<Vec<directory::Holder>>) -> PlatformError {
    let error = result.unwrap_err();
    assert!(error.remedy().is_some(), "{error}");
    shown(&error, error.remedy());
    match error {
        Error::Platform(error) => *error,
        other => panic!("{other}"),
    }
}

#[test]
fn accepted_providers_of_the_agreement_take_part_with_what_their_connectors_say() {
    let world = World::new(json!([
        provider("ACME", "Accepted", json!([descriptor("d-1", "Clients", "File")])),
        provider("globex", "Accepted", json!([descriptor("d-2", "customers", "S3"), descriptor("d-3", "orders", "S3")])),
        provider("initech", "Accepted", json!([descriptor("d-4", "customers", "S3")])),
        { "clientId": "insights", "role": "DataConsumer", "invite": { "status": "Accepted" } },
        { "clientId": null, "role": "CodeProvider", "invite": null, "dataDescriptors": null },
    ]));
    world.configure("d-1", json!({ "url": "https://files.example/acme.parquet", "file_format": "parquet" }));
    let s3 =
        json!({ "location": "s3://bucket/{model}.parquet", "region": "eu-west-1", "key_id": "A", "secret": "hunter2" });
    world.configure("d-2", s3);

    let holders = world.directory().holders(&world.space).unwrap();
    assert!(!format!("{holders:?}").contains("hunter2"));
    let places: Vec<_> = holders.iter().map(|holder| (holder.id.as_str(), &holder.datasets[..])).collect();
    let [("acme", [acme]), ("globex", [globex])] = &places[..] else { panic!("{places:?}") };
    assert_eq!(holders[0].name, name(1));
    assert_eq!(acme.source.to_string(), "https://files.example/acme.parquet");
    assert_eq!((acme.format, acme.dataset.as_str()), (Some(Format::Parquet), "customers"));
    assert_eq!(globex.source.to_string(), "s3://bucket/customers.parquet");
    let Some(ContractPlace::Descriptor(schema)) = &globex.contract else { panic!("{:?}", globex.contract) };
    assert_eq!(schema["customers"]["fields"]["email"]["required"], json!(true));

    let [asked] = &world.server.asked()[..] else { panic!("one call") };
    assert_eq!(asked.path, "/api/collaborationSpaces/space-1/collaborators");
    assert_eq!(asked.header("authorization"), format!("Bearer {TOKEN}"));
}

#[test]
fn the_list_is_asked_for_once_for_events_that_follow_each_other() {
    let world = World::new(json!([]));
    let directory = world.directory();
    for _ in 0..3 {
        assert!(directory.holders(&world.space).unwrap().is_empty());
    }
    assert_eq!(world.server.asked().len(), 1);
}

#[test]
fn who_has_not_accepted_does_not_take_part_and_is_named_where_an_event_names_it() {
    let world = World::new(json!([
        provider("acme", "Accepted", json!([descriptor("d-1", "customers", "File")])),
        provider("globex", "Pending", json!([descriptor("../../d-2", "customers", "File")])),
    ]));
    world.configure("d-1", json!({ "url": "acme.parquet" }));
    let directory = world.directory();
    let holders = directory.holders(&world.space).unwrap();
    assert_eq!(holders.len(), 1);
    assert_eq!(holders[0].datasets[0].source, Source::Path(world.folder.path().join("acme.parquet")));
    let named: BTreeSet<ParticipantId> = ["globex".parse().unwrap()].into();
    let error = refused(directory.holders_among(&world.space, Some(&named)));
    assert!(matches!(&error, PlatformError::NotAccepted { holder } if holder.as_str() == "globex"));
    assert!(error.is_retryable());
}

#[test]
fn what_others_bring_is_not_looked_at_where_an_event_names_holders() {
    let world = World::new(json!([
        provider("acme", "Accepted", json!([descriptor("d-1", "customers", "File")])),
        provider("globex", "Accepted", json!([descriptor("d-2", "customers", "Unheard")])),
    ]));
    world.configure("d-1", json!({ "url": "acme.parquet" }));
    let directory = world.directory();
    assert!(matches!(refused(directory.holders(&world.space)), PlatformError::Connector { .. }));
    let named: BTreeSet<ParticipantId> = ["acme".parse().unwrap()].into();
    assert_eq!(directory.holders_among(&world.space, Some(&named)).unwrap().len(), 1);
}

#[test]
fn descriptors_are_matched_by_id_before_name_and_what_fits_nowhere_is_an_error() {
    let holders = |descriptors: Value| {
        let world = World::new(json!([provider("acme", "Accepted", descriptors)]));
        for id in ["customers", "d-1", "d-2", "Customers"] {
            world.configure(id, json!({ "url": format!("{id}.parquet") }));
        }
        let holders = world.directory().holders(&world.space);
        holders.map(|holders| holders[0].datasets[0].source.to_string().rsplit('/').next().unwrap().to_owned())
    };
    let refused = |descriptors| match holders(descriptors) {
        Err(Error::Platform(error)) => shown(&*error, error.remedy()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        holders(json!([descriptor("d-1", "customers", "File"), descriptor("customers", "x", "File")])).unwrap(),
        "customers.parquet"
    );
    assert_eq!(
        holders(json!([descriptor("d-1", "x", "File"), descriptor("d-2", " Customers ", "File")])).unwrap(),
        "d-2.parquet"
    );
    assert_eq!(holders(json!([descriptor("d-1", "anything", "File")])).unwrap(), "d-1.parquet");
    let twice = refused(json!([descriptor("d-1", "customers", "File"), descriptor("d-2", "CUSTOMERS", "File")]));
    assert!(twice.contains("both dataset 'customers'"), "{twice}");
    let none = refused(json!([descriptor("d-1", "x", "File"), descriptor("d-2", "y", "File")]));
    assert!(none.contains("the agreement has customers, the platform d-1, d-2"), "{none}");
    assert!(refused(json!([])).contains("the platform none"));
    assert!(refused(json!(null)).contains("the platform none"));
    for id in ["../../../etc/hunter2", "a/b", "", ".x"] {
        assert!(refused(json!([descriptor(id, "customers", "File")])).contains("cannot stand in a file name"), "{id}");
    }
    let twice = World::new(json!([provider("acme", "Accepted", json!([])), provider("ACME", "Accepted", json!([]))]));
    assert!(
        matches!(twice.directory().holders(&twice.space), Err(Error::Platform(error)) if error.class() == "collaborator-twice")
    );
}

#[test]
fn a_schema_is_an_object_or_the_text_of_one() {
    let world = |schema: Value| {
        let mut described = descriptor("d-1", "customers", "File");
        described["schema"] = schema;
        let world = World::new(json!([provider("acme", "Accepted", json!([described]))]));
        world.configure("d-1", json!({ "url": "acme.parquet" }));
        world.directory().holders(&world.space).map(|holders| holders[0].datasets[0].contract.clone())
    };
    let object = ContractPlace::Descriptor(json!({ "customers": { "type": "table" } }));
    assert_eq!(world(json!({ "customers": { "type": "table" } })).unwrap(), Some(object.clone()));
    assert_eq!(world(json!(r#"{"customers": {"type": "table"}}"#)).unwrap(), Some(object));
    assert_eq!(world(json!("")).unwrap(), None);
    assert_eq!(world(Value::Null).unwrap(), None);
    for schema in [json!("hunter2"), json!("[]"), json!([]), json!(7), json!("{")] {
        let Err(Error::Platform(error)) = world(schema) else { panic!("refused") };
        assert_eq!(error.class(), "descriptor-schema");
        shown(&*error, error.remedy());
    }
}

#[test]
fn the_agreements_contract_counts_where_the_descriptor_has_no_schema() {
    let contract = |schema: Value| {
        let mut described = descriptor("d-1", "customers", "File");
        described["schema"] = schema;
        let mut world = World::new(json!([provider("acme", "Accepted", json!([described]))]));
        world.configure("d-1", json!({ "url": "acme.parquet" }));
        world.agree("contract: contracts/customers.yaml");
        world.directory().holders(&world.space).unwrap().remove(0).datasets.remove(0).contract
    };
    let Some(ContractPlace::File(path)) = contract(Value::Null) else { panic!("a file") };
    assert!(path.ends_with("contracts/customers.yaml"), "{}", path.display());
    assert!(matches!(contract(json!({ "customers": {} })), Some(ContractPlace::Descriptor(_))));
}

#[test]
fn an_encrypted_table_needs_the_agreements_word() {
    let mut world = World::new(json!([provider("acme", "Accepted", json!([descriptor("d-1", "customers", "File")]))]));
    world.configure("d-1", json!({ "url": "acme.parquet", "file_format": "parquet", "encryption_key": KEY }));
    let error = refused(world.directory().holders(&world.space));
    let text = shown(&error, error.remedy());
    assert!(matches!(error, PlatformError::TableNotAllowed { .. }));
    assert!(text.contains("encryption_key") && text.contains("table: {}"), "{text}");
    world.agree("table: {}");
    let place = world.directory().holders(&world.space).unwrap().remove(0).datasets.remove(0);
    assert!(place.table.is_some());
    assert_eq!(place.parquet_key, Some(KEY.parse().unwrap()));
    assert!(!format!("{place:?}").contains("hunter2"));
}

#[test]
fn of_several_models_the_one_with_the_datasets_name_is_matched() {
    let mut described = descriptor("d-1", "x", "File");
    described["schema"] = json!({ "Customers": {}, "orders": {} });
    let world = World::new(json!([provider("acme", "Accepted", json!([described.clone()]))]));
    world.configure("d-1", json!({ "url": "data/{model}.parquet" }));
    let place = world.directory().holders(&world.space).unwrap().remove(0).datasets.remove(0);
    assert!(place.source.to_string().ends_with("data/{model}.parquet"));
    let matched = place.for_matching(&"acme".parse().unwrap()).unwrap();
    assert!(matched.source.to_string().ends_with("data/Customers.parquet"), "{}", matched.source);

    described["schema"] = json!({ "clients": {}, "orders": {} });
    let world = World::new(json!([provider("acme", "Accepted", json!([described]))]));
    world.configure("d-1", json!({ "url": "data/{model}.parquet" }));
    let place = world.directory().holders(&world.space).unwrap().remove(0).datasets.remove(0);
    let error = place.for_matching(&"acme".parse().unwrap()).unwrap_err();
    assert_eq!(error.class(), "which-model", "{error}");
}

#[test]
fn a_connector_that_is_not_configured_yet_is_tried_again_and_a_wrong_one_is_not() {
    let world = World::new(json!([provider("acme", "Accepted", json!([descriptor("d-1", "customers", "File")]))]));
    let error = refused(world.directory().holders(&world.space));
    assert!(error.is_retryable() && error.to_string().contains("configuration_d-1.json"), "{error}");
    std::fs::write(world.folder.path().join("data/configuration_d-1.json"), "{\"connectorKeys\": hunter2").unwrap();
    let error = refused(world.directory().holders(&world.space));
    assert!(!error.is_retryable() && error.to_string().contains("line 1"), "{error}");
}

#[test]
fn configurations_may_come_from_a_server() {
    let world = World::answering(|request| match request.path.as_str() {
        "/api/collaborationSpaces/space-1/collaborators" => Answer::Json(json!([
            provider("acme", "Accepted", json!([descriptor("d-1", "customers", "File")])),
            provider("globex", "Accepted", json!([descriptor("d-2", "customers", "File")])),
        ])),
        "/connectors/configuration_d-1.json" => {
            Answer::Json(json!({ "connectorKeys": { "url": "https://files.example/a" } }))
        }
        _ => Answer::Status(404),
    });
    let url = world.server.url();
    let environment = Environment::from_source(|name| match name {
        "DV_APP_ID" => Some("space-1".to_owned()),
        "DV_URL" => Some(format!("{url}/api")),
        "DV_TOKEN" => Some(TOKEN.to_owned()),
        "DATA_CONNECTOR_CONFIG_LOCATION" => Some(format!("{url}/connectors")),
        _ => None,
    });
    let directory = PlatformDirectory::of(&environment.unwrap()).unwrap().unwrap();
    let acme: BTreeSet<ParticipantId> = ["acme".parse().unwrap()].into();
    let holders = directory.holders_among(&world.space, Some(&acme)).unwrap();
    assert_eq!(holders[0].datasets[0].source.to_string(), "https://files.example/a");
    let error = refused(directory.holders(&world.space));
    assert!(error.to_string().contains("configuration_d-2.json") && error.is_retryable(), "{error}");
    // The token is the control plane's alone.
    assert!(world.server.asked_for("/connectors/configuration_d-1.json")[0].header("authorization").is_empty());
}

/// What a server of the platform does wrong, and what comes of it.
fn wrongs() -> Vec<(Answer, bool, &'static str)> {
    vec![
        (Answer::Status(401), false, "status 401"),
        (Answer::Status(404), false, "status 404"),
        (Answer::Status(500), true, "status 500"),
        (Answer::Status(429), true, "status 429"),
        (Answer::Redirect("http://169.254.169.254/latest/meta-data/hunter2".to_owned()), false, "redirects"),
        (Answer::Redirect("http://127.0.0.1:1/hunter2".to_owned()), false, "redirects"),
        (Answer::Hang, true, "no answer within"),
        (Answer::Announced(10), true, "no answer within"),
        (Answer::Announced(1 << 40), false, "larger than"),
        (Answer::Endless, false, "larger than"),
        (Answer::BrokenOff, true, "broke off"),
        (Answer::Noise, true, "broke off"),
    ]
}

#[test]
fn a_control_plane_that_misbehaves_costs_bounded_time_and_says_no_secret() {
    let more = [
        (Answer::Text("hunter2".to_owned()), false, "not a JSON list"),
        (Answer::Json(json!({ "error": "hunter2" })), false, "not a JSON list"),
        (Answer::Json(json!([{ "clientId": { "hunter2": 1 } }])), false, "not a JSON list"),
        (Answer::Json(json!(["hunter2"])), false, "not a JSON list"),
        (Answer::Text(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), false, "not a JSON list"),
        (Answer::Json(Value::Array(vec![json!({}); 10_001])), false, "more than 10000"),
    ];
    for (answer, retryable, words) in wrongs().into_iter().chain(more) {
        let said = format!("{answer:.60?}");
        let world = World::answering(move |_| answer.clone());
        let patience = Patience { connect: Duration::from_millis(500), total: Duration::from_millis(1500) };
        let control_plane = ControlPlane::of(&world.environment()).unwrap().unwrap().with_patience(patience);
        let error = control_plane.collaborators().unwrap_err();
        let text = shown(&error, error.remedy());
        assert!(text.contains(words), "{said}: {text}");
        assert_eq!(error.is_retryable(), retryable, "{said}: {text}");
        // Nothing was sent anywhere else.
        assert_eq!(world.server.asked().len(), 1, "{said}");
    }
}

#[test]
fn a_control_plane_that_is_down_is_tried_again() {
    let world = World::new(json!([]));
    let mut environment = world.environment();
    drop(world.server);
    environment.control_plane = Some("http://127.0.0.1:1/".parse().unwrap());
    let error = refused(directory::of(&environment).unwrap().holders(&world.space));
    assert!(matches!(&error, PlatformError::Service { trouble: Trouble::Unreachable { .. }, .. }), "{error}");
    assert!(error.is_retryable());
}

#[test]
fn the_directory_is_the_agreement_away_from_the_platform() {
    let empty = Environment::from_source(|_| None).unwrap();
    let holders = directory::of(&empty).unwrap().holders(&space()).unwrap();
    assert_eq!(holders.len(), 2);
    let only_a_space = Environment::from_source(|name| (name == "DV_APP_ID").then(|| "space-1".to_owned())).unwrap();
    assert_eq!(directory::of(&only_a_space).unwrap().holders(&space()).unwrap().len(), 2);
    let no_token = Environment::from_source(|name| match name {
        "DV_APP_ID" => Some("space-1".to_owned()),
        "DV_URL" => Some("https://api.example".to_owned()),
        _ => None,
    });
    let Err(Error::Platform(error)) = directory::of(&no_token.unwrap()) else { panic!("refused") };
    assert!(error.to_string().contains("DV_TOKEN") && error.remedy().is_some());
}

#[test]
fn the_public_key_of_the_space_comes_as_text_or_json() {
    let world = World::new(json!([]));
    let control_plane = ControlPlane::of(&world.environment()).unwrap().unwrap();
    assert_eq!(control_plane.public_key().unwrap(), PUBLIC_KEY);
    for (answer, expected) in [
        (Answer::Json(json!(PUBLIC_KEY)), Some(PUBLIC_KEY)),
        (Answer::Json(json!({ "kty": "RSA" })), Some(r#"{"kty":"RSA"}"#)),
        (Answer::Json(Value::Null), None),
        (Answer::Text(" ".to_owned()), None),
        (Answer::Bytes(vec![0xff; 10]), None),
        (Answer::Text("x".repeat(100_000)), None),
    ] {
        let world = World::answering(move |_| answer.clone());
        let key = ControlPlane::of(&world.environment()).unwrap().unwrap().public_key();
        assert_eq!(key.as_ref().ok().map(String::as_str), expected);
    }
}

#[test]
fn the_secret_manager_signs_and_decrypts() {
    let world = World::new(json!([]));
    let manager = SecretManager::of(&world.environment());
    assert_eq!(manager.sign(b"report").unwrap().as_str(), "signature-of-6-bytes");
    let binary = b"sealed:\r\n--datafuse-part-0000000000000000\r\n";
    assert_eq!(&**manager.decrypt(binary).unwrap(), b"\r\n--datafuse-part-0000000000000000\r\n");
    let error = manager.decrypt(b"hunter2").unwrap_err();
    assert!(shown(&error, error.remedy()).contains("status 400"));
    manager.is_there().unwrap();
    let text = World::answering(|_| Answer::Text("plain".to_owned()));
    assert_eq!(&**SecretManager::of(&text.environment()).decrypt(b"x").unwrap(), b"plain");
    let error = manager.decrypt(&vec![0; (8 << 20) + 1]).unwrap_err();
    assert!(matches!(error, PlatformError::TooLargeToSend { .. }));
}

#[test]
fn a_secret_manager_that_misbehaves_costs_bounded_time_and_says_no_secret() {
    for (answer, retryable, words) in wrongs() {
        let said = format!("{answer:.60?}");
        let world = World::answering(move |_| answer.clone());
        let patience = Patience { connect: Duration::from_millis(500), total: Duration::from_millis(1500) };
        let manager = SecretManager::of(&world.environment()).with_patience(patience);
        let error = manager.decrypt(b"hunter2").unwrap_err();
        let text = shown(&error, error.remedy());
        assert!(text.contains(words), "{said}: {text}");
        assert_eq!(error.is_retryable(), retryable, "{said}: {text}");
    }
    for answer in [Answer::Json(json!({ "hunter2": 1 })), Answer::Text(" ".to_owned()), Answer::Bytes(vec![0xff])] {
        let world = World::answering(move |_| answer.clone());
        let error = SecretManager::of(&world.environment()).sign(b"x").unwrap_err();
        shown(&error, error.remedy());
    }
}
