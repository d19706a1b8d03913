//! The places in which the conformance suite tries queues: a folder, and a stream on a real Redis server.

use std::{path::PathBuf, sync::Mutex, time::Duration};

use datafuse_workload::queue::{EmbeddedQueue, Queue, RedisOptions, RedisQueue, StreamName};
use futures::future::BoxFuture;
use tempfile::TempDir;
use ulid::{Generator, Ulid};

pub(crate) mod redis_server;

use redis_server::{Certificates, Server};

/// The time after which an heir takes over from the silent.
pub(crate) const SOON: Duration = Duration::from_millis(1000);

/// Long enough for anything that must happen, on any machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// One queue of its own, empty.
pub(crate) trait Place: Send + Sync {
    /// A new consumer that never takes over from the living.
    fn consumer(&self) -> BoxFuture<'_, Box<dyn Queue>>;

    /// A new consumer of these streams, most urgent first, that never takes over from the living. `events` is that of the others.
    fn consumer_of<'a>(&'a self, streams: &'a [&'a str]) -> BoxFuture<'a, Box<dyn Queue>>;

    /// A new consumer that takes over soon.
    fn heir(&self) -> BoxFuture<'_, Box<dyn Queue>>;

    /// Adds an entry past all checks of publishing.
    fn put(&self, payload: Vec<u8>) -> BoxFuture<'_, ()>;

    /// Everything that the dead letters hold, as text.
    fn dead_letters(&self) -> BoxFuture<'_, Vec<String>>;
}

/// A folder.
pub(crate) struct Embedded {
    folder: TempDir,
    ids: Mutex<Generator>,
}

impl Embedded {
    pub(crate) async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), ids: Mutex::default() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("queue")
    }
}

impl Place for Embedded {
    fn consumer(&self) -> BoxFuture<'_, Box<dyn Queue>> {
        Box::pin(async { Box::new(EmbeddedQueue::open(self.path()).unwrap()) as Box<dyn Queue> })
    }

    fn consumer_of<'a>(&'a self, streams: &'a [&'a str]) -> BoxFuture<'a, Box<dyn Queue>> {
        let streams: Vec<StreamName> = streams.iter().map(|name| name.parse().unwrap()).collect();
        Box::pin(async move { Box::new(EmbeddedQueue::open_streams(self.path(), &streams).unwrap()) as Box<dyn Queue> })
    }

    fn heir(&self) -> BoxFuture<'_, Box<dyn Queue>> {
        self.consumer()
    }

    fn put(&self, payload: Vec<u8>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let ready = self.path().join("ready");
            std::fs::create_dir_all(&ready).unwrap();
            let id = self.ids.lock().unwrap().generate().unwrap();
            std::fs::write(ready.join(format!("{id}.0.event")), payload).unwrap();
        })
    }

    fn dead_letters(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async {
            let files = std::fs::read_dir(self.path().join("dead")).unwrap().map(|file| file.unwrap().path());
            files
                .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
                .map(|path| {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let letter: serde_json::Value = serde_json::from_str(&text).unwrap();
                    let fields = letter.as_object().unwrap();
                    assert_eq!(fields.len(), 2);
                    let text = |name: &str| fields[name].as_str().unwrap().to_owned();
                    format!("{} {}", text("event"), text("class"))
                })
                .collect()
        })
    }
}

/// A stream on a server that other tests may use at the same time.
pub(crate) struct Stream {
    pub(crate) server: Server,
    pub(crate) name: String,
    certificates: Option<Certificates>,
}

impl Stream {
    pub(crate) async fn new() -> Self {
        Self::on(Server::any())
    }

    /// A stream on a server that speaks nothing but TLS.
    pub(crate) async fn over_tls() -> Self {
        let certificates = Certificates::new();
        let server = Server::tls(&certificates);
        Self { certificates: Some(certificates), ..Self::on(server) }
    }

    pub(crate) fn on(server: Server) -> Self {
        let name = format!("t-{}", &Ulid::generate().to_string()[14..]);
        Self { server, name, certificates: None }
    }

    pub(crate) fn stream(&self, label: &str) -> StreamName {
        match label {
            "events" => self.name.parse().unwrap(),
            label => format!("{}_{label}", self.name).parse().unwrap(),
        }
    }

    /// The id of the stream's entry that an event is.
    pub(crate) fn entry(&self, event: &str) -> String {
        event.strip_suffix(&format!("-{}", self.name)).unwrap().to_owned()
    }

    pub(crate) fn options(&self, claim_after: Duration) -> RedisOptions {
        let mut options = RedisOptions::new(self.server.url.parse().unwrap());
        options.streams = vec![self.stream("events")];
        options.ca_file = self.certificates.as_ref().map(|certificates| certificates.path("ca.pem"));
        options.claim_after = claim_after;
        options.patience = LONG;
        options
    }

    pub(crate) async fn open(&self, options: RedisOptions) -> Box<dyn Queue> {
        Box::new(RedisQueue::connect(options).await.unwrap())
    }

    /// Runs any command on the server.
    pub(crate) async fn command<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let url = self.server.url.as_str();
        let client = match &self.certificates {
            None => redis::Client::open(url).unwrap(),
            Some(certificates) => {
                let root_cert = Some(std::fs::read(certificates.path("ca.pem")).unwrap());
                redis::Client::build_with_tls(url, redis::TlsCertificates { client_tls: None, root_cert }).unwrap()
            }
        };
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }
}

impl Place for Stream {
    fn consumer(&self) -> BoxFuture<'_, Box<dyn Queue>> {
        Box::pin(self.open(self.options(Duration::from_secs(3600))))
    }

    fn consumer_of<'a>(&'a self, streams: &'a [&'a str]) -> BoxFuture<'a, Box<dyn Queue>> {
        let mut options = self.options(Duration::from_secs(3600));
        options.streams = streams.iter().map(|label| self.stream(label)).collect();
        Box::pin(self.open(options))
    }

    fn heir(&self) -> BoxFuture<'_, Box<dyn Queue>> {
        Box::pin(self.open(self.options(SOON)))
    }

    fn put(&self, payload: Vec<u8>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut add = redis::cmd("XADD");
            add.arg(&self.name).arg("*").arg("msg_data").arg(payload);
            let _: String = self.command(&add).await;
        })
    }

    fn dead_letters(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async {
            let mut range = redis::cmd("XRANGE");
            range.arg(format!("{}:dead", self.name)).arg("-").arg("+");
            let letters: Vec<(String, Vec<String>)> = self.command(&range).await;
            letters
                .into_iter()
                .map(|(_, fields)| {
                    assert_eq!(fields.len(), 4);
                    assert_eq!((&*fields[0], &*fields[2]), ("event", "class"));
                    format!("{} {}", fields[1], fields[3])
                })
                .collect()
        })
    }
}
