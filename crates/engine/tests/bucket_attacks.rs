//! Settings that would lead elsewhere, and servers that a bucket may have and nobody should trust: slow, broken, endless, lying.
//! Each costs bounded time and memory, and gives an error that says what is wrong and what to do, and nothing secret.
#![allow(clippy::unwrap_used, missing_docs)]

mod bucket_places;

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bucket_places::{amazon, hurried, of_operator, of_others, request, says, server};
use datafuse_engine::{
    Error,
    dataset::{Bucket, BucketAddress, BucketProblem, FetchPolicy, Refusal},
};

/// Enough for a machine under load; a wait without end is longer.
const SOON: Duration = Duration::from_secs(30);

fn read(address: &str, policy: &FetchPolicy) -> Result<u64, Error> {
    let address: BucketAddress = address.parse()?;
    Bucket::open(&address, policy)?.download(address.key(), &mut tempfile::tempfile().unwrap())
}

fn problem(error: Error) -> BucketProblem {
    assert!(error.remedy().is_some_and(|remedy| !remedy.is_empty()), "{error}");
    match error {
        Error::Bucket { problem, .. } => *problem,
        other => panic!("{other:?}"),
    }
}

/// A policy with somebody else's settings, under which no name leads to a public address.
fn on_others_word(settings: &[(&str, &str)]) -> FetchPolicy {
    FetchPolicy {
        bucket: of_others(settings),
        lookup: Some(Arc::new(|_| Ok(vec![Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::LOCALHOST.into()]))),
        total_timeout: Some(Duration::from_secs(20)),
        ..FetchPolicy::strict()
    }
}

const GOOGLE_KEY: &str =
    r#"{"gcs_base_url": "BASE", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;

#[test]
fn no_setting_of_others_leads_to_a_private_address() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let port = server(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    })
    .port();
    let private = BucketProblem::NotAsked { refusal: Refusal::PrivateAddress };
    for host in [
        format!("127.0.0.1:{port}"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f.0.0.1:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("localhost:{port}"),
        format!("internal.example:{port}"),
        "169.254.169.254".to_owned(),
        "metadata.google.internal".to_owned(),
        "192.168.1.1".to_owned(),
    ] {
        let endpoint = format!("https://{host}");
        let base = GOOGLE_KEY.replace("BASE", &endpoint);
        let connection = format!("AccountName=acme;AccountKey=c2VjcmV0;BlobEndpoint={endpoint}");
        for (address, settings) in [
            ("s3://bucket/x", vec![("AWS_ENDPOINT_URL", endpoint.as_str())]),
            ("gs://bucket/x", vec![("GOOGLE_SERVICE_ACCOUNT_KEY", base.as_str())]),
            (
                "gs://bucket/x",
                vec![("GOOGLE_HMAC_KEY_ID", "x"), ("GOOGLE_HMAC_SECRET", "x"), ("GOOGLE_BASE_URL", endpoint.as_str())],
            ),
            ("az://container/x", vec![("AZURE_STORAGE_CONNECTION_STRING", connection.as_str())]),
        ] {
            let error = read(address, &on_others_word(&settings)).unwrap_err();
            assert!(!error.is_retryable(), "{error}");
            assert_eq!(problem(error), private, "{address} {endpoint}");
        }
    }
    // The providers' own hosts are held to the rule too, when a name server lies.
    for (address, settings) in [
        ("s3://bucket/x", vec![]),
        ("gs://bucket/x", vec![]),
        ("az://container@acme.blob.core.windows.net/x", vec![]),
        (
            "az://container/x",
            vec![(
                "AZURE_STORAGE_CONNECTION_STRING",
                "AccountName=acme;AccountKey=c2VjcmV0;EndpointSuffix=evil.example",
            )],
        ),
    ] {
        assert_eq!(problem(read(address, &on_others_word(&settings)).unwrap_err()), private, "{address}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0, "somebody was connected to");
}

#[test]
fn settings_that_would_become_another_host_are_refused() {
    for (address, name, value) in [
        ("s3://bucket/x", "AWS_REGION", "x.evil.example/"),
        ("s3://bucket/x", "AWS_REGION", "eu@evil.example"),
        ("s3://bucket/x", "AWS_DEFAULT_REGION", "EU#"),
        ("s3://bucket/x", "AWS_ENDPOINT_URL", "http://storage.example.com"),
        ("s3://bucket/x", "AWS_ENDPOINT_URL", "https://user:secret@storage.example.com"),
        ("s3://bucket/x", "AWS_ENDPOINT_URL", "https://storage.example.com?secret"),
        ("s3://bucket/x", "AWS_ENDPOINT_URL", "file:///secret"),
        ("s3://bucket/x", "AWS_ENDPOINT_URL", "secret"),
        ("gs://bucket/x", "GOOGLE_BASE_URL", "http://storage.example.com"),
        ("az://container/x", "AZURE_STORAGE_ACCOUNT_NAME", "evil.example/"),
        ("az://container/x", "AZURE_STORAGE_ACCOUNT_NAME", "acme@evil"),
        ("az://container/x", "AZURE_STORAGE_CONNECTION_STRING", "secret"),
        ("az://container/x", "AZURE_STORAGE_CONNECTION_STRING", "AccountName=a.b;AccountKey=c2VjcmV0"),
        ("az://container/x", "AZURE_STORAGE_CONNECTION_STRING", "AccountName=acme"),
        ("az://container/x", "AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true"),
    ] {
        let error = read(address, &on_others_word(&[(name, value)])).unwrap_err();
        assert!(!format!("{error}{error:?}").contains("secret"), "{error:?}");
        assert!(error.to_string().contains("AZURE_") || error.to_string().contains(name), "{error}");
        assert!(matches!(problem(error), BucketProblem::Setting { .. }), "{name}={value}");
    }
}

#[test]
fn what_reads_this_machine_or_asks_its_neighbours_is_for_the_operator_alone() {
    for (address, name) in [
        ("s3://bucket/x", "AWS_METADATA_ENDPOINT"),
        ("s3://bucket/x", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        ("s3://bucket/x", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        ("s3://bucket/x", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("s3://bucket/x", "AWS_ENDPOINT_URL_STS"),
        ("s3://bucket/x", "AWS_ALLOW_HTTP"),
        ("s3://bucket/x", "AWS_PROXY_URL"),
        ("s3://bucket/x", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST"),
        ("gs://bucket/x", "GOOGLE_SERVICE_ACCOUNT"),
        ("gs://bucket/x", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("gs://bucket/x", "GOOGLE_USE_METADATA"),
        ("az://container/x", "AZURE_STORAGE_USE_EMULATOR"),
        ("az://container/x", "AZURE_IDENTITY_ENDPOINT"),
        ("az://container/x", "AZURE_FEDERATED_TOKEN_FILE"),
        ("az://container/x", "AZURE_USE_AZURE_CLI"),
        ("az://container/x", "AZURE_AUTHORITY_HOST"),
    ] {
        let error = read(address, &on_others_word(&[(name, "/etc/secret")])).unwrap_err();
        assert!(!format!("{error}{error:?}").contains("secret"), "{error:?}");
        assert_eq!(problem(error), BucketProblem::OperatorsAlone { name: name.to_owned() });
    }
}

#[test]
fn without_credentials_only_the_bucket_is_asked() {
    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&names);
    let policy = FetchPolicy {
        lookup: Some(Arc::new(move |name| {
            seen.lock().unwrap().push(name.to_owned());
            Err::<Vec<IpAddr>, _>(io::ErrorKind::NotFound.into())
        })),
        total_timeout: Some(Duration::from_secs(20)),
        ..FetchPolicy::strict()
    };
    for (address, host) in [
        ("s3://bucket/x", "s3.us-east-1.amazonaws.com"),
        ("gs://bucket/x", "storage.googleapis.com"),
        ("az://container@acme.blob.core.windows.net/x", "acme.blob.core.windows.net"),
    ] {
        // An address that is a number, as that of the metadata is, would be refused and not looked up.
        assert!(matches!(problem(read(address, &policy).unwrap_err()), BucketProblem::Unreachable { .. }), "{address}");
        let mut asked = std::mem::take(&mut *names.lock().unwrap());
        asked.dedup();
        assert_eq!(asked, [host]);
    }
}

/// A server that gives an object of three bytes and keeps what it was asked.
fn listening() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    let address = server(move |mut stream| {
        kept.lock().unwrap().push(request(&mut stream));
        let date = "last-modified: Wed, 25 Nov 2026 00:00:00 GMT";
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n{date}\r\nconnection: close\r\n\r\nabc");
    });
    (address, heads)
}

#[test]
fn the_operators_credentials_are_not_used_with_settings_of_others() {
    let (address, heads) = listening();
    let mut policy = hurried(address);
    assert_eq!(read("s3://bucket/x", &policy).unwrap(), 3);
    assert!(heads.lock().unwrap().last().unwrap().contains("akiaoperator"));
    // Whoever names a region or a key of his own is not taken for the operator, at the operator's own endpoint either.
    policy.bucket.set("AWS_REGION", "eu-west-3".to_owned().into());
    assert_eq!(read("s3://bucket/x", &policy).unwrap(), 3);
    assert!(!heads.lock().unwrap().last().unwrap().contains("authorization"));
    policy.bucket.set("AWS_ACCESS_KEY_ID", "AKIAOTHER".to_owned().into());
    policy.bucket.set("AWS_SECRET_ACCESS_KEY", "x".to_owned().into());
    assert_eq!(read("s3://bucket/x", &policy).unwrap(), 3);
    let last = heads.lock().unwrap().last().unwrap().clone();
    assert!(last.contains("akiaother") && last.contains("eu-west-3") && !last.contains("akiaoperator"), "{last}");
    // An endpoint of others, allowed to be private: nothing of the operator's goes there.
    let (others, heard) = listening();
    let mut policy = hurried(address);
    policy.allow_hosts = vec!["127.0.0.1".to_owned()];
    policy.bucket.set("AWS_ENDPOINT_URL", format!("http://{others}").into());
    let error = read("s3://bucket/x", &policy).unwrap_err();
    assert_eq!(problem(error), BucketProblem::NotAsked { refusal: Refusal::PlainHttp });
    assert!(heard.lock().unwrap().is_empty());
}

#[test]
fn a_machines_own_credentials_are_asked_for_where_the_operator_names_the_place() {
    let (store, heads) = listening();
    let metadata = server(|mut stream| {
        let head = request(&mut stream);
        let said = match head.split_whitespace().nth(1).unwrap_or_default() {
            "/latest/api/token" => "token",
            "/latest/meta-data/iam/security-credentials/" => "role",
            _ => {
                r#"{"AccessKeyId": "ASIAMACHINE", "SecretAccessKey": "x", "Token": "t", "Expiration": "2999-01-01T00:00:00Z"}"#
            }
        };
        let length = said.len();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{said}");
    });
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let mut settings = amazon(&format!("http://{store}"));
    settings.retain(|(name, _)| !keys.contains(name));
    settings.push(("AWS_METADATA_ENDPOINT", format!("http://{metadata}")));
    let policy = FetchPolicy { bucket: of_operator(&settings), ..hurried(store) };
    assert_eq!(read("s3://bucket/x", &policy).unwrap(), 3);
    assert!(heads.lock().unwrap().last().unwrap().contains("asiamachine"));
}

#[test]
fn a_server_that_hangs_is_waited_for_no_longer_than_said() {
    let began = Instant::now();
    for hangs in [
        server(|mut stream| {
            let _ = stream.read_to_end(&mut Vec::new());
        }),
        // The head of an object, and then nothing.
        server(|mut stream| {
            request(&mut stream);
            let date = "last-modified: Wed, 25 Nov 2026 00:00:00 GMT";
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 30\r\netag: \"x\"\r\n{date}\r\n\r\nabc");
            let _ = stream.read_to_end(&mut Vec::new());
        }),
    ] {
        let error = read("s3://bucket/x", &hurried(hangs)).unwrap_err();
        assert!(error.is_retryable(), "{error}");
        match error {
            Error::DownloadTimeout { .. } => {}
            other => assert!(matches!(problem(other), BucketProblem::TimedOut { .. })),
        }
        let bucket = Bucket::open(&"s3://bucket/x".parse().unwrap(), &hurried(hangs)).unwrap();
        assert!(problem(bucket.list().unwrap_err()).is_retryable());
        assert!(problem(bucket.put_bytes("x", b"x".to_vec()).unwrap_err()).is_retryable());
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn nothing_endless_fills_memory_or_disk() {
    let began = Instant::now();
    let endless = |head: &'static str| {
        server(move |mut stream| {
            request(&mut stream);
            let _ = write!(stream, "HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
            while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
        })
    };
    let date = "last-modified: Wed, 25 Nov 2026 00:00:00 GMT";
    let lying = server(move |mut stream| {
        request(&mut stream);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n{date}\r\ncontent-length: 99999999999\r\n\r\n");
        while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
    });
    let error = read("s3://bucket/x", &hurried(lying)).unwrap_err();
    assert!(matches!(error, Error::DownloadTooLarge { limit_bytes: 1_048_576, .. }), "{error}");
    // An error, a list, an object of no said length.
    assert!(matches!(
        problem(read("s3://bucket/x", &hurried(endless("403 Forbidden"))).unwrap_err()),
        BucketProblem::BrokenOff
    ));
    let bucket = Bucket::open(&"s3://bucket/*".parse().unwrap(), &hurried(endless("200 OK"))).unwrap();
    assert!(matches!(problem(bucket.list().unwrap_err()), BucketProblem::BrokenOff | BucketProblem::TimedOut { .. }));
    assert!(read("s3://bucket/x", &hurried(endless("200 OK"))).is_err());
    // A list that always has one more page.
    let page = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>\
                <KeyCount>0</KeyCount></ListBucketResult>";
    let head = Box::leak(format!("200 OK\r\ncontent-length: {}", page.len()).into_boxed_str());
    let bucket = Bucket::open(&"s3://bucket/*".parse().unwrap(), &hurried(says(head, page))).unwrap();
    assert!(matches!(problem(bucket.list().unwrap_err()), BucketProblem::TimedOut { .. }));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn truncated_foreign_and_redirecting_answers_are_errors() {
    let date = "last-modified: Wed, 25 Nov 2026 00:00:00 GMT";
    let short = Box::leak(format!("200 OK\r\n{date}\r\ncontent-length: 30").into_boxed_str());
    assert_eq!(problem(read("s3://bucket/x", &hurried(says(short, "abc"))).unwrap_err()), BucketProblem::BrokenOff);
    for status in ["301 Moved", "307 Temporary Redirect"] {
        let head = format!("{status}\r\nlocation: http://169.254.169.254/latest/secret\r\ncontent-length: 0");
        let server = says(Box::leak(head.into_boxed_str()), "");
        let error = read("s3://bucket/x", &hurried(server)).unwrap_err();
        assert!(!format!("{error}{error:?}").contains("secret"), "{error:?}");
        assert_eq!(problem(error), BucketProblem::Redirects);
    }
    let foreign = says("200 OK\r\ncontent-length: 6", "<html>");
    let bucket = Bucket::open(&"s3://bucket/*".parse().unwrap(), &hurried(foreign)).unwrap();
    assert_eq!(problem(bucket.list().unwrap_err()), BucketProblem::NotABucket);
    let said = "<Error><Code>AccessDenied</Code><Message>secret</Message></Error>";
    let head = Box::leak(format!("403 Forbidden\r\ncontent-length: {}", said.len()).into_boxed_str());
    let error = read("s3://bucket/x", &hurried(says(head, said))).unwrap_err();
    assert!(!format!("{error}{error:?}").contains("secret"), "{error:?}");
    assert_eq!(problem(error), BucketProblem::Refused { status: 403, said: "AccessDenied".to_owned() });
}

#[test]
fn a_server_that_fails_for_a_while_is_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let address = server(move |mut stream| {
        request(&mut stream);
        let date = "last-modified: Wed, 25 Nov 2026 00:00:00 GMT";
        let _ = match counted.fetch_add(1, Ordering::SeqCst) {
            0 => write!(stream, "HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
            _ => write!(stream, "HTTP/1.1 200 OK\r\n{date}\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc"),
        };
    });
    let policy = FetchPolicy { total_timeout: Some(Duration::from_secs(20)), ..hurried(address) };
    assert_eq!(read("s3://bucket/x", &policy).unwrap(), 3);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn nobody_listening_is_an_error_that_may_pass() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let policy = FetchPolicy { total_timeout: Some(Duration::from_secs(20)), ..hurried(address) };
    let error = read("s3://bucket/x", &policy).unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(matches!(problem(error), BucketProblem::Unreachable { .. }));
    // Without the operator's leave, plain http is not spoken.
    let settings: Vec<_> =
        amazon(&format!("http://{address}")).into_iter().filter(|(name, _)| *name != "AWS_ALLOW_HTTP").collect();
    let policy = FetchPolicy { bucket: of_operator(&settings), ..FetchPolicy::strict() };
    let error = read("s3://bucket/x", &policy).unwrap_err();
    assert!(error.remedy().unwrap().contains("AWS_ALLOW_HTTP"), "{error}");
    assert_eq!(problem(error), BucketProblem::NotAsked { refusal: Refusal::PlainHttp });
}

#[test]
fn a_full_disk_ends_a_download() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let (address, _) = listening();
    let place: BucketAddress = "s3://bucket/x".parse().unwrap();
    let mut full = File::options().write(true).open("/dev/full").unwrap();
    let error = Bucket::open(&place, &hurried(address)).unwrap().download("x", &mut full).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
}
