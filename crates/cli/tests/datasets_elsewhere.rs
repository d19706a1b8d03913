//! Datasets that lie elsewhere, from the holder to the report: in buckets, and behind https.
//!
//! `tests/emulators.py` starts the bucket's emulator; without it those tests say that they are skipped.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use datafuse_engine::dataset::{Bucket, BucketAddress, BucketSettings, FetchPolicy};
use serde_json::json;
use world::{Said, World};

/// The bucket that `emulators.py` makes.
const BUCKET: &str = "datafusetest";
const ACME: &str = "email,segment\nAda@Example.com,a\nbob@example.com,b\neve@example.com,d\n";
const GLOBEX: &str = "email\nada@example.com\nEVE@example.com\nzoe@example.com\n";

/// A world whose datasets lie in a bucket.
struct InBucket {
    world: World,
    prefix: String,
    variables: Vec<(&'static str, String)>,
}

impl InBucket {
    /// None where the emulator does not run.
    fn new() -> Option<Self> {
        let Ok(endpoint) = std::env::var("DATAFUSE_TEST_S3") else {
            let required = std::env::var("DATAFUSE_TEST_EMULATORS").is_ok_and(|value| value == "required");
            assert!(!required, "DATAFUSE_TEST_S3 is not set: run the tests with ./test.sh, or see CONTRIBUTING.md");
            eprintln!("skipped: DATAFUSE_TEST_S3 is not set");
            return None;
        };
        let world = World::new(&["acme", "globex"], &[]);
        let unique = world.folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
        let prefix = format!("s3://{BUCKET}/{unique}");
        for party in ["workload", "acme", "globex"] {
            let file = world.path(party).join("space.yaml");
            let mut text = fs::read_to_string(&file).unwrap();
            for holder in ["acme", "globex"] {
                let local = world.dataset(holder).to_str().unwrap().to_owned();
                assert!(text.contains(&local), "{text}");
                text = text.replace(&local, &format!("{prefix}/{holder}.parquet"));
            }
            fs::write(file, text).unwrap();
        }
        let variables = vec![
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIATEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "hunter2".to_owned()),
        ];
        Some(Self { world, prefix, variables })
    }

    fn run(&self, party: &str, args: &[&str]) -> Said {
        let mut command = self.world.command(party);
        command.envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())));
        let said: Said = command.args(args).output().unwrap().into();
        assert!(!format!("{}{}", said.out, said.err).contains("hunter2"), "{}", said.err);
        said
    }

    fn protect(&self, holder: &str, source: &str) -> Said {
        self.run(holder, &["protect", source, "--party", holder, "--key", "party.key"])
    }

    fn event(&self, event: &str) -> Said {
        self.run("workload", &["run", event, "--key", "party.key", "--json"])
    }

    fn bucket(&self, below: &str) -> (Bucket, String) {
        let address: BucketAddress = format!("{}/{below}", self.prefix).parse().unwrap();
        let mut bucket = BucketSettings::default();
        for (name, value) in &self.variables {
            bucket.set_as_operator(*name, value.clone().into());
        }
        let policy = FetchPolicy { bucket, ..FetchPolicy::strict() };
        (Bucket::open(&address, &policy).unwrap(), address.key().to_owned())
    }

    fn put(&self, below: &str, text: &str) {
        let (bucket, key) = self.bucket(below);
        bucket.put_bytes(&key, text.as_bytes().to_vec()).unwrap();
    }
}

#[test]
fn from_a_holder_through_a_bucket_to_the_report() {
    let Some(space) = InBucket::new() else { return };
    let world = &space.world;
    let checked = world.run("workload", &["space", "check"]).done();
    assert!(checked.out.contains("protect writes this object"), "{}", checked.out);
    world.event("INITIALIZE").done();
    world.enrol_all(&["acme", "globex"]);
    fs::write(world.path("acme/customers.csv"), ACME).unwrap();
    let place = format!("{}/acme.parquet", space.prefix);
    let protected = space.protect("acme", "customers.csv").done();
    assert!(protected.out.contains(&format!("version 1: {place}")), "{}", protected.out);

    // What is not there yet may still come, and says so.
    let fuse = ["run", "FUSE", "--key", "party.key"];
    space.run("workload", &fuse).refused(4, &format!("is not at {}/globex.parquet", space.prefix));

    // A source may lie in a bucket as well, in several objects.
    let (first, second) = GLOBEX.split_at(GLOBEX.find("zoe").unwrap());
    space.put("source/customers-1.csv", first);
    space.put("source/customers-2.csv", &format!("email\n{second}"));
    let source = format!("{}/source/*.csv", space.prefix);
    let normalized = space.run("globex", &["normalize", &source, "--column", "email", "--json"]).done();
    let normalized: serde_json::Value = serde_json::from_str(&normalized.out).unwrap();
    assert_eq!(normalized["rows"], 3);
    space.protect("globex", &source).done();

    space.event("CHECK_COMMON_CUSTOMERS").done();
    let report = world.report();
    assert_eq!(report["common_customers"], json!({ "by_email": 2 }));
    assert_eq!(report["parties"][1]["rows"], 3);

    // The commitment is that of the object as it lies there.
    use sha2::Digest;
    let (bucket, key) = space.bucket("acme.parquet");
    let object = world.path("object.parquet");
    bucket.download(&key, &mut fs::File::create(&object).unwrap()).unwrap();
    let sha256: String =
        sha2::Sha256::digest(fs::read(&object).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report["provenance"]["datasets"][0]["sha256"], json!(sha256));

    // A new version takes the place of the former one, and only it is fused.
    fs::write(world.path("acme/customers.csv"), format!("{ACME}zoe@example.com,e\n")).unwrap();
    let protected = space.protect("acme", "customers.csv").done();
    assert!(protected.out.contains(&format!("version 2: {place}")), "{}", protected.out);
    let fused: serde_json::Value = serde_json::from_str(&space.event("FUSE").done().out).unwrap();
    assert_eq!((&fused["datasets"], &fused["unchanged"]), (&json!(1), &json!(1)));
    space.event("CHECK_COMMON_CUSTOMERS").done();
    assert_eq!(world.report()["common_customers"], json!({ "by_email": 3 }));
}

#[test]
fn what_lies_in_the_bucket_and_is_something_else_stays() {
    let Some(space) = InBucket::new() else { return };
    space.world.event("INITIALIZE").done();
    space.world.enrol_all(&["acme", "globex"]);
    fs::write(space.world.path("acme/customers.csv"), ACME).unwrap();
    space.put("acme.parquet", "somebody's only copy");
    space.protect("acme", "customers.csv").refused(3, "is not an earlier version of this dataset");
    let (bucket, key) = space.bucket("acme.parquet");
    let object = space.world.path("object");
    bucket.download(&key, &mut fs::File::create(&object).unwrap()).unwrap();
    assert_eq!(fs::read_to_string(object).unwrap(), "somebody's only copy");
    // Another holder's dataset is not replaced either.
    fs::write(space.world.path("globex/customers.csv"), GLOBEX).unwrap();
    space.protect("globex", "customers.csv").done();
    let (bucket, _) = space.bucket("acme.parquet");
    let globex = space.world.path("globex.parquet");
    let (from, key_of_globex) = space.bucket("globex.parquet");
    from.download(&key_of_globex, &mut fs::File::create(&globex).unwrap()).unwrap();
    bucket.put_file(&key, &globex).unwrap();
    space.protect("acme", "customers.csv").refused(3, "is not an earlier version of this dataset");
}

#[test]
fn a_bucket_that_nobody_answers_for_is_said_and_may_be_tried_again() {
    let world = World::new(&["acme", "globex"], &[]);
    world.event("INITIALIZE").done();
    world.enrol_all(&["acme", "globex"]);
    fs::write(world.path("acme/customers.csv"), ACME).unwrap();
    let file = world.path("acme/space.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(world.dataset("acme").to_str().unwrap(), "s3://acme-exports/acme.parquet")).unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let protect = |variables: &[(&str, &str)]| -> Said {
        let mut command = world.command("acme");
        command.envs(variables.iter().copied());
        command.args(["protect", "customers.csv", "--party", "acme", "--key", "party.key"]).output().unwrap().into()
    };
    let endpoint = format!("http://{closed}");
    let keys = [("AWS_ACCESS_KEY_ID", "AKIATEST"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let unreachable = [keys[0], keys[1], ("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ALLOW_HTTP", "true")];
    let said = protect(&unreachable).refused(5, "cannot read s3://acme-exports/acme.parquet: no connection");
    assert!(!said.err.contains("hunter2"), "{}", said.err);
    protect(&unreachable[..3]).refused(6, "it is not https");
    protect(&keys[..1]).refused(3, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together");
}

/// A server of the files in a folder, over TLS with a certificate of its own authority, until it is dropped.
struct HttpsServer {
    process: Child,
    port: u16,
}

impl HttpsServer {
    fn start(folder: &Path) -> Self {
        let openssl = |arguments: &[&str]| {
            let run = Command::new("openssl").args(arguments).current_dir(folder).output();
            let run = run.unwrap_or_else(|error| panic!("openssl: {error}. Try: apt-get install openssl"));
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let authority = ["-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(&[&["req"], &key[..], &authority].concat());
        openssl(
            &[&["req"], &key[..], &["-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"]].concat(),
        );
        fs::write(folder.join("server.ext"), "subjectAltName=DNS:localhost\n").unwrap();
        let signed = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        openssl(&[&signed[..], &["-days", "2", "-extfile", "server.ext", "-out", "server.pem"]].concat());
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-WWW", "-cert", "server.pem", "-key", "server.key"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let says = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned)).unwrap();
        let port = says.rsplit_once(':').unwrap().1.parse().unwrap();
        // Read to the end, so that a full pipe never stops it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port }
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_dataset_behind_https_is_fetched_from_a_host_that_the_operator_allows() {
    let world = World::new(&["acme", "globex"], &[]);
    let served = world.path("served");
    fs::create_dir(&served).unwrap();
    let server = HttpsServer::start(&served);
    let address = |name: &str| format!("https://localhost:{}/{name}", server.port);
    for party in ["workload", "acme", "globex"] {
        let file = world.path(party).join("space.yaml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replace(world.dataset("acme").to_str().unwrap(), &address("acme.parquet"))).unwrap();
    }
    world.event("INITIALIZE").done();
    world.enrol_all(&["acme", "globex"]);
    world.protect("globex", GLOBEX).done();
    let run = |party: &str, more: &[(&str, &str)], args: &[&str]| -> Said {
        let mut command = world.command(party);
        command.env("SSL_CERT_FILE", served.join("ca.pem")).env_remove("DATAFUSE_ALLOW_HOSTS");
        command.envs(more.iter().copied()).args(args).output().unwrap().into()
    };

    // The source comes from there as well; the host is the holder's own word.
    fs::write(served.join("customers.csv"), ACME).unwrap();
    let source = address("customers.csv");
    let protect = ["protect", &source, "--party", "acme", "--key", "party.key"];
    run("acme", &[], &protect).refused(3, "where it cannot be written from here");
    let out = served.join("acme.parquet");
    run("acme", &[], &[&protect[..], &["--out", out.to_str().unwrap()]].concat()).done();

    let check = ["run", "CHECK_COMMON_CUSTOMERS", "--key", "party.key"];
    run("workload", &[], &check).refused(6, "its host is at a private, local or reserved address");
    let allowed = [("DATAFUSE_ALLOW_HOSTS", "localhost")];
    run("workload", &allowed, &check).done();
    assert_eq!(world.report()["common_customers"], json!({ "by_email": 2 }));
}
