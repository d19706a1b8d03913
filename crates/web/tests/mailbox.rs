//! The mailbox over HTTP, on a real server at a free port: the suite of every mailbox, then what only an endpoint can get wrong.
#![allow(clippy::unwrap_used)]

#[path = "../../space/tests/mailbox_suite/mod.rs"]
mod mailbox_suite;

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use datafuse_core::{
    id::Epoch,
    keys::PartyKeys,
    kind::Kind,
    message::{Header, Message, Round},
    normalize::Profile,
    root::Root,
};
use datafuse_space::{
    Error, FolderMailbox, HttpMailbox, Mailbox, MailboxPlace, MessageName, Space,
    agreement::Draft,
    mailbox::{MAX_MESSAGE_BYTES, Patience, Trouble, admit},
};
use datafuse_web::{
    Admit, Limits,
    mailbox::{MAX_STORED, router_with},
    serve,
};
use mailbox_suite::{Place, conforms};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

/// A server that stops when it is dropped.
struct Server {
    address: SocketAddr,
    folder: tempfile::TempDir,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    done: Option<oneshot::Receiver<()>>,
}

/// How a server differs from the usual.
struct Setup {
    admit: Admit,
    max_stored: usize,
    request_timeout: Duration,
    limits: Limits,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            admit: Arc::new(|_, _| Ok(())),
            max_stored: MAX_STORED,
            request_timeout: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }
}

impl Server {
    fn start(setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mailbox = Arc::new(FolderMailbox::open(folder.path()).unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = router_with(mailbox, setup.admit, setup.max_stored, setup.request_timeout);
        let (stop, stopped) = oneshot::channel::<()>();
        let (finish, done) = oneshot::channel();
        runtime.spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            serve(listener, router, setup.limits, stopped).await;
            let _ = finish.send(());
        });
        Self { address, folder, runtime: Some(runtime), stop: Some(stop), done: Some(done) }
    }

    fn client(&self) -> HttpMailbox {
        let Ok(MailboxPlace::Http(url)) = format!("http://{}/mailbox", self.address).parse() else {
            panic!("no address")
        };
        HttpMailbox::open(&url, Patience::default()).unwrap()
    }

    /// Sends bytes as they are and gives the whole answer, until the server closes.
    fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let _ = stream.write_all(request.as_ref());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let answer = self.raw([head.as_bytes(), body].concat());
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// What is refused is refused with a status, a fact and a remedy.
    fn refuses(&self, method: &str, path: &str, body: &[u8], status: u16, words: &str) {
        let (found, said) = self.ask(method, path, body);
        assert_eq!(found, status, "{method} {path}: {said}");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(said["error"].as_str().unwrap().contains(words), "{method} {path}: {said}");
        assert!(!said["try"].as_str().unwrap().is_empty(), "{said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn name(text: &str) -> MessageName {
    text.parse().unwrap()
}

#[test]
fn an_endpoint_conforms() {
    let server = Server::start(Setup::default());
    let folder = server.folder.path();
    let plant = |name: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    };
    conforms(&Place { mailbox: &server.client(), removes: false, plant: &plant, rounds: 50 });
}

#[test]
fn announcement_and_status_are_read_here_and_not_written() {
    let server = Server::start(Setup::default());
    let (announcement, client) = (name("announcement-00.cbor"), server.client());
    std::fs::write(server.folder.path().join("announcement-00.cbor"), b"announced").unwrap();
    assert_eq!(client.read(&announcement).unwrap().unwrap(), b"announced");
    for forbidden in ["announcement-00.cbor", "status-00.cbor", "anything", "space.yaml"] {
        server.refuses("PUT", &format!("/mailbox/{forbidden}"), b"x", 403, "only messages");
    }
    let error = client.put(&announcement, b"x").unwrap_err();
    assert!(matches!(error, Error::Mailbox { trouble: Trouble::Refused { status: 403, .. }, .. }), "{error}");
    assert_eq!(client.read(&announcement).unwrap().unwrap(), b"announced");
}

#[test]
fn nothing_is_removed_and_nothing_else_is_served() {
    let server = Server::start(Setup::default());
    server.client().put(&name("a.msg"), b"x").unwrap();
    for method in ["DELETE", "POST", "PATCH"] {
        server.refuses(method, "/mailbox/a.msg", b"", 405, "cannot be done");
        server.refuses(method, "/mailbox", b"", 405, "cannot be done");
    }
    assert!(
        server.raw("DELETE /mailbox/a.msg HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").contains("allow: GET")
    );
    assert_eq!(server.client().read(&name("a.msg")).unwrap().unwrap(), b"x");
    for path in ["/", "/state.db", "/mailbox/a/b", "/mailbox/a.msg/", "/../etc/passwd"] {
        server.refuses("GET", path, b"", 404, "nothing at this address");
    }
    assert_eq!(server.ask("GET", "/healthz", b""), (200, "ok".to_owned()));
}

#[test]
fn no_name_leads_out_of_the_mailbox() {
    let server = Server::start(Setup::default());
    let outside = server.folder.path().parent().unwrap().join("datafuse-web-outside.msg");
    for path in [
        "/mailbox/%2e%2e%2fdatafuse-web-outside.msg",
        "/mailbox/..%2fdatafuse-web-outside.msg",
        "/mailbox/%2E%2E%5Cdatafuse-web-outside.msg",
        "/mailbox/%2fetc%2fpasswd",
        "/mailbox/%00.msg",
        "/mailbox/%ff.msg",
        "/mailbox/%zz.msg",
        "/mailbox/.hidden.msg",
        "/mailbox/UPPER.msg",
        "/mailbox/%20.msg",
        &format!("/mailbox/{}.msg", "x".repeat(200)),
    ] {
        server.refuses("PUT", path, b"x", 400, "not a message name");
        server.refuses("GET", path, b"", 400, "not a message name");
    }
    assert!(!outside.exists());
    assert_eq!(std::fs::read_dir(server.folder.path()).unwrap().count(), 0);
}

#[test]
fn an_oversized_message_is_refused_whether_it_says_so_or_not() {
    let server = Server::start(Setup::default());
    let body = vec![b'x'; MAX_MESSAGE_BYTES as usize + 1];
    let request = format!(
        "PUT /mailbox/a.msg HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    assert!(server.raw([request.as_bytes(), &body].concat()).starts_with("HTTP/1.1 413"));
    let chunked = "PUT /mailbox/a.msg HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let size = format!("{:x}\r\n", body.len());
    let request = [chunked.as_bytes(), size.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    assert!(server.raw(request).starts_with("HTTP/1.1 413"));
    assert_eq!(server.client().list().unwrap(), []);
}

#[test]
fn a_body_that_breaks_off_leaves_nothing() {
    let server = Server::start(Setup::default());
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"PUT /mailbox/a.msg HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.client().list().unwrap(), []);
    assert_eq!(std::fs::read_dir(server.folder.path()).unwrap().count(), 0);
}

#[test]
fn clients_that_send_slowly_are_cut_off_and_keep_nobody_out() {
    let limits = Limits { connections: 8, head: Duration::from_millis(300), ..Limits::default() };
    let server = Server::start(Setup { limits, request_timeout: Duration::from_secs(5), ..Setup::default() });
    // One byte of a head, and then nothing: more of them than connections are taken.
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(b"G").unwrap();
            stream
        })
        .collect();
    // The time for a request leaves room for a disk that is busy.
    server.client().put(&name("a.msg"), b"x").unwrap();
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // Closed or reset; not still open when the time is up.
        let still_open = |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!stream.read_to_end(&mut Vec::new()).is_err_and(|error| still_open(&error)));
    }
    // A body that never comes.
    let answer =
        server.raw("PUT /mailbox/b.msg HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\nhalf");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("took longer"), "{answer}");
    assert_eq!(server.client().list().unwrap(), [name("a.msg")]);
}

#[test]
fn a_connection_does_not_live_for_ever() {
    let limits = Limits { connection: Duration::from_millis(300), ..Limits::default() };
    let server = Server::start(Setup { limits, ..Setup::default() });
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // Ends, because the server closes it although it may be kept.
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(b"ok"));
}

#[test]
fn a_full_mailbox_takes_no_more_and_still_replaces() {
    let server = Server::start(Setup { max_stored: 2, ..Setup::default() });
    let client = server.client();
    client.put(&name("a.msg"), b"x").unwrap();
    client.put(&name("b.msg"), b"x").unwrap();
    server.refuses("PUT", "/mailbox/c.msg", b"x", 507, "full");
    let error = client.put(&name("c.msg"), b"x").unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("full"), "{error}");
    client.put(&name("b.msg"), b"again").unwrap();
    assert_eq!(client.read(&name("b.msg")).unwrap().unwrap(), b"again");
}

#[test]
fn a_mailbox_that_fails_is_an_error_that_does_not_say_where_it_lies() {
    let server = Server::start(Setup::default());
    let folder = server.folder.path().to_owned();
    std::fs::remove_dir_all(&folder).unwrap();
    for (method, path) in [("GET", "/mailbox"), ("GET", "/mailbox/a.msg"), ("PUT", "/mailbox/a.msg")] {
        let (status, said) = server.ask(method, path, b"x");
        assert_eq!(status, 503, "{said}");
        assert!(!said.contains(folder.file_name().unwrap().to_str().unwrap()), "{said}");
    }
    assert!(matches!(server.client().list(), Err(Error::Mailbox { trouble: Trouble::Status { status: 503, .. }, .. })));
}

#[test]
fn a_stop_ends_it_and_frees_the_port() {
    let mut server = Server::start(Setup::default());
    server.client().put(&name("a.msg"), b"x").unwrap();
    // A connection that is kept does not hold it up.
    let mut kept = TcpStream::connect(server.address).unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    kept.read_exact(&mut [0; 12]).unwrap();
    server.stop.take().unwrap().send(()).unwrap();
    let done = server.done.take().unwrap();
    let ended =
        server.runtime.as_ref().unwrap().block_on(async { tokio::time::timeout(Duration::from_secs(20), done).await });
    assert!(matches!(ended, Ok(Ok(()))));
    std::net::TcpListener::bind(server.address).unwrap();
}

/// A space of acme, globex and a workload, and a server that admits by its rule.
fn space_and_server() -> (Space, Server) {
    let mut draft = Draft::new("retail-2026".parse().unwrap(), keys(1).identity().public_name());
    draft.holders = vec![
        ("acme".parse().unwrap(), keys(2).identity().public_name()),
        ("globex".parse().unwrap(), keys(3).identity().public_name()),
    ];
    draft.kinds = vec![Kind::single("email".parse().unwrap(), Profile::EmailV1, None)];
    let space = Space::found(draft, [7; 32]).unwrap();
    let rule = space.clone();
    let admit: Admit = Arc::new(move |name, bytes| admit(&rule, name, bytes));
    (space, Server::start(Setup { admit, ..Setup::default() }))
}

fn keys(seed: u64) -> PartyKeys {
    PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

fn message(sender: &PartyKeys, root: Root) -> (String, Vec<u8>) {
    let header = Header {
        root,
        epoch: Epoch(1),
        round: Round::AnswerToWorkload,
        sender: sender.identity().public_name(),
        receiver: keys(1).identity().public_name(),
        subject: None,
        key_ids: vec![sender.token().key_id()],
        serial: 1,
    };
    let name = header.message_name();
    let key = keys(1).identity().receive_key().public();
    let sealed =
        Message::seal(header, b"payload", &key, sender.identity(), &mut ChaCha20Rng::seed_from_u64(9)).unwrap();
    (name, sealed.encode())
}

#[test]
fn only_parties_of_the_space_put_messages_and_only_their_own() {
    let (space, server) = space_and_server();
    let (own, bytes) = message(&keys(2), space.root());
    server.client().put(&name(&own), &bytes).unwrap();
    let path = format!("/mailbox/{own}");

    server.refuses("PUT", "/mailbox/answer-to-workload-00.msg", &bytes, 403, "name");
    server.refuses("PUT", &path, b"noise", 403, "not an enrolment message");
    server.refuses("PUT", &path, b"", 403, "not an enrolment message");
    let mut forged = bytes.clone();
    *forged.last_mut().unwrap() ^= 1;
    server.refuses("PUT", &path, &forged, 403, "signature");
    let (unknown, stranger) = message(&keys(9), space.root());
    server.refuses("PUT", &format!("/mailbox/{unknown}"), &stranger, 403, "not a party");
    let (foreign, other) = message(&keys(2), Root::from_bytes([8; 32]));
    server.refuses("PUT", &format!("/mailbox/{foreign}"), &other, 403, "another space");

    assert_eq!(server.client().list().unwrap(), [name(&own)]);
    assert_eq!(server.client().read(&name(&own)).unwrap().unwrap(), bytes);
}
