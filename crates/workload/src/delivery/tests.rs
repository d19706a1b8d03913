//! Deliveries of a workload to folders, real endpoints and emulated buckets. The report is made by hand; nothing is matched.
//!
//! Buckets are those of `tests/emulators.py`; without it those tests only say so.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../../tests/endpoint_server/mod.rs"]
mod endpoint_server;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use datafuse_core::{id::Epoch, keys::PartyKeys, kind::Kind, normalize::Profile};
use datafuse_engine::{
    dataset::{Bucket, BucketAddress, BucketSettings},
    match_table::{HolderSet, MatchTable},
    report::{KindInputs, Provenance, Report, ReportInputs, RowCounts, Threshold},
    runtime::Limits,
    signed_report::{
        AgeRecipient, ENVELOPE_TYPE, RECEIPT_JSON, REPORT_AGE, REPORT_DSSE, REPORT_HTML, REPORT_JSON, Readers, Receipt,
        SignedReport, encrypted,
    },
};
use datafuse_space::{Draft, Space};
use endpoint_server::{Answer, Endpoint};
use serde_json::Map;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::*;
use crate::{Options, report_folder};

const EVENT: &str = "01J8ZQ4X7M6V9K3T2N1B0C5D7E";
const TOKEN: &str = "hunter2hunter2";

/// A workload with a finished report.
struct World {
    folder: TempDir,
    places: Vec<String>,
    settings: DeliverySettings,
    allow_hosts: Vec<String>,
}

impl World {
    fn new(places: &[&str]) -> Self {
        let mut settings = DeliverySettings::default();
        settings.patience = Patience {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(5),
            first_pause: Duration::from_millis(5),
            total: Duration::from_secs(5),
        };
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            places: places.iter().map(|&place| place.to_owned()).collect(),
            settings,
            allow_hosts: vec!["localhost".to_owned()],
        };
        let report = world.report();
        write_signed(&report, &world.outputs());
        world
    }

    /// With an endpoint for the user, which is trusted and asks for a token.
    fn with_endpoint(endpoint: &Endpoint) -> Self {
        let mut world = Self::new(&[&endpoint.url]);
        world.trust(endpoint);
        world
    }

    fn trust(&mut self, endpoint: &Endpoint) {
        let token = ("DATAFUSE_DELIVERY_TOKEN_INSIGHTS".to_owned(), Zeroizing::new(TOKEN.to_owned()));
        let mut settings = DeliverySettings::from_variables([token].into_iter(), BucketSettings::default());
        settings.patience = self.settings.patience;
        settings.ca_file = endpoint.ca_file.clone();
        self.settings = settings;
    }

    fn report(&self) -> Report {
        report(self.workload().root().to_string())
    }

    fn outputs(&self) -> PathBuf {
        self.folder.path().join("outputs").join(EVENT)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn space(&self) -> Space {
        let mut draft = Draft::new("retail-2026".parse().unwrap(), keys(1).identity().public_name());
        draft.holders = [("acme", 2), ("globex", 3)]
            .map(|(id, seed)| (id.parse().unwrap(), keys(seed).identity().public_name()))
            .into();
        draft.users = vec![user()];
        draft.kinds = vec![Kind::single("email".parse().unwrap(), Profile::EmailV1, None)];
        let yaml = Space::found(draft, [7; 32]).unwrap().to_yaml();
        let places: Vec<_> = self.places.iter().map(|place| format!("'{place}'")).collect();
        let deliver = format!("    roles: [user]\n    deliver: [{}]\n", places.join(", "));
        Space::parse(&yaml.replacen("    roles: [user]\n", &deliver, 1)).unwrap().in_folder(self.folder.path())
    }

    fn workload(&self) -> Workload {
        let options = Options {
            limits: Limits::default(),
            outputs: None,
            state: None,
            allow_hosts: self.allow_hosts.clone(),
            delivery: self.settings.clone(),
        };
        Workload::open(self.space(), keys(1), options).unwrap()
    }

    /// Delivers as a process that was started for it would.
    fn deliver(&self) -> Result<Vec<Arrival>> {
        let event = Event::new(EVENT.parse().unwrap(), "CHECK_COMMON_CUSTOMERS", Map::new(), None).unwrap();
        let delivered = deliver(&mut self.workload(), &event, &self.outputs(), &[])?;
        Ok(delivered.into_iter().map(|delivered| delivered.arrival).collect())
    }

    /// As [`deliver`](Self::deliver), where it fails: the error, which shows no secret.
    fn failure(&self) -> DeliveryError {
        match self.deliver().unwrap_err() {
            Error::Delivery(error) => {
                let shown = format!("{error} {error:?} {:?}", error.remedy());
                assert!(!shown.contains(TOKEN) && error.remedy().is_some(), "{shown}");
                *error
            }
            other => panic!("{other}"),
        }
    }

    /// Plays a crash after the place had the report and before that was noted.
    fn forget(&self) {
        let db = rusqlite::Connection::open(self.path("state/state.db")).unwrap();
        assert!(db.execute("DELETE FROM delivery", []).unwrap() > 0);
    }
}

fn keys(seed: u64) -> PartyKeys {
    /// Randomness of a seed, for keys that are the same each time.
    struct Seeded(u64);
    impl rand_core::TryRng for Seeded {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> std::result::Result<u32, Self::Error> {
            self.try_next_u64().map(|word| (word >> 32) as u32)
        }
        fn try_next_u64(&mut self) -> std::result::Result<u64, Self::Error> {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            Ok(word ^ (word >> 31))
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), Self::Error> {
            for chunk in bytes.chunks_mut(8) {
                chunk.copy_from_slice(&self.try_next_u64()?.to_le_bytes()[..chunk.len()]);
            }
            Ok(())
        }
    }
    impl rand_core::TryCryptoRng for Seeded {}
    PartyKeys::generate(&mut Seeded(seed))
}

fn user() -> ParticipantId {
    "insights".parse().unwrap()
}

fn write_signed(report: &Report, folder: &Path) {
    write_signed_for(vec![user()], report, folder);
}

fn write_signed_for(users: Vec<ParticipantId>, report: &Report, folder: &Path) {
    let (json, html, readers) = (report.to_json_pretty(), b"<html>", Readers::in_clear(users));
    let signed =
        SignedReport::sign(report, json.as_bytes(), Some(html), &[], readers.clone(), keys(1).identity()).unwrap();
    let receipt = Receipt::sign(report, readers, &signed, &[], None, keys(1).identity()).unwrap();
    write_files(
        folder,
        &[(REPORT_JSON, json.as_bytes()), (REPORT_HTML, html), (REPORT_DSSE, &signed), (RECEIPT_JSON, &receipt)],
    );
}

/// Encrypted to a recipient of whom nobody has the identity.
fn write_encrypted(report: &Report, folder: &Path) {
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".to_owned();
    let readers = Readers { users: vec![user()], encrypted_to: vec![AgeRecipient { user: user(), recipient }] };
    let json = report.to_json_pretty();
    let signed = SignedReport::sign(report, json.as_bytes(), None, &[], readers.clone(), keys(1).identity()).unwrap();
    let bytes = encrypted::encrypt(&signed, &readers.encrypted_to).unwrap();
    let receipt = Receipt::sign(report, readers, &bytes, &[], None, keys(1).identity()).unwrap();
    write_files(folder, &[(REPORT_AGE, &bytes), (RECEIPT_JSON, &receipt)]);
}

fn write_files(folder: &Path, files: &[(&str, &[u8])]) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

fn report(root: String) -> Report {
    let holders: Vec<ParticipantId> = ["acme", "globex"].map(|id| id.parse().unwrap()).into();
    let rows = holders.iter().map(|id| (id.clone(), RowCounts { rows: 3, ..RowCounts::default() })).collect();
    let table = MatchTable::new(holders, [(HolderSet::new(2, [0, 1]), 2), (HolderSet::new(2, [0]), 1)]);
    Report::build(ReportInputs {
        rules: Vec::new(),
        kinds: vec![KindInputs { kind: "email".parse().unwrap(), table, rows }],
        threshold: Threshold::default(),
        provenance: Provenance {
            space: "retail-2026".parse().unwrap(),
            root,
            epoch: Epoch(1),
            event: EVENT.parse().unwrap(),
            event_type: "CHECK_COMMON_CUSTOMERS".to_owned(),
            answered_from: None,
            datasets: Vec::new(),
            datafuse: "0.1.0".to_owned(),
            at: "2026-11-25T12:00:00Z".to_owned(),
        },
    })
    .unwrap()
}

fn status(status: u16) -> Answer {
    Answer::Status(status, Vec::new())
}

// ---- folders --------------------------------------------------------------------------------------------------------

#[test]
fn a_folder_gets_the_signed_files_and_keeps_them_when_the_event_comes_again() {
    let world = World::new(&["delivered"]);
    fs::create_dir(world.path("delivered")).unwrap();
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent]);
    let there = world.path("delivered").join(EVENT);
    for name in FileSet::Clear.names() {
        assert_eq!(fs::read(there.join(name)).unwrap(), fs::read(world.outputs().join(name)).unwrap(), "{name}");
    }
    assert_eq!(world.deliver().unwrap(), [Arrival::NotedBefore]);
    let written = || fs::metadata(there.join(REPORT_DSSE)).unwrap().modified().unwrap();
    let before = written();
    world.forget();
    assert_eq!(world.deliver().unwrap(), [Arrival::WasThere]);
    assert_eq!(written(), before);
    assert_eq!(fs::read_dir(world.path("delivered")).unwrap().count(), 1);
}

#[test]
fn what_a_crash_left_half_written_in_a_folder_is_replaced() {
    let world = World::new(&["delivered"]);
    let part = world.path("delivered").join(format!(".{EVENT}.part"));
    fs::create_dir_all(&part).unwrap();
    fs::write(part.join(REPORT_JSON), "half").unwrap();
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent]);
    assert_eq!(fs::read_dir(world.path("delivered")).unwrap().count(), 1);
    let found = report_folder::find(
        &world.path("delivered").join(EVENT),
        &EVENT.parse().unwrap(),
        world.workload().root(),
        &world.workload().signers(),
    );
    assert!(matches!(found, Ok(report_folder::Found::Report { .. })));
}

#[test]
fn a_folder_that_is_not_there_is_waited_for_and_never_made() {
    let world = World::new(&["delivered"]);
    let error = world.failure();
    assert!(matches!(error, DeliveryError::Folder { action: "find", .. }) && error.is_retryable(), "{error}");
    assert!(!world.path("delivered").exists());
}

#[test]
fn another_report_in_a_folder_is_never_overwritten() {
    let world = World::new(&["delivered"]);
    let there = world.path("delivered").join(EVENT);
    fs::create_dir_all(&there).unwrap();
    for name in FileSet::Clear.names() {
        fs::copy(world.outputs().join(name), there.join(name)).unwrap();
    }
    fs::write(there.join(REPORT_JSON), "altered").unwrap();
    let error = world.failure();
    assert!(matches!(error, DeliveryError::InTheWay { .. }) && !error.is_retryable(), "{error}");
    assert_eq!(fs::read(there.join(REPORT_JSON)).unwrap(), b"altered");
}

#[test]
fn the_report_of_another_space_is_not_taken_for_this_ones() {
    let world = World::new(&["delivered"]);
    write_signed(&report("9b".repeat(32)), &world.path("delivered").join(EVENT));
    assert!(matches!(world.failure(), DeliveryError::InTheWay { .. }));
}

#[test]
fn the_report_of_another_user_is_not_taken_for_this_ones() {
    let world = World::new(&["delivered"]);
    let there = world.path("delivered").join(EVENT);
    write_signed_for(vec!["press".parse().unwrap()], &world.report(), &there);
    assert!(matches!(world.failure(), DeliveryError::InTheWay { .. }));
    write_signed(&world.report(), &there);
    assert_eq!(world.deliver().unwrap(), [Arrival::WasThere]);
}

#[test]
fn an_encrypted_report_goes_as_it_is_with_its_receipt_and_nothing_readable() {
    let endpoint = Endpoint::careful();
    let mut world = World::new(&["delivered", &endpoint.url]);
    world.trust(&endpoint);
    write_encrypted(&world.report(), &world.outputs());
    fs::create_dir(world.path("delivered")).unwrap();
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent, Arrival::Sent]);
    let there = world.path("delivered").join(EVENT);
    let of = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    for name in [RECEIPT_JSON, REPORT_AGE] {
        assert_eq!(of(&there, name), of(&world.outputs(), name), "{name}");
    }
    assert_eq!(fs::read_dir(&there).unwrap().count(), 2);
    let requests = endpoint.requests();
    assert_eq!((requests.len(), requests[0].headers["content-type"].as_str()), (1, "application/vnd.age"));
    assert_eq!(requests[0].body, of(&world.outputs(), REPORT_AGE));
    world.forget();
    assert_eq!(world.deliver().unwrap(), [Arrival::WasThere, Arrival::WasThere]);
}

#[test]
fn a_report_in_clear_where_an_encrypted_one_belongs_is_in_the_way_and_the_other_way_round() {
    for encrypted_there in [false, true] {
        let world = World::new(&["delivered"]);
        let there = world.path("delivered").join(EVENT);
        let write = |encrypted: bool| if encrypted { write_encrypted } else { write_signed };
        write(encrypted_there)(&world.report(), &there);
        write(!encrypted_there)(&world.report(), &world.outputs());
        assert!(matches!(world.failure(), DeliveryError::InTheWay { .. }));
    }
    // Encrypted, with the same in clear beside it.
    let world = World::new(&["delivered"]);
    let there = world.path("delivered").join(EVENT);
    write_encrypted(&world.report(), &there);
    fs::copy(world.outputs().join(REPORT_JSON), there.join(REPORT_JSON)).unwrap();
    write_encrypted(&world.report(), &world.outputs());
    assert!(matches!(world.failure(), DeliveryError::InTheWay { .. }));
}

#[test]
fn a_report_of_a_version_before_receipts_is_delivered_without_one() {
    let world = World::new(&["delivered"]);
    fs::create_dir(world.path("delivered")).unwrap();
    fs::remove_file(world.outputs().join(RECEIPT_JSON)).unwrap();
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent]);
    world.forget();
    assert_eq!(world.deliver().unwrap(), [Arrival::WasThere]);
}

// ---- endpoints ------------------------------------------------------------------------------------------------------

#[test]
fn an_endpoint_gets_one_envelope_that_it_can_verify_and_that_holds_the_report() {
    let endpoint = Endpoint::careful();
    let world = World::with_endpoint(&endpoint);
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent]);
    assert_eq!(world.deliver().unwrap(), [Arrival::NotedBefore]);
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.line, "POST /reports HTTP/1.1");
    for (name, value) in [
        ("content-type", ENVELOPE_TYPE),
        ("idempotency-key", EVENT),
        ("datafuse-event", EVENT),
        ("datafuse-event-type", "CHECK_COMMON_CUSTOMERS"),
        ("authorization", &format!("Bearer {TOKEN}")),
    ] {
        assert_eq!(request.headers[name], value, "{name}");
    }
    let (signed, _) = SignedReport::verify(&request.body, &[keys(1).identity().public_name()]).unwrap();
    assert_eq!(signed.report, world.report());
    assert_eq!(signed.statement.predicate.run.recipients, [user()]);
}

#[test]
fn a_crash_between_delivery_and_acknowledgement_leaves_one_accepted_report() {
    let endpoint = Endpoint::careful();
    let world = World::with_endpoint(&endpoint);
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent]);
    world.forget();
    assert_eq!(world.deliver().unwrap(), [Arrival::WasThere]);
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].headers["idempotency-key"], requests[1].headers["idempotency-key"]);
    assert_eq!(requests[0].body, requests[1].body);
}

#[test]
fn what_may_pass_is_tried_again_with_the_same_key() {
    let endpoint = Endpoint::with_tls(|before, _| match before {
        0 => status(503),
        1 => status(429),
        2 => Answer::Close,
        // Somebody is at work on the first one.
        3 => status(409),
        _ => status(202),
    });
    let world = World::with_endpoint(&endpoint);
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent]);
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|request| request.headers["idempotency-key"] == EVENT));
}

#[test]
fn an_endpoint_that_stays_busy_gives_the_event_back_to_the_queue() {
    let endpoint = Endpoint::with_tls(|_, _| status(500));
    let mut world = World::with_endpoint(&endpoint);
    world.settings.patience.total = Duration::from_secs(2);
    let error = world.failure();
    assert!(matches!(error, DeliveryError::Busy { status: 500, .. }) && error.is_retryable(), "{error}");
    let tried = endpoint.requests().len();
    assert!((2..=10).contains(&tried), "{tried}");
}

#[test]
fn a_pause_longer_than_the_patience_is_left_to_the_queue() {
    let endpoint = Endpoint::with_tls(|_, _| Answer::Status(429, vec![("Retry-After", "3600".to_owned())]));
    let error = World::with_endpoint(&endpoint).failure();
    assert!(matches!(error, DeliveryError::Busy { status: 429, .. }), "{error}");
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn an_endpoint_that_hangs_costs_bounded_time() {
    let endpoint = Endpoint::with_tls(|_, _| Answer::Hang);
    let mut world = World::with_endpoint(&endpoint);
    world.settings.patience.request = Duration::from_millis(300);
    world.settings.patience.total = Duration::from_millis(500);
    let began = Instant::now();
    let error = world.failure();
    assert!(matches!(error, DeliveryError::TimedOut { .. }) && error.is_retryable(), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn redirects_and_refusals_are_final_and_nothing_goes_elsewhere() {
    let elsewhere = Endpoint::plain(|_, _| status(200));
    let target = elsewhere.url.clone();
    let redirecting = Endpoint::with_tls(move |_, _| Answer::Status(307, vec![("Location", target.clone())]));
    let error = World::with_endpoint(&redirecting).failure();
    assert!(matches!(error, DeliveryError::Redirects { status: 307, .. }) && !error.is_retryable(), "{error}");
    assert_eq!((redirecting.requests().len(), elsewhere.requests().len()), (1, 0));

    for code in [400, 401, 404, 413, 422] {
        let endpoint = Endpoint::with_tls(move |_, _| status(code));
        let error = World::with_endpoint(&endpoint).failure();
        assert!(matches!(error, DeliveryError::NotWanted { status, .. } if status == code), "{error}");
        assert!(!error.is_retryable());
        assert_eq!(endpoint.requests().len(), 1);
    }
}

#[test]
fn a_conflict_about_another_event_is_no_delivery() {
    let other =
        |_: usize, _: &endpoint_server::Request| Answer::Status(409, vec![("Idempotency-Key", "other".to_owned())]);
    let mut world = World::with_endpoint(&Endpoint::with_tls(other));
    world.settings.patience.total = Duration::ZERO;
    let endpoint = Endpoint::with_tls(other);
    world.places = vec![endpoint.url.clone()];
    world.trust(&endpoint);
    assert!(matches!(world.failure(), DeliveryError::Busy { status: 409, .. }));
}

#[test]
fn an_endpoint_of_an_unknown_authority_gets_nothing() {
    let endpoint = Endpoint::careful();
    let mut world = World::with_endpoint(&endpoint);
    world.settings.patience.total = Duration::ZERO;
    world.settings.ca_file = None;
    let error = world.failure();
    assert!(matches!(&error, DeliveryError::Unreachable { .. }) && error.is_retryable(), "{error}");
    assert!(error.remedy().unwrap().contains("DATAFUSE_DELIVERY_CA_FILE"));
    assert!(endpoint.requests().is_empty());
}

#[test]
fn an_endpoint_at_a_private_address_gets_nothing_unless_the_operator_allows_it() {
    let endpoint = Endpoint::plain(|_, _| status(200));
    let by_number = endpoint.url.replace("localhost", "127.0.0.1");
    for url in [&endpoint.url, &by_number] {
        let mut world = World::new(&[url]);
        world.allow_hosts = vec!["example.com".to_owned()];
        let error = world.failure();
        assert!(matches!(error, DeliveryError::Refused { .. }) && !error.is_retryable(), "{error}");
        assert!(error.remedy().unwrap().contains("--allow-host"));
    }
    assert!(endpoint.requests().is_empty());
    let world = World::new(&[&endpoint.url]);
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent]);
}

#[test]
fn one_place_that_fails_keeps_no_other_waiting() {
    let refusing = Endpoint::plain(|_, _| status(403));
    let world = World::new(&[&refusing.url, "missing", "delivered"]);
    fs::create_dir(world.path("delivered")).unwrap();
    // What may pass counts, so that the event comes again.
    assert!(matches!(world.failure(), DeliveryError::Folder { .. }));
    assert!(world.path("delivered").join(EVENT).join(REPORT_DSSE).exists());
    fs::create_dir(world.path("missing")).unwrap();
    assert!(matches!(world.failure(), DeliveryError::NotWanted { status: 403, .. }));
    assert!(world.path("missing").join(EVENT).exists());
}

#[test]
fn a_token_that_cannot_be_sent_is_told_by_its_variable() {
    let endpoint = Endpoint::plain(|_, _| status(200));
    let mut world = World::new(&[&endpoint.url]);
    let token = ("DATAFUSE_DELIVERY_TOKEN_INSIGHTS".to_owned(), Zeroizing::new(format!("{TOKEN} x")));
    world.settings = DeliverySettings::from_variables([token].into_iter(), BucketSettings::default());
    let error = world.failure();
    assert!(error.to_string().contains("DATAFUSE_DELIVERY_TOKEN_INSIGHTS"), "{error}");
    assert!(endpoint.requests().is_empty());
}

// ---- buckets --------------------------------------------------------------------------------------------------------

/// The bucket that `emulators.py` makes at each provider.
const BUCKET: &str = "datafusetest";

/// Delivers twice, the second time as after a crash, and looks at what is in the bucket.
fn a_bucket_has_each_file_once(scheme: &str, variables: &[(&str, &str)]) {
    // The emulator may serve more than one run.
    let unique = tempfile::tempdir().unwrap();
    let unique = unique.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
    let place = format!("{scheme}://{BUCKET}/{unique}/a b");
    let mut world = World::new(&[&place]);
    for (name, value) in variables {
        world.settings.bucket.set_as_operator(*name, Zeroizing::new((*value).to_owned()));
    }
    world.settings.patience.request = Duration::from_secs(30);
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent]);
    world.forget();
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent]);
    assert_eq!(world.deliver().unwrap(), [Arrival::NotedBefore]);

    let policy = FetchPolicy { bucket: world.settings.bucket.clone(), ..FetchPolicy::strict() };
    let address: BucketAddress = format!("{scheme}://{BUCKET}/{unique}/").parse().unwrap();
    let bucket = Bucket::open(&address, &policy).unwrap();
    let keys: Vec<_> = bucket.list().unwrap().into_iter().map(|object| object.key).collect();
    let expected =
        [RECEIPT_JSON, REPORT_DSSE, REPORT_HTML, REPORT_JSON].map(|name| format!("{unique}/a b/{EVENT}/{name}"));
    assert_eq!(keys, expected);
    for (key, name) in keys.iter().zip([RECEIPT_JSON, REPORT_DSSE, REPORT_HTML, REPORT_JSON]) {
        let path = world.path("downloaded");
        bucket.download(key, &mut File::create(&path).unwrap()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(world.outputs().join(name)).unwrap(), "{name}");
    }

    write_encrypted(&world.report(), &world.outputs());
    world.places = vec![format!("{scheme}://{BUCKET}/{unique}/encrypted")];
    assert_eq!(world.deliver().unwrap(), [Arrival::Sent]);
    let keys: Vec<_> = bucket.list().unwrap().into_iter().map(|object| object.key).collect();
    let encrypted: Vec<_> =
        keys.iter().filter_map(|key| key.strip_prefix(&format!("{unique}/encrypted/{EVENT}/"))).collect();
    assert_eq!(encrypted, [RECEIPT_JSON, REPORT_AGE]);

    world.places = vec![format!("{scheme}://nosuchbucket/{unique}")];
    let error = world.failure();
    assert!(matches!(error, DeliveryError::Bucket { .. }) && !error.is_retryable(), "{error}");
}

#[test]
fn a_bucket_of_s3_has_each_file_once() {
    let Some(endpoint) = emulator("DATAFUSE_TEST_S3") else { return };
    a_bucket_has_each_file_once(
        "s3",
        &[
            ("AWS_ENDPOINT_URL", &endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ],
    );
}

#[test]
fn a_bucket_of_google_cloud_storage_has_each_file_once() {
    let Some(endpoint) = emulator("DATAFUSE_TEST_GCS") else { return };
    a_bucket_has_each_file_once(
        "gs",
        &[
            ("GOOGLE_BASE_URL", &endpoint),
            ("GOOGLE_ALLOW_HTTP", "true"),
            ("GOOGLE_HMAC_KEY_ID", "test"),
            ("GOOGLE_HMAC_SECRET", "test"),
        ],
    );
}

#[test]
fn a_container_of_azure_has_each_file_once() {
    let Some(endpoint) = emulator("DATAFUSE_TEST_AZURE") else { return };
    a_bucket_has_each_file_once(
        "az",
        &[
            ("AZURE_STORAGE_ENDPOINT", &endpoint),
            ("AZURE_ALLOW_HTTP", "true"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1"),
            // The key that Azurite documents for everybody.
            (
                "AZURE_STORAGE_ACCOUNT_KEY",
                "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
            ),
        ],
    );
}

fn emulator(variable: &str) -> Option<String> {
    let address = std::env::var(variable).ok();
    if address.is_none() {
        let required = std::env::var("DATAFUSE_TEST_EMULATORS").is_ok_and(|value| value == "required");
        assert!(!required, "{variable} is not set: run the tests with ./test.sh, or see CONTRIBUTING.md");
        eprintln!("skipped: {variable} is not set");
    }
    address
}
