//! The buckets of the emulators that `tests/emulators.py` starts, each as an operator would set it up, and servers of one answer.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use datafuse_engine::dataset::{BucketSettings, FetchPolicy};

/// The bucket that `emulators.py` makes at each provider.
pub const BUCKET: &str = "datafusetest";
/// The account that Azurite documents for everybody.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// One way to reach a bucket.
pub struct Place {
    pub name: &'static str,
    pub scheme: &'static str,
    pub settings: Vec<(&'static str, String)>,
}

impl Place {
    /// The settings as variables of the process.
    pub fn policy(&self) -> FetchPolicy {
        FetchPolicy { bucket: of_operator(&self.settings), ..FetchPolicy::strict() }
    }

    /// An address below a folder of its own: the emulator may serve more than one run.
    pub fn address(&self, below: &str) -> String {
        static UNIQUE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let unique = UNIQUE.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned()
        });
        format!("{}://{BUCKET}/{unique}/{}/{below}", self.scheme, self.name)
    }
}

/// Every way that the emulators at hand allow; none where they do not run.
pub fn places() -> Vec<Place> {
    let mut places = Vec::new();
    if let Some(endpoint) = emulator("DATAFUSE_TEST_S3") {
        places.push(Place { name: "s3", scheme: "s3", settings: amazon(&endpoint) });
        places.push(Place { name: "s3a", scheme: "s3a", settings: amazon(&endpoint) });
    }
    if let Some(endpoint) = emulator("DATAFUSE_TEST_GCS") {
        let account = format!(
            r#"{{"gcs_base_url": "{endpoint}", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}}"#
        );
        let allow = ("GOOGLE_ALLOW_HTTP", "true".to_owned());
        let settings = vec![("GOOGLE_SERVICE_ACCOUNT_KEY", account), allow.clone()];
        places.push(Place { name: "gcs", scheme: "gs", settings });
        let keys = [("GOOGLE_HMAC_KEY_ID", "GOOGTEST".to_owned()), ("GOOGLE_HMAC_SECRET", "secret".to_owned())];
        let settings = keys.into_iter().chain([("GOOGLE_BASE_URL", endpoint), allow]).collect();
        places.push(Place { name: "gcs-hmac", scheme: "gs", settings });
    }
    if let Some(endpoint) = emulator("DATAFUSE_TEST_AZURE") {
        let named = |more: &[(&'static str, String)]| {
            let common = [
                ("AZURE_STORAGE_ENDPOINT", endpoint.clone()),
                ("AZURE_ALLOW_HTTP", "true".to_owned()),
                ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
            ];
            common.into_iter().chain(more.iter().cloned()).collect::<Vec<_>>()
        };
        let key = named(&[("AZURE_STORAGE_ACCOUNT_KEY", KEY.to_owned())]);
        places.push(Place { name: "azure", scheme: "az", settings: key });
        let sas = std::env::var("DATAFUSE_TEST_AZURE_SAS").unwrap();
        let sas = named(&[("AZURE_STORAGE_SAS_TOKEN", sas)]);
        places.push(Place { name: "azure-sas", scheme: "abfss", settings: sas });
        let text =
            format!("DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};");
        let settings = vec![("AZURE_STORAGE_CONNECTION_STRING", text), ("AZURE_ALLOW_HTTP", "true".to_owned())];
        places.push(Place { name: "azure-connection", scheme: "azure", settings });
    }
    places
}

pub fn amazon(endpoint: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIAOPERATOR".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "wordofoperator".to_owned()),
    ]
}

pub fn of_operator(settings: &[(&'static str, String)]) -> BucketSettings {
    let mut bucket = BucketSettings::default();
    for (name, value) in settings {
        bucket.set_as_operator(*name, value.clone().into());
    }
    bucket
}

pub fn of_others(settings: &[(&str, &str)]) -> BucketSettings {
    let mut bucket = BucketSettings::default();
    for (name, value) in settings {
        bucket.set(*name, (*value).to_owned().into());
    }
    bucket
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

/// A policy that asks an S3 server at an address of this machine, hurriedly.
pub fn hurried(address: SocketAddr) -> FetchPolicy {
    FetchPolicy {
        bucket: of_operator(&amazon(&format!("http://{address}"))),
        connect_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_millis(400),
        total_timeout: Some(Duration::from_secs(2)),
        max_bytes: 1 << 20,
        ..FetchPolicy::strict()
    }
}

/// Answers every connection, on threads that end with the test.
pub fn server(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

/// Reads a request and gives its head. The body is read too: closing with unread bytes would break off the answer.
pub fn request(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")).and_then(|text| text.trim().parse().ok());
    let _ = stream.read_exact(&mut vec![0; length.unwrap_or(0)]);
    head
}

/// A server that gives one answer to everything.
pub fn says(head: &'static str, body: impl Into<Vec<u8>>) -> SocketAddr {
    let body = body.into();
    server(move |mut stream| {
        request(&mut stream);
        let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    })
}
