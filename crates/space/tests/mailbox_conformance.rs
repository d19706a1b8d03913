//! The suite of every mailbox, run against a folder, a store on disk and one in memory, and emulators of three providers.
//!
//! The emulators are started by `tests/emulators.py`, which says in `DATAFUSE_TEST_S3`, `DATAFUSE_TEST_GCS` and
//! `DATAFUSE_TEST_AZURE` where they listen. Without one its test only says so; with `DATAFUSE_TEST_EMULATORS=required` it fails.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod mailbox_suite;

use std::{path::Path, sync::Arc};

use datafuse_space::{
    Error, FolderMailbox, Mailbox, MailboxPlace, ObjectStoreMailbox,
    mailbox::{self, MAX_MESSAGE_BYTES, Patience},
};
use mailbox_suite::{Place, conforms};
use object_store::{
    ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder,
    memory::InMemory,
};

/// The bucket that `emulators.py` makes at each provider.
const BUCKET: &str = "datafusetest";
/// The account that Azurite documents for everybody.
const AZURITE_ACCOUNT: &str = "devstoreaccount1";
const AZURITE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

fn folder_conforms(folder: &Path, mailbox: &dyn Mailbox) {
    let plant = |name: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    };
    conforms(&Place { mailbox, removes: true, plant: &plant, rounds: 50 });
}

#[test]
fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox");
    folder_conforms(&path, &FolderMailbox::open_or_create(&path).unwrap());
}

#[test]
fn a_folder_opened_by_its_place_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox");
    folder_conforms(&path, mailbox::open(&MailboxPlace::Folder(path.clone())).unwrap().as_ref());
}

/// Runs the suite below a prefix that has siblings.
fn store_conforms(store: Arc<dyn ObjectStore>, prefix: &str, mailbox: &dyn Mailbox, rounds: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let put = |path: String| {
        // As its parts, so that odd names are encoded as the store would have them.
        let path: object_store::path::Path = path.split('/').collect();
        runtime.block_on(store.put(&path, b"x".to_vec().into())).unwrap();
    };
    put(format!("{prefix}-sibling/a.msg"));
    put(format!("{prefix}.msg"));
    conforms(&Place { mailbox, removes: true, plant: &|name| put(format!("{prefix}/{name}")), rounds });
}

#[test]
fn a_store_in_memory_conforms() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mailbox = ObjectStoreMailbox::with_store(Arc::clone(&store), "a/prefix".into(), Patience::default()).unwrap();
    store_conforms(store, "a/prefix", &mailbox, 50);
}

#[test]
fn a_store_without_a_prefix_conforms() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mailbox = ObjectStoreMailbox::with_store(Arc::clone(&store), "".into(), Patience::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let plant = |name: &str| {
        let path: object_store::path::Path = name.split('/').collect();
        runtime.block_on(store.put(&path, b"x".to_vec().into())).unwrap();
    };
    conforms(&Place { mailbox: &mailbox, removes: true, plant: &plant, rounds: 50 });
}

#[test]
fn a_store_is_used_from_threads_that_may_not_wait() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mailbox = ObjectStoreMailbox::with_store(store, "x".into(), Patience::default()).unwrap();
    let mailbox: Arc<dyn Mailbox> = Arc::new(mailbox);
    let name: datafuse_space::MessageName = "a.msg".parse().unwrap();
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(async move {
        mailbox.put(&name, b"in a task").unwrap();
        let again = Arc::clone(&mailbox);
        let read = tokio::task::spawn_blocking(move || again.read(&name)).await.unwrap();
        assert_eq!(read.unwrap().unwrap(), b"in a task");
        drop(mailbox);
    });
}

#[test]
fn a_store_with_more_objects_than_a_mailbox_holds_is_refused() {
    let store = Arc::new(InMemory::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for i in 0..=mailbox::MAX_MESSAGES {
        runtime.block_on(store.put(&format!("p/{i}.msg").into(), Vec::new().into())).unwrap();
    }
    let mailbox = ObjectStoreMailbox::with_store(store, "p".into(), Patience::default()).unwrap();
    let error = mailbox.list().unwrap_err();
    assert!(error.to_string().contains("more than 20000 objects"), "{error}");
    assert!(error.remedy().unwrap().contains("prefix"), "{error}");
}

#[test]
fn an_oversized_object_is_refused_unread() {
    let store = Arc::new(InMemory::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bytes = vec![0; MAX_MESSAGE_BYTES as usize + 1];
    runtime.block_on(store.put(&"p/big.msg".into(), bytes.into())).unwrap();
    let mailbox = ObjectStoreMailbox::with_store(store, "p".into(), Patience::default()).unwrap();
    assert!(matches!(mailbox.read(&"big.msg".parse().unwrap()), Err(Error::MessageTooLarge { .. })));
}

#[test]
fn s3_conforms() {
    let Some(endpoint) = emulator("DATAFUSE_TEST_S3") else { return };
    let variables = [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    let store = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_region("eu-west-1")
        .with_access_key_id("test")
        .with_secret_access_key("test");
    provider_conforms("s3", &variables, Arc::new(store.build().unwrap()));
    a_bucket_that_is_not_there_is_an_error("s3", &variables);
}

#[test]
fn google_cloud_storage_conforms() {
    let Some(endpoint) = emulator("DATAFUSE_TEST_GCS") else { return };
    // Credentials of no use, because without any the client asks the machine's metadata address for some.
    let account = format!(
        r#"{{"gcs_base_url": "{endpoint}", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}}"#
    );
    let variables = [("GOOGLE_SERVICE_ACCOUNT_KEY", account.as_str()), ("GOOGLE_ALLOW_HTTP", "true")];
    let store =
        variables.iter().fold(GoogleCloudStorageBuilder::new().with_bucket_name(BUCKET), |builder, (key, value)| {
            builder.with_config(key.to_ascii_lowercase().parse().unwrap(), *value)
        });
    provider_conforms("gs", &variables, Arc::new(store.build().unwrap()));
    a_bucket_that_is_not_there_is_an_error("gs", &variables);
}

#[test]
fn azure_conforms() {
    let Some(endpoint) = emulator("DATAFUSE_TEST_AZURE") else { return };
    let variables = [
        ("AZURE_ENDPOINT", endpoint.as_str()),
        ("AZURE_ALLOW_HTTP", "true"),
        ("AZURE_STORAGE_ACCOUNT_NAME", AZURITE_ACCOUNT),
        ("AZURE_STORAGE_ACCOUNT_KEY", AZURITE_KEY),
    ];
    let store = MicrosoftAzureBuilder::new()
        .with_container_name(BUCKET)
        .with_endpoint(endpoint.clone())
        .with_allow_http(true)
        .with_account(AZURITE_ACCOUNT)
        .with_access_key(AZURITE_KEY);
    provider_conforms("az", &variables, Arc::new(store.build().unwrap()));
    a_bucket_that_is_not_there_is_an_error("az", &variables);
}

fn provider_conforms(scheme: &str, variables: &[(&str, &str)], store: Arc<dyn ObjectStore>) {
    // The emulator may serve more than one run.
    let unique = tempfile::tempdir().unwrap();
    let unique = unique.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
    let prefix = format!("{unique}/mailbox");
    store_conforms(store, &prefix, &opened(&format!("{scheme}://{BUCKET}/{prefix}"), variables), 10);
}

fn a_bucket_that_is_not_there_is_an_error(scheme: &str, variables: &[(&str, &str)]) {
    let mailbox = opened(&format!("{scheme}://nosuchbucket/x"), variables);
    let name = "a.msg".parse().unwrap();
    for error in
        [mailbox.list().unwrap_err(), mailbox.read(&name).map(drop).unwrap_err(), mailbox.put(&name, b"x").unwrap_err()]
    {
        assert!(error.to_string().contains("nosuchbucket") && error.to_string().contains("404"), "{error}");
        assert!(error.remedy().unwrap().contains("make the bucket"), "{error}");
    }
}

fn opened(address: &str, variables: &[(&str, &str)]) -> ObjectStoreMailbox {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let Ok(MailboxPlace::Bucket(url)) = address.parse() else { panic!("{address}") };
    ObjectStoreMailbox::open(&url, variables, Patience::default()).unwrap()
}

/// Where an emulator listens.
fn emulator(variable: &str) -> Option<String> {
    let address = std::env::var(variable).ok();
    if address.is_none() {
        let required = std::env::var("DATAFUSE_TEST_EMULATORS").is_ok_and(|value| value == "required");
        assert!(!required, "{variable} is not set: run the tests with ./test.sh, or see CONTRIBUTING.md");
        eprintln!("skipped: {variable} is not set");
    }
    address
}
