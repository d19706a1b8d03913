//! An endpoint that takes reports, for tests: a small HTTP/1.1 server on this machine, with TLS from an authority of its own or
//! without. It keeps every request and answers as the test says.
//!
//! Used from two places: `src/delivery/tests.rs`, and the program's own tests.
#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What the endpoint does with a request.
pub enum Answer {
    /// Answers with a status and headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Says nothing until the other side gives up.
    Hang,
    /// Closes the connection without a word.
    Close,
}

pub struct Endpoint {
    pub url: String,
    /// The authority's certificate, where there is TLS.
    pub ca_file: Option<PathBuf>,
    requests: Arc<Mutex<Vec<Request>>>,
    _folder: TempDir,
}

impl Endpoint {
    /// Starts one with TLS; `answer` is asked with the number of requests before, and the request.
    pub fn with_tls(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(true, answer)
    }

    pub fn plain(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(false, answer)
    }

    /// Takes each event once, as a receiver should: the second time it says that it has it.
    pub fn careful() -> Self {
        let seen = Mutex::new(Vec::new());
        Self::with_tls(move |_, request| {
            let key = request.headers["idempotency-key"].clone();
            let mut seen = seen.lock().unwrap();
            if seen.contains(&key) {
                return Answer::Status(409, vec![("Idempotency-Key", key)]);
            }
            seen.push(key);
            Answer::Status(201, Vec::new())
        })
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    fn start(tls: bool, answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = tls.then(|| {
            make_certificates(&folder);
            let chain = vec![CertificateDer::from_pem_file(folder.path().join("server.pem")).unwrap()];
            let key = PrivateKeyDer::from_pem_file(folder.path().join("server.key")).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/reports", listener.local_addr().unwrap().port());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer, config) = (Arc::clone(&kept), Arc::clone(&answer), config.clone());
                thread::spawn(move || {
                    let stream: TcpStream = stream.unwrap();
                    match config {
                        Some(config) => {
                            serve(StreamOwned::new(ServerConnection::new(config).unwrap(), stream), &kept, &*answer);
                        }
                        None => serve(stream, &kept, &*answer),
                    }
                });
            }
        });
        Self { url, ca_file: tls.then(|| folder.path().join("ca.pem")), requests, _folder: folder }
    }
}

/// Takes one request of a connection. A client that does not trust the certificate ends it before there is one.
fn serve(stream: impl Read + Write, kept: &Mutex<Vec<Request>>, answer: &dyn Fn(usize, &Request) -> Answer) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read(&mut reader) else { return };
    let before = {
        let mut kept = kept.lock().unwrap();
        kept.push(request.clone());
        kept.len() - 1
    };
    match answer(before, &request) {
        Answer::Status(status, headers) => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n");
            let stream = reader.get_mut();
            let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
        }
        Answer::Hang => {
            let _ = reader.read(&mut [0]);
        }
        Answer::Close => {}
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: BTreeMap<_, _> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Request { line: lines[0].clone(), headers, body })
}

/// A certificate authority made for one test, and the server's certificate from it.
fn make_certificates(folder: &TempDir) {
    let openssl = |arguments: &str| {
        let run = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder.path()).output();
        let run = run.unwrap_or_else(|error| panic!("openssl: {error}. Try: apt-get install openssl"));
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority \
         -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
    ));
    openssl(&format!("req -new {key} -keyout server.key -out server.csr -subj /CN=localhost"));
    std::fs::write(folder.path().join("names"), "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost\n").unwrap();
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names");
}
