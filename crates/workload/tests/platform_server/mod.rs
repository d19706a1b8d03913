//! A server on this machine that speaks the platform's documented API, and one that answers whatever a test wants: also what no
//! decent server would. Everything that it was asked is kept.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

/// What a client asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The bytes of the only file in a form, and the field that it is in.
    pub fn form_file(&self) -> (String, Vec<u8>) {
        let content_type = self.header("content-type");
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").expect("a form");
        let text = &self.body;
        let head_end = text.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(text[..head_end].to_vec()).unwrap();
        assert!(head.starts_with(&format!("--{boundary}\r\n")), "{head}");
        let field = head.split("name=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let end = format!("\r\n--{boundary}--\r\n");
        let bytes = text[head_end + 4..].strip_suffix(end.as_bytes()).unwrap();
        (field, bytes.to_vec())
    }
}

/// What a server answers.
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16),
    Json(Value),
    Text(String),
    Bytes(Vec<u8>),
    Redirect(String),
    /// Nothing, for as long as the client waits.
    Hang,
    /// A body without an end.
    Endless,
    /// The announcement of so many bytes, and none of them.
    Announced(u64),
    /// The beginning of a body, and then the end of the connection.
    BrokenOff,
    /// Something that is not HTTP.
    Noise,
}

/// A server, ended when dropped.
pub struct Server {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (answer, kept, ended) = (Arc::new(answer), Arc::clone(&asked), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), answer, kept) = (stream, Arc::clone(&answer), Arc::clone(&kept)) else { continue };
                thread::spawn(move || {
                    // A client that gives up ends the conversation.
                    let _ = converse(stream, answer.as_ref(), &kept);
                });
            }
        });
        Self { address, asked, stopped }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that it was asked so far.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    pub fn asked_for(&self, path: &str) -> Vec<Request> {
        self.asked().into_iter().filter(|request| request.path == path).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn converse(
    mut stream: TcpStream,
    answer: &dyn Fn(&Request) -> Answer,
    kept: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let request = read(&mut BufReader::new(stream.try_clone()?))?;
    kept.lock().unwrap().push(request.clone());
    let mut whole = |status: u16, content_type: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status} x\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body))
    };
    match answer(&request) {
        Answer::Status(204) => stream.write_all(b"HTTP/1.1 204 x\r\nConnection: close\r\n\r\n"),
        Answer::Status(status) => whole(status, "text/plain", b"the server's own words: hunter2"),
        Answer::Json(value) => whole(200, "application/json; charset=utf-8", value.to_string().as_bytes()),
        Answer::Text(text) => whole(200, "text/plain", text.as_bytes()),
        Answer::Bytes(bytes) => whole(200, "application/octet-stream", &bytes),
        Answer::Redirect(to) => {
            let head = format!("HTTP/1.1 302 x\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes())
        }
        Answer::Hang => stream.read(&mut [0; 1]).map(drop),
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 x\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[")?;
            loop {
                stream.write_all(&[b' '; 64 << 10])?;
            }
        }
        Answer::Announced(bytes) => {
            stream.write_all(format!("HTTP/1.1 200 x\r\nContent-Length: {bytes}\r\n\r\n").as_bytes())?;
            stream.read(&mut [0; 1]).map(drop)
        }
        Answer::BrokenOff => stream.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\n[{"),
        Answer::Noise => stream.write_all(b"\x16\x03\x01 hunter2 \r\n\r\n"),
    }
}

fn read(stream: &mut impl BufRead) -> std::io::Result<Request> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Request { method, path, headers, body })
}

/// The platform as its documentation has it. Its secret manager "decrypts" what begins with `sealed:`.
#[derive(Clone, Default)]
pub struct Platform {
    pub space: String,
    pub token: String,
    pub collaborators: Value,
    /// What lies behind other paths.
    pub files: BTreeMap<String, Vec<u8>>,
}

pub const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----";

impl Platform {
    pub fn answer(&self, request: &Request) -> Answer {
        let space = format!("/collaborationSpaces/{}", self.space);
        let path = request.path.strip_prefix("/api").unwrap_or(&request.path);
        if path.starts_with("/collaborationSpaces/")
            && request.header("authorization") != format!("Bearer {}", self.token)
        {
            return Answer::Status(401);
        }
        match (request.method.as_str(), path) {
            ("GET", path) if path == format!("{space}/collaborators") => Answer::Json(self.collaborators.clone()),
            ("GET", path) if path == format!("{space}/publicKey") => Answer::Text(PUBLIC_KEY.to_owned()),
            ("POST", "/sign") => {
                let (field, bytes) = request.form_file();
                assert_eq!(field, "file");
                Answer::Text(format!("signature-of-{}-bytes", bytes.len()))
            }
            ("POST", "/decrypt") => {
                let (field, bytes) = request.form_file();
                assert_eq!(field, "message");
                match bytes.strip_prefix(b"sealed:") {
                    Some(opened) => Answer::Json(json!(String::from_utf8_lossy(opened))),
                    None => Answer::Status(400),
                }
            }
            ("POST", "/loki/api/v1/push") if request.header("x-scope-orgid").is_empty() => Answer::Status(401),
            ("POST", "/loki/api/v1/push") => Answer::Status(204),
            // A signature in the address is the client's business.
            ("GET", path) => self
                .files
                .get(path.split('?').next().unwrap_or(path))
                .map_or(Answer::Status(404), |bytes| Answer::Bytes(bytes.clone())),
            _ => Answer::Status(405),
        }
    }
}

/// An entry of the list of collaborators.
pub fn provider(client_id: &str, status: &str, descriptors: Value) -> Value {
    json!({
        "id": format!("c-{client_id}"), "clientId": client_id, "role": "DataProvider",
        "invite": { "status": status, "email": "somebody@example.com" }, "dataDescriptors": descriptors,
        "createdAt": "2026-01-01T00:00:00Z",
    })
}

pub fn descriptor(id: &str, name: &str, connector: &str) -> Value {
    json!({
        "id": id, "name": name, "description": "x", "kind": "Custom", "settings": { "connector": connector },
        "schema": json!({ name: { "type": "table", "fields": { "email": { "type": "string", "required": true } } } }).to_string(),
    })
}
